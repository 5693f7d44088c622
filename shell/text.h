/* SPDX-License-Identifier: GPL-3.0-or-later */
/* text.h - text that a worker writes in large pieces: many short lines cost little. */
#ifndef DOMU_TEXT_H
#define DOMU_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct domu_text {
	char *buf;
	size_t len, cap;
	int err; /* sticks: a negative errno */
	int (*flush)(void *user, const char *text, size_t len);
	void *user;
};

void domu_text_add(struct domu_text *t, const char *text, size_t len);
void domu_text_char(struct domu_text *t, char c);
void domu_text_number(struct domu_text *t, uint64_t n);
/* Something whole was added: a piece goes out where there is enough for one. */
int domu_text_end(struct domu_text *t);
int domu_text_flush(struct domu_text *t);
void domu_text_free(struct domu_text *t);

#endif
