/*
 * number_print: integers and shortest floating point as JSON text (codec.md JS-05, EN-06). Pure.
 */
#ifndef PILLION_CODEC_NUMBER_PRINT_H
#define PILLION_CODEC_NUMBER_PRINT_H

#include <stdint.h>

#define NUMBER_PRINT_MAX 32 /* bytes that any of these may write */

/* Each writes at out and returns the end of the text; nothing is terminated. */
uint8_t *number_print_u64(uint64_t value, uint8_t *out);
uint8_t *number_print_i64(int64_t value, uint8_t *out);
/* value < 10^digits, with leading zeros; digits is 1 to 9. */
uint8_t *number_print_padded(uint32_t value, unsigned digits, uint8_t *out);
/* Finite values only: the shortest digits, laid out as ECMAScript does, but -0 keeps its sign. */
uint8_t *number_print_double(double value, uint8_t *out);
uint8_t *number_print_float(float value, uint8_t *out);

#endif
