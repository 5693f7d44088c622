/* SPDX-License-Identifier: GPL-3.0-or-later */
/* files.c - a commit's list of files: a header, records as messages, and an end that says that it is whole. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/hash.h"
#include "base/io.h"
#include "task/files.h"

#define MAGIC  "DOMUFILE"
#define FORMAT 2
#define PIECE  (1u << 20)

enum { RECORD_FS = 1, RECORD_FILE, RECORD_END };

struct head {
	char magic[8];
	uint64_t format;
};

/* Before each record: the sum goes over all of them, so that none can be missing. */
struct frame {
	uint64_t len; /* of the message that follows, filled up to a multiple of 32 bytes */
	uint64_t sum; /* of that, and of the frame before */
};

void domu_files_free(struct domu_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].xattr);
	free(f->fs);
	free(f->v);
	free(f->raw);
	memset(f, 0, sizeof *f);
}

static uint64_t chain(uint64_t before, const uint8_t *padded, size_t len)
{
	uint64_t both[4] = { before, domu_hash64(padded, len), len, 0 };

	return domu_hash64(both, sizeof both);
}

/* ---- writing ------------------------------------------------------------------------------ */

int domu_files_begin(struct domu_files_writer *w, struct domu_ctx *ctx, int fd)
{
	const struct head h = { .magic = MAGIC, .format = FORMAT };
	int rc;

	memset(w, 0, sizeof *w);
	w->ctx = ctx;
	w->fd = fd;
	rc = domu_write_full(fd, &h, sizeof h);
	w->at = sizeof h;
	return rc < 0 ? domu_fail(ctx, DOMU_FAILED, rc, "the list of files cannot be written: %s", strerror(-rc)) : 0;
}

static int put_record(struct domu_files_writer *w)
{
	static const uint8_t zeros[32];
	struct frame f = { 0 };
	uint8_t *p;
	int rc = w->m.err;

	f.len = (w->m.len + 31) / 32 * 32;
	if (rc == 0 && w->at + sizeof f + f.len > DOMU_FILES_MAX)
		rc = -EFBIG;
	p = rc == 0 ? malloc(sizeof f + f.len) : NULL;
	if (rc == 0 && p == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		memcpy(p + sizeof f, w->m.data, w->m.len);
		memcpy(p + sizeof f + w->m.len, zeros, f.len - w->m.len);
		w->sum = f.sum = chain(w->sum, p + sizeof f, f.len);
		memcpy(p, &f, sizeof f);
		rc = domu_write_full(w->fd, p, sizeof f + f.len);
		w->at += sizeof f + f.len;
	}
	free(p);
	return rc < 0 ? domu_fail(w->ctx, DOMU_FAILED, rc, "the list of files cannot be written: %s", strerror(-rc))
	              : 0;
}

static struct domu_msg *begin(struct domu_files_writer *w, uint64_t type)
{
	domu_msg_reset(&w->m, 0);
	domu_msg_put_u64(&w->m, type);
	return &w->m;
}

int domu_files_put_fs(struct domu_files_writer *w, const struct domu_files_fs *fs)
{
	struct domu_msg *m = begin(w, RECORD_FS);

	domu_msg_put_str(m, fs->node);
	domu_msg_put_str(m, fs->target);
	domu_msg_put_str(m, fs->uuid);
	w->n_fs++;
	return put_record(w);
}

int domu_files_put(struct domu_files_writer *w, const struct domu_file *f)
{
	struct domu_msg *m = begin(w, RECORD_FILE);

	domu_msg_put_str(m, f->path);
	domu_msg_put_u64(m, f->change);
	domu_msg_put_stat(m, &f->old);
	domu_msg_put_stat(m, &f->new);
	domu_msg_put_str(m, f->target);
	domu_msg_put_u64(m, f->has_content);
	domu_msg_put_u64(m, f->content);
	domu_msg_put_u64(m, f->data != NULL);
	if (f->data != NULL)
		domu_msg_put_bytes(m, f->data, f->old.size);
	domu_msg_put_u64(m, f->has_xattrs);
	domu_msg_put_u64(m, f->xattrs);
	domu_msg_put_u64(m, f->n_xattr);
	for (size_t i = 0; i < f->n_xattr; i++) {
		domu_msg_put_str(m, f->xattr[i].name);
		domu_msg_put_bytes(m, f->xattr[i].value, f->xattr[i].len);
	}
	if (w->n == DOMU_FILES_COUNT)
		return domu_fail(w->ctx, DOMU_FAILED, -E2BIG, "more than %u files are changed", DOMU_FILES_COUNT);
	w->n++;
	return put_record(w);
}

int domu_files_end(struct domu_files_writer *w, int rc)
{
	struct domu_msg *m = begin(w, RECORD_END);

	domu_msg_put_u64(m, w->n_fs);
	domu_msg_put_u64(m, w->n);
	if (rc == 0)
		rc = put_record(w);
	domu_msg_free(&w->m);
	return rc;
}

/* ---- reading: the worker that wrote it may have been a guest's, and a power cut may have torn it -------- */

struct reader {
	struct domu_ctx *ctx;
	uint8_t *data;
	uint64_t len, at, sum;
	struct domu_files *f;
	bool whole;
};

static int damaged(struct reader *r)
{
	return domu_fail(r->ctx, DOMU_UNSUPPORTED, -EBADMSG,
	                 "the list of files that this commit changed is damaged: undo without --files puts every "
	                 "block back");
}

static int get_fs(struct reader *r, struct domu_msg *m)
{
	struct domu_files *f = r->f;
	struct domu_files_fs *v = realloc(f->fs, (f->n_fs + 1) * sizeof *v);

	if (v == NULL)
		return domu_nomem(r->ctx);
	f->fs = v;
	v += f->n_fs++;
	v->node = domu_msg_get_str(m);
	v->target = domu_msg_get_str(m);
	v->uuid = domu_msg_get_str(m);
	return m->err != 0 || v->node == NULL || v->uuid == NULL ? damaged(r) : 0;
}

/* What a path may look like: names between single slashes, none of them a step up. */
static bool path_ok(const char *path)
{
	char name[256];

	if (path == NULL || path[0] != '/')
		return false;
	if (path[1] == '\0')
		return true;
	while (*path == '/') {
		size_t n = strcspn(++path, "/");

		if (n >= sizeof name)
			return false;
		memcpy(name, path, n);
		name[n] = '\0';
		if (!domu_fs_name_ok(name))
			return false;
		path += n;
	}
	return true;
}

static int get_xattrs(struct reader *r, struct domu_msg *m, struct domu_file *file)
{
	uint64_t n = domu_msg_get_u64(m);

	if (m->err != 0 || n > DOMU_FILES_XATTRS)
		return damaged(r);
	file->xattr = calloc(n + 1, sizeof *file->xattr);
	if (file->xattr == NULL)
		return domu_nomem(r->ctx);
	for (; file->n_xattr < n; file->n_xattr++) {
		struct domu_treeio_xattr *x = &file->xattr[file->n_xattr];

		x->name = domu_msg_get_str(m);
		x->value = domu_msg_get_bytes(m, &x->len);
		if (m->err != 0 || x->name == NULL)
			return damaged(r);
	}
	return 0;
}

static bool file_ok(const struct reader *r, const struct domu_file *f)
{
	return r->f->n_fs > 0 && path_ok(f->path) && f->change >= DOMU_IS_ADDED && f->change <= DOMU_IS_METADATA &&
	       (f->old.ino == 0) == (f->change == DOMU_IS_ADDED) &&
	       (f->new.ino == 0) == (f->change == DOMU_IS_REMOVED) && S_ISLNK(f->old.mode) == (f->target != NULL);
}

static int get_file(struct reader *r, struct domu_msg *m)
{
	struct domu_files *f = r->f;
	struct domu_file *file;
	size_t len = 0;

	if (f->n == DOMU_FILES_COUNT)
		return damaged(r);
	if (f->n % 1024 == 0) {
		struct domu_file *v = realloc(f->v, (f->n + 1024) * sizeof *v);

		if (v == NULL)
			return domu_nomem(r->ctx);
		f->v = v;
	}
	file = &f->v[f->n++];
	memset(file, 0, sizeof *file);
	file->fs = f->n_fs - 1;
	file->path = domu_msg_get_str(m);
	file->change = (enum domu_difference_kind)domu_msg_get_u64(m);
	domu_msg_get_stat(m, &file->old);
	domu_msg_get_stat(m, &file->new);
	file->target = domu_msg_get_str(m);
	file->has_content = domu_msg_get_u64(m) != 0;
	file->content = domu_msg_get_u64(m);
	if (domu_msg_get_u64(m) != 0) {
		file->data = domu_msg_get_bytes(m, &len);
		if (len != file->old.size)
			return damaged(r);
	}
	file->has_xattrs = domu_msg_get_u64(m) != 0;
	file->xattrs = domu_msg_get_u64(m);
	if (m->err != 0 || !file_ok(r, file))
		return damaged(r);
	return get_xattrs(r, m, file);
}

static int get_record(struct reader *r)
{
	struct domu_msg m = DOMU_MSG_INIT(0);
	struct frame fr;

	if (r->len - r->at < sizeof fr)
		return damaged(r);
	memcpy(&fr, r->data + r->at, sizeof fr);
	r->at += sizeof fr;
	if (fr.len == 0 || fr.len % 32 != 0 || fr.len > r->len - r->at || fr.len > DOMU_MSG_MAX ||
	    chain(r->sum, r->data + r->at, fr.len) != fr.sum)
		return damaged(r);
	r->sum = fr.sum;
	m.data = r->data + r->at;
	m.len = m.cap = fr.len;
	r->at += fr.len;
	switch (domu_msg_get_u64(&m)) {
	case RECORD_FS:
		return get_fs(r, &m);
	case RECORD_FILE:
		return get_file(r, &m);
	case RECORD_END:
		r->whole = domu_msg_get_u64(&m) == r->f->n_fs && domu_msg_get_u64(&m) == r->f->n && m.err == 0;
		return r->whole ? 0 : damaged(r);
	default:
		return damaged(r);
	}
}

static int read_all(struct reader *r, int fd)
{
	struct head h;
	off_t end = lseek(fd, 0, SEEK_END);
	int rc;

	if (end < (off_t)sizeof h || end > (off_t)DOMU_FILES_MAX)
		return damaged(r);
	r->len = (uint64_t)end;
	r->data = r->f->raw = malloc(r->len);
	if (r->data == NULL)
		return domu_nomem(r->ctx);
	rc = domu_pread_full(fd, r->data, r->len, 0);
	if (rc < 0)
		return domu_fail(r->ctx, DOMU_FAILED, rc, "the list of files cannot be read: %s", strerror(-rc));
	memcpy(&h, r->data, sizeof h);
	r->at = sizeof h;
	if (memcmp(h.magic, MAGIC, sizeof h.magic) != 0 || h.format < FORMAT)
		return damaged(r);
	if (h.format > FORMAT)
		return domu_fail(r->ctx, DOMU_UNSUPPORTED, -EPROTO,
		                 "the list of files was written by a newer version of domu-rescue: use that one");
	while (rc == 0 && !r->whole)
		rc = get_record(r);
	return rc;
}

int domu_files_read(struct domu_ctx *ctx, int fd, struct domu_files *f)
{
	struct reader r = { .ctx = ctx, .f = f };
	int rc;

	memset(f, 0, sizeof *f);
	rc = read_all(&r, fd);
	if (rc != 0)
		domu_files_free(f);
	return rc;
}

/* ---- content ------------------------------------------------------------------------------- */

int domu_content_hash(struct domu_fs *fs, const struct domu_stat *st, uint64_t max, uint64_t *hash)
{
	uint64_t offset = 0;
	uint8_t *buf;
	int rc = 0;

	*hash = 0;
	if (st->size > max)
		return -EFBIG;
	buf = malloc(PIECE);
	if (buf == NULL)
		return domu_nomem(fs->ctx);
	while (rc == 0 && offset < st->size) {
		size_t want = st->size - offset < PIECE ? (size_t)(st->size - offset) : PIECE;
		ssize_t n;

		if (domu_interrupted(fs->ctx))
			rc = domu_fail(fs->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		n = rc == 0 ? domu_fs_read(fs, st->ino, buf, want, offset) : rc;
		if (n != (ssize_t)want) {
			rc = n < 0 ? (int)n : -EIO;
			break;
		}
		memset(buf + want, 0, (want + 31) / 32 * 32 - want);
		*hash = chain(*hash, buf, (want + 31) / 32 * 32);
		offset += want;
	}
	free(buf);
	return rc;
}

/* ---- extended attributes ------------------------------------------------------------- */

static int add_xattr(void *user, const char *name, const void *value, size_t len)
{
	size_t n = strlen(name) + 1, whole = (n + 8 + len + 31) / 32 * 32;
	uint64_t *sum = user, length = len;
	char *p = calloc(1, whole);

	if (p == NULL)
		return -ENOMEM;
	memcpy(p, name, n);
	memcpy(p + n, &length, 8);
	if (len > 0)
		memcpy(p + n + 8, value, len);
	*sum += domu_hash64(p, whole);
	free(p);
	return 0;
}

int domu_xattrs_hash(struct domu_fs *fs, uint64_t ino, uint64_t *hash)
{
	*hash = 0;
	return domu_fs_listxattr(fs, ino, add_xattr, hash);
}
