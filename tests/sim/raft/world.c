/* The world: seed, clock, event heap, options, the two phases of a run. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/raft/sim.h"

uint64_t sim_random(struct sim_world *world)
{
	uint64_t *s = world->random, x = s[1] * 5, t = s[1] << 17;
	uint64_t result = ((x << 7) | (x >> 57)) * 9;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return result;
}

uint64_t sim_below(struct sim_world *world, uint64_t bound)
{
	return bound > 0 ? sim_random(world) % bound : 0;
}

bool sim_chance(struct sim_world *world, uint32_t per_mille)
{
	return sim_below(world, 1000) < per_mille;
}

void *sim_grow(void *memory, size_t *capacity, size_t count, size_t size)
{
	if (count <= *capacity) {
		return memory;
	}
	size_t next = *capacity * 2 > count ? *capacity * 2 : count;

	memory = realloc(memory, next * size);
	if (memory == NULL) {
		abort();
	}
	memset((char *)memory + *capacity * size, 0, (next - *capacity) * size);
	*capacity = next;
	return memory;
}

/* The trace hash: everything that happened, in order. */
void sim_mix(struct sim_world *world, uint64_t value)
{
	uint64_t z = (world->trace_hash ^ value) + 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	world->trace_hash = z ^ (z >> 31);
}

void sim_say(const struct sim_world *world, const char *format, ...)
{
	va_list args;

	if (!world->tracing) {
		return;
	}
	printf("%10llu.%03llu ", (unsigned long long)(world->now_us / 1000),
		(unsigned long long)(world->now_us % 1000));
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void sim_fail(const struct sim_world *world, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr,
		"FAIL seed %llu step %llu time %llu.%03llu ms: ", (unsigned long long)world->seed,
		(unsigned long long)world->steps, (unsigned long long)(world->now_us / 1000),
		(unsigned long long)(world->now_us % 1000));
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nsee it again: raft-sim --seed %llu --steps %llu --trace\n",
		(unsigned long long)world->seed, (unsigned long long)world->steps_max);
	exit(1);
}

/* Events: a binary heap by (time, order of scheduling) */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_schedule(struct sim_world *world, struct sim_event event, uint64_t delay_us)
{
	size_t place = world->heap_count++;

	world->heap = sim_grow(
		world->heap, &world->heap_capacity, world->heap_count, sizeof(*world->heap));
	event.at_us = world->now_us + delay_us;
	event.order = world->order++;
	while (place > 0 && is_before(&event, &world->heap[(place - 1) / 2])) {
		world->heap[place] = world->heap[(place - 1) / 2];
		place = (place - 1) / 2;
	}
	world->heap[place] = event;
}

static struct sim_event pop_event(struct sim_world *world)
{
	struct sim_event first = world->heap[0], last = world->heap[--world->heap_count];
	size_t place = 0;

	for (;;) {
		size_t child = 2 * place + 1;

		if (child >= world->heap_count) {
			break;
		}
		if (child + 1 < world->heap_count &&
			is_before(&world->heap[child + 1], &world->heap[child])) {
			child++;
		}
		if (!is_before(&world->heap[child], &last)) {
			break;
		}
		world->heap[place] = world->heap[child];
		place = child;
	}
	world->heap[place] = last;
	return first;
}

/* Clocks */

static uint64_t local_us(const struct sim_replica *replica)
{
	return replica->local_base_us +
	       (replica->world->now_us - replica->base_us) * replica->rate / 1000;
}

uint64_t sim_local_ms(const struct sim_replica *replica)
{
	return local_us(replica) / 1000;
}

void sim_set_rate(struct sim_replica *replica, uint64_t rate)
{
	replica->local_base_us = local_us(replica);
	replica->base_us = replica->world->now_us;
	replica->rate = rate;
}

void sim_arm(struct sim_replica *replica, uint64_t deadline_ms)
{
	struct sim_world *world = replica->world;
	uint64_t now_us = local_us(replica), delay_us = 0;

	replica->timer_generation++;
	if (deadline_ms == UINT64_MAX) {
		return;
	}
	if (deadline_ms * 1000 > now_us) {
		delay_us = (deadline_ms * 1000 - now_us) * 1000 / replica->rate + 1;
	}
	sim_schedule(world,
		(struct sim_event){.kind = SIM_TIMER,
			.replica = replica->id,
			.boot = replica->boot,
			.value = replica->timer_generation},
		delay_us);
}

/* Options from the seed */

struct sim_replica *sim_new_replica(struct sim_world *world)
{
	if (world->replica_count == SIM_REPLICAS_MAX) {
		return NULL;
	}
	struct sim_replica *replica = &world->replicas[++world->replica_count];

	replica->world = world;
	replica->driver = &sim_driver_memory;
	replica->id = world->replica_count;
	replica->exists = true;
	replica->base_us = world->now_us;
	replica->local_base_us = 1000000 + sim_below(world, 100000000);
	replica->rate = sim_chance(world, 300) ? 500 + sim_below(world, 1501) : 1000;
	return replica;
}

/* A cluster begins either as a snapshot that names all voters, or, for one voter, as the entry that
 * `raft init` writes. */
static void create_cluster(struct sim_world *world)
{
	static const uint64_t sizes[] = {1, 2, 3, 3, 3, 3, 4, 5, 5, 7};
	uint64_t count = sizes[sim_below(world, sizeof(sizes) / sizeof(sizes[0]))];
	struct raft_snapshot first = {.index = 1, .term = 1, .file = 1};
	bool genesis = count == 1 && sim_chance(world, 500);

	for (uint64_t id = 1; id <= count; id++) {
		sim_new_replica(world);
		member_ids_add(&first.conf.voters, id);
	}
	for (uint64_t id = 1; id <= count; id++) {
		struct sim_disk *disk = &world->replicas[id].disk;

		disk->hard.term = 1;
		disk->commit_hint = 1;
		if (genesis) {
			struct raft_change change = {
				.operation_count = 1, .operations = {{RAFT_ADD_VOTER, 1}}};

			disk->entries =
				sim_grow(NULL, &disk->entry_capacity, 1, sizeof(*disk->entries));
			disk->entries[disk->entry_count++] = (struct raft_entry){.index = 1,
				.term = 1,
				.kind = RAFT_ENTRY_CONF,
				.payload = member_change_encode(&change)};
		} else {
			disk->snapshot = first;
			disk->before_index = 1;
			disk->before_term = 1;
		}
		sim_schedule(world, (struct sim_event){.kind = SIM_START, .replica = id},
			sim_below(world, 300000));
	}
}

struct sim_world *sim_create(uint64_t seed, uint64_t steps_max, bool tracing)
{
	struct sim_world *world = calloc(1, sizeof(*world));
	static const uint32_t windows[] = {1, 2, 4, 16, 128};

	if (world == NULL) {
		abort();
	}
	world->seed = seed;
	world->steps_max = steps_max;
	world->tracing = tracing;
	for (uint64_t i = 0; i < 4; i++) {
		world->trace_hash = seed;
		sim_mix(world, i + 1);
		world->random[i] = world->trace_hash;
	}
	world->trace_hash = seed;
	world->now_us = 1000000;
	world->options = (struct raft_options){.election_ms = 250,
		.heartbeat_ms = 50,
		.append_bytes_max = 16u << sim_below(world, 10),
		.inflight_messages_max = windows[sim_below(world, 5)],
		.inflight_bytes_max = 64u << sim_below(world, 12),
		.uncommitted_bytes_max = 256u << sim_below(world, 12)};
	sim_draw_rates(world);
	/* Figure 8 needs old entries to be acknowledged apart from the new leader's own. */
	if (world->rates.storm && sim_chance(world, 600)) {
		world->options.append_bytes_max = 16;
	}
	create_cluster(world);
	sim_schedule(world, (struct sim_event){.kind = SIM_CLIENT}, 1000);
	sim_schedule(world, (struct sim_event){.kind = SIM_NEMESIS}, 500000);
	return world;
}

void sim_destroy(struct sim_world *world)
{
	for (uint64_t id = 1; id <= world->replica_count; id++) {
		struct sim_replica *replica = &world->replicas[id];

		if (replica->alive) {
			replica->driver->kill(replica);
		}
		for (size_t i = 0; i < replica->disk.entry_count; i++) {
			raft_entry_unref(&replica->disk.entries[i]);
		}
		free(replica->disk.entries);
		free(replica->queue);
		free(replica->held);
	}
	while (world->heap_count > 0) {
		struct sim_event event = pop_event(world);

		sim_message_free(event.message);
	}
	free(world->heap);
	oracle_fini(&world->oracle);
	free(world);
}

/* Running */

/* False: the event is for a former life, or waits until the replica goes on. */
static bool is_due(struct sim_world *world, struct sim_event *event)
{
	struct sim_replica *replica = &world->replicas[event->replica];

	if (event->replica == 0 || event->kind == SIM_START) {
		return true;
	}
	if (replica->frozen || !replica->alive ||
		(event->boot != 0 && event->boot != replica->boot)) {
		sim_message_free(event->message);
		return false;
	}
	if (replica->paused_until_us > world->now_us) {
		uint64_t delay_us = replica->paused_until_us - world->now_us;

		/* What waited in the sockets is read one after the other, in between others come.
		 */
		if (event->kind == SIM_DELIVER) {
			delay_us += sim_below(world, 40000);
		}
		sim_schedule(world, *event, delay_us);
		return false;
	}
	return true;
}

static void handle(struct sim_world *world, struct sim_event *event)
{
	struct sim_replica *replica = &world->replicas[event->replica];
	struct raft_event deadline = {.kind = RAFT_DEADLINE};

	switch (event->kind) {
	case SIM_TIMER:
		if (event->value == replica->timer_generation) {
			replica->driver->step(replica, &deadline);
		}
		break;
	case SIM_DELIVER:
		sim_deliver(world, event);
		break;
	case SIM_DISK:
		replica->driver->disk_done(replica);
		break;
	case SIM_APPLY:
		replica->driver->apply(replica);
		break;
	case SIM_SNAPSHOT_WRITTEN:
		replica->driver->snapshot_done(replica);
		break;
	case SIM_TRANSFER_ENDED:
		sim_transfer_ended(world, event);
		break;
	case SIM_START:
		if (!replica->alive && !replica->frozen) {
			replica->driver->start(replica);
		}
		break;
	case SIM_CLIENT:
		sim_client(world);
		break;
	case SIM_NEMESIS:
		sim_nemesis(world);
		break;
	}
}

static void run_next(struct sim_world *world)
{
	struct sim_event event = pop_event(world);

	world->now_us = event.at_us;
	if (!is_due(world, &event)) {
		return;
	}
	sim_mix(world, event.at_us);
	sim_mix(world, ((uint64_t)event.kind << 8) | event.replica);
	handle(world, &event);
}

static void run_until(struct sim_world *world, uint64_t until_us)
{
	while (world->heap_count > 0 && world->heap[0].at_us <= until_us) {
		run_next(world);
	}
	world->now_us = until_us;
}

static struct sim_replica *find_leader(struct sim_world *world)
{
	struct sim_replica *leader = NULL;

	for (uint64_t id = 1; id <= world->replica_count; id++) {
		struct sim_replica *replica = &world->replicas[id];

		if (replica->alive && !replica->frozen && replica->seen_role == RAFT_LEADER &&
			(leader == NULL || replica->seen_term > leader->seen_term)) {
			leader = replica;
		}
	}
	return leader;
}

/* Whether every replica of the leader's configuration has applied `index`, and is certain (RI-06).
 */
static bool is_caught_up(struct sim_world *world, struct sim_replica *leader, uint64_t index)
{
	for (uint64_t id = 1; id <= world->replica_count; id++) {
		struct sim_replica *replica = &world->replicas[id];

		if (replica->alive && !replica->frozen && member_conf_has(&leader->conf, id) &&
			(replica->applied < index || replica->disk.hard.uncertain)) {
			return false;
		}
	}
	return true;
}

/* SIM-07: with a quorum that hears each other, a leader, commits, answers, and then rest. The
 * leader has 20 E; the rest has longer, for a run may leave a backlog of thousands of entries to a
 * window of one small message. */
static void check_liveness(struct sim_world *world)
{
	uint64_t election_us = (uint64_t)world->options.election_ms * 1000;

	sim_calm_down(world);
	run_until(world, world->now_us + 20 * election_us);
	struct sim_replica *leader = find_leader(world);

	if (leader == NULL) {
		sim_fail(world, "liveness: no leader 20 E after the faults ended");
	}
	uint64_t changes = world->leader_changes, acked = world->oracle.acked_max;
	uint64_t reads = world->reads_done, limit_us = world->now_us + 400 * election_us;
	bool proposed = false, caught_up = false;

	for (uint64_t id = 1; id <= world->replica_count; id++) {
		if (world->replicas[id].alive && !world->replicas[id].frozen) {
			sim_read_once(&world->replicas[id]);
		}
	}
	while (world->now_us < limit_us && !caught_up) {
		/* Refused as long as too much is uncommitted. */
		proposed = proposed || sim_propose(leader);
		run_until(world, world->now_us + 10 * election_us);
		caught_up = proposed && world->oracle.acked_max > acked &&
			    world->reads_done > reads &&
			    is_caught_up(world, leader, world->oracle.acked_max);
	}
	if (!caught_up) {
		sim_fail(world, "liveness: proposed %d, acked %llu of more than %llu, reads %llu",
			proposed, (unsigned long long)world->oracle.acked_max,
			(unsigned long long)acked, (unsigned long long)(world->reads_done - reads));
	}
	if (world->leader_changes != changes) {
		sim_fail(world, "liveness: leadership moved while all was well");
	}
}

void sim_run(struct sim_world *world)
{
	while (world->steps < world->steps_max) {
		run_next(world);
	}
	check_liveness(world);
}
