/*
 * What people see of a replica: JSON and metrics (registry.md 13, 14). Reads the state between
 * two turns, on the registry thread, so everything in one answer is of one moment. Works
 * without a quorum and with a stopped role: that is when it is needed most (RO-03).
 */
#include <stdio.h>

#include "base/mem.h"
#include "raftreg/core/status.h"
#include "raftreg/fanout.h"
#include "raftreg/node.h"

/* One form everywhere (brackets around IPv6), since addresses are compared as text
 * (RB-02). */
void node_status_address(const struct state_replica *replica, char ret_text[300])
{
	(void)snprintf(ret_text, 300, strchr(replica->host, ':') ? "[%s]:%u" : "%s:%u",
		replica->host, replica->port);
	ASSERT(ret_text[0] != '\0');
}

/* Names come from other machines: always escaped. */
static void put_text(struct buf *json, const char *key, struct slice text)
{
	buf_appendf(json, "\"%s\":\"", key);
	buf_append_json_escaped(json, text);
	buf_append_string(json, "\"");
}

static void put_uuid(struct buf *json, const uint8_t uuid[16])
{
	for (int i = 0; i < 16; i++) {
		buf_appendf(
			json, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
	}
}

/* By the applied configuration, not by what a replica was started as: the two differ
 * until it is promoted (RB-03). */
static const char *role_of(const struct raft_conf *conf, uint64_t id)
{
	return member_conf_is_voter(conf, id) ? "voter"
	       : member_conf_has(conf, id)    ? "learner"
					      : "candidate";
}

/* Only a leader has progress to show; others show what the configuration says. */
static const struct raft_peer_status *peer_of(const struct raft_status *status, uint64_t id)
{
	for (size_t i = 0; i < status->peer_count; i++) {
		if (status->peers[i].id == id) {
			return &status->peers[i];
		}
	}
	return NULL;
}

/* Match and contact are known to the leader alone; others say what they know of themselves. */
static void put_peer(const struct raftreg_node *node, const struct raft_status *status,
	const struct state_replica *replica, struct buf *json)
{
	const struct raft_peer_status *peer = peer_of(status, replica->id);
	bool self = replica->id == node->self.id;
	bool leads = status->role == RAFT_LEADER;
	uint64_t match = self ? status->durable_index : leads && peer ? peer->match : 0;
	uint64_t now = node_now_ms(node);
	const char *state = replica->id == status->leader ? "leader" : "follower";
	char address[300];

	node_status_address(replica, address);
	if (self) {
		state = atomic_load(&node->role_stopped) ? "stopped" : raft_role_name(status->role);
	} else if (leads && peer) {
		state = raft_progress_state_name(peer->state);
	}
	buf_appendf(json, "{\"id\":\"%016llx\",", (unsigned long long)replica->id);
	put_text(json, "node", slice_from_string(replica->name));
	buf_append_string(json, ",");
	put_text(json, "address", slice_from_string(address));
	buf_appendf(json, ",\"role\":\"%s\",\"state\":\"%s\",\"match\":%llu,\"lag\":%llu",
		role_of(&node->conf, replica->id), state, (unsigned long long)match,
		(unsigned long long)((leads || self) && status->last_index > match
					     ? status->last_index - match
					     : 0));
	if (self) {
		buf_append_string(json, ",\"contact\":\"self\"}");
	} else if (leads && peer && peer->heard_ms > 0) {
		buf_appendf(
			json, ",\"contact\":\"%.1fs\"}", (double)(now - peer->heard_ms) / 1000.0);
	} else {
		buf_append_string(json, ",\"contact\":\"-\"}");
	}
}

static void put_leader(const struct raftreg_node *node, struct buf *json)
{
	const struct state_replica *leader = state_replica(&node->state, node->now.leader);
	char text[400] = "";
	char address[300];

	if (leader) {
		node_status_address(leader, address);
		(void)snprintf(text, sizeof text, "%s (%s)", leader->name, address);
	}
	put_text(json, "leader", slice_from_string(text));
}

/* The keys are those that `pillion raft status` prints; more are for whoever reads JSON. */
void node_status_json(const struct raftreg_node *node, struct buf *ret_json)
{
	struct raft_status *status = mem_alloc(sizeof *status);
	struct store_figures figures;
	bool first = true;

	raft_status_get(node->raft, status);
	store_figures(node->store, &figures);
	buf_append_string(ret_json, "{\"uuid\":\"");
	put_uuid(ret_json, node->uuid);
	buf_appendf(ret_json, "\",\"id\":\"%016llx\",\"epoch\":\"%u\",\"role\":\"%s\",",
		(unsigned long long)node->self.id, (unsigned)(node->epoch >> 32),
		atomic_load(&node->role_stopped) ? "stopped" : raft_role_name(status->role));
	buf_appendf(ret_json, "\"term\":%llu,", (unsigned long long)status->term);
	put_leader(node, ret_json);
	buf_appendf(ret_json,
		",\"commit\":%llu,\"applied\":%llu,\"first_index\":%llu,\"last_index\":%llu,"
		"\"snapshot_index\":%llu,\"uncertain\":%s,\"disk_full\":%s,\"sessions\":%zu,\"log_"
		"bytes\":%llu,"
		"\"syncs\":%llu,\"sync_max_us\":%llu,\"peers\":[",
		(unsigned long long)status->commit_index, (unsigned long long)node->state.applied,
		(unsigned long long)status->first_index, (unsigned long long)status->last_index,
		(unsigned long long)status->snapshot_index, status->uncertain ? "true" : "false",
		node->space.full ? "true" : "false", node->state.sessions.count,
		(unsigned long long)figures.log_bytes, (unsigned long long)figures.syncs,
		(unsigned long long)figures.sync_us_max);
	for (size_t i = 0; i < node->state.replica_count; i++) {
		buf_append_string(ret_json, first ? "" : ",");
		put_peer(node, status, &node->state.replicas[i], ret_json);
		first = false;
	}
	for (size_t i = 0; i < node->candidate_count; i++) {
		if (!state_replica(&node->state, node->candidates[i].replica.id)) {
			buf_append_string(ret_json, first ? "" : ",");
			put_peer(node, status, &node->candidates[i].replica, ret_json);
			first = false;
		}
	}
	buf_append_string(ret_json, "]}");
	mem_free(status);
}

/* By address: sessions and replicas are told apart in the protocol, but share it on one
 * sidecar. */
static const char *member_role(const struct raftreg_node *node, const struct state_session *session)
{
	char host[256];

	(void)snprintf(host, sizeof host, "%.*s", (int)session->host.size,
		(const char *)session->host.data);
	for (size_t i = 0; i < node->state.replica_count; i++) {
		const struct state_replica *replica = &node->state.replicas[i];

		if (replica->port == session->port && strcmp(replica->host, host) == 0) {
			return role_of(&node->conf, replica->id);
		}
	}
	return "client";
}

/* Every session is a sidecar, with or without instances (registry.md 13). */
void node_status_members(const struct raftreg_node *node, struct buf *ret_json)
{
	uint64_t now = node_now_ms(node);
	bool first = true;

	buf_append_string(ret_json, "{\"items\":[");
	MAP_FOR_EACH(entry, &node->state.sessions)
	{
		const struct state_session *session = entry->value;

		buf_append_string(ret_json, first ? "{" : ",{");
		first = false;
		put_text(ret_json, "node", session->identity);
		buf_append_string(ret_json, ",\"address\":\"");
		buf_append_json_escaped(ret_json, session->host);
		buf_appendf(ret_json, ":%u\",\"role\":\"%s\",\"state\":\"%s\",\"session\":\"",
			session->port, member_role(node, session),
			session->suspect ? "suspect" : "active");
		for (int i = 0; i < 16; i++) {
			buf_appendf(ret_json, "%02x", session->id[i]);
		}
		buf_appendf(ret_json, "\",\"instances\":%u,", session->member_count);
		put_text(ret_json, "version", session->version);
		if (session->seen_ms > 0 && node->leading) {
			buf_appendf(ret_json, ",\"seen\":\"%.1fs\"}",
				(double)(now - session->seen_ms) / 1000.0);
		} else {
			buf_append_string(ret_json, ",\"seen\":\"-\"}");
		}
	}
	buf_appendf(ret_json, "],\"index\":%llu}", (unsigned long long)node->state.applied);
}

/* What a metric counts (registry.md 14); a name that says it itself stands for its own help. */
static const char *metric_help(const char *name)
{
	static const struct {
		const char *name, *help;
	} helps[] = {
		{"term", "Current term."},
		{"role", "0 follower, 1 and 2 candidate, 3 leader."},
		{"leader_changes_total", "Leaders seen, one after the other."},
		{"commit_index", "Last index known to be committed."},
		{"applied_index", "Last index applied to the state."},
		{"log_bytes", "Bytes of the log on disk."},
		{"snapshot_bytes", "Bytes of the last snapshot."},
		{"uncertain", "1: this replica has to catch up before it may vote."},
		{"sessions", "Sessions of sidecars."},
		{"suspects", "Sessions that were not renewed in time."},
		{"tail_cut_total", "Unfinished tails of the log that were cut at a start."},
		{"corrupt_total", "Records of the log that were damaged."},
		{"fsync_total", "Syncs of the log."},
		{"fsync_seconds_total", "Time spent in them."},
		{"batch_entries_total", "Batches written."},
		{"commands_total", "Commands proposed."},
		{"read_rounds_total", "Rounds that confirmed a read."},
		{"renewals_total", "Renewals of sessions."},
		{"expired_total", "Sessions that expired."},
		{"peer_failures_total", "Connections to other replicas that failed (RT-06)."},
		{"subscribers", "Streams that follow the state."},
		{"role_stopped", "1: the replica stopped for good, see the log."},
	};

	for (size_t i = 0; i < ARRAY_SIZE(helps); i++) {
		if (strcmp(helps[i].name, name) == 0) {
			return helps[i].help;
		}
	}
	return name;
}

/* Fifteen digits: a counter stays exact as far as any will count. */
static void put_metric(struct buf *text, const char *name, const char *kind, double value)
{
	buf_appendf(text, "# HELP pillion_raft_%s %s\n", name, metric_help(name));
	buf_appendf(text, "# TYPE pillion_raft_%s %s\npillion_raft_%s %.15g\n", name, kind, name,
		value);
}

/* Counters since the start of this process; gauges of this moment (RO-01). */
void node_status_metrics(const struct raftreg_node *node, struct buf *ret_text)
{
	struct raft_status *status = mem_alloc(sizeof *status);
	struct store_figures figures;
	size_t suspects = 0;

	raft_status_get(node->raft, status);
	store_figures(node->store, &figures);
	MAP_FOR_EACH(entry, &node->state.sessions)
	{
		suspects += ((const struct state_session *)entry->value)->suspect ? 1 : 0;
	}
	put_metric(ret_text, "term", "gauge", (double)status->term);
	put_metric(ret_text, "role", "gauge", (double)status->role);
	put_metric(ret_text, "leader_changes_total", "counter",
		(double)atomic_load(&node->leader_changes));
	put_metric(ret_text, "commit_index", "gauge", (double)status->commit_index);
	put_metric(ret_text, "applied_index", "gauge", (double)node->state.applied);
	put_metric(ret_text, "log_bytes", "gauge", (double)figures.log_bytes);
	put_metric(ret_text, "snapshot_bytes", "gauge", (double)node->snapshot_bytes);
	put_metric(ret_text, "uncertain", "gauge", status->uncertain ? 1 : 0);
	put_metric(ret_text, "sessions", "gauge", (double)node->state.sessions.count);
	put_metric(ret_text, "suspects", "gauge", (double)suspects);
	put_metric(ret_text, "tail_cut_total", "counter", (double)figures.tail_cuts);
	put_metric(ret_text, "corrupt_total", "counter", (double)figures.corruptions);
	put_metric(ret_text, "fsync_total", "counter", (double)figures.syncs);
	put_metric(ret_text, "fsync_seconds_total", "counter", (double)figures.sync_us_total / 1e6);
	put_metric(ret_text, "batch_entries_total", "counter", (double)figures.batches);
	put_metric(ret_text, "commands_total", "counter", (double)atomic_load(&node->proposals));
	put_metric(ret_text, "read_rounds_total", "counter", (double)atomic_load(&node->reads));
	put_metric(ret_text, "renewals_total", "counter", (double)atomic_load(&node->renewals));
	put_metric(ret_text, "expired_total", "counter", (double)atomic_load(&node->expired));
	put_metric(ret_text, "peer_failures_total", "counter",
		(double)atomic_load(&node->peer_failures));
	put_metric(ret_text, "subscribers", "gauge", (double)fanout_count(node->fanout));
	put_metric(ret_text, "role_stopped", "gauge", atomic_load(&node->role_stopped) ? 1 : 0);
	mem_free(status);
}
