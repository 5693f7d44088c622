/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fence-program.c - host programs on a stage, through the shim and through the export. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "fence/fence.h"

#define IMAGE_SIZE (48u << 20)
#define OFFSET     (1u << 20) /* the filesystem is a partition */

struct bench {
	char dir[32], image[64];
	int base, log;
	struct domu_ctx ctx;
	char text[1 << 16]; /* what the program printed */
	unsigned passes;
};

static struct bench t;

static int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;
	pid_t pid;
	int status;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-ec", cmd, (char *)NULL);
		_exit(126);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* A filesystem with a free block bitmap that is wrong, and files whose inodes were cleared. */
static void setup(void)
{
	snprintf(t.dir, sizeof t.dir, "/tmp/domu-fence.XXXXXX");
	cr_assert_not_null(mkdtemp(t.dir));
	snprintf(t.image, sizeof t.image, "%s/disk", t.dir);
	cr_assert_eq(run("exec >/dev/null 2>&1; PATH=/usr/sbin:/sbin:$PATH; cd %s; mkdir src src/sub; "
	                 "for i in $(seq 200); do echo $i >src/sub/file$i; done; "
	                 "truncate -s %u fs; mke2fs -q -t ext4 -b 4096 -d src fs; "
	                 "for i in 20 30 40; do echo \"clri /sub/file$i\"; echo \"freeb 600 3\"; done | debugfs -w fs; "
	                 "truncate -s %u disk; dd if=fs of=disk bs=1M seek=1 conv=notrunc; chmod 600 disk",
	                 t.dir, IMAGE_SIZE, IMAGE_SIZE + 2 * OFFSET),
	             0);
	t.base = open(t.image, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(t.base, 0);
	domu_ctx_init(&t.ctx);
	t.log = domu_replay_log(&t.ctx, NULL);
	cr_assert_geq(t.log, 0);
}

static void teardown(void)
{
	close(t.base);
	close(t.log);
	domu_ctx_free(&t.ctx);
	run("rm -rf %s", t.dir);
}

static void line(void *user, const char *text)
{
	struct bench *b = user;
	size_t n = strlen(b->text);

	snprintf(b->text + n, sizeof b->text - n, "%s\n", text);
}

static void progress(void *user, unsigned pass, uint64_t done, uint64_t total)
{
	struct bench *b = user;

	cr_expect_leq(done, total);
	b->passes |= 1u << pass;
}

static struct domu_program program(const char *const *argv, bool shim)
{
	return (struct domu_program){ .argv = argv,
		                      .stack = { .base_fd = t.base, .stage_fd = t.log, .replay_fd = -1 },
		                      .offset = OFFSET,
		                      .size = IMAGE_SIZE,
		                      .shim = shim,
		                      .writable = true,
		                      .line = line,
		                      .user = &t };
}

/* The filesystem as the stage has it. */
static void write_out(const char *name)
{
	struct domu_stack_desc d = { .base_fd = t.base, .stage_fd = t.log, .replay_fd = -1 };
	struct domu_stack s;
	char path[96];
	char *buf = malloc(IMAGE_SIZE);
	int fd;

	cr_assert_eq(domu_stack_open(&t.ctx, &d, "disk", &s), 0);
	cr_assert_eq(domu_block_pread(s.top, buf, IMAGE_SIZE, OFFSET), 0);
	domu_stack_close(&s);
	snprintf(path, sizeof path, "%s/%s", t.dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	cr_assert_eq(domu_write_full(fd, buf, IMAGE_SIZE), 0);
	close(fd);
	free(buf);
}

static void repair_is_as_direct(bool shim)
{
	static const char *const argv[] = { "e2fsck", "-fy", "@", NULL };
	struct domu_program p = program(argv, shim);
	int status;

	setenv("E2FSCK_TIME", "1700000000", 1);
	cr_assert_eq(run("cd %s; e2fsck -fy fs >direct.txt 2>&1", t.dir), 1);
	p.name = "fs";
	cr_assert_eq(domu_program_run(&t.ctx, &p, &status), 0, "%s", t.ctx.error.message);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %x: %s", status, t.text);
	write_out("staged");
	cr_assert_eq(run("cd %s; cmp fs staged", t.dir), 0);
	cr_assert_not_null(strstr(t.text, "FILE SYSTEM WAS MODIFIED"));
	cr_assert_null(strstr(t.text, "/dev/fd"));
	cr_assert_null(strstr(t.text, "/mnt/"));
}

Test(program, repair_through_the_export_is_as_direct, .init = setup, .fini = teardown)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	repair_is_as_direct(false);
}

Test(program, repair_through_the_shim_is_as_direct, .init = setup, .fini = teardown)
{
	repair_is_as_direct(true);
}

Test(program, progress_is_reported, .init = setup, .fini = teardown)
{
	static const char *const argv[] = { "e2fsck", "-fn", "@", NULL };
	struct domu_program p = program(argv, true);
	int status;

	p.progress = progress;
	cr_assert_eq(domu_program_run(&t.ctx, &p, &status), 0, "%s", t.ctx.error.message);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 4, "status %x: %s", status, t.text);
	cr_assert(t.passes & 1u << 1 && t.passes & 1u << 5);
}

Test(program, an_absent_one_names_what_to_install, .init = setup, .fini = teardown)
{
	static const char *const argv[] = { "no-such-program", "@", NULL };
	struct domu_program p = program(argv, false);
	int status;

	cr_assert_lt(domu_program_run(&t.ctx, &p, &status), 0);
	cr_assert_eq(t.ctx.error.status, DOMU_UNSUPPORTED);
}

Test(program, nothing_is_left_mounted, .init = setup, .fini = teardown)
{
	static const char *const argv[] = { "cat", "/proc/self/mountinfo", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(domu_program_run(&t.ctx, &p, &status), 0, "%s", t.ctx.error.message);
	cr_assert_not_null(strstr(t.text, "fuse.domu-rescue"));
	cr_assert_eq(run("! grep -q domu-rescue /proc/self/mountinfo"), 0);
	cr_assert_eq(run("! ls -d /run/domu-rescue.* /tmp/domu-rescue.* 2>/dev/null"), 0);
}

Test(program, has_no_privileges, .init = setup, .fini = teardown)
{
	static const char *const argv[] = { "cat", "/proc/self/status", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(domu_program_run(&t.ctx, &p, &status), 0, "%s", t.ctx.error.message);
	cr_assert_not_null(strstr(t.text, "Uid:\t65533\t65533\t65533\t65533"));
	cr_assert_not_null(strstr(t.text, "CapBnd:\t0000000000000000"));
	cr_assert_not_null(strstr(t.text, "CapEff:\t0000000000000000"));
	cr_assert_not_null(strstr(t.text, "NoNewPrivs:\t1"));
}

Test(program, time_is_limited, .init = setup, .fini = teardown)
{
	static const char *const argv[] = { "sleep", "60", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	p.time_limit = 1;
	cr_assert_eq(domu_program_run(&t.ctx, &p, &status), -ETIMEDOUT);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

Test(program, output_is_limited, .init = setup, .fini = teardown)
{
	static const char *const argv[] = { "yes", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	p.output_limit = 1 << 16;
	cr_assert_eq(domu_program_run(&t.ctx, &p, &status), -EFBIG);
}

static volatile sig_atomic_t stop;

static void on_alarm(int sig)
{
	(void)sig;
	stop = 1;
}

Test(program, an_interrupt_ends_it, .init = setup, .fini = teardown)
{
	static const char *const argv[] = { "sleep", "60", NULL };
	struct domu_program p = program(argv, false);
	struct sigaction sa = { .sa_handler = on_alarm };
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	t.ctx.interrupted = &stop;
	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	cr_assert_eq(domu_program_run(&t.ctx, &p, &status), -EINTR);
	cr_assert_eq(t.ctx.error.status, DOMU_DECLINED);
}

/* The first line is printed when the program runs: then its server is killed under it. */
static void kill_server(void *user, const char *text)
{
	(void)user;
	(void)text;
	run("for p in /proc/[0-9]*; do read -r c <$p/comm || continue; [ \"$c\" = domu-export ] || continue; "
	    "[ \"$(cut -d' ' -f4 $p/stat)\" = %d ] && kill -9 ${p#/proc/}; done; true",
	    (int)getpid());
}

Test(program, a_killed_server_ends_the_program_with_a_message, .init = setup, .fini = teardown)
{
	static const char *const argv[] = { "e2fsck", "-fy", "@", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	p.line = kill_server;
	cr_assert_lt(domu_program_run(&t.ctx, &p, &status), 0);
	cr_assert_not_null(t.ctx.error.message);
	cr_assert_not_null(strstr(t.ctx.error.message, "signal 9"), "%s", t.ctx.error.message);
}

Test(program, a_long_line_is_split, .init = setup, .fini = teardown)
{
	static const char *const argv[] = { "printf", "%09000d\\n%s", "7", "end", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(domu_program_run(&t.ctx, &p, &status), 0, "%s", t.ctx.error.message);
	cr_assert_eq(strlen(t.text), 9000 + 2 + 1 + 4);
	cr_assert_not_null(strstr(t.text, "7\nend\n"));
}
