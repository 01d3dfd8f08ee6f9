/* What the leader knows of each peer: the table of RM-09 and its transitions. */
#include <stdlib.h>
#include <string.h>

#include "raftreg/core/internal.h"

const char *raft_progress_state_name(enum raft_progress_state state)
{
	switch (state) {
	case RAFT_PROBE:
		return "probe";
	case RAFT_REPLICATE:
		return "replicate";
	case RAFT_SNAPSHOTTING:
		return "snapshot";
	}
	return "?";
}

struct raft_progress *progress_find(struct raft *raft, uint64_t id)
{
	ASSERT(raft->peer_count <= RAFT_PEERS_MAX);
	ASSERT(raft->options.id != 0);
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		if (raft->peers[i].id == id) {
			ASSERT(id != 0);
			return &raft->peers[i];
		}
	}
	return NULL;
}

void progress_clear(struct raft *raft)
{
	ASSERT(raft->peer_count <= RAFT_PEERS_MAX);
	ASSERT(raft->options.id != 0);
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		free(raft->peers[i].inflight);
	}
	memset(raft->peers, 0, sizeof(raft->peers));
	raft->peer_count = 0;
}

/* RM-23: called whenever the configuration changes, on every replica. */
void progress_rebuild(struct raft *raft)
{
	struct raft_progress old[RAFT_PEERS_MAX];
	struct raft_ids ids;
	uint32_t kept = 0, old_count = raft->peer_count;

	member_conf_all(&raft->conf, &ids);
	ASSERT(ids.count <= RAFT_PEERS_MAX);
	memcpy(old, raft->peers, sizeof(old));
	memset(raft->peers, 0, sizeof(raft->peers));
	/* Both lists ascend, so one walk matches them. */
	for (uint32_t i = 0; i < ids.count; i++) {
		struct raft_progress *peer = &raft->peers[i];

		while (kept < old_count && old[kept].id < ids.ids[i]) {
			free(old[kept++].inflight);
		}
		if (kept < old_count && old[kept].id == ids.ids[i]) {
			*peer = old[kept++];
			continue;
		}
		/* RM-23: a new peer counts as recently active, so that the next check of the quorum
		 * does not fail for want of answers that it could not give yet. */
		peer->id = ids.ids[i];
		peer->state = RAFT_PROBE;
		peer->next = check_max(raft_log_last(&raft->log), 1);
		peer->active = true;
		peer->steady_ms = raft->now_ms;
	}
	while (kept < old_count) {
		free(old[kept++].inflight);
	}
	raft->peer_count = ids.count;
	ASSERT(raft->peer_count == 0 || raft->peers[0].id != 0);
}

void progress_reset_all(struct raft *raft)
{
	ASSERT(raft->peer_count <= RAFT_PEERS_MAX);
	ASSERT(raft->options.id != 0);
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		struct raft_inflight *inflight = raft->peers[i].inflight;
		uint64_t id = raft->peers[i].id;

		ASSERT(id != 0);
		raft->peers[i] = (struct raft_progress){.id = id,
			.state = RAFT_PROBE,
			.next = raft_log_last(&raft->log) + 1,
			.steady_ms = raft->now_ms,
			.inflight = inflight};
	}
}

/* RM-09: entering a state clears pause, window and pending snapshot. */
static void enter(struct raft_progress *peer, enum raft_progress_state state)
{
	ASSERT(peer->id != 0);
	ASSERT(peer->next > peer->match);
	peer->state = state;
	peer->paused = false;
	peer->pending = 0;
	peer->inflight_start = 0;
	peer->inflight_count = 0;
	peer->inflight_bytes = 0;
}

void progress_become_probe(struct raft_progress *peer)
{
	/* After a snapshot the peer has at least that, if the transfer went well; if not, one
	 * rejection brings the truth. */
	uint64_t known = check_max(peer->match, peer->pending);

	ASSERT(peer->state == RAFT_SNAPSHOTTING || peer->pending == 0);
	enter(peer, RAFT_PROBE);
	peer->next = known + 1;
	peer->sent_commit = check_min(peer->sent_commit, peer->next - 1);
	ASSERT(peer->next > peer->match);
}

/* The peer is known to have match: from there on entries are sent without waiting for answers. */
void progress_become_replicate(struct raft_progress *peer)
{
	enter(peer, RAFT_REPLICATE);
	peer->next = peer->match + 1;
	ASSERT(peer->inflight_count == 0);
	ASSERT(peer->next == peer->match + 1);
}

void progress_become_snapshot(struct raft_progress *peer, uint64_t index)
{
	ASSERT(index > 0);
	enter(peer, RAFT_SNAPSHOTTING);
	peer->pending = index;
	peer->next = index + 1;
	peer->sent_commit = index;
	ASSERT(peer->next > peer->match);
}

bool progress_is_paused(const struct raft_progress *peer)
{
	ASSERT(peer->id != 0);
	ASSERT(peer->next > peer->match);
	switch (peer->state) {
	case RAFT_PROBE:
	case RAFT_REPLICATE:
		return peer->paused;
	case RAFT_SNAPSHOTTING:
		return true;
	}
	return true;
}

/* One APPEND may pass the limit of bytes, or an entry larger than it could never be sent. */
bool progress_is_full(const struct raft *raft, const struct raft_progress *peer)
{
	ASSERT(peer->inflight_count <= raft->options.inflight_messages_max);
	ASSERT(raft->options.inflight_messages_max > 0);
	return peer->inflight_count == raft->options.inflight_messages_max ||
	       peer->inflight_bytes >= raft->options.inflight_bytes_max;
}

static void add_inflight(struct raft *raft, struct raft_progress *peer, uint64_t bytes)
{
	uint32_t capacity = raft->options.inflight_messages_max;

	ASSERT(peer->inflight_count < capacity);
	if (peer->inflight == NULL) {
		size_t room = 0;

		peer->inflight = trace_grow(NULL, &room, capacity, sizeof(*peer->inflight));
	}
	uint32_t place = (peer->inflight_start + peer->inflight_count) % capacity;

	peer->inflight[place] = (struct raft_inflight){.index = peer->next - 1, .bytes = bytes};
	peer->inflight_count++;
	peer->inflight_bytes += bytes;
	ASSERT(peer->inflight_start < capacity);
}

void progress_sent(struct raft *raft, struct raft_progress *peer, size_t count, uint64_t bytes)
{
	ASSERT(!progress_is_paused(peer));
	ASSERT(count <= RAFT_APPEND_ENTRIES_MAX);
	switch (peer->state) {
	case RAFT_PROBE:
		/* One at a time; empty ones prove nothing and do not pause. */
		peer->paused = count > 0;
		break;
	case RAFT_REPLICATE:
		if (count > 0) {
			peer->next += count;
			add_inflight(raft, peer, bytes);
		}
		peer->paused = progress_is_full(raft, peer);
		break;
	case RAFT_SNAPSHOTTING:
		break;
	}
	peer->sent_commit = check_max(peer->sent_commit, raft->commit);
}

void progress_free_inflight(const struct raft *raft, struct raft_progress *peer, uint64_t index)
{
	ASSERT(peer->inflight_count == 0 || peer->inflight != NULL);
	while (peer->inflight_count > 0 && peer->inflight[peer->inflight_start].index <= index) {
		ASSERT(peer->inflight_bytes >= peer->inflight[peer->inflight_start].bytes);
		peer->inflight_bytes -= peer->inflight[peer->inflight_start].bytes;
		peer->inflight_start =
			(peer->inflight_start + 1) % raft->options.inflight_messages_max;
		peer->inflight_count--;
	}
}

/* Match only rises: what a peer once acknowledged it has (but see RM-15). */
bool progress_accept(struct raft_progress *peer, uint64_t index)
{
	ASSERT(peer->next > peer->match);
	if (index <= peer->match) {
		return false;
	}
	peer->match = index;
	peer->next = check_max(peer->next, index + 1);
	peer->paused = false;
	ASSERT(peer->next > peer->match);
	return true;
}

/* RM-12. A late or doubled rejection must not set the peer back. */
bool progress_reject(struct raft_progress *peer, uint64_t rejected, uint64_t base)
{
	ASSERT(peer->next > peer->match);
	if (peer->state == RAFT_REPLICATE) {
		if (rejected <= peer->match) {
			return false;
		}
		peer->next = peer->match + 1;
	} else {
		/* Only the answer to the last probe says something new. */
		if (rejected != peer->next - 1) {
			return false;
		}
		peer->next = check_max(check_min(rejected, base + 1), peer->match + 1);
		peer->paused = false;
	}
	peer->sent_commit = check_min(peer->sent_commit, peer->next - 1);
	ASSERT(peer->next > peer->match);
	return true;
}

size_t progress_reports(const struct raft *raft, bool reads, struct quorum_report *ret_reports)
{
	ASSERT(ret_reports != NULL);
	ASSERT(raft->peer_count <= RAFT_PEERS_MAX);
	for (uint32_t i = 0; i < raft->peer_count; i++) {
		const struct raft_progress *peer = &raft->peers[i];

		ret_reports[i] = (struct quorum_report){.id = peer->id,
			.index = reads ? peer->read_ack : peer->match,
			.ballot = peer->ballot};
	}
	return raft->peer_count;
}
