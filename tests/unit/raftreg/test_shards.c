/* Pieces and captures: what a capture holds never changes, whatever happens to the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/rng.h"
#include "raftreg/shards.h"

#define KEYS   600
#define GROUPS 3

struct fixture {
	struct shards shards;
	struct piece_group *groups[GROUPS];
	struct piece *pieces[KEYS]; /* NULL: none */
	struct rng rng;
};

static void begin(struct fixture *fixture, uint64_t seed)
{
	*fixture = (struct fixture){0};
	shards_init(&fixture->shards);
	rng_seed(&fixture->rng, seed);
	for (unsigned i = 0; i < GROUPS; i++) {
		char name[8];

		(void)snprintf(name, sizeof name, "s%u", GROUPS - i);
		fixture->groups[i] = piece_group_create(slice_from_string(name));
	}
}

static void end(struct fixture *fixture)
{
	shards_fini(&fixture->shards);
	for (unsigned i = 0; i < GROUPS; i++) {
		piece_group_unref(fixture->groups[i]);
	}
}

/* Key "kN" of a group, or a session; a new value each time, or none. */
static void change(struct fixture *fixture)
{
	unsigned i = (unsigned)rng_below(&fixture->rng, KEYS);
	struct piece *piece = NULL;
	char text[64];
	int length = snprintf(
		text, sizeof text, "k%u=%llu", i, (unsigned long long)rng_next(&fixture->rng));

	if (rng_below(&fixture->rng, 3) > 0) {
		struct piece_group *group =
			i % (GROUPS + 1) == GROUPS ? NULL : fixture->groups[i % (GROUPS + 1)];

		piece = piece_create(group ? PIECE_SET + (enum piece_kind)(i % 3) : PIECE_SESSION,
			group, slice_make((const uint8_t *)text, (size_t)length), 0,
			(size_t)(strchr(text, '=') - text));
	} else if (!fixture->pieces[i]) {
		return;
	}
	shards_put(&fixture->shards, fixture->pieces[i], piece);
	fixture->pieces[i] = piece;
}

static void dump(const struct shards_capture *capture, struct buf *ret_bytes)
{
	size_t count = 0;
	const struct piece **list = shards_list(capture, &count);

	for (size_t i = 0; i < count; i++) {
		const struct piece *a = i > 0 ? list[i - 1] : NULL;
		const struct piece *b = list[i];

		buf_append(ret_bytes, b->bytes, b->size);
		buf_append_byte(ret_bytes, '\n');
		if (!a) {
			continue;
		}
		/* Sessions, then sets by name, in each head, methods, members by key. */
		if (a->group != b->group) {
			assert_true(!a->group || (b->group && slice_compare(a->group->name,
								      b->group->name) < 0));
		} else if (a->kind != b->kind) {
			assert_true(a->kind < b->kind);
		} else {
			assert_true(slice_compare(a->key, b->key) < 0);
		}
	}
	mem_free(list);
}

static void dump_now(struct fixture *fixture, struct buf *ret_bytes)
{
	struct shards_capture *capture = shards_capture(&fixture->shards);

	dump(capture, ret_bytes);
	shards_capture_drop(capture);
}

static void test_captures_stay(void **state)
{
	struct fixture f;
	struct shards_capture *captures[4];
	struct buf then[4];
	size_t most = 0;

	(void)state;
	begin(&f, 3);
	for (unsigned round = 0; round < 30; round++) {
		struct buf before, after;

		for (unsigned i = 0; i < 4; i++) {
			for (unsigned j = 0; j < 50 * i; j++) {
				change(&f);
			}
			buf_init(&then[i]);
			dump_now(&f, &then[i]);
			captures[i] = shards_capture(&f.shards);
		}
		for (unsigned j = 0; j < 400; j++) {
			change(&f);
		}
		buf_init(&before);
		dump_now(&f, &before);
		for (unsigned i = 0; i < 4; i++) {
			unsigned which = (i + round) % 4;
			struct buf now;

			buf_init(&now);
			dump(captures[which], &now);
			assert_true(slice_equal(buf_slice(&now), buf_slice(&then[which])));
			most = now.size > most ? now.size : most;
			shards_capture_drop(captures[which]);
			buf_fini(&now);
			buf_fini(&then[which]);
		}
		buf_init(&after);
		dump_now(&f, &after);
		assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
		buf_fini(&before);
		buf_fini(&after);
	}
	assert_true(most > 5000);
	end(&f);
}

struct reader {
	struct shards_capture *capture;
	struct buf bytes;
};

static void *run_reader(void *context)
{
	struct reader *reader = context;

	dump(reader->capture, &reader->bytes);
	shards_capture_drop(reader->capture);
	return NULL;
}

/* For the thread sanitizer: a capture is read and dropped elsewhere while the table goes on. */
static void test_another_thread(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 4);
	for (unsigned round = 0; round < 20; round++) {
		struct reader reader = {0};
		struct buf then;
		pthread_t thread;

		for (unsigned j = 0; j < 300; j++) {
			change(&f);
		}
		buf_init(&then);
		buf_init(&reader.bytes);
		dump_now(&f, &then);
		reader.capture = shards_capture(&f.shards);
		assert_int_equal(pthread_create(&thread, NULL, run_reader, &reader), 0);
		for (unsigned j = 0; j < 2000; j++) {
			change(&f);
		}
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_true(slice_equal(buf_slice(&reader.bytes), buf_slice(&then)));
		buf_fini(&reader.bytes);
		buf_fini(&then);
	}
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_captures_stay), cmocka_unit_test(test_another_thread)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
