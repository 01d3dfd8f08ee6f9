/*
 * The admin interface over real sockets (operations.md AD-03, AD-05, AD-06): paths, parameters,
 * parts, methods, limits, guards in every answer. The pages are fakes that print what they were
 * handed; the control room is a fake that has a loop and a configuration.
 */
#include "test_admin.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "admin/admin.h"
#include "admin/pages.h"
#include "admin/server.h"
#include "admin/socket.h"
#include "admin/writer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/listener.h"
#include "net/loop.h"

static struct loop *loop;
static struct config config;
static struct control_plugin plugin;

const struct config *control_config(const struct control *control)
{
	(void)control;
	return &config;
}

struct loop *control_loop(struct control *control)
{
	(void)control;
	return loop;
}

struct control_plugin *control_admin(struct control *control)
{
	(void)control;
	return &plugin;
}

const char *control_data_dir(const struct control *control)
{
	(void)control;
	return NULL;
}

const char *control_service(const struct control *control)
{
	(void)control;
	return "orders";
}

struct registry *control_registry(const struct control *control)
{
	(void)control;
	return NULL;
}

/* A page of PAGE_PIECES pieces, written over many turns. */
#define PAGE_PIECE  1000
#define PAGE_PIECES 2000

struct page {
	struct admin_writer writer;
	unsigned pieces;
};

/* What the test sees of the last one. */
static unsigned page_turns, page_ends;
static size_t page_turn_most;
static uint64_t page_turn;
static size_t page_turn_bytes;
static uint64_t turns;

static bool page_piece(struct admin_writer *writer, struct buf *text)
{
	struct page *page = container_of(writer, struct page, writer);

	if (page->pieces == PAGE_PIECES) {
		return false;
	}
	if (page_turn != turns) {
		page_turn = turns;
		page_turn_bytes = 0;
		page_turns++;
	}
	page->pieces++;
	memset(buf_reserve(text, PAGE_PIECE), 'x', PAGE_PIECE);
	text->size += PAGE_PIECE;
	page_turn_bytes += PAGE_PIECE;
	page_turn_most = page_turn_bytes > page_turn_most ? page_turn_bytes : page_turn_most;
	return true;
}

static void page_done(struct admin_writer *writer)
{
	page_ends++;
	mem_free(container_of(writer, struct page, writer));
}

void metrics_page(struct admin_call *call)
{
	struct page *page = mem_zalloc(sizeof *page);

	page_turns = page_ends = 0;
	page_turn_most = 0;
	page_turn = UINT64_MAX;
	page->writer = (struct admin_writer){
		.call = call, .type = "text/plain", .piece = page_piece, .done = page_done};
	admin_writer_start(&page->writer);
}

/* "name|part,part|parameter=value ...|body" */
static void echo(struct admin_call *call, const char *name)
{
	struct buf text;

	buf_init(&text);
	buf_appendf(&text, "%s|", name);
	for (unsigned i = 0; i < call->part_count; i++) {
		buf_appendf(&text, "%s%s", i ? "," : "", call->parts[i]);
	}
	buf_append_string(&text, "|");
	for (const char *pair = call->query; pair && *pair; pair += strlen(pair) + 1) {
		buf_appendf(&text, "%s ", pair);
	}
	buf_appendf(&text, "|%s", call->body ? call->body : "");
	admin_answer_text(call, 200, "text/plain", buf_slice(&text));
	buf_fini(&text);
}

#define FAKE(name)                                                                                 \
	void name(struct admin_call *call)                                                         \
	{                                                                                          \
		echo(call, #name);                                                                 \
	}
FAKE(health_live)
FAKE(health_startup)
FAKE(health_ready)
FAKE(health_wait)
FAKE(status_page)
FAKE(status_quit_page)
FAKE(status_log_level_page)
FAKE(services_page)
FAKE(service_page)
FAKE(services_instances_page)
FAKE(raft_page)
FAKE(raft_verb_page)
FAKE(raft_members_page)
FAKE(topics_page)
FAKE(topics_groups_page)
FAKE(topics_verb_page)
FAKE(topics_dlq_page)
FAKE(topics_dlq_show_page)
FAKE(topics_dlq_replay_page)
FAKE(topics_dlq_drop_page)
FAKE(config_page)
FAKE(config_schema_page)
FAKE(config_reload_page)

/* The clock is the machine's plus what a test skips: no test waits for a limit of seconds. */
static uint64_t skipped_ms;

uint64_t clock_monotonic_ns(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + skipped_ms * 1000000;
}

uint64_t clock_monotonic_ms(void)
{
	return clock_monotonic_ns() / 1000000;
}

uint64_t clock_boottime_ms(void)
{
	return clock_monotonic_ms();
}

uint64_t clock_wall_ns(void)
{
	return (uint64_t)time(NULL) * 1000000000;
}

uint64_t clock_wall_ms(void)
{
	return (uint64_t)time(NULL) * 1000;
}

void clock_format_wall(uint64_t wall_ms, char ret_text[CLOCK_TEXT_SIZE])
{
	(void)snprintf(ret_text, CLOCK_TEXT_SIZE, "%llu", (unsigned long long)wall_ms);
}

static void turn(int wait_ms)
{
	turns++;
	loop_turn(loop, wait_ms);
}

static void pass_time(uint64_t ms)
{
	skipped_ms += ms;
	/* The wheel turns at most so far in one go; timers that are armed anew get their chance. */
	for (int i = 0; i < 4; i++) {
		turn(0);
	}
}

/* --- the test's side -------------------------------------------------------------------------- */

struct setting {
	char path[64];
	int tcp, metrics; /* ports */
};

static int bind_door(int *ret_port)
{
	struct address address;
	struct sockaddr_in bound;
	socklen_t size = sizeof bound;
	int fd = -1;

	assert_true(address_parse(SLICE("127.0.0.1:0"), true, &address));
	assert_int_equal(listener_bind(&address, 1, &fd), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
	*ret_port = ntohs(bound.sin_port);
	return fd;
}

static int setup(void **state)
{
	static struct setting setting;
	struct err err;
	int tcp = bind_door(&setting.tcp);
	int metrics = bind_door(&setting.metrics);

	assert_int_equal(loop_create(&loop), 0);
	(void)snprintf(
		setting.path, sizeof setting.path, "/tmp/pillion-admin-%d.sock", (int)getpid());
	config = (struct config){0};

	config.admin.socket = setting.path;
	plugin = admin_plugin();
	err_clear(&err);
	assert_int_equal(plugin.start((struct control *)(void *)&setting, tcp, metrics, &err), 0);
	*state = &setting;
	return 0;
}

static int teardown(void **state)
{
	struct setting *setting = *state;

	plugin.stop((struct control *)(void *)setting);
	for (int i = 0; i < 4; i++) {
		loop_turn(loop, 0);
	}
	loop_destroy(loop);
	assert_int_equal(access(setting->path, F_OK), -1);
	return 0;
}

static int dial(const struct setting *setting, enum admin_door door)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(door == ADMIN_UNIX ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (door == ADMIN_UNIX) {
		(void)snprintf(local.sun_path, sizeof local.sun_path, "%s", setting->path);
		assert_int_equal(connect(fd, (struct sockaddr *)&local, sizeof local), 0);
	} else {
		v4.sin_port =
			htons((uint16_t)(door == ADMIN_TCP ? setting->tcp : setting->metrics));
		if (connect(fd, (struct sockaddr *)&v4, sizeof v4) < 0) {
			assert_int_equal(errno, EINPROGRESS);
		}
	}
	return fd;
}

/* Sends all of it while the loop turns; returns what came until the end of the connection. */
static void exchange_bytes(int fd, struct slice text, struct buf *ret_answer)
{
	uint64_t end = clock_monotonic_ms() + TEST_WAIT_MS;

	for (;;) {
		uint8_t piece[4096];
		ssize_t got;

		assert_true(clock_monotonic_ms() < end);
		if (text.size > 0) {
			got = send(fd, text.data, text.size, MSG_NOSIGNAL);
			if (got > 0) {
				text = slice_from(text, (size_t)got);
			} else if (got < 0 && errno != EAGAIN && errno != ENOTCONN) {
				text.size = 0; /* refused halfway; the answer is there */
			}
		}
		turn(5);
		got = recv(fd, piece, sizeof piece, 0);
		if (got > 0) {
			buf_append(ret_answer, piece, (size_t)got);
		} else if (got == 0 || errno == ECONNRESET) {
			return;
		}
	}
}

/* One request on a connection of its own; the answer as text. */
static const char *ask(const struct setting *setting, enum admin_door door, const char *line,
	const char *fields, struct slice body)
{
	static struct buf answer;
	struct buf request;
	int fd = dial(setting, door);
	int port = door == ADMIN_METRICS ? setting->metrics : setting->tcp;

	buf_fini(&answer);
	buf_init(&answer);
	buf_init(&request);
	buf_appendf(&request, "%s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nconnection: close\r\n%s", line,
		port, fields);
	if (body.size > 0) {
		buf_appendf(&request, "content-length: %zu\r\n", body.size);
	}
	buf_append_string(&request, "\r\n");
	buf_append(&request, body.data, body.size);
	exchange_bytes(fd, buf_slice(&request), &answer);
	buf_fini(&request);
	close(fd);
	return buf_string(&answer);
}

static void expect(const char *answer, int status, const char *part)
{
	char line[32];

	(void)snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
	if (strncmp(answer, line, strlen(line)) != 0 || !strstr(answer, part)) {
		fail_msg("wanted %d with \"%s\", got: %.600s", status, part, answer);
	}
}

static void paths(void **state)
{
	static const struct {
		const char *line;
		int status;
		const char *part;
	} rows[] = {
		{"GET /livez", 200, "health_live|||"},
		{"GET /v1/status", 200, "status_page|||"},
		{"GET /", 200, "POST /v1/reload"},
		{"GET /v1/services/stock", 200, "|stock||"},
		/* Parts and parameters are decoded once; '+' stays. */
		{"GET /v1/services/st%6fck%2f+a", 200, "|stock/+a||"},
		{"GET /v1/services/100%25", 200, "|100%||"},
		{"GET /v1/instances?service=st%6fck", 200, "|service=stock |"},
		{"GET /v1/instances?service=a+b%26c", 200, "|service=a+b&c |"},
		{"GET /readyz?verbose", 200, "|verbose= |"},
		{"GET /v1/instances?&&service=x&", 200, "|service=x |"},
		{"GET /v1/instances?service=", 200, "|service= |"},
		{"GET /v1/dlq/stock.low/orders", 200, "|stock.low,orders||"},
		{"GET /v1/dlq/stock.low/orders/17", 200, "|stock.low,orders,17||"},
		/* A star stands for one segment that is not empty. */
		{"GET /v1/services/", 404, "no such path"},
		{"GET /v1/services/a/b", 404, "no such path"},
		{"GET /v1/dlq/x", 404, "no such path"},
		{"GET /livezz", 404, "did you mean /livez;"},
		{"GET /v1/stats", 404, "did you mean /v1/status;"},
		{"GET /v1/services/a/../../status", 200, "status_page"},
		{"POST /v1/status", 405, "this path takes GET"},
		{"GET /v1/quit", 405, "this path takes POST"},
		{"OPTIONS /v1/reload", 405, "POST"},
		{"GET /v1/status?nonsense=1", 400, "unknown parameter nonsense"},
		{"GET /v1/instances?services=x", 400, "known: service"},
	};
	struct setting *setting = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		expect(ask(setting, ADMIN_UNIX, rows[i].line, "", SLICE("")), rows[i].status,
			rows[i].part);
	}
}

/* AD-03: what keeps browsers out stands in every answer, errors too; AD-06: the shape of an error.
 */
static void every_answer_is_guarded(void **state)
{
	static const char *const lines[] = {"GET /livez", "GET /nonsense", "GET /v1/quit"};
	struct setting *setting = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *answer = ask(setting, ADMIN_UNIX, lines[i], "", SLICE(""));

		assert_non_null(strstr(answer, "Cache-Control: no-store\r\n"));
		assert_non_null(strstr(answer, "X-Content-Type-Options: nosniff\r\n"));
		assert_non_null(strstr(answer, "Cross-Origin-Resource-Policy: same-origin\r\n"));
		assert_null(strstr(answer, "Access-Control-"));
	}
	expect(ask(setting, ADMIN_UNIX, "GET /v1/quit", "", SLICE("")), 405, "Allow: POST\r\n");
	expect(ask(setting, ADMIN_UNIX, "GET /nonsense", "", SLICE("")), 404,
		"{\"error\":{\"reason\":\"not_found\",\"code\":\"PIL5404\",\"message\":");
	expect(ask(setting, ADMIN_UNIX, "GET /nonsense", "", SLICE("")), 404, "\"fix\":");
}

static void bodies(void **state)
{
	/* AD-06: what is not understood is refused, so that no change is made by half. */
	static const struct {
		const char *line, *body;
		int status;
		const char *part;
	} rows[] = {
		{"POST /v1/reload", "", 200, "config_reload_page|||"},
		{"POST /v1/reload", "{}", 200, "config_reload_page|||{}"},
		{"POST /v1/reload", " {\"if_generation\":3,\"dry_run\":false} ", 200,
			"config_reload"},
		{"POST /v1/reload", "nonsense", 400, "PIL5400"},
		{"POST /v1/reload", "{\"dry_run\":true}x", 400, "the body is no JSON object"},
		{"POST /v1/reload", "[]", 400, "the body is no JSON object"},
		{"POST /v1/reload", "true", 400, "the body is no JSON object"},
		{"POST /v1/reload", "{\"dry\":true}", 400,
			"unknown key of the body dry; known: dry_run"},
		{"POST /v1/reload", "{\"dry_run\":\"yes\"}", 400, "not of its type: dry_run"},
		{"POST /v1/reload", "{\"dry_run\":1}", 400, "not of its type: dry_run"},
		{"POST /v1/reload", "{\"if_generation\":\"3\"}", 400, "not of its type: if_gen"},
		{"POST /v1/reload", "{\"if_generation\":-1}", 400, "not of its type: if_gen"},
		{"POST /v1/reload", "{\"if_generation\":1.0}", 400, "not of its type: if_gen"},
		{"POST /v1/reload", "{\"dry_run\":null}", 400, "not of its type: dry_run"},
		{"POST /v1/reload", "{\"dry_run\":true,\"dry_run\":false}", 400, "no JSON object"},
		{"POST /v1/log/level", "{\"level\":\"warn\"}", 200, "status_log_level_page"},
		{"POST /v1/log/level", "{\"level\":2}", 400, "not of its type: level"},
		{"POST /v1/dlq/a/b/drop", "{\"id\":\"x\"}", 200, "topics_dlq_drop_page|a,b"},
		{"POST /v1/dlq/a/b/drop", "{\"ids\":\"x\"}", 400, "known: id"},
		{"POST /v1/raft/add", "{\"argument\":\"7\"}", 200, "raft_verb_page|add"},
		{"POST /v1/quit", "{}", 200, "status_quit_page"},
		{"POST /v1/quit", "{\"now\":true}", 400, "known: none"},
		{"GET /livez", "x", 400, "the body is no JSON object"},
		{"POST /v1/log/level", "{\"\xc3\xa9\\u001b[2J\":\"x\"}", 400,
			"unknown key of the body \\u00E9\\u001B[2J"},
	};
	static uint8_t large[ADMIN_BODY_MAX + 1];
	struct setting *setting = *state;

	expect(ask(setting, ADMIN_UNIX, "POST /v1/reload", "content-type: application/json\r\n",
		       SLICE("{\"dry_run\":true}")),
		200, "|||{\"dry_run\":true}");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		expect(ask(setting, ADMIN_UNIX, rows[i].line, "", slice_from_string(rows[i].body)),
			rows[i].status, rows[i].part);
	}
	memset(large, 'x', sizeof large);
	expect(ask(setting, ADMIN_UNIX, "POST /v1/reload", "", slice_make(large, sizeof large)),
		413, "");
}

static void head_too_large(void **state)
{
	struct setting *setting = *state;
	struct buf fields;

	buf_init(&fields);
	for (int i = 0; i < 400; i++) {
		buf_appendf(&fields, "x-%d: %060d\r\n", i, i);
	}
	expect(ask(setting, ADMIN_UNIX, "GET /livez", buf_string(&fields), SLICE("")), 431, "");
	buf_fini(&fields);
}

static void doors(void **state)
{
	static const struct {
		enum admin_door door;
		const char *line, *fields;
		int status;
	} rows[] = {
		{ADMIN_TCP, "GET /v1/status", "", 200},
		{ADMIN_TCP, "GET /v1/config", "", 403},
		{ADMIN_TCP, "POST /v1/quit",
			"content-type: application/json\r\nx-pillion-admin: 1\r\n", 403},
		{ADMIN_TCP, "GET /v1/status", "origin: http://evil.example\r\n", 403},
		{ADMIN_UNIX, "GET /v1/config", "", 200},
		{ADMIN_UNIX, "POST /v1/quit", "", 200},
		/* AD-04: the metrics door has health and metrics, nothing else. */
		{ADMIN_METRICS, "GET /metrics", "", 200},
		{ADMIN_METRICS, "GET /livez", "", 200},
		{ADMIN_METRICS, "GET /readyz?verbose", "", 200},
		{ADMIN_METRICS, "GET /startupz", "", 200},
		{ADMIN_METRICS, "GET /wait", "", 404},
		{ADMIN_METRICS, "GET /", "", 404},
		{ADMIN_METRICS, "GET /v1/status", "", 404},
		{ADMIN_METRICS, "POST /v1/quit", "", 404},
	};
	struct setting *setting = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		expect(ask(setting, rows[i].door, rows[i].line, rows[i].fields, SLICE("")),
			rows[i].status, "");
	}
}

/* AD-05: the seventeenth on the Unix socket is told 503, the 25th is closed; TCP does not count
 * there. */
static void connections_are_bounded(void **state)
{
	struct setting *setting = *state;
	int held[16], surplus[8];
	struct buf answer;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		held[i] = dial(setting, ADMIN_UNIX);
	}
	for (int i = 0; i < 10; i++) {
		turn(5);
	}
	for (size_t i = 0; i < ARRAY_SIZE(surplus); i++) {
		surplus[i] = dial(setting, ADMIN_UNIX);
	}
	for (int i = 0; i < 10; i++) {
		turn(5);
	}
	fd = dial(setting, ADMIN_UNIX);
	buf_init(&answer);
	exchange_bytes(fd, SLICE("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"), &answer);
	assert_int_equal(answer.size, 0);
	close(fd);
	/* Keeping it open was asked for, and is not what one of these gets. */
	exchange_bytes(surplus[0], SLICE("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"), &answer);
	expect(buf_string(&answer), 503, "PIL5406");
	assert_non_null(strstr(buf_string(&answer), "Connection: close\r\n"));
	close(surplus[0]);
	for (size_t i = 1; i < ARRAY_SIZE(surplus); i++) {
		close(surplus[i]);
	}
	expect(ask(setting, ADMIN_TCP, "GET /livez", "", SLICE("")), 200, "health_live");
	/* One that leaves makes room. */
	close(held[0]);
	for (int i = 0; i < 10; i++) {
		turn(5);
	}
	expect(ask(setting, ADMIN_UNIX, "GET /livez", "", SLICE("")), 200, "health_live");
	for (size_t i = 1; i < ARRAY_SIZE(held); i++) {
		close(held[i]);
	}
	buf_fini(&answer);
}

static void several_on_one_connection(void **state)
{
	struct setting *setting = *state;
	int fd = dial(setting, ADMIN_UNIX);
	struct buf answer;

	buf_init(&answer);
	exchange_bytes(fd,
		SLICE("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
		      "GET /startupz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
		&answer);
	assert_non_null(strstr(buf_string(&answer), "health_live"));
	assert_non_null(strstr(buf_string(&answer), "health_startup"));
	buf_fini(&answer);
	close(fd);
}

/* Turns until the peer closed; what it said. */
static const char *hear_out(int fd, struct buf *answer)
{
	buf_init(answer);
	exchange_bytes(fd, SLICE(""), answer);
	return buf_string(answer);
}

static void say(int fd, const char *text)
{
	for (int i = 0; i < 3; i++) {
		turn(5);
	}
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	for (int i = 0; i < 10; i++) {
		turn(5);
	}
}

/* AD-05: what does not come in time ends with 408, or without a word where nothing was begun. */
static void late_requests(void **state)
{
	static const struct {
		const char *text;
		uint64_t before_ms, after_ms;
		const char *begin;
	} rows[] = {
		{"GET /livez HT", 4000, 2000, "HTTP/1.1 408 "},
		{"POST /v1/reload HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab", 28000, 3000,
			"HTTP/1.1 408 "},
		{"POST /v1/reload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", 28000,
			3000, "HTTP/1.1 408 "},
		{"", 4000, 2000, ""},
	};
	struct setting *setting = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = dial(setting, ADMIN_TCP);
		char byte;
		struct buf answer;
		const char *text;

		say(fd, rows[i].text);
		pass_time(rows[i].before_ms);
		if (recv(fd, &byte, 1, 0) != -1) {
			fail_msg("row %zu ended too early", i);
		}
		assert_int_equal(errno, EAGAIN);
		pass_time(rows[i].after_ms);
		text = hear_out(fd, &answer);
		assert_int_equal(strncmp(text, rows[i].begin, strlen(rows[i].begin)), 0);
		assert_true(rows[i].begin[0] ? strstr(text, "PIL5") != NULL : answer.size == 0);
		buf_fini(&answer);
		close(fd);
	}
}

/* AD-05: a connection may be kept for 60 s between two requests. */
static void idle_connections(void **state)
{
	struct setting *setting = *state;
	int fd = dial(setting, ADMIN_UNIX);
	uint8_t piece[4096];
	struct buf answer;

	say(fd, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
	assert_true(recv(fd, piece, sizeof piece, 0) > 0);
	pass_time(57000);
	say(fd, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n");
	assert_true(recv(fd, piece, sizeof piece, 0) > 0);
	pass_time(57000);
	assert_int_equal(recv(fd, piece, sizeof piece, 0), -1);
	pass_time(5000);
	(void)hear_out(fd, &answer);
	assert_int_equal(answer.size, 0);
	buf_fini(&answer);
	close(fd);
}

/* AD-05: a page of 2 MB costs no turn more than 64 KiB, and comes whole. */
static void long_pages(void **state)
{
	struct setting *setting = *state;
	const char *answer = ask(setting, ADMIN_TCP, "GET /metrics", "", SLICE(""));

	expect(answer, 200, "Content-Length: 2000000\r\n");
	assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4), 2000000);
	assert_int_equal(page_ends, 1);
	assert_true(page_turns >= 2000000 / (ADMIN_TURN_BYTES + PAGE_PIECE));
	assert_true(page_turn_most <= ADMIN_TURN_BYTES + PAGE_PIECE);
}

/* A client that leaves, or an interface that stops, ends the writing once. */
static void long_pages_end(void **state)
{
	struct setting *setting = *state;
	int fd = dial(setting, ADMIN_TCP);
	char host[128];

	(void)snprintf(host, sizeof host, "GET /metrics HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n",
		setting->tcp);
	page_turns = 0;
	assert_int_equal(send(fd, host, strlen(host), MSG_NOSIGNAL), strlen(host));
	while (page_turns < 3) {
		turn(5);
	}
	close(fd);
	while (page_ends == 0) {
		turn(5);
	}
	assert_int_equal(page_ends, 1);
	/* The next is under way when the test's teardown stops the interface. */
	fd = dial(setting, ADMIN_TCP);
	assert_int_equal(send(fd, host, strlen(host), MSG_NOSIGNAL), strlen(host));
	page_turns = 0;
	while (page_turns < 3) {
		turn(5);
	}
	assert_int_equal(page_ends, 0);
	close(fd);
}

/* AD-05: a reader below 1 KiB/s for 30 s is cut; one that is slow but above is not. */
static void slow_readers(void **state)
{
	struct setting *setting = *state;
	int slow = dial(setting, ADMIN_UNIX);
	int steady = dial(setting, ADMIN_UNIX);
	static uint8_t piece[200 * 1024];
	ssize_t n;

	for (int i = 0; i < 2; i++) {
		page_ends = 0;
		say(i ? slow : steady, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
		while (page_ends == 0) {
			turn(5);
		}
	}
	for (int period = 0; period < 5; period++) {
		for (size_t taken = 0; taken < sizeof piece;) {
			n = recv(steady, piece, sizeof piece - taken, 0);
			assert_true(n > 0 || (n < 0 && errno == EAGAIN));
			taken += n > 0 ? (size_t)n : 0;
			turn(1);
		}
		if (period < 2) {
			/* A byte now and then is not reading. */
			assert_int_equal(recv(slow, piece, 1, 0), 1);
		}
		pass_time(15000);
		turn(5);
	}
	do {
		n = recv(slow, piece, sizeof piece, 0);
	} while (n > 0);
	assert_true(n == 0 || errno == ECONNRESET);
	assert_true(recv(steady, piece, sizeof piece, 0) > 0);
	close(slow);
	close(steady);
}

/* The socket is for its user, and one that a living sidecar answers on is not taken from it. */
static void the_socket_is_ours(void **state)
{
	struct setting *setting = *state;
	struct stat status;
	struct admin_socket second;
	struct err err;

	assert_int_equal(stat(setting->path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	err_clear(&err);
	assert_int_equal(
		admin_socket_open(&second, (struct control *)(void *)setting, &err), -EADDRINUSE);
	assert_int_equal(err.code, 2001);
	expect(ask(setting, ADMIN_UNIX, "GET /livez", "", SLICE("")), 200, "health_live");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(paths), TEST(every_answer_is_guarded), TEST(bodies),
		TEST(head_too_large), TEST(doors), TEST(connections_are_bounded),
		TEST(several_on_one_connection), TEST(late_requests), TEST(idle_connections),
		TEST(long_pages), TEST(long_pages_end), TEST(slow_readers),
		TEST(the_socket_is_ours)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
