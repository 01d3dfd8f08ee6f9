/* command_ask: finds the admin interface of a sidecar of this user (operations.md AD-01) and asks
 * it. */
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/http_client.h"

/* More sidecars than this of one user are not listed; the first ones are as good for a look. */
#define FOUND_MAX 16
#define FALLBACK  "http://127.0.0.1:7442"

/* The list under way: what was found, and how much more may be. */
struct found {
	char (*addresses)[256];
	int count, most;
};

/* A socket counts only when somebody listens on it. */
static bool alive(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;
	bool answers;

	if (strlen(path) >= sizeof address.sun_path) {
		return false;
	}
	memcpy(address.sun_path, path, strlen(path));
	/* Without waiting: a queue that is full, as that of a stopped process, has a listener too.
	 */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	answers = fd >= 0 && (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ||
				     errno == EAGAIN);
	if (fd >= 0) {
		close(fd);
	}
	return answers;
}

/* Each place once: the same directory may be named by two variables. */
static void add(struct found *found, const char *path)
{
	struct stat status;

	if (found->count == found->most || stat(path, &status) < 0 || !S_ISSOCK(status.st_mode) ||
		!alive(path)) {
		return;
	}
	(void)snprintf(
		found->addresses[found->count], sizeof found->addresses[0], "unix:%.250s", path);
	for (int i = 0; i < found->count; i++) {
		if (strcmp(found->addresses[i], found->addresses[found->count]) == 0) {
			return;
		}
	}
	found->count++;
}

/* A variable that is unset or not absolute names no place. */
static void add_pattern(struct found *found, const char *directory, const char *pattern)
{
	char path[512];
	glob_t matches;

	if (!directory || directory[0] != '/') {
		return;
	}
	(void)snprintf(path, sizeof path, "%s/%s", directory, pattern);
	if (glob(path, 0, NULL, &matches) == 0) {
		for (size_t i = 0; i < matches.gl_pathc; i++) {
			add(found, matches.gl_pathv[i]);
		}
	}
	globfree(&matches);
}

/* AD-01: the places where a sidecar of this user may have bound its socket, in the order in which
 * it chooses them. Where there is none the TCP address is left, which may look but not change
 * (AD-02). */
int command_addresses(const struct command *command, char (*ret_addresses)[256], int most)
{
	struct found found = {.addresses = ret_addresses, .most = most};
	char home_state[300];
	const char *home = getenv("HOME");

	if (command->address) {
		(void)snprintf(ret_addresses[0], sizeof ret_addresses[0], "%s", command->address);
		return 1;
	}
	add_pattern(&found, getenv("RUNTIME_DIRECTORY"), "admin.sock");
	add_pattern(&found, "/run/pillion", "*.sock");
	add_pattern(&found, getenv("XDG_RUNTIME_DIR"), "pillion/*.sock");
	add_pattern(&found, getenv("STATE_DIRECTORY"), "admin.sock");
	add_pattern(&found, getenv("STATE_DIRECTORY"), "*/admin.sock");
	add_pattern(&found, "/var/lib/pillion", "admin.sock");
	add_pattern(&found, "/var/lib/pillion", "*/admin.sock");
	add_pattern(&found, getenv("PILLION_DATA_DIR"), "admin.sock");
	add_pattern(&found, getenv("XDG_STATE_HOME"), "pillion/*/admin.sock");
	(void)snprintf(home_state, sizeof home_state, "%s/.local/state", home ? home : "");
	add_pattern(&found, home_state, "pillion/*/admin.sock");
	/* A run with --dev keeps its socket in the directory that it made for itself (ZC-02). */
	add_pattern(&found, "/tmp", "pillion-dev-*/admin.sock");
	if (found.count == 0 && most > 0) {
		(void)snprintf(ret_addresses[0], sizeof ret_addresses[0], "%s", FALLBACK);
		return 1;
	}
	return found.count;
}

/* CF-09: from a file only, so that no argument list holds a secret. Where it cannot be read that
 * is said once, and the question goes without: not every path wants a token. */
static void read_token(struct command *command, char *ret_text, size_t size)
{
	FILE *file = command->token_file ? fopen(command->token_file, "re") : NULL;
	size_t got;

	ret_text[0] = '\0';
	if (!file) {
		if (command->token_file) {
			(void)fprintf(stderr, "pillion: the token file %s: %s\n",
				command->token_file, strerror(errno));
			command->token_file = NULL;
		}
		return;
	}
	got = fread(ret_text, 1, size - 1, file);
	ret_text[got] = '\0';
	ret_text[strcspn(ret_text, "\r\n")] = '\0';
	(void)fclose(file);
}

/* x-pillion-admin goes with every request: it costs nothing where it is not asked for, and no
 * browser can send it across origins (AD-03). */
bool command_ask_at(struct command *command, const char *address, const char *path,
	const char *body, struct answer *ret_answer)
{
	char token[520];
	char bearer[540];
	struct http_client_field fields[4];
	struct http_client_request request = {.address = address,
		.method = body ? "POST" : "GET",
		.path = path,
		.fields = fields,
		.body = slice_from_string(body ? body : ""),
		.has_body = body != NULL,
		.timeout_ms = command->timeout_ms};

	fields[request.field_count++] = (struct http_client_field){"x-pillion-admin", "1"};
	if (body) {
		fields[request.field_count++] =
			(struct http_client_field){"content-type", "application/json"};
	}
	read_token(command, token, sizeof token);
	if (token[0]) {
		(void)snprintf(bearer, sizeof bearer, "Bearer %s", token);
		fields[request.field_count++] = (struct http_client_field){"authorization", bearer};
	}
	if (!http_client_do(&request, ret_answer)) {
		return false;
	}
	/* A port may be somebody else's: its page is no list of services. */
	if (ret_answer->status == 200 && strncmp(path, "/v1/", 4) == 0 &&
		strncmp(ret_answer->content_type, "application/json", 16) != 0) {
		ret_answer->code = 4001;
		(void)snprintf(ret_answer->error, sizeof ret_answer->error,
			"what answers there is no pillion");
		return false;
	}
	return true;
}

/* The probes of HE-04 answer in plain text. */
bool command_answer_is_ok(const struct answer *answer)
{
	return answer->status == 200 && answer->body.size >= 2 &&
	       memcmp(answer->body.data, "ok", 2) == 0;
}

/* The sidecar then says what is wrong with the name, not with the request. */
const char *command_escape(const char *name, char ret_text[COMMAND_NAME_MAX])
{
	size_t used = 0;

	for (; *name && used + 4 <= COMMAND_NAME_MAX; name++) {
		if (isalnum((unsigned char)*name) || strchr("-._~/*", *name)) {
			ret_text[used++] = *name;
		} else {
			used += (size_t)snprintf(
				ret_text + used, 4, "%%%02X", (unsigned)(unsigned char)*name);
		}
	}
	ret_text[used] = '\0';
	return ret_text;
}

/* Takes an answer that never came. */
void command_answer_fini(struct answer *answer)
{
	buf_fini(&answer->body);
}

/* CL-02: a verb that changes something wants exactly one sidecar. */
static int refuse_several(const struct command *command, char (*addresses)[256], int count)
{
	struct buf message;

	buf_init(&message);
	buf_append_string(&message, "several sidecars run here; name one:");
	for (int i = 0; i < count; i++) {
		buf_appendf(&message, "%s--addr %s", command_wants_json(command) ? " " : "\n  ",
			addresses[i]);
	}
	(void)command_error(command, CLI_USAGE, 4003, buf_string(&message));
	buf_fini(&message);
	return CLI_USAGE;
}

/* CL-02: verbs that only read the mesh take the first sidecar that has what is asked for, and say
 * which one it was; verbs that change something refuse to choose. */
int command_ask(struct command *command, const char *path, const char *body, bool changes,
	struct answer *ret_answer)
{
	char addresses[FOUND_MAX][256];
	int count = command_addresses(command, addresses, FOUND_MAX);
	char message[600];
	int last = 0;

	*ret_answer = (struct answer){0};
	buf_init(&ret_answer->body);
	/* Stopping or reloading the wrong one of two would be worse than a question. */
	if (changes && count > 1) {
		return refuse_several(command, addresses, count);
	}
	for (int i = 0; i < count; i++) {
		command_answer_fini(ret_answer);
		last = i;
		if (command_ask_at(command, addresses[i], path, body, ret_answer)) {
			/* Not all hold the same: only some are replicas. */
			if (ret_answer->status == 404 && i + 1 < count) {
				continue;
			}
			if (count > 1 && !command->quiet) {
				/* With several to choose from, which one it was is part of the
				 * answer (CL-02). */
				(void)fprintf(stderr, "asked %s\n", addresses[i]);
			}
			return CLI_DONE;
		}
	}
	(void)snprintf(message, sizeof message, "no pillion answers at %.255s (%s)",
		addresses[last], ret_answer->error);
	return command_error(command, CLI_NOT_REACHED, ret_answer->code, message);
}

/* For call, pub and sub: any sidecar of this user leads into the mesh. */
int command_outbound(struct command *command, char *ret_address, size_t size)
{
	struct answer answer;
	int code = command_ask(command, "/v1/status", NULL, false, &answer);
	json_t *json = NULL;
	size_t index;
	const json_t *row;

	ret_address[0] = '\0';
	if (code == CLI_DONE) {
		json = json_loadb((const char *)answer.body.data, answer.body.size, 0, NULL);
	}
	json_array_foreach(json_object_get(json, "listeners"), index, row)
	{
		const char *kind = json_string_value(json_object_get(row, "kind"));
		const char *address = json_string_value(json_object_get(row, "address"));

		if (kind && address && strcmp(kind, "outbound") == 0 && !ret_address[0]) {
			(void)snprintf(ret_address, size, "%s", address);
		}
	}
	json_decref(json);
	command_answer_fini(&answer);
	if (code == CLI_DONE && !ret_address[0]) {
		return command_error(
			command, CLI_FAILED, 4001, "that sidecar has no outbound listener");
	}
	return code;
}
