/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib-fdisk.h - libfdisk: partition tables, loaded when first needed; see base/lib.h. */
#ifndef DOMU_LIB_FDISK_H
#define DOMU_LIB_FDISK_H

#include <libfdisk/libfdisk.h>

#include "base/lib.h"

/* clang-format off */
#define DOMU_FDISK_CALLS(X) \
	X(fdisk_ask_get_type) \
	X(fdisk_ask_print_get_mesg) \
	X(fdisk_assign_device_by_fd) \
	X(fdisk_disable_dialogs) \
	X(fdisk_enable_listonly) \
	X(fdisk_free_iter) \
	X(fdisk_get_disklabel_id) \
	X(fdisk_get_partition) \
	X(fdisk_get_partitions) \
	X(fdisk_is_labeltype) \
	X(fdisk_new_context) \
	X(fdisk_new_iter) \
	X(fdisk_new_partition) \
	X(fdisk_partition_get_end) \
	X(fdisk_partition_get_name) \
	X(fdisk_partition_get_partno) \
	X(fdisk_partition_get_size) \
	X(fdisk_partition_get_start) \
	X(fdisk_partition_get_type) \
	X(fdisk_partition_get_uuid) \
	X(fdisk_partition_has_end) \
	X(fdisk_partition_has_partno) \
	X(fdisk_partition_has_size) \
	X(fdisk_partition_has_start) \
	X(fdisk_partition_is_container) \
	X(fdisk_partition_is_freespace) \
	X(fdisk_partition_is_used) \
	X(fdisk_partition_set_size) \
	X(fdisk_partition_size_explicit) \
	X(fdisk_parttype_get_code) \
	X(fdisk_parttype_get_string) \
	X(fdisk_save_user_sector_size) \
	X(fdisk_set_ask) \
	X(fdisk_set_partition) \
	X(fdisk_table_next_partition) \
	X(fdisk_unref_context) \
	X(fdisk_unref_partition) \
	X(fdisk_unref_table) \
	X(fdisk_write_disklabel)

DOMU_LIB_DECLARE(fdisk, DOMU_FDISK_CALLS);

#define fdisk_ask_get_type (*domu_fdisk.fdisk_ask_get_type)
#define fdisk_ask_print_get_mesg (*domu_fdisk.fdisk_ask_print_get_mesg)
#define fdisk_assign_device_by_fd (*domu_fdisk.fdisk_assign_device_by_fd)
#define fdisk_disable_dialogs (*domu_fdisk.fdisk_disable_dialogs)
#define fdisk_enable_listonly (*domu_fdisk.fdisk_enable_listonly)
#define fdisk_free_iter (*domu_fdisk.fdisk_free_iter)
#define fdisk_get_disklabel_id (*domu_fdisk.fdisk_get_disklabel_id)
#define fdisk_get_partition (*domu_fdisk.fdisk_get_partition)
#define fdisk_get_partitions (*domu_fdisk.fdisk_get_partitions)
#define fdisk_is_labeltype (*domu_fdisk.fdisk_is_labeltype)
#define fdisk_new_context (*domu_fdisk.fdisk_new_context)
#define fdisk_new_iter (*domu_fdisk.fdisk_new_iter)
#define fdisk_new_partition (*domu_fdisk.fdisk_new_partition)
#define fdisk_partition_get_end (*domu_fdisk.fdisk_partition_get_end)
#define fdisk_partition_get_name (*domu_fdisk.fdisk_partition_get_name)
#define fdisk_partition_get_partno (*domu_fdisk.fdisk_partition_get_partno)
#define fdisk_partition_get_size (*domu_fdisk.fdisk_partition_get_size)
#define fdisk_partition_get_start (*domu_fdisk.fdisk_partition_get_start)
#define fdisk_partition_get_type (*domu_fdisk.fdisk_partition_get_type)
#define fdisk_partition_get_uuid (*domu_fdisk.fdisk_partition_get_uuid)
#define fdisk_partition_has_end (*domu_fdisk.fdisk_partition_has_end)
#define fdisk_partition_has_partno (*domu_fdisk.fdisk_partition_has_partno)
#define fdisk_partition_has_size (*domu_fdisk.fdisk_partition_has_size)
#define fdisk_partition_has_start (*domu_fdisk.fdisk_partition_has_start)
#define fdisk_partition_is_container (*domu_fdisk.fdisk_partition_is_container)
#define fdisk_partition_is_freespace (*domu_fdisk.fdisk_partition_is_freespace)
#define fdisk_partition_is_used (*domu_fdisk.fdisk_partition_is_used)
#define fdisk_partition_set_size (*domu_fdisk.fdisk_partition_set_size)
#define fdisk_partition_size_explicit (*domu_fdisk.fdisk_partition_size_explicit)
#define fdisk_parttype_get_code (*domu_fdisk.fdisk_parttype_get_code)
#define fdisk_parttype_get_string (*domu_fdisk.fdisk_parttype_get_string)
#define fdisk_save_user_sector_size (*domu_fdisk.fdisk_save_user_sector_size)
#define fdisk_set_ask (*domu_fdisk.fdisk_set_ask)
#define fdisk_set_partition (*domu_fdisk.fdisk_set_partition)
#define fdisk_table_next_partition (*domu_fdisk.fdisk_table_next_partition)
#define fdisk_unref_context (*domu_fdisk.fdisk_unref_context)
#define fdisk_unref_partition (*domu_fdisk.fdisk_unref_partition)
#define fdisk_unref_table (*domu_fdisk.fdisk_unref_table)
#define fdisk_write_disklabel (*domu_fdisk.fdisk_write_disklabel)
/* clang-format on */

#endif
