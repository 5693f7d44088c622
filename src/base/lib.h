/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib.h - libraries that only some commands need, loaded when the first of their functions is. */
#ifndef DOMU_LIB_H
#define DOMU_LIB_H

#include <stdbool.h>
#include <stddef.h>

#include "domu-plugin.h"

/*
 * A library's users include "ROOM/lib-NAME.h" in place of its own header and
 * call its functions as ever, after domu_lib_load() once succeeded.  Linked,
 * these libraries and what they pull in would cost every start 1 ms.
 */
struct domu_lib {
	const char *soname;
	const char *const *names; /* ended by NULL */
	void **symbols; /* one a name, in the order of names */
	bool loaded;
};

/*
 * Loads it, if that was not done: 0, or DOMU_UNSUPPORTED with the reason.
 * -ELIBACC after domu_lib_close(), with nothing recorded.
 */
int domu_lib_load(struct domu_ctx *ctx, struct domu_lib *lib);
/* From here on nothing can be loaded: the fence of this process is about to take the files away. */
void domu_lib_close(void);

/* NAME ## _CALLS(X) is the list of what is used; DEFINE stands in one .c, the header has DECLARE. */
#define DOMU_LIB_MEMBER(symbol) __typeof__(symbol) *symbol;
#define DOMU_LIB_NAME(symbol)   #symbol,
#define DOMU_LIB_DECLARE(name, CALLS)              \
	struct domu_lib_##name {                   \
		CALLS(DOMU_LIB_MEMBER)             \
	};                                         \
	extern struct domu_lib_##name domu_##name; \
	extern struct domu_lib domu_lib_##name
#define DOMU_LIB_DEFINE(name, CALLS, so)                                                               \
	struct domu_lib_##name domu_##name;                                                            \
	static const char *const name##_names[] = { CALLS(DOMU_LIB_NAME) NULL };                       \
	_Static_assert(sizeof name##_names == sizeof domu_##name + sizeof(char *), "a name a symbol"); \
	struct domu_lib domu_lib_##name = { .soname = (so), .names = name##_names, .symbols = (void **)&domu_##name }

#endif
