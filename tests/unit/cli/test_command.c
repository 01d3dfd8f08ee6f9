/*
 * The parser of verbs and flags (operations.md CL-01 to CL-05). The table of verbs is this file's
 * own, with one that notes what it was given.
 */
#include "test_cli.h"

#define TEXT_MAX 512

static struct seen {
	int runs;
	char words[TEXT_MAX], since[64], second[64], address[64], token[64];
	bool yes, quiet;
	int timeout_ms;
	enum command_output output;
} seen;

static void note(char *ret_text, size_t size, const char *text)
{
	(void)snprintf(ret_text, size, "%s", text ? text : "-");
}

static int noted_run(struct command *command)
{
	size_t used = 0;

	seen.runs++;
	for (int i = 0; i < command->word_count; i++) {
		used += (size_t)snprintf(
			seen.words + used, TEXT_MAX - used, "%s|", command->words[i]);
	}
	note(seen.since, sizeof seen.since, command_flag(command, "--since", 0));
	note(seen.second, sizeof seen.second, command_flag(command, "--since", 1));
	note(seen.address, sizeof seen.address, command->address);
	note(seen.token, sizeof seen.token, command->token_file);
	seen.yes = command_flag(command, "--yes", 0) != NULL;
	seen.quiet = command->quiet;
	seen.timeout_ms = command->timeout_ms;
	seen.output = command->output;
	return 42;
}

static int version_run(struct command *command)
{
	(void)command;
	return 43;
}

static const struct command_option options[] = {
	{"--since", "TIME", "from then on"}, {"--yes", NULL, "consent"}, {NULL, NULL, NULL}};
static const struct command_option globals[] = {{"--addr", "ADDRESS", "where"},
	{"--token-file", "FILE", "token"}, {"--timeout", "TIME", "wait"}, {"-o", "FORM", "form"},
	{"-q", NULL, "less"}, {NULL, NULL, NULL}};

static const struct command_row rows[] = {
	{"note", noted_run, 3, "WORD", "notes", "x --yes", options},
	{"version", version_run, 0, "", "version", "", NULL},
};

const struct command_option *command_global_options(void)
{
	return globals;
}

const struct command_row *command_rows(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(rows);
	return rows;
}

static struct capture captured;

static int run(const char *const *words)
{
	unsetenv("PILLION_ADMIN");
	unsetenv("PILLION_TOKEN_FILE");
	seen = (struct seen){0};
	return capture_run(&captured, words);
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void words_and_flags(void **state)
{
	(void)state;
	assert_int_equal(RUN("note", "a", "--since", "5m", "b", "--yes"), 42);
	assert_string_equal(seen.words, "a|b|");
	assert_string_equal(seen.since, "5m");
	assert_true(seen.yes);
	assert_int_equal(RUN("note", "--since=1", "--since=2", "a"), 42);
	assert_string_equal(seen.since, "1");
	assert_string_equal(seen.second, "2");
	assert_int_equal(RUN("note", "--since="), 42);
	assert_string_equal(seen.since, "");
	/* A lone dash is standard input; behind -- everything is a word. */
	assert_int_equal(RUN("note", "-", "--", "--yes", "-x"), 42);
	assert_string_equal(seen.words, "-|--yes|-x|");
	assert_false(seen.yes);
	assert_string_equal(seen.since, "-");
}

static void global_flags(void **state)
{
	(void)state;
	assert_int_equal(RUN("note", "--addr", "unix:/a", "--token-file=/t", "-q"), 42);
	assert_string_equal(seen.address, "unix:/a");
	assert_string_equal(seen.token, "/t");
	assert_true(seen.quiet);
	assert_int_equal(seen.timeout_ms, 5000);
	/* They may stand in front of the verb too. */
	assert_int_equal(RUN("--addr", "unix:/b", "-q", "--timeout=2s", "note", "--", "w"), 42);
	assert_string_equal(seen.address, "unix:/b");
	assert_string_equal(seen.words, "w|");
	assert_int_equal(seen.timeout_ms, 2000);
	assert_true(seen.quiet);
	assert_int_equal(RUN("--version"), 43);
	assert_int_equal(RUN("-q"), CLI_USAGE);
	assert_int_equal(RUN("--addr", "x"), CLI_USAGE);
}

static void environment(void **state)
{
	(void)state;
	(void)RUN("note");
	assert_string_equal(seen.address, "-");
	setenv("PILLION_ADMIN", "unix:/env", 1);
	setenv("PILLION_TOKEN_FILE", "/env", 1);
	assert_int_equal(capture_run(&captured, (const char *const[]){"note", NULL}), 42);
	assert_string_equal(seen.address, "unix:/env");
	assert_string_equal(seen.token, "/env");
	/* A flag is nearer. */
	assert_int_equal(
		capture_run(&captured, (const char *const[]){"note", "--addr=unix:/f", NULL}), 42);
	assert_string_equal(seen.address, "unix:/f");
}

static void timeouts_and_forms(void **state)
{
	static const struct {
		const char *timeout;
		int ms;
	} times[] = {{"250ms", 250}, {"3s", 3000}, {"2m", 120000}, {"7", 7000}, {"1h", 3600000},
		{"24h", 86400000},
		/* Refused: */
		{"25h", 0}, {"0", 0}, {"-1s", 0}, {"x", 0}, {"", 0}, {"5 s", 0}, {"1d", 0},
		{"99999999999999999999s", 0}};
	static const struct {
		const char *word;
		enum command_output output;
	} forms[] = {{"table", OUTPUT_TABLE}, {"wide", OUTPUT_WIDE}, {"json", OUTPUT_JSON},
		{"jsonl", OUTPUT_JSONL}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		if (times[i].ms == 0) {
			assert_int_equal(RUN("note", "--timeout", times[i].timeout), CLI_USAGE);
			continue;
		}
		assert_int_equal(RUN("note", "--timeout", times[i].timeout), 42);
		assert_int_equal(seen.timeout_ms, times[i].ms);
	}
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		assert_int_equal(RUN("note", "-o", forms[i].word), 42);
		assert_int_equal(seen.output, forms[i].output);
	}
}

/* CL-04: whatever is wrong with the command line is 2, says what, and runs nothing. */
static void usage_errors(void **state)
{
	static const struct {
		const char *words[4];
		const char *says;
	} wrong[] = {
		{{"note", "--sinc", "1"}, "note: unknown flag --sinc; did you mean --since?"},
		{{"note", "--tiemout=1"}, "did you mean --timeout?"},
		{{"note", "--zzzzzzzz"}, "unknown flag --zzzzzzzz\n`pillion help note`"},
		{{"version", "--since", "1"}, "unknown flag --since"},
		{{"version", "4"},
			"version: unexpected argument 4\nusage: pillion version [FLAGS]"},
		{{"--adr", "x", "note"}, "pillion: unknown flag --adr; did you mean --addr?"},
		{{"--since", "x", "note"}, "stand behind it"},
		{{"--addr", "note"}, "--addr ADDRESS: a command is missing"},
		{{"-q"}, "-q: a command is missing"},
		{{"help", "nute"}, "did you mean note?"},
		{{"note", "--since"}, "needs a value"},
		{{"note", "-o", "yaml"}, "not yaml"},
		{{"nute"}, "did you mean note?"},
		{{"runn"}, "did you mean run?"},
		{{"zzzzzzzz"}, "unknown command zzzzzzzz"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(run(wrong[i].words), CLI_USAGE);
		assert_int_equal(seen.runs, 0);
		if (!strstr(captured.err, wrong[i].says)) {
			fail_msg("\"%s\" lacks \"%s\"", captured.err, wrong[i].says);
		}
		assert_string_equal(captured.out, "");
	}
}

/* A word beyond those that the verb takes is refused, not ignored. */
static void too_many_words(void **state)
{
	(void)state;
	assert_int_equal(RUN("note", "a", "b", "c"), 42);
	assert_int_equal(RUN("note", "a", "b", "c", "d"), CLI_USAGE);
	assert_int_equal(seen.runs, 0);
	assert_string_equal(captured.err,
		"pillion note: unexpected argument d\nusage: pillion note WORD [FLAGS]\n");
}

static void help(void **state)
{
	(void)state;
	assert_int_equal(RUN("help"), CLI_DONE);
	assert_non_null(strstr(captured.out, "note"));
	assert_non_null(strstr(captured.out, "run, proxy"));
	assert_int_equal(RUN("note", "--help"), CLI_DONE);
	assert_int_equal(seen.runs, 0);
	assert_ptr_equal(strstr(captured.out, "pillion note x --yes\n"), captured.out);
	assert_non_null(strstr(captured.out, "--since         TIME          from then on\n"));
	assert_non_null(strstr(captured.out, "--timeout"));
	assert_int_equal(RUN("help", "note"), CLI_DONE);
	assert_int_equal(seen.runs, 0);
	assert_non_null(strstr(captured.out, "--since"));
	/* Behind -- it is an argument. */
	assert_int_equal(RUN("note", "--", "--help"), 42);
}

/* CL-05: three lines, or one object where somebody parses. */
static void errors(void **state)
{
	struct command command = {.verb = "note"};

	(void)state;
	capture_begin(&captured);
	assert_int_equal(command_error(&command, CLI_NOT_REACHED, 4001, "nobody \"there\""), 69);
	capture_end(&captured);
	assert_ptr_equal(
		strstr(captured.err, "error PIL4001: nobody \"there\"\ncause: "), captured.err);
	assert_non_null(strstr(captured.err, "\nfix:   "));
	command.output = OUTPUT_JSON;
	capture_begin(&captured);
	(void)command_error(&command, CLI_NOT_REACHED, 4001, "nobody \"there\"");
	capture_end(&captured);

	json_t *json = json_loads(captured.err, 0, NULL);

	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "code")), "PIL4001");
	assert_string_equal(
		json_string_value(json_object_get(json, "message")), "nobody \"there\"");
	assert_true(json_is_string(json_object_get(json, "fix")));
	json_decref(json);
}

/* CL-04: what an answer of the interface means for the exit code. */
static void refusals(void **state)
{
	static const struct {
		int status, code;
	} codes[] = {{400, 1}, {403, 1}, {404, 1}, {409, 75}, {412, 75}, {422, 78}, {429, 75},
		{500, 1}, {503, 75}, {504, 75}, {507, 75}};
	struct command command = {.verb = "note"};
	struct answer answer = {0};

	(void)state;
	buf_init(&answer.body);
	buf_append_string(&answer.body,
		"{\"error\":{\"reason\":\"denied\",\"code\":\"PIL5403\",\"message\":\"no\",\"fix\":"
		"\"ask\"}}");
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		answer.status = codes[i].status;
		capture_begin(&captured);
		assert_int_equal(command_refused(&command, &answer), codes[i].code);
		capture_end(&captured);
		assert_string_equal(captured.err, "error PIL5403: denied: no\nfix:   ask\n");
	}
	command_answer_fini(&answer);
	buf_init(&answer.body);
	buf_append_string(&answer.body, "<html>");
	answer.status = 502;
	capture_begin(&captured);
	assert_int_equal(command_refused(&command, &answer), 1);
	capture_end(&captured);
	assert_string_equal(captured.err, "error: status 502: <html>\n");
	command_answer_fini(&answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(words_and_flags),
		cmocka_unit_test(global_flags), cmocka_unit_test(environment),
		cmocka_unit_test(timeouts_and_forms), cmocka_unit_test(usage_errors),
		cmocka_unit_test(too_many_words), cmocka_unit_test(help), cmocka_unit_test(errors),
		cmocka_unit_test(refusals)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
