/*
 * h2_headers: fields as they come from the library into a head, and a head into fields for the
 * library. Framing, hop-by-hop and pseudo-fields never pass from one side to the other (MM-03).
 */
#include "http/h2_internal.h"

#include <errno.h>

#include "base/decimal.h"
#include "base/mem.h"
#include "http/fields.h"

#define FIELD_COST     32
#define NV_INLINE      64
#define SEND_BLOCK_MAX 131072 /* H2-04, with the bound that the library computes */

static void refuse(struct h2_stream *stream, enum reason why)
{
	if (stream->refused == REASON_ok) {
		stream->refused = why;
	}
}

static void pseudo_field(struct h2_stream *stream, struct slice name, struct slice value)
{
	struct head *head = stream->head;
	struct slice copy = arena_copy(&stream->stream.arena, value);
	uint64_t status;

	if (slice_equal(name, SLICE(":method"))) {
		head->method_text = copy;
	} else if (slice_equal(name, SLICE(":scheme"))) {
		head->scheme = copy;
	} else if (slice_equal(name, SLICE(":authority"))) {
		head->authority = copy;
	} else if (slice_equal(name, SLICE(":path"))) {
		stream->target = copy;
		if (value.size > stream->h2->codec.limits->start_line_bytes) {
			refuse(stream, REASON_uri_too_long);
		}
	} else if (slice_equal(name, SLICE(":status")) && value.size == 3 &&
		   slice_parse_u64(value, 599, &status) && status >= 100) {
		head->status = (uint16_t)status;
	} else {
		refuse(stream, REASON_h2_malformed);
	}
}

static void content_length(struct h2_stream *stream, struct slice value)
{
	struct head *head = stream->head;

	/* H1-14 holds here too: one field, digits only. */
	if (head->body == BODY_LENGTH || value.size > 19 ||
		!slice_parse_u64(value, INT64_MAX, &head->length)) {
		refuse(stream, REASON_h2_malformed);
		return;
	}
	head->body = BODY_LENGTH;
}

static void request_host(struct h2_stream *stream, struct slice value)
{
	if (stream->host.data) {
		refuse(stream, REASON_h2_malformed); /* H2-14: two of them */
		return;
	}
	stream->host = arena_copy(&stream->stream.arena, value);
}

static void request_te(struct h2_stream *stream, struct slice value)
{
	/* H2-12: once, and nothing but `trailers`. */
	if (stream->head->te_trailers || !slice_equal_fold(value, SLICE("trailers"))) {
		refuse(stream, REASON_h2_malformed);
	}
	stream->head->te_trailers = true;
}

static void request_expect(struct h2_stream *stream, struct slice value)
{
	if (!slice_equal_fold(value, SLICE("100-continue"))) {
		refuse(stream, REASON_expectation_failed); /* H1-20 */
	}
	stream->head->expect_continue = true;
}

/* Fields that become facts of the head. True: the field is done with. */
static bool fact_field(struct h2_stream *stream, enum token token, struct slice value)
{
	enum head_kind kind = stream->head->kind;

	if (kind != HEAD_TRAILERS && token == TOKEN_content_length) {
		content_length(stream, value);
		return true;
	}
	if (kind == HEAD_REQUEST && token == TOKEN_host) {
		request_host(stream, value);
		return true;
	}
	if (kind == HEAD_REQUEST && token == TOKEN_te) {
		request_te(stream, value);
		return true;
	}
	if (kind == HEAD_REQUEST && token == TOKEN_expect) {
		request_expect(stream, value);
		return true;
	}
	return token != TOKEN_NONE && fields_is_hop_by_hop(token);
}

void h2_headers_field(struct h2_stream *stream, struct slice name, struct slice value, bool never)
{
	const struct http_limits *limits = stream->h2->codec.limits;
	struct head *head = stream->head;
	enum token token;

	ASSERT(name.size > 0); /* the library refuses an empty one */
	stream->cost += name.size + value.size + FIELD_COST;
	stream->field_count += name.data[0] != ':';
	if (stream->refused != REASON_ok) {
		return; /* storing stopped, decoding goes on (H2-19) */
	}
	if (stream->cost > limits->head_bytes) {
		refuse(stream, REASON_head_too_large);
		return;
	}
	if (stream->field_count > limits->fields) {
		refuse(stream, REASON_too_many_fields);
		return;
	}
	if (name.data[0] == ':') {
		pseudo_field(stream, name, value);
		return;
	}
	token = token_find(name);
	if (token != TOKEN_NONE && fact_field(stream, token, value)) {
		return;
	}
	if (token == TOKEN_NONE && fields_is_alias(name)) {
		refuse(stream, REASON_h2_malformed); /* H1-11 */
		return;
	}
	head_add_borrowed(head, token,
		token != TOKEN_NONE ? token_name(token) : arena_copy(head->arena, name),
		arena_copy(head->arena, value));
	head->fields[head->field_count - 1].never_index = never;
}

/* After the final head: trailers, which end the body, or a fault (H2-18). */
void h2_headers_trailers(struct h2_stream *stream, bool end)
{
	struct codec *codec = &stream->h2->codec;

	ASSERT(stream->head->kind == HEAD_TRAILERS);
	if (!end || stream->refused != REASON_ok || !body_account_trailers(&stream->in_account) ||
		!body_account_end(&stream->in_account)) {
		h2_stream_refuse(stream, h2_session_broken(stream->h2));
		return;
	}
	codec->trailers_dropped += fields_filter_trailers(stream->head);
	stream->phase = H2_PHASE_ENDED;
	stream->end_pending = true;
	stream->trailers_pending = true;
	h2_stream_touch(stream);
}

struct nv_list {
	nghttp2_nv *nvs;
	size_t count;
	size_t capacity;
	size_t bytes;
	nghttp2_nv inline_nvs[NV_INLINE];
};

static void nv_init(struct nv_list *list, size_t most)
{
	list->nvs = list->inline_nvs;
	list->count = 0;
	list->bytes = 0;
	list->capacity = most;
	if (most > NV_INLINE) {
		list->nvs = mem_alloc(most * sizeof(*list->nvs));
	}
}

static void nv_fini(struct nv_list *list)
{
	if (list->nvs != list->inline_nvs) {
		mem_free(list->nvs);
	}
}

static void nv_add(struct nv_list *list, struct slice name, struct slice value, unsigned flags)
{
	ASSERT(list->count < list->capacity);
	list->bytes += name.size + value.size;
	/* The library takes pointers to plain bytes; it reads them only. */
	list->nvs[list->count++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.data,
		(uint8_t *)(uintptr_t)value.data, name.size, value.size, (uint8_t)flags};
}

/* What nghttp2_hd_deflate_bound says; beyond it the frame would fail unseen (H2-33). */
static bool nv_fits(const struct nv_list *list)
{
	return 12 + 12 * list->count + list->bytes <= SEND_BLOCK_MAX;
}

/* H2-21. */
static bool never_indexed(const struct field *field)
{
	return field->never_index || field->token == TOKEN_authorization ||
	       field->token == TOKEN_cookie || field->token == TOKEN_set_cookie ||
	       slice_starts_with(field->name, SLICE("x-pillion-"));
}

static void add_fields(struct nv_list *list, const struct head *head)
{
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct field *field = &head->fields[i];
		unsigned flags = never_indexed(field) ? NGHTTP2_NV_FLAG_NO_INDEX : 0;

		if (field->token != TOKEN_NONE) {
			if (fields_is_hop_by_hop((enum token)field->token) ||
				field->token == TOKEN_host) {
				continue; /* a filter cannot bring framing back */
			}
			flags |= NGHTTP2_NV_FLAG_NO_COPY_NAME; /* names of tokens are constants */
		}
		nv_add(list, field->name, field->value, flags);
	}
}

/* pseudo-fields come from the head alone; `:scheme` is that of the new hop, which is plain as
 * long as there is no TLS (U-13). */
static void add_request(struct nv_list *list, const struct head *head)
{
	struct slice path = head->path;
	const unsigned fixed = NGHTTP2_NV_FLAG_NO_COPY_NAME;

	if (head->has_query) {
		size_t size = path.size + 1 + head->query.size;
		uint8_t *joined = arena_alloc(head->arena, size);

		memcpy(joined, path.data, path.size);
		joined[path.size] = '?';
		memcpy(joined + path.size + 1, head->query.data, head->query.size);
		path = slice_make(joined, size);
	}
	nv_add(list, SLICE(":method"), head->method_text, fixed);
	nv_add(list, SLICE(":scheme"), SLICE("http"), fixed);
	if (head->authority.size > 0) {
		nv_add(list, SLICE(":authority"), head->authority, fixed);
	}
	nv_add(list, SLICE(":path"), path, fixed);
}

/* No body follows whatever the head says; its length is for information (MM-04). */
static bool bodiless(const struct h2_stream *stream, const struct head *head)
{
	return head->kind == HEAD_RESPONSE &&
	       (stream->head_request || head->status == 204 || head->status == 304);
}

/* the length is said where there is one. */
static bool told_length(
	const struct h2_stream *stream, const struct head *head, uint64_t *ret_length)
{
	if (head->kind == HEAD_INTERIM || head->status == 204) {
		return false;
	}
	if (bodiless(stream, head) && head->has_declared_length) {
		*ret_length = head->declared_length;
		return true;
	}
	*ret_length = head->length;
	return head->body == BODY_LENGTH;
}

static int submit_list(
	struct h2_stream *stream, const struct nv_list *list, const struct head *head, bool end)
{
	nghttp2_session *session = stream->h2->session;
	nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = h2_send_read};
	int32_t id;

	switch (head->kind) {
	case HEAD_REQUEST:
		id = nghttp2_submit_request(
			session, NULL, list->nvs, list->count, end ? NULL : &provider, stream);
		if (id < 0) {
			return -E2BIG;
		}
		stream->id = id;
		stream->open = true;
		return 0;
	case HEAD_INTERIM:
		stream->interims_out++;
		return nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, stream->id, NULL,
			       list->nvs, list->count, NULL)
			       ? -E2BIG
			       : 0;
	case HEAD_RESPONSE:
		return nghttp2_submit_response(
			       session, stream->id, list->nvs, list->count, end ? NULL : &provider)
			       ? -E2BIG
			       : 0;
	case HEAD_TRAILERS:
		return nghttp2_submit_trailer(session, stream->id, list->nvs, list->count) ? -E2BIG
											   : 0;
	}
	return -E2BIG;
}

static int submit_first(struct h2_stream *stream, const struct head *head, bool end)
{
	char status[DECIMAL_SIZE];
	char length_text[DECIMAL_SIZE];
	struct nv_list list;
	uint64_t length;
	int error = -E2BIG;

	nv_init(&list, head->field_count + 8);
	if (head->kind == HEAD_REQUEST) {
		add_request(&list, head);
		if (head->te_trailers || head_is_grpc(head)) { /* X-08, G-03 */
			nv_add(&list, SLICE("te"), SLICE("trailers"), 0);
		}
	} else {
		nv_add(&list, SLICE(":status"), decimal_text(status, head->status),
			NGHTTP2_NV_FLAG_NO_COPY_NAME);
	}
	add_fields(&list, head);
	if (told_length(stream, head, &length)) {
		nv_add(&list, SLICE("content-length"), decimal_text(length_text, length),
			NGHTTP2_NV_FLAG_NO_COPY_NAME);
	}
	if (nv_fits(&list)) {
		error = submit_list(stream, &list, head, end);
	}
	nv_fini(&list);
	return error;
}

/* Kept until the body has gone; the library wants them then. */
static void keep_trailers(struct h2_stream *stream, const struct head *head)
{
	if (head->field_count > 0) {
		stream->trailers_out = arena_alloc(&stream->stream.arena, sizeof(struct head));
		head_init(stream->trailers_out, &stream->stream.arena, HEAD_TRAILERS);
		head_copy(stream->trailers_out, head);
	}
	stream->fin = true;
	h2_send_queue(stream);
}

int h2_headers_submit(struct h2_stream *stream, const struct head *head, bool end)
{
	enum body_kind kind;
	int error;

	if (head->kind == HEAD_TRAILERS) {
		if (head_size(head) > SEND_BLOCK_MAX / 2) {
			return -E2BIG;
		}
		keep_trailers(stream, head);
		return 0;
	}
	if (head->kind == HEAD_REQUEST) {
		ASSERT(stream->h2->codec.client && stream->id == 0);
		stream->head_request = head->method == METHOD_HEAD;
	}
	error = submit_first(stream, head, end);
	if (error || head->kind == HEAD_INTERIM) {
		return error;
	}
	kind = bodiless(stream, head) ? BODY_NONE : head->body;
	if (kind == BODY_NONE && !end && !bodiless(stream, head)) {
		kind = BODY_UNKNOWN; /* an owner that did not know yet */
	}
	if (!body_account_head(&stream->out_account, kind, head->length, end)) {
		/* MM-07: an end before the promised length is a cut, not an end. */
		h2_stream_refuse(stream, REASON_internal_error);
	}
	return 0;
}

int h2_headers_submit_trailers(struct h2_stream *stream)
{
	struct nv_list list;
	int error;

	ASSERT(stream->trailers_out);
	nv_init(&list, stream->trailers_out->field_count);
	add_fields(&list, stream->trailers_out);
	error = submit_list(stream, &list, stream->trailers_out, true);
	nv_fini(&list);
	return error;
}
