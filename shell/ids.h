/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ids.h - users and groups by the guest's own /etc/passwd and /etc/group. */
#ifndef DOMU_IDS_H
#define DOMU_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "shell/command.h"

struct domu_owner {
	bool has_uid, has_gid;
	uint32_t uid, gid;
};

/* "web", "0", "web:adm", ":adm", "web:" (its login group), "+33": as chown takes it.  In the worker. */
int domu_owner_parse(struct domu_run *r, const char *text, struct domu_owner *o);

#endif
