/*
 * Verbs from their words to their exit codes (operations.md CL-02, CL-04), against a small server
 * of this file that gives one prepared answer to each connection and keeps what it was asked.
 */
#include "test_cli.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ASKED_MAX 4096

static struct server {
	int fd;
	pthread_t thread;
	const char *answer; /* NULL: the connection is closed without one */
	char asked[ASKED_MAX];
	char address[64];
} server;

static struct capture captured;

/* One connection: a request with its body, one answer, closed. */
static void *serve(void *argument)
{
	int fd = accept(server.fd, NULL, NULL);
	size_t used = 0;
	const char *end = NULL;
	const char *length;

	(void)argument;
	while (fd >= 0 && used + 1 < sizeof server.asked) {
		ssize_t got = recv(fd, server.asked + used, sizeof server.asked - 1 - used, 0);

		if (got <= 0) {
			break;
		}
		used += (size_t)got;
		server.asked[used] = '\0';
		end = strstr(server.asked, "\r\n\r\n");
		length = strcasestr(server.asked, "content-length: ");
		if (end && (!length || server.asked + used >= end + 4 + atoi(length + 16))) {
			break;
		}
	}
	if (server.answer) {
		(void)!send(fd, server.answer, strlen(server.answer), MSG_NOSIGNAL);
	}
	close(fd);
	return NULL;
}

static int run_with(const char *answer, const char *const *words)
{
	int code;

	server.answer = answer;
	server.asked[0] = '\0';
	setenv("PILLION_ADMIN", server.address, 1);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
	code = capture_run(&captured, words);
	assert_int_equal(pthread_join(server.thread, NULL), 0);
	return code;
}

/* Where nothing is asked. */
static int run_alone(const char *const *words)
{
	setenv("PILLION_ADMIN", "http://127.0.0.1:1", 1);
	return capture_run(&captured, words);
}

#define ASK(answer, ...) run_with(answer, (const char *const[]){__VA_ARGS__, NULL})
#define RUN(...)	 run_alone((const char *const[]){__VA_ARGS__, NULL})

#define OK(body)                                                                                   \
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" body
#define HTML "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<p>hello</p>"
#define REFUSED(status, code)                                                                      \
	"HTTP/1.1 " status " X\r\nconnection: close\r\n\r\n{\"error\":{\"reason\":\"r\","          \
	"\"code\":\"" code "\",\"message\":\"m\",\"fix\":\"f\"}}"

static int setup(void **state)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;

	(void)state;
	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server.fd, (struct sockaddr *)&address, size) < 0 || listen(server.fd, 4) < 0 ||
		getsockname(server.fd, (struct sockaddr *)&address, &size) < 0) {
		return -1;
	}
	(void)snprintf(server.address, sizeof server.address, "http://127.0.0.1:%u",
		ntohs(address.sin_port));
	unsetenv("PILLION_TOKEN_FILE");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return close(server.fd);
}

static void lists(void **state)
{
	(void)state;
	assert_int_equal(
		ASK(OK("{\"items\":[{\"name\":\"stock\",\"instances\":2,\"up\":1}]}"), "services"),
		CLI_DONE);
	assert_non_null(strstr(captured.out, "SERVICE"));
	assert_non_null(strstr(captured.out, "stock"));
	assert_ptr_equal(strstr(server.asked, "GET /v1/services HTTP/1.1\r\n"), server.asked);
	assert_int_equal(ASK(OK("{\"items\":[]}"), "instances", "stock"), CLI_DONE);
	assert_non_null(strstr(server.asked, "GET /v1/instances?service=stock HTTP/1.1\r\n"));
	assert_int_equal(ASK(OK("{\"items\":[]}"), "instances", "a&b c"), CLI_DONE);
	assert_non_null(strstr(server.asked, "GET /v1/instances?service=a%26b%20c HTTP/1.1\r\n"));
	/* A chunked answer is an answer. */
	assert_int_equal(ASK("HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n"
			     "transfer-encoding: chunked\r\n\r\n"
			     "9\r\n{\"items\":\r\n3\r\n[]}\r\n0\r\n\r\n",
				 "-o", "json", "members"),
		CLI_DONE);
	assert_string_equal(captured.out, "{\"items\":[]}\n");
}

static void exit_codes(void **state)
{
	static const struct {
		const char *answer;
		const char *words[4];
		int code;
		const char *says;
	} codes[] = {
		{REFUSED("403", "PIL5403"), {"quit"}, CLI_FAILED,
			"error PIL5403: r: m\nfix:   f\n"},
		{REFUSED("404", "PIL5404"), {"services"}, CLI_FAILED, "PIL5404"},
		{REFUSED("409", "PIL5406"), {"quit"}, CLI_LATER, "PIL5406"},
		{REFUSED("503", "PIL3002"), {"members"}, CLI_LATER, "PIL3002"},
		{"HTTP/1.1 422 X\r\nconnection: close\r\n\r\n{\"text\":\"pillion.json:1:1: "
		 "bad\\n\"}",
			{"reload"}, CLI_CONFIG, "pillion.json:1:1: bad\n"},
		{NULL, {"services"}, CLI_NOT_REACHED, "error PIL4001"},
		{HTML, {"services"}, CLI_NOT_REACHED, "what answers there is no pillion"},
		{HTML, {"status"}, CLI_NOT_REACHED, "what answers there is no pillion"},
		{HTML, {"quit"}, CLI_NOT_REACHED, "what answers there is no pillion"},
		{"nonsense\r\n\r\n", {"services"}, CLI_NOT_REACHED, "error PIL4001"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		int code = run_with(codes[i].answer, codes[i].words);

		if (code != codes[i].code || !strstr(captured.err, codes[i].says)) {
			fail_msg("row %zu: %d, %s", i, code, captured.err);
		}
	}
	assert_int_equal(RUN("services"), CLI_NOT_REACHED);
	assert_non_null(strstr(captured.err, "no pillion answers at http://127.0.0.1:1"));
	assert_int_equal(RUN("wait", "--timeout", "300ms"), CLI_LATER);
	assert_non_null(
		strstr(captured.err, "PIL4005: not ready in that time; no pillion answers"));
}

/* What is wrong with an address is said in words about addresses. */
static void addresses(void **state)
{
	static const struct {
		const char *address, *says;
	} rows[] = {{"garbage", "(not of the form unix:PATH or http://HOST:PORT)"},
		{"https://127.0.0.1:1", "(not of the form"}, {"", "(not of the form"},
		{"unix:", "(not of the form"}, {"http://127.0.0.1:1", "(Connection refused)"},
		{"unix:/nowhere/x.sock", "(No such file or directory)"},
		{"http://no-such-host.invalid:1", "(no such host)"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(RUN("services", "--addr", rows[i].address), CLI_NOT_REACHED);
		if (!strstr(captured.err, rows[i].says)) {
			fail_msg("%s: %s", rows[i].address, captured.err);
		}
	}
}

/* A sidecar that is stopped takes connections until its queue is full, and answers none: commands
 * end all the same. */
static void full_queue(void **state)
{
	char folder[] = "/tmp/pillion-run-XXXXXX";
	char path[64];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, clients[64], used = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/pillion", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/pillion/a.sock", folder);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 1), 0);
	do {
		assert_in_range(used, 0, 63);
		clients[used] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	} while (connect(clients[used++], (struct sockaddr *)&address, sizeof address) == 0);
	assert_int_equal(errno, EAGAIN);
	setenv("XDG_RUNTIME_DIR", folder, 1);
	unsetenv("PILLION_ADMIN");
	assert_int_equal(
		capture_run(&captured, (const char *const[]){"status", "--timeout", "200ms", NULL}),
		CLI_NOT_REACHED);
	assert_non_null(strstr(captured.err, "PIL4005"));
	assert_non_null(strstr(captured.err, "/pillion/a.sock (no answer in time)"));
	while (used > 0) {
		close(clients[--used]);
	}
	close(fd);
	assert_int_equal(unlink(address.sun_path), 0);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(folder), 0);
	unsetenv("XDG_RUNTIME_DIR");
}

/* AD-03: a change says that it is one. */
static void changes_are_marked(void **state)
{
	(void)state;
	assert_int_equal(ASK(OK("{}"), "quit"), CLI_DONE);
	assert_string_equal(captured.out, "draining\n");
	assert_ptr_equal(strstr(server.asked, "POST /v1/quit HTTP/1.1\r\n"), server.asked);
	assert_non_null(strcasestr(server.asked, "\r\nx-pillion-admin: 1\r\n"));
	assert_non_null(strcasestr(server.asked, "\r\ncontent-type: application/json\r\n"));
	assert_null(strcasestr(server.asked, "authorization"));
	assert_int_equal(
		ASK(OK("{\"text\":\"+ x\\n\"}"), "reload", "--dry-run", "--if-generation=4"),
		CLI_DONE);
	assert_string_equal(captured.out, "+ x\n");
	assert_non_null(strstr(server.asked, "\"dry_run\":true"));
	assert_non_null(strstr(server.asked, "\"if_generation\":4"));
}

/* OT-10: with json and jsonl both streams parse, whatever the answer is. */
static void objects_in_json(void **state)
{
	static const char *const forms[] = {"json", "jsonl"};
	json_t *json;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		const struct {
			const char *answer;
			const char *words[6];
			int code;
		} rows[] = {
			{OK("{\"code\":0,\"text\":\"no\"}"), {"reload", "-o", forms[i]}, CLI_DONE},
			{OK("{\"role\":\"leader\",\"peers\":[]}"),
				{"raft", "status", "-o", forms[i]}, CLI_DONE},
			{OK("{\"phase\":\"serving\"}"), {"status", "-o", forms[i]}, CLI_DONE},
			{REFUSED("403", "PIL5403"), {"quit", "-o", forms[i]}, CLI_FAILED},
			{NULL, {"services", "-o", forms[i]}, CLI_NOT_REACHED},
		};

		for (size_t j = 0; j < ARRAY_SIZE(rows); j++) {
			assert_int_equal(run_with(rows[j].answer, rows[j].words), rows[j].code);
			json = json_loads(
				rows[j].code == CLI_DONE ? captured.out : captured.err, 0, NULL);
			if (!json) {
				fail_msg("%s %s: %s%s", rows[j].words[0], forms[i], captured.out,
					captured.err);
			}
			json_decref(json);
		}
		assert_int_equal(RUN("version", "-o", forms[i]), CLI_DONE);
		json = json_loads(captured.out, 0, NULL);
		assert_non_null(json);
		json_decref(json);
	}
}

static void raft_verbs(void **state)
{
	(void)state;
	assert_int_equal(ASK(OK("{}"), "raft", "transfer"), CLI_DONE);
	assert_non_null(strstr(server.asked, "POST /v1/raft/transfer "));
	assert_int_equal(ASK(OK("{}"), "raft", "promote", "1f"), CLI_DONE);
	assert_non_null(strstr(server.asked, "{\"argument\":\"1f\"}"));
	assert_int_equal(RUN("raft", "promote"), CLI_USAGE);
	assert_non_null(strstr(captured.err, "promote takes the ID of a replica"));
	assert_int_equal(RUN("raft", "add"), CLI_USAGE);
	assert_int_equal(RUN("raft", "vote"), CLI_USAGE);
}

static void token_file(void **state)
{
	char path[] = "/tmp/pillion-token-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, "secret-token\n", 13), 13);
	close(fd);
	assert_int_equal(ASK(OK("{}"), "quit", "--token-file", path), CLI_DONE);
	assert_non_null(strcasestr(server.asked, "\r\nauthorization: Bearer secret-token\r\n"));
	assert_int_equal(unlink(path), 0);
	/* Not every path wants one, so that it cannot be read is said and no error yet. */
	assert_int_equal(ASK(OK("{}"), "quit", "--token-file", path), CLI_DONE);
	assert_non_null(strstr(captured.err, path));
	assert_null(strcasestr(server.asked, "authorization"));
}

static void health(void **state)
{
	(void)state;
	assert_int_equal(ASK(OK("ok"), "health", "--ready"), CLI_DONE);
	assert_string_equal(captured.out, "ok\n");
	assert_non_null(strstr(server.asked, "GET /readyz "));
	assert_int_equal(ASK(OK("ok"), "health", "--live", "-q"), CLI_DONE);
	assert_string_equal(captured.out, "");
	assert_int_equal(ASK("HTTP/1.1 503 X\r\nconnection: close\r\n\r\n[-] app: refused\n",
				 "health", "--startup"),
		CLI_FAILED);
	assert_non_null(strstr(captured.out, "[-] app: refused"));
	assert_int_equal(RUN("health"), CLI_FAILED);
	assert_non_null(strstr(captured.out, "no pillion answers at http://127.0.0.1:1 ("));
	/* Somebody else's page is no health. */
	assert_int_equal(ASK(HTML, "health", "--ready"), CLI_FAILED);
	assert_non_null(strstr(captured.out, "is no pillion"));
}

/* CL-02: what changes something wants one sidecar; sockets on which nobody listens do not count. */
static void several_sidecars(void **state)
{
	char folder[] = "/tmp/pillion-run-XXXXXX";
	char path[64];
	int fds[2];

	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/pillion", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};

		(void)snprintf(
			address.sun_path, sizeof address.sun_path, "%s/pillion/%d.sock", folder, i);
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fds[i], (struct sockaddr *)&address, sizeof address), 0);
		assert_int_equal(listen(fds[i], 8), 0);
	}
	setenv("XDG_RUNTIME_DIR", folder, 1);
	unsetenv("PILLION_ADMIN");
	assert_int_equal(capture_run(&captured, (const char *const[]){"quit", NULL}), CLI_USAGE);
	assert_non_null(strstr(captured.err, "PIL4003"));
	assert_int_equal(capture_run(&captured, (const char *const[]){"quit", "-o", "json", NULL}),
		CLI_USAGE);

	json_t *json = json_loads(captured.err, 0, NULL);

	assert_non_null(json);
	json_decref(json);
	assert_int_equal(capture_run(&captured, (const char *const[]){"quit", NULL}), CLI_USAGE);
	for (int i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof path, "--addr unix:%s/pillion/%d.sock\n", folder, i);
		assert_non_null(strstr(captured.err, path));
		close(fds[i]);
		(void)snprintf(path, sizeof path, "%s/pillion/%d.sock", folder, i);
	}

	char addresses[16][256];
	struct command command = {0};
	int count = command_addresses(&command, addresses, 16);

	/* Other sidecars may run on this machine; these two are dead now. */
	for (int i = 0; i < count; i++) {
		assert_null(strstr(addresses[i], folder));
	}
	for (int i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof path, "%s/pillion/%d.sock", folder, i);
		assert_int_equal(unlink(path), 0);
	}
	(void)snprintf(path, sizeof path, "%s/pillion", folder);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(folder), 0);
	unsetenv("XDG_RUNTIME_DIR");
}

static void without_a_sidecar(void **state)
{
	(void)state;
	assert_int_equal(RUN("version"), CLI_DONE);
	assert_ptr_equal(strstr(captured.out, "pillion "), captured.out);
	assert_int_equal(RUN("explain", "PIL2001"), CLI_DONE);
	assert_non_null(strstr(captured.out, "cause: "));
	assert_int_equal(RUN("explain", "2001"), CLI_DONE);
	assert_int_equal(RUN("explain", "service_unknown"), CLI_DONE);
	assert_non_null(strstr(captured.out, "PIL5021"));
	assert_int_equal(RUN("explain", "service_unknow"), CLI_FAILED);
	assert_non_null(strstr(captured.err, "did you mean service_unknown?"));
	assert_int_equal(RUN("explain", "PIL9"), CLI_FAILED);
	assert_int_equal(RUN("explain", "2001x"), CLI_FAILED);
	assert_int_equal(RUN("explain", "99999999999999999999"), CLI_FAILED);
	assert_string_equal(captured.err, "no such code: PIL99999999999999999999\n");
	assert_int_equal(RUN("explain"), CLI_USAGE);
	assert_int_equal(RUN("help"), CLI_DONE);
	assert_non_null(strstr(captured.out, "dead letters"));
}

static void check(void **state)
{
	static const char good[] =
		"{\"service\":{\"name\":\"a\"},\"registry\":{\"kind\":\"static\"}}";
	char path[] = "/tmp/pillion-check-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, "{ \"servise\": {} }", 17), 17);
	assert_int_equal(RUN("check", path), CLI_CONFIG);
	assert_non_null(strstr(captured.err, ":1:3: error PIL1101"));
	assert_non_null(strstr(captured.err, "service"));
	assert_int_equal(RUN("check", "/nonexistent/pillion.json"), CLI_CONFIG);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, good, strlen(good), 0), strlen(good));
	assert_int_equal(RUN("check", path), CLI_DONE);
	assert_int_equal(RUN("check", "-c", path), CLI_DONE);
	assert_non_null(strstr(captured.out, path));
	assert_int_equal(RUN("config", "show", "-c", path), CLI_DONE);
	assert_non_null(strstr(captured.out, "\"static\""));
	assert_int_equal(RUN("config", "schema"), CLI_DONE);
	assert_int_equal(RUN("config", "nonsense"), CLI_USAGE);
	close(fd);
	assert_int_equal(unlink(path), 0);
}

/* CL-01: whoever asks for help gets an example, all flags, and one screen. */
static void help_of_each(void **state)
{
	size_t count;
	const struct command_row *rows = command_rows(&count);

	(void)state;
	for (size_t i = 0; i <= count; i++) {
		size_t lines = 0;
		const char *line;

		assert_int_equal(i < count ? RUN("help", rows[i].verb) : RUN("help"), CLI_DONE);
		for (line = captured.out; *line; line += strcspn(line, "\n") + 1) {
			assert_true(strcspn(line, "\n") <= 80);
			lines++;
		}
		assert_in_range(lines, 10, 24);
		assert_ptr_equal(strstr(captured.out, "pillion "), captured.out);
		for (const struct command_option *option = i < count ? rows[i].options : NULL;
			option && option->name; option++) {
			assert_non_null(strstr(captured.out, option->name));
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(lists), TEST(exit_codes), TEST(changes_are_marked),
		TEST(token_file), TEST(health), TEST(several_sidecars), TEST(without_a_sidecar),
		TEST(check), TEST(help_of_each), TEST(addresses), TEST(full_queue),
		TEST(objects_in_json), TEST(raft_verbs)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
