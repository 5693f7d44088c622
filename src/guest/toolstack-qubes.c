/* SPDX-License-Identifier: GPL-3.0-or-later */
/* toolstack-qubes.c - Qubes: its guests and their volumes, from qubes.xml. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/toolstack-impl.h"
#include "guest/xml.h"

#define QUBES_XML     "/var/lib/qubes/qubes.xml"
#define QUBES_RELEASE "/etc/qubes-release"
#define MAX_POOLS     64

/* Where volumes of a pool are: an LV of a volume group, or a file in a folder. */
struct pool {
	char *name;
	char *dir; /* NULL: LVM, whose volumes are named vg/lv */
};

struct qubes {
	const char *root;
	struct domu_toolstack *t;
	struct domu_kept *k; /* the open <domain> */
	struct pool pools[MAX_POOLS];
	size_t n_pools;
	char property[32]; /* the open <property>'s name */
};

static int take_pool(struct qubes *q, const struct domu_xml_attr *attrs, size_t n)
{
	const char *name = domu_xml_attr(attrs, n, "name"), *dir = domu_xml_attr(attrs, n, "dir_path");
	struct pool *p = &q->pools[q->n_pools];

	if (name == NULL || q->n_pools == MAX_POOLS)
		return 0;
	p->name = strdup(name);
	p->dir = dir != NULL ? strdup(dir) : NULL;
	q->n_pools++;
	return p->name != NULL && (dir == NULL || p->dir != NULL) ? 0 : -ENOMEM;
}

/* A volume's path on this host; NULL: no memory. */
static char *volume_path(const struct qubes *q, const char *pool, const char *vid)
{
	char *path;

	for (size_t i = 0; i < q->n_pools; i++)
		if (pool != NULL && strcmp(q->pools[i].name, pool) == 0 && q->pools[i].dir != NULL)
			return asprintf(&path, "%s/%s.img", q->pools[i].dir, vid) < 0 ? NULL : path;
	return asprintf(&path, "/dev/%s", vid) < 0 ? NULL : path;
}

/* root, private, volatile, kernel are xvda to xvdd.  Volumes that exist only while a qube runs are not its disks. */
static int take_volume(struct qubes *q, const struct domu_xml_attr *attrs, size_t n)
{
	static const char *const names[] = { "root", "private", NULL };
	const char *name = domu_xml_attr(attrs, n, "name"), *vid = domu_xml_attr(attrs, n, "vid");
	char *path, full[PATH_MAX];
	struct domu_disk *d;
	unsigned i = 0;

	while (names[i] != NULL && (name == NULL || strcmp(names[i], name) != 0))
		i++;
	if (names[i] == NULL || vid == NULL)
		return 0;
	path = volume_path(q, domu_xml_attr(attrs, n, "pool"), vid);
	if (path == NULL)
		return -ENOMEM;
	if (snprintf(full, sizeof full, "%s%s", q->root, path) >= (int)sizeof full || access(full, F_OK) != 0) {
		free(path);
		return 0;
	}
	d = domu_guest_add_disk(q->k->guest);
	if (d == NULL) {
		int rc = -errno;

		free(path);
		return rc;
	}
	d->path = path;
	snprintf(d->vdev, sizeof d->vdev, "xvd%c", 'a' + (int)i);
	return 0;
}

static int qubes_open(void *user, const char *path, const struct domu_xml_attr *attrs, size_t n)
{
	struct qubes *q = user;
	const char *name;

	if (strcmp(path, "qubes/pools/pool") == 0)
		return take_pool(q, attrs, n);
	if (strcmp(path, "qubes/domains/domain") == 0) {
		q->k = domu_kept_add(q->t, QUBES_XML);
		return q->k != NULL ? 0 : -errno;
	}
	if (q->k == NULL)
		return 0;
	if (strcmp(path, "qubes/domains/domain/properties/property") == 0) {
		name = domu_xml_attr(attrs, n, "name");
		snprintf(q->property, sizeof q->property, "%s", name != NULL ? name : "");
	} else if (strcmp(path, "qubes/domains/domain/volume-config/volume") == 0) {
		return take_volume(q, attrs, n);
	}
	return 0;
}

static int qubes_text(void *user, const char *path, const char *text)
{
	struct qubes *q = user;

	if (q->k == NULL || strcmp(path, "qubes/domains/domain/properties/property") != 0)
		return 0;
	if (strcmp(q->property, "name") == 0 && q->k->guest->name == NULL) {
		q->k->guest->name = strdup(text);
		return q->k->guest->name != NULL ? 0 : -ENOMEM;
	}
	if (strcmp(q->property, "autostart") == 0 && strcmp(text, "True") == 0 && q->k->autostart == NULL) {
		q->k->autostart = strdup("its property autostart");
		return q->k->autostart != NULL ? 0 : -ENOMEM;
	}
	return 0;
}

static int qubes_close(void *user, const char *path)
{
	struct qubes *q = user;

	if (strcmp(path, "qubes/domains/domain") != 0)
		return 0;
	/* The Dom0 itself has no volumes. */
	if (q->k->guest->name == NULL || strcmp(q->k->guest->name, "dom0") == 0)
		domu_kept_drop(q->t);
	q->k = NULL;
	return 0;
}

int domu_qubes_read(struct domu_ctx *ctx, const char *root, struct domu_toolstack *t)
{
	static const struct domu_xml_handler h = { qubes_open, qubes_text, qubes_close };
	struct qubes q = { .root = root, .t = t };
	char path[PATH_MAX];
	int rc = 0;

	if (snprintf(path, sizeof path, "%s" QUBES_XML, root) >= (int)sizeof path)
		return 0;
	if (access(path, F_OK) == 0) {
		t->place = strdup(QUBES_XML);
		rc = t->place != NULL ? domu_toolstack_scan(ctx, path, &h, &q) : -ENOMEM;
		/* Cut short in the midst of one. */
		if (q.k != NULL)
			domu_kept_drop(t);
	} else if (snprintf(path, sizeof path, "%s" QUBES_RELEASE, root) < (int)sizeof path &&
	           access(path, F_OK) == 0) {
		t->place = strdup(QUBES_RELEASE);
		rc = t->place != NULL ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < q.n_pools; i++) {
		free(q.pools[i].name);
		free(q.pools[i].dir);
	}
	return rc == -ENOMEM ? rc : 0;
}
