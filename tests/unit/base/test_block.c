#include "base/block.h"

#include "test_main.h"

static void leave_a_block(void)
{
	struct block_pool pool;

	block_pool_init(&pool, 4);
	block_create(&pool);
	block_pool_fini(&pool);
}

static void drop_too_often(void)
{
	struct block_pool pool;
	struct block *block;

	block_pool_init(&pool, 4);
	block = block_create(&pool);
	block_unref(block);
	block_unref(block);
}

static void test_blocks_come_home(void **state)
{
	struct block_pool pool;
	struct block *blocks[6];

	(void)state;
	block_pool_init(&pool, 4);
	for (int i = 0; i < 6; i++) {
		blocks[i] = block_create(&pool);
		assert_int_equal(blocks[i]->refs, 1);
		assert_int_equal(blocks[i]->used, 0);
		assert_int_equal(block_room(blocks[i]), BLOCK_SIZE);
		/* The slack may be read, in its whole length. */
		memset(blocks[i]->data, 0xee, BLOCK_SIZE);
		for (int j = 0; j < BLOCK_SLACK; j++) {
			assert_int_equal(blocks[i]->data[BLOCK_SIZE + j], 0);
		}
	}
	assert_int_equal(pool.live, 6);
	assert_int_equal(pool.live_bytes, 6 * BLOCK_SIZE);
	for (int i = 0; i < 6; i++) {
		assert_ptr_equal(block_ref(blocks[i]), blocks[i]);
		block_unref(blocks[i]);
		assert_int_equal(pool.live, (size_t)(6 - i));
		block_unref(blocks[i]);
	}
	/* free_max bounds what is kept. */
	assert_int_equal(pool.free_count, 4);
	blocks[0] = block_create(&pool);
	assert_ptr_equal(blocks[0], blocks[3]);
	assert_int_equal(blocks[0]->used, 0);
	assert_int_equal(pool.free_count, 3);
	block_unref(blocks[0]);
	block_pool_fini(&pool);
}

static void test_sized_blocks_are_not_kept(void **state)
{
	struct block_pool pool;
	struct block *large;
	struct block *small;

	(void)state;
	block_pool_init(&pool, 4);
	large = block_create_sized(&pool, 100000);
	small = block_create_sized(&pool, 10);
	assert_true(large->capacity >= 100000);
	assert_int_equal(pool.live, 2);
	memset(large->data, 1, 100000 + 0);
	assert_int_equal(small->data[10 + BLOCK_SLACK - 1], 0);
	block_unref(large);
	block_unref(small);
	assert_int_equal(pool.free_count, 0);
	block_pool_fini(&pool);
}

static void test_invariant_b_is_asserted(void **state)
{
	(void)state;
	assert_true(test_aborts(leave_a_block));
	assert_true(test_aborts(drop_too_often));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_come_home),
		cmocka_unit_test(test_sized_blocks_are_not_kept),
		cmocka_unit_test(test_invariant_b_is_asserted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
