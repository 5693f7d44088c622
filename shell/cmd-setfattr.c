/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cmd-setfattr.c - setfattr: extended attributes set and removed. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shell/change.h"
#include "shell/cmd.h"

struct value {
	uint8_t *v;
	size_t len;
};

/* ---- values as they are typed ----------------------------------------------------------------- */

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

static bool from_hex(const char *text, struct value *out)
{
	for (; *text != '\0'; text += 2) {
		int high = hex_digit(text[0]), low = high >= 0 ? hex_digit(text[1]) : -1;

		if (low < 0)
			return false;
		out->v[out->len++] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool from_base64(const char *text, struct value *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, have = 0;

	for (; *text != '\0' && *text != '='; text++) {
		const char *at = strchr(digits, *text);

		if (at == NULL)
			return false;
		bits = (bits << 6 | (unsigned)(at - digits)) & 0xffffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out->v[out->len++] = (uint8_t)(bits >> have);
		}
	}
	return strspn(text, "=") == strlen(text) && strlen(text) <= 2 && have < 6;
}

/* "text", with \\, \" and \ooo in it; the quotes may be left out. */
static void from_text(const char *text, struct value *out)
{
	const char *end = text + strlen(text);

	if (end - text >= 2 && *text == '"' && end[-1] == '"') {
		text++;
		end--;
	}
	while (text < end) {
		unsigned c = (unsigned char)*text++;

		if (c == '\\' && text < end && (*text == '\\' || *text == '"')) {
			c = (unsigned char)*text++;
		} else if (c == '\\' && text < end && *text >= '0' && *text <= '7') {
			c = 0;
			for (int i = 0; i < 3 && text < end && *text >= '0' && *text <= '7'; i++)
				c = c << 3 | (unsigned)(*text++ - '0');
		}
		out->v[out->len++] = (uint8_t)c;
	}
}

static int take_value(struct domu_run *r, struct value *out)
{
	const char *text = domu_args_value(r->args, "value");
	bool ok = true;

	if (text == NULL)
		text = "";
	out->v = malloc(strlen(text) + 1);
	if (out->v == NULL)
		return domu_nomem(r->ctx);
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		ok = from_hex(text + 2, out);
	else if (text[0] == '0' && (text[1] == 's' || text[1] == 'S'))
		ok = from_base64(text + 2, out);
	else
		from_text(text, out);
	return ok ? 0
	          : domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "setfattr: '%s' is no %s value", text,
	                      text[1] == 'x' || text[1] == 'X' ? "hexadecimal" : "base64");
}

/* ---- the command ------------------------------------------------------------------------------ */

static int set_one(struct domu_run *r, size_t operand, void *user)
{
	const char *name = domu_args_value(r->args, "name"), *gone = domu_args_value(r->args, "remove");
	const char *shown = domu_change_shown(r, operand);
	const struct value *value = user;
	struct domu_path *p = malloc(sizeof *p);
	bool link = domu_args_flag(r->args, "no-dereference");
	int rc = p != NULL ? domu_change_walk(r, operand, link ? DOMU_WALK_NOFOLLOW : 0, p) : domu_nomem(r->ctx);

	if (rc == 0 && gone != NULL)
		rc = domu_fs_removexattr(p->fs, p->ino, gone);
	else if (rc == 0)
		rc = domu_fs_setxattr(p->fs, p->ino, name, value->v, value->len);
	if (rc == -ENODATA)
		domu_fail(r->ctx, DOMU_FAILED, rc, "setfattr: %s: %s: no such attribute", shown, gone);
	else if (rc != 0)
		domu_change_fail(r, rc, "%s", shown);
	free(p);
	return rc;
}

static int run(struct domu_run *r)
{
	bool name = domu_args_flag(r->args, "name"), gone = domu_args_flag(r->args, "remove");
	struct value value = { 0 };
	int rc;

	if (name == gone || (gone && domu_args_flag(r->args, "value")))
		return domu_fail(r->ctx, DOMU_USAGE, -EINVAL, "setfattr: give -n NAME -v VALUE, or -x NAME");
	rc = take_value(r, &value);
	if (rc == 0)
		rc = domu_run_each(r, 0, set_one, &value);
	free(value.v);
	return rc;
}

static const struct domu_arg args[] = { { "GUEST:PATH", ARG_GUEST_PATH, COUNT_SOME }, { 0 } };

static const struct domu_option options[] = {
	{ "name", 'n', "ATTRIBUTE", "set this attribute: user.*, trusted.*, security.*, system.posix_acl_*" },
	{ "value", 'v', "VALUE", "to this: text, \"text\" with \\\\, \\\" and \\ooo, 0xHEX or 0sBASE64" },
	{ "remove", 'x', "ATTRIBUTE", "remove this attribute" },
	{ "no-dereference", 'h', NULL, "of a link itself, not of what it leads to" },
	{ 0 },
};

const struct domu_command domu_cmd_setfattr = {
	.name = "setfattr",
	.topic = "changing",
	.summary = "set and remove extended attributes",
	.args = args,
	.options = options,
	.example = "domu-rescue setfattr -n user.note -v restored web1:/etc/hosts",
	.needs = NEED_GUEST | NEED_WRITE,
	.worker = run,
};
