/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plugins.c - finding and loading plugins. */
#include "config.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/plugins.h"

#define MAX_PLUGINS 64
#define KINDS       5

static const char *const prefix[KINDS] = {
	[DOMU_PLUGIN_SOURCE] = "source-",
	[DOMU_PLUGIN_FS] = "fs-",
	[DOMU_PLUGIN_BLOCK] = "block-",
	[DOMU_PLUGIN_CHECK] = "check-",
};
/* The process's, as dlopen(3) is: see plugins.h. */
static const struct domu_plugin *loaded[KINDS][MAX_PLUGINS + 1];
static enum { NOTHING, WITHOUT_LATE, ALL } done[KINDS];
static char folder[PATH_MAX];

void domu_plugin_dir_set(const char *dir)
{
	snprintf(folder, sizeof folder, "%s", dir);
}

const char *domu_plugin_dir(void)
{
	char *dir = folder;
	char probe[PATH_MAX + 16];
	struct stat st;
	ssize_t n;
	char *slash;

	if (dir[0] != '\0')
		return dir;
	n = readlink("/proc/self/exe", dir, sizeof folder - 16);
	if (n > 0) {
		dir[n] = '\0';
		slash = strrchr(dir, '/');
		if (slash != NULL) {
			memcpy(slash, "/plugins", sizeof "/plugins");
			snprintf(probe, sizeof probe, "%s/source-path.so", dir);
			/* access(2) would make credentials for it: four times as slow. */
			if (stat(probe, &st) == 0)
				return dir;
		}
	}
	snprintf(dir, sizeof folder, "%s", PLUGINDIR);
	return dir;
}

char *domu_plugin_file(const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", domu_plugin_dir(), name) < 0)
		return NULL;
	if (access(path, R_OK) != 0) {
		free(path);
		return NULL;
	}
	return path;
}

/* By priority, behind the first that are loaded already. */
static void insert(const struct domu_plugin *p, size_t first)
{
	const struct domu_plugin **v = loaded[p->kind];
	size_t i = first;

	while (v[i] != NULL)
		i++;
	for (; i > first && v[i - 1]->priority > p->priority; i--)
		v[i] = v[i - 1];
	v[i] = p;
}

static bool load_one(struct domu_ctx *ctx, enum domu_plugin_kind kind, const char *file, size_t first)
{
	const struct domu_plugin *(*entry)(void);
	const struct domu_plugin *p;
	char path[PATH_MAX];
	void *handle;

	if (snprintf(path, sizeof path, "%s/%s", domu_plugin_dir(), file) >= (int)sizeof path)
		return false;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		domu_say(ctx, DOMU_WARNING, "plugin %s: %s", file, dlerror());
		return false;
	}
	*(void **)&entry = dlsym(handle, DOMU_PLUGIN_ENTRY);
	p = entry != NULL ? entry() : NULL;
	if (p == NULL || p->api != DOMU_PLUGIN_API || p->kind != kind || p->ops == NULL) {
		domu_say(ctx, DOMU_WARNING, "plugin %s: not a %splugin of API %d", file, prefix[kind], DOMU_PLUGIN_API);
		dlclose(handle);
		return false;
	}
	insert(p, first);
	return true;
}

/* The length of NAME in NAME.so; 0: no such file. */
static size_t stem(const char *file, enum domu_plugin_kind kind)
{
	size_t len = strlen(file);

	return strncmp(file, prefix[kind], strlen(prefix[kind])) == 0 && len > 3 && strcmp(file + len - 3, ".so") == 0
	           ? len - 3
	           : 0;
}

/* Is there a NAME.late beside NAME.so? */
static bool is_late(struct dirent *const *list, int count, const char *file, size_t len)
{
	for (int i = 0; i < count; i++)
		if (strncmp(list[i]->d_name, file, len) == 0 && strcmp(list[i]->d_name + len, ".late") == 0)
			return true;
	return false;
}

static void load_some(struct domu_ctx *ctx, enum domu_plugin_kind kind, struct dirent *const *list, int count,
                      bool late)
{
	size_t n = 0, first;

	while (loaded[kind][n] != NULL)
		n++;
	first = n;
	for (int i = 0; i < count && n < MAX_PLUGINS; i++) {
		size_t len = stem(list[i]->d_name, kind);

		if (len > 0 && is_late(list, count, list[i]->d_name, len) == late)
			n += load_one(ctx, kind, list[i]->d_name, first);
	}
}

static int load(struct domu_ctx *ctx, enum domu_plugin_kind kind, bool all)
{
	struct dirent **list;
	int count;

	if (done[kind] == ALL || (done[kind] == WITHOUT_LATE && !all))
		return 0;
	count = scandir(domu_plugin_dir(), &list, NULL, alphasort);
	if (count < 0)
		return domu_fail(ctx, DOMU_FAILED, -errno, "cannot read the plugin folder %s: %s", domu_plugin_dir(),
		                 strerror(errno));
	if (done[kind] == NOTHING)
		load_some(ctx, kind, list, count, false);
	if (all)
		load_some(ctx, kind, list, count, true);
	done[kind] = all ? ALL : WITHOUT_LATE;
	while (count > 0)
		free(list[--count]);
	free(list);
	return 0;
}

int domu_plugins_load(struct domu_ctx *ctx, enum domu_plugin_kind kind)
{
	return load(ctx, kind, true);
}

int domu_plugins_load_first(struct domu_ctx *ctx, enum domu_plugin_kind kind)
{
	return load(ctx, kind, false);
}

const struct domu_plugin *const *domu_plugins(enum domu_plugin_kind kind)
{
	return loaded[kind];
}
