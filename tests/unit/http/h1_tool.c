/*
 * What the HTTP/1 server codec makes of inputs, for comparison with other parsers. Each input on
 * standard input is a length of four bytes, big-endian, and so many bytes, after which the peer has
 * closed its side. Output, a line for each request and one `= word` at the end of an input:
 *   METHOD target whole|part body-length checksum
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "http/h1.h"

struct tool {
	struct block_pool pool;
	struct http_limits limits;
	struct codec *codec;
	struct stream *stream; /* the one under way */
	struct chain out;
	bool open; /* its line has begun */
	uint32_t crc;
	size_t size;
};

static void put_end(struct tool *tool, const char *how)
{
	if (tool->open) {
		printf(" %s %zu %08x\n", how, tool->size, tool->crc);
	}
	tool->open = false;
}

static void answer(struct tool *tool, uint16_t status)
{
	struct stream *stream = tool->stream;
	struct arena arena;
	struct head head;

	arena_init(&arena);
	head_init(&head, &arena, HEAD_RESPONSE);
	head.status = status;
	head.body = BODY_LENGTH;
	if (stream->codec->ops->send_head(stream, &head, true) != 0) {
		abort();
	}
	arena_fini(&arena);
	tool->stream = NULL;
	stream_reset(stream, REASON_ok);
}

static void on_head(struct stream *stream, struct head *head, bool end)
{
	struct tool *tool = stream->owner;

	if (head->kind == HEAD_REQUEST) {
		printf("%.*s %.*s%s%.*s", (int)head->method_text.size,
			(const char *)head->method_text.data, (int)head->path.size,
			(const char *)head->path.data, head->has_query ? "?" : "",
			(int)head->query.size, (const char *)head->query.data);
		tool->open = true;
		tool->size = 0;
		tool->crc = 0;
	}
	if (end) {
		put_end(tool, "whole");
		answer(tool, 200);
	}
}

static void on_body(struct stream *stream, struct chain *body, bool end)
{
	struct tool *tool = stream->owner;
	size_t size = body->size;

	for (uint32_t i = 0; i < body->count; i++) {
		struct slice span = chain_span(body, i);

		tool->crc = crc32c(tool->crc, span.data, span.size);
	}
	tool->size += size;
	if (size > 0) {
		stream->codec->ops->credit(stream, size);
	}
	if (end) {
		put_end(tool, "whole");
		answer(tool, 200);
	}
}

static void on_sent(struct stream *stream, size_t n)
{
	ASSERT(stream->sent >= n);
}

static void on_reset(struct stream *stream, enum reason why)
{
	struct tool *tool = stream->owner;

	put_end(tool, "part");
	if (!stream->head_out && reason_info(why)->http != 0) {
		answer(tool, (uint16_t)reason_info(why)->http);
	} else {
		tool->stream = NULL;
		stream_reset(stream, why);
	}
}

static const struct stream_ops ops = {on_head, on_body, on_sent, on_reset};

static void on_stream(struct codec *codec, struct stream *stream)
{
	struct tool *tool = codec->owner;

	tool->stream = stream;
	stream->ops = &ops;
	stream->owner = tool;
}

static void on_change(struct codec *codec)
{
	ASSERT(codec->owner);
}

static const struct codec_events events = {on_stream, on_change};

static void take_output(struct tool *tool)
{
	struct codec *codec = tool->codec;

	do {
		if (codec->again) {
			codec->ops->receive(codec, false, 1000);
		}
		while (codec->has_output) {
			codec->ops->produce(codec, &tool->out, 65536);
			if (tool->out.size == 0) {
				break;
			}
			chain_clear(&tool->out);
		}
	} while (codec->again);
}

static void run(const uint8_t *bytes, size_t size)
{
	struct tool tool = {0};
	struct codec_options options = {.events = &events,
		.owner = &tool,
		.pool = &tool.pool,
		.limits = &tool.limits,
		.now_ms = 1000};

	block_pool_init(&tool.pool, 4);
	http_limits_default(&tool.limits);
	chain_init(&tool.out);
	tool.codec = h1_create(&options);
	chain_append_copy(&tool.codec->in, &tool.pool, bytes, size);
	tool.codec->ops->receive(tool.codec, false, 1000);
	take_output(&tool);
	tool.codec->ops->receive(tool.codec, true, 1000);
	take_output(&tool);
	put_end(&tool, "part");
	printf("= %s\n", reason_word(tool.codec->close_reason));
	if (tool.stream) {
		stream_reset(tool.stream, REASON_ok);
	}
	tool.codec->ops->destroy(tool.codec);
	chain_fini(&tool.out);
	block_pool_fini(&tool.pool);
}

int main(void)
{
	uint8_t length[4];

	while (fread(length, 1, 4, stdin) == 4) {
		size_t size = (size_t)length[0] << 24 | (size_t)length[1] << 16 |
			      (size_t)length[2] << 8 | length[3];
		uint8_t *bytes = mem_alloc(size + 1);

		if (fread(bytes, 1, size, stdin) != size) {
			return 1;
		}
		run(bytes, size);
		mem_free(bytes);
	}
	return 0;
}
