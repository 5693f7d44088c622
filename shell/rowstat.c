/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rowstat.c - the cells that ls, stat and find share. */
#include "config.h"

#include <sys/stat.h>

#include "shell/fmt.h"
#include "shell/rowstat.h"

static void target_cell(struct domu_out *o, struct domu_fs *fs, const struct domu_stat *st)
{
	char target[4096];
	int n = -1;

	if (S_ISLNK(st->mode) && fs != NULL)
		n = domu_fs_readlink(fs, st->ino, target, sizeof target);
	if (n < 0) {
		if (S_ISLNK(st->mode) && fs != NULL)
			domu_error_clear(fs->ctx);
		domu_row_null(o);
	} else {
		domu_row_bytes(o, target, (size_t)n);
	}
}

void domu_row_stat(struct domu_out *o, const char *path, size_t len, struct domu_fs *fs, const struct domu_stat *st,
                   const struct domu_names *names)
{
	bool device;

	domu_row_bytes(o, path, len);
	if (st == NULL) {
		for (int i = STAT_TYPE; i < STAT_CELLS; i++)
			domu_row_null(o);
		return;
	}
	domu_row_text(o, domu_type_name(st->mode));
	domu_row_number(o, st->mode & 07777);
	domu_row_number(o, st->nlink);
	domu_row_number(o, st->uid);
	domu_row_number(o, st->gid);
	domu_row_text(o, domu_names_user(names, st->uid));
	domu_row_text(o, domu_names_group(names, st->gid));
	domu_row_number(o, st->size);
	domu_row_number(o, st->sectors * 512);
	domu_row_number(o, st->ino);
	domu_row_time(o, st->mtime);
	target_cell(o, fs, st);
	device = S_ISCHR(st->mode) || S_ISBLK(st->mode);
	if (device) {
		domu_row_number(o, st->rdev_major);
		domu_row_number(o, st->rdev_minor);
	} else {
		domu_row_null(o);
		domu_row_null(o);
	}
	domu_row_number(o, st->mode);
}
