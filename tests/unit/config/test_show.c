/*
 * `config show`: what it prints is a configuration that builds the same snapshot (CF-27, OT-07),
 * and every key is in it, in the schema and in explain (OT-05).
 */
#include "help.h"

#include <jansson.h>
#include <stdlib.h>

#include "config/keys.h"

static const char whole[] =
	"// a comment\n"
	"{\"service\":{\"name\":\"orders\",\"zone\":\"$${x}\",\"metadata\":{\"team\":\"shop\"},"
	"\"app\":{\"address\":\"127.0.0.1:8081\",\"check\":{\"http\":\"/h\"},\"warmup\":[\"/"
	"r\"]}},\n"
	"\"process\":{\"workers\":2,\"data_dir\":\"/var/lib/x\"},"
	"\"listeners\":{\"to\":{\"kind\":\"service\",\"service\":\"pay\",\"listen\":\"127.0.0.1:"
	"9101\","
	"\"filters\":[{\"use\":\"headers\",\"set\":{\"a\":\"${trace_id}\"}}]}},"
	"\"egress\":{\"default\":\"deny\",\"allow\":[\"api.example:443\",\"10.0.0.0/8\"]},"
	"\"registry\":{\"bootstrap\":\"alone\",\"advertise\":\"localhost:7440\"},"
	"\"services\":{\"*\":{\"retry\":\"off\"},\"pay\":{\"timeout\":\"3s\",\"retry\":{\"max\":2,"
	"\"on\":[\"503\"]},\"instances\":[{\"address\":\"127.0.0.1:81\",\"metadata\":{\"a\":\"b\"}}"
	"],"
	"\"translation\":{\"app\":\"grpc\"}}},"
	"\"broker\":{\"topics\":{\"orders.>\":{\"ttl\":\"72h\",\"history\":{\"age\":\"0s\"}}},"
	"\"subscriptions\":[{\"topic\":\"stock.low\",\"group\":\"orders\",\"push\":\"/e\"}],"
	"\"members\":[{\"topic\":\"a\",\"group\":\"g\",\"name\":\"n\",\"address\":\"h:1\"}]},"
	"\"limits\":{\"body_bytes\":\"1MiB\"},\"metrics\":{\"address\":\"127.0.0.1:7444\"},"
	"\"log\":{\"access\":{\"output\":\"/var/log/"
	"a\",\"success\":\"0.5%\",\"headers\":[\"user-agent\"]}}}";

static void show(const struct config *config, bool effective, bool origin, struct buf *text)
{
	buf_clear(text);
	assert_true(config_show(config,
		&(struct config_show_options){.effective = effective, .origin = origin}, text));
}

/* Shown, read and shown again is the same text. */
static void round_trip(void **state)
{
	struct config *config = help_config(whole);
	struct buf first;
	struct buf second;

	(void)state;
	buf_init(&first);
	buf_init(&second);
	for (int effective = 0; effective < 2; effective++) {
		for (int origin = 0; origin < 2; origin++) {
			struct config *again;

			show(config, effective == 1, origin == 1, &first);
			again = help_config(buf_string(&first));
			show(config, effective == 1, false, &first);
			show(again, effective == 1, false, &second);
			assert_string_equal(buf_string(&first), buf_string(&second));

			struct config_changes changes;

			config_diff(config, again, &changes);
			assert_int_equal(changes.count, 0);
			config_changes_fini(&changes);
			config_destroy(again);
		}
	}
	config_destroy(config);
	buf_fini(&first);
	buf_fini(&second);
}

static void origins(void **state)
{
	static const struct config_assignment grace = {
		"/process/grace", "9s", false, "flag --grace"};
	static const char *const environment[] = {"PILLION_LOG_LEVEL=warn", NULL};
	struct config_report report;
	struct config *config = NULL;
	struct buf text;

	(void)state;
	buf_init(&text);
	assert_int_equal(help_load(&(struct help_load){"{\n \"service\": {\"name\": \"a\"}\n}",
					   environment, &grace, 1},
				 &config, &report),
		0);
	show(config, true, true, &text);
	assert_non_null(strstr(buf_string(&text), "\"name\": \"a\", // pillion.json:2:22\n"));
	assert_non_null(strstr(buf_string(&text), "\"grace\": \"9s\", // flag --grace\n"));
	assert_non_null(
		strstr(buf_string(&text), "\"level\": \"warn\", // env PILLION_LOG_LEVEL\n"));
	assert_non_null(strstr(buf_string(&text), "\"weight\": 100, // default\n"));
	assert_non_null(strstr(buf_string(&text), "// \"app\" is not set\n"));
	config_report_fini(&report);
	config_destroy(config);
	buf_fini(&text);
}

static void parts(void **state)
{
	struct config *config = help_config(whole);
	struct buf text;

	(void)state;
	buf_init(&text);
	assert_true(config_show(config,
		&(struct config_show_options){.effective = true, .pointer = "/process/grace"},
		&text));
	assert_string_equal(buf_string(&text), "\"25s\"\n");
	buf_clear(&text);
	assert_true(config_show(
		config, &(struct config_show_options){.pointer = "/services/pay/retry"}, &text));
	assert_string_equal(buf_string(&text), "{\n  \"max\": 2,\n  \"on\": [\"503\"]\n}\n");
	buf_clear(&text);
	assert_false(config_show(config, &(struct config_show_options){.pointer = "/nope"}, &text));
	assert_false(config_show(config,
		&(struct config_show_options){.effective = true, .pointer = "/nope"}, &text));
	config_destroy(config);
	buf_fini(&text);
}

struct listing {
	const char *shown;
	json_t *schema;
	size_t count;
};

/* The schema of a pointer of the table. */
static json_t *schema_at(json_t *schema, const char *pointer)
{
	char copy[300];
	char *rest = copy;

	snprintf(copy, sizeof(copy), "%s", pointer + 1);
	for (char *part = strtok_r(copy, "/", &rest); part != NULL && schema != NULL;
		part = strtok_r(NULL, "/", &rest)) {
		json_t *choices = json_object_get(schema, "anyOf");

		if (choices != NULL) {
			schema = json_array_get(choices, 1);
		}
		if (strcmp(part, "N") == 0) {
			schema = json_object_get(schema, "items");
		} else if (strcmp(part, "NAME") == 0) {
			schema = json_object_get(schema, "additionalProperties");
		} else {
			schema = json_object_get(json_object_get(schema, "properties"), part);
		}
	}
	return schema;
}

static bool list_key(void *context, const char *pointer, const struct config_section *section,
	const struct config_key *key)
{
	struct listing *listing = context;
	char name[100];
	struct buf text;
	bool later = key->type == CONFIG_LATER;

	assert_true(section->key_count > 0);
	assert_non_null(key->help);
	if ((schema_at(listing->schema, pointer) != NULL) == later) {
		print_error("schema: %s\n", pointer);
	}
	assert_true((schema_at(listing->schema, pointer) != NULL) == !later);
	snprintf(name, sizeof(name), "\"%s\"", key->name);
	if (!later && key->type != CONFIG_IGNORED && strstr(listing->shown, name) == NULL) {
		print_error("show: %s\n", pointer);
		fail();
	}
	buf_init(&text);
	assert_true(config_explain(pointer, &text));
	assert_non_null(strstr(buf_string(&text), key->help));
	buf_fini(&text);
	listing->count++;
	return true;
}

/* Every key is in the schema, in `config show --effective` and in explain; later ones in the last
 * only. */
static void every_key_is_everywhere(void **state)
{
	struct config *config = help_config(whole);
	struct listing listing = {0};
	struct config_keys_visitor visitor = {list_key, &listing};
	struct buf shown;
	struct buf schema;

	(void)state;
	buf_init(&shown);
	buf_init(&schema);
	show(config, true, false, &shown);
	config_schema_print(help_plugins, 1, &schema);
	listing.shown = buf_string(&shown);
	listing.schema = json_loads(buf_string(&schema), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(listing.schema);
	config_keys_walk(&visitor);
	assert_true(listing.count > 200);
	json_decref(listing.schema);
	config_destroy(config);
	buf_fini(&shown);
	buf_fini(&schema);
}

static void explain(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text);
	assert_true(config_explain("service.app.check_interval", &text));
	assert_string_equal(buf_string(&text),
		"/service/app/check_interval\n  time between two checks\n"
		"  value:   a duration such as \"250ms\" in 100ms..1h\n  default: \"5s\"\n"
		"  a change takes effect: next exchange\n");
	buf_clear(&text);
	assert_true(config_explain("/services/pay/retry/max", &text));
	assert_non_null(strstr(buf_string(&text), "/services/NAME/retry/max\n"));
	buf_clear(&text);
	assert_true(config_explain("max_depth", &text));
	assert_non_null(strstr(buf_string(&text), "/translation/max_depth"));
	assert_non_null(strstr(buf_string(&text), "/services/NAME/translation/max_depth"));
	assert_true(config_explain("routes", &text));
	assert_non_null(strstr(buf_string(&text), "not in this version"));
	assert_false(config_explain("nothing", &text));
	assert_false(config_explain("/service/nothing", &text));
	assert_false(config_explain("", &text));
	assert_false(config_explain("/", &text));
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(origins),
		cmocka_unit_test(parts),
		cmocka_unit_test(every_key_is_everywhere),
		cmocka_unit_test(explain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
