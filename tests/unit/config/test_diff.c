/*
 * What a reload would change (RL-05, RL-06).
 */
#include "help.h"

#include <jansson.h>

#define BEFORE                                                                                     \
	"{\"service\":{\"name\":\"a\"},\"process\":{\"workers\":2},"                               \
	"\"listeners\":{\"to\":{\"kind\":\"service\",\"service\":\"pay\",\"listen\":\"127.0.0.1:"  \
	"9101\"}},"                                                                                \
	"\"services\":{\"pay\":{\"timeout\":\"2s\"}},"                                             \
	"\"broker\":{\"subscriptions\":[{\"name\":\"x\",\"topic\":\"a\"},{\"name\":\"y\","         \
	"\"topic\":\"b\"}]}}"

static const struct config_change *find(const struct config_changes *changes, const char *pointer)
{
	for (size_t i = 0; i < changes->count; i++) {
		if (strcmp(changes->items[i].pointer, pointer) == 0) {
			return &changes->items[i];
		}
	}
	return NULL;
}

static void compare(const char *before, const char *after, struct config_changes *changes)
{
	struct config *old = help_config(before);
	struct config *new = help_config(after);

	config_diff(old, new, changes);
	config_destroy(old);
	config_destroy(new);
}

static void nothing(void **state)
{
	struct config_changes changes;

	(void)state;
	compare(BEFORE, BEFORE, &changes);
	assert_int_equal(changes.count, 0);
	assert_false(changes.needs_restart);
	config_changes_fini(&changes);
	/* A default written out, another order, another spelling: no change. */
	compare("{\"service\":{\"name\":\"a\"},\"process\":{\"grace\":\"120s\"}}",
		"{\"process\":{\"grace\":\"2m\"},\"service\":{\"weight\":100,\"name\":\"a\"}}",
		&changes);
	assert_int_equal(changes.count, 0);
	config_changes_fini(&changes);
}

static void values(void **state)
{
	struct config_changes changes;
	const struct config_change *change;

	(void)state;
	compare(BEFORE,
		"{\"service\":{\"name\":\"a\",\"zone\":\"b\"},\"process\":{\"workers\":2},"
		"\"services\":{\"pay\":{\"timeout\":\"3s\",\"limits\":{\"active\":5}},\"new\":{"
		"\"draws\":3}},"
		"\"limits\":{\"idle_timeout\":\"5s\"},"
		"\"broker\":{\"subscriptions\":[{\"name\":\"y\",\"topic\":\"b\"},"
		"{\"name\":\"x\",\"topic\":\"a\",\"ack_wait\":\"5s\"}]}}",
		&changes);
	assert_false(changes.needs_restart);
	assert_int_equal(changes.count, 7);
	change = find(&changes, "/services/pay/timeout");
	assert_non_null(change);
	assert_int_equal(change->op, CONFIG_CHANGED);
	assert_string_equal(change->old_text, "\"2s\"");
	assert_string_equal(change->new_text, "\"3s\"");
	assert_int_equal(change->effect, CONFIG_NEXT_EXCHANGE);
	assert_non_null(strstr(change->origin, "pillion.json:1:"));
	change = find(&changes, "/services/new");
	assert_non_null(change);
	assert_int_equal(change->op, CONFIG_ADDED);
	assert_string_equal(change->new_text, "{\"draws\": 3}");
	change = find(&changes, "/listeners/to");
	assert_non_null(change);
	assert_int_equal(change->op, CONFIG_REMOVED);
	assert_int_equal(change->effect, CONFIG_REBIND);
	assert_null(change->new_text);
	change = find(&changes, "/service/zone");
	assert_non_null(change);
	assert_null(change->old_text);
	change = find(&changes, "/limits/idle_timeout");
	assert_non_null(change);
	assert_int_equal(change->effect, CONFIG_NEXT_CONNECTION);
	/* Subscriptions are compared by name, whatever their order. */
	assert_non_null(find(&changes, "/broker/subscriptions/x/ack_wait"));
	assert_non_null(find(&changes, "/services/pay/limits/active"));
	config_changes_fini(&changes);
}

static void restart(void **state)
{
	struct config_changes changes;

	(void)state;
	compare("{\"service\":{\"name\":\"a\"},\"process\":{\"workers\":2}}",
		"{\"service\":{\"name\":\"a\"},\"process\":{\"workers\":3}}", &changes);
	assert_int_equal(changes.count, 1);
	assert_true(changes.needs_restart);
	assert_int_equal(changes.items[0].effect, CONFIG_RESTART);
	config_changes_fini(&changes);
}

static void printed(void **state)
{
	struct config_changes changes;
	struct buf text;
	json_t *json;

	(void)state;
	buf_init(&text);
	compare(BEFORE, "{\"service\":{\"name\":\"a\"},\"process\":{\"workers\":2}}", &changes);
	config_changes_print(&changes, false, &text);
	assert_non_null(strstr(buf_string(&text), "- /listeners/to "));
	assert_non_null(strstr(buf_string(&text), "(was pillion.json:1:"));
	buf_clear(&text);
	config_changes_print(&changes, true, &text);
	json = json_loads(buf_string(&text), 0, NULL);
	assert_true(json_is_array(json));
	assert_int_equal(json_array_size(json), changes.count);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json, 0), "op")), "remove");
	json_decref(json);
	config_changes_fini(&changes);
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),
		cmocka_unit_test(values),
		cmocka_unit_test(restart),
		cmocka_unit_test(printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
