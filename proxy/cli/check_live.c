/*
 * The phase live of `pillion check` (operations.md CL-10): what the running sidecar says of its
 * workers, of its parts and of its logs. Its status answers only when every worker has.
 */
#include <string.h>

#include "cli/check.h"

size_t check_live_parts(const json_t *status)
{
	return json_array_size(json_object_get(status, "degraded"));
}

void check_live_workers(struct check *check)
{
	const json_t *status = check->setting->status;
	const char *phase = json_string_value(json_object_get(status, "phase"));
	const char *service = json_string_value(json_object_get(status, "service"));

	if (!status) {
		check_say(check, CHECK_FAIL, 4001, "no sidecar of this configuration answers");
		return;
	}
	check_say(check, json_is_true(json_object_get(status, "live")) ? CHECK_OK : CHECK_FAIL, 0,
		"%s: %lld workers answer, %s, generation %lld", service ? service : "?",
		(long long)json_integer_value(json_object_get(status, "workers")),
		phase ? phase : "of no phase",
		(long long)json_integer_value(json_object_get(status, "generation")));
}

/* A degraded part is a warning here: the phase that it belongs to says whether it is a failure. */
void check_live_part(struct check *check)
{
	const json_t *part =
		json_array_get(json_object_get(check->setting->status, "degraded"), check->index);
	const char *name = json_string_value(json_object_get(part, "part"));
	const char *text = json_string_value(json_object_get(part, "text"));

	check_say(check, CHECK_WARN, 0, "%s: %s", name ? name : "?", text ? text : "");
}

void check_live_log(struct check *check)
{
	long long dropped = (long long)json_integer_value(
		json_object_get(check->setting->status, "log_lines_dropped"));

	check_say(check, dropped == 0 ? CHECK_OK : CHECK_WARN, 0,
		"%lld log lines were dropped since the start", dropped);
}
