/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-base-msg.c - messages between processes: what is put comes out, and what is not there is an error. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/msg.h"

static void pair(int s[2])
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
}

Test(msg, values_and_descriptors_arrive)
{
	struct domu_msg out = DOMU_MSG_INIT(7), in = { 0 };
	size_t len;
	int s[2], fd;

	pair(s);
	domu_msg_put_u64(&out, UINT64_MAX);
	domu_msg_put_str(&out, "text");
	domu_msg_put_str(&out, NULL);
	domu_msg_put_str(&out, "");
	domu_msg_put_bytes(&out, "a\0b", 3);
	domu_msg_put_fd(&out, s[0]);
	cr_assert_eq(domu_msg_send(s[0], &out), 0);
	cr_assert_eq(domu_msg_recv(s[1], &in), 0);
	cr_assert_eq(in.type, 7);
	cr_assert_eq(domu_msg_get_u64(&in), UINT64_MAX);
	cr_assert_str_eq(domu_msg_get_str(&in), "text");
	cr_assert_null(domu_msg_get_str(&in));
	cr_assert_str_eq(domu_msg_get_str(&in), "");
	cr_assert_eq(memcmp(domu_msg_get_bytes(&in, &len), "a\0b", 3), 0);
	cr_assert_eq(len, 3);
	fd = domu_msg_take_fd(&in);
	cr_assert(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	close(fd);
	cr_assert_eq(domu_msg_take_fd(&in), -1);
	cr_assert_eq(in.err, 0);
	domu_msg_get_u64(&in);
	cr_assert_eq(in.err, -EBADMSG);
	domu_msg_free(&in);
	domu_msg_free(&out);
	close(s[0]);
	cr_assert_eq(domu_msg_recv(s[1], &in), -EPIPE);
	domu_msg_free(&in);
	close(s[1]);
}

Test(msg, too_much_is_refused_by_both_sides)
{
	struct domu_msg out = DOMU_MSG_INIT(1), in = { 0 };
	uint8_t raw[64];
	char *big = calloc(1, DOMU_MSG_MAX + 1);
	int s[2];

	pair(s);
	domu_msg_put_bytes(&out, big, DOMU_MSG_MAX + 1);
	cr_assert_lt(domu_msg_send(s[0], &out), 0);
	domu_msg_free(&out);
	memset(raw, 0xff, sizeof raw);
	cr_assert_eq(write(s[0], raw, sizeof raw), (ssize_t)sizeof raw);
	cr_assert_lt(domu_msg_recv(s[1], &in), 0);
	domu_msg_free(&in);
	free(big);
	close(s[0]);
	close(s[1]);
}

/* Whatever bytes a worker sends: values or an error, never a read beyond the message. */
Test(msg, garbage_is_values_or_an_error)
{
	unsigned rng = 4711;

	for (int round = 0; round < 20000; round++) {
		struct domu_msg m = { 0 };
		size_t len = (unsigned)rand_r(&rng) % 40, got;
		uint8_t *data = malloc(len + 1);

		for (size_t i = 0; i < len; i++)
			data[i] = rand_r(&rng) % 2 ? (uint8_t)(rand_r(&rng) % 8) : (uint8_t)rand_r(&rng);
		m.data = realloc(data, len + (len == 0));
		m.len = m.cap = len;
		for (int k = 0; k < 6; k++) {
			const char *str;
			const uint8_t *p;

			switch (rand_r(&rng) % 3) {
			case 0:
				domu_msg_get_u64(&m);
				break;
			case 1:
				str = domu_msg_get_str(&m);
				cr_assert(str == NULL || strlen(str) <= len);
				break;
			default:
				p = domu_msg_get_bytes(&m, &got);
				cr_assert_leq(got, len);
				for (size_t i = 0; i < got; i++)
					rng += p[i];
			}
		}
		domu_msg_free(&m);
	}
}
