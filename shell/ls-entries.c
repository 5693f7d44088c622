/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ls-entries.c - the entries of a directory for ls: gathered and sorted. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "shell/ls-entries.h"

#define MAX_ENTRIES (4u << 20) /* of one directory */

void domu_ls_entries_free(struct domu_ls_entries *e)
{
	for (size_t i = 0; i < e->n; i++) {
		free(e->v[i].name);
		free(e->v[i].path);
	}
	free(e->v);
	memset(e, 0, sizeof *e);
}

static bool leads_to_dir(struct domu_ls *ls, const struct domu_path *where)
{
	struct domu_path *p = S_ISLNK(where->st.mode) ? malloc(sizeof *p) : NULL;
	bool yes = S_ISDIR(where->st.mode);

	if (p != NULL && domu_path_walk(ls->tree, "/", where->path, 0, p) == 0)
		yes = S_ISDIR(p->st.mode);
	domu_error_clear(ls->r->ctx);
	free(p);
	return yes;
}

int domu_ls_entries_add(struct domu_ls *ls, struct domu_ls_entries *e, const char *name, const struct domu_path *where,
                        int err)
{
	struct domu_ls_entry *x;

	if (e->n >= MAX_ENTRIES)
		return domu_fail(ls->r->ctx, DOMU_FAILED, -EFBIG, "a directory of more than %u entries", MAX_ENTRIES);
	if (!DOMU_ARRAY_ROOM(e->v, e->cap, e->n + 1))
		return domu_nomem(ls->r->ctx);
	x = &e->v[e->n];
	*x = (struct domu_ls_entry){ .name = strdup(name),
		                     .path = strdup(where->path),
		                     .st = where->st,
		                     .fs = where->fs,
		                     .node = where->node,
		                     .dir = where->dir,
		                     .mount = where->mount,
		                     .unreadable = err != 0,
		                     .dangling = err != 0 && S_ISLNK(where->st.mode),
		                     .leads_to_dir = ls->dirs_first && err == 0 && leads_to_dir(ls, where) };
	e->n++;
	return x->name != NULL && x->path != NULL ? 0 : domu_nomem(ls->r->ctx);
}

/* ---- sorting ---------------------------------------------------------------------- */

static int newer(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec > b->tv_sec ? -1 : 1;
	return a->tv_nsec == b->tv_nsec ? 0 : a->tv_nsec > b->tv_nsec ? -1 : 1;
}

const struct timespec *domu_ls_time(const struct domu_ls *ls, const struct domu_stat *st)
{
	return ls->time == 'c' ? &st->ctime : ls->time == 'u' ? &st->atime : &st->mtime;
}

static const char *extension(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot != NULL ? dot : "";
}

static int compare(const void *a, const void *b, void *user)
{
	const struct domu_ls_entry *x = a, *y = b;
	const struct domu_ls *ls = user;
	int c = 0;

	if (ls->dirs_first && x->leads_to_dir != y->leads_to_dir)
		return x->leads_to_dir ? -1 : 1;
	if (ls->sort == 't')
		c = newer(domu_ls_time(ls, &x->st), domu_ls_time(ls, &y->st));
	else if (ls->sort == 'S' && x->st.size != y->st.size)
		c = x->st.size > y->st.size ? -1 : 1;
	else if (ls->sort == 'X')
		c = strcmp(extension(x->name), extension(y->name));
	if (c == 0)
		c = strcmp(x->name, y->name);
	return ls->reverse ? -c : c;
}

void domu_ls_sort(struct domu_ls *ls, struct domu_ls_entries *e)
{
	if (ls->sort != 'U' && e->n > 1)
		qsort_r(e->v, e->n, sizeof *e->v, compare, ls);
}
