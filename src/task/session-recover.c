/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session-recover.c - a session finishes what was cut short on its disks, or says what only a person can do. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/escape.h"
#include "base/io.h"
#include "base/num.h"
#include "task/session-impl.h"

/* ---- which disks ------------------------------------------------------------------ */

int domu_session_identities(struct domu_session *s, struct domu_identity **out)
{
	struct domu_identity *ids = calloc(s->n_backings, sizeof *ids);
	int rc = ids == NULL ? domu_nomem(s->ctx) : 0;

	for (size_t i = 0; i < s->n_backings && rc == 0; i++)
		rc = domu_identity_make(s->ctx, s->backings[i].fd, s->backings[i].path, s->backings[i].disk->vdev,
		                        &ids[i]);
	if (rc != 0) {
		domu_session_identities_free(s, ids);
		ids = NULL;
	}
	*out = ids;
	return rc;
}

void domu_session_identities_free(struct domu_session *s, struct domu_identity *ids)
{
	for (size_t i = 0; ids != NULL && i < s->n_backings; i++)
		domu_identity_free(&ids[i]);
	free(ids);
}

int domu_session_match_disks(struct domu_session *s, const struct domu_commit_info *ci,
                             const struct domu_commit_disk *mine, bool named, struct domu_commit_disk *out)
{
	struct domu_match m = {
		.guest = domu_guest_shown(s->guest),
		.disks = mine,
		.n = s->n_backings,
		.named = named,
	};
	struct domu_identity *now;
	int rc = domu_session_identities(s, &now);

	m.now = now;
	if (rc == 0)
		rc = domu_commit_match(s->opts.state, ci, &m, out);
	domu_session_identities_free(s, now);
	return rc;
}

/* ---- what is due ------------------------------------------------------------------ */

static int recover_one(struct domu_session *s, const struct domu_commit_info *ci, bool named)
{
	static const char *const words[] = {
		[DOMU_RECOVER_NOTHING] = "was whole already",
		[DOMU_RECOVER_APPLIED] = "was finished",
		[DOMU_RECOVER_STAGED] = "had not reached the disk: it is a stage again",
		[DOMU_RECOVER_SUPERSEDED] = "is superseded: the guest ran meanwhile, nothing was written",
	};
	struct domu_commit_disk mine[DOMU_MAX_DISKS], disks[DOMU_MAX_DISKS];
	enum domu_recover_result result;
	int rc = domu_session_open_rw(s, mine);

	if (rc == 0)
		rc = domu_session_match_disks(s, ci, mine, named, disks);
	if (rc == 0)
		rc = domu_recover(s->opts.state, ci->id, disks, ci->n_disks, domu_session_recheck, s, &result);
	if (rc == 0)
		domu_say(s->ctx, DOMU_WARNING, "%s: commit %s (%s) %s", domu_guest_shown(s->guest), ci->id,
		         ci->command != NULL ? ci->command : "", words[result]);
	domu_session_close_rw(s, mine);
	return rc;
}

/* The oldest first: a later commit rests on it. */
static int recover_these(struct domu_session *s, const struct domu_commit_info *v, size_t n, bool named,
                         unsigned *n_done)
{
	int rc = 0;

	if (s->opts.dry_run)
		rc = domu_fail(
		    s->ctx, DOMU_UNRECOVERED, -EBUSY,
		    "%s: commit %s has to be finished first, and a dry run writes nothing: domu-rescue recover %s",
		    domu_guest_shown(s->guest), v[0].id, domu_guest_shown(s->guest));
	if (rc == 0)
		rc = domu_session_end_worker(s, false);
	if (rc == 0)
		rc = domu_session_lock(s);
	for (size_t i = n; rc == 0 && i-- > 0;) {
		rc = recover_one(s, &v[i], named);
		if (rc == 0)
			++*n_done;
	}
	return rc;
}

/* What is pending is told of one disk: when that is done another may have more. */
static int recover(struct domu_session *s, bool named, unsigned *n_done)
{
	size_t n = 1;
	int rc = 0;

	*n_done = 0;
	for (size_t i = 0; rc == 0 && n > 0 && i <= s->n_backings; i++) {
		struct domu_commit_info *v;

		rc = domu_session_pending(s, DOMU_COMMIT_INTERRUPTED, &v, &n);
		if (rc == 0 && n > 0)
			rc = recover_these(s, v, n, named, n_done);
		if (n > 0)
			domu_state_list_free(v, n);
	}
	return rc;
}

int domu_session_recover(struct domu_session *s, unsigned *n_done)
{
	return recover(s, false, n_done);
}

/* ---- a closed disk, and nothing in the state directory ------------------------------ */

#define SECTOR            512u
#define EXT_SUPER         1024u /* bytes into the filesystem, and long; see ext2_fs.h */
#define EXT_INCOMPAT      96u
#define EXT_CLOSED        0x40000000u
#define EXT_RO_COMPAT     100u
#define EXT_GDT_CSUM      0x10u
#define EXT_METADATA_CSUM 0x400u
#define EXT_CHECKSUM_TYPE 373u
#define EXT_CHECKSUM      1020u
#define XFS_INCOMPAT      216 /* big-endian; see xfs_format.h */
#define XFS_CLOSED        0x40

/* text with every c replaced; the caller frees. */
static char *replaced(const char *text, char c, const char *by)
{
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);

	for (const char *p = text; f != NULL && *p != '\0'; p++) {
		if (*p == c)
			fputs(by, f);
		else
			fputc(*p, f);
	}
	if (f != NULL && fclose(f) != 0) {
		free(out);
		out = NULL;
	}
	return out;
}

/* A word of a command to paste.  No backslash, which a message doubles. */
static char *shell_word(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+:@%,-";
	char *inner = replaced(text, '\'', "'\"'\"'"), *word = NULL;

	if (*text != '\0' && strspn(text, plain) == strlen(text))
		return inner;
	if (inner != NULL && asprintf(&word, "'%s'", inner) < 0)
		word = NULL;
	free(inner);
	return word;
}

/* The door took metadata_csum off, which a filesystem that has the type of a checksum and no gdt_csum had. */
static bool had_csum(const uint8_t *sb)
{
	return sb[EXT_CHECKSUM_TYPE] == 1 && (domu_le32(sb + EXT_RO_COMPAT) & EXT_GDT_CSUM) == 0;
}

static char *open_ext(const struct domu_backing *b, const struct domu_node *n, const uint8_t *sb)
{
	bool csum = had_csum(sb);
	char *path = replaced(b->path, '"', "\"\""), *open = NULL, *word = NULL, *text = NULL;

	if (path != NULL && asprintf(&open, "open -w -f \"%s?offset=%" PRIu64 "\"", path, n->start) < 0)
		open = NULL;
	if (open != NULL)
		word = shell_word(open);
	if (word != NULL && asprintf(&text, "(echo %s; echo 'feature -FEATURE_I30%s') | debugfs -f -", word,
	                             csum ? " metadata_csum" : "") < 0)
		text = NULL;
	free(path);
	free(open);
	free(word);
	return text;
}

/* xfs_db makes the checksum right; it has no way to name a partition. */
static char *open_xfs(const struct domu_backing *b, const struct domu_node *n, const uint8_t *head)
{
	const uint8_t *p = head + XFS_INCOMPAT;
	unsigned bits = (p[0] & ~XFS_CLOSED) << 24 | p[1] << 16 | p[2] << 8 | p[3];
	char *path = shell_word(b->path), *text = NULL;

	if (path != NULL && asprintf(&text,
	                             "(d=$(losetup -f --show -o %" PRIu64 " --sizelimit %" PRIu64
	                             " %s) && xfs_db -x -c 'sb 0' -c 'write features_incompat 0x%x' $d; losetup -d $d)",
	                             n->start, n->size, path, bits) < 0)
		text = NULL;
	free(path);
	return text;
}

/* len bytes at offset of what the node is, over all its pieces. */
static int read_node(struct domu_session *s, const struct domu_node *n, uint8_t *buf, size_t len, uint64_t offset)
{
	const struct domu_place place = domu_node_place(n);
	int rc = n->scattered && n->map == NULL ? -ENOENT : 0;

	for (size_t at = 0, step; at < len && rc == 0; at += step) {
		uint64_t to;
		unsigned disk;

		step = len - at < SECTOR ? len - at : SECTOR;
		if (!domu_place_find(&place, offset + at, step, &disk, &to))
			return -ERANGE;
		rc = domu_pread_full(s->backings[disk].fd, buf + at, step, to);
	}
	return rc;
}

/* A line of a shell that writes bytes of the node where they lie. */
static char *put_bytes(struct domu_session *s, const struct domu_node *n, const void *bytes, size_t len,
                       uint64_t offset)
{
	const struct domu_place place = domu_node_place(n);
	char *text = NULL, *code = domu_base64(bytes, len), *path;
	uint64_t at;
	unsigned disk;

	if (code == NULL || !domu_place_find(&place, offset, len, &disk, &at)) {
		free(code);
		return NULL;
	}
	path = shell_word(s->backings[disk].path);
	if (path != NULL && asprintf(&text, "echo %s | base64 -d | dd bs=1 seek=%" PRIu64 " conv=notrunc,fsync of=%s",
	                             code, at, path) < 0)
		text = NULL;
	free(code);
	free(path);
	return text;
}

/* No program of the host finds the pieces of a volume: what debugfs would write, where it lies.  The bits come last. */
static char *open_ext_pieces(struct domu_session *s, const struct domu_node *n, uint8_t *sb)
{
	uint32_t incompat = domu_le32(sb + EXT_INCOMPAT) & ~EXT_CLOSED, sum;
	char *bits, *csum = NULL, *text = NULL;
	bool had = had_csum(sb);

	domu_put_le32(sb + EXT_INCOMPAT, incompat);
	if (had) {
		domu_put_le32(sb + EXT_RO_COMPAT, domu_le32(sb + EXT_RO_COMPAT) | EXT_METADATA_CSUM);
		sum = domu_crc32c(~0u, sb, EXT_CHECKSUM);
		domu_put_le32(sb + EXT_CHECKSUM, sum);
		csum = put_bytes(s, n, sb + EXT_CHECKSUM, 4, EXT_SUPER + EXT_CHECKSUM);
	}
	bits = put_bytes(s, n, sb + EXT_INCOMPAT, 8, EXT_SUPER + EXT_INCOMPAT);
	if (bits != NULL && (csum != NULL || !had) &&
	    asprintf(&text, "%s%s%s", had ? csum : "", had ? " && " : "", bits) < 0)
		text = NULL;
	free(bits);
	free(csum);
	return text;
}

/* The way to open it as it is. */
static char *way_to_open(struct domu_session *s, const struct domu_node *n)
{
	const struct domu_backing *b = &s->backings[n->disk];
	char *way = NULL, *text = NULL, *guest = shell_word(domu_guest_shown(s->guest));
	bool ext = strncmp(n->probe.type, "ext", 3) == 0;
	uint8_t head[EXT_SUPER];

	if (read_node(s, n, head, sizeof head, ext ? EXT_SUPER : 0) == 0) {
		if (ext)
			way = n->scattered ? open_ext_pieces(s, n, head) : open_ext(b, n, head);
		else if (strcmp(n->probe.type, "xfs") == 0 && !n->scattered)
			way = open_xfs(b, n, head);
	}
	if (way != NULL && guest != NULL &&
	    asprintf(&text,
	             "; or open it half written, and lose what cannot be repaired: %s, then "
	             "domu-rescue fsck -y %s",
	             way, guest) < 0)
		text = NULL;
	free(guest);
	free(way);
	return text;
}

/* Was it finished since, on another disk?  Then this one is a copy from the time between.  path: of that disk. */
static bool finished_since(struct domu_session *s, const char *id, char path[256])
{
	struct domu_commit_info *v;
	bool found = false;
	size_t n;

	if (domu_state_list(s->opts.state, NULL, false, &v, &n) != 0)
		return false;
	for (size_t i = 0; i < n && !found; i++) {
		found = strcmp(v[i].id, id) == 0 && v[i].n_disks > 0 &&
		        (v[i].state == DOMU_COMMIT_COMMITTED || v[i].state == DOMU_COMMIT_UNDONE);
		if (found)
			snprintf(path, 256, "%s", v[i].disks[0].path);
	}
	domu_state_list_free(v, n);
	return found;
}

/* What is written and what is not is known to nobody: no program should open such a disk by itself. */
static int refuse_closed(struct domu_session *s, const struct domu_node *n)
{
	const char *id = n->probe.closed_by[0] != '\0' ? n->probe.closed_by : "unknown";
	const char *guest = domu_guest_shown(s->guest);
	char *way = way_to_open(s, n), path[256];
	int rc;

	if (finished_since(s, id, path))
		rc = domu_fail(s->ctx, DOMU_UNRECOVERED, -ENOENT,
		               "%s: %s is closed by commit %s, which was finished since on %s: this is a copy from the "
		               "time between: copy it again%s",
		               guest, n->name, id, path, way != NULL ? way : "");
	else
		rc = domu_fail(s->ctx, DOMU_UNRECOVERED, -ENOENT,
		               "%s: %s is closed by commit %s, of which %s has nothing whole: name the state directory "
		               "that has it with --state-dir DIR, for nothing else knows what is written%s",
		               guest, n->name, id, domu_state_dir(s->opts.state), way != NULL ? way : "");
	free(way);
	return rc;
}

int domu_session_refuse_closed(struct domu_session *s)
{
	struct domu_nodes nodes = { 0 };
	int rc = domu_session_look(s, false, &nodes);

	for (size_t i = 0; rc == 0 && i < nodes.n; i++)
		if (nodes.v[i].probe.closed)
			rc = refuse_closed(s, &nodes.v[i]);
	domu_nodes_free(&nodes);
	return rc;
}

int domu_session_recover_named(struct domu_session *s, unsigned *n_done)
{
	int rc = recover(s, true, n_done);

	return rc == 0 && *n_done == 0 ? domu_session_refuse_closed(s) : rc;
}
