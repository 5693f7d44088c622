/* SPDX-License-Identifier: GPL-3.0-or-later */
/* subvol.c - which directory of a filesystem a mount shows: the subvolumes of btrfs. */
#include "config.h"

#include <errno.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/tree.h"

#define MAX_TRIED 64 /* directories of the top level that are asked whether they are a root */

/* From dir down to path, without links: as btrfs looks for subvol=. */
static int descend(struct domu_fs *fs, uint64_t dir, const char *path, uint64_t *ino)
{
	struct domu_stat st;
	char name[256];
	int rc = 0;

	for (path += strspn(path, "/"); rc == 0 && *path != '\0'; path += strspn(path, "/")) {
		size_t n = strcspn(path, "/");

		if (n >= sizeof name)
			return -ENAMETOOLONG;
		memcpy(name, path, n);
		name[n] = '\0';
		path += n;
		rc = domu_fs_lookup(fs, dir, name, &dir);
	}
	if (rc == 0)
		rc = domu_fs_stat(fs, dir, &st);
	if (rc == 0 && !S_ISDIR(st.mode))
		rc = -ENOTDIR;
	*ino = dir;
	return rc;
}

int domu_subvol_find(struct domu_fs *fs, const char *path, uint64_t id, uint64_t *ino)
{
	bool clean = fs->ctx->error.status == DOMU_OK;
	uint64_t top;
	int rc;

	if (path == NULL) {
		rc = domu_fs_subvolume(fs, id, ino);
		if (rc == -EOPNOTSUPP && id == 0) {
			*ino = fs->root;
			rc = 0;
		}
	} else {
		rc = domu_fs_subvolume(fs, DOMU_SUBVOL_TOP, &top);
		if (rc == 0)
			rc = descend(fs, top, path, ino);
	}
	if (rc != 0 && clean)
		domu_error_clear(fs->ctx);
	return rc;
}

/* ---- where a filesystem's root is ------------------------------------------------ */

struct tried {
	uint64_t v[MAX_TRIED];
	size_t n;
};

static int keep_dir(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode)
{
	struct tried *l = user;

	(void)name;
	(void)len;
	if (S_ISDIR(type_mode) && ino != 0 && l->n < MAX_TRIED)
		l->v[l->n++] = ino;
	return 0;
}

static bool root_at(struct domu_tree *t, size_t node, uint64_t ino)
{
	t->state[node].start = ino;
	return domu_tree_looks_like_root(t, node);
}

/*
 * What distributions call the subvolume of /, where the boot loader names it
 * and the default is the top level; else the only one that is a root.
 */
static bool below_top(struct domu_tree *t, size_t node, struct domu_fs *fs)
{
	static const char *const usual[] = { "@", "root", "@rootfs" };
	struct tried l = { .n = 0 };
	uint64_t ino, found = 0;
	size_t n = 0;

	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		if (domu_subvol_find(fs, usual[i], 0, &ino) == 0 && root_at(t, node, ino))
			return true;
	if (domu_fs_readdir(fs, fs->root, keep_dir, &l) != 0)
		return false;
	for (size_t i = 0; i < l.n; i++)
		if (root_at(t, node, l.v[i])) {
			found = l.v[i];
			n++;
		}
	t->state[node].start = found;
	return n == 1;
}

void domu_subvol_options(char *options, char **path, uint64_t *id)
{
	const struct mntent e = { .mnt_opts = options };
	const char *by_path = hasmntopt(&e, "subvol"), *by_id = hasmntopt(&e, "subvolid");

	/* Where both are given they name the same, and the guest's kernel sees to that. */
	if (by_id != NULL && by_id[8] == '=')
		*id = strtoull(by_id + 9, NULL, 0);
	if (by_path != NULL && by_path[6] == '=') {
		*path = (char *)by_path + 7;
		(*path)[strcspn(*path, ",")] = '\0';
	}
}

/* rootflags= of the config, a copy of it: what the kernel mounts / with.  NULL: it has none. */
static char *root_flags(const struct domu_tree *t)
{
	const char *hint = t->opts.root_hint != NULL ? t->opts.root_hint : "";

	for (size_t n; *hint != '\0'; hint += n + strspn(hint + n, " \t")) {
		n = strcspn(hint, " \t");
		if (n > 10 && strncmp(hint, "rootflags=", 10) == 0)
			return strndup(hint + 10, n - 10);
	}
	return NULL;
}

static bool as_told(struct domu_tree *t, size_t node, struct domu_fs *fs)
{
	char *flags = root_flags(t), *path = NULL;
	uint64_t id = 0, ino;

	if (flags != NULL)
		domu_subvol_options(flags, &path, &id);
	t->state[node].told =
	    (path != NULL || id != 0) && domu_subvol_find(fs, path, id, &ino) == 0 && root_at(t, node, ino);
	free(flags);
	return t->state[node].told;
}

void domu_subvol_warn(struct domu_tree *t)
{
	char *flags = !t->state[t->root].told ? root_flags(t) : NULL;

	if (flags != NULL && strstr(flags, "subvol") != NULL)
		domu_say(t->ctx, DOMU_WARNING_ONCE, "the config says rootflags=%s, where no root of %s is", flags,
		         domu_tree_guest(t));
	free(flags);
}

int domu_tree_start(struct domu_tree *t, size_t node)
{
	uint64_t *start = &t->state[node].start, first;
	bool clean = t->ctx->error.status == DOMU_OK;
	struct domu_fs *fs;
	int rc;

	if (*start != 0)
		return 0;
	rc = domu_tree_fs(t, node, &fs);
	if (rc != 0)
		return rc;
	rc = domu_fs_subvolume(fs, 0, &first);
	if (rc != 0)
		first = fs->root;
	if (rc != -EOPNOTSUPP && !as_told(t, node, fs) && !root_at(t, node, first) && !below_top(t, node, fs))
		*start = 0;
	if (*start == 0)
		*start = first;
	if (clean)
		domu_error_clear(t->ctx);
	return 0;
}

uint64_t domu_tree_top(struct domu_tree *t, unsigned mount, const struct domu_fs *fs)
{
	uint64_t ino = t->places != NULL && mount < t->n_mounts ? t->places[mount].root_ino : 0;

	return ino != 0 ? ino : fs->root;
}
