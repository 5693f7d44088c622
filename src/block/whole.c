/* SPDX-License-Identifier: GPL-3.0-or-later */
/* whole.c - a stage for later: its whole changes, kept through a power cut, and whether they still fit the disk. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "block/commit-private.h"

/* ---- whole changes --------------------------------------------------------------- */

static int note_whole(void *user, const struct domu_log_rec *rec, uint64_t at)
{
	struct domu_stage *s = user;

	if (rec->flags == DOMU_LOG_WHOLE)
		s->whole = at + DOMU_LOG_REC;
	return 0;
}

/* What was appended since; all of it where the log was cut back meanwhile. */
static int read_on(struct domu_ctx *ctx, struct domu_stage *s)
{
	if (s->pos.end != 0 && !domu_log_same(s->log_fd, &s->pos)) {
		memset(&s->pos, 0, sizeof s->pos);
		s->whole = 0;
	}
	return domu_log_walk(ctx, s->log_fd, "stage", &s->pos, note_whole, s);
}

int domu_stage_whole(struct domu_stage *s)
{
	int rc = read_on(s->st->ctx, s);

	/* Nothing was added: the header alone is as whole as a log can be. */
	if (rc < 0 || s->pos.end == (s->whole != 0 ? s->whole : DOMU_LOG_HEAD))
		return rc;
	rc = domu_log_end_change(s->st->ctx, s->log_fd, &s->pos);
	if (rc == 0)
		s->whole = s->pos.end;
	return rc;
}

/* Somebody may have removed what is open here. */
static int still_there(struct domu_stage *s)
{
	char *log = domu_text("%s/log", s->dir), *meta = domu_text("%s/meta", s->dir);
	struct stat mine, there;
	int rc = log == NULL || meta == NULL ? domu_nomem(s->st->ctx) : 0;

	if (rc == 0 && (fstat(s->log_fd, &mine) < 0 || stat(log, &there) < 0 || mine.st_dev != there.st_dev ||
	                mine.st_ino != there.st_ino || access(meta, F_OK) < 0))
		rc = domu_fail(s->st->ctx, DOMU_FAILED, -ENOENT,
		               "what was staged is lost: %s was removed meanwhile; nothing was written", s->dir);
	free(log);
	free(meta);
	return rc;
}

/*
 * A sync that failed is not made again: as for a commit, a seal that is there and empty says that the log has to be
 * written anew first.
 */
static int sync_log(struct domu_stage *s)
{
	struct domu_ctx *ctx = s->st->ctx;
	char *seal = domu_text("%s/seal", s->dir);
	int rc = seal == NULL ? domu_nomem(ctx) : 0, fd;

	if (rc == 0 && access(seal, F_OK) == 0)
		rc = domu_stage_rewrite_log(s);
	else if (rc == 0)
		rc = domu_fdatasync(ctx, s->log_fd, s->dir);
	if (rc < 0 && seal != NULL) {
		fd = ctx->io->open(seal, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
		if (fd >= 0)
			ctx->io->close(fd);
	}
	free(seal);
	return rc;
}

/*
 * 1. The log.  2. What describes it.  3. Their names.  Cut before the end, the stage is as it was kept before, or
 * holds more whole changes, or nothing: each change says where it ends.
 */
int domu_stage_keep(struct domu_stage *s)
{
	struct domu_ctx *ctx = s->st->ctx;
	char *pending = domu_state_path(s->st, "pending", NULL, NULL), *meta = domu_text("%s/meta", s->dir);
	int rc = pending == NULL || meta == NULL ? domu_nomem(ctx) : still_there(s), fd = -1;

	if (rc == 0)
		rc = domu_stage_whole(s);
	if (rc == 0)
		rc = sync_log(s);
	if (rc == 0) {
		fd = ctx->io->open(meta, O_RDONLY | O_NOFOLLOW, 0);
		rc = fd < 0 ? domu_fail(ctx, DOMU_FAILED, -errno, "%s: %s", meta, strerror(errno))
		            : domu_fdatasync(ctx, fd, meta);
	}
	if (rc == 0)
		rc = domu_sync_dir_of(ctx, s->dir);
	if (rc == 0)
		rc = domu_sync_dir_of(ctx, pending);
	if (fd >= 0)
		ctx->io->close(fd);
	free(pending);
	free(meta);
	return rc;
}

static void say_left_out(struct domu_stage *s)
{
	const struct domu_commit_info *ci = &s->meta.info;

	domu_say(s->st->ctx, DOMU_WARNING, "stage %s (%s): a command that was cut short is left out", ci->id,
	         ci->command != NULL ? ci->command : "");
}

/* A power cut took even the header: what may be behind it hangs on it. */
static bool has_no_head(struct domu_stage *s, uint64_t size)
{
	static const uint8_t zeros[DOMU_LOG_HEAD];
	uint8_t head[DOMU_LOG_HEAD];

	return size < sizeof head ||
	       (domu_pread_full(s->log_fd, head, sizeof head, 0) == 0 && memcmp(head, zeros, sizeof head) == 0);
}

int domu_stage_settle(struct domu_stage *s)
{
	struct domu_ctx quiet;
	uint64_t size, end;
	int rc = domu_stage_mark(s, &size);

	if (rc == 0 && has_no_head(s, size)) {
		rc = domu_stage_cut(s, 0);
		return rc == 0 ? domu_log_init(s->st->ctx, s->log_fd) : rc;
	}
	if (rc < 0)
		return rc;
	domu_ctx_quiet(&quiet, s->st->ctx);
	rc = read_on(&quiet, s);
	domu_error_clear(&quiet);
	end = s->whole != 0 ? s->whole : DOMU_LOG_HEAD;
	/* Not to be read, or no log of ours: whoever needs it says so. */
	if ((rc < 0 && rc != -EBADMSG) || s->pos.end == 0 || size <= end)
		return 0;
	if (rc < 0 || s->pos.end > end)
		say_left_out(s);
	return domu_stage_cut(s, end);
}

/* ---- does it still fit? ------------------------------------------------------------ */

/* Holes are passed over; room that was only reserved may look like data. */
static int reads_zero(struct domu_stage *s, int fd, uint64_t from, uint64_t end, bool *zero)
{
	static const uint8_t zeros[DOMU_UNIT];
	uint8_t buf[DOMU_UNIT];
	int rc = 0;

	*zero = true;
	while (rc == 0 && *zero && from < end) {
		off_t data = lseek(fd, (off_t)from, SEEK_DATA);
		size_t n = DOMU_UNIT - from % DOMU_UNIT;

		if (data < 0 && errno == ENXIO)
			break;
		if (data > (off_t)from) {
			from = (uint64_t)data;
			continue;
		}
		if (n > end - from)
			n = (size_t)(end - from);
		rc = domu_interrupted(s->st->ctx) ? -EINTR : domu_pread_full(fd, buf, n, from);
		*zero = rc == 0 && memcmp(buf, zeros, n) == 0;
		from += n;
	}
	return rc;
}

/*
 * A resize makes an image longer before its commit, and may have been cut
 * there: it ends behind all that is staged, something of which is beyond the
 * old end, and what was added holds nothing, as the stage saw it.
 */
static int accept_grown(struct domu_stage *s, unsigned disk, int fd)
{
	struct domu_identity *id = &s->meta.info.disks[disk];
	struct domu_log_entry *v = NULL;
	uint64_t size = 0, last = 0;
	bool zero = false;
	size_t n = 0;
	int rc;

	if (id->inode == 0 || fd < 0 || domu_fd_size(fd, &size) < 0 || size <= id->size || size > INT64_MAX)
		return 0;
	rc = domu_log_scan(s->st->ctx, s->log_fd, &v, &n, NULL);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (v[i].disk == disk && v[i].unit > last)
			last = v[i].unit;
	free(v);
	if (last < (id->size + DOMU_UNIT - 1) / DOMU_UNIT || last >= (size + DOMU_UNIT - 1) / DOMU_UNIT)
		return 0;
	rc = reads_zero(s, fd, id->size, size, &zero);
	if (rc < 0)
		return domu_fail(s->st->ctx, rc == -EINTR ? DOMU_DECLINED : DOMU_FAILED, rc, "%s: %s: %s", id->vdev,
		                 id->path, rc == -EINTR ? "interrupted" : strerror(-rc));
	if (zero)
		id->size = size;
	return 0;
}

int domu_stage_disks(struct domu_stage *s, const int *fds, size_t n)
{
	const struct domu_commit_info *ci = &s->meta.info;
	int rc = 0;

	if (n != ci->n_disks)
		return domu_fail(s->st->ctx, DOMU_FAILED, -ESTALE, "stage %s is of %zu disks, and there are %zu",
		                 ci->id, ci->n_disks, n);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = accept_grown(s, (unsigned)i, fds[i]);
		if (rc == 0)
			rc = domu_identity_check(s->st->ctx, DOMU_FAILED, &ci->disks[i], ci->disks[i].size, fds[i]);
	}
	return rc;
}

struct fit {
	struct domu_stage *s;
	const int *fds;
	const struct domu_log_entry *v;
	size_t n;
	uint8_t *window;
	struct domu_stage_fit *out;
};

/* How many entries from the i-th on are neighbours on one disk; at most a window. */
static size_t run_of(const struct fit *f, size_t i)
{
	size_t run = 1;

	while (run < DOMU_WINDOW && i + run < f->n && f->v[i + run].disk == f->v[i].disk &&
	       f->v[i + run].unit == f->v[i].unit + run)
		run++;
	return run;
}

static int fit_run(struct fit *f, size_t i, size_t run)
{
	struct domu_ctx *ctx = f->s->st->ctx;
	const struct domu_log_entry *e = &f->v[i];
	const struct domu_identity *id;
	uint8_t image[DOMU_UNIT];
	int rc;

	if (e->disk >= f->s->meta.info.n_disks)
		return domu_fail(ctx, DOMU_FAILED, -EBADMSG, "the stage's log names disk %u, and there are %zu",
		                 e->disk, f->s->meta.info.n_disks);
	id = &f->s->meta.info.disks[e->disk];
	rc = domu_disk_read(ctx, f->fds[e->disk], id->vdev, id->size, f->window, run * DOMU_UNIT, e->unit * DOMU_UNIT);
	for (size_t k = 0; k < run && rc == 0; k++) {
		rc = domu_log_read(ctx, f->s->log_fd, &e[k], image);
		if (domu_unit_crc(f->window + k * DOMU_UNIT) == e[k].old_crc)
			continue;
		if (f->out->changed++ == 0) {
			f->out->disk = e->disk;
			f->out->unit = e[k].unit;
		}
	}
	return rc;
}

int domu_stage_fit(struct domu_stage *s, const int *fds, size_t n, struct domu_stage_fit *out)
{
	struct domu_ctx *ctx = s->st->ctx;
	struct domu_log_entry *entries = NULL;
	struct fit f = { .s = s, .fds = fds, .out = out };
	int rc = domu_stage_disks(s, fds, n);

	memset(out, 0, sizeof *out);
	if (rc == 0)
		rc = domu_log_scan(ctx, s->log_fd, &entries, &f.n, NULL);
	if (rc < 0)
		return rc;
	f.v = entries;
	f.window = malloc(DOMU_WINDOW * DOMU_UNIT);
	if (f.window == NULL)
		rc = domu_nomem(ctx);
	/* A guest writes to a device past the page cache. */
	for (size_t i = 0; i < n; i++)
		posix_fadvise(fds[i], 0, 0, POSIX_FADV_DONTNEED);
	for (size_t i = 0, run; i < f.n && rc == 0; i += run) {
		run = run_of(&f, i);
		rc = domu_interrupted(ctx) ? domu_fail(ctx, DOMU_DECLINED, -EINTR, "interrupted") : fit_run(&f, i, run);
		domu_progress(ctx, "comparing", i, f.n);
	}
	if (rc == 0)
		domu_progress(ctx, "comparing", f.n, f.n);
	out->blocks = f.n;
	free(f.window);
	free(entries);
	return rc;
}
