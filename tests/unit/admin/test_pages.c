/*
 * The pages of the admin interface (operations.md 7, 9) without server, registry, broker and
 * replica: those are fakes of this file, each row says what they answer and what the page makes of
 * it.
 */
#include "test_admin.h"

#include <jansson.h>

#include "admin/pages.h"
#include "admin/server.h"
#include "admin/writer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "exchange/server.h"
#include "net/loop.h"
#include "raftreg/raftreg.h"
#include "upstream/service.h"

/* --- what a page is called with, and what it answered ------------------------------------------
 */

static struct loop *loop;
static struct list_node writers;
static int answered; /* status; 0: not yet */
static struct buf answer;

void admin_answer_text(struct admin_call *call, int status, const char *type, struct slice text)
{
	assert_int_equal(answered, 0);
	assert_non_null(type);
	answered = status;
	buf_clear(&answer);
	buf_append_slice(&answer, text);
	json_decref(call->json);
	mem_free(call);
}

void admin_answer_json(struct admin_call *call, int status, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);

	assert_non_null(text);
	json_decref(json);
	admin_answer_text(call, status, "application/json", slice_from_string(text));
	free(text);
}

void admin_answer_error(
	struct admin_call *call, int status, unsigned code, const char *reason, const char *message)
{
	char text[512];

	(void)snprintf(text, sizeof text, "PIL%u %s: %s", code, reason, message);
	admin_answer_text(call, status, "error", slice_from_string(text));
}

const char *admin_parameter(const struct admin_call *call, const char *name)
{
	size_t size = strlen(name);

	return call->query && strncmp(call->query, name, size) == 0 && call->query[size] == '='
		       ? call->query + size + 1
		       : NULL;
}

struct list_node *admin_writers(struct admin *admin)
{
	(void)admin;
	return &writers;
}

/* --- control -----------------------------------------------------------------------------------
 */

static struct {
	bool registry, raft, node, broker;
	enum registry_code code;
	const char *const *names;
	size_t name_count;
	struct instance_set *set;
	const char *members;
	int broker_status;
	const char *broker_json;
	struct control_health health;
	enum broker_spool_state spool;
	unsigned quits;
	char asked[256]; /* what the page asked for */
} fake;

static struct config config;
static struct registry registry;

struct loop *control_loop(struct control *control)
{
	(void)control;
	return loop;
}

const struct config *control_config(const struct control *control)
{
	(void)control;
	return &config;
}

uint64_t control_generation(const struct control *control)
{
	(void)control;
	return 41;
}

const char *control_service(const struct control *control)
{
	(void)control;
	return "orders";
}

const struct control_counters *control_counters_get(struct control *control)
{
	static const struct control_counters counters;

	(void)control;
	return &counters;
}

struct registry *control_registry(const struct control *control)
{
	(void)control;
	return fake.registry ? &registry : NULL;
}

/* Only handed on, never looked into. */
struct raftreg_node *control_node(const struct control *control)
{
	(void)control;
	return fake.node ? (struct raftreg_node *)(void *)&fake : NULL;
}

struct broker *control_broker(const struct control *control)
{
	(void)control;
	return fake.broker ? (struct broker *)(void *)&fake : NULL;
}

const uint8_t *control_instance_id(const struct control *control)
{
	static const uint8_t id[16] = {0x7f, 0x3a};

	(void)control;
	return id;
}

uint64_t control_started_ms(const struct control *control)
{
	(void)control;
	return clock_monotonic_ms();
}

unsigned control_worker_count(const struct control *control)
{
	(void)control;
	return 2;
}

const char *control_phase_word(enum control_phase phase)
{
	return phase == CONTROL_SERVING ? "serving" : "starting";
}

void control_health_get(struct control *control, struct control_health *ret_health)
{
	(void)control;
	*ret_health = fake.health;
}

bool control_listener_at(struct control *control, unsigned index, struct control_listener_info *ret)
{
	(void)control;
	*ret = (struct control_listener_info){"inbound", "inbound", "127.0.0.1:7440"};
	return index == 0;
}

void control_quit(struct control *control)
{
	(void)control;
	assert_int_equal(answered, 200); /* said before it is done */
	fake.quits++;
}

/* No worker has seen anything. */
void control_survey_start(struct control *control, struct control_survey *survey)
{
	(void)control;
	survey->done(survey, NULL, 0);
}

void control_reload_request(struct control *control, struct control_reload *reload)
{
	(void)control;
	(void)reload;
	fail();
}

/* --- registry, replica, broker ------------------------------------------------------------------
 */

static void complete(struct registry_call *call, struct registry_result result)
{
	result.code = fake.code;
	result.index = 7;
	call->done(call, &result);
}

static void get_service(struct registry *asked, const char *name, struct registry_call *call)
{
	(void)asked;
	(void)snprintf(fake.asked, sizeof fake.asked, "get %s", name);
	complete(call, (struct registry_result){.sets = &fake.set, .set_count = fake.set != NULL});
}

static void list_services(struct registry *asked, struct registry_call *call)
{
	(void)asked;
	complete(
		call, (struct registry_result){.names = fake.names, .name_count = fake.name_count});
}

static const struct registry_ops raft_ops = {
	.name = "raft", .get_service = get_service, .list_services = list_services};
static const struct registry_ops static_ops = {.name = "static"};

void raftreg_node_status(const struct raftreg_node *node, struct buf *ret_json)
{
	assert_non_null(node);
	buf_append_string(ret_json, "{\"role\":\"leader\"}");
}

void raftreg_node_trace(const struct raftreg_node *node, struct buf *ret_json)
{
	assert_non_null(node);
	buf_append_string(ret_json, "{\"lines\":[]}");
}

void raftreg_node_command(struct raftreg_node *node, const char *verb, const char *argument,
	struct registry_call *call)
{
	assert_non_null(node);
	(void)snprintf(fake.asked, sizeof fake.asked, "%s(%s)", verb, argument);
	complete(call, (struct registry_result){.text = "told"});
}

void raftreg_client_members(struct registry *asked,
	void (*done)(void *owner, int status, struct slice json), void *owner)
{
	(void)asked;
	done(owner, 200, slice_from_string(fake.members));
}

void broker_command(struct broker *broker, const char *verb, const char *target, const char *id,
	void (*done)(void *owner, int status, struct slice json), void *owner)
{
	assert_non_null(broker);
	(void)snprintf(fake.asked, sizeof fake.asked, "%s(%s,%s)", verb, target, id ? id : "-");
	done(owner, fake.broker_status, slice_from_string(fake.broker_json));
}

enum broker_spool_state broker_spool_state(const struct broker *broker, char ret_reason[128])
{
	(void)broker;
	(void)snprintf(ret_reason, 128, "disk full");
	return fake.spool;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static struct instance_set *make_set(uint32_t count, bool grpc, const char *second_version)
{
	struct instance_set *set = instance_set_create("stock", count);

	set->index = 9;
	for (uint32_t i = 0; i < count; i++) {
		struct instance *one = &set->instances[i];

		one->id[0] = (uint8_t)(i + 1);
		one->version = instance_set_string(set, i == 1 ? second_version : "1.0");
		one->host = instance_set_string(set, "10.0.0.5");
		one->port = (uint16_t)(7440 + i);
		one->health = i == 2 ? INSTANCE_FAILING : INSTANCE_UP;
		one->weight = i == 1 ? 0 : 100;
		one->grpc = grpc;
	}
	return set;
}

static void reset(void)
{
	instance_set_unref(fake.set);
	memset(&fake, 0, sizeof fake);
	fake.registry = fake.raft = fake.node = fake.broker = true;
	fake.members = "{\"items\":[]}";
	fake.broker_status = 200;
	fake.broker_json = "[]";
	fake.health = (struct control_health){.phase = CONTROL_SERVING,
		.live = true,
		.ready = true,
		.app_error = "",
		.app_protocol = "http"};
	registry.ops = &raft_ops;
	config = (struct config){.file = "/etc/pillion/pillion.json"};
	config.self.version = "2.3";
	config.self.app.address.text = "127.0.0.1:8080";
}

/* One page to its answer. query "name=value" or NULL; parts up to a NULL; body JSON or NULL. */
static void ask(void (*page)(struct admin_call *), const char *query, const char *const *parts,
	const char *body)
{
	static char pair[128];
	struct admin_call *call = mem_zalloc(sizeof *call);

	if (query) {
		(void)snprintf(pair, sizeof pair, "%s", query);
		call->query = pair;
	}
	while (parts && parts[call->part_count]) {
		(void)snprintf(call->parts[call->part_count], sizeof call->parts[0], "%s",
			parts[call->part_count]);
		call->part_count++;
	}
	call->json = body ? json_loads(body, 0, NULL) : json_object();
	assert_non_null(call->json);
	answered = 0;
	page(call);
	for (int i = 0; answered == 0 && i < 100; i++) {
		loop_turn(loop, 0);
	}
	assert_true(list_empty(&writers));
}

static void expect(int status, const char *text)
{
	if (answered != status || !strstr(buf_string(&answer), text)) {
		fail_msg("wanted %d %s, got %d %s", status, text, answered, buf_string(&answer));
	}
}

#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void services(void **state)
{
	static const char *const names[] = {"stock", "pay"};

	(void)state;
	reset();
	ask(services_page, NULL, NULL, NULL);
	assert_string_equal(buf_string(&answer), "{\"items\":[],\"index\":7,\"generation\":41}");
	fake.names = names;
	fake.name_count = 2;
	fake.set = make_set(3, true, "1.1");
	ask(services_page, NULL, NULL, NULL);
	expect(200, "{\"name\":\"stock\",\"version\":\"several\",\"instances\":3,\"up\":2,"
		    "\"formats\":\"grpc\",\"index\":9}");
	/* Sorted by name: the one that is asked last is the last. */
	assert_string_equal(fake.asked, "get stock");
	ask(service_page, NULL, PARTS("stock"), NULL);
	expect(200, "\"service\":{\"name\":\"stock\"");
	expect(200, "\"address\":\"10.0.0.5:7441\"");
	expect(200, "\"weight\":0");
	expect(200, "\"why\":\"weight 0\"");
	expect(200, "\"tier\":\"failing\"");
	/* Without a name the own service. */
	ask(services_instances_page, NULL, NULL, NULL);
	assert_string_equal(fake.asked, "get orders");
	ask(services_instances_page, "service=pay", NULL, NULL);
	assert_string_equal(fake.asked, "get pay");
	assert_null(strstr(buf_string(&answer), "\"service\":{"));
	reset();
	fake.registry = false;
	ask(services_page, NULL, NULL, NULL);
	expect(503, "PIL3001 unavailable");
	ask(service_page, NULL, PARTS("stock"), NULL);
	expect(503, "PIL3001 unavailable");
	reset();
	registry.ops = &static_ops;
	ask(services_page, NULL, NULL, NULL);
	expect(503, "PIL3001 unavailable");
}

/* A list of a thousand rows is written over several turns and stays one JSON document. */
static void a_long_list(void **state)
{
	json_t *json;

	(void)state;
	reset();
	fake.set = make_set(2000, false, "1.0");
	ask(services_instances_page, "service=stock", NULL, NULL);
	json = json_loads(buf_string(&answer), 0, NULL);
	assert_int_equal(json_array_size(json_object_get(json, "items")), 2000);
	assert_true(answer.size > 4 * (size_t)ADMIN_TURN_BYTES);
	json_decref(json);
}

static void registry_refusals(void **state)
{
	static const struct {
		enum registry_code code;
		int status;
	} rows[] = {{REGISTRY_INVALID, 422}, {REGISTRY_DENIED, 403}, {REGISTRY_NOT_FOUND, 404},
		{REGISTRY_TAKEN, 409}, {REGISTRY_CONFLICT, 409}, {REGISTRY_QUOTA, 429},
		{REGISTRY_RETRY_LATER, 429}, {REGISTRY_MAYBE, 504}, {REGISTRY_NO_QUORUM, 503},
		{REGISTRY_DISK_FULL, 503}, {REGISTRY_UNAVAILABLE, 503}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		reset();
		fake.code = rows[i].code;
		ask(services_page, NULL, NULL, NULL);
		expect(rows[i].status, registry_code_word(rows[i].code));
		ask(service_page, NULL, PARTS("stock"), NULL);
		expect(rows[i].status, registry_code_word(rows[i].code));
	}
	/* A name without instances is an empty list, but no service. */
	reset();
	fake.code = REGISTRY_NOT_FOUND;
	ask(services_instances_page, "service=x", NULL, NULL);
	expect(200, "{\"items\":[],");
}

static void raft(void **state)
{
	(void)state;
	reset();
	ask(raft_page, NULL, NULL, NULL);
	expect(200, "{\"role\":\"leader\"}");
	ask(raft_verb_page, NULL, PARTS("add"), "{\"argument\":\"ff\"}");
	assert_string_equal(fake.asked, "add(ff)");
	expect(200, "{\"index\":7,\"reason\":\"ok\"}");
	ask(raft_verb_page, NULL, PARTS("transfer"), NULL);
	assert_string_equal(fake.asked, "transfer()");
	fake.code = REGISTRY_CONFLICT;
	ask(raft_verb_page, NULL, PARTS("promote"), "{\"argument\":\"ff\"}");
	expect(409, "PIL3001 conflict: told");
	ask(raft_members_page, NULL, NULL, NULL);
	expect(200, "{\"items\":[]}");
	fake.node = false;
	ask(raft_page, NULL, NULL, NULL);
	expect(404, "no replica");
	ask(raft_verb_page, NULL, PARTS("add"), NULL);
	expect(404, "no replica");
	registry.ops = &static_ops;
	ask(raft_members_page, NULL, NULL, NULL);
	expect(404, "not raft");
}

static void topics(void **state)
{
	static const struct {
		void (*page)(struct admin_call *call);
		const char *parts[4];
		const char *body, *asked;
	} rows[] = {
		{topics_page, {NULL}, NULL, "topics(,-)"},
		{topics_groups_page, {NULL}, NULL, "groups(,-)"},
		{topics_verb_page, {"t", "g", "rm"}, NULL, "groups-rm(t/g,-)"},
		{topics_verb_page, {"t", "g", "resume"}, NULL, "groups-resume(t/g,-)"},
		{topics_dlq_page, {"t", "g"}, NULL, "dlq(t/g,-)"},
		{topics_dlq_show_page, {"t", "g", "i"}, NULL, "dlq-show(t/g,i)"},
		{topics_dlq_replay_page, {"t", "g"}, NULL, "dlq-replay(t/g,-)"},
		{topics_dlq_replay_page, {"t", "g"}, "{\"id\":\"i\"}", "dlq-replay(t/g,i)"},
		{topics_dlq_drop_page, {"t", "g"}, "{\"id\":\"i\"}", "dlq-drop(t/g,i)"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		reset();
		ask(rows[i].page, NULL, rows[i].parts, rows[i].body);
		assert_string_equal(fake.asked, rows[i].asked);
		/* AD-06: bare lists get the shape of all lists. */
		expect(200, "{\"items\":[],\"generation\":41}");
		fake.broker_status = 404;
		fake.broker_json = "{\"error\":{}}";
		ask(rows[i].page, NULL, rows[i].parts, rows[i].body);
		expect(404, "{\"error\":{}}");
		fake.broker = false;
		ask(rows[i].page, NULL, rows[i].parts, rows[i].body);
		expect(404, "PIL5093 broker_off");
	}
	ask(topics_verb_page, NULL, PARTS("t", "g", "eat"), NULL);
	expect(404, "rm and resume");
}

static void status(void **state)
{
	(void)state;
	reset();
	ask(status_page, NULL, NULL, NULL);
	expect(200, "\"service\":\"orders\",\"service_version\":\"2.3\",\"instance\":\"7f3a0000");
	expect(200, "\"file\":\"/etc/pillion/pillion.json\",\"phase\":\"serving\",\"ready\":true");
	expect(200, "\"app\":{\"present\":false,\"address\":\"\"");
	expect(200, "\"listeners\":[{\"name\":\"inbound\",\"kind\":\"inbound\",\"address\":");
	expect(200, "\"registry\":{\"mode\":\"live\"");
	expect(200, "\"traffic\":{\"inbound_requests\":0");
	assert_null(strstr(buf_string(&answer), "\"part\":\"registry\""));
	/* What does not work is listed with its cause. */
	fake.health.registry.mode = REGISTRY_DOWN;
	(void)snprintf(fake.health.registry.detail, sizeof fake.health.registry.detail, "gone");
	fake.health.has_app = true;
	fake.health.app_error = "refused";
	fake.spool = BROKER_SPOOL_FAILED;
	config.file = NULL;
	ask(status_page, NULL, NULL, NULL);
	expect(200, "\"file\":\"\"");
	expect(200, "\"part\":\"registry\",\"text\":\"gone\"");
	expect(200, "\"part\":\"app\",\"text\":\"refused\"");
	expect(200, "\"part\":\"spool\",\"text\":\"disk full\"");
	ask(status_quit_page, NULL, NULL, NULL);
	expect(200, "{\"phase\":\"draining\"}");
	assert_int_equal(fake.quits, 1);
}

static void log_level(void **state)
{
	static const char *const words[] = {"debug", "error", "warn", "info"};

	(void)state;
	reset();
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		char body[64];

		(void)snprintf(body, sizeof body, "{\"level\":\"%s\"}", words[i]);
		ask(status_log_level_page, NULL, NULL, body);
		expect(200, body);
		assert_int_equal(log_enabled(LOG_LEVEL_DEBUG), i == 0);
	}
	ask(status_log_level_page, NULL, NULL, "{\"level\":\"loud\"}");
	expect(400, "PIL5400");
	ask(status_log_level_page, NULL, NULL, NULL);
	expect(400, "PIL5400");
	assert_true(log_enabled(LOG_LEVEL_INFO) && !log_enabled(LOG_LEVEL_DEBUG));
}

static int open_loop(void **state)
{
	(void)state;
	list_init(&writers);
	buf_init(&answer);
	return loop_create(&loop);
}

static int close_loop(void **state)
{
	(void)state;
	instance_set_unref(fake.set);
	fake.set = NULL;
	buf_fini(&answer);
	loop_destroy(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(services),
		cmocka_unit_test(a_long_list), cmocka_unit_test(registry_refusals),
		cmocka_unit_test(raft), cmocka_unit_test(topics), cmocka_unit_test(status),
		cmocka_unit_test(log_level)};

	return cmocka_run_group_tests(tests, open_loop, close_loop);
}
