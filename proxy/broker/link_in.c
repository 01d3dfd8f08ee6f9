/*
 * link_in: the accepted side of a link: frames go by mail to the worker where the member lives, and
 * what it says goes back on the stream (docs/rules/broker.md 11).
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/member.h"
#include "broker/respond.h"
#include "http/grpc.h"

#define MESSAGE_MAX ((size_t)17 << 20) /* the largest max_message and its attributes */
#define QUEUE_MAX   ((size_t)1 << 20)

enum { STATUS_OK = 0, STATUS_INVALID = 3, STATUS_UNIMPLEMENTED = 12 };

struct link_in {
	struct desk *desk;
	uint32_t slot;
	uint64_t generation;
	struct grpc_call call;
	uint64_t log; /* of the publisher */
	bool greeted;
	bool closed;
	struct map lanes;    /* id -> home worker + 1 */
	struct buf *waiting; /* frames that found the queue full, in order */
	size_t waiting_count;
};

/* Numbers are the publisher's and unique on one link. */
static struct slice lane_key(const uint32_t *lane)
{
	return slice_make(lane, sizeof *lane);
}

/* Frames that never left are dropped: the publisher's guard covers them. */
static void free_link(void *object)
{
	struct link_in *link = object;

	for (size_t i = 0; i < link->waiting_count; i++) {
		buf_fini(&link->waiting[i]);
	}
	mem_free(link->waiting);
	map_fini(&link->lanes);
	mem_free(link);
}

struct lost_mail {
	struct desk_mail mail;
	struct frame_origin origin;
};

/* The desk that should hear of it is gone itself. */
static void discard_lost(struct desk_mail *mail)
{
	mem_free(container_of(mail, struct lost_mail, mail));
}

/* On every worker, because members of one link live on several. */
static void run_lost(struct desk *desk, struct desk_mail *mail)
{
	struct lost_mail *lost = container_of(mail, struct lost_mail, mail);

	member_origin_lost(desk, &lost->origin);
	mem_free(lost);
}

static struct frame_origin origin_of(const struct link_in *link)
{
	struct frame_origin origin;

	/* Compared byte by byte, so padding counts. */
	memset(&origin, 0, sizeof origin);
	origin.worker = link->desk->index;
	origin.slot = link->slot;
	origin.generation = link->generation;
	return origin;
}

/* Members on any worker let go of its lanes; their consumers go on. */
static void close_link(struct link_in *link)
{
	struct broker *broker = link->desk->broker;

	if (link->closed) {
		return;
	}
	link->closed = true;
	link->desk->accepted[link->slot] = NULL;
	link->desk->accepted_live--;
	for (unsigned i = 0; i < broker->workers; i++) {
		struct lost_mail *lost = mem_zalloc(sizeof *lost);

		lost->origin = origin_of(link);
		desk_post(&broker->desks[i], &lost->mail, run_lost, discard_lost);
	}
	loop_bury(link->desk->loop, free_link, link);
}

/* The status tells the other side what it did wrong. */
static void fail(struct link_in *link, int status, const char *text)
{
	counters_add(&link->desk->broker->counters.link_errors, 1);
	grpc_call_finish(&link->call, status, slice_from_string(text));
}

/* Order is kept: once something waits, everything behind it waits too. */
static void send_message(struct link_in *link, struct buf *message)
{
	int status = link->waiting_count > 0 ? -ENOBUFS
					     : grpc_call_send(&link->call, buf_slice(message));

	if (status != -ENOBUFS) {
		buf_fini(message);
		return;
	}
	/* What waits is bounded by the credits that this side gave. */
	link->waiting =
		mem_realloc(link->waiting, (link->waiting_count + 1) * sizeof *link->waiting);
	link->waiting[link->waiting_count++] = *message;
}

/* Coded here, on the worker that owns the stream. */
static void send_frame(struct link_in *link, const struct frame *frame)
{
	struct buf message;

	buf_init(&message);
	frame_encode(frame, &message);
	send_message(link, &message);
}

/* Ranges of versions must meet; there is one version yet. */
static void take_hello(struct link_in *link, const struct frame *hello)
{
	struct frame *welcome;

	if (hello->version_min > FRAME_VERSION || hello->version_max < FRAME_VERSION) {
		fail(link, STATUS_UNIMPLEMENTED, "no common version of the link");
		return;
	}
	link->greeted = true;
	link->log = hello->log;
	welcome = frame_create(false, FRAME_WELCOME, 0);
	welcome->version_min = FRAME_VERSION;
	memcpy(welcome->sidecar, link->desk->broker->sidecar, sizeof welcome->sidecar);
	welcome->lanes_max = DESK_LANES_MAX;
	welcome->frame_max = (uint32_t)MESSAGE_MAX;
	send_frame(link, welcome);
	frame_destroy(welcome);
}

static void discard_frame(struct desk_mail *mail)
{
	frame_destroy(container_of(mail, struct frame, mail));
}

static void run_frame(struct desk *desk, struct desk_mail *mail)
{
	member_receive(desk, container_of(mail, struct frame, mail));
}

/* Only the first frame of a lane names its member; the rest follow the map. */
static void forward(struct link_in *link, struct frame *frame)
{
	struct broker *broker = link->desk->broker;
	uintptr_t home = (uintptr_t)map_get(&link->lanes, lane_key(&frame->lane));

	if (frame->kind == FRAME_OPEN && home == 0) {
		if (link->lanes.count >= DESK_LANES_MAX) {
			struct frame *opened = frame_create(false, FRAME_OPENED, frame->lane);

			opened->status = 429;
			send_frame(link, opened);
			frame_destroy(opened);
			frame_destroy(frame);
			return;
		}
		home = names_home(slice_from_string(frame->group), slice_from_string(frame->member),
			       broker->workers) +
		       1;
		(void)map_set(&link->lanes, lane_key(&frame->lane), (void *)home);
	}
	if (home == 0) {
		frame_destroy(frame);
		fail(link, STATUS_INVALID, "unknown lane");
		return;
	}
	if (frame->kind == FRAME_CLOSE) {
		(void)map_remove(&link->lanes, lane_key(&frame->lane));
	}
	frame->origin = origin_of(link);
	frame->log = link->log;
	desk_post(&broker->desks[home - 1], &frame->mail, run_frame, discard_frame);
}

/* Hello first, and nothing before it. */
static void on_message(struct grpc_call *call, struct slice message)
{
	struct link_in *link = call->owner;
	struct frame *frame;
	int status = frame_decode(message, true, &frame);

	if (status == -ENOSYS) {
		return;
	}
	if (status < 0) {
		fail(link, STATUS_INVALID, "malformed frame");
		return;
	}
	if (frame->kind == FRAME_HELLO) {
		take_hello(link, frame);
		frame_destroy(frame);
	} else if (!link->greeted) {
		frame_destroy(frame);
		fail(link, STATUS_INVALID, "Hello comes first");
	} else {
		forward(link, frame);
	}
}

/* The publisher is done; what it has not heard it will learn from its next lane. */
static void on_half_close(struct grpc_call *call)
{
	grpc_call_finish(call, STATUS_OK, slice_make(NULL, 0));
}

/* Whatever the reason: the lanes are gone. */
static void on_closed(struct grpc_call *call, int status, struct slice text)
{
	(void)status;
	(void)text;
	close_link(call->owner);
}

/* As much of what waits as fits now. */
static void on_drained(struct grpc_call *call)
{
	struct link_in *link = call->owner;
	size_t sent = 0;

	while (sent < link->waiting_count &&
		grpc_call_send(call, buf_slice(&link->waiting[sent])) == 0) {
		buf_fini(&link->waiting[sent]);
		sent++;
	}
	link->waiting_count -= sent;
	memmove(link->waiting, link->waiting + sent, link->waiting_count * sizeof *link->waiting);
}

static const struct grpc_call_ops link_call_ops = {
	on_message, on_half_close, on_closed, on_drained};

/* A frame for a link that was replaced meanwhile is dropped by its generation. */
void link_in_send(struct desk *desk, struct frame *frame)
{
	struct link_in *link = frame->origin.slot < desk->accepted_count
				       ? desk->accepted[frame->origin.slot]
				       : NULL;

	if (link && link->generation == frame->origin.generation) {
		send_frame(link, frame);
	}
	frame_destroy(frame);
}

/* Slots are used again; generations are not. */
static struct link_in *make(struct desk *desk)
{
	struct link_in *link = mem_zalloc(sizeof *link);
	uint32_t slot = 0;

	while (slot < desk->accepted_count && desk->accepted[slot]) {
		slot++;
	}
	if (slot == desk->accepted_count) {
		desk->accepted_count += 16;
		desk->accepted =
			mem_realloc(desk->accepted, desk->accepted_count * sizeof *desk->accepted);
		memset(desk->accepted + slot, 0, 16 * sizeof *desk->accepted);
	}
	desk->accepted[slot] = link;
	desk->accepted_live++;
	link->desk = desk;
	link->slot = slot;
	link->generation = desk->next_generation++;
	map_init(&link->lanes);
	return link;
}

/* Refusals in the order of section 11: who, how, what, how many. */
void link_in_open(void *context, const struct endpoint_request *request)
{
	struct broker *broker = context;
	struct desk *desk = &broker->desks[request->worker];
	struct grpc_call_options options = {
		.ops = &link_call_ops, .message_max = MESSAGE_MAX, .queue_max = QUEUE_MAX};
	struct link_in *link;

	if (!request->mesh_peer) {
		counters_add(&broker->counters.denied, 1);
		respond_refuse(broker, request, REASON_denied, "this is no mesh peer");
	} else if (!request->stream->codec->h2) {
		respond_refuse(broker, request, REASON_bad_version, NULL);
	} else if (!desk->server || !desk->plan->enabled ||
		   !slice_equal(request->head->path, SLICE("/pillion.v1.Broker/Link"))) {
		respond_refuse(broker, request, REASON_broker_off, NULL);
	} else if (desk->accepted_live >= DESK_LINKS_MAX) {
		respond_refuse(broker, request, REASON_overloaded, NULL); /* L4 */
	} else {
		link = make(desk);
		options.owner = link;
		grpc_call_accept(&link->call, request->stream, &options);
	}
}

/* The streams are let go, which tells the publishers. */
void link_in_close_all(struct desk *desk)
{
	for (uint32_t i = 0; i < desk->accepted_count; i++) {
		struct link_in *link = desk->accepted[i];

		if (link) {
			grpc_call_fini(&link->call);
			close_link(link);
		}
	}
}
