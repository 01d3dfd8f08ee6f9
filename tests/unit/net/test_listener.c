#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/address.h"
#include "net/transport.h"
#include "test_net.h"

#define CLIENTS 100

static struct loop *loop;
static struct listener *listeners[2];
static struct transport *accepted[CLIENTS];
static int accepted_count;
static int pause_at;

static void on_accept(void *owner, struct transport *transport)
{
	assert_true(accepted_count < CLIENTS);
	accepted[accepted_count++] = transport;
	if (accepted_count == pause_at) {
		listener_pause(owner == &listeners[1] ? listeners[1] : listeners[0], true);
	}
}

static int setup(void **state)
{
	(void)state;
	loop = test_loop();
	accepted_count = 0;
	pause_at = 0;
	listeners[0] = NULL;
	listeners[1] = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (accepted_count > 0) {
		transport_close(accepted[--accepted_count], false);
	}
	listener_destroy(listeners[0], false);
	listener_destroy(listeners[1], false);
	loop_destroy(loop);
	return 0;
}

static void bind_listeners(const char *text, int count, struct address *ret_address)
{
	int fds[2];

	assert_true(address_parse(slice_from_string(text), true, ret_address));
	assert_int_equal(listener_bind(ret_address, count, fds), 0);
	if (ret_address->u.any.sa_family != AF_UNIX) {
		assert_int_equal(getsockname(fds[0], &ret_address->u.any, &ret_address->size), 0);
	}
	for (int i = 0; i < count; i++) {
		struct listener_options options = {fds[i], on_accept, &listeners[i]};

		assert_int_equal(listener_create(loop, &options, &listeners[i]), 0);
		assert_int_equal(listener_fd(listeners[i]), fds[i]);
	}
}

static int dial(const struct address *address)
{
	int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &address->u.any, address->size), 0);
	return fd;
}

static void test_two_sockets_share_an_address(void **state)
{
	struct address address;
	int fds[CLIENTS];

	(void)state;
	bind_listeners("127.0.0.1:0", 2, &address);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = dial(&address);
	}
	TURN_UNTIL(loop, accepted_count == CLIENTS);
	for (int i = 0; i < CLIENTS; i++) {
		assert_true(address_equal(&accepted[i]->local, &address));
		close(fds[i]);
	}
}

static void test_a_second_sidecar_is_refused(void **state)
{
	struct address address;
	int fds[2];

	(void)state;
	bind_listeners("127.0.0.1:0", 2, &address);
	assert_int_equal(listener_bind(&address, 2, fds), -EADDRINUSE);
	assert_int_equal(listener_bind(&address, 1, fds), -EADDRINUSE);
	/* Free again, at once, although connections of it are in TIME_WAIT. */
	close(dial(&address));
	TURN_UNTIL(loop, accepted_count == 1);
	transport_close(accepted[--accepted_count], false);
	listener_destroy(listeners[0], false);
	listener_destroy(listeners[1], false);
	listeners[0] = NULL;
	listeners[1] = NULL;
	assert_int_equal(listener_bind(&address, 2, fds), 0);
	close(fds[0]);
	close(fds[1]);
}

static void test_unix_sockets(void **state)
{
	struct address address;
	struct stat facts;
	char path[64];
	char text[80];
	int fds[1];
	int client;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/test_listener.%d.sock", (int)getpid());
	snprintf(text, sizeof(text), "unix:%s", path);
	bind_listeners(text, 2, &address);
	assert_int_equal(stat(path, &facts), 0);
	assert_int_equal(facts.st_mode & 0777, 0600);
	client = dial(&address);
	TURN_UNTIL(loop, accepted_count == 1);
	close(client);
	assert_int_equal(listener_bind(&address, 1, fds), -EADDRINUSE);
	transport_close(accepted[--accepted_count], false);
	listener_destroy(listeners[0], false);
	listener_destroy(listeners[1], false);
	listeners[0] = NULL;
	listeners[1] = NULL;
	/* The file that is left over is replaced, since nobody answers. */
	assert_int_equal(listener_bind(&address, 1, fds), 0);
	close(fds[0]);
	unlink(path);
	assert_true(address_parse(SLICE("unix:/no/such/directory/x"), false, &address));
	assert_int_equal(listener_bind(&address, 1, fds), -ENOENT);
}

static void test_pausing(void **state)
{
	struct address address;
	int fds[10];

	(void)state;
	bind_listeners("127.0.0.1:0", 1, &address);
	pause_at = 4;
	for (int i = 0; i < 10; i++) {
		fds[i] = dial(&address);
	}
	TURN_UNTIL(loop, accepted_count == 4);
	loop_turn(loop, 20);
	loop_turn(loop, 20);
	assert_int_equal(accepted_count, 4);
	listener_pause(listeners[0], false);
	TURN_UNTIL(loop, accepted_count == 10);
	for (int i = 0; i < 10; i++) {
		close(fds[i]);
	}
}

static void test_draining_takes_the_queue(void **state)
{
	struct address address;
	int fds[10];

	(void)state;
	bind_listeners("127.0.0.1:0", 1, &address);
	for (int i = 0; i < 10; i++) {
		fds[i] = dial(&address);
	}
	listener_destroy(listeners[0], true);
	listeners[0] = NULL;
	assert_int_equal(accepted_count, 10);
	for (int i = 0; i < 10; i++) {
		close(fds[i]);
	}
}

static void test_no_descriptors_left(void **state)
{
	struct address address;
	struct rlimit limit;
	struct rlimit low;
	int clients[2];
	int filler[64];
	int filled = 0;
	char byte;
	uint64_t begin;

	(void)state;
	bind_listeners("127.0.0.1:0", 1, &address);
	clients[0] = dial(&address);
	clients[1] = dial(&address);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)clients[1] + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	/* Gaps below the new limit are filled. */
	while (filled < 64 && (filler[filled] = dup(0)) >= 0) {
		filled++;
	}
	assert_true(filled < 64 && errno == EMFILE);
	begin = clock_monotonic_ms();
	loop_turn(loop, 1000);
	/* One of the two was closed by means of the spare descriptor, then accepting rests. */
	assert_int_equal(accepted_count, 0);
	assert_int_equal(recv(clients[0], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(clients[1], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (filled > 0) {
		close(filler[--filled]);
	}
	TURN_UNTIL(loop, accepted_count == 1);
	assert_true(clock_monotonic_ms() - begin >= 100);
	close(clients[0]);
	close(clients[1]);
}

static void test_storms_end(void **state)
{
	struct address address;

	(void)state;
	bind_listeners("127.0.0.1:0", 1, &address);
	/* Peers that reset while they wait to be accepted. */
	for (int i = 0; i < 50; i++) {
		struct linger at_once = {1, 0};
		int fd = dial(&address);

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(fd);
	}
	for (int i = 0; i < 5; i++) {
		loop_turn(loop, 5);
	}
	assert_true(accepted_count <= 50);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_two_sockets_share_an_address),
		TEST(test_a_second_sidecar_is_refused),
		TEST(test_unix_sockets),
		TEST(test_pausing),
		TEST(test_draining_takes_the_queue),
		TEST(test_no_descriptors_left),
		TEST(test_storms_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
