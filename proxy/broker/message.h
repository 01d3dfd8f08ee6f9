/*
 * message: what was published: attributes and body as the spool holds them (B2-03). Immutable once
 * it is complete and counted by an atomic, so that workers hand it to each other without a copy.
 */
#ifndef PILLION_BROKER_MESSAGE_H
#define PILLION_BROKER_MESSAGE_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "broker/record.h"

#define MESSAGE_ATTRIBUTES_MAX	    64 /* B2-05 */
#define MESSAGE_ATTRIBUTE_VALUE_MAX 1024
#define MESSAGE_ATTRIBUTE_BYTES_MAX 16384

struct topic;

struct message {
	atomic_uint refs;
	struct buf attributes;
	struct buf body;
	uint32_t pcrc;
	uint64_t time_ms;
	uint64_t expiry_ms;
	/* Of the topic's owner: the list of messages kept in memory. */
	struct list_node cache_node;
	struct topic *topic;
	uint64_t seq;
};

struct message *message_create(void); /* refs = 1 */
struct message *message_ref(struct message *message);
void message_unref(struct message *message); /* NULL allowed */
struct slice message_attribute(const struct message *message, struct slice name);
size_t message_size(const struct message *message);
/* Every name and value keeps the rules of B2-05: for what another sidecar sent, since they become
 * header fields. */
bool message_valid(const struct message *message);
/* Adds with the rules of B2-05; false: bad_event. */
bool message_put(struct message *message, struct slice name, struct slice value);

#endif
