/* The filter `headers`: what it may write, what it writes, and when that is too much (FLT-06). */
#include <string.h>

#include "config/key.h"
#include "filters/filters.h"
#include "filters/headers.h"
#include "rig.h"

/* As the option table fills it. */
struct edit {
	CONFIG_LIST_OF(const char *) remove;
	CONFIG_LIST_OF(struct config_pair) set;
	CONFIG_LIST_OF(struct config_pair) add;
};

struct options {
	struct edit request, response;
	bool trailers;
};

struct conf {
	const void *options;
};

static void table_fits_the_struct(void **state)
{
	const struct config_filter_plugin *plugin = headers_filter.plugin;

	(void)state;
	assert_int_equal(plugin->conf_size, sizeof(struct options));
	assert_int_equal(plugin->keys[0].section->size, sizeof(struct edit));
	assert_int_equal(plugin->keys[1].offset, offsetof(struct options, response));
	assert_int_equal(headers_filter.conf_size, sizeof(struct conf));
}

static void the_list_knows_its_filters(void **state)
{
	const struct config_filter_plugin *plugins[8];
	size_t count;
	const struct filter_ops *const *all = filters_all(&count);

	(void)state;
	assert_true(count >= 2);
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(filters_find(slice_from_string(all[i]->name)), all[i]);
	}
	assert_null(filters_find(SLICE("nonsense")));
	assert_int_equal(filters_plugins(plugins, 0), 0);
	assert_true(filters_plugins(plugins, 8) >= 1);
}

static void barred_fields_are_refused(void **state)
{
	static const struct {
		const char *name, *value;
		bool good;
	} rows[] = {
		{"x-lane", "beta", true},
		{"X-Lane", "beta", true},
		{"x-lane", "${trace_id} of ${service} by ${peer} on ${route}", true},
		{"x-lane", "cost: $5", true},
		{"x-lane", "${nonsense}", false},
		{"x-lane", "${trace_id", false},
		{"x-lane", "a\nb", false},
		{"x-lane", "a\x7f", false},
		{"x-lane", "tab\tok", true},
		{"host", "a", false},
		{"Content-Length", "5", false},
		{"transfer-encoding", "chunked", false},
		{"connection", "close", false},
		{"te", "trailers", false},
		{"trailer", "x", false},
		{"upgrade", "h2c", false},
		{"x-pillion-service", "a", false},
		{"X-Pillion-Anything", "a", false},
		{":path", "/", false},
		{"a b", "c", false},
		{"", "c", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_pair pair = {rows[i].name, rows[i].value};
		struct options set = {.request.set = {&pair, 1}};
		struct options add = {.response.add = {&pair, 1}};
		struct conf conf;
		struct err err;

		err_clear(&err);
		assert_int_equal(headers_filter.configure(&conf, &set, &err), rows[i].good);
		assert_int_equal(err.text[0] != '\0', !rows[i].good);
		assert_int_equal(headers_filter.configure(&conf, &add, &err), rows[i].good);
	}
	{
		const char *name = "host";
		struct options remove = {.request.remove = {&name, 1}};
		struct conf conf;
		struct err err;

		assert_false(headers_filter.configure(&conf, &remove, &err));
	}
}

static struct rig_call *call_with(struct rig *rig, const struct options *options, const char *path)
{
	static struct conf conf;
	struct rig_request request = {.method = "POST",
		.path = path,
		.body = "x",
		.chunked = true,
		.fields = {"x-old", "1", "x-old", "2", "content-type", "application/grpc", NULL}};
	struct err err;

	assert_true(headers_filter.configure(&conf, options, &err));
	rig_init(rig);
	rig->listener_filters[1] = (struct filter_instance){&headers_filter, &conf};
	rig->listeners[1].filters.count = 2;
	rig_start(rig);
	rig_service(rig, "orders", 1, INSTANCE_H2C);
	return rig_once(rig, "outbound", true, &request);
}

static void fields_are_removed_set_and_added(void **state)
{
	struct rig *rig = test_malloc(sizeof(*rig));
	const char *gone = "X-Old";
	struct config_pair set[] = {{"X-Lane", "beta"}, {"x-who", "${service} ${peer} ${route}"}};
	struct config_pair add[] = {{"x-added", "a"}, {"x-added", "b"}};
	struct config_pair back[] = {{"x-back", "trace ${trace_id}"}};
	struct options options = {
		.request = {{&gone, 1}, {set, 2}, {add, 2}}, .response.set = {back, 1}};
	struct rig_call *call;
	const char *seen;

	(void)state;
	call = call_with(rig, &options, "/fields");
	seen = buf_string(&call->body);
	assert_null(strstr(seen, "x-old"));
	assert_non_null(strstr(seen, "x-lane: beta\n"));
	/* The service is not known yet when the listener's filters run. */
	assert_non_null(strstr(seen, "x-who: 127.0.0.1\n"));
	assert_non_null(strstr(seen, "x-added: a\nx-added: b\n"));
	assert_memory_equal(rig_field(call, "x-back"), "trace ", 6);
	assert_int_equal(strlen(rig_field(call, "x-back")), 38);
	rig_fini(rig);
	test_free(rig);
}

static void trailers_only_when_asked(void **state)
{
	struct config_pair back[] = {{"x-back", "yes"}};

	(void)state;
	for (int trailers = 0; trailers < 2; trailers++) {
		struct rig *rig = test_malloc(sizeof(*rig));
		struct options options = {.response.set = {back, 1}, .trailers = trailers == 1};
		struct rig_call *call = call_with(rig, &options, "/grpc/full");

		assert_non_null(call->trailers);
		assert_int_equal(
			head_find_name(call->trailers, SLICE("x-back")) != NULL, trailers == 1);
		assert_non_null(head_find_name(call->head, SLICE("x-back")));
		rig_fini(rig);
		test_free(rig);
	}
}

static void limits_hold_after_an_edit(void **state)
{
	static char value[4097];
	static struct config_pair pairs[64];

	(void)state;
	memset(value, 'v', 4096);
	for (int count = 1; count <= 64; count += 63) {
		struct rig *rig = test_malloc(sizeof(*rig));
		struct options options = {.request.add = {pairs, (size_t)count}};
		struct rig_call *call;

		for (int i = 0; i < count; i++) {
			pairs[i] = (struct config_pair){"x-many", value};
		}
		call = call_with(rig, &options, "/echo");
		if (count == 1) {
			assert_int_equal(call->head->status, 200);
			assert_int_equal(rig->origins[0].requests, 1);
		} else {
			assert_string_equal(rig_field(call, "grpc-status"), "8");
			assert_memory_equal(
				rig_field(call, "x-pillion-reason"), "head_too_large;", 15);
			assert_int_equal(rig->origins[0].requests, 0);
		}
		rig_fini(rig);
		test_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_fits_the_struct),
		cmocka_unit_test(the_list_knows_its_filters),
		cmocka_unit_test(barred_fields_are_refused),
		cmocka_unit_test(fields_are_removed_set_and_added),
		cmocka_unit_test(trailers_only_when_asked),
		cmocka_unit_test(limits_hold_after_an_edit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
