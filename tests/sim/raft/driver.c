/* The driver in memory: RC-04 to the letter, over a disk that forgets what was not synced. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/raft/sim.h"

#define U(x) ((unsigned long long)(x))

/* The disk */

static void disk_truncate(struct sim_disk *disk, uint64_t from)
{
	while (disk->before_index + disk->entry_count >= from && disk->entry_count > 0) {
		raft_entry_unref(&disk->entries[--disk->entry_count]);
	}
}

static void disk_reset(struct sim_disk *disk, uint64_t index, uint64_t term)
{
	disk_truncate(disk, 0);
	disk->before_index = index;
	disk->before_term = term;
}

static void disk_append(struct sim_disk *disk, const struct raft_entry *entry)
{
	disk->entries = sim_grow(disk->entries, &disk->entry_capacity, disk->entry_count + 1,
		sizeof(*disk->entries));
	disk->entries[disk->entry_count++] = *entry;
	raft_entry_ref(entry);
}

static void disk_compact(struct sim_disk *disk, uint64_t index)
{
	if (index <= disk->before_index || index > disk->before_index + disk->entry_count) {
		return;
	}
	size_t drop = (size_t)(index - disk->before_index);

	disk->before_term = disk->entries[drop - 1].term;
	disk->before_index = index;
	for (size_t i = 0; i < drop; i++) {
		raft_entry_unref(&disk->entries[i]);
	}
	disk->entry_count -= drop;
	memmove(disk->entries, disk->entries + drop, disk->entry_count * sizeof(*disk->entries));
}

/* Stages of one batch, in the order in which they reach the disk; a crash may come after each. */
enum stage { STAGE_NONE, STAGE_HARD, STAGE_SNAPSHOT, STAGE_LOG, STAGE_TRUNCATE, STAGE_ALL };

static void disk_write(struct sim_replica *replica, const struct sim_batch *batch, enum stage stage,
	size_t entry_count)
{
	struct sim_disk *disk = &replica->disk;

	if (stage >= STAGE_HARD && batch->hard_changed) {
		disk->hard = batch->hard;
		oracle_hard_written(replica);
	}
	if (stage >= STAGE_SNAPSHOT && batch->install) {
		disk->snapshot = batch->snapshot;
	}
	if (stage >= STAGE_LOG && batch->install) {
		disk_reset(disk, batch->snapshot.index, batch->snapshot.term);
	}
	if (stage >= STAGE_TRUNCATE && batch->truncate_from > 0) {
		disk_truncate(disk, batch->truncate_from);
	}
	if (stage >= STAGE_ALL) {
		for (size_t i = 0; i < entry_count; i++) {
			disk_append(disk, &batch->entries[i]);
		}
		if (entry_count > 0 && batch->commit > disk->commit_hint) {
			disk->commit_hint = batch->commit;
		}
	}
}

static void free_batch(struct sim_batch *batch)
{
	for (size_t i = 0; i < batch->entry_count; i++) {
		raft_entry_unref(&batch->entries[i]);
	}
	free(batch->entries);
}

static void drop_batches(struct sim_replica *replica, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free_batch(&replica->queue[i]);
	}
	replica->queue_count -= count;
	if (replica->queue_count == 0) {
		return;
	}
	memmove(replica->queue, replica->queue + count,
		replica->queue_count * sizeof(*replica->queue));
}

static void start_disk(struct sim_replica *replica)
{
	struct sim_world *world = replica->world;

	if (replica->disk_busy || replica->queue_count == 0) {
		return;
	}
	replica->disk_busy = true;
	sim_schedule(world,
		(struct sim_event){.kind = SIM_DISK, .replica = replica->id, .boot = replica->boot},
		50 + sim_below(world, world->calm ? 2000 : world->rates.disk_us));
}

/* Effects */

static void queue_batch(struct sim_replica *replica, const struct raft_effects *effects)
{
	struct sim_batch batch = {.seq = effects->persist_seq,
		.truncate_from = effects->truncate_from,
		.commit = effects->commit_index,
		.hard_changed = effects->hard_changed,
		.hard = effects->hard,
		.install = effects->install != NULL,
		.entry_count = effects->append_count};
	size_t room = 0;

	if (effects->persist_seq == 0) {
		return;
	}
	if (effects->install != NULL) {
		batch.snapshot = *effects->install;
	}
	if (effects->append_count > 0) {
		batch.entries =
			sim_grow(NULL, &room, effects->append_count, sizeof(*batch.entries));
	}
	for (size_t i = 0; i < effects->append_count; i++) {
		batch.entries[i] = effects->append[i];
		raft_entry_ref(&batch.entries[i]);
	}
	replica->queue = sim_grow(replica->queue, &replica->queue_capacity,
		replica->queue_count + 1, sizeof(*replica->queue));
	replica->queue[replica->queue_count++] = batch;
	start_disk(replica);
}

static void send_messages(struct sim_replica *replica, const struct raft_effects *effects)
{
	for (size_t i = 0; i < effects->message_count; i++) {
		const struct raft_message *message = &effects->messages[i];
		struct sim_message *copy = sim_message_copy(message);

		if (message->after <= replica->persisted) {
			sim_send(replica, copy);
			continue;
		}
		replica->held = sim_grow(replica->held, &replica->held_capacity,
			replica->held_count + 1, sizeof(struct sim_message *));
		replica->held[replica->held_count++] = copy;
	}
}

static void release_messages(struct sim_replica *replica)
{
	size_t kept = 0;

	for (size_t i = 0; i < replica->held_count; i++) {
		struct sim_message *message = replica->held[i];

		if (message->message.after <= replica->persisted) {
			sim_send(replica, message);
		} else {
			replica->held[kept++] = message;
		}
	}
	replica->held_count = kept;
}

static void adopt_snapshot(struct sim_replica *replica, const struct raft_snapshot *snapshot)
{
	oracle_installed(replica, snapshot);
	replica->applied = snapshot->index;
	replica->applied_term = snapshot->term;
	replica->state = snapshot->file;
	replica->conf = snapshot->conf;
}

static void start_apply(struct sim_replica *replica)
{
	struct sim_world *world = replica->world;

	if (replica->apply_scheduled || replica->apply_to <= replica->applied) {
		return;
	}
	replica->apply_scheduled = true;
	sim_schedule(world,
		(struct sim_event){
			.kind = SIM_APPLY, .replica = replica->id, .boot = replica->boot},
		20 + sim_below(world, world->calm ? 1000 : world->rates.apply_us));
}

static void mix_effects(struct sim_world *world, const struct raft_effects *effects)
{
	sim_mix(world, effects->persist_seq);
	sim_mix(world, effects->hard.term ^ (effects->hard.vote << 32));
	sim_mix(world, effects->truncate_from ^ (effects->append_count << 40));
	sim_mix(world, effects->commit_index ^ (effects->apply_index << 32));
	sim_mix(world, (uint64_t)effects->role ^ (effects->leader << 8));
	sim_mix(world, effects->deadline_ms);
	for (size_t i = 0; i < effects->message_count; i++) {
		const struct raft_message *message = &effects->messages[i];

		sim_mix(world,
			(uint64_t)message->kind ^ (message->to << 8) ^ (message->term << 16));
		sim_mix(world, message->index ^ (message->log_term << 32));
		sim_mix(world, message->commit ^ (message->hint_index << 32));
		sim_mix(world, message->context ^ (message->after << 40));
		sim_mix(world, message->entry_count ^ ((uint64_t)message->reject << 40));
	}
	for (size_t i = 0; i < effects->read_count; i++) {
		sim_mix(world, effects->reads[i].cookie ^ (effects->reads[i].index << 32));
	}
}

static void say_trace(struct sim_replica *replica)
{
	const char *line = raft_trace(replica->raft);

	while (*line != '\0') {
		size_t length = strcspn(line, "\n");

		sim_say(replica->world, "%llu: %.*s", U(replica->id), (int)length, line);
		line += length + (line[length] == '\n');
	}
}

static enum raft_refusal driver_step(struct sim_replica *replica, struct raft_event *event)
{
	struct raft_effects effects;

	replica->world->steps++;
	event->now_ms = sim_local_ms(replica);
	enum raft_refusal refusal = raft_step(replica->raft, event, &effects);

	say_trace(replica);
	mix_effects(replica->world, &effects);
	sim_mix(replica->world, (uint64_t)refusal);
	if (effects.install != NULL) {
		adopt_snapshot(replica, effects.install);
	}
	oracle_stepped(replica, &effects);
	queue_batch(replica, &effects);
	send_messages(replica, &effects);
	for (size_t i = 0; i < effects.read_count; i++) {
		sim_read_answered(replica, &effects.reads[i]);
	}
	replica->apply_to = effects.apply_index;
	if (effects.accepted_index > 0) {
		replica->proposals[effects.accepted_index % SIM_PROPOSALS_MAX] =
			(struct sim_proposal){effects.accepted_index, effects.term};
	}
	start_apply(replica);
	sim_arm(replica, effects.deadline_ms);
	return refusal;
}

/* One sync covers a random number of batches; reporting the highest is enough. */
static void driver_disk_done(struct sim_replica *replica)
{
	size_t count = 1 + (size_t)sim_below(replica->world, replica->queue_count);
	struct raft_event persisted = {.kind = RAFT_PERSISTED};

	for (size_t i = 0; i < count; i++) {
		const struct sim_batch *batch = &replica->queue[i];

		disk_write(replica, batch, STAGE_ALL, batch->entry_count);
		replica->persisted = batch->seq;
	}
	drop_batches(replica, count);
	replica->disk_busy = false;
	release_messages(replica);
	persisted.u.persisted.seq = replica->persisted;
	driver_step(replica, &persisted);
	start_disk(replica);
}

/* Applying and snapshots */

static void apply_entry(struct sim_replica *replica, const struct raft_entry *entry)
{
	struct raft_change change;
	uint64_t mixed[2] = {replica->state ^ oracle_entry_value(entry), entry->term};

	replica->applied = entry->index;
	replica->applied_term = entry->term;
	replica->state = (mixed[0] + mixed[1] * 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
	replica->state ^= replica->state >> 29;
	if (entry->kind == RAFT_ENTRY_CONF && member_change_decode(entry->payload, &change)) {
		member_conf_change(&replica->conf, &change, &replica->conf);
	}
	oracle_applied(replica, entry->index, entry->term);
	struct sim_proposal *proposal = &replica->proposals[entry->index % SIM_PROPOSALS_MAX];

	if (proposal->index == entry->index && proposal->term == entry->term) {
		oracle_acked(replica, entry->index);
	}
}

static void start_snapshot(struct sim_replica *replica)
{
	struct sim_world *world = replica->world;

	if (replica->snapshot_busy ||
		replica->applied < replica->disk.snapshot.index + world->rates.snapshot_every) {
		return;
	}
	replica->snapshot_busy = true;
	replica->making = (struct raft_snapshot){.index = replica->applied,
		.term = replica->applied_term,
		.conf = replica->conf,
		.file = replica->state};
	sim_schedule(world,
		(struct sim_event){.kind = SIM_SNAPSHOT_WRITTEN,
			.replica = replica->id,
			.boot = replica->boot},
		500 + sim_below(world, 200000));
}

static void driver_apply(struct sim_replica *replica)
{
	struct sim_world *world = replica->world;
	struct raft_event applied = {.kind = RAFT_APPLIED};
	uint64_t to = replica->apply_to;

	replica->apply_scheduled = false;
	if (to <= replica->applied) {
		return;
	}
	if (sim_chance(world, 300)) {
		to = replica->applied + 1 + sim_below(world, to - replica->applied);
	}
	while (replica->applied < to) {
		const struct raft_entry *entry = raft_entry_at(replica->raft, replica->applied + 1);

		if (entry == NULL) {
			sim_fail(world, "replica %llu cannot read entry %llu to apply it",
				U(replica->id), U(replica->applied + 1));
		}
		apply_entry(replica, entry);
	}
	applied.u.applied.index = to;
	driver_step(replica, &applied);
	if (!member_conf_equal(&replica->conf, raft_conf_active(replica->raft))) {
		sim_fail(world, "replica %llu: configuration at %llu differs from the entries'",
			U(replica->id), U(to));
	}
	start_snapshot(replica);
	start_apply(replica);
}

static void driver_snapshot_done(struct sim_replica *replica)
{
	struct raft_event made = {.kind = RAFT_SNAPSHOT_MADE};
	uint64_t index = replica->making.index, trailing = replica->world->rates.trailing;

	replica->snapshot_busy = false;
	if (index <= replica->disk.snapshot.index) {
		return; /* one that was installed came first */
	}
	replica->disk.snapshot = replica->making;
	made.u.snapshot_made.snapshot = replica->making;
	made.u.snapshot_made.compact_index = index > trailing ? index - trailing : 0;
	disk_compact(&replica->disk, made.u.snapshot_made.compact_index);
	driver_step(replica, &made);
}

/* Life and death */

/* RS-08: a log that does not hold the snapshot's last entry is the rest of an interrupted install.
 */
static void recover_disk(struct sim_replica *replica)
{
	struct sim_disk *disk = &replica->disk;
	uint64_t index = disk->snapshot.index, term = 0;

	if (index == disk->before_index) {
		term = disk->before_term;
	} else if (index > disk->before_index && index - disk->before_index <= disk->entry_count) {
		term = disk->entries[index - disk->before_index - 1].term;
	}
	if (index > 0 && term != disk->snapshot.term) {
		disk_reset(disk, index, disk->snapshot.term);
		disk->hard.uncertain = true;
		sim_say(replica->world, "%llu: log of an interrupted install dropped",
			U(replica->id));
	}
}

static void driver_start(struct sim_replica *replica)
{
	struct raft_options options = replica->world->options;
	struct sim_disk *disk = &replica->disk;
	struct raft_event restore = {.kind = RAFT_RESTORE};

	recover_disk(replica);
	replica->boot++;
	replica->alive = true;
	replica->boot_last = disk->before_index + disk->entry_count;
	replica->disk_busy = replica->apply_scheduled = replica->snapshot_busy = false;
	replica->persisted = 0;
	replica->applied = disk->snapshot.index;
	replica->applied_term = disk->snapshot.term;
	replica->state = disk->snapshot.file;
	replica->conf = disk->snapshot.conf;
	replica->seen_commit = replica->seen_apply = replica->seen_term = 0;
	replica->seen_role = RAFT_FOLLOWER;
	memset(replica->peer_boot, 0, sizeof(replica->peer_boot));
	memset(replica->reads, 0, sizeof(replica->reads));
	memset(replica->proposals, 0, sizeof(replica->proposals));
	options.id = replica->id;
	options.seed = sim_random(replica->world);
	replica->raft = raft_create(&options);
	raft_trace_enable(replica->raft, replica->world->tracing);
	restore.u.restore = (struct raft_restore){.hard = disk->hard,
		.commit_hint = disk->commit_hint,
		.snapshot = disk->snapshot.index > 0 ? &disk->snapshot : NULL,
		.entries = disk->entries,
		.entry_count = disk->entry_count,
		.before_index = disk->before_index,
		.before_term = disk->before_term};
	sim_say(replica->world, "%llu: start %llu, term %llu, last %llu, snapshot %llu%s",
		U(replica->id), U(replica->boot), U(disk->hard.term), U(replica->boot_last),
		U(disk->snapshot.index), disk->hard.uncertain ? ", uncertain" : "");
	driver_step(replica, &restore);
}

/* A crash: of what is on its way to the disk a random prefix, cut at a random stage, is there. */
static void driver_kill(struct sim_replica *replica)
{
	struct sim_world *world = replica->world;
	size_t whole = (size_t)sim_below(world, replica->queue_count + 1);

	for (size_t i = 0; i < whole; i++) {
		disk_write(replica, &replica->queue[i], STAGE_ALL, replica->queue[i].entry_count);
	}
	if (whole < replica->queue_count) {
		const struct sim_batch *batch = &replica->queue[whole];
		enum stage stage = (enum stage)sim_below(world, STAGE_ALL + 1);

		disk_write(replica, batch, stage, (size_t)sim_below(world, batch->entry_count + 1));
	}
	drop_batches(replica, replica->queue_count);
	for (size_t i = 0; i < replica->held_count; i++) {
		sim_message_free(replica->held[i]);
	}
	replica->held_count = 0;
	raft_destroy(replica->raft);
	replica->raft = NULL;
	replica->alive = false;
	replica->paused_until_us = 0;
}

const struct sim_driver_ops sim_driver_memory = {.name = "memory",
	.start = driver_start,
	.kill = driver_kill,
	.step = driver_step,
	.disk_done = driver_disk_done,
	.apply = driver_apply,
	.snapshot_done = driver_snapshot_done};
