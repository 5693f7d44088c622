/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check-saved.c - saved states of guests, of xl and of libvirt, that would resume on a disk. */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/check.h"

/*
 * xl save's header (tools/xl/xl.h): 32 bytes of magic, byte order, mandatory
 * flags, optional flags, length of the optional data, which begins with the
 * config's length and the config: JSON when the first mandatory flag is set.
 */
#define XL_MAGIC      "Xen saved domain, xl format\n \0 \r"
#define XL_MAGIC_LEN  32
#define XL_BYTE_ORDER 0x01020304u
#define SAVE_TEXT_MAX (1u << 20)

/* libvirt's (src/libxl/libxl_conf.h): 16 bytes of magic, version, length of the XML, which begins at byte 64. */
#define LIBVIRT_MAGIC "libvirt-xml\n \0 \r"
#define LIBVIRT_XML   64

/* The first megabyte of a save file, its NULs made blanks, so that a config in it is text. */
static char *save_text(const char *path, bool *known)
{
	char *text = malloc(SAVE_TEXT_MAX + 1);
	uint32_t order = 0;
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	*known = false;
	if (fd >= 0 && text != NULL)
		n = pread(fd, text, SAVE_TEXT_MAX, 0);
	if (fd >= 0)
		close(fd);
	if (n < 64) {
		free(text);
		return NULL;
	}
	memcpy(&order, text + XL_MAGIC_LEN, sizeof order);
	if (memcmp(text, XL_MAGIC, XL_MAGIC_LEN) == 0 && order == XL_BYTE_ORDER) {
		uint32_t len = 0;

		memcpy(&len, text + XL_MAGIC_LEN + 16, sizeof len);
		n = len < (size_t)n - XL_MAGIC_LEN - 20 ? (ssize_t)len + XL_MAGIC_LEN + 20 : n;
		*known = true;
	} else if (memcmp(text, LIBVIRT_MAGIC, sizeof LIBVIRT_MAGIC - 1) == 0) {
		uint32_t len = 0;

		/* What comes behind it is the guest's memory, whose paths are none. */
		memcpy(&len, text + 20, sizeof len);
		n = len < (size_t)n - LIBVIRT_XML ? (ssize_t)len + LIBVIRT_XML : n;
		*known = true;
	}
	for (ssize_t i = 0; i < n; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	text[n] = '\0';
	return text;
}

static bool leads_to(const struct domu_backing *b, const char *behind, const char *p, size_t n)
{
	char path[PATH_MAX];

	if (n < 2 || n >= sizeof path)
		return false;
	memcpy(path, p, n);
	path[n] = '\0';
	return domu_same_disk(b, path) == DOMU_SAME_YES || (behind != NULL && domu_same_target(behind, path));
}

/*
 * Every quoted string of a saved config that is a path is compared with the
 * disk: that finds pdev_path in JSON, 'phy:/dev/vg/a,xvda,w' in xl's own
 * syntax and file='...' in libvirt's XML, without a parser for each.  What a
 * block script makes a disk of need not be a path.
 */
static bool names_disk(const char *text, const struct domu_backing *b, const char *behind)
{
	size_t len = behind != NULL ? strlen(behind) : 0;

	for (const char *p = text; (p = strpbrk(p, "\"':=")) != NULL;) {
		size_t n, m;

		p++;
		if (len > 0 && strncmp(p, behind, len) == 0 && p[len] != '\0' && strchr("\"',", p[len]) != NULL)
			return true;
		if (*p != '/')
			continue;
		/* A path may have commas and blanks in it where it is a value by itself. */
		n = strcspn(p, "\"',\n<>\\ \t");
		m = strcspn(p, "\"'\n<>\\");
		if (leads_to(b, behind, p, n) || (m != n && leads_to(b, behind, p, m)))
			return true;
		p += n;
	}
	return false;
}

/* libvirt has NAME.save. */
static void next_for_save(struct domu_answer *a, const char *path, const char *name)
{
	size_t n = strlen(name);
	bool libvirt = strstr(path, "libvirt") != NULL;
	char *word = libvirt && n > 5 && strcmp(name + n - 5, ".save") == 0 ? strndup(name, n - 5) : strdup(path);
	char *quoted = word != NULL ? domu_shell_quote(word) : NULL;

	if (quoted != NULL)
		domu_answer_next(a, "%s %s", libvirt ? "virsh start" : "xl restore", quoted);
	free(word);
	free(quoted);
}

static void look_at_save(struct domu_view *v, const char *path, const char *name, const struct domu_backing *b,
                         struct domu_answer *a)
{
	size_t len = v->guest->name != NULL ? strlen(v->guest->name) : 0;
	bool known, mine = len > 0 && strncmp(name, v->guest->name, len) == 0 &&
	                   (name[len] == '\0' || strcmp(name + len, ".save") == 0);
	char *text = save_text(path, &known);

	if (mine || (text != NULL && names_disk(text, b, domu_behind(v, b)))) {
		domu_answer(a, DOMU_CHECK_FAIL, "the saved state %s would resume on it", path);
		next_for_save(a, path, name);
	} else if (text == NULL || !known) {
		domu_answer(a, DOMU_CHECK_UNKNOWN, "%s may be a saved state; what it would resume on cannot be read",
		            path);
	}
	free(text);
}

/* Also without a Xen: a Dom0 that was started without it resumes its guests the next time. */
void domu_check_saved(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                      struct domu_answer *a)
{
	char path[PATH_MAX];
	bool any = false;
	struct dirent *e;
	struct stat st;

	(void)r;
	for (const char *const *dir = v->save_dirs; *dir != NULL; dir++) {
		DIR *d = opendir(*dir);

		while (d != NULL && (e = readdir(d)) != NULL) {
			snprintf(path, sizeof path, "%s/%s", *dir, e->d_name);
			if (e->d_name[0] == '.' || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
				continue;
			any = true;
			look_at_save(v, path, e->d_name, b, a);
		}
		if (d != NULL)
			closedir(d);
	}
	if (!any && !v->xen)
		domu_answer(a, DOMU_CHECK_SKIPPED, "no Xen here");
}
