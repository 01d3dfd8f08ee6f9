#include "control/warmup.h"

#include "base/mem.h"
#include "control/state.h"
#include "http/codec.h"

#define WARMUP_MAX    100
#define WARMUP_END_MS 5000

struct warmup {
	struct control *control;
	struct worker *worker;
	void (*done)(void *owner);
	void *owner;
	char *paths[WARMUP_MAX];
	size_t count, next;
	struct stream *stream;
	struct timer timer;
	struct task task;
};

/* Control's thread again. */
static void run_done(struct control *control, void *argument)
{
	struct warmup *warmup = argument;

	(void)control;
	warmup->done(warmup->owner);
	mem_free(warmup);
}

/* Only the end matters: a 500 warms as well (ML-04). */
static void on_head(struct stream *stream, struct head *head, bool end)
{
	struct warmup *warmup = stream->owner;

	(void)head;
	if (end) {
		loop_queue(warmup->worker->loop, &warmup->task);
	}
}

/* Let through and thrown away; without credit the application would stop in the middle. */
static void on_body(struct stream *stream, struct chain *body, bool end)
{
	struct warmup *warmup = stream->owner;

	stream->codec->ops->credit(stream, body->size);
	chain_clear(body);
	if (end) {
		loop_queue(warmup->worker->loop, &warmup->task);
	}
}

/* A GET has no body. */
static void on_sent(struct stream *stream, size_t n)
{
	(void)stream;
	(void)n;
}

/* The next path may still work. */
static void on_reset(struct stream *stream, enum reason why)
{
	struct warmup *warmup = stream->owner;

	(void)why;
	loop_queue(warmup->worker->loop, &warmup->task);
}

static const struct stream_ops warmup_ops = {on_head, on_body, on_sent, on_reset};

/* Through the in-process client, so that the first real request finds connections, schema and code
 * paths warm. */
static void send_get(struct warmup *warmup, const char *path)
{
	struct codec *codec = exchange_server_local(warmup->worker->server, LOCAL_TO_APP);
	struct arena arena;
	struct head head;

	warmup->stream = codec->ops->open(codec);
	if (!warmup->stream) {
		loop_queue(warmup->worker->loop, &warmup->task);
		return;
	}
	warmup->stream->ops = &warmup_ops;
	warmup->stream->owner = warmup;
	arena_init(&arena);
	head_init(&head, &arena, HEAD_REQUEST);
	head_set_method(&head, METHOD_GET, SLICE("GET"));
	head.scheme = SLICE("http");
	head.authority = SLICE("localhost");
	head.path = slice_from_string(path);
	if (codec->ops->send_head(warmup->stream, &head, true) < 0) {
		loop_queue(warmup->worker->loop, &warmup->task);
	}
	arena_fini(&arena);
}

/* Also after the time limit: paths that were not reached are left out. */
static void end(struct warmup *warmup)
{
	timer_cancel(&warmup->timer);
	for (size_t i = 0; i < warmup->count; i++) {
		mem_free(warmup->paths[i]);
	}
	control_call(warmup->control, run_done, warmup, NULL);
}

/* The last request is over (or the first is due): go on. */
static void run(struct task *task)
{
	struct warmup *warmup = container_of(task, struct warmup, task);

	if (warmup->stream) {
		stream_reset(warmup->stream, REASON_ok);
		warmup->stream = NULL;
	}
	if (warmup->next == warmup->count) {
		end(warmup);
		return;
	}
	send_get(warmup, warmup->paths[warmup->next++]);
}

/* ML-04: five seconds for all of them; the registration does not wait longer for a slow page. */
static void on_timer(struct timer *timer)
{
	struct warmup *warmup = container_of(timer, struct warmup, timer);

	warmup->next = warmup->count;
	loop_queue(warmup->worker->loop, &warmup->task);
}

/* On worker 0: what is warmed is the application, not the worker. */
static void run_start(struct worker *worker, void *argument)
{
	struct warmup *warmup = argument;

	warmup->worker = worker;
	task_init(&warmup->task, run);
	timer_init(&warmup->timer, on_timer);
	timer_arm(worker->loop, &warmup->timer, loop_now_ms(worker->loop) + WARMUP_END_MS);
	loop_queue(worker->loop, &warmup->task);
}

/* The paths are copied: a reload may replace the configuration meanwhile. */
void warmup_start(struct control *control, void (*done)(void *owner), void *owner)
{
	struct warmup *warmup = mem_zalloc(sizeof *warmup);
	const struct config_app *app = &control->config->self.app;

	ASSERT(done);
	warmup->control = control;
	warmup->done = done;
	warmup->owner = owner;
	for (size_t i = 0; i < app->warmup.count && warmup->count < WARMUP_MAX; i++) {
		warmup->paths[warmup->count++] = mem_strdup(app->warmup.items[i]);
	}
	worker_call(&control->workers[0], run_start, warmup, NULL);
}
