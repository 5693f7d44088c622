/* SPDX-License-Identifier: GPL-3.0-or-later */
/* proxy.c - a filesystem whose driver runs in another process: this end asks, and believes nothing unchecked. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/ctx.h"
#include "fs/proxy-wire.h"

struct proxy {
	int sock;
	bool dead; /* the other end is gone, or talked nonsense: nothing more is asked */
	struct domu_msg req, reply;
};

typedef int (*part_fn)(void *user, struct domu_msg *part);

/* ---- a call ---------------------------------------------------------------------- */

static struct domu_msg *begin(struct domu_fs *fs, enum proxy_op op)
{
	struct proxy *p = fs->priv;

	domu_msg_reset(&p->req, op);
	return &p->req;
}

static int nonsense(struct domu_fs *fs)
{
	struct proxy *p = fs->priv;

	p->dead = true;
	return domu_fail(fs->ctx, DOMU_FAILED, -EBADMSG, "the appliance answered nonsense: its filesystem is closed");
}

static int gone(struct domu_fs *fs, int rc)
{
	struct proxy *p = fs->priv;

	p->dead = true;
	return domu_fail(fs->ctx, DOMU_FAILED, rc, "the appliance ended unexpectedly (%s)", strerror(-rc));
}

/* The reply's head; *out reads its results, as long as the reply lives. */
static int take_reply(struct domu_fs *fs, struct domu_msg *out)
{
	struct proxy *p = fs->priv;
	uint64_t err = domu_msg_get_u64(&p->reply);
	uint64_t status = domu_msg_get_u64(&p->reply);
	const char *message = domu_msg_get_str(&p->reply);
	size_t len;
	const void *bytes = domu_msg_get_bytes(&p->reply, &len);

	if (p->reply.err != 0 || err > 4095 || status > DOMU_UNRECOVERED)
		return nonsense(fs);
	*out = (struct domu_msg){ .data = (uint8_t *)(uintptr_t)bytes, .len = len };
	if (err != 0 && status != DOMU_OK)
		return domu_error_set(fs->ctx, (enum domu_status)status, -(int)err,
		                      message != NULL ? message : strerror((int)err));
	return -(int)err;
}

/* Sends the request; parts go to fn as they come.  What fn fails with is returned after the reply was read. */
static int call(struct domu_fs *fs, struct domu_msg *out, part_fn fn, void *user)
{
	struct proxy *p = fs->priv;
	int failed = 0, rc;
	size_t bytes = 0;

	*out = (struct domu_msg){ 0 };
	if (p->dead)
		return domu_fail(fs->ctx, DOMU_FAILED, -EPIPE, "the appliance ended unexpectedly");
	rc = domu_msg_send(p->sock, &p->req);
	if (rc == -EMSGSIZE || rc == -ENOMEM)
		return domu_fail(fs->ctx, DOMU_FAILED, rc, "a request to the appliance is too long");
	while (rc == 0) {
		rc = domu_msg_recv(p->sock, &p->reply);
		if (rc != 0)
			break;
		if (p->reply.type == PROXY_REPLY) {
			rc = take_reply(fs, out);
			return failed != 0 && rc == 0 ? failed : rc;
		}
		bytes += p->reply.len;
		if (p->reply.type != PROXY_PART_MSG || fn == NULL || p->reply.len == 0 || bytes > PROXY_PARTS)
			return nonsense(fs);
		if (failed == 0)
			failed = fn(user, &p->reply);
		if (p->reply.err != 0)
			return nonsense(fs);
	}
	return gone(fs, rc);
}

/* Ends a call whose results were read from out: what is missing or too much there is nonsense. */
static int finish(struct domu_fs *fs, int rc, const struct domu_msg *out)
{
	return rc == 0 && (out->err != 0 || out->pos != out->len) ? nonsense(fs) : rc;
}

static int simple(struct domu_fs *fs)
{
	struct domu_msg out;

	return call(fs, &out, NULL, NULL);
}

/* ---- reading ----------------------------------------------------------------------- */

static int p_flush(struct domu_fs *fs)
{
	begin(fs, PROXY_FLUSH);
	return simple(fs);
}

static int p_close(struct domu_fs *fs)
{
	struct proxy *p = fs->priv;
	int rc = p->dead || !fs->writable ? 0 : p_flush(fs);

	close(p->sock);
	domu_msg_free(&p->req);
	domu_msg_free(&p->reply);
	free(p);
	free(fs);
	return rc;
}

static int p_lookup(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t *ino)
{
	struct domu_msg *m = begin(fs, PROXY_LOOKUP), out;
	int rc;

	domu_msg_put_u64(m, dir);
	domu_msg_put_str(m, name);
	rc = call(fs, &out, NULL, NULL);
	if (rc == 0)
		*ino = domu_msg_get_u64(&out);
	return finish(fs, rc, &out);
}

static int p_subvolume(struct domu_fs *fs, uint64_t id, uint64_t *ino)
{
	struct domu_msg *m = begin(fs, PROXY_SUBVOLUME), out;
	int rc;

	domu_msg_put_u64(m, id);
	rc = call(fs, &out, NULL, NULL);
	if (rc == 0)
		*ino = domu_msg_get_u64(&out);
	return finish(fs, rc, &out);
}

static int p_stat(struct domu_fs *fs, uint64_t ino, struct domu_stat *st)
{
	struct domu_msg *m = begin(fs, PROXY_STAT), out;
	int rc;

	domu_msg_put_u64(m, ino);
	rc = call(fs, &out, NULL, NULL);
	if (rc == 0)
		domu_msg_get_stat(&out, st);
	return finish(fs, rc, &out);
}

/* Parts are kept until the reply: fn may ask for more on the same socket. */
struct kept {
	uint8_t *data;
	size_t len, cap;
};

static int keep(void *user, struct domu_msg *part)
{
	struct kept *k = user;

	if (!DOMU_ARRAY_ROOM(k->data, k->cap, k->len + part->len))
		return -ENOMEM;
	memcpy(k->data + k->len, part->data, part->len);
	k->len += part->len;
	return 0;
}

static int call_kept(struct domu_fs *fs, struct kept *k, struct domu_msg *parts)
{
	struct domu_msg out;
	int rc;

	memset(k, 0, sizeof *k);
	rc = call(fs, &out, keep, k);
	*parts = (struct domu_msg){ .data = k->data, .len = k->len };
	return finish(fs, rc, &out);
}

static int p_readdir(struct domu_fs *fs, uint64_t dir, domu_dirent_fn fn, void *user)
{
	struct domu_msg *m = begin(fs, PROXY_READDIR), parts;
	char name[256];
	struct kept k;
	int rc;

	domu_msg_put_u64(m, dir);
	rc = call_kept(fs, &k, &parts);
	while (rc == 0 && parts.pos < parts.len) {
		size_t len;
		const char *bytes = domu_msg_get_bytes(&parts, &len);
		uint64_t ino = domu_msg_get_u64(&parts);
		uint32_t mode = (uint32_t)domu_msg_get_u64(&parts);

		if (parts.err != 0 || len == 0 || len >= sizeof name) {
			rc = nonsense(fs);
			break;
		}
		memcpy(name, bytes, len);
		name[len] = '\0';
		rc = fn(user, name, len, ino, mode);
	}
	free(k.data);
	return rc;
}

static int p_readlink(struct domu_fs *fs, uint64_t ino, char *buf, size_t size)
{
	struct domu_msg *m = begin(fs, PROXY_READLINK), out;
	const void *target;
	size_t len = 0;
	int rc;

	domu_msg_put_u64(m, ino);
	rc = call(fs, &out, NULL, NULL);
	if (rc == 0) {
		target = domu_msg_get_bytes(&out, &len);
		if (len >= size)
			return out.err != 0 ? nonsense(fs) : -ENAMETOOLONG;
		memcpy(buf, target, len);
		buf[len] = '\0';
	}
	rc = finish(fs, rc, &out);
	return rc != 0 ? rc : (int)len;
}

static ssize_t p_read(struct domu_fs *fs, uint64_t ino, void *buf, size_t len, uint64_t offset)
{
	struct domu_msg *m = begin(fs, PROXY_READ), out;
	const void *data;
	size_t want = len < PROXY_DATA ? len : PROXY_DATA, n = 0;
	int rc;

	domu_msg_put_u64(m, ino);
	domu_msg_put_u64(m, want);
	domu_msg_put_u64(m, offset);
	rc = call(fs, &out, NULL, NULL);
	if (rc == 0) {
		data = domu_msg_get_bytes(&out, &n);
		if (out.err != 0 || n > want)
			return nonsense(fs);
		memcpy(buf, data, n);
	}
	rc = finish(fs, rc, &out);
	return rc != 0 ? rc : (ssize_t)n;
}

static int p_listxattr(struct domu_fs *fs, uint64_t ino, domu_xattr_fn fn, void *user)
{
	struct domu_msg *m = begin(fs, PROXY_LISTXATTR), parts;
	struct kept k;
	int rc;

	domu_msg_put_u64(m, ino);
	rc = call_kept(fs, &k, &parts);
	while (rc == 0 && parts.pos < parts.len) {
		size_t len;
		const char *name = domu_msg_get_str(&parts);
		const void *value = domu_msg_get_bytes(&parts, &len);

		if (parts.err != 0 || name == NULL || name[0] == '\0' || strlen(name) > 255 || len > 65536)
			rc = nonsense(fs);
		else
			rc = fn(user, name, value, len);
	}
	free(k.data);
	return rc;
}

static int p_statfs(struct domu_fs *fs, struct domu_statfs *sf)
{
	struct domu_msg out;
	int rc;

	begin(fs, PROXY_STATFS);
	rc = call(fs, &out, NULL, NULL);
	if (rc == 0) {
		sf->size = domu_msg_get_u64(&out);
		sf->free = domu_msg_get_u64(&out);
		sf->avail = domu_msg_get_u64(&out);
		sf->files = domu_msg_get_u64(&out);
		sf->files_free = domu_msg_get_u64(&out);
		sf->block_size = (uint32_t)domu_msg_get_u64(&out);
	}
	return finish(fs, rc, &out);
}

/* ---- changing ----------------------------------------------------------------------- */

static int p_create(struct domu_fs *fs, uint64_t dir, const char *name, const struct domu_stat *attr,
                    const char *target, uint64_t *ino)
{
	struct domu_msg *m = begin(fs, PROXY_CREATE), out;
	int rc;

	domu_msg_put_u64(m, dir);
	domu_msg_put_str(m, name);
	domu_msg_put_stat(m, attr);
	domu_msg_put_str(m, target);
	rc = call(fs, &out, NULL, NULL);
	if (rc == 0)
		*ino = domu_msg_get_u64(&out);
	return finish(fs, rc, &out);
}

static int p_write(struct domu_fs *fs, uint64_t ino, const void *buf, size_t len, uint64_t offset)
{
	const char *p = buf;
	int rc = 0;

	while (rc == 0 && len > 0) {
		struct domu_msg *m = begin(fs, PROXY_WRITE);
		size_t n = len < PROXY_DATA ? len : PROXY_DATA;

		domu_msg_put_u64(m, ino);
		domu_msg_put_bytes(m, p, n);
		domu_msg_put_u64(m, offset);
		rc = simple(fs);
		p += n;
		offset += n;
		len -= n;
	}
	return rc;
}

static int p_truncate(struct domu_fs *fs, uint64_t ino, uint64_t size)
{
	struct domu_msg *m = begin(fs, PROXY_TRUNCATE);

	domu_msg_put_u64(m, ino);
	domu_msg_put_u64(m, size);
	return simple(fs);
}

static int p_link(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t ino)
{
	struct domu_msg *m = begin(fs, PROXY_LINK);

	domu_msg_put_u64(m, dir);
	domu_msg_put_str(m, name);
	domu_msg_put_u64(m, ino);
	return simple(fs);
}

static int p_unlink(struct domu_fs *fs, uint64_t dir, const char *name)
{
	struct domu_msg *m = begin(fs, PROXY_UNLINK);

	domu_msg_put_u64(m, dir);
	domu_msg_put_str(m, name);
	return simple(fs);
}

static int p_rmdir(struct domu_fs *fs, uint64_t dir, const char *name)
{
	struct domu_msg *m = begin(fs, PROXY_RMDIR);

	domu_msg_put_u64(m, dir);
	domu_msg_put_str(m, name);
	return simple(fs);
}

static int p_rename(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t newdir, const char *newname)
{
	struct domu_msg *m = begin(fs, PROXY_RENAME);

	domu_msg_put_u64(m, dir);
	domu_msg_put_str(m, name);
	domu_msg_put_u64(m, newdir);
	domu_msg_put_str(m, newname);
	return simple(fs);
}

static int p_setattr(struct domu_fs *fs, uint64_t ino, const struct domu_stat *st, unsigned mask)
{
	struct domu_msg *m = begin(fs, PROXY_SETATTR);

	domu_msg_put_u64(m, ino);
	domu_msg_put_stat(m, st);
	domu_msg_put_u64(m, mask);
	return simple(fs);
}

static int p_setxattr(struct domu_fs *fs, uint64_t ino, const char *name, const void *value, size_t len)
{
	struct domu_msg *m = begin(fs, PROXY_SETXATTR);

	domu_msg_put_u64(m, ino);
	domu_msg_put_str(m, name);
	domu_msg_put_bytes(m, value, len);
	return simple(fs);
}

static int p_removexattr(struct domu_fs *fs, uint64_t ino, const char *name)
{
	struct domu_msg *m = begin(fs, PROXY_REMOVEXATTR);

	domu_msg_put_u64(m, ino);
	domu_msg_put_str(m, name);
	return simple(fs);
}

struct lines {
	domu_line_fn fn;
	void *user;
};

static int pass_line(void *user, struct domu_msg *part)
{
	struct lines *l = user;

	while (part->pos < part->len && part->err == 0) {
		const char *line = domu_msg_get_str(part);

		if (line != NULL && part->err == 0 && l->fn != NULL)
			l->fn(l->user, line);
	}
	return 0;
}

static int p_check(struct domu_fs *fs, enum domu_check_mode mode, domu_line_fn fn, void *user, int *result)
{
	struct domu_msg *m = begin(fs, PROXY_CHECK), out;
	struct lines l = { .fn = fn, .user = user };
	int rc;

	domu_msg_put_u64(m, mode);
	rc = call(fs, &out, pass_line, &l);
	if (rc == 0)
		*result = (int)(domu_msg_get_u64(&out) & 0xff);
	return finish(fs, rc, &out);
}

/* ---- opening -------------------------------------------------------------------------- */

static const struct domu_fs_ops proxy_ops = {
	.self_size = sizeof proxy_ops,
	.name = "fs-appliance",
	.close = p_close,
	.flush = p_flush,
	.lookup = p_lookup,
	.subvolume = p_subvolume,
	.stat = p_stat,
	.readdir = p_readdir,
	.readlink = p_readlink,
	.read = p_read,
	.listxattr = p_listxattr,
	.statfs = p_statfs,
	.create = p_create,
	.write = p_write,
	.truncate = p_truncate,
	.link = p_link,
	.unlink = p_unlink,
	.rmdir = p_rmdir,
	.rename = p_rename,
	.setattr = p_setattr,
	.setxattr = p_setxattr,
	.removexattr = p_removexattr,
	.check = p_check,
};

static void get_text(struct domu_msg *m, char *text, size_t size)
{
	const char *s = domu_msg_get_str(m);

	snprintf(text, size, "%s", s != NULL ? s : "");
}

static int hello(struct domu_fs *fs, unsigned flags)
{
	struct domu_msg *m = begin(fs, PROXY_HELLO), out;
	uint64_t version;
	int rc;

	domu_msg_put_u64(m, PROXY_VERSION);
	rc = call(fs, &out, NULL, NULL);
	if (rc != 0)
		return rc;
	version = domu_msg_get_u64(&out);
	fs->root = domu_msg_get_u64(&out);
	fs->writable = domu_msg_get_u64(&out) != 0 && (flags & DOMU_FS_WRITE);
	get_text(&out, fs->probe.type, sizeof fs->probe.type);
	get_text(&out, fs->probe.uuid, sizeof fs->probe.uuid);
	get_text(&out, fs->probe.label, sizeof fs->probe.label);
	fs->probe.size = domu_msg_get_u64(&out);
	fs->probe.used = domu_msg_get_u64(&out);
	if (version != PROXY_VERSION || fs->root == 0)
		return nonsense(fs);
	return finish(fs, rc, &out);
}

int domu_proxy_open(struct domu_ctx *ctx, int sock, struct domu_block *b, unsigned flags, struct domu_fs **out)
{
	struct domu_fs *fs = calloc(1, sizeof *fs);
	struct proxy *p = calloc(1, sizeof *p);
	int rc;

	*out = NULL;
	if (fs == NULL || p == NULL) {
		free(fs);
		free(p);
		close(sock);
		return domu_nomem(ctx);
	}
	p->sock = sock;
	fs->ops = &proxy_ops;
	fs->ctx = ctx;
	fs->block = b;
	fs->priv = p;
	rc = hello(fs, flags);
	if (rc != 0) {
		fs->writable = false; /* nothing to flush */
		p_close(fs);
		return rc;
	}
	*out = fs;
	return 0;
}
