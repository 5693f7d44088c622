/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check-kernel.c - what is stacked on a disk, mounts in every namespace, swap, exclusive holders, other hosts. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "guest/check.h"

#define DM_NAME    130 /* device-mapper's own limit is 128 */
#define SHOWN_NAME 320

/* ---- stacked ------------------------------------------------------------------- */

static const char *root_of(const struct domu_view *v)
{
	return v->root != NULL ? v->root : "";
}

/* The first line of a file. */
static bool first_line(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "re");

	out[0] = '\0';
	if (f == NULL)
		return false;
	if (fgets(out, (int)size, f) == NULL)
		out[0] = '\0';
	fclose(f);
	out[strcspn(out, "\n")] = '\0';
	return out[0] != '\0';
}

/* Of a file of a device's folder. */
static bool sys_line(const struct domu_view *v, const char *name, const char *file, char *out, size_t size)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/sys/block/%s/%s", root_of(v), name, file);
	return first_line(path, out, size);
}

/* device-mapper's "my--vg-root" is lvm's my-vg/root.  false: not an LV. */
static bool lv_name(const struct domu_view *v, const char *device, char vg[DM_NAME], char lv[DM_NAME])
{
	char name[DM_NAME], uuid[192], *to = vg;
	size_t n = 0;

	if (!sys_line(v, device, "dm/uuid", uuid, sizeof uuid) || strncmp(uuid, "LVM-", 4) != 0 ||
	    !sys_line(v, device, "dm/name", name, sizeof name))
		return false;
	lv[0] = '\0';
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '-' && p[1] != '-' && to == vg) {
			vg[n] = '\0';
			to = lv;
			n = 0;
			continue;
		}
		p += *p == '-' && p[1] == '-';
		to[n++] = *p;
	}
	to[n] = '\0';
	return to == lv && lv[0] != '\0';
}

/* What made a device-mapper device is in its UUID; the rest of them has none that says it. */
static const struct {
	const char *uuid, *kind, *remove;
} dm_kinds[] = {
	{ "LVM-", "LV", "vgchange -an" },          { "CRYPT-", "dm-crypt", "cryptsetup close" },
	{ "mpath-", "multipath", "multipath -f" }, { "part", "partition", NULL },
	{ "DMRAID-", "dmraid", "dmraid -an" },     { "", "device-mapper", "dmsetup remove" },
};

static size_t dm_kind(const struct domu_view *v, const char *device)
{
	char uuid[192];
	size_t i = 0;

	sys_line(v, device, "dm/uuid", uuid, sizeof uuid);
	while (strncmp(uuid, dm_kinds[i].uuid, strlen(dm_kinds[i].uuid)) != 0)
		i++;
	return i;
}

/* As an administrator calls it: "LV vg/root (dm-3)", "dm-crypt secret (dm-4)", "md7". */
static void device_name(const struct domu_view *v, const char *device, char out[SHOWN_NAME])
{
	char vg[DM_NAME], lv[DM_NAME];

	if (lv_name(v, device, vg, lv))
		snprintf(out, SHOWN_NAME, "LV %s/%s (%.31s)", vg, lv, device);
	else if (sys_line(v, device, "dm/name", vg, sizeof vg))
		snprintf(out, SHOWN_NAME, "%s %s (%.31s)", dm_kinds[dm_kind(v, device)].kind, vg, device);
	else
		snprintf(out, SHOWN_NAME, "%.31s", device);
}

static void next_for_holder(const struct domu_view *v, struct domu_answer *a, const char *device)
{
	char vg[DM_NAME], lv[DM_NAME];

	if (strncmp(device, "loop", 4) == 0)
		domu_answer_next(a, "losetup -d /dev/%.*s", 4 + (int)strspn(device + 4, "0123456789"), device);
	else if (lv_name(v, device, vg, lv))
		domu_answer_next(a, "vgchange -an %s", vg);
	else if (sys_line(v, device, "dm/name", vg, sizeof vg) && dm_kinds[dm_kind(v, device)].remove != NULL)
		domu_answer_next(a, "%s %s", dm_kinds[dm_kind(v, device)].remove, vg);
	else if (strncmp(device, "md", 2) == 0)
		domu_answer_next(a, "mdadm --stop /dev/%s", device);
	else if (strncmp(device, "bcache", 6) == 0)
		domu_answer_next(a, "echo 1 >/sys/block/%s/bcache/stop", device);
}

/* Is a loop's backing on a disk that a loop device itself is? Two loops over one file are one disk. */
static void check_below(struct domu_view *v, const struct domu_backing *b, struct domu_answer *a)
{
	const struct domu_loops *ls;
	const struct domu_loop *mine = NULL;

	if (!b->is_device || domu_view_loops(v, &ls) < 0)
		return;
	for (size_t i = 0; i < ls->n; i++)
		if (ls->v[i].dev == b->whole_dev)
			mine = &ls->v[i];
	for (size_t i = 0; mine != NULL && i < ls->n; i++) {
		const struct domu_loop *l = &ls->v[i];

		if (l == mine || l->back_dev != mine->back_dev || l->back_inode != mine->back_inode ||
		    l->back_rdev != mine->back_rdev)
			continue;
		domu_answer(a, DOMU_CHECK_FAIL, "%s is over the same file as %s", l->name, mine->name);
		domu_answer_next(a, "losetup -d /dev/%s", l->name);
	}
}

/*
 * An LVM snapshot's origin: the hidden "-real" device below it is what
 * snapshots hold too.  Writing the origin would grow them, and a merge in
 * progress would be written over.
 */
static void name_snapshots(const struct domu_view *v, const char *real, const struct domu_backing *b,
                           struct domu_answer *a)
{
	char path[PATH_MAX], vg[DM_NAME], lv[DM_NAME], text[SHOWN_NAME];
	struct dirent *h;
	DIR *holders;

	snprintf(path, sizeof path, "/sys/block/%s/holders", real);
	holders = opendir(path);
	while (holders != NULL && (h = readdir(holders)) != NULL) {
		snprintf(path, sizeof path, "/sys/block/%s", h->d_name);
		if (h->d_name[0] == '.' || domu_sysfs_dev(path) == b->dev)
			continue;
		device_name(v, h->d_name, text);
		domu_answer(a, DOMU_CHECK_FAIL, "%s is a snapshot of it", text);
		if (lv_name(v, h->d_name, vg, lv))
			domu_answer_next(a, "lvs -o name,origin,data_percent %s", vg);
	}
	if (holders != NULL)
		closedir(holders);
}

static void check_snapshots(const struct domu_view *v, const struct domu_backing *b, struct domu_answer *a)
{
	char dir[64], path[PATH_MAX], uuid[192];
	struct dirent *e;
	DIR *slaves;

	if (!b->is_device)
		return;
	domu_sysfs_path(b->dev, dir);
	snprintf(path, sizeof path, "%s/slaves", dir);
	slaves = opendir(path);
	while (slaves != NULL && (e = readdir(slaves)) != NULL) {
		size_t n;

		if (e->d_name[0] == '.' || !sys_line(v, e->d_name, "dm/uuid", uuid, sizeof uuid))
			continue;
		n = strlen(uuid);
		if (n >= 5 && strcmp(uuid + n - 5, "-real") == 0)
			name_snapshots(v, e->d_name, b, a);
	}
	if (slaves != NULL)
		closedir(slaves);
}

/* What Xen's block script makes over a file that a guest only reads: nobody changes it, so it may be read. */
static bool read_only_loop(const struct domu_view *v, const char *device)
{
	char ro[8];

	return strncmp(device, "loop", 4) == 0 && sys_line(v, device, "ro", ro, sizeof ro) && strcmp(ro, "1") == 0;
}

/*
 * XenServer's tapdisk serves what it has open as a device of its own, which is no holder of it for the kernel: the
 * blktap driver's "name" is what it was told to open, "vhd:/images/a.vhd".
 */
static void check_tapdisks(const struct domu_view *v, const struct domu_backing *b, struct domu_answer *a)
{
	char dir[PATH_MAX], path[PATH_MAX + 300], name[PATH_MAX], pid[32];
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof dir, "%s/sys/class/blktap2", root_of(v));
	d = opendir(dir);
	while (d != NULL && (e = readdir(d)) != NULL) {
		const char *colon;

		snprintf(path, sizeof path, "%s/%s/name", dir, e->d_name);
		if (e->d_name[0] == '.' || !first_line(path, name, sizeof name))
			continue;
		colon = strchr(name, ':');
		if (domu_same_disk(b, colon != NULL ? colon + 1 : name) != DOMU_SAME_YES)
			continue;
		snprintf(path, sizeof path, "%s/%s/task", dir, e->d_name);
		first_line(path, pid, sizeof pid);
		domu_answer(a, DOMU_CHECK_FAIL, "tapdisk serves it as %s (%s, process %s)", e->d_name, name,
		            pid[0] != '\0' ? pid : "unknown");
		domu_answer_next(a, "tap-ctl list");
	}
	if (d != NULL)
		closedir(d);
}

void domu_check_stacked(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a)
{
	const struct domu_loops *ls;
	char text[SHOWN_NAME];

	for (size_t i = 0; i < r->n; i++) {
		const struct domu_related *h = &r->v[i];

		if (!h->holder || (v->depth == DOMU_VERDICT_READ && read_only_loop(v, h->name)))
			continue;
		device_name(v, h->name, text);
		domu_answer(a, DOMU_CHECK_FAIL, "%s is over it", text);
		next_for_holder(v, a, h->name);
	}
	check_below(v, b, a);
	check_tapdisks(v, b, a);
	if (v->depth != DOMU_VERDICT_READ)
		check_snapshots(v, b, a);
	if (domu_view_loops(v, &ls) < 0) {
		domu_answer(a, DOMU_CHECK_UNKNOWN, "out of memory");
		return;
	}
	for (size_t i = 0; i < ls->n; i++)
		if (!ls->v[i].known)
			domu_answer(a, DOMU_CHECK_UNKNOWN, "what %s is over cannot be told", ls->v[i].name);
}

/* ---- mounts and swap ------------------------------------------------------------ */

/* \040 and the like, in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static void mounted(struct domu_answer *a, char *where, int pid)
{
	char name[32], *quoted;

	unescape(where);
	quoted = domu_shell_quote(where);
	if (pid == 0) {
		domu_answer(a, DOMU_CHECK_FAIL, "mounted on %s", where);
		if (quoted != NULL)
			domu_answer_next(a, "umount %s", quoted);
	} else {
		domu_process_name(pid, name);
		domu_answer(a, DOMU_CHECK_FAIL, "mounted on %s in the mount namespace of pid %d (%s)", where, pid,
		            name);
		if (quoted != NULL)
			domu_answer_next(a, "nsenter -m -t %d umount %s", pid, quoted);
	}
	free(quoted);
}

/* One line of proc(5)'s mountinfo: id parent major:minor root where options ... - type source options. */
static void look_at_mount(char *line, const struct domu_relatives *r, struct domu_answer *a, int pid)
{
	unsigned ma, mi;
	char *save = NULL, *field[5], *dash = strstr(line, " - ");
	struct stat st;

	for (int i = 0; i < 5; i++) {
		field[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
		if (field[i] == NULL)
			return;
	}
	if (sscanf(field[2], "%u:%u", &ma, &mi) != 2)
		return;
	if (domu_related_find(r, makedev(ma, mi)) != NULL) {
		mounted(a, field[4], pid);
		return;
	}
	/* btrfs and others show a number of their own: their source says which device. */
	if (ma != 0 || dash == NULL)
		return;
	strtok_r(dash + 3, " ", &save);
	dash = strtok_r(NULL, " ", &save);
	if (dash == NULL || strncmp(dash, "/dev/", 5) != 0)
		return;
	unescape(dash);
	if (stat(dash, &st) == 0 && S_ISBLK(st.st_mode) && domu_related_find(r, st.st_rdev) != NULL)
		mounted(a, field[4], pid);
}

static void look_at_namespace(const char *path, const struct domu_relatives *r, struct domu_answer *a, int pid)
{
	char *line = NULL;
	size_t cap = 0;
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return;
	while (a->result == DOMU_CHECK_PASS && getline(&line, &cap, f) > 0)
		look_at_mount(line, r, a, pid);
	free(line);
	fclose(f);
}

struct namespaces {
	uint64_t *v;
	size_t n;
};

static bool new_namespace(struct namespaces *ns, uint64_t ino)
{
	uint64_t *v;

	for (size_t i = 0; i < ns->n; i++)
		if (ns->v[i] == ino)
			return false;
	v = reallocarray(ns->v, ns->n + 1, sizeof *v);
	if (v != NULL) {
		ns->v = v;
		ns->v[ns->n++] = ino;
	}
	return true;
}

/* Each mount namespace once, through the first process that is in it. */
static void look_everywhere(const struct domu_relatives *r, struct domu_answer *a)
{
	struct namespaces ns = { 0 };
	char path[64], hidden[16] = "";
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (stat("/proc/self/ns/mnt", &st) == 0)
		new_namespace(&ns, st.st_ino);
	look_at_namespace("/proc/self/mountinfo", r, a, 0);
	d = opendir("/proc");
	if (d == NULL)
		domu_answer(a, DOMU_CHECK_UNKNOWN, "/proc cannot be read: %s", strerror(errno));
	while (d != NULL && a->result == DOMU_CHECK_PASS && (e = readdir(d)) != NULL) {
		if (!isdigit((unsigned char)e->d_name[0]) || strlen(e->d_name) > 10)
			continue;
		snprintf(path, sizeof path, "/proc/%.10s/ns/mnt", e->d_name);
		if (stat(path, &st) < 0) {
			if (errno == EACCES || errno == EPERM)
				snprintf(hidden, sizeof hidden, "%.10s", e->d_name);
			continue;
		}
		if (!new_namespace(&ns, st.st_ino))
			continue;
		snprintf(path, sizeof path, "/proc/%.10s/mountinfo", e->d_name);
		look_at_namespace(path, r, a, (int)strtol(e->d_name, NULL, 10));
	}
	if (d != NULL)
		closedir(d);
	free(ns.v);
	if (a->result == DOMU_CHECK_PASS && hidden[0] != '\0')
		domu_answer(a, DOMU_CHECK_UNKNOWN,
		            "the mounts of pid %s cannot be seen: run as root, outside of a container", hidden);
}

static void look_at_swaps(const struct domu_backing *b, const struct domu_relatives *r, struct domu_answer *a)
{
	char *line = NULL, *save = NULL, *path, *quoted;
	size_t cap = 0;
	struct stat st;
	FILE *f = fopen("/proc/swaps", "re");

	while (f != NULL && getline(&line, &cap, f) > 0) {
		if (line[0] != '/')
			continue;
		path = strtok_r(line, " \t", &save);
		unescape(path);
		if (stat(path, &st) < 0)
			continue;
		if (S_ISBLK(st.st_mode) ? domu_related_find(r, st.st_rdev) != NULL
		                        : !b->is_device && st.st_dev == b->dev && st.st_ino == b->inode) {
			domu_answer(a, DOMU_CHECK_FAIL, "in use as swap (%s)", path);
			quoted = domu_shell_quote(path);
			if (quoted != NULL)
				domu_answer_next(a, "swapoff %s", quoted);
			free(quoted);
		}
	}
	free(line);
	if (f != NULL)
		fclose(f);
}

/* Does the kernel claim the device for a mount (in whatever namespace), swap, dm, md?  It need not be named then. */
static bool claimed(const struct domu_backing *b)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", b->fd);
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == EBUSY;
	close(fd);
	return false;
}

/*
 * A mount, of a namespace without processes too, claims its block device, and
 * so do swap, dm and md: asking the kernel costs microseconds and sees
 * everything, reading everybody's mounts costs milliseconds and names the
 * holder.  So reading a guest asks, and looks further when the answer is
 * "claimed"; a change looks in any case.  A file can only be mounted through
 * a loop, which is then among the relatives.
 */
void domu_check_mounts(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                       struct domu_answer *a)
{
	bool busy, stacked = false;

	look_at_swaps(b, r, a);
	if (r->n == 0 || a->result != DOMU_CHECK_PASS)
		return;
	for (size_t i = 0; i < r->n; i++)
		stacked |= r->v[i].holder;
	busy = b->is_device && !domu_held_by_us(b) && claimed(b);
	if (v->depth == DOMU_VERDICT_READ && b->is_device && !busy && !stacked)
		return;
	look_everywhere(r, a);
	/* What could not be looked at does not matter when the kernel says that nobody claims it. */
	if (a->result == DOMU_CHECK_UNKNOWN && b->is_device && !busy && !stacked)
		domu_answer_clear(a);
	/* Where something is stacked on it, that one claims it, and "stacked" says so. */
	if (busy && !stacked && v->depth == DOMU_VERDICT_READ)
		domu_answer(a, DOMU_CHECK_FAIL, "the kernel holds it for something that is no mount here");
}

void domu_check_exclusive(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                          struct domu_answer *a)
{
	(void)v;
	(void)r;
	if (b->is_device && !domu_held_by_us(b) && claimed(b))
		domu_answer(a, DOMU_CHECK_FAIL, "the kernel holds %s exclusively for something", b->path);
}

/* ---- other hosts ----------------------------------------------------------------- */

/* drbd8's /proc/drbd: " 0: cs:Connected ro:Secondary/Primary ..." */
static void check_drbd(const struct domu_view *v, uint64_t dev, struct domu_answer *a)
{
	char *line = NULL, *ro, path[PATH_MAX];
	unsigned number;
	size_t cap = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/proc/drbd", root_of(v));
	f = fopen(path, "re");
	while (f != NULL && getline(&line, &cap, f) > 0) {
		if (sscanf(line, " %u:", &number) != 1 || number != minor((dev_t)dev))
			continue;
		ro = strstr(line, " ro:");
		ro = ro != NULL ? strchr(ro, '/') : NULL;
		if (ro != NULL && strncmp(ro, "/Primary", 8) == 0)
			domu_answer(a, DOMU_CHECK_FAIL, "DRBD's other node is primary");
	}
	free(line);
	if (f != NULL)
		fclose(f);
	domu_answer(a, DOMU_CHECK_UNKNOWN, "it is replicated by DRBD: drbdadm status shows the other node");
}

/* Volume groups that several hosts have at once: whoever runs a lock manager for them has some. */
static void check_shared_vg(const struct domu_view *v, const char *device, struct domu_answer *a)
{
	static const char *const managers[] = { "/run/lvm/lvmlockd.socket", "/run/lvm/clvmd.sock", NULL };
	char path[PATH_MAX], vg[DM_NAME], lv[DM_NAME];

	for (const char *const *m = managers; *m != NULL; m++) {
		snprintf(path, sizeof path, "%s%s", root_of(v), *m);
		if (access(path, F_OK) == 0 && lv_name(v, device, vg, lv))
			domu_answer(a, DOMU_CHECK_UNKNOWN,
			            "volume groups are shared here: another host may have %s/%s active", vg, lv);
	}
}

static void check_transport(const struct domu_view *v, uint64_t dev, struct domu_answer *a, unsigned depth)
{
	static const struct {
		const char *part, *what;
	} shared[] = {
		{ "/session", "iSCSI" }, { "/rport-", "Fibre Channel" },          { "/block/rbd", "Ceph RBD" },
		{ "/block/nbd", "NBD" }, { "nvme-fabrics", "NVMe over fabrics" },
	};
	char own[64], dir[PATH_MAX / 2], path[PATH_MAX], real[PATH_MAX];
	struct dirent *e;
	ssize_t n;
	DIR *d;

	domu_sysfs_path(dev, own);
	snprintf(dir, sizeof dir, "%s%s", root_of(v), own);
	n = readlink(dir, real, sizeof real - 1);
	if (n < 0)
		return;
	real[n] = '\0';
	check_shared_vg(v, strrchr(real, '/') != NULL ? strrchr(real, '/') + 1 : real, a);
	if (strstr(real, "/block/drbd") != NULL)
		check_drbd(v, dev, a);
	for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
		if (strstr(real, shared[i].part) != NULL)
			domu_answer(a, DOMU_CHECK_UNKNOWN, "it comes over %s: another host may use it", shared[i].what);
	snprintf(path, sizeof path, "%s/slaves", dir);
	d = depth < 8 ? opendir(path) : NULL;
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/slaves/%s", dir, e->d_name);
		check_transport(v, domu_sysfs_dev(path), a, depth + 1);
	}
	if (d != NULL)
		closedir(d);
}

/* No evidence of another holder is no refusal here: SAN and NFS would never be usable. */
void domu_check_other_hosts(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                            struct domu_answer *a)
{
	static const struct {
		unsigned magic;
		const char *what;
	} shared[] = {
		{ 0x6969, "NFS" },       { 0xff534d42, "CIFS" },   { 0xfe534d42, "SMB" }, { 0x01161970, "GFS2" },
		{ 0x7461636f, "OCFS2" }, { 0x00c36400, "CephFS" }, { 0x01021997, "9P" },
	};
	struct statfs sf;

	(void)r;
	if (b->is_device) {
		check_transport(v, b->whole_dev, a, 0);
		return;
	}
	if (fstatfs(b->fd, &sf) < 0)
		return;
	for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
		if ((unsigned)sf.f_type == shared[i].magic)
			domu_answer(a, DOMU_CHECK_UNKNOWN, "it is on %s: another host may use it", shared[i].what);
}
