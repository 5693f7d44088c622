/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-entry.c - what libarchive found, as an entry for a sink. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/lib-archive.h"
#include "base/num.h"
#include "task/tar-entry.h"

#define MAX_ACL 8191 /* lines: a value has 64 KiB at most */

/* ---- attributes ----------------------------------------------------------------------- */

static bool starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* As GNU tar writes names with '=' and '%'. */
static void unescape(char *name)
{
	char *to = name;

	for (const char *p = name; *p != '\0'; p++) {
		if (strncmp(p, "%3D", 3) == 0 || strncmp(p, "%25", 3) == 0) {
			*to++ = p[1] == '3' ? '=' : '%';
			p += 2;
		} else {
			*to++ = *p;
		}
	}
	*to = '\0';
}

/* One attribute; of two with the same name the later counts. */
static int add_xattr(struct domu_tar_entry *t, const char *name, const void *value, size_t len)
{
	struct domu_treeio_entry *e = &t->e;
	char *own = malloc(strlen(name) + 1 + len);

	if (own == NULL)
		return -ENOMEM;
	memcpy(own, name, strlen(name) + 1);
	unescape(own);
	for (size_t i = 0; i < e->n_xattrs; i++)
		if (strcmp(t->xattrs[i].name, own) == 0) {
			free((void *)(uintptr_t)t->xattrs[i].name);
			t->xattrs[i] = t->xattrs[--e->n_xattrs];
			break;
		}
	if (!DOMU_ARRAY_ROOM(t->xattrs, t->cap, e->n_xattrs + 1)) {
		free(own);
		return -ENOMEM;
	}
	memcpy(own + strlen(name) + 1, value, len);
	t->xattrs[e->n_xattrs++] =
	    (struct domu_treeio_xattr){ .name = own, .value = own + strlen(name) + 1, .len = len };
	e->xattrs = t->xattrs;
	return 0;
}

/* What can be kept there: of a filesystem that has others, those are its own business. */
static bool keepable(const char *name, uint32_t mode)
{
	if (starts(name, "user."))
		return S_ISREG(mode) || S_ISDIR(mode);
	if (strcmp(name, "system.posix_acl_access") == 0)
		return !S_ISLNK(mode);
	if (strcmp(name, "system.posix_acl_default") == 0)
		return S_ISDIR(mode);
	return starts(name, "trusted.") || starts(name, "security.");
}

static int get_xattrs(struct domu_ctx *ctx, struct archive_entry *ae, const char *path, struct domu_tar_entry *t)
{
	char label[512];
	const char *name;
	const void *value;
	size_t len;
	int rc = 0;

	archive_entry_xattr_reset(ae);
	while (rc == 0 && archive_entry_xattr_next(ae, &name, &value, &len) == ARCHIVE_OK) {
		if (name == NULL || *name == '\0')
			continue;
		if (!keepable(name, t->e.st.mode)) {
			if (!t->attribute_dropped)
				domu_say(ctx, DOMU_WARNING,
				         "attributes like %s of '%s' cannot be kept here, and are not", name, path);
			t->attribute_dropped = true;
			continue;
		}
		/* A label that came as text; the kernel keeps it with its NUL. */
		if (strcmp(name, "security.selinux") == 0 && len > 0 && len < sizeof label &&
		    ((const char *)value)[len - 1] != '\0') {
			memcpy(label, value, len);
			label[len++] = '\0';
			value = label;
		}
		rc = add_xattr(t, name, value, len);
	}
	return rc;
}

/* ---- ACLs ------------------------------------------------------------------------------- */

struct acl_line {
	unsigned tag, perm;
	uint32_t id;
};

static unsigned acl_tag(int tag)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		return 1;
	case ARCHIVE_ENTRY_ACL_USER:
		return 2;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		return 4;
	case ARCHIVE_ENTRY_ACL_GROUP:
		return 8;
	case ARCHIVE_ENTRY_ACL_MASK:
		return 16;
	case ARCHIVE_ENTRY_ACL_OTHER:
		return 32;
	default:
		return 0;
	}
}

static int by_tag(const void *a, const void *b)
{
	const struct acl_line *x = a, *y = b;

	if (x->tag != y->tag)
		return x->tag < y->tag ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static bool acl_id(const struct domu_tar_in *in, unsigned tag, int qualifier, const char *name, uint32_t *id)
{
	*id = UINT32_MAX;
	if (tag != 2 && tag != 8)
		return true;
	*id = (uint32_t)qualifier;
	if (qualifier >= 0 && (!in->map_names || name == NULL || *name == '\0'))
		return true;
	if (name != NULL && *name != '\0' &&
	    (tag == 2 ? in->user(in->names, name, id) : in->group(in->names, name, id)))
		return true;
	return qualifier >= 0;
}

static int get_acl(struct domu_ctx *ctx, const struct domu_tar_in *in, struct archive_entry *ae, const char *path,
                   bool access, struct domu_tar_entry *t)
{
	int want = access ? ARCHIVE_ENTRY_ACL_TYPE_ACCESS : ARCHIVE_ENTRY_ACL_TYPE_DEFAULT;
	int n = archive_entry_acl_reset(ae, want), type, perm, tag, qualifier, rc = 0;
	struct acl_line *v;
	const char *name;
	uint8_t *value;
	size_t k = 0;

	/* Three lines of an access ACL are what the mode says. */
	if (n <= (access ? 3 : 0) || S_ISLNK(t->e.st.mode) || (!access && !S_ISDIR(t->e.st.mode)))
		return 0;
	if (n > MAX_ACL)
		return domu_fail(ctx, DOMU_FAILED, -E2BIG, "the ACL of '%s' has %d lines, more than any file can have",
		                 path, n);
	v = calloc((size_t)n + 4, sizeof *v);
	value = malloc(4 + ((size_t)n + 4) * 8);
	while (v != NULL && value != NULL && k < (size_t)n + 4 &&
	       archive_entry_acl_next(ae, want, &type, &perm, &tag, &qualifier, &name) == ARCHIVE_OK) {
		v[k] = (struct acl_line){ .tag = acl_tag(tag), .perm = (unsigned)perm & 7 };
		if (v[k].tag != 0 && acl_id(in, v[k].tag, qualifier, name, &v[k].id)) {
			k++;
		} else if (!t->owner_unknown) {
			t->owner_unknown = true;
			domu_say(ctx, DOMU_WARNING,
			         "the ACL of '%s' is for '%s', which the guest does not know: such lines are left out",
			         path, name != NULL ? name : "");
		}
	}
	if (v == NULL || value == NULL) {
		rc = -ENOMEM;
		goto out;
	}
	qsort(v, k, sizeof *v, by_tag);
	domu_put_le32(value, 2);
	for (size_t i = 0; i < k; i++) {
		domu_put_le32(value + 4 + i * 8, v[i].tag | v[i].perm << 16);
		domu_put_le32(value + 8 + i * 8, v[i].id);
	}
	rc = add_xattr(t, access ? "system.posix_acl_access" : "system.posix_acl_default", value, 4 + k * 8);
out:
	free(value);
	free(v);
	return rc;
}

static bool has(const struct domu_tar_entry *t, const char *name)
{
	for (size_t i = 0; i < t->e.n_xattrs; i++)
		if (strcmp(t->xattrs[i].name, name) == 0)
			return true;
	return false;
}

/* ---- all of it ------------------------------------------------------------------------------ */

/*
 * As GNU tar and POSIX have it, -1.5 is a second and a half before 1970;
 * libarchive gives it as -1 and a half (and of -0.5 not the sign).
 */
static struct timespec when(time_t sec, long nsec)
{
	return sec < 0 && nsec > 0 ? (struct timespec){ sec - 1, 1000000000 - nsec } : (struct timespec){ sec, nsec };
}

static void get_stat(const struct domu_tar_in *in, struct archive_entry *ae, struct domu_tar_entry *t)
{
	const char *user = in->map_names ? archive_entry_uname(ae) : NULL;
	const char *group = in->map_names ? archive_entry_gname(ae) : NULL;
	struct domu_stat *st = &t->e.st;
	unsigned long set, clear;

	st->mode = (uint32_t)archive_entry_mode(ae);
	st->uid = (uint32_t)archive_entry_uid(ae);
	st->gid = (uint32_t)archive_entry_gid(ae);
	if (user != NULL && *user != '\0')
		in->user(in->names, user, &st->uid);
	if (group != NULL && *group != '\0')
		in->group(in->names, group, &st->gid);
	st->rdev_major = (uint32_t)archive_entry_rdevmajor(ae);
	st->rdev_minor = (uint32_t)archive_entry_rdevminor(ae);
	st->size = archive_entry_size(ae) > 0 ? (uint64_t)archive_entry_size(ae) : 0;
	clock_gettime(CLOCK_REALTIME, &st->ctime);
	st->mtime = st->atime = st->btime = st->ctime;
	if (archive_entry_mtime_is_set(ae))
		st->mtime = when(archive_entry_mtime(ae), archive_entry_mtime_nsec(ae));
	if (archive_entry_atime_is_set(ae))
		st->atime = when(archive_entry_atime(ae), archive_entry_atime_nsec(ae));
	archive_entry_fflags(ae, &set, &clear);
	st->flags = (uint32_t)set;
	t->has_flags = set != 0;
}

int domu_tar_entry_read(struct domu_ctx *ctx, const struct domu_tar_in *in, struct archive_entry *ae, const char *path,
                        struct domu_tar_entry *t)
{
	int rc;

	for (size_t i = 0; i < t->e.n_xattrs; i++)
		free((void *)(uintptr_t)t->xattrs[i].name);
	memset(&t->e, 0, sizeof t->e);
	get_stat(in, ae, t);
	t->e.target = S_ISLNK(t->e.st.mode) ? archive_entry_symlink(ae) : NULL;
	rc = get_xattrs(ctx, ae, path, t);
	if (rc == 0 && !has(t, "system.posix_acl_access"))
		rc = get_acl(ctx, in, ae, path, true, t);
	if (rc == 0 && !has(t, "system.posix_acl_default"))
		rc = get_acl(ctx, in, ae, path, false, t);
	return rc == -ENOMEM ? domu_nomem(ctx) : rc;
}

void domu_tar_entry_free(struct domu_tar_entry *t)
{
	for (size_t i = 0; i < t->e.n_xattrs; i++)
		free((void *)(uintptr_t)t->xattrs[i].name);
	free(t->xattrs);
}
