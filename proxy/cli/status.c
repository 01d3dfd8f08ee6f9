/* status: one screen about each sidecar of this user (operations.md 7). */
#include <string.h>

#include "cli/command.h"
#include "cli/verbs.h"

#define SIDECARS_MAX 16

/* A dash for what is absent or empty. */
static const char *text(const json_t *json, const char *key)
{
	const char *value = json_string_value(json_object_get(json, key));

	return value && value[0] ? value : "-";
}

/* 0 for what is absent. */
static long long integer(const json_t *json, const char *key)
{
	return (long long)json_integer_value(json_object_get(json, key));
}

/* MG-04: a view without index and age would look as good as a live one. */
static void print_registry(const json_t *registry)
{
	(void)printf("  registry   %s   index %lld   %.1f s old   %s\n", text(registry, "mode"),
		integer(registry, "index"), (double)integer(registry, "age_ms") / 1000.0,
		json_is_true(json_object_get(registry, "registered")) ? "registered"
								      : "not registered");
	(void)printf("             cluster %s   asked %s   leader %s\n", text(registry, "cluster"),
		text(registry, "connected"), text(registry, "leader"));
}

/* The last error of the check is the line that explains most problems of a first start. */
static void print_app(const json_t *app)
{
	if (!json_is_true(json_object_get(app, "present"))) {
		(void)printf("  app        none\n");
		return;
	}
	(void)printf("  app        %s   %s   speaks %s   %s\n", text(app, "address"),
		json_is_true(json_object_get(app, "healthy")) ? "healthy" : "not healthy",
		text(app, "protocol"), json_string_value(json_object_get(app, "error")));
}

/* Fits 24 lines: who it is, what it listens on, what it knows, what passes, what is wrong.
 * Degraded parts come last, with a mark that needs no colour (CL-02). */
static void print_status(const json_t *json, const char *address)
{
	const json_t *traffic = json_object_get(json, "traffic");
	size_t index;
	const json_t *row;

	(void)printf("%s/%s   %s   instance %.8s   pillion %s   up %lld s\n", text(json, "service"),
		text(json, "service_version"), text(json, "phase"), text(json, "instance"),
		text(json, "version"), integer(json, "uptime_seconds"));
	(void)printf("  file       %s   generation %lld   %lld workers   admin %s\n",
		text(json, "file"), integer(json, "generation"), integer(json, "workers"), address);
	print_app(json_object_get(json, "app"));
	json_array_foreach(json_object_get(json, "listeners"), index, row)
	{
		(void)printf("  %-10s %s\n", text(row, "name"), text(row, "address"));
	}
	print_registry(json_object_get(json, "registry"));
	(void)printf(
		"  traffic    in %lld (%lld failed)   out %lld (%lld failed)   %lld under way\n",
		integer(traffic, "inbound_requests"), integer(traffic, "inbound_failed"),
		integer(traffic, "outbound_requests"), integer(traffic, "outbound_failed"),
		integer(traffic, "in_flight"));
	json_array_foreach(json_object_get(json, "degraded"), index, row)
	{
		(void)printf("  ! %-8s %s\n", text(row, "part"), text(row, "text"));
	}
}

/* One sidecar that does not answer does not keep the others from being shown. */
static int show(struct command *command, const char *address)
{
	struct answer answer;
	json_t *json;

	if (!command_ask_at(command, address, "/v1/status", NULL, &answer) ||
		answer.status != 200) {
		char message[600];

		(void)snprintf(message, sizeof message, "no pillion answers at %.255s (%s)",
			address, answer.code ? answer.error : "another status than 200");
		command_answer_fini(&answer);
		return command_error(
			command, CLI_NOT_REACHED, answer.code ? answer.code : 4001, message);
	}
	if (command_wants_json(command)) {
		(void)printf("%.*s\n", (int)answer.body.size, (const char *)answer.body.data);
	} else {
		json = json_loadb((const char *)answer.body.data, answer.body.size, 0, NULL);
		print_status(json, address);
		json_decref(json);
	}
	command_answer_fini(&answer);
	return CLI_DONE;
}

/* CL-02: one block for each sidecar of this user. */
int status_run(struct command *command)
{
	char addresses[SIDECARS_MAX][256];
	int count = command_addresses(command, addresses, SIDECARS_MAX);
	int code = CLI_DONE;

	for (int i = 0; i < count; i++) {
		int result = show(command, addresses[i]);

		if (i + 1 < count && command->output == OUTPUT_TABLE) {
			(void)putchar('\n');
		}
		/* All are shown; the exit code tells that one did not answer. */
		code = result != CLI_DONE ? result : code;
	}
	return code;
}
