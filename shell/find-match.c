/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find-match.c - find's expression asked about an inode. */
#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#include "shell/find.h"

static bool compare(const struct domu_find_node *x, uint64_t value)
{
	if (x->sign == '+')
		return value > x->number;
	return x->sign == '-' ? value < x->number : value == x->number;
}

static bool type_matches(const char *types, uint32_t mode)
{
	static const struct {
		char letter;
		uint32_t type;
	} all[] = { { 'b', S_IFBLK }, { 'c', S_IFCHR }, { 'd', S_IFDIR }, { 'p', S_IFIFO },
		    { 'f', S_IFREG }, { 'l', S_IFLNK }, { 's', S_IFSOCK } };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if ((mode & S_IFMT) == all[i].type)
			return strchr(types, all[i].letter) != NULL;
	return false;
}

static bool perm_matches(const struct domu_find_node *x, uint32_t mode)
{
	mode &= 07777;
	if (x->sign == '-')
		return (mode & x->number) == x->number;
	if (x->sign == '/')
		return x->number == 0 || (mode & x->number) != 0;
	return mode == x->number;
}

/* Whole units of age, rounded towards the past as findutils does. */
static bool time_matches(const struct domu_find *f, const struct domu_find_node *x, const struct domu_stat *st)
{
	time_t t = x->which == 'm' ? st->mtime.tv_sec : x->which == 'a' ? st->atime.tv_sec : st->ctime.tv_sec;
	int64_t age = (int64_t)f->now - (int64_t)t, unit = (int64_t)x->unit;

	/* -mmin rounds up, -mtime down. */
	if (unit == 60)
		age = age > 0 ? (age + 59) / 60 : age / 60;
	else
		age = age >= 0 ? age / unit : -1;
	if (age < 0)
		return x->sign == '-';
	return compare(x, (uint64_t)age);
}

static int count_one(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode)
{
	(void)user;
	(void)name;
	(void)len;
	(void)ino;
	(void)type_mode;
	return 1;
}

static bool empty(const struct domu_find_item *item)
{
	int rc;

	if (S_ISREG(item->st->mode))
		return item->st->size == 0;
	if (!S_ISDIR(item->st->mode) || item->fs == NULL)
		return false;
	rc = domu_fs_readdir(item->fs, item->st->ino, count_one, NULL);
	if (rc < 0)
		domu_error_clear(item->fs->ctx);
	return rc == 0;
}

static bool link_matches(const struct domu_find_node *x, const struct domu_find_item *item)
{
	char target[4096];

	if (!S_ISLNK(item->st->mode) || item->fs == NULL)
		return false;
	if (domu_fs_readlink(item->fs, item->st->ino, target, sizeof target) < 0) {
		domu_error_clear(item->fs->ctx);
		return false;
	}
	return fnmatch(x->text, target, 0) == 0;
}

static bool newer_matches(const struct domu_find_node *x, const struct domu_stat *st)
{
	struct timespec t = x->which == 'a'   ? st->atime
	                    : x->which == 'c' ? st->ctime
	                    : x->which == 'B' ? st->btime
	                                      : st->mtime;

	return t.tv_sec > x->when.tv_sec || (t.tv_sec == x->when.tv_sec && t.tv_nsec > x->when.tv_nsec);
}

/* The whole path, as findutils has it. */
static bool regex_matches(const struct domu_find_node *x, const struct domu_find_item *item)
{
	return item->path_len <= INT32_MAX &&
	       re_match(x->regex, item->path, (regoff_t)item->path_len, 0, NULL) == (regoff_t)item->path_len;
}

static int action(struct domu_find_item *item, const struct domu_find_node *x)
{
	int rc = item->action != NULL ? item->action(item->user, x) : 0;

	return rc < 0 ? rc : rc == 0;
}

static int test(const struct domu_find *f, const struct domu_find_node *x, struct domu_find_item *item)
{
	const struct domu_stat *st = item->st;

	switch (x->kind) {
	case FIND_NAME:
		return fnmatch(x->text, item->name, 0) == 0;
	case FIND_INAME:
		return fnmatch(x->text, item->name, FNM_CASEFOLD) == 0;
	case FIND_PATH:
		return fnmatch(x->text, item->path, 0) == 0;
	case FIND_IPATH:
		return fnmatch(x->text, item->path, FNM_CASEFOLD) == 0;
	case FIND_LNAME:
		return link_matches(x, item);
	case FIND_TYPE:
		return type_matches(x->text, st->mode);
	case FIND_SIZE:
		return compare(x, st->size / x->unit + (st->size % x->unit != 0));
	case FIND_EMPTY:
		return empty(item);
	case FIND_TIME:
		return time_matches(f, x, st);
	case FIND_NEWER:
		return newer_matches(x, st);
	case FIND_REGEX:
		return regex_matches(x, item);
	case FIND_SAMEFILE:
		return item->fs == x->fs && st->ino == x->number;
	case FIND_PERM:
		return perm_matches(x, st->mode);
	case FIND_USER:
		return x->which == 'u' ? compare(x, st->uid) : st->uid == x->id;
	case FIND_GROUP:
		return x->which == 'g' ? compare(x, st->gid) : st->gid == x->id;
	case FIND_NOUSER:
		return domu_names_user(item->names, st->uid) == NULL;
	case FIND_NOGROUP:
		return domu_names_group(item->names, st->gid) == NULL;
	case FIND_LINKS:
		return compare(x, st->nlink);
	case FIND_INUM:
		return compare(x, st->ino);
	case FIND_PRINT:
	case FIND_PRINT0:
	case FIND_LS:
	case FIND_PRINTF:
	case FIND_DELETE:
	case FIND_EXEC:
		return action(item, x);
	case FIND_PRUNE:
		item->prune = true;
		return 1;
	case FIND_QUIT:
		item->quit = true;
		return 1;
	default:
		return x->kind == FIND_TRUE;
	}
}

/* Recursion is as deep as the expression is nested or long, which the parser and the command line bound. */
static int match(const struct domu_find *f, int i, struct domu_find_item *item)
{
	const struct domu_find_node *x = &f->v[i];
	int rc;

	if (item->quit)
		return 0;
	switch (x->kind) {
	case FIND_AND:
		rc = match(f, x->left, item);
		return rc == 1 ? match(f, x->right, item) : rc;
	case FIND_OR:
		rc = match(f, x->left, item);
		return rc == 0 ? match(f, x->right, item) : rc;
	case FIND_COMMA:
		rc = match(f, x->left, item);
		return rc < 0 ? rc : match(f, x->right, item);
	case FIND_NOT:
		rc = match(f, x->left, item);
		return rc < 0 ? rc : !rc;
	default:
		return test(f, x, item);
	}
}

int domu_find_match(const struct domu_find *f, struct domu_find_item *item)
{
	static const struct domu_find_node print = { .kind = FIND_PRINT };
	int rc = f->root >= 0 ? match(f, f->root, item) : 1;

	if (rc == 1 && !f->has_action && !item->quit)
		rc = action(item, &print);
	return rc;
}
