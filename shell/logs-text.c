/* SPDX-License-Identifier: GPL-3.0-or-later */
/* logs-text.c - the last lines of a guest's text logs, and of those that were rotated away when they are too few. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/logs.h"

#define TAIL_BYTES  (UINT64_C(4) << 20) /* lines are looked for in the last of a file */
#define MAX_ROTATED 100u
#define MAX_KEPT    (16u << 20) /* of all files together */

/* Where the last lines of a text begin; *found: how many there are, at most lines. */
size_t domu_logs_last_lines(const char *text, size_t len, uint64_t lines, uint64_t *found)
{
	size_t at = len;

	*found = 0;
	if (lines == 0 || len == 0)
		return len;
	if (text[at - 1] == '\n')
		at--;
	for (;;) {
		const char *nl = memrchr(text, '\n', at);

		++*found;
		if (nl == NULL)
			return 0;
		at = (size_t)(nl - text);
		if (*found == lines)
			return at + 1;
	}
}

/* ---- one file ---------------------------------------------------------------------------------- */

struct part {
	char *path, *text; /* from is where what is shown begins */
	size_t len, from;
};

/* A regular file that is there and not empty; where->ino 0: none. */
int domu_logs_find(struct domu_run *r, struct domu_tree *t, const char *path, struct domu_path *where)
{
	int rc = domu_path_walk(t, "/", path, 0, where);

	if (rc == 0 && S_ISREG(where->st.mode) && where->st.size > 0)
		return 0;
	where->ino = 0;
	if (rc != 0 && rc != -ENOENT && rc != -ENOTDIR)
		return rc;
	domu_error_clear(r->ctx);
	return 0;
}

static bool is_packed(const char *path)
{
	static const char *const suffixes[] = { ".gz", ".xz", ".zst", ".bz2", ".lz4" };
	size_t n = strlen(path);

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t m = strlen(suffixes[i]);

		if (n > m && strcmp(path + n - m, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static int read_plain(struct domu_run *r, const struct domu_path *where, struct part *p)
{
	uint64_t size = where->st.size, offset = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
	size_t want = (size_t)(size - offset);
	ssize_t n = 1;

	p->text = malloc(want + 1);
	if (p->text == NULL)
		return domu_nomem(r->ctx);
	while (n > 0 && p->len < want) {
		n = domu_fs_read(where->fs, where->ino, p->text + p->len, want - p->len, offset + p->len);
		p->len += n > 0 ? (size_t)n : 0;
	}
	/* A crash leaves a size whose blocks were not written. */
	while (p->len > 0 && p->text[p->len - 1] == '\0')
		p->len--;
	if (n >= 0 && p->len == 0)
		return domu_fail(r->ctx, DOMU_FAILED, -EUCLEAN,
		                 "its end is nothing but zeros: cat shows what is before them");
	return n < 0 ? (int)n : 0;
}

/* A file's last lines.  Damaged, it is a warning, and what could be read is shown. */
static int read_part(struct domu_run *r, const struct domu_path *where, uint64_t lines, struct part *p, uint64_t *found)
{
	bool clean = r->ctx->error.status == DOMU_OK;
	int rc;

	p->path = strdup(where->path);
	if (p->path == NULL)
		return domu_nomem(r->ctx);
	rc = is_packed(where->path) ? domu_logs_expand_end(r->ctx, where, TAIL_BYTES, &p->text, &p->len)
	                            : read_plain(r, where, p);
	if (rc == -ENOMEM || rc == -EINTR || rc == -ESHUTDOWN)
		return rc;
	if (rc != 0) {
		const char *why = r->ctx->error.message;

		domu_say(r->ctx, DOMU_WARNING, "%s: %s", where->path,
		         rc == -EOPNOTSUPP ? "compressed, and libarchive is not here: zcat it (cat FILE | zcat)"
		         : why != NULL     ? why
		                           : strerror(-rc));
		if (clean)
			domu_error_clear(r->ctx);
		r->exit_status = DOMU_FAILED;
	}
	p->from = domu_logs_last_lines(p->text, p->len, lines, found);
	return 0;
}

/* ---- those that were rotated -------------------------------------------------------------------- */

struct rotated {
	struct domu_run *r;
	char base[256]; /* syslog */
	const char *first; /* what was read already */
	char *v[MAX_ROTATED]; /* syslog.1, syslog.2.gz, messages-20240101.gz */
	size_t n;
};

static int take_name(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode)
{
	struct rotated *o = user;
	size_t n = strlen(o->base), digits;
	const char *end;

	(void)ino;
	(void)type_mode;
	if (len <= n || strcmp(name, o->first) == 0 || strncmp(name, o->base, n) != 0 ||
	    (name[n] != '.' && name[n] != '-') || o->n == MAX_ROTATED)
		return 0;
	digits = strspn(name + n + 1, "0123456789-");
	end = name + n + 1 + digits;
	if (digits == 0 || digits > 20 || (*end != '\0' && (*end != '.' || !is_packed(end - 1))))
		return 0;
	o->v[o->n] = strdup(name);
	return o->v[o->n++] != NULL ? 0 : domu_nomem(o->r->ctx);
}

/* The newest first: .1 before .2, and 20240201 before 20240101. */
static int by_age(const void *a, const void *b, void *user)
{
	const struct rotated *o = user;
	const char *x = *(char *const *)a + strlen(o->base), *y = *(char *const *)b + strlen(o->base);
	unsigned long long m, n;

	if (*x != *y)
		return *x == '.' ? -1 : 1;
	m = strtoull(x + 1, NULL, 10);
	n = strtoull(y + 1, NULL, 10);
	if (m == n)
		return strcmp(x, y);
	return (m < n) == (*x == '.') ? -1 : 1;
}

static int print_parts(struct domu_run *r, struct part *v, size_t n)
{
	int rc = 0;

	for (size_t i = n; rc == 0 && i-- > 0;) {
		struct part *p = &v[i];

		if (n > 1 && p->from == p->len)
			continue;
		rc = domu_logs_heading(r, p->path);
		if (rc == 0 && p->len > p->from)
			rc = domu_run_write(r, p->text + p->from, p->len - p->from);
		if (rc == 0 && p->len > p->from && p->text[p->len - 1] != '\n')
			rc = domu_run_write(r, "\n", 1);
	}
	for (size_t i = 0; i < n; i++) {
		free(v[i].path);
		free(v[i].text);
	}
	return rc;
}

/* Backwards in time, until there are lines enough. */
static int take_rotated(struct domu_run *r, struct domu_tree *t, struct rotated *o, uint64_t lines, struct part *parts,
                        size_t *n)
{
	struct domu_path *where = malloc(sizeof *where);
	size_t kept = parts[0].len;
	char path[512];
	uint64_t found;
	int rc = where != NULL ? 0 : domu_nomem(r->ctx);

	qsort_r(o->v, o->n, sizeof *o->v, by_age, o);
	for (size_t i = 0; rc == 0 && lines > 0 && i < o->n && kept < MAX_KEPT; i++) {
		snprintf(path, sizeof path, "/var/log/%s", o->v[i]);
		rc = domu_logs_find(r, t, path, where);
		if (rc != 0 || where->ino == 0)
			continue;
		rc = read_part(r, where, lines, &parts[*n], &found);
		kept += parts[(*n)++].len;
		lines -= rc == 0 ? found : 0;
	}
	free(where);
	return rc;
}

static int print_with_rotated(struct domu_run *r, struct domu_tree *t, const struct domu_path *where, uint64_t lines)
{
	struct part *parts = calloc(MAX_ROTATED + 1, sizeof *parts);
	struct rotated o = { .r = r, .first = where->name };
	uint64_t found = 0;
	size_t n = 1;
	int rc, r2;

	if (parts == NULL)
		return domu_nomem(r->ctx);
	snprintf(o.base, sizeof o.base, "%s", where->name);
	/* Just rotated, and nothing written since. */
	if (strlen(o.base) > 2 && strcmp(o.base + strlen(o.base) - 2, ".1") == 0)
		o.base[strlen(o.base) - 2] = '\0';
	rc = read_part(r, where, lines, &parts[0], &found);
	if (rc == 0 && found < lines && where->st.size <= TAIL_BYTES) {
		rc = domu_fs_readdir(where->fs, where->dir, take_name, &o);
		if (rc == 0)
			rc = take_rotated(r, t, &o, lines - found, parts, &n);
	}
	r2 = print_parts(r, parts, n);
	for (size_t i = 0; i < o.n; i++)
		free(o.v[i]);
	free(parts);
	return rc != 0 ? rc : r2;
}

/* The first of these that is there. */
int domu_logs_print_first(struct domu_run *r, struct domu_tree *t, const char *const *paths, uint64_t lines, bool *any)
{
	struct domu_path *where = malloc(sizeof *where);
	int rc = where != NULL ? 0 : domu_nomem(r->ctx);

	for (; rc == 0 && *paths != NULL; paths++) {
		rc = domu_logs_find(r, t, *paths, where);
		if (rc == 0 && where->ino != 0) {
			*any = true;
			rc = print_with_rotated(r, t, where, lines);
			break;
		}
	}
	free(where);
	return rc;
}
