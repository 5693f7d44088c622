/* SPDX-License-Identifier: GPL-3.0-or-later */
/* workload.c - what is committed: disks before and after, made by other people's programs, and the record of it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "crash.h"

/* ---- disks ------------------------------------------------------------------------------ */

static void make(const char *script)
{
	if (run("cd %s && exec 2>make.err && set -e\n%s", world.dir, script) != 0) {
		run("cat %s/make.err", world.dir);
		bail("the disks cannot be made");
	}
}

#define TREE       "mkdir -p root/etc && echo web1 >root/etc/hostname && echo 127.0.0.1 localhost >root/etc/hosts\n"
#define EDIT       "rm /etc/hostname\nwrite edit /etc/hostname\nmkdir /var\nwrite edit /var/log\n"
#define SMALL_EXT4 "mke2fs -q -F -t ext4 -b 1024 -N 64 -O ^has_journal -d root "

static void make_edit(void)
{
	make(TREE "truncate -s 1M old-0 && " SMALL_EXT4 "old-0 && cp old-0 new-0\n"
	          "printf '" EDIT "' >edit && debugfs -w -f edit new-0 >/dev/null");
}

static void make_two(void)
{
	make(TREE "printf '" EDIT "' >edit\n"
	          "for i in 0 1; do truncate -s 1M old-$i; " SMALL_EXT4 "old-$i\n"
	          "cp old-$i new-$i; debugfs -w -f edit new-$i >/dev/null; done");
}

static void make_tree(void)
{
	make(TREE "truncate -s 8M old-0 && mke2fs -q -F -t ext4 -b 1024 -N 1024 -J size=1 -d root old-0\n"
	          "cp old-0 new-0; echo mkdir /srv >edit; head -c 3000 /dev/urandom >f3000; head -c 200 f3000 >f200\n"
	          "for i in $(seq 250); do echo write f200 /srv/a$i; echo write f3000 /srv/b$i; done >>edit\n"
	          "debugfs -w -f edit new-0 >/dev/null");
}

static void make_fsck(void)
{
	make(TREE
	     "for i in $(seq 60); do echo $i >root/etc/conf-$i; done; truncate -s 4M old-0\n"
	     "mke2fs -q -F -t ext4 -b 1024 -N 128 -J size=1 -d root old-0\n"
	     "printf 'clri /etc/conf-7\\nset_inode_field /etc/conf-9 links_count 7\\n"
	     "set_inode_field /etc block[0] 3\\nfreeb 700 40\\n"
	     "set_super_value free_inodes_count 5\\n' >edit\n"
	     "debugfs -w -f edit old-0 >/dev/null; cp old-0 new-0; code=0; e2fsck -fy new-0 >/dev/null || code=$?\n"
	     "[ $((code & ~3)) = 0 ]; e2fsck -fn new-0 >/dev/null");
}

/* The root grows over where the swap was, the swap moves to the end, the image grows too. */
static void make_resize(void)
{
	make(TREE
	     "truncate -s 8M old-0; printf 'start=2048,size=8192,type=83\\nstart=10240,size=4096,type=82\\n' |\n"
	     "sfdisk -q old-0; truncate -s 4M fs; mke2fs -q -F -t ext4 -b 1024 -N 128 -O ^has_journal -d root fs\n"
	     "dd if=fs of=old-0 bs=1M seek=1 conv=notrunc status=none; truncate -s 2M swap; mkswap -q swap >/dev/null\n"
	     "dd if=swap of=old-0 bs=1M seek=5 conv=notrunc status=none; cp old-0 new-0; truncate -s 12M new-0\n"
	     "printf 'start=2048,size=18432,type=83\\nstart=20480,size=4096,type=82\\n' | sfdisk -q new-0\n"
	     "truncate -s 9M fs; resize2fs fs >/dev/null; dd if=fs of=new-0 bs=1M seek=1 conv=notrunc status=none\n"
	     "dd if=swap of=new-0 bs=1M seek=10 conv=notrunc status=none");
}

/* Two file systems on one disk. */
static void make_parts(void)
{
	make(TREE "printf '" EDIT "' >edit; truncate -s 4M old-0\n"
	          "printf 'start=2048,size=2048,type=83\\nstart=4096,size=2048,type=83\\n' | sfdisk -q old-0\n"
	          "cp old-0 new-0; for i in 1 2; do truncate -s 1M fs; " SMALL_EXT4 "fs\n"
	          "dd if=fs of=old-0 bs=1M seek=$i conv=notrunc status=none; debugfs -w -f edit fs >/dev/null\n"
	          "dd if=fs of=new-0 bs=1M seek=$i conv=notrunc status=none; rm fs; done");
}

/* One file system on two disks, which a volume joins; its superblock is on the first. */
static void make_volume(void)
{
	make(TREE "head -c 480000 /dev/urandom >root/fill; truncate -s 1M fs; " SMALL_EXT4 "fs\n"
	          "head -c 9000 /dev/urandom >big; printf '" EDIT "write big /var/big\n' >edit\n"
	          "split -b 512K -d -a 1 fs old-; debugfs -w -f edit fs >/dev/null; split -b 512K -d -a 1 fs new-\n"
	          "for i in 0 1; do cmp -s old-$i new-$i && exit 1; done; rm fs");
}

static void make_table(void)
{
	make("truncate -s 3M old-0; printf 'start=2048,size=1024,type=82\\n' | sfdisk -q old-0; cp old-0 new-0\n"
	     "printf 'start=2048,size=2048,type=82\\n' | sfdisk -q new-0; truncate -s 1M swap; mkswap -q swap "
	     ">/dev/null\n"
	     "dd if=swap of=new-0 bs=1M seek=1 conv=notrunc status=none");
}

#define MIB 1048576u

struct workload workloads[] = {
	{ .name = "edit", .what = "a file edited", .n_disks = 1, .doors = true, .make = make_edit },
	{ .name = "tree", .what = "a tree of 500 files", .n_disks = 1, .doors = true, .make = make_tree },
	{ .name = "fsck", .what = "a repair by e2fsck", .n_disks = 1, .doors = true, .make = make_fsck },
	{ .name = "resize",
	  .what = "a root grown, with table, swap and image",
	  .n_disks = 1,
	  .doors = true,
	  .make = make_resize,
	  .root = MIB },
	{ .name = "two", .what = "two disks", .n_disks = 2, .doors = true, .make = make_two },
	{ .name = "parts",
	  .what = "two file systems of one disk",
	  .n_disks = 1,
	  .doors = true,
	  .make = make_parts,
	  .root = MIB },
	{ .name = "volume",
	  .what = "a volume on two disks",
	  .n_disks = 2,
	  .doors = true,
	  .volume = true,
	  .make = make_volume },
	{ .name = "undo", .what = "an undo", .n_disks = 1, .doors = true, .make = make_edit, .rounds = 1 },
	{ .name = "undo-undo",
	  .what = "an undo of an undo",
	  .n_disks = 1,
	  .doors = true,
	  .make = make_edit,
	  .rounds = 2 },
	{ .name = "table", .what = "a table and swap, without a door", .n_disks = 1, .make = make_table },
	{ .name = "no-undo",
	  .what = "a file edited, no undo kept",
	  .n_disks = 1,
	  .doors = true,
	  .no_undo = true,
	  .make = make_edit },
	{ .name = "undo-dir",
	  .what = "a file edited, undo kept elsewhere",
	  .n_disks = 1,
	  .doors = true,
	  .undo_dir = true,
	  .make = make_edit },
	{ .name = NULL },
};

struct workload *workload_find(const char *name)
{
	for (struct workload *w = workloads; w->name != NULL; w++)
		if (strcmp(w->name, name) == 0)
			return w;
	return NULL;
}

/* ---- doors, by the driver ------------------------------------------------------------------- */

const struct domu_plugin *domu_plugin_entry(void);

static void add_door(struct workload *w, struct rig *r, unsigned disk, uint64_t offset, uint64_t size, bool root)
{
	const struct domu_fs_ops *ops = domu_plugin_entry()->fs;
	struct domu_probe probe = { 0 };
	struct domu_block *raw, *part;

	if (domu_raw_open(&r->ctx, r->fd[disk], "disk", 0, 0, &raw) < 0 ||
	    domu_slice_open(&r->ctx, raw, "part", offset, size, &part) < 0 || ops->probe(part, &probe) < 0 ||
	    !probe.has_door)
		bail("%s: no door at %llu of disk %u", w->name, (unsigned long long)offset, disk);
	w->door[w->n_doors++] =
	    (struct domu_door){ .disk = disk, .offset = offset + probe.door, .size = SECTOR, .root = root, .fs = ops };
	domu_block_close(part);
	domu_block_close(raw);
}

static void find_doors(struct workload *w, struct rig *r)
{
	uint64_t size = w->old[0].size;

	if (!w->doors)
		return;
	add_door(w, r, 0, w->root, size - w->root, true);
	if (strcmp(w->name, "parts") == 0)
		add_door(w, r, 0, 2 * MIB, MIB, false);
	if (w->n_disks == 2 && !w->volume)
		add_door(w, r, 1, 0, w->old[1].size, false);
}

/* ---- the record ------------------------------------------------------------------------------ */

static void take_image(struct image *im, int inode)
{
	const struct inode *f = &world.act.v[inode];

	im->size = f->size;
	im->sectors = f->sectors;
	im->data = must(malloc(f->sectors * SECTOR + 1));
	im->hash = must(malloc(f->sectors * sizeof *f->hash + 1));
	memcpy(im->data, f->data, f->sectors * SECTOR);
	memcpy(im->hash, f->hash, f->sectors * sizeof *f->hash);
}

static void load(struct workload *w)
{
	world.n_disks = 0;
	for (unsigned i = 0; i < w->n_disks; i++) {
		int k;

		if (run("cd %s && cp --sparse=always new-%u w/new && cp --sparse=always old-%u w/disk%u", world.dir, i,
		        i, i) != 0)
			bail("the disks are not there");
		k = world_adopt("new");
		take_image(&w->new[i], k);
		model_forget(&world.act, ROOT, "new");
		run("rm %s/w/new %s/store/%d", world.dir, world.dir, k);
		k = world_adopt(text("disk%u", i));
		take_image(&w->old[i], k);
		world.disk[i] = k;
	}
	world.n_disks = w->n_disks;
}

static void swap_images(struct workload *w)
{
	for (unsigned i = 0; i < w->n_disks; i++) {
		struct image old = w->old[i];

		w->old[i] = w->new[i];
		w->new[i] = old;
	}
}

static int begin(const struct workload *w, struct rig *r, bool undo)
{
	char id[DOMU_ID_LEN + 1];

	if (!undo)
		return rig_stage(r, w, w->new);
	if (!rig_newest(r, id))
		bail("%s: nothing to undo", w->name);
	return rig_undo(r, w, id);
}

int workload_do(const struct workload *w, struct rig *r)
{
	return begin(w, r, w->rounds > 0);
}

static void once(const struct workload *w, struct rig *r, bool undo)
{
	if (begin(w, r, undo) < 0)
		bail("%s: %s", w->name, r->ctx.error.message != NULL ? r->ctx.error.message : "the commit fails");
}

void workload_record(struct workload *w, struct model *start, struct ops *record, size_t *first)
{
	char *undo_dir = world_path("undo");
	struct op done = { .type = OP_DONE };
	struct rig r;

	w->make();
	load(w);
	rig_open(&r, w);
	if (r.st == NULL)
		bail("no state directory: %s", r.ctx.error.message);
	find_doors(w, &r);
	if (w->undo_dir && world_io.mkdir(undo_dir, 0700) < 0)
		bail("%s: %s", undo_dir, strerror(errno));
	model_copy(start, &world.act);
	world.record = record;
	for (unsigned i = 0; i < w->rounds; i++) {
		once(w, &r, i > 0);
		swap_images(w);
		rig_close(&r);
		rig_open(&r, w);
	}
	*first = record->n;
	once(w, &r, w->rounds > 0);
	rig_close(&r);
	ops_add(record, &done);
	world.record = NULL;
	while (start->n < world.act.n)
		model_new(start, world.act.v[start->n].is_dir);
	free(undo_dir);
}
