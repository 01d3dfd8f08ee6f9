/*
 * Two codecs back to back: an echoing server and a client that sends a known pattern. Bytes between
 * them are cut at seeded places, bodies credited late, streams reset at random. What comes back is
 * compared byte by byte; both invariants hold at the end of each seed.
 */
#include "h2_rig.h"

#include "base/rng.h"

enum { DUO_STREAMS = 40, DUO_SEEDS = 60, DUO_BODY_MAX = 200000 };

struct duo_call {
	struct stream *client;
	struct stream *server;
	size_t size;   /* of the request body */
	size_t sent;   /* appended by the client */
	size_t echoed; /* received by the client */
	size_t uncredited;
	bool head;
	bool trailers;
	bool done;
	bool doomed; /* reset by one side: anything goes, but nothing twice */
};

struct duo {
	struct block_pool pool;
	struct http_limits limits;
	struct rng rng;
	struct codec *client;
	struct codec *server;
	struct chain to_server;
	struct chain to_client;
	struct duo_call calls[DUO_STREAMS];
	size_t opened;
	size_t ended;
	uint64_t now_ms;
};

static uint8_t pattern(size_t call, size_t at)
{
	return (uint8_t)(call * 31 + at * 7 + (at >> 8));
}

static struct duo *duo_of(struct stream *stream)
{
	return stream->codec->owner;
}

static struct duo_call *call_of(struct stream *stream)
{
	return stream->owner;
}

/* The server: echoes head, body, trailers; credits what it sent on. */
static void server_head(struct stream *stream, struct head *head, bool end)
{
	struct head answer;

	head_init(&answer, &stream->arena, HEAD_RESPONSE);
	answer.status = 200;
	answer.body = BODY_UNKNOWN;
	if (head->kind == HEAD_REQUEST) {
		struct duo *duo = duo_of(stream);
		uint64_t index;

		assert_true(
			slice_parse_u64(head_value(head, TOKEN_x_request_id), DUO_STREAMS, &index));
		stream->owner = &duo->calls[index];
		duo->calls[index].server = stream;
		assert_int_equal(stream->codec->ops->send_head(stream, &answer, end), 0);
		if (end) {
			duo->calls[index].server = NULL;
			stream_reset(stream, REASON_ok);
		}
		return;
	}
	/* Trailers: echoed, then nothing is left to do. */
	head_init(&answer, &stream->arena, HEAD_TRAILERS);
	head_add(&answer, SLICE("x-trailer"), head_value(head, TOKEN_etag));
	assert_int_equal(stream->codec->ops->send_head(stream, &answer, true), 0);
	call_of(stream)->server = NULL;
	stream_reset(stream, REASON_ok);
}

static void server_body(struct stream *stream, struct chain *body, bool end)
{
	chain_move(&stream->out, body);
	stream->codec->ops->send_more(stream, end);
	if (end) {
		call_of(stream)->server = NULL;
		stream_reset(stream, REASON_ok);
	}
}

static void server_sent(struct stream *stream, size_t n)
{
	if (!stream->ended_in) {
		stream->codec->ops->credit(stream, n);
	}
}

static void server_reset(struct stream *stream, enum reason why)
{
	struct duo_call *call = call_of(stream);

	assert_true(call->doomed);
	call->server = NULL;
	stream_reset(stream, why);
}

static const struct stream_ops server_ops = {server_head, server_body, server_sent, server_reset};

static void call_end(struct stream *stream, enum reason why)
{
	struct duo_call *call = call_of(stream);

	assert_false(call->done);
	call->done = true;
	call->client = NULL;
	duo_of(stream)->ended++;
	stream_reset(stream, why);
}

static void client_head(struct stream *stream, struct head *head, bool end)
{
	struct duo_call *call = call_of(stream);

	if (head->kind == HEAD_TRAILERS) {
		assert_true(
			slice_equal(head_find_name(head, SLICE("x-trailer"))->value, SLICE("t")));
		assert_true(call->trailers);
	} else {
		assert_int_equal(head->status, 200);
		assert_false(call->head);
		call->head = true;
	}
	if (end) {
		assert_true(call->doomed || call->echoed == call->size);
		call_end(stream, REASON_ok);
	}
}

static void client_body(struct stream *stream, struct chain *body, bool end)
{
	struct duo_call *call = call_of(stream);
	struct duo *duo = duo_of(stream);
	size_t index = (size_t)(call - duo->calls);

	for (uint32_t i = 0; i < body->count; i++) {
		struct slice piece = chain_span(body, i);

		for (size_t n = 0; n < piece.size; n++) {
			if (piece.data[n] != pattern(index, call->echoed++)) {
				fail_msg("byte %zu of call %zu", call->echoed, index);
			}
		}
	}
	call->uncredited += body->size;
	if (rng_below(&duo->rng, 3) > 0 || call->uncredited > 20000) {
		stream->codec->ops->credit(stream, call->uncredited);
		call->uncredited = 0;
	}
	if (end) {
		assert_int_equal(call->echoed, call->size);
		assert_false(call->trailers);
		call_end(stream, REASON_ok);
	}
}

static void client_sent(struct stream *stream, size_t n)
{
	assert_true(n > 0 && stream->sent <= call_of(stream)->sent);
}

static void client_reset(struct stream *stream, enum reason why)
{
	assert_true(call_of(stream)->doomed);
	call_end(stream, why);
}

static const struct stream_ops client_ops = {client_head, client_body, client_sent, client_reset};

static void on_stream(struct codec *codec, struct stream *stream)
{
	assert_false(codec->client);
	stream->ops = &server_ops;
}

static void on_change(struct codec *codec)
{
	assert_non_null(codec);
}

static const struct codec_events duo_events = {.on_stream = on_stream, .on_change = on_change};

static void open_call(struct duo *duo)
{
	struct duo_call *call = &duo->calls[duo->opened];
	struct stream *stream = duo->client->ops->open(duo->client);
	struct head head;
	char text[24];

	assert_non_null(stream);
	call->client = stream;
	call->size = (size_t)rng_below(&duo->rng, 4) == 0
			     ? 0
			     : (size_t)rng_below(&duo->rng, DUO_BODY_MAX);
	call->trailers = call->size > 0 && rng_below(&duo->rng, 3) == 0;
	stream->ops = &client_ops;
	stream->owner = call;
	head_init(&head, &stream->arena, HEAD_REQUEST);
	head_set_method(&head, METHOD_POST, SLICE("POST"));
	head.authority = SLICE("echo");
	head.path = SLICE("/");
	head.body = call->size == 0		   ? BODY_NONE
		    : rng_below(&duo->rng, 2) == 0 ? BODY_LENGTH
						   : BODY_UNKNOWN;
	head.length = call->size;
	snprintf(text, sizeof(text), "%zu", duo->opened);
	head_add_token(&head, TOKEN_x_request_id, slice_from_string(text));
	assert_int_equal(duo->client->ops->send_head(stream, &head, call->size == 0), 0);
	duo->opened++;
}

/* A piece of the body, the end with it or after it. */
static void feed_call(struct duo *duo, struct duo_call *call)
{
	struct stream *stream = call->client;
	size_t index = (size_t)(call - duo->calls);
	uint8_t bytes[30000];
	size_t size = (size_t)rng_below(&duo->rng, sizeof(bytes));
	struct head head;

	if (!stream || stream->ended_out || stream->out.size > 65536) {
		return;
	}
	size = size < call->size - call->sent ? size : call->size - call->sent;
	for (size_t i = 0; i < size; i++) {
		bytes[i] = pattern(index, call->sent + i);
	}
	chain_append_copy(&stream->out, &duo->pool, bytes, size);
	call->sent += size;
	if (call->sent < call->size || !call->trailers) {
		duo->client->ops->send_more(stream, call->sent == call->size);
		return;
	}
	duo->client->ops->send_more(stream, false);
	head_init(&head, &stream->arena, HEAD_TRAILERS);
	head_add(&head, SLICE("etag"), SLICE("t"));
	assert_int_equal(duo->client->ops->send_head(stream, &head, true), 0);
}

static void doom_call(struct duo *duo, struct duo_call *call)
{
	if (!call->client || call->doomed) {
		return;
	}
	call->doomed = true;
	if (call->server && rng_below(&duo->rng, 2) == 0) {
		struct stream *stream = call->server;

		call->server = NULL;
		stream_reset(stream, REASON_upstream_reset);
	} else {
		call_end(call->client, REASON_deadline_exceeded);
	}
}

/* Some of the bytes under way arrive. */
static void carry(struct duo *duo, struct chain *wire, struct codec *to)
{
	size_t size = rng_below(&duo->rng, 3) == 0 ? (size_t)rng_below(&duo->rng, 40)
						   : (size_t)rng_below(&duo->rng, 60000);

	size = size < wire->size ? size : wire->size;
	if (to->want_read) {
		chain_move_bytes(&to->in, wire, size);
	}
	to->ops->receive(to, false, duo->now_ms);
}

static void duo_turn(struct duo *duo)
{
	duo->now_ms += rng_below(&duo->rng, 10);
	if (duo->opened < DUO_STREAMS && rng_below(&duo->rng, 4) == 0) {
		open_call(duo);
	}
	for (size_t i = 0; i < duo->opened; i++) {
		if (rng_below(&duo->rng, 3) == 0) {
			feed_call(duo, &duo->calls[i]);
		}
		if (rng_below(&duo->rng, 2000) == 0) {
			doom_call(duo, &duo->calls[i]);
		}
		if (duo->calls[i].client && duo->calls[i].uncredited > 0 &&
			rng_below(&duo->rng, 4) == 0) {
			duo->client->ops->credit(duo->calls[i].client, duo->calls[i].uncredited);
			duo->calls[i].uncredited = 0;
		}
	}
	if (duo->client->has_output && duo->to_server.size < 300000) {
		duo->client->ops->produce(
			duo->client, &duo->to_server, (size_t)rng_below(&duo->rng, 70000));
	}
	if (duo->server->has_output && duo->to_client.size < 300000) {
		duo->server->ops->produce(
			duo->server, &duo->to_client, (size_t)rng_below(&duo->rng, 70000));
	}
	carry(duo, &duo->to_server, duo->server);
	carry(duo, &duo->to_client, duo->client);
	assert_false(duo->client->closing || duo->server->closing);
}

static struct codec *duo_codec(struct duo *duo, bool client)
{
	struct codec_options options = {.events = &duo_events,
		.owner = duo,
		.pool = &duo->pool,
		.limits = &duo->limits,
		.now_ms = duo->now_ms,
		.client = client};

	return h2_create(&options);
}

static void duo_run(uint64_t seed)
{
	static struct duo duo;
	size_t turns = 0;

	memset(&duo, 0, sizeof(duo));
	block_pool_init(&duo.pool, 64);
	http_limits_default(&duo.limits);
	duo.limits.h2_tokens = 100000;
	rng_seed(&duo.rng, seed);
	chain_init(&duo.to_server);
	chain_init(&duo.to_client);
	duo.now_ms = 1;
	duo.client = duo_codec(&duo, true);
	duo.server = duo_codec(&duo, false);
	while (duo.ended < DUO_STREAMS) {
		duo_turn(&duo);
		if (++turns > 100000) {
			fail_msg("seed %llu does not end", (unsigned long long)seed);
		}
	}
	/* Resets may still be under way towards the server. */
	for (size_t i = 0; i < DUO_STREAMS; i++) {
		if (duo.calls[i].server) {
			stream_reset(duo.calls[i].server, REASON_shutdown);
		}
	}
	chain_fini(&duo.to_server);
	chain_fini(&duo.to_client);
	duo.client->ops->destroy(duo.client);
	duo.server->ops->destroy(duo.server);
	block_pool_fini(&duo.pool);
}

static void seeds(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= DUO_SEEDS; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		duo_run(seed);
	}
}

/* A stalled stream keeps its own window and nobody else's. */
static void stalled(void **state)
{
	struct rig rig;
	struct buf text;

	(void)state;
	rig_start(&rig, false);
	buf_init(&text);
	rig.credit = false;
	rig_headers(&rig, 1, SLICE(RIG_POST), false);
	rig_data(&rig, 1, 65535, false);
	rig_feed(&rig, 0);
	rig.credit = true;
	rig_headers(&rig, 3, SLICE(RIG_POST), false);
	for (int i = 0; i < 100; i++) {
		rig_data(&rig, 3, 16384, false);
		rig_feed(&rig, 0);
		rig_output(&rig, &text);
		assert_null(strstr(buf_string(&text), "W1 "));
	}
	assert_int_equal(rig.streams[1]->received, 1638400);
	assert_int_equal(rig.streams[0]->received, 65535);
	buf_fini(&text);
	rig_fini(&rig);
}

/* The owner lets go from inside each of its callbacks. */
static struct stream_ops leaving;

static void leave_head(struct stream *stream, struct head *head, bool end)
{
	rig_note(stream->codec->owner, "%d head%s;", (int)head->kind, end ? " end" : "");
	rig_let_go(stream, REASON_deadline_exceeded);
}

static void leave_body(struct stream *stream, struct chain *body, bool end)
{
	rig_note(stream->codec->owner, "body %zu%s;", body->size, end ? " end" : "");
	rig_let_go(stream, REASON_deadline_exceeded);
}

static void leave_sent(struct stream *stream, size_t n)
{
	rig_note(stream->codec->owner, "sent %zu;", n);
	rig_let_go(stream, REASON_slow_reader);
}

static void let_go_inside(void **state)
{
	(void)state;
	for (int where = 0; where < 3; where++) {
		struct rig rig;
		struct buf text;

		rig_start(&rig, true);
		buf_init(&text);
		rig_request(&rig, METHOD_POST, where == 2 ? 30000 : 0, false);
		leaving = *rig.streams[0]->ops;
		leaving.on_head = where == 0 ? leave_head : leaving.on_head;
		leaving.on_body = where == 1 ? leave_body : leaving.on_body;
		leaving.on_sent = where == 2 ? leave_sent : leaving.on_sent;
		rig.streams[0]->ops = &leaving;
		rig_output(&rig, &text);
		if (where < 2) {
			rig_headers(&rig, 1, SLICE(":status:200"), false);
			rig_data(&rig, 1, 3000, false);
			rig_headers(&rig, 1, SLICE("x:1"), true);
			rig_feed(&rig, 0);
			rig_output(&rig, &text);
		}
		assert_non_null(strstr(buf_string(&text), "R1 8;"));
		assert_int_equal(rig.codec->streams_active, 0);
		assert_null(strstr(rig_log(&rig), "trailers"));
		buf_fini(&text);
		rig_fini(&rig);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(seeds),
		cmocka_unit_test(stalled),
		cmocka_unit_test(let_go_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
