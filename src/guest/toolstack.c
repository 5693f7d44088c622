/* SPDX-License-Identifier: GPL-3.0-or-later */
/* toolstack.c - toolstacks other than xl: known by their files, and their guests' disks as these have them. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/toolstack-impl.h"
#include "guest/xml.h"

#define XML_MAX  (8u << 20) /* bytes; Qubes keeps all its guests in one file */
#define KEPT_MAX 4096

/* ---- what each of them shares ------------------------------------------------------ */

char *domu_shell_quote(const char *word)
{
	size_t n = strlen(word);
	char *out = malloc(4 * n + 3), *to = out;

	if (out == NULL)
		return NULL;
	if (n > 0 && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == n) {
		memcpy(out, word, n + 1);
		return out;
	}
	*to++ = '\'';
	for (; *word != '\0'; word++) {
		if (*word == '\'') {
			memcpy(to, "'\\''", 4);
			to += 4;
		} else {
			*to++ = *word;
		}
	}
	*to++ = '\'';
	*to = '\0';
	return out;
}

struct domu_kept *domu_kept_add(struct domu_toolstack *t, const char *source)
{
	struct domu_kept *v, *k;

	if (t->n == KEPT_MAX) {
		errno = E2BIG;
		return NULL;
	}
	v = reallocarray(t->v, t->n + 1, sizeof *v);
	if (v == NULL)
		return NULL;
	t->v = v;
	k = &v[t->n];
	memset(k, 0, sizeof *k);
	k->guest = domu_guest_new();
	if (k->guest == NULL || (k->guest->source = strdup(source)) == NULL) {
		domu_guest_free(k->guest);
		errno = ENOMEM;
		return NULL;
	}
	t->n++;
	return k;
}

static void kept_free(struct domu_kept *k)
{
	domu_guest_free(k->guest);
	free(k->autostart);
}

void domu_kept_drop(struct domu_toolstack *t)
{
	kept_free(&t->v[--t->n]);
}

void domu_toolstacks_free(struct domu_toolstacks *ts)
{
	for (size_t i = 0; i < ts->n; i++) {
		for (size_t k = 0; k < ts->v[i].n; k++)
			kept_free(&ts->v[i].v[k]);
		free(ts->v[i].v);
		free(ts->v[i].place);
		free(ts->v[i].control);
	}
	memset(ts, 0, sizeof *ts);
}

static bool there(const char *root, const char *path)
{
	char full[PATH_MAX];

	return snprintf(full, sizeof full, "%s%s", root, path) < (int)sizeof full && access(full, F_OK) == 0;
}

/* A file's text.  -ENOENT, -EFBIG, -ENOMEM, -EINVAL: not a file.  Never waits: a fifo is refused before it is read. */
static int read_text(const char *path, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), rc = 0;
	struct stat st;
	FILE *f;

	*text = NULL;
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "r");
	if (f == NULL) {
		close(fd);
		return -ENOMEM;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		rc = -EINVAL;
	else if (st.st_size > XML_MAX)
		rc = -EFBIG;
	else if ((*text = malloc((size_t)st.st_size + 1)) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		*len = fread(*text, 1, (size_t)st.st_size, f);
		(*text)[*len] = '\0';
	}
	fclose(f);
	return rc;
}

int domu_toolstack_scan(struct domu_ctx *ctx, const char *path, const struct domu_xml_handler *h, void *user)
{
	size_t len = 0;
	char *text;
	int rc = read_text(path, &text, &len);

	if (rc == 0)
		rc = domu_xml_scan(text, len, h, user);
	free(text);
	if (rc == 0 || rc == -ENOMEM)
		return rc;
	if (rc == -E2BIG)
		domu_say(ctx, DOMU_WARNING, "%s: more guests or disks than there can be: not all are known", path);
	else
		domu_say(ctx, DOMU_WARNING, "%s: %s: its guests are not known", path,
		         rc == -EINVAL ? "not understood" : strerror(-rc));
	return rc;
}

/* ---- libvirt ------------------------------------------------------------------------- */

#define LIBVIRT_DIR "/etc/libvirt/libxl"

struct libvirt {
	struct domu_kept *k;
	struct domu_disk *d; /* the open <disk> */
	bool failed;
};

static void put(struct libvirt *l, char **where, const char *text)
{
	if (text == NULL || *where != NULL)
		return;
	*where = strdup(text);
	l->failed |= *where == NULL;
}

static int libvirt_open(void *user, const char *path, const struct domu_xml_attr *attrs, size_t n)
{
	struct libvirt *l = user;
	const char *value;

	if (strcmp(path, "domain/devices/disk") == 0) {
		l->d = domu_guest_add_disk(l->k->guest);
		if (l->d == NULL)
			return -errno;
		value = domu_xml_attr(attrs, n, "device");
		l->d->cdrom = value != NULL && strcmp(value, "disk") != 0;
	} else if (l->d == NULL) {
		return 0;
	} else if (strcmp(path, "domain/devices/disk/driver") == 0) {
		put(l, &l->d->format, domu_xml_attr(attrs, n, "type"));
	} else if (strcmp(path, "domain/devices/disk/source") == 0) {
		put(l, &l->d->path, domu_xml_attr(attrs, n, "dev"));
		put(l, &l->d->path, domu_xml_attr(attrs, n, "file"));
		put(l, &l->d->script, domu_xml_attr(attrs, n, "protocol"));
	} else if (strcmp(path, "domain/devices/disk/script") == 0) {
		put(l, &l->d->script, domu_xml_attr(attrs, n, "path"));
	} else if (strcmp(path, "domain/devices/disk/backenddomain") == 0) {
		put(l, &l->d->backend, domu_xml_attr(attrs, n, "name"));
	} else if (strcmp(path, "domain/devices/disk/target") == 0) {
		value = domu_xml_attr(attrs, n, "dev");
		snprintf(l->d->vdev, sizeof l->d->vdev, "%s", value != NULL ? value : "");
	} else if (strcmp(path, "domain/devices/disk/readonly") == 0) {
		l->d->readonly = true;
	}
	return l->failed ? -ENOMEM : 0;
}

static int libvirt_text(void *user, const char *path, const char *text)
{
	struct libvirt *l = user;

	if (strcmp(path, "domain/name") == 0)
		put(l, &l->k->guest->name, text);
	return l->failed ? -ENOMEM : 0;
}

static int libvirt_close(void *user, const char *path)
{
	struct libvirt *l = user;

	if (strcmp(path, "domain/devices/disk") == 0)
		l->d = NULL;
	return 0;
}

static int libvirt_one(struct domu_ctx *ctx, const char *root, const char *file, struct domu_toolstack *t)
{
	static const struct domu_xml_handler h = { libvirt_open, libvirt_text, libvirt_close };
	struct libvirt l = { .k = NULL };
	char path[PATH_MAX];
	int rc;

	if (snprintf(path, sizeof path, "%s" LIBVIRT_DIR "/%s", root, file) >= (int)sizeof path)
		return 0;
	l.k = domu_kept_add(t, path + strlen(root));
	if (l.k == NULL)
		return -errno;
	rc = domu_toolstack_scan(ctx, path, &h, &l);
	if (rc != 0 || l.k->guest->name == NULL) {
		domu_kept_drop(t);
		return rc == -ENOMEM ? rc : 0;
	}
	if (snprintf(path, sizeof path, "%s" LIBVIRT_DIR "/autostart/%s", root, file) < (int)sizeof path &&
	    access(path, F_OK) == 0 && (l.k->autostart = strdup(path + strlen(root))) == NULL)
		return -ENOMEM;
	return 0;
}

static int is_xml(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 4 && strcmp(e->d_name + n - 4, ".xml") == 0;
}

/* The folder belongs to the package: only with a domain in it somebody uses it. */
static int libvirt_read(struct domu_ctx *ctx, const char *root, struct domu_toolstack *t)
{
	char dir[PATH_MAX];
	struct dirent **list;
	int rc = 0, n;

	if (snprintf(dir, sizeof dir, "%s" LIBVIRT_DIR, root) >= (int)sizeof dir)
		return 0;
	n = scandir(dir, &list, is_xml, alphasort);
	for (int i = 0; i < n; i++) {
		if (rc == 0)
			rc = libvirt_one(ctx, root, list[i]->d_name, t);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	if (rc == -E2BIG) {
		domu_say(ctx, DOMU_WARNING, "%s: more than %d guests: not all are known", dir, KEPT_MAX);
		rc = 0;
	}
	if (rc == 0 && n > 0 && (t->place = strdup(LIBVIRT_DIR)) == NULL)
		rc = -ENOMEM;
	return rc;
}

/* ---- XAPI ----------------------------------------------------------------------------- */

#define INVENTORY "/etc/xensource-inventory"

/* CONTROL_DOMAIN_UUID='...' of what its installer has written, a piece of shell. */
static int xapi_control(const char *root, struct domu_toolstack *t)
{
	char path[PATH_MAX], line[256], uuid[64];
	int rc = 0;
	FILE *f;

	if (snprintf(path, sizeof path, "%s" INVENTORY, root) >= (int)sizeof path || (f = fopen(path, "re")) == NULL)
		return 0;
	while (rc == 0 && t->control == NULL && fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "CONTROL_DOMAIN_UUID=%*['\"]%63[0-9a-fA-F-]", uuid) == 1 &&
		    (t->control = strdup(uuid)) == NULL)
			rc = -ENOMEM;
	fclose(f);
	return rc;
}

/*
 * XenServer and XCP-ng.  Its guests are in a database that is its own, and their disks in chains of images and volumes
 * that it makes ready when they are attached: xe asks the one and does the other.
 */
static int xapi_read(struct domu_ctx *ctx, const char *root, struct domu_toolstack *t)
{
	static const char *const places[] = { INVENTORY, "/var/xapi", "/var/lib/xcp", NULL };

	(void)ctx;
	for (const char *const *p = places; *p != NULL; p++)
		if (there(root, *p))
			return (t->place = strdup(*p)) != NULL ? xapi_control(root, t) : -ENOMEM;
	return 0;
}

/* ---- all ------------------------------------------------------------------------------ */

int domu_toolstacks_read(struct domu_ctx *ctx, const char *root, struct domu_toolstacks *out)
{
	static const struct {
		const char *name, *stop, *kill, *resume;
		int (*read)(struct domu_ctx *ctx, const char *root, struct domu_toolstack *t);
	} known[DOMU_TOOLSTACKS] = {
		{ "libvirt", "virsh shutdown", "virsh destroy", "virsh resume", libvirt_read },
		{ "Qubes", "qvm-shutdown", "qvm-kill", "qvm-unpause", domu_qubes_read },
		{ "XAPI", "xe vm-shutdown vm=", "xe vm-shutdown force=true vm=", "xe vm-unpause vm=", xapi_read },
	};

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < DOMU_TOOLSTACKS; i++) {
		struct domu_toolstack *t = &out->v[out->n];
		int rc;

		*t = (struct domu_toolstack){
			.name = known[i].name, .stop = known[i].stop, .kill = known[i].kill, .resume = known[i].resume
		};
		rc = known[i].read(ctx, root, t);
		if (rc < 0) {
			out->n++;
			domu_toolstacks_free(out);
			return rc;
		}
		out->n += t->place != NULL;
	}
	return 0;
}

const struct domu_toolstack *domu_toolstack_of(const struct domu_toolstacks *ts, const char *name,
                                               const struct domu_kept **kept)
{
	*kept = NULL;
	for (size_t i = 0; i < ts->n; i++) {
		const struct domu_toolstack *t = &ts->v[i];

		for (size_t k = 0; k < t->n; k++)
			if (strcmp(t->v[k].guest->name, name) == 0) {
				*kept = &t->v[k];
				return t;
			}
		if (strcmp(t->name, "XAPI") == 0)
			return t;
	}
	return NULL;
}

/* ---- the next command ------------------------------------------------------------------- */

/* --disk takes one format for all of them. */
static const char *format_of(const struct domu_guest *g)
{
	const char *format = NULL;

	for (size_t i = 0; i < g->n_disks; i++) {
		const char *f = g->disks[i].format;

		if (g->disks[i].cdrom || f == NULL || strcmp(f, "raw") == 0)
			continue;
		format = f;
	}
	return format;
}

/* "xvda is made by rbd": what no --disk can name yet. */
static bool without_path(FILE *out, const struct domu_guest *g)
{
	bool any = false;

	for (size_t i = 0; i < g->n_disks; i++) {
		const struct domu_disk *d = &g->disks[i];

		if (d->cdrom || (d->path != NULL && d->script == NULL && d->backend == NULL))
			continue;
		if (d->backend != NULL)
			fprintf(out, "%s%s is in the driver domain %s", any ? ", " : "", d->vdev, d->backend);
		else
			fprintf(out, "%s%s is no path of this host%s%s%s", any ? ", " : "", d->vdev,
			        d->script != NULL ? " (" : "", d->script != NULL ? d->script : "",
			        d->script != NULL ? ")" : "");
		any = true;
	}
	return any;
}

static bool put_word(FILE *out, const char *option, const char *word)
{
	char *quoted = domu_shell_quote(word);

	if (quoted != NULL)
		fprintf(out, " %s %s", option, quoted);
	free(quoted);
	return quoted != NULL;
}

static bool put_command(FILE *out, const struct domu_guest *g)
{
	const char *format = format_of(g);

	fprintf(out, "domu-rescue");
	if (format != NULL && !put_word(out, "--format", format))
		return false;
	for (size_t i = 0; i < g->n_disks; i++) {
		const struct domu_disk *d = &g->disks[i];

		if (d->cdrom || d->path == NULL || d->script != NULL || d->backend != NULL)
			continue;
		if (!put_word(out, "--disk", d->path))
			return false;
	}
	fprintf(out, " shell");
	return true;
}

static bool any_path(const struct domu_guest *g)
{
	for (size_t i = 0; i < g->n_disks; i++)
		if (!g->disks[i].cdrom && g->disks[i].path != NULL && g->disks[i].script == NULL &&
		    g->disks[i].backend == NULL)
			return true;
	return false;
}

/* The guest's first disk is attached to this Dom0, opened as a device of it, and detached. */
static bool put_xapi(FILE *out, const struct domu_toolstack *t, const char *name)
{
	char *quoted = domu_shell_quote(name != NULL ? name : "NAME");

	if (quoted == NULL)
		return false;
	fprintf(out,
	        "vbd=$(xe vbd-create vm-uuid=%s device=autodetect vdi-uuid=$(xe vbd-list vm-name-label=%s userdevice=0 "
	        "params=vdi-uuid --minimal)) && xe vbd-plug uuid=$vbd && domu-rescue --disk /dev/$(xe vbd-param-get "
	        "uuid=$vbd param-name=device) shell; xe vbd-unplug uuid=$vbd && xe vbd-destroy uuid=$vbd",
	        t->control != NULL ? t->control : "$(xe vm-list is-control-domain=true --minimal)", quoted);
	free(quoted);
	return true;
}

static bool put_next(FILE *out, const struct domu_toolstack *t, const struct domu_kept *kept, const char *name)
{
	if (kept == NULL && strcmp(t->name, "XAPI") == 0)
		return put_xapi(out, t, name);
	if (kept == NULL) {
		fprintf(out, "domu-rescue --disk PATH shell");
		return true;
	}
	if (without_path(out, kept->guest))
		fprintf(out, ": attach it and name the device with --disk%s",
		        any_path(kept->guest) ? "; the others: " : "");
	return !any_path(kept->guest) || put_command(out, kept->guest);
}

char *domu_toolstack_next(const struct domu_toolstack *t, const struct domu_kept *kept, const char *name)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	bool ok = out != NULL && put_next(out, t, kept, name);

	if (out != NULL && fclose(out) != 0)
		ok = false;
	if (!ok) {
		free(text);
		return NULL;
	}
	return text;
}
