/*
 * The driver of the core (RC-04). Each raft_step is absorbed at once: effects are lent only
 * until the next one, hence nothing that absorb() calls may step again. What needs a step of
 * its own (proposals, reads, applying) is done by the turn task, after the mails of the turn
 * and before the timers (RR-03). One thread, no lock; the disk answers by mail.
 */
#include "raftreg/node.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "raftreg/core/status.h"
#include "raftreg/fanout.h"
#include "raftreg/lease.h"
#include "raftreg/node_trace.h"
#include "raftreg/peers.h"

#define GOODBYE_MS	 150
#define SPARE_RETRY_MS	 1000
#define FULL_HANDOVER_MS 10000

uint64_t node_now_ms(const struct raftreg_node *node)
{
	ASSERT(node->loop);
	return clock_boottime_ms();
}

struct gate *node_gate(const struct raftreg_node *node)
{
	return node->gate;
}

void node_wake(struct raftreg_node *node)
{
	loop_queue(node->loop, &node->turn);
}

/* Leading is not enough to answer: see node->leading, which waits for an own-term
 * entry (RN-07). */
bool node_is_leader(const struct raftreg_node *node)
{
	return node->now.role == RAFT_LEADER && !atomic_load(&node->role_stopped);
}

/* A leader that is heard has a quorum, or it steps down within E (RM-07); more is not known
 * here. */
bool node_has_quorum(const struct raftreg_node *node)
{
	return node->now.leader != 0 && !atomic_load(&node->role_stopped);
}

struct change_mail {
	struct mail mail;
	void (*on_change)(void *owner); /* copied: the node may be gone when it arrives */
	void *owner;
};

static void deliver_change(struct mail *mail)
{
	struct change_mail *change = container_of(mail, struct change_mail, mail);

	change->on_change(change->owner);
	mem_free(change);
}

/* RR-02: control reads the facts by atomics; the mail only says that they changed. */
static void tell_control(struct raftreg_node *node)
{
	struct change_mail *change;

	if (!node->control_loop || !node->on_change) {
		return;
	}
	change = mem_zalloc(sizeof *change);
	change->mail.deliver = deliver_change;
	change->on_change = node->on_change;
	change->owner = node->owner;
	(void)mailbox_post(loop_mailbox(node->control_loop), &change->mail);
}

static void free_held(struct node_held *held)
{
	list_unlink(&held->node);
	buf_fini(&held->bytes);
	mem_free(held);
}

static void drop_held(struct raftreg_node *node)
{
	LIST_FOR_EACH_SAFE(place, &node->held) {
		free_held(LIST_ENTRY(place, struct node_held, node));
	}
}

/* RS-16. The process goes on: its data plane needs no registry, and a restart reads the disk. */
void node_stop_role(struct raftreg_node *node, const char *reason)
{
	if (atomic_exchange(&node->role_stopped, true)) {
		return;
	}
	(void)pthread_mutex_lock(&node->reason_lock);
	(void)snprintf(node->reason, sizeof node->reason, "%s", reason);
	(void)pthread_mutex_unlock(&node->reason_lock);
	log_event(LOG_LEVEL_ERROR, "raftreg", 3006, "the role in the registry stopped",
		(struct log_field[]){LOG_TEXT("error.message", reason)}, 1);
	/* RS-16: no further message, vote or answer; the process lives on. */
	drop_held(node);
	timer_cancel(&node->deadline);
	node->now.role = RAFT_FOLLOWER;
	node->now.leader = 0;
	node->leading = false;
	atomic_store(&node->leader_known, false);
	atomic_store(&node->is_leader, false);
	node_request_lost(node);
	fanout_close_all(node->fanout, "role stopped");
	tell_control(node);
}

/* The entries' payloads are shared with the core's log, not copied. */
static void submit(struct raftreg_node *node, const struct raft_effects *effects)
{
	struct store_batch *batch = store_batch_create(effects->append, effects->append_count);

	batch->seq = effects->persist_seq;
	batch->hard_changed = effects->hard_changed;
	batch->hard = effects->hard;
	batch->install = effects->install != NULL;
	if (effects->install) {
		batch->snapshot = *effects->install;
	}
	batch->truncate_from = effects->truncate_from;
	batch->truncate_term = effects->term;
	batch->commit = effects->commit_index;
	store_submit(node->store, batch);
}

/* RC-05: what must not leave before a sync is held as bytes; everything else leaves now. */
static void send_message(struct raftreg_node *node, const struct raft_message *message)
{
	enum peers_way way = message->kind == RAFT_APPEND      ? PEERS_BULK
			     : message->kind == RAFT_HEARTBEAT ? PEERS_HEARTBEAT
							       : PEERS_CONTROL;
	struct node_held *held;
	struct buf bytes;

	if (message->kind == RAFT_SNAPSHOT) {
		peers_send_snapshot(node->peers, message->to, message->term, message->snapshot);
		return;
	}
	buf_init(&bytes);
	wire_put_message(message, wire_tag(node->uuid, node->epoch), &bytes);
	if (message->after <= node->persisted) {
		peers_send(node->peers, message->to, way, buf_slice(&bytes));
		buf_fini(&bytes);
		return;
	}
	held = mem_zalloc(sizeof *held);
	list_init(&held->node);
	held->after = message->after;
	held->to = message->to;
	held->way = (int)way;
	held->bytes = bytes;
	list_push_back(&node->held, &held->node);
}

/* In the order in which the core produced them. */
static void release_held(struct raftreg_node *node)
{
	LIST_FOR_EACH_SAFE(place, &node->held) {
		struct node_held *held = LIST_ENTRY(place, struct node_held, node);

		if (held->after <= node->persisted) {
			peers_send(node->peers, held->to, (enum peers_way)held->way,
				buf_slice(&held->bytes));
			free_held(held);
		}
	}
}

/* Control is told; requests whose outcome went with the leadership are answered. */
static void role_changed(struct raftreg_node *node, const struct raft_effects *effects)
{
	bool was_leader = node->now.role == RAFT_LEADER;

	if (effects->leader != node->now.leader) {
		atomic_fetch_add(&node->leader_changes, effects->leader != 0 ? 1 : 0);
		node_request_relay_lost(node);
	}
	log_event(LOG_LEVEL_INFO, "raftreg", effects->leader ? 0 : 3001,
		effects->role == RAFT_LEADER ? "this replica leads the registry"
		: effects->leader	     ? "the registry has a leader"
					     : "the registry has no leader at the moment",
		(struct log_field[]){LOG_NUMBER("pillion.term", effects->term),
			LOG_TEXT("pillion.role", raft_role_name(effects->role))},
		2);
	node->now.role = effects->role;
	node->now.leader = effects->leader;
	atomic_store(&node->leader_known, effects->leader != 0);
	atomic_store(&node->is_leader, effects->role == RAFT_LEADER);
	if (was_leader && effects->role != RAFT_LEADER) {
		node->leading = false;
		node_request_lost(node);
	}
	tell_control(node);
	node_wake(node);
}

/* The core's time is CLOCK_BOOTTIME, the loop's is not: only the distance is carried over. */
static void arm_deadline(struct raftreg_node *node, uint64_t deadline_ms)
{
	uint64_t now = node_now_ms(node);
	uint64_t left = deadline_ms > now ? deadline_ms - now : 0;

	if (deadline_ms == UINT64_MAX) {
		timer_cancel(&node->deadline);
	} else {
		timer_arm(node->loop, &node->deadline, loop_now_ms(node->loop) + left);
	}
}

/* RC-04. Nothing here steps the core again: effects are lent until then. */
static void absorb(struct raftreg_node *node, const struct raft_effects *effects)
{
	if (effects->install) {
		node->incoming.install_seq = effects->persist_seq;
		node_snapshot_install(node, effects->install);
	}
	if (effects->persist_seq > 0) {
		submit(node, effects);
	}
	for (size_t i = 0; i < effects->message_count; i++) {
		send_message(node, &effects->messages[i]);
	}
	for (size_t i = 0; i < effects->read_count; i++) {
		node_request_read(node, effects->reads[i].cookie, effects->reads[i].failed);
	}
	if (effects->role != node->now.role || effects->leader != node->now.leader) {
		role_changed(node, effects);
	}
	if (effects->term != node->now.term && effects->term != node->incoming.term) {
		node_snapshot_forget(node);
	}
	node->now = *effects;
	arm_deadline(node, effects->deadline_ms);
	if (effects->apply_index > node->state.applied) {
		node_wake(node);
	}
}

/* RC-04: the only place that steps the core, so that no effect is ever missed. A
 * refusal has changed nothing (RC-08), but its effects still carry the next
 * deadline. */
enum raft_refusal node_step(struct raftreg_node *node, struct raft_event *event)
{
	struct raft_effects effects;
	enum raft_refusal refusal;

	if (atomic_load(&node->role_stopped)) {
		return RAFT_NOT_MEMBER;
	}
	event->now_ms = node_now_ms(node);
	refusal = raft_step(node->raft, event, &effects);
	node_trace_add(node->trace, event->now_ms, raft_trace(node->raft));
	absorb(node, &effects);
	return refusal;
}

struct apply {
	struct raftreg_node *node;
	uint64_t index, term;
};

/* Commands of one entry are numbered in order; the requests wait in that order too. */
static void on_result(void *owner, size_t ordinal, const struct state_result *result)
{
	struct apply *apply = owner;

	node_request_applied(apply->node, apply->index, apply->term, ordinal, result);
}

/* Takes effect when applied (RM-20), in the same order on every replica, so no truncation can
 * bring an older configuration back. */
static void apply_conf(struct raftreg_node *node, const struct raft_entry *entry)
{
	struct raft_change change;
	enum raft_change_error error = RAFT_CHANGE_UNKNOWN;

	if (member_change_decode(entry->payload, &change)) {
		error = member_conf_change(&node->conf, &change, &node->conf);
	}
	if (error != RAFT_CHANGE_OK) {
		return; /* RM-22: a deterministic no-op */
	}
	state_apply_replicas(
		&node->state, slice_make(change.records, change.records_length), &node->conf);
	node->conf_changed = true;
	log_event(LOG_LEVEL_INFO, "raftreg", 0, "membership changed",
		(struct log_field[]){LOG_NUMBER("pillion.voters", node->conf.voters.count),
			LOG_NUMBER("pillion.learners", node->conf.learners.count)},
		2);
}

/* Empty entries only move the index; nothing reads them but the lease (RN-07). */
static bool apply_entry(struct raftreg_node *node, const struct raft_entry *entry)
{
	struct apply apply = {node, entry->index, entry->term};
	int result = 0;

	ASSERT(entry->index == node->state.applied + 1);
	if (entry->kind == RAFT_ENTRY_DATA && entry->payload) {
		result = state_apply(&node->state, entry->index,
			slice_make(entry->payload->bytes, entry->payload->length), on_result,
			&apply);
	} else {
		node->state.applied = entry->index;
		if (entry->kind == RAFT_ENTRY_CONF) {
			apply_conf(node, entry);
		}
	}
	node->applied_term = entry->term;
	if (result < 0) {
		node_stop_role(node, "the log holds a command that this version does not know");
		return false;
	}
	return true;
}

/* Bounded a turn, so that heartbeats go out between (NODE_APPLY_MAX). */
static void apply_committed(struct raftreg_node *node)
{
	struct raft_event event = {.kind = RAFT_APPLIED};
	uint64_t before = node->state.applied;
	uint64_t until = node->now.apply_index;

	until = until > before + NODE_APPLY_MAX ? before + NODE_APPLY_MAX : until;
	while (node->state.applied < until) {
		const struct raft_entry *entry = raft_entry_at(node->raft, node->state.applied + 1);

		ASSERT(entry);
		if (!apply_entry(node, entry)) {
			return;
		}
	}
	if (node->state.applied == before) {
		return;
	}
	/* RN-07: once its own empty entry is applied the leader's leases count. */
	if (node_is_leader(node) && !node->leading && node->applied_term == node->now.term) {
		node->leading = true;
		lease_begin(node);
	}
	event.u.applied.index = node->state.applied;
	(void)node_step(node, &event);
	if (node->now.apply_index > node->state.applied) {
		node_wake(node);
	}
}

/* RR-03: what came by mail was stepped already; propose, apply, publish, then timers. */
static void run_turn(struct task *task)
{
	struct raftreg_node *node = container_of(task, struct raftreg_node, turn);

	if (atomic_load(&node->role_stopped)) {
		return;
	}
	if (node->has_cluster) {
		node_request_turn(node);
		apply_committed(node);
		fanout_publish(node->fanout);
		if (node->state.untold) { /* a replica that was far behind */
			node->state.untold = false;
			fanout_reset(node->fanout);
		}
		node_snapshot_turn(node);
	}
	if (node->conf_changed || node->known_changed) {
		node->conf_changed = node->known_changed = false;
		node_member_update_peers(node);
	}
}

/* An early or late one is harmless (RC-02). */
static void on_deadline(struct timer *timer)
{
	struct raftreg_node *node = container_of(timer, struct raftreg_node, deadline);
	struct raft_event event = {.kind = RAFT_DEADLINE};

	(void)node_step(node, &event);
}

/* RB-05. The core gives a transfer up after E; the next tick then chooses again. */
static void tick_leave(struct raftreg_node *node, uint64_t now_ms)
{
	bool leads = node_is_leader(node) && node->conf.voters.count > 1;

	if (leads && now_ms < node->leave.until_ms) {
		node_member_hand_over(node);
		return;
	}
	node->leave.until_ms = 0;
	if (now_ms < node->leave.goodbye_ms) {
		return;
	}
	if (node->leave.goodbye_ms != 0) {
		node->leave.goodbye_ms = 0;
		fanout_close_all(node->fanout, "this replica stops");
	}
	atomic_store(&node->leaves_done, node->leave.taken);
}

/* Leadership goes to a voter that may have space. It may come back, when all are full; then it is
 * not passed round without a pause. */
static void tick_space(struct raftreg_node *node, uint64_t now_ms)
{
	if (!node->space.full) {
		return;
	}
	if (now_ms >= node->space.retry_ms) {
		node->space.retry_ms = now_ms + SPARE_RETRY_MS;
		store_prepare_spare(node->store);
	}
	if (!node_is_leader(node)) {
		if (node->space.handing_over) {
			node->space.handing_over = false;
			node->space.handover_ms = now_ms + FULL_HANDOVER_MS;
		}
	} else if (node->conf.voters.count > 1 && now_ms >= node->space.handover_ms) {
		node->space.handing_over = true;
		node_member_hand_over(node);
	}
}

/* Leases before requests: whoever renewed in this turn was already heard. */
static void on_tick(struct timer *timer)
{
	struct raftreg_node *node = container_of(timer, struct raftreg_node, tick);
	uint64_t now = node_now_ms(node);

	if (!atomic_load(&node->role_stopped)) {
		lease_tick(node, now);
		node_request_tick(node, now);
		node_member_tick(node, now);
		fanout_tick(node->fanout, now);
		peers_tick(node->peers, loop_now_ms(node->loop));
		tick_space(node, now);
		node_wake(node);
	}
	tick_leave(node, now);
	node->tick_due_ms = now + NODE_TICK_MS;
	timer_arm(node->loop, timer, loop_now_ms(node->loop) + NODE_TICK_MS);
}

/* RC-04 (3), then (4): messages leave before the core hears of it. */
static void on_persisted(void *owner, uint64_t seq)
{
	struct raftreg_node *node = owner;
	struct raft_event event = {.kind = RAFT_PERSISTED, .u.persisted = {.seq = seq}};

	if (atomic_load(&node->role_stopped)) {
		return;
	}
	ASSERT(seq > node->persisted);
	node->persisted = seq;
	release_held(node);
	(void)node_step(node, &event);
}

/* RS-14. What is left of the current segment is for votes, truncations and what is under way. */
static void on_space(void *owner, bool full)
{
	struct raftreg_node *node = owner;

	node->space.full = full;
	node->space.retry_ms = node_now_ms(node) + SPARE_RETRY_MS;
	log_event(full ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "raftreg", full ? 2101 : 0,
		full ? "no space for the next segment of the log: nothing is accepted"
		     : "there is space for the log again",
		NULL, 0);
}

/* RS-15: the first error of vote, log or directory. There is no second one. */
static void on_failed(void *owner, int error, const char *what)
{
	struct raftreg_node *node = owner;
	char reason[128];

	(void)snprintf(reason, sizeof reason, "%s: %s", what, strerror(-error));
	log_event(LOG_LEVEL_ERROR, "raftreg", error == -ENOSPC ? 2101 : 2102, what,
		(struct log_field[]){LOG_TEXT("error.message", strerror(-error))}, 1);
	node_stop_role(node, reason);
}

const struct store_events node_store_events = {on_persisted, node_snapshot_made,
	node_snapshot_staged, node_snapshot_loaded, on_space, on_failed};

/* RT-03, RI-06. The flag is durable before the next Hello says it. */
void node_lost_entries(struct raftreg_node *node)
{
	struct raft_event event = {.kind = RAFT_LOST_ENTRIES};

	if (node->now.hard.uncertain) {
		return;
	}
	(void)node_step(node, &event);
	if (node->now.hard.uncertain) {
		node->doubt_seq = node->now.persist_seq;
		log_event(LOG_LEVEL_ERROR, "raftreg", 2103,
			"this replica lost entries that it had acknowledged", NULL, 0);
	}
}

/* RM-14: a leader tells a commit of what this replica acknowledged. If that is not here it was
 * lost since; the core would take the message for a breach. */
static bool is_breach(const struct raftreg_node *node, const struct raft_message *message)
{
	return message->kind == RAFT_HEARTBEAT && message->term >= node->now.term &&
	       message->commit > node->now.commit_index && !node->now.hard.uncertain &&
	       !raft_entry_at(node->raft, message->commit);
}

/* RM-18: whoever reads the log sees an election that was wished for, not a lost leader. */
static void note_handover(const struct raftreg_node *node, const struct raft_message *message)
{
	if (message->kind == RAFT_TIMEOUT_NOW && node->now.role == RAFT_CANDIDATE) {
		log_event(LOG_LEVEL_INFO, "raftreg", 0,
			"the leader asked this replica to take over",
			(struct log_field[]){LOG_NUMBER("pillion.term", node->now.term)}, 1);
	}
}

/* RT-04: sender, receiver and cluster must be those of the stream. */
void node_receive(struct raftreg_node *node, struct slice bytes, uint64_t from)
{
	struct raft_message message;
	struct wire_chunk chunk;
	struct raft_event event = {.kind = RAFT_RECEIVE, .u.receive = &message};
	uint64_t tag = wire_tag(node->uuid, node->epoch);
	uint64_t given;
	struct slice inner;

	if (!node->has_cluster || atomic_load(&node->role_stopped)) {
		return;
	}
	switch (wire_peek(bytes, &inner)) {
	case WIRE_MESSAGE:
		if (wire_get_message(inner, &message, &given) < 0) {
			log_event(LOG_LEVEL_WARN, "raftreg", 0, "malformed message of a replica",
				NULL, 0);
			return;
		}
		if (given != tag || message.from != from || message.to != node->self.id) {
			log_event(LOG_LEVEL_DEBUG, "raftreg", 0, "message of another stream", NULL,
				0);
		} else if (is_breach(node, &message)) {
			node_lost_entries(node);
		} else if (!node->space.full || message.entry_count == 0) { /* RS-14 */
			(void)node_step(node, &event);
			note_handover(node, &message);
		}
		wire_free_message(&message);
		return;
	case WIRE_CHUNK:
		if (wire_get_chunk(inner, &chunk) == 0 && chunk.tag == tag && chunk.from == from &&
			chunk.to == node->self.id) {
			node_snapshot_chunk(node, &chunk);
		}
		return;
	case WIRE_HELLO:
		break;
	}
}

/* The sessions stay for a moment: this sidecar's own CLOSE comes by one of them. */
void node_leave(struct raftreg_node *node, bool last)
{
	uint64_t now = node_now_ms(node);

	node->leave.taken++;
	node->leave.until_ms = now + 2 * (uint64_t)node->settings.election_ms;
	if (last && node->leave.goodbye_ms == 0) {
		node->leave.goodbye_ms = now + GOODBYE_MS;
	}
	tick_leave(node, now);
}

void node_start_timers(struct raftreg_node *node)
{
	task_init(&node->turn, run_turn);
	timer_init(&node->deadline, on_deadline);
	timer_init(&node->tick, on_tick);
	list_init(&node->held);
	list_init(&node->waiting);
	list_init(&node->reading_list);
	list_init(&node->proposed);
	list_init(&node->relayed);
}

/* RR-03: mail, step, apply, submit, publish, then timers: the loop's own order of
 * stages. */
void node_run(struct raftreg_node *node)
{
	timer_arm(node->loop, &node->tick, loop_now_ms(node->loop) + NODE_TICK_MS);
	node_wake(node);
	loop_run(node->loop);
}

/* Also before the role's objects exist, and twice: the store may still post after
 * the first time. */
void node_clear(struct raftreg_node *node)
{
	timer_cancel(&node->tick);
	timer_cancel(&node->deadline);
	task_cancel(&node->turn);
	drop_held(node);
}
