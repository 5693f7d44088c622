/* SPDX-License-Identifier: GPL-3.0-or-later */
/* explore.c - every state that a power cut may leave of a commit is built, recovered and judged. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "crash.h"
#include "set.h"

/*
 * What a cut after the first n things done may leave: all that was synced,
 * and of what was not any part.  A write to a file stays until that file is
 * synced; a name until its folder is.  Of up to ALL_SUBSETS things every
 * subset is built; of more all beginnings, each alone, all but one, and random
 * ones.  The last write may have got as far as any of its sectors, others (of
 * many, RANDOM of them) as far as some; the length of a file may be there without the bytes.
 */
#define ALL_SUBSETS  8
#define RANDOM       12 /* subsets at each point */
#define MAX_VOLATILE 4096
#define MAX_TORN     48 /* sectors of the last write that are tried; of more, evenly chosen ones */
#define SOME_TORN    8 /* of another one */

/* What is explored, and how much of it. */
struct explorer {
	const struct workload *w;
	const struct ops *ops;
	struct model base, work; /* what is synced; with a subset of the rest */
	struct {
		size_t op;
		bool dir, new_dir; /* still to be synced */
		bool doomed; /* its sync failed: no later one brings it to the disk */
	} left[MAX_VOLATILE];
	size_t n_left;
	bool selected[MAX_VOLATILE];
	bool done;
	const char *how; /* "cut", "recover cut", "killed, then cut" */
	bool counting; /* nothing is judged */
	bool nested;
	uint64_t stride; /* of the states one in so many is judged */
	size_t at;
};

static uint64_t seed;
unsigned long limit;
static struct set seen, seen_done, counted;
static size_t deep_cuts, deep_limit;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

/* ---- one state ----------------------------------------------------------------------- */

static bool is_name(const struct op *op)
{
	return op->type == OP_NAME || op->type == OP_RENAME || op->type == OP_UNLINK;
}

static void touch(struct explorer *e, int i)
{
	if (i >= 0)
		model_revert(&e->work, &e->base, i);
}

static void revert(struct explorer *e)
{
	for (size_t i = 0; i < e->n_left; i++) {
		const struct op *op = &e->ops->v[e->left[i].op];

		if (!e->selected[i])
			continue;
		if (is_name(op)) {
			touch(e, op->dir);
			if (op->type == OP_RENAME)
				touch(e, op->new_dir);
		} else if (op->type == OP_SIZE) {
			touch(e, op->inode);
		} else {
			model_revert_part(&e->work, &e->base, op->inode, op->offset, op->len);
		}
	}
}

/* Now and then what recover did is cut itself; or recover meets what a process that was killed left unsynced. */
static void go_deeper(struct explorer *e, struct ops *did)
{
	if (did->n > 0)
		explore_from(e->w, &e->work, did, 0, "recover cut");
}

static void visit(struct explorer *e, const struct torn *torn)
{
	uint64_t key = model_hash(&e->work);
	bool fresh, deep;
	struct visit v = { .w = e->w, .state = &e->work, .done = e->done };
	struct ops did = { 0 };
	char where[160];

	if (e->counting) {
		set_add(&counted, key);
		return;
	}
	if (e->stride > 1 && key % e->stride != 0)
		return;
	fresh = set_add(&seen, key);
	if (e->done ? !set_add(&seen_done, key) : !fresh)
		return;
	snprintf(where, sizeof where, "%s after call %zu of %zu, %zu of them not synced%s%s", e->how, e->at, e->ops->n,
	         e->n_left, torn != NULL ? ", a write torn" : "", e->done ? ", reported as done" : "");
	v.where = where;
	deep = !e->nested && deep_cuts < deep_limit && key / 7 % 5 == 0;
	v.deep = deep || key % 11 == 0;
	if (judge(&v, deep ? &did : NULL) && deep && did.n > 0) {
		deep_cuts++;
		go_deeper(e, &did);
	}
	ops_free(&did);
}

/* The subset that is selected; of its write `which` as much as torn says. */
static void build(struct explorer *e, const struct torn *torn, size_t which)
{
	for (size_t i = 0; i < e->n_left; i++)
		if (e->selected[i])
			model_apply(&e->work, &e->ops->v[e->left[i].op], i == which ? torn : NULL);
	visit(e, torn);
	revert(e);
}

/* ---- all that a cut at this point may leave ------------------------------------------------ */

static void select_all(struct explorer *e, bool yes)
{
	for (size_t i = 0; i < e->n_left; i++)
		e->selected[i] = yes;
}

static uint64_t sectors_of(const struct op *op)
{
	return op->type == OP_WRITE ? (op->offset % SECTOR + op->len + SECTOR - 1) / SECTOR : 0;
}

static void tear_last(struct explorer *e)
{
	size_t last = e->n_left - 1;
	uint64_t sectors, step;

	if (e->n_left == 0)
		return;
	sectors = sectors_of(&e->ops->v[e->left[last].op]);
	step = sectors / MAX_TORN + 1;
	for (uint64_t k = 0; k < sectors; k += step) {
		struct torn t = { (long)k, false };

		select_all(e, true);
		build(e, &t, last);
		t.whole_size = true;
		build(e, &t, last);
		select_all(e, false);
		e->selected[last] = true;
		build(e, &t, last);
	}
}

/* Any write may be torn, not only the last one: with all of the rest, and by chance with three of four. */
static void tear(struct explorer *e, size_t which)
{
	uint64_t sectors = sectors_of(&e->ops->v[e->left[which].op]), step = sectors / SOME_TORN + 1;
	struct torn t = { 0 };

	select_all(e, true);
	for (uint64_t k = sectors > 0 ? rnd() % step : 0; k < sectors; k += step) {
		t.sectors = (long)k;
		t.whole_size = false;
		build(e, &t, which);
		t.whole_size = true;
		build(e, &t, which);
	}
	if (sectors == 0)
		return;
	t.sectors = (long)(rnd() % sectors);
	t.whole_size = (rnd() & 1) != 0;
	for (size_t i = 0; i < e->n_left; i++)
		e->selected[i] = i == which || (rnd() & 3) != 0;
	build(e, &t, which);
}

static void tear_any(struct explorer *e)
{
	for (size_t i = 0; i < e->n_left && i < RANDOM; i++)
		tear(e, e->n_left <= RANDOM ? i : rnd() % e->n_left);
}

static void some_subsets(struct explorer *e)
{
	size_t n = e->n_left, step = limit > 0 && n > 64 ? n / 64 + 1 : 1;

	for (size_t k = 0; k <= n; k++) {
		for (size_t i = 0; i < n; i++)
			e->selected[i] = i < k;
		if (k % step == 0 || k == n)
			build(e, NULL, 0);
	}
	for (size_t k = rnd() % step; k < n; k += step) {
		select_all(e, false);
		e->selected[k] = true;
		build(e, NULL, 0);
		select_all(e, true);
		e->selected[k] = false;
		build(e, NULL, 0);
	}
	for (unsigned k = 0; k < RANDOM; k++) {
		for (size_t i = 0; i < n; i++)
			e->selected[i] = rnd() & 1;
		build(e, NULL, 0);
	}
}

static void states_here(struct explorer *e)
{
	if (e->n_left > ALL_SUBSETS) {
		some_subsets(e);
	} else {
		for (unsigned long mask = 0; mask < 1ul << e->n_left; mask++) {
			for (size_t i = 0; i < e->n_left; i++)
				e->selected[i] = (mask >> i & 1) != 0;
			build(e, NULL, 0);
		}
	}
	tear_last(e);
	tear_any(e);
}

/* ---- along the record ------------------------------------------------------------------------ */

static bool durable(struct explorer *e, size_t i, int synced)
{
	const struct op *op = &e->ops->v[e->left[i].op];

	if (!is_name(op))
		return op->inode == synced && !e->left[i].doomed;
	if (op->dir == synced)
		e->left[i].dir = false;
	if (op->new_dir == synced)
		e->left[i].new_dir = false;
	return !e->left[i].dir && !e->left[i].new_dir;
}

/* Written again since, and synced now: what was doomed does not matter any more. */
static bool replaced(struct explorer *e, size_t i, int synced)
{
	const struct op *op = &e->ops->v[e->left[i].op];

	if (!e->left[i].doomed || op->inode != synced)
		return false;
	for (size_t k = i + 1; k < e->n_left; k++) {
		const struct op *by = &e->ops->v[e->left[k].op];

		if (is_name(by) || by->inode != synced || e->left[k].doomed)
			continue;
		if (by->type == OP_SIZE ? by->offset <= op->offset
		                        : by->offset <= op->offset && by->offset + by->len >= op->offset + op->len)
			return true;
	}
	return false;
}

static void sync_inode(struct explorer *e, int inode)
{
	size_t kept = 0;
	bool gone[MAX_VOLATILE];

	for (size_t i = 0; i < e->n_left; i++)
		gone[i] = replaced(e, i, inode);
	for (size_t i = 0; i < e->n_left; i++) {
		if (gone[i])
			continue;
		if (!durable(e, i, inode)) {
			e->left[kept++] = e->left[i];
			continue;
		}
		model_apply(&e->base, &e->ops->v[e->left[i].op], NULL);
		model_apply(&e->work, &e->ops->v[e->left[i].op], NULL);
	}
	e->n_left = kept;
}

/*
 * The kernel has told of the failure and forgets it: what was written is in
 * memory as if it were on the disk.  Lengths and holes are the file system's
 * own: it tries again, or stops altogether.
 */
static void sync_failed(struct explorer *e, int inode)
{
	for (size_t i = 0; i < e->n_left; i++)
		if (e->ops->v[e->left[i].op].type == OP_WRITE && e->ops->v[e->left[i].op].inode == inode)
			e->left[i].doomed = true;
}

static void step(struct explorer *e, size_t i)
{
	const struct op *op = &e->ops->v[i];

	if (op->type == OP_SYNC) {
		sync_inode(e, op->inode);
	} else if (op->type == OP_SYNC_FAILED) {
		sync_failed(e, op->inode);
	} else if (op->type == OP_DONE) {
		e->done = true;
	} else {
		if (e->n_left == MAX_VOLATILE)
			bail("more than %d things are not synced", MAX_VOLATILE);
		e->left[e->n_left].op = i;
		e->left[e->n_left].doomed = false;
		e->left[e->n_left].dir = true;
		e->left[e->n_left].new_dir = op->type == OP_RENAME && op->new_dir != op->dir;
		e->n_left++;
	}
}

static void along(struct explorer *e, const struct model *start, size_t from)
{
	uint64_t kept = seed;

	model_copy(&e->base, start);
	model_copy(&e->work, start);
	e->n_left = 0;
	e->done = false;
	for (e->at = 0; e->at <= e->ops->n; e->at++) {
		if (e->at >= from && violations == 0)
			states_here(e);
		if (e->at < e->ops->n)
			step(e, e->at);
	}
	model_free(&e->base);
	model_free(&e->work);
	/* The count and the judgement see the same random subsets. */
	if (e->counting)
		seed = kept;
}

void explore(const struct workload *w, const struct model *start, const struct ops *ops, size_t from, const char *how)
{
	struct explorer *e = must(calloc(1, sizeof *e));

	e->w = w;
	e->ops = ops;
	e->how = how;
	e->nested = true;
	e->stride = 1;
	if (limit > 0) {
		e->counting = true;
		along(e, start, from);
		e->stride = counted.n / (limit / 100 + 1) + 1;
		set_free(&counted);
		e->counting = false;
	}
	along(e, start, from);
	free(e);
}

/* ---- the program ------------------------------------------------------------------------------- */

static void report(const struct workload *w, size_t calls, size_t distinct)
{
	if (violations > 0)
		printf("not ok 1 - %s\n", w->what);
	else
		printf("ok 1 - %s\n", w->what);
	printf("# figures: %s: %zu distinct states of %zu calls: %lu old, %lu closed, %lu new; %lu with a guest, %lu "
	       "superseded, %lu copies, %lu recovers cut, %lu killed before; %lu failing calls; %lu stages and %lu "
	       "undos tried; %s\n",
	       w->name, distinct, calls, tally.old, tally.closed, tally.new, tally.guests, tally.superseded,
	       tally.clones, (unsigned long)deep_cuts, tally.killed, tally.failures, tally.staged, tally.undone,
	       w->doors ? guest_kind() : "no guest");
}

static void one(struct workload *w)
{
	struct explorer *e = must(calloc(1, sizeof *e));
	struct ops record = { 0 };
	struct model start;
	size_t from;

	world_open();
	workload_record(w, &start, &record, &from);
	e->w = w;
	e->ops = &record;
	e->how = "cut";
	e->stride = 1;
	if (limit > 0) {
		e->counting = true;
		along(e, &start, from);
		e->stride = counted.n / limit + 1;
		printf("# %s: %zu states, one in %lu is judged\n", w->name, counted.n, (unsigned long)e->stride);
		set_free(&counted);
		e->counting = false;
	}
	along(e, &start, from);
	if (violations == 0)
		explore_killed(w, &start, &record, from);
	if (violations == 0)
		explore_failing(w, &start, &record, from);
	report(w, record.n - from, seen.n);
	free(e);
	ops_free(&record);
	model_free(&start);
	world_close();
}

static void usage(void)
{
	fprintf(stderr, "usage: explore [--limit STATES] [--seed N] [--fault NAME] WORKLOAD\n"
	                "       explore --faults: their names, the workloads that show them, why one is harmless\n"
	                "       explore --workloads\n");
	exit(2);
}

static void list_faults(void)
{
	for (unsigned i = 1; faults[i].name != NULL; i++)
		printf("%s\t%s\t%s\t%s\n", faults[i].name, faults[i].workloads, faults[i].what,
		       faults[i].harmless != NULL ? faults[i].harmless : "");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "limit", required_argument, NULL, 'l' }, { "seed", required_argument, NULL, 's' },
		{ "fault", required_argument, NULL, 'f' }, { "faults", no_argument, NULL, 'F' },
		{ "workloads", no_argument, NULL, 'W' },   { NULL, 0, NULL, 0 },
	};
	struct workload *w;
	int c;

	seed = (uint64_t)time(NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'l')
			limit = strtoul(optarg, NULL, 10);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 'f' && (fault = fault_find(optarg)) == 0)
			usage();
		else if (c == 'F' || c == 'W') {
			if (c == 'F')
				list_faults();
			for (w = workloads; c == 'W' && w->name != NULL; w++)
				printf("%s\n", w->name);
			return 0;
		} else if (c == '?')
			usage();
	}
	if (optind + 1 != argc || (w = workload_find(argv[optind])) == NULL)
		usage();
	printf("1..1\n# seed %llu\n", (unsigned long long)seed);
	seed |= 1;
	deep_limit = limit > 0 ? 60 : SIZE_MAX;
	if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		bail("mounts: %s", strerror(errno));
	one(w);
	return violations > 0 ? 1 : 0;
}
