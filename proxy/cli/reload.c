/* reload: reads the configuration again; the answer is the outcome of a read that began after the
 * call (operations.md RL-03). */
#include <stdlib.h>

#include "cli/command.h"
#include "cli/verbs.h"

/* RL-01: 78 when the file is bad, with all its errors; 75 when another reload came first or too
 * many old configurations are alive (RL-08). Differences go to standard output, a refusal to
 * standard error. */
int reload_run(struct command *command)
{
	const char *generation = command_flag(command, "--if-generation", 0);
	uint64_t wanted = 0;
	json_t *body;
	char *text;
	struct answer answer;
	json_t *json;
	int code;

	/* 0 would be any, which is the opposite of what was asked for. */
	if (generation && (!slice_parse_u64(slice_from_string(generation), INT64_MAX, &wanted) ||
				  wanted == 0)) {
		(void)fprintf(stderr, "pillion reload: --if-generation takes a number from 1\n");
		return CLI_USAGE;
	}
	body = json_pack("{s:b, s:I}", "dry_run", command_flag(command, "--dry-run", 0) != NULL,
		"if_generation", (json_int_t)wanted);
	text = json_dumps(body, JSON_COMPACT);
	code = command_ask(command, "/v1/reload", text, true, &answer);
	free(text);
	json_decref(body);
	if (code == CLI_DONE) {
		json = json_loadb((const char *)answer.body.data, answer.body.size, 0, NULL);
		/* The interface itself refused: no right, or no such sidecar. */
		if (!json_object_get(json, "text")) {
			code = command_refused(command, &answer);
		} else if (command_wants_json(command)) {
			(void)printf(
				"%.*s\n", (int)answer.body.size, (const char *)answer.body.data);
		} else {
			(void)fputs(json_string_value(json_object_get(json, "text")),
				answer.status == 200 ? stdout : stderr);
		}
		if (code == CLI_DONE && answer.status != 200) {
			code = answer.status == 422 ? CLI_CONFIG : CLI_LATER;
		}
		json_decref(json);
	}
	command_answer_fini(&answer);
	return code;
}
