/* SPDX-License-Identifier: GPL-3.0-or-later */
/* command.h - the command table: one row a command, from which parser, help, completion and manual come. */
#ifndef DOMU_COMMAND_H
#define DOMU_COMMAND_H

#include "shell/rows.h"
#include "task/session.h"

enum domu_arg_type {
	ARG_NONE,
	ARG_GUEST, /* GUEST or GUEST@DEV: in the shell there is none, the session has it */
	ARG_GUEST_PATH, /* GUEST:/path; in the shell /path or path */
	/*
	 * a guest path or a host path (cp); in the shell a host path is one with "host:"-less ./ or ../ form
	 * through lcd
	 */
	ARG_ANY_PATH,
	ARG_HOST_PATH,
	ARG_DEV,
	ARG_SIZE,
	ARG_WORD, /* anything: a mode, an owner */
	ARG_COMMIT, /* an ID of the history */
	ARG_COMMAND,
	ARG_GUEST_DIR, /* as ARG_GUEST_PATH; in the shell it may be left out: the current directory */
	ARG_REST, /* what stands after "--": the command of run */
	ARG_MODE, /* as ARG_WORD; may begin with "-": -w, u+x */
	ARG_FLAGS, /* words that begin with + - = and hold letters of chattr: values of the option "flags" */
	ARG_PATTERN, /* the first operand, where the option "regexp" is not given: becomes that option's value */
};

enum domu_arg_count { COUNT_ONE, COUNT_OPTIONAL, COUNT_ANY, COUNT_SOME };

struct domu_arg {
	const char *name; /* as the manual shows it: GUEST:PATH */
	enum domu_arg_type type;
	enum domu_arg_count count;
};

struct domu_option {
	const char *name; /* long name without --, or NULL */
	char letter; /* or 0 */
	const char *value; /* the value's name in the manual, NULL: a flag; "[NAME]": only behind a = */
	const char *help; /* one line, lower case */
};

/* What fingers type that the command does not have, and what to type instead. */
struct domu_missing {
	const char *word; /* "-P", "--color", "-exec": also with something behind it or a value */
	const char *instead;
};

enum domu_needs {
	NEED_GUEST = 1 << 0, /* a session on a guest */
	NEED_WRITE = 1 << 1, /* changes it: staged, checked, committed */
	NEED_LOOK = 1 << 2, /* reads also what is in use (list, info, status, history) */
	NEED_MANY = 1 << 3, /* takes several guests by itself */
	SHELL_ONLY = 1 << 4,
	CLI_ONLY = 1 << 5,
	NEED_STAGE = 1 << 6, /* works on the stage of an earlier session (diff, commit, rollback) */
	GIVES_BYTES =
	    1 << 7, /* its output is bytes of the guest (cat): stdout is handed to the worker, but with JSON */
	TAKES_BYTES = 1 << 8, /* its input is stdin, handed to the worker where that is a file or pipe */
	RAW_ARGS = 1 << 9, /* options are words with one dash, the command parses them itself (find) */
	FSCK_STATUS = 1 << 10, /* ends with fsck's bits */
	HIDDEN = 1 << 11, /* not in lists */
	OWN_OUTPUT = 1 << 13, /* the commands that it runs give the output */
	STAGE_OPTIONAL = 1 << 14, /* with NEED_STAGE: no stage is no failure */
	NO_DISKS = 1 << 15, /* with NEED_LOOK: looks at no disk, works where one is missing (history, rollback) */
	NEED_WATCH = 1 << 16, /* its session is open for long: a guest that is started meanwhile is noticed */
	NEED_STATE = 1 << 12, /* stages by itself, or keeps something: the state directory is made */
	WALKS = 1 << 18, /* goes through whole trees: its worker has a thread that reads ahead */
	ANY_FOUND = 1 << 17, /* of several guests one that ends with 0 is enough; a failure counts before that of 1 */
};

struct domu_args; /* a parsed command line */
struct domu_run; /* a command being run */

/*
 * worker: the command runs whole in the worker.  front: a task of the front.
 * A front task with a worker's half has both, and calls it by domu_run_in_worker().
 */
struct domu_command {
	const char *name;
	const char *alias; /* or NULL */
	const char *topic; /* "looking", "reading", "changing", "repair", "history", "shell" */
	const char *summary;
	const char *description; /* for help and the manual, paragraphs with \n\n; may be NULL */
	const struct domu_arg *args; /* ended by name NULL */
	const struct domu_option *options; /* ended by name NULL and letter 0; NULL: none */
	const struct domu_column *columns; /* of the rows it gives; NULL: none */
	const char *json_key; /* "entries", "guests"; NULL: "entries" */
	const char *example; /* "domu-rescue ls web1:/etc"; a test runs it on the demo farm */
	unsigned needs;
	const char *recursive; /* with WALKS: letters of the options with which it does; NULL: always */
	int (*worker)(struct domu_run *r);
	int (*front)(struct domu_run *r);
	const struct domu_missing *missing; /* ended by word NULL; NULL: nothing that would be missed */
	/* How rows look as text; NULL: a table of the columns. */
	const struct domu_layout *layout;
	/* What these words need besides (find -delete: NEED_WRITE); NULL: nothing.  DOMU_USAGE. */
	int (*more_needs)(struct domu_ctx *ctx, const struct domu_args *args, unsigned *needs);
};

/* " (use -x)" for a word that the command does not have, or "". */
const char *domu_command_instead(const struct domu_command *c, const char *word);
extern const struct domu_command *const domu_commands[]; /* NULL-terminated, in the manual's order */
const struct domu_command *domu_command_find(const char *name); /* by name or alias */

/* ---- a parsed command line ------------------------------------------------ */

/* In place of the first operand where the option "reference" says what it would: chmod --reference=FILE. */
#define DOMU_NO_OPERAND "--reference"

/* argv[0] is the command's name.  Options may stand anywhere before "--".  DOMU_USAGE. */
int domu_args_parse(struct domu_ctx *ctx, const struct domu_command *c, int argc, char *const *argv, bool in_shell,
                    struct domu_args **a);
void domu_args_free(struct domu_args *a);
/* In place of operand i these. */
int domu_args_replace(struct domu_ctx *ctx, struct domu_args *a, size_t i, char *const *names, size_t n);
bool domu_args_flag(const struct domu_args *a, const char *name); /* by long name, or "x" for letter x alone */
const char *domu_args_value(const struct domu_args *a, const char *name); /* the last one given, or NULL */
size_t domu_args_count(const struct domu_args *a);
const char *domu_args_get(const struct domu_args *a, size_t i); /* operand i, as typed */
/* The n-th value of an option that may be given several times; NULL beyond the last. */
const char *domu_args_value_at(const struct domu_args *a, const char *name, size_t n);
char domu_args_last(const struct domu_args *a, const char *letters); /* the one of these letters given last, or 0 */
/* WALKS, where the command goes through whole trees as it was typed, or 0. */
unsigned domu_args_walks(const struct domu_command *c, const struct domu_args *a);
/* RAW_ARGS: the words from the first that begins with "-", "(" or "!"; else what stood after "--".  NULL-terminated. */
char *const *domu_args_rest(const struct domu_args *a, size_t *n);
/*
 * The words again: name, options, "--", operands from first on (n of them), NULL.
 * What is sent to the worker, and a part of the operands.  The caller frees with domu_words_free().
 */
char **domu_args_words(const struct domu_args *a, size_t first, size_t n, int *argc);
void domu_words_free(char **words);
/* The row's argument that operand i is of. */
const struct domu_arg *domu_args_arg(const struct domu_args *a, size_t i);
/* -y after a changing command that has no use of its own for it: --yes. */
bool domu_args_yes(const struct domu_args *a);

/* ---- global options -------------------------------------------------------- */

struct domu_globals {
	bool dry_run, yes, quiet, verbose, json, live, no_undo, no_progress, progress_lines;
	const char *state_dir, *undo_dir, *engine;
	const char **waive; /* NULL-terminated */
	const char **config_dirs; /* NULL-terminated */
	const char **disks; /* NULL-terminated, or NULL */
	const char *config, *format;
	bool help, version;
};

/* The table of global options, for help, completion and manual: ended by name NULL. */
extern const struct domu_option domu_global_options[];
/*
 * Takes the global options out of argv (which is changed): up to the first
 * word that is none when c is NULL (short forms count there), anywhere before "--"
 * when c is the command whose words these are.  DOMU_USAGE.
 */
int domu_globals_take(struct domu_ctx *ctx, struct domu_globals *g, const struct domu_command *c, int *argc,
                      char **argv);
/* A copy whose lists are its own, so that one command's options do not stay. */
int domu_globals_copy(struct domu_ctx *ctx, const struct domu_globals *from, struct domu_globals *to);
void domu_globals_free(struct domu_globals *g);

/* ---- a command being run ---------------------------------------------------- */

struct domu_run {
	struct domu_ctx *ctx;
	const struct domu_command *cmd;
	const struct domu_args *args;
	const struct domu_globals *globals;
	bool in_shell;
	bool no_guest; /* operands name no guest: in the shell, or --disk and --config said which */
	bool found; /* operands are paths as the guest has them, whatever they look like */
	const char *guest; /* its name, as shown */
	bool many; /* several guests were named: output says which */
	struct domu_out *out; /* rows and text; in the worker a sink that sends them */
	int exit_status; /* fsck's own; -1: by the result */

	/* In the worker; the descriptors in the front, too, where a command has others to hand over than its own. */
	struct domu_work *work;
	const char *cwd; /* absolute in the guest */
	const char *use; /* or NULL */
	int in_fd, out_fd; /* handed over: stdin, stdout where they are files or pipes; -1: not */

	/* In the front. */
	struct domu_session
	    *session; /* of the guest named by the first operand (or the shell's); NULL with NEED_MANY */
	struct domu_app *app; /* where, state directory, how to open further sessions */
	/* Set by a command that has to know how its commit went: called once, with that result. */
	void (*after)(struct domu_run *r, int rc);
	void *after_data;
};

/*
 * The operand's path in this session's guest: the part after "GUEST:", or in
 * the shell the operand itself.  What follows "GUEST" or "GUEST@DEV" alone is NULL.
 */
const char *domu_run_path(const struct domu_run *r, size_t operand);
/* A word of the shell's: without the guest's own name, and @ its device, before the path, which do no harm there. */
const char *domu_own_path(const char *word, const char *guest, const char *use);
/*
 * Runs fn for every operand from the first on, and goes on after one that
 * failed, as coreutils do: later failures become warnings, the first is returned.
 * With no operand (the shell's ls) fn is called once, for operand SIZE_MAX.
 */
int domu_run_each(struct domu_run *r, size_t first, int (*fn)(struct domu_run *r, size_t operand, void *user),
                  void *user);
/* After this nothing more is read or shown: interrupted, nobody who reads, no memory. */
bool domu_run_is_over(int rc);
/* What a walk cannot read is said, with its cause, and remembered in *failed: a walk goes on. */
void domu_run_unreadable(struct domu_run *r, const char *shown, int err, int *failed);
/* At the walk's end: rc, or a failure where something could not be read. */
int domu_run_walked(struct domu_run *r, int rc, int failed);
/* What a NEED_WRITE command goes through, for one that opens its sessions itself: a stage, and a change in it... */
int domu_run_change_begin(struct domu_session *s);
/* ...and, after domu_session_change_end(), on the command line: commit, or with rc or --dry-run the stage dropped. */
int domu_run_finish(struct domu_run *r, struct domu_session *s, int rc);
/* Walks it (cwd, use): in the worker. */
int domu_run_walk(struct domu_run *r, size_t operand, unsigned flags, struct domu_path *out);
/* Bulk bytes to stdout: straight where it was handed over, else through the front.  In the worker. */
int domu_run_write(struct domu_run *r, const void *bytes, size_t len);
/* Much will be written. */
void domu_run_widen(struct domu_run *r);

/* ---- the program (shell/app.c) ----------------------------------------------- */

#define DOMU_TOLD 64
struct domu_app {
	struct domu_ctx *ctx;
	struct domu_globals globals;
	struct domu_where where;
	struct domu_state *state, *state_readonly; /* by domu_app_state() */
	struct domu_retain retain; /* of the history, by the configuration file; count 0: not read yet */
	char *command_line; /* as typed, for the history */
	bool tty; /* somebody can answer */
	struct domu_out *rows; /* of the command being run: what a worker sends goes there */
	volatile sig_atomic_t *signal; /* the last signal that came, 0: none */
	FILE *out; /* where results go: stdout */
	struct domu_worker_handlers handlers; /* what comes back from workers: to rows */
	bool err_tty; /* stderr is a terminal */
	size_t progress_shown; /* columns of the line that is there */
	double progress_at;
	char **where_dirs, *where_env;
	/* The interactive shell's state: strings, resolved anew by each command. */
	struct domu_session *session;
	char *cwd, *use;
	char *before; /* where cd - goes; NULL: nowhere yet */
	bool interactive; /* a person types */
	char *told[DOMU_TOLD]; /* warnings about the guest of the session opened last that were given */
	bool mute; /* a line is being completed: nothing is said */
	bool owners_told; /* who else has the disks of the session opened last */
	bool quit; /* the command that ran wants the shell to end */
};

/* Finds the guest of an operand and opens a session; *g and *s are the caller's to free and close. */
int domu_app_session(struct domu_app *app, const char *operand, unsigned needs, struct domu_guest **g,
                     struct domu_session **s);
/* Reads the configuration file, once, before a change: one with a mistake in it is no reason not to read. */
int domu_app_limits(struct domu_app *app, unsigned needs);
/* A session on a guest that is found already; use: @DEV or NULL.  g must outlive it. */
int domu_app_open(struct domu_app *app, const struct domu_guest *g, const char *use, unsigned needs,
                  struct domu_session **s);
/*
 * Runs one command line, whole: parse, session, stage, check, commit (CLI) or
 * stage only (in the shell).  Returns the exit status.
 */
int domu_app_run(struct domu_app *app, int argc, char *const *argv);
/* The state directory; write: made where it is missing. */
int domu_app_state(struct domu_app *app, bool write, struct domu_state **st);
/* Is a commit due on one of the guest's disks, be it there or not?  id: the first, or "". */
bool domu_app_due(struct domu_state *st, const struct domu_guest *g, char id[DOMU_ID_LEN + 1]);
/* The same of one that is not cut short: somebody is about it.  pid 0: it cannot be told who. */
bool domu_app_under_way(struct domu_state *st, const struct domu_guest *g, char id[DOMU_ID_LEN + 1], int64_t *pid);
/* Loads the source plugins and says where guests are looked for. */
int domu_app_where(struct domu_app *app, const struct domu_globals *g, struct domu_where *where);
/*
 * Asks on the terminal until the answer is one of words, or an unambiguous
 * beginning of one; its index.  otherwise is taken where nobody can answer.
 */
int domu_app_choose(struct domu_app *app, const char *question, const char *const *words, int otherwise);
/* What the worker can be asked to do: for struct domu_session_opts. */
extern const struct domu_op domu_worker_ops[];
/* Runs a worker command in the session that r has: what most commands are. */
int domu_run_in_worker(struct domu_run *r, struct domu_session *s);
/* Prints the failure in ctx (text or JSON) and returns the exit status. */
int domu_app_failure(struct domu_app *app, const char *command);

#endif
