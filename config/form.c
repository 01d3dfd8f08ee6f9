/*
 * form: what strings of single keys must look like beyond being strings. Each returns NULL, or what
 * was expected, as it stands in the error.
 */
#include <ctype.h>

#include "base/address.h"
#include "base/assert.h"
#include "config/keys.h"

/* broker.md B2-01. */
#define TOPIC_TOKENS_MAX 16
#define TOPIC_TOKEN_MAX	 64
#define TOPIC_MAX	 200

#define HEADER_NAME_MAX 128
#define VERSION_MAX	128
#define PATH_MAX_BYTES	4096

/* ASCII only: isalnum is called in the C locale. */
static bool all_of(struct slice text, const char *also)
{
	for (size_t i = 0; i < text.size; i++) {
		if (!isalnum(text.data[i]) && strchr(also, text.data[i]) == NULL) {
			return false;
		}
	}
	return true;
}

/* Visible ASCII without blanks. */
static bool visible(struct slice text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] <= 0x20 || text.data[i] >= 0x7f) {
			return false;
		}
	}
	return true;
}

/* Visible ASCII, as it goes into a request line as it is. */
const char *config_form_path(struct slice text)
{
	bool good = text.size > 0 && text.size <= PATH_MAX_BYTES && text.data[0] == '/' &&
		    visible(text) && slice_find(text, '#') == text.size;

	return good ? NULL : "a path that begins with /, such as \"/healthz\"";
}

/* Versions and zones are compared and printed, never parsed. */
const char *config_form_version(struct slice text)
{
	bool good = text.size > 0 && text.size <= VERSION_MAX && visible(text);

	return good ? NULL : "1 to 128 visible ASCII characters";
}

static bool begins_uuid(struct slice text)
{
	for (size_t i = 0; i < text.size; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (i >= 36 || (dash ? text.data[i] != '-' : !isxdigit(text.data[i]))) {
			return false;
		}
	}
	return true;
}

const char *config_form_uuid(struct slice text)
{
	return text.size == 36 && begins_uuid(text)
		       ? NULL
		       : "a uuid such as \"6f1c4f0e-2b7a-4f7e-9a51-0d3c8e5b7a10\"";
}

/* Eight at least: a person must have looked at it. */
const char *config_form_uuid_prefix(struct slice text)
{
	return text.size >= 8 && begins_uuid(text)
		       ? NULL
		       : "the beginning of a uuid, eight digits or more, such as \"6f1c4f0e\"";
}

/* Groups and members are path segments of registry records (B2-01); "dlq" is reserved. */
const char *config_form_group(struct slice text)
{
	bool good = text.size > 0 && text.size <= TOPIC_TOKEN_MAX && all_of(text, "_-") &&
		    !slice_equal(text, SLICE("dlq"));

	return good ? NULL : "a name of the form [A-Za-z0-9_-]{1,64}";
}

/* Tokens joined by dots; "*" is one token, a final ">" one or more (B2-02). */
const char *config_form_pattern(struct slice text)
{
	static const char expected[] =
		"a topic or pattern such as \"orders.placed\", \"orders.*\" or \"orders.>\"";
	size_t tokens = 0;

	if (text.size == 0 || text.size > TOPIC_MAX) {
		return expected;
	}
	for (struct slice rest = text;;) {
		struct slice token = slice_make(rest.data, slice_find(rest, '.'));
		bool last = token.size == rest.size;
		bool wild =
			slice_equal(token, SLICE("*")) || (last && slice_equal(token, SLICE(">")));

		if (++tokens > TOPIC_TOKENS_MAX || token.size == 0 ||
			token.size > TOPIC_TOKEN_MAX || (!wild && !all_of(token, "_-"))) {
			return expected;
		}
		if (last) {
			return NULL;
		}
		rest = slice_from(rest, token.size + 1);
	}
}

/* "/path", "http://ip:port/path", "unix:/sock:/path"; https and other hosts come later. */
const char *config_form_push(struct slice text)
{
	static const char expected[] =
		"\"/path\" of the application, \"http://127.0.0.1:port/path\" "
		"or \"unix:/socket:/path\"";
	struct address address;

	if (slice_starts_with(text, SLICE("/"))) {
		return config_form_path(text) == NULL ? NULL : expected;
	}
	if (slice_starts_with(text, SLICE("unix:/"))) {
		struct slice rest = slice_from(text, 5);
		size_t colon = slice_find(rest, ':');
		bool good = address_parse(slice_make(text.data, 5 + colon), false, &address) &&
			    colon < rest.size &&
			    config_form_path(slice_from(rest, colon + 1)) == NULL;

		return good ? NULL : expected;
	}
	if (!slice_starts_with(text, SLICE("http://"))) {
		return expected;
	}

	struct slice rest = slice_from(text, 7);
	size_t slash = slice_find(rest, '/');
	struct slice authority = slice_make(rest.data, slash);

	if (slice_starts_with(authority, SLICE("localhost:"))) {
		authority = slice_from(authority, sizeof("localhost:") - 1);
		uint64_t port = 0;

		if (!slice_parse_u64(authority, 65535, &port) || port == 0) {
			return expected;
		}
	} else if (!address_parse(authority, false, &address) || !address_is_loopback(&address)) {
		return expected;
	}
	return slash == rest.size || config_form_path(slice_from(rest, slash)) == NULL ? NULL
										       : expected;
}

/* A field name in lower case, RFC 9110 5.1. */
const char *config_form_header(struct slice text)
{
	bool good =
		text.size > 0 && text.size <= HEADER_NAME_MAX && all_of(text, "!#$%&'*+-.^_`|~");

	for (size_t i = 0; i < text.size; i++) {
		good = good && !isupper(text.data[i]);
	}
	return good ? NULL : "a header name in lower case, such as \"user-agent\"";
}

/* Compared byte by byte with the Origin field, which never ends in a slash. */
const char *config_form_origin(struct slice text)
{
	bool good = (slice_starts_with(text, SLICE("http://")) ||
			    slice_starts_with(text, SLICE("https://"))) &&
		    visible(text) && text.data[text.size - 1] != '/' &&
		    slice_find(slice_from(text, 8), '/') == slice_from(text, 8).size;

	return good ? NULL : "an origin such as \"https://shop.example\"";
}

const char *config_form_host(struct slice text)
{
	bool good = text.size > 0 && text.size <= 255 && all_of(text, "._-:[]");

	return good ? NULL : "a host, with or without port, such as \"pillion.local:7442\"";
}
