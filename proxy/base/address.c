#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/decimal.h"

#define ADDRESS_V4_BITS 32
#define ADDRESS_V6_BITS 128

static const struct slice address_unix_scheme = {(const uint8_t *)"unix:", 5};

/* Copies the text of a literal; false when it cannot be one. */
static bool address_literal(struct slice host, char *ret_text, size_t size)
{
	/* inet_pton stops at a NUL, which would let bytes behind it pass unseen. */
	if (host.size == 0 || host.size >= size || slice_find(host, 0) != host.size) {
		return false;
	}
	memcpy(ret_text, host.data, host.size);
	ret_text[host.size] = '\0';
	return true;
}

/* An IP literal of the family that its spelling tells; leaves the result alone on failure. */
static bool address_from_host(
	struct slice host, bool v6, uint16_t port, struct address *ret_address)
{
	struct address address = {0};
	char text[INET6_ADDRSTRLEN];

	if (!address_literal(host, text, sizeof(text))) {
		return false;
	}
	if (v6) {
		if (inet_pton(AF_INET6, text, &address.u.v6.sin6_addr) != 1) {
			return false;
		}
		address.u.v6.sin6_family = AF_INET6;
		address.u.v6.sin6_port = htons(port);
		address.size = sizeof(address.u.v6);
	} else {
		if (inet_pton(AF_INET, text, &address.u.v4.sin_addr) != 1) {
			return false;
		}
		address.u.v4.sin_family = AF_INET;
		address.u.v4.sin_port = htons(port);
		address.size = sizeof(address.u.v4);
	}
	*ret_address = address;
	return true;
}

static bool address_parse_unix(struct slice path, struct address *ret_address)
{
	struct address address = {0};

	/* Absolute only: a relative path would depend on where the process stands. */
	if (path.size < 2 || path.size >= sizeof(address.u.local.sun_path) || path.data[0] != '/' ||
		slice_find(path, 0) != path.size) {
		return false;
	}
	address.u.local.sun_family = AF_UNIX;
	memcpy(address.u.local.sun_path, path.data, path.size);
	address.size = sizeof(address.u.local);
	*ret_address = address;
	return true;
}

/* Splits without a judgement on the port's range; *ret_v6 tells a host in brackets. */
static bool address_split_any(
	struct slice text, struct slice *ret_host, bool *ret_v6, uint16_t *ret_port)
{
	struct slice host;
	struct slice rest;
	uint64_t port;
	bool v6 = text.size > 0 && text.data[0] == '[';

	if (v6) {
		host = slice_from(text, 1);
		host.size = slice_find(host, ']');
		if (host.size + 2 > text.size) {
			return false;
		}
		rest = slice_from(text, host.size + 2);
	} else {
		host = slice_make(text.data, slice_find(text, ':'));
		rest = slice_from(text, host.size);
	}
	/* A second colon is a bare IPv6 address, whose port nobody could tell. */
	if (host.size == 0 || rest.size < 2 || rest.data[0] != ':' || rest.size > 6 ||
		!slice_parse_u64(slice_from(rest, 1), UINT16_MAX, &port)) {
		return false;
	}
	*ret_host = host;
	*ret_v6 = v6;
	*ret_port = (uint16_t)port;
	return true;
}

bool address_parse(struct slice text, bool allow_port_zero, struct address *ret_address)
{
	struct slice host;
	uint16_t port;
	bool v6;

	ASSERT(ret_address != NULL);
	if (slice_starts_with(text, address_unix_scheme)) {
		return address_parse_unix(slice_from(text, address_unix_scheme.size), ret_address);
	}
	if (!address_split_any(text, &host, &v6, &port) || (port == 0 && !allow_port_zero)) {
		return false;
	}
	return address_from_host(host, v6, port, ret_address);
}

bool address_split(struct slice text, struct slice *ret_host, uint16_t *ret_port)
{
	struct slice host;
	uint16_t port;
	bool v6;

	ASSERT(ret_host != NULL && ret_port != NULL);
	/* Port 0 means "any" to bind and nothing at all to connect. */
	if (!address_split_any(text, &host, &v6, &port) || port == 0) {
		return false;
	}
	*ret_host = host;
	*ret_port = port;
	return true;
}

/* The family of an address that was never filled is none, whatever its bytes say. */
static sa_family_t address_family(const struct address *address)
{
	return address->size == 0 ? AF_UNSPEC : address->u.any.sa_family;
}

/* Decimal digits and what ends them; returns where the next byte goes. */
static char *address_put(char *text, unsigned number, char end)
{
	char room[DECIMAL_SIZE];
	struct slice digits = decimal_text(room, number);

	memcpy(text, digits.data, digits.size);
	text[digits.size] = end;
	return text + digits.size + 1;
}

/* By hand: two addresses stand in every line of the access log, and inet_ntop prints with printf.
 */
static char *address_put_v4(char *text, const struct address *address, char end)
{
	uint8_t bytes[4];

	memcpy(bytes, &address->u.v4.sin_addr, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		text = address_put(text, bytes[i], i + 1 < sizeof(bytes) ? '.' : end);
	}
	return text;
}

const char *address_host(const struct address *address, char ret_text[ADDRESS_TEXT_MAX])
{
	ret_text[0] = '\0';
	if (address_family(address) == AF_INET) {
		(void)address_put_v4(ret_text, address, '\0');
	} else if (address_family(address) == AF_INET6) {
		inet_ntop(AF_INET6, &address->u.v6.sin6_addr, ret_text, ADDRESS_TEXT_MAX);
	} else if (address_family(address) == AF_UNIX) {
		/* An accepted Unix socket has no path; a full one has no terminator. */
		(void)snprintf(ret_text, ADDRESS_TEXT_MAX, "%.*s",
			(int)sizeof(address->u.local.sun_path), address->u.local.sun_path);
	}
	return ret_text;
}

const char *address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX])
{
	char host[ADDRESS_TEXT_MAX];

	ASSERT(address != NULL);
	if (address_family(address) == AF_INET6) {
		(void)snprintf(ret_text, ADDRESS_TEXT_MAX, "[%.64s]:%u",
			address_host(address, host), address_port(address));
	} else if (address_family(address) == AF_INET) {
		(void)address_put(
			address_put_v4(ret_text, address, ':'), address_port(address), '\0');
	} else if (address_family(address) == AF_UNIX) {
		(void)snprintf(
			ret_text, ADDRESS_TEXT_MAX, "unix:%.120s", address_host(address, host));
	} else {
		ret_text[0] = '\0';
	}
	return ret_text;
}

bool address_equal(const struct address *a, const struct address *b)
{
	char text_a[ADDRESS_TEXT_MAX];
	char text_b[ADDRESS_TEXT_MAX];

	if (address_family(a) != address_family(b)) {
		return false;
	}
	switch (address_family(a)) {
	case AF_INET:
		return a->u.v4.sin_port == b->u.v4.sin_port &&
		       a->u.v4.sin_addr.s_addr == b->u.v4.sin_addr.s_addr;
	case AF_INET6:
		return a->u.v6.sin6_port == b->u.v6.sin6_port &&
		       a->u.v6.sin6_scope_id == b->u.v6.sin6_scope_id &&
		       memcmp(&a->u.v6.sin6_addr, &b->u.v6.sin6_addr, sizeof(a->u.v6.sin6_addr)) ==
			       0;
	default:
		/* Unix: by path, as the bytes behind the terminator mean nothing. */
		return strcmp(address_host(a, text_a), address_host(b, text_b)) == 0;
	}
}

/* The bytes of the IP address, IPv4 also when it comes mapped into IPv6; empty for others. */
static struct slice address_bytes(const struct address *address)
{
	if (address_family(address) == AF_INET) {
		return slice_make(&address->u.v4.sin_addr, 4);
	}
	if (address_family(address) == AF_INET6) {
		const uint8_t *bytes = address->u.v6.sin6_addr.s6_addr;

		/* A dual-stack listener shows IPv4 peers as ::ffff:a.b.c.d. */
		return IN6_IS_ADDR_V4MAPPED(&address->u.v6.sin6_addr) ? slice_make(bytes + 12, 4)
								      : slice_make(bytes, 16);
	}
	return (struct slice){NULL, 0};
}

bool address_is_loopback(const struct address *address)
{
	struct slice bytes = address_bytes(address);

	if (bytes.size == 4) {
		return bytes.data[0] == 127;
	}
	if (bytes.size == 16) {
		return IN6_IS_ADDR_LOOPBACK(&address->u.v6.sin6_addr);
	}
	ASSERT(bytes.size == 0);
	return address_family(address) == AF_UNIX;
}

bool address_is_any(const struct address *address)
{
	struct slice bytes = address_bytes(address);

	/* All zero: listening there means on every interface (operations.md 2, PIL1211). */
	for (size_t i = 0; i < bytes.size; i++) {
		if (bytes.data[i] != 0) {
			return false;
		}
	}
	return bytes.size > 0;
}

uint16_t address_port(const struct address *address)
{
	switch (address_family(address)) {
	case AF_INET:
		return ntohs(address->u.v4.sin_port);
	case AF_INET6:
		return ntohs(address->u.v6.sin6_port);
	default:
		return 0;
	}
}

void address_set_port(struct address *address, uint16_t port)
{
	sa_family_t family = address_family(address);

	/* A Unix socket has no port to set, and no caller should come with one. */
	ASSERT(family == AF_INET || family == AF_INET6);
	if (family == AF_INET) {
		address->u.v4.sin_port = htons(port);
	} else {
		address->u.v6.sin6_port = htons(port);
	}
}

bool address_prefix_parse(struct slice text, struct address_prefix *ret_prefix)
{
	struct slice host = slice_make(text.data, slice_find(text, '/'));
	struct address_prefix prefix;
	bool v6 = slice_find(host, ':') != host.size;
	uint64_t bits = v6 ? ADDRESS_V6_BITS : ADDRESS_V4_BITS;

	ASSERT(ret_prefix != NULL);
	if (!address_from_host(host, v6, 0, &prefix.base)) {
		return false;
	}
	if (host.size < text.size &&
		!slice_parse_u64(slice_from(text, host.size + 1), bits, &bits)) {
		return false;
	}
	prefix.bits = (unsigned)bits;
	/* A mapped base is an IPv4 prefix in other clothes: count its bits from there. */
	if (v6 && address_bytes(&prefix.base).size == 4) {
		if (bits < ADDRESS_V6_BITS - ADDRESS_V4_BITS) {
			return false;
		}
		prefix.bits -= ADDRESS_V6_BITS - ADDRESS_V4_BITS;
	}
	*ret_prefix = prefix;
	return true;
}

bool address_prefix_match(const struct address_prefix *prefix, const struct address *address)
{
	struct slice base = address_bytes(&prefix->base);
	struct slice bytes = address_bytes(address);
	size_t whole = prefix->bits / 8;
	unsigned rest = prefix->bits % 8;

	/* The base is always an IP address; a Unix socket has no bytes and matches nothing. */
	ASSERT(base.size > 0 && prefix->bits <= base.size * 8);
	if (base.size != bytes.size || memcmp(base.data, bytes.data, whole) != 0) {
		return false;
	}
	return rest == 0 || (base.data[whole] ^ bytes.data[whole]) >> (8 - rest) == 0;
}
