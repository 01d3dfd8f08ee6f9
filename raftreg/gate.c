/*
 * The registry thread's side of accepted streams (door.h). Slots are the worker's; a record for
 * a slot whose generation differs belongs to a stream that was finished here while it was under
 * way. What is sent in a turn is gathered per worker and posted in the write stage, one mail
 * each.
 */
#include "raftreg/gate.h"

#include <stdio.h>

#include "base/mem.h"
#include "raftreg/bytes.h"

struct gate_worker {
	struct door_worker *door;
	struct gate_stream **slots;
	size_t count;
	struct door_mail *out; /* leaves in the write stage */
};

struct gate {
	struct loop *loop;
	const struct gate_events *events;
	void *owner;
	struct gate_worker workers[DOOR_WORKERS_MAX];
	struct task flush;
};

/* One mail a worker and turn, however many streams and frames. */
static void run_flush(struct task *task)
{
	struct gate *gate = container_of(task, struct gate, flush);

	for (unsigned i = 0; i < DOOR_WORKERS_MAX; i++) {
		struct gate_worker *worker = &gate->workers[i];

		if (worker->out) {
			struct door_mail *mail = worker->out;

			worker->out = NULL;
			(void)mailbox_post(loop_mailbox(door_loop(mail->worker)), &mail->mail);
		}
	}
}

/* Runs on the worker: a gate_stream must not be touched here. */
static void deliver_to_worker(struct mail *mail)
{
	door_deliver(container_of(mail, struct door_mail, mail));
}

/* The task of the write stage posts it; until then it costs no wake-up. */
static void add_record(struct gate_stream *stream, enum door_op op, const void *bytes, size_t size)
{
	struct gate *gate = stream->gate;
	struct gate_worker *worker = &gate->workers[stream->worker];
	const struct door_record record = {.slot = stream->slot,
		.generation = stream->generation,
		.op = (uint32_t)op,
		.size = (uint32_t)size};

	ASSERT(worker->door);
	if (!worker->out) {
		worker->out = door_mail_create();
		worker->out->worker = worker->door;
		worker->out->index = stream->worker;
		worker->out->mail.deliver = deliver_to_worker;
		loop_queue_write(gate->loop, &gate->flush);
	}
	door_mail_add(worker->out, &record, bytes);
}

/* Workers introduce themselves with their first mail; until then a worker has no
 * door. */
struct gate *gate_create(struct loop *loop, const struct gate_events *events, void *owner)
{
	struct gate *gate = mem_zalloc(sizeof *gate);

	gate->loop = loop;
	gate->events = events;
	gate->owner = owner;
	task_init(&gate->flush, run_flush);
	return gate;
}

/* The registry thread has ended; the workers before it. Nobody is told any more. */
void gate_destroy(struct gate *gate)
{
	if (!gate) {
		return;
	}
	task_cancel(&gate->flush);
	for (unsigned i = 0; i < DOOR_WORKERS_MAX; i++) {
		struct gate_worker *worker = &gate->workers[i];

		for (size_t j = 0; j < worker->count; j++) {
			mem_free(worker->slots[j]);
		}
		mem_free(worker->slots);
		if (worker->out) {
			door_mail_free(worker->out);
		}
	}
	mem_free(gate);
}

/* The generation must match: a slot is given to a new stream as soon as the old one
 * ended. */
static struct gate_stream *find(struct gate_worker *worker, const struct door_record *record)
{
	struct gate_stream *stream =
		record->slot < worker->count ? worker->slots[record->slot] : NULL;

	return stream && stream->generation == record->generation ? stream : NULL;
}

/* Only this side's memory: the worker's stream ends by the record that was added
 * before. */
static void forget(struct gate_stream *stream)
{
	struct gate_worker *worker = &stream->gate->workers[stream->worker];

	ASSERT(worker->slots[stream->slot] == stream);
	worker->slots[stream->slot] = NULL;
	mem_free(stream);
}

/* The slot was free: the worker reuses it only after it told us that its last stream ended. */
static void open_stream(
	struct gate *gate, unsigned index, const struct door_record *record, struct slice bytes)
{
	struct gate_worker *worker = &gate->workers[index];
	struct gate_stream *stream = mem_zalloc(sizeof *stream);

	ASSERT(bytes.size >= 1 && record->slot < DOOR_STREAMS_MAX);
	if (record->slot >= worker->count) {
		size_t count = (size_t)record->slot + 64;

		worker->slots = mem_realloc(worker->slots, count * sizeof(*worker->slots));
		memset(worker->slots + worker->count, 0,
			(count - worker->count) * sizeof(*worker->slots));
		worker->count = count;
	}
	ASSERT(!worker->slots[record->slot]);
	stream->gate = gate;
	stream->worker = index;
	stream->slot = record->slot;
	stream->generation = record->generation;
	stream->kind = (enum door_kind)bytes.data[0];
	(void)snprintf(stream->peer, sizeof stream->peer, "%.*s", (int)bytes.size - 1,
		(const char *)bytes.data + 1);
	worker->slots[record->slot] = stream;
	gate->events->on_open(gate->owner, stream);
}

/* Acknowledged in quarters of the window, so that a steady stream never stalls. */
static void take_message(struct gate *gate, struct gate_worker *worker,
	const struct door_record *record, struct slice bytes)
{
	struct gate_stream *stream = find(worker, record);
	uint8_t taken[4];

	stream->unreported += bytes.size;
	if (stream->unreported >= DOOR_WINDOW / 4) {
		bytes_put32(taken, (uint32_t)stream->unreported);
		stream->unreported = 0;
		add_record(stream, DOOR_ACK, taken, sizeof taken);
	}
	gate->events->on_message(gate->owner, stream, bytes);
}

/* The edge is told, not the level: users that found the gate full are waiting for
 * just this. */
static void take_ack(struct gate *gate, struct gate_stream *stream, struct slice bytes)
{
	bool was_full = gate_is_full(stream);
	size_t taken = bytes_get32(bytes.data);

	ASSERT(taken <= stream->unacked);
	stream->unacked -= taken;
	if (was_full && !gate_is_full(stream)) {
		gate->events->on_writable(gate->owner, stream);
	}
}

/* One mail of a worker: in the order in which things happened there. */
static void deliver(struct mail *mail)
{
	struct door_mail *door = container_of(mail, struct door_mail, mail);
	struct gate *gate = door->gate;
	struct gate_worker *worker = &gate->workers[door->index];
	struct slice rest = buf_slice(&door->records);
	struct door_record record;
	struct slice bytes;

	worker->door = door->worker;
	while (door_mail_next(&rest, &record, &bytes)) {
		struct gate_stream *stream = find(worker, &record);

		if (record.op == DOOR_OPEN) {
			open_stream(gate, door->index, &record, bytes);
		} else if (!stream) {
			continue; /* finished here while that was under way */
		} else if (record.op == DOOR_MESSAGE) {
			take_message(gate, worker, &record, bytes);
		} else if (record.op == DOOR_ACK) {
			take_ack(gate, stream, bytes);
		} else if (record.op == DOOR_CLOSED) {
			gate->events->on_closed(gate->owner, stream, bytes.data[0] != 0);
			forget(stream);
		}
	}
	door_mail_free(door);
}

/* The loop ended before the mail was read: its streams end with the worker's
 * connections. */
static void discard(struct mail *mail)
{
	door_mail_free(container_of(mail, struct door_mail, mail));
}

void gate_post(struct gate *gate, struct door_mail *mail)
{
	mail->gate = gate;
	mail->mail.deliver = deliver;
	mail->mail.discard = discard;
	(void)mailbox_post(loop_mailbox(gate->loop), &mail->mail);
}

/* RW-04: counted as unacknowledged from now on, before the worker has even seen it. */
void gate_send(struct gate_stream *stream, struct slice message)
{
	stream->unacked += message.size;
	add_record(stream, DOOR_MESSAGE, message.data, message.size);
}

bool gate_is_full(const struct gate_stream *stream)
{
	return stream->unacked > DOOR_WINDOW;
}

/* Each frame has an answer, and answers that nobody reads are memory. Who reads is full for a
 * moment only, as with a thousand subscriptions at once. */
bool gate_is_read(struct gate_stream *stream, unsigned weight)
{
	stream->unread = gate_is_full(stream) ? stream->unread + weight : 0;
	return stream->unread <= GATE_UNREAD_MAX;
}

/* Text beyond the buffer is cut: it is for people and for logs. */
void gate_finish(struct gate_stream *stream, int status, const char *text)
{
	char bytes[256];
	int length = snprintf(bytes + 1, sizeof bytes - 1, "%s", text);

	ASSERT(status >= 0 && status < 32 && length >= 0);
	bytes[0] = (char)status;
	if ((size_t)length > sizeof bytes - 2) {
		length = (int)sizeof bytes - 2;
	}
	add_record(stream, DOOR_FINISH, bytes, (size_t)length + 1);
	forget(stream);
}

/* visit may finish the stream it is given, but no other one. */
void gate_each(
	struct gate *gate, void (*visit)(void *context, struct gate_stream *stream), void *context)
{
	for (unsigned i = 0; i < DOOR_WORKERS_MAX; i++) {
		for (size_t j = 0; j < gate->workers[i].count; j++) {
			if (gate->workers[i].slots[j]) {
				visit(context, gate->workers[i].slots[j]);
			}
		}
	}
}
