/*
 * endpoint: a path prefix that pillion serves itself -> a function, inside the configuration
 * snapshot, filled by control. So an exchange hands `/v1/pub/` to the broker and
 * `/pillion.v1.Registry/` to raftreg knowing neither.
 */
#ifndef PILLION_HTTP_ENDPOINT_H
#define PILLION_HTTP_ENDPOINT_H

#include "base/address.h"
#include "http/codec.h"

enum { ENDPOINT_INBOUND = 1, ENDPOINT_OUTBOUND = 2 };

struct endpoint_request {
	struct stream *stream; /* open must set ops and owner and finally stream_reset it */
	struct head *head;
	bool end;	    /* the request has no body */
	unsigned worker;    /* index of the worker whose thread this is */
	unsigned direction; /* ENDPOINT_INBOUND or ENDPOINT_OUTBOUND */
	const struct address *peer;
	bool mesh_peer; /* http.md F-11 */
	struct slice trace_id;
	uint64_t now_ms;
};

struct endpoint {
	struct slice prefix;
	unsigned directions; /* where it is served */
	/* Runs in the run-queue stage of that worker. */
	void (*open)(void *context, const struct endpoint_request *request);
	void *context;
};

/* The longest prefix that matches, or NULL. */
const struct endpoint *endpoint_find(
	const struct endpoint *endpoints, size_t count, unsigned direction, struct slice path);

/*
 * A unary endpoint in few lines: gathers the body up to a limit (413 beyond), then calls on_request
 * once; the answer is given by endpoint_reply now or later, on the same thread, exactly once.
 */
struct unary;
struct unary_ops {
	void (*on_request)(struct unary *unary, struct slice body);
	/* The client left before the reply, or its body was answered by 413: forget it now; or
	 * NULL. */
	void (*on_gone)(struct unary *unary);
};
/* The unary object is freed by its reply or after on_gone. */
void unary_accept(const struct endpoint_request *request, size_t body_max,
	const struct unary_ops *ops, void *owner);
void *unary_owner(const struct unary *unary);
const struct head *unary_head(const struct unary *unary);
/* For a reply from another thread: (worker, unary pointer) is not safe; keep a slot table instead.
 */
void unary_set_owner(struct unary *unary, void *owner);
/* head: HEAD_RESPONSE, body copied. Frees unary. */
void unary_reply(struct unary *unary, const struct head *head, struct slice body);
/* content_type may be empty. */
void unary_reply_plain(
	struct unary *unary, int status, struct slice content_type, struct slice body);
struct reply;
void unary_reply_reason(struct unary *unary, const struct reply *reply);

#endif
