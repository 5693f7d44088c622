/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-diff.c - diff: the guest's tree on the stage compared with the tree on its disks. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <json-c/json.h>

#include "base/num.h"
#include "shell/cmd.h"

#define MAX_DEPTH 512 /* of folders; names make a path longer than Linux takes before this */

/* ---- a folder's entries, sorted ---------------------------------------------------- */

struct name {
	char *name;
	uint64_t ino;
};

struct folder {
	struct name *v;
	size_t n, cap;
};

static int add_entry(void *user, const char *name, size_t len, uint64_t ino, uint32_t type)
{
	struct folder *f = user;

	(void)type;
	(void)len;
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 32;
		struct name *v = realloc(f->v, cap * sizeof *v);

		if (v == NULL)
			return -ENOMEM;
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n].name = strdup(name);
	f->v[f->n].ino = ino;
	return f->v[f->n++].name != NULL ? 0 : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->name, ((const struct name *)b)->name);
}

static int read_folder(struct domu_fs *fs, uint64_t ino, struct folder *f)
{
	int rc = ino != 0 ? domu_fs_readdir(fs, ino, add_entry, f) : 0;

	if (f->n > 0)
		qsort(f->v, f->n, sizeof *f->v, by_name);
	return rc;
}

static void free_folder(struct folder *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].name);
	free(f->v);
}

/* ---- comparing ------------------------------------------------------------------------ */

struct compare {
	struct domu_run *r;
	struct domu_fs *old, *new;
	void *seen; /* inodes of folders met, tsearch(3): a damaged filesystem may have cycles */
};

static int emit(struct compare *c, const char *path, const char *change)
{
	int rc = domu_row_text(c->r->out, change);

	if (rc == 0)
		rc = domu_row_bytes(c->r->out, path, strlen(path));
	return rc == 0 ? domu_row_end(c->r->out) : rc;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* What differs between two inodes of one name, or NULL. */
static const char *difference(const struct domu_stat *a, const struct domu_stat *b)
{
	bool folder = S_ISDIR(a->mode) && S_ISDIR(b->mode);

	if ((a->mode & S_IFMT) != (b->mode & S_IFMT))
		return "modified";
	/* A folder's times and size change with its entries, which are told by themselves. */
	if (!folder && (a->size != b->size || !same_time(a->mtime, b->mtime) || a->ino != b->ino ||
	                a->generation != b->generation))
		return "modified";
	if (a->mode != b->mode || a->uid != b->uid || a->gid != b->gid || a->flags != b->flags ||
	    a->projid != b->projid || (!folder && (a->nlink != b->nlink || !same_time(a->ctime, b->ctime))))
		return "metadata";
	return NULL;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* True when the folder is met for the first time. */
static int first_time(struct compare *c, bool is_new, uint64_t ino)
{
	uint64_t *key = malloc(sizeof *key);
	uint64_t **found;

	if (key == NULL)
		return -ENOMEM;
	*key = ino << 1 | is_new;
	found = tsearch(key, &c->seen, by_number);
	if (found == NULL || *found != key) {
		free(key);
		return found == NULL ? -ENOMEM : 0;
	}
	return 1;
}

static int compare_folders(struct compare *c, const char *path, uint64_t old, uint64_t new, unsigned depth);

/* One name: either inode may be 0. */
static int compare_inodes(struct compare *c, const char *path, uint64_t old, uint64_t new, unsigned depth)
{
	struct domu_stat a = { 0 }, b = { 0 };
	const char *change = NULL;
	int rc = 0;

	if (old != 0)
		rc = domu_fs_stat(c->old, old, &a);
	if (rc == 0 && new != 0)
		rc = domu_fs_stat(c->new, new, &b);
	if (rc != 0) {
		domu_say(c->r->ctx, DOMU_WARNING, "%s: cannot be compared: %s", path, strerror(-rc));
		domu_error_clear(c->r->ctx);
		return 0;
	}
	if (old == 0)
		change = "added";
	else if (new == 0)
		change = "removed";
	else
		change = difference(&a, &b);
	if (change != NULL)
		rc = emit(c, path, change);
	if (rc == 0 && (S_ISDIR(a.mode) || S_ISDIR(b.mode)))
		rc = compare_folders(c, path, S_ISDIR(a.mode) ? old : 0, S_ISDIR(b.mode) ? new : 0, depth + 1);
	return rc;
}

static int compare_entries(struct compare *c, const char *path, const struct folder *a, const struct folder *b,
                           unsigned depth)
{
	size_t i = 0, k = 0;
	int rc = 0;

	while (rc == 0 && (i < a->n || k < b->n)) {
		int order = i == a->n ? 1 : k == b->n ? -1 : strcmp(a->v[i].name, b->v[k].name);
		const char *name = order <= 0 ? a->v[i].name : b->v[k].name;
		char *sub;

		if (asprintf(&sub, "%s%s%s", path, strcmp(path, "/") == 0 ? "" : "/", name) < 0)
			return -ENOMEM;
		rc = compare_inodes(c, sub, order <= 0 ? a->v[i].ino : 0, order >= 0 ? b->v[k].ino : 0, depth);
		free(sub);
		i += order <= 0;
		k += order >= 0;
	}
	return rc;
}

static int compare_folders(struct compare *c, const char *path, uint64_t old, uint64_t new, unsigned depth)
{
	struct folder a = { 0 }, b = { 0 };
	int rc = 0, first = 0;

	if (depth > MAX_DEPTH)
		return domu_fail(c->r->ctx, DOMU_FAILED, -ELOOP, "%s: folders are nested too deep", path);
	if (old != 0)
		first = first_time(c, false, old);
	if (first >= 0 && new != 0) {
		rc = first_time(c, true, new);
		first = rc < 0 ? rc : first | rc;
		rc = 0;
	}
	if (first <= 0)
		return first < 0 ? domu_nomem(c->r->ctx) : 0;
	rc = read_folder(c->old, old, &a);
	if (rc == 0)
		rc = read_folder(c->new, new, &b);
	if (rc == 0) {
		rc = compare_entries(c, path, &a, &b, depth);
	} else {
		domu_say(c->r->ctx, DOMU_WARNING, "%s: cannot be compared: %s", path, strerror(-rc));
		domu_error_clear(c->r->ctx);
		rc = 0;
	}
	free_folder(&a);
	free_folder(&b);
	return rc;
}

/* In the worker: every filesystem that the guest mounts, by its mount point. */
static int diff_worker(struct domu_run *r)
{
	struct domu_tree *old = NULL, *new = NULL;
	const struct domu_mount *m;
	size_t n, node;
	int rc;

	rc = domu_work_tree(r->work, r->use, &new);
	if (rc == 0)
		rc = domu_tree_mounts(new, &m, &n);
	if (rc == 0)
		rc = domu_work_base_tree(r->work, &old);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct compare c = { .r = r };

		rc = domu_tree_fs(new, m[i].node, &c.new);
		if (rc == 0)
			rc = domu_tree_find(old, domu_tree_nodes(new)->v[m[i].node].name, &node);
		if (rc == 0)
			rc = domu_tree_fs(old, node, &c.old);
		if (rc == 0)
			rc = compare_inodes(&c, m[i].target, c.old->root, c.new->root, 0);
		tdestroy(c.seen, free);
	}
	domu_tree_close(old);
	return rc;
}

static int diff_front(struct domu_run *r)
{
	bool staging = domu_session_staging(r->session);
	uint64_t blocks = 0;
	int rc;

	if (staging) {
		rc = domu_run_in_worker(r, r->session);
		if (rc == 0)
			rc = domu_session_staged(r->session, &blocks);
		if (rc != 0)
			return rc;
	}
	domu_out_member(r->out, "blocks", json_object_new_int64((int64_t)blocks));
	domu_out_member(r->out, "bytes", json_object_new_int64((int64_t)(blocks * DOMU_UNIT)));
	if (!staging)
		domu_out_line(r->out, "nothing is staged");
	else
		domu_out_line(r->out, "%" PRIu64 " block%s of %u bytes staged", blocks, blocks == 1 ? "" : "s",
		              DOMU_UNIT);
	return 0;
}

static int show_row(struct domu_out *out, const struct domu_cell *cells, size_t n, void *user)
{
	static const struct {
		const char *word, *mark;
	} marks[] = { { "added", "+ " }, { "removed", "- " }, { "modified", "M " }, { "metadata", "m " } };
	int rc = 0;

	(void)user;
	(void)n;
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (strcmp(cells[0].text, marks[i].word) == 0)
			rc = domu_out_print(out, "%s", marks[i].mark);
	if (rc == 0)
		rc = domu_out_bytes(out, cells[1].text, cells[1].len);
	return rc == 0 ? domu_out_print(out, "\n") : rc;
}

static const struct domu_layout layout = { .row = show_row };

static const struct domu_arg args[] = { { "GUEST", ARG_GUEST, COUNT_ONE }, { 0 } };
static const struct domu_column columns[] = {
	{ "change", "CHANGE", CELL_TEXT },
	{ "path", "PATH", CELL_BYTES },
	{ 0 },
};

const struct domu_command domu_cmd_diff = {
	.name = "diff",
	.topic = "history",
	.summary = "what would change if the stage were committed",
	.description =
	    "A line a file: + added, - removed, M modified, m only its metadata; then how many blocks are staged.",
	.args = args,
	.columns = columns,
	.json_key = "files",
	.example = "domu-rescue diff web1",
	.needs = NEED_GUEST | NEED_STAGE | STAGE_OPTIONAL,
	.worker = diff_worker,
	.front = diff_front,
	.layout = &layout,
};
