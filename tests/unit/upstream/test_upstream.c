/* Names, bounds and look-ups of one worker: MA-02, MA-04, MS-06, the split of limits. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "upstream/service_state.h"

static struct slice numbered(char *text, size_t size, unsigned number)
{
	snprintf(text, size, "s%u", number);
	return slice_from_string(text);
}

/* MX-02: random names meet a bound; known ones go on; an hour of disuse makes room. */
static void test_bound_of_names(void **state)
{
	struct fixture *fixture = *state;
	char text[16];
	uint16_t port = 1;

	upstream_pin(fixture->upstream, SLICE("pinned"), true);
	give_set(fixture, "watched", &port, 1, INSTANCE_HTTP1);
	for (unsigned i = 0; i < SERVICE_NAMES_MAX; i++) {
		assert_non_null(
			upstream_service(fixture->upstream, numbered(text, sizeof(text), i)));
	}
	assert_int_equal(fixture->unknown, SERVICE_NAMES_MAX);
	for (unsigned i = 0; i < 10000; i++) {
		assert_null(upstream_service(
			fixture->upstream, numbered(text, sizeof(text), 100000 + i)));
	}
	assert_int_equal(upstream_stats(fixture->upstream)->unknown_refused, 10000);
	assert_int_equal(fixture->unknown, SERVICE_NAMES_MAX);
	assert_non_null(upstream_service(fixture->upstream, SLICE("pinned")));
	assert_non_null(upstream_service(fixture->upstream, SLICE("watched")));
	assert_null(upstream_service(fixture->upstream, SLICE("")));

	MAP_FOR_EACH(entry, &fixture->upstream->services)
	{
		struct service *service = entry->value;

		if (strcmp(service->name, "s7") == 0 || service->pinned || !service->asked) {
			service->used_ms -= SERVICE_FORGET_MS;
		}
	}
	assert_non_null(upstream_service(fixture->upstream, SLICE("late")));
	assert_int_equal(fixture->forgotten, 1);
	assert_true(upstream_knows(fixture->upstream, SLICE("watched")));
	assert_null(upstream_service(fixture->upstream, SLICE("s7")));
}

static void test_fixed_targets_are_bounded(void **state)
{
	struct fixture *fixture = *state;
	struct fixed_target target = {.name = "x", .host = "x", .protocol = INSTANCE_HTTP1};
	struct service *first;

	target.port = 1;
	first = upstream_fixed(fixture->upstream, &target);
	for (unsigned i = 1; i < SERVICE_NAMES_MAX; i++) {
		target.port = (uint16_t)(i + 1);
		assert_non_null(upstream_fixed(fixture->upstream, &target));
	}
	target.port = 60000;
	assert_null(upstream_fixed(fixture->upstream, &target));
	target.port = 1;
	assert_ptr_equal(upstream_fixed(fixture->upstream, &target), first);
	assert_string_equal(service_name(first), "x");
}

static void test_service_at(void **state)
{
	struct fixture *fixture = *state;
	uint16_t ports[2] = {1001, 1002};
	struct address address;
	struct slice name;

	give_set(fixture, "orders", ports, 2, INSTANCE_HTTP1);
	assert_true(address_parse(SLICE("127.0.0.1:1002"), false, &address));
	name = upstream_service_at(fixture->upstream, &address);
	assert_true(slice_equal(name, SLICE("orders")));
	address_set_port(&address, 1003);
	assert_int_equal(upstream_service_at(fixture->upstream, &address).size, 0);
}

static void test_limits_are_split(void **state)
{
	struct fixture *fixture = *state;
	struct service *service;

	fixture->upstream->options.workers = 4;
	fixture->policy.active_max = 10;
	fixture->policy.queued_max = 2;
	fixture->policy.connections_max = 0; /* the default */
	fixture->policy.connect_timeout_ms = -1;
	service = service_of(fixture, "orders");
	service_apply_policy(service, &fixture->policy);
	assert_int_equal(service->limits.active, 2);
	assert_int_equal(service->limits.queued, 1);
	assert_int_equal(service->limits.connections, 256);
	assert_int_equal(service->limits.connect_timeout_ms, 1000);
}

static void test_idempotent_methods(void **state)
{
	static char *methods[] = {"/a.A/Get", "/a.A/List", "/b.B/Get"};
	struct fixture *fixture = *state;
	struct service *service = service_of(fixture, "orders");
	struct instance_set *set = instance_set_create("orders", 0);

	assert_false(service_is_idempotent(service, SLICE("/a.A/Get")));
	set->idempotent_methods = methods;
	set->idempotent_count = ARRAY_SIZE(methods);
	upstream_update(fixture->upstream, set);
	instance_set_unref(set);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		assert_true(service_is_idempotent(service, slice_from_string(methods[i])));
	}
	assert_false(service_is_idempotent(service, SLICE("/a.A/Put")));
	assert_false(service_is_idempotent(service, SLICE("")));
	assert_false(service_is_idempotent(service, SLICE("/b.B/Gets")));
}

/* The same instance twice in a set counts once; configured ones are told apart by address. */
static void test_identities(void **state)
{
	struct fixture *fixture = *state;
	struct service *service = service_of(fixture, "orders");
	uint16_t ports[3] = {1001, 1002, 1002};
	struct instance_set *set = make_set("orders", ports, 3, INSTANCE_HTTP1);
	uint32_t counts[TIER_COUNT];

	memset(set->instances[0].id, 0, 16);
	memset(set->instances[1].id, 0, 16);
	memset(set->instances[2].id, 0, 16);
	upstream_update(fixture->upstream, set);
	instance_set_unref(set);
	service_tier_counts(service, counts);
	assert_int_equal(counts[TIER_UP], 2);
	assert_int_equal(service->ring.points, 2);
	assert_ptr_equal(service_set(service), service->set);
}

/* MS-06: the order of the ring depends on the cluster's key, and on names that outlive restarts. */
static void test_hash_key(void **state)
{
	struct fixture *fixture = *state;
	struct service *service = service_of(fixture, "orders");
	const uint8_t key[16] = {9, 9};
	uint16_t ports[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint16_t before[8], after[8];
	struct instance_set *set;

	give_set(fixture, "orders", ports, 8, INSTANCE_HTTP1);
	memcpy(before, service->ring.owner, sizeof(before));
	set = make_set("orders", ports, 8, INSTANCE_HTTP1);
	for (int i = 0; i < 8; i++) {
		set->instances[i].id[7] = 1; /* all restarted */
	}
	upstream_update(fixture->upstream, set);
	instance_set_unref(set);
	assert_memory_equal(before, service->ring.owner, sizeof(before));
	upstream_set_hash_key(fixture->upstream, key);
	memcpy(after, service->ring.owner, sizeof(after));
	assert_memory_not_equal(before, after, sizeof(before));
	upstream_set_hash_key(fixture->upstream, key);
	assert_memory_equal(after, service->ring.owner, sizeof(after));
}

static void count_service(void *context, const struct service *service)
{
	assert_non_null(service_name(service));
	++*(unsigned *)context;
}

static void test_for_each(void **state)
{
	struct fixture *fixture = *state;
	struct fixed_target target = {.name = "x", .host = "x", .protocol = INSTANCE_HTTP1};
	unsigned count = 0;

	service_of(fixture, "a");
	service_of(fixture, "b");
	target.port = 1;
	upstream_fixed(fixture->upstream, &target);
	upstream_for_each(fixture->upstream, count_service, &count);
	assert_int_equal(count, 3);
	assert_string_equal(tier_word(TIER_UNREACHABLE), "unreachable");
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_bound_of_names),
		ROW(test_fixed_targets_are_bounded),
		ROW(test_service_at),
		ROW(test_limits_are_split),
		ROW(test_idempotent_methods),
		ROW(test_identities),
		ROW(test_hash_key),
		ROW(test_for_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
