/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-tar-out.c - tar-out: a tree of the guest as an archive, to a file or a pipe. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "shell/cmd.h"
#include "task/tar.h"

/* Where an archive goes in the front. */
struct target {
	const char *word; /* as typed; NULL: stdout */
	char *path; /* of the file that it becomes, links resolved */
	char *part; /* its name until it is whole; NULL: written as it is */
	int fd;
};

/* ---- in the worker ------------------------------------------------------------------ */

static int worker(struct domu_run *r)
{
	struct domu_path *where = malloc(sizeof *where);
	unsigned long failures = 0;
	struct domu_tree *t;
	int rc = where != NULL ? domu_work_tree(r->work, r->use, &t) : domu_nomem(r->ctx);

	if (rc == 0 && r->out_fd < 0)
		rc = domu_fail(r->ctx, DOMU_FAILED, -EBADF, "no file came for the archive");
	if (rc == 0)
		rc = domu_run_walk(r, 0, 0, where);
	if (rc == 0)
		rc = domu_tar_out(r->ctx, t, where, r->out_fd, &failures);
	/* The archive is whole, and kept. */
	if (rc == 0 && failures > 0) {
		domu_say(r->ctx, DOMU_WARNING, "%lu file%s could not be read whole; the archive has everything else",
		         failures, failures == 1 ? "" : "s");
		r->exit_status = DOMU_FAILED;
	}
	free(where);
	return rc;
}

/* ---- the file ----------------------------------------------------------------------------- */

static int cannot(struct domu_run *r, const char *path)
{
	int err = errno;

	return domu_fail(r->ctx, err == ENOENT ? DOMU_NOTFOUND : DOMU_FAILED, -err, "cannot write '%s': %s", path,
	                 strerror(err));
}

/* A file is written under another name, and has its own when it is whole. */
static int open_part(struct domu_run *r, struct target *t, const struct stat *old)
{
	mode_t mode = old != NULL ? old->st_mode & 0777 : 0666;

	/* What a link leads to is replaced, not the link. */
	t->path = old != NULL ? realpath(t->word, NULL) : strdup(t->word);
	if (t->path == NULL || asprintf(&t->part, "%s.part", t->path) < 0) {
		t->part = NULL;
		return domu_nomem(r->ctx);
	}
	t->fd = r->ctx->io->open(t->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (t->fd < 0 && errno == EEXIST) {
		int rc = domu_fail(r->ctx, DOMU_FAILED, -EEXIST,
		                   "'%s' is there: another tar-out writes it, or one was killed: then rm it", t->part);

		free(t->part);
		t->part = NULL;
		return rc;
	}
	if (t->fd < 0)
		return cannot(r, t->part);
	if (old != NULL && (fchmod(t->fd, mode) < 0 || fchown(t->fd, old->st_uid, old->st_gid) < 0))
		return cannot(r, t->part);
	return 0;
}

static int open_target(struct domu_run *r, struct target *t)
{
	const char *word = domu_args_get(r->args, 1);
	struct stat st;

	*t = (struct target){ .fd = -1 };
	if (word == NULL || strcmp(word, "-") == 0) {
		t->fd = fileno(r->app->out);
		if (isatty(t->fd))
			return domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
			                 "tar-out: an archive is not for a terminal: name a FILE, or a pipe");
		return 0;
	}
	t->word = word;
	if (stat(word, &st) < 0)
		return errno == ENOENT ? open_part(r, t, NULL) : cannot(r, word);
	if (S_ISREG(st.st_mode))
		return open_part(r, t, &st);
	/* A tape, a fifo. */
	t->fd = r->ctx->io->open(word, O_WRONLY | O_CLOEXEC | O_NOCTTY, 0);
	if (t->fd < 0)
		return cannot(r, word);
	if (isatty(t->fd))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "tar-out: '%s' is a terminal", word);
	return 0;
}

static int close_target(struct domu_run *r, struct target *t, int rc)
{
	const struct domu_io *io = r->ctx->io;

	if (rc == 0 && t->part != NULL && io->fsync(t->fd) < 0)
		rc = cannot(r, t->part);
	if (t->word != NULL && t->fd >= 0 && io->close(t->fd) < 0 && rc == 0)
		rc = cannot(r, t->word);
	if (t->part != NULL && rc == 0 && io->rename(t->part, t->path) < 0)
		rc = cannot(r, t->path);
	if (t->part != NULL && t->fd >= 0 && rc != 0)
		io->unlink(t->part);
	free(t->part);
	free(t->path);
	return rc;
}

/* ---- compressed --------------------------------------------------------------------------- */

static bool ends(const char *name, const char *with)
{
	size_t n = strlen(name), k = strlen(with);

	return n > k && strcasecmp(name + n - k, with) == 0;
}

static enum domu_tar_packing packing(const struct domu_run *r)
{
	static const struct {
		const char *suffix;
		enum domu_tar_packing kind;
	} names[] = {
		{ ".gz", DOMU_TAR_GZIP }, { ".tgz", DOMU_TAR_GZIP }, { ".xz", DOMU_TAR_XZ },
		{ ".txz", DOMU_TAR_XZ },  { ".zst", DOMU_TAR_ZSTD }, { ".tzst", DOMU_TAR_ZSTD },
	};
	const char *name = domu_args_get(r->args, 1);

	if (domu_args_flag(r->args, "no-compress"))
		return DOMU_TAR_PLAIN;
	if (domu_args_flag(r->args, "gzip"))
		return DOMU_TAR_GZIP;
	if (domu_args_flag(r->args, "xz"))
		return DOMU_TAR_XZ;
	if (domu_args_flag(r->args, "zstd"))
		return DOMU_TAR_ZSTD;
	for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++)
		if (ends(name, names[i].suffix))
			return names[i].kind;
	return DOMU_TAR_PLAIN;
}

static int run_packed(struct domu_run *r, enum domu_tar_packing kind, int fd)
{
	struct domu_tar_pack *p;
	int in, rc = domu_tar_pack_start(r->ctx, kind, fd, &p, &in);
	bool whole;

	if (rc != 0)
		return rc;
	r->out_fd = in;
	rc = domu_run_in_worker(r, r->session);
	r->out_fd = -1;
	/* The end of the archive is seen only where it is whole: otherwise its process is ended first. */
	whole = rc == 0 || rc == -ESHUTDOWN;
	if (whole)
		close(in);
	rc = domu_tar_pack_end(r->ctx, p, rc);
	if (!whole)
		close(in);
	return rc;
}

static int run_plain(struct domu_run *r, int fd)
{
	int rc;

	r->out_fd = fd;
	rc = domu_run_in_worker(r, r->session);
	r->out_fd = -1;
	return rc;
}

static int run_tar_out(struct domu_run *r)
{
	enum domu_tar_packing kind = packing(r);
	struct target t;
	int rc;

	if (r->globals->json)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "tar-out gives an archive, not JSON");
	rc = open_target(r, &t);
	if (rc == 0)
		rc = kind == DOMU_TAR_PLAIN ? run_plain(r, t.fd) : run_packed(r, kind, t.fd);
	return close_target(r, &t, rc);
}

static const struct domu_arg args[] = {
	{ "GUEST:/DIR", ARG_GUEST_PATH, COUNT_ONE },
	{ "FILE", ARG_HOST_PATH, COUNT_OPTIONAL },
	{ 0 },
};
static const struct domu_option options[] = {
	{ "gzip", 'z', NULL, "compress by gzip, whatever FILE is called" },
	{ "xz", 'J', NULL, "compress by xz" },
	{ "zstd", 0, NULL, "compress by zstd" },
	{ "no-compress", 0, NULL, "do not compress" },
	{ 0 },
};

const struct domu_command domu_cmd_tar_out = {
	.name = "tar-out",
	.topic = "reading",
	.summary = "put a tree of the guest into an archive",
	.description =
	    "Names in the archive are relative to DIR. It is a pax archive with owners as numbers, times, ACLs, "
	    "capabilities, labels and other attributes, holes and hard links: all that tar --acls --xattrs "
	    "--xattrs-include=* --selinux and bsdtar -p restore; tar has no sockets. FILE is compressed when its name "
	    "ends in .gz or .tgz, .xz or .txz, .zst or .tzst. A FILE appears when it is whole, until then it is "
	    "FILE.part. Without FILE, or with -, the archive goes to stdout.",
	.args = args,
	.options = options,
	.example = "domu-rescue tar-out web1:/etc etc.tar.gz",
	.needs = NEED_GUEST | WALKS,
	.worker = worker,
	.front = run_tar_out,
};
