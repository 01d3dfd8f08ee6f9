#include "../base/test_main.h"
#include "http/body_account.h"

/* The calls of MM-05 as an alphabet; the model says what each may do. */
enum call {
	CALL_HEAD_NONE,
	CALL_HEAD_NONE_END,
	CALL_HEAD_LENGTH_0,
	CALL_HEAD_LENGTH_2,
	CALL_HEAD_LENGTH_2_END,
	CALL_HEAD_UNKNOWN,
	CALL_HEAD_CLOSE,
	CALL_DATA_0,
	CALL_DATA_1,
	CALL_DATA_3,
	CALL_TRAILERS,
	CALL_END,
	CALL_COUNT,
};

enum { ORDER_MAX = 5 };

/* Written from the rules alone: what was promised, what came, where we are. */
struct model {
	bool head, trailers, ended, failed;
	int promised; /* -1: any number */
	int received;
};

static bool model_call(struct model *model, enum call call)
{
	static const int promises[] = {0, 0, 0, 2, 2, -1, -1};
	static const int sizes[] = {0, 1, 3};
	bool good = !model->failed;
	bool end = call == CALL_HEAD_NONE_END || call == CALL_HEAD_LENGTH_2_END;

	if (call <= CALL_HEAD_CLOSE) {
		good = good && !model->head;
		model->head = true;
		model->promised = promises[call];
	} else if (call <= CALL_DATA_3) {
		model->received += sizes[call - CALL_DATA_0];
		good = good && model->head && !model->trailers && !model->ended &&
		       (model->promised < 0 || model->received <= model->promised);
	} else {
		good = good && model->head && !model->ended &&
		       (model->promised < 0 || model->received == model->promised) &&
		       (call == CALL_END || !model->trailers);
		model->trailers = model->trailers || call == CALL_TRAILERS;
		model->ended = model->ended || call == CALL_END;
	}
	if (good && end) {
		good = model->promised == 0;
		model->ended = true;
	}
	model->failed = !good;
	return good;
}

static bool real_call(struct body_account *account, enum call call)
{
	switch (call) {
	case CALL_HEAD_NONE:
	case CALL_HEAD_NONE_END:
		return body_account_head(account, BODY_NONE, 9, call == CALL_HEAD_NONE_END);
	case CALL_HEAD_LENGTH_0:
		return body_account_head(account, BODY_LENGTH, 0, false);
	case CALL_HEAD_LENGTH_2:
	case CALL_HEAD_LENGTH_2_END:
		return body_account_head(account, BODY_LENGTH, 2, call == CALL_HEAD_LENGTH_2_END);
	case CALL_HEAD_UNKNOWN:
		return body_account_head(account, BODY_UNKNOWN, 0, false);
	case CALL_HEAD_CLOSE:
		return body_account_head(account, BODY_UNTIL_CLOSE, 0, false);
	case CALL_DATA_0:
		return body_account_data(account, 0);
	case CALL_DATA_1:
		return body_account_data(account, 1);
	case CALL_DATA_3:
		return body_account_data(account, 3);
	case CALL_TRAILERS:
		return body_account_trailers(account);
	case CALL_END:
		return body_account_end(account);
	case CALL_COUNT:
		break;
	}
	return false;
}

/* All orders up to the length, depth first; both sides are values and simply copied. */
static unsigned walk(struct body_account account, struct model model, unsigned depth)
{
	unsigned orders = 1;

	assert_int_equal(body_account_clean(&account), model.ended && !model.failed);
	if (depth == ORDER_MAX) {
		return orders;
	}
	for (int i = 0; i < CALL_COUNT; i++) {
		struct body_account next = account;
		struct model expected = model;

		assert_int_equal(
			real_call(&next, (enum call)i), model_call(&expected, (enum call)i));
		orders += walk(next, expected, depth + 1);
	}
	return orders;
}

static void test_all_orders(void **state)
{
	struct body_account account;
	struct model model = {.promised = -1};

	(void)state;
	body_account_init(&account);
	/* 12^0 + .. + 12^5 */
	assert_int_equal(walk(account, model, 0), 271453);
}

/* MM-02: lengths up to 2^63 - 1, sums that cannot wrap. */
static void test_large(void **state)
{
	static const uint64_t lengths[] = {(1ULL << 31) - 1, 1ULL << 31, (1ULL << 32) - 1,
		1ULL << 32, (1ULL << 32) + 1, INT64_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct body_account account;
		struct body_account over;

		body_account_init(&account);
		assert_true(body_account_head(&account, BODY_LENGTH, lengths[i], false));
		assert_true(body_account_data(&account, lengths[i] - 1));
		assert_int_equal(body_account_rest(&account), 1);
		over = account;
		assert_false(body_account_data(&over, 2));
		over = account;
		assert_false(body_account_data(&over, UINT64_MAX));
		over = account;
		assert_false(body_account_end(&over));
		assert_true(body_account_data(&account, 1));
		assert_true(body_account_end(&account));
		assert_true(body_account_clean(&account));
	}
	for (int kind = BODY_UNKNOWN; kind <= BODY_UNTIL_CLOSE; kind++) {
		struct body_account account;

		body_account_init(&account);
		assert_true(body_account_head(&account, (enum body_kind)kind, 0, false));
		assert_true(body_account_data(&account, INT64_MAX));
		assert_int_equal(body_account_rest(&account), 0);
		assert_false(body_account_data(&account, 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_orders),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
