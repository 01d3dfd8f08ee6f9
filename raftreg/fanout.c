/*
 * The sidecars' session streams on a replica (registry.md 9). The registry thread encodes a
 * change once per set and turn; each subscriber gets those same bytes. Nothing is queued per
 * subscriber but names: one whose stream is full gets its dirty sets whole, from the newest
 * view, once it reads again (RW-04). Whole sets are sent between two turns, so BEGIN..END is
 * always of one view.
 */
#include "raftreg/fanout.h"

#include "base/log.h"
#include "base/mem.h"
#include "raftreg/birth.h"
#include "raftreg/recent.h"

#define SUBSCRIPTIONS_MAX 1024	/* RW registry.md 9 */
#define BEHIND_MS	  2000	/* RW-02: wait for a replica that lags */
#define INVALID_WINDOW_MS 10000 /* RW-10 */
#define SYNCS_MAX	  64	/* RW-08: whole views under way at once */
#define SYNC_RETRY_MS	  1000
#define SYNC_STALL_MS	  10000 /* of them none that nobody reads */
#define QUESTION_WEIGHT	  64	/* its answer may be large */

enum {
	GRPC_OK = 0,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_UNAVAILABLE = 14
};

struct subscription {
	struct list_node node;
	uint64_t number;
	bool records, prefix;
	struct slice name; /* owned */
};

struct subscriber {
	struct list_node node;
	struct fanout *fanout;
	struct gate_stream *stream;
	struct node_origin origin;
	bool greeted;
	bool waiting; /* for this replica to reach what the client has seen */
	uint64_t wait_until_ms;
	uint64_t highest; /* the client has seen up to here; nothing below is sent */
	struct list_node subscriptions;
	size_t subscription_count;
	struct map dirty; /* kind byte and name -> this subscriber (any pointer) */
	uint64_t invalid_ms;
	uint64_t bookmark_ms;
	/* RW-08: a whole view waits for the reader, and since when it has taken nothing. */
	bool syncing;
	size_t sync_unacked;
	uint64_t sync_moved_ms;
	/* RW-05: SUBSCRIBE and UNSUBSCRIBE frames taken, and what they add up to. */
	uint64_t requests, digest;
	bool digest_stale;
};

struct fanout {
	struct raftreg_node *node;
	struct list_node subscribers;
	size_t count;
	uint64_t published; /* applied index of the last publication */
	size_t syncing;	    /* subscribers */
	struct recent recent;
};

/* A set's change of this turn, encoded once. */
struct delta {
	struct state_set *set;
	struct buf bytes; /* one DELTA frame */
};

/* Publication starts with the state as it is: what was applied before has no
 * subscriber. */
struct fanout *fanout_create(struct raftreg_node *node)
{
	struct fanout *fanout = mem_zalloc(sizeof *fanout);

	fanout->node = node;
	list_init(&fanout->subscribers);
	recent_init(&fanout->recent, 0);
	return fanout;
}

static void set_syncing(struct subscriber *subscriber, bool syncing)
{
	struct fanout *fanout = subscriber->fanout;

	if (subscriber->syncing == syncing) {
		return;
	}
	ASSERT(syncing || fanout->syncing > 0);
	subscriber->syncing = syncing;
	fanout->syncing += syncing ? 1 : (size_t)-1;
	subscriber->sync_unacked = 0;
}

/* Requests under way lose their origin; commands among them go on (RD-07). */
static void free_subscriber(struct subscriber *subscriber)
{
	set_syncing(subscriber, false);
	node_request_forget(subscriber->fanout->node, &subscriber->origin);
	while (!list_empty(&subscriber->subscriptions)) {
		struct subscription *subscription = LIST_ENTRY(
			list_pop_front(&subscriber->subscriptions), struct subscription, node);

		mem_free((void *)(uintptr_t)subscription->name.data);
		mem_free(subscription);
	}
	map_fini(&subscriber->dirty);
	list_unlink(&subscriber->node);
	subscriber->fanout->count--;
	mem_free(subscriber);
}

void fanout_destroy(struct fanout *fanout)
{
	if (!fanout) {
		return;
	}
	while (!list_empty(&fanout->subscribers)) {
		free_subscriber(LIST_ENTRY(fanout->subscribers.next, struct subscriber, node));
	}
	ASSERT(fanout->count == 0 && fanout->syncing == 0);
	recent_fini(&fanout->recent);
	mem_free(fanout);
}

static void send_frame(struct subscriber *subscriber, const struct packet *frame)
{
	struct buf bytes;

	buf_init(&bytes);
	packet_copy(frame, &bytes);
	gate_send(subscriber->stream, buf_slice(&bytes));
	buf_fini(&bytes);
}

/* The subscriber is freed first: gate_finish makes the stream unusable for it. */
static void end_subscriber(struct subscriber *subscriber, int status, const char *why)
{
	struct gate_stream *stream = subscriber->stream;

	free_subscriber(subscriber);
	gate_finish(stream, status, why);
}

/* Answers overtake nothing: they go the same way as the view. */
static void on_reply(struct node_origin *origin, struct packet *answer)
{
	send_frame(container_of(origin, struct subscriber, origin), answer);
}

/* Nothing is sent before the client's hello says what it has seen. */
void fanout_open(struct fanout *fanout, struct gate_stream *stream)
{
	struct subscriber *subscriber = mem_zalloc(sizeof *subscriber);

	subscriber->fanout = fanout;
	subscriber->stream = stream;
	subscriber->origin.reply = on_reply;
	list_init(&subscriber->origin.requests);
	list_init(&subscriber->subscriptions);
	list_init(&subscriber->node);
	map_init(&subscriber->dirty);
	list_push_back(&fanout->subscribers, &subscriber->node);
	fanout->count++;
	stream->owner = subscriber;
}

void fanout_closed(struct fanout *fanout, struct gate_stream *stream)
{
	ASSERT(fanout && stream->owner);
	free_subscriber(stream->owner);
}

static bool matches(const struct subscription *subscription, bool records, struct slice name)
{
	if (subscription->records != records) {
		return false;
	}
	return subscription->prefix ? slice_starts_with(name, subscription->name)
				    : slice_equal(name, subscription->name);
}

/* NULL: none. Linear, for most sidecars watch a handful of names; the limit of 1,024 bounds it. */
static const struct subscription *first_match(
	const struct subscriber *subscriber, const struct state_set *set)
{
	LIST_FOR_EACH(node, &subscriber->subscriptions) {
		const struct subscription *found = LIST_ENTRY(node, struct subscription, node);

		if (matches(found, set->records, set->name)) {
			return found;
		}
	}
	return NULL;
}

/* The sets of a subscription, one after the other; *place begins with zero. */
static const struct state_set *next_set(
	const struct state *state, const struct subscription *subscription, size_t *place)
{
	if (!subscription->prefix) {
		return (*place)++ == 0 ? state_set(state, subscription->records, subscription->name)
				       : NULL;
	}
	while (*place < state->sets.count) {
		const struct state_set *set = state->sets.entries[(*place)++].value;

		if (matches(subscription, set->records, set->name)) {
			return set;
		}
	}
	return NULL;
}

/* Empty sets add nothing: a client cannot know of all that ever were. */
static uint64_t digest_of(const struct state *state, const struct state_set *set)
{
	return set->members.count > 0
		       ? state_view_digest(state->uuid, set->records, set->name, set->digest)
		       : 0;
}

/* RW-05: each set once, however many subscriptions name it. Summed anew only after a change that
 * this subscriber was told of. */
static uint64_t view_digest(struct subscriber *subscriber)
{
	const struct state *state = &subscriber->fanout->node->state;
	const struct state_set *set;

	if (!subscriber->digest_stale) {
		return subscriber->digest;
	}
	subscriber->digest_stale = false;
	subscriber->digest = 0;
	LIST_FOR_EACH(node, &subscriber->subscriptions) {
		const struct subscription *subscription =
			LIST_ENTRY(node, struct subscription, node);
		size_t place = 0;

		while ((set = next_set(state, subscription, &place)) != NULL) {
			if (first_match(subscriber, set) == subscription) {
				subscriber->digest += digest_of(state, set);
			}
		}
	}
	return subscriber->digest;
}

/* All versions at once: a definition has no digest of its own, so they go as a
 * whole. */
static void add_defs(struct buf *bytes, const struct state_set *set)
{
	for (size_t i = 0; i < set->def_count; i++) {
		const struct item item = {.op = ITEM_DEF,
			.key = set->defs[i].version,
			.content = set->defs[i].content};

		packet_put_item(bytes, &item);
	}
}

/* Methods first: a client builds the set when the frame is complete. */
static void send_whole(struct subscriber *subscriber, const struct state_set *set)
{
	const struct packet frame = {.kind = PACKET_SET,
		.name = set->name,
		.flags = (set->records ? PACKET_RECORDS : 0u) |
			 (set->members.count == 0 ? (unsigned)PACKET_ABSENT : 0u),
		.index = set->modified,
		.digest = set->digest};
	struct buf bytes;

	buf_init(&bytes);
	packet_encode(&frame, &bytes);
	add_defs(&bytes, set);
	MAP_FOR_EACH(entry, &set->members)
	{
		struct item item;

		state_member_item(entry->value, &item);
		packet_put_item(&bytes, &item);
	}
	gate_send(subscriber->stream, buf_slice(&bytes));
	buf_fini(&bytes);
}

/* Carries whether there is a leader, as far as is known here; bookmarks also say who it is. */
static void send_mark(struct subscriber *subscriber, struct packet mark)
{
	struct raftreg_node *node = subscriber->fanout->node;
	const struct state_replica *leader =
		mark.kind == PACKET_BOOKMARK ? state_replica(&node->state, node->now.leader) : NULL;
	char address[300] = "";

	mark.index = node->state.applied;
	mark.flags |= node_has_quorum(node) ? 0u : (unsigned)PACKET_NO_QUORUM;
	if (leader) {
		node_status_address(leader, address);
		mark.text = slice_from_string(address);
	}
	send_frame(subscriber, &mark);
}

static bool is_missed(
	const struct subscription *subscription, const struct recent_delta *delta, uint64_t cursor)
{
	return delta->index > cursor && matches(subscription, delta->records, delta->name);
}

/* RW-03. False: the ring does not reach back to the cursor, or the way over it is longer than a
 * stream may have unsent (RW-04); then whole sets are the shorter way. */
static bool send_missed(
	struct subscriber *subscriber, const struct subscription *subscription, uint64_t cursor)
{
	const struct recent *recent = &subscriber->fanout->recent;
	const struct recent_delta *delta;
	size_t first = 0;
	size_t bytes = 0;

	if (cursor == 0 || gate_is_full(subscriber->stream) ||
		!recent_find(recent, cursor, &first)) {
		return false;
	}
	for (size_t i = first; (delta = recent_at(recent, i)) != NULL; i++) {
		bytes += is_missed(subscription, delta, cursor) ? delta->bytes.size : 0;
	}
	if (bytes > DOOR_WINDOW) {
		return false;
	}
	send_mark(
		subscriber, (struct packet){.kind = PACKET_BEGIN, .number = subscription->number});
	for (size_t i = first; (delta = recent_at(recent, i)) != NULL; i++) {
		if (is_missed(subscription, delta, cursor)) {
			gate_send(subscriber->stream, delta->bytes);
		}
	}
	return true;
}

/* RW-03: sets of the subscription that changed after `cursor`, whole; all of them when that is
 * below the tombstones that are still known. Of ONE view: nothing is applied meanwhile. */
static void send_sets(struct subscriber *subscriber, const struct subscription *subscription,
	uint64_t cursor, bool full)
{
	const struct state *state = &subscriber->fanout->node->state;
	const struct state_set *set;
	size_t place = 0;

	send_mark(subscriber, (struct packet){.kind = PACKET_BEGIN,
				      .number = subscription->number,
				      .flags = full ? PACKET_FULL : 0});
	while ((set = next_set(state, subscription, &place)) != NULL) {
		/* Empty ones of a prefix go unmentioned in a full sync: END says so. Methods may
		 * be there before the first instance. */
		if (full ? !subscription->prefix || set->members.count + set->def_count > 0
			 : set->modified > cursor) {
			send_whole(subscriber, set);
		}
	}
}

/* END carries what the client's sets of this subscription must add up to now. */
static void sync_subscription(struct subscriber *subscriber,
	const struct subscription *subscription, uint64_t cursor, bool full)
{
	const struct state *state = &subscriber->fanout->node->state;
	struct packet end = {
		.kind = PACKET_END, .number = subscription->number, .flags = PACKET_DIGEST};
	const struct state_set *set;
	size_t place = 0;

	if (!send_missed(subscriber, subscription, cursor)) {
		send_sets(subscriber, subscription, cursor, full);
	}
	while ((set = next_set(state, subscription, &place)) != NULL) {
		end.digest += digest_of(state, set);
	}
	send_mark(subscriber, end);
	if (full && gate_is_full(subscriber->stream)) {
		set_syncing(subscriber, true);
		subscriber->sync_moved_ms = node_now_ms(subscriber->fanout->node);
	}
}

/* With the addresses of all replicas, so that a client finds its way when its seeds are gone. */
static void welcome(struct subscriber *subscriber)
{
	struct raftreg_node *node = subscriber->fanout->node;
	const struct state_replica *leader = state_replica(&node->state, node->now.leader);
	char address[300] = "";
	struct packet frame = {.kind = PACKET_WELCOME,
		.uuid = slice_make(node->uuid, 16),
		.epoch = node->epoch,
		.index = node->state.applied,
		.flags = node_has_quorum(node) ? 0u : (unsigned)PACKET_NO_QUORUM};
	struct buf bytes;

	if (leader) {
		node_status_address(leader, address);
		frame.text = slice_from_string(address);
	}
	buf_init(&bytes);
	packet_encode(&frame, &bytes);
	for (size_t i = 0; i < node->state.replica_count; i++) {
		const struct state_replica *replica = &node->state.replicas[i];
		struct item item = {.op = ITEM_ADDRESS, .set = slice_from_string(replica->name)};
		char text[300];

		node_status_address(replica, text);
		item.content = slice_from_string(text);
		packet_put_item(&bytes, &item);
	}
	gate_send(subscriber->stream, buf_slice(&bytes));
	buf_fini(&bytes);
}

/* A replica that is behind what the client has seen waits a moment, then sends it elsewhere
 * (RW-02). */
static bool on_hello(struct subscriber *subscriber, const struct packet *hello)
{
	struct raftreg_node *node = subscriber->fanout->node;
	bool same = hello->uuid.size == 16 && memcmp(hello->uuid.data, node->uuid, 16) == 0 &&
		    hello->epoch == node->epoch;

	if (!node->has_cluster || node->conf.voters.count == 0) {
		if (hello->uuid.size == 16) {
			birth_veto(node);
		}
		end_subscriber(subscriber, GRPC_UNAVAILABLE, "not a member of a cluster yet");
		return false;
	}
	/* RW-02: indexes of another cluster or epoch are not compared. */
	subscriber->highest = same ? hello->index : 0;
	subscriber->greeted = true;
	if (subscriber->highest > node->state.applied) {
		subscriber->waiting = true;
		subscriber->wait_until_ms = node_now_ms(node) + BEHIND_MS;
		return true;
	}
	welcome(subscriber);
	return true;
}

/* RW-10: twice within ten seconds ends the stream. */
static bool note_invalid(struct subscriber *subscriber, const struct packet *frame)
{
	uint64_t now = node_now_ms(subscriber->fanout->node);
	const struct packet answer = {
		.kind = PACKET_ANSWER, .number = frame->number, .code = CODE_INVALID};

	if (subscriber->invalid_ms > 0 && now - subscriber->invalid_ms < INVALID_WINDOW_MS) {
		end_subscriber(subscriber, GRPC_INVALID_ARGUMENT, "invalid frames");
		return false;
	}
	subscriber->invalid_ms = now;
	send_frame(subscriber, &answer);
	return true;
}

/* Numbers are the client's own and only have to be unique on its stream. */
static struct subscription *find_subscription(const struct subscriber *subscriber, uint64_t number)
{
	LIST_FOR_EACH(node, &subscriber->subscriptions) {
		struct subscription *found = LIST_ENTRY(node, struct subscription, node);

		if (found->number == number) {
			return found;
		}
	}
	return NULL;
}

/* RW-08: views that nobody takes as fast as they are made are memory, and that is bounded. */
static bool is_busy(const struct subscriber *subscriber)
{
	return !subscriber->syncing && subscriber->fanout->syncing >= SYNCS_MAX;
}

/* A cursor beyond what is committed here cannot be of this log: everything again (RW-10). */
static void on_subscribe(struct subscriber *subscriber, const struct packet *frame)
{
	const struct state *state = &subscriber->fanout->node->state;
	struct subscription *subscription;
	uint64_t cursor = frame->index <= state->applied ? frame->index : 0;
	size_t unused = 0;
	bool full =
		cursor == 0 || (cursor < state->horizon &&
				       !recent_find(&subscriber->fanout->recent, cursor, &unused));

	subscriber->requests++;
	/* The ring and the state must be of one index, and nothing older comes behind BEGIN. */
	fanout_publish(subscriber->fanout);
	if (find_subscription(subscriber, frame->number) ||
		subscriber->subscription_count >= SUBSCRIPTIONS_MAX ||
		frame->name.size > STATE_SET_NAME_MAX ||
		(frame->name.size == 0 && !(frame->flags & PACKET_PREFIX))) {
		(void)note_invalid(subscriber, frame);
		return;
	}
	if (full && is_busy(subscriber)) {
		const struct packet busy = {.kind = PACKET_ANSWER,
			.number = frame->number,
			.code = CODE_RETRY_LATER,
			.retry_after_ms = SYNC_RETRY_MS};

		send_frame(subscriber, &busy);
		return;
	}
	subscription = mem_zalloc(sizeof *subscription);
	subscription->number = frame->number;
	subscription->records = (frame->flags & PACKET_RECORDS) != 0;
	subscription->prefix = (frame->flags & PACKET_PREFIX) != 0;
	subscription->name =
		slice_make(mem_copy(frame->name.data, frame->name.size), frame->name.size);
	list_init(&subscription->node);
	list_push_back(&subscriber->subscriptions, &subscription->node);
	subscriber->subscription_count++;
	subscriber->digest_stale = true;
	sync_subscription(subscriber, subscription, cursor, full);
}

/* RW-10: an unknown number is the client's mistake and is counted against it. Names
 * in the dirty set stay there: sending one set too many is harmless. */
static void on_unsubscribe(struct subscriber *subscriber, const struct packet *frame)
{
	struct subscription *subscription = find_subscription(subscriber, frame->number);

	subscriber->requests++;
	if (!subscription) {
		(void)note_invalid(subscriber, frame);
		return;
	}
	subscriber->digest_stale = true;
	list_unlink(&subscription->node);
	subscriber->subscription_count--;
	mem_free((void *)(uintptr_t)subscription->name.data);
	mem_free(subscription);
}

/* Only what is answered by the leader or from the state; leases are never asked for. */
static void on_request(struct subscriber *subscriber, struct packet *frame, struct slice message)
{
	struct buf bytes;

	/* RD-02: an unspecified host becomes the address that the sidecar is seen from. */
	if (frame->kind != PACKET_OPEN || frame->host.size > 0) {
		node_request_take(subscriber->fanout->node, &subscriber->origin, message);
		return;
	}
	frame->host = slice_from_string(subscriber->stream->peer);
	buf_init(&bytes);
	packet_copy(frame, &bytes);
	node_request_take(subscriber->fanout->node, &subscriber->origin, buf_slice(&bytes));
	buf_fini(&bytes);
}

/* A frame that does not belong here costs a warning, the second one the stream (RW-10). */
void fanout_message(struct fanout *fanout, struct gate_stream *stream, struct slice message)
{
	struct subscriber *subscriber = stream->owner;
	struct packet frame;
	bool question;

	ASSERT(subscriber->fanout == fanout);
	if (packet_decode(message, &frame) < 0) {
		end_subscriber(subscriber, GRPC_INVALID_ARGUMENT, "malformed frame");
		return;
	}
	if (!subscriber->greeted) {
		if (frame.kind != PACKET_HELLO) {
			end_subscriber(subscriber, GRPC_FAILED_PRECONDITION, "no hello");
			return;
		}
		(void)on_hello(subscriber, &frame);
		return;
	}
	question = frame.kind == PACKET_GET || frame.kind == PACKET_LIST ||
		   frame.kind == PACKET_MEMBERS;
	if (!gate_is_read(stream, question ? QUESTION_WEIGHT : 1)) {
		end_subscriber(subscriber, GRPC_UNAVAILABLE, "answers are not read");
		return;
	}
	switch (frame.kind) {
	case PACKET_SUBSCRIBE:
		on_subscribe(subscriber, &frame);
		break;
	case PACKET_UNSUBSCRIBE:
		on_unsubscribe(subscriber, &frame);
		break;
	case PACKET_OPEN:
	case PACKET_REGISTER:
	case PACKET_CLOSE:
	case PACKET_RENEW:
	case PACKET_GET:
	case PACKET_LIST:
	case PACKET_MEMBERS:
		on_request(subscriber, &frame, message);
		break;
	default:
		(void)note_invalid(subscriber, &frame);
		break;
	}
}

/* RW-04: names only, never bytes. However slow the reader is, it costs a replica no
 * more than the number of sets it watches. */
static void mark_dirty(struct subscriber *subscriber, const struct state_set *set)
{
	uint8_t bytes[STATE_SET_NAME_MAX + 1];

	bytes[0] = set->records ? 'r' : 's';
	memcpy(bytes + 1, set->name.data, set->name.size);
	(void)map_set(&subscriber->dirty, slice_make(bytes, set->name.size + 1), subscriber);
}

/* RW-04: a slow reader gets the newest view of what it missed, once it reads again. */
static void send_dirty(struct subscriber *subscriber)
{
	const struct state *state = &subscriber->fanout->node->state;

	while (subscriber->dirty.count > 0 && !gate_is_full(subscriber->stream)) {
		struct slice key = subscriber->dirty.entries[0].key;
		const struct state_set *set =
			state_set(state, key.data[0] == 'r', slice_from(key, 1));

		if (set) {
			send_whole(subscriber, set);
		}
		(void)map_remove(&subscriber->dirty, key);
	}
}

void fanout_writable(struct fanout *fanout, struct gate_stream *stream)
{
	struct subscriber *subscriber = stream->owner;

	ASSERT(subscriber->fanout == fanout);
	set_syncing(subscriber, false);
	send_dirty(subscriber);
}

/* RW-06: once per set and turn. A set that is new here may have been forgotten once, with methods
 * that clients still have. */
static void encode_delta(struct delta *delta, uint64_t applied)
{
	struct state_set *set = delta->set;
	bool defs = set->defs_touched || set->published == 0;
	const struct packet frame = {.kind = PACKET_DELTA,
		.name = set->name,
		.flags = (set->records ? PACKET_RECORDS : 0u) |
			 (set->members.count == 0 ? (unsigned)PACKET_ABSENT : 0u) |
			 (defs ? (unsigned)PACKET_DEFS : 0u),
		.from = set->published,
		.index = set->modified,
		.digest = set->digest,
		.seq = applied};

	packet_encode(&frame, &delta->bytes);
	if (defs) {
		add_defs(&delta->bytes, set);
	}
	for (size_t i = 0; i < set->touch_count; i++) {
		const struct state_touch *touch = &set->touches[i];
		const struct state_member *member = state_member(set, touch->key);
		struct item item = {
			.op = ITEM_DELETE, .key = touch->key, .number = (uint64_t)touch->cause};

		if (member) {
			state_member_item(member, &item);
		}
		packet_put_item(&delta->bytes, &item);
	}
}

/* A subscriber that is behind gets names, not bytes. */
static void deliver(struct subscriber *subscriber, const struct delta *delta)
{
	if (!subscriber->greeted || subscriber->waiting || !first_match(subscriber, delta->set)) {
		return;
	}
	subscriber->digest_stale = true;
	if (gate_is_full(subscriber->stream) || subscriber->dirty.count > 0) {
		mark_dirty(subscriber, delta->set);
		return;
	}
	gate_send(subscriber->stream, buf_slice(&delta->bytes));
}

/* After the entries of this turn were applied: one delta a set, whatever their number. */
void fanout_publish(struct fanout *fanout)
{
	struct state *state = &fanout->node->state;

	while (!list_empty(&state->dirty)) {
		struct delta delta = {
			.set = LIST_ENTRY(state->dirty.next, struct state_set, dirty)};

		buf_init(&delta.bytes);
		encode_delta(&delta, state->applied);
		LIST_FOR_EACH(node, &fanout->subscribers) {
			deliver(LIST_ENTRY(node, struct subscriber, node), &delta);
		}
		recent_add(&fanout->recent, buf_slice(&delta.bytes), state->applied);
		buf_fini(&delta.bytes);
		state_clear_touches(state, delta.set);
	}
	/* The first publication comes after a recovery that made no deltas of what it read. */
	if (fanout->published == 0) {
		recent_clear(&fanout->recent, state->applied);
	}
	fanout->published = state->applied;
}

/* A snapshot was installed, or a set was emptied and forgotten (command 8) within one turn. */
void fanout_reset(struct fanout *fanout)
{
	recent_clear(&fanout->recent, fanout->node->state.applied);
	LIST_FOR_EACH_SAFE(node, &fanout->subscribers) {
		/* The simplest honest answer: resume here or elsewhere by index. */
		end_subscriber(LIST_ENTRY(node, struct subscriber, node), GRPC_UNAVAILABLE,
			"this replica was far behind");
	}
}

/* RW-08: one that stopped reading in the middle of its view must not keep others from theirs. */
static bool is_moving(struct subscriber *subscriber, uint64_t now_ms)
{
	if (subscriber->stream->unacked != subscriber->sync_unacked) {
		subscriber->sync_unacked = subscriber->stream->unacked;
		subscriber->sync_moved_ms = now_ms;
	}
	return now_ms - subscriber->sync_moved_ms < SYNC_STALL_MS;
}

/* Waiting for a lagging replica has an end: the client finds a better one. */
static bool tick_subscriber(struct subscriber *subscriber, uint64_t now_ms)
{
	struct raftreg_node *node = subscriber->fanout->node;

	if (subscriber->waiting) {
		if (node->state.applied >= subscriber->highest) {
			subscriber->waiting = false;
			welcome(subscriber);
		} else if (now_ms >= subscriber->wait_until_ms) {
			end_subscriber(subscriber, GRPC_UNAVAILABLE, "this replica is behind");
			return false;
		}
		return true;
	}
	if (subscriber->syncing && !is_moving(subscriber, now_ms)) {
		end_subscriber(subscriber, GRPC_UNAVAILABLE, "the stream takes nothing");
		return false;
	}
	if (!subscriber->greeted || now_ms < subscriber->bookmark_ms) {
		return true;
	}
	send_dirty(subscriber);
	/* RW-05: behind everything up to its index, and only when nothing is missing. */
	if (subscriber->dirty.count == 0 && !gate_is_full(subscriber->stream)) {
		subscriber->bookmark_ms = now_ms + node->settings.bookmark_ms;
		send_mark(subscriber, (struct packet){.kind = PACKET_BOOKMARK,
					      .flags = PACKET_DIGEST,
					      .seq = subscriber->requests,
					      .digest = view_digest(subscriber)});
	}
	return true;
}

/* Publishing first, so that the bookmarks of this tick are behind everything they
 * cover (RW-05). */
void fanout_tick(struct fanout *fanout, uint64_t now_ms)
{
	fanout_publish(fanout);
	LIST_FOR_EACH_SAFE(node, &fanout->subscribers) {
		(void)tick_subscriber(LIST_ENTRY(node, struct subscriber, node), now_ms);
	}
}

/* RB-05: GOAWAY before the end, so that a sidecar knows that this is no failure and
 * goes elsewhere without backing off. */
void fanout_close_all(struct fanout *fanout, const char *why)
{
	LIST_FOR_EACH_SAFE(node, &fanout->subscribers) {
		struct subscriber *subscriber = LIST_ENTRY(node, struct subscriber, node);
		const struct packet frame = {.kind = PACKET_GOAWAY};

		send_frame(subscriber, &frame);
		end_subscriber(subscriber, GRPC_UNAVAILABLE, why);
	}
}

size_t fanout_count(const struct fanout *fanout)
{
	return fanout->count;
}
