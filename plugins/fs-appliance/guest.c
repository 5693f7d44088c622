/* SPDX-License-Identifier: GPL-3.0-or-later */
/* guest.c - libguestfs loaded, and its failures turned into ours. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "guest.h"

#define SONAME        "libguestfs.so.0"
#define GUEST_PACKAGE "libguestfs0"

int guest_load(struct domu_ctx *ctx, struct guest_lib *lib)
{
	static const char *const names[] = {
#define X(name) "guestfs_" #name,
		GUEST_FUNCTIONS(X)
#undef X
	};
	void **const slots[] = {
#define X(name) (void **)&lib->name,
		GUEST_FUNCTIONS(X)
#undef X
	};

	lib->handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
	if (lib->handle == NULL)
		return domu_fail(ctx, DOMU_UNSUPPORTED, -ENOENT,
		                 "this filesystem needs the appliance: install the package " GUEST_PACKAGE " (%s)",
		                 dlerror());
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		*slots[i] = dlsym(lib->handle, names[i]);
		if (*slots[i] == NULL)
			return domu_fail(ctx, DOMU_UNSUPPORTED, -ENOSYS, SONAME " has no %s: it is too old", names[i]);
	}
	return 0;
}

int guest_errno(struct domu_fs *fs)
{
	int err = app(fs)->guest->lib.last_errno(app(fs)->guest->g);

	return err > 0 ? -err : -EIO;
}

int guest_fail(struct domu_fs *fs, const char *what, const char *name)
{
	struct guest *g = app(fs)->guest;
	int err = g->lib.last_errno(g->g);
	const char *text = g->lib.last_error(g->g);
	enum domu_status status = err == ENOENT                         ? DOMU_NOTFOUND
	                          : err == EOPNOTSUPP || err == ENOTSUP ? DOMU_UNSUPPORTED
	                                                                : DOMU_FAILED;

	if (err > 0)
		return domu_fail(fs->ctx, status, -err, "%s: cannot %s %s: %s", fs->block->name, what, name,
		                 strerror(err));
	return domu_fail(fs->ctx, DOMU_FAILED, -EIO, "%s: cannot %s %s: %.200s", fs->block->name, what, name,
	                 text != NULL ? text : "the appliance does not say why");
}

char *guest_shell(struct guest *g, const char *command)
{
	char text[1024];
	char *args[] = { text, NULL };

	if (snprintf(text, sizeof text, "%s", command) >= (int)sizeof text)
		return NULL;
	return g->lib.debug(g->g, "sh", args);
}
