/* Snapshots: who is too far behind gets the state instead of the log; dissertation 5; RM-19. */
#include "raftreg/core/internal.h"

#define U(x) ((unsigned long long)(x))

/* Only the description goes here; the driver streams its file beside (RT-08). */
bool snapshot_send(struct raft *raft, uint64_t to)
{
	ASSERT(raft->role == RAFT_LEADER);
	/* The log is cut only below a snapshot, so there is one when something is missing. */
	ASSERT(raft->snapshot.index >= raft->log.before_index);
	if (raft->snapshot.index == 0) {
		return false;
	}
	trace_line(raft, "snapshot %llu to %llu", U(raft->snapshot.index), U(to));
	raft_send(raft, (struct raft_message){.kind = RAFT_SNAPSHOT,
				.to = to,
				.index = raft->snapshot.index,
				.log_term = raft->snapshot.term});
	return true;
}

/* Log, configuration, commit and applied are replaced at once; what was said of the old log is void
 * (RC-06), for its entries are no longer at their indexes. */
static void install(struct raft *raft, const struct raft_snapshot *snapshot)
{
	ASSERT(snapshot->index > raft->commit);
	ASSERT(snapshot->term <= raft->hard.term);
	trace_line(raft, "install snapshot %llu term %llu", U(snapshot->index), U(snapshot->term));
	raft->snapshot = *snapshot;
	raft_log_reset(&raft->log, snapshot->index, snapshot->term);
	raft->uncommitted_bytes = 0;
	raft->commit = snapshot->index;
	raft->applied = snapshot->index;
	raft->apply_given = snapshot->index;
	raft->out.install = true;
	raft->out.truncate_from = 0;
	raft->out.append_from = 0;
	member_switch(raft, &snapshot->conf);
}

/* A snapshot that does not name us is installed too. It is older than the change that admitted us,
 * and if the leader needs us for a quorum it can commit nothing, so no newer one will ever be made:
 * to wait for one (as etcd does, whose leader makes a fresh one for each peer) would be for ever.
 */
static bool is_installable(struct raft *raft, const struct raft_snapshot *snapshot)
{
	ASSERT(snapshot != NULL);
	if (snapshot->index <= raft->commit) {
		return false;
	}
	if (raft_log_matches(&raft->log, snapshot->index, snapshot->term)) {
		/* Nothing new but that it is committed: the log is kept. */
		raft_commit_to(raft, snapshot->index);
		return false;
	}
	ASSERT(member_conf_is_valid(&snapshot->conf));
	return true;
}

/* RM-19. Comes only when the file is complete, verified and durable, so only its adoption is left.
 */
void snapshot_on_message(struct raft *raft, const struct raft_message *message)
{
	ASSERT(message->term == raft->hard.term);
	ASSERT(message->snapshot != NULL);
	election_heard(raft, message->from);
	if (is_installable(raft, message->snapshot)) {
		install(raft, message->snapshot);
	}
	raft_send(raft,
		(struct raft_message){
			.kind = RAFT_APPEND_RESP, .to = message->from, .index = raft->commit});
}

/* Our own, written in the background while entries were applied further. */
void snapshot_on_made(struct raft *raft, const struct raft_snapshot_made *made)
{
	const struct raft_snapshot *snapshot = &made->snapshot;

	ASSERT(made->compact_index <= snapshot->index);
	ASSERT(snapshot->index <= raft->applied);
	/* One that an installed snapshot overtook while it was being written. */
	if (snapshot->index <= raft->snapshot.index) {
		return;
	}
	ASSERT(raft_log_matches(&raft->log, snapshot->index, snapshot->term));
	ASSERT(member_conf_is_valid(&snapshot->conf));
	raft->snapshot = *snapshot;
	raft_log_compact(&raft->log, made->compact_index);
	trace_line(raft, "made snapshot %llu, log after %llu", U(snapshot->index),
		U(raft->log.before_index));
}

/* RM-19: the transport says how it ended, which is not yet what the peer has. */
void snapshot_on_done(struct raft *raft, uint64_t id, bool ok)
{
	struct raft_progress *peer = progress_find(raft, id);

	ASSERT(id != 0);
	if (raft->role != RAFT_LEADER || peer == NULL || peer->state != RAFT_SNAPSHOTTING) {
		return;
	}
	if (!ok) {
		peer->pending = 0;
	}
	progress_become_probe(peer);
	/* Whether it worked is the peer's to say: APPEND_RESP or HEARTBEAT_RESP goes on. */
	peer->paused = true;
	ASSERT(peer->next > peer->match);
}
