/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-guest-toolstack.c - libvirt, Qubes and XAPI by their files; who else has a disk, and who starts it. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/owners.h"
#include "guest/toolstack.h"
#include "guest/xml.h"
#include "tests/unit/guest-help.h"

static struct bench b;
static struct domu_toolstacks ts;

static void open_bench(void)
{
	bench_open(&b);
	b.where.root = b.dir;
}

static void close_bench(void)
{
	domu_toolstacks_free(&ts);
	bench_close(&b);
}

TestSuite(toolstack, .init = open_bench, .fini = close_bench, .timeout = 600);

/* A file below the folder that stands for the host's root. */
static void host_file(const char *path, const char *text)
{
	char dir[512];

	snprintf(dir, sizeof dir, "%s/%s", b.dir, path);
	*strrchr(dir, '/') = '\0';
	cr_assert_eq(run("mkdir", "-p", dir), 0);
	bench_file(&b, path, text);
}

static const struct domu_toolstack *one(const char *name, size_t guests)
{
	domu_toolstacks_free(&ts);
	cr_assert_eq(domu_toolstacks_read(&b.ctx, b.dir, &ts), 0);
	cr_assert_eq(ts.n, 1);
	cr_assert_str_eq(ts.v[0].name, name);
	cr_assert_eq(ts.v[0].n, guests, "%zu guests", ts.v[0].n);
	return &ts.v[0];
}

static void next_is(const struct domu_toolstack *t, size_t guest, const char *want)
{
	char *next = domu_toolstack_next(t, &t->v[guest], NULL);

	cr_assert_str_eq(next, want);
	free(next);
}

static void not_found(const char *name, const char *word, const char *word2)
{
	struct domu_guest *g = NULL;

	domu_error_clear(&b.ctx);
	cr_assert_lt(domu_guest_find(&b.ctx, &b.where, name, &g), 0);
	cr_assert_eq(b.ctx.error.status, DOMU_NOTFOUND);
	cr_assert_not_null(strstr(b.ctx.error.message, word), "%s", b.ctx.error.message);
	cr_assert_not_null(strstr(b.ctx.error.message, word2), "%s", b.ctx.error.message);
}

/* ---- the scanner -------------------------------------------------------------- */

/* Everything that the scanner tells, on one line. */
static char told[4096];

static void tell(const char *what, const char *path, const char *more)
{
	size_t n = strlen(told);

	snprintf(told + n, sizeof told - n, "%s%s%s%s ", what, path, more != NULL ? "=" : "", more != NULL ? more : "");
}

static int tell_open(void *user, const char *path, const struct domu_xml_attr *attrs, size_t n)
{
	(void)user;
	tell("<", path, NULL);
	for (size_t i = 0; i < n; i++)
		tell("@", attrs[i].name, attrs[i].value);
	return 0;
}

static int tell_text(void *user, const char *path, const char *text)
{
	(void)user;
	tell("", path, text);
	return 0;
}

static int tell_close(void *user, const char *path)
{
	(void)user;
	tell(">", path, NULL);
	return 0;
}

static int scan(const char *text, size_t len)
{
	static const struct domu_xml_handler h = { tell_open, tell_text, tell_close };

	told[0] = '\0';
	return domu_xml_scan(text, len, &h, NULL);
}

Test(toolstack, the_scanner_tells_elements_attributes_and_text)
{
	static const char *const good[][2] = {
		{ "<a/>", "<a >a " },
		{ "<?xml version='1.0'?><!-- <x> --><a><b c='1' d = \"2\"/>t</a>", "<a <a/b @c=1 @d=2 >a/b a=t >a " },
		{ "<a b='&lt;&amp;&quot;&apos;&gt;&#65;&#x42;&#xe4;&#x20ac;&#x1f600;'>&amp;</a>",
		  "<a @b=<&\"'>AB\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 a=& >a " },
		{ "<a><b>1</b><b>2</b></a>", "<a <a/b a/b=1 >a/b <a/b a/b=2 >a/b >a " },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cr_assert_eq(scan(good[i][0], strlen(good[i][0])), 0, "%s", good[i][0]);
		cr_assert_str_eq(told, good[i][1]);
	}
}

Test(toolstack, what_is_no_xml_is_an_error_and_not_read_beyond)
{
	static const char *const bad[] = {
		"<",
		"<a",
		"<a>",
		"<a b",
		"<a b=",
		"<a b='",
		"<a b='1'",
		"<a></b>",
		"</a>",
		"<a/></a>",
		"<!-- ",
		"<?xml",
		"<!DOCTYPE a [<!ENTITY x 'y'>]><a/>",
		"<a>&x;</a>",
		"<a>&#0;</a>",
		"<a>&#xd800;</a>",
		"<a>&#1114112;</a>",
		"<a>&#99999999999999999999999;</a>",
		"<a>&#x;</a>",
		"<a>&#-1;</a>",
		"<a>&#65</a>",
		"<a>&",
		"<a b=1/>",
		"<a b='1'c",
		"<1 a='b' />&",
	};
	char deep[4096] = "", *many;
	const char *whole = "<a b='&amp;1'><!-- c --><d e=\"f\"/>g&#65;<h>i</h></a>";

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_assert_eq(scan(bad[i], strlen(bad[i])), -EINVAL, "%s: %s", bad[i], told);
	cr_assert_eq(scan("<a/>\0<b/>", 9), -EINVAL);
	for (int i = 0; i < 200; i++)
		strcat(deep, "<a>");
	cr_assert_eq(scan(deep, strlen(deep)), -EINVAL);
	/* Every beginning of a good one, in memory that ends there. */
	for (size_t n = 0; n < strlen(whole); n++) {
		char *part = malloc(n > 0 ? n : 1);

		memcpy(part, whole, n);
		cr_assert_eq(scan(part, n), n > 0 ? -EINVAL : 0, "%zu", n);
		free(part);
	}
	many = malloc(20000);
	strcpy(many, "<a");
	for (int i = 0; i < 1000; i++)
		sprintf(many + strlen(many), " a%d='b'", i);
	cr_assert_eq(scan(many, strlen(many)), -EINVAL);
	free(many);
}

/* Bytes changed, cut out and doubled: an answer, in bounded time, and no more than was there. */
Test(toolstack, the_scanner_bears_whatever_is_written)
{
	static const char good[] =
	    "<?xml version='1.0'?><!-- c --><domain type='xen'><name>a&amp;b&#x41;</name><devices>"
	    "<disk device=\"disk\"><source dev='/dev/vg/&lt;a&gt;'/></disk></devices></domain>";
	static const char odd[] = "<>&;'\"/!?-=# x1\xff";
	uint32_t seed = 20261125;

	for (int round = 0; round < 50000; round++) {
		char text[2 * sizeof good];
		size_t len = sizeof good - 1;

		memcpy(text, good, sizeof good);
		for (unsigned n = 0; n <= seed % 4; n++) {
			size_t at = (seed = seed * 1664525 + 1013904223) % len;
			unsigned what = (seed >> 20) % 3;

			if (what == 0)
				text[at] = odd[(seed >> 8) % (sizeof odd - 1)];
			else if (what == 1)
				memmove(text + at, text + at + 1, len-- - at);
			else if (len + 1 < sizeof text)
				memmove(text + at + 1, text + at, len++ - at + 1);
		}
		cr_assert(scan(text, len) <= 0);
	}
}

/* ---- libvirt -------------------------------------------------------------------- */

#define DOMAIN(name, disks)                                                                                   \
	"<!--\nWARNING: AUTO-GENERATED\n-->\n<domain type='xen'>\n  <name>" name "</name>\n  <metadata><x:y " \
	"xmlns:x='z'><name>no</name></x:y></metadata>\n  <devices>\n" disks "  </devices>\n</domain>\n"
#define DISK(kind, path, vdev)                                                                    \
	"<disk type='block' device='disk'><driver name='phy' type='raw'/><source " kind "='" path \
	"'/><target dev='" vdev "' bus='xen'/></disk>\n"
#define CDROM "<disk type='file' device='cdrom'><source file='/x.iso'/><target dev='hdc'/><readonly/></disk>\n"

Test(toolstack, nothing_is_named_where_nothing_is)
{
	cr_assert_eq(domu_toolstacks_read(&b.ctx, b.dir, &ts), 0);
	cr_assert_eq(ts.n, 0);
	/* The package's folder alone says nothing. */
	host_file("etc/libvirt/libxl/autostart/x", "");
	cr_assert_eq(domu_toolstacks_read(&b.ctx, b.dir, &ts), 0);
	cr_assert_eq(ts.n, 0);
	not_found("web1", "no guest is named web1", "live domains");
}

Test(toolstack, more_guests_and_disks_than_there_can_be_are_a_warning)
{
	const struct domu_toolstack *t;
	size_t len = 400000;
	char *text = malloc(len), *p = text;

	p += sprintf(p, "<qubes><domains>");
	for (int i = 0; i < 4200; i++)
		p += sprintf(p, "<domain><properties><property name='name'>q%d</property></properties></domain>", i);
	sprintf(p, "</domains></qubes>");
	host_file("var/lib/qubes/qubes.xml", text);
	t = one("Qubes", 4096);
	cr_assert_str_eq(t->v[4095].guest->name, "q4095");
	cr_assert_eq(unlink(bench_path(&b, "var/lib/qubes/qubes.xml")), 0);
	p = text + sprintf(text, "<domain><name>many</name><devices>");
	for (int i = 0; i < 1100; i++)
		p += sprintf(p, "<disk><source file='/x%d'/><target dev='x%d'/></disk>", i, i);
	sprintf(p, "</devices></domain>");
	host_file("etc/libvirt/libxl/a.xml", DOMAIN("web1", DISK("dev", "/dev/vg/web1", "xvda")));
	host_file("etc/libvirt/libxl/many.xml", text);
	one("libvirt", 1);
	free(text);
}

Test(toolstack, a_guest_of_libvirt_is_found_with_its_command)
{
	const struct domu_toolstack *t;

	host_file("etc/libvirt/libxl/web1.xml",
	          DOMAIN("web1", DISK("dev", "/dev/vg/web1", "xvda") CDROM
	                 "<disk device='disk'><source file='/im ages/it&apos;s.img'/><target dev='xvdb'/></disk>\n"));
	host_file("etc/libvirt/libxl/notes.txt", "no domain");
	t = one("libvirt", 1);
	cr_assert_str_eq(t->v[0].guest->name, "web1");
	cr_assert_str_eq(t->v[0].guest->source, "/etc/libvirt/libxl/web1.xml");
	cr_assert_null(t->v[0].autostart);
	next_is(t, 0, "domu-rescue --disk /dev/vg/web1 --disk '/im ages/it'\\''s.img' shell");
	not_found("web1", "web1 is a guest of libvirt (/etc/libvirt/libxl/web1.xml)",
	          "domu-rescue --disk /dev/vg/web1 --disk ");
	not_found("web2", "no guest is named web2", "live domains");
}

Test(toolstack, what_no_disk_option_can_name_is_said)
{
	const struct domu_toolstack *t;

	host_file("etc/libvirt/libxl/a.xml",
	          DOMAIN("a", "<disk device='disk'><source protocol='rbd' name='pool/a'/><target dev='xvda'/></disk>"
	                      "<disk device='disk'><backenddomain name='storage'/><source dev='/dev/b'/><target "
	                      "dev='xvdb'/></disk>" DISK("dev", "/dev/c", "xvdc")));
	host_file("etc/libvirt/libxl/b.xml",
	          DOMAIN("b", "<disk device='disk'><driver name='qemu' type='qcow2'/><source file='/b'/><target "
	                      "dev='xvda'/></disk>"));
	t = one("libvirt", 2);
	next_is(t, 0,
	        "xvda is no path of this host (rbd), xvdb is in the driver domain storage: attach it and name the "
	        "device with --disk; the others: domu-rescue --disk /dev/c shell");
	next_is(t, 1, "domu-rescue --format qcow2 --disk /b shell");
}

Test(toolstack, a_file_that_cannot_be_understood_is_one_warning)
{
	host_file("etc/libvirt/libxl/bad.xml", "<domain><name>bad</name><devices>");
	host_file("etc/libvirt/libxl/empty.xml", "");
	host_file("etc/libvirt/libxl/web1.xml", DOMAIN("web1", DISK("dev", "/dev/vg/web1", "xvda")));
	cr_assert_eq(mkfifo(bench_path(&b, "etc/libvirt/libxl/fifo.xml"), 0600), 0);
	cr_assert_eq(unlink(bench_path(&b, "etc/libvirt/libxl/fifo.xml")), 0);
	one("libvirt", 1);
	cr_assert_eq(b.warnings, 1);
	cr_assert_not_null(strstr(b.warning, "bad.xml: not understood"), "%s", b.warning);
}

/* ---- Qubes and XAPI ---------------------------------------------------------------- */

Test(toolstack, a_qube_is_found_by_its_volumes)
{
	const struct domu_toolstack *t;

	host_file("dev/qubes_dom0/vm-work-private", "");
	host_file("var/lib/qubes/appvms/mail/private.img", "");
	host_file("var/lib/qubes/qubes.xml",
	          "<?xml version='1.0' encoding='UTF-8'?>\n<qubes version='3.0'><pools><pool name='lvm' "
	          "driver='lvm_thin' volume_group='qubes_dom0' thin_pool='vm-pool'/><pool name='varlibqubes' "
	          "driver='file-reflink' dir_path='/var/lib/qubes'/></pools><domains>"
	          "<domain id='domain-0' class='AdminVM'><properties><property "
	          "name='name'>dom0</property></properties></domain>"
	          "<domain id='domain-2' class='AppVM'><properties><property name='autostart'>True</property>"
	          "<property name='name'>work</property></properties><volume-config><volume name='root' pool='lvm' "
	          "vid='qubes_dom0/vm-work-root'/><volume name='private' pool='lvm' "
	          "vid='qubes_dom0/vm-work-private'/></volume-config></domain>"
	          "<domain id='domain-3' class='AppVM'><properties><property "
	          "name='name'>mail</property></properties><volume-config><volume name='private' pool='varlibqubes' "
	          "vid='appvms/mail/private'/></volume-config></domain></domains></qubes>");
	t = one("Qubes", 2);
	cr_assert_str_eq(t->v[0].guest->name, "work");
	cr_assert_not_null(t->v[0].autostart);
	cr_assert_null(t->v[1].autostart);
	next_is(t, 0, "domu-rescue --disk /dev/qubes_dom0/vm-work-private shell");
	next_is(t, 1, "domu-rescue --disk /var/lib/qubes/appvms/mail/private.img shell");
	not_found("work", "work is a guest of Qubes", "--disk /dev/qubes_dom0/vm-work-private shell");
}

Test(toolstack, qubes_by_its_release_file)
{
	host_file("etc/qubes-release", "Qubes release 4.2.3 (R4.2)\n");
	cr_assert_str_eq(one("Qubes", 0)->place, "/etc/qubes-release");
}

Test(toolstack, xapi_is_named_and_xe_shown)
{
	const struct domu_kept *kept;
	struct domu_owners o;
	struct domu_guest *g;

	host_file("etc/xensource-inventory", "PRODUCT_BRAND='XCP-ng'\n");
	one("XAPI", 0);
	cr_assert_eq(domu_toolstack_of(&ts, "anything", &kept), &ts.v[0]);
	cr_assert_null(ts.v[0].control);
	not_found("web1", "XAPI keeps guests here (/etc/xensource-inventory)", "xe vbd-plug");
	not_found("it's", "vm-uuid=$(xe vm-list is-control-domain=true --minimal) ", "vm-name-label='it'\\''s' ");
	host_file("etc/xensource-inventory", "PRODUCT_BRAND='XCP-ng'\nCONTROL_DOMAIN_UUID='0a-1b'\nX='y'\n");
	cr_assert_str_eq(one("XAPI", 0)->control, "0a-1b");
	not_found("web1", "xe vbd-create vm-uuid=0a-1b ", "vm-name-label=web1 ");
	host_file("etc/xensource-inventory", "CONTROL_DOMAIN_UUID='$(reboot)'\n");
	cr_assert_null(one("XAPI", 0)->control);
	cr_assert_eq(domu_guest_find(&b.ctx, &b.where, bench_image(&b, "a.img", 4096), &g), 0);
	cr_assert_eq(domu_owners_find(&b.ctx, &b.where, b.dir, g, NULL, 0, &o), 0);
	cr_assert_eq(o.n_starters, 1);
	cr_assert_not(o.starters[0].sure);
	domu_owners_free(&o);
	domu_guest_free(g);
}

/* ---- owners -------------------------------------------------------------------------- */

#define CONFIG(name, path, mode) "name = '" name "'\ndisk = [ '" path ",raw,xvdb," mode "' ]\n"

static void owners(const char *guest, struct domu_owners *o)
{
	struct domu_backing k;
	struct domu_guest *g;

	domu_error_clear(&b.ctx);
	cr_assert_eq(domu_guest_find(&b.ctx, &b.where, guest, &g), 0, "%s", b.ctx.error.message);
	cr_assert_eq(domu_backing_open(&b.ctx, &g->disks[0], &k), 0, "%s", b.ctx.error.message);
	cr_assert_eq(domu_owners_find(&b.ctx, &b.where, b.dir, g, &k, 1, o), 0);
	domu_backing_close(&k);
	domu_guest_free(g);
}

Test(toolstack, who_else_has_the_disk_and_who_starts_them)
{
	char image[512], other[512], text[1200];
	struct domu_owners o;

	snprintf(image, sizeof image, "%s", bench_image(&b, "a.img", 4096));
	snprintf(other, sizeof other, "%s", bench_path(&b, "hard.img"));
	cr_assert_eq(link(image, other), 0);
	bench_image(&b, "b.img", 4096);
	owners(image, &o);
	cr_assert_eq(o.n_shares + o.n_starters, 0);
	domu_owners_free(&o);
	snprintf(text, sizeof text, DOMAIN("virt", DISK("file", "%s", "xvda")), other);
	host_file("etc/libvirt/libxl/virt.xml", text);
	owners(image, &o);
	cr_assert_eq(o.n_shares, 1);
	cr_assert_eq(o.n_starters, 0);
	cr_assert_str_eq(o.shares[0].guest, "virt");
	cr_assert_str_eq(o.shares[0].vdev, "xvda");
	domu_owners_free(&o);
	host_file("etc/libvirt/libxl/autostart/virt.xml", "");
	owners(image, &o);
	cr_assert_eq(o.n_starters, 1);
	cr_assert_str_eq(o.starters[0].by, "libvirt");
	cr_assert_str_eq(o.starters[0].through, "/etc/libvirt/libxl/autostart/virt.xml");
	domu_owners_free(&o);
	owners(bench_path(&b, "b.img"), &o);
	cr_assert_eq(o.n_shares + o.n_starters, 0, "what has another disk is nothing to this one");
	domu_owners_free(&o);
}

#ifdef HAVE_LIBXL
Test(toolstack, configs_that_share_a_disk_are_found_by_any_name_of_it)
{
	char image[512], other[512], text[1200];
	struct domu_owners o;

	snprintf(image, sizeof image, "%s", bench_image(&b, "a.img", 4096));
	snprintf(other, sizeof other, "%s", bench_path(&b, "hard.img"));
	cr_assert_eq(link(image, other), 0);
	snprintf(text, sizeof text, CONFIG("web1", "%s", "w"), image);
	bench_file(&b, "web1.cfg", text);
	snprintf(text, sizeof text, CONFIG("web2", "%s", "r"), other);
	bench_file(&b, "web2.cfg", text);
	bench_file(&b, "web3.cfg", "name='web3'\ndisk=['script=block-x,vdev=xvda,target=a.img','/other,raw,xvdb,w']\n");
	bench_file(&b, "bad.cfg", "name='bad'\ndisk=['/x,vmdk,xvda']\n");
	owners("web1", &o);
	cr_assert_eq(o.n_shares, 1, "%zu", o.n_shares);
	cr_assert_str_eq(o.shares[0].guest, "web2");
	cr_assert_str_eq(o.shares[0].disk, "xvdb");
	cr_assert(o.shares[0].readonly);
	cr_assert_eq(o.n_starters, 0);
	domu_owners_free(&o);
	/* By the link that xendomains goes through, of the folder that its settings name. */
	cr_assert_eq(run("mkdir", "-p", bench_path(&b, "etc/xen/auto"), bench_path(&b, "srv/auto")), 0);
	cr_assert_eq(symlink("../../../web2.cfg", bench_path(&b, "etc/xen/auto/web2")), 0);
	cr_assert_eq(symlink("../../web1.cfg", bench_path(&b, "srv/auto/10-web1")), 0);
	owners("web1", &o);
	cr_assert_eq(o.n_starters, 1);
	cr_assert_str_eq(o.starters[0].guest, "web2");
	cr_assert_str_eq(o.starters[0].through, "/etc/xen/auto/web2");
	domu_owners_free(&o);
	host_file("etc/default/xendomains", "# comment\nXENDOMAINS_AUTO=\"/srv/auto\"\nXENDOMAINS_SAVE=/x\n");
	owners("web1", &o);
	cr_assert_eq(o.n_starters, 1);
	cr_assert_str_eq(o.starters[0].guest, "web1");
	cr_assert_str_eq(o.starters[0].through, "/srv/auto/10-web1");
	domu_owners_free(&o);
}
#endif
