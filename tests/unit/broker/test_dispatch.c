/* dispatch: which member gets the next message (B10-03). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/lane.h"

#define NOW   1000
#define LANES 4

struct rig {
	struct desk desk;
	struct topic topic;
	struct group group;
	struct lane lanes[LANES];
};

/* All ready, none busy, in no zone. */
static void rig_init(struct rig *rig, unsigned count)
{
	memset(rig, 0, sizeof *rig);
	rng_seed(&rig->desk.rng, 11);
	rig->topic.desk = &rig->desk;
	rig->group.topic = &rig->topic;
	list_init(&rig->group.lanes);
	for (unsigned i = 0; i < count; i++) {
		struct lane *lane = &rig->lanes[i];

		*lane = (struct lane){.group = &rig->group,
			.local = true,
			.usable = true,
			.state = LANE_OPEN,
			.limit = 100,
			.weight = 100};
		list_push_back(&rig->group.lanes, &lane->node);
	}
}

static void draw(struct rig *rig, unsigned ret_counts[LANES])
{
	memset(ret_counts, 0, LANES * sizeof *ret_counts);
	for (unsigned i = 0; i < 400; i++) {
		struct lane *lane = dispatch_choose(&rig->group, NOW);

		assert_non_null(lane);
		ret_counts[lane - rig->lanes]++;
	}
}

static void set_near(struct rig *rig, unsigned index)
{
	rig->lanes[index].near = true;
	rig->group.near_lanes++;
}

static void test_all_equal(void **state)
{
	struct rig rig;
	unsigned counts[LANES];

	(void)state;
	rig_init(&rig, LANES);
	draw(&rig, counts);
	for (unsigned i = 0; i < LANES; i++) {
		assert_in_range(counts[i], 40, 200);
	}
}

static void test_own_zone(void **state)
{
	struct rig rig;
	unsigned counts[LANES];

	(void)state;
	rig_init(&rig, LANES);
	set_near(&rig, 1);
	set_near(&rig, 2);
	rig.lanes[1].outstanding = rig.lanes[2].outstanding = 50;
	draw(&rig, counts);
	assert_int_equal(counts[0] + counts[3], 0); /* however busy */
	assert_true(counts[1] > 100 && counts[2] > 100);
	rig.lanes[1].used = rig.lanes[1].limit;
	draw(&rig, counts);
	assert_int_equal(counts[2], 400);
	rig.lanes[2].hold_until_ms = NOW + 1; /* cooling */
	draw(&rig, counts);
	assert_true(counts[0] > 100 && counts[3] > 100);
	assert_int_equal(counts[1] + counts[2], 0);
}

static void test_weights(void **state)
{
	struct rig rig;
	unsigned counts[LANES];

	(void)state;
	rig_init(&rig, 2);
	rig.lanes[0].outstanding = 10;
	rig.lanes[1].outstanding = 4;
	draw(&rig, counts);
	assert_int_equal(counts[1], 400);
	rig.lanes[1].weight = 10; /* 4 of 10 is more than 10 of 100 */
	draw(&rig, counts);
	assert_int_equal(counts[0], 400);
}

static void test_nobody(void **state)
{
	struct rig rig;

	(void)state;
	rig_init(&rig, 1);
	rig.lanes[0].window = 1; /* B10-08: one at a time after a pause */
	assert_non_null(dispatch_choose(&rig.group, NOW));
	rig.lanes[0].outstanding = 1;
	assert_null(dispatch_choose(&rig.group, NOW));
	rig_init(&rig, 1);
	rig.lanes[0].usable = false;
	assert_null(dispatch_choose(&rig.group, NOW));
	rig_init(&rig, 0);
	assert_null(dispatch_choose(&rig.group, NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_equal),
		cmocka_unit_test(test_own_zone),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
