/* Faults and operators: partitions, crashes, pauses, clocks, membership, transfers; and the peace
 * at the end. */
#include <string.h>

#include "tests/sim/raft/sim.h"

#define U(x) ((unsigned long long)(x))

static struct sim_replica *draw_replica(struct sim_world *world)
{
	return &world->replicas[1 + sim_below(world, world->replica_count)];
}

static struct sim_replica *draw_leader(struct sim_world *world)
{
	struct sim_replica *leader = NULL;

	for (uint64_t id = 1; id <= world->replica_count; id++) {
		struct sim_replica *replica = &world->replicas[id];

		if (replica->alive && replica->seen_role == RAFT_LEADER &&
			replica->paused_until_us <= world->now_us &&
			(leader == NULL || sim_chance(world, 500))) {
			leader = replica;
		}
	}
	return leader;
}

void sim_kill(struct sim_replica *replica)
{
	sim_say(replica->world, "%llu: killed", U(replica->id));
	replica->world->kills++;
	replica->driver->kill(replica);
}

static void schedule_start(struct sim_replica *replica, uint64_t delay_us)
{
	sim_schedule(replica->world, (struct sim_event){.kind = SIM_START, .replica = replica->id},
		delay_us);
}

/* Symmetric, one-way, bridging, or one replica alone. */
static void partition(struct sim_world *world)
{
	uint64_t kind = sim_below(world, 4), bridge = 1 + sim_below(world, world->replica_count);
	uint64_t side = sim_random(world);

	memset(world->blocked, 0, sizeof(world->blocked));
	if (kind == 3) {
		side = 1u << bridge;
		bridge = 0;
	}
	for (uint64_t a = 1; a <= world->replica_count; a++) {
		for (uint64_t b = 1; b <= world->replica_count; b++) {
			bool left = (side >> a) & 1, right = (side >> b) & 1;
			bool bridged = kind == 2 && (a == bridge || b == bridge);

			world->blocked[a][b] =
				left != right && !bridged && (kind != 1 || (left && !right));
		}
	}
	sim_say(world, "partition kind %llu side %llx", U(kind), U(side & 0xffffff));
}

/* A durable tail is lost and known to be lost (RI-06): never two at a time, so that a good copy of
 * everything committed remains. */
static void cut_tail(struct sim_world *world, struct sim_replica *replica)
{
	struct sim_disk *disk = &replica->disk;
	uint64_t count = 1 + sim_below(world, 6);

	if (replica->conf.voters.count < 3 || member_conf_is_joint(&replica->conf)) {
		return;
	}
	for (uint64_t id = 1; id <= world->replica_count; id++) {
		struct raft_status status;

		if (world->replicas[id].disk.hard.uncertain) {
			return;
		}
		/* A learner, too, is no sure copy while it catches up. */
		if (world->replicas[id].alive) {
			raft_status_get(world->replicas[id].raft, &status);
			if (status.uncertain) {
				return;
			}
		}
	}
	world->oracle.cut = true;
	world->cuts++;
	while (count-- > 0 && disk->entry_count > 0 &&
		disk->before_index + disk->entry_count > disk->snapshot.index) {
		raft_entry_unref(&disk->entries[--disk->entry_count]);
	}
	if (disk->commit_hint > disk->before_index + disk->entry_count) {
		disk->commit_hint = disk->before_index + disk->entry_count;
	}
	disk->hard.uncertain = true;
	sim_say(world, "%llu: tail cut to %llu", U(replica->id),
		U(disk->before_index + disk->entry_count));
}

static void crash(struct sim_world *world)
{
	struct sim_replica *replica = draw_replica(world);
	uint64_t many = sim_chance(world, 150) ? world->replica_count : 1;

	for (uint64_t i = 0; i < many; i++) {
		if (replica->alive && (i == 0 || sim_chance(world, 700))) {
			sim_kill(replica);
			if (many == 1 && sim_chance(world, world->rates.cuts)) {
				cut_tail(world, replica);
			}
			schedule_start(replica, 1000 + sim_below(world, 2500000));
		}
		replica = &world->replicas[1 + replica->id % world->replica_count];
	}
}

static void pause_one(struct sim_world *world)
{
	struct sim_replica *replica = draw_replica(world);

	if (sim_chance(world, 500)) {
		sim_set_rate(replica, 500 + sim_below(world, 1501));
		return;
	}
	replica->paused_until_us = world->now_us + sim_below(world, 1500000);
	sim_say(world, "%llu: paused", U(replica->id));
}

/* A draw of operations over the ids there are, with a new replica now and then. */
static struct raft_change draw_change(struct sim_world *world, const struct raft_conf *conf)
{
	struct raft_change change = {.transition = RAFT_TRANSITION_AUTO};
	struct raft_ids all;

	if (member_conf_is_joint(conf)) {
		return change;
	}
	member_conf_all(conf, &all);
	change.operation_count = 1;
	if (sim_chance(world, 500)) {
		change.operation_count = 1 + (uint32_t)sim_below(world, 3);
		change.transition = (enum raft_transition)sim_below(world, 3);
	}
	for (uint32_t i = 0; i < change.operation_count; i++) {
		struct raft_operation *operation = &change.operations[i];
		uint64_t existing = all.ids[sim_below(world, all.count)];
		bool small = conf->voters.count < 3 || all.count < 3;

		operation->kind = (enum raft_operation_kind)(1 + sim_below(world, 4));
		operation->id = existing;
		if ((operation->kind <= RAFT_ADD_LEARNER && sim_chance(world, 300)) ||
			(small && operation->kind == RAFT_REMOVE)) {
			struct sim_replica *fresh = sim_new_replica(world);

			operation->kind =
				operation->kind == RAFT_REMOVE ? RAFT_ADD_VOTER : operation->kind;
			if (fresh != NULL) {
				operation->id = fresh->id;
				schedule_start(fresh, sim_below(world, 100000));
			}
		}
	}
	return change;
}

static void change_membership(struct sim_world *world)
{
	struct sim_replica *leader = draw_leader(world);
	struct raft_event event = {.kind = RAFT_CHANGE};

	if (leader == NULL) {
		return;
	}
	event.u.change = draw_change(world, &leader->conf);
	if (leader->driver->step(leader, &event) == RAFT_OK) {
		world->changes_done++;
		sim_say(world, "%llu: membership change, %u operations", U(leader->id),
			event.u.change.operation_count);
	}
}

/* What operators and transports say: transfer, campaign, forget, unreachable; and, in an eighth of
 * the runs, that entries were lost, which must do no harm where it is not true. */
static void hint(struct sim_world *world)
{
	struct sim_replica *replica = draw_replica(world);
	uint64_t peer = draw_replica(world)->id;
	struct raft_event event = {.kind = RAFT_CAMPAIGN};

	if (sim_chance(world, 500)) {
		replica = draw_leader(world);
	}
	if (replica == NULL || !replica->alive || replica->paused_until_us > world->now_us) {
		return;
	}
	switch (sim_below(world, 5)) {
	case 0:
	case 1:
		event.kind = RAFT_TRANSFER;
		event.u.transfer.peer = peer;
		break;
	case 2:
		event.kind = RAFT_FORGET_LEADER;
		break;
	case 3:
		event.kind = RAFT_UNREACHABLE;
		event.u.unreachable.peer = peer;
		break;
	default:
		if (world->seed % 8 == 7) {
			event.kind = RAFT_LOST_ENTRIES;
		}
		break;
	}
	replica->driver->step(replica, &event);
}

/* Figure 8 weather: each link by itself, and leaders that fall with their entries half sent. */
static void storm(struct sim_world *world)
{
	struct sim_replica *leader = draw_leader(world);
	uint32_t cut = (uint32_t)sim_below(world, 700);

	for (uint64_t a = 1; a <= world->replica_count; a++) {
		for (uint64_t b = 1; b <= world->replica_count; b++) {
			world->blocked[a][b] = sim_chance(world, cut);
		}
	}
	if (leader != NULL && sim_chance(world, 300)) {
		sim_kill(leader);
		schedule_start(leader, 1000 + sim_below(world, 600000));
	}
}

void sim_nemesis(struct sim_world *world)
{
	const struct sim_rates *rates = &world->rates;

	if (world->calm) {
		return;
	}
	sim_schedule(world, (struct sim_event){.kind = SIM_NEMESIS},
		1 + sim_below(world, 2 * (uint64_t)rates->nemesis_us));
	if (sim_chance(world, 10)) {
		sim_draw_rates(world);
	}
	if (rates->storm) {
		storm(world);
	} else if (sim_chance(world, rates->partitions)) {
		partition(world);
	} else if (sim_chance(world, 400)) {
		memset(world->blocked, 0, sizeof(world->blocked));
	}
	if (sim_chance(world, rates->kills)) {
		crash(world);
	}
	if (sim_chance(world, rates->pauses)) {
		pause_one(world);
	}
	if (sim_chance(world, rates->changes)) {
		change_membership(world);
	}
	if (sim_chance(world, rates->hints)) {
		hint(world);
	}
}

/* Whether `conf` has a quorum of replicas that are not frozen. */
static bool has_quorum(const struct sim_world *world, const struct raft_ids *voters)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < voters->count; i++) {
		count += !world->replicas[voters->ids[i]].frozen;
	}
	return voters->count == 0 || count >= voters->count / 2 + 1;
}

/* Freezing is fair only when everybody counts by the same configuration, knows no other to come,
 * and nobody's vote is uncertain. */
static bool may_freeze(struct sim_world *world)
{
	const struct raft_conf *conf = NULL;

	for (uint64_t id = 1; id <= world->replica_count; id++) {
		struct sim_replica *replica = &world->replicas[id];
		struct raft_status status;

		raft_status_get(replica->raft, &status);
		if (status.peer_count == 0) {
			continue;
		}
		if (status.uncertain ||
			(conf != NULL && !member_conf_equal(conf, &replica->conf))) {
			return false;
		}
		conf = &replica->conf;
		for (uint64_t i = status.applied_index + 1; i <= status.last_index; i++) {
			if (raft_entry_at(replica->raft, i)->kind == RAFT_ENTRY_CONF) {
				return false;
			}
		}
	}
	return true;
}

void sim_calm_down(struct sim_world *world)
{
	world->calm = true;
	sim_say(world, "calm");
	memset(world->blocked, 0, sizeof(world->blocked));
	for (uint64_t id = 1; id <= world->replica_count; id++) {
		struct sim_replica *replica = &world->replicas[id];

		replica->paused_until_us = 0;
		sim_set_rate(replica, 1000);
		if (!replica->alive) {
			replica->driver->start(replica);
		} else {
			/* Deadlines were armed for the old rate: let one expire now. */
			struct raft_event deadline = {.kind = RAFT_DEADLINE};

			replica->driver->step(replica, &deadline);
		}
	}
	if (!may_freeze(world)) {
		return;
	}
	for (uint64_t id = 1; id <= world->replica_count; id++) {
		struct sim_replica *replica = &world->replicas[id];
		bool alive = !member_conf_has(&replica->conf, id);

		if (sim_chance(world, 500)) {
			continue;
		}
		replica->frozen = true;
		for (uint64_t other = 1; other <= world->replica_count; other++) {
			const struct raft_conf *conf = &world->replicas[other].conf;

			alive = alive || !has_quorum(world, &conf->voters) ||
				!has_quorum(world, &conf->outgoing);
		}
		replica->frozen = !alive;
	}
}
