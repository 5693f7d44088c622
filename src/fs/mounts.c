/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mounts.c - what the guest's fstab mounts below its root, and where each hangs. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/tree.h"

#define FSTAB_BYTES (1u << 20)
#define LINE_BYTES  (16u << 10)
#define MAX_MOUNTS  256

/* ---- fstab ------------------------------------------------------------------ */

static bool is_bind(const struct mntent *e)
{
	return hasmntopt(e, "bind") != NULL || hasmntopt(e, "rbind") != NULL;
}

/* Of what fstab has, only filesystems on the guest's own disks that it mounts by itself, and parts of its tree. */
static bool entry_counts(const struct mntent *e)
{
	static const char *const others[] = { "noauto", "loop" };
	const char *spec = e->mnt_fsname;

	if (e->mnt_dir[0] != '/' || strcmp(e->mnt_type, "swap") == 0)
		return false;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (hasmntopt(e, others[i]) != NULL)
			return false;
	if (is_bind(e))
		return spec[0] == '/';
	if (strncmp(spec, "/dev/sr", 7) == 0 || strncmp(spec, "/dev/cdrom", 10) == 0 ||
	    strncmp(spec, "/dev/fd", 7) == 0)
		return false;
	return strncmp(spec, "/dev/", 5) == 0 || strncmp(spec, "UUID=", 5) == 0 || strncmp(spec, "LABEL=", 6) == 0 ||
	       strncmp(spec, "PARTUUID=", 9) == 0 || strncmp(spec, "PARTLABEL=", 10) == 0;
}

/* "/a//b/./c/" as "/a/b/c"; false: it climbs with "..", or is too long. */
static bool tidy_target(const char *target, char *out, size_t size)
{
	size_t len = 0;

	for (;;) {
		size_t n;

		while (*target == '/')
			target++;
		n = strcspn(target, "/");
		if (n == 0)
			break;
		if (n == 2 && target[0] == '.' && target[1] == '.')
			return false;
		if (!(n == 1 && target[0] == '.')) {
			if (n > 255 || len + n + 2 > size)
				return false;
			out[len++] = '/';
			memcpy(out + len, target, n);
			len += n;
		}
		target += n;
	}
	if (len == 0)
		out[len++] = '/';
	out[len] = '\0';
	return true;
}

/* With copies of m's strings. */
static int add_mount(struct domu_tree *t, const struct domu_mount *m)
{
	struct domu_mount *v = realloc(t->mounts, (t->n_mounts + 1) * sizeof *v);

	if (v == NULL)
		return domu_nomem(t->ctx);
	t->mounts = v;
	v += t->n_mounts++;
	*v = *m;
	v->target = strdup(m->target);
	v->spec = strdup(m->spec);
	v->subvol = m->subvol != NULL ? strdup(m->subvol) : NULL;
	return v->target != NULL && v->spec != NULL && (v->subvol != NULL || m->subvol == NULL) ? 0
	                                                                                        : domu_nomem(t->ctx);
}

static void free_mount(struct domu_mount *m)
{
	free(m->target);
	free(m->spec);
	free(m->subvol);
}

/* A later entry for the same directory covers the earlier one. */
static void drop_mount(struct domu_tree *t, const char *target)
{
	for (size_t i = 1; i < t->n_mounts; i++) {
		if (strcmp(t->mounts[i].target, target) != 0)
			continue;
		free_mount(&t->mounts[i]);
		t->n_mounts--;
		memmove(t->mounts + i, t->mounts + i + 1, (t->n_mounts - i) * sizeof *t->mounts);
		return;
	}
}

/* How a subvolume is called in a message. */
static const char *subvol_text(const struct domu_mount *m, char *text, size_t size)
{
	if (m->subvol != NULL)
		snprintf(text, size, "subvol=%.200s", m->subvol);
	else if (m->subvolid != 0)
		snprintf(text, size, "subvolid=%" PRIu64, m->subvolid);
	else
		snprintf(text, size, "the default subvolume");
	return text;
}

/*
 * What fstab says of / itself: of several subvolumes that look like a root, as
 * snapshots do, it is the one that the guest mounts.
 */
static int root_entry(struct domu_tree *t, const struct domu_mount *m)
{
	uint64_t *start = &t->state[t->root].start, before = *start, ino;
	char text[256];
	struct domu_fs *fs;
	size_t node;
	int rc;

	/* The kernel mounts / by its command line first, and then another subvolume cannot take its place. */
	if ((m->subvol == NULL && m->subvolid == 0) || t->root_moved || t->state[t->root].told ||
	    domu_tree_find_quietly(t, m->spec, &node) != 0 || node != t->root)
		return 0;
	rc = domu_tree_fs(t, node, &fs);
	if (rc != 0)
		return rc;
	if (domu_subvol_find(fs, m->subvol, m->subvolid, &ino) == 0) {
		*start = ino;
		t->root_moved = ino != before;
		if (!t->root_moved || domu_tree_looks_like_root(t, node))
			return 0;
	}
	*start = before;
	t->root_moved = false;
	domu_say(t->ctx, DOMU_WARNING_ONCE, "/etc/fstab: / is %s of %s, where no root is: it is left out",
	         subvol_text(m, text, sizeof text), m->spec);
	return 0;
}

static int add_entry(struct domu_tree *t, struct mntent *e)
{
	const char *spec = e->mnt_fsname;
	char target[4096];
	struct domu_mount m = { .target = target, .spec = e->mnt_fsname, .bind = is_bind(e) };
	int rc;

	if (!tidy_target(e->mnt_dir, target, sizeof target)) {
		domu_say(t->ctx, DOMU_WARNING_ONCE, "/etc/fstab: the mount point of %s cannot be used", spec);
		return 0;
	}
	if (!m.bind)
		domu_subvol_options(e->mnt_opts, &m.subvol, &m.subvolid);
	if (strcmp(target, "/") == 0)
		return m.bind ? 0 : root_entry(t, &m);
	m.node = t->root;
	rc = m.bind ? 0 : domu_tree_find_quietly(t, spec, &m.node);
	if (rc != 0) {
		domu_say(t->ctx, DOMU_WARNING_ONCE, "/etc/fstab: %s, for %s, is %s", spec, target,
		         rc == -ENOTUNIQ ? "several of the guest's devices" : "on no disk of the guest");
		return 0;
	}
	if (!m.bind && m.node == t->root && m.subvol == NULL && m.subvolid == 0) {
		domu_say(t->ctx, DOMU_WARNING_ONCE, "/etc/fstab: %s, for %s, is the root filesystem again: left out",
		         spec, target);
		return 0;
	}
	drop_mount(t, target);
	return add_mount(t, &m);
}

/* By the C library, which every process has: libmount would bring libselinux and libpcre2 into each. */
static int parse_fstab(struct domu_tree *t, char *text, size_t len)
{
	FILE *f = fmemopen(text, len, "r");
	char *line = malloc(LINE_BYTES);
	struct mntent e;
	int rc = 0;

	if (f == NULL || line == NULL)
		rc = domu_nomem(t->ctx);
	while (rc == 0 && t->n_mounts < MAX_MOUNTS && getmntent_r(f, &e, line, LINE_BYTES) != NULL)
		if (entry_counts(&e))
			rc = add_entry(t, &e);
	if (f != NULL)
		fclose(f);
	free(line);
	return rc;
}

/* A guest without an fstab, or with one that is no file, has its root and nothing else. */
static int read_fstab(struct domu_tree *t)
{
	struct domu_path *p = malloc(sizeof *p);
	bool clean = t->ctx->error.status == DOMU_OK;
	char *text = NULL;
	size_t len = 0;
	int rc;

	if (p == NULL)
		return domu_nomem(t->ctx);
	rc = domu_walk_in(t, t->root, false, "/", "/etc/fstab", 0, p);
	if (rc == 0 && S_ISREG(p->st.mode)) {
		rc = domu_fs_slurp(p->fs, p->ino, FSTAB_BYTES, &text, &len);
		if (rc != 0)
			domu_say(t->ctx, DOMU_WARNING_ONCE,
			         "/etc/fstab cannot be read (%s): nothing is mounted below the root",
			         rc == -EFBIG ? "larger than a MiB" : strerror(-rc));
	}
	if (rc != 0 && clean)
		domu_error_clear(t->ctx);
	rc = len > 0 ? parse_fstab(t, text, len) : 0;
	free(text);
	free(p);
	return rc;
}

/* ---- the list --------------------------------------------------------------- */

static bool is_below(const char *target, const char *above)
{
	size_t n = strlen(above);

	if (n == 1)
		return true;
	return strncmp(target, above, n) == 0 && target[n] == '/';
}

static unsigned depth_of(const char *target)
{
	unsigned n = 0;

	for (; *target != '\0'; target++)
		n += *target == '/';
	return n;
}

/* What is above comes first; stable, since fstab's order counts otherwise. */
static void sort_mounts(struct domu_tree *t)
{
	for (size_t i = 2; i < t->n_mounts; i++) {
		struct domu_mount m = t->mounts[i];
		size_t j;

		for (j = i; j > 1 && depth_of(t->mounts[j - 1].target) > depth_of(m.target); j--)
			t->mounts[j] = t->mounts[j - 1];
		t->mounts[j] = m;
	}
}

static int make_places(struct domu_tree *t)
{
	t->places = calloc(t->n_mounts, sizeof *t->places);
	if (t->places == NULL)
		return domu_nomem(t->ctx);
	for (size_t i = 1; i < t->n_mounts; i++)
		for (size_t j = 0; j < t->n_mounts; j++)
			if (j != i && is_below(t->mounts[i].target, t->mounts[j].target) &&
			    strlen(t->mounts[j].target) >= strlen(t->mounts[t->places[i].above].target))
				t->places[i].above = (unsigned)j;
	t->places[0].root_ino = t->state[t->root].start;
	return 0;
}

static void drop_all_below_root(struct domu_tree *t)
{
	while (t->n_mounts > 1)
		free_mount(&t->mounts[--t->n_mounts]);
}

static int find_mounts(struct domu_tree *t)
{
	bool clean = t->ctx->error.status == DOMU_OK;
	int rc = domu_tree_start(t, t->root);

	/* Whoever walks there is told why it does not open. */
	if (rc != 0) {
		if (clean)
			domu_error_clear(t->ctx);
		return 0;
	}
	domu_subvol_warn(t);
	rc = read_fstab(t);
	if (rc != 0 || !t->root_moved)
		return rc;
	drop_all_below_root(t);
	return read_fstab(t);
}

int domu_tree_mounts(struct domu_tree *t, const struct domu_mount **m, size_t *n)
{
	char slash[] = "/", name[sizeof t->nodes.v->name];
	struct domu_mount all = { .target = slash, .spec = name };
	int rc = domu_tree_root(t, &all.node);

	if (rc == 0 && !t->mounts_known) {
		snprintf(name, sizeof name, "%s", t->nodes.v[all.node].name);
		rc = add_mount(t, &all);
		if (rc == 0 && t->opts.use == NULL)
			rc = find_mounts(t);
		if (rc == 0) {
			sort_mounts(t);
			rc = make_places(t);
		}
		if (rc == 0)
			t->mounts_known = true;
		while (rc != 0 && t->n_mounts > 0) {
			t->n_mounts--;
			free_mount(&t->mounts[t->n_mounts]);
		}
	}
	*m = t->mounts;
	*n = rc == 0 ? t->n_mounts : 0;
	return rc;
}

/* ---- where each hangs --------------------------------------------------------- */

unsigned domu_mount_over(struct domu_tree *t, unsigned m, uint64_t ino)
{
	for (unsigned i = 1; i < t->n_mounts; i++)
		if (t->places[i].placed && t->places[i].at_mount == m && t->places[i].at_ino == ino)
			return i;
	return 0;
}

bool domu_tree_covered(struct domu_tree *t, unsigned mount, uint64_t ino)
{
	return domu_mount_over(t, mount, ino) != 0;
}

bool domu_tree_is_mounted(const struct domu_tree *t, unsigned mount)
{
	return mount == 0 || (mount < t->n_mounts && t->places[mount].placed);
}

/*
 * The directory that a bind mount shows.  Meanwhile nothing is mounted where
 * it is itself, as when the guest mounted it; one that shows nothing stays so.
 */
static int bind_mount(struct domu_tree *t, unsigned m, struct domu_path *p)
{
	struct tree_mount *place = &t->places[m];
	bool clean = t->ctx->error.status == DOMU_OK;
	int rc;

	place->placed = false;
	rc = domu_walk_in(t, 0, true, "/", t->mounts[m].spec, 0, p);
	if (rc == 0 && !S_ISDIR(p->st.mode))
		rc = -ENOTDIR;
	if (rc == 0) {
		place->placed = true;
		place->root_ino = p->ino;
		t->mounts[m].node = p->node;
		return 0;
	}
	if (clean)
		domu_error_clear(t->ctx);
	domu_say(t->ctx, DOMU_WARNING_ONCE, "/etc/fstab: %s cannot be bound to %s: there is no such directory",
	         t->mounts[m].spec, t->mounts[m].target);
	return rc;
}

static int enter_subvol(struct domu_tree *t, unsigned m)
{
	const struct domu_mount *mount = &t->mounts[m];
	char text[256];
	struct domu_fs *fs;
	int rc = domu_tree_fs(t, mount->node, &fs);

	if (rc != 0)
		return rc;
	rc = domu_subvol_find(fs, mount->subvol, mount->subvolid, &t->places[m].root_ino);
	if (rc == 0)
		return 0;
	t->places[m].root_ino = 0;
	t->places[m].placed = false;
	domu_say(t->ctx, DOMU_WARNING_ONCE, "/etc/fstab: %s cannot be mounted: %s has no %s", mount->target,
	         mount->spec, subvol_text(mount, text, sizeof text));
	return rc;
}

/* Finds the directory that a mount shows.  One that shows nothing is a warning, and no failure is recorded. */
static int enter_top(struct domu_tree *t, unsigned m)
{
	struct domu_path *p;
	int rc;

	if (m == 0 || t->places[m].root_ino != 0)
		return 0;
	if (!t->mounts[m].bind)
		return enter_subvol(t, m);
	p = malloc(sizeof *p);
	rc = p != NULL ? bind_mount(t, m, p) : domu_nomem(t->ctx);
	free(p);
	return rc;
}

int domu_tree_cross(struct domu_tree *t, unsigned *mount, uint64_t *ino, struct domu_fs **fs)
{
	for (size_t i = 0; i < t->n_mounts; i++) {
		unsigned over = domu_mount_over(t, *mount, *ino);
		int rc;

		if (over == 0)
			break;
		/* It is as if it had never been mounted. */
		if (enter_top(t, over) != 0 && t->ctx->error.status == DOMU_OK)
			continue;
		rc = domu_mount_enter(t, over, fs);
		if (rc != 0)
			return rc;
		*mount = over;
		*ino = domu_tree_top(t, over, *fs);
	}
	return 0;
}

static void place(struct domu_tree *t, unsigned i, struct domu_path *p)
{
	bool clean = t->ctx->error.status == DOMU_OK;
	int rc = domu_walk_in(t, 0, true, "/", t->mounts[i].target, 0, p);

	if (rc == 0 && !S_ISDIR(p->st.mode))
		rc = -ENOTDIR;
	if (rc != 0) {
		if (clean)
			domu_error_clear(t->ctx);
		domu_say(t->ctx, DOMU_WARNING_ONCE, "/etc/fstab: %s cannot be mounted: there is no directory %s",
		         t->mounts[i].spec, t->mounts[i].target);
		return;
	}
	t->places[i].at_mount = p->mount;
	t->places[i].at_ino = p->ino;
	t->places[i].placed = true;
}

int domu_mount_enter(struct domu_tree *t, unsigned m, struct domu_fs **fs)
{
	int rc = enter_top(t, m);
	struct domu_path *p = NULL;

	if (rc == 0)
		rc = domu_tree_fs(t, t->mounts[m].node, fs);

	if (rc != 0 || t->places[m].entered)
		return rc;
	t->places[m].entered = true;
	for (unsigned i = 1; i < t->n_mounts; i++) {
		if (t->places[i].above != m)
			continue;
		if (p == NULL)
			p = malloc(sizeof *p);
		if (p == NULL)
			return domu_nomem(t->ctx);
		place(t, i, p);
	}
	free(p);
	return 0;
}

int domu_tree_enter_all(struct domu_tree *t)
{
	const struct domu_mount *m;
	struct domu_fs *fs;
	size_t n;
	int rc = domu_tree_mounts(t, &m, &n);

	if (rc == 0)
		rc = domu_mount_enter(t, 0, &fs);
	/* What is above comes first, so each is placed before its turn. */
	for (unsigned i = 1; rc == 0 && i < n; i++) {
		if (!t->places[i].placed || domu_mount_enter(t, i, &fs) == 0)
			continue;
		/* A mount that shows nothing was told of. */
		if (t->ctx->error.status == DOMU_OK)
			continue;
		domu_say(t->ctx, DOMU_WARNING_ONCE, "%s is not mounted: %s", m[i].target,
		         t->ctx->error.message != NULL ? t->ctx->error.message : "it cannot be opened");
		domu_error_clear(t->ctx);
		t->places[i].placed = false;
	}
	return rc;
}
