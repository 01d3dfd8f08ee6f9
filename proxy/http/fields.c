#include "http/fields.h"

/* What a known name is; several may apply. */
enum {
	FIELDS_HOP = 1, /* removed at each hop, or written by the sending codec (F-01, MM-03) */
	FIELDS_NO_TRAILER = 2 /* X-06; beside the families below */
};

static const uint8_t fields_traits[TOKEN_COUNT] = {
	[TOKEN_connection] = FIELDS_HOP | FIELDS_NO_TRAILER,
	[TOKEN_content_length] = FIELDS_HOP | FIELDS_NO_TRAILER,
	[TOKEN_transfer_encoding] = FIELDS_HOP | FIELDS_NO_TRAILER,
	[TOKEN_keep_alive] = FIELDS_HOP | FIELDS_NO_TRAILER,
	[TOKEN_proxy_connection] = FIELDS_HOP | FIELDS_NO_TRAILER,
	[TOKEN_te] = FIELDS_HOP | FIELDS_NO_TRAILER,
	[TOKEN_upgrade] = FIELDS_HOP | FIELDS_NO_TRAILER,
	[TOKEN_http2_settings] = FIELDS_HOP | FIELDS_NO_TRAILER,
	[TOKEN_proxy_authorization] = FIELDS_HOP | FIELDS_NO_TRAILER,
	[TOKEN_proxy_authenticate] = FIELDS_HOP | FIELDS_NO_TRAILER,
	[TOKEN_trailer] = FIELDS_NO_TRAILER,
	[TOKEN_host] = FIELDS_NO_TRAILER,
	[TOKEN_authorization] = FIELDS_NO_TRAILER,
	[TOKEN_cookie] = FIELDS_NO_TRAILER,
	[TOKEN_set_cookie] = FIELDS_NO_TRAILER,
	[TOKEN_expect] = FIELDS_NO_TRAILER,
	[TOKEN_range] = FIELDS_NO_TRAILER,
	[TOKEN_max_forwards] = FIELDS_NO_TRAILER,
	[TOKEN_via] = FIELDS_NO_TRAILER,
	[TOKEN_forwarded] = FIELDS_NO_TRAILER,
	[TOKEN_x_real_ip] = FIELDS_NO_TRAILER,
	[TOKEN_x_request_id] = FIELDS_NO_TRAILER,
};

/* Families that trailers may not hold. content-digest is the one exception. */
static const struct slice fields_trailer_families[] = {
	SLICE("content-"),
	SLICE("cache-"),
	SLICE("x-forwarded-"),
	SLICE("x-pillion-"),
};

/* What Connection may not name (F-02). */
static const struct slice fields_guarded_options[] = {
	SLICE("host"),
	SLICE("transfer-encoding"),
	SLICE("authorization"),
	SLICE("cookie"),
	SLICE("via"),
	SLICE("forwarded"),
	SLICE("x-request-id"),
	SLICE("traceparent"),
};
static const struct slice fields_guarded_families[] = {
	SLICE("content-"),
	SLICE("x-forwarded-"),
	SLICE("grpc-"),
	SLICE("micro-"),
	SLICE("x-pillion-"),
};

/* Longest name that is compared with a short list; longer ones cannot be in it. */
#define FIELDS_SHORT_NAME 64

static uint8_t fields_lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

static bool fields_is_tchar(uint8_t byte)
{
	uint8_t lower = fields_lower(byte);

	return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
	       (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

/* Families are told by their prefix, in any case. */
static bool fields_starts_with_any(struct slice name, const struct slice *families, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (name.size >= families[i].size &&
			slice_equal_fold(slice_make(name.data, families[i].size), families[i])) {
			return true;
		}
	}
	return false;
}

/* F-02 */
static bool fields_option_guarded(struct slice option)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields_guarded_options); i++) {
		if (slice_equal_fold(option, fields_guarded_options[i])) {
			return true;
		}
	}
	return fields_starts_with_any(
		option, fields_guarded_families, ARRAY_SIZE(fields_guarded_families));
}

void fields_connection_init(struct fields_connection *connection)
{
	ASSERT(connection != NULL);
	connection->name_count = 0;
	connection->option_count = 0;
	connection->close = false;
}

/* One option: a fact, or the name of a field that goes no further. */
static bool fields_connection_option(struct fields_connection *connection, struct slice option)
{
	for (size_t i = 0; i < option.size; i++) {
		if (!fields_is_tchar(option.data[i])) {
			return false;
		}
	}
	connection->option_count++;
	if (connection->option_count > FIELDS_CONNECTION_OPTIONS_MAX) {
		return false;
	}
	/* The two usual options first. */
	if (slice_equal_fold(option, SLICE("keep-alive"))) {
		return true;
	}
	if (slice_equal_fold(option, SLICE("close"))) {
		connection->close = true;
		return true;
	}
	if (fields_option_guarded(option)) {
		return false;
	}
	connection->names[connection->name_count++] = option;
	return true;
}

bool fields_connection_add(struct fields_connection *connection, struct slice value)
{
	while (value.size > 0) {
		size_t comma = slice_find(value, ',');
		struct slice option = slice_trim(slice_make(value.data, comma));

		/* Empty elements of a list are ignored (RFC 9110 5.6.1.2). */
		if (option.size > 0 && !fields_connection_option(connection, option)) {
			return false;
		}
		value = slice_from(value, comma + 1);
	}
	ASSERT(connection->name_count <= FIELDS_CONNECTION_OPTIONS_MAX);
	return true;
}

static bool fields_is_nominated(const struct field *field, void *context)
{
	const struct fields_connection *connection = context;

	for (unsigned i = 0; i < connection->name_count; i++) {
		if (slice_equal_fold(field->name, connection->names[i])) {
			return true;
		}
	}
	return false;
}

void fields_connection_apply(const struct fields_connection *connection, struct head *head)
{
	struct fields_connection named;

	ASSERT(connection->name_count <= FIELDS_CONNECTION_OPTIONS_MAX);
	if (connection->name_count > 0) {
		named = *connection;
		head_remove_if(head, fields_is_nominated, &named);
	}
}

bool fields_is_hop_by_hop(enum token token)
{
	ASSERT(token < TOKEN_COUNT);
	return (fields_traits[token] & FIELDS_HOP) != 0;
}

static bool fields_drop_hop_by_hop(const struct field *field, void *context)
{
	(void)context;
	return fields_is_hop_by_hop((enum token)field->token);
}

unsigned fields_remove_hop_by_hop(struct head *head)
{
	return head_remove_if(head, fields_drop_hop_by_hop, NULL);
}

bool fields_is_alias(struct slice lower_case_name)
{
	uint8_t name[FIELDS_SHORT_NAME];
	bool found = false;
	size_t size = lower_case_name.size;

	/* A longer name can only imitate a family, whose prefix lies within the first bytes. */
	size = size < sizeof(name) ? size : sizeof(name);
	for (size_t i = 0; i < size; i++) {
		bool underscore = lower_case_name.data[i] == '_';

		name[i] = underscore ? '-' : fields_lower(lower_case_name.data[i]);
		found = found || underscore;
	}
	return found && token_guarded_name(slice_make(name, size));
}

bool fields_forbidden_in_trailers(const struct field *field)
{
	ASSERT(field->name.size > 0);
	if ((fields_traits[field->token] & FIELDS_NO_TRAILER) != 0) {
		return true;
	}
	if (slice_equal(field->name, SLICE("content-digest"))) {
		return false;
	}
	return fields_starts_with_any(
		field->name, fields_trailer_families, ARRAY_SIZE(fields_trailer_families));
}

static bool fields_drop_trailer(const struct field *field, void *context)
{
	(void)context;
	return fields_forbidden_in_trailers(field);
}

unsigned fields_filter_trailers(struct head *trailers)
{
	ASSERT(trailers->kind == HEAD_TRAILERS);
	return head_remove_if(trailers, fields_drop_trailer, NULL);
}

void fields_join_cookies(struct head *head)
{
	const struct field *first = head_find(head, TOKEN_cookie);
	size_t place = 0;
	size_t size = 0;
	uint8_t *joined;
	struct field kept;
	bool never_index;

	if (first == NULL || head_find_next(head, first) == NULL) {
		return;
	}
	never_index = first->never_index;
	for (const struct field *field = first; field; field = head_find_next(head, field)) {
		size += field->value.size + 2;
	}
	joined = arena_alloc(head->arena, size);
	for (const struct field *field = first; field; field = head_find_next(head, field)) {
		if (place > 0) {
			memcpy(joined + place, "; ", 2);
			place += 2;
		}
		if (field->value.size > 0) {
			memcpy(joined + place, field->value.data, field->value.size);
		}
		place += field->value.size;
		never_index = never_index || field->never_index;
	}
	ASSERT(place <= size);
	kept = (struct field){
		token_name(TOKEN_cookie), slice_make(joined, place), TOKEN_cookie, never_index};
	head_remove(head, TOKEN_cookie);
	head_add_borrowed(head, TOKEN_cookie, kept.name, kept.value);
	head->fields[head->field_count - 1].never_index = kept.never_index;
}

bool fields_is_identity(const struct field *field)
{
	return slice_starts_with(field->name, SLICE("x-pillion-")) ||
	       slice_equal(field->name, SLICE("x-forwarded-client-cert"));
}

static bool fields_drop_identity(const struct field *field, void *context)
{
	(void)context;
	return fields_is_identity(field);
}

unsigned fields_remove_identity(struct head *head)
{
	ASSERT(head->arena != NULL);
	return head_remove_if(head, fields_drop_identity, NULL);
}

bool fields_list_has(struct slice list, struct slice element)
{
	ASSERT(element.size > 0);
	while (list.size > 0) {
		size_t comma = slice_find(list, ',');
		struct slice item = slice_make(list.data, comma);

		item.size = slice_find(item, ';');
		if (slice_equal_fold(slice_trim(item), element)) {
			return true;
		}
		list = slice_from(list, comma + 1);
	}
	return false;
}

void fields_spell(enum token token, struct slice lower_case_name, uint8_t *ret_bytes)
{
	bool word_begins = true;

	if (token != TOKEN_NONE) {
		ASSERT(token_spelling(token).size == lower_case_name.size);
		memcpy(ret_bytes, token_spelling(token).data, lower_case_name.size);
		return;
	}
	for (size_t i = 0; i < lower_case_name.size; i++) {
		uint8_t byte = lower_case_name.data[i];

		if (word_begins && byte >= 'a' && byte <= 'z') {
			byte = (uint8_t)(byte - 32);
		}
		ret_bytes[i] = byte;
		word_begins = byte == '-';
	}
}
