/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-chattr.c - lsattr and chattr: the flags of files on ext2, ext3, ext4, and their project. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/change.h"
#include "shell/cmd.h"
#include "shell/flags.h"
#include "shell/fmt.h"

/* ---- lsattr ---------------------------------------------------------------------------- */

enum { LA_PATH, LA_LETTERS, LA_FLAGS, LA_PROJECT, LA_VERSION, LA_CELLS };

static const struct domu_column columns[] = {
	{ "path", NULL, CELL_BYTES },     { "flags", NULL, CELL_TEXT },     { "flags_value", NULL, CELL_NUMBER },
	{ "project", NULL, CELL_NUMBER }, { "version", NULL, CELL_NUMBER }, { NULL, NULL, CELL_TEXT },
};

static bool has_flags(const struct domu_path *p)
{
	return S_ISREG(p->st.mode) || S_ISDIR(p->st.mode);
}

static int list_flags(struct domu_run *r, const struct domu_path *p, const char *shown)
{
	char text[DOMU_FLAGS_TEXT];

	domu_flags_text(p->st.flags, text);
	domu_row_text(r->out, shown);
	domu_row_text(r->out, text);
	domu_row_number(r->out, p->st.flags);
	domu_row_number(r->out, p->st.projid);
	domu_row_number(r->out, p->st.generation);
	return domu_row_end(r->out);
}

struct lister {
	struct domu_run *r;
	struct domu_tree *t;
	bool all, recursive;
};

static bool hidden(const char *path)
{
	const char *slash = strrchr(path, '/');

	return (slash != NULL ? slash[1] : path[0]) == '.';
}

static int list_entry(void *user, const struct domu_walk_entry *e)
{
	struct lister *l = user;
	int rc = 0;

	if (e->err != 0) {
		domu_say(l->r->ctx, DOMU_WARNING, "lsattr: %s: %s", e->path, strerror(-e->err));
		l->r->exit_status = DOMU_FAILED;
		return DOMU_WALK_PRUNE;
	}
	if (e->depth == 0)
		return 0;
	if (!l->all && hidden(e->path))
		return DOMU_WALK_PRUNE;
	if (has_flags(e->where))
		rc = list_flags(l->r, e->where, e->path);
	return rc != 0 ? rc : l->recursive ? DOMU_WALK_GO : DOMU_WALK_PRUNE;
}

static int no_flags(struct domu_run *r, const struct domu_path *p, const char *shown)
{
	return domu_fail(r->ctx, DOMU_FAILED, -EOPNOTSUPP, "%s: %s: a %s has no flags", r->cmd->name, shown,
	                 domu_type_words(p->st.mode, 1));
}

/* As lsattr: a directory's entries, with -a also the directory as "." in itself. */
static int list_dir(struct lister *l, const struct domu_path *p, const char *shown)
{
	const struct domu_walk_opts opts = { .max_depth = l->recursive ? ~0u : 1 };
	bool slash = shown[strlen(shown) - 1] == '/';
	char *dot = NULL;
	int rc = 0;

	if (l->all) {
		if (asprintf(&dot, "%s%s.", shown, slash ? "" : "/") < 0)
			return domu_nomem(l->r->ctx);
		rc = list_flags(l->r, p, dot);
		free(dot);
	}
	return rc != 0 ? rc : domu_walk_tree(l->t, p, shown, &opts, list_entry, l);
}

static int list_one(struct domu_run *r, size_t operand, void *user)
{
	struct lister *l = user;
	const char *path = operand != SIZE_MAX ? domu_run_path(r, operand) : NULL;
	const char *shown = path == NULL ? (r->in_shell ? "." : "/") : r->many ? domu_args_get(r->args, operand) : path;
	struct domu_path *p = malloc(sizeof *p);
	int rc = p != NULL ? domu_path_walk(l->t, r->cwd, path != NULL ? path : r->cwd, DOMU_WALK_NOFOLLOW, p)
	                   : domu_nomem(r->ctx);

	if (rc == 0 && !has_flags(p))
		rc = no_flags(r, p, shown);
	else if (rc == 0 && S_ISDIR(p->st.mode) && !domu_args_flag(r->args, "d"))
		rc = list_dir(l, p, shown);
	else if (rc == 0)
		rc = list_flags(r, p, shown);
	free(p);
	return rc;
}

static int run_lsattr(struct domu_run *r)
{
	struct lister l = { .r = r, .all = domu_args_flag(r->args, "a"), .recursive = domu_args_flag(r->args, "R") };
	int rc = domu_work_tree(r->work, r->use, &l.t);

	return rc != 0 ? rc : domu_run_each(r, 0, list_one, &l);
}

static int lsattr_row(struct domu_out *o, const struct domu_cell *c, size_t n, void *user)
{
	const struct domu_run *r = user;
	char *path;

	(void)n;
	if (c[LA_PATH].null || c[LA_LETTERS].null)
		return -EBADMSG;
	path = domu_name_shown(o, c[LA_PATH].text, c[LA_PATH].len);
	if (domu_args_flag(r->args, "p"))
		domu_out_print(o, "%5" PRIu64 " ", c[LA_PROJECT].number);
	if (domu_args_flag(r->args, "v"))
		domu_out_print(o, "%-10" PRIu64 " ", c[LA_VERSION].number);
	domu_out_bytes(o, c[LA_LETTERS].text, c[LA_LETTERS].len);
	domu_out_print(o, " %s\n", path != NULL ? path : "");
	free(path);
	return domu_out_print(o, "%s", "");
}

static const struct domu_layout lsattr_layout = { .row = lsattr_row };

/* ---- chattr ---------------------------------------------------------------------------- */

struct change {
	uint32_t add, remove, set;
	bool exact; /* "=": set is all there shall be */
	bool any;
	bool has_project;
	uint32_t project;
};

static int take_words(struct domu_run *r, struct change *c)
{
	const char *word;

	for (size_t i = 0; (word = domu_args_value_at(r->args, "flags", i)) != NULL; i++) {
		char unknown = 0;
		uint32_t flags = domu_flags_word(word) ? domu_flags_parse(word + 1, &unknown) : 0;

		if (!domu_flags_word(word))
			return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "chattr: '%s' is no change of flags: +i, -a, =Ad",
			                 word);
		c->any = true;
		if (word[0] == '+')
			c->add |= flags;
		else if (word[0] == '-')
			c->remove |= flags;
		else
			c->set |= flags;
		c->exact = c->exact || word[0] == '=';
	}
	if (c->exact && (c->add != 0 || c->remove != 0))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "chattr: = is given alone, without + and -");
	if ((c->add & c->remove) != 0)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "chattr: the same flag cannot be set and removed");
	return 0;
}

static int take_change(struct domu_run *r, struct change *c)
{
	const char *project = domu_args_value(r->args, "p");
	uint32_t flags, fixed;
	char text[DOMU_FLAGS_TEXT], *end;
	int rc = take_words(r, c);

	if (rc != 0)
		return rc;
	if (project != NULL) {
		unsigned long v;

		errno = 0;
		v = strtoul(project, &end, 10);
		if (errno != 0 || *project < '0' || *project > '9' || *end != '\0' || v >= UINT32_MAX)
			return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "chattr: %s is no project", project);
		c->has_project = true;
		c->project = (uint32_t)v;
	}
	if (!c->any && project == NULL)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
		                 "chattr: say which flags: chattr +i GUEST:FILE; see domu-rescue help chattr");
	flags = c->add | c->remove | c->set;
	fixed = flags & ~domu_flags_settable(S_IFDIR);
	if (fixed == 0)
		return 0;
	domu_flags_text(fixed, text);
	return domu_fail(r->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
	                 "chattr: %.1s belongs to the filesystem and cannot be set", text + strspn(text, "-"));
}

static int change_path(struct domu_run *r, const struct domu_path *p, const char *shown, void *user)
{
	const struct change *c = user;
	struct domu_stat st = p->st;
	uint32_t may = domu_flags_settable(st.mode);
	unsigned mask = 0;
	int rc = 0;

	if (!has_flags(p))
		return 0;
	if (c->exact)
		st.flags = (st.flags & ~may) | (c->set & may);
	else
		st.flags = (st.flags & ~(c->remove & may)) | (c->add & may);
	/* The project first: what is immutable takes no other change. */
	if (c->has_project && st.projid != c->project) {
		st.projid = c->project;
		rc = domu_fs_setattr(p->fs, p->ino, &st, DOMU_ATTR_PROJID);
	}
	mask = st.flags != p->st.flags ? DOMU_ATTR_FLAGS : 0;
	if (rc == 0 && mask != 0)
		rc = domu_fs_setattr(p->fs, p->ino, &st, mask);
	return rc != 0 ? domu_change_fail(r, rc, "setting flags of '%s'", shown) : 0;
}

static int change_one(struct domu_run *r, size_t operand, void *user)
{
	struct domu_path *p = malloc(sizeof *p);
	const char *shown = domu_change_shown(r, operand);
	int rc = p != NULL ? domu_change_walk(r, operand, DOMU_WALK_NOFOLLOW, p) : domu_nomem(r->ctx);

	if (rc == 0 && !has_flags(p))
		rc = no_flags(r, p, shown);
	if (rc == 0)
		rc = domu_change_tree(r, p, shown, domu_args_flag(r->args, "recursive"), change_path, user);
	free(p);
	return rc;
}

static int run_chattr(struct domu_run *r)
{
	struct change c = { 0 };
	int rc = take_change(r, &c);

	return rc != 0 ? rc : domu_run_each(r, 0, change_one, &c);
}

/* ---- rows -------------------------------------------------------------------------------- */

static const struct domu_arg lsattr_args[] = { { "GUEST:PATH", ARG_GUEST_DIR, COUNT_SOME }, { 0 } };

static const struct domu_option lsattr_options[] = {
	{ NULL, 'a', NULL, "also names that begin with a dot" },
	{ NULL, 'd', NULL, "directories themselves, not what is in them" },
	{ NULL, 'p', NULL, "the project of each" },
	{ NULL, 'R', NULL, "also what is in the directories below" },
	{ NULL, 'v', NULL, "the version (generation) of each" },
	{ 0 },
};

const struct domu_command domu_cmd_lsattr = {
	.name = "lsattr",
	.topic = "reading",
	.summary = "print the flags of files on ext2, ext3, ext4",
	.description = "One line a file or directory, the path last; nothing else has flags.",
	.args = lsattr_args,
	.options = lsattr_options,
	.columns = columns,
	.example = "domu-rescue lsattr web1:/etc",
	.needs = NEED_GUEST,
	.worker = run_lsattr,
	.layout = &lsattr_layout,
};

static const struct domu_arg chattr_args[] = {
	{ "[+-=]LETTERS", ARG_FLAGS, COUNT_SOME },
	{ "GUEST:PATH", ARG_GUEST_PATH, COUNT_SOME },
	{ 0 },
};

static const struct domu_option chattr_options[] = {
	{ "flags", 0, "LETTERS", "what is set (+i), removed (-i) or alone there (=i); --flags= may be left out" },
	{ "recursive", 'R', NULL, "directories with all that is in them" },
	{ NULL, 'p', "PROJECT", "the number of the project" },
	{ 0 },
};

const struct domu_command domu_cmd_chattr = {
	.name = "chattr",
	.topic = "changing",
	.summary = "set and remove flags of files on ext2, ext3, ext4",
	.description =
	    "LETTERS are those of chattr(1): a append only, A no access times, d no dump, D and S written at once, "
	    "i immutable, j data journalled, P project inherited, T top of a tree. What is immutable or append "
	    "only is changed by no command before that is taken away here.",
	.args = chattr_args,
	.options = chattr_options,
	.example = "domu-rescue chattr +i web1:/etc/hosts",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run_chattr,
};
