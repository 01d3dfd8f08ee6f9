/*
 * headers: removes, sets and adds fields of requests, responses and trailers (filters.md FL-11).
 * Values are constants with the variables of MR-08: ${trace_id} ${service} ${route} ${peer}.
 */
#ifndef PILLION_FILTERS_HEADERS_H
#define PILLION_FILTERS_HEADERS_H

#include "exchange/filter.h"

extern const struct filter_ops headers_filter;

#endif
