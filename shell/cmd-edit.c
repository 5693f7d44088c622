/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-edit.c - edit: a guest's file in the administrator's editor, and back. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "shell/cmd.h"
#include "shell/workercmd.h"

/* A private folder with a copy of the file, named as it is, so that the editor knows its kind. */
struct copy {
	char dir[PATH_MAX];
	char file[PATH_MAX + 256];
	uint64_t size;
	uint32_t crc;
};

#define MOST (256u << 20) /* bytes of a file that is edited */

/* ---- the worker's half: head out, write in ------------------------------------------- */

static int worker_words(struct domu_run *r, char *const *words, size_t n, int in_fd, int out_fd)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = DOMU_MSG_INIT(0);
	struct domu_command_request q = {
		.argc = n,
		.argv = words,
		.cwd = r->cwd,
		.use = r->use,
		.guest = r->guest,
		.no_guest = true,
		.in_shell = true,
	};
	int rc;

	domu_command_encode(&req, &q, in_fd, out_fd);
	rc = domu_session_call(r->session, &req, &reply);
	domu_msg_free(&req);
	domu_msg_free(&reply);
	return rc;
}

/* No more than may be edited: a size that lies would fill this host's disk. */
static int fetch(struct domu_run *r, const char *path, const char *file)
{
	char most[16], *words[] = { (char *)"head", (char *)"-c", most, (char *)"--", (char *)path, NULL };
	struct statvfs vfs;
	struct stat st;
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;

	if (fd < 0)
		return domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot make %s: %s", file, strerror(errno));
	snprintf(most, sizeof most, "%u", MOST + 1);
	rc = worker_words(r, words, 5, -1, fd);
	if (rc == -ENOSPC && fstatvfs(fd, &vfs) == 0 && vfs.f_bavail == 0) {
		domu_error_clear(r->ctx);
		rc =
		    domu_fail(r->ctx, DOMU_FAILED, rc,
		              "no room for %s, a copy to edit: TMPDIR=DIR before the command makes it elsewhere", file);
	}
	if (rc == 0 && fstat(fd, &st) == 0 && st.st_size > MOST)
		rc = domu_fail(r->ctx, DOMU_FAILED, -EFBIG,
		               "%s is larger than %u MiB: cp it to this host, edit that, and cp it back", path,
		               MOST >> 20);
	/* A new file begins empty. */
	if (rc != 0 && domu_error_status(r->ctx) == DOMU_NOTFOUND) {
		domu_error_clear(r->ctx);
		domu_say(r->ctx, DOMU_INFO, "%s is new", path);
		rc = 0;
	}
	if (close(fd) < 0 && rc == 0)
		rc = domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot write %s: %s", file, strerror(errno));
	return rc;
}

static int store(struct domu_run *r, const char *path, const char *file)
{
	char *words[] = { (char *)"write", (char *)"--", (char *)path, NULL };
	int fd = open(file, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot read %s: %s", file, strerror(errno));
	rc = worker_words(r, words, 3, fd, -1);
	close(fd);
	return rc;
}

/* ---- the copy --------------------------------------------------------------------------- */

static int make_copy(struct domu_run *r, const char *path, struct copy *c)
{
	const char *tmp = getenv("TMPDIR"), *base = strrchr(path, '/');

	base = base != NULL ? base + 1 : path;
	if (tmp == NULL || *tmp != '/')
		tmp = "/tmp";
	c->dir[0] = '\0';
	if (*base == '\0' || strlen(base) > 200 || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
		base = "file";
	if (snprintf(c->dir, sizeof c->dir, "%s/domu-rescue.XXXXXX", tmp) >= (int)sizeof c->dir ||
	    mkdtemp(c->dir) == NULL) {
		c->dir[0] = '\0';
		return domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot make a folder in %s: %s", tmp, strerror(errno));
	}
	snprintf(c->file, sizeof c->file, "%s/%s", c->dir, base);
	return fetch(r, path, c->file);
}

static int fingerprint(struct domu_run *r, struct copy *c)
{
	char buf[65536];
	ssize_t n = 0;
	int fd = open(c->file, O_RDONLY | O_CLOEXEC);

	c->size = 0;
	c->crc = ~0u;
	if (fd < 0)
		return domu_fail(r->ctx, DOMU_FAILED, -errno, "the editor left no %s: nothing was changed", c->file);
	while ((n = read(fd, buf, sizeof buf)) > 0) {
		c->size += (uint64_t)n;
		c->crc = domu_crc32c(c->crc, buf, (size_t)n);
	}
	close(fd);
	return n < 0 ? domu_fail(r->ctx, DOMU_FAILED, -EIO, "cannot read %s", c->file) : 0;
}

/* The folder is ours alone: an editor's backups and swap files go with it. */
static void remove_copy(struct copy *c)
{
	DIR *d = c->dir[0] != '\0' ? opendir(c->dir) : NULL;
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(c->dir);
}

/* ---- the editor ----------------------------------------------------------------------------- */

static int run_editor(struct domu_run *r, const char *file)
{
	const char *editor = getenv("VISUAL");
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old_int, old_quit;
	char *line;
	int status;
	pid_t pid;

	if (editor == NULL || *editor == '\0')
		editor = getenv("EDITOR");
	if (editor == NULL || *editor == '\0')
		editor = access("/usr/bin/editor", X_OK) == 0 ? "/usr/bin/editor" : "vi";
	/* As git and crontab do: the variable may hold words. */
	if (asprintf(&line, "%s \"$1\"", editor) < 0)
		return domu_nomem(r->ctx);
	sigaction(SIGINT, &ignore, &old_int);
	sigaction(SIGQUIT, &ignore, &old_quit);
	pid = fork();
	if (pid == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		execl("/bin/sh", "sh", "-c", line, "sh", file, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGQUIT, &old_quit, NULL);
	free(line);
	if (pid < 0)
		return domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot start the editor: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return domu_fail(r->ctx, DOMU_FAILED, -EIO, "the editor (%s) failed: nothing was changed", editor);
	return 0;
}

/* ---- the command ------------------------------------------------------------------------------ */

/* Refused, perhaps because the guest was started meanwhile: the work of an hour is not thrown away. */
static void keep_copy(struct domu_run *r, const struct copy *c)
{
	domu_say(r->ctx, DOMU_WARNING, "what was typed is kept in %s", c->file);
}

static void committed(struct domu_run *r, int rc)
{
	struct copy *c = r->after_data;

	if (rc == 0)
		remove_copy(c);
	else
		keep_copy(r, c);
	free(c);
}

static int run_edit(struct domu_run *r)
{
	const char *path = domu_run_path(r, 0);
	struct copy c;
	uint64_t size;
	uint32_t crc;
	int rc;

	if (path == NULL)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "edit: name a file: GUEST:/PATH");
	rc = make_copy(r, path, &c);
	if (rc == 0)
		rc = fingerprint(r, &c);
	size = c.size;
	crc = c.crc;
	if (rc == 0)
		rc = run_editor(r, c.file);
	if (rc == 0)
		rc = fingerprint(r, &c);
	if (rc != 0)
		goto out;
	if (c.size == size && c.crc == crc) {
		domu_say(r->ctx, DOMU_INFO, "%s was not changed", path);
		goto out;
	}
	if (c.size == 0 && domu_ask(r->ctx, "the editor left %s empty; write it so?", path) != 1) {
		rc =
		    domu_fail(r->ctx, DOMU_DECLINED, -ECANCELED, "the editor left %s empty: nothing was changed", path);
		goto out;
	}
	/* An editor is open for long. */
	rc = domu_session_untaken(r->session);
	if (rc == 0)
		rc = store(r, path, c.file);
	if (rc == 0 && !r->in_shell && (r->after_data = malloc(sizeof c)) != NULL) {
		memcpy(r->after_data, &c, sizeof c);
		r->after = committed;
		return 0;
	}
	if (rc != 0) {
		keep_copy(r, &c);
		return rc;
	}
out:
	remove_copy(&c);
	return rc;
}

static const struct domu_arg args[] = { { "GUEST:FILE", ARG_GUEST_PATH, COUNT_ONE }, { 0 } };

const struct domu_command domu_cmd_edit = {
	.name = "edit",
	.alias = "vi",
	.topic = "changing",
	.summary = "edit a file of the guest in $VISUAL or $EDITOR",
	.description =
	    "The file keeps its inode, owner, mode, attributes and links. A file that does not exist begins empty. "
	    "When the editor fails or changes nothing, nothing is written.",
	.args = args,
	.example = "EDITOR='sed -i s/web1/web2/' domu-rescue edit web1:/etc/hostname",
	.needs = NEED_GUEST | NEED_WRITE,
	.front = run_edit,
};
