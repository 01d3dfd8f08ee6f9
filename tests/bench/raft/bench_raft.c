/*
 * bench_raft: writes against a running replica in the session protocol: first one session, each
 * write begun when the last is answered, then a thousand at once. Prints rate, p50 and p99.
 *   bench_raft 127.0.0.1:7440 [seconds]
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "http/grpc.h"
#include "net/loop.h"
#include "raftreg/content.h"
#include "raftreg/packet.h"
#include "upstream/connection.h"

#define STREAMS	     8
#define SESSIONS_MAX 1000
#define SAMPLES_MAX  4000000u
#define QUEUE_MAX    (16u * 1024 * 1024)

struct session {
	struct stream_state *stream;
	uint8_t id[16];
	uint64_t seq, number, begun_ns;
	bool open;
};

struct stream_state {
	struct connection *connection;
	struct grpc_call call;
	bool greeted;
};

struct bench {
	struct loop *loop;
	struct block_pool pool;
	struct http_limits limits;
	struct stream_state streams[STREAMS];
	struct session sessions[SESSIONS_MAX];
	size_t count, opened;
	bool running;
	uint32_t *samples; /* us */
	size_t sample_count;
	uint64_t refused;
};

static struct bench bench;

static void send_frame(struct stream_state *stream, struct buf *bytes)
{
	if (grpc_call_send(&stream->call, buf_slice(bytes)) < 0) {
		(void)fprintf(stderr, "the stream is blocked\n");
		exit(1);
	}
	buf_fini(bytes);
}

static void begin_frame(struct packet *frame, struct session *session)
{
	frame->number = (uint64_t)(session - bench.sessions) + 1;
	frame->session = slice_make(session->id, 16);
	frame->incarnation = 1;
	session->begun_ns = clock_monotonic_ns();
}

static void open_session(struct session *session)
{
	struct packet frame = {.kind = PACKET_OPEN,
		.ttl_ms = 60000,
		.identity = SLICE("bench"),
		.host = SLICE("127.0.0.1"),
		.port = 1,
		.boot = 1};
	struct buf bytes;

	buf_init(&bytes);
	begin_frame(&frame, session);
	packet_encode(&frame, &bytes);
	send_frame(session->stream, &bytes);
}

/* One instance whose port is another one each time: a write that changes something. */
static void register_once(struct session *session)
{
	struct packet frame = {.kind = PACKET_REGISTER, .seq = ++session->seq};
	struct content content = {.service = SLICE("bench"),
		.version = SLICE("1"),
		.host = SLICE("127.0.0.1"),
		.weight = 100};
	struct item item = {.op = ITEM_UPSERT, .set = content.service};
	char id[33];
	char service[32];
	struct buf bytes, key, encoded, whole;

	instance_id_format(session->id, id);
	/* A service for each hundred sessions, as a mesh has it. */
	(void)snprintf(
		service, sizeof service, "bench-%u", (unsigned)(session - bench.sessions) / 100);
	content.service = item.set = slice_from_string(service);
	content.id = slice_from_string(id);
	content.port = (uint16_t)(1 + session->seq % 60000);
	buf_init(&bytes);
	buf_init(&key);
	buf_init(&encoded);
	buf_init(&whole);
	content_encode(&content, &encoded);
	content_key(&content, &key);
	item.key = buf_slice(&key);
	item.content = buf_slice(&encoded);
	item_encode(&item, &whole);
	begin_frame(&frame, session);
	packet_encode(&frame, &bytes);
	packet_add_item(&bytes, buf_slice(&whole));
	send_frame(session->stream, &bytes);
	buf_fini(&key);
	buf_fini(&encoded);
	buf_fini(&whole);
}

static void on_answer(const struct packet *answer)
{
	struct session *session = &bench.sessions[answer->number - 1];

	if (answer->code != CODE_OK && answer->code != CODE_ALREADY) {
		bench.refused++;
		if (bench.refused == 1) {
			(void)fprintf(stderr, "refused: %s %.*s\n", packet_code_word(answer->code),
				(int)answer->text.size, (const char *)answer->text.data);
		}
	}
	if (!session->open) {
		session->open = true;
		bench.opened++;
		return;
	}
	if (bench.sample_count < SAMPLES_MAX) {
		bench.samples[bench.sample_count++] =
			(uint32_t)((clock_monotonic_ns() - session->begun_ns) / 1000);
	}
	if (bench.running) {
		register_once(session);
	}
}

static void on_message(struct grpc_call *call, struct slice message)
{
	struct stream_state *stream = call->owner;
	struct packet frame;

	if (packet_decode(message, &frame) < 0) {
		return;
	}
	if (frame.kind == PACKET_WELCOME) {
		stream->greeted = true;
	} else if (frame.kind == PACKET_ANSWER && frame.number >= 1 &&
		   frame.number <= SESSIONS_MAX) {
		on_answer(&frame);
	}
}

static void on_half_close(struct grpc_call *call)
{
	(void)call;
}

static void on_call_closed(struct grpc_call *call, int status, struct slice text)
{
	(void)call;
	(void)fprintf(stderr, "closed: %d %.*s\n", status, (int)text.size, (const char *)text.data);
	exit(1);
}

static const struct grpc_call_ops call_ops = {on_message, on_half_close, on_call_closed, NULL};

static void on_open(struct connection *connection)
{
	struct stream_state *stream = connection_owner(connection);
	const struct grpc_call_options options = {.ops = &call_ops,
		.owner = stream,
		.message_max = PACKET_VIEW_MAX,
		.queue_max = QUEUE_MAX};
	const struct grpc_request request = {
		.path = SLICE("/pillion.v1.Registry/Session"), .authority = SLICE("bench")};
	const struct packet hello = {.kind = PACKET_HELLO};
	struct buf bytes;

	if (grpc_call_open(&stream->call, connection_codec(connection), &request, &options) < 0) {
		exit(1);
	}
	buf_init(&bytes);
	packet_encode(&hello, &bytes);
	send_frame(stream, &bytes);
}

static void on_change(struct connection *connection)
{
	(void)connection;
}

static void on_stream(struct connection *connection, struct stream *stream)
{
	(void)connection;
	(void)stream;
}

static void on_closed(struct connection *connection, enum reason why, const char *detail)
{
	(void)connection;
	(void)fprintf(stderr, "%s %s\n", reason_word(why), detail ? detail : "");
	exit(1);
}

static const struct connection_events events = {on_open, on_stream, on_change, on_closed};

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a;
	uint32_t right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static void run_until(uint64_t end_ns)
{
	while (clock_monotonic_ns() < end_ns) {
		loop_turn(bench.loop, 1);
	}
}

static void measure(size_t sessions, double seconds)
{
	uint64_t begin, spent;

	bench.count = sessions;
	bench.opened = 0;
	bench.sample_count = 0;
	for (size_t i = 0; i < sessions; i++) {
		struct session *session = &bench.sessions[i];

		*session = (struct session){.stream = &bench.streams[i % STREAMS]};
		rng_system_bytes(session->id, 16);
		open_session(session);
	}
	while (bench.opened < sessions) {
		loop_turn(bench.loop, 1);
	}
	bench.running = true;
	begin = clock_monotonic_ns();
	for (size_t i = 0; i < sessions; i++) {
		register_once(&bench.sessions[i]);
	}
	run_until(begin + (uint64_t)(seconds * 1e9));
	spent = clock_monotonic_ns() - begin;
	bench.running = false;
	qsort(bench.samples, bench.sample_count, sizeof *bench.samples, compare);
	if (bench.sample_count == 0) {
		(void)printf("sessions %zu: no write was answered\n", sessions);
		return;
	}
	(void)printf("sessions %zu writes_per_s %.0f p50_ms %.3f p99_ms %.3f refused %llu\n",
		sessions, (double)bench.sample_count * 1e9 / (double)spent,
		bench.samples[bench.sample_count / 2] / 1000.0,
		bench.samples[bench.sample_count * 99 / 100] / 1000.0,
		(unsigned long long)bench.refused);
	run_until(clock_monotonic_ns() + 500000000);
}

int main(int argc, char **argv)
{
	double seconds = argc > 2 ? atof(argv[2]) : 3;
	struct connection_options options = {.events = &events};
	struct connection_target target = {.h2 = true, .connect_timeout_ms = 2000};
	bool greeted = false;

	if (argc < 2 || !address_parse(slice_from_string(argv[1]), false, &target.address) ||
		loop_create(&bench.loop) < 0) {
		(void)fprintf(stderr, "usage: bench_raft HOST:PORT [seconds]\n");
		return 64;
	}
	bench.samples = mem_alloc(SAMPLES_MAX * sizeof *bench.samples);
	block_pool_init(&bench.pool, 256);
	http_limits_default(&bench.limits);
	options.loop = bench.loop;
	options.pool = &bench.pool;
	options.limits = &bench.limits;
	for (size_t i = 0; i < STREAMS; i++) {
		options.owner = &bench.streams[i];
		bench.streams[i].connection = connection_dial(&options, &target);
	}
	while (!greeted) {
		loop_turn(bench.loop, 10);
		greeted = true;
		for (size_t i = 0; i < STREAMS; i++) {
			greeted = greeted && bench.streams[i].greeted;
		}
	}
	measure(1, seconds);
	measure(SESSIONS_MAX, seconds);
	return 0;
}
