/* SPDX-License-Identifier: GPL-3.0-or-later */
/* server.c - the export's server: one file through FUSE, in a mount namespace of its own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "fence/lib-fuse.h"
#include "fence/server.h"
#include "fence/target.h"
#include "fence/work.h"

DOMU_LIB_DEFINE(fuse, DOMU_FUSE_CALLS, FUSE_SONAME);

#define MAX_IO       (1u << 20) /* bytes in one request of the kernel */
#define MAX_FILES    64
#define MEMORY_LIMIT (UINT64_C(1) << 30)
#define FOREVER      86400.0 /* seconds that the kernel may believe an attribute: nobody else changes them */
#define FILE_NAME    "disk"

struct server {
	const struct domu_export_opts *opts;
	struct domu_ctx ctx;
	struct domu_work_say say;
	struct domu_stack stack;
	struct domu_block *slice;
	struct fuse_session *session;
	char *buf; /* MAX_IO */
	char path[64];
	int ctl, fuse_fd, ns_fd;
	int failed; /* the first write or flush that could not be done; its message is in ctx */
};

/* ---- what the kernel asks ------------------------------------------------------ */

static void fill_attr(const struct server *s, struct stat *st)
{
	memset(st, 0, sizeof *st);
	st->st_ino = FUSE_ROOT_ID;
	st->st_mode = S_IFREG | (s->opts->writable ? 0600 : 0400);
	st->st_nlink = 1;
	st->st_uid = s->opts->uid;
	st->st_gid = s->opts->uid;
	st->st_size = (off_t)s->opts->size;
	st->st_blocks = (blkcnt_t)(s->opts->size / 512);
	st->st_blksize = 4096;
}

static void op_init(void *user, struct fuse_conn_info *conn)
{
	(void)user;
	/* Without it each write is in the log before it returns, and an error is the writer's own. */
	conn->want &= ~(unsigned)FUSE_CAP_WRITEBACK_CACHE;
	conn->max_read = MAX_IO;
	conn->max_write = MAX_IO;
	conn->max_readahead = MAX_IO;
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)ino;
	(void)fi;
	fill_attr(fuse_req_userdata(req), &st);
	fuse_reply_attr(req, &st, FOREVER);
}

/* Cutting the file (resize2fs does, at its end) is agreed to and has no effect; growing it is not possible. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	const struct server *s = fuse_req_userdata(req);

	if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		fuse_reply_err(req, EPERM);
	else if ((to_set & FUSE_SET_ATTR_SIZE) && (uint64_t)attr->st_size > s->opts->size)
		fuse_reply_err(req, EFBIG);
	else
		op_getattr(req, ino, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct server *s = fuse_req_userdata(req);

	(void)ino;
	if (!s->opts->writable && (fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t offset, struct fuse_file_info *fi)
{
	struct server *s = fuse_req_userdata(req);
	uint64_t at = (uint64_t)offset, left = at < s->opts->size ? s->opts->size - at : 0;
	int rc;

	(void)ino;
	(void)fi;
	if (len > MAX_IO)
		len = MAX_IO;
	if (len > left)
		len = (size_t)left;
	rc = domu_block_pread(s->slice, s->buf, len, at);
	if (rc != 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_buf(req, s->buf, len);
}

static void remember(struct server *s, int rc)
{
	if (rc != 0 && s->failed == 0)
		s->failed = rc;
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t len, off_t offset,
                     struct fuse_file_info *fi)
{
	struct server *s = fuse_req_userdata(req);
	int rc = -EFBIG;

	(void)ino;
	(void)fi;
	if (domu_inside((uint64_t)offset, len, s->opts->size)) {
		rc = domu_block_pwrite(s->slice, buf, len, (uint64_t)offset);
		remember(s, rc);
	}
	if (rc != 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_write(req, len);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct server *s = fuse_req_userdata(req);
	int rc = domu_block_flush(s->slice);

	(void)ino;
	(void)datasync;
	(void)fi;
	remember(s, rc);
	fuse_reply_err(req, -rc);
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
};

/* ---- start and end ------------------------------------------------------------- */

/*
 * A tmpfs that only this namespace sees takes the file that is mounted on,
 * and a folder for temporary files of the child: nothing is made in the
 * host's folders, and nothing is left, however they end.
 */
static int mount_point(char path[64], unsigned uid)
{
	static const char *const places[] = { "/mnt", "/media", "/srv", "/opt", "/tmp" };
	struct stat st;

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		int fd;

		if (stat(places[i], &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		if (mount("domu-rescue", places[i], "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64m,mode=0755") <
		    0)
			return -errno;
		snprintf(path, 64, "%s/" DOMU_EXPORT_TMP, places[i]);
		if (mkdir(path, 0700) < 0 || chown(path, uid, uid) < 0)
			return -errno;
		snprintf(path, 64, "%s/" FILE_NAME, places[i]);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			return -errno;
		close(fd);
		return 0;
	}
	return -ENOENT;
}

static int make_mount(struct server *s)
{
	unsigned uid = s->opts->uid;
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (s->opts->writable ? 0 : MS_RDONLY);
	char options[160];
	int rc;

	/*
	 * Slave, not private: what the host unmounts meanwhile is not kept mounted (and its device busy) by this
	 * copy.
	 */
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return domu_fail(&s->ctx, DOMU_UNSUPPORTED, -errno, "cannot make a mount namespace: %s",
		                 strerror(errno));
	rc = mount_point(s->path, uid);
	if (rc != 0)
		return domu_fail(&s->ctx, DOMU_FAILED, rc, "cannot make a mount point: %s", strerror(-rc));
	s->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (s->fuse_fd < 0)
		return domu_fail(&s->ctx, DOMU_UNSUPPORTED, -ENOSYS,
		                 "cannot open /dev/fuse: %s (load it: modprobe fuse)", strerror(errno));
	snprintf(options, sizeof options, "fd=%d,rootmode=100000,user_id=%u,group_id=%u,max_read=%u", s->fuse_fd, uid,
	         uid, MAX_IO);
	if (mount("domu-rescue", s->path, "fuse.domu-rescue", flags, options) < 0)
		return domu_fail(&s->ctx, DOMU_FAILED, -errno, "cannot mount the export: %s", strerror(errno));
	s->ns_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return s->ns_fd >= 0
	           ? 0
	           : domu_fail(&s->ctx, DOMU_FAILED, -errno, "cannot open the mount namespace: %s", strerror(errno));
}

static int confine(struct server *s, pid_t parent)
{
	int keep[3 + DOMU_STACK_FDS] = { s->ctl, s->fuse_fd, s->ns_fd };
	const struct domu_confine c = { .keep = keep,
		                        .n_keep = 3 + domu_stack_fds(&s->opts->stack, keep + 3),
		                        .parent = parent,
		                        .empty_root = true,
		                        .no_fork = true,
		                        .memory = MEMORY_LIMIT,
		                        .files = MAX_FILES,
		                        .uid = s->opts->uid };
	const char *what = "";
	int rc = domu_confine(&c, &what);

	return rc != 0 ? domu_fail(&s->ctx, DOMU_FAILED, rc, "the export's server cannot %s: %s", what, strerror(-rc))
	               : 0;
}

static int open_session(struct server *s)
{
	char name[] = "domu-rescue", option[32], fd[32];
	char *argv[] = { name, option, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	int rc = domu_stack_open(&s->ctx, &s->opts->stack, "export", &s->stack);

	if (rc == 0)
		rc = domu_slice_open(&s->ctx, s->stack.top, "export", s->opts->offset, s->opts->size, &s->slice);
	if (rc != 0)
		return rc;
	s->buf = malloc(MAX_IO);
	if (s->buf == NULL)
		return domu_nomem(&s->ctx);
	snprintf(option, sizeof option, "-omax_read=%u", MAX_IO);
	snprintf(fd, sizeof fd, "/dev/fd/%d", s->fuse_fd);
	s->session = fuse_session_new(&args, &operations, sizeof operations, s);
	fuse_opt_free_args(&args);
	if (s->session == NULL || fuse_session_mount(s->session, fd) != 0)
		return domu_fail(&s->ctx, DOMU_FAILED, -EIO, "libfuse does not take the mount");
	return 0;
}

/* Until the front says that it is over, or is gone. */
static void loop(struct server *s)
{
	struct pollfd p[] = { { .fd = s->fuse_fd, .events = POLLIN }, { .fd = s->ctl, .events = POLLIN } };
	struct fuse_buf buf = { .mem = NULL };

	for (;;) {
		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (p[0].revents != 0) {
			int n = fuse_session_receive_buf(s->session, &buf);

			if (n > 0)
				fuse_session_process_buf(s->session, &buf);
			else if (n != -EINTR && n != -EAGAIN)
				p[0].fd = -1; /* the last user of the mount is gone */
			continue;
		}
		if (p[1].revents != 0)
			break;
	}
	free(buf.mem);
}

static int finish(struct server *s)
{
	int rc = domu_block_flush(s->slice), r;

	remember(s, rc);
	r = domu_block_close(s->slice);
	remember(s, r);
	r = domu_stack_close(&s->stack);
	remember(s, r);
	return s->failed;
}

_Noreturn void domu_server_main(const struct domu_export_opts *opts, int ctl, pid_t parent)
{
	struct server s = { .opts = opts, .ctl = ctl, .fuse_fd = -1, .ns_fd = -1 };
	struct domu_msg m = DOMU_MSG_INIT(DOMU_MSG_END);
	int rc;

	domu_confine_signals();
	prctl(PR_SET_NAME, "domu-export", 0, 0, 0);
	domu_work_ctx(&s.ctx, &s.say, ctl);
	rc = domu_lib_load(&s.ctx, &domu_lib_fuse);
	if (rc == 0)
		rc = make_mount(&s);
	if (rc == 0)
		rc = confine(&s, parent);
	if (rc == 0)
		rc = open_session(&s);
	domu_work_put_end(&m, &s.ctx, rc);
	domu_msg_put_str(&m, s.path);
	if (rc == 0)
		domu_msg_put_fd(&m, s.ns_fd);
	if (domu_msg_send(ctl, &m) != 0 || rc != 0)
		_exit(1);
	close(s.ns_fd);
	loop(&s);
	rc = finish(&s);
	domu_msg_reset(&m, DOMU_MSG_END);
	domu_work_put_end(&m, &s.ctx, rc);
	domu_msg_send(ctl, &m);
	_exit(0);
}
