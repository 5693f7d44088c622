/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib-fuse.h - libfuse3: the export, loaded when first needed; see base/lib.h. */
#ifndef DOMU_LIB_FUSE_H
#define DOMU_LIB_FUSE_H

#include <fuse_lowlevel.h>

#include "base/lib.h"

/* clang-format off */
#define DOMU_FUSE_CALLS(X) \
	X(fuse_add_direntry) \
	X(fuse_add_direntry_plus) \
	X(fuse_opt_free_args) \
	X(fuse_reply_attr) \
	X(fuse_reply_buf) \
	X(fuse_reply_create) \
	X(fuse_reply_data) \
	X(fuse_reply_entry) \
	X(fuse_reply_err) \
	X(fuse_reply_lseek) \
	X(fuse_reply_none) \
	X(fuse_reply_open) \
	X(fuse_reply_readlink) \
	X(fuse_reply_statfs) \
	X(fuse_reply_write) \
	X(fuse_reply_xattr) \
	X(fuse_req_ctx) \
	X(fuse_req_userdata) \
	X(fuse_session_exited) \
	X(fuse_session_mount) \
	X(fuse_session_new) \
	X(fuse_session_process_buf) \
	X(fuse_session_receive_buf)

DOMU_LIB_DECLARE(fuse, DOMU_FUSE_CALLS);

#define fuse_add_direntry (*domu_fuse.fuse_add_direntry)
#define fuse_add_direntry_plus (*domu_fuse.fuse_add_direntry_plus)
#define fuse_opt_free_args (*domu_fuse.fuse_opt_free_args)
#define fuse_reply_attr (*domu_fuse.fuse_reply_attr)
#define fuse_reply_buf (*domu_fuse.fuse_reply_buf)
#define fuse_reply_create (*domu_fuse.fuse_reply_create)
#define fuse_reply_data (*domu_fuse.fuse_reply_data)
#define fuse_reply_entry (*domu_fuse.fuse_reply_entry)
#define fuse_reply_err (*domu_fuse.fuse_reply_err)
#define fuse_reply_lseek (*domu_fuse.fuse_reply_lseek)
#define fuse_reply_none (*domu_fuse.fuse_reply_none)
#define fuse_reply_open (*domu_fuse.fuse_reply_open)
#define fuse_reply_readlink (*domu_fuse.fuse_reply_readlink)
#define fuse_reply_statfs (*domu_fuse.fuse_reply_statfs)
#define fuse_reply_write (*domu_fuse.fuse_reply_write)
#define fuse_reply_xattr (*domu_fuse.fuse_reply_xattr)
#define fuse_req_ctx (*domu_fuse.fuse_req_ctx)
#define fuse_req_userdata (*domu_fuse.fuse_req_userdata)
#define fuse_session_exited (*domu_fuse.fuse_session_exited)
#define fuse_session_mount (*domu_fuse.fuse_session_mount)
#define fuse_session_new (*domu_fuse.fuse_session_new)
#define fuse_session_process_buf (*domu_fuse.fuse_session_process_buf)
#define fuse_session_receive_buf (*domu_fuse.fuse_session_receive_buf)
/* clang-format on */

#endif
