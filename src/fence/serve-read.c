/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve-read.c - what the kernel asks of a guest's tree to show it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fence/lib-fuse.h"
#include "fence/serve-tree.h"

#define MAX_LISTED  (UINT64_C(256) << 20) /* bytes of all directories that are open */
#define SPLICE_FROM 32768u /* bytes: below it a copy is as fast */
#define MAX_NAMES   65536u /* bytes in a list of attributes' names: the kernel takes no more */

/* ---- inodes ---------------------------------------------------------------------------- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct serve *s = fuse_req_userdata(req);
	struct fuse_entry_param e = { 0 };
	struct serve_place dir;
	int rc = serve_find(s, parent, &dir);

	if (rc == 0)
		rc = serve_entry(s, parent, &dir, name, &e);
	if (rc == -ENOENT) {
		/* That it is not there may be remembered. */
		domu_error_clear(s->ctx);
		memset(&e, 0, sizeof e);
		e.entry_timeout = serve_ttl(s);
		rc = 0;
	}
	if (rc != 0)
		serve_fail(s, req, rc);
	else if (fuse_reply_entry(req, &e) != 0 && e.ino != 0)
		serve_forget(s, e.ino, 1);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	serve_forget(fuse_req_userdata(req), ino, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *v)
{
	for (size_t i = 0; i < count; i++)
		serve_forget(fuse_req_userdata(req), v[i].ino, v[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place p;
	int rc = serve_find(s, ino, &p);

	(void)fi;
	serve_reply_attr(s, req, &p, rc);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct serve *s = fuse_req_userdata(req);
	char target[4096], shown[4096];
	struct serve_place p;
	int rc = serve_find(s, ino, &p);

	if (rc == 0)
		rc = domu_fs_readlink(p.fs, p.ino, target, sizeof target);
	if (rc >= 0 && !s->raw_links)
		rc = serve_link(s, ino, target, shown, sizeof shown);
	if (rc < 0)
		serve_fail(s, req, rc);
	else
		fuse_reply_readlink(req, s->raw_links ? target : shown);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct serve *s = fuse_req_userdata(req);
	struct domu_statfs sf;
	struct serve_place p;
	struct statvfs out;
	int rc = serve_find(s, ino, &p);

	if (rc == 0)
		rc = domu_fs_statfs(p.fs, &sf);
	if (rc != 0) {
		serve_fail(s, req, rc);
		return;
	}
	memset(&out, 0, sizeof out);
	out.f_bsize = out.f_frsize = sf.block_size != 0 ? sf.block_size : 4096;
	out.f_blocks = sf.size / out.f_frsize;
	out.f_bfree = sf.free / out.f_frsize;
	out.f_bavail = sf.avail / out.f_frsize;
	out.f_files = sf.files;
	out.f_ffree = out.f_favail = sf.files_free;
	out.f_namemax = 255;
	fuse_reply_statfs(req, &out);
}

/* ---- files -------------------------------------------------------------------------------- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_node *n = NULL;

	if (!s->writable && (fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	fi->keep_cache = !s->writable || !s->binds;
	if (s->writable && (n = serve_node_get(s, ino, true)) == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (n != NULL)
		n->opens++;
	if (fuse_reply_open(req, fi) != 0)
		serve_closed(s, ino);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	serve_closed(fuse_req_userdata(req), ino);
	fuse_reply_err(req, 0);
}

/* Where all of it is in one piece of the disk it goes from there to the reader without a copy here. */
static bool spliced(fuse_req_t req, const struct serve_place *p, size_t len, uint64_t offset)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT(len);
	struct domu_stat st;
	uint64_t at, run, pos;
	int fd;

	if (len < SPLICE_FROM || p->fs->block == NULL || domu_fs_stat(p->fs, p->ino, &st) != 0 || st.size < offset ||
	    st.size - offset < len)
		return false;
	if (domu_fs_extent(p->fs, p->ino, offset, len, &at, &run) != 0 || run != len || at == UINT64_MAX)
		return false;
	if (domu_block_map(p->fs->block, at, len, &fd, &pos, &run) != 0 || run != len)
		return false;
	v.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	v.buf[0].fd = fd;
	v.buf[0].pos = (off_t)pos;
	fuse_reply_data(req, &v, FUSE_BUF_SPLICE_MOVE);
	return true;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t offset, struct fuse_file_info *fi)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place p;
	ssize_t n = serve_find(s, ino, &p);
	size_t done = 0;

	(void)fi;
	if (len > DOMU_TREE_IO)
		len = DOMU_TREE_IO;
	if (n == 0 && spliced(req, &p, len, (uint64_t)offset))
		return;
	domu_error_clear(s->ctx);
	/* To the kernel a short answer is the end of the file: what fails half way it asks for again by the page. */
	while (n >= 0 && done < len) {
		n = domu_fs_read(p.fs, p.ino, s->buf + done, len - done, (uint64_t)offset + done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (n < 0)
		serve_fail(s, req, (int)n);
	else
		fuse_reply_buf(req, s->buf, done);
}

/* The first byte from *at on that is in a hole, or in none; -ENXIO: there is none before the end. */
static int seek(const struct serve_place *p, uint64_t size, bool hole, uint64_t *at)
{
	while (*at < size) {
		uint64_t where, run;
		int rc = domu_fs_extent(p->fs, p->ino, *at, size - *at, &where, &run);

		if (rc != 0)
			return rc;
		if ((where == UINT64_MAX) == hole)
			return 0;
		*at += run;
	}
	/* The end of a file is a hole. */
	*at = size;
	return hole ? 0 : -ENXIO;
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
	struct serve *s = fuse_req_userdata(req);
	struct serve_place p;
	struct domu_stat st;
	uint64_t at = (uint64_t)offset;
	int rc = serve_find(s, ino, &p);

	(void)fi;
	if (rc == 0)
		rc = domu_fs_stat(p.fs, p.ino, &st);
	if (rc == 0 && (offset < 0 || at >= st.size))
		rc = -ENXIO;
	if (rc == 0)
		rc = seek(&p, st.size, whence == SEEK_HOLE, &at);
	/* A driver that cannot tell: all of it is data. */
	if (rc == -EOPNOTSUPP) {
		at = whence == SEEK_HOLE ? st.size : at;
		rc = 0;
	}
	if (rc != 0)
		serve_fail(s, req, rc);
	else
		fuse_reply_lseek(req, (off_t)at);
}

/* ---- directories ------------------------------------------------------------------------------ */

/* What a directory holds, taken when it is opened. */
struct listing {
	struct serve *s;
	char *names;
	size_t len, cap;
	struct listed {
		uint64_t ino;
		uint32_t mode;
		uint32_t at; /* of its name */
	} * v;
	size_t n, room;
};

static void *more(struct listing *l, void *p, size_t *cap, size_t need, size_t each)
{
	size_t want = *cap == 0 ? 64 : *cap;
	void *q;

	if (need <= *cap)
		return p;
	while (want < need)
		want *= 2;
	if (want > UINT32_MAX || (want - *cap) * each > MAX_LISTED - l->s->listed)
		return NULL;
	q = realloc(p, want * each);
	if (q == NULL)
		return NULL;
	l->s->listed += (want - *cap) * each;
	*cap = want;
	return q;
}

static int take(void *user, const char *name, size_t len, uint64_t ino, uint32_t mode)
{
	struct listing *l = user;
	void *p = more(l, l->names, &l->cap, l->len + len + 1, 1);

	if (p == NULL)
		return -ENOMEM;
	l->names = p;
	p = more(l, l->v, &l->room, l->n + 1, sizeof *l->v);
	if (p == NULL)
		return -ENOMEM;
	l->v = p;
	l->v[l->n++] = (struct listed){ .ino = ino, .mode = mode, .at = (uint32_t)l->len };
	memcpy(l->names + l->len, name, len + 1);
	l->len += len + 1;
	return 0;
}

static void free_listing(struct listing *l)
{
	l->s->listed -= l->cap + l->room * sizeof *l->v;
	free(l->names);
	free(l->v);
	free(l);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct serve *s = fuse_req_userdata(req);
	struct listing *l = calloc(1, sizeof *l);
	struct serve_place p;
	int rc = serve_find(s, ino, &p);

	if (l == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	l->s = s;
	if (rc == 0)
		rc = domu_fs_readdir(p.fs, p.ino, take, l);
	/* Of a damaged directory what could be read is shown. */
	if (rc != 0 && l->n == 0) {
		free_listing(l);
		serve_fail(s, req, rc);
		return;
	}
	if (rc != 0)
		domu_say(s->ctx, DOMU_WARNING, "a directory is not shown whole: %s",
		         s->ctx->error.message != NULL ? s->ctx->error.message : strerror(-rc));
	fi->fh = (uint64_t)(uintptr_t)l;
	fi->cache_readdir = fi->keep_cache = !s->writable && rc == 0;
	if (fuse_reply_open(req, fi) != 0)
		free_listing(l);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	free_listing((struct listing *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

/* Entry at, counting "." and ".." as the first two; *len bytes added, 0: no room. */
static void add_plain(fuse_req_t req, const struct listing *l, size_t at, char *buf, size_t room, size_t *len)
{
	struct stat st = { .st_ino = UINT64_MAX >> 32, .st_mode = S_IFDIR };
	const char *name = at == 0 ? "." : "..";

	if (at >= 2) {
		st.st_ino = l->v[at - 2].ino;
		st.st_mode = l->v[at - 2].mode & S_IFMT;
		name = l->names + l->v[at - 2].at;
	}
	*len = fuse_add_direntry(req, buf, room, name, &st, (off_t)at + 1);
	*len = *len > room ? 0 : *len;
}

static void add_plus(fuse_req_t req, fuse_ino_t ino, const struct serve_place *dir, const struct listing *l, size_t at,
                     char *buf, size_t room, size_t *len)
{
	struct fuse_entry_param e = { .attr = { .st_ino = UINT64_MAX >> 32, .st_mode = S_IFDIR } };
	const char *name = at == 0 ? "." : "..";

	if (at >= 2) {
		name = l->names + l->v[at - 2].at;
		/* What cannot be looked at has a name all the same; whoever asks for more gets the reason. */
		if (serve_entry(l->s, ino, dir, name, &e) != 0) {
			memset(&e, 0, sizeof e);
			e.attr.st_ino = l->v[at - 2].ino;
			e.attr.st_mode = l->v[at - 2].mode & S_IFMT;
			domu_error_clear(l->s->ctx);
		}
	}
	*len = fuse_add_direntry_plus(req, buf, room, name, &e, (off_t)at + 1);
	if (*len <= room)
		return;
	*len = 0;
	if (e.ino != 0)
		serve_forget(l->s, e.ino, 1);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi, bool plus)
{
	struct serve *s = fuse_req_userdata(req);
	const struct listing *l = (const struct listing *)(uintptr_t)fi->fh;
	struct serve_place dir;
	size_t done = 0;
	int rc = serve_find(s, ino, &dir);

	if (size > DOMU_TREE_IO)
		size = DOMU_TREE_IO;
	for (size_t at = (size_t)offset; rc == 0 && at < l->n + 2; at++) {
		size_t len;

		if (plus)
			add_plus(req, ino, &dir, l, at, s->buf + done, size - done, &len);
		else
			add_plain(req, l, at, s->buf + done, size - done, &len);
		if (len == 0)
			break;
		done += len;
	}
	if (rc != 0)
		serve_fail(s, req, rc);
	else
		fuse_reply_buf(req, s->buf, done);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, true);
}

/* ---- extended attributes ------------------------------------------------------------------------ */

struct names {
	char *buf; /* DOMU_TREE_IO bytes */
	size_t len;
};

static int take_name(void *user, const char *name, const void *value, size_t len)
{
	struct names *x = user;
	size_t n = strlen(name) + 1;

	(void)value;
	(void)len;
	if (n > MAX_NAMES - x->len)
		return -E2BIG;
	memcpy(x->buf + x->len, name, n);
	x->len += n;
	return 0;
}

/* size 0: how long it is. */
static void reply_xattr(fuse_req_t req, int rc, const char *bytes, size_t len, size_t size)
{
	if (rc == 0 && size > 0 && len > size)
		rc = -ERANGE;
	if (rc < 0)
		serve_fail(fuse_req_userdata(req), req, rc);
	else if (size == 0)
		fuse_reply_xattr(req, len);
	else
		fuse_reply_buf(req, bytes, len);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct serve_place p;
	char *value = NULL;
	size_t len = 0;
	int rc = serve_find(fuse_req_userdata(req), ino, &p);

	if (rc == 0)
		rc = domu_fs_getxattr(p.fs, p.ino, name, DOMU_TREE_IO, &value, &len);
	reply_xattr(req, rc, value, len, size);
	free(value);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct serve *s = fuse_req_userdata(req);
	struct names x = { .buf = s->buf };
	struct serve_place p;
	int rc = serve_find(s, ino, &p);

	if (rc == 0)
		rc = domu_fs_listxattr(p.fs, p.ino, take_name, &x);
	reply_xattr(req, rc, x.buf, x.len, size);
}

void serve_read_ops(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = op_lookup;
	ops->forget = op_forget;
	ops->forget_multi = op_forget_multi;
	ops->getattr = op_getattr;
	ops->readlink = op_readlink;
	ops->statfs = op_statfs;
	ops->open = op_open;
	ops->release = op_release;
	ops->read = op_read;
	ops->lseek = op_lseek;
	ops->opendir = op_opendir;
	ops->releasedir = op_releasedir;
	ops->readdir = op_readdir;
	ops->readdirplus = op_readdirplus;
	ops->getxattr = op_getxattr;
	ops->listxattr = op_listxattr;
}
