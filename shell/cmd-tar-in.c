/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-tar-in.c - tar-in: an archive, from a file or a pipe, into a directory of the guest. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/cmd.h"
#include "shell/names.h"
#include "task/tar.h"

#define MAX_STRIP 4096u

/* ---- in the worker ------------------------------------------------------------------ */

static bool find_user(void *names, const char *name, uint32_t *id)
{
	return names != NULL && domu_names_find_user(names, name, id);
}

static bool find_group(void *names, const char *name, uint32_t *id)
{
	return names != NULL && domu_names_find_group(names, name, id);
}

static int read_strip(struct domu_run *r, unsigned *strip)
{
	const char *text = domu_args_value(r->args, "strip-components");
	char *end;
	unsigned long n;

	*strip = 0;
	if (text == NULL)
		return 0;
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || n > MAX_STRIP)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "tar-in: '%s' is no number of parts of a name", text);
	*strip = (unsigned)n;
	return 0;
}

static int worker(struct domu_run *r)
{
	struct domu_path *dir = malloc(sizeof *dir);
	struct domu_tar_in in = { .dir = dir, .user = find_user, .group = find_group };
	struct stat st;
	int rc = dir != NULL ? domu_work_tree(r->work, r->use, &in.tree) : domu_nomem(r->ctx);

	if (rc == 0)
		rc = read_strip(r, &in.strip);
	if (rc == 0)
		rc = domu_run_walk(r, 1, 0, dir);
	if (rc == 0 && !S_ISDIR(dir->st.mode))
		rc = domu_fail(r->ctx, DOMU_FAILED, -ENOTDIR, "tar-in: '%s' is not a directory", dir->path);
	if (rc == 0 && r->in_fd < 0)
		rc = domu_fail(r->ctx, DOMU_FAILED, -EBADF, "no archive came");
	if (rc == 0) {
		in.replace_links = domu_args_flag(r->args, "no-keep-directory-symlink");
		in.map_names = domu_args_flag(r->args, "map-names");
		in.names = domu_names_load(in.tree, r->ctx);
		if (fstat(r->in_fd, &st) == 0 && S_ISREG(st.st_mode))
			in.size = (uint64_t)st.st_size;
		rc = domu_tar_in(r->ctx, &in, r->in_fd);
		domu_names_free(in.names);
	}
	free(dir);
	return rc;
}

/* ---- in the front ----------------------------------------------------------------------- */

static int open_archive(struct domu_run *r, int *fd)
{
	const char *word = domu_args_get(r->args, 0);

	*fd = STDIN_FILENO;
	if (strcmp(word, "-") != 0) {
		*fd = open(word, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (*fd < 0)
			return domu_fail(r->ctx, errno == ENOENT ? DOMU_NOTFOUND : DOMU_FAILED, -errno,
			                 "cannot open '%s': %s", word, strerror(errno));
	}
	if (isatty(*fd))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
		                 "tar-in: an archive does not come from a terminal: name a FILE, or a pipe");
	return 0;
}

/* At least as much as the file has will be staged. */
static int check_room(struct domu_run *r, int fd)
{
	struct stat st;
	off_t at;

	if (fstat(fd, &st) < 0)
		return domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot look at the archive: %s", strerror(errno));
	if (S_ISDIR(st.st_mode))
		return domu_fail(r->ctx, DOMU_FAILED, -EISDIR, "tar-in: '%s' is a folder", domu_args_get(r->args, 0));
	at = S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
	return at >= 0 && at < st.st_size ? domu_session_room(r->session, (uint64_t)(st.st_size - at)) : 0;
}

static int run_tar_in(struct domu_run *r)
{
	unsigned strip;
	int fd = -1, rc = read_strip(r, &strip);

	if (rc == 0)
		rc = open_archive(r, &fd);
	if (rc == 0)
		rc = check_room(r, fd);
	/* The worker cannot load it any more: one that runs already gives way to one that has it. */
	if (rc == 0 && !domu_tar_lib_is_loaded()) {
		rc = domu_tar_lib(r->ctx);
		if (rc == 0)
			rc = domu_session_renew(r->session);
	}
	if (rc == 0) {
		r->in_fd = fd;
		rc = domu_run_in_worker(r, r->session);
		r->in_fd = -1;
	}
	if (fd > STDIN_FILENO)
		close(fd);
	return rc;
}

static const struct domu_arg args[] = {
	{ "FILE", ARG_HOST_PATH, COUNT_ONE },
	{ "GUEST:/DIR", ARG_GUEST_PATH, COUNT_ONE },
	{ 0 },
};
static const struct domu_option options[] = {
	{ "keep-directory-symlink", 0, NULL,
	  "a link to a directory stays where the archive has a directory (always so)" },
	{ "no-keep-directory-symlink", 0, NULL, "such a link is replaced by the directory, as tar(1) does" },
	{ "map-names", 0, NULL, "owners by name, as the guest has them, not by number" },
	{ "strip-components", 0, "N", "leave out the first N parts of each name" },
	{ 0 },
};

const struct domu_command domu_cmd_tar_in = {
	.name = "tar-in",
	.topic = "changing",
	.summary = "unpack an archive into the guest",
	.description =
	    "FILE is an archive of tar or cpio, compressed or not: its content says which; - is stdin. Owners, times, "
	    "ACLs, capabilities, labels, other attributes, holes and hard links are kept. A file that is there is "
	    "replaced, a directory is filled up. New files whose archive has no SELinux label get that of the guest's "
	    "policy. Nothing leaves DIR: a name with .. in it, or one that leads through a link to elsewhere, is "
	    "refused, "
	    "and then nothing is unpacked.\n\n"
	    "Where the archive has a directory and the guest a link to one below DIR, as /bin to usr/bin, the link is "
	    "kept and the files go where it leads. tar(1) puts a new directory in its place: a guest whose /bin and "
	    "/lib "
	    "are such links has then no shell and no C library where its programs look for them, and does not boot.",
	.args = args,
	.options = options,
	.example = "domu-rescue tar-in etc.tar.gz web1:/etc",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = worker,
	.front = run_tar_in,
};
