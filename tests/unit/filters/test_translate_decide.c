/* The decision table (codec.md CX-02 to CX-08): every format against every list and schema. */
#include <string.h>

#include "translate_rig.h"

#include "codec/descriptor.h"
#include "filters/translate_decide.h"

#define GET "/shop.Stock/Get"

static void media_types_are_told_apart(void **state)
{
	static const struct {
		const char *type;
		enum translate_format format;
	} rows[] = {
		{NULL, TRANSLATE_JSON},
		{"application/json", TRANSLATE_JSON},
		{"Application/JSON ; charset=utf-8", TRANSLATE_JSON},
		{"application/problem+json", TRANSLATE_JSON},
		{"application/vnd.x+JSON;a=b", TRANSLATE_JSON},
		{"application/+json", TRANSLATE_OPAQUE},
		{"text/x+json", TRANSLATE_OPAQUE},
		{"application/jsonp", TRANSLATE_OPAQUE},
		{"application/x-ndjson", TRANSLATE_OPAQUE},
		{"application/json-seq", TRANSLATE_OPAQUE},
		{"application/grpc", TRANSLATE_GRPC},
		{"application/GRPC;x", TRANSLATE_GRPC},
		{"application/grpc+proto", TRANSLATE_GRPC},
		{"application/grpcx", TRANSLATE_OPAQUE},
		{"application/grpc+json", TRANSLATE_OPAQUE},
		{"application/grpc+thrift", TRANSLATE_OPAQUE},
		{"application/grpc-web", TRANSLATE_OPAQUE},
		{"application/grpc-web+json", TRANSLATE_OPAQUE},
		{"application/grpc-web-text+json", TRANSLATE_OPAQUE},
		{"application/connect+json", TRANSLATE_OPAQUE},
		{"application/proto", TRANSLATE_OPAQUE},
		{"application/x-www-form-urlencoded", TRANSLATE_OPAQUE},
		{"multipart/form-data; boundary=x", TRANSLATE_OPAQUE},
		{"text/plain", TRANSLATE_OPAQUE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct arena arena;
		struct head head;

		arena_init(&arena);
		head_init(&head, &arena, HEAD_REQUEST);
		if (rows[i].type != NULL) {
			head_add(&head, SLICE("content-type"), slice_from_string(rows[i].type));
		}
		if (translate_decide_format(&head) != rows[i].format) {
			print_error("%s\n", rows[i].type ? rows[i].type : "none");
		}
		assert_int_equal(translate_decide_format(&head), rows[i].format);
		arena_fini(&arena);
	}
}

/* One row: what becomes of the three clients, by schema. p pass, w wait, g to gRPC, j to JSON,
 * 4 codec_method, 5 codec_type 415, s codec_schema, h grpc_needs_h2; order: grpc, json, opaque. */
struct row {
	const char *app;
	const char *path;
	bool h2, grpc_app, given;
	const char *none, *pending, *ready;
};

static const struct row table[] = {
	{"auto", GET, true, false, false, "ppp", "pww", "ppp"},
	{"auto", GET, true, true, false, "ps5", "pww", "pg5"},
	{"auto", GET, true, false, true, "ppp", "pww", "pg5"},
	{"auto", GET, false, true, true, "ppp", "ppp", "ppp"},
	{"auto", "/x", true, true, false, "ps5", "pww", "p44"},
	{"grpc", GET, true, false, false, "ps5", "pww", "pg5"},
	{"grpc", "/x", true, true, false, "ps5", "pww", "p44"},
	{"grpc", GET, false, false, false, "ps5", "pww", "ph5"},
	{"json", GET, true, false, false, "spp", "wpp", "jpp"},
	{"json", GET, false, false, false, "spp", "wpp", "jpp"},
	{"json", "/x", true, false, false, "spp", "wpp", "ppp"},
	{"opaque", GET, true, true, false, "ppp", "ppp", "ppp"},
	{"grpc json", GET, true, true, false, "ppp", "ppp", "ppp"},
	{"json grpc", "/x", true, true, false, "ppp", "ppp", "ppp"},
	{"grpc opaque", GET, true, false, false, "ppp", "pwp", "pgp"},
	{"grpc opaque", "/x", true, false, false, "ppp", "pwp", "ppp"},
	{"opaque grpc", GET, true, false, false, "ppp", "pwp", "pgp"},
	{"json opaque", GET, true, false, false, "ppp", "wpp", "jpp"},
	{"json opaque", "/x", true, false, false, "ppp", "wpp", "ppp"},
	{"opaque json", GET, false, false, false, "ppp", "wpp", "jpp"},
	{"grpc json opaque", GET, true, false, false, "ppp", "ppp", "ppp"},
};

static char word(const struct translate_decision *decision)
{
	switch (decision->action) {
	case TRANSLATE_PASS:
		return 'p';
	case TRANSLATE_WAIT:
		return 'w';
	case TRANSLATE_TO_GRPC:
		return 'g';
	case TRANSLATE_TO_JSON:
		return 'j';
	case TRANSLATE_REFUSE:
		break;
	}
	assert_non_null(decision->message);
	return decision->reason == REASON_codec_method	  ? '4'
	       : decision->reason == REASON_codec_type	  ? '5'
	       : decision->reason == REASON_codec_schema  ? 's'
	       : decision->reason == REASON_grpc_needs_h2 ? 'h'
							  : '?';
}

static void check_row(
	const struct row *row, enum translate_schema schema, const struct descriptor_pool *pool)
{
	static const char *const types[] = {"application/grpc", "application/json", "text/plain"};
	static enum config_format formats[3];
	const char *files[] = {"x.bin"};
	struct config_translation options = {.app.items = formats};
	const char *want = schema == TRANSLATE_SCHEMA_NONE	? row->none
			   : schema == TRANSLATE_SCHEMA_PENDING ? row->pending
								: row->ready;

	for (const char *p = row->app; *p != 0; p += strcspn(p, " "), p += *p == ' ') {
		formats[options.app.count++] = *p == 'a'   ? CONFIG_FORMAT_AUTO
					       : *p == 'g' ? CONFIG_FORMAT_GRPC
					       : *p == 'j' ? CONFIG_FORMAT_JSON
							   : CONFIG_FORMAT_OPAQUE;
	}
	if (row->given) {
		options.descriptors.items = files;
		options.descriptors.count = 1;
	}
	for (size_t i = 0; i < 3; i++) {
		struct translate_facts facts = {.options = &options,
			.schema = schema,
			.pool = schema == TRANSLATE_SCHEMA_READY ? pool : NULL,
			.grpc_app = row->grpc_app,
			.upstream_h2 = row->h2};
		struct translate_decision decision;
		struct arena arena;
		struct head head;

		arena_init(&arena);
		head_init(&head, &arena, HEAD_REQUEST);
		head_set_method(&head, METHOD_POST, SLICE("POST"));
		head.version = HTTP_2;
		head.path = slice_from_string(row->path);
		head_add(&head, SLICE("content-type"), slice_from_string(types[i]));
		facts.head = &head;
		translate_decide(&facts, &decision);
		if (word(&decision) != want[i]) {
			print_error("%s %s schema %d client %zu: %c\n", row->app, row->path, schema,
				i, word(&decision));
		}
		assert_int_equal(word(&decision), want[i]);
		assert_int_equal(
			decision.method != NULL, decision.action == TRANSLATE_TO_GRPC ||
							 decision.action == TRANSLATE_TO_JSON);
		arena_fini(&arena);
	}
}

static void the_table_holds(void **state)
{
	struct descriptor_pool *pool = translate_rig_pool();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		check_row(&table[i], TRANSLATE_SCHEMA_NONE, pool);
		check_row(&table[i], TRANSLATE_SCHEMA_PENDING, pool);
		check_row(&table[i], TRANSLATE_SCHEMA_READY, pool);
	}
	descriptor_pool_unref(pool);
}

/* What a known path is not called by. */
static void calls_of_another_kind_are_refused(void **state)
{
	static const struct {
		const char *app, *type, *path;
		enum http_version version;
		enum method method;
		int http;
	} rows[] = {
		{"grpc", "application/json", GET, HTTP_1_1, METHOD_GET, 405},
		{"grpc", "application/json", GET, HTTP_2, METHOD_OPTIONS, 405},
		{"grpc", "text/plain", GET, HTTP_2, METHOD_PUT, 405},
		{"grpc", "text/plain", GET, HTTP_2, METHOD_POST, 415},
		{"grpc", "application/json", "/shop.Stock/Watch", HTTP_2, METHOD_POST, 501},
		{"grpc", "application/json", "/shop.Stock/Push", HTTP_1_1, METHOD_POST, 501},
		{"json", "application/grpc", GET, HTTP_1_1, METHOD_POST, 505},
		{"json", "application/grpc", GET, HTTP_2, METHOD_GET, 405},
		{"json", "application/grpc", "/shop.Stock/Watch", HTTP_2, METHOD_POST, 501},
	};
	struct descriptor_pool *pool = translate_rig_pool();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum config_format format =
			rows[i].app[0] == 'g' ? CONFIG_FORMAT_GRPC : CONFIG_FORMAT_JSON;
		struct config_translation options = {.app = {&format, 1}};
		struct translate_facts facts = {.options = &options,
			.schema = TRANSLATE_SCHEMA_READY,
			.pool = pool,
			.upstream_h2 = true};
		struct translate_decision decision;
		struct arena arena;
		struct head head;

		arena_init(&arena);
		head_init(&head, &arena, HEAD_REQUEST);
		head_set_method(&head, rows[i].method, method_name(rows[i].method));
		head.version = rows[i].version;
		head.path = slice_from_string(rows[i].path);
		head_add(&head, SLICE("content-type"), slice_from_string(rows[i].type));
		facts.head = &head;
		translate_decide(&facts, &decision);
		assert_int_equal(decision.action, TRANSLATE_REFUSE);
		assert_int_equal(decision.reason, REASON_codec_type);
		assert_int_equal(decision.http, rows[i].http);
		assert_int_equal(decision.allow.size, rows[i].http == 405 ? 4 : 0);
		assert_int_equal(decision.accept.size > 0, rows[i].http == 415);
		arena_fini(&arena);
	}
	descriptor_pool_unref(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(media_types_are_told_apart),
		cmocka_unit_test(the_table_holds),
		cmocka_unit_test(calls_of_another_kind_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
