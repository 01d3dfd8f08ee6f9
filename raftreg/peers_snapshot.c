/*
 * A snapshot on its way to a peer (registry.md RT-08). The background thread reads the file; an
 * empty chunk then asks the peer how much of this very snapshot it holds, so that a transfer that
 * broke goes on where it was; then come the chunks, one each few milliseconds, one at most beside
 * the APPENDs in the queue. How it ended is stepped from a timer or a lost lane, never from inside
 * peers_send_snapshot, for that runs while effects are absorbed.
 */
#include <errno.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "raftreg/peers_internal.h"
#include "upstream/connection.h"

#define SNAPSHOTS_MAX 2	   /* at once */
#define CHUNK_MS      4	   /* 256 KiB each: 64 MiB/s */
#define ANSWER_MIN_MS 2000 /* 2E may be short, and the peer may be opening a large file */

static void on_timer(struct timer *timer);

void peers_snapshot_init(struct peer *peer)
{
	buf_init(&peer->outgoing.file);
	timer_init(&peer->outgoing.timer, on_timer);
}

void peers_snapshot_end(struct peer *peer, bool ok)
{
	struct raft_event event = {.kind = RAFT_SNAPSHOT_DONE,
		.u.snapshot_done = {.peer = peer->replica.id, .ok = ok}};

	if (peer->outgoing.state == OUTGOING_NONE) {
		return;
	}
	peer->outgoing.state = OUTGOING_NONE;
	timer_cancel(&peer->outgoing.timer);
	buf_fini(&peer->outgoing.file);
	buf_init(&peer->outgoing.file);
	if (!peer->peers->closed) {
		(void)node_step(peer->peers->node, &event);
	}
}

/* The bound is on all peers together: they share one disk and one uplink. */
static unsigned count_snapshots(const struct peers *peers)
{
	unsigned count = 0;

	LIST_FOR_EACH(node, &peers->list) {
		count += LIST_ENTRY(node, struct peer, node)->outgoing.state > OUTGOING_FAILED ? 1
											       : 0;
	}
	return count;
}

static void arm(struct peer *peer, uint64_t ms)
{
	struct loop *loop = peer->peers->node->loop;

	timer_arm(loop, &peer->outgoing.timer, loop_now_ms(loop) + ms);
}

void peers_send_snapshot(
	struct peers *peers, uint64_t to, uint64_t term, const struct raft_snapshot *snapshot)
{
	struct peer *peer = peers_find(peers, to);
	struct outgoing *outgoing = peer ? &peer->outgoing : NULL;

	if (!outgoing || (outgoing->state != OUTGOING_NONE && outgoing->term == term)) {
		return;
	}
	if (outgoing->state == OUTGOING_NONE && count_snapshots(peers) >= SNAPSHOTS_MAX) {
		outgoing->state = OUTGOING_FAILED;
		outgoing->term = term;
		arm(peer, CHUNK_MS);
		return;
	}
	buf_clear(&outgoing->file);
	outgoing->state = OUTGOING_LOADING;
	outgoing->token = ++peers->next_token;
	outgoing->term = term;
	outgoing->index = snapshot->index;
	outgoing->log_term = snapshot->term;
	outgoing->offset = 0;
	outgoing->transfer = rng_next(&peers->rng);
	store_load(peers->node->store, outgoing->token, snapshot->index, snapshot->term);
}

/* An empty file fails at the timer, where every other reason to give up is looked at too. */
void peers_loaded(struct peers *peers, uint64_t token, struct slice file)
{
	LIST_FOR_EACH(node, &peers->list) {
		struct peer *peer = LIST_ENTRY(node, struct peer, node);

		if (peer->outgoing.state == OUTGOING_LOADING && peer->outgoing.token == token) {
			buf_append_slice(&peer->outgoing.file, file);
			arm(peer, 0);
		}
	}
}

/* 0, or -EAGAIN: the queue has to empty first (RT-06). */
static int send_chunk(struct peer *peer, struct slice bytes)
{
	const struct outgoing *outgoing = &peer->outgoing;
	const struct raftreg_node *node = peer->peers->node;
	struct lane *lane = &peer->lanes[LANE_BULK];
	const struct wire_chunk chunk = {.from = node->self.id,
		.to = peer->replica.id,
		.tag = wire_tag(node->uuid, node->epoch),
		.term = outgoing->term,
		.index = outgoing->index,
		.log_term = outgoing->log_term,
		.offset = outgoing->offset,
		.total = outgoing->file.size,
		.transfer = outgoing->transfer,
		.crc = crc32c(0, bytes.data, bytes.size),
		.bytes = bytes};
	struct buf message;
	int result;

	if (grpc_call_queued(&lane->call) > 0) {
		return -EAGAIN;
	}
	buf_init(&message);
	wire_put_chunk(&chunk, &message);
	result = peers_lane_send(lane, buf_slice(&message));
	buf_fini(&message);
	return result;
}

/* How much of it is there? The answer is an empty chunk too, over the peer's control lane. */
static void ask_offset(struct peer *peer)
{
	uint64_t wait_ms = 2 * (uint64_t)peer->peers->node->settings.election_ms;

	if (send_chunk(peer, slice_make(NULL, 0)) < 0) {
		arm(peer, CHUNK_MS);
		return;
	}
	peer->outgoing.state = OUTGOING_ASKED;
	arm(peer, wait_ms < ANSWER_MIN_MS ? ANSWER_MIN_MS : wait_ms);
}

static void send_next(struct peer *peer)
{
	struct outgoing *outgoing = &peer->outgoing;
	size_t left = outgoing->file.size - (size_t)outgoing->offset;
	size_t size = left < SNAPFILE_CHUNK ? left : SNAPFILE_CHUNK;

	if (left == 0) {
		peers_snapshot_end(peer, true);
		return;
	}
	if (send_chunk(peer, slice_make(outgoing->file.data + outgoing->offset, size)) == 0) {
		outgoing->offset += size;
	}
	arm(peer, CHUNK_MS);
}

/* The one place where a transfer fails for a reason of this side's. */
static void on_timer(struct timer *timer)
{
	struct peer *peer = container_of(timer, struct peer, outgoing.timer);
	const struct outgoing *outgoing = &peer->outgoing;
	const struct lane *lane = &peer->lanes[LANE_BULK];

	ASSERT(outgoing->state != OUTGOING_NONE);
	if (outgoing->state == OUTGOING_FAILED || outgoing->state == OUTGOING_ASKED ||
		outgoing->file.size == 0 || !lane->open || lane->closing ||
		outgoing->term != peer->peers->node->now.term) {
		peers_snapshot_end(peer, false);
	} else if (outgoing->state == OUTGOING_LOADING) {
		ask_offset(peer);
	} else {
		send_next(peer);
	}
}

bool peers_snapshot_answered(struct peers *peers, const struct wire_chunk *chunk)
{
	struct peer *peer = peers_find(peers, chunk->from);
	struct outgoing *outgoing = peer ? &peer->outgoing : NULL;

	if (!outgoing || outgoing->state != OUTGOING_ASKED ||
		outgoing->transfer != chunk->transfer || chunk->total != outgoing->file.size) {
		return false;
	}
	outgoing->state = OUTGOING_SENDING;
	outgoing->offset = chunk->offset;
	arm(peer, 0);
	return true;
}
