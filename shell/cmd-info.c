/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-info.c - info: what is on a guest's disks, as a tree and as a drawing. */
#include "config.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "shell/cmd.h"
#include "shell/info.h"
#include "shell/owners.h"

#define DRAWING 78 /* columns */

static const struct domu_column columns[] = {
	{ "", "NAME", CELL_TEXT },
	{ "name", NULL, CELL_TEXT },
	{ "parent", NULL, CELL_TEXT },
	{ "kind", NULL, CELL_TEXT },
	{ "content", "CONTENT", CELL_TEXT },
	{ "start", NULL, CELL_SIZE },
	{ "size", "SIZE", CELL_SIZE },
	{ "used", "USED", CELL_SIZE },
	{ "mountpoint", "MOUNTED ON", CELL_BYTES },
	{ "label", "LABEL", CELL_BYTES },
	{ "uuid", NULL, CELL_TEXT },
	{ "root", NULL, CELL_BOOL },
	{ "features", NULL, CELL_TEXT },
	{ "partuuid", NULL, CELL_TEXT },
	{ "closed", NULL, CELL_BOOL },
	{ "segments", NULL, CELL_OBJECT },
	{ NULL, NULL, CELL_TEXT },
};

static bool utf8_terminal(void)
{
	setlocale(LC_CTYPE, "");
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static bool is_last(const struct domu_nodes *nodes, size_t i)
{
	for (size_t k = i + 1; k < nodes->n; k++)
		if (nodes->v[k].parent == nodes->v[i].parent)
			return false;
	return true;
}

/* Which node is shown after i: the first in it, else the next beside it or beside what it is in.  n: none. */
static size_t after(const struct domu_nodes *nodes, size_t i)
{
	for (size_t k = i + 1; k < nodes->n; k++)
		if (nodes->v[k].parent == (int)i)
			return k;
	for (int up = (int)i; up >= 0; up = nodes->v[up].parent)
		for (size_t k = (size_t)up + 1; k < nodes->n; k++)
			if (nodes->v[k].parent == nodes->v[up].parent)
				return k;
	return nodes->n;
}

/* The lines of the tree before a name; below: those of what is in it besides, before its end. */
static void tree_text(const struct domu_nodes *nodes, size_t i, bool utf8, bool below, char *out, size_t size)
{
	const char *const parts[2][4] = { { "| ", "  ", "|-", "`-" },
		                          { "\u2502 ", "  ", "\u251c\u2500", "\u2514\u2500" } };
	size_t up[DOMU_MAX_DEPTH + 1], depth = 0, n = 0;

	for (int k = (int)i; k >= 0 && depth <= DOMU_MAX_DEPTH; k = nodes->v[k].parent)
		up[depth++] = (size_t)k;
	out[0] = '\0';
	for (size_t d = depth; d-- > 0;) {
		bool last = is_last(nodes, up[d]);

		if (nodes->v[up[d]].parent < 0)
			continue;
		n += (size_t)snprintf(out + n, size - n, "%s", parts[utf8][(d == 0 && !below ? 2 : 0) + last]);
	}
}

static const char *kind_name(enum domu_node_kind kind)
{
	return kind == DOMU_NODE_DISK ? "disk" : kind == DOMU_NODE_PARTITION ? "partition" : "lv";
}

static const char *content(const struct domu_node *n)
{
	return n->extended ? "extended" : n->probe.type[0] != '\0' ? n->probe.type : "unknown";
}

static const char *or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static int row(struct domu_out *o, const struct domu_nodes *nodes, size_t i, bool utf8)
{
	const struct domu_node *n = &nodes->v[i];
	char tree[96], text[160];

	tree_text(nodes, i, utf8, false, tree, sizeof tree);
	snprintf(text, sizeof text, "%s%s", tree, n->name);
	domu_row_text(o, text);
	domu_row_text(o, n->name);
	domu_row_text(o, n->parent >= 0 ? nodes->v[n->parent].name : NULL);
	domu_row_text(o, kind_name(n->kind));
	domu_row_text(o, content(n));
	domu_row_number(o, n->start);
	domu_row_number(o, n->size);
	if (n->probe.used != 0)
		domu_row_number(o, n->probe.used);
	else
		domu_row_null(o);
	domu_row_text(o, or_null(n->mountpoint));
	domu_row_text(o, or_null(n->probe.label));
	domu_row_text(o, or_null(n->probe.uuid));
	domu_row_number(o, n->root);
	domu_row_text(o, or_null(n->probe.features));
	domu_row_text(o, or_null(n->partuuid));
	domu_row_number(o, n->probe.closed);
	if (n->kind == DOMU_NODE_LV)
		domu_row_object(o, domu_info_segments(nodes, n));
	else
		domu_row_null(o);
	return domu_row_end(o);
}

/* A row a piece, below a volume that has several. */
static int segment_rows(struct domu_out *o, const struct domu_nodes *nodes, size_t i, bool utf8)
{
	const char *const parts[2][2] = { { "|-", "`-" }, { "\u251c\u2500", "\u2514\u2500" } };
	size_t n = domu_out_json(o) ? 0 : domu_info_lines(&nodes->v[i]);
	struct domu_info_line l;
	char tree[96], text[sizeof tree + sizeof l.where + 8];
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < n; k++) {
		tree_text(nodes, i, utf8, true, tree, sizeof tree);
		domu_info_line(nodes, &nodes->v[i], k, &l);
		snprintf(text, sizeof text, "%s%s%s", tree, parts[utf8][k + 1 == n], l.where);
		domu_row_text(o, text);
		for (const struct domu_column *c = columns + 1; c->key != NULL; c++)
			if (strcmp(c->key, "content") == 0)
				domu_row_text(o, l.type);
			else if (strcmp(c->key, "size") == 0)
				domu_row_number(o, l.size);
			else
				domu_row_null(o);
		rc = domu_row_end(o);
	}
	return rc;
}

/* ---- the drawing ------------------------------------------------------------------------ */

struct drawing {
	char line[DRAWING + 1];
	size_t at;
};

/* A box as wide as its part of the disk; '#' what is used, '.' what is free in it. */
static void box(struct drawing *d, size_t width, const char *name, double used)
{
	size_t inner, filled, i;

	if (width < 3)
		width = 3;
	if (d->at + width > DRAWING)
		width = DRAWING - d->at;
	if (width < 3)
		return;
	inner = width - 2;
	filled = used >= 0 ? (size_t)(used * (double)inner + 0.5) : 0;
	d->line[d->at++] = '[';
	for (i = 0; i < inner; i++)
		d->line[d->at++] = used < 0 ? ' ' : i < filled ? '#' : '.';
	d->line[d->at++] = ']';
	/* The name stands in the box where it has room. */
	if (strlen(name) <= inner)
		memcpy(d->line + d->at - 1 - inner, name, strlen(name));
	d->line[d->at] = '\0';
}

static bool is_part(const struct domu_nodes *nodes, size_t i, size_t disk)
{
	int up = nodes->v[i].parent;

	if (nodes->v[i].kind != DOMU_NODE_PARTITION || nodes->v[i].extended)
		return false;
	while (up >= 0 && (size_t)up != disk)
		up = nodes->v[up].parent;
	return up >= 0;
}

/* The next partition on the disk at or after offset; n: none. */
static size_t next_part(const struct domu_nodes *nodes, size_t disk, uint64_t offset)
{
	size_t best = nodes->n;

	for (size_t i = 0; i < nodes->n; i++) {
		if (!is_part(nodes, i, disk) || nodes->v[i].start < offset)
			continue;
		if (best == nodes->n || nodes->v[i].start < nodes->v[best].start)
			best = i;
	}
	return best;
}

static size_t columns_for(uint64_t size, uint64_t whole)
{
	return whole > 0 ? (size_t)((double)size / (double)whole * (DRAWING - 2)) : 0;
}

static int draw(struct domu_run *r, const struct domu_nodes *nodes, size_t disk)
{
	const struct domu_node *whole = &nodes->v[disk];
	struct drawing d = { .at = 0 };
	uint64_t offset = 0;
	char name[96];
	size_t i;

	while ((i = next_part(nodes, disk, offset)) < nodes->n && d.at + 3 <= DRAWING) {
		const struct domu_node *n = &nodes->v[i];
		double used = n->probe.used != 0 && n->size > 0 ? (double)n->probe.used / (double)n->size : -1;

		if (n->start - offset > whole->size / 50)
			box(&d, columns_for(n->start - offset, whole->size), "free", -1);
		snprintf(name, sizeof name, "%.30s",
		         n->partno != 0 ? n->name + strcspn(n->name, "0123456789") : n->name);
		box(&d, columns_for(n->size, whole->size), name, used);
		if (!domu_add(n->start, n->size, &offset))
			break;
		offset += n->size == 0;
	}
	if (offset == 0 && whole->size > 0)
		box(&d, DRAWING, "", whole->probe.used != 0 ? (double)whole->probe.used / (double)whole->size : -1);
	else if (offset < whole->size && whole->size - offset > whole->size / 50)
		box(&d, columns_for(whole->size - offset, whole->size), "free", -1);
	domu_out_line(r->out, "%s:", whole->name);
	return domu_out_line(r->out, "%s", d.line);
}

/* What has no room in the table. */
static int details(struct domu_run *r, const struct domu_node *n)
{
	const char *p = n->probe.features;

	if (n->probe.uuid[0] == '\0')
		return 0;
	domu_out_line(r->out, "%s: UUID %s%s", n->name, n->probe.uuid, n->root ? ", the root" : "");
	while (*p != '\0') {
		size_t len = strlen(p), cut = len;

		if (len > DRAWING - 2)
			for (cut = DRAWING - 2; cut > 0 && p[cut] != ' '; cut--)
				;
		cut = cut == 0 ? len : cut;
		domu_out_line(r->out, "  %.*s", (int)cut, p);
		p += cut;
		p += strspn(p, " ");
	}
	return 0;
}

static int show_text(struct domu_run *r, const struct domu_nodes *nodes)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < nodes->n; i++)
		if (nodes->v[i].kind == DOMU_NODE_DISK)
			rc = draw(r, nodes, i);
	for (size_t i = 0; rc == 0 && i < nodes->n; i++)
		rc = details(r, &nodes->v[i]);
	return rc;
}

static int run(struct domu_run *r)
{
	const struct domu_guest *g = domu_session_guest(r->session);
	struct domu_nodes nodes;
	bool utf8 = !domu_out_json(r->out) && utf8_terminal();
	int rc = domu_session_nodes(r->session, true, &nodes);

	if (rc != 0)
		return rc;
	rc = domu_app_warn_owners(r->app, r->session);
	for (size_t i = 0; i < nodes.n_problems; i++)
		domu_say(r->ctx, DOMU_WARNING, "%s", nodes.problems[i]);
	domu_out_line(r->out, "%s: %s, %s", domu_guest_shown(g), domu_state_name(g->state),
	              g->source != NULL ? g->source : "");
	for (size_t i = 0; rc == 0 && i < nodes.n; i = after(&nodes, i)) {
		if (nodes.v[i].probe.closed)
			domu_say(r->ctx, DOMU_WARNING,
			         "%s is closed: a commit (%s) was cut short; domu-rescue recover %s", nodes.v[i].name,
			         nodes.v[i].probe.closed_by, domu_guest_shown(g));
		rc = row(r->out, &nodes, i, utf8);
		if (rc == 0)
			rc = segment_rows(r->out, &nodes, i, utf8);
	}
	if (rc == 0 && !domu_out_json(r->out))
		rc = show_text(r, &nodes);
	domu_nodes_free(&nodes);
	return rc;
}

static const struct domu_arg args[] = {
	{ "GUEST", ARG_GUEST, COUNT_ONE },
	{ NULL, ARG_NONE, COUNT_ONE },
};

const struct domu_command domu_cmd_info = {
	.name = "info",
	.topic = "looking",
	.summary = "what is on the disks: partitions, filesystems, where they are mounted",
	.description =
	    "In the drawing # is what is used and . what is free.  A volume that lies in several pieces, or stripes, "
	    "has a line for each: in which physical volume, and how far into it.  Works also for a guest that "
	    "runs; then no journal is replayed.",
	.args = args,
	.columns = columns,
	.json_key = "nodes",
	.example = "domu-rescue info web1",
	.needs = NEED_GUEST | NEED_LOOK,
	.front = run,
};
