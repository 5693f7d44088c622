/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-shell-diff.c - the files in memory that diff -u hands to a worker: it cannot fill the memory with them. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/diff.h"

Test(text, holds_as_much_as_is_compared_and_not_a_byte_more)
{
	int fd = domu_diff_text_file();

	cr_assert(fd >= 0);
	cr_expect(pwrite(fd, "x", 1, (off_t)DOMU_DIFF_TEXT - 1) == 1);
	cr_expect(pwrite(fd, "x", 1, (off_t)DOMU_DIFF_TEXT) < 0 && errno == EPERM);
	cr_expect(ftruncate(fd, (off_t)DOMU_DIFF_TEXT + 1) < 0 && errno == EPERM);
	close(fd);
}

Test(text, that_was_cut_to_its_length_stays_so)
{
	int fd = domu_diff_text_file();
	struct stat st;

	cr_assert(fd >= 0);
	cr_expect(write(fd, "text", 4) == 4);
	cr_expect(ftruncate(fd, 4) == 0);
	cr_expect(write(fd, "more", 4) < 0 && errno == EPERM);
	cr_expect(fstat(fd, &st) == 0 && st.st_size == 4);
	close(fd);
}
