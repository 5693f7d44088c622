/* SPDX-License-Identifier: GPL-3.0-or-later */
/* appliance.h - between the two halves of the appliance: appliance.c in the front, serve.c that holds libguestfs. */
#ifndef DOMU_APPLIANCE_H
#define DOMU_APPLIANCE_H

#include "fence/confine.h"
#include "fence/fence.h"

/* Requests on ctl, each answered by an END after any number of SAY and PROGRESS. */
#define DOMU_APPLIANCE_LAUNCH "launch" /* starts qemu */
#define DOMU_APPLIANCE_OPEN   "open" /* u64 offset, u64 size, str type, u64 flags; the END has a socket */
#define DOMU_APPLIANCE_END    "end" /* unmounts and ends */

struct domu_appliance_args {
	int ctl;
	uint64_t disk_size;
	uint32_t sector_size;
	bool writable, kvm;
};

/* The process's whole life, already confined; path is the export. */
int domu_appliance_main(void *args, const char *path);

#endif
