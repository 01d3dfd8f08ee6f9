/*
 * The worker's side of accepted registry streams. A worker terminates gRPC, scans the bytes
 * (RT-05) and posts them; it knows nothing of Raft or sessions, and the registry thread nothing
 * of sockets. All records of one turn leave in one mail. A call lives in a slot with a
 * generation: a mail that is late finds the generation changed and is dropped. Calls are never
 * freed inside a callback of their codec, they are buried.
 */
#include "raftreg/door.h"

#include <errno.h>

#include "base/mem.h"
#include "http/grpc.h"
#include "net/loop.h"
#include "raftreg/bytes.h"
#include "raftreg/packet.h"
#include "raftreg/gate.h"
#include "raftreg/node.h"
#include "raftreg/raftreg.h"
#include "raftreg/wire.h"

/* gRPC statuses that the door itself answers with. */
enum {
	GRPC_OK = 0,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_UNAVAILABLE = 14
};

/* Messages that the worker could not hand to the stream at once. */
struct door_held {
	struct list_node node;
	size_t size;
	uint8_t bytes[];
};

struct door_call {
	struct grpc_call call;
	struct door_worker *worker;
	enum door_kind kind;
	uint32_t slot, generation;
	struct list_node held; /* of struct door_held, for the stream, in order */
	size_t unacked;	       /* posted to the registry and not yet taken there */
	bool finishing;	       /* GRPC finish waits for the held messages */
	int status;
	char text[256];
	bool told; /* the registry knows that it is gone, or made it go */
};

struct door_worker {
	struct raftreg_door *door;
	struct loop *loop;
	unsigned index;
	struct door_call **slots; /* NULL: free */
	uint32_t *generations;	  /* of each slot; rises when its call ends */
	size_t count;		  /* of slots */
	struct door_mail *out;	  /* of this turn; NULL: nothing to tell */
	struct task flush;	  /* posts it in the write stage */
};

struct raftreg_door {
	struct raftreg_node *node;
	unsigned workers;
	struct door_worker list[DOOR_WORKERS_MAX];
};

/* Mails are made per turn and freed by the other thread: neither side waits for the
 * other. */
struct door_mail *door_mail_create(void)
{
	struct door_mail *mail = mem_zalloc(sizeof *mail);

	buf_init(&mail->records);
	return mail;
}

void door_mail_free(struct door_mail *mail)
{
	buf_fini(&mail->records);
	mem_free(mail);
}

void door_mail_add(struct door_mail *mail, const struct door_record *record, const void *bytes)
{
	buf_append(&mail->records, record, sizeof *record);
	buf_append(&mail->records, bytes, record->size);
}

/* The head is copied out, for records are packed without regard to alignment. */
bool door_mail_next(struct slice *rest, struct door_record *ret_record, struct slice *ret_bytes)
{
	if (rest->size < sizeof *ret_record) {
		return false;
	}
	memcpy(ret_record, rest->data, sizeof *ret_record);
	*rest = slice_from(*rest, sizeof *ret_record);
	ASSERT(rest->size >= ret_record->size);
	*ret_bytes = slice_make(rest->data, ret_record->size);
	*rest = slice_from(*rest, ret_record->size);
	return true;
}

struct loop *door_loop(const struct door_worker *worker)
{
	return worker->loop;
}

/* One mail for everything that happened in this turn. */
static void run_flush(struct task *task)
{
	struct door_worker *worker = container_of(task, struct door_worker, flush);
	struct door_mail *mail = worker->out;

	worker->out = NULL;
	gate_post(node_gate(worker->door->node), mail);
}

/* Gathered; the task of the write stage posts it. */
static void add_record(struct door_call *call, enum door_op op, const void *bytes, size_t size)
{
	struct door_worker *worker = call->worker;
	const struct door_record record = {.slot = call->slot,
		.generation = call->generation,
		.op = (uint32_t)op,
		.size = (uint32_t)size};

	if (!worker->out) {
		worker->out = door_mail_create();
		worker->out->worker = worker;
		worker->out->index = worker->index;
		loop_queue_write(worker->loop, &worker->flush);
	}
	door_mail_add(worker->out, &record, bytes);
}

/* Once: either side may notice first. */
static void tell_closed(struct door_call *call, bool reset)
{
	const uint8_t byte = reset ? 1 : 0;

	if (!call->told) {
		call->told = true;
		add_record(call, DOOR_CLOSED, &byte, 1);
	}
}

/* At the end of the turn, when the codec is done with the stream. */
static void dispose(void *object)
{
	struct door_call *call = object;
	struct list_node *node;

	grpc_call_fini(&call->call);
	while ((node = list_pop_front(&call->held)) != NULL) {
		mem_free(LIST_ENTRY(node, struct door_held, node));
	}
	mem_free(call);
}

/* The slot is free at once; the memory goes when nobody below can still touch it. */
static void release(struct door_call *call)
{
	struct door_worker *worker = call->worker;

	if (call->slot < worker->count && worker->slots[call->slot] == call) {
		worker->slots[call->slot] = NULL;
		worker->generations[call->slot]++;
		loop_bury(worker->loop, dispose, call);
	}
}

/* The registry is told unless it already knows; a status other than OK counts as a
 * reset. */
static void end_call(struct door_call *call, int status, struct slice text)
{
	grpc_call_finish(&call->call, status, text);
	tell_closed(call, status != GRPC_OK);
	release(call);
}

/* By the limit of each kind of stream (RT-05). */
static int scan(const struct door_call *call, struct slice message)
{
	switch (call->kind) {
	case DOOR_CONTROL:
		return wire_scan(message, WIRE_CONTROL_MAX);
	case DOOR_BULK:
		return wire_scan(message, WIRE_BULK_MAX);
	case DOOR_RELAY:
		return packet_scan(message, PACKET_RELAY_MAX);
	case DOOR_SESSION:
		return packet_scan(message, PACKET_BYTES_MAX);
	}
	return -EBADMSG;
}

/* Posted as it is; decoding is the registry thread's, which alone knows what to do with it. */
static void on_message(struct grpc_call *grpc, struct slice message)
{
	struct door_call *call = grpc->owner;
	int result = scan(call, message);

	if (result < 0) { /* RT-05 */
		end_call(call,
			result == -EMSGSIZE ? GRPC_RESOURCE_EXHAUSTED : GRPC_INVALID_ARGUMENT,
			SLICE("malformed message"));
		return;
	}
	call->unacked += message.size;
	add_record(call, DOOR_MESSAGE, message.data, message.size);
	if (call->unacked > DOOR_WINDOW) {
		grpc_call_pause(grpc, true);
	}
}

/* A peer that has said everything wants no more answers: the call ends well. */
static void on_half_close(struct grpc_call *grpc)
{
	end_call(grpc->owner, GRPC_OK, (struct slice){0});
}

static void on_closed(struct grpc_call *grpc, int status, struct slice text)
{
	struct door_call *call = grpc->owner;

	(void)text;
	tell_closed(call, status != GRPC_OK);
	release(call);
}

/* Counts only what the stream really took: the registry's window then follows the
 * reader. */
static void acknowledge(struct door_call *call, size_t bytes)
{
	uint8_t taken[4];

	bytes_put32(taken, (uint32_t)bytes);
	add_record(call, DOOR_ACK, taken, sizeof taken);
}

/* Held messages go on as far as there is room, in order; then the registry may send more. */
static void on_drained(struct grpc_call *grpc)
{
	struct door_call *call = grpc->owner;
	size_t taken = 0;

	while (!list_empty(&call->held)) {
		struct door_held *held = LIST_ENTRY(call->held.next, struct door_held, node);

		if (grpc_call_send(grpc, slice_make(held->bytes, held->size)) < 0) {
			break;
		}
		taken += held->size;
		list_unlink(&held->node);
		mem_free(held);
	}
	if (taken > 0 && !call->told) {
		acknowledge(call, taken);
	}
	if (call->finishing && list_empty(&call->held)) {
		end_call(call, call->status, slice_from_string(call->text));
	}
}

static const struct grpc_call_ops call_ops = {on_message, on_half_close, on_closed, on_drained};

/* Straight to the stream while it takes; once something is held everything waits behind it. */
static void send_message(struct door_call *call, struct slice bytes)
{
	struct door_held *held;

	if (list_empty(&call->held) && grpc_call_send(&call->call, bytes) == 0) {
		acknowledge(call, bytes.size);
		return;
	}
	if (call->call.closed) {
		return;
	}
	held = mem_alloc(sizeof *held + bytes.size);
	list_init(&held->node);
	held->size = bytes.size;
	memcpy(held->bytes, bytes.data, bytes.size);
	list_push_back(&call->held, &held->node);
}

/* The registry's last word waits behind what it sent before. */
static void finish(struct door_call *call, struct slice bytes)
{
	size_t length = bytes.size - 1;

	call->told = true; /* it is the registry that ends it */
	call->finishing = true;
	call->status = bytes.data[0];
	length = length < sizeof call->text ? length : sizeof call->text - 1;
	memcpy(call->text, bytes.data + 1, length);
	call->text[length] = '\0';
	if (list_empty(&call->held)) {
		end_call(call, call->status, slice_from_string(call->text));
	}
}

/* The registry took these bytes off its mailbox; the peer may send again. */
static void take_ack(struct door_call *call, struct slice bytes)
{
	size_t taken = bytes_get32(bytes.data);

	ASSERT(taken <= call->unacked);
	call->unacked -= taken;
	if (call->call.paused && call->unacked <= DOOR_WINDOW) {
		grpc_call_pause(&call->call, false);
	}
}

/* From the registry. What is meant for a call that is gone is dropped; it has been told
 * already. */
void door_deliver(struct door_mail *mail)
{
	struct door_worker *worker = mail->worker;
	struct slice rest = buf_slice(&mail->records);
	struct door_record record;
	struct slice bytes;

	while (door_mail_next(&rest, &record, &bytes)) {
		struct door_call *call =
			record.slot < worker->count ? worker->slots[record.slot] : NULL;

		if (!call || call->generation != record.generation) {
			continue;
		}
		if (record.op == DOOR_MESSAGE) {
			send_message(call, bytes);
		} else if (record.op == DOOR_FINISH) {
			finish(call, bytes);
		} else if (record.op == DOOR_ACK) {
			take_ack(call, bytes);
		}
	}
	door_mail_free(mail);
}

/* The lowest free one: the table stays as small as the most streams there ever were. */
static bool find_slot(struct door_worker *worker, uint32_t *ret_slot)
{
	for (size_t i = 0; i < worker->count; i++) {
		if (!worker->slots[i]) {
			*ret_slot = (uint32_t)i;
			return true;
		}
	}
	if (worker->count >= DOOR_STREAMS_MAX) {
		return false;
	}
	*ret_slot = (uint32_t)worker->count;
	worker->slots = mem_realloc(worker->slots, (worker->count + 64) * sizeof(*worker->slots));
	worker->generations = mem_realloc(
		worker->generations, (worker->count + 64) * sizeof(*worker->generations));
	for (size_t i = worker->count; i < worker->count + 64; i++) {
		worker->slots[i] = NULL;
		worker->generations[i] = 1;
	}
	worker->count += 64;
	return true;
}

/* Exact names: nothing else below these prefixes is served. */
static bool kind_of(struct slice path, enum door_kind *ret_kind)
{
	static const struct {
		const char *path;
		enum door_kind kind;
	} paths[] = {{"/pillion.v1.Raft/Control", DOOR_CONTROL},
		{"/pillion.v1.Raft/Bulk", DOOR_BULK}, {"/pillion.v1.Registry/Relay", DOOR_RELAY},
		{"/pillion.v1.Registry/Session", DOOR_SESSION}};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (slice_equal(path, slice_from_string(paths[i].path))) {
			*ret_kind = paths[i].kind;
			return true;
		}
	}
	return false;
}

/* A call that ends before it begins still needs somebody who owns its stream. */
static void refuse(struct door_worker *worker, struct stream *stream, int status, const char *text)
{
	struct door_call *call = mem_zalloc(sizeof *call);
	const struct grpc_call_options options = {.ops = &call_ops,
		.owner = call,
		.message_max = WIRE_CONTROL_MAX,
		.queue_max = DOOR_WINDOW};

	call->worker = worker;
	call->told = true;
	list_init(&call->held);
	call->slot = UINT32_MAX;
	grpc_call_accept(&call->call, stream, &options);
	grpc_call_finish(&call->call, status, slice_from_string(text));
	loop_bury(worker->loop, dispose, call);
}

/* Who may speak is decided before anything is allocated: strangers never get to a replica. */
static void on_open(void *context, const struct endpoint_request *request)
{
	struct raftreg_door *door = context;
	struct door_worker *worker = &door->list[request->worker];
	enum door_kind kind;
	char bytes[1 + ADDRESS_TEXT_MAX];
	struct door_call *call;
	uint32_t slot;
	struct grpc_call_options options = {
		.ops = &call_ops, .message_max = WIRE_BULK_MAX, .queue_max = DOOR_WINDOW};

	ASSERT(request->worker < door->workers);
	if (!request->mesh_peer) {
		refuse(worker, request->stream, GRPC_PERMISSION_DENIED, "not a peer of the mesh");
		return;
	}
	if (!kind_of(request->head->path, &kind)) {
		refuse(worker, request->stream, GRPC_UNIMPLEMENTED, "no such method");
		return;
	}
	if (!door->node) {
		refuse(worker, request->stream, GRPC_UNAVAILABLE, "not a replica");
		return;
	}
	if (!find_slot(worker, &slot)) {
		refuse(worker, request->stream, GRPC_RESOURCE_EXHAUSTED, "too many streams");
		return;
	}
	call = mem_zalloc(sizeof *call);
	call->worker = worker;
	call->kind = kind;
	call->slot = slot;
	call->generation = worker->generations[slot];
	list_init(&call->held);
	worker->slots[slot] = call;
	bytes[0] = (char)kind;
	(void)address_format(request->peer, bytes + 1);
	add_record(call, DOOR_OPEN, bytes, 1 + strlen(bytes + 1));
	options.owner = call;
	grpc_call_accept(&call->call, request->stream, &options);
}

/* Also without a replica: then it says so, instead of leaving the path to somebody else. */
struct raftreg_door *raftreg_door_create(
	struct raftreg_node *node, struct loop *const *worker_loops, unsigned workers)
{
	struct raftreg_door *door = mem_zalloc(sizeof *door);

	ASSERT(workers <= DOOR_WORKERS_MAX);
	door->node = node;
	door->workers = workers;
	for (unsigned i = 0; i < workers; i++) {
		door->list[i].door = door;
		door->list[i].loop = worker_loops[i];
		door->list[i].index = i;
		task_init(&door->list[i].flush, run_flush);
	}
	return door;
}

/* The workers have ended: their streams are closed, so what is left here is only memory. */
void raftreg_door_destroy(struct raftreg_door *door)
{
	if (!door) {
		return;
	}
	for (unsigned i = 0; i < door->workers; i++) {
		struct door_worker *worker = &door->list[i];

		task_cancel(&worker->flush);
		for (size_t j = 0; j < worker->count; j++) {
			if (worker->slots[j]) {
				dispose(worker->slots[j]);
			}
		}
		mem_free(worker->slots);
		mem_free(worker->generations);
		if (worker->out) {
			door_mail_free(worker->out);
		}
	}
	mem_free(door);
}

/* Only inbound: the outbound side of a mesh port never serves the registry. */
unsigned raftreg_door_endpoints(struct raftreg_door *door, struct endpoint ret[RAFTREG_ENDPOINTS])
{
	ret[0] = (struct endpoint){.prefix = SLICE("/pillion.v1.Raft/"),
		.directions = ENDPOINT_INBOUND,
		.open = on_open,
		.context = door};
	ret[1] = ret[0];
	ret[1].prefix = SLICE("/pillion.v1.Registry/");
	return RAFTREG_ENDPOINTS;
}
