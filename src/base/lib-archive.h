/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib-archive.h - libarchive: reading archives and compressing, loaded when first needed; see base/lib.h. */
#ifndef DOMU_LIB_ARCHIVE_H
#define DOMU_LIB_ARCHIVE_H

#include <archive.h>
#include <archive_entry.h>

#include "base/lib.h"

/* clang-format off */
#define DOMU_ARCHIVE_CALLS(X) \
	X(archive_entry_acl_next) \
	X(archive_entry_acl_reset) \
	X(archive_entry_atime) \
	X(archive_entry_atime_is_set) \
	X(archive_entry_atime_nsec) \
	X(archive_entry_fflags) \
	X(archive_entry_free) \
	X(archive_entry_gid) \
	X(archive_entry_gname) \
	X(archive_entry_hardlink) \
	X(archive_entry_mode) \
	X(archive_entry_mtime) \
	X(archive_entry_mtime_is_set) \
	X(archive_entry_mtime_nsec) \
	X(archive_entry_new) \
	X(archive_entry_pathname) \
	X(archive_entry_rdevmajor) \
	X(archive_entry_rdevminor) \
	X(archive_entry_set_filetype) \
	X(archive_entry_size) \
	X(archive_entry_size_is_set) \
	X(archive_entry_symlink) \
	X(archive_entry_uid) \
	X(archive_entry_uname) \
	X(archive_entry_xattr_next) \
	X(archive_entry_xattr_reset) \
	X(archive_errno) \
	X(archive_error_string) \
	X(archive_read_data_block) \
	X(archive_read_free) \
	X(archive_read_new) \
	X(archive_read_next_header) \
	X(archive_read_open) \
	X(archive_read_support_filter_bzip2) \
	X(archive_read_support_filter_gzip) \
	X(archive_read_support_filter_lz4) \
	X(archive_read_support_filter_lzma) \
	X(archive_read_support_filter_xz) \
	X(archive_read_support_filter_zstd) \
	X(archive_read_support_format_cpio) \
	X(archive_read_support_format_raw) \
	X(archive_read_support_format_tar) \
	X(archive_set_error) \
	X(archive_write_add_filter_gzip) \
	X(archive_write_add_filter_xz) \
	X(archive_write_add_filter_zstd) \
	X(archive_write_close) \
	X(archive_write_data) \
	X(archive_write_free) \
	X(archive_write_header) \
	X(archive_write_new) \
	X(archive_write_open_fd) \
	X(archive_write_set_bytes_in_last_block) \
	X(archive_write_set_bytes_per_block) \
	X(archive_write_set_filter_option) \
	X(archive_write_set_format_raw)

DOMU_LIB_DECLARE(archive, DOMU_ARCHIVE_CALLS);

#define archive_entry_acl_next (*domu_archive.archive_entry_acl_next)
#define archive_entry_acl_reset (*domu_archive.archive_entry_acl_reset)
#define archive_entry_atime (*domu_archive.archive_entry_atime)
#define archive_entry_atime_is_set (*domu_archive.archive_entry_atime_is_set)
#define archive_entry_atime_nsec (*domu_archive.archive_entry_atime_nsec)
#define archive_entry_fflags (*domu_archive.archive_entry_fflags)
#define archive_entry_free (*domu_archive.archive_entry_free)
#define archive_entry_gid (*domu_archive.archive_entry_gid)
#define archive_entry_gname (*domu_archive.archive_entry_gname)
#define archive_entry_hardlink (*domu_archive.archive_entry_hardlink)
#define archive_entry_mode (*domu_archive.archive_entry_mode)
#define archive_entry_mtime (*domu_archive.archive_entry_mtime)
#define archive_entry_mtime_is_set (*domu_archive.archive_entry_mtime_is_set)
#define archive_entry_mtime_nsec (*domu_archive.archive_entry_mtime_nsec)
#define archive_entry_new (*domu_archive.archive_entry_new)
#define archive_entry_pathname (*domu_archive.archive_entry_pathname)
#define archive_entry_rdevmajor (*domu_archive.archive_entry_rdevmajor)
#define archive_entry_rdevminor (*domu_archive.archive_entry_rdevminor)
#define archive_entry_set_filetype (*domu_archive.archive_entry_set_filetype)
#define archive_entry_size (*domu_archive.archive_entry_size)
#define archive_entry_size_is_set (*domu_archive.archive_entry_size_is_set)
#define archive_entry_symlink (*domu_archive.archive_entry_symlink)
#define archive_entry_uid (*domu_archive.archive_entry_uid)
#define archive_entry_uname (*domu_archive.archive_entry_uname)
#define archive_entry_xattr_next (*domu_archive.archive_entry_xattr_next)
#define archive_entry_xattr_reset (*domu_archive.archive_entry_xattr_reset)
#define archive_errno (*domu_archive.archive_errno)
#define archive_error_string (*domu_archive.archive_error_string)
#define archive_read_data_block (*domu_archive.archive_read_data_block)
#define archive_read_free (*domu_archive.archive_read_free)
#define archive_read_new (*domu_archive.archive_read_new)
#define archive_read_next_header (*domu_archive.archive_read_next_header)
#define archive_read_open (*domu_archive.archive_read_open)
#define archive_read_support_filter_bzip2 (*domu_archive.archive_read_support_filter_bzip2)
#define archive_read_support_filter_gzip (*domu_archive.archive_read_support_filter_gzip)
#define archive_read_support_filter_lz4 (*domu_archive.archive_read_support_filter_lz4)
#define archive_read_support_filter_lzma (*domu_archive.archive_read_support_filter_lzma)
#define archive_read_support_filter_xz (*domu_archive.archive_read_support_filter_xz)
#define archive_read_support_filter_zstd (*domu_archive.archive_read_support_filter_zstd)
#define archive_read_support_format_cpio (*domu_archive.archive_read_support_format_cpio)
#define archive_read_support_format_raw (*domu_archive.archive_read_support_format_raw)
#define archive_read_support_format_tar (*domu_archive.archive_read_support_format_tar)
#define archive_set_error (*domu_archive.archive_set_error)
#define archive_write_add_filter_gzip (*domu_archive.archive_write_add_filter_gzip)
#define archive_write_add_filter_xz (*domu_archive.archive_write_add_filter_xz)
#define archive_write_add_filter_zstd (*domu_archive.archive_write_add_filter_zstd)
#define archive_write_close (*domu_archive.archive_write_close)
#define archive_write_data (*domu_archive.archive_write_data)
#define archive_write_free (*domu_archive.archive_write_free)
#define archive_write_header (*domu_archive.archive_write_header)
#define archive_write_new (*domu_archive.archive_write_new)
#define archive_write_open_fd (*domu_archive.archive_write_open_fd)
#define archive_write_set_bytes_in_last_block (*domu_archive.archive_write_set_bytes_in_last_block)
#define archive_write_set_bytes_per_block (*domu_archive.archive_write_set_bytes_per_block)
#define archive_write_set_filter_option (*domu_archive.archive_write_set_filter_option)
#define archive_write_set_format_raw (*domu_archive.archive_write_set_format_raw)
/* clang-format on */

#endif
