/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lvm-label.c - LVM2's label, header and metadata areas: lvm2's lib/format_text/layout.h and lib/label/label.h. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "block/lvm.h"

#define SECTOR     512u
#define LABELS     4u /* in which of the first sectors a label may be */
#define MAX_TEXT   (UINT64_C(16) << 20)
#define MAX_AREAS  16u /* of a kind */
#define CRC_START  0xf597a6cfu
#define FMTT_MAGIC " LVM2 x[5A%r0N*>"

/* CRC-32 of the IEEE polynomial without the inversions. */
static uint32_t crc(const uint8_t *p, size_t len)
{
	static const uint32_t table[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		                            0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		                            0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
	uint32_t c = CRC_START;

	while (len-- > 0) {
		c ^= *p++;
		c = (c >> 4) ^ table[c & 15];
		c = (c >> 4) ^ table[c & 15];
	}
	return c;
}

static bool is_label(const uint8_t *sector, unsigned number)
{
	return memcmp(sector, "LABELONE", 8) == 0 && memcmp(sector + 24, "LVM2 001", 8) == 0 &&
	       domu_le64(sector + 8) == number && domu_le32(sector + 16) == crc(sector + 20, SECTOR - 20);
}

static int read_pv(struct domu_block *disk, const struct lvm_pv *pv, void *buf, uint64_t len, uint64_t offset)
{
	return domu_inside(offset, len, pv->size) ? domu_block_pread(disk, buf, (size_t)len, pv->start + offset)
	                                          : -EUCLEAN;
}

/* The text of the group, which may go on at the begin of its area.  1: *pv has it; 0: the area has none. */
static int read_text(struct domu_block *disk, struct lvm_pv *pv, uint64_t area, uint64_t size, const uint8_t *locn,
                     uint64_t *room)
{
	uint64_t offset = domu_le64(locn), len = domu_le64(locn + 8), whole = len;
	char *text;
	int rc;

	if ((domu_le32(locn + 20) & 1) != 0 || offset == 0)
		return 0;
	if (len == 0 || len > MAX_TEXT || size <= SECTOR || len > size - SECTOR || offset < SECTOR || offset >= size)
		return -EUCLEAN;
	if (len > *room)
		return -EFBIG;
	*room -= len;
	text = malloc((size_t)len + 1);
	if (text == NULL)
		return -ENOMEM;
	if (whole > size - offset)
		whole = size - offset;
	rc = read_pv(disk, pv, text, whole, area + offset);
	if (rc == 0 && whole < len)
		rc = read_pv(disk, pv, text + whole, len - whole, area + SECTOR);
	if (rc == 0 && domu_le32(locn + 16) != crc((const uint8_t *)text, (size_t)len))
		rc = -EUCLEAN;
	if (rc != 0) {
		free(text);
		return rc;
	}
	text[len] = '\0';
	rc = lvm_text_parse(text, (size_t)len, &pv->vg);
	return rc == 0 ? 1 : rc == -EINVAL ? -EUCLEAN : rc;
}

static int read_area(struct domu_block *disk, struct lvm_pv *pv, uint64_t area, uint64_t size, uint64_t *room)
{
	uint8_t head[SECTOR];
	int rc = read_pv(disk, pv, head, sizeof head, area);

	if (rc != 0)
		return rc;
	if (memcmp(head + 4, FMTT_MAGIC, 16) != 0 || domu_le32(head) != crc(head + 4, sizeof head - 4) ||
	    domu_le32(head + 20) != 1 || domu_le64(head + 24) != area || domu_le64(head + 32) != size)
		return -EUCLEAN;
	return read_text(disk, pv, area, size, head + 40, room);
}

/* Past a list of areas: *at is behind the entry of zeros that ends it.  false: it does not end. */
static bool skip_areas(const uint8_t *sector, size_t *at)
{
	for (unsigned i = 0; i <= MAX_AREAS && *at + 16 <= SECTOR; i++, *at += 16)
		if (domu_le64(sector + *at) == 0) {
			*at += 16;
			return true;
		}
	return false;
}

static int read_areas(struct domu_block *disk, struct lvm_pv *pv, const uint8_t *sector, size_t at, uint64_t *room)
{
	int rc = 0, worst = 0;

	for (unsigned i = 0; i < MAX_AREAS && at + 16 <= SECTOR && domu_le64(sector + at) != 0; i++, at += 16) {
		rc = read_area(disk, pv, domu_le64(sector + at), domu_le64(sector + at + 8), room);
		if (rc != 0 && rc != -EUCLEAN)
			return rc < 0 ? rc : 0;
		worst = rc != 0 ? rc : worst;
	}
	return worst;
}

int lvm_label_read(struct domu_ctx *ctx, struct domu_block *disk, struct domu_nodes *nodes, struct lvm_pv *pv,
                   uint64_t *room)
{
	uint8_t head[LABELS * SECTOR];
	const uint8_t *sector = head;
	size_t at, n = 0;
	int rc;

	if (pv->size < sizeof head)
		return 0;
	rc = domu_block_pread(disk, head, sizeof head, pv->start);
	if (rc != 0)
		return rc;
	while (n < LABELS && !is_label(sector, (unsigned)n)) {
		n++;
		sector += SECTOR;
	}
	if (n == LABELS)
		return 0;
	at = domu_le32(sector + 20);
	if (at < 32 || at > SECTOR - 40)
		return 0;
	memcpy(pv->id, sector + at, LVM_ID);
	pv->id[LVM_ID] = '\0';
	at += 40;
	rc = skip_areas(sector, &at) ? read_areas(disk, pv, sector, at, room) : -EUCLEAN;
	if (rc == -ENOMEM)
		return domu_nomem(ctx);
	if (rc == -EUCLEAN)
		domu_nodes_problem(nodes, "%s: LVM metadata on it is damaged", nodes->v[pv->node].name);
	else if (rc == -EFBIG)
		domu_nodes_problem(nodes, "%s: LVM metadata on it is not read: there is too much of it",
		                   nodes->v[pv->node].name);
	else if (rc < 0)
		return rc;
	return 1;
}
