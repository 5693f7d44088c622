/* SPDX-License-Identifier: GPL-3.0-or-later */
/* diff-unified.c - diff -u: each changed file through diff(1) in a fence, with the headers that patch and git read. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/array.h"
#include "base/num.h"
#include "fs/compare.h"
#include "shell/diff.h"

#define MAX_TEXT   DOMU_DIFF_TEXT
#define MAX_FILES  1000 /* that are shown */
#define MAX_ROWS   20000 /* that are kept until they are shown... */
#define MAX_KEPT   (16u << 20) /* ...and bytes in them: a guest's names may be many and long */
#define MAX_OUTPUT (UINT64_C(16) << 20) /* bytes of one file's diff */
#define TIME_LIMIT 20 /* seconds for one */

/* A row, kept until its file is shown. */
struct change {
	char *path, *what, *device, *type;
	char mark; /* first letter of the change: a, r, m; M for metadata */
	uint64_t old_ino, new_ino;
	uint32_t old_mode, new_mode;
	unsigned bits; /* enum domu_differs */
};

struct unified {
	struct domu_run *r;
	unsigned context;
	struct change *v;
	size_t n, cap;
	size_t kept; /* bytes */
	size_t more; /* rows that were not kept */
	size_t shown; /* diffs */
	int rc; /* of the output */
};

/* ---- rows ------------------------------------------------------------------------------------ */

/* In JSON they are told all the same. */
static int row_again(struct domu_run *r, const struct domu_cell *cells)
{
	domu_row_text(r->out, cells[DIFF_CHANGE].text);
	domu_row_bytes(r->out, cells[DIFF_PATH].text, cells[DIFF_PATH].len);
	domu_row_text(r->out, cells[DIFF_TYPE].null ? NULL : cells[DIFF_TYPE].text);
	if (cells[DIFF_SIZE].null)
		domu_row_null(r->out);
	else
		domu_row_number(r->out, cells[DIFF_SIZE].number);
	domu_row_bytes(r->out, cells[DIFF_WHAT].text, cells[DIFF_WHAT].len);
	for (int i = DIFF_DEVICE; i < DIFF_CELLS; i++)
		domu_row_null(r->out);
	return domu_row_end(r->out);
}

static int keep_row(struct domu_out *out, const struct domu_cell *cells, size_t n, void *user)
{
	struct unified *u = user;
	struct change *c;

	(void)out;
	(void)n;
	if (domu_out_json(u->r->out)) {
		int rc = row_again(u->r, cells);

		if (rc != 0)
			return rc;
	}
	u->kept += sizeof *c + cells[DIFF_PATH].len + cells[DIFF_WHAT].len;
	if (u->n == MAX_ROWS || u->kept > MAX_KEPT) {
		u->more++;
		return 0;
	}
	if (!DOMU_ARRAY_ROOM(u->v, u->cap, u->n + 1))
		return domu_nomem(u->r->ctx);
	c = &u->v[u->n++];
	*c = (struct change){
		.path = strdup(cells[DIFF_PATH].text),
		.what = strdup(cells[DIFF_WHAT].text),
		.device = strdup(cells[DIFF_DEVICE].text),
		.type = strdup(cells[DIFF_TYPE].text),
		.mark = strcmp(cells[DIFF_CHANGE].text, "metadata") == 0 ? 'M' : cells[DIFF_CHANGE].text[0],
		.old_ino = cells[DIFF_OLD_INO].number,
		.new_ino = cells[DIFF_NEW_INO].number,
		.old_mode = (uint32_t)cells[DIFF_OLD_MODE].number,
		.new_mode = (uint32_t)cells[DIFF_NEW_MODE].number,
		.bits = (unsigned)cells[DIFF_BITS].number,
	};
	return c->path != NULL && c->what != NULL && c->device != NULL && c->type != NULL ? 0 : domu_nomem(u->r->ctx);
}

/* The worker's rows go into u instead of to the output. */
static int collect(struct unified *u)
{
	static const struct domu_layout keep = { .row = keep_row };
	struct domu_app *app = u->r->app;
	const struct domu_out_opts opts = {
		.columns = domu_diff_columns, .layout = &keep, .user = u, .file = app->out
	};
	struct domu_out *before = app->rows, *rows;
	int rc = domu_out_open(u->r->ctx, &opts, &rows), r;

	if (rc != 0)
		return rc;
	app->rows = rows;
	rc = domu_run_in_worker(u->r, u->r->session);
	app->rows = before;
	r = domu_out_close(rows, NULL);
	return rc != 0 ? rc : r;
}

/* ---- words ------------------------------------------------------------------------------------ */

static int put(struct unified *u, const char *fmt, ...) DOMU_PRINTF(2, 3);

static int put(struct unified *u, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return domu_nomem(u->r->ctx);
	u->rc = domu_out_data(u->r->out, text, (size_t)n);
	free(text);
	return u->rc;
}

/* a/etc/fstab; as a C string where it could be read in another way, which patch and git understand. */
static char *name_of(char side, const char *path)
{
	size_t n = strlen(path);
	char *out = malloc(4 * n + 5), *p = out;
	bool plain = true;

	if (out == NULL)
		return NULL;
	for (const char *q = path; *q != '\0'; q++)
		plain = plain && (unsigned char)*q > ' ' && *q != '"' && *q != '\\' && *q != 0x7f;
	if (!plain)
		*p++ = '"';
	*p++ = side;
	if (*path != '/')
		*p++ = '/';
	for (const char *q = path; *q != '\0'; q++) {
		unsigned char c = (unsigned char)*q;

		if (!plain && (c == '"' || c == '\\')) {
			*p++ = '\\';
			*p++ = *q;
		} else if (!plain && (c < ' ' || c == 0x7f)) {
			*p++ = '\\';
			*p++ = (char)('0' + (c >> 6));
			*p++ = (char)('0' + (c >> 3 & 7));
			*p++ = (char)('0' + (c & 7));
		} else {
			*p++ = *q;
		}
	}
	if (!plain)
		*p++ = '"';
	*p = '\0';
	return out;
}

/* What a patch cannot say: a line that patch passes over. */
static int remark(struct unified *u, const struct change *c, const char *what)
{
	char *name = name_of('x', c->path);
	int rc;

	if (name == NULL)
		return domu_nomem(u->r->ctx);
	/* Without the side: the quotes stay. */
	rc = name[0] == '"' ? put(u, "# \"%s: %s\n", name + 2, what) : put(u, "# %s: %s\n", name + 1, what);
	free(name);
	return rc;
}

/* ---- one file ----------------------------------------------------------------------------------- */

struct sides {
	int fd[2]; /* texts: before, after */
	uint64_t size[2];
	bool binary[2];
	char *name[2]; /* as shown */
	bool there[2];
	uint32_t mode[2];
};

/* What a worker writes into it is held in memory: it has its full length, and cannot get longer. */
int domu_diff_text_file(void)
{
	int fd = memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, MAX_TEXT) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) < 0) {
		rc = -errno;
		close(fd);
	}
	return rc < 0 ? rc : fd;
}

static int get_texts(struct unified *u, const struct change *c, struct sides *s)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = { 0 };
	int rc;

	domu_msg_put_str(&req, "diff-texts");
	domu_msg_put_str(&req, u->r->use);
	domu_msg_put_str(&req, c->device);
	domu_msg_put_u64(&req, s->there[0] ? c->old_ino : 0);
	domu_msg_put_u64(&req, s->there[1] ? c->new_ino : 0);
	domu_msg_put_u64(&req, MAX_TEXT);
	domu_msg_put_fd(&req, s->fd[0]);
	domu_msg_put_fd(&req, s->fd[1]);
	rc = domu_session_call(u->r->session, &req, &reply);
	for (int i = 0; rc == 0 && i < 2; i++) {
		s->size[i] = domu_msg_get_u64(&reply);
		s->binary[i] = domu_msg_get_u64(&reply) != 0;
	}
	if (rc == 0 && reply.err != 0)
		rc = domu_fail(u->r->ctx, DOMU_FAILED, reply.err, "diff-texts: malformed answer");
	for (int i = 0; rc == 0 && i < 2; i++)
		if (s->size[i] <= MAX_TEXT && ftruncate(s->fd[i], (off_t)s->size[i]) < 0)
			rc = domu_fail(u->r->ctx, DOMU_FAILED, -errno, "diff-texts: %s", strerror(errno));
	domu_msg_free(&req);
	domu_msg_free(&reply);
	return rc;
}

static int take_output(void *user, const char *bytes, size_t len)
{
	struct unified *u = user;

	u->rc = domu_out_data(u->r->out, bytes, len);
	return u->rc;
}

/* The hunks.  A file that takes diff too long is said to differ. */
static int run_diff(struct unified *u, const struct change *c, const struct sides *s)
{
	char context[32], path[2][32];
	const char *argv[] = { "diff",    "-a", "-U", context, "--label", NULL,
		               "--label", NULL, "--", path[0], path[1],   NULL };
	struct domu_program p = {
		.argv = argv,
		.stack = { .base_fd = -1, .stage_fd = -1, .replay_fd = -1 },
		.fds = s->fd,
		.n_fds = 2,
		.data = take_output,
		.user = u,
		.time_limit = TIME_LIMIT,
		.output_limit = MAX_OUTPUT,
	};
	int status = 0, rc;

	argv[5] = s->there[0] ? s->name[0] : "/dev/null";
	argv[7] = s->there[1] ? s->name[1] : "/dev/null";
	snprintf(context, sizeof context, "%u", u->context);
	for (int i = 0; i < 2; i++)
		snprintf(path[i], sizeof path[i], "/dev/fd/%d", s->fd[i]);
	rc = domu_program_run(u->r->ctx, &p, &status);
	if (u->rc != 0)
		return u->rc;
	if (rc == -ETIMEDOUT || rc == -EFBIG) {
		domu_say(u->r->ctx, DOMU_WARNING, "%s: differs in more than can be shown", c->path);
		domu_error_clear(u->r->ctx);
		return 0;
	}
	if (rc == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) > 1))
		rc = domu_fail(u->r->ctx, DOMU_FAILED, -EIO, "%s: diff failed with status %d", c->path,
		               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return rc;
}

static int put_header(struct unified *u, const struct sides *s)
{
	int rc = put(u, "diff --git %s %s\n", s->name[0], s->name[1]);

	if (rc != 0)
		return rc;
	if (!s->there[0])
		return put(u, "new file mode %06o\n", s->mode[1]);
	if (!s->there[1])
		return put(u, "deleted file mode %06o\n", s->mode[0]);
	if (s->mode[0] != s->mode[1])
		return put(u, "old mode %06o\nnew mode %06o\n", s->mode[0], s->mode[1]);
	return 0;
}

/* Text that is too long or none at all is only said to differ. */
static int put_other(struct unified *u, const struct sides *s)
{
	bool big = s->size[0] > MAX_TEXT || s->size[1] > MAX_TEXT;
	char size[2][48];

	for (int i = 0; i < 2; i++)
		snprintf(size[i], sizeof size[i], " (%" PRIu64 " bytes)", s->size[i]);
	return put(u, "%s %s%s and %s%s differ\n", big ? "Large files" : "Binary files",
	           s->there[0] ? s->name[0] : "/dev/null", s->there[0] ? size[0] : "",
	           s->there[1] ? s->name[1] : "/dev/null", s->there[1] ? size[1] : "");
}

static bool has_text(uint32_t mode)
{
	return S_ISREG(mode) || S_ISLNK(mode);
}

/* One or both sides; content: they differ in more than the mode. */
static int show_sides(struct unified *u, const struct change *c, bool old, bool new, bool content)
{
	struct sides s = { .fd = { -1, -1 }, .there = { old, new }, .mode = { c->old_mode, c->new_mode } };
	int rc = 0;

	for (int i = 0; i < 2; i++) {
		s.fd[i] = domu_diff_text_file();
		s.name[i] = name_of(i == 0 ? 'a' : 'b', c->path);
		if (s.fd[i] < 0 || s.name[i] == NULL)
			rc = domu_nomem(u->r->ctx);
	}
	if (rc == 0 && content)
		rc = get_texts(u, c, &s);
	if (rc != 0 && rc != -ENOMEM && rc != -EINTR) {
		domu_say(u->r->ctx, DOMU_WARNING, "%s: cannot be read: %s", c->path,
		         u->r->ctx->error.message != NULL ? u->r->ctx->error.message : strerror(-rc));
		domu_error_clear(u->r->ctx);
		rc = 0;
	} else if (rc == 0 && (s.binary[0] || s.binary[1] || s.size[0] > MAX_TEXT || s.size[1] > MAX_TEXT)) {
		rc = put_other(u, &s);
	} else if (rc == 0) {
		rc = put_header(u, &s);
		if (rc == 0 && content)
			rc = run_diff(u, c, &s);
	}
	u->shown++;
	for (int i = 0; i < 2; i++) {
		free(s.name[i]);
		if (s.fd[i] >= 0)
			close(s.fd[i]);
	}
	return rc;
}

/* What the headers and hunks of a patch tell. */
#define IN_PATCH (DOMU_DIFFERS_CONTENT | DOMU_DIFFERS_TARGET | DOMU_DIFFERS_MODE)
/* What comes with them. */
#define ALONG (DOMU_DIFFERS_TIMES | DOMU_DIFFERS_INODE | DOMU_DIFFERS_SPACE)

static int show_change(struct unified *u, const struct change *c)
{
	bool old = has_text(c->old_mode), new = has_text(c->new_mode), both = c->old_ino != 0 && c->new_ino != 0;
	char *words = NULL;
	int rc = 0;

	if (S_ISREG(c->old_mode) && S_ISREG(c->new_mode)) {
		if (c->mark != 'M' || c->old_mode != c->new_mode)
			rc = show_sides(u, c, true, true, c->mark != 'M');
	} else if (c->mark != 'M') {
		/* Another type or target: gone and made anew.  patch knows a link by the mode that this tells. */
		if (old)
			rc = show_sides(u, c, true, false, true);
		if (rc == 0 && new)
			rc = show_sides(u, c, false, true, true);
	}
	if (rc != 0)
		return rc;
	if (both && ((c->bits & ~(unsigned)(IN_PATCH | ALONG)) != 0 || (c->bits & IN_PATCH) == 0))
		return remark(u, c, c->what);
	if (old || new)
		return 0;
	if (asprintf(&words, "%s%s%s%s%s", c->type, c->type[0] != '\0' ? " " : "",
	             c->mark == 'a'   ? "added"
	             : c->mark == 'r' ? "removed"
	                              : "modified",
	             c->what[0] != '\0' ? ": " : "", c->what) < 0)
		return domu_nomem(u->r->ctx);
	rc = remark(u, c, words);
	free(words);
	return rc;
}

/* ---- all ---------------------------------------------------------------------------------------- */

int domu_diff_unified(struct domu_run *r, unsigned context)
{
	struct unified u = { .r = r, .context = context };
	size_t i = 0;
	int rc = collect(&u);

	for (i = 0; rc == 0 && i < u.n && u.shown < MAX_FILES; i++)
		rc = show_change(&u, &u.v[i]);
	if (rc == 0 && i < u.n + u.more)
		domu_say(r->ctx, DOMU_WARNING, "%zu of %zu changes are shown: name paths to see the others", i,
		         u.n + u.more);
	for (i = 0; i < u.n; i++) {
		free(u.v[i].path);
		free(u.v[i].what);
		free(u.v[i].device);
		free(u.v[i].type);
	}
	free(u.v);
	return rc;
}
