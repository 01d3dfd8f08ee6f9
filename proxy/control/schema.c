#include "control/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/descriptor.h"
#include "codec/descriptor_builder.h"
#include "control/background.h"
#include "control/lifecycle.h"
#include "control/reflect.h"
#include "control/state.h"
#include "filters/translate.h"

#define UNKNOWN_MS 10000 /* RF-04 */

struct schema {
	struct control *control;
	struct descriptor_pool *files; /* from translation.descriptors */
	struct descriptor_pool *reflected;
	bool asking;   /* a refresh is under way */
	bool settled;  /* asked at least once since the application is up, or need not be asked */
	bool answered; /* reflection was answered at some time */
	bool app_up;
	bool app_h2;
	struct timer refresh_timer;
	uint64_t unknown_ms; /* last refresh for an unknown method; 0: none */
};

/* Work of the background thread: compiling what reflection brought. */
struct compile {
	struct control *control;
	struct descriptor_builder *builder;
	struct descriptor_pool *pool;
	bool complete;
};

/* RF-01: only where the application is or may be gRPC. A JSON application would find a strange
 * request in its log. */
static bool wants_reflection(const struct config *config)
{
	const struct config_translation *translation = &config->translation;

	if (!translation->reflection || !config->self.app.present) {
		return false;
	}
	for (size_t i = 0; i < translation->app.count; i++) {
		if (translation->app.items[i] == CONFIG_FORMAT_AUTO ||
			translation->app.items[i] == CONFIG_FORMAT_GRPC) {
			return true;
		}
	}
	return translation->app.count == 0;
}

/* The file may say what the application is; then nothing has to be guessed from reflection. */
static bool configured_grpc(const struct config *config)
{
	for (size_t i = 0; i < config->translation.app.count; i++) {
		if (config->translation.app.items[i] == CONFIG_FORMAT_GRPC) {
			return true;
		}
	}
	return false;
}

const struct descriptor_pool *schema_pool(const struct schema *schema)
{
	/* DS-01: files before reflection. */
	return schema->files ? schema->files : schema->reflected;
}

/* Files are there from the start, and an application without HTTP/2 cannot be asked: neither holds
 * the registration up. */
bool schema_settled(const struct schema *schema)
{
	return schema->settled || schema->files || !wants_reflection(schema->control->config) ||
	       !schema->app_h2;
}

/* CX-04: what once answered reflection is gRPC, even while a later refresh fails. */
bool schema_is_grpc(const struct schema *schema)
{
	return schema->answered || configured_grpc(schema->control->config);
}

/* For status and describe. */
const char *schema_source(const struct schema *schema)
{
	if (schema->files) {
		return "files";
	}
	return schema->reflected ? "reflection" : "none";
}

struct hand_over {
	enum translate_schema state;
	struct descriptor_pool *pool;
	bool grpc_app;
};

/* On a worker: exchanges that wait for a schema go on, others keep the pool they began with
 * (DS-10). */
static void run_schema(struct worker *worker, void *argument)
{
	struct hand_over *hand = argument;
	struct translate_worker *translate = exchange_server_slot(worker->server, TRANSLATE_SLOT);

	translate_worker_set_schema(translate, hand->state, hand->pool, hand->grpc_app);
	descriptor_pool_unref(hand->pool);
	mem_free(hand);
}

/* The worker ended first. */
static void discard_schema(void *argument)
{
	struct hand_over *hand = argument;

	descriptor_pool_unref(hand->pool);
	mem_free(hand);
}

/* CX-04, RF-04: workers answer codec_schema_wait while the first refresh runs and codec_schema
 * when there is nothing to come, so the state goes with the pool. */
static void publish(struct schema *schema)
{
	struct control *control = schema->control;
	const struct descriptor_pool *pool = schema_pool(schema);

	for (unsigned i = 0; i < control->worker_count; i++) {
		struct hand_over *hand = mem_zalloc(sizeof *hand);

		hand->pool = pool ? descriptor_pool_ref(pool) : NULL;
		hand->grpc_app = schema_is_grpc(schema);
		hand->state = pool		       ? TRANSLATE_SCHEMA_READY
			      : schema_settled(schema) ? TRANSLATE_SCHEMA_NONE
						       : TRANSLATE_SCHEMA_PENDING;
		if (control->workers[i].running) {
			worker_call(&control->workers[i], run_schema, hand, discard_schema);
		} else {
			discard_schema(hand);
		}
	}
	lifecycle_schema_changed(control->lifecycle);
}

/* On the background thread. Errors of single files are in the builder; without any sound file
 * there is no pool. */
static void compile_work(void *argument)
{
	struct compile *compile = argument;
	struct err err;

	err_clear(&err);
	compile->pool = descriptor_builder_build(compile->builder, &err);
}

/* DS-04: one warning per file, with the element that is wrong. */
static void log_rejected(const struct descriptor_builder *builder)
{
	for (size_t i = 0; i < descriptor_builder_rejected_count(builder); i++) {
		const struct err *rejected = descriptor_builder_rejected(builder, i);

		log_event(LOG_LEVEL_WARN, "schema", rejected->code, "a reflected file was rejected",
			(struct log_field[]){LOG_TEXT("error.message", rejected->text)}, 1);
	}
}

/* The old pool stays where the new one is empty or equal: a schema in use is never taken away by a
 * failed refresh. */
static void compile_done(void *argument)
{
	struct compile *compile = argument;
	struct schema *schema = compile->control->schema;

	log_rejected(compile->builder);
	compile->control->counters.schema_errors +=
		descriptor_builder_rejected_count(compile->builder);
	descriptor_builder_destroy(compile->builder);
	schema->asking = false;
	schema->settled = true;
	/* RF-04: an equal digest changes nothing. */
	if (compile->pool && schema->reflected &&
		descriptor_pool_digest(compile->pool) ==
			descriptor_pool_digest(schema->reflected)) {
		descriptor_pool_unref(compile->pool);
	} else if (compile->pool) {
		descriptor_pool_unref(schema->reflected);
		schema->reflected = compile->pool;
	}
	publish(schema);
	mem_free(compile);
}

/* One info line names the remedy (RF-01); it is no warning, because many applications have no
 * reflection. */
static void on_reflected(struct control *control, struct reflect_result *result)
{
	struct schema *schema = control->schema;
	struct compile *compile;

	if (result->detail[0]) {
		log_event(LOG_LEVEL_INFO, "schema", 0,
			"reflection: set translation.descriptors where the application has none",
			(struct log_field[]){LOG_TEXT("error.message", result->detail)}, 1);
	}
	schema->answered = schema->answered || result->answered;
	/* RF-03: an incomplete refresh leaves the old pool; the first one takes what it got. */
	if (!result->builder || (!result->complete && schema->reflected)) {
		descriptor_builder_destroy(result->builder);
		schema->asking = false;
		schema->settled = true;
		publish(schema);
		return;
	}
	compile = mem_zalloc(sizeof *compile);
	*compile = (struct compile){
		.control = control, .builder = result->builder, .complete = result->complete};
	background_run(control->background, compile_work, compile_done, compile);
}

/* One refresh at a time, and none of an application that is down. */
static void refresh(struct schema *schema)
{
	if (schema->asking || !schema->app_up || !schema->app_h2 ||
		!wants_reflection(schema->control->config)) {
		return;
	}
	schema->asking = true;
	reflect_start(schema->control, on_reflected);
}

/* RF-04. Off in the file: only a return of the application or an unknown method asks again. */
static void on_refresh(struct timer *timer)
{
	struct schema *schema = container_of(timer, struct schema, refresh_timer);
	int64_t interval = schema->control->config->translation.reflection_refresh_ms;

	refresh(schema);
	if (interval > 0) {
		timer_arm(schema->control->loop, &schema->refresh_timer,
			loop_now_ms(schema->control->loop) + (uint64_t)interval);
	}
}

/* Empty; the pool from files follows by schema_set_files. */
struct schema *schema_create(struct control *control)
{
	struct schema *schema = mem_zalloc(sizeof *schema);

	schema->control = control;
	timer_init(&schema->refresh_timer, on_refresh);
	return schema;
}

void schema_destroy(struct schema *schema)
{
	if (!schema) {
		return;
	}
	timer_cancel(&schema->refresh_timer);
	descriptor_pool_unref(schema->files);
	descriptor_pool_unref(schema->reflected);
	mem_free(schema);
}

/* DS-01: a pool from files hides the reflected one, which is kept for a reload that removes the
 * files. */
void schema_set_files(struct schema *schema, struct descriptor_pool *pool)
{
	descriptor_pool_unref(schema->files);
	schema->files = pool;
	publish(schema);
}

/* RF-04: the application came back, perhaps as another version. */
void schema_app_ready(struct schema *schema, bool speaks_h2)
{
	schema->app_up = true;
	schema->app_h2 = speaks_h2;
	schema->settled = false;
	publish(schema);
	on_refresh(&schema->refresh_timer);
}

/* The pool stays: requests under way were decoded with it, and it is most likely right again. */
void schema_app_down(struct schema *schema)
{
	schema->app_up = false;
	timer_cancel(&schema->refresh_timer);
}

/* RF-04: a caller knows a method that we do not, so the application may be newer than what we
 * asked. */
void schema_refresh_unknown(struct schema *schema)
{
	uint64_t now = loop_now_ms(schema->control->loop);

	/* RF-04: unknown methods make no more than one question in 10 s. */
	if (schema->unknown_ms != 0 && now - schema->unknown_ms < UNKNOWN_MS) {
		return;
	}
	schema->unknown_ms = now;
	refresh(schema);
}

/* One configured file, at most what a descriptor set may be (LM-05). */
static int read_file(const char *path, struct buf *ret_bytes, struct err *err)
{
	struct stat status;
	/* Without O_NONBLOCK a FIFO would hold the start up for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int result = 0;

	if (fd < 0 || fstat(fd, &status) < 0) {
		result = -errno;
		err_set(err, DESCRIPTOR_ERR_READ, "%s: %s", path, strerror(-result));
	} else if (!S_ISREG(status.st_mode) || (size_t)status.st_size > DESCRIPTOR_SET_MAX) {
		result = -EFBIG;
		err_set(err, DESCRIPTOR_ERR_READ, "%s: expected a regular file of at most 16 MiB",
			path);
	}
	while (result == 0) {
		ssize_t got = read(fd, buf_reserve(ret_bytes, 65536), 65536);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			result = -errno;
			err_set(err, DESCRIPTOR_ERR_READ, "%s: %s", path, strerror(-result));
		} else if (got == 0) {
			break;
		} else {
			ret_bytes->size += (size_t)got;
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	return result;
}

/* DS-04: one bad file rejects them all, so that a reload never runs with half a schema. */
int schema_load(const struct config *config, struct descriptor_pool **ret_pool, struct err *err)
{
	const struct config_translation *translation = &config->translation;
	struct descriptor_builder *builder;
	struct descriptor_pool *pool = NULL;
	int result = 0;

	if (translation->descriptors.count == 0) {
		*ret_pool = NULL;
		return 0;
	}
	builder = descriptor_builder_create(DESCRIPTOR_ALL);
	for (size_t i = 0; i < translation->descriptors.count && result == 0; i++) {
		const char *path = translation->descriptors.items[i];
		struct buf bytes;

		buf_init(&bytes);
		result = read_file(path, &bytes, err);
		if (result == 0) {
			result = descriptor_builder_add_set(builder, buf_slice(&bytes), path, err);
		}
		buf_fini(&bytes);
	}
	if (result == 0) {
		pool = descriptor_builder_build(builder, err);
		result = pool ? 0 : -EBADMSG;
	}
	descriptor_builder_destroy(builder);
	if (result == 0) {
		*ret_pool = pool;
	}
	return result;
}
