/*
 * route: names come from places that clients control, so everything is checked against one form
 * before it is looked up. The order of sources and of meanings is that of the rules; the first that
 * is present decides, even when it then turns out to be malformed, because guessing further would
 * send a request somewhere its author did not name.
 */
#include "exchange/route.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/assert.h"
#include "config/config.h"

/* MA-01: a name has at most 253 characters. */
#define ROUTE_NAME_MAX 253

static const char *const route_sources[] = {
	[ROUTE_FROM_LISTENER] = "the listener",
	[ROUTE_FROM_HEADER] = "x-pillion-service",
	[ROUTE_FROM_MICRO] = "Micro-Service",
	[ROUTE_FROM_ABSOLUTE] = "the request target",
	[ROUTE_FROM_AUTHORITY] = "the authority",
	[ROUTE_FROM_GRPC_PATH] = "the gRPC path",
	[ROUTE_FROM_APP] = "the own service",
};

const char *route_source_text(enum route_source source)
{
	ASSERT((size_t)source < ARRAY_SIZE(route_sources));
	return route_sources[source];
}

/* An IP address as text; brackets already removed. */
static bool route_parse_literal(struct slice host, uint16_t port, struct address *ret_address)
{
	char text[INET6_ADDRSTRLEN + 1];
	struct address address = {0};

	if (host.size == 0 || host.size > INET6_ADDRSTRLEN) {
		return false;
	}
	memcpy(text, host.data, host.size);
	text[host.size] = '\0';
	if (inet_pton(AF_INET, text, &address.u.v4.sin_addr) == 1) {
		address.u.v4.sin_family = AF_INET;
		address.size = sizeof(address.u.v4);
	} else if (inet_pton(AF_INET6, text, &address.u.v6.sin6_addr) == 1) {
		address.u.v6.sin6_family = AF_INET6;
		address.size = sizeof(address.u.v6);
	} else {
		return false;
	}
	address_set_port(&address, port);
	*ret_address = address;
	return true;
}

/* host, [v6] or bare v6, each but the last with an optional port. False: not that form. */
static bool route_split(struct slice text, struct slice *ret_host, uint16_t *ret_port)
{
	struct slice host = text;
	struct slice port = {NULL, 0};
	size_t colon = slice_find(text, ':');
	uint64_t number = 0;

	if (text.size > 0 && text.data[0] == '[') {
		size_t close = slice_find(text, ']');

		if (close >= text.size) {
			return false;
		}
		host = slice_make(text.data + 1, close - 1);
		port = slice_from(text, close + 1);
		if (port.size > 0 && port.data[0] != ':') {
			return false;
		}
	} else if (colon < text.size &&
		   slice_find(slice_from(text, colon + 1), ':') == text.size - colon - 1) {
		host = slice_make(text.data, colon);
		port = slice_from(text, colon);
	}
	if (port.size > 1 &&
		(!slice_parse_u64(slice_from(port, 1), UINT16_MAX, &number) || number == 0)) {
		return false;
	}
	*ret_host = host;
	*ret_port = (uint16_t)number;
	return true;
}

static bool route_alphanumeric(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
}

static bool route_is_name(struct slice name)
{
	if (name.size == 0 || name.size > ROUTE_NAME_MAX || !route_alphanumeric(name.data[0]) ||
		!route_alphanumeric(name.data[name.size - 1])) {
		return false;
	}
	for (size_t i = 0; i < name.size; i++) {
		uint8_t byte = name.data[i];

		if (!route_alphanumeric(byte) && byte != '.' && byte != '_' && byte != '-') {
			return false;
		}
	}
	return true;
}

/* Authorities are lower case already (U-04); other sources may not be. */
static struct slice route_lower(struct arena *arena, struct slice text)
{
	struct slice copy;

	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < 'A' || text.data[i] > 'Z') {
			continue;
		}
		copy = arena_copy(arena, text);
		for (size_t k = 0; k < copy.size; k++) {
			uint8_t *byte = (uint8_t *)(uintptr_t)copy.data + k;

			if (*byte >= 'A' && *byte <= 'Z') {
				*byte = (uint8_t)(*byte | 0x20);
			}
		}
		return copy;
	}
	return text;
}

bool route_normalise_name(struct arena *arena, struct slice text, struct slice *ret_name,
	uint16_t *ret_port, bool *ret_literal)
{
	struct address address;
	struct slice host;
	uint16_t port;
	bool literal;

	if (!route_split(text, &host, &port)) {
		return false;
	}
	if (host.size > 1 && host.data[host.size - 1] == '.') {
		host.size--;
	}
	if (host.size > ROUTE_NAME_MAX) {
		return false;
	}
	literal = route_parse_literal(host, port, &address);
	if (!literal) {
		host = route_lower(arena, host);
		if (!route_is_name(host)) {
			return false;
		}
	}
	*ret_name = host;
	*ret_port = port;
	*ret_literal = literal;
	return true;
}

/* Same address and port; a listener on "any" is reached by every address of its family, and
 * `localhost` means both loopback addresses. */
static bool route_matches_address(
	const struct address *own, const struct address *asked, bool localhost)
{
	if (address_port(own) != address_port(asked) || own->u.any.sa_family == AF_UNIX) {
		return false;
	}
	if (localhost) {
		return address_is_loopback(own) || address_is_any(own);
	}
	return address_equal(own, asked) || (address_is_any(own) && address_is_loopback(asked));
}

bool route_is_own(const struct route_query *query, struct slice authority)
{
	struct address asked = {0};
	struct slice host;
	uint16_t port;
	bool localhost;

	if (authority.size == 0 || !route_split(authority, &host, &port)) {
		return false;
	}
	port = port != 0 ? port : 80;
	localhost = slice_equal_fold(host, SLICE("localhost"));
	if (localhost) {
		asked.u.v4.sin_family = AF_INET;
		asked.size = sizeof(asked.u.v4);
		address_set_port(&asked, port);
	} else if (!route_parse_literal(host, port, &asked)) {
		return false;
	}
	if (query->local != NULL && query->local->size > 0 &&
		route_matches_address(query->local, &asked, localhost)) {
		return true;
	}
	for (unsigned i = 0; i < query->snapshot->listener_count; i++) {
		if (route_matches_address(
			    &query->snapshot->listeners[i].address, &asked, localhost)) {
			return true;
		}
	}
	return false;
}

bool route_is_local_api(const struct route_query *query)
{
	struct slice host;
	uint16_t port;

	if (!route_split(query->head->authority, &host, &port)) {
		return false;
	}
	return slice_equal_fold(host, SLICE("localhost")) ||
	       slice_equal_fold(host, SLICE("pillion")) ||
	       route_is_own(query, query->head->authority);
}

/* MA-03: the first path segment without its last dot-part. */
static bool route_grpc_name(struct slice path, struct slice *ret_name)
{
	struct slice segment;
	size_t end;

	if (path.size < 2 || path.data[0] != '/') {
		return false;
	}
	segment = slice_from(path, 1);
	segment.size = slice_find(segment, '/');
	for (end = segment.size; end > 0 && segment.data[end - 1] != '.'; end--) {
	}
	if (end < 2) {
		return false;
	}
	*ret_name = slice_make(segment.data, end - 1);
	return true;
}

/* MA-01: the first source that is present. False: none. */
static bool route_find_name(
	const struct route_query *query, struct slice *ret_text, struct route *route)
{
	const struct head *head = query->head;
	struct slice micro = head_value(head, TOKEN_micro_service);

	if (micro.size == 0) {
		micro = head_value(head, TOKEN_x_micro_service);
	}
	route->own_address = head->authority.size == 0 || route_is_own(query, head->authority);
	if (query->listener != NULL && query->listener->kind == LISTENER_SERVICE) {
		route->source = ROUTE_FROM_LISTENER;
		*ret_text = slice_from_string(query->listener->service);
		return true;
	}
	if (query->wanted.size > 0) {
		route->source = ROUTE_FROM_HEADER;
		*ret_text = query->wanted;
		return true;
	}
	if (micro.size > 0) {
		route->source = ROUTE_FROM_MICRO;
		*ret_text = micro;
		return true;
	}
	if (!route->own_address) {
		route->source = head->absolute_form ? ROUTE_FROM_ABSOLUTE : ROUTE_FROM_AUTHORITY;
		*ret_text = head->authority;
		return true;
	}
	route->source = ROUTE_FROM_GRPC_PATH;
	return query->grpc && route_grpc_name(head->path, ret_text);
}

/* The own service and what the configuration says is used are names even before the registry
 * has spoken. */
static bool route_is_declared(const struct config_snapshot *snapshot, struct slice name)
{
	if (snapshot->service_name != NULL &&
		slice_equal(name, slice_from_string(snapshot->service_name))) {
		return true;
	}
	if (snapshot->config == NULL) {
		return false;
	}
	for (size_t i = 0; i < snapshot->config->self.uses.count; i++) {
		if (slice_equal(name, slice_from_string(snapshot->config->self.uses.items[i]))) {
			return true;
		}
	}
	return false;
}

/* MA-02, the part that names services; what is left is external. */
static bool route_find_service(const struct route_query *query, bool literal, struct route *route)
{
	const struct slice suffix = SLICE(".pillion");
	struct address address;
	struct slice service;

	if (literal) {
		ASSERT(route->name.size > 0);
		if (!route_parse_literal(
			    route->name, route->port != 0 ? route->port : 80, &address)) {
			return false;
		}
		service = upstream_service_at(query->upstream, &address);
		if (service.size == 0) {
			return false;
		}
		route->name = arena_copy(query->arena, service);
		return true;
	}
	if (route->name.size > suffix.size && slice_ends_with(route->name, suffix)) {
		route->name.size -= suffix.size;
		return true;
	}
	return route_is_declared(query->snapshot, route->name) ||
	       upstream_knows(query->upstream, route->name) ||
	       slice_find(route->name, '.') == route->name.size;
}

enum reason route_resolve(const struct route_query *query, struct route *ret_route)
{
	struct route route = {0};
	struct slice text = {NULL, 0};
	bool literal = false;
	bool host_like;

	ASSERT(query->snapshot != NULL && query->head->kind == HEAD_REQUEST);
	if (!route_find_name(query, &text, &route) ||
		!route_normalise_name(query->arena, text, &route.name, &route.port, &literal)) {
		return REASON_bad_name;
	}
	/* A header or a path that names a service cannot mean a host outside the mesh. */
	host_like = route.source == ROUTE_FROM_ABSOLUTE || route.source == ROUTE_FROM_AUTHORITY;
	route.external = !route_find_service(query, literal, &route) && (host_like || literal);
	if (!route.external && !route_is_name(route.name)) {
		return REASON_bad_name;
	}
	*ret_route = route;
	return REASON_ok;
}
