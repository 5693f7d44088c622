/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-cp.c - cp: inside a guest in its worker; with the host or another guest as a stream between two processes. */
#include "config.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/cmd.h"
#include "shell/copy.h"
#include "shell/cp-ends.h"
#include "shell/shell.h"
#include "task/treeio.h"

/* ---- operands --------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* A path of the shell's guest, named or not: as the shell sees it, on the device that "use" or @DEV says. */
static int take_own(struct domu_run *r, struct domu_cp_operand *o)
{
	o->shell = true;
	free(o->t.guest);
	o->t.guest = NULL;
	if (o->t.at != NULL || r->use == NULL)
		return 0;
	o->t.at = strdup(r->use);
	return o->t.at != NULL ? 0 : domu_nomem(r->ctx);
}

static bool is_own(struct domu_run *r, const char *guest)
{
	return r->in_shell && guest != NULL &&
	       (*guest == '\0' || same_text(guest, domu_guest_shown(domu_session_guest(r->session))));
}

/*
 * In the shell, and where --disk or --config said which guest, a path is the
 * guest's, and the host's is host:PATH; elsewhere the rules of the command
 * line hold.
 */
static int parse_operand(struct domu_run *r, const char *word, struct domu_cp_operand *o)
{
	int rc;

	memset(o, 0, sizeof *o);
	o->word = word;
	if (!r->in_shell && r->globals->disks == NULL && r->globals->config == NULL)
		return domu_target_parse(r->ctx, word, false, &o->t);
	if (strncmp(word, "host:", 5) == 0) {
		o->t.host = true;
		o->t.path = strdup(word + 5);
	} else if (strstr(word, ":/") != NULL && word[0] != '/' && word[0] != '.') {
		rc = domu_target_parse(r->ctx, word, false, &o->t);
		return rc == 0 && is_own(r, o->t.guest) ? take_own(r, o) : rc;
	} else {
		o->t.path = strdup(word);
		if (o->t.path != NULL && r->in_shell)
			return take_own(r, o);
	}
	return o->t.path != NULL ? 0 : domu_nomem(r->ctx);
}

static bool same_guest(const struct domu_cp_operand *a, const struct domu_cp_operand *b)
{
	return !a->t.host && !b->t.host && a->shell == b->shell && same_text(a->t.guest, b->t.guest);
}

static bool same_place(const struct domu_cp_operand *a, const struct domu_cp_operand *b)
{
	return same_guest(a, b) && same_text(a->t.at, b->t.at);
}

/* ---- sources that go together ------------------------------------------------------- */

static void free_set(struct domu_cp_set *set)
{
	domu_paths_free(set->paths, set->n);
	domu_paths_free(set->names, set->n);
	domu_paths_free(set->shown, set->n);
	*set = (struct domu_cp_set){ 0 };
}

static int grow(char ***list, size_t n)
{
	char **v = reallocarray(*list, n + 2, sizeof *v);

	if (v == NULL)
		return -ENOMEM;
	*list = v;
	v[n] = v[n + 1] = NULL;
	return 0;
}

/* path: of the operand o, or one that its pattern matches. */
static int add(struct domu_run *r, struct domu_cp_set *set, const struct domu_cp_operand *o, const char *path)
{
	size_t n = set->n, before = strlen(o->word) - strlen(o->t.path);
	char base[256];
	int rc = domu_cp_base(r, path, base);

	if (rc != 0)
		return rc;
	if (grow(&set->paths, n) != 0 || grow(&set->names, n) != 0 || grow(&set->shown, n) != 0)
		return domu_nomem(r->ctx);
	set->paths[n] = strdup(path);
	set->names[n] = strdup(base);
	/* What stands before the path: GUEST:, host: or nothing. */
	if (asprintf(&set->shown[n], "%.*s%s", (int)before, o->word, path) < 0)
		set->shown[n] = NULL;
	set->n++;
	return set->paths[n] != NULL && set->names[n] != NULL && set->shown[n] != NULL ? 0 : domu_nomem(r->ctx);
}

/* The content of a directory goes into the destination: that has no name there. */
static bool has_name(const char *path)
{
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	return len > 0 && path[len - 1] != '.';
}

/* How many of n go into one stream. */
static size_t together(const struct domu_cp_operand *src, size_t n)
{
	size_t k = 1;

	while (k < n && has_name(src[0].t.path) && has_name(src[k].t.path) &&
	       (src[0].t.host ? src[k].t.host : same_place(&src[0], &src[k])))
		k++;
	return k;
}

/* Sources of the host or of other guests into a guest; s is staging. */
static int copy_into_guest(struct domu_run *r, struct domu_session *s, struct domu_cp_operand *src, size_t n,
                           const struct domu_cp_operand *dst, unsigned flags)
{
	int rc = 0;

	for (size_t i = 0, k; rc == 0 && i < n; i += k) {
		struct domu_cp_set set = { 0 };
		struct domu_cp_end from = {
			.r = r, .o = &src[i], .ours = same_guest(&src[i], dst), .flags = flags, .set = &set
		};
		struct domu_cp_end to = { .r = r, .o = dst, .s = s, .flags = flags, .set = &set };

		if (same_place(&src[i], dst))
			return domu_fail(r->ctx, DOMU_USAGE, -EINVAL,
			                 "cp: copy '%s' by a command of its own: it is in the same guest", src[i].word);
		if (src[i].shell)
			from.s = r->session;
		k = together(src + i, n - i);
		for (size_t j = 0; rc == 0 && j < k; j++)
			rc = add(r, &set, &src[i + j], src[i + j].t.path);
		if (rc == 0)
			rc = domu_cp_into_guest(&from, &to);
		free_set(&set);
	}
	return rc;
}

/* 'web1:/var/log/\*.gz': the names in the guest; as it is where something has that very name, or nothing matches. */
static int expand(struct domu_run *r, struct domu_session *s, const struct domu_cp_operand *o, struct domu_cp_set *set)
{
	char **names = NULL;
	size_t n = 0;
	int rc = 0;

	if (!o->shell && strpbrk(o->t.path, "*?[") != NULL)
		rc = domu_paths_glob_in(r->app, s, o->t.at, o->t.path, &names, &n);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = add(r, set, o, names[i]);
	domu_paths_free(names, n);
	return rc == 0 && n == 0 ? add(r, set, o, o->t.path) : rc;
}

static int out_of_guest(struct domu_run *r, struct domu_cp_operand *src, size_t k, struct domu_cp_end *from,
                        struct domu_cp_end *to)
{
	struct domu_cp_set set = { 0 };
	struct stat st;
	int rc = 0;

	from->set = to->set = &set;
	for (size_t j = 0; rc == 0 && j < k; j++)
		rc = expand(r, from->s, &src[j], &set);
	if (rc == 0 && set.n > 1 && (stat(to->o->t.path, &st) < 0 || !S_ISDIR(st.st_mode)))
		rc = domu_fail(r->ctx, DOMU_USAGE, -ENOTDIR, "cp: '%s' is not a folder", to->o->t.path);
	if (rc == 0)
		rc = domu_cp_to_host(from, to);
	free_set(&set);
	from->set = to->set = NULL;
	return rc;
}

static int copy_to_host(struct domu_run *r, struct domu_cp_operand *src, size_t n, const struct domu_cp_operand *dst,
                        unsigned flags)
{
	int rc = 0;

	for (size_t i = 0, k; rc == 0 && i < n; i += k) {
		struct domu_cp_end from = { .r = r, .o = &src[i], .flags = flags };
		struct domu_cp_end to = { .r = r, .o = dst, .flags = flags };
		struct domu_guest *g = NULL;
		bool own = !src[i].shell;

		if (src[i].t.host)
			return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "cp: '%s' and '%s' are both of this host%s",
			                 src[i].word, dst->word,
			                 strstr(src[i].word, ":/") != NULL || strstr(dst->word, ":/") != NULL
			                     ? " (a guest is not named with a / or . in front: use --disk)"
			                     : ": use cp(1)");
		k = together(src + i, n - i);
		if (own)
			rc = domu_cp_open_guest(r, &src[i], NEED_GUEST | domu_args_walks(r->cmd, r->args), &g, &from.s);
		else
			from.s = r->session;
		if (rc == 0)
			rc = out_of_guest(r, src + i, k, &from, &to);
		if (own)
			domu_session_close(from.s);
		domu_guest_free(g);
	}
	return rc;
}

/* ---- the command ------------------------------------------------------------------------ */

struct job {
	struct domu_cp_operand *v; /* sources, then the destination */
	size_t n;
	unsigned flags;
	bool inside; /* all in one guest */
};

/* As much as the files in it take; what cannot be read is found out by the copy. */
static uint64_t folder_bytes(const char *path, bool follow)
{
	char *const paths[] = { (char *)(uintptr_t)path, NULL };
	FTS *walk = fts_open(paths, (follow ? FTS_LOGICAL : FTS_PHYSICAL) | FTS_NOCHDIR, NULL);
	uint64_t total = 0;
	FTSENT *e;

	while (walk != NULL && (e = fts_read(walk)) != NULL)
		if (e->fts_info == FTS_F)
			total += (uint64_t)e->fts_statp->st_blocks * 512;
	if (walk != NULL)
		fts_close(walk);
	return total;
}

/* What is known of what will be written: the files of this host that are named. */
static uint64_t host_bytes(const struct job *j)
{
	uint64_t total = 0;
	struct stat st;

	for (size_t i = 0; i + 1 < j->n; i++)
		if (j->v[i].t.host && stat(j->v[i].t.path, &st) == 0)
			total += S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512
			         : S_ISDIR(st.st_mode) && (j->flags & DOMU_TREEIO_RECURSIVE)
			             ? folder_bytes(j->v[i].t.path, (j->flags & DOMU_TREEIO_FOLLOW_ALL) != 0)
			             : 0;
	return total;
}

static int change_guest(struct domu_run *r, struct domu_session *s, const struct job *j)
{
	int rc = domu_run_change_begin(s);

	if (rc != 0)
		return rc;
	rc = domu_session_room(s, host_bytes(j));
	if (rc != 0)
		return domu_session_change_end(s, rc);
	if (j->inside)
		rc = domu_run_in_worker(r, s);
	else
		rc = copy_into_guest(r, s, j->v, j->n - 1, &j->v[j->n - 1], j->flags);
	return domu_session_change_end(s, rc);
}

static int run_job(struct domu_run *r, const struct job *j)
{
	const struct domu_cp_operand *dst = &j->v[j->n - 1];
	struct domu_session *s = NULL;
	struct domu_guest *g = NULL;
	int rc, end;

	if (dst->t.host)
		return copy_to_host(r, j->v, j->n - 1, dst, j->flags);
	r->use = dst->t.at;
	if (dst->shell) {
		r->guest = domu_guest_shown(domu_session_guest(r->session));
		rc = change_guest(r, r->session, j);
		r->guest = NULL;
		return rc;
	}
	rc = domu_cp_open_guest(r, dst, NEED_GUEST | NEED_WRITE, &g, &s);
	if (rc != 0)
		return rc;
	r->guest = domu_guest_shown(g);
	rc = domu_run_finish(r, s, change_guest(r, s, j));
	end = domu_session_close(s);
	r->guest = NULL;
	domu_guest_free(g);
	return rc != 0 ? rc : end;
}

static int run_cp(struct domu_run *r)
{
	struct job j = { .n = domu_args_count(r->args), .flags = domu_cp_flags(r->args) };
	struct stat st;
	int rc = 0;

	if (j.n < 2)
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "cp: name what to copy, and where to");
	j.v = calloc(j.n, sizeof *j.v);
	if (j.v == NULL)
		return domu_nomem(r->ctx);
	j.inside = true;
	for (size_t i = 0; rc == 0 && i < j.n; i++)
		rc = parse_operand(r, domu_args_get(r->args, i), &j.v[i]);
	for (size_t i = 0; rc == 0 && i + 1 < j.n; i++)
		j.inside = j.inside && same_place(&j.v[i], &j.v[j.n - 1]);
	if (rc == 0 && j.n > 2 && j.v[j.n - 1].t.host && (stat(j.v[j.n - 1].t.path, &st) < 0 || !S_ISDIR(st.st_mode)))
		rc = domu_fail(r->ctx, DOMU_USAGE, -ENOTDIR, "cp: '%s' is not a folder", j.v[j.n - 1].word);
	if (rc == 0)
		rc = run_job(r, &j);
	for (size_t i = 0; i < j.n; i++)
		domu_target_free(&j.v[i].t);
	free(j.v);
	return rc;
}

static const struct domu_arg args[] = {
	{ "SRC", ARG_ANY_PATH, COUNT_SOME },
	{ "DST", ARG_ANY_PATH, COUNT_ONE },
	{ 0 },
};
static const struct domu_option options[] = {
	{ "archive", 'a', NULL, "everything: folders, links, owners, times, attributes" },
	{ "recursive", 'r', NULL, "folders and what is in them" },
	{ NULL, 'R', NULL, "the same" },
	{ NULL, 'p', NULL, "keep mode, owner and times" },
	{ NULL, 'd', NULL, "copy links as links" },
	{ "no-dereference", 'P', NULL, "the same" },
	{ NULL, 'H', NULL, "a link that is named is followed, those in a folder are copied" },
	{ "dereference", 'L', NULL, "every link is followed, also in a folder; those of a guest lead into that guest" },
	{ "force", 'f', NULL, "replace what is there (always so)" },
	{ "verbose", 'v', NULL, "a line for each file that is copied" },
	{ "no-clobber", 'n', NULL, "leave files that are there" },
	{ "update", 'u', NULL, "leave files that are there and not older" },
	{ "one-file-system", 'x', NULL, "leave out what is mounted below SRC" },
	{ "target-directory", 't', "DIR", "into this directory: all operands are sources" },
	{ "no-target-directory", 'T', NULL, "DST is the copy itself, not a folder to put it into" },
	{ 0 },
};

static const struct domu_missing missing[] = {
	{ "-i", " (-n leaves files that are there; what is replaced in a guest comes back by undo)" },
	{ "--interactive", " (-n leaves files that are there; what is replaced in a guest comes back by undo)" },
	{ "-l", " (ln makes hard links)" },
	{ "-s", " (ln -s makes links)" },
	{ "--preserve", " (-p keeps mode, owner and times, -a everything)" },
	{ "-b", " (in a guest undo brings back what was replaced)" },
	{ "--backup", " (in a guest undo brings back what was replaced)" },
	{ 0 },
};

const struct domu_command domu_cmd_cp = {
	.name = "cp",
	.topic = "changing",
	.summary = "copy files inside, into, out of and between guests",
	.description =
	    "A path with GUEST: is in that guest; one without, or that starts with / or ., is on this host. In the "
	    "shell, and with --disk and --config, a path is in that guest, and host:PATH is on this host. Nothing is "
	    "written on the host outside "
	    "DST, whatever names and links the guest holds.",
	.args = args,
	.options = options,
	.example = "domu-rescue cp -a web1:/etc .",
	.missing = missing,
	.needs = NEED_MANY | NEED_STATE | WALKS,
	.recursive = "arR",
	.worker = domu_cp_worker,
	.front = run_cp,
};
