/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-du.c - du: what trees take of their filesystems, each inode counted once. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/visited.h"
#include "shell/cmd.h"
#include "shell/fmt.h"

enum { DU_PATH, DU_SIZE, DU_SHOWN, DU_GUEST };

static const struct domu_column columns[] = {
	{ "path", NULL, CELL_BYTES }, { "size", NULL, CELL_SIZE },
	{ "", NULL, CELL_BYTES }, /* the path as du prints it */
	{ "guest", NULL, CELL_TEXT }, { NULL, NULL, CELL_TEXT },
};

#define NO_LIMIT 1000000u

struct du {
	struct domu_run *r;
	struct domu_tree *tree;
	struct domu_scans *scans;
	struct domu_visited seen;
	bool all, one_fs, apparent, total;
	bool several; /* operands: every inode counts in the first only */
	unsigned max_depth;
	unsigned mount; /* of the start */
	/* Bytes of what was met at each depth since the last directory above it. */
	uint64_t *sum;
	size_t n_sum;
	uint64_t grand;
	int failed;
};

static int show(struct du *d, const char *path, const char *shown, uint64_t size)
{
	struct domu_out *o = d->r->out;

	domu_row_text(o, path);
	domu_row_number(o, size);
	domu_row_text(o, shown);
	domu_row_text(o, d->r->guest);
	return domu_row_end(o);
}

static int room(struct du *d, unsigned depth)
{
	size_t n = d->n_sum;
	uint64_t *v;

	if (depth + 2 <= n)
		return 0;
	v = reallocarray(d->sum, depth + 64, sizeof *v);
	if (v == NULL)
		return domu_nomem(d->r->ctx);
	memset(v + n, 0, (depth + 64 - n) * sizeof *v);
	d->sum = v;
	d->n_sum = depth + 64;
	return 0;
}

/* 1: counts, 0: was counted before. */
static int counts(struct du *d, const struct domu_path *w)
{
	int rc;

	if (!d->several && (w->st.nlink < 2 || S_ISDIR(w->st.mode)))
		return 1;
	rc = domu_visit(&d->seen, w->node, w->ino);
	return rc == -ELOOP ? 0 : rc != 0 ? domu_nomem(d->r->ctx) : 1;
}

/* After what is in it, where it is a directory. */
static int each(void *user, const struct domu_walk_entry *e)
{
	struct du *d = user;
	const struct domu_path *w = e->where;
	bool dir = S_ISDIR(w->st.mode);
	uint64_t size;
	int rc;

	if (e->err != 0) {
		domu_run_unreadable(d->r, e->path, e->err, &d->failed);
		return 0;
	}
	rc = room(d, e->depth);
	if (rc == 0)
		rc = counts(d, w);
	if (rc < 0)
		return rc;
	size = dir ? d->sum[e->depth + 1] : 0;
	if (dir)
		d->sum[e->depth + 1] = 0;
	if (rc == 0 || (d->one_fs && w->mount != d->mount)) {
		d->sum[e->depth] += size;
		return 0;
	}
	size += d->apparent ? w->st.size : w->st.sectors * 512;
	d->sum[e->depth] += size;
	if ((!dir && !d->all && e->depth > 0) || e->depth > d->max_depth)
		return 0;
	return show(d, w->path, e->path, size);
}

static int start_at(struct domu_run *r, size_t i, void *user)
{
	struct du *d = user;
	const struct domu_walk_opts opts = {
		.max_depth = ~0u, .one_fs = d->one_fs, .post_order = true, .read_only = true, .scans = d->scans
	};
	const char *path = i != SIZE_MAX ? domu_run_path(r, i) : NULL;
	struct domu_path *where = malloc(sizeof *where);
	char *shown = NULL;
	int rc, n;

	if (path == NULL)
		path = r->in_shell ? "." : "/";
	n = r->many ? asprintf(&shown, "%s:%s", r->guest, path) : asprintf(&shown, "%s", path);
	if (n < 0 || where == NULL) {
		free(n >= 0 ? shown : NULL);
		free(where);
		return domu_nomem(r->ctx);
	}
	rc = domu_path_walk(d->tree, r->cwd, path, DOMU_WALK_NOFOLLOW, where);
	d->mount = rc == 0 ? where->mount : 0;
	if (rc == 0)
		rc = domu_walk_tree(d->tree, where, shown, &opts, each, d);
	if (d->n_sum > 0) {
		d->grand += d->sum[0];
		memset(d->sum, 0, d->n_sum * sizeof *d->sum);
	}
	free(where);
	free(shown);
	return rc;
}

static int depth_option(struct du *d, const struct domu_args *a)
{
	const char *word = domu_args_value(a, "max-depth");
	char *end;
	unsigned long v;

	d->max_depth = domu_args_flag(a, "s") ? 0 : NO_LIMIT;
	if (domu_args_flag(a, "s") && d->all)
		return domu_fail(d->r->ctx, DOMU_USAGE, -EINVAL,
		                 "du: -s shows a sum and -a every file: give one of them");
	if (word == NULL)
		return 0;
	v = *word >= '0' && *word <= '9' ? strtoul(word, &end, 10) : (end = (char *)"x", 0);
	if (*end != '\0' || v > NO_LIMIT)
		return domu_fail(d->r->ctx, DOMU_USAGE, -EINVAL, "du: not a depth: %s", word);
	if (domu_args_flag(a, "s") && v != 0)
		return domu_fail(d->r->ctx, DOMU_USAGE, -EINVAL, "du: -s is --max-depth=0, not %s", word);
	d->max_depth = (unsigned)v;
	return 0;
}

static int run(struct domu_run *r)
{
	const struct domu_args *a = r->args;
	struct du d = { .r = r,
		        .all = domu_args_flag(a, "a"),
		        .one_fs = domu_args_flag(a, "x"),
		        .total = domu_args_flag(a, "c"),
		        .apparent = domu_args_flag(a, "apparent-size") || domu_args_flag(a, "b"),
		        .several = domu_args_count(a) > 1 };
	const struct domu_mount *mounts;
	size_t n;
	int rc = depth_option(&d, a);

	if (rc == 0)
		rc = domu_work_tree(r->work, r->use, &d.tree);
	if (rc == 0)
		rc = domu_tree_mounts(d.tree, &mounts, &n);
	if (rc == 0)
		rc = domu_scans_new(d.tree, &d.scans);
	if (rc == 0)
		rc = domu_run_each(r, 0, start_at, &d);
	if (d.total && !domu_run_is_over(rc))
		show(&d, "total", "total", d.grand);
	rc = domu_run_walked(r, rc, d.failed);
	domu_scans_free(d.scans);
	domu_visited_free(&d.seen);
	free(d.sum);
	return rc;
}

/* ---- in the front ------------------------------------------------------------------------ */

static int row(struct domu_out *o, const struct domu_cell *c, size_t n, void *user)
{
	const struct domu_run *r = user;
	const struct domu_args *a = r->args;
	char letter = domu_args_last(a, "hkmb"), text[DOMU_HUMAN_TEXT];
	uint64_t size = c[DU_SIZE].number, unit = letter == 'b' ? 1 : letter == 'm' ? 1 << 20 : 1 << 10;
	char *shown = domu_name_shown(o, c[DU_SHOWN].text, c[DU_SHOWN].len);

	(void)n;
	if (letter == 'h') {
		domu_human(size, text);
		domu_out_print(o, "%s\t", text);
	} else {
		domu_out_print(o, "%" PRIu64 "\t", size / unit + (size % unit != 0));
	}
	domu_out_print(o, "%s\n", shown != NULL ? shown : "");
	free(shown);
	return domu_out_print(o, "%s", "");
}

static const struct domu_layout layout = { .row = row };

static const struct domu_arg args[] = {
	{ "GUEST:PATH", ARG_GUEST_DIR, COUNT_SOME },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option options[] = {
	{ "all", 'a', NULL, "every file, not only directories" },
	{ "apparent-size", 0, NULL, "what files hold, not what they take" },
	{ "bytes", 'b', NULL, "--apparent-size in bytes" },
	{ "total", 'c', NULL, "the sum of all at the end" },
	{ "max-depth", 'd', "N", "show directories at most N levels below" },
	{ "human-readable", 'h', NULL, "sizes like 1K 234M 2G" },
	{ NULL, 'k', NULL, "in KiB (as without an option)" },
	{ NULL, 'm', NULL, "in MiB" },
	{ "summarize", 's', NULL, "only the sum of each path" },
	{ "one-file-system", 'x', NULL, "stay in one filesystem" },
	{ NULL, 0, NULL, NULL },
};

static const struct domu_missing missing[] = {
	{ "-t", " (du ... | awk '$1 > N')" },
	{ "--threshold", " (du ... | awk '$1 > N')" },
	{ "--exclude", " (find ... ! -path PATTERN -printf '%k %p\\n')" },
	{ "-l", " (each file is counted once)" },
	{ "-L", " (links are not followed: name what they lead to)" },
	{ "--time", " (find -printf '%k %TY-%Tm-%Td %p\\n')" },
	{ 0 },
};

const struct domu_command domu_cmd_du = {
	.name = "du",
	.topic = "reading",
	.summary = "what directories take of the disk",
	.description = "Sizes are in KiB, rounded up.  An inode with several names counts once.",
	.args = args,
	.options = options,
	.columns = columns,
	.example = "domu-rescue du -sh web1:/var",
	.missing = missing,
	.needs = NEED_GUEST | WALKS,
	.worker = run,
	.layout = &layout,
};
