#include "http/target.h"

#include <arpa/inet.h>

/* U-03: longest host name; with the longest port and brackets this is what an authority may be. */
#define TARGET_HOST_MAX	       255
#define TARGET_PORT_DIGITS_MAX 5
/* One path byte becomes at most three (U-06). */
#define TARGET_ENCODED_SIZE 3

enum target_class {
	TARGET_REFUSED = 0, /* controls, blanks, `#`, `\`, `?`, DEL, 0x80-0xFF */
	TARGET_PLAIN,
	TARGET_UNRESERVED, /* its escape is decoded (RFC 3986 6.2.2.2) */
	TARGET_ENCODE,	   /* legal here, forwarded as an escape */
	TARGET_PERCENT,
};

/* What is not named is refused. */
static const uint8_t target_classes[256] = {
	['!'] = TARGET_PLAIN,
	['$'] = TARGET_PLAIN,
	['&' ... ','] = TARGET_PLAIN,
	['/'] = TARGET_PLAIN,
	[':'] = TARGET_PLAIN,
	[';'] = TARGET_PLAIN,
	['='] = TARGET_PLAIN,
	['@'] = TARGET_PLAIN,
	['['] = TARGET_PLAIN,
	[']'] = TARGET_PLAIN,
	['a' ... 'z'] = TARGET_UNRESERVED,
	['A' ... 'Z'] = TARGET_UNRESERVED,
	['0' ... '9'] = TARGET_UNRESERVED,
	['-'] = TARGET_UNRESERVED,
	['.'] = TARGET_UNRESERVED,
	['_'] = TARGET_UNRESERVED,
	['~'] = TARGET_UNRESERVED,
	['"'] = TARGET_ENCODE,
	['<'] = TARGET_ENCODE,
	['>'] = TARGET_ENCODE,
	['^'] = TARGET_ENCODE,
	['{'] = TARGET_ENCODE,
	['}'] = TARGET_ENCODE,
	['`'] = TARGET_ENCODE,
	['|'] = TARGET_ENCODE,
	['%'] = TARGET_PERCENT,
};

static enum target_class target_class(uint8_t byte)
{
	return (enum target_class)target_classes[byte];
}

static uint8_t target_lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

static int target_hex_value(uint8_t byte)
{
	if (byte >= '0' && byte <= '9') {
		return byte - '0';
	}
	byte = target_lower(byte);
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Upper-case digits, so that one byte has one spelling (U-06). */
static uint8_t *target_put_escape(uint8_t *place, uint8_t byte)
{
	static const char digits[] = "0123456789ABCDEF";

	place[0] = '%';
	place[1] = (uint8_t)digits[byte >> 4];
	place[2] = (uint8_t)digits[byte & 15];
	return place + TARGET_ENCODED_SIZE;
}

/* The byte behind the escape at `text`, or -1 for what U-05 refuses. */
static int target_escape(const uint8_t *text, const uint8_t *end)
{
	int high = end - text > 2 ? target_hex_value(text[1]) : -1;
	int low = high >= 0 ? target_hex_value(text[2]) : -1;
	int byte = high * 16 + low;

	if (low < 0 || byte < 0x20 || byte == 0x7F || byte == '\\') {
		return -1;
	}
	ASSERT(byte <= 0xFF);
	return byte;
}

/* Checks bytes and rewrites escapes. Returns the end of the text at `place`, or NULL. */
static uint8_t *target_rewrite(struct slice path, uint8_t *place)
{
	const uint8_t *end = path.data + path.size;

	for (const uint8_t *text = path.data; text < end; text++) {
		int byte;

		switch (target_class(*text)) {
		case TARGET_REFUSED:
			return NULL;
		case TARGET_PLAIN:
		case TARGET_UNRESERVED:
			*place++ = *text;
			break;
		case TARGET_ENCODE:
			place = target_put_escape(place, *text);
			break;
		case TARGET_PERCENT:
			byte = target_escape(text, end);
			if (byte < 0) {
				return NULL;
			}
			if (target_class((uint8_t)byte) == TARGET_UNRESERVED) {
				*place++ = (uint8_t)byte;
			} else {
				place = target_put_escape(place, (uint8_t)byte);
			}
			text += 2;
			break;
		}
	}
	return place;
}

/*
 * RFC 3986 5.2.4 in place, on a path that starts with a slash. A `..` above the root is refused
 * (U-06), because two readers may disagree about what lies there. Returns the new size, or -1.
 */
static ssize_t target_remove_dots(uint8_t *path, size_t size)
{
	size_t out = 0;
	size_t in = 0;

	ASSERT(size > 0 && path[0] == '/');
	while (in < size) {
		size_t end = in + 1;
		size_t length;

		while (end < size && path[end] != '/') {
			end++;
		}
		length = end - in - 1;
		if (length == 1 && path[in + 1] == '.') {
			/* `/a/.` names the directory: its slash stays when nothing follows. */
			if (end == size) {
				path[out++] = '/';
			}
		} else if (length == 2 && path[in + 1] == '.' && path[in + 2] == '.') {
			if (out == 0) {
				return -1;
			}
			do {
				out--;
			} while (path[out] != '/');
			if (end == size) {
				path[out++] = '/';
			}
		} else {
			memmove(path + out, path + in, end - in);
			out += end - in;
		}
		in = end;
	}
	ASSERT(out > 0 && out <= size);
	return (ssize_t)out;
}

/* Nearly all paths are in normal form already; then nothing is copied. */
static bool target_path_is_normal(struct slice path)
{
	for (size_t i = 0; i < path.size; i++) {
		enum target_class class = target_class(path.data[i]);

		if (class != TARGET_PLAIN && class != TARGET_UNRESERVED) {
			return false;
		}
		if (path.data[i] == '.' && path.data[i - 1] == '/') {
			return false;
		}
	}
	return true;
}

bool target_normalise_path(struct arena *arena, struct slice path, struct slice *ret_path)
{
	uint8_t *copy;
	uint8_t *end;
	ssize_t size;

	if (path.size == 0 || path.data[0] != '/') {
		return false;
	}
	if (target_path_is_normal(path)) {
		*ret_path = path;
		return true;
	}
	ASSERT(path.size <= SIZE_MAX / TARGET_ENCODED_SIZE);
	copy = arena_alloc(arena, path.size * TARGET_ENCODED_SIZE);
	end = target_rewrite(path, copy);
	if (end == NULL) {
		return false;
	}
	size = target_remove_dots(copy, (size_t)(end - copy));
	if (size < 0) {
		return false;
	}
	*ret_path = slice_make(copy, (size_t)size);
	return true;
}

/* Whether a segment is `.` or `..` followed by a path parameter, which some servers cut off first.
 */
static bool target_dotted_parameter(struct slice rest)
{
	return slice_starts_with(rest, SLICE("/.;")) || slice_starts_with(rest, SLICE("/..;"));
}

bool target_path_ambiguous(struct slice normalised_path)
{
	static const struct slice twice[] = {
		SLICE("%252E"), SLICE("%252F"), SLICE("%255C"), SLICE("%2500")};

	for (size_t i = 0; i < normalised_path.size; i++) {
		struct slice rest = slice_from(normalised_path, i);

		if (rest.data[0] == '/' &&
			(slice_starts_with(rest, SLICE("//")) || target_dotted_parameter(rest))) {
			return true;
		}
		if (rest.data[0] != '%') {
			continue;
		}
		if (slice_starts_with(rest, SLICE("%2F"))) {
			return true;
		}
		for (size_t k = 0; k < ARRAY_SIZE(twice); k++) {
			/* The digits of the inner escape are plain text, so their case was kept. */
			if (rest.size >= twice[k].size &&
				slice_equal_fold(slice_make(rest.data, twice[k].size), twice[k])) {
				return true;
			}
		}
	}
	return false;
}

/* 1 to 65535, in at most five digits (U-03). */
static bool target_check_port(struct slice port)
{
	uint64_t value;

	return port.size <= TARGET_PORT_DIGITS_MAX && slice_parse_u64(port, UINT16_MAX, &value) &&
	       value > 0;
}

/* A name or an IPv4 address: both are made of unreserved bytes. */
static bool target_check_name(struct slice host)
{
	for (size_t i = 0; i < host.size; i++) {
		if (target_class(host.data[i]) != TARGET_UNRESERVED) {
			return false;
		}
	}
	return host.size >= 1 && host.size <= TARGET_HOST_MAX;
}

/* `[`IPv6`]` without a zone; inet_pton is strict about the rest. */
static bool target_check_ipv6(struct slice host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (host.size < 4 || host.size > sizeof(text) + 1 || host.data[host.size - 1] != ']') {
		return false;
	}
	memcpy(text, host.data + 1, host.size - 2);
	text[host.size - 2] = 0;
	/* An embedded NUL would end the text early. */
	return strlen(text) == host.size - 2 && inet_pton(AF_INET6, text, &address) == 1;
}

/* Where the host ends: before `:port`, or at the end. */
static size_t target_host_size(struct slice authority)
{
	size_t bracket = 0;

	if (authority.size > 0 && authority.data[0] == '[') {
		bracket = slice_find(authority, ']');
	}
	return bracket + slice_find(slice_from(authority, bracket), ':');
}

bool target_normalise_authority(struct arena *arena, struct slice text, struct slice *ret_authority)
{
	size_t host_size = target_host_size(text);
	struct slice host = slice_make(text.data, host_size);
	struct slice port = slice_from(text, host_size);
	uint8_t *copy;

	if (host.size == 0 || host.size > TARGET_HOST_MAX + 1) {
		return false;
	}
	if (host.data[0] == '[') {
		if (!target_check_ipv6(host)) {
			return false;
		}
	} else {
		host.size -= host.data[host.size - 1] == '.';
		/* A second dot would be an empty label, and lost at the next hop. */
		if (!target_check_name(host) || host.data[host.size - 1] == '.') {
			return false;
		}
	}
	if (port.size == 1) {
		port.size = 0;
	}
	if (port.size > 0 && !target_check_port(slice_from(port, 1))) {
		return false;
	}
	copy = arena_alloc(arena, host.size + port.size);
	for (size_t i = 0; i < host.size; i++) {
		copy[i] = target_lower(host.data[i]);
	}
	if (port.size > 0) {
		memcpy(copy + host.size, port.data, port.size);
	}
	*ret_authority = slice_make(copy, host.size + port.size);
	return true;
}

void target_split_authority(struct slice authority, struct slice *ret_host, uint16_t *ret_port)
{
	size_t host_size = target_host_size(authority);
	struct slice port = slice_from(authority, host_size);
	uint64_t value = 0;

	*ret_host = slice_make(authority.data, host_size);
	/* Text that is no port leaves 0, like none. */
	if (port.size > 1 && !slice_parse_u64(slice_from(port, 1), UINT16_MAX, &value)) {
		value = 0;
	}
	ASSERT(value <= UINT16_MAX);
	*ret_port = (uint16_t)value;
}

/* The query is checked and kept byte for byte (U-12). */
static bool target_check_query(struct slice query)
{
	for (size_t i = 0; i < query.size; i++) {
		uint8_t byte = query.data[i];

		if (byte <= 0x20 || byte >= 0x7F || byte == '#') {
			return false;
		}
	}
	return true;
}

/* Path and query of the origin form, or what follows an authority. */
static enum reason target_parse_path(struct head *head, struct slice text)
{
	size_t mark = slice_find(text, '?');
	struct slice path = slice_make(text.data, mark);

	head->has_query = mark < text.size;
	head->query = head->has_query ? slice_from(text, mark + 1) : (struct slice){NULL, 0};
	if (!target_check_query(head->query) ||
		!target_normalise_path(head->arena, path, &head->path)) {
		return REASON_bad_target;
	}
	return REASON_ok;
}

/* `scheme` with "://" was seen; the rest is authority, path and query (U-02). */
static enum reason target_parse_absolute(struct head *head, struct slice scheme, struct slice rest)
{
	size_t slash = slice_find(rest, '/');
	size_t mark = slice_find(rest, '?');
	size_t end = slash < mark ? slash : mark;
	struct slice path = slice_from(rest, end);

	if (!target_normalise_authority(
		    head->arena, slice_make(rest.data, end), &head->authority)) {
		return REASON_bad_target;
	}
	head->scheme = scheme;
	head->absolute_form = true;
	if (path.size == 0) {
		head->path = head->method == METHOD_OPTIONS ? SLICE("*") : SLICE("/");
		return REASON_ok;
	}
	if (path.data[0] == '?') {
		head->has_query = true;
		head->query = slice_from(path, 1);
		head->path = SLICE("/");
		return target_check_query(head->query) ? REASON_ok : REASON_bad_target;
	}
	return target_parse_path(head, path);
}

/* CONNECT host:port (RFC 9112 3.2.3). */
static enum reason target_parse_connect(struct head *head, struct slice target)
{
	struct slice host;
	uint16_t port;

	if (!target_normalise_authority(head->arena, target, &head->authority)) {
		return REASON_bad_target;
	}
	target_split_authority(head->authority, &host, &port);
	return port != 0 ? REASON_ok : REASON_bad_target;
}

enum reason target_parse(struct head *head, struct slice target)
{
	static const struct slice http = SLICE("http://");
	static const struct slice https = SLICE("https://");

	ASSERT(head->kind == HEAD_REQUEST);
	if (target.size == 0) {
		return REASON_bad_target;
	}
	if (head->method == METHOD_CONNECT) {
		return target_parse_connect(head, target);
	}
	if (target.data[0] == '/') {
		return target_parse_path(head, target);
	}
	if (slice_equal(target, SLICE("*"))) {
		head->path = SLICE("*");
		return head->method == METHOD_OPTIONS ? REASON_ok : REASON_bad_target;
	}
	if (target.size > http.size && slice_equal_fold(slice_make(target.data, http.size), http)) {
		return target_parse_absolute(head, SLICE("http"), slice_from(target, http.size));
	}
	if (target.size > https.size &&
		slice_equal_fold(slice_make(target.data, https.size), https)) {
		return target_parse_absolute(head, SLICE("https"), slice_from(target, https.size));
	}
	return REASON_bad_target;
}
