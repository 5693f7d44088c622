/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cp-tell.c - a sink between a copy's source and its destination, which says what is made. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/cp-tell.h"

struct domu_cp_tell {
	struct domu_sink sink; /* first: what the source calls is this */
	struct domu_sink *inner;
	struct domu_ctx *ctx;
	struct domu_out *out;
	struct domu_cp_shown shown;
	size_t tree; /* the source that the tree is of */
	size_t next; /* sources before it were gone through */
	unsigned depth;
	char *below; /* the path of the directory that is filled, from the tree's top: "" or "/sub/dir" */
	size_t len, cap;
};

/* Which source a tree is of: they come in order, and some may be missing. */
static void begin_tree(struct domu_cp_tell *t, const char *name)
{
	size_t i = t->next;

	while (t->shown.n > 1 && i < t->shown.n && strcmp(t->shown.names[i], name) != 0)
		i++;
	t->tree = i < t->shown.n ? i : 0;
	t->next = t->tree + 1;
	t->len = 0;
	t->below[0] = '\0';
}

static int add_name(struct domu_cp_tell *t, const char *name)
{
	size_t need = t->len + strlen(name) + 2;
	char *p;

	if (need > t->cap) {
		p = realloc(t->below, 2 * need);
		if (p == NULL)
			return domu_nomem(t->ctx);
		t->below = p;
		t->cap = 2 * need;
	}
	t->below[t->len] = '/';
	memcpy(t->below + t->len + 1, name, strlen(name) + 1);
	return 0;
}

/* What stands below path, with one slash between: name, which may be NULL, then t->below. */
static char *join(const char *path, const char *name, const char *below)
{
	size_t len = strlen(path);
	char *whole;
	int n;

	while (len > 0 && path[len - 1] == '/' && (name != NULL || *below != '\0'))
		len--;
	n = asprintf(&whole, "%.*s%s%s%s", (int)len, path, name != NULL ? "/" : "", name != NULL ? name : "", below);
	return n >= 0 ? whole : NULL;
}

static int tell(struct domu_cp_tell *t, bool dir)
{
	const struct domu_cp_shown *s = &t->shown;
	char *from = join(s->from[t->tree], NULL, t->below);
	char *to = join(s->to, s->inside ? s->names[t->tree] : NULL, t->below);
	int rc;

	if (from == NULL || to == NULL)
		rc = domu_nomem(t->ctx);
	else if (s->moved && dir)
		rc = domu_out_line(t->out, "created directory '%s'", to);
	else
		rc = domu_out_line(t->out, "%s'%s' -> '%s'", s->moved ? "copied " : "", from, to);
	free(from);
	free(to);
	return rc;
}

static int t_entry(struct domu_sink *s, const struct domu_treeio_entry *e)
{
	struct domu_cp_tell *t = (struct domu_cp_tell *)s;
	bool dir = S_ISDIR(e->st.mode);
	int rc;

	t->inner->left_alone = false;
	rc = t->inner->entry(t->inner, e);
	t->sink.made_fs = t->inner->made_fs;
	t->sink.made_ino = t->inner->made_ino;
	if (rc != 0)
		return rc;
	if (t->depth == 0)
		begin_tree(t, e->name);
	else
		rc = add_name(t, e->name);
	if (rc == 0 && !t->inner->left_alone)
		rc = tell(t, dir);
	if (dir) {
		t->len = strlen(t->below);
		t->depth++;
	}
	t->below[t->len] = '\0';
	return rc;
}

static int t_data(struct domu_sink *s, const void *bytes, size_t len, uint64_t offset)
{
	struct domu_cp_tell *t = (struct domu_cp_tell *)s;

	return t->inner->data(t->inner, bytes, len, offset);
}

static int t_file_end(struct domu_sink *s, uint64_t size)
{
	struct domu_cp_tell *t = (struct domu_cp_tell *)s;

	return t->inner->file_end(t->inner, size);
}

static int t_leave(struct domu_sink *s)
{
	struct domu_cp_tell *t = (struct domu_cp_tell *)s;
	char *slash = strrchr(t->below, '/');

	t->depth--;
	t->len = slash != NULL ? (size_t)(slash - t->below) : 0;
	t->below[t->len] = '\0';
	return t->inner->leave(t->inner);
}

int domu_cp_tell_new(struct domu_ctx *ctx, struct domu_out *o, struct domu_sink *inner, struct domu_cp_tell **out)
{
	struct domu_cp_tell *t = calloc(1, sizeof *t);

	*out = t;
	if (t == NULL || (t->below = calloc(1, 1)) == NULL) {
		free(t);
		*out = NULL;
		return domu_nomem(ctx);
	}
	t->ctx = ctx;
	t->out = o;
	t->inner = inner;
	t->cap = 1;
	t->sink =
	    (struct domu_sink){ .entry = t_entry, .data = t_data, .file_end = t_file_end, .leave = t_leave, .priv = t };
	return 0;
}

void domu_cp_tell_next(struct domu_cp_tell *t, const struct domu_cp_shown *shown)
{
	t->shown = *shown;
	t->next = 0;
	t->depth = 0;
}

struct domu_sink *domu_cp_tell_sink(struct domu_cp_tell *t)
{
	return &t->sink;
}

void domu_cp_tell_free(struct domu_cp_tell *t)
{
	if (t != NULL)
		free(t->below);
	free(t);
}
