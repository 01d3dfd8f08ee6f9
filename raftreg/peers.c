/*
 * Connections to other replicas. A lane is one connection with one Raft stream; the control
 * lane also carries the relay. Messages that find no open lane are lost, which the core
 * expects; every lane that breaks is told to it once (RT-06). Seeds are peers without an id:
 * they are asked who they are until this replica belongs to a cluster. Nothing here may step
 * the core from inside peers_send, for that runs while effects are absorbed.
 */
#include "raftreg/peers.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "raftreg/inlet.h"
#include "raftreg/peers_internal.h"
#include "upstream/connection.h"

#define CONNECT_MS	  1000 /* RT-06 */
#define REDIAL_MIN_MS	  50
#define REDIAL_MAX_MS	  1000
#define KNOCK_MAX_MS	  3000
#define CONTROL_QUEUE_MAX (1024u * 1024)
#define CONTROL_OUT_MAX	  (16u * 1024) /* behind it heartbeats wait, and are replaced */
/* The window, with the APPEND that fills it, one chunk, and what entries cost on the wire. */
#define BULK_QUEUE_MAX	(NODE_INFLIGHT_BYTES + NODE_APPEND_MAX + SNAPFILE_CHUNK + 512 * 1024)
#define RELAY_QUEUE_MAX (8u * 1024 * 1024)

static void dial(struct lane *lane);

/* A peer's memory goes only after both connections reported that they are closed. */
static bool is_alive(const struct peer *peer)
{
	for (int i = 0; i < LANE_COUNT; i++) {
		if (peer->lanes[i].connection) {
			return true;
		}
	}
	return false;
}

/* Runs from the loop's graveyard: callbacks below may still be on the stack. */
static void free_peer(void *object)
{
	struct peer *peer = object;

	list_unlink(&peer->node);
	for (int i = 0; i < LANE_COUNT; i++) {
		buf_fini(&peer->lanes[i].heartbeat);
	}
	buf_fini(&peer->outgoing.file);
	mem_free(peer);
}

/* Marks first, then tells: the core may want to send again at once. */
static void lane_down(struct lane *lane)
{
	struct peer *peer = lane->peer;
	bool was_open = lane->open;

	lane->open = false;
	lane->fresh = 0;
	buf_clear(&lane->heartbeat);
	if (lane->kind == LANE_CONTROL && peer->relay_open) {
		peer->relay_open = false;
		grpc_call_fini(&peer->relay);
		if (!peer->peers->closed) {
			node_request_relay_lost(peer->peers->node);
		}
	}
	grpc_call_fini(&lane->call);
	if (peer->peers->closed || peer->doomed || !was_open) {
		return;
	}
	if (lane->kind == LANE_BULK) {
		peers_snapshot_end(peer, false);
	}
	if (peer->replica.id != 0 && peer->wanted) { /* RT-06: once per failure */
		struct raft_event event = {
			.kind = RAFT_UNREACHABLE, .u.unreachable = {.peer = peer->replica.id}};

		atomic_fetch_add(&peer->peers->node->peer_failures, 1);
		(void)node_step(peer->peers->node, &event);
	}
}

/* The core and the relay learn at once; the connection itself ends from the loop. */
static void close_lane(struct lane *lane)
{
	lane_down(lane);
	if (lane->connection && !lane->closing) {
		lane->closing = true;
		connection_close(lane->connection, REASON_shutdown, false);
	}
}

/* Unlinked when its last connection has closed; until then it only closes. */
static void doom(struct peer *peer)
{
	peers_snapshot_end(peer, false);
	peer->doomed = true;
	for (int i = 0; i < LANE_COUNT; i++) {
		timer_cancel(&peer->lanes[i].redial);
		close_lane(&peer->lanes[i]);
	}
	if (!is_alive(peer)) {
		list_unlink(&peer->node);
		loop_bury(peer->peers->node->loop, free_peer, peer);
	}
}

/* Id 0 is a seed that has not said who it is: nobody can be sent to there. */
struct peer *peers_find(const struct peers *peers, uint64_t id)
{
	LIST_FOR_EACH(node, &peers->list) {
		struct peer *peer = LIST_ENTRY(node, struct peer, node);

		if (peer->replica.id == id && id != 0 && !peer->doomed) {
			return peer;
		}
	}
	return NULL;
}

static struct lane *lane_of_call(struct grpc_call *call)
{
	return call->owner;
}

/* The other side introduces itself; a seed gets its id by this. */
static void on_hello(struct lane *lane, const struct wire_hello *hello)
{
	struct peer *peer = lane->peer;
	struct raftreg_node *node = peer->peers->node;

	if (!node_meet(node, hello)) {
		close_lane(lane);
		return;
	}
	peer->greeted = true;
	peer->hello = *hello;
	if (peer->replica.id == 0) {
		peer->replica.id = hello->self.id;
	}
	/* Whoever is found first tells of the others, the leader among them (RB-03). */
	node_wake(node);
}

/* The other side only ever says hello on these streams; all else is for later versions. */
static void on_message(struct grpc_call *call, struct slice message)
{
	struct lane *lane = lane_of_call(call);
	struct wire_hello *hello;
	struct slice inner;

	if (wire_scan(message, WIRE_CONTROL_MAX) < 0 || wire_peek(message, &inner) != WIRE_HELLO) {
		return;
	}
	hello = mem_alloc(sizeof *hello);
	if (wire_get_hello(inner, hello) == 0) {
		on_hello(lane, hello);
	}
	mem_free(hello);
}

static void on_half_close(struct grpc_call *call)
{
	ASSERT(call->owner);
}

/* The stream is the lane's purpose: without it the connection goes too. */
static void on_call_closed(struct grpc_call *call, int status, struct slice text)
{
	struct lane *lane = lane_of_call(call);
	struct peer *peer = lane->peer;

	if (status == INLET_ABORTED && slice_equal(text, SLICE(INLET_LOST)) &&
		!peer->peers->closed) {
		node_lost_entries(peer->peers->node); /* RT-03 */
	}
	if (status != 0 && !peer->doomed && !peer->peers->closed && lane->kind == LANE_CONTROL) {
		log_event(LOG_LEVEL_DEBUG, "raftreg", 0, "a replica ended the stream",
			(struct log_field[]){LOG_TEXT("pillion.host", peer->replica.host),
				LOG_NUMBER("pillion.port", peer->replica.port),
				LOG_NUMBER("pillion.status", status),
				LOG_SLICE("error.message", text)},
			4);
	}
	close_lane(lane);
}

static const struct grpc_call_ops lane_ops = {on_message, on_half_close, on_call_closed, NULL};

/* RT-05: scanned like everything else; a malformed answer is as good as a lost one
 * (RD-07). */
static void on_relay_message(struct grpc_call *call, struct slice message)
{
	struct lane *lane = lane_of_call(call);

	if (packet_scan(message, PACKET_RELAY_MAX) == 0) {
		node_request_answered(lane->peer->peers->node, message);
	}
}

static const struct grpc_call_ops relay_ops = {
	on_relay_message, on_half_close, on_call_closed, NULL};

static int open_call(struct lane *lane, struct grpc_call *call, struct slice path,
	const struct grpc_call_options *options)
{
	char authority[280];
	struct grpc_request request = {.path = path};

	(void)snprintf(authority, sizeof authority, "%s:%u", lane->peer->replica.host,
		lane->peer->replica.port);
	request.authority = slice_from_string(authority);
	return grpc_call_open(call, connection_codec(lane->connection), &request, options);
}

/* What the codec holds for this stream, and what it gave to a socket that has not taken it. */
static size_t lane_unsent(const struct lane *lane)
{
	uint64_t produced = connection_codec(lane->connection)->produced;

	ASSERT(lane->open && produced >= connection_written(lane->connection));
	return grpc_call_queued(&lane->call) +
	       (size_t)(produced - connection_written(lane->connection));
}

int peers_lane_send(struct lane *lane, struct slice bytes)
{
	lane->fresh += bytes.size + 5; /* the prefix of gRPC */
	loop_queue_write(lane->peer->peers->node->loop, &lane->peer->peers->wrote);
	return grpc_call_send(&lane->call, bytes);
}

/* The write stage has begun: from now on whatever was sent is old. */
static void run_wrote(struct task *task)
{
	struct peers *peers = container_of(task, struct peers, wrote);

	LIST_FOR_EACH(node, &peers->list) {
		struct peer *peer = LIST_ENTRY(node, struct peer, node);

		peer->lanes[LANE_CONTROL].fresh = peer->lanes[LANE_BULK].fresh = 0;
	}
}

/* First on every stream: who we are, which start this is, and where our log ends. */
static void say_hello(struct lane *lane)
{
	struct wire_hello *hello = mem_alloc(sizeof *hello);
	struct buf bytes;

	buf_init(&bytes);
	node_fill_hello(lane->peer->peers->node, hello);
	wire_put_hello(hello, &bytes);
	if (peers_lane_send(lane, buf_slice(&bytes)) < 0) {
		close_lane(lane);
	}
	buf_fini(&bytes);
	mem_free(hello);
}

/* Hello is the first message on both lanes; the relay opens beside it. */
static void on_open(struct connection *connection)
{
	struct lane *lane = connection_owner(connection);
	struct peer *peer = lane->peer;
	struct grpc_call_options options = {.ops = &lane_ops,
		.owner = lane,
		.message_max = WIRE_CONTROL_MAX,
		.queue_max = lane->kind == LANE_CONTROL ? CONTROL_QUEUE_MAX : BULK_QUEUE_MAX};
	struct grpc_call_options relay = {.ops = &relay_ops,
		.owner = lane,
		.message_max = PACKET_RELAY_MAX,
		.queue_max = RELAY_QUEUE_MAX};

	if (peer->doomed || lane->closing) {
		return;
	}
	if (open_call(lane, &lane->call,
		    lane->kind == LANE_CONTROL ? SLICE("/pillion.v1.Raft/Control")
					       : SLICE("/pillion.v1.Raft/Bulk"),
		    &options) < 0) {
		close_lane(lane);
		return;
	}
	lane->open = true;
	lane->written_ms = loop_now_ms(peer->peers->node->loop);
	say_hello(lane);
	if (lane->kind == LANE_CONTROL && lane->open &&
		open_call(lane, &peer->relay, SLICE("/pillion.v1.Registry/Relay"), &relay) == 0) {
		peer->relay_open = true;
	}
	node_wake(peer->peers->node);
}

static void on_change(struct connection *connection)
{
	ASSERT(connection_owner(connection));
}

static void on_stream(struct connection *connection, struct stream *stream)
{
	ASSERT(connection && stream && false); /* clients get no requests */
}

/* The only place that arms the next attempt. A lane that worked begins again with the shortest
 * wait. */
static void on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct lane *lane = connection_owner(connection);
	struct peer *peer = lane->peer;
	struct peers *peers = peer->peers;
	uint64_t most = peer->replica.id == 0 ? KNOCK_MAX_MS : REDIAL_MAX_MS;
	bool was_open = lane->open;

	(void)why;
	(void)detail;
	ASSERT(lane->connection == connection);
	lane_down(lane);
	lane->connection = NULL;
	lane->closing = false;
	if (lane->kind == LANE_CONTROL) {
		peer->greeted = false;
	}
	if (peer->doomed || peers->closed) {
		if (peer->doomed && !is_alive(peer)) {
			list_unlink(&peer->node);
			loop_bury(peers->node->loop, free_peer, peer);
		}
		return;
	}
	/* Full jitter (RT-06). */
	lane->backoff_ms = was_open || lane->backoff_ms == 0 ? REDIAL_MIN_MS : lane->backoff_ms * 2;
	lane->backoff_ms = lane->backoff_ms > most ? most : lane->backoff_ms;
	timer_arm(peers->node->loop, &lane->redial,
		loop_now_ms(peers->node->loop) + 5 + rng_below(&peers->rng, lane->backoff_ms));
}

static const struct connection_events events = {on_open, on_stream, on_change, on_closed};

/* By literal address at once, by name through the resolver, which never blocks this thread. */
static void dial(struct lane *lane)
{
	struct peers *peers = lane->peer->peers;
	const struct state_replica *replica = &lane->peer->replica;
	const struct connection_options options = {.loop = peers->node->loop,
		.pool = &peers->pool,
		.limits = &peers->limits,
		.events = &events,
		.owner = lane,
		.out_max = lane->kind == LANE_CONTROL ? CONTROL_OUT_MAX : 0};
	struct connection_target target = {.host = replica->host,
		.port = replica->port,
		.h2 = true,
		.connect_timeout_ms = CONNECT_MS,
		.resolver = peers->node->resolver};
	char text[280];

	ASSERT(!lane->connection);
	(void)snprintf(text, sizeof text, strchr(replica->host, ':') ? "[%s]:%u" : "%s:%u",
		replica->host, replica->port);
	(void)address_parse(slice_from_string(text), false, &target.address);
	lane->connection = connection_dial(&options, &target);
}

/* The timer may fire after the peer was doomed in the same turn. */
static void on_redial(struct timer *timer)
{
	struct lane *lane = container_of(timer, struct lane, redial);

	if (!lane->connection && !lane->peer->doomed && !lane->peer->peers->closed) {
		dial(lane);
	}
}

/* Dials at once. */
static struct peer *add_peer(struct peers *peers, const struct state_replica *replica, bool seed)
{
	struct peer *peer = mem_zalloc(sizeof *peer);

	peer->peers = peers;
	peer->replica = *replica;
	peer->seed = seed;
	peers_snapshot_init(peer);
	list_init(&peer->node);
	list_push_back(&peers->list, &peer->node);
	for (int i = 0; i < LANE_COUNT; i++) {
		struct lane *lane = &peer->lanes[i];

		lane->peer = peer;
		lane->kind = (enum lane_kind)i;
		buf_init(&lane->heartbeat);
		timer_init(&lane->redial, on_redial);
		/* A seed is only asked; bulk is for those that replicate. */
		if (!seed || i == LANE_CONTROL) {
			dial(lane);
		}
	}
	return peer;
}

/* Dials nobody: peers_set and peers_knock say whom. */
struct peers *peers_create(struct raftreg_node *node)
{
	struct peers *peers = mem_zalloc(sizeof *peers);

	peers->node = node;
	list_init(&peers->list);
	task_init(&peers->wrote, run_wrote);
	block_pool_init(&peers->pool, 64);
	http_limits_default(&peers->limits);
	rng_seed_system(&peers->rng);
	return peers;
}

/* The end of the replica: nothing is told to the core any more. */
void peers_close(struct peers *peers)
{
	peers->closed = true;
	LIST_FOR_EACH_SAFE(node, &peers->list) {
		doom(LIST_ENTRY(node, struct peer, node));
	}
}

/* peers_close and some turns of the loop came before: every connection reported its
 * end. */
void peers_destroy(struct peers *peers)
{
	if (!peers) {
		return;
	}
	ASSERT(list_empty(&peers->list));
	task_cancel(&peers->wrote);
	block_pool_fini(&peers->pool);
	mem_free(peers);
}

static bool is_same_place(const struct state_replica *a, const struct state_replica *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Those that stay keep their connections: a membership change must not cost a round of
 * dialling. */
void peers_set(struct peers *peers, const struct state_replica *replicas, size_t count)
{
	/* What the store finishes while the replica ends may still change the configuration. */
	if (peers->closed) {
		return;
	}
	LIST_FOR_EACH(node, &peers->list) {
		LIST_ENTRY(node, struct peer, node)->wanted = false;
	}
	for (size_t i = 0; i < count; i++) {
		struct peer *peer = peers_find(peers, replicas[i].id);

		if (replicas[i].id == peers->node->self.id) {
			continue;
		}
		if (peer && (peer->seed || !is_same_place(&peer->replica, &replicas[i]))) {
			doom(peer);
			peer = NULL;
		}
		peer = peer ? peer : add_peer(peers, &replicas[i], false);
		peer->wanted = true;
	}
	LIST_FOR_EACH_SAFE(node, &peers->list) {
		struct peer *peer = LIST_ENTRY(node, struct peer, node);

		if (!peer->wanted && !peer->seed && !peer->doomed) {
			doom(peer);
		}
	}
}

/* Seeds stay dialled until somebody counts us in, then they are let go: members are dialled by
 * their records. */
void peers_knock(struct peers *peers, bool enabled)
{
	const struct node_settings *settings = &peers->node->settings;

	if (enabled == peers->knocking || peers->closed) {
		return;
	}
	peers->knocking = enabled;
	for (size_t i = 0; enabled && i < settings->seed_count; i++) {
		struct state_replica replica = {.port = settings->seeds[i].port};

		(void)snprintf(replica.host, sizeof replica.host, "%s", settings->seeds[i].host);
		(void)add_peer(peers, &replica, true);
	}
	if (enabled) {
		return;
	}
	LIST_FOR_EACH_SAFE(node, &peers->list) {
		struct peer *peer = LIST_ENTRY(node, struct peer, node);

		if (peer->seed && !peer->doomed) {
			doom(peer);
		}
	}
}

/* RC-10: what cannot be sent is lost, and the core copes. Only the failure counts
 * (RT-06). */
void peers_send(struct peers *peers, uint64_t to, enum peers_way way, struct slice bytes)
{
	struct peer *peer = peers_find(peers, to);
	struct lane *lane =
		peer ? &peer->lanes[way == PEERS_BULK ? LANE_BULK : LANE_CONTROL] : NULL;

	if (!lane || !lane->open || lane->closing) {
		return;
	}
	if (way == PEERS_HEARTBEAT) {
		buf_clear(&lane->heartbeat);
		/* Something older has not left yet: only the newest of these shall follow it. */
		if (lane_unsent(lane) > lane->fresh) {
			buf_append_slice(&lane->heartbeat, bytes);
			return;
		}
	}
	if (peers_lane_send(lane, bytes) < 0 && lane->connection) {
		/* RT-06: an overflow closes. From a task of the connection's own, not from here:
		 * the core is being stepped. */
		lane->closing = true;
		connection_close(lane->connection, REASON_shutdown, true);
	}
}

/* RT-06: a socket that takes nothing for so long leads nowhere. */
static void tick_lane(struct lane *lane, uint64_t now_ms)
{
	const struct raftreg_node *node = lane->peer->peers->node;
	uint64_t written = lane->open && !lane->closing ? connection_written(lane->connection) : 0;
	size_t unsent = lane->open && !lane->closing ? lane_unsent(lane) : 0;

	if (unsent == 0 || written != lane->written) {
		lane->written = written;
		lane->written_ms = now_ms;
	} else if (now_ms - lane->written_ms >= 2 * (uint64_t)node->settings.election_ms) {
		log_event(LOG_LEVEL_WARN, "raftreg", 0, "a connection to a replica stands still",
			(struct log_field[]){LOG_TEXT("pillion.replica", lane->peer->replica.name),
				LOG_NUMBER("pillion.bytes", unsent)},
			2);
		close_lane(lane);
		return;
	}
	if (unsent == 0 && lane->heartbeat.size > 0) {
		(void)peers_lane_send(lane, buf_slice(&lane->heartbeat));
		buf_clear(&lane->heartbeat);
	}
}

void peers_tick(struct peers *peers, uint64_t now_ms)
{
	LIST_FOR_EACH(node, &peers->list) {
		struct peer *peer = LIST_ENTRY(node, struct peer, node);

		for (int i = 0; i < LANE_COUNT; i++) {
			tick_lane(&peer->lanes[i], now_ms);
		}
	}
}

size_t peers_unsent(const struct peers *peers, uint64_t id, bool bulk)
{
	const struct peer *peer = peers_find(peers, id);
	const struct lane *lane = peer ? &peer->lanes[bulk ? LANE_BULK : LANE_CONTROL] : NULL;

	return lane && lane->open && !lane->closing ? lane_unsent(lane) + lane->heartbeat.size : 0;
}

/* RD-08: over the control connection's relay stream; false keeps the request waiting
 * here. */
bool peers_relay(struct peers *peers, uint64_t to, struct slice frame)
{
	struct peer *peer = peers_find(peers, to);

	return peer && peer->relay_open && grpc_call_send(&peer->relay, frame) == 0;
}

bool peers_is_connected(const struct peers *peers, uint64_t id)
{
	const struct peer *peer = peers_find(peers, id);

	return peer && peer->lanes[LANE_CONTROL].open;
}

/* Every one of them, or none: a seed that is silent may belong to a cluster that we do not see
 * (RB-02). */
bool peers_all_empty(const struct peers *peers, uint64_t seeds_digest, const char *self,
	bool *ret_lowest, size_t *ret_others)
{
	static const uint8_t none[16];
	size_t others = 0;
	bool lowest = true;

	LIST_FOR_EACH(node, &peers->list) {
		const struct peer *peer = LIST_ENTRY(node, struct peer, node);
		char address[300];

		if (!peer->seed || peer->doomed) {
			continue;
		}
		if (!peer->greeted || memcmp(peer->hello.uuid, none, 16) != 0 ||
			!peer->hello.with_seeds || peer->hello.seeds != seeds_digest) {
			return false;
		}
		if (peer->hello.self.id == peers->node->self.id) {
			continue;
		}
		others++;
		node_status_address(&peer->hello.self, address);
		lowest = lowest && strcmp(self, address) < 0;
	}
	*ret_lowest = lowest;
	*ret_others = others;
	return others > 0;
}
