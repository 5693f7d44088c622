/* SPDX-License-Identifier: GPL-3.0-or-later */
/* find.c - which node a name means: xvda3, sda3, /dev/mapper/vg-lv, UUID=, LABEL=, PARTUUID=, PARTLABEL=. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fs/tree.h"
#include "guest/guest.h"

#define WORD 256

enum tag { TAG_NAME, TAG_UUID, TAG_LABEL, TAG_PARTUUID, TAG_PARTLABEL };

static const struct {
	const char *prefix;
	enum tag tag;
	bool hex; /* odd characters are \xHH in it, as udev writes links */
} tags[] = {
	{ "UUID=", TAG_UUID, false },
	{ "LABEL=", TAG_LABEL, false },
	{ "PARTUUID=", TAG_PARTUUID, false },
	{ "PARTLABEL=", TAG_PARTLABEL, false },
	{ "/dev/disk/by-uuid/", TAG_UUID, true },
	{ "/dev/disk/by-label/", TAG_LABEL, true },
	{ "/dev/disk/by-partuuid/", TAG_PARTUUID, true },
	{ "/dev/disk/by-partlabel/", TAG_PARTLABEL, true },
	{ "/dev/mapper/", TAG_NAME, false },
	{ "/dev/", TAG_NAME, false },
	{ "", TAG_NAME, false },
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* udev's \xHH, in place. */
static void decode_hex(char *s)
{
	char *q = s;

	while (*s != '\0') {
		if (s[0] == '\\' && s[1] == 'x' && hex_digit(s[2]) >= 0 && hex_digit(s[3]) >= 0) {
			*q++ = (char)(hex_digit(s[2]) << 4 | hex_digit(s[3]));
			s += 4;
		} else {
			*q++ = *s++;
		}
	}
	*q = '\0';
}

/* device-mapper's name: one '-' parts volume group and volume, "--" is a '-' of either. */
static void decode_mapper(char *s)
{
	char *q = s;
	bool parted = false;

	for (; *s != '\0'; s++) {
		if (s[0] == '-' && s[1] == '-') {
			*q++ = '-';
			s++;
		} else if (s[0] == '-' && !parted) {
			*q++ = '/';
			parted = true;
		} else {
			*q++ = *s;
		}
	}
	*q = '\0';
}

static enum tag take_apart(const char *dev, char word[WORD])
{
	size_t i, len;

	for (i = 0; strncmp(dev, tags[i].prefix, strlen(tags[i].prefix)) != 0; i++)
		;
	dev += strlen(tags[i].prefix);
	len = strlen(dev);
	if (len >= 2 && (dev[0] == '"' || dev[0] == '\'') && dev[len - 1] == dev[0]) {
		dev++;
		len -= 2;
	}
	if (len >= WORD)
		len = 0; /* nothing has so long a name */
	memcpy(word, dev, len);
	word[len] = '\0';
	if (tags[i].hex)
		decode_hex(word);
	else if (strcmp(tags[i].prefix, "/dev/mapper/") == 0)
		decode_mapper(word);
	return tags[i].tag;
}

static bool matches(const struct domu_node *n, enum tag tag, const char *word, bool exact)
{
	switch (tag) {
	case TAG_NAME:
		if (exact)
			return strcmp(n->name, word) == 0;
		return n->kind != DOMU_NODE_LV && domu_vdev_compare(n->name, word) == 0;
	case TAG_UUID:
		return strcasecmp(n->probe.uuid, word) == 0;
	case TAG_LABEL:
		return strcmp(n->probe.label, word) == 0;
	case TAG_PARTUUID:
		return strcasecmp(n->partuuid, word) == 0;
	case TAG_PARTLABEL:
		return strcmp(n->partlabel, word) == 0;
	}
	return false;
}

static int search(struct domu_tree *t, enum tag tag, const char *word, bool exact, size_t *node)
{
	size_t found = 0;

	for (size_t i = 0; i < t->nodes.n; i++) {
		if (!matches(&t->nodes.v[i], tag, word, exact))
			continue;
		if (found++ == 0)
			*node = i;
	}
	return found == 0 ? -ENOENT : found == 1 ? 0 : -ENOTUNIQ;
}

static void probe_all(struct domu_tree *t, bool whole)
{
	bool clean = t->ctx->error.status == DOMU_OK;

	for (size_t i = 0; i < t->nodes.n; i++)
		if (domu_tree_probe(t, i, whole) != 0 && clean)
			domu_error_clear(t->ctx);
}

int domu_tree_find_quietly(struct domu_tree *t, const char *dev, size_t *node)
{
	char word[WORD];
	enum tag tag = take_apart(dev, word);
	int rc;

	*node = 0;
	if (word[0] == '\0')
		return -ENOENT;
	if (tag == TAG_UUID || tag == TAG_LABEL)
		probe_all(t, false);
	rc = search(t, tag, word, true, node);
	if (rc == -ENOENT && tag == TAG_NAME)
		rc = search(t, tag, word, false, node);
	if (rc == -ENOENT && (tag == TAG_UUID || tag == TAG_LABEL)) {
		probe_all(t, true);
		rc = search(t, tag, word, true, node);
	}
	return rc;
}

/* "xvda1, xvda2": what there is to choose from, as far as it fits. */
static void list_nodes(struct domu_tree *t, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < t->nodes.n && len + sizeof t->nodes.v[i].name + 8 < size; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%s", i == 0 ? "" : ", ", t->nodes.v[i].name);
}

int domu_tree_refused(struct domu_tree *t, const char *dev)
{
	const struct domu_refused *r = t->nodes.refused;
	char word[WORD];

	if (dev != NULL && take_apart(dev, word) != TAG_NAME)
		return 0;
	for (size_t i = 0; i < t->nodes.n_refused; i++)
		if (dev == NULL || strcmp(r[i].name, word) == 0)
			return domu_fail(t->ctx, r[i].kind == DOMU_REFUSED_DAMAGED ? DOMU_FAILED : DOMU_UNSUPPORTED,
			                 r[i].kind == DOMU_REFUSED_DAMAGED ? -EUCLEAN : -EOPNOTSUPP,
			                 "%s cannot be opened: %s%s", r[i].name, r[i].why,
			                 r[i].kind == DOMU_REFUSED_TYPE ? "; the guest's own kernel may do it: start it"
			                                                : "");
	return 0;
}

int domu_tree_find(struct domu_tree *t, const char *dev, size_t *node)
{
	int rc = domu_tree_find_quietly(t, dev, node);
	char have[512];

	if (rc == 0)
		return 0;
	if (rc == -ENOTUNIQ)
		return domu_fail(t->ctx, DOMU_USAGE, rc, "%s: several devices of %s are called so", dev,
		                 domu_tree_guest(t));
	rc = domu_tree_refused(t, dev);
	if (rc != 0)
		return rc;
	list_nodes(t, have, sizeof have);
	return domu_fail(t->ctx, DOMU_NOTFOUND, -ENODEV, "%s: no such device in %s; it has %s", dev, domu_tree_guest(t),
	                 have[0] != '\0' ? have : "none");
}
