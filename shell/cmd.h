/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd.h - the rows of the command table, each defined beside its function. */
#ifndef DOMU_CMD_H
#define DOMU_CMD_H

#include "shell/command.h"

/* looking */
extern const struct domu_command domu_cmd_list;
extern const struct domu_command domu_cmd_info;
extern const struct domu_command domu_cmd_status;
extern const struct domu_command domu_cmd_logs;

/* reading */
extern const struct domu_command domu_cmd_ls;
extern const struct domu_command domu_cmd_cat;
extern const struct domu_command domu_cmd_head;
extern const struct domu_command domu_cmd_tail;
extern const struct domu_command domu_cmd_stat;
extern const struct domu_command domu_cmd_find;
extern const struct domu_command domu_cmd_grep;
extern const struct domu_command domu_cmd_readlink;
extern const struct domu_command domu_cmd_df;
extern const struct domu_command domu_cmd_du;
extern const struct domu_command domu_cmd_getfattr;
extern const struct domu_command domu_cmd_lsattr;
extern const struct domu_command domu_cmd_export;

/* changing */
extern const struct domu_command domu_cmd_edit;
extern const struct domu_command domu_cmd_cp;
extern const struct domu_command domu_cmd_tar_in;
extern const struct domu_command domu_cmd_tar_out;
extern const struct domu_command domu_cmd_write;
extern const struct domu_command domu_cmd_mkdir;
extern const struct domu_command domu_cmd_rm;
extern const struct domu_command domu_cmd_rmdir;
extern const struct domu_command domu_cmd_mv;
extern const struct domu_command domu_cmd_ln;
extern const struct domu_command domu_cmd_chmod;
extern const struct domu_command domu_cmd_chown;
extern const struct domu_command domu_cmd_touch;
extern const struct domu_command domu_cmd_truncate;
extern const struct domu_command domu_cmd_setfattr;
extern const struct domu_command domu_cmd_chattr;
extern const struct domu_command domu_cmd_mknod;

/* repair */
extern const struct domu_command domu_cmd_fsck;
extern const struct domu_command domu_cmd_resize_root;
extern const struct domu_command domu_cmd_resize;

/* history */
extern const struct domu_command domu_cmd_diff;
extern const struct domu_command domu_cmd_commit;
extern const struct domu_command domu_cmd_rollback;
extern const struct domu_command domu_cmd_history;
extern const struct domu_command domu_cmd_undo;
extern const struct domu_command domu_cmd_recover;

/* shell */
extern const struct domu_command domu_cmd_shell;
extern const struct domu_command domu_cmd_help;
extern const struct domu_command domu_cmd_use;
extern const struct domu_command domu_cmd_cd;
extern const struct domu_command domu_cmd_pwd;
extern const struct domu_command domu_cmd_lcd;
extern const struct domu_command domu_cmd_begin;
extern const struct domu_command domu_cmd_quit;

#endif
