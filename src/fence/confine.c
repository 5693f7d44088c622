/* SPDX-License-Identifier: GPL-3.0-or-later */
/* confine.c - what a process of ours gives up after the fork, before it looks at a guest's bytes. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/ahead.h"
#include "base/lib.h"
#include "base/num.h"
#include "fence/confine.h"

double domu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void domu_nap(unsigned milliseconds)
{
	poll(NULL, 0, (int)milliseconds);
}

int domu_reap(pid_t pid, unsigned milliseconds)
{
	double end = domu_now() + milliseconds / 1e3;
	unsigned nap = 1;
	int status = 0;

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid || (got < 0 && errno != EINTR))
			return status;
		if (domu_now() >= end)
			break;
		domu_nap(nap);
		nap = nap < 20 ? nap * 2 : 20;
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

int domu_temp_dir(char path[64], unsigned uid)
{
	/* Memory first: where /run is on a disk, a folder made and removed there takes 0.1 ms of each command. */
	static const char *const places[] = { "/dev/shm", "/run", "/tmp" };
	int rc = -ENOENT;

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		snprintf(path, 64, "%s/domu-rescue.XXXXXX", places[i]);
		if (mkdtemp(path) == NULL) {
			rc = -errno;
			continue;
		}
		if (uid != 0 && geteuid() == 0 && chown(path, uid, uid) < 0) {
			rc = -errno;
			rmdir(path);
			continue;
		}
		return 0;
	}
	return rc;
}

/* Signals that a sanitizer makes a report of. */
static bool reported(int s)
{
#ifdef DOMU_SANITIZED
	return s == SIGSEGV || s == SIGBUS || s == SIGFPE || s == SIGILL || s == SIGABRT;
#else
	(void)s;
	return false;
#endif
}

void domu_confine_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP && !reported(s))
			signal(s, SIG_DFL);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
}

/* Where close_range(2) is missing (before Linux 5.9): one by one, up to the highest in use. */
static void close_span(unsigned from, unsigned to)
{
	DIR *d;
	struct dirent *e;
	unsigned top = 1024;

	if (from > to || syscall(SYS_close_range, from, to, 0) == 0)
		return;
	d = opendir("/proc/self/fd");
	while (d != NULL && (e = readdir(d)) != NULL) {
		unsigned long n = strtoul(e->d_name, NULL, 10);

		top = n > top && n <= (unsigned)dirfd(d) + 65536 ? (unsigned)n : top;
	}
	if (d != NULL)
		closedir(d);
	for (unsigned fd = from; fd <= to && fd <= top; fd++)
		close((int)fd);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int domu_confine_fds(const int *keep, size_t n_keep)
{
	int sorted[DOMU_CONFINE_FDS + 3];
	size_t n = 0;
	unsigned next = 0;

	if (n_keep > DOMU_CONFINE_FDS)
		return -E2BIG;
	for (size_t i = 0; i < n_keep; i++)
		if (keep[i] >= 0)
			sorted[n++] = keep[i];
#ifdef DOMU_SANITIZED
	sorted[n++] = 2;
#endif
	qsort(sorted, n, sizeof *sorted, by_number);
	for (size_t i = 0; i < n; i++) {
		if ((unsigned)sorted[i] > next)
			close_span(next, (unsigned)sorted[i] - 1);
		next = (unsigned)sorted[i] + 1;
	}
	close_span(next, ~0u);
	return 0;
}

/* 0, 1 and 2 always lead somewhere: a library that opens a file must not get one of them. */
static int standard_fds(const int *keep, size_t n_keep)
{
	bool kept[3] = { false, false, false };
	int null;

	for (size_t i = 0; i < n_keep; i++)
		if (keep[i] >= 0 && keep[i] <= 2)
			kept[keep[i]] = true;
#ifdef DOMU_SANITIZED
	kept[2] = true;
#endif
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	for (int fd = 0; fd <= 2; fd++)
		if (!kept[fd] && null != fd && dup2(null, fd) < 0)
			return -errno;
	if (null > 2)
		close(null);
	return 0;
}

static int set_limit(int which, rlim_t value)
{
	struct rlimit l;

	if (getrlimit((__rlimit_resource_t)which, &l) < 0)
		return -errno;
	if (l.rlim_max == RLIM_INFINITY || value < l.rlim_max)
		l.rlim_max = value;
	l.rlim_cur = l.rlim_max;
	return setrlimit((__rlimit_resource_t)which, &l) < 0 ? -errno : 0;
}

#ifndef DOMU_SANITIZED
static uint64_t address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
#endif

static int limits(const struct domu_confine *c)
{
	int rc = set_limit(RLIMIT_CORE, 0);

	if (rc == 0 && c->files != 0)
		rc = set_limit(RLIMIT_NOFILE, c->files);
#ifndef DOMU_SANITIZED
	/* A sanitizer reserves terabytes of address space, and has threads of its own. */
	if (rc == 0 && c->memory != 0) {
		uint64_t sum;

		rc = domu_add(address_space(), c->memory, &sum) ? set_limit(RLIMIT_AS, sum) : 0;
	}
#endif
	return rc;
}

static int no_fork(void)
{
#ifdef DOMU_SANITIZED
	return 0;
#else
	return set_limit(RLIMIT_NPROC, 0);
#endif
}

/* The folder is removed first, so that nothing is left whenever we die; a process may stand in a deleted one. */
static int empty_root(void)
{
	char path[64];
	int rc = domu_temp_dir(path, 0);

	if (rc != 0)
		return rc;
	rc = chdir(path) < 0 ? -errno : 0;
	if (rmdir(path) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && (chroot(".") < 0 || chdir("/") < 0))
		rc = -errno;
	return rc;
}

static int drop_ids(unsigned uid, gid_t group)
{
	if (geteuid() != 0)
		return 0;
	if (setgroups(group != 0 ? 1 : 0, &group) < 0)
		return -errno;
	if (uid != 0 && (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
		return -errno;
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	memset(d, 0, sizeof d);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

int domu_confine(const struct domu_confine *c, const char **what)
{
	bool root = geteuid() == 0;
	int rc;

	/* 1. Descriptors: nothing open but what was handed over. */
	*what = "close descriptors";
	rc = c->keep_all ? 0 : domu_confine_fds(c->keep, c->n_keep);
	if (rc == 0 && !c->keep_all)
		rc = standard_fds(c->keep, c->n_keep);
	if (rc != 0)
		return rc;

	/* 2. Limits, while /proc can still be read. */
	*what = "set limits";
	rc = limits(c);
	if (rc != 0)
		return rc;
	umask(c->no_umask ? 0 : 077);

	/* 3. No files: needs CAP_SYS_CHROOT, so before the uid. */
	*what = "enter an empty root";
	if (c->empty_root)
		domu_lib_close();
	if (c->empty_root && root && (rc = empty_root()) != 0)
		return rc;

	/* 4. No way back to a capability: bounding set, then groups and uid, then what is left of the others. */
	*what = "drop capabilities";
	if (root)
		for (int cap = 0; cap < 64; cap++)
			if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
				return -errno;
	*what = "change the uid";
	rc = drop_ids(c->uid, c->group);
	if (rc != 0)
		return rc;
	*what = "drop capabilities";
	rc = drop_capabilities();
	if (rc != 0)
		return rc;
	*what = "forbid new privileges";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;

	/* 5. The parent's death is ours.  After the change of uid, which forgets it. */
	*what = "follow the parent";
	if (c->parent != 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	if (c->parent != 0 && getppid() != c->parent)
		return -ESRCH;

	/* 6. The one thread, which begins with all of the above; then nobody here makes another, or a process. */
	*what = "forbid new processes";
	if (c->ahead != NULL)
		*c->ahead = domu_ahead_start();
	return c->no_fork ? no_fork() : 0;
}
