/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mount.c - the front's side of a guest's tree as a FUSE mount: it mounts, unmounts, and says who is in the way. */
#include "config.h"

#include <dirent.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fence/lib-fuse.h"
#include "fence/mount.h"
#include "fence/serve-tree.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

struct domu_mountpoint {
	struct domu_ctx *ctx;
	char *dir; /* resolved */
	char id[64]; /* the first words of its line in mountinfo */
	int fuse_fd, stop[2]; /* stop[1] closed: the worker ends */
	bool writable, raw_links;
};

int domu_mountpoint_load(struct domu_ctx *ctx)
{
	if (geteuid() != 0)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EPERM, "mounting a guest's tree needs root");
	return domu_lib_load(ctx, &domu_lib_fuse);
}

static bool is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e = NULL;
	bool empty = d != NULL;

	while (empty && (e = readdir(d)) != NULL)
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d != NULL)
		closedir(d);
	return empty;
}

int domu_mountpoint_check(struct domu_ctx *ctx, const char *dir, char **path)
{
	struct stat st;

	*path = NULL;
	if (stat(dir, &st) < 0 && errno == ENOTCONN)
		return domu_fail(ctx, DOMU_FAILED, -ENOTCONN,
		                 "%s: an export that was killed is still mounted there: umount %s", dir, dir);
	*path = realpath(dir, NULL);
	if (*path == NULL)
		return domu_fail(ctx, errno == ENOENT ? DOMU_NOTFOUND : DOMU_FAILED, -errno, "%s: %s", dir,
		                 strerror(errno));
	if (stat(*path, &st) < 0 || !S_ISDIR(st.st_mode))
		return domu_fail(ctx, DOMU_FAILED, -ENOTDIR, "%s: not a directory", dir);
	if (strcmp(*path, "/") == 0)
		return domu_fail(ctx, DOMU_USAGE, -EINVAL, "a guest is not mounted over the root of this machine");
	/* The Dom0 needs its /etc, and two exports on one another end in the wrong order. */
	if (!is_empty(*path))
		return domu_fail(ctx, DOMU_USAGE, -ENOTEMPTY,
		                 "%s: not empty: what is there would be hidden; name an empty directory", dir);
	return 0;
}

/* ---- which line of mountinfo is ours ------------------------------------------- */

/* The kernel writes a blank in a path as \040. */
static bool same_path(const char *line, const char *path)
{
	for (; *line != ' ' && *line != '\0'; path++) {
		unsigned char c = (unsigned char)*line;

		if (c == '\\' && line[1] != '\0' && line[2] != '\0' && line[3] != '\0') {
			c = (unsigned char)((line[1] - '0') << 6 | (line[2] - '0') << 3 | (line[3] - '0'));
			line += 3;
		}
		line++;
		if (c != (unsigned char)*path)
			return false;
	}
	return *path == '\0';
}

/* The mount at dir that lies on top: "ID PARENT MAJOR:MINOR".  "": none is there. */
static void top_mount(const char *dir, char *id, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0;

	id[0] = '\0';
	while (f != NULL && getline(&line, &cap, f) > 0) {
		char *p = line, *end;

		for (int i = 0; i < 3 && p != NULL; i++)
			p = strchr(p + (i > 0), ' ');
		end = p;
		p = p != NULL ? strchr(p + 1, ' ') : NULL;
		if (p == NULL || !same_path(p + 1, dir) || (size_t)(end - line) >= size)
			continue;
		memcpy(id, line, (size_t)(end - line));
		id[end - line] = '\0';
	}
	free(line);
	if (f != NULL)
		fclose(f);
}

static bool is_there(const struct domu_mountpoint *m)
{
	char id[sizeof m->id];

	top_mount(m->dir, id, sizeof id);
	return m->id[0] != '\0' && strcmp(id, m->id) == 0;
}

/* ---- making and ending it --------------------------------------------------------- */

static int do_mount(struct domu_mountpoint *m, const struct domu_mountpoint_opts *o)
{
	/* No program, device or suid file of a guest is one of this machine. */
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | (o->writable ? 0 : MS_RDONLY) |
	                      (o->raw_links ? MS_NOSYMFOLLOW : 0);
	char options[160];

	m->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (m->fuse_fd < 0)
		return domu_fail(m->ctx, DOMU_UNSUPPORTED, -ENOSYS,
		                 "cannot open /dev/fuse: %s (load it: modprobe fuse)", strerror(errno));
	if (pipe2(m->stop, O_CLOEXEC) < 0)
		return domu_fail(m->ctx, DOMU_FAILED, -errno, "cannot make a pipe: %s", strerror(errno));
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,max_read=%u%s",
	         m->fuse_fd, DOMU_TREE_IO, o->others ? ",allow_other" : "");
	if (mount(o->source, m->dir, "fuse.domu-rescue", flags, options) < 0)
		return domu_fail(m->ctx, DOMU_FAILED, -errno, "cannot mount on %s: %s", m->dir, strerror(errno));
	top_mount(m->dir, m->id, sizeof m->id);
	return 0;
}

int domu_mountpoint_make(struct domu_ctx *ctx, const struct domu_mountpoint_opts *opts, struct domu_mountpoint **out)
{
	struct domu_mountpoint *m = calloc(1, sizeof *m);
	int rc;

	*out = NULL;
	if (m == NULL)
		return domu_nomem(ctx);
	m->ctx = ctx;
	m->fuse_fd = m->stop[0] = m->stop[1] = -1;
	m->writable = opts->writable;
	m->raw_links = opts->raw_links;
	rc = domu_mountpoint_check(ctx, opts->dir, &m->dir);
	if (rc == 0)
		rc = do_mount(m, opts);
	if (rc == 0)
		*out = m;
	else
		domu_mountpoint_free(m);
	return rc;
}

void domu_mountpoint_request(const struct domu_mountpoint *m, struct domu_msg *req)
{
	domu_msg_put_str(req, DOMU_OP_EXPORT);
	domu_msg_put_str(req, m->dir);
	domu_msg_put_u64(req, m->writable);
	domu_msg_put_u64(req, m->raw_links);
	domu_msg_put_fd(req, m->fuse_fd);
	domu_msg_put_fd(req, m->stop[0]);
}

static void stop_server(struct domu_mountpoint *m)
{
	if (m->stop[1] >= 0)
		close(m->stop[1]);
	m->stop[1] = -1;
}

int domu_mountpoint_leave(struct domu_mountpoint *m)
{
	/* Who unmounted it himself, or mounted something over it, wants no more done here. */
	if (is_there(m) && umount2(m->dir, UMOUNT_NOFOLLOW) < 0 && errno == EBUSY)
		return -EBUSY;
	stop_server(m);
	return 0;
}

void domu_mountpoint_cut(struct domu_mountpoint *m)
{
	if (is_there(m))
		umount2(m->dir, UMOUNT_NOFOLLOW | MNT_DETACH);
	stop_server(m);
}

void domu_mountpoint_free(struct domu_mountpoint *m)
{
	if (m == NULL)
		return;
	domu_mountpoint_cut(m);
	/* The last copy: whoever still waits for an answer gets an error. */
	if (m->fuse_fd >= 0)
		close(m->fuse_fd);
	if (m->stop[0] >= 0)
		close(m->stop[0]);
	free(m->dir);
	free(m);
}

/* ---- who is in the way --------------------------------------------------------------- */

/* A link of /proc says where without a look at what is there, which would ask the mount. */
static bool leads_into(int at, const char *name, const char *dir)
{
	char target[4096];
	size_t len = strlen(dir);
	ssize_t n = readlinkat(at, name, target, sizeof target - 1);

	if (n < 0)
		return false;
	target[n] = '\0';
	return strncmp(target, dir, len) == 0 && (target[len] == '\0' || target[len] == '/');
}

static bool holds(int process, const char *dir)
{
	static const char *const links[] = { "cwd", "root", "exe" };
	bool found = false;
	struct dirent *e;
	int fd;
	DIR *d;

	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		if (leads_into(process, links[i], dir))
			return true;
	fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd >= 0 ? fdopendir(fd) : NULL;
	if (d == NULL && fd >= 0)
		close(fd);
	while (d != NULL && !found && (e = readdir(d)) != NULL)
		found = e->d_name[0] != '.' && leads_into(dirfd(d), e->d_name, dir);
	if (d != NULL)
		closedir(d);
	return found;
}

static void name_of(int process, const char *pid, char *text, size_t size)
{
	char comm[32] = "";
	int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, comm, sizeof comm - 1) : -1;

	if (fd >= 0)
		close(fd);
	comm[n > 0 ? (size_t)n : 0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
	snprintf(text, size, "%s (process %s)", comm, pid);
}

void domu_mountpoint_holder(const struct domu_mountpoint *m, char *text, size_t size)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	text[0] = '\0';
	while (d != NULL && text[0] == '\0' && (e = readdir(d)) != NULL) {
		int process;

		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		process = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process < 0)
			continue;
		if (holds(process, m->dir))
			name_of(process, e->d_name, text, size);
		close(process);
	}
	if (d != NULL)
		closedir(d);
}
