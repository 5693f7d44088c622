/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cp-ends.c - the two ends of a copy between the host and guests, and the pipe between them. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence/work.h"
#include "shell/cp-ends.h"
#include "shell/cp-tell.h"
#include "task/treeio-links.h"
#include "task/treeio.h"

/* The last name of a path as typed: what the copy is called in a folder. */
int domu_cp_base(struct domu_run *r, const char *path, char base[256])
{
	size_t len = strlen(path), start;

	while (len > 0 && path[len - 1] == '/')
		len--;
	for (start = len; start > 0 && path[start - 1] != '/'; start--)
		;
	if (len - start > 255)
		return domu_fail(r->ctx, DOMU_FAILED, -ENAMETOOLONG, "'%s': the name is too long", path);
	memcpy(base, path + start, len - start);
	base[len - start] = '\0';
	/* The root itself, "dir/." and "dir/..": their content goes into the destination. */
	if (base[0] == '\0' || strcmp(base, "..") == 0)
		memcpy(base, ".", 2);
	return 0;
}

/* ---- the two ends ------------------------------------------------------------------- */

static int host_dir(struct domu_run *r, const char *path, int *fd)
{
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return domu_fail(r->ctx, errno == ENOENT ? DOMU_NOTFOUND : DOMU_FAILED, -errno, "cannot open '%s': %s",
		                 path, strerror(errno));
	return 0;
}

/* The folder that a host path is in, and its name there. */
static int host_parent(struct domu_run *r, const char *path, char name[256], int *fd)
{
	char *copy = strdup(path);
	int rc;

	if (copy == NULL)
		return domu_nomem(r->ctx);
	rc = domu_cp_base(r, path, name);
	/* "." and ".." name no entry of a folder: they are the folder. */
	if (rc == 0)
		rc = strcmp(name, ".") == 0 ? host_dir(r, path, fd) : host_dir(r, dirname(copy), fd);
	free(copy);
	return rc;
}

static int host_out(struct domu_cp_end *e, int fd)
{
	struct domu_links links = { 0 };
	struct domu_sink sink;
	int rc = domu_treeio_to_stream(e->r->ctx, fd, &sink);

	if (rc != 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < e->set->n; i++) {
		char name[256];
		int dirfd = -1;

		rc = host_parent(e->r, e->set->paths[i], name, &dirfd);
		if (rc == 0)
			rc = domu_treeio_from_host(e->r->ctx, dirfd, name, e->flags, &links, &sink);
		if (dirfd >= 0)
			close(dirfd);
	}
	domu_links_free(&links);
	return domu_treeio_stream_end(&sink, rc);
}

/* name: what the only tree is called in dirfd; NULL: there are several, with their names. */
static int take_stream(struct domu_cp_end *e, int fd, int dirfd, const char *name, bool inside)
{
	const char *const *names = (const char *const *)e->set->names, *const *shown =
	                                                                   (const char *const *)e->set->shown;
	struct domu_cp_tell *tell = NULL;
	struct domu_sink sink;
	int rc;

	if (name != NULL && strcmp(name, ".") != 0 && !domu_fs_name_ok(name))
		return domu_fail(e->r->ctx, DOMU_USAGE, -EINVAL, "'%s' is not a file's name", name);
	rc = domu_treeio_to_host(e->r->ctx, dirfd, name, e->flags, &sink);
	if (rc == 0 && domu_args_flag(e->r->args, "v"))
		rc = domu_cp_tell_new(e->r->ctx, e->r->out, &sink, &tell);
	if (tell != NULL)
		domu_cp_tell_next(
		    tell, &(struct domu_cp_shown){
		              .from = shown, .names = names, .n = e->set->n, .to = e->o->word, .inside = inside });
	if (rc == 0)
		rc = domu_treeio_from_stream(e->r->ctx, fd, name == NULL ? names : NULL,
		                             tell != NULL ? domu_cp_tell_sink(tell) : &sink);
	domu_cp_tell_free(tell);
	domu_treeio_host_free(&sink);
	return rc;
}

static int host_in(struct domu_cp_end *e, int fd)
{
	const char *path = e->o->t.path;
	struct stat st;
	char name[256];
	int dirfd, rc;

	if ((e->flags & DOMU_TREEIO_NO_TARGET_DIR) == 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		rc = host_dir(e->r, path, &dirfd);
		if (rc == 0)
			rc = take_stream(e, fd, dirfd, e->set->n == 1 ? e->set->names[0] : NULL, true);
	} else {
		rc = host_parent(e->r, path, name, &dirfd);
		if (rc == 0)
			rc = take_stream(e, fd, dirfd, name, false);
	}
	if (rc == 0 && fsync(dirfd) < 0)
		rc = 0;
	if (dirfd >= 0)
		close(dirfd);
	return rc;
}

static int guest_call(struct domu_cp_end *e, const char *op, int fd)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = DOMU_MSG_INIT(0);
	bool in = strcmp(op, "tree-in") == 0, told = in && domu_args_flag(e->r->args, "v");
	int rc;

	domu_msg_put_str(&req, op);
	domu_msg_put_str(&req, e->o->shell ? e->r->cwd : "/");
	domu_msg_put_str(&req, e->o->t.at);
	domu_msg_put_str(&req, in ? e->o->word : NULL);
	domu_msg_put_u64(&req, in ? 1 : e->set->n);
	for (size_t i = 0; i < (in ? 1 : e->set->n); i++)
		domu_msg_put_str(&req, in ? e->o->t.path : e->set->paths[i]);
	domu_msg_put_u64(&req, e->set->n);
	for (size_t i = 0; i < e->set->n; i++)
		domu_msg_put_str(&req, e->set->names[i]);
	domu_msg_put_u64(&req, told ? e->set->n : 0);
	for (size_t i = 0; told && i < e->set->n; i++)
		domu_msg_put_str(&req, e->set->shown[i]);
	domu_msg_put_u64(&req, e->flags);
	domu_msg_put_fd(&req, fd);
	rc = domu_session_call(e->s, &req, &reply);
	domu_msg_free(&req);
	domu_msg_free(&reply);
	return rc;
}

/* GUEST or GUEST@DEV of an operand, as a session wants it. */
int domu_cp_open_guest(struct domu_run *r, const struct domu_cp_operand *o, unsigned needs, struct domu_guest **g,
                       struct domu_session **s)
{
	char *word = NULL;
	int rc;

	if (o->t.at != NULL && asprintf(&word, "%s@%s", o->t.guest, o->t.at) < 0)
		return domu_nomem(r->ctx);
	rc = domu_app_session(r->app, word != NULL ? word : o->t.guest, needs, g, s);
	free(word);
	return rc;
}

static int guest_out(struct domu_cp_end *e, int fd)
{
	unsigned needs = NEED_GUEST | (e->ours ? NEED_STATE : 0) | domu_args_walks(e->r->cmd, e->r->args);
	struct domu_guest *g = NULL;
	int rc = 0;

	if (e->s != NULL)
		return guest_call(e, "tree-out", fd);
	rc = domu_cp_open_guest(e->r, e->o, needs, &g, &e->s);
	if (rc == 0)
		rc = guest_call(e, "tree-out", fd);
	domu_session_close(e->s);
	domu_guest_free(g);
	return rc;
}

/* ---- both at once --------------------------------------------------------------------- */

/* A child's failure comes back as it was: the first cause of either end is what the user reads. */
static int take_result(struct domu_run *r, int sock, pid_t pid)
{
	struct domu_msg m = DOMU_MSG_INIT(0);
	int status = 0, rc, result = 0;

	rc = domu_msg_recv(sock, &m);
	if (rc == 0)
		rc = domu_work_get_end(&m, r->ctx, &result);
	domu_msg_free(&m);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc != 0 && WIFSIGNALED(status))
		return domu_fail(r->ctx, DOMU_FAILED, -ECONNABORTED,
		                 "the process at the other end of the copy ended by signal %d (%s)", WTERMSIG(status),
		                 strsignal(WTERMSIG(status)));
	if (rc != 0)
		return domu_fail(r->ctx, DOMU_FAILED, -EPIPE, "the other end of the copy ended early");
	return result;
}

static _Noreturn void run_child(struct domu_run *r, int (*fn)(struct domu_cp_end *, int), struct domu_cp_end *e, int fd,
                                int sock)
{
	struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_END);

	domu_work_put_end(&m, r->ctx, fn(e, fd));
	fflush(r->app->out);
	domu_msg_send(sock, &m);
	_exit(0);
}

/* other runs in a child with its end of a pipe; mine runs here.  A broken pipe is the other's failure. */
static int run_both(struct domu_run *r, bool mine_reads, int (*mine)(struct domu_cp_end *, int), struct domu_cp_end *me,
                    int (*other)(struct domu_cp_end *, int), struct domu_cp_end *them)
{
	int fds[2], pair[2], rc, theirs;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot make a pipe: %s", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		close(fds[0]);
		close(fds[1]);
		return domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot make a socket: %s", strerror(errno));
	}
	fflush(r->app->out);
	pid = fork();
	if (pid == 0) {
		close(fds[!mine_reads ? 1 : 0]);
		close(pair[0]);
		run_child(r, other, them, fds[mine_reads ? 1 : 0], pair[1]);
	}
	close(fds[mine_reads ? 1 : 0]);
	close(pair[1]);
	rc = pid > 0 ? mine(me, fds[mine_reads ? 0 : 1])
	             : domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot start a process: %s", strerror(errno));
	close(fds[mine_reads ? 0 : 1]);
	if (pid > 0) {
		struct domu_error first = r->ctx->error;

		/* What this end says of a pipe that broke is not the cause. */
		memset(&r->ctx->error, 0, sizeof r->ctx->error);
		theirs = take_result(r, pair[0], pid);
		if (theirs == 0 || rc == -EINTR || (first.status != DOMU_OK && first.err != -EPIPE)) {
			domu_error_clear(r->ctx);
			r->ctx->error = first;
		} else {
			free(first.message);
		}
		rc = rc != 0 ? rc : theirs;
	}
	close(pair[0]);
	return rc;
}

static int guest_in(struct domu_cp_end *e, int fd)
{
	return guest_call(e, "tree-in", fd);
}

/* Two filesystems of the shell's guest: its worker, which alone sees what is staged, has one end after the other. */
static int by_file(struct domu_cp_end *from, struct domu_cp_end *to)
{
	struct domu_run *r = from->r;
	const char *dir = domu_state_dir(r->app->state);
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), rc;

	if (fd < 0)
		return domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot make a file for the copy in %s: %s", dir,
		                 strerror(errno));
	rc = guest_call(from, "tree-out", fd);
	if (rc == 0 && lseek(fd, 0, SEEK_SET) != 0)
		rc = domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot read the copy again: %s", strerror(errno));
	if (rc == 0)
		rc = guest_call(to, "tree-in", fd);
	close(fd);
	return rc;
}

int domu_cp_into_guest(struct domu_cp_end *from, struct domu_cp_end *to)
{
	if (from->s != NULL && from->s == to->s)
		return by_file(from, to);
	return run_both(to->r, true, guest_in, to, from->o->t.host ? host_out : guest_out, from);
}

int domu_cp_to_host(struct domu_cp_end *from, struct domu_cp_end *to)
{
	return run_both(from->r, false, guest_out, from, host_in, to);
}
