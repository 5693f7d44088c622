/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lib.c - libraries that only some commands need. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>

#include "base/ctx.h"
#include "base/lib.h"

/* The process's, as dlopen(3) is. */
static bool closed;

void domu_lib_close(void)
{
	closed = true;
}

int domu_lib_load(struct domu_ctx *ctx, struct domu_lib *lib)
{
	void *h;

	if (lib->loaded)
		return 0;
	if (closed)
		return -ELIBACC;
	h = dlopen(lib->soname, RTLD_LAZY | RTLD_LOCAL);
	if (h == NULL)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "a library is missing: %s", dlerror());
	for (size_t i = 0; lib->names[i] != NULL; i++) {
		lib->symbols[i] = dlsym(h, lib->names[i]);
		if (lib->symbols[i] == NULL) {
			dlclose(h);
			return domu_fail(ctx, DOMU_UNSUPPORTED, -EOPNOTSUPP, "the library %s is too old: it has no %s",
			                 lib->soname, lib->names[i]);
		}
	}
	lib->loaded = true;
	return 0;
}
