/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keep-page.c - keep-page DEVICE: keeps its first page in this host's cache, as it is now, until it is ended. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0 || mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_POPULATE | MAP_LOCKED, fd, 0) == MAP_FAILED)
		return 1;
	puts("kept");
	fflush(stdout);
	pause();
	return 0;
}
