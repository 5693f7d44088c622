/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-copy.c - cp's halves in the worker: inside a guest, out of it and into it. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/change.h"
#include "shell/copy.h"
#include "shell/cp-tell.h"
#include "task/treeio-links.h"
#include "task/treeio.h"

/* Where a copy goes: DST as it was walked, and whether it is a directory to go into. */
struct destination {
	struct domu_path path;
	bool inside;
};

/* ---- where ------------------------------------------------------------------------------ */

static int find_destination(struct domu_ctx *ctx, struct domu_tree *t, const char *cwd, const char *path,
                            unsigned flags, struct destination *d)
{
	int rc = domu_path_walk(t, cwd, path, DOMU_WALK_PARENT, &d->path);

	if (rc != 0)
		return rc;
	d->inside = d->path.ino != 0 && S_ISDIR(d->path.st.mode) && (flags & DOMU_TREEIO_NO_TARGET_DIR) == 0;
	if (d->path.ino == 0 && d->path.slash && (flags & DOMU_TREEIO_RECURSIVE) == 0)
		return domu_fail(ctx, DOMU_FAILED, -ENOTDIR, "cannot create regular file '%s': not a directory", path);
	return 0;
}

/* The path of the directory: path, or what that is in. */
static void set_path(struct domu_treeio_into *into, const char *path, bool above)
{
	into->path = path;
	into->path_len = above ? (size_t)(strrchr(path, '/') - path) : strcmp(path, "/") == 0 ? 0 : strlen(path);
}

/* base: the source's last name; NULL: the stream's. */
static void fill_into(struct domu_tree *t, const struct destination *d, const char *base, struct domu_treeio_into *into)
{
	bool dots = base != NULL && (strcmp(base, ".") == 0 || strcmp(base, "..") == 0 || base[0] == '\0');

	*into = (struct domu_treeio_into){ .tree = t, .fs = d->path.fs, .mount = d->path.mount };
	if (d->inside) {
		/* cp -r dir/. DST: what is in dir goes into DST itself. */
		into->dir = d->path.ino;
		into->name = dots ? "." : base;
	} else if (d->path.ino != 0 && strcmp(d->path.name, "/") == 0) {
		into->dir = d->path.ino; /* -T onto the root of a filesystem */
		into->name = ".";
	} else {
		into->dir = d->path.dir;
		into->name = d->path.name;
	}
	set_path(into, d->path.path, into->dir != d->path.ino);
}

/* ---- inside one guest ----------------------------------------------------------------------- */

unsigned domu_cp_flags(const struct domu_args *args)
{
	char links = domu_args_last(args, "HLPda");
	unsigned flags = 0;

	if (domu_args_flag(args, "archive"))
		flags |= DOMU_TREEIO_ARCHIVE;
	if (domu_args_flag(args, "recursive") || domu_args_flag(args, "R"))
		flags |= DOMU_TREEIO_RECURSIVE;
	if (domu_args_flag(args, "p"))
		flags |= DOMU_TREEIO_PRESERVE;
	if (domu_args_flag(args, "d"))
		flags |= DOMU_TREEIO_LINKS;
	if (links == 'H' || links == 'L')
		flags = (flags & ~(unsigned)DOMU_TREEIO_NO_FOLLOW) | DOMU_TREEIO_FOLLOW |
		        (links == 'L' ? DOMU_TREEIO_FOLLOW_ALL : 0);
	else if (links != 0)
		flags |= DOMU_TREEIO_NO_FOLLOW;
	if (domu_args_flag(args, "update"))
		flags |= DOMU_TREEIO_UPDATE;
	if (domu_args_flag(args, "one-file-system"))
		flags |= DOMU_TREEIO_ONE_FS;
	if (domu_args_flag(args, "no-clobber"))
		flags |= DOMU_TREEIO_NO_CLOBBER;
	if (domu_args_flag(args, "no-target-directory"))
		flags |= DOMU_TREEIO_NO_TARGET_DIR;
	return flags;
}

/* The source must not be what it is copied onto, nor hold it. */
static int check_same(struct domu_run *r, struct domu_tree *t, const struct domu_path *from,
                      const struct domu_treeio_into *into, const struct destination *d)
{
	struct domu_fs *fs = into->fs;
	uint64_t ino = 0;
	int rc;

	(void)t;
	if (S_ISDIR(from->st.mode)) {
		if (domu_path_below(d->path.path, from->path) && (d->inside || strcmp(d->path.path, from->path) != 0))
			return domu_fail(r->ctx, DOMU_FAILED, -EINVAL,
			                 "%s: cannot copy a directory, '%s', into itself, '%s'", r->cmd->name,
			                 from->path, d->path.path);
		if (strcmp(d->path.path, from->path) != 0)
			return 0;
	}
	if (strcmp(into->name, ".") == 0) {
		ino = into->dir;
	} else {
		rc = domu_fs_lookup(fs, into->dir, into->name, &ino);
		if (rc == -ENOENT) {
			domu_error_clear(r->ctx);
			return 0;
		}
		if (rc != 0)
			return domu_change_fail(r, rc, "'%s'", d->path.path);
	}
	if (from->fs != fs || from->ino != ino)
		return 0;
	return domu_fail(r->ctx, DOMU_FAILED, -EINVAL, "%s: '%s' and '%s' are the same file", r->cmd->name, from->path,
	                 d->path.path);
}

struct cp_job {
	struct domu_tree *tree;
	struct destination to;
	struct domu_path from;
	unsigned flags;
	size_t n_sources;
	struct domu_links links; /* of all sources: a file that has names in two of them stays one */
	struct domu_sink sink; /* for all of them; priv NULL: not yet */
	struct domu_cp_tell *tell; /* of sink; NULL: without -v */
};

/* The sink that a source's tree goes into. */
static int take_sink(struct domu_run *r, struct cp_job *job, const struct domu_treeio_into *into,
                     struct domu_sink **sink)
{
	int rc = 0;

	if (job->sink.priv == NULL)
		rc = domu_treeio_to_guest(r->ctx, into, job->flags, &job->sink);
	if (rc == 0 && job->tell == NULL && domu_args_flag(r->args, "v"))
		rc = domu_cp_tell_new(r->ctx, r->out, &job->sink, &job->tell);
	if (rc == 0)
		domu_treeio_guest_next(&job->sink, into->name);
	*sink = job->tell != NULL ? domu_cp_tell_sink(job->tell) : &job->sink;
	return rc;
}

static int copy_one(struct domu_run *r, size_t operand, void *user)
{
	struct cp_job *job = user;
	bool follow = domu_treeio_follows(job->flags);
	struct domu_treeio_into into;
	struct domu_sink *sink;
	const char *from, *name;
	char base[256];
	int rc;

	if (operand >= job->n_sources)
		return 0;
	rc = domu_change_walk(r, operand, follow ? 0 : DOMU_WALK_NOFOLLOW, &job->from);
	if (rc == 0)
		rc = domu_change_base(r, domu_change_shown(r, operand), base);
	if (rc != 0)
		return rc;
	fill_into(job->tree, &job->to, base, &into);
	rc = check_same(r, job->tree, &job->from, &into, &job->to);
	if (rc == 0)
		rc = take_sink(r, job, &into, &sink);
	from = domu_change_shown(r, operand);
	name = into.name;
	if (rc == 0 && job->tell != NULL)
		domu_cp_tell_next(job->tell, &(struct domu_cp_shown){ .from = &from,
		                                                      .names = &name,
		                                                      .n = 1,
		                                                      .to = domu_change_shown(r, job->n_sources),
		                                                      .inside = job->to.inside });
	if (rc == 0)
		rc = domu_treeio_from_guest(r->ctx, job->tree, &job->from, NULL, job->flags, &job->links, sink);
	/* What a source that failed left open is not gone on with. */
	if (rc != 0 && job->sink.priv != NULL) {
		domu_treeio_guest_free(&job->sink);
		domu_links_free(&job->links);
	}
	return rc;
}

int domu_cp_worker(struct domu_run *r)
{
	size_t n = domu_args_count(r->args);
	struct cp_job *job = calloc(1, sizeof *job);
	const char *dst;
	int rc = job != NULL ? domu_work_tree(r->work, r->use, &job->tree) : domu_nomem(r->ctx);

	if (rc != 0)
		goto out;
	if (n < 2 || domu_run_path(r, n - 1) == NULL) {
		rc = domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "%s: name what to copy, and where to", r->cmd->name);
		goto out;
	}
	job->n_sources = n - 1;
	job->flags = domu_cp_flags(r->args);
	dst = domu_run_path(r, n - 1);
	rc = find_destination(r->ctx, job->tree, r->cwd, dst, job->flags, &job->to);
	if (rc == 0 && n > 2 && !job->to.inside)
		rc = domu_fail(r->ctx, DOMU_USAGE, -ENOTDIR, "%s: target '%s' is not a directory", r->cmd->name, dst);
	if (rc == 0)
		rc = domu_run_each(r, 0, copy_one, job);
out:
	if (job != NULL && job->sink.priv != NULL)
		domu_treeio_guest_free(&job->sink);
	if (job != NULL) {
		domu_links_free(&job->links);
		domu_cp_tell_free(job->tell);
	}
	free(job);
	return rc;
}

int domu_copy_across(struct domu_run *r, const struct domu_path *from, const struct domu_path *to)
{
	struct domu_treeio_into into = { .fs = to->fs, .mount = to->mount, .dir = to->dir, .name = to->name };
	const char *source = from->path, *name = to->name;
	struct domu_cp_tell *tell = NULL;
	struct domu_sink sink;
	int rc = domu_work_tree(r->work, r->use, &into.tree);

	set_path(&into, to->path, true);
	if (rc == 0)
		rc = domu_treeio_to_guest(r->ctx, &into, DOMU_TREEIO_ARCHIVE, &sink);
	if (rc != 0)
		return rc;
	if (domu_args_flag(r->args, "v"))
		rc = domu_cp_tell_new(r->ctx, r->out, &sink, &tell);
	if (tell != NULL)
		domu_cp_tell_next(tell, &(struct domu_cp_shown){
		                            .from = &source, .names = &name, .n = 1, .to = to->path, .moved = true });
	if (rc == 0)
		rc = domu_treeio_from_guest(r->ctx, into.tree, from, NULL, DOMU_TREEIO_ARCHIVE, NULL,
		                            tell != NULL ? domu_cp_tell_sink(tell) : &sink);
	domu_cp_tell_free(tell);
	domu_treeio_guest_free(&sink);
	return rc;
}

/* ---- out of the guest and into it ---------------------------------------------------------- */

#define MAX_PATHS 100000u

/* paths: of what is copied, or where to; names: what it is called there. */
struct op_words {
	const char *cwd, *use, *to; /* to: the destination, as it is shown */
	const char **paths, **names; /* n_paths, n_names, each ended by NULL */
	const char **shown; /* sources for -v; n_shown is n_names, or 0: without it */
	uint64_t n_paths, n_names, n_shown, flags;
	int fd;
};

static const char **get_list(struct domu_msg *req, uint64_t *n)
{
	const char **v;

	*n = domu_msg_get_u64(req);
	if (req->err != 0 || *n > MAX_PATHS)
		return NULL;
	v = calloc((size_t)*n + 1, sizeof *v);
	for (uint64_t i = 0; v != NULL && i < *n; i++) {
		v[i] = domu_msg_get_str(req);
		if (v[i] == NULL)
			*n = i;
	}
	return v;
}

static void free_words(struct op_words *o)
{
	free(o->paths);
	free(o->names);
	free(o->shown);
	if (o->fd >= 0)
		close(o->fd);
}

static int get_words(struct domu_work *w, struct domu_msg *req, struct op_words *o)
{
	*o = (struct op_words){ .cwd = domu_msg_get_str(req), .fd = -1 };
	o->use = domu_msg_get_str(req);
	o->to = domu_msg_get_str(req);
	o->paths = get_list(req, &o->n_paths);
	o->names = get_list(req, &o->n_names);
	o->shown = get_list(req, &o->n_shown);
	o->flags = domu_msg_get_u64(req);
	o->fd = domu_msg_take_fd(req);
	if (req->err != 0 || o->paths == NULL || o->names == NULL || o->shown == NULL ||
	    (o->n_shown != 0 && o->n_shown != o->n_names) || o->n_paths == 0 || o->n_names == 0 || o->fd < 0) {
		free_words(o);
		return domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "a request that the worker cannot read");
	}
	return 0;
}

int domu_op_tree_out(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct domu_path *p = malloc(sizeof *p);
	struct domu_links links = { 0 };
	struct domu_sink sink = { 0 };
	struct domu_tree *t;
	struct op_words o;
	bool follow;
	int rc = get_words(w, req, &o);

	(void)reply;
	if (rc != 0) {
		free(p);
		return rc;
	}
	follow = domu_treeio_follows((unsigned)o.flags);
	rc = p != NULL ? domu_treeio_to_stream(w->ctx, o.fd, &sink) : domu_nomem(w->ctx);
	if (rc != 0)
		goto out;
	rc = domu_work_tree(w, o.use, &t);
	for (uint64_t i = 0; rc == 0 && i < o.n_paths; i++) {
		rc = domu_path_walk(t, o.cwd, o.paths[i], follow ? 0 : DOMU_WALK_NOFOLLOW, p);
		if (rc == 0)
			rc = domu_treeio_from_guest(w->ctx, t, p, o.n_paths > 1 ? o.names[i] : NULL,
			                            (unsigned)o.flags | DOMU_TREEIO_READ_ONLY, &links, &sink);
	}
	rc = domu_treeio_stream_end(&sink, rc);
out:
	domu_links_free(&links);
	free_words(&o);
	free(p);
	return rc;
}

static int take_stream(struct domu_work *w, const struct op_words *o, bool inside, struct domu_sink *sink)
{
	struct domu_cp_tell *tell = NULL;
	struct domu_out *out = NULL;
	int rc = 0, r2;

	if (o->n_shown > 0)
		rc = domu_out_open_send(w, NULL, false, &out);
	if (rc == 0 && out != NULL)
		rc = domu_cp_tell_new(w->ctx, out, sink, &tell);
	if (tell != NULL)
		domu_cp_tell_next(
		    tell, &(struct domu_cp_shown){
		              .from = o->shown, .names = o->names, .n = o->n_shown, .to = o->to, .inside = inside });
	if (rc == 0)
		rc = domu_treeio_from_stream(w->ctx, o->fd, o->n_names > 1 ? o->names : NULL,
		                             tell != NULL ? domu_cp_tell_sink(tell) : sink);
	domu_cp_tell_free(tell);
	r2 = out != NULL ? domu_out_close(out, NULL) : 0;
	return rc != 0 ? rc : r2;
}

int domu_op_tree_in(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct destination *d = calloc(1, sizeof *d);
	struct domu_treeio_into into;
	struct domu_sink sink = { 0 };
	struct domu_tree *t;
	struct op_words o;
	int rc = get_words(w, req, &o);

	(void)reply;
	if (rc != 0) {
		free(d);
		return rc;
	}
	rc = d != NULL ? domu_work_tree(w, o.use, &t) : domu_nomem(w->ctx);
	if (rc == 0)
		rc = find_destination(w->ctx, t, o.cwd, o.paths[0], (unsigned)o.flags, d);
	if (rc == 0 && o.n_names > 1 && !d->inside)
		rc = domu_fail(w->ctx, DOMU_USAGE, -ENOTDIR, "cp: target '%s' is not a directory", o.paths[0]);
	if (rc == 0) {
		fill_into(t, d, o.names[0], &into);
		if (o.n_names > 1)
			into.name = NULL;
		rc = domu_treeio_to_guest(w->ctx, &into, (unsigned)o.flags, &sink);
	}
	if (rc == 0)
		rc = take_stream(w, &o, d->inside, &sink);
	domu_treeio_guest_free(&sink);
	free_words(&o);
	free(d);
	return rc;
}
