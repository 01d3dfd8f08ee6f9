/*
 * wire_value: single values as JSON (codec.md JS-03, JS table, OP-01). Internal.
 */
#ifndef PILLION_CODEC_WIRE_VALUE_H
#define PILLION_CODEC_WIRE_VALUE_H

#include "codec/wire_printer.h"

/* `,"name":` by the options; false: the cap is reached. */
bool wire_value_put_key(struct wire_printer *x, const struct pool_field *field) MUST_CHECK;
/* Text as it is, at most the margin. */
void wire_value_put(struct wire_printer *x, struct slice text);

/* What the type keeps of the bits: 32 of them, or one for bool. Zero is the default. */
uint64_t wire_value_normal(const struct pool_field *field, uint64_t bits);
/* False for an undeclared number of a closed enum (WI-07). */
bool wire_value_declared(
	const struct wire_printer *x, const struct pool_field *field, uint64_t bits);

/* A number, bool or enum by its normal bits; needs the margin only. */
bool wire_value_print_bits(
	struct wire_printer *x, const struct pool_field *field, uint64_t bits) MUST_CHECK;
/* The same as a map key: always quoted. */
bool wire_value_print_key(
	struct wire_printer *x, const struct pool_field *field, uint64_t bits) MUST_CHECK;
bool wire_value_print_double(struct wire_printer *x, double value) MUST_CHECK;

/* Quoted text; false after a fault: not UTF-8, or the cap. */
bool wire_value_print_string(struct wire_printer *x, struct slice text) MUST_CHECK;
/* Quoted base64. */
bool wire_value_print_bytes(struct wire_printer *x, struct slice bytes) MUST_CHECK;
/* One of the two, by the field. */
bool wire_value_print_text(
	struct wire_printer *x, const struct pool_field *field, struct slice text) MUST_CHECK;

/* The default of a field without presence, for emit_defaults; with its key. */
bool wire_value_print_default(struct wire_printer *x, const struct pool_field *field) MUST_CHECK;

#endif
