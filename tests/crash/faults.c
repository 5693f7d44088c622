/* SPDX-License-Identifier: GPL-3.0-or-later */
/* faults.c - mistakes that are linked into the program's own functions, to see whether the explorer finds them. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "crash.h"

unsigned fault;

enum {
	NONE,
	LOG_UNSYNCED,
	UNDO_UNSYNCED,
	SEAL_UNSYNCED,
	FOLDER_UNSYNCED,
	PENDING_UNSYNCED,
	DOOR_UNSYNCED,
	BLOCKS_UNSYNCED,
	OPENING_UNSYNCED,
	LENGTH_UNSYNCED,
	SEAL_CHECKSUM,
	IMAGE_CHECKSUM,
	IDENTITY,
	DOOR_EARLY,
	BLOCKS_FIRST,
	SEAL_LATE,
	MARK_EARLY,
	MARK_BEFORE_BLOCKS,
	OTHER_DOOR_FIRST,
	NO_DOOR,
	HALF_DOORS,
	RECOVER_UNSYNCED,
	UNDONE_LEFT_OUT,
	LOG_KEPT,
};

/* In the order of the enum. */
const struct fault faults[] = {
	[LOG_UNSYNCED] = { "log-unsynced", "the log is not synced before the seal", "edit", NULL },
	[UNDO_UNSYNCED] = { "undo-unsynced", "the undo file is not synced", "edit", NULL },
	[SEAL_UNSYNCED] = { "seal-unsynced", "the seal is not synced before the doors close", "edit", NULL },
	[FOLDER_UNSYNCED] = { "folder-unsynced", "the names in the commit's folder are not synced", "edit", NULL },
	[PENDING_UNSYNCED] = { "pending-unsynced", "the name of the commit's folder is not synced", "edit", NULL },
	[DOOR_UNSYNCED] = { "door-unsynced", "the doors are not synced before the blocks", "edit", NULL },
	[BLOCKS_UNSYNCED] = { "blocks-unsynced", "the blocks are not synced before the doors open", "edit", NULL },
	[OPENING_UNSYNCED] = { "opening-unsynced", "open doors are not synced before the mark", "edit", NULL },
	[LENGTH_UNSYNCED] = { "length-unsynced", "the new length of an image is not synced", "resize",
	                      "a length that is lost is made again by recover, which needs it before it writes; the "
	                      "sync "
	                      "of the blocks covers it for good" },
	[SEAL_CHECKSUM] = { "seal-checksum", "the checksums of seal and log are not looked at", "edit tree", NULL },
	[IMAGE_CHECKSUM] = { "image-checksum", "new blocks are written whatever their checksum says", "edit tree",
	                     "the log is synced before there is a seal: a cut leaves no block in it that is not what "
	                     "was "
	                     "sealed; the checksum is for disks that rot" },
	[IDENTITY] = { "identity", "the identity of a disk is not looked at", "edit", NULL },
	[DOOR_EARLY] = { "door-early", "the doors are opened before the blocks are written", "edit", NULL },
	[BLOCKS_FIRST] = { "blocks-first", "the blocks are written before the doors close", "edit", NULL },
	[SEAL_LATE] = { "seal-late", "the doors are closed before the seal is written", "edit", NULL },
	[MARK_EARLY] = { "mark-early", "the mark is written before the doors are open", "edit", NULL },
	[MARK_BEFORE_BLOCKS] = { "mark-before-blocks", "the mark is written before the blocks", "edit", NULL },
	[OTHER_DOOR_FIRST] = { "other-door-first", "the root's door is closed last and opened first", "two", NULL },
	[NO_DOOR] = { "no-door", "no door is closed", "edit", NULL },
	[HALF_DOORS] = { "half-doors", "only the root's door is closed", "two", NULL },
	[RECOVER_UNSYNCED] = { "recover-unsynced", "recover marks what it finds new without writing it again", "edit",
	                       NULL },
	[UNDONE_LEFT_OUT] = { "undone-left-out", "what was undone is not marked so", "undo", NULL },
	[LOG_KEPT] = { "log-kept", "a log whose sync failed is synced again and taken for synced", "edit", NULL },
	{ NULL, NULL, NULL, NULL },
};

unsigned fault_find(const char *name)
{
	for (unsigned i = 1; faults[i].name != NULL; i++)
		if (strcmp(faults[i].name, name) == 0)
			return i;
	return 0;
}

bool fault_drops_sync(const char *name, bool is_dir, bool is_disk, unsigned nth)
{
	if (is_dir)
		return (fault == FOLDER_UNSYNCED && domu_id_valid(name)) ||
		       (fault == PENDING_UNSYNCED && strcmp(name, "pending") == 0);
	if (is_disk)
		return (fault == DOOR_UNSYNCED && nth == 1) || (fault == BLOCKS_UNSYNCED && nth == 2) ||
		       (fault == OPENING_UNSYNCED && nth == 3) || (fault == LENGTH_UNSYNCED && nth == 1);
	return (fault == LOG_UNSYNCED && strcmp(name, "log") == 0) ||
	       (fault == UNDO_UNSYNCED && strcmp(name, "undo") == 0) ||
	       (fault == SEAL_UNSYNCED && strcmp(name, "seal") == 0 && nth == 1);
}

/* ---- in place of the functions themselves: see --wrap in ld(1) ------------------------------- */

uint32_t __real_domu_crc32c(uint32_t crc, const void *p, size_t len);
uint32_t __wrap_domu_crc32c(uint32_t crc, const void *p, size_t len);
uint32_t __wrap_domu_crc32c(uint32_t crc, const void *p, size_t len)
{
	return fault == SEAL_CHECKSUM ? 0 : __real_domu_crc32c(crc, p, len);
}

int __real_domu_image_new(struct domu_ctx *ctx, const struct domu_seal *s, size_t i, int log_fd, void *buf);
int __wrap_domu_image_new(struct domu_ctx *ctx, const struct domu_seal *s, size_t i, int log_fd, void *buf);
int __wrap_domu_image_new(struct domu_ctx *ctx, const struct domu_seal *s, size_t i, int log_fd, void *buf)
{
	int rc = __real_domu_image_new(ctx, s, i, log_fd, buf);

	if (fault != IMAGE_CHECKSUM || rc != -EBADMSG)
		return rc;
	domu_error_clear(ctx);
	return 0;
}

int __real_domu_identity_check(struct domu_ctx *ctx, enum domu_status status, const struct domu_identity *id,
                               uint64_t size, int fd);
int __wrap_domu_identity_check(struct domu_ctx *ctx, enum domu_status status, const struct domu_identity *id,
                               uint64_t size, int fd);
int __wrap_domu_identity_check(struct domu_ctx *ctx, enum domu_status status, const struct domu_identity *id,
                               uint64_t size, int fd)
{
	return fault == IDENTITY ? 0 : __real_domu_identity_check(ctx, status, id, size, fd);
}

int __real_domu_apply_close_doors(struct domu_apply *a);
int __real_domu_apply_units(struct domu_apply *a);
int __real_domu_apply_open_doors(struct domu_apply *a);
int __wrap_domu_apply_close_doors(struct domu_apply *a);
int __wrap_domu_apply_units(struct domu_apply *a);
int __wrap_domu_apply_open_doors(struct domu_apply *a);

static void turn_roots(struct domu_apply *a)
{
	for (size_t i = 0; i < a->seal->n_doors; i++)
		a->seal->doors[i].root = !a->seal->doors[i].root;
}

/* The seal has all of them. */
static int close_root_only(struct domu_apply *a)
{
	struct domu_seal seal = *a->seal;
	struct domu_apply b = *a;

	for (size_t i = 0; i < seal.n_doors; i++)
		if (seal.doors[i].root) {
			seal.doors += i;
			break;
		}
	seal.n_doors = 1;
	b.seal = &seal;
	return __real_domu_apply_close_doors(&b);
}

/* Does the disk, as it can be read now, hold everything?  Then recover has found that. */
static bool is_new(const struct domu_apply *a)
{
	const struct domu_seal *seal = a->seal;
	uint8_t now[DOMU_UNIT], image[DOMU_UNIT];
	bool same = true;

	for (size_t i = 0; i < seal->n_doors && same; i++) {
		const struct domu_seal_door *d = &seal->doors[i];

		same = domu_disk_read(a->ctx, a->disks[d->disk].fd, "", seal->sizes[d->disk], now, d->size,
		                      d->offset) == 0 &&
		       memcmp(now, d->new_image, d->size) == 0;
	}
	for (size_t i = 0; i < seal->n_units && same; i++) {
		const struct domu_seal_unit *u = &seal->units[i];

		same = domu_disk_read(a->ctx, a->disks[u->disk].fd, "", seal->sizes[u->disk], now, DOMU_UNIT,
		                      u->unit * DOMU_UNIT) == 0 &&
		       domu_image_new(a->ctx, seal, i, a->log_fd, image) == 0 && memcmp(now, image, DOMU_UNIT) == 0;
	}
	return same;
}

/* The first door, as the disk has it now. */
static bool is_closed(const struct domu_apply *a)
{
	const struct domu_seal_door *d = a->seal->doors;
	char id[DOMU_ID_LEN + 1];
	uint8_t sector[SECTOR];

	return a->seal->n_doors > 0 && domu_pread_full(a->disks[d->disk].fd, sector, SECTOR, d->offset) == 0 &&
	       domu_door_is_closed(sector, SECTOR, id);
}

static char *late_seal_path;

int __wrap_domu_apply_close_doors(struct domu_apply *a)
{
	int rc = 0;

	if (fault == RECOVER_UNSYNCED && is_new(a))
		return 0;
	if (fault == BLOCKS_FIRST)
		rc = __real_domu_apply_units(a);
	if (fault == OTHER_DOOR_FIRST)
		turn_roots(a);
	if (rc == 0 && fault == HALF_DOORS)
		rc = close_root_only(a);
	else if (rc == 0 && fault != NO_DOOR)
		rc = __real_domu_apply_close_doors(a);
	if (fault == OTHER_DOOR_FIRST)
		turn_roots(a);
	return rc;
}

int __real_domu_seal_mark(struct domu_ctx *ctx, const char *path, enum domu_mark mark);
int __wrap_domu_seal_mark(struct domu_ctx *ctx, const char *path, enum domu_mark mark);
int __real_domu_seal_write(struct domu_ctx *ctx, int fd, const struct domu_seal *s);
int __wrap_domu_seal_write(struct domu_ctx *ctx, int fd, const struct domu_seal *s);

static char *seal_of(const struct domu_apply *a)
{
	return text("%s/w/state/pending/%s/seal", world.dir, a->seal->meta.info.id);
}

static int mark_now(const struct domu_apply *a)
{
	char *path = seal_of(a);
	int rc = __real_domu_seal_mark(a->ctx, path, DOMU_MARK_APPLIED);

	free(path);
	return rc;
}

static int write_late_seal(struct domu_apply *a)
{
	int fd = a->ctx->io->open(late_seal_path, O_RDWR, 0600);
	int rc = fd < 0 ? -1 : __real_domu_seal_write(a->ctx, fd, a->seal);

	if (fd >= 0)
		a->ctx->io->close(fd);
	free(late_seal_path);
	late_seal_path = NULL;
	return rc;
}

int __wrap_domu_apply_units(struct domu_apply *a)
{
	int rc = 0;

	if (fault == RECOVER_UNSYNCED && !is_closed(a))
		return 0;
	if (late_seal_path != NULL)
		rc = write_late_seal(a);
	if (rc == 0 && fault == DOOR_EARLY)
		rc = __real_domu_apply_open_doors(a);
	if (rc == 0 && fault == MARK_BEFORE_BLOCKS)
		rc = mark_now(a);
	return rc == 0 ? __real_domu_apply_units(a) : rc;
}

int __wrap_domu_apply_open_doors(struct domu_apply *a)
{
	int rc = fault == MARK_EARLY ? mark_now(a) : 0;

	if (fault == RECOVER_UNSYNCED && !is_closed(a))
		return 0;

	if (fault == OTHER_DOOR_FIRST)
		turn_roots(a);
	if (rc == 0)
		rc = __real_domu_apply_open_doors(a);
	if (fault == OTHER_DOOR_FIRST)
		turn_roots(a);
	return rc;
}

int __wrap_domu_seal_write(struct domu_ctx *ctx, int fd, const struct domu_seal *s)
{
	if (fault != SEAL_LATE)
		return __real_domu_seal_write(ctx, fd, s);
	late_seal_path = text("%s/w/state/pending/%s/seal", world.dir, s->meta.info.id);
	return 0;
}

int __wrap_domu_seal_mark(struct domu_ctx *ctx, const char *path, enum domu_mark mark)
{
	return __real_domu_seal_mark(ctx, path, mark);
}

int __real_domu_state_finish(struct domu_state *st, const char *id, const struct domu_seal *seal);
int __wrap_domu_state_finish(struct domu_state *st, const char *id, const struct domu_seal *seal);
int __wrap_domu_state_finish(struct domu_state *st, const char *id, const struct domu_seal *seal)
{
	struct domu_seal s = *seal;

	if (fault == UNDONE_LEFT_OUT)
		s.meta.info.undoes = NULL;
	return __real_domu_state_finish(st, id, &s);
}

int __real_domu_stage_rewrite_log(struct domu_stage *s);
int __wrap_domu_stage_rewrite_log(struct domu_stage *s);
int __wrap_domu_stage_rewrite_log(struct domu_stage *s)
{
	return fault == LOG_KEPT ? 0 : __real_domu_stage_rewrite_log(s);
}
