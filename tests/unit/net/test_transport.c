#include "net/transport.h"

#include <errno.h>

#include "test_net.h"

static int results[] = {-EINPROGRESS, -EINPROGRESS, -ECONNREFUSED};
static int asked;

static int finish(struct transport *transport)
{
	assert_true(transport->connecting);
	return results[asked++];
}

static void count_want(struct transport *transport, int mask)
{
	(void)transport;
	(void)mask;
	asked++;
}

static void test_connect_ends_once(void **state)
{
	static const struct transport_ops ops = {.name = "test", .finish_connect = finish};
	struct transport transport = {.ops = &ops, .connecting = true};

	(void)state;
	asked = 0;
	assert_int_equal(transport_finish_connect(&transport), -EINPROGRESS);
	assert_int_equal(transport_finish_connect(&transport), -EINPROGRESS);
	assert_int_equal(transport_finish_connect(&transport), -ECONNREFUSED);
	assert_false(transport.connecting);
	assert_int_equal(transport_finish_connect(&transport), 0);
	assert_int_equal(asked, 3);
}

static void test_missing_slots_have_defaults(void **state)
{
	static const struct transport_ops ops = {.name = "test", .want = count_want};
	struct transport transport = {.ops = &ops, .connecting = true};

	(void)state;
	assert_int_equal(transport_peek(&transport), 0);
	assert_int_equal(transport_fd(&transport), -1);
	assert_int_equal(transport_finish_connect(&transport), 0);
	/* Wishing the same twice costs nothing. */
	asked = 0;
	transport_want(&transport, TRANSPORT_READ);
	transport_want(&transport, TRANSPORT_READ);
	transport_want(&transport, 0);
	assert_int_equal(asked, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_ends_once),
		cmocka_unit_test(test_missing_slots_have_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
