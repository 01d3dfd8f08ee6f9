/*
 * call, pub, sub, dlq and groups (operations.md 7, broker.md 18): what they ask for, what they
 * print, and how they end, against a small server of this file that gives one prepared answer to
 * each connection, in order, and keeps what it was asked.
 */
#include "test_cli.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#define ASKED_MAX   65536
#define ANSWERS_MAX 6

static struct server {
	int fd;
	pthread_t thread;
	const char *answers[ANSWERS_MAX + 1]; /* ends with NULL */
	char asked[ASKED_MAX];		      /* all requests, one behind the other */
	size_t used;
	char address[64], status[512];
} server;

static struct capture captured;

/* One request with its body, appended to `asked`. */
static void take_request(int fd)
{
	char *begin = server.asked + server.used;

	for (;;) {
		ssize_t got = recv(
			fd, server.asked + server.used, sizeof server.asked - 1 - server.used, 0);
		const char *end;
		const char *length;

		if (got <= 0) {
			return;
		}
		server.used += (size_t)got;
		server.asked[server.used] = '\0';
		end = strstr(begin, "\r\n\r\n");
		length = strcasestr(begin, "content-length: ");
		if (end && (!length || length > end ||
				   server.asked + server.used >= end + 4 + atoi(length + 16))) {
			return;
		}
	}
}

static void *serve(void *argument)
{
	(void)argument;
	for (size_t i = 0; server.answers[i]; i++) {
		int fd = accept(server.fd, NULL, NULL);

		if (fd < 0) {
			break; /* the command asked less often; the rest is not wanted */
		}
		take_request(fd);
		(void)!send(fd, server.answers[i], strlen(server.answers[i]), MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

static void open_server(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;

	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(server.fd, 4), 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&address, &size), 0);
	(void)snprintf(server.address, sizeof server.address, "http://127.0.0.1:%u",
		ntohs(address.sin_port));
	/* It is its own outbound listener. */
	(void)snprintf(server.status, sizeof server.status,
		"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: "
		"close\r\n\r\n{\"listeners\":[{\"name\":\"outbound\","
		"\"kind\":\"outbound\",\"address\":\"127.0.0.1:%u\"}]}",
		ntohs(address.sin_port));
	unsetenv("PILLION_TOKEN_FILE");
}

#define STATUS "status"

struct row {
	const char *words[10];
	const char *answers[ANSWERS_MAX]; /* STATUS stands for that of a sidecar */
	int code;
	const char *out;      /* all of standard output; NULL: not looked at */
	const char *says;     /* a part of standard error */
	const char *asked[4]; /* parts of the requests, in this order */
};

static void run_row(const struct row *row)
{
	const char *at = server.asked;
	int code;

	open_server();
	server.used = 0;
	server.asked[0] = '\0';
	for (size_t i = 0; i < ANSWERS_MAX; i++) {
		server.answers[i] = row->answers[i] && strcmp(row->answers[i], STATUS) == 0
					    ? server.status
					    : row->answers[i];
	}
	setenv("PILLION_ADMIN", row->answers[0] ? server.address : "http://127.0.0.1:1", 1);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
	code = capture_run(&captured, row->words);
	/* Where the command asked less often than the row says, the server must not wait on. */
	(void)shutdown(server.fd, SHUT_RDWR);
	assert_int_equal(pthread_join(server.thread, NULL), 0);
	close(server.fd);
	if (code != row->code || (row->out && strcmp(captured.out, row->out) != 0) ||
		!strstr(captured.err, row->says)) {
		fail_msg("%s %s: code %d\nout: %s\nerr: %s", row->words[0],
			row->words[1] ? row->words[1] : "", code, captured.out, captured.err);
	}
	for (size_t i = 0; i < 4 && row->asked[i]; i++) {
		const char *found = strcasestr(at, row->asked[i]);

		if (!found) {
			fail_msg("%s %s did not ask: %s\nasked: %s", row->words[0], row->words[1],
				row->asked[i], server.asked);
		}
		at = found + 1;
	}
}

static void run_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		run_row(&rows[i]);
	}
}

#define RUN_ROWS(rows) run_rows(rows, sizeof(rows) / sizeof *(rows))
#define ANSWER(code, body)                                                                         \
	"HTTP/1.1 " code " X\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" body
#define WITH(code, fields, body)                                                                   \
	"HTTP/1.1 " code " X\r\nconnection: close\r\n" fields "\r\n\r\n" body
#define REFUSED(status)                                                                            \
	ANSWER(status, "{\"error\":{\"reason\":\"r\",\"code\":\"PIL6001\",\"message\":\"m\","      \
		       "\"fix\":\"f\"}}")

static void call(void **state)
{
	static const struct row rows[] = {
		{{"call", "stock", "GET /items/1"}, {STATUS, ANSWER("200", "{\"a\":1}")}, CLI_DONE,
			"{\"a\":1}\n", "status 200\n",
			{"GET /v1/status", "GET /items/1 HTTP/1.1\r\n", "host: stock\r\n"}},
		/* What ends with a line break gets no second one; the exit code follows the call.
		 */
		{{"call", "stock", "GET /x"},
			{STATUS, WITH("503", "x-pillion-reason: no_instance", "gone\n")},
			CLI_FAILED, "gone\n", "status 503   no_instance\n", {NULL}},
		{{"call", "stock", "/shop.Stock/Get", "{}"},
			{STATUS, WITH("200", "grpc-status: 5", "")}, CLI_FAILED, "",
			"status 200   grpc-status 5\n",
			{"POST /shop.Stock/Get ", "content-type: application/json", "\r\n\r\n{}"}},
		{{"call", "stock", "shop.Stock.Get", "-d", "{\"s\":1}"},
			{STATUS, WITH("200", "grpc-status: 0", "{}")}, CLI_DONE, "{}\n",
			"grpc-status 0\n", {"POST /shop.Stock/Get ", "\r\n\r\n{\"s\":1}"}},
		/* An empty body is a body: the empty message. */
		{{"call", "stock", "Get"}, {STATUS, ANSWER("200", "")}, CLI_DONE, "", "status 200",
			{"POST /Get ", "content-length: 0\r\n"}},
		{{"call", "stock", "GET   /x", "-H", "X-Mine:  a b", "-H", "y:2"},
			{STATUS, ANSWER("200", "")}, CLI_DONE, "", "status 200",
			{"x-mine: a b\r\n", "y: 2\r\n"}},
		{{"call", "stock", "GET /x", "--repeat", "2"},
			{STATUS, ANSWER("500", "a"), ANSWER("200", "b")}, CLI_FAILED, "a\nb\n",
			"status 500\nstatus 200\n", {"GET /x ", "GET /x "}},
		{{"call", "stock", "GET /x", "--repeat=3"},
			{STATUS, ANSWER("200", "a"), "nonsense"}, CLI_FAILED, "a\n", "PIL4001",
			{NULL}},
		{{"call", "stock", "GET /x", "--repeat", "0"}, {NULL}, CLI_USAGE, "",
			"usage: pillion call", {NULL}},
		{{"call", "stock", "GET"}, {NULL}, CLI_USAGE, "", "METHOD is 'GET /path'", {NULL}},
		{{"call", "stock", "GET x"}, {NULL}, CLI_USAGE, "", "METHOD is", {NULL}},
		{{"call", "stock", "GET /x", "-H", "no field"}, {NULL}, CLI_USAGE, "",
			"-H takes 'NAME: VALUE', up to 32 times and 1023 bytes, not no field",
			{NULL}},
		{{"call", "stock", "GET /x", "-d", "@/"}, {NULL}, CLI_USAGE, "",
			"/: Is a directory", {NULL}},
		{{"call", "stock"}, {NULL}, CLI_USAGE, "", "usage: pillion call", {NULL}},
		{{"call", "stock", "GET /x", "-d", "@/nonexistent/file"}, {NULL}, CLI_USAGE, "",
			"/nonexistent/file: No such file", {NULL}},
		{{"call", "stock", "GET /x"}, {NULL}, CLI_NOT_REACHED, "", "PIL4001", {NULL}},
		{{"call", "stock", "GET /x"}, {STATUS, "nonsense\r\n\r\n"}, CLI_FAILED, "",
			"PIL4001", {NULL}},
	};

	char path[9000] = "GET /";

	(void)state;
	RUN_ROWS(rows);
	/* Its author knows better what it is, and there is one type. */
	run_row(&(struct row){
		{"call", "stock", "PUT /x", "-d", "hi", "-H", "Content-Type: text/plain"},
		{STATUS, ANSWER("200", "")}, CLI_DONE, "", "status 200",
		{"PUT /x ", "content-type: text/plain\r\n"}});
	assert_null(strcasestr(server.asked, "application/json"));
	/* A part of a path would be another path. */
	memset(path + 5, 'a', sizeof path - 6);
	run_row(&(struct row){{"call", "stock", path}, {NULL}, CLI_USAGE, "", "METHOD is", {NULL}});
}

static void pub(void **state)
{
	static const struct row rows[] = {
		{{"pub", "stock.low", "{\"sku\":1}"}, {STATUS, ANSWER("200", "{\"id\":\"7\"}")},
			CLI_DONE, "{\"id\":\"7\"}\n", "",
			{"POST /v1/pub/stock.low ", "content-type: application/json\r\n",
				"\r\n\r\n{\"sku\":1}"}},
		{{"pub", "t", "not json", "--key=k", "--ttl", "5s", "-q"},
			{STATUS, ANSWER("200", "{}")}, CLI_DONE, "", "",
			{"content-type: application/octet-stream\r\n", "ce-partitionkey: k\r\n",
				"x-pillion-ttl: 5s\r\n"}},
		/* The sidecar says what is wrong with the name, not with the request. */
		{{"pub", "a b?\xc3\xa9%", "x"}, {STATUS, REFUSED("400")}, CLI_FAILED, "", "PIL6001",
			{"POST /v1/pub/a%20b%3F%C3%A9%25 "}},
		{{"pub", "t", "x", "--count=2"}, {STATUS, ANSWER("200", "1"), ANSWER("200", "2")},
			CLI_DONE, "1\n2\n", "", {"POST /v1/pub/t ", "POST /v1/pub/t "}},
		/* The first refusal ends it. */
		{{"pub", "t", "x", "--count", "3"}, {STATUS, ANSWER("200", "1"), REFUSED("413")},
			CLI_FAILED, "1\n", "error PIL6001: r: m\nfix:   f\n", {NULL}},
		{{"pub", "t", "x"}, {STATUS, REFUSED("503")}, CLI_LATER, "", "PIL6001", {NULL}},
		{{"pub", "t", "x", "--count", "0"}, {NULL}, CLI_USAGE, "", "usage: pillion pub",
			{NULL}},
		{{"pub", "t", "x", "--count", "2x"}, {NULL}, CLI_USAGE, "", "usage: pillion pub",
			{NULL}},
		{{"pub"}, {NULL}, CLI_USAGE, "", "usage: pillion pub", {NULL}},
		{{"pub", "t", "--file", "/nonexistent"}, {NULL}, CLI_USAGE, "",
			"/nonexistent: No such file", {NULL}},
		{{"pub", "t", "--file", "/"}, {NULL}, CLI_USAGE, "", "/: Is a directory", {NULL}},
		{{"pub", "t", "--file", "/dev/zero"}, {NULL}, CLI_USAGE, "",
			"/dev/zero: more than 16 MiB", {NULL}},
		{{"pub", "t", "x"}, {NULL}, CLI_NOT_REACHED, "", "PIL4001", {NULL}},
	};

	(void)state;
	RUN_ROWS(rows);
}

#define MESSAGE(lease, data)                                                                       \
	"{\"lease\":\"" lease "\",\"event\":{\"id\":\"" lease "\",\"data\":" data "}}"

static void sub(void **state)
{
	static const struct row rows[] = {
		/* Printed, then settled, each by its own lease. */
		{{"sub", "stock.low", "--group", "g", "--count=2"},
			{STATUS,
				ANSWER("200", "{\"messages\":[" MESSAGE("a", "1") "," MESSAGE(
						      "b", "{\"x\":2}") "]}"),
				ANSWER("200", "{}"), ANSWER("200", "{}")},
			CLI_DONE, "{\"id\":\"a\",\"data\":1}\n{\"id\":\"b\",\"data\":{\"x\":2}}\n",
			"",
			{"POST /v1/sub/stock.low/g/fetch ", "{\"max\":2,\"wait\":\"30s\"}",
				"POST /v1/sub/stock.low/g/ack ", "{\"ack\":[\"a\"]}"}},
		/* An empty answer is asked again; without a group it is one of its own. */
		{{"sub", "t", "--count", "1", "--raw", "--no-ack"},
			{STATUS, ANSWER("200", "{\"messages\":[]}"),
				ANSWER("200", "{\"messages\":[" MESSAGE("a", "\"text\"") "]}"),
				ANSWER("200", "{}")},
			CLI_DONE, "\"text\"\n", "",
			{"POST /v1/sub/t/~sub-", "/fetch ", "/fetch ",
				"{\"nack\":[{\"lease\":\"a\",\"delay\":\"0s\"}]}"}},
		{{"sub", "o.>", "--group", "g#"}, {STATUS, REFUSED("400")}, CLI_FAILED, "",
			"PIL6001", {"POST /v1/sub/o.%3E/g%23/fetch "}},
		{{"sub", "t", "--group=g"}, {STATUS, REFUSED("404")}, CLI_FAILED, "",
			"error PIL6001", {NULL}},
		{{"sub", "t"}, {STATUS, "nonsense\r\n\r\n"}, CLI_FAILED, "", "PIL4001", {NULL}},
		{{"sub"}, {NULL}, CLI_USAGE, "", "usage: pillion sub", {NULL}},
		{{"sub", "t", "--count", "0"}, {NULL}, CLI_USAGE, "", "usage: pillion sub", {NULL}},
		{{"sub", "t", "--count", "x"}, {NULL}, CLI_USAGE, "", "usage: pillion sub", {NULL}},
		{{"sub", "t"}, {NULL}, CLI_NOT_REACHED, "", "PIL4001", {NULL}},
	};

	(void)state;
	RUN_ROWS(rows);
}

static void dead_letters(void **state)
{
	static const char list[] =
		ANSWER("200", "{\"items\":[{\"id\":\"i1\",\"reason\":\"rejected\",\"status\":422,"
			      "\"attempts\":3,\"time\":\"t\",\"answer\":\"no\"}]}");
	static const struct row rows[] = {
		{{"dlq", "ls", "t/g"}, {list}, CLI_DONE,
			"ID  REASON    STATUS  ATTEMPTS  TIME  ANSWER\n"
			"i1  rejected     422         3  t     no\n",
			"", {"GET /v1/dlq/t/g HTTP"}},
		{{"dlq", "ls", "t/g", "-o", "jsonl"}, {list}, CLI_DONE,
			"{\"id\":\"i1\",\"reason\":\"rejected\",\"status\":422,\"attempts\":3,"
			"\"time\":\"t\",\"answer\":\"no\"}\n",
			"", {NULL}},
		{{"dlq", "show", "t/g", "i1"}, {ANSWER("200", "{\"id\":\"i1\"}")}, CLI_DONE,
			"{\"id\":\"i1\"}\n", "", {"GET /v1/dlq/t/g/i1 HTTP"}},
		{{"dlq", "replay", "t/g"}, {ANSWER("200", "{\"replayed\":2}")}, CLI_DONE,
			"{\"replayed\":2}\n", "", {"POST /v1/dlq/t/g/replay ", "\r\n\r\n{}"}},
		{{"dlq", "drop", "t/g", "--id=i1", "--yes"}, {ANSWER("200", "{}")}, CLI_DONE,
			"{}\n", "", {"POST /v1/dlq/t/g/drop ", "{\"id\":\"i1\"}"}},
		{{"dlq", "drop", "t/g"}, {NULL}, CLI_USAGE, "", "say --yes", {NULL}},
		{{"dlq", "show", "t/g", "a b"}, {ANSWER("200", "{}")}, CLI_DONE, "{}\n", "",
			{"GET /v1/dlq/t/g/a%20b HTTP"}},
		{{"dlq", "show", "t/g"}, {NULL}, CLI_USAGE, "", "show takes the ID", {NULL}},
		{{"dlq", "eat", "t/g"}, {NULL}, CLI_USAGE, "", "not eat", {NULL}},
		{{"dlq", "ls", "t"}, {NULL}, CLI_USAGE, "", "TOPIC/GROUP", {NULL}},
		{{"dlq", "ls", "t/g"}, {REFUSED("404")}, CLI_FAILED, "", "PIL6001", {NULL}},
		{{"dlq", "replay", "t/g"}, {REFUSED("409")}, CLI_LATER, "", "PIL6001", {NULL}},
		{{"dlq", "ls", "t/g"}, {NULL}, CLI_NOT_REACHED, "", "PIL4001", {NULL}},
	};

	(void)state;
	RUN_ROWS(rows);
}

static void groups(void **state)
{
	static const char list[] =
		ANSWER("200", "{\"items\":[{\"topic\":\"t\",\"group\":\"g\",\"members\":1,"
			      "\"backlog\":12,\"in_flight\":0,\"retrying\":0,\"dead_letters\":3,"
			      "\"last_error\":\"\"}],\"generation\":1}");
	static const struct row rows[] = {
		{{"groups"}, {list}, CLI_DONE, NULL, "", {"GET /v1/groups HTTP"}},
		{{"groups", "ls"}, {ANSWER("200", "{\"items\":[]}")}, CLI_DONE,
			"TOPIC  GROUP  MEMBERS  BACKLOG  IN-FLIGHT  RETRYING  DLQ  LAST-ERROR\n",
			"", {NULL}},
		{{"groups", "-o", "jsonl"}, {ANSWER("200", "{\"items\":[]}")}, CLI_DONE, "", "",
			{NULL}},
		{{"groups", "resume", "t/g"}, {ANSWER("200", "{}")}, CLI_DONE, "{}\n", "",
			{"POST /v1/groups/t/g/resume ", "\r\n\r\n{}"}},
		{{"groups", "rm", "t/g", "--yes"}, {ANSWER("200", "{}")}, CLI_DONE, "{}\n", "",
			{"POST /v1/groups/t/g/rm "}},
		{{"groups", "rm", "t/g"}, {NULL}, CLI_USAGE, "", "say --yes", {NULL}},
		{{"groups", "rm", "t"}, {NULL}, CLI_USAGE, "", "TOPIC/GROUP", {NULL}},
		{{"groups", "eat"}, {NULL}, CLI_USAGE, "", "not eat", {NULL}},
		{{"groups", "resume", "t/g"}, {REFUSED("404")}, CLI_FAILED, "", "PIL6001", {NULL}},
		{{"groups"}, {NULL}, CLI_NOT_REACHED, "", "PIL4001", {NULL}},
	};

	(void)state;
	RUN_ROWS(rows);
	/* CL-02: a generation that is no number would mean any. */
	run_row(&(struct row){{"reload", "--if-generation", "x"}, {NULL}, CLI_USAGE, "",
		"--if-generation", {NULL}});
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(call), TEST(pub), TEST(sub), TEST(dead_letters), TEST(groups)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
