/* The command line of run and proxy, as a table (operations.md ZC-01, ZC-02). */
#include "test_control.h"

#include "control/launch.h"

#define WORDS_MAX 8

struct row {
	const char *verb;
	const char *words[WORDS_MAX];
	const char *error;    /* part of the message; NULL: accepted */
	const char *file;     /* -c */
	const char *command;  /* first word of the application's command */
	const char *switches; /* letters: Dev, Env-proxy, Stdin, Forward-hup, Last-good, Help */
	size_t keys;	      /* assignments that the flags made; 0: not looked at */
};

static const struct row rows[] = {
	{"run", {NULL}, NULL, NULL, NULL, "", 0},
	{"run", {"--name", "orders", "--port", "8080"}, NULL, NULL, NULL, "", 2},
	{"run", {"--name=orders", "--port=8080", "--", "./orders", "-x"}, NULL, NULL, "./orders",
		"", 2},
	{"run", {"-c", "a.json", "--", "sh"}, NULL, "a.json", "sh", "", 0},
	{"run", {"--", "sh", "-c", "--port"}, NULL, NULL, "sh", "", 0},
	{"run", {"--dev", "--", "sh"}, NULL, NULL, "sh", "D", 1},
	{"run", {"--env-proxy", "--stdin", "--forward-hup"}, NULL, NULL, NULL, "ESF", 0},
	{"run", {"--help"}, NULL, NULL, NULL, "H", 0},
	{"proxy", {"-c", "/etc/p.json"}, NULL, "/etc/p.json", NULL, "", 0},
	{"proxy", {"--help"}, NULL, NULL, NULL, "H", 0},
	{"proxy", {"--port", "8080"}, NULL, NULL, NULL, "", 1},
	{"run", {"-c"}, "-c needs a file", NULL, NULL, NULL, 0},
	{"run", {"--port"}, "--port needs a value", NULL, NULL, NULL, 0},
	{"run", {"--bootstrap=yes"}, "takes no value", NULL, NULL, NULL, 0},
	{"run", {"--prot", "8080"}, "did you mean --port?", NULL, NULL, NULL, 0},
	{"run", {"--wobbleflange"}, "unknown flag --wobbleflange", NULL, NULL, NULL, 0},
	{"run", {"./orders"}, "goes behind --", NULL, NULL, NULL, 0},
	{"run", {"--"}, "no command behind --", NULL, NULL, NULL, 0},
	{"proxy", {"--", "sh"}, "use pillion run", NULL, NULL, NULL, 0},
	{"proxy", {"--stdin"}, "--stdin is a flag of pillion run alone", NULL, NULL, NULL, 0},
	{"proxy", {"--dev"}, "--dev is a flag of pillion run alone", NULL, NULL, NULL, 0},
	{"proxy", {"--wobbleflange"}, "see pillion proxy --help", NULL, NULL, NULL, 0},
};

static int parse(const struct row *row, struct launch *launch, struct err *err)
{
	/* As argv: the words are followed by a NULL. */
	static char *words[WORDS_MAX + 1];
	int count = 0;

	for (; count < WORDS_MAX && row->words[count]; count++) {
		words[count] = (char *)(uintptr_t)row->words[count];
	}
	words[count] = NULL;
	err_clear(err);
	return launch_parse(launch, row->verb, count, words, err);
}

static void accepted(const struct row *row, const struct launch *launch)
{
	bool have[] = {launch->dev, launch->env_proxy, launch->keep_stdin, launch->forward_hup,
		launch->help};

	assert_int_equal(launch->proxy, strcmp(row->verb, "proxy") == 0);
	assert_int_equal(row->file != NULL, launch->file != NULL);
	assert_string_equal(row->file ? row->file : "", launch->file ? launch->file : "");
	assert_int_equal(row->command != NULL, launch->command != NULL);
	if (row->command) {
		assert_string_equal(launch->command[0], row->command);
	}
	for (size_t i = 0; i < ARRAY_SIZE(have); i++) {
		assert_int_equal(have[i], strchr(row->switches, "DESFH"[i]) != NULL);
	}
	if (row->keys) {
		assert_true(launch->flags.count >= row->keys);
	}
}

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct launch launch;
		struct err err;
		int result = parse(&rows[i], &launch, &err);

		if (rows[i].error) {
			assert_int_equal(result, -EINVAL);
			if (!strstr(err.text, rows[i].error)) {
				fail_msg(
					"row %zu: \"%s\" lacks \"%s\"", i, err.text, rows[i].error);
			}
		} else {
			if (result != 0) {
				fail_msg("row %zu: %s", i, err.text);
			}
			accepted(&rows[i], &launch);
		}
		launch_fini(&launch);
	}
}

/* Every flag of the configuration and every switch that this verb takes is explained. */
static void help_names_all_flags(void **state)
{
	static const char *const verbs[] = {"run", "proxy"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		struct row row = {.verb = verbs[i], .words = {"--help"}};
		struct launch launch;
		struct err err;
		struct buf text;

		assert_int_equal(parse(&row, &launch, &err), 0);
		buf_init(&text);
		launch_help(&launch, verbs[i], &text);
		for (size_t k = 0; k < config_flag_count(); k++) {
			assert_non_null(strstr(buf_string(&text), config_flag_at(k)->name));
		}
		assert_int_equal(strstr(buf_string(&text), "--stdin") != NULL, i == 0);
		assert_int_equal(strstr(buf_string(&text), "[-- COMMAND ...]") != NULL, i == 0);
		buf_fini(&text);
		launch_fini(&launch);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table), cmocka_unit_test(help_names_all_flags)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
