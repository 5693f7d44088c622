/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-guest-xl.c - xl configs: every disk syntax of xl-disk-configuration(5), names, links, and what is wrong. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/guest-help.h"

static struct bench b;

static void open_bench(void)
{
	bench_open(&b);
}

static void close_bench(void)
{
	bench_close(&b);
}

TestSuite(xl, .init = open_bench, .fini = close_bench, .timeout = 600);

static struct domu_guest *find(const char *name)
{
	struct domu_guest *g = NULL;

	domu_error_clear(&b.ctx);
	cr_assert_eq(domu_guest_find(&b.ctx, &b.where, name, &g), 0, "%s: %s", name, b.ctx.error.message);
	return g;
}

static void refused(const char *name, enum domu_status status, const char *word, const char *word2)
{
	struct domu_guest *g = NULL;

	domu_error_clear(&b.ctx);
	cr_assert_lt(domu_guest_find(&b.ctx, &b.where, name, &g), 0, "%s %s", name, word2);
	cr_assert_eq(b.ctx.error.status, status, "%s: %s", name, b.ctx.error.message);
	cr_assert(strstr(b.ctx.error.message, word) != NULL && strstr(b.ctx.error.message, word2) != NULL, "%s: %s",
	          name, b.ctx.error.message);
	cr_assert_null(strchr(b.ctx.error.message, '\n'));
}

/* What the manual page says each of them means.  BESIDE/ is the config's folder. */
static const struct {
	const char *spec, *vdev, *path, *format;
	bool readonly, cdrom;
	const char *script, *backend;
} specs[] = {
	/* the four that "are equivalent" */
	{ "/dev/vg/guest-volume,,hda", "hda", "/dev/vg/guest-volume", "raw", false, false, NULL, NULL },
	{ "/dev/vg/guest-volume,raw,hda,rw", "hda", "/dev/vg/guest-volume", "raw", false, false, NULL, NULL },
	{ "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume", "hda", "/dev/vg/guest-volume", "raw", false,
	  false, NULL, NULL },
	{ "raw:/dev/vg/guest-volume,hda,w", "hda", "/dev/vg/guest-volume", "raw", false, false, NULL, NULL },
	/* and the cdroms */
	{ "/root/image.iso,,hdc,cdrom", "hdc", "/root/image.iso", "raw", true, true, NULL, NULL },
	{ "/root/image.iso,,hdc,,cdrom", "hdc", "/root/image.iso", "raw", true, true, NULL, NULL },
	{ "/root/image.iso,raw,hdc,devtype=cdrom", "hdc", "/root/image.iso", "raw", true, true, NULL, NULL },
	{ "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso", "hdc", "/root/image.iso", "raw",
	  true, true, NULL, NULL },
	{ "raw:/root/image.iso,hdc:cdrom,ro", "hdc", "/root/image.iso", "raw", true, true, NULL, NULL },
	{ ",hdc:cdrom,r", "hdc", NULL, "raw", true, true, NULL, NULL },
	{ "vdev=hdc,cdrom", "hdc", NULL, "raw", true, true, NULL, NULL },
	/* access */
	{ "/x,raw,xvda,r", "xvda", "/x", "raw", true, false, NULL, NULL },
	{ "/x,raw,xvda,ro", "xvda", "/x", "raw", true, false, NULL, NULL },
	{ "/x,raw,xvda,w", "xvda", "/x", "raw", false, false, NULL, NULL },
	{ "/x,raw,xvda", "xvda", "/x", "raw", false, false, NULL, NULL },
	/* formats */
	{ "/x,qcow,xvda", "xvda", "/x", "qcow", false, false, NULL, NULL },
	{ "/x,qcow2,xvda", "xvda", "/x", "qcow2", false, false, NULL, NULL },
	{ "/x,vhd,xvda", "xvda", "/x", "vhd", false, false, NULL, NULL },
	{ "/x,qed,xvda", "xvda", "/x", "qed", false, false, NULL, NULL },
	{ "/x.qcow2,,xvda", "xvda", "/x.qcow2", "raw", false, false, NULL, NULL },
	{ "qcow2:/x,xvda,w", "xvda", "/x", "qcow2", false, false, NULL, NULL },
	{ "vhd:/x,xvda,w", "xvda", "/x", "vhd", false, false, NULL, NULL },
	/* target= takes the whole rest */
	{ "vdev=xvda,target=/a=b,c=d,format=qcow2", "xvda", "/a=b,c=d,format=qcow2", "raw", false, false, NULL, NULL },
	{ "vdev=xvda,access=ro,target=/a:b", "xvda", "/a:b", "raw", true, false, NULL, NULL },
	/* prefixes "stripped and ignored" */
	{ "phy:/dev/vg/a,xvda,w", "xvda", "/dev/vg/a", "raw", false, false, NULL, NULL },
	{ "file:/images/a.img,xvda,w", "xvda", "/images/a.img", "raw", false, false, NULL, NULL },
	{ "tap:aio:/images/a.img,xvda,w", "xvda", "/images/a.img", "raw", false, false, NULL, NULL },
	{ "tap2:/images/a.img,xvda,w", "xvda", "/images/a.img", "raw", false, false, NULL, NULL },
	{ "tap2:tapdisk:qcow2:/images/a,xvda,w", "xvda", "/images/a", "qcow2", false, false, NULL, NULL },
	{ "tap:qcow2:/images/a,xvda,w", "xvda", "/images/a", "qcow2", false, false, NULL, NULL },
	{ "file:/images/a.img,ioemu:hda,w", "hda", "/images/a.img", "raw", false, false, NULL, NULL },
	/* paths without a slash in front */
	{ "phy:vg/lv,xvda,w", "xvda", "/dev/vg/lv", "raw", false, false, NULL, NULL },
	{ "vg/lv,raw,xvda,w", "xvda", "/dev/vg/lv", "raw", false, false, NULL, NULL },
	{ "phy:sdz9,xvda1,w", "xvda1", "/dev/sdz9", "raw", false, false, NULL, NULL },
	{ "file:disk.img,xvda,w", "xvda", "BESIDE/disk.img", "raw", false, false, NULL, NULL },
	{ "tap:aio:disk.img,xvda,w", "xvda", "BESIDE/disk.img", "raw", false, false, NULL, NULL },
	{ "tap:aio:a,xvda,w", "xvda", "BESIDE/a", "raw", false, false, NULL, NULL },
	{ "phy:p,xvda,w", "xvda", "/dev/p", "raw", false, false, NULL, NULL },
	{ "./disk.img,raw,xvda,w", "xvda", "BESIDE/./disk.img", "raw", false, false, NULL, NULL },
	{ "here.img,raw,xvda,w", "xvda", "BESIDE/here.img", "raw", false, false, NULL, NULL },
	{ "null,raw,xvda,w", "xvda", "/dev/null", "raw", false, false, NULL, NULL },
	/* scripts and driver domains */
	{ "drbd:res0,xvda,w", "xvda", "res0", "raw", false, false, "block-drbd", NULL },
	{ "iscsi:iqn.2001-05.com.example,xvda,w", "xvda", "iqn.2001-05.com.example", "raw", false, false, "block-iscsi",
	  NULL },
	{ "script=block-mine,vdev=xvda,target=a:b,c", "xvda", "a:b,c", "raw", false, false, "block-mine", NULL },
	{ "backend=storage,vdev=xvda,target=/dev/a", "xvda", "/dev/a", "raw", false, false, NULL, "storage" },
	/* flags that do not concern us */
	{ "/x,raw,xvda,rw,direct-io-safe,no-discard,backendtype=qdisk", "xvda", "/x", "raw", false, false, NULL, NULL },
	{ "specification=virtio,vdev=xvda,target=/x", "xvda", "/x", "raw", false, false, NULL, NULL },
};

static void check_text(const char *spec, const char *what, const char *got, const char *want)
{
	cr_assert((got == NULL) == (want == NULL), "%s: %s is %s, not %s", spec, what, got ? got : "NULL",
	          want ? want : "NULL");
	if (want != NULL)
		cr_assert_str_eq(got, want, "%s: %s is %s, not %s", spec, what, got, want);
}

Test(xl, every_disk_syntax_of_the_manual_page_is_read_as_it_says)
{
	bench_image(&b, "here.img", 4096);
	bench_image(&b, "null", 4096); /* what is in /dev comes first */
	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
		char text[512], want[512];
		struct domu_guest *g;
		struct domu_disk *d;

		snprintf(text, sizeof text, "name = \"web1\"\ndisk = [ '%s' ]\n", specs[i].spec);
		bench_file(&b, "web1.cfg", text);
		g = find("web1");
		cr_assert_eq(g->n_disks, 1, "%s", specs[i].spec);
		d = &g->disks[0];
		snprintf(want, sizeof want, "%s", specs[i].path != NULL ? specs[i].path : "");
		if (strncmp(want, "BESIDE/", 7) == 0)
			snprintf(want, sizeof want, "%s/%s", b.dir, specs[i].path + 7);
		check_text(specs[i].spec, "path", d->path, specs[i].path != NULL ? want : NULL);
		check_text(specs[i].spec, "vdev", d->vdev, specs[i].vdev);
		check_text(specs[i].spec, "format", d->format, specs[i].format);
		check_text(specs[i].spec, "script", d->script, specs[i].script);
		check_text(specs[i].spec, "backend", d->backend, specs[i].backend);
		cr_assert_eq(d->readonly, specs[i].readonly, "%s: readonly", specs[i].spec);
		cr_assert_eq(d->cdrom, specs[i].cdrom, "%s: cdrom", specs[i].spec);
		domu_guest_free(g);
	}
}

Test(xl, what_xl_rejects_is_one_clear_line)
{
	static const char *const bad[][2] = {
		{ "/x,raw,xvda,w!", "w!" },
		{ "/x,vmdk,xvda,w", "vmdk" },
		{ "/x", "vdev" },
		{ "/x,xvda,w", "format" },
		{ "", "vdev" },
		{ "/x,raw,xvda,w,more", "positional" },
		{ "/x,raw,xvda,devtype=tape", "devtype" },
		{ "/x,raw,xvda,unknown=1", "unknown" },
		{ ",raw,xvda,w", "no target" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[512];

		snprintf(text, sizeof text, "name = \"web1\"\ndisk = [ '%s' ]\n", bad[i][0]);
		bench_file(&b, "web1.cfg", text);
		refused("web1", DOMU_FAILED, "web1.cfg", bad[i][1]);
		refused(bench_path(&b, "web1.cfg"), DOMU_FAILED, "web1.cfg", bad[i][1]);
	}
}

Test(xl, several_disks_keep_their_order)
{
	struct domu_guest *g;

	bench_file(&b, "web1", "name='web1'\ndisk=['/a,raw,xvda2,w',\n  '/b,raw,xvda1,w', ',hdc:cdrom,r', ]\n");
	g = find("web1");
	cr_assert_eq(g->n_disks, 3);
	cr_assert_str_eq(g->disks[0].vdev, "xvda2");
	cr_assert_str_eq(g->disks[1].vdev, "xvda1");
	cr_assert(g->disks[2].cdrom);
	domu_guest_free(g);
	bench_file(&b, "web1", "name='web1'\ndisk=['/a,raw,xvda,w','/b,raw,xvda,w']\n");
	refused("web1", DOMU_FAILED, "two disks", "xvda");
}

Test(xl, the_root_is_what_the_kernel_would_take)
{
	static const char *const cases[][2] = {
		{ "root='/dev/xvda2 ro'", "/dev/xvda2" },
		{ "root='/dev/xvda2 ro'\nextra='quiet root=/dev/xvda3'", "/dev/xvda3" },
		{ "extra='root=UUID=1-2 console=hvc0'", "UUID=1-2" },
		{ "root='/dev/xvda2'\ncmdline='root=LABEL=r ro'", "LABEL=r" },
		{ "root='/dev/xvda2'\ncmdline='ro'", NULL },
		{ "extra='noroot=/dev/x'", NULL },
		{ "root='/dev/xvda2'\nextra='rootflags=subvol=@old rootflags=subvol=@,ro quiet'",
		  "/dev/xvda2 rootflags=subvol=@,ro" },
		{ "extra='rootflags=subvol=@'", "rootflags=subvol=@" },
		{ "", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[512];
		struct domu_guest *g;

		snprintf(text, sizeof text, "name='web1'\ndisk=['/a,raw,xvda,w']\n%s\n", cases[i][0]);
		bench_file(&b, "web1", text);
		g = find("web1");
		check_text(cases[i][0], "root", g->root_hint, cases[i][1]);
		domu_guest_free(g);
	}
}

Test(xl, what_starts_it_again_is_what_its_config_says)
{
	static const char *const cases[][2] = {
		{ "", "on_reboot" },
		{ "on_reboot='destroy'", NULL },
		{ "on_poweroff='restart'\non_crash='rename-restart'", "on_poweroff, on_reboot, on_crash" },
		{ "on_crash='coredump-restart'\non_reboot='preserve'", "on_crash" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[512];
		struct domu_guest *g;

		snprintf(text, sizeof text, "name='web1'\ndisk=['/a,raw,xvda,w']\n%s\n", cases[i][0]);
		bench_file(&b, "web1", text);
		g = find("web1");
		check_text(cases[i][0], "restarts", g->restarts, cases[i][1]);
		domu_guest_free(g);
	}
}

#define GOOD(name) "name = '" name "'\ndisk = [ '/images/" name ".img,raw,xvda,w' ]\n"

static size_t list(struct domu_guests *gs)
{
	domu_error_clear(&b.ctx);
	cr_assert_eq(domu_guest_list(&b.ctx, &b.where, gs), 0, "%s", b.ctx.error.message);
	return gs->n;
}

static const struct domu_guest *listed(const struct domu_guests *gs, const char *name)
{
	for (size_t i = 0; i < gs->n; i++)
		if (strcmp(gs->v[i]->name, name) == 0)
			return gs->v[i];
	return NULL;
}

Test(xl, a_list_has_every_guest_once_by_name_and_nothing_else)
{
	struct domu_guests gs;

	bench_file(&b, "zz.cfg", GOOD("alpha"));
	bench_file(&b, "beta", GOOD("beta"));
	bench_file(&b, "gamma.pv", GOOD("gamma"));
	bench_file(&b, "alpha.cfg~", GOOD("alpha"));
	bench_file(&b, "alpha.cfg.dpkg-old", GOOD("alpha"));
	bench_file(&b, "xlexample.hvm", GOOD("example"));
	bench_file(&b, "xl.conf", "autoballoon=\"auto\"\n");
	bench_file(&b, "README", "Read this.  name and disk are explained below\n");
	bench_file(&b, "cpupool", "name = \"Example-Cpupool\"\nsched = \"credit\"\n");
	bench_file(&b, "nodisk.cfg", "name = 'x'\ndisk = []\n");
	bench_file(&b, "noname.cfg", "disk = [ '/a,raw,xvda,w' ]\n");
	cr_assert_eq(mkdir(bench_path(&b, "auto"), 0700), 0);
	cr_assert_eq(mkdir(bench_path(&b, "folder.cfg"), 0700), 0);
	cr_assert_eq(symlink("../zz.cfg", bench_path(&b, "auto/alpha")), 0);
	cr_assert_eq(symlink("zz.cfg", bench_path(&b, "aa")), 0);
	cr_assert_eq(link(bench_path(&b, "beta"), bench_path(&b, "beta.xl")), 0);
	b.dirs[1] = bench_path(&b, "auto");
	cr_assert_eq(list(&gs), 3);
	cr_assert_str_eq(gs.v[0]->name, "alpha");
	cr_assert_str_eq(gs.v[0]->source, bench_path(&b, "zz.cfg"), "the file is shown, not a link to it");
	cr_assert_str_eq(gs.v[1]->name, "beta");
	cr_assert_str_eq(gs.v[2]->name, "gamma");
	for (size_t i = 0; i < 3; i++) {
		cr_assert_null(gs.v[i]->error);
		cr_assert_eq(gs.v[i]->state, DOMU_STATE_STOPPED);
		cr_assert_eq(gs.v[i]->domid, -1);
	}
	domu_guests_free(&gs);
	domu_guest_free(find("alpha"));
}

Test(xl, absent_folders_and_files_in_their_place_hold_no_guests)
{
	struct domu_guests gs;

	b.dirs[0] = bench_file(&b, "file", "");
	cr_assert_eq(list(&gs), 0);
	domu_guests_free(&gs);
	cr_assert_eq(b.warnings, 0);
}

Test(xl, one_name_in_two_files_is_ambiguous)
{
	struct domu_guest *g = NULL;

	bench_file(&b, "a.cfg", GOOD("web1"));
	bench_file(&b, "b.cfg", GOOD("web1"));
	refused("web1", DOMU_USAGE, "a.cfg", "b.cfg");
	b.where.config = bench_path(&b, "b.cfg");
	g = find(NULL);
	cr_assert_str_eq(g->name, "web1");
	domu_guest_free(g);
	g = find("web1");
	domu_guest_free(g);
	refused("web2", DOMU_USAGE, "web1", "web2");
}

Test(xl, the_option_makes_any_file_a_config)
{
	struct domu_guest *g;

	b.where.config = bench_file(&b, "a.img", GOOD("web1"));
	g = find(NULL);
	cr_assert_str_eq(g->name, "web1");
	cr_assert_str_eq(g->disks[0].path, "/images/web1.img");
	domu_guest_free(g);
	b.where.format = "qcow2";
	g = find(NULL);
	cr_assert_str_eq(g->disks[0].format, "qcow2");
	domu_guest_free(g);
	b.where.config = bench_path(&b, "absent.cfg");
	refused(NULL, DOMU_NOTFOUND, "absent.cfg", "No such file");
	b.where.config = bench_file(&b, "empty", "");
	refused(NULL, DOMU_FAILED, "empty", "gives no name");
}

Test(xl, a_guest_that_is_not_there_says_where_was_looked)
{
	refused("nope", DOMU_NOTFOUND, "nope", b.dir);
	refused("web\x01", DOMU_NOTFOUND, "no guest", b.dir);
}

Test(xl, a_config_with_errors_is_one_row_of_the_list_and_not_its_end)
{
	const struct domu_guest *g;
	struct domu_guests gs;
	FILE *f;

	bench_file(&b, "good.cfg", GOOD("good"));
	bench_file(&b, "py", "import os\nname = \"py\"\ndisk = [ 'phy:/x,xvda,w' ]\nif os: pass\n");
	bench_file(&b, "excl.cfg", "name='excl'\ndisk=['/x,raw,xvda,w!']\n");
	bench_file(&b, "text.cfg", "this is no config\n");
	bench_file(&b, "list.cfg", "name='list'\ndisk='/x,raw,xvda,w'\n");
	bench_file(&b, "namelist.cfg", "name=['a']\ndisk=['/x,raw,xvda,w']\n");
	bench_image(&b, "zeros.cfg", 4096);
	bench_image(&b, "huge.cfg", (1u << 20) + 1);
	cr_assert_eq(mkfifo(bench_path(&b, "fifo.cfg"), 0600), 0);
	cr_assert_eq(symlink("nowhere", bench_path(&b, "dangling.cfg")), 0);
	/* Shorter, and longer, than the kernel says. */
	cr_assert_eq(symlink("/sys/devices/system/cpu/online", bench_path(&b, "shrinks.cfg")), 0);
	cr_assert_eq(symlink("/proc/self/status", bench_path(&b, "grows.cfg")), 0);
	f = fopen(bench_path(&b, "garbage.cfg"), "we");
	for (int i = 1; i < 4000; i++)
		putc(i * 7919 % 255 + 1, f);
	fclose(f);
	list(&gs);
	g = listed(&gs, "good");
	cr_assert(g != NULL && g->error == NULL);
	static const char *const bad[][2] = {
		{ "py", "syntax error" },
		{ "excl", "w!" },
		{ "text", "syntax error" },
		{ "list", "not a list" },
		{ "zeros", "not a text" },
		{ "huge", "1 MiB" },
		{ "fifo", "not a file" },
		{ "dangling", "No such file" },
		{ "garbage", "garbage.cfg" },
		{ "namelist", "name" },
		{ "shrinks", "changes while it is read" },
		{ "grows", "changes while it is read" },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		g = listed(&gs, bad[i][0]);
		cr_assert(g != NULL && g->error != NULL, "%s", bad[i][0]);
		cr_assert_not_null(strstr(g->error, bad[i][1]), "%s", g->error);
		cr_assert_null(strpbrk(g->error, "\n\r\x1b"), "%s", g->error);
		cr_assert_leq(strlen(g->error), 300);
	}
	cr_assert_eq(gs.n, 13);
	domu_guests_free(&gs);
	refused("py", DOMU_FAILED, "syntax error", "py");
}

Test(xl, a_hostile_name_is_an_error_and_not_a_guest)
{
	static const char *const names[] = {
		"a/b", "..", ".hidden", "-rf", "", "a\\x1b[31m", "a\x1b[31m", "a\\nb", NULL
	};
	char longname[600];

	for (const char *const *n = names; *n != NULL; n++) {
		struct domu_guests gs;
		char text[256];

		snprintf(text, sizeof text, "name = \"%s\"\ndisk = [ '/x,raw,xvda,w' ]\n", *n);
		bench_file(&b, "x.cfg", text);
		cr_assert_eq(list(&gs), 1, "%s", *n);
		cr_assert_not_null(gs.v[0]->error, "%s", *n);
		cr_assert_null(strpbrk(gs.v[0]->error, "\n\x1b"));
		domu_guests_free(&gs);
	}
	memset(longname, 'a', sizeof longname);
	snprintf(longname, sizeof longname, "name='%.*s'\ndisk=['/x,raw,xvda,w']\n", 300,
	         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	bench_file(&b, "x.cfg", longname);
	domu_guest_free(find("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

Test(xl, an_overlong_name_is_an_error)
{
	struct domu_guests gs;
	char text[700], name[301];

	memset(name, 'n', 300);
	name[300] = '\0';
	snprintf(text, sizeof text, "name='%s'\ndisk=['/x,raw,xvda,w']\n", name);
	bench_file(&b, "x.cfg", text);
	cr_assert_eq(list(&gs), 1);
	cr_assert_not_null(strstr(gs.v[0]->error, "too long"));
	domu_guests_free(&gs);
}

Test(xl, nothing_is_printed)
{
	char path[512], line[64] = "";
	struct domu_guests gs;
	FILE *f;
	int fd = dup(2);

	bench_file(&b, "bad.cfg", "name = \"x\ndisk = [\n");
	bench_file(&b, "bad2.cfg", "name='y'\ndisk=['/x,vmdk,xvda']\n");
	snprintf(path, sizeof path, "%s", bench_path(&b, "stderr"));
	cr_assert_not_null(freopen(path, "w", stderr));
	list(&gs);
	fflush(stderr);
	dup2(fd, 2);
	f = fopen(path, "re");
	cr_assert_null(fgets(line, sizeof line, f), "%s", line);
	fclose(f);
	cr_assert_eq(gs.n, 2);
	domu_guests_free(&gs);
}
