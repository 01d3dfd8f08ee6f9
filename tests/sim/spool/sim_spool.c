/*
 * The spool against a model (BT-10, BT-11): random appends, acknowledgements, checkpoints and
 * reclaims, a kill or a power cut at any operation of the disk, also inside recovery. Afterwards
 * nothing that was answered is missing, nothing that a checkpoint settled returns, no
 * acknowledgement was invented, and a second recovery changes nothing.
 * Usage: sim-spool --seeds A..B
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/cursor.h"
#include "broker/spool.h"
#include "sim_disk.h"

#define TOPICS	 3
#define GROUPS	 2 /* of the topics 0 and 1; topic 2 has none */
#define MESSAGES 4096
#define BATCH	 8
#define BODY_MAX 3000
#define SEGMENT	 (UINT64_C(64) << 10)
#define QUOTA	 (UINT64_C(4) << 20)
#define ROUNDS	 12
#define STEPS	 60

enum answer { ANSWER_NONE, ANSWER_OS, ANSWER_FSYNC };

struct model_message {
	bool present; /* may be in the log */
	enum answer answer;
	uint64_t stamp; /* its body is made of it */
	uint64_t lsn;
	bool released;
	bool refused; /* a number without a message */
};

struct model_group {
	struct cursor cursor;  /* what the group knows now */
	struct cursor written; /* of the last CURSOR record */
	struct cursor synced;  /* of the last one that is durable */
	uint64_t written_lsn;
};

struct model_topic {
	uint64_t last_seq;
	uint64_t released; /* everything up to it was given back */
	struct model_message messages[MESSAGES];
	struct model_group groups[GROUPS];
};

struct world {
	uint64_t seed;
	struct rng rng, salts;
	struct sim_disk *disk;
	struct spool *spool;
	struct model_topic topics[TOPICS];
	uint64_t stamp;
	uint8_t bodies[BATCH][BODY_MAX];
};

#define CHECK(world, condition, ...)                                                               \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)printf("seed %llu: ", (unsigned long long)(world)->seed);            \
			(void)printf(__VA_ARGS__);                                                 \
			(void)printf("\n");                                                        \
			(void)fflush(stdout);                                                      \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static uint64_t below(struct world *world, uint64_t bound)
{
	return rng_below(&world->rng, bound);
}

static size_t fill_body(uint64_t stamp, uint8_t *ret_body)
{
	size_t size = (size_t)((stamp * 2654435761u) % BODY_MAX);

	for (size_t i = 0; i < size; i++) {
		ret_body[i] = (uint8_t)(stamp + i * 7 + (i >> 8));
	}
	return size;
}

static void copy_cursor(struct cursor *to, const struct cursor *from)
{
	cursor_fini(to);
	*to = *from;
	if (from->bits) {
		to->bits = mem_copy(from->bits, from->capacity / 8);
	}
}

static unsigned groups_of(unsigned topic)
{
	return topic < 2 ? GROUPS : 0;
}

static struct spool_options options(struct world *world)
{
	return (struct spool_options){.disk = sim_disk_handle(world->disk),
		.rng = &world->salts,
		.bytes = QUOTA,
		.segment = SEGMENT,
		.wall_ms = 1};
}

static void bind_topics(struct world *world)
{
	for (unsigned i = 0; i < TOPICS; i++) {
		char name[16];
		struct spool_entry entry = {.reserve = true};

		(void)snprintf(name, sizeof name, "topic.%u", i);
		if (spool_find(world->spool, slice_from_string(name))) {
			continue;
		}
		entry.body = slice_from_string(name);
		entry.record = (struct record){.type = RECORD_TOPIC,
			.topic = i + 1,
			.length = (uint32_t)(RECORD_HEADER + entry.body.size),
			.pcrc = record_pcrc(slice_make(NULL, 0), entry.body)};
		spool_append(world->spool, &entry);
	}
}

/* Whatever is durable by now is noted as such. */
static void note_synced(struct world *world)
{
	for (unsigned i = 0; i < TOPICS; i++) {
		struct model_topic *topic = &world->topics[i];

		for (unsigned j = 0; j < groups_of(i); j++) {
			struct model_group *group = &topic->groups[j];

			if (group->written_lsn != 0 &&
				group->written_lsn < world->spool->synced_lsn) {
				copy_cursor(&group->synced, &group->written);
			}
		}
		for (uint64_t seq = topic->released + 1; seq <= topic->last_seq; seq++) {
			struct model_message *message = &topic->messages[seq];

			if (message->answer == ANSWER_OS &&
				message->lsn < world->spool->synced_lsn) {
				message->answer = ANSWER_FSYNC;
			}
		}
	}
}

static void publish(struct world *world)
{
	struct spool_entry entries[BATCH];
	uint64_t seqs[BATCH];
	unsigned topics[BATCH];
	bool fsync[BATCH], any = false;
	size_t count = 1 + (size_t)below(world, BATCH), used = 0;
	int synced = -1;

	memset(entries, 0, sizeof entries);
	for (size_t i = 0; i < count; i++) {
		struct model_topic *topic;
		struct spool_entry *entry = &entries[used];

		topics[used] = (unsigned)below(world, TOPICS);
		topic = &world->topics[topics[used]];
		if (topic->last_seq + 1 >= MESSAGES) {
			continue;
		}
		fsync[used] = below(world, 2) == 0;
		any = any || fsync[used];
		seqs[used] = ++topic->last_seq;
		topic->messages[seqs[used]] =
			(struct model_message){.present = true, .stamp = ++world->stamp};
		entry->body = slice_make(
			world->bodies[used], fill_body(world->stamp, world->bodies[used]));
		entry->record = (struct record){.type = RECORD_MSG,
			.topic = topics[used] + 1,
			.seq = seqs[used],
			.time_ms = world->stamp,
			.length = (uint32_t)(RECORD_HEADER + entry->body.size),
			.pcrc = record_pcrc(slice_make(NULL, 0), entry->body)};
		if (below(world, 12) == 0) {
			topic->messages[seqs[used]].refused = true;
			entry->reserve = true;
			entry->body.size = 8;
			entry->record.type = RECORD_LOST;
			entry->record.flags = RECORD_REFUSED;
			entry->record.length = (uint32_t)(RECORD_HEADER + entry->body.size);
			entry->record.pcrc = record_pcrc(slice_make(NULL, 0), entry->body);
		}
		if (used > 0) {
			entries[used - 1].next = entry;
		}
		used++;
	}
	spool_append(world->spool, used > 0 ? entries : NULL);
	if (any) {
		synced = spool_sync(world->spool);
	}
	for (size_t i = 0; i < used; i++) {
		struct model_message *message = &world->topics[topics[i]].messages[seqs[i]];

		CHECK(world, entries[i].status == 0 || sim_disk_dead(world->disk),
			"append: status %d", entries[i].status);
		message->lsn = entries[i].lsn;
		if (entries[i].status == 0 && (!fsync[i] || synced == 0)) {
			message->answer = fsync[i] ? ANSWER_FSYNC : ANSWER_OS;
		}
	}
	note_synced(world);
}

static void acknowledge(struct world *world)
{
	unsigned index = (unsigned)below(world, 2);
	struct model_topic *topic = &world->topics[index];
	struct model_group *group = &topic->groups[below(world, GROUPS)];

	for (unsigned i = 0; i < 12; i++) {
		uint64_t span = topic->last_seq - group->cursor.floor;
		uint64_t seq;

		if (topic->last_seq <= group->cursor.floor) {
			return;
		}
		seq = group->cursor.floor + 1 + below(world, span < 24 ? span : 24);
		if (topic->messages[seq].answer != ANSWER_NONE) {
			(void)cursor_mark(&group->cursor, seq);
		} else if (!topic->messages[seq].present) {
			(void)cursor_mark(&group->cursor, seq);
		}
	}
}

static void checkpoint(struct world *world)
{
	unsigned index = (unsigned)below(world, 2), which = (unsigned)below(world, GROUPS);
	struct model_group *group = &world->topics[index].groups[which];
	struct spool_entry entry = {.reserve = true};
	char name[8];
	struct buf body;

	(void)snprintf(name, sizeof name, "g%u", which);
	buf_init(&body);
	cursor_encode(slice_from_string(name), &group->cursor, NULL, 0, &body);
	entry.body = buf_slice(&body);
	entry.record = (struct record){.type = RECORD_CURSOR,
		.topic = index + 1,
		.length = (uint32_t)(RECORD_HEADER + entry.body.size),
		.pcrc = record_pcrc(slice_make(NULL, 0), entry.body)};
	spool_append(world->spool, &entry);
	if (entry.status == 0) {
		copy_cursor(&group->written, &group->cursor);
		group->written_lsn = entry.lsn;
	}
	buf_fini(&body);
	note_synced(world);
}

/* From the front, what every durable cursor has behind it. */
static void reclaim(struct world *world)
{
	if (spool_sync(world->spool) == 0) {
		note_synced(world);
	}
	for (unsigned i = 0; i < TOPICS && !sim_disk_dead(world->disk); i++) {
		struct model_topic *topic = &world->topics[i];

		while (groups_of(i) > 0 && topic->released < topic->last_seq) {
			uint64_t seq = topic->released + 1;
			struct model_message *message = &topic->messages[seq];
			bool done = true;

			for (unsigned j = 0; j < GROUPS; j++) {
				done = done && cursor_done(&topic->groups[j].synced, seq);
			}
			if (!done) {
				break;
			}
			if (message->present && !message->released && message->lsn != 0) {
				spool_release(world->spool, message->lsn >> 32, 1);
				message->released = true;
			}
			topic->released = seq;
		}
	}
	(void)spool_reclaim(world->spool);
}

/* B9-02: a segment for the stock, as a background thread makes it. */
static void prepare(struct world *world)
{
	struct segment_header header;
	struct segment *segment;
	uint64_t size;

	if (spool_wants_stock(world->spool, &header, &size) &&
		segment_create(sim_disk_handle(world->disk), &header, size, &segment) == 0) {
		spool_stock(world->spool, segment);
	}
}

static bool bytes_right(
	struct world *world, const struct spool_message *found, const struct model_message *message)
{
	struct disk *disk = sim_disk_handle(world->disk);
	uint8_t wanted[BODY_MAX];
	uint8_t *data = mem_alloc(found->length);
	size_t size = fill_body(message->stamp, wanted);
	char name[SEGMENT_NAME_SIZE];
	int file, status;

	if (message->refused) {
		mem_free(data);
		return (found->flags & RECORD_REFUSED) != 0 && found->length == RECORD_HEADER + 8;
	}
	segment_name(found->lsn >> 32, "seg", name);
	file = disk->ops->open(disk, name, DISK_READ);
	CHECK(world, file >= 0, "segment %s is gone", name);
	status = disk_read_all(disk, file, data, found->length, found->lsn & UINT32_MAX);
	(void)disk->ops->close(disk, file);
	status = status == 0 && found->length == RECORD_HEADER + size &&
		 memcmp(data + RECORD_HEADER, wanted, size) == 0;
	mem_free(data);
	return status != 0;
}

static uint64_t digest_cursor(const struct cursor *cursor)
{
	uint64_t sum = cursor->floor;

	for (uint32_t i = 1; i <= cursor->capacity; i++) {
		sum = sum * 3 + cursor_done(cursor, cursor->floor + i);
	}
	return sum;
}

static uint64_t digest(struct world *world)
{
	uint64_t sum = 1;

	for (uint32_t i = 0; i < world->spool->topic_count; i++) {
		struct spool_topic *topic = world->spool->topics[i];

		if (!topic) {
			continue;
		}
		sum = sum * 31 + topic->last_seq;
		for (size_t j = 0; j < topic->count; j++) {
			sum = sum * 31 + topic->messages[j].seq;
			sum = sum * 31 + topic->messages[j].lsn;
		}
		for (unsigned j = 0; j < GROUPS; j++) {
			char name[8];
			struct buf *body;
			struct cursor_image image;

			(void)snprintf(name, sizeof name, "g%u", j);
			body = map_get(&topic->cursors, slice_from_string(name));
			if (body && cursor_decode(buf_slice(body), &image) == 0) {
				sum = sum * 31 + digest_cursor(&image.cursor);
				cursor_image_fini(&image);
			}
		}
	}
	return sum;
}

static void recovered_cursor(
	struct spool_topic *topic, unsigned which, struct cursor_image *ret_image)
{
	char name[8];
	struct buf *body;

	*ret_image = (struct cursor_image){.removed = false};
	(void)snprintf(name, sizeof name, "g%u", which);
	body = map_get(&topic->cursors, slice_from_string(name));
	if (body) {
		int status = cursor_decode(buf_slice(body), ret_image);

		ASSERT(status == 0);
	}
}

static bool is_lost(const struct spool_report *report, uint32_t topic, uint64_t seq)
{
	for (size_t i = 0; i < report->loss_count; i++) {
		if (report->losses[i].topic == topic && seq >= report->losses[i].first &&
			seq <= report->losses[i].last) {
			return true;
		}
	}
	return false;
}

/* One topic after recovery against the model, which then takes over what is there. */
static void compare_topic(struct world *world, unsigned index, bool power)
{
	struct model_topic *model = &world->topics[index];
	struct spool_topic *topic =
		index < world->spool->topic_count ? world->spool->topics[index] : NULL;
	struct cursor_image images[GROUPS] = {{.removed = false}};
	size_t place = 0;
	uint64_t last = topic ? topic->last_seq : 0;

	for (unsigned j = 0; topic && j < groups_of(index); j++) {
		recovered_cursor(topic, j, &images[j]);
	}
	for (uint64_t seq = 1; seq <= model->last_seq; seq++) {
		struct model_message *message = &model->messages[seq];
		enum answer safe = power ? ANSWER_FSYNC : ANSWER_OS;
		bool found, wanted = groups_of(index) == 0;

		while (topic && place < topic->count && topic->messages[place].seq < seq) {
			place++;
		}
		found = topic && place < topic->count && topic->messages[place].seq == seq;
		for (unsigned j = 0; j < groups_of(index); j++) {
			struct model_group *group = &model->groups[j];
			bool done = topic && cursor_done(&images[j].cursor, seq);
			const struct cursor *least = power ? &group->synced : &group->written;

			wanted = wanted || !done;
			CHECK(world, done || !cursor_done(least, seq),
				"topic %u group %u: %llu was settled and returns", index, j,
				(unsigned long long)seq);
			/* A recovery that was killed may have settled what was lost unanswered:
			 * its report went with it. */
			CHECK(world,
				!done || cursor_done(&group->cursor, seq) ||
					is_lost(&world->spool->report, index + 1, seq) ||
					(!found && message->answer < safe),
				"topic %u group %u: %llu was never acknowledged", index, j,
				(unsigned long long)seq);
			CHECK(world,
				!is_lost(&world->spool->report, index + 1, seq) ||
					message->answer < safe || cursor_done(&group->cursor, seq),
				"topic %u: answered message %llu is reported lost", index,
				(unsigned long long)seq);
		}
		CHECK(world, found || !wanted || message->answer < safe,
			"topic %u: answered message %llu is missing", index,
			(unsigned long long)seq);
		CHECK(world, !found || bytes_right(world, &topic->messages[place], message),
			"topic %u: message %llu has other bytes", index, (unsigned long long)seq);
		if (found) {
			/* Recovery made it durable: it is there to stay. */
			message->present = true;
			message->answer = ANSWER_FSYNC;
			message->lsn = topic->messages[place].lsn;
			message->released = false;
		} else {
			*message = (struct model_message){.present = false};
		}
	}
	model->last_seq = last;
	model->released = 0;
	for (unsigned j = 0; j < groups_of(index); j++) {
		struct model_group *group = &model->groups[j];

		copy_cursor(&group->cursor, &images[j].cursor);
		copy_cursor(&group->written, &images[j].cursor);
		copy_cursor(&group->synced, &images[j].cursor);
		group->written_lsn = 0;
		cursor_image_fini(&images[j]);
	}
}

static void open_spool(struct world *world)
{
	struct spool_options settings = options(world);
	struct err err;
	int status;

	err_clear(&err);
	status = spool_open(&settings, &world->spool, &err);
	CHECK(world, status == 0, "open: %d %s", status, err.text);
	CHECK(world, world->spool->report.corrupt == 0, "corruption after a crash");
}

/* Recovery, now and then killed on its way, then compared, then done once more. */
static void recover(struct world *world, bool power)
{
	struct spool_options settings = options(world);
	uint64_t first;
	struct err err;

	for (unsigned i = 0; i < 3 && below(world, 2) == 0; i++) {
		struct spool *half = NULL;

		sim_disk_kill_after(world->disk, 1 + below(world, 12));
		if (spool_open(&settings, &half, &err) == 0) {
			spool_abandon(half);
		}
		sim_disk_restart(world->disk, power);
	}
	open_spool(world);
	first = digest(world);
	for (unsigned i = 0; i < TOPICS; i++) {
		compare_topic(world, i, power);
	}
	spool_abandon(world->spool);
	sim_disk_restart(world->disk, false);
	open_spool(world);
	CHECK(world, digest(world) == first, "a second recovery changed something");
	CHECK(world, world->spool->report.lost_messages == 0, "a loss was reported twice");
	bind_topics(world);
}

static void step(struct world *world)
{
	switch (below(world, 9)) {
	case 0:
	case 1:
	case 2:
	case 3:
		publish(world);
		break;
	case 4:
	case 5:
		acknowledge(world);
		break;
	case 6:
		checkpoint(world);
		break;
	case 7:
		prepare(world);
		break;
	default:
		reclaim(world);
		break;
	}
}

static void run_seed(uint64_t seed)
{
	struct world *world = mem_zalloc(sizeof *world);

	world->seed = seed;
	rng_seed(&world->rng, seed);
	rng_seed(&world->salts, seed ^ 0x5a17);
	world->disk = sim_disk_create(seed ^ 0xd15c);
	open_spool(world);
	bind_topics(world);
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool power = below(world, 2) == 0;

		sim_disk_kill_after(world->disk, 1 + below(world, 150));
		for (unsigned i = 0; i < STEPS && !sim_disk_dead(world->disk); i++) {
			step(world);
		}
		if (!sim_disk_dead(world->disk) && below(world, 2) == 0) {
			spool_close(world->spool);
		} else {
			spool_abandon(world->spool);
		}
		sim_disk_restart(world->disk, power);
		recover(world, power);
	}
	spool_close(world->spool);
	for (unsigned i = 0; i < TOPICS; i++) {
		for (unsigned j = 0; j < GROUPS; j++) {
			cursor_fini(&world->topics[i].groups[j].cursor);
			cursor_fini(&world->topics[i].groups[j].written);
			cursor_fini(&world->topics[i].groups[j].synced);
		}
	}
	sim_disk_destroy(world->disk);
	mem_free(world);
}

int main(int argc, char **argv)
{
	unsigned long long first = 1, last = 50;

	if (argc == 3 && strcmp(argv[1], "--seeds") == 0 &&
		sscanf(argv[2], "%llu..%llu", &first, &last) != 2) {
		(void)fprintf(stderr, "usage: sim-spool --seeds A..B\n");
		return 2;
	}
	for (unsigned long long seed = first; seed <= last; seed++) {
		run_seed(seed);
	}
	(void)printf("%llu seeds passed\n", last - first + 1);
	return 0;
}
