/* SPDX-License-Identifier: GPL-3.0-or-later */
/* restore.c - in the worker: the old versions of the files that a commit changed are put back, each checked before. */
#include "config.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ctx.h"
#include "fence/fence.h"
#include "task/restore.h"
#include "task/treeio.h"

/* ---- where a path leads in one filesystem: links are not followed ------------------------- */

static int look(struct domu_fs *fs, const char *path, struct place *p)
{
	int rc = 0;

	memset(p, 0, sizeof *p);
	p->dir = p->ino = fs->root;
	while (rc == 0 && path[1] != '\0') {
		size_t n = strcspn(++path, "/");
		struct domu_stat st;

		p->dir = p->ino;
		p->ino = 0;
		if (n >= sizeof p->name)
			return -ENAMETOOLONG;
		memcpy(p->name, path, n);
		p->name[n] = '\0';
		path += n;
		rc = domu_fs_stat(fs, p->dir, &st);
		if (rc == 0 && !S_ISDIR(st.mode))
			rc = -ENOTDIR;
		if (rc == 0)
			rc = domu_fs_lookup(fs, p->dir, p->name, &p->ino);
		if (rc == -ENOENT)
			p->ino = 0;
		if (*path == '\0')
			break;
	}
	if (rc == -ENOENT && *path == '\0') {
		domu_error_clear(fs->ctx);
		return 0;
	}
	if (rc == 0)
		rc = domu_fs_stat(fs, p->ino, &p->st);
	if (rc == -ENOENT || rc == -ENOTDIR) {
		domu_error_clear(fs->ctx);
		p->dir = 0;
		rc = -ENOENT;
	}
	return rc;
}

int domu_restore_look(struct domu_fs *fs, const char *path, struct place *p)
{
	return look(fs, path, p);
}

/* ---- planning: nothing is changed before all are looked at ----------------------------------- */

static void refuse(struct item *i, const char *why)
{
	i->state = ITEM_REFUSED;
	snprintf(i->why, sizeof i->why, "%s", why);
}

/* What differs between a file now and what the commit left, for a person; NULL: nothing. */
const char *domu_restore_differs(const struct domu_file *f, const struct domu_stat *now)
{
	const struct domu_stat *left = &f->new;
	unsigned what = domu_compare_stats(left, now);

	if (now->ino == 0)
		return left->ino != 0 ? "it was removed since" : NULL;
	if (left->ino == 0)
		return "there is one again";
	if ((now->mode & S_IFMT) != (left->mode & S_IFMT))
		return "it is something else now";
	if (S_ISDIR(now->mode))
		return (what & (DOMU_DIFFERS_OWNER | DOMU_DIFFERS_MODE | DOMU_DIFFERS_FLAGS)) != 0
		           ? "its owner, mode or flags have changed since"
		           : NULL;
	if ((what & DOMU_DIFFERS_INODE) != 0)
		return "it was replaced since";
	if (now->size != left->size || !domu_same_time(now->mtime, left->mtime))
		return "its content has changed since";
	return (what & ~(unsigned)DOMU_DIFFERS_SPACE) != 0 ? "its owner, mode, links or attributes have changed since"
	                                                   : NULL;
}

static bool same_old(const struct domu_stat *a, const struct domu_stat *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->size == b->size &&
	       a->generation == b->generation && domu_same_time(a->mtime, b->mtime) &&
	       domu_same_time(a->ctime, b->ctime);
}

/* A file that is not in the list: its blocks as they are now hold what they held. */
static int check_blocks(struct restore *r, struct item *i)
{
	const struct domu_file *f = i->f;
	struct domu_fs *old = r->old_fs[f->fs];
	struct domu_stat st = { 0 };
	uint64_t hash = 0;
	int rc = domu_fs_stat(old, f->old.ino, &st);

	if (rc == 0 && !same_old(&st, &f->old))
		rc = -ESTALE;
	if (rc == 0)
		rc = domu_content_hash(old, &st, UINT64_MAX, &hash);
	if (rc == 0 && hash != f->content)
		rc = -ESTALE;
	if (rc == 0 || rc == -ENOMEM || rc == -EINTR)
		return rc;
	domu_error_clear(r->ctx);
	refuse(i, "its old version is gone: its blocks were used again since");
	return 0;
}

static int check_old(struct restore *r, struct item *i, bool content)
{
	const struct domu_file *f = i->f;

	if (!f->has_xattrs)
		refuse(i, "its old attributes could not be kept");
	else if (content && !f->has_content)
		refuse(i, "its old content was too big to be kept, or could not be read");
	else if (content && S_ISREG(f->old.mode) && f->data == NULL)
		return check_blocks(r, i);
	return 0;
}

/* ---- the items by name and by inode ---------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;

	if (x->f->fs != y->f->fs)
		return x->f->fs < y->f->fs ? -1 : 1;
	return strcmp(x->f->path, y->f->path);
}

static int compare_inodes(const struct item *x, const struct item *y, bool old)
{
	uint64_t a = old ? x->f->old.ino : x->f->new.ino, b = old ? y->f->old.ino : y->f->new.ino;

	if (x->f->fs != y->f->fs)
		return x->f->fs < y->f->fs ? -1 : 1;
	return a < b ? -1 : a > b;
}

static int by_old(const void *a, const void *b)
{
	return compare_inodes(*(struct item *const *)a, *(struct item *const *)b, true);
}

static int by_new(const void *a, const void *b)
{
	return compare_inodes(*(struct item *const *)a, *(struct item *const *)b, false);
}

static struct item **sorted(struct restore *r, int (*order)(const void *a, const void *b))
{
	struct item **v = calloc(r->n + 1, sizeof(struct item *));

	for (size_t i = 0; v != NULL && i < r->n; i++)
		v[i] = &r->items[i];
	if (v != NULL && r->n > 1)
		qsort(v, r->n, sizeof *v, order);
	return v;
}

struct item **domu_restore_inode(const struct restore *r, bool old, size_t fs, uint64_t ino, size_t *n)
{
	struct domu_file f = { .fs = fs, .old.ino = ino, .new.ino = ino };
	const struct item key = { .f = &f };
	struct item **v = old ? r->by_old : r->by_new;
	size_t lo = 0, hi = r->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare_inodes(v[mid], &key, old) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*n = 0;
	while (ino != 0 && lo + *n < r->n && compare_inodes(v[lo + *n], &key, old) == 0)
		++*n;
	return v + lo;
}

static struct item *find_item(struct restore *r, size_t fs, const char *path)
{
	struct domu_file f = { .fs = fs, .path = (char *)(uintptr_t)path };
	struct item it = { .f = &f }, *key = &it, **found;

	found = bsearch(&key, r->by_path, r->n, sizeof(struct item *), by_path);
	return found != NULL ? *found : NULL;
}

/* ---- planning, where files depend on each other ------------------------------------------------ */

/* The inode that the old name was of lives on under another name: a rename, or one of several names. */
static bool lives_on(struct restore *r, struct item *i)
{
	const struct domu_stat *old = &i->f->old;
	struct item **v;
	size_t n;

	if (S_ISDIR(old->mode))
		return false;
	v = domu_restore_inode(r, false, i->f->fs, old->ino, &n);
	for (size_t k = 0; k < n; k++) {
		const struct domu_stat *new = &v[k]->f->new;

		if (new->generation == old->generation &&
		    v[k]->state == ITEM_PLANNED &&new->size == old->size &&domu_same_time(new->mtime, old->mtime)) {
			i->link_to = old->ino;
			return true;
		}
	}
	return false;
}

/* A directory that will be made again before what is in it. */
static bool parent_comes(struct restore *r, const struct item *i)
{
	char *dir = strdup(i->f->path);
	struct item *parent;

	if (dir == NULL)
		return false;
	dir[strrchr(dir, '/') == dir ? 1 : strrchr(dir, '/') - dir] = '\0';
	parent = find_item(r, i->f->fs, dir);
	free(dir);
	return parent != NULL && parent->f->change == DOMU_IS_REMOVED && S_ISDIR(parent->f->old.mode) &&
	       parent->state == ITEM_PLANNED;
}

static void plan_here(struct item *i, const struct place *p)
{
	const struct domu_file *f = i->f;
	const char *why = domu_restore_differs(f, &p->st);

	if (f->change == DOMU_IS_ADDED && p->ino == 0)
		i->state = ITEM_NOTHING; /* it is not there, as before */
	else if (why != NULL)
		refuse(i, why);
	else if (f->old.ino != 0 && f->new.ino != 0 && S_ISDIR(f->old.mode) != S_ISDIR(f->new.mode))
		refuse(i, "only one of its versions is a directory: undo without --files");
}

static int plan_one(struct restore *r, struct item *i)
{
	const struct domu_file *f = i->f;
	struct place p;
	int rc = look(r->fs[f->fs], f->path, &p);

	i->state = ITEM_PLANNED;
	if (rc == -ENOENT && f->change == DOMU_IS_ADDED) {
		i->state = ITEM_NOTHING;
		return 0;
	}
	if (rc == -ENOENT && !(f->change == DOMU_IS_REMOVED && parent_comes(r, i))) {
		refuse(i, "the directory that it was in is gone");
		return 0;
	}
	if (rc != 0 && rc != -ENOENT)
		return rc;
	i->in_missing = rc == -ENOENT;
	if (rc == 0)
		plan_here(i, &p);
	return 0;
}

/* After plan_one() of all: what can be had from an inode that is there needs no old blocks. */
static int plan_old(struct restore *r, struct item *i)
{
	const struct domu_file *f = i->f;
	bool folder = S_ISDIR(f->old.mode), content;

	if (i->state != ITEM_PLANNED || f->change == DOMU_IS_ADDED)
		return 0;
	/* Directories come before what is in them: this one may have been refused just now. */
	if (i->in_missing && !parent_comes(r, i)) {
		refuse(i, "the directory that it was in cannot be made again");
		return 0;
	}
	content = f->change != DOMU_IS_METADATA && !folder;
	if (f->change == DOMU_IS_REMOVED && lives_on(r, i))
		content = false;
	return check_old(r, i, content);
}

/* A name that goes must not be the last of an inode that could not be given its old name back. */
static void plan_removals(struct restore *r)
{
	for (size_t k = 0; k < r->n; k++) {
		const struct item *lost = &r->items[k];
		struct item **v;
		size_t n;

		if (lost->state != ITEM_REFUSED || lost->f->change != DOMU_IS_REMOVED)
			continue;
		v = domu_restore_inode(r, false, lost->f->fs, lost->f->old.ino, &n);
		for (size_t i = 0; i < n; i++)
			if (v[i]->state == ITEM_PLANNED && v[i]->f->change == DOMU_IS_ADDED &&
			    v[i]->f->new.generation == lost->f->old.generation)
				refuse(v[i], "its old name cannot be given back");
	}
}

/* ---- the request ------------------------------------------------------------------------------ */

static int open_fs(struct restore *r, size_t i, struct domu_tree *t, struct domu_fs **fs)
{
	const struct domu_files_fs *f = &r->files.fs[i];
	size_t node;
	int rc = domu_tree_find(t, f->node, &node);

	if (rc == 0 && strcmp(domu_tree_nodes(t)->v[node].probe.uuid, f->uuid) != 0)
		return domu_fail(r->ctx, DOMU_FAILED, -ESTALE,
		                 "%s holds another filesystem than when the commit was made: nothing was written",
		                 f->node);
	return rc == 0 ? domu_tree_fs(t, node, fs) : rc;
}

static int open_all(struct restore *r)
{
	int rc = 0;

	r->fs = calloc(r->files.n_fs + 1, sizeof(struct domu_fs *));
	r->old_fs = calloc(r->files.n_fs + 1, sizeof(struct domu_fs *));
	r->items = calloc(r->files.n + 1, sizeof *r->items);
	if (r->fs == NULL || r->old_fs == NULL || r->items == NULL)
		return domu_nomem(r->ctx);
	for (size_t i = 0; rc == 0 && i < r->files.n_fs; i++) {
		rc = open_fs(r, i, r->tree, &r->fs[i]);
		if (rc == 0 && r->old != NULL)
			rc = open_fs(r, i, r->old, &r->old_fs[i]);
	}
	for (r->n = 0; rc == 0 && r->n < r->files.n; r->n++)
		r->items[r->n].f = &r->files.v[r->n];
	r->by_path = sorted(r, by_path);
	r->by_old = sorted(r, by_old);
	r->by_new = sorted(r, by_new);
	if (rc == 0 && (r->by_path == NULL || r->by_old == NULL || r->by_new == NULL))
		rc = domu_nomem(r->ctx);
	return rc;
}

/* As diff tells it. */
static void put_path(struct domu_msg *m, const struct restore *r, const struct domu_file *f)
{
	const struct domu_files_fs *fs = &r->files.fs[f->fs];
	char *device = NULL, *shown = NULL;
	const char *at = fs->target;

	if (at == NULL && asprintf(&device, "@%s:/", fs->node) < 0)
		device = NULL;
	if (at == NULL)
		at = device != NULL ? device : "/";
	if (f->path[1] != '\0')
		shown = domu_compare_join(at, f->path + 1);
	domu_msg_put_str(m, shown != NULL ? shown : f->path[1] != '\0' ? f->path : at);
	free(shown);
	free(device);
}

static void put_results(const struct restore *r, struct domu_msg *m)
{
	uint64_t done = 0, refused = 0, shown;

	for (size_t i = 0; i < r->n; i++) {
		done += r->items[i].state == ITEM_PLANNED;
		refused += r->items[i].state == ITEM_REFUSED;
	}
	shown = done + refused < DOMU_RESTORE_SHOWN ? done + refused : DOMU_RESTORE_SHOWN;
	domu_msg_put_u64(m, done);
	domu_msg_put_u64(m, refused);
	domu_msg_put_u64(m, shown);
	/* Those that are refused first: they are what somebody has to look at. */
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < r->n && shown > 0; i++) {
			const struct item *it = &r->items[i];

			if (it->state != (pass == 0 ? ITEM_REFUSED : ITEM_PLANNED))
				continue;
			put_path(m, r, it->f);
			domu_msg_put_u64(m, it->f->change);
			domu_msg_put_str(m, it->state == ITEM_REFUSED ? it->why : NULL);
			shown--;
		}
	}
}

static void close_all(struct restore *r)
{
	free(r->by_path);
	free(r->by_old);
	free(r->by_new);
	domu_work_base_close(r->work);
	domu_files_free(&r->files);
	free(r->fs);
	free(r->old_fs);
	free(r->items);
}

static int begin(struct restore *r, struct domu_work *w, struct domu_msg *req, bool with_old)
{
	int files_fd = domu_msg_take_fd(req), log_fd = with_old ? domu_msg_take_fd(req) : -1, rc = 0;

	r->ctx = w->ctx;
	r->work = w;
	if (req->err != 0 || files_fd < 0 || (with_old && log_fd < 0))
		rc = domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "a request that the worker cannot read");
	if (rc == 0)
		rc = domu_files_read(w->ctx, files_fd, &r->files);
	if (files_fd >= 0)
		close(files_fd);
	if (rc == 0)
		rc = domu_work_tree(w, NULL, &r->tree);
	if (rc == 0 && with_old) {
		rc = domu_work_base_tree(w, log_fd, &r->old);
		log_fd = -1;
	}
	if (log_fd >= 0)
		close(log_fd);
	return rc == 0 ? open_all(r) : rc;
}

int domu_op_files_differ(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct restore r = { 0 };
	int rc = begin(&r, w, req, false);

	for (size_t i = 0; rc == 0 && i < r.n; i++) {
		struct item *it = &r.items[i];
		struct place p;

		rc = look(r.fs[it->f->fs], it->f->path, &p);
		if (rc == -ENOENT) {
			memset(&p, 0, sizeof p);
			rc = 0;
		}
		if (rc == 0) {
			const char *why = domu_restore_differs(it->f, &p.st);

			it->state = ITEM_PLANNED;
			if (why != NULL)
				refuse(it, why);
		}
	}
	if (rc == 0)
		put_results(&r, reply);
	close_all(&r);
	return rc;
}

int domu_op_files_restore(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct restore r = { 0 };
	int rc = begin(&r, w, req, true);

	for (size_t i = 0; rc == 0 && i < r.n; i++)
		rc = plan_one(&r, &r.items[i]);
	for (size_t i = 0; rc == 0 && i < r.n; i++)
		rc = plan_old(&r, &r.items[i]);
	if (rc == 0)
		plan_removals(&r);
	if (rc == 0)
		rc = domu_restore_do(&r);
	if (rc == 0)
		put_results(&r, reply);
	close_all(&r);
	return rc;
}
