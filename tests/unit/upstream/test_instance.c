/* Counted, immutable sets that own their memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "upstream/instance.h"

static void test_set_owns_its_memory(void **state)
{
	struct instance_set *set = instance_set_create("orders", 3);
	char host[] = "10.0.0.1";
	char *text;

	(void)state;
	assert_int_equal(set->count, 3);
	assert_string_equal(set->service, "orders");
	assert_false(set->known);
	assert_int_equal(set->instances[2].weight, 0);
	text = instance_set_string(set, host);
	host[0] = 'x';
	assert_string_equal(text, "10.0.0.1");
	assert_null(instance_set_string(set, NULL));
	set->instances[1].metadata = instance_set_memory(set, 4 * sizeof(struct metadata_pair));
	assert_null(set->instances[1].metadata[3].key);
	assert_ptr_equal(instance_set_ref(set), set);
	instance_set_unref(set);
	assert_string_equal(text, "10.0.0.1");
	instance_set_unref(set);
	instance_set_unref(NULL);
}

static void *ref_and_unref(void *argument)
{
	for (int i = 0; i < 20000; i++) {
		instance_set_ref(argument);
		instance_set_unref(argument);
	}
	instance_set_unref(argument);
	return NULL;
}

static void test_any_thread_may_count(void **state)
{
	struct instance_set *set = instance_set_create("orders", 0);
	pthread_t thread;

	(void)state;
	instance_set_ref(set);
	assert_int_equal(pthread_create(&thread, NULL, ref_and_unref, set), 0);
	ref_and_unref(set);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_id_format(void **state)
{
	const uint8_t id[INSTANCE_ID_SIZE] = {0, 1, 0xab, 0xff};
	char text[33];

	(void)state;
	instance_id_format(id, text);
	assert_string_equal(text, "0001abff000000000000000000000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_owns_its_memory),
		cmocka_unit_test(test_any_thread_may_count),
		cmocka_unit_test(test_id_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
