/*
 * number_parse: JSON numbers to integers and floating point, exactly (codec.md JS table, JS-05,
 * EN-06). Pure, linear in the length of the text, no locale.
 */
#ifndef PILLION_CODEC_NUMBER_PARSE_H
#define PILLION_CODEC_NUMBER_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A number as it stands in the text: digits * 10^exponent. */
struct number_text {
	const uint8_t *start; /* the first digit */
	const uint8_t *end;   /* behind the last digit of the fraction */
	uint64_t digits;      /* the first 19 significant ones */
	int64_t exponent;     /* of `digits` */
	int64_t written;      /* the exponent behind `e`, clamped */
	bool negative;
	bool more;  /* significant digits were left out of `digits` */
	bool plain; /* neither fraction nor exponent */
};

/* By the grammar of RFC 8259: the place behind the number, or NULL. */
const uint8_t *number_parse_scan(
	const uint8_t *p, const uint8_t *end, struct number_text *ret_number);

enum number_result {
	NUMBER_OK,
	NUMBER_FRACTION,
	NUMBER_RANGE,
};

/* The magnitude as an integer: 1.0, 1e5 and 0e99 are integers. */
enum number_result number_parse_integer(const struct number_text *number, uint64_t *ret_magnitude);
/* Correctly rounded (ties to even); false when it rounds to infinity. */
bool number_parse_double(const struct number_text *number, double *ret_value);
bool number_parse_float(const struct number_text *number, float *ret_value);

#endif
