/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-stat.c - stat and readlink: all about one inode. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/cmd.h"
#include "shell/fmt.h"
#include "shell/rowstat.h"

enum { ST_NAME = STAT_CELLS, ST_DEVICE, ST_BLOCKS, ST_BLOCK_SIZE, ST_ATIME, ST_CTIME, ST_BTIME, ST_FLAGS, ST_CELLS };

static const struct domu_column columns[] = {
	DOMU_STAT_COLUMNS,
	{ "name", NULL, CELL_BYTES },
	{ "device", NULL, CELL_TEXT },
	{ "blocks", NULL, CELL_NUMBER },
	{ "block_size", NULL, CELL_NUMBER },
	{ "atime", NULL, CELL_TIME },
	{ "ctime", NULL, CELL_TIME },
	{ "btime", NULL, CELL_TIME },
	{ "flags", NULL, CELL_NUMBER },
	{ NULL, NULL, CELL_TEXT },
};

struct stat_user {
	struct domu_tree *t;
	struct domu_names *names;
};

static int stat_one(struct domu_run *r, size_t i, void *user)
{
	struct stat_user *u = user;
	struct domu_path *where = malloc(sizeof *where);
	struct domu_out *o = r->out;
	const char *shown = r->many ? domu_args_get(r->args, i) : domu_run_path(r, i);
	int rc;

	if (where == NULL)
		return domu_nomem(r->ctx);
	rc = domu_run_walk(r, i, domu_args_flag(r->args, "L") ? 0 : DOMU_WALK_NOFOLLOW, where);
	if (rc == 0) {
		domu_row_stat(o, where->path, strlen(where->path), where->fs, &where->st, u->names);
		domu_row_text(o, shown != NULL ? shown : where->path);
		domu_row_text(o, domu_tree_nodes(u->t)->v[where->node].name);
		domu_row_number(o, where->st.sectors);
		domu_row_number(o, where->st.block_size);
		domu_row_time(o, where->st.atime);
		domu_row_time(o, where->st.ctime);
		if (where->st.btime.tv_sec != 0)
			domu_row_time(o, where->st.btime);
		else
			domu_row_null(o);
		domu_row_number(o, where->st.flags);
		rc = domu_row_end(o);
	}
	free(where);
	return rc;
}

static int run_stat(struct domu_run *r)
{
	struct stat_user u = { 0 };
	int rc = domu_work_tree(r->work, r->use, &u.t);

	if (rc != 0)
		return rc;
	u.names = domu_names_load(u.t, r->ctx);
	rc = domu_run_each(r, 0, stat_one, &u);
	domu_names_free(u.names);
	return rc;
}

/* ---- how stat looks ------------------------------------------------------------------ */

static void put_name(struct domu_out *o, const struct domu_cell *c)
{
	char *name = domu_name_shown(o, c->text, c->len);

	domu_out_print(o, "%s", name != NULL ? name : "");
	free(name);
}

static void put_owner(struct domu_out *o, const struct domu_cell *name)
{
	if (name->null)
		domu_out_print(o, "%s", "UNKNOWN");
	else
		put_name(o, name);
}

static void put_time(struct domu_out *o, const char *what, const struct domu_cell *c)
{
	char text[DOMU_TIME_TEXT] = "-";

	if (!c->null)
		domu_time_full(c->time, text);
	domu_out_print(o, "%s: %s\n", what, text);
}

static void put_owner_line(struct domu_out *o, const char *what, uint64_t id, const struct domu_cell *name)
{
	char *shown = name->null ? strdup("UNKNOWN") : domu_name_shown(o, name->text, name->len);

	domu_out_print(o, "  %s: (%5" PRIu64 "/%8s)", what, id, shown != NULL ? shown : "");
	free(shown);
}

static int block_text(struct domu_out *o, const struct domu_cell *c)
{
	uint32_t mode = (uint32_t)c[STAT_IFMODE].number;
	char text[11];

	domu_mode_text(mode, text);
	domu_out_print(o, "  File: ");
	put_name(o, &c[ST_NAME]);
	if (!c[STAT_TARGET].null) {
		domu_out_print(o, " -> ");
		put_name(o, &c[STAT_TARGET]);
	}
	domu_out_print(o, "\n  Size: %-10" PRIu64 "\tBlocks: %-10" PRIu64 " IO Block: %-6" PRIu64 " %s\n",
	               c[STAT_SIZE].number, c[ST_BLOCKS].number, c[ST_BLOCK_SIZE].number,
	               domu_type_words(mode, c[STAT_SIZE].number));
	domu_out_print(o, "Device: ");
	put_name(o, &c[ST_DEVICE]);
	domu_out_print(o, "\tInode: %-11" PRIu64 " Links: %-5" PRIu64, c[STAT_INODE].number, c[STAT_NLINK].number);
	if (!c[STAT_MAJOR].null)
		domu_out_print(o, " Device type: %" PRIu64 ",%" PRIu64, c[STAT_MAJOR].number, c[STAT_MINOR].number);
	domu_out_print(o, "\nAccess: (%04o/%s)", mode & 07777, text);
	put_owner_line(o, "Uid", c[STAT_UID].number, &c[STAT_OWNER]);
	domu_out_print(o, " ");
	put_owner_line(o, "Gid", c[STAT_GID].number, &c[STAT_GROUP]);
	domu_out_print(o, "\n");
	put_time(o, "Access", &c[ST_ATIME]);
	put_time(o, "Modify", &c[STAT_MTIME]);
	put_time(o, "Change", &c[ST_CTIME]);
	put_time(o, " Birth", &c[ST_BTIME]);
	return domu_out_print(o, "%s", "");
}

static void put_time_as(struct domu_out *o, char letter, const struct domu_cell *c)
{
	char text[DOMU_TIME_TEXT] = "-";

	if (letter >= 'a' && !c->null)
		domu_time_full(c->time, text);
	else if (letter < 'a')
		snprintf(text, sizeof text, "%lld", c->null ? 0LL : (long long)c->time.tv_sec);
	domu_out_print(o, "%s", text);
}

/* One directive of -c; false: there is none of that letter. */
static bool directive(struct domu_out *o, char letter, const struct domu_cell *c)
{
	static const struct {
		char letter;
		int cell;
	} numbers[] = { { 's', STAT_SIZE },     { 'u', STAT_UID },   { 'g', STAT_GID },
		        { 'i', STAT_INODE },    { 'h', STAT_NLINK }, { 'b', ST_BLOCKS },
		        { 'o', ST_BLOCK_SIZE }, { 't', STAT_MAJOR }, { 'T', STAT_MINOR } };
	static const struct {
		char letter;
		int cell;
	} times[] = { { 'x', ST_ATIME }, { 'y', STAT_MTIME }, { 'z', ST_CTIME }, { 'w', ST_BTIME } };
	uint32_t mode = (uint32_t)c[STAT_IFMODE].number;
	char text[11];

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		if (numbers[i].letter == letter) {
			domu_out_print(o, letter == 't' || letter == 'T' ? "%" PRIx64 : "%" PRIu64,
			               c[numbers[i].cell].number);
			return true;
		}
	}
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		if (times[i].letter == (letter | 0x20)) {
			put_time_as(o, letter, &c[times[i].cell]);
			return true;
		}
	}
	domu_mode_text(mode, text);
	if (letter == 'n')
		put_name(o, &c[ST_NAME]);
	else if (letter == 'U')
		put_owner(o, &c[STAT_OWNER]);
	else if (letter == 'G')
		put_owner(o, &c[STAT_GROUP]);
	else if (letter == 'a')
		domu_out_print(o, "%o", mode & 07777);
	else if (letter == 'A')
		domu_out_print(o, "%s", text);
	else if (letter == 'f')
		domu_out_print(o, "%x", mode);
	else if (letter == 'F')
		domu_out_print(o, "%s", domu_type_words(mode, c[STAT_SIZE].number));
	else if (letter == 'B')
		domu_out_print(o, "512");
	else if (letter == '%')
		domu_out_print(o, "%%");
	else
		return false;
	return true;
}

static int row(struct domu_out *o, const struct domu_cell *c, size_t n, void *user)
{
	const struct domu_run *r = user;
	const char *format = domu_args_value(r->args, "printf"), *ends = "";

	if (format == NULL) {
		format = domu_args_value(r->args, "c");
		ends = "\n";
	}

	(void)n;
	if (format == NULL)
		return block_text(o, c);
	for (const char *p = format; *p != '\0'; p++) {
		if (*p == '%' && p[1] == 'N') {
			put_name(o, &c[ST_NAME]);
			if (!c[STAT_TARGET].null) {
				domu_out_print(o, " -> ");
				put_name(o, &c[STAT_TARGET]);
			}
			p++;
		} else if (*p == '\\' && *ends == '\0' && p[1] != '\0') {
			static const char names[] = "nt0\\\"", are[] = "\n\t\0\\\"";
			const char *at = strchr(names, *++p);

			domu_out_print(o, "%c", at != NULL ? are[at - names] : *p);
		} else if (*p != '%' || p[1] == '\0') {
			domu_out_print(o, "%c", *p);
		} else if (directive(o, p[1], c)) {
			p++;
		} else {
			return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "stat: there is no %%%c in a format", p[1]);
		}
	}
	return domu_out_print(o, "%s", ends);
}

static const struct domu_layout layout = { .row = row };

/* ---- readlink ----------------------------------------------------------------------------- */

/* readlink -m: what is there is resolved, and the rest put behind it.  text is cut and put together again. */
static int resolve_missing(struct domu_run *r, const char *path, struct domu_path *where)
{
	char *text = strdup(path), *rest = NULL;
	size_t len;
	struct domu_tree *t;
	int rc = text != NULL ? domu_work_tree(r->work, r->use, &t) : domu_nomem(r->ctx);

	while (rc == 0 && (rc = domu_path_walk(t, r->cwd, *text != '\0' ? text : "/", DOMU_WALK_PARENT, where)) != 0) {
		char *slash = strrchr(text, '/'), *longer;

		if ((rc != -ENOENT && rc != -ENOTDIR) || slash == NULL || text[0] == '\0')
			break;
		domu_error_clear(r->ctx);
		if (asprintf(&longer, "%s%s", slash, rest != NULL ? rest : "") < 0) {
			rc = domu_nomem(r->ctx);
			break;
		}
		free(rest);
		rest = longer;
		*slash = '\0';
		rc = 0;
	}
	len = strlen(where->path);
	if (rc == 0 && rest != NULL &&
	    snprintf(where->path + len, sizeof where->path - len, "%s", rest) >= (int)(sizeof where->path - len))
		rc = domu_fail(r->ctx, DOMU_FAILED, -ENAMETOOLONG, "readlink: the path is too long");
	free(rest);
	free(text);
	return rc;
}

static int readlink_one(struct domu_run *r, size_t i, void *user)
{
	bool canonical = domu_args_flag(r->args, "f"), existing = domu_args_flag(r->args, "e");
	bool missing = domu_args_flag(r->args, "m");
	struct domu_path *where = malloc(sizeof *where);
	char target[4096];
	int rc, n = 0;

	(void)user;
	if (where == NULL)
		return domu_nomem(r->ctx);
	canonical = canonical || missing;
	if (missing && domu_run_path(r, i) != NULL)
		rc = resolve_missing(r, domu_run_path(r, i), where);
	else
		rc = domu_run_walk(r, i, existing ? 0 : canonical ? DOMU_WALK_PARENT : DOMU_WALK_NOFOLLOW, where);
	if (rc == 0 && !canonical && !existing) {
		if (!S_ISLNK(where->st.mode))
			rc = domu_fail(r->ctx, DOMU_FAILED, -EINVAL, "%s is not a symbolic link", where->path);
		else
			n = domu_fs_readlink(where->fs, where->ino, target, sizeof target);
		rc = n < 0 ? n : rc;
	}
	if (rc == 0) {
		domu_row_text(r->out, where->path);
		if (canonical || existing)
			domu_row_text(r->out, where->path);
		else
			domu_row_bytes(r->out, target, (size_t)n);
		rc = domu_row_end(r->out);
	}
	free(where);
	return rc;
}

static int run_readlink(struct domu_run *r)
{
	return domu_run_each(r, 0, readlink_one, NULL);
}

static int readlink_row(struct domu_out *o, const struct domu_cell *c, size_t n, void *user)
{
	const struct domu_run *r = user;

	(void)n;
	put_name(o, &c[1]);
	if (domu_args_flag(r->args, "z"))
		return domu_out_print(o, "%c", '\0');
	return domu_args_flag(r->args, "n") && domu_args_count(r->args) == 1 ? 0 : domu_out_print(o, "\n");
}

static const struct domu_layout readlink_layout = { .row = readlink_row };

/* ---- rows ----------------------------------------------------------------------------------- */

static const struct domu_arg args[] = {
	{ "GUEST:PATH", ARG_GUEST_PATH, COUNT_SOME },
	{ NULL, ARG_NONE, COUNT_ONE },
};

static const struct domu_option options[] = {
	{ "dereference", 'L', NULL, "follow links" },
	{ "format", 'c', "FORMAT",
	  "a line with %n %N %s %b %B %o %a %A %f %F %u %U %g %G %i %h %t %T %x %X %y %Y %z %Z %w %W" },
	{ "printf", 0, "FORMAT", "the same without a newline at the end; \\n \\t \\0 are what they are in C" },
	{ NULL, 0, NULL, NULL },
};

static const struct domu_option readlink_options[] = {
	{ "canonicalize", 'f', NULL, "the path with every link resolved; its last part need not exist" },
	{ "canonicalize-existing", 'e', NULL, "the same, and it must exist" },
	{ "canonicalize-missing", 'm', NULL, "the same, and no part of it need exist" },
	{ "no-newline", 'n', NULL, "no newline after the one that is named" },
	{ "zero", 'z', NULL, "end with a NUL, not a newline" },
	{ NULL, 0, NULL, NULL },
};

static const struct domu_column readlink_columns[] = {
	{ "path", NULL, CELL_BYTES },
	{ "target", NULL, CELL_BYTES },
	{ NULL, NULL, CELL_TEXT },
};

const struct domu_command domu_cmd_stat = {
	.name = "stat",
	.topic = "reading",
	.summary = "mode, owner, times, size and place of files",
	.args = args,
	.options = options,
	.columns = columns,
	.example = "domu-rescue stat web1:/etc/shadow",
	.needs = NEED_GUEST,
	.worker = run_stat,
	.layout = &layout,
};

const struct domu_command domu_cmd_readlink = {
	.name = "readlink",
	.topic = "reading",
	.summary = "where symbolic links lead",
	.args = args,
	.options = readlink_options,
	.columns = readlink_columns,
	.example = "domu-rescue readlink -f web1:/etc/localtime",
	.needs = NEED_GUEST,
	.worker = run_readlink,
	.layout = &readlink_layout,
};
