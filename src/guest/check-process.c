/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check-process.c - processes that have a disk open for writing, and locks on it. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "guest/check.h"

#define FLOCK_TRIES 100 /* of 5 ms */

void domu_process_name(int pid, char out[32])
{
	char path[64];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, out, 31);
		close(fd);
	}
	if (n <= 0) {
		snprintf(out, 32, "?");
		return;
	}
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	/* A process names itself. */
	for (char *p = out; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			*p = '?';
}

/* ---- descriptors ------------------------------------------------------------------ */

/*
 * 1: yes; 0: no; -EACCES: cannot be seen.  Cached attributes will do: a server
 * that does not answer must not hang us.
 */
static int is_disk(const char *path, const struct domu_backing *b, const struct domu_relatives *r)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &st) < 0)
		return errno == EACCES || errno == EPERM ? -EACCES : 0;
	if (S_ISBLK(st.stx_mode))
		return domu_related_find(r, makedev(st.stx_rdev_major, st.stx_rdev_minor)) != NULL;
	return S_ISREG(st.stx_mode) && domu_same_file(b, makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino);
}

static bool open_for_writing(const char *pid, const char *fd)
{
	char path[96], line[128];
	bool writing = false;
	unsigned flags;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%.10s/fdinfo/%.10s", pid, fd);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "flags: %o", &flags) == 1)
			writing = (flags & O_ACCMODE) != O_RDONLY && (flags & O_PATH) == 0;
	fclose(f);
	return writing;
}

/* 1: this process has it open for writing; 0: no; -EACCES: cannot be seen. */
static int process_writes(const char *pid, const struct domu_backing *b, const struct domu_relatives *r)
{
	char path[96];
	struct dirent *e;
	int rc = 0, is;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%.10s/fd", pid);
	d = opendir(path);
	if (d == NULL)
		return errno == EACCES || errno == EPERM ? -EACCES : 0;
	while (rc == 0 && (e = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%.10s/fd/%.10s", pid, e->d_name);
		is = is_disk(path, b, r);
		rc = is == 1 ? open_for_writing(pid, e->d_name) : is;
	}
	closedir(d);
	return rc;
}

bool domu_held_by_us(const struct domu_backing *b)
{
	struct domu_related self = { .dev = b->dev };
	struct domu_relatives r = { .v = &self, .n = b->is_device ? 1 : 0 };

	return process_writes("self", b, &r) == 1;
}

static void name_writers(const struct domu_backing *b, const struct domu_relatives *r, struct domu_answer *a)
{
	const char *hidden = NULL;
	char name[32], first[16];
	struct dirent *e;
	DIR *d = opendir("/proc");

	if (d == NULL) {
		domu_answer(a, DOMU_CHECK_UNKNOWN, "/proc cannot be read: %s", strerror(errno));
		return;
	}
	while (a->result == DOMU_CHECK_PASS && (e = readdir(d)) != NULL) {
		long pid = strtol(e->d_name, NULL, 10);
		int rc;

		if (pid <= 0 || pid == getpid())
			continue;
		rc = process_writes(e->d_name, b, r);
		if (rc == 1) {
			domu_process_name((int)pid, name);
			domu_answer(a, DOMU_CHECK_FAIL, "process %ld (%s) has it open for writing", pid, name);
			domu_answer_next(a, "kill %ld", pid);
		} else if (rc == -EACCES && hidden == NULL) {
			snprintf(first, sizeof first, "%.10s", e->d_name);
			hidden = first;
		}
	}
	closedir(d);
	if (hidden != NULL)
		domu_answer(a, DOMU_CHECK_UNKNOWN,
		            "what pid %s has open cannot be seen: run as root, outside of a container", hidden);
}

/* ---- the kernel's own count of writers ---------------------------------------------- */

/* NFS and its kind grant leases by other rules; there a refusal says nothing. */
static bool local_leases(int fd)
{
	static const unsigned local[] = { 0xef53, 0x58465342, 0x9123683e, 0x01021994, 0xf2f52010, 0x794c7630 };
	struct statfs sf;

	if (fstatfs(fd, &sf) < 0)
		return false;
	for (size_t i = 0; i < sizeof local / sizeof *local; i++)
		if ((unsigned)sf.f_type == local[i])
			return true;
	return false;
}

/*
 * A read lease is granted only while nobody has the file open for writing, by
 * a descriptor, a mapping, a loop or the kernel's NFS server, in whatever
 * namespace: one call instead of a walk over every process.  It is given back
 * at once; whoever opens the file in between waits for that, and the signal
 * that tells us is held back and dropped.
 */
enum domu_lease domu_ask_lease(const struct domu_backing *b)
{
	struct f_owner_ex owner = { .type = F_OWNER_TID };
	enum domu_lease answer = DOMU_LEASE_UNTOLD;
	struct timespec none = { 0 };
	sigset_t sigio, old;
	char path[64];
	int fd;

	if (b->is_device || !local_leases(b->fd))
		return DOMU_LEASE_UNTOLD;
	snprintf(path, sizeof path, "/proc/self/fd/%d", b->fd);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return DOMU_LEASE_UNTOLD;
	sigemptyset(&sigio);
	sigaddset(&sigio, SIGIO);
	pthread_sigmask(SIG_BLOCK, &sigio, &old);
	owner.pid = gettid();
	if (fcntl(fd, F_SETOWN_EX, &owner) < 0)
		goto out;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		answer = DOMU_LEASE_FREE;
		fcntl(fd, F_SETLEASE, F_UNLCK);
	} else if (errno == EAGAIN) {
		answer = DOMU_LEASE_WRITER;
	}
out:
	while (sigtimedwait(&sigio, NULL, &none) > 0)
		;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(fd);
	return answer;
}

void domu_check_writers(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a)
{
	enum domu_lease l = domu_ask_lease(b);
	bool ours;

	(void)v;
	if (l == DOMU_LEASE_FREE && r->n == 0)
		return;
	name_writers(b, r, a);
	if (a->result == DOMU_CHECK_FAIL)
		return;
	/* The writer that the kernel counts is we, who were alone when we opened it. */
	ours = l == DOMU_LEASE_WRITER && domu_held_by_us(b);
	/*
	 * Processes that cannot be looked at do not matter where the kernel could tell; of what is stacked
	 * "stacked" says more.
	 */
	if (a->result == DOMU_CHECK_UNKNOWN && (l == DOMU_LEASE_FREE || (ours && b->alone)))
		domu_answer_clear(a);
	if (l != DOMU_LEASE_WRITER || ours)
		return;
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].holder && strncmp(r->v[i].name, "loop", 4) == 0)
			return; /* the loop is the writer, and "stacked" says so */
	domu_answer_clear(a);
	domu_answer(a, DOMU_CHECK_FAIL, "something that is no process seen here has it open for writing");
}

/* ---- locks --------------------------------------------------------------------------- */

/* Bytes 100 to 103: what a qemu does with the image; 200 to 203: what it lets nobody else do. */
static const off_t qemu_bytes[] = { 100, 200 };

static struct flock qemu_range(size_t i, short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = qemu_bytes[i], .l_len = 4 };
}

/*
 * Takes the locks of a qemu that shares the image with nobody.  qdisk runs no
 * block script, so Xen's hotplug lock does not keep it away; this does.
 * 0, or -EBUSY when a qemu has it; a filesystem without such locks is no failure.
 */
int domu_image_lock(int fd)
{
	for (size_t i = 0; i < 2; i++) {
		struct flock fl = qemu_range(i, F_RDLCK);

		if (fcntl(fd, F_OFD_SETLK, &fl) < 0 && (errno == EAGAIN || errno == EACCES))
			return -EBUSY;
	}
	/* qemus share read locks: who came first is seen only after ours are set. */
	for (size_t i = 0; i < 2; i++) {
		struct flock fl = qemu_range(i, F_WRLCK);

		if (fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK)
			return -EBUSY;
	}
	return 0;
}

/* Every lock of fcntl(2), of whoever: asked, not taken. */
static void ask_record_locks(const struct domu_backing *b, struct domu_answer *a)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char name[32];

	for (size_t i = 0; i < 2; i++) {
		struct flock fl = qemu_range(i, F_WRLCK);

		if (fcntl(b->fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK && fl.l_pid == -1)
			domu_answer(a, DOMU_CHECK_FAIL, "qemu or a tool of it holds the image lock");
	}
	if (fcntl(b->fd, F_OFD_GETLK, &whole) < 0 || whole.l_type == F_UNLCK)
		return;
	if (whole.l_pid <= 0) {
		domu_answer(a, DOMU_CHECK_FAIL, "somebody holds a lock on it");
		return;
	}
	domu_process_name(whole.l_pid, name);
	domu_answer(a, DOMU_CHECK_FAIL, "process %d (%s) holds a lock on it", whole.l_pid, name);
	domu_answer_next(a, "kill %d", whole.l_pid);
}

/* A flock(2) can be asked for only by taking it, for a moment. */
static bool flocked(const struct domu_backing *b)
{
	char path[64];
	bool busy = false;
	int fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", b->fd);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	busy = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	close(fd);
	return busy;
}

/* "1: FLOCK  ADVISORY  WRITE 4711 08:01:12345 0 EOF" */
static void look_at_lock(const char *line, const struct stat *st, bool *ours, struct domu_answer *a)
{
	char kind[16], mode[16], type[16], name[32];
	unsigned ma, mi;
	unsigned long long inode;
	long pid;

	if (strstr(line, " -> ") != NULL ||
	    sscanf(line, "%*d: %15s %15s %15s %ld %x:%x:%llu", kind, mode, type, &pid, &ma, &mi, &inode) != 7)
		return;
	if (strcmp(kind, "FLOCK") != 0 || inode != st->st_ino || makedev(ma, mi) != st->st_dev)
		return;
	if (pid == getpid()) {
		*ours = true;
		return;
	}
	domu_process_name((int)pid, name);
	domu_answer(a, DOMU_CHECK_FAIL, "process %ld (%s) holds a lock on it (%s)", pid, name, kind);
	domu_answer_next(a, "kill %ld", pid);
}

/*
 * Reading the kernel's list costs some 10 ms: only to name the one that is
 * known to be there.  false: it is ours, or gone already.
 */
static bool name_flock(const struct domu_backing *b, struct domu_answer *a)
{
	char *line = NULL;
	bool ours = false;
	size_t cap = 0;
	struct stat st;
	FILE *f;

	if (fstat(b->fd, &st) < 0)
		return true;
	f = fopen("/proc/locks", "re");
	while (f != NULL && getline(&line, &cap, f) > 0)
		look_at_lock(line, &st, &ours, a);
	free(line);
	if (f != NULL)
		fclose(f);
	return ours || a->result == DOMU_CHECK_FAIL;
}

/* Whoever asks, another domu-rescue as well, has it for a moment: only one that stays is a holder's. */
static bool stays_flocked(const struct domu_backing *b)
{
	const struct timespec moment = { .tv_nsec = 5000000 };

	for (int tries = 0; tries < FLOCK_TRIES; tries++) {
		if (!flocked(b))
			return false;
		nanosleep(&moment, NULL);
	}
	return true;
}

static void ask_flock(const struct domu_backing *b, struct domu_answer *a)
{
	/* Before anything is waited for: is it ours? */
	bool ours = flocked(b) && name_flock(b, a) && a->result == DOMU_CHECK_PASS;

	domu_answer_clear(a);
	if (ours || !stays_flocked(b) || name_flock(b, a))
		return;
	domu_answer(a, DOMU_CHECK_FAIL, "somebody holds a lock on it (FLOCK)");
}

void domu_check_image_lock(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                           struct domu_answer *a)
{
	(void)v;
	(void)r;
	/* Once we hold it open for a commit the locks are ours, and no qemu gets past them. */
	if (!domu_held_by_us(b))
		ask_record_locks(b, a);
	if (a->result == DOMU_CHECK_PASS)
		ask_flock(b, a);
}
