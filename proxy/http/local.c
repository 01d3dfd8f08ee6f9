/*
 * local: two ends of one stream inside the process. Every call only marks a stream; local_pump, run
 * by the owner as receive or produce, moves what is due: heads, then bytes up to the window, then
 * the end, then a reset. So callbacks never nest, exactly as with a codec behind a socket.
 */
#include "http/local.h"

#include "base/list.h"
#include "base/mem.h"
#include "http/h2_error.h"

struct local_head {
	struct list_node node; /* in local_stream.heads */
	struct head head;      /* in the arena of the other end */
	bool end;
};

struct local {
	struct codec codec;
	struct list_node streams; /* all */
	struct list_node marked;  /* those with something to do in local_pump */
	size_t live;
};

struct local_stream {
	struct stream stream;
	struct local *local;
	struct local_stream *other; /* NULL: not there yet, or gone */
	struct list_node node;
	struct list_node mark;
	struct list_node heads; /* sent, not yet delivered; trailers come last */
	enum reason why;	/* of the owner's reset */
	bool far;
	bool owned;	  /* its owner has not let go */
	bool announced;	  /* far: on_stream ran */
	bool end_pending; /* an end without trailers is to be delivered after `out` */
	bool cut;	  /* nothing more is delivered from this end; the other one is told */
	bool told;	  /* on_reset ran here */
};

static struct local_stream *local_stream_of(struct stream *stream)
{
	return container_of(stream, struct local_stream, stream);
}

static struct local *local_of(struct codec *codec)
{
	return container_of(codec, struct local, codec);
}

static void local_mark(struct local_stream *stream)
{
	struct codec *codec = &stream->local->codec;

	if (list_linked(&stream->mark)) {
		return;
	}
	list_push_back(&stream->local->marked, &stream->mark);
	codec->again = true;
	codec->has_output = true;
	codec->events->on_change(codec);
}

static struct local_stream *local_stream_create(struct local *local, bool far)
{
	struct local_stream *stream = mem_zalloc(sizeof(*stream));

	stream->local = local;
	stream->far = far;
	stream->owned = true;
	stream->stream.codec = &local->codec;
	stream->stream.window = local->codec.limits->h2_stream_window;
	arena_init(&stream->stream.arena);
	chain_init(&stream->stream.out);
	list_init(&stream->mark);
	list_init(&stream->heads);
	list_push_back(&local->streams, &stream->node);
	local->live++;
	local->codec.streams_active = (uint32_t)((local->live + 1) / 2);
	return stream;
}

static void local_stream_free(struct local_stream *stream)
{
	struct local *local = stream->local;

	ASSERT(!stream->owned && local->live > 0);
	if (stream->other) {
		/* Heads that were not delivered lie in the other end's arena and go with it. */
		list_init(&stream->other->heads);
		stream->other->other = NULL;
	}
	list_unlink(&stream->node);
	list_unlink(&stream->mark);
	chain_fini(&stream->stream.out);
	arena_fini(&stream->stream.arena);
	mem_free(stream);
	local->live--;
	local->codec.streams_active = (uint32_t)((local->live + 1) / 2);
}

static struct stream *local_open(struct codec *codec)
{
	if (codec->draining || codec->ops->spare_streams(codec) == 0) {
		return NULL;
	}
	return &local_stream_create(local_of(codec), false)->stream;
}

static int local_send_head(struct stream *stream, const struct head *head, bool end)
{
	struct local_stream *self = local_stream_of(stream);
	struct local_head *sent;

	ASSERT(self->owned && !stream->ended_out);
	ASSERT(head->kind != HEAD_TRAILERS || (end && stream->head_out));
	if (head->kind == HEAD_REQUEST) {
		ASSERT(!self->far && !self->other);
		self->other = local_stream_create(self->local, true);
		self->other->other = self;
	}
	if (head->kind == HEAD_REQUEST || head->kind == HEAD_RESPONSE) {
		ASSERT(!stream->head_out);
		stream->head_out = true;
	}
	stream->ended_out = end;
	if (!self->other) {
		return 0; /* the other end is gone; its reset is on the way */
	}
	sent = arena_alloc(&self->other->stream.arena, sizeof(*sent));
	head_init(&sent->head, &self->other->stream.arena, head->kind);
	head_copy(&sent->head, head);
	sent->head.version = HTTP_2;
	sent->head.te_trailers = true;
	sent->end = end;
	list_push_back(&self->heads, &sent->node);
	local_mark(self);
	return 0;
}

static void local_send_more(struct stream *stream, bool end)
{
	struct local_stream *self = local_stream_of(stream);

	ASSERT(self->owned && stream->head_out && !stream->ended_out);
	stream->ended_out = end;
	self->end_pending = end;
	local_mark(self);
}

static void local_credit(struct stream *stream, size_t bytes)
{
	struct local_stream *self = local_stream_of(stream);

	stream->credited += bytes;
	ASSERT(stream->credited <= stream->received);
	if (self->other) {
		local_mark(self->other);
	}
}

static void local_reset(struct stream *stream, enum reason why)
{
	struct local_stream *self = local_stream_of(stream);

	ASSERT(self->owned);
	self->owned = false;
	self->why = why;
	/* A server end that said all it had to say is still delivered. */
	if (why != REASON_ok || !stream->ended_out || !self->far) {
		self->cut = true;
		chain_clear(&stream->out);
	}
	local_mark(self);
}

static void local_drain(struct codec *codec, bool final)
{
	(void) final;
	codec->draining = true;
	codec->closing = local_of(codec)->live == 0;
	codec->events->on_change(codec);
}

static unsigned local_spare_streams(const struct codec *codec)
{
	uint32_t most = codec->limits->h2_streams;

	return codec->streams_active < most ? most - codec->streams_active : 0;
}

static void deliver_head(struct local_stream *to, struct local_head *sent)
{
	struct codec *codec = to->stream.codec;
	struct stream *from = &to->other->stream;

	if (to->far && !to->announced) {
		to->announced = true;
		codec->events->on_stream(codec, &to->stream);
		ASSERT(to->stream.ops);
	}
	if (sent->head.kind != HEAD_TRAILERS && sent->head.kind != HEAD_INTERIM) {
		from->head_begin = codec->produced++;
		from->head_end = codec->produced;
	}
	to->stream.ended_in = sent->end;
	to->stream.ops->on_head(&to->stream, &sent->head, sent->end);
}

/* As many bytes as the window takes, and the end when they were the last. */
static void deliver_body(struct local_stream *from, struct local_stream *to)
{
	size_t outstanding = (size_t)(to->stream.received - to->stream.credited);
	size_t room = (size_t)to->stream.window - outstanding;
	size_t size = from->stream.out.size < room ? from->stream.out.size : room;
	bool end = from->end_pending && size == from->stream.out.size;
	struct chain body;

	ASSERT(outstanding <= to->stream.window); /* invariant A */
	if (size == 0 && !end) {
		return;
	}
	chain_init(&body);
	chain_move_bytes(&body, &from->stream.out, size);
	from->stream.sent += size;
	to->stream.received += size;
	to->stream.ended_in = end;
	if (end) {
		from->end_pending = false;
	}
	to->stream.ops->on_body(&to->stream, &body, end);
	chain_fini(&body);
	if (from->owned && size > 0) {
		from->stream.ops->on_sent(&from->stream, size);
	}
}

static void deliver_all(struct local_stream *from, struct local_stream *to)
{
	while (!from->cut && to->owned && !list_empty(&from->heads)) {
		struct local_head *sent = LIST_ENTRY(from->heads.next, struct local_head, node);

		if (sent->head.kind == HEAD_TRAILERS) {
			break;
		}
		list_unlink(&sent->node);
		deliver_head(to, sent);
	}
	if (!from->cut && to->owned && to->stream.ops) {
		deliver_body(from, to);
	}
	if (!from->cut && to->owned && from->stream.out.size == 0 && !list_empty(&from->heads)) {
		deliver_head(to, LIST_ENTRY(list_pop_front(&from->heads), struct local_head, node));
	}
}

/* The other end hears that this one was cut, unless it needs no more from it. */
static void tell_other(struct local_stream *from)
{
	struct local_stream *to = from->other;
	enum h2_error error = h2_error_for_reset(from->why);

	if (!to || to->told || !to->owned || (to->stream.ended_in && to->stream.ended_out)) {
		return;
	}
	if (to->far && !to->announced) {
		/* Nobody knows of it yet, nobody will. */
		to->owned = false;
		to->cut = true;
		local_mark(to);
		return;
	}
	to->told = true;
	to->stream.h2_error = error;
	to->stream.unprocessed = error == H2_REFUSED_STREAM;
	to->stream.ops->on_reset(&to->stream, to->far		       ? REASON_downstream_reset
					      : to->stream.unprocessed ? REASON_refused_stream
								       : REASON_upstream_reset);
}

/* One marked stream, as the sender it is and, when let go, as the object it was. */
static void local_step(struct local_stream *self)
{
	struct local_stream *other = self->other;

	if (other && other->owned && !self->cut) {
		deliver_all(self, other);
	} else {
		chain_clear(&self->stream.out);
	}
	if (self->owned) {
		return;
	}
	if (self->cut) {
		tell_other(self);
	} else if (other && other->owned &&
		   (self->stream.out.size > 0 || self->end_pending || !list_empty(&self->heads))) {
		return; /* delivered when credit comes */
	}
	if (other && !other->owned) {
		local_mark(other); /* whom should it still flush to? */
	}
	local_stream_free(self);
}

/* Only what was marked before the call is done: two ends that answer each other cannot hold the
 * thread. */
static void local_pump(struct local *local)
{
	struct list_node now;
	struct list_node *node;

	list_init(&now);
	local->codec.again = false;
	local->codec.has_output = false;
	while ((node = list_pop_front(&local->marked))) {
		list_push_back(&now, node);
	}
	while (!list_empty(&now)) {
		struct local_stream *stream = LIST_ENTRY(now.next, struct local_stream, mark);

		list_unlink(&stream->mark);
		local_step(stream);
	}
	if (!list_empty(&local->marked)) {
		local->codec.again = true;
		local->codec.has_output = true;
	}
	if (local->codec.draining && local->live == 0) {
		local->codec.closing = true;
	}
}

static void local_receive(struct codec *codec, bool end_of_input, uint64_t now_ms)
{
	ASSERT(codec->in.size == 0);
	(void)end_of_input;
	(void)now_ms;
	local_pump(local_of(codec));
}

static void local_produce(struct codec *codec, struct chain *out, size_t max)
{
	(void)out;
	(void)max;
	local_pump(local_of(codec));
}

static void local_destroy(struct codec *codec)
{
	struct local *local;

	if (!codec) {
		return;
	}
	local = local_of(codec);
	LIST_FOR_EACH_SAFE(node, &local->streams) {
		local_stream_free(LIST_ENTRY(node, struct local_stream, node));
	}
	ASSERT(local->live == 0);
	chain_fini(&codec->in);
	mem_free(local);
}

static const struct codec_ops local_ops = {
	.name = "local",
	.receive = local_receive,
	.produce = local_produce,
	.open = local_open,
	.send_head = local_send_head,
	.send_more = local_send_more,
	.credit = local_credit,
	.reset = local_reset,
	.drain = local_drain,
	.spare_streams = local_spare_streams,
	.destroy = local_destroy,
};

struct codec *local_create(const struct codec_options *options)
{
	struct local *local = mem_zalloc(sizeof(*local));

	ASSERT(options->events && options->pool && options->limits);
	local->codec.ops = &local_ops;
	local->codec.events = options->events;
	local->codec.owner = options->owner;
	local->codec.pool = options->pool;
	local->codec.limits = options->limits;
	local->codec.client = false;
	local->codec.h2 = true;
	local->codec.next_deadline_ms = UINT64_MAX;
	chain_init(&local->codec.in);
	list_init(&local->streams);
	list_init(&local->marked);
	return &local->codec;
}
