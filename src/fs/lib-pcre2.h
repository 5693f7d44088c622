/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib-pcre2.h - libpcre2: the expressions of file_contexts, loaded for a change, and of grep -P; see base/lib.h. */
#ifndef DOMU_LIB_PCRE2_H
#define DOMU_LIB_PCRE2_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/lib.h"

/* clang-format off */
#define DOMU_PCRE2_CALLS(X) \
	X(pcre2_code_free_8) \
	X(pcre2_compile_8) \
	X(pcre2_get_error_message_8) \
	X(pcre2_get_ovector_pointer_8) \
	X(pcre2_match_8) \
	X(pcre2_match_context_create_8) \
	X(pcre2_match_context_free_8) \
	X(pcre2_match_data_create_8) \
	X(pcre2_match_data_free_8) \
	X(pcre2_set_depth_limit_8) \
	X(pcre2_set_heap_limit_8) \
	X(pcre2_set_match_limit_8)

DOMU_LIB_DECLARE(pcre2, DOMU_PCRE2_CALLS);

#define pcre2_code_free_8 (*domu_pcre2.pcre2_code_free_8)
#define pcre2_compile_8 (*domu_pcre2.pcre2_compile_8)
#define pcre2_get_error_message_8 (*domu_pcre2.pcre2_get_error_message_8)
#define pcre2_get_ovector_pointer_8 (*domu_pcre2.pcre2_get_ovector_pointer_8)
#define pcre2_match_8 (*domu_pcre2.pcre2_match_8)
#define pcre2_match_context_create_8 (*domu_pcre2.pcre2_match_context_create_8)
#define pcre2_match_context_free_8 (*domu_pcre2.pcre2_match_context_free_8)
#define pcre2_match_data_create_8 (*domu_pcre2.pcre2_match_data_create_8)
#define pcre2_match_data_free_8 (*domu_pcre2.pcre2_match_data_free_8)
#define pcre2_set_depth_limit_8 (*domu_pcre2.pcre2_set_depth_limit_8)
#define pcre2_set_heap_limit_8 (*domu_pcre2.pcre2_set_heap_limit_8)
#define pcre2_set_match_limit_8 (*domu_pcre2.pcre2_set_match_limit_8)
/* clang-format on */

#endif
