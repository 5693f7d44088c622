/* SPDX-License-Identifier: GPL-3.0-or-later */
/* world.c - the folder in memory that the explorer works in, and the table of I/O functions that records. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash.h"

struct world world;

/* ---- small help -------------------------------------------------------------------- */

void bail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("Bail out! ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
	if (world.dir != NULL)
		world_close();
	_exit(1);
}

void *must(void *p)
{
	if (p == NULL)
		bail("out of memory");
	return p;
}

char *text(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return must(s);
}

int run(const char *fmt, ...)
{
	char *cmd = NULL;
	va_list ap;
	pid_t pid;
	int status;

	va_start(ap, fmt);
	if (vasprintf(&cmd, fmt, ap) < 0)
		cmd = NULL;
	va_end(ap);
	must(cmd);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bail("fork: %s", strerror(errno));
	free(cmd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- paths and inodes --------------------------------------------------------------- */

void world_open(void)
{
	char dir[] = "/dev/shm/domu-crash-XXXXXX";
	char *made = access("/dev/shm", W_OK) == 0 ? mkdtemp(dir) : NULL;
	char slow[] = "/tmp/domu-crash-XXXXXX";

	if (made == NULL)
		made = mkdtemp(slow);
	if (made == NULL)
		bail("no folder for the disks: %s", strerror(errno));
	world.dir = text("%s", made);
	if (run("mkdir -m 700 %s/w %s/store", world.dir, world.dir) != 0)
		bail("%s: cannot be filled", world.dir);
	model_new(&world.act, true);
}

void world_close(void)
{
	char *dir = world.dir;

	world.dir = NULL;
	run("rm -rf %s", dir);
	free(dir);
	model_free(&world.act);
}

char *world_path(const char *name)
{
	return text("%s/w/%s", world.dir, name);
}

static char *store_path(int inode)
{
	return text("%s/store/%d", world.dir, inode);
}

/* The model's folder and the name in it of a path below DIR/w. */
static int split(const char *path, const char **name)
{
	size_t top = strlen(world.dir) + 2;
	int dir = ROOT;

	if (strncmp(path, world.dir, top - 2) != 0 || strncmp(path + top - 2, "/w", 2) != 0)
		bail("%s is outside of the world", path);
	path += top;
	while (*path == '/')
		path++;
	for (const char *slash; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
		char part[72];

		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		dir = model_find(&world.act, dir, part);
		if (dir < 0)
			return -1;
	}
	*name = path;
	return dir;
}

static int inode_at(const char *path)
{
	const char *name;
	int dir = split(path, &name);

	if (dir < 0)
		return -1;
	return *name == '\0' ? ROOT : model_find(&world.act, dir, name);
}

/* Where an open descriptor leads, whatever its name is by now: the store has a link of every file. */
static int inode_of(int fd)
{
	char link[64], path[512];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	if (strncmp(path, world.dir, strlen(world.dir)) != 0)
		bail("a descriptor of %s was written to", path);
	return inode_at(path);
}

int world_adopt(const char *name)
{
	char *path = world_path(name), *kept;
	int i = model_new(&world.act, false), fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;

	if (fd < 0 || fstat(fd, &st) < 0)
		bail("%s: %s", path, strerror(errno));
	data = must(malloc((size_t)st.st_size + 1));
	if (domu_pread_full(fd, data, (size_t)st.st_size, 0) < 0)
		bail("%s cannot be read", path);
	close(fd);
	model_write(&world.act, i, 0, data, (uint64_t)st.st_size);
	free(data);
	model_name(&world.act, ROOT, name, i);
	kept = store_path(i);
	if (link(path, kept) < 0)
		bail("%s: %s", kept, strerror(errno));
	free(kept);
	free(path);
	return i;
}

/* ---- becoming a state ------------------------------------------------------------------ */

static void write_file(int i, const struct model *m)
{
	struct inode *a = &world.act.v[i];
	const struct inode *b = &m->v[i];
	char *path = store_path(i);
	int fd = -1;

	for (size_t k = 0; k < b->sectors || k < a->sectors;) {
		size_t run_len = 0;

		while (k + run_len < b->sectors &&
		       b->hash[k + run_len] != (k + run_len < a->sectors ? a->hash[k + run_len] : 0))
			run_len++;
		if (run_len == 0) {
			/* Beyond what b has room for there are only zeros, if a knows it. */
			if (k >= b->sectors && k < a->sectors && a->hash[k] != 0 && k * SECTOR < b->size)
				bail("inode %d: a file that shrank", i);
			k++;
			continue;
		}
		if (fd < 0)
			fd = open(path, O_WRONLY | O_CLOEXEC);
		if (pwrite(fd, b->data + k * SECTOR, run_len * SECTOR, (off_t)(k * SECTOR)) !=
		    (ssize_t)(run_len * SECTOR))
			bail("%s: %s", path, strerror(errno));
		a->size = UINT64_MAX; /* whatever it was: set below */
		k += run_len;
	}
	if (a->size != b->size && truncate(path, (off_t)b->size) < 0)
		bail("%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	a->size = a->size == UINT64_MAX ? b->size : a->size;
	model_revert(&world.act, m, i);
	free(path);
}

/* Unlinks what is below a folder of the world; disks stay where they are. */
static void clear(const char *path, const struct model *m, int dir)
{
	for (size_t i = 0; i < m->v[dir].n_entries; i++) {
		const struct entry *e = &m->v[dir].entries[i];
		char *sub = text("%s/%s", path, e->name);

		if (m->v[e->inode].is_dir) {
			clear(sub, m, e->inode);
			rmdir(sub);
		} else {
			unlink(sub);
		}
		free(sub);
	}
}

static void build(const char *path, const struct model *m, int dir)
{
	for (size_t i = 0; i < m->v[dir].n_entries; i++) {
		const struct entry *e = &m->v[dir].entries[i];
		char *sub = text("%s/%s", path, e->name), *kept = store_path(e->inode);

		if (m->v[e->inode].is_dir) {
			if (mkdir(sub, 0700) < 0)
				bail("%s: %s", sub, strerror(errno));
			build(sub, m, e->inode);
		} else {
			write_file(e->inode, m);
			if (link(kept, sub) < 0)
				bail("%s: %s", sub, strerror(errno));
		}
		free(kept);
		free(sub);
	}
}

void world_become(const struct model *m)
{
	char *top = text("%s/w", world.dir);

	clear(top, &world.act, ROOT);
	build(top, m, ROOT);
	for (int i = 0; i < m->n; i++)
		if (m->v[i].is_dir)
			model_revert(&world.act, m, i);
	free(top);
}

void world_forget(int n)
{
	for (int i = n; i < world.act.n; i++) {
		char *path = store_path(i);

		if (!world.act.v[i].is_dir)
			unlink(path);
		free(path);
		free(world.act.v[i].data);
		free(world.act.v[i].hash);
		free(world.act.v[i].entries);
	}
	world.act.n = n;
}

/* ---- the table ----------------------------------------------------------------------------- */

static bool is_disk(int inode)
{
	for (unsigned i = 0; i < world.n_disks; i++)
		if (world.disk[i] == inode)
			return true;
	return false;
}

/* True: this call does not happen. */
static bool dead(void)
{
	++world.calls;
	if (world.fail_at == 0 || world.calls < world.fail_at || world.fail_how == FAIL_SHORT ||
	    (world.calls > world.fail_at && world.fail_how != FAIL_ON))
		return false;
	errno = world.fail_how == FAIL_SPACE ? ENOSPC : EIO;
	return true;
}

static void note(struct op op)
{
	static const struct torn whole = { -1, false };

	if ((op.type == OP_WRITE || op.type == OP_ZERO || op.type == OP_SIZE) && is_disk(op.inode))
		world.writes++;
	model_apply(&world.act, &op, &whole);
	if (world.record != NULL)
		ops_add(world.record, &op);
	else
		free(op.data);
}

static int w_open(const char *path, int flags, mode_t mode)
{
	bool create = (flags & O_CREAT) != 0, there = access(path, F_OK) == 0;
	const char *name;
	int fd, i;

	if ((flags & (O_CREAT | O_TRUNC)) != 0 && dead())
		return -1;
	fd = domu_io_system.open(path, flags, mode);
	if (fd < 0)
		return fd;
	if (create && !there) {
		struct op op = { .type = OP_NAME, .inode = model_new(&world.act, false) };
		char *kept = store_path(op.inode);

		op.dir = split(path, &name);
		snprintf(op.name, sizeof op.name, "%s", name);
		if (link(path, kept) < 0)
			bail("%s: %s", kept, strerror(errno));
		free(kept);
		note(op);
	} else if ((flags & O_TRUNC) != 0) {
		i = inode_of(fd);
		if (world.act.v[i].size > 0)
			note((struct op){ .type = OP_SIZE, .inode = i, .offset = 0 });
	}
	return fd;
}

static ssize_t w_pwrite(int fd, const void *p, size_t len, off_t offset)
{
	struct op op = { .type = OP_WRITE, .offset = (uint64_t)offset, .len = len };
	ssize_t n;

	if (dead())
		return -1;
	if (world.fail_how == FAIL_SHORT && world.calls == world.fail_at && len > 1)
		op.len = len = len / 2;
	op.inode = inode_of(fd);
	n = pwrite(fd, p, len, offset);
	if (n != (ssize_t)len)
		bail("a write to memory: %s", n < 0 ? strerror(errno) : "short");
	op.data = must(malloc(len + 1));
	memcpy(op.data, p, len);
	note(op);
	return n;
}

/* Nothing is gained by syncing memory. */
static int w_sync(int fd)
{
	static unsigned nth[65536]; /* by inode, of this recording */
	int i = inode_of(fd);
	char link[64], path[512], *slash;
	ssize_t n;

	if (dead()) {
		if (world.record != NULL)
			note((struct op){ .type = OP_SYNC_FAILED, .inode = i });
		return -1;
	}
	if (world.record == NULL)
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (world.record->n == 0)
		memset(nth, 0, sizeof nth);
	if (!fault_drops_sync(slash + 1, world.act.v[i].is_dir, is_disk(i), i < 65536 ? ++nth[i] : 0))
		note((struct op){ .type = OP_SYNC, .inode = i });
	return 0;
}

static int w_ftruncate(int fd, off_t size)
{
	if (dead())
		return -1;
	if (ftruncate(fd, size) < 0)
		return -1;
	note((struct op){ .type = OP_SIZE, .inode = inode_of(fd), .offset = (uint64_t)size });
	return 0;
}

static int w_fallocate(int fd, int mode, off_t offset, off_t len)
{
	struct op op = { .type = OP_ZERO, .offset = (uint64_t)offset, .len = (uint64_t)len };

	if (dead())
		return -1;
	if (fallocate(fd, mode, offset, len) < 0)
		return -1;
	op.inode = inode_of(fd);
	if (op.offset + op.len > world.act.v[op.inode].size)
		op.len = op.offset < world.act.v[op.inode].size ? world.act.v[op.inode].size - op.offset : 0;
	if ((mode & FALLOC_FL_PUNCH_HOLE) != 0 && op.len > 0)
		note(op);
	return 0;
}

static int w_rename(const char *from, const char *to)
{
	struct op op = { .type = OP_RENAME };
	const char *name;

	if (dead())
		return -1;
	if (rename(from, to) < 0)
		return -1;
	op.dir = split(from, &name);
	snprintf(op.name, sizeof op.name, "%s", name);
	op.inode = model_find(&world.act, op.dir, op.name);
	op.new_dir = split(to, &name);
	snprintf(op.new_name, sizeof op.new_name, "%s", name);
	note(op);
	return 0;
}

static int removed(const char *path)
{
	struct op op = { .type = OP_UNLINK };
	const char *name;

	op.dir = split(path, &name);
	snprintf(op.name, sizeof op.name, "%s", name);
	op.inode = model_find(&world.act, op.dir, op.name);
	note(op);
	return 0;
}

static int w_unlink(const char *path)
{
	if (dead())
		return -1;
	return unlink(path) < 0 ? -1 : removed(path);
}

static int w_rmdir(const char *path)
{
	if (dead())
		return -1;
	return rmdir(path) < 0 ? -1 : removed(path);
}

static int w_mkdir(const char *path, mode_t mode)
{
	struct op op = { .type = OP_NAME };
	const char *name;

	if (access(path, F_OK) == 0) {
		errno = EEXIST;
		return -1;
	}
	if (dead() || mkdir(path, mode) < 0)
		return -1;
	op.inode = model_new(&world.act, true);
	op.dir = split(path, &name);
	snprintf(op.name, sizeof op.name, "%s", name);
	note(op);
	return 0;
}

const struct domu_io world_io = {
	.open = w_open,
	.close = close,
	.pwrite = w_pwrite,
	.fsync = w_sync,
	.fdatasync = w_sync,
	.ftruncate = w_ftruncate,
	.fallocate = w_fallocate,
	.rename = w_rename,
	.unlink = w_unlink,
	.mkdir = w_mkdir,
	.rmdir = w_rmdir,
};
