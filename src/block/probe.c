/* SPDX-License-Identifier: GPL-3.0-or-later */
/* probe.c - what is on a device, by libblkid, which sees a copy of the places where superblocks are. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "base/num.h"
#include "block/lib-blkid.h"
#include "block/table-image.h"

#define ENDS (UINT64_C(1) << 20) /* bytes at both ends: nearly all superblocks are there */

/* NTFS is believed only when the record of its $MFT is there, which may be anywhere. */
static int load_ntfs(struct domu_image *im, struct domu_block *b)
{
	uint8_t s[512];
	uint64_t cluster, offset;
	int rc;

	if (b->size < sizeof s)
		return 0;
	rc = domu_block_pread(b, s, sizeof s, 0);
	if (rc < 0 || memcmp(s + 3, "NTFS    ", 8) != 0)
		return rc;
	cluster = (uint64_t)domu_le16(s + 11) * s[13];
	for (unsigned i = 0; i < 2 && rc == 0; i++)
		if (domu_mul(cluster, domu_le64(s + 48 + 8 * i), &offset) && offset < b->size)
			rc = domu_image_load(im, offset, 64u << 10);
	return rc;
}

static void value(blkid_probe pr, const char *name, char *out, size_t size)
{
	const char *data;
	size_t len;

	if (blkid_probe_lookup_value(pr, name, &data, &len) == 0)
		snprintf(out, size, "%.*s", (int)(len < size ? len : size - 1), data);
}

static int ask_blkid(struct domu_image *im, struct domu_block *b, struct domu_probe *probe)
{
	int rc = domu_lib_load(b->ctx, &domu_lib_blkid);
	char number[24] = "";
	blkid_probe pr;

	if (rc != 0)
		return rc;
	pr = blkid_new_probe();
	if (pr == NULL)
		return domu_nomem(b->ctx);
	if (blkid_probe_set_device(pr, im->fd, 0, (blkid_loff_t)im->size) != 0 ||
	    blkid_probe_set_sectorsize(pr, b->sector_size) != 0 || blkid_probe_enable_partitions(pr, 0) != 0 ||
	    blkid_probe_enable_superblocks(pr, 1) != 0 ||
	    blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID | BLKID_SUBLKS_LABEL) != 0) {
		rc = domu_fail(b->ctx, DOMU_FAILED, -EINVAL, "%s: libblkid cannot look at it", b->name);
		goto out;
	}
	/* Two signatures at once (-2): whichever is right cannot be told here. */
	if (blkid_do_safeprobe(pr) != 0)
		goto out;
	value(pr, "TYPE", probe->type, sizeof probe->type);
	value(pr, "UUID", probe->uuid, sizeof probe->uuid);
	value(pr, "LABEL", probe->label, sizeof probe->label);
	value(pr, "BLOCK_SIZE", number, sizeof number);
	probe->block_size = (uint32_t)strtoul(number, NULL, 10);
out:
	blkid_free_probe(pr);
	return rc;
}

int domu_blkid_probe(struct domu_block *b, struct domu_probe *probe)
{
	struct domu_image im;
	int rc;

	memset(probe, 0, sizeof *probe);
	snprintf(probe->type, sizeof probe->type, "empty");
	if (b->size == 0)
		return 0;
	rc = domu_image_open(&im, b, b->size);
	if (rc < 0)
		return rc;
	rc = domu_image_load(&im, 0, ENDS);
	if (rc == 0 && b->size > ENDS)
		rc = domu_image_load(&im, b->size - ENDS, ENDS);
	if (rc == 0)
		rc = load_ntfs(&im, b);
	if (rc == 0 && im.nonzero) {
		snprintf(probe->type, sizeof probe->type, "unknown");
		rc = ask_blkid(&im, b, probe);
	}
	domu_image_close(&im);
	return rc;
}
