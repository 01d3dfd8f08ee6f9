#include "base/chain.h"

#include "base/assert.h"
#include "base/rng.h"
#include "test_main.h"

#define CHAINS	  4
#define MODEL_MAX 200000
#define STEPS	  20000

/* The simplest chain there is: all bytes in one array. */
struct model {
	size_t size;
	uint8_t bytes[MODEL_MAX];
};

static struct model models[CHAINS];
static struct chain chains[CHAINS];
static struct block_pool pool;
static struct rng rng;
static uint8_t scratch[MODEL_MAX];

static void model_append(struct model *model, const uint8_t *bytes, size_t size)
{
	assert_true(model->size + size <= MODEL_MAX);
	memcpy(model->bytes + model->size, bytes, size);
	model->size += size;
}

static void model_drop(struct model *model, size_t size)
{
	memmove(model->bytes, model->bytes + size, model->size - size);
	model->size -= size;
}

static void check(const struct chain *chain, const struct model *model)
{
	size_t size = 0;

	assert_int_equal(chain->size, model->size);
	for (uint32_t i = 0; i < chain->count; i++) {
		struct slice span = chain_span(chain, i);

		assert_true(span.size > 0);
		assert_true(size + span.size <= model->size);
		assert_memory_equal(span.data, model->bytes + size, span.size);
		size += span.size;
	}
	assert_int_equal(size, model->size);
}

static size_t some_size(void)
{
	static const size_t bounds[] = {3, 40, 3000, 20000, 70000};

	return (size_t)rng_below(&rng, bounds[rng_below(&rng, ARRAY_SIZE(bounds))]);
}

static void fill_scratch(size_t size)
{
	for (size_t i = 0; i < size; i++) {
		scratch[i] = (uint8_t)rng_next(&rng);
	}
}

/* Bytes that were read into a block of the reader's own, which it keeps or gives away. */
static void append_block(struct chain *chain, struct model *model)
{
	struct block *block = block_create(&pool);
	size_t size = 1 + (size_t)rng_below(&rng, BLOCK_SIZE);
	size_t cut = (size_t)rng_below(&rng, size + 1);

	fill_scratch(size);
	memcpy(block->data, scratch, size);
	block->used = (uint32_t)size;
	chain_append_block(chain, block, block->data, cut);
	chain_append_block(chain, block, block->data + cut, size - cut);
	model_append(model, scratch, size);
	block_unref(block);
}

static void append_copy(struct chain *chain, struct model *model)
{
	size_t size = some_size();

	fill_scratch(size);
	chain_append_copy(chain, &pool, scratch, size);
	model_append(model, scratch, size);
}

static void move(size_t a, size_t b)
{
	size_t size = some_size();
	size_t part = size < models[b].size ? size : models[b].size;

	if (rng_below(&rng, 3) == 0) {
		part = models[b].size;
		chain_move(&chains[a], &chains[b]);
	} else {
		chain_move_bytes(&chains[a], &chains[b], size);
	}
	model_append(&models[a], models[b].bytes, part);
	model_drop(&models[b], part);
}

static void share(size_t a, size_t b)
{
	size_t offset = (size_t)rng_below(&rng, models[b].size + 1);
	size_t size = (size_t)rng_below(&rng, models[b].size - offset + 1);

	chain_share(&chains[a], &chains[b], offset, size);
	model_append(&models[a], models[b].bytes + offset, size);
}

static void look(const struct chain *chain, const struct model *model)
{
	struct iovec vectors[8];
	size_t offset = (size_t)rng_below(&rng, model->size + 1);
	size_t size = (size_t)rng_below(&rng, model->size - offset + 1);
	int count = chain_iovec(chain, vectors, 8);
	size_t place = 0;

	assert_int_equal(count, chain->count < 8 ? chain->count : 8);
	for (int i = 0; i < count; i++) {
		assert_memory_equal(vectors[i].iov_base, model->bytes + place, vectors[i].iov_len);
		place += vectors[i].iov_len;
	}
	chain_copy_out(chain, offset, scratch, size);
	assert_memory_equal(scratch, model->bytes + offset, size);
}

static void step(void)
{
	size_t a = (size_t)rng_below(&rng, CHAINS);
	size_t b = (a + 1 + (size_t)rng_below(&rng, CHAINS - 1)) % CHAINS;
	size_t size = some_size();

	switch (rng_below(&rng, 9)) {
	case 0:
		append_block(&chains[a], &models[a]);
		break;
	case 1:
	case 2:
		append_copy(&chains[a], &models[a]);
		break;
	case 3:
		move(a, b);
		break;
	case 4:
		share(a, b);
		break;
	case 5:
		size = size < models[a].size ? size : models[a].size;
		chain_drop(&chains[a], size);
		model_drop(&models[a], size);
		break;
	case 6:
		look(&chains[a], &models[a]);
		break;
	case 7:
		chain_compact(&chains[a], &pool);
		break;
	default:
		if (rng_below(&rng, 4) == 0) {
			struct slice all = chain_gather(&chains[a], &pool);

			assert_int_equal(all.size, models[a].size);
			assert_true(chains[a].count <= 1);
		}
	}
	check(&chains[a], &models[a]);
	check(&chains[b], &models[b]);
	/* The model's array is the bound of the test, not of the chain. */
	for (size_t i = 0; i < CHAINS; i++) {
		if (models[i].size > MODEL_MAX / 4) {
			chain_clear(&chains[i]);
			models[i].size = 0;
		}
	}
}

static void test_random_operations_against_a_model(void **state)
{
	uint64_t seed;
	const char *given = getenv("TEST_SEED");

	(void)state;
	rng_system_bytes(&seed, sizeof(seed));
	seed = given != NULL ? strtoull(given, NULL, 10) : seed;
	print_message("seed %llu (TEST_SEED repeats it)\n", (unsigned long long)seed);
	rng_seed(&rng, seed);
	block_pool_init(&pool, 8);
	for (size_t i = 0; i < CHAINS; i++) {
		chain_init(&chains[i]);
		models[i].size = 0;
	}
	for (int i = 0; i < STEPS; i++) {
		step();
	}
	for (size_t i = 0; i < CHAINS; i++) {
		chain_fini(&chains[i]);
	}
	block_pool_fini(&pool);
}

static void test_moving_moves_no_bytes(void **state)
{
	struct chain a;
	struct chain b;
	const uint8_t *first;

	(void)state;
	block_pool_init(&pool, 8);
	chain_init(&a);
	chain_init(&b);
	chain_append_copy(&a, &pool, "hello, world", 12);
	first = chain_span(&a, 0).data;
	chain_move_bytes(&b, &a, 5);
	assert_ptr_equal(chain_span(&b, 0).data, first);
	assert_ptr_equal(chain_span(&a, 0).data, first + 5);
	chain_move(&b, &a);
	/* Adjacent again: one span. */
	assert_int_equal(b.count, 1);
	assert_int_equal(pool.live, 1);
	assert_ptr_equal(chain_gather(&b, &pool).data, first);
	chain_fini(&a);
	chain_fini(&b);
	block_pool_fini(&pool);
}

static void test_foreign_blocks_are_not_written_to(void **state)
{
	struct chain chain;
	struct block *block;

	(void)state;
	block_pool_init(&pool, 8);
	chain_init(&chain);
	block = block_create(&pool);
	memcpy(block->data, "body", 4);
	block->used = 4;
	chain_append_block(&chain, block, block->data, 4);
	/* The reader still holds the block and will go on reading behind `used`. */
	chain_append_copy(&chain, &pool, "\r\n", 2);
	assert_int_equal(block->used, 4);
	assert_int_equal(pool.live, 2);
	block_unref(block);
	chain_clear(&chain);
	block_pool_fini(&pool);
	chain_fini(&chain);
}

static void test_small_copies_share_a_block(void **state)
{
	struct chain chain;

	(void)state;
	block_pool_init(&pool, 8);
	chain_init(&chain);
	/* As HTTP/1 chunks leave: size line, body, line end. */
	for (int i = 0; i < 3; i++) {
		struct block *block = block_create(&pool);

		block->used = BLOCK_SIZE;
		memset(block->data, 'x', BLOCK_SIZE);
		chain_append_copy(&chain, &pool, "4000\r\n", 6);
		chain_append_block(&chain, block, block->data, BLOCK_SIZE);
		chain_append_copy(&chain, &pool, "\r\n", 2);
		block_unref(block);
	}
	assert_true(pool.live <= 5);
	assert_int_equal(chain.size, 3 * (BLOCK_SIZE + 8));
	chain_fini(&chain);
	block_pool_fini(&pool);
}

static void test_compact_frees_what_is_pinned(void **state)
{
	struct chain chain;

	(void)state;
	block_pool_init(&pool, 0);
	chain_init(&chain);
	for (int i = 0; i < 10; i++) {
		struct block *block = block_create(&pool);

		block->used = BLOCK_SIZE;
		memset(block->data, 'a' + i, 100);
		chain_append_block(&chain, block, block->data, 100);
		block_unref(block);
	}
	assert_int_equal(pool.live_bytes, 10 * BLOCK_SIZE);
	chain_compact(&chain, &pool);
	assert_int_equal(chain.size, 1000);
	assert_true(pool.live_bytes <= 2000);
	assert_int_equal(chain_span(&chain, 0).data[950], 'j');
	/* Nothing to win: nothing is copied. */
	{
		const uint8_t *before = chain_span(&chain, 0).data;

		chain_compact(&chain, &pool);
		assert_ptr_equal(chain_span(&chain, 0).data, before);
	}
	chain_fini(&chain);
	block_pool_fini(&pool);
}

static void test_gather_of_a_trickle_is_linear(void **state)
{
	struct chain chain;
	const uint8_t *before = NULL;
	int moves = 0;

	(void)state;
	block_pool_init(&pool, 8);
	chain_init(&chain);
	/* A head that comes in 100 pieces, each in a block that somebody else holds too. */
	for (int i = 0; i < 100; i++) {
		struct block *block = block_create(&pool);

		block->used = 400;
		memset(block->data, i, 400);
		chain_append_block(&chain, block, block->data, 400);
		if (chain_gather(&chain, &pool).data != before) {
			moves++;
			before = chain_span(&chain, 0).data;
		}
		block_unref(block);
	}
	assert_int_equal(chain.size, 40000);
	for (size_t i = 0; i < 40000; i++) {
		assert_int_equal(before[i], i / 400);
	}
	assert_true(moves <= 5);
	chain_fini(&chain);
	block_pool_fini(&pool);
}

static void test_empty_chains(void **state)
{
	struct chain a;
	struct chain b;
	struct iovec vector;

	(void)state;
	block_pool_init(&pool, 8);
	chain_init(&a);
	chain_init(&b);
	chain_move(&a, &b);
	chain_move_bytes(&a, &b, 10);
	chain_share(&a, &b, 0, 0);
	chain_drop(&a, 0);
	chain_compact(&a, &pool);
	chain_append_copy(&a, &pool, NULL, 0);
	assert_int_equal(chain_gather(&a, &pool).size, 0);
	assert_int_equal(chain_iovec(&a, &vector, 1), 0);
	assert_int_equal(pool.live, 0);
	chain_fini(&a);
	chain_fini(&b);
	block_pool_fini(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_against_a_model),
		cmocka_unit_test(test_moving_moves_no_bytes),
		cmocka_unit_test(test_foreign_blocks_are_not_written_to),
		cmocka_unit_test(test_small_copies_share_a_block),
		cmocka_unit_test(test_compact_frees_what_is_pinned),
		cmocka_unit_test(test_gather_of_a_trickle_is_linear),
		cmocka_unit_test(test_empty_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
