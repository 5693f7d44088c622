/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rowstat.h - the cells that ls, stat and find share: an inode as a part of a row. */
#ifndef DOMU_ROWSTAT_H
#define DOMU_ROWSTAT_H

#include "shell/names.h"
#include "shell/rows.h"

/*
 * The columns of domu_row_stat() (the last is the whole mode, for layouts), at the start of a command's columns,
 * and their places.
 */
#define DOMU_STAT_COLUMNS                                                                                   \
	{ "path", NULL, CELL_BYTES }, { "type", NULL, CELL_TEXT }, { "mode", NULL, CELL_OCTAL },            \
	    { "nlink", NULL, CELL_NUMBER }, { "uid", NULL, CELL_NUMBER }, { "gid", NULL, CELL_NUMBER },     \
	    { "owner", NULL, CELL_BYTES }, { "group", NULL, CELL_BYTES }, { "size", NULL, CELL_SIZE },      \
	    { "allocated", NULL, CELL_SIZE }, { "inode", NULL, CELL_NUMBER }, { "mtime", NULL, CELL_TIME }, \
	    { "target", NULL, CELL_BYTES }, { "major", NULL, CELL_NUMBER }, { "minor", NULL, CELL_NUMBER }, \
	{                                                                                                   \
		"", NULL, CELL_NUMBER                                                                       \
	}

enum domu_stat_cell {
	STAT_PATH,
	STAT_TYPE,
	STAT_MODE,
	STAT_NLINK,
	STAT_UID,
	STAT_GID,
	STAT_OWNER,
	STAT_GROUP,
	STAT_SIZE,
	STAT_ALLOCATED,
	STAT_INODE,
	STAT_MTIME,
	STAT_TARGET,
	STAT_MAJOR,
	STAT_MINOR,
	STAT_IFMODE,
	STAT_CELLS
};

/* st NULL: the inode cannot be read; its cells are null.  fs is asked for a link's target. */
void domu_row_stat(struct domu_out *o, const char *path, size_t len, struct domu_fs *fs, const struct domu_stat *st,
                   const struct domu_names *names);

#endif
