/* Clients: propose and read, at whatever replica, and check what comes back. */
#include <string.h>

#include "tests/sim/raft/sim.h"

#define U(x) ((unsigned long long)(x))

static bool is_reachable(const struct sim_replica *replica)
{
	return replica->alive && !replica->frozen &&
	       replica->paused_until_us <= replica->world->now_us;
}

/* Up to eight payloads at once, some empty, a few bytes to a few hundred. */
bool sim_propose(struct sim_replica *replica)
{
	struct sim_world *world = replica->world;
	struct raft_payload *payloads[8];
	struct raft_event propose = {.kind = RAFT_PROPOSE};
	size_t count = 1 + (size_t)(sim_chance(world, 200) ? sim_below(world, 8) : 0);
	uint32_t room = sim_chance(world, 100) ? 600 : 40;

	for (size_t i = 0; i < count; i++) {
		uint64_t value = ++world->next_value;
		uint32_t length = 8 + (uint32_t)sim_below(world, room);

		payloads[i] = NULL;
		if (!sim_chance(world, 50)) {
			payloads[i] = raft_payload_create(NULL, length);
			memset(payloads[i]->bytes, (int)(value & 0xff), length);
			memcpy(payloads[i]->bytes, &value, sizeof(value));
		}
	}
	propose.u.propose.payloads = payloads;
	propose.u.propose.count = count;
	enum raft_refusal refusal = replica->driver->step(replica, &propose);

	for (size_t i = 0; i < count; i++) {
		raft_payload_unref(payloads[i]);
	}
	return refusal == RAFT_OK;
}

bool sim_read_once(struct sim_replica *replica)
{
	struct sim_world *world = replica->world;
	struct raft_event event = {.kind = RAFT_READ};
	uint64_t cookie = ++world->next_cookie;
	struct sim_read *read = &replica->reads[cookie % SIM_READS_MAX];

	if (read->open) {
		return false;
	}
	*read = (struct sim_read){cookie, world->oracle.acked_max, true};
	event.u.read.cookie = cookie;
	if (replica->driver->step(replica, &event) != RAFT_OK) {
		read->open = false;
		return false;
	}
	return true;
}

/* The oracle for reads: all that was acknowledged before the read began is below its index. */
void sim_read_answered(struct sim_replica *replica, const struct raft_read *answer)
{
	struct sim_read *read = &replica->reads[answer->cookie % SIM_READS_MAX];

	if (!read->open || read->cookie != answer->cookie) {
		sim_fail(replica->world, "replica %llu answers read %llu, which nobody asked",
			U(replica->id), U(answer->cookie));
	}
	read->open = false;
	if (answer->failed) {
		return;
	}
	replica->world->reads_done++;
	if (answer->index < read->least) {
		sim_fail(replica->world,
			"replica %llu: stale read: index %llu, but %llu was acknowledged before",
			U(replica->id), U(answer->index), U(read->least));
	}
}

void sim_client(struct sim_world *world)
{
	if (world->calm) {
		return;
	}
	struct sim_replica *replica = &world->replicas[1 + sim_below(world, world->replica_count)];

	sim_schedule(world, (struct sim_event){.kind = SIM_CLIENT},
		1 + sim_below(world, 2 * (uint64_t)world->rates.client_us));
	/* Mostly to whom believes to lead: there may be two. */
	for (uint64_t id = 1; id <= world->replica_count; id++) {
		struct sim_replica *other = &world->replicas[id];

		if (is_reachable(other) && other->seen_role == RAFT_LEADER &&
			!sim_chance(world, 300)) {
			replica = other;
		}
	}
	if (!is_reachable(replica)) {
		return;
	}
	if (sim_chance(world, 500)) {
		sim_read_once(replica);
	} else {
		sim_propose(replica);
	}
}
