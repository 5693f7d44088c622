/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-cp.c - cp: inside a guest in its worker; with the host or another guest as a stream between two processes. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence/work.h"
#include "shell/cmd.h"
#include "shell/copy.h"
#include "shell/shell.h"
#include "task/treeio.h"

struct operand {
	struct domu_target t;
	const char *word;
	bool shell; /* of the shell's own guest, by whatever name: through its session, which has what is staged */
};

/* ---- operands --------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* A path of the shell's guest, named or not: as the shell sees it, on the device that "use" or @DEV says. */
static int take_own(struct domu_run *r, struct operand *o)
{
	o->shell = true;
	free(o->t.guest);
	o->t.guest = NULL;
	if (o->t.at != NULL || r->use == NULL)
		return 0;
	o->t.at = strdup(r->use);
	return o->t.at != NULL ? 0 : domu_nomem(r->ctx);
}

static bool is_own(struct domu_run *r, const char *guest)
{
	return r->in_shell && guest != NULL &&
	       (*guest == '\0' || same_text(guest, domu_guest_shown(domu_session_guest(r->session))));
}

/*
 * In the shell, and where --disk or --config said which guest, a path is the
 * guest's, and the host's is host:PATH; elsewhere the rules of the command
 * line hold.
 */
static int parse_operand(struct domu_run *r, const char *word, struct operand *o)
{
	int rc;

	memset(o, 0, sizeof *o);
	o->word = word;
	if (!r->in_shell && r->globals->disks == NULL && r->globals->config == NULL)
		return domu_target_parse(r->ctx, word, false, &o->t);
	if (strncmp(word, "host:", 5) == 0) {
		o->t.host = true;
		o->t.path = strdup(word + 5);
	} else if (strstr(word, ":/") != NULL && word[0] != '/' && word[0] != '.') {
		rc = domu_target_parse(r->ctx, word, false, &o->t);
		return rc == 0 && is_own(r, o->t.guest) ? take_own(r, o) : rc;
	} else {
		o->t.path = strdup(word);
		if (o->t.path != NULL && r->in_shell)
			return take_own(r, o);
	}
	return o->t.path != NULL ? 0 : domu_nomem(r->ctx);
}

static bool same_guest(const struct operand *a, const struct operand *b)
{
	return !a->t.host && !b->t.host && a->shell == b->shell && same_text(a->t.guest, b->t.guest);
}

static bool same_place(const struct operand *a, const struct operand *b)
{
	return same_guest(a, b) && same_text(a->t.at, b->t.at);
}

/* The last name of a path as typed: what the copy is called in a folder. */
static int base_of(struct domu_run *r, const char *path, char base[256])
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

/* One end of the stream: a guest's session or a folder of the host. */
struct end {
	struct domu_run *r;
	const struct operand *o;
	struct domu_session *s; /* NULL: of the host, or opened by the end itself */
	bool ours; /* its locks are held for the other end: that is nobody else */
	unsigned flags;
	const char *base; /* of the source */
};

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
	rc = base_of(r, path, name);
	/* "." and ".." name no entry of a folder: they are the folder. */
	if (rc == 0)
		rc = strcmp(name, ".") == 0 ? host_dir(r, path, fd) : host_dir(r, dirname(copy), fd);
	free(copy);
	return rc;
}

static int host_out(struct end *e, int fd)
{
	char name[256];
	int dirfd, rc = host_parent(e->r, e->o->t.path, name, &dirfd);

	if (rc != 0)
		return rc;
	rc = domu_treeio_host_out(e->r->ctx, fd, dirfd, name, e->flags);
	close(dirfd);
	return rc;
}

static int host_in(struct end *e, int fd)
{
	const char *path = e->o->t.path;
	struct stat st;
	char name[256];
	int dirfd, rc;

	if ((e->flags & DOMU_TREEIO_NO_TARGET_DIR) == 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		rc = host_dir(e->r, path, &dirfd);
		if (rc == 0)
			rc = domu_treeio_host_in(e->r->ctx, fd, dirfd, e->base, e->flags);
	} else {
		rc = host_parent(e->r, path, name, &dirfd);
		if (rc == 0)
			rc = domu_treeio_host_in(e->r->ctx, fd, dirfd, name, e->flags);
	}
	if (rc == 0 && fsync(dirfd) < 0)
		rc = 0;
	if (dirfd >= 0)
		close(dirfd);
	return rc;
}

static int guest_call(struct end *e, const char *op, int fd)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = DOMU_MSG_INIT(0);
	bool in = strcmp(op, "tree-in") == 0;
	int rc;

	domu_msg_put_str(&req, op);
	domu_msg_put_str(&req, e->o->t.path);
	domu_msg_put_str(&req, e->o->shell ? e->r->cwd : "/");
	domu_msg_put_str(&req, e->o->t.at);
	if (in)
		domu_msg_put_str(&req, e->base);
	domu_msg_put_u64(&req, e->flags);
	domu_msg_put_fd(&req, fd);
	rc = domu_session_call(e->s, &req, &reply);
	domu_msg_free(&req);
	domu_msg_free(&reply);
	return rc;
}

/* GUEST or GUEST@DEV of an operand, as a session wants it. */
static int open_guest(struct domu_run *r, const struct operand *o, unsigned needs, struct domu_guest **g,
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

static int guest_out(struct end *e, int fd)
{
	struct domu_guest *g = NULL;
	int rc = 0;

	if (e->s != NULL)
		return guest_call(e, "tree-out", fd);
	rc = open_guest(e->r, e->o, NEED_GUEST | (e->ours ? NEED_STATE : 0), &g, &e->s);
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

static _Noreturn void run_child(struct domu_run *r, int (*fn)(struct end *, int), struct end *e, int fd, int sock)
{
	struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_END);

	domu_work_put_end(&m, r->ctx, fn(e, fd));
	domu_msg_send(sock, &m);
	_exit(0);
}

/* other runs in a child with its end of a pipe; mine runs here.  A broken pipe is the other's failure. */
static int run_both(struct domu_run *r, bool mine_reads, int (*mine)(struct end *, int), struct end *me,
                    int (*other)(struct end *, int), struct end *them)
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

static int guest_in(struct end *e, int fd)
{
	return guest_call(e, "tree-in", fd);
}

/* Two filesystems of the shell's guest: its worker, which alone sees what is staged, has one end after the other. */
static int by_file(struct end *from, struct end *to)
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

/* Sources of the host or of other guests into a guest; s is staging. */
static int copy_into_guest(struct domu_run *r, struct domu_session *s, struct operand *src, size_t n,
                           const struct operand *dst, unsigned flags)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		char base[256];
		struct end from = { .r = r, .o = &src[i], .ours = same_guest(&src[i], dst), .flags = flags };
		struct end to = { .r = r, .o = dst, .s = s, .flags = flags, .base = base };

		if (same_place(&src[i], dst))
			return domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
			                 "cp: copy '%s' by a command of its own: it is in the same guest", src[i].word);
		if (src[i].shell)
			from.s = r->session;
		rc = base_of(r, src[i].t.path, base);
		if (rc == 0 && from.s != NULL && from.s == to.s)
			rc = by_file(&from, &to);
		else if (rc == 0)
			rc = run_both(r, true, guest_in, &to, src[i].t.host ? host_out : guest_out, &from);
	}
	return rc;
}

/* 'web1:/var/log/\*.gz': the names in the guest; as it is where something has that very name, or nothing matches. */
static int expand(struct domu_run *r, struct domu_session *s, const struct operand *o, char ***names, size_t *n)
{
	int rc;

	*n = 0;
	*names = NULL;
	if (!o->shell && strpbrk(o->t.path, "*?[") != NULL) {
		rc = domu_paths_glob_in(r->app, s, o->t.at, o->t.path, names, n);
		if (rc != 0 || *n > 0)
			return rc;
	}
	domu_paths_free(*names, *n);
	*names = calloc(2, sizeof **names);
	if (*names == NULL || (**names = strdup(o->t.path)) == NULL)
		return domu_nomem(r->ctx);
	*n = 1;
	return 0;
}

/* One operand, which may be several files. */
static int out_of_guest(struct domu_run *r, struct operand *src, struct end *from, struct end *to, char base[256])
{
	char **names = NULL, *typed = src->t.path;
	size_t n = 0;
	struct stat st;
	int rc = expand(r, from->s, src, &names, &n);

	if (rc == 0 && n > 1 && (stat(to->o->t.path, &st) < 0 || !S_ISDIR(st.st_mode)))
		rc = domu_fail(r->ctx, DOMU_USAGE, -ENOTDIR, "cp: '%s' is not a folder", to->o->t.path);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		src->t.path = names[i];
		rc = base_of(r, names[i], base);
		if (rc == 0)
			rc = run_both(r, false, guest_out, from, host_in, to);
	}
	src->t.path = typed;
	domu_paths_free(names, n);
	return rc;
}

static int copy_to_host(struct domu_run *r, struct operand *src, size_t n, const struct operand *dst, unsigned flags)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		char base[256];
		struct end from = { .r = r, .o = &src[i], .flags = flags };
		struct end to = { .r = r, .o = dst, .flags = flags, .base = base };
		struct domu_guest *g = NULL;
		bool own = false;

		if (src[i].t.host)
			return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "cp: '%s' and '%s' are both of this host%s",
			                 src[i].word, dst->word,
			                 strstr(src[i].word, ":/") != NULL || strstr(dst->word, ":/") != NULL
			                     ? " (a guest is not named with a / or . in front: use --disk)"
			                     : ": use cp(1)");
		rc = base_of(r, src[i].t.path, base);
		if (rc == 0 && src[i].shell) {
			from.s = r->session;
		} else if (rc == 0) {
			rc = open_guest(r, &src[i], NEED_GUEST, &g, &from.s);
			own = true;
		}
		if (rc == 0)
			rc = out_of_guest(r, &src[i], &from, &to, base);
		if (own)
			domu_session_close(from.s);
		domu_guest_free(g);
	}
	return rc;
}

/* ---- the command ------------------------------------------------------------------------ */

struct job {
	struct operand *v; /* sources, then the destination */
	size_t n;
	unsigned flags;
	bool inside; /* all in one guest */
};

/* As much as the files in it take; what cannot be read is found out by the copy. */
static uint64_t folder_bytes(const char *path)
{
	char *const paths[] = { (char *)(uintptr_t)path, NULL };
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	uint64_t total = 0;
	FTSENT *e;

	while (walk != NULL && (e = fts_read(walk)) != NULL)
		if (e->fts_info == FTS_F)
			total += (uint64_t)e->fts_statp->st_blocks * 512;
	if (walk != NULL)
		fts_close(walk);
	return total;
}

/* What is known of what will be written: the files of this host that are named. */
static uint64_t host_bytes(const struct job *j)
{
	uint64_t total = 0;
	struct stat st;

	for (size_t i = 0; i + 1 < j->n; i++)
		if (j->v[i].t.host && stat(j->v[i].t.path, &st) == 0)
			total += S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512
			         : S_ISDIR(st.st_mode) && (j->flags & DOMU_TREEIO_RECURSIVE)
			             ? folder_bytes(j->v[i].t.path)
			             : 0;
	return total;
}

static int change_guest(struct domu_run *r, struct domu_session *s, const struct job *j)
{
	int rc = domu_run_change_begin(s);

	if (rc != 0)
		return rc;
	rc = domu_session_room(s, host_bytes(j));
	if (rc != 0)
		return domu_session_change_end(s, rc);
	if (j->inside)
		rc = domu_run_in_worker(r, s);
	else
		rc = copy_into_guest(r, s, j->v, j->n - 1, &j->v[j->n - 1], j->flags);
	return domu_session_change_end(s, rc);
}

static int run_job(struct domu_run *r, const struct job *j)
{
	const struct operand *dst = &j->v[j->n - 1];
	struct domu_session *s = NULL;
	struct domu_guest *g = NULL;
	int rc, end;

	if (dst->t.host)
		return copy_to_host(r, j->v, j->n - 1, dst, j->flags);
	r->use = dst->t.at;
	if (dst->shell) {
		r->guest = domu_guest_shown(domu_session_guest(r->session));
		rc = change_guest(r, r->session, j);
		r->guest = NULL;
		return rc;
	}
	rc = open_guest(r, dst, NEED_GUEST | NEED_WRITE, &g, &s);
	if (rc != 0)
		return rc;
	r->guest = domu_guest_shown(g);
	rc = domu_run_finish(r, s, change_guest(r, s, j));
	end = domu_session_close(s);
	r->guest = NULL;
	domu_guest_free(g);
	return rc != 0 ? rc : end;
}

static int run_cp(struct domu_run *r)
{
	struct job j = { .n = domu_args_count(r->args), .flags = domu_cp_flags(r->args) };
	struct stat st;
	int rc = 0;

	if (j.n < 2)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "cp: name what to copy, and where to");
	j.v = calloc(j.n, sizeof *j.v);
	if (j.v == NULL)
		return domu_nomem(r->ctx);
	j.inside = true;
	for (size_t i = 0; rc == 0 && i < j.n; i++)
		rc = parse_operand(r, domu_args_get(r->args, i), &j.v[i]);
	for (size_t i = 0; rc == 0 && i + 1 < j.n; i++)
		j.inside = j.inside && same_place(&j.v[i], &j.v[j.n - 1]);
	if (rc == 0 && j.n > 2 && j.v[j.n - 1].t.host && (stat(j.v[j.n - 1].t.path, &st) < 0 || !S_ISDIR(st.st_mode)))
		rc = domu_fail(r->ctx, DOMU_USAGE, -ENOTDIR, "cp: '%s' is not a folder", j.v[j.n - 1].word);
	if (rc == 0)
		rc = run_job(r, &j);
	for (size_t i = 0; i < j.n; i++)
		domu_target_free(&j.v[i].t);
	free(j.v);
	return rc;
}

static const struct domu_arg args[] = {
	{ "SRC", ARG_ANY_PATH, COUNT_SOME },
	{ "DST", ARG_ANY_PATH, COUNT_ONE },
	{ 0 },
};
static const struct domu_option options[] = {
	{ "archive", 'a', NULL, "everything: folders, links, owners, times, attributes" },
	{ "recursive", 'r', NULL, "folders and what is in them" },
	{ NULL, 'R', NULL, "the same" },
	{ NULL, 'p', NULL, "keep mode, owner and times" },
	{ NULL, 'd', NULL, "copy links as links" },
	{ NULL, 'P', NULL, "the same" },
	{ "force", 'f', NULL, "replace what is there (always so)" },
	{ "no-clobber", 'n', NULL, "leave files that are there" },
	{ "target-directory", 't', "DIR", "into this directory: all operands are sources" },
	{ "no-target-directory", 'T', NULL, "DST is the copy itself, not a folder to put it into" },
	{ 0 },
};

const struct domu_command domu_cmd_cp = {
	.name = "cp",
	.topic = "changing",
	.summary = "copy files inside, into, out of and between guests",
	.description =
	    "A path with GUEST: is in that guest; one without, or that starts with / or ., is on this host. In the "
	    "shell a path is in its guest, and host:PATH is on this host. Nothing is written on the host outside "
	    "DST, whatever names and links the guest holds.",
	.args = args,
	.options = options,
	.example = "domu-rescue cp -a web1:/etc .",
	.needs = NEED_MANY | NEED_STATE,
	.worker = domu_cp_worker,
	.front = run_cp,
};
