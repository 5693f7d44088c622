/* SPDX-License-Identifier: GPL-3.0-or-later */
/* meta.c - what a stage or commit says about itself, as JSON: format 1, and copies of it in memory. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/commit-private.h"

void domu_homes_free(struct domu_home *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].map);
	free(v);
}

void domu_commit_info_free(struct domu_commit_info *ci)
{
	if (ci == NULL)
		return;
	free(ci->guest);
	free(ci->command);
	free(ci->owner);
	free(ci->undoes);
	free(ci->waived);
	for (size_t i = 0; i < ci->n_disks; i++)
		domu_identity_free(&ci->disks[i]);
	free(ci->disks);
	free(ci->supers);
	domu_homes_free(ci->homes, ci->n_homes);
	memset(ci, 0, sizeof *ci);
}

void domu_meta_free(struct domu_meta *m)
{
	domu_commit_info_free(&m->info);
	free(m->undo_path);
	m->undo_path = NULL;
}

static int copy_text(char **to, const char *from)
{
	*to = from != NULL ? strdup(from) : NULL;
	return from != NULL && *to == NULL ? -ENOMEM : 0;
}

static int copy_disks(struct domu_commit_info *to, const struct domu_commit_info *from)
{
	to->disks = calloc(from->n_disks > 0 ? from->n_disks : 1, sizeof *to->disks);
	if (to->disks == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < from->n_disks; i++) {
		to->disks[i] = from->disks[i];
		to->disks[i].path = to->disks[i].by_id = NULL;
		to->n_disks = i + 1;
		if (copy_text(&to->disks[i].path, from->disks[i].path) < 0 ||
		    copy_text(&to->disks[i].by_id, from->disks[i].by_id) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int copy_supers(struct domu_commit_info *to, const struct domu_commit_info *from)
{
	if (from->n_supers == 0)
		return 0;
	to->supers = malloc(from->n_supers * sizeof *to->supers);
	if (to->supers == NULL)
		return -ENOMEM;
	memcpy(to->supers, from->supers, from->n_supers * sizeof *to->supers);
	to->n_supers = from->n_supers;
	return 0;
}

int domu_homes_copy(struct domu_commit_info *to, const struct domu_home *from, size_t n)
{
	domu_homes_free(to->homes, to->n_homes);
	to->n_homes = 0;
	to->homes = calloc(n > 0 ? n : 1, sizeof *to->homes);
	if (to->homes == NULL)
		return -ENOMEM;
	for (to->n_homes = 0; to->n_homes < n; to->n_homes++) {
		struct domu_home *h = &to->homes[to->n_homes];

		*h = from[to->n_homes];
		h->map = strdup(h->map);
		if (h->map == NULL)
			return -ENOMEM;
	}
	return 0;
}

int domu_info_copy(struct domu_commit_info *to, const struct domu_commit_info *from)
{
	*to = *from;
	to->guest = to->command = to->owner = to->undoes = to->waived = NULL;
	to->disks = NULL;
	to->supers = NULL;
	to->homes = NULL;
	to->n_disks = to->n_supers = to->n_homes = 0;
	if (copy_text(&to->guest, from->guest) < 0 || copy_text(&to->command, from->command) < 0 ||
	    copy_text(&to->owner, from->owner) < 0 || copy_text(&to->undoes, from->undoes) < 0 ||
	    copy_text(&to->waived, from->waived) < 0 || copy_disks(to, from) < 0 || copy_supers(to, from) < 0 ||
	    domu_homes_copy(to, from->homes, from->n_homes) < 0) {
		domu_commit_info_free(to);
		return -ENOMEM;
	}
	return 0;
}

int domu_meta_copy(struct domu_meta *to, const struct domu_meta *from)
{
	int rc = domu_info_copy(&to->info, &from->info);

	to->no_undo = from->no_undo;
	to->undo_path = NULL;
	if (rc == 0)
		rc = copy_text(&to->undo_path, from->undo_path);
	if (rc < 0)
		domu_meta_free(to);
	return rc;
}

/* ---- writing --------------------------------------------------------------- */

static int put(struct json_object *o, const char *key, struct json_object *v)
{
	if (v != NULL && json_object_object_add(o, key, v) == 0)
		return 0;
	json_object_put(v);
	return -ENOMEM;
}

static int put_text(struct json_object *o, const char *key, const char *text)
{
	return text == NULL ? 0 : put(o, key, json_object_new_string(text));
}

static int put_u64(struct json_object *o, const char *key, uint64_t v)
{
	return put(o, key, json_object_new_uint64(v));
}

static int put_disks(struct json_object *o, const struct domu_commit_info *ci)
{
	struct json_object *list = json_object_new_array();
	int rc = put(o, "disks", list);

	for (size_t i = 0; i < ci->n_disks && rc == 0; i++) {
		const struct domu_identity *id = &ci->disks[i];
		struct json_object *d = json_object_new_object();

		if (d == NULL || json_object_array_add(list, d) != 0) {
			json_object_put(d);
			return -ENOMEM;
		}
		if (put_text(d, "vdev", id->vdev) < 0 || put_text(d, "path", id->path) < 0 ||
		    put_text(d, "by_id", id->by_id) < 0 || put_u64(d, "size", id->size) < 0 ||
		    put_u64(d, "dev", id->dev) < 0 || put_u64(d, "inode", id->inode) < 0 ||
		    (id->btime != 0 && put_u64(d, "btime", id->btime) < 0))
			rc = -ENOMEM;
	}
	return rc;
}

static int put_supers(struct json_object *o, const struct domu_commit_info *ci)
{
	struct json_object *list;
	int rc = 0;

	if (ci->n_supers == 0)
		return 0;
	list = json_object_new_array();
	rc = put(o, "supers", list);
	for (size_t i = 0; i < ci->n_supers && rc == 0; i++) {
		const struct domu_super *u = &ci->supers[i];
		struct json_object *d = json_object_new_object();

		if (d == NULL || json_object_array_add(list, d) != 0) {
			json_object_put(d);
			return -ENOMEM;
		}
		if (put_text(d, "name", u->name) < 0 || put_u64(d, "disk", u->disk) < 0 ||
		    put_u64(d, "offset", u->offset) < 0 || put_u64(d, "size", u->size) < 0 ||
		    put_u64(d, "sum", u->sum) < 0 || (u->layout && put(d, "layout", json_object_new_boolean(true)) < 0))
			rc = -ENOMEM;
	}
	return rc;
}

static int put_homes(struct json_object *o, const struct domu_commit_info *ci)
{
	struct json_object *list;
	int rc = 0;

	if (ci->n_homes == 0)
		return 0;
	list = json_object_new_array();
	rc = put(o, "homes", list);
	for (size_t i = 0; i < ci->n_homes && rc == 0; i++) {
		const struct domu_home *h = &ci->homes[i];
		struct json_object *d = json_object_new_object();

		if (d == NULL || json_object_array_add(list, d) != 0) {
			json_object_put(d);
			return -ENOMEM;
		}
		if (put_text(d, "name", h->name) < 0 || put_text(d, "lv", h->lv[0] != '\0' ? h->lv : NULL) < 0 ||
		    put_text(d, "map", h->map) < 0)
			rc = -ENOMEM;
	}
	return rc;
}

int domu_meta_format(const struct domu_meta *m, char **json, size_t *len)
{
	struct json_object *o = json_object_new_object();
	const struct domu_commit_info *ci = &m->info;
	const char *text;
	int rc = -ENOMEM;

	*json = NULL;
	if (o == NULL || put_u64(o, "format", DOMU_META_FORMAT) < 0 || put_text(o, "id", ci->id) < 0 ||
	    put_text(o, "guest", ci->guest) < 0 || put_text(o, "command", ci->command) < 0 ||
	    put_text(o, "owner", ci->owner) < 0 || put(o, "pid", json_object_new_int64(ci->owner_pid)) < 0 ||
	    put(o, "time", json_object_new_int64(ci->time)) < 0 || put_u64(o, "blocks", ci->blocks) < 0 ||
	    put_u64(o, "bytes", ci->bytes) < 0 || put_text(o, "undoes", ci->undoes) < 0 ||
	    put_text(o, "waived", ci->waived) < 0 || put_text(o, "undo_path", m->undo_path) < 0 ||
	    put(o, "no_undo", json_object_new_boolean(m->no_undo)) < 0 || put_disks(o, ci) < 0 ||
	    put_supers(o, ci) < 0 || put_homes(o, ci) < 0)
		goto out;
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	*json = text != NULL ? domu_text("%s\n", text) : NULL;
	if (*json == NULL)
		goto out;
	*len = strlen(*json);
	rc = *len <= DOMU_META_MAX ? 0 : -EFBIG;
out:
	json_object_put(o);
	return rc;
}

/* ---- reading: a file may have been damaged, or written by something else ------ */

static int get_text(struct json_object *o, const char *key, bool needed, char **text)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || v == NULL)
		return needed ? -EBADMSG : 0;
	if (!json_object_is_type(v, json_type_string) ||
	    strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v))
		return -EBADMSG;
	*text = strdup(json_object_get_string(v));
	return *text != NULL ? 0 : -ENOMEM;
}

static int get_u64(struct json_object *o, const char *key, uint64_t *n)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_int))
		return -EBADMSG;
	errno = 0;
	*n = json_object_get_uint64(v);
	return errno != 0 ? -EBADMSG : 0;
}

static int get_i64(struct json_object *o, const char *key, int64_t *n)
{
	uint64_t u = 0;
	int rc = get_u64(o, key, &u);

	*n = (int64_t)u;
	return rc == 0 && u > INT64_MAX ? -EBADMSG : rc;
}

static int get_short(struct json_object *o, const char *key, char *out, size_t size)
{
	char *text = NULL;
	int rc = get_text(o, key, true, &text);

	if (rc == 0 && strlen(text) >= size)
		rc = -EBADMSG;
	if (rc == 0)
		snprintf(out, size, "%s", text);
	free(text);
	return rc;
}

static int get_disk(struct json_object *d, struct domu_identity *id)
{
	int rc;

	if (!json_object_is_type(d, json_type_object))
		return -EBADMSG;
	rc = get_short(d, "vdev", id->vdev, sizeof id->vdev);
	if (rc == 0)
		rc = get_text(d, "path", true, &id->path);
	if (rc == 0)
		rc = get_text(d, "by_id", false, &id->by_id);
	if (rc == 0)
		rc = get_u64(d, "size", &id->size);
	if (rc == 0)
		rc = get_u64(d, "dev", &id->dev);
	if (rc == 0)
		rc = get_u64(d, "inode", &id->inode);
	/* Not in what was written before it was looked at. */
	if (rc == 0 && json_object_object_get_ex(d, "btime", NULL))
		rc = get_u64(d, "btime", &id->btime);
	return rc;
}

static int get_disks(struct json_object *o, struct domu_commit_info *ci)
{
	struct json_object *list;
	size_t n;
	int rc = 0;

	if (!json_object_object_get_ex(o, "disks", &list) || !json_object_is_type(list, json_type_array))
		return -EBADMSG;
	n = json_object_array_length(list);
	if (n == 0 || n > DOMU_MAX_DISKS)
		return -EBADMSG;
	ci->disks = calloc(n, sizeof *ci->disks);
	if (ci->disks == NULL)
		return -ENOMEM;
	ci->n_disks = n;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = get_disk(json_object_array_get_idx(list, i), &ci->disks[i]);
	return rc;
}

static int get_super(struct json_object *d, size_t n_disks, struct domu_super *u)
{
	uint64_t disk = 0, size = 0, sum = 0;
	struct json_object *layout;
	int rc;

	if (!json_object_is_type(d, json_type_object))
		return -EBADMSG;
	rc = get_short(d, "name", u->name, sizeof u->name);
	if (rc == 0)
		rc = get_u64(d, "disk", &disk);
	if (rc == 0)
		rc = get_u64(d, "offset", &u->offset);
	if (rc == 0)
		rc = get_u64(d, "size", &size);
	if (rc == 0)
		rc = get_u64(d, "sum", &sum);
	if (rc == 0 && (disk >= n_disks || size == 0 || size > DOMU_UNIT || sum > UINT32_MAX))
		rc = -EBADMSG;
	u->disk = (unsigned)disk;
	u->size = (uint32_t)size;
	u->sum = (uint32_t)sum;
	u->layout = json_object_object_get_ex(d, "layout", &layout) && json_object_get_boolean(layout);
	return rc;
}

/* Not in what was written before they were looked at. */
static int get_supers(struct json_object *o, struct domu_commit_info *ci)
{
	struct json_object *list;
	size_t n;
	int rc = 0;

	if (!json_object_object_get_ex(o, "supers", &list))
		return 0;
	n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	if (n == 0 || n > DOMU_MAX_SUPERS)
		return -EBADMSG;
	ci->supers = calloc(n, sizeof *ci->supers);
	if (ci->supers == NULL)
		return -ENOMEM;
	ci->n_supers = n;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = get_super(json_object_array_get_idx(list, i), ci->n_disks, &ci->supers[i]);
	return rc;
}

static int get_home(struct json_object *d, size_t n_disks, struct domu_home *h)
{
	struct domu_lv_map *m = NULL;
	int rc;

	if (!json_object_is_type(d, json_type_object))
		return -EBADMSG;
	rc = get_short(d, "name", h->name, sizeof h->name);
	if (rc == 0 && json_object_object_get_ex(d, "lv", NULL))
		rc = get_short(d, "lv", h->lv, sizeof h->lv);
	if (rc == 0)
		rc = get_text(d, "map", true, &h->map);
	if (rc == 0)
		rc = domu_lv_parse(h->map, &m);
	for (size_t i = 0; rc == 0 && i < m->n_legs; i++)
		if (m->legs[i].disk >= n_disks)
			rc = -EBADMSG;
	domu_lv_map_free(m);
	return rc == -EINVAL ? -EBADMSG : rc;
}

static int get_homes(struct json_object *o, struct domu_commit_info *ci)
{
	struct json_object *list;
	size_t n;
	int rc = 0;

	if (!json_object_object_get_ex(o, "homes", &list))
		return 0;
	n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	if (n == 0 || n > DOMU_MAX_HOMES)
		return -EBADMSG;
	ci->homes = calloc(n, sizeof *ci->homes);
	if (ci->homes == NULL)
		return -ENOMEM;
	ci->n_homes = n;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = get_home(json_object_array_get_idx(list, i), ci->n_disks, &ci->homes[i]);
	return rc;
}

static int get_all(struct json_object *o, struct domu_meta *m)
{
	struct domu_commit_info *ci = &m->info;
	struct json_object *v;
	int rc;

	rc = get_disks(o, ci);
	if (rc == 0)
		rc = get_supers(o, ci);
	if (rc == 0)
		rc = get_homes(o, ci);
	if (rc == 0)
		rc = get_short(o, "id", ci->id, sizeof ci->id);
	if (rc == 0 && !domu_id_valid(ci->id))
		rc = -EBADMSG;
	if (rc == 0)
		rc = get_text(o, "guest", false, &ci->guest);
	if (rc == 0)
		rc = get_text(o, "command", false, &ci->command);
	if (rc == 0)
		rc = get_text(o, "owner", false, &ci->owner);
	if (rc == 0)
		rc = get_i64(o, "pid", &ci->owner_pid);
	if (rc == 0)
		rc = get_i64(o, "time", &ci->time);
	if (rc == 0)
		rc = get_u64(o, "blocks", &ci->blocks);
	if (rc == 0)
		rc = get_u64(o, "bytes", &ci->bytes);
	if (rc == 0)
		rc = get_text(o, "undoes", false, &ci->undoes);
	if (rc == 0 && ci->undoes != NULL && !domu_id_valid(ci->undoes))
		rc = -EBADMSG;
	if (rc == 0)
		rc = get_text(o, "waived", false, &ci->waived);
	if (rc == 0)
		rc = get_text(o, "undo_path", false, &m->undo_path);
	if (rc == 0 && m->undo_path != NULL && m->undo_path[0] != '/')
		rc = -EBADMSG;
	if (rc < 0)
		return rc;
	if (!json_object_object_get_ex(o, "no_undo", &v) || !json_object_is_type(v, json_type_boolean))
		return -EBADMSG;
	m->no_undo = json_object_get_boolean(v);
	return 0;
}

int domu_meta_parse(const char *json, size_t len, struct domu_meta *m)
{
	struct json_tokener *tok = json_tokener_new_ex(8);
	struct json_object *o = NULL;
	uint64_t format = 0;
	int rc = -EBADMSG;

	memset(m, 0, sizeof *m);
	if (tok == NULL)
		return -ENOMEM;
	if (len > 0 && len <= DOMU_META_MAX)
		o = json_tokener_parse_ex(tok, json, (int)len);
	if (o == NULL || json_tokener_get_error(tok) != json_tokener_success ||
	    !json_object_is_type(o, json_type_object) || get_u64(o, "format", &format) < 0)
		goto out;
	rc = get_all(o, m);
	if (format > DOMU_META_FORMAT)
		rc = -EPROTO;
	else if (format < 1)
		rc = -EBADMSG;
out:
	if (rc < 0 && rc != -EPROTO)
		domu_meta_free(m);
	json_object_put(o);
	json_tokener_free(tok);
	return rc;
}
