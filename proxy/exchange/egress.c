/*
 * egress: destinations outside the mesh (mesh.md MA-09). The address that will be dialled is
 * judged, so a name cannot smuggle in an address that is always refused.
 */
#include "exchange/exchange_steps.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/mem.h"
#include "net/resolver.h"

/* "name", "name:port", "*.name": the last stands for any labels before it. */
static bool egress_name_matches(struct slice entry, struct slice host, uint16_t port)
{
	size_t colon = slice_find(entry, ':');
	uint64_t number;

	if (colon < entry.size) {
		if (!slice_parse_u64(slice_from(entry, colon + 1), UINT16_MAX, &number) ||
			number != port) {
			return false;
		}
		entry.size = colon;
	}
	if (slice_equal_fold(entry, host)) {
		return true;
	}
	return entry.size > 2 && entry.data[0] == '*' && host.size > entry.size - 1 &&
	       slice_equal_fold(
		       slice_from(entry, 1), slice_from(host, host.size - (entry.size - 1)));
}

static bool egress_name_listed(
	const struct config_snapshot *snapshot, struct slice host, uint16_t port)
{
	for (unsigned i = 0; i < snapshot->egress_name_count; i++) {
		if (egress_name_matches(slice_from_string(snapshot->egress_names[i]), host, port)) {
			return true;
		}
	}
	return false;
}

static bool egress_address_listed(
	const struct config_snapshot *snapshot, const struct address *address)
{
	for (unsigned i = 0; i < snapshot->egress_prefix_count; i++) {
		if (address_prefix_match(&snapshot->egress_prefixes[i], address)) {
			return true;
		}
	}
	return false;
}

/* Ranges that are refused whatever the default is: this host, its links, nobody in particular. */
static bool egress_address_refused(
	const struct config_snapshot *snapshot, const struct address *address)
{
	static const char *const ranges[] = {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16",
		"224.0.0.0/4", "::/128", "::1/128", "fe80::/10", "ff00::/8", "::ffff:0:0/96"};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct address_prefix prefix;

		if (address_prefix_parse(slice_from_string(ranges[i]), &prefix) &&
			address_prefix_match(&prefix, address)) {
			return true;
		}
	}
	for (unsigned i = 0; i < snapshot->listener_count; i++) {
		if (address_equal(&snapshot->listeners[i].address, address)) {
			return true;
		}
	}
	return false;
}

enum reason egress_judge(
	const struct config_snapshot *snapshot, struct slice host, const struct address *address)
{
	ASSERT(address->size > 0);
	if (egress_address_listed(snapshot, address) ||
		egress_name_listed(snapshot, host, address_port(address))) {
		return REASON_ok;
	}
	if (!snapshot->egress_allow || egress_address_refused(snapshot, address)) {
		return REASON_egress_denied;
	}
	return REASON_ok;
}

/* The first address that may be dialled; the word of the last one that may not. */
static void egress_answered(void *owner, const struct resolver_answer *answer)
{
	struct egress_query *query = owner;
	struct exchange_server *server = query->server;

	query->asked = false;
	if (server == NULL) {
		mem_free(query);
		return;
	}
	query->status = answer->count > 0 ? answer->status : -1;
	if (answer->count > 0) {
		query->address = answer->addresses[0];
	}
	query->expires_ms = loop_now_ms(server->options.loop) + SERVER_EGRESS_MS;
	while (!list_empty(&query->waiting)) {
		struct exchange *x =
			container_of(list_pop_front(&query->waiting), struct exchange, egress_node);

		x->egress = NULL;
		/* It looks again and finds the answer. */
		egress_resolve(x);
	}
}

/* Answers are believed for ten seconds, so a busy name costs one question per worker and interval.
 */
static void egress_ask(struct exchange_server *server, struct egress_query *query)
{
	query->asked = true;
	resolver_ask(server->options.resolver, server->options.loop, query->host, query->port,
		egress_answered, query);
}

/* Room for one more name: the first that nobody waits for and that is out of date, else none. */
static bool egress_make_room(struct exchange_server *server)
{
	uint64_t now = loop_now_ms(server->options.loop);

	if (server->egress.count < SERVER_EGRESS_MAX) {
		return true;
	}
	MAP_FOR_EACH(entry, &server->egress)
	{
		struct egress_query *query = entry->value;

		if (!query->asked && query->expires_ms <= now) {
			map_remove(&server->egress, entry->key);
			mem_free(query);
			return true;
		}
	}
	return false;
}

/* NULL: too many names are being asked for; the request is refused rather than queued unseen. */
static struct egress_query *egress_find(struct exchange *x, uint16_t port)
{
	struct exchange_server *server = x->server;
	struct egress_query *query;
	char key[300];
	int size = snprintf(key, sizeof(key), "%.*s:%u", (int)x->route.name.size,
		(const char *)x->route.name.data, port);

	ASSERT(size > 0 && (size_t)size < sizeof(key));
	query = map_get(&server->egress, slice_make(key, (size_t)size));
	if (query != NULL || !egress_make_room(server)) {
		return query;
	}
	query = mem_zalloc(sizeof(*query));
	query->server = server;
	query->port = port;
	list_init(&query->waiting);
	snprintf(query->host, sizeof(query->host), "%.*s", (int)x->route.name.size,
		(const char *)x->route.name.data);
	map_set(&server->egress, slice_make(key, (size_t)size), query);
	return query;
}

static bool egress_literal(struct slice host, uint16_t port, struct address *ret_address)
{
	char text[80];
	bool v6 = slice_find(host, ':') < host.size;
	int size = snprintf(text, sizeof(text), v6 ? "[%.*s]:%u" : "%.*s:%u", (int)host.size,
		(const char *)host.data, port);

	return size > 0 && (size_t)size < sizeof(text) &&
	       address_parse(slice_make(text, (size_t)size), false, ret_address);
}

/* Ends in exchange_resolved, now or when the answer comes. */
void egress_resolve(struct exchange *x)
{
	uint16_t port = x->route.port != 0 ? x->route.port : 80;
	struct exchange_server *server = x->server;
	struct egress_query *query;
	struct address address;

	if (egress_literal(x->route.name, port, &address)) {
		exchange_resolved(x, egress_judge(x->snapshot, x->route.name, &address), &address);
		return;
	}
	if (!x->snapshot->egress_allow && !egress_name_listed(x->snapshot, x->route.name, port) &&
		x->snapshot->egress_prefix_count == 0) {
		exchange_resolved(x, REASON_egress_denied, NULL); /* no address could change it */
		return;
	}
	query = server->options.resolver != NULL ? egress_find(x, port) : NULL;
	if (query == NULL) {
		exchange_resolved(x, REASON_dns_failed, NULL);
		return;
	}
	if (query->asked || query->expires_ms <= loop_now_ms(server->options.loop)) {
		x->egress = query;
		list_push_back(&query->waiting, &x->egress_node);
		if (!query->asked) {
			egress_ask(server, query);
		}
		return;
	}
	if (query->status != 0) {
		exchange_resolved(x, REASON_dns_failed, NULL);
		return;
	}
	exchange_resolved(
		x, egress_judge(x->snapshot, x->route.name, &query->address), &query->address);
}

void egress_cancel(struct exchange *x)
{
	if (x->egress != NULL) {
		list_unlink(&x->egress_node);
		x->egress = NULL;
	}
}

void egress_fini(struct exchange_server *server)
{
	MAP_FOR_EACH(entry, &server->egress)
	{
		struct egress_query *query = entry->value;

		ASSERT(list_empty(&query->waiting));
		query->server = NULL;
		if (!query->asked) {
			mem_free(query);
		}
	}
	map_fini(&server->egress);
}
