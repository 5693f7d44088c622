/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctx.c - the context: first failure kept, messages passed on. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "base/io.h"

void domu_ctx_init(struct domu_ctx *ctx)
{
	memset(ctx, 0, sizeof *ctx);
	ctx->io = &domu_io_system;
}

void domu_ctx_free(struct domu_ctx *ctx)
{
	domu_error_clear(ctx);
}

void domu_error_clear(struct domu_ctx *ctx)
{
	free(ctx->error.message);
	memset(&ctx->error, 0, sizeof ctx->error);
}

struct domu_error domu_error_take(struct domu_ctx *ctx)
{
	struct domu_error kept = ctx->error;

	memset(&ctx->error, 0, sizeof ctx->error);
	return kept;
}

void domu_error_put_back(struct domu_ctx *ctx, struct domu_error kept)
{
	domu_error_clear(ctx);
	ctx->error = kept;
}

int domu_error_set(struct domu_ctx *ctx, enum domu_status status, int err, const char *message)
{
	if (err >= 0)
		err = -EIO;
	if (ctx != NULL && ctx->error.status == DOMU_OK) {
		ctx->error.status = status;
		ctx->error.err = err;
		ctx->error.message = strdup(message);
	}
	return err;
}

void domu_error_about(struct domu_ctx *ctx, const char *what)
{
	char *text;

	if (ctx->error.message == NULL || asprintf(&text, "%s: %s", what, ctx->error.message) < 0)
		return;
	free(ctx->error.message);
	ctx->error.message = text;
}

void domu_error_where(struct domu_ctx *ctx, const char *disk, const char *path)
{
	struct domu_error *e;

	if (ctx == NULL || ctx->error.status == DOMU_OK)
		return;
	e = &ctx->error;
	if (disk != NULL && e->disk[0] == '\0' && strlen(disk) < sizeof e->disk)
		memcpy(e->disk, disk, strlen(disk) + 1);
	if (path != NULL && e->path[0] == '\0' && strlen(path) < sizeof e->path)
		memcpy(e->path, path, strlen(path) + 1);
}

int domu_fail(struct domu_ctx *ctx, enum domu_status status, int err, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	err = domu_error_set(ctx, status, err, text != NULL ? text : "out of memory");
	free(text);
	return err;
}

const char *domu_guest_word(const struct domu_ctx *ctx)
{
	return ctx != NULL && ctx->guest != NULL ? ctx->guest : "GUEST";
}

void domu_say(struct domu_ctx *ctx, enum domu_level level, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (ctx == NULL || ctx->cb.message == NULL)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	ctx->cb.message(ctx->cb.user, level, text != NULL ? text : fmt);
	free(text);
}

enum domu_status domu_error_status(const struct domu_ctx *ctx)
{
	return ctx->error.status != DOMU_OK ? ctx->error.status : DOMU_FAILED;
}

int domu_ask(struct domu_ctx *ctx, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int yes;

	if (ctx == NULL || ctx->cb.ask == NULL)
		return 0;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text == NULL)
		return 0;
	yes = ctx->cb.ask(ctx->cb.user, text);
	free(text);
	return yes;
}

void domu_progress(struct domu_ctx *ctx, const char *what, uint64_t done, uint64_t total)
{
	if (ctx != NULL && ctx->cb.progress != NULL)
		ctx->cb.progress(ctx->cb.user, what, done, total);
}

bool domu_interrupted(const struct domu_ctx *ctx)
{
	return ctx != NULL && ctx->interrupted != NULL && *ctx->interrupted != 0;
}

int domu_nomem(struct domu_ctx *ctx)
{
	return domu_fail(ctx, DOMU_FAILED, -ENOMEM, "out of memory");
}
