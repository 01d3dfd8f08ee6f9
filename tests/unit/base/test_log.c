#include "base/log.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "test_main.h"

static int pipe_fds[2];
static char text[200000];

static int open_pipe(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_INFO);
	return pipe(pipe_fds);
}

static int close_pipe(void **state)
{
	(void)state;
	log_flush(true);
	log_setup(-1, false, "");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return 0;
}

/* What was logged until now. */
static const char *take(void)
{
	ssize_t size;

	assert_int_equal(fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK), 0);
	size = read(pipe_fds[0], text, sizeof(text) - 1);
	text[size > 0 ? size : 0] = '\0';
	return text;
}

static int count_lines(const char *lines)
{
	int count = 0;

	for (; *lines != '\0'; lines++) {
		count += *lines == '\n';
	}
	return count;
}

static void test_json_line(void **state)
{
	struct log_field fields[] = {LOG_TEXT("url.path", "/a\"b\n\x1b[31m\xff"),
		LOG_NUMBER("pillion.term", -7), {"pillion.flag", LOG_FIELD_BOOL, {0}, 1}};
	const char *line;

	(void)state;
	log_setup(pipe_fds[1], true, "orders");
	log_event(LOG_LEVEL_WARN, "raftreg", 3002, "no quorum", fields, 3);
	line = take();
	assert_memory_equal(line, "{\"@timestamp\":\"2", 16);
	assert_non_null(strstr(line,
		"Z\",\"log.level\":\"warn\",\"log.logger\":\"raftreg\","
		"\"message\":\"no quorum\",\"event.code\":\"PIL3002\",\"service.name\":\"orders\","
		"\"url.path\":\"/a\\\"b\\n\\u001b[31m\\u00ff\",\"pillion.term\":-7,"
		"\"pillion.flag\":true}\n"));
	assert_int_equal(count_lines(line), 1);
}

static void test_text_line(void **state)
{
	struct log_field fields[] = {
		LOG_TEXT("path", "/a b"), LOG_TEXT("peer", "10.0.0.1:80"), LOG_TEXT("none", "")};

	(void)state;
	log_setup(pipe_fds[1], false, "orders");
	log_event(LOG_LEVEL_INFO, "control", 0, "started", fields, 3);
	assert_non_null(strstr(
		take(), "Z info  control started path=\"/a b\" peer=10.0.0.1:80 none=\"\"\n"));
	LOG(LOG_LEVEL_ERROR, "control", 2001, "address in use");
	assert_non_null(strstr(take(), " error control PIL2001 address in use\n"));
}

static void test_levels(void **state)
{
	(void)state;
	log_setup(pipe_fds[1], false, "x");
	LOG(LOG_LEVEL_DEBUG, "m", 0, "unseen");
	assert_string_equal(take(), "");
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	log_set_level(LOG_LEVEL_DEBUG);
	assert_true(log_enabled(LOG_LEVEL_DEBUG));
	LOG(LOG_LEVEL_DEBUG, "m", 0, "seen");
	assert_non_null(strstr(take(), "seen"));
	log_set_level(LOG_LEVEL_ERROR);
	LOG(LOG_LEVEL_WARN, "m", 0, "unseen");
	assert_string_equal(take(), "");
}

static void test_long_fields_and_lines_are_cut(void **state)
{
	static char big[5000];
	struct log_field fields[12];
	const char *line;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	log_setup(pipe_fds[1], true, "orders");
	fields[0] = LOG_TEXT("big", big);
	log_event(LOG_LEVEL_INFO, "m", 0, "one", fields, 1);
	line = take();
	assert_in_range(strlen(line), 2048, 2300);
	assert_non_null(strstr(line, "\",\"pillion.cut\":true}\n"));
	/* Bytes that grow when they are escaped count as what they become. */
	memset(big, '\x01', sizeof(big) - 1);
	log_event(LOG_LEVEL_INFO, "m", 0, "two", fields, 1);
	line = take();
	assert_in_range(strlen(line), 2000, 2300);
	for (int i = 0; i < 12; i++) {
		fields[i] = LOG_TEXT("big", big);
	}
	log_event(LOG_LEVEL_INFO, "m", 0, "three", fields, 12);
	line = take();
	assert_true(strlen(line) <= 4096);
	assert_non_null(strstr(line, "\"pillion.cut\":true}\n"));
	assert_int_equal(count_lines(line), 1);
}

static void test_a_stopped_reader_costs_lines_not_time(void **state)
{
	uint64_t dropped = log_dropped();
	char module[16];
	int flags;

	(void)state;
	log_setup(pipe_fds[1], true, "orders");
	for (int i = 0; i < 5000; i++) {
		snprintf(module, sizeof(module), "m%d", i);
		LOG(LOG_LEVEL_INFO, module, 0, "a line that nobody reads");
	}
	assert_true(log_dropped() > dropped);
	/* The flag of the description that the application shares is as before. */
	flags = fcntl(pipe_fds[1], F_GETFL);
	assert_int_equal(flags & O_NONBLOCK, 0);
	while (take()[0] != '\0') {
		/* Whole lines only. */
		assert_int_equal(text[strlen(text) - 1], '\n');
		assert_int_equal(text[0], '{');
	}
	LOG(LOG_LEVEL_INFO, "after", 0, "read again");
	take();
	assert_int_equal(count_lines(text), 2);
	assert_non_null(strstr(text, "log lines were dropped"));
	assert_non_null(strstr(text, "\"pillion.dropped\":"));
	LOG(LOG_LEVEL_INFO, "after", 0, "read again");
	assert_int_equal(count_lines(take()), 1);
}

static void test_equal_lines_are_folded(void **state)
{
	(void)state;
	log_flush(true);
	log_setup(pipe_fds[1], true, "orders");
	for (int i = 0; i < 25; i++) {
		LOG(LOG_LEVEL_WARN, "raftreg", 3001, "no leader");
		LOG(LOG_LEVEL_WARN, "broker", 3001, "no leader");
	}
	assert_int_equal(count_lines(take()), 20);
	/* Lines without a code are told apart by their text. */
	for (int i = 0; i < 12; i++) {
		LOG(LOG_LEVEL_WARN, "raftreg", 0, i % 2 ? "odd" : "even");
	}
	assert_int_equal(count_lines(take()), 12);
	log_flush(false);
	assert_string_equal(take(), "");
	log_flush(true);
	take();
	assert_int_equal(count_lines(text), 2);
	assert_non_null(strstr(text, "\"event.code\":\"PIL3001\""));
	assert_non_null(strstr(text, "\"pillion.repeated\":15}"));
	log_flush(true);
	assert_string_equal(take(), "");
}

static void test_sockets_and_files(void **state)
{
	int pair[2];
	char path[] = "/tmp/test_log.XXXXXX";
	int file = mkstemp(path);
	char small[300] = "";
	uint64_t dropped = log_dropped();
	char module[16];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	log_setup(pair[1], false, "x");
	for (int i = 0; i < 20000; i++) {
		snprintf(module, sizeof(module), "s%d", i);
		LOG(LOG_LEVEL_INFO, module, 0, "to a socket that is not read");
	}
	assert_true(log_dropped() > dropped);
	close(pair[0]);
	LOG(LOG_LEVEL_INFO, "m", 0, "a closed socket is no signal");
	close(pair[1]);
	assert_true(file >= 0);
	log_setup(file, false, "x");
	LOG(LOG_LEVEL_INFO, "last", 0, "to a file");
	assert_true(pread(file, small, sizeof(small) - 1, 0) > 0);
	assert_non_null(strstr(small, "last to a file\n"));
	close(file);
	unlink(path);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_pipe, close_pipe)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_json_line),
		TEST(test_text_line),
		TEST(test_levels),
		TEST(test_long_fields_and_lines_are_cut),
		TEST(test_a_stopped_reader_costs_lines_not_time),
		TEST(test_equal_lines_are_folded),
		TEST(test_sockets_and_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
