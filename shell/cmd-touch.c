/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-touch.c - touch, truncate, write: a file's times, length and content. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "shell/change.h"
#include "shell/cmd.h"

#define PIECE (1u << 20)

/* Makes an empty file where p leads to nothing; p is its path afterwards. */
static int make_file(struct domu_run *r, struct domu_path *p, const char *shown)
{
	struct domu_stat parent, attr;
	int rc = domu_change_parent(r, p, &parent);

	if (rc == 0 && p->slash)
		rc = -EISDIR;
	if (rc == 0) {
		domu_change_attr(&parent, S_IFREG | 0666, &attr);
		rc = domu_change_create(r, p, &attr, NULL, &p->ino);
	}
	if (rc == 0)
		rc = domu_fs_stat(p->fs, p->ino, &p->st);
	return rc != 0 ? domu_change_fail(r, rc, "cannot create '%s'", shown) : 0;
}

/* ---- touch ------------------------------------------------------------------------ */

static bool two_digits(const char *p, int *v, int low, int high)
{
	if (!isdigit((unsigned char)p[0]) || !isdigit((unsigned char)p[1]))
		return false;
	*v = (p[0] - '0') * 10 + p[1] - '0';
	return *v >= low && *v <= high;
}

/* ".5" as nanoseconds; *end is after the digits. */
static long take_fraction(const char *p, const char **end)
{
	long ns = 0, unit = 100000000;

	if (*p == '.' || *p == ',') {
		for (p++; isdigit((unsigned char)*p); p++, unit /= 10)
			ns += (*p - '0') * unit;
	}
	*end = p;
	return ns;
}

/* "Z", "+01:00", "UTC", or nothing: the time is UTC. */
static bool take_zone(const char *p, long *seconds)
{
	int h, m;

	*seconds = 0;
	while (*p == ' ')
		p++;
	if (*p == '\0' || strcasecmp(p, "Z") == 0 || strcasecmp(p, "UTC") == 0 || strcasecmp(p, "GMT") == 0)
		return true;
	if ((*p != '+' && *p != '-') || !two_digits(p + 1, &h, 0, 23))
		return false;
	if (!two_digits(p + (p[3] == ':' ? 4 : 3), &m, 0, 59) || p[p[3] == ':' ? 6 : 5] != '\0')
		return false;
	*seconds = (h * 60L + m) * 60 * (*p == '+' ? 1 : -1);
	return true;
}

/* RFC 3339, of which the time of day may be left out. */
static bool parse_date(const char *text, struct timespec *ts)
{
	struct tm tm = { 0 };
	const char *p = text;
	int century, year, month;
	long zone = 0;

	if (!two_digits(p, &century, 0, 99) || !two_digits(p + 2, &year, 0, 99) || p[4] != '-' ||
	    !two_digits(p + 5, &month, 1, 12) || p[7] != '-' || !two_digits(p + 8, &tm.tm_mday, 1, 31))
		return false;
	tm.tm_year = century * 100 + year - 1900;
	tm.tm_mon = month - 1;
	p += 10;
	ts->tv_nsec = 0;
	if (*p != '\0') {
		if ((*p != 'T' && *p != 't' && *p != ' ') || !two_digits(p + 1, &tm.tm_hour, 0, 23) || p[3] != ':' ||
		    !two_digits(p + 4, &tm.tm_min, 0, 59))
			return false;
		p += 6;
		if (*p == ':') {
			if (!two_digits(p + 1, &tm.tm_sec, 0, 60))
				return false;
			ts->tv_nsec = take_fraction(p + 3, &p);
		}
		if (!take_zone(p, &zone))
			return false;
	}
	ts->tv_sec = timegm(&tm) - zone;
	return tm.tm_mon == month - 1; /* not 31 February */
}

/* "@EPOCH", with a fraction perhaps. */
static bool parse_epoch(const char *text, struct timespec *ts)
{
	const char *p;
	char *end;
	long long v;

	errno = 0;
	v = strtoll(text + 1, &end, 10);
	if (errno != 0 || end == text + 1 || isspace((unsigned char)text[1]))
		return false;
	ts->tv_sec = (time_t)v;
	ts->tv_nsec = take_fraction(end, &p);
	if (v < 0 && ts->tv_nsec != 0) {
		ts->tv_sec--;
		ts->tv_nsec = 1000000000 - ts->tv_nsec;
	}
	return *p == '\0';
}

/* -t [[CC]YY]MMDDhhmm[.ss], as UTC. */
static bool parse_stamp(const char *text, struct timespec *ts)
{
	size_t digits = strspn(text, "0123456789");
	struct tm tm = { 0 };
	int century = 0, year, month;
	const char *p = text + digits;

	if ((digits != 8 && digits != 10 && digits != 12) ||
	    (*p != '\0' && (*p != '.' || !two_digits(p + 1, &tm.tm_sec, 0, 60) || p[3] != '\0')))
		return false;
	p -= 8;
	if (!two_digits(p, &month, 1, 12) || !two_digits(p + 2, &tm.tm_mday, 1, 31) ||
	    !two_digits(p + 4, &tm.tm_hour, 0, 23) || !two_digits(p + 6, &tm.tm_min, 0, 59))
		return false;
	tm.tm_mon = month - 1;
	if (digits == 8) {
		time_t now = time(NULL);
		struct tm today;

		tm.tm_year = gmtime_r(&now, &today) != NULL ? today.tm_year : 70;
	} else {
		two_digits(p - 2, &year, 0, 99);
		if (digits == 12)
			two_digits(p - 4, &century, 0, 99);
		else
			century = year >= 69 ? 19 : 20;
		tm.tm_year = century * 100 + year - 1900;
	}
	ts->tv_nsec = 0;
	ts->tv_sec = timegm(&tm);
	return tm.tm_mon == month - 1;
}

struct touch_times {
	struct timespec atime, mtime;
};

static int take_times(struct domu_run *r, struct touch_times *t)
{
	const char *date = domu_args_value(r->args, "date"), *stamp = domu_args_value(r->args, "t");
	struct timespec when = domu_change_now();
	struct domu_stat st;
	int rc;

	if (date != NULL && !(date[0] == '@' ? parse_epoch(date, &when) : parse_date(date, &when)))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
		                 "touch: '%s' is not a time: 2026-01-31T12:00:00Z, 2026-01-31, @1767225600", date);
	if (date == NULL && stamp != NULL && !parse_stamp(stamp, &when))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "touch: '%s' is not a time: [[CC]YY]MMDDhhmm[.ss]",
		                 stamp);
	t->atime = t->mtime = when;
	if (date != NULL || stamp != NULL || !domu_args_flag(r->args, "reference"))
		return 0;
	rc = domu_change_reference(r, "reference", &st);
	t->atime = rc == 0 ? st.atime : when;
	t->mtime = rc == 0 ? st.mtime : when;
	return rc;
}

static int touch_one(struct domu_run *r, size_t operand, void *user)
{
	const struct touch_times *when = user;
	bool a = domu_args_flag(r->args, "a"), m = domu_args_flag(r->args, "m");
	const char *shown = domu_change_shown(r, operand);
	struct domu_path *p = malloc(sizeof *p);
	struct domu_stat st;
	bool link = domu_args_flag(r->args, "no-dereference");
	int rc = p != NULL ? domu_change_walk(r, operand, DOMU_WALK_PARENT | (link ? DOMU_WALK_NOFOLLOW : 0), p)
	                   : domu_nomem(r->ctx);

	if (rc != 0)
		goto out;
	if (p->ino == 0 && (link || domu_args_flag(r->args, "no-create")))
		goto out;
	if (p->ino == 0)
		rc = make_file(r, p, shown);
	if (rc != 0)
		goto out;
	st = p->st;
	st.atime = when->atime;
	st.mtime = when->mtime;
	rc = domu_fs_setattr(p->fs, p->ino, &st, (a || !m ? DOMU_ATTR_ATIME : 0) | (m || !a ? DOMU_ATTR_MTIME : 0));
	if (rc != 0)
		rc = domu_change_fail(r, rc, "setting times of '%s'", shown);
out:
	free(p);
	return rc;
}

static int run_touch(struct domu_run *r)
{
	struct touch_times when;
	int rc = take_times(r, &when);

	return rc != 0 ? rc : domu_run_each(r, 0, touch_one, &when);
}

/* ---- truncate --------------------------------------------------------------------- */

struct new_size {
	char how; /* '=', '+', '-', '<', '>', '/', '%' */
	uint64_t bytes;
};

static bool parse_new_size(const char *text, struct new_size *s)
{
	s->how = '=';
	if (*text != '\0' && strchr("+-<>/%", *text) != NULL)
		s->how = *text++;
	if (domu_size_parse(text, &s->bytes) != 0)
		return false;
	return s->bytes != 0 || (s->how != '/' && s->how != '%');
}

static int make_size(struct domu_run *r, const struct new_size *s, uint64_t old, uint64_t *size)
{
	bool ok = true;

	switch (s->how) {
	case '+':
		ok = domu_add(old, s->bytes, size);
		break;
	case '-':
		*size = old > s->bytes ? old - s->bytes : 0;
		break;
	case '<':
		*size = old < s->bytes ? old : s->bytes;
		break;
	case '>':
		*size = old > s->bytes ? old : s->bytes;
		break;
	case '/':
		*size = old - old % s->bytes;
		break;
	case '%':
		ok = domu_add(old, (s->bytes - old % s->bytes) % s->bytes, size);
		break;
	default:
		*size = s->bytes;
		break;
	}
	return ok ? 0 : domu_change_fail(r, -EFBIG, "the size");
}

static int truncate_one(struct domu_run *r, size_t operand, void *user)
{
	const char *shown = domu_change_shown(r, operand);
	struct domu_path *p = malloc(sizeof *p);
	uint64_t size;
	int rc = p != NULL ? domu_change_walk(r, operand, DOMU_WALK_PARENT, p) : domu_nomem(r->ctx);

	if (rc != 0)
		goto out;
	if (p->ino == 0 && domu_args_flag(r->args, "no-create"))
		goto out;
	if (p->ino == 0)
		rc = make_file(r, p, shown);
	else if (!S_ISREG(p->st.mode))
		rc =
		    domu_change_fail(r, S_ISDIR(p->st.mode) ? -EISDIR : -EINVAL, "cannot open '%s' for writing", shown);
	if (rc == 0)
		rc = make_size(r, user, p->st.size, &size);
	if (rc == 0) {
		rc = domu_fs_truncate(p->fs, p->ino, size);
		if (rc != 0)
			rc = domu_change_fail(r, rc, "failed to truncate '%s' at %llu bytes", shown,
			                      (unsigned long long)size);
	}
out:
	free(p);
	return rc;
}

static int run_truncate(struct domu_run *r)
{
	const char *text = domu_args_value(r->args, "size");
	struct domu_stat st;
	struct new_size s;

	if (text == NULL && domu_args_flag(r->args, "reference")) {
		int rc = domu_change_reference(r, "reference", &st);

		s = (struct new_size){ '=', rc == 0 ? st.size : 0 };
		return rc != 0 ? rc : domu_run_each(r, 0, truncate_one, &s);
	}
	if (text == NULL)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "truncate: give the size: -s SIZE, -s +SIZE, -s -SIZE");
	if (!parse_new_size(text, &s))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "truncate: '%s' is not a size: 10M, +4096, -1G", text);
	return domu_run_each(r, 0, truncate_one, &s);
}

/* ---- write ------------------------------------------------------------------------ */

/* Reads as much as fits or there is: a pipe gives its bytes in crumbs. */
static ssize_t read_piece(int fd, char *buf)
{
	size_t have = 0;

	while (have < PIECE) {
		ssize_t n = read(fd, buf + have, PIECE - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static int fill_file(struct domu_run *r, const struct domu_path *p, const char *shown)
{
	char *buf = malloc(PIECE);
	uint64_t offset = 0;
	ssize_t n = 0;
	int rc = buf != NULL ? domu_fs_truncate(p->fs, p->ino, 0) : domu_nomem(r->ctx);

	while (rc == 0 && (n = read_piece(r->in_fd, buf)) > 0) {
		if (domu_interrupted(r->ctx))
			rc = domu_fail(r->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		else
			rc = domu_fs_write(p->fs, p->ino, buf, (size_t)n, offset);
		offset += (uint64_t)n;
	}
	free(buf);
	if (rc == 0 && n < 0)
		return domu_change_fail(r, (int)n, "cannot read the new content of '%s'", shown);
	return rc != 0 ? domu_change_fail(r, rc, "cannot write '%s'", shown) : 0;
}

static int run_write(struct domu_run *r)
{
	const char *shown = domu_change_shown(r, 0);
	struct domu_path *p = malloc(sizeof *p);
	int rc = p != NULL ? domu_change_walk(r, 0, DOMU_WALK_PARENT, p) : domu_nomem(r->ctx);

	if (rc == 0 && r->in_fd < 0)
		rc = domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
		               "write: the content comes from a file or a pipe: %swrite %s < FILE",
		               r->in_shell ? "" : "domu-rescue ", domu_args_get(r->args, 0));
	if (rc == 0 && p->ino == 0)
		rc = make_file(r, p, shown);
	else if (rc == 0 && !S_ISREG(p->st.mode))
		rc = domu_change_fail(r, S_ISDIR(p->st.mode) ? -EISDIR : -EINVAL, "cannot write '%s'", shown);
	if (rc == 0)
		rc = fill_file(r, p, shown);
	free(p);
	return rc;
}

/* ---- rows ------------------------------------------------------------------------- */

static const struct domu_arg files[] = { { "GUEST:FILE", ARG_GUEST_PATH, COUNT_SOME }, { 0 } };
static const struct domu_arg file[] = { { "GUEST:FILE", ARG_GUEST_PATH, COUNT_ONE }, { 0 } };

static const struct domu_option touch_options[] = {
	{ "no-create", 'c', NULL, "what does not exist is not made" },
	{ "date", 'd', "TIME", "this time, not now: RFC 3339 (UTC without a zone) or @SECONDS" },
	{ NULL, 't', "STAMP", "this time: [[CC]YY]MMDDhhmm[.ss], UTC" },
	{ "reference", 'r', "GUEST:FILE", "the times that this file has" },
	{ "no-dereference", 'h', NULL, "a link itself, not what it leads to" },
	{ NULL, 'a', NULL, "only the time of access" },
	{ NULL, 'm', NULL, "only the time of modification" },
	{ 0 },
};

const struct domu_command domu_cmd_touch = {
	.name = "touch",
	.topic = "changing",
	.summary = "set files' times, or make empty files",
	.args = files,
	.options = touch_options,
	.example = "domu-rescue touch web1:/forcefsck",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run_touch,
};

static const struct domu_option truncate_options[] = {
	{ "size", 's', "SIZE",
	  "the new size; +SIZE and -SIZE are relative, <SIZE at most, >SIZE at least, "
	  "/SIZE and %SIZE rounded down and up to a multiple" },
	{ "no-create", 'c', NULL, "what does not exist is not made" },
	{ "reference", 'r', "GUEST:FILE", "the size that this file has" },
	{ 0 },
};

const struct domu_command domu_cmd_truncate = {
	.name = "truncate",
	.topic = "changing",
	.summary = "cut or extend files",
	.args = files,
	.options = truncate_options,
	.example = "domu-rescue truncate -s 0 web1:/var/log/syslog",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run_truncate,
};

const struct domu_command domu_cmd_write = {
	.name = "write",
	.topic = "changing",
	.summary = "replace a file's content by standard input",
	.description =
	    "The file keeps its inode, owner, mode, attributes and links. A new one belongs to root and has mode 644.",
	.args = file,
	.example = "echo web1 | domu-rescue write web1:/etc/hostname",
	.needs = NEED_GUEST | NEED_WRITE | TAKES_BYTES,
	.worker = run_write,
};
