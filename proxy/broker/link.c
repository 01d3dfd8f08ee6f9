/*
 * link: the dialled side of the stream between two sidecars (docs/rules/broker.md 11): one
 * connection per owner worker and peer, one gRPC stream on it, many lanes.
 */
#include <errno.h>
#include <stdio.h>

#include "base/address.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/lane.h"
#include "http/grpc.h"
#include "upstream/connection.h"

#define CONNECT_MS  1000
#define WELCOME_MS  5000  /* B11-01 */
#define IDLE_MS	    60000 /* after its last lane */
#define COOL_MIN    50
#define COOL_MAX    5000
#define QUEUE_MAX   ((size_t)1 << 20)
#define MESSAGE_MAX ((size_t)8 << 20) /* of results */
#define GARBLED_MAX 3		      /* B11-03 */

enum link_state { LINK_CONNECTING, LINK_GREETING, LINK_READY, LINK_DEAD };

struct link {
	struct desk *desk;
	char key[288]; /* "host:port" */
	char host[256];
	enum link_state state;
	struct connection *connection;
	struct grpc_call call;
	bool calling; /* the call was opened and not let go */
	struct list_node lanes;
	unsigned lane_count;
	uint64_t deadline_ms; /* of the welcome */
	uint64_t empty_since_ms;
	unsigned garbled; /* messages in a row that arrived with a wrong sum */
};

/* From the graveyard, when no callback of its connection can come any more. */
static void free_link(void *object)
{
	mem_free(object);
}

/* Lanes hear of it, the call and the connection go; the memory follows the connection. */
static void kill_link(struct link *link, const char *why)
{
	struct list_node *node;

	if (link->state == LINK_DEAD) {
		return;
	}
	if (link->lane_count > 0) {
		counters_add(&link->desk->broker->counters.link_errors, 1);
		log_event(LOG_LEVEL_INFO, "broker", 0, "a link to another sidecar ended",
			(struct log_field[]){LOG_TEXT("pillion.peer", link->key),
				LOG_TEXT("error.message", why)},
			2);
	}
	link->state = LINK_DEAD;
	(void)map_remove(&link->desk->links, slice_from_string(link->key));
	while ((node = list_pop_front(&link->lanes))) {
		struct lane *lane = LIST_ENTRY(node, struct lane, link_node);

		lane->link = NULL;
		link->lane_count--;
		lane->cool_ms = lane->cool_ms == 0 ? COOL_MIN : lane->cool_ms * 2;
		lane->cool_ms = lane->cool_ms > COOL_MAX ? COOL_MAX : lane->cool_ms;
		/* B10-09: a link lost with a delivery open is SUSPECT; all else costs nothing. */
		lane_lost(lane, RESULT_SUSPECT, lane->cool_ms);
	}
	if (link->calling) {
		link->calling = false;
		grpc_call_fini(&link->call);
	}
	if (link->connection) {
		connection_close(link->connection, REASON_ok, false);
	} else {
		loop_bury(link->desk->loop, free_link, link);
	}
}

/* The groups look for themselves what they can send now. */
static void wake_lanes(struct link *link)
{
	LIST_FOR_EACH(node, &link->lanes) {
		topic_wake(LIST_ENTRY(node, struct lane, link_node)->group->topic);
	}
}

/* Version 0 means that the two have none in common (B11-01). */
static void take_welcome(struct link *link, const struct frame *frame)
{
	if (frame->version_min == 0) {
		kill_link(link, "no common version of the link");
		return;
	}
	link->state = LINK_READY;
	wake_lanes(link);
}

/* Unknown kinds are of a later version and ignored; broken ones end the link. */
static void on_message(struct grpc_call *call, struct slice message)
{
	struct link *link = call->owner;
	struct frame *frame;
	int status = frame_decode(message, false, &frame);

	if (status == -ENOSYS) {
		return; /* a kind of a later version (B11-02) */
	}
	if (status < 0) {
		kill_link(link, "a malformed frame came");
		return;
	}
	if (frame->kind == FRAME_WELCOME) {
		take_welcome(link, frame);
		frame_destroy(frame);
		return;
	}
	if (frame->kind == FRAME_DRAIN && frame->lane == 0) {
		LIST_FOR_EACH(node, &link->lanes) {
			LIST_ENTRY(node, struct lane, link_node)->drained = true;
		}
		frame_destroy(frame);
		return;
	}
	lane_receive(link->desk, frame);
	if (link->garbled >= GARBLED_MAX) {
		log_event(LOG_LEVEL_ERROR, "broker", 6005,
			"another sidecar received messages with a wrong sum",
			(struct log_field[]){LOG_TEXT("pillion.peer", link->key)}, 1);
		kill_link(link, "messages arrived with a wrong sum");
	}
}

/* A link has no natural end: whoever closes its direction wants no more. */
static void on_half_close(struct grpc_call *call)
{
	kill_link(call->owner, "the other side ended the stream");
}

/* Also a refusal by the other side comes this way, with its status. */
static void on_call_closed(struct grpc_call *call, int status, struct slice text)
{
	struct link *link = call->owner;
	char why[160];

	(void)snprintf(why, sizeof why, "status %d %.*s", status,
		(int)(text.size < 100 ? text.size : 100), (const char *)text.data);
	kill_link(link, why);
}

/* The queue has room again. */
static void on_drained(struct grpc_call *call)
{
	wake_lanes(call->owner);
}

static const struct grpc_call_ops link_call_ops = {
	on_message, on_half_close, on_call_closed, on_drained};

/* The first frame; everything else waits for the welcome. */
static void greet(struct link *link)
{
	struct frame *hello = frame_create(true, FRAME_HELLO, 0);
	struct buf message;

	hello->version_min = hello->version_max = FRAME_VERSION;
	memcpy(hello->sidecar, link->desk->broker->sidecar, sizeof hello->sidecar);
	hello->log = link->desk->broker->log;
	buf_init(&message);
	frame_encode(hello, &message);
	if (grpc_call_send(&link->call, buf_slice(&message)) < 0) {
		kill_link(link, "the greeting could not be sent");
	}
	buf_fini(&message);
	frame_destroy(hello);
}

/* Connected, and the peer's SETTINGS came. */
static void on_open(struct connection *connection)
{
	struct link *link = connection_owner(connection);
	struct grpc_request request = {.path = SLICE("/pillion.v1.Broker/Link"),
		.authority = slice_from_string(link->key)};
	struct grpc_call_options options = {.ops = &link_call_ops,
		.owner = link,
		.message_max = MESSAGE_MAX,
		.queue_max = QUEUE_MAX};

	if (link->state != LINK_CONNECTING) {
		return;
	}
	if (grpc_call_open(&link->call, connection_codec(connection), &request, &options) < 0) {
		kill_link(link, "no stream");
		return;
	}
	link->calling = true;
	link->state = LINK_GREETING;
	greet(link);
}

static void on_stream(struct connection *connection, struct stream *stream)
{
	ASSERT(connection && !stream); /* a client's connection accepts none */
}

/* Nothing here depends on spare streams: a link uses one. */
static void on_change(struct connection *connection)
{
	ASSERT(connection_owner(connection));
}

/* The last callback of the connection. */
static void on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct link *link = connection_owner(connection);

	if (link->state != LINK_DEAD) {
		kill_link(link, detail && detail[0] ? detail : reason_word(why));
	}
	link->connection = NULL;
	loop_bury(link->desk->loop, free_link, link);
}

static const struct connection_events link_events = {on_open, on_stream, on_change, on_closed};

/* One link per peer and desk, shared by all lanes to that sidecar. */
int link_attach(struct lane *lane)
{
	struct desk *desk = lane->group->topic->desk;
	struct connection_options options = {.loop = desk->loop,
		.pool = &desk->pool,
		.limits = &desk->link_limits,
		.events = &link_events};
	struct connection_target target = {.port = lane->port,
		.h2 = true,
		.connect_timeout_ms = CONNECT_MS,
		.resolver = desk->broker->resolver};
	char key[288];
	struct link *link;

	(void)snprintf(key, sizeof key, strchr(lane->host, ':') ? "[%s]:%u" : "%s:%u", lane->host,
		lane->port);
	link = map_get(&desk->links, slice_from_string(key));
	if (link && link->lane_count >= DESK_LANES_MAX) {
		return -EMFILE;
	}
	if (!link) {
		if (desk->links.count >= DESK_LINKS_MAX) {
			return -EMFILE;
		}
		link = mem_zalloc(sizeof *link);
		link->desk = desk;
		(void)snprintf(link->key, sizeof link->key, "%s", key);
		(void)snprintf(link->host, sizeof link->host, "%s", lane->host);
		list_init(&link->lanes);
		link->deadline_ms = desk_now_ms(desk) + WELCOME_MS;
		(void)map_set(&desk->links, slice_from_string(key), link);
		options.owner = link;
		target.host = link->host;
		if (!address_parse(slice_from_string(key), false, &target.address)) {
			target.address.size = 0;
		}
		link->connection = connection_dial(&options, &target);
	}
	list_push_back(&link->lanes, &lane->link_node);
	link->lane_count++;
	lane->link = link;
	return 0;
}

/* The tick closes it when it stays empty. */
void link_detach(struct lane *lane)
{
	struct link *link = lane->link;

	ASSERT(link && link->lane_count > 0);
	list_unlink(&lane->link_node);
	lane->link = NULL;
	if (--link->lane_count == 0) {
		link->empty_since_ms = desk_now_ms(link->desk);
	}
}

/* Half of the queue stays free, so that control frames find room behind messages. */
bool link_ready(const struct link *link)
{
	return link->state == LINK_READY && grpc_call_queued(&link->call) < QUEUE_MAX / 2;
}

/* Judged when the whole frame was taken: a link never ends inside the walk over its results. */
void link_note_sum(struct link *link, bool good)
{
	link->garbled = good ? 0 : link->garbled + 1;
}

/* Encoded into the stream's queue: the frame may go at once. */
bool link_send(struct link *link, const struct frame *frame)
{
	struct buf message;
	bool sent;

	if (link->state != LINK_READY) {
		return false;
	}
	buf_init(&message);
	frame_encode(frame, &message);
	sent = grpc_call_send(&link->call, buf_slice(&message)) == 0;
	buf_fini(&message);
	return sent;
}

/* From the end, since a dead link leaves the map. */
void link_tick(struct desk *desk)
{
	uint64_t now_ms = desk_now_ms(desk);

	for (size_t i = desk->links.count; i > 0; i--) {
		struct link *link = desk->links.entries[i - 1].value;

		if (link->state != LINK_READY && now_ms >= link->deadline_ms) {
			kill_link(link, "no welcome came");
		} else if (link->lane_count == 0 && now_ms - link->empty_since_ms > IDLE_MS) {
			kill_link(link, "idle");
		}
	}
}

/* The loop still turns some times, so that connections can end. */
void link_close_all(struct desk *desk)
{
	while (desk->links.count > 0) {
		kill_link(desk->links.entries[desk->links.count - 1].value, "shutdown");
	}
}
