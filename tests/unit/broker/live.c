#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/load.h"
#include "net/listener.h"
#include "net/transport.h"

struct config *live_config(const char *broker)
{
	struct config_sources sources = {.file = "test.json"};
	struct config_report report;
	struct config *config = NULL;
	struct buf text, out;

	buf_init(&text);
	buf_init(&out);
	buf_appendf(&text,
		"{\"service\":{\"name\":\"web\",\"app\":{\"address\":\"127.0.0.1:9\"}},"
		"\"broker\":%s}",
		broker);
	sources.text = (const char *)text.data;
	sources.text_size = text.size;
	config_report_init(&report);
	if (config_load(&sources, &config, &report) < 0) {
		config_report_print(&report, CONFIG_REPORT_TEXT, &out);
		fprintf(stderr, "%s\n", buf_string(&out));
		fail();
	}
	config_report_fini(&report);
	buf_fini(&text);
	buf_fini(&out);
	return config;
}

static void on_accept(void *owner, struct transport *transport)
{
	struct live *live = owner;

	exchange_server_accept(live->rig.server, "inbound", transport);
}

static void bind_mesh(struct live *live)
{
	struct listener_options options = {.on_accept = on_accept, .owner = live};
	socklen_t size = sizeof live->mesh_address.u;

	if (live->mesh_address.size == 0) {
		assert_true(address_parse(SLICE("127.0.0.1:0"), true, &live->mesh_address));
	}
	assert_int_equal(listener_bind(&live->mesh_address, 1, &options.fd), 0);
	assert_int_equal(getsockname(options.fd, &live->mesh_address.u.any, &size), 0);
	assert_int_equal(listener_create(live->rig.loop, &options, &live->mesh), 0);
}

void live_init(struct live *live, uint8_t id)
{
	struct address any = {0};

	live_init_at(live, id, &any);
}

void live_init_at(struct live *live, uint8_t id, const struct address *mesh)
{
	memset(live, 0, sizeof *live);
	live->id = id;
	live->mesh_address = *mesh;
	snprintf(live->directory, sizeof live->directory, "/tmp/broker-test-XXXXXX");
	assert_non_null(mkdtemp(live->directory));
	buf_init(&live->command_json);
	rig_init(&live->rig);
	bind_mesh(live);
	assert_int_equal(loop_create(&live->control), 0);
}

void live_start(struct live *live, const char *broker)
{
	uint8_t sidecar[16];
	struct broker_options options = {.spool_dir = live->directory,
		.instance_id = sidecar,
		.service_name = "web",
		.advertise_host = "127.0.0.1",
		.advertise_port = address_port(&live->mesh_address),
		.control_loop = live->control,
		.worker_loops = &live->rig.loop,
		.workers = 1};
	struct err err;

	memset(sidecar, live->id, sizeof sidecar);
	live->config = live_config(broker);
	options.config = live->config;
	err_clear(&err);
	assert_int_equal(broker_create(&options, &live->broker, &err), 0);
	live->rig.snapshot->endpoint_count = broker_endpoints(live->broker, live->endpoints);
	live->rig.snapshot->endpoints = live->endpoints;
	rig_start(&live->rig);
	broker_attach_worker(live->broker, 0, live->rig.server);
	broker_start(live->broker);
	live_turn(live);
}

void live_turn(struct live *live)
{
	loop_turn(live->control, 0);
	loop_turn(live->rig.loop, 1);
	if (live->other) {
		loop_turn(live->other->control, 0);
		loop_turn(live->other->rig.loop, 1);
	}
}

void live_stop(struct live *live)
{
	for (unsigned i = 0; i < live->rig.client_count; i++) {
		rig_client_close(live->rig.clients[i]);
	}
	rig_turn(&live->rig, 4);
	broker_detach_worker(live->broker, 0);
	rig_turn(&live->rig, 8);
	/* As in control: the broker ends after the data path's requests and before the loops. */
	broker_destroy(live->broker);
	listener_destroy(live->mesh, false);
	rig_fini(&live->rig);
	loop_turn(live->control, 0);
	loop_destroy(live->control);
	config_destroy(live->config);
}

void live_fini(struct live *live)
{
	char command[200];

	snprintf(command, sizeof command, "rm -rf %s", live->directory);
	assert_int_equal(system(command), 0);
	buf_fini(&live->command_json);
}

struct rig_call *live_post(
	struct live *live, const char *path, const char *body, const char *const fields[8])
{
	struct rig_request request = {
		.method = "POST", .path = path, .authority = "localhost", .body = body};
	struct rig_client *client = NULL;
	struct rig_call *call;
	const char *query = strchr(path, '?');
	char copy[512];

	if (query) {
		snprintf(copy, sizeof copy, "%.*s", (int)(query - path), path);
		request.path = copy;
		request.query = query + 1;
	}
	for (unsigned i = 0; fields && i < 8 && fields[i]; i++) {
		request.fields[i] = fields[i];
	}
	for (unsigned i = 0; i < live->rig.client_count; i++) {
		if (!live->rig.clients[i]->closed && !live->rig.clients[i]->eof) {
			client = live->rig.clients[i];
		}
	}
	if (!client) {
		client = rig_client(&live->rig, "outbound", true);
	}
	call = rig_call(client, &request);
	LIVE_UNTIL(live, call->done || call->reset);
	return call;
}

int live_status(struct live *live, const char *path, const char *body)
{
	struct rig_call *call = live_post(live, path, body, NULL);

	return call->head ? call->head->status : -1;
}

static void on_command(void *owner, int status, struct slice json)
{
	struct live *live = owner;

	live->command_status = status;
	buf_clear(&live->command_json);
	buf_append_slice(&live->command_json, json);
	live->command_done = true;
}

const char *live_command(
	struct live *live, const char *verb, const char *target, const char *id, int *ret_status)
{
	live->command_done = false;
	broker_command(live->broker, verb, target, id, on_command, live);
	LIVE_UNTIL(live, live->command_done);
	if (ret_status) {
		*ret_status = live->command_status;
	}
	return buf_string(&live->command_json);
}

/* The first sample that holds `line`; HELP and TYPE name it too, and are passed over. */
uint64_t live_metric(struct live *live, const char *line)
{
	struct buf text;
	const char *all, *found;
	uint64_t value = 0;

	buf_init(&text);
	broker_metrics(live->broker, &text);
	all = buf_string(&text);
	for (found = strstr(all, line); found; found = strstr(found + 1, line)) {
		const char *start = found;

		while (start > all && start[-1] != '\n') {
			start--;
		}
		if (*start != '#') {
			value = strtoull(found + strlen(line), NULL, 10);
			break;
		}
	}
	buf_fini(&text);
	return value;
}

static uint64_t sum(struct live *live, const char *names, const char *label)
{
	uint64_t total = 0;
	char line[800];

	for (const char *at = names; *at; at += strcspn(at, " "), at += *at == ' ') {
		size_t size = strcspn(at, " ");
		const char *colon = memchr(at, ':', size);

		if (colon) {
			snprintf(line, sizeof line, "pubsub_%.*s{%s,reason=\"%.*s\"} ",
				(int)(colon - at), at, label, (int)(at + size - colon - 1),
				colon + 1);
		} else {
			snprintf(line, sizeof line, "pubsub_%.*s{%s} ", (int)size, at, label);
		}
		total += live_metric(live, line);
	}
	return total;
}

void live_check_law(struct live *live, const char *topic, const char *group)
{
	char label[400];

	snprintf(label, sizeof label, "topic=\"%s\",group=\"%s\"", topic, group);
	assert_int_equal(sum(live, "group_accepted_total replayed_total", label),
		sum(live,
			"acked_total skipped_total backlog_messages lost_total:corrupt "
			"dead_lettered_total:status dead_lettered_total:max_deliver "
			"dead_lettered_total:poison dead_lettered_total:expired "
			"dead_lettered_total:translation dead_lettered_total:terminated "
			"dropped_total:ephemeral dropped_total:expired dropped_total:group_removed "
			"dropped_total:full dropped_total:command",
			label));
}
