/*
 * headers: everything that can be refused is refused at configuration: bad names, barred fields,
 * unknown variables, control characters. On the request path only two things are left to do,
 * copying constants and putting variables in, and no edit can fail there.
 */
#include "filters/headers.h"

#include <stddef.h>

#include "base/buf.h"
#include "config/key.h"

/* MR-04: operations of one route; names and values have bounds of their own. */
#define HEADERS_OPERATIONS_MAX 64
#define HEADERS_NAME_MAX       128
#define HEADERS_VALUE_MAX      4096
/* codes.def: value_form, value_range, header_barred */
#define HEADERS_PIL_FORM   1104
#define HEADERS_PIL_RANGE  1105
#define HEADERS_PIL_BARRED 1222

/* One direction's operations, as the configuration's reader fills them in. */
struct headers_edit {
	CONFIG_LIST_OF(const char *) remove;
	CONFIG_LIST_OF(struct config_pair) set;
	CONFIG_LIST_OF(struct config_pair) add;
};

struct headers_options {
	struct headers_edit request;
	struct headers_edit response;
	bool trailers; /* those of the response too */
};

struct headers_conf {
	const struct headers_options *options; /* NULL: nothing to do */
};

static const struct config_key headers_edit_keys[] = {
	{.name = "remove",
		.type = CONFIG_LIST,
		.element = CONFIG_STRING,
		.offset = offsetof(struct headers_edit, remove),
		.max = HEADERS_OPERATIONS_MAX,
		.flags = CONFIG_ONE_OK,
		.help = "names of fields to remove"},
	{.name = "set",
		.type = CONFIG_PAIRS,
		.offset = offsetof(struct headers_edit, set),
		.max = HEADERS_OPERATIONS_MAX,
		.help = "fields that replace all others of their name"},
	{.name = "add",
		.type = CONFIG_PAIRS,
		.offset = offsetof(struct headers_edit, add),
		.max = HEADERS_OPERATIONS_MAX,
		.help = "fields to add"},
};

static const struct config_section headers_edit_section = {
	.name = "an edit of fields",
	.keys = headers_edit_keys,
	.key_count = ARRAY_SIZE(headers_edit_keys),
	.size = sizeof(struct headers_edit),
};

static const struct config_key headers_keys[] = {
	{.name = "request",
		.type = CONFIG_OBJECT,
		.offset = offsetof(struct headers_options, request),
		.section = &headers_edit_section,
		.help = "edits of requests"},
	{.name = "response",
		.type = CONFIG_OBJECT,
		.offset = offsetof(struct headers_options, response),
		.section = &headers_edit_section,
		.help = "edits of responses"},
	{.name = "trailers",
		.type = CONFIG_BOOL,
		.offset = offsetof(struct headers_options, trailers),
		.default_text = "false",
		.help = "edit trailers like the head that they belong to"},
};

static const struct config_filter_plugin headers_plugin = {
	.name = "headers",
	.keys = headers_keys,
	.key_count = ARRAY_SIZE(headers_keys),
	.conf_size = sizeof(struct headers_options),
};

/* ASCII only: the locale of the process must not decide what a field is called. */
static uint8_t headers_lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

/* RFC 9110 5.6.2. The NUL is asked for first, because strchr finds it at the end of its list. */
static bool headers_is_tchar(uint8_t byte)
{
	uint8_t lower = headers_lower(byte);

	return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
	       (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

/* MR-08: what belongs to the codecs and to pillion itself. */
static bool headers_is_barred(struct slice name)
{
	static const struct slice barred[] = {SLICE("host"), SLICE("content-length"),
		SLICE("transfer-encoding"), SLICE("connection"), SLICE("te"), SLICE("trailer"),
		SLICE("upgrade"), SLICE("keep-alive"), SLICE("proxy-connection")};
	const struct slice own = SLICE("x-pillion-");

	for (size_t i = 0; i < ARRAY_SIZE(barred); i++) {
		if (slice_equal_fold(name, barred[i])) {
			return true;
		}
	}
	return name.size >= own.size && slice_equal_fold(slice_make(name.data, own.size), own);
}

/* Names of fields are tokens (RFC 9110 5.1); what the codecs own is nobody else's to write. */
static bool headers_check_name(const char *text, struct err *err)
{
	struct slice name = slice_from_string(text);
	bool good = name.size > 0 && name.size <= HEADERS_NAME_MAX;

	for (size_t i = 0; i < name.size && good; i++) {
		good = headers_is_tchar(name.data[i]);
	}
	if (!good) {
		err_set(err, HEADERS_PIL_FORM, "'%.80s' is not the name of a field", text);
		return false;
	}
	if (headers_is_barred(name)) {
		err_set(err, HEADERS_PIL_BARRED, "the field '%s' is not for filters to write",
			text);
		return false;
	}
	return true;
}

/* MR-08. Their order is that of the switch in headers_fact. */
static const struct slice headers_variables[] = {
	SLICE("trace_id"), SLICE("service"), SLICE("route"), SLICE("peer")};

/* The variable that begins at "${", its length with braces; -1: none of ours. */
static int headers_variable(struct slice text, size_t *ret_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(headers_variables); i++) {
		struct slice name = headers_variables[i];

		if (text.size >= name.size + 3 && text.data[name.size + 2] == '}' &&
			slice_equal(slice_make(text.data + 2, name.size), name)) {
			*ret_size = name.size + 3;
			return (int)i;
		}
	}
	return -1;
}

/* A value with CR, LF or NUL would end the field, and let whoever wrote it start the next one. */
static bool headers_check_value(const char *text, struct err *err)
{
	struct slice value = slice_from_string(text);
	size_t size;

	for (size_t i = 0; i < value.size; i++) {
		uint8_t byte = value.data[i];

		if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
			err_set(err, HEADERS_PIL_FORM,
				"the value of a field holds a control character");
			return false;
		}
		if (byte == '$' && i + 1 < value.size && value.data[i + 1] == '{' &&
			headers_variable(slice_from(value, i), &size) < 0) {
			err_set(err, HEADERS_PIL_FORM, "unknown variable in '%.80s'", text);
			return false;
		}
	}
	if (value.size > HEADERS_VALUE_MAX) {
		err_set(err, HEADERS_PIL_RANGE, "the value of a field is longer than %d bytes",
			HEADERS_VALUE_MAX);
		return false;
	}
	return true;
}

/* FL-03: a filter whose edits could not be written by any codec is refused with its file, before an
 * exchange ever meets it. */
static bool headers_check_edit(const struct headers_edit *edit, struct err *err)
{
	for (size_t i = 0; i < edit->remove.count; i++) {
		if (!headers_check_name(edit->remove.items[i], err)) {
			return false;
		}
	}
	for (size_t i = 0; i < edit->set.count; i++) {
		if (!headers_check_name(edit->set.items[i].name, err) ||
			!headers_check_value(edit->set.items[i].value, err)) {
			return false;
		}
	}
	for (size_t i = 0; i < edit->add.count; i++) {
		if (!headers_check_name(edit->add.items[i].name, err) ||
			!headers_check_value(edit->add.items[i].value, err)) {
			return false;
		}
	}
	return true;
}

/* The options live in the configuration, which the snapshot owns: a pointer is enough. */
static bool headers_configure(void *conf, const void *options, struct err *err)
{
	struct headers_conf *headers = conf;
	const struct headers_options *given = options;

	ASSERT(conf != NULL);
	headers->options = given;
	return given == NULL || (headers_check_edit(&given->request, err) &&
					headers_check_edit(&given->response, err));
}

/* Facts of the exchange and not of the head, so that requests and answers of one exchange say the
 * same. One that is not known is empty. */
static struct slice headers_fact(const struct exchange *exchange, int variable)
{
	ASSERT(variable >= 0 && (size_t)variable < ARRAY_SIZE(headers_variables));
	switch (variable) {
	case 0:
		return exchange_trace_id(exchange);
	case 3:
		return exchange_peer_host(exchange);
	default:
		/* Without a route table the route of a request is named after its service. */
		return exchange_service_name(exchange);
	}
}

/* Puts the variables in; the result lies in the arena of the exchange or is the text itself. */
static struct slice headers_expand(struct exchange *exchange, const char *text)
{
	struct slice value = slice_from_string(text);
	struct slice result;
	struct buf expanded;

	if (slice_find(value, '$') == value.size) {
		return slice_trim(value);
	}
	buf_init(&expanded);
	while (value.size > 0) {
		size_t size = 0;
		int variable = value.size > 2 && value.data[0] == '$' && value.data[1] == '{'
				       ? headers_variable(value, &size)
				       : -1;

		if (variable >= 0) {
			buf_append_slice(&expanded, headers_fact(exchange, variable));
			value = slice_from(value, size);
		} else {
			buf_append_byte(&expanded, value.data[0]);
			value = slice_from(value, 1);
		}
	}
	/* A variable may be empty; blanks at the edges are not part of a value (RFC 9110 5.5). */
	result = arena_copy(exchange_arena(exchange), slice_trim(buf_slice(&expanded)));
	buf_fini(&expanded);
	return result;
}

/* Heads hold lower-case names; people write them as they like. */
static struct slice headers_name(const char *text, uint8_t lower[HEADERS_NAME_MAX])
{
	size_t size = strlen(text);

	ASSERT(size > 0 && size <= HEADERS_NAME_MAX);
	for (size_t i = 0; i < size; i++) {
		lower[i] = headers_lower((uint8_t)text[i]);
	}
	return slice_make(lower, size);
}

/* In the order of MR-08: remove, set, add, so that a field may be replaced by several of its name.
 */
static void headers_apply(
	struct exchange *exchange, const struct headers_edit *edit, struct head *head)
{
	uint8_t lower[HEADERS_NAME_MAX];

	for (size_t i = 0; i < edit->remove.count; i++) {
		head_remove_name(head, headers_name(edit->remove.items[i], lower));
	}
	for (size_t i = 0; i < edit->set.count; i++) {
		head_set_name(head, headers_name(edit->set.items[i].name, lower),
			headers_expand(exchange, edit->set.items[i].value));
	}
	for (size_t i = 0; i < edit->add.count; i++) {
		head_add(head, headers_name(edit->add.items[i].name, lower),
			headers_expand(exchange, edit->add.items[i].value));
	}
}

/* FL-06: trailers come through the same slot. They are edited only where the options ask for it,
 * for a field added to both would be there twice. */
static enum filter_verdict headers_on_request(
	const struct filter_call *call, struct head *head, bool end)
{
	const struct headers_conf *conf = call->conf;

	(void)end;
	if (conf->options != NULL && (head->kind == HEAD_REQUEST || conf->options->trailers)) {
		headers_apply(call->exchange, &conf->options->request, head);
	}
	return FILTER_NEXT;
}

/* Interim answers (1xx) stay as they are: they are not the answer that the edits speak of. */
static enum filter_verdict headers_on_response(
	const struct filter_call *call, struct head *head, bool end)
{
	const struct headers_conf *conf = call->conf;

	(void)end;
	if (conf->options != NULL &&
		(head->kind == HEAD_RESPONSE ||
			(head->kind == HEAD_TRAILERS && conf->options->trailers))) {
		headers_apply(call->exchange, &conf->options->response, head);
	}
	return FILTER_NEXT;
}

const struct filter_ops headers_filter = {
	.name = "headers",
	.plugin = &headers_plugin,
	.conf_size = sizeof(struct headers_conf),
	.configure = headers_configure,
	.on_request = headers_on_request,
	.on_response = headers_on_response,
};
