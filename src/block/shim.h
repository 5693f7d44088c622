/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shim.h - what the front tells the shim in the environment of a program. */
#ifndef DOMU_SHIM_H
#define DOMU_SHIM_H

#include "block/block.h"

/*
 * The shim, plugins/domu-shim.so, is preloaded into a dynamically linked
 * program of e2fsprogs and replaces libext2fs' unix_io_manager.  The program
 * is given a name to open, and the shim puts it on the stack that
 *
 *	DOMU_SHIM=v2 offset=1048576 size=104857600 rw=1 volume=- disk=0 base=3
 *	          stage=4 replay=-1 disksize=209715200 sector=512 stagero=0
 *	          name=/run/fs
 *
 * describes (one line, single blanks, all fields, this order): the part of the
 * disk that the program sees, whether it may be written, and of the disk its
 * index in the logs, the descriptors that the program inherits (-1: none), its
 * size and sector size, and whether the stage is for reading only.  For a
 * volume of several pieces, volume is as domu_lv_format() has it, offset is in
 * the volume, and the fields from disk to stagero are there for each of its
 * disks.  The name runs to the end.
 * Any other name is refused with EACCES: so is an external journal.
 *
 * The name must also be a file that the program can stat() and open(), and for
 * resize2fs open O_RDWR: a sparse file, or a memfd as /dev/fd/N, exactly size
 * bytes long (resize2fs: as long as the filesystem may become), by which the
 * programs ask the size.  Nothing of the filesystem is ever in it.  resize2fs
 * that shrank leaves the file as long as the filesystem is now.  A name must not
 * hold a '?', which e2fsprogs take for options.
 *
 * Not for filesystems with MMP: the library opens the name itself for that.
 */
#define DOMU_SHIM_ENV  "DOMU_SHIM"
#define DOMU_SHIM_FILE "domu-shim.so"

struct domu_shim {
	struct domu_stack_desc stack;
	uint64_t offset, size; /* bytes: the part of the disk, or volume, that is the filesystem */
	bool writable;
	char name[1024];
};

/* "DOMU_SHIM=..." in a new string; NULL: no memory.  The caller frees. */
char *domu_shim_format(const struct domu_shim *s);
/* What follows "DOMU_SHIM=": 0, -EINVAL or -ENOMEM.  A volume is for the life of the program. */
int domu_shim_parse(const char *text, struct domu_shim *s);

#endif
