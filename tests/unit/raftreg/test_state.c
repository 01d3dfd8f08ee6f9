/* The catalog: commands, refusals, exactly once, snapshots equal to replay (registry.md 7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "raftreg/content.h"
#include "raftreg/state.h"

static const uint8_t uuid[16] = {1, 2, 3};

struct fixture {
	struct state state;
	struct state_result result;
	uint64_t index;
};

static void on_result(void *owner, size_t ordinal, const struct state_result *result)
{
	struct fixture *fixture = owner;

	(void)ordinal;
	fixture->result = *result;
}

static enum packet_code apply(struct fixture *fixture, struct slice command)
{
	struct buf payload;

	buf_init(&payload);
	state_begin_entry(&payload, 1000 + fixture->index);
	state_add_command(&payload, command);
	assert_int_equal(state_apply(&fixture->state, ++fixture->index, buf_slice(&payload),
				 on_result, fixture),
		0);
	buf_fini(&payload);
	return fixture->result.code;
}

static void session_id(uint8_t id[16], unsigned number)
{
	memset(id, 0, 16);
	id[0] = (uint8_t)number;
	id[1] = (uint8_t)(number >> 8);
}

static enum packet_code open_session(struct fixture *fixture, unsigned number, uint64_t incarnation)
{
	uint8_t id[16];
	struct packet frame = {.kind = PACKET_OPEN,
		.incarnation = incarnation,
		.boot = incarnation,
		.ttl_ms = 15000,
		.identity = SLICE("test"),
		.host = SLICE("127.0.0.1")};
	enum packet_code code;
	struct buf bytes;

	session_id(id, number);
	frame.session = slice_make(id, 16);
	buf_init(&bytes);
	packet_encode(&frame, &bytes);
	code = apply(fixture, buf_slice(&bytes));
	buf_fini(&bytes);
	return code;
}

struct change {
	unsigned session;
	uint64_t incarnation, seq;
	const char *service; /* NULL: nothing */
	uint16_t port;
	bool full;
	struct item extra; /* op 0: none */
};

static void build_instance(const struct change *change, struct buf *ret_bytes)
{
	struct content *content = calloc(1, sizeof *content);
	struct item item = {.op = ITEM_UPSERT};
	struct buf encoded, key, whole;
	char id[20];

	(void)snprintf(id, sizeof id, "i%u", change->session);
	content->service = item.set = slice_from_string(change->service);
	content->version = SLICE("1");
	content->id = slice_from_string(id);
	content->host = SLICE("127.0.0.1");
	content->port = change->port;
	buf_init(&encoded);
	buf_init(&key);
	buf_init(&whole);
	content_encode(content, &encoded);
	content_key(content, &key);
	item.key = buf_slice(&key);
	item.content = buf_slice(&encoded);
	item_encode(&item, &whole);
	packet_add_item(ret_bytes, buf_slice(&whole));
	buf_fini(&encoded);
	buf_fini(&key);
	buf_fini(&whole);
	free(content);
}

static enum packet_code change(struct fixture *fixture, struct change change)
{
	struct packet frame = {.kind = PACKET_REGISTER,
		.incarnation = change.incarnation,
		.seq = change.seq,
		.flags = change.full ? PACKET_FULL : 0};
	enum packet_code code;
	struct buf bytes, whole;
	uint8_t id[16];

	session_id(id, change.session);
	frame.session = slice_make(id, 16);
	buf_init(&bytes);
	buf_init(&whole);
	packet_encode(&frame, &bytes);
	if (change.service) {
		build_instance(&change, &bytes);
	}
	if (change.extra.op) {
		item_encode(&change.extra, &whole);
		packet_add_item(&bytes, buf_slice(&whole));
	}
	code = apply(fixture, buf_slice(&bytes));
	buf_fini(&bytes);
	buf_fini(&whole);
	return code;
}

static enum packet_code lease(
	struct fixture *fixture, enum packet_kind kind, unsigned number, uint64_t generation)
{
	uint8_t id[16];
	struct item item = {.op = ITEM_SESSION, .number = 1, .generation = generation};
	const struct packet frame = {.kind = kind};
	enum packet_code code;
	struct buf bytes, whole;

	session_id(id, number);
	item.content = slice_make(id, 16);
	buf_init(&bytes);
	buf_init(&whole);
	packet_encode(&frame, &bytes);
	item_encode(&item, &whole);
	packet_add_item(&bytes, buf_slice(&whole));
	code = apply(fixture, buf_slice(&bytes));
	buf_fini(&bytes);
	buf_fini(&whole);
	return code;
}

static size_t members(const struct fixture *fixture, const char *service)
{
	const struct state_set *set = state_set(&fixture->state, false, slice_from_string(service));

	return set ? set->members.count : 0;
}

static void begin(struct fixture *fixture)
{
	*fixture = (struct fixture){0};
	state_init(&fixture->state, uuid);
}

/* RD-05: seq counts what was applied, once each; refusals use none. */
static void test_exactly_once(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(
		change(&f, (struct change){1, 1, 1, "a", 80, true, {0}}), CODE_SESSION_LOST);
	assert_int_equal(f.result.boot, 0);
	assert_int_equal(open_session(&f, 1, 5), CODE_OK);
	assert_int_equal(open_session(&f, 1, 5), CODE_ALREADY);
	assert_int_equal(open_session(&f, 1, 4), CODE_SESSION_LOST);
	assert_int_equal(f.result.boot, 5); /* RN-01: of the start that has it */
	assert_int_equal(
		change(&f, (struct change){1, 4, 1, "a", 80, true, {0}}), CODE_SESSION_LOST);
	assert_int_equal(f.result.boot, 5);
	assert_int_equal(change(&f, (struct change){1, 5, 1, "a", 80, true, {0}}), CODE_OK);
	assert_int_equal(change(&f, (struct change){1, 5, 1, "a", 81, true, {0}}), CODE_ALREADY);
	assert_int_equal(
		change(&f, (struct change){1, 5, 3, "a", 81, true, {0}}), CODE_SESSION_LOST);
	assert_int_equal(change(&f, (struct change){1, 5, 2, "a", 80, true, {0}}), CODE_UNCHANGED);
	assert_int_equal(change(&f, (struct change){1, 5, 2, "A", 80, true, {0}}), CODE_INVALID);
	assert_string_equal(f.result.text, "service");
	assert_int_equal(change(&f, (struct change){1, 5, 2, "a", 0, true, {0}}), CODE_INVALID);
	assert_string_equal(f.result.text, "port");
	assert_int_equal(change(&f, (struct change){1, 5, 2, "b", 80, true, {0}}), CODE_OK);
	assert_int_equal(members(&f, "a"), 0);
	assert_int_equal(members(&f, "b"), 1);
	assert_int_equal(change(&f, (struct change){1, 5, 3, "c", 80, false, {0}}), CODE_OK);
	assert_int_equal(members(&f, "b"), 1);
	/* A newer incarnation begins with nothing. */
	assert_int_equal(open_session(&f, 1, 6), CODE_OK);
	assert_int_equal(members(&f, "b"), 0);
	assert_int_equal(members(&f, "c"), 0);
	state_fini(&f.state);
}

static void test_owners(void **state)
{
	const uint8_t key[] = "1\0i1";
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(open_session(&f, 1, 1), CODE_OK);
	assert_int_equal(open_session(&f, 2, 1), CODE_OK);
	assert_int_equal(change(&f, (struct change){1, 1, 1, "a", 80, true, {0}}), CODE_OK);
	assert_int_equal(
		change(&f,
			(struct change){2, 1, 1, NULL, 0, false,
				{.op = ITEM_DELETE, .set = SLICE("a"), .key = slice_make(key, 4)}}),
		CODE_TAKEN);
	assert_int_equal(members(&f, "a"), 1);
	state_fini(&f.state);
}

/* Void when any of (id, incarnation, generation) differs; RN-06. */
static void test_leases(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(open_session(&f, 1, 1), CODE_OK);
	assert_int_equal(change(&f, (struct change){1, 1, 1, "a", 80, true, {0}}), CODE_OK);
	lease(&f, PACKET_EXPIRE, 1, 1); /* not suspect */
	assert_int_equal(members(&f, "a"), 1);
	lease(&f, PACKET_SUSPECT, 1, 1); /* generation 2 now */
	lease(&f, PACKET_EXPIRE, 1, 1);
	assert_int_equal(members(&f, "a"), 1);
	lease(&f, PACKET_REVIVE, 1, 2);
	lease(&f, PACKET_EXPIRE, 1, 2);
	assert_int_equal(members(&f, "a"), 1);
	lease(&f, PACKET_SUSPECT, 1, 3);
	/* REGISTER is a sign of life: ACTIVE, generation 5. */
	assert_int_equal(change(&f, (struct change){1, 1, 2, "a", 81, true, {0}}), CODE_OK);
	lease(&f, PACKET_EXPIRE, 1, 4);
	assert_int_equal(members(&f, "a"), 1);
	lease(&f, PACKET_SUSPECT, 1, 5);
	lease(&f, PACKET_EXPIRE, 1, 6);
	assert_int_equal(members(&f, "a"), 0);
	assert_int_equal(
		change(&f, (struct change){1, 1, 3, "a", 80, true, {0}}), CODE_SESSION_LOST);
	state_fini(&f.state);
}

static void test_records(void **state)
{
	struct item put = {
		.op = ITEM_PUT, .set = SLICE("/ps/x"), .key = SLICE("k"), .content = SLICE("v")};
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(open_session(&f, 1, 1), CODE_OK);
	put.expected = 1; /* must be absent */
	assert_int_equal(change(&f, (struct change){1, 1, 1, NULL, 0, false, put}), CODE_OK);
	put.content = SLICE("w");
	assert_int_equal(change(&f, (struct change){1, 1, 2, NULL, 0, false, put}), CODE_CONFLICT);
	put.expected = f.state.applied; /* modified = 2, and 1 more */
	put.expected = 3;
	assert_int_equal(change(&f, (struct change){1, 1, 2, NULL, 0, false, put}), CODE_OK);
	put.op = ITEM_REMOVE;
	put.expected = 0;
	assert_int_equal(change(&f, (struct change){1, 1, 3, NULL, 0, false, put}), CODE_OK);
	assert_false(state_set_is_known(state_set(&f.state, true, SLICE("/ps/x"))));
	state_fini(&f.state);
}

/* TRAP-10: every field that is kept; digests follow from the content, not from history. */
static void assert_same(const struct state *state, const struct state *loaded)
{
	assert_int_equal(state->bytes, loaded->bytes);
	assert_int_equal(state->sets.count, loaded->sets.count);
	assert_int_equal(state->sessions.count, loaded->sessions.count);
	MAP_FOR_EACH(entry, &state->sets)
	{
		const struct state_set *set = entry->value;
		const struct state_set *other = state_set(loaded, set->records, set->name);

		assert_non_null(other);
		assert_true(other->digest == set->digest);
		assert_int_equal(other->modified, set->modified);
		assert_int_equal(other->emptied_ms, set->emptied_ms);
		assert_int_equal(other->members.count, set->members.count);
		assert_int_equal(other->def_count, set->def_count);
	}
	MAP_FOR_EACH(place, &state->sessions)
	{
		const struct state_session *session = place->value;
		const struct state_session *other =
			state_session(loaded, slice_make(session->id, 16));

		assert_non_null(other);
		assert_int_equal(other->incarnation, session->incarnation);
		assert_int_equal(other->suspect, session->suspect);
		assert_int_equal(other->lease_gen, session->lease_gen);
		assert_int_equal(other->last_seq, session->last_seq);
		assert_int_equal(other->last_index, session->last_index);
		assert_int_equal(other->modified, session->modified);
		assert_true(other->digest == session->digest);
	}
}

static void random_step(struct fixture *f, struct rng *rng, uint64_t *incarnation, uint64_t *seq)
{
	unsigned who = (unsigned)rng_below(rng, 8);
	static const char *const names[] = {"a", "b", "c"};
	struct item record = {.op = ITEM_PUT,
		.set = SLICE("/r"),
		.key = SLICE("k"),
		.content = SLICE("v"),
		.owned = rng_below(rng, 2) == 0};

	if (incarnation[who] == 0 || rng_below(rng, 12) == 0) {
		assert_int_equal(open_session(f, who, ++incarnation[who]), CODE_OK);
		seq[who] = 0;
	} else if (rng_below(rng, 10) == 0) {
		lease(f, PACKET_SUSPECT, who, 1);
	} else {
		enum packet_code code =
			change(f, (struct change){who, incarnation[who], seq[who] + 1,
					  names[rng_below(rng, 3)],
					  (uint16_t)(1 + rng_below(rng, 3)), rng_below(rng, 2) == 0,
					  rng_below(rng, 4) == 0 ? record : (struct item){0}});

		seq[who] += code == CODE_OK ? 1 : 0;
	}
}

/* TRAP-10: a snapshot taken at any index and replay from the start agree, bytes and hash. */
static void test_snapshot_equals_replay(void **state)
{
	struct rng rng;

	(void)state;
	rng_seed(&rng, 11);
	for (int round = 0; round < 20; round++) {
		struct fixture f;
		struct state loaded;
		struct buf bytes, again;
		uint64_t seq[8] = {0};
		uint64_t incarnation[8] = {0};

		struct state_capture *capture = NULL;
		struct buf middle;

		begin(&f);
		buf_init(&middle);
		for (int step = 0; step < 120; step++) {
			if (step == 70) {
				state_save(&f.state, &middle);
				capture = state_capture(&f.state);
			}
			random_step(&f, &rng, incarnation, seq);
		}
		buf_init(&bytes);
		buf_init(&again);
		state_save(&f.state, &bytes);
		state_init(&loaded, uuid);
		assert_int_equal(state_load(&loaded, buf_slice(&bytes)), 0);
		state_save(&loaded, &again);
		assert_true(slice_equal(buf_slice(&bytes), buf_slice(&again)));
		assert_true(state_hash(&loaded) == state_hash(&f.state));
		assert_same(&f.state, &loaded);
		/* RS-06: what was held in the middle is what was there then. */
		buf_clear(&again);
		state_capture_save(capture, &again);
		state_capture_drop(capture);
		assert_true(slice_equal(buf_slice(&middle), buf_slice(&again)));
		buf_fini(&middle);
		for (size_t cut = 0; cut < bytes.size; cut += 97) {
			struct state broken;

			state_init(&broken, uuid);
			(void)!state_load(&broken, slice_make(bytes.data, cut));
			state_fini(&broken);
		}
		state_fini(&loaded);
		state_fini(&f.state);
		buf_fini(&bytes);
		buf_fini(&again);
	}
}

/* Command 8 forgets a set that has methods and no instance with all it has. */
static void test_methods_without_an_instance(void **state)
{
	const struct packet gc = {.kind = PACKET_GC, .index = 3};
	struct state loaded;
	struct fixture f;
	struct buf bytes;

	(void)state;
	begin(&f);
	assert_int_equal(open_session(&f, 1, 1), CODE_OK);
	assert_int_equal(change(&f, (struct change){1, 1, 1, NULL, 0, false,
					    {.op = ITEM_DEF,
						    .set = SLICE("a"),
						    .key = SLICE("1"),
						    .content = SLICE("\x0a\x03\x0a\x01m")}}),
		CODE_OK);
	assert_int_equal(change(&f, (struct change){1, 1, 2, "b", 80, false, {0}}), CODE_OK);
	assert_int_equal(state_set(&f.state, false, SLICE("a"))->def_count, 1);
	buf_init(&bytes);
	packet_encode(&gc, &bytes);
	assert_int_equal(apply(&f, buf_slice(&bytes)), CODE_OK);
	assert_null(state_set(&f.state, false, SLICE("a")));
	assert_non_null(state_set(&f.state, false, SLICE("b")));
	buf_clear(&bytes);
	state_save(&f.state, &bytes);
	state_init(&loaded, uuid);
	assert_int_equal(state_load(&loaded, buf_slice(&bytes)), 0);
	assert_same(&f.state, &loaded);
	state_fini(&loaded);
	buf_fini(&bytes);
	state_fini(&f.state); /* asserts that nothing is left */
}

/* RD-02: methods for a name that no service can have, above all for one that no set can have. */
static void test_methods_of_no_service(void **state)
{
	char longest[600];
	const char *const names[] = {longest, "Upper", "a/b", ""};
	struct fixture f;

	(void)state;
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	begin(&f);
	assert_int_equal(open_session(&f, 1, 1), CODE_OK);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		assert_int_equal(
			change(&f, (struct change){1, 1, 1, NULL, 0, false,
					   {.op = ITEM_DEF,
						   .set = slice_from_string(names[i]),
						   .key = SLICE("1"),
						   .content = SLICE("\x0a\x03\x0a\x01m")}}),
			CODE_INVALID);
	}
	assert_int_equal(f.state.sets.count, 0);
	state_fini(&f.state);
}

/* RD-02: what is put one by one may not become more than can be declared again as a whole. */
static void test_session_bytes(void **state)
{
	struct item put = {.op = ITEM_PUT, .set = SLICE("/r"), .owned = true};
	char value[STATE_VALUE_MAX];
	char key[8];
	enum packet_code code = CODE_OK;
	struct fixture f;
	uint64_t seq = 0;

	(void)state;
	memset(value, 'v', sizeof value);
	put.content = slice_make((const uint8_t *)value, sizeof value);
	begin(&f);
	assert_int_equal(open_session(&f, 1, 1), CODE_OK);
	while (code == CODE_OK) {
		(void)snprintf(key, sizeof key, "%u", (unsigned)seq);
		put.key = slice_from_string(key);
		code = change(&f, (struct change){1, 1, ++seq, NULL, 0, false, put});
		assert_true(seq <= STATE_SESSION_BYTES_MAX / STATE_VALUE_MAX);
	}
	assert_int_equal(code, CODE_QUOTA);
	put.owned = false; /* belongs to none */
	assert_int_equal(change(&f, (struct change){1, 1, seq++, NULL, 0, false, put}), CODE_OK);
	put.owned = true;
	put.key = SLICE("0");
	put.content = slice_make((const uint8_t *)value, 1); /* smaller than what it replaces */
	assert_int_equal(change(&f, (struct change){1, 1, seq++, NULL, 0, false, put}), CODE_OK);
	put.op = ITEM_REMOVE;
	put.key = SLICE("1");
	assert_int_equal(change(&f, (struct change){1, 1, seq++, NULL, 0, false, put}), CODE_OK);
	put.op = ITEM_PUT;
	put.content = slice_make((const uint8_t *)value, sizeof value);
	assert_int_equal(change(&f, (struct change){1, 1, seq++, NULL, 0, false, put}), CODE_OK);
	assert_true(f.state.sessions.count == 1);
	state_fini(&f.state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exactly_once),
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_leases),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_methods_without_an_instance),
		cmocka_unit_test(test_methods_of_no_service),
		cmocka_unit_test(test_session_bytes),
		cmocka_unit_test(test_snapshot_equals_replay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
