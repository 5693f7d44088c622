/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-find.c - find: a tree walked in the worker, its expression asked about each inode. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "shell/change.h"
#include "shell/cmd.h"
#include "shell/find.h"
#include "shell/rowstat.h"

enum { FIND_ACTION = STAT_CELLS, FIND_SHOWN };

static const struct domu_column columns[] = {
	DOMU_STAT_COLUMNS,
	{ "", NULL, CELL_TEXT }, /* the action: p, 0, l; f: lines as they are shown */
	{ "", NULL, CELL_BYTES }, /* the path as find prints it */
	{ "guest", NULL, CELL_TEXT },
	{ NULL, NULL, CELL_TEXT },
};

struct find {
	struct domu_run *r;
	struct domu_tree *tree;
	struct domu_names *names;
	struct domu_scans *scans;
	struct domu_find f;
	struct domu_find_batches batches;
	struct domu_text text;
	const struct domu_walk_entry *now;
	const struct domu_find_item *item;
	size_t start_len;
	bool json;
	bool quote; /* it may go to a terminal */
	bool quit;
	int failed; /* something could not be read */
};

/* JSON has all cells of each inode that something was wanted of. */
static int act_json(struct find *fd, const char *what)
{
	struct domu_out *o = fd->r->out;
	const struct domu_path *w = fd->now->where;

	domu_row_stat(o, w->path, strlen(w->path), w->fs, &w->st, fd->names);
	domu_row_text(o, what);
	domu_row_text(o, fd->now->path);
	domu_row_text(o, fd->r->guest);
	return domu_row_end(o);
}

/* Whole lines: straight to a file or pipe, else as a row that the front shows. */
static int flush(void *user, const char *text, size_t len)
{
	struct find *fd = user;
	struct domu_out *o = fd->r->out;

	if (!fd->quote)
		return domu_run_write(fd->r, text, len);
	for (int i = 0; i < STAT_CELLS; i++)
		domu_row_null(o);
	domu_row_text(o, "f");
	domu_row_bytes(o, text, len);
	domu_row_null(o);
	return domu_row_end(o);
}

static int print(struct find *fd, char end)
{
	char *shown = NULL;

	if (fd->quote) {
		shown = domu_escape(fd->now->path, fd->now->path_len, false);
		if (shown == NULL)
			return domu_nomem(fd->r->ctx);
		domu_text_add(&fd->text, shown, strlen(shown));
		free(shown);
	} else {
		domu_text_add(&fd->text, fd->now->path, fd->now->path_len);
	}
	domu_text_char(&fd->text, end);
	return 0;
}

/* "." stays, as with findutils; the guest's root, and what is mounted, is refused. */
static int delete_found(struct find *fd)
{
	const struct domu_path *w = fd->now->where;
	int rc = 0;

	if (strcmp(fd->now->path, ".") == 0)
		return 0;
	if (strcmp(w->path, "/") == 0)
		return domu_fail(fd->r->ctx, DOMU_FAILED, -EBUSY,
		                 "find: refusing to delete the root directory '/': nothing is deleted");
	if (strcmp(w->name, "/") == 0 || domu_tree_covered(fd->tree, w->mount, w->ino))
		rc = domu_fail(fd->r->ctx, DOMU_FAILED, -EBUSY, "a filesystem is mounted there");
	else if (domu_change_is_dots(fd->now->path))
		rc = -EINVAL;
	else if (S_ISDIR(w->st.mode))
		rc = domu_fs_rmdir(w->fs, w->dir, w->name);
	else
		rc = domu_fs_unlink(w->fs, w->dir, w->name);
	return rc == 0 ? 0 : domu_change_fail(fd->r, rc, "nothing is deleted: '%s'", fd->now->path);
}

/* What was printed so far stands before what the command prints. */
static int exec(struct find *fd, const struct domu_find_node *x)
{
	char *path = (char *)(uintptr_t)fd->now->path;
	bool ok;
	int rc;

	if (x->plus)
		return domu_find_batches_add(fd->r, &fd->batches, x, path);
	rc = domu_text_flush(&fd->text);
	if (rc == 0)
		rc = domu_find_exec(fd->r, x, &path, 1, &ok);
	return rc == 0 ? !ok : rc;
}

static int act(void *user, const struct domu_find_node *x)
{
	struct find *fd = user;
	int rc = 0;

	if (x->kind == FIND_DELETE)
		return delete_found(fd);
	if (x->kind == FIND_EXEC)
		return exec(fd, x);
	if (fd->json)
		return act_json(fd, x->kind == FIND_LS ? "l" : x->kind == FIND_PRINT0 ? "0" : "p");
	if (x->kind == FIND_LS)
		domu_find_ls(fd->item, &fd->text, fd->quote);
	else if (x->kind == FIND_PRINTF)
		domu_find_format_put(x->format, fd->item, &fd->text, fd->quote);
	else
		rc = print(fd, x->kind == FIND_PRINT0 ? '\0' : '\n');
	if (rc == 0)
		rc = domu_text_end(&fd->text);
	return rc == -ENOMEM ? domu_nomem(fd->r->ctx) : rc;
}

/* Where the link that is being looked at leads, for %Y. */
static char follow(void *user)
{
	struct find *fd = user;
	struct domu_path *to = malloc(sizeof *to);
	char letter = '?';
	int rc = to != NULL ? domu_path_walk(fd->tree, "/", fd->now->where->path, 0, to) : -ENOMEM;

	if (rc == 0)
		letter = domu_find_type(to->st.mode);
	else if (rc == -ELOOP)
		letter = 'L';
	else if (rc == -ENOENT || rc == -ENOTDIR)
		letter = 'N';
	if (rc != 0)
		domu_error_clear(fd->r->ctx);
	free(to);
	return letter;
}

/* A command may have removed the directory that was found. */
static bool is_gone(struct find *fd, const struct domu_path *w)
{
	uint64_t ino = 0;

	if (!fd->f.changes || fd->f.post_order || !S_ISDIR(w->st.mode) || strcmp(w->name, "/") == 0)
		return false;
	if (domu_fs_lookup(w->fs, w->dir, w->name, &ino) != 0)
		domu_error_clear(fd->r->ctx);
	return ino != w->ino;
}

static int each(void *user, const struct domu_walk_entry *e)
{
	struct find *fd = user;
	const char *slash;
	struct domu_find_item item = { .path = e->path,
		                       .path_len = e->path_len,
		                       .start_len = fd->start_len,
		                       .fs = e->where->fs,
		                       .node = e->where->node,
		                       .st = &e->where->st,
		                       .depth = e->depth,
		                       .now = fd->f.now,
		                       .names = fd->names,
		                       .action = act,
		                       .follow = follow,
		                       .user = fd };
	int rc;

	if (e->err != 0) {
		domu_run_unreadable(fd->r, e->path, e->err, &fd->failed);
		return DOMU_WALK_PRUNE;
	}
	if (e->depth < fd->f.min_depth)
		return DOMU_WALK_GO;
	fd->now = e;
	fd->item = &item;
	slash = memrchr(e->path, '/', e->path_len);
	item.name = slash != NULL && slash[1] != '\0' ? slash + 1 : e->path;
	rc = domu_find_match(&fd->f, &item);
	if (item.quit) {
		fd->quit = true;
		return rc < 0 ? rc : -ECANCELED;
	}
	if (rc < 0)
		return rc;
	return (item.prune && !fd->f.post_order) || is_gone(fd, e->where) ? DOMU_WALK_PRUNE : DOMU_WALK_GO;
}

static int look(void *user, const char *path, bool follow_it, struct domu_path *out)
{
	struct find *fd = user;
	const char *split = strstr(path, ":/");

	return domu_path_walk(fd->tree, fd->r->cwd, split != NULL ? split + 1 : path,
	                      follow_it ? 0 : DOMU_WALK_NOFOLLOW, out);
}

static int start_at(struct domu_run *r, size_t i, void *user)
{
	struct find *fd = user;
	const struct domu_walk_opts opts = { .max_depth = fd->f.max_depth,
		                             .one_fs = fd->f.one_fs,
		                             .post_order = fd->f.post_order,
		                             .read_only = !fd->f.changes,
		                             .scans = fd->scans };
	const char *path = i != SIZE_MAX ? domu_run_path(r, i) : NULL;
	struct domu_path *where;
	char *shown = NULL;
	int rc, n;

	if (fd->quit)
		return 0;
	if (path == NULL)
		path = r->in_shell ? "." : "/";
	n = r->many ? asprintf(&shown, "%s:%s", r->guest, path) : asprintf(&shown, "%s", path);
	where = malloc(sizeof *where);
	if (n < 0 || where == NULL) {
		free(n >= 0 ? shown : NULL);
		free(where);
		return domu_nomem(r->ctx);
	}
	fd->start_len = strlen(shown);
	rc = domu_path_walk(fd->tree, r->cwd, path, DOMU_WALK_NOFOLLOW, where);
	if (rc == 0 && fd->scans == NULL && !fd->f.changes)
		rc = domu_scans_new(fd->tree, &fd->scans);
	if (rc == 0)
		rc = domu_walk_tree(fd->tree, where, shown, &opts, each, fd);
	if (rc == -ECANCELED && fd->quit) {
		domu_error_clear(r->ctx);
		rc = 0;
	}
	free(where);
	free(shown);
	return rc;
}

static int parse(struct find *fd)
{
	struct domu_find_env env = { .ctx = fd->r->ctx };
	size_t n;
	char *const *words = domu_args_rest(fd->r->args, &n);
	int rc = domu_find_parse(&env, words, n, &fd->f);

	/* Once without names to see whether it asks for any. */
	if (rc == 0 && (fd->f.needs_names || fd->json))
		fd->names = domu_names_load(fd->tree, fd->r->ctx);
	if (rc != 0)
		return rc;
	domu_find_free(&fd->f);
	env = (struct domu_find_env){ .ctx = fd->r->ctx, .names = fd->names, .look = look, .user = fd };
	return domu_find_parse(&env, words, n, &fd->f);
}

/* What waits for its + is run also where another start is missing, as with findutils; a change is whole or absent. */
static int run_batches(struct find *fd, int rc)
{
	struct domu_error kept;
	int r2;

	if (domu_run_is_over(rc) || (rc != 0 && fd->f.changes))
		return rc;
	kept = domu_error_take(fd->r->ctx);
	r2 = domu_find_batches_run(fd->r, &fd->batches);
	if (rc != 0)
		domu_error_put_back(fd->r->ctx, kept);
	return rc != 0 ? rc : r2;
}

static int run(struct domu_run *r)
{
	struct find fd = { .r = r, .json = domu_out_json(r->out), .quote = r->out_fd < 0 };
	int rc = domu_work_tree(r->work, r->use, &fd.tree), r2;

	fd.text = (struct domu_text){ .flush = flush, .user = &fd };
	domu_run_widen(r);
	if (rc == 0)
		rc = parse(&fd);
	if (rc == 0)
		rc = domu_run_each(r, 0, start_at, &fd);
	/* What was found is shown also when something else failed. */
	r2 = domu_text_flush(&fd.text);
	if (r2 == 0)
		rc = run_batches(&fd, rc);
	rc = domu_run_walked(r, rc != 0 ? rc : r2, fd.failed);
	if (rc == 0 && fd.batches.failed)
		r->exit_status = DOMU_FAILED;
	domu_find_batches_free(&fd.batches);
	domu_text_free(&fd.text);
	domu_scans_free(fd.scans);
	domu_find_free(&fd.f);
	domu_names_free(fd.names);
	return rc;
}

static int more_needs(struct domu_ctx *ctx, const struct domu_args *a, unsigned *needs)
{
	const struct domu_find_env env = { .ctx = ctx };
	struct domu_find f;
	size_t n;
	char *const *words = domu_args_rest(a, &n);
	int rc = domu_find_parse(&env, words, n, &f);

	if (rc == 0 && f.changes)
		*needs |= NEED_WRITE;
	if (rc == 0)
		domu_find_free(&f);
	return rc;
}

/* ---- in the front ----------------------------------------------------------------------- */

static int row(struct domu_out *o, const struct domu_cell *c, size_t n, void *user)
{
	(void)n;
	(void)user;
	return domu_out_bytes(o, c[FIND_SHOWN].text, c[FIND_SHOWN].len);
}

static const struct domu_layout layout = { .row = row };

static const struct domu_arg args[] = {
	{ "GUEST:PATH", ARG_GUEST_DIR, COUNT_SOME },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option options[] = {
	{ "name", 0, "PATTERN", "the name matches (with * ? [])" },
	{ "iname", 0, "PATTERN", "the same, upper and lower case alike" },
	{ "path", 0, "PATTERN", "the whole path matches; also -ipath, -wholename" },
	{ "lname", 0, "PATTERN", "a link whose target matches" },
	{ "type", 0, "TYPES", "f file, d directory, l link, b c p s, with commas between" },
	{ "size", 0, "N", "size in 512-byte blocks, or with c w k M G; +N more, -N less" },
	{ "empty", 0, NULL, "an empty file or directory" },
	{ "mtime", 0, "N", "changed N days ago; -mmin in minutes; also -atime -ctime -amin -cmin" },
	{ "newer", 0, "PATH", "changed later than this file of the guest; also -anewer, -cnewer" },
	{ "newerXY", 0, "PATH",
	  "its time X (a B c m) is later than the time Y of the file, or, with Y = t, than that time" },
	{ "regex", 0, "EXPR", "the whole path matches this regular expression (of emacs); also -iregex" },
	{ "samefile", 0, "PATH", "the same inode as this file of the guest" },
	{ "perm", 0, "MODE", "mode, 644 or u=rw,go=r; -MODE all of these bits, /MODE any of them" },
	{ "user", 0, "NAME", "owner by name or number; -uid N, -nouser" },
	{ "group", 0, "NAME", "group by name or number; -gid N, -nogroup" },
	{ "links", 0, "N", "number of hard links" },
	{ "inum", 0, "N", "inode number" },
	{ "maxdepth", 0, "N", "at most N levels below the start" },
	{ "mindepth", 0, "N", "at least N levels below the start" },
	{ "xdev", 0, NULL, "stay in one filesystem" },
	{ "depth", 0, NULL, "what is in a directory before the directory" },
	{ "print", 0, NULL, "print the path, a line each (what is done where no action stands)" },
	{ "print0", 0, NULL, "print the path, then a NUL" },
	{ "printf", 0, "FORMAT",
	  "print as FORMAT says: %p path, %f name, %P below the start, %s size, %m %M mode, %u %g owner, %y type, %t "
	  "%T@ time, and what else find(1) has" },
	{ "ls", 0, NULL, "print as ls -dils" },
	{ "prune", 0, NULL, "do not go into this directory" },
	{ "delete", 0, NULL, "remove it; what is in a directory comes before it, as with -depth" },
	{ "exec", 0, "COMMAND... ;",
	  "run a command of this program on it, with the path for {}; true where that ends with 0; {} + at the end: on "
	  "many "
	  "at once" },
	{ "quit", 0, NULL, "end" },
	{ "! EXPR, EXPR -o EXPR, ( EXPR )", 0, NULL, "not, or, together; and stands between all others" },
	{ NULL, 0, NULL, NULL },
};

static const struct domu_missing missing[] = {
	{ "-execdir", " (-exec COMMAND {} ';')" },
	{ "-ok", " (look first with -print; what -exec changes is undone by undo)" },
	{ "-okdir", " (look first with -print; what -exec changes is undone by undo)" },
	{ "-fprint", " (> FILE)" },
	{ "-fprintf", " (-printf FORMAT > FILE)" },
	{ "-fls", " (-ls > FILE)" },
	{ "-fprint0", " (-print0 > FILE)" },
	{ "-fstype", " (df GUEST tells which filesystem is where; -xdev stays on one)" },
	{ 0 },
};

const struct domu_command domu_cmd_find = {
	.name = "find",
	.topic = "reading",
	.summary = "find files by name, type, size, time, owner",
	.description =
	    "Paths are printed as the guest has them; with several guests the guest's name stands before.\n\nWith "
	    "-delete, or "
	    "-exec of a command that changes something, find is a change like any other: checked, committed as a whole "
	    "or, where one file cannot be changed, not at all, and undone by undo. -exec runs commands that read or "
	    "change "
	    "files (cat, grep, rm, chmod, cp...), inside the guest.",
	.args = args,
	.options = options,
	.columns = columns,
	.example = "domu-rescue find web1:/etc -name '*.conf' -newer /etc/hostname",
	.missing = missing,
	.needs = NEED_GUEST | RAW_ARGS | GIVES_BYTES | WALKS,
	.more_needs = more_needs,
	.worker = run,
	.layout = &layout,
};
