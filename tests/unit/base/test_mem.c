#include "base/mem.h"

#include "test_main.h"

/* The sanitizers' allocators report such sizes in their own way. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__clang__) && defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static void ask_for_too_much(void)
{
	/* Beyond any address space; volatile keeps the compiler from judging the size. */
	volatile size_t size = SIZE_MAX / 2;

	mem_free(mem_alloc(size));
}

static void test_allocations(void **state)
{
	char *a = mem_alloc(0);
	char *b = mem_alloc(0);
	uint8_t *zeroed = mem_zalloc(100);
	char *text = mem_strdup("pillion");
	char *copy = mem_copy("abc", 3);

	(void)state;
	assert_non_null(a);
	assert_ptr_not_equal(a, b);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(zeroed[i], 0);
	}
	assert_string_equal(text, "pillion");
	assert_memory_equal(copy, "abc", 3);
	copy = mem_realloc(copy, 1000);
	assert_memory_equal(copy, "abc", 3);
	assert_null(mem_strdup(NULL));
	mem_free(a);
	mem_free(b);
	mem_free(zeroed);
	mem_free(text);
	mem_free(copy);
	mem_free(mem_copy(NULL, 0));
	mem_free(NULL);
}

static void test_exhaustion_stops_the_process(void **state)
{
	(void)state;
	if (SANITIZED) {
		skip();
	}
	assert_true(test_aborts(ask_for_too_much));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allocations),
		cmocka_unit_test(test_exhaustion_stops_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
