/* A whole registry in one process: replicas with their threads, clients on this one's loop. */
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/resolver.h"
#include "raftreg/node.h"
#include "support.h"

#define WAIT_MS 60000 /* generous: sanitizers, other jobs */
#define VOTERS_MS                                                                                  \
	120000 /* ten election times without a late answer come late on a busy machine             \
		*/

struct sidecar {
	struct host *host;
	struct raftreg_node *node;
	struct registry *registry;
	struct config *config;
	char *directory;
	uint8_t id[16];
	unsigned results;
	enum registry_code code;
	uint64_t index;
	struct registry_call call;
	struct watch watch;
	struct instance_set *set;
	struct record_set *records;
};

struct world {
	struct loop *loop;
	struct resolver *resolver;
	struct sidecar sidecars[8];
};

static struct world world;

static int setup(void **state)
{
	(void)state;
	memset(&world, 0, sizeof world);
	assert_int_equal(loop_create(&world.loop), 0);
	assert_int_equal(resolver_create(&world.resolver), 0);
	return 0;
}

static void start_node(struct sidecar *sidecar)
{
	struct loop *loops[1] = {support_host_loop(sidecar->host)};
	struct raftreg_node_options options = {.config = sidecar->config,
		.data_dir = sidecar->directory,
		.name = sidecar->config->self.name,
		.advertise_host = "127.0.0.1",
		.advertise_port = support_host_port(sidecar->host),
		.resolver = world.resolver,
		.worker_loops = loops,
		.workers = 1,
		.control_loop = world.loop};
	struct err err;

	err_clear(&err);
	if (raftreg_node_start(&options, &sidecar->node, &err) < 0) {
		fail_msg("PIL%u %s", err.code, err.text);
	}
}

static void start_registry(struct sidecar *sidecar)
{
	struct registry_settings settings = {.loop = world.loop,
		.resolver = world.resolver,
		.config = sidecar->config,
		.instance_id = sidecar->id,
		.data_dir = sidecar->directory,
		.advertise_host = "127.0.0.1",
		.advertise_port = support_host_port(sidecar->host)};
	struct err err;

	sidecar->registry = raftreg_client_create(sidecar->node);
	assert_int_equal(sidecar->registry->ops->start(sidecar->registry, &settings, &err), 0);
}

static void start_sidecar(struct sidecar *sidecar)
{
	bool replica = sidecar->config->registry.role != CONFIG_ROLE_CLIENT;

	if (!sidecar->host) {
		sidecar->host = support_host_create();
	}
	if (!sidecar->directory) {
		sidecar->directory = support_directory();
		sidecar->id[0] = (uint8_t)(sidecar - world.sidecars + 1);
	}
	if (replica) {
		start_node(sidecar);
	}
	support_host_start(sidecar->host, sidecar->node);
	start_registry(sidecar);
}

/* Without a word to anybody: no transfer, no CLOSE. The port stays. */
static void kill_sidecar(struct sidecar *sidecar)
{
	struct host *old = sidecar->host;

	if (sidecar->registry) {
		sidecar->registry->ops->stop(sidecar->registry, false);
		raftreg_client_destroy(sidecar->registry);
		sidecar->registry = NULL;
	}
	support_host_stop(old);
	if (sidecar->node) {
		raftreg_node_stop(sidecar->node);
		sidecar->node = NULL;
	}
	support_host_forget(old);
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(world.sidecars); i++) {
		struct sidecar *sidecar = &world.sidecars[i];

		if (sidecar->registry || sidecar->node) {
			kill_sidecar(sidecar);
		}
		if (sidecar->host) {
			support_host_destroy(sidecar->host);
			support_remove(sidecar->directory);
		}
		if (sidecar->config) {
			support_config_free(sidecar->config);
		}
		instance_set_unref(sidecar->set);
		record_set_unref(sidecar->records);
	}
	resolver_destroy(world.resolver);
	for (int i = 0; i < 8; i++) {
		loop_turn(world.loop, 0);
	}
	loop_destroy(world.loop);
	return 0;
}

static void on_set(struct watch *watch, struct instance_set *set)
{
	struct sidecar *sidecar = watch->owner;

	instance_set_unref(sidecar->set);
	sidecar->set = instance_set_ref(set);
}

static void on_records(struct watch *watch, struct record_set *set)
{
	struct sidecar *sidecar = watch->owner;

	record_set_unref(sidecar->records);
	sidecar->records = record_set_ref(set);
}

static void watch(struct sidecar *sidecar, const char *name)
{
	sidecar->watch = (struct watch){.kind = WATCH_SERVICE,
		.name = name,
		.on_set = on_set,
		.on_records = on_records,
		.owner = sidecar};
	assert_int_equal(
		sidecar->registry->ops->watch_service(sidecar->registry, &sidecar->watch), 0);
}

static void on_done(struct registry_call *call, const struct registry_result *result)
{
	struct sidecar *sidecar = call->owner;

	sidecar->results++;
	sidecar->code = result->code;
	sidecar->index = result->index;
}

static void declare(struct sidecar *sidecar, const char *name, uint16_t port)
{
	const struct metadata_pair pair = {"protocol", "http"};
	const struct registry_endpoint endpoint = {
		.name = "/shop.Stock/Get", .request = "a", .response = "b", .idempotent = true};
	const struct registry_service service = {.name = name,
		.version = "1.0",
		.host = "127.0.0.1",
		.port = port,
		.protocol = "http",
		.weight = 100,
		.health = INSTANCE_UP,
		.metadata = &pair,
		.metadata_count = 1,
		.endpoints = &endpoint,
		.endpoint_count = 1};

	sidecar->results = 0;
	sidecar->call = (struct registry_call){.done = on_done, .owner = sidecar};
	sidecar->registry->ops->register_service(sidecar->registry, &service, 1, &sidecar->call);
}

static bool is_answered(void *context)
{
	return ((struct sidecar *)context)->results > 0;
}

static void await_answer(struct sidecar *sidecar)
{
	assert_true(support_until(world.loop, is_answered, sidecar, WAIT_MS));
	assert_int_equal(sidecar->code, REGISTRY_OK);
}

static bool sees_one(void *context)
{
	const struct sidecar *sidecar = context;

	return sidecar->set && sidecar->set->known && sidecar->set->count == 1;
}

static bool sees_absent(void *context)
{
	const struct sidecar *sidecar = context;

	return sidecar->set && sidecar->set->known && sidecar->set->absent;
}

/* A cluster of one by bootstrap: a client registers, another one watches. */
static void test_one_voter(void **state)
{
	struct sidecar *voter = &world.sidecars[0];
	struct sidecar *client = &world.sidecars[1];
	uint16_t seeds[2] = {0};

	(void)state;
	voter->config = support_config("voter", CONFIG_ROLE_VOTER, CONFIG_BOOTSTRAP_ALONE, NULL);
	start_sidecar(voter);
	seeds[0] = support_host_port(voter->host);
	client->config = support_config("stock", CONFIG_ROLE_CLIENT, CONFIG_BOOTSTRAP_NEVER, seeds);
	start_sidecar(client);
	watch(voter, "stock");
	assert_true(support_until(world.loop, sees_absent, voter, WAIT_MS));
	declare(client, "stock", 9000);
	await_answer(client);
	assert_true(support_until(world.loop, sees_one, voter, WAIT_MS));
	assert_int_equal(voter->set->instances[0].port, 9000);
	assert_string_equal(voter->set->instances[0].version, "1.0");
	assert_int_equal(voter->set->idempotent_count, 1);
	assert_string_equal(voter->set->idempotent_methods[0], "/shop.Stock/Get");
	/* The same again changes nothing and is accepted all the same (RD-06). */
	declare(client, "stock", 9000);
	await_answer(client);
	declare(client, "stock", 9001);
	await_answer(client);
	client->registry->ops->stop(client->registry, true);
	assert_true(support_until(world.loop, sees_absent, voter, WAIT_MS));
}

static bool has_voters(struct sidecar *sidecar, const char *count, const char *role)
{
	struct buf json;
	bool found;
	size_t seen = 0;
	const char *at;

	buf_init(&json);
	raftreg_node_status(sidecar->node, &json);
	for (at = strstr(buf_string(&json), role); at; at = strstr(at + 1, role)) {
		seen++;
	}
	found = seen == (size_t)atoi(count);
	buf_fini(&json);
	return found;
}

static bool three_voters(void *context)
{
	return has_voters(context, "3", "\"role\":\"voter\",\"state\"");
}

static bool five_voters(void *context)
{
	return has_voters(context, "5", "\"role\":\"voter\",\"state\"");
}

static void await_voters(bool (*condition)(void *context), struct sidecar *sidecar)
{
	struct buf json;

	if (support_until(world.loop, condition, sidecar, VOTERS_MS)) {
		return;
	}
	buf_init(&json);
	for (size_t i = 0; i < ARRAY_SIZE(world.sidecars); i++) {
		if (world.sidecars[i].node) {
			raftreg_node_status(world.sidecars[i].node, &json);
			buf_append_string(&json, "\n");
		}
	}
	print_message("%s\n", buf_string(&json));
	buf_fini(&json);
	fail();
}

static struct sidecar *find_leader(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(world.sidecars); i++) {
		struct raftreg_node_health health;

		if (world.sidecars[i].node) {
			raftreg_node_health(world.sidecars[i].node, &health);
			if (health.is_leader) {
				return &world.sidecars[i];
			}
		}
	}
	return NULL;
}

static bool some_leader(void *context)
{
	(void)context;
	return find_leader() != NULL;
}

/* Who leads may change at any time on a machine that is busy elsewhere. */
static struct sidecar *await_leader(void)
{
	struct sidecar *leader = NULL;
	uint64_t end = clock_monotonic_ms() + WAIT_MS;

	while (!(leader = find_leader())) {
		assert_true(clock_monotonic_ms() < end);
		assert_true(support_until(world.loop, some_leader, NULL, WAIT_MS));
	}
	return leader;
}

static bool sees_fresh_9000(void *context)
{
	const struct sidecar *sidecar = context;

	return sidecar->set->count == 1 && !sidecar->set->instances[0].suspect &&
	       sidecar->set->instances[0].port == 9000;
}

static void start_voters(size_t count)
{
	uint16_t seeds[2] = {0};

	for (size_t i = 0; i < count; i++) {
		struct sidecar *sidecar = &world.sidecars[i];

		sidecar->config = support_config("voter", CONFIG_ROLE_VOTER,
			i == 0 ? CONFIG_BOOTSTRAP_ALONE : CONFIG_BOOTSTRAP_NEVER,
			i == 0 ? NULL : seeds);
		start_sidecar(sidecar);
		seeds[0] = support_host_port(world.sidecars[0].host);
	}
}

static void start_client(struct sidecar *sidecar, const char *name)
{
	uint16_t seeds[6] = {0};

	for (size_t i = 0; i < 5 && world.sidecars[i].node; i++) {
		seeds[i] = support_host_port(world.sidecars[i].host);
	}
	sidecar->config = support_config(name, CONFIG_ROLE_CLIENT, CONFIG_BOOTSTRAP_NEVER, seeds);
	start_sidecar(sidecar);
}

/* RB-03: one by bootstrap, two that join, become voters in one change; a leader that falls silent
 * is replaced, and nothing is forgotten. */
static void test_three_voters(void **state)
{
	struct sidecar *client = &world.sidecars[5];
	struct sidecar *watcher = &world.sidecars[6];
	struct sidecar *leader;
	uint64_t begin;

	(void)state;
	start_voters(3);
	await_voters(three_voters, &world.sidecars[0]);
	start_client(client, "stock");
	start_client(watcher, "shop");
	watch(watcher, "stock");
	declare(client, "stock", 9000);
	await_answer(client);
	assert_true(support_until(world.loop, sees_one, watcher, WAIT_MS));
	leader = await_leader();
	kill_sidecar(leader);
	begin = clock_monotonic_ms();
	declare(client, "stock", 9001);
	await_answer(client);
	print_message("accepted %u ms after the leader fell silent\n",
		(unsigned)(clock_monotonic_ms() - begin));
	(void)await_leader();
	assert_true(support_until(world.loop, sees_one, watcher, WAIT_MS));
	/* Back from its own disk. */
	start_sidecar(leader);
	declare(leader, "voter", 7440);
	await_answer(leader);
}

struct space_mail {
	struct mail mail;
	struct raftreg_node *node;
	bool full;
};

static void deliver_space(struct mail *mail)
{
	struct space_mail *space = container_of(mail, struct space_mail, mail);

	node_store_events.on_space(space->node, space->full);
	mem_free(space);
}

/* As the store says it, on the registry thread. */
static void set_full(struct sidecar *sidecar, bool full)
{
	struct space_mail *space = mem_zalloc(sizeof *space);

	space->mail.deliver = deliver_space;
	space->node = sidecar->node;
	space->full = full;
	(void)mailbox_post(loop_mailbox(sidecar->node->loop), &space->mail);
}

static bool another_leads(void *context)
{
	struct sidecar *leader = find_leader();

	return leader && leader != context;
}

/* RS-14: a leader without room hands over, and the registry goes on. When nobody has room nothing
 * is accepted, and with room what waited is. */
static void test_no_room(void **state)
{
	struct sidecar *client = &world.sidecars[5];
	struct sidecar *leader;
	uint64_t until;

	(void)state;
	start_voters(3);
	await_voters(three_voters, &world.sidecars[0]);
	start_client(client, "stock");
	leader = find_leader();
	assert_non_null(leader);
	set_full(leader, true);
	assert_true(support_until(world.loop, another_leads, leader, WAIT_MS));
	declare(client, "stock", 9000);
	await_answer(client);
	for (int i = 0; i < 3; i++) {
		set_full(&world.sidecars[i], true);
	}
	declare(client, "stock", 9001);
	for (until = clock_monotonic_ms() + 500; clock_monotonic_ms() < until;) {
		loop_turn(world.loop, 10);
	}
	assert_int_equal(client->results, 0);
	for (int i = 0; i < 3; i++) {
		set_full(&world.sidecars[i], false);
	}
	await_answer(client);
}

static bool has_left(void *context)
{
	return raftreg_node_has_left(((struct sidecar *)context)->node);
}

/* The replica's sessions were asked to go: the client says so until it is connected again. */
static bool was_sent_away(void *context)
{
	const struct sidecar *sidecar = context;
	struct registry_status status;

	sidecar->registry->ops->status(sidecar->registry, &status);
	return strcmp(status.detail, "the replica stops") == 0;
}

static bool is_live(void *context)
{
	const struct sidecar *sidecar = context;
	struct registry_status status;

	sidecar->registry->ops->status(sidecar->registry, &status);
	return status.mode == REGISTRY_LIVE;
}

/* RB-05: asked to leave a leader hands over and keeps its sessions; asked for the last time it
 * sends them away too. */
static void test_leave(void **state)
{
	struct sidecar *client = &world.sidecars[5];
	struct sidecar *leader;

	(void)state;
	start_voters(3);
	await_voters(three_voters, &world.sidecars[0]);
	leader = find_leader();
	assert_non_null(leader);
	client->config = support_config("stock", CONFIG_ROLE_CLIENT, CONFIG_BOOTSTRAP_NEVER,
		(uint16_t[]){support_host_port(leader->host), 0});
	start_sidecar(client);
	assert_true(support_until(world.loop, is_live, client, WAIT_MS));
	raftreg_node_leave(leader->node, false);
	assert_true(support_until(world.loop, has_left, leader, WAIT_MS));
	assert_true(support_until(world.loop, another_leads, leader, WAIT_MS));
	assert_false(was_sent_away(client));
	raftreg_node_leave(leader->node, true);
	assert_true(support_until(world.loop, was_sent_away, client, WAIT_MS));
	assert_true(support_until(world.loop, has_left, leader, WAIT_MS));
	declare(client, "stock", 9000);
	await_answer(client);
}

/* All voters go; the clients keep their view; the voters come back with what was acknowledged. */
static void test_all_voters_killed(void **state)
{
	struct sidecar *client = &world.sidecars[5];
	struct sidecar *watcher = &world.sidecars[6];
	uint64_t until;

	(void)state;
	start_voters(3);
	await_voters(three_voters, &world.sidecars[0]);
	start_client(client, "stock");
	start_client(watcher, "shop");
	watch(watcher, "stock");
	declare(client, "stock", 9000);
	await_answer(client);
	assert_true(support_until(world.loop, sees_one, watcher, WAIT_MS));
	for (int i = 0; i < 3; i++) {
		kill_sidecar(&world.sidecars[i]);
	}
	for (until = clock_monotonic_ms() + 1000; clock_monotonic_ms() < until;) {
		loop_turn(world.loop, 10);
	}
	assert_int_equal(watcher->set->count, 1);
	for (int i = 0; i < 3; i++) {
		start_sidecar(&world.sidecars[i]);
	}
	(void)await_leader();
	declare(watcher, "shop", 9100);
	await_answer(watcher);
	assert_int_equal(watcher->set->count, 1);
	assert_true(support_until(world.loop, sees_fresh_9000, watcher, WAIT_MS));
}

/* RB-02: three that know the same seeds and nothing else agree who begins. */
static void test_with_seeds(void **state)
{
	struct sidecar *client = &world.sidecars[5];
	uint16_t seeds[4] = {0};

	(void)state;
	for (int i = 0; i < 3; i++) {
		world.sidecars[i].host = support_host_create();
		seeds[i] = support_host_port(world.sidecars[i].host);
	}
	for (int i = 0; i < 3; i++) {
		world.sidecars[i].config = support_config(
			"voter", CONFIG_ROLE_VOTER, CONFIG_BOOTSTRAP_WITH_SEEDS, seeds);
		start_sidecar(&world.sidecars[i]);
	}
	assert_true(support_until(world.loop, three_voters, &world.sidecars[1], WAIT_MS));
	start_client(client, "stock");
	declare(client, "stock", 9000);
	await_answer(client);
}

static bool sees_8000(void *context)
{
	return sees_one(context) && ((struct sidecar *)context)->set->instances[0].port == 8000;
}

static bool sees_9059(void *context)
{
	return sees_one(context) && ((struct sidecar *)context)->set->instances[0].port == 9059;
}

/* A fourth and a fifth voter by starting them; the log is behind a snapshot by then. */
static void test_five_voters(void **state)
{
	struct sidecar *client = &world.sidecars[5];
	struct sidecar *leader;
	uint16_t seeds[2] = {0};

	(void)state;
	start_voters(3);
	await_voters(three_voters, &world.sidecars[0]);
	for (int i = 0; i < 3; i++) {
		atomic_store(&world.sidecars[i].node->snapshot_log_bytes, 20000);
		atomic_store(&world.sidecars[i].node->kept_entries, 5);
	}
	start_client(client, "stock");
	for (uint16_t i = 0; i < 60; i++) {
		declare(client, "stock", (uint16_t)(9000 + i));
		await_answer(client);
	}
	seeds[0] = support_host_port(world.sidecars[0].host);
	for (int i = 3; i < 5; i++) {
		world.sidecars[i].config =
			support_config("voter", CONFIG_ROLE_VOTER, CONFIG_BOOTSTRAP_NEVER, seeds);
		start_sidecar(&world.sidecars[i]);
	}
	leader = await_leader();
	await_voters(five_voters, leader);
	/* What the newcomers know came in a snapshot. */
	watch(&world.sidecars[4], "stock");
	assert_true(support_until(world.loop, sees_9059, &world.sidecars[4], WAIT_MS));
	kill_sidecar(leader);
	declare(client, "stock", 8000);
	await_answer(client);
	for (int i = 0; i < 5; i++) {
		struct raftreg_node_health health;

		if (world.sidecars[i].node) {
			raftreg_node_health(world.sidecars[i].node, &health);
			assert_false(health.role_stopped);
		}
	}
	start_sidecar(leader);
	watch(leader, "stock");
	assert_true(support_until(world.loop, sees_8000, leader, WAIT_MS));
}

static void on_prefix(struct watch *watch, struct record_set *set)
{
	on_records(watch, set);
}

static bool sees_records(void *context)
{
	const struct sidecar *sidecar = context;

	return sidecar->records && sidecar->records->count == 2;
}

static bool sees_one_record(void *context)
{
	const struct sidecar *sidecar = context;

	return sidecar->records && sidecar->records->count == 1;
}

static void put(struct sidecar *sidecar, const char *key, const char *value, bool session,
	uint64_t expected)
{
	const struct registry_record record = {.key = slice_from_string(key),
		.value = slice_from_string(value),
		.session = session};

	sidecar->results = 0;
	sidecar->call = (struct registry_call){.done = on_done, .owner = sidecar};
	sidecar->registry->ops->put_record(sidecar->registry, "/ps/member/orders/billing", &record,
		false, expected, &sidecar->call);
	assert_true(support_until(world.loop, is_answered, sidecar, WAIT_MS));
}

/* Records of broker groups: a prefix is watched, conflicts are told, a session takes its own along.
 */
static void test_records(void **state)
{
	struct sidecar *voter = &world.sidecars[0];
	struct sidecar *client = &world.sidecars[1];
	uint16_t seeds[2] = {0};

	(void)state;
	voter->config = support_config("voter", CONFIG_ROLE_VOTER, CONFIG_BOOTSTRAP_ALONE, NULL);
	start_sidecar(voter);
	seeds[0] = support_host_port(voter->host);
	client->config = support_config("stock", CONFIG_ROLE_CLIENT, CONFIG_BOOTSTRAP_NEVER, seeds);
	start_sidecar(client);
	voter->watch = (struct watch){.kind = WATCH_RECORDS,
		.prefix = true,
		.name = "/ps/",
		.on_set = on_set,
		.on_records = on_prefix,
		.owner = voter};
	assert_int_equal(voter->registry->ops->watch_service(voter->registry, &voter->watch), 0);
	put(client, "a", "1", true, UINT64_MAX);
	assert_int_equal(client->code, REGISTRY_OK);
	put(client, "b", "2", false, 0);
	assert_int_equal(client->code, REGISTRY_OK);
	assert_true(support_until(world.loop, sees_records, voter, WAIT_MS));
	put(client, "b", "3", false, 0);
	assert_int_equal(client->code, REGISTRY_CONFLICT);
	put(client, "b", "4", false, UINT64_MAX);
	assert_int_equal(client->code, REGISTRY_OK);
	client->registry->ops->stop(client->registry, true);
	assert_true(support_until(world.loop, sees_one_record, voter, WAIT_MS));
	assert_true(slice_equal(voter->records->records[0].value, SLICE("4")));
}

static bool sees_suspect(void *context)
{
	const struct sidecar *sidecar = context;

	return sidecar->set && sidecar->set->count == 1 && sidecar->set->instances[0].suspect;
}

/* RN-05: a sidecar that vanishes is suspect after its ttl and gone half a ttl later. */
static void test_expiry(void **state)
{
	struct sidecar *voter = &world.sidecars[0];
	struct sidecar *client = &world.sidecars[1];
	uint16_t seeds[2] = {0};

	(void)state;
	voter->config = support_config("voter", CONFIG_ROLE_VOTER, CONFIG_BOOTSTRAP_ALONE, NULL);
	start_sidecar(voter);
	seeds[0] = support_host_port(voter->host);
	client->config = support_config("stock", CONFIG_ROLE_CLIENT, CONFIG_BOOTSTRAP_NEVER, seeds);
	client->config->registry.session_ttl_ms = 3000;
	start_sidecar(client);
	watch(voter, "stock");
	declare(client, "stock", 9000);
	await_answer(client);
	assert_true(support_until(world.loop, sees_one, voter, WAIT_MS));
	kill_sidecar(client);
	assert_true(support_until(world.loop, sees_suspect, voter, WAIT_MS));
	assert_true(support_until(world.loop, sees_absent, voter, WAIT_MS));
}

static bool has_view(void *context)
{
	const struct sidecar *sidecar = context;

	return sidecar->set && sidecar->set->count == 1;
}

/* RV-03: what was known is known at the next start, before anybody answers, as doubtful. */
static void test_view_file(void **state)
{
	struct sidecar *voter = &world.sidecars[0];
	struct sidecar *client = &world.sidecars[1];
	struct sidecar *stock = &world.sidecars[2];
	uint16_t seeds[2] = {0};
	bool replica = true;

	(void)state;
	voter->config = support_config("voter", CONFIG_ROLE_VOTER, CONFIG_BOOTSTRAP_ALONE, NULL);
	start_sidecar(voter);
	seeds[0] = support_host_port(voter->host);
	client->config = support_config("shop", CONFIG_ROLE_CLIENT, CONFIG_BOOTSTRAP_NEVER, seeds);
	start_sidecar(client);
	stock->config = support_config("stock", CONFIG_ROLE_CLIENT, CONFIG_BOOTSTRAP_NEVER, seeds);
	start_sidecar(stock);
	declare(stock, "stock", 9000);
	await_answer(stock);
	watch(client, "stock");
	assert_true(support_until(world.loop, sees_one, client, WAIT_MS));
	kill_sidecar(client);
	kill_sidecar(voter);
	assert_true(raftreg_has_identity(client->directory, &replica));
	assert_false(replica);
	assert_true(raftreg_has_identity(voter->directory, &replica));
	assert_true(replica);
	instance_set_unref(client->set);
	client->set = NULL;
	start_sidecar(client);
	watch(client, "stock");
	assert_true(support_until(world.loop, has_view, client, WAIT_MS));
	assert_false(client->set->known);
	assert_true(client->set->instances[0].suspect);
	start_sidecar(voter);
	assert_true(support_until(world.loop, sees_one, client, WAIT_MS));
	assert_false(client->set->instances[0].suspect);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_voter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records, setup, teardown),
		cmocka_unit_test_setup_teardown(test_view_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_three_voters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_voters_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_with_seeds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_five_voters, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
