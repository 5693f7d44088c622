/* SPDX-License-Identifier: GPL-3.0-or-later */
/* root.c - which filesystem is the guest's root. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/tree.h"

static bool exists(struct domu_tree *t, size_t node, const char *path)
{
	struct domu_path *p = malloc(sizeof *p);
	bool clean = t->ctx->error.status == DOMU_OK;
	int rc = p != NULL ? domu_walk_in(t, node, false, "/", path, DOMU_WALK_NOFOLLOW, p) : -ENOMEM;

	free(p);
	if (rc != 0 && clean)
		domu_error_clear(t->ctx);
	return rc == 0;
}

/* What the contract calls a root.  The last name may be a link to somewhere that is mounted only later. */
bool domu_tree_looks_like_root(struct domu_tree *t, size_t node)
{
	return exists(t, node, "/etc/fstab") &&
	       (exists(t, node, "/sbin/init") || exists(t, node, "/usr/lib/os-release"));
}

static bool holds_root(struct domu_tree *t, size_t node)
{
	bool clean = t->ctx->error.status == DOMU_OK;

	if (domu_tree_start(t, node) == 0)
		return domu_tree_looks_like_root(t, node);
	if (clean)
		domu_error_clear(t->ctx);
	return false;
}

/* root=/dev/xvda2, as the config has it: the word after root=, when there is more. */
static void hint_word(const char *hint, char *word, size_t size)
{
	size_t len;

	while (*hint == ' ')
		hint++;
	if (strncmp(hint, "root=", 5) == 0)
		hint += 5;
	len = strncmp(hint, "rootflags=", 10) != 0 ? strcspn(hint, " \t") : 0;
	snprintf(word, size, "%.*s", (int)(len < size ? len : size - 1), hint);
}

static int by_hint(struct domu_tree *t, bool *found)
{
	char word[256];
	size_t node;
	int rc;

	*found = false;
	if (t->opts.root_hint == NULL)
		return 0;
	hint_word(t->opts.root_hint, word, sizeof word);
	rc = word[0] != '\0' ? domu_tree_find_quietly(t, word, &node) : -ENOENT;
	if (rc == 0)
		rc = domu_tree_probe(t, node, true);
	if (rc == 0 && domu_tree_is_fs(t, node)) {
		t->root = node;
		*found = true;
	} else if (word[0] != '\0') {
		domu_error_clear(t->ctx);
		domu_say(t->ctx, DOMU_WARNING, "the config says root=%s, which is no filesystem of %s", word,
		         domu_tree_guest(t));
	}
	return 0;
}

/* A list of names for a message, with a count of what did not fit. */
struct names {
	char text[512];
	size_t len, n, first;
};

static void add_name(struct domu_tree *t, struct names *l, size_t node)
{
	const struct domu_node *n = &t->nodes.v[node];

	if (l->n++ == 0)
		l->first = node;
	if (l->len + sizeof n->name + sizeof n->probe.type + 8 < sizeof l->text)
		l->len += (size_t)snprintf(l->text + l->len, sizeof l->text - l->len, "%s%s (%s)",
		                           l->len == 0 ? "" : ", ", n->name, n->probe.type);
}

static int closed_door(struct domu_tree *t, size_t node)
{
	struct domu_fs *fs;

	return domu_tree_fs(t, node, &fs);
}

/*
 * Looks into every filesystem of one sort: those a driver here opens, or
 * those that need the appliance.  One that does not open is no candidate; a
 * closed door ends the search, since the guest must not be taken for another.
 */
static int search(struct domu_tree *t, bool here, struct names *roots)
{
	for (size_t i = 0; i < t->nodes.n; i++) {
		const struct domu_fs_ops *driver = t->state[i].driver;
		bool is_here = driver != NULL && domu_driver_is_here(driver);

		if (is_here != here || !domu_tree_is_fs(t, i))
			continue;
		if (t->nodes.v[i].probe.closed)
			return closed_door(t, i);
		if (holds_root(t, i))
			add_name(t, roots, i);
	}
	return 0;
}

static int settle(struct domu_tree *t, const struct names *roots, bool *found)
{
	*found = roots->n == 1;
	if (roots->n == 1)
		t->root = roots->first;
	if (roots->n < 2)
		return 0;
	return domu_fail(t->ctx, DOMU_USAGE, -ENOTUNIQ,
	                 "several filesystems of %s look like its root: %s: name one, as %s@%s", domu_tree_guest(t),
	                 roots->text, domu_tree_guest(t), t->nodes.v[roots->first].name);
}

/* No filesystem looks like a root: the only one there is will do. */
static int only_one(struct domu_tree *t, bool *found)
{
	struct names all = { 0 };
	struct names roots = { 0 };
	int rc;

	for (size_t i = 0; i < t->nodes.n; i++)
		if (domu_tree_is_fs(t, i))
			add_name(t, &all, i);
	/* It may be where nobody here can look. */
	rc = domu_tree_refused(t, NULL);
	if (rc != 0)
		return rc;
	if (all.n == 0 && t->nodes.n == 1)
		return closed_door(t, 0); /* says what is there instead */
	if (all.n == 0)
		return domu_fail(t->ctx, DOMU_NOTFOUND, -ENODEV, "%s has no filesystem; see domu-rescue info %s",
		                 domu_tree_guest(t), domu_tree_guest(t));
	if (all.n == 1) {
		t->root = all.first;
		*found = true;
		return 0;
	}
	rc = search(t, false, &roots);
	if (rc == 0)
		rc = settle(t, &roots, found);
	if (rc != 0 || *found)
		return rc;
	return domu_fail(t->ctx, DOMU_USAGE, -ENOTUNIQ,
	                 "no filesystem of %s looks like its root: name one of %s, as %s@%s", domu_tree_guest(t),
	                 all.text, domu_tree_guest(t), t->nodes.v[all.first].name);
}

static int by_content(struct domu_tree *t)
{
	struct names roots = { 0 };
	bool found;
	int rc;

	/* First only what a driver here claims: that costs a superblock each, and finds nearly every root. */
	for (size_t i = 0; i < t->nodes.n; i++) {
		rc = domu_tree_probe(t, i, false);
		if (rc != 0)
			return rc;
	}
	rc = search(t, true, &roots);
	if (rc == 0)
		rc = settle(t, &roots, &found);
	if (rc != 0 || found)
		return rc;
	for (size_t i = 0; i < t->nodes.n; i++) {
		rc = domu_tree_probe(t, i, true);
		if (rc != 0)
			return rc;
	}
	return only_one(t, &found);
}

int domu_tree_root(struct domu_tree *t, size_t *node)
{
	bool found = false;
	int rc = 0;

	*node = 0;
	if (!t->root_known) {
		if (t->opts.use != NULL) {
			rc = domu_tree_find(t, t->opts.use, &t->root);
		} else {
			rc = by_hint(t, &found);
			if (rc == 0 && !found)
				rc = by_content(t);
		}
		t->root_known = rc == 0;
	}
	*node = t->root;
	return rc;
}
