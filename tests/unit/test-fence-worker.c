/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fence-worker.c - what the worker can do, cannot do, and what the front believes of it. */
#include "config.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fence/confine.h"
#include "fence/nodes.h"
#include "tests/unit/fence-help.h"

#define IMAGE_SIZE (16u << 20)

/* ---- operations that the tests ask for ------------------------------------------ */

static int hang(void)
{
	while (getppid() != 0)
		pause();
	return 0;
}

static int op_echo(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	(void)w;
	domu_msg_put_str(reply, domu_msg_get_str(req));
	return 0;
}

/* Tries what the fence should refuse; answers with what it was able to do. */
static int op_escape(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	static const char *const files[] = { "/etc/passwd", "/proc/self/status", "/dev/null", "../etc/passwd", "/new" };
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];
	char done[1024] = "";
	size_t n = 0;
	unsigned fds = 0;
	DIR *dir = opendir("/");

	(void)w;
	(void)req;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (open(files[i], i == 4 ? O_WRONLY | O_CREAT : O_RDONLY, 0600) >= 0)
			n += (size_t)snprintf(done + n, sizeof done - n, "%s ", files[i]);
	if (dir != NULL)
		while (readdir(dir) != NULL)
			n += (size_t)snprintf(done + n, sizeof done - n, "entry ");
	if (syscall(SYS_capget, &h, d) == 0 && (d[0].effective | d[0].permitted | d[1].effective | d[1].permitted))
		n += (size_t)snprintf(done + n, sizeof done - n, "capabilities ");
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			n += (size_t)snprintf(done + n, sizeof done - n, "bounding%d ", cap);
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		n += (size_t)snprintf(done + n, sizeof done - n, "new-privileges ");
	if (setuid(0) == 0 || getuid() != DOMU_WORKER_UID || getgid() != DOMU_WORKER_UID || getgroups(0, NULL) != 0)
		n += (size_t)snprintf(done + n, sizeof done - n, "uid ");
#ifndef DOMU_SANITIZED
	if (fork() >= 0)
		n += (size_t)snprintf(done + n, sizeof done - n, "fork ");
#endif
	if (kill(getppid(), 0) == 0)
		n += (size_t)snprintf(done + n, sizeof done - n, "kill ");
	for (int fd = 3; fd < 1024; fd++)
		fds += fcntl(fd, F_GETFD) >= 0;
	domu_msg_put_str(reply, done);
	domu_msg_put_u64(reply, fds);
	return 0;
}

static int op_crash(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	(void)w;
	(void)req;
	(void)reply;
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
	return 0;
}

static int op_hang(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	(void)w;
	(void)req;
	(void)reply;
	return hang();
}

static int op_fail(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	(void)req;
	(void)reply;
	domu_say(w->ctx, DOMU_WARNING, "careful\033[2J");
	domu_progress(w->ctx, "files", 3, 3);
	return domu_fail(w->ctx, DOMU_NOTFOUND, -ENOENT, "no such file: %s", "/x");
}

/* Half a message, then silence. */
static int op_half(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	(void)req;
	(void)reply;
	send(w->sock, "\4\0\0\0\377", 5, 0);
	return hang();
}

static int op_nonsense(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct domu_msg m = DOMU_MSG_INIT((uint32_t)domu_msg_get_u64(req));

	(void)reply;
	domu_msg_put_str(&m, "x");
	domu_msg_put_u64(&m, UINT64_MAX);
	domu_work_send(w, &m);
	domu_msg_free(&m);
	return hang();
}

static int op_memory(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	void *p = malloc(UINT64_C(64) << 30);

	(void)w;
	(void)req;
	domu_msg_put_u64(reply, p != NULL);
	free(p);
	return 0;
}

static int op_data(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_DATA);
	int rc = 0;

	(void)req;
	(void)reply;
	domu_msg_put_bytes(&m, "abcdef", 6);
	for (int i = 0; i < 1000 && rc == 0; i++)
		rc = domu_work_send(w, &m);
	domu_msg_free(&m);
	return rc;
}

/* Talks without end, as cat of an endless file does. */
static int op_flood(struct domu_work *w, struct domu_msg *req, struct domu_msg *reply)
{
	struct domu_msg m = DOMU_MSG_INIT((uint32_t)domu_msg_get_u64(req));

	(void)reply;
	if (m.type == DOMU_MSG_DATA) {
		domu_msg_put_bytes(&m, "abcdef", 6);
	} else {
		domu_msg_put_str(&m, "files");
		domu_msg_put_u64(&m, 1);
		domu_msg_put_u64(&m, 2);
	}
	while (domu_work_send(w, &m) == 0)
		;
	return 0;
}

static const struct domu_op ops[] = {
	{ "echo", op_echo },         { "escape", op_escape }, { "crash", op_crash },
	{ "hang", op_hang },         { "fail", op_fail },     { "half", op_half },
	{ "nonsense", op_nonsense }, { "memory", op_memory }, { "data", op_data },
	{ "flood", op_flood },       { NULL, NULL },
};

/* ---- around them ------------------------------------------------------------------ */

static struct domu_worker *worker;
static struct domu_msg req, reply;
static volatile sig_atomic_t stop;

static void setup(void)
{
	struct domu_worker_disk disk = { .vdev = "xvda" };
	const struct domu_worker_opts opts = { .disks = &disk, .n_disks = 1, .ops = ops };

	bench_private();
	bench_open(IMAGE_SIZE, "mkdir src; echo hello >src/hello; mke2fs -q -t ext4 -L one -d src fs");
	sh("exec >/dev/null 2>&1; printf 'label: gpt\\nstart=2048,name=first\\n' | sfdisk %s", bench.image);
	disk.stack = bench_stack();
	cr_assert_eq(domu_worker_start(&bench.ctx, &opts, &worker), 0, "%s", bench.ctx.error.message);
	domu_msg_reset(&req, DOMU_MSG_REQUEST);
}

static void teardown(void)
{
	if (worker != NULL)
		domu_worker_end(worker, false);
	domu_msg_free(&req);
	domu_msg_free(&reply);
	cr_expect(!bench_left());
	bench_close();
}

static int call(const char *op)
{
	domu_msg_put_str(&req, op);
	return domu_worker_call(worker, &req, NULL, &reply);
}

Test(worker, answers, .init = setup, .fini = teardown)
{
	domu_msg_put_str(&req, "echo");
	domu_msg_put_str(&req, "hello");
	cr_assert_eq(domu_worker_call(worker, &req, NULL, &reply), 0, "%s", bench.ctx.error.message);
	cr_assert_str_eq(domu_msg_get_str(&reply), "hello");
	cr_assert_eq(domu_worker_end(worker, true), 0, "%s", bench.ctx.error.message);
	worker = NULL;
}

Test(worker, cannot_leave_its_fence, .init = setup, .fini = teardown)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(call("escape"), 0, "%s", bench.ctx.error.message);
	cr_assert_str_eq(domu_msg_get_str(&reply), "");
	/* The socket, the disk, the log. */
	cr_assert_eq(domu_msg_get_u64(&reply), 3);
}

Test(worker, its_failure_is_the_calls, .init = setup, .fini = teardown)
{
	cr_assert_eq(call("fail"), -ENOENT);
	cr_assert_eq(bench.ctx.error.status, DOMU_NOTFOUND);
	cr_assert_str_eq(bench.ctx.error.message, "no such file: /x");
	cr_assert_str_eq(bench.said, "careful\033[2J\n");
	cr_assert(domu_worker_alive(worker));
}

Test(worker, an_unknown_operation_is_refused, .init = setup, .fini = teardown)
{
	cr_assert_eq(call("no such"), -ENOSYS);
}

Test(worker, a_crash_is_a_message, .init = setup, .fini = teardown)
{
	cr_assert_lt(call("crash"), 0);
	cr_assert_eq(bench.ctx.error.status, DOMU_FAILED);
	cr_assert_not_null(strstr(bench.ctx.error.message, "crash"), "%s", bench.ctx.error.message);
	cr_assert_not(domu_worker_alive(worker));
	domu_error_clear(&bench.ctx);
	domu_msg_reset(&req, DOMU_MSG_REQUEST);
	cr_assert_eq(call("echo"), -ESRCH);
}

static void on_alarm(int sig)
{
	(void)sig;
	stop = 1;
}

static void interrupted_in(const char *op, uint64_t arg)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	bench.ctx.interrupted = &stop;
	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	domu_msg_put_str(&req, op);
	domu_msg_put_u64(&req, arg);
	cr_assert_eq(domu_worker_call(worker, &req, NULL, &reply), -EINTR);
	cr_assert_eq(bench.ctx.error.status, DOMU_DECLINED);
	cr_assert_not(domu_worker_alive(worker));
}

Test(worker, an_interrupt_ends_it, .init = setup, .fini = teardown, .timeout = 600)
{
	interrupted_in("hang", 0);
}

Test(worker, an_interrupt_ends_one_in_the_middle_of_a_message, .init = setup, .fini = teardown, .timeout = 600)
{
	interrupted_in("half", 0);
}

Test(worker, an_interrupt_ends_one_that_never_stops_sending_data, .init = setup, .fini = teardown, .timeout = 600)
{
	interrupted_in("flood", DOMU_MSG_DATA);
}

Test(worker, an_interrupt_ends_one_that_never_stops_reporting, .init = setup, .fini = teardown, .timeout = 600)
{
	interrupted_in("flood", DOMU_MSG_PROGRESS);
}

Test(worker, nonsense_is_refused, .init = setup, .timeout = 600)
{
	/* Every type of message, and one that does not exist; each ends the worker. */
	for (uint64_t type = 0; type <= 9; type++) {
		struct domu_worker_disk disk = { .vdev = "xvda", .stack = bench_stack() };
		const struct domu_worker_opts opts = { .disks = &disk, .n_disks = 1, .ops = ops };

		if (type == DOMU_MSG_ROWS)
			continue; /* whoever takes rows checks them */
		domu_worker_end(worker, false);
		domu_error_clear(&bench.ctx);
		cr_assert_eq(domu_worker_start(&bench.ctx, &opts, &worker), 0);
		domu_msg_reset(&req, DOMU_MSG_REQUEST);
		domu_msg_put_str(&req, "nonsense");
		domu_msg_put_u64(&req, type);
		cr_assert_lt(domu_worker_call(worker, &req, NULL, &reply), 0, "type %d", (int)type);
		cr_assert_not(domu_worker_alive(worker), "type %d", (int)type);
	}
	teardown();
}

Test(worker, memory_is_limited, .init = setup, .fini = teardown)
{
#ifdef DOMU_SANITIZED
	cr_skip_test("no limit with sanitizers");
#endif
	cr_assert_eq(call("memory"), 0);
	cr_assert_eq(domu_msg_get_u64(&reply), 0);
}

static int want_no_more(void *user, const void *bytes, size_t len)
{
	unsigned *n = user;

	(void)bytes;
	cr_expect_eq(len, 6);
	return ++*n == 10 ? -EPIPE : 0;
}

Test(worker, a_handler_that_wants_no_more_ends_it, .init = setup, .fini = teardown)
{
	unsigned n = 0;
	const struct domu_worker_handlers h = { .data = want_no_more, .user = &n };

	domu_msg_put_str(&req, "data");
	cr_assert_eq(domu_worker_call(worker, &req, &h, &reply), -EPIPE);
	cr_assert_eq(n, 10);
	cr_assert_not(domu_worker_alive(worker));
}

Test(worker, dies_with_the_front, .init = setup, .fini = teardown)
{
	struct pollfd its = { .events = POLLIN };
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct domu_worker_disk disk = { .vdev = "xvda", .stack = bench_stack() };
		const struct domu_worker_opts opts = { .disks = &disk, .n_disks = 1, .ops = ops };
		struct domu_worker *w;

		_exit(domu_worker_start(&bench.ctx, &opts, &w) == 0 ? raise(SIGSTOP) : 1);
	}
	cr_assert(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	its.fd = bench_child(pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cr_assert_eq(poll(&its, 1, 300000), 1);
}

/* ---- the list of nodes -------------------------------------------------------------- */

Test(nodes, are_those_of_the_disk, .init = setup, .fini = teardown)
{
	const uint64_t size = IMAGE_SIZE + 2 * PART_OFFSET;
	const struct domu_nodes_request r = { .sizes = &size, .n_disks = 1 };
	struct domu_nodes nodes;

	cr_assert_eq(domu_nodes_request(&bench.ctx, worker, &r, NULL, &nodes), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(nodes.n, 2);
	cr_assert_str_eq(nodes.v[0].name, "xvda");
	cr_assert_str_eq(nodes.v[1].name, "xvda1");
	cr_assert_eq(nodes.v[1].parent, 0);
	cr_assert_eq(nodes.v[1].start, PART_OFFSET);
	domu_nodes_free(&nodes);
}

static struct domu_nodes made;

static void make_nodes(void)
{
	struct domu_node *n = domu_nodes_add(&made);

	n->size = 1000;
	n = domu_nodes_add(&made);
	n->kind = DOMU_NODE_PARTITION;
	n->parent = 0;
	n->start = 100;
	n->size = 900;
}

static int decode(void)
{
	const uint64_t size = 1000;
	struct domu_msg m = DOMU_MSG_INIT(0);
	struct domu_nodes out;
	int rc;

	domu_nodes_encode(&m, &made);
	rc = domu_nodes_decode(&m, &size, 1, &out);
	if (rc == 0)
		domu_nodes_free(&out);
	domu_msg_free(&m);
	domu_nodes_free(&made);
	return rc;
}

Test(nodes, that_fit_are_taken)
{
	make_nodes();
	cr_assert_eq(decode(), 0);
}

Test(nodes, that_run_past_the_end_are_refused)
{
	make_nodes();
	made.v[1].size = 901;
	cr_assert_eq(decode(), -EBADMSG);
}

Test(nodes, that_are_their_own_parent_are_refused)
{
	make_nodes();
	made.v[1].parent = 1;
	cr_assert_eq(decode(), -EBADMSG);
}

Test(nodes, on_a_disk_that_is_not_there_are_refused)
{
	make_nodes();
	made.v[1].disk = 1;
	cr_assert_eq(decode(), -EBADMSG);
}

Test(nodes, with_a_door_outside_are_refused)
{
	make_nodes();
	made.v[1].probe.has_door = true;
	made.v[1].probe.door = 512;
	cr_assert_eq(decode(), -EBADMSG);
}

Test(nodes, that_are_too_deep_are_refused)
{
	make_nodes();
	for (int i = 1; i < DOMU_MAX_DEPTH; i++) {
		struct domu_node *n = domu_nodes_add(&made);

		n->kind = DOMU_NODE_LV;
		n->parent = i;
	}
	cr_assert_eq(decode(), -EBADMSG);
}

/* ---- volumes of several pieces, as a worker may say that they are */

static int decode_volume(const char *text, uint64_t size)
{
	const uint64_t sizes[] = { 100 * 512, 100 * 512 };
	struct domu_msg m = DOMU_MSG_INIT(0);
	struct domu_nodes out;
	struct domu_node *n;
	int rc;

	for (unsigned i = 0; i < 2; i++) {
		n = domu_nodes_add(&made);
		n->disk = i;
		n->size = sizes[i];
	}
	n = domu_nodes_add(&made);
	n->kind = DOMU_NODE_LV;
	n->parent = 0;
	n->size = size;
	n->start = 4 * 512;
	n->scattered = true;
	cr_assert_eq(domu_lv_parse(text, &n->map), 0);
	domu_nodes_encode(&m, &made);
	rc = domu_nodes_decode(&m, sizes, 2, &out);
	if (rc == 0) {
		cr_expect(domu_lv_same(out.v[2].map, made.v[2].map));
		domu_nodes_free(&out);
	}
	domu_msg_free(&m);
	domu_nodes_free(&made);
	return rc;
}

Test(nodes, in_pieces_lie_where_they_are_said_to)
{
	cr_expect_eq(decode_volume("8@0:4;8@1:92", 16 * 512), 0);
	cr_expect_eq(decode_volume("8/2@0:4,1:0", 8 * 512), 0);
}

Test(nodes, in_pieces_that_lie_are_refused)
{
	cr_expect_eq(decode_volume("8@0:4;8@1:93", 16 * 512), -EBADMSG, "beyond the disk");
	cr_expect_eq(decode_volume("8@0:4;8@2:0", 16 * 512), -EBADMSG, "on no disk");
	cr_expect_eq(decode_volume("8@0:4;8@0:11", 16 * 512), -EBADMSG, "on itself");
	cr_expect_eq(decode_volume("8@0:4;8@1:0", 17 * 512), -EBADMSG, "longer than its pieces");
	cr_expect_eq(decode_volume("8@0:4;8@1:0", 15 * 512), -EBADMSG, "shorter");
	cr_expect_eq(decode_volume("8@0:5;8@1:0", 16 * 512), -EBADMSG, "it begins elsewhere");
	cr_expect_eq(decode_volume("8@1:4;8@0:0", 16 * 512), -EBADMSG, "on another disk");
}

/* As many as may be told are; the rest can be read and no more, or the front takes none of it. */
Test(nodes, in_very_many_pieces)
{
	const uint64_t size = UINT64_C(1) << 40;
	struct domu_msg m = DOMU_MSG_INIT(0), writable = DOMU_MSG_INIT(0);
	struct domu_nodes out;
	struct domu_node *n = domu_nodes_add(&made);
	size_t told = 0;

	n->size = size;
	for (unsigned i = 0; i < 40; i++) {
		n = domu_nodes_add(&made);
		n->kind = DOMU_NODE_LV;
		n->parent = 0;
		n->scattered = true;
		n->map = calloc(1, sizeof *n->map);
		n->map->pieces = calloc(DOMU_MAX_LEGS, sizeof *n->map->pieces);
		n->map->legs = calloc(DOMU_MAX_LEGS, sizeof *n->map->legs);
		for (unsigned k = 0; k < DOMU_MAX_LEGS; k++) {
			n->map->pieces[k] =
			    (struct domu_lv_piece){ .offset = k * 512, .len = 512, .legs = 1, .first = k };
			n->map->legs[k].at = (i * (uint64_t)DOMU_MAX_LEGS + k) * 1024;
		}
		n->map->n_pieces = n->map->n_legs = DOMU_MAX_LEGS;
		n->size = domu_lv_size(n->map);
		n->start = n->map->legs[0].at;
	}
	domu_nodes_encode(&writable, &made);
	cr_expect_eq(domu_nodes_decode(&writable, &size, 1, &out), -EBADMSG);
	domu_msg_free(&writable);
	for (size_t i = 17; i < made.n; i++)
		made.v[i].frozen = DOMU_FROZEN_PIECES;
	domu_nodes_encode(&m, &made);
	cr_assert_eq(domu_nodes_decode(&m, &size, 1, &out), 0);
	for (size_t i = 1; i < out.n; i++)
		told += out.v[i].map != NULL;
	cr_expect_eq(told, 16);
	cr_expect(out.v[40].scattered);
	domu_nodes_free(&out);
	domu_nodes_free(&made);
	domu_msg_free(&m);
}

/* ---- one stage, two writers ------------------------------------------------------------ */

#define UNITS 400

/* Every second unit, as a worker and the appliance's export may. */
static int write_units(unsigned which)
{
	struct domu_stack_desc d = bench_stack();
	struct domu_stack s;
	uint8_t unit[DOMU_UNIT];

	if (domu_stack_open(&bench.ctx, &d, "disk", &s) != 0)
		return 1;
	for (unsigned i = which; i < UNITS; i += 2) {
		memset(unit, (int)(i % 251 + 1), sizeof unit);
		if (domu_block_pwrite(s.top, unit, sizeof unit, (uint64_t)i * DOMU_UNIT) != 0)
			return 1;
	}
	return domu_stack_close(&s) != 0;
}

Test(stage, takes_two_writers_at_once, .init = setup, .fini = teardown)
{
	struct domu_stack_desc d = bench_stack();
	struct domu_stack s;
	uint8_t unit[DOMU_UNIT];
	int status;

	for (unsigned which = 0; which < 2; which++)
		if (fork() == 0)
			_exit(write_units(which));
	for (unsigned which = 0; which < 2; which++) {
		cr_assert_gt(wait(&status), 0);
		cr_assert_eq(status, 0);
	}
	cr_assert_eq(domu_stack_open(&bench.ctx, &d, "disk", &s), 0, "%s", bench.ctx.error.message);
	for (unsigned i = 0; i < UNITS; i++) {
		cr_assert_eq(domu_block_pread(s.top, unit, sizeof unit, (uint64_t)i * DOMU_UNIT), 0);
		cr_assert_eq(unit[0], i % 251 + 1, "unit %u", i);
	}
	domu_stack_close(&s);
}
