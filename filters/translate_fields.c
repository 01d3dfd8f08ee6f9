/*
 * translate_fields: four directions, each one walk over a head and a predicate that says what
 * goes.
 */
#include "filters/translate_fields.h"

#include <stdio.h>

#include "base/buf.h"
#include "codec/codec_base64.h"

/* JG-02, JG-04. By the first a client names metadata that HTTP would not let through under its own
 * name; by the second the trailers of an answer reach a client that cannot read trailers. */
#define FIELDS_RENAMED "grpc-metadata-"
#define FIELDS_TRAILER "grpc-trailer-"

/* CX-09: what describes a body that is not sent on. */
static const struct slice fields_of_body[] = {SLICE("content-length"), SLICE("content-encoding"),
	SLICE("content-md5"), SLICE("content-digest"), SLICE("repr-digest"), SLICE("digest"),
	SLICE("etag"), SLICE("accept-ranges"), SLICE("content-range"), SLICE("range"),
	SLICE("if-range"), SLICE("content-type")};

/* RFC 9110 7.6.1, and what else the sending codec writes itself. */
static const struct slice fields_of_framing[] = {SLICE("connection"), SLICE("keep-alive"),
	SLICE("proxy-connection"), SLICE("transfer-encoding"), SLICE("upgrade"), SLICE("trailer"),
	SLICE("http2-settings"), SLICE("host"), SLICE("expect")};

/* What a client asked of the encoding of the answer. */
static const struct slice fields_of_wishes[] = {
	SLICE("accept"), SLICE("accept-encoding"), SLICE("te")};

/* Facts that this sidecar or the network found out: renaming must not forge them. */
static const struct slice fields_trusted[] = {SLICE("x-pillion-"), SLICE("x-forwarded-"),
	SLICE("forwarded"), SLICE("x-real-ip"), SLICE("via")};

/* Names in heads are lower case already, so the comparison is exact. */
static bool fields_in(struct slice name, const struct slice *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_equal(name, list[i])) {
			return true;
		}
	}
	return false;
}

/* They speak of this connection, which ends here. */
static bool fields_is_framing(struct slice name)
{
	return fields_in(name, fields_of_framing, ARRAY_SIZE(fields_of_framing));
}

/* Never metadata of anybody: gRPC's own names, and those of another body. */
static bool fields_is_consumed(struct slice name)
{
	return slice_starts_with(name, SLICE("grpc-")) ||
	       fields_in(name, fields_of_body, ARRAY_SIZE(fields_of_body));
}

/* Prefixes, for whole families are meant. Only a renamed field is asked this: one that came under
 * its own name has passed the sidecar's own checks. */
static bool fields_is_trusted(struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields_trusted); i++) {
		if (slice_starts_with(name, fields_trusted[i])) {
			return true;
		}
	}
	return false;
}

/* GR-07 */
static bool fields_is_key(struct slice name)
{
	for (size_t i = 0; i < name.size; i++) {
		uint8_t c = name.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
			    c == '-')) {
			return false;
		}
	}
	return name.size > 0;
}

/* GR-07: printable ASCII. Anything else a gRPC peer would answer with an error of its own. */
static bool fields_is_value(struct slice value)
{
	for (size_t i = 0; i < value.size; i++) {
		if (value.data[i] < 0x20 || value.data[i] > 0x7e) {
			return false;
		}
	}
	return true;
}

/* GR-07: the suffix alone says so; there is no other mark. */
static bool fields_is_binary(struct slice name)
{
	return slice_ends_with(name, SLICE("-bin"));
}

/* A walk removes in place, so what must come back under another form waits in `again`. */
struct fields_walk {
	struct head *head;
	struct field *again; /* to be added once the walk is over */
	uint32_t again_count;
	uint64_t *dropped;
	struct codec_fault *fault;
	bool failed;
};

/* As many as the head has fields are always enough; the arena frees them with the exchange. */
static void fields_again(struct fields_walk *walk, struct slice name, struct slice value)
{
	if (walk->again == NULL) {
		walk->again = arena_alloc(
			walk->head->arena, walk->head->field_count * sizeof(*walk->again));
	}
	walk->again[walk->again_count++] = (struct field){.name = name, .value = value};
}

/* The name, escaped where it must be, is all that a fault may say (ER-06). */
static void fields_bad_base64(struct fields_walk *walk, struct slice name)
{
	char text[CODEC_FAULT_TEXT_MAX];
	size_t size = name.size < 64 ? name.size : 64;

	if (walk->failed) {
		return;
	}
	walk->failed = true;
	snprintf(text, sizeof(text), "the field %.*s holds no base64", (int)size,
		(const char *)name.data);
	codec_fault_set(walk->fault, CODEC_FAULT_FRAME, text);
}

/* GR-07: each part of a `-bin` value, without padding. */
static void fields_add_binary(struct fields_walk *walk, struct slice name, struct slice value)
{
	struct buf bytes;
	struct buf text;

	buf_init(&bytes);
	buf_init(&text);
	for (;;) {
		size_t comma = slice_find(value, ',');
		struct slice part = slice_trim(slice_make(value.data, comma));

		buf_clear(&bytes);
		buf_clear(&text);
		if (!codec_base64_decode(part, &bytes)) {
			fields_bad_base64(walk, name);
			break;
		}
		codec_base64_encode(buf_slice(&bytes), false, &text);
		head_add(walk->head, name, buf_slice(&text));
		if (comma == value.size) {
			break;
		}
		value = slice_from(value, comma + 1);
	}
	buf_fini(&bytes);
	buf_fini(&text);
}

/* True: the field goes; perhaps it comes back under another form. JG-02. */
static bool fields_drop_to_metadata(const struct field *field, void *context)
{
	struct fields_walk *walk = context;
	const struct slice renamed = SLICE(FIELDS_RENAMED);
	struct slice name = field->name;

	if (slice_starts_with(name, renamed)) {
		name = slice_from(name, renamed.size);
		if (fields_is_trusted(name)) {
			(*walk->dropped)++;
			return true;
		}
	}
	if (fields_is_consumed(name) || fields_is_framing(name) ||
		fields_in(name, fields_of_wishes, ARRAY_SIZE(fields_of_wishes))) {
		return true;
	}
	if (!fields_is_key(name) || !fields_is_value(field->value)) {
		(*walk->dropped)++;
		return true;
	}
	if (name.size != field->name.size || fields_is_binary(name)) {
		fields_again(walk, name, field->value);
		return true;
	}
	return false;
}

/* JG-02. First all removals, then the additions: a head that grows under the walk would show the
 * walk its own work. */
bool translate_fields_to_metadata(
	struct head *head, uint64_t *ret_dropped, struct codec_fault *ret_fault)
{
	struct fields_walk walk = {.head = head, .dropped = ret_dropped, .fault = ret_fault};

	ASSERT(head->kind == HEAD_REQUEST);
	head_remove_if(head, fields_drop_to_metadata, &walk);
	for (uint32_t i = 0; i < walk.again_count; i++) {
		const struct field *field = &walk.again[i];

		if (fields_is_binary(field->name)) {
			fields_add_binary(&walk, field->name, field->value);
		} else {
			head_add(head, field->name, field->value);
		}
	}
	if (walk.failed) {
		/* JSON clients are told what a wrong message would tell them: 400. */
		walk.fault->kind = CODEC_FAULT_QUERY;
	}
	return !walk.failed;
}

/* Every part must be base64; the text itself goes on. */
static void fields_check_binary(struct fields_walk *walk, const struct field *field)
{
	struct slice value = field->value;
	struct buf bytes;

	buf_init(&bytes);
	while (!walk->failed) {
		size_t comma = slice_find(value, ',');

		if (!codec_base64_decode(slice_trim(slice_make(value.data, comma)), &bytes)) {
			fields_bad_base64(walk, field->name);
		}
		if (comma == value.size) {
			break;
		}
		value = slice_from(value, comma + 1);
	}
	buf_fini(&bytes);
}

/* GJ-01 */
static bool fields_drop_from_metadata(const struct field *field, void *context)
{
	struct fields_walk *walk = context;

	if (fields_is_framing(field->name)) {
		(*walk->dropped)++;
		return true;
	}
	if (fields_is_consumed(field->name) ||
		fields_in(field->name, fields_of_wishes, ARRAY_SIZE(fields_of_wishes))) {
		return true;
	}
	if (fields_is_binary(field->name)) {
		fields_check_binary(walk, field);
	}
	return false;
}

/* GJ-01: names stay, because an HTTP application reads metadata as plain header fields. Framing
 * names are counted, as no honest gRPC client sends them. */
bool translate_fields_from_metadata(
	struct head *head, uint64_t *ret_dropped, struct codec_fault *ret_fault)
{
	struct fields_walk walk = {.head = head, .dropped = ret_dropped, .fault = ret_fault};

	ASSERT(head->kind == HEAD_REQUEST);
	head_remove_if(head, fields_drop_from_metadata, &walk);
	return !walk.failed;
}

/* JG-04: `grpc-*` is consumed, and what framed or described the old body goes with it (CX-09). */
static bool fields_drop_answer(const struct field *field, void *context)
{
	(void)context;
	return fields_is_consumed(field->name) || fields_is_framing(field->name);
}

/* What is set afterwards by this filter stands alone: metadata never overrides it (JG-04). */
void translate_fields_answer_from_metadata(struct head *head)
{
	ASSERT(head->kind == HEAD_RESPONSE);
	head_remove_if(head, fields_drop_answer, NULL);
}

/* JG-04: an HTTP/1.1 client would never see them as trailers, so they are shown as fields. */
void translate_fields_add_trailers(struct head *head, const struct head *trailers)
{
	const struct slice prefix = SLICE(FIELDS_TRAILER);

	ASSERT(head != trailers);
	for (uint32_t i = 0; i < trailers->field_count; i++) {
		const struct field *field = &trailers->fields[i];
		struct buf name;

		if (fields_drop_answer(field, NULL)) {
			continue;
		}
		buf_init(&name);
		buf_append_slice(&name, prefix);
		buf_append_slice(&name, field->name);
		head_add(head, buf_slice(&name), field->value);
		buf_fini(&name);
	}
}

/* The fault of a bad `-bin` value is not kept here: an answer that is good apart from one field is
 * better than an error. */
static bool fields_drop_answer_to_metadata(const struct field *field, void *context)
{
	struct fields_walk *walk = context;

	if (fields_drop_answer(field, NULL)) {
		return true;
	}
	if (fields_is_key(field->name) && fields_is_value(field->value)) {
		walk->failed = false;
		if (fields_is_binary(field->name)) {
			fields_check_binary(walk, field);
		}
		if (!walk->failed) {
			return false;
		}
	}
	/* An answer does not fail for a field that metadata cannot hold. */
	(*walk->dropped)++;
	return true;
}

/* GJ-02: headers become leading metadata, HTTP trailers trailing metadata, by the same rule. */
void translate_fields_answer_to_metadata(struct head *head, uint64_t *ret_dropped)
{
	struct codec_fault unused;
	struct fields_walk walk = {.head = head, .dropped = ret_dropped, .fault = &unused};

	ASSERT(head->kind != HEAD_REQUEST);
	head_remove_if(head, fields_drop_answer_to_metadata, &walk);
}
