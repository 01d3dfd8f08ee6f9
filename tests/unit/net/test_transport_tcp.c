#include "net/transport.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "net/listener.h"
#include "test_net.h"

struct end {
	struct transport *transport;
	int calls;
	int mask;
};

static struct loop *loop;
static struct address address;
static int listening;
static struct end client;
static struct end server;

static void on_ready(struct transport *transport, int mask)
{
	struct end *end = transport->owner;

	end->calls++;
	end->mask |= mask;
}

static void adopt(struct end *end, struct transport *transport)
{
	*end = (struct end){transport, 0, 0};
	transport->owner = end;
	transport->on_ready = on_ready;
}

static void bind_any(const char *text)
{
	assert_true(address_parse(slice_from_string(text), true, &address));
	assert_int_equal(listener_bind(&address, 1, &listening), 0);
	if (address.u.any.sa_family != AF_UNIX) {
		address.size = sizeof(address.u);
		assert_int_equal(getsockname(listening, &address.u.any, &address.size), 0);
	}
}

static void make_pair(const char *text)
{
	struct transport *transport;

	loop = test_loop();
	bind_any(text);
	assert_int_equal(transport_tcp_connect(loop, &address, &transport), 0);
	adopt(&client, transport);
	transport_want(transport, TRANSPORT_WRITE);
	TURN_UNTIL(loop, client.calls > 0 || !transport->connecting);
	assert_int_equal(transport_finish_connect(transport), 0);
	assert_false(transport->connecting);
	transport_want(transport, 0);
	assert_int_equal(
		transport_tcp_accepted(loop, accept(listening, NULL, NULL), &transport), 0);
	adopt(&server, transport);
	client.calls = 0;
	client.mask = 0;
}

static void drop_pair(void)
{
	transport_close(client.transport, false);
	transport_close(server.transport, false);
	close(listening);
	loop_destroy(loop);
}

static ssize_t put(struct end *end, const char *text)
{
	struct iovec vector = {(void *)(uintptr_t)text, strlen(text)};

	return transport_write(end->transport, &vector, 1);
}

static void exchange_bytes(void)
{
	char bytes[16];

	assert_true(transport_fd(client.transport) >= 0);
	assert_int_equal(transport_read(server.transport, bytes, 16), 0);
	assert_int_equal(transport_peek(server.transport), 0);
	transport_want(server.transport, TRANSPORT_READ);
	assert_int_equal(put(&client, "hello"), 5);
	TURN_UNTIL(loop, server.calls > 0);
	assert_int_equal(server.mask, TRANSPORT_READ);
	assert_int_equal(transport_peek(server.transport), 1);
	assert_int_equal(transport_read(server.transport, bytes, 16), 5);
	assert_memory_equal(bytes, "hello", 5);
	assert_int_equal(put(&server, "yes"), 3);
	transport_want(client.transport, TRANSPORT_READ);
	TURN_UNTIL(loop, client.calls > 0);
	assert_int_equal(transport_read(client.transport, bytes, 16), 3);
}

static void test_tcp(void **state)
{
	int on = 0;
	socklen_t size = sizeof(on);

	(void)state;
	make_pair("127.0.0.1:0");
	assert_true(address_equal(&client.transport->peer, &address));
	assert_true(address_equal(&client.transport->peer, &server.transport->local));
	assert_true(address_equal(&client.transport->local, &server.transport->peer));
	getsockopt(transport_fd(server.transport), IPPROTO_TCP, TCP_NODELAY, &on, &size);
	assert_int_equal(on, 1);
	exchange_bytes();
	drop_pair();
}

static void test_unix(void **state)
{
	char path[64];
	char text[80];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/test_tcp.%d.sock", (int)getpid());
	snprintf(text, sizeof(text), "unix:%s", path);
	make_pair(text);
	assert_true(address_is_loopback(&server.transport->peer));
	exchange_bytes();
	drop_pair();
	unlink(path);
}

static void test_partial_writes_and_backpressure(void **state)
{
	static uint8_t out[1 << 16];
	static uint8_t in[1 << 16];
	struct iovec vectors[3] = {{out, 100}, {out + 100, 60000}, {out + 60100, 5436}};
	uint64_t sent = 0;
	uint64_t got = 0;
	ssize_t moved;

	(void)state;
	for (size_t i = 0; i < sizeof(out); i++) {
		out[i] = (uint8_t)(i * 31);
	}
	make_pair("127.0.0.1:0");
	/* Full to the brim: the last write would block. */
	while ((moved = transport_write(client.transport, vectors, 3)) == sizeof(out)) {
		sent += (uint64_t)moved;
	}
	sent += moved > 0 ? (uint64_t)moved : 0;
	transport_want(client.transport, TRANSPORT_WRITE);
	loop_turn(loop, 0);
	loop_turn(loop, 20);
	assert_int_equal(client.calls, 0);
	/* T-10: what the reader's kernel has no room for stays ours. */
	assert_in_range(transport_unacknowledged(client.transport), 1, sent);
	while (got < sent) {
		moved = transport_read(server.transport, in, sizeof(in));
		for (ssize_t i = 0; i < moved; i++) {
			assert_int_equal(in[i], out[(got + (uint64_t)i) % sizeof(out)]);
		}
		got += moved > 0 ? (uint64_t)moved : 0;
	}
	TURN_UNTIL(loop, client.mask & TRANSPORT_WRITE);
	TURN_UNTIL(loop, transport_unacknowledged(client.transport) == 0);
	drop_pair();
}

static void test_half_close_does_not_spin(void **state)
{
	char bytes[16];

	(void)state;
	make_pair("127.0.0.1:0");
	transport_want(server.transport, TRANSPORT_READ);
	assert_int_equal(put(&client, "bye"), 3);
	assert_int_equal(transport_shutdown(client.transport), 0);
	TURN_UNTIL(loop, transport_read(server.transport, bytes, 16) == 3);
	TURN_UNTIL(loop, transport_read(server.transport, bytes, 16) == IO_EOF);
	assert_int_equal(transport_peek(server.transport), IO_EOF);
	/* The wish to read remains, but the end is not told again and again. */
	server.calls = 0;
	loop_turn(loop, 0);
	loop_turn(loop, 20);
	assert_int_equal(server.calls, 0);
	assert_int_equal(put(&server, "still here"), 10);
	transport_want(client.transport, TRANSPORT_READ);
	TURN_UNTIL(loop, client.calls > 0);
	assert_int_equal(transport_read(client.transport, bytes, 16), 10);
	drop_pair();
}

static void test_reset(void **state)
{
	char bytes[16];
	ssize_t got = 0;

	(void)state;
	make_pair("127.0.0.1:0");
	transport_want(server.transport, TRANSPORT_READ);
	transport_close(client.transport, true);
	TURN_UNTIL(loop, server.calls > 0);
	got = transport_read(server.transport, bytes, 16);
	assert_int_equal(got, -ECONNRESET);
	/* No signal, an error. */
	assert_int_equal(put(&server, "x"), -EPIPE);
	transport_close(server.transport, true);
	close(listening);
	loop_destroy(loop);
}

static void test_close_is_an_end(void **state)
{
	char bytes[16];

	(void)state;
	make_pair("127.0.0.1:0");
	transport_want(server.transport, TRANSPORT_READ);
	transport_close(client.transport, false);
	TURN_UNTIL(loop, server.calls > 0);
	assert_int_equal(transport_read(server.transport, bytes, 16), IO_EOF);
	transport_close(server.transport, false);
	close(listening);
	loop_destroy(loop);
}

/* The end is told though bytes that came before it are unread, by a FIN and by a reset; also when
 * it came before anybody asked; and it does not keep the loop awake. */
static void test_an_end_behind_unread_bytes(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		bool reset = (i & 1) != 0;
		bool early = (i & 2) != 0;
		char bytes[16];

		make_pair("127.0.0.1:0");
		transport_want(server.transport, early ? TRANSPORT_END : 0);
		assert_int_equal(put(&client, "unread"), 6);
		TURN_UNTIL(loop, transport_peek(server.transport) == 1);
		loop_turn(loop, 10);
		assert_int_equal(server.calls, 0);
		transport_close(client.transport, reset);
		if (!early) {
			loop_turn(loop, 10);
			assert_int_equal(server.calls, 0);
			transport_want(server.transport, TRANSPORT_END);
		}
		TURN_UNTIL(loop, server.calls > 0);
		assert_int_equal(server.mask, TRANSPORT_END);
		loop_turn(loop, 10);
		assert_int_equal(server.calls, 1);
		assert_int_equal(transport_end(server.transport), reset ? -ECONNRESET : IO_EOF);
		/* Asked again, it is told again; not asked, it is not. */
		transport_want(server.transport, 0);
		transport_want(server.transport, TRANSPORT_END);
		TURN_UNTIL(loop, server.calls == 2);
		transport_want(server.transport, 0);
		loop_turn(loop, 10);
		assert_int_equal(server.calls, 2);
		assert_int_equal(transport_read(server.transport, bytes, 16), 6);
		transport_close(server.transport, false);
		close(listening);
		loop_destroy(loop);
	}
}

static void test_hang_up_without_wishes_does_not_spin(void **state)
{
	int turns = 0;
	uint64_t begin;

	(void)state;
	make_pair("127.0.0.1:0");
	transport_want(server.transport, TRANSPORT_READ);
	transport_want(server.transport, 0);
	transport_close(client.transport, true);
	begin = clock_monotonic_ms();
	while (clock_monotonic_ms() - begin < 100) {
		loop_turn(loop, 50);
		turns++;
	}
	assert_int_equal(server.calls, 0);
	assert_true(turns < 10);
	transport_close(server.transport, false);
	close(listening);
	loop_destroy(loop);
}

static void test_connect_refused(void **state)
{
	struct transport *transport;
	int status;

	(void)state;
	loop = test_loop();
	bind_any("127.0.0.1:0");
	close(listening);
	status = transport_tcp_connect(loop, &address, &transport);
	if (status == 0) {
		assert_true(transport->connecting);
		adopt(&client, transport);
		transport_want(transport, TRANSPORT_WRITE);
		TURN_UNTIL(loop, client.calls > 0);
		status = transport_finish_connect(transport);
		assert_false(transport->connecting);
		transport_close(transport, false);
	}
	assert_int_equal(status, -ECONNREFUSED);
	assert_true(address_parse(SLICE("unix:/tmp/no-such-socket"), false, &address));
	assert_int_equal(transport_tcp_connect(loop, &address, &transport), -ENOENT);
	loop_destroy(loop);
}

static void test_connect_in_progress(void **state)
{
	struct transport *transports[8];
	struct address bound;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int count = 0;
	bool waiting = false;

	(void)state;
	/* A listener with a queue of one: further connects stay open. */
	loop = test_loop();
	assert_true(address_parse(SLICE("127.0.0.1:0"), true, &bound));
	assert_int_equal(bind(fd, &bound.u.any, bound.size), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, &bound.u.any, &bound.size), 0);
	while (count < 8 && !waiting) {
		assert_int_equal(transport_tcp_connect(loop, &bound, &transports[count]), 0);
		usleep(5000);
		waiting = transport_finish_connect(transports[count]) == -EINPROGRESS;
		assert_int_equal(transports[count]->connecting, waiting);
		count++;
	}
	assert_true(waiting);
	while (count > 0) {
		transport_close(transports[--count], false);
	}
	close(fd);
	loop_destroy(loop);
}

static void test_accepting_a_bad_descriptor(void **state)
{
	struct transport *transport;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	loop = test_loop();
	/* Not connected: as if the peer had reset it in the queue. Closed in any case. */
	assert_int_equal(transport_tcp_accepted(loop, fd, &transport), -ENOTCONN);
	assert_int_equal(close(fd), -1);
	loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_partial_writes_and_backpressure),
		cmocka_unit_test(test_half_close_does_not_spin),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_close_is_an_end),
		cmocka_unit_test(test_an_end_behind_unread_bytes),
		cmocka_unit_test(test_hang_up_without_wishes_does_not_spin),
		cmocka_unit_test(test_connect_refused),
		cmocka_unit_test(test_connect_in_progress),
		cmocka_unit_test(test_accepting_a_bad_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
