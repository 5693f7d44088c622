/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve-tree.c - in the worker: a guest's whole tree answered to the kernel, from the mount to its end. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fence/lib-fuse.h"
#include "fence/mount.h"
#include "fence/serve-tree.h"

#define SAY_LIMIT 50 /* messages about what is damaged */
#define FOREVER   86400.0 /* seconds: nobody but the kernel itself changes anything */
#define A_WHILE   1.0

double serve_ttl(const struct serve *s)
{
	/* The kernel does not know that what it changes by one number has another, too. */
	return !s->writable ? FOREVER : s->binds ? 0 : A_WHILE;
}

/* ---- answers ---------------------------------------------------------------------- */

void serve_fail(struct serve *s, fuse_req_t req, int rc)
{
	const char *why = s->ctx->error.message;

	if (why != NULL && rc != -ENOENT && s->said <= SAY_LIMIT && ++s->said <= SAY_LIMIT)
		domu_say(s->ctx, DOMU_WARNING, "%s", why);
	else if (why != NULL && rc != -ENOENT && s->said == SAY_LIMIT + 1)
		domu_say(s->ctx, DOMU_WARNING, "more cannot be read or done: it is not told of any more");
	domu_error_clear(s->ctx);
	/* To the kernel ENOSYS means never to ask again, and what is beyond 511 is no error. */
	fuse_reply_err(req, rc == -ENOSYS ? EOPNOTSUPP : rc < -511 || rc >= 0 ? EIO : -rc);
}

static void put_attr(const struct serve_place *p, const struct domu_stat *st, struct stat *out)
{
	memset(out, 0, sizeof *out);
	/* One device for all: what tells hard links apart by device and inode must not meet a number twice. */
	out->st_ino = st->ino | (uint64_t)p->mount << 56;
	out->st_mode = st->mode;
	out->st_nlink = st->nlink;
	out->st_uid = st->uid;
	out->st_gid = st->gid;
	out->st_rdev = makedev(st->rdev_major, st->rdev_minor);
	out->st_size = st->size <= INT64_MAX ? (off_t)st->size : INT64_MAX;
	out->st_blksize = st->block_size;
	out->st_blocks = (blkcnt_t)(st->sectors & INT64_MAX);
	out->st_atim = st->atime;
	out->st_mtim = st->mtime;
	out->st_ctim = st->ctime;
}

void serve_reply_attr(struct serve *s, fuse_req_t req, const struct serve_place *p, int rc)
{
	struct domu_stat st;
	struct stat attr;

	if (rc == 0)
		rc = domu_fs_stat(p->fs, p->ino, &st);
	if (rc != 0) {
		serve_fail(s, req, rc);
		return;
	}
	put_attr(p, &st, &attr);
	fuse_reply_attr(req, &attr, serve_ttl(s));
}

void serve_moved(struct serve *s, struct serve_node *n, fuse_ino_t parent)
{
	int old = serve_depth(s, n->parent), depth = serve_depth(s, parent);

	if (!n->several || old < 0 || (depth >= 0 && depth < old))
		n->parent = parent;
}

/*
 * In which directory it is.  Of what has several names, whatever the count of
 * them on the disk says, the one nearest to the root: with fewer ".." a link
 * may lead elsewhere in the guest, with more it would lead out.
 */
static void note_parent(struct serve *s, fuse_ino_t id, fuse_ino_t parent, const struct domu_stat *st)
{
	struct serve_node *n;

	if (id == FUSE_ROOT_ID || (!S_ISDIR(st->mode) && !S_ISLNK(st->mode)))
		return;
	n = serve_node_get(s, id, true);
	if (n == NULL)
		return;
	if (n->lookups++ == 0)
		n->parent = parent;
	n->several = n->several || n->parent != parent;
	serve_moved(s, n, parent);
}

int serve_entry(struct serve *s, fuse_ino_t parent, const struct serve_place *dir, const char *name,
                struct fuse_entry_param *e)
{
	struct serve_place p = *dir;
	struct domu_stat st;
	int rc = domu_fs_lookup(dir->fs, dir->ino, name, &p.ino);

	memset(e, 0, sizeof *e);
	if (rc == 0)
		rc = domu_tree_cross(s->tree, &p.mount, &p.ino, &p.fs);
	if (rc == 0)
		rc = domu_fs_stat(p.fs, p.ino, &st);
	if (rc != 0)
		return rc;
	e->ino = serve_id(s, &p);
	/* The root inside itself. */
	if (e->ino == 0 || e->ino == FUSE_ROOT_ID)
		return -EIO;
	e->generation = st.generation;
	e->attr_timeout = e->entry_timeout = serve_ttl(s);
	put_attr(&p, &st, &e->attr);
	note_parent(s, e->ino, parent, &st);
	return 0;
}

void serve_forget(struct serve *s, fuse_ino_t id, uint64_t n)
{
	struct serve_node *node = serve_node_get(s, id, false);

	if (node == NULL)
		return;
	node->lookups -= n < node->lookups ? n : node->lookups;
	serve_node_drop(s, node);
}

/* ---- from the mount to its end --------------------------------------------------------- */

static void op_init(void *user, struct fuse_conn_info *conn)
{
	const unsigned want = FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_WRITE |
	                      FUSE_CAP_SPLICE_MOVE | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_EXPORT_SUPPORT |
	                      FUSE_CAP_DONT_MASK;

	(void)user;
	/* Without writeback cache a write is in the stage before it returns, and an error is the writer's own. */
	conn->want = conn->capable & want;
	conn->max_read = DOMU_TREE_IO;
	conn->max_write = DOMU_TREE_IO;
	conn->max_readahead = DOMU_TREE_IO;
}

static int open_session(struct serve *s)
{
	struct fuse_lowlevel_ops ops = { .init = op_init };
	char name[] = "domu-rescue", option[32], fd[32];
	char *argv[] = { name, option, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);

	serve_read_ops(&ops);
	if (s->writable)
		serve_write_ops(&ops);
	s->buf = malloc(DOMU_TREE_IO);
	if (s->buf == NULL)
		return domu_nomem(s->ctx);
	snprintf(option, sizeof option, "-omax_read=%u", DOMU_TREE_IO);
	snprintf(fd, sizeof fd, "/dev/fd/%d", s->fuse_fd);
	s->session = fuse_session_new(&args, &ops, sizeof ops, s);
	fuse_opt_free_args(&args);
	if (s->session == NULL || fuse_session_mount(s->session, fd) != 0)
		return domu_fail(s->ctx, DOMU_FAILED, -EIO, "libfuse does not take the mount");
	return 0;
}

/* One request.  False: the mount is gone. */
static bool answer(struct serve *s)
{
	int n = fuse_session_receive_buf(s->session, &s->request);

	if (n == -EINTR || n == -EAGAIN)
		return true;
	if (n <= 0)
		return false;
	domu_error_clear(s->ctx);
	fuse_session_process_buf(s->session, &s->request);
	return !fuse_session_exited(s->session);
}

/* Until the mount is gone, or the front wants no more: then what was asked before is still answered. */
static void loop(struct serve *s)
{
	struct pollfd p[] = { { .fd = s->fuse_fd, .events = POLLIN }, { .fd = s->stop_fd, .events = POLLIN } };

	for (;;) {
		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if ((p[0].revents & POLLIN) != 0) {
			if (!answer(s))
				return;
			continue;
		}
		if (p[0].revents != 0 || p[1].revents != 0)
			return;
	}
}

static int serve_all(struct serve *s)
{
	int rc = open_session(s);

	if (rc == 0) {
		loop(s);
		serve_write_end(s);
	}
	domu_error_clear(s->ctx);
	free(s->request.mem);
	free(s->buf);
	serve_nodes_free(s);
	return rc;
}

int domu_op_export_open(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	const char *use = domu_msg_get_str(req);
	struct domu_tree *t;
	int rc = domu_work_tree(w, use, &t);

	(void)reply;
	return rc == 0 ? domu_tree_enter_all(t) : rc;
}

int domu_op_export(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct serve s = { .ctx = w->ctx, .tree = w->tree };
	int rc;

	(void)reply;
	s.dir = domu_msg_get_str(req);
	s.writable = domu_msg_get_u64(req) != 0;
	s.raw_links = domu_msg_get_u64(req) != 0;
	s.fuse_fd = domu_msg_take_fd(req);
	s.stop_fd = domu_msg_take_fd(req);
	if (req->err != 0 || s.dir == NULL || s.fuse_fd < 0 || s.stop_fd < 0 || s.tree == NULL)
		rc = domu_fail(w->ctx, DOMU_FAILED, -EBADMSG, "the export's server was not told what to show");
	else
		rc = domu_tree_mounts(s.tree, &s.mounts, &s.n_mounts);
	for (size_t i = 0; rc == 0 && i < s.n_mounts; i++)
		s.binds = s.binds || s.mounts[i].bind;
	if (rc == 0)
		rc = serve_all(&s);
	if (s.fuse_fd >= 0)
		close(s.fuse_fd);
	if (s.stop_fd >= 0)
		close(s.stop_fd);
	return rc;
}
