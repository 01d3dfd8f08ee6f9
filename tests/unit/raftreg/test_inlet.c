/*
 * What a replica makes of the first word of another one (registry.md RT-03): streams that this test
 * opens over a real connection, as replicas do, with Hellos of its own making.
 */
#include "base/mem.h"
#include "http/grpc.h"
#include "net/resolver.h"
#include "raftreg/inlet.h"
#include "raftreg/node.h"
#include "support.h"
#include "upstream/connection.h"

#define WAIT_MS 20000
#define PEER	77u

static struct world {
	struct loop *loop;
	struct resolver *resolver;
	struct block_pool pool;
	struct http_limits limits;
	struct config *config;
	char *directory;
	struct host *host;
	struct raftreg_node *node;
} world;

/* One stream of the peer's, on a connection of its own. */
struct caller {
	struct connection *connection;
	struct grpc_call call;
	const char *path;
	bool open, gone;
	unsigned answers;
	int status; /* -1: lives */
	char text[64];
};

static bool leads(void *context)
{
	struct raftreg_node_health health;

	(void)context;
	raftreg_node_health(world.node, &health);
	return health.is_leader;
}

static int setup(void **state)
{
	struct raftreg_node_options options = {.name = "voter", .advertise_host = "127.0.0.1"};
	struct loop *loops[1];
	struct err err;

	(void)state;
	memset(&world, 0, sizeof world);
	assert_int_equal(loop_create(&world.loop), 0);
	assert_int_equal(resolver_create(&world.resolver), 0);
	block_pool_init(&world.pool, 64);
	http_limits_default(&world.limits);
	world.directory = support_directory();
	world.host = support_host_create();
	loops[0] = support_host_loop(world.host);
	world.config = support_config("voter", CONFIG_ROLE_VOTER, CONFIG_BOOTSTRAP_ALONE, NULL);
	options.config = world.config;
	options.data_dir = world.directory;
	options.advertise_port = support_host_port(world.host);
	options.resolver = world.resolver;
	options.worker_loops = loops;
	options.workers = 1;
	options.control_loop = world.loop;
	err_clear(&err);
	assert_int_equal(raftreg_node_start(&options, &world.node, &err), 0);
	support_host_start(world.host, world.node);
	assert_true(support_until(world.loop, leads, NULL, WAIT_MS));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	support_host_stop(world.host);
	raftreg_node_stop(world.node);
	support_host_destroy(world.host);
	support_config_free(world.config);
	support_remove(world.directory);
	resolver_destroy(world.resolver);
	for (int i = 0; i < 8; i++) {
		loop_turn(world.loop, 0);
	}
	block_pool_fini(&world.pool);
	loop_destroy(world.loop);
	return 0;
}

static void on_message(struct grpc_call *call, struct slice message)
{
	struct caller *caller = call->owner;
	struct slice inner;

	caller->answers += wire_peek(message, &inner) == WIRE_HELLO ? 1 : 0;
}

static void on_half_close(struct grpc_call *call)
{
	(void)call;
}

static void on_call_closed(struct grpc_call *call, int status, struct slice text)
{
	struct caller *caller = call->owner;

	caller->status = status;
	(void)snprintf(
		caller->text, sizeof caller->text, "%.*s", (int)text.size, (const char *)text.data);
}

static const struct grpc_call_ops call_ops = {on_message, on_half_close, on_call_closed, NULL};

static void on_open(struct connection *connection)
{
	struct caller *caller = connection_owner(connection);
	const struct grpc_call_options options = {.ops = &call_ops,
		.owner = caller,
		.message_max = WIRE_CONTROL_MAX,
		.queue_max = 1u << 20};
	const struct grpc_request request = {
		.path = slice_from_string(caller->path), .authority = SLICE("x")};

	assert_int_equal(
		grpc_call_open(&caller->call, connection_codec(connection), &request, &options), 0);
	caller->open = true;
}

static void on_stream(struct connection *connection, struct stream *stream)
{
	(void)connection;
	(void)stream;
	fail();
}

static void on_change(struct connection *connection)
{
	(void)connection;
}

static void on_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct caller *caller = connection_owner(connection);

	(void)why;
	(void)detail;
	caller->gone = true;
}

static const struct connection_events connection_table = {on_open, on_stream, on_change, on_closed};

static bool is_open(void *context)
{
	return ((struct caller *)context)->open;
}

static bool is_answered(void *context)
{
	return ((struct caller *)context)->answers > 0;
}

static bool is_ended(void *context)
{
	return ((struct caller *)context)->status >= 0;
}

static bool is_gone(void *context)
{
	return ((struct caller *)context)->gone;
}

/* Says hello as a start of the peer: its boot count, and a boot id that follows from it. */
static void call_as(struct caller *caller, const char *path, uint64_t boot_count)
{
	const struct connection_options options = {.loop = world.loop,
		.pool = &world.pool,
		.limits = &world.limits,
		.events = &connection_table,
		.owner = caller};
	struct connection_target target = {
		.host = "127.0.0.1", .h2 = true, .connect_timeout_ms = WAIT_MS};
	struct wire_hello *hello = mem_zalloc(sizeof *hello);
	struct buf bytes;

	*caller = (struct caller){.path = path, .status = -1};
	target.port = support_host_port(world.host);
	assert_true(address_parse(SLICE("127.0.0.1:1"), false, &target.address));
	address_set_port(&target.address, target.port);
	caller->connection = connection_dial(&options, &target);
	assert_true(support_until(world.loop, is_open, caller, WAIT_MS));
	memcpy(hello->uuid, world.node->uuid, 16);
	hello->epoch = world.node->epoch;
	hello->format = WIRE_FORMAT;
	hello->boot_count = boot_count;
	hello->boot_id = 1000 + boot_count;
	hello->self = (struct state_replica){.id = PEER, .name = "peer", .host = "127.0.0.1"};
	hello->self.port = 9;
	buf_init(&bytes);
	wire_put_hello(hello, &bytes);
	assert_int_equal(grpc_call_send(&caller->call, buf_slice(&bytes)), 0);
	buf_fini(&bytes);
	mem_free(hello);
}

static void hang_up(struct caller *caller)
{
	grpc_call_fini(&caller->call);
	if (!caller->gone) {
		connection_close(caller->connection, REASON_shutdown, false);
		assert_true(support_until(world.loop, is_gone, caller, WAIT_MS));
	}
}

/* RT-03: a newer start ends both streams of the older one; a late word of the older is refused, and
 * does the newer no harm; the same start may have as many streams as it likes. */
static void test_newer_start(void **state)
{
	struct caller old_control, old_bulk, fresh, late, again;

	(void)state;
	call_as(&old_control, "/pillion.v1.Raft/Control", 5);
	assert_true(support_until(world.loop, is_answered, &old_control, WAIT_MS));
	call_as(&old_bulk, "/pillion.v1.Raft/Bulk", 5);
	call_as(&fresh, "/pillion.v1.Raft/Control", 6);
	assert_true(support_until(world.loop, is_answered, &fresh, WAIT_MS));
	assert_true(support_until(world.loop, is_ended, &old_control, WAIT_MS));
	assert_true(support_until(world.loop, is_ended, &old_bulk, WAIT_MS));
	assert_int_equal(old_control.status, INLET_ABORTED);
	assert_int_equal(old_bulk.status, INLET_ABORTED);
	call_as(&late, "/pillion.v1.Raft/Bulk", 5);
	assert_true(support_until(world.loop, is_ended, &late, WAIT_MS));
	assert_int_equal(late.status, INLET_ABORTED);
	assert_string_equal(late.text, "an older start of this replica");
	call_as(&again, "/pillion.v1.Raft/Control", 6);
	assert_true(support_until(world.loop, is_answered, &again, WAIT_MS));
	assert_int_equal(fresh.status, -1);
	hang_up(&old_control);
	hang_up(&old_bulk);
	hang_up(&fresh);
	hang_up(&late);
	hang_up(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_newer_start, setup, teardown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
