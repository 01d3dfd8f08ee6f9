/*
 * The catalog's tables. All changes go through a few functions that keep sums, owners and the
 * fan-out's list of touched members in step, so that a digest is O(1) per change and never
 * recomputed. Nothing here depends on the order of a table: the same entries give the same
 * bytes on every replica.
 */
#include "raftreg/state.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/siphash.h"
#include "raftreg/bytes.h"
#include "raftreg/state_internal.h"

/* Counts what is kept, for registry.state_bytes_max. */
struct slice state_copy(struct state *state, struct slice bytes)
{
	state->bytes += bytes.size;
	return bytes.size > 0 ? slice_make(mem_copy(bytes.data, bytes.size), bytes.size)
			      : (struct slice){0};
}

/* The counterpart of state_copy: the sum must come back to zero, and asserts that it
 * can. */
void state_free(struct state *state, struct slice *bytes)
{
	ASSERT(state->bytes >= bytes->size);
	state->bytes -= bytes->size;
	mem_free((void *)(uintptr_t)bytes->data);
	*bytes = (struct slice){0};
}

/* The uuid keys every digest, so equal content of two clusters has different
 * digests. */
void state_init(struct state *state, const uint8_t uuid[16])
{
	*state = (struct state){0};
	memcpy(state->uuid, uuid, 16);
	map_init(&state->sessions);
	map_init(&state->sets);
	list_init(&state->dirty);
	shards_init(&state->shards);
}

/* The bytes are the piece's, which went before or goes with all the others. */
static void free_member(struct state *state, struct state_member *member)
{
	list_unlink(&member->session_node);
	state->bytes -= member->key.size + member->content.size;
	mem_free(member);
}

/* Keys of touches are copies outside state_copy's sum: they live for one turn only. */
static void free_touches(struct state_set *set)
{
	for (size_t i = 0; i < set->touch_count; i++) {
		mem_free((void *)(uintptr_t)set->touches[i].key.data);
	}
	set->touch_count = 0;
	set->defs_touched = false;
}

/* Members first: they still point at their set. */
static void free_set(struct state *state, struct state_set *set)
{
	MAP_FOR_EACH(entry, &set->members)
	{
		free_member(state, entry->value);
	}
	map_fini(&set->members);
	for (size_t i = 0; i < set->def_count; i++) {
		state->bytes -= set->defs[i].version.size + set->defs[i].content.size;
	}
	mem_free(set->defs);
	free_touches(set);
	mem_free(set->touches);
	list_unlink(&set->dirty);
	state->bytes -= set->name.size;
	piece_group_unref(set->group);
	mem_free(set);
}

static void free_session(struct state *state, struct state_session *session)
{
	state_free(state, &session->identity);
	state_free(state, &session->host);
	state_free(state, &session->zone);
	state_free(state, &session->version);
	mem_free(session);
}

/* Sets before sessions, for members unlink themselves from their session's list. */
void state_fini(struct state *state)
{
	MAP_FOR_EACH(entry, &state->sets)
	{
		free_set(state, entry->value);
	}
	MAP_FOR_EACH(entry, &state->sessions)
	{
		free_session(state, entry->value);
	}
	map_fini(&state->sets);
	map_fini(&state->sessions);
	shards_fini(&state->shards);
	ASSERT(list_empty(&state->dirty) && state->bytes == 0);
}

/* The length is checked here because ids come straight from frames. */
struct state_session *state_session(const struct state *state, struct slice id)
{
	return id.size == 16 ? map_get(&state->sessions, id) : NULL;
}

/* Services and record sets share a table, here and in the client's view; the first byte of the
 * key is the kind. False when the name is too long to be one. */
bool state_set_key(bool records, struct slice name, uint8_t *bytes, struct slice *ret_key)
{
	if (name.size == 0 || name.size > STATE_SET_NAME_MAX) {
		return false;
	}
	bytes[0] = records ? 'r' : 's';
	memcpy(bytes + 1, name.data, name.size);
	*ret_key = slice_make(bytes, name.size + 1);
	return true;
}

struct state_set *state_set(const struct state *state, bool records, struct slice name)
{
	uint8_t bytes[STATE_SET_NAME_MAX + 1];
	struct slice key;

	return state_set_key(records, name, bytes, &key) ? map_get(&state->sets, key) : NULL;
}

/* An empty set exists only as the tombstone of its last change (RW-03). */
bool state_set_is_known(const struct state_set *set)
{
	return set && set->members.count > 0;
}

/* The caller has checked the name's length; nothing else can go wrong. */
struct state_set *state_make_set(struct state *state, bool records, struct slice name)
{
	struct state_set *set = state_set(state, records, name);
	uint8_t bytes[STATE_SET_NAME_MAX + 1];
	struct slice key = {0};
	bool fits;

	if (set) {
		return set;
	}
	fits = state_set_key(records, name, bytes, &key);
	ASSERT(fits);
	set = mem_zalloc(sizeof *set);
	set->group = piece_group_create(key);
	set->name = slice_from(set->group->name, 1);
	state->bytes += name.size;
	set->records = records;
	map_init(&set->members);
	list_init(&set->dirty);
	(void)map_set(&state->sets, key, set);
	return set;
}

static void drop_def(struct state *state, struct state_def *def)
{
	state->bytes -= def->version.size + def->content.size;
	shards_put(&state->shards, def->piece, NULL);
}

/* Only GC (command 8) and only empty sets: the horizon then stands for them. */
void state_drop_set(struct state *state, struct state_set *set)
{
	uint8_t bytes[STATE_SET_NAME_MAX + 1];
	struct slice key;

	ASSERT(set->members.count == 0);
	state->untold = state->untold || list_linked(&set->dirty);
	if (state_set_key(set->records, set->name, bytes, &key)) {
		(void)map_remove(&state->sets, key);
	}
	if (set->piece) {
		shards_put(&state->shards, set->piece, NULL);
	}
	/* Methods may have been declared without an instance. */
	for (size_t i = 0; i < set->def_count; i++) {
		drop_def(state, &set->defs[i]);
	}
	set->def_count = 0;
	free_set(state, set);
}

struct state_member *state_member(const struct state_set *set, struct slice key)
{
	return map_get(&set->members, key);
}

/* With its length, so that neighbouring fields cannot be shifted into each other. */
static void hash_slice(struct siphash *hash, struct slice bytes)
{
	uint8_t size[4];

	bytes_put32(size, (uint32_t)bytes.size);
	siphash_update(hash, size, sizeof size);
	siphash_update(hash, bytes.data, bytes.size);
}

/* RN-04: over what the owner declared, and nothing the registry adds, so that the
 * sidecar can compute it from its own set. */
uint64_t state_member_session_digest(
	const struct state *state, struct slice set, struct slice key, struct slice content)
{
	struct siphash hash;

	siphash_init(&hash, state->uuid);
	hash_slice(&hash, set);
	hash_slice(&hash, key);
	hash_slice(&hash, content);
	return siphash_final(&hash);
}

/* RD-03, RW-07: over what watchers see, with the revision and the suspicion. Sums of
 * such digests change in O(1) and do not depend on order. */
uint64_t state_published_digest(const uint8_t uuid[16], const struct item *member)
{
	struct siphash hash;
	uint8_t number[9];

	siphash_init(&hash, uuid);
	hash_slice(&hash, member->key);
	hash_slice(&hash, member->content);
	bytes_put64(number, member->modified);
	number[8] = member->suspect ? 1 : 0;
	siphash_update(&hash, number, sizeof number);
	return siphash_final(&hash);
}

/* RW-05: with the name, so that the contents of two sets cannot be exchanged unnoticed. A sum of
 * these does not depend on the order of the sets. */
uint64_t state_view_digest(const uint8_t uuid[16], bool records, struct slice name, uint64_t digest)
{
	struct siphash hash;
	uint8_t number[9];

	siphash_init(&hash, uuid);
	hash_slice(&hash, name);
	bytes_put64(number, digest);
	number[8] = records ? 1 : 0;
	siphash_update(&hash, number, sizeof number);
	return siphash_final(&hash);
}

/* Suspicion is the session's and is published with each instance; records are never
 * suspect, for nobody routes to them. */
void state_member_item(const struct state_member *member, struct item *ret_item)
{
	*ret_item = (struct item){.op = member->set->records ? ITEM_PUT : ITEM_UPSERT,
		.key = member->key,
		.content = member->content,
		.created = member->created,
		.modified = member->modified,
		.suspect = !member->set->records && member->session && member->session->suspect,
		.owned = member->session != NULL};
}

/* Keys are copied: the member may be gone when the fan-out looks. */
void state_touch_set(struct state *state, struct state_set *set, struct slice key,
	enum item_cause cause, uint64_t index)
{
	struct state_touch *touch;

	set->modified = index;
	if (!list_linked(&set->dirty)) {
		list_push_back(&state->dirty, &set->dirty);
	}
	if (key.size == 0) {
		return;
	}
	if (set->touch_count == set->touch_capacity) {
		set->touch_capacity = set->touch_capacity ? set->touch_capacity * 2 : 4;
		set->touches =
			mem_realloc(set->touches, set->touch_capacity * sizeof *set->touches);
	}
	touch = &set->touches[set->touch_count++];
	touch->key = slice_make(mem_copy(key.data, key.size), key.size);
	touch->cause = cause;
}

/* The next delta starts from here: `published` becomes its `from` (RW-01). */
void state_clear_touches(struct state *state, struct state_set *set)
{
	state_renew_set(state, set);
	free_touches(set);
	list_unlink(&set->dirty);
	set->published = set->modified;
}

/* Its digest as published now; the set's sum follows. */
static void update_digest(struct state *state, struct state_member *member)
{
	struct item item;

	state_member_item(member, &item);
	member->set->digest -= member->digest;
	member->digest = state_published_digest(state->uuid, &item);
	member->set->digest += member->digest;
}

/* The member as published has changed, though its content may be the same (SUSPECT,
 * REVIVE). */
void state_refresh_member(
	struct state *state, struct state_member *member, uint64_t index, enum item_cause cause)
{
	member->modified = index;
	state_renew_member(state, member, member->key, member->content);
	update_digest(state, member);
	state_touch_set(state, member->set, member->key, cause, index);
}

/* Sums of the session follow its members. */
static void join_session(
	struct state *state, struct state_member *member, struct state_session *session)
{
	member->session = session;
	if (!session) {
		return;
	}
	list_push_back(&session->members, &member->session_node);
	session->member_count++;
	session->member_bytes += member->key.size + member->content.size;
	session->digest +=
		state_member_session_digest(state, member->set->name, member->key, member->content);
}

/* The reverse of join_session, also for a member that changes owners. */
static void leave_session(struct state *state, struct state_member *member)
{
	struct state_session *session = member->session;

	list_unlink(&member->session_node);
	member->session = NULL;
	if (!session) {
		return;
	}
	ASSERT(session->member_count > 0);
	session->member_count--;
	session->member_bytes -= member->key.size + member->content.size;
	session->digest -=
		state_member_session_digest(state, member->set->name, member->key, member->content);
}

/* A changed member keeps the index at which it was created. */
void state_put_member(struct state *state, struct state_set *set, struct state_session *session,
	const struct item *item)
{
	struct state_member *member = state_member(set, item->key);

	if (!member) {
		member = mem_zalloc(sizeof *member);
		member->set = set;
		member->created = item->created;
		list_init(&member->session_node);
		(void)map_set(&set->members, item->key, member);
	} else {
		leave_session(state, member);
	}
	set->emptied_ms = 0;
	member->session = session;
	member->modified = item->modified;
	state_renew_member(state, member, item->key, item->content);
	join_session(state, member, session);
	update_digest(state, member);
	state_touch_set(state, set, member->key, CAUSE_DELETED, item->modified);
}

/* The methods of a version go with its last instance. */
static void drop_unused_defs(struct state *state, struct state_set *set)
{
	for (size_t i = 0; i < set->def_count;) {
		struct slice version = set->defs[i].version;
		bool used = false;

		MAP_FOR_EACH(entry, &set->members)
		{
			struct slice key = entry->key;

			used = key.size > version.size && key.data[version.size] == 0 &&
			       slice_starts_with(key, version);
			if (used) {
				break;
			}
		}
		if (used) {
			i++;
			continue;
		}
		drop_def(state, &set->defs[i]);
		set->defs[i] = set->defs[--set->def_count];
		set->defs_touched = true;
	}
}

/* Touched before it is freed: the key is copied into the list. */
void state_drop_member(
	struct state *state, struct state_member *member, uint64_t index, enum item_cause cause)
{
	struct state_set *set = member->set;
	struct piece *piece = member->piece;

	set->digest -= member->digest;
	state_touch_set(state, set, member->key, cause, index);
	leave_session(state, member);
	(void)map_remove(&set->members, member->key);
	free_member(state, member);
	shards_put(&state->shards, piece, NULL);
	if (set->members.count == 0) {
		set->emptied_ms = state->wall_ms ? state->wall_ms : 1;
	}
	if (set->def_count > 0) {
		drop_unused_defs(state, set);
	}
}

/* One for all instances of a version; the last one to say something is right. */
void state_put_def(
	struct state *state, struct state_set *set, struct slice version, struct slice content)
{
	for (size_t i = 0; i < set->def_count; i++) {
		if (slice_equal(set->defs[i].version, version)) {
			state_renew_def(state, set, &set->defs[i], version, content);
			set->defs_touched = true;
			return;
		}
	}
	set->defs = mem_realloc(set->defs, (set->def_count + 1) * sizeof *set->defs);
	set->defs[set->def_count] = (struct state_def){0};
	state_renew_def(state, set, &set->defs[set->def_count++], version, content);
	set->defs_touched = true;
}

/* Generation 1 and seq 0, whatever an older incarnation had reached. */
struct state_session *state_add_session(struct state *state, const struct packet *open)
{
	struct state_session *session = mem_zalloc(sizeof *session);

	ASSERT(open->session.size == 16 && !map_get(&state->sessions, open->session));
	memcpy(session->id, open->session.data, 16);
	session->incarnation = open->incarnation;
	session->boot = open->boot;
	session->identity = state_copy(state, open->identity);
	session->host = state_copy(state, open->host);
	session->zone = state_copy(state, open->zone);
	session->version = state_copy(state, open->version);
	session->port = open->port;
	session->ttl_ms = open->ttl_ms;
	session->lease_gen = 1;
	list_init(&session->members);
	(void)map_set(&state->sessions, open->session, session);
	return session;
}

/* Its members go with it, each with the cause that watchers are told. */
void state_drop_session(
	struct state *state, struct state_session *session, uint64_t index, enum item_cause cause)
{
	while (!list_empty(&session->members)) {
		state_drop_member(state,
			LIST_ENTRY(session->members.next, struct state_member, session_node), index,
			cause);
	}
	(void)map_remove(&state->sessions, slice_make(session->id, 16));
	if (session->piece) {
		shards_put(&state->shards, session->piece, NULL);
	}
	free_session(state, session);
}

/* Replica records: id, incarnation, name, host, port, voter. */
enum {
	R_ID = 1,      /* fixed64, never reused (RI-01) */
	R_INCARNATION, /* of its data directory */
	R_NAME,	       /* for people */
	R_HOST,	       /* where to dial it */
	R_PORT,	       /* its mesh listener */
	R_VOTER,       /* was started as one (RB-03) */
};

/* RI-03: what the configuration binds to an id, and what Hello says of its sender. */
void state_encode_replica(const struct state_replica *replica, struct buf *ret_bytes)
{
	ASSERT(replica->id != 0);
	pbscan_put_fixed64(ret_bytes, R_ID, replica->id);
	pbscan_put_bytes(ret_bytes, R_INCARNATION, slice_make(replica->incarnation, 16));
	pbscan_put_bytes(ret_bytes, R_NAME, slice_from_string(replica->name));
	pbscan_put_bytes(ret_bytes, R_HOST, slice_from_string(replica->host));
	pbscan_put_varint(ret_bytes, R_PORT, replica->port);
	pbscan_put_varint(ret_bytes, R_VOTER, replica->voter);
}

/* Cut rather than refused: these are labels for people (RI-01), but the port and id
 * are checked. */
static void copy_text(char *place, size_t size, struct slice text)
{
	size_t length = text.size < size - 1 ? text.size : size - 1;

	if (length > 0) {
		memcpy(place, text.data, length);
	}
	place[length] = '\0';
}

/* From messages, log and snapshot alike; texts are cut to their size, never refused. */
bool state_decode_replica(struct slice bytes, struct state_replica *ret_replica)
{
	struct state_replica replica = {0};
	struct pbscan_field field;
	int got;

	while ((got = pbscan_next(&bytes, &field)) == 1) {
		switch (field.number) {
		case R_ID:
			replica.id = field.value;
			break;
		case R_INCARNATION:
			if (field.bytes.size == 16) {
				memcpy(replica.incarnation, field.bytes.data, 16);
			}
			break;
		case R_NAME:
			copy_text(replica.name, sizeof replica.name, field.bytes);
			break;
		case R_HOST:
			copy_text(replica.host, sizeof replica.host, field.bytes);
			break;
		case R_PORT:
			replica.port = field.value > 65535 ? 0 : (uint16_t)field.value;
			break;
		case R_VOTER:
			replica.voter = field.value != 0;
			break;
		default:
			break;
		}
	}
	if (got < 0 || replica.id == 0 || replica.port == 0) {
		return false;
	}
	*ret_replica = replica;
	return true;
}

/* A few dozen at most: a walk is faster than a map. */
const struct state_replica *state_replica(const struct state *state, uint64_t id)
{
	for (size_t i = 0; i < state->replica_count; i++) {
		if (state->replicas[i].id == id) {
			return &state->replicas[i];
		}
	}
	return NULL;
}

/* New records first, then everything that the configuration no longer names is dropped. */
void state_apply_replicas(struct state *state, struct slice records, const struct raft_conf *conf)
{
	struct pbscan_field field;
	size_t kept = 0;

	while (pbscan_next(&records, &field) == 1) {
		struct state_replica replica;
		struct state_replica *place;

		if (field.wire_type != 2 || !state_decode_replica(field.bytes, &replica)) {
			continue; /* the same bytes everywhere: ignored everywhere */
		}
		place = (struct state_replica *)(uintptr_t)state_replica(state, replica.id);
		if (!place && state->replica_count < STATE_REPLICAS_MAX) {
			place = &state->replicas[state->replica_count++];
		}
		if (place) {
			*place = replica;
		}
	}
	for (size_t i = 0; i < state->replica_count; i++) {
		if (member_conf_has(conf, state->replicas[i].id)) {
			state->replicas[kept++] = state->replicas[i];
		}
	}
	state->replica_count = kept;
}
