/*
 * Who may ask what (operations.md AD-01 to AD-04): class x door x Host, Origin, Sec-Fetch-Site and
 * token, as a table; then the token file and the limit on wrong tokens.
 */
#include "test_admin.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "admin/guard.h"
#include "admin/server.h"
#include "base/mem.h"
#include "net/loop.h"

#define TOKEN "0123456789abcdef0123456789abcdef"

static struct config config;
static uint64_t now_ms;
static int answered; /* status of the last refusal, 0: none */
static unsigned answered_code;

const struct config *control_config(const struct control *control)
{
	(void)control;
	return &config;
}

struct loop *control_loop(struct control *control)
{
	(void)control;
	return NULL;
}

uint64_t loop_now_ms(const struct loop *loop)
{
	(void)loop;
	return now_ms;
}

void admin_answer_error(
	struct admin_call *call, int status, unsigned code, const char *reason, const char *message)
{
	(void)call;
	assert_true(reason[0] && message[0]);
	answered = status;
	answered_code = code;
}

/* What a request says of itself. */
struct asked {
	const char *host, *origin, *site, *token, *change, *type;
};

#define OURS "127.0.0.1:7442"
#define JSON "application/json"

static void add(struct head *head, enum token token, const char *value)
{
	if (value) {
		head_add_token(head, token, slice_from_string(value));
	}
}

static bool check(struct admin_guard *guard, enum admin_door door, const struct admin_route *route,
	const struct asked *asked)
{
	struct admin_call call = {.door = door, .route = route};
	struct arena arena;
	struct head head;
	bool through;

	answered = 0;
	answered_code = 0;
	arena_init(&arena);
	head_init(&head, &arena, HEAD_REQUEST);
	head.authority = slice_from_string(asked->host ? asked->host : OURS);
	add(&head, TOKEN_origin, asked->origin);
	add(&head, TOKEN_sec_fetch_site, asked->site);
	add(&head, TOKEN_authorization, asked->token);
	add(&head, TOKEN_x_pillion_admin, asked->change);
	add(&head, TOKEN_content_type, asked->type);
	through = admin_guard_check(guard, &call, &head);
	arena_fini(&arena);
	assert_int_equal(through, answered == 0);
	return through;
}

static void guard_setup(struct admin_guard *guard, const char *token)
{
	*guard = (struct admin_guard){0};
	config = (struct config){0};
	now_ms = 1000000;
	assert_true(address_parse(SLICE("127.0.0.1:7442"), false, &guard->address));
	if (token) {
		guard->token_size = strlen(token);
		memcpy(guard->token, token, guard->token_size);
	}
}

static const struct admin_route look = {ADMIN_P, METHOD_GET, "/v1/status", NULL, "", "", ""};
static const struct admin_route secret = {ADMIN_S, METHOD_GET, "/v1/config", NULL, "", "", ""};
static const struct admin_route change = {ADMIN_M, METHOD_POST, "/v1/reload", NULL, "", "", ""};
static const struct admin_route quit = {ADMIN_M, METHOD_POST, "/v1/quit", NULL, "", "", ""};

static const struct {
	enum admin_door door;
	const struct admin_route *route;
	struct asked asked;
	bool token; /* one is configured */
	bool allow_quit;
	int status; /* 0: served */
	unsigned code;
} rows[] = {
	/* The Unix socket's peer was looked at when it connected: everything is open. */
	{ADMIN_UNIX, &look, {.host = "anything"}, false, false, 0, 0},
	{ADMIN_UNIX, &secret, {.host = "anything"}, true, false, 0, 0},
	{ADMIN_UNIX, &change, {.host = "anything"}, false, false, 0, 0},
	/* TCP without a token: looking only. */
	{ADMIN_TCP, &look, {0}, false, false, 0, 0},
	{ADMIN_TCP, &secret, {0}, false, false, 403, 5403},
	{ADMIN_TCP, &change, {.change = "1", .type = JSON}, false, false, 403, 5403},
	{ADMIN_TCP, &secret, {.token = "Bearer " TOKEN}, false, false, 403, 5403},
	/* With one. */
	{ADMIN_TCP, &secret, {.token = "Bearer " TOKEN}, true, false, 0, 0},
	{ADMIN_TCP, &change, {.token = "Bearer " TOKEN, .change = "1", .type = JSON}, true, false,
		0, 0},
	{ADMIN_TCP, &secret, {0}, true, false, 403, 5403},
	{ADMIN_TCP, &secret, {.token = "Bearer"}, true, false, 403, 5403},
	{ADMIN_TCP, &secret, {.token = "Bearer "}, true, false, 403, 5403},
	{ADMIN_TCP, &secret, {.token = TOKEN}, true, false, 403, 5403},
	{ADMIN_TCP, &secret, {.token = "Basic " TOKEN}, true, false, 403, 5403},
	{ADMIN_TCP, &secret, {.token = "Bearer " TOKEN "0"}, true, false, 403, 5403},
	{ADMIN_TCP, &secret, {.token = "Bearer 0123456789abcdef0123456789abcdeF"}, true, false, 403,
		5403},
	/* DNS rebinding: only our own names, whole, with the port. */
	{ADMIN_TCP, &look, {.host = "localhost:7442"}, false, false, 0, 0},
	{ADMIN_TCP, &look, {.host = "[::1]:7442"}, false, false, 0, 0},
	{ADMIN_TCP, &look, {.host = "localhost"}, false, false, 403, 5402},
	{ADMIN_TCP, &look, {.host = "127.0.0.1:80"}, false, false, 403, 5402},
	{ADMIN_TCP, &look, {.host = "evil.example:7442"}, false, false, 403, 5402},
	{ADMIN_TCP, &look, {.host = "127.0.0.1:7442.evil.example"}, false, false, 403, 5402},
	{ADMIN_TCP, &look, {.host = ""}, false, false, 403, 5402},
	/* Pages of others. */
	{ADMIN_TCP, &look, {.origin = "http://127.0.0.1:7442"}, false, false, 0, 0},
	{ADMIN_TCP, &look, {.origin = "http://evil.example"}, false, false, 403, 5402},
	{ADMIN_TCP, &look, {.origin = "null"}, false, false, 403, 5402},
	{ADMIN_TCP, &look, {.origin = "https://127.0.0.1:7442"}, false, false, 403, 5402},
	{ADMIN_TCP, &look, {.site = "same-origin"}, false, false, 0, 0},
	{ADMIN_TCP, &look, {.site = "none"}, false, false, 0, 0},
	{ADMIN_TCP, &look, {.site = "same-site"}, false, false, 403, 5402},
	{ADMIN_TCP, &look, {.site = "cross-site"}, false, false, 403, 5402},
	/* A right token does not help a page. */
	{ADMIN_TCP, &secret, {.site = "cross-site", .token = "Bearer " TOKEN}, true, false, 403,
		5402},
	/* A change says that it is one, in a way that no form can. */
	{ADMIN_TCP, &change, {.token = "Bearer " TOKEN, .type = JSON}, true, false, 403, 5402},
	{ADMIN_TCP, &change, {.token = "Bearer " TOKEN, .change = "1"}, true, false, 403, 5402},
	{ADMIN_TCP, &change, {.token = "Bearer " TOKEN, .change = "1", .type = "text/plain"}, true,
		false, 403, 5402},
	/* allow_quit is for one path, and for sidecars without a token. */
	{ADMIN_TCP, &quit, {.change = "1", .type = JSON}, false, true, 0, 0},
	{ADMIN_TCP, &quit, {.change = "1", .type = JSON}, false, false, 403, 5403},
	{ADMIN_TCP, &quit, {0}, false, true, 403, 5402},
	{ADMIN_TCP, &quit, {.change = "1", .type = JSON}, true, true, 403, 5403},
	{ADMIN_TCP, &change, {.change = "1", .type = JSON}, false, true, 403, 5403},
	/* Metrics may be scraped under any name (AD-04). */
	{ADMIN_METRICS, &look, {.host = "10.0.0.5:9090"}, false, false, 0, 0},
};

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct admin_guard guard;

		guard_setup(&guard, rows[i].token ? TOKEN : NULL);
		config.admin.allow_quit = rows[i].allow_quit;
		check(&guard, rows[i].door, rows[i].route, &rows[i].asked);
		if (answered != rows[i].status || answered_code != rows[i].code) {
			fail_msg("row %zu: %d PIL%u, wanted %d PIL%u", i, answered, answered_code,
				rows[i].status, rows[i].code);
		}
	}
}

static void configured_hosts(void **state)
{
	const char *hosts[] = {"pillion.corp:7442"};
	struct asked asked = {.host = hosts[0]};
	struct admin_guard guard;

	(void)state;
	guard_setup(&guard, NULL);
	assert_false(check(&guard, ADMIN_TCP, &look, &asked));
	config.admin.hosts.items = hosts;
	config.admin.hosts.count = 1;
	assert_true(check(&guard, ADMIN_TCP, &look, &asked));
	asked.origin = "http://pillion.corp:7442";
	assert_true(check(&guard, ADMIN_TCP, &look, &asked));
}

/* Ten wrong ones in a minute close the door for a minute, for the right one too. */
static void wrong_tokens_close_the_door(void **state)
{
	struct asked wrong = {.token = "Bearer ffffffffffffffffffffffffffffffff"};
	struct asked right = {.token = "Bearer " TOKEN};
	struct asked none = {0};
	struct admin_guard guard;

	(void)state;
	guard_setup(&guard, TOKEN);
	for (int i = 0; i < 30; i++) {
		assert_false(check(&guard, ADMIN_TCP, &secret, &none));
		assert_int_equal(answered, 403); /* none is not a wrong one */
	}
	for (int i = 0; i < 10; i++) {
		assert_false(check(&guard, ADMIN_TCP, &secret, &wrong));
		assert_int_equal(answered, 403);
		now_ms += 100;
	}
	assert_false(check(&guard, ADMIN_TCP, &secret, &right));
	assert_int_equal(answered, 429);
	assert_true(check(&guard, ADMIN_TCP, &look, &none)); /* looking goes on */
	now_ms += 60000;
	assert_true(check(&guard, ADMIN_TCP, &secret, &right));
	/* Slower than that never closes. */
	for (int i = 0; i < 40; i++) {
		now_ms += 15000;
		assert_false(check(&guard, ADMIN_TCP, &secret, &wrong));
		assert_int_equal(answered, 403);
	}
}

static void write_token(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void token_files(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		bool good;
	} files[] = {
		{TOKEN, 0600, true},
		{TOKEN "\n", 0600, true},
		{TOKEN "\r\n", 0640, true},
		{TOKEN, 0604, false}, /* others may read it */
		{TOKEN, 0602, false},
		{"short\n", 0600, false},
		{"", 0600, false},
	};
	struct asked asked = {.token = "Bearer " TOKEN};
	char path[] = "/tmp/pillion-token-XXXXXX";
	struct admin_guard guard;
	struct err err;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int result;

		guard_setup(&guard, NULL);
		config.admin.token_file = path;
		write_token(path, files[i].text, files[i].mode);
		err_clear(&err);
		result = admin_guard_init(&guard, NULL, -1, &err);
		assert_int_equal(result == 0, files[i].good);
		assert_int_equal(err.code, files[i].good ? 0 : 1410);
		assert_true(address_parse(SLICE("127.0.0.1:7442"), false, &guard.address));
		assert_int_equal(check(&guard, ADMIN_TCP, &secret, &asked), files[i].good);
		admin_guard_fini(&guard);
		assert_int_equal(guard.token_size, 0);
	}
	assert_int_equal(unlink(path), 0);
	config.admin.token_file = path;
	err_clear(&err);
	assert_true(admin_guard_reload(&guard, NULL, &err) < 0);
	assert_int_equal(err.code, 1410);
	config.admin.token_file = "/tmp"; /* not a file */
	assert_true(admin_guard_reload(&guard, NULL, &err) < 0);
	/* Taken out of the configuration: none. */
	config.admin.token_file = NULL;
	assert_int_equal(admin_guard_reload(&guard, NULL, &err), 0);
	assert_int_equal(guard.token_size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(table),
		cmocka_unit_test(configured_hosts), cmocka_unit_test(wrong_tokens_close_the_door),
		cmocka_unit_test(token_files)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
