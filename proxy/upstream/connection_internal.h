/*
 * connection_internal: the state of a connection, shared by connection.c (life and ends),
 * connection_io.c (bytes) and connection_dial.c (getting connected). Not for other files.
 *
 *   RESOLVING -> CONNECTING -> OPENING (HTTP/2: until the peer's SETTINGS) -> OPEN
 *   SNIFFING (accepted) ---------------------------------------------------> OPEN
 *   any -> CLOSED; OPEN -> LINGERING -> CLOSED
 *
 * I/O callbacks only read, feed the codec and mark; the run task decides everything else, so the
 * transport and the codec are never ended from inside themselves.
 */
#ifndef PILLION_UPSTREAM_CONNECTION_INTERNAL_H
#define PILLION_UPSTREAM_CONNECTION_INTERNAL_H

#include "net/loop.h"
#include "net/resolver.h"
#include "net/timer.h"
#include "net/transport.h"
#include "upstream/connection.h"

enum {
	CONNECTION_READS_MAX = 4,		    /* SN-10: reads of one block in one turn */
	CONNECTION_COPY_MAX = 1024,		    /* B-06: smaller reads are copied, not pinned */
	CONNECTION_OUT_MAX = 256 * 1024,	    /* B-05 */
	CONNECTION_VECTORS_MAX = 64,		    /* of one writev */
	CONNECTION_LINGER_BYTES = 16 * 1024 * 1024, /* H1-39 */
	CONNECTION_LINGER_MS = 2000,		    /* H1-39 */
	CONNECTION_FLUSH_MS = 30000,		    /* T-10 */
	CONNECTION_CONNECT_MS = 1000,		    /* T-04, where the target names none */
	CONNECTION_REAP_MS = 20,     /* looks again for streams that were not let go */
	CONNECTION_SNIFF_MAX = 24,   /* SN-03: length of the HTTP/2 preface */
	CONNECTION_FRAME_HEADER = 9, /* RFC 9113 4.1 */
	CONNECTION_DETAIL_SIZE = 160,
};

#define CONNECTION_NEVER UINT64_MAX

enum connection_state {
	CONNECTION_RESOLVING,
	CONNECTION_CONNECTING,
	CONNECTION_OPENING,
	CONNECTION_SNIFFING,
	CONNECTION_OPEN,
	CONNECTION_LINGERING,
	CONNECTION_CLOSED,
};

struct connection;

/* Outlives the connection while the resolver is asked; the answer frees it. */
struct connection_ticket {
	struct connection *connection; /* NULL: nobody waits any more */
};

/* Owned by the connection until it is open. */
struct connection_dialing {
	struct connection_ticket *ticket;
	uint64_t deadline_ms; /* of all addresses together */
	int last_error;
	int count, next;
	bool h2;
	bool failed; /* the address being tried: its transport is closed by the run task */
	struct address addresses[RESOLVER_ADDRESSES_MAX];
};

struct connection {
	struct loop *loop;
	struct block_pool *pool;
	const struct http_limits *limits;
	const struct connection_events *events;
	void *owner;
	size_t out_max;
	enum connection_state state;
	struct transport *transport;	    /* owned */
	struct codec *codec;		    /* owned; NULL until the protocol is known */
	struct connection_dialing *dialing; /* owned */
	struct chain early;		    /* first bytes, until the protocol is known */
	struct chain out;		    /* produced, not yet written */
	uint64_t received, written;
	uint64_t idle_since_ms;
	uint64_t state_deadline_ms; /* of SNIFFING, CONNECTING .. OPENING, LINGERING */
	uint64_t flush_deadline_ms; /* T-10, while a write is blocked */
	size_t flush_owed;	    /* what the peer had not acknowledged when that was set */
	struct timer timer;
	struct task run_task;
	struct task write_task;
	size_t discarded;	 /* while LINGERING */
	uint8_t first_length[3]; /* of the peer's first frame: are its SETTINGS whole? */
	uint32_t was_active;	 /* streams when the run task last looked */
	bool input_ended;	 /* the peer closed its direction and the codec was told */
	bool wants_open;	 /* usable; on_open is owed */
	bool wants_close;	 /* the run task ends it */
	bool gone;		 /* ended by the transport: the codec was told */
	bool reset;		 /* end with RST */
	bool was_draining;	 /* when the run task last looked */
	bool reported;		 /* on_closed ran */
	bool buried;
	enum reason why;
	struct address peer;
	char detail[CONNECTION_DETAIL_SIZE];
};

extern const struct codec_events connection_codec_events;

struct connection *connection_create(
	const struct connection_options *options, enum connection_state state);
/* Marks the end; the first reason wins. text may be NULL. The run task does the rest. */
void connection_end(struct connection *connection, enum reason why, bool reset, const char *text);
/* Looks at the flags of the codec and queues what they ask for; arms the timer. */
void connection_mark(struct connection *connection);
void connection_arm(struct connection *connection);
/* Tells the owner when streams began or ended since the last look. */
void connection_follow_streams(struct connection *connection);
/* Makes the codec of a known protocol; early bytes go to it. */
void connection_start(struct connection *connection, bool h2, bool client);

/* connection_io.c */
void connection_io_attach(struct connection *connection, struct transport *transport);
void connection_io_receive(struct connection *connection, bool end_of_input);
void connection_io_write(struct task *task);
/* No stream waits for anything but the peer: answers are complete here. */
bool connection_io_is_complete(const struct connection *connection);
/* T-10 has run out: true where the peer took something all the same, so that it runs anew. */
bool connection_io_still_flushes(struct connection *connection);

/* connection_dial.c: all but the first return silently when the connection is past dialling. */
void connection_dial_ready(struct connection *connection);
void connection_dial_step(struct connection *connection);
void connection_dial_timeout(struct connection *connection);
void connection_dial_abandon(struct connection *connection);

#endif
