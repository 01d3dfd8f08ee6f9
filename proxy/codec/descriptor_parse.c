/*
 * Each message of descriptor.proto has one take_ function, which is given its fields one by one and
 * keeps what the engine needs. A message that comes in parts merges by itself that way.
 */
#include "codec/descriptor_parse.h"

#include <errno.h>
#include <stdio.h>

#include "base/utf8.h"
#include "codec/descriptor_builder.h"
#include "codec/wire.h"

/* One file being read. */
struct parse {
	struct arena *arena;
	struct ast_file *file;
	const char *source;
	struct err *err;
	uint32_t depth;
};

/* One field of the message being read: value for varint and fixed types, bytes for lengths. */
struct item {
	uint32_t number;
	enum wire_type type;
	uint64_t value;
	struct slice bytes;
};

struct descriptor_label descriptor_parse_label(struct slice name)
{
	struct descriptor_label label;
	size_t size = name.size < 64 ? name.size : 64;

	for (size_t i = 0; i < size; i++) {
		uint8_t c = name.data[i];

		label.text[i] = c > 0x20 && c < 0x7f ? (char)c : '?';
	}
	snprintf(label.text + size, sizeof(label.text) - size, "%s", name.size > 64 ? "..." : "");
	return label;
}

/* Always false. The file's name is empty in the text until it was read. */
static bool refuse(struct parse *parse, unsigned code, struct slice element, const char *what)
{
	struct descriptor_label file = descriptor_parse_label(parse->file->name);
	struct descriptor_label label = descriptor_parse_label(element);

	ASSERT(code == DESCRIPTOR_ERR_READ || code == DESCRIPTOR_ERR_SCHEMA);
	err_set(parse->err, code, "%s: %s%s%s", file.text, label.text, element.size ? ": " : "",
		what);
	if (parse->err) {
		snprintf(parse->err->file, sizeof(parse->err->file), "%s", parse->source);
	}
	return false;
}

static bool refuse_schema(struct parse *parse, struct slice element, const char *what)
{
	return refuse(parse, DESCRIPTOR_ERR_SCHEMA, element, what);
}

/*
 * The next field of *rest. 1: *ret_item is filled; 0: the end; -1: malformed. Fields that no
 * descriptor has pass as they are, groups are skipped whole.
 */
static int next_item(struct slice *rest, struct item *ret_item)
{
	const uint8_t *p = rest->data;
	const uint8_t *end;
	enum codec_fault_kind fault;
	const uint8_t *place;
	uint32_t tag;

	if (rest->size == 0) {
		return 0;
	}
	end = p + rest->size;
	p = wire_tag(p, end, &tag);
	if (!p) {
		return -1;
	}
	const uint8_t *start = p;

	p = wire_skip(p, end, tag, AST_NEST_MAX, &fault, &place);
	if (!p) {
		return -1;
	}
	*ret_item = (struct item){.number = tag >> 3, .type = (enum wire_type)(tag & 7)};
	if (ret_item->type == WIRE_VARINT) {
		(void)!wire_varint(start, end, &ret_item->value);
	} else if (ret_item->type == WIRE_LENGTH) {
		size_t size = 0;
		const uint8_t *bytes = wire_length(start, end, &size);

		ASSERT(bytes);
		ret_item->bytes = slice_make(bytes, size);
	}
	*rest = slice_make(p, (size_t)(end - p));
	return 1;
}

/* Runs `take` on every field of a message; what it does not know it ignores. */
typedef bool take_item(struct parse *parse, void *object, const struct item *item);

/* The depth is bounded by the nesting of types, which read_message checks. */
static bool each_item(struct parse *parse, struct slice bytes, take_item *take, void *object)
{
	struct item item;
	int more;

	ASSERT(parse->depth < AST_NEST_MAX + 4); /* read_message bounds it */
	parse->depth++;
	while ((more = next_item(&bytes, &item)) > 0) {
		if (!take(parse, object, &item)) {
			return false;
		}
	}
	parse->depth--;
	if (more < 0) {
		return refuse(parse, DESCRIPTOR_ERR_READ, slice_make(NULL, 0),
			"not a well-formed descriptor");
	}
	return true;
}

/* Another wire type makes the field unknown, as everywhere (WI-06). */
static bool is_bytes(const struct item *item, uint32_t number)
{
	return item->number == number && item->type == WIRE_LENGTH;
}

static bool is_number(const struct item *item, uint32_t number)
{
	return item->number == number && item->type == WIRE_VARINT;
}

/* DS-03: [A-Za-z_][A-Za-z0-9_]*, at most 1024 bytes. */
static bool is_identifier(struct slice name)
{
	if (name.size == 0 || name.size > AST_NAME_MAX) {
		return false;
	}
	for (size_t i = 0; i < name.size; i++) {
		uint8_t c = name.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

		if (!letter && (i == 0 || c < '0' || c > '9')) {
			return false;
		}
	}
	return true;
}

/* Dotted identifiers, such as a package. */
static bool is_dotted(struct slice name)
{
	while (name.size > 0) {
		size_t dot = slice_find(name, '.');

		if (!is_identifier(slice_make(name.data, dot)) || dot + 1 == name.size) {
			return false;
		}
		name = dot == name.size ? slice_from(name, dot) : slice_from(name, dot + 1);
	}
	return true;
}

static bool take_field_options(struct parse *parse, void *object, const struct item *item)
{
	struct ast_field *field = object;

	(void)parse;
	if (is_number(item, 2)) {
		field->has_packed = true;
		field->packed = item->value != 0;
	}
	return true;
}

/* Numbers of FieldDescriptorProto. */
static bool take_field(struct parse *parse, void *object, const struct item *item)
{
	struct ast_field *field = object;

	if (is_bytes(item, 1)) {
		field->name = item->bytes;
	} else if (is_bytes(item, 2)) {
		field->extendee = item->bytes;
	} else if (is_number(item, 3)) {
		field->number = (int32_t)item->value;
	} else if (is_number(item, 4)) {
		field->label = (int32_t)item->value;
	} else if (is_number(item, 5)) {
		field->type = (int32_t)item->value;
		if (field->type == 0) {
			field->type = -1; /* written, and out of range */
		}
	} else if (is_bytes(item, 6)) {
		field->type_name = item->bytes;
	} else if (is_bytes(item, 8)) {
		return each_item(parse, item->bytes, take_field_options, field);
	} else if (is_number(item, 9)) {
		field->has_oneof = true;
		field->oneof_index = (int32_t)item->value;
	} else if (is_bytes(item, 10)) {
		field->has_json_name = true;
		field->json_name = item->bytes;
	} else if (is_number(item, 17)) {
		field->proto3_optional = item->value != 0;
	}
	return true;
}

/* What can be said without knowing any other type. */
static bool check_field(struct parse *parse, const struct ast_field *field)
{
	if (!is_identifier(field->name)) {
		return refuse_schema(parse, field->name, "a field name that is no identifier");
	}
	if (field->number < 1 || field->number > AST_NUMBER_MAX) {
		return refuse_schema(parse, field->name, "a field number out of range");
	}
	if (field->label < AST_OPTIONAL || field->label > AST_REPEATED) {
		return refuse_schema(parse, field->name, "a label out of range");
	}
	if (field->type < 0 || field->type > 18 ||
		(field->type == 0 && field->type_name.size == 0)) {
		return refuse_schema(parse, field->name, "a type out of range");
	}
	if (field->has_json_name &&
		(field->json_name.size > AST_NAME_MAX || !utf8_valid(field->json_name) ||
			slice_find(field->json_name, 0) != field->json_name.size)) {
		return refuse_schema(parse, field->name, "an unusable json_name");
	}
	return true;
}

static bool read_field(struct parse *parse, struct slice bytes, struct ast_field ***list)
{
	struct ast_field *field = arena_alloc(parse->arena, sizeof(*field));

	field->file = parse->file;
	field->label = AST_OPTIONAL;
	if (!each_item(parse, bytes, take_field, field) || !check_field(parse, field)) {
		return false;
	}
	**list = field;
	*list = &field->next;
	return true;
}

static bool take_value(struct parse *parse, void *object, const struct item *item)
{
	struct ast_value *value = object;

	(void)parse;
	if (is_bytes(item, 1)) {
		value->name = item->bytes;
	} else if (is_number(item, 2)) {
		value->number = (int32_t)item->value;
	}
	return true;
}

/* EnumDescriptorProto: name 1, value 2. */
static bool take_enum(struct parse *parse, void *object, const struct item *item)
{
	struct ast_enum *enumeration = object;

	if (is_bytes(item, 1)) {
		enumeration->name = item->bytes;
	} else if (is_bytes(item, 2)) {
		struct ast_value *value = arena_alloc(parse->arena, sizeof(*value));

		if (!each_item(parse, item->bytes, take_value, value)) {
			return false;
		}
		if (!is_identifier(value->name)) {
			return refuse_schema(
				parse, value->name, "an enum value name that is no identifier");
		}
		*enumeration->values_end = value;
		enumeration->values_end = &value->next;
		if (++enumeration->value_count > AST_FIELDS_MAX) {
			return refuse_schema(parse, enumeration->name, "more than 65535 values");
		}
	}
	return true;
}

static bool read_enum(struct parse *parse, struct slice bytes, struct ast_enum ***list)
{
	struct ast_enum *enumeration = arena_alloc(parse->arena, sizeof(*enumeration));

	enumeration->file = parse->file;
	enumeration->values_end = &enumeration->values;
	if (!each_item(parse, bytes, take_enum, enumeration)) {
		return false;
	}
	if (!is_identifier(enumeration->name)) {
		return refuse_schema(
			parse, enumeration->name, "an enum name that is no identifier");
	}
	if (!enumeration->values) {
		return refuse_schema(parse, enumeration->name, "an enum without values");
	}
	**list = enumeration;
	*list = &enumeration->next;
	return true;
}

/* ExtensionRange: start 1, end 2, exclusive. */
static bool take_range(struct parse *parse, void *object, const struct item *item)
{
	struct ast_range *range = object;

	(void)parse;
	if (is_number(item, 1)) {
		range->start = (int32_t)item->value;
	} else if (is_number(item, 2)) {
		range->end = (int32_t)item->value;
	}
	return true;
}

static bool take_oneof(struct parse *parse, void *object, const struct item *item)
{
	struct ast_oneof *oneof = object;

	(void)parse;
	if (is_bytes(item, 1)) {
		oneof->name = item->bytes;
	}
	return true;
}

/* MessageOptions: message_set_wire_format 1, map_entry 7. */
static bool take_message_options(struct parse *parse, void *object, const struct item *item)
{
	struct ast_message *message = object;

	if (is_number(item, 1) && item->value != 0) {
		return refuse_schema(
			parse, message->name, "message_set_wire_format is not supported");
	}
	if (is_number(item, 7)) {
		message->map_entry = item->value != 0;
	}
	return true;
}

static bool read_message(struct parse *parse, struct slice bytes, struct ast_message ***list);

static bool read_oneof(struct parse *parse, struct slice bytes, struct ast_message *message)
{
	struct ast_oneof *oneof = arena_alloc(parse->arena, sizeof(*oneof));

	if (!each_item(parse, bytes, take_oneof, oneof)) {
		return false;
	}
	if (!is_identifier(oneof->name)) {
		return refuse_schema(parse, oneof->name, "a oneof name that is no identifier");
	}
	*message->oneofs_end = oneof;
	message->oneofs_end = &oneof->next;
	message->oneof_count++;
	return true;
}

static bool read_range(struct parse *parse, struct slice bytes, struct ast_message *message)
{
	struct ast_range *range = arena_alloc(parse->arena, sizeof(*range));

	range->next = message->ranges;
	message->ranges = range;
	if (++message->range_count > AST_RANGES_MAX) {
		return refuse_schema(parse, message->name, "more than 4096 extension ranges");
	}
	return each_item(parse, bytes, take_range, range);
}

/* DescriptorProto by its numbers; reserved ranges and names are the compiler's. */
static bool take_message(struct parse *parse, void *object, const struct item *item)
{
	struct ast_message *message = object;

	if (item->type != WIRE_LENGTH) {
		return true;
	}
	switch (item->number) {
	case 1:
		message->name = item->bytes;
		return true;
	case 2:
		if (++message->field_count > AST_FIELDS_MAX) {
			return refuse_schema(parse, message->name, "more than 65535 fields");
		}
		return read_field(parse, item->bytes, &message->fields_end);
	case 3:
		return read_message(parse, item->bytes, &message->nested_end);
	case 4:
		return read_enum(parse, item->bytes, &message->enums_end);
	case 5:
		return read_range(parse, item->bytes, message);
	case 6:
		return read_field(parse, item->bytes, &message->extensions_end);
	case 7:
		return each_item(parse, item->bytes, take_message_options, message);
	case 8:
		return read_oneof(parse, item->bytes, message);
	default:
		return true;
	}
}

static bool read_message(struct parse *parse, struct slice bytes, struct ast_message ***list)
{
	struct ast_message *message = arena_alloc(parse->arena, sizeof(*message));

	/* A top-level message is read at depth 1 (its file). */
	if (parse->depth > AST_NEST_MAX) {
		return refuse_schema(parse, slice_make(NULL, 0), "types nested deeper than 32");
	}
	message->file = parse->file;
	message->fields_end = &message->fields;
	message->oneofs_end = &message->oneofs;
	message->extensions_end = &message->extensions;
	message->nested_end = &message->nested;
	message->enums_end = &message->enums;
	if (!each_item(parse, bytes, take_message, message)) {
		return false;
	}
	if (!is_identifier(message->name)) {
		return refuse_schema(parse, message->name, "a message name that is no identifier");
	}
	**list = message;
	*list = &message->next;
	return true;
}

/* MethodOptions: idempotency_level 34. */
static bool take_method_options(struct parse *parse, void *object, const struct item *item)
{
	struct ast_method *method = object;

	(void)parse;
	if (is_number(item, 34) && item->value <= CODEC_IDEMPOTENT) {
		method->idempotency = (enum codec_idempotency)item->value;
	}
	return true;
}

static bool take_method(struct parse *parse, void *object, const struct item *item)
{
	struct ast_method *method = object;

	if (is_bytes(item, 1)) {
		method->name = item->bytes;
	} else if (is_bytes(item, 2)) {
		method->input_type = item->bytes;
	} else if (is_bytes(item, 3)) {
		method->output_type = item->bytes;
	} else if (is_bytes(item, 4)) {
		return each_item(parse, item->bytes, take_method_options, method);
	} else if (is_number(item, 5)) {
		method->client_streaming = item->value != 0;
	} else if (is_number(item, 6)) {
		method->server_streaming = item->value != 0;
	}
	return true;
}

/* ServiceDescriptorProto: name 1, method 2. */
static bool take_service(struct parse *parse, void *object, const struct item *item)
{
	struct ast_service *service = object;

	if (is_bytes(item, 1)) {
		service->name = item->bytes;
	} else if (is_bytes(item, 2)) {
		struct ast_method *method = arena_alloc(parse->arena, sizeof(*method));

		if (!each_item(parse, item->bytes, take_method, method)) {
			return false;
		}
		if (!is_identifier(method->name)) {
			return refuse_schema(
				parse, method->name, "a method name that is no identifier");
		}
		*service->methods_end = method;
		service->methods_end = &method->next;
		service->method_count++;
	}
	return true;
}

static bool read_service(struct parse *parse, struct slice bytes)
{
	struct ast_service *service = arena_alloc(parse->arena, sizeof(*service));

	service->methods_end = &service->methods;
	if (!each_item(parse, bytes, take_service, service)) {
		return false;
	}
	if (!is_identifier(service->name)) {
		return refuse_schema(parse, service->name, "a service name that is no identifier");
	}
	*parse->file->services_end = service;
	parse->file->services_end = &service->next;
	return true;
}

static bool read_import(struct parse *parse, struct slice name)
{
	struct ast_import *import = arena_alloc(parse->arena, sizeof(*import));

	if (name.size == 0 || name.size > AST_NAME_MAX) {
		return refuse_schema(parse, name, "an unusable import");
	}
	import->name = name;
	*parse->file->imports_end = import;
	parse->file->imports_end = &import->next;
	return true;
}

/* FileDescriptorProto; options say nothing that the engine needs. */
static bool take_file(struct parse *parse, void *object, const struct item *item)
{
	struct ast_file *file = object;

	if (item->type != WIRE_LENGTH) {
		return true;
	}
	switch (item->number) {
	case 1:
		file->name = item->bytes;
		return true;
	case 2:
		file->package = item->bytes;
		return true;
	case 3:
		return read_import(parse, item->bytes);
	case 4:
		return read_message(parse, item->bytes, &file->messages_end);
	case 5:
		return read_enum(parse, item->bytes, &file->enums_end);
	case 6:
		return read_service(parse, item->bytes);
	case 7:
		return read_field(parse, item->bytes, &file->extensions_end);
	case 12:
		file->syntax = item->bytes;
		return true;
	default:
		return true;
	}
}

/* The file without source_code_info (field 9), which says nothing about the schema (DS-02, DS-10).
 */
static struct slice strip_source_info(struct arena *arena, struct slice bytes)
{
	struct slice rest = bytes;
	uint8_t *out = NULL;
	size_t size = 0;
	struct item item;

	for (;;) {
		const uint8_t *start = rest.data;

		if (next_item(&rest, &item) <= 0) {
			break;
		}
		if (item.number == 9 && !out) {
			/* Most files have none, and are taken as they are. */
			out = arena_alloc(arena, bytes.size);
			size = (size_t)(start - bytes.data);
			memcpy(out, bytes.data, size);
		} else if (item.number != 9 && out) {
			memcpy(out + size, start, (size_t)(rest.data - start));
			size += (size_t)(rest.data - start);
		}
	}
	ASSERT(size <= bytes.size);
	return out ? slice_make(out, size) : bytes;
}

/* DS-05 without editions: they are refused by name. */
static bool check_file(struct parse *parse)
{
	struct ast_file *file = parse->file;

	if (file->name.size == 0 || file->name.size > AST_NAME_MAX) {
		return refuse_schema(parse, file->name, "a file without a usable name");
	}
	if (file->package.size > AST_NAME_MAX || !is_dotted(file->package)) {
		return refuse_schema(parse, file->package, "an unusable package");
	}
	file->proto3 = slice_equal(file->syntax, SLICE("proto3"));
	if (!file->proto3 && file->syntax.size > 0 && !slice_equal(file->syntax, SLICE("proto2"))) {
		return refuse_schema(parse, file->syntax, "a syntax that is not supported");
	}
	return true;
}

struct ast_file *descriptor_parse_file(
	struct arena *arena, struct slice bytes, const char *source, struct err *err)
{
	struct ast_file *file = arena_alloc(arena, sizeof(*file));
	struct parse parse = {arena, file, source, err, 0};

	ASSERT(source);
	file->source = source;
	file->imports_end = &file->imports;
	file->messages_end = &file->messages;
	file->enums_end = &file->enums;
	file->extensions_end = &file->extensions;
	file->services_end = &file->services;
	if (!each_item(&parse, bytes, take_file, file) || !check_file(&parse)) {
		return NULL;
	}
	file->bare = strip_source_info(arena, bytes);
	return file;
}

int descriptor_parse_next_file(
	struct slice *set, const char *source, struct slice *ret_file, struct err *err)
{
	struct item item;
	int more;

	ASSERT(source);
	while ((more = next_item(set, &item)) > 0) {
		if (is_bytes(&item, 1)) {
			*ret_file = item.bytes;
			return 1;
		}
	}
	if (more < 0) {
		err_set(err, DESCRIPTOR_ERR_READ, "%s: not a serialized FileDescriptorSet", source);
		if (err) {
			snprintf(err->file, sizeof(err->file), "%s", source);
		}
		return -EBADMSG;
	}
	return 0;
}
