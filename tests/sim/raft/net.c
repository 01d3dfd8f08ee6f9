/* The network between replicas: loses, doubles, delays, reorders, cuts. */
#include <stdlib.h>

#include "tests/sim/raft/sim.h"

struct sim_message *sim_message_copy(const struct raft_message *message)
{
	struct sim_message *copy =
		malloc(sizeof(*copy) + message->entry_count * sizeof(copy->entries[0]));

	if (copy == NULL) {
		abort();
	}
	copy->message = *message;
	copy->boot = 0;
	copy->boot_last = 0;
	for (size_t i = 0; i < message->entry_count; i++) {
		copy->entries[i] = message->entries[i];
		raft_entry_ref(&copy->entries[i]);
	}
	copy->message.entries = message->entry_count > 0 ? copy->entries : NULL;
	if (message->snapshot != NULL) {
		copy->snapshot = *message->snapshot;
		copy->message.snapshot = &copy->snapshot;
	}
	return copy;
}

void sim_message_free(struct sim_message *message)
{
	if (message == NULL) {
		return;
	}
	for (size_t i = 0; i < message->message.entry_count; i++) {
		raft_entry_unref(&message->entries[i]);
	}
	free(message);
}

static uint64_t draw_delay(struct sim_world *world)
{
	uint64_t delay_us = 100 + sim_below(world, world->calm ? 3000 : world->rates.net_us);

	if (!world->calm && sim_chance(world, world->rates.slow)) {
		delay_us += sim_below(world, world->rates.slow_us);
	}
	return delay_us;
}

static void schedule_delivery(struct sim_world *world, struct sim_message *message)
{
	sim_schedule(world,
		(struct sim_event){
			.kind = SIM_DELIVER, .replica = message->message.to, .message = message},
		draw_delay(world));
}

/* The driver of the sender hears how a snapshot's transfer ended, a moment later. */
static void end_transfer(struct sim_replica *from, uint64_t to, bool ok)
{
	sim_schedule(from->world,
		(struct sim_event){.kind = SIM_TRANSFER_ENDED,
			.replica = from->id,
			.boot = from->boot,
			.value = to,
			.ok = ok},
		1000 + 2 * draw_delay(from->world));
}

void sim_send(struct sim_replica *from, struct sim_message *message)
{
	struct sim_world *world = from->world;
	uint64_t to = message->message.to;
	bool lost = world->blocked[from->id][to] ||
		    (!world->calm && sim_chance(world, world->rates.loss));

	oracle_sending(from, &message->message);
	message->boot = from->boot;
	message->boot_last = from->boot_last;
	if (message->message.kind == RAFT_SNAPSHOT) {
		end_transfer(from, to, !lost);
	}
	if (to > world->replica_count || lost) {
		sim_message_free(message);
		return;
	}
	if (!world->calm && sim_chance(world, world->rates.duplicate)) {
		struct sim_message *twin = sim_message_copy(&message->message);

		twin->boot = message->boot;
		twin->boot_last = message->boot_last;
		schedule_delivery(world, twin);
	}
	schedule_delivery(world, message);
}

/* The first message of a new life says what Hello would: the peer may have lost its tail; later
 * ones of an older life are dropped (RT-03). */
static bool greet(struct sim_replica *replica, const struct sim_message *message)
{
	uint64_t from = message->message.from;

	if (message->boot < replica->peer_boot[from]) {
		return false;
	}
	if (message->boot > replica->peer_boot[from]) {
		struct raft_event reset = {.kind = RAFT_PEER_RESET};

		replica->peer_boot[from] = message->boot;
		reset.u.peer_reset.peer = from;
		reset.u.peer_reset.last = message->boot_last;
		replica->driver->step(replica, &reset);
	}
	return true;
}

void sim_deliver(struct sim_world *world, struct sim_event *event)
{
	struct sim_replica *replica = &world->replicas[event->replica];
	struct sim_message *message = event->message;

	/* What was under way when a partition came may still arrive. */
	bool cut = world->blocked[message->message.from][replica->id] && sim_chance(world, 500);

	if (!cut && !replica->frozen && greet(replica, message)) {
		struct raft_event receive = {.kind = RAFT_RECEIVE, .u.receive = &message->message};

		sim_say(world, "%llu <- %llu %s term %llu index %llu/%llu commit %llu n %zu%s",
			(unsigned long long)replica->id, (unsigned long long)message->message.from,
			raft_message_name(message->message.kind),
			(unsigned long long)message->message.term,
			(unsigned long long)message->message.index,
			(unsigned long long)message->message.log_term,
			(unsigned long long)message->message.commit, message->message.entry_count,
			message->message.reject ? " reject" : "");
		replica->driver->step(replica, &receive);
	}
	sim_message_free(message);
}

void sim_transfer_ended(struct sim_world *world, const struct sim_event *event)
{
	struct sim_replica *replica = &world->replicas[event->replica];
	struct raft_event done = {.kind = RAFT_SNAPSHOT_DONE};

	done.u.snapshot_done.peer = event->value;
	done.u.snapshot_done.ok = event->ok;
	replica->driver->step(replica, &done);
}
