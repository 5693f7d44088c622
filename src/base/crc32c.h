/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crc32c.h - the Castagnoli checksum, as ext4, xfs and btrfs use it (RFC 3720, appendix B.4). */
#ifndef DOMU_CRC32C_H
#define DOMU_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#include "domu-plugin.h"

/* No inversion before or after: start with ~0u; the RFC's value is the inverse of the result. */
DOMU_PUBLIC uint32_t domu_crc32c(uint32_t crc, const void *data, size_t len);

#endif
