/* SPDX-License-Identifier: GPL-3.0-or-later */
/* logs-journal.c - the last entries of a systemd journal, by its documented format (systemd.io/JOURNAL_FILE_FORMAT). */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/num.h"
#include "shell/fmt.h"
#include "shell/logs.h"

#define DIR_PATH    "/var/log/journal"
#define MAX_FILES   4096u
#define MAX_FIELDS  1024u /* of an entry */
#define MAX_TEXT    65536u /* of a field that is shown */
#define MAX_PACKED  (8u << 20) /* of one that is compressed */
#define HEADER_SIZE 208u
#define LATEST      (UINT64_C(1) << 55) /* microseconds: what systemd takes for a time ends there */
#define MAX_INDENT  80 /* columns before a further line of a message, whatever stands before the first */
#define ARRAY_STEP  4096u /* items of an entry array read in one go */
#define MAX_ASKED   1000000u /* entries of a file that are asked whether they are wanted: the newest */
#define MAX_LOOKED  (UINT64_C(2) << 30) /* bytes of all files that are read to ask them */
#define LEAST_LOOK  256u /* each read counts as so many at least: it takes as long */
#define FIELD_HEAD  128u /* of a field, read to see whether it is of interest */

enum { OBJECT_DATA = 1, OBJECT_ENTRY = 3, OBJECT_ARRAY = 6 };
enum { FLAG_COMPRESSED = 7, INCOMPATIBLE_COMPACT = 16, INCOMPATIBLE_KNOWN = 31 };

struct jfile {
	struct domu_fs *fs;
	uint64_t ino, size;
	bool compact;
	uint64_t array; /* the first entry array */
	uint64_t entries;
	uint64_t newest; /* microseconds */
	uint8_t boot[16]; /* of the newest */
};

struct entry {
	uint64_t time; /* microseconds since 1970 */
	uint64_t seqnum;
	uint64_t offset;
	size_t file;
};

struct domu_journal {
	struct domu_run *r;
	struct domu_tree *t;
	const struct domu_logs_want *want;
	struct jfile *files;
	size_t n_files;
	struct entry *v; /* the newest, at most max */
	size_t n, max;
	unsigned damaged; /* entries and files that could not be read */
	uint64_t looked; /* at so many bytes */
	uint64_t cut; /* entries before that time were not looked at; 0: all were */
};

/* ---- reading ------------------------------------------------------------------------------ */

static int read_at(struct domu_journal *j, const struct jfile *f, void *buf, size_t len, uint64_t offset)
{
	ssize_t n;

	if (!domu_inside(offset, len, f->size))
		return -EUCLEAN;
	j->looked += len > LEAST_LOOK ? len : LEAST_LOOK;
	n = domu_fs_read(f->fs, f->ino, buf, len, offset);
	if (n < 0)
		domu_error_clear(j->r->ctx);
	return n < 0 ? (int)n : (size_t)n == len ? 0 : -EUCLEAN;
}

/*
 * An object's header: its size, checked to be least or more and to lie in the file.  It, and what is behind it, goes
 * into buf: *len bytes, where the file has as many.
 */
static int object(struct domu_journal *j, const struct jfile *f, uint64_t offset, uint8_t type, size_t least, void *buf,
                  size_t *len, uint64_t *size)
{
	const uint8_t *p = buf;
	int rc = offset % 8 != 0 || offset < HEADER_SIZE || offset >= f->size ? -EUCLEAN : 0;

	if (rc == 0 && *len > f->size - offset)
		*len = (size_t)(f->size - offset);
	if (rc == 0)
		rc = *len < least ? -EUCLEAN : read_at(j, f, buf, *len, offset);
	if (rc != 0)
		return rc;
	*size = domu_le64(p + 8);
	return p[0] == type && *size >= least && domu_inside(offset, *size, f->size) ? 0 : -EUCLEAN;
}

static int object_head(struct domu_journal *j, const struct jfile *f, uint64_t offset, uint8_t type, void *head,
                       size_t len, uint64_t *size)
{
	return object(j, f, offset, type, len, head, &len, size);
}

static int take_header(struct domu_journal *j, struct jfile *f)
{
	uint8_t h[HEADER_SIZE];
	int rc = read_at(j, f, h, sizeof h, 0);

	if (rc != 0 || memcmp(h, "LPKSHHRH", 8) != 0 || (domu_le32(h + 12) & ~(uint32_t)INCOMPATIBLE_KNOWN) != 0)
		return -EUCLEAN;
	memcpy(f->boot, h + 56, sizeof f->boot);
	f->compact = (domu_le32(h + 12) & INCOMPATIBLE_COMPACT) != 0;
	f->entries = domu_le64(h + 152);
	f->array = domu_le64(h + 176);
	f->newest = domu_le64(h + 192);
	return 0;
}

/* ---- which files ---------------------------------------------------------------------------- */

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

static int take_file(void *user, const struct domu_walk_entry *e)
{
	struct domu_journal *j = user;
	struct jfile f = { .fs = e->where->fs, .ino = e->where->ino, .size = e->where->st.size }, *v;

	if (e->err != 0) {
		j->damaged++;
		return 0;
	}
	if (!S_ISREG(e->where->st.mode) || j->n_files == MAX_FILES ||
	    (!has_suffix(e->path, ".journal") && !has_suffix(e->path, ".journal~")))
		return 0;
	if (take_header(j, &f) != 0) {
		j->damaged++;
		return 0;
	}
	v = reallocarray(j->files, j->n_files + 1, sizeof *v);
	if (v == NULL)
		return domu_nomem(j->r->ctx);
	j->files = v;
	v[j->n_files++] = f;
	return 0;
}

static int by_newest(const void *a, const void *b)
{
	const struct jfile *x = a, *y = b;

	return x->newest > y->newest ? -1 : x->newest < y->newest;
}

static int find_files(struct domu_journal *j)
{
	const struct domu_walk_opts opts = { .max_depth = 2 };
	struct domu_path *p = malloc(sizeof *p);
	int rc = p != NULL ? domu_path_walk(j->t, "/", DIR_PATH, 0, p) : domu_nomem(j->r->ctx);

	if (rc == -ENOENT || rc == -ENOTDIR) {
		domu_error_clear(j->r->ctx);
		rc = 0;
	} else if (rc == 0) {
		rc = domu_walk_tree(j->t, p, DIR_PATH, &opts, take_file, j);
	}
	free(p);
	if (j->n_files > 1)
		qsort(j->files, j->n_files, sizeof *j->files, by_newest);
	return rc;
}

/* ---- what is in an entry ---------------------------------------------------------------------- */

struct fields {
	char *message, *identifier, *comm, *pid, *syslog_pid, *host, *transport, *unit, *about, *sent;
	uint64_t packed; /* bytes of one that could not be expanded; of what is wanted only a message is that long */
};

/* Where the value of a field that begins like that is kept, and how long its name is; NULL: it is of no interest. */
static char **slot(struct fields *fl, const char *text, size_t len, size_t *name)
{
	const struct {
		const char *name;
		char **value;
	} wanted[] = {
		{ "MESSAGE=", &fl->message },
		{ "SYSLOG_IDENTIFIER=", &fl->identifier },
		{ "_COMM=", &fl->comm },
		{ "_PID=", &fl->pid },
		{ "SYSLOG_PID=", &fl->syslog_pid },
		{ "_HOSTNAME=", &fl->host },
		{ "_TRANSPORT=", &fl->transport },
		{ "_SYSTEMD_UNIT=", &fl->unit },
		{ "UNIT=", &fl->about },
		{ "_SOURCE_REALTIME_TIMESTAMP=", &fl->sent },
	};

	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		*name = strlen(wanted[i].name);
		if (len >= *name && memcmp(text, wanted[i].name, *name) == 0)
			return *wanted[i].value == NULL ? wanted[i].value : NULL;
	}
	return NULL;
}

static void keep(struct fields *fl, const char *text, size_t len)
{
	size_t name;
	char **value = slot(fl, text, len, &name);

	if (value != NULL)
		*value = strndup(text + name, len - name);
}

/* What is long is compressed.  Of what is shown only a message is long. */
static int take_packed(struct domu_journal *j, const struct jfile *f, unsigned kind, uint64_t offset, uint64_t size,
                       struct fields *fl)
{
	bool clean = j->r->ctx->error.status == DOMU_OK;
	uint8_t *packed = size <= MAX_PACKED ? malloc((size_t)size + 1) : NULL;
	char *text = malloc(MAX_TEXT);
	size_t n = 0;
	int rc = text == NULL ? -ENOMEM : packed == NULL ? -EFBIG : read_at(j, f, packed, (size_t)size, offset);

	if (rc == 0)
		rc = domu_logs_expand(j->r->ctx, kind, packed, (size_t)size, text, MAX_TEXT, &n);
	if (rc == 0) {
		keep(fl, text, n);
	} else if (rc != -EINTR && rc != -ENOMEM) {
		if (clean)
			domu_error_clear(j->r->ctx);
		fl->packed = size;
		j->damaged += rc != -EOPNOTSUPP && rc != -EFBIG;
		rc = 0;
	}
	free(packed);
	free(text);
	return rc;
}

static int take_field(struct domu_journal *j, const struct jfile *f, uint64_t offset, struct fields *fl)
{
	size_t start = f->compact ? 72 : 64, len = FIELD_HEAD, name;
	uint8_t head[FIELD_HEAD];
	uint64_t size;
	char *text;
	int rc = object(j, f, offset, OBJECT_DATA, start, head, &len, &size);

	if (rc != 0)
		return rc;
	if ((head[1] & FLAG_COMPRESSED) != 0)
		return take_packed(j, f, head[1] & FLAG_COMPRESSED, offset + start, size - start, fl);
	if (len > size)
		len = (size_t)size;
	if (len == size || slot(fl, (char *)head + start, len - start, &name) == NULL) {
		if (len == size)
			keep(fl, (char *)head + start, len - start);
		return 0;
	}
	size -= start;
	if (size > MAX_TEXT)
		size = MAX_TEXT;
	text = malloc((size_t)size + 1);
	if (text == NULL)
		return -ENOMEM;
	rc = read_at(j, f, text, (size_t)size, offset + start);
	if (rc == 0)
		keep(fl, text, (size_t)size);
	free(text);
	return rc;
}

static int take_fields(struct domu_journal *j, const struct entry *e, struct fields *fl)
{
	const struct jfile *f = &j->files[e->file];
	size_t width = f->compact ? 4 : 16, n;
	uint64_t size;
	uint8_t head[64], *items;
	int rc = object_head(j, f, e->offset, OBJECT_ENTRY, head, sizeof head, &size);

	if (rc != 0)
		return rc;
	n = (size - 64) / width < MAX_FIELDS ? (size_t)((size - 64) / width) : MAX_FIELDS;
	items = malloc(n * width + 1);
	rc = items != NULL ? read_at(j, f, items, n * width, e->offset + 64) : -ENOMEM;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = take_field(j, f, f->compact ? domu_le32(items + 4 * i) : domu_le64(items + 16 * i), fl);
	free(items);
	/* Only what is long is compressed, and of what is shown only a message is. */
	if (rc == 0 && fl->message == NULL && fl->packed > 0 &&
	    asprintf(&fl->message, "[a long message, compressed to %" PRIu64 " bytes]", fl->packed) < 0) {
		fl->message = NULL;
		rc = -ENOMEM;
	}
	return rc;
}

static void free_fields(struct fields *fl)
{
	free(fl->message);
	free(fl->identifier);
	free(fl->comm);
	free(fl->pid);
	free(fl->syslog_pid);
	free(fl->host);
	free(fl->transport);
	free(fl->unit);
	free(fl->about);
	free(fl->sent);
}

static bool same(const char *a, const char *b)
{
	return a != NULL && strcmp(a, b) == 0;
}

/* 1: it is wanted; head is that of the entry. */
static int is_wanted(struct domu_journal *j, const struct entry *e, const uint8_t head[64])
{
	const struct domu_logs_want *w = j->want;
	struct fields fl = { 0 };
	int rc;

	if (w->kernel && memcmp(head + 40, j->files[0].boot, sizeof j->files[0].boot) != 0)
		return 0;
	if (!w->kernel && w->unit == NULL)
		return 1;
	rc = take_fields(j, e, &fl);
	/* As journalctl: what the unit's processes say, and what systemd says of it. */
	if (rc == 0)
		rc = (!w->kernel || same(fl.transport, "kernel")) &&
		     (w->unit == NULL || same(fl.unit, w->unit) || (same(fl.about, w->unit) && same(fl.pid, "1")));
	free_fields(&fl);
	return rc;
}

/* ---- the last entries of a file ------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->seqnum < y->seqnum ? -1 : x->seqnum > y->seqnum;
}

/* The offsets of the newest entries, as a ring. */
struct ring {
	uint64_t *v;
	size_t max;
	uint64_t n; /* put in so far */
};

/* One array of the chain; items beyond the last entry are zero, so a hole is not read through. */
static int take_array(struct domu_journal *j, const struct jfile *f, uint64_t offset, uint64_t size, struct ring *ring)
{
	size_t width = f->compact ? 4 : 8;
	uint64_t items = (size - 24) / width, at = offset + 24;
	uint8_t *buf = malloc(ARRAY_STEP * 8);
	bool ended = false;
	int rc = buf != NULL ? 0 : -ENOMEM;

	while (rc == 0 && items > 0 && !ended && ring->n < f->entries && !domu_interrupted(j->r->ctx)) {
		size_t n = items < ARRAY_STEP ? (size_t)items : ARRAY_STEP;

		rc = j->looked <= MAX_LOOKED ? read_at(j, f, buf, n * width, at) : -EFBIG;
		for (size_t i = 0; rc == 0 && i < n && !ended && ring->n < f->entries; i++) {
			uint64_t entry = f->compact ? domu_le32(buf + 4 * i) : domu_le64(buf + 8 * i);

			ended = entry == 0;
			if (!ended)
				ring->v[ring->n++ % ring->max] = entry;
		}
		items -= n;
		at += n * width;
	}
	free(buf);
	return rc;
}

static int collect(struct domu_journal *j, size_t file, struct ring *ring)
{
	const struct jfile *f = &j->files[file];
	uint64_t offset = f->array, size, end = 0;
	uint8_t head[24];
	int rc = 0;

	/* Each array lies behind the one before: a chain that goes back, or into itself, is none. */
	while (rc == 0 && offset != 0 && offset >= end && ring->n < f->entries) {
		rc = object_head(j, f, offset, OBJECT_ARRAY, head, sizeof head, &size);
		if (rc == 0)
			rc = take_array(j, f, offset, size, ring);
		end = rc == 0 ? offset + size : end;
		offset = rc == 0 ? domu_le64(head + 16) : 0;
	}
	return rc;
}

/* From the newest back, as many as are wanted; a journal that was made to be long is not read for hours. */
static int choose(struct domu_journal *j, size_t file, const struct ring *ring)
{
	uint64_t first = ring->n < ring->max ? 0 : ring->n - ring->max, last = 0, i, size;
	size_t chosen = 0;
	uint8_t head[64];
	int rc = 0;

	for (i = ring->n; i > first && chosen < j->max; i--) {
		struct entry e = { .offset = ring->v[(i - 1) % ring->max], .file = file };

		if (domu_interrupted(j->r->ctx))
			return domu_fail(j->r->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		if (object_head(j, &j->files[file], e.offset, OBJECT_ENTRY, head, sizeof head, &size) != 0) {
			j->damaged++;
			continue;
		}
		e.time = domu_le64(head + 24);
		e.seqnum = domu_le64(head + 16);
		if (e.time < j->want->since)
			break;
		last = e.time;
		if (j->looked > MAX_LOOKED)
			break;
		if (e.time > j->want->until)
			continue;
		rc = is_wanted(j, &e, head);
		if (rc == -EINTR || rc == -ENOMEM)
			return rc;
		j->damaged += rc < 0;
		if (rc > 0)
			j->v[j->n + chosen++] = e;
	}
	j->n += chosen;
	if (chosen < j->max && (j->looked > MAX_LOOKED || (i == first && first > 0)) && last > j->cut)
		j->cut = last;
	return 0;
}

static int take_entries(struct domu_journal *j, size_t file)
{
	const struct domu_logs_want *w = j->want;
	struct ring ring = { .max = j->max };
	int rc;

	if (w->kernel || w->unit != NULL || w->until != UINT64_MAX)
		ring.max = j->files[file].entries < MAX_ASKED ? (size_t)j->files[file].entries + 1 : MAX_ASKED;
	ring.v = calloc(ring.max, sizeof *ring.v);
	if (ring.v == NULL)
		return domu_nomem(j->r->ctx);
	rc = collect(j, file, &ring);
	if (rc != 0)
		j->damaged++;
	rc = rc != -ENOMEM ? choose(j, file, &ring) : domu_nomem(j->r->ctx);
	free(ring.v);
	return rc;
}

int domu_journal_open(struct domu_run *r, struct domu_tree *t, const struct domu_logs_want *want,
                      struct domu_journal **out)
{
	struct domu_journal *j = calloc(1, sizeof *j);
	int rc;

	*out = j;
	if (j == NULL)
		return domu_nomem(r->ctx);
	j->r = r;
	j->t = t;
	j->want = want;
	j->max = (size_t)want->lines;
	/* Room for what is kept and for what one file adds. */
	j->v = calloc(2 * j->max + 1, sizeof *j->v);
	rc = j->v != NULL ? find_files(j) : domu_nomem(r->ctx);
	for (size_t i = 0; rc == 0 && j->max > 0 && i < j->n_files; i++) {
		if ((j->n == j->max && j->files[i].newest < j->v[0].time) || j->files[i].newest < want->since)
			break;
		rc = take_entries(j, i);
		qsort(j->v, j->n, sizeof *j->v, by_time);
		if (j->n > j->max) {
			memmove(j->v, j->v + j->n - j->max, j->max * sizeof *j->v);
			j->n = j->max;
		}
	}
	return rc;
}

bool domu_journal_is_there(const struct domu_journal *j)
{
	return j->n_files > 0;
}

time_t domu_journal_newest(const struct domu_journal *j)
{
	return j->n > 0 ? (time_t)(j->v[j->n - 1].time / 1000000) : 0;
}

void domu_journal_free(struct domu_journal *j)
{
	if (j == NULL)
		return;
	free(j->files);
	free(j->v);
	free(j);
}

/* ---- showing an entry ------------------------------------------------------------------------ */

/* When it was sent, in microseconds; where that is not known or no time, when it was received. */
static uint64_t sent_at(const struct entry *e, const struct fields *fl)
{
	char *end = NULL;
	unsigned long long t;

	if (fl->sent == NULL || fl->sent[0] < '0' || fl->sent[0] > '9')
		return e->time;
	errno = 0;
	t = strtoull(fl->sent, &end, 10);
	return errno == 0 && *end == '\0' && t > 0 && t < LATEST ? t : e->time;
}

/* As journalctl's short form: time, host, who, and the message, whose further lines are indented. */
static int put_entry(struct domu_journal *j, const struct entry *e, const struct fields *fl)
{
	const char *who = fl->identifier != NULL ? fl->identifier : fl->comm != NULL ? fl->comm : "unknown";
	const char *pid = fl->pid != NULL ? fl->pid : fl->syslog_pid;
	const char *line = fl->message, *end;
	time_t seconds = (time_t)(sent_at(e, fl) / 1000000);
	char when[40] = "-", *text = NULL;
	size_t len = 0;
	struct tm tm;
	FILE *out = open_memstream(&text, &len);
	int rc, indent;

	if (out == NULL)
		return domu_nomem(j->r->ctx);
	if (localtime_r(&seconds, &tm) == NULL || strftime(when, sizeof when, "%b %d %H:%M:%S", &tm) == 0)
		snprintf(when, sizeof when, "@%lld", (long long)seconds);
	indent = fprintf(out, "%s %s %s%s%s%s: ", when, fl->host != NULL ? fl->host : "-", who, pid != NULL ? "[" : "",
	                 pid != NULL ? pid : "", pid != NULL ? "]" : "");
	for (bool first = true; line != NULL; line = end != NULL ? end + 1 : NULL, first = false) {
		end = strchr(line, '\n');
		fprintf(out, "%*s%.*s\n",
		        first                 ? 0
		        : indent < MAX_INDENT ? indent
		                              : MAX_INDENT,
		        "", end != NULL ? (int)(end - line) : (int)strlen(line), line);
	}
	rc = fclose(out) == 0 ? domu_run_write(j->r, text, len) : domu_nomem(j->r->ctx);
	free(text);
	return rc;
}

int domu_journal_print(struct domu_journal *j, bool *empty)
{
	int rc = domu_logs_heading(j->r, DIR_PATH), r2;

	*empty = j->n == 0;
	for (size_t i = 0; rc == 0 && i < j->n; i++) {
		struct fields fl = { 0 };

		if (j->looked > 2 * MAX_LOOKED) {
			j->cut = j->v[i].time;
			break;
		}
		r2 = take_fields(j, &j->v[i], &fl);
		if (r2 == -EINTR)
			rc = r2;
		else if (r2 == 0 && fl.message == NULL && fl.packed != 0 &&
		         asprintf(&fl.message, "[a long message, compressed to %" PRIu64 " bytes]", fl.packed) < 0)
			rc = domu_nomem(j->r->ctx);
		else if (r2 == 0 && fl.message != NULL)
			rc = put_entry(j, &j->v[i], &fl);
		else
			j->damaged += fl.message == NULL;
		free_fields(&fl);
	}
	if (rc == 0 && j->cut > 0) {
		char when[DOMU_TIME_TEXT];

		domu_time_full((struct timespec){ .tv_sec = (time_t)(j->cut / 1000000) }, when);
		domu_say(
		    j->r->ctx, DOMU_WARNING,
		    "%s: too much to look at: what was said before %.19s is left out (--until '%.19s' goes on from "
		    "there)",
		    DIR_PATH, when, when);
	}
	if (rc == 0 && j->damaged > 0) {
		j->r->exit_status = DOMU_FAILED;
		domu_say(j->r->ctx, DOMU_WARNING, "%s: parts of the journal cannot be read", DIR_PATH);
	}
	return rc;
}
