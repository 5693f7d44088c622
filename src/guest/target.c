/* SPDX-License-Identifier: GPL-3.0-or-later */
/* target.c - arguments and names taken apart: GUEST@DEV:/path, file names of configs, disk names. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/guest.h"

static const char *const config_suffixes[] = { ".cfg", ".xl", ".hvm", ".pv", ".pvh", NULL };

static bool has_suffix(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n > m && strcmp(s + n - m, suffix) == 0;
}

bool domu_config_suffix(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;

	/* A file that is all suffix (".cfg") is a hidden file of an editor or package, not a config. */
	for (const char *const *s = config_suffixes; *s != NULL; s++)
		if (base[0] != '.' && has_suffix(base, *s))
			return true;
	return false;
}

bool domu_config_name_counts(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || name[0] == '.' || strncmp(name, "xlexample", 9) == 0)
		return false;
	/* Backups of editors: web1~, #web1#.  Those of packages have a dot and an unknown suffix. */
	if (name[n - 1] == '~' || name[0] == '#')
		return false;
	return strchr(name, '.') == NULL || domu_config_suffix(name);
}

/* The letters and number after xvd, sd, hd; NULL: not such a name. */
static const char *vdev_rest(const char *v)
{
	static const char *const heads[] = { "xvd", "sd", "hd", NULL };

	if (strncmp(v, "/dev/", 5) == 0)
		v += 5;
	for (const char *const *h = heads; *h != NULL; h++) {
		size_t n = strlen(*h);

		if (strncmp(v, *h, n) == 0 && islower((unsigned char)v[n]))
			return v + n;
	}
	return NULL;
}

int domu_vdev_compare(const char *a, const char *b)
{
	const char *ra = vdev_rest(a), *rb = vdev_rest(b);

	return ra != NULL && rb != NULL ? strcmp(ra, rb) : strcmp(a, b);
}

/* xvda, xvda3, /dev/sdb1, vda2 */
static bool looks_like_vdev(const char *s)
{
	const char *rest = vdev_rest(s);

	if (rest == NULL && strncmp(s, "vd", 2) == 0)
		rest = s + 2;
	if (rest == NULL || !islower((unsigned char)*rest))
		return false;
	while (islower((unsigned char)*rest))
		rest++;
	while (isdigit((unsigned char)*rest))
		rest++;
	return *rest == '\0';
}

/* vg/lv, /dev/vg/lv: two names as lvm(8) allows them. */
static bool looks_like_lv(const char *s)
{
	unsigned slashes = 0;
	char before = '/';

	if (strncmp(s, "/dev/", 5) == 0)
		s += 5;
	for (; *s != '\0'; before = *s++) {
		if (*s == '/') {
			if (before == '/' || ++slashes > 1)
				return false;
		} else if (!isalnum((unsigned char)*s) && strchr("+_.-", *s) == NULL) {
			return false;
		}
	}
	return slashes == 1 && before != '/';
}

static bool looks_like_dev(const char *s)
{
	static const char *const tags[] = { "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", NULL };

	for (const char *const *t = tags; *t != NULL; t++)
		if (strncmp(s, *t, strlen(*t)) == 0)
			return s[strlen(*t)] != '\0';
	return looks_like_vdev(s) || looks_like_lv(s);
}

/*
 * Cuts @DEV off: at the last '@' that something like a DEV follows, so that a
 * guest "mail@example" and a label with an '@' both work.  Only the text
 * decides: a disk below a folder "web@home/" has to be named with --disk.
 */
static int cut_at(char *guest, char **at)
{
	for (size_t i = strlen(guest); i-- > 0;) {
		if (guest[i] != '@' || !looks_like_dev(guest + i + 1))
			continue;
		*at = strdup(guest + i + 1);
		if (*at == NULL)
			return -ENOMEM;
		guest[i] = '\0';
		return 0;
	}
	return 0;
}

int domu_target_parse(struct domu_ctx *ctx, const char *arg, bool want_guest, struct domu_target *t)
{
	const char *split = strstr(arg, ":/");
	int rc = 0;

	memset(t, 0, sizeof *t);
	if (arg[0] == '\0')
		return domu_fail(ctx, DOMU_USAGE, -EINVAL, "an empty argument names nothing");
	if (!want_guest && (split == NULL || arg[0] == '/' || arg[0] == '.')) {
		t->host = true;
		t->path = strdup(arg);
		return t->path != NULL ? 0 : domu_nomem(ctx);
	}
	t->guest = split != NULL ? strndup(arg, (size_t)(split - arg)) : strdup(arg);
	if (t->guest == NULL)
		goto nomem;
	rc = cut_at(t->guest, &t->at);
	if (rc < 0)
		goto nomem;
	if (split != NULL) {
		t->path = strdup(split + 1);
		if (t->path == NULL)
			goto nomem;
	}
	return 0;
nomem:
	domu_target_free(t);
	return domu_nomem(ctx);
}

void domu_target_free(struct domu_target *t)
{
	free(t->guest);
	free(t->at);
	free(t->path);
	memset(t, 0, sizeof *t);
}

const char *domu_state_name(enum domu_guest_state s)
{
	static const char *const names[] = {
		[DOMU_STATE_UNKNOWN] = "unknown", [DOMU_STATE_STOPPED] = "stopped",
		[DOMU_STATE_RUNNING] = "running", [DOMU_STATE_PAUSED] = "paused",
		[DOMU_STATE_SAVED] = "saved",     [DOMU_STATE_SUSPENDED] = "suspended",
		[DOMU_STATE_CRASHED] = "crashed",
	};

	return (size_t)s < sizeof names / sizeof *names ? names[s] : "unknown";
}

const char *domu_guest_shown(const struct domu_guest *g)
{
	if (g->name != NULL)
		return g->name;
	for (size_t i = 0; i < g->n_disks; i++)
		if (g->disks[i].path != NULL)
			return g->disks[i].path;
	return g->source != NULL ? g->source : "(no name)";
}
