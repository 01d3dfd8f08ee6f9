/*
 * connection: one transport joined to one codec, accepted or dialled: reads up to four blocks of
 * 16 KiB a wake-up, feeds the codec, writes what it produces with one writev a turn, arms timers,
 * lingers, closes. It has no policy: its owner (a listener's server, a pool, the registry, a broker
 * link) is told what happened. Owner: whoever created it, until on_closed ran; freed by the
 * graveyard after on_closed. One thread, that of its loop.
 */
#ifndef PILLION_UPSTREAM_CONNECTION_H
#define PILLION_UPSTREAM_CONNECTION_H

#include "base/address.h"
#include "http/codec.h"

struct connection;
struct loop;
struct resolver;
struct transport;

struct connection_events { /* none may be NULL except on_open on accepted ones */
	/* Dialled: usable (transport connected and, for HTTP/2, the peer's SETTINGS came). */
	void (*on_open)(struct connection *connection);
	/* Accepted: a request begins; see codec_events. */
	void (*on_stream)(struct connection *connection, struct stream *stream);
	/* Something changed that a pool may care about: spare streams, draining, reusable. */
	void (*on_change)(struct connection *connection);
	/* The end, once. why is a reason (connect_refused, upstream_reset, idle ...); detail for
	 * people. Streams that were open have had on_reset. The memory lives until the end of the
	 * turn. */
	void (*on_closed)(struct connection *connection, enum reason why, const char *detail);
};

struct connection_options {
	struct loop *loop;
	struct block_pool *pool;
	const struct http_limits *limits;
	const struct connection_events *events;
	void *owner;
	size_t out_max; /* bytes queued before streams stop producing (B-05); 0: 256 KiB */
};

/* Takes the transport over; sniffs HTTP/1 or HTTP/2 from the first bytes (SN-01..SN-03). */
struct connection *connection_accept(
	const struct connection_options *options, struct transport *transport);

struct connection_target {
	struct address address; /* size 0: resolve host first */
	const char *host;	/* for resolving and messages; may be NULL with an address */
	uint16_t port;
	bool h2;
	uint64_t connect_timeout_ms;
	struct resolver *resolver; /* NULL: names fail as dns_failed */
};
/* Never NULL; failures arrive by on_closed from the loop, never from inside this call. */
struct connection *connection_dial(
	const struct connection_options *options, const struct connection_target *target);

/* Client side of a transport that is connected already (memory transports, tests). The rest as
 * dial. */
struct connection *connection_adopt(
	const struct connection_options *options, struct transport *transport, bool h2);

struct codec *connection_codec(const struct connection *connection); /* NULL until known */
void *connection_owner(const struct connection *connection);
struct transport *connection_transport(const struct connection *connection);
const struct address *connection_peer(const struct connection *connection);
/* Bytes the transport accepted: a stream's head left whole when written >= stream->head_end. */
uint64_t connection_written(const struct connection *connection);
bool connection_is_open(const struct connection *connection);
uint64_t connection_idle_since_ms(const struct connection *connection);
/* Graceful: no more requests, close when idle (codec drain). */
void connection_drain(struct connection *connection);
/* At once: nothing more is read or written. Streams get on_reset and on_closed runs later, from the
 * loop. With reset the peer sees RST. Harmless when it is closing already. */
void connection_close(struct connection *connection, enum reason why, bool reset);
/* Reverse of codec->owner for streams: the connection a stream runs on; NULL for local ones. */
struct connection *connection_of_stream(const struct stream *stream);

#endif
