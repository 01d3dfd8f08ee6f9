/*
 * How long sessions live. Deadlines are the leader's memory and nothing else: no renewal writes
 * anything, and a new leader starts everybody anew (RN-07), so a change of leaders can only
 * make a session live longer. Judging means proposing: SUSPECT and EXPIRE take effect when they
 * are committed, and a renewal that crosses them waits for that (RN-06).
 */
#include "raftreg/lease.h"

#include "base/clock.h"
#include "base/log.h"

#define SLACK_MS       1000 /* RN-07 */
#define COMMANDS_MAX   256  /* sessions in one command */
#define GC_INTERVAL_MS 60000

/* RN-07. Nothing that was pending under an older leader counts: its outcome is in the log
 * already. */
void lease_begin(struct raftreg_node *node)
{
	uint64_t now = node_now_ms(node);
	uint64_t rank = 0;

	ASSERT(node->settings.expire_per_s > 0);
	/* Spread by rank, so that a mass loss is not judged in one moment. */
	MAP_FOR_EACH(entry, &node->state.sessions)
	{
		struct state_session *session = entry->value;

		session->deadline_ms = now + session->ttl_ms + SLACK_MS +
				       rank++ * 1000 / node->settings.expire_per_s;
		session->lease_pending = 0;
		session->register_pending = 0;
	}
	node->lease_hold = false;
	node->lease_budget = 0;
	node->lease_budget_ms = now;
	node->gc_ms = now + GC_INTERVAL_MS;
}

/* RN-03: from the receipt, and never backwards: an older renewal that is confirmed
 * late must not shorten what a newer one gave. */
void lease_extend(struct raftreg_node *node, struct state_session *session, uint64_t received_ms)
{
	ASSERT(session);
	if (received_ms + session->ttl_ms > session->deadline_ms) {
		session->deadline_ms = received_ms + session->ttl_ms;
	}
	session->seen_ms = received_ms;
	atomic_fetch_add(&node->renewals, 1);
}

/* RN-08: a quorum answered after we woke up, so this replica still leads and may
 * judge again. */
void lease_confirmed(struct raftreg_node *node)
{
	node->lease_hold = false;
}

/* The triple of registry.md 7; apply ignores it when any of the three has changed since. */
static void add_session(struct buf *command, const struct state_session *session)
{
	const struct item item = {.op = ITEM_SESSION,
		.content = slice_make(session->id, 16),
		.number = session->incarnation,
		.generation = session->lease_gen};

	packet_put_item(command, &item);
}

/* Proposed once: while its outcome is under way the renewal simply waits. */
bool lease_revive(struct raftreg_node *node, struct state_session *session)
{
	const struct packet frame = {.kind = PACKET_REVIVE};
	struct buf command;
	bool proposed;

	if (session->lease_pending > node->state.applied) {
		return true; /* an outcome is under way already (RN-06) */
	}
	buf_init(&command);
	packet_encode(&frame, &command);
	add_session(&command, session);
	proposed = node_request_propose(node, buf_slice(&command));
	buf_fini(&command);
	if (proposed) {
		session->lease_pending = node->now.accepted_index;
	}
	return proposed;
}

/* RN-08: whoever slept does not blame the others for it. */
static void shift_deadlines(struct raftreg_node *node, uint64_t gap_ms)
{
	MAP_FOR_EACH(entry, &node->state.sessions)
	{
		struct state_session *session = entry->value;

		session->deadline_ms += gap_ms;
	}
	node->lease_hold = true;
	node->read_wanted = true;
}

/* How many may be judged now (registry.expire_per_s). */
static unsigned take_budget(struct raftreg_node *node, uint64_t now_ms)
{
	uint64_t earned = (now_ms - node->lease_budget_ms) * node->settings.expire_per_s / 1000;

	if (earned > 0) {
		node->lease_budget_ms = now_ms;
		node->lease_budget += (unsigned)earned;
	}
	if (node->lease_budget > node->settings.expire_per_s) {
		node->lease_budget = node->settings.expire_per_s;
	}
	return node->lease_budget < COMMANDS_MAX ? node->lease_budget : COMMANDS_MAX;
}

/* RN-05: past its deadline SUSPECT, half a ttl later EXPIRE. */
static void judge(struct raftreg_node *node, uint64_t now_ms, bool expire, unsigned most)
{
	const struct packet frame = {.kind = expire ? PACKET_EXPIRE : PACKET_SUSPECT};
	struct state_session *judged[COMMANDS_MAX];
	unsigned count = 0;
	struct buf command;

	buf_init(&command);
	packet_encode(&frame, &command);
	MAP_FOR_EACH(entry, &node->state.sessions)
	{
		struct state_session *session = entry->value;
		uint64_t deadline;

		if (session->deadline_ms == 0) {
			session->deadline_ms = now_ms + session->ttl_ms;
		}
		deadline = session->deadline_ms + (expire ? session->ttl_ms / 2 : 0);
		if (session->suspect != expire || now_ms < deadline ||
			session->lease_pending > node->state.applied ||
			session->register_pending > node->state.applied || count == most) {
			continue;
		}
		add_session(&command, session);
		judged[count++] = session;
	}
	if (count > 0 && node_request_propose(node, buf_slice(&command))) {
		for (unsigned i = 0; i < count; i++) {
			judged[i]->lease_pending = node->now.accepted_index;
		}
		node->lease_budget -= count;
		if (expire) {
			atomic_fetch_add(&node->expired, count);
		}
		log_event(LOG_LEVEL_WARN, "raftreg", 0,
			expire ? "sessions expire" : "sessions are suspect",
			(struct log_field[]){LOG_NUMBER("pillion.count", count)}, 1);
	}
	buf_fini(&command);
}

/* Command 8: empty sets whose last change is old enough are forgotten. */
static void collect(struct raftreg_node *node)
{
	struct packet frame = {.kind = PACKET_GC};
	uint64_t wall = clock_wall_ms();
	struct buf command;

	MAP_FOR_EACH(entry, &node->state.sets)
	{
		const struct state_set *set = entry->value;

		if (set->emptied_ms > 0 && set->emptied_ms + STATE_GC_AGE_MS < wall &&
			set->modified > frame.index) {
			frame.index = set->modified;
		}
	}
	/* Younger empty sets below that index would go too early: stop before the oldest. */
	MAP_FOR_EACH(entry, &node->state.sets)
	{
		const struct state_set *set = entry->value;

		if (set->emptied_ms > 0 && set->emptied_ms + STATE_GC_AGE_MS >= wall &&
			set->modified <= frame.index) {
			frame.index = set->modified - 1;
		}
	}
	if (frame.index <= node->state.horizon) {
		return;
	}
	buf_init(&command);
	packet_encode(&frame, &command);
	(void)node_request_propose(node, buf_slice(&command));
	buf_fini(&command);
}

/* Late turns move all deadlines and demand a confirmed read, for whoever slept may be deposed
 * by now (RN-08). */
void lease_tick(struct raftreg_node *node, uint64_t now_ms)
{
	uint64_t late = node->tick_due_ms > 0 && now_ms > node->tick_due_ms
				? now_ms - node->tick_due_ms
				: 0;
	unsigned most;

	if (!node->leading) {
		return;
	}
	if (late > node->settings.heartbeat_ms) {
		shift_deadlines(node, late);
		return;
	}
	if (node->lease_hold) {
		node->read_wanted = true;
		return;
	}
	most = take_budget(node, now_ms);
	if (most > 0) {
		judge(node, now_ms, false, most);
	}
	most = node->lease_budget < COMMANDS_MAX ? node->lease_budget : COMMANDS_MAX;
	if (most > 0) {
		judge(node, now_ms, true, most);
	}
	if (now_ms >= node->gc_ms) {
		node->gc_ms = now_ms + GC_INTERVAL_MS;
		collect(node);
	}
}
