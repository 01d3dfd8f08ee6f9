/*
 * Types of this package are known by their full name alone, not by the file that declares them:
 * people copy these files into their own trees (DS-02).
 */
#include "codec/descriptor_wkt.h"

#define WKT_FIELDS_MAX 6

/* Fields are numbered from 1; their types by descriptor.proto, negative when repeated. */
struct wkt_shape {
	struct slice name; /* behind "google.protobuf." */
	enum pool_wkt wkt;
	int8_t types[WKT_FIELDS_MAX];
};

#define SHAPE(name, ...)                                                                           \
	{                                                                                          \
		{(const uint8_t *)(name), sizeof(name) - 1}, __VA_ARGS__                           \
	}

static const struct wkt_shape shapes[] = {
	SHAPE("Any", WKT_ANY, {POOL_STRING, POOL_BYTES}),
	SHAPE("Timestamp", WKT_TIMESTAMP, {POOL_INT64, POOL_INT32}),
	SHAPE("Duration", WKT_DURATION, {POOL_INT64, POOL_INT32}),
	SHAPE("FieldMask", WKT_FIELD_MASK, {-POOL_STRING}),
	SHAPE("Struct", WKT_STRUCT, {-POOL_MESSAGE}),
	SHAPE("Value", WKT_VALUE,
		{POOL_ENUM, POOL_DOUBLE, POOL_STRING, POOL_BOOL, POOL_MESSAGE, POOL_MESSAGE}),
	SHAPE("ListValue", WKT_LIST_VALUE, {-POOL_MESSAGE}),
	SHAPE("DoubleValue", WKT_WRAPPER, {POOL_DOUBLE}),
	SHAPE("FloatValue", WKT_WRAPPER, {POOL_FLOAT}),
	SHAPE("Int64Value", WKT_WRAPPER, {POOL_INT64}),
	SHAPE("UInt64Value", WKT_WRAPPER, {POOL_UINT64}),
	SHAPE("Int32Value", WKT_WRAPPER, {POOL_INT32}),
	SHAPE("UInt32Value", WKT_WRAPPER, {POOL_UINT32}),
	SHAPE("BoolValue", WKT_WRAPPER, {POOL_BOOL}),
	SHAPE("StringValue", WKT_WRAPPER, {POOL_STRING}),
	SHAPE("BytesValue", WKT_WRAPPER, {POOL_BYTES}),
	SHAPE("Empty", WKT_NONE, {0}),
};

/* Few types, asked at load time only: no table is worth it. */
static const struct wkt_shape *find_shape(struct slice full_name)
{
	struct slice package = SLICE("google.protobuf.");

	if (!slice_starts_with(full_name, package)) {
		return NULL;
	}
	full_name = slice_from(full_name, package.size);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (slice_equal(shapes[i].name, full_name)) {
			return &shapes[i];
		}
	}
	return NULL;
}

enum pool_wkt descriptor_wkt_find(struct slice full_name)
{
	const struct wkt_shape *shape = find_shape(full_name);

	ASSERT(full_name.size > 0);
	return shape ? shape->wkt : WKT_NONE;
}

/* Numbers, types and labels must be those of the shape, and nothing else. */
bool descriptor_wkt_sound(const struct ast_message *message)
{
	const struct wkt_shape *shape = find_shape(message->full_name);
	uint32_t expected = 0;

	if (!shape) {
		return true;
	}
	while (expected < WKT_FIELDS_MAX && shape->types[expected] != 0) {
		expected++;
	}
	if (message->field_count != expected || message->ranges) {
		return false;
	}
	for (const struct ast_field *field = message->fields; field; field = field->next) {
		int type = field->label == AST_REPEATED ? -field->type : field->type;

		if (field->number > (int32_t)expected || shape->types[field->number - 1] != type) {
			return false;
		}
	}
	return true;
}
