/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib-scols.h - libsmartcols: tables, loaded when first needed; see base/lib.h. */
#ifndef DOMU_LIB_SCOLS_H
#define DOMU_LIB_SCOLS_H

#include <libsmartcols.h>

#include "base/lib.h"

/* clang-format off */
#define DOMU_SCOLS_CALLS(X) \
	X(scols_line_refer_data) \
	X(scols_new_table) \
	X(scols_print_table) \
	X(scols_table_enable_noencoding) \
	X(scols_table_enable_noheadings) \
	X(scols_table_new_column) \
	X(scols_table_new_line) \
	X(scols_table_set_stream) \
	X(scols_table_set_termforce) \
	X(scols_table_set_termwidth) \
	X(scols_unref_table)

DOMU_LIB_DECLARE(scols, DOMU_SCOLS_CALLS);

#define scols_line_refer_data (*domu_scols.scols_line_refer_data)
#define scols_new_table (*domu_scols.scols_new_table)
#define scols_print_table (*domu_scols.scols_print_table)
#define scols_table_enable_noencoding (*domu_scols.scols_table_enable_noencoding)
#define scols_table_enable_noheadings (*domu_scols.scols_table_enable_noheadings)
#define scols_table_new_column (*domu_scols.scols_table_new_column)
#define scols_table_new_line (*domu_scols.scols_table_new_line)
#define scols_table_set_stream (*domu_scols.scols_table_set_stream)
#define scols_table_set_termforce (*domu_scols.scols_table_set_termforce)
#define scols_table_set_termwidth (*domu_scols.scols_table_set_termwidth)
#define scols_unref_table (*domu_scols.scols_unref_table)
/* clang-format on */

#endif
