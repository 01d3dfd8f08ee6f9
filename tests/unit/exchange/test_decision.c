/* The retry table of mesh.md 5.2 and the stop words of MT-05. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "exchange/decision.h"

static const uint16_t listed[] = {503, 429, 418};

static struct service_policy policy_make(int retry, bool list)
{
	struct service_policy policy = {.retry_max = 3, .retry_max_wait_ms = 1000};

	if (retry == RETRY_OFF) {
		policy.retry = RETRY_OFF;
	} else if (retry == RETRY_NEVER) {
		policy.retry = RETRY_NEVER;
	}
	policy.retry_on = list ? listed : NULL;
	policy.retry_on_count = list ? 3 : 0;
	return policy;
}

static struct decision_facts facts_make(const struct service_policy *policy)
{
	return (struct decision_facts){
		.policy = policy,
		.replayable = true,
		.attempts = 1,
		.candidates = 3,
		.budget_left = true,
		.left = true,
		.time_left_ms = UINT64_MAX,
	};
}

enum { FREE = 1, COUNTS = 2, CHARGED = 4 };

/* Every class, idempotent or not: go or not, and what it costs. */
static const struct {
	enum attempt_class class;
	bool timed_out;
	uint16_t status;
	bool listed;
	bool wait;
	int idempotent;	    /* 0: stop=unsafe; else the cost */
	int not_idempotent; /* the same */
} table[] = {
	{CLASS_F0, false, 0, false, false, FREE, FREE},
	{CLASS_F1, false, 0, false, false, FREE, FREE},
	{CLASS_F2, false, 0, false, false, COUNTS, 0},
	{CLASS_F3, false, 0, false, false, COUNTS, 0},
	{CLASS_F4, false, 0, false, false, COUNTS, 0},
	{CLASS_F2, true, 0, false, false, CHARGED, 0},
	{CLASS_F3, true, 0, false, false, CHARGED, 0},
	{CLASS_F4, true, 0, false, false, CHARGED, 0},
	{CLASS_F5, false, 0, false, false, 0, 0},
	{CLASS_OK, false, 200, false, false, 0, 0},
	{CLASS_CANCELLED, false, 0, false, false, 0, 0},
	{CLASS_FS, false, 502, false, false, CHARGED, 0},
	{CLASS_FS, false, 503, false, false, CHARGED, 0},
	{CLASS_FS, false, 504, false, false, CHARGED, 0},
	{CLASS_FS, false, 503, true, false, CHARGED, CHARGED},
	{CLASS_FS, false, 502, true, false, CHARGED, 0},
	{CLASS_FS, false, 429, false, false, 0, 0},
	{CLASS_FS, false, 429, false, true, CHARGED, 0},
	{CLASS_FS, false, 429, true, true, CHARGED, CHARGED},
	{CLASS_FS, false, 429, true, false, 0, 0},
	{CLASS_FS, false, 500, false, false, 0, 0},
	{CLASS_FS, false, 500, true, false, 0, 0},
	{CLASS_FS, false, 418, true, false, CHARGED, CHARGED},
	{CLASS_FS, false, 404, false, false, 0, 0},
};

static void check_cost(const struct decision *decision, int cost)
{
	if (cost == 0) {
		assert_int_equal(decision->stop, RETRY_STOP_UNSAFE);
		return;
	}
	assert_int_equal(decision->stop, RETRY_STOP_NONE);
	assert_int_equal(decision->counts, cost != FREE);
	assert_int_equal(decision->charged, cost == CHARGED);
}

static void table_holds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct service_policy policy = policy_make(RETRY_ON, table[i].listed);
		struct decision_facts facts = facts_make(&policy);
		struct decision decision;

		facts.class = table[i].class;
		facts.timed_out = table[i].timed_out;
		facts.status = table[i].status;
		facts.has_wait = table[i].wait;
		facts.wait_ms = 1000;
		facts.idempotent = true;
		decision_make(&facts, &decision);
		check_cost(&decision, table[i].idempotent);
		facts.idempotent = false;
		decision_make(&facts, &decision);
		check_cost(&decision, table[i].not_idempotent);
	}
}

/* Every class x idempotent x budget x deadline x left: never a retry that the rules forbid. */
static void every_combination_obeys(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 1u << 9; bits++) {
		for (int class = CLASS_F0; class <= CLASS_CANCELLED; class ++) {
			struct service_policy policy = policy_make(bits & 1   ? RETRY_OFF
								   : bits & 2 ? RETRY_NEVER
									      : RETRY_ON,
				false);
			struct decision_facts facts = facts_make(&policy);
			struct decision decision;

			facts.class = (enum attempt_class) class;
			facts.status = 503;
			facts.idempotent = bits & 4;
			facts.budget_left = bits & 8;
			facts.time_left_ms = bits & 16 ? 0 : UINT64_MAX;
			facts.left = bits & 32;
			facts.committed = bits & 64;
			facts.replayable = !(bits & 128);
			facts.inherited = bits & 256;
			decision_make(&facts, &decision);
			if (decision.stop != RETRY_STOP_NONE) {
				continue;
			}
			assert_false(facts.committed);
			assert_true(facts.replayable);
			assert_true(facts.left);
			assert_true(facts.time_left_ms > 0);
			assert_int_not_equal(policy.retry, RETRY_NEVER);
			assert_true(class <= CLASS_F1 ||
				    (facts.idempotent && policy.retry == RETRY_ON));
			assert_true(!decision.charged || facts.budget_left);
			assert_true(!decision.counts || !facts.inherited);
		}
	}
}

static void stop_words(void **state)
{
	struct service_policy policy = policy_make(RETRY_ON, false);
	struct decision_facts facts = facts_make(&policy);
	struct decision decision;

	(void)state;
#define STOPS(word)                                                                                \
	do {                                                                                       \
		decision_make(&facts, &decision);                                                  \
		assert_string_equal(decision_stop_word(decision.stop), word);                      \
	} while (0)
	facts.class = CLASS_FS;
	facts.status = 503;
	facts.idempotent = true;
	facts.left = false;
	STOPS("none_left");
	facts.time_left_ms = 0;
	STOPS("deadline");
	facts.budget_left = false;
	STOPS("budget");
	facts.attempts = 3;
	STOPS("max");
	facts.inherited = true;
	STOPS("inherited");
	facts.callee_no = true;
	STOPS("callee");
	facts.idempotent = false;
	STOPS("unsafe");
	facts.replayable = false;
	STOPS("body");
	facts.committed = true;
	STOPS("committed");
#undef STOPS
	assert_null(decision_stop_word(RETRY_STOP_NONE));
}

static void free_ones_are_bounded(void **state)
{
	struct service_policy policy = policy_make(RETRY_ON, false);
	struct decision_facts facts = facts_make(&policy);
	struct decision decision;

	(void)state;
	facts.class = CLASS_F0;
	facts.attempts = 3;
	facts.free_used = 15;
	decision_make(&facts, &decision);
	assert_int_equal(decision.stop, RETRY_STOP_NONE);
	facts.free_used = 16;
	decision_make(&facts, &decision);
	assert_int_equal(decision.stop, RETRY_STOP_MAX);
	/* The second F1 is no longer free, nor is the second lost connection. */
	facts = facts_make(&policy);
	facts.class = CLASS_F1;
	facts.free_f1_used = true;
	decision_make(&facts, &decision);
	assert_true(decision.counts && decision.charged);
	facts.class = CLASS_F3;
	facts.idempotent = true;
	decision_make(&facts, &decision);
	assert_true(decision.counts && !decision.charged);
	facts.free_lost_used = true;
	decision_make(&facts, &decision);
	assert_true(decision.counts && decision.charged);
}

static void delays_grow(void **state)
{
	static const uint64_t most[] = {25, 50, 100, 200, 250, 250};
	struct service_policy policy = policy_make(RETRY_ON, false);
	struct decision_facts facts = facts_make(&policy);
	struct decision decision;

	(void)state;
	policy.retry_max = 10;
	facts.class = CLASS_FS;
	facts.status = 503;
	facts.idempotent = true;
	for (unsigned k = 0; k < 6; k++) {
		facts.attempts = k + 1;
		for (facts.random = 0; facts.random < 1000; facts.random++) {
			decision_make(&facts, &decision);
			assert_true(decision.delay_ms <= most[k]);
		}
		facts.random = most[k];
		decision_make(&facts, &decision);
		assert_int_equal(decision.delay_ms, most[k]);
	}
	facts.class = CLASS_F0;
	decision_make(&facts, &decision);
	assert_int_equal(decision.delay_ms, 0);
	/* Retry-After is a lower bound, and beyond max_wait the answer goes on. */
	facts.class = CLASS_FS;
	facts.attempts = 1;
	facts.random = 0;
	facts.has_wait = true;
	facts.wait_ms = 1000;
	decision_make(&facts, &decision);
	assert_int_equal(decision.delay_ms, 1000);
	facts.wait_ms = 1001;
	decision_make(&facts, &decision);
	assert_int_equal(decision.stop, RETRY_STOP_DEADLINE);
	/* A delay that leaves no time is none. */
	facts.wait_ms = 500;
	facts.time_left_ms = 500;
	decision_make(&facts, &decision);
	assert_int_equal(decision.stop, RETRY_STOP_DEADLINE);
	facts.time_left_ms = 501;
	decision_make(&facts, &decision);
	assert_int_equal(decision.stop, RETRY_STOP_NONE);
}

static void own_application_is_asked_once_more(void **state)
{
	static const struct {
		enum attempt_class class;
		bool stale, idempotent, fresh_used;
		enum retry_stop stop;
	} rows[] = {
		{CLASS_F0, false, false, false, RETRY_STOP_NONE},
		{CLASS_F1, false, false, false, RETRY_STOP_NONE},
		{CLASS_F3, true, true, false, RETRY_STOP_NONE},
		{CLASS_F3, true, false, false, RETRY_STOP_UNSAFE},
		{CLASS_F3, false, true, false, RETRY_STOP_UNSAFE},
		{CLASS_F0, false, false, true, RETRY_STOP_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct service_policy policy = policy_make(RETRY_ON, false);
		struct decision_facts facts = facts_make(&policy);
		struct decision decision;

		facts.app_leg = true;
		facts.left = false; /* there is only one */
		facts.class = rows[i].class;
		facts.stale_connection = rows[i].stale;
		facts.idempotent = rows[i].idempotent;
		facts.fresh_used = rows[i].fresh_used;
		decision_make(&facts, &decision);
		assert_int_equal(decision.stop, rows[i].stop);
		assert_true(decision.fresh);
	}
}

static void waits_are_read(void **state)
{
	static const struct {
		const char *text;
		bool ms, good;
		uint64_t value;
	} rows[] = {
		{"0", true, true, 0},
		{"50", true, true, 50},
		{"1", false, true, 1000},
		{" 2 ", false, true, 2000},
		{"1000000000", true, true, 86400000},
		{"1000000000", false, true, 86400000},
		{"-1", true, false, 0},
		{"x", true, false, 0},
		{"", true, false, 0},
		{"1.5", false, false, 0},
		{"Wed, 21 Oct 2015 07:28:00 GMT", false, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t ms = 0;

		assert_int_equal(
			decision_parse_wait(slice_from_string(rows[i].text), rows[i].ms, &ms),
			rows[i].good);
		assert_int_equal(ms, rows[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_holds),
		cmocka_unit_test(every_combination_obeys),
		cmocka_unit_test(stop_words),
		cmocka_unit_test(free_ones_are_bounded),
		cmocka_unit_test(delays_grow),
		cmocka_unit_test(own_application_is_asked_once_more),
		cmocka_unit_test(waits_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
