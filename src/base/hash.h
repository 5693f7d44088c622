/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hash.h - a checksum of blocks that has nothing in common with those the blocks contain themselves. */
#ifndef DOMU_HASH_H
#define DOMU_HASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * XXH64 with seed 0; len is a multiple of 32.  Not a CRC on purpose: a block
 * that ends in its own crc32c (ext4's superblock, directory and extent blocks)
 * has the same crc32c whatever is changed in it, as long as its own is right.
 */
uint64_t domu_hash64(const void *data, size_t len);
/* The same in 32 bits. */
uint32_t domu_hash32(const void *data, size_t len);

#endif
