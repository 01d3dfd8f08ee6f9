/*
 * The Raft back end of upstream/registry.h: a thin table over client.h. Every slot only notes
 * what is wanted and queues the task `deliver`; answers, watches and frames leave from there or
 * from the stream's own callbacks, so that nothing of the caller's ever runs inside one of his
 * calls. What the registry did not say is never invented here: without a connection get and
 * list are answered from the local view (RV-01), registrations wait as one declarative set
 * (RV-07), and a stop cuts every completion off before anything is torn down.
 */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "config/config.h"
#include "raftreg/client.h"
#include "raftreg/node.h"
#include "raftreg/viewfile.h"

#define SETTLED_MS    1000 /* RW-08: one that lived so long was none of a row of failures */
#define SILENT_MIN_MS ((uint64_t)2 * CLIENT_QUIET_MS)
#define SILENT_MARKS  5 /* bookmarks that did not come */
#define ASLEEP_MS     2000

static void on_redial(struct timer *timer)
{
	client_connect(container_of(timer, struct client, redial));
}

/* Everything that must not happen inside a call of the interface. */
static void run_deliver(struct task *task)
{
	struct client *client = container_of(task, struct client, deliver);

	if (client->stopped) {
		return;
	}
	client_view_publish(client);
	client_ask_answer_locally(client);
	client_session_pump(client);
	client_check_status(client);
}

/* Bookmarks come whatever happens (RW-05), so a connection on which nothing comes leads to a
 * replica that hangs or to a host that is gone. Whoever slept itself has not listened. */
static void leave_silent(struct client *client, uint64_t now)
{
	uint64_t since = client->last_word_ms > client->connected_ms ? client->last_word_ms
								     : client->connected_ms;

	if (now - client->ticked_ms < ASLEEP_MS && client->greeted &&
		now - since > client->silent_ms) {
		client_disconnect(client, "the replica fell silent");
	}
	client->ticked_ms = now;
}

/* Ten times a second: deadlines of answers and renewals, guards, the file, and the status. */
static void on_tick(struct timer *timer)
{
	struct client *client = container_of(timer, struct client, tick);
	uint64_t now = client_now_ms(client);

	if (client->call_open && !client->greeted && now - client->connected_ms > 3000) {
		client_disconnect(client, "the replica did not greet");
	}
	if (client->greeted && now - client->connected_ms >= SETTLED_MS) {
		client->failures = 0;
	}
	leave_silent(client, now);
	client_session_tick(client, now);
	client_view_tick(client, now);
	client_check_status(client);
	if (!client->stopped) {
		timer_arm(client->loop, timer, now + CLIENT_TICK_MS);
	}
}

/* registry.cluster as bytes; its form was checked with the configuration. */
static void copy_pin(struct client *client, const char *text)
{
	char digits[33] = "";
	size_t count = 0;

	for (; text && *text && count < 32; text++) {
		if (*text != '-') {
			digits[count++] = *text;
		}
	}
	client->pinned = count == 32 && slice_parse_hex(slice_from_string(digits), client->pin, 16);
}

/* Configured addresses are never forgotten: when everything else is wrong they are the way
 * back. */
static void add_configured(struct client *client, const struct registry_settings *settings)
{
	const struct config_registry *registry = &settings->config->registry;
	char text[300];

	if (client->node) { /* our own replica is asked before any seed */
		(void)snprintf(text, sizeof text, strchr(client->host, ':') ? "[%s]:%u" : "%s:%u",
			client->host, client->port);
		client_add_address(client, slice_from_string(text), true);
	}
	for (size_t i = 0; i < registry->seeds.count; i++) {
		const struct config_host *seed = &registry->seeds.items[i];
		const char *host = seed->host ? seed->host : "127.0.0.1";

		(void)snprintf(text, sizeof text, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
			seed->port);
		client_add_address(client, slice_from_string(text), true);
	}
}

/* Nothing is waited for: the sidecar serves from view.bin until the registry answers (RV-03). */
static int start(
	struct registry *registry, const struct registry_settings *settings, struct err *err)
{
	struct client *client = client_of(registry);
	const struct config *config = settings->config;

	ASSERT(!client->started && settings->loop && settings->instance_id);
	(void)err;
	client->started = true;
	client->loop = settings->loop;
	client->resolver = settings->resolver;
	client->data_dir = mem_strdup(settings->data_dir);
	client->name = mem_strdup(config->self.name ? config->self.name : "pillion");
	client->zone = mem_strdup(config->self.zone ? config->self.zone : "");
	client->host = mem_strdup(settings->advertise_host ? settings->advertise_host : "");
	client->port = settings->advertise_port;
	client->ttl_ms = (uint64_t)config->registry.session_ttl_ms;
	client->renew_ms = (uint64_t)config->registry.renew_ms;
	client->silent_ms = SILENT_MARKS * (uint64_t)config->registry.bookmark_ms;
	client->silent_ms = client->silent_ms > SILENT_MIN_MS ? client->silent_ms : SILENT_MIN_MS;
	client->on_status = settings->on_status;
	client->owner = settings->owner;
	client->told_mode = REGISTRY_CONNECTING;
	copy_pin(client, config->registry.cluster);
	memcpy(client->registry_instance, settings->instance_id, 16);
	rng_seed_system(&client->rng);
	block_pool_init(&client->pool, 64);
	http_limits_default(&client->limits);
	timer_init(&client->redial, on_redial);
	timer_init(&client->tick, on_tick);
	task_init(&client->deliver, run_deliver);
	client->started_ms = client_now_ms(client);
	client_session_init(client, settings->instance_id);
	add_configured(client, settings);
	viewfile_load(client);
	timer_arm(client->loop, &client->redial, client->started_ms);
	timer_arm(client->loop, &client->tick, client->started_ms + CLIENT_TICK_MS);
	return 0;
}

/* No completion runs afterwards. Who leaves keeps its stream until the end, so that CLOSE goes out.
 */
static void stop(struct registry *registry, bool leave)
{
	struct client *client = client_of(registry);

	if (!client->started || client->stopped) {
		return;
	}
	if (leave) {
		client_session_close(client);
	}
	client->stopped = true;
	timer_cancel(&client->redial);
	timer_cancel(&client->tick);
	task_cancel(&client->deliver);
	viewfile_finish(client);
	if (!leave && client->connection) {
		client_disconnect(client, "stopped");
	}
}

/* Accepted at any time; without a registry it waits there, as one set, for the first chance
 * (RV-07). */
static void register_service(struct registry *registry, const struct registry_service *services,
	size_t count, struct registry_call *call)
{
	struct client *client = client_of(registry);

	ASSERT(client->started);
	if (!client->stopped) {
		client_session_declare(client, services, count, call);
	}
}

static void get_service(struct registry *registry, const char *name, struct registry_call *call)
{
	struct client_ask *question = mem_zalloc(sizeof *question);

	question->kind = PACKET_GET;
	question->name = mem_strdup(name);
	question->call = call;
	client_ask_start(client_of(registry), question);
}

static void list_services(struct registry *registry, struct registry_call *call)
{
	struct client_ask *question = mem_zalloc(sizeof *question);

	question->kind = PACKET_LIST;
	question->call = call;
	client_ask_start(client_of(registry), question);
}

/* Members have no local copy: without a replica the answer is 503, never a guess. */
void raftreg_client_members(struct registry *registry,
	void (*done)(void *owner, int status, struct slice json), void *owner)
{
	struct client_ask *question = mem_zalloc(sizeof *question);

	question->kind = PACKET_MEMBERS;
	question->done = done;
	question->owner = owner;
	client_ask_start(client_of(registry), question);
}

static int watch_service(struct registry *registry, struct watch *watch)
{
	return client_view_watch(client_of(registry), watch);
}

static void unwatch_service(struct registry *registry, struct watch *watch)
{
	client_view_unwatch(client_of(registry), watch);
}

/* Copied: the caller's record need not outlive the call. */
static void put_record(struct registry *registry, const char *set,
	const struct registry_record *record, bool remove, uint64_t expected,
	struct registry_call *call)
{
	struct client_record_op *op = mem_zalloc(sizeof *op);

	list_init(&op->node);
	op->set = mem_strdup(set);
	op->key = slice_make(mem_copy(record->key.data, record->key.size), record->key.size);
	op->value =
		slice_make(mem_copy(record->value.data, record->value.size), record->value.size);
	op->remove = remove;
	op->owned = record->session;
	op->expected = expected;
	op->call = call;
	client_session_put(client_of(registry), op);
}

/* For people and for readiness; never an error, whatever state the stream is in. */
static void status(const struct registry *registry, struct registry_status *ret_status)
{
	const struct client *client = client_of((struct registry *)(uintptr_t)registry);
	static const uint8_t none[16];
	size_t used = 0;

	*ret_status = (struct registry_status){.mode = client_mode(client),
		.registered = client->registered,
		.index = client->highest,
		.age_ms = client_now_ms(client) -
			  (client->last_word_ms ? client->last_word_ms : client->started_ms)};
	for (int i = 0; i < 16 && memcmp(client->uuid, none, 16) != 0; i++) {
		used += (size_t)snprintf(ret_status->cluster + used,
			sizeof ret_status->cluster - used, "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", client->uuid[i]);
	}
	ret_status->digest_mismatches = client->mismatches;
	if (client->greeted) {
		(void)snprintf(ret_status->connected, sizeof ret_status->connected, "%s",
			client->connected);
		(void)snprintf(ret_status->leader, sizeof ret_status->leader, "%s", client->leader);
	}
	(void)snprintf(ret_status->detail, sizeof ret_status->detail, "%s",
		client->greeted && !client->quorum ? "the registry has no quorum" : client->detail);
}

/* registry.md 12. There is no configure slot: seeds and leases are read once, at
 * start. */
static const struct registry_ops ops = {.name = "raft",
	.start = start,
	.stop = stop,
	.register_service = register_service,
	.get_service = get_service,
	.list_services = list_services,
	.watch_service = watch_service,
	.unwatch_service = unwatch_service,
	.put_record = put_record,
	.status = status};

/* Nothing is started yet, so watches may be added before there is a loop; start
 * dials. */
struct registry *raftreg_client_create(struct raftreg_node *node)
{
	struct client *client = mem_zalloc(sizeof *client);

	client->registry.ops = &ops;
	client->node = node;
	client_view_init(client);
	return &client->registry;
}

/* The connection closes from the loop and nowhere else, so the loop is turned a few times here;
 * nothing of the owner's runs meanwhile, because the client is stopped. */
void raftreg_client_destroy(struct registry *registry)
{
	struct client *client = registry ? client_of(registry) : NULL;

	if (!client) {
		return;
	}
	stop(registry, false);
	if (client->started) {
		client_disconnect(client, "destroyed");
		/* The connection closes from the loop. */
		for (int i = 0; i < 8 && client->connection; i++) {
			loop_turn(client->loop, 1);
		}
		ASSERT(!client->connection);
		loop_turn(client->loop, 0);
		client_session_fini(client);
		block_pool_fini(&client->pool);
	}
	client_view_fini(client);
	mem_free(client->data_dir);
	mem_free(client->name);
	mem_free(client->zone);
	mem_free(client->host);
	mem_free(client);
}
