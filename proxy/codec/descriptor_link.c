/*
 * One map holds every full name of all files, and three kinds of names that no identifier can be:
 * extension numbers ("p.M.#100") and JSON names ("p.M.\x01.name"). So each rule of uniqueness is
 * one look-up, and undoing a refused file is removing what it declared.
 */
#include "codec/descriptor_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/descriptor_builder.h"
#include "codec/descriptor_parse.h"
#include "codec/descriptor_wkt.h"

#define MESSAGES_MAX	65535 /* LM-05 */
#define SERVICES_MAX	4096
#define LINK_MEMORY_MAX ((size_t)512 << 20)

void descriptor_link_init(struct descriptor_linker *linker, struct arena *arena)
{
	*linker = (struct descriptor_linker){.arena = arena};
	map_init(&linker->symbols);
}

void descriptor_link_fini(struct descriptor_linker *linker)
{
	map_fini(&linker->symbols);
}

/* Always false, so that callers can return it. */
static bool refuse(struct descriptor_linker *linker, struct slice element, const char *what)
{
	struct descriptor_label file = descriptor_parse_label(linker->file->name);
	struct descriptor_label label = descriptor_parse_label(element);

	ASSERT(element.size > 0);
	err_set(linker->err, DESCRIPTOR_ERR_SCHEMA, "%s: %s: %s", file.text, label.text, what);
	if (linker->err) {
		snprintf(linker->err->file, sizeof(linker->err->file), "%s", linker->file->source);
	}
	return false;
}

/* "scope.name", or the name where the scope is empty. */
static struct slice join(struct descriptor_linker *linker, struct slice scope, struct slice name)
{
	if (scope.size == 0) {
		return name;
	}
	uint8_t *text = arena_alloc(linker->arena, scope.size + 1 + name.size);

	memcpy(text, scope.data, scope.size);
	text[scope.size] = '.';
	memcpy(text + scope.size + 1, name.data, name.size);
	return slice_make(text, scope.size + 1 + name.size);
}

/* Every full name once in the whole pool (DS-03). */
static bool declare(
	struct descriptor_linker *linker, struct slice full_name, enum link_kind kind, void *object)
{
	struct link_symbol *symbol;

	if (map_get(&linker->symbols, full_name)) {
		return refuse(linker, full_name, "a name that is used twice");
	}
	/* Long names of outer types in many inner ones would multiply. */
	if (linker->arena->used > LINK_MEMORY_MAX) {
		return refuse(linker, full_name, "a schema that takes too much memory");
	}
	symbol = arena_alloc(linker->arena, sizeof(*symbol));
	symbol->kind = kind;
	symbol->full_name = full_name;
	symbol->message = object;
	symbol->next = linker->declared;
	linker->declared = symbol;
	map_set(&linker->symbols, full_name, symbol);
	return true;
}

static bool declare_enum(
	struct descriptor_linker *linker, struct slice scope, struct ast_enum *enumeration)
{
	enumeration->full_name = join(linker, scope, enumeration->name);
	if (!declare(linker, enumeration->full_name, LINK_ENUM, enumeration)) {
		return false;
	}
	/* Values are siblings of their enum, as in C++. */
	for (struct ast_value *value = enumeration->values; value; value = value->next) {
		if (!declare(linker, join(linker, scope, value->name), LINK_OTHER, value)) {
			return false;
		}
	}
	return true;
}

/* Fields, and extensions by the scope that declares them. */
static bool declare_fields(
	struct descriptor_linker *linker, struct slice scope, struct ast_field *field)
{
	for (; field; field = field->next) {
		field->full_name = join(linker, scope, field->name);
		if (!declare(linker, field->full_name, LINK_OTHER, field)) {
			return false;
		}
	}
	return true;
}

/* For qsort and bsearch. */
static int compare_numbers(const void *a, const void *b)
{
	int32_t left = *(const int32_t *)a;
	int32_t right = *(const int32_t *)b;

	return left < right ? -1 : left > right;
}

/* The sorted numbers stay: extensions are checked against them. */
static bool check_numbers(struct descriptor_linker *linker, struct ast_message *message)
{
	int32_t *numbers =
		arena_alloc(linker->arena, (message->field_count + 1) * sizeof(*numbers));
	uint32_t count = 0;

	message->numbers = numbers;
	for (struct ast_field *field = message->fields; field; field = field->next) {
		numbers[count++] = field->number;
	}
	ASSERT(count == message->field_count);
	qsort(numbers, count, sizeof(*numbers), compare_numbers);
	for (uint32_t i = 1; i < count; i++) {
		if (numbers[i] == numbers[i - 1]) {
			return refuse(linker, message->full_name, "a field number used twice");
		}
	}
	return true;
}

/* Nested types are declared before anything is resolved, so their order is free. */
static bool declare_message(
	struct descriptor_linker *linker, struct slice scope, struct ast_message *message)
{
	struct slice inner;

	message->full_name = inner = join(linker, scope, message->name);
	message->extended_by = NULL;
	message->extend_count = 0;
	if (++linker->messages > MESSAGES_MAX) {
		return refuse(linker, inner, "more than 65535 messages");
	}
	if (!declare(linker, inner, LINK_MESSAGE, message) ||
		!declare_fields(linker, inner, message->fields) ||
		!declare_fields(linker, inner, message->extensions) ||
		!check_numbers(linker, message)) {
		return false;
	}
	for (struct ast_oneof *oneof = message->oneofs; oneof; oneof = oneof->next) {
		if (!declare(linker, join(linker, inner, oneof->name), LINK_OTHER, oneof)) {
			return false;
		}
	}
	for (struct ast_enum *e = message->enums; e; e = e->next) {
		if (!declare_enum(linker, inner, e)) {
			return false;
		}
	}
	for (struct ast_message *m = message->nested; m; m = m->next) {
		if (!declare_message(linker, inner, m)) {
			return false;
		}
	}
	return true;
}

/* Methods live in the scope of their service. */
static bool declare_service(struct descriptor_linker *linker, struct ast_service *service)
{
	service->full_name = join(linker, linker->file->package, service->name);
	if (++linker->services > SERVICES_MAX) {
		return refuse(linker, service->full_name, "more than 4096 services");
	}
	if (!declare(linker, service->full_name, LINK_OTHER, service)) {
		return false;
	}
	for (struct ast_method *method = service->methods; method; method = method->next) {
		struct slice name = join(linker, service->full_name, method->name);

		if (!declare(linker, name, LINK_OTHER, method)) {
			return false;
		}
	}
	return true;
}

/* All names first; resolving comes after. */
static bool declare_file(struct descriptor_linker *linker, struct ast_file *file)
{
	struct slice scope = file->package;

	for (struct ast_message *m = file->messages; m; m = m->next) {
		if (!declare_message(linker, scope, m)) {
			return false;
		}
	}
	for (struct ast_enum *e = file->enums; e; e = e->next) {
		if (!declare_enum(linker, scope, e)) {
			return false;
		}
	}
	for (struct ast_service *s = file->services; s; s = s->next) {
		if (!declare_service(linker, s)) {
			return false;
		}
	}
	return declare_fields(linker, scope, file->extensions);
}

/* A type name seen from a scope: ".full.name", or a name that is looked for from the inside out. */
static struct link_symbol *resolve(
	struct descriptor_linker *linker, struct slice scope, struct slice name)
{
	if (name.size > 0 && name.data[0] == '.') {
		return map_get(&linker->symbols, slice_from(name, 1));
	}
	if (name.size == 0) {
		return NULL;
	}
	for (;;) {
		struct link_symbol *symbol = map_get(&linker->symbols, join(linker, scope, name));

		if (symbol && symbol->kind != LINK_OTHER) {
			return symbol;
		}
		if (scope.size == 0) {
			return NULL;
		}
		while (scope.size > 0 && scope.data[scope.size - 1] != '.') {
			scope.size--;
		}
		scope.size -= scope.size > 0;
	}
}

/* A field may leave its type out when the name says it. */
static bool link_type(struct descriptor_linker *linker, struct slice scope, struct ast_field *field)
{
	bool is_message = field->type == 10 || field->type == 11;
	bool is_enum = field->type == 14;
	struct link_symbol *symbol;

	field->message = NULL;
	field->enumeration = NULL;
	if (field->type != 0 && !is_message && !is_enum) {
		return true;
	}
	symbol = resolve(linker, scope, field->type_name);
	if (symbol && symbol->kind == LINK_MESSAGE && !is_enum) {
		field->type = field->type ? field->type : 11;
		field->message = symbol->message;
		return true;
	}
	if (symbol && symbol->kind == LINK_ENUM && !is_message) {
		field->type = 14;
		field->enumeration = symbol->enumeration;
		return true;
	}
	return refuse(linker, field->full_name, "a type_name that cannot be resolved");
}

/* Lists and required fields cannot be members. */
static bool link_oneof(struct descriptor_linker *linker, struct ast_oneof *const *oneofs,
	uint32_t oneof_count, struct ast_field *field)
{
	struct ast_oneof *oneof;

	if (!field->has_oneof) {
		return true;
	}
	if (field->oneof_index < 0 || (uint32_t)field->oneof_index >= oneof_count ||
		field->label != AST_OPTIONAL) {
		return refuse(linker, field->full_name, "a oneof_index out of range");
	}
	oneof = oneofs[field->oneof_index];
	ASSERT(oneof);
	oneof->members++;
	oneof->optionals += field->proto3_optional;
	return true;
}

/* The oneofs of a message by index; their counts start anew. */
static struct ast_oneof **index_oneofs(
	struct descriptor_linker *linker, struct ast_message *message)
{
	struct ast_oneof **oneofs =
		arena_alloc(linker->arena, (message->oneof_count + 1) * sizeof(struct ast_oneof *));
	uint32_t count = 0;

	for (struct ast_oneof *oneof = message->oneofs; oneof; oneof = oneof->next) {
		oneof->members = 0;
		oneof->optionals = 0;
		oneofs[count++] = oneof;
	}
	ASSERT(count == message->oneof_count);
	return oneofs;
}

/* DS-03: a map entry is exactly {1 key: integer, bool or string; 2 value}. */
static bool check_map_entry(struct descriptor_linker *linker, struct ast_message *message)
{
	struct ast_field *key = message->fields;
	struct ast_field *value = key ? key->next : NULL;

	if (!message->map_entry) {
		return true;
	}
	if (value && key->number == 2) {
		key = value;
		value = message->fields;
	}
	if (message->field_count != 2 || message->extensions || message->ranges ||
		key->number != 1 || value->number != 2 || key->label != AST_OPTIONAL ||
		value->label != AST_OPTIONAL || key->has_oneof || value->has_oneof ||
		value->type == 10) {
		return refuse(linker, message->full_name, "a malformed map entry");
	}
	/* double, float, group, message, bytes and enum are no key types. */
	if (key->type < 3 || (key->type > 9 && key->type < 13) || key->type == 14) {
		return refuse(linker, message->full_name, "a malformed map entry");
	}
	if (message->fields != key) {
		/* The compiled entry has the key first. */
		key->next = value;
		value->next = NULL;
		message->fields = key;
	}
	return true;
}

/* At most AST_RANGES_MAX of them. */
static bool in_ranges(const struct ast_message *message, int32_t number)
{
	for (const struct ast_range *range = message->ranges; range; range = range->next) {
		if (number >= range->start && number < range->end) {
			return true;
		}
	}
	return false;
}

/* Extension numbers are declared as names that no identifier can be. */
static bool declare_extension(
	struct descriptor_linker *linker, struct ast_message *message, struct ast_field *field)
{
	char number[16];
	int size = snprintf(number, sizeof(number), "#%d", (int)field->number);
	struct slice key = join(linker, message->full_name, slice_make(number, (size_t)size));

	if ((message->numbers && bsearch(&field->number, message->numbers, message->field_count,
					 sizeof(field->number), compare_numbers)) ||
		map_get(&linker->symbols, key)) {
		return refuse(linker, field->full_name, "an extension declared twice");
	}
	if (message->field_count + message->extend_count >= AST_FIELDS_MAX) {
		return refuse(linker, field->full_name, "more than 65535 fields");
	}
	field->extends = message;
	field->next_extend = message->extended_by;
	message->extended_by = field;
	message->extend_count++;
	field->next_linked = linker->extensions;
	linker->extensions = field;
	return declare(linker, key, LINK_OTHER, field);
}

/* Extensions of a message of any linked file. */
static bool link_extensions(
	struct descriptor_linker *linker, struct slice scope, struct ast_field *field)
{
	for (; field; field = field->next) {
		struct link_symbol *symbol = resolve(linker, scope, field->extendee);

		if (!symbol || symbol->kind != LINK_MESSAGE) {
			return refuse(
				linker, field->full_name, "an extendee that cannot be resolved");
		}
		if (!link_type(linker, scope, field)) {
			return false;
		}
		if (field->has_oneof || field->label == AST_REQUIRED) {
			return refuse(linker, field->full_name, "not allowed in an extension");
		}
		if (!in_ranges(symbol->message, field->number)) {
			return refuse(linker, field->full_name, "an extension outside the ranges");
		}
		if (!declare_extension(linker, symbol->message, field)) {
			return false;
		}
	}
	return true;
}

/* DS-07: drop every `_` and upper-case the next character. */
static struct slice default_json_name(struct descriptor_linker *linker, struct slice name)
{
	uint8_t *text = arena_alloc(linker->arena, name.size + 1);
	size_t size = 0;
	bool upper = false;

	ASSERT(name.size > 0);
	for (size_t i = 0; i < name.size; i++) {
		uint8_t c = name.data[i];

		if (c == '_') {
			upper = true;
			continue;
		}
		text[size++] = upper && c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c;
		upper = false;
	}
	return slice_make(text, size);
}

/* JSON names are declared behind a byte that no name holds. */
static bool link_json_name(
	struct descriptor_linker *linker, struct ast_message *message, struct ast_field *field)
{
	struct link_symbol *other;
	struct slice key;

	if (!field->has_json_name) {
		field->json_name = default_json_name(linker, field->name);
	}
	field->ambiguous = false;
	key = join(linker, SLICE("\x01"), field->json_name);
	key = join(linker, message->full_name, key);
	other = map_get(&linker->symbols, key);
	if (!other) {
		return declare(linker, key, LINK_OTHER, field);
	}
	if (linker->file->proto3) {
		return refuse(linker, field->full_name, "a JSON name that another field has");
	}
	field->ambiguous = true;
	other->field->ambiguous = true;
	return true;
}

/* A map entry may only be used by the map field that it was made for. */
static bool link_message(struct descriptor_linker *linker, struct ast_message *message)
{
	struct ast_oneof **oneofs = index_oneofs(linker, message);

	for (struct ast_field *field = message->fields; field; field = field->next) {
		if (!link_type(linker, message->full_name, field) ||
			!link_oneof(linker, oneofs, message->oneof_count, field) ||
			!link_json_name(linker, message, field)) {
			return false;
		}
		if (field->message && field->message->map_entry &&
			(field->label != AST_REPEATED || field->type != 11)) {
			return refuse(linker, field->full_name, "a map entry that is no map");
		}
	}
	if (!descriptor_wkt_sound(message)) {
		return refuse(linker, message->full_name, "not the well-known type of that name");
	}
	if (!check_map_entry(linker, message) ||
		!link_extensions(linker, message->full_name, message->extensions)) {
		return false;
	}
	for (struct ast_message *m = message->nested; m; m = m->next) {
		if (!link_message(linker, m)) {
			return false;
		}
	}
	return true;
}

/* Input and output are messages, in this file or an import. */
static bool link_services(struct descriptor_linker *linker, struct ast_service *service)
{
	for (; service; service = service->next) {
		for (struct ast_method *m = service->methods; m; m = m->next) {
			struct slice scope = service->full_name;
			struct link_symbol *input = resolve(linker, scope, m->input_type);
			struct link_symbol *output = resolve(linker, scope, m->output_type);

			if (!input || input->kind != LINK_MESSAGE) {
				return refuse(
					linker, m->name, "an input_type that cannot be resolved");
			}
			if (!output || output->kind != LINK_MESSAGE) {
				return refuse(
					linker, m->name, "an output_type that cannot be resolved");
			}
			m->input = input->message;
			m->output = output->message;
		}
	}
	return true;
}

/* Undoes what a refused file declared; extensions of other files' messages must not stay. */
static void forget(struct descriptor_linker *linker)
{
	for (struct link_symbol *symbol = linker->declared; symbol; symbol = symbol->next) {
		map_remove(&linker->symbols, symbol->full_name);
	}
	for (struct ast_field *field = linker->extensions; field; field = field->next_linked) {
		/* Newest first on both lists: this file's stand in front. */
		ASSERT(field->extends->extended_by == field);
		field->extends->extended_by = field->next_extend;
		field->extends->extend_count--;
	}
}

bool descriptor_link_file(struct descriptor_linker *linker, struct ast_file *file, struct err *err)
{
	bool linked;

	ASSERT(file->state != AST_LINKED);
	linker->file = file;
	linker->err = err;
	linker->declared = NULL;
	linker->extensions = NULL;
	linked = declare_file(linker, file) &&
		 link_extensions(linker, file->package, file->extensions) &&
		 link_services(linker, file->services);
	for (struct ast_message *m = file->messages; linked && m; m = m->next) {
		linked = link_message(linker, m);
	}
	if (!linked) {
		forget(linker);
	}
	return linked;
}
