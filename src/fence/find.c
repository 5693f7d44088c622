/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find.c - host programs: where they are, and whether the shim can reach them. */
#include "config.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/num.h"
#include "fence/program.h"

#define EXT2FS_SONAME   "libext2fs.so.2"
#define SUPERBLOCK      1024 /* bytes from the start of an ext filesystem */
#define EXT_MAGIC_AT    0x38
#define EXT_MAGIC       0xef53
#define EXT_INCOMPAT_AT 0x60
#define EXT_MMP         0x0100
#define MAX_DYNAMIC     (64u << 10) /* bytes of a dynamic section */

static const struct {
	const char *program, *package;
} packages[] = {
	{ "e2fsck", "e2fsprogs" },  { "resize2fs", "e2fsprogs" },  { "tune2fs", "e2fsprogs" },
	{ "debugfs", "e2fsprogs" }, { "dumpe2fs", "e2fsprogs" },   { "xfs_repair", "xfsprogs" },
	{ "btrfs", "btrfs-progs" }, { "sfdisk", "fdisk" },         { "mkswap", "util-linux" },
	{ "xfs_db", "xfsprogs" },   { "swaplabel", "util-linux" }, { "diff", "diffutils" },
};

int domu_program_find(struct domu_ctx *ctx, const char *name, char *path, size_t size)
{
	static const char *const places[] = { "/usr/sbin", "/usr/bin", "/sbin", "/bin" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		if (strchr(name, '/') != NULL || snprintf(path, size, "%s/%s", places[i], name) >= (int)size)
			break;
		if (access(path, X_OK) == 0)
			return 0;
	}
	for (size_t i = 0; i < sizeof packages / sizeof *packages; i++)
		if (strcmp(packages[i].program, name) == 0)
			return domu_fail(ctx, DOMU_UNSUPPORTED, -ENOENT, "%s is not installed: install the package %s",
			                 name, packages[i].package);
	return domu_fail(ctx, DOMU_UNSUPPORTED, -ENOENT, "%s is not installed", name);
}

/* ---- ELF ----------------------------------------------------------------------- */

struct elf {
	int fd;
	ElfW(Ehdr) head;
	ElfW(Phdr) seg[64];
};

static bool read_elf(struct elf *e)
{
	const unsigned char native = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;

	return domu_pread_full(e->fd, &e->head, sizeof e->head, 0) == 0 &&
	       memcmp(e->head.e_ident, ELFMAG, SELFMAG) == 0 && e->head.e_ident[EI_CLASS] == native &&
	       e->head.e_phentsize == sizeof *e->seg && e->head.e_phnum <= sizeof e->seg / sizeof *e->seg &&
	       domu_pread_full(e->fd, e->seg, e->head.e_phnum * sizeof *e->seg, e->head.e_phoff) == 0;
}

/* Where in the file the byte at a virtual address is. */
static bool file_offset(const struct elf *e, uint64_t address, uint64_t *offset)
{
	for (size_t i = 0; i < e->head.e_phnum; i++) {
		const ElfW(Phdr) *s = &e->seg[i];

		if (s->p_type == PT_LOAD && address >= s->p_vaddr && address - s->p_vaddr < s->p_filesz) {
			*offset = s->p_offset + (address - s->p_vaddr);
			return true;
		}
	}
	return false;
}

static bool needs(const struct elf *e, const ElfW(Dyn) * dyn, size_t n)
{
	char text[sizeof EXT2FS_SONAME];
	uint64_t strings = 0, at;
	bool known = false;

	for (size_t i = 0; i < n && dyn[i].d_tag != DT_NULL; i++)
		if (dyn[i].d_tag == DT_STRTAB)
			known = file_offset(e, dyn[i].d_un.d_ptr, &strings);
	for (size_t i = 0; known && i < n && dyn[i].d_tag != DT_NULL; i++)
		if (dyn[i].d_tag == DT_NEEDED && domu_add(strings, dyn[i].d_un.d_val, &at) &&
		    domu_pread_full(e->fd, text, sizeof text, at) == 0 && memcmp(text, EXT2FS_SONAME, sizeof text) == 0)
			return true;
	return false;
}

bool domu_program_takes_shim(const char *path)
{
	struct elf e = { .fd = open(path, O_RDONLY | O_CLOEXEC) };
	const ElfW(Phdr) *dynamic = NULL;
	ElfW(Dyn) *dyn = NULL;
	bool interp = false, yes = false;

	if (e.fd < 0)
		return false;
	if (!read_elf(&e))
		goto out;
	for (size_t i = 0; i < e.head.e_phnum; i++) {
		interp |= e.seg[i].p_type == PT_INTERP;
		if (e.seg[i].p_type == PT_DYNAMIC)
			dynamic = &e.seg[i];
	}
	if (!interp || dynamic == NULL || dynamic->p_filesz > MAX_DYNAMIC)
		goto out;
	dyn = malloc(dynamic->p_filesz);
	if (dyn != NULL && domu_pread_full(e.fd, dyn, dynamic->p_filesz, dynamic->p_offset) == 0)
		yes = needs(&e, dyn, dynamic->p_filesz / sizeof *dyn);
out:
	free(dyn);
	close(e.fd);
	return yes;
}

/* ---- MMP ----------------------------------------------------------------------- */

bool domu_program_has_mmp(const struct domu_program *p)
{
	struct domu_ctx quiet; /* that this cannot be read is for the program to say */
	struct domu_stack s;
	uint8_t sb[1024];
	bool yes = false;

	domu_ctx_init(&quiet);
	if (p->size < SUPERBLOCK + sizeof sb || domu_stack_open(&quiet, &p->stack, "disk", &s) != 0)
		goto out;
	if (domu_block_pread(s.top, sb, sizeof sb, p->offset + SUPERBLOCK) == 0 &&
	    domu_le16(sb + EXT_MAGIC_AT) == EXT_MAGIC)
		yes = (domu_le32(sb + EXT_INCOMPAT_AT) & EXT_MMP) != 0;
	domu_stack_close(&s);
out:
	domu_ctx_free(&quiet);
	return yes;
}
