/*
 * utf8: strict UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Pure.
 */
#ifndef PILLION_BASE_UTF8_H
#define PILLION_BASE_UTF8_H

#include <stdbool.h>

#include "base/slice.h"

/* Bytes of the sequence at p (1 to 4), or 0 when it is broken or cut by end; p < end. */
unsigned utf8_sequence(const uint8_t *p, const uint8_t *end);
bool utf8_valid(struct slice text);
/* Writes 1 to 4 bytes of a scalar value and returns the end. */
uint8_t *utf8_write(uint32_t code_point, uint8_t *out);
/* The UTF-16 unit of the four hex digits at p, as behind \u in JSON; -1: there are none. */
int32_t utf8_hex_unit(const uint8_t *p, const uint8_t *end);

#endif
