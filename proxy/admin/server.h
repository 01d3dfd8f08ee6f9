/*
 * server: the sockets, connections and calls of the admin interface; the room's own header. A call
 * is one request: it lives until its answer was given, which a handler may do later, from the loop.
 * All on control's thread.
 */
#ifndef PILLION_ADMIN_SERVER_H
#define PILLION_ADMIN_SERVER_H

#include <jansson.h>

#include "base/buf.h"
#include "control/control.h"
#include "http/endpoint.h"
#include "http/reply.h"

#define ADMIN_BODY_MAX 1048576 /* AD-05 */
#define ADMIN_PARTS    4       /* variable segments of a path */

struct admin;
struct admin_call;
struct listener;

/* Who may ask for it (AD-01..03): P anyone who reaches a socket, S and M the Unix socket's peer or
 * a token; M changes something. */
enum admin_class { ADMIN_P, ADMIN_S, ADMIN_M };

struct admin_route {
	enum admin_class class;
	enum method method;
	const char *path; /* a star stands for one segment, which is handed over as a part */
	void (*serve)(struct admin_call *call);
	const char *parameters; /* of the query, "timeout,verbose" */
	const char *body;	/* keys of the JSON body and their types, "id:text"; flag, number */
	const char *help;	/* for the list at `/` */
};

/* One source of connections. */
enum admin_door { ADMIN_UNIX, ADMIN_TCP, ADMIN_METRICS, ADMIN_DOORS };

struct admin_call {
	struct admin *admin;
	struct control *control;
	struct unary *unary; /* NULL once the client left: the answer is thrown away */
	enum admin_door door;
	bool surplus;		    /* beyond the bound of its door: answered 503 */
	struct stream *stream;	    /* while in gathering */
	uint64_t since_ms;	    /* its head came */
	struct list_node gathering; /* admin->gathering, until the body is whole */
	const struct admin_route *route;
	const char *allow; /* for a 405, else NULL */
	char peer[64];	   /* "uid 0 pid 41" or an address, for the audit line */
	char parts[ADMIN_PARTS][512];
	unsigned part_count;
	char *query; /* decoded pairs "name=value\0...", ends with an empty one */
	char *body;  /* terminated copy, NULL: none */
	size_t body_size;
	json_t *json; /* the body as an object, checked against the route's keys */
};

const struct admin_route *admin_routes(size_t *ret_count);

/* Exactly one of these ends a call and frees it. json is taken over. */
void admin_answer_json(struct admin_call *call, int status, json_t *json);
void admin_answer_text(struct admin_call *call, int status, const char *type, struct slice text);
/* RE-05's object with `fix`. */
void admin_answer_error(struct admin_call *call, int status, unsigned code, const char *reason,
	const char *message);
/* Writers under way, for writer.c. */
struct list_node *admin_writers(struct admin *admin);
/* A parameter of the query, or NULL. */
const char *admin_parameter(const struct admin_call *call, const char *name);

#endif
