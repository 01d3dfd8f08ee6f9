/*
 * json: values by jansson, which also proves that both readers understand the text alike (CF-05):
 * it must accept what the scanner accepted, and find each key that the scanner found.
 */
#include "config/json.h"

#include <jansson.h>

#include "base/assert.h"

static bool take_values(struct arena *arena, struct config_node *node, const json_t *json)
{
	json_t *item;

	switch (node->kind) {
	case CONFIG_NODE_NULL:
		return json_is_null(json);
	case CONFIG_NODE_BOOL:
		node->boolean = json_is_true(json);
		return json_is_boolean(json);
	case CONFIG_NODE_INTEGER:
		node->integer = json_integer_value(json);
		return json_is_integer(json);
	case CONFIG_NODE_REAL:
		return json_is_real(json);
	case CONFIG_NODE_STRING:
		if (!json_is_string(json)) {
			return false;
		}
		node->text = arena_copy(
			arena, slice_make(json_string_value(json), json_string_length(json)));
		return true;
	case CONFIG_NODE_ARRAY:
	case CONFIG_NODE_OBJECT:
		break;
	}

	bool object = node->kind == CONFIG_NODE_OBJECT;
	size_t index = 0;

	if (object ? !json_is_object(json) || json_object_size(json) != node->count
		   : !json_is_array(json) || json_array_size(json) != node->count) {
		return false;
	}
	for (struct config_node *child = node->first; child != NULL; child = child->next) {
		item = object ? json_object_get(json, (const char *)child->key.data)
			      : json_array_get(json, index++);
		if (item == NULL || !take_values(arena, child, item)) {
			return false;
		}
	}
	return true;
}

/* jansson draws its hash seed itself, so that keys cannot be chosen to collide. */
bool config_json_values(struct arena *arena, struct slice text, struct config_node *root)
{
	json_error_t error; /* its position lies behind the token and is never shown */
	json_t *json = json_loadb((const char *)text.data, text.size,
		JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	bool good = json != NULL && take_values(arena, root, json);

	ASSERT(root != NULL);
	json_decref(json);
	return good;
}
