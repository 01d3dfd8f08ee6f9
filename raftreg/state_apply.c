/*
 * Commands 1 to 6 and 8 (registry.md 7): what they are answered with, and what they change. The
 * check is the same function before a proposal and at apply: before, it saves an entry that
 * would change nothing; at apply it is what counts, for entries may lie in between. It reads
 * only the state and the command, so every replica answers alike.
 */
#include <errno.h>

#include "base/mem.h"
#include "raftreg/content.h"
#include "raftreg/state_internal.h"

enum { ENTRY_FORMAT = 1, ENTRY_WALL, ENTRY_COMMAND };
#define FORMAT 1

/* RD-04: the format comes first, so that an older replica stops before it misreads
 * anything. */
void state_begin_entry(struct buf *payload, uint64_t wall_ms)
{
	pbscan_put_varint(payload, ENTRY_FORMAT, FORMAT);
	pbscan_put_varint(payload, ENTRY_WALL, wall_ms);
}

/* Commands follow each other as nested frames; their order in the entry is their
 * order of effect. */
void state_add_command(struct buf *payload, struct slice command)
{
	ASSERT(payload->size > 0 && command.size > 0);
	pbscan_put_bytes(payload, ENTRY_COMMAND, command);
}

/* RD-02: a refusal changes nothing and uses no seq. Its text is the path of the
 * field. */
static struct state_result refuse(enum packet_code code, const char *text)
{
	return (struct state_result){.code = code, .text = text};
}

/* RN-01: with the start that holds the id now, so that a clone can tell itself from it. */
static struct state_result lost(const struct state_session *session, const char *text)
{
	return (struct state_result){
		.code = CODE_SESSION_LOST, .boot = session ? session->boot : 0, .text = text};
}

/* The same start asking again gets the same session; an older one has lost it. */
static struct state_result check_open(const struct state *state, const struct packet *open)
{
	const struct state_session *session = state_session(state, open->session);

	if (open->session.size != 16 || open->incarnation == 0 || open->ttl_ms == 0 ||
		open->identity.size > STATE_KEY_MAX || open->host.size > STATE_KEY_MAX ||
		open->zone.size > STATE_KEY_MAX || open->version.size > STATE_KEY_MAX) {
		return refuse(CODE_INVALID, "open");
	}
	if (session && open->incarnation == session->incarnation && open->boot == session->boot) {
		/* A repetition after a lost answer: the session is the same (RD-07). */
		return (struct state_result){.code = CODE_ALREADY, .index = session->opened};
	}
	if (session && open->incarnation <= session->incarnation) {
		return lost(session, "incarnation");
	}
	return refuse(CODE_OK, NULL);
}

/* What a REGISTER would do, summed up while its items are checked. */
struct tally {
	const struct state_session *session;
	bool changes, full;
	size_t instances;
	int64_t bytes; /* of all its members afterwards */
};

/* RD-02: a full set begins with nothing, any other command with what is there. */
static void tally_bytes(
	struct tally *tally, const struct state_member *member, const struct item *item)
{
	if (!tally->full && member && member->session == tally->session) {
		tally->bytes -= (int64_t)(member->key.size + member->content.size);
	}
	tally->bytes += item ? (int64_t)(item->key.size + item->content.size) : 0;
}

/* The first wrong field by name; then whose it is, then how many there are. */
static struct state_result check_upsert(
	const struct state *state, const struct item *item, struct tally *tally)
{
	const struct state_session *session = tally->session;
	struct content *content = mem_alloc(sizeof *content);
	const char *wrong = content_check(item->content, content);
	const struct state_set *set;
	const struct state_member *member;
	struct buf key;
	bool same_key;

	buf_init(&key);
	if (!wrong) {
		content_key(content, &key);
	}
	same_key = !wrong && slice_equal(buf_slice(&key), item->key) &&
		   slice_equal(content->service, item->set);
	buf_fini(&key);
	mem_free(content);
	if (wrong || !same_key) {
		return refuse(CODE_INVALID, wrong ? wrong : "id");
	}
	if (++tally->instances > STATE_SESSION_INSTANCES_MAX) {
		return refuse(CODE_QUOTA, "instances");
	}
	set = state_set(state, false, item->set);
	member = set ? state_member(set, item->key) : NULL;
	if (member && member->session != session) {
		return refuse(CODE_TAKEN, "id");
	}
	tally_bytes(tally, member, item);
	if (!member && set && set->members.count >= STATE_SET_INSTANCES_MAX) {
		return refuse(CODE_QUOTA, "service");
	}
	if (!member || !slice_equal(member->content, item->content)) {
		tally->changes = true;
	}
	return refuse(CODE_OK, NULL);
}

/* A write may name the version it replaces (RD-02): broker groups change by compare and set. */
static struct state_result check_record(
	const struct state *state, const struct item *item, struct tally *tally)
{
	const struct state_set *set = state_set(state, true, item->set);
	const struct state_member *member = set ? state_member(set, item->key) : NULL;
	bool remove = item->op == ITEM_REMOVE;

	if (item->set.size == 0 || item->set.size > STATE_SET_NAME_MAX || item->key.size == 0 ||
		item->key.size > STATE_KEY_MAX || item->content.size > STATE_VALUE_MAX) {
		return refuse(CODE_INVALID, "record");
	}
	if (item->expected > 0 && item->expected - 1 != (member ? member->modified : 0)) {
		return refuse(CODE_CONFLICT, "modified");
	}
	if (member && member->session && member->session != tally->session) {
		return refuse(CODE_TAKEN, "record");
	}
	if (!remove && !member && set && set->members.count >= STATE_SET_RECORDS_MAX) {
		return refuse(CODE_QUOTA, "records");
	}
	if (remove ? member != NULL
		   : !member || !slice_equal(member->content, item->content) ||
				(member->session != NULL) != item->owned) {
		tally->changes = true;
	}
	tally_bytes(tally, member, remove || !item->owned ? NULL : item);
	return refuse(CODE_OK, NULL);
}

/* Bounded like the rest: a version's methods travel to everyone who watches the service. */
static struct state_result check_def(
	const struct state *state, const struct item *item, struct tally *tally)
{
	const struct state_set *set = state_set(state, false, item->set);
	struct slice rest = item->content;
	struct content_endpoint endpoint;
	size_t count = 0;
	int got;

	while ((got = content_next_endpoint(&rest, &endpoint)) == 1) {
		count++;
	}
	if (got < 0 || !content_is_service_name(item->set) || item->key.size > STATE_KEY_MAX) {
		return refuse(CODE_INVALID, "endpoints");
	}
	if (item->content.size > CONTENT_DEF_MAX || count > CONTENT_ENDPOINTS_MAX) {
		return refuse(CODE_QUOTA, "endpoints");
	}
	for (size_t i = 0; set && i < set->def_count; i++) {
		if (slice_equal(set->defs[i].version, item->key)) {
			tally->changes =
				tally->changes || !slice_equal(set->defs[i].content, item->content);
			return refuse(CODE_OK, NULL);
		}
	}
	tally->changes = true;
	return refuse(CODE_OK, NULL);
}

/* Operations that only replicas use are refused when a client sends them. */
static struct state_result check_item(
	const struct state *state, const struct item *item, struct tally *tally)
{
	const struct state_set *set;

	switch (item->op) {
	case ITEM_UPSERT:
		return check_upsert(state, item, tally);
	case ITEM_DEF:
		return check_def(state, item, tally);
	case ITEM_PUT:
	case ITEM_REMOVE:
		return check_record(state, item, tally);
	case ITEM_DELETE:
		set = state_set(state, false, item->set);
		if (set && state_member(set, item->key)) {
			if (state_member(set, item->key)->session != tally->session) {
				return refuse(CODE_TAKEN, "id");
			}
			tally_bytes(tally, state_member(set, item->key), NULL);
			tally->changes = true;
		}
		return refuse(CODE_OK, NULL);
	case ITEM_SESSION:
	case ITEM_ADDRESS:
		break;
	}
	return refuse(CODE_INVALID, "item");
}

/* What a full set does not name is to be deleted. */
static bool is_listed(const struct packet *command, const struct state_member *member)
{
	struct slice rest = command->items;
	struct slice bytes;
	struct item item;

	while (packet_next_item(&rest, &bytes)) {
		enum item_op wanted = member->set->records ? ITEM_PUT : ITEM_UPSERT;

		if (item_decode(bytes, &item) == 0 && item.op == wanted &&
			slice_equal(item.set, member->set->name) &&
			slice_equal(item.key, member->key)) {
			return true;
		}
	}
	return false;
}

/* RD-05, RD-06: exactly once by seq; no change costs nothing. */
static struct state_result check_register(const struct state *state, const struct packet *command)
{
	struct tally tally = {.session = state_session(state, command->session)};
	struct slice rest = command->items;
	struct slice bytes;
	struct item item;

	if (!tally.session || tally.session->incarnation != command->incarnation) {
		return lost(tally.session, "session");
	}
	if (command->seq == 0 || command->seq > tally.session->last_seq + 1) {
		return lost(tally.session, "seq");
	}
	if (command->seq <= tally.session->last_seq) {
		return (struct state_result){.code = CODE_ALREADY,
			.index = tally.session->last_index,
			.digest = tally.session->digest};
	}
	tally.full = (command->flags & PACKET_FULL) != 0;
	tally.bytes = tally.full ? 0 : (int64_t)tally.session->member_bytes;
	while (packet_next_item(&rest, &bytes)) {
		struct state_result result;

		if (item_decode(bytes, &item) < 0) {
			return refuse(CODE_INVALID, "item");
		}
		result = check_item(state, &item, &tally);
		if (result.code != CODE_OK) {
			return result;
		}
	}
	if (tally.bytes > (int64_t)STATE_SESSION_BYTES_MAX) {
		return refuse(CODE_QUOTA, "bytes");
	}
	if (!tally.full && tally.session->member_count + tally.instances >
				   STATE_SESSION_INSTANCES_MAX + STATE_SET_RECORDS_MAX) {
		return refuse(CODE_QUOTA, "instances");
	}
	if (tally.full && !tally.changes) {
		LIST_FOR_EACH(node, &tally.session->members) {
			tally.changes = tally.changes ||
					!is_listed(command, LIST_ENTRY(node, struct state_member,
								    session_node));
		}
	}
	if (!tally.changes && !tally.session->suspect) {
		return (struct state_result){.code = CODE_UNCHANGED,
			.index = state->applied,
			.digest = tally.session->digest};
	}
	return refuse(CODE_OK, NULL);
}

/* Pure: the same answer on every replica at the same index. */
struct state_result state_check(const struct state *state, const struct packet *command)
{
	const struct state_session *session;

	switch (command->kind) {
	case PACKET_OPEN:
		return check_open(state, command);
	case PACKET_REGISTER:
		return check_register(state, command);
	case PACKET_CLOSE:
		session = state_session(state, command->session);
		return session && session->incarnation == command->incarnation
			       ? refuse(CODE_OK, NULL)
			       : (struct state_result){
					 .code = CODE_ALREADY, .index = state->applied};
	default:
		return refuse(CODE_OK, NULL);
	}
}

/* An older incarnation's instances go as replaced: its owner is back, nobody guards them. */
static void apply_open(struct state *state, uint64_t index, const struct packet *open)
{
	struct state_session *session = state_session(state, open->session);

	if (session) {
		state_drop_session(state, session, index, CAUSE_REPLACED);
	}
	session = state_add_session(state, open);
	session->opened = session->modified = index;
	state_renew_session(state, session);
}

/* Equal content is no change: it keeps its index, so watchers are not told. */
static void apply_item(
	struct state *state, uint64_t index, struct state_session *session, const struct item *item)
{
	bool records = item->op == ITEM_PUT || item->op == ITEM_REMOVE;
	struct state_set *set = state_set(state, records, item->set);
	struct state_member *member = set ? state_member(set, item->key) : NULL;
	struct item put = *item;

	switch (item->op) {
	case ITEM_UPSERT:
	case ITEM_PUT:
		if (member && slice_equal(member->content, item->content) &&
			(records ? (member->session != NULL) == item->owned
				 : member->session == session)) {
			return;
		}
		put.created = put.modified = index;
		state_put_member(state, state_make_set(state, records, item->set),
			records && !item->owned ? NULL : session, &put);
		return;
	case ITEM_DELETE:
	case ITEM_REMOVE:
		if (member) {
			state_drop_member(state, member, index, CAUSE_DELETED);
		}
		return;
	case ITEM_DEF:
		set = state_make_set(state, false, item->set);
		state_put_def(state, set, item->key, item->content);
		state_touch_set(state, set, (struct slice){0}, CAUSE_DELETED, index);
		return;
	case ITEM_SESSION:
	case ITEM_ADDRESS:
		ASSERT(false); /* refused by state_check */
	}
}

/* Command 2, full: what the owner no longer lists is deleted by its own word, not
 * expired. */
static void drop_unlisted(struct state *state, uint64_t index, struct state_session *session,
	const struct packet *command)
{
	LIST_FOR_EACH_SAFE(node, &session->members) {
		struct state_member *member = LIST_ENTRY(node, struct state_member, session_node);

		if (!is_listed(command, member)) {
			state_drop_member(state, member, index, CAUSE_DELETED);
		}
	}
}

/* SUSPECT is published with every instance of the session. */
static void set_suspect(
	struct state *state, uint64_t index, struct state_session *session, bool suspect)
{
	session->suspect = suspect;
	session->lease_gen++;
	session->modified = index;
	state_renew_session(state, session);
	LIST_FOR_EACH(node, &session->members) {
		struct state_member *member = LIST_ENTRY(node, struct state_member, session_node);

		if (!member->set->records) {
			state_refresh_member(state, member, index, CAUSE_DELETED);
		}
	}
}

/* A sign of life first, so that what it declares is published as healthy. */
static void apply_register(struct state *state, uint64_t index, const struct packet *command)
{
	struct state_session *session = state_session(state, command->session);
	struct slice rest = command->items;
	struct slice bytes;
	struct item item;

	ASSERT(session);
	if (session->suspect) {
		set_suspect(state, index, session, false);
	}
	if (command->flags & PACKET_FULL) {
		drop_unlisted(state, index, session, command);
	}
	while (packet_next_item(&rest, &bytes)) {
		if (item_decode(bytes, &item) == 0) {
			apply_item(state, index, session, &item);
		}
	}
	session->last_seq = command->seq;
	session->last_index = session->modified = index;
	state_renew_session(state, session);
}

/* SUSPECT, REVIVE, EXPIRE: void when any of the triple differs. */
static void apply_lease(struct state *state, uint64_t index, const struct packet *command)
{
	struct slice rest = command->items;
	struct slice bytes;
	struct item item;

	while (packet_next_item(&rest, &bytes)) {
		struct state_session *session;

		if (item_decode(bytes, &item) < 0 || item.op != ITEM_SESSION) {
			continue;
		}
		session = state_session(state, item.content);
		if (!session || session->incarnation != item.number ||
			session->lease_gen != item.generation) {
			continue;
		}
		if (command->kind == PACKET_SUSPECT && !session->suspect) {
			set_suspect(state, index, session, true);
		} else if (command->kind == PACKET_REVIVE && session->suspect) {
			set_suspect(state, index, session, false);
		} else if (command->kind == PACKET_EXPIRE && session->suspect) {
			state_drop_session(state, session, index, CAUSE_EXPIRED);
		}
	}
}

/* 8: forgets empty sets that are old enough; who resumes from before must see everything. */
static void apply_gc(struct state *state, const struct packet *command)
{
	if (command->index <= state->horizon || command->index > state->applied) {
		return;
	}
	state->horizon = command->index;
	state->horizon_ms = state->wall_ms;
	for (size_t i = 0; i < state->sets.count;) {
		struct state_set *set = state->sets.entries[i].value;

		if (set->members.count > 0 || set->modified > command->index) {
			i++;
			continue;
		}
		state_drop_set(state, set);
	}
}

/* Refusals change nothing and use no seq (RD-02). */
static int apply_command(struct state *state, uint64_t index, const struct packet *command,
	struct state_result *ret_result)
{
	struct state_session *session;

	*ret_result = state_check(state, command);
	if (ret_result->code != CODE_OK) {
		return 0;
	}
	ret_result->index = index;
	switch (command->kind) {
	case PACKET_OPEN:
		apply_open(state, index, command);
		break;
	case PACKET_REGISTER:
		apply_register(state, index, command);
		break;
	case PACKET_CLOSE:
		state_drop_session(
			state, state_session(state, command->session), index, CAUSE_CLOSED);
		break;
	case PACKET_SUSPECT:
	case PACKET_REVIVE:
	case PACKET_EXPIRE:
		apply_lease(state, index, command);
		break;
	case PACKET_GC:
		apply_gc(state, command);
		break;
	default:
		return -ENOTSUP; /* RD-09 */
	}
	session = state_session(state, command->session);
	ret_result->digest = session ? session->digest : 0;
	return 0;
}

/* All commands of the entry, in order, each against the state that the one before it left. */
int state_apply(struct state *state, uint64_t index, struct slice payload,
	void (*on_result)(void *owner, size_t ordinal, const struct state_result *result),
	void *owner)
{
	struct pbscan_field field;
	size_t ordinal = 0;
	int got;

	ASSERT(index == state->applied + 1);
	state->applied = index;
	while ((got = pbscan_next(&payload, &field)) == 1) {
		struct state_result result;
		struct packet command;
		int status;

		if (field.number == ENTRY_FORMAT && field.value != FORMAT) {
			return -ENOTSUP;
		}
		if (field.number == ENTRY_WALL) {
			state->wall_ms = field.value;
		}
		if (field.number != ENTRY_COMMAND || field.wire_type != 2) {
			continue;
		}
		if (packet_decode(field.bytes, &command) < 0) {
			return -ENOTSUP;
		}
		status = apply_command(state, index, &command, &result);
		if (status < 0) {
			return status;
		}
		if (on_result) {
			on_result(owner, ordinal, &result);
		}
		ordinal++;
	}
	return got < 0 ? -EBADMSG : 0;
}
