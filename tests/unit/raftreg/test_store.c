/* The replica's files on a disk that forgets, tears, fails and flips (registry.md 5, TEST-05). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "raftreg/bytes.h"
#include "raftreg/store_internal.h"
#include "sim_disk.h"

#define SEGMENT	    16384u
#define ENTRIES_MAX 512
#define STEPS	    40

static const uint8_t uuid[16] = {7, 1};

/* What the log must hold: term and size of each entry; the payload follows from both. */
struct model {
	uint64_t term[ENTRIES_MAX];
	uint32_t size[ENTRIES_MAX];
	uint64_t last, snapshot;
	struct raft_hard hard;
};

struct step {
	struct model before, after;
	uint64_t truncate_from;
};

static struct raft_payload *make_payload(uint64_t index, uint64_t term, uint32_t size)
{
	struct raft_payload *payload = raft_payload_create(NULL, size);

	for (uint32_t i = 0; i < size; i++) {
		payload->bytes[i] = (uint8_t)(index * 7 + term * 13 + i);
	}
	return payload;
}

static bool is_entry(const struct raft_entry *entry, const struct model *model)
{
	uint32_t size = model->size[entry->index];
	struct raft_payload *payload;
	bool same;

	if (entry->term != model->term[entry->index] ||
		(entry->payload ? entry->payload->length : 0) != size) {
		return false;
	}
	if (size == 0) {
		return true;
	}
	payload = make_payload(entry->index, entry->term, size);
	same = memcmp(payload->bytes, entry->payload->bytes, size) == 0;
	raft_payload_unref(payload);
	return same;
}

/* One sequence: new term now and then, sometimes a truncation of the unacknowledged tail. */
static void plan_step(struct rng *rng, const struct model *before, struct step *step)
{
	struct model *after = &step->after;
	uint64_t count = rng_below(rng, 6);

	step->before = *before;
	*after = *before;
	step->truncate_from = 0;
	if (rng_below(rng, 4) == 0 || after->hard.term == 0) {
		after->hard.term++;
		after->hard.vote = rng_below(rng, 3);
	}
	if (rng_below(rng, 5) == 0 && after->last > after->snapshot + 3) {
		step->truncate_from = after->last - rng_below(rng, 3);
		after->last = step->truncate_from - 1;
	}
	for (uint64_t i = 0; i < count && after->last + 1 < ENTRIES_MAX; i++) {
		after->last++;
		after->term[after->last] = after->hard.term;
		after->size[after->last] =
			rng_below(rng, 4) == 0 ? 0 : (uint32_t)rng_below(rng, 1500) + 1;
	}
}

static struct store_batch *make_batch(const struct step *step, uint64_t seq)
{
	struct raft_entry entries[8] = {0};
	struct store_batch *batch;
	uint64_t first = step->truncate_from ? step->truncate_from : step->before.last + 1;
	size_t count = 0;

	for (uint64_t index = first; index <= step->after.last; index++) {
		uint32_t size = step->after.size[index];

		entries[count] = (struct raft_entry){.index = index,
			.term = step->after.term[index],
			.kind = RAFT_ENTRY_DATA,
			.payload =
				size ? make_payload(index, step->after.term[index], size) : NULL};
		count++;
	}
	batch = store_batch_create(entries, count);
	for (size_t i = 0; i < count; i++) {
		raft_payload_unref(entries[i].payload);
	}
	batch->seq = seq;
	batch->truncate_from = step->truncate_from;
	batch->truncate_term = step->after.hard.term;
	batch->hard = step->after.hard;
	batch->hard_changed = step->after.hard.term != step->before.hard.term ||
			      step->after.hard.vote != step->before.hard.vote;
	batch->commit = step->after.snapshot;
	return batch;
}

static int run_batch(struct store *store, struct store_batch *batch)
{
	struct store_batch *list[1] = {batch};
	int result;

	store->gathered = list;
	store->gathered_count = 1;
	result = store_write_gathered(store);
	store->gathered = NULL;
	store->gathered_count = 0;
	store_batch_free(batch);
	return result;
}

static int run_snapshot(struct store *store, struct model *model)
{
	struct snapfile_meta meta = {
		.snapshot = {.index = model->last, .term = model->term[model->last]}};
	struct buf file;
	int result;

	memcpy(meta.uuid, uuid, 16);
	meta.snapshot.conf.voters = (struct raft_ids){.count = 1, .ids = {store->vote.id}};
	buf_init(&file);
	snapfile_build(&meta, SLICE("the state"), &file);
	result = snapfile_write(store->disk, STORE_SNAPSHOT_TMP, buf_slice(&file));
	buf_fini(&file);
	result = result ? result
			: store_publish(
				  store, &meta.snapshot, model->last > 10 ? model->last - 10 : 1);
	if (result == 0) {
		model->snapshot = model->last;
	}
	return result;
}

static int open_store(
	struct sim_disk *disk, struct store **ret_store, struct store_recovered *ret_found)
{
	const struct store_options options = {.disk = sim_disk_base(disk), .segment_size = SEGMENT};
	struct err err;
	int result;

	err_clear(&err);
	result = store_open(&options, ret_store, ret_found, &err);
	assert_true(result == 0 || err.code != 0);
	return result;
}

static uint64_t last_of(const struct store_recovered *found)
{
	return found->log.count > 0 ? found->log.entries[found->log.count - 1].index
				    : found->log.before_index;
}

/* Nothing acknowledged is gone, nothing was never written, and the order is whole. */
static void check_recovered(const struct store_recovered *found, const struct step *step)
{
	const struct model *before = &step->before;
	const struct model *after = &step->after;
	uint64_t common = step->truncate_from ? step->truncate_from - 1 : before->last;
	uint64_t last = last_of(found);
	bool old = last <= before->last;

	assert_true(found->vote.term == before->hard.term || found->vote.term == after->hard.term);
	if (found->vote.term == before->hard.term && after->hard.term != before->hard.term) {
		assert_true(last == before->last); /* (1) comes before (2) */
	}
	assert_true(found->has_snapshot || (before->snapshot == 0 && found->log.before_index == 0));
	if (found->has_snapshot) {
		assert_true(found->meta.snapshot.index >= before->snapshot);
		assert_true(found->log.before_index <= found->meta.snapshot.index);
	}
	assert_true(last >= common);
	for (size_t i = 0; i < found->log.count; i++) {
		const struct raft_entry *entry = &found->log.entries[i];

		assert_int_equal(entry->index, found->log.before_index + 1 + i);
		if (entry->index <= common) {
			assert_true(is_entry(entry, before));
		} else {
			old = old && is_entry(entry, before);
		}
	}
	if (old && last == before->last) {
		return;
	}
	for (size_t i = 0; i < found->log.count; i++) {
		const struct raft_entry *entry = &found->log.entries[i];

		assert_true(entry->index <= common || is_entry(entry, after));
	}
	assert_true(last <= after->last);
}

struct run {
	struct sim_disk *disk;
	struct store *store;
	struct model model;
	struct step step;
	struct rng rng;
	uint64_t seq;
};

static int birth(struct run *run)
{
	struct store_recovered found;
	struct raft_payload *payload = make_payload(1, 1, 100);
	int result = open_store(run->disk, &run->store, &found);

	if (result == 0) {
		store_recovered_fini(&found);
		result = store_bootstrap(run->store, uuid, 1, payload);
	}
	raft_payload_unref(payload);
	if (result == 0) {
		run->model.last = 1;
		run->model.term[1] = 1;
		run->model.size[1] = 100;
		run->model.hard.term = 1;
		run->step.before = run->step.after = run->model;
	}
	return result;
}

/* Until something fails; run->step is then the one that was under way. */
static int work(struct run *run, unsigned steps)
{
	int result = 0;

	for (unsigned i = 0; i < steps && result == 0; i++) {
		plan_step(&run->rng, &run->model, &run->step);
		result = run_batch(run->store, make_batch(&run->step, ++run->seq));
		if (result == 0) {
			run->model = run->step.after;
			run->step.before = run->model;
			run->step.truncate_from = 0;
			if (i % 8 == 7) {
				result = run_snapshot(run->store, &run->model);
			}
			run->step.before.snapshot = run->step.after.snapshot = run->model.snapshot;
		}
	}
	return result;
}

static void begin_run(struct run *run, uint64_t seed)
{
	*run = (struct run){.disk = sim_disk_create(seed)};
	rng_seed(&run->rng, seed);
	assert_int_equal(birth(run), 0);
}

static void end_run(struct run *run)
{
	store_destroy(run->store);
	sim_disk_destroy(run->disk);
}

/* Every operation of a run is the last one before a power cut, with loss and with tears. */
static void test_crash_everywhere(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct run run;
		uint64_t operations;

		begin_run(&run, seed);
		sim_disk_fail_at(run.disk, 0);
		assert_int_equal(work(&run, STEPS), 0);
		operations = sim_disk_operations(run.disk);
		end_run(&run);
		for (uint64_t at = 1; at <= operations; at += 1 + (seed % 3)) {
			struct store_recovered found;

			begin_run(&run, seed);
			sim_disk_fail_at(run.disk, at);
			assert_true(work(&run, STEPS) < 0);
			sim_disk_crash(run.disk, at % 2 == 0);
			store_destroy(run.store);
			run.store = NULL;
			sim_disk_crash(run.disk, false);
			assert_int_equal(open_store(run.disk, &run.store, &found), 0);
			assert_false(found.log.corrupt);
			check_recovered(&found, &run.step);
			/* And it goes on from there. */
			run.model.last = last_of(&found);
			run.model.snapshot = found.meta.snapshot.index; /* 0: none */
			for (size_t i = 0; i < found.log.count; i++) {
				const struct raft_entry *entry = &found.log.entries[i];

				run.model.term[entry->index] = entry->term;
				run.model.size[entry->index] =
					entry->payload ? entry->payload->length : 0;
			}
			run.model.hard =
				(struct raft_hard){found.vote.term, found.vote.vote, false};
			store_recovered_fini(&found);
			assert_int_equal(work(&run, 4), 0);
			store_destroy(run.store);
			assert_int_equal(open_store(run.disk, &run.store, &found), 0);
			assert_int_equal(last_of(&found), run.model.last);
			store_recovered_fini(&found);
			end_run(&run);
		}
	}
}

/* A flipped byte anywhere never passes as an entry; what precedes it stays (RS-10, TRAP-04). */
static void test_flips(void **state)
{
	(void)state;
	for (unsigned trial = 0; trial < 300; trial++) {
		struct store_recovered found;
		struct run run;
		const char *name = NULL;
		uint8_t *bytes;
		size_t size, at, files = 0;
		int result;

		begin_run(&run, 100 + trial % 5);
		assert_int_equal(work(&run, STEPS), 0);
		store_destroy(run.store);
		run.store = NULL;
		while (sim_disk_name(run.disk, files)) {
			files++;
		}
		name = sim_disk_name(run.disk, rng_below(&run.rng, files));
		bytes = sim_disk_bytes(run.disk, name, &size);
		at = rng_below(&run.rng, size);
		bytes[at] ^= (uint8_t)(1u << rng_below(&run.rng, 8));
		result = open_store(run.disk, &run.store, &found);
		if (result == 0) {
			for (size_t i = 0; i < found.log.count; i++) {
				assert_true(is_entry(&found.log.entries[i], &run.model));
			}
			if (found.log.torn || found.log.corrupt) {
				assert_true(found.vote.uncertain);
			}
			store_recovered_fini(&found);
		} else {
			assert_true(result == -EBADMSG || result == -ENOTSUP);
		}
		end_run(&run);
	}
}

/* RB-01: a cut at any operation of the first start leaves a directory that can start again: in the
 * new cluster, or in none. */
static void test_crash_at_birth(void **state)
{
	uint64_t operations;
	struct run run = {.disk = sim_disk_create(1)};

	(void)state;
	sim_disk_fail_at(run.disk, 0);
	assert_int_equal(birth(&run), 0);
	operations = sim_disk_operations(run.disk);
	end_run(&run);
	for (uint64_t at = 1; at <= 2 * operations; at++) {
		struct store_recovered found;
		bool born;

		run = (struct run){.disk = sim_disk_create(at)};
		sim_disk_fail_at(run.disk, (at + 1) / 2);
		assert_true(birth(&run) < 0);
		store_destroy(run.store);
		run.store = NULL;
		sim_disk_crash(run.disk, at % 2 == 0);
		assert_int_equal(open_store(run.disk, &run.store, &found), 0);
		born = memcmp(found.vote.uuid, uuid, sizeof uuid) == 0;
		assert_int_equal(found.log.count, born ? 1 : 0);
		store_recovered_fini(&found);
		if (!born) {
			store_destroy(run.store);
			run.store = NULL;
			assert_int_equal(birth(&run), 0);
		}
		store_destroy(run.store);
		assert_int_equal(open_store(run.disk, &run.store, &found), 0);
		assert_int_equal(found.log.count, 1);
		assert_false(found.vote.uncertain);
		store_recovered_fini(&found);
		end_run(&run);
	}
}

/* The name of the last segment but `back`, as names sort. */
static const char *find_segment(const struct sim_disk *disk, size_t back)
{
	const char *names[64];
	const char *name;
	size_t count = 0;

	for (size_t i = 0; (name = sim_disk_name(disk, i)) != NULL; i++) {
		size_t place = count;

		if (!strstr(name, ".log")) {
			continue;
		}
		assert_true(count < 64);
		for (; place > 0 && strcmp(names[place - 1], name) > 0; place--) {
			names[place] = names[place - 1];
		}
		names[place] = name;
		count++;
	}
	return back < count ? names[count - 1 - back] : NULL;
}

/* RI-05: the log proves that the newest vote is gone: the older one must not be voted with. */
static void test_vote_behind_log(void **state)
{
	struct store_recovered found;
	struct run run;
	uint8_t *bytes;
	size_t size;
	struct vote vote;

	(void)state;
	begin_run(&run, 1);
	run.step = (struct step){.before = run.model, .after = run.model};
	run.step.after.hard = (struct raft_hard){7, run.store->vote.id, false};
	run.step.after.term[++run.step.after.last] = 7;
	assert_int_equal(run_batch(run.store, make_batch(&run.step, ++run.seq)), 0);
	store_destroy(run.store);
	run.store = NULL;
	assert_int_equal(vote_load(sim_disk_base(run.disk), &vote), 0);
	assert_int_equal(vote.term, 7);
	bytes = sim_disk_bytes(run.disk, VOTE_FILE, &size);
	bytes[(vote.version % 2) * VOTE_SLOT_SIZE + 20] ^= 1;
	assert_int_equal(open_store(run.disk, &run.store, &found), -EBADMSG);
	end_run(&run);
}

/* RS-10: what a damaged header says of the term before the segment is not believed. */
static void test_header_flips(void **state)
{
	(void)state;
	for (unsigned trial = 0; trial < 192; trial++) {
		struct store_recovered found;
		struct run run;
		const char *name;
		uint8_t *bytes;
		size_t size, files = 0;

		begin_run(&run, trial < 128 ? 100 : trial);
		assert_int_equal(work(&run, trial < 64	  ? 4
					    : trial < 128 ? STEPS
							  : STEPS - trial % 7),
			0);
		store_destroy(run.store);
		run.store = NULL;
		while (find_segment(run.disk, files)) {
			files++;
		}
		name = find_segment(run.disk, files - 1);
		bytes = sim_disk_bytes(run.disk, name, &size);
		bytes[48 + trial % 64 / 8] ^= (uint8_t)(1u << trial % 8);
		if (trial >= 128) { /* the repair of something else writes a header anew */
			bytes = sim_disk_bytes(run.disk, find_segment(run.disk, 0), &size);
			bytes[WAL_HEADER_SIZE + 8] ^= 1;
		}
		for (int start = 0; start < 2; start++) {
			assert_int_equal(open_store(run.disk, &run.store, &found), 0);
			assert_true(found.log.before_known);
			assert_int_equal(
				found.log.before_term, run.model.term[found.log.before_index]);
			assert_true(trial >= 128 || last_of(&found) == run.model.last);
			store_recovered_fini(&found);
			store_destroy(run.store);
			run.store = NULL;
		}
		end_run(&run);
	}
}

static void add_entry(struct run *run)
{
	run->step = (struct step){.before = run->model, .after = run->model};
	run->step.after.last++;
	run->step.after.term[run->step.after.last] = 1;
	run->step.after.size[run->step.after.last] = 1000;
	assert_int_equal(run_batch(run->store, make_batch(&run->step, ++run->seq)), 0);
	run->model = run->step.after;
}

/* Four segments, the last of them damaged in the middle. */
static void begin_damaged(struct run *run)
{
	struct disk *disk;
	const char *name;
	uint8_t *bytes;
	size_t size;
	int file;

	begin_run(run, 1);
	while (!find_segment(run->disk, 3)) {
		add_entry(run);
	}
	for (int i = 0; i < 4; i++) {
		add_entry(run);
	}
	store_destroy(run->store);
	run->store = NULL;
	disk = sim_disk_base(run->disk);
	name = find_segment(run->disk, 0);
	bytes = sim_disk_bytes(run->disk, name, &size);
	bytes[WAL_HEADER_SIZE + 2 * (WAL_RECORD_SIZE + 1000) + 100] ^= 1;
	file = disk->ops->open(disk, name, DISK_WRITE);
	assert_int_equal(disk->ops->fdatasync(disk, file), 0); /* a crash does not heal it */
	assert_int_equal(disk->ops->close(disk, file), 0);
}

/* RS-10: the prefix stays, wherever the repair is cut short, by a kill or by the power. */
static void test_crash_in_repair(void **state)
{
	struct store_recovered found;
	struct run run;
	uint64_t operations, last;

	(void)state;
	begin_damaged(&run);
	sim_disk_fail_at(run.disk, 0);
	assert_int_equal(open_store(run.disk, &run.store, &found), 0);
	operations = sim_disk_operations(run.disk);
	assert_true(found.log.corrupt);
	last = last_of(&found);
	assert_true(last > 20 && last < run.model.last);
	store_recovered_fini(&found);
	end_run(&run);
	for (uint64_t at = 1; at <= 2 * operations; at++) {
		begin_damaged(&run);
		sim_disk_fail_at(run.disk, (at + 1) / 2);
		if (open_store(run.disk, &run.store, &found) == 0) {
			store_recovered_fini(&found); /* the failed one did not matter */
			store_destroy(run.store);
		}
		run.store = NULL;
		if (at % 2 == 0) {
			sim_disk_crash(run.disk, false);
		}
		sim_disk_fail_at(run.disk, 0);
		assert_int_equal(open_store(run.disk, &run.store, &found), 0);
		assert_true(found.vote.uncertain);
		assert_int_equal(found.log.before_index, 0);
		assert_int_equal(last_of(&found), last);
		store_recovered_fini(&found);
		store_destroy(run.store);
		assert_int_equal(open_store(run.disk, &run.store, &found), 0);
		assert_false(found.log.corrupt);
		assert_int_equal(found.log.before_index, 0);
		assert_int_equal(last_of(&found), last);
		store_recovered_fini(&found);
		end_run(&run);
	}
}

/* RS-12: the log since the last snapshot is what it is, however often the replica started. */
static void test_log_bytes(void **state)
{
	struct store_recovered found;
	struct run run;

	(void)state;
	begin_run(&run, 1);
	for (unsigned i = 0; i < 10; i++) {
		add_entry(&run);
		store_destroy(run.store);
		assert_int_equal(open_store(run.disk, &run.store, &found), 0);
		store_recovered_fini(&found);
		assert_true(store_log_bytes(run.store) >= (i + 1) * (WAL_RECORD_SIZE + 1000));
	}
	assert_int_equal(run_snapshot(run.store, &run.model), 0);
	assert_int_equal(store_log_bytes(run.store), 0);
	add_entry(&run);
	store_destroy(run.store);
	assert_int_equal(open_store(run.disk, &run.store, &found), 0);
	store_recovered_fini(&found);
	assert_int_equal(store_log_bytes(run.store), WAL_RECORD_SIZE + 1000);
	end_run(&run);
}

static void test_vote(void **state)
{
	struct sim_disk *disk = sim_disk_create(3);
	struct vote vote = {.version = 1, .id = 5, .term = 2, .vote = 5, .boot_count = 1};
	struct vote read;
	uint8_t *bytes;
	size_t size;
	int file;

	(void)state;
	assert_int_equal(vote_load(sim_disk_base(disk), &read), -ENOENT);
	assert_int_equal(vote_create(sim_disk_base(disk), &vote), 0);
	file = vote_open(sim_disk_base(disk));
	assert_true(file >= 0);
	for (uint64_t term = 3; term < 9; term++) {
		vote.term = term;
		assert_int_equal(vote_write(sim_disk_base(disk), file, &vote), 0);
		assert_int_equal(vote_load(sim_disk_base(disk), &read), 0);
		assert_int_equal(read.term, term);
	}
	bytes = sim_disk_bytes(disk, VOTE_FILE, &size);
	assert_int_equal(size, 2 * VOTE_SLOT_SIZE);
	bytes[(vote.version % 2) * VOTE_SLOT_SIZE + 20] ^= 1; /* the newer one */
	assert_int_equal(vote_load(sim_disk_base(disk), &read), 0);
	assert_int_equal(read.term, 7);
	bytes[((vote.version + 1) % 2) * VOTE_SLOT_SIZE] ^= 1;
	assert_int_equal(vote_load(sim_disk_base(disk), &read), -EBADMSG);
	sim_disk_destroy(disk);
}

/* A copy of everything in a directory, to see whether anything was touched. */
static void take_picture(struct sim_disk *disk, struct buf *ret_picture)
{
	const char *name;

	buf_clear(ret_picture);
	for (size_t i = 0; (name = sim_disk_name(disk, i)) != NULL; i++) {
		size_t size;
		const uint8_t *bytes = sim_disk_bytes(disk, name, &size);

		buf_append_string(ret_picture, name);
		buf_append(ret_picture, bytes, size);
	}
}

/* Another format in this header, with a CRC that is right. */
static void set_format(uint8_t *bytes, const char *name, bool second_slot)
{
	if (strcmp(name, VOTE_FILE) == 0) {
		bytes += second_slot ? VOTE_SLOT_SIZE : 0;
		bytes[7] = '2';
		bytes_put32(bytes + VOTE_SLOT_SIZE - 4, crc32c(0, bytes, VOTE_SLOT_SIZE - 4));
	} else if (strstr(name, ".log")) {
		bytes_put32(bytes + 8, 2);
		bytes_put32(bytes + WAL_HEADER_SIZE - 4, crc32c(0, bytes, WAL_HEADER_SIZE - 4));
	} else {
		bytes_put32(bytes + 8, 2);
		bytes_put32(bytes + 92, crc32c(0, bytes, 92));
	}
}

/* RS-11: whatever file it is, and whatever else there would be to do, nothing is modified. */
static void test_formats(void **state)
{
	struct buf before, after;
	unsigned tried = 0;

	(void)state;
	buf_init(&before);
	buf_init(&after);
	for (size_t i = 0;; i++) {
		struct store_options opening = {.segment_size = SEGMENT};
		struct store_recovered found;
		struct run run;
		const char *name;
		char text[64];
		struct err err;
		size_t size;
		int file;

		begin_run(&run, 100);
		assert_int_equal(work(&run, STEPS), 0);
		store_destroy(run.store);
		run.store = NULL;
		opening.disk = sim_disk_base(run.disk);
		file = opening.disk->ops->open(opening.disk, "left.tmp", DISK_WRITE | DISK_CREATE);
		assert_int_equal(disk_write_all(opening.disk, file, "x", 1, 0), 0);
		name = sim_disk_name(run.disk, i / 2);
		if (!name) {
			end_run(&run);
			break;
		}
		(void)snprintf(text, sizeof text, "%s is of format 2", name);
		if (strstr(name, ".tmp")) {
			end_run(&run);
			continue;
		}
		set_format(sim_disk_bytes(run.disk, name, &size), name, i % 2 == 1);
		take_picture(run.disk, &before);
		err_clear(&err);
		assert_int_equal(store_open(&opening, &run.store, &found, &err), -ENOTSUP);
		assert_int_equal(err.code, 2104);
		assert_non_null(strstr(err.text, text));
		assert_non_null(strstr(err.text, "reads format 1"));
		take_picture(run.disk, &after);
		assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
		tried++;
		end_run(&run);
	}
	assert_true(tried > 6);
	buf_fini(&before);
	buf_fini(&after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vote),
		cmocka_unit_test(test_crash_everywhere),
		cmocka_unit_test(test_crash_at_birth),
		cmocka_unit_test(test_crash_in_repair),
		cmocka_unit_test(test_log_bytes),
		cmocka_unit_test(test_vote_behind_log),
		cmocka_unit_test(test_header_flips),
		cmocka_unit_test(test_flips),
		cmocka_unit_test(test_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
