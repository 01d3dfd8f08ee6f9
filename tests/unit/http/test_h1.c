#include "../base/test_main.h"
#include "base/rng.h"
#include "h1_peer.h"

/* A client and a server codec, joined by bytes that are cut at random places. */
struct pair {
	struct h1_peer client;
	struct h1_peer server;
	struct rng rng;
};

/* Moves what one produced to the other in pieces; true when something moved. */
static bool pair_move(struct pair *pair, struct h1_peer *from, struct h1_peer *to)
{
	bool moved = false;

	h1_peer_run(from);
	while (from->out.size > 0 && to->codec->want_read) {
		size_t size = 1 + (size_t)rng_below(&pair->rng, 2 * from->out.size);
		struct chain piece;

		chain_init(&piece);
		chain_move_bytes(&piece, &from->out, size);
		/* Blocks stay with their pool, so bytes change sides by copy. */
		for (uint32_t i = 0; i < piece.count; i++) {
			struct slice bytes = chain_span(&piece, i);

			h1_peer_feed(to, bytes.data, bytes.size);
		}
		chain_fini(&piece);
		moved = true;
	}
	return moved;
}

static void pair_run(struct pair *pair)
{
	bool moved;

	do {
		moved = pair_move(pair, &pair->client, &pair->server);
		moved |= pair_move(pair, &pair->server, &pair->client);
	} while (moved || pair->client.codec->has_output || pair->server.codec->has_output);
}

/* A body of `size` bytes in random pieces, by length or chunks, perhaps with trailers. */
static void pair_send(struct pair *pair, struct h1_peer *peer, struct head *head, size_t size)
{
	const struct codec_ops *ops = peer->codec->ops;
	struct stream *stream = peer->stream;
	bool trailers = head->body == BODY_UNKNOWN && rng_below(&pair->rng, 2) == 0;
	size_t place = 0;

	assert_int_equal(ops->send_head(stream, head, false), 0);
	while (place < size) {
		uint8_t bytes[5000];
		size_t part = 1 + (size_t)rng_below(&pair->rng, sizeof(bytes));

		part = part < size - place ? part : size - place;
		for (size_t i = 0; i < part; i++) {
			bytes[i] = (uint8_t)((place + i) * 7);
		}
		chain_append_copy(&stream->out, &peer->pool, bytes, part);
		place += part;
		ops->send_more(stream, place == size && !trailers);
		if (rng_below(&pair->rng, 3) == 0) {
			pair_run(pair);
		}
	}
	if (trailers) {
		struct head last;

		head_init(&last, head->arena, HEAD_TRAILERS);
		head_add(&last, SLICE("x"), SLICE("y"));
		assert_int_equal(ops->send_head(stream, &last, true), 0);
	} else if (size == 0) {
		ops->send_more(stream, true);
	}
	pair_run(pair);
}

static void assert_body(const struct h1_peer *peer, size_t size)
{
	assert_int_equal(peer->body.size, size);
	for (size_t i = 0; i < size; i++) {
		if (peer->body.data[i] != (uint8_t)(i * 7)) {
			fail_msg("byte %zu", i);
		}
	}
}

static void pair_exchange(struct pair *pair, struct arena *arena)
{
	size_t size = (size_t)rng_below(&pair->rng, rng_below(&pair->rng, 2) ? 100 : 90000);
	bool chunked = rng_below(&pair->rng, 2) == 0;
	struct stream *stream = pair->client.codec->ops->open(pair->client.codec);
	struct head head;

	assert_non_null(stream);
	pair->client.events.on_stream(pair->client.codec, stream);
	head_init(&head, arena, HEAD_REQUEST);
	head_set_method(&head, METHOD_POST, SLICE("POST"));
	head.authority = SLICE("a");
	head.path = SLICE("/");
	head.body = chunked ? BODY_UNKNOWN : BODY_LENGTH;
	head.length = size;
	pair_send(pair, &pair->client, &head, size);
	assert_true(pair->server.stream != NULL && pair->server.stream->ended_in);
	assert_body(&pair->server, size);
	buf_clear(&pair->server.body);

	size = (size_t)rng_below(&pair->rng, rng_below(&pair->rng, 2) ? 100 : 90000);
	head_init(&head, arena, HEAD_RESPONSE);
	head.status = 200;
	head.body = rng_below(&pair->rng, 2) ? BODY_UNKNOWN : BODY_LENGTH;
	head.length = size;
	pair_send(pair, &pair->server, &head, size);
	assert_true(pair->client.stream != NULL && pair->client.stream->ended_in);
	assert_body(&pair->client, size);
	buf_clear(&pair->client.body);
	stream_reset(pair->client.stream, REASON_ok);
	stream_reset(pair->server.stream, REASON_ok);
	pair->client.stream = NULL;
	pair->server.stream = NULL;
	pair_run(pair);
}

/* Whatever the sizes, the forms and the splits: equal bytes, and both connections stay usable. */
static void test_loopback(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct pair pair;
		struct arena arena;

		h1_peer_init(&pair.client, true);
		h1_peer_init(&pair.server, false);
		rng_seed(&pair.rng, seed);
		pair.client.hold = true;
		pair.client.keep_body = true;
		pair.server.keep_body = true;
		pair.server.hold = true;
		for (int i = 0; i < 10; i++) {
			arena_init(&arena);
			pair_exchange(&pair, &arena);
			arena_fini(&arena);
			assert_true(pair.client.codec->reusable);
			assert_false(pair.server.codec->closing);
			pair.client.body_open = false;
			pair.server.body_open = false;
		}
		h1_peer_fini(&pair.client);
		h1_peer_fini(&pair.server);
	}
}

static void test_empty(void **state)
{
	struct h1_peer peer;

	(void)state;
	h1_peer_init(&peer, false);
	assert_int_equal(peer.codec->ops->spare_streams(peer.codec), 0);
	assert_true(peer.codec->want_read);
	assert_false(peer.codec->has_output);
	assert_string_equal(peer.codec->ops->name, "h1");
	h1_peer_eof(&peer, 0);
	assert_true(peer.codec->closing);
	assert_false(peer.codec->want_read || peer.codec->linger);
	/* Bytes after the end are dropped. */
	h1_peer_feed(&peer, "x", 1);
	assert_int_equal(peer.codec->in.size, 0);
	h1_peer_fini(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
