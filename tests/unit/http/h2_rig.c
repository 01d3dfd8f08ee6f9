#include "h2_rig.h"

static struct rig *rig_of(struct stream *stream)
{
	return stream->codec->owner;
}

static size_t rig_index(struct stream *stream)
{
	struct rig *rig = rig_of(stream);

	for (size_t i = rig->count; i-- > 0;) {
		if (rig->streams[i] == stream && rig->alive[i]) {
			return i;
		}
	}
	fail_msg("event for a stream that was let go");
	return 0;
}

void rig_note(struct rig *rig, const char *format, ...)
{
	char text[4096];
	va_list list;

	if (rig->quiet) {
		return;
	}
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	buf_append_string(&rig->log, text);
}

void rig_let_go(struct stream *stream, enum reason why)
{
	struct rig *rig = rig_of(stream);

	rig->alive[rig_index(stream)] = false;
	stream_reset(stream, why);
}

static void rig_on_head(struct stream *stream, struct head *head, bool end)
{
	struct rig *rig = rig_of(stream);
	size_t index = rig_index(stream);

	switch (head->kind) {
	case HEAD_REQUEST:
		rig_note(rig, "%zu> %.*s %.*s %.*s%s%.*s", index, RIG_TEXT(head->method_text),
			RIG_TEXT(head->authority), RIG_TEXT(head->path), head->has_query ? "?" : "",
			RIG_TEXT(head->query));
		break;
	case HEAD_INTERIM:
	case HEAD_RESPONSE:
		rig_note(rig, "%zu> %u", index, head->status);
		break;
	case HEAD_TRAILERS:
		rig_note(rig, "%zu> trailers", index);
		break;
	}
	if (head->body == BODY_LENGTH) {
		rig_note(rig, " length %llu", (unsigned long long)head->length);
	}
	if (head->has_declared_length) {
		rig_note(rig, " declared %llu", (unsigned long long)head->declared_length);
	}
	for (uint32_t i = 0; i < head->field_count; i++) {
		rig_note(rig, " %.*s=%.*s%s", RIG_TEXT(head->fields[i].name),
			RIG_TEXT(head->fields[i].value), head->fields[i].never_index ? "!" : "");
	}
	rig_note(rig, "%s;", end ? " end" : "");
}

static void rig_on_body(struct stream *stream, struct chain *body, bool end)
{
	struct rig *rig = rig_of(stream);
	size_t size = body->size;

	rig->bodies += size;
	rig_note(rig, "%zu> body %zu%s;", rig_index(stream), size, end ? " end" : "");
	chain_clear(body);
	if (rig->credit && size > 0) {
		stream->codec->ops->credit(stream, size);
	}
}

static void rig_on_sent(struct stream *stream, size_t n)
{
	rig_index(stream);
	assert_true(n > 0);
}

static void rig_on_reset(struct stream *stream, enum reason why)
{
	struct rig *rig = rig_of(stream);

	rig_note(rig, "%zu> reset %s %u%s;", rig_index(stream), reason_word(why), stream->h2_error,
		stream->unprocessed ? " unprocessed" : "");
	if (rig->let_go) {
		rig_let_go(stream, why);
	}
}

static const struct stream_ops rig_stream_ops = {
	rig_on_head, rig_on_body, rig_on_sent, rig_on_reset};

void rig_adopt(struct rig *rig, struct stream *stream)
{
	assert_true(rig->count < RIG_STREAMS);
	stream->ops = &rig_stream_ops;
	stream->owner = rig;
	rig->alive[rig->count] = true;
	rig->streams[rig->count++] = stream;
}

static void rig_on_stream(struct codec *codec, struct stream *stream)
{
	rig_adopt(codec->owner, stream);
}

static void rig_on_change(struct codec *codec)
{
	assert_non_null(codec->owner);
}

static const struct codec_events rig_events = {
	.on_stream = rig_on_stream, .on_change = rig_on_change};

void rig_produce(struct rig *rig)
{
	struct chain out;
	int turns = 0;

	chain_init(&out);
	while (rig->codec->has_output && turns++ < 100000) {
		size_t before = out.size;

		rig->codec->ops->produce(rig->codec, &out, rig->room);
		if (out.size == before) {
			break;
		}
	}
	buf_reserve(&rig->wire, out.size);
	chain_copy_out(&out, 0, rig->wire.data + rig->wire.size, out.size);
	rig->wire.size += out.size;
	chain_fini(&out);
}

void rig_frame(struct rig *rig, uint8_t type, uint8_t flags, uint32_t id, struct slice payload)
{
	uint8_t header[9] = {(uint8_t)(payload.size >> 16), (uint8_t)(payload.size >> 8),
		(uint8_t)payload.size, type, flags, (uint8_t)(id >> 24), (uint8_t)(id >> 16),
		(uint8_t)(id >> 8), (uint8_t)id};

	buf_append(&rig->input, header, sizeof(header));
	buf_append(&rig->input, payload.data, payload.size);
}

void rig_preface(struct rig *rig)
{
	if (!rig->codec->client) {
		buf_append_string(&rig->input, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	}
	rig_frame(rig, NGHTTP2_SETTINGS, 0, 0, SLICE(""));
	rig_frame(rig, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, SLICE(""));
}

void rig_feed(struct rig *rig, size_t step)
{
	size_t at = 0;

	while (at < rig->input.size) {
		size_t size = rig->input.size - at;

		if (step > 0 && size > step) {
			size = step;
		}
		if (!rig->codec->closing) {
			chain_append_copy(&rig->codec->in, &rig->pool, rig->input.data + at, size);
		}
		rig->codec->ops->receive(rig->codec, false, rig->now_ms);
		at += size;
	}
	buf_clear(&rig->input);
}

void rig_tick(struct rig *rig, uint64_t ms)
{
	rig->now_ms += ms;
	rig->codec->ops->receive(rig->codec, false, rig->now_ms);
}

void rig_init_with(struct rig *rig, bool client, const struct http_limits *limits)
{
	struct codec_options options;

	memset(rig, 0, sizeof(*rig));
	block_pool_init(&rig->pool, 16);
	http_limits_default(&rig->limits);
	if (limits) {
		rig->limits = *limits;
	}
	buf_init(&rig->log);
	buf_init(&rig->wire);
	buf_init(&rig->input);
	rig->now_ms = 1000;
	rig->credit = true;
	rig->let_go = true;
	rig->room = 65536;
	assert_int_equal(nghttp2_hd_inflate_new(&rig->inflater), 0);
	options = (struct codec_options){.events = &rig_events,
		.owner = rig,
		.pool = &rig->pool,
		.limits = &rig->limits,
		.now_ms = rig->now_ms,
		.client = client};
	rig->codec = h2_create(&options);
}

void rig_init(struct rig *rig, bool client)
{
	rig_init_with(rig, client, NULL);
}

void rig_start(struct rig *rig, bool client)
{
	rig_init(rig, client);
	rig_preface(rig);
	rig_feed(rig, 0);
	rig_produce(rig);
	rig->read = rig->wire.size;
}

void rig_fini(struct rig *rig)
{
	for (size_t i = 0; i < rig->count; i++) {
		if (rig->alive[i]) {
			rig_let_go(rig->streams[i], REASON_shutdown);
		}
	}
	rig->codec->ops->destroy(rig->codec);
	nghttp2_hd_inflate_del(rig->inflater);
	buf_fini(&rig->log);
	buf_fini(&rig->wire);
	buf_fini(&rig->input);
	block_pool_fini(&rig->pool); /* invariant B */
}

bool rig_next(struct rig *rig, struct rig_frame *ret_frame)
{
	const uint8_t *at = rig->wire.data + rig->read;

	if (rig->codec->client && rig->read == 0 && rig->wire.size >= 24 && at[0] == 'P') {
		rig->read = 24;
		at += 24;
	}
	if (rig->wire.size - rig->read < 9) {
		assert_int_equal(rig->wire.size, rig->read);
		return false;
	}
	ret_frame->length = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
	ret_frame->type = at[3];
	ret_frame->flags = at[4];
	ret_frame->id =
		(uint32_t)at[5] << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 | at[8];
	ret_frame->payload = at + 9;
	assert_true(ret_frame->length <= rig->wire.size - rig->read - 9);
	rig->read += 9 + ret_frame->length;
	return true;
}

uint32_t rig_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void rig_describe_head(struct rig *rig, const struct rig_frame *frame, struct buf *text)
{
	const uint8_t *at = frame->payload;
	size_t left = frame->length;

	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t used = nghttp2_hd_inflate_hd2(rig->inflater, &nv, &flags, at, left, 1);

		assert_true(used >= 0);
		at += used;
		left -= (size_t)used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			buf_appendf(text, " %.*s=%.*s%s", (int)nv.namelen, (char *)nv.name,
				(int)nv.valuelen, (char *)nv.value,
				nv.flags & NGHTTP2_NV_FLAG_NO_INDEX ? "!" : "");
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL) {
			nghttp2_hd_inflate_end_headers(rig->inflater);
			return;
		}
	}
}

const char *rig_output(struct rig *rig, struct buf *text)
{
	struct rig_frame frame;

	buf_clear(text);
	rig_produce(rig);
	while (rig_next(rig, &frame)) {
		const char *end = frame.flags & NGHTTP2_FLAG_END_STREAM ? " end" : "";

		switch (frame.type) {
		case NGHTTP2_HEADERS:
			assert_true(frame.flags & NGHTTP2_FLAG_END_HEADERS);
			buf_appendf(text, "H%u", frame.id);
			rig_describe_head(rig, &frame, text);
			buf_appendf(text, "%s;", end);
			break;
		case NGHTTP2_DATA:
			buf_appendf(text, "D%u %zu%s;", frame.id, frame.length, end);
			break;
		case NGHTTP2_RST_STREAM:
			buf_appendf(text, "R%u %u;", frame.id, rig_u32(frame.payload));
			break;
		case NGHTTP2_GOAWAY:
			buf_appendf(text, "G %u %u;", rig_u32(frame.payload) & 0x7fffffff,
				rig_u32(frame.payload + 4));
			break;
		case NGHTTP2_PING:
			buf_appendf(text, "P;");
			break;
		case NGHTTP2_WINDOW_UPDATE:
			buf_appendf(text, "W%u %u;", frame.id, rig_u32(frame.payload));
			break;
		case NGHTTP2_SETTINGS:
			buf_appendf(text, "S;");
			break;
		default:
			fail_msg("frame type %u", frame.type);
		}
	}
	return buf_string(text);
}

void rig_hpack(struct buf *block, struct slice name, struct slice value)
{
	struct slice parts[2] = {name, value};

	buf_append_byte(block, 0x00); /* literal without indexing, new name (RFC 7541 6.2.2) */
	for (size_t i = 0; i < 2; i++) {
		size_t size = parts[i].size;

		if (size < 127) {
			buf_append_byte(block, (uint8_t)size);
		} else {
			buf_append_byte(block, 127);
			for (size -= 127; size >= 128; size >>= 7) {
				buf_append_byte(block, (uint8_t)(size & 0x7f) | 0x80);
			}
			buf_append_byte(block, (uint8_t)size);
		}
		buf_append_slice(block, parts[i]);
	}
}

void rig_hpack_list(struct buf *block, struct slice list)
{
	while (list.size > 0) {
		size_t bar = slice_find(list, '|');
		struct slice field = slice_make(list.data, bar);
		size_t colon = 0;

		/* Pseudo-fields begin with the byte that ends the others. */
		for (colon = field.size > 0 && field.data[0] == ':' ? 1 : 0;
			colon < field.size && field.data[colon] != ':';) {
			colon++;
		}
		assert_true(colon + 1 < field.size + 2);
		rig_hpack(block, slice_make(field.data, colon),
			slice_make(field.data + colon + 1,
				field.size > colon ? field.size - colon - 1 : 0));
		list = slice_from(list, bar < list.size ? bar + 1 : bar);
	}
}

void rig_headers(struct rig *rig, uint32_t id, struct slice list, bool end)
{
	struct buf block;

	buf_init(&block);
	rig_hpack_list(&block, list);
	rig_frame(rig, NGHTTP2_HEADERS,
		(uint8_t)(NGHTTP2_FLAG_END_HEADERS | (end ? NGHTTP2_FLAG_END_STREAM : 0)), id,
		buf_slice(&block));
	buf_fini(&block);
}

void rig_data(struct rig *rig, uint32_t id, size_t size, bool end)
{
	uint8_t *bytes = mem_zalloc(size + 1);

	while (size > 16384) {
		rig_frame(rig, NGHTTP2_DATA, 0, id, slice_make(bytes, 16384));
		size -= 16384;
	}
	rig_frame(
		rig, NGHTTP2_DATA, end ? NGHTTP2_FLAG_END_STREAM : 0, id, slice_make(bytes, size));
	mem_free(bytes);
}

void rig_u32_frame(struct rig *rig, uint8_t type, uint32_t id, uint32_t value)
{
	uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
		(uint8_t)value};

	rig_frame(rig, type, 0, id, slice_make(bytes, 4));
}

const char *rig_log(struct rig *rig)
{
	return buf_string(&rig->log);
}

void rig_answer(struct rig *rig, size_t i, uint16_t status, size_t size, bool end)
{
	struct stream *stream = rig->streams[i];
	struct head head;
	uint8_t *bytes = mem_zalloc(size + 1);

	head_init(&head, &stream->arena, HEAD_RESPONSE);
	head.status = status;
	head.body = size > 0 || !end ? BODY_UNKNOWN : BODY_NONE;
	assert_int_equal(rig->codec->ops->send_head(stream, &head, size == 0 && end), 0);
	if (size > 0) {
		chain_append_copy(&stream->out, &rig->pool, bytes, size);
		rig->codec->ops->send_more(stream, end);
	}
	mem_free(bytes);
}

size_t rig_request(struct rig *rig, enum method method, size_t size, bool end)
{
	struct stream *stream = rig->codec->ops->open(rig->codec);
	struct head head;
	uint8_t *bytes = mem_zalloc(size + 1);

	assert_non_null(stream);
	rig_adopt(rig, stream);
	head_init(&head, &stream->arena, HEAD_REQUEST);
	head_set_method(&head, method, method_name(method));
	head.authority = SLICE("a");
	head.path = SLICE("/");
	head.body = size > 0 || !end ? BODY_UNKNOWN : BODY_NONE;
	assert_int_equal(rig->codec->ops->send_head(stream, &head, size == 0 && end), 0);
	if (size > 0) {
		chain_append_copy(&stream->out, &rig->pool, bytes, size);
		rig->codec->ops->send_more(stream, end);
	}
	mem_free(bytes);
	return rig->count - 1;
}
