/* SPDX-License-Identifier: GPL-3.0-or-later */
/* target.h - what a driver that lives in the appliance's process is given instead of blocks. */
#ifndef DOMU_TARGET_H
#define DOMU_TARGET_H

#include "domu-plugin.h"

/* A private folder beside the export: it vanishes with the processes. */
#define DOMU_EXPORT_TMP "tmp"

/* One a process: made by the first filesystem that is opened, ended after the last. */
struct domu_appliance_shared {
	void *data;
	int (*end)(struct domu_ctx *ctx, void *data);
};

struct domu_appliance_target {
	const char *path; /* of the whole disk */
	uint32_t sector_size;
	bool writable; /* the disk */
	bool kvm; /* the processor's help can be trusted to work */
	uint64_t disk_size; /* bytes */
	uint64_t offset, size; /* bytes: the filesystem's part of the disk */
	const char *type; /* as probed */
	struct domu_appliance_shared *shared;
};

/* The target that b stands for; NULL: b is a block like any other, and this is not the appliance's process. */
DOMU_PUBLIC const struct domu_appliance_target *domu_appliance_target(const struct domu_block *b);

#endif
