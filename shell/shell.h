/* SPDX-License-Identifier: GPL-3.0-or-later */
/* shell.h - the shell: lines run on one guest, by a person or a script. */
#ifndef DOMU_SHELL_H
#define DOMU_SHELL_H

#include "shell/app.h"
#include "shell/words.h"

struct domu_shell {
	struct domu_app *app;
	bool keep_going; /* -k */
	bool failed; /* a command of a script has */
	int status; /* of the last that failed */
	const char *script; /* for messages; NULL: a person */
};

/* Runs every command of a line; stops at the first that fails (not with -k, not for a person), and at quit. */
int domu_shell_line(struct domu_shell *sh, const struct domu_line *line);
/* A person: readline, until quit, end of input or a hangup.  Also what is asked before and after. */
int domu_shell_interactive(struct domu_shell *sh);
/* Asks what becomes of a stage of an earlier session. */
int domu_shell_offer(struct domu_app *app);

/* Completion of a line up to end: candidates, quoted as they are to stand there.  In complete.c. */
struct domu_candidates {
	char **v;
	size_t n;
	size_t start; /* what they replace begins here in the line */
	char quote; /* the quote that is open there, or 0 */
	bool in_order; /* else they are sorted */
};
int domu_complete(struct domu_app *app, const char *line, struct domu_candidates *out);
void domu_candidates_free(struct domu_candidates *c);
/* For bash: GUEST, GUEST:/path; prints candidates a line each. */
int domu_complete_word(struct domu_app *app, const char *word);
/* The same for undo: IDs of a guest's commits that begin with word, newest first. */
int domu_complete_ids(struct domu_app *app, const char *guest, const char *word);

/* One line of the host's shell; its exit status. */
int domu_host_run(struct domu_app *app, const char *command);
/* Would a name of the guest's be taken for an option, for part of an expression, or for a path of somewhere else? */
bool domu_name_misleads(const struct domu_app *app, const char *name);

/* Where stdin and stdout of a command go for its time. */
struct domu_redirect {
	int in, out; /* the descriptors that stood there, -1: unchanged */
	long pid; /* of the host's end of a pipe, 0: none */
};
int domu_redirect_begin(struct domu_app *app, const struct domu_line_command *c, struct domu_redirect *r);
int domu_redirect_end(struct domu_app *app, struct domu_redirect *r); /* the pipe's exit status */

/* Worker operations by a path: in paths.c; requests put str cwd, str use, then what is named. */
int domu_paths_glob(struct domu_app *app, const char *pattern, char ***names, size_t *n);
/* The same of a session that is not the shell's: from its root, on the device use (NULL: by fstab). */
int domu_paths_glob_in(struct domu_app *app, struct domu_session *s, const char *use, const char *pattern,
                       char ***names, size_t *n);
int domu_paths_complete(struct domu_app *app, struct domu_session *s, const char *prefix, char ***names, size_t *n);
int domu_paths_cd(struct domu_app *app, const char *path, char **canonical);
int domu_paths_use(struct domu_app *app, const char *dev);
void domu_paths_free(char **names, size_t n);

#endif
