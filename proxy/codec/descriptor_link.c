/*
 * One map holds what may collide between messages: types, services, values and extensions of files,
 * and numbers of extensions ("p.M.#100", which no identifier can be). Undoing a refused file is
 * removing what it declared. Names inside of one message only meet each other, in a set that lasts
 * as long as the message is looked at.
 */
#include "codec/descriptor_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "codec/descriptor_builder.h"
#include "codec/descriptor_parse.h"
#include "codec/descriptor_wkt.h"

#define MESSAGES_MAX	65535 /* LM-05 */
#define SERVICES_MAX	4096
#define LINK_MEMORY_MAX ((size_t)512 << 20)

void descriptor_link_init(struct descriptor_linker *linker, struct arena *arena)
{
	uint64_t seed;

	*linker = (struct descriptor_linker){.arena = arena};
	rng_system_bytes(&seed, sizeof(seed));
	key_set_init(&linker->keys, seed);
	map_init(&linker->symbols);
}

void descriptor_link_fini(struct descriptor_linker *linker)
{
	key_set_fini(&linker->keys);
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

static bool refuse_field(
	struct descriptor_linker *linker, const struct ast_field *field, const char *what)
{
	struct slice scope = field->parent ? field->parent->full_name : linker->file->package;

	return refuse(linker, join(linker, scope, field->name), what);
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

/* An enum of a file: its values are declared beside it. */
static bool declare_file_enum(
	struct descriptor_linker *linker, struct slice scope, struct ast_enum *enumeration)
{
	enumeration->full_name = join(linker, scope, enumeration->name);
	if (!declare(linker, enumeration->full_name, LINK_ENUM, enumeration)) {
		return false;
	}
	for (struct ast_value *value = enumeration->values; value; value = value->next) {
		if (!declare(linker, join(linker, scope, value->name), LINK_OTHER, value)) {
			return false;
		}
	}
	return true;
}

/* Extensions of a file; those of a message are in its scope. */
static bool declare_extensions(
	struct descriptor_linker *linker, struct slice scope, struct ast_field *field)
{
	for (; field; field = field->next) {
		field->parent = NULL;
		field->full_name = join(linker, scope, field->name);
		if (!declare(linker, field->full_name, LINK_OTHER, field)) {
			return false;
		}
	}
	return true;
}

/* One name of a message: fields, oneofs, types and values share its scope (DS-03). */
static bool add_name(struct descriptor_linker *linker, struct key_set *names,
	const struct ast_message *message, struct slice name)
{
	if (key_set_add(&linker->keys, names, NULL, name, NULL)) {
		return true;
	}
	return refuse(linker, join(linker, message->full_name, name), "a name that is used twice");
}

static bool add_names(
	struct descriptor_linker *linker, struct key_set *names, struct ast_message *message)
{
	for (struct ast_field *f = message->fields; f; f = f->next) {
		f->parent = message;
		if (!add_name(linker, names, message, f->name)) {
			return false;
		}
	}
	for (struct ast_field *f = message->extensions; f; f = f->next) {
		f->parent = message;
		f->full_name = join(linker, message->full_name, f->name);
		if (!add_name(linker, names, message, f->name)) {
			return false;
		}
	}
	for (struct ast_oneof *oneof = message->oneofs; oneof; oneof = oneof->next) {
		if (!add_name(linker, names, message, oneof->name)) {
			return false;
		}
	}
	for (struct ast_message *m = message->nested; m; m = m->next) {
		if (!add_name(linker, names, message, m->name)) {
			return false;
		}
	}
	for (struct ast_enum *e = message->enums; e; e = e->next) {
		if (!add_name(linker, names, message, e->name)) {
			return false;
		}
		/* Values are siblings of their enum, as in C++. */
		for (struct ast_value *value = e->values; value; value = value->next) {
			if (!add_name(linker, names, message, value->name)) {
				return false;
			}
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
	struct key_set names;
	bool fresh;

	message->full_name = join(linker, scope, message->name);
	message->extended_by = NULL;
	message->extend_count = 0;
	if (++linker->messages > MESSAGES_MAX) {
		return refuse(linker, message->full_name, "more than 65535 messages");
	}
	if (!declare(linker, message->full_name, LINK_MESSAGE, message) ||
		!check_numbers(linker, message)) {
		return false;
	}
	key_set_open(&linker->keys, &names);
	fresh = add_names(linker, &names, message);
	key_set_close(&linker->keys, &names);
	for (struct ast_enum *e = message->enums; fresh && e; e = e->next) {
		e->full_name = join(linker, message->full_name, e->name);
		fresh = declare(linker, e->full_name, LINK_ENUM, e);
	}
	for (struct ast_message *m = message->nested; fresh && m; m = m->next) {
		fresh = declare_message(linker, message->full_name, m);
	}
	return fresh;
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
		if (!declare_file_enum(linker, scope, e)) {
			return false;
		}
	}
	for (struct ast_service *s = file->services; s; s = s->next) {
		if (!declare_service(linker, s)) {
			return false;
		}
	}
	return declare_extensions(linker, scope, file->extensions);
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
	return refuse_field(linker, field, "a type_name that cannot be resolved");
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
		return refuse_field(linker, field, "a oneof_index out of range");
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
		return refuse_field(linker, field, "an extension declared twice");
	}
	if (message->field_count + message->extend_count >= AST_FIELDS_MAX) {
		return refuse_field(linker, field, "more than 65535 fields");
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
			return refuse_field(linker, field, "an extendee that cannot be resolved");
		}
		if (!link_type(linker, scope, field)) {
			return false;
		}
		if (field->has_oneof || field->label == AST_REQUIRED) {
			return refuse_field(linker, field, "not allowed in an extension");
		}
		if (!in_ranges(symbol->message, field->number)) {
			return refuse_field(linker, field, "an extension outside the ranges");
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

/* DS-07: two fields with one JSON name; `known` are those in the set, by their index there. */
static bool link_json_name(struct descriptor_linker *linker, struct key_set *names,
	struct ast_field **known, struct ast_field *field)
{
	size_t other;

	if (!field->has_json_name) {
		field->json_name = default_json_name(linker, field->name);
	}
	field->ambiguous = false;
	known[names->count] = field;
	if (key_set_add(&linker->keys, names, NULL, field->json_name, &other)) {
		return true;
	}
	if (linker->file->proto3) {
		return refuse_field(linker, field, "a JSON name that another field has");
	}
	field->ambiguous = true;
	known[other]->ambiguous = true;
	return true;
}

static bool link_json_names(struct descriptor_linker *linker, struct ast_message *message)
{
	struct ast_field **known =
		arena_alloc(linker->arena, (message->field_count + 1) * sizeof(struct ast_field *));
	struct key_set names;
	bool linked = true;

	key_set_open(&linker->keys, &names);
	for (struct ast_field *field = message->fields; linked && field; field = field->next) {
		linked = link_json_name(linker, &names, known, field);
	}
	key_set_close(&linker->keys, &names);
	return linked;
}

/* A map entry may only be used by the map field that it was made for. */
static bool link_message(struct descriptor_linker *linker, struct ast_message *message)
{
	struct ast_oneof **oneofs = index_oneofs(linker, message);

	for (struct ast_field *field = message->fields; field; field = field->next) {
		if (!link_type(linker, message->full_name, field) ||
			!link_oneof(linker, oneofs, message->oneof_count, field)) {
			return false;
		}
		if (field->message && field->message->map_entry &&
			(field->label != AST_REPEATED || field->type != 11)) {
			return refuse_field(linker, field, "a map entry that is no map");
		}
	}
	if (!descriptor_wkt_sound(message)) {
		return refuse(linker, message->full_name, "not the well-known type of that name");
	}
	if (!check_map_entry(linker, message) || !link_json_names(linker, message) ||
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
	key_set_reset(&linker->keys);
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
