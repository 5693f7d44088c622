/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan-read.c - the reads of a scan, some of them ahead of their use by a second thread. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/ctx.h"
#include "block/block.h"
#include "fs-ext.h"

/*
 * The thread gets a descriptor, a place in it, and a buffer of its own, and
 * makes of the bytes what a function of nothing but them can: checksums,
 * inodes as stat shows them, names.  Layers of blocks, libext2fs' caches and
 * the context stay with the thread that scans: it reads what is not in one
 * part of a file, and once more what could not be read, which says why.
 */
static void read_ahead(void *user, unsigned slot, unsigned who)
{
	struct ext_scan *s = user;
	struct ext_piece *p = &s->pieces[slot];
	uint8_t *data = s->x->pieces[who];

	p->done = p->fd >= 0 && pread(p->fd, data, p->len, (off_t)p->at) == (ssize_t)p->len;
	if (p->done)
		s->pass->make(s, p, data);
}

static int read_now(struct ext_scan *s, struct ext_piece *p)
{
	int rc = domu_block_pread(s->x->fs->block, s->x->pieces[0], p->len, p->offset);

	if (rc == 0)
		s->pass->make(s, p, s->x->pieces[0]);
	return rc;
}

/* What is no longer than a unit of a log may be one, whose own checksum only its layer looks at. */
static void find_file(struct ext_scan *s, struct ext_piece *p)
{
	uint64_t run = 0;

	if (p->len <= DOMU_UNIT || domu_block_map(s->x->fs->block, p->offset, p->len, &p->fd, &p->at, &run) != 0 ||
	    run != p->len)
		p->fd = -1;
}

/* As many as there is room for.  0, 1: there are no more, or what went wrong. */
static int plan(struct ext_scan *s, struct domu_ahead_run *r)
{
	unsigned slot;
	int rc = 0;

	while (rc == 0 && domu_ahead_room(r, &slot)) {
		struct ext_piece *p = &s->pieces[slot];

		*p = (struct ext_piece){ .fd = -1, .made = s->x->made[slot] };
		p->made->n_inodes = p->made->used = 0;
		rc = s->pass->plan(s, p);
		if (rc == 0 && r->thread != NULL)
			find_file(s, p);
		if (rc == 0)
			domu_ahead_put(r);
	}
	return rc;
}

/* Kept: where a tree is read in parts, each would fault its pages anew. */
static int room(struct ext_fs *x, unsigned slots)
{
	size_t size = EXT_SCAN_PIECE > x->e2->blocksize ? EXT_SCAN_PIECE : x->e2->blocksize;

	for (unsigned i = 0; i < (slots > 1 ? 2 : 1); i++)
		if (x->pieces[i] == NULL && (x->pieces[i] = malloc(size)) == NULL)
			return -ENOMEM;
	for (unsigned i = 0; i < slots; i++) {
		struct ext_made *m = x->made[i] != NULL ? x->made[i] : malloc(sizeof *m + size);

		if (m == NULL)
			return -ENOMEM;
		m->bytes = (uint8_t *)(m + 1);
		x->made[i] = m;
	}
	return 0;
}

void ext_scan_free(struct ext_fs *x)
{
	for (unsigned i = 0; i < DOMU_AHEAD_SLOTS; i++) {
		free(x->made[i]);
		x->made[i] = NULL;
	}
	for (unsigned i = 0; i < 2; i++) {
		free(x->pieces[i]);
		x->pieces[i] = NULL;
	}
}

int ext_scan_read(struct ext_scan *s, const struct ext_scan_pass *pass)
{
	struct domu_ahead_run r;
	unsigned slot;
	int rc, planned = 0;

	s->pass = pass;
	s->next = 0;
	domu_ahead_begin(&r, s->x->fs->ctx->ahead, read_ahead, s);
	rc = room(s->x, r.slots);
	while (rc == 0) {
		if (planned == 0)
			planned = plan(s, &r);
		if (!domu_ahead_take(&r, &slot))
			break;
		if (!s->pieces[slot].done)
			rc = read_now(s, &s->pieces[slot]);
		if (rc == 0)
			rc = pass->use(s, &s->pieces[slot]);
		domu_ahead_free(&r);
	}
	domu_ahead_end(&r);
	return rc != 0 ? rc : planned < 0 ? planned : 0;
}
