/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-base-plugins.c - which plugins are loaded when, and in which order they are asked. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/plugins.h"

static char dir[] = "/tmp/domu-plugins.XXXXXX";
static struct domu_ctx ctx;
static unsigned warnings;

static void message(void *user, enum domu_level level, const char *text)
{
	(void)user;
	(void)text;
	warnings += level == DOMU_WARNING;
}

static void put(const char *name, const char *target)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	if (target != NULL)
		cr_assert_eq(symlink(target, path), 0, "%s: %s", path, strerror(errno));
	else
		close(open(path, O_CREAT | O_WRONLY, 0600));
}

/* The plugins of the build, linked where a test may put marks beside them. */
static void put_plugin(const char *name, const char *as)
{
	char target[PATH_MAX];

	snprintf(target, sizeof target, BUILDDIR "/plugins/%s", name);
	cr_assert_eq(access(target, R_OK), 0, "%s", target);
	put(as, target);
}

static void setup(void)
{
	cr_assert_not_null(mkdtemp(dir));
	domu_ctx_init(&ctx);
	ctx.cb.message = message;
	domu_plugin_dir_set(dir);
	put_plugin("fs-ext.so", "fs-ext.so"); /* priority 10 */
	put_plugin("fs-appliance.so", "fs-appliance.so"); /* priority 90 */
	put_plugin("source-path.so", "source-path.so");
}

static void teardown(void)
{
	char command[64];

	snprintf(command, sizeof command, "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
	domu_ctx_free(&ctx);
}

static void names_are(enum domu_plugin_kind kind, const char *want)
{
	char got[256] = "";

	for (const struct domu_plugin *const *p = domu_plugins(kind); *p != NULL; p++) {
		size_t n = strlen(got);

		snprintf(got + n, sizeof got - n, "%s%s", n > 0 ? " " : "", (*p)->name);
	}
	cr_assert_str_eq(got, want);
}

TestSuite(plugins, .init = setup, .fini = teardown);

Test(plugins, without_a_mark_all_are_loaded_at_once_by_priority)
{
	cr_assert_eq(domu_plugins_load_first(&ctx, DOMU_PLUGIN_FS), 0);
	names_are(DOMU_PLUGIN_FS, "fs-ext fs-appliance");
	names_are(DOMU_PLUGIN_SOURCE, "");
	cr_assert_eq(domu_plugins_load(&ctx, DOMU_PLUGIN_FS), 0);
	names_are(DOMU_PLUGIN_FS, "fs-ext fs-appliance");
}

Test(plugins, a_late_one_is_loaded_when_all_are_asked_for_and_stands_behind_the_others)
{
	put("fs-ext.late", NULL);
	cr_assert_eq(domu_plugins_load_first(&ctx, DOMU_PLUGIN_FS), 0);
	names_are(DOMU_PLUGIN_FS, "fs-appliance");
	cr_assert_eq(domu_plugins_load(&ctx, DOMU_PLUGIN_FS), 0);
	names_are(DOMU_PLUGIN_FS, "fs-appliance fs-ext");
	cr_assert_eq(domu_plugins_load(&ctx, DOMU_PLUGIN_FS), 0);
	names_are(DOMU_PLUGIN_FS, "fs-appliance fs-ext");
}

Test(plugins, the_order_is_the_same_when_all_are_loaded_at_once)
{
	put("fs-ext.late", NULL);
	cr_assert_eq(domu_plugins_load(&ctx, DOMU_PLUGIN_FS), 0);
	names_are(DOMU_PLUGIN_FS, "fs-appliance fs-ext");
}

Test(plugins, a_mark_is_of_one_whole_name)
{
	put("fs-appliance.lately", NULL);
	put("fs.late", NULL);
	put("fs-ex.late", NULL);
	put("fs-gone.late", NULL);
	cr_assert_eq(domu_plugins_load_first(&ctx, DOMU_PLUGIN_FS), 0);
	names_are(DOMU_PLUGIN_FS, "fs-ext fs-appliance");
	cr_assert_eq(warnings, 0);
}

Test(plugins, what_is_no_plugin_is_a_warning_and_the_rest_goes_on)
{
	put_plugin("source-path.so", "fs-wrong-kind.so");
	put("fs-empty.so", NULL);
	cr_assert_eq(domu_plugins_load(&ctx, DOMU_PLUGIN_FS), 0);
	names_are(DOMU_PLUGIN_FS, "fs-ext fs-appliance");
	cr_assert_eq(warnings, 2);
}
