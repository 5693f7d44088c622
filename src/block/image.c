/* SPDX-License-Identifier: GPL-3.0-or-later */
/* image.c - images of units: what the disk has, what the stage has, what the undo file kept. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/num.h"
#include "block/commit-private.h"

#define UNDO_MAGIC "DOMUUNDO"

size_t domu_unit_len(uint64_t size, uint64_t unit)
{
	uint64_t left = size - unit * DOMU_UNIT;

	return left < DOMU_UNIT ? (size_t)left : DOMU_UNIT;
}

int domu_disk_read(struct domu_ctx *ctx, int fd, const char *vdev, uint64_t size, void *buf, size_t len,
                   uint64_t offset)
{
	uint64_t end;
	size_t inside = 0;
	int rc = domu_fd_size(fd, &end);

	if (rc == 0) {
		if (end > size)
			end = size;
		if (offset < end)
			inside = end - offset < len ? (size_t)(end - offset) : len;
		memset((char *)buf + inside, 0, len - inside);
		rc = domu_pread_device(fd, buf, inside, offset);
	}
	return rc < 0 ? domu_fail(ctx, DOMU_FAILED, rc, "%s: cannot be read at byte %" PRIu64 ": %s", vdev, offset,
	                          strerror(-rc))
	              : 0;
}

int domu_disk_unit(struct domu_ctx *ctx, const struct domu_seal *s, const struct domu_commit_disk *disks,
                   struct domu_disk_units *u, size_t i, const uint8_t **now)
{
	const struct domu_seal_unit *v = &s->units[i];
	size_t n = 1;
	int rc;

	if (u->buf == NULL && (u->buf = malloc(DOMU_WINDOW * DOMU_UNIT)) == NULL)
		return domu_nomem(ctx);
	if (i - u->first >= u->n) {
		while (n < DOMU_WINDOW && i + n < s->n_units && v[n].disk == v->disk && v[n].unit == v->unit + n)
			n++;
		u->n = 0;
		rc = domu_disk_read(ctx, disks[v->disk].fd, s->meta.info.disks[v->disk].vdev, s->sizes[v->disk], u->buf,
		                    n * DOMU_UNIT, v->unit * DOMU_UNIT);
		if (rc < 0)
			return rc;
		u->first = i;
		u->n = n;
	}
	*now = u->buf + (i - u->first) * DOMU_UNIT;
	return 0;
}

void domu_disks_forget(const struct domu_seal *s, const struct domu_commit_disk *disks)
{
	for (size_t i = 0; i < s->meta.info.n_disks; i++)
		if (disks[i].fd >= 0)
			posix_fadvise(disks[i].fd, 0, 0, POSIX_FADV_DONTNEED);
}

int domu_image_new(struct domu_ctx *ctx, const struct domu_seal *s, size_t i, int log_fd, void *buf)
{
	const struct domu_seal_unit *u = &s->units[i];
	size_t len = domu_unit_len(s->sizes[u->disk], u->unit);
	int rc = 0;

	if (u->flags & DOMU_UNIT_NEW_ZERO)
		memset(buf, 0, DOMU_UNIT);
	else
		rc = domu_pread_full(log_fd, buf, DOMU_UNIT, u->log_offset);
	if (rc == 0) {
		memset((char *)buf + len, 0, DOMU_UNIT - len);
		if (domu_unit_crc(buf) != u->new_crc)
			rc = -EBADMSG;
	}
	return rc < 0
	           ? domu_fail(ctx, DOMU_UNRECOVERED, rc,
	                       "commit %s: its log is damaged at byte %" PRIu64 " (block %" PRIu64 " of %s): %s",
	                       s->meta.info.id, u->log_offset, u->unit, s->meta.info.disks[u->disk].vdev, strerror(-rc))
	           : 0;
}

int domu_image_old(struct domu_ctx *ctx, const struct domu_seal *s, size_t i, int undo_fd, void *buf)
{
	const struct domu_seal_unit *u = &s->units[i];
	int rc = 0;

	if (u->flags & DOMU_UNIT_OLD_ZERO)
		memset(buf, 0, DOMU_UNIT);
	else
		rc = domu_pread_full(undo_fd, buf, DOMU_UNIT, (1 + (uint64_t)i) * DOMU_UNIT);
	if (rc == 0 && domu_unit_crc(buf) != u->old_crc)
		rc = -EBADMSG;
	return rc < 0 ? domu_fail(ctx, DOMU_FAILED, rc,
	                          "commit %s: its undo file is damaged at block %zu (block %" PRIu64 " of %s): %s",
	                          s->meta.info.id, i, u->unit, s->meta.info.disks[u->disk].vdev, strerror(-rc))
	              : 0;
}

/* ---- the undo file: a header of one unit, then the pre-images in the seal's order, zeros as holes ---- */

char *domu_undo_path(const struct domu_meta *m, const char *dir)
{
	return m->undo_path != NULL ? strdup(m->undo_path) : domu_text("%s/undo", dir);
}

static void head_make(uint8_t b[512], const char *id)
{
	memset(b, 0, 512);
	memcpy(b, UNDO_MAGIC, 8);
	domu_put_le32(b + 8, DOMU_UNDO_FORMAT);
	domu_put_le32(b + 12, DOMU_UNIT);
	snprintf((char *)b + 16, DOMU_ID_LEN + 1, "%s", id);
	domu_put_le32(b + 508, ~domu_crc32c(~0u, b, 508));
}

int domu_undo_create(struct domu_ctx *ctx, const struct domu_meta *m, const char *dir, int *fd)
{
	char *path = domu_undo_path(m, dir);
	/* In a folder that the user named nothing is replaced. */
	int flags = m->undo_path != NULL ? O_EXCL : O_TRUNC, rc = 0;
	uint8_t b[512];

	*fd = -1;
	if (path == NULL)
		return domu_nomem(ctx);
	*fd = ctx->io->open(path, O_RDWR | O_CREAT | O_NOFOLLOW | flags, 0600);
	head_make(b, m->info.id);
	rc = *fd < 0 ? -errno : domu_pwrite_full(ctx->io, *fd, b, sizeof b, 0);
	if (rc < 0) {
		domu_fail(ctx, DOMU_FAILED, rc, "%s: cannot be written: %s", path, strerror(-rc));
		if (*fd >= 0)
			ctx->io->close(*fd);
		*fd = -1;
	}
	free(path);
	return rc;
}

int domu_undo_open(struct domu_ctx *ctx, const struct domu_meta *m, const char *dir, int *fd)
{
	char *path = domu_undo_path(m, dir);
	uint8_t b[512], good[512];
	int rc = 0;

	*fd = -1;
	if (path == NULL)
		return domu_nomem(ctx);
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	rc = *fd < 0 ? -errno : domu_pread_full(*fd, b, sizeof b, 0);
	head_make(good, m->info.id);
	if (rc < 0)
		domu_fail(ctx, DOMU_FAILED, rc, "%s: cannot be read: %s", path, strerror(-rc));
	else if (memcmp(b, good, 8) == 0 && domu_le32(b + 8) > DOMU_UNDO_FORMAT)
		rc = domu_fail(ctx, DOMU_UNRECOVERED, -EPROTO,
		               "%s: written by a newer version of domu-rescue: use that one", path);
	else if (memcmp(b, good, sizeof b) != 0)
		rc = domu_fail(ctx, DOMU_FAILED, -EBADMSG, "%s: not the undo file of commit %s", path, m->info.id);
	if (rc < 0 && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	free(path);
	return rc;
}

/* Its name has the commit's ID: a power cut may have left it without the bytes. */
bool domu_undo_is_torn(const char *path)
{
	static const uint8_t zeros[512];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint8_t b[512];
	struct stat st;
	bool torn = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	            (st.st_size < (off_t)sizeof b ||
	             (domu_pread_full(fd, b, sizeof b, 0) == 0 && memcmp(b, zeros, sizeof b) == 0));

	if (fd >= 0)
		close(fd);
	return torn;
}
