/*
 * type: the spellings of scalar values (operations.md CF-07): text -> value, value -> text.
 * Internal to config. Pure.
 */
#ifndef PILLION_CONFIG_TYPE_H
#define PILLION_CONFIG_TYPE_H

#include "base/arena.h"
#include "base/buf.h"
#include "config/key.h"

/* Each takes the whole text and leaves *ret untouched when it is not of the form. */
bool config_type_duration(struct slice text, int64_t *ret_us);
bool config_type_size(struct slice text, uint64_t *ret_bytes);
bool config_type_percent(struct slice text, int *ret_per_mille);
bool config_type_rate(struct slice text, int64_t *ret_per_min);
bool config_type_name(struct slice text);
bool config_type_egress(struct arena *arena, struct slice text, struct config_egress_entry *ret);

/* The index of the word in "a|b|c", or -1. */
int config_type_word(const char *words, struct slice text);
size_t config_type_word_count(const char *words);
struct slice config_type_word_at(const char *words, size_t index);

/* The size of the C field of a scalar type, 0 for others. */
size_t config_type_size_of(enum config_type type);
/* Appends the value as JSON text. `type` is a scalar. */
void config_type_format(const struct config_key *key, enum config_type type, const void *value,
	struct buf *ret_text);
/* What is expected: `a duration such as "250ms"`; with the range where that says more. */
void config_type_expected(
	const struct config_key *key, enum config_type type, struct buf *ret_text);
/* `an integer in 1..64`: the range alone, as values of that type are written. */
void config_type_range(const struct config_key *key, enum config_type type, struct buf *ret_text);
/* A JSON string with its quotes; UTF-8 stays as it is. */
void config_type_quote(struct buf *ret_text, struct slice text);

#endif
