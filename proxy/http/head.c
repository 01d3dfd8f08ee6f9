#include "http/head.h"

/* Room for the fields of an ordinary request; doubled when it is full. */
#define HEAD_FIELDS_FIRST 16
/* What a field costs beside its bytes (H1-12, H2-19). */
#define HEAD_FIELD_COST 32

void head_init(struct head *head, struct arena *arena, enum head_kind kind)
{
	ASSERT(head != NULL && arena != NULL);
	*head = (struct head){.arena = arena, .kind = kind, .version = HTTP_1_1};
}

/* Fields lie in one array; the arena keeps the smaller ones it outgrew. */
static struct field *head_append(struct head *head)
{
	if (head->field_count == head->field_capacity) {
		uint32_t capacity =
			head->field_capacity == 0 ? HEAD_FIELDS_FIRST : head->field_capacity * 2;
		struct field *fields = arena_alloc(head->arena, capacity * sizeof(*fields));

		/* `first` keeps index + 1 in 16 bits. */
		ASSERT(capacity <= UINT16_MAX / 2);
		if (head->field_count > 0) {
			memcpy(fields, head->fields, head->field_count * sizeof(*fields));
		}
		head->fields = fields;
		head->field_capacity = capacity;
	}
	return &head->fields[head->field_count++];
}

void head_add_borrowed(struct head *head, enum token token, struct slice name, struct slice value)
{
	struct field *field;

	/* MM-10: an empty name cannot be stored. */
	ASSERT(name.size > 0);
	field = head_append(head);
	*field = (struct field){name, value, (uint16_t)token, false};
	if (token != TOKEN_NONE && head->first[token] == 0) {
		head->first[token] = (uint16_t)head->field_count;
	}
}

void head_add(struct head *head, struct slice name, struct slice value)
{
	enum token token = token_find(name);

	head_add_borrowed(head, token,
		token != TOKEN_NONE ? token_name(token) : arena_copy(head->arena, name),
		arena_copy(head->arena, value));
}

void head_add_token(struct head *head, enum token token, struct slice value)
{
	head_add_borrowed(head, token, token_name(token), arena_copy(head->arena, value));
}

void head_copy(struct head *target, const struct head *source)
{
	struct arena *arena = target->arena;

	ASSERT(arena != NULL && target->field_count == 0);
	*target = *source;
	target->arena = arena;
	target->method_text = arena_copy(arena, source->method_text);
	target->scheme = arena_copy(arena, source->scheme);
	target->authority = arena_copy(arena, source->authority);
	target->path = arena_copy(arena, source->path);
	target->query = arena_copy(arena, source->query);
	target->fields = NULL;
	target->field_capacity = source->field_count;
	if (source->field_count == 0) {
		return;
	}
	target->fields = arena_alloc(arena, source->field_count * sizeof(*target->fields));
	for (uint32_t i = 0; i < source->field_count; i++) {
		const struct field *field = &source->fields[i];

		target->fields[i] = *field;
		target->fields[i].value = arena_copy(arena, field->value);
		if (field->token == TOKEN_NONE) {
			target->fields[i].name = arena_copy(arena, field->name);
		} else {
			target->fields[i].name = token_name((enum token)field->token);
		}
	}
}

const struct field *head_find(const struct head *head, enum token token)
{
	ASSERT(token > TOKEN_NONE && token < TOKEN_COUNT);
	return head->first[token] == 0 ? NULL : &head->fields[head->first[token] - 1];
}

/* By token where there is one, else by length and bytes (MM-09). */
static const struct field *head_find_from(
	const struct head *head, uint32_t from, enum token token, struct slice name)
{
	for (uint32_t i = from; i < head->field_count; i++) {
		const struct field *field = &head->fields[i];

		if (token != TOKEN_NONE ? field->token == token : slice_equal(field->name, name)) {
			return field;
		}
	}
	return NULL;
}

const struct field *head_find_name(const struct head *head, struct slice lower_case_name)
{
	enum token token = token_find(lower_case_name);

	return token != TOKEN_NONE ? head_find(head, token)
				   : head_find_from(head, 0, TOKEN_NONE, lower_case_name);
}

const struct field *head_find_next(const struct head *head, const struct field *field)
{
	size_t index = (size_t)(field - head->fields);

	ASSERT(index < head->field_count);
	return head_find_from(head, (uint32_t)index + 1, (enum token)field->token, field->name);
}

struct slice head_value(const struct head *head, enum token token)
{
	const struct field *field = head_find(head, token);

	return field != NULL ? field->value : (struct slice){NULL, 0};
}

unsigned head_remove_if(
	struct head *head, bool (*drop)(const struct field *field, void *context), void *context)
{
	uint32_t kept = 0;
	unsigned removed;

	for (uint32_t i = 0; i < head->field_count; i++) {
		if (!drop(&head->fields[i], context)) {
			head->fields[kept++] = head->fields[i];
		}
	}
	removed = head->field_count - kept;
	if (removed == 0) {
		return 0;
	}
	head->field_count = kept;
	memset(head->first, 0, sizeof(head->first));
	for (uint32_t i = kept; i > 0; i--) {
		head->first[head->fields[i - 1].token] = (uint16_t)i;
	}
	head->first[TOKEN_NONE] = 0;
	return removed;
}

static bool head_same_token(const struct field *field, void *context)
{
	return field->token == *(const enum token *)context;
}

static bool head_same_name(const struct field *field, void *context)
{
	return slice_equal(field->name, *(const struct slice *)context);
}

unsigned head_remove(struct head *head, enum token token)
{
	/* Most removals find nothing; the index knows. */
	return head_find(head, token) == NULL ? 0 : head_remove_if(head, head_same_token, &token);
}

unsigned head_remove_name(struct head *head, struct slice lower_case_name)
{
	enum token token = token_find(lower_case_name);

	return token != TOKEN_NONE ? head_remove(head, token)
				   : head_remove_if(head, head_same_name, &lower_case_name);
}

void head_set(struct head *head, enum token token, struct slice value)
{
	/* The copy comes first: value may be a part of the field that goes. */
	struct slice copy = arena_copy(head->arena, value);

	head_remove(head, token);
	head_add_borrowed(head, token, token_name(token), copy);
}

void head_set_name(struct head *head, struct slice name, struct slice value)
{
	enum token token = token_find(name);
	struct slice copy = arena_copy(head->arena, value);
	struct slice own_name =
		token != TOKEN_NONE ? token_name(token) : arena_copy(head->arena, name);

	head_remove_name(head, own_name);
	head_add_borrowed(head, token, own_name, copy);
}

void head_body_unknown(struct head *head)
{
	/* A body that ends by its own mark keeps that mark, and no body stays none. */
	if (head->body == BODY_LENGTH) {
		head->body = BODY_UNKNOWN;
		head->length = 0;
	}
	ASSERT(head->body != BODY_LENGTH);
}

size_t head_size(const struct head *head)
{
	/* Request: "METHOD path?query HTTP/1.1"; response: "HTTP/1.1 200 ". */
	size_t size = head->kind == HEAD_REQUEST
			      ? head->method_text.size + head->path.size + head->query.size + 11
			      : 13;

	for (uint32_t i = 0; i < head->field_count; i++) {
		size += head->fields[i].name.size + head->fields[i].value.size + HEAD_FIELD_COST;
	}
	return size;
}

bool head_is_grpc(const struct head *head)
{
	struct slice type = head_value(head, TOKEN_content_type);
	struct slice grpc = SLICE("application/grpc");

	ASSERT(head->kind == HEAD_REQUEST);
	if (head->method != METHOD_POST || head->version != HTTP_2 || type.size < grpc.size ||
		!slice_equal_fold(slice_make(type.data, grpc.size), grpc)) {
		return false;
	}
	/* application/grpc-web is another protocol (G-01). */
	return type.size == grpc.size || type.data[grpc.size] == '+' || type.data[grpc.size] == ';';
}

bool head_is_idempotent(const struct head *head)
{
	ASSERT(head->kind == HEAD_REQUEST);
	switch (head->method) {
	case METHOD_GET:
	case METHOD_HEAD:
	case METHOD_OPTIONS:
	case METHOD_PUT:
	case METHOD_DELETE:
		return true;
	case METHOD_POST:
	case METHOD_PATCH:
	case METHOD_CONNECT:
	case METHOD_TRACE:
	case METHOD_OTHER:
		return false;
	}
	return false;
}

static const struct slice head_methods[] = {
	[METHOD_GET] = SLICE("GET"),
	[METHOD_HEAD] = SLICE("HEAD"),
	[METHOD_POST] = SLICE("POST"),
	[METHOD_PUT] = SLICE("PUT"),
	[METHOD_DELETE] = SLICE("DELETE"),
	[METHOD_OPTIONS] = SLICE("OPTIONS"),
	[METHOD_PATCH] = SLICE("PATCH"),
	[METHOD_CONNECT] = SLICE("CONNECT"),
	[METHOD_TRACE] = SLICE("TRACE"),
};

enum method method_find(struct slice text)
{
	/* Methods are case-sensitive (RFC 9110 9.1). */
	for (size_t i = 0; i < ARRAY_SIZE(head_methods); i++) {
		if (slice_equal(head_methods[i], text)) {
			return (enum method)i;
		}
	}
	return METHOD_OTHER;
}

struct slice method_name(enum method method)
{
	ASSERT(method < METHOD_OTHER);
	return head_methods[method];
}

void head_set_method(struct head *head, enum method method, struct slice text)
{
	head->method = method;
	head->method_text =
		method == METHOD_OTHER ? arena_copy(head->arena, text) : method_name(method);
	ASSERT(head->method_text.size > 0);
}
