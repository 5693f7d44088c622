/* SPDX-License-Identifier: GPL-3.0-or-later */
/* still.S - a kernel for domains that are built and never run: what xl wants to see of one, in a page instead of 65 MB. */
#define NOTE(type, value) \
	.pushsection .note.Xen, "a", @note; \
	.align 4; \
	.long 4, 2f - 1f, type; \
	.asciz "Xen"; \
1:	value; \
2:	.align 4; \
	.popsection

	NOTE(1, .quad _start)		/* entry */
	NOTE(2, .quad hypercalls)	/* hypercall page */
	NOTE(3, .quad 0)		/* virtual base */
	NOTE(4, .quad 0)		/* offset of physical addresses */
	NOTE(5, .asciz "xen-3.0")	/* for which Xen */
	NOTE(6, .asciz "still")		/* guest's system */
	NOTE(8, .asciz "generic")	/* loader */
	.text
	.globl _start
	.align 4096
hypercalls:
	.skip 4096
_start:
	jmp _start
