/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenstore-odd.c - a libxenstore for tests that needs a function which nobody has; with FEW, one that lacks some. */
#include <stdbool.h>

#pragma GCC visibility push(default)
int xs_that_nobody_has(void);

#define ODD(name)                            \
	int name(void);                      \
	int name(void)                       \
	{                                    \
		return xs_that_nobody_has(); \
	}
ODD(xs_open)
ODD(xs_close)
ODD(xs_directory)
ODD(xs_read)
ODD(xs_watch)
ODD(xs_unwatch)
ODD(xs_fileno)
#ifndef FEW
ODD(xs_check_watch)
#endif
#ifdef FEW
int xs_that_nobody_has(void)
{
	return 0;
}
#endif
