/*
 * filters: the one list of filters (docs/rules/filters.md). A new filter is one file beside this
 * one and one line in filters.c. Read-only; any thread.
 */
#ifndef PILLION_FILTERS_FILTERS_H
#define PILLION_FILTERS_FILTERS_H

#include "base/slice.h"

struct config_filter_plugin;
struct filter_ops;

/* NULL: no such filter. */
const struct filter_ops *filters_find(struct slice name);
/* All of them, in an order that does not matter. */
const struct filter_ops *const *filters_all(size_t *ret_count);
/* Option tables of those that stand in a key `filters`, for config_load; at most `most`. */
size_t filters_plugins(const struct config_filter_plugin **ret_plugins, size_t most);

#endif
