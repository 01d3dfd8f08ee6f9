/* call: a request through the outbound listener, as the application would send it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/http_client.h"
#include "cli/verbs.h"

/* More -H than this is no request that a person types; what it reads from a file is bounded like
 * one. */
#define FIELDS_MAX 32
#define DATA_MAX   ((size_t)16 << 20)

/* "GET /path", "/pkg.Svc/Method" or "Svc.Method" (then POST). */
static void split_method(
	const char *text, char *ret_method, size_t method_size, char *ret_path, size_t path_size)
{
	const char *space = strchr(text, ' ');
	const char *dot = strrchr(text, '.');

	if (space) {
		(void)snprintf(ret_method, method_size, "%.*s", (int)(space - text), text);
		(void)snprintf(ret_path, path_size, "%s", space + 1 + strspn(space, " ") - 1);
	} else {
		(void)snprintf(ret_method, method_size, "POST");
		if (text[0] == '/' || !dot) {
			(void)snprintf(
				ret_path, path_size, "%s%s", text[0] == '/' ? "" : "/", text);
		} else {
			(void)snprintf(
				ret_path, path_size, "/%.*s/%s", (int)(dot - text), text, dot + 1);
		}
	}
}

/* "-d @file", "-d text" or the third word. False after a message. */
static bool read_data(const struct command *command, struct buf *ret_data, bool *ret_has)
{
	const char *data = command_flag(command, "-d", 0);
	FILE *file;

	if (!data && command->word_count > 2) {
		data = command->words[2];
	}
	*ret_has = data != NULL;
	if (!data || data[0] != '@') {
		buf_append_string(ret_data, data ? data : "");
		return true;
	}
	file = strcmp(data, "@-") == 0 ? stdin : fopen(data + 1, "re");
	if (!file) {
		(void)fprintf(stderr, "pillion call: %s: %s\n", data + 1, strerror(errno));
		return false;
	}
	while (ret_data->size <= DATA_MAX) {
		size_t got = fread(buf_reserve(ret_data, 65536), 1, 65536, file);

		if (got == 0) {
			break;
		}
		ret_data->size += got;
	}
	if (file != stdin) {
		(void)fclose(file);
	}
	if (ret_data->size > DATA_MAX) {
		(void)fprintf(
			stderr, "pillion call: %s: more than %zu MiB\n", data + 1, DATA_MAX >> 20);
		return false;
	}
	return true;
}

/* Names become lower case here, for heads hold nothing else (MM-08); a text without a colon is no
 * field and is left out. */
static size_t read_fields(
	const struct command *command, struct http_client_field *fields, char (*texts)[1024])
{
	size_t count = 0;

	for (int i = 0; count < FIELDS_MAX; i++) {
		const char *text = command_flag(command, "-H", i);
		char *colon;

		if (!text) {
			break;
		}
		(void)snprintf(texts[count], sizeof texts[0], "%s", text);
		colon = strchr(texts[count], ':');
		if (!colon) {
			continue;
		}
		*colon = '\0';
		for (char *letter = texts[count]; *letter; letter++) {
			*letter =
				(char)(*letter >= 'A' && *letter <= 'Z' ? *letter | 0x20 : *letter);
		}
		/* Blanks after the colon belong to the form, not to the value. */
		fields[count] = (struct http_client_field){
			texts[count], colon + 1 + strspn(colon + 1, " \t")};
		count++;
	}
	return count;
}

/* CL-02: the body alone goes to standard output, so that it can be piped; status and reason are
 * for the person. The exit code follows the call, as a script wants it: 1 for 400 and above, and
 * for a gRPC status that is not 0. */
static int report(const struct answer *answer)
{
	if (answer->body.size > 0) {
		(void)fwrite(answer->body.data, 1, answer->body.size, stdout);
		if (answer->body.data[answer->body.size - 1] != '\n') {
			(void)putchar('\n');
		}
	}
	(void)fflush(stdout);
	(void)fprintf(stderr, "status %d%s%s%s%s\n", answer->status,
		answer->grpc_status[0] ? "   grpc-status " : "", answer->grpc_status,
		answer->reason[0] ? "   " : "", answer->reason);
	return answer->status >= 400 ||
			       (answer->grpc_status[0] && strcmp(answer->grpc_status, "0") != 0)
		       ? CLI_FAILED
		       : CLI_DONE;
}

/* operations.md 7: through the outbound listener, so that name, choice of instance, retries and
 * translation are those that the application would meet. The service is the authority, as in form
 * A of mesh.md 1. */
int call_run(struct command *command)
{
	char method[64], path[2048], outbound[256];
	static char texts[FIELDS_MAX][1024];
	struct http_client_field fields[FIELDS_MAX + 1];
	struct http_client_request request = {.method = method,
		.path = path,
		.address = outbound,
		.fields = fields,
		.timeout_ms = command_flag(command, "--timeout", 0) ? command->timeout_ms : 30000};
	struct answer answer;
	struct buf data;
	int code;

	if (command->word_count < 2) {
		(void)fprintf(stderr, "usage: pillion call SERVICE METHOD [JSON]\n");
		return CLI_USAGE;
	}
	buf_init(&data);
	split_method(command->words[1], method, sizeof method, path, sizeof path);
	if (!read_data(command, &data, &request.has_body)) {
		buf_fini(&data);
		return CLI_USAGE;
	}
	/* The port may have moved (ZC-03), so the sidecar is asked for it. */
	code = command_outbound(command, outbound, sizeof outbound);
	if (code != CLI_DONE) {
		buf_fini(&data);
		return code;
	}
	request.authority = command->words[0];
	request.body = buf_slice(&data);
	/* A POST has a body even when it is empty: a gRPC method takes the empty message (JG-01).
	 */
	request.has_body = request.has_body || strcmp(method, "POST") == 0;
	request.field_count = read_fields(command, fields, texts);
	if (request.has_body) {
		fields[request.field_count++] =
			(struct http_client_field){"content-type", "application/json"};
	}
	if (http_client_do(&request, &answer)) {
		code = report(&answer);
	} else {
		code = command_error(command, CLI_FAILED, answer.code, answer.error);
	}
	command_answer_fini(&answer);
	buf_fini(&data);
	return code;
}
