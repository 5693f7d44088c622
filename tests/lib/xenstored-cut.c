/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xenstored-cut.c - a xenstored for tests, of one tree, which hangs up in the midst of its answers. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define BACKEND "/local/domain/0/backend/vbd/7/51712"

static const char *disk;

/* The names below a node, or a value; NULL: there is no such node. */
static const char *look_up(bool names, const char *path)
{
	static const char *const nodes[][2] = {
		{ "/local/domain", "0\n7" },
		{ "/local/domain/0/backend/vbd", "7" },
		{ "/local/domain/0/backend/vbd/7", "51712" },
	};
	static const char *const values[][2] = {
		{ BACKEND "/dev", "xvda" },
		{ BACKEND "/mode", "w" },
		{ BACKEND "/state", "4" },
	};

	for (size_t i = 0; i < 3; i++)
		if (strcmp(path, names ? nodes[i][0] : values[i][0]) == 0)
			return names ? nodes[i][1] : values[i][1];
	return !names && strcmp(path, BACKEND "/params") == 0 ? disk : NULL;
}

/* The Nth question on a connection answered; whole: the answer is not cut in its midst.  N is said before that. */
static bool answer(int fd, int n, bool whole)
{
	struct xsd_sockmsg head;
	char path[XENSTORE_PAYLOAD_MAX + 1], out[sizeof head + XENSTORE_PAYLOAD_MAX], *text = out + sizeof head;
	const char *found;
	size_t len;

	if (recv(fd, &head, sizeof head, MSG_WAITALL) != (ssize_t)sizeof head || head.len > XENSTORE_PAYLOAD_MAX ||
	    recv(fd, path, head.len, MSG_WAITALL) != (ssize_t)head.len)
		return false;
	path[head.len] = '\0';
	printf("%d\n", n);
	fflush(stdout);
	found = look_up(head.type == XS_DIRECTORY, path);
	len = (size_t)snprintf(text, XENSTORE_PAYLOAD_MAX, "%s", found != NULL ? found : "ENOENT");
	/* Names, and errors, end with a NUL each. */
	if (found == NULL || head.type == XS_DIRECTORY)
		text[len++] = '\0';
	for (size_t i = 0; i < len; i++)
		text[i] = text[i] == '\n' ? '\0' : text[i];
	head.type = found != NULL ? head.type : XS_ERROR;
	head.len = (uint32_t)len;
	memcpy(out, &head, sizeof head);
	len += sizeof head;
	return send(fd, out, whole ? len : len - 2, MSG_NOSIGNAL) > 0 && whole;
}

/* SOCKET DISK ANSWERS: after so many on a connection the next is cut; says the number of each. */
int main(int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char made[sizeof at.sun_path];
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), answers;

	if (argc != 4)
		return 2;
	disk = argv[2];
	answers = atoi(argv[3]);
	/* Whoever sees the name can connect to it. */
	snprintf(made, sizeof made, "%.100s.new", argv[1]);
	snprintf(at.sun_path, sizeof at.sun_path, "%s", made);
	if (bind(listening, (struct sockaddr *)&at, sizeof at) < 0 || listen(listening, 8) < 0 ||
	    rename(made, argv[1]) < 0)
		return 1;
	for (;;) {
		int fd = accept(listening, NULL, NULL), n = 0;

		while (answer(fd, n + 1, n < answers))
			n++;
		close(fd);
	}
}
