/*
 * h2_stream: one stream of the HTTP/2 codec, and the functions of the codec's files that work on
 * one. Only the files listed in h2_internal.h include it. A stream is freed when its owner let go
 * of it and nghttp2 has closed it; never while a callback is on the stack.
 */
#ifndef PILLION_HTTP_H2_STREAM_H
#define PILLION_HTTP_H2_STREAM_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "http/body_account.h"
#include "http/codec.h"
#include "http/h2_error.h"

struct h2;

enum h2_phase {
	H2_PHASE_HEAD, /* no final head came yet */
	H2_PHASE_BODY,
	H2_PHASE_ENDED,	 /* END_STREAM came */
	H2_PHASE_FAILED, /* refused or closed; nothing more is believed */
};

struct h2_stream {
	struct stream stream;
	struct h2 *h2;
	struct list_node node;	/* h2->streams, h2->graveyard or h2->spare */
	struct list_node touch; /* h2->touched */
	struct list_node turn;	/* h2->turns */
	struct list_node flush; /* h2->flushing */
	struct chain in;	/* DATA not yet given to the owner */
	struct head *head;	/* the block being received */
	struct slice host;	/* server: the Host field, until it is compared (H2-14) */
	struct slice target;	/* server: `:path` as received */
	struct body_account in_account;
	struct body_account out_account;
	struct head *trailers_out; /* in the arena */
	uint64_t cost;		   /* bytes of fields so far (H2-19) */
	uint64_t flush_since_ms;   /* 0: not looked at yet */
	uint64_t expires_ms; /* server: end of the client's own grpc-timeout, UINT64_MAX: none */
	int32_t id;	     /* 0: client, not yet submitted */
	uint32_t field_count;
	uint32_t interims;     /* client: received */
	uint32_t interims_out; /* server: submitted, not yet sent */
	enum h2_phase phase;
	enum reason refused;   /* why the block being received is not stored, or REASON_ok */
	enum reason close_why; /* for on_reset */
	bool owned;	       /* the owner has not let go */
	bool open;	       /* known to nghttp2 */
	bool announced;	       /* the owner knows of it */
	bool told;	       /* on_reset ran */
	bool end_pending;      /* END_STREAM came, the owner does not know yet */
	bool trailers_pending;
	bool close_pending;
	bool fin; /* our direction ends after `out` */
	bool fin_sent;
	bool ready;	   /* counted in h2->ready_count */
	bool deferred;	   /* nghttp2 asks for DATA again only when it is resumed */
	bool head_request; /* the request was HEAD */
	bool peer_reset;
	bool charged; /* paid for being malformed */
};

static inline struct h2_stream *h2_stream_of(const struct stream *stream)
{
	return container_of(stream, struct h2_stream, stream);
}

/* Whether so many more bytes keep invariant A. */
static inline bool h2_stream_has_room(const struct h2_stream *stream, size_t size)
{
	const struct stream *public = &stream->stream;

	return size <= public->window - (public->received - public->credited) - stream->in.size;
}

/* h2_stream.c */
struct h2_stream *h2_stream_create(struct h2 *h2);
void h2_stream_touch(struct h2_stream *stream);
void h2_stream_deliver(struct h2 *h2);
void h2_stream_reap(struct h2 *h2);
void h2_stream_free_all(struct h2 *h2);
/* Marks the end of a stream that broke a rule: RST_STREAM now, on_reset later. */
void h2_stream_refuse(struct h2_stream *stream, enum reason why);
/* The same where the library resets the stream by itself. */
void h2_stream_fail(struct h2_stream *stream, enum reason why);
void h2_stream_rst(struct h2_stream *stream, enum h2_error error);
void h2_stream_closed(struct h2_stream *stream, uint32_t error);
/* The connection is lost: every owner hears of it. */
void h2_stream_lose_all(struct h2 *h2, enum reason why);
void h2_stream_unready(struct h2_stream *stream);
/* A client's stream ends without an owner (own replies) or after one let go. */
void h2_stream_flush(struct h2_stream *stream);
struct stream *h2_stream_open(struct codec *codec);
int h2_stream_send_head(struct stream *stream, const struct head *head, bool end);
void h2_stream_send_more(struct stream *stream, bool end);
void h2_stream_credit(struct stream *stream, size_t bytes);
void h2_stream_reset(struct stream *stream, enum reason why);
/* h2_server.c and h2_client.c */
/* The stream whose fields are wanted, or NULL. */
struct h2_stream *h2_server_begin(struct h2 *h2, const nghttp2_frame *frame);
void h2_server_head(struct h2_stream *stream, bool end);
struct h2_stream *h2_client_begin(struct h2 *h2, const nghttp2_frame *frame);
void h2_client_head(struct h2_stream *stream, bool end);
/* h2_headers.c */
void h2_headers_field(struct h2_stream *stream, struct slice name, struct slice value, bool never);
void h2_headers_trailers(struct h2_stream *stream, bool end);
int h2_headers_submit(struct h2_stream *stream, const struct head *head, bool end);
int h2_headers_submit_trailers(struct h2_stream *stream);
/* h2_send.c */
void h2_send_queue(struct h2_stream *stream);
ssize_t h2_send_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
	uint32_t *flags, nghttp2_data_source *source, void *context);
int h2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
	size_t length, nghttp2_data_source *source, void *context);
int h2_send_before(nghttp2_session *session, const nghttp2_frame *frame, void *context);
int h2_send_after(nghttp2_session *session, const nghttp2_frame *frame, void *context);
int h2_send_refused(nghttp2_session *session, const nghttp2_frame *frame, int code, void *context);
int h2_send_all(struct h2 *h2);
#endif
