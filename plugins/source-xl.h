/* SPDX-License-Identifier: GPL-3.0-or-later */
/* source-xl.h - what the two halves of the xl source share: configs, and live domains. */
#ifndef DOMU_SOURCE_XL_H
#define DOMU_SOURCE_XL_H

#include <libxl.h>
#include <libxl_utils.h>
#include <libxlutil.h>

#include "guest/guest.h"

/*
 * A library loaded, and the addresses of its functions put where they belong in lib.  A failure begins with cannot
 * ("live domains cannot be seen"); hint: what is said where it is not installed.  DOMU_UNSUPPORTED.
 */
struct xl_symbol {
	const char *name;
	size_t at; /* in lib */
};
int xl_load(struct domu_ctx *ctx, const char *soname, const char *cannot, const char *hint, const struct xl_symbol *v,
            size_t n, void *lib);

/* libxlutil and the libxl it brings along, loaded when first needed. */
struct xl_lib {
	__typeof__(&xlu_cfg_init) cfg_init;
	__typeof__(&xlu_cfg_readdata) cfg_readdata;
	__typeof__(&xlu_cfg_destroy) cfg_destroy;
	__typeof__(&xlu_cfg_get_string) cfg_get_string;
	__typeof__(&xlu_cfg_get_list) cfg_get_list;
	__typeof__(&xlu_cfg_get_listitem) cfg_get_listitem;
	__typeof__(&xlu_disk_parse) disk_parse;
	__typeof__(&libxl_device_disk_init) disk_init;
	__typeof__(&libxl_device_disk_dispose) disk_dispose;
};

/* DOMU_UNSUPPORTED where the library is not installed. */
int xl_lib_load(struct domu_ctx *ctx, const struct xl_lib **lib);

/* Fills d, which domu_guest_add_disk() gave; path may be NULL.  -ENOMEM. */
int xl_disk_convert(const libxl_device_disk *from, const char *path, const char *format, struct domu_disk *d);

int xl_list_live(struct domu_ctx *ctx, domu_guest_fn fn, void *user);
int xl_list_backends(struct domu_ctx *ctx, domu_backend_fn fn, void *user);
int xl_watch_open(struct domu_ctx *ctx, struct domu_source_watch **w);
int xl_watch_fd(struct domu_source_watch *w);
int xl_watch_look(struct domu_source_watch *w);
void xl_watch_close(struct domu_source_watch *w);

#endif
