/*
 * target: request targets and authorities (http.md 7): parsed and normalised once, so that the same
 * string is matched, authorised, logged and forwarded (U-12). Results are in the given arena. Pure.
 */
#ifndef PILLION_HTTP_TARGET_H
#define PILLION_HTTP_TARGET_H

#include "base/arena.h"
#include "base/assert.h"
#include "base/codes.h"
#include "http/head.h"

/* U-01, U-02: sets scheme, authority (absolute form), path, query, has_query, absolute_form.
 * REASON_ok, REASON_bad_target. */
MUST_CHECK enum reason target_parse(struct head *head, struct slice target);
/* U-03, U-04: lower case, one trailing dot and an empty port removed. False: bad_host. */
MUST_CHECK bool target_normalise_authority(
	struct arena *arena, struct slice text, struct slice *ret_authority);
/* U-05, U-06. False: bad_target. */
MUST_CHECK bool target_normalise_path(
	struct arena *arena, struct slice path, struct slice *ret_path);
/* U-07: true when the path is ambiguous. */
bool target_path_ambiguous(struct slice normalised_path);
/* Splits "host[:port]"; port 0 when there is none. */
void target_split_authority(struct slice authority, struct slice *ret_host, uint16_t *ret_port);

#endif
