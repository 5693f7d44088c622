/* SPDX-License-Identifier: GPL-3.0-or-later */
/* serve-node.c - the numbers by which the kernel knows a guest's inodes, and what links lead to. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fence/lib-fuse.h"
#include "fence/serve-tree.h"

#define INO_BITS    56
#define INO_MASK    ((UINT64_C(1) << INO_BITS) - 1)
#define FIRST_NODES 1024u
#define MAX_DEPTH   4096 /* of directories: a path of the kernel has at most 2048 */

/* ---- numbers -------------------------------------------------------------------- */

int serve_find(struct serve *s, fuse_ino_t id, struct serve_place *p)
{
	uint64_t mount = id == FUSE_ROOT_ID ? 0 : ((uint64_t)id >> INO_BITS) - 1;
	int rc;

	if (mount >= s->n_mounts)
		return -ESTALE;
	rc = domu_tree_fs(s->tree, s->mounts[mount].node, &p->fs);
	if (rc != 0)
		return rc;
	p->mount = (unsigned)mount;
	p->ino = id == FUSE_ROOT_ID ? domu_tree_top(s->tree, 0, p->fs) : (uint64_t)id & INO_MASK;
	return 0;
}

/* Never 0, and 1 is the root alone. */
fuse_ino_t serve_id(const struct serve *s, const struct serve_place *p)
{
	if (p->mount == 0 && p->ino == domu_tree_top(s->tree, 0, p->fs))
		return FUSE_ROOT_ID;
	if (p->ino > INO_MASK || p->mount >= 255)
		return 0;
	return (fuse_ino_t)((uint64_t)(p->mount + 1) << INO_BITS | p->ino);
}

/* ---- what is kept of some ----------------------------------------------------------- */

static size_t bucket(const struct serve *s, fuse_ino_t id)
{
	return (size_t)(((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (s->n_buckets - 1);
}

static void grow(struct serve *s)
{
	size_t old = s->n_buckets, n = old == 0 ? FIRST_NODES : old * 2;
	struct serve_node **v = calloc(n, sizeof(struct serve_node *)), **before = s->nodes;

	/* Without it the lists only become longer. */
	if (v == NULL)
		return;
	s->nodes = v;
	s->n_buckets = n;
	for (size_t i = 0; i < old; i++)
		for (struct serve_node *node = before[i], *next; node != NULL; node = next) {
			size_t at = bucket(s, node->id);

			next = node->next;
			node->next = v[at];
			v[at] = node;
		}
	free((void *)before);
}

struct serve_node *serve_node_get(struct serve *s, fuse_ino_t id, bool make)
{
	struct serve_node *n = NULL;

	if (s->n_nodes >= s->n_buckets && make)
		grow(s);
	if (s->n_buckets == 0)
		return NULL;
	for (n = s->nodes[bucket(s, id)]; n != NULL && n->id != id; n = n->next)
		;
	if (n != NULL || !make)
		return n;
	n = calloc(1, sizeof *n);
	if (n == NULL)
		return NULL;
	n->id = id;
	n->next = s->nodes[bucket(s, id)];
	s->nodes[bucket(s, id)] = n;
	s->n_nodes++;
	return n;
}

void serve_node_drop(struct serve *s, struct serve_node *n)
{
	struct serve_node **at;

	if (n == NULL || n->lookups > 0 || n->opens > 0)
		return;
	for (at = &s->nodes[bucket(s, n->id)]; *at != n; at = &(*at)->next)
		;
	*at = n->next;
	s->n_nodes--;
	free(n->hidden);
	free(n);
}

void serve_nodes_free(struct serve *s)
{
	for (size_t i = 0; i < s->n_buckets; i++)
		for (struct serve_node *n = s->nodes[i], *next; n != NULL; n = next) {
			next = n->next;
			free(n->hidden);
			free(n);
		}
	free((void *)s->nodes);
	s->nodes = NULL;
	s->n_nodes = s->n_buckets = 0;
}

int serve_depth(struct serve *s, fuse_ino_t id)
{
	int depth = 0;

	while (id != FUSE_ROOT_ID) {
		const struct serve_node *n = serve_node_get(s, id, false);

		if (n == NULL || ++depth > MAX_DEPTH)
			return -1;
		id = n->parent;
	}
	return depth;
}

struct naming {
	uint64_t ino;
	char name[256];
};

static int take_name(void *user, const char *name, size_t len, uint64_t ino, uint32_t type_mode)
{
	struct naming *n = user;

	(void)type_mode;
	if (ino != n->ino || len >= sizeof n->name)
		return 0;
	memcpy(n->name, name, len + 1);
	return 1;
}

/* Puts "/word" before what is in out, which ends at out + size. */
static int put_before(char *out, char **at, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(*at - out) < n + 1)
		return -ENAMETOOLONG;
	*at -= n;
	memcpy(*at, word, n);
	*--*at = '/';
	return 0;
}

/* Names are not kept: each is looked for in the directory above, up to where a filesystem is mounted. */
int serve_path(struct serve *s, fuse_ino_t id, const char *name, char *out, size_t size)
{
	char *at = out + size - 1;
	int rc = (*at = '\0', put_before(out, &at, name));

	for (int depth = 0; rc == 0 && id != FUSE_ROOT_ID; depth++) {
		const struct serve_node *n = serve_node_get(s, id, false);
		struct serve_place here, above;
		struct naming found = { 0 };

		if (n == NULL || depth > MAX_DEPTH)
			return -ESTALE;
		rc = serve_find(s, id, &here);
		if (rc == 0)
			rc = serve_find(s, n->parent, &above);
		if (rc != 0)
			return rc;
		if (here.mount != above.mount) {
			rc = put_before(out, &at, s->mounts[here.mount].target + 1);
			break;
		}
		found.ino = here.ino;
		rc = domu_fs_readdir(above.fs, above.ino, take_name, &found);
		if (rc >= 0)
			rc = found.name[0] != '\0' ? put_before(out, &at, found.name) : -ESTALE;
		id = n->parent;
	}
	if (rc == 0)
		memmove(out, at, strlen(at) + 1);
	return rc;
}

/* ---- links ---------------------------------------------------------------------------- */

/* Adds a component; false: too long. */
static bool add(char *out, size_t size, size_t *len, const char *word, size_t n)
{
	if (*len + (*len > 0) + n + 1 > size)
		return false;
	if (*len > 0)
		out[(*len)++] = '/';
	memcpy(out + *len, word, n);
	*len += n;
	out[*len] = '\0';
	return true;
}

/* Takes the last component off. */
static void take(char *out, size_t *len)
{
	while (*len > 0 && out[--*len] != '/')
		;
	out[*len] = '\0';
}

/* The target without ".", "//" and "x/..": *ups counts the ".." at its begin, out has the rest. */
static bool tidy(const char *target, char *out, size_t size, int *ups)
{
	size_t len = 0, n;

	out[0] = '\0';
	*ups = 0;
	for (;; target += n) {
		while (*target == '/')
			target++;
		n = strcspn(target, "/");
		if (n == 0)
			return true;
		if (n == 1 && target[0] == '.')
			continue;
		if (n == 2 && target[0] == '.' && target[1] == '.') {
			if (len > 0)
				take(out, &len);
			else
				++*ups;
		} else if (!add(out, size, &len, target, n)) {
			return false;
		}
	}
}

/*
 * The kernel follows a link in this machine's tree: an absolute target would
 * lead to this machine's files, and so would one that climbs above the
 * guest's root, where the guest stays.  What is given begins with as many
 * ".." as lead from the link's directory at most to the guest's root, and has
 * none behind: so no link, and no chain of them, leads out.  A link whose
 * target is harmless is given as it is.
 */
int serve_link(struct serve *s, fuse_ino_t id, const char *target, char *out, size_t size)
{
	const struct serve_node *n = serve_node_get(s, id, false);
	int depth = n != NULL ? serve_depth(s, n->parent) : -1, ups;
	char rest[4096];
	size_t len = 0;

	if (*target != '/' && strstr(target, "..") == NULL) {
		if (!add(out, size, &len, target, strlen(target)))
			return -ENAMETOOLONG;
		return 0;
	}
	if (depth < 0)
		return -ESTALE;
	if (!tidy(target, rest, sizeof rest, &ups))
		return -ENAMETOOLONG;
	if (*target == '/' || ups > depth)
		ups = depth;
	out[0] = '\0';
	while (ups-- > 0)
		if (!add(out, size, &len, "..", 2))
			return -ENAMETOOLONG;
	if (rest[0] != '\0' && !add(out, size, &len, rest, strlen(rest)))
		return -ENAMETOOLONG;
	if (len == 0)
		add(out, size, &len, ".", 1);
	return 0;
}
