/* SPDX-License-Identifier: GPL-3.0-or-later */
/* model.c - see model.h. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "crash.h"
#include "model.h"

static uint64_t sector_hash(const uint8_t *p)
{
	uint64_t h;

	if (p[0] == 0 && memcmp(p, p + 1, SECTOR - 1) == 0)
		return 0;
	h = domu_hash64(p, SECTOR);
	return h != 0 ? h : 1;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ (b + UINT64_C(0x9e3779b97f4a7c15) + (a << 12) + (a >> 4))) * UINT64_C(0xff51afd7ed558ccd);

	return h ^ h >> 29;
}

int model_new(struct model *m, bool is_dir)
{
	m->v = must(realloc(m->v, (size_t)(m->n + 1) * sizeof *m->v));
	m->v[m->n] = (struct inode){ .is_dir = is_dir };
	return m->n++;
}

static void copy_inode(struct inode *to, const struct inode *from)
{
	*to = *from;
	to->data = must(malloc(from->sectors * SECTOR + 1));
	to->hash = must(malloc(from->sectors * sizeof *to->hash + 1));
	to->entries = must(malloc(from->n_entries * sizeof *to->entries + 1));
	if (from->sectors > 0) {
		memcpy(to->data, from->data, from->sectors * SECTOR);
		memcpy(to->hash, from->hash, from->sectors * sizeof *to->hash);
	}
	if (from->n_entries > 0)
		memcpy(to->entries, from->entries, from->n_entries * sizeof *to->entries);
}

static void free_inode(struct inode *i)
{
	free(i->data);
	free(i->hash);
	free(i->entries);
	memset(i, 0, sizeof *i);
}

void model_copy(struct model *to, const struct model *from)
{
	to->v = must(calloc((size_t)from->n, sizeof *to->v));
	to->n = from->n;
	for (int i = 0; i < from->n; i++)
		copy_inode(&to->v[i], &from->v[i]);
}

void model_free(struct model *m)
{
	for (int i = 0; i < m->n; i++)
		free_inode(&m->v[i]);
	free(m->v);
	memset(m, 0, sizeof *m);
}

void model_revert(struct model *m, const struct model *from, int i)
{
	struct inode *a = &m->v[i];
	const struct inode *b = &from->v[i];

	if (a->is_dir || a->sectors < b->sectors) {
		free_inode(a);
		copy_inode(a, b);
		return;
	}
	model_revert_part(m, from, i, 0, a->sectors * SECTOR);
}

void model_revert_part(struct model *m, const struct model *from, int i, uint64_t offset, uint64_t len)
{
	struct inode *a = &m->v[i];
	const struct inode *b = &from->v[i];

	/* Only what differs: a disk is large and a state touches little of it. */
	for (size_t k = (size_t)(offset / SECTOR); k < a->sectors && k * SECTOR < offset + len; k++) {
		uint64_t h = k < b->sectors ? b->hash[k] : 0;

		if (a->hash[k] == h)
			continue;
		if (h != 0)
			memcpy(a->data + k * SECTOR, b->data + k * SECTOR, SECTOR);
		else
			memset(a->data + k * SECTOR, 0, SECTOR);
		a->hash[k] = h;
	}
	a->size = b->size;
}

static void reserve(struct inode *f, uint64_t size)
{
	size_t need = (size_t)((size + SECTOR - 1) / SECTOR);

	if (need <= f->sectors)
		return;
	need += need / 4 + 8;
	f->data = must(realloc(f->data, need * SECTOR));
	f->hash = must(realloc(f->hash, need * sizeof *f->hash));
	memset(f->data + f->sectors * SECTOR, 0, (need - f->sectors) * SECTOR);
	memset(f->hash + f->sectors, 0, (need - f->sectors) * sizeof *f->hash);
	f->sectors = need;
}

void model_write(struct model *m, int i, uint64_t offset, const uint8_t *p, uint64_t len)
{
	struct inode *f = &m->v[i];

	if (len == 0)
		return;
	reserve(f, offset + len);
	if (p != NULL)
		memcpy(f->data + offset, p, len);
	else
		memset(f->data + offset, 0, len);
	for (uint64_t k = offset / SECTOR; k <= (offset + len - 1) / SECTOR; k++)
		f->hash[k] = sector_hash(f->data + k * SECTOR);
	if (offset + len > f->size)
		f->size = offset + len;
}

void model_size(struct model *m, int i, uint64_t size)
{
	uint64_t before = m->v[i].size;

	reserve(&m->v[i], size);
	if (size < before)
		model_write(m, i, size, NULL, before - size);
	m->v[i].size = size;
}

int model_find(const struct model *m, int dir, const char *name)
{
	const struct inode *d = &m->v[dir];

	for (size_t i = 0; i < d->n_entries; i++)
		if (strcmp(d->entries[i].name, name) == 0)
			return d->entries[i].inode;
	return -1;
}

bool model_forget(struct model *m, int dir, const char *name)
{
	struct inode *d = &m->v[dir];

	for (size_t i = 0; i < d->n_entries; i++) {
		if (strcmp(d->entries[i].name, name) != 0)
			continue;
		d->entries[i] = d->entries[--d->n_entries];
		return true;
	}
	return false;
}

void model_name(struct model *m, int dir, const char *name, int inode)
{
	struct inode *d = &m->v[dir];

	model_forget(m, dir, name);
	d->entries = must(realloc(d->entries, (d->n_entries + 1) * sizeof *d->entries));
	snprintf(d->entries[d->n_entries].name, sizeof d->entries[0].name, "%s", name);
	d->entries[d->n_entries++].inode = inode;
}

void model_apply(struct model *m, const struct op *op, const struct torn *t)
{
	uint64_t len = op->len;

	switch (op->type) {
	case OP_WRITE:
	case OP_ZERO:
		if (t != NULL && t->sectors >= 0) {
			uint64_t end = (op->offset / SECTOR + (uint64_t)t->sectors) * SECTOR;

			len = end <= op->offset ? 0 : (end - op->offset < len ? end - op->offset : len);
		}
		model_write(m, op->inode, op->offset, op->data, len);
		if (t != NULL && t->whole_size && op->type == OP_WRITE && op->offset + op->len > m->v[op->inode].size)
			model_size(m, op->inode, op->offset + op->len);
		break;
	case OP_SIZE:
		model_size(m, op->inode, op->offset);
		break;
	case OP_NAME:
		model_name(m, op->dir, op->name, op->inode);
		break;
	case OP_RENAME:
		model_forget(m, op->dir, op->name);
		model_name(m, op->new_dir, op->new_name, op->inode);
		break;
	case OP_UNLINK:
		if (model_find(m, op->dir, op->name) == op->inode)
			model_forget(m, op->dir, op->name);
		break;
	default:
		break;
	}
}

uint64_t model_file_hash(const struct model *m, int i)
{
	const struct inode *f = &m->v[i];
	uint64_t h = mix(f->size, 7);

	for (size_t k = 0; k < f->sectors; k++)
		if (f->hash[k] != 0)
			h += mix(f->hash[k], k);
	return h;
}

static uint64_t tree_hash(const struct model *m, int dir, unsigned depth)
{
	const struct inode *d = &m->v[dir];
	uint64_t h = 3;

	for (size_t i = 0; i < d->n_entries && depth < 8; i++) {
		const struct entry *e = &d->entries[i];
		char padded[96] = "";

		snprintf(padded, sizeof padded, "%s", e->name);
		h += mix(domu_hash64(padded, sizeof padded),
		         m->v[e->inode].is_dir ? tree_hash(m, e->inode, depth + 1) : model_file_hash(m, e->inode));
	}
	return h;
}

uint64_t model_hash(const struct model *m)
{
	return tree_hash(m, ROOT, 0);
}

/* ---- records -------------------------------------------------------------------- */

void ops_add(struct ops *o, const struct op *op)
{
	if (o->n == o->cap) {
		o->cap = o->cap > 0 ? o->cap * 2 : 64;
		o->v = must(realloc(o->v, o->cap * sizeof *o->v));
	}
	o->v[o->n++] = *op;
}

void ops_copy(struct ops *to, const struct ops *from)
{
	for (size_t i = 0; i < from->n; i++) {
		struct op op = from->v[i];

		if (op.data != NULL) {
			op.data = must(malloc(op.len + 1));
			memcpy(op.data, from->v[i].data, op.len);
		}
		ops_add(to, &op);
	}
}

void ops_free(struct ops *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->v[i].data);
	free(o->v);
	memset(o, 0, sizeof *o);
}
