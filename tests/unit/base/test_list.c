#include "base/list.h"

#include "test_main.h"

struct item {
	struct list_node node;
	int value;
};

static int sum_in_order(struct list_node *head)
{
	int sum = 0;

	LIST_FOR_EACH(node, head) {
		sum = sum * 10 + LIST_ENTRY(node, struct item, node)->value;
	}
	return sum;
}

static void test_order_and_unlinking(void **state)
{
	struct list_node head;
	struct item items[4];

	(void)state;
	list_init(&head);
	assert_true(list_empty(&head));
	assert_null(list_pop_front(&head));
	for (int i = 0; i < 4; i++) {
		items[i].value = i + 1;
		list_init(&items[i].node);
		assert_false(list_linked(&items[i].node));
	}
	list_push_back(&head, &items[1].node);
	list_push_back(&head, &items[2].node);
	list_push_front(&head, &items[0].node);
	list_insert_after(&items[2].node, &items[3].node);
	assert_int_equal(sum_in_order(&head), 1234);
	list_unlink(&items[1].node);
	list_unlink(&items[1].node);
	assert_int_equal(sum_in_order(&head), 134);
	LIST_FOR_EACH_SAFE(node, &head) {
		list_unlink(node);
	}
	assert_true(list_empty(&head));
}

static void test_move_all(void **state)
{
	struct list_node a;
	struct list_node b;
	struct item items[4];

	(void)state;
	list_init(&a);
	list_init(&b);
	list_move_all(&a, &b);
	assert_true(list_empty(&a));
	for (int i = 0; i < 4; i++) {
		items[i].value = i + 1;
		list_push_back(i < 2 ? &a : &b, &items[i].node);
	}
	list_move_all(&a, &b);
	assert_int_equal(sum_in_order(&a), 1234);
	assert_true(list_empty(&b));
	list_move_all(&b, &a);
	assert_int_equal(sum_in_order(&b), 1234);
	assert_ptr_equal(list_pop_front(&b), &items[0].node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_unlinking),
		cmocka_unit_test(test_move_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
