/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib-readline.h - libreadline: line editing, loaded when first needed; see base/lib.h. */
#ifndef DOMU_LIB_READLINE_H
#define DOMU_LIB_READLINE_H

#include <stdio.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "base/lib.h"

/* clang-format off */
#define DOMU_READLINE_CALLS(X) \
	X(add_history) \
	X(clear_history) \
	X(read_history) \
	X(rl_attempted_completion_function) \
	X(rl_attempted_completion_over) \
	X(rl_callback_handler_install) \
	X(rl_callback_handler_remove) \
	X(rl_callback_read_char) \
	X(rl_callback_sigcleanup) \
	X(rl_catch_signals) \
	X(rl_char_is_quoted_p) \
	X(rl_clear_visible_line) \
	X(rl_completer_quote_characters) \
	X(rl_completer_word_break_characters) \
	X(rl_completion_display_matches_hook) \
	X(rl_completion_suppress_append) \
	X(rl_completion_suppress_quote) \
	X(rl_display_match_list) \
	X(rl_forced_update_display) \
	X(rl_line_buffer) \
	X(rl_on_new_line) \
	X(rl_outstream) \
	X(rl_readline_name) \
	X(rl_redisplay) \
	X(rl_set_prompt) \
	X(rl_sort_completion_matches) \
	X(rl_variable_bind) \
	X(stifle_history) \
	X(using_history) \
	X(write_history)

DOMU_LIB_DECLARE(readline, DOMU_READLINE_CALLS);

#define add_history (*domu_readline.add_history)
#define clear_history (*domu_readline.clear_history)
#define read_history (*domu_readline.read_history)
#define rl_attempted_completion_function (*domu_readline.rl_attempted_completion_function)
#define rl_attempted_completion_over (*domu_readline.rl_attempted_completion_over)
#define rl_callback_handler_install (*domu_readline.rl_callback_handler_install)
#define rl_callback_handler_remove (*domu_readline.rl_callback_handler_remove)
#define rl_callback_read_char (*domu_readline.rl_callback_read_char)
#define rl_callback_sigcleanup (*domu_readline.rl_callback_sigcleanup)
#define rl_catch_signals (*domu_readline.rl_catch_signals)
#define rl_char_is_quoted_p (*domu_readline.rl_char_is_quoted_p)
#define rl_clear_visible_line (*domu_readline.rl_clear_visible_line)
#define rl_completer_quote_characters (*domu_readline.rl_completer_quote_characters)
#define rl_completer_word_break_characters (*domu_readline.rl_completer_word_break_characters)
#define rl_completion_display_matches_hook (*domu_readline.rl_completion_display_matches_hook)
#define rl_completion_suppress_append (*domu_readline.rl_completion_suppress_append)
#define rl_completion_suppress_quote (*domu_readline.rl_completion_suppress_quote)
#define rl_display_match_list (*domu_readline.rl_display_match_list)
#define rl_forced_update_display (*domu_readline.rl_forced_update_display)
#define rl_line_buffer (*domu_readline.rl_line_buffer)
#define rl_on_new_line (*domu_readline.rl_on_new_line)
#define rl_outstream (*domu_readline.rl_outstream)
#define rl_readline_name (*domu_readline.rl_readline_name)
#define rl_redisplay (*domu_readline.rl_redisplay)
#define rl_set_prompt (*domu_readline.rl_set_prompt)
#define rl_sort_completion_matches (*domu_readline.rl_sort_completion_matches)
#define rl_variable_bind (*domu_readline.rl_variable_bind)
#define stifle_history (*domu_readline.stifle_history)
#define using_history (*domu_readline.using_history)
#define write_history (*domu_readline.write_history)
/* clang-format on */

#endif
