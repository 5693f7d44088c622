/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tree.c - a guest's nodes and filesystems, each probed and opened at first need. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/lvm.h"
#include "fs/tree.h"

static int copy_string(struct domu_ctx *ctx, const char **s)
{
	char *copy;

	if (*s == NULL)
		return 0;
	copy = strdup(*s);
	*s = copy;
	return copy != NULL ? 0 : domu_nomem(ctx);
}

static int copy_opts(struct domu_tree *t, const struct domu_tree_opts *opts)
{
	int rc, r;

	if (opts == NULL)
		return 0;
	t->opts = *opts;
	rc = copy_string(t->ctx, &t->opts.root_hint);
	r = copy_string(t->ctx, &t->opts.use);
	if (rc == 0)
		rc = r;
	r = copy_string(t->ctx, &t->opts.guest);
	return rc != 0 ? rc : r;
}

/* A node that does not lie inside its disk would be a bug of the table's reader: it is checked all the same. */
static bool node_ok(const struct domu_tree *t, size_t i)
{
	const struct domu_node *n = &t->nodes.v[i];

	return n->disk < t->n_disks && n->parent < (int)i && n->start <= t->disks[n->disk]->size &&
	       (n->scattered || n->size <= t->disks[n->disk]->size - n->start);
}

static int read_tables(struct domu_tree *t)
{
	int rc;

	for (size_t i = 0; i < t->n_disks; i++) {
		rc = domu_table_read(t->ctx, t->disks[i], t->disks[i]->name, (unsigned)i, &t->nodes);

		if (rc != 0)
			return rc;
	}
	rc = domu_lvm_read(t->ctx, t->disks, t->n_disks, &t->nodes);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < t->nodes.n; i++)
		if (!node_ok(t, i))
			return domu_fail(t->ctx, DOMU_FAILED, -EIO, "%s: it does not lie inside its disk",
			                 t->nodes.v[i].name);
	t->state = calloc(t->nodes.n != 0 ? t->nodes.n : 1, sizeof *t->state);
	return t->state != NULL ? 0 : domu_nomem(t->ctx);
}

int domu_tree_open(struct domu_ctx *ctx, struct domu_block **disks, size_t n_disks, const struct domu_tree_opts *opts,
                   const struct domu_tree_hooks *hooks, struct domu_tree **tree)
{
	struct domu_tree *t = calloc(1, sizeof *t);
	int rc;

	*tree = NULL;
	if (t == NULL)
		return domu_nomem(ctx);
	t->ctx = ctx;
	if (hooks != NULL)
		t->hooks = *hooks;
	rc = copy_opts(t, opts);
	if (rc != 0)
		goto out;
	t->disks = calloc(n_disks != 0 ? n_disks : 1, sizeof *t->disks);
	if (t->disks == NULL) {
		rc = domu_nomem(ctx);
		goto out;
	}
	for (size_t i = 0; i < n_disks; i++)
		t->disks[i] = disks[i];
	t->n_disks = n_disks;
	rc = read_tables(t);
out:
	if (rc == 0)
		*tree = t;
	else
		domu_tree_close(t);
	return rc;
}

int domu_tree_flush(struct domu_tree *t)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < t->nodes.n; i++)
		if (t->state[i].fs != NULL && t->state[i].fs->writable)
			rc = domu_fs_flush(t->state[i].fs);
	return rc;
}

int domu_tree_close(struct domu_tree *t)
{
	int rc = 0, r;

	if (t == NULL)
		return 0;
	for (size_t i = 0; t->state != NULL && i < t->nodes.n; i++) {
		r = domu_fs_close(t->state[i].fs);
		if (rc == 0)
			rc = r;
		if (t->state[i].block_owned) {
			r = domu_block_close(t->state[i].block);
			if (rc == 0)
				rc = r;
		}
	}
	for (size_t i = 0; i < t->n_mounts; i++) {
		free(t->mounts[i].target);
		free(t->mounts[i].spec);
		free(t->mounts[i].subvol);
	}
	domu_tree_forget_labels(t);
	free(t->mounts);
	free(t->places);
	free(t->state);
	domu_nodes_free(&t->nodes);
	free(t->disks);
	free((char *)t->opts.root_hint);
	free((char *)t->opts.use);
	free((char *)t->opts.guest);
	free(t);
	return rc;
}

const char *domu_tree_guest(const struct domu_tree *t)
{
	return t->opts.guest != NULL ? t->opts.guest : "GUEST";
}

/* ---- probing -------------------------------------------------------------- */

bool domu_tree_has_partitions(const struct domu_tree *t, size_t node)
{
	for (size_t i = node + 1; i < t->nodes.n; i++)
		if (t->nodes.v[i].parent == (int)node && t->nodes.v[i].kind == DOMU_NODE_PARTITION)
			return true;
	return false;
}

static int node_block(struct domu_tree *t, size_t node, struct domu_block **b)
{
	const struct domu_node *n = &t->nodes.v[node];
	struct domu_block *disk = t->disks[n->disk];
	struct tree_node *s = &t->state[node];
	int rc = 0;

	if (s->block == NULL && n->scattered) {
		rc = domu_lv_open(t->ctx, t->disks, n->map, n->name, &s->block);
		s->block_owned = rc == 0;
	} else if (s->block == NULL && n->start == 0 && n->size == disk->size && n->frozen == DOMU_NOT_FROZEN) {
		s->block = disk;
	} else if (s->block == NULL) {
		rc = domu_slice_open(t->ctx, disk, n->name, n->start, n->size, &s->block);
		s->block_owned = rc == 0;
	}
	if (rc == 0 && n->frozen != DOMU_NOT_FROZEN) {
		s->block->readonly = true;
		s->block->why_readonly = domu_node_frozen(n);
	}
	*b = s->block;
	return rc;
}

static void set_type(struct domu_node *n, const char *type)
{
	memset(&n->probe, 0, sizeof n->probe);
	snprintf(n->probe.type, sizeof n->probe.type, "%s", type);
}

/* What a table's reader already knows needs no probe.  True: done. */
static bool is_container(struct domu_tree *t, size_t node, bool whole)
{
	struct domu_node *n = &t->nodes.v[node];
	char type[16] = "";

	if (n->extended) {
		set_type(n, "extended");
		return true;
	}
	if (n->kind != DOMU_NODE_DISK || !domu_tree_has_partitions(t, node))
		return false;
	if (whole && domu_table_type(t->disks[n->disk], type) == 0 && type[0] != '\0')
		set_type(n, type);
	return true;
}

int domu_tree_probe(struct domu_tree *t, size_t node, bool whole)
{
	struct domu_node *n = &t->nodes.v[node];
	struct tree_node *s = &t->state[node];
	struct domu_block *b;
	int rc;

	if (s->asked_blkid || (s->asked_drivers && (!whole || s->driver != NULL)))
		return 0;
	if (is_container(t, node, whole)) {
		s->asked_drivers = true;
		s->asked_blkid = whole;
		return 0;
	}
	rc = node_block(t, node, &b);
	if (rc != 0)
		return rc;
	if (!s->asked_drivers)
		s->driver = domu_probe_drivers(b, &n->probe);
	if (whole && s->driver == NULL)
		s->driver = domu_fs_probe(b, &n->probe);
	s->asked_drivers = true;
	s->asked_blkid = whole;
	return 0;
}

const struct domu_nodes *domu_tree_nodes(struct domu_tree *t)
{
	bool clean = t->ctx->error.status == DOMU_OK;

	/* A node that cannot be read stays without a content; whoever opens it gets the reason. */
	for (size_t i = 0; i < t->nodes.n; i++)
		if (domu_tree_probe(t, i, true) != 0 && clean)
			domu_error_clear(t->ctx);
	return &t->nodes;
}

bool domu_tree_is_fs(const struct domu_tree *t, size_t node)
{
	return t->state[node].driver != NULL || domu_type_is_fs(t->nodes.v[node].probe.type);
}

bool domu_tree_is_plain(struct domu_block *disk, bool clean)
{
	struct domu_probe p;

	return !domu_table_maybe(disk) && domu_probe_drivers(disk, &p) != NULL && !(clean && p.needs_replay);
}

/* ---- opening -------------------------------------------------------------- */

static int not_a_filesystem(struct domu_tree *t, size_t node)
{
	const struct domu_node *n = &t->nodes.v[node];
	const char *type = n->probe.type;

	if (domu_tree_has_partitions(t, node))
		return domu_fail(t->ctx, DOMU_NOTFOUND, -ENODEV,
		                 "%s: it is divided into partitions: name one (%s@%s...)", n->name, domu_tree_guest(t),
		                 n->name);
	if (n->extended)
		return domu_fail(t->ctx, DOMU_NOTFOUND, -ENODEV,
		                 "%s: an extended partition only holds others: name one of those", n->name);
	if (strncmp(type, "sw", 2) == 0)
		return domu_fail(t->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: swap space holds no files", n->name);
	if (strcmp(type, "LVM2_member") == 0)
		return domu_fail(t->ctx, DOMU_UNSUPPORTED, -ENODEV,
		                 "%s: a physical volume of LVM, which cannot be opened by itself", n->name);
	if (strcmp(type, "crypto_LUKS") == 0 || strcmp(type, "BitLocker") == 0)
		return domu_fail(t->ctx, DOMU_UNSUPPORTED, -ENODEV, "%s: encrypted (%s): only the guest can open it",
		                 n->name, type);
	if (strcmp(type, "dos") == 0 || strcmp(type, "gpt") == 0)
		return domu_fail(t->ctx, DOMU_NOTFOUND, -ENODEV,
		                 "%s: a partition table (%s) without a usable partition", n->name, type);
	if (strcmp(type, "empty") == 0)
		return domu_fail(t->ctx, DOMU_NOTFOUND, -ENODEV, "%s: empty: there is no filesystem on it", n->name);
	if (type[0] == '\0' || strcmp(type, "unknown") == 0)
		return domu_fail(t->ctx, DOMU_NOTFOUND, -ENODEV, "%s: there is no filesystem on it that is known",
		                 n->name);
	return domu_fail(t->ctx, DOMU_UNSUPPORTED, -ENODEV, "%s: %s is not a filesystem by itself", n->name, type);
}

static int open_in_appliance(struct domu_tree *t, size_t node, unsigned flags, struct domu_fs **fs)
{
	const struct domu_node *n = &t->nodes.v[node];
	int rc;

	if (t->hooks.appliance == NULL)
		return domu_fail(t->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: %s needs the appliance: install libguestfs0, and leave --engine at auto", n->name,
		                 n->probe.type);
	rc = t->hooks.appliance(t->hooks.user, n, flags, fs);
	if (rc == 0)
		(*fs)->block = t->state[node].block;
	return rc;
}

/* After a failure here, DOMU_UNSUPPORTED, that the appliance may not have; where it has, both are told. */
static int appliance_instead(struct domu_tree *t, size_t node, unsigned flags, struct domu_fs **fs)
{
	char *here = strdup(t->ctx->error.message), *there = NULL;
	int rc;

	domu_error_clear(t->ctx);
	rc = open_in_appliance(t, node, flags, fs);
	if (rc != 0)
		there = strdup(t->ctx->error.message);
	if (here != NULL && there != NULL) {
		domu_error_clear(t->ctx);
		domu_fail(t->ctx, DOMU_UNSUPPORTED, rc, "%s (and the appliance: %s)", here, there);
	}
	free(here);
	free(there);
	return rc;
}

/* All disks that it may lie on. */
static int refresh(struct domu_tree *t, const struct domu_node *n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < t->n_disks; i++) {
		if (n->scattered ? !domu_lv_uses(n->map, (unsigned)i) : i != n->disk)
			continue;
		rc = t->hooks.refresh != NULL ? t->hooks.refresh(t->hooks.user, (unsigned)i)
		                              : domu_overlay_refresh(t->disks[i]);
	}
	return rc;
}

static int replay(struct domu_tree *t, size_t node)
{
	struct domu_node *n = &t->nodes.v[node];
	struct tree_node *s = &t->state[node];
	int rc;

	/* For a reader the layer of the replay is dropped at the end. */
	if (n->frozen != DOMU_NOT_FROZEN && t->opts.writable)
		return domu_fail(t->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		                 "%s: its journal has to be replayed, which is not possible: %s%s", n->name,
		                 domu_node_frozen(n),
		                 n->frozen == DOMU_FROZEN_OVERLAP ? "" : ", or start the guest and shut it down");
	if (t->hooks.replay == NULL)
		return domu_fail(t->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: its journal has to be replayed first",
		                 n->name);
	rc = t->hooks.replay(t->hooks.user, n);
	if (rc != 0)
		return domu_fail(t->ctx, DOMU_FAILED, rc, "%s: its journal cannot be replayed: run domu-rescue fsck %s",
		                 n->name, domu_tree_guest(t));
	rc = refresh(t, n);
	if (rc != 0)
		return domu_fail(t->ctx, DOMU_FAILED, rc, "%s: what the journal replay wrote cannot be read", n->name);
	s->asked_drivers = s->asked_blkid = false;
	rc = domu_tree_probe(t, node, true);
	if (rc == 0 && n->probe.needs_replay)
		rc = domu_fail(t->ctx, DOMU_FAILED, -EUCLEAN,
		               "%s: its journal cannot be replayed: run domu-rescue fsck %s", n->name,
		               domu_tree_guest(t));
	return rc;
}

static int fast_commits(struct domu_tree *t, const struct domu_node *n)
{
	return domu_fail(t->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
	                 "%s: its journal may have fast commits, of which e2fsck loses some: start the guest, or use "
	                 "--engine guestfs",
	                 n->name);
}

static int open_here(struct domu_tree *t, size_t node, unsigned flags, struct domu_fs **fs)
{
	struct tree_node *s = &t->state[node];
	bool clean = t->ctx->error.status == DOMU_OK;
	int rc = s->driver->open(t->ctx, s->block, flags, fs);

	/* What the library here does not know, the kernel of the appliance may. */
	if (rc == 0 || !clean || t->ctx->error.status != DOMU_UNSUPPORTED || t->hooks.appliance == NULL)
		return rc;
	return appliance_instead(t, node, flags, fs);
}

static int open_node(struct domu_tree *t, size_t node, struct domu_fs **fs)
{
	struct domu_node *n = &t->nodes.v[node];
	struct tree_node *s = &t->state[node];
	unsigned flags = 0;
	int rc;

	if (n->probe.closed)
		return domu_fail(t->ctx, DOMU_UNRECOVERED, -EBUSY,
		                 "%s: a commit (%s) was cut short; run domu-rescue recover %s", n->name,
		                 n->probe.closed_by[0] != '\0' ? n->probe.closed_by : "unknown", domu_tree_guest(t));
	if (!domu_tree_is_fs(t, node))
		return not_a_filesystem(t, node);
	if (t->opts.writable && !s->block->readonly)
		flags |= DOMU_FS_WRITE;
	else if (!t->opts.writable && n->frozen == DOMU_FROZEN_OVERLAP)
		domu_say(t->ctx, DOMU_WARNING, "%s: %s", n->name, n->overlap);
	if (t->opts.unreplayed)
		flags |= DOMU_FS_UNREPLAYED;
	else if (n->probe.needs_replay && !t->opts.engine_guestfs && s->driver != NULL && s->driver->tools != NULL &&
	         s->driver->tools->replay != NULL) {
		bool clean = t->ctx->error.status == DOMU_OK;

		rc = domu_has_fast_commits(&n->probe) ? fast_commits(t, n) : replay(t, node);
		if (rc != 0 && clean && t->ctx->error.status == DOMU_UNSUPPORTED && t->hooks.appliance != NULL)
			return appliance_instead(t, node, flags, fs);
		if (rc != 0)
			return rc;
	}
	if (t->opts.engine_guestfs || s->driver == NULL || !domu_driver_is_here(s->driver))
		return open_in_appliance(t, node, flags, fs);
	return open_here(t, node, flags, fs);
}

int domu_tree_fs(struct domu_tree *t, size_t node, struct domu_fs **fs)
{
	struct tree_node *s;
	int rc;

	*fs = NULL;
	if (node >= t->nodes.n)
		return domu_fail(t->ctx, DOMU_NOTFOUND, -ENODEV, "node %zu does not exist", node);
	s = &t->state[node];
	if (s->fs == NULL) {
		rc = domu_tree_probe(t, node, true);
		if (rc != 0)
			return rc;
		rc = open_node(t, node, &s->fs);
		if (rc != 0) {
			s->fs = NULL;
			return rc;
		}
		s->fs->probe = t->nodes.v[node].probe;
	}
	*fs = s->fs;
	return 0;
}
