/* raft: the replica beside which this is run, and the verbs of its leader (registry.md 13). */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/verbs.h"

/* 0 where the key is missing: an older sidecar may not say it. */
static long long integer(const json_t *json, const char *key)
{
	return (long long)json_integer_value(json_object_get(json, key));
}

/* A dash where the key is missing, so that lines keep their shape. */
static const char *text(const json_t *json, const char *key)
{
	const char *value = json_string_value(json_object_get(json, key));

	return value ? value : "-";
}

/* Two lines about the replica, then its peers as a table like every other list (CL-03). */
static int print_status(const struct command *command, const struct answer *answer)
{
	static const struct column columns[] = {{"NODE", "node", false, false},
		{"ADDRESS", "address", false, false}, {"ROLE", "role", false, false},
		{"STATE", "state", false, false}, {"MATCH", "match", true, false},
		{"LAG", "lag", true, false}, {"CONTACT", "contact", false, false}};
	json_t *json;
	json_t *list;
	struct answer peers = {0};
	char *dumped;

	if (command_wants_json(command)) {
		(void)printf("%.*s\n", (int)answer->body.size, (const char *)answer->body.data);
		return CLI_DONE;
	}
	json = json_loadb((const char *)answer->body.data, answer->body.size, 0, NULL);
	(void)printf("cluster %s   epoch %s\n", text(json, "uuid"), text(json, "epoch"));
	(void)printf(
		"role %s   term %lld   leader %s   commit %lld   applied %lld   log %lld..%lld\n",
		text(json, "role"), integer(json, "term"), text(json, "leader"),
		integer(json, "commit"), integer(json, "applied"), integer(json, "first_index"),
		integer(json, "last_index"));
	/* The table printer takes an answer with `items`; the peers are made to look like one. */
	list = json_pack("{s:O}", "items", json_object_get(json, "peers"));
	dumped = list ? json_dumps(list, JSON_COMPACT) : NULL;
	if (dumped) {
		buf_init(&peers.body);
		buf_append_string(&peers.body, dumped);
		(void)command_print_list(command, &peers, columns, ARRAY_SIZE(columns));
		buf_fini(&peers.body);
		free(dumped);
	}
	json_decref(list);
	json_decref(json);
	return CLI_DONE;
}

/* The argument is a replica's id, or empty where the leader may choose; 409 shows the refusal's
 * word (registry.md 13). */
static int change(struct command *command, const char *verb)
{
	struct answer answer;
	char path[64];
	json_t *body =
		json_pack("{s:s}", "argument", command->word_count > 1 ? command->words[1] : "");
	char *dumped = json_dumps(body, JSON_COMPACT);
	int code;

	(void)snprintf(path, sizeof path, "/v1/raft/%s", verb);
	code = command_ask(command, path, dumped, true, &answer);
	if (code == CLI_DONE && answer.status != 200) {
		code = command_refused(command, &answer);
	} else if (code == CLI_DONE) {
		(void)printf("%.*s\n", (int)answer.body.size, (const char *)answer.body.data);
	}
	command_answer_fini(&answer);
	free(dumped);
	json_decref(body);
	return code;
}

/* status where nothing is said. Other verbs of registry.md 13 are named as unknown, not passed on.
 */
int raft_run(struct command *command)
{
	static const char *const verbs[] = {"transfer", "add", "promote"};
	const char *verb = command->word_count > 0 ? command->words[0] : "status";
	struct answer answer;
	int code;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verb, verbs[i]) == 0) {
			/* Only transfer may leave the choice to the leader. */
			if (i > 0 && command->word_count < 2) {
				(void)fprintf(stderr,
					"pillion raft: %s takes the ID of a replica; "
					"`pillion raft status -o json` has them\n",
					verb);
				return CLI_USAGE;
			}
			return change(command, verb);
		}
	}
	if (strcmp(verb, "status") != 0) {
		(void)fprintf(
			stderr, "pillion raft: status, transfer, add or promote, not %s\n", verb);
		return CLI_USAGE;
	}
	code = command_ask(command, "/v1/raft", NULL, false, &answer);
	if (code == CLI_DONE) {
		code = answer.status == 200 ? print_status(command, &answer)
					    : command_refused(command, &answer);
	}
	command_answer_fini(&answer);
	return code;
}
