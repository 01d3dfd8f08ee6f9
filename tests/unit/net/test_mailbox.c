#include "net/mailbox.h"

#include <poll.h>
#include <pthread.h>

#include "base/mem.h"
#include "test_net.h"

#define PRODUCERS 2
#define MAILS	  100000

struct letter {
	struct mail mail;
	int producer;
	int number;
};

static int expected[PRODUCERS];
static int delivered;
static _Atomic int discarded;

static void deliver(struct mail *mail)
{
	struct letter *letter = (struct letter *)(void *)mail;

	assert_int_equal(letter->number, expected[letter->producer]);
	expected[letter->producer]++;
	delivered++;
	mem_free(letter);
}

static void discard(struct mail *mail)
{
	discarded++;
	mem_free(mail);
}

static bool post(struct mailbox *mailbox, int producer, int number)
{
	struct letter *letter = mem_zalloc(sizeof(*letter));

	letter->mail.deliver = deliver;
	letter->mail.discard = discard;
	letter->producer = producer;
	letter->number = number;
	return mailbox_post(mailbox, &letter->mail);
}

static int reset(void **state)
{
	(void)state;
	memset(expected, 0, sizeof(expected));
	delivered = 0;
	discarded = 0;
	return 0;
}

static bool signalled(const struct mailbox *mailbox)
{
	struct pollfd readable = {mailbox_fd(mailbox), POLLIN, 0};

	return poll(&readable, 1, 0) == 1;
}

static void test_order_and_bounded_drain(void **state)
{
	struct mailbox *mailbox;

	(void)state;
	assert_int_equal(mailbox_create(&mailbox), 0);
	for (int i = 0; i < 10; i++) {
		assert_true(post(mailbox, 0, i));
	}
	assert_int_equal(mailbox_drain(mailbox, 3), 3);
	assert_true(mailbox_prepare_sleep(mailbox));
	for (int i = 10; i < 15; i++) {
		assert_true(post(mailbox, 0, i));
	}
	assert_int_equal(mailbox_drain(mailbox, 100), 12);
	assert_int_equal(mailbox_drain(mailbox, 100), 0);
	mailbox_destroy(mailbox);
	mailbox_destroy(NULL);
}

static void test_only_a_sleeper_is_woken(void **state)
{
	struct mailbox *mailbox;

	(void)state;
	assert_int_equal(mailbox_create(&mailbox), 0);
	post(mailbox, 0, 0);
	assert_false(signalled(mailbox));
	mailbox_drain(mailbox, 10);
	assert_false(mailbox_prepare_sleep(mailbox));
	post(mailbox, 0, 1);
	post(mailbox, 0, 2);
	assert_true(signalled(mailbox));
	mailbox_clear_signal(mailbox);
	assert_false(signalled(mailbox));
	mailbox_clear_signal(mailbox);
	/* The first post took the wish to be woken with it. */
	post(mailbox, 0, 3);
	assert_false(signalled(mailbox));
	assert_int_equal(mailbox_drain(mailbox, 10), 3);
	mailbox_destroy(mailbox);
}

static void test_closing_discards(void **state)
{
	struct mailbox *mailbox;

	(void)state;
	assert_int_equal(mailbox_create(&mailbox), 0);
	for (int i = 0; i < 6; i++) {
		post(mailbox, 0, i);
	}
	assert_int_equal(mailbox_drain(mailbox, 2), 2);
	post(mailbox, 0, 6);
	mailbox_close(mailbox);
	mailbox_close(mailbox);
	assert_int_equal(discarded, 5);
	assert_false(post(mailbox, 0, 7));
	assert_int_equal(discarded, 6);
	assert_int_equal(mailbox_drain(mailbox, 10), 0);
	assert_false(mailbox_prepare_sleep(mailbox));
	mailbox_destroy(mailbox);
}

struct producer {
	pthread_t thread;
	struct mailbox *mailbox;
	int number;
	int accepted;
	bool pause;
};

static void *produce(void *context)
{
	struct producer *producer = context;

	for (int i = 0; i < MAILS; i++) {
		producer->accepted += post(producer->mailbox, producer->number, i);
		/* Let the consumer fall asleep now and then. */
		if (producer->pause && i % 1000 == 0) {
			usleep(100);
		}
	}
	return NULL;
}

static void start(struct producer *producers, struct mailbox *mailbox)
{
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){.mailbox = mailbox, .number = i, .pause = i == 0};
		assert_int_equal(
			pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
	}
}

static int join(struct producer *producers)
{
	int accepted = 0;

	for (int i = 0; i < PRODUCERS; i++) {
		pthread_join(producers[i].thread, NULL);
		accepted += producers[i].accepted;
	}
	return accepted;
}

static void test_producers_and_a_sleeping_loop(void **state)
{
	struct producer producers[PRODUCERS];
	struct loop *loop = test_loop();

	(void)state;
	start(producers, loop_mailbox(loop));
	/* A wake-up that is lost shows as a sleep of a minute. */
	while (delivered < PRODUCERS * MAILS) {
		uint64_t begin = clock_monotonic_ms();

		loop_turn(loop, -1);
		assert_true(clock_monotonic_ms() - begin < TEST_WAIT_MS);
	}
	assert_int_equal(join(producers), PRODUCERS * MAILS);
	loop_destroy(loop);
}

static void test_producers_and_a_plain_thread(void **state)
{
	struct producer producers[PRODUCERS];
	struct mailbox *mailbox;

	(void)state;
	assert_int_equal(mailbox_create(&mailbox), 0);
	assert_false(mailbox_wait(mailbox, 0));
	start(producers, mailbox);
	while (delivered < PRODUCERS * MAILS) {
		assert_true(mailbox_wait(mailbox, TEST_WAIT_MS) || delivered > 0);
		mailbox_drain(mailbox, 1000);
	}
	assert_int_equal(join(producers), PRODUCERS * MAILS);
	mailbox_destroy(mailbox);
}

static void test_closing_under_producers(void **state)
{
	struct producer producers[PRODUCERS];
	struct mailbox *mailbox;
	int accepted;

	(void)state;
	assert_int_equal(mailbox_create(&mailbox), 0);
	start(producers, mailbox);
	while (delivered < MAILS / 4) {
		mailbox_wait(mailbox, 10);
		mailbox_drain(mailbox, 100);
	}
	/* The letters refused afterwards are freed by their producers: only the sum counts here. */
	mailbox_close(mailbox);
	accepted = join(producers);
	assert_true(accepted >= delivered);
	mailbox_destroy(mailbox);
}

#define TEST(function) cmocka_unit_test_setup(function, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order_and_bounded_drain),
		TEST(test_only_a_sleeper_is_woken),
		TEST(test_closing_discards),
		TEST(test_producers_and_a_sleeping_loop),
		TEST(test_producers_and_a_plain_thread),
		TEST(test_closing_under_producers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
