/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guest.c - a guest that is started between a cut and recover: its kernel mounts the root, writes and unmounts. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"

#define MAX_CONTENTS 64

static struct {
	uint64_t key;
	struct image after;
} runs[MAX_CONTENTS];
static size_t n_runs;
static int by_kernel = -1; /* not known yet */

static void put(const struct image *im, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || domu_pwrite_full(&domu_io_system, fd, im->data, (size_t)im->size, 0) < 0)
		bail("%s: %s", path, strerror(errno));
	close(fd);
}

/* debugfs writes without knowing of doors: it stands in for the kernel on open disks only. */
static int boot(const struct workload *w, const char *path)
{
	int rc = -1;

	if (by_kernel != 0)
		rc = run("mkdir -p %s/mnt && mount -o loop,offset=%llu %s %s/mnt 2>/dev/null && "
		         "{ echo ran >%s/mnt/ran; umount %s/mnt; }",
		         world.dir, (unsigned long long)w->root, path, world.dir, world.dir, world.dir);
	if (by_kernel < 0)
		by_kernel = rc == 0;
	if (by_kernel == 0)
		rc = run("printf 'write /etc/hostname ran\\nset_super_value mtime now\\n' >%s/boot && "
		         "debugfs -w -f %s/boot '%s?offset=%llu' >/dev/null 2>&1",
		         world.dir, world.dir, path, (unsigned long long)w->root);
	return rc;
}

const char *guest_kind(void)
{
	return by_kernel > 0 ? "the kernel's ext4 was the guest" : "debugfs was the guest: no loop mounts here";
}

const struct image *guest_run(const struct workload *w, const struct image *before)
{
	uint64_t key = before->size;
	char *path, *name;
	struct image *im;
	int inode;

	for (size_t k = 0; k < before->sectors; k++)
		key = (key ^ (before->hash[k] + k)) * UINT64_C(0x9e3779b185ebca87) >> 1;
	for (size_t i = 0; i < n_runs; i++)
		if (runs[i].key == key)
			return runs[i].after.data != NULL ? &runs[i].after : NULL;
	if (n_runs == MAX_CONTENTS)
		bail("more than %d contents of an open disk", MAX_CONTENTS);
	path = text("%s/w/guest", world.dir);
	put(before, path);
	im = &runs[n_runs].after;
	runs[n_runs++].key = key;
	if (boot(w, path) != 0)
		bail("a guest cannot boot from an open disk");
	name = text("guest");
	inode = world_adopt(name);
	im->size = world.act.v[inode].size;
	im->sectors = world.act.v[inode].sectors;
	im->data = must(malloc(im->sectors * SECTOR));
	im->hash = must(malloc(im->sectors * sizeof *im->hash));
	memcpy(im->data, world.act.v[inode].data, im->sectors * SECTOR);
	memcpy(im->hash, world.act.v[inode].hash, im->sectors * sizeof *im->hash);
	model_forget(&world.act, ROOT, name);
	world_forget(inode);
	unlink(path);
	free(name);
	free(path);
	return im;
}

/* ---- on the disks, or on a volume of them ------------------------------------------------- */

bool is_image(const struct inode *f, const struct image *im)
{
	size_t n = f->sectors > im->sectors ? f->sectors : im->sectors;

	for (size_t k = 0; k < n; k++)
		if ((k < f->sectors ? f->hash[k] : 0) != (k < im->sectors ? im->hash[k] : 0))
			return false;
	return true;
}

/* Somebody else writes to a disk: what is in image. */
static void put_image(int fd, int inode, const struct image *im)
{
	for (size_t k = 0; k < im->sectors; k++) {
		const struct inode *f = &world.act.v[inode];

		if (im->hash[k] == (k < f->sectors ? f->hash[k] : 0))
			continue;
		if (pwrite(fd, im->data + k * SECTOR, SECTOR, (off_t)(k * SECTOR)) != (ssize_t)SECTOR)
			bail("a guest's write: %s", strerror(errno));
		model_write(&world.act, inode, k * SECTOR, im->data + k * SECTOR, SECTOR);
	}
}

/* Of a disk of a volume, in sectors; an image may have more in memory. */
static size_t length(const struct workload *w, unsigned i)
{
	return (size_t)(w->old[i].size / SECTOR);
}

struct image guest_see(const struct workload *w, const struct model *m)
{
	const struct inode *disk = &m->v[world.disk[0]];
	struct image im = { disk->data, disk->size, disk->hash, disk->sectors };
	size_t n = 0;

	if (!w->volume)
		return im;
	im = (struct image){ 0 };
	for (unsigned i = 0; i < w->n_disks; i++)
		im.sectors += length(w, i);
	im.size = im.sectors * SECTOR;
	im.data = must(calloc(im.sectors, SECTOR));
	im.hash = must(calloc(im.sectors, sizeof *im.hash));
	for (unsigned i = 0; i < w->n_disks; n += length(w, i++)) {
		size_t there;

		disk = &m->v[world.disk[i]];
		there = disk->sectors < length(w, i) ? disk->sectors : length(w, i);
		memcpy(im.data + n * SECTOR, disk->data, there * SECTOR);
		memcpy(im.hash + n, disk->hash, there * sizeof *disk->hash);
	}
	return im;
}

void guest_forget(const struct workload *w, struct image *im)
{
	if (w->volume) {
		free(im->data);
		free(im->hash);
	}
}

/* The part of such an image that is on disk i. */
static struct image part(const struct workload *w, const struct image *im, unsigned i)
{
	struct image p = *im;
	size_t n = 0;

	if (!w->volume)
		return p;
	for (unsigned k = 0; k < i; k++)
		n += length(w, k);
	p.sectors = length(w, i);
	p.size = p.sectors * SECTOR;
	p.data = im->data + n * SECTOR;
	p.hash = im->hash + n;
	return p;
}

void guest_write(const struct workload *w, struct rig *r, const struct image *im)
{
	for (unsigned i = 0; i < (w->volume ? w->n_disks : 1); i++) {
		const struct image p = part(w, im, i);

		put_image(r->fd[i], world.disk[i], &p);
	}
}

bool guest_wrote(const struct workload *w, const struct image *im)
{
	for (unsigned i = 0; i < (w->volume ? w->n_disks : 1); i++) {
		const struct image p = part(w, im, i);

		if (!is_image(&world.act.v[world.disk[i]], &p))
			return false;
	}
	return true;
}
