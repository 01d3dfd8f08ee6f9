/* command: from the words of a command line to one verb with its flags, and the errors of all
 * verbs (operations.md CL-01 to CL-05). */
#include "cli/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codes.h"
#include "config/schema.h"

/* CL-02: long enough for a registry that is electing, short enough for a person. */
#define TIMEOUT_MS     5000
#define TIMEOUT_MAX_MS 86400000
#define OPTIONS_MAX    32

/* Exact names only; a near miss is shown, never guessed. */
static const struct command_row *find_row(const char *verb)
{
	size_t count;
	const struct command_row *rows = command_rows(&count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(rows[i].verb, verb) == 0) {
			return &rows[i];
		}
	}
	return NULL;
}

/* The row of a flag, given as "--name" or "--name=value"; NULL when the list lacks it. */
static const struct command_option *find_option(
	const struct command_option *options, const char *argument)
{
	size_t size = strcspn(argument, "=");

	for (; options && options->name; options++) {
		if (strlen(options->name) == size && memcmp(options->name, argument, size) == 0) {
			return options;
		}
	}
	return NULL;
}

/* CL-01: what is wrong, and what would be right, on two lines; exit code 2. */
static int usage(const struct command_row *row, const char *what, const char *argument)
{
	(void)fprintf(stderr, "pillion %s: %s %s\nusage: pillion %s %s%s[FLAGS]\n", row->verb, what,
		argument, row->verb, row->arguments, row->arguments[0] ? " " : "");
	return CLI_USAGE;
}

/* CF-23: the nearest of the verb's flags and of those that all verbs take. row: NULL in front of
 * the verb. */
static int unknown_flag(const struct command_row *row, const char *argument)
{
	const struct command_option *lists[] = {
		row ? row->options : NULL, command_global_options()};
	const char *names[OPTIONS_MAX];
	size_t used = 0;
	int nearest;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		for (const struct command_option *option = lists[i]; option && option->name;
			option++) {
			ASSERT(used < ARRAY_SIZE(names));
			names[used++] = option->name;
		}
	}
	nearest = config_nearest(slice_make(argument, strcspn(argument, "=")), names, used);
	(void)fprintf(stderr, "pillion%s%s: unknown flag %s", row ? " " : "", row ? row->verb : "",
		argument);
	if (nearest >= 0) {
		(void)fprintf(stderr, "; did you mean %s?", names[nearest]);
	}
	if (row) {
		(void)fprintf(stderr, "\n`pillion help %s` lists its flags\n", row->verb);
	} else {
		(void)fputs("\nflags of a command stand behind it; see `pillion help`\n", stderr);
	}
	return CLI_USAGE;
}

/* Words and flags in any order; behind "--" everything is a word, so that data may begin with a
 * dash. A lone "-" is a word too: standard input. */
static int parse(
	struct command *command, const struct command_row *row, int count, char **arguments)
{
	bool only_words = false;

	for (int i = 0; i < count; i++) {
		const char *argument = arguments[i];
		const struct command_option *option;

		if (only_words || argument[0] != '-' || argument[1] == '\0') {
			/* A word that nobody looks at would be a wish that nobody fulfils. */
			if (command->word_count == row->words_max) {
				return usage(row, "unexpected argument", argument);
			}
			command->words[command->word_count++] = argument;
			continue;
		}
		if (strcmp(argument, "--") == 0) {
			only_words = true;
			continue;
		}
		option = find_option(row->options, argument);
		option = option ? option : find_option(command_global_options(), argument);
		if (!option) {
			return unknown_flag(row, argument);
		}
		if (option->value && !strchr(argument, '=') && ++i == count) {
			return usage(row, "this flag needs a value:", argument);
		}
	}
	return CLI_DONE;
}

/* Looks through the arguments anew each time: there are few, and verbs stay free of a parser's
 * state. The last word of the list may be a flag without its value; parse has refused that. */
const char *command_flag(const struct command *command, const char *name, int index)
{
	size_t size = strlen(name);

	for (int i = 0; i < command->flag_count; i++) {
		const char *argument = command->flags[i];

		if (strcmp(argument, "--") == 0) {
			break;
		}
		if (strncmp(argument, name, size) != 0 ||
			(argument[size] && argument[size] != '=') || index-- > 0) {
			continue;
		}
		if (argument[size] == '=') {
			return argument + size + 1;
		}
		return i + 1 < command->flag_count ? command->flags[i + 1] : "";
	}
	return NULL;
}

/* A text that is no time would end every question at once, or never. */
static bool parse_timeout(const char *text, int *ret_ms)
{
	static const struct {
		const char *unit;
		long ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}, {"h", 3600000}};
	char *end;
	long value = strtol(text, &end, 10);

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (end != text && strcmp(end, units[i].unit) == 0 && value > 0 &&
			value <= TIMEOUT_MAX_MS / units[i].ms) {
			*ret_ms = (int)(value * units[i].ms);
			return true;
		}
	}
	return false;
}

/* CL-02 for all verbs alike. Plain seconds are accepted here although the file wants a unit: it is
 * typed by hand. */
static int parse_output(struct command *command, const struct command_row *row)
{
	static const char *const words[] = {"table", "wide", "json", "jsonl"};
	const char *output = command_flag(command, "-o", 0);
	const char *timeout = command_flag(command, "--timeout", 0);

	command->timeout_ms = TIMEOUT_MS;
	if (timeout && !parse_timeout(timeout, &command->timeout_ms)) {
		return usage(row, "--timeout takes 1ms to 24h, such as 5s, not", timeout);
	}
	if (!output) {
		return CLI_DONE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(output, words[i]) == 0) {
			command->output = (enum command_output)i;
			return CLI_DONE;
		}
	}
	return usage(row, "-o takes table, wide, json or jsonl, not", output);
}

/* CF-23: the nearest verb, run and proxy among them. */
static int unknown_verb(const char *verb)
{
	size_t count;
	const struct command_row *rows = command_rows(&count);
	const char *names[64] = {"run", "proxy"};
	size_t used = 2;
	int nearest;

	for (size_t i = 0; i < count && used < ARRAY_SIZE(names); i++) {
		names[used++] = rows[i].verb;
	}
	nearest = config_nearest(slice_from_string(verb), names, used);
	(void)fprintf(stderr, "pillion: unknown command %s", verb);
	if (nearest >= 0) {
		(void)fprintf(stderr, "; did you mean %s?", names[nearest]);
	}
	(void)fputs("\n`pillion help` lists them all\n", stderr);
	return CLI_USAGE;
}

/* Up to "--": behind it --help belongs to somebody else. */
static bool wants_help(int count, char **arguments)
{
	for (int i = 0; i < count && strcmp(arguments[i], "--") != 0; i++) {
		if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) {
			return true;
		}
	}
	return false;
}

/* CL-02: flags are stronger than the environment, which is stronger than looking for sockets. */
static int run_row(
	const struct cli_setup *setup, const struct command_row *row, int count, char **arguments)
{
	struct command command = {
		.setup = setup, .verb = row->verb, .flags = arguments, .flag_count = count};
	int code;

	if (wants_help(count, arguments)) {
		command_help_verb(row);
		return CLI_DONE;
	}
	code = parse(&command, row, count, arguments);
	if (code == CLI_DONE) {
		code = parse_output(&command, row);
	}
	if (code != CLI_DONE) {
		return code;
	}
	/* NULL: the sockets of AD-01 are looked for when somebody asks. */
	command.address = command_flag(&command, "--addr", 0);
	command.token_file = command_flag(&command, "--token-file", 0);
	command.quiet = command_flag(&command, "-q", 0) != NULL;
	if (!command.address) {
		command.address = getenv("PILLION_ADMIN");
	}
	if (!command.token_file) {
		command.token_file = getenv("PILLION_TOKEN_FILE");
	}
	return row->run(&command);
}

/* Words that look like flags and are verbs. */
static bool is_own_word(const char *verb)
{
	return strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0 ||
	       strcmp(verb, "--version") == 0;
}

/* Global flags may stand before the verb: pillion --addr X --timeout 2s status. They are put behind
 * it, at the front, where a "--" of the verb cannot hide them. */
static int run_after_flags(
	const struct cli_setup *setup, const char *flag, int count, char **arguments)
{
	char *words[COMMAND_WORDS_MAX * 2];
	int used = 0;
	int at = -1; /* flag is the word before arguments[0] */
	const char *word = flag;

	while (word[0] == '-' && !is_own_word(word)) {
		const struct command_option *option = find_option(command_global_options(), word);
		bool valued = option && option->value && !strchr(word, '=');

		if (!option) {
			return unknown_flag(NULL, word);
		}
		if (at + 1 + valued >= count || used + 2 > COMMAND_WORDS_MAX) {
			(void)fprintf(stderr,
				"pillion: %s%s%s: a command is missing behind it\n"
				"`pillion help` lists them all\n",
				word, valued ? " " : "",
				option->value && valued ? option->value : "");
			return CLI_USAGE;
		}
		/* Nothing writes through these pointers; argv just has this type. */
		words[used++] = (char *)(uintptr_t)word;
		if (valued) {
			words[used++] = arguments[++at];
		}
		word = arguments[++at];
	}
	for (int i = at + 1; i < count && used < (int)ARRAY_SIZE(words); i++) {
		words[used++] = arguments[i];
	}
	return cli_main(setup, word, used, words);
}

/* `pillion help`, `pillion help VERB`; main.c answers for run and proxy. */
static int help(int count, char **arguments)
{
	const struct command_row *row = count > 0 ? find_row(arguments[0]) : NULL;

	if (count > 0 && !row) {
		return unknown_verb(arguments[0]);
	}
	if (row) {
		command_help_verb(row);
	} else {
		command_help();
	}
	return CLI_DONE;
}

/* Everything but run and proxy. Called anew with the verb in front when global flags stood before
 * it. */
int cli_main(const struct cli_setup *setup, const char *verb, int count, char **arguments)
{
	const struct command_row *row;

	if (verb[0] == '-' && !is_own_word(verb)) {
		return run_after_flags(setup, verb, count, arguments);
	}
	if (strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
		return help(count, arguments);
	}
	row = find_row(strcmp(verb, "--version") == 0 ? "version" : verb);
	/* A symlink pillion-VERB comes here too, with its verb taken from the name (CL-01). */
	return row ? run_row(setup, row, count, arguments) : unknown_verb(verb);
}

bool command_wants_json(const struct command *command)
{
	return command->output == OUTPUT_JSON || command->output == OUTPUT_JSONL;
}

/* CL-05: three lines, or one object for programs; cause and fix come from the one table of codes,
 * so that command line and documents agree. */
int command_error(const struct command *command, int exit_code, unsigned pil, const char *message)
{
	const struct code_info *info = code_info(pil);

	if (command_wants_json(command)) {
		char code[16];
		json_t *json;

		(void)snprintf(code, sizeof code, "PIL%u", pil);
		json = json_pack("{s:s, s:s, s:s, s:s}", "code", code, "message", message, "cause",
			info ? info->cause : "", "fix", info ? info->fix : "");
		(void)json_dumpf(json, stderr, JSON_COMPACT);
		(void)fputc('\n', stderr);
		json_decref(json);
		return exit_code;
	}
	(void)fprintf(stderr, "error PIL%u: %s\n", pil, message);
	if (info) {
		(void)fprintf(stderr, "cause: %s\nfix:   %s\n", info->cause, info->fix);
	}
	return exit_code;
}

/* CL-04: what may work later is 75, what the file has to change is 78, all else is 1. */
static int code_of_status(int status)
{
	switch (status) {
	case 409:
	case 412:
	case 429:
	case 503:
	case 504:
	case 507:
		return CLI_LATER;
	case 422:
		return CLI_CONFIG;
	default:
		return CLI_FAILED;
	}
}

/* An answer of the sidecar keeps its own words (AD-06). Something that is no pillion may answer
 * too; then the status and the beginning of its body are shown. */
int command_refused(const struct command *command, const struct answer *answer)
{
	json_t *json = json_loadb((const char *)answer->body.data, answer->body.size, 0, NULL);
	const json_t *error = json_object_get(json, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *reason = json_string_value(json_object_get(error, "reason"));
	const char *fix = json_string_value(json_object_get(error, "fix"));

	if (command_wants_json(command) && error) {
		(void)json_dumpf(error, stderr, JSON_COMPACT);
		(void)fputc('\n', stderr);
	} else if (error) {
		(void)fprintf(stderr, "error %s: %s%s%s\n", code ? code : "", reason ? reason : "",
			reason ? ": " : "", message ? message : "");
		if (fix) {
			(void)fprintf(stderr, "fix:   %s\n", fix);
		}
	} else {
		(void)fprintf(stderr, "error: status %d: %.*s\n", answer->status,
			(int)(answer->body.size > 500 ? 500 : answer->body.size),
			(const char *)answer->body.data);
	}
	json_decref(json);
	return code_of_status(answer->status);
}
