/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check-xen.c - live domains, backends, saved states: whoever of Xen's could use a disk. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/num.h"
#include "base/plugins.h"
#include "guest/check.h"

#define XENBUS_CLOSED 6

/* ---- asked once for all disks ------------------------------------------------------ */

static void read_live(struct domu_view *v)
{
	struct domu_ctx quiet;

	if (v->live_read)
		return;
	v->live_read = true;
	domu_ctx_init(&quiet);
	if (domu_guest_live(&quiet, &v->live) < 0)
		v->live_error = strdup(quiet.error.message != NULL ? quiet.error.message : "libxl does not answer");
	domu_ctx_free(&quiet);
}

static int take_backend(void *user, const struct domu_backend *b)
{
	struct domu_view *v = user;
	struct domu_backend_copy *c = reallocarray(v->backends, v->n_backends + 1, sizeof *c);
	unsigned ma, mi;

	if (c == NULL)
		return -ENOMEM;
	v->backends = c;
	c = &v->backends[v->n_backends++];
	memset(c, 0, sizeof *c);
	c->path = strdup(b->path != NULL ? b->path : "");
	c->params = b->params != NULL ? strdup(b->params) : NULL;
	c->vdev = b->vdev != NULL ? strdup(b->vdev) : NULL;
	c->readonly = b->readonly;
	c->domain = b->domain;
	c->frontend = b->frontend;
	c->state = b->state;
	if (b->physical_device != NULL && sscanf(b->physical_device, "%x:%x", &ma, &mi) == 2)
		c->dev = makedev(ma, mi);
	return c->path != NULL && (b->params == NULL || c->params != NULL) ? 0 : -ENOMEM;
}

static void read_backends(struct domu_view *v)
{
	struct domu_ctx quiet;
	int rc;

	if (v->backends_read)
		return;
	v->backends_read = true;
	domu_ctx_init(&quiet);
	rc = domu_plugins_load(&quiet, DOMU_PLUGIN_SOURCE);
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_SOURCE); rc == 0 && *p != NULL; p++) {
		const struct domu_source_ops *ops = (*p)->source;

		if (DOMU_SOURCE_HAS(ops, list_backends))
			rc = ops->list_backends(&quiet, take_backend, v);
	}
	if (rc < 0)
		v->backends_error =
		    strdup(quiet.error.message != NULL ? quiet.error.message : "xenstore does not answer");
	domu_ctx_free(&quiet);
}

void domu_view_free(struct domu_view *v)
{
	for (size_t i = 0; i < v->loops.n; i++)
		free(v->loops.v[i].file);
	free(v->loops.v);
	domu_guests_free(&v->live);
	for (size_t i = 0; i < v->n_backends; i++) {
		free(v->backends[i].path);
		free(v->backends[i].params);
		free(v->backends[i].vdev);
	}
	free(v->backends);
	free(v->live_error);
	free(v->backends_error);
	memset(v, 0, sizeof *v);
}

/* Nobody can change what everybody only reads. */
static bool harmless(const struct domu_view *v, bool readonly)
{
	return readonly && (v->depth == DOMU_VERDICT_READ || v->depth == DOMU_VERDICT_STARTED);
}

/* true: nothing more to look at. */
static bool no_xen(struct domu_view *v, struct domu_answer *a)
{
	if (!v->xen)
		domu_answer(a, DOMU_CHECK_SKIPPED, "no Xen here");
	return !v->xen;
}

/* ---- the checks -------------------------------------------------------------------- */

void domu_check_xen(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                    struct domu_answer *a)
{
	bool asked = false;

	(void)b;
	(void)r;
	if (no_xen(v, a))
		return;
	read_live(v);
	read_backends(v);
	for (const struct domu_plugin *const *p = domu_plugins(DOMU_PLUGIN_SOURCE); *p != NULL; p++)
		asked |= (*p)->source->list_live != NULL;
	if (!asked)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "this domu-rescue was built without libxl and cannot ask Xen");
	else if (v->live_error != NULL || v->backends_error != NULL)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "%s", v->live_error != NULL ? v->live_error : v->backends_error);
}

/* Destroying is for what cannot come back by itself. */
static void next_for_domain(struct domu_answer *a, const struct domu_guest *g)
{
	if (g->state == DOMU_STATE_PAUSED)
		domu_answer_next(a, "xl unpause %s && xl shutdown %s", g->name, g->name);
	else if (g->state == DOMU_STATE_RUNNING && g->condition == NULL)
		domu_answer_next(a, "xl shutdown %s", g->name);
	else
		domu_answer_next(a, "xl destroy %s", g->name);
}

void domu_check_domains(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a)
{
	(void)r;
	if (no_xen(v, a))
		return;
	read_live(v);
	if (v->live_error != NULL)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "%s", v->live_error);
	for (size_t i = 0; i < v->live.n; i++) {
		const struct domu_guest *g = v->live.v[i];

		for (size_t j = 0; j < g->n_disks; j++) {
			const struct domu_disk *d = &g->disks[j];
			enum domu_same same = domu_same_disk(b, d->path);

			if (same == DOMU_SAME_NO || harmless(v, d->readonly))
				continue;
			if (same == DOMU_SAME_UNKNOWN) {
				domu_answer(a, DOMU_CHECK_UNKNOWN,
				            "whether %s of domain %s is this disk cannot be told", d->path, g->name);
				continue;
			}
			domu_answer(a, DOMU_CHECK_FAIL, "domain %s (%lld, %s) has it as %s", g->name,
			            (long long)g->domid,
			            g->condition != NULL ? g->condition : domu_state_name(g->state), d->vdev);
			next_for_domain(a, g);
		}
	}
}

/* "raw:/images/a.img", "aio:/images/a.img", "/dev/vg/a": what follows a format is a path. */
static const char *path_of_params(const char *params)
{
	const char *colon = params != NULL && params[0] != '/' ? strchr(params, ':') : NULL;

	return colon != NULL ? colon + 1 : params;
}

/* A disk may be attached to the Dom0 itself, which is not among the guests. */
static void served(const struct domu_view *v, const struct domu_backend_copy *c, enum domu_same same,
                   struct domu_answer *a)
{
	enum domu_check_result result = same == DOMU_SAME_YES ? DOMU_CHECK_FAIL : DOMU_CHECK_UNKNOWN;
	const char *vdev = c->vdev != NULL ? c->vdev : "a disk";
	const struct domu_guest *g = NULL;

	for (size_t i = 0; i < v->live.n && g == NULL; i++)
		if (v->live.v[i]->domid == (int64_t)c->frontend)
			g = v->live.v[i];
	if (c->frontend == 0) {
		domu_answer(a, result, "it is attached to this Dom0 as %s (%s)", vdev, c->path);
		domu_answer_next(a, "xl block-detach 0 %s", c->vdev != NULL ? c->vdev : "VDEV");
	} else if (g != NULL) {
		domu_answer(a, result, "it is served to domain %s (%u) as %s (%s)", g->name, c->frontend, vdev,
		            c->path);
		next_for_domain(a, g);
	} else {
		domu_answer(a, result, "it is served to domain %u as %s (%s)", c->frontend, vdev, c->path);
		domu_answer_next(a, "xl block-list %u", c->frontend);
	}
}

void domu_check_backends(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                         struct domu_answer *a)
{
	if (no_xen(v, a))
		return;
	read_backends(v);
	if (v->backends_error != NULL)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "%s", v->backends_error);
	for (size_t i = 0; i < v->n_backends; i++) {
		const struct domu_backend_copy *c = &v->backends[i];
		enum domu_same same;

		if (c->domain != 0 || c->state == XENBUS_CLOSED || harmless(v, c->readonly))
			continue;
		same = domu_same_disk(b, path_of_params(c->params));
		/* A loop that the block script made over the file is among the relatives. */
		if (c->dev != 0 && (domu_same_device(b, c->dev) || domu_related_find(r, c->dev) != NULL))
			same = DOMU_SAME_YES;
		if (same == DOMU_SAME_NO)
			continue;
		served(v, c, same, a);
	}
}

void domu_check_driver_domains(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                               struct domu_answer *a)
{
	(void)b;
	(void)r;
	if (no_xen(v, a))
		return;
	read_backends(v);
	if (v->backends_error != NULL)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "%s", v->backends_error);
	for (size_t i = 0; i < v->n_backends; i++)
		if (v->backends[i].domain != 0 && v->backends[i].state != XENBUS_CLOSED)
			domu_answer(a, DOMU_CHECK_UNKNOWN,
			            "whether domain %u serves it to domain %u cannot be seen from here",
			            v->backends[i].domain, v->backends[i].frontend);
}

void domu_check_hotplug(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a)
{
	struct stat named, mine;
	struct dirent *e;
	bool held = false;
	DIR *d;

	(void)b;
	(void)r;
	/* Before a commit there is nothing to hold yet. */
	if (no_xen(v, a) || v->depth != DOMU_VERDICT_RECHECK)
		return;
	d = opendir("/proc/self/fd");
	if (stat("/var/run/xen-hotplug/block", &named) == 0)
		while (d != NULL && !held && (e = readdir(d)) != NULL)
			held = fstatat(dirfd(d), e->d_name, &mine, 0) == 0 && mine.st_dev == named.st_dev &&
			       mine.st_ino == named.st_ino;
	if (d != NULL)
		closedir(d);
	if (!held)
		domu_answer(a, DOMU_CHECK_FAIL, "Xen's hotplug lock is not held");
}

/* ---- saved states -------------------------------------------------------------------- */

/*
 * xl save's header (tools/xl/xl.h): 32 bytes of magic, byte order, mandatory
 * flags, optional flags, length of the optional data, which begins with the
 * config's length and the config: JSON when the first mandatory flag is set.
 */
#define XL_MAGIC      "Xen saved domain, xl format\n \0 \r"
#define XL_MAGIC_LEN  32
#define XL_BYTE_ORDER 0x01020304u
#define SAVE_TEXT_MAX (1u << 20)

#define LIBVIRT_MAGIC "libvirt-xml\n \0 \r"

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
		*known = true;
	}
	for (ssize_t i = 0; i < n; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	text[n] = '\0';
	return text;
}

/*
 * Every quoted string of a saved config that is a path is compared with the
 * disk: that finds pdev_path in JSON, 'phy:/dev/vg/a,xvda,w' in xl's own
 * syntax and file='...' in libvirt's XML, without a parser for each.
 */
static enum domu_same names_disk(const char *text, const struct domu_backing *b)
{
	char path[PATH_MAX];

	for (const char *p = text; (p = strchr(p, '/')) != NULL;) {
		size_t n = strcspn(p, "\"',\n<>\\ \t"), m = strcspn(p, "\"'\n<>\\");

		if (p > text && strchr("\"':=", p[-1]) != NULL && n < sizeof path && m < sizeof path) {
			/* A path may have commas and blanks in it where it is a value by itself. */
			memcpy(path, p, n);
			path[n] = '\0';
			if (n > 1 && domu_same_disk(b, path) == DOMU_SAME_YES)
				return DOMU_SAME_YES;
			memcpy(path, p, m);
			path[m] = '\0';
			if (m != n && domu_same_disk(b, path) == DOMU_SAME_YES)
				return DOMU_SAME_YES;
		}
		p += n > 0 ? n : 1;
	}
	return DOMU_SAME_NO;
}

static void look_at_save(const struct domu_view *v, const char *path, const char *name, const struct domu_backing *b,
                         struct domu_answer *a)
{
	size_t len = v->guest->name != NULL ? strlen(v->guest->name) : 0;
	bool known, mine = len > 0 && strncmp(name, v->guest->name, len) == 0 &&
	                   (name[len] == '\0' || strcmp(name + len, ".save") == 0);
	char *text = save_text(path, &known);

	if (mine || (text != NULL && names_disk(text, b) == DOMU_SAME_YES)) {
		domu_answer(a, DOMU_CHECK_FAIL, "the saved state %s would resume on it", path);
		if (strstr(path, "libvirt") != NULL)
			domu_answer_next(a, "virsh managedsave-remove %.*s", (int)strcspn(name, "."), name);
		else
			domu_answer_next(a, "xl restore %s", path);
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
	if (!any)
		no_xen(v, a);
}
