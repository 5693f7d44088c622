/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fs-subvol.c - which subvolume is the guest's root, and those that its fstab mounts below. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memfs.h"

static struct domu_ctx ctx;
static struct domu_block *disk;
static int fd;
static struct domu_fs *mem;
static struct domu_tree *tree;
static struct domu_path at;
static char said[MEMFS_SAID];

/* A directory that looks like a root, and says in /me which one it is. */
static uint64_t make_root(const char *dir, const char *fstab)
{
	char path[64];
	uint64_t ino = dir[0] != '\0' ? memfs_dir(mem, dir) : mem->root;

	snprintf(path, sizeof path, "%s/etc", dir);
	memfs_dir(mem, path);
	snprintf(path, sizeof path, "%s/etc/fstab", dir);
	memfs_file(mem, path, fstab);
	snprintf(path, sizeof path, "%s/sbin", dir);
	memfs_dir(mem, path);
	snprintf(path, sizeof path, "%s/sbin/init", dir);
	memfs_file(mem, path, "#!");
	snprintf(path, sizeof path, "%s/home", dir);
	memfs_dir(mem, path);
	snprintf(path, sizeof path, "%s/me", dir);
	memfs_file(mem, path, dir);
	return ino;
}

static void setup(void)
{
	domu_ctx_init(&ctx);
	ctx.cb.message = memfs_say;
	ctx.cb.user = said;
	disk = memfs_disk(&ctx, "xvda", "root", &fd);
	mem = memfs_new(&ctx);
}

static void teardown(void)
{
	cr_assert_eq(domu_tree_close(tree), 0);
	domu_fs_close(mem);
	cr_assert_eq(domu_block_close(disk), 0);
	close(fd);
	domu_ctx_free(&ctx);
}

static void open_tree_of(const char *use, const char *root_hint)
{
	const struct domu_tree_hooks hooks = { .appliance = memfs_open, .user = &mem };
	struct domu_tree_opts opts = { .engine_guestfs = true, .use = use, .root_hint = root_hint };

	cr_assert_eq(domu_tree_open(&ctx, &disk, 1, &opts, &hooks, &tree), 0);
}

static void open_tree(const char *use)
{
	open_tree_of(use, NULL);
}

static void has(const char *path, const char *content)
{
	char *data;
	size_t len;
	int rc;

	domu_error_clear(&ctx);
	rc = domu_path_walk(tree, "/", path, 0, &at);
	cr_assert_eq(rc, 0, "%s: %d (%s)", path, rc, ctx.error.message != NULL ? ctx.error.message : "");
	cr_assert_eq(domu_fs_slurp(at.fs, at.ino, 1000, &data, &len), 0);
	cr_assert_str_eq(data, content);
	free(data);
}

static void has_not(const char *path)
{
	domu_error_clear(&ctx);
	cr_assert_eq(domu_path_walk(tree, "/", path, 0, &at), -ENOENT, "%s is there", path);
}

Test(subvol, the_default_one_is_the_root, .init = setup, .fini = teardown)
{
	make_root("/@", "");
	memfs_dir(mem, "/@/snapshots");
	memfs_subvolume(mem, 0, make_root("/@/snapshots/1", "LABEL=root / btrfs defaults 0 0\n"));
	open_tree(NULL);
	has("/me", "/@/snapshots/1");
	has("/../me", "/@/snapshots/1");
	has_not("/@");
	cr_assert_str_eq(said, "");
}

Test(subvol, where_that_holds_no_root_the_usual_names_do, .init = setup, .fini = teardown)
{
	make_root("/other", "");
	make_root("/@rootfs", "");
	memfs_subvolume(mem, 0, mem->root);
	open_tree(NULL);
	has("/me", "/@rootfs");
	cr_assert_str_eq(said, "");
}

Test(subvol, or_the_only_one_that_is_a_root, .init = setup, .fini = teardown)
{
	memfs_dir(mem, "/@");
	make_root("/system", "");
	memfs_subvolume(mem, 0, mem->root);
	open_tree(NULL);
	has("/me", "/system");
}

Test(subvol, of_several_none_is_guessed, .init = setup, .fini = teardown)
{
	make_root("/one", "");
	make_root("/two", "");
	memfs_subvolume(mem, 0, mem->root);
	open_tree(NULL);
	has("/one/me", "/one");
}

Test(subvol, what_fstab_says_of_the_root_is_the_root, .init = setup, .fini = teardown)
{
	memfs_subvolume(mem, 0, make_root("/@", "LABEL=root / btrfs rw,subvol=/@new,noatime 0 0\n"));
	make_root("/@new", "LABEL=root / btrfs subvol=@new 0 0\nLABEL=root /home btrfs subvol=@/home 0 0\n");
	memfs_file(mem, "/@/home/file", "at home");
	open_tree(NULL);
	has("/me", "/@new");
	has("/home/file", "at home");
	cr_assert_str_eq(said, "");
}

Test(subvol, unless_no_root_is_there, .init = setup, .fini = teardown)
{
	make_root("/@", "LABEL=root / btrfs subvol=@gone 0 0\n");
	memfs_subvolume(mem, 0, mem->root);
	open_tree(NULL);
	has("/me", "/@");
	has("/me", "/@");
	cr_assert_str_eq(said, "/etc/fstab: / is subvol=@gone of LABEL=root, where no root is: it is left out\n");
}

Test(subvol, fstab_mounts_them_by_path_and_by_number, .init = setup, .fini = teardown)
{
	make_root("/@", "LABEL=root / btrfs subvol=@ 0 0\n"
	                "LABEL=root /home btrfs subvol=vol/home,compress=zstd 0 0\n"
	                "LABEL=root /etc/byid btrfs subvolid=7 0 0\n"
	                "LABEL=root /etc/top btrfs subvolid=5 0 0\n"
	                "LABEL=root /etc/gone btrfs subvolid=3 0 0\n"
	                "LABEL=root /etc/again btrfs defaults 0 0\n");
	memfs_dir(mem, "/@/etc/byid");
	memfs_dir(mem, "/@/etc/top");
	memfs_dir(mem, "/@/etc/gone");
	memfs_dir(mem, "/@/etc/again");
	memfs_file(mem, "/@/etc/gone/under", "under the mount");
	memfs_dir(mem, "/vol");
	memfs_dir(mem, "/vol/home");
	memfs_file(mem, "/vol/home/file", "at home");
	memfs_subvolume(mem, 0, mem->root);
	memfs_subvolume(mem, 7, memfs_dir(mem, "/seven"));
	memfs_file(mem, "/seven/file", "seven");
	memfs_link(mem, "/seven/out", "../../me");
	open_tree(NULL);
	has("/home/file", "at home");
	has("/home/../me", "/@");
	has("/etc/byid/file", "seven");
	has("/etc/byid/out", "/@");
	has("/etc/top/@/me", "/@");
	cr_assert_str_eq(said, "/etc/fstab: LABEL=root, for /etc/again, is the root filesystem again: left out\n");
	has("/etc/gone/under", "under the mount");
	cr_assert_not_null(strstr(said, "/etc/fstab: /etc/gone cannot be mounted: LABEL=root has no subvolid=3\n"));
}

Test(subvol, without_any_the_options_are_a_warning, .init = setup, .fini = teardown)
{
	make_root("", "LABEL=root / ext4 subvol=@ 0 0\nLABEL=root /home ext4 subvol=etc 0 0\n");
	open_tree(NULL);
	has("/me", "");
	has_not("/home/fstab");
	cr_assert_not_null(strstr(said, "/etc/fstab: /home cannot be mounted: LABEL=root has no subvol=etc\n"));
}

Test(subvol, use_shows_them_all, .init = setup, .fini = teardown)
{
	memfs_subvolume(mem, 0, make_root("/@", ""));
	open_tree("xvda");
	has("/@/me", "/@");
	has_not("/me");
}

/* The kernel has mounted it before anybody reads fstab. */
Test(subvol, what_the_config_s_rootflags_say_counts_most, .init = setup, .fini = teardown)
{
	memfs_subvolume(mem, 0, make_root("/@", "LABEL=root / btrfs subvol=@ 0 0\n"));
	make_root("/@snap", "LABEL=root / btrfs subvol=@ 0 0\nLABEL=root /home btrfs subvol=@/home 0 0\n");
	memfs_file(mem, "/@/home/file", "at home");
	open_tree_of(NULL, "/dev/xvda rootflags=compress=zstd,subvol=@snap");
	has("/me", "/@snap");
	has("/home/file", "at home");
	cr_assert_str_eq(said, "");
}

Test(subvol, rootflags_alone_are_no_root, .init = setup, .fini = teardown)
{
	memfs_subvolume(mem, 0, mem->root);
	make_root("/@", "");
	memfs_subvolume(mem, 7, make_root("/seven", ""));
	open_tree_of(NULL, "rootflags=subvolid=7");
	has("/me", "/seven");
	cr_assert_str_eq(said, "");
}

Test(subvol, rootflags_that_lead_nowhere_are_a_warning, .init = setup, .fini = teardown)
{
	memfs_subvolume(mem, 0, make_root("/@", ""));
	open_tree_of(NULL, "rootflags=subvol=@gone");
	has("/me", "/@");
	cr_assert_str_eq(said, "the config says rootflags=subvol=@gone, where no root of GUEST is\n");
}
