/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lvm.h - a guest's LVM: its metadata read as text, never activated. */
#ifndef DOMU_LVM_H
#define DOMU_LVM_H

#include "block/table.h"

/* ---- the metadata's text: lvm-text.c ---------------------------------------- */

enum lvm_kind { LVM_OTHER, LVM_SECTION, LVM_LIST, LVM_STRING, LVM_NUMBER };

struct lvm_item {
	enum lvm_kind kind;
	const char *name; /* with NUL; of a list's members NULL */
	const char *text; /* of a string, with NUL */
	uint64_t number;
	size_t first, next; /* of a section or list: its members; 0: none */
};

struct lvm_text {
	char *bytes; /* names and strings are in it */
	struct lvm_item *v; /* [0] is the whole */
	size_t n;
};

/* Takes bytes (len and a NUL, on the heap) over, also when it fails.  -EINVAL: not such a text. */
int lvm_text_parse(char *bytes, size_t len, struct lvm_text *t);
void lvm_text_free(struct lvm_text *t);
/* A member by name, 0: none of that kind. */
size_t lvm_text_find(const struct lvm_text *t, size_t in, const char *name, enum lvm_kind kind);
const char *lvm_text_string(const struct lvm_text *t, size_t in, const char *name); /* or NULL */
bool lvm_text_number(const struct lvm_text *t, size_t in, const char *name, uint64_t *n);
bool lvm_text_lists(const struct lvm_text *t, size_t in, const char *name, const char *word); /* status = ["READ"] */

/* ---- labels and metadata areas: lvm-label.c ----------------------------------- */

#define LVM_ID 32

struct lvm_pv {
	size_t node;
	uint64_t start, size; /* bytes on the disk */
	unsigned disk;
	char id[LVM_ID + 1];
	bool twice; /* another has the same id */
	struct lvm_text vg; /* what it says of its group; n 0: nothing, or nothing that can be read */
	size_t group; /* its section in it; 0: none */
	const char *vg_id;
	uint64_t seqno;
};

/*
 * 1: start is a PV's, *pv has its id and text; 0: it is none; a failure only
 * where the disk cannot be read.  *room: bytes of text that may still be read.
 */
int lvm_label_read(struct domu_ctx *ctx, struct domu_block *disk, struct domu_nodes *nodes, struct lvm_pv *pv,
                   uint64_t *room);

/* ---- volumes: lvm.c -------------------------------------------------------------- */

/*
 * Adds a node for each linear or striped volume of the PVs among nodes.
 * What cannot be used (other types, a missing PV, damage) is a problem of nodes.
 */
int domu_lvm_read(struct domu_ctx *ctx, struct domu_block *const *disks, size_t n_disks, struct domu_nodes *nodes);

#endif
