#include "net/transport.h"

#include <errno.h>

#include "base/rng.h"
#include "test_net.h"

#define BYTES 300000

struct end {
	struct transport *transport;
	int calls;
	int mask;
};

static struct loop *loop;
static struct end ends[2];

static void on_ready(struct transport *transport, int mask)
{
	struct end *end = transport->owner;

	assert_ptr_equal(end->transport, transport);
	end->calls++;
	end->mask |= mask;
}

static void make_pair(size_t capacity)
{
	loop = test_loop();
	memset(ends, 0, sizeof(ends));
	transport_mem_pair(loop, capacity, &ends[0].transport, &ends[1].transport);
	for (int i = 0; i < 2; i++) {
		ends[i].transport->owner = &ends[i];
		ends[i].transport->on_ready = on_ready;
	}
}

static void drop_pair(void)
{
	transport_close(ends[0].transport, false);
	transport_close(ends[1].transport, false);
	loop_destroy(loop);
}

static ssize_t put(int end, const char *text)
{
	struct iovec vectors[2] = {
		{(void *)(uintptr_t)text, 1}, {(void *)(uintptr_t)(text + 1), strlen(text) - 1}};

	return transport_write(ends[end].transport, vectors, 2);
}

static void test_bytes_and_readiness(void **state)
{
	char bytes[32];

	(void)state;
	make_pair(8);
	assert_int_equal(transport_fd(ends[0].transport), -1);
	assert_int_equal(transport_finish_connect(ends[0].transport), 0);
	assert_int_equal(transport_read(ends[1].transport, bytes, 8), 0);
	transport_want(ends[1].transport, TRANSPORT_READ);
	loop_turn(loop, 0);
	assert_int_equal(ends[1].calls, 0);
	assert_int_equal(put(0, "0123456789"), 8);
	assert_int_equal(put(0, "89"), 0);
	transport_want(ends[0].transport, TRANSPORT_WRITE);
	/* Never from inside a call: readiness comes in the I/O stage. */
	assert_int_equal(ends[1].calls, 0);
	loop_turn(loop, 0);
	assert_int_equal(ends[1].mask, TRANSPORT_READ);
	assert_int_equal(ends[0].calls, 0);
	assert_int_equal(transport_peek(ends[1].transport), 1);
	assert_int_equal(transport_read(ends[1].transport, bytes, 3), 3);
	loop_turn(loop, 0);
	assert_int_equal(ends[0].mask, TRANSPORT_WRITE);
	/* Level-triggered: what is left is reported again. */
	assert_int_equal(ends[1].calls, 2);
	assert_int_equal(put(0, "89"), 2);
	assert_int_equal(transport_read(ends[1].transport, bytes + 3, 20), 7);
	assert_memory_equal(bytes, "0123456789", 10);
	ends[1].calls = 0;
	loop_turn(loop, 0);
	assert_int_equal(ends[1].calls, 0);
	transport_want(ends[0].transport, 0);
	drop_pair();
}

static void test_half_close_and_end(void **state)
{
	char bytes[8];

	(void)state;
	make_pair(8);
	transport_want(ends[1].transport, TRANSPORT_READ);
	assert_int_equal(put(0, "abc"), 3);
	assert_int_equal(transport_shutdown(ends[0].transport), 0);
	assert_int_equal(put(0, "x"), -EPIPE);
	assert_int_equal(transport_read(ends[1].transport, bytes, 8), 3);
	assert_int_equal(transport_peek(ends[1].transport), IO_EOF);
	loop_turn(loop, 0);
	assert_int_equal(ends[1].mask, TRANSPORT_READ);
	assert_int_equal(transport_read(ends[1].transport, bytes, 8), IO_EOF);
	/* The end is told once; the wish to read does not spin. */
	loop_turn(loop, 0);
	ends[1].calls = 0;
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	assert_int_equal(ends[1].calls, 0);
	/* The other direction is still open. */
	assert_int_equal(put(1, "yes"), 3);
	assert_int_equal(transport_read(ends[0].transport, bytes, 8), 3);
	drop_pair();
}

static void test_close_and_reset(void **state)
{
	char bytes[8];

	(void)state;
	make_pair(8);
	transport_want(ends[1].transport, TRANSPORT_READ | TRANSPORT_WRITE);
	assert_int_equal(put(0, "abc"), 3);
	transport_close(ends[0].transport, false);
	/* An orderly close lets the bytes be read. */
	assert_int_equal(transport_read(ends[1].transport, bytes, 8), 3);
	assert_int_equal(transport_read(ends[1].transport, bytes, 8), IO_EOF);
	assert_int_equal(put(1, "x"), -EPIPE);
	transport_close(ends[1].transport, false);
	loop_destroy(loop);

	make_pair(8);
	assert_int_equal(put(0, "abc"), 3);
	transport_want(ends[1].transport, TRANSPORT_READ);
	transport_close(ends[0].transport, true);
	loop_turn(loop, 0);
	assert_int_equal(ends[1].mask, TRANSPORT_READ);
	assert_int_equal(transport_read(ends[1].transport, bytes, 8), -ECONNRESET);
	assert_int_equal(transport_peek(ends[1].transport), -ECONNRESET);
	assert_int_equal(put(1, "x"), -ECONNRESET);
	transport_close(ends[1].transport, false);
	loop_destroy(loop);

	/* Closing with unread bytes resets, as the kernel does. */
	make_pair(8);
	assert_int_equal(put(0, "abc"), 3);
	transport_close(ends[1].transport, false);
	assert_int_equal(transport_read(ends[0].transport, bytes, 8), -ECONNRESET);
	transport_close(ends[0].transport, false);
	loop_destroy(loop);
}

static void test_an_end_behind_unread_bytes(void **state)
{
	(void)state;
	for (int reset = 0; reset < 2; reset++) {
		make_pair(8);
		transport_want(ends[1].transport, TRANSPORT_END);
		assert_int_equal(put(0, "abc"), 3);
		loop_turn(loop, 0);
		assert_int_equal(ends[1].calls, 0);
		transport_close(ends[0].transport, reset != 0);
		loop_turn(loop, 0);
		assert_int_equal(ends[1].mask, TRANSPORT_END);
		assert_int_equal(transport_end(ends[1].transport), reset ? -ECONNRESET : IO_EOF);
		transport_close(ends[1].transport, false);
		loop_destroy(loop);
	}
}

static void test_throttled_stream_arrives_whole(void **state)
{
	struct rng rng;
	uint64_t seed;
	size_t sent = 0;
	size_t got = 0;

	(void)state;
	rng_system_bytes(&seed, sizeof(seed));
	print_message("seed %llu\n", (unsigned long long)seed);
	rng_seed(&rng, seed);
	make_pair(1000);
	while (got < BYTES) {
		uint8_t bytes[300];
		struct iovec vector = {bytes, 1 + (size_t)rng_below(&rng, sizeof(bytes))};
		ssize_t moved;

		transport_mem_throttle(ends[0].transport, (size_t)rng_below(&rng, 20));
		transport_mem_throttle(ends[1].transport, (size_t)rng_below(&rng, 20));
		for (size_t i = 0; i < vector.iov_len; i++) {
			bytes[i] = (uint8_t)((sent + i) * 7);
		}
		moved = transport_write(ends[0].transport, &vector, 1);
		assert_true(moved >= 0);
		sent += (size_t)moved;
		moved = transport_read(ends[1].transport, bytes, sizeof(bytes));
		assert_true(moved >= 0);
		for (size_t i = 0; i < (size_t)moved; i++) {
			assert_int_equal(bytes[i], (uint8_t)((got + i) * 7));
		}
		got += (size_t)moved;
	}
	drop_pair();
}

/* T-10: what the other end did not read yet, and room that is too small to be spoken of. */
static void test_unacknowledged_and_low_water(void **state)
{
	char bytes[8];

	(void)state;
	make_pair(8);
	transport_mem_low_water(ends[0].transport, 4);
	assert_int_equal(transport_unacknowledged(ends[0].transport), 0);
	assert_int_equal(put(0, "01234567"), 8);
	transport_want(ends[0].transport, TRANSPORT_WRITE);
	assert_int_equal(transport_read(ends[1].transport, bytes, 3), 3);
	assert_int_equal(transport_unacknowledged(ends[0].transport), 5);
	for (int i = 0; i < 3; i++) {
		loop_turn(loop, 0);
	}
	assert_int_equal(ends[0].calls, 0);
	assert_int_equal(transport_read(ends[1].transport, bytes, 1), 1);
	loop_turn(loop, 0);
	assert_true(ends[0].mask & TRANSPORT_WRITE);
	transport_want(ends[0].transport, 0);
	drop_pair();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_and_readiness),
		cmocka_unit_test(test_half_close_and_end),
		cmocka_unit_test(test_close_and_reset),
		cmocka_unit_test(test_an_end_behind_unread_bytes),
		cmocka_unit_test(test_throttled_stream_arrives_whole),
		cmocka_unit_test(test_unacknowledged_and_low_water),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
