/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve-write.c - what the kernel asks of a guest's tree to change it: each change goes to the stage. */
#include "config.h"

#include "fence/serve-tree.h"

void serve_closed(struct serve *s, fuse_ino_t id)
{
	struct serve_node *n = serve_node_get(s, id, false);

	if (n == NULL || n->opens == 0)
		return;
	n->opens--;
	serve_node_drop(s, n);
}
