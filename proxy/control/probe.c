#include "control/probe.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/pbscan.h"
#include "base/rng.h"
#include "http/grpc.h"
#include "net/loop.h"
#include "net/timer.h"
#include "net/transport.h"
#include "upstream/connection.h"

#define FAST_INTERVAL_MS   250 /* before the first pass and while failing (MH-02) */
#define HEALTH_MESSAGE_MAX 4096
#define SERVING		   1 /* grpc.health.v1 HealthCheckResponse.SERVING */

/* HTTP/2 preface and an empty SETTINGS frame (RFC 9113 3.4): what MH-05 asks with. */
static const char question[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
#define QUESTION_SIZE (sizeof question - 1)

/* Outcome of a check under way. */
enum verdict { VERDICT_OPEN, VERDICT_PASS, VERDICT_FAIL };

struct probe {
	struct loop *loop;
	struct probe_events events;
	struct rng rng;
	/* Copied from the configuration. */
	struct address address;
	char path[1024];
	char grpc_service[256];
	enum config_check_kind kind;
	enum config_app_protocol protocol;
	uint64_t interval_ms, timeout_ms;
	unsigned fall, rise;

	struct timer timer; /* interval while idle, else the time limit of the check */
	struct task task;   /* callbacks mark and queue it: it alone advances and closes */
	bool busy;
	bool dying;
	unsigned connections; /* dialled and not yet closed: they use the pool */
	bool asking;	      /* the raw transport carries the protocol question, not a TCP check */
	bool reached;	      /* somebody accepted the raw transport */
	bool asked;	      /* the question was written */
	enum verdict verdict;
	struct transport *transport;
	struct connection *connection;
	struct block_pool pool;
	struct http_limits limits;
	struct stream *stream;
	struct grpc_call call;
	bool call_open;
	uint8_t answer[9];
	size_t answer_size;

	struct list_node askers; /* struct asker, waiting for the check under way */
	uint64_t checked_ms;	 /* end of the last check; 0: none yet */
	bool last_passed;

	bool known_protocol, h2;
	bool healthy, passed_once, fell;
	unsigned passes, failures; /* in a row */
	char error[256];
};

/* Somebody who asked for a check made now. */
struct asker {
	struct list_node node;
	void (*done)(void *owner, bool healthy, const char *error);
	void *owner;
};

#define SHARED_MS 500 /* MH-04 */

static void answer_askers(struct probe *probe)
{
	struct list_node *node;

	while ((node = list_pop_front(&probe->askers)) != NULL) {
		struct asker *asker = LIST_ENTRY(node, struct asker, node);

		asker->done(asker->owner, probe->last_passed, probe->error);
		mem_free(asker);
	}
}

/* MH-02: every 250 ms until the first pass, so that a fast application is registered at once, and
 * while it fails, so that its return is seen soon; likewise until it is known what it speaks. */
static void schedule(struct probe *probe)
{
	uint64_t wait = probe->interval_ms;

	if ((!probe->healthy || !probe->known_protocol) && wait > FAST_INTERVAL_MS) {
		wait = FAST_INTERVAL_MS;
	}
	/* MH-02: +-10 %, so that many sidecars do not ask in step. */
	wait = wait - wait / 10 + rng_below(&probe->rng, wait / 5 + 1);
	timer_arm(probe->loop, &probe->timer, loop_now_ms(probe->loop) + wait);
}

/* From the task or a timer, never inside a callback of what is closed. */
static void close_check(struct probe *probe)
{
	if (probe->call_open) {
		grpc_call_fini(&probe->call);
		probe->call_open = false;
		probe->stream = NULL;
	}
	if (probe->stream) {
		stream_reset(probe->stream, REASON_ok);
		probe->stream = NULL;
	}
	if (probe->connection) {
		struct connection *connection = probe->connection;

		probe->connection = NULL;
		connection_close(connection, REASON_ok, false);
	}
	if (probe->transport) {
		transport_close(probe->transport, false);
		probe->transport = NULL;
	}
	probe->busy = false;
}

/* Only changes are told: the owner tells workers and registry each time. */
static void report(struct probe *probe)
{
	probe->events.on_change(probe->events.owner, probe->healthy, probe->h2);
}

/* MH-02: one pass for the first time, `rise` in a row after a fall, since an application that
 * comes back often falls again. */
static void count_pass(struct probe *probe)
{
	unsigned needed = probe->fell ? probe->rise : 1;

	probe->failures = 0;
	probe->passes++;
	probe->error[0] = '\0';
	if (!probe->healthy && probe->passes >= needed) {
		probe->healthy = true;
		probe->passed_once = true;
		report(probe);
	}
}

/* MH-02: `fall` failures in a row; one that passes in between starts the count anew. */
static void count_failure(struct probe *probe)
{
	probe->passes = 0;
	probe->failures++;
	if (probe->healthy && probe->failures >= probe->fall) {
		probe->healthy = false;
		probe->fell = true;
		/* What listens there next may be another program (MH-05). */
		probe->known_protocol = probe->protocol != CONFIG_APP_AUTO;
		report(probe);
	}
}

/* The text is what /readyz and `pillion status` show: the address is in it, because most often
 * that is what is wrong. */
static void fail(struct probe *probe, const char *what, int error)
{
	char address[ADDRESS_TEXT_MAX];

	(void)snprintf(probe->error, sizeof probe->error, "%s at %s%s%s", what,
		address_format(&probe->address, address), error ? ": " : "",
		error ? strerror(-error) : "");
	probe->verdict = VERDICT_FAIL;
}

/* Callbacks of transports only mark: the task may close what this was called by. */
static void on_raw_ready(struct transport *transport, int mask)
{
	struct probe *probe = transport->owner;

	(void)mask;
	loop_queue(probe->loop, &probe->task);
}

/* A connection of its own, never the pool's: a full pool or a busy application must not look like
 * a dead one (MH-01). */
static bool open_raw(struct probe *probe)
{
	int result = transport_tcp_connect(probe->loop, &probe->address, &probe->transport);

	if (result < 0) {
		probe->transport = NULL;
		fail(probe, "connect", result);
		return false;
	}
	probe->transport->on_ready = on_raw_ready;
	probe->transport->owner = probe;
	if (probe->transport->connecting) {
		transport_want(probe->transport, TRANSPORT_WRITE);
	} else {
		loop_queue(probe->loop, &probe->task);
	}
	return true;
}

/* MH-05: whoever answers with a SETTINGS frame speaks HTTP/2. */
static void advance_question(struct probe *probe)
{
	struct iovec vector = {(void *)(uintptr_t)question, QUESTION_SIZE};
	ssize_t got;

	if (!probe->asked) {
		probe->asked = true;
		if (transport_write(probe->transport, &vector, 1) != (ssize_t)QUESTION_SIZE) {
			probe->verdict = VERDICT_FAIL;
			return;
		}
	}
	got = transport_read(probe->transport, probe->answer + probe->answer_size,
		sizeof probe->answer - probe->answer_size);
	if (got > 0) {
		probe->answer_size += (size_t)got;
	}
	if (probe->answer_size == sizeof probe->answer) {
		bool settings = probe->answer[3] == 4 && probe->answer[4] == 0 &&
				memcmp(probe->answer + 5, "\0\0\0\0", 4) == 0;

		probe->verdict = settings ? VERDICT_PASS : VERDICT_FAIL;
	} else if (got < 0) {
		probe->verdict = VERDICT_FAIL;
	} else {
		transport_want(probe->transport, TRANSPORT_READ);
	}
}

/* MH-01: for a TCP check being accepted is the pass; nothing is sent, for the application may log
 * what is no request. */
static void advance_raw(struct probe *probe)
{
	if (probe->transport->connecting) {
		int result = transport_finish_connect(probe->transport);

		if (result == -EINPROGRESS) {
			return;
		}
		if (result < 0) {
			fail(probe, "connect", result);
			return;
		}
	}
	probe->reached = true;
	if (probe->asking) {
		advance_question(probe);
	} else {
		probe->verdict = VERDICT_PASS;
	}
}

/* MH-01: 200 to 399. A redirect to a login page is an application that works. */
static void on_head(struct stream *stream, struct head *head, bool end)
{
	struct probe *probe = stream->owner;

	(void)end;
	if (head->kind != HEAD_RESPONSE) {
		return;
	}
	if (head->status >= 200 && head->status < 400) {
		probe->verdict = VERDICT_PASS;
	} else {
		(void)snprintf(probe->error, sizeof probe->error, "the check %.128s answers %u",
			probe->path, head->status);
		probe->verdict = VERDICT_FAIL;
	}
	loop_queue(probe->loop, &probe->task);
}

/* The verdict stands with the head; the body is only let through so that the connection ends in
 * order. */
static void on_body(struct stream *stream, struct chain *body, bool end)
{
	(void)end;
	stream->codec->ops->credit(stream, body->size);
	chain_clear(body);
}

static void on_sent(struct stream *stream, size_t n)
{
	(void)stream;
	(void)n;
}

/* A head that came before the reset has decided already. */
static void on_stream_reset(struct stream *stream, enum reason why)
{
	struct probe *probe = stream->owner;

	if (probe->verdict == VERDICT_OPEN) {
		fail(probe, reason_word(why), 0);
	}
	loop_queue(probe->loop, &probe->task);
}

static const struct stream_ops http_ops = {on_head, on_body, on_sent, on_stream_reset};

/* HealthCheckResponse is one enum; hand-scanned, because nothing of an application's bytes goes
 * through protobuf-c (LB-01). */
static void on_message(struct grpc_call *call, struct slice message)
{
	struct probe *probe = call->owner;
	struct pbscan_field field;
	uint64_t status = 0;
	int result;

	while ((result = pbscan_next(&message, &field)) == 1) {
		if (field.number == 1 && field.wire_type == 0) {
			status = field.value;
		}
	}
	if (result == 0 && status == SERVING) {
		probe->verdict = VERDICT_PASS;
	} else {
		fail(probe, "grpc health says not SERVING", 0);
	}
	loop_queue(probe->loop, &probe->task);
}

/* The status that follows decides. */
static void on_half_close(struct grpc_call *call)
{
	(void)call;
}

/* A server without the health service answers UNIMPLEMENTED: a failure that the text explains. */
static void on_call_closed(struct grpc_call *call, int status, struct slice text)
{
	struct probe *probe = call->owner;

	(void)text;
	if (probe->verdict == VERDICT_OPEN) {
		char what[64];

		(void)snprintf(what, sizeof what, "grpc health answers status %d", status);
		fail(probe, what, 0);
	}
	loop_queue(probe->loop, &probe->task);
}

static const struct grpc_call_ops health_ops = {on_message, on_half_close, on_call_closed, NULL};

/* MH-01 {"grpc": "svc"}: an empty service name asks for the server as a whole. */
static void send_health(struct probe *probe, struct codec *codec)
{
	struct grpc_call_options options = {.ops = &health_ops,
		.owner = probe,
		.message_max = HEALTH_MESSAGE_MAX,
		.queue_max = HEALTH_MESSAGE_MAX};
	struct grpc_request request = {
		.path = SLICE("/grpc.health.v1.Health/Check"), .authority = SLICE("localhost")};
	struct buf message;

	if (grpc_call_open(&probe->call, codec, &request, &options) < 0) {
		fail(probe, "no stream for the health check", 0);
		return;
	}
	probe->call_open = true;
	buf_init(&message);
	if (probe->grpc_service[0]) {
		pbscan_put_bytes(&message, 1, slice_from_string(probe->grpc_service));
	}
	if (grpc_call_send(&probe->call, buf_slice(&message)) < 0) {
		fail(probe, "health check not sent", 0);
	}
	grpc_call_finish(&probe->call, 0, SLICE(""));
	buf_fini(&message);
}

/* MH-01 {"http": "/path"}: user-agent says who asks, so that access logs of the application can
 * leave it out. */
static void send_get(struct probe *probe, struct codec *codec)
{
	struct head head;
	struct arena arena;
	char authority[ADDRESS_TEXT_MAX];

	probe->stream = codec->ops->open(codec);
	if (!probe->stream) {
		fail(probe, "no stream for the check", 0);
		return;
	}
	probe->stream->ops = &http_ops;
	probe->stream->owner = probe;
	arena_init(&arena);
	head_init(&head, &arena, HEAD_REQUEST);
	head_set_method(&head, METHOD_GET, SLICE("GET"));
	head.scheme = SLICE("http");
	head.authority = probe->address.u.any.sa_family == AF_UNIX
				 ? SLICE("localhost")
				 : slice_from_string(address_format(&probe->address, authority));
	head.path = slice_from_string(probe->path);
	head_add_token(&head, TOKEN_user_agent, SLICE("pillion-check"));
	if (codec->ops->send_head(probe->stream, &head, true) < 0) {
		fail(probe, "check not sent", 0);
	}
	arena_fini(&arena);
}

/* The request is sent by the task, not from within the connection. */
static void on_open(struct connection *connection)
{
	struct probe *probe = connection_owner(connection);

	if (connection == probe->connection) {
		loop_queue(probe->loop, &probe->task);
	}
}

static void on_connection_stream(struct connection *connection, struct stream *stream)
{
	(void)connection;
	(void)stream;
	ASSERT(false); /* a client connection accepts nothing */
}

static void on_connection_change(struct connection *connection)
{
	(void)connection;
}

/* The pool may go only when every connection has given its blocks back. */
static void dispose(void *object)
{
	struct probe *probe = object;

	block_pool_fini(&probe->pool);
	mem_free(probe);
}

/* The last connection buries itself behind its on_closed; the pool must outlive it. */
static void bury_behind(void *object)
{
	struct probe *probe = object;

	loop_bury(probe->loop, dispose, probe);
}

static void on_connection_closed(struct connection *connection, enum reason why, const char *detail)
{
	struct probe *probe = connection_owner(connection);

	ASSERT(probe->connections > 0);
	probe->connections--;
	if (probe->dying) {
		if (probe->connections == 0) {
			loop_bury(probe->loop, bury_behind, probe);
		}
		return;
	}
	if (connection != probe->connection) {
		return; /* one that the probe had let go of */
	}
	probe->connection = NULL;
	if (probe->verdict == VERDICT_OPEN) {
		fail(probe, detail && detail[0] ? detail : reason_word(why), 0);
	}
	loop_queue(probe->loop, &probe->task);
}

static const struct connection_events connection_ops = {
	on_open, on_connection_stream, on_connection_change, on_connection_closed};

/* HTTP/2 with prior knowledge where gRPC is asked, or the file says h2c; else HTTP/1, which every
 * application with a health path speaks. */
static void start_request(struct probe *probe)
{
	struct connection_options options = {.loop = probe->loop,
		.pool = &probe->pool,
		.limits = &probe->limits,
		.events = &connection_ops,
		.owner = probe};
	struct connection_target target = {.address = probe->address,
		.h2 = probe->kind == CONFIG_CHECK_GRPC || probe->protocol == CONFIG_APP_H2C,
		.connect_timeout_ms = probe->timeout_ms};

	probe->connection = connection_dial(&options, &target);
	/* Counted before it can close: even a dial that fails at once ends by on_closed. */
	probe->connections++;
}

/* Called at each change; sends once, when the connection is open. */
static void advance_request(struct probe *probe)
{
	if (probe->connection && !probe->stream && !probe->call_open &&
		connection_is_open(probe->connection)) {
		if (probe->kind == CONFIG_CHECK_GRPC) {
			send_health(probe, connection_codec(probe->connection));
		} else {
			send_get(probe, connection_codec(probe->connection));
		}
	}
}

/* A check or the question MH-05. One time limit covers it whole, connecting included. */
static void start(struct probe *probe, bool asking)
{
	probe->busy = true;
	probe->asking = asking || probe->kind == CONFIG_CHECK_NONE;
	probe->reached = false;
	probe->asked = false;
	probe->answer_size = 0;
	probe->verdict = VERDICT_OPEN;
	timer_arm(probe->loop, &probe->timer, loop_now_ms(probe->loop) + probe->timeout_ms);
	if (probe->kind == CONFIG_CHECK_NONE && probe->known_protocol) {
		/* What it speaks is all there was to ask (MH-01). */
		probe->verdict = VERDICT_PASS;
		loop_queue(probe->loop, &probe->task);
	} else if (probe->asking || probe->kind == CONFIG_CHECK_TCP) {
		if (!open_raw(probe)) {
			loop_queue(probe->loop, &probe->task);
		}
	} else {
		start_request(probe);
	}
}

/* Whoever accepted has answered: no word of HTTP/2 is an answer too. An application without a check
 * was called well before, so a surprise is told. */
static void learn_protocol(struct probe *probe, bool h2)
{
	bool surprise = probe->healthy && probe->h2 != h2;

	probe->known_protocol = true;
	probe->h2 = h2;
	if (surprise) {
		report(probe);
	}
}

/* A check or the question has its verdict. */
static void conclude(struct probe *probe)
{
	bool answered = probe->asking && probe->reached;
	bool passed = probe->verdict == VERDICT_PASS || answered;
	bool h2 = probe->verdict == VERDICT_PASS;

	close_check(probe);
	if (answered) {
		learn_protocol(probe, h2);
	}
	if (probe->kind == CONFIG_CHECK_NONE) {
		/* Who is not there yet is asked again, and well all the same (MH-01). */
		passed = true;
	} else if (passed && !probe->known_protocol) {
		/* MH-05: the first pass of each start is followed by the question, before anybody
		 * hears of the pass. */
		start(probe, true);
		return;
	}
	if (passed) {
		count_pass(probe);
	} else {
		count_failure(probe);
	}
	probe->checked_ms = loop_now_ms(probe->loop);
	probe->last_passed = passed;
	answer_askers(probe);
	schedule(probe);
}

/* The one place where a check advances and ends; what called it has returned by then. */
static void run(struct task *task)
{
	struct probe *probe = container_of(task, struct probe, task);

	if (!probe->busy) {
		return;
	}
	if (probe->kind == CONFIG_CHECK_NONE) {
		count_pass(probe); /* whatever the question finds */
	}
	if (probe->verdict == VERDICT_OPEN && probe->transport) {
		advance_raw(probe);
	} else if (probe->verdict == VERDICT_OPEN) {
		advance_request(probe);
	}
	if (probe->verdict != VERDICT_OPEN) {
		conclude(probe);
	}
}

/* One timer for both: idle, it starts the next check; busy, it is the limit of the one under way.
 */
static void on_timer(struct timer *timer)
{
	struct probe *probe = container_of(timer, struct probe, timer);

	if (!probe->busy) {
		start(probe, false);
		return;
	}
	if (probe->verdict == VERDICT_OPEN) {
		fail(probe, "no answer in time", 0);
	}
	conclude(probe);
}

void probe_ask(struct probe *probe, void (*done)(void *owner, bool healthy, const char *error),
	void *owner)
{
	struct asker *asker;

	if (probe->kind == CONFIG_CHECK_NONE) {
		done(owner, true, "");
		return;
	}
	if (probe->checked_ms != 0 && loop_now_ms(probe->loop) - probe->checked_ms < SHARED_MS) {
		done(owner, probe->last_passed, probe->error);
		return;
	}
	asker = mem_zalloc(sizeof *asker);
	asker->done = done;
	asker->owner = owner;
	list_push_back(&probe->askers, &asker->node);
	if (!probe->busy) {
		start(probe, false);
	}
}

/* A reload keeps verdict and counts: changing an interval is no reason to leave the registry. */
void probe_configure(struct probe *probe, const struct config_app *app)
{
	probe->address = app->address.address;
	probe->kind = app->check.kind;
	probe->protocol = app->protocol;
	probe->interval_ms = (uint64_t)app->check_interval_ms;
	probe->timeout_ms = (uint64_t)app->check_timeout_ms;
	probe->fall = (unsigned)app->fall;
	probe->rise = (unsigned)app->rise;
	(void)snprintf(
		probe->path, sizeof probe->path, "%s", app->check.http ? app->check.http : "/");
	(void)snprintf(probe->grpc_service, sizeof probe->grpc_service, "%s",
		app->check.grpc ? app->check.grpc : "");
	if (probe->protocol != CONFIG_APP_AUTO) {
		probe->known_protocol = true;
		probe->h2 = probe->protocol == CONFIG_APP_H2C;
	}
}

/* Starts nothing: probe_restart does, once the application was started. */
struct probe *probe_create(
	struct loop *loop, const struct config_app *app, const struct probe_events *events)
{
	struct probe *probe = mem_zalloc(sizeof *probe);

	ASSERT(events->on_change);
	probe->loop = loop;
	probe->events = *events;
	rng_seed_system(&probe->rng);
	list_init(&probe->askers);
	timer_init(&probe->timer, on_timer);
	task_init(&probe->task, run);
	block_pool_init(&probe->pool, 4);
	http_limits_default(&probe->limits);
	probe_configure(probe, app);
	return probe;
}

/* Connections end a turn later than they are closed; the last of them takes the probe along. */
void probe_destroy(struct probe *probe)
{
	if (!probe) {
		return;
	}
	timer_cancel(&probe->timer);
	close_check(probe);
	task_cancel(&probe->task);
	answer_askers(probe);
	probe->dying = true;
	if (probe->connections == 0) {
		loop_bury(probe->loop, bury_behind, probe);
	}
}

void probe_stop(struct probe *probe)
{
	timer_cancel(&probe->timer);
	close_check(probe);
	task_cancel(&probe->task);
	probe->known_protocol = probe->protocol != CONFIG_APP_AUTO;
	probe->passes = probe->failures = 0;
	probe->fell = false;
	probe->checked_ms = 0;
	probe->last_passed = false;
	(void)snprintf(probe->error, sizeof probe->error, "the application does not run");
	answer_askers(probe);
	if (probe->healthy) {
		probe->healthy = false;
		report(probe);
	}
}

void probe_restart(struct probe *probe)
{
	probe_stop(probe);
	probe->error[0] = '\0';
	start(probe, false);
	/* MH-01: an application without a check is well from here on. */
	loop_queue(probe->loop, &probe->task);
}

bool probe_healthy(const struct probe *probe)
{
	return probe->healthy;
}

const char *probe_error(const struct probe *probe)
{
	return probe->error;
}

bool probe_speaks_h2(const struct probe *probe)
{
	return probe->h2;
}

bool probe_passed_once(const struct probe *probe)
{
	return probe->passed_once;
}
