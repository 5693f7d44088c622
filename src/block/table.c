/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table.c - a disk and its partitions as nodes. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "base/num.h"
#include "block/lib-fdisk.h"
#include "block/table-image.h"

#define MAX_PROBLEMS 64u

/* ---- the list ------------------------------------------------------------ */

void domu_nodes_free(struct domu_nodes *nodes)
{
	for (size_t i = 0; i < nodes->n_problems; i++)
		free(nodes->problems[i]);
	free(nodes->problems);
	for (size_t i = 0; i < nodes->n_refused; i++)
		free(nodes->refused[i].why);
	free(nodes->refused);
	for (size_t i = 0; i < nodes->n; i++)
		domu_lv_map_free(nodes->v[i].map);
	free(nodes->v);
	memset(nodes, 0, sizeof *nodes);
}

struct domu_node *domu_nodes_add(struct domu_nodes *nodes)
{
	struct domu_node *v;

	if (nodes->n >= DOMU_MAX_NODES)
		return NULL;
	/* Grows at powers of two. */
	if ((nodes->n & (nodes->n - 1)) == 0) {
		v = realloc(nodes->v, (nodes->n > 0 ? nodes->n * 2 : 1) * sizeof *v);
		if (v == NULL)
			return NULL;
		nodes->v = v;
	}
	v = &nodes->v[nodes->n++];
	memset(v, 0, sizeof *v);
	v->parent = -1;
	return v;
}

int domu_nodes_refuse(struct domu_nodes *nodes, const char *name, const char *why, enum domu_refusal kind)
{
	struct domu_refused *v, r = { .kind = kind };
	int rc = domu_nodes_problem(nodes, "%s cannot be opened: %s", name, why);

	if (rc != 0 || nodes->n_refused >= MAX_PROBLEMS)
		return rc;
	v = reallocarray(nodes->refused, nodes->n_refused + 1, sizeof *v);
	if (v == NULL)
		return -ENOMEM;
	nodes->refused = v;
	snprintf(r.name, sizeof r.name, "%s", name);
	r.why = strdup(why);
	if (r.why == NULL)
		return -ENOMEM;
	v[nodes->n_refused++] = r;
	return 0;
}

const char *domu_node_frozen(const struct domu_node *n)
{
	static const char *const texts[] = {
		[DOMU_FROZEN_SNAPSHOT] =
		    "a volume that has a snapshot, which would miss the change, can only be read from here: "
		    "use the guest's own tools",
		[DOMU_FROZEN_GROUP] = "a volume that is read-only in its group can only be read from here: "
		                      "use the guest's own tools",
		[DOMU_FROZEN_PIECES] = "a volume that lies in more pieces than are followed here can only be read "
		                       "from here: use the guest's own tools",
	};

	if (n->frozen == DOMU_FROZEN_OVERLAP)
		return n->overlap;
	/* Whose pieces are not told is none to work with either. */
	if (n->frozen == DOMU_NOT_FROZEN)
		return n->scattered && n->map == NULL ? texts[DOMU_FROZEN_PIECES] : NULL;
	return texts[n->frozen];
}

struct domu_place domu_node_place(const struct domu_node *n)
{
	return (struct domu_place){ .disk = n->disk, .offset = n->start, .size = n->size, .map = n->map };
}

bool domu_node_is_leaf(const struct domu_nodes *nodes, size_t i)
{
	const struct domu_node *n = &nodes->v[i];

	if (n->extended || strcmp(n->probe.type, "LVM2_member") == 0)
		return false;
	for (size_t k = i + 1; k < nodes->n; k++)
		if (nodes->v[k].parent == (int)i)
			return false;
	return true;
}

int domu_nodes_problem(struct domu_nodes *nodes, const char *fmt, ...)
{
	char **v, *text;
	va_list ap;
	int n;

	if (nodes->n_problems >= MAX_PROBLEMS)
		return 0;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	v = realloc(nodes->problems, (nodes->n_problems + 1) * sizeof *v);
	if (v == NULL) {
		free(text);
		return -ENOMEM;
	}
	nodes->problems = v;
	v[nodes->n_problems++] = text;
	return 0;
}

/* ---- partitions ---------------------------------------------------------- */

/* xvda1; xvda1p1 where the disk's own name ends in a digit. */
static void partition_name(char *out, size_t size, const char *vdev, unsigned partno)
{
	size_t len = strlen(vdev);
	bool digit = len > 0 && isdigit((unsigned char)vdev[len - 1]);

	snprintf(out, size, "%.50s%s%u", vdev, digit ? "p" : "", partno);
}

static void copy_lower(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text != NULL ? text : "");
	for (; *out != '\0'; out++)
		*out = (char)tolower((unsigned char)*out);
}

/* The disk was cut, or the table is of a longer one. */
static void beyond(const struct domu_table *t, struct fdisk_partition *pa, const char *name, uint64_t disk_size,
                   struct domu_nodes *nodes)
{
	uint64_t start = fdisk_partition_get_start(pa), size = fdisk_partition_get_size(pa), end;
	char why[256];

	if (domu_add(start, size, &end) && domu_mul(end, t->sector_size, &end))
		snprintf(why, sizeof why,
		         "the partition (sector %" PRIu64 ", %" PRIu64
		         " sectors) runs past the end of the disk, which has "
		         "%" PRIu64 ": with %" PRIu64 " bytes, as it had or should have, it could be",
		         start, size, disk_size / t->sector_size, end);
	else
		snprintf(why, sizeof why,
		         "the partition (sector %" PRIu64 ", %" PRIu64 " sectors) runs past the end of any disk", start,
		         size);
	domu_nodes_refuse(nodes, name, why, DOMU_REFUSED_BEYOND);
}

/* Where pa lies; false: not on the disk, and said so. */
static bool place(const struct domu_table *t, struct fdisk_partition *pa, const char *name, uint64_t disk_size,
                  struct domu_nodes *nodes, uint64_t *start, uint64_t *size)
{
	if (!fdisk_partition_has_start(pa) || !fdisk_partition_has_size(pa) || fdisk_partition_get_size(pa) == 0) {
		domu_nodes_problem(nodes, "%s: the partition has no size", name);
		return false;
	}
	if (fdisk_partition_get_start(pa) == 0) {
		domu_nodes_problem(nodes, "%s: the partition begins where the partition table is", name);
		return false;
	}
	if (!domu_mul(fdisk_partition_get_start(pa), t->sector_size, start) ||
	    !domu_mul(fdisk_partition_get_size(pa), t->sector_size, size) || !domu_inside(*start, *size, disk_size)) {
		beyond(t, pa, name, disk_size, nodes);
		return false;
	}
	return true;
}

/* As the kernel makes it: the disk's signature and the partition's number. */
static void mbr_partuuid(const struct domu_table *t, struct domu_node *n)
{
	char *id = NULL;
	unsigned long signature;

	if (fdisk_get_disklabel_id(t->cxt, &id) != 0 || id == NULL)
		return;
	signature = strtoul(id, NULL, 16);
	if (signature != 0)
		snprintf(n->partuuid, sizeof n->partuuid, "%08lx-%02x", signature & 0xffffffff, n->partno);
	free(id);
}

static int add_partition(struct domu_ctx *ctx, const struct domu_table *t, struct fdisk_partition *pa, size_t parent,
                         struct domu_nodes *nodes)
{
	struct fdisk_parttype *type = fdisk_partition_get_type(pa);
	struct domu_node *n;
	char name[sizeof n->name];
	uint64_t start, size;

	if (!fdisk_partition_is_used(pa) || fdisk_partition_is_freespace(pa) || !fdisk_partition_has_partno(pa))
		return 0;
	partition_name(name, sizeof name, nodes->v[parent].name, (unsigned)fdisk_partition_get_partno(pa) + 1);
	if (!place(t, pa, name, nodes->v[parent].size, nodes, &start, &size))
		return 0;
	n = domu_nodes_add(nodes);
	if (n == NULL)
		return domu_fail(ctx, DOMU_FAILED, -E2BIG, "%s: more than %d partitions and volumes", name,
		                 DOMU_MAX_NODES);
	memcpy(n->name, name, sizeof n->name);
	n->parent = (int)parent;
	n->kind = DOMU_NODE_PARTITION;
	n->disk = nodes->v[parent].disk;
	n->start = start;
	n->size = size;
	n->partno = (unsigned)fdisk_partition_get_partno(pa) + 1;
	n->extended = fdisk_partition_is_container(pa) != 0;
	if (strcmp(t->type, "gpt") == 0) {
		copy_lower(n->partuuid, sizeof n->partuuid, fdisk_partition_get_uuid(pa));
		snprintf(n->partlabel, sizeof n->partlabel, "%s",
		         fdisk_partition_get_name(pa) != NULL ? fdisk_partition_get_name(pa) : "");
		copy_lower(n->parttype, sizeof n->parttype, type != NULL ? fdisk_parttype_get_string(type) : NULL);
	} else {
		mbr_partuuid(t, n);
		if (type != NULL)
			snprintf(n->parttype, sizeof n->parttype, "0x%02x", fdisk_parttype_get_code(type));
	}
	return 0;
}

static int add_partitions(struct domu_ctx *ctx, struct domu_table *t, size_t parent, struct domu_nodes *nodes)
{
	struct fdisk_table *table = NULL;
	struct fdisk_iter *it = NULL;
	struct fdisk_partition *pa;
	size_t first = nodes->n;
	int rc = fdisk_get_partitions(t->cxt, &table);

	if (rc < 0) {
		domu_nodes_problem(nodes, "%s: the partition table cannot be read: %s", nodes->v[parent].name,
		                   strerror(-rc));
		rc = 0;
		goto out;
	}
	it = fdisk_new_iter(FDISK_ITER_FORWARD);
	if (it == NULL) {
		rc = domu_nomem(ctx);
		goto out;
	}
	while (rc == 0 && fdisk_table_next_partition(table, it, &pa) == 0)
		rc = add_partition(ctx, t, pa, parent, nodes);
	if (rc == 0)
		rc = domu_overlap_partitions(ctx, nodes, first);
out:
	fdisk_free_iter(it);
	fdisk_unref_table(table);
	return rc;
}

int domu_table_read(struct domu_ctx *ctx, struct domu_block *b, const char *vdev, unsigned disk,
                    struct domu_nodes *nodes)
{
	struct domu_node *n = domu_nodes_add(nodes);
	size_t self = nodes->n - 1;
	struct domu_table t;
	int rc;

	if (n == NULL)
		return domu_nomem(ctx);
	snprintf(n->name, sizeof n->name, "%s", vdev);
	n->kind = DOMU_NODE_DISK;
	n->disk = disk;
	n->size = b->size;
	rc = domu_table_open(ctx, b, vdev, false, nodes, &t);
	if (rc < 0)
		return rc;
	snprintf(nodes->v[self].probe.type, sizeof nodes->v[self].probe.type, "%s", t.type);
	if (t.cxt != NULL)
		rc = add_partitions(ctx, &t, self, nodes);
	domu_table_close(&t);
	return rc;
}

int domu_table_type(struct domu_block *b, char type[16])
{
	struct domu_table t;
	int rc = domu_table_open(b->ctx, b, b->name, false, NULL, &t);

	type[0] = '\0';
	if (rc == 0) {
		memcpy(type, t.type, sizeof t.type);
		domu_table_close(&t);
	}
	return rc;
}
