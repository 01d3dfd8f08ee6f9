/*
 * spool_recover: what a start makes of the files (B9-06, B9-07). Nothing that was there is
 * overwritten: recovered segments are sealed as they are, appending begins in a new one. Killed
 * anywhere and started again, the result is the same.
 */
#include "broker/spool_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/disk_ops.h"
#include "base/mem.h"
#include "base/rng.h"
#include "broker/cursor.h"

/* Six times what a spool of 1 TiB has in segments of the default size. */
#define FILES_MAX 100000

struct names {
	uint64_t *numbers;
	size_t count;
	bool temporary; /* leftovers of a preparation were seen */
};

struct damage {
	uint64_t offset;
	struct segment *segment;
};

struct recovery {
	struct spool *spool;
	struct segment *segment; /* being scanned */
	struct damage *damages;
	size_t damage_count;
};

/* Names that are none of ours are left alone. */
static int visit_name(void *context, const char *name)
{
	struct names *names = context;
	uint64_t number;

	if (segment_parse_name(name, "tmp", &number)) {
		names->temporary = true;
		return 0;
	}
	if (!segment_parse_name(name, "seg", &number) || number == 0 || number >= UINT32_MAX) {
		return 0;
	}
	if (names->count == FILES_MAX) {
		return -EMFILE;
	}
	names->numbers = mem_realloc(names->numbers, (names->count + 1) * sizeof *names->numbers);
	names->numbers[names->count++] = number;
	return 0;
}

/* Oldest first, as they were written. */
static int compare_numbers(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

struct file_source {
	struct segment_source source;
	struct disk *disk;
	int file;
};

/* A read error is final for the start: guessing would lose messages. */
static int read_file(struct segment_source *source, void *data, size_t size, uint64_t offset)
{
	struct file_source *file = container_of(source, struct file_source, source);

	return disk_read_all(file->disk, file->file, data, size, offset);
}

/* Judged when all segments were read: later records tell what had been durable. */
static void add_damage(struct recovery *recovery, uint64_t offset)
{
	recovery->damages = mem_realloc(
		recovery->damages, (recovery->damage_count + 1) * sizeof *recovery->damages);
	recovery->damages[recovery->damage_count++] = (struct damage){offset, recovery->segment};
}

/* From the newest, which is asked for nearly always. */
static struct segment *find_segment(const struct spool *spool, uint64_t number)
{
	const struct list_node *node = spool->segments.prev; /* most often the one being read */

	for (; node != &spool->segments; node = node->prev) {
		struct segment *segment = LIST_ENTRY(node, struct segment, node);

		if (segment->header.number == number) {
			return segment;
		}
	}
	return NULL;
}

/* The live count follows the record that stands for the message. */
static void count_live(struct spool *spool, uint64_t lsn, bool more)
{
	struct segment *segment = find_segment(spool, lsn >> 32);

	ASSERT(segment);
	segment->live = more ? segment->live + 1 : segment->live - 1;
}

/* Ascending by seq; of two with one seq the higher LSN wins (B9-07). */
static void add_message(
	struct spool *spool, struct spool_topic *topic, const struct spool_message *message)
{
	size_t at = topic->count;

	/* Nearly always at the end already, since numbers ascend in the log. */
	while (at > 0 && topic->messages[at - 1].seq >= message->seq) {
		at--;
	}
	count_live(spool, message->lsn, true);
	if (at < topic->count && topic->messages[at].seq == message->seq) {
		count_live(spool, topic->messages[at].lsn, false);
		topic->messages[at] = *message;
		return;
	}
	if (topic->count == topic->capacity) {
		topic->capacity = topic->capacity > 0 ? topic->capacity * 2 : 64;
		topic->messages =
			mem_realloc(topic->messages, topic->capacity * sizeof *topic->messages);
	}
	memmove(topic->messages + at + 1, topic->messages + at,
		(topic->count - at) * sizeof *topic->messages);
	topic->messages[at] = *message;
	topic->count++;
}

/* A record tells how far its segment was durable when it was written; the first records of a
 * segment tell that the one before, of the same run, was durable whole. */
static void note_durable(struct recovery *recovery, const struct record *record)
{
	struct segment *segment = find_segment(recovery->spool, record->synced >> 32);

	if (segment && (record->synced & UINT32_MAX) > segment->durable) {
		segment->durable = record->synced & UINT32_MAX;
	}
}

/* A record of a later version is passed; one whose body is damaged is lost alone. */
static void on_record(void *owner, const struct segment_found *found)
{
	struct recovery *recovery = owner;
	struct spool *spool = recovery->spool;
	const struct record *record = &found->record;

	spool->report.records++;
	note_durable(recovery, record);
	if (!found->intact) {
		spool->report.bad_bodies++;
		add_damage(recovery, found->offset);
		return;
	}
	if (!spool_note(spool, record, found->body)) {
		return;
	}
	if (record_is_kept(record)) {
		struct spool_message message = {
			.lsn = record_lsn(recovery->segment->header.number, found->offset),
			.seq = record->seq,
			.time_ms = record->time_ms,
			.expiry_ms = record->expiry_ms,
			.length = record->length,
			.attributes = record->attributes,
			.flags = record->flags,
			.only = record_only(found->attributes),
		};

		add_message(spool, spool_topic_at(spool, record->topic), &message);
	}
}

/* The records behind it are kept (B9-06). */
static void on_damage(void *owner, uint64_t offset, uint64_t size, bool at_end)
{
	struct recovery *recovery = owner;

	ASSERT(size > 0);
	recovery->spool->report.holes += !at_end;
	add_damage(recovery, offset);
}

/* The segment joins the list even when its header is unreadable: its bytes count, and it goes as
 * .bad. */
static int scan_open(struct recovery *recovery, struct file_source *file, uint64_t number)
{
	struct spool *spool = recovery->spool;
	struct segment_visitor visitor = {on_record, on_damage, recovery};
	struct segment *segment = mem_zalloc(sizeof *segment);
	int status;

	list_init(&segment->node);
	list_push_back(&spool->segments, &segment->node);
	segment->size = file->source.size;
	segment->file = -1;
	spool->total_bytes += segment->size;
	recovery->segment = segment;
	status = segment_read_header(&file->source, &segment->header);
	if (status == -EBADMSG) {
		segment->header.number = number;
		/* Durable by assumption: a header is synced before the file gets its name, so a
		 * bad one is corruption and no torn tail. */
		segment->end = segment->durable = segment->size;
		add_damage(recovery, 0);
		return 0;
	}
	if (status == 0 &&
		(segment->header.log != spool->meta.log || segment->header.number != number)) {
		/* A file from another spool that was copied here: reading it would deliver
		 * foreign messages. */
		status = -ESTALE;
	}
	status = status < 0
			 ? status
			 : segment_scan(&file->source, &segment->header, &visitor, &segment->end);
	/* After a kill the last records may be in the page cache alone; from here on they count as
	 * durable, so they are made so. */
	return status < 0 ? status : file->disk->ops->fdatasync(file->disk, file->file);
}

/* The name of the file goes into the error: it is what an operator can act on. */
static int scan_segment(struct recovery *recovery, uint64_t number, struct err *err)
{
	struct disk *disk = recovery->spool->options.disk;
	struct file_source file = {.source = {.read = read_file}, .disk = disk};
	char name[SEGMENT_NAME_SIZE];
	int64_t size;
	int status;

	segment_name(number, "seg", name);
	file.file = disk->ops->open(disk, name, DISK_READ);
	status = file.file < 0 ? file.file : 0;
	if (status == 0) {
		size = disk->ops->size(disk, file.file);
		file.source.size = size < 0 ? 0 : (uint64_t)size;
		status = size < 0 ? (int)size : scan_open(recovery, &file, number);
		(void)disk->ops->close(disk, file.file);
	}
	if (status < 0) {
		err_set(err, 6001, "spool segment %s: %s", name,
			status == -ESTALE	     ? "it belongs to another spool"
			: status == -EPROTONOSUPPORT ? "it was written by a later version"
						     : strerror(-status));
	}
	return status;
}

/* Below what was durable when a later record was written, damage is corruption; above it is what a
 * power cut leaves of a batch that no fsync answer covered. */
static void judge_damage(struct recovery *recovery)
{
	struct spool_report *report = &recovery->spool->report;

	for (size_t i = 0; i < recovery->damage_count; i++) {
		const struct damage *damage = &recovery->damages[i];

		if (damage->offset < damage->segment->durable) {
			report->corrupt++;
			damage->segment->damaged = true;
		} else {
			report->torn++;
		}
	}
}

/* Whether every group has that number behind it, so that nobody misses it. */
static bool done_everywhere(
	const struct cursor_image *images, size_t count, uint64_t seq, uint64_t *ret_next)
{
	bool done = true;

	*ret_next = UINT64_MAX;
	for (size_t i = 0; i < count; i++) {
		const struct cursor *cursor = &images[i].cursor;

		if (seq <= cursor->floor) {
			*ret_next = *ret_next < cursor->floor ? *ret_next : cursor->floor;
			continue;
		}
		*ret_next = seq;
		done = done && cursor_done(cursor, seq);
	}
	return done;
}

/* Neighbouring numbers become one range. */
static void report_loss(struct spool *spool, uint32_t topic, uint64_t seq)
{
	struct spool_report *report = &spool->report;
	struct spool_loss *last =
		report->loss_count > 0 ? &report->losses[report->loss_count - 1] : NULL;

	report->lost_messages++;
	if (last && last->topic == topic && last->last + 1 == seq) {
		last->last = seq;
	} else if (report->loss_count < SPOOL_LOSSES_MAX) {
		report->losses[report->loss_count++] = (struct spool_loss){
			topic, seq, seq, report->corrupt > 0 || report->torn == 0};
	}
}

/* The list is ascending and asked in order, so one pass is enough. */
static bool present(const struct spool_topic *topic, size_t *place, uint64_t seq)
{
	while (*place < topic->count && topic->messages[*place].seq < seq) {
		(*place)++;
	}
	return *place < topic->count && topic->messages[*place].seq == seq;
}

/* A number that a group still waits for and that no record has is lost: it is done in that cursor
 * from now on and reported once (B9-07). */
static bool find_losses(
	struct spool *spool, struct spool_topic *topic, struct cursor_image *images, size_t count)
{
	uint64_t last = topic->last_seq;
	size_t place = 0;
	bool lost = false;

	for (uint64_t seq = 1; count > 0 && seq <= last; seq++) {
		uint64_t next;

		if (done_everywhere(images, count, seq, &next)) {
			seq = next > seq ? next : seq;
			continue;
		}
		if (present(topic, &place, seq)) {
			continue;
		}
		lost = true;
		report_loss(spool, topic->number, seq);
		for (size_t i = 0; i < count; i++) {
			struct cursor *cursor = &images[i].cursor;

			/* Beyond its window a cursor has no place for a mark. */
			if (seq > cursor->floor && seq - cursor->floor <= CURSOR_WINDOW) {
				(void)cursor_mark(cursor, seq);
			}
		}
	}
	return lost;
}

/* What the next state block will say. */
static void keep_images(struct spool *spool, struct spool_topic *topic,
	const struct cursor_image *images, size_t count)
{
	struct buf body;

	buf_init(&body);
	for (size_t i = 0; i < count; i++) {
		int status;

		buf_clear(&body);
		cursor_encode(slice_from_string(images[i].group), &images[i].cursor,
			images[i].budgets, images[i].budget_count, &body);
		status = spool_keep_cursor(spool, topic, buf_slice(&body));
		ASSERT(status == 0);
	}
	buf_fini(&body);
}

/* True: a loss was found and the cursors of the table changed. */
static bool check_topic(struct spool *spool, struct spool_topic *topic)
{
	size_t count = 0;
	struct cursor_image *images = mem_zalloc((topic->cursors.count + 1) * sizeof *images);
	bool lost;

	MAP_FOR_EACH(entry, &topic->cursors)
	{
		int status = cursor_decode(buf_slice(entry->value), &images[count]);

		ASSERT(status == 0); /* decoded once before it was kept */
		if (images[count].cursor.floor > topic->last_seq) {
			topic->last_seq = images[count].cursor.floor;
		}
		count++;
	}
	/* Marks above the last record: their numbers are used up as well. */
	for (size_t i = 0; i < count; i++) {
		const struct cursor *cursor = &images[i].cursor;

		for (uint64_t j = cursor->capacity; cursor->above > 0 && j > 0; j--) {
			if (cursor_done(cursor, cursor->floor + j)) {
				uint64_t seq = cursor->floor + j;

				topic->last_seq = seq > topic->last_seq ? seq : topic->last_seq;
				break;
			}
		}
	}
	lost = find_losses(spool, topic, images, count);
	if (lost) {
		keep_images(spool, topic, images, count);
	}
	for (size_t i = 0; i < count; i++) {
		cursor_image_fini(&images[i]);
	}
	mem_free(images);
	return lost;
}

/* The losses and the cursors that pass them are durable before anything else happens. */
static int settle_losses(struct spool *spool)
{
	struct spool_report *report = &spool->report;
	struct spool_entry *entries;
	uint8_t(*bodies)[8];
	int status = spool_rotate(spool, 0, true);

	if (status < 0) {
		return status;
	}
	entries = mem_zalloc((report->loss_count + 1) * sizeof *entries);
	bodies = mem_zalloc((report->loss_count + 1) * sizeof *bodies);
	for (size_t i = 0; i < report->loss_count; i++) {
		const struct spool_loss *loss = &report->losses[i];
		struct spool_entry *entry = &entries[i];

		for (unsigned j = 0; j < 8; j++) {
			bodies[i][j] = (uint8_t)(loss->last >> (8 * j));
		}
		entry->body = slice_make(bodies[i], sizeof bodies[i]);
		entry->reserve = true;
		entry->record = (struct record){.type = RECORD_LOST,
			.topic = loss->topic,
			.seq = loss->first,
			.length = (uint32_t)(RECORD_HEADER + entry->body.size),
			.pcrc = record_pcrc(slice_make(NULL, 0), entry->body)};
		entry->next = i + 1 < report->loss_count ? entry + 1 : NULL;
	}
	spool_append(spool, report->loss_count > 0 ? entries : NULL);
	status = spool_sync(spool);
	mem_free(entries);
	mem_free(bodies);
	return status;
}

/* A missing META beside segments is somebody else's mistake, not a new log. */
static int take_meta(struct spool *spool, bool has_segments, struct err *err)
{
	int status = meta_load(spool->options.disk, &spool->meta);

	if (status == -ENOENT && !has_segments) {
		spool->meta = (struct meta){.log = rng_next(spool->options.rng)};
		for (size_t i = 0; i < sizeof spool->meta.hash_key; i++) {
			spool->meta.hash_key[i] = (uint8_t)rng_next(spool->options.rng);
		}
		status = meta_create(spool->options.disk, &spool->meta);
		spool->report.was_clean = true;
	} else if (status == 0) {
		spool->report.was_clean = spool->meta.clean;
		/* From now on the log is in use. */
		if (spool->meta.clean) {
			spool->meta.clean = false;
			status = meta_store(spool->options.disk, &spool->meta);
		}
	}
	if (status < 0) {
		err_set(err, 6001, "spool META: %s",
			status == -ENOENT	     ? "it is missing beside segments"
			: status == -EBADMSG	     ? "both copies are damaged"
			: status == -EPROTONOSUPPORT ? "it was written by a later version"
						     : strerror(-status));
	}
	return status;
}

/* A segment that was in stock when its owner ended: zeros behind its header, down to the end. It
 * is no recovered segment, since it holds no record (B9-07), and waits in stock again. */
static void adopt_stock(struct recovery *recovery)
{
	struct spool *spool = recovery->spool;
	struct disk *disk = spool->options.disk;
	struct segment *last = recovery->segment;
	char name[SEGMENT_NAME_SIZE];
	int file;

	if (!last || last->end != SEGMENT_FIRST || last->size <= SEGMENT_FIRST ||
		last->size > UINT32_MAX || last->header.log == 0) {
		return;
	}
	for (size_t i = 0; i < recovery->damage_count; i++) {
		if (recovery->damages[i].segment == last) {
			return;
		}
	}
	segment_name(last->header.number, "seg", name);
	file = disk->ops->open(disk, name, DISK_WRITE);
	if (file < 0) {
		return; /* it stays an empty segment, which is reclaimed */
	}
	spool->next_segment = last->header.number;
	spool->total_bytes -= last->size;
	spool_stock(spool, segment_adopt(&last->header, last->size, file));
	segment_destroy(last, disk);
}

/* In order of their numbers: later records win. */
static int scan_all(struct recovery *recovery, const struct names *names, struct err *err)
{
	int status = 0;

	for (size_t i = 0; i < names->count && status == 0; i++) {
		recovery->spool->next_segment = names->numbers[i] + 1;
		status = scan_segment(recovery, names->numbers[i], err);
		recovery->spool->report.segments++;
	}
	if (status == 0) {
		judge_damage(recovery);
		adopt_stock(recovery);
	}
	mem_free(recovery->damages);
	return status;
}

/* The last step writes, all others only read. */
int spool_recover(struct spool *spool, struct err *err)
{
	struct recovery recovery = {.spool = spool};
	struct names names = {.numbers = NULL};
	bool lost = false;
	int status = spool->options.disk->ops->list(spool->options.disk, visit_name, &names);

	if (status < 0) {
		err_set(err, 6001, "spool: the directory cannot be read: %s", strerror(-status));
		mem_free(names.numbers);
		return status;
	}
	if (names.count > 0) {
		qsort(names.numbers, names.count, sizeof *names.numbers, compare_numbers);
	}
	status = take_meta(spool, names.count > 0, err);
	status = status < 0 ? status : scan_all(&recovery, &names, err);
	mem_free(names.numbers);
	if (status < 0) {
		return status;
	}
	spool_name_all(spool);
	for (uint32_t i = 0; i < spool->topic_count; i++) {
		if (spool->topics[i] && check_topic(spool, spool->topics[i])) {
			lost = true;
		}
	}
	status = lost ? settle_losses(spool) : 0;
	if (status < 0) {
		err_set(err, 6001, "spool: losses cannot be noted: %s", strerror(-status));
	}
	return status;
}

/* Once per topic; afterwards the spool keeps only names and cursors. */
struct spool_message *spool_take_messages(struct spool_topic *topic, size_t *ret_count)
{
	struct spool_message *messages = topic->messages;

	*ret_count = topic->count;
	topic->messages = NULL;
	topic->count = topic->capacity = 0;
	return messages;
}
