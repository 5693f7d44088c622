/* SPDX-License-Identifier: GPL-3.0-or-later */
/* program.c - a host program on the top of a stack: through the shim, or through a FUSE export. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/plugins.h"
#include "block/shim.h"
#include "fence/confine.h"
#include "fence/program.h"

#define SYSTEM_PATH    "/usr/sbin:/usr/bin:/sbin:/bin"
#define DEFAULT_TIME   (6 * 3600u) /* seconds */
#define DEFAULT_OUTPUT (UINT64_C(4) << 20) /* bytes */
#define GRACE          5.0 /* seconds between SIGTERM and SIGKILL */
#define TICK_MS        200
#define MAX_ARGS       64
#define MAX_ENV        32
#define MAX_FILES      64
#define MIN_MEMORY     (UINT64_C(512) << 20)
#define MAX_FDS        4 /* handed over */
#define MAX_KEEP       (5 + MAX_FDS + DOMU_STACK_FDS)

struct run {
	struct domu_ctx *ctx;
	const struct domu_program *p;
	char path[256], device[64]; /* the program, and what stands for "@" */
	/* With the shim. */
	int shim_fd, image_fd; /* the library; an empty file as long as the device */
	/* Read ends here, write ends in the program. */
	int out[2], report[2], fault[2];
	pid_t pid;
	struct domu_export *export_;
	struct domu_output output;
	double end, kill_at; /* 0: not yet asked to end */
	int rc; /* why it was ended, 0: it was not */
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- in the child ---------------------------------------------------------------- */

static bool is_e2fsck(const struct domu_program *p)
{
	return strcmp(p->argv[0], "e2fsck") == 0;
}

static void make_args(const struct run *r, const char *device, char report[16], const char *argv[MAX_ARGS + 3])
{
	size_t n = 0;

	argv[n++] = r->p->argv[0];
	if (is_e2fsck(r->p) && r->p->progress != NULL) {
		snprintf(report, 16, "%d", r->report[1]);
		argv[n++] = "-C";
		argv[n++] = report;
	}
	for (size_t i = 1; r->p->argv[i] != NULL && n < MAX_ARGS + 2; i++)
		argv[n++] = strcmp(r->p->argv[i], "@") == 0 ? device : r->p->argv[i];
	argv[n] = NULL;
}

static size_t make_env(const struct run *r, char *clock, size_t size, const char *env[MAX_ENV + 6])
{
	const char *fsck_time = getenv("E2FSCK_TIME");
	size_t n = 0;

	env[n++] = "PATH=" SYSTEM_PATH;
	env[n++] = "LC_ALL=C.UTF-8";
	if (fsck_time != NULL && snprintf(clock, size, "E2FSCK_TIME=%s", fsck_time) < (int)size)
		env[n++] = clock;
	for (size_t i = 0; r->p->env != NULL && r->p->env[i] != NULL && n < MAX_ENV; i++)
		env[n++] = r->p->env[i];
	return n;
}

static void keep_open(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, 0);
}

/* The last step: never returns but with the number of what went wrong written to the fault pipe. */
static int execute(struct run *r, const char *device, const char *const extra[])
{
	const char *argv[MAX_ARGS + 3], *env[MAX_ENV + 6];
	char report[16], clock[64];
	size_t n = make_env(r, clock, sizeof clock, env);
	int err, fds[DOMU_STACK_FDS];

	for (size_t i = 0; extra != NULL && extra[i] != NULL; i++)
		env[n++] = extra[i];
	env[n] = NULL;
	make_args(r, device, report, argv);
	if (dup2(r->out[1], 1) >= 0 && dup2(r->out[1], 2) >= 0) {
		keep_open(r->report[1]);
		keep_open(r->shim_fd);
		keep_open(r->image_fd);
		n = r->shim_fd >= 0 ? domu_stack_fds(&r->p->stack, fds) : 0;
		while (n > 0)
			keep_open(fds[--n]);
		for (size_t i = 0; i < r->p->n_fds; i++)
			keep_open(r->p->fds[i]);
		signal(SIGPIPE, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		execve(r->path, (char *const *)argv, (char *const *)env);
	}
	err = errno;
	if (write(r->fault[1], &err, sizeof err) != sizeof err)
		return 126;
	return 127;
}

static int through_export(void *user, const char *path)
{
	return execute(user, path, NULL);
}

/* shim NULL: a program without a device. */
_Noreturn static void in_fence(struct run *r, const struct domu_confine *c, const char *shim)
{
	char preload[64];
	const char *const extra[] = { shim, preload, NULL };
	const char *what;

	/* By descriptor: the program's uid need not be able to reach the folder. */
	snprintf(preload, sizeof preload, "LD_PRELOAD=/proc/self/fd/%d", r->shim_fd);
	domu_confine_signals();
	if (domu_confine(c, &what) != 0)
		_exit(127);
	_exit(execute(r, r->device, shim != NULL ? extra : NULL));
}

/* ---- start ------------------------------------------------------------------------ */

/* A hostile filesystem can make a checker ask for any amount of memory: the host must go on. */
static uint64_t memory_limit(void)
{
	uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 4 * 3;

	return all > MIN_MEMORY ? all : MIN_MEMORY;
}

static struct domu_confine fence(const struct run *r, int keep[MAX_KEEP])
{
	struct domu_confine c = { .keep = keep, .files = MAX_FILES, .memory = memory_limit(), .uid = DOMU_WORKER_UID };

	keep[c.n_keep++] = r->out[1];
	keep[c.n_keep++] = r->report[1];
	keep[c.n_keep++] = r->fault[1];
	for (size_t i = 0; i < r->p->n_fds && i < MAX_FDS; i++)
		keep[c.n_keep++] = r->p->fds[i];
	if (r->shim_fd >= 0) {
		keep[c.n_keep++] = r->shim_fd;
		keep[c.n_keep++] = r->image_fd;
		c.n_keep += domu_stack_fds(&r->p->stack, keep + c.n_keep);
	}
	return c;
}

static int start_export(struct run *r)
{
	int keep[MAX_KEEP];
	const struct domu_confine c = fence(r, keep);
	const struct domu_export_opts opts = { .stack = r->p->stack,
		                               .offset = r->p->offset,
		                               .size = r->p->size,
		                               .writable = r->p->writable,
		                               .uid = geteuid() == 0 ? DOMU_WORKER_UID : geteuid(),
		                               .confine = &c };

	int rc = domu_export_start(r->ctx, &opts, through_export, r, &r->pid, &r->export_);

	if (rc == 0)
		snprintf(r->device, sizeof r->device, "%s", domu_export_path(r->export_));
	return rc;
}

/* Opens what the shim needs.  False: the program has to take the export. */
static bool can_shim(struct run *r)
{
#ifdef DOMU_SANITIZED
	return false;
#endif
	char *file = r->p->shim ? domu_plugin_file(DOMU_SHIM_FILE) : NULL;
	struct stat st;
	bool yes = false;

	if (file == NULL || !domu_program_takes_shim(r->path) || domu_program_has_mmp(r->p))
		goto out;
	r->shim_fd = open(file, O_RDONLY | O_CLOEXEC);
	r->image_fd = memfd_create("disk", MFD_CLOEXEC);
	yes = r->shim_fd >= 0 && fstat(r->shim_fd, &st) == 0 && (st.st_mode & S_IROTH) != 0 && r->image_fd >= 0 &&
	      ftruncate(r->image_fd, (off_t)r->p->size) == 0;
	snprintf(r->device, sizeof r->device, "/dev/fd/%d", r->image_fd);
out:
	free(file);
	if (!yes) {
		close_fd(&r->shim_fd);
		close_fd(&r->image_fd);
	}
	return yes;
}

static int start_child(struct run *r, const char *shim)
{
	int keep[MAX_KEEP];
	struct domu_confine c = fence(r, keep);

	c.parent = getpid();
	r->pid = fork();
	if (r->pid == 0)
		in_fence(r, &c, shim);
	return r->pid > 0 ? 0 : domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot start a process: %s", strerror(errno));
}

static int start_shim(struct run *r)
{
	struct domu_shim shim = {
		.stack = r->p->stack, .offset = r->p->offset, .size = r->p->size, .writable = r->p->writable
	};
	char *text;
	int rc;

	snprintf(shim.name, sizeof shim.name, "%s", r->device);
	text = domu_shim_format(&shim);
	if (text == NULL)
		return domu_nomem(r->ctx);
	rc = start_child(r, text);
	free(text);
	return rc;
}

static int make_pipe(struct run *r, int p[2])
{
	if (pipe2(p, O_CLOEXEC) < 0)
		return domu_fail(r->ctx, DOMU_FAILED, -errno, "cannot make a pipe: %s", strerror(errno));
	return 0;
}

static int start(struct run *r)
{
	int rc = make_pipe(r, r->out);

	if (rc == 0)
		rc = make_pipe(r, r->fault);
	if (rc == 0 && is_e2fsck(r->p) && r->p->progress != NULL)
		rc = make_pipe(r, r->report);
	if (rc == 0)
		rc = r->p->stack.base_fd < 0 ? start_child(r, NULL) : can_shim(r) ? start_shim(r) : start_export(r);
	close_fd(&r->out[1]);
	close_fd(&r->report[1]);
	close_fd(&r->fault[1]);
	return rc;
}

/* ---- while it runs ------------------------------------------------------------------ */

static void end_it(struct run *r, int rc)
{
	if (r->kill_at != 0)
		return;
	r->rc = rc;
	r->kill_at = domu_now() + GRACE;
	kill(r->pid, SIGTERM);
}

static void look_at_limits(struct run *r)
{
	uint64_t most = r->p->output_limit != 0 ? r->p->output_limit : DEFAULT_OUTPUT;
	double now = domu_now();

	if (domu_interrupted(r->ctx))
		end_it(r, -EINTR);
	else if (r->output.total > most)
		end_it(r, -EFBIG);
	else if (now > r->end)
		end_it(r, -ETIMEDOUT);
	if (r->kill_at != 0 && now > r->kill_at)
		kill(-r->pid, SIGKILL); /* its session: whatever it started too */
}

static void give_data(struct run *r, const char *bytes, size_t len)
{
	int rc = r->p->data(r->p->user, bytes, len);

	r->output.total += len;
	if (rc != 0)
		end_it(r, rc);
}

static void take(struct run *r, int *fd, bool report)
{
	char buf[16384];
	ssize_t n = read(*fd, buf, sizeof buf);

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0)
		close_fd(fd);
	else if (report)
		domu_output_report(&r->output, buf, (size_t)n);
	else if (r->kill_at == 0 && r->p->data != NULL)
		give_data(r, buf, (size_t)n);
	else if (r->kill_at == 0)
		domu_output_take(&r->output, buf, (size_t)n);
}

/* Returns when it has ended; its output is read to the end, unless someone it started keeps that open. */
static int attend(struct run *r)
{
	int status = 0;
	bool gone = false;

	while (!gone || r->out[0] >= 0) {
		struct pollfd p[] = { { .fd = r->out[0], .events = POLLIN }, { .fd = r->report[0], .events = POLLIN } };
		bool idle = r->out[0] < 0;
		int n = poll(p, 2, gone ? 0 : idle ? 5 : TICK_MS);

		if (n > 0 && p[0].revents != 0)
			take(r, &r->out[0], false);
		if (n > 0 && p[1].revents != 0)
			take(r, &r->report[0], true);
		if (gone && n <= 0)
			break;
		if (!gone) {
			look_at_limits(r);
			if (n <= 0 || idle || r->out[0] < 0)
				gone = waitpid(r->pid, &status, WNOHANG) != 0;
		}
	}
	r->pid = 0;
	domu_output_end(&r->output);
	return status;
}

static int judge(struct run *r, int status)
{
	const char *name = r->p->argv[0];
	int err = 0;

	if (read(r->fault[0], &err, sizeof err) == (ssize_t)sizeof err)
		return domu_fail(r->ctx, DOMU_FAILED, -err, "cannot run %s: %s", r->path, strerror(err));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return domu_fail(r->ctx, DOMU_FAILED, -ECHILD, "cannot close the fence around %s", r->path);
	switch (r->rc) {
	case 0:
		return 0;
	case -EINTR:
		return domu_fail(r->ctx, DOMU_DECLINED, r->rc, "interrupted");
	case -EFBIG:
		return domu_fail(r->ctx, DOMU_FAILED, r->rc, "%s printed without end and was ended", name);
	case -ETIMEDOUT:
		return domu_fail(r->ctx, DOMU_FAILED, r->rc, "%s did not come to an end in %u s and was ended", name,
		                 r->p->time_limit != 0 ? r->p->time_limit : DEFAULT_TIME);
	default:
		return r->rc; /* who took its output said why */
	}
}

int domu_program_run(struct domu_ctx *ctx, const struct domu_program *p, int *wstatus)
{
	struct run r = { .ctx = ctx,
		         .p = p,
		         .shim_fd = -1,
		         .image_fd = -1,
		         .out = { -1, -1 },
		         .report = { -1, -1 },
		         .fault = { -1, -1 },
		         .output = { .p = p } };
	int rc = domu_program_find(ctx, p->argv[0], r.path, sizeof r.path), closed;

	*wstatus = 0;
	r.end = domu_now() + (p->time_limit != 0 ? p->time_limit : DEFAULT_TIME);
	if (rc == 0)
		rc = start(&r);
	if (rc == 0) {
		r.output.device = r.device;
		*wstatus = attend(&r);
		rc = judge(&r, *wstatus);
	}
	closed = domu_export_end(ctx, r.export_);
	if (rc == 0)
		rc = closed;
	close_fd(&r.out[0]);
	close_fd(&r.report[0]);
	close_fd(&r.fault[0]);
	close_fd(&r.shim_fd);
	close_fd(&r.image_fd);
	return rc;
}
