#include "support.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/endpoint.h"
#include "net/listener.h"
#include "net/mailbox.h"
#include "net/transport.h"
#include "upstream/connection.h"

#define CONNECTIONS_MAX 256

struct host {
	struct loop *loop;
	struct block_pool pool;
	struct http_limits limits;
	struct listener *listener;
	int fd;
	uint16_t port;
	pthread_t thread;
	bool running, stopping;
	struct raftreg_door *door;
	struct endpoint endpoints[RAFTREG_ENDPOINTS];
	struct connection *connections[CONNECTIONS_MAX];
};

static void on_head(struct stream *stream, struct head *head, bool end)
{
	struct host *host = stream->owner;
	const struct endpoint *endpoint =
		endpoint_find(host->endpoints, RAFTREG_ENDPOINTS, ENDPOINT_INBOUND, head->path);
	const struct endpoint_request request = {.stream = stream,
		.head = head,
		.end = end,
		.direction = ENDPOINT_INBOUND,
		.peer = connection_peer(connection_of_stream(stream)),
		.mesh_peer = true};

	assert_non_null(endpoint);
	endpoint->open(endpoint->context, &request);
}

static void on_body(struct stream *stream, struct chain *body, bool end)
{
	(void)stream;
	(void)body;
	(void)end;
}

static void on_sent(struct stream *stream, size_t n)
{
	(void)stream;
	(void)n;
}

static void on_reset(struct stream *stream, enum reason why)
{
	stream_reset(stream, why);
}

static const struct stream_ops ops = {on_head, on_body, on_sent, on_reset};

static void on_stream(struct connection *connection, struct stream *stream)
{
	stream->ops = &ops;
	stream->owner = connection_owner(connection);
}

static void on_change(struct connection *connection)
{
	(void)connection;
}

static void on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct host *host = connection_owner(connection);

	(void)why;
	(void)detail;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (host->connections[i] == connection) {
			host->connections[i] = NULL;
		}
	}
}

static const struct connection_events events = {NULL, on_stream, on_change, on_closed};

static void on_accept(void *owner, struct transport *transport)
{
	struct host *host = owner;
	const struct connection_options options = {.loop = host->loop,
		.pool = &host->pool,
		.limits = &host->limits,
		.events = &events,
		.owner = host};

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (!host->connections[i]) {
			host->connections[i] = connection_accept(&options, transport);
			return;
		}
	}
	transport_close(transport, true);
}

struct host *support_host_create(void)
{
	struct host *host = mem_zalloc(sizeof *host);
	struct address address;
	socklen_t size = sizeof address.u;

	assert_int_equal(loop_create(&host->loop), 0);
	assert_true(address_parse(SLICE("127.0.0.1:0"), true, &address));
	assert_int_equal(listener_bind(&address, 1, &host->fd), 0);
	assert_int_equal(getsockname(host->fd, &address.u.any, &size), 0);
	address.size = size;
	host->port = address_port(&address);
	http_limits_default(&host->limits);
	block_pool_init(&host->pool, 64);
	return host;
}

uint16_t support_host_port(const struct host *host)
{
	return host->port;
}

struct loop *support_host_loop(struct host *host)
{
	return host->loop;
}

static void *run(void *context)
{
	struct host *host = context;
	struct listener_options options = {
		.fd = dup(host->fd), .on_accept = on_accept, .owner = host};

	assert_int_equal(listener_create(host->loop, &options, &host->listener), 0);
	loop_run(host->loop);
	listener_destroy(host->listener, false);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (host->connections[i]) {
			connection_close(host->connections[i], REASON_shutdown, true);
		}
	}
	for (int i = 0; i < 16; i++) {
		loop_turn(host->loop, 0);
	}
	return NULL;
}

void support_host_start(struct host *host, struct raftreg_node *node)
{
	struct loop *loops[1] = {host->loop};

	host->door = raftreg_door_create(node, loops, 1);
	assert_int_equal(raftreg_door_endpoints(host->door, host->endpoints), RAFTREG_ENDPOINTS);
	assert_int_equal(pthread_create(&host->thread, NULL, run, host), 0);
	host->running = true;
}

struct stop_mail {
	struct mail mail;
	struct host *host;
};

static void deliver_stop(struct mail *mail)
{
	struct stop_mail *stop = container_of(mail, struct stop_mail, mail);

	loop_stop(stop->host->loop);
	mem_free(stop);
}

void support_host_stop(struct host *host)
{
	struct stop_mail *stop = mem_zalloc(sizeof *stop);

	assert_true(host->running);
	stop->mail.deliver = deliver_stop;
	stop->host = host;
	mailbox_post(loop_mailbox(host->loop), &stop->mail);
	pthread_join(host->thread, NULL);
	host->running = false;
}

/* What the node still sent is delivered first: this loop goes on after the door has gone. */
static void destroy_door(struct host *host)
{
	for (int i = 0; i < 4; i++) {
		loop_turn(host->loop, 0);
	}
	raftreg_door_destroy(host->door);
	host->door = NULL;
	for (int i = 0; i < 4; i++) {
		loop_turn(host->loop, 0);
	}
}

void support_host_forget(struct host *host)
{
	assert_false(host->running);
	destroy_door(host);
}

void support_host_destroy(struct host *host)
{
	if (host->running) {
		support_host_stop(host);
	}
	destroy_door(host);
	loop_destroy(host->loop);
	block_pool_fini(&host->pool);
	close(host->fd);
	mem_free(host);
}

struct config *support_config(const char *name, enum config_role role,
	enum config_bootstrap bootstrap, const uint16_t *seeds)
{
	struct config *config = mem_zalloc(sizeof *config);
	struct config_host *hosts = mem_zalloc(SUPPORT_HOSTS * sizeof *hosts);
	size_t count = 0;

	for (; seeds && seeds[count] != 0; count++) {
		hosts[count] = (struct config_host){.host = "127.0.0.1", .port = seeds[count]};
	}
	config->self.name = name;
	config->registry = (struct config_registry){.kind = CONFIG_REGISTRY_RAFT,
		.role = role,
		.bootstrap = bootstrap,
		.insecure = true,
		.heartbeat_ms = 50,
		.election_ms = 400,
		.session_ttl_ms = 6000,
		.renew_ms = 500,
		.bookmark_ms = 200,
		.expire_per_s = 500,
		.state_bytes_max = 256u << 20};
	config->registry.seeds.items = hosts;
	config->registry.seeds.count = count;
	return config;
}

void support_config_free(struct config *config)
{
	mem_free((void *)(uintptr_t)config->registry.seeds.items);
	mem_free(config);
}

char *support_directory(void)
{
	char *path = mem_strdup("/tmp/pillion-raftreg-XXXXXX");

	assert_non_null(mkdtemp(path));
	return path;
}

void support_remove(char *directory)
{
	char command[256];

	(void)snprintf(command, sizeof command, "rm -rf '%s'", directory);
	assert_int_equal(system(command), 0);
	mem_free(directory);
}

bool support_until(
	struct loop *loop, bool (*condition)(void *context), void *context, unsigned timeout_ms)
{
	uint64_t end = clock_monotonic_ms() + timeout_ms;

	while (!condition(context)) {
		if (clock_monotonic_ms() >= end) {
			return false;
		}
		loop_turn(loop, 10);
	}
	return true;
}
