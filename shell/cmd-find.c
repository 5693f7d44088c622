/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-find.c - find: a tree walked in the worker, its expression asked about each inode. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shell/cmd.h"
#include "shell/find.h"
#include "shell/fmt.h"
#include "shell/rowstat.h"

enum { FIND_ACTION = STAT_CELLS, FIND_SHOWN };

static const struct domu_column columns[] = {
	DOMU_STAT_COLUMNS,
	{ "", NULL, CELL_TEXT }, /* the action: p, 0, l */
	{ "", NULL, CELL_BYTES }, /* the path as find prints it */
	{ "guest", NULL, CELL_TEXT },
	{ NULL, NULL, CELL_TEXT },
};

struct find {
	struct domu_run *r;
	struct domu_tree *tree;
	struct domu_names *names;
	struct domu_find f;
	const struct domu_walk_entry *now;
	bool full; /* all cells are wanted */
	bool quit;
	int failed; /* something could not be read */
};

static int act(void *user, char what)
{
	struct find *fd = user;
	struct domu_out *o = fd->r->out;
	const struct domu_path *w = fd->now->where;
	const char text[2] = { what, '\0' };
	bool stat_cells = fd->full || what == 'l';

	if (stat_cells) {
		domu_row_stat(o, w->path, strlen(w->path), w->fs, &w->st, fd->names);
	} else {
		for (int i = 0; i < STAT_CELLS; i++)
			domu_row_null(o);
	}
	domu_row_text(o, text);
	domu_row_text(o, fd->now->path);
	domu_row_text(o, fd->r->guest);
	return domu_row_end(o);
}

static int each(void *user, const struct domu_walk_entry *e)
{
	struct find *fd = user;
	const char *slash = strrchr(e->path, '/');
	struct domu_find_item item = { .path = e->path,
		                       .fs = e->where->fs,
		                       .st = &e->where->st,
		                       .depth = e->depth,
		                       .names = fd->names,
		                       .action = act,
		                       .user = fd };
	int rc;

	if (e->err != 0) {
		struct domu_ctx *ctx = fd->r->ctx;

		domu_say(ctx, DOMU_WARNING, "%s: %s", e->path,
		         ctx->error.message != NULL ? ctx->error.message : strerror(-e->err));
		domu_error_clear(ctx);
		fd->failed = e->err;
		if (e->inside || e->where->st.mode == 0)
			return DOMU_WALK_PRUNE;
	}
	if (e->depth < fd->f.min_depth)
		return DOMU_WALK_GO;
	fd->now = e;
	item.name = slash != NULL && slash[1] != '\0' ? slash + 1 : e->path;
	rc = domu_find_match(&fd->f, &item);
	if (item.quit) {
		fd->quit = true;
		return rc < 0 ? rc : -ECANCELED;
	}
	if (rc < 0)
		return rc;
	return item.prune && !fd->f.post_order ? DOMU_WALK_PRUNE : DOMU_WALK_GO;
}

static int newer(void *user, const char *path, struct timespec *mtime)
{
	struct find *fd = user;
	struct domu_path *where = malloc(sizeof *where);
	const char *split = strstr(path, ":/");
	int rc;

	if (where == NULL)
		return domu_nomem(fd->r->ctx);
	rc = domu_path_walk(fd->tree, fd->r->cwd, split != NULL ? split + 1 : path, 0, where);
	if (rc == 0)
		*mtime = where->st.mtime;
	free(where);
	return rc;
}

static int start_at(struct domu_run *r, size_t i, void *user)
{
	struct find *fd = user;
	const struct domu_walk_opts opts = { .max_depth = fd->f.max_depth,
		                             .one_fs = fd->f.one_fs,
		                             .post_order = fd->f.post_order,
		                             .read_only = true };
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
		free(where);
		return domu_nomem(r->ctx);
	}
	rc = domu_path_walk(fd->tree, r->cwd, path, DOMU_WALK_NOFOLLOW, where);
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

static int run(struct domu_run *r)
{
	struct find fd = { .r = r, .full = domu_out_json(r->out) };
	struct domu_find_env env = { .ctx = r->ctx };
	size_t n;
	char *const *words = domu_args_rest(r->args, &n);
	int rc = domu_work_tree(r->work, r->use, &fd.tree);

	/* Once without names to see whether it asks for any. */
	if (rc == 0)
		rc = domu_find_parse(&env, words, n, &fd.f);
	if (rc == 0 && (fd.f.needs_names || fd.full))
		fd.names = domu_names_load(fd.tree, r->ctx);
	if (rc == 0) {
		domu_find_free(&fd.f);
		env = (struct domu_find_env){ .ctx = r->ctx, .names = fd.names, .newer = newer, .user = &fd };
		rc = domu_find_parse(&env, words, n, &fd.f);
	}
	if (rc == 0)
		rc = domu_run_each(r, 0, start_at, &fd);
	if (rc == 0 && fd.failed != 0)
		rc =
		    domu_fail(r->ctx, DOMU_FAILED, fd.failed, "some of the tree cannot be read: domu-rescue fsck -n %s",
		              r->guest != NULL ? r->guest : "GUEST");
	domu_find_free(&fd.f);
	domu_names_free(fd.names);
	return rc;
}

/* ---- in the front ----------------------------------------------------------------------- */

static int print_ls(struct domu_out *o, const struct domu_cell *c)
{
	char mode[11], when[DOMU_TIME_TEXT], size[48];
	char *target = c[STAT_TARGET].null ? NULL : domu_name_shown(o, c[STAT_TARGET].text, c[STAT_TARGET].len);
	char *path = domu_name_shown(o, c[FIND_SHOWN].text, c[FIND_SHOWN].len), *owner, *group;

	domu_mode_text((uint32_t)c[STAT_IFMODE].number, mode);
	domu_time_ls(c[STAT_MTIME].time, time(NULL), when);
	snprintf(size, sizeof size, "%" PRIu64, c[STAT_SIZE].number);
	if (!c[STAT_MAJOR].null)
		snprintf(size, sizeof size, "%" PRIu64 ", %" PRIu64, c[STAT_MAJOR].number, c[STAT_MINOR].number);
	owner = c[STAT_OWNER].null ? NULL : domu_name_shown(o, c[STAT_OWNER].text, c[STAT_OWNER].len);
	group = c[STAT_GROUP].null ? NULL : domu_name_shown(o, c[STAT_GROUP].text, c[STAT_GROUP].len);
	domu_out_print(o, "%9" PRIu64 " %6" PRIu64 " %s %3" PRIu64 " ", c[STAT_INODE].number,
	               c[STAT_ALLOCATED].number / 1024, mode, c[STAT_NLINK].number);
	if (owner != NULL)
		domu_out_print(o, "%-8s ", owner);
	else
		domu_out_print(o, "%-8" PRIu64 " ", c[STAT_UID].number);
	if (group != NULL)
		domu_out_print(o, "%-8s ", group);
	else
		domu_out_print(o, "%-8" PRIu64 " ", c[STAT_GID].number);
	domu_out_print(o, "%8s %s %s%s%s\n", size, when, path != NULL ? path : "", target != NULL ? " -> " : "",
	               target != NULL ? target : "");
	free(owner);
	free(group);
	free(target);
	free(path);
	return domu_out_print(o, "%s", "");
}

static int row(struct domu_out *o, const struct domu_cell *c, size_t n, void *user)
{
	char what = c[FIND_ACTION].null ? 'p' : c[FIND_ACTION].text[0];
	char *shown;
	int rc;

	(void)n;
	(void)user;
	if (what == 'l' && !c[STAT_IFMODE].null)
		return print_ls(o, c);
	if (what == '0') {
		rc = domu_out_bytes(o, c[FIND_SHOWN].text, c[FIND_SHOWN].len);
		return rc != 0 ? rc : domu_out_print(o, "%c", '\0');
	}
	if (domu_out_tty(o)) {
		shown = domu_name_shown(o, c[FIND_SHOWN].text, c[FIND_SHOWN].len);
		rc = domu_out_print(o, "%s\n", shown != NULL ? shown : "");
		free(shown);
		return rc;
	}
	rc = domu_out_bytes(o, c[FIND_SHOWN].text, c[FIND_SHOWN].len);
	return rc != 0 ? rc : domu_out_print(o, "\n");
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
	{ "newer", 0, "PATH", "changed later than this file of the guest" },
	{ "perm", 0, "MODE", "octal mode; -MODE all of these bits, /MODE any of them" },
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
	{ "ls", 0, NULL, "print as ls -dils" },
	{ "prune", 0, NULL, "do not go into this directory" },
	{ "quit", 0, NULL, "end" },
	{ "! EXPR, EXPR -o EXPR, ( EXPR )", 0, NULL, "not, or, together; and stands between all others" },
	{ NULL, 0, NULL, NULL },
};

const struct domu_command domu_cmd_find = {
	.name = "find",
	.topic = "reading",
	.summary = "find files by name, type, size, time, owner",
	.description = "Paths are printed as the guest has them; with several guests the guest's name stands before.",
	.args = args,
	.options = options,
	.columns = columns,
	.example = "domu-rescue find web1:/etc -name '*.conf' -newer /etc/hostname",
	.needs = NEED_GUEST | RAW_ARGS,
	.worker = run,
	.layout = &layout,
};
