/*
 * state_internal: how state.c, state_apply.c and state_save.c change the catalog. Internal to them.
 */
#ifndef PILLION_RAFTREG_STATE_INTERNAL_H
#define PILLION_RAFTREG_STATE_INTERNAL_H

#include "raftreg/state.h"

/* Every byte that is kept is counted here: registry.state_bytes_max is judged by the
 * sum. */
struct slice state_copy(struct state *state, struct slice bytes);
void state_free(struct state *state, struct slice *bytes);
/* state_save.c: what was changed becomes a new piece, which replaces the old one. Members and
 * definitions get their key and content from there, so these may be those of the old piece. */
void state_renew_session(struct state *state, struct state_session *session);
void state_renew_member(
	struct state *state, struct state_member *member, struct slice key, struct slice content);
void state_renew_def(struct state *state, struct state_set *set, struct state_def *def,
	struct slice version, struct slice content);
void state_renew_set(struct state *state, struct state_set *set);
struct state_set *state_make_set(struct state *state, bool records, struct slice name);
/* Keeps the digests of set and session, the touches for the fan-out and the index of
 * the change in step with the members: nobody else changes a member. */
void state_put_member(struct state *state, struct state_set *set, struct state_session *session,
	const struct item *item);
void state_drop_member(
	struct state *state, struct state_member *member, uint64_t index, enum item_cause cause);
void state_touch_set(struct state *state, struct state_set *set, struct slice key,
	enum item_cause cause, uint64_t index);
void state_put_def(
	struct state *state, struct state_set *set, struct slice version, struct slice content);
/* With its instances and its records (RD-02); the cause travels to every watcher. */
void state_drop_session(
	struct state *state, struct state_session *session, uint64_t index, enum item_cause cause);
void state_drop_set(struct state *state, struct state_set *set); /* an empty one */
struct state_session *state_add_session(struct state *state, const struct packet *open);
void state_refresh_member(
	struct state *state, struct state_member *member, uint64_t index, enum item_cause cause);

#endif
