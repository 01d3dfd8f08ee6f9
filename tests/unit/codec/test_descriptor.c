/* CT-09: descriptor sets: each refusal of DS-03, names, order of files, lenient builds, bit flips.
 */
#include "codec_test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "codec/descriptor_builder.h"

/*
 * Protobuf from a text: "1:'a.proto' 4:{1:'M' 2:{3:#1}}" are fields by number with a string, an
 * integer or a message.
 */
static void put_varint(struct buf *buf, uint64_t value)
{
	while (value >= 0x80) {
		buf_append_byte(buf, (uint8_t)(value | 0x80));
		value >>= 7;
	}
	buf_append_byte(buf, (uint8_t)value);
}

static void put_length(struct buf *buf, uint64_t number, struct slice bytes)
{
	put_varint(buf, number << 3 | 2);
	put_varint(buf, bytes.size);
	buf_append_slice(buf, bytes);
}

static const char *encode(struct buf *buf, const char *text)
{
	while (*text && *text != '}') {
		char *rest;
		uint64_t number;

		if (*text == ' ') {
			text++;
			continue;
		}
		number = strtoull(text, &rest, 10);
		assert_int_equal(*rest, ':');
		text = rest + 1;
		if (*text == '#') {
			put_varint(buf, number << 3);
			put_varint(buf, (uint64_t)strtoll(text + 1, &rest, 10));
			text = rest;
		} else if (*text == '\'') {
			const char *end = strchr(text + 1, '\'');

			put_length(buf, number, slice_make(text + 1, (size_t)(end - text - 1)));
			text = end + 1;
		} else {
			struct buf inner;

			assert_int_equal(*text, '{');
			buf_init(&inner);
			text = encode(&inner, text + 1);
			assert_int_equal(*text, '}');
			put_length(buf, number, buf_slice(&inner));
			buf_fini(&inner);
			text++;
		}
	}
	return text;
}

/* Builds the files; NULL and *err when they are refused. */
static struct descriptor_pool *build(
	const char *const *files, size_t count, enum descriptor_mode mode, struct err *err)
{
	struct descriptor_builder *builder = descriptor_builder_create(mode);
	struct descriptor_pool *pool = NULL;
	int result = 0;
	struct buf buf;

	buf_init(&buf);
	err_clear(err);
	for (size_t i = 0; i < count && result == 0; i++) {
		buf_clear(&buf);
		encode(&buf, files[i]);
		result = descriptor_builder_add_file(builder, buf_slice(&buf), "test", err);
	}
	if (result == 0) {
		pool = descriptor_builder_build(builder, err);
	}
	buf_fini(&buf);
	descriptor_builder_destroy(builder);
	return pool;
}

#define F(body)	      "1:'a.proto' 12:'proto3' 2:'p' " body
#define MESSAGE(body) F("4:{1:'M' " body "}")
/* a field: name, number, label, type */
#define FIELD(name, number, label, type)                                                           \
	"2:{1:'" name "' 3:#" #number " 4:#" #label " 5:#" #type "} "
#define ENTRY(fields) "3:{1:'E' 7:{7:#1} " fields "} 2:{1:'m' 3:#1 4:#3 5:#11 6:'.p.M.E'} "

static const struct {
	const char *file;
	const char *says;
} refusals[] = {
	{"", "name"},
	{"1:''", "name"},
	{F("12:'proto4'"), "syntax"},
	{F("12:'editions'"), "syntax"},
	{"1:'a' 2:'a..b'", "package"},
	{"1:'a' 2:'.a'", "package"},
	{"1:'a' 2:'a.'", "package"},
	{"1:'a' 2:'a b'", "package"},
	{MESSAGE(FIELD("a", 0, 1, 5)), "number out of range"},
	{MESSAGE(FIELD("a", -1, 1, 5)), "number out of range"},
	{MESSAGE(FIELD("a", 536870912, 1, 5)), "number out of range"},
	{MESSAGE(FIELD("a", 1, 1, 5) FIELD("b", 1, 1, 5)), "number used twice"},
	{MESSAGE(FIELD("a", 1, 1, 5) FIELD("a", 2, 1, 5)), "used twice"},
	{MESSAGE(FIELD("", 1, 1, 5)), "identifier"},
	{MESSAGE(FIELD("1a", 1, 1, 5)), "identifier"},
	{MESSAGE(FIELD("a-b", 1, 1, 5)), "identifier"},
	{MESSAGE(FIELD("a", 1, 0, 5)), "label"},
	{MESSAGE(FIELD("a", 1, 4, 5)), "label"},
	{MESSAGE(FIELD("a", 1, 1, 0)), "type"},
	{MESSAGE(FIELD("a", 1, 1, 19)), "type"},
	{MESSAGE("2:{1:'a' 3:#1 4:#1}"), "type"},
	{MESSAGE("2:{1:'a' 3:#1 4:#1 5:#11 6:'.p.N'}"), "type_name"},
	{MESSAGE("2:{1:'a' 3:#1 4:#1 5:#14 6:'.p.M'}"), "type_name"},
	{MESSAGE("2:{1:'a' 3:#1 4:#1 5:#11}"), "type_name"},
	{MESSAGE("2:{1:'a' 3:#1 4:#1 5:#5 9:#0}"), "oneof_index"},
	{MESSAGE("8:{1:'o'} 2:{1:'a' 3:#1 4:#1 5:#5 9:#1}"), "oneof_index"},
	{MESSAGE("8:{1:'o'} 2:{1:'a' 3:#1 4:#1 5:#5 9:#-1}"), "oneof_index"},
	{MESSAGE("8:{1:'o'} 2:{1:'a' 3:#1 4:#3 5:#5 9:#0}"), "oneof_index"},
	{MESSAGE("8:{1:''} "), "identifier"},
	{MESSAGE("8:{1:'a'} " FIELD("a", 1, 1, 5)), "used twice"},
	{MESSAGE("2:{1:'a' 3:#1 4:#1 5:#5 10:'x'} 2:{1:'b' 3:#2 4:#1 5:#5 10:'x'}"), "JSON name"},
	{MESSAGE(FIELD("a_b", 1, 1, 5) FIELD("aB", 2, 1, 5)), "JSON name"},
	{MESSAGE(ENTRY(FIELD("key", 1, 1, 5))), "map entry"},
	{MESSAGE(ENTRY(FIELD("key", 1, 1, 5) FIELD("value", 3, 1, 5))), "map entry"},
	{MESSAGE(ENTRY(FIELD("key", 3, 1, 5) FIELD("value", 2, 1, 5))), "map entry"},
	{MESSAGE(ENTRY(FIELD("key", 1, 1, 1) FIELD("value", 2, 1, 5))), "map entry"},
	{MESSAGE(ENTRY(FIELD("key", 1, 1, 12) FIELD("value", 2, 1, 5))), "map entry"},
	{MESSAGE(ENTRY(FIELD("key", 1, 1, 5) FIELD("value", 2, 3, 5))), "map entry"},
	{MESSAGE(ENTRY(FIELD("key", 1, 1, 5) FIELD("value", 2, 1, 5) FIELD("x", 3, 1, 5))),
		"map entry"},
	{MESSAGE("3:{1:'E' 7:{7:#1} " FIELD("key", 1, 1, 5)
			 FIELD("value", 2, 1, 5) "} 2:{1:'m' 3:#1 4:#1 5:#11 6:'.p.M.E'}"),
		"map entry"},
	{MESSAGE("7:{1:#1}"), "message_set"},
	{MESSAGE("4:{1:'E'}"), "without values"},
	{MESSAGE("4:{1:'E' 2:{1:'A'} 2:{1:'A' 2:#1}}"), "used twice"},
	{MESSAGE("4:{1:'E' 2:{1:'1'}}"), "identifier"},
	{MESSAGE("3:{1:'N'} 3:{1:'N'}"), "used twice"},
	{F("4:{1:'M'} 4:{1:'M'}"), "used twice"},
	{F("4:{1:'M'} 5:{1:'M' 2:{1:'A'}}"), "used twice"},
	{F("4:{1:''}"), "identifier"},
	{F("6:{1:'S' 2:{1:'C' 2:'.p.N' 3:'.p.N'}}"), "input_type"},
	{F("4:{1:'M'} 6:{1:'S' 2:{1:'C' 2:'.p.M' 3:'.p.N'}}"), "output_type"},
	{F("4:{1:'M'} 6:{1:'S' 2:{1:'C' 2:'M' 3:'M'} 2:{1:'C' 2:'M' 3:'M'}}"), "used twice"},
	{F("4:{1:'M'} 6:{1:'S' 2:{1:'a b' 2:'M' 3:'M'}}"), "identifier"},
	{F("7:{1:'e' 2:'.p.N' 3:#1 4:#1 5:#5}"), "extendee"},
	{F("4:{1:'M'} 7:{1:'e' 2:'.p.M' 3:#1 4:#1 5:#5}"), "outside the ranges"},
	{F("4:{1:'M' 5:{1:#10 2:#20}} 7:{1:'e' 2:'.p.M' 3:#20 4:#1 5:#5}"), "outside the ranges"},
	{F("4:{1:'M' 5:{1:#10 2:#20}} 7:{1:'e' 2:'.p.M' 3:#10 4:#1 5:#5} "
	   "7:{1:'f' 2:'.p.M' 3:#10 4:#1 5:#5}"),
		"declared twice"},
	{F("4:{1:'M' 5:{1:#1 2:#20} " FIELD("a", 1, 1, 5) "} 7:{1:'e' 2:'.p.M' 3:#1 4:#1 5:#5}"),
		"declared twice"},
	{F("3:'missing.proto'"), "missing file"},
	{F("3:'a.proto'"), "cycle"},
	{"1:'t.proto' 2:'google.protobuf' 12:'proto3' 4:{1:'Timestamp' " FIELD("seconds", 1, 1, 5)
			FIELD("nanos", 2, 1, 5) "}",
		"well-known"},
};

static void test_refusals(void **state)
{
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct descriptor_pool *pool = build(&refusals[i].file, 1, DESCRIPTOR_ALL, &err);

		if (pool || !strstr(err.text, refusals[i].says)) {
			fail_msg("%s: expected \"%s\", found \"%s\"", refusals[i].file,
				refusals[i].says, pool ? "a pool" : err.text);
		}
		assert_true(err.code == DESCRIPTOR_ERR_READ || err.code == DESCRIPTOR_ERR_SCHEMA);
		assert_string_equal(err.file, "test");
	}
}

static void test_names(void **state)
{
	static const char *const good[] = {
		/* relative type names, nested types, a field of the type of its own message */
		F("4:{1:'M' 2:{1:'a' 3:#1 4:#1 5:#11 6:'N'} 2:{1:'b' 3:#2 4:#1 6:'M.N'} "
		  "2:{1:'c' 3:#3 4:#1 5:#11 6:'.p.M'} 2:{1:'e' 3:#19000 4:#1 5:#14 6:'E'} "
		  "3:{1:'N'}} 5:{1:'E' 2:{1:'ZERO'}} "
		  "6:{1:'S' 2:{1:'Get' 2:'M' 3:'.p.M.N' 4:{34:#1} 6:#1}}"),
	};
	struct descriptor_pool *pool;
	const struct codec_method *method;
	char digest[17];
	struct err err;

	(void)state;
	pool = build(good, 1, DESCRIPTOR_ALL, &err);
	if (!pool) {
		fail_msg("%s", err.text);
	}
	method = descriptor_pool_find_method(pool, SLICE("/p.S/Get"));
	assert_non_null(method);
	assert_null(descriptor_pool_find_method(pool, SLICE("/p.S/Ge")));
	assert_null(descriptor_pool_find_method(pool, SLICE("p.S/Get")));
	assert_null(descriptor_pool_find_method(pool, SLICE("")));
	assert_true(slice_equal(method->name, SLICE("Get")));
	assert_true(slice_equal(descriptor_pool_message_name(pool, method->input), SLICE("p.M")));
	assert_true(
		slice_equal(descriptor_pool_message_name(pool, method->output), SLICE("p.M.N")));
	assert_false(method->client_streaming);
	assert_true(method->server_streaming);
	assert_int_equal(method->idempotency, CODEC_NO_SIDE_EFFECTS);
	assert_int_equal(descriptor_pool_service_count(pool), 1);
	assert_true(slice_equal(descriptor_pool_service(pool, 0)->name, SLICE("p.S")));
	assert_int_equal(descriptor_pool_find_message(pool, SLICE("p.X")), DESCRIPTOR_NONE);
	assert_int_not_equal(descriptor_pool_find_message(pool, SLICE("google.rpc.BadRequest")),
		DESCRIPTOR_NONE);
	assert_int_not_equal(
		descriptor_pool_find_message(pool, SLICE("google.api.HttpBody")), DESCRIPTOR_NONE);
	descriptor_pool_digest_text(pool, digest);
	assert_int_equal(strlen(digest), 16);
	assert_true(descriptor_pool_size(pool) > 1000);
	assert_ptr_equal(descriptor_pool_ref(pool), pool);
	descriptor_pool_unref(pool);
	descriptor_pool_unref(pool);
	descriptor_pool_unref(NULL);
}

static const char file_a[] = "1:'a.proto' 12:'proto3' 2:'p' 3:'b.proto' "
			     "4:{1:'A' 2:{1:'b' 3:#1 4:#1 5:#11 6:'.p.B'}} "
			     "6:{1:'SA' 2:{1:'Get' 2:'.p.A' 3:'.p.B'}}";
static const char file_b[] =
	"1:'b.proto' 12:'proto3' 2:'p' 4:{1:'B'} 3:'google/protobuf/any.proto' "
	"6:{1:'SB' 2:{1:'Get' 2:'.p.B' 3:'.p.B'}}";
static const char file_b2[] =
	"1:'b.proto' 12:'proto3' 2:'p' 4:{1:'B'} 3:'google/protobuf/any.proto' "
	"6:{1:'SB' 2:{1:'Get' 2:'.p.B' 3:'.p.B'}} 9:{1:{1:#5}}";
static const char file_c[] = "1:'c.proto' 12:'proto3' 2:'p' 3:'b.proto' 4:{1:'B'}";
static const char file_d[] = "1:'d.proto' 12:'proto3' 2:'p' 3:'c.proto' 4:{1:'D'}";

static void test_files(void **state)
{
	const char *forward[] = {file_a, file_b};
	const char *backward[] = {file_b, file_a};
	const char *twice[] = {file_b, file_a, file_b2};
	const char *differs[] = {file_b, "1:'b.proto' 12:'proto3'"};
	const char *cycle[] = {"1:'x' 3:'y'", "1:'y' 3:'z'", "1:'z' 3:'x'"};
	struct err err;
	struct descriptor_pool *one = build(forward, 2, DESCRIPTOR_ALL, &err);
	struct descriptor_pool *two = build(backward, 2, DESCRIPTOR_ALL, &err);
	struct descriptor_pool *three = build(twice, 3, DESCRIPTOR_ALL, &err);

	(void)state;
	assert_non_null(one);
	assert_non_null(two);
	assert_non_null(three);
	/* DS-10: neither the order of the files nor source_code_info counts */
	assert_int_equal(descriptor_pool_digest(one), descriptor_pool_digest(two));
	assert_int_equal(descriptor_pool_digest(one), descriptor_pool_digest(three));
	descriptor_pool_unref(one);
	descriptor_pool_unref(two);
	descriptor_pool_unref(three);
	one = build(&forward[1], 1, DESCRIPTOR_ALL, &err);
	assert_non_null(one);
	descriptor_pool_unref(one);
	assert_null(build(differs, 2, DESCRIPTOR_ALL, &err));
	assert_non_null(strstr(err.text, "b.proto"));
	assert_null(build(cycle, 3, DESCRIPTOR_ALL, &err));
	assert_non_null(strstr(err.text, "cycle"));
}

/* DS-04: a bad file costs itself and its importers. */
static void test_sound_mode(void **state)
{
	struct descriptor_builder *builder = descriptor_builder_create(DESCRIPTOR_SOUND);
	const char *files[] = {file_d, file_c, file_a, file_b};
	struct descriptor_pool *pool;
	struct buf buf;
	struct err err;
	struct slice name;

	(void)state;
	buf_init(&buf);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		buf_clear(&buf);
		encode(&buf, files[i]);
		assert_int_equal(
			descriptor_builder_add_file(builder, buf_slice(&buf), "test", &err), 0);
		if (i == 0) {
			assert_true(descriptor_builder_missing_import(builder, &name));
			assert_true(slice_equal(name, SLICE("c.proto")));
		}
	}
	assert_false(descriptor_builder_missing_import(builder, &name));
	assert_true(descriptor_builder_has_file(builder, SLICE("a.proto")));
	assert_false(descriptor_builder_has_file(builder, SLICE("e.proto")));
	pool = descriptor_builder_build(builder, &err);
	assert_non_null(pool);
	assert_int_equal(descriptor_builder_rejected_count(builder), 2);
	assert_non_null(strstr(descriptor_builder_rejected(builder, 0)->text, "used twice"));
	assert_non_null(strstr(descriptor_builder_rejected(builder, 1)->text, "refused file"));
	assert_non_null(descriptor_pool_find_method(pool, SLICE("/p.SA/Get")));
	assert_non_null(descriptor_pool_find_method(pool, SLICE("/p.SB/Get")));
	assert_int_equal(descriptor_pool_find_message(pool, SLICE("p.D")), DESCRIPTOR_NONE);
	descriptor_pool_unref(pool);
	descriptor_builder_destroy(builder);
	descriptor_builder_destroy(NULL);
	buf_fini(&buf);
}

/* Types nested 32 deep pass, 33 are refused. */
static void test_nesting(void **state)
{
	struct buf text;
	struct err err;

	(void)state;
	buf_init(&text);
	for (int depth = 32; depth <= 33; depth++) {
		struct descriptor_pool *pool;
		const char *file;

		buf_clear(&text);
		buf_append_string(&text, "1:'a.proto' 4:{1:'M'");
		for (int i = 1; i < depth; i++) {
			buf_append_string(&text, " 3:{1:'M'");
		}
		buf_append_string(&text, " 2:{1:'f' 3:#1 4:#1 5:#5 8:{2:#1}}");
		for (int i = 0; i < depth; i++) {
			buf_append_string(&text, "}");
		}
		file = buf_string(&text);
		pool = build(&file, 1, DESCRIPTOR_ALL, &err);
		assert_int_equal(pool != NULL, depth == 32);
		descriptor_pool_unref(pool);
	}
	buf_fini(&text);
}

static struct descriptor_pool *load(struct slice set, struct err *err)
{
	struct descriptor_builder *builder = descriptor_builder_create(DESCRIPTOR_SOUND);
	struct descriptor_pool *pool = NULL;

	err_clear(err);
	if (descriptor_builder_add_set(builder, set, "set", err) == 0) {
		pool = descriptor_builder_build(builder, err);
	}
	descriptor_builder_destroy(builder);
	return pool;
}

/* Cut at every 7th byte and with random bits flipped, a set is refused or gives a pool. */
static void test_damage(void **state)
{
	size_t size = codec_test_schema_size;
	uint8_t *copy = malloc(size);
	uint64_t seed = 4711;
	struct err err;
	int refused = 0;

	(void)state;
	for (size_t cut = 0; cut < size; cut += 7) {
		memcpy(copy, codec_test_schema, cut);
		descriptor_pool_unref(load(slice_make(copy, cut), &err));
	}
	for (int round = 0; round < 300; round++) {
		struct descriptor_pool *pool;

		memcpy(copy, codec_test_schema, size);
		for (int i = 0; i < 3; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			copy[(seed >> 20) % size] ^= (uint8_t)(1u << (seed >> 60 & 7));
		}
		pool = load(slice_make(copy, size), &err);
		refused += pool == NULL;
		assert_true(pool || err.code != 0);
		descriptor_pool_unref(pool);
	}
	assert_true(refused > 0);
	free(copy);
}

/* What a set of garbage says, and that a set is added as a whole or not at all. */
static void test_sets(void **state)
{
	struct descriptor_builder *builder = descriptor_builder_create(DESCRIPTOR_ALL);
	struct descriptor_pool *pool;
	struct buf set;
	struct err err;

	(void)state;
	err_clear(&err);
	buf_init(&set);
	assert_int_equal(
		descriptor_builder_add_set(builder, SLICE("\x0a\x05x"), "s", &err), -EBADMSG);
	assert_int_equal(err.code, DESCRIPTOR_ERR_READ);
	encode(&set, "1:{1:'b.proto' 4:{1:'B'}} 1:{1:'x' 4:{1:'1'}}");
	assert_int_equal(descriptor_builder_add_set(builder, buf_slice(&set), "s", &err), -EBADMSG);
	assert_false(descriptor_builder_has_file(builder, SLICE("b.proto")));
	buf_clear(&set);
	encode(&set, "1:{1:'b.proto' 4:{1:'B'}} 1:{1:'x' 4:{1:'X'}}");
	assert_int_equal(descriptor_builder_add_set(builder, buf_slice(&set), "s", &err), 0);
	pool = descriptor_builder_build(builder, &err);
	assert_non_null(pool);
	descriptor_pool_unref(pool);
	descriptor_builder_destroy(builder);
	buf_fini(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_sound_mode),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
