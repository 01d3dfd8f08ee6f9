/* Membership: changes, their encoding, their application; dissertation 4; RM-20..24. */
#include <string.h>

#include "raftreg/core/internal.h"

#define CHANGE_FORMAT	  1u
#define CHANGE_HEAD_BYTES 4u
#define OPERATION_BYTES	  9u
#define U(x)		  ((unsigned long long)(x))

/* Changes (RM-22) */

/* One line of RM-22. False when a set is full or the operation unknown. */
static bool apply_operation(struct raft_conf *conf, const struct raft_operation *operation)
{
	uint64_t id = operation->id;

	ASSERT(conf != NULL);
	if (id == 0) {
		return true;
	}
	switch (operation->kind) {
	case RAFT_ADD_VOTER:
		member_ids_remove(&conf->learners, id);
		member_ids_remove(&conf->staged, id);
		return member_ids_add(&conf->voters, id);
	case RAFT_ADD_LEARNER:
		member_ids_remove(&conf->voters, id);
		return member_ids_add(
			member_ids_has(&conf->outgoing, id) ? &conf->staged : &conf->learners, id);
	case RAFT_REMOVE:
		member_ids_remove(&conf->voters, id);
		member_ids_remove(&conf->learners, id);
		member_ids_remove(&conf->staged, id);
		return true;
	case RAFT_UPDATE:
		return true;
	}
	return false;
}

static uint32_t count_missing(const struct raft_ids *set, const struct raft_ids *other)
{
	uint32_t missing = 0;

	ASSERT(set->count <= RAFT_IDS_MAX);
	for (uint32_t i = 0; i < set->count; i++) {
		missing += !member_ids_has(other, set->ids[i]);
	}
	ASSERT(missing <= set->count);
	return missing;
}

/* The incoming half becomes the configuration; who was staged is a learner from now on. */
static enum raft_change_error leave_joint(struct raft_conf *conf)
{
	if (!member_conf_is_joint(conf)) {
		return RAFT_CHANGE_NOT_JOINT;
	}
	member_ids_add_all(&conf->learners, &conf->staged);
	memset(&conf->outgoing, 0, sizeof(conf->outgoing));
	memset(&conf->staged, 0, sizeof(conf->staged));
	conf->auto_leave = false;
	ASSERT(!member_conf_is_joint(conf));
	ASSERT(conf->staged.count <= conf->outgoing.count);
	return RAFT_CHANGE_OK;
}

/* What a newer program may have written is not guessed at: no effect, on every replica alike. */
static bool is_known(const struct raft_change *change)
{
	unsigned transition = (unsigned)change->transition;
	bool known = transition <= RAFT_TRANSITION_JOINT_EXPLICIT &&
		     change->operation_count <= RAFT_OPERATIONS_MAX;

	ASSERT(change != NULL);
	for (uint32_t i = 0; known && i < change->operation_count; i++) {
		unsigned kind = (unsigned)change->operations[i].kind;

		known = kind >= RAFT_ADD_VOTER && kind <= RAFT_UPDATE;
	}
	return known;
}

/* RM-21 and RM-22. Works on a copy, so that an error leaves nothing half done. */
enum raft_change_error member_conf_change(
	const struct raft_conf *conf, const struct raft_change *change, struct raft_conf *ret_conf)
{
	struct raft_conf next = *conf;
	bool joint = change->transition != RAFT_TRANSITION_AUTO || change->operation_count > 1;

	ASSERT(conf != NULL);
	ASSERT(ret_conf != NULL);
	if (!is_known(change)) {
		return RAFT_CHANGE_UNKNOWN;
	}
	if (!joint && change->operation_count == 0) {
		enum raft_change_error error = leave_joint(&next);

		*ret_conf = error == RAFT_CHANGE_OK ? next : *ret_conf;
		return error;
	}
	if (member_conf_is_joint(conf)) {
		return RAFT_CHANGE_ALREADY_JOINT;
	}
	if (joint) {
		if (conf->voters.count == 0) {
			return RAFT_CHANGE_NO_VOTERS;
		}
		next.outgoing = conf->voters;
		next.auto_leave = change->transition != RAFT_TRANSITION_JOINT_EXPLICIT;
	}
	for (uint32_t i = 0; i < change->operation_count; i++) {
		if (!apply_operation(&next, &change->operations[i])) {
			return RAFT_CHANGE_LIMIT;
		}
	}
	if (next.voters.count == 0) {
		return RAFT_CHANGE_REMOVES_ALL;
	}
	if (!joint && count_missing(&conf->voters, &next.voters) +
				      count_missing(&next.voters, &conf->voters) >
			      1) {
		return RAFT_CHANGE_TOO_MANY;
	}
	if (!member_conf_is_valid(&next)) {
		return RAFT_CHANGE_LIMIT;
	}
	*ret_conf = next;
	return RAFT_CHANGE_OK;
}

/* Encoding */

struct raft_payload *member_change_encode(const struct raft_change *change)
{
	uint32_t head = CHANGE_HEAD_BYTES + change->operation_count * OPERATION_BYTES;

	ASSERT(change->operation_count <= RAFT_OPERATIONS_MAX);
	ASSERT(change->records_length <= RAFT_ENTRY_BYTES_MAX - head);
	struct raft_payload *payload = raft_payload_create(NULL, head + change->records_length);
	uint8_t *at = payload->bytes;

	*at++ = CHANGE_FORMAT;
	*at++ = (uint8_t)change->transition;
	*at++ = (uint8_t)change->operation_count;
	*at++ = 0;
	for (uint32_t i = 0; i < change->operation_count; i++) {
		*at++ = (uint8_t)change->operations[i].kind;
		for (int shift = 0; shift < 64; shift += 8) {
			*at++ = (uint8_t)(change->operations[i].id >> shift);
		}
	}
	if (change->records_length > 0) {
		memcpy(at, change->records, change->records_length);
	}
	return payload;
}

/* Bytes of a log entry: they come from other replicas and from disk, so everything is checked. */
bool member_change_decode(const struct raft_payload *payload, struct raft_change *ret_change)
{
	struct raft_change change = {.transition = RAFT_TRANSITION_AUTO};

	ASSERT(ret_change != NULL);
	if (payload == NULL || payload->length < CHANGE_HEAD_BYTES ||
		payload->bytes[0] != CHANGE_FORMAT || payload->bytes[2] > RAFT_OPERATIONS_MAX ||
		payload->bytes[3] != 0) {
		return false;
	}
	uint32_t head = CHANGE_HEAD_BYTES + payload->bytes[2] * OPERATION_BYTES;

	if (payload->length < head) {
		return false;
	}
	change.transition = (enum raft_transition)payload->bytes[1];
	change.operation_count = payload->bytes[2];
	for (uint32_t i = 0; i < change.operation_count; i++) {
		const uint8_t *at = payload->bytes + CHANGE_HEAD_BYTES + i * OPERATION_BYTES;

		change.operations[i].kind = (enum raft_operation_kind)at[0];
		for (int byte = 0; byte < 8; byte++) {
			change.operations[i].id |= (uint64_t)at[1 + byte] << (8 * byte);
		}
	}
	change.records = payload->bytes + head;
	change.records_length = payload->length - head;
	if (!is_known(&change)) {
		return false;
	}
	*ret_change = change;
	return true;
}

/* Requests and their application */

/* RM-21. With everything known applied, the configuration that the change will meet is the active
 * one, so what would fail there is refused here. */
enum raft_refusal member_request(struct raft *raft, const struct raft_change *change)
{
	struct raft_conf next;

	if (raft->role != RAFT_LEADER) {
		return raft->leader == 0 ? RAFT_NO_LEADER : RAFT_NOT_LEADER;
	}
	if (progress_find(raft, raft->options.id) == NULL) {
		return RAFT_NOT_MEMBER;
	}
	if (raft->transfer_target != 0) {
		return RAFT_TRANSFERRING;
	}
	if (!raft_flag(raft, RAFT_NO_CHANGE_CHECK)) {
		if (raft->pending_conf > raft->applied) {
			return RAFT_CHANGE_PENDING;
		}
		if (member_conf_change(&raft->conf, change, &next) != RAFT_CHANGE_OK) {
			return RAFT_BAD_CHANGE;
		}
	}
	if (change->operation_count > RAFT_OPERATIONS_MAX ||
		change->records_length > RAFT_ENTRY_BYTES_MAX / 2) {
		return RAFT_TOO_LARGE;
	}
	if (raft->commit - raft->applied >= RAFT_UNAPPLIED_MAX) {
		return RAFT_TOO_MUCH;
	}
	struct raft_payload *payload = member_change_encode(change);

	raft->out.accepted = append_entry(raft, RAFT_ENTRY_CONF, payload);
	raft->pending_conf = raft->out.accepted;
	raft_payload_unref(payload);
	append_broadcast(raft);
	ASSERT(raft->pending_conf > raft->applied);
	ASSERT(change != NULL);
	return RAFT_OK;
}

bool member_has_unapplied(const struct raft *raft)
{
	ASSERT(raft->applied <= raft->commit);
	ASSERT(raft->commit <= raft_log_last(&raft->log));
	for (uint64_t index = raft->applied + 1; index <= raft->commit; index++) {
		const struct raft_entry *entry = raft_log_at(&raft->log, index);

		ASSERT(entry != NULL);
		if (entry->kind == RAFT_ENTRY_CONF) {
			return true;
		}
	}
	return false;
}

/* RM-23. */
void member_switch(struct raft *raft, const struct raft_conf *conf)
{
	uint64_t self = raft->options.id;

	ASSERT(member_conf_is_valid(conf));
	/* Nobody campaigns with a change committed but unapplied (RM-04). */
	ASSERT(raft->role == RAFT_FOLLOWER || raft->role == RAFT_LEADER);
	raft->conf = *conf;
	raft->out.conf = true;
	progress_rebuild(raft);
	trace_line(raft, "conf: %u voters, %u outgoing, %u learners", conf->voters.count,
		conf->outgoing.count, conf->learners.count);
	if (raft->role != RAFT_LEADER) {
		return;
	}
	if (!member_conf_is_voter(conf, self) && !raft_flag(raft, RAFT_STAY_WHEN_REMOVED)) {
		election_become_follower(raft, raft->hard.term, 0);
		return;
	}
	/* A smaller quorum may have what the larger one had not. */
	if (append_try_commit(raft)) {
		append_broadcast(raft);
	} else {
		for (uint32_t i = 0; i < raft->peer_count; i++) {
			if (raft->peers[i].id != self) {
				append_send(raft, &raft->peers[i], false);
			}
		}
	}
	read_try_confirm(raft);
	if (!member_conf_is_voter(conf, raft->transfer_target)) {
		raft->transfer_target = 0;
	}
	ASSERT(raft->conf.voters.count > 0);
}

/* RM-20: on each node when that node applies it, so that a truncation never has to take it back. */
static void apply_entry(struct raft *raft, const struct raft_entry *entry)
{
	struct raft_change change;
	struct raft_conf next;
	enum raft_change_error error = RAFT_CHANGE_UNKNOWN;

	ASSERT(entry->kind == RAFT_ENTRY_CONF);
	ASSERT(entry->index == raft->applied);
	if (member_change_decode(entry->payload, &change)) {
		error = member_conf_change(&raft->conf, &change, &next);
	}
	if (error != RAFT_CHANGE_OK) {
		/* The same everywhere, for all apply the same entries to the same configuration. */
		trace_line(raft, "conf entry %llu has no effect: %s", U(entry->index),
			member_change_error_name(error));
		return;
	}
	member_switch(raft, &next);
}

void member_on_applied(struct raft *raft, uint64_t index)
{
	ASSERT(index <= raft->apply_given);
	ASSERT(raft->applied <= raft->apply_given);
	while (raft->applied < index) {
		const struct raft_entry *entry = raft_log_at(&raft->log, raft->applied + 1);

		ASSERT(entry != NULL);
		raft->applied++;
		if (entry->kind == RAFT_ENTRY_CONF) {
			apply_entry(raft, entry);
		}
	}
}

/* RM-21: looked at after every step, so that no refusal and no change of leaders leaves the cluster
 * in the joint configuration. */
void member_try_leave(struct raft *raft)
{
	static const struct raft_change leave = {.transition = RAFT_TRANSITION_AUTO};

	if (raft->role != RAFT_LEADER || !raft->conf.auto_leave ||
		raft->applied < raft->pending_conf || raft->transfer_target != 0) {
		return;
	}
	ASSERT(member_conf_is_joint(&raft->conf));
	struct raft_payload *payload = member_change_encode(&leave);

	raft->pending_conf = append_entry(raft, RAFT_ENTRY_CONF, payload);
	raft_payload_unref(payload);
	trace_line(raft, "leave joint by entry %llu", U(raft->pending_conf));
	append_broadcast(raft);
	ASSERT(raft->pending_conf > raft->applied);
}
