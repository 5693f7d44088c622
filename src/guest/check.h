/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check.h - what the checks of the in-use verdict share: the answer, the devices on top of a disk, the processes. */
#ifndef DOMU_CHECK_H
#define DOMU_CHECK_H

#include "guest/inuse.h"
#include "guest/toolstack.h"

/* What one check says of one disk; starts as a pass. */
struct domu_answer {
	enum domu_check_result result;
	char *detail; /* who holds it */
	char *next; /* the command that frees it, or NULL */
	bool taken; /* the last domu_answer() counted: a command given now belongs to it */
};

/* Keeps the first.  Out of memory loses the words, never the result. */
void domu_answer(struct domu_answer *a, enum domu_check_result result, const char *fmt, ...) DOMU_PRINTF(3, 4);
void domu_answer_clear(struct domu_answer *a); /* a pass again */
void domu_answer_next(struct domu_answer *a, const char *fmt, ...) DOMU_PRINTF(2, 3);

/* A bound loop device and what it is over. */
struct domu_loop {
	char name[32]; /* loop3 */
	uint64_t dev; /* its own number */
	uint64_t back_dev, back_inode, back_rdev; /* of what is below; back_rdev 0: a file */
	bool known; /* false: the device could not be asked */
	char *file; /* as sysfs has it, or NULL */
};

struct domu_loops {
	struct domu_loop *v;
	size_t n;
};

/* A block device that holds the same bytes as a disk, or bytes on top of them. */
struct domu_related {
	uint64_t dev;
	char name[32]; /* dm-3, loop0p1 */
	bool holder; /* stacked on it (dm, md, loop), not a partition or the disk above */
};

struct domu_relatives {
	struct domu_related *v;
	size_t n;
};

/* A struct domu_backend that outlives the call. */
struct domu_backend_copy {
	char *path, *params, *vdev, *script;
	uint64_t dev; /* 0: not a device, or not known yet */
	unsigned domain, frontend;
	int state;
	bool readonly;
};

/* One verdict's view of the host: read when first needed, once for all disks. */
struct domu_view {
	struct domu_ctx *ctx;
	const struct domu_guest *guest;
	enum domu_verdict_depth depth;
	bool xen;
	const char *const *save_dirs; /* NULL-terminated */
	const char *root; /* before the paths of toolstacks and of some of sysfs: "", but for a test */
	struct domu_loops loops;
	bool loops_read;
	struct domu_guests live; /* what libxl says runs */
	char *live_error; /* libxl did not answer */
	bool live_read;
	struct domu_backend_copy *backends; /* what xenstore says is served */
	size_t n_backends;
	char *backends_error;
	bool backends_read;
	struct domu_toolstacks toolstacks; /* who else starts and stops domains */
	bool toolstacks_read;
};

void domu_view_free(struct domu_view *v);
int domu_view_loops(struct domu_view *v, const struct domu_loops **loops); /* -ENOMEM */
/* The disk itself is in it when it is a device.  -ENOMEM. */
int domu_relatives(struct domu_view *v, const struct domu_backing *b, struct domu_relatives *out);
void domu_relatives_free(struct domu_relatives *r);
const struct domu_related *domu_related_find(const struct domu_relatives *r, uint64_t dev);

/* The first line of a file of the kernel's, without its newline; the caller frees.  NULL: it cannot be read. */
char *domu_first_line(const char *path);
/* Device number of a sysfs folder ("/sys/dev/block/8:1"), 0: none. */
uint64_t domu_sysfs_dev(const char *dir);
/* "/sys/dev/block/8:1" */
void domu_sysfs_path(uint64_t dev, char out[64]);
/* "bash" of a process, printable; "?" when it is gone. */
void domu_process_name(int pid, char out[32]);
/* Has this very process a descriptor open for writing on the disk?  (It is committing.) */
bool domu_held_by_us(const struct domu_backing *b);
/* Does the kernel count a writer of the file?  Untold: a device, or a filesystem without leases of that kind. */
enum domu_lease { DOMU_LEASE_FREE, DOMU_LEASE_WRITER, DOMU_LEASE_UNTOLD };
enum domu_lease domu_ask_lease(const struct domu_backing *b);
int domu_image_lock(int fd); /* -EBUSY: a qemu has the image */
/* Is path (of a live domain, a save file) this disk, a part of it or the whole of which it is a part? */
enum domu_same { DOMU_SAME_NO, DOMU_SAME_YES, DOMU_SAME_UNKNOWN };
enum domu_same domu_same_disk(const struct domu_backing *b, const char *path);
bool domu_same_device(const struct domu_backing *b, uint64_t dev);
/* Two paths of this host that lead to one device or file. */
bool domu_same_target(const char *x, const char *y);
/* Of a disk that was attached to the Dom0: the path that is behind it, or what a block script makes it of.  Or NULL. */
const char *domu_behind(struct domu_view *v, const struct domu_backing *b);
/* Who uses /dev/VDEV of this Dom0: a stays a pass where nobody is seen to. */
void domu_attached_user(struct domu_view *v, const char *vdev, struct domu_answer *a);
/* Is that file the disk, or what a loop makes it of? */
bool domu_same_file(const struct domu_backing *b, uint64_t dev, uint64_t inode);

typedef void (*domu_check_fn)(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                              struct domu_answer *a);

void domu_check_resolve(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a);
void domu_check_own_lock(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                         struct domu_answer *a);
void domu_check_unchanged(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                          struct domu_answer *a);
void domu_check_stacked(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a);
void domu_check_mounts(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                       struct domu_answer *a);
void domu_check_writers(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a);
void domu_check_image_lock(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                           struct domu_answer *a);
void domu_check_exclusive(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                          struct domu_answer *a);
void domu_check_other_hosts(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                            struct domu_answer *a);
void domu_check_xen(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                    struct domu_answer *a);
void domu_check_domains(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a);
void domu_check_backends(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                         struct domu_answer *a);
void domu_check_driver_domains(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                               struct domu_answer *a);
void domu_check_saved(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                      struct domu_answer *a);
void domu_check_hotplug(struct domu_view *v, const struct domu_backing *b, const struct domu_relatives *r,
                        struct domu_answer *a);

/* The hotplug lock in a folder of a test's choosing. */
int domu_hotplug_lock_at(struct domu_ctx *ctx, const char *dir, const char *what, unsigned seconds, int *fd);

/*
 * Our own lock: who has it, when it is not us, and whether he only reads so far.  0: nobody, 1: owner filled in, or a
 * negative errno.
 */
int domu_lock_owner(const struct domu_backing *b, char *owner, size_t size, bool *idle);

#endif
