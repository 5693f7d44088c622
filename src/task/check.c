/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check.c - running a filesystem's checker on what a session sees, and the check before a commit. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "task/check.h"
#include "task/session-impl.h"

/* ---- what a checker says --------------------------------------------------------- */

void domu_log_line(void *log, const char *line)
{
	struct domu_log *l = log;
	size_t len = strlen(line);
	char *p;

	if (len + 1 > DOMU_LOG_MAX - l->len) {
		l->cut = true;
		return;
	}
	p = realloc(l->text, l->len + len + 2);
	if (p == NULL) {
		l->cut = true;
		return;
	}
	memcpy(p + l->len, line, len);
	memcpy(p + l->len + len, "\n", 2);
	l->text = p;
	l->len += len + 1;
}

void domu_log_free(struct domu_log *log)
{
	free(log->text);
	memset(log, 0, sizeof *log);
}

/* ---- one filesystem ---------------------------------------------------------------- */

bool domu_check_possible(const struct domu_node *node)
{
	const struct domu_fs_ops *fs = domu_fs_driver(node->probe.type);

	return fs != NULL && (fs->tools != NULL || fs->check != NULL);
}

/* The worker's end, for a checker that runs in the appliance: node's name and mode; the result and its text. */
int domu_op_check(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	const char *name = domu_msg_get_str(req);
	enum domu_check_mode mode = (enum domu_check_mode)domu_msg_get_u64(req);
	struct domu_log log = { 0 };
	struct domu_tree *tree;
	struct domu_fs *fs;
	size_t node;
	int rc, result = 8;

	if (req->err != 0)
		return domu_fail(w->ctx, DOMU_FAILED, req->err, "check: malformed request");
	rc = domu_work_tree(w, NULL, &tree);
	if (rc == 0)
		rc = domu_tree_find(tree, name, &node);
	if (rc == 0)
		rc = domu_tree_fs(tree, node, &fs);
	if (rc == 0 && fs->ops->check == NULL)
		rc =
		    domu_fail(w->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: %s has no checker here", name, fs->ops->name);
	if (rc == 0)
		rc = fs->ops->check(fs, mode, domu_log_line, &log, &result);
	if (rc == 0) {
		domu_msg_put_u64(reply, (uint64_t)result);
		domu_msg_put_bytes(reply, log.text != NULL ? log.text : "", log.len);
	}
	domu_log_free(&log);
	return rc;
}

static int check_by_driver(struct domu_session *s, const struct domu_node *node, enum domu_check_mode mode,
                           struct domu_log *log, int *exit_code)
{
	struct domu_msg req = DOMU_MSG_INIT(DOMU_MSG_REQUEST), reply = { 0 };
	const char *text;
	size_t len;
	int rc;

	domu_msg_put_str(&req, "check");
	domu_msg_put_str(&req, node->name);
	domu_msg_put_u64(&req, mode);
	rc = domu_session_call(s, &req, &reply);
	if (rc == 0) {
		*exit_code = (int)(domu_msg_get_u64(&reply) & 0xff);
		text = domu_msg_get_bytes(&reply, &len);
		if (reply.err != 0) {
			rc = domu_fail(s->ctx, DOMU_FAILED, reply.err, "check: malformed answer");
		} else {
			while (len > 0) {
				const char *nl = memchr(text, '\n', len);
				size_t n = nl != NULL ? (size_t)(nl - text) : len;
				char *line = strndup(text, n);

				if (line != NULL)
					domu_log_line(log, line);
				free(line);
				n += nl != NULL;
				text += n;
				len -= n;
			}
		}
	}
	domu_msg_free(&req);
	domu_msg_free(&reply);
	return rc;
}

/* A program has one user pointer for its lines and its progress. */
struct sink {
	struct domu_log *log;
	void (*progress)(void *user, unsigned pass, uint64_t done, uint64_t total);
	void *user;
};

static void sink_line(void *user, const char *line)
{
	domu_log_line(((struct sink *)user)->log, line);
}

static void sink_progress(void *user, unsigned pass, uint64_t done, uint64_t total)
{
	struct sink *sink = user;

	sink->progress(sink->user, pass, done, total);
}

static int run_tool(struct domu_session *s, const struct domu_node *node, const char *const *argv, bool shim,
                    const struct domu_shown *shown, struct domu_log *log,
                    void (*progress)(void *, unsigned, uint64_t, uint64_t), void *user, int *exit_code)
{
	struct sink sink = { .log = log, .progress = progress, .user = user };
	struct domu_program p = {
		.argv = argv,
		.name = node->name,
		.stack = shown->stack,
		.offset = shown->offset,
		.size = shown->size,
		.shim = shim,
		.writable = true,
		.line = sink_line,
		.progress = progress != NULL ? sink_progress : NULL,
		.user = &sink,
	};
	int status, rc = domu_program_run(s->ctx, &p, &status);

	if (rc != 0)
		return rc;
	*exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 8;
	if (WIFSIGNALED(status))
		domu_say(s->ctx, DOMU_WARNING, "%s: %s ended by signal %d", node->name, argv[0], WTERMSIG(status));
	return 0;
}

int domu_check_node(struct domu_session *s, const struct domu_node *node, enum domu_check_mode mode,
                    enum domu_check_view view, struct domu_log *log,
                    void (*progress)(void *, unsigned, uint64_t, uint64_t), void *user, int *exit_code)
{
	const struct domu_fs_ops *fs = domu_fs_driver(node->probe.type);
	struct domu_log ignored = { 0 };
	const struct domu_place place = domu_node_place(node);
	struct domu_shown shown;
	int own_log = -1, code, rc;

	if (fs == NULL || (fs->tools == NULL && fs->check == NULL))
		return domu_fail(s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "%s: no checker for %s", node->name,
		                 node->probe.type);
	rc = domu_session_check_door(s, node, mode != DOMU_CHECK_NO);
	if (rc == 0 && mode != DOMU_CHECK_YES && domu_has_fast_commits(&node->probe))
		rc = domu_fail(
		    s->ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP,
		    "%s: its journal may have fast commits, of which e2fsck loses some: start the guest, which "
		    "replays them; domu-rescue fsck -y %s does what can be done without",
		    node->name, domu_guest_shown(s->guest));
	if (rc != 0)
		return rc;
	if (fs->tools == NULL || s->opts.engine_guestfs)
		return check_by_driver(s, node, mode, log, exit_code);
	rc = domu_session_end_worker(s, s->stage != NULL);
	if (rc == 0 && view == DOMU_VIEW_BASE) {
		own_log = domu_session_replay_log(s);
		rc = own_log < 0 ? own_log : domu_session_show_base(s, &place, own_log, &shown);
	} else if (rc == 0) {
		rc = domu_session_show(s, &place, &shown);
	}
	if (rc != 0)
		goto out;
	/* e2fsck -n looks at the unreplayed state: replay first, in the same layer, to judge what a mount would see. */
	if (mode == DOMU_CHECK_NO && node->probe.needs_replay && fs->tools->replay != NULL)
		rc = run_tool(s, node, fs->tools->replay, fs->tools->shim, &shown, &ignored, NULL, NULL, &code);
	if (rc == 0)
		rc = run_tool(s, node, fs->tools->check[mode], fs->tools->shim, &shown, log, progress, user, exit_code);
out:
	if (own_log >= 0)
		close(own_log);
	domu_log_free(&ignored);
	return rc;
}

/* ---- before a commit ------------------------------------------------------------------ */

/* The finding without its numbers: counts may differ, kinds of damage may not be new. */
static void normalize(char *line)
{
	char *q = line;

	for (char *p = line; *p != '\0'; p++) {
		if (isdigit((unsigned char)*p) && q > line && q[-1] == '#')
			continue;
		*q++ = isdigit((unsigned char)*p) ? '#' : *p;
	}
	*q = '\0';
}

static bool says(const struct domu_log *log, const char *wanted)
{
	char *copy = log->text != NULL ? strdup(log->text) : NULL, *rest = copy, *line;
	bool found = false;

	while (!found && (line = strsep(&rest, "\n")) != NULL) {
		normalize(line);
		found = strcmp(line, wanted) == 0;
	}
	free(copy);
	return found;
}

/* The first finding of after that before does not have; the caller frees.  NULL: none. */
static char *new_finding(const struct domu_log *before, const struct domu_log *after)
{
	char *copy = after->text != NULL ? strdup(after->text) : NULL, *rest = copy, *line, *out = NULL;

	while (out == NULL && (line = strsep(&rest, "\n")) != NULL) {
		char *kept = strdup(line);

		normalize(line);
		/* The last line names the filesystem and its totals: "NAME: 11/64 files ...". */
		if (line[0] != '\0' && strstr(line, " files (") == NULL && !says(before, line))
			out = kept;
		else
			free(kept);
	}
	free(copy);
	return out;
}

/*
 * What each user has is counted in the filesystem where it has the feature
 * quota.  libext2fs does not count along; e2fsck counts anew and corrects it.
 * Only where nothing else is to be said, so that this repairs nothing more.
 */
static bool only_quota(const struct domu_node *node, const struct domu_log *log)
{
	static const char *const expected[] = { "e2fsck ", "Pass ", "[QUOTA WARNING] ",
		                                "Update quota info for quota type " };
	char *copy, *rest, *line;
	bool only = true;

	if (strstr(node->probe.features, "quota") == NULL || log->text == NULL || log->cut)
		return false;
	copy = rest = strdup(log->text);
	while (only && (line = strsep(&rest, "\n")) != NULL) {
		bool known = line[0] == '\0' || strstr(line, " files (") != NULL || strstr(line, "**********") != NULL;

		for (size_t i = 0; !known && i < sizeof expected / sizeof expected[0]; i++)
			known = strncmp(line, expected[i], strlen(expected[i])) == 0;
		only = known;
	}
	only = only && copy != NULL;
	free(copy);
	return only;
}

static int count_quota(struct domu_session *s, const struct domu_node *node, struct domu_log *after, int *code)
{
	struct domu_log ignored = { 0 };
	int rc;

	domu_log_free(after);
	rc = domu_check_node(s, node, DOMU_CHECK_PREEN, DOMU_VIEW_SESSION, &ignored, NULL, NULL, code);
	if (rc == 0)
		rc = domu_check_node(s, node, DOMU_CHECK_NO, DOMU_VIEW_SESSION, after, NULL, NULL, code);
	domu_log_free(&ignored);
	return rc;
}

static int verify_node(struct domu_session *s, const struct domu_node *node)
{
	struct domu_log before = { 0 }, after = { 0 };
	int code_before = 0, code = 0, rc;
	char *finding = NULL;

	rc = domu_check_node(s, node, DOMU_CHECK_NO, DOMU_VIEW_SESSION, &after, NULL, NULL, &code);
	if (rc == 0 && code != 0 && only_quota(node, &after))
		rc = count_quota(s, node, &after, &code);
	if (rc != 0 || code == 0)
		goto out;
	rc = domu_check_node(s, node, DOMU_CHECK_NO, DOMU_VIEW_BASE, &before, NULL, NULL, &code_before);
	if (rc != 0)
		goto out;
	finding = new_finding(&before, &after);
	if (code_before == 0 || finding != NULL)
		rc = domu_fail(s->ctx, DOMU_FAILED, -EUCLEAN,
		               "%s: the result does not pass its check (%s): nothing was written", node->name,
		               finding != NULL ? finding : "errors left");
out:
	free(finding);
	domu_log_free(&before);
	domu_log_free(&after);
	return rc;
}

int domu_session_verify(struct domu_session *s, const struct domu_nodes *nodes)
{
	bool *touched;
	int rc = domu_session_touched(s, nodes, &touched);

	if (rc != 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < nodes->n; i++)
		if (touched[i] && domu_check_possible(&nodes->v[i]))
			rc = verify_node(s, &nodes->v[i]);
	free(touched);
	return rc;
}

void domu_session_verified(struct domu_session *s)
{
	s->verified = true;
}
