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
static bool done[KINDS];
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

static void load_one(struct domu_ctx *ctx, enum domu_plugin_kind kind, const char *file, size_t *n)
{
	const struct domu_plugin *(*entry)(void);
	const struct domu_plugin *p;
	char path[PATH_MAX];
	void *handle;
	size_t i;

	if (snprintf(path, sizeof path, "%s/%s", domu_plugin_dir(), file) >= (int)sizeof path)
		return;
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		domu_say(ctx, DOMU_WARNING, "plugin %s: %s", file, dlerror());
		return;
	}
	*(void **)&entry = dlsym(handle, DOMU_PLUGIN_ENTRY);
	p = entry != NULL ? entry() : NULL;
	if (p == NULL || p->api != DOMU_PLUGIN_API || p->kind != kind || p->ops == NULL) {
		domu_say(ctx, DOMU_WARNING, "plugin %s: not a %splugin of API %d", file, prefix[kind], DOMU_PLUGIN_API);
		dlclose(handle);
		return;
	}
	for (i = *n; i > 0 && loaded[kind][i - 1]->priority > p->priority; i--)
		loaded[kind][i] = loaded[kind][i - 1];
	loaded[kind][i] = p;
	++*n;
}

int domu_plugins_load(struct domu_ctx *ctx, enum domu_plugin_kind kind)
{
	struct dirent **list;
	size_t n = 0;
	int count;

	if (done[kind])
		return 0;
	count = scandir(domu_plugin_dir(), &list, NULL, alphasort);
	if (count < 0)
		return domu_fail(ctx, DOMU_FAILED, -errno, "cannot read the plugin folder %s: %s", domu_plugin_dir(),
		                 strerror(errno));
	for (int i = 0; i < count; i++) {
		const char *name = list[i]->d_name;
		size_t len = strlen(name);

		if (n < MAX_PLUGINS && strncmp(name, prefix[kind], strlen(prefix[kind])) == 0 && len > 3 &&
		    strcmp(name + len - 3, ".so") == 0)
			load_one(ctx, kind, name, &n);
		free(list[i]);
	}
	free(list);
	done[kind] = true;
	return 0;
}

const struct domu_plugin *const *domu_plugins(enum domu_plugin_kind kind)
{
	return loaded[kind];
}
