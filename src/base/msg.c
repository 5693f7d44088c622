/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* msg.c - messages between processes over a stream socket. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/msg.h"

struct header {
	uint32_t type;
	uint32_t len;
};

enum { TAG_U64 = 1, TAG_STR, TAG_NULL, TAG_BYTES };

void domu_msg_free(struct domu_msg *m)
{
	if (m->fds_owned)
		for (unsigned i = m->fds_taken; i < m->n_fds; i++)
			close(m->fds[i]);
	free(m->data);
	memset(m, 0, sizeof *m);
}

void domu_msg_reset(struct domu_msg *m, uint32_t type)
{
	uint8_t *data = m->data;
	size_t cap = m->cap;

	m->data = NULL;
	domu_msg_free(m);
	m->data = data;
	m->cap = cap;
	m->type = type;
}

static uint8_t *grow(struct domu_msg *m, size_t add)
{
	uint8_t *p;

	if (m->err != 0)
		return NULL;
	if (add > DOMU_MSG_MAX - m->len) {
		m->err = -EMSGSIZE;
		return NULL;
	}
	if (m->len + add > m->cap) {
		size_t cap = m->cap ? m->cap : 256;

		while (cap < m->len + add)
			cap *= 2;
		p = realloc(m->data, cap);
		if (p == NULL) {
			m->err = -ENOMEM;
			return NULL;
		}
		m->data = p;
		m->cap = cap;
	}
	p = m->data + m->len;
	m->len += add;
	return p;
}

static void put(struct domu_msg *m, uint8_t tag, const void *bytes, uint32_t len)
{
	uint8_t *p = grow(m, 1 + sizeof len + (size_t)len);

	if (p == NULL)
		return;
	*p++ = tag;
	memcpy(p, &len, sizeof len);
	if (len > 0)
		memcpy(p + sizeof len, bytes, len);
}

void domu_msg_put_u64(struct domu_msg *m, uint64_t v)
{
	put(m, TAG_U64, &v, sizeof v);
}

void domu_msg_put_str(struct domu_msg *m, const char *s)
{
	size_t len = s != NULL ? strlen(s) : 0;

	if (len >= DOMU_MSG_MAX)
		m->err = -EMSGSIZE;
	else if (s == NULL)
		put(m, TAG_NULL, NULL, 0);
	else
		put(m, TAG_STR, s, (uint32_t)len + 1);
}

void domu_msg_put_bytes(struct domu_msg *m, const void *p, size_t len)
{
	if (len >= DOMU_MSG_MAX)
		m->err = -EMSGSIZE;
	else
		put(m, TAG_BYTES, p, (uint32_t)len);
}

void domu_msg_put_fd(struct domu_msg *m, int fd)
{
	if (m->n_fds == DOMU_MSG_FDS)
		m->err = -EMSGSIZE;
	else
		m->fds[m->n_fds++] = fd;
}

static const uint8_t *get(struct domu_msg *m, uint8_t *tag, uint32_t *len)
{
	const uint8_t *p;

	if (m->err != 0)
		return NULL;
	if (m->len - m->pos < 1 + sizeof *len) {
		m->err = -EBADMSG;
		return NULL;
	}
	*tag = m->data[m->pos];
	memcpy(len, m->data + m->pos + 1, sizeof *len);
	if (*len > m->len - m->pos - 1 - sizeof *len) {
		m->err = -EBADMSG;
		return NULL;
	}
	p = m->data + m->pos + 1 + sizeof *len;
	m->pos += 1 + sizeof *len + *len;
	return p;
}

uint64_t domu_msg_get_u64(struct domu_msg *m)
{
	uint8_t tag;
	uint32_t len;
	uint64_t v = 0;
	const uint8_t *p = get(m, &tag, &len);

	if (p == NULL)
		return 0;
	if (tag != TAG_U64 || len != sizeof v)
		m->err = -EBADMSG;
	else
		memcpy(&v, p, sizeof v);
	return v;
}

const char *domu_msg_get_str(struct domu_msg *m)
{
	uint8_t tag;
	uint32_t len;
	const uint8_t *p = get(m, &tag, &len);

	if (p == NULL)
		return "";
	if (tag == TAG_NULL)
		return NULL;
	if (tag != TAG_STR || len == 0 || memchr(p, '\0', len) != p + len - 1) {
		m->err = -EBADMSG;
		return "";
	}
	return (const char *)p;
}

const void *domu_msg_get_bytes(struct domu_msg *m, size_t *len)
{
	uint8_t tag;
	uint32_t n = 0;
	const uint8_t *p = get(m, &tag, &n);

	*len = 0;
	if (p == NULL)
		return "";
	if (tag != TAG_BYTES) {
		m->err = -EBADMSG;
		return "";
	}
	*len = n;
	return p;
}

int domu_msg_take_fd(struct domu_msg *m)
{
	return m->fds_taken < m->n_fds ? m->fds[m->fds_taken++] : -1;
}

struct waiter {
	int (*wait)(void *user);
	void *user;
};

/* After a call that failed: 0 to make it again. */
static int again(const struct waiter *w)
{
	int err = errno;

	if (w->wait != NULL && (err == EINTR || err == EAGAIN))
		return w->wait(w->user);
	if (err == EINTR)
		return 0;
	return err == ECONNRESET ? -EPIPE : -err;
}

static int send_all(int sock, const void *buf, size_t len, const struct waiter *w)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = send(sock, p, len, MSG_NOSIGNAL);

		if (n < 0) {
			int rc = again(w);

			if (rc == 0)
				continue;
			return rc;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_msg(int sock, struct domu_msg *m, const struct waiter *w)
{
	struct header h = { .type = m->type, .len = (uint32_t)m->len };
	union {
		char buf[CMSG_SPACE(sizeof(int) * DOMU_MSG_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = &h, .iov_len = sizeof h };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;
	int rc;

	if (m->err != 0)
		return m->err;
	if (m->n_fds > 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof control);
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * m->n_fds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * m->n_fds);
		memcpy(CMSG_DATA(c), m->fds, sizeof(int) * m->n_fds);
	}
	while ((n = sendmsg(sock, &mh, MSG_NOSIGNAL)) < 0) {
		rc = again(w);
		if (rc != 0)
			return rc;
	}
	if ((size_t)n < sizeof h) {
		rc = send_all(sock, (char *)&h + n, sizeof h - (size_t)n, w);
		if (rc != 0)
			return rc;
	}
	return send_all(sock, m->data, m->len, w);
}

static int recv_all(int sock, void *buf, size_t len, const struct waiter *w)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = recv(sock, p, len, 0);

		if (n < 0) {
			int rc = again(w);

			if (rc == 0)
				continue;
			return rc;
		}
		if (n == 0)
			return -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static void take_control(struct domu_msg *m, struct msghdr *mh)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (m->n_fds < DOMU_MSG_FDS)
				m->fds[m->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

static int recv_msg(int sock, struct domu_msg *m, const struct waiter *w)
{
	struct header h;
	union {
		char buf[CMSG_SPACE(sizeof(int) * DOMU_MSG_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = &h, .iov_len = sizeof h };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof control.buf
	};
	ssize_t n;
	int rc;

	domu_msg_reset(m, 0);
	while ((n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC)) < 0) {
		rc = again(w);
		if (rc != 0)
			return rc;
	}
	if (n == 0)
		return -EPIPE;
	m->fds_owned = 1;
	take_control(m, &mh);
	if ((size_t)n < sizeof h) {
		rc = recv_all(sock, (char *)&h + n, sizeof h - (size_t)n, w);
		if (rc != 0)
			return rc;
	}
	m->type = h.type;
	if (h.len > DOMU_MSG_MAX)
		return -EMSGSIZE;
	if (h.len == 0)
		return 0;
	if (grow(m, h.len) == NULL)
		return m->err;
	return recv_all(sock, m->data, h.len, w);
}

int domu_msg_send_wait(int sock, struct domu_msg *m, int (*wait)(void *user), void *user)
{
	return send_msg(sock, m, &(struct waiter){ wait, user });
}

int domu_msg_recv_wait(int sock, struct domu_msg *m, int (*wait)(void *user), void *user)
{
	return recv_msg(sock, m, &(struct waiter){ wait, user });
}

int domu_msg_send(int sock, struct domu_msg *m)
{
	return domu_msg_send_wait(sock, m, NULL, NULL);
}

int domu_msg_recv(int sock, struct domu_msg *m)
{
	return domu_msg_recv_wait(sock, m, NULL, NULL);
}
