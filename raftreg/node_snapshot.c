/*
 * Snapshots of a replica: made between two entries, received in chunks, adopted when the core says
 * so (registry.md RM-19, RS-05, RS-06, RS-12..RS-14, RT-08). The bytes are the store's to write and
 * to read; here is decided when, and what comes of it. Sending is in peers_snapshot.c.
 */
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "raftreg/fanout.h"
#include "raftreg/node.h"
#include "raftreg/peers.h"

#define SNAPSHOT_RETRY_MS 60000 /* RS-14 */
#define KEPT_BYTES	  (8u * 1024 * 1024)

/* RS-13: some of the log stays behind a snapshot, so that a slow follower needs no transfer. */
static uint64_t choose_compact_index(const struct raftreg_node *node)
{
	uint64_t index = node->state.applied;
	uint64_t bytes = 0;

	for (uint32_t kept = 0; kept < atomic_load(&node->kept_entries) && index > 0;
		kept++, index--) {
		const struct raft_entry *entry = raft_entry_at(node->raft, index);

		bytes += entry && entry->payload ? entry->payload->length : 0;
		if (!entry || bytes > KEPT_BYTES) {
			break;
		}
	}
	return index;
}

static void save_capture(void *context, struct buf *ret_state)
{
	state_capture_save(context, ret_state);
}

static void drop_capture(void *context)
{
	state_capture_drop(context);
}

/* RS-06: held between two entries, in constant time; the rest is the background thread's. */
void node_snapshot_turn(struct raftreg_node *node)
{
	struct snapfile_meta meta = {.epoch = node->epoch,
		.snapshot = {.index = node->state.applied,
			.term = node->applied_term,
			.conf = node->conf}};
	struct store_source source = {.save = save_capture, .drop = drop_capture};

	if (node->snapshot_busy || node->state.applied == 0 || node->conf.voters.count == 0 ||
		node_now_ms(node) < node->snapshot_retry_ms ||
		(!node->snapshot_wanted &&
			store_log_bytes(node->store) < atomic_load(&node->snapshot_log_bytes))) {
		return;
	}
	memcpy(meta.uuid, node->uuid, sizeof meta.uuid);
	source.context = state_capture(&node->state);
	node->snapshot_busy = true;
	node->snapshot_wanted = false;
	node->compact_index = choose_compact_index(node);
	store_make_snapshot(node->store, &meta, &source, node->compact_index);
}

/* One that could not be written is no reason to stop: the log still has everything (RS-14). */
void node_snapshot_made(void *owner, const struct raft_snapshot *snapshot, uint64_t bytes)
{
	struct raftreg_node *node = owner;
	struct raft_event event = {.kind = RAFT_SNAPSHOT_MADE};

	node->snapshot_busy = false;
	if (snapshot->index == 0) {
		node->snapshot_retry_ms = node_now_ms(node) + SNAPSHOT_RETRY_MS;
		log_event(LOG_LEVEL_WARN, "raftreg", 2101, "a snapshot could not be written", NULL,
			0);
		return;
	}
	node->snapshot_bytes = bytes;
	event.u.snapshot_made.snapshot = *snapshot;
	event.u.snapshot_made.compact_index = node->compact_index;
	(void)node_step(node, &event);
}

/* RT-08: the leader learns of it by the answer to its next question. */
static void drop_incoming(struct raftreg_node *node)
{
	buf_clear(&node->incoming.file);
	buf_clear(&node->incoming.state);
	node->incoming.staging = false;
	node->incoming.from = 0;
}

/* RM-19: only now may the core see it. */
void node_snapshot_staged(void *owner, uint64_t token, bool ok)
{
	struct raftreg_node *node = owner;
	struct node_incoming *incoming = &node->incoming;
	struct raft_message message = {.kind = RAFT_SNAPSHOT,
		.from = incoming->from,
		.to = node->self.id,
		.term = incoming->term,
		.index = incoming->index,
		.log_term = incoming->log_term,
		.snapshot = &incoming->meta.snapshot};
	struct raft_event event = {.kind = RAFT_RECEIVE, .u.receive = &message};

	if (!incoming->staging || incoming->token != token) {
		return;
	}
	if (ok) {
		(void)node_step(node, &event); /* RM-19: complete, verified, durable */
	}
	drop_incoming(node);
}

/* An empty file tells the peer's transfer that there is nothing to send. */
void node_snapshot_loaded(void *owner, uint64_t token, struct slice file, bool damaged)
{
	struct raftreg_node *node = owner;

	if (damaged) {
		node->snapshot_wanted = true;
		log_event(LOG_LEVEL_ERROR, "raftreg", 2103,
			"a snapshot could not be read and was set aside", NULL, 0);
		node_wake(node);
	}
	peers_loaded(node->peers, token, file);
}

/* Over the control lane: an empty chunk that says how much is here. */
static void answer_offset(
	struct raftreg_node *node, const struct wire_chunk *question, uint64_t offset)
{
	struct wire_chunk answer = *question;
	struct buf bytes;

	answer.from = node->self.id;
	answer.to = question->from;
	answer.offset = offset;
	buf_init(&bytes);
	wire_put_chunk(&answer, &bytes);
	peers_send(node->peers, question->from, PEERS_CONTROL, buf_slice(&bytes));
	buf_fini(&bytes);
}

/* The file of the same leader, term and snapshot goes on where it broke; any other one begins
 * anew. What is not needed any more is whole. One whose file, or whose predecessor's, lies on its
 * way to the disk is answered so too: there is one name for what is staged, and the leader finds
 * out what is here and sends again. */
static void begin_transfer(struct raftreg_node *node, const struct wire_chunk *chunk)
{
	struct node_incoming *incoming = &node->incoming;

	if (chunk->index <= node->state.applied || incoming->staging ||
		incoming->install_seq > node->persisted) {
		answer_offset(node, chunk, chunk->total);
		return;
	}
	if (incoming->from != chunk->from || incoming->term != chunk->term ||
		incoming->index != chunk->index || incoming->log_term != chunk->log_term ||
		incoming->total != chunk->total) {
		drop_incoming(node);
		incoming->from = chunk->from;
		incoming->term = chunk->term;
		incoming->index = chunk->index;
		incoming->log_term = chunk->log_term;
		incoming->total = chunk->total;
	}
	incoming->transfer = chunk->transfer;
	answer_offset(node, chunk, incoming->file.size);
}

/* Every byte is here: checked as a whole before it is written (RM-19). */
static void finish_transfer(struct raftreg_node *node)
{
	struct node_incoming *incoming = &node->incoming;

	if (snapfile_parse(buf_slice(&incoming->file), &incoming->meta, &incoming->state) < 0 ||
		memcmp(incoming->meta.uuid, node->uuid, 16) != 0 ||
		incoming->meta.snapshot.index != incoming->index ||
		incoming->meta.snapshot.term != incoming->log_term) {
		log_event(
			LOG_LEVEL_WARN, "raftreg", 2103, "a received snapshot is damaged", NULL, 0);
		drop_incoming(node);
		return;
	}
	incoming->staging = true;
	incoming->token++;
	store_stage(node->store, incoming->token, &incoming->meta.snapshot, &incoming->file);
}

/* RT-08: chunks of one transfer in order. Memory is bounded by the size of a state. */
void node_snapshot_chunk(struct raftreg_node *node, const struct wire_chunk *chunk)
{
	struct node_incoming *incoming = &node->incoming;

	if (chunk->bytes.size == 0 && peers_snapshot_answered(node->peers, chunk)) {
		return;
	}
	if (chunk->total > node->settings.state_bytes_max * 2 || chunk->term < node->now.term) {
		return;
	}
	if (chunk->bytes.size == 0) {
		begin_transfer(node, chunk);
		return;
	}
	if (incoming->staging || incoming->from != chunk->from ||
		incoming->transfer != chunk->transfer || incoming->term != chunk->term) {
		return; /* late, of another transfer */
	}
	if (incoming->file.size != chunk->offset || incoming->total != chunk->total ||
		chunk->crc != crc32c(0, chunk->bytes.data, chunk->bytes.size)) {
		drop_incoming(node);
		return;
	}
	buf_append_slice(&incoming->file, chunk->bytes);
	if (incoming->file.size == incoming->total) {
		finish_transfer(node);
	}
}

/* Another term, or another life of the one that sent it. What lies on its way to the disk is
 * whole, and the core judges it. */
void node_snapshot_forget(struct raftreg_node *node)
{
	if (!node->incoming.staging) {
		drop_incoming(node);
	}
}

/* Adopts the staged state; what was under way belongs to a log that is gone. */
void node_snapshot_install(struct raftreg_node *node, const struct raft_snapshot *snapshot)
{
	struct node_incoming *incoming = &node->incoming;

	ASSERT(incoming->meta.snapshot.index == snapshot->index);
	state_fini(&node->state);
	state_init(&node->state, node->uuid);
	if (state_load(&node->state, buf_slice(&incoming->state)) < 0 ||
		node->state.applied != snapshot->index) {
		node_stop_role(node, "an installed snapshot cannot be read");
	}
	buf_clear(&incoming->state);
	node->conf = snapshot->conf;
	node->applied_term = snapshot->term;
	node->conf_changed = true;
	node->leading = false;
	fanout_reset(node->fanout);
}
