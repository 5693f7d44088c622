/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-shell-out.c - rows as table, lines and JSON; rows that a hostile worker sends; nothing steers a terminal. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <json-c/json.h>

#include "fence/fence.h"
#include "shell/rows.h"

static const struct domu_column columns[] = {
	{ "name", "NAME", CELL_BYTES }, { "size", "SIZE", CELL_SIZE },   { "count", "N", CELL_NUMBER },
	{ "mode", "MODE", CELL_OCTAL }, { "ready", "READY", CELL_BOOL }, { "time", NULL, CELL_TIME },
	{ "more", NULL, CELL_OBJECT },  { "", "HIDDEN", CELL_TEXT },     { NULL, NULL, CELL_TEXT },
};
#define N_COLUMNS 8

static struct domu_ctx ctx;
static char *text;
static size_t text_len;
static FILE *file;
static struct domu_out_opts opts;

static void init(void)
{
	domu_ctx_init(&ctx);
	file = open_memstream(&text, &text_len);
	opts = (struct domu_out_opts){ .command = "test", .columns = columns, .file = file };
}

static void fini(void)
{
	fclose(file);
	free(text);
	domu_ctx_free(&ctx);
}

TestSuite(out, .init = init, .fini = fini);

static struct domu_out *open_out(void)
{
	struct domu_out *o;

	cr_assert_eq(domu_out_open(&ctx, &opts, &o), 0);
	return o;
}

static int row(struct domu_out *o, const char *name, size_t len)
{
	struct json_object *more = NULL;

	if (domu_out_json(o)) {
		more = json_object_new_object();
		json_object_object_add(more, "inner", json_object_new_int(7));
	}
	domu_row_bytes(o, name, len);
	domu_row_number(o, 5u << 20);
	domu_row_number(o, 42);
	domu_row_number(o, 0644);
	domu_row_number(o, 1);
	domu_row_time(o, (struct timespec){ .tv_sec = 1257221045, .tv_nsec = 500 });
	domu_row_object(o, more);
	domu_row_text(o, NULL);
	return domu_row_end(o);
}

static void close_out(struct domu_out *o, const struct domu_error *failure)
{
	cr_assert_eq(domu_out_close(o, failure), 0);
	fflush(file);
}

/* ---- JSON ------------------------------------------------------------------------------- */

static struct json_object *get(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	cr_assert(json_object_object_get_ex(o, key, &v), "no %s in %s", key, text);
	return v;
}

static struct json_object *parsed(void)
{
	struct json_tokener *t = json_tokener_new();
	struct json_object *o;

	json_tokener_set_flags(t, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(t, text, (int)text_len);
	cr_assert_eq(json_tokener_get_error(t), json_tokener_success, "%s", text);
	cr_assert_eq(strspn(text + json_tokener_get_parse_end(t), "\n"), text_len - json_tokener_get_parse_end(t));
	json_tokener_free(t);
	cr_expect_str_eq(json_object_get_string(get(o, "schema")), "domu-rescue/1");
	cr_expect_str_eq(json_object_get_string(get(o, "command")), "test");
	return o;
}

Test(out, json_has_every_type)
{
	struct json_object *o, *e;
	struct domu_out *out;

	opts.json = true;
	out = open_out();
	cr_assert_eq(row(out, "a/b", 3), 0);
	cr_assert_eq(row(out, "c", 1), 0);
	domu_out_line(out, "a line is not in JSON");
	domu_out_member(out, "exit", json_object_new_int(4));
	close_out(out, NULL);
	o = parsed();
	e = get(o, "entries");
	cr_assert_eq(json_object_array_length(e), 2);
	cr_expect_eq(json_object_get_int(get(o, "exit")), 4);
	e = json_object_array_get_idx(e, 0);
	cr_expect_str_eq(json_object_get_string(get(e, "name")), "a/b");
	cr_expect_eq(json_object_get_uint64(get(e, "size")), 5u << 20);
	cr_expect_str_eq(json_object_get_string(get(e, "mode")), "0644");
	cr_expect(json_object_get_boolean(get(e, "ready")));
	cr_expect_str_eq(json_object_get_string(get(e, "time")), "2009-11-03T04:04:05.000000500Z");
	cr_expect_eq(json_object_get_int(get(get(e, "more"), "inner")), 7);
	cr_expect_eq(json_object_object_length(e), 7);
	json_object_put(o);
}

Test(out, json_of_no_rows_has_an_empty_list)
{
	struct json_object *o;

	opts.json = true;
	opts.json_key = "things";
	close_out(open_out(), NULL);
	o = parsed();
	cr_expect_eq(json_object_array_length(get(o, "things")), 0);
	json_object_put(o);
}

Test(out, json_of_a_failure_is_one_object_wherever_it_came)
{
	const struct domu_error failure = { .status = DOMU_NOTFOUND,
		                            .err = -ENOENT,
		                            .message = (char *)"no \xff such \x1b[31m file" };

	opts.json = true;
	for (int rows = 0; rows < 3; rows++) {
		struct domu_out *out = open_out();
		struct json_object *o;

		rewind(file);
		for (int i = 0; i < rows; i++)
			row(out, "x", 1);
		close_out(out, &failure);
		o = parsed();
		cr_expect_eq(json_object_get_int(get(get(o, "error"), "status")), 4);
		cr_expect_null(memchr(text, '\x1b', text_len));
		json_object_put(o);
	}
}

Test(out, json_gives_bytes_that_are_not_utf8_twice)
{
	struct json_object *o, *e;
	struct domu_out *out;

	opts.json = true;
	out = open_out();
	row(out, "caf\xe9", 4);
	row(out, "gr\xc3\xbcn", 5);
	close_out(out, NULL);
	o = parsed();
	e = json_object_array_get_idx(get(o, "entries"), 0);
	cr_expect_str_eq(json_object_get_string(get(e, "name")), "caf\xef\xbf\xbd");
	cr_expect_str_eq(json_object_get_string(get(e, "name_b64")), "Y2Fm6Q==");
	e = json_object_array_get_idx(get(o, "entries"), 1);
	cr_expect_str_eq(json_object_get_string(get(e, "name")), "gr\xc3\xbcn");
	cr_expect_not(json_object_object_get_ex(e, "name_b64", NULL));
	json_object_put(o);
}

Test(out, json_content_of_bulk_bytes)
{
	struct json_object *o;
	struct domu_out *out;

	opts.json = true;
	opts.columns = NULL;
	out = open_out();
	cr_assert_eq(domu_out_data(out, "ab\n", 3), 0);
	cr_assert_eq(domu_out_data(out, "\xff", 1), 0);
	close_out(out, NULL);
	o = parsed();
	cr_expect_str_eq(json_object_get_string(get(o, "content")), "ab\n\xef\xbf\xbd");
	cr_expect_str_eq(json_object_get_string(get(o, "content_b64")), "YWIK/w==");
	json_object_put(o);
}

/* Every byte and every C1 control, in a name: what comes out steers nothing, and says the same. */
Test(out, nothing_in_json_steers_a_terminal)
{
	struct domu_out *out;

	opts.json = true;
	out = open_out();
	for (int c = 1; c < 256; c++) {
		const char name[] = { 'x', (char)c, 'y' }, c1[] = { '\xc2', (char)c };

		row(out, name, 3);
		if (c >= 0x80 && c < 0xc0)
			row(out, c1, 2);
	}
	close_out(out, NULL);
	for (size_t i = 0; i < text_len; i++) {
		unsigned char c = (unsigned char)text[i], next = (unsigned char)text[i + 1];

		cr_assert(c >= 0x20 || c == '\n');
		cr_assert_neq(c, 0x7f);
		cr_assert_not(c == 0xc2 && next < 0xa0);
	}
	json_object_put(parsed());
}

/* ---- text --------------------------------------------------------------------------------- */

Test(out, a_table_has_titles_and_people_s_sizes)
{
	struct domu_out *out = open_out();

	row(out, "one", 3);
	close_out(out, NULL);
	cr_expect_eq(strncmp(text, "NAME", 4), 0, "%s", text);
	cr_expect_not_null(strstr(text, "5.0M") != NULL ? strstr(text, "5.0M") : strstr(text, "5M"), "%s", text);
	cr_expect_not_null(strstr(text, "0644"), "%s", text);
	cr_expect_not_null(strstr(text, "yes"), "%s", text);
	cr_expect_null(strstr(text, "time"), "%s", text);
}

Test(out, a_long_table_has_its_titles_once)
{
	struct domu_out *out = open_out();
	size_t lines = 0, titles = 0;

	for (int i = 0; i < 12000; i++)
		cr_assert_eq(row(out, "x", 1), 0);
	close_out(out, NULL);
	for (char *p = text; p != NULL && *p != '\0'; p = strchr(p, '\n') + 1) {
		lines++;
		titles += strncmp(p, "NAME", 4) == 0;
	}
	cr_expect_eq(lines, 12001);
	cr_expect_eq(titles, 1);
}

Test(out, tables_escape_also_without_a_terminal)
{
	struct domu_out *out = open_out();

	row(out, "a\033[31m\nb\xff", 9);
	close_out(out, NULL);
	cr_expect_null(strchr(text, '\033'));
	cr_expect_not_null(strstr(text, "a\\033[31m\\012b\\377"), "%s", text);
}

Test(out, lines_stand_where_they_came)
{
	struct domu_out *out = open_out();

	domu_out_line(out, "before %d", 1);
	row(out, "row", 3);
	domu_out_line(out, "after");
	close_out(out, NULL);
	cr_expect_eq(strncmp(text, "before 1\nNAME", 13), 0, "%s", text);
	cr_expect_str_eq(text + text_len - 6, "after\n");
}

/* A text cut into two and three pieces at every place comes out of a terminal as the whole. */
Test(out, bulk_bytes_on_a_terminal_in_any_pieces)
{
	static const char bytes[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z\xc3\033\xe2\x82 \xff\xc2\x9b!\n\xf0\x9f";
	size_t n = sizeof bytes - 1;
	char *whole = NULL;

	opts.columns = NULL;
	opts.tty = true;
	for (size_t i = 0; i <= n; i++) {
		for (size_t j = i; j <= n; j++) {
			struct domu_out *out = open_out();

			rewind(file);
			domu_out_data(out, bytes, i);
			domu_out_data(out, bytes + i, j - i);
			domu_out_data(out, bytes + j, n - j);
			close_out(out, NULL);
			if (whole == NULL)
				whole = strdup(text);
			cr_assert_str_eq(text, whole, "cut at %zu and %zu", i, j);
		}
	}
	cr_expect_not_null(
	    strstr(whole, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z\\303\\033\\342\\202 \\377\\302\\233!\n"));
	free(whole);
}

Test(out, a_row_with_too_few_cells_is_a_failure)
{
	struct domu_out *out = open_out();

	domu_row_text(out, "only one");
	cr_expect_neq(domu_row_end(out), 0);
	cr_expect_neq(domu_out_close(out, NULL), 0);
}

/* ---- from a worker -------------------------------------------------------------------------- */

/* What a worker sends for n rows: the messages, from a socket. */
static int from_worker(struct domu_out *to, int n)
{
	struct domu_work work = { .ctx = &ctx };
	struct domu_msg m = DOMU_MSG_INIT(0);
	struct domu_out *out;
	int pair[2], rc = 0;
	pid_t pid;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		work.sock = pair[1];
		if (domu_out_open_send(&work, columns, false, &out) != 0)
			_exit(1);
		for (int i = 0; i < n; i++)
			row(out, "from the worker", 15);
		domu_out_line(out, "done");
		_exit(domu_out_close(out, NULL) != 0);
	}
	close(pair[1]);
	while (rc == 0 && domu_msg_recv(pair[0], &m) == 0) {
		cr_assert_eq(m.type, DOMU_MSG_ROWS);
		cr_assert_lt(m.len, 70000);
		rc = domu_out_receive(to, &m);
	}
	domu_msg_free(&m);
	close(pair[0]);
	return rc;
}

Test(out, rows_of_a_worker_arrive_in_batches)
{
	struct domu_out *out = open_out();
	size_t lines = 0;

	cr_assert_eq(from_worker(out, 3000), 0);
	close_out(out, NULL);
	for (size_t i = 0; i < text_len; i++)
		lines += text[i] == '\n';
	cr_expect_eq(lines, 3002);
	cr_expect_str_eq(text + text_len - 5, "done\n");
}

static int receive(const void *bytes, size_t len, bool json)
{
	struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_ROWS);
	struct domu_out *out;
	int rc;

	rewind(file);
	domu_error_clear(&ctx);
	opts.json = json;
	out = open_out();
	domu_msg_put_bytes(&m, bytes, len);
	rc = domu_out_receive(out, &m);
	domu_out_close(out, NULL);
	domu_msg_free(&m);
	return rc;
}

Test(out, a_worker_gives_no_pointers)
{
	unsigned char bytes[64] = { 5 };

	/* Whatever tag an object has here, none from a worker is taken. */
	for (int tag = 0; tag < 256; tag++) {
		unsigned char r[128];
		size_t n = 0;

		for (int i = 0; i < 6; i++)
			r[n++] = 1;
		r[n++] = (unsigned char)tag;
		memcpy(r + n, bytes, 8);
		n += 8;
		r[n++] = 1;
		cr_expect_eq(receive(r, n, true), -EBADMSG, "tag %d", tag);
	}
}

Test(out, damaged_rows_are_refused_and_never_read_beyond)
{
	uint32_t seed = 7;

	for (int i = 0; i < 30000; i++) {
		unsigned char bytes[96];
		size_t len;

		seed = seed * 1664525 + 1013904223;
		len = (seed >> 8) % sizeof bytes;
		for (size_t k = 0; k < len; k++) {
			seed = seed * 1664525 + 1013904223;
			/* Mostly tags and small numbers, so that rows get far. */
			bytes[k] = (seed >> 28) < 12 ? (unsigned char)((seed >> 16) % 7) : (unsigned char)(seed >> 20);
		}
		receive(bytes, len, i & 1);
	}
	cr_expect_eq(receive("", 0, false), 0);
	cr_expect_eq(receive("\x04", 1, false), -EBADMSG);
}
