/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xml.h - a scanner for the small XML files that other toolstacks keep: elements, attributes, text, and no more. */
#ifndef DOMU_XML_H
#define DOMU_XML_H

#include <stddef.h>

/* Not meant for XML in general: no document type, no namespaces, ASCII names. */
#define DOMU_XML_DEPTH 32
#define DOMU_XML_ATTRS 32
#define DOMU_XML_PATH  512

struct domu_xml_attr {
	const char *name, *value; /* value: references replaced */
};

/* path: the open elements, outermost first ("domain/devices/disk").  What is handed over lives as long as the call. */
struct domu_xml_handler {
	int (*open)(void *user, const char *path, const struct domu_xml_attr *attrs, size_t n);
	/* Text directly in that element, a piece of it where comments or elements are in between. */
	int (*text)(void *user, const char *path, const char *text);
	int (*close)(void *user, const char *path);
};

/* 0; -EINVAL: not such a file, after what was understood of it; -ENOMEM; or what a function of h gave. */
int domu_xml_scan(const char *text, size_t len, const struct domu_xml_handler *h, void *user);
/* NULL: there is none. */
const char *domu_xml_attr(const struct domu_xml_attr *attrs, size_t n, const char *name);

#endif
