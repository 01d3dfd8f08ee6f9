#include "admin/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/check.h"
#include "admin/guard.h"
#include "admin/pace.h"
#include "admin/socket.h"
#include "admin/writer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/schema.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/timer.h"
#include "net/transport.h"
#include "upstream/connection.h"

#define HEAD_MAX     16384 /* AD-05 */
#define HEAD_TIME_MS 5000
#define BODY_TIME_MS 30000
#define IDLE_TIME_MS 60000
#define LOOK_TIME_MS 1000 /* how often bodies and readers are looked at */
/* More would let one client of HTTP/2 hold a body of 1 MiB on each of a hundred streams. */
#define H2_STREAMS 1

/* AD-05: TCP never starves the Unix socket. */
static const unsigned connections_max[ADMIN_DOORS] = {16, 64, 64};
/* Beyond them so many more are told so by 503; the rest is closed. */
#define SURPLUS_MAX 8

struct admin_listener {
	struct admin *admin;
	enum admin_door door;
	struct listener *listener;
	unsigned connections;
	unsigned surplus; /* beyond connections_max, not counted above */
};

struct admin {
	struct control *control;
	struct loop *loop;
	struct block_pool pool;
	struct http_limits limits;
	struct http_limits surplus_limits;
	struct admin_listener doors[ADMIN_DOORS];
	struct list_node connections;
	struct list_node gathering; /* calls whose body is not whole, oldest first */
	struct list_node writers;
	struct timer look;
	struct admin_socket socket;
	struct admin_guard guard;
};

struct admin_connection {
	struct list_node node;
	struct admin *admin;
	struct admin_listener *from;
	struct connection *connection;
	struct admin_pace pace;
	bool surplus;
	char peer[64];
};

/* The one end of a call, whether it was answered, refused or left by its client. */
static void free_call(struct admin_call *call)
{
	list_unlink(&call->gathering);
	mem_free(call->query);
	mem_free(call->body);
	json_decref(call->json);
	mem_free(call);
}

/* AD-07: every change is one line. */
static void audit(const struct admin_call *call, int status)
{
	if (call->route && call->route->class == ADMIN_M) {
		log_event(LOG_LEVEL_INFO, "admin", 0, "administration",
			(struct log_field[]){LOG_TEXT("source.address", call->peer),
				LOG_TEXT("url.path", call->route->path),
				LOG_NUMBER("http.response.status_code", status)},
			3);
	}
}

/* AD-03: nothing of this interface may be cached, guessed at or embedded by another site. */
static void add_guards(struct head *head)
{
	head_add(head, SLICE("cache-control"), SLICE("no-store"));
	head_add(head, SLICE("x-content-type-options"), SLICE("nosniff"));
	head_add(head, SLICE("cross-origin-resource-policy"), SLICE("same-origin"));
}

/* RA-01: what the answer is based on, where it is the registry's or about it. */
static void add_registry(const struct admin_call *call, struct head *head)
{
	const struct registry *registry = control_registry(call->control);
	struct registry_status status;
	char text[REGISTRY_TEXT_MAX];

	if (registry && call->route) {
		registry->ops->status(registry, &status);
		head_add_token(head, TOKEN_x_pillion_registry,
			slice_from_string(
				registry_text(status.mode, status.index, status.age_ms, text)));
	}
}

/* Every answer ends here, and with it the call. A client that has left is no error: the handler
 * did its work, the audit line is written, only the bytes have nowhere to go. */
void admin_answer_text(struct admin_call *call, int status, const char *type, struct slice text)
{
	struct arena arena;
	struct head head;

	audit(call, status);
	if (call->unary) {
		arena_init(&arena);
		head_init(&head, &arena, HEAD_RESPONSE);
		reply_plain(&head, status, slice_from_string(type), text.size);
		add_guards(&head);
		add_registry(call, &head);
		head.close = call->surplus;
		if (call->allow) {
			head_add_token(&head, TOKEN_allow, slice_from_string(call->allow));
		}
		unary_reply(call->unary, &head, text);
		arena_fini(&arena);
	}
	free_call(call);
}

/* ASCII only, so that no terminal and no log is driven by a name that somebody registered. */
void admin_answer_json(struct admin_call *call, int status, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);

	ASSERT(text);
	json_decref(json);
	admin_answer_text(call, status, "application/json", slice_from_string(text));
	free(text);
}

/* AD-06: the fix comes from codes.def, hence a code without a row shows none; the message never
 * holds bytes of the request. */
void admin_answer_error(
	struct admin_call *call, int status, unsigned code, const char *reason, const char *message)
{
	const struct code_info *info = code_info(code);
	char number[16];
	json_t *error;

	(void)snprintf(number, sizeof number, "PIL%u", code);
	error = json_pack("{s:s, s:s, s:s}", "reason", reason, "code", number, "message", message);
	ASSERT(error);
	if (info) {
		json_object_set_new(error, "fix", json_string(info->fix));
	}
	admin_answer_json(call, status, json_pack("{s:o}", "error", error));
}

/* Looked up by the name in front of `=`; the first of several wins. Names that the route does not
 * list were refused before (AD-06). */
const char *admin_parameter(const struct admin_call *call, const char *name)
{
	size_t size = strlen(name);

	for (const char *pair = call->query; pair && *pair; pair += strlen(pair) + 1) {
		if (strncmp(pair, name, size) == 0 && pair[size] == '=') {
			return pair + size + 1;
		}
	}
	return NULL;
}

/* -1: no digit, so the percent sign stays as it is. */
static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9') {
		return digit - '0';
	}
	digit = (char)(digit | 0x20);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Percent-decodes in place of the result; '+' stays (these are names and numbers). */
static void decode(struct slice text, char *ret_text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < text.size && used + 1 < size; i++) {
		char letter = (char)text.data[i];

		if (letter == '%' && i + 2 < text.size && hex_value((char)text.data[i + 1]) >= 0 &&
			hex_value((char)text.data[i + 2]) >= 0) {
			letter = (char)(hex_value((char)text.data[i + 1]) * 16 +
					hex_value((char)text.data[i + 2]));
			i += 2;
		}
		ret_text[used++] = letter;
	}
	ret_text[used] = '\0';
}

/* Flat pairs in one allocation, which cannot become longer than the query itself. */
static char *decode_query(struct slice query)
{
	/* Each pair may grow by the '=' of a switch such as ?verbose, and by its terminator. */
	char *pairs = mem_zalloc(2 * query.size + 3);
	size_t used = 0;

	while (query.size > 0) {
		size_t end = slice_find(query, '&');

		decode(slice_make(query.data, end), pairs + used, query.size + 1);
		if (pairs[used]) {
			bool bare = strchr(pairs + used, '=') == NULL;

			used += strlen(pairs + used);
			if (bare) {
				pairs[used++] = '=';
			}
			used++;
		}
		query = end < query.size ? slice_from(query, end + 1) : (struct slice){0};
	}
	return pairs;
}

/* Matches one pattern; star segments become parts. */
static bool match(const char *pattern, struct slice path, struct admin_call *call)
{
	call->part_count = 0;
	while (*pattern) {
		if (*pattern == '*') {
			size_t end = slice_find(path, '/');

			if (end == 0 || call->part_count == ADMIN_PARTS) {
				return false;
			}
			decode(slice_make(path.data, end), call->parts[call->part_count++],
				sizeof call->parts[0]);
			path = slice_from(path, end);
			pattern++;
			continue;
		}
		if (path.size == 0 || path.data[0] != (uint8_t)*pattern) {
			return false;
		}
		path = slice_from(path, 1);
		pattern++;
	}
	return path.size == 0;
}

/* AD-06: the nearest path, for people who type. */
static void answer_unknown(struct admin_call *call, struct slice path)
{
	const char *paths[128];
	size_t count;
	const struct admin_route *routes = admin_routes(&count);
	char message[256];
	int nearest;

	count = count > ARRAY_SIZE(paths) ? ARRAY_SIZE(paths) : count;
	for (size_t i = 0; i < count; i++) {
		paths[i] = routes[i].path;
	}
	nearest = config_nearest(path, paths, count);
	(void)snprintf(message, sizeof message, "no such path%s%s; GET / lists them",
		nearest >= 0 ? "; did you mean " : "", nearest >= 0 ? paths[nearest] : "");
	admin_answer_error(call, 404, 5404, "not_found", message);
}

/* The metrics door serves health and metrics, nothing else (AD-04). */
static bool open_at(const struct admin_route *route, enum admin_door door)
{
	return door != ADMIN_METRICS ||
	       (strncmp(route->path, "/v1", 3) != 0 && strcmp(route->path, "/") != 0 &&
		       strcmp(route->path, "/wait") != 0);
}

/* The first match by method serves. A path that is known by another method only is 405, so that a
 * mistyped method is not taken for a mistyped path. */
static void route(struct admin_call *call, const struct head *head)
{
	size_t count;
	const struct admin_route *routes = admin_routes(&count);
	bool known = false;
	const char *allowed = "GET";

	for (size_t i = 0; i < count; i++) {
		if (!open_at(&routes[i], call->door) || !match(routes[i].path, head->path, call)) {
			continue;
		}
		known = true;
		if (routes[i].method != head->method) {
			allowed = routes[i].method == METHOD_POST ? "POST" : "GET";
			continue;
		}
		call->route = &routes[i];
		/* Who asks comes before what is asked: a stranger learns nothing about parameters.
		 */
		if (admin_guard_check(&call->admin->guard, call, head) && check_query(call) &&
			check_body(call)) {
			call->route->serve(call);
		}
		return;
	}
	if (known) {
		char message[64];

		(void)snprintf(message, sizeof message, "this path takes %s", allowed);
		call->allow = allowed;
		admin_answer_error(call, 405, 5405, "method_forbidden", message);
		return;
	}
	answer_unknown(call, head->path);
}

/* AD-05: the body was bounded and gathered by the unary; a terminated copy of it is easier to
 * parse than spans. */
static void on_request(struct unary *unary, struct slice body)
{
	struct admin_call *call = unary_owner(unary);
	const struct head *head = unary_head(unary);

	list_unlink(&call->gathering);
	call->unary = unary;
	if (call->surplus) {
		admin_answer_error(call, 503, 5406, "overloaded",
			"too many connections of this interface are open");
		return;
	}
	call->query = decode_query(head->query);
	if (body.size > 0) {
		call->body = mem_alloc(body.size + 1);
		memcpy(call->body, body.data, body.size);
		call->body[body.size] = '\0';
		call->body_size = body.size;
	}
	route(call, head);
}

/* The call may be in the hands of a survey, a reload or the registry. */
static void on_gone(struct unary *unary)
{
	struct admin_call *call = unary_owner(unary);

	/* A handler may still be at work for it; its answer will free the call. Before the request
	 * was whole nobody is. */
	call->unary = NULL;
	if (!call->route) {
		free_call(call);
	}
}

static const struct unary_ops unary_events = {on_request, on_gone};

/* One call per request; the connection may bring the next one after the answer. */
static void on_head(struct stream *stream, struct head *head, bool end)
{
	struct admin_connection *entry = stream->owner;
	struct endpoint_request request = {.stream = stream,
		.head = head,
		.end = end,
		.peer = connection_peer(entry->connection),
		.now_ms = loop_now_ms(entry->admin->loop)};
	struct admin_call *call = mem_zalloc(sizeof *call);

	call->admin = entry->admin;
	call->control = entry->admin->control;
	call->door = entry->from->door;
	call->surplus = entry->surplus;
	call->since_ms = request.now_ms;
	call->stream = stream;
	list_init(&call->gathering);
	if (!end) {
		list_push_back(&entry->admin->gathering, &call->gathering);
	}
	(void)snprintf(call->peer, sizeof call->peer, "%s", entry->peer);
	unary_accept(&request, ADMIN_BODY_MAX, &unary_events, call);
}

/* AD-05: a body that does not become whole in time. Nothing but this server knows of its call. */
static void refuse_late(struct admin_call *call)
{
	struct reply reply = {.reason = REASON_body_timeout,
		.grpc = -1,
		.outcome = OUTCOME_NOT_PROCESSED,
		.wall_ms = clock_wall_ms()};

	/* The gatherer of the body owns the stream until it has told of the request. */
	unary_reply_reason(call->stream->owner, &reply);
	free_call(call);
}

/* Whether this reader does not keep up. What lies in the kernel's buffer for it does not count as
 * taken: that may be megabytes, and it takes more only when a good part of it has left. */
static bool reads_too_slowly(struct admin_connection *entry, uint64_t now_ms)
{
	const struct codec *codec = connection_codec(entry->connection);
	uint64_t written = connection_written(entry->connection);
	int queued = 0;

	if (!codec || !connection_is_open(entry->connection) ||
		ioctl(transport_fd(connection_transport(entry->connection)), SIOCOUTQ, &queued) <
			0) {
		return false;
	}
	/* A Unix socket counts what its bytes cost, which may be more than they are. */
	return admin_pace_too_slow(&entry->pace, now_ms,
		written > (uint64_t)queued ? written - (uint64_t)queued : 0,
		queued > 0 || codec->has_output || codec->produced > written);
}

/* AD-05: who sends too slowly and who reads too slowly. Runs while there are connections. */
static void on_look(struct timer *timer)
{
	struct admin *admin = container_of(timer, struct admin, look);
	uint64_t now = loop_now_ms(admin->loop);

	LIST_FOR_EACH_SAFE(node, &admin->gathering) {
		struct admin_call *call = LIST_ENTRY(node, struct admin_call, gathering);

		if (now - call->since_ms >= BODY_TIME_MS) {
			refuse_late(call);
		}
	}
	LIST_FOR_EACH_SAFE(node, &admin->connections) {
		struct admin_connection *entry = LIST_ENTRY(node, struct admin_connection, node);

		if (reads_too_slowly(entry, now)) {
			connection_close(entry->connection, REASON_flush_timeout, true);
		}
	}
	if (!list_empty(&admin->connections)) {
		timer_arm(admin->loop, timer, now + LOOK_TIME_MS);
	}
}

/* The unary has replaced these operations before any byte of a body is told. */
static void on_body(struct stream *stream, struct chain *body, bool end)
{
	(void)stream;
	(void)body;
	(void)end;
	ASSERT(false); /* the unary took the stream over with its head */
}

/* Likewise. */
static void on_sent(struct stream *stream, size_t n)
{
	(void)stream;
	(void)n;
}

/* Likewise, and there is nothing to free yet. */
static void on_reset(struct stream *stream, enum reason why)
{
	/* Before a head came: nobody waits for anything. */
	stream_reset(stream, why);
}

static const struct stream_ops first_ops = {on_head, on_body, on_sent, on_reset};

/* An accepted connection is open from the start. */
static void on_open(struct connection *connection)
{
	(void)connection;
}

/* The head decides about everything; until it is there the stream belongs to its connection. */
static void on_stream(struct connection *connection, struct stream *stream)
{
	stream->ops = &first_ops;
	stream->owner = connection_owner(connection);
}

/* Draining of one connection needs nothing here. */
static void on_change(struct connection *connection)
{
	(void)connection;
}

/* Its calls have been told by on_gone; only the place in the door's count is given back. */
static void on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct admin_connection *entry = connection_owner(connection);

	(void)why;
	(void)detail;
	if (entry->surplus) {
		entry->from->surplus--;
	} else {
		entry->from->connections--;
	}
	list_unlink(&entry->node);
	mem_free(entry);
}

static const struct connection_events connection_ops = {on_open, on_stream, on_change, on_closed};

/* AD-01: who is at the other end of the Unix socket. */
static bool trusted_peer(struct transport *transport, char *ret_text, size_t size)
{
	struct ucred peer = {0};
	socklen_t length = sizeof peer;

	if (getsockopt(transport_fd(transport), SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
		return false;
	}
	(void)snprintf(ret_text, size, "uid %u pid %d", peer.uid, (int)peer.pid);
	/* Group and other users are kept out although the file's mode already does that: the mode
	 * can be changed. */
	return peer.uid == 0 || peer.uid == geteuid();
}

/* AD-05: beyond the bound of a door a few are told so, the rest is closed, so that watchers of one
 * door cannot take the descriptors of all. AD-01: strangers on the Unix socket are closed without
 * an answer, with a line that names them. */
static void on_accept(void *owner, struct transport *transport)
{
	struct admin_listener *from = owner;
	struct admin *admin = from->admin;
	struct connection_options options = {.loop = admin->loop,
		.pool = &admin->pool,
		.limits = &admin->limits,
		.events = &connection_ops};
	struct admin_connection *entry;
	char peer[64] = "";

	bool surplus = from->connections >= connections_max[from->door];

	/* Before anything is allocated for it. */
	if (surplus && from->surplus >= SURPLUS_MAX) {
		transport_close(transport, true);
		return;
	}
	if (from->door == ADMIN_UNIX && !trusted_peer(transport, peer, sizeof peer)) {
		log_event(LOG_LEVEL_WARN, "admin", 5401, "a foreign user asked for administration",
			(struct log_field[]){LOG_TEXT("source.address", peer)}, 1);
		transport_close(transport, true);
		return;
	}
	entry = mem_zalloc(sizeof *entry);
	entry->admin = admin;
	entry->from = from;
	if (from->door == ADMIN_UNIX) {
		(void)snprintf(entry->peer, sizeof entry->peer, "%s", peer);
	} else {
		char text[ADDRESS_TEXT_MAX];

		(void)snprintf(entry->peer, sizeof entry->peer, "%.63s",
			address_format(&transport->peer, text));
	}
	entry->surplus = surplus;
	if (surplus) {
		from->surplus++;
		options.limits = &admin->surplus_limits;
	} else {
		from->connections++;
	}
	list_push_back(&admin->connections, &entry->node);
	options.owner = entry;
	entry->connection = connection_accept(&options, transport);
	if (!timer_armed(&admin->look)) {
		timer_arm(admin->loop, &admin->look, loop_now_ms(admin->loop) + LOOK_TIME_MS);
	}
}

/* Each door has its own listener and count; one without a socket stays shut. */
static int open_door(struct admin *admin, enum admin_door door, int fd, struct err *err)
{
	struct admin_listener *listener = &admin->doors[door];
	struct listener_options options = {.fd = fd, .on_accept = on_accept, .owner = listener};
	int result;

	listener->admin = admin;
	listener->door = door;
	if (fd < 0) {
		return 0;
	}
	result = listener_create(admin->loop, &options, &listener->listener);
	if (result < 0) {
		err_set(err, 9001, "the admin interface cannot listen: %s", strerror(-result));
	}
	return result;
}

/* Before the listeners of the data path serve: whoever can see the sidecar can also ask it. A
 * half-made interface is taken down by admin_stop. */
static int admin_start(struct control *control, int admin_fd, int metrics_fd, struct err *err)
{
	struct admin *admin = mem_zalloc(sizeof *admin);
	int result;

	admin->control = control;
	admin->loop = control_loop(control);
	list_init(&admin->connections);
	list_init(&admin->gathering);
	list_init(&admin->writers);
	timer_init(&admin->look, on_look);
	block_pool_init(&admin->pool, 8);
	http_limits_default(&admin->limits);
	/* AD-05: tighter than the data path, for nobody here has a reason to send much. */
	admin->limits.head_bytes = HEAD_MAX;
	admin->limits.head_timeout_ms = HEAD_TIME_MS;
	admin->limits.idle_timeout_ms = IDLE_TIME_MS;
	admin->limits.h2_idle_timeout_ms = IDLE_TIME_MS;
	admin->limits.h2_streams = H2_STREAMS;
	admin->surplus_limits = admin->limits;
	admin->surplus_limits.idle_timeout_ms = HEAD_TIME_MS;
	admin->surplus_limits.h2_idle_timeout_ms = HEAD_TIME_MS;
	control_admin(control)->state = admin;
	result = admin_guard_init(&admin->guard, control, admin_fd, err);
	if (result == 0) {
		result = admin_socket_open(&admin->socket, control, err);
	}
	if (result == 0) {
		result = open_door(admin, ADMIN_UNIX, admin->socket.fd, err);
	}
	if (result == 0) {
		result = open_door(admin, ADMIN_TCP, admin_fd, err);
	}
	if (result == 0) {
		result = open_door(admin, ADMIN_METRICS, metrics_fd, err);
	}
	return result;
}

/* Addresses, socket and `hosts` are looked at where they are used; only the token has to be read
 * again. A bad file is logged, since the reload itself has been committed. */
static void admin_reload(struct control *control)
{
	struct admin *admin = control_admin(control)->state;
	struct err err;

	err_clear(&err);
	if (admin_guard_reload(&admin->guard, control, &err) < 0) {
		log_event(LOG_LEVEL_ERROR, "admin", err.code, "the admin token was not read again",
			(struct log_field[]){LOG_TEXT("error.message", err.text)}, 1);
	}
}

/* Two turns after the last connection was closed, for its blocks have to come home to this pool. */
static void dispose(void *object)
{
	struct admin *admin = object;

	block_pool_fini(&admin->pool);
	mem_free(admin);
}

/* Connections that were closed below bury themselves behind their on_closed. */
static void bury_behind(void *object)
{
	struct admin *admin = object;

	loop_bury(admin->loop, dispose, admin);
}

/* The doors shut first, then the connections, and the struct goes last and by the graveyard,
 * because on_closed of each still needs it. */
static void admin_stop(struct control *control)
{
	struct admin *admin = control_admin(control)->state;

	timer_cancel(&admin->look);
	admin_writer_stop_all(&admin->writers);
	/* Nobody new may come in while the others are sent away. */
	for (size_t door = 0; door < ADMIN_DOORS; door++) {
		if (admin->doors[door].listener) {
			listener_destroy(admin->doors[door].listener, false);
		}
	}
	LIST_FOR_EACH_SAFE(node, &admin->connections) {
		connection_close(LIST_ENTRY(node, struct admin_connection, node)->connection,
			REASON_shutdown, false);
	}
	admin_socket_close(&admin->socket);
	admin_guard_fini(&admin->guard);
	/* on_closed of each comes from the loop; two turns are enough for the last of them. */
	for (int i = 0; i < 4; i++) {
		loop_turn(admin->loop, 0);
	}
	ASSERT(list_empty(&admin->connections));
	loop_bury(admin->loop, bury_behind, admin);
}

/* For writer.c, which knows calls and no server. */
struct list_node *admin_writers(struct admin *admin)
{
	return &admin->writers;
}

/* main.c hands this to control; control knows nothing else of this room. */
struct control_plugin admin_plugin(void)
{
	return (struct control_plugin){
		.start = admin_start, .reload = admin_reload, .stop = admin_stop};
}
