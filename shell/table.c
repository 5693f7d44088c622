/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table.c - every command in the manual's order, and every operation of the worker: a new one is one line here. */
#include "config.h"

#include <string.h>

#include "fence/mount.h"
#include "shell/cmd.h"
#include "shell/copy.h"
#include "shell/diff.h"
#include "shell/ops.h"
#include "task/check.h"
#include "task/files.h"
#include "task/fsck.h"
#include "task/resize.h"

const struct domu_command *const domu_commands[] = {
	/* looking */
	&domu_cmd_list,
	&domu_cmd_info,
	&domu_cmd_status,
	&domu_cmd_logs,
	/* reading */
	&domu_cmd_ls,
	&domu_cmd_cat,
	&domu_cmd_head,
	&domu_cmd_tail,
	&domu_cmd_stat,
	&domu_cmd_find,
	&domu_cmd_grep,
	&domu_cmd_readlink,
	&domu_cmd_tar_out,
	&domu_cmd_df,
	&domu_cmd_du,
	&domu_cmd_getfattr,
	&domu_cmd_lsattr,
	&domu_cmd_export,
	/* changing */
	&domu_cmd_edit,
	&domu_cmd_write,
	&domu_cmd_cp,
	&domu_cmd_tar_in,
	&domu_cmd_mkdir,
	&domu_cmd_rm,
	&domu_cmd_rmdir,
	&domu_cmd_mv,
	&domu_cmd_ln,
	&domu_cmd_chmod,
	&domu_cmd_chown,
	&domu_cmd_touch,
	&domu_cmd_truncate,
	&domu_cmd_setfattr,
	&domu_cmd_chattr,
	&domu_cmd_mknod,
	/* repair */
	&domu_cmd_fsck,
	&domu_cmd_resize_root,
	&domu_cmd_resize,
	/* history */
	&domu_cmd_diff,
	&domu_cmd_commit,
	&domu_cmd_rollback,
	&domu_cmd_history,
	&domu_cmd_undo,
	&domu_cmd_recover,
	/* shell */
	&domu_cmd_shell,
	&domu_cmd_help,
	&domu_cmd_use,
	&domu_cmd_cd,
	&domu_cmd_pwd,
	&domu_cmd_lcd,
	&domu_cmd_begin,
	&domu_cmd_quit,
	NULL,
};

const struct domu_op domu_worker_ops[] = {
	{ "command", domu_op_command },
	{ "glob", domu_op_glob },
	{ "complete", domu_op_complete },
	{ "cd", domu_op_cd },
	{ "use", domu_op_use },
	{ "diff-texts", domu_op_diff_texts },
	{ "check", domu_op_check },
	{ DOMU_OP_EXPORT_OPEN, domu_op_export_open },
	{ DOMU_OP_EXPORT, domu_op_export },
	{ "tree-in", domu_op_tree_in },
	{ "tree-out", domu_op_tree_out },
	{ "table-grow", domu_op_table_grow },
	{ "fsck-count", domu_op_fsck_count },
	{ "files-record", domu_op_files_record },
	{ "files-differ", domu_op_files_differ },
	{ "files-restore", domu_op_files_restore },
	{ NULL, NULL },
};

const struct domu_command *domu_command_find(const char *name)
{
	for (size_t i = 0; domu_commands[i] != NULL; i++) {
		const struct domu_command *c = domu_commands[i];

		if (strcmp(c->name, name) == 0 || (c->alias != NULL && strcmp(c->alias, name) == 0))
			return c;
	}
	return NULL;
}
