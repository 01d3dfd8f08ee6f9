/*
 * nearest: the word that a misspelt one most likely stands for (operations.md CF-23); also declared
 * in config/schema.h for the command line. Pure.
 */
#ifndef PILLION_CONFIG_NEAREST_H
#define PILLION_CONFIG_NEAREST_H

#include "base/slice.h"

int config_nearest(struct slice word, const char *const *candidates, size_t count);
/* The same among the words of "a|b|c". */
int config_nearest_word(struct slice word, const char *words);
/* The distance when it is near enough for that word, else -1. */
int config_nearest_distance(struct slice word, struct slice candidate);

#endif
