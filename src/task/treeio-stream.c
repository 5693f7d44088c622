/* SPDX-License-Identifier: GPL-3.0-or-later */
/* treeio-stream.c - a tree as a stream of frames over a pipe; the reading end trusts nothing in it. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/io.h"
#include "base/msg.h"
#include "base/num.h"
#include "task/treeio.h"

#define MAGIC       0x646f7472u
#define MAX_HEADER  (1u << 20)
#define MAX_DATA    (1u << 20)
#define MAX_XATTRS  1024
#define MAX_DEPTH   4096
#define MAX_SIZE    (UINT64_C(1) << 60)
#define MAX_MESSAGE 8192

enum frame_type { FRAME_ENTRY = 1, FRAME_DATA, FRAME_FILE_END, FRAME_LEAVE, FRAME_END };

struct frame {
	uint32_t magic, type, len;
};

/* ---- writing ------------------------------------------------------------------------ */

struct writer {
	struct domu_ctx *ctx;
	int fd;
	struct domu_msg m;
};

static int send_frame(struct writer *w, enum frame_type type, const void *body, size_t len)
{
	struct frame f = { .magic = MAGIC, .type = type, .len = (uint32_t)(w->m.len + len) };
	int rc = w->m.err;

	if (rc == 0 && w->m.len > MAX_HEADER)
		rc = -EMSGSIZE;
	if (rc == 0)
		rc = domu_write_full(w->fd, &f, sizeof f);
	if (rc == 0)
		rc = domu_write_full(w->fd, w->m.data, w->m.len);
	if (rc == 0 && len > 0)
		rc = domu_write_full(w->fd, body, len);
	return rc != 0 ? domu_fail(w->ctx, DOMU_FAILED, rc, "cannot send the files: %s", strerror(-rc)) : 0;
}

static struct domu_msg *begin(struct writer *w)
{
	domu_msg_reset(&w->m, 0);
	return &w->m;
}

static void put_times(struct domu_msg *m, const struct domu_stat *st)
{
	domu_msg_put_u64(m, (uint64_t)st->atime.tv_sec);
	domu_msg_put_u64(m, (uint64_t)st->atime.tv_nsec);
	domu_msg_put_u64(m, (uint64_t)st->mtime.tv_sec);
	domu_msg_put_u64(m, (uint64_t)st->mtime.tv_nsec);
}

static int w_entry(struct domu_sink *s, const struct domu_treeio_entry *e)
{
	struct writer *w = s->priv;
	struct domu_msg *m = begin(w);

	domu_msg_put_str(m, e->name);
	domu_msg_put_u64(m, e->st.mode);
	domu_msg_put_u64(m, e->st.uid);
	domu_msg_put_u64(m, e->st.gid);
	domu_msg_put_u64(m, e->st.rdev_major);
	domu_msg_put_u64(m, e->st.rdev_minor);
	domu_msg_put_u64(m, e->st.size);
	put_times(m, &e->st);
	domu_msg_put_str(m, e->target);
	domu_msg_put_u64(m, e->link_id);
	domu_msg_put_u64(m, e->again);
	domu_msg_put_u64(m, e->n_xattrs);
	for (size_t i = 0; i < e->n_xattrs; i++) {
		domu_msg_put_str(m, e->xattrs[i].name);
		domu_msg_put_bytes(m, e->xattrs[i].value, e->xattrs[i].len);
	}
	return send_frame(w, FRAME_ENTRY, NULL, 0);
}

static int w_data(struct domu_sink *s, const void *bytes, size_t len, uint64_t offset)
{
	struct writer *w = s->priv;
	const char *p = bytes;
	int rc = 0;

	while (rc == 0 && len > 0) {
		size_t n = len < MAX_DATA ? len : MAX_DATA;

		domu_msg_put_u64(begin(w), offset);
		rc = send_frame(w, FRAME_DATA, p, n);
		p += n;
		offset += n;
		len -= n;
	}
	return rc;
}

static int w_file_end(struct domu_sink *s, uint64_t size)
{
	struct writer *w = s->priv;

	domu_msg_put_u64(begin(w), size);
	return send_frame(w, FRAME_FILE_END, NULL, 0);
}

static int w_leave(struct domu_sink *s)
{
	struct writer *w = s->priv;

	begin(w);
	return send_frame(w, FRAME_LEAVE, NULL, 0);
}

int domu_treeio_to_stream(struct domu_ctx *ctx, int fd, struct domu_sink *s)
{
	struct writer *w = calloc(1, sizeof *w);

	if (w == NULL)
		return domu_nomem(ctx);
	w->ctx = ctx;
	w->fd = fd;
	*s =
	    (struct domu_sink){ .entry = w_entry, .data = w_data, .file_end = w_file_end, .leave = w_leave, .priv = w };
	return 0;
}

int domu_treeio_stream_end(struct domu_sink *s, int rc)
{
	struct writer *w = s->priv;
	struct domu_msg *m = begin(w);
	const struct domu_error *e = &w->ctx->error;
	int r;

	domu_msg_put_u64(m, rc == 0 ? 0 : (uint64_t)(rc < -4095 || rc > 0 ? EIO : -rc));
	domu_msg_put_u64(m, rc == 0 ? DOMU_OK : domu_error_status(w->ctx));
	domu_msg_put_str(m, rc != 0 && e->message != NULL && strlen(e->message) < MAX_MESSAGE ? e->message : NULL);
	r = send_frame(w, FRAME_END, NULL, 0);
	domu_msg_free(&w->m);
	free(w);
	s->priv = NULL;
	return rc != 0 ? rc : r;
}

/* ---- reading -------------------------------------------------------------------------- */

struct reader {
	struct domu_ctx *ctx;
	int fd;
	struct domu_sink *to;
	const char *const *names; /* of trees; NULL: one of any name */
	struct domu_msg m;
	char *data; /* MAX_DATA */
	unsigned depth; /* directories entered */
	bool begun; /* one entry came */
	bool in_file;
	uint64_t next; /* the file's data must not begin before here */
	uint64_t links; /* the highest link_id seen */
};

static int wrong(struct reader *r, const char *what)
{
	return domu_fail(r->ctx, DOMU_FAILED, -EBADMSG, "the stream of files is damaged: %s", what);
}

static int read_full(struct reader *r, void *buf, size_t len)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = read(r->fd, p, len);

		if (n < 0 && errno == EINTR && !domu_interrupted(r->ctx))
			continue;
		if (n < 0)
			return domu_fail(r->ctx, errno == EINTR ? DOMU_DECLINED : DOMU_FAILED, -errno,
			                 "cannot receive the files: %s", strerror(errno));
		if (n == 0)
			return domu_fail(r->ctx, DOMU_FAILED, -EPIPE, "the stream of files ended too early");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static bool type_ok(uint32_t mode, bool has_target)
{
	return domu_type_known(mode) && has_target == S_ISLNK(mode) && (mode & ~(uint32_t)(S_IFMT | 07777)) == 0;
}

static struct timespec get_time(struct domu_msg *m)
{
	struct timespec t = { .tv_sec = (time_t)domu_msg_get_u64(m) };
	uint64_t nsec = domu_msg_get_u64(m);

	t.tv_nsec = nsec < 1000000000 ? (long)nsec : 0;
	return t;
}

static int get_xattrs(struct reader *r, struct domu_treeio_entry *e, struct domu_treeio_xattr **list)
{
	struct domu_msg *m = &r->m;
	uint64_t n = domu_msg_get_u64(m);

	if (m->err != 0 || n > MAX_XATTRS)
		return wrong(r, "too many attributes");
	*list = calloc(n + 1, sizeof **list);
	if (*list == NULL)
		return domu_nomem(r->ctx);
	for (uint64_t i = 0; i < n; i++) {
		struct domu_treeio_xattr *x = &(*list)[i];

		x->name = domu_msg_get_str(m);
		x->value = domu_msg_get_bytes(m, &x->len);
		if (m->err != 0 || x->name == NULL || x->name[0] == '\0' || strlen(x->name) > 255 || x->len > 65536)
			return wrong(r, "a wrong attribute");
	}
	e->xattrs = *list;
	e->n_xattrs = n;
	return 0;
}

/* May a tree begin here? */
static bool may_begin(const struct reader *r, const char *name)
{
	if (r->names == NULL)
		return !r->begun;
	for (const char *const *p = r->names; name != NULL && *p != NULL; p++)
		if (strcmp(*p, name) == 0)
			return true;
	return false;
}

/* An entry is passed on only when all of it makes sense. */
static int check_entry(struct reader *r, const struct domu_treeio_entry *e, uint64_t again)
{
	size_t target = e->target != NULL ? strlen(e->target) : 1;

	if (r->in_file || (r->depth == 0 && !may_begin(r, e->name)))
		return wrong(r, "an entry where none may be");
	if (e->name == NULL || !domu_fs_name_ok(e->name))
		return wrong(r, "an impossible name");
	if (!type_ok(e->st.mode, e->target != NULL) || target == 0 || target > 4095 || e->st.size > MAX_SIZE)
		return wrong(r, "an impossible file");
	if (again > 1 || (again && (e->link_id == 0 || e->link_id > r->links || S_ISDIR(e->st.mode))))
		return wrong(r, "a name for a file that did not come");
	/* They are numbered as they come, so that the receiver's table cannot be made to grow. */
	if (!again && e->link_id != 0 && e->link_id != r->links + 1)
		return wrong(r, "a wrong number of a file");
	return 0;
}

static int get_entry(struct reader *r)
{
	struct domu_treeio_xattr *list = NULL;
	struct domu_treeio_entry e = { 0 };
	struct domu_msg *m = &r->m;
	uint64_t again, mode;
	int rc;

	e.name = domu_msg_get_str(m);
	mode = domu_msg_get_u64(m);
	e.st.mode = mode <= UINT32_MAX ? (uint32_t)mode : 0;
	e.st.uid = (uint32_t)domu_msg_get_u64(m);
	e.st.gid = (uint32_t)domu_msg_get_u64(m);
	e.st.rdev_major = (uint32_t)domu_msg_get_u64(m);
	e.st.rdev_minor = (uint32_t)domu_msg_get_u64(m);
	e.st.size = domu_msg_get_u64(m);
	e.st.atime = get_time(m);
	e.st.mtime = get_time(m);
	e.target = domu_msg_get_str(m);
	e.link_id = domu_msg_get_u64(m);
	again = domu_msg_get_u64(m);
	rc = get_xattrs(r, &e, &list);
	if (rc == 0 && (m->err != 0 || m->pos != m->len))
		rc = wrong(r, "an entry that cannot be read");
	if (rc == 0)
		rc = check_entry(r, &e, again);
	if (rc == 0) {
		e.again = again != 0;
		if (e.link_id > r->links)
			r->links = e.link_id;
		r->begun = true;
		r->in_file = S_ISREG(e.st.mode) && !e.again;
		r->next = 0;
		r->depth += S_ISDIR(e.st.mode);
		rc = r->depth > MAX_DEPTH ? wrong(r, "directories too deep") : r->to->entry(r->to, &e);
	}
	free(list);
	return rc;
}

static int get_data(struct reader *r, size_t len)
{
	uint64_t offset = domu_msg_get_u64(&r->m), end;
	int rc;

	if (r->m.err != 0 || !r->in_file || len == 0 || offset < r->next || !domu_add(offset, len, &end) ||
	    end > MAX_SIZE)
		return wrong(r, "data where none may be");
	rc = read_full(r, r->data, len);
	r->next = end;
	return rc != 0 ? rc : r->to->data(r->to, r->data, len, offset);
}

static int get_file_end(struct reader *r)
{
	uint64_t size = domu_msg_get_u64(&r->m);

	if (r->m.err != 0 || !r->in_file || size < r->next || size > MAX_SIZE)
		return wrong(r, "the end of no file");
	r->in_file = false;
	return r->to->file_end(r->to, size);
}

static int get_leave(struct reader *r)
{
	if (r->in_file || r->depth == 0)
		return wrong(r, "the end of no directory");
	r->depth--;
	return r->to->leave(r->to);
}

/* The sender's own result. */
static int get_end(struct reader *r)
{
	uint64_t err = domu_msg_get_u64(&r->m), status = domu_msg_get_u64(&r->m);
	const char *message = domu_msg_get_str(&r->m);

	if (r->m.err != 0 || err > 4095 || status > DOMU_UNRECOVERED)
		return wrong(r, "a wrong end");
	if (err != 0)
		return domu_error_set(r->ctx, status != 0 ? (enum domu_status)status : DOMU_FAILED, -(int)err,
		                      message != NULL ? message : strerror((int)err));
	return r->in_file || r->depth != 0 || !r->begun ? wrong(r, "an end before the end") : 0;
}

/* The head of a frame; the data of a data frame is left in the pipe. */
static int get_frame(struct reader *r, struct frame *f, size_t *data)
{
	const size_t offset_len = 1 + sizeof(uint32_t) + sizeof(uint64_t); /* as domu_msg_put_u64() makes it */
	size_t head;
	int rc = read_full(r, f, sizeof *f);

	*data = 0;
	if (rc != 0)
		return rc;
	head = f->len;
	if (f->magic != MAGIC || f->len > MAX_HEADER + MAX_DATA)
		return wrong(r, "no frame");
	if (f->type == FRAME_DATA) {
		if (f->len < offset_len || f->len - offset_len > MAX_DATA)
			return wrong(r, "a data frame of a wrong length");
		head = offset_len;
		*data = f->len - offset_len;
	} else if (f->len > MAX_HEADER) {
		return wrong(r, "a frame too long");
	}
	domu_msg_reset(&r->m, f->type);
	if (head > r->m.cap) {
		uint8_t *p = realloc(r->m.data, head);

		if (p == NULL)
			return domu_nomem(r->ctx);
		r->m.data = p;
		r->m.cap = head;
	}
	r->m.len = head;
	return read_full(r, r->m.data, head);
}

static int read_frames(struct reader *r)
{
	struct frame f = { 0 };
	size_t data;
	int rc = 0;

	while (rc == 0) {
		if (domu_interrupted(r->ctx))
			return domu_fail(r->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		rc = get_frame(r, &f, &data);
		if (rc != 0)
			break;
		switch (f.type) {
		case FRAME_ENTRY:
			rc = get_entry(r);
			break;
		case FRAME_DATA:
			rc = get_data(r, data);
			break;
		case FRAME_FILE_END:
			rc = get_file_end(r);
			break;
		case FRAME_LEAVE:
			rc = get_leave(r);
			break;
		case FRAME_END:
			return get_end(r);
		default:
			rc = wrong(r, "a frame of no known type");
			break;
		}
	}
	return rc;
}

int domu_treeio_from_stream(struct domu_ctx *ctx, int fd, const char *const *names, struct domu_sink *to)
{
	struct reader r = { .ctx = ctx, .fd = fd, .to = to, .names = names };
	int rc;

	r.data = malloc(MAX_DATA);
	rc = r.data != NULL ? read_frames(&r) : domu_nomem(ctx);
	domu_msg_free(&r.m);
	free(r.data);
	return rc;
}
