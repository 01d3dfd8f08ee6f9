#include "net/resolver.h"

#include <errno.h>
#include <stdatomic.h>

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
}

static atomic_bool held; /* the stand-in for DNS does not answer */
static atomic_int looked_up;

static void look_up(const char *host, struct resolver_answer *ret_answer)
{
	*ret_answer = (struct resolver_answer){0};
	looked_up++;
	while (held) {
		usleep(1000);
	}
	if (strcmp(host, "missing") == 0) {
		ret_answer->status = -ENOENT;
		return;
	}
	ret_answer->count = 1;
	assert_true(address_parse(SLICE("10.0.0.9:0"), true, &ret_answer->addresses[0]));
}

static int setup_stand_in(void **state)
{
	(void)state;
	loop = test_loop();
	held = true;
	looked_up = 0;
	return resolver_create_with(look_up, &resolver);
}

static void test_equal_questions_are_asked_once(void **state)
{
	static struct asked asked[100];
	int answers = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		ask(i % 2 ? "missing" : "orders", (uint16_t)(100 + i), &asked[i]);
		if (i == 10) {
			/* The first is on its way by now; later ones join it all the same. */
			TURN_UNTIL(loop, looked_up == 1);
		}
	}
	held = false;
	while (answers < 100) {
		loop_turn(loop, 50);
		answers = 0;
		for (int i = 0; i < 100; i++) {
			answers += asked[i].answers;
		}
	}
	assert_int_equal(looked_up, 2);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(asked[i].answers, 1);
		assert_int_equal(asked[i].answer.status, i % 2 ? -ENOENT : 0);
		if (i % 2 == 0) {
			assert_int_equal(address_port(&asked[i].answer.addresses[0]), 100 + i);
		}
	}
}

static int count_full(struct asked *asked, int count)
{
	int full = 0;

	for (int i = 0; i < count; i++) {
		assert_true(asked[i].answers <= 1);
		full += asked[i].answers == 1 && asked[i].answer.status == -ENOBUFS;
	}
	return full;
}

static void test_the_queue_is_bounded(void **state)
{
	static struct asked asked[MANY];
	char host[32];
	int answers = 0;

	(void)state;
	/* 256 names may wait; then no further name, but those that are asked can be joined. */
	for (int i = 0; i < 300; i++) {
		snprintf(host, sizeof(host), "name-%d", i);
		ask(host, 80, &asked[i]);
	}
	TURN_UNTIL(loop, count_full(asked, 300) == 44);
	for (int i = 300; i < MANY; i++) {
		ask("name-7", 80, &asked[i]);
	}
	/* 4,096 askers in all. */
	TURN_UNTIL(loop, count_full(asked, MANY) == 44 + MANY - 300 - (4096 - 256));
	held = false;
	while (answers < MANY) {
		loop_turn(loop, 50);
		answers = 0;
		for (int i = 0; i < MANY; i++) {
			answers += asked[i].answers;
		}
	}
}

static void test_destroying_forgets_questions(void **state)
{
	static struct asked asked[200];
	char host[32];

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(host, sizeof(host), "name-%d", i);
		ask(host, 80, &asked[i]);
	}
	held = false;
	resolver_destroy(resolver);
	resolver = NULL;
	resolver_destroy(NULL);
}

static void test_destroying_does_not_wait_for_dns(void **state)
{
	static struct asked asked;
	uint64_t begin = clock_monotonic_ms();

	(void)state;
	ask("orders", 80, &asked);
	TURN_UNTIL(loop, looked_up == 1);
	resolver_destroy(resolver);
	resolver = NULL;
	assert_true(clock_monotonic_ms() - begin < TEST_WAIT_MS);
	loop_turn(loop, 0);
	assert_int_equal(asked.answers, 0);
	/* The thread that was left alone frees what it has. */
	held = false;
	usleep(200000);
}

#define TEST(function)	   cmocka_unit_test_setup_teardown(function, setup, teardown)
#define STAND_IN(function) cmocka_unit_test_setup_teardown(function, setup_stand_in, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_literals),
		TEST(test_localhost),
		TEST(test_names_that_cannot_be),
		STAND_IN(test_equal_questions_are_asked_once),
		STAND_IN(test_the_queue_is_bounded),
		STAND_IN(test_destroying_forgets_questions),
		STAND_IN(test_destroying_does_not_wait_for_dns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
