/* SPDX-License-Identifier: GPL-3.0-or-later */
/* test-fs-label.c - labels of paths: what libselinux says of the same file_contexts. */
#include "config.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ctx.h"
#include "fs/label.h"
#include "tests/unit/seed.h"

/* As <selinux/label.h> has them; the library is on every Debian, its header is not. */
struct selinux_opt {
	int type;
	const char *value;
};
#define SELABEL_CTX_FILE 0
#define SELABEL_OPT_PATH 3

static void *(*selabel_open_)(unsigned, const struct selinux_opt *, unsigned);
static int (*selabel_lookup_)(void *, char **, const char *, int);
static void (*selabel_close_)(void *);

static const char *const suffixes[] = { "", ".homedirs", ".local", ".subs", ".subs_dist" };
static const uint32_t types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFSOCK, S_IFIFO };

static char dir[] = "/tmp/test-fs-label-XXXXXX";
static struct domu_labels *ours;
static void *theirs;

static bool have_libselinux(void)
{
	void *h = dlopen("libselinux.so.1", RTLD_NOW);

	if (h == NULL)
		return false;
	*(void **)&selabel_open_ = dlsym(h, "selabel_open");
	*(void **)&selabel_lookup_ = dlsym(h, "selabel_lookup_raw");
	*(void **)&selabel_close_ = dlsym(h, "selabel_close");
	return selabel_open_ != NULL && selabel_lookup_ != NULL && selabel_close_ != NULL;
}

/* The five files, of which each may be NULL, to both. */
static void load(const char *const text[5])
{
	struct domu_label_texts texts = { 0 };
	struct selinux_opt opt = { .type = SELABEL_OPT_PATH };
	char path[128];

	if (!have_libselinux())
		cr_skip_test("no libselinux here");
	cr_assert_not_null(mkdtemp(dir));
	for (unsigned i = 0; i < 5; i++) {
		FILE *f;

		if (text[i] == NULL)
			continue;
		snprintf(path, sizeof path, "%s/file_contexts%s", dir, suffixes[i]);
		f = fopen(path, "w");
		cr_assert_not_null(f);
		fputs(text[i], f);
		cr_assert_eq(fclose(f), 0);
		*(i < 3 ? &texts.contexts[i] : &texts.subs[i - 3]) = strdup(text[i]);
	}
	snprintf(path, sizeof path, "%s/file_contexts", dir);
	opt.value = path;
	theirs = selabel_open_(SELABEL_CTX_FILE, &opt, 1);
	cr_assert_not_null(theirs, "libselinux does not take it: %s", strerror(errno));
	domu_labels_prepare();
	cr_assert_eq(domu_labels_new(&texts, &ours), 0);
}

static void unload(void)
{
	char command[128];

	selabel_close_(theirs);
	domu_labels_free(ours);
	snprintf(command, sizeof command, "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}

/* Both for every type; how many of them have a label. */
static unsigned compare(const char *path)
{
	unsigned n = 0;

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		const char *mine = domu_labels_find(ours, path, types[i] | 0644);
		char *wanted = NULL;

		if (selabel_lookup_(theirs, &wanted, path, (int)(types[i] | 0644)) != 0)
			wanted = NULL;
		cr_expect_str_eq(mine != NULL ? mine : "none", wanted != NULL ? wanted : "none",
		                 "%s, type %o: %s, wanted %s", path, types[i], mine, wanted);
		n += mine != NULL;
		free(wanted);
	}
	return n;
}

static const char contexts[] =
    "# a comment\n"
    "/.*\t\tsystem_u:object_r:default_t:s0\n"
    "/[^/]+\t--\tsystem_u:object_r:etc_runtime_t:s0\n"
    "/a?quota\\.(user|group)\t--\tsystem_u:object_r:quota_db_t:s0\n"
    "/\tsystem_u:object_r:root_t:s0\n"
    "/\t-d\tsystem_u:object_r:root_t:s0\n"
    "/bin/.*\tsystem_u:object_r:bin_t:s0\n"
    "/dev/.*\tsystem_u:object_r:device_t:s0\n"
    "/dev/.*\t-c\tsystem_u:object_r:character_t:s0\n"
    "/dev/[shmxv]d[^/]*\t-b\tsystem_u:object_r:fixed_disk_device_t:s0\n"
    "/dev/pts(/.*)?\t<<none>>\n"
    "/etc/.*\tsystem_u:object_r:etc_t:s0\n"
    "/etc/shadow.*\t--\tsystem_u:object_r:shadow_t:s0\n"
    "/etc/\\.pwd\\.lock\t--\tsystem_u:object_r:shadow_t:s0\n"
    "/etc/resolv\\.conf.*\t--\tsystem_u:object_r:net_conf_t:s0\n"
    "/etc/hosts\\.deny.*\tsystem_u:object_r:net_conf_t:s0\n"
    "/etc/httpd(/.*)?\tsystem_u:object_r:httpd_config_t:s0\n"
    "/etc/rc\\.d/init\\.d/(named|unbound|nsd)\t--\tsystem_u:object_r:named_initrc_exec_t:s0\n"
    "/usr/.*\tsystem_u:object_r:usr_t:s0\n"
    "/usr/(.*/)?bin(/.*)?\tsystem_u:object_r:bin_t:s0\n"
    "/usr/(.*/)?lib(/.*)?\tsystem_u:object_r:lib_t:s0\n"
    "/usr/lib/.*\\.so(\\.[^/]*)*\t--\tsystem_u:object_r:textrel_shlib_t:s0\n"
    "/usr/bin/passwd\t--\tsystem_u:object_r:passwd_exec_t:s0\n"
    "/usr/bin/passwd\t-l\tsystem_u:object_r:bin_t:s0\n"
    "/var/lo{1,2}g\tsystem_u:object_r:odd_t:s0\n"
    "/var/.*\tsystem_u:object_r:var_t:s0\n"
    "/var/log(/.*)?\tsystem_u:object_r:var_log_t:s0\n"
    "/var/log/wtmp.*\t--\tsystem_u:object_r:wtmp_t:s0\n"
    "/var/www(/.*)?|/srv/www(/.*)?\tsystem_u:object_r:httpd_sys_content_t:s0\n"
    "(/var)?/spool/cron\t-d\tsystem_u:object_r:cron_spool_t:s0\n"
    "/home/[^/]+\t-d\tsystem_u:object_r:user_home_dir_t:s0\n"
    "/opt/x\\\n"
    "no-context-here\n"
    "/bad/type\t-x\tsystem_u:object_r:x_t:s0\n";

static const char *const paths[] = {
	"/",
	"/file",
	"/aquota.user",
	"/quota.group",
	"/quotaXuser",
	"/bin/sh",
	"/bin",
	"/dev/null",
	"/dev/sda",
	"/dev/xvda1",
	"/dev/pts",
	"/dev/pts/3",
	"/dev/ptsx",
	"/etc",
	"/etc/passwd",
	"/etc/shadow",
	"/etc/shadow-",
	"/etc/.pwd.lock",
	"/etc/xpwd.lock",
	"/etc/resolv.conf",
	"/etc/resolv.conf.new",
	"/etc/hosts.deny",
	"/etc/httpd",
	"/etc/httpdx",
	"/etc/httpd/conf.d/x",
	"/etc/rc.d/init.d/named",
	"/etc/rc.d/init.d/namedx",
	"/usr",
	"/usr/bin",
	"/usr/local/bin/x",
	"/usr/bin/passwd",
	"/usr/lib/libc.so",
	"/usr/lib/a/libc.so.6.1",
	"/usr/lib/libc.soo",
	"/usr/share/lib",
	"/var/log",
	"/var/log/wtmp.1",
	"/var/logx",
	"/var/lo1g",
	"/var/loog",
	"/var/www/html/a",
	"/srv/www/x",
	"/srv/www",
	"/spool/cron",
	"/var/spool/cron",
	"/home/anna",
	"/home/anna/x",
	"/export/home/berta",
	"/export/home",
	"/run/log",
	"/run/log/x",
	"/usr/lib64/x.so",
	"/usr/lib64",
	"/data",
	"/data/deep/x",
	"/local/it",
	"/local",
	"/with\nnewline",
	"/etc/with\nnewline",
	"/etc/\xff\xfe",
	"/home/anna/.ssh",
	"/home/anna/.ssh/id",
	"/bad/type",
	"/opt/x",
};

Test(fs_label, as_libselinux)
{
	const char *text[5] = {
		contexts,
		"/home/[^/]+/.+\tunconfined_u:object_r:user_home_t:s0\n"
		"/home/[^/]+/\\.ssh(/.*)?\tunconfined_u:object_r:ssh_home_t:s0\n",
		"/local/it\tsystem_u:object_r:mine_t:s0\n/data(/.*)?\tsystem_u:object_r:data_t:s0\n",
		"/export/home /home\n/data/deep /etc\n",
		"# of the distribution\n/run/log /var/log\n/usr/lib64 /usr/lib\n/local /\n",
	};
	char *cut = strdup(contexts);
	unsigned n = 0;

	/* libselinux refuses the whole file for a line that it does not take: such lines are only for us. */
	*strstr(cut, "/opt/x\\") = '\0';
	text[0] = cut;
	load(text);
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
		n += compare(paths[i]);
	cr_assert_gt(n, 200);
	unload();
	free(cut);
}

Test(fs_label, as_libselinux_at_random)
{
	static const char *const pieces[] = { "/a",    "/b",    "/ab",    "/a\\.b", "/.*",   "/[^/]+", "(/.*)?",
		                              "b?",    "(a|b)", "a+",     "\\.x",   "/c/a",  "b{1,2}", "/a.b",
		                              "(/a)?", "[ab]",  "/(a/)?", "/a*b",   "|/b/a", "b*",     "/a\\+" };
	static const char *const names[] = {
		"/a", "/b", "/ab", "/a.b", "a", "b", ".x", "/c", "/aab", "/x", "/a+", "ab"
	};
	static const char *const kinds[] = { "", "", "", "-- ", "-d ", "-l " };
	unsigned seed = test_seed(), n = 0;
	const char *text[5] = { NULL };
	char *lines = NULL, path[256];
	size_t size = 0;
	FILE *f = open_memstream(&lines, &size);

	srand(seed);
	for (unsigned i = 0; i < 300; i++) {
		fputs(rand() % 8 == 0 ? "(/a)?" : rand() % 2 == 0 ? "/a" : "/c", f);
		for (int k = rand() % 4; k >= 0; k--)
			fputs(pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)], f);
		fprintf(f, "\t%ssystem_u:object_r:t%u_t:s0\n", kinds[rand() % 6], i);
	}
	fclose(f);
	text[0] = lines;
	load(text);
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(path, sizeof path, "%s", rand() % 2 == 0 ? "/a" : "/c");
		for (int k = rand() % 5; k > 0; k--)
			strncat(path, names[(size_t)rand() % (sizeof names / sizeof *names)], 20);
		n += compare(path);
	}
	cr_assert_gt(n, 1000, "seed %u: %u", seed, n);
	unload();
	free(lines);
}

/* What a guest's file may hold is not always an expression, and not always one that ends. */
Test(fs_label, hostile_lines, .timeout = 600)
{
	static const char hostile[] = "/.*\tu:r:default_t\n"
	                              "/(((((\tu:r:x_t\n"
	                              "/[\tu:r:x_t\n"
	                              "/x(a{1,60000}){1,60000}\tu:r:x_t\n"
	                              "/slow(a*)*(a*)*(a*)*(a*)*b\tu:r:x_t\n"
	                              "/opt/x\\\tu:r:x_t\n"
	                              "\\\tu:r:x_t\n"
	                              "/only-this\n";
	struct domu_label_texts texts = { .contexts = { strdup(hostile) }, .subs = { strdup("/a\n/b /c /d\n \n") } };
	struct domu_labels *l;

	domu_labels_prepare();
	cr_assert_eq(domu_labels_new(&texts, &l), 0);
	cr_assert_str_eq(domu_labels_find(l, "/slowaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", S_IFREG),
	                 "u:r:default_t");
	cr_assert_str_eq(domu_labels_find(l, "/xaaaa", S_IFREG), "u:r:default_t");
	cr_assert_str_eq(domu_labels_find(l, "/opt/x", S_IFREG), "u:r:default_t");
	cr_assert_str_eq(domu_labels_find(l, "/b/x", S_IFREG), "u:r:default_t");
	cr_assert_null(domu_labels_find(l, "", S_IFREG));
	domu_labels_free(l);
}

/* Each takes its number of steps, and all together would take minutes. */
Test(fs_label, expressions_that_take_for_ever, .timeout = 600)
{
	struct domu_label_texts texts = { 0 };
	struct domu_labels *l;
	size_t size;
	FILE *f = open_memstream(&texts.contexts[0], &size);

	for (int i = 0; i < 10000; i++)
		fprintf(f, "/etc/(([a-z]*)*)*([a-z]*)*[0-9] system_u:object_r:x_t:s%d\n", i);
	cr_assert_eq(fclose(f), 0);
	domu_labels_prepare();
	cr_assert_eq(domu_labels_new(&texts, &l), 0);
	cr_assert_null(domu_labels_find(l, "/etc/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", S_IFREG));
	cr_assert(domu_labels_gave_up(l));
	cr_assert_null(domu_labels_find(l, "/etc/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", S_IFREG));
	cr_assert_not(domu_labels_gave_up(l));
	domu_labels_free(l);
}
