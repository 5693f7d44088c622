/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-in.c - an archive into a directory of a guest. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/lib-archive.h"
#include "fs/label.h"
#include "task/tar-entry.h"
#include "task/tar-path.h"

#define PIECE      (1u << 20)
#define MAX_SAID   20u
#define MAX_DIRS   (1u << 20)
#define SHOW_EVERY (UINT64_C(16) << 20)

/* A directory gets its times when nothing more comes into it, and its flags with them. */
struct tar_dir {
	struct domu_fs *fs;
	struct domu_stat st; /* st.ino: the directory's */
	bool flags;
};

struct tar_in {
	struct domu_ctx *ctx;
	const struct domu_tar_in *in;
	int fd;
	struct archive *a;
	char *buf; /* PIECE: what libarchive reads from */
	uint64_t taken, shown; /* bytes of the file */
	struct domu_sink sink;
	struct domu_tar_walk walk;
	struct domu_tar_entry entry;
	struct tar_dir *dirs;
	size_t n_dirs, cap_dirs;
	unsigned long refused;
	bool absolute_said, kept_said;
};

/* ---- the archive ------------------------------------------------------------------------ */

static la_ssize_t more(struct archive *a, void *user, const void **bytes)
{
	struct tar_in *t = user;
	ssize_t n;

	do {
		n = read(t->fd, t->buf, PIECE);
	} while (n < 0 && errno == EINTR && !domu_interrupted(t->ctx));
	if (n < 0) {
		archive_set_error(a, errno, "cannot read it: %s", strerror(errno));
		return -1;
	}
	t->taken += (size_t)n;
	if (t->taken - t->shown >= SHOW_EVERY && t->in->size > 0)
		domu_progress(t->ctx, "tar-in", t->taken, t->in->size);
	else if (t->taken - t->shown >= SHOW_EVERY)
		domu_progress(t->ctx, "tar-in, MiB", t->taken >> 20, 0);
	if (t->taken - t->shown >= SHOW_EVERY)
		t->shown = t->taken;
	*bytes = t->buf;
	return n;
}

static int open_archive(struct tar_in *t)
{
	t->a = archive_read_new();
	t->buf = malloc(PIECE);
	if (t->a == NULL || t->buf == NULL)
		return domu_nomem(t->ctx);
	/* Not all that it has: some call programs. */
	archive_read_support_filter_gzip(t->a);
	archive_read_support_filter_bzip2(t->a);
	archive_read_support_filter_xz(t->a);
	archive_read_support_filter_lzma(t->a);
	archive_read_support_filter_zstd(t->a);
	archive_read_support_format_tar(t->a);
	archive_read_support_format_cpio(t->a);
	if (archive_read_open(t->a, t, NULL, more, NULL) != ARCHIVE_OK)
		return domu_fail(t->ctx, DOMU_FAILED, -EBADMSG, "this is no archive: %s", archive_error_string(t->a));
	return 0;
}

static int damaged(struct tar_in *t)
{
	const char *why = archive_error_string(t->a);

	return domu_fail(t->ctx, DOMU_FAILED, -EBADMSG, "the archive is damaged at byte %" PRIu64 ": %s", t->taken,
	                 why != NULL ? why : "it cannot be read");
}

/* ---- what is refused ----------------------------------------------------------------------- */

/* Said, and passed over; the end is a failure then. */
static int pass_over(struct tar_in *t)
{
	const char *why = t->ctx->error.message;

	if (t->refused++ < MAX_SAID)
		domu_say(t->ctx, DOMU_WARNING, "%s", why != NULL ? why : "refused");
	domu_error_clear(t->ctx);
	return 0;
}

static void say_absolute(struct tar_in *t, const char *path)
{
	if (*path != '/' || t->absolute_said)
		return;
	t->absolute_said = true;
	domu_say(t->ctx, DOMU_INFO, "names that begin with '/' are taken from %s on", t->in->dir->path);
}

/* ---- entries ---------------------------------------------------------------------------------- */

static int finish_dirs(struct tar_in *t)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < t->n_dirs; i++) {
		const struct tar_dir *d = &t->dirs[i];
		struct domu_stat now;

		rc = domu_fs_stat(d->fs, d->st.ino, &now);
		/* It may have been replaced since. */
		if (rc != 0 || !S_ISDIR(now.mode)) {
			domu_error_clear(t->ctx);
			rc = 0;
			continue;
		}
		now.atime = d->st.atime;
		now.mtime = d->st.mtime;
		now.flags |= d->st.flags;
		rc = domu_fs_setattr(d->fs, d->st.ino, &now,
		                     DOMU_ATTR_ATIME | DOMU_ATTR_MTIME | (d->flags ? DOMU_ATTR_FLAGS : 0));
	}
	t->n_dirs = 0;
	return rc;
}

static int later(struct tar_in *t, struct domu_fs *fs, uint64_t ino)
{
	struct tar_dir d = { .fs = fs, .st = t->entry.e.st, .flags = t->entry.has_flags };

	d.st.ino = ino;
	if (t->n_dirs == MAX_DIRS) {
		int rc = finish_dirs(t);

		if (rc != 0)
			return rc;
	}
	if (!DOMU_ARRAY_ROOM(t->dirs, t->cap_dirs, t->n_dirs + 1))
		return domu_nomem(t->ctx);
	t->dirs[t->n_dirs++] = d;
	return 0;
}

static int put_flags(struct tar_in *t, struct domu_fs *fs, uint64_t ino)
{
	struct domu_stat st;
	int rc = 0;

	if (!t->entry.has_flags)
		return 0;
	rc = domu_fs_stat(fs, ino, &st);
	st.flags |= t->entry.e.st.flags;
	return rc == 0 ? domu_fs_setattr(fs, ino, &st, DOMU_ATTR_FLAGS) : rc;
}

static int put_data(struct tar_in *t)
{
	const void *bytes;
	uint64_t end = 0;
	size_t len;
	la_int64_t offset;
	int r, rc = 0;

	while (rc == 0 && (r = archive_read_data_block(t->a, &bytes, &len, &offset)) != ARCHIVE_EOF) {
		if (r < ARCHIVE_WARN || offset < 0)
			return damaged(t);
		if (domu_interrupted(t->ctx))
			return domu_fail(t->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		rc = len > 0 ? t->sink.data(&t->sink, bytes, len, (uint64_t)offset) : 0;
		end = (uint64_t)offset + len;
	}
	if (t->entry.e.st.size > end)
		end = t->entry.e.st.size;
	return rc == 0 ? t->sink.file_end(&t->sink, end) : rc;
}

/* The directory itself: what "./" says of it. */
static int put_base(struct tar_in *t, const struct domu_tar_dir *d)
{
	const struct domu_treeio_entry *e = &t->entry.e;
	int rc;

	if (!S_ISDIR(e->st.mode))
		return 0;
	rc = domu_fs_setattr(d->fs, d->ino, &e->st, DOMU_ATTR_MODE | DOMU_ATTR_UID | DOMU_ATTR_GID);
	for (size_t i = 0; rc == 0 && i < e->n_xattrs; i++)
		rc = domu_fs_setxattr(d->fs, d->ino, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].len);
	return rc == 0 ? later(t, d->fs, d->ino) : rc;
}

/*
 * A directory of the archive where the guest has a link to one, as /bin to
 * usr/bin.  Replaced, as tar(1) does, the guest would have lost the rest of
 * /usr/bin in /bin, and not boot.  1: it is kept.
 */
static int keep_link(struct tar_in *t, const struct domu_tar_dir *d, const char *path, const char *name)
{
	struct domu_tar_dir to;
	struct domu_stat st;
	uint64_t ino;
	int rc = domu_fs_lookup(d->fs, d->ino, name, &ino);

	if (rc == -ENOENT) {
		domu_error_clear(t->ctx);
		return 0;
	}
	if (rc == 0)
		rc = domu_fs_stat(d->fs, ino, &st);
	if (rc != 0 || !S_ISLNK(st.mode))
		return rc;
	rc = domu_tar_walk_link(&t->walk, path, d, name, &to);
	if (rc <= 0)
		return rc;
	if (!t->kept_said)
		domu_say(t->ctx, DOMU_WARNING,
		         "'%s' is a link to %s in the guest: it is kept, and what the archive has below it goes there "
		         "(--no-keep-directory-symlink replaces such links)",
		         path, to.path);
	t->kept_said = true;
	free((char *)(uintptr_t)to.path);
	return 1;
}

static int put_entry(struct tar_in *t, const struct domu_tar_dir *d, const char *name)
{
	struct domu_treeio_entry *e = &t->entry.e;
	struct domu_fs *fs;
	uint64_t ino;
	int rc;

	e->name = name;
	rc = domu_treeio_guest_move(&t->sink, d->fs, d->mount, d->ino, t->walk.labels ? d->path : NULL);
	if (rc == 0)
		rc = t->sink.entry(&t->sink, e);
	if (rc == -ENOTEMPTY || rc == -EBUSY)
		return pass_over(t);
	if (rc != 0)
		return rc;
	ino = domu_treeio_guest_last(&t->sink, &fs);
	if (S_ISDIR(e->st.mode)) {
		rc = t->sink.leave(&t->sink);
		return rc == 0 ? later(t, fs, ino) : rc;
	}
	rc = S_ISREG(e->st.mode) ? put_data(t) : 0;
	return rc == 0 ? put_flags(t, fs, ino) : rc;
}

/* Makes way for a name at d; *same: it is that inode already. */
static int make_way(struct tar_in *t, const struct domu_tar_dir *d, const char *name, uint64_t ino, bool *same)
{
	struct domu_stat st;
	uint64_t old;
	int rc = domu_fs_lookup(d->fs, d->ino, name, &old);

	*same = rc == 0 && old == ino;
	if (rc == -ENOENT) {
		domu_error_clear(t->ctx);
		return 0;
	}
	if (rc == 0 && !*same)
		rc = domu_fs_stat(d->fs, old, &st);
	if (rc != 0 || *same)
		return rc;
	return S_ISDIR(st.mode) ? domu_fail(t->ctx, DOMU_FAILED, -EISDIR, "'%s' is a directory in the guest", name)
	                        : domu_fs_unlink(d->fs, d->ino, name);
}

/* cpio has the content of a file at its last name. */
static int put_late_data(struct tar_in *t, struct archive_entry *ae, const char *path, const struct domu_tar_dir *d,
                         const char *name)
{
	struct domu_stat st;
	uint64_t ino;
	int rc = domu_fs_lookup(d->fs, d->ino, name, &ino);

	if (rc == 0)
		rc = domu_fs_stat(d->fs, ino, &st);
	if (rc != 0 || !S_ISREG(st.mode))
		return rc;
	rc = domu_tar_entry_read(t->ctx, t->in, ae, path, &t->entry);
	if (rc == 0)
		rc = domu_fs_truncate(d->fs, ino, 0);
	if (rc != 0)
		return rc;
	domu_treeio_guest_reopen(&t->sink, d->fs, ino, &t->entry.e.st);
	return put_data(t);
}

/* Another name of a member before, or of what the guest has: only below the directory, and no link on the way. */
static int put_link(struct tar_in *t, struct archive_entry *ae, const char *path, const struct domu_tar_dir *d,
                    const char *name)
{
	const char *target = archive_entry_hardlink(ae);
	struct domu_tar_walk w = { .ctx = t->ctx,
		                   .tree = t->walk.tree,
		                   .strip = t->walk.strip,
		                   .base = t->walk.base,
		                   .keep_links = t->walk.keep_links };
	struct domu_tar_dir from;
	char base[256];
	uint64_t ino = 0;
	bool same = false;
	int rc = domu_tar_walk_to(&w, target, false, &from, base);

	domu_tar_walk_free(&w);
	if (rc == 0)
		rc = domu_fs_lookup(from.fs, from.ino, base, &ino);
	if (rc == 0 && from.fs != d->fs)
		rc = domu_fail(t->ctx, DOMU_FAILED, -EXDEV, "'%s' and '%s' are on different filesystems", path, target);
	if (rc == 0)
		rc = make_way(t, d, name, ino, &same);
	if (rc == 0 && !same)
		rc = domu_fs_link(d->fs, d->ino, name, ino);
	if (rc == 0)
		return archive_entry_size(ae) > 0 ? put_late_data(t, ae, path, d, name) : 0;
	if (rc == -ENOENT || rc == -EALREADY)
		domu_error_clear(t->ctx);
	domu_fail(t->ctx, DOMU_FAILED, rc, "'%s' cannot be another name of '%s', which is not there", path, target);
	return rc == -ENOSPC || rc == -EIO ? rc : pass_over(t);
}

static int one(struct tar_in *t, struct archive_entry *ae)
{
	const char *path = archive_entry_pathname(ae), *link = archive_entry_hardlink(ae);
	struct domu_tar_dir d;
	char name[256];
	int rc;

	if (path == NULL) {
		domu_fail(t->ctx, DOMU_FAILED, -EBADMSG, "a name in the archive cannot be read");
		return pass_over(t);
	}
	say_absolute(t, path);
	rc = domu_tar_walk_to(&t->walk, path, true, &d, name);
	if (rc == -EXDEV)
		return pass_over(t);
	if (rc != 0)
		return rc == -EALREADY ? 0 : rc;
	if (link != NULL && name[0] != '\0')
		return put_link(t, ae, path, &d, name);
	rc = domu_tar_entry_read(t->ctx, t->in, ae, path, &t->entry);
	if (rc != 0)
		return rc;
	if (name[0] == '\0')
		return put_base(t, &d);
	if (!domu_type_known(t->entry.e.st.mode) || (S_ISLNK(t->entry.e.st.mode) && t->entry.e.target == NULL)) {
		domu_fail(t->ctx, DOMU_FAILED, -EINVAL, "'%s' is of no type that a file can have", path);
		return pass_over(t);
	}
	rc = S_ISDIR(t->entry.e.st.mode) && t->walk.keep_links ? keep_link(t, &d, path, name) : 0;
	if (rc == -EXDEV)
		return pass_over(t);
	return rc != 0 ? (rc > 0 ? 0 : rc) : put_entry(t, &d, name);
}

/* A sink knows a member's last name. */
static void name_member(struct tar_in *t, struct archive_entry *ae, int rc)
{
	const char *path = archive_entry_pathname(ae), *said = t->ctx->error.message;

	if (rc != 0 && rc != -EINTR && rc != -ENOMEM && path != NULL && said != NULL && strstr(said, path) == NULL)
		domu_error_about(t->ctx, path);
}

static int unpack(struct tar_in *t)
{
	struct archive_entry *ae;
	int r, rc = open_archive(t);

	while (rc == 0) {
		if (domu_interrupted(t->ctx))
			return domu_fail(t->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		r = archive_read_next_header(t->a, &ae);
		if (r == ARCHIVE_EOF)
			break;
		/* A warning is about a name that is no text: its bytes are there all the same. */
		if (r < ARCHIVE_WARN)
			return damaged(t);
		rc = one(t, ae);
		name_member(t, ae, rc);
	}
	return rc == 0 ? finish_dirs(t) : rc;
}

int domu_tar_in(struct domu_ctx *ctx, const struct domu_tar_in *in, int fd)
{
	const struct domu_treeio_into into = {
		.tree = in->tree, .fs = in->dir->fs, .mount = in->dir->mount, .dir = in->dir->ino
	};
	struct tar_in t = { .ctx = ctx, .in = in, .fd = fd };
	struct domu_labels *labels = NULL;
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = (locale_t)0;
	int rc;

	t.walk = (struct domu_tar_walk){ .ctx = ctx, .tree = in->tree, .strip = in->strip };
	t.walk.base =
	    (struct domu_tar_dir){ .fs = into.fs, .mount = into.mount, .ino = into.dir, .path = in->dir->path };
	t.walk.keep_links = !in->replace_links;
	/* libarchive gives names back as they are only where they are text of the locale; of this thread alone. */
	if (utf8 != (locale_t)0)
		before = uselocale(utf8);
	rc = domu_tree_labels(in->tree, &labels);
	t.walk.labels = labels != NULL;
	if (rc == 0)
		rc = domu_treeio_to_guest(ctx, &into, DOMU_TREEIO_PRESERVE | DOMU_TREEIO_XATTRS | DOMU_TREEIO_REPLACE,
		                          &t.sink);
	if (rc == 0)
		rc = unpack(&t);
	if (rc == 0 && t.refused > 0)
		rc = domu_fail(ctx, DOMU_FAILED, -EXDEV, "%lu member%s refused: nothing was unpacked", t.refused,
		               t.refused == 1 ? " was" : "s were");
	if (t.a != NULL)
		archive_read_free(t.a);
	domu_treeio_guest_free(&t.sink);
	domu_tar_walk_free(&t.walk);
	domu_tar_entry_free(&t.entry);
	free(t.dirs);
	free(t.buf);
	if (utf8 != (locale_t)0) {
		uselocale(before);
		freelocale(utf8);
	}
	return rc;
}
