/*
 * route: which service a request wants (docs/rules/mesh.md 1, MA-01 to MA-03): where its name
 * stands, what form it has, and what it resolves to. Pure but for look-ups in the worker's view of
 * the registry. One thread, that of the worker.
 */
#ifndef PILLION_EXCHANGE_ROUTE_H
#define PILLION_EXCHANGE_ROUTE_H

#include "exchange/snapshot.h"

enum route_source { /* MA-01, in the order in which they are looked at */
	ROUTE_FROM_LISTENER,
	ROUTE_FROM_HEADER, /* x-pillion-service */
	ROUTE_FROM_MICRO,  /* Micro-Service, X-Micro-Service */
	ROUTE_FROM_ABSOLUTE,
	ROUTE_FROM_AUTHORITY,
	ROUTE_FROM_GRPC_PATH, /* form D */
	ROUTE_FROM_APP,	      /* inbound: the own application */
};

struct route_query {
	const struct config_snapshot *snapshot;
	const struct upstream *upstream;
	const struct listener_snapshot *listener; /* NULL: an in-process client */
	const struct address *local;		  /* where the connection ended; may be NULL */
	const struct head *head;
	struct slice wanted; /* x-pillion-service as far as it is believed; empty: none */
	bool grpc;
	struct arena *arena;
};

struct route {
	bool external; /* a host outside the mesh (MA-09) */
	enum route_source source;
	struct slice name; /* service, or host of an external destination */
	uint16_t port;	   /* 0: none was given */
	bool own_address;  /* the authority was one of our listeners, or empty (MA-05) */
};

/* REASON_ok or REASON_bad_name. Names lie in the arena of the query. */
MUST_CHECK enum reason route_resolve(const struct route_query *query, struct route *ret_route);
/* The authority is an address of one of our listeners. */
bool route_is_own(const struct route_query *query, struct slice authority);
/* B5-01: an endpoint of the outbound side answers only to the listener's own address, `localhost`
 * and `pillion`. */
bool route_is_local_api(const struct route_query *query);
/* The form of MA-01: without port and trailing dot, lower case. False: not a name. */
MUST_CHECK bool route_normalise_name(struct arena *arena, struct slice text, struct slice *ret_name,
	uint16_t *ret_port, bool *ret_literal);
const char *route_source_text(enum route_source source);

#endif
