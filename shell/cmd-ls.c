/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-ls.c - ls: what is in directories, read in the worker; ls-layout.c shows it. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/label.h"
#include "shell/cmd.h"
#include "shell/fmt.h"
#include "shell/ls-entries.h"
#include "shell/rowstat.h"

#define MAX_LABEL 65536u /* bytes */

/* ---- showing ---------------------------------------------------------------------- */

static int mark_of(void *user, const char *name, const void *value, size_t len)
{
	char *mark = user;

	(void)value;
	(void)len;
	if (strncmp(name, "system.posix_acl_", 17) == 0)
		*mark = '+';
	else if (strcmp(name, "security.selinux") == 0 && *mark == '\0')
		*mark = '.';
	return 0;
}

/* What ls -l has after the mode: + for an ACL, . for a label alone. */
static void row_mark(struct domu_ls *ls, const struct domu_ls_entry *e)
{
	char mark[2] = { e->dangling ? 'l' : '\0', '\0' };

	if (ls->long_format && !e->unreadable && !e->no_xattrs && !S_ISLNK(e->st.mode) &&
	    domu_fs_listxattr(e->fs, e->st.ino, mark_of, mark) != 0)
		domu_error_clear(ls->r->ctx);
	domu_row_text(ls->r->out, mark[0] != '\0' ? mark : NULL);
}

/* -Z: the SELinux label; "?" where there is none. */
static void row_label(struct domu_ls *ls, const struct domu_ls_entry *e)
{
	char *label = NULL;
	size_t len;

	if (ls->labels && !e->unreadable &&
	    domu_fs_getxattr(e->fs, e->st.ino, DOMU_LABEL_XATTR, MAX_LABEL, &label, &len) != 0)
		domu_error_clear(ls->r->ctx);
	domu_row_text(ls->r->out, label != NULL || !ls->labels ? label : "?");
	free(label);
}

static int show(struct domu_ls *ls, const struct domu_ls_entry *e)
{
	struct domu_out *o = ls->r->out;
	struct domu_stat st = e->st;

	/* The layout shows one time, whichever it is. */
	if (!domu_out_json(o))
		st.mtime = *domu_ls_time(ls, &e->st);

	if (e->unreadable && !e->dangling)
		ls->failed = -EUCLEAN;
	if (e->dangling)
		domu_say(ls->r->ctx, DOMU_WARNING, "%s: it leads to nothing", e->path);
	else if (e->unreadable)
		domu_say(ls->r->ctx, DOMU_WARNING, "%s: its inode cannot be read: domu-rescue fsck -n %s", e->path,
		         ls->r->guest != NULL ? ls->r->guest : "GUEST");
	domu_row_stat(o, e->path, strlen(e->path), e->fs, e->unreadable ? NULL : &st, ls->names);
	domu_row_text(o, e->name);
	row_mark(ls, e);
	row_label(ls, e);
	return domu_row_end(o);
}

static int show_all(struct domu_ls *ls, const struct domu_ls_entries *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < e->n; i++)
		rc = show(ls, &e->v[i]);
	return rc;
}

static int show_total(struct domu_ls *ls, const struct domu_ls_entries *e)
{
	uint64_t sectors = 0;
	char text[32];

	for (size_t i = 0; i < e->n; i++)
		sectors += e->v[i].unreadable ? 0 : e->v[i].st.sectors;
	if (ls->human)
		domu_human(sectors * 512, text);
	else
		snprintf(text, sizeof text, "%" PRIu64, sectors / 2);
	return domu_out_line(ls->r->out, "total %s", text);
}

/* ---- directories ------------------------------------------------------------------ */

struct reading {
	struct domu_ls *ls;
	struct domu_ls_entries *e;
};

/* -L: what the link leads to; a link that leads nowhere cannot be looked at. */
static int add_target(struct reading *rd, const char *name, const struct domu_path *link)
{
	struct domu_path *p = malloc(sizeof *p);
	int rc = p != NULL ? domu_path_walk(rd->ls->tree, "/", link->path, 0, p) : domu_nomem(rd->ls->r->ctx), err = rc;

	if (p != NULL && rc != 0)
		domu_error_clear(rd->ls->r->ctx);
	if (p != NULL)
		rc = domu_ls_entries_add(rd->ls, rd->e, name, rc == 0 ? p : link, err);
	free(p);
	return rc;
}

static int take(void *user, const struct domu_walk_entry *w)
{
	struct reading *rd = user;
	const char *name = strrchr(w->path, '/');
	int rc;

	if (w->depth == 0 && w->err == 0)
		return 0;
	/* What of a damaged directory could be read is shown. */
	if (w->inside) {
		domu_run_unreadable(rd->ls->r, w->path, w->err, &rd->ls->failed);
		return 0;
	}
	if (w->depth == 0)
		return w->err;
	if (w->err != 0)
		domu_error_clear(rd->ls->r->ctx);
	name = name != NULL ? name + 1 : w->path;
	if (name[0] == '.' && !rd->ls->all && !rd->ls->almost_all)
		return DOMU_WALK_PRUNE;
	if (rd->ls->follow && S_ISLNK(w->where->st.mode))
		return add_target(rd, name, w->where);
	rc = domu_ls_entries_add(rd->ls, rd->e, name, w->where, w->err);
	if (rc == 0)
		rd->e->v[rd->e->n - 1].no_xattrs = w->no_xattrs;
	return rc;
}

static int add_dots(struct domu_ls *ls, struct domu_ls_entries *e, const struct domu_path *dir)
{
	struct domu_path *up = malloc(sizeof *up);
	int rc = up != NULL ? domu_ls_entries_add(ls, e, ".", dir, 0) : domu_nomem(ls->r->ctx);

	if (rc == 0)
		rc = domu_path_walk(ls->tree, dir->path, "..", 0, up);
	if (rc == 0)
		rc = domu_ls_entries_add(ls, e, "..", up, 0);
	free(up);
	return rc;
}

static int list_dir(struct domu_ls *ls, const struct domu_path *dir, const char *shown);

/* An entry as a path again: nothing is looked up twice. */
static void where_of(const struct domu_ls_entry *x, struct domu_path *out)
{
	size_t len = strlen(x->path);
	const char *name;

	*out = (struct domu_path){
		.fs = x->fs, .node = x->node, .ino = x->st.ino, .mount = x->mount, .dir = x->dir, .st = x->st
	};
	name = x->dir == x->st.ino ? "/" : strrchr(x->path, '/') + 1; /* with -L that of what a link leads to */
	snprintf(out->name, sizeof out->name, "%s", name);
	memcpy(out->path, x->path, len < sizeof out->path ? len + 1 : 1);
}

static int below(struct domu_ls *ls, const struct domu_ls_entries *e, const char *shown)
{
	struct domu_path *where = malloc(sizeof *where);
	int rc = where != NULL ? 0 : domu_nomem(ls->r->ctx);

	for (size_t i = 0; rc == 0 && i < e->n; i++) {
		const struct domu_ls_entry *x = &e->v[i];
		bool slash = shown[0] != '\0' && shown[strlen(shown) - 1] == '/', again;
		char *sub = NULL;

		if (x->unreadable || !S_ISDIR(x->st.mode) || strcmp(x->name, ".") == 0 || strcmp(x->name, "..") == 0)
			continue;
		rc = domu_visit(&ls->seen, x->node, x->st.ino);
		again = rc == -ELOOP;
		rc = rc == -ENOMEM ? domu_nomem(ls->r->ctx) : 0;
		if (again)
			ls->failed = -ELOOP;
		if (again)
			domu_say(ls->r->ctx, DOMU_WARNING, "%s: this directory was listed before", x->path);
		if (rc != 0 || again)
			continue;
		where_of(x, where);
		if (asprintf(&sub, "%s%s%s", shown, slash ? "" : "/", x->name) < 0)
			rc = domu_nomem(ls->r->ctx);
		if (rc == 0)
			rc = list_dir(ls, where, sub);
		free(sub);
	}
	free(where);
	return rc;
}

static int list_dir(struct domu_ls *ls, const struct domu_path *dir, const char *shown)
{
	const struct domu_walk_opts opts = { .max_depth = 1, .read_only = true, .scans = ls->scans };
	struct domu_ls_entries e = { 0 };
	struct reading rd = { ls, &e };
	int rc = 0;

	if (ls->headings) {
		if (!ls->first)
			rc = domu_out_line(ls->r->out, "%s", "");
		if (rc == 0)
			rc = domu_out_line(ls->r->out, "%s:", shown);
	}
	ls->first = false;
	if (rc == 0 && ls->all)
		rc = add_dots(ls, &e, dir);
	if (rc == 0)
		rc = domu_walk_tree(ls->tree, dir, shown, &opts, take, &rd);
	domu_ls_sort(ls, &e);
	if (rc == 0 && (ls->long_format || ls->totals))
		rc = show_total(ls, &e);
	if (rc == 0)
		rc = show_all(ls, &e);
	if (rc == 0 && ls->recursive)
		rc = below(ls, &e, shown);
	domu_ls_entries_free(&e);
	return rc;
}

/* ---- operands --------------------------------------------------------------------- */

struct operands {
	struct domu_ls *ls;
	struct domu_ls_entries files, dirs;
};

static int sort_operand(struct domu_run *r, size_t i, void *user)
{
	struct operands *op = user;
	bool keep = domu_args_flag(r->args, "d");
	bool nofollow = (keep || op->ls->long_format || domu_args_flag(r->args, "F")) && !op->ls->follow &&
	                !domu_args_flag(r->args, "H");
	const char *path = i != SIZE_MAX ? domu_run_path(r, i) : NULL;
	struct domu_path *where = malloc(sizeof *where);
	int rc;

	if (where == NULL)
		return domu_nomem(r->ctx);
	if (path == NULL)
		path = r->cwd;
	rc = domu_run_walk(r, i, nofollow ? DOMU_WALK_NOFOLLOW : 0, where);
	if (rc == 0 && r->many && domu_run_path(r, i) != NULL)
		path = domu_args_get(r->args, i);
	if (rc == 0)
		rc = domu_ls_entries_add(op->ls, !keep && S_ISDIR(where->st.mode) ? &op->dirs : &op->files, path, where,
		                         0);
	free(where);
	return rc;
}

static int show_operands(struct operands *op)
{
	struct domu_ls *ls = op->ls;
	struct domu_path *where = malloc(sizeof *where);
	int rc = where != NULL ? 0 : domu_nomem(ls->r->ctx);

	ls->headings = ls->recursive || ls->r->many || op->files.n + op->dirs.n > 1;
	domu_ls_sort(ls, &op->files);
	domu_ls_sort(ls, &op->dirs);
	if (rc == 0)
		rc = show_all(ls, &op->files);
	ls->first = op->files.n == 0;
	for (size_t i = 0; rc == 0 && i < op->dirs.n; i++) {
		rc = domu_visit(&ls->seen, op->dirs.v[i].node, op->dirs.v[i].st.ino);
		rc = rc == -ENOMEM ? domu_nomem(ls->r->ctx) : 0;
		if (rc == 0)
			rc = domu_path_walk(ls->tree, "/", op->dirs.v[i].path, 0, where);
		if (rc == 0)
			rc = list_dir(ls, where, op->dirs.v[i].name);
	}
	free(where);
	return rc;
}

static struct domu_ls options_of(struct domu_run *r)
{
	const struct domu_args *a = r->args;
	struct domu_ls ls = { .r = r,
		              .first = true,
		              .sort = domu_args_last(a, "tSUXf"),
		              .time = domu_args_last(a, "cu"),
		              .follow = domu_args_flag(a, "L"),
		              .labels = domu_args_flag(a, "Z"),
		              .totals = domu_args_flag(a, "s"),
		              .dirs_first = domu_args_flag(a, "group-directories-first"),
		              .reverse = domu_args_flag(a, "r"),
		              .all = domu_args_flag(a, "a"),
		              .almost_all = domu_args_flag(a, "A"),
		              .long_format = domu_ls_is_long(a),
		              .recursive = domu_args_flag(a, "R"),
		              .human = domu_args_flag(a, "h") };

	/* As ls: -c and -u sort by that time, unless -l shows it. */
	if (ls.time != 0 && ls.sort == 0 && !ls.long_format)
		ls.sort = 't';
	if (ls.sort == 'f')
		ls.sort = 'U';
	ls.all = ls.all || domu_args_flag(a, "f");
	return ls;
}

static int run(struct domu_run *r)
{
	struct domu_ls ls = options_of(r);
	struct operands op = { .ls = &ls };
	const struct domu_mount *mounts;
	size_t n;
	int rc = domu_work_tree(r->work, r->use, &ls.tree), r2;

	if (rc != 0)
		return rc;
	rc = domu_tree_mounts(ls.tree, &mounts, &n);
	if (rc == 0)
		rc = domu_scans_new(ls.tree, &ls.scans);
	if (rc != 0)
		return rc;
	if ((ls.long_format && !domu_args_flag(r->args, "n")) || domu_out_json(r->out))
		ls.names = domu_names_load(ls.tree, r->ctx);
	rc = domu_run_each(r, 0, sort_operand, &op);
	/* What was found is shown also when something else was not. */
	if (!domu_run_is_over(rc)) {
		struct domu_error kept = domu_error_take(r->ctx);

		r2 = show_operands(&op);
		if (rc != 0)
			domu_error_put_back(r->ctx, kept);
		rc = rc != 0 ? rc : r2;
	}
	rc = domu_run_walked(r, rc, ls.failed);
	domu_scans_free(ls.scans);
	domu_ls_entries_free(&op.files);
	domu_ls_entries_free(&op.dirs);
	domu_visited_free(&ls.seen);
	domu_names_free(ls.names);
	return rc;
}

static const struct domu_arg args[] = {
	{ "GUEST:PATH", ARG_GUEST_DIR, COUNT_SOME },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option options[] = {
	{ "all", 'a', NULL, "also names that begin with a dot" },
	{ "almost-all", 'A', NULL, "the same without . and .." },
	{ "directory", 'd', NULL, "directories themselves, not what is in them" },
	{ "classify", 'F', NULL, "a sign after the name for its type: / @ * | =" },
	{ "human-readable", 'h', NULL, "sizes like 1K 234M 2G" },
	{ "inode", 'i', NULL, "the inode number of each file" },
	{ NULL, 'l', NULL, "mode, links, owner, size and time of each file" },
	{ "numeric-uid-gid", 'n', NULL, "like -l, with numbers for owner and group" },
	{ "reverse", 'r', NULL, "sort the other way round" },
	{ "recursive", 'R', NULL, "also what is in the directories below" },
	{ "no-group", 'G', NULL, "with -l: no group" },
	{ NULL, 'g', NULL, "like -l without the owner" },
	{ NULL, 'o', NULL, "like -l without the group" },
	{ "size", 's', NULL, "the blocks of each file" },
	{ "context", 'Z', NULL, "the SELinux label of each file" },
	{ "dereference", 'L', NULL, "what links lead to, not links themselves" },
	{ NULL, 'H', NULL, "the same for the links that are named" },
	{ NULL, 'p', NULL, "a / after the names of directories" },
	{ NULL, 'c', NULL, "the time of the last change of the inode: shown with -l, else sorted by" },
	{ NULL, 'u', NULL, "the same with the time of access" },
	{ NULL, 'X', NULL, "sort by what follows the last dot" },
	{ NULL, 'f', NULL, "do not sort, and like -a" },
	{ NULL, 'C', NULL, "in columns, also where the output is no terminal" },
	{ NULL, 'k', NULL, "blocks of 1024 bytes (always so)" },
	{ NULL, 'N', NULL, "names as they are (always so where the output is no terminal)" },
	{ "group-directories-first", 0, NULL, "directories before files" },
	{ "color", 0, "[WHEN]", "never: colours are not used, whatever is asked for" },
	{ NULL, 'S', NULL, "sort by size, largest first" },
	{ NULL, 't', NULL, "sort by time, newest first" },
	{ NULL, 'U', NULL, "do not sort beyond names" },
	{ NULL, '1', NULL, "one name a line" },
	{ "full-time", 0, NULL, "times with all digits (with -l)" },
	{ NULL, 0, NULL, NULL },
};

static const struct domu_column columns[] = {
	DOMU_STAT_COLUMNS,         { "name", NULL, CELL_BYTES }, { "", NULL, CELL_TEXT }, { "label", NULL, CELL_BYTES },
	{ NULL, NULL, CELL_TEXT },
};

static const struct domu_missing missing[] = {
	{ "-b", " (on a terminal names are always escaped; --json has every byte)" },
	{ "-I", " (find -maxdepth 1 ! -name PATTERN)" },
	{ "--ignore", " (find -maxdepth 1 ! -name PATTERN)" },
	{ 0 },
};

const struct domu_command domu_cmd_ls = {
	.name = "ls",
	.topic = "reading",
	.summary = "list what is in a directory",
	.description = "Owners are named as the guest's own /etc/passwd and /etc/group name them.  Names are sorted by "
	               "their bytes.",
	.args = args,
	.options = options,
	.columns = columns,
	.example = "domu-rescue ls -l web1:/etc",
	.missing = missing,
	.needs = NEED_GUEST | WALKS,
	.recursive = "R",
	.worker = run,
	.layout = &domu_ls_layout,
};
