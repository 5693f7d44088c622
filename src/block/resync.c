/* SPDX-License-Identifier: GPL-3.0-or-later */
/* resync.c - a sync that failed is not tried again, and what fails with a disk closed says who goes on. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "block/commit-private.h"

#define CHUNK (1u << 20)

/*
 * After a failed sync the kernel counts the pages as clean, or has dropped
 * them: the next sync succeeds, and nothing is on the disk.  Written again
 * they are dirty, and it tells the truth.
 */
int domu_write_again(const struct domu_io *io, int fd)
{
	struct stat st;
	uint8_t *p = malloc(CHUNK);
	int rc = p == NULL ? -ENOMEM : fstat(fd, &st) < 0 ? -errno : 0;

	for (off_t at = 0; rc == 0 && at < st.st_size; at += CHUNK) {
		size_t n = st.st_size - at < CHUNK ? (size_t)(st.st_size - at) : CHUNK;

		rc = domu_pread_full(fd, p, n, (uint64_t)at);
		if (rc == 0)
			rc = domu_pwrite_full(io, fd, p, n, (uint64_t)at);
	}
	free(p);
	return rc;
}

const char *domu_commit_guest(const struct domu_commit_info *ci)
{
	return ci->guest != NULL ? ci->guest : ci->n_disks > 0 ? ci->disks[0].path : "GUEST";
}

int domu_cut_short(struct domu_ctx *ctx, const struct domu_commit_info *ci, int err)
{
	const char *said = ctx->error.message != NULL ? ctx->error.message : strerror(-err);
	char *why;

	if (domu_error_status(ctx) == DOMU_UNRECOVERED)
		return err;
	why = strdup(said);
	domu_error_clear(ctx);
	err = domu_fail(ctx, DOMU_UNRECOVERED, err,
	                "%s: commit %s was cut short: when the cause is mended, domu-rescue recover %s",
	                why != NULL ? why : "no memory", ci->id, domu_commit_guest(ci));
	free(why);
	return err;
}
