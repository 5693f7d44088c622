/* SPDX-License-Identifier: GPL-3.0-or-later */
/* unpack.c - what a file or a piece of memory holds that was compressed. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/lib-archive.h"
#include "task/tar.h"

struct unpack {
	struct domu_ctx *ctx;
	const struct domu_unpack *u;
	int rc;
};

static la_ssize_t more(struct archive *a, void *user, const void **bytes)
{
	struct unpack *p = user;
	ssize_t n = p->u->more(p->u->user, bytes);

	if (n < 0) {
		p->rc = (int)n;
		archive_set_error(a, -(int)n, "%s", strerror(-(int)n));
		return -1;
	}
	return n;
}

static int take_all(struct unpack *p, struct archive *a)
{
	const void *bytes;
	la_int64_t offset;
	size_t len;
	int r, rc = 0;

	while (rc == 0 && (r = archive_read_data_block(a, &bytes, &len, &offset)) != ARCHIVE_EOF) {
		if (r < ARCHIVE_WARN)
			return -EBADMSG;
		if (domu_interrupted(p->ctx))
			return domu_fail(p->ctx, DOMU_DECLINED, -EINTR, "interrupted");
		rc = len > 0 ? p->u->take(p->u->user, bytes, len) : 0;
	}
	return rc;
}

int domu_unpack(struct domu_ctx *ctx, const struct domu_unpack *u)
{
	struct unpack p = { .ctx = ctx, .u = u };
	struct archive *a = archive_read_new();
	struct archive_entry *ae;
	int r, rc = 0;

	if (a == NULL)
		return domu_nomem(ctx);
	/* Not all that it has: some call programs. */
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_format_raw(a);
	if (archive_read_open(a, &p, NULL, more, NULL) != ARCHIVE_OK)
		rc = -EBADMSG;
	if (rc == 0 && (r = archive_read_next_header(a, &ae)) != ARCHIVE_EOF)
		rc = r >= ARCHIVE_WARN ? take_all(&p, a) : -EBADMSG;
	if (p.rc != 0)
		rc = p.rc;
	else if (rc == -EBADMSG && ctx->error.status == DOMU_OK)
		domu_fail(ctx, DOMU_FAILED, rc, "what is compressed is damaged: %s",
		          archive_error_string(a) != NULL ? archive_error_string(a) : "it cannot be read");
	archive_read_free(a);
	return rc;
}
