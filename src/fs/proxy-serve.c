/* SPDX-License-Identifier: GPL-3.0-or-later */
/* proxy-serve.c - the proxy's other end: does what is asked on a filesystem of this process. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "fs/proxy-wire.h"

struct server {
	int sock;
	struct domu_fs *fs;
	struct domu_msg req, out, part, reply;
	char *data; /* PROXY_DATA bytes */
	size_t sent; /* bytes of parts of this request */
	int broken; /* the socket: nothing more can be sent */
};

typedef int (*serve_fn)(struct server *s);

/* ---- parts ----------------------------------------------------------------------- */

static int send_part(struct server *s)
{
	if (s->part.len == 0)
		return s->part.err;
	s->sent += s->part.len;
	if (s->part.err == 0 && s->sent > PROXY_PARTS)
		return domu_fail(s->fs->ctx, DOMU_FAILED, -EFBIG, "the directory is too large for the appliance");
	s->part.type = PROXY_PART_MSG;
	s->broken = domu_msg_send(s->sock, &s->part);
	domu_msg_reset(&s->part, PROXY_PART_MSG);
	return s->broken;
}

static int part_done(struct server *s)
{
	return s->part.len >= PROXY_PART || s->part.err != 0 ? send_part(s) : 0;
}

static int part_dirent(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode)
{
	struct server *s = user;

	domu_msg_put_bytes(&s->part, name, len);
	domu_msg_put_u64(&s->part, ino);
	domu_msg_put_u64(&s->part, type_mode);
	return part_done(s);
}

static int part_xattr(void *user, const char *name, const void *value, size_t len)
{
	struct server *s = user;

	domu_msg_put_str(&s->part, name);
	domu_msg_put_bytes(&s->part, value, len);
	return part_done(s);
}

static void part_line(void *user, const char *line)
{
	struct server *s = user;
	char cut[PROXY_MAX_LINE];

	if (s->broken != 0 || s->sent > PROXY_PARTS / 2)
		return;
	if (strlen(line) < sizeof cut) {
		domu_msg_put_str(&s->part, line);
	} else {
		memcpy(cut, line, sizeof cut - 1);
		cut[sizeof cut - 1] = '\0';
		domu_msg_put_str(&s->part, cut);
	}
	/* A check takes long: each line goes at once. */
	send_part(s);
}

/* ---- arguments -------------------------------------------------------------------- */

static const char *get_name(struct server *s)
{
	const char *name = domu_msg_get_str(&s->req);

	if (name == NULL)
		s->req.err = -EBADMSG;
	return name != NULL ? name : "";
}

/* Nothing is done on a request that lacks something or has more than it should. */
static bool bad(const struct server *s)
{
	return s->req.err != 0 || s->req.pos != s->req.len;
}

/* ---- requests ---------------------------------------------------------------------- */

static int do_hello(struct server *s)
{
	const struct domu_probe *p = &s->fs->probe;
	uint64_t version = domu_msg_get_u64(&s->req);

	if (bad(s) || version != PROXY_VERSION)
		return -EBADMSG;
	domu_msg_put_u64(&s->out, PROXY_VERSION);
	domu_msg_put_u64(&s->out, s->fs->root);
	domu_msg_put_u64(&s->out, s->fs->writable);
	domu_msg_put_str(&s->out, p->type);
	domu_msg_put_str(&s->out, p->uuid);
	domu_msg_put_str(&s->out, p->label);
	domu_msg_put_u64(&s->out, p->size);
	domu_msg_put_u64(&s->out, p->used);
	return 0;
}

static int do_flush(struct server *s)
{
	return bad(s) ? -EBADMSG : domu_fs_flush(s->fs);
}

static int do_lookup(struct server *s)
{
	uint64_t dir = domu_msg_get_u64(&s->req), ino;
	const char *name = get_name(s);
	int rc = bad(s) ? -EBADMSG : domu_fs_lookup(s->fs, dir, name, &ino);

	if (rc == 0)
		domu_msg_put_u64(&s->out, ino);
	return rc;
}

static int do_subvolume(struct server *s)
{
	uint64_t id = domu_msg_get_u64(&s->req), ino;
	int rc = bad(s) ? -EBADMSG : domu_fs_subvolume(s->fs, id, &ino);

	if (rc == 0)
		domu_msg_put_u64(&s->out, ino);
	return rc;
}

static int do_stat(struct server *s)
{
	uint64_t ino = domu_msg_get_u64(&s->req);
	struct domu_stat st;
	int rc = bad(s) ? -EBADMSG : domu_fs_stat(s->fs, ino, &st);

	if (rc == 0)
		domu_msg_put_stat(&s->out, &st);
	return rc;
}

static int do_readdir(struct server *s)
{
	uint64_t dir = domu_msg_get_u64(&s->req);
	int rc = bad(s) ? -EBADMSG : domu_fs_readdir(s->fs, dir, part_dirent, s);

	return rc == 0 ? send_part(s) : rc;
}

static int do_readlink(struct server *s)
{
	uint64_t ino = domu_msg_get_u64(&s->req);
	char target[4096];
	int rc = bad(s) ? -EBADMSG : domu_fs_readlink(s->fs, ino, target, sizeof target);

	if (rc >= 0)
		domu_msg_put_bytes(&s->out, target, (size_t)rc);
	return rc < 0 ? rc : 0;
}

static int do_read(struct server *s)
{
	uint64_t ino = domu_msg_get_u64(&s->req);
	uint64_t len = domu_msg_get_u64(&s->req);
	uint64_t offset = domu_msg_get_u64(&s->req);
	ssize_t n = bad(s) || len > PROXY_DATA ? -EBADMSG : domu_fs_read(s->fs, ino, s->data, (size_t)len, offset);

	if (n >= 0)
		domu_msg_put_bytes(&s->out, s->data, (size_t)n);
	return n < 0 ? (int)n : 0;
}

static int do_listxattr(struct server *s)
{
	uint64_t ino = domu_msg_get_u64(&s->req);
	int rc = bad(s) ? -EBADMSG : domu_fs_listxattr(s->fs, ino, part_xattr, s);

	return rc == 0 ? send_part(s) : rc;
}

static int do_statfs(struct server *s)
{
	struct domu_statfs sf;
	int rc = bad(s) ? -EBADMSG : domu_fs_statfs(s->fs, &sf);

	if (rc != 0)
		return rc;
	domu_msg_put_u64(&s->out, sf.size);
	domu_msg_put_u64(&s->out, sf.free);
	domu_msg_put_u64(&s->out, sf.avail);
	domu_msg_put_u64(&s->out, sf.files);
	domu_msg_put_u64(&s->out, sf.files_free);
	domu_msg_put_u64(&s->out, sf.block_size);
	return 0;
}

static int do_create(struct server *s)
{
	uint64_t dir = domu_msg_get_u64(&s->req), ino;
	const char *name = get_name(s), *target;
	struct domu_stat attr;
	int rc;

	domu_msg_get_stat(&s->req, &attr);
	target = domu_msg_get_str(&s->req);
	rc = bad(s) ? -EBADMSG : domu_fs_create(s->fs, dir, name, &attr, target, &ino);
	if (rc == 0)
		domu_msg_put_u64(&s->out, ino);
	return rc;
}

static int do_write(struct server *s)
{
	uint64_t ino = domu_msg_get_u64(&s->req);
	size_t len;
	const void *bytes = domu_msg_get_bytes(&s->req, &len);
	uint64_t offset = domu_msg_get_u64(&s->req);

	return bad(s) ? -EBADMSG : domu_fs_write(s->fs, ino, bytes, len, offset);
}

static int do_truncate(struct server *s)
{
	uint64_t ino = domu_msg_get_u64(&s->req);
	uint64_t size = domu_msg_get_u64(&s->req);

	return bad(s) ? -EBADMSG : domu_fs_truncate(s->fs, ino, size);
}

static int do_link(struct server *s)
{
	uint64_t dir = domu_msg_get_u64(&s->req);
	const char *name = get_name(s);
	uint64_t ino = domu_msg_get_u64(&s->req);

	return bad(s) ? -EBADMSG : domu_fs_link(s->fs, dir, name, ino);
}

static int do_unlink(struct server *s)
{
	uint64_t dir = domu_msg_get_u64(&s->req);
	const char *name = get_name(s);

	return bad(s) ? -EBADMSG : domu_fs_unlink(s->fs, dir, name);
}

static int do_rmdir(struct server *s)
{
	uint64_t dir = domu_msg_get_u64(&s->req);
	const char *name = get_name(s);

	return bad(s) ? -EBADMSG : domu_fs_rmdir(s->fs, dir, name);
}

static int do_rename(struct server *s)
{
	uint64_t dir = domu_msg_get_u64(&s->req);
	const char *name = get_name(s);
	uint64_t newdir = domu_msg_get_u64(&s->req);
	const char *newname = get_name(s);

	return bad(s) ? -EBADMSG : domu_fs_rename(s->fs, dir, name, newdir, newname);
}

static int do_setattr(struct server *s)
{
	uint64_t ino = domu_msg_get_u64(&s->req);
	struct domu_stat st;
	unsigned mask;

	domu_msg_get_stat(&s->req, &st);
	mask = (unsigned)domu_msg_get_u64(&s->req);
	return bad(s) ? -EBADMSG : domu_fs_setattr(s->fs, ino, &st, mask);
}

static int do_setxattr(struct server *s)
{
	uint64_t ino = domu_msg_get_u64(&s->req);
	const char *name = get_name(s);
	size_t len;
	const void *value = domu_msg_get_bytes(&s->req, &len);

	return bad(s) ? -EBADMSG : domu_fs_setxattr(s->fs, ino, name, value, len);
}

static int do_removexattr(struct server *s)
{
	uint64_t ino = domu_msg_get_u64(&s->req);
	const char *name = get_name(s);

	return bad(s) ? -EBADMSG : domu_fs_removexattr(s->fs, ino, name);
}

static int do_check(struct server *s)
{
	uint64_t mode = domu_msg_get_u64(&s->req);
	int result = 8, rc;

	if (bad(s) || mode > DOMU_CHECK_YES)
		return -EBADMSG;
	rc = domu_fs_check(s->fs, (enum domu_check_mode)mode, part_line, s, &result);
	if (rc == 0)
		domu_msg_put_u64(&s->out, (uint64_t)result & 0xff);
	return rc;
}

static const serve_fn serve_ops[PROXY_OPS] = {
	[PROXY_HELLO] = do_hello,         [PROXY_FLUSH] = do_flush,
	[PROXY_LOOKUP] = do_lookup,       [PROXY_SUBVOLUME] = do_subvolume,
	[PROXY_STAT] = do_stat,           [PROXY_READDIR] = do_readdir,
	[PROXY_READLINK] = do_readlink,   [PROXY_READ] = do_read,
	[PROXY_LISTXATTR] = do_listxattr, [PROXY_STATFS] = do_statfs,
	[PROXY_CREATE] = do_create,       [PROXY_WRITE] = do_write,
	[PROXY_TRUNCATE] = do_truncate,   [PROXY_LINK] = do_link,
	[PROXY_UNLINK] = do_unlink,       [PROXY_RMDIR] = do_rmdir,
	[PROXY_RENAME] = do_rename,       [PROXY_SETATTR] = do_setattr,
	[PROXY_SETXATTR] = do_setxattr,   [PROXY_REMOVEXATTR] = do_removexattr,
	[PROXY_CHECK] = do_check,
};

static int answer(struct server *s, int rc)
{
	const struct domu_error *e = &s->fs->ctx->error;

	if (rc == 0 && s->out.err != 0)
		rc = s->out.err;
	if (rc > 0)
		rc = -EIO;
	domu_msg_reset(&s->reply, PROXY_REPLY);
	domu_msg_put_u64(&s->reply, (uint64_t)(rc < -4095 ? EIO : -rc));
	domu_msg_put_u64(&s->reply, rc != 0 ? e->status : DOMU_OK);
	domu_msg_put_str(&s->reply, rc != 0 ? e->message : NULL);
	domu_msg_put_bytes(&s->reply, rc == 0 ? s->out.data : NULL, rc == 0 ? s->out.len : 0);
	return domu_msg_send(s->sock, &s->reply);
}

static int serve_one(struct server *s)
{
	int rc = -EBADMSG;

	domu_error_clear(s->fs->ctx);
	domu_msg_reset(&s->out, 0);
	domu_msg_reset(&s->part, PROXY_PART_MSG);
	s->sent = 0;
	if (s->req.type < PROXY_OPS && serve_ops[s->req.type] != NULL)
		rc = serve_ops[s->req.type](s);
	return s->broken != 0 ? s->broken : answer(s, rc);
}

int domu_proxy_serve(int sock, struct domu_fs *fs)
{
	struct server s = { .sock = sock, .fs = fs };
	int rc = 0;

	s.data = malloc(PROXY_DATA);
	if (s.data == NULL)
		return -ENOMEM;
	while (rc == 0) {
		rc = domu_msg_recv(sock, &s.req);
		if (rc == 0)
			rc = serve_one(&s);
	}
	domu_msg_free(&s.req);
	domu_msg_free(&s.out);
	domu_msg_free(&s.part);
	domu_msg_free(&s.reply);
	free(s.data);
	/* The asking end closed it: that is how this ends. */
	return rc == -EPIPE ? 0 : rc;
}
