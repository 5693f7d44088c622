/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-df.c - df: how full a guest's filesystems are. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shell/cmd.h"
#include "shell/fmt.h"

enum { DF_GUEST, DF_FILESYSTEM, DF_TYPE, DF_SIZE, DF_USED, DF_AVAIL, DF_INODES, DF_IUSED, DF_MOUNT, DF_CELLS };

static const struct domu_column columns[] = {
	{ "guest", NULL, CELL_TEXT },    { "filesystem", NULL, CELL_TEXT },    { "type", NULL, CELL_TEXT },
	{ "size", NULL, CELL_SIZE },     { "used", NULL, CELL_SIZE },          { "avail", NULL, CELL_SIZE },
	{ "inodes", NULL, CELL_NUMBER }, { "inodes_used", NULL, CELL_NUMBER }, { "mountpoint", NULL, CELL_BYTES },
	{ NULL, NULL, CELL_TEXT },
};

static int one(struct domu_run *r, struct domu_tree *t, const struct domu_mount *m)
{
	const struct domu_node *node = &domu_tree_nodes(t)->v[m->node];
	struct domu_out *o = r->out;
	struct domu_statfs sf;
	struct domu_fs *fs;
	int rc = domu_tree_fs(t, m->node, &fs);

	if (rc == 0)
		rc = domu_fs_statfs(fs, &sf);
	if (rc != 0)
		return rc;
	domu_row_text(o, r->guest);
	domu_row_text(o, node->name);
	domu_row_text(o, node->probe.type);
	domu_row_number(o, sf.size);
	domu_row_number(o, sf.size > sf.free ? sf.size - sf.free : 0);
	domu_row_number(o, sf.avail);
	domu_row_number(o, sf.files);
	domu_row_number(o, sf.files > sf.files_free ? sf.files - sf.files_free : 0);
	domu_row_text(o, m->target);
	return domu_row_end(o);
}

struct df {
	const struct domu_mount *m;
	size_t n;
	struct domu_tree *t;
	bool *wanted;
};

/* The filesystem that an operand is on; a guest alone: all. */
static int choose(struct domu_run *r, size_t i, void *user)
{
	struct df *df = user;
	struct domu_path *where;
	int rc;

	/* All that are mounted; a bind mount is on a filesystem that is there without it. */
	if (i == SIZE_MAX || domu_run_path(r, i) == NULL) {
		rc = domu_tree_enter_all(df->t);
		for (size_t k = 0; rc == 0 && k < df->n; k++)
			if (!df->m[k].bind && domu_tree_is_mounted(df->t, (unsigned)k))
				df->wanted[k] = true;
		return rc;
	}
	where = malloc(sizeof *where);
	if (where == NULL)
		return domu_nomem(r->ctx);
	rc = domu_run_walk(r, i, 0, where);
	for (size_t k = 0; rc == 0 && k < df->n; k++)
		df->wanted[k] = df->wanted[k] || k == where->mount;
	free(where);
	return rc;
}

/* The root must be readable; of the others one that is not is a warning. */
static int show(struct domu_run *r, const struct df *df)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < df->n; i++) {
		if (!df->wanted[i])
			continue;
		rc = one(r, df->t, &df->m[i]);
		if (rc != 0 && i > 0 && rc != -EPIPE) {
			domu_say(r->ctx, DOMU_WARNING, "%s",
			         r->ctx->error.message != NULL ? r->ctx->error.message : "a filesystem cannot be read");
			domu_error_clear(r->ctx);
			rc = 0;
		}
	}
	return rc;
}

static int run(struct domu_run *r)
{
	struct domu_error kept;
	struct df df = { 0 };
	int rc2, rc = domu_work_tree(r->work, r->use, &df.t);

	if (rc == 0)
		rc = domu_tree_mounts(df.t, &df.m, &df.n);
	if (rc != 0)
		return rc;
	df.wanted = calloc(df.n + 1, sizeof *df.wanted);
	if (df.wanted == NULL)
		return domu_nomem(r->ctx);
	rc = domu_run_each(r, 0, choose, &df);
	kept = domu_error_take(r->ctx);
	rc2 = show(r, &df);
	if (rc != 0)
		domu_error_put_back(r->ctx, kept);
	free(df.wanted);
	return rc != 0 ? rc : rc2;
}

/* ---- how df looks ------------------------------------------------------------------------ */

#define FIELDS   8
#define MAX_HELD 1000

struct line {
	char *field[FIELDS];
};

struct held {
	struct line v[MAX_HELD + 1]; /* the first is the heading */
	size_t n;
};

static char *amount(const struct domu_args *a, uint64_t bytes)
{
	char text[32];

	if (domu_args_flag(a, "h"))
		domu_human(bytes, text);
	else if (domu_args_flag(a, "m"))
		snprintf(text, sizeof text, "%" PRIu64, bytes / 1048576 + (bytes % 1048576 != 0));
	else
		snprintf(text, sizeof text, "%" PRIu64, bytes / 1024);
	return strdup(text);
}

static char *count(uint64_t n)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, n);
	return strdup(text);
}

static char *percent(uint64_t used, uint64_t rest)
{
	char text[24] = "-";
	double all = (double)used + (double)rest;

	if (all > 0) {
		double p = 100.0 * (double)used / all;
		unsigned whole = (unsigned)p;

		snprintf(text, sizeof text, "%u%%", whole + (p > whole));
	}
	return strdup(text);
}

static void heading(const struct domu_run *r, struct line *l)
{
	bool inodes = domu_args_flag(r->args, "i"), human = domu_args_flag(r->args, "h");

	l->field[0] = r->many ? strdup("Guest") : NULL;
	l->field[1] = strdup("Filesystem");
	l->field[2] = domu_args_flag(r->args, "T") ? strdup("Type") : NULL;
	l->field[3] = strdup(inodes                         ? "Inodes"
	                     : human                        ? "Size"
	                     : domu_args_flag(r->args, "m") ? "1M-blocks"
	                                                    : "1K-blocks");
	l->field[4] = strdup(inodes ? "IUsed" : "Used");
	l->field[5] = strdup(inodes ? "IFree" : human ? "Avail" : "Available");
	l->field[6] = strdup(inodes ? "IUse%" : "Use%");
	l->field[7] = strdup("Mounted on");
}

static void fields(struct domu_out *o, const struct domu_run *r, const struct domu_cell *c, struct line *l)
{
	const struct domu_args *a = r->args;
	bool inodes = domu_args_flag(a, "i");
	uint64_t free_inodes = c[DF_INODES].number - c[DF_IUSED].number;

	l->field[0] =
	    r->many ? domu_name_shown(o, c[DF_GUEST].text != NULL ? c[DF_GUEST].text : "", c[DF_GUEST].len) : NULL;
	l->field[1] = domu_name_shown(o, c[DF_FILESYSTEM].text, c[DF_FILESYSTEM].len);
	l->field[2] = domu_args_flag(a, "T") ? domu_name_shown(o, c[DF_TYPE].text, c[DF_TYPE].len) : NULL;
	l->field[3] = inodes ? count(c[DF_INODES].number) : amount(a, c[DF_SIZE].number);
	l->field[4] = inodes ? count(c[DF_IUSED].number) : amount(a, c[DF_USED].number);
	l->field[5] = inodes ? count(free_inodes) : amount(a, c[DF_AVAIL].number);
	l->field[6] =
	    inodes ? percent(c[DF_IUSED].number, free_inodes) : percent(c[DF_USED].number, c[DF_AVAIL].number);
	l->field[7] = domu_name_shown(o, c[DF_MOUNT].text, c[DF_MOUNT].len);
}

static int flush(struct domu_out *o, void *user)
{
	struct held *h = *domu_out_state(o);
	size_t width[FIELDS] = { 0 };

	(void)user;
	for (size_t i = 0; h != NULL && i < h->n; i++) {
		for (int k = 0; k < FIELDS; k++) {
			size_t n = h->v[i].field[k] != NULL ? domu_columns_of(h->v[i].field[k]) : 0;

			width[k] = n > width[k] ? n : width[k];
		}
	}
	for (size_t i = 0; h != NULL && i < h->n; i++) {
		for (int k = 0; k < FIELDS; k++) {
			char *f = h->v[i].field[k];
			bool left = k < 3 || k == FIELDS - 1;
			int pad = f != NULL && k < FIELDS - 1 ? (int)(width[k] - domu_columns_of(f)) : 0;

			if (f != NULL)
				domu_out_print(o, "%*s%s%*s%s", left ? 0 : pad, "", f, left ? pad : 0, "",
				               k < FIELDS - 1 ? " " : "\n");
			free(f);
		}
	}
	if (h != NULL)
		h->n = 0;
	return 0;
}

static int row(struct domu_out *o, const struct domu_cell *c, size_t n, void *user)
{
	const struct domu_run *r = user;
	struct held *h = *domu_out_state(o);

	(void)n;
	if (c[DF_FILESYSTEM].null || c[DF_TYPE].null || c[DF_MOUNT].null)
		return -EBADMSG;
	if (h == NULL) {
		h = calloc(1, sizeof *h);
		*domu_out_state(o) = h;
		if (h == NULL)
			return domu_nomem(r->ctx);
		heading(r, &h->v[h->n++]);
	}
	fields(o, r, c, &h->v[h->n++]);
	return h->n <= MAX_HELD ? 0 : flush(o, user);
}

static int end(struct domu_out *o, void *user)
{
	int rc = flush(o, user);

	free(*domu_out_state(o));
	*domu_out_state(o) = NULL;
	return rc;
}

static const struct domu_layout layout = { .row = row, .end = end, .flush = flush };

static const struct domu_arg args[] = {
	{ "GUEST:PATH", ARG_GUEST_DIR, COUNT_SOME },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option options[] = {
	{ "human-readable", 'h', NULL, "sizes like 1K 234M 2G" },
	{ "inodes", 'i', NULL, "inodes instead of blocks" },
	{ NULL, 'k', NULL, "in units of 1024 bytes (always so)" },
	{ NULL, 'm', NULL, "in units of 1 MiB" },
	{ "portability", 'P', NULL, "one line a filesystem (always so)" },
	{ "print-type", 'T', NULL, "also the type of the filesystem" },
	{ NULL, 0, NULL, NULL },
};

const struct domu_command domu_cmd_df = {
	.name = "df",
	.topic = "reading",
	.summary = "how full filesystems are",
	.description = "What the guest's fstab mounts, or the filesystem that a path is on.  Takes several guests.",
	.args = args,
	.options = options,
	.columns = columns,
	.example = "domu-rescue df -h web1",
	.needs = NEED_GUEST,
	.worker = run,
	.layout = &layout,
};
