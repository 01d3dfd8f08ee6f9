/* cursor: against a plain array, and its record cut and bent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/rng.h"
#include "broker/cursor.h"

#define SPAN 3000

static void compare(const struct cursor *cursor, const bool *done)
{
	uint64_t floor = 0;

	while (floor + 1 < SPAN && done[floor + 1]) {
		floor++;
	}
	assert_int_equal(cursor->floor, floor);
	for (uint64_t seq = 1; seq < SPAN; seq++) {
		assert_int_equal(cursor_done(cursor, seq), done[seq]);
	}
}

static void test_against_array(void **state)
{
	struct cursor cursor;
	bool done[SPAN] = {true};
	struct rng rng;
	unsigned marked = 0;

	(void)state;
	rng_seed(&rng, 11);
	cursor_init(&cursor, 0);
	for (unsigned i = 0; i < 4000; i++) {
		uint64_t span = SPAN - 1 - cursor.floor;
		uint64_t seq;

		if (span == 0) {
			break;
		}
		seq = cursor.floor + 1 + rng_below(&rng, span < 200 ? span : 200);
		if (i % 500 == 499) {
			seq = cursor.floor + (span < 50 ? span : 50);
			cursor_raise(&cursor, seq);
			for (uint64_t j = 0; j <= seq; j++) {
				done[j] = true;
			}
		} else {
			assert_int_equal(cursor_mark(&cursor, seq), !done[seq]);
			done[seq] = true;
			marked++;
		}
		if (i % 100 == 0) {
			struct buf body;
			struct cursor_image image;

			compare(&cursor, done);
			buf_init(&body);
			cursor_encode(SLICE("billing"), &cursor, NULL, 0, &body);
			assert_int_equal(cursor_decode(buf_slice(&body), &image), 0);
			compare(&image.cursor, done);
			assert_string_equal(image.group, "billing");
			cursor_image_fini(&image);
			buf_fini(&body);
		}
	}
	assert_true(marked > 1000);
	cursor_fini(&cursor);
}

static void test_window(void **state)
{
	struct cursor cursor;

	(void)state;
	cursor_init(&cursor, 10);
	assert_true(cursor_mark(&cursor, 10 + CURSOR_WINDOW));
	assert_false(cursor_mark(&cursor, 10));
	assert_int_equal(cursor.capacity, CURSOR_WINDOW);
	cursor_raise(&cursor, 10 + CURSOR_WINDOW - 1);
	assert_int_equal(cursor.floor, 10 + CURSOR_WINDOW);
	assert_int_equal(cursor.capacity, 0);
	cursor_fini(&cursor);
}

static void test_record(void **state)
{
	struct cursor_budget budgets[] = {{7, 3, 1}, {9, 65535, 2}};
	struct cursor_image image;
	struct cursor cursor;
	struct buf body;

	(void)state;
	cursor_init(&cursor, 5);
	(void)cursor_mark(&cursor, 8);
	(void)cursor_mark(&cursor, 9);
	(void)cursor_mark(&cursor, 70);
	buf_init(&body);
	cursor_encode(SLICE("g"), &cursor, budgets, 2, &body);
	assert_int_equal(cursor_decode(buf_slice(&body), &image), 0);
	assert_int_equal(image.cursor.floor, 5);
	assert_int_equal(image.cursor.above, 3);
	assert_int_equal(image.budget_count, 2);
	assert_int_equal(image.budgets[1].seq, 9);
	assert_int_equal(image.budgets[1].app, 65535);
	assert_int_equal(image.budgets[0].suspect, 1);
	assert_false(image.removed);
	cursor_image_fini(&image);
	for (size_t cut = 0; cut < body.size; cut++) {
		assert_int_equal(cursor_decode(slice_make(body.data, cut), &image), -EBADMSG);
	}
	/* Runs out of order, of no length, or beyond the window. */
	body.data[4 + 16 + 4] = 1;
	assert_int_equal(cursor_decode(buf_slice(&body), &image), -EBADMSG);
	buf_clear(&body);
	cursor_encode_removed(SLICE("g"), &body);
	assert_int_equal(cursor_decode(buf_slice(&body), &image), 0);
	assert_true(image.removed);
	cursor_image_fini(&image);
	buf_fini(&body);
	cursor_fini(&cursor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_array),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
