/* SPDX-License-Identifier: GPL-3.0-or-later */
/* proxy-wire.h - what passes between the two ends of a proxy: one request, parts perhaps, one reply. */
#ifndef DOMU_PROXY_WIRE_H
#define DOMU_PROXY_WIRE_H

#include "base/msg.h"
#include "fs/proxy.h"

#define PROXY_VERSION  1
#define PROXY_DATA     (1u << 20) /* bytes in one read or write */
#define PROXY_PART     (64u << 10) /* a part is sent when it is this long */
#define PROXY_PARTS    (64u << 20) /* bytes of all parts of a request */
#define PROXY_MAX_LINE 65536

/* Arguments are in the order of the op in struct domu_fs_ops. */
enum proxy_op {
	PROXY_HELLO = 1, /* u64 version; reply: u64 version, root, writable, str type, uuid, label, u64 size, used */
	PROXY_FLUSH,
	PROXY_LOOKUP,
	PROXY_STAT,
	PROXY_READDIR, /* parts: (bytes name, u64 ino, u64 mode) ... */
	PROXY_READLINK,
	PROXY_READ,
	PROXY_LISTXATTR, /* parts: (str name, bytes value) ... */
	PROXY_STATFS,
	PROXY_CREATE,
	PROXY_WRITE,
	PROXY_TRUNCATE,
	PROXY_LINK,
	PROXY_UNLINK,
	PROXY_RMDIR,
	PROXY_RENAME,
	PROXY_SETATTR,
	PROXY_SETXATTR,
	PROXY_REMOVEXATTR,
	PROXY_CHECK, /* parts: str line ... */
	PROXY_SUBVOLUME,
	PROXY_OPS,

	PROXY_REPLY = 100, /* u64 errno or 0, u64 status, str message or NULL, bytes: a message of the op's results */
	PROXY_PART_MSG,
};

#endif
