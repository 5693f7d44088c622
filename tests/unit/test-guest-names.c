/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-guest-names.c - arguments taken apart, which files count, which disk names are the same. */
#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "guest/guest.h"

static void same(const char *arg, const char *what, const char *got, const char *want)
{
	if (want == NULL)
		cr_assert_null(got, "%s: %s is %s", arg, what, got);
	else
		cr_assert(got != NULL && strcmp(got, want) == 0, "%s: %s is %s, not %s", arg, what,
		          got != NULL ? got : "NULL", want);
}

static void parse(const char *arg, bool want_guest, bool host, const char *guest, const char *at, const char *path)
{
	struct domu_target t;

	cr_assert_eq(domu_target_parse(NULL, arg, want_guest, &t), 0, "%s", arg);
	cr_assert_eq(t.host, host, "%s", arg);
	same(arg, "guest", t.guest, guest);
	same(arg, "at", t.at, at);
	same(arg, "path", t.path, path);
	domu_target_free(&t);
}

Test(target, a_name_alone_is_a_guest_where_one_is_wanted)
{
	parse("web1", true, false, "web1", NULL, NULL);
	parse("web1", false, true, NULL, NULL, "web1");
	parse("/images/a.img", true, false, "/images/a.img", NULL, NULL);
	parse("./a.img", true, false, "./a.img", NULL, NULL);
}

Test(target, the_first_colon_slash_splits)
{
	parse("web1:/etc/fstab", false, false, "web1", NULL, "/etc/fstab");
	parse("web1:/a:/b", true, false, "web1", NULL, "/a:/b");
	parse("we:b1:/a", true, false, "we:b1", NULL, "/a");
	parse("web1:/", true, false, "web1", NULL, "/");
	parse("images/a.img:/etc", false, false, "images/a.img", NULL, "/etc");
	parse("/images/a.img:/etc", true, false, "/images/a.img", NULL, "/etc");
}

Test(target, a_host_path_has_no_split_or_starts_with_slash_or_dot)
{
	parse("file", false, true, NULL, NULL, "file");
	parse("web1:etc", false, true, NULL, NULL, "web1:etc");
	parse("/tmp/a:/b", false, true, NULL, NULL, "/tmp/a:/b");
	parse("./a:/b", false, true, NULL, NULL, "./a:/b");
	parse("web1@xvda3", false, true, NULL, NULL, "web1@xvda3");
}

Test(target, a_device_is_cut_off_only_where_it_looks_like_one)
{
	parse("web1@xvda3:/etc", true, false, "web1", "xvda3", "/etc");
	parse("web1@xvda3", true, false, "web1", "xvda3", NULL);
	parse("web1@vg0/root:/etc", true, false, "web1", "vg0/root", "/etc");
	parse("web1@/dev/vg0/root:/etc", true, false, "web1", "/dev/vg0/root", "/etc");
	parse("web1@UUID=1234-5678:/", true, false, "web1", "UUID=1234-5678", "/");
	parse("web1@LABEL=my root:/", true, false, "web1", "LABEL=my root", "/");
	parse("web1@LABEL=a@b:/", true, false, "web1", "LABEL=a@b", "/");
	parse("mail@example:/etc", true, false, "mail@example", NULL, "/etc");
	parse("mail@example@sdb:/etc", true, false, "mail@example", "sdb", "/etc");
	parse("web1@:/etc", true, false, "web1@", NULL, "/etc");
	parse("web1@UUID=:/etc", true, false, "web1@UUID=", NULL, "/etc");
	parse("web1:/home/a@xvda1", true, false, "web1", NULL, "/home/a@xvda1");
	parse("web1@a/b/c", true, false, "web1@a/b/c", NULL, NULL);
}

Test(target, no_name_before_the_split_is_the_guest_of_the_options)
{
	parse(":/etc/fstab", false, false, "", NULL, "/etc/fstab");
	parse("@xvda2:/etc", true, false, "", "xvda2", "/etc");
}

Test(target, an_empty_argument_is_an_error)
{
	struct domu_target t;

	cr_assert_lt(domu_target_parse(NULL, "", true, &t), 0);
}

Test(names, configs_are_known_by_their_names)
{
	static const char *const yes[] = { "web1", "web1.cfg", "a.b.cfg", "x.xl", "x.hvm",
		                           "x.pv", "x.pvh",    "web-1_a", NULL };
	static const char *const no[] = { "xl.conf",
		                          "xlexample.hvm",
		                          "xlexample.pvlinux",
		                          "xlexample",
		                          "web1.cfg~",
		                          "web1~",
		                          "#web1#",
		                          ".web1.cfg.swp",
		                          ".cfg",
		                          "web1.cfg.dpkg-old",
		                          "web1.rpmsave",
		                          "web1.bak",
		                          "web1.cfg.orig",
		                          "oxenstored.conf",
		                          "README.debian",
		                          "",
		                          ".",
		                          "..",
		                          NULL };

	for (const char *const *p = yes; *p != NULL; p++)
		cr_assert(domu_config_name_counts(*p), "%s", *p);
	for (const char *const *p = no; *p != NULL; p++)
		cr_assert_not(domu_config_name_counts(*p), "%s", *p);
	cr_assert(domu_config_suffix("/etc/xen/web1.cfg"));
	cr_assert(domu_config_suffix("./web1.pvh"));
	cr_assert_not(domu_config_suffix("/etc/xen/web1"));
	cr_assert_not(domu_config_suffix("/etc/x.cfg/web1.img"));
	cr_assert_not(domu_config_suffix("/etc/xen/.cfg"));
}

Test(names, prefixes_of_disk_names_do_not_matter)
{
	cr_assert_eq(domu_vdev_compare("xvda", "sda"), 0);
	cr_assert_eq(domu_vdev_compare("hda3", "xvda3"), 0);
	cr_assert_eq(domu_vdev_compare("/dev/sdb1", "xvdb1"), 0);
	cr_assert_neq(domu_vdev_compare("xvda", "xvdb"), 0);
	cr_assert_neq(domu_vdev_compare("xvda", "vda"), 0);
	cr_assert_eq(domu_vdev_compare("vda", "vda"), 0);
	cr_assert_neq(domu_vdev_compare("xvda1", "xvda"), 0);
}
