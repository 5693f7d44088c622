/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memfs.c - a filesystem in memory, for tests of what stands above drivers. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memfs.h"

#define MAX_INODES  4096
#define MAX_ENTRIES 64
#define MAX_XATTRS  8

struct entry {
	char name[256];
	size_t len;
	uint64_t ino;
};

struct xattr {
	char name[256];
	char value[256];
	size_t len;
};

struct node {
	struct domu_stat st; /* mode 0: free */
	char *data; /* of a file, or a link's target */
	struct entry *entries;
	size_t n_entries, cap_entries;
	struct xattr xattrs[MAX_XATTRS];
	size_t n_xattrs;
	int broken;
};

struct memfs {
	unsigned users;
	struct node nodes[MAX_INODES]; /* by inode; 0 is none, 2 the root */
	uint64_t subvol[8]; /* by id; all 0: a filesystem without */
};

static struct node *get(struct domu_fs *fs, uint64_t ino, int *rc)
{
	struct memfs *m = fs->priv;
	struct node *n = ino > 0 && ino < MAX_INODES ? &m->nodes[ino] : NULL;

	*rc = n == NULL || n->st.mode == 0 ? -ESTALE : n->broken;
	return *rc == 0 ? n : NULL;
}

static struct node *get_dir(struct domu_fs *fs, uint64_t ino, int *rc)
{
	struct node *n = get(fs, ino, rc);

	if (n != NULL && !S_ISDIR(n->st.mode))
		*rc = -ENOTDIR;
	return *rc == 0 ? n : NULL;
}

static struct entry *find(struct node *dir, const char *name)
{
	for (size_t i = 0; i < dir->n_entries; i++)
		if (strcmp(dir->entries[i].name, name) == 0)
			return &dir->entries[i];
	return NULL;
}

static void add_entry(struct node *dir, const char *name, size_t len, uint64_t ino)
{
	struct entry *e;

	if (dir->n_entries == dir->cap_entries) {
		dir->cap_entries = dir->cap_entries != 0 ? 2 * dir->cap_entries : MAX_ENTRIES;
		dir->entries = realloc(dir->entries, dir->cap_entries * sizeof *dir->entries);
	}
	e = &dir->entries[dir->n_entries++];
	memset(e, 0, sizeof *e);
	memcpy(e->name, name, len);
	e->len = len;
	e->ino = ino;
}

static int m_close(struct domu_fs *fs)
{
	struct memfs *m = fs->priv;

	if (--m->users == 0) {
		for (size_t i = 0; i < MAX_INODES; i++) {
			free(m->nodes[i].data);
			free(m->nodes[i].entries);
		}
		free(m);
	}
	free(fs);
	return 0;
}

static int m_lookup(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t *ino)
{
	int rc;
	struct node *n = get_dir(fs, dir, &rc);
	struct entry *e = n != NULL ? find(n, name) : NULL;

	if (e == NULL)
		return rc != 0 ? rc : -ENOENT;
	*ino = e->ino;
	return 0;
}

static int m_subvolume(struct domu_fs *fs, uint64_t id, uint64_t *ino)
{
	const uint64_t *v = ((struct memfs *)fs->priv)->subvol;

	if (v[DOMU_SUBVOL_TOP] == 0)
		return -EOPNOTSUPP;
	*ino = id < 8 ? v[id] : 0;
	return *ino != 0 ? 0 : -ENOENT;
}

static int m_stat(struct domu_fs *fs, uint64_t ino, struct domu_stat *st)
{
	int rc;
	struct node *n = get(fs, ino, &rc);

	if (n != NULL)
		*st = n->st;
	return rc;
}

static int m_readdir(struct domu_fs *fs, uint64_t dir, domu_dirent_fn fn, void *user)
{
	struct memfs *m = fs->priv;
	int rc;
	struct node *n = get_dir(fs, dir, &rc);

	for (size_t i = 0; n != NULL && rc == 0 && i < n->n_entries; i++) {
		struct entry *e = &n->entries[i];

		rc = fn(user, e->name, e->len, e->ino, e->ino < MAX_INODES ? m->nodes[e->ino].st.mode & S_IFMT : 0);
	}
	return rc;
}

static int m_readlink(struct domu_fs *fs, uint64_t ino, char *buf, size_t size)
{
	int rc;
	struct node *n = get(fs, ino, &rc);

	if (n == NULL || !S_ISLNK(n->st.mode))
		return rc != 0 ? rc : -EINVAL;
	if (n->st.size >= size)
		return -ENAMETOOLONG;
	memcpy(buf, n->data, n->st.size);
	buf[n->st.size] = '\0';
	return (int)n->st.size;
}

static ssize_t m_read(struct domu_fs *fs, uint64_t ino, void *buf, size_t len, uint64_t offset)
{
	int rc;
	struct node *n = get(fs, ino, &rc);

	if (n == NULL || offset >= n->st.size)
		return rc;
	if (len > n->st.size - offset)
		len = n->st.size - offset;
	memcpy(buf, n->data + offset, len);
	return (ssize_t)len;
}

static int m_listxattr(struct domu_fs *fs, uint64_t ino, domu_xattr_fn fn, void *user)
{
	int rc;
	struct node *n = get(fs, ino, &rc);

	for (size_t i = 0; n != NULL && rc == 0 && i < n->n_xattrs; i++)
		rc = fn(user, n->xattrs[i].name, n->xattrs[i].value, n->xattrs[i].len);
	return rc;
}

static int m_statfs(struct domu_fs *fs, struct domu_statfs *sf)
{
	(void)fs;
	*sf = (struct domu_statfs){
		.size = 1 << 20, .free = 1 << 19, .avail = 1 << 18, .files = 1000, .files_free = 900, .block_size = 4096
	};
	return 0;
}

static int m_create(struct domu_fs *fs, uint64_t dir, const char *name, const struct domu_stat *attr,
                    const char *target, uint64_t *ino)
{
	struct memfs *m = fs->priv;
	int rc;
	struct node *d = get_dir(fs, dir, &rc), *n;
	uint64_t i = 3;

	if (d == NULL)
		return rc;
	if (find(d, name) != NULL)
		return -EEXIST;
	while (i < MAX_INODES && m->nodes[i].st.mode != 0)
		i++;
	if (i == MAX_INODES)
		return -ENOSPC;
	n = &m->nodes[i];
	memset(n, 0, sizeof *n);
	n->st = *attr;
	n->st.ino = i;
	n->st.nlink = S_ISDIR(attr->mode) ? 2 : 1;
	n->st.size = target != NULL ? strlen(target) : 0;
	n->data = strdup(target != NULL ? target : "");
	d->st.nlink += S_ISDIR(attr->mode);
	add_entry(d, name, strlen(name), i);
	*ino = i;
	return 0;
}

static int m_truncate(struct domu_fs *fs, uint64_t ino, uint64_t size)
{
	int rc;
	struct node *n = get(fs, ino, &rc);

	if (n == NULL)
		return rc;
	n->data = realloc(n->data, size + 1);
	if (size > n->st.size)
		memset(n->data + n->st.size, 0, size - n->st.size);
	n->st.size = size;
	return 0;
}

static int m_write(struct domu_fs *fs, uint64_t ino, const void *buf, size_t len, uint64_t offset)
{
	int rc;
	struct node *n = get(fs, ino, &rc);

	if (n == NULL)
		return rc;
	if (offset + len > n->st.size)
		m_truncate(fs, ino, offset + len);
	memcpy(n->data + offset, buf, len);
	return 0;
}

static int m_link(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t ino)
{
	int rc;
	struct node *d = get_dir(fs, dir, &rc), *n = d != NULL ? get(fs, ino, &rc) : NULL;

	if (n == NULL)
		return rc;
	if (find(d, name) != NULL)
		return -EEXIST;
	add_entry(d, name, strlen(name), ino);
	n->st.nlink++;
	return 0;
}

static int drop(struct domu_fs *fs, uint64_t dir, const char *name, bool want_dir)
{
	struct memfs *m = fs->priv;
	int rc;
	struct node *d = get_dir(fs, dir, &rc), *n;
	struct entry *e = d != NULL ? find(d, name) : NULL;

	if (e == NULL)
		return rc != 0 ? rc : -ENOENT;
	n = &m->nodes[e->ino];
	if (S_ISDIR(n->st.mode) != want_dir)
		return want_dir ? -ENOTDIR : -EISDIR;
	if (want_dir && n->n_entries > 0)
		return -ENOTEMPTY;
	d->st.nlink -= want_dir;
	if (want_dir || --n->st.nlink == 0) {
		free(n->data);
		free(n->entries);
		memset(n, 0, sizeof *n);
	}
	*e = d->entries[--d->n_entries];
	return 0;
}

static int m_unlink(struct domu_fs *fs, uint64_t dir, const char *name)
{
	return drop(fs, dir, name, false);
}

static int m_rmdir(struct domu_fs *fs, uint64_t dir, const char *name)
{
	return drop(fs, dir, name, true);
}

static int m_rename(struct domu_fs *fs, uint64_t dir, const char *name, uint64_t newdir, const char *newname)
{
	struct memfs *m = fs->priv;
	int rc;
	struct node *d = get_dir(fs, dir, &rc), *to = d != NULL ? get_dir(fs, newdir, &rc) : NULL;
	struct entry *e = to != NULL ? find(d, name) : NULL;
	uint64_t ino;

	if (e == NULL)
		return rc != 0 ? rc : -ENOENT;
	ino = e->ino;
	if (find(to, newname) != NULL)
		rc = drop(fs, newdir, newname, S_ISDIR(m->nodes[ino].st.mode));
	if (rc != 0)
		return rc;
	e = find(d, name);
	*e = d->entries[--d->n_entries];
	add_entry(to, newname, strlen(newname), ino);
	return 0;
}

static int m_setattr(struct domu_fs *fs, uint64_t ino, const struct domu_stat *st, unsigned mask)
{
	int rc;
	struct node *n = get(fs, ino, &rc);

	if (n == NULL)
		return rc;
	if (mask & DOMU_ATTR_MODE)
		n->st.mode = (n->st.mode & S_IFMT) | (st->mode & 07777);
	if (mask & DOMU_ATTR_UID)
		n->st.uid = st->uid;
	if (mask & DOMU_ATTR_GID)
		n->st.gid = st->gid;
	if (mask & DOMU_ATTR_MTIME)
		n->st.mtime = st->mtime;
	if (mask & DOMU_ATTR_ATIME)
		n->st.atime = st->atime;
	return 0;
}

static int m_removexattr(struct domu_fs *fs, uint64_t ino, const char *name)
{
	int rc;
	struct node *n = get(fs, ino, &rc);

	for (size_t i = 0; n != NULL && i < n->n_xattrs; i++) {
		if (strcmp(n->xattrs[i].name, name) == 0) {
			n->xattrs[i] = n->xattrs[--n->n_xattrs];
			return 0;
		}
	}
	return rc != 0 ? rc : -ENODATA;
}

static int m_setxattr(struct domu_fs *fs, uint64_t ino, const char *name, const void *value, size_t len)
{
	int rc;
	struct node *n = get(fs, ino, &rc);
	struct xattr *x;

	if (n == NULL)
		return rc;
	m_removexattr(fs, ino, name);
	if (n->n_xattrs == MAX_XATTRS || len > sizeof x->value)
		return -ENOSPC;
	x = &n->xattrs[n->n_xattrs++];
	memset(x, 0, sizeof *x);
	memcpy(x->name, name, strlen(name));
	memcpy(x->value, value, len);
	x->len = len;
	return 0;
}

static int m_check(struct domu_fs *fs, enum domu_check_mode mode, domu_line_fn fn, void *user, int *result)
{
	(void)fs;
	fn(user, "pass 1");
	fn(user, "pass 2");
	*result = mode == DOMU_CHECK_YES ? 1 : 0;
	return 0;
}

static const struct domu_fs_ops mem_ops = {
	.self_size = sizeof mem_ops,
	.name = "memfs",
	.close = m_close,
	.lookup = m_lookup,
	.subvolume = m_subvolume,
	.stat = m_stat,
	.readdir = m_readdir,
	.readlink = m_readlink,
	.read = m_read,
	.listxattr = m_listxattr,
	.statfs = m_statfs,
	.create = m_create,
	.write = m_write,
	.truncate = m_truncate,
	.link = m_link,
	.unlink = m_unlink,
	.rmdir = m_rmdir,
	.rename = m_rename,
	.setattr = m_setattr,
	.setxattr = m_setxattr,
	.removexattr = m_removexattr,
	.check = m_check,
};

struct domu_fs *memfs_share(struct domu_fs *from, struct domu_ctx *ctx)
{
	struct domu_fs *fs = calloc(1, sizeof *fs);

	*fs = *from;
	fs->ctx = ctx;
	((struct memfs *)fs->priv)->users++;
	return fs;
}

struct domu_fs *memfs_new(struct domu_ctx *ctx)
{
	struct domu_fs *fs = calloc(1, sizeof *fs);
	struct memfs *m = calloc(1, sizeof *m);

	m->users = 1;
	m->nodes[2].st = (struct domu_stat){ .ino = 2, .mode = S_IFDIR | 0755, .nlink = 2 };
	m->nodes[2].data = strdup("");
	fs->ops = &mem_ops;
	fs->ctx = ctx;
	fs->root = 2;
	fs->writable = true;
	fs->priv = m;
	memcpy(fs->probe.type, "mem", 4);
	return fs;
}

static uint64_t make(struct domu_fs *fs, const char *path, uint32_t mode, const char *target)
{
	struct domu_stat attr = { .mode = mode };
	uint64_t dir = fs->root, ino = 0;
	char copy[4096], *name = copy, *slash;

	memcpy(copy, path + 1, strlen(path));
	while ((slash = strchr(name, '/')) != NULL) {
		*slash = '\0';
		if (m_lookup(fs, dir, name, &dir) != 0)
			abort();
		name = slash + 1;
	}
	if (m_create(fs, dir, name, &attr, target, &ino) != 0)
		abort();
	return ino;
}

uint64_t memfs_dir(struct domu_fs *fs, const char *path)
{
	return make(fs, path, S_IFDIR | 0755, NULL);
}

uint64_t memfs_file(struct domu_fs *fs, const char *path, const char *content)
{
	uint64_t ino = make(fs, path, S_IFREG | 0644, NULL);

	m_write(fs, ino, content, strlen(content), 0);
	return ino;
}

uint64_t memfs_link(struct domu_fs *fs, const char *path, const char *target)
{
	return make(fs, path, S_IFLNK | 0777, target);
}

void memfs_raw_entry(struct domu_fs *fs, const char *dir, const char *name, uint64_t ino)
{
	struct memfs *m = fs->priv;
	uint64_t at = fs->root;

	if (strcmp(dir, "/") != 0 && m_lookup(fs, fs->root, dir + 1, &at) != 0)
		abort();
	add_entry(&m->nodes[at], name, strlen(name), ino);
}

void memfs_subvolume(struct domu_fs *fs, unsigned id, uint64_t ino)
{
	struct memfs *m = fs->priv;

	m->subvol[DOMU_SUBVOL_TOP] = fs->root;
	m->subvol[id] = ino;
}

void memfs_break(struct domu_fs *fs, uint64_t ino, int err)
{
	((struct memfs *)fs->priv)->nodes[ino].broken = err;
}

/* ---- trees over it --------------------------------------------------------------------- */

struct domu_block *memfs_disk(struct domu_ctx *ctx, const char *vdev, const char *label, int *fd)
{
	char path[] = "/tmp/memfs-XXXXXX";
	struct domu_block *disk;
	int status;
	pid_t pid;

	*fd = mkstemp(path);
	cr_assert_geq(*fd, 0);
	cr_assert_eq(ftruncate(*fd, 1 << 20), 0);
	pid = fork();
	if (pid == 0) {
		execlp("mke2fs", "mke2fs", "-q", "-F", "-L", label, path, (char *)NULL);
		_exit(127);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
	unlink(path);
	cr_assert_eq(domu_raw_open(ctx, *fd, vdev, 0, 0, &disk), 0);
	return disk;
}

int memfs_open(void *user, const struct domu_node *node, unsigned flags, struct domu_fs **fs)
{
	struct domu_fs *mem = ((struct domu_fs **)user)[node->disk];

	(void)flags;
	*fs = memfs_share(mem, mem->ctx);
	return 0;
}

void memfs_say(void *user, enum domu_level level, const char *text)
{
	char *said = user;
	size_t len = strlen(said);

	if (level >= DOMU_WARNING)
		snprintf(said + len, MEMFS_SAID - len, "%s\n", text);
}
