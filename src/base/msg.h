/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* msg.h - a message between processes: a type, a bounded buffer of typed values, and descriptors. */
#ifndef DOMU_MSG_H
#define DOMU_MSG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DOMU_MSG_MAX (4u << 20) /* bytes: neither side takes more */
#define DOMU_MSG_FDS 16

/*
 * Putting: a failure (no memory, too long) sticks in err and is returned by
 * domu_msg_send().  Getting: a value that is not there, or too long, sticks
 * in err as -EBADMSG and gives 0 or ""; look at err once, after the last get.
 * Pointers that get_str and get_bytes give live as long as the message.
 * Host byte order: both ends are the same machine.
 */
struct domu_msg {
	uint32_t type;
	int err;
	uint8_t *data;
	size_t len, cap, pos;
	int fds[DOMU_MSG_FDS]; /* received: owned by the message until taken; put: not owned */
	unsigned n_fds, fds_taken, fds_owned;
};

#define DOMU_MSG_INIT(t) ((struct domu_msg){ .type = (t) })

void domu_msg_free(struct domu_msg *m); /* also closes received descriptors that nobody took */
void domu_msg_reset(struct domu_msg *m, uint32_t type);

void domu_msg_put_u64(struct domu_msg *m, uint64_t v);
void domu_msg_put_str(struct domu_msg *m, const char *s); /* NULL is kept apart from "" */
void domu_msg_put_bytes(struct domu_msg *m, const void *p, size_t len);
void domu_msg_put_fd(struct domu_msg *m, int fd);

uint64_t domu_msg_get_u64(struct domu_msg *m);
const char *domu_msg_get_str(struct domu_msg *m); /* NUL inside is an error; NULL only where NULL was put */
const void *domu_msg_get_bytes(struct domu_msg *m, size_t *len);
int domu_msg_take_fd(struct domu_msg *m); /* -1: none left */

/* Over a stream socket.  0, or a negative errno; recv: -EPIPE when the other end is gone. */
int domu_msg_send(int sock, struct domu_msg *m);
int domu_msg_recv(int sock, struct domu_msg *m);
/*
 * The same for an end that is not trusted to answer: wait(user) is called
 * whenever a signal came or the socket's own time limit (SO_RCVTIMEO,
 * SO_SNDTIMEO) ran out; 0 goes on, a negative errno gives up.
 */
int domu_msg_send_wait(int sock, struct domu_msg *m, int (*wait)(void *user), void *user);
int domu_msg_recv_wait(int sock, struct domu_msg *m, int (*wait)(void *user), void *user);

#endif
