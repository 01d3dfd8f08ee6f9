#include <errno.h>

#include "base/decimal.h"
#include "http/h1_codec.h"

/*
 * Heads are written twice by the same code: once to count, once to copy. So the length is known
 * before a byte is stored, and both must agree (MM-11).
 */
struct h1_sink {
	uint8_t *at; /* NULL: only count */
	size_t size;
};

struct h1_status_text {
	uint16_t status;
	struct slice text;
};

static void h1_put(struct h1_sink *sink, struct slice bytes)
{
	if (sink->at != NULL && bytes.size > 0) {
		memcpy(sink->at + sink->size, bytes.data, bytes.size);
	}
	sink->size += bytes.size;
}

static void h1_put_number(struct h1_sink *sink, uint64_t number)
{
	char text[DECIMAL_SIZE];

	h1_put(sink, decimal_text(text, number));
}

/* H1-07: the phrase is ours, whatever the other side sent. */
static struct slice h1_status_text(uint16_t status)
{
	static const struct h1_status_text texts[] = {
		{100, SLICE("Continue")},
		{102, SLICE("Processing")},
		{103, SLICE("Early Hints")},
		{200, SLICE("OK")},
		{201, SLICE("Created")},
		{202, SLICE("Accepted")},
		{204, SLICE("No Content")},
		{206, SLICE("Partial Content")},
		{301, SLICE("Moved Permanently")},
		{302, SLICE("Found")},
		{303, SLICE("See Other")},
		{304, SLICE("Not Modified")},
		{307, SLICE("Temporary Redirect")},
		{308, SLICE("Permanent Redirect")},
		{400, SLICE("Bad Request")},
		{401, SLICE("Unauthorized")},
		{403, SLICE("Forbidden")},
		{404, SLICE("Not Found")},
		{405, SLICE("Method Not Allowed")},
		{406, SLICE("Not Acceptable")},
		{408, SLICE("Request Timeout")},
		{409, SLICE("Conflict")},
		{410, SLICE("Gone")},
		{411, SLICE("Length Required")},
		{412, SLICE("Precondition Failed")},
		{413, SLICE("Content Too Large")},
		{414, SLICE("URI Too Long")},
		{415, SLICE("Unsupported Media Type")},
		{417, SLICE("Expectation Failed")},
		{421, SLICE("Misdirected Request")},
		{422, SLICE("Unprocessable Content")},
		{426, SLICE("Upgrade Required")},
		{428, SLICE("Precondition Required")},
		{429, SLICE("Too Many Requests")},
		{431, SLICE("Request Header Fields Too Large")},
		{500, SLICE("Internal Server Error")},
		{501, SLICE("Not Implemented")},
		{502, SLICE("Bad Gateway")},
		{503, SLICE("Service Unavailable")},
		{504, SLICE("Gateway Timeout")},
		{505, SLICE("HTTP Version Not Supported")},
		{507, SLICE("Insufficient Storage")},
		{508, SLICE("Loop Detected")},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (texts[i].status == status) {
			return texts[i].text;
		}
	}
	return (struct slice){NULL, 0};
}

/* The status line says HTTP/1.1 whatever the client speaks (H1-38). */
static void h1_put_start_line(struct h1_sink *sink, const struct head *head)
{
	if (head->kind != HEAD_REQUEST) {
		ASSERT(head->status >= 100 && head->status <= 599);
		h1_put(sink, SLICE("HTTP/1.1 "));
		h1_put_number(sink, head->status);
		h1_put(sink, SLICE(" "));
		h1_put(sink, h1_status_text(head->status));
		h1_put(sink, SLICE("\r\n"));
		return;
	}
	h1_put(sink, head->method_text);
	h1_put(sink, SLICE(" "));
	h1_put(sink, head->path);
	if (head->has_query) {
		h1_put(sink, SLICE("?"));
		h1_put(sink, head->query);
	}
	h1_put(sink, SLICE(" HTTP/1.1\r\nHost: "));
	h1_put(sink, head->authority);
	h1_put(sink, SLICE("\r\n"));
}

/* H1-41: registered or Title-Case spelling. */
static void h1_put_name(struct h1_sink *sink, const struct field *field)
{
	if (sink->at != NULL) {
		fields_spell((enum token)field->token, field->name, sink->at + sink->size);
	}
	sink->size += field->name.size;
	h1_put(sink, SLICE(": "));
}

/* all cookie fields of a request as one, where the first stood. */
static void h1_put_cookies(struct h1_sink *sink, const struct head *head)
{
	const struct field *first = head_find(head, TOKEN_cookie);

	h1_put_name(sink, first);
	for (const struct field *field = first; field; field = head_find_next(head, field)) {
		h1_put(sink, field != first ? SLICE("; ") : SLICE(""));
		h1_put(sink, field->value);
	}
	h1_put(sink, SLICE("\r\n"));
}

/* Framing, hop-by-hop fields and Host are never taken from the head (MM-03, H1-37). */
static bool h1_is_ours(const struct field *field)
{
	return fields_is_hop_by_hop((enum token)field->token) || field->token == TOKEN_host ||
	       field->token == TOKEN_expect;
}

static void h1_put_fields(struct h1_sink *sink, const struct head *head)
{
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct field *field = &head->fields[i];

		if (h1_is_ours(field)) {
			continue;
		}
		if (field->token == TOKEN_cookie && head->kind == HEAD_REQUEST) {
			if (head->first[TOKEN_cookie] == i + 1) {
				h1_put_cookies(sink, head);
			}
			continue;
		}
		h1_put_name(sink, field);
		h1_put(sink, field->value);
		h1_put(sink, SLICE("\r\n"));
	}
}

/* Fields in their order, then ours (H1-41). */
static void h1_put_head(struct h1_sink *sink, const struct h1_head_out *out)
{
	if (out->head->kind != HEAD_TRAILERS) {
		h1_put_start_line(sink, out->head);
	}
	h1_put_fields(sink, out->head);
	if (out->has_length) {
		h1_put(sink, SLICE("Content-Length: "));
		h1_put_number(sink, out->length);
		h1_put(sink, SLICE("\r\n"));
	}
	if (out->chunked) {
		h1_put(sink, SLICE("Transfer-Encoding: chunked\r\n"));
	}
	if (out->close) {
		h1_put(sink, SLICE("Connection: close\r\n"));
	}
	if (out->head->kind != HEAD_TRAILERS) {
		h1_put(sink, SLICE("\r\n"));
	}
}

/* No single part may be so long that the sum could not be trusted (MM-11). */
static bool h1_parts_fit(const struct head *head)
{
	for (uint32_t i = 0; i < head->field_count; i++) {
		if (head->fields[i].name.size + head->fields[i].value.size > H1_HEAD_OUT_BYTES) {
			return false;
		}
	}
	return head->path.size <= H1_HEAD_OUT_BYTES && head->query.size <= H1_HEAD_OUT_BYTES &&
	       head->authority.size <= H1_HEAD_OUT_BYTES;
}

/* Into a block of its own, whose free rest takes what follows: one vector for a small answer. */
static int h1_write_into(struct h1 *h1, const struct h1_head_out *out, struct chain *target)
{
	struct h1_sink count = {NULL, 0};
	struct h1_sink sink;
	struct block *block;

	if (!h1_parts_fit(out->head)) {
		return -E2BIG;
	}
	h1_put_head(&count, out);
	if (count.size > H1_HEAD_OUT_BYTES) {
		return -E2BIG;
	}
	if (count.size == 0) {
		return 0;
	}
	block = count.size <= BLOCK_SIZE ? block_create(h1->codec.pool)
					 : block_create_sized(h1->codec.pool, count.size);
	sink = (struct h1_sink){block->data, 0};
	h1_put_head(&sink, out);
	ASSERT(sink.size == count.size && sink.size <= block->capacity);
	block->used = (uint32_t)sink.size;
	chain_append_block(target, block, block->data, sink.size);
	block_unref(block);
	return 0;
}

int h1_write_head(struct h1 *h1, const struct h1_head_out *out)
{
	ASSERT(out->head->kind != HEAD_TRAILERS);
	ASSERT(!out->chunked || !out->has_length);
	return h1_write_into(h1, out, &h1->pending);
}

int h1_write_trailers(struct h1 *h1, const struct head *trailers)
{
	struct h1_head_out out = {.head = trailers};

	ASSERT(trailers->kind == HEAD_TRAILERS && h1->trailers.size == 0);
	return h1_write_into(h1, &out, &h1->trailers);
}

/* Body bytes of the owner, from stream.out to the output. */
static void h1_move_out(struct h1 *h1, struct chain *out, size_t size)
{
	struct chain *body = &h1->stream.out;
	size_t rest = size;

	if (size >= H1_COPY_BYTES) {
		chain_move_bytes(out, body, size);
		return;
	}
	/* Short bodies travel in the block of their head: one span, one vector less. */
	while (rest > 0) {
		struct slice front = chain_span(body, 0);
		size_t part = front.size < rest ? front.size : rest;

		chain_append_copy(out, h1->codec.pool, front.data, part);
		chain_drop(body, part);
		rest -= part;
	}
}

/* Earns credit on the other side, once the bytes left the stream. */
static void h1_sent(struct h1 *h1, size_t size)
{
	struct stream *stream = &h1->stream;

	stream->sent += size;
	if (!h1->released && size > 0) {
		h1->callbacks++;
		stream->ops->on_sent(stream, size);
		h1->callbacks--;
	}
}

/* One piece of at most `max` bytes; false: nothing may be written any more. */
static bool h1_write_piece(struct h1 *h1, struct chain *out, size_t max)
{
	struct chain *body = &h1->stream.out;
	size_t size = body->size < max ? body->size : max;
	uint8_t line[H1_CHUNK_HEAD_MAX];

	if (h1->framing == H1_OUT_CHUNKED && size > H1_CHUNK_BYTES) {
		size = H1_CHUNK_BYTES;
	}
	/* MM-06: a body longer than its head promised is never written. */
	if (h1->framing == H1_OUT_NONE || !body_account_data(&h1->account_out, size)) {
		h1->broken_out = true;
		return false;
	}
	switch (h1->framing) {
	case H1_OUT_NONE:
		break;
	case H1_OUT_DISCARD:
		chain_drop(body, size);
		break;
	case H1_OUT_LENGTH:
	case H1_OUT_CLOSE:
		h1_move_out(h1, out, size);
		break;
	case H1_OUT_CHUNKED:
		chain_append_copy(
			out, h1->codec.pool, line, h1_chunked_write(line, (uint64_t)size));
		h1_move_out(h1, out, size);
		chain_append_copy(out, h1->codec.pool, "\r\n", 2);
		break;
	}
	h1_sent(h1, size);
	return true;
}

/* The mark that ends the body. MM-07: only an exact body gets it. */
static void h1_write_end(struct h1 *h1, struct chain *out)
{
	if (!body_account_end(&h1->account_out)) {
		h1->broken_out = true;
		return;
	}
	if (h1->framing == H1_OUT_CHUNKED) {
		chain_append_copy(out, h1->codec.pool, "0\r\n", 3);
		chain_move(out, &h1->trailers);
		chain_append_copy(out, h1->codec.pool, "\r\n", 2);
	}
	h1->end_written = true;
}

/* As much as the connection has room for; the end mark is small and never waits. */
static void h1_write_body(struct h1 *h1, struct chain *out, size_t limit)
{
	struct stream *stream = &h1->stream;

	while (stream->out.size > 0) {
		if (out->size >= limit || !h1_write_piece(h1, out, limit - out->size)) {
			return;
		}
	}
	if (stream->ended_out && !h1->end_written) {
		h1_write_end(h1, out);
	}
}

void h1_write_produce(struct codec *codec, struct chain *out, size_t max)
{
	struct h1 *h1 = h1_of(codec);
	struct stream *stream = &h1->stream;
	size_t before = out->size;

	ASSERT(h1->callbacks == 0);
	chain_move_bytes(out, &h1->pending, max);
	if (h1->active && stream->head_out && !h1->gone && !h1->broken_out &&
		h1->pending.size == 0) {
		h1_write_body(h1, out, before + max);
	}
	codec->produced += out->size - before;
	/* A stream that is done makes room for the next; a broken promise is told by receive. */
	codec->again = codec->again || h1->broken_out;
	h1_settle(h1);
	h1_update(h1);
}
