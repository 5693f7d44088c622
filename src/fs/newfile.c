/* SPDX-License-Identifier: GPL-3.0-or-later */
/* newfile.c - a new inode as the running guest would make it: default ACL of its directory, label of its policy. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/num.h"
#include "fs/label.h"
#include "fs/lib-pcre2.h"
#include "fs/tree.h"

#define MAX_CONTEXTS (4u << 20) /* bytes of a file_contexts; that of a distribution has less than one MiB */
#define MAX_CONFIG   65536u

/* ---- default ACLs -------------------------------------------------------------------- */

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define MAX_ACL     65536u
#define ACL_HEAD    4u
#define ACL_ENTRY   8u

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct acl {
	uint8_t *data; /* the form of getxattr(2) */
	size_t len;
};

/* The default ACL of a directory, twice: one is cut to what the new inode gets.  Without one both stay empty. */
static int take_default(struct domu_fs *fs, uint64_t dir, struct acl *dflt, struct acl *access)
{
	char *value;
	int rc = domu_fs_getxattr(fs, dir, ACL_DEFAULT, MAX_ACL, &value, &dflt->len);

	if (rc == -EOPNOTSUPP)
		domu_error_clear(fs->ctx);
	if (rc == -EOPNOTSUPP || rc == -ENODATA || rc == -ERANGE)
		return 0;
	if (rc != 0 || dflt->len < ACL_HEAD || (dflt->len - ACL_HEAD) % ACL_ENTRY != 0) {
		free(value);
		return rc;
	}
	dflt->data = (uint8_t *)value;
	*access = (struct acl){ .data = malloc(dflt->len), .len = dflt->len };
	if (access->data == NULL)
		return domu_nomem(fs->ctx);
	memcpy(access->data, dflt->data, dflt->len);
	return 0;
}

static uint32_t perm_of(const uint8_t *entry)
{
	return domu_le16(entry + 2) & 7u;
}

/* The permissions of one entry and of three bits of the mode become those that both have. */
static void cut(uint8_t *entry, uint32_t *mode, unsigned shift)
{
	uint32_t both = perm_of(entry) & (*mode >> shift);

	entry[2] = (uint8_t)both;
	entry[3] = 0;
	*mode = (*mode & ~(7u << shift)) | both << shift;
}

/* As posix_acl_create(): the copy of the default ACL and the mode limit each other.  False: the mode says it all. */
static bool limit(struct acl *a, uint32_t *mode)
{
	uint8_t *group = NULL, *mask = NULL;
	bool more = false;

	for (size_t at = ACL_HEAD; at < a->len; at += ACL_ENTRY) {
		uint8_t *e = a->data + at;

		switch (domu_le16(e)) {
		case USER_OBJ:
			cut(e, mode, 6);
			break;
		case OTHER:
			cut(e, mode, 0);
			break;
		case GROUP_OBJ:
			group = e;
			break;
		case MASK:
			mask = e;
			break;
		default:
			break;
		}
		more = more || (domu_le16(e) & (USER | GROUP | MASK)) != 0;
	}
	if (mask != NULL || group != NULL)
		cut(mask != NULL ? mask : group, mode, 3);
	return more;
}

static int put_acls(struct domu_fs *fs, uint64_t ino, const struct acl *access, bool more, const struct acl *dflt)
{
	int rc = more ? domu_fs_setxattr(fs, ino, ACL_ACCESS, access->data, access->len) : 0;

	return rc == 0 && dflt != NULL ? domu_fs_setxattr(fs, ino, ACL_DEFAULT, dflt->data, dflt->len) : rc;
}

/* ---- the guest's policy ------------------------------------------------------------------ */

void domu_labels_prepare(void)
{
	domu_lib_load(NULL, &domu_lib_pcre2);
}

/* A file of the guest; *text NULL where there is none.  Only memory can fail. */
static int slurp(struct domu_tree *t, const char *path, size_t max, char **text)
{
	struct domu_path *p = malloc(sizeof *p);
	size_t len;
	int rc;

	*text = NULL;
	if (p == NULL)
		return domu_nomem(t->ctx);
	rc = domu_path_walk(t, "/", path, 0, p);
	if (rc == 0 && S_ISREG(p->st.mode))
		rc = domu_fs_slurp(p->fs, p->ino, max, text, &len);
	free(p);
	if (rc == -ENOMEM)
		return rc;
	if (rc != 0 && rc != -ENOENT)
		domu_say(t->ctx, DOMU_WARNING, "%s cannot be read: new files get no SELinux label", path);
	domu_error_clear(t->ctx);
	return 0;
}

/* "KEY=VALUE" at the beginning of a line; false: not there, or too long to be true. */
static bool config_value(const char *text, const char *key, char *value, size_t size)
{
	size_t len = strlen(key), n;
	bool found = false;

	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += line != text;
		while (*line == ' ' || *line == '\t')
			line++;
		if (strncmp(line, key, len) != 0 || line[len] != '=')
			continue;
		n = strcspn(line + len + 1, " \t\r\n#");
		found = n > 0 && n < size;
		if (found)
			snprintf(value, size, "%.*s", (int)n, line + len + 1);
	}
	return found;
}

static int read_policy(struct domu_tree *t, const char *type, struct domu_labels **labels)
{
	static const char *const names[] = { "", ".homedirs", ".local", ".subs", ".subs_dist" };
	struct domu_label_texts texts = { 0 };
	char path[512];
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < 5; i++) {
		snprintf(path, sizeof path, "/etc/selinux/%s/contexts/files/file_contexts%s", type, names[i]);
		rc = slurp(t, path, MAX_CONTEXTS, i < 3 ? &texts.contexts[i] : &texts.subs[i - 3]);
		if (rc == 0 && i == 0 && texts.contexts[0] == NULL)
			return 0;
	}
	if (rc == 0 && !domu_lib_pcre2.loaded)
		domu_say(t->ctx, DOMU_WARNING,
		         "the guest uses SELinux, and there is no library %s here: new files get no label",
		         domu_lib_pcre2.soname);
	if (rc == 0 && domu_lib_pcre2.loaded)
		return domu_labels_new(&texts, labels) != 0 ? domu_nomem(t->ctx) : 0;
	for (unsigned i = 0; i < 5; i++)
		free(i < 3 ? texts.contexts[i] : texts.subs[i - 3]);
	return rc;
}

int domu_tree_labels(struct domu_tree *t, struct domu_labels **labels)
{
	char *config = NULL, mode[32], type[64] = "targeted";
	int rc = 0;

	if (!t->labels_known) {
		rc = slurp(t, "/etc/selinux/config", MAX_CONFIG, &config);
		if (rc == 0 && config != NULL && config_value(config, "SELINUX", mode, sizeof mode) &&
		    strcasecmp(mode, "disabled") != 0) {
			config_value(config, "SELINUXTYPE", type, sizeof type);
			if (strchr(type, '/') == NULL)
				rc = read_policy(t, type, &t->labels);
		}
		free(config);
		t->labels_known = rc == 0;
	}
	*labels = t->labels;
	return rc;
}

void domu_tree_forget_labels(struct domu_tree *t)
{
	domu_labels_free(t->labels);
	t->labels = NULL;
	t->labels_known = false;
}

int domu_fs_label_new(struct domu_tree *t, struct domu_fs *fs, uint64_t ino, const char *path, uint32_t mode)
{
	struct domu_labels *labels;
	const char *context;
	int rc = domu_tree_labels(t, &labels);

	context = rc == 0 && labels != NULL ? domu_labels_find(labels, path, mode) : NULL;
	if (rc == 0 && labels != NULL && domu_labels_gave_up(labels))
		domu_say(t->ctx, DOMU_WARNING,
		         "the guest's file_contexts take too long to go through: new files get no SELinux label");
	if (context == NULL)
		return rc;
	rc = domu_fs_setxattr(fs, ino, DOMU_LABEL_XATTR, context, strlen(context) + 1);
	if (rc != -EOPNOTSUPP)
		return rc;
	/* A filesystem without attributes, such as vfat, is labelled by its mount. */
	domu_error_clear(t->ctx);
	return 0;
}

/* ---- making it --------------------------------------------------------------------------------- */

int domu_fs_create_new(struct domu_tree *t, struct domu_fs *fs, uint64_t dir, const char *path, const char *name,
                       struct domu_stat *attr, uint32_t umask, const char *target, uint64_t *ino)
{
	struct acl access = { 0 }, dflt = { 0 };
	bool is_link = S_ISLNK(attr->mode), more = false;
	int rc = is_link ? 0 : take_default(fs, dir, &dflt, &access);

	if (dflt.data != NULL)
		more = rc == 0 && limit(&access, &attr->mode);
	else if (!is_link)
		attr->mode &= ~umask;
	if (rc == 0)
		rc = domu_fs_create(fs, dir, name, attr, target, ino);
	if (rc == 0 && dflt.data != NULL)
		rc = put_acls(fs, *ino, &access, more, S_ISDIR(attr->mode) ? &dflt : NULL);
	if (rc == 0 && path != NULL)
		rc = domu_fs_label_new(t, fs, *ino, path, attr->mode);
	free(access.data);
	free(dflt.data);
	return rc;
}
