/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hash.c - XXH64, as its specification describes it (xxhash_spec.md of the xxHash project), for whole stripes. */
#include "config.h"

#include "base/hash.h"
#include "base/num.h"

#define P1 UINT64_C(0x9e3779b185ebca87)
#define P2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define P3 UINT64_C(0x165667b19e3779f9)
#define P4 UINT64_C(0x85ebca77c2b2ae63)
#define P5 UINT64_C(0x27d4eb2f165667c5)

static inline uint64_t rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

static inline uint64_t stir(uint64_t lane, uint64_t in)
{
	return rotate(lane + in * P2, 31) * P1;
}

uint64_t domu_hash64(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t a = P1 + P2, b = P2, c = 0, d = 0 - P1, h = P5;

	if (len >= 32) {
		for (size_t i = 0; i + 32 <= len; i += 32) {
			a = stir(a, domu_le64(p + i));
			b = stir(b, domu_le64(p + i + 8));
			c = stir(c, domu_le64(p + i + 16));
			d = stir(d, domu_le64(p + i + 24));
		}
		h = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
		h = (h ^ stir(0, a)) * P1 + P4;
		h = (h ^ stir(0, b)) * P1 + P4;
		h = (h ^ stir(0, c)) * P1 + P4;
		h = (h ^ stir(0, d)) * P1 + P4;
	}
	h += len;
	h = (h ^ h >> 33) * P2;
	h = (h ^ h >> 29) * P3;
	return h ^ h >> 32;
}

uint32_t domu_hash32(const void *data, size_t len)
{
	uint64_t h = domu_hash64(data, len);

	return (uint32_t)(h ^ h >> 32);
}
