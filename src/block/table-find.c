/* SPDX-License-Identifier: GPL-3.0-or-later */
/* table-find.c - whether a disk has a partition table, and libfdisk on a copy of the sectors that make it. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/num.h"
#include "block/lib-fdisk.h"
#include "block/table-image.h"

#define ENDS        (64u << 10) /* bytes at both ends of a disk that tables are looked for in */
#define MAX_LINKS   256u /* extended boot records in one chain */
#define GPT_MAX     (UINT64_C(1) << 20) /* bytes of entries: 8192 partitions */
#define LONGEST     (UINT64_C(1) << 60) /* bytes of a disk that a header may claim */
#define MAX_REMARKS 8u /* of libfdisk */

/* One of the four entries in an MBR or extended boot record (UEFI 2.10, 5.2.1). */
struct mbr_entry {
	uint8_t flag, type;
	uint64_t start, count; /* sectors */
};

static struct mbr_entry mbr_entry(const uint8_t *sector, unsigned i)
{
	const uint8_t *p = sector + 446 + 16 * i;

	return (struct mbr_entry){ .flag = p[0], .type = p[4], .start = domu_le32(p + 8), .count = domu_le32(p + 12) };
}

static bool is_boot_record(const uint8_t *sector)
{
	return sector[510] == 0x55 && sector[511] == 0xaa;
}

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static bool is_gpt_header(const uint8_t *sector)
{
	return memcmp(sector, "EFI PART", 8) == 0;
}

static void problem(struct domu_nodes *nodes, const char *vdev, const char *text)
{
	if (nodes != NULL)
		domu_nodes_problem(nodes, "%s: %s", vdev, text);
}

/* ---- what libfdisk is to see --------------------------------------------- */

struct finder {
	struct domu_ctx *ctx;
	struct domu_block *b;
	const char *vdev;
	struct domu_nodes *nodes; /* NULL: problems are not wanted */
	struct domu_table *t;
	unsigned n_remarks;
	uint64_t gpt_length; /* bytes that the primary header gives the disk; 0: no such header */
};

static int image_sector(struct finder *f, uint64_t offset, uint8_t sector[4096])
{
	memset(sector, 0, 4096);
	if (!domu_inside(offset, f->t->sector_size, f->b->size))
		return 0;
	return domu_pread_full(f->t->image.fd, sector, f->t->sector_size, offset);
}

/* Keeps something from libfdisk: in the copy only. */
static int blank(struct finder *f, uint64_t offset, size_t len)
{
	static const uint8_t zeros[64];

	f->t->mended = true;
	return domu_pwrite_full(&domu_io_system, f->t->image.fd, zeros, len, offset);
}

/* The chain of extended boot records that begins at sector base; where it is wrong, it is cut. */
static int load_chain(struct finder *f, uint64_t base, unsigned *links)
{
	uint64_t at = base, seen[MAX_LINKS];
	uint64_t before = UINT64_MAX; /* offset of the entry that led here; none for the first */
	unsigned n = 0;
	const char *wrong;

	for (;;) {
		uint64_t offset, next = 0;
		uint8_t sector[4096];
		int rc;

		wrong = NULL;
		if (!domu_mul(at, f->t->sector_size, &offset) || !domu_inside(offset, f->t->sector_size, f->b->size))
			wrong = "the chain of logical partitions runs past the end of the disk";
		else if (*links >= MAX_LINKS)
			wrong = "the chain of logical partitions has no end";
		for (unsigned i = 0; i < n && wrong == NULL; i++)
			if (seen[i] == at)
				wrong = "the chain of logical partitions loops";
		if (wrong != NULL) {
			problem(f->nodes, f->vdev, wrong);
			return before != UINT64_MAX ? blank(f, before, 16) : 0;
		}
		seen[n++] = at;
		++*links;
		rc = domu_image_load(&f->t->image, offset, f->t->sector_size);
		if (rc == 0)
			rc = image_sector(f, offset, sector);
		if (rc < 0 || !is_boot_record(sector))
			return rc;
		for (unsigned i = 0; i < 4 && next == 0; i++) {
			struct mbr_entry e = mbr_entry(sector, i);

			if (is_extended(e.type) && e.count != 0) {
				before = offset + 446 + 16 * i;
				next = base + e.start;
			}
		}
		if (next == 0)
			return 0;
		at = next;
	}
}

/*
 * A GPT header at offset (UEFI 2.10, 5.3.2) and the entries it names.  libfdisk
 * checks checksums, but not how much memory a header may ask for.
 */
static int load_gpt(struct finder *f, uint64_t offset, bool primary)
{
	uint8_t h[4096];
	uint64_t entries, other, last, bytes;
	int rc = domu_image_load(&f->t->image, offset, f->t->sector_size);

	if (rc == 0)
		rc = image_sector(f, offset, h);
	if (rc < 0 || !is_gpt_header(h))
		return rc;
	bytes = (uint64_t)domu_le32(h + 80) * domu_le32(h + 84);
	if (domu_le32(h + 12) < 92 || domu_le32(h + 12) > f->t->sector_size || domu_le32(h + 84) < 128 ||
	    domu_le32(h + 84) > 4096 || bytes == 0 || bytes > GPT_MAX ||
	    !domu_mul(domu_le64(h + 72), f->t->sector_size, &entries) || entries > LONGEST) {
		problem(f->nodes, f->vdev,
		        primary ? "the header of the GPT is absurd" : "the backup header of the GPT is absurd");
		return blank(f, offset, 8);
	}
	rc = domu_image_load(&f->t->image, entries, bytes);
	if (rc < 0 || !primary)
		return rc;
	if (domu_mul(domu_le64(h + 32), f->t->sector_size, &other) && other < LONGEST &&
	    domu_add(other, f->t->sector_size, &last)) {
		f->gpt_length = last;
		rc = load_gpt(f, other, false);
	}
	return rc;
}

static int load_table(struct finder *f, const uint8_t *mbr)
{
	uint64_t ss = f->t->sector_size, size = f->b->size / ss * ss;
	unsigned links = 0;
	int rc = domu_image_load(&f->t->image, 0, ENDS);

	if (rc == 0)
		rc = domu_image_load(&f->t->image, size > ENDS ? size - ENDS : 0, ENDS);
	for (unsigned i = 0; i < 4 && rc == 0; i++) {
		struct mbr_entry e = mbr_entry(mbr, i);

		if (is_extended(e.type) && e.count != 0 && e.start != 0)
			rc = load_chain(f, e.start, &links);
	}
	if (rc == 0)
		rc = load_gpt(f, ss, true);
	if (rc == 0 && size > ss)
		rc = load_gpt(f, size - ss, false);
	return rc;
}

/* ---- libfdisk ------------------------------------------------------------ */

/* What libfdisk would print.  Questions get no answer. */
static int on_ask(struct fdisk_context *cxt, struct fdisk_ask *ask, void *data)
{
	struct finder *f = data;
	const char *text;
	char line[256];

	(void)cxt;
	if (!fdisk_is_ask(ask, WARN) && !fdisk_is_ask(ask, WARNX) && !fdisk_is_ask(ask, INFO))
		return -EINVAL;
	text = fdisk_ask_print_get_mesg(ask);
	/* Usual after a disk has grown, and mended by the next write. */
	if (text == NULL || strstr(text, "will be corrected by write") != NULL ||
	    strstr(text, "not on the end of the device") != NULL || f->n_remarks >= MAX_REMARKS)
		return 0;
	f->n_remarks++;
	snprintf(line, sizeof line, "%s", text);
	for (char *p = line; *p != '\0'; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	problem(f->nodes, f->vdev, line);
	return 0;
}

static int start_fdisk(struct finder *f, bool writable)
{
	struct domu_table *t = f->t;
	int rc;

	t->cxt = fdisk_new_context();
	if (t->cxt == NULL)
		return domu_fail(f->ctx, DOMU_FAILED, -ENOMEM, "out of memory");
	rc = fdisk_set_ask(t->cxt, on_ask, f);
	if (rc == 0)
		rc = fdisk_save_user_sector_size(t->cxt, t->sector_size, t->sector_size);
	if (rc == 0)
		rc = fdisk_disable_dialogs(t->cxt, 1);
	if (rc == 0)
		rc = fdisk_enable_listonly(t->cxt, 1);
	if (rc == 0)
		rc = fdisk_assign_device_by_fd(t->cxt, t->image.fd, f->vdev, !writable);
	if (rc < 0) {
		/* Sectors that cannot be read are reported before; this is a table that libfdisk refuses. */
		fdisk_unref_context(t->cxt);
		t->cxt = NULL;
		domu_say(f->ctx, DOMU_DEBUG, "%s: libfdisk: %s", f->vdev, strerror(-rc));
		return 0;
	}
	if (fdisk_is_labeltype(t->cxt, FDISK_DISKLABEL_GPT))
		memcpy(t->type, "gpt", sizeof "gpt");
	else if (fdisk_is_labeltype(t->cxt, FDISK_DISKLABEL_DOS))
		memcpy(t->type, "dos", sizeof "dos");
	return 0;
}

static void stop_fdisk(struct domu_table *t)
{
	if (t->cxt != NULL)
		fdisk_unref_context(t->cxt);
	t->cxt = NULL;
	t->type[0] = '\0';
}

/* libfdisk on the sectors that matter, in a file of size bytes. */
static int try(struct finder *f, const uint8_t *mbr, uint64_t size, bool writable)
{
	int rc;

	stop_fdisk(f->t);
	domu_image_close(&f->t->image);
	f->t->mended = false;
	f->n_remarks = 0;
	rc = domu_image_open(&f->t->image, f->b, size);
	if (rc == 0)
		rc = load_table(f, mbr);
	return rc == 0 ? start_fdisk(f, writable) : rc;
}

/* ---- is it one? ---------------------------------------------------------- */

/* What the boot record's entries look like. */
struct looks {
	bool gpt; /* a protective entry */
	bool odd; /* a flag that no partition has: code or text of a boot sector */
	unsigned used, inside;
};

static struct looks look(const uint8_t *mbr, uint32_t sector_size, uint64_t size)
{
	struct looks l = { 0 };

	for (unsigned i = 0; i < 4; i++) {
		struct mbr_entry e = mbr_entry(mbr, i);

		l.odd |= (e.flag & 0x7f) != 0;
		if (e.type == 0 || e.count == 0)
			continue;
		l.gpt |= e.type == 0xee;
		l.used++;
		l.inside += e.start != 0 && domu_inside(e.start * sector_size, e.count * sector_size, size);
	}
	return l;
}

static bool is_filesystem(struct domu_block *b)
{
	struct domu_probe p;

	return domu_blkid_probe(b, &p) == 0 && strcmp(p.type, "empty") != 0 && strcmp(p.type, "unknown") != 0;
}

static int find_gpt(struct finder *f, const uint8_t *head, bool writable)
{
	struct domu_nodes *nodes = f->nodes;
	int rc;

	/* The image of a disk with 4096-byte sectors, kept in a file. */
	if (f->t->sector_size == 512 && !is_gpt_header(head + 512) && is_gpt_header(head + 4096))
		f->t->sector_size = 4096;
	rc = try(f, head, f->b->size, writable);
	if (rc == 0 && strcmp(f->t->type, "gpt") != 0 && f->gpt_length > f->b->size) {
		/* Made for a longer disk: said once, by the partitions that run past the end. */
		f->nodes = NULL;
		rc = try(f, head, f->gpt_length, writable);
		f->nodes = nodes;
	}
	if (rc < 0 || strcmp(f->t->type, "gpt") == 0)
		return rc;
	stop_fdisk(f->t);
	if (is_filesystem(f->b))
		return 0;
	memcpy(f->t->type, "gpt", sizeof "gpt");
	problem(f->nodes, f->vdev, "the GPT is damaged: neither its header nor the backup can be used");
	return 0;
}

static int find_dos(struct finder *f, const uint8_t *head, struct looks l, bool writable)
{
	int rc;

	if ((l.inside == 0 || l.odd) && is_filesystem(f->b))
		return 0;
	if (l.odd)
		return 0;
	rc = try(f, head, f->b->size, writable);
	if (rc == 0 && strcmp(f->t->type, "dos") != 0)
		stop_fdisk(f->t);
	return rc;
}

int domu_table_open(struct domu_ctx *ctx, struct domu_block *b, const char *vdev, bool writable,
                    struct domu_nodes *nodes, struct domu_table *t)
{
	struct finder f = { .ctx = ctx, .b = b, .vdev = vdev, .nodes = nodes, .t = t };
	uint8_t head[8192] = { 0 };
	struct looks l;
	int rc;

	memset(t, 0, sizeof *t);
	t->image.fd = -1;
	t->sector_size = b->sector_size;
	rc = domu_block_pread(b, head, b->size < sizeof head ? (size_t)b->size : sizeof head, 0);
	if (rc < 0 || b->size < 2 * (uint64_t)b->sector_size || !is_boot_record(head))
		return rc;
	rc = domu_table_libs(ctx);
	if (rc < 0)
		return rc;
	l = look(head, b->sector_size, b->size);
	rc = l.gpt ? find_gpt(&f, head, writable) : find_dos(&f, head, l, writable);
	/* Remarks go to f, which ends here. */
	if (t->cxt != NULL)
		fdisk_set_ask(t->cxt, NULL, NULL);
	if (rc < 0)
		domu_table_close(t);
	return rc;
}

void domu_table_close(struct domu_table *t)
{
	stop_fdisk(t);
	domu_image_close(&t->image);
}
