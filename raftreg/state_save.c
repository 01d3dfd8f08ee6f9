/*
 * The whole state as canonical bytes, and back (registry.md RD-03, RS-06): fixed field order,
 * tables sorted by key. So two replicas with equal states write equal snapshots, and the hash
 * of these bytes is the state's. Loading trusts nothing: what does not fit is -EBADMSG and the
 * role does not start.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/siphash.h"
#include "raftreg/state_internal.h"

enum {
	S_APPLIED = 1, /* index that all of this is of */
	S_HORIZON,     /* tombstones up to here are forgotten */
	S_HORIZON_MS,  /* wall time of that command */
	S_WALL,	       /* of the last entry */
	S_REPLICA,     /* repeated: state_encode_replica */
	S_SESSION,     /* repeated, by id */
	S_SET,	       /* repeated, by kind and name; after the sessions */
};
enum {
	N_ID = 1,      /* 16 bytes */
	N_INCARNATION, /* of the sidecar's start */
	N_BOOT,	       /* tells a repetition from a clone */
	N_IDENTITY,    /* for people */
	N_HOST,	       /* advertised */
	N_PORT,	       /* advertised */
	N_ZONE,	       /* advertised */
	N_VERSION,     /* of its program */
	N_TTL,	       /* ms */
	N_SUSPECT,     /* lease ran out */
	N_GEN,	       /* of the lease */
	N_SEQ,	       /* last REGISTER applied (RD-05) */
	N_INDEX,       /* its index */
	N_OPENED,      /* index */
	N_MODIFIED,    /* index */
};
enum {
	T_NAME = 1, /* first: the rest belongs to it */
	T_RECORDS,  /* second */
	T_MODIFIED, /* index of any change, deletes too */
	T_EMPTIED,  /* wall time, for the forgetting */
	T_DEF,	    /* repeated, by version */
	T_MEMBER,   /* repeated, by key */
};
enum { D_VERSION = 1, D_CONTENT };
enum {
	M_KEY = 1,  /* version NUL id, or a record's key */
	M_CONTENT,  /* canonical bytes, or a value */
	M_SESSION,  /* owner; none: a record of nobody's */
	M_CREATED,  /* index */
	M_MODIFIED, /* index */
};

/* RD-03: bytewise, like everything that must be equal on all replicas. */
static int compare_entries(const void *a, const void *b)
{
	const struct map_entry *const *left = a;
	const struct map_entry *const *right = b;

	return slice_compare((*left)->key, (*right)->key);
}

/* Entries by key, so that equal states give equal bytes whatever their history. */
static struct map_entry **sorted(const struct map *map)
{
	struct map_entry **list = mem_alloc((map->count + 1) * sizeof(*list));

	for (size_t i = 0; i < map->count; i++) {
		list[i] = &map->entries[i];
	}
	qsort(list, map->count, sizeof(*list), compare_entries);
	return list;
}

/* Volatile fields (deadlines, what is pending) are not part of the state. */
static void save_session(const struct state_session *session, struct buf *out)
{
	size_t mark = pbscan_begin(out, S_SESSION);

	pbscan_put_bytes(out, N_ID, slice_make(session->id, 16));
	pbscan_put_varint(out, N_INCARNATION, session->incarnation);
	pbscan_put_fixed64(out, N_BOOT, session->boot);
	pbscan_put_bytes(out, N_IDENTITY, session->identity);
	pbscan_put_bytes(out, N_HOST, session->host);
	pbscan_put_varint(out, N_PORT, session->port);
	pbscan_put_bytes(out, N_ZONE, session->zone);
	pbscan_put_bytes(out, N_VERSION, session->version);
	pbscan_put_varint(out, N_TTL, session->ttl_ms);
	pbscan_put_varint(out, N_SUSPECT, session->suspect);
	pbscan_put_varint(out, N_GEN, session->lease_gen);
	pbscan_put_varint(out, N_SEQ, session->last_seq);
	pbscan_put_varint(out, N_INDEX, session->last_index);
	pbscan_put_varint(out, N_OPENED, session->opened);
	pbscan_put_varint(out, N_MODIFIED, session->modified);
	pbscan_end(out, mark);
}

static int compare_defs(const void *a, const void *b)
{
	const struct state_def *left = a;
	const struct state_def *right = b;

	return slice_compare(left->version, right->version);
}

/* Sorted in a copy: the table keeps its own order. */
static void save_defs(const struct state_set *set, struct buf *out)
{
	struct state_def *defs;

	if (set->def_count == 0) {
		return;
	}
	defs = mem_copy(set->defs, set->def_count * sizeof *defs);
	qsort(defs, set->def_count, sizeof *defs, compare_defs);
	for (size_t i = 0; i < set->def_count; i++) {
		size_t mark = pbscan_begin(out, T_DEF);

		pbscan_put_bytes(out, D_VERSION, defs[i].version);
		pbscan_put_bytes(out, D_CONTENT, defs[i].content);
		pbscan_end(out, mark);
	}
	mem_free(defs);
}

/* Digests are not written: they follow from the members. */
static void save_set(const struct state_set *set, struct buf *out)
{
	struct map_entry **members = sorted(&set->members);
	size_t mark = pbscan_begin(out, S_SET);

	pbscan_put_bytes(out, T_NAME, set->name);
	pbscan_put_varint(out, T_RECORDS, set->records);
	pbscan_put_varint(out, T_MODIFIED, set->modified);
	pbscan_put_varint(out, T_EMPTIED, set->emptied_ms);
	save_defs(set, out);
	for (size_t i = 0; i < set->members.count; i++) {
		const struct state_member *member = members[i]->value;
		size_t inner = pbscan_begin(out, T_MEMBER);

		pbscan_put_bytes(out, M_KEY, member->key);
		pbscan_put_bytes(out, M_CONTENT, member->content);
		if (member->session) {
			pbscan_put_bytes(out, M_SESSION, slice_make(member->session->id, 16));
		}
		pbscan_put_varint(out, M_CREATED, member->created);
		pbscan_put_varint(out, M_MODIFIED, member->modified);
		pbscan_end(out, inner);
	}
	pbscan_end(out, mark);
	mem_free(members);
}

/* Sessions before sets, for members name their owners. */
void state_save(const struct state *state, struct buf *ret_bytes)
{
	struct map_entry **sessions = sorted(&state->sessions);
	struct map_entry **sets = sorted(&state->sets);

	pbscan_put_varint(ret_bytes, S_APPLIED, state->applied);
	pbscan_put_varint(ret_bytes, S_HORIZON, state->horizon);
	pbscan_put_varint(ret_bytes, S_HORIZON_MS, state->horizon_ms);
	pbscan_put_varint(ret_bytes, S_WALL, state->wall_ms);
	for (size_t i = 0; i < state->replica_count; i++) {
		size_t mark = pbscan_begin(ret_bytes, S_REPLICA);

		state_encode_replica(&state->replicas[i], ret_bytes);
		pbscan_end(ret_bytes, mark);
	}
	for (size_t i = 0; i < state->sessions.count; i++) {
		save_session(sessions[i]->value, ret_bytes);
	}
	for (size_t i = 0; i < state->sets.count; i++) {
		save_set(sets[i]->value, ret_bytes);
	}
	mem_free(sessions);
	mem_free(sets);
}

/* RD-03: the hash of what a snapshot would hold, so replay and restore can be
 * compared. */
uint64_t state_hash(const struct state *state)
{
	struct buf bytes;
	uint64_t hash;

	buf_init(&bytes);
	state_save(state, &bytes);
	ASSERT(bytes.size > 0);
	hash = siphash24(state->uuid, bytes.data, bytes.size);
	buf_fini(&bytes);
	return hash;
}

/* As an OPEN, and then the rest of what it had become. */
static int load_session(struct state *state, struct slice bytes)
{
	struct packet open = {.kind = PACKET_OPEN};
	struct state_session copy = {0};
	struct state_session *session;
	struct pbscan_field field;
	struct slice *texts[] = {[N_ID] = &open.session,
		[N_IDENTITY] = &open.identity,
		[N_HOST] = &open.host,
		[N_ZONE] = &open.zone,
		[N_VERSION] = &open.version};
	uint64_t *numbers[] = {[N_INCARNATION] = &open.incarnation,
		[N_BOOT] = &open.boot,
		[N_TTL] = &open.ttl_ms,
		[N_GEN] = &copy.lease_gen,
		[N_SEQ] = &copy.last_seq,
		[N_INDEX] = &copy.last_index,
		[N_OPENED] = &copy.opened,
		[N_MODIFIED] = &copy.modified};
	int got;

	while ((got = pbscan_next(&bytes, &field)) == 1) {
		if (field.wire_type == 2) {
			if (field.number < ARRAY_SIZE(texts) && texts[field.number]) {
				*texts[field.number] = field.bytes;
			}
		} else if (field.number == N_PORT) {
			open.port = (uint32_t)(field.value & 0xffff);
		} else if (field.number == N_SUSPECT) {
			copy.suspect = field.value != 0;
		} else if (field.number < ARRAY_SIZE(numbers) && numbers[field.number]) {
			*numbers[field.number] = field.value;
		}
	}
	if (got < 0 || open.session.size != 16 || state_session(state, open.session)) {
		return -EBADMSG;
	}
	session = state_add_session(state, &open);
	session->suspect = copy.suspect;
	session->lease_gen = copy.lease_gen;
	session->last_seq = copy.last_seq;
	session->last_index = copy.last_index;
	session->opened = copy.opened;
	session->modified = copy.modified;
	return 0;
}

/* Owners come before members in the file, so they must be there. */
static int load_member(struct state *state, struct state_set *set, struct slice bytes)
{
	struct item item = {.op = ITEM_UPSERT};
	struct slice owner = {0};
	struct state_session *session;
	struct state_member *member;
	struct pbscan_field field;
	uint64_t modified = set->modified;
	int got;

	while ((got = pbscan_next(&bytes, &field)) == 1) {
		if (field.number == M_KEY) {
			item.key = field.bytes;
		} else if (field.number == M_CONTENT) {
			item.content = field.bytes;
		} else if (field.number == M_SESSION) {
			owner = field.bytes;
		} else if (field.number == M_CREATED) {
			item.created = field.value;
		} else if (field.number == M_MODIFIED) {
			item.modified = field.value;
		}
	}
	session = state_session(state, owner);
	if (got < 0 || item.key.size == 0 || state_member(set, item.key) ||
		(owner.size > 0 && !session)) {
		return -EBADMSG;
	}
	state_put_member(state, set, session, &item);
	member = state_member(set, item.key);
	ASSERT(member && member->modified == item.modified);
	set->modified = modified;
	return 0;
}

/* Methods of a version without instances would be dropped by the next change anyway. */
static int load_def(struct state *state, struct state_set *set, struct slice bytes)
{
	struct slice version = {0};
	struct slice content = {0};
	struct pbscan_field field;
	int got;

	while ((got = pbscan_next(&bytes, &field)) == 1) {
		if (field.number == D_VERSION) {
			version = field.bytes;
		} else if (field.number == D_CONTENT) {
			content = field.bytes;
		}
	}
	if (got < 0) {
		return -EBADMSG;
	}
	state_put_def(state, set, version, content);
	return 0;
}

/* Name, kind and numbers stand before the members. */
static int load_set(struct state *state, struct slice bytes)
{
	struct state_set *set = NULL;
	struct pbscan_field field;
	struct slice name = {0};
	uint64_t emptied = 0;
	int got;
	int result = 0;

	while (result == 0 && (got = pbscan_next(&bytes, &field)) != 0) {
		if (got < 0) {
			return -EBADMSG;
		}
		if (field.number == T_NAME) {
			name = field.bytes;
		} else if (field.number == T_RECORDS) {
			if (set || name.size == 0 || name.size > STATE_SET_NAME_MAX ||
				state_set(state, field.value != 0, name)) {
				return -EBADMSG;
			}
			set = state_make_set(state, field.value != 0, name);
		} else if (!set) {
			return -EBADMSG;
		} else if (field.number == T_MODIFIED) {
			set->modified = field.value;
		} else if (field.number == T_EMPTIED) {
			emptied = field.value;
		} else if (field.number == T_DEF) {
			result = load_def(state, set, field.bytes);
		} else if (field.number == T_MEMBER) {
			result = load_member(state, set, field.bytes);
		}
	}
	if (result == 0 && set) {
		set->emptied_ms = emptied;
		state_clear_touches(state, set);
	}
	return set ? result : -EBADMSG;
}

/* Into an empty state only; on failure the caller throws it away. */
int state_load(struct state *state, struct slice bytes)
{
	struct pbscan_field field;
	int got;
	int result = 0;

	ASSERT(state->applied == 0 && state->sets.count == 0);
	while (result == 0 && (got = pbscan_next(&bytes, &field)) != 0) {
		if (got < 0) {
			return -EBADMSG;
		}
		if (field.number == S_APPLIED) {
			state->applied = field.value;
		} else if (field.number == S_HORIZON) {
			state->horizon = field.value;
		} else if (field.number == S_HORIZON_MS) {
			state->horizon_ms = field.value;
		} else if (field.number == S_WALL) {
			state->wall_ms = field.value;
		} else if (field.number == S_REPLICA) {
			if (state->replica_count == STATE_REPLICAS_MAX ||
				!state_decode_replica(
					field.bytes, &state->replicas[state->replica_count])) {
				return -EBADMSG;
			}
			state->replica_count++;
		} else if (field.number == S_SESSION) {
			result = load_session(state, field.bytes);
		} else if (field.number == S_SET) {
			result = load_set(state, field.bytes);
		}
	}
	return result;
}
