/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* num.h - arithmetic on what a disk says, endian reads, and sizes as people write them. */
#ifndef DOMU_NUM_H
#define DOMU_NUM_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool domu_add(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

static inline bool domu_mul(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

/* [offset, offset+len) lies inside [0, size). */
static inline bool domu_inside(uint64_t offset, uint64_t len, uint64_t size)
{
	return offset <= size && len <= size - offset;
}

static inline uint16_t domu_le16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof v);
	return le16toh(v);
}

static inline uint32_t domu_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static inline uint64_t domu_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

static inline void domu_put_le32(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

static inline void domu_put_le64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

/* May be the name of a file: 1 to 255 bytes, no '/' and no NUL.  Eight at a time: a walk asks it of every name. */
static inline bool domu_name_sound(const char *name, size_t len)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t v, w, bad = 0;

	if (len == 0 || len > 255)
		return false;
	for (size_t i = 0; len < 8 && i < len; i++)
		if (name[i] == '/' || name[i] == '\0')
			return false;
	/* The last eight may overlap those before. */
	for (size_t i = 0; len >= 8 && i < len; i += 8) {
		memcpy(&v, name + (i + 8 <= len ? i : len - 8), 8);
		w = v ^ ones * '/';
		bad |= ((v - ones) & ~v) | ((w - ones) & ~w);
	}
	return (bad & ones << 7) == 0;
}

/* "20G", "512M", "4096": bytes, binary suffixes K M G T P, optional "iB" or "B".  0 or -EINVAL, -ERANGE. */
int domu_size_parse(const char *text, uint64_t *bytes);
#define DOMU_SIZE_TEXT 24
/* "20G", "1.5G", "512": for people, usually at most 6 characters. */
void domu_size_format(uint64_t bytes, char out[DOMU_SIZE_TEXT]);
#define DOMU_AGE_TEXT 24
/* "3 days", "12 min": the age of seconds, for people. */
void domu_age_format(int64_t seconds, char out[DOMU_AGE_TEXT]);

#endif
