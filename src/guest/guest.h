/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guest.h - which guests exist and which one an argument names. */
#ifndef DOMU_GUEST_H
#define DOMU_GUEST_H

#include "base/ctx.h"

/* Where guests are looked for: what --config-dir, --config, --disk and --format said. */
struct domu_where {
	const char *const *config_dirs; /* NULL-terminated */
	const char *config; /* --config FILE, or NULL */
	const char *const *disks; /* --disk PATH ..., NULL-terminated, or NULL */
	const char *format; /* --format, or NULL */
	const char *root; /* before the paths of other toolstacks; NULL: this host's own */
};

/* An argument of a command, taken apart (never looking at any file's content). */
struct domu_target {
	bool host; /* a path of this host: no ":/", or it starts with / or . and has none of a guest */
	char *guest; /* GUEST, without @DEV and :/path; NULL for a host path */
	char *at; /* DEV of @DEV, or NULL */
	char *path; /* from the "/" of the first ":/"; of the host when host; NULL: a guest alone */
};

/*
 * GUEST, GUEST@DEV, GUEST:/path, GUEST@DEV:/path, or a host path.
 * want_guest: the argument is a guest, also without ":/" or when it starts
 * with / or . (a disk or config by its path).  DEV follows the last '@' of
 * what precedes ":/" that something like a DEV follows: xvda3, vg/lv,
 * UUID=..., LABEL=...  ":/path" has an empty guest: the one that --config or
 * --disk names.
 */
int domu_target_parse(struct domu_ctx *ctx, const char *arg, bool want_guest, struct domu_target *t);
void domu_target_free(struct domu_target *t); /* what it holds */

/*
 * The guest that name means; name NULL or empty: what --config or --disk say.  DOMU_NOTFOUND, DOMU_USAGE
 * (ambiguous: both files).
 */
int domu_guest_find(struct domu_ctx *ctx, const struct domu_where *where, const char *name, struct domu_guest **g);

struct domu_guests {
	struct domu_guest **v;
	size_t n;
};
/* Every guest: configs and live domains, by name; a config with an error is in it, with its line. */
int domu_guest_list(struct domu_ctx *ctx, const struct domu_where *where, struct domu_guests *out);
/* Those of configs alone, whatever runs, in no order. */
int domu_guest_configs(struct domu_ctx *ctx, const struct domu_where *where, struct domu_guests *out);
void domu_guests_free(struct domu_guests *g);
/* What runs, by itself: a failure where there is a hypervisor that does not answer. */
int domu_guest_live(struct domu_ctx *ctx, struct domu_guests *out);

/* May a file of this name in a config folder be a guest's config?  (*.cfg *.xl *.hvm *.pv *.pvh, or without a dot.) */
DOMU_PUBLIC bool domu_config_name_counts(const char *name);
/* Does an argument with this suffix name a config rather than a disk? */
DOMU_PUBLIC bool domu_config_suffix(const char *path);
const char *domu_state_name(enum domu_guest_state s); /* "stopped" */
/* For messages: its name, else its first disk's path. */
const char *domu_guest_shown(const struct domu_guest *g);
/* xvda, sda and hda are one name: 0 where a and b mean the same disk of a guest. */
int domu_vdev_compare(const char *a, const char *b);

#endif
