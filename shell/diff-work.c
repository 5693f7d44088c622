/* SPDX-License-Identifier: GPL-3.0-or-later */
/* diff-work.c - diff in the worker: the guest's filesystems on the stage and on the disks, and both texts of a file. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "fs/compare.h"
#include "shell/diff.h"
#include "shell/fmt.h"

#define MAX_WHAT  1024
#define MAX_PATHS 1000
#define PIECE     (256u * 1024)

struct diff {
	struct domu_run *r;
	struct domu_tree *new;
	const char *device; /* being compared */
	const char **paths;
	bool *met;
	size_t n_paths;
};

/* ---- a row ------------------------------------------------------------------------------ */

static void add(char *text, const char *fmt, ...) DOMU_PRINTF(2, 3);

static void add(char *text, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	if (len > 0 && len + 2 < MAX_WHAT) {
		memcpy(text + len, ", ", 3);
		len += 2;
	}
	va_start(ap, fmt);
	vsnprintf(text + len, MAX_WHAT - len, fmt, ap);
	va_end(ap);
}

/* What differs, in words. */
static void describe(const struct domu_difference *d, char text[MAX_WHAT])
{
	const struct domu_stat *a = d->old, *b = d->new;
	unsigned what = d->what;

	text[0] = '\0';
	if ((what & DOMU_DIFFERS_UNKNOWN) != 0)
		add(text, "one of both cannot be read");
	if (what == 0 && d->new_ino == 0 && a == NULL)
		add(text, "was not readable");
	if (a == NULL || b == NULL)
		return;
	if ((what & DOMU_DIFFERS_TYPE) != 0)
		add(text, "%s, was a %s", domu_type_words(b->mode, 1), domu_type_words(a->mode, 1));
	if ((what & DOMU_DIFFERS_CONTENT) != 0 && a->size != b->size)
		add(text, "%" PRIu64 " bytes, were %" PRIu64, b->size, a->size);
	if ((what & DOMU_DIFFERS_TARGET) != 0)
		add(text, "target");
	if ((what & DOMU_DIFFERS_DEVICE) != 0)
		add(text, "device %" PRIu32 ":%" PRIu32 ", was %" PRIu32 ":%" PRIu32, b->rdev_major, b->rdev_minor,
		    a->rdev_major, a->rdev_minor);
	if ((what & DOMU_DIFFERS_MODE) != 0)
		add(text, "mode %04o, was %04o", b->mode & 07777, a->mode & 07777);
	if ((what & DOMU_DIFFERS_OWNER) != 0)
		add(text, "owner %" PRIu32 ":%" PRIu32 ", was %" PRIu32 ":%" PRIu32, b->uid, b->gid, a->uid, a->gid);
	if ((what & DOMU_DIFFERS_LINKS) != 0)
		add(text, "links %" PRIu32 ", were %" PRIu32, b->nlink, a->nlink);
	if ((what & DOMU_DIFFERS_FLAGS) != 0)
		add(text, "flags");
	if ((what & DOMU_DIFFERS_XATTRS) != 0)
		add(text, "%s", d->xattrs);
	if ((what & ~(unsigned)(DOMU_DIFFERS_TIMES | DOMU_DIFFERS_INODE | DOMU_DIFFERS_SPACE)) != 0)
		return;
	if ((what & DOMU_DIFFERS_SPACE) != 0)
		add(text, "space allocated");
	if ((what & DOMU_DIFFERS_INODE) != 0)
		add(text, "another inode");
	if ((what & DOMU_DIFFERS_TIMES) != 0)
		add(text, "times");
}

static int found(void *user, const struct domu_difference *d)
{
	const struct diff *f = user;
	const struct domu_stat *st = d->new != NULL ? d->new : d->old;
	struct domu_out *o = f->r->out;
	char what[MAX_WHAT];

	describe(d, what);
	domu_row_text(o, domu_difference_name(d->change));
	domu_row_bytes(o, d->path, strlen(d->path));
	domu_row_text(o, st != NULL ? domu_type_name(st->mode) : NULL);
	if (st != NULL && S_ISREG(st->mode))
		domu_row_number(o, st->size);
	else
		domu_row_null(o);
	domu_row_bytes(o, what, strlen(what));
	domu_row_text(o, f->device);
	domu_row_number(o, d->old_ino);
	domu_row_number(o, d->new_ino);
	domu_row_number(o, d->old != NULL ? d->old->mode : 0);
	domu_row_number(o, d->new != NULL ? d->new->mode : 0);
	domu_row_number(o, d->what);
	return domu_row_end(o);
}

const struct domu_column domu_diff_columns[] = {
	{ "change", "CHANGE", CELL_TEXT }, { "path", "PATH", CELL_BYTES }, { "type", NULL, CELL_TEXT },
	{ "size", NULL, CELL_SIZE },       { "what", NULL, CELL_BYTES },   { "", NULL, CELL_TEXT },
	{ "", NULL, CELL_NUMBER },         { "", NULL, CELL_NUMBER },      { "", NULL, CELL_NUMBER },
	{ "", NULL, CELL_NUMBER },         { "", NULL, CELL_NUMBER },      { NULL, NULL, CELL_TEXT },
};

/* ---- the filesystems ----------------------------------------------------------------------- */

/* One filesystem that cannot be compared does not keep the others from it. */
static int skip(struct diff *f, const char *device, const char *type, int rc)
{
	struct domu_ctx *ctx = f->r->ctx;

	if (rc == -ENOMEM || rc == -EINTR)
		return rc;
	/* There is one appliance a disk, and it has the stage. */
	if (rc == -EOPNOTSUPP && domu_error_status(ctx) == DOMU_UNSUPPORTED) {
		domu_say(ctx, DOMU_WARNING,
		         "%s: files of %s cannot be compared, only the blocks are counted: look with ls and cat",
		         device, type);
		domu_error_clear(ctx);
		return 0;
	}
	domu_say(ctx, DOMU_WARNING, "%s: its files cannot be compared, only its blocks are counted: %s", device,
	         ctx->error.message != NULL ? ctx->error.message : strerror(-rc));
	domu_error_clear(ctx);
	return 0;
}

static int compare_node(struct diff *f, size_t node, const char *at)
{
	const struct domu_node *n = &domu_tree_nodes(f->new)->v[node];
	struct domu_compare c = { .ctx = f->r->ctx,
		                  .at = at,
		                  .paths = f->paths,
		                  .met = f->met,
		                  .n_paths = f->n_paths,
		                  .found = found,
		                  .user = f };
	const struct domu_place place = domu_node_place(n);
	struct domu_span *spans = NULL;
	size_t n_spans;
	int rc = domu_work_spans(f->r->work, &place, &spans, &n_spans);

	free(spans);
	if (rc != 0 || n_spans == 0)
		return rc;
	rc = domu_work_sides(f->r->work, node, &c, &spans);
	f->device = n->name;
	if (rc == 0)
		rc = domu_compare(&c);
	else
		rc = skip(f, n->name, n->probe.type, rc);
	free(spans);
	return rc;
}

/* What fstab does not mount is shown by its device: @xvda3:/path. */
static int compare_others(struct diff *f, bool *done)
{
	const struct domu_nodes *nodes = domu_tree_nodes(f->new);
	char at[sizeof nodes->v->name + 8];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < nodes->n; i++) {
		if (done[i] || nodes->v[i].extended || !domu_type_is_fs(nodes->v[i].probe.type))
			continue;
		snprintf(at, sizeof at, "@%s:/", nodes->v[i].name);
		rc = compare_node(f, i, at);
	}
	return rc;
}

static int compare_all(struct diff *f)
{
	const struct domu_mount *m = NULL;
	size_t n = 0;
	bool *done = calloc(domu_tree_nodes(f->new)->n + 1, sizeof *done);
	int rc = done != NULL ? domu_tree_mounts(f->new, &m, &n) : domu_nomem(f->r->ctx);

	/* Without a root there is no fstab; each filesystem can be compared all the same. */
	if (rc != 0 && done != NULL && f->r->use == NULL && f->n_paths == 0) {
		domu_error_clear(f->r->ctx);
		rc = 0;
		n = 0;
	}
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (!done[m[i].node])
			rc = compare_node(f, m[i].node, m[i].target);
		done[m[i].node] = true;
	}
	/* In the shell "use" is where paths are looked for; a commit writes everything. */
	if (rc == 0 && (f->r->use == NULL || f->r->in_shell) && f->n_paths == 0)
		rc = compare_others(f, done);
	free(done);
	return rc;
}

/* ---- the paths asked for -------------------------------------------------------------------- */

/* Links on the way are resolved on the stage; what is there only on the disk is taken as it is written. */
static int take_path(struct diff *f, const char *word)
{
	struct domu_path *where = malloc(sizeof *where);
	char *path = NULL;
	int rc;

	if (where == NULL)
		return domu_nomem(f->r->ctx);
	rc = domu_path_walk(f->new, f->r->cwd, word, DOMU_WALK_NOFOLLOW | DOMU_WALK_PARENT, where);
	if (rc == 0) {
		path = strdup(where->path);
		f->met[f->n_paths] = where->ino != 0;
	} else if (word[0] == '/') {
		path = strdup(word);
	} else if (asprintf(&path, "%s/%s", f->r->cwd, word) < 0) {
		path = NULL;
	}
	domu_error_clear(f->r->ctx);
	free(where);
	for (size_t n = path != NULL ? strlen(path) : 0; n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	f->paths[f->n_paths] = path;
	f->n_paths += path != NULL;
	return path != NULL ? 0 : domu_nomem(f->r->ctx);
}

static int take_paths(struct diff *f)
{
	size_t n = domu_args_count(f->r->args);
	int rc = 0;

	if (n > MAX_PATHS)
		return domu_fail(f->r->ctx, DOMU_USAGE, -E2BIG, "diff: more than %d paths", MAX_PATHS);
	f->paths = calloc(n + 1, sizeof *f->paths);
	f->met = calloc(n + 1, sizeof *f->met);
	if (f->paths == NULL || f->met == NULL)
		return domu_nomem(f->r->ctx);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct domu_arg *arg = domu_args_arg(f->r->args, i);
		const char *path = domu_run_path(f->r, i);

		if (path == NULL && arg != NULL && arg->type != ARG_GUEST)
			path = domu_args_get(f->r->args, i);
		if (path != NULL)
			rc = take_path(f, path);
	}
	return rc;
}

int domu_diff_work(struct domu_run *r)
{
	struct diff f = { .r = r };
	struct domu_tree *old;
	int rc = domu_work_tree(r->work, r->use, &f.new);

	if (rc == 0)
		rc = domu_tree_flush(f.new);
	if (rc == 0)
		rc = domu_work_base_tree(r->work, -1, &old);
	if (rc == 0)
		rc = take_paths(&f);
	if (rc == 0)
		rc = compare_all(&f);
	for (size_t i = 0; rc == 0 && i < f.n_paths; i++)
		if (!f.met[i])
			rc = domu_fail(r->ctx, DOMU_NOTFOUND, -ENOENT, "%s is neither on the disk nor staged",
			               f.paths[i]);
	for (size_t i = 0; i < f.n_paths; i++)
		free((char *)f.paths[i]);
	free(f.paths);
	free(f.met);
	return rc;
}

/* ---- both texts of a file ---------------------------------------------------------------------- */

struct text {
	uint64_t size;
	bool binary;
};

static int copy_file(struct domu_work *w, struct domu_fs *fs, uint64_t ino, int fd, struct text *t)
{
	char *buf = malloc(PIECE);
	uint64_t offset = 0;
	int rc = buf != NULL ? 0 : domu_nomem(w->ctx);

	while (rc == 0 && offset < t->size) {
		size_t want = t->size - offset < PIECE ? (size_t)(t->size - offset) : PIECE;
		ssize_t n = domu_fs_read(fs, ino, buf, want, offset);

		if (n <= 0) {
			rc = (int)n;
			break;
		}
		t->binary = t->binary || memchr(buf, '\0', (size_t)n) != NULL;
		rc = domu_write_full(fd, buf, (size_t)n);
		offset += (uint64_t)n;
	}
	if (rc == 0)
		t->size = offset; /* an inode may say more */
	free(buf);
	return rc;
}

static int copy_text(struct domu_work *w, struct domu_tree *tree, const char *device, uint64_t ino, uint64_t most,
                     int fd, struct text *t)
{
	char target[4096];
	struct domu_stat st;
	struct domu_fs *fs;
	size_t node;
	int rc;

	*t = (struct text){ 0 };
	if (ino == 0)
		return 0;
	rc = domu_tree_find(tree, device, &node);
	if (rc == 0)
		rc = domu_tree_fs(tree, node, &fs);
	if (rc == 0)
		rc = domu_fs_stat(fs, ino, &st);
	if (rc != 0)
		return rc;
	t->size = st.size;
	if (S_ISLNK(st.mode)) {
		rc = domu_fs_readlink(fs, ino, target, sizeof target);
		t->size = rc > 0 ? (uint64_t)rc : 0;
		return rc < 0 ? rc : domu_write_full(fd, target, (size_t)rc);
	}
	if (!S_ISREG(st.mode))
		return domu_fail(w->ctx, DOMU_FAILED, -EINVAL, "inode %" PRIu64 " of %s has no text", ino, device);
	return t->size <= most ? copy_file(w, fs, ino, fd, t) : 0;
}

int domu_op_diff_texts(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	const char *use = domu_msg_get_str(req), *device = domu_msg_get_str(req);
	uint64_t old_ino = domu_msg_get_u64(req), new_ino = domu_msg_get_u64(req), most = domu_msg_get_u64(req);
	int old_fd = domu_msg_take_fd(req), new_fd = domu_msg_take_fd(req), rc;
	struct domu_tree *old, *new;
	struct text a, b;

	if (req->err != 0 || device == NULL || old_fd < 0 || new_fd < 0)
		rc = domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "diff-texts: malformed request");
	else
		rc = domu_work_tree(w, use, &new);
	if (rc == 0)
		rc = domu_work_base_tree(w, -1, &old);
	if (rc == 0)
		rc = copy_text(w, old, device, old_ino, most, old_fd, &a);
	if (rc == 0)
		rc = copy_text(w, new, device, new_ino, most, new_fd, &b);
	if (rc == 0) {
		domu_msg_put_u64(reply, a.size);
		domu_msg_put_u64(reply, a.binary);
		domu_msg_put_u64(reply, b.size);
		domu_msg_put_u64(reply, b.binary);
	}
	if (old_fd >= 0)
		close(old_fd);
	if (new_fd >= 0)
		close(new_fd);
	return rc;
}
