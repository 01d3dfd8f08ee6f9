/*
 * h2_session: the nghttp2 session itself, and what its receiving callbacks mark. Memory goes
 * through counted functions, so that a peer which makes the library hoard is seen (H2-06).
 */
#include <malloc.h>
#include <stdlib.h>

#include "base/mem.h"
#include "http/h2_internal.h"

#define ACKS_MAX       256    /* H2-04: acknowledgements that may wait */
#define SEND_BLOCK_MAX 131072 /* H2-04: every accepted head can be sent on */
#define RESET_BURST    10000  /* H2-05: a backstop behind the own budget */
#define RESET_RATE     1000
#define DEFAULT_WINDOW 65535 /* RFC 9113 6.9.2 */
#define PIECE_COPIED   1024  /* B-06: smaller pieces are copied, not pinned */

static void *memory_malloc(size_t size, void *context)
{
	struct h2 *h2 = context;
	void *memory = malloc(size);

	h2->memory += malloc_usable_size(memory);
	return memory;
}

static void memory_free(void *memory, void *context)
{
	struct h2 *h2 = context;

	h2->memory -= malloc_usable_size(memory);
	free(memory);
}

static void *memory_calloc(size_t count, size_t size, void *context)
{
	struct h2 *h2 = context;
	void *memory = calloc(count, size);

	h2->memory += malloc_usable_size(memory);
	return memory;
}

static void *memory_realloc(void *memory, size_t size, void *context)
{
	struct h2 *h2 = context;
	size_t before = malloc_usable_size(memory);
	void *bigger = realloc(memory, size);

	if (bigger) {
		h2->memory += malloc_usable_size(bigger) - before;
	}
	return bigger;
}

enum reason h2_session_broken(const struct h2 *h2)
{
	return h2->codec.client ? REASON_upstream_protocol : REASON_h2_malformed;
}

enum reason h2_session_error(const struct h2 *h2, int code)
{
	if (h2->verdict != REASON_ok) {
		return h2->verdict; /* a callback failed on purpose */
	}
	switch (code) {
	case NGHTTP2_ERR_FLOODED:
	case NGHTTP2_ERR_TOO_MANY_SETTINGS:
	case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
		return REASON_h2_flood;
	case NGHTTP2_ERR_NOMEM:
		return REASON_h2_memory;
	default:
		return REASON_h2_protocol;
	}
}

static struct h2_stream *find_stream(struct h2 *h2, int32_t id)
{
	return id == 0 ? NULL : nghttp2_session_get_stream_user_data(h2->session, id);
}

/* A verdict stops mem_recv at once; all others go on. */
static int answer(const struct h2 *h2)
{
	return h2->verdict == REASON_ok ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct h2 *h2 = context;

	(void)session;
	h2_budget_block(h2);
	h2->block = NULL;
	if (frame->hd.type != NGHTTP2_HEADERS) {
		return 0; /* a PUSH_PROMISE is refused by the library (H2-02) */
	}
	h2->block = h2->codec.client ? h2_client_begin(h2, frame) : h2_server_begin(h2, frame);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
	nghttp2_rcbuf *value, uint8_t flags, void *context)
{
	struct h2 *h2 = context;
	struct h2_stream *stream = h2->block;
	nghttp2_vec name_bytes = nghttp2_rcbuf_get_buf(name);
	nghttp2_vec value_bytes = nghttp2_rcbuf_get_buf(value);

	(void)session;
	(void)frame;
	if (!h2_budget_field(h2, name_bytes.len + value_bytes.len)) {
		return answer(h2);
	}
	if (!stream || stream->phase == H2_PHASE_FAILED || !stream->head) {
		return 0; /* decoded for the sake of the HPACK state only */
	}
	h2_headers_field(stream, slice_make(name_bytes.base, name_bytes.len),
		slice_make(value_bytes.base, value_bytes.len), flags & NGHTTP2_NV_FLAG_NO_INDEX);
	return 0;
}

/* H2-10: an invalid field is fatal to its stream and never just left out. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
	nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *context)
{
	(void)session;
	(void)frame;
	(void)name;
	(void)value;
	(void)flags;
	(void)context;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
	size_t size, void *context)
{
	struct h2 *h2 = context;
	struct h2_stream *stream = find_stream(h2, id);
	struct block *block = h2->in_block;

	(void)session;
	(void)flags;
	h2->accepted += size; /* B-03: one stalled stream stops no other */
	/* The rest of a request that was refused by its head goes nowhere: the answer is on its
	 * way. */
	if (!stream || !stream->owned || !stream->announced || stream->phase == H2_PHASE_FAILED) {
		return 0;
	}
	if (!h2_stream_has_room(stream, size)) {
		/* The library has queued RST_STREAM(FLOW_CONTROL_ERROR), but shows the bytes. */
		h2_stream_fail(stream, h2_session_broken(h2));
		return 0;
	}
	if (!body_account_data(&stream->in_account, size)) {
		h2_stream_refuse(stream, h2_session_broken(h2));
		return 0;
	}
	ASSERT(block && data >= block->data && data + size <= block->data + block->capacity);
	if (size < PIECE_COPIED) {
		chain_append_copy(&stream->in, h2->codec.pool, data, size);
	} else {
		chain_append_block(&stream->in, block, data, size);
	}
	h2_stream_touch(stream);
	return 0;
}

static void received_headers(struct h2 *h2, const nghttp2_frame *frame)
{
	struct h2_stream *stream = find_stream(h2, frame->hd.stream_id);
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	if (!stream || stream->phase == H2_PHASE_FAILED || !stream->head) {
		return;
	}
	if (stream->phase == H2_PHASE_BODY) {
		h2_headers_trailers(stream, end);
	} else if (h2->codec.client) {
		h2_client_head(stream, end);
	} else {
		h2_server_head(stream, end);
	}
}

/* H2-17: only here does a body end well. */
static void received_data(struct h2 *h2, const nghttp2_frame *frame)
{
	struct h2_stream *stream = find_stream(h2, frame->hd.stream_id);

	if (!stream || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
		stream->phase != H2_PHASE_BODY) {
		return;
	}
	if (!stream->announced) {
		stream->phase = H2_PHASE_ENDED;
		return;
	}
	if (!body_account_end(&stream->in_account)) {
		h2_stream_refuse(
			stream, h2->codec.client ? REASON_upstream_protocol : REASON_h2_malformed);
		return;
	}
	stream->phase = H2_PHASE_ENDED;
	stream->end_pending = true;
	h2_stream_touch(stream);
}

static void received_reset(struct h2 *h2, const nghttp2_frame *frame)
{
	struct h2_stream *stream = find_stream(h2, frame->hd.stream_id);

	if (stream) {
		stream->peer_reset = true;
		stream->stream.h2_error = frame->rst_stream.error_code;
		h2_budget_reset(stream);
	}
}

static void received_goaway(struct h2 *h2)
{
	/* H2-36: the library closes the streams above the last id after this callback. */
	h2->codec.draining = true;
	if (!h2->codec.client) {
		h2->drain_final = true;	 /* the client opens none any more */
		h2->codec.linger = true; /* but may have sent more, and a RST would follow it */
	}
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct h2 *h2 = context;

	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		received_headers(h2, frame);
		break;
	case NGHTTP2_DATA:
		received_data(h2, frame);
		break;
	case NGHTTP2_RST_STREAM:
		received_reset(h2, frame);
		break;
	case NGHTTP2_GOAWAY:
		received_goaway(h2);
		break;
	case NGHTTP2_SETTINGS:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK) {
			h2->settings_deadline_ms = UINT64_MAX;
		}
		break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK && h2->drain_deadline_ms != UINT64_MAX) {
			h2->drain_deadline_ms = 0; /* the round trip is over: receive goes on */
		}
		break;
	default:
		break;
	}
	return answer(h2);
}

static int on_invalid_frame(
	nghttp2_session *session, const nghttp2_frame *frame, int code, void *context)
{
	struct h2 *h2 = context;
	struct h2_stream *stream = find_stream(h2, frame->hd.stream_id);

	(void)session;
	(void)code;
	if (stream) {
		h2_budget_malformed(stream);
	} else {
		h2_budget_charge(h2);
	}
	return answer(h2);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
	struct h2_stream *stream = find_stream(context, id);

	(void)session;
	if (stream) {
		h2_stream_closed(stream, error);
	}
	return 0;
}

static nghttp2_session_callbacks *create_callbacks(void)
{
	nghttp2_session_callbacks *callbacks;

	if (nghttp2_session_callbacks_new(&callbacks)) {
		abort(); /* lack of memory, as below */
	}
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_before_frame_send_callback(callbacks, h2_send_before);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, h2_send_after);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, h2_send_refused);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, h2_send_data);
	return callbacks;
}

static nghttp2_option *create_options(const struct http_limits *limits)
{
	nghttp2_option *option;

	if (nghttp2_option_new(&option)) {
		abort();
	}
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_max_settings(option, limits->h2_settings_entries);
	nghttp2_option_set_max_continuations(option, limits->h2_continuations);
	nghttp2_option_set_max_outbound_ack(option, ACKS_MAX);
	nghttp2_option_set_max_send_header_block_length(option, SEND_BLOCK_MAX);
	nghttp2_option_set_stream_reset_rate_limit(option, RESET_BURST, RESET_RATE);
	return option;
}

/* H2-01, H2-02, H2-03. */
static void submit_first_flight(struct h2 *h2)
{
	const struct http_limits *limits = h2->codec.limits;
	nghttp2_settings_entry entries[4];
	size_t count = 0;

	entries[count++] = (nghttp2_settings_entry){
		NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->head_bytes};
	if (h2->codec.client) {
		entries[count++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
	} else {
		entries[count++] = (nghttp2_settings_entry){
			NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->h2_streams};
		entries[count++] =
			(nghttp2_settings_entry){NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1};
	}
	if (limits->h2_stream_window != DEFAULT_WINDOW) {
		entries[count++] = (nghttp2_settings_entry){
			NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->h2_stream_window};
	}
	ASSERT(count <= ARRAY_SIZE(entries));
	if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, entries, count) ||
		nghttp2_session_set_local_window_size(
			h2->session, NGHTTP2_FLAG_NONE, 0, (int32_t)limits->h2_connection_window)) {
		abort(); /* limits were checked where they were read */
	}
}

void h2_session_create(struct h2 *h2)
{
	nghttp2_mem mem = {h2, memory_malloc, memory_free, memory_calloc, memory_realloc};
	nghttp2_session_callbacks *callbacks = create_callbacks();
	nghttp2_option *option = create_options(h2->codec.limits);
	int code = h2->codec.client
			   ? nghttp2_session_client_new3(&h2->session, callbacks, h2, option, &mem)
			   : nghttp2_session_server_new3(&h2->session, callbacks, h2, option, &mem);

	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	if (code) {
		abort();
	}
	submit_first_flight(h2);
	/* Taken out now, so that a connection that fails at once need not ask the library again. */
	for (;;) {
		const uint8_t *bytes;
		ssize_t size = nghttp2_session_mem_send(h2->session, &bytes);

		if (size <= 0) {
			break;
		}
		ASSERT(h2->first_flight_size + (size_t)size <= H2_FIRST_FLIGHT);
		memcpy(h2->first_flight + h2->first_flight_size, bytes, (size_t)size);
		h2->first_flight_size += (size_t)size;
	}
}
