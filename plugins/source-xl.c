/* SPDX-License-Identifier: GPL-3.0-or-later */
/* source-xl.c - guests from xl's configs, read by libxlutil as xl itself reads them. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source-xl.h"

#define CONFIG_MAX   (1u << 20) /* bytes; a real one has a few hundred */
#define NAME_MAX_LEN 255
#define ERROR_MAX    300

/* ---- the library ---------------------------------------------------------- */

#define AT(member, symbol)                               \
	{                                                \
#symbol, offsetof(struct xl_lib, member) \
	}

int xl_lib_load(struct domu_ctx *ctx, const struct xl_lib **out)
{
	static const struct xl_symbol symbols[] = {
		AT(cfg_init, xlu_cfg_init),
		AT(cfg_readdata, xlu_cfg_readdata),
		AT(cfg_destroy, xlu_cfg_destroy),
		AT(cfg_get_string, xlu_cfg_get_string),
		AT(cfg_get_list, xlu_cfg_get_list),
		AT(cfg_get_listitem, xlu_cfg_get_listitem),
		AT(disk_parse, xlu_disk_parse),
		AT(disk_init, libxl_device_disk_init),
		AT(disk_dispose, libxl_device_disk_dispose),
	};
	/* The process's, as dlopen(3) is. */
	static struct xl_lib lib;
	static bool loaded;
	int rc = 0;

	*out = &lib;
	if (!loaded)
		rc = xl_load(ctx, XLUTIL_SONAME, "xl configs cannot be read",
		             " (Debian has it in libxenmisc); name the guest's disks with --disk", symbols,
		             sizeof symbols / sizeof *symbols, &lib);
	loaded = rc == 0;
	return rc;
}

/* ---- disks ---------------------------------------------------------------- */

static const char *format_name(libxl_disk_format f)
{
	switch (f) {
	case LIBXL_DISK_FORMAT_QCOW:
		return "qcow";
	case LIBXL_DISK_FORMAT_QCOW2:
		return "qcow2";
	case LIBXL_DISK_FORMAT_VHD:
		return "vhd";
	case LIBXL_DISK_FORMAT_QED:
		return "qed";
	default: /* UNKNOWN and EMPTY too: raw is what xl takes when nothing is said */
		return "raw";
	}
}

int xl_disk_convert(const libxl_device_disk *from, const char *path, const char *format, struct domu_disk *d)
{
	snprintf(d->vdev, sizeof d->vdev, "%s", from->vdev != NULL ? from->vdev : "");
	d->cdrom = from->is_cdrom != 0;
	d->readonly = !from->readwrite;
	d->format = strdup(format != NULL && !d->cdrom ? format : format_name(from->format));
	if (d->format == NULL)
		return -ENOMEM;
	if (path != NULL && path[0] != '\0' && (d->path = strdup(path)) == NULL)
		return -ENOMEM;
	if (from->script != NULL && (d->script = strdup(from->script)) == NULL)
		return -ENOMEM;
	if (from->backend_domname != NULL && (d->backend = strdup(from->backend_domname)) == NULL)
		return -ENOMEM;
	if (d->backend == NULL && from->backend_domid != 0 &&
	    asprintf(&d->backend, "domain %u", from->backend_domid) < 0) {
		d->backend = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* Is there prefix just before at? */
static bool follows(const char *spec, const char *at, const char *prefix)
{
	size_t n = strlen(prefix);

	return (size_t)(at - spec) >= n && strncmp(at - n, prefix, n) == 0;
}

/*
 * A target without a leading slash.  xl-disk-configuration(5) puts /dev/
 * before it ("phy:vg/lv"), but xl opens it from wherever it was started.
 * "file:" and its kin say that it is a file, which is then looked for beside
 * the config; without a prefix the one that exists is meant, /dev/ first.
 */
static char *full_path(const char *spec, const char *path, const char *config)
{
	static const char *const file_prefixes[] = { "file:", "aio:", "tap:", "tap2:", "tapdisk:", NULL };
	char *in_dev = NULL, *beside = NULL, *real = realpath(config, NULL), *slash;
	bool file = path[0] == '.' && strchr(path, '/') != NULL, phy = false;

	/* A short path may also occur elsewhere in the text. */
	for (const char *at = spec; (at = strstr(at, path)) != NULL; at++) {
		for (const char *const *p = file_prefixes; *p != NULL; p++)
			file |= follows(spec, at, *p);
		phy |= follows(spec, at, "phy:");
	}
	slash = real != NULL ? strrchr(real, '/') : NULL;
	if (slash != NULL)
		slash[1] = '\0';
	if (asprintf(&in_dev, "/dev/%s", path) < 0)
		in_dev = NULL;
	if (asprintf(&beside, "%s%s", slash != NULL ? real : "", path) < 0)
		beside = NULL;
	if (in_dev != NULL && beside != NULL &&
	    (file || (!phy && access(in_dev, F_OK) != 0 && access(beside, F_OK) == 0))) {
		free(in_dev);
		in_dev = beside;
		beside = NULL;
	}
	free(beside);
	free(real);
	return in_dev;
}

/* ---- one config ------------------------------------------------------------- */

struct reading {
	const struct xl_lib *lib;
	XLU_Config *cfg;
	FILE *report;
	char *text; /* what report holds */
	size_t text_len;
	struct domu_guest *g;
	const char *format; /* --format, or NULL */
};

/* The guest's error, one printable line; the first is kept. */
static void guest_error(struct domu_guest *g, const char *fmt, ...) DOMU_PRINTF(2, 3);
static void guest_error(struct domu_guest *g, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (g->error != NULL)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = strdup("out of memory");
	va_end(ap);
	if (text == NULL)
		return;
	if (strlen(text) > ERROR_MAX)
		memcpy(text + ERROR_MAX - 3, "...", 4);
	for (char *p = text; *p != '\0'; p++)
		if (iscntrl((unsigned char)*p))
			*p = ' ';
	for (size_t n = strlen(text); n > 0 && text[n - 1] == ' ';)
		text[--n] = '\0';
	g->error = text;
}

/* The first line of what libxlutil reported since the last call. */
static const char *reported(struct reading *r)
{
	const char *line = "not understood by libxlutil";

	if (fflush(r->report) == 0 && r->text != NULL && r->text[0] != '\0') {
		char *end = strchr(r->text, '\n');

		if (end != NULL)
			*end = '\0';
		line = r->text;
	}
	return line;
}

static int read_disk(struct reading *r, const char *spec)
{
	libxl_device_disk disk;
	struct domu_disk *d;
	char *path = NULL;
	int rc = 0;

	r->lib->disk_init(&disk);
	if (r->lib->disk_parse(r->cfg, 1, &spec, &disk) != 0) {
		guest_error(r->g, "%s", reported(r));
		goto out;
	}
	if (disk.vdev == NULL || strlen(disk.vdev) >= sizeof d->vdev) {
		guest_error(r->g, "%s: disk '%s': no such disk name", r->g->source, spec);
		goto out;
	}
	for (size_t i = 0; i < r->g->n_disks; i++)
		if (strcmp(r->g->disks[i].vdev, disk.vdev) == 0)
			guest_error(r->g, "%s: two disks are %s", r->g->source, disk.vdev);
	d = domu_guest_add_disk(r->g);
	if (d == NULL) {
		guest_error(r->g, "%s: too many disks", r->g->source);
		goto out;
	}
	if (disk.pdev_path != NULL && disk.pdev_path[0] != '\0') {
		path = disk.pdev_path[0] == '/' || disk.script != NULL ? strdup(disk.pdev_path)
		                                                       : full_path(spec, disk.pdev_path, r->g->source);
		if (path == NULL) {
			rc = -ENOMEM;
			goto out;
		}
	} else if (!disk.is_cdrom) {
		guest_error(r->g, "%s: disk %s has no target", r->g->source, disk.vdev);
	}
	rc = xl_disk_convert(&disk, path, r->format, d);
out:
	free(path);
	r->lib->disk_dispose(&disk);
	return rc;
}

/* *any: there is a disk list with something in it. */
static int read_disks(struct reading *r, bool *any)
{
	XLU_ConfigList *list = NULL;
	int n = 0, rc = r->lib->cfg_get_list(r->cfg, "disk", &list, &n, 1);

	*any = false;
	if (rc == ESRCH)
		return 0;
	*any = true;
	if (rc != 0) {
		guest_error(r->g, "%s: disk is not a list: write disk = [ '...' ]", r->g->source);
		return 0;
	}
	*any = n > 0;
	for (int i = 0; i < n; i++) {
		const char *spec = r->lib->cfg_get_listitem(list, i);

		if (spec == NULL) {
			guest_error(r->g, "%s: disk %d is not a string", r->g->source, i + 1);
			return 0;
		}
		rc = read_disk(r, spec);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* What the kernel takes: the last root= of "root=ROOT EXTRA", or of cmdline, which replaces both; so for rootflags=. */
static int read_root(struct reading *r)
{
	const char *cmdline = NULL, *root = NULL, *extra = NULL, *hint = NULL, *flags = NULL;
	char *line = NULL;
	size_t n = 0;
	int rc = 0;

	if (r->lib->cfg_get_string(r->cfg, "cmdline", &cmdline, 1) == 0) {
		line = strdup(cmdline);
	} else {
		r->lib->cfg_get_string(r->cfg, "root", &root, 1);
		r->lib->cfg_get_string(r->cfg, "extra", &extra, 1);
		if (asprintf(&line, "%s%s %s", root != NULL ? "root=" : "", root != NULL ? root : "",
		             extra != NULL ? extra : "") < 0)
			line = NULL;
	}
	if (line == NULL)
		return -ENOMEM;
	for (const char *p = line; *p != '\0'; p += n) {
		p += strspn(p, " \t\n");
		n = strcspn(p, " \t\n");
		if (strncmp(p, "root=", 5) == 0 && n > 5)
			hint = p + 5;
		else if (strncmp(p, "rootflags=", 10) == 0)
			flags = p;
	}
	if ((hint != NULL || flags != NULL) &&
	    asprintf(&r->g->root_hint, "%.*s%s%.*s", hint != NULL ? (int)strcspn(hint, " \t\n") : 0, hint,
	             hint != NULL && flags != NULL ? " " : "", flags != NULL ? (int)strcspn(flags, " \t\n") : 0,
	             flags) < 0) {
		r->g->root_hint = NULL;
		rc = -ENOMEM;
	}
	free(line);
	return rc;
}

/* What xl does at the end of a domain; a reboot starts it again unless the config says otherwise. */
static int read_restarts(struct reading *r)
{
	static const struct {
		const char *key, *otherwise;
	} events[] = {
		{ "on_poweroff", "destroy" }, { "on_reboot", "restart" },        { "on_crash", "destroy" },
		{ "on_watchdog", "destroy" }, { "on_soft_reset", "soft-reset" },
	};
	char *list = NULL, *longer;

	for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
		const char *action = NULL;

		if (r->lib->cfg_get_string(r->cfg, events[i].key, &action, 1) != 0)
			action = events[i].otherwise;
		if (strstr(action, "restart") == NULL)
			continue;
		if (asprintf(&longer, "%s%s%s", list != NULL ? list : "", list != NULL ? ", " : "", events[i].key) <
		    0) {
			free(list);
			return -ENOMEM;
		}
		free(list);
		list = longer;
	}
	r->g->restarts = list;
	return 0;
}

/* A name that could not be typed, or that would name something else. */
static void check_name(struct domu_guest *g)
{
	const char *name = g->name;

	if (name[0] == '\0' || name[0] == '.' || name[0] == '-' || strlen(name) > NAME_MAX_LEN)
		guest_error(g, "%s: the name '%.40s' is empty, too long, or starts with '.' or '-'", g->source, name);
	for (const char *p = name; *p != '\0'; p++)
		if (*p == '/' || iscntrl((unsigned char)*p))
			guest_error(g, "%s: the name '%.40s' has a '/' or a control character in it", g->source, name);
}

/* name = "..." of a text that libxlutil does not understand. */
static char *scan_string(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p != NULL; p = strchr(p, '\n'), p = p != NULL ? p + 1 : NULL) {
		const char *q = p + strspn(p, " \t");

		if (strncmp(q, key, n) != 0)
			continue;
		q += n;
		q += strspn(q, " \t");
		if (*q != '=')
			continue;
		q++;
		q += strspn(q, " \t");
		if (*q == '"' || *q == '\'')
			return strndup(q + 1, strcspn(q + 1, "\"'\n"));
		return strdup("");
	}
	return NULL;
}

/* The file's name without its suffix: for a config that does not even give a name. */
static char *name_of_file(const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
	const char *dot = strrchr(base, '.');

	return strndup(base, dot != NULL && dot != base ? (size_t)(dot - base) : strlen(base));
}

/* The config's text, NUL-terminated.  Never waits: a fifo is refused before it is read. */
static char *read_text(struct domu_guest *g, size_t *len)
{
	char *text = NULL;
	struct stat st;
	size_t cap;
	ssize_t n;
	int fd = open(g->source, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	*len = 0;
	if (fd < 0) {
		guest_error(g, "%s: %s", g->source, strerror(errno));
		return NULL;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		guest_error(g, "%s: not a file", g->source);
		goto out;
	}
	if (st.st_size > CONFIG_MAX) {
		guest_error(g, "%s: larger than a config can be (1 MiB)", g->source);
		goto out;
	}
	/* One byte more than there should be: a file that grows meanwhile is noticed. */
	cap = (size_t)st.st_size + 1;
	text = malloc(cap + 1);
	if (text == NULL)
		goto out;
	/* Of a file a short read is its end: it became shorter, and half a config may lack a disk. */
	n = read(fd, text, cap);
	if (n < 0)
		guest_error(g, "%s: %s", g->source, strerror(errno));
	*len = n > 0 ? (size_t)n : 0;
	text[*len] = '\0';
	if (*len != (size_t)st.st_size || memchr(text, '\0', *len) != NULL) {
		guest_error(g,
		            *len != (size_t)st.st_size ? "%s: changes while it is read"
		                                       : "%s: not a text that could be a config",
		            g->source);
		text[0] = '\0';
		*len = 0;
	}
out:
	close(fd);
	return text;
}

static int read_values(struct reading *r, bool *counts)
{
	const char *name = NULL;
	bool any;
	int rc = r->lib->cfg_get_string(r->cfg, "name", &name, 1);
	bool wrong = rc == EINVAL;

	if (wrong)
		guest_error(r->g, "%s: name is not a string", r->g->source);
	if (rc == 0) {
		r->g->name = strdup(name);
		if (r->g->name == NULL)
			return -ENOMEM;
		check_name(r->g);
	}
	rc = read_disks(r, &any);
	if (rc < 0)
		return rc;
	*counts = (name != NULL || wrong) && any;
	if (name == NULL)
		guest_error(r->g, "%s: gives no name", r->g->source);
	if (!any)
		guest_error(r->g, "%s: gives no disk", r->g->source);
	rc = read_root(r);
	return rc < 0 ? rc : read_restarts(r);
}

/*
 * Reads g->source into g.  What is wrong with it is in g->error; failing is
 * for what is wrong with us.  *counts: it gives a name and a disk, or would
 * if it could be read.
 */
static int read_config(struct reading *r, bool *counts)
{
	struct domu_guest *g = r->g;
	size_t len;
	char *text = read_text(g, &len), *disk = NULL;
	int rc = -ENOMEM;

	*counts = domu_config_suffix(g->source);
	r->report = open_memstream(&r->text, &r->text_len);
	if (r->report == NULL)
		goto out;
	r->cfg = r->lib->cfg_init(r->report, g->source);
	if (r->cfg == NULL)
		goto out;
	rc = 0;
	if (g->error == NULL && r->lib->cfg_readdata(r->cfg, text, (int)len) == 0) {
		rc = read_values(r, counts);
	} else if (text != NULL) {
		guest_error(g, "%s", reported(r));
		g->name = scan_string(text, "name");
		disk = scan_string(text, "disk");
		*counts |= g->name != NULL && disk != NULL;
		if (g->name != NULL && g->name[0] == '\0') {
			free(g->name);
			g->name = NULL;
		}
	}
	if (rc == 0 && g->name == NULL && (g->name = name_of_file(g->source)) == NULL)
		rc = -ENOMEM;
out:
	if (r->cfg != NULL)
		r->lib->cfg_destroy(r->cfg);
	if (r->report != NULL)
		fclose(r->report);
	free(r->text);
	free(text);
	free(disk);
	return rc;
}

static int config_guest(struct domu_ctx *ctx, const char *path, const char *format, bool *counts,
                        struct domu_guest **out)
{
	struct reading r = { .format = format };
	int rc = xl_lib_load(ctx, &r.lib);

	if (rc < 0)
		return rc;
	r.g = domu_guest_new();
	rc = -ENOMEM;
	if (r.g != NULL && (r.g->source = strdup(path)) != NULL)
		rc = read_config(&r, counts);
	if (rc < 0) {
		domu_guest_free(r.g);
		return domu_fail(ctx, DOMU_FAILED, rc, "config %s: %s", path, strerror(-rc));
	}
	*out = r.g;
	return 0;
}

/* ---- the plugin ------------------------------------------------------------- */

static int xl_open_file(struct domu_ctx *ctx, const char *path, const char *format, struct domu_guest **g)
{
	bool counts;

	return config_guest(ctx, path, format, &counts, g);
}

static int xl_list_one(struct domu_ctx *ctx, const char *dir, const struct dirent *e, domu_guest_fn fn, void *user)
{
	const char *name = e->d_name;
	struct domu_guest *g;
	char *path;
	struct stat st;
	bool counts;
	int rc = 0;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return domu_fail(ctx, DOMU_FAILED, -ENOMEM, "out of memory");
	/* Folders, and what is neither a file nor named like a config, are passed over. */
	if (e->d_type != DT_REG &&
	    (stat(path, &st) == 0 ? S_ISDIR(st.st_mode) || (!S_ISREG(st.st_mode) && !domu_config_suffix(name))
	                          : !domu_config_suffix(name)))
		goto out;
	rc = config_guest(ctx, path, NULL, &counts, &g);
	if (rc < 0)
		goto out;
	if (counts)
		rc = fn(user, g);
	else
		domu_guest_free(g);
out:
	free(path);
	return rc;
}

static int xl_list_dir(struct domu_ctx *ctx, const char *dir, domu_guest_fn fn, void *user)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, alphasort), rc = 0;

	if (n < 0) {
		/* Debian has no /etc/xen/vm: absent folders hold no guests. */
		if (errno != ENOENT && errno != ENOTDIR)
			domu_say(ctx, DOMU_WARNING, "cannot read the config folder %s: %s", dir, strerror(errno));
		return 0;
	}
	for (int i = 0; i < n; i++) {
		if (rc == 0 && domu_config_name_counts(list[i]->d_name))
			rc = xl_list_one(ctx, dir, list[i], fn, user);
		free(list[i]);
	}
	free(list);
	return rc;
}

static const struct domu_source_ops ops = {
	.self_size = sizeof ops,
	.name = "xl",
	.open_file = xl_open_file,
	.list_dir = xl_list_dir,
	.list_live = xl_list_live,
	.list_backends = xl_list_backends,
	.watch_open = xl_watch_open,
	.watch_fd = xl_watch_fd,
	.watch_look = xl_watch_look,
	.watch_close = xl_watch_close,
};

static const struct domu_plugin plugin = {
	.self_size = sizeof plugin,
	.api = DOMU_PLUGIN_API,
	.kind = DOMU_PLUGIN_SOURCE,
	.place = DOMU_IN_FRONT,
	.name = "source-xl",
	.summary = "guests from xl's configs and the domains that libxl knows",
	.priority = 10,
	{ .source = &ops },
};
DOMU_REGISTER_PLUGIN(plugin)
