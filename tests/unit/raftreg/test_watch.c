/* A client's watches against a replica's fan-out: whatever is lost, late or forgotten in between,
 * at a bookmark the view equals the state (registry.md 9). The stream between them is the test's.
 */
#include "bare.h"

#include "base/mem.h"
#include "base/rng.h"
#include "net/loop.h"
#include "raftreg/client.h"
#include "raftreg/client_sub.h"
#include "raftreg/viewfile.h"

#define NAMES 12

static struct client *client;
static struct watch watches[NAMES];
static bool watched[NAMES];
static unsigned slot;
static bool connected;
static size_t delivered; /* frames of the stream that the client has seen */
static uint64_t now_ms;
static bool may_doubt;

static const struct {
	const char *name;
	bool records, prefix;
} names[NAMES] = {{"s1", false, false}, {"s2", false, false}, {"s3", false, false},
	{"s", false, true}, {"s1", false, true}, {"", false, true}, {"/x1", true, false},
	{"/x2", true, false}, {"/x", true, true}, {"/x3", true, false}, {"other", false, false},
	{"/", true, true}};

/* What client.c does, over a stream that is a slot of the pretended worker. */
bool client_send(struct client *of, struct slice bytes)
{
	struct packet frame;

	assert_ptr_equal(of, client);
	if (!connected) {
		return false;
	}
	assert_int_equal(packet_decode(bytes, &frame), 0);
	bare_send(slot, &frame, NULL, 0);
	return true;
}

uint64_t client_now_ms(const struct client *of)
{
	(void)of;
	return now_ms;
}

bool client_is_live(const struct client *of)
{
	return of->greeted;
}

void client_add_address(struct client *of, struct slice text, bool configured)
{
	(void)of;
	(void)text;
	(void)configured;
}

void client_known_replicas(const char *data_dir, struct client_known *ret_known)
{
	(void)data_dir;
	(void)ret_known;
}

static void run_deliver(struct task *task)
{
	client_view_publish(container_of(task, struct client, deliver));
}

static void start_client(void)
{
	client = mem_zalloc(sizeof *client);
	client->loop = bare.node->loop;
	client->ttl_ms = 6000;
	memcpy(client->uuid, bare.node->uuid, 16);
	task_init(&client->deliver, run_deliver);
	client_view_init(client);
	rng_seed(&client->rng, 1);
}

static void stop_client(void)
{
	task_cancel(&client->deliver);
	client_view_fini(client);
	mem_free(client);
}

static int setup(void **state)
{
	(void)state;
	bare_create();
	bare_publish();
	memset(watched, 0, sizeof watched);
	slot = 0;
	connected = may_doubt = false;
	now_ms = 1000000;
	start_client();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	connected = false;
	stop_client();
	bare_destroy();
	return 0;
}

static void on_set(struct watch *watch, struct instance_set *set)
{
	(void)watch;
	assert_non_null(set);
}

static void on_records(struct watch *watch, struct record_set *set)
{
	(void)watch;
	assert_non_null(set);
}

static void watch(unsigned i, bool on)
{
	if (watched[i] == on) {
		return;
	}
	watched[i] = on;
	if (!on) {
		client_view_unwatch(client, &watches[i]);
		return;
	}
	watches[i] = (struct watch){.kind = names[i].records ? WATCH_RECORDS : WATCH_SERVICE,
		.prefix = names[i].prefix,
		.name = names[i].name,
		.on_set = on_set,
		.on_records = on_records};
	assert_int_equal(client_view_watch(client, &watches[i]), 0);
}

static void disconnect(void)
{
	if (connected) {
		connected = client->greeted = false;
		bare_close(slot);
	}
}

static void reconnect(void)
{
	disconnect();
	slot = (slot + 1) % BARE_STREAMS;
	bare_open(slot, DOOR_SESSION);
	delivered = 0;
	connected = client->greeted = true;
	client_sub_welcome(client);
}

/* The next frames of the stream; what was sent before the client is told of is lost with it. */
static void deliver(size_t count)
{
	for (; connected && count > 0 && delivered < bare.streams[slot].count; count--) {
		struct packet frame = bare_frame(slot, delivered++);

		if (frame.kind == PACKET_ANSWER) {
			assert_int_equal(frame.code, CODE_OK);
		}
		client_view_frame(client, &frame);
		LIST_FOR_EACH(place, &client->subs) {
			/* Doubt repairs what should not have happened. */
			assert_true(
				may_doubt || !LIST_ENTRY(place, struct client_sub, node)->doubted);
		}
	}
	if (connected && delivered == bare.streams[slot].count) {
		bare_take(slot);
		delivered = 0;
	}
}

/* RV-03: the same sidecar, later. */
static void restart(void)
{
	struct buf file;

	disconnect();
	buf_init(&file);
	viewfile_encode(client, &file);
	for (unsigned i = 0; i < NAMES; i++) {
		if (watched[i]) {
			client_view_unwatch(client, &watches[i]);
		}
	}
	stop_client();
	start_client();
	assert_true(viewfile_decode(client, buf_slice(&file)));
	buf_fini(&file);
	for (unsigned i = 0; i < NAMES; i++) {
		if (watched[i]) {
			watched[i] = false;
			watch(i, true);
		}
	}
}

/* Another replica with the same state: it has no ring, and its own streams. */
static void change_replica(void)
{
	disconnect();
	bare_publish();
	fanout_destroy(bare.node->fanout);
	bare.node->fanout = fanout_create(bare.node);
	bare_publish();
}

static bool is_watched(const struct state_set *set)
{
	LIST_FOR_EACH(place, &client->subs) {
		if (client_sub_matches(
			    LIST_ENTRY(place, struct client_sub, node), set->records, set->name)) {
			return true;
		}
	}
	return false;
}

static void compare(void)
{
	const struct state *state = &bare.node->state;

	LIST_FOR_EACH(place, &client->subs) {
		const struct client_sub *sub = LIST_ENTRY(place, struct client_sub, node);

		assert_true(sub->sent && sub->synced && !sub->doubted);
		assert_int_equal(sub->cursor, state->applied);
	}
	MAP_FOR_EACH(entry, &state->sets)
	{
		const struct state_set *set = entry->value;
		const struct client_set *copy = client_view_set(client, set->records, set->name);

		if (!is_watched(set)) {
			continue;
		}
		assert_true(copy || set->members.count == 0);
		assert_int_equal(copy ? copy->members.count : 0, set->members.count);
		assert_int_equal(copy ? copy->defs.count : 0, copy ? set->def_count : 0);
		for (size_t i = 0; copy && i < set->def_count; i++) {
			const struct client_member *def =
				map_get(&copy->defs, set->defs[i].version);

			assert_true(def && slice_equal(def->content, set->defs[i].content));
		}
		MAP_FOR_EACH(member, &set->members)
		{
			const struct state_member *theirs = member->value;
			const struct client_member *ours = map_get(&copy->members, member->key);

			assert_non_null(ours);
			assert_int_equal(ours->modified, theirs->modified);
			assert_true(slice_equal(ours->content, theirs->content));
		}
	}
	MAP_FOR_EACH(known, &client->sets)
	{
		const struct client_set *copy = known->value;

		if (copy->members.count > 0 && !state_set(state, copy->records, copy->name)) {
			LIST_FOR_EACH(place, &client->subs) {
				assert_false(client_sub_matches(
					LIST_ENTRY(place, struct client_sub, node), copy->records,
					copy->name));
			}
		}
	}
}

static void catch_up(void)
{
	for (int i = 0; i < 3; i++) {
		deliver(BARE_FRAMES);
		now_ms += 1000;
		client_view_tick(client, now_ms);
		fanout_tick(bare.node->fanout, now_ms);
		loop_turn(bare.node->loop, 0);
		loop_turn(bare.node->loop, 0);
	}
	deliver(BARE_FRAMES);
	compare();
}

static void change_something(struct rng *rng)
{
	char name[16], key[16];
	unsigned number = 1 + (unsigned)rng_below(rng, 4);

	(void)snprintf(key, sizeof key, "k%u", (unsigned)rng_below(rng, 3));
	if (rng_below(rng, 8) == 0) {
		(void)snprintf(name, sizeof name, "s%u", number);
		(void)snprintf(key, sizeof key, "/m%u", (unsigned)rng_below(rng, 3));
		bare_define(name, rng_below(rng, 2) ? "1" : "2", key);
	} else if (rng_below(rng, 2) == 0) {
		(void)snprintf(name, sizeof name, "s%u", number);
		bare_register(2 + (unsigned)rng_below(rng, 4), name,
			rng_below(rng, 3) ? (uint16_t)(1 + rng_below(rng, 60000)) : 0);
	} else {
		(void)snprintf(name, sizeof name, "/x%u", number);
		bare_record(name, key, 1 + (size_t)rng_below(rng, rng_below(rng, 9) ? 20 : 4000),
			rng_below(rng, 3) == 0);
	}
}

static void run_seed(uint64_t seed)
{
	struct rng rng;

	rng_seed(&rng, seed);
	bare_register(2, "s1", 1);
	reconnect();
	for (unsigned step = 0; step < 400; step++) {
		uint64_t what = rng_below(&rng, 100);

		if (what < 45) {
			change_something(&rng);
		} else if (what < 65) {
			bare_publish();
		} else if (what < 80) {
			deliver((size_t)rng_below(&rng, 12));
		} else if (what < 86) {
			now_ms += 1000;
			fanout_tick(bare.node->fanout, now_ms);
			loop_turn(bare.node->loop, 0);
			loop_turn(bare.node->loop, 0);
		} else if (what < 92) {
			watch((unsigned)rng_below(&rng, NAMES), rng_below(&rng, 2) == 0);
		} else if (what < 95) {
			bare_publish();
			reconnect();
		} else if (what == 95) {
			restart();
			bare_publish();
			reconnect();
		} else if (what == 96) {
			change_replica();
			reconnect();
		} else if (what == 97) {
			bare_publish();
			bare_forget(bare.node->state.applied - rng_below(&rng, 20));
		} else {
			bare_publish();
			catch_up();
		}
	}
	bare_publish();
	catch_up();
}

static void test_seeds(void **state)
{
	const char *given = getenv("SEED");
	uint64_t first = given ? strtoull(given, NULL, 10) : 1;

	for (uint64_t seed = first; seed < first + (given ? 1 : 150); seed++) {
		teardown(state);
		setup(state);
		print_message("SEED=%llu\n", (unsigned long long)seed);
		run_seed(seed);
	}
}

static unsigned told;

/* As a watcher that has seen enough; the others it knows of go with it. */
static void on_set_unwatch(struct watch *watch, struct instance_set *set)
{
	struct watch *others = watch->owner;

	assert_non_null(set);
	told++;
	for (unsigned i = 0; i < 3; i++) {
		if (others[i].name) {
			client_view_unwatch(client, &others[i]);
			others[i].name = NULL;
		}
	}
}

/* A watcher may end its own watch and others, of its name or not, from inside. */
static void test_unwatch_inside(void **state)
{
	struct watch some[3];

	(void)state;
	bare_register(2, "s1", 1);
	bare_publish();
	reconnect();
	for (unsigned i = 0; i < 3; i++) {
		some[i] = (struct watch){.kind = WATCH_SERVICE,
			.prefix = i == 2,
			.name = "s1",
			.on_set = on_set_unwatch,
			.on_records = on_records,
			.owner = some};
		assert_int_equal(client_view_watch(client, &some[i]), 0);
	}
	told = 0;
	deliver(BARE_FRAMES);
	for (int i = 0; i < 4; i++) {
		loop_turn(bare.node->loop, 0);
	}
	assert_int_equal(told, 1);
	assert_true(list_empty(&client->subs));
	catch_up();
}

/* MA-04: names come from requests. Those that no service has are forgotten with their last watch.
 */
static void test_names_that_come_and_go(void **state)
{
	char name[16];
	struct watch one;

	(void)state;
	bare_register(2, "s1", 1);
	bare_publish();
	watch(0, true);
	reconnect();
	catch_up();
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof name, i % 3 ? "unknown%u" : "s%u", i % 3 ? i : 1);
		one = (struct watch){.kind = WATCH_SERVICE,
			.prefix = i % 3 == 2,
			.name = name,
			.on_set = on_set,
			.on_records = on_records};
		assert_int_equal(client_view_watch(client, &one), 0);
		deliver(BARE_FRAMES);
		if (i % 2) {
			loop_turn(bare.node->loop, 0);
		}
		client_view_unwatch(client, &one);
	}
	assert_int_equal(client->sets.count, 1);
	catch_up();
	watch(0, false);
	assert_int_equal(client->sets.count, 1); /* s1 may be wanted again */
}

static struct client_set *copy_of(const char *name)
{
	return client_view_set(client, name[0] == '/', slice_from_string(name));
}

/* RW-03, RW-01: two replicas publish the same entries in different turns; the cursor of the one
 * lies inside a delta of the other. */
static void test_a_delta_that_began_earlier(void **state)
{
	(void)state;
	bare_record("/x1", "a", 5, false);
	bare_publish();
	watch(6, true);
	reconnect();
	catch_up();
	disconnect();
	/* What the first replica sent before it went: the state of the index in between. */
	bare_record("/x1", "b", 5, false);
	{
		const struct state_set *set = state_set(&bare.node->state, true, SLICE("/x1"));
		struct packet frame = {.kind = PACKET_DELTA,
			.name = set->name,
			.flags = PACKET_RECORDS,
			.from = set->published,
			.index = set->modified,
			.digest = set->digest};
		struct item item;
		struct buf bytes;

		buf_init(&bytes);
		packet_encode(&frame, &bytes);
		state_member_item(state_member(set, SLICE("b")), &item);
		packet_put_item(&bytes, &item);
		assert_int_equal(packet_decode(buf_slice(&bytes), &frame), 0);
		client->greeted = true;
		client_view_frame(client, &frame);
		client->greeted = false;
		buf_fini(&bytes);
		LIST_ENTRY(client->subs.next, struct client_sub, node)->cursor = frame.index;
	}
	assert_int_equal(copy_of("/x1")->members.count, 2);
	bare_record("/x1", "a", 5, true);
	bare_publish();
	reconnect();
	assert_string_equal(bare_kinds(slot), "BDE");
	assert_true(bare_frame(slot, 1).from < copy_of("/x1")->modified);
	catch_up();
	assert_int_equal(copy_of("/x1")->members.count, 1);
}

/* RW-05, RW-07: a view that lacks something is noticed at the next bookmark, and read again. */
static void test_a_lost_delta(void **state)
{
	(void)state;
	bare_record("/x1", "a", 5, false);
	bare_record("/x2", "a", 5, false);
	bare_publish();
	watch(8, true);
	watch(0, true);
	reconnect();
	catch_up();
	bare_record("/x2", "a", 6, false);
	bare_publish();
	assert_string_equal(bare_kinds(slot), "D");
	bare_take(slot); /* nobody saw it */
	now_ms += 1000;
	fanout_tick(bare.node->fanout, now_ms);
	loop_turn(bare.node->loop, 0);
	loop_turn(bare.node->loop, 0);
	may_doubt = true;
	deliver(1);
	assert_true(LIST_ENTRY(client->subs.next, struct client_sub, node)->doubted);
	assert_int_equal(LIST_ENTRY(client->subs.next, struct client_sub, node)->cursor, 0);
	catch_up();
	assert_true(slice_equal(
		((struct client_member *)map_get(&copy_of("/x2")->members, SLICE("a")))->content,
		state_member(state_set(&bare.node->state, true, SLICE("/x2")), SLICE("a"))
			->content));
}

/* RV-05: a whole set that is not what its digest says is not taken. */
static void test_a_wrong_set(void **state)
{
	struct packet frame;

	(void)state;
	bare_record("/x1", "a", 5, false);
	bare_publish();
	watch(6, true);
	reconnect();
	catch_up();
	frame = (struct packet){.kind = PACKET_SET,
		.name = SLICE("/x1"),
		.flags = PACKET_RECORDS | PACKET_ABSENT,
		.index = bare.node->state.applied + 1,
		.digest = 99};
	may_doubt = true;
	client_view_frame(client, &frame);
	assert_int_equal(copy_of("/x1")->members.count, 1);
	frame = (struct packet){.kind = PACKET_END,
		.number = LIST_ENTRY(client->subs.next, struct client_sub, node)->number,
		.flags = PACKET_DIGEST,
		.index = bare.node->state.applied,
		.digest = 99};
	client_view_frame(client, &frame);
	assert_true(LIST_ENTRY(client->subs.next, struct client_sub, node)->doubted);
	catch_up();
}

/* RW-08: told to come again, and does. */
static void test_retry_later(void **state)
{
	struct packet busy = {
		.kind = PACKET_ANSWER, .code = CODE_RETRY_LATER, .retry_after_ms = 10};
	struct client_sub *sub;

	(void)state;
	watch(0, true);
	reconnect();
	sub = LIST_ENTRY(client->subs.next, struct client_sub, node);
	bare_close(slot); /* it never got there */
	slot++;
	bare_open(slot, DOOR_SESSION);
	busy.number = sub->number + 1;
	assert_false(client_sub_answered(client, &busy));
	busy.number = sub->number;
	assert_true(client_sub_answered(client, &busy));
	assert_false(sub->sent);
	client_view_tick(client, now_ms);
	assert_int_equal(bare.streams[slot].count, 0);
	now_ms += 10 + 100 + 2000; /* ttl/3 */
	client_view_tick(client, now_ms);
	assert_string_equal(bare_kinds(slot), "BE");
	assert_int_not_equal(sub->number, busy.number);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_delta_that_began_earlier, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_lost_delta, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_wrong_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_retry_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_seeds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unwatch_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_that_come_and_go, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
