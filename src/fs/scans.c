/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scans.c - which filesystems of a tree are read whole, and when. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/scan.h"
#include "fs/tree.h"

/*
 * An inode costs some eight times as much by name as in a scan, but a scan
 * takes all of them.  So a walk that begins at a root is a scan at once, any
 * other goes by name until it has met one inode of WORTH: whichever way it
 * goes on, it takes at most three times as long as it might have.
 */
#define WORTH 16
#define DEEP  4 /* levels: a walk that goes no deeper takes a part of the tree only */
/*
 * Of what is too large for that, a walk reads parts ahead: the directories
 * beside the one that it enters, and what is below them.  The parts that are
 * open at once, one inside the other, share this.
 */
#define PARTS_BYTES ((size_t)24 << 20)
#define PARTS_WORTH 1000 /* names met: a small walk reads nothing that it does not show */
#define PART_LEAST  48 /* a part of them that is worth its while: a 48th */

struct domu_scans {
	struct scanned {
		enum { NOT_YET, SCANNED, IN_PARTS, BY_NAME } state;
		struct domu_scan_tree *tree;
		uint64_t inodes, met, enough;
	} * v; /* one a mount */
	size_t n;
	uint64_t most; /* inodes that are scanned as a whole */
	size_t parts, parts_limit; /* bytes of those that are open */
};

int domu_scans_new(struct domu_tree *t, struct domu_scans **out)
{
	struct domu_scans *s = calloc(1, sizeof *s);

	*out = s;
	if (s == NULL)
		return domu_nomem(t->ctx);
	s->n = t->n_mounts;
	domu_scans_limit(s, DOMU_SCAN_BYTES / DOMU_SCAN_LEAST, PARTS_BYTES);
	s->v = calloc(s->n != 0 ? s->n : 1, sizeof *s->v);
	if (s->v != NULL)
		return 0;
	free(s);
	*out = NULL;
	return domu_nomem(t->ctx);
}

void domu_scans_limit(struct domu_scans *s, uint64_t most, size_t parts)
{
	s->most = most;
	s->parts_limit = parts;
}

void domu_scans_free(struct domu_scans *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		domu_scan_tree_free(s->v[i].tree);
	free(s->v);
	free(s);
}

void domu_scans_count(struct domu_scans *s, unsigned mount, size_t names)
{
	if (s != NULL && mount < s->n)
		s->v[mount].met += names;
}

/* In use; 0: not known, or there is no scan. */
static uint64_t inodes(struct domu_fs *fs)
{
	struct domu_statfs sf;
	bool clean = fs->ctx->error.status == DOMU_OK;
	int rc = domu_fs_can_scan(fs) ? domu_fs_statfs(fs, &sf) : -EOPNOTSUPP;

	if (rc != 0 && clean)
		domu_error_clear(fs->ctx);
	return rc == 0 && sf.files > sf.files_free ? sf.files - sf.files_free : 0;
}

const struct domu_scan_tree *domu_scans_get(struct domu_scans *s, unsigned mount, struct domu_fs *fs, uint64_t dir,
                                            unsigned depth)
{
	struct scanned *v = s != NULL && mount < s->n ? &s->v[mount] : NULL;
	int rc;

	if (v == NULL || v->state != NOT_YET)
		return v != NULL ? v->tree : NULL;
	if (v->enough == 0) {
		v->inodes = inodes(fs);
		v->enough = v->inodes != 0 ? v->inodes / WORTH + 1 : UINT64_MAX;
		if (v->inodes > s->most)
			v->enough = PARTS_WORTH;
	}
	if (v->met < v->enough && (dir != fs->root || depth < DEEP))
		return NULL;
	rc = v->inodes <= s->most ? domu_scan_tree_open(fs, &v->tree) : -E2BIG;
	v->state = rc == 0 ? SCANNED : rc == -E2BIG ? IN_PARTS : BY_NAME;
	return v->tree;
}

struct domu_scan_tree *domu_scans_part(struct domu_scans *s, unsigned mount, struct domu_fs *fs, const uint64_t *dirs,
                                       size_t n, unsigned depth)
{
	struct scanned *v = s != NULL && mount < s->n ? &s->v[mount] : NULL;
	struct domu_scan_tree *t;
	size_t room;

	if (v == NULL || v->state != IN_PARTS)
		return NULL;
	/* Half of what is left: there may be larger ones below. */
	room = s->parts < s->parts_limit ? (s->parts_limit - s->parts) / 2 : 0;
	t = room >= s->parts_limit / PART_LEAST ? domu_scan_tree_batch(fs, dirs, n, depth, room) : NULL;
	s->parts += domu_scan_tree_bytes(t);
	/* The next part would come to the same block, for which a failing disk takes its time. */
	if (t != NULL && domu_scan_tree_failed(t))
		v->state = BY_NAME;
	return t;
}

void domu_scans_part_free(struct domu_scans *s, struct domu_scan_tree *t)
{
	if (t != NULL)
		s->parts -= domu_scan_tree_bytes(t);
	domu_scan_tree_free(t);
}
