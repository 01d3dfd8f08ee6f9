/*
 * Checks of the own application (mesh.md 4.1) against a small server of this file, which answers
 * each connection as it is told: plain HTTP, gRPC health by hand-made frames, or not at all.
 */
#include "test_control.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "control/probe.h"
#include "net/loop.h"

enum manner {
	MANNER_HTTP_200,
	MANNER_HTTP_404,
	MANNER_GRPC_SERVING,
	MANNER_GRPC_NOT_SERVING,
	MANNER_GRPC_UNIMPLEMENTED,
	MANNER_SILENT,
	MANNER_CLOSE,
	MANNER_GARBAGE,
};

static struct server {
	int fd;
	uint16_t port;
	pthread_t thread;
	atomic_int manner;
	atomic_int accepted;
	atomic_int checks;	/* connections that were no question about the protocol */
	atomic_bool asked_well; /* the HTTP check looked as it should */
} server;

#define PREFACE_SIZE 24
#define FRAME	     9

/* Reads until stream 1 has sent its END_STREAM. */
static void read_request(int fd)
{
	uint8_t bytes[4096];
	size_t used = 0;
	size_t place = PREFACE_SIZE;

	for (;;) {
		ssize_t got = recv(fd, bytes + used, sizeof bytes - used, 0);

		if (got <= 0) {
			return;
		}
		used += (size_t)got;
		while (used >= place + FRAME) {
			const uint8_t *frame = bytes + place;
			size_t length = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];

			if (frame[3] <= 1 && (frame[4] & 1) && frame[8] == 1) {
				return;
			}
			place += FRAME + length;
		}
	}
}

static void answer_grpc(int fd, enum manner manner)
{
	static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
	/* :status 200, content-type: application/grpc */
	static const uint8_t head[] = "\x00\x00\x14\x01\x04\x00\x00\x00\x01\x88\x0f\x10\x10"
				      "application/grpc";
	static const uint8_t serving[] =
		"\x00\x00\x07\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x02\x08\x01";
	static const uint8_t not_serving[] =
		"\x00\x00\x07\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x02\x08\x02";
	static const uint8_t good[] = "\x00\x00\x0f\x01\x05\x00\x00\x00\x01\x00\x0b"
				      "grpc-status"
				      "\x01"
				      "0";
	static const uint8_t unimplemented[] = "\x00\x00\x10\x01\x05\x00\x00\x00\x01\x00\x0b"
					       "grpc-status"
					       "\x02"
					       "12";

	(void)!send(fd, settings, sizeof settings, MSG_NOSIGNAL);
	read_request(fd);
	(void)!send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
	if (manner == MANNER_GRPC_UNIMPLEMENTED) {
		(void)!send(fd, unimplemented, sizeof unimplemented - 1, MSG_NOSIGNAL);
	} else {
		(void)!send(fd, manner == MANNER_GRPC_SERVING ? serving : not_serving,
			sizeof serving - 1, MSG_NOSIGNAL);
		(void)!send(fd, good, sizeof good - 1, MSG_NOSIGNAL);
	}
}

static void answer_http(int fd, int status)
{
	char text[2048];
	ssize_t got = recv(fd, text, sizeof text - 1, 0);
	int size;

	text[got > 0 ? got : 0] = '\0';
	if (strncmp(text, "PRI ", 4) == 0) {
		status = 400;
	} else if (got > 0) {
		server.checks++;
		server.asked_well = strncmp(text, "GET /healthz HTTP/1.1\r\n", 23) == 0 &&
				    strstr(text, "\r\nUser-Agent: pillion-check\r\n");
	}
	size = snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok", status);
	(void)!send(fd, text, (size_t)size, MSG_NOSIGNAL);
}

static void *serve(void *argument)
{
	(void)argument;
	for (;;) {
		int fd = accept(server.fd, NULL, NULL);
		uint8_t byte;

		if (fd < 0) {
			return NULL;
		}
		server.accepted++;
		switch ((enum manner)server.manner) {
		case MANNER_HTTP_200:
			answer_http(fd, 200);
			break;
		case MANNER_HTTP_404:
			answer_http(fd, 404);
			break;
		case MANNER_GRPC_SERVING:
		case MANNER_GRPC_NOT_SERVING:
		case MANNER_GRPC_UNIMPLEMENTED:
			answer_grpc(fd, server.manner);
			break;
		case MANNER_SILENT:
			while (recv(fd, &byte, 1, 0) > 0) {
			}
			break;
		case MANNER_CLOSE:
			break;
		case MANNER_GARBAGE:
			(void)!send(fd, "\x16\x03\x01 what is this\r\n\r\n", 20, MSG_NOSIGNAL);
			break;
		}
		(void)shutdown(fd, SHUT_WR);
		close(fd);
	}
}

/* port: 0 for any. */
static void server_open_at(enum manner manner, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int on = 1;

	server.manner = manner;
	server.accepted = 0;
	server.checks = 0;
	server.asked_well = false;
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(server.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(server.fd, 64), 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&address, &size), 0);
	server.port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void server_open(enum manner manner)
{
	server_open_at(manner, 0);
}

static void server_close(void)
{
	(void)shutdown(server.fd, SHUT_RDWR);
	assert_int_equal(pthread_join(server.thread, NULL), 0);
	close(server.fd);
}

/* --- the probe's side ------------------------------------------------------------------------- */

struct setting {
	struct loop *loop;
	struct config_app app;
	struct probe *probe;
	int ups, downs;
	const char *asked; /* what probe_ask said last */
	bool h2;
};

static void on_change(void *owner, bool healthy, bool h2)
{
	struct setting *setting = owner;

	setting->ups += healthy;
	setting->downs += !healthy;
	setting->h2 = h2;
}

static struct setting setting;

static void start(enum config_check_kind kind, enum manner manner)
{
	struct probe_events events = {.on_change = on_change, .owner = &setting};
	char text[32];

	server_open(manner);
	setting = (struct setting){0};
	assert_int_equal(loop_create(&setting.loop), 0);
	(void)snprintf(text, sizeof text, "127.0.0.1:%u", server.port);
	assert_true(address_parse(slice_from_string(text), false, &setting.app.address.address));
	setting.app.check.kind = kind;
	setting.app.check.http = "/healthz";
	setting.app.check.grpc = "shop.Stock";
	setting.app.check_interval_ms = 20;
	setting.app.check_timeout_ms = TEST_WAIT_MS;
	setting.app.fall = 2;
	setting.app.rise = 2;
	setting.probe = probe_create(setting.loop, &setting.app, &events);
}

static void finish(void)
{
	probe_destroy(setting.probe);
	for (int i = 0; i < 6; i++) {
		loop_turn(setting.loop, 0);
	}
	loop_destroy(setting.loop);
	server_close();
}

#define TURN_UNTIL(condition)                                                                      \
	do {                                                                                       \
		uint64_t turn_end = clock_monotonic_ms() + TEST_WAIT_MS;                           \
		while (!(condition)) {                                                             \
			if (clock_monotonic_ms() > turn_end) {                                     \
				fail_msg(                                                          \
					"never: %s (%s)", #condition, probe_error(setting.probe)); \
			}                                                                          \
			loop_turn(setting.loop, 20);                                               \
		}                                                                                  \
	} while (0)

/* What each kind says to each manner of answering, and what the protocol question finds (MH-05). */
static void kinds_and_manners(void **state)
{
	static const struct {
		enum config_check_kind kind;
		enum manner manner;
		bool healthy, h2;
		const char *error;
	} rows[] = {
		{CONFIG_CHECK_TCP, MANNER_HTTP_200, true, false, ""},
		{CONFIG_CHECK_TCP, MANNER_GRPC_SERVING, true, true, ""},
		{CONFIG_CHECK_TCP, MANNER_CLOSE, true, false, ""},
		{CONFIG_CHECK_TCP, MANNER_GARBAGE, true, false, ""},
		{CONFIG_CHECK_HTTP, MANNER_HTTP_200, true, false, ""},
		{CONFIG_CHECK_HTTP, MANNER_HTTP_404, false, false,
			"the check /healthz answers 404"},
		{CONFIG_CHECK_HTTP, MANNER_CLOSE, false, false, " at 127.0.0.1:"},
		{CONFIG_CHECK_HTTP, MANNER_GARBAGE, false, false, " at 127.0.0.1:"},
		{CONFIG_CHECK_GRPC, MANNER_GRPC_SERVING, true, true, ""},
		{CONFIG_CHECK_GRPC, MANNER_GRPC_NOT_SERVING, false, false, "not SERVING"},
		{CONFIG_CHECK_GRPC, MANNER_GRPC_UNIMPLEMENTED, false, false, "status 12"},
		{CONFIG_CHECK_GRPC, MANNER_HTTP_200, false, false, " at 127.0.0.1:"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start(rows[i].kind, rows[i].manner);
		assert_false(probe_healthy(setting.probe));
		probe_restart(setting.probe);
		if (rows[i].healthy) {
			TURN_UNTIL(probe_healthy(setting.probe));
			assert_int_equal(setting.ups, 1);
			assert_true(probe_passed_once(setting.probe));
			assert_int_equal(probe_speaks_h2(setting.probe), rows[i].h2);
			assert_int_equal(setting.h2, rows[i].h2);
		} else {
			TURN_UNTIL(probe_error(setting.probe)[0]);
			assert_false(probe_passed_once(setting.probe));
			assert_int_equal(setting.ups, 0);
		}
		if (!strstr(probe_error(setting.probe), rows[i].error)) {
			fail_msg("row %zu: %s", i, probe_error(setting.probe));
		}
		finish();
	}
}

static void http_check_looks_right(void **state)
{
	(void)state;
	start(CONFIG_CHECK_HTTP, MANNER_HTTP_200);
	probe_restart(setting.probe);
	TURN_UNTIL(probe_healthy(setting.probe));
	assert_true(server.asked_well);
	finish();
}

/* A written protocol is believed: nobody is asked. */
static void written_protocol(void **state)
{
	(void)state;
	start(CONFIG_CHECK_TCP, MANNER_HTTP_200);
	setting.app.protocol = CONFIG_APP_H2C;
	probe_configure(setting.probe, &setting.app);
	probe_restart(setting.probe);
	TURN_UNTIL(probe_healthy(setting.probe));
	assert_true(probe_speaks_h2(setting.probe));
	finish();
}

/* MH-02: `fall` failures in a row take it out, then `rise` passes bring it back. */
static void fall_and_rise(void **state)
{
	int checks;

	(void)state;
	start(CONFIG_CHECK_HTTP, MANNER_HTTP_200);
	probe_restart(setting.probe);
	TURN_UNTIL(setting.ups == 1);
	server.manner = MANNER_HTTP_404;
	checks = server.checks;
	TURN_UNTIL(setting.downs == 1);
	assert_true(server.checks - checks >= 2);
	assert_non_null(strstr(probe_error(setting.probe), "404"));
	assert_false(probe_healthy(setting.probe));
	server.manner = MANNER_HTTP_200;
	checks = server.checks;
	TURN_UNTIL(setting.ups == 2);
	assert_true(server.checks - checks >= 2);
	assert_string_equal(probe_error(setting.probe), "");
	finish();
}

static void silence_ends(void **state)
{
	(void)state;
	start(CONFIG_CHECK_HTTP, MANNER_SILENT);
	setting.app.check_timeout_ms = 50;
	probe_configure(setting.probe, &setting.app);
	probe_restart(setting.probe);
	TURN_UNTIL(strstr(probe_error(setting.probe), "no answer in time"));
	/* What answers nothing to the question is HTTP/1.1 (its check passes by connecting). */
	setting.app.check.kind = CONFIG_CHECK_TCP;
	probe_configure(setting.probe, &setting.app);
	TURN_UNTIL(probe_healthy(setting.probe));
	assert_false(probe_speaks_h2(setting.probe));
	finish();
}

static void nobody_listens(void **state)
{
	(void)state;
	start(CONFIG_CHECK_TCP, MANNER_HTTP_200);
	server_close();
	probe_restart(setting.probe);
	TURN_UNTIL(strstr(probe_error(setting.probe), "Connection refused"));
	assert_false(probe_passed_once(setting.probe));
	server_open(MANNER_HTTP_200);
	finish();
}

static void restart_forgets(void **state)
{
	(void)state;
	start(CONFIG_CHECK_TCP, MANNER_GRPC_SERVING);
	probe_restart(setting.probe);
	TURN_UNTIL(probe_healthy(setting.probe));
	assert_true(probe_speaks_h2(setting.probe));
	/* Another program listens there now. */
	server.manner = MANNER_HTTP_200;
	probe_restart(setting.probe);
	assert_false(probe_healthy(setting.probe));
	assert_int_equal(setting.downs, 1);
	TURN_UNTIL(probe_healthy(setting.probe));
	assert_false(probe_speaks_h2(setting.probe));
	finish();
}

static void on_asked(void *owner, bool healthy, const char *error)
{
	struct setting *asker = owner;

	assert_true(error[0] == '\0' || !healthy);
	asker->asked = healthy ? "well" : error;
}

/* MH-01 "none": well from the start on; what it speaks is learnt when it is there (MH-05). */
static void no_check(void **state)
{
	static const enum manner manners[] = {MANNER_GRPC_SERVING, MANNER_HTTP_200, MANNER_SILENT};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(manners); i++) {
		bool h2 = manners[i] == MANNER_GRPC_SERVING;
		uint16_t port;
		int accepted;

		start(CONFIG_CHECK_NONE, MANNER_HTTP_200);
		port = server.port;
		server_close();
		setting.app.check_timeout_ms = 200;
		probe_configure(setting.probe, &setting.app);
		probe_restart(setting.probe);
		assert_false(probe_healthy(setting.probe));
		TURN_UNTIL(probe_healthy(setting.probe));
		assert_true(probe_passed_once(setting.probe));
		/* Refusals change nothing, and are no answer to the question. */
		for (int k = 0; k < 10; k++) {
			loop_turn(setting.loop, 20);
		}
		assert_int_equal(setting.ups, 1);
		assert_int_equal(setting.downs, 0);
		assert_string_equal(probe_error(setting.probe), "");
		assert_false(probe_speaks_h2(setting.probe));
		probe_ask(setting.probe, on_asked, &setting);
		assert_string_equal(setting.asked, "well");
		server_open_at(manners[i], port);
		if (h2) {
			TURN_UNTIL(setting.ups == 2);
			assert_true(setting.h2 && probe_speaks_h2(setting.probe));
		} else {
			TURN_UNTIL(server.accepted > 0);
		}
		/* Then nobody comes any more. */
		do {
			accepted = server.accepted;
			for (int k = 0; k < 40; k++) {
				loop_turn(setting.loop, 20);
			}
		} while (accepted != server.accepted);
		assert_int_equal(setting.ups, h2 ? 2 : 1);
		finish();
	}
}

/* A written protocol leaves nothing to ask; a reload may bring a check. */
static void no_check_until_a_reload(void **state)
{
	(void)state;
	start(CONFIG_CHECK_NONE, MANNER_HTTP_404);
	setting.app.protocol = CONFIG_APP_HTTP1;
	probe_configure(setting.probe, &setting.app);
	probe_restart(setting.probe);
	TURN_UNTIL(probe_healthy(setting.probe));
	for (int k = 0; k < 10; k++) {
		loop_turn(setting.loop, 20);
	}
	assert_int_equal(server.accepted, 0);
	setting.app.check.kind = CONFIG_CHECK_HTTP;
	probe_configure(setting.probe, &setting.app);
	TURN_UNTIL(setting.downs == 1);
	setting.app.check.kind = CONFIG_CHECK_NONE;
	probe_configure(setting.probe, &setting.app);
	TURN_UNTIL(setting.ups == 2);
	finish();
}

/* MH-02: an exit is a fall at once, and nothing is asked until it was started again. */
static void stopped_until_restarted(void **state)
{
	static const enum config_check_kind kinds[] = {CONFIG_CHECK_TCP, CONFIG_CHECK_NONE};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int accepted;

		start(kinds[i], MANNER_GRPC_SERVING);
		probe_restart(setting.probe);
		TURN_UNTIL(probe_healthy(setting.probe) && probe_speaks_h2(setting.probe));
		probe_stop(setting.probe);
		assert_int_equal(setting.downs, 1);
		assert_string_equal(probe_error(setting.probe), "the application does not run");
		accepted = server.accepted;
		probe_configure(setting.probe, &setting.app);
		for (int k = 0; k < 10; k++) {
			loop_turn(setting.loop, 20);
		}
		assert_int_equal(server.accepted, accepted);
		assert_false(probe_healthy(setting.probe));
		probe_restart(setting.probe);
		TURN_UNTIL(probe_healthy(setting.probe));
		assert_int_equal(setting.downs, 1);
		finish();
	}
}

/* Whatever was under way: nothing is left, nobody is called. */
static void destroyed_at_any_moment(void **state)
{
	static const enum config_check_kind kinds[] = {
		CONFIG_CHECK_TCP, CONFIG_CHECK_HTTP, CONFIG_CHECK_GRPC, CONFIG_CHECK_NONE};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (int turns = 0; turns < 8; turns++) {
			start(kinds[i], MANNER_GRPC_SERVING);
			probe_restart(setting.probe);
			for (int k = 0; k < turns; k++) {
				loop_turn(setting.loop, 2);
			}
			finish();
		}
	}
	probe_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(kinds_and_manners),
		cmocka_unit_test(http_check_looks_right), cmocka_unit_test(written_protocol),
		cmocka_unit_test(fall_and_rise), cmocka_unit_test(silence_ends),
		cmocka_unit_test(nobody_listens), cmocka_unit_test(restart_forgets),
		cmocka_unit_test(no_check), cmocka_unit_test(no_check_until_a_reload),
		cmocka_unit_test(stopped_until_restarted),
		cmocka_unit_test(destroyed_at_any_moment)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
