/*
 * What accepted streams are for. Hello comes first on the streams of replicas and binds them to
 * an id and a start of that replica (RT-03); a newer start ends what older ones left, so a late
 * acknowledgement of a former life is never stepped. Relayed requests are answered on the
 * stream they came by; whether we lead is decided when they are looked at, not here.
 */
#include "raftreg/inlet.h"

#include "base/log.h"
#include "base/mem.h"
#include "raftreg/core/status.h"
#include "raftreg/fanout.h"
#include "raftreg/node.h"

enum { GRPC_OK = 0, GRPC_FAILED_PRECONDITION = 9, GRPC_UNAVAILABLE = 14 };

struct inlet {
	struct raftreg_node *node;
	struct gate_stream *stream;
	struct node_origin origin; /* relay */
	/* Of a peer, after its Hello: */
	uint64_t id, boot_id, boot_count;
};

/* RD-08: the answer goes back over the stream the request was relayed on, under the
 * number that the other replica gave it. */
static void on_reply(struct node_origin *origin, struct packet *answer)
{
	struct inlet *inlet = container_of(origin, struct inlet, origin);
	struct buf bytes;

	buf_init(&bytes);
	packet_copy(answer, &bytes);
	gate_send(inlet->stream, buf_slice(&bytes));
	buf_fini(&bytes);
}

/* A stopped role takes nothing in (RS-16); the other side tries elsewhere. */
static void on_open(void *owner, struct gate_stream *stream)
{
	struct raftreg_node *node = owner;
	struct inlet *inlet;

	if (atomic_load(&node->role_stopped)) {
		gate_finish(stream, GRPC_UNAVAILABLE, "role stopped");
		return;
	}
	if (stream->kind == DOOR_SESSION) {
		fanout_open(node->fanout, stream);
		return;
	}
	inlet = mem_zalloc(sizeof *inlet);
	inlet->node = node;
	inlet->stream = stream;
	inlet->origin.reply = on_reply;
	inlet->origin.relay = true;
	list_init(&inlet->origin.requests);
	stream->owner = inlet;
}

/* Relayed requests lose whom to answer; their sidecars repeat them elsewhere
 * (RD-07). */
static void free_inlet(struct inlet *inlet)
{
	node_request_forget(inlet->node, &inlet->origin);
	mem_free(inlet);
}

/* The stream is forgotten here at once; the worker sends the status. */
static void refuse(struct inlet *inlet, int status, const char *text)
{
	struct gate_stream *stream = inlet->stream;

	free_inlet(inlet);
	gate_finish(stream, status, text);
}

struct lives {
	const struct wire_hello *hello;
	struct gate_stream *older;
	bool newer;
};

/* One at a time, for the table changes when a stream is finished. */
static void find_lives(void *context, struct gate_stream *stream)
{
	struct lives *lives = context;
	const struct inlet *inlet = stream->owner;

	if (stream->kind > DOOR_BULK || !inlet || inlet->id != lives->hello->self.id ||
		inlet->boot_id == lives->hello->boot_id) {
		return;
	}
	if (inlet->boot_count > lives->hello->boot_count) {
		lives->newer = true;
	} else {
		lives->older = stream;
	}
}

/* RT-03: a newer start of a peer ends what an older one left. False: this is the older one. */
static bool outlives(const struct inlet *inlet, const struct wire_hello *hello)
{
	struct lives lives = {.hello = hello};

	do {
		lives.older = NULL;
		gate_each(node_gate(inlet->node), find_lives, &lives);
		if (lives.older) {
			refuse(lives.older->owner, INLET_ABORTED, "a newer start of this replica");
			if (inlet->node->incoming.from == hello->self.id) {
				node_snapshot_forget(inlet->node);
			}
		}
	} while (lives.older);
	return !lives.newer;
}

/* RT-03: it does not know that it lacks what it acknowledged in this term, so its votes must not
 * count as certain ones. Of a higher term than ours nothing is held here. */
static bool has_lost(const struct raftreg_node *node, const struct wire_hello *hello)
{
	struct raft_status *status;
	uint64_t match = 0;

	if (!node_is_leader(node) || hello->uncertain || hello->term > node->now.term) {
		return false;
	}
	status = mem_alloc(sizeof *status);
	raft_status_get(node->raft, status);
	for (size_t i = 0; i < status->peer_count; i++) {
		match = status->peers[i].id == hello->self.id ? status->peers[i].match : match;
	}
	mem_free(status);
	return hello->last_index < match;
}

/* Also tells whom we know: the other side may be looking for its cluster. */
static void answer_hello(struct inlet *inlet)
{
	struct wire_hello *hello = mem_alloc(sizeof *hello);
	struct buf bytes;

	buf_init(&bytes);
	node_fill_hello(inlet->node, hello);
	wire_put_hello(hello, &bytes);
	gate_send(inlet->stream, buf_slice(&bytes));
	buf_fini(&bytes);
	mem_free(hello);
}

/* Only control streams answer Hello: bulk ones carry nothing back (RT-02). */
static void greet_again(void *context, struct gate_stream *stream)
{
	const struct inlet *inlet = stream->owner;

	(void)context;
	if (stream->kind == DOOR_CONTROL && inlet && inlet->id != 0) {
		answer_hello(stream->owner);
	}
}

void inlet_greet_all(struct raftreg_node *node)
{
	ASSERT(node->has_cluster || node->birth.known);
	gate_each(node_gate(node), greet_again, NULL);
}

struct search {
	uint64_t id;
	bool found;
};

static void find_open(void *context, struct gate_stream *stream)
{
	struct search *search = context;
	const struct inlet *inlet = stream->owner;

	search->found =
		search->found || (stream->kind == DOOR_CONTROL && inlet && inlet->id == search->id);
}

bool inlet_is_open(struct raftreg_node *node, uint64_t id)
{
	struct search search = {.id = id};

	ASSERT(id != 0);
	gate_each(node_gate(node), find_open, &search);
	return search.found;
}

/* The peer says that its log ends before what it once acknowledged (RM-15). */
static void check_reset(struct raftreg_node *node, const struct wire_hello *hello)
{
	struct raft_event event = {.kind = RAFT_PEER_RESET,
		.u.peer_reset = {.peer = hello->self.id, .last = hello->last_index}};

	ASSERT(hello->self.id != node->self.id);
	if (node->has_cluster) {
		(void)node_step(node, &event);
	}
}

/* On bulk it only binds the stream; on control it also introduces the replica. */
static void on_hello(struct inlet *inlet, const struct wire_hello *hello)
{
	struct raftreg_node *node = inlet->node;

	if (hello->format != WIRE_FORMAT) {
		refuse(inlet, 12, "no common format"); /* UNIMPLEMENTED */
		return;
	}
	if (!node_meet(node, hello)) {
		refuse(inlet, GRPC_FAILED_PRECONDITION, "another cluster");
		return;
	}
	if (!outlives(inlet, hello)) {
		refuse(inlet, INLET_ABORTED, "an older start of this replica");
		return;
	}
	if (inlet->stream->kind == DOOR_CONTROL && has_lost(node, hello)) {
		log_event(LOG_LEVEL_ERROR, "raftreg", 2103,
			"a replica has less than it acknowledged",
			(struct log_field[]){LOG_TEXT("pillion.replica", hello->self.name),
				LOG_NUMBER("pillion.index", hello->last_index)},
			2);
		refuse(inlet, INLET_ABORTED, INLET_LOST);
		return;
	}
	inlet->id = hello->self.id;
	inlet->boot_id = hello->boot_id;
	inlet->boot_count = hello->boot_count;
	if (inlet->stream->kind != DOOR_CONTROL) {
		return;
	}
	if (hello->self.id != node->self.id) {
		check_reset(node, hello);
		node_member_knock(node, hello);
	}
	answer_hello(inlet);
}

/* After the first Hello every further one is ignored; a replica that has news dials anew. */
static void on_peer_message(struct inlet *inlet, struct slice message)
{
	struct slice inner;

	if (inlet->id != 0) {
		node_receive(inlet->node, message, inlet->id);
		return;
	}
	/* RT-03: Hello comes first and is accepted before anything else is read. */
	if (wire_peek(message, &inner) != WIRE_HELLO) {
		refuse(inlet, GRPC_FAILED_PRECONDITION, "no hello");
		return;
	}
	struct wire_hello *hello = mem_alloc(sizeof *hello);

	if (wire_get_hello(inner, hello) < 0) {
		refuse(inlet, 3, "malformed hello"); /* INVALID_ARGUMENT */
	} else {
		on_hello(inlet, hello);
	}
	mem_free(hello);
}

/* By the kind that the path said when the stream was opened. */
static void on_message(void *owner, struct gate_stream *stream, struct slice message)
{
	struct raftreg_node *node = owner;

	switch (stream->kind) {
	case DOOR_SESSION:
		fanout_message(node->fanout, stream, message);
		break;
	case DOOR_RELAY:
		node_request_take(node, &((struct inlet *)stream->owner)->origin, message);
		break;
	case DOOR_CONTROL:
	case DOOR_BULK:
		on_peer_message(stream->owner, message);
		break;
	}
}

/* RT-07's reset hint is not in force: how the stream ended makes no difference yet. */
static void on_closed(void *owner, struct gate_stream *stream, bool reset)
{
	struct raftreg_node *node = owner;

	(void)reset;
	if (stream->kind == DOOR_SESSION) {
		fanout_closed(node->fanout, stream);
	} else {
		free_inlet(stream->owner);
	}
}

/* Only sessions wait for room; messages between replicas are lost and repeated
 * (RC-10). */
static void on_writable(void *owner, struct gate_stream *stream)
{
	struct raftreg_node *node = owner;

	if (stream->kind == DOOR_SESSION) {
		fanout_writable(node->fanout, stream);
	}
}

const struct gate_events inlet_events = {on_open, on_message, on_closed, on_writable};
