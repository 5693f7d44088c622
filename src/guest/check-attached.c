/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check-attached.c - a disk that was attached to this Dom0 (xl block-attach 0): who uses the device that it is here. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "guest/check.h"

/* In the order in which they say most. */
static const domu_check_fn asked[] = { domu_check_mounts, domu_check_stacked, domu_check_writers };

void domu_attached_user(struct domu_view *v, const char *vdev, struct domu_answer *a)
{
	char path[64];
	struct domu_disk d = { .path = path };
	struct domu_relatives r = { 0 };
	struct domu_backing b;
	struct domu_ctx quiet;

	if (strchr(vdev, '/') != NULL || snprintf(path, sizeof path, "/dev/%s", vdev) >= (int)sizeof path)
		return;
	domu_ctx_init(&quiet);
	/* It may not be there, or be no disk: nobody uses it then. */
	if (domu_backing_open(&quiet, &d, &b) == 0) {
		if (b.is_device && domu_relatives(v, &b, &r) == 0)
			for (size_t i = 0; i < sizeof asked / sizeof *asked && a->result != DOMU_CHECK_FAIL; i++)
				asked[i](v, &b, &r, a);
		domu_relatives_free(&r);
		domu_backing_close(&b);
	}
	domu_ctx_free(&quiet);
	/* What cannot be told of it adds nothing to who it is attached to. */
	if (a->result != DOMU_CHECK_FAIL)
		domu_answer_clear(a);
}
