/* Invariants over the whole cluster (SIM-03). */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/raft/sim.h"

#define U(x) ((unsigned long long)(x))

static struct oracle_index *index_at(struct oracle *oracle, uint64_t index)
{
	oracle->indexes = sim_grow(
		oracle->indexes, &oracle->index_capacity, index + 1, sizeof(*oracle->indexes));
	return &oracle->indexes[index];
}

void oracle_fini(struct oracle *oracle)
{
	for (size_t i = 0; i < oracle->index_capacity; i++) {
		struct oracle_entry *entry = oracle->indexes[i].entries;

		while (entry != NULL) {
			struct oracle_entry *next = entry->next;

			free(entry);
			entry = next;
		}
	}
	free(oracle->indexes);
	free(oracle->leaders);
	free(oracle->votes);
}

uint64_t oracle_entry_value(const struct raft_entry *entry)
{
	uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)entry->kind;
	uint32_t length = entry->payload ? entry->payload->length : 0;

	for (uint32_t i = 0; i < length; i++) {
		hash = (hash ^ entry->payload->bytes[i]) * 0x100000001b3u;
	}
	return hash;
}

/* Log matching: an (index, term) has one content and one predecessor, wherever it lies. */
static void record_entry(
	struct sim_replica *replica, const struct raft_entry *entry, uint64_t prev_term)
{
	struct oracle_index *index = index_at(&replica->world->oracle, entry->index);
	uint64_t value = oracle_entry_value(entry);
	struct oracle_entry *known = index->entries;

	while (known != NULL && known->term != entry->term) {
		known = known->next;
	}
	if (known == NULL) {
		known = calloc(1, sizeof(*known));
		if (known == NULL) {
			abort();
		}
		*known = (struct oracle_entry){entry->term, prev_term, value, index->entries};
		index->entries = known;
	}
	if (known->value != value || known->prev_term != prev_term) {
		sim_fail(replica->world,
			"log matching: replica %llu has another entry (%llu, %llu)", U(replica->id),
			U(entry->index), U(entry->term));
	}
}

static uint64_t term_at(const struct sim_replica *replica, uint64_t index)
{
	const struct raft_entry *entry = raft_entry_at(replica->raft, index);
	struct raft_status status;

	if (entry != NULL) {
		return entry->term;
	}
	raft_status_get(replica->raft, &status);
	if (index == status.snapshot_index) {
		return status.snapshot_term;
	}
	return index + 1 == status.first_index && index > 0 ? UINT64_MAX : 0;
}

static void check_appends(struct sim_replica *replica, const struct raft_effects *effects)
{
	for (size_t i = 0; i < effects->append_count; i++) {
		const struct raft_entry *entry = &effects->append[i];
		uint64_t prev_term = i > 0 ? entry[-1].term : term_at(replica, entry->index - 1);

		/* The term before a compacted log's first entry is not to be asked for. */
		if (prev_term != UINT64_MAX) {
			record_entry(replica, entry, prev_term);
		}
	}
}

/* Leader completeness: who leads has all that was ever committed before. */
static void check_new_leader(struct sim_replica *replica, const struct raft_effects *effects)
{
	struct sim_world *world = replica->world;
	struct oracle *oracle = &world->oracle;
	struct raft_status status;

	if (effects->role != RAFT_LEADER ||
		(replica->seen_role == RAFT_LEADER && replica->seen_term == effects->term)) {
		return;
	}
	oracle->leaders = sim_grow(oracle->leaders, &oracle->leader_capacity, effects->term + 1,
		sizeof(*oracle->leaders));
	uint64_t *leader = &oracle->leaders[effects->term];

	if (*leader != 0 && *leader != replica->id) {
		sim_fail(world, "two leaders in term %llu: %llu and %llu", U(effects->term),
			U(*leader), U(replica->id));
	}
	*leader = replica->id;
	world->leader_changes++;
	world->last_leader_us = world->now_us;
	raft_status_get(replica->raft, &status);
	for (uint64_t i = status.first_index; i <= oracle->commit_max; i++) {
		const struct oracle_index *index = index_at(oracle, i);
		uint64_t term = index->committed_term;

		/* A leader whose votes were late may lead a term that is over. */
		if (term != 0 && index->committed_in < effects->term &&
			term_at(replica, i) != term) {
			sim_fail(world,
				"leader completeness: leader %llu of term %llu lacks entry %llu "
				"of term %llu",
				U(replica->id), U(effects->term), U(i), U(term));
		}
	}
}

static bool is_durable(const struct sim_disk *disk, uint64_t index, uint64_t term)
{
	if (disk->snapshot.index >= index) {
		return true;
	}
	return index > disk->before_index && index - disk->before_index <= disk->entry_count &&
	       disk->entries[index - disk->before_index - 1].term == term;
}

static bool has_majority(
	struct sim_world *world, const struct raft_ids *voters, uint64_t index, uint64_t term)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < voters->count; i++) {
		count += is_durable(&world->replicas[voters->ids[i]].disk, index, term);
	}
	return voters->count == 0 || count >= voters->count / 2 + 1;
}

/* What is committed is the same everywhere, and durable on a quorum when a leader says so. */
static void check_commits(struct sim_replica *replica, const struct raft_effects *effects)
{
	struct sim_world *world = replica->world;
	struct oracle *oracle = &world->oracle;
	const struct raft_conf *conf = raft_conf_active(replica->raft);

	for (uint64_t i = replica->seen_commit + 1; i <= effects->commit_index; i++) {
		struct oracle_index *index = index_at(oracle, i);
		uint64_t term = term_at(replica, i);

		if (term == 0 || term == UINT64_MAX) {
			continue; /* compacted: covered by the state's hash */
		}
		if (index->committed_term != 0 && index->committed_term != term) {
			sim_fail(world,
				"replica %llu commits (%llu, %llu), but term %llu was committed",
				U(replica->id), U(i), U(term), U(index->committed_term));
		}
		if (index->committed_term == 0) {
			index->committed_in = effects->term;
		}
		index->committed_term = term;
		if (effects->role == RAFT_LEADER && !oracle->cut &&
			!(has_majority(world, &conf->voters, i, term) &&
				has_majority(world, &conf->outgoing, i, term))) {
			sim_fail(world,
				"leader %llu commits %llu, which is not durable on a quorum",
				U(replica->id), U(i));
		}
	}
	if (effects->commit_index > oracle->commit_max) {
		oracle->commit_max = effects->commit_index;
	}
}

void oracle_stepped(struct sim_replica *replica, const struct raft_effects *effects)
{
	struct sim_world *world = replica->world;
	const char *breach = raft_check(replica->raft);

	if (breach != NULL) {
		sim_fail(world, "replica %llu: %s", U(replica->id), breach);
	}
	if (effects->commit_index < replica->seen_commit ||
		effects->apply_index < replica->seen_apply) {
		sim_fail(world, "replica %llu: commit or apply index fell", U(replica->id));
	}
	if (effects->term < replica->seen_term) {
		sim_fail(world, "replica %llu: term fell", U(replica->id));
	}
	check_appends(replica, effects);
	check_new_leader(replica, effects);
	check_commits(replica, effects);
	replica->seen_commit = effects->commit_index;
	replica->seen_apply = effects->apply_index;
	replica->seen_term = effects->term;
	replica->seen_role = effects->role;
}

/* One vote per (id, term), on disk and on the wire. */
static void record_vote(struct sim_replica *replica, uint64_t term, uint64_t vote)
{
	struct oracle *oracle = &replica->world->oracle;
	size_t place = (size_t)term * (SIM_REPLICAS_MAX + 1) + replica->id;

	oracle->votes =
		sim_grow(oracle->votes, &oracle->vote_capacity, place + 1, sizeof(*oracle->votes));
	if (vote != 0 && oracle->votes[place] != 0 && oracle->votes[place] != vote) {
		sim_fail(replica->world, "replica %llu votes for %llu and %llu in term %llu",
			U(replica->id), U(oracle->votes[place]), U(vote), U(term));
	}
	oracle->votes[place] = vote != 0 ? vote : oracle->votes[place];
}

void oracle_hard_written(struct sim_replica *replica)
{
	record_vote(replica, replica->disk.hard.term, replica->disk.hard.vote);
}

/* Nothing leaves that a crash could make untrue. */
void oracle_sending(struct sim_replica *replica, const struct raft_message *message)
{
	const struct raft_hard *hard = &replica->disk.hard;
	bool pre = message->kind == RAFT_PREVOTE ||
		   (message->kind == RAFT_PREVOTE_RESP && !message->reject);
	bool vote =
		message->kind == RAFT_VOTE || (message->kind == RAFT_VOTE_RESP && !message->reject);
	uint64_t to = message->kind == RAFT_VOTE ? replica->id : message->to;

	if (!pre && hard->term < message->term) {
		sim_fail(replica->world, "replica %llu sends %s of term %llu, durable is %llu",
			U(replica->id), raft_message_name(message->kind), U(message->term),
			U(hard->term));
	}
	if (vote) {
		record_vote(replica, message->term, to);
		if (hard->term == message->term && hard->vote != to) {
			sim_fail(replica->world, "replica %llu sends a vote that is not durable",
				U(replica->id));
		}
	}
	if (message->kind == RAFT_APPEND_RESP && !message->reject && hard->term == message->term &&
		message->index > 0 &&
		replica->disk.before_index + replica->disk.entry_count < message->index) {
		sim_fail(replica->world, "replica %llu acknowledges %llu, durable is %llu",
			U(replica->id), U(message->index),
			U(replica->disk.before_index + replica->disk.entry_count));
	}
}

static void check_state(struct sim_replica *replica, uint64_t index, uint64_t state)
{
	struct oracle_index *known = index_at(&replica->world->oracle, index);

	if (known->applied && known->state != state) {
		sim_fail(replica->world, "replica %llu has another state at %llu", U(replica->id),
			U(index));
	}
	known->applied = true;
	known->state = state;
}

void oracle_applied(struct sim_replica *replica, uint64_t index, uint64_t term)
{
	struct oracle_index *known = index_at(&replica->world->oracle, index);

	if (known->committed_term != 0 && known->committed_term != term) {
		sim_fail(replica->world,
			"replica %llu applies (%llu, %llu), committed is term %llu", U(replica->id),
			U(index), U(term), U(known->committed_term));
	}
	check_state(replica, index, replica->state);
}

void oracle_installed(struct sim_replica *replica, const struct raft_snapshot *snapshot)
{
	if (snapshot->index < replica->applied) {
		sim_fail(replica->world, "replica %llu installs %llu below its applied %llu",
			U(replica->id), U(snapshot->index), U(replica->applied));
	}
	check_state(replica, snapshot->index, snapshot->file);
}

void oracle_acked(struct sim_replica *replica, uint64_t index)
{
	struct oracle *oracle = &replica->world->oracle;

	replica->world->proposals_done++;
	if (index > oracle->acked_max) {
		oracle->acked_max = index;
	}
}
