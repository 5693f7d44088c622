/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fs-tree.c - whole guests made by sfdisk and mke2fs: every path leads where the kernel says it does. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/plugins.h"
#include "fs/fs.h"
#include "tests/unit/own-mounts.h"

static struct domu_ctx ctx;
static char dir[64];
static struct domu_block *disks[4];
static int fds[4];
static size_t n_disks;
static struct domu_tree *tree;
static char said[4096];

static int sh(const char *fmt, ...) DOMU_PRINTF(1, 2);
static int sh(const char *fmt, ...)
{
	char cmd[8192], whole[8400];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof whole, "cd %s && { %s\n} >out 2>&1", dir, cmd);
	status = system(whole);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void keep_message(void *user, enum domu_level level, const char *text)
{
	size_t len = strlen(said);

	(void)user;
	if (level >= DOMU_WARNING)
		snprintf(said + len, sizeof said - len, "%s\n", text);
}

static void setup(void)
{
	domu_ctx_init(&ctx);
	ctx.cb.message = keep_message;
	domu_plugin_dir_set(BUILDDIR "/plugins");
	cr_assert_eq(domu_plugins_load(&ctx, DOMU_PLUGIN_FS), 0);
	snprintf(dir, sizeof dir, "/tmp/domu-tree-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void close_tree(void)
{
	cr_assert_eq(domu_tree_close(tree), 0);
	tree = NULL;
	while (n_disks > 0) {
		n_disks--;
		domu_block_close(disks[n_disks]);
		close(fds[n_disks]);
	}
}

static void teardown(void)
{
	close_tree();
	sh("rm -rf %s", dir);
	domu_ctx_free(&ctx);
}

static void add_disk(const char *file, const char *vdev)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, file);
	fds[n_disks] = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fds[n_disks], 0);
	cr_assert_eq(domu_raw_open(&ctx, fds[n_disks], vdev, 0, 0, &disks[n_disks]), 0);
	n_disks++;
}

static int run_replay(void *user, const struct domu_node *node)
{
	++*(int *)user;
	return sh("e2fsck -p -E journal_only disk.img") <= 1 && node->disk == 0 ? 0 : -EIO;
}

static int refresh(void *user, unsigned disk)
{
	(void)user;
	(void)disk;
	return 0;
}

static int replays;

static void start_tree(const struct domu_tree_opts *opts)
{
	static const struct domu_tree_hooks hooks = { .replay = run_replay, .refresh = refresh, .user = &replays };

	cr_assert_eq(domu_tree_open(&ctx, disks, n_disks, opts, &hooks, &tree), 0, "%s", ctx.error.message);
}

/* ---- layouts ----------------------------------------------------------------------- */

struct layout {
	const char *name, *table;
	unsigned root_start, home_start; /* MiB; root 0: no table, home is a disk of its own */
	const char *root, *home; /* as the tree names them */
	const char *mke2fs;
};

static const struct layout layouts[] = {
	{ "none", "", 0, 0, "xvda1", "xvda2", "-t ext3 -I 128" },
	{ "gpt", "label: gpt\nstart=1M size=12M\nstart=20M size=12M name=homes\n", 1, 20, "xvda1", "xvda2", "-t ext4" },
	{ "mbr", "label: dos\nstart=1M size=12M type=83\nstart=13M size=2M type=82\nstart=20M size=12M type=83\n", 1,
	  20, "xvda1", "xvda3", "-t ext2" },
	{ "logical",
	  "label: dos\nstart=1M size=2M type=82\nstart=3M size=36M type=5\nstart=4M size=12M type=83\nstart=20M "
	  "size=12M "
	  "type=83\n",
	  4, 20, "xvda5", "xvda6", "-t ext4 -b 4096" },
};

/* A root and a home that links lead between, every way there is. */
#define MAKE_TREES                                                                                                 \
	"mkdir -p r/etc r/usr/lib r/usr/sbin r/home r/a/b/c r/a/x r/srv h/user/sub h/a h/deep/er\n"                \
	"ln -s usr/sbin r/sbin; touch r/usr/sbin/init r/a/b/file r/a/b/c/file h/user/f h/user/sub/f\n"             \
	"printf 'UUID=%s / auto defaults 0 1\\nLABEL=home /home auto defaults 0 2\\n' $U >r/etc/fstab\n"           \
	"ln -s b/c r/a/l1; ln -s ../a/./b r/a/l2; ln -s /a/l1/.. r/l3; ln -s /home/user r/a/b/l4\n"                \
	"ln -s ../../../../../a r/srv/l5; ln -s l7 r/l6; ln -s l6 r/l7; ln -s nothing/there r/a/l8\n"              \
	"ln -s ../../a/l2/file h/user/l1; ln -s /etc/fstab h/user/l2; ln -s sub/../../deep h/user/l3\n"            \
	"ln -s ../../../../.. h/deep/er/l4; ln -s . h/user/l5; ln -s l5/l5/l5/sub h/user/l6; ln -s /home h/a/l7\n" \
	"ln -s b/file/ r/a/l9; ln -s b/ r/a/l10; ln -s / r/l11; ln -s .. r/l12; ln -s home/../../etc/ r/l13\n"     \
	"truncate -s 12M r.img h.img; mke2fs -q -F %s -U $U -d r r.img; mke2fs -q -F -t ext4 -L home -d h h.img\n"

static void make_guest(const struct layout *l)
{
	cr_assert_eq(sh("set -e; U=11111111-1111-4111-8111-111111111111\n" MAKE_TREES, "%s", l->mke2fs), 0);
	if (l->root_start == 0) {
		add_disk("r.img", l->root);
		add_disk("h.img", l->home);
		return;
	}
	cr_assert_eq(sh("set -e; truncate -s 40M disk.img; sfdisk -q disk.img <<'END'\n%sEND\n"
	                "dd if=r.img of=disk.img bs=1M seek=%u conv=notrunc; dd if=h.img of=disk.img bs=1M seek=%u "
	                "conv=notrunc",
	                l->table, l->root_start, l->home_start),
	             0);
	add_disk("disk.img", "xvda");
}

/* ---- the kernel's word ------------------------------------------------------------- */

static const char *const words[] = {
	"",    "..",   ".",   "etc", "fstab", "home", "user", "sub",  "f",   "a",    "b",  "c",
	"x",   "file", "l1",  "l2",  "l3",    "l4",   "l5",   "l6",   "l7",  "l8",   "l9", "l10",
	"l11", "l12",  "l13", "srv", "deep",  "er",   "sbin", "init", "usr", "none",
};

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static void make_path(char *path, size_t size)
{
	unsigned n = 1 + rnd(7);
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(path + len, size - len, "/%s", words[rnd(sizeof words / sizeof *words)]);
	if (rnd(5) == 0)
		snprintf(path + len, size - len, "/");
}

/* 0 and the path below mnt, or a negative errno. */
static int ask_kernel(int root, const char *mnt, const char *path, bool nofollow, char *out, size_t size, ino_t *ino)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC | (nofollow ? O_NOFOLLOW : 0), .resolve = RESOLVE_IN_ROOT };
	char link[64], full[8192];
	struct stat st;
	ssize_t n;
	int fd;

	do {
		fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
	} while (fd < 0 && errno == EAGAIN);
	if (fd < 0)
		return -errno;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, full, sizeof full - 1);
	cr_assert(n > 0 && fstat(fd, &st) == 0);
	full[n] = '\0';
	close(fd);
	*ino = st.st_ino;
	cr_assert_eq(strncmp(full, mnt, strlen(mnt)), 0);
	snprintf(out, size, "%s", full[strlen(mnt)] != '\0' ? full + strlen(mnt) : "/");
	return 0;
}

static void compare(int root, const char *mnt, unsigned count)
{
	static struct domu_path p;
	char path[512], want[8192];
	ino_t ino = 0;

	for (unsigned i = 0; i < count; i++) {
		bool nofollow = rnd(2) != 0;
		int rc, kernel;

		make_path(path, sizeof path);
		kernel = ask_kernel(root, mnt, path, nofollow, want, sizeof want, &ino);
		rc = domu_path_walk(tree, "/", path, nofollow ? DOMU_WALK_NOFOLLOW : 0, &p);
		cr_assert_eq(rc, kernel, "%s%s: %d, the kernel says %d", path, nofollow ? " (nofollow)" : "", rc,
		             kernel);
		if (rc == 0) {
			cr_assert_str_eq(p.path, want, "%s is %s, the kernel says %s", path, p.path, want);
			cr_assert_eq(p.ino, ino, "%s: another inode", path);
		}
		domu_error_clear(&ctx);
	}
}

static void one_layout(const struct layout *l)
{
	static const struct domu_tree_opts opts = { 0 };
	const struct domu_mount *m;
	const char *file = l->root_start == 0 ? "r.img" : "disk.img";
	char mnt[128];
	size_t n, node;
	int root;

	own_mounts();
	make_guest(l);
	start_tree(&opts);
	cr_assert_eq(domu_tree_root(tree, &node), 0, "%s", ctx.error.message);
	cr_assert_str_eq(domu_tree_nodes(tree)->v[node].name, l->root);
	cr_assert_eq(domu_tree_mounts(tree, &m, &n), 0);
	cr_assert_eq(n, 2);
	cr_assert_str_eq(domu_tree_nodes(tree)->v[m[1].node].name, l->home);
	snprintf(mnt, sizeof mnt, "%s/mnt", dir);
	if (sh("mkdir mnt; mount -o ro,loop,offset=%u,sizelimit=%u %s mnt && mount -o ro,loop,offset=%u,sizelimit=%u "
	       "%s "
	       "mnt/home",
	       l->root_start << 20, 12 << 20, file, l->home_start << 20, 12 << 20,
	       l->root_start == 0 ? "h.img" : "disk.img") != 0) {
		sh("umount mnt");
		cr_skip_test("no loop mounts here");
	}
	root = open(mnt, O_PATH | O_DIRECTORY | O_CLOEXEC);
	seed = 1;
	compare(root, mnt, 20000);
	close(root);
	cr_assert_eq(sh("umount mnt/home && umount mnt"), 0);
	cr_assert_str_eq(said, "");
}

Test(tree, paths_on_disks_without_a_table, .init = setup, .fini = teardown, .timeout = 600)
{
	one_layout(&layouts[0]);
}

Test(tree, paths_on_gpt, .init = setup, .fini = teardown, .timeout = 600)
{
	one_layout(&layouts[1]);
}

Test(tree, paths_on_mbr, .init = setup, .fini = teardown, .timeout = 600)
{
	one_layout(&layouts[2]);
}

Test(tree, paths_on_logical_partitions, .init = setup, .fini = teardown, .timeout = 600)
{
	one_layout(&layouts[3]);
}

/* ---- finding ------------------------------------------------------------------------- */

static void expect_node(const char *dev, const char *name)
{
	size_t node;

	domu_error_clear(&ctx);
	cr_assert_eq(domu_tree_find(tree, dev, &node), 0, "%s: %s", dev, ctx.error.message);
	cr_assert_str_eq(domu_tree_nodes(tree)->v[node].name, name, "%s", dev);
}

Test(tree, devices_by_all_their_names, .init = setup, .fini = teardown)
{
	char text[128];

	make_guest(&layouts[1]);
	start_tree(NULL);
	expect_node("xvda2", "xvda2");
	expect_node("sda2", "xvda2");
	expect_node("/dev/hda1", "xvda1");
	expect_node("LABEL=home", "xvda2");
	expect_node("UUID=11111111-1111-4111-8111-111111111111", "xvda1");
	expect_node("/dev/disk/by-uuid/11111111-1111-4111-8111-111111111111", "xvda1");
	expect_node("PARTLABEL=homes", "xvda2");
	expect_node("xvda", "xvda");
	for (size_t i = 1; i <= 2; i++) {
		snprintf(text, sizeof text, "PARTUUID=%s", domu_tree_nodes(tree)->v[i].partuuid);
		expect_node(text, domu_tree_nodes(tree)->v[i].name);
	}
}

Test(tree, two_with_one_label_are_ambiguous, .init = setup, .fini = teardown)
{
	size_t node;

	make_guest(&layouts[0]);
	cr_assert_eq(sh("cp h.img h2.img"), 0);
	add_disk("h2.img", "xvdb");
	start_tree(NULL);
	cr_assert_eq(domu_tree_find(tree, "LABEL=home", &node), -ENOTUNIQ);
	cr_assert_eq(ctx.error.status, DOMU_USAGE);
}

/* ---- what is no filesystem -------------------------------------------------------------- */

static void expect_refusal(const char *dev, enum domu_status status, const char *part)
{
	struct domu_fs *fs;
	size_t node;

	domu_error_clear(&ctx);
	cr_assert_eq(domu_tree_find(tree, dev, &node), 0);
	cr_assert_lt(domu_tree_fs(tree, node, &fs), 0);
	cr_assert_eq(ctx.error.status, status, "%s", ctx.error.message);
	cr_assert_not_null(strstr(ctx.error.message, part), "%s", ctx.error.message);
}

Test(tree, what_is_no_filesystem_is_said, .init = setup, .fini = teardown)
{
	cr_assert_eq(
	    sh("truncate -s 20M swap empty text part xfs; mkswap swap; yes 'disk = [ ]' | head -c 20M >text\n"
	       "printf 'label: gpt\\nsize=4M\\n' | sfdisk -q part; mkfs.xfs -q -f -d size=320m,file=1,name=xfs "
	       "|| true"),
	    0);
	add_disk("swap", "xvda1");
	add_disk("empty", "xvdb");
	add_disk("text", "xvdc");
	add_disk("part", "xvdd");
	start_tree(NULL);
	expect_refusal("xvda1", DOMU_UNSUPPORTED, "swap space");
	expect_refusal("xvdb", DOMU_NOTFOUND, "empty");
	expect_refusal("xvdc", DOMU_NOTFOUND, "no filesystem on it that is known");
	expect_refusal("xvdd", DOMU_NOTFOUND, "divided into partitions");
}

Test(tree, without_the_appliance_xfs_says_what_could, .init = setup, .fini = teardown)
{
	struct domu_path p;

	if (sh("mkfs.xfs -q -f -d size=320m,file=1,name=xfs.img") != 0)
		cr_skip_test("no mkfs.xfs here");
	add_disk("xfs.img", "xvda1");
	start_tree(NULL);
	cr_assert_lt(domu_path_walk(tree, "/", "/", 0, &p), 0);
	cr_assert_eq(ctx.error.status, DOMU_UNSUPPORTED);
	cr_assert_not_null(strstr(ctx.error.message, "libguestfs0"), "%s", ctx.error.message);
}

/* ---- the journal and the door -------------------------------------------------------------- */

Test(tree, a_journal_is_replayed_before_reading, .init = setup, .fini = teardown)
{
	struct domu_path p;

	cr_assert_eq(sh("truncate -s 12M disk.img; mke2fs -q -t ext4 disk.img; debugfs -w -R 'feature needs_recovery' "
	                "disk.img"),
	             0);
	add_disk("disk.img", "xvda1");
	start_tree(NULL);
	cr_assert_eq(domu_path_walk(tree, "/", "/lost+found", 0, &p), 0, "%s", ctx.error.message);
	cr_assert_eq(replays, 1);
}

Test(tree, in_use_it_is_read_as_it_is, .init = setup, .fini = teardown)
{
	struct domu_tree_opts opts = { .unreplayed = true };
	struct domu_path p;

	cr_assert_eq(sh("truncate -s 12M disk.img; mke2fs -q -t ext4 disk.img; debugfs -w -R 'feature needs_recovery' "
	                "disk.img"),
	             0);
	add_disk("disk.img", "xvda1");
	start_tree(&opts);
	cr_assert_eq(domu_path_walk(tree, "/", "/lost+found", 0, &p), 0, "%s", ctx.error.message);
	cr_assert_eq(replays, 0);
}

Test(tree, a_closed_door_names_the_commit_and_the_way_on, .init = setup, .fini = teardown)
{
	struct domu_tree_opts opts = { .guest = "web1" };
	const struct domu_fs_ops *ops = domu_fs_driver("ext4");
	char path[128];
	unsigned char sector[512];
	struct domu_path p;
	int fd;

	cr_assert_eq(sh("truncate -s 12M disk.img; mke2fs -q -t ext4 disk.img"), 0);
	snprintf(path, sizeof path, "%s/disk.img", dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_eq(pread(fd, sector, 512, 1024), 512);
	cr_assert_eq(ops->door_close(sector, 512, "20260102T030405-1a2b3c"), 0);
	cr_assert_eq(pwrite(fd, sector, 512, 1024), 512);
	close(fd);
	add_disk("disk.img", "xvda1");
	start_tree(&opts);
	cr_assert_lt(domu_path_walk(tree, "/", "/", 0, &p), 0);
	cr_assert_eq(ctx.error.status, DOMU_UNRECOVERED);
	cr_assert_str_eq(ctx.error.message,
	                 "xvda1: a commit (20260102T030405-1a2b3c) was cut short; run domu-rescue recover web1");
}

/* What libblkid calls members of something else, swap and tables; the same answer for every command. */
Test(types, what_is_no_filesystem)
{
	static const char *const others[] = { "",
		                              "unknown",
		                              "empty",
		                              "swap",
		                              "swsuspend",
		                              "dos",
		                              "gpt",
		                              "jbd",
		                              "LVM2_member",
		                              "linux_raid_member",
		                              "isw_raid_member",
		                              "zfs_member",
		                              "crypto_LUKS",
		                              "BitLocker",
		                              "bcache",
		                              "drbd",
		                              "DM_snapshot_cow" };
	static const char *const filesystems[] = { "ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "ntfs", "iso9660" };

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		cr_assert_not(domu_type_is_fs(others[i]), "%s", others[i]);
	for (size_t i = 0; i < sizeof filesystems / sizeof *filesystems; i++)
		cr_assert(domu_type_is_fs(filesystems[i]), "%s", filesystems[i]);
}
