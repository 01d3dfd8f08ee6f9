/*
 * client_sub: the subscriptions of a sidecar's client and how far each of them has come
 * (registry.md 9). A subscription outlives streams; it resumes from its own cursor. Control thread.
 * Internal to raftreg.
 */
#ifndef PILLION_RAFTREG_CLIENT_SUB_H
#define PILLION_RAFTREG_CLIENT_SUB_H

#include "raftreg/client.h"

bool client_sub_matches(const struct client_sub *sub, bool records, struct slice name);
/* Watches of one name share a subscription: the wire carries each set once. */
struct client_sub *client_sub_find(const struct client *client, const struct watch *watch);
struct client_sub *client_sub_make(struct client *client, const struct watch *watch);
void client_sub_free(struct client *client, struct client_sub *sub);
/* A stream is up: each of them resumes. */
void client_sub_welcome(struct client *client);
void client_sub_tick(struct client *client, uint64_t now_ms);
/* True when the answer is to a SUBSCRIBE (RW-08). */
bool client_sub_answered(struct client *client, const struct packet *answer);

void client_sub_begin(struct client *client, const struct packet *frame);
void client_sub_end(struct client *client, const struct packet *frame);
void client_sub_bookmark(struct client *client, const struct packet *frame);

/* The index whose state the copy of this set equals. */
uint64_t client_sub_revision(const struct client *client, const struct client_set *set);
/* The same as it may be kept for later: from here the set can be resumed; 0: not at all. */
uint64_t client_sub_cursor(const struct client *client, const struct client_set *set);
/* What cannot be right is read again from nothing, soon (RW-07). */
void client_sub_doubt(struct client *client, struct client_set *set);

#endif
