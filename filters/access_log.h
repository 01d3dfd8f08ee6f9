/*
 * access_log: one record per exchange, from its end (filters.md FL-10). Built in: control places it
 * first in the chain of every listener. Its configuration is a struct access_options; `options` of
 * configure is the config_access_log of the configuration, which must outlive the chain.
 */
#ifndef PILLION_FILTERS_ACCESS_LOG_H
#define PILLION_FILTERS_ACCESS_LOG_H

#include "exchange/filter.h"

extern const struct filter_ops access_log_filter;

#endif
