/* SPDX-License-Identifier: GPL-3.0-or-later */
/* resize-plan.c - what has to be done to make a filesystem larger, as data. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "task/resize.h"
#include "task/session-impl.h"

/* Partitions end on this boundary, as every partitioner since 2010 aligns them. */
#define ALIGN (UINT64_C(1) << 20)
/* The backup table of a GPT: header and entries, with room for larger ones than usual. */
#define GPT_TAIL ALIGN

const char *domu_step_name(enum domu_step_op op)
{
	static const char *const names[] = { "grow-backing", "write-table", "check", "grow-filesystem" };

	return names[op];
}

static void add_step(struct domu_resize_plan *p, enum domu_step_op op, const char *device, uint64_t from, uint64_t to)
{
	struct domu_step *st = &p->steps[p->n_steps++];

	st->op = op;
	snprintf(st->device, sizeof st->device, "%s", device);
	st->from = from;
	st->to = to;
}

/* The largest size that node's container can have on a disk of disk_size. */
static uint64_t room_on(const struct domu_node *n, const struct domu_node *disk, uint64_t disk_size)
{
	uint64_t end = disk_size;

	if (n->kind == DOMU_NODE_DISK)
		return disk_size;
	if (n->kind == DOMU_NODE_LV)
		return n->size;
	if (strcmp(disk->probe.type, "gpt") == 0)
		end = disk_size > GPT_TAIL ? disk_size - GPT_TAIL : 0;
	end -= end % ALIGN;
	/* A partition made without alignment may already end beyond the boundary. */
	if (end < n->start + n->size)
		end = n->start + n->size;
	return end - n->start;
}

static int parse_target(struct domu_session *s, const char *text, uint64_t from, uint64_t max, uint64_t *to)
{
	uint64_t v;
	bool plus = *text == '+', minus = *text == '-';
	char now[DOMU_SIZE_TEXT];

	if (strcmp(text, "max") == 0) {
		*to = max;
		return 0;
	}
	if (strcmp(text, "min") != 0 && (domu_size_parse(text + (plus || minus), &v) != 0 || v == 0))
		return domu_fail(s->ctx, DOMU_USAGE, -EINVAL, "%s is not a size: 20G, +5G or max", text);
	domu_size_format(from, now);
	if (minus || strcmp(text, "min") == 0)
		return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "no filesystem can be made smaller yet: give a size above %s", now);
	if (plus && !domu_add(from, v, &v))
		return domu_fail(s->ctx, DOMU_USAGE, -ERANGE, "%s is too large", text);
	if (v > (UINT64_C(1) << 60))
		return domu_fail(s->ctx, DOMU_USAGE, -ERANGE, "%s is too large", text);
	*to = v;
	return 0;
}

static int last_on_disk(struct domu_session *s, const struct domu_nodes *nodes, const struct domu_node *n)
{
	for (size_t i = 0; i < nodes->n; i++) {
		const struct domu_node *o = &nodes->v[i];

		if (o->disk == n->disk && o->kind == DOMU_NODE_PARTITION && o != n && o->start > n->start)
			return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
			                 "%s cannot grow: %s follows it on the disk", n->name, o->name);
	}
	return 0;
}

static int check_kind(struct domu_session *s, const struct domu_nodes *nodes, const struct domu_node *n)
{
	const struct domu_fs_ops *fs = domu_fs_driver(n->probe.type);

	if (fs == NULL || fs->tools == NULL || fs->tools->grow == NULL)
		return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s holds %s, which cannot be grown from here: start the guest and grow it there",
		                 n->name, n->probe.type);
	/* With -f it ends well, and the counts of free blocks are wrong afterwards. */
	if (strstr(n->probe.features, "bigalloc") != NULL)
		return domu_fail(
		    s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		    "%s has the feature bigalloc, with which resize2fs cannot be trusted: make a larger filesystem "
		    "and copy the files",
		    n->name);
	return n->kind == DOMU_NODE_PARTITION ? last_on_disk(s, nodes, n) : 0;
}

/* What the disk must have so that the container can be as large as the plan says. */
static uint64_t disk_needed(const struct domu_node *n, const struct domu_node *disk, uint64_t to)
{
	uint64_t end = n->kind == DOMU_NODE_DISK ? to : n->start + to;

	if (n->kind == DOMU_NODE_PARTITION && strcmp(disk->probe.type, "gpt") == 0)
		end += GPT_TAIL;
	return n->kind == DOMU_NODE_DISK ? end : (end + ALIGN - 1) / ALIGN * ALIGN;
}

static int check_limits(struct domu_session *s, const struct domu_node *n, const struct domu_node *disk,
                        const struct domu_resize_plan *p)
{
	const struct domu_backing *b = &s->backings[n->disk];
	char now[DOMU_SIZE_TEXT], then[DOMU_SIZE_TEXT];

	domu_size_format(p->from, now);
	domu_size_format(p->to, then);
	if (p->to < p->from)
		return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s has %s: it cannot be made smaller yet (%s was asked)", n->name, now, then);
	/* Its group is the guest's own to write. */
	if (n->kind == DOMU_NODE_LV && p->to > n->size)
		return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s has %s and volumes are not grown from here (%s was asked): lvextend in the guest; "
		                 "max grows the filesystem to what the volume has",
		                 n->name, now, then);
	if (n->kind == DOMU_NODE_PARTITION && strcmp(disk->probe.type, "dos") == 0 &&
	    (n->start + p->to) / b->sector_size > UINT32_MAX)
		return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: an MBR partition table ends at 2^32 sectors: convert it to GPT first",
		                 disk->name);
	if (p->disk_size > b->size && b->is_device)
		return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s is the block device %s of %" PRIu64 " bytes: make it %" PRIu64
		                 " bytes (lvextend, for a logical volume), then domu-rescue resize-root %s max",
		                 disk->name, b->path, b->size, p->disk_size, domu_guest_shown(s->guest));
	return 0;
}

int domu_resize_plan(struct domu_session *s, const struct domu_nodes *nodes, size_t node, const char *size,
                     struct domu_resize_plan *p)
{
	const struct domu_node *n = &nodes->v[node], *disk = n;
	uint64_t backing = s->backings[n->disk].size;
	int rc;

	memset(p, 0, sizeof *p);
	while (disk->parent >= 0)
		disk = &nodes->v[disk->parent];
	p->node = node;
	p->disk = n->disk;
	rc = check_kind(s, nodes, n);
	if (rc != 0)
		return rc;
	p->from = n->size;
	rc = parse_target(s, size, p->from, room_on(n, disk, backing), &p->to);
	if (rc != 0)
		return rc;
	/* Whole units of the filesystem's largest block, so that nothing is cut off at the end. */
	p->to -= p->to % DOMU_UNIT;
	p->disk_size = backing;
	if (n->kind != DOMU_NODE_LV && p->to > room_on(n, disk, backing))
		p->disk_size = disk_needed(n, disk, p->to);
	rc = check_limits(s, n, disk, p);
	if (rc != 0)
		return rc;
	if (p->disk_size > backing)
		add_step(p, DOMU_STEP_GROW_BACKING, disk->name, backing, p->disk_size);
	if (n->kind == DOMU_NODE_PARTITION && p->to > n->size)
		add_step(p, DOMU_STEP_WRITE_TABLE, n->name, n->size, p->to);
	if (p->to - n->probe.size >= n->probe.block_size && p->to > n->probe.size) {
		add_step(p, DOMU_STEP_CHECK, n->name, n->probe.size, n->probe.size);
		add_step(p, DOMU_STEP_GROW_FILESYSTEM, n->name, n->probe.size, p->to);
	}
	return 0;
}
