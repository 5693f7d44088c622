/* SPDX-License-Identifier: GPL-3.0-or-later */
/* main.c - the program. */
#include "config.h"

#include "shell/command.h"

int main(void)
{
	return 0;
}
