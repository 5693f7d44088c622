/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tar-pack.c - a process that compresses an archive: beside the worker, so that both have a processor. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/lib-archive.h"
#include "fence/confine.h"
#include "fence/fence.h"
#include "task/tar.h"

#define PIECE   (1u << 18)
#define PIPE    (1u << 20)
#define MESSAGE 512u

struct domu_tar_pack {
	pid_t pid;
	int said; /* what it has to say when it fails comes here */
};

/* ---- in the child ----------------------------------------------------------------------- */

static int add_filter(struct archive *a, enum domu_tar_packing kind)
{
	switch (kind) {
	case DOMU_TAR_GZIP:
		/* No time in it: the same tree gives the same bytes. */
		return archive_write_add_filter_gzip(a) == ARCHIVE_OK &&
		               archive_write_set_filter_option(a, "gzip", "timestamp", NULL) == ARCHIVE_OK
		           ? 0
		           : -EINVAL;
	case DOMU_TAR_XZ:
		/* One thread: each takes a hundred MiB, and a Dom0 has not many. */
		return archive_write_add_filter_xz(a) == ARCHIVE_OK ? 0 : -EINVAL;
	case DOMU_TAR_ZSTD:
		if (archive_write_add_filter_zstd(a) != ARCHIVE_OK)
			return -EINVAL;
		/* Older ones know no threads. */
		archive_write_set_filter_option(a, "zstd", "threads", "0");
		return 0;
	default:
		return -EINVAL;
	}
}

static int copy(struct archive *a, int in, int out)
{
	struct domu_behind behind = { 0 };
	char *buf = malloc(PIECE);
	ssize_t n = buf != NULL ? 1 : -1;
	int rc = buf != NULL ? 0 : -ENOMEM;

	while (rc == 0 && n > 0) {
		n = read(in, buf, PIECE);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			rc = -errno;
		else if (n > 0 && archive_write_data(a, buf, (size_t)n) < 0)
			rc = -EIO;
		domu_write_behind(&behind, out);
	}
	free(buf);
	return rc;
}

static int compress_all(enum domu_tar_packing kind, int in, int out, char why[MESSAGE])
{
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	int rc = a != NULL && e != NULL ? add_filter(a, kind) : -ENOMEM;

	if (rc == 0) {
		archive_write_set_format_raw(a);
		archive_write_set_bytes_in_last_block(a, 1);
		archive_entry_set_filetype(e, AE_IFREG);
		if (archive_write_open_fd(a, out) != ARCHIVE_OK || archive_write_header(a, e) != ARCHIVE_OK)
			rc = -EIO;
	}
	if (rc == 0)
		rc = copy(a, in, out);
	if (rc == 0 && archive_write_close(a) != ARCHIVE_OK)
		rc = -EIO;
	if (rc != 0) {
		const char *text = a != NULL ? archive_error_string(a) : NULL;

		/* What libarchive says of a full disk is "Write error"; its errno says which. */
		if (rc == -EIO && a != NULL && archive_errno(a) > 0)
			rc = -archive_errno(a);
		snprintf(why, MESSAGE, "%s", rc != -EIO || text == NULL ? strerror(-rc) : text);
	}
	archive_entry_free(e);
	/* Not freed after a failure: that would write what is left. */
	if (a != NULL && rc == 0)
		archive_write_free(a);
	return rc;
}

static _Noreturn void child(enum domu_tar_packing kind, int in, int out, int say, pid_t parent)
{
	const int keep[] = { in, out, say };
	const struct domu_confine c = {
		.keep = keep, .n_keep = 3, .parent = parent, .empty_root = true, .files = 64, .uid = DOMU_WORKER_UID
	};
	const char *what = "";
	char why[MESSAGE] = "";
	int rc;

	domu_confine_signals();
	prctl(PR_SET_NAME, "domu-pack", 0, 0, 0);
	rc = domu_confine(&c, &what);
	if (rc != 0)
		snprintf(why, sizeof why, "cannot %s: %s", what, strerror(-rc));
	else
		rc = compress_all(kind, in, out, why);
	if (rc != 0 && write(say, why, strlen(why)) < 0)
		_exit(2);
	_exit(rc != 0);
}

/* ---- in the front ------------------------------------------------------------------------- */

int domu_tar_pack_start(struct domu_ctx *ctx, enum domu_tar_packing kind, int out_fd, struct domu_tar_pack **p, int *fd)
{
	int data[2] = { -1, -1 }, say[2] = { -1, -1 }, rc = domu_tar_lib(ctx);
	struct domu_tar_pack *k = calloc(1, sizeof *k);
	pid_t parent = getpid();

	*p = NULL;
	*fd = -1;
	if (rc == 0 && k == NULL)
		rc = domu_nomem(ctx);
	if (rc == 0 && (pipe2(data, O_CLOEXEC) < 0 || pipe2(say, O_CLOEXEC) < 0))
		rc = domu_fail(ctx, DOMU_FAILED, -errno, "cannot make a pipe: %s", strerror(errno));
	if (rc == 0) {
		k->pid = fork();
		if (k->pid == 0)
			child(kind, data[0], out_fd, say[1], parent);
		if (k->pid < 0)
			rc = domu_fail(ctx, DOMU_FAILED, -errno, "cannot start a process: %s", strerror(errno));
	}
	if (data[0] >= 0)
		close(data[0]);
	if (say[1] >= 0)
		close(say[1]);
	if (rc != 0) {
		if (data[1] >= 0)
			close(data[1]);
		if (say[0] >= 0)
			close(say[0]);
		free(k);
		return rc;
	}
	k->said = say[0];
	*p = k;
	*fd = data[1];
	return 0;
}

int domu_tar_pack_end(struct domu_ctx *ctx, struct domu_tar_pack *p, int rc)
{
	char why[MESSAGE] = "";
	ssize_t n;
	int status = 0;

	if (p == NULL)
		return rc;
	/* A reader that is gone is its failure, to be told as such; anything else ends it. */
	if (rc != 0 && rc != -ESHUTDOWN)
		kill(p->pid, SIGKILL);
	do {
		n = read(p->said, why, sizeof why - 1);
	} while (n < 0 && errno == EINTR);
	close(p->said);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	free(p);
	if ((rc != 0 && rc != -ESHUTDOWN) || (rc == 0 && status == 0))
		return rc;
	domu_error_clear(ctx);
	if (n > 0 && strcmp(why, strerror(EPIPE)) == 0)
		return domu_fail(ctx, DOMU_FAILED, -ESHUTDOWN, "the reader of the archive is gone");
	if (n > 0)
		return domu_fail(ctx, DOMU_FAILED, -EIO, "cannot compress the archive: %s", why);
	if (WIFSIGNALED(status))
		return domu_fail(ctx, DOMU_FAILED, -ECONNABORTED,
		                 "the process that compresses was ended by signal %d (%s)", WTERMSIG(status),
		                 strsignal(WTERMSIG(status)));
	return domu_fail(ctx, DOMU_FAILED, -EIO, "the archive could not be compressed");
}
