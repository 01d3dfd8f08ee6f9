/* call: a request through the outbound listener, as the application would send it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/http_client.h"
#include "cli/verbs.h"

/* More -H than this is no request that a person types. */
#define FIELDS_MAX 32
#define FIELD_MAX  1024

/* "GET /path", "/pkg.Svc/Method" or "Svc.Method" (then POST). False when it is none of them: a part
 * of a path would be another path. */
static bool split_method(
	const char *text, char *ret_method, size_t method_size, char *ret_path, size_t path_size)
{
	const char *space = strchr(text, ' ');
	const char *dot = strrchr(text, '.');
	const char *path = space ? space + strspn(space, " ") : NULL;

	if (strlen(text) >= path_size - 2) {
		return false;
	}
	if (space) {
		if ((size_t)(space - text) >= method_size || path[0] != '/') {
			return false;
		}
		(void)snprintf(ret_method, method_size, "%.*s", (int)(space - text), text);
		(void)snprintf(ret_path, path_size, "%s", path);
	} else if (method_find(slice_from_string(text)) != METHOD_OTHER) {
		return false;
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
	return true;
}

/* "-d @file", "-d text" or the third word. False after a message. */
static bool read_data(const struct command *command, struct buf *ret_data, bool *ret_has)
{
	const char *data = command_flag(command, "-d", 0);
	FILE *file;
	bool good;

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
	good = command_read("call", data + 1, file, ret_data);
	if (file != stdin) {
		(void)fclose(file);
	}
	return good;
}

/* Names become lower case here, for heads hold nothing else (MM-08). False after a message: a field
 * that is left out would be another call. */
static bool read_fields(const struct command *command, struct http_client_field *fields,
	char (*texts)[FIELD_MAX], size_t *ret_count)
{
	size_t count = 0;

	for (;; count++) {
		const char *text = command_flag(command, "-H", (int)count);
		char *colon;

		if (!text) {
			break;
		}
		if (count == FIELDS_MAX || strlen(text) >= FIELD_MAX || text[0] == ':' ||
			!strchr(text, ':')) {
			(void)fprintf(stderr,
				"pillion call: -H takes 'NAME: VALUE', up to %d times and %d "
				"bytes, "
				"not %.80s\n",
				FIELDS_MAX, FIELD_MAX - 1, text);
			return false;
		}
		(void)snprintf(texts[count], FIELD_MAX, "%s", text);
		colon = strchr(texts[count], ':');
		*colon = '\0';
		for (char *letter = texts[count]; *letter; letter++) {
			*letter =
				(char)(*letter >= 'A' && *letter <= 'Z' ? *letter | 0x20 : *letter);
		}
		/* Blanks after the colon belong to the form, not to the value. */
		fields[count] = (struct http_client_field){
			texts[count], colon + 1 + strspn(colon + 1, " \t")};
	}
	*ret_count = count;
	return true;
}

/* What is sent is JSON unless its author says what it is. */
static void default_type(struct http_client_request *request, struct http_client_field *fields)
{
	for (size_t i = 0; i < request->field_count; i++) {
		if (strcmp(fields[i].name, "content-type") == 0) {
			return;
		}
	}
	fields[request->field_count++] =
		(struct http_client_field){"content-type", "application/json"};
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

/* Calls once, or as often as --repeat says; the first that is not answered ends it, and one that
 * fails fails all. */
static int repeat(
	struct command *command, const struct http_client_request *request, uint64_t times)
{
	int code = CLI_DONE;

	for (uint64_t i = 0; i < times; i++) {
		struct answer answer;
		bool answered = http_client_do(request, &answer);
		int result =
			answered ? report(&answer)
				 : command_error(command, CLI_FAILED, answer.code, answer.error);

		command_answer_fini(&answer);
		code = result != CLI_DONE ? result : code;
		if (!answered) {
			break;
		}
	}
	return code;
}

/* operations.md 7: through the outbound listener, so that name, choice of instance, retries and
 * translation are those that the application would meet. The service is the authority, as in form
 * A of mesh.md 1. */
int call_run(struct command *command)
{
	char method[64], path[8192], outbound[256];
	static char texts[FIELDS_MAX][FIELD_MAX];
	struct http_client_field fields[FIELDS_MAX + 1];
	struct http_client_request request = {.method = method,
		.path = path,
		.address = outbound,
		.fields = fields,
		.timeout_ms = command_flag(command, "--timeout", 0) ? command->timeout_ms : 30000};
	const char *times_text = command_flag(command, "--repeat", 0);
	uint64_t times = 1;
	struct buf data;
	int code;

	if (command->word_count < 2 ||
		!split_method(command->words[1], method, sizeof method, path, sizeof path) ||
		(times_text &&
			!slice_parse_u64(slice_from_string(times_text), INT32_MAX, &times)) ||
		times == 0) {
		(void)fprintf(stderr, "usage: pillion call SERVICE METHOD [JSON] [--repeat N]\n"
				      "METHOD is 'GET /path', /pkg.Svc/Method or pkg.Svc.Method\n");
		return CLI_USAGE;
	}
	buf_init(&data);
	if (!read_fields(command, fields, texts, &request.field_count) ||
		!read_data(command, &data, &request.has_body)) {
		buf_fini(&data);
		return CLI_USAGE;
	}
	/* The port may have moved (ZC-03), so the sidecar is asked for it. */
	code = command_outbound(command, outbound, sizeof outbound);
	if (code == CLI_DONE) {
		request.authority = command->words[0];
		request.body = buf_slice(&data);
		/* A POST has a body even when it is empty: a gRPC method takes the empty message
		 * (JG-01). */
		request.has_body = request.has_body || strcmp(method, "POST") == 0;
		if (request.has_body) {
			default_type(&request, fields);
		}
		code = repeat(command, &request, times);
	}
	buf_fini(&data);
	return code;
}
