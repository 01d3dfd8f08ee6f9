/*
 * json_scan: a strict reader over small JSON texts of the local API, and the check that a body is
 * JSON at all (B7-05). Values are found in place, nothing is built. Pure.
 */
#ifndef PILLION_BROKER_JSON_SCAN_H
#define PILLION_BROKER_JSON_SCAN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

#define JSON_SCAN_DEPTH 100

/* The whole text is one value of valid UTF-8. */
bool json_scan_valid(struct slice text);

/* A walk over an object or an array that json_scan_valid said yes to. */
struct json_scan {
	struct slice rest;
};
/* False: the value is no object (or no array). */
bool json_scan_object(struct slice value, struct json_scan *ret_scan);
bool json_scan_array(struct slice value, struct json_scan *ret_scan);
/* The next member or element; false at the end. The name is decoded into `name`. */
bool json_scan_member(struct json_scan *scan, struct buf *name, struct slice *ret_value);
bool json_scan_element(struct json_scan *scan, struct slice *ret_value);
/* False: another type, or a number that is no plain one in 0..max. */
bool json_scan_string(struct slice value, struct buf *ret_text);
bool json_scan_number(struct slice value, uint64_t max, uint64_t *ret_number);
/* The string's contents with escapes; every byte sequence that is UTF-8 stays as it is. */
void json_scan_put_string(struct buf *buf, struct slice text);

#endif
