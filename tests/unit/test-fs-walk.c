/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fs-walk.c - paths across mounts and links that never leave the guest, and walks that always end. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memfs.h"

enum { ROOT, HOME, DATA, DISKS };

static struct domu_ctx ctx;
static struct domu_block *disks[DISKS];
static int fds[DISKS];
static struct domu_fs *mem[DISKS];
static struct domu_tree *tree;
static struct domu_path at;
static char said[MEMFS_SAID];

static const char *const vdevs[DISKS] = { "xvda1", "xvda2", "xvdb" };
static const char *const labels[DISKS] = { "root", "home", "data" };

static void fill(void)
{
	struct domu_fs *r = mem[ROOT], *h = mem[HOME], *d = mem[DATA];

	memfs_dir(r, "/etc");
	memfs_dir(r, "/usr");
	memfs_dir(r, "/usr/sbin");
	memfs_file(r, "/usr/sbin/init", "#!");
	memfs_link(r, "/sbin", "usr/sbin");
	memfs_dir(r, "/home");
	memfs_file(r, "/home/hidden", "under the mount");
	memfs_dir(r, "/srv");
	memfs_dir(r, "/srv/data");
	memfs_dir(r, "/a");
	memfs_dir(r, "/a/b");
	memfs_file(r, "/a/b/file", "x");
	memfs_link(r, "/abs", "/a/b");
	memfs_link(r, "/climb", "../../../../a/b/file");
	memfs_link(r, "/deep", "a/./b/../b/file");
	memfs_link(r, "/loop1", "loop2");
	memfs_link(r, "/loop2", "loop1");
	memfs_link(r, "/self", "/self");
	memfs_link(r, "/dangling", "a/none");
	memfs_link(r, "/tohome", "home/user");
	memfs_link(r, "/a/b/up", "..");
	memfs_dir(h, "/user");
	memfs_file(h, "/user/f", "home");
	memfs_link(h, "/user/out", "../../etc");
	memfs_link(h, "/user/abs", "/a/b/file");
	memfs_dir(h, "/user/mnt");
	memfs_dir(d, "/sub");
}

static void open_tree(const char *fstab, const struct domu_tree_opts *more)
{
	static const struct domu_tree_hooks hooks = { .appliance = memfs_open, .user = mem };
	struct domu_tree_opts opts = { .engine_guestfs = true };

	if (more != NULL)
		opts = *more;
	if (fstab != NULL)
		memfs_file(mem[ROOT], "/etc/fstab", fstab);
	cr_assert_eq(domu_tree_open(&ctx, disks, DISKS, &opts, &hooks, &tree), 0);
}

static void setup(void)
{
	domu_ctx_init(&ctx);
	ctx.cb.message = memfs_say;
	ctx.cb.user = said;
	for (int i = 0; i < DISKS; i++) {
		disks[i] = memfs_disk(&ctx, vdevs[i], labels[i], &fds[i]);
		mem[i] = memfs_new(&ctx);
	}
	fill();
}

static void teardown(void)
{
	cr_assert_eq(domu_tree_close(tree), 0);
	for (int i = 0; i < DISKS; i++) {
		domu_fs_close(mem[i]);
		cr_assert_eq(domu_block_close(disks[i]), 0);
		close(fds[i]);
	}
	domu_ctx_free(&ctx);
}

#define FSTAB                                       \
	"# <file system> <mount point>\n"           \
	"LABEL=root / ext4 defaults 0 1\n"          \
	"proc /proc proc defaults 0 0\n"            \
	"/dev/xvdc none swap sw 0 0\n"              \
	"LABEL=home\t/home//./ ext4 defaults 0 2\n" \
	"/dev/sdb /srv/data auto nofail 0 2\n"      \
	"/dev/xvdb /mnt ext4 noauto 0 2\n"          \
	"server:/export /net nfs defaults 0 0\n"    \
	"/srv /bind none bind 0 0\n"                \
	"/dev/sr0 /cdrom iso9660 ro 0 0\n"          \
	"UUID=0000-1111 /gone ext4 defaults 0 2\n"  \
	"nonsense\n"

/* Resolves and compares: the path, or a failure's name. */
static void walk(const char *cwd, const char *path, unsigned flags, int rc, const char *want)
{
	int got;

	domu_error_clear(&ctx);
	got = domu_path_walk(tree, cwd, path, flags, &at);
	cr_assert_eq(got, rc, "%s: %d, not %d (%s)", path, got, rc, ctx.error.message ? ctx.error.message : "");
	if (rc == 0)
		cr_assert_str_eq(at.path, want, "%s is %s, not %s", path, at.path, want);
	else if (want != NULL)
		cr_assert_str_eq(ctx.error.message, want);
}

Test(walk, paths_as_the_kernel_resolves_them, .init = setup, .fini = teardown)
{
	open_tree(FSTAB, NULL);
	walk("/", "/", 0, 0, "/");
	walk("/", "//a///b//file", 0, 0, "/a/b/file");
	walk("/", "/..", 0, 0, "/");
	walk("/", "/../../a/../a/b/.", 0, 0, "/a/b");
	walk("/a", "b/file", 0, 0, "/a/b/file");
	walk("/a/b", "../..", 0, 0, "/");
	walk("/abs", "..", 0, 0, "/a");
	walk("/", "abs/file", 0, 0, "/a/b/file");
	walk("/", "climb", 0, 0, "/a/b/file");
	walk("/", "deep", 0, 0, "/a/b/file");
	walk("/", "deep", DOMU_WALK_NOFOLLOW, 0, "/deep");
	cr_assert(S_ISLNK(at.st.mode));
	walk("/", "abs/", DOMU_WALK_NOFOLLOW, 0, "/a/b");
	walk("/", "a/b/up/b/up/b/file", 0, 0, "/a/b/file");
	cr_assert_str_eq(at.name, "file");
	walk("/", "a/b", 0, 0, "/a/b");
	cr_assert_str_eq(at.name, "b");
	cr_assert_neq(at.dir, at.ino);
}

Test(walk, what_does_not_resolve_says_which_part, .init = setup, .fini = teardown)
{
	open_tree(FSTAB, NULL);
	walk("/", "a/none/x", 0, -ENOENT, "/a/none: no such file or directory");
	cr_assert_eq(ctx.error.status, DOMU_NOTFOUND);
	walk("/", "a/b/file/x", 0, -ENOTDIR, "/a/b/file: not a directory");
	walk("/", "a/b/file/", 0, -ENOTDIR, "/a/b/file: not a directory");
	walk("/", "a/b/file/..", 0, -ENOTDIR, NULL);
	walk("/", "loop1", 0, -ELOOP, NULL);
	walk("/", "self/x", 0, -ELOOP, NULL);
	walk("/", "loop1", DOMU_WALK_NOFOLLOW, 0, "/loop1");
	walk("/", "dangling", 0, -ENOENT, "/a/none: no such file or directory");
	walk("/", "", 0, -ENOENT, NULL);
	walk("/a/b/file", "x", 0, -ENOTDIR, NULL);
}

Test(walk, a_parent_that_exists_is_enough_where_asked, .init = setup, .fini = teardown)
{
	uint64_t dir;

	open_tree(FSTAB, NULL);
	walk("/", "a", 0, 0, "/a");
	dir = at.ino;
	walk("/", "a/new", DOMU_WALK_PARENT, 0, "/a/new");
	cr_assert(at.ino == 0 && at.dir == dir && !at.slash);
	cr_assert_str_eq(at.name, "new");
	walk("/", "a/new/", DOMU_WALK_PARENT, 0, "/a/new");
	cr_assert(at.slash);
	walk("/", "dangling", DOMU_WALK_PARENT, 0, "/a/none");
	cr_assert(at.ino == 0 && at.dir == dir);
	walk("/", "dangling", DOMU_WALK_PARENT | DOMU_WALK_NOFOLLOW, 0, "/dangling");
	cr_assert_neq(at.ino, 0);
	walk("/", "none/new", DOMU_WALK_PARENT, -ENOENT, NULL);
	walk("/", "a/b/file/new", DOMU_WALK_PARENT, -ENOTDIR, NULL);
}

Test(walk, names_and_paths_have_limits, .init = setup, .fini = teardown)
{
	char name[300], path[5000];

	open_tree(FSTAB, NULL);
	memset(name, 'n', 255);
	name[255] = '\0';
	walk("/", name, 0, -ENOENT, NULL);
	memfs_file(mem[ROOT], "/nn", "");
	snprintf(path, sizeof path, "/%s", name);
	memfs_file(mem[ROOT], path, "long");
	walk("/", name, 0, 0, path);
	memset(name, 'n', 256);
	name[256] = '\0';
	walk("/", name, 0, -ENAMETOOLONG, NULL);
	memset(path, '/', 4095);
	path[4095] = '\0';
	walk("/", path, 0, 0, "/");
	memset(path, '/', 4096);
	path[4096] = '\0';
	walk("/", path, 0, -ENAMETOOLONG, NULL);
}

Test(walk, links_are_counted_as_linux_counts, .init = setup, .fini = teardown)
{
	char path[32], target[32];

	open_tree(FSTAB, NULL);
	memfs_file(mem[ROOT], "/l0", "end");
	for (int i = 1; i <= 41; i++) {
		snprintf(path, sizeof path, "/l%d", i);
		snprintf(target, sizeof target, "l%d", i - 1);
		memfs_link(mem[ROOT], path, target);
	}
	walk("/", "l40", 0, 0, "/l0");
	walk("/", "l41", 0, -ELOOP, NULL);
}

Test(walk, mounts_of_fstab_are_crossed, .init = setup, .fini = teardown)
{
	const struct domu_mount *m;
	size_t n;

	open_tree(FSTAB, NULL);
	cr_assert_eq(domu_tree_mounts(tree, &m, &n), 0);
	cr_assert_eq(n, 4);
	cr_assert_str_eq(m[0].target, "/");
	cr_assert_str_eq(m[1].target, "/home");
	cr_assert_str_eq(m[2].target, "/bind");
	cr_assert(m[2].bind);
	cr_assert_str_eq(m[3].target, "/srv/data");
	cr_assert_str_eq(said, "/etc/fstab: UUID=0000-1111, for /gone, is on no disk of the guest\n");
	walk("/", "/home", 0, 0, "/home");
	cr_assert_str_eq(m[at.mount].target, "/home");
	cr_assert_str_eq(at.name, "/");
	cr_assert_eq(at.dir, at.ino);
	walk("/", "/home/hidden", 0, -ENOENT, NULL);
	walk("/", "/home/user/f", 0, 0, "/home/user/f");
	walk("/", "/home/..", 0, 0, "/");
	cr_assert_eq(at.mount, 0);
	walk("/home/user", "../../etc", 0, 0, "/etc");
	walk("/", "/home/user/out/fstab", 0, 0, "/etc/fstab");
	walk("/", "/home/user/abs", 0, 0, "/a/b/file");
	walk("/", "tohome/f", 0, 0, "/home/user/f");
	walk("/", "tohome/../../home/user/../../srv/data/sub", 0, 0, "/srv/data/sub");
	walk("/", "/home/new", DOMU_WALK_PARENT, 0, "/home/new");
	cr_assert_eq(at.mount, 1);
}

Test(walk, mounts_nest, .init = setup, .fini = teardown)
{
	open_tree("LABEL=data /home/user/mnt ext4 defaults 0 0\n"
	          "LABEL=home /home ext4 defaults 0 0\n",
	          NULL);
	walk("/", "/home/user/mnt/sub", 0, 0, "/home/user/mnt/sub");
	cr_assert_eq(at.mount, 2);
	walk("/", "/home/user/mnt/sub/../..", 0, 0, "/home/user");
	cr_assert_eq(at.mount, 1);
	cr_assert_str_eq(said, "");
}

Test(walk, a_missing_mount_point_is_a_warning, .init = setup, .fini = teardown)
{
	open_tree("LABEL=data /nowhere ext4 defaults 0 0\n", NULL);
	walk("/", "/a", 0, 0, "/a");
	cr_assert_str_eq(said, "/etc/fstab: LABEL=data cannot be mounted: there is no directory /nowhere\n");
}

Test(walk, a_mount_inside_itself_is_entered_once, .init = setup, .fini = teardown)
{
	memfs_dir(mem[HOME], "/in");
	open_tree("LABEL=home /home ext4 defaults 0 0\nLABEL=home /home/in ext4 defaults 0 0\n", NULL);
	walk("/", "/home/in/user/f", 0, 0, "/home/in/user/f");
	cr_assert_eq(at.mount, 2);
	walk("/", "/home/in/in", 0, 0, "/home/in/in");
	cr_assert_eq(at.mount, 2);
	cr_assert_str_eq(at.name, "in");
}

Test(walk, of_two_mounts_on_one_directory_the_last_counts, .init = setup, .fini = teardown)
{
	open_tree("LABEL=home /srv/data ext4 defaults 0 0\nLABEL=data /srv/data ext4 defaults 0 0\n", NULL);
	walk("/", "/srv/data/sub", 0, 0, "/srv/data/sub");
	walk("/", "/srv/data/user", 0, -ENOENT, NULL);
	cr_assert_str_eq(said, "");
}

Test(walk, bind_mounts_show_a_directory_again, .init = setup, .fini = teardown)
{
	memfs_dir(mem[ROOT], "/var");
	memfs_dir(mem[ROOT], "/var/www");
	memfs_dir(mem[ROOT], "/same");
	open_tree("LABEL=home /home ext4 defaults 0 0\n"
	          "/home/user /var/www none bind 0 0\n"
	          "LABEL=data /home/user/mnt ext4 defaults 0 0\n"
	          "/same /same none bind 0 0\n"
	          "/nowhere /a none bind 0 0\n",
	          NULL);
	walk("/", "/var/www/f", 0, 0, "/var/www/f");
	walk("/", "/var/www/..", 0, 0, "/var");
	walk("/", "/home/user/mnt/sub", 0, 0, "/home/user/mnt/sub");
	/* What is mounted below is not bound with it. */
	walk("/", "/var/www/mnt/sub", 0, -ENOENT, NULL);
	walk("/", "/same", 0, 0, "/same");
	cr_assert_str_eq(said, "");
	walk("/", "/a/b/file", 0, 0, "/a/b/file");
	cr_assert_str_eq(said, "/etc/fstab: /nowhere cannot be bound to /a: there is no such directory\n");
}

Test(walk, bind_mounts_of_each_other_end, .init = setup, .fini = teardown, .timeout = 600)
{
	memfs_dir(mem[ROOT], "/one");
	memfs_dir(mem[ROOT], "/two");
	open_tree("/two /one none bind 0 0\n/one /two none bind 0 0\n", NULL);
	walk("/", "/one", 0, 0, "/one");
	walk("/", "/two", 0, 0, "/two");
}

Test(walk, octal_in_fstab_and_udev_names, .init = setup, .fini = teardown)
{
	memfs_dir(mem[ROOT], "/with space");
	open_tree("/dev/disk/by-label/da\\x74a /with\\040space ext4 defaults 0 0\n", NULL);
	walk("/", "/with space/sub", 0, 0, "/with space/sub");
}

Test(walk, use_makes_one_filesystem_the_root_and_mounts_nothing, .init = setup, .fini = teardown)
{
	struct domu_tree_opts opts = { .engine_guestfs = true, .use = "sda2" };

	open_tree(FSTAB, &opts);
	walk("/", "/user/f", 0, 0, "/user/f");
	walk("/", "/user/out", 0, -ENOENT, "/etc: no such file or directory");
}

Test(walk, devices_by_any_of_their_names, .init = setup, .fini = teardown)
{
	size_t node;

	open_tree(FSTAB, NULL);
	cr_assert_eq(domu_tree_find(tree, "xvdb", &node), 0);
	cr_assert_eq(node, 2);
	cr_assert_eq(domu_tree_find(tree, "/dev/hda2", &node), 0);
	cr_assert_eq(node, 1);
	cr_assert_eq(domu_tree_find(tree, "LABEL=\"home\"", &node), 0);
	cr_assert_eq(node, 1);
	cr_assert_lt(domu_tree_find(tree, "xvdz", &node), 0);
	cr_assert_eq(ctx.error.status, DOMU_NOTFOUND);
	cr_assert_str_eq(ctx.error.message, "xvdz: no such device in GUEST; it has xvda1, xvda2, xvdb");
}

/* ---- the root ---------------------------------------------------------------------- */

Test(root, the_one_that_looks_like_one, .init = setup, .fini = teardown)
{
	size_t node;

	open_tree(FSTAB, NULL);
	cr_assert_eq(domu_tree_root(tree, &node), 0);
	cr_assert_eq(node, 0);
}

Test(root, the_config_s_word_counts_more, .init = setup, .fini = teardown)
{
	struct domu_tree_opts opts = { .engine_guestfs = true, .root_hint = "/dev/sdb ro quiet" };
	size_t node;

	open_tree(FSTAB, &opts);
	cr_assert_eq(domu_tree_root(tree, &node), 0);
	cr_assert_eq(node, 2);
}

Test(root, a_hint_that_names_nothing_is_a_warning, .init = setup, .fini = teardown)
{
	struct domu_tree_opts opts = { .engine_guestfs = true, .root_hint = "UUID=1-2-3" };
	size_t node;

	open_tree(FSTAB, &opts);
	cr_assert_eq(domu_tree_root(tree, &node), 0);
	cr_assert_eq(node, 0);
	cr_assert_str_eq(said, "the config says root=UUID=1-2-3, which is no filesystem of GUEST\n");
}

Test(root, several_are_named, .init = setup, .fini = teardown)
{
	size_t node;

	memfs_dir(mem[DATA], "/etc");
	memfs_file(mem[DATA], "/etc/fstab", "");
	memfs_dir(mem[DATA], "/sbin");
	memfs_link(mem[DATA], "/sbin/init", "/lib/systemd/systemd");
	open_tree(FSTAB, NULL);
	cr_assert_lt(domu_tree_root(tree, &node), 0);
	cr_assert_eq(ctx.error.status, DOMU_USAGE);
	cr_assert(strstr(ctx.error.message, "xvda1") != NULL && strstr(ctx.error.message, "xvdb") != NULL &&
	          strstr(ctx.error.message, "GUEST@xvda1") != NULL);
}

Test(root, none_among_several_is_a_question, .init = setup, .fini = teardown)
{
	size_t node;

	open_tree(NULL, NULL);
	cr_assert_lt(domu_tree_root(tree, &node), 0);
	cr_assert_eq(ctx.error.status, DOMU_USAGE);
	cr_assert(strstr(ctx.error.message, "xvda2") != NULL);
}

/* ---- walks ------------------------------------------------------------------------- */

struct seen {
	char text[65536];
	size_t len;
	unsigned n, errors;
	const char *prune;
};

static int note(void *user, const struct domu_walk_entry *e)
{
	struct seen *s = user;

	s->n++;
	s->errors += e->err != 0;
	if (s->len < sizeof s->text - 8192)
		s->len += (size_t)snprintf(s->text + s->len, sizeof s->text - s->len, "%s%s\n", e->path,
		                           e->err != 0 ? "!" : "");
	return s->prune != NULL && strcmp(e->where->name, s->prune) == 0 ? DOMU_WALK_PRUNE : DOMU_WALK_GO;
}

static struct seen seen;

static const char *walk_all(const char *from, const char *shown, struct domu_walk_opts opts)
{
	memset(&seen, 0, offsetof(struct seen, prune));
	walk("/", from, 0, 0, from);
	cr_assert_eq(domu_walk_tree(tree, &at, shown, &opts, note, &seen), 0);
	cr_assert_eq(ctx.error.status, DOMU_OK);
	return seen.text;
}

Test(walktree, depth_first_and_sorted, .init = setup, .fini = teardown)
{
	open_tree(FSTAB, NULL);
	cr_assert_str_eq(walk_all("/a", "a", (struct domu_walk_opts){ .max_depth = ~0u }),
	                 "a\na/b\na/b/file\na/b/up\n");
	cr_assert_str_eq(walk_all("/a", "/a", (struct domu_walk_opts){ .max_depth = ~0u, .post_order = true }),
	                 "/a/b/file\n/a/b/up\n/a/b\n/a\n");
	cr_assert_str_eq(walk_all("/a", "x", (struct domu_walk_opts){ .max_depth = 1 }), "x\nx/b\n");
	cr_assert_str_eq(walk_all("/a", "x", (struct domu_walk_opts){ .max_depth = 0 }), "x\n");
	seen.prune = "b";
	cr_assert_str_eq(walk_all("/a", "x", (struct domu_walk_opts){ .max_depth = ~0u }), "x\nx/b\n");
	cr_assert_str_eq(walk_all("/a/b/file", "f", (struct domu_walk_opts){ .max_depth = ~0u }), "f\n");
}

Test(walktree, crosses_mounts_unless_told_not_to, .init = setup, .fini = teardown)
{
	open_tree(FSTAB, NULL);
	cr_assert_not_null(strstr(walk_all("/", "/", (struct domu_walk_opts){ .max_depth = ~0u }), "\n/home/user/f\n"));
	cr_assert_null(strstr(seen.text, "hidden"));
	walk_all("/", "/", (struct domu_walk_opts){ .max_depth = ~0u, .one_fs = true });
	cr_assert_not_null(strstr(seen.text, "\n/home\n"));
	cr_assert_null(strstr(seen.text, "/home/user"));
}

Test(walktree, damage_is_entries_not_the_end, .init = setup, .fini = teardown)
{
	uint64_t b;

	open_tree(FSTAB, NULL);
	walk("/", "/a/b", 0, 0, "/a/b");
	b = at.ino;
	memfs_raw_entry(mem[ROOT], "/a", "bad", 4000);
	memfs_break(mem[ROOT], b, -EIO);
	cr_assert_str_eq(walk_all("/a", "a", (struct domu_walk_opts){ .max_depth = ~0u }), "a\na/b!\na/bad!\n");
}

Test(walktree, a_directory_in_itself_ends, .init = setup, .fini = teardown, .timeout = 600)
{
	uint64_t a, b;

	open_tree(FSTAB, NULL);
	walk("/", "/a", 0, 0, "/a");
	a = at.ino;
	memfs_raw_entry(mem[ROOT], "/a", "again", a);
	memfs_raw_entry(mem[ROOT], "/a", "root", 2);
	walk_all("/a", "a", (struct domu_walk_opts){ .max_depth = ~0u });
	cr_assert_not_null(strstr(seen.text, "a/again!\n"));
	/* Each level holds the next one twice: 2^40 paths, if a directory could be walked again. */
	b = memfs_dir(mem[ROOT], "/dag");
	for (int i = 0; i < 40; i++) {
		uint64_t next;
		struct domu_stat attr = { .mode = S_IFDIR | 0755 };

		cr_assert_eq(domu_fs_create(mem[ROOT], b, "x", &attr, NULL, &next), 0);
		cr_assert_eq(domu_fs_link(mem[ROOT], b, "y", next), 0);
		b = next;
	}
	walk_all("/dag", "d", (struct domu_walk_opts){ .max_depth = ~0u });
	cr_assert_leq(seen.n, 41 + 40 * 2);
}

Test(walktree, a_very_deep_tree_ends_in_an_error_entry, .init = setup, .fini = teardown, .timeout = 600)
{
	uint64_t dir = memfs_dir(mem[ROOT], "/deepest");

	open_tree(FSTAB, NULL);
	for (int i = 0; i < 2500; i++) {
		struct domu_stat attr = { .mode = S_IFDIR | 0755 };

		cr_assert_eq(domu_fs_create(mem[ROOT], dir, "d", &attr, NULL, &dir), 0);
	}
	walk_all("/deepest", "d", (struct domu_walk_opts){ .max_depth = ~0u });
	cr_assert_eq(seen.errors, 1);
	cr_assert_gt(seen.n, 2000);
}

Test(walk, one_attribute_of_an_inode, .init = setup, .fini = teardown)
{
	struct domu_fs *fs = mem[ROOT];
	uint64_t ino = memfs_file(fs, "/attr", "x");
	char *value = NULL;
	size_t len;

	cr_assert_eq(domu_fs_setxattr(fs, ino, "user.first", "one", 3), 0);
	cr_assert_eq(domu_fs_setxattr(fs, ino, "user.empty", "", 0), 0);
	cr_assert_eq(domu_fs_setxattr(fs, ino, "user.bytes", "a\0b", 3), 0);
	cr_assert_eq(domu_fs_getxattr(fs, ino, "user.bytes", 3, &value, &len), 0);
	cr_assert(len == 3 && memcmp(value, "a\0b", 4) == 0);
	free(value);
	cr_assert_eq(domu_fs_getxattr(fs, ino, "user.empty", 0, &value, &len), 0);
	cr_assert(len == 0 && value[0] == '\0');
	free(value);
	cr_assert_eq(domu_fs_getxattr(fs, ino, "user.bytes", 2, &value, &len), -ERANGE);
	cr_assert_null(value);
	cr_assert_eq(domu_fs_getxattr(fs, ino, "user.byte", 3, &value, &len), -ENODATA);
	cr_assert_null(value);
	cr_assert_eq(domu_fs_getxattr(fs, ino, "user.first", SIZE_MAX, NULL, NULL), 0);
	cr_assert_eq(domu_fs_getxattr(fs, ino, "user.gone", SIZE_MAX, NULL, NULL), -ENODATA);
	cr_assert_eq(ctx.error.status, DOMU_OK);
	memfs_break(fs, ino, -EUCLEAN);
	cr_assert_eq(domu_fs_getxattr(fs, ino, "user.first", 9, &value, &len), -EUCLEAN);
	cr_assert_null(value);
}
