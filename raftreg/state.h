/*
 * state: the registry's catalog: sessions, sets (services with their instances, record sets), the
 * replicas' records. Changed only by applying committed entries, in order, without clock or entropy
 * (registry.md 7, RD-01..RD-05). Readers on the registry thread see it between entries; what
 * changed is collected for the fan-out. Registry thread.
 */
#ifndef PILLION_RAFTREG_STATE_H
#define PILLION_RAFTREG_STATE_H

#include "raftreg/state_types.h"

struct state_result {
	enum packet_code code;
	uint64_t index;	       /* of the entry that answers, RD-05 */
	uint64_t digest, boot; /* boot: of SESSION_LOST: who holds the id; 0: nobody */
	const char *text;      /* field path; static */
};

void state_init(struct state *state, const uint8_t uuid[16]);
void state_fini(struct state *state);

/* A committed DATA entry. on_result runs once per command, in order. 0; -ENOTSUP: a command that
 * this version does not know (RD-09); -EBADMSG: malformed. Either stops the role. */
MUST_CHECK int state_apply(struct state *state, uint64_t index, struct slice payload,
	void (*on_result)(void *owner, size_t ordinal, const struct state_result *result),
	void *owner);
/* An entry is built by begin, then each command as a nested frame. */
void state_begin_entry(struct buf *payload, uint64_t wall_ms);
void state_add_command(struct buf *payload, struct slice command);

/* What a command would be answered with now; OK: it would change something. Pure. */
struct state_result state_check(const struct state *state, const struct packet *command);

struct state_session *state_session(const struct state *state, struct slice id);
bool state_set_key(bool records, struct slice name, uint8_t *bytes, struct slice *ret_key);
struct state_set *state_set(const struct state *state, bool records, struct slice name);
bool state_set_is_known(const struct state_set *set); /* it has members */
struct state_member *state_member(const struct state_set *set, struct slice key);
uint64_t state_member_session_digest(
	const struct state *state, struct slice set, struct slice key, struct slice content);
/* The digest that watchers verify: over the members as they are published. */
uint64_t state_published_digest(const uint8_t uuid[16], const struct item *member);
/* What a set with members adds to the digest of a view (RW-05); `digest` is the set's own. */
uint64_t state_view_digest(
	const uint8_t uuid[16], bool records, struct slice name, uint64_t digest);
void state_member_item(const struct state_member *member, struct item *ret_item);
/* After the fan-out has looked at state->dirty. */
void state_clear_touches(struct state *state, struct state_set *set);
/* Applies the CONF entry's records. */
void state_apply_replicas(struct state *state, struct slice records, const struct raft_conf *conf);
void state_encode_replica(const struct state_replica *replica, struct buf *ret_bytes);
bool state_decode_replica(struct slice bytes, struct state_replica *ret_replica);
const struct state_replica *state_replica(const struct state *state, uint64_t id);

/* RS-06: everything as it is now, in constant time; saved and dropped on any one thread. */
struct state_capture;
struct state_capture *state_capture(struct state *state);
void state_capture_save(const struct state_capture *capture, struct buf *ret_bytes);
void state_capture_drop(struct state_capture *capture);
/* Canonical bytes of everything; load into a fresh state. */
void state_save(struct state *state, struct buf *ret_bytes);
MUST_CHECK int state_load(struct state *state, struct slice bytes);
uint64_t state_hash(struct state *state);

#endif
