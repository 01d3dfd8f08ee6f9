/*
 * grpc: the one gRPC framing of the project (codec.md GR-01): five-byte prefix and message, over
 * the streams of codec.h; used by translation, the registry, the broker and reflection.
 * `grpc_reader` cuts messages out of chains; `grpc_call` is a whole bidirectional message stream
 * with a bounded send queue. One thread, that of the stream.
 */
#ifndef PILLION_HTTP_GRPC_H
#define PILLION_HTTP_GRPC_H

#include "base/buf.h"
#include "http/codec.h"

/* grpc-timeout (G-06): 1-8 digits and a unit, in ns; false: bad_deadline. */
MUST_CHECK bool grpc_parse_timeout(struct slice text, uint64_t *ret_ns);
/* The finest unit that fits eight digits, rounded down (G-07). */
void grpc_format_timeout(uint64_t ns, char ret_text[16]);
/* The status that an HTTP/2 error code of a reset stands for (H2-38); -1: 0 is none. */
int grpc_status_of_reset(uint32_t h2_error);
void grpc_prefix(uint8_t ret_prefix[5], bool compressed, uint32_t size);

struct grpc_reader {
	struct chain gathered; /* bytes of the message under way, prefix included */
	size_t message_max;
};
void grpc_reader_init(struct grpc_reader *reader, size_t message_max);
void grpc_reader_fini(struct grpc_reader *reader);
/* Moves bytes from `in` as needed. 1: a whole message, contiguous in *ret_message until the next
 * call; 0: more bytes needed; -EMSGSIZE: length above message_max (nothing was allocated);
 * -EBADMSG. */
MUST_CHECK int grpc_reader_next(struct grpc_reader *reader, struct block_pool *pool,
	struct chain *in, bool *ret_compressed, struct slice *ret_message);
bool grpc_reader_empty(const struct grpc_reader *reader); /* no partial message is held */

struct grpc_call;

struct grpc_call_ops {
	/* Uncompressed messages only; valid during the call. May be called for a stream with none.
	 */
	void (*on_message)(struct grpc_call *call, struct slice message);
	void (*on_half_close)(struct grpc_call *call); /* the peer sends no more */
	/* The end, once, also after a refusal or reset: gRPC status and text. The call may be freed
	 * after this returned (grpc_call_fini by the owner, not inside a codec callback: bury or
	 * queue it). */
	void (*on_closed)(struct grpc_call *call, int status, struct slice text);
	void (*on_drained)(
		struct grpc_call *call); /* the send queue fell below half of its bound; or NULL */
};

struct grpc_call {
	struct stream *stream; /* NULL once closed */
	const struct grpc_call_ops *ops;
	void *owner;
	struct grpc_reader reader;
	size_t queue_max;   /* bytes; grpc_call_send refuses beyond it */
	size_t credit_held; /* received bytes not yet credited while paused */
	bool server;
	bool head_sent;
	bool closed;
	bool paused;
	bool was_full;
};

struct grpc_call_options {
	const struct grpc_call_ops *ops;
	void *owner;
	size_t message_max;
	size_t queue_max;
};

/* Server: takes over a request stream whose head came; sends the response head at once. */
void grpc_call_accept(
	struct grpc_call *call, struct stream *stream, const struct grpc_call_options *options);
/* Client: opens a stream on an HTTP/2 client codec: POST path. 0, or -EAGAIN (no spare stream). */
struct grpc_request {
	struct slice path;
	struct slice authority;
	const struct field *extra; /* added to the head */
	size_t extra_count;
};
MUST_CHECK int grpc_call_open(struct grpc_call *call, struct codec *codec,
	const struct grpc_request *request, const struct grpc_call_options *options);
/* Queues one message; -ENOBUFS beyond queue_max (nothing queued; on_drained follows), -EPIPE when
 * closed. An empty queue takes any message, so a bound below the largest one stops nothing for
 * ever.
 */
MUST_CHECK int grpc_call_send(struct grpc_call *call, struct slice message);
size_t grpc_call_queued(const struct grpc_call *call);
void grpc_call_pause(struct grpc_call *call, bool paused); /* stops crediting, so the peer stops */
/* Server: status trailers after what is queued; the call is closed by that, on_closed runs before
 * the return. Client: half-close (status ignored); on_closed comes with the server's status. */
void grpc_call_finish(struct grpc_call *call, int status, struct slice text);
/* Lets go at once (RST_STREAM CANCEL); on_closed does not run. Idempotent; frees the reader. */
void grpc_call_fini(struct grpc_call *call);

#endif
