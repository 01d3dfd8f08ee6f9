/*
 * crc32c: CRC-32C (RFC 3720 B.4). "123456789" gives E3069283, 32 zero bytes 8A9136AA. Continue a
 * sum by passing the previous result; begin with 0. Pure.
 */
#ifndef PILLION_BASE_CRC32C_H
#define PILLION_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t previous, const void *data, size_t size);
/* The same without the processor's instruction; for tests and machines that lack it. */
uint32_t crc32c_portable(uint32_t previous, const void *data, size_t size);

#endif
