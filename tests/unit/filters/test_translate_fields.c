/* Header fields among HTTP and gRPC metadata (codec.md CX-09, JG-02, JG-04, GJ-01, GR-07). */
#include <string.h>

#include "translate_rig.h"

#include "filters/translate_fields.h"

struct row {
	const char *name, *value;
	const char *new_name, *new_value; /* NULL: the field goes */
	unsigned dropped;
};

static void add(struct head *head, const struct row *row)
{
	head_add(head, SLICE("x-first"), SLICE("1"));
	head_add(head, slice_from_string(row->name), slice_from_string(row->value));
	head_add(head, SLICE("x-last"), SLICE("2"));
}

static void check(const struct head *head, const struct row *row, uint64_t dropped)
{
	uint32_t count = row->new_name != NULL ? 3 : 2;
	const struct field *field;

	if (head->field_count != count || dropped != row->dropped) {
		print_error("%s\n", row->name);
	}
	assert_int_equal(head->field_count, count);
	assert_int_equal(dropped, row->dropped);
	assert_non_null(head_find_name(head, SLICE("x-first")));
	assert_non_null(head_find_name(head, SLICE("x-last")));
	if (row->new_name != NULL) {
		field = head_find_name(head, slice_from_string(row->new_name));
		assert_non_null(field);
		assert_true(slice_equal(field->value, slice_from_string(row->new_value)));
	}
}

static void requests_become_metadata(void **state)
{
	static const struct row rows[] = {
		{"x-a", "b c", "x-a", "b c", 0},
		{"authorization", "Bearer x", "authorization", "Bearer x", 0},
		{"user-agent", "curl", "user-agent", "curl", 0},
		{"grpc-metadata-x-a", "1", "x-a", "1", 0},
		{"grpc-metadata-x-bin", "AQI=", "x-bin", "AQI", 0},
		{"grpc-metadata-grpc-status", "1", NULL, NULL, 0},
		{"grpc-metadata-content-type", "x", NULL, NULL, 0},
		{"grpc-metadata-host", "x", NULL, NULL, 0},
		{"grpc-metadata-x-forwarded-for", "1.2.3.4", NULL, NULL, 1},
		{"grpc-metadata-x-pillion-hops", "3", NULL, NULL, 1},
		{"grpc-metadata-", "3", NULL, NULL, 1},
		{"grpc-timeout", "1S", NULL, NULL, 0},
		{"grpc-foo", "1", NULL, NULL, 0},
		{"content-type", "application/json", NULL, NULL, 0},
		{"content-encoding", "gzip", NULL, NULL, 0},
		{"content-md5", "x", NULL, NULL, 0},
		{"content-digest", "x", NULL, NULL, 0},
		{"repr-digest", "x", NULL, NULL, 0},
		{"digest", "x", NULL, NULL, 0},
		{"etag", "x", NULL, NULL, 0},
		{"range", "bytes=0-", NULL, NULL, 0},
		{"if-range", "x", NULL, NULL, 0},
		{"accept", "*/*", NULL, NULL, 0},
		{"accept-encoding", "gzip", NULL, NULL, 0},
		{"te", "trailers", NULL, NULL, 0},
		{"trailer", "x", NULL, NULL, 0},
		{"expect", "100-continue", NULL, NULL, 0},
		{"host", "x", NULL, NULL, 0},
		{"connection", "x", NULL, NULL, 0},
		{"x-latin", "caf\xe9", NULL, NULL, 1},
		{"x-tab", "a\tb", NULL, NULL, 1},
		{"x!odd", "1", NULL, NULL, 1},
		{"k-bin", "AQI=", "k-bin", "AQI", 0},
		{"k-bin", "AQI", "k-bin", "AQI", 0},
		{"k-bin", "", "k-bin", "", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct codec_fault fault;
		uint64_t dropped = 0;
		struct arena arena;
		struct head head;

		arena_init(&arena);
		head_init(&head, &arena, HEAD_REQUEST);
		add(&head, &rows[i]);
		assert_true(translate_fields_to_metadata(&head, &dropped, &fault));
		check(&head, &rows[i], dropped);
		arena_fini(&arena);
	}
}

static void binary_values_are_split(void **state)
{
	struct codec_fault fault;
	uint64_t dropped = 0;
	struct arena arena;
	struct head head;
	const struct field *field;

	(void)state;
	arena_init(&arena);
	head_init(&head, &arena, HEAD_REQUEST);
	head_add(&head, SLICE("k-bin"), SLICE("AQ==, Ag,AwQ="));
	assert_true(translate_fields_to_metadata(&head, &dropped, &fault));
	assert_int_equal(head.field_count, 3);
	field = head_find_name(&head, SLICE("k-bin"));
	assert_true(slice_equal(field->value, SLICE("AQ")));
	field = head_find_next(&head, field);
	assert_true(slice_equal(field->value, SLICE("Ag")));
	field = head_find_next(&head, field);
	assert_true(slice_equal(field->value, SLICE("AwQ")));
	head_add(&head, SLICE("bad-bin"), SLICE("AQ,!"));
	assert_false(translate_fields_to_metadata(&head, &dropped, &fault));
	assert_int_equal(fault.kind, CODEC_FAULT_QUERY);
	assert_string_equal(fault.text, "the field bad-bin holds no base64");
	arena_fini(&arena);
}

static void metadata_becomes_a_request(void **state)
{
	static const struct row rows[] = {
		{"x-a", "1", "x-a", "1", 0},
		{"k-bin", "AQ, Ag==", "k-bin", "AQ, Ag==", 0},
		{"grpc-timeout", "1S", NULL, NULL, 0},
		{"grpc-trace-bin", "AQ", NULL, NULL, 0},
		{"te", "trailers", NULL, NULL, 0},
		{"content-type", "application/grpc", NULL, NULL, 0},
		{"content-length", "3", NULL, NULL, 0},
		{"host", "x", NULL, NULL, 1},
		{"transfer-encoding", "chunked", NULL, NULL, 1},
		{"upgrade", "h2c", NULL, NULL, 1},
		{"connection", "close", NULL, NULL, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct codec_fault fault;
		uint64_t dropped = 0;
		struct arena arena;
		struct head head;

		arena_init(&arena);
		head_init(&head, &arena, HEAD_REQUEST);
		add(&head, &rows[i]);
		assert_true(translate_fields_from_metadata(&head, &dropped, &fault));
		check(&head, &rows[i], dropped);
		head_add(&head, SLICE("bad-bin"), SLICE("AQ,!"));
		assert_false(translate_fields_from_metadata(&head, &dropped, &fault));
		assert_int_equal(fault.kind, CODEC_FAULT_FRAME);
		arena_fini(&arena);
	}
}

static void answers_travel_both_ways(void **state)
{
	static const struct row rows[] = {
		{"x-a", "1", "x-a", "1", 0},
		{"k-bin", "AQ", "k-bin", "AQ", 0},
		{"k-bin", "!", NULL, NULL, 1},
		{"grpc-encoding", "gzip", NULL, NULL, 0},
		{"content-encoding", "gzip", NULL, NULL, 0},
		{"accept-ranges", "bytes", NULL, NULL, 0},
		{"content-range", "x", NULL, NULL, 0},
		{"trailer", "x", NULL, NULL, 0},
		{"x-latin", "\xe9", NULL, NULL, 1},
		{"x*odd", "1", NULL, NULL, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct row plain = rows[i];
		uint64_t dropped = 0;
		struct arena arena;
		struct head head;

		arena_init(&arena);
		head_init(&head, &arena, HEAD_RESPONSE);
		add(&head, &rows[i]);
		translate_fields_answer_to_metadata(&head, &dropped);
		check(&head, &rows[i], dropped);
		/* The other way nothing is lost but what belongs to the framing. */
		head_init(&head, &arena, HEAD_RESPONSE);
		add(&head, &rows[i]);
		translate_fields_answer_from_metadata(&head);
		if (plain.dropped > 0) {
			plain.new_name = plain.name;
			plain.new_value = plain.value;
			plain.dropped = 0;
		}
		check(&head, &plain, 0);
		arena_fini(&arena);
	}
}

static void trailers_get_a_prefix(void **state)
{
	struct arena arena;
	struct head head, trailers;

	(void)state;
	arena_init(&arena);
	head_init(&head, &arena, HEAD_RESPONSE);
	head_init(&trailers, &arena, HEAD_TRAILERS);
	head_add(&trailers, SLICE("grpc-status"), SLICE("0"));
	head_add(&trailers, SLICE("x-t"), SLICE("1"));
	head_add(&trailers, SLICE("x-t"), SLICE("2"));
	translate_fields_add_trailers(&head, &trailers);
	assert_int_equal(head.field_count, 2);
	assert_true(slice_equal(head.fields[0].name, SLICE("grpc-trailer-x-t")));
	assert_true(slice_equal(head.fields[1].value, SLICE("2")));
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_become_metadata),
		cmocka_unit_test(binary_values_are_split),
		cmocka_unit_test(metadata_becomes_a_request),
		cmocka_unit_test(answers_travel_both_ways),
		cmocka_unit_test(trailers_get_a_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
