/*
 * The whole state as canonical bytes, and back (registry.md RD-03, RS-06): fixed field order,
 * tables sorted by key. So two replicas with equal states write equal snapshots, and the hash
 * of these bytes is the state's. Whatever changes is encoded at once, as the piece that a snapshot
 * will need of it; a snapshot then holds on to the pieces of its index while apply goes on. Loading
 * trusts nothing: what does not fit is -EBADMSG and the role does not start.
 */
#include <errno.h>

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

/* A whole field as it stands in the snapshot, so that saving is copying. */
static struct piece *make_piece(enum piece_kind kind, struct piece_group *group, struct buf *bytes,
	size_t key_at, size_t size)
{
	struct piece *piece = piece_create(kind, group, buf_slice(bytes), key_at, size);

	buf_fini(bytes);
	return piece;
}

static void replace(struct state *state, struct piece **place, struct piece *piece)
{
	shards_put(&state->shards, *place, piece);
	*place = piece;
}

/* Volatile fields (deadlines, what is pending) are not part of the state. */
void state_renew_session(struct state *state, struct state_session *session)
{
	struct buf out;
	size_t mark, key_at;

	buf_init(&out);
	mark = pbscan_begin(&out, S_SESSION);
	pbscan_put_bytes(&out, N_ID, slice_make(session->id, 16));
	key_at = out.size - 16;
	pbscan_put_varint(&out, N_INCARNATION, session->incarnation);
	pbscan_put_fixed64(&out, N_BOOT, session->boot);
	pbscan_put_bytes(&out, N_IDENTITY, session->identity);
	pbscan_put_bytes(&out, N_HOST, session->host);
	pbscan_put_varint(&out, N_PORT, session->port);
	pbscan_put_bytes(&out, N_ZONE, session->zone);
	pbscan_put_bytes(&out, N_VERSION, session->version);
	pbscan_put_varint(&out, N_TTL, session->ttl_ms);
	pbscan_put_varint(&out, N_SUSPECT, session->suspect);
	pbscan_put_varint(&out, N_GEN, session->lease_gen);
	pbscan_put_varint(&out, N_SEQ, session->last_seq);
	pbscan_put_varint(&out, N_INDEX, session->last_index);
	pbscan_put_varint(&out, N_OPENED, session->opened);
	pbscan_put_varint(&out, N_MODIFIED, session->modified);
	pbscan_end(&out, mark);
	replace(state, &session->piece, make_piece(PIECE_SESSION, NULL, &out, key_at, 16));
}

/* Of a set only what stands before its methods and members. */
void state_renew_set(struct state *state, struct state_set *set)
{
	struct buf out;

	buf_init(&out);
	pbscan_put_bytes(&out, T_NAME, set->name);
	pbscan_put_varint(&out, T_RECORDS, set->records);
	pbscan_put_varint(&out, T_MODIFIED, set->modified);
	pbscan_put_varint(&out, T_EMPTIED, set->emptied_ms);
	replace(state, &set->piece, make_piece(PIECE_SET, set->group, &out, 0, 0));
}

void state_renew_def(struct state *state, struct state_set *set, struct state_def *def,
	struct slice version, struct slice content)
{
	struct piece *piece;
	struct buf out;
	size_t mark, key_at, content_at;

	buf_init(&out);
	mark = pbscan_begin(&out, T_DEF);
	pbscan_put_bytes(&out, D_VERSION, version);
	key_at = out.size - version.size;
	pbscan_put_bytes(&out, D_CONTENT, content);
	content_at = out.size - content.size;
	pbscan_end(&out, mark);
	piece = make_piece(PIECE_DEF, set->group, &out, key_at, version.size);
	state->bytes -= def->version.size + def->content.size;
	state->bytes += version.size + content.size;
	def->version = piece->key;
	def->content = slice_make(piece->bytes + content_at, content.size);
	replace(state, &def->piece, piece);
}

/* Digests are not written: they follow from the members. */
void state_renew_member(
	struct state *state, struct state_member *member, struct slice key, struct slice content)
{
	struct piece *piece;
	struct buf out;
	size_t mark, key_at, content_at;

	buf_init(&out);
	mark = pbscan_begin(&out, T_MEMBER);
	pbscan_put_bytes(&out, M_KEY, key);
	key_at = out.size - key.size;
	pbscan_put_bytes(&out, M_CONTENT, content);
	content_at = out.size - content.size;
	if (member->session) {
		pbscan_put_bytes(&out, M_SESSION, slice_make(member->session->id, 16));
	}
	pbscan_put_varint(&out, M_CREATED, member->created);
	pbscan_put_varint(&out, M_MODIFIED, member->modified);
	pbscan_end(&out, mark);
	piece = make_piece(PIECE_MEMBER, member->set->group, &out, key_at, key.size);
	state->bytes -= member->key.size + member->content.size;
	state->bytes += key.size + content.size;
	member->key = piece->key;
	member->content = slice_make(piece->bytes + content_at, content.size);
	replace(state, &member->piece, piece);
}

struct state_capture {
	uint64_t applied, horizon, horizon_ms, wall_ms;
	struct state_replica replicas[STATE_REPLICAS_MAX];
	size_t replica_count;
	struct shards_capture *shards;
};

/* The heads of sets that changed since the last publication are made now; it is one turn's worth
 * of them at most. */
struct state_capture *state_capture(struct state *state)
{
	struct state_capture *capture = mem_zalloc(sizeof *capture);

	LIST_FOR_EACH(node, &state->dirty) {
		state_renew_set(state, LIST_ENTRY(node, struct state_set, dirty));
	}
	capture->applied = state->applied;
	capture->horizon = state->horizon;
	capture->horizon_ms = state->horizon_ms;
	capture->wall_ms = state->wall_ms;
	memcpy(capture->replicas, state->replicas, sizeof capture->replicas);
	capture->replica_count = state->replica_count;
	capture->shards = shards_capture(&state->shards);
	return capture;
}

void state_capture_drop(struct state_capture *capture)
{
	shards_capture_drop(capture->shards);
	mem_free(capture);
}

/* Sessions before sets, for members name their owners. */
void state_capture_save(const struct state_capture *capture, struct buf *ret_bytes)
{
	const struct piece **list;
	const struct piece_group *group = NULL;
	size_t count = 0;
	size_t mark = 0;

	pbscan_put_varint(ret_bytes, S_APPLIED, capture->applied);
	pbscan_put_varint(ret_bytes, S_HORIZON, capture->horizon);
	pbscan_put_varint(ret_bytes, S_HORIZON_MS, capture->horizon_ms);
	pbscan_put_varint(ret_bytes, S_WALL, capture->wall_ms);
	for (size_t i = 0; i < capture->replica_count; i++) {
		size_t inner = pbscan_begin(ret_bytes, S_REPLICA);

		state_encode_replica(&capture->replicas[i], ret_bytes);
		pbscan_end(ret_bytes, inner);
	}
	list = shards_list(capture->shards, &count);
	for (size_t i = 0; i < count; i++) {
		if (list[i]->group != group) {
			if (group) {
				pbscan_end(ret_bytes, mark);
			}
			group = list[i]->group;
			mark = pbscan_begin(ret_bytes, S_SET);
		}
		buf_append(ret_bytes, list[i]->bytes, list[i]->size);
	}
	if (group) {
		pbscan_end(ret_bytes, mark);
	}
	mem_free(list);
}

void state_save(struct state *state, struct buf *ret_bytes)
{
	struct state_capture *capture = state_capture(state);

	state_capture_save(capture, ret_bytes);
	state_capture_drop(capture);
}

/* RD-03: the hash of what a snapshot would hold, so replay and restore can be
 * compared. */
uint64_t state_hash(struct state *state)
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
	state_renew_session(state, session);
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
