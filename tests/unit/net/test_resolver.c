#include "net/resolver.h"

#include <errno.h>

#include "test_net.h"

#define MANY 5000

struct asked {
	int answers;
	struct resolver_answer answer;
};

static struct loop *loop;
static struct resolver *resolver;

static int setup(void **state)
{
	(void)state;
	loop = test_loop();
	return resolver_create(&resolver);
}

static int teardown(void **state)
{
	(void)state;
	resolver_destroy(resolver);
	loop_destroy(loop);
	return 0;
}

static void on_answer(void *owner, const struct resolver_answer *answer)
{
	struct asked *asked = owner;

	asked->answers++;
	asked->answer = *answer;
}

static void ask(const char *host, uint16_t port, struct asked *asked)
{
	*asked = (struct asked){0};
	resolver_ask(resolver, loop, host, port, on_answer, asked);
	/* Never from inside the call. */
	assert_int_equal(asked->answers, 0);
}

static void test_literals(void **state)
{
	static const struct {
		const char *host;
		const char *address;
	} rows[] = {{"10.0.0.7", "10.0.0.7:7440"}, {"::1", "[::1]:7440"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[ADDRESS_TEXT_MAX];
		struct asked asked;

		ask(rows[i].host, 7440, &asked);
		TURN_UNTIL(loop, asked.answers == 1);
		assert_int_equal(asked.answer.status, 0);
		assert_int_equal(asked.answer.count, 1);
		assert_string_equal(
			address_format(&asked.answer.addresses[0], text), rows[i].address);
	}
}

static void test_localhost(void **state)
{
	struct asked a;
	struct asked b;

	(void)state;
	/* The second joins the first, with a port of its own. */
	ask("localhost", 80, &a);
	ask("localhost", 81, &b);
	TURN_UNTIL(loop, a.answers == 1 && b.answers == 1);
	assert_int_equal(a.answer.status, 0);
	assert_in_range(a.answer.count, 1, RESOLVER_ADDRESSES_MAX);
	for (int i = 0; i < a.answer.count; i++) {
		assert_true(address_is_loopback(&a.answer.addresses[i]));
		assert_int_equal(address_port(&a.answer.addresses[i]), 80);
		assert_int_equal(address_port(&b.answer.addresses[i]), 81);
	}
}

static void test_names_that_cannot_be(void **state)
{
	char longest[300];
	struct asked asked;

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ask(longest, 80, &asked);
	TURN_UNTIL(loop, asked.answers == 1);
	assert_int_equal(asked.answer.status, -ENOENT);
	ask("", 80, &asked);
	TURN_UNTIL(loop, asked.answers == 1);
	assert_int_equal(asked.answer.status, -ENOENT);
	/* RFC 6761: never resolves; without any network it may be "try later". */
	ask("nowhere.invalid", 80, &asked);
	TURN_UNTIL(loop, asked.answers == 1);
	assert_true(asked.answer.status == -ENOENT || asked.answer.status == -EAGAIN);
	assert_int_equal(asked.answer.count, 0);
}

static void test_the_queue_is_bounded(void **state)
{
	static struct asked asked[MANY];
	char host[32];
	int full = 0;
	int answers = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		/* Digits and dots: no resolver needs the network to refuse them. */
		snprintf(host, sizeof(host), "300.300.%d.1", i);
		ask(host, 80, &asked[i]);
	}
	while (answers < MANY) {
		loop_turn(loop, 50);
		answers = 0;
		full = 0;
		for (int i = 0; i < MANY; i++) {
			answers += asked[i].answers;
			full += asked[i].answers == 1 && asked[i].answer.status == -ENOBUFS;
		}
	}
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(asked[i].answers, 1);
		assert_true(asked[i].answer.status != 0);
	}
	print_message("%d of %d found the queue full\n", full, MANY);
	assert_true(full > 0);
}

static void test_destroying_forgets_questions(void **state)
{
	static struct asked asked[200];
	char host[32];

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(host, sizeof(host), "301.300.%d.1", i);
		ask(host, 80, &asked[i]);
	}
	resolver_destroy(resolver);
	resolver = NULL;
	resolver_destroy(NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_literals),
		TEST(test_localhost),
		TEST(test_names_that_cannot_be),
		TEST(test_the_queue_is_bounded),
		TEST(test_destroying_forgets_questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
