/*
 * client_types: what a sidecar's registry client consists of: addresses, sets, subscriptions,
 * questions. Internal to raftreg; client.h has the whole.
 */
#ifndef PILLION_RAFTREG_CLIENT_TYPES_H
#define PILLION_RAFTREG_CLIENT_TYPES_H

#include "base/list.h"
#include "base/map.h"
#include "raftreg/packet.h"
#include "upstream/registry.h"

#define CLIENT_ADDRESSES_MAX 103 /* seeds, and the replicas that are known */
#define CLIENT_TICK_MS	     100
#define CLIENT_QUIET_MS	     5000   /* no word of the registry for so long: stale */
#define CLIENT_GUARD_MS	     60000  /* mesh.md MG-02 */
#define CLIENT_FOREIGN_MS    600000 /* what another cluster does not know stays so long */

struct client_address {
	char host[254];
	uint16_t port;
	bool configured; /* a seed, or our own replica: never forgotten */
};

/* What view.bin says of the cluster that this directory belongs to; count 0: nothing (ZC-02). */
struct client_known {
	uint8_t uuid[16];
	struct client_address addresses[CLIENT_ADDRESSES_MAX];
	size_t count;
};

/* An instance or a record as the registry last published it. Guarded ones are gone
 * from the registry and are kept as suspect for a while (MG-02). */
struct client_member {
	struct slice key, content; /* owned */
	uint64_t created, modified;
	bool suspect, owned;
	uint64_t guard_until_ms; /* only in client_set.guarded */
};

struct client_set { /* what is known of one service or record set */
	bool records;
	/* RW-01: modified is the revision of this copy's last change; a delta that begins
	 * behind what it is known to equal is not applied (RW-07). */
	struct slice name; /* owned */
	uint64_t modified, digest;
	uint64_t cursor; /* up to here it was followed when its last subscription ended */
	bool known;	 /* the registry spoke of it in this run; false: from view.bin, or never */
	bool has_data;
	bool mentioned;			   /* in the sync under way */
	struct map members, guarded, defs; /* defs: version -> struct client_member */
	struct list_node changed;	   /* of client.changed: to be published */
};

struct client_sub { /* one name or prefix that somebody watches */
	struct list_node node;
	uint64_t number;
	uint64_t cursor; /* complete up to here; 0: not at all */
	bool records, prefix, full;
	bool sent;    /* on this stream */
	bool synced;  /* its END came on this stream: bookmarks speak of it too */
	bool doubted; /* to be read again from nothing */
	bool ended;   /* while watchers are told: freed behind that, if nobody wants it again */
	uint64_t retry_ms;
	char *name;
	struct list_node watches; /* of struct watch */
};

/* RD-07: the command whose outcome is not known yet. It is repeated with the same
 * bytes until the answer is definite. */
enum client_command { COMMAND_NONE, COMMAND_OPEN, COMMAND_DECLARE, COMMAND_RECORD };

/* A write of a record that waits for its turn, or an owned record that a new session
 * must write again (RD-02: records go with their session). */
struct client_record_op {
	struct list_node node;
	char *set;
	struct slice key, value; /* owned */
	bool remove, owned;
	uint64_t expected;
	struct registry_call *call; /* NULL allowed */
};

struct client_ask { /* GET, LIST, MEMBERS under way */
	struct list_node node;
	uint64_t number, deadline_ms;
	enum packet_kind kind;
	char *name;
	bool local; /* answer from the local view: nobody is connected */
	struct registry_call *call;
	void (*done)(void *owner, int status, struct slice json);
	void *owner;
};

#endif
