#include "net/timer.h"

#include "base/assert.h"
#include "net/loop.h"
#include "net/timer_wheel.h"

#define TIMER_FINE_BITS	  8
#define TIMER_COARSE_BITS 6
/* Longest distance that the wheel can hold. */
#define TIMER_SPAN_MAX                                                                             \
	((UINT64_C(1) << (TIMER_FINE_BITS + TIMER_WHEEL_LEVELS * TIMER_COARSE_BITS)) - 1)

/* Milliseconds per slot of a coarse level, as a shift. */
static unsigned timer_shift(unsigned level)
{
	return TIMER_FINE_BITS + level * TIMER_COARSE_BITS;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
	ASSERT(fire != NULL);
	list_init(&timer->node);
	timer->deadline_ms = 0;
	timer->fire = fire;
}

void timer_cancel(struct timer *timer)
{
	/* The slot's bit stays: the wheel looks into an empty slot once, for nothing. */
	list_unlink(&timer->node);
}

bool timer_armed(const struct timer *timer)
{
	return list_linked(&timer->node);
}

/* Puts an unlinked timer where its deadline belongs, seen from wheel->time_ms. */
static void timer_wheel_place(struct timer_wheel *wheel, struct timer *timer)
{
	uint64_t deadline = timer->deadline_ms;
	uint64_t distance;
	unsigned level = 0;
	size_t slot;

	ASSERT(!list_linked(&timer->node));
	if (deadline < wheel->time_ms) {
		deadline = wheel->time_ms;
	}
	distance = deadline - wheel->time_ms;
	if (distance < TIMER_WHEEL_FINE) {
		slot = (size_t)(deadline % TIMER_WHEEL_FINE);
		list_push_back(&wheel->fine[slot], &timer->node);
		wheel->fine_bits[slot / 64] |= UINT64_C(1) << (slot % 64);
		return;
	}
	if (distance > TIMER_SPAN_MAX) {
		deadline = wheel->time_ms + TIMER_SPAN_MAX;
		distance = TIMER_SPAN_MAX;
	}
	/* The first level whose turn is longer than the distance: the slot begins in the future. */
	while (distance >> timer_shift(level + 1) != 0) {
		level++;
	}
	ASSERT(level < TIMER_WHEEL_LEVELS);
	slot = (size_t)((deadline >> timer_shift(level)) % TIMER_WHEEL_COARSE);
	list_push_back(&wheel->coarse[level][slot], &timer->node);
	wheel->coarse_bits[level] |= UINT64_C(1) << slot;
}

void timer_arm(struct loop *loop, struct timer *timer, uint64_t deadline_ms)
{
	struct timer_wheel *wheel = loop_timers(loop);

	ASSERT(timer->fire != NULL);
	list_unlink(&timer->node);
	timer->deadline_ms = deadline_ms;
	/* What the wheel has passed fires in the next timer stage, also when this is one. */
	if (deadline_ms < wheel->time_ms) {
		list_push_back(&wheel->overdue, &timer->node);
	} else {
		timer_wheel_place(wheel, timer);
	}
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
	*wheel = (struct timer_wheel){.time_ms = now_ms};
	list_init(&wheel->overdue);
	for (size_t i = 0; i < TIMER_WHEEL_FINE; i++) {
		list_init(&wheel->fine[i]);
	}
	for (size_t level = 0; level < TIMER_WHEEL_LEVELS; level++) {
		for (size_t i = 0; i < TIMER_WHEEL_COARSE; i++) {
			list_init(&wheel->coarse[level][i]);
		}
	}
	ASSERT(timer_wheel_empty(wheel));
}

/* Looks into every slot: for assertions and tests, not for each turn. */
bool timer_wheel_empty(const struct timer_wheel *wheel)
{
	bool empty = list_empty(&wheel->overdue);

	for (size_t i = 0; i < TIMER_WHEEL_FINE; i++) {
		empty = empty && list_empty(&wheel->fine[i]);
	}
	for (size_t level = 0; level < TIMER_WHEEL_LEVELS; level++) {
		for (size_t i = 0; i < TIMER_WHEEL_COARSE; i++) {
			empty = empty && list_empty(&wheel->coarse[level][i]);
		}
	}
	return empty;
}

/* Distance from `start` to the next set bit, going round; 64 when there is none. */
static unsigned timer_next_bit(uint64_t bits, unsigned start)
{
	uint64_t turned = start == 0 ? bits : (bits >> start) | (bits << (64 - start));

	ASSERT(start < 64);
	return turned == 0 ? 64 : (unsigned)__builtin_ctzll(turned);
}

static uint64_t timer_next_fine(const struct timer_wheel *wheel)
{
	unsigned start = (unsigned)(wheel->time_ms % TIMER_WHEEL_FINE);

	/* Word by word from the one of `start`, which is looked at again at the end of the turn. */
	for (unsigned i = 0; i <= TIMER_WHEEL_FINE / 64; i++) {
		unsigned word = (start / 64 + i) % (TIMER_WHEEL_FINE / 64);
		uint64_t bits = wheel->fine_bits[word];

		if (i == 0) {
			bits &= ~UINT64_C(0) << (start % 64);
		}
		if (bits != 0) {
			unsigned slot = word * 64 + (unsigned)__builtin_ctzll(bits);

			return wheel->time_ms + (slot - start) % TIMER_WHEEL_FINE;
		}
	}
	return UINT64_MAX;
}

static uint64_t timer_next_coarse(const struct timer_wheel *wheel, unsigned level)
{
	unsigned shift = timer_shift(level);
	uint64_t slot = wheel->time_ms >> shift;
	unsigned distance;

	/* The slot that time stands in has begun and was emptied then, unless it begins now. */
	if (slot << shift != wheel->time_ms) {
		slot++;
	}
	distance = timer_next_bit(wheel->coarse_bits[level], (unsigned)(slot % 64));
	return distance == 64 ? UINT64_MAX : (slot + distance) << shift;
}

/* The earliest time with something in its slot, or with a coarse slot to be emptied. */
static uint64_t timer_next_tick(const struct timer_wheel *wheel)
{
	uint64_t next = timer_next_fine(wheel);

	for (unsigned level = 0; level < TIMER_WHEEL_LEVELS; level++) {
		uint64_t coarse = timer_next_coarse(wheel, level);

		next = coarse < next ? coarse : next;
	}
	return next;
}

uint64_t timer_wheel_next(const struct timer_wheel *wheel)
{
	return list_empty(&wheel->overdue) ? timer_next_tick(wheel) : 0;
}

/* Empties the coarse slots that begin now: their timers move to finer ones. */
static void timer_cascade(struct timer_wheel *wheel)
{
	for (unsigned level = TIMER_WHEEL_LEVELS; level > 0; level--) {
		unsigned shift = timer_shift(level - 1);
		size_t slot = (size_t)((wheel->time_ms >> shift) % TIMER_WHEEL_COARSE);
		struct list_node moving;
		struct list_node *node;

		if (wheel->time_ms % (UINT64_C(1) << shift) != 0) {
			continue;
		}
		list_init(&moving);
		list_move_all(&moving, &wheel->coarse[level - 1][slot]);
		wheel->coarse_bits[level - 1] &= ~(UINT64_C(1) << slot);
		while ((node = list_pop_front(&moving)) != NULL) {
			timer_wheel_place(wheel, LIST_ENTRY(node, struct timer, node));
		}
	}
}

void timer_wheel_run(struct timer_wheel *wheel, uint64_t now_ms)
{
	struct list_node due;
	struct list_node *node;

	list_init(&due);
	list_move_all(&due, &wheel->overdue);
	/* All are gathered before the first fires, so that a callback that arms a timer for the
	 * past cannot keep the loop in this stage. */
	for (uint64_t tick = timer_next_tick(wheel); tick <= now_ms;
		tick = timer_next_tick(wheel)) {
		size_t slot = (size_t)(tick % TIMER_WHEEL_FINE);

		ASSERT(tick >= wheel->time_ms);
		wheel->time_ms = tick;
		timer_cascade(wheel);
		list_move_all(&due, &wheel->fine[slot]);
		wheel->fine_bits[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
		wheel->time_ms = tick + 1;
	}
	if (wheel->time_ms <= now_ms) {
		wheel->time_ms = now_ms + 1;
	}
	/* A callback may cancel any of the others: they are still linked, in `due`. */
	while ((node = list_pop_front(&due)) != NULL) {
		struct timer *timer = LIST_ENTRY(node, struct timer, node);

		timer->fire(timer);
	}
}
