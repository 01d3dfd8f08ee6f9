/*
 * sub: fetches in an ephemeral group, or in the one named, and prints messages as lines
 * (broker.md B18-03).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/http_client.h"
#include "cli/verbs.h"

/* Waits longer than a fetch may be parked (30 s below), so that an empty answer arrives as one. */
static bool post(
	const char *outbound, const char *path, const char *body, struct answer *ret_answer)
{
	struct http_client_field field = {"content-type", "application/json"};
	struct http_client_request request = {.address = outbound,
		.method = "POST",
		.path = path,
		.fields = &field,
		.field_count = 1,
		.body = slice_from_string(body),
		.has_body = true,
		.timeout_ms = 40000};

	return http_client_do(&request, ret_answer);
}

/* Settles one lease; a failure is not the reader's: the message comes again. */
static void settle(const char *outbound, const char *base, const char *lease, bool acknowledge)
{
	char path[COMMAND_PATH_MAX];
	struct answer answer;
	json_t *body =
		acknowledge ? json_pack("{s:[s]}", "ack", lease)
			    : json_pack("{s:[{s:s, s:s}]}", "nack", "lease", lease, "delay", "0s");
	char *text = json_dumps(body, JSON_COMPACT);

	(void)snprintf(path, sizeof path, "%s/ack", base);
	(void)post(outbound, path, text, &answer);
	command_answer_fini(&answer);
	free(text);
	json_decref(body);
}

/* One line a message, flushed at once: a pipe behind this sees it before the next fetch is parked.
 * --raw prints the data alone. False: it was not written. */
static bool print_message(const json_t *message, bool raw)
{
	const json_t *event = json_object_get(message, "event");
	const json_t *data = json_object_get(event, "data");

	(void)json_dumpf(raw && data ? data : event, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	(void)putchar('\n');
	return fflush(stdout) == 0 && !ferror(stdout);
}

/* One fetch; returns how many messages were printed, -1 after an error. */
static long take(struct command *command, const char *outbound, const char *base, long left)
{
	char path[COMMAND_PATH_MAX], body[64];
	struct answer answer;
	json_t *json;
	size_t index;
	const json_t *message;
	long printed = 0;

	(void)snprintf(path, sizeof path, "%s/fetch", base);
	(void)snprintf(body, sizeof body, "{\"max\":%ld,\"wait\":\"30s\"}",
		/* Never more than is still wanted: what is fetched and not printed would have to
		 * wait for its lease to end. */
		left > 0 && left < 100 ? left : 100);
	if (!post(outbound, path, body, &answer)) {
		(void)command_error(command, CLI_NOT_REACHED, answer.code, answer.error);
		command_answer_fini(&answer);
		return -1;
	}
	if (answer.status >= 400) {
		(void)command_refused(command, &answer);
		command_answer_fini(&answer);
		return -1;
	}
	json = json_loadb((const char *)answer.body.data, answer.body.size, 0, NULL);
	json_array_foreach(json_object_get(json, "messages"), index, message)
	{
		const char *lease = json_string_value(json_object_get(message, "lease"));

		bool written = print_message(message, command_flag(command, "--raw", 0) != NULL);

		/* Printed before it is acknowledged: a reader that is killed in between sees the
		 * message again (B1-01). What could not be printed is given back. */
		if (lease) {
			settle(outbound, base, lease,
				written && !command_flag(command, "--no-ack", 0));
		}
		if (!written) {
			printed = -1;
			break;
		}
		printed++;
	}
	json_decref(json);
	command_answer_fini(&answer);
	return printed;
}

/* Without --count until it is killed; then the open leases return to the group after their time
 * (B6-02). */
int sub_run(struct command *command)
{
	const char *group = command_flag(command, "--group", 0);
	const char *count_text = command_flag(command, "--count", 0);
	uint64_t count = 1;
	long left = -1;
	char outbound[256], base[COMMAND_PATH_MAX - 16], own[64];
	char topic[COMMAND_NAME_MAX], member[COMMAND_NAME_MAX];
	int code;

	if (command->word_count < 1 ||
		(count_text &&
			!slice_parse_u64(slice_from_string(count_text), INT32_MAX, &count)) ||
		count == 0) {
		(void)fprintf(stderr, "usage: pillion sub TOPIC [--group G] [--count N]\n");
		return CLI_USAGE;
	}
	left = count_text ? (long)count : -1;
	/* Without a group: one of this reader's own, gone 60 s after its last fetch. */
	(void)snprintf(own, sizeof own, "~sub-%d", (int)getpid());
	(void)snprintf(base, sizeof base, "/v1/sub/%s/%s", command_escape(command->words[0], topic),
		command_escape(group ? group : own, member));
	code = command_outbound(command, outbound, sizeof outbound);
	while (code == CLI_DONE && left != 0) {
		long printed = take(command, outbound, base, left);

		if (printed < 0) {
			/* What cannot be printed is reported by main.c. */
			return ferror(stdout) ? CLI_DONE : CLI_FAILED;
		}
		left = left > 0 ? (printed >= left ? 0 : left - printed) : left;
	}
	return code;
}
