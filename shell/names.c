/* SPDX-License-Identifier: GPL-3.0-or-later */
/* names.c - the guest's users and groups. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shell/names.h"

#define MAX_FILE  (4u << 20) /* of /etc/passwd */
#define MAX_NAMES 100000u

struct name {
	char *name; /* in data */
	uint32_t id;
};

struct list {
	char *data;
	struct name *v;
	size_t n;
};

struct domu_names {
	struct list users, groups;
};

static int by_id(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	/* Of several names for one number the first in the file counts. */
	return x->name < y->name ? -1 : x->name > y->name;
}

static bool number(const char *text, uint32_t *id)
{
	char *end;
	unsigned long v;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoul(text, &end, 10);
	*id = (uint32_t)v;
	return errno == 0 && *end == '\0' && v <= UINT32_MAX;
}

/* name:x:number:... */
static bool parse_line(char *line, struct name *out)
{
	char *pw = strchr(line, ':'), *id = pw != NULL ? strchr(pw + 1, ':') : NULL;

	if (id == NULL || pw == line)
		return false;
	*pw = '\0';
	id++;
	id[strcspn(id, ":")] = '\0';
	out->name = line;
	return number(id, &out->id);
}

static void parse(struct list *l)
{
	size_t lines = 1;

	for (const char *p = l->data; *p != '\0'; p++)
		lines += *p == '\n';
	if (lines > MAX_NAMES)
		lines = MAX_NAMES;
	l->v = calloc(lines, sizeof *l->v);
	for (char *p = l->data, *next; l->v != NULL && p != NULL && l->n < lines; p = next) {
		next = strchr(p, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (parse_line(p, &l->v[l->n]))
			l->n++;
	}
	if (l->n > 1)
		qsort(l->v, l->n, sizeof *l->v, by_id);
}

/* Quietly: a guest without /etc/passwd has numbers. */
static void load(struct domu_tree *t, struct domu_ctx *quiet, const char *path, struct list *l)
{
	struct domu_path where;
	size_t len;

	if (domu_path_walk(t, "/", path, 0, &where) == 0 &&
	    domu_fs_slurp(where.fs, where.ino, MAX_FILE, &l->data, &len) == 0)
		parse(l);
	domu_error_clear(quiet);
}

struct domu_names *domu_names_load(struct domu_tree *t, struct domu_ctx *ctx)
{
	struct domu_names *n = calloc(1, sizeof *n);
	struct domu_error kept = ctx->error;

	if (n == NULL)
		return NULL;
	memset(&ctx->error, 0, sizeof ctx->error);
	load(t, ctx, "/etc/passwd", &n->users);
	load(t, ctx, "/etc/group", &n->groups);
	ctx->error = kept;
	return n;
}

void domu_names_free(struct domu_names *n)
{
	if (n == NULL)
		return;
	free(n->users.data);
	free(n->users.v);
	free(n->groups.data);
	free(n->groups.v);
	free(n);
}

static const char *find(const struct list *l, uint32_t id)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->v[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < l->n && l->v[lo].id == id ? l->v[lo].name : NULL;
}

const char *domu_names_user(const struct domu_names *n, uint32_t uid)
{
	return n != NULL ? find(&n->users, uid) : NULL;
}

const char *domu_names_group(const struct domu_names *n, uint32_t gid)
{
	return n != NULL ? find(&n->groups, gid) : NULL;
}

static bool by_name(const struct list *l, const char *name, uint32_t *id)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i].name, name) == 0) {
			*id = l->v[i].id;
			return true;
		}
	}
	return number(name, id);
}

bool domu_names_find_user(const struct domu_names *n, const char *name, uint32_t *uid)
{
	return by_name(&n->users, name, uid);
}

bool domu_names_find_group(const struct domu_names *n, const char *name, uint32_t *gid)
{
	return by_name(&n->groups, name, gid);
}
