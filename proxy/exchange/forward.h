/*
 * forward: what happens to the fields of a message on its way through this sidecar (http.md 8,
 * mesh.md 0): whom own fields are believed from, hop-by-hop fields, Via, X-Forwarded-*, own fields
 * of each leg. Pure functions over heads.
 */
#ifndef PILLION_EXCHANGE_FORWARD_H
#define PILLION_EXCHANGE_FORWARD_H

#include "http/head.h"

enum forward_peer {	    /* who sent the message */
	FORWARD_FROM_APP,   /* the own application, on an outbound listener */
	FORWARD_FROM_MESH,  /* a mesh peer (F-11) */
	FORWARD_FROM_OTHER, /* anyone else */
	FORWARD_FROM_SELF,  /* this sidecar's own in-process client */
};

/* What own fields of a request said, as far as the sender is believed (M0-05). 0: absent. */
struct forward_wishes {
	struct slice service;
	uint64_t deadline_ms;
	uint32_t attempt;
	uint32_t hops;
	bool debug;
};

/* Reads and deletes: fields that are not believed and values that cannot be parsed go; broker rows
 * of those who may send them stay for endpoints. Returns how many were deleted for lack of trust.
 */
unsigned forward_trust(
	struct head *head, enum forward_peer peer, struct forward_wishes *ret_wishes);

/* F-07: the field line of this sidecar and direction is in Via, or more than ten of ours. */
bool forward_is_loop(const struct head *head, struct slice own_via);
/* "1.1 pillion-o-3f2a91c0"; size of ret_text is at least 32. */
struct slice forward_via(enum http_version version, bool inbound, const char *id8, char *ret_text);

struct forward_hop {
	bool inbound;
	enum forward_peer peer;
	struct slice peer_host; /* of the connection, without port; empty: unknown */
	struct slice via;	/* to append; lives as long as the head */
};
/* A request before it is routed: hop-by-hop and own fields, XFF (F-01, F-03, F-04, F-06). */
void forward_request(struct head *head, const struct forward_hop *hop);

/* Own fields of one attempt; earlier ones of the same name are replaced. */
struct forward_leg {
	bool mesh; /* to another sidecar */
	bool own_app;
	bool grpc;
	struct slice service;
	uint32_t hops;	  /* to send, mesh leg */
	uint32_t attempt; /* sent when 2 or more */
	uint64_t left_ns; /* until the deadline; UINT64_MAX: none */
	bool keep_broker; /* a push of the own broker keeps its fields */
};
void forward_attempt(struct head *head, const struct forward_leg *leg);

/* A response, or trailers: from_mesh keeps reason, outcome and debug fields (RE-03); keep_ack is
 * for pushes of the own broker. via is not added to trailers. Returns identity fields removed. */
unsigned forward_response(struct head *head, bool from_mesh, bool keep_ack, struct slice via);

#endif
