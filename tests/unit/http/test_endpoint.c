/* Finding endpoints, and the unary helper: bodies, limits, answers now and later, clients that
 * leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/endpoint.h"
#include "http/local.h"
#include "http/reply.h"

static void find(void **state)
{
	static const struct endpoint endpoints[] = {
		{SLICE("/v1/"), ENDPOINT_INBOUND | ENDPOINT_OUTBOUND, NULL, NULL},
		{SLICE("/v1/pub/"), ENDPOINT_OUTBOUND, NULL, NULL},
		{SLICE("/pillion.v1.Raft/"), ENDPOINT_INBOUND, NULL, NULL},
	};
	static const struct {
		const char *path;
		unsigned direction;
		int index; /* -1: none */
	} rows[] = {
		{"/v1/x", ENDPOINT_INBOUND, 0},
		{"/v1/pub/t", ENDPOINT_OUTBOUND, 1},
		{"/v1/pub/t", ENDPOINT_INBOUND, 0},
		{"/v1/pub", ENDPOINT_OUTBOUND, 0},
		{"/v1", ENDPOINT_OUTBOUND, -1},
		{"/pillion.v1.Raft/Append", ENDPOINT_INBOUND, 2},
		{"/pillion.v1.Raft/Append", ENDPOINT_OUTBOUND, -1},
		{"/", ENDPOINT_INBOUND, -1},
		{"", ENDPOINT_INBOUND, -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct endpoint *found = endpoint_find(endpoints, ARRAY_SIZE(endpoints),
			rows[i].direction, slice_from_string(rows[i].path));

		assert_ptr_equal(found, rows[i].index < 0 ? NULL : &endpoints[rows[i].index]);
	}
}

enum answer { ANSWER_PLAIN, ANSWER_EMPTY, ANSWER_REASON, ANSWER_HEAD, ANSWER_LATER };

struct place {
	struct block_pool pool;
	struct http_limits limits;
	struct codec *codec;
	struct stream *near;
	struct unary *unary; /* waiting for its answer */
	struct buf log;
	enum answer answer;
	size_t body_max;
	bool expect;
	bool let_go;
};

static void give_answer(struct place *place, struct unary *unary)
{
	struct reply reply = {
		.reason = REASON_bad_topic, .grpc = -1, .outcome = OUTCOME_NOT_PROCESSED};
	struct arena arena;
	struct head head;

	switch (place->answer) {
	case ANSWER_PLAIN:
	case ANSWER_LATER:
		unary_reply_plain(unary, 200, SLICE("text/plain"), SLICE("hello"));
		break;
	case ANSWER_EMPTY:
		unary_reply_plain(unary, 204, SLICE(""), SLICE(""));
		break;
	case ANSWER_REASON:
		unary_reply_reason(unary, &reply);
		break;
	case ANSWER_HEAD:
		arena_init(&arena);
		head_init(&head, &arena, HEAD_RESPONSE);
		head.status = 201;
		head.body = BODY_UNKNOWN;
		unary_reply(unary, &head, SLICE("abc"));
		arena_fini(&arena);
		break;
	}
}

static void on_request(struct unary *unary, struct slice body)
{
	struct place *place = unary_owner(unary);

	buf_appendf(&place->log, "request %.*s", (int)unary_head(unary)->path.size,
		(const char *)unary_head(unary)->path.data);
	if (body.size < 20) {
		buf_appendf(&place->log, " '%.*s';", (int)body.size, (const char *)body.data);
	} else {
		buf_appendf(&place->log, " %zu bytes;", body.size);
	}
	if (place->answer == ANSWER_LATER) {
		place->unary = unary;
	} else {
		give_answer(place, unary);
	}
}

static void on_gone(struct unary *unary)
{
	struct place *place = unary_owner(unary);

	place->unary = NULL;
	buf_appendf(&place->log, "gone;");
}

static const struct unary_ops unary_ops = {on_request, on_gone};

static void on_head(struct stream *stream, struct head *head, bool end)
{
	struct place *place = stream->codec->owner;

	buf_appendf(&place->log, "%u%s%s;", head->status,
		head->kind == HEAD_INTERIM ? " interim" : "", end ? " end" : "");
}

static void on_body(struct stream *stream, struct chain *body, bool end)
{
	struct place *place = stream->codec->owner;

	buf_appendf(&place->log, "body %zu%s;", body->size, end ? " end" : "");
}

static void on_sent(struct stream *stream, size_t n)
{
	assert_true(stream->sent >= n);
}

static void on_reset(struct stream *stream, enum reason why)
{
	struct place *place = stream->codec->owner;

	buf_appendf(&place->log, "reset %s;", reason_word(why));
	place->near = NULL;
	stream_reset(stream, why);
}

static const struct stream_ops near_ops = {on_head, on_body, on_sent, on_reset};

/* As an exchange does: the head is there before the endpoint is asked. */
static void far_head(struct stream *stream, struct head *head, bool end)
{
	struct place *place = stream->codec->owner;
	struct endpoint_request request = {.stream = stream,
		.head = head,
		.end = end,
		.direction = ENDPOINT_INBOUND,
		.trace_id = SLICE("t1")};

	head->expect_continue = place->expect;
	unary_accept(&request, place->body_max, &unary_ops, place);
}

static const struct stream_ops far_ops = {far_head, on_body, on_sent, on_reset};

static void on_stream(struct codec *codec, struct stream *stream)
{
	(void)codec;
	stream->ops = &far_ops;
}

static void on_change(struct codec *codec)
{
	assert_non_null(codec);
}

static const struct codec_events events = {.on_stream = on_stream, .on_change = on_change};

static const char *run(struct place *place)
{
	while (place->codec->again) {
		place->codec->ops->receive(place->codec, false, 0);
	}
	return buf_string(&place->log);
}

static void place_init(struct place *place, enum answer answer, size_t body_max)
{
	struct codec_options options;

	memset(place, 0, sizeof(*place));
	block_pool_init(&place->pool, 4);
	http_limits_default(&place->limits);
	buf_init(&place->log);
	place->answer = answer;
	place->body_max = body_max;
	options = (struct codec_options){
		.events = &events, .owner = place, .pool = &place->pool, .limits = &place->limits};
	place->codec = local_create(&options);
}

static void place_fini(struct place *place)
{
	if (place->near) {
		stream_reset(place->near, REASON_ok);
	}
	run(place);
	assert_int_equal(place->codec->streams_active, 0);
	place->codec->ops->destroy(place->codec);
	buf_fini(&place->log);
	block_pool_fini(&place->pool);
}

static void ask(struct place *place, enum method method, uint64_t length, bool end)
{
	struct head head;

	place->near = place->codec->ops->open(place->codec);
	place->near->ops = &near_ops;
	head_init(&head, &place->near->arena, HEAD_REQUEST);
	head_set_method(&head, method, method_name(method));
	head.path = SLICE("/v1/x");
	head.body = end ? BODY_NONE : length > 0 ? BODY_LENGTH : BODY_UNKNOWN;
	head.length = length;
	assert_int_equal(place->codec->ops->send_head(place->near, &head, end), 0);
}

static void put(struct place *place, size_t size, bool end)
{
	uint8_t *bytes = mem_alloc(size + 1);

	memset(bytes, 'b', size);
	chain_append_copy(&place->near->out, &place->pool, bytes, size);
	place->codec->ops->send_more(place->near, end);
	mem_free(bytes);
}

static void answers(void **state)
{
	static const struct {
		enum answer answer;
		enum method method;
		const char *log;
	} rows[] = {
		{ANSWER_PLAIN, METHOD_GET, "request /v1/x '';200;body 5 end;"},
		{ANSWER_PLAIN, METHOD_HEAD, "request /v1/x '';200 end;"},
		{ANSWER_EMPTY, METHOD_GET, "request /v1/x '';204 end;"},
		{ANSWER_HEAD, METHOD_POST, "request /v1/x '';201;body 3 end;"},
		{ANSWER_REASON, METHOD_HEAD, "request /v1/x '';400 end;"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct place place;

		place_init(&place, rows[i].answer, 10);
		ask(&place, rows[i].method, 0, true);
		assert_string_equal(run(&place), rows[i].log);
		place_fini(&place);
	}
}

static void reason(void **state)
{
	struct place place;

	(void)state;
	place_init(&place, ANSWER_REASON, 10);
	ask(&place, METHOD_POST, 0, true);
	run(&place);
	assert_non_null(strstr(buf_string(&place.log), "400;body "));
	place_fini(&place);
}

/* The limit itself fits, one byte more is 413; known lengths are refused at once. */
static void body_limit(void **state)
{
	(void)state;
	for (size_t step = 1; step <= 100000; step *= 10) {
		struct place place;

		place_init(&place, ANSWER_PLAIN, 100000);
		ask(&place, METHOD_POST, 0, false);
		for (size_t at = 0; at < 100000 && step * 20000 >= 100000; at += step) {
			put(&place, step, at + step == 100000);
			run(&place);
		}
		if (step * 20000 >= 100000) {
			assert_string_equal(
				run(&place), "request /v1/x 100000 bytes;200;body 5 end;");
		}
		place_fini(&place);
	}
}

static void too_large(void **state)
{
	(void)state;
	for (int known = 0; known < 2; known++) {
		struct place place;

		place_init(&place, ANSWER_PLAIN, 100);
		ask(&place, METHOD_POST, known ? 101 : 0, false);
		run(&place);
		if (!known) {
			put(&place, 100, false);
			assert_string_equal(run(&place), "");
			put(&place, 1, true);
		}
		run(&place);
		assert_int_equal(strncmp(buf_string(&place.log), "gone;413;body ", 14), 0);
		place_fini(&place);
	}
}

static void small_body(void **state)
{
	struct place place;

	(void)state;
	place_init(&place, ANSWER_PLAIN, 10);
	place.expect = true;
	ask(&place, METHOD_POST, 3, false);
	assert_string_equal(run(&place), "100 interim;");
	put(&place, 2, false);
	run(&place);
	put(&place, 1, true);
	assert_string_equal(run(&place), "100 interim;request /v1/x 'bbb';200;body 5 end;");
	place_fini(&place);
}

static void later(void **state)
{
	struct place place;

	(void)state;
	place_init(&place, ANSWER_LATER, 10);
	ask(&place, METHOD_GET, 0, true);
	assert_string_equal(run(&place), "request /v1/x '';");
	assert_non_null(place.unary);
	give_answer(&place, place.unary);
	assert_string_equal(run(&place), "request /v1/x '';200;body 5 end;");
	place_fini(&place);
}

/* The client leaves while its body comes, or while the answer is awaited. */
static void gone(void **state)
{
	(void)state;
	for (int waiting = 0; waiting < 2; waiting++) {
		struct place place;

		place_init(&place, ANSWER_LATER, 10);
		ask(&place, METHOD_POST, 0, false);
		run(&place);
		if (waiting) {
			put(&place, 1, true);
			run(&place);
			assert_non_null(place.unary);
		}
		stream_reset(place.near, REASON_downstream_reset);
		place.near = NULL;
		run(&place);
		assert_non_null(strstr(buf_string(&place.log), "gone;"));
		assert_null(place.unary);
		place_fini(&place);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(find),
		cmocka_unit_test(answers),
		cmocka_unit_test(reason),
		cmocka_unit_test(body_limit),
		cmocka_unit_test(too_large),
		cmocka_unit_test(small_body),
		cmocka_unit_test(later),
		cmocka_unit_test(gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
