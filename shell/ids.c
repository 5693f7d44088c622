/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ids.c - users and groups by the guest's own /etc/passwd and /etc/group. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shell/change.h"
#include "shell/ids.h"

#define FILE_BYTES (4u << 20)

/* 4294967295 is no ID: chown(2) takes it for "leave alone". */
static bool parse_id(const char *text, uint32_t *id)
{
	uint64_t v = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v >= UINT32_MAX)
			return false;
	}
	*id = (uint32_t)v;
	return true;
}

/* Field n (from 0) of a line, made a string of its own in place; NULL: there is none. */
static char *field(char *line, unsigned n)
{
	char *end;

	for (; n > 0; n--) {
		line = strchr(line, ':');
		if (line == NULL)
			return NULL;
		line++;
	}
	end = strchr(line, ':');
	if (end != NULL)
		*end = '\0';
	return line;
}

/* The line of name in a file of the guest; the caller frees *text, which it lies in.  NULL: there is none. */
static char *find_line(struct domu_run *r, const char *file, const char *name, char **text)
{
	struct domu_path *p = malloc(sizeof *p);
	size_t len, n = strlen(name);
	char *line = NULL, *next;

	*text = NULL;
	if (p != NULL && domu_change_look(r, file, 0, p) == 0 && p->ino != 0 &&
	    domu_fs_slurp(p->fs, p->ino, FILE_BYTES, text, &len) == 0) {
		for (line = *text; line != NULL; line = next) {
			next = strchr(line, '\n');
			if (next != NULL)
				*next++ = '\0';
			if (strncmp(line, name, n) == 0 && line[n] == ':')
				break;
		}
	}
	free(p);
	return line;
}

static int unknown(struct domu_run *r, const char *kind, const char *name, const char *file)
{
	if (r->ctx->error.status != DOMU_OK)
		return r->ctx->error.err;
	return domu_fail(r->ctx, DOMU_FAILED, -EINVAL, "%s: invalid %s: '%s' is not in the guest's %s", r->cmd->name,
	                 kind, name, file);
}

/* Field number of the line is the ID; *login, where wanted, that of the login group. */
static int by_name(struct domu_run *r, const char *kind, const char *file, const char *name, uint32_t *id,
                   uint32_t *login)
{
	char *text, *line, *copy, *value;
	int rc = 0;

	if (name[0] == '+' && parse_id(name + 1, id))
		return login == NULL ? 0 : unknown(r, kind, name, file);
	line = find_line(r, file, name, &text);
	copy = line != NULL ? strdup(line) : NULL;
	value = line != NULL ? field(line, 2) : NULL;
	if (value == NULL || !parse_id(value, id)) {
		if (line != NULL || !parse_id(name, id))
			rc = unknown(r, kind, name, file);
		else if (login != NULL)
			rc = unknown(r, kind, name, file); /* "33:" needs a login group */
	} else if (login != NULL) {
		value = copy != NULL ? field(copy, 3) : NULL;
		if (value == NULL || !parse_id(value, login))
			rc = unknown(r, kind, name, file);
	}
	free(copy);
	free(text);
	return rc;
}

int domu_owner_parse(struct domu_run *r, const char *text, struct domu_owner *o)
{
	char *user = strdup(text), *group;
	int rc = 0;

	memset(o, 0, sizeof *o);
	if (user == NULL)
		return domu_nomem(r->ctx);
	group = strchr(user, ':');
	if (group != NULL)
		*group++ = '\0';
	if (user[0] != '\0') {
		bool login = group != NULL && group[0] == '\0';

		rc = by_name(r, "user", "/etc/passwd", user, &o->uid, login ? &o->gid : NULL);
		o->has_uid = true;
		o->has_gid = login;
	}
	if (rc == 0 && group != NULL && group[0] != '\0') {
		rc = by_name(r, "group", "/etc/group", group, &o->gid, NULL);
		o->has_gid = true;
	}
	free(user);
	return rc;
}
