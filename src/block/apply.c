/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apply.c - steps 4 to 6 of a commit: doors closed, units written, doors opened. Nothing else writes to a disk. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/num.h"
#include "block/commit-private.h"

#define BUFFER (DOMU_WINDOW * DOMU_UNIT)

static int write_failed(struct domu_apply *a, unsigned disk, const char *what, uint64_t offset, int err)
{
	const struct domu_commit_info *ci = &a->seal->meta.info;

	return domu_fail(a->ctx, DOMU_UNRECOVERED, err,
	                 "%s: %s at byte %" PRIu64 " failed: %s: commit %s was cut short: when the cause is mended, "
	                 "domu-rescue recover %s",
	                 ci->disks[disk].vdev, what, offset, strerror(-err), ci->id, domu_commit_guest(ci));
}

static int put(struct domu_apply *a, unsigned disk, const void *p, size_t len, uint64_t offset)
{
	int rc = domu_pwrite_full(a->ctx->io, a->disks[disk].fd, p, len, offset);

	return rc < 0 ? write_failed(a, disk, "writing", offset, rc) : 0;
}

static int sync_disk(struct domu_apply *a, unsigned disk)
{
	return a->ctx->io->fdatasync(a->disks[disk].fd) < 0 ? write_failed(a, disk, "syncing", 0, -errno) : 0;
}

/* ---- lengths ------------------------------------------------------------------------ */

int domu_apply_lengths(struct domu_apply *a)
{
	const struct domu_seal *s = a->seal;

	for (size_t i = 0; i < s->n_units; i++) {
		unsigned disk = s->units[i].disk;
		const struct domu_identity *id = &s->meta.info.disks[disk];
		uint64_t size;
		int rc;

		/* The last unit of each disk tells how long it has to be. */
		if (i + 1 < s->n_units && s->units[i + 1].disk == disk)
			continue;
		rc = domu_fd_size(a->disks[disk].fd, &size);
		if (rc < 0)
			return domu_fail(a->ctx, DOMU_FAILED, rc, "%s: %s", id->path, strerror(-rc));
		if (size >= s->sizes[disk])
			continue;
		if (id->inode == 0)
			return domu_fail(a->ctx, DOMU_FAILED, -ENOSPC,
			                 "%s: %s has %" PRIu64 " bytes, the stage has %" PRIu64 ": nothing was written",
			                 id->vdev, id->path, size, s->sizes[disk]);
		if (a->ctx->io->ftruncate(a->disks[disk].fd, (off_t)s->sizes[disk]) < 0)
			return domu_fail(a->ctx, DOMU_FAILED, -errno, "%s: %s cannot grow: %s", id->vdev, id->path,
			                 strerror(errno));
		rc = domu_fdatasync(a->ctx, a->disks[disk].fd, id->path);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- doors --------------------------------------------------------------------------- */

/* The door that is closed first and opened last: no guest boots as long as anything is half done. */
static size_t key_door(const struct domu_seal *s)
{
	for (size_t i = 0; i < s->n_doors; i++)
		if (s->doors[i].root)
			return i;
	return 0;
}

static int put_door(struct domu_apply *a, size_t i, bool close)
{
	const struct domu_seal_door *d = &a->seal->doors[i];

	return put(a, d->disk, close ? d->closed : d->new_image, d->size, d->offset);
}

/* All doors but the key, then their disks synced: doors are sorted by disk. */
static int put_others(struct domu_apply *a, bool close)
{
	const struct domu_seal *s = a->seal;
	size_t key = key_door(s);
	bool written[DOMU_MAX_DISKS] = { false };
	int rc = 0;

	for (size_t i = 0; i < s->n_doors && rc == 0; i++) {
		if (i == key)
			continue;
		rc = put_door(a, i, close);
		written[s->doors[i].disk] = true;
	}
	for (unsigned disk = 0; disk < DOMU_MAX_DISKS && rc == 0; disk++)
		if (written[disk])
			rc = sync_disk(a, disk);
	return rc;
}

static int put_key(struct domu_apply *a, bool close)
{
	size_t key = key_door(a->seal);
	int rc;

	if (a->seal->n_doors == 0)
		return 0;
	rc = put_door(a, key, close);
	return rc == 0 ? sync_disk(a, a->seal->doors[key].disk) : rc;
}

int domu_apply_close_doors(struct domu_apply *a)
{
	int rc = put_key(a, true);

	return rc == 0 ? put_others(a, true) : rc;
}

int domu_apply_open_doors(struct domu_apply *a)
{
	int rc = put_others(a, false);

	return rc == 0 ? put_key(a, false) : rc;
}

/* ---- units ---------------------------------------------------------------------------- */

/* What is contiguous is written at once: from start, len bytes in buf; or a hole of len bytes. */
struct run {
	struct domu_apply *a;
	unsigned disk;
	uint64_t start;
	uint64_t len;
	bool hole;
	bool punch; /* on this disk */
	uint8_t *buf;
};

static int write_zeros(struct run *r)
{
	memset(r->buf, 0, r->len < BUFFER ? (size_t)r->len : BUFFER);
	for (uint64_t done = 0; done < r->len;) {
		size_t n = r->len - done < BUFFER ? (size_t)(r->len - done) : BUFFER;
		int rc = put(r->a, r->disk, r->buf, n, r->start + done);

		if (rc < 0)
			return rc;
		done += n;
	}
	return 0;
}

static int end_run(struct run *r)
{
	int fd = r->a->disks[r->disk].fd, rc = 0;

	if (r->len == 0)
		return 0;
	if (!r->hole) {
		rc = put(r->a, r->disk, r->buf, (size_t)r->len, r->start);
	} else if (!r->punch || r->a->ctx->io->fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                                                 (off_t)r->start, (off_t)r->len) < 0) {
		if (r->punch && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
			return write_failed(r->a, r->disk, "making a hole", r->start, -errno);
		r->punch = false;
		rc = write_zeros(r);
	}
	r->len = 0;
	return rc;
}

/* p NULL: a hole. */
static int add(struct run *r, unsigned disk, uint64_t offset, const uint8_t *p, size_t len)
{
	bool hole = p == NULL;
	int rc = 0;

	if (len == 0)
		return 0;
	if (r->len > 0 &&
	    (r->disk != disk || r->start + r->len != offset || r->hole != hole || (!hole && r->len + len > BUFFER)))
		rc = end_run(r);
	if (rc < 0)
		return rc;
	if (r->len == 0) {
		r->disk = disk;
		r->start = offset;
		r->hole = hole;
	}
	if (!hole)
		memcpy(r->buf + r->len, p, len);
	r->len += len;
	return 0;
}

/* A unit without the door sectors in it. */
static int add_unit(struct run *r, size_t i, const uint8_t *image)
{
	const struct domu_seal *s = r->a->seal;
	const struct domu_seal_unit *u = &s->units[i];
	uint64_t start = u->unit * DOMU_UNIT;
	size_t len = domu_unit_len(s->sizes[u->disk], u->unit), first, pos = 0;
	size_t n = domu_seal_doors_in(s, u, &first);
	int rc = 0;

	if (n == 0)
		return add(r, u->disk, start, (u->flags & DOMU_UNIT_NEW_ZERO) ? NULL : image, len);
	for (size_t k = first; k < first + n && rc == 0; k++) {
		size_t door = (size_t)(s->doors[k].offset - start);

		rc = add(r, u->disk, start + pos, image + pos, door - pos);
		pos = door + s->doors[k].size;
	}
	if (rc == 0 && pos < len)
		rc = add(r, u->disk, start + pos, image + pos, len - pos);
	return rc;
}

/* A file that has holes keeps them; one that was allocated as a whole stays so. */
static bool is_sparse(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_blocks < (st.st_size + 511) / 512;
}

static void say_waiting(struct domu_apply *a, bool *said)
{
	sigset_t pending;

	if (*said || a->seal->n_doors == 0 || sigpending(&pending) < 0)
		return;
	if (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 ||
	    sigismember(&pending, SIGHUP) == 1) {
		domu_say(a->ctx, DOMU_WARNING, "the disk is closed: the commit is finished first");
		*said = true;
	}
}

int domu_apply_units(struct domu_apply *a)
{
	const struct domu_seal *s = a->seal;
	struct run r = { .a = a, .buf = malloc(BUFFER) };
	uint8_t image[DOMU_UNIT];
	bool written[DOMU_MAX_DISKS] = { false }, said = false;
	int rc = r.buf == NULL ? domu_nomem(a->ctx) : 0;

	for (size_t i = 0; i < s->n_units && rc == 0; i++) {
		unsigned disk = s->units[i].disk;

		if (a->which != DOMU_ALL_DISKS && (a->which == DOMU_BARE_DISKS) != domu_seal_is_bare(s, disk))
			continue;
		if (!written[disk]) {
			rc = end_run(&r);
			r.punch = is_sparse(a->disks[disk].fd);
			written[disk] = true;
		}
		if (rc == 0)
			rc = domu_image_new(a->ctx, s, i, a->log_fd, image);
		if (rc == 0)
			rc = add_unit(&r, i, image);
		if (i % DOMU_WINDOW == 0) {
			domu_progress(a->ctx, "committing", i, s->n_units);
			say_waiting(a, &said);
		}
	}
	if (rc == 0)
		rc = end_run(&r);
	for (unsigned disk = 0; disk < DOMU_MAX_DISKS && rc == 0; disk++)
		if (written[disk])
			rc = sync_disk(a, disk);
	if (rc == 0)
		domu_progress(a->ctx, "committing", s->n_units, s->n_units);
	free(r.buf);
	return rc;
}

/* ---- signals ----------------------------------------------------------------------------- */

/* All that could end or stop us: Ctrl-C, a hangup, a pipe that nobody reads, a file size limit. */
void domu_signals_hold(struct domu_signals *s)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS };
	sigset_t all;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		sigdelset(&all, faults[i]);
	s->held = pthread_sigmask(SIG_BLOCK, &all, &s->before) == 0;
}

void domu_signals_release(struct domu_signals *s)
{
	const struct timespec now = { 0, 0 };
	sigset_t mine;

	if (!s->held)
		return;
	/* What our own messages and writes provoked has been answered with their result. */
	sigemptyset(&mine);
	if (!sigismember(&s->before, SIGPIPE))
		sigaddset(&mine, SIGPIPE);
	if (!sigismember(&s->before, SIGXFSZ))
		sigaddset(&mine, SIGXFSZ);
	while (sigtimedwait(&mine, NULL, &now) > 0)
		;
	pthread_sigmask(SIG_SETMASK, &s->before, NULL);
	s->held = false;
}
