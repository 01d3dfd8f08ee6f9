/* See cluster.h. */
#include <stdlib.h>
#include <string.h>

#include "cluster.h"

struct raft_options cluster_options(uint64_t id)
{
	return (struct raft_options){.id = id,
		.seed = id * 77 + 5,
		.uncommitted_bytes_max = 1000,
		.election_ms = 100,
		.heartbeat_ms = 10,
		.append_bytes_max = 100,
		.inflight_messages_max = 4,
		.inflight_bytes_max = 1000};
}

struct raft_conf cluster_conf(uint64_t voter_count)
{
	struct raft_conf conf = {.auto_leave = false};

	for (uint64_t id = 1; id <= voter_count; id++) {
		member_ids_add(&conf.voters, id);
	}
	return conf;
}

static struct letter copy_letter(const struct raft_message *message)
{
	struct letter letter = {.message = *message};

	if (message->entry_count > 0) {
		letter.entries = calloc(message->entry_count, sizeof(*letter.entries));
		assert_non_null(letter.entries);
	}
	for (size_t i = 0; i < message->entry_count; i++) {
		letter.entries[i] = message->entries[i];
		raft_entry_ref(&letter.entries[i]);
	}
	if (message->snapshot != NULL) {
		letter.snapshot = *message->snapshot;
	}
	return letter;
}

static void free_letter(struct letter *letter)
{
	for (size_t i = 0; i < letter->message.entry_count; i++) {
		raft_entry_unref(&letter->entries[i]);
	}
	free(letter->entries);
}

static void post(struct cluster *cluster, const struct letter *letter)
{
	assert_true(cluster->letter_count < LETTERS_MAX);
	cluster->letters[cluster->letter_count++] = *letter;
}

static void release_held(struct cluster *cluster, struct node *node)
{
	size_t kept = 0;

	for (size_t i = 0; i < node->held_count; i++) {
		if (node->held[i].message.after <= node->persisted) {
			post(cluster, &node->held[i]);
		} else {
			node->held[kept++] = node->held[i];
		}
	}
	node->held_count = kept;
}

static void take_effects(struct cluster *cluster, struct node *node)
{
	const struct raft_effects *effects = &node->effects;

	for (size_t i = 0; i < effects->message_count; i++) {
		struct letter letter = copy_letter(&effects->messages[i]);

		if (letter.message.after <= node->persisted) {
			post(cluster, &letter);
		} else {
			assert_true(node->held_count < 64);
			node->held[node->held_count++] = letter;
		}
	}
	for (size_t i = 0; i < effects->read_count && node->read_count < 64; i++) {
		node->reads[node->read_count++] = effects->reads[i];
	}
	if (effects->install != NULL) {
		node->installed = true;
		node->applied = effects->install->index;
	}
}

enum raft_refusal cluster_step(struct cluster *cluster, uint64_t id, struct raft_event event)
{
	struct node *node = &cluster->nodes[id];

	event.now_ms = cluster->now_ms;
	enum raft_refusal refusal = raft_step(node->raft, &event, &node->effects);
	uint64_t seq = node->effects.persist_seq, apply = node->effects.apply_index;

	take_effects(cluster, node);
	assert_null(raft_check(node->raft));
	if (seq != 0 && !node->manual) {
		cluster_persist(cluster, id, seq);
	}
	if (apply > node->applied && !node->idle) {
		cluster_apply(cluster, id, apply);
	}
	return refusal;
}

void cluster_persist(struct cluster *cluster, uint64_t id, uint64_t seq)
{
	struct raft_event event = {.kind = RAFT_PERSISTED, .u.persisted.seq = seq};
	struct raft_effects before = cluster->nodes[id].effects;

	cluster->nodes[id].persisted = seq;
	release_held(cluster, &cluster->nodes[id]);
	cluster_step(cluster, id, event);
	/* What a test looks at is the step it asked for, not the one that followed by itself. */
	if (!cluster->nodes[id].manual) {
		before.apply_index = cluster->nodes[id].effects.apply_index;
		before.commit_index = cluster->nodes[id].effects.commit_index;
		before.role = cluster->nodes[id].effects.role;
		before.deadline_ms = cluster->nodes[id].effects.deadline_ms;
		before.leader = cluster->nodes[id].effects.leader;
		before.term = cluster->nodes[id].effects.term;
		cluster->nodes[id].effects = before;
	}
}

void cluster_apply(struct cluster *cluster, uint64_t id, uint64_t index)
{
	struct raft_event event = {.kind = RAFT_APPLIED, .u.applied.index = index};
	struct raft_effects before = cluster->nodes[id].effects;

	if (index <= cluster->nodes[id].applied) {
		return;
	}
	cluster->nodes[id].applied = index;
	cluster_step(cluster, id, event);
	if (!cluster->nodes[id].idle) {
		before.role = cluster->nodes[id].effects.role;
		before.deadline_ms = cluster->nodes[id].effects.deadline_ms;
		before.leader = cluster->nodes[id].effects.leader;
		before.conf = cluster->nodes[id].effects.conf;
		cluster->nodes[id].effects = before;
	}
}

void cluster_start(struct cluster *cluster, uint64_t id, const struct raft_restore *restore)
{
	struct raft_options options = cluster_options(id);
	struct raft_event event = {.kind = RAFT_RESTORE};
	struct node *node = &cluster->nodes[id];

	raft_destroy(node->raft);
	for (size_t i = 0; i < node->held_count; i++) {
		free_letter(&node->held[i]);
	}
	*node = (struct node){.raft = NULL};
	options.test_flags = cluster->flags;
	node->raft = raft_create(&options);
	raft_trace_enable(node->raft, true);
	if (restore != NULL) {
		event.u.restore = *restore;
		node->applied = restore->snapshot != NULL ? restore->snapshot->index : 0;
	}
	cluster_step(cluster, id, event);
}

static void start_voter(struct cluster *cluster, uint64_t id, uint64_t voter_count)
{
	struct raft_snapshot snapshot = {
		.index = 1, .term = 1, .conf = cluster_conf(voter_count), .file = 1};
	struct raft_restore restore = {
		.hard = {.term = 1}, .snapshot = &snapshot, .before_index = 1, .before_term = 1};

	cluster_start(cluster, id, &restore);
}

void cluster_start_log(struct cluster *cluster, uint64_t id, uint64_t voter_count,
	const uint64_t *terms, size_t term_count)
{
	struct raft_entry entries[64] = {{0}};
	struct raft_snapshot snapshot = {
		.index = 1, .term = 1, .conf = cluster_conf(voter_count), .file = 1};
	struct raft_restore restore = {.hard = {.term = 1},
		.snapshot = &snapshot,
		.entries = entries,
		.entry_count = term_count,
		.before_index = 1,
		.before_term = 1};

	for (size_t i = 0; i < term_count; i++) {
		entries[i] = (struct raft_entry){
			.index = i + 2, .term = terms[i], .kind = RAFT_ENTRY_DATA};
		restore.hard.term = terms[i];
	}
	cluster_start(cluster, id, &restore);
}

struct cluster *cluster_create(uint64_t voter_count, unsigned test_flags)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));

	assert_non_null(cluster);
	cluster->now_ms = 1000;
	cluster->flags = test_flags;
	for (uint64_t id = 1; id <= voter_count; id++) {
		start_voter(cluster, id, voter_count);
	}
	return cluster;
}

void cluster_destroy(struct cluster *cluster)
{
	cluster_drop_all(cluster);
	for (uint64_t id = 1; id <= NODES_MAX; id++) {
		struct node *node = &cluster->nodes[id];

		for (size_t i = 0; i < node->held_count; i++) {
			free_letter(&node->held[i]);
		}
		raft_destroy(node->raft);
	}
	free(cluster);
}

enum raft_refusal cluster_receive(struct cluster *cluster, uint64_t id, struct raft_message message)
{
	struct raft_event event = {.kind = RAFT_RECEIVE, .u.receive = &message};

	message.to = id;
	return cluster_step(cluster, id, event);
}

enum raft_refusal cluster_propose(struct cluster *cluster, uint64_t id, const char *text)
{
	struct raft_payload *payload = raft_payload_create(text, (uint32_t)strlen(text));
	struct raft_event event = {
		.kind = RAFT_PROPOSE, .u.propose = {.payloads = &payload, .count = 1}};
	enum raft_refusal refusal = cluster_step(cluster, id, event);

	raft_payload_unref(payload);
	return refusal;
}

enum raft_refusal cluster_campaign(struct cluster *cluster, uint64_t id)
{
	return cluster_step(cluster, id, (struct raft_event){.kind = RAFT_CAMPAIGN});
}

enum raft_refusal cluster_read(struct cluster *cluster, uint64_t id, uint64_t cookie)
{
	return cluster_step(
		cluster, id, (struct raft_event){.kind = RAFT_READ, .u.read.cookie = cookie});
}

enum raft_refusal cluster_change(
	struct cluster *cluster, uint64_t id, const struct raft_change *change)
{
	return cluster_step(
		cluster, id, (struct raft_event){.kind = RAFT_CHANGE, .u.change = *change});
}

void cluster_snapshot(struct cluster *cluster, uint64_t id)
{
	struct raft_status status = cluster_status(cluster, id);
	struct raft_event event = {.kind = RAFT_SNAPSHOT_MADE};
	const struct raft_entry *entry =
		raft_entry_at(cluster->nodes[id].raft, status.applied_index);

	assert_non_null(entry);
	event.u.snapshot_made.snapshot = (struct raft_snapshot){.index = status.applied_index,
		.term = entry->term,
		.conf = *raft_conf_active(cluster->nodes[id].raft),
		.file = status.applied_index};
	event.u.snapshot_made.compact_index = status.applied_index;
	cluster_step(cluster, id, event);
}

static void remove_letter(struct cluster *cluster, size_t place)
{
	cluster->letter_count--;
	memmove(&cluster->letters[place], &cluster->letters[place + 1],
		(cluster->letter_count - place) * sizeof(cluster->letters[0]));
}

bool cluster_deliver_one(struct cluster *cluster)
{
	if (cluster->letter_count == 0) {
		return false;
	}
	struct letter letter = cluster->letters[0];
	struct raft_message *message = &letter.message;

	remove_letter(cluster, 0);
	if (message->to <= NODES_MAX && !cluster->cut[message->from][message->to] &&
		cluster->nodes[message->to].raft != NULL) {
		message->entries = letter.entries;
		message->snapshot = message->snapshot != NULL ? &letter.snapshot : NULL;
		cluster_receive(cluster, message->to, *message);
	}
	free_letter(&letter);
	return true;
}

void cluster_deliver(struct cluster *cluster)
{
	for (int i = 0; cluster_deliver_one(cluster); i++) {
		assert_true(i < 100000);
	}
}

void cluster_drop_all(struct cluster *cluster)
{
	for (size_t i = 0; i < cluster->letter_count; i++) {
		free_letter(&cluster->letters[i]);
	}
	cluster->letter_count = 0;
}

static bool is_meant(const struct letter *letter, enum raft_message_kind kind, uint64_t to)
{
	return letter->message.kind == kind && (to == 0 || letter->message.to == to);
}

size_t cluster_drop(struct cluster *cluster, enum raft_message_kind kind, uint64_t to)
{
	size_t dropped = 0;

	for (size_t i = 0; i < cluster->letter_count;) {
		if (is_meant(&cluster->letters[i], kind, to)) {
			free_letter(&cluster->letters[i]);
			remove_letter(cluster, i);
			dropped++;
		} else {
			i++;
		}
	}
	return dropped;
}

size_t cluster_count(const struct cluster *cluster, enum raft_message_kind kind, uint64_t to)
{
	size_t count = 0;

	for (size_t i = 0; i < cluster->letter_count; i++) {
		count += is_meant(&cluster->letters[i], kind, to);
	}
	return count;
}

const struct raft_message *cluster_find(
	const struct cluster *cluster, enum raft_message_kind kind, uint64_t to)
{
	for (size_t i = 0; i < cluster->letter_count; i++) {
		if (is_meant(&cluster->letters[i], kind, to)) {
			return &cluster->letters[i].message;
		}
	}
	return NULL;
}

void cluster_pass(struct cluster *cluster, uint64_t ms)
{
	cluster->now_ms += ms;
	for (uint64_t id = 1; id <= NODES_MAX; id++) {
		struct node *node = &cluster->nodes[id];

		if (node->raft != NULL && node->effects.deadline_ms <= cluster->now_ms) {
			cluster_step(cluster, id, (struct raft_event){.kind = RAFT_DEADLINE});
		}
	}
}

void cluster_isolate(struct cluster *cluster, uint64_t id, bool isolated)
{
	for (uint64_t other = 1; other <= NODES_MAX; other++) {
		cluster->cut[id][other] = cluster->cut[other][id] = isolated;
	}
}

struct raft_status cluster_status(const struct cluster *cluster, uint64_t id)
{
	struct raft_status status;

	raft_status_get(cluster->nodes[id].raft, &status);
	return status;
}

const struct raft_peer_status *cluster_peer(const struct raft_status *status, uint64_t id)
{
	for (size_t i = 0; i < status->peer_count; i++) {
		if (status->peers[i].id == id) {
			return &status->peers[i];
		}
	}
	return NULL;
}

void cluster_check(const struct cluster *cluster)
{
	for (uint64_t id = 1; id <= NODES_MAX; id++) {
		if (cluster->nodes[id].raft != NULL) {
			assert_null(raft_check(cluster->nodes[id].raft));
		}
	}
}
