#include "admin/check.h"

#include <stdio.h>

#include "admin/server.h"

/* The entry of `name` in a list like "id:text,all:flag", or NULL. */
static const char *find(const char *list, const char *name, size_t size)
{
	while (*list) {
		size_t length = strcspn(list, ",:");

		if (length == size && strncmp(list, name, size) == 0) {
			return list;
		}
		list += strcspn(list, ",");
		list += *list == ',';
	}
	return NULL;
}

/* `shown` is at most 40 bytes of what the asker wrote; answers are ASCII (admin_answer_json). */
static bool refuse(struct admin_call *call, const char *what, const char *shown, const char *known)
{
	char message[256];

	(void)snprintf(message, sizeof message, "%s%s%.40s; known: %.120s", what,
		shown[0] ? " " : "", shown, known[0] ? known : "none");
	admin_answer_error(call, 400, 5400, "bad_parameter", message);
	return false;
}

/* A parameter that nobody reads is a mistake of the asker. */
bool check_query(struct admin_call *call)
{
	const char *known = call->route->parameters;

	for (const char *pair = call->query; pair && *pair; pair += strlen(pair) + 1) {
		char name[41];

		if (!find(known, pair, strcspn(pair, "="))) {
			(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(pair, "="), pair);
			return refuse(call, "unknown parameter", name, known);
		}
	}
	return true;
}

/* The words of the table. A number is a count: not negative. */
static bool fits(const char *entry, const json_t *value)
{
	const char *type = entry + strcspn(entry, ":") + 1;

	return strncmp(type, "flag", 4) == 0 ? json_is_boolean(value)
	       : strncmp(type, "number", 6) == 0
		       ? json_is_integer(value) && json_integer_value(value) >= 0
		       : json_is_string(value);
}

/* A change that was not understood in full is not made at all. Duplicate keys are refused: two
 * readers of one text must not disagree. */
bool check_body(struct admin_call *call)
{
	const char *known = call->route->body;
	const char *key;
	json_t *value;

	call->json = call->body
			     ? json_loadb(call->body, call->body_size, JSON_REJECT_DUPLICATES, NULL)
			     : json_object();
	if (!json_is_object(call->json)) {
		return refuse(call, "the body is no JSON object", "", known);
	}
	json_object_foreach(call->json, key, value)
	{
		const char *entry = find(known, key, strlen(key));

		if (!entry) {
			return refuse(call, "unknown key of the body", key, known);
		}
		if (!fits(entry, value)) {
			return refuse(call, "a value of the body is not of its type:", key, known);
		}
	}
	return true;
}
