/*
 * The stream of a sidecar's session: which replica, hello, welcome, and what happens when it
 * breaks. Addresses are tried in turn, our own replica first, and every failure moves on to the
 * next one, for any replica serves (it relays what needs the leader). Silence changes nothing
 * but the status: the view, the session and the command under way outlive the stream (RV-02,
 * RN-07).
 */
#include "raftreg/client.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "raftreg/client_sub.h"
#include "raftreg/viewfile.h"

/* Seeds are many and near: one that does not accept within a second is left for the
 * next. */
#define CONNECT_MS 1000
/* The declared set of a session may be 512 KiB (RD-02) and is sent again with each
 * stream. */
#define QUEUE_MAX      (4u * 1024 * 1024)
#define BACKOFF_MIN_MS 100  /* RW-08 */
#define WELCOME_MS     3000 /* RW-02: a replica that lags says so within 2 s */
/* Within this time after the start nobody is alarmed about a registry that is not
 * there yet. */
#define STARTING_MS 5000

/* The interface's registry is the first member, so the two pointers are the same
 * place. */
struct client *client_of(struct registry *registry)
{
	return (struct client *)registry;
}

uint64_t client_now_ms(const struct client *client)
{
	return loop_now_ms(client->loop);
}

/* RV-07: a stream to a replica without a quorum still serves watches and stale
 * reads, but nothing may be judged by its silence. */
bool client_is_live(const struct client *client)
{
	return client->greeted && client->quorum;
}

/* Live needs a replica that sees a leader and spoke lately; knowing something old is stale, not
 * down. */
enum registry_mode client_mode(const struct client *client)
{
	uint64_t now = client_now_ms(client);

	if (client_is_live(client) && now - client->last_word_ms < CLIENT_QUIET_MS) {
		return REGISTRY_LIVE;
	}
	if (client->last_word_ms > 0 || client->highest > 0) {
		return REGISTRY_STALE;
	}
	return now - client->started_ms < STARTING_MS ? REGISTRY_CONNECTING : REGISTRY_DOWN;
}

/* Control is told about changes only, for every tick asks this. */
void client_check_status(struct client *client)
{
	enum registry_mode mode = client_mode(client);

	if (mode == client->told_mode && client->registered == client->told_registered) {
		return;
	}
	client->told_mode = mode;
	client->told_registered = client->registered;
	if (client->on_status && !client->stopped) {
		client->on_status(client->owner);
	}
}

/* The same address is kept once, however often and by whom it is named. */
void client_add_address(struct client *client, struct slice text, bool configured)
{
	struct client_address *address;
	struct slice host;
	uint16_t port;

	if (!address_split(text, &host, &port) || host.size == 0 || host.size > 253) {
		return;
	}
	for (size_t i = 0; i < client->address_count; i++) {
		address = &client->addresses[i];
		if (address->port == port && slice_equal(host, slice_from_string(address->host))) {
			address->configured = address->configured || configured;
			return;
		}
	}
	if (client->address_count == CLIENT_ADDRESSES_MAX) {
		return;
	}
	address = &client->addresses[client->address_count++];
	memcpy(address->host, host.data, host.size);
	address->host[host.size] = '\0';
	address->port = port;
	address->configured = configured;
}

/* A stream that takes no more is broken: the next one starts with a clean queue. */
bool client_send(struct client *client, struct slice frame)
{
	if (!client->call_open) {
		return false;
	}
	if (grpc_call_send(&client->call, frame) < 0) {
		client_disconnect(client, "the stream is blocked");
		return false;
	}
	return true;
}

/* What belonged to the stream ends; what belongs to the session stays. */
static void stream_down(struct client *client)
{
	client->call_open = false;
	client->greeted = false;
	client->quorum = false;
	client->connected[0] = '\0';
	grpc_call_fini(&client->call);
}

/* The connection closes from the loop and reports by on_closed, which dials again. A
 * second reason while it closes is not interesting. */
void client_disconnect(struct client *client, const char *why)
{
	(void)snprintf(client->detail, sizeof client->detail, "%s", why);
	stream_down(client);
	if (client->connection && !client->closing) {
		client->closing = true;
		connection_close(client->connection, REASON_shutdown, false);
	}
}

/* What replicas told before makes room for what they tell now: a member that left must not be
 * dialled for ever, but the way back (the configured ones) always stays. */
static void take_addresses(struct client *client, const struct packet *welcome)
{
	struct slice rest = welcome->items;
	struct slice bytes;
	struct item item;
	size_t kept = 0;

	/* Configured ones stay; what replicas told before makes room for what they tell now. */
	for (size_t i = 0; i < client->address_count; i++) {
		if (client->addresses[i].configured || i == client->address_current) {
			if (i == client->address_current) {
				client->address_current = kept;
			}
			client->addresses[kept++] = client->addresses[i];
		}
	}
	client->address_count = kept;
	while (packet_next_item(&rest, &bytes)) {
		if (item_decode(bytes, &item) == 0 && item.op == ITEM_ADDRESS) {
			client_add_address(client, item.content, false);
		}
	}
}

/* RV-06: another cluster. Refused when registry.cluster names one. */
static bool check_cluster(struct client *client, const struct packet *welcome)
{
	static const uint8_t none[16];
	bool first = memcmp(client->uuid, none, 16) == 0;
	bool same = memcmp(client->uuid, welcome->uuid.data, 16) == 0 &&
		    client->epoch == welcome->epoch;

	if (client->pinned && memcmp(client->pin, welcome->uuid.data, 16) != 0) {
		log_event(LOG_LEVEL_ERROR, "raftreg", 3004,
			"a replica belongs to another cluster than registry.cluster names",
			(struct log_field[]){LOG_TEXT("pillion.replica", client->connected)}, 1);
		return false;
	}
	memcpy(client->uuid, welcome->uuid.data, 16);
	client->epoch = welcome->epoch;
	if (!first && !same) {
		log_event(LOG_LEVEL_WARN, "raftreg", 3004, "the cluster changed", NULL, 0);
		client->highest = 0;
		client_view_cluster_changed(client);
		client_session_cluster_changed(client);
	}
	return true;
}

/* From here on the stream is ours: watches resume where they were, the command under way is
 * repeated. */
static void on_welcome(struct client *client, const struct packet *welcome)
{
	if (welcome->uuid.size != 16) {
		client_disconnect(client, "the replica has no cluster");
		return;
	}
	if (!check_cluster(client, welcome)) {
		client_disconnect(client, "another cluster");
		return;
	}
	client->greeted = true;
	client->quorum = !(welcome->flags & PACKET_NO_QUORUM);
	(void)snprintf(client->leader, sizeof client->leader, "%.*s", (int)welcome->text.size,
		(const char *)welcome->text.data);
	client->detail[0] = '\0';
	take_addresses(client, welcome);
	log_event(LOG_LEVEL_INFO, "raftreg", 0, "connected with the registry",
		(struct log_field[]){LOG_TEXT("pillion.replica", client->connected)}, 1);
	client_sub_welcome(client);
	client_session_welcome(client);
}

/* Nothing is believed before the welcome said which cluster speaks. */
static void dispatch(struct client *client, const struct packet *frame)
{
	if (!client->greeted) {
		if (frame->kind == PACKET_WELCOME) {
			on_welcome(client, frame);
		}
		return;
	}
	switch (frame->kind) {
	case PACKET_ANSWER:
		client_session_answer(client, frame);
		break;
	case PACKET_BOOKMARK:
		/* RV-07: each bookmark says again whether the replica knows a
		 * leader. */
		client->quorum = !(frame->flags & PACKET_NO_QUORUM);
		(void)snprintf(client->leader, sizeof client->leader, "%.*s", (int)frame->text.size,
			(const char *)frame->text.data);
		client_view_frame(client, frame);
		break;
	case PACKET_BEGIN:
	case PACKET_SET:
	case PACKET_END:
	case PACKET_DELTA:
		client_view_frame(client, frame);
		break;
	case PACKET_GOAWAY:
		client_disconnect(client, "the replica stops");
		break;
	default: /* of a later version: skipped */
		break;
	}
}

/* RT-05: replicas are scanned like everybody else; a sidecar must survive a broken
 * one. Every well-formed frame, of whatever kind, is a word of the registry
 * (client_mode). */
static void on_message(struct grpc_call *call, struct slice message)
{
	struct client *client = call->owner;
	struct packet frame;

	if (packet_scan(message, PACKET_VIEW_MAX) < 0 || packet_decode(message, &frame) < 0) {
		client_disconnect(client, "malformed frame of the replica");
		return;
	}
	client->last_word_ms = client_now_ms(client);
	dispatch(client, &frame);
	client_check_status(client);
}

/* A replica that only half-closes still has a status to send; on_call_closed acts on
 * it. */
static void on_half_close(struct grpc_call *call)
{
	ASSERT(call->owner);
}

/* The replica's own words become the status's detail: that is what a person looks
 * for. */
static void on_call_closed(struct grpc_call *call, int status, struct slice text)
{
	struct client *client = call->owner;
	char why[200];

	(void)snprintf(why, sizeof why, "%s: %.*s (%d)", client->connected, (int)text.size,
		(const char *)text.data, status);
	client_disconnect(client, why);
}

static const struct grpc_call_ops call_ops = {on_message, on_half_close, on_call_closed, NULL};

/* The index tells a replica that lags not to serve us anything older (RW-02). */
static void say_hello(struct client *client)
{
	static const uint8_t none[16];
	struct packet hello = {
		.kind = PACKET_HELLO, .epoch = client->epoch, .index = client->highest};
	struct buf bytes;

	if (memcmp(client->uuid, none, 16) != 0) {
		hello.uuid = slice_make(client->uuid, 16);
	}
	buf_init(&bytes);
	packet_encode(&hello, &bytes);
	(void)client_send(client, buf_slice(&bytes));
	buf_fini(&bytes);
}

/* One stream a connection: a blocked session must not hide behind another one. */
static void on_open(struct connection *connection)
{
	struct client *client = connection_owner(connection);
	const struct grpc_call_options options = {.ops = &call_ops,
		.owner = client,
		.message_max = PACKET_VIEW_MAX,
		.queue_max = QUEUE_MAX};
	const struct grpc_request request = {.path = SLICE("/pillion.v1.Registry/Session"),
		.authority = slice_from_string(client->connected)};

	if (client->closing || client->stopped) {
		return;
	}
	if (grpc_call_open(&client->call, connection_codec(connection), &request, &options) < 0) {
		client_disconnect(client, "no stream");
		return;
	}
	client->call_open = true;
	client->connected_ms = client_now_ms(client);
	say_hello(client);
}

/* A session is one long stream: settings and windows of the peer change nothing
 * here. */
static void on_change(struct connection *connection)
{
	ASSERT(connection_owner(connection));
}

static void on_stream(struct connection *connection, struct stream *stream)
{
	ASSERT(connection && stream && false); /* clients get no requests */
}

/* RW-08: full jitter from 100 ms to a third of the ttl; the first of a row at once, for there are
 * other replicas. */
static void schedule_redial(struct client *client)
{
	uint64_t most = BACKOFF_MIN_MS;
	uint64_t rounds = client->failures / (client->address_count ? client->address_count : 1);
	uint64_t wait;

	for (uint64_t i = 0; i < rounds && most < client->ttl_ms / 3; i++) {
		most *= 2;
	}
	most = most > client->ttl_ms / 3 ? client->ttl_ms / 3 : most;
	wait = client->failures == 0 ? rng_below(&client->rng, 20) : rng_below(&client->rng, most);
	client->failures++;
	timer_arm(client->loop, &client->redial, client_now_ms(client) + 1 + wait);
}

/* The only place that arms the next attempt, so there is never more than one connection. */
static void on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct client *client = connection_owner(connection);

	ASSERT(client->connection == connection);
	if (!client->closing) {
		(void)snprintf(client->detail, sizeof client->detail, "%s: %s %s",
			client->connected, reason_word(why), detail ? detail : "");
	}
	client->connection = NULL;
	client->closing = false;
	stream_down(client);
	if (!client->stopped) {
		schedule_redial(client);
		client_check_status(client);
	}
}

static const struct connection_events events = {on_open, on_stream, on_change, on_closed};

/* Our own replica first (it stands first in the list), then the others in turn. */
void client_connect(struct client *client)
{
	const struct connection_options options = {.loop = client->loop,
		.pool = &client->pool,
		.limits = &client->limits,
		.events = &events,
		.owner = client};
	const struct client_address *address;
	struct connection_target target = {
		.h2 = true, .connect_timeout_ms = CONNECT_MS, .resolver = client->resolver};

	if (client->connection || client->stopped || client->address_count == 0) {
		return;
	}
	client->address_current = client->address_next % client->address_count;
	client->address_next = client->address_current + 1;
	address = &client->addresses[client->address_current];
	(void)snprintf(client->connected, sizeof client->connected,
		strchr(address->host, ':') ? "[%.100s]:%u" : "%.100s:%u", address->host,
		address->port);
	target.host = address->host;
	target.port = address->port;
	(void)address_parse(slice_from_string(client->connected), false, &target.address);
	client->connected_ms = client_now_ms(client);
	client->connection = connection_dial(&options, &target);
}

/* Asked before anything is started, with the same reader that the start uses: so both believe
 * the same file. */
void client_known_replicas(const char *data_dir, struct client_known *ret_known)
{
	struct client *client = mem_zalloc(sizeof *client);

	/* Only the file's own addresses are counted; nothing is started. */
	client->data_dir = mem_strdup(data_dir);
	client_view_init(client);
	viewfile_load(client);
	memcpy(ret_known->uuid, client->uuid, sizeof ret_known->uuid);
	memcpy(ret_known->addresses, client->addresses, sizeof ret_known->addresses);
	ret_known->count = client->address_count;
	client_view_fini(client);
	mem_free(client->data_dir);
	mem_free(client);
}
