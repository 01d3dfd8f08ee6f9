#include "control/reflect.h"

#include <errno.h>
#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/pbscan.h"
#include "codec/descriptor_builder.h"
#include "control/state.h"
#include "http/grpc.h"

#define REFRESH_MS   10000 /* RF-03 */
#define BYTES_MAX    ((size_t)16 << 20)
#define REQUESTS_MAX 4096
#define SERVICES_MAX 4096
#define QUEUE_MAX    65536

/* ServerReflectionRequest: file_by_filename 3, file_containing_symbol 4, list_services 7.
 * ServerReflectionResponse: file_descriptor_response 4, list_services_response 6, error_response 7.
 */
enum { ASK_FILE = 3, ASK_SYMBOL = 4, ASK_LIST = 7 };
enum { ANSWER_FILES = 4, ANSWER_LIST = 6, ANSWER_ERROR = 7 };

static const char *const paths[] = {
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
};

/* On the worker's thread from start to finish; then mailed back. */
struct refresh {
	struct control *control;
	struct worker *worker;
	void (*done)(struct control *control, struct reflect_result *result);
	struct grpc_call call;
	bool call_open;
	unsigned path; /* index into paths */
	struct timer timer;
	struct task task; /* ends or restarts outside of codec callbacks */
	bool ended;
	char **services;
	size_t service_count, next_service;
	struct map asked_files;
	size_t requests, bytes, skipped;
	struct reflect_result result;
};

/* The first reason stays: what fails afterwards is a consequence. Freeing is left to the task,
 * since this runs inside the call's own callbacks. */
static void finish(struct refresh *refresh, const char *detail)
{
	if (!refresh->ended && detail && !refresh->result.detail[0]) {
		(void)snprintf(refresh->result.detail, sizeof refresh->result.detail, "%s", detail);
	}
	refresh->ended = true;
	loop_queue(refresh->worker->loop, &refresh->task);
}

/* RF-03: the bound on questions meets an application that invents an import for each answer. */
static void ask(struct refresh *refresh, uint32_t field, struct slice text)
{
	struct buf message;

	if (++refresh->requests > REQUESTS_MAX) {
		finish(refresh, "more than 4096 reflection requests");
		return;
	}
	buf_init(&message);
	pbscan_put_bytes(&message, field, text);
	if (grpc_call_send(&refresh->call, buf_slice(&message)) < 0) {
		finish(refresh, "the reflection stream takes no more requests");
	}
	buf_fini(&message);
}

/* The next question: a missing import first, then the next service, then the end. */
static void ask_next(struct refresh *refresh)
{
	struct slice missing;

	if (refresh->result.builder &&
		descriptor_builder_missing_import(refresh->result.builder, &missing)) {
		if (map_get(&refresh->asked_files, missing)) {
			finish(refresh, "the application does not give a file that it imports");
			return;
		}
		(void)map_set(&refresh->asked_files, missing, refresh);
		ask(refresh, ASK_FILE, missing);
		return;
	}
	while (refresh->next_service < refresh->service_count) {
		const char *name = refresh->services[refresh->next_service++];

		/* RF-02: reflection itself is not part of the schema. */
		if (strncmp(name, "grpc.reflection.", 16) != 0) {
			ask(refresh, ASK_SYMBOL, slice_from_string(name));
			return;
		}
	}
	refresh->result.complete = refresh->skipped == 0;
	finish(refresh, refresh->skipped ? "some symbols were not described" : NULL);
}

/* Names longer than a descriptor may hold (DS-03) are not worth a question. */
static void take_service(struct refresh *refresh, struct slice entry)
{
	struct pbscan_field field;

	while (pbscan_next(&entry, &field) == 1) {
		if (field.number == 1 && field.wire_type == 2 && field.bytes.size <= 1024 &&
			refresh->service_count < SERVICES_MAX) {
			char *name = mem_alloc(field.bytes.size + 1);

			memcpy(name, field.bytes.data, field.bytes.size);
			name[field.bytes.size] = '\0';
			refresh->services[refresh->service_count++] = name;
		}
	}
}

/* One list per stream; a second one would free names that are still asked for. */
static void take_list(struct refresh *refresh, struct slice list)
{
	struct pbscan_field field;

	if (refresh->services) {
		finish(refresh, "the application listed its services twice");
		return;
	}
	refresh->services = mem_zalloc(SERVICES_MAX * sizeof *refresh->services);
	while (pbscan_next(&list, &field) == 1) {
		if (field.number == 1 && field.wire_type == 2) {
			take_service(refresh, field.bytes);
		}
	}
	ask_next(refresh);
}

/* RF-03: bytes are counted as they come. A file that is refused costs its importers only (DS-04),
 * so the refresh goes on. */
static void take_files(struct refresh *refresh, struct slice files)
{
	struct pbscan_field field;
	struct err err;

	if (!refresh->result.builder) {
		refresh->result.builder = descriptor_builder_create(DESCRIPTOR_SOUND);
	}
	while (pbscan_next(&files, &field) == 1) {
		if (field.number != 1 || field.wire_type != 2) {
			continue;
		}
		/* What the application sends is hostile input like any other (DS-03). */
		refresh->bytes += field.bytes.size;
		if (refresh->bytes > BYTES_MAX) {
			finish(refresh, "the schema is larger than 16 MiB");
			return;
		}
		err_clear(&err);
		if (descriptor_builder_add_file(
			    refresh->result.builder, field.bytes, "reflection", &err) < 0) {
			refresh->skipped++;
		}
	}
	ask_next(refresh);
}

/* RF-02: an error_response skips that symbol; everything else of the schema still works. */
static void on_message(struct grpc_call *call, struct slice message)
{
	struct refresh *refresh = call->owner;
	struct pbscan_field field;

	if (refresh->ended) {
		return;
	}
	refresh->result.answered = true;
	while (pbscan_next(&message, &field) == 1) {
		if (field.wire_type != 2) {
			continue;
		}
		switch (field.number) {
		case ANSWER_LIST:
			take_list(refresh, field.bytes);
			return;
		case ANSWER_FILES:
			take_files(refresh, field.bytes);
			return;
		case ANSWER_ERROR:
			refresh->skipped++;
			ask_next(refresh);
			return;
		default:
			break;
		}
	}
}

/* The end of the stream comes by on_closed. */
static void on_half_close(struct grpc_call *call)
{
	(void)call;
}

/* RF-01: no answer at all means that this package is not there, whatever the status says. */
static void on_closed(struct grpc_call *call, int status, struct slice text)
{
	struct refresh *refresh = call->owner;

	(void)text;
	if (refresh->ended) {
		return;
	}
	if (!refresh->result.answered) {
		(void)snprintf(refresh->result.detail, sizeof refresh->result.detail,
			"the application has no reflection service (grpc status %d)", status);
		/* The task tries the next package, or ends. */
		loop_queue(refresh->worker->loop, &refresh->task);
		return;
	}
	finish(refresh, "the application ended the reflection stream");
}

static const struct grpc_call_ops reflection_ops = {on_message, on_half_close, on_closed, NULL};

/* RF-01: an ordinary exchange of the worker to the application, so it has the pool, the limits and
 * the access record of any other call. */
static void open_call(struct refresh *refresh)
{
	struct codec *codec = exchange_server_local(refresh->worker->server, LOCAL_TO_APP);
	struct grpc_call_options options = {.ops = &reflection_ops,
		.owner = refresh,
		.message_max = BYTES_MAX,
		.queue_max = QUEUE_MAX};
	struct grpc_request request = {
		.path = slice_from_string(paths[refresh->path]), .authority = SLICE("localhost")};

	if (grpc_call_open(&refresh->call, codec, &request, &options) < 0) {
		finish(refresh, "no stream to the application");
		return;
	}
	refresh->call_open = true;
	ask(refresh, ASK_LIST, SLICE("*"));
}

/* On control: the builder now belongs to the receiver. */
static void run_result(struct control *control, void *argument)
{
	struct refresh *refresh = argument;

	refresh->done(control, &refresh->result);
	mem_free(refresh);
}

/* Control ended first. */
static void discard_result(void *argument)
{
	struct refresh *refresh = argument;

	descriptor_builder_destroy(refresh->result.builder);
	mem_free(refresh);
}

/* What was gathered on the worker is freed on the worker. */
static void clean(struct refresh *refresh)
{
	timer_cancel(&refresh->timer);
	for (size_t i = 0; i < refresh->service_count; i++) {
		mem_free(refresh->services[i]);
	}
	mem_free(refresh->services);
	refresh->services = NULL;
	refresh->service_count = refresh->next_service = 0;
	map_fini(&refresh->asked_files);
}

/* Runs after the callbacks: the call may be closed here. */
static void run_task(struct task *task)
{
	struct refresh *refresh = container_of(task, struct refresh, task);

	if (refresh->call_open) {
		grpc_call_fini(&refresh->call);
		refresh->call_open = false;
	}
	if (!refresh->ended && refresh->path + 1 < ARRAY_SIZE(paths)) {
		refresh->path++;
		open_call(refresh);
		return;
	}
	clean(refresh);
	control_call(refresh->control, run_result, refresh, discard_result);
}

/* RF-03: ten seconds for everything; an application that answers slowly enough would otherwise
 * hold the registration up. */
static void on_timer(struct timer *timer)
{
	struct refresh *refresh = container_of(timer, struct refresh, timer);

	finish(refresh, "reflection did not end within 10 s");
}

/* On worker 0, where it stays until it is over. */
static void run_start(struct worker *worker, void *argument)
{
	struct refresh *refresh = argument;

	refresh->worker = worker;
	task_init(&refresh->task, run_task);
	timer_init(&refresh->timer, on_timer);
	timer_arm(worker->loop, &refresh->timer, loop_now_ms(worker->loop) + REFRESH_MS);
	map_init(&refresh->asked_files);
	open_call(refresh);
}

/* Any worker would do; the first one always exists. */
void reflect_start(struct control *control,
	void (*done)(struct control *control, struct reflect_result *result))
{
	struct refresh *refresh = mem_zalloc(sizeof *refresh);

	ASSERT(done && control->worker_count > 0);
	refresh->control = control;
	refresh->done = done;
	worker_call(&control->workers[0], run_start, refresh, NULL);
}
