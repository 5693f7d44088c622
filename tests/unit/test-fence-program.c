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
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/fence-help.h"

#define IMAGE_SIZE (48u << 20)

static unsigned passes;

/* A filesystem with a free block bitmap that is wrong, and files whose inodes were cleared. */
static void setup(void)
{
	bench_private();
	bench_open(IMAGE_SIZE,
	           "mkdir src src/sub; for i in $(seq 200); do echo $i >src/sub/file$i; done; "
	           "mke2fs -q -t ext4 -b 4096 -d src fs; "
	           "for i in 20 30 40; do echo \"clri /sub/file$i\"; echo \"freeb 600 3\"; done | debugfs -w fs");
}

static void progress(void *user, unsigned pass, uint64_t done, uint64_t total)
{
	(void)user;
	cr_expect_leq(done, total);
	passes |= 1u << pass;
}

static struct domu_program program(const char *const *argv, bool shim)
{
	return (struct domu_program){
		.argv = argv,
		.stack = bench_stack(),
		.offset = PART_OFFSET,
		.size = IMAGE_SIZE,
		.shim = shim,
		.writable = true,
		.line = bench_line,
	};
}

static void repair_is_as_direct(bool shim)
{
	static const char *const argv[] = { "e2fsck", "-fy", "@", NULL };
	struct domu_program p = program(argv, shim);
	int status;

	setenv("E2FSCK_TIME", "1700000000", 1);
	cr_assert_eq(sh("cd %s; e2fsck -fy fs >direct.txt 2>&1", bench.dir), 1);
	p.name = "fs";
	cr_assert_eq(domu_program_run(&bench.ctx, &p, &status), 0, "%s", bench.ctx.error.message);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %x: %s", status, bench.text);
	bench_write_out("staged", IMAGE_SIZE);
	cr_assert_eq(sh("cd %s; cmp fs staged", bench.dir), 0);
	cr_assert_not_null(strstr(bench.text, "FILE SYSTEM WAS MODIFIED"));
	cr_assert_null(strstr(bench.text, "/dev/fd"));
	cr_assert_null(strstr(bench.text, "/mnt/"));
}

Test(program, repair_through_the_export_is_as_direct, .init = setup, .fini = bench_close)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	repair_is_as_direct(false);
}

Test(program, repair_through_the_shim_is_as_direct, .init = setup, .fini = bench_close)
{
	repair_is_as_direct(true);
}

/* The same filesystem as a volume: in two pieces that are not in their order, and stripes on a disk of their own. */
static void repair_of_a_volume_is_as_direct(bool shim)
{
	static const char *const argv[] = { "e2fsck", "-fy", "@", NULL };
	/* 16 MiB behind what follows them on the first disk, 32 MiB as stripes of 64 KiB on both. */
	static const char map[] = "32768@0:40960;65536/128@0:2048,1:0";
	struct domu_volume v = { 0 };
	struct domu_program p = program(argv, shim);
	struct domu_lv_map *m;
	struct domu_stack s;
	char *staged = malloc(IMAGE_SIZE), path[96];
	int status, fd;

	setenv("E2FSCK_TIME", "1700000000", 1);
	cr_assert_eq(
	    sh("cd %s; for d in first second; do truncate -s 48M $d; done; dd if=fs of=first bs=1M count=16 seek=20 "
	       "conv=notrunc status=none; for i in $(seq 0 255); do\n"
	       "dd if=fs of=first bs=64k skip=$((256 + 2 * i)) seek=$((16 + i)) count=1 conv=notrunc status=none\n"
	       "dd if=fs of=second bs=64k skip=$((257 + 2 * i)) seek=$i count=1 conv=notrunc status=none; done",
	       bench.dir),
	    0);
	cr_assert_eq(sh("cd %s; e2fsck -fy fs >direct.txt 2>&1", bench.dir), 1);
	cr_assert_eq(domu_lv_parse(map, &m), 0);
	v.map = m;
	for (unsigned i = 0; i < DOMU_MAX_DISKS; i++)
		v.disks[i].base_fd = -1;
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", bench.dir, i == 0 ? "first" : "second");
		v.disks[i] = bench_stack();
		v.disks[i].base_fd = open(path, O_RDONLY | O_CLOEXEC);
		v.disks[i].disk = i;
		cr_assert_geq(v.disks[i].base_fd, 0);
	}
	p.stack = v.disks[0];
	p.stack.volume = &v;
	p.offset = 0;
	cr_assert_eq(domu_program_run(&bench.ctx, &p, &status), 0, "%s", bench.ctx.error.message);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %x: %s", status, bench.text);
	cr_assert_eq(domu_stack_open(&bench.ctx, &p.stack, "vg/lv", &s), 0);
	cr_assert_eq(domu_block_pread(s.top, staged, IMAGE_SIZE, 0), 0);
	snprintf(path, sizeof path, "%s/staged", bench.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_eq(write(fd, staged, IMAGE_SIZE), IMAGE_SIZE);
	cr_assert_eq(sh("cd %s; cmp fs staged", bench.dir), 0);
	close(fd);
	domu_stack_close(&s);
	domu_lv_map_free(m);
	free(staged);
}

Test(program, repair_of_a_volume_through_the_export_is_as_direct, .init = setup, .fini = bench_close)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
	repair_of_a_volume_is_as_direct(false);
}

Test(program, repair_of_a_volume_through_the_shim_is_as_direct, .init = setup, .fini = bench_close)
{
	repair_of_a_volume_is_as_direct(true);
}

Test(program, progress_is_reported, .init = setup, .fini = bench_close)
{
	static const char *const argv[] = { "e2fsck", "-fn", "@", NULL };
	struct domu_program p = program(argv, true);
	int status;

	p.progress = progress;
	cr_assert_eq(domu_program_run(&bench.ctx, &p, &status), 0, "%s", bench.ctx.error.message);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 4, "status %x: %s", status, bench.text);
	cr_assert(passes & 1u << 1 && passes & 1u << 5);
}

Test(program, an_absent_one_names_what_to_install, .init = setup, .fini = bench_close)
{
	static const char *const argv[] = { "no-such-program", "@", NULL };
	struct domu_program p = program(argv, false);
	int status;

	cr_assert_lt(domu_program_run(&bench.ctx, &p, &status), 0);
	cr_assert_eq(bench.ctx.error.status, DOMU_UNSUPPORTED);
}

Test(program, nothing_is_left_mounted, .init = setup, .fini = bench_close)
{
	static const char *const argv[] = { "cat", "/proc/self/mountinfo", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(domu_program_run(&bench.ctx, &p, &status), 0, "%s", bench.ctx.error.message);
	cr_assert_not_null(strstr(bench.text, "fuse.domu-rescue"));
	cr_assert_eq(sh("! grep -qE ' (/dev/shm|/run|/tmp)/domu-rescue\\.' /proc/self/mountinfo"), 0);
	cr_assert(!bench_left());
}

Test(program, has_no_privileges, .init = setup, .fini = bench_close)
{
	static const char *const argv[] = { "cat", "/proc/self/status", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(domu_program_run(&bench.ctx, &p, &status), 0, "%s", bench.ctx.error.message);
	cr_assert_not_null(strstr(bench.text, "Uid:\t65533\t65533\t65533\t65533"));
	cr_assert_not_null(strstr(bench.text, "CapBnd:\t0000000000000000"));
	cr_assert_not_null(strstr(bench.text, "CapEff:\t0000000000000000"));
	cr_assert_not_null(strstr(bench.text, "NoNewPrivs:\t1"));
}

Test(program, time_is_limited, .init = setup, .fini = bench_close)
{
	static const char *const argv[] = { "sleep", "60", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	p.time_limit = 1;
	cr_assert_eq(domu_program_run(&bench.ctx, &p, &status), -ETIMEDOUT);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

Test(program, output_is_limited, .init = setup, .fini = bench_close)
{
	static const char *const argv[] = { "yes", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	p.output_limit = 1 << 16;
	cr_assert_eq(domu_program_run(&bench.ctx, &p, &status), -EFBIG);
}

static volatile sig_atomic_t stop;

static void on_alarm(int sig)
{
	(void)sig;
	stop = 1;
}

Test(program, an_interrupt_ends_it, .init = setup, .fini = bench_close)
{
	static const char *const argv[] = { "sleep", "60", NULL };
	struct domu_program p = program(argv, false);
	struct sigaction sa = { .sa_handler = on_alarm };
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	bench.ctx.interrupted = &stop;
	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	cr_assert_eq(domu_program_run(&bench.ctx, &p, &status), -EINTR);
	cr_assert_eq(bench.ctx.error.status, DOMU_DECLINED);
}

/* The first line is printed when the program runs: then its server is killed under it. */
static void kill_server(void *user, const char *text)
{
	(void)user;
	(void)text;
	sh("exec 2>/dev/null; for p in /proc/[0-9]*; do read -r c <$p/comm || continue; [ \"$c\" = domu-export ] || "
	   "continue; "
	   "[ \"$(cut -d' ' -f4 $p/stat)\" = %d ] && kill -9 ${p#/proc/}; done; true",
	   (int)getpid());
}

Test(program, a_killed_server_ends_the_program_with_a_message, .init = setup, .fini = bench_close)
{
	static const char *const argv[] = { "e2fsck", "-fy", "@", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	p.line = kill_server;
	cr_assert_lt(domu_program_run(&bench.ctx, &p, &status), 0);
	cr_assert_not_null(bench.ctx.error.message);
	cr_assert_not_null(strstr(bench.ctx.error.message, "signal 9"), "%s", bench.ctx.error.message);
}

Test(program, a_long_line_is_split, .init = setup, .fini = bench_close)
{
	static const char *const argv[] = { "printf", "%09000d\\n%s", "7", "end", NULL };
	struct domu_program p = program(argv, false);
	int status;

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(domu_program_run(&bench.ctx, &p, &status), 0, "%s", bench.ctx.error.message);
	cr_assert_eq(strlen(bench.text), 9000 + 2 + 1 + 4);
	cr_assert_not_null(strstr(bench.text, "7\nend\n"));
}
