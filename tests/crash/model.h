/* SPDX-License-Identifier: GPL-3.0-or-later */
/* model.h - files and folders in memory: what disks and state directory hold, or would hold after a power cut. */
#ifndef CRASH_MODEL_H
#define CRASH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR 512u
#define ROOT   0 /* the inode of the folder that holds everything */

struct entry {
	char name[72];
	int inode;
};

struct inode {
	bool is_dir;
	/* A file: its bytes in whole sectors, and a hash of each sector: 0 for zeros. */
	uint64_t size;
	uint8_t *data;
	uint64_t *hash;
	size_t sectors; /* room in both; those beyond size are zeros */
	/* A folder. */
	struct entry *entries;
	size_t n_entries;
};

struct model {
	struct inode *v;
	int n;
};

/* One thing that was done, as it was recorded. */
enum op_type { OP_WRITE, OP_SIZE, OP_ZERO, OP_NAME, OP_RENAME, OP_UNLINK, OP_SYNC, OP_SYNC_FAILED, OP_DONE };

struct op {
	enum op_type type;
	int inode; /* written to, named, renamed, synced */
	uint64_t offset, len; /* OP_SIZE: offset is the size */
	uint8_t *data;
	int dir, new_dir;
	char name[72], new_name[72];
};

struct ops {
	struct op *v;
	size_t n, cap;
};

int model_new(struct model *m, bool is_dir); /* an inode without a name */
void model_copy(struct model *to, const struct model *from);
void model_free(struct model *m);
/* Makes inode i of m what it is in from. */
void model_revert(struct model *m, const struct model *from, int i);
void model_revert_part(struct model *m, const struct model *from, int i, uint64_t offset, uint64_t len); /* a file */
void model_write(struct model *m, int i, uint64_t offset, const uint8_t *p, uint64_t len); /* p NULL: zeros */
void model_size(struct model *m, int i, uint64_t size);
int model_find(const struct model *m, int dir, const char *name); /* -1: not there */
void model_name(struct model *m, int dir, const char *name, int inode); /* made or replaced */
bool model_forget(struct model *m, int dir, const char *name);
/* How far the last write of a state got: sectors < 0 all of it; whole_size: the length is there all the same. */
struct torn {
	long sectors;
	bool whole_size;
};
void model_apply(struct model *m, const struct op *op, const struct torn *t);
/* Content and names, whichever way they came to be. */
uint64_t model_hash(const struct model *m);
uint64_t model_file_hash(const struct model *m, int i);

void ops_add(struct ops *o, const struct op *op); /* takes data over */
void ops_copy(struct ops *to, const struct ops *from); /* appends */
void ops_free(struct ops *o);

#endif
