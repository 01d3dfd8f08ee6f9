/* config: the configuration as a file, as this host would read it, or as the sidecar runs it
 * (operations.md CF-26, CF-27). */
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/offline.h"
#include "cli/verbs.h"
#include "config/schema.h"

/* CF-27 --live: what the running sidecar works with, after environment, flags and reloads. */
static int show_live(struct command *command)
{
	struct answer answer;
	const char *pointer = command_flag(command, "--pointer", 0);
	char path[COMMAND_PATH_MAX], escaped[COMMAND_NAME_MAX];
	int code;

	/* Flags are passed on as parameters of the same name. */
	(void)snprintf(path, sizeof path, "/v1/config?pointer=%s%s%s",
		command_escape(pointer ? pointer : "", escaped),
		command_flag(command, "--effective", 0) ? "&effective=1" : "",
		command_flag(command, "--origin", 0) ? "&origin=1" : "");
	code = command_ask(command, path, NULL, false, &answer);
	if (code == CLI_DONE && answer.status >= 400) {
		code = command_refused(command, &answer);
	} else if (code == CLI_DONE) {
		(void)printf("%.*s", (int)answer.body.size, (const char *)answer.body.data);
	}
	command_answer_fini(&answer);
	return code;
}

/* CF-27 without a sidecar: what this file would mean here, with this environment. */
static int show_file(struct command *command)
{
	/* Secrets are redacted in every form of this output (CF-09). */
	struct config_show_options options = {
		.effective = command_flag(command, "--effective", 0) != NULL,
		.origin = command_flag(command, "--origin", 0) != NULL,
		.pointer = command_flag(command, "--pointer", 0)};
	struct config *config;
	struct buf text;
	int code = offline_load(
		command, command_flag(command, "-c", 0), false, CONFIG_REPORT_TEXT, &config);

	if (code != CLI_DONE) {
		return code;
	}
	buf_init(&text);
	if (config_show(config, &options, &text)) {
		(void)fputs(buf_string(&text), stdout);
	} else {
		(void)fprintf(stderr, "no such pointer in the configuration\n");
		code = CLI_FAILED;
	}
	buf_fini(&text);
	config_destroy(config);
	return code;
}

/* The schema holds the options of filters too: main.c hands their tables over. */
int config_run(struct command *command)
{
	const char *verb = command->word_count > 0 ? command->words[0] : "show";
	struct buf text;

	if (strcmp(verb, "show") == 0) {
		return command_flag(command, "--live", 0) ? show_live(command) : show_file(command);
	}
	if (strcmp(verb, "schema") == 0) {
		buf_init(&text);
		config_schema_print(command->setup->plugins, command->setup->plugin_count, &text);
		(void)fputs(buf_string(&text), stdout);
		buf_fini(&text);
		return CLI_DONE;
	}
	(void)fprintf(stderr, "pillion config: show or schema, not %s\n", verb);
	return CLI_USAGE;
}
