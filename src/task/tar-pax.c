/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-pax.c - the headers of pax archives (POSIX.1-2001, pax, "pax Interchange Format"). */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/escape.h"
#include "base/num.h"
#include "task/tar.h"

#define BLOCK       512u
#define OCTAL_7     UINT64_C(07777777)
#define OCTAL_11    UINT64_C(077777777777)
#define MAX_RECORDS (1u << 20) /* libarchive takes no more in front of a member */

/* A ustar header, as it stands on the tape. */
struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "a header is a block");

/* ---- bytes ------------------------------------------------------------------------- */

static bool reserve(struct domu_tar_buf *b, size_t len)
{
	if (b->err == 0 && !DOMU_ARRAY_ROOM(b->p, b->cap, b->n + len))
		b->err = -ENOMEM;
	return b->err == 0;
}

void domu_tar_put(struct domu_tar_buf *b, const void *bytes, size_t len)
{
	if (len == 0 || !reserve(b, len))
		return;
	memcpy(b->p + b->n, bytes, len);
	b->n += len;
}

void domu_tar_pad(struct domu_tar_buf *b)
{
	static const char zeros[BLOCK];

	domu_tar_put(b, zeros, (BLOCK - b->n % BLOCK) % BLOCK);
}

void domu_tar_buf_free(struct domu_tar_buf *b)
{
	free(b->p);
	*b = (struct domu_tar_buf){ 0 };
}

/* ---- records ------------------------------------------------------------------------- */

static unsigned digits(uint64_t n)
{
	unsigned d = 1;

	for (; n >= 10; n /= 10)
		d++;
	return d;
}

/* n with at least width digits; returns how many. */
static unsigned decimal(char *text, unsigned width, uint64_t n)
{
	unsigned d = digits(n) > width ? digits(n) : width;

	for (unsigned i = d; i-- > 0; n /= 10)
		text[i] = (char)('0' + n % 10);
	return d;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void record(struct domu_tar_buf *b, const char *key, const void *value, size_t len)
{
	size_t rest = strlen(key) + len + 3, total = rest + digits(rest);
	char head[24];
	unsigned n;

	if (digits(total) != digits(rest))
		total++;
	n = decimal(head, 1, total);
	head[n] = ' ';
	domu_tar_put(b, head, n + 1);
	domu_tar_put(b, key, strlen(key));
	domu_tar_put(b, "=", 1);
	domu_tar_put(b, value, len);
	domu_tar_put(b, "\n", 1);
}

static void record_text(struct domu_tar_buf *b, const char *key, const char *value)
{
	record(b, key, value, strlen(value));
}

static void record_number(struct domu_tar_buf *b, const char *key, uint64_t n)
{
	char text[24];

	record(b, key, text, decimal(text, 1, n));
}

/* Decimal, with the sign before the whole of it: -1.5 is half a second before -1. */
static void record_time(struct domu_tar_buf *b, const char *key, struct timespec t)
{
	bool negative = t.tv_sec < 0;
	long nsec = t.tv_nsec;
	uint64_t sec = negative ? -(uint64_t)t.tv_sec : (uint64_t)t.tv_sec;
	char text[48] = "-";
	unsigned n = negative;

	if (negative && nsec > 0) {
		sec--;
		nsec = 1000000000 - nsec;
	}
	n += decimal(text + n, 1, sec);
	if (nsec != 0) {
		text[n++] = '.';
		n += decimal(text + n, 9, (uint64_t)nsec);
	}
	record(b, key, text, n);
}

/* ---- attributes ------------------------------------------------------------------------ */

/* Of a name '=' would end the key; '%' begins what stands for one.  As GNU tar writes them. */
static void record_xattr(struct domu_tar_buf *b, const struct domu_treeio_xattr *x)
{
	char key[16 + 3 * 256] = "SCHILY.xattr.";
	size_t n = strlen(key);

	for (const char *p = x->name; *p != '\0' && n + 4 < sizeof key; p++)
		if (*p == '=' || *p == '%')
			n += (size_t)snprintf(key + n, sizeof key - n, "%%%02X", *p);
		else
			key[n++] = *p;
	key[n] = '\0';
	record(b, key, x->value, x->len);
}

/* What is no ACL is kept as it is all the same. */
static void record_acl(struct domu_tar_buf *b, const char *key, const struct domu_treeio_xattr *x)
{
	char *text = domu_tar_acl_text(x->value, x->len);

	if (text != NULL)
		record_text(b, key, text);
	else
		record_xattr(b, x);
	free(text);
}

static void record_xattrs(struct domu_tar_buf *b, const struct domu_tar_member *m)
{
	for (size_t i = 0; i < m->n_xattrs; i++) {
		const struct domu_treeio_xattr *x = &m->xattrs[i];

		if (strcmp(x->name, "system.posix_acl_access") == 0) {
			record_acl(b, "SCHILY.acl.access", x);
		} else if (strcmp(x->name, "system.posix_acl_default") == 0) {
			record_acl(b, "SCHILY.acl.default", x);
		} else {
			/* tar --selinux reads the one, --xattrs and the others the other. */
			if (strcmp(x->name, "security.selinux") == 0)
				record(b, "RHT.security.selinux", x->value, strnlen(x->value, x->len));
			record_xattr(b, x);
		}
	}
}

/* The names that libarchive has for them. */
static void record_flags(struct domu_tar_buf *b, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ FS_APPEND_FL, "sappnd" },   { FS_IMMUTABLE_FL, "schg" }, { FS_NODUMP_FL, "nodump" },
		{ FS_NOATIME_FL, "noatime" }, { FS_SECRM_FL, "secdel" },   { FS_SYNC_FL, "sync" },
		{ FS_DIRSYNC_FL, "dirsync" }, { FS_NOTAIL_FL, "notail" },  { FS_TOPDIR_FL, "topdir" },
		{ FS_UNRM_FL, "undel" },
	};
	char text[128] = "";
	size_t n = 0;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if ((flags & names[i].flag) != 0)
			n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n > 0 ? "," : "", names[i].name);
	if (n > 0)
		record_text(b, "SCHILY.fflags", text);
}

/* ---- the header ------------------------------------------------------------------------- */

/* Eight of them a member: by hand, printf would be a tenth of all that a tree takes. */
static void octal(char *field, size_t size, uint64_t value)
{
	for (size_t i = size - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

static bool ascii(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

/* A path of more than 100 bytes may be cut at a '/'. */
static bool split_name(struct ustar *h, const char *path)
{
	size_t len = strlen(path), at;

	if (len <= sizeof h->name) {
		memcpy(h->name, path, len);
		return true;
	}
	for (at = len > sizeof h->name + 1 ? len - sizeof h->name - 1 : 1; at < len - 1 && path[at] != '/'; at++)
		;
	if (at >= len - 1 || at > sizeof h->prefix) {
		memcpy(h->name, path, sizeof h->name);
		return false;
	}
	memcpy(h->prefix, path, at);
	memcpy(h->name, path + at + 1, len - at - 1);
	return true;
}

/* What does not fit, or is not ASCII, is a record; bytes that are no text say so where they must be one. */
static void put_names(struct domu_tar_buf *b, struct ustar *h, const struct domu_tar_member *m)
{
	size_t link = m->link != NULL ? strlen(m->link) : 0;
	bool path_text = domu_is_utf8(m->path, strlen(m->path)), link_text = domu_is_utf8(m->link, link);
	bool path_record = !split_name(h, m->path), link_record = link > sizeof h->link;

	path_record = path_record || (path_text && !ascii(m->path));
	link_record = link_record || (link > 0 && link_text && !ascii(m->link));
	if (link > 0)
		memcpy(h->link, m->link, link < sizeof h->link ? link : sizeof h->link);
	if ((path_record && !path_text) || (link_record && !link_text))
		record_text(b, "hdrcharset", "BINARY");
	if (m->sparse)
		record_text(b, "GNU.sparse.name", m->path);
	else if (path_record)
		record_text(b, "path", m->path);
	if (link_record)
		record_text(b, "linkpath", m->link);
}

/* A reader that knows nothing of sparse files unpacks the map and the pieces under a name that says so. */
static void sparse_name(struct ustar *h, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t dir = slash != NULL ? (size_t)(slash - path) : 0;
	char name[sizeof h->name + 1];

	snprintf(name, sizeof name, "%.*s/GNUSparseFile.0/%s", dir > 0 ? (int)dir : 1, dir > 0 ? path : ".",
	         slash != NULL ? slash + 1 : path);
	memset(h->prefix, 0, sizeof h->prefix);
	memset(h->name, 0, sizeof h->name);
	memcpy(h->name, name, strlen(name));
}

static void put_map(struct domu_tar_buf *map, const struct domu_tar_member *m)
{
	const struct domu_tar_region *last =
	    m->regions != NULL && m->n_regions > 0 ? &m->regions[m->n_regions - 1] : NULL;
	bool tail = last == NULL || last->offset + last->len < m->st->size;
	char line[64];

	domu_tar_put(map, line, (size_t)snprintf(line, sizeof line, "%zu\n", m->n_regions + tail));
	for (size_t i = 0; last != NULL && i < m->n_regions; i++)
		domu_tar_put(map, line,
		             (size_t)snprintf(line, sizeof line, "%" PRIu64 "\n%" PRIu64 "\n", m->regions[i].offset,
		                              m->regions[i].len));
	if (tail)
		domu_tar_put(map, line, (size_t)snprintf(line, sizeof line, "%" PRIu64 "\n0\n", m->st->size));
	domu_tar_pad(map);
}

static char type_of(const struct domu_tar_member *m)
{
	if (m->hard)
		return '1';
	switch (m->st->mode & S_IFMT) {
	case S_IFLNK:
		return '2';
	case S_IFCHR:
		return '3';
	case S_IFBLK:
		return '4';
	case S_IFDIR:
		return '5';
	case S_IFIFO:
		return '6';
	default:
		return '0';
	}
}

static void finish(struct domu_tar_buf *b, struct ustar *h)
{
	const unsigned char *p = (const unsigned char *)h;
	unsigned sum = 0;

	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->sum, ' ', sizeof h->sum);
	for (size_t i = 0; i < sizeof *h; i++)
		sum += p[i];
	octal(h->sum, sizeof h->sum - 1, sum);
	h->sum[6] = '\0';
	domu_tar_put(b, h, sizeof *h);
}

static void put_numbers(struct domu_tar_buf *rec, struct ustar *h, const struct domu_tar_member *m, uint64_t size)
{
	const struct domu_stat *st = m->st;
	bool late = st->mtime.tv_sec < 0 || (uint64_t)st->mtime.tv_sec > OCTAL_11;

	octal(h->mode, sizeof h->mode, st->mode & 07777);
	octal(h->uid, sizeof h->uid, st->uid <= OCTAL_7 ? st->uid : OCTAL_7);
	octal(h->gid, sizeof h->gid, st->gid <= OCTAL_7 ? st->gid : OCTAL_7);
	octal(h->size, sizeof h->size, size <= OCTAL_11 ? size : OCTAL_11);
	octal(h->mtime, sizeof h->mtime, late ? 0 : (uint64_t)st->mtime.tv_sec);
	octal(h->major, sizeof h->major, st->rdev_major & OCTAL_7);
	octal(h->minor, sizeof h->minor, st->rdev_minor & OCTAL_7);
	if (st->uid > OCTAL_7)
		record_number(rec, "uid", st->uid);
	if (st->gid > OCTAL_7)
		record_number(rec, "gid", st->gid);
	if (size > OCTAL_11)
		record_number(rec, "size", size);
	if (m->hard)
		return;
	if (late || st->mtime.tv_nsec != 0)
		record_time(rec, "mtime", st->mtime);
	record_time(rec, "atime", st->atime);
	record_xattrs(rec, m);
	record_flags(rec, st->flags);
}

int domu_tar_header(struct domu_tar_buf *b, const struct domu_tar_member *m)
{
	struct domu_tar_buf rec = { 0 }, map = { 0 };
	struct ustar h = { .type = type_of(m) }, x = { .type = 'x' };
	uint64_t size = 0;
	int rc;

	if (h.type == '0' && !m->sparse)
		size = m->st->size;
	if (m->sparse) {
		record_number(&rec, "GNU.sparse.major", 1);
		record_number(&rec, "GNU.sparse.minor", 0);
		record_number(&rec, "GNU.sparse.realsize", m->st->size);
		put_map(&map, m);
		size = map.n;
		for (size_t i = 0; i < m->n_regions; i++)
			size += m->regions[i].len;
	}
	put_names(&rec, &h, m);
	if (m->sparse)
		sparse_name(&h, m->path);
	put_numbers(&rec, &h, m, size);
	rc = rec.n > MAX_RECORDS ? -E2BIG : 0;
	if (rec.n > 0 && rc == 0) {
		memcpy(x.name, "PaxHeader", 9);
		octal(x.mode, sizeof x.mode, 0644);
		octal(x.uid, sizeof x.uid, 0);
		octal(x.gid, sizeof x.gid, 0);
		octal(x.size, sizeof x.size, rec.n);
		octal(x.mtime, sizeof x.mtime, 0);
		finish(b, &x);
		domu_tar_pad(&rec);
		domu_tar_put(b, rec.p, rec.n);
	}
	if (rc == 0) {
		finish(b, &h);
		domu_tar_put(b, map.p, map.n);
		rc = b->err != 0 ? b->err : rec.err != 0 ? rec.err : map.err;
	}
	domu_tar_buf_free(&rec);
	domu_tar_buf_free(&map);
	return rc;
}
