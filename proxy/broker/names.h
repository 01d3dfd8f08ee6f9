/*
 * names: topics, groups and patterns (docs/rules/broker.md B2-01, B2-02), percent coding (B7-04),
 * leases. Pure.
 */
#ifndef PILLION_BROKER_NAMES_H
#define PILLION_BROKER_NAMES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/codes.h"
#include "base/slice.h"

#define NAMES_TOPIC_MAX 200
#define NAMES_GROUP_MAX 64
#define NAMES_TOKEN_MAX 64
#define NAMES_TOKENS	16

/* REASON_ok, REASON_bad_topic, or REASON_reserved (a `dlq` token, a first `$` or `~`). */
enum reason names_topic(struct slice name);
/* The same for readers: a dead-letter topic is read like any other, by its full name. */
enum reason names_readable_topic(struct slice name);
/* As above for a group; a first `~` is an ephemeral one and allowed where `ephemeral`. */
enum reason names_group(struct slice name, bool ephemeral);
/* "<topic>.dlq.<group>": the parts; false: another name. */
bool names_dead_letter(struct slice name, struct slice *ret_topic, struct slice *ret_group);
/* `*` is one token, a final `>` one or more; neither stands for a `dlq` token. */
bool names_match(struct slice pattern, struct slice topic);
/* B5-01 owner of a topic; a dead-letter topic lives with the one it belongs to. */
unsigned names_owner(struct slice topic, unsigned workers);
/* Where the members of that name live in their sidecar. */
unsigned names_home(struct slice group, struct slice member, unsigned workers);

/* %XX, once. False: a broken escape. */
bool names_percent_decode(struct slice text, struct buf *ret_bytes);
/* Space, `"`, `%` and everything outside U+0021..7E, upper-case digits. */
void names_percent_encode(struct slice bytes, struct buf *ret_text);
/* "100ms", "30s", "5m", "2h"; false: none of these, or above the bound. */
bool names_duration(struct slice text, uint64_t max_ms, uint64_t *ret_ms);

struct lease {
	uint64_t counter;
	uint64_t random;
};
#define NAMES_LEASE_SIZE 33
void names_print_lease(const struct lease *lease, char ret_text[NAMES_LEASE_SIZE]);
bool names_parse_lease(struct slice text, struct lease *ret_lease);

#endif
