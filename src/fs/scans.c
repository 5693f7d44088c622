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

struct domu_scans {
	struct scanned {
		enum { NOT_YET, SCANNED, BY_NAME } state;
		struct domu_scan_tree *tree;
		uint64_t met, enough;
	} * v; /* one a mount */
	size_t n;
};

int domu_scans_new(struct domu_tree *t, struct domu_scans **out)
{
	struct domu_scans *s = calloc(1, sizeof *s);

	*out = s;
	if (s == NULL)
		return domu_nomem(t->ctx);
	s->n = t->n_mounts;
	s->v = calloc(s->n != 0 ? s->n : 1, sizeof *s->v);
	if (s->v != NULL)
		return 0;
	free(s);
	*out = NULL;
	return domu_nomem(t->ctx);
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

static uint64_t worth(struct domu_fs *fs)
{
	struct domu_statfs sf;
	bool clean = fs->ctx->error.status == DOMU_OK;
	int rc = domu_fs_can_scan(fs) ? domu_fs_statfs(fs, &sf) : -EOPNOTSUPP;

	if (rc != 0 && clean)
		domu_error_clear(fs->ctx);
	return rc == 0 && sf.files > sf.files_free ? (sf.files - sf.files_free) / WORTH + 1 : UINT64_MAX;
}

const struct domu_scan_tree *domu_scans_get(struct domu_scans *s, unsigned mount, struct domu_fs *fs, uint64_t dir,
                                            unsigned depth)
{
	struct scanned *v = s != NULL && mount < s->n ? &s->v[mount] : NULL;

	if (v == NULL || v->state != NOT_YET)
		return v != NULL ? v->tree : NULL;
	if (v->enough == 0)
		v->enough = worth(fs);
	if (v->met < v->enough && (dir != fs->root || depth < DEEP))
		return NULL;
	v->state = domu_scan_tree_open(fs, &v->tree) == 0 ? SCANNED : BY_NAME;
	return v->tree;
}
