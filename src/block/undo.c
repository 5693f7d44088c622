/* SPDX-License-Identifier: GPL-3.0-or-later */
/* undo.c - a stage made from the pre-images of a commit. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "block/commit-private.h"

struct undo {
	struct domu_state *st;
	struct domu_ctx *ctx;
	const char *id;
	const struct domu_commit_disk *disks;
	const struct domu_commit_info *now;
	const struct domu_nodes *nodes; /* by the indexes of now; NULL: not known */
	struct domu_seal seal;
	char *dir;
	int fd; /* the undo file */
};

static int load(struct undo *u)
{
	char *seal = domu_state_path(u->st, "history", u->id, "seal");
	char *undone = domu_state_path(u->st, "history", u->id, "undone");
	int rc = seal == NULL || undone == NULL ? domu_nomem(u->ctx) : domu_seal_load(u->ctx, seal, &u->seal);

	if (rc == -ENOENT)
		domu_fail(u->ctx, DOMU_NOTFOUND, rc, "the history has no commit %s", u->id);
	else if (rc == -ENODATA)
		domu_fail(u->ctx, DOMU_FAILED, rc, "commit %s cannot be undone: its seal is damaged", u->id);
	else if (rc == 0 && (u->seal.mark != DOMU_MARK_APPLIED || strcmp(u->seal.meta.info.id, u->id) != 0))
		rc = domu_fail(u->ctx, DOMU_FAILED, -EINVAL, "commit %s was never written: there is nothing to undo",
		               u->id);
	else if (rc == 0 && access(undone, F_OK) == 0)
		rc = domu_fail(u->ctx, DOMU_FAILED, -EALREADY, "commit %s has been undone already", u->id);
	else if (rc == 0 && u->seal.meta.no_undo)
		rc = domu_fail(u->ctx, DOMU_FAILED, -ENOENT, "commit %s was made without undo", u->id);
	if (rc == 0)
		rc = domu_undo_open(u->ctx, &u->seal.meta, u->dir, &u->fd);
	free(seal);
	free(undone);
	return rc;
}

/* Which disks the commit has replaced anything on: of others it may have closed the root alone. */
static void find_used(const struct undo *u, bool used[DOMU_MAX_DISKS])
{
	memset(used, 0, DOMU_MAX_DISKS * sizeof *used);
	for (size_t i = 0; i < u->seal.n_units; i++)
		used[u->seal.units[i].disk] = true;
}

static int check_disks(struct undo *u, size_t n_disks)
{
	const struct domu_commit_info *ci = &u->seal.meta.info;
	bool used[DOMU_MAX_DISKS];
	int rc = 0;

	if (n_disks != ci->n_disks)
		return domu_fail(u->ctx, DOMU_FAILED, -EINVAL, "commit %s has %zu disks, not %zu", u->id, ci->n_disks,
		                 n_disks);
	find_used(u, used);
	for (unsigned i = 0; i < n_disks && rc == 0; i++)
		if (used[i])
			rc = domu_identity_check(u->ctx, DOMU_FAILED, &ci->disks[i], u->seal.sizes[i], u->disks[i].fd);
	/* Another disk altogether; -ESTALE is for blocks. */
	return rc == -ESTALE ? -ENODEV : rc;
}

/* The guest may have its disks in another order by now. */
static int place_of(struct undo *u, unsigned disk, unsigned *place)
{
	const struct domu_identity *id = &u->seal.meta.info.disks[disk];

	for (*place = 0; *place < u->now->n_disks; ++*place)
		if (domu_identity_like(id, &u->now->disks[*place]) == DOMU_SAME_DISK)
			return 0;
	return domu_fail(u->ctx, DOMU_FAILED, -ENODEV, "%s: %s is not among the guest's disks now", id->vdev, id->path);
}

/* ---- does it lie where it lay? ------------------------------------------------------------- */

/*
 * Of a commit whose homes are not known.  What it replaced may be of another volume or partition by now, and hold the
 * same bytes still.  A table is the first block of a disk, and says little of a filesystem that is still found: of
 * single files it is not asked.
 */
static int check_layouts(struct undo *u, bool tables)
{
	const struct domu_commit_info *ci = &u->seal.meta.info;
	bool used[DOMU_MAX_DISKS];
	uint8_t now[DOMU_UNIT];
	int rc = 0;

	find_used(u, used);
	for (size_t i = 0; i < ci->n_supers && rc == 0; i++) {
		const struct domu_super *s = &ci->supers[i];
		const struct domu_identity *id = &ci->disks[s->disk];

		if (!used[s->disk] || (s->offset == 0 && !tables))
			continue;
		rc = domu_disk_read(u->ctx, u->disks[s->disk].fd, id->vdev, u->seal.sizes[s->disk], now, s->size,
		                    s->offset);
		if (rc == 0 && domu_hash32(now, s->size) != s->sum)
			rc = domu_fail(u->ctx, DOMU_FAILED, s->offset == 0 ? -ESTALE : -ENODEV,
			               "commit %s cannot be undone: the table or volume group on %s has changed since "
			               "(byte %" PRIu64
			               " of %s), and what it replaced may lie elsewhere now: nothing was written",
			               u->id, s->name, s->offset, id->path);
	}
	return rc;
}

static bool has_uuid(const struct domu_node *n, const struct domu_home *h)
{
	return n->kind == DOMU_NODE_LV && h->lv[0] != '\0' && strcmp(n->lvuuid, h->lv) == 0;
}

static bool is_there(const struct domu_nodes *nodes, const struct domu_home *h)
{
	for (size_t i = 0; i < nodes->n; i++)
		if (has_uuid(&nodes->v[i], h))
			return true;
	return false;
}

/*
 * A volume is known by its UUID, whatever it is called now, and where none has that, by its name: it was made again.
 * Others are known by place.
 */
static bool is_the_volume(const struct domu_node *n, const struct domu_home *h, bool by_uuid)
{
	if ((n->kind == DOMU_NODE_LV) != (strchr(h->name, '/') != NULL))
		return false;
	if (n->kind != DOMU_NODE_LV)
		return true;
	return by_uuid ? has_uuid(n, h) : strcmp(n->name, h->name) == 0;
}

/* Longer is no harm: what it had is where it was. */
static const struct domu_node *find_home(const struct undo *u, const struct domu_home *h, const struct domu_lv_map *map,
                                         const unsigned *places)
{
	bool by_uuid = is_there(u->nodes, h);

	for (size_t i = 0; i < u->nodes->n; i++) {
		const struct domu_node *n = &u->nodes->v[i];
		const struct domu_place place = domu_node_place(n);
		struct domu_lv_one one;

		if (domu_node_is_leaf(u->nodes, i) && is_the_volume(n, h, by_uuid) &&
		    (n->map != NULL || !n->scattered) && domu_lv_begins(domu_place_map(&place, &one), map, places))
			return n;
	}
	return NULL;
}

static int check_home(struct undo *u, const struct domu_home *h, bool write)
{
	struct domu_lv_map *map = NULL;
	const struct domu_node *n = NULL;
	unsigned places[DOMU_MAX_DISKS] = { 0 };
	int rc = domu_lv_parse(h->map, &map);

	if (rc < 0)
		return domu_fail(u->ctx, DOMU_FAILED, rc, "commit %s: where %s lay cannot be read: %s", u->id, h->name,
		                 strerror(-rc));
	for (size_t i = 0; rc == 0 && i < map->n_legs; i++)
		rc = place_of(u, map->legs[i].disk, &places[map->legs[i].disk]);
	if (rc == 0)
		n = find_home(u, h, map, places);
	domu_lv_map_free(map);
	if (rc == 0 && n == NULL)
		return domu_fail(u->ctx, DOMU_FAILED, -ENODEV,
		                 "commit %s cannot be undone: %s does not lie any more where it lay then, and what it "
		                 "replaced would go to what lies there now: nothing was written; domu-rescue info %s "
		                 "shows what there is",
		                 u->id, h->name, domu_commit_guest(u->now));
	if (rc == 0 && write && n->frozen != DOMU_NOT_FROZEN)
		return domu_fail(u->ctx, DOMU_UNSUPPORTED, -EROFS,
		                 "commit %s cannot be undone: nothing was written; %s: %s", u->id, n->name,
		                 domu_node_frozen(n));
	return rc;
}

/* write: else what it replaced is only looked at, file by file. */
static int check_homes(struct undo *u, bool write)
{
	const struct domu_commit_info *ci = &u->seal.meta.info;
	int rc = 0;

	if (ci->n_homes == 0 || u->nodes == NULL)
		return check_layouts(u, write);
	for (size_t i = 0; i < ci->n_homes && rc == 0; i++)
		rc = check_home(u, &ci->homes[i], write);
	return rc;
}

/* All of them: how many have changed is worth knowing. */
static int compare(struct undo *u)
{
	const struct domu_commit_info *ci = &u->seal.meta.info;
	uint64_t changed = 0, first = 0;
	struct domu_disk_units there = { 0 };
	const uint8_t *now;
	unsigned disk = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < u->seal.n_units; i++) {
		const struct domu_seal_unit *s = &u->seal.units[i];

		if (domu_interrupted(u->ctx))
			rc = domu_fail(u->ctx, DOMU_DECLINED, -EINTR, "interrupted: nothing was written");
		else
			rc = domu_disk_unit(u->ctx, &u->seal, u->disks, &there, i, &now);
		if (rc < 0 || domu_unit_crc(now) == s->new_crc)
			continue;
		if (changed++ == 0) {
			first = s->unit;
			disk = s->disk;
		}
	}
	free(there.buf);
	if (rc < 0 || changed == 0)
		return rc;
	return domu_fail(u->ctx, DOMU_FAILED, -ESTALE,
	                 "commit %s cannot be undone: %" PRIu64
	                 " of its %zu blocks have changed since, the first is block %" PRIu64 " (byte %" PRIu64
	                 " of %s): nothing was written",
	                 u->id, changed, u->seal.n_units, first, first * DOMU_UNIT, ci->disks[disk].path);
}

/* The pre-images of one disk, written as anybody writes to a stage. */
static int fill_disk(struct undo *u, int log_fd, unsigned disk)
{
	const char *vdev = u->seal.meta.info.disks[disk].vdev;
	uint64_t size = u->seal.sizes[disk];
	struct domu_block *raw = NULL, *top = NULL;
	uint8_t image[DOMU_UNIT];
	unsigned place;
	int rc = place_of(u, disk, &place), r;

	if (rc < 0)
		return rc;
	rc = domu_raw_open(u->ctx, u->disks[disk].fd, vdev, size, 0, &raw);
	if (rc == 0)
		rc = domu_overlay_open(u->ctx, raw, log_fd, place, false, &top);
	for (size_t i = 0; i < u->seal.n_units && rc == 0; i++) {
		const struct domu_seal_unit *s = &u->seal.units[i];

		if (s->disk != disk)
			continue;
		rc = domu_image_old(u->ctx, &u->seal, i, u->fd, image);
		if (rc == 0)
			rc = domu_block_pwrite(top, image, domu_unit_len(size, s->unit), s->unit * DOMU_UNIT);
	}
	if (rc == 0)
		rc = domu_block_flush(top);
	r = domu_block_close(top);
	if (rc == 0)
		rc = r;
	r = domu_block_close(raw);
	return rc == 0 ? r : rc;
}

static int fill(struct undo *u, int log_fd)
{
	bool used[DOMU_MAX_DISKS];
	int rc = 0;

	find_used(u, used);
	for (unsigned i = 0; i < DOMU_MAX_DISKS && rc == 0; i++)
		if (used[i])
			rc = fill_disk(u, log_fd, i);
	return rc;
}

static int begin(struct undo *u, size_t n_disks)
{
	int rc;

	u->dir = domu_state_path(u->st, "history", u->id, NULL);
	rc = u->dir == NULL ? domu_nomem(u->ctx) : load(u);
	return rc == 0 ? check_disks(u, n_disks) : rc;
}

static void end(struct undo *u)
{
	if (u->fd >= 0)
		close(u->fd);
	domu_seal_free(&u->seal);
	free(u->dir);
}

int domu_undo_stage(struct domu_state *st, const char *id, const struct domu_commit_disk *disks, size_t n_disks,
                    const struct domu_commit_info *info, const struct domu_nodes *nodes, struct domu_stage **s)
{
	struct undo u = { .st = st, .ctx = st->ctx, .id = id, .disks = disks, .now = info, .nodes = nodes, .fd = -1 };
	struct domu_commit_info described;
	int rc;

	*s = NULL;
	if (!domu_id_valid(id))
		return domu_fail(st->ctx, DOMU_USAGE, -EINVAL, "no commit has this name");
	rc = begin(&u, n_disks);
	if (rc == 0)
		rc = compare(&u);
	if (rc == 0)
		rc = check_homes(&u, true);
	if (rc == 0)
		rc = domu_stage_room(st, NULL, true, (uint64_t)u.seal.n_units * DOMU_UNIT, 0);
	if (rc < 0)
		goto out;
	if (domu_info_copy(&described, info) < 0) {
		rc = domu_nomem(st->ctx);
		goto out;
	}
	/* Kept with the stage: whoever resumes it still undoes. */
	free(described.undoes);
	described.undoes = strdup(id);
	rc = described.undoes == NULL ? domu_nomem(st->ctx) : domu_stage_create(st, &described, s);
	domu_commit_info_free(&described);
	if (rc < 0)
		goto out;
	rc = fill(&u, domu_stage_log_fd(*s));
	if (rc < 0) {
		domu_stage_drop(*s);
		*s = NULL;
	}
out:
	end(&u);
	return rc;
}

int domu_undo_view(struct domu_state *st, const char *id, const struct domu_commit_disk *disks, size_t n_disks,
                   const struct domu_commit_info *now, const struct domu_nodes *nodes, int log_fd)
{
	struct undo u = { .st = st, .ctx = st->ctx, .id = id, .disks = disks, .now = now, .nodes = nodes, .fd = -1 };
	int rc =
	    domu_id_valid(id) ? begin(&u, n_disks) : domu_fail(st->ctx, DOMU_USAGE, -EINVAL, "no commit has this name");

	if (rc == 0)
		rc = check_homes(&u, false);
	if (rc == 0)
		rc = fill(&u, log_fd);
	end(&u);
	return rc;
}

int domu_history_files_open(struct domu_state *st, const char *id, int *fd)
{
	char *path = domu_id_valid(id) ? domu_state_path(st, "history", id, "files") : NULL;

	*fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	free(path);
	return *fd >= 0 ? 0 : -ENOENT;
}

bool domu_history_has_files(struct domu_state *st, const char *id)
{
	int fd;

	if (domu_history_files_open(st, id, &fd) != 0)
		return false;
	close(fd);
	return true;
}
