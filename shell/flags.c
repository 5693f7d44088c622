/* SPDX-License-Identifier: GPL-3.0-or-later */
/* flags.c - the letters that lsattr and chattr have for the flags of an inode. */
#include "config.h"

#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/flags.h"

/* Not in linux/fs.h of every age. */
#define INDEX_FL   0x00001000u
#define EXTENTS_FL 0x00080000u
#define VERITY_FL  0x00100000u
#define DAX_FL     0x02000000u
#define INLINE_FL  0x10000000u
#define PROJECT_FL 0x20000000u
#define FOLD_FL    0x40000000u

/* In the order of lsattr. */
static const struct {
	uint32_t flag;
	char letter;
} letters[] = {
	{ FS_SECRM_FL, 's' },     { FS_UNRM_FL, 'u' },    { FS_SYNC_FL, 'S' },         { FS_DIRSYNC_FL, 'D' },
	{ FS_IMMUTABLE_FL, 'i' }, { FS_APPEND_FL, 'a' },  { FS_NODUMP_FL, 'd' },       { FS_NOATIME_FL, 'A' },
	{ FS_COMPR_FL, 'c' },     { FS_ENCRYPT_FL, 'E' }, { FS_JOURNAL_DATA_FL, 'j' }, { INDEX_FL, 'I' },
	{ FS_NOTAIL_FL, 't' },    { FS_TOPDIR_FL, 'T' },  { EXTENTS_FL, 'e' },         { FS_NOCOW_FL, 'C' },
	{ DAX_FL, 'x' },          { FOLD_FL, 'F' },       { INLINE_FL, 'N' },          { PROJECT_FL, 'P' },
	{ VERITY_FL, 'V' },       { FS_NOCOMP_FL, 'm' },
};
#define N_LETTERS (sizeof letters / sizeof *letters)
_Static_assert(N_LETTERS + 1 == DOMU_FLAGS_TEXT, "a place a letter");

void domu_flags_text(uint32_t flags, char out[DOMU_FLAGS_TEXT])
{
	for (size_t i = 0; i < N_LETTERS; i++)
		out[i] = (flags & letters[i].flag) != 0 ? letters[i].letter : '-';
	out[N_LETTERS] = '\0';
}

bool domu_flags_word(const char *word)
{
	char unknown;

	if (*word == '\0' || strchr("+-=", *word) == NULL || (word[1] == '\0' && *word != '='))
		return false;
	domu_flags_parse(word + 1, &unknown);
	return unknown == 0;
}

uint32_t domu_flags_parse(const char *text, char *unknown)
{
	uint32_t flags = 0;

	*unknown = 0;
	for (; *text != '\0'; text++) {
		size_t i = 0;

		while (i < N_LETTERS && letters[i].letter != *text)
			i++;
		if (i == N_LETTERS) {
			*unknown = *text;
			return flags;
		}
		flags |= letters[i].flag;
	}
	return flags;
}

uint32_t domu_flags_settable(uint32_t mode)
{
	uint32_t flags = FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL |
	                 FS_NODUMP_FL | FS_NOATIME_FL | FS_NOCOMP_FL | FS_JOURNAL_DATA_FL | FS_NOTAIL_FL |
	                 FS_DIRSYNC_FL | FS_TOPDIR_FL | PROJECT_FL;

	if (S_ISREG(mode))
		flags &= ~(uint32_t)(FS_DIRSYNC_FL | FS_TOPDIR_FL | PROJECT_FL);
	return flags;
}
