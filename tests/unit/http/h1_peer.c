#include "h1_peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/codes.h"

static void peer_put_bytes(struct buf *log, struct slice bytes)
{
	for (size_t i = 0; i < bytes.size; i++) {
		uint8_t byte = bytes.data[i];

		if (byte < 0x20 || byte >= 0x7F) {
			buf_appendf(log, "\\x%02x", byte);
		} else {
			buf_append_byte(log, byte);
		}
	}
}

static void peer_put_fields(struct buf *log, const struct head *head)
{
	if (head->field_count == 0) {
		return;
	}
	buf_append_string(log, "{");
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct field *field = &head->fields[i];

		if (head->field_count > 8 && i >= 1) {
			buf_appendf(log, ", +%u", head->field_count - 1);
			break;
		}
		ASSERT(field->token == token_find(field->name));
		buf_append_string(log, i > 0 ? ", " : "");
		peer_put_bytes(log, field->name);
		buf_append_string(log, ": ");
		if (field->value.size > 256) {
			buf_appendf(log, "#%zu", field->value.size);
		} else {
			peer_put_bytes(log, field->value);
		}
	}
	buf_append_string(log, "}");
}

static void peer_put_head(struct h1_peer *peer, const struct head *head)
{
	struct buf *log = &peer->log;

	if (head->kind == HEAD_REQUEST) {
		peer_put_bytes(log, head->method_text);
		buf_append_string(log, " ");
		peer_put_bytes(log, head->path);
		if (head->has_query) {
			buf_append_string(log, "?");
			peer_put_bytes(log, head->query);
		}
		buf_append_string(log, " @");
		peer_put_bytes(log, head->authority);
	} else {
		buf_appendf(log, "%u", head->status);
	}
	buf_append_string(log, " ");
	if (head->close) {
		buf_append_string(log, "close ");
	}
	peer_put_fields(log, head);
}

static void peer_put_body_end(struct h1_peer *peer)
{
	if (peer->keep_body) {
		return;
	}
	if (peer->body.size > H1_PEER_BODY_SHOWN) {
		buf_appendf(&peer->log, "#%zu", peer->body.size);
	} else if (peer->body.size > 0) {
		buf_append_string(&peer->log, "\"");
		peer_put_bytes(&peer->log, buf_slice(&peer->body));
		buf_append_string(&peer->log, "\"");
	}
	buf_clear(&peer->body);
	peer->body_open = false;
}

static void peer_let_go(struct h1_peer *peer, enum reason why)
{
	struct stream *stream = peer->stream;

	peer->stream = NULL;
	stream_reset(stream, why);
}

/* The message ended: a server answers at once, a client lets go. */
static void peer_end(struct h1_peer *peer)
{
	if (peer->hold) {
		return;
	}
	if (peer->codec->client) {
		peer_let_go(peer, REASON_ok);
	} else {
		h1_peer_answer(peer, 200, "");
	}
}

static void peer_on_head(struct stream *stream, struct head *head, bool end)
{
	struct h1_peer *peer = stream->owner;
	static const char *const kinds[] = {"none", "len", "chunked", "close"};

	if (head->kind == HEAD_TRAILERS) {
		peer_put_body_end(peer);
		buf_append_string(&peer->log, " +trailers");
		peer_put_fields(&peer->log, head);
		ASSERT(end);
		peer_end(peer);
		return;
	}
	if (peer->log.size > 0) {
		buf_append_string(&peer->log, " | ");
	}
	peer_put_head(peer, head);
	if (head->kind == HEAD_INTERIM) {
		ASSERT(!end);
		return;
	}
	buf_append_string(&peer->log, kinds[head->body]);
	if (head->body == BODY_LENGTH) {
		buf_appendf(&peer->log, "%llu", (unsigned long long)head->length);
	}
	if (head->has_declared_length) {
		buf_appendf(&peer->log, ":declared%llu", (unsigned long long)head->declared_length);
	}
	if (end) {
		peer_end(peer);
	} else {
		peer->body_open = true;
	}
}

static void peer_on_body(struct stream *stream, struct chain *body, bool end)
{
	struct h1_peer *peer = stream->owner;
	size_t size = body->size;

	for (uint32_t i = 0; i < body->count; i++) {
		buf_append_slice(&peer->body, chain_span(body, i));
	}
	if (!peer->no_credit && size > 0) {
		stream->codec->ops->credit(stream, size);
	}
	if (end) {
		peer_put_body_end(peer);
		peer_end(peer);
	}
}

static void peer_on_sent(struct stream *stream, size_t n)
{
	ASSERT(stream->sent >= n && n > 0);
}

static void peer_on_reset(struct stream *stream, enum reason why)
{
	struct h1_peer *peer = stream->owner;

	if (peer->body_open) {
		peer_put_body_end(peer);
	}
	buf_appendf(&peer->log, " !reset:%s%s", reason_word(why),
		stream->unprocessed ? ":unprocessed" : "");
	if (peer->hold) {
		return;
	}
	if (!stream->codec->client && !stream->head_out && reason_info(why)->http != 0) {
		h1_peer_answer(peer, reason_info(why)->http, "");
	} else {
		peer_let_go(peer, why);
	}
}

static const struct stream_ops peer_stream_ops = {
	peer_on_head, peer_on_body, peer_on_sent, peer_on_reset};

static void peer_on_stream(struct codec *codec, struct stream *stream)
{
	struct h1_peer *peer = codec->owner;

	ASSERT(peer->stream == NULL);
	peer->stream = stream;
	peer->streams++;
	stream->ops = &peer_stream_ops;
	stream->owner = peer;
}

static void peer_on_change(struct codec *codec)
{
	ASSERT(codec->owner != NULL);
}

void h1_peer_init(struct h1_peer *peer, bool client)
{
	struct codec_options options = {0};

	memset(peer, 0, sizeof(*peer));
	block_pool_init(&peer->pool, 4);
	http_limits_default(&peer->limits);
	buf_init(&peer->log);
	buf_init(&peer->body);
	chain_init(&peer->out);
	peer->events = (struct codec_events){peer_on_stream, peer_on_change};
	peer->now_ms = 1000;
	options.events = &peer->events;
	options.owner = peer;
	options.pool = &peer->pool;
	options.limits = &peer->limits;
	options.now_ms = peer->now_ms;
	options.client = client;
	peer->codec = h1_create(&options);
}

void h1_peer_fini(struct h1_peer *peer)
{
	if (peer->stream != NULL) {
		peer_let_go(peer, REASON_ok);
	}
	peer->codec->ops->destroy(peer->codec);
	chain_fini(&peer->out);
	buf_fini(&peer->log);
	buf_fini(&peer->body);
	/* Invariant B */
	block_pool_fini(&peer->pool);
}

void h1_peer_run(struct h1_peer *peer)
{
	struct codec *codec = peer->codec;

	do {
		if (codec->again) {
			codec->ops->receive(codec, false, peer->now_ms);
		}
		while (codec->has_output) {
			size_t before = peer->out.size;

			codec->ops->produce(codec, &peer->out, 64 * 1024);
			ASSERT(peer->out.size > before || !codec->has_output || codec->again);
			if (peer->out.size == before) {
				break;
			}
		}
	} while (codec->again);
}

void h1_peer_feed(struct h1_peer *peer, const void *data, size_t size)
{
	struct codec *codec = peer->codec;

	chain_append_copy(&codec->in, &peer->pool, data, size);
	codec->ops->receive(codec, false, peer->now_ms);
	h1_peer_run(peer);
}

void h1_peer_eof(struct h1_peer *peer, int error)
{
	peer->codec->input_error = error;
	peer->codec->ops->receive(peer->codec, true, peer->now_ms);
	h1_peer_run(peer);
}

void h1_peer_request(struct h1_peer *peer, enum method method, bool end)
{
	struct stream *stream = peer->codec->ops->open(peer->codec);
	struct arena arena;
	struct head head;
	int result;

	ASSERT(stream != NULL);
	peer_on_stream(peer->codec, stream);
	arena_init(&arena);
	head_init(&head, &arena, HEAD_REQUEST);
	head_set_method(&head, method, method_name(method));
	head.authority = SLICE("a");
	head.path = SLICE("/");
	head.body = end ? BODY_NONE : BODY_UNKNOWN;
	result = peer->codec->ops->send_head(stream, &head, end);
	ASSERT(result == 0);
	arena_fini(&arena);
}

void h1_peer_answer(struct h1_peer *peer, int status, const char *text)
{
	struct stream *stream = peer->stream;
	struct arena arena;
	struct head head;
	int result;

	arena_init(&arena);
	head_init(&head, &arena, HEAD_RESPONSE);
	head.status = (uint16_t)status;
	head.body = BODY_LENGTH;
	head.length = strlen(text);
	result = peer->codec->ops->send_head(stream, &head, false);
	ASSERT(result == 0);
	chain_append_copy(&stream->out, &peer->pool, text, strlen(text));
	peer->codec->ops->send_more(stream, true);
	arena_fini(&arena);
	peer_let_go(peer, REASON_ok);
}

const char *h1_peer_log(struct h1_peer *peer)
{
	if (peer->body_open) {
		peer_put_body_end(peer);
		buf_append_string(&peer->log, "..");
	}
	return buf_string(&peer->log);
}

const char *h1_peer_output(struct h1_peer *peer, struct buf *ret_text)
{
	buf_clear(ret_text);
	for (uint32_t i = 0; i < peer->out.count; i++) {
		buf_append_slice(ret_text, chain_span(&peer->out, i));
	}
	chain_clear(&peer->out);
	return buf_string(ret_text);
}

/* {G}, {P}, {R}, {rep:N:text}; returns the length of the macro, 0 when it is none. */
static size_t peer_macro(const char *text, size_t size, struct buf *ret_bytes)
{
	const char *end = memchr(text, '}', size);
	char *rest;
	unsigned long count;

	if (end == NULL) {
		return 0;
	}
	if (strncmp(text, "{G}", 3) == 0) {
		buf_append_string(ret_bytes, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		return 3;
	}
	if (strncmp(text, "{P}", 3) == 0) {
		buf_append_string(ret_bytes, "POST / HTTP/1.1\r\nHost: a\r\n");
		return 3;
	}
	if (strncmp(text, "{R}", 3) == 0) {
		buf_append_string(ret_bytes, " HTTP/1.1\r\nHost: a\r\n\r\n");
		return 3;
	}
	if (strncmp(text, "{rep:", 5) != 0) {
		return 0;
	}
	count = strtoul(text + 5, &rest, 10);
	ASSERT(*rest == ':');
	for (unsigned long i = 0; i < count; i++) {
		h1_peer_unescape(rest + 1, (size_t)(end - rest - 1), ret_bytes);
	}
	return (size_t)(end - text) + 1;
}

/* One escape behind a backslash; returns how many characters it took. */
static size_t peer_escape(const char *text, size_t size, struct buf *ret_bytes)
{
	static const char names[] = "rnt0\\";
	static const char values[] = "\r\n\t\0\\";
	const char *name = memchr(names, text[0], sizeof(names) - 1);
	char digits[3] = {0};

	if (name != NULL) {
		buf_append_byte(ret_bytes, (uint8_t)values[name - names]);
		return 1;
	}
	ASSERT(text[0] == 'x' && size >= 3);
	memcpy(digits, text + 1, 2);
	buf_append_byte(ret_bytes, (uint8_t)strtoul(digits, NULL, 16));
	return 3;
}

void h1_peer_unescape(const char *text, size_t size, struct buf *ret_bytes)
{
	for (size_t i = 0; i < size;) {
		size_t macro = text[i] == '{' ? peer_macro(text + i, size - i, ret_bytes) : 0;

		if (macro > 0) {
			i += macro;
		} else if (text[i] == '\\') {
			i += 1 + peer_escape(text + i + 1, size - i - 1, ret_bytes);
		} else if (size - i >= 3 && memcmp(text + i, "\xe2\x8f\x8e", 3) == 0) {
			buf_append_string(ret_bytes, "\r\n");
			i += 3;
		} else {
			buf_append_byte(ret_bytes, (uint8_t)text[i]);
			i++;
		}
	}
}
