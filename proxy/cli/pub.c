/* pub: publishes through the outbound listener (broker.md B18-02). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/http_client.h"
#include "cli/verbs.h"

/* A flag of the verb and the field it becomes. */
static const char *const fields_of[][2] = {{"--key", "ce-partitionkey"}, {"--id", "ce-id"},
	{"--type", "ce-type"}, {"--ttl", "x-pillion-ttl"},
	{"--durability", "x-pillion-durability"}};

/* B18-02: a word, standard input, or a file; nothing at all is an empty message. */
static bool read_data(const struct command *command, struct buf *ret_data)
{
	const char *path = command_flag(command, "--file", 0);
	FILE *file;
	bool good;

	if (!path) {
		if (command->word_count > 1 && strcmp(command->words[1], "-") == 0) {
			return command_read("pub", "standard input", stdin, ret_data);
		}
		buf_append_string(ret_data, command->word_count > 1 ? command->words[1] : "");
		return true;
	}
	file = fopen(path, "re");
	if (!file) {
		(void)fprintf(stderr, "pillion pub: %s: %s\n", path, strerror(errno));
		return false;
	}
	good = command_read("pub", path, file, ret_data);
	(void)fclose(file);
	return good;
}

/* JSON is sent as JSON, so that it can be translated; all else as bytes. */
static const char *type_of(const struct buf *data)
{
	json_t *json = data->size > 0 ? json_loadb((const char *)data->data, data->size,
						JSON_DECODE_ANY, NULL)
				      : NULL;

	json_decref(json);
	return json ? "application/json" : "application/octet-stream";
}

/* B5-02: binary mode, attributes as fields. The sidecar's answer is printed as it came: it names
 * the level reached and how many groups will get the message (B1-02). */
static int publish(struct command *command, const char *outbound, const struct buf *data)
{
	char path[COMMAND_PATH_MAX], topic[COMMAND_NAME_MAX];
	struct http_client_field fields[8];
	struct http_client_request request = {.address = outbound,
		.method = "POST",
		.path = path,
		.fields = fields,
		.body = buf_slice(data),
		.has_body = true,
		/* Longer than commit_timeout (B5-13), so that the answer and not our clock
		 * decides. */
		.timeout_ms = 15000};
	struct answer answer;
	int code = CLI_DONE;

	(void)snprintf(path, sizeof path, "/v1/pub/%s", command_escape(command->words[0], topic));
	fields[request.field_count++] = (struct http_client_field){"content-type", type_of(data)};
	for (size_t i = 0; i < ARRAY_SIZE(fields_of); i++) {
		const char *value = command_flag(command, fields_of[i][0], 0);

		if (value) {
			fields[request.field_count++] =
				(struct http_client_field){fields_of[i][1], value};
		}
	}
	if (!http_client_do(&request, &answer)) {
		code = command_error(command, CLI_NOT_REACHED, answer.code, answer.error);
	} else if (answer.status >= 400) {
		code = command_refused(command, &answer);
	} else if (!command->quiet) {
		(void)printf("%.*s\n", (int)answer.body.size, (const char *)answer.body.data);
	}
	command_answer_fini(&answer);
	return code;
}

/* --count sends the same bytes again and again, each with an id of its own unless --id is given;
 * the first refusal ends it. */
int pub_run(struct command *command)
{
	const char *count_text = command_flag(command, "--count", 0);
	uint64_t count = 1;
	char outbound[256];
	struct buf data;
	int code;

	if (command->word_count < 1 ||
		(count_text &&
			!slice_parse_u64(slice_from_string(count_text), INT32_MAX, &count)) ||
		count == 0) {
		(void)fprintf(
			stderr, "usage: pillion pub TOPIC [DATA | - | --file FILE] [--count N]\n");
		return CLI_USAGE;
	}
	buf_init(&data);
	code = read_data(command, &data) ? command_outbound(command, outbound, sizeof outbound)
					 : CLI_USAGE;
	for (uint64_t i = 0; i < count && code == CLI_DONE; i++) {
		code = publish(command, outbound, &data);
	}
	buf_fini(&data);
	return code;
}
