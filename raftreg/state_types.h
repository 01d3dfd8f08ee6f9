/*
 * state_types: what the registry's catalog consists of (registry.md RD-01): sessions, sets, their
 * members, the replicas' records. Internal to raftreg; state.h has what may be done with them.
 * Owned by the one struct state. Registry thread.
 */
#ifndef PILLION_RAFTREG_STATE_TYPES_H
#define PILLION_RAFTREG_STATE_TYPES_H

#include "base/list.h"
#include "base/map.h"
#include "raftreg/core/message.h"
#include "raftreg/packet.h"
#include "raftreg/shards.h"

#define STATE_SESSION_INSTANCES_MAX 256 /* RD-02 */
#define STATE_SESSION_SETS_MAX	    64
#define STATE_SET_INSTANCES_MAX	    10000
#define STATE_SET_RECORDS_MAX	    1024
#define STATE_SET_NAME_MAX	    512
#define STATE_KEY_MAX		    256
#define STATE_VALUE_MAX		    4096
#define STATE_SESSION_BYTES_MAX	    (512u * 1024)
#define STATE_GC_AGE_MS		    (15u * 60 * 1000)

struct state_session {
	uint8_t id[16];
	uint64_t incarnation, boot;
	struct slice identity, host, zone, version; /* owned */
	uint32_t port;
	uint64_t ttl_ms;
	bool suspect;
	uint64_t lease_gen, last_seq, last_index;
	uint64_t digest; /* sum over what it declared (RN-04) */
	uint64_t opened, modified;
	struct piece *piece;	  /* as a snapshot has it; the state's shards own it */
	struct list_node members; /* of struct state_member */
	uint32_t member_count;
	uint64_t member_bytes;
	/* The lease's and the node's, not replicated. */
	uint64_t deadline_ms;
	uint64_t seen_ms;	   /* last renewal; 0: none yet */
	uint64_t lease_pending;	   /* index of a SUSPECT, REVIVE or EXPIRE under way; 0: none */
	uint64_t register_pending; /* index of its REGISTER under way (RD-05); 0: none */
};

struct state_member { /* an instance or a record */
	struct state_set *set;
	struct piece *piece;	       /* key and content point into it */
	struct slice key, content;     /* from the last change of this member to the next */
	struct state_session *session; /* NULL: a record that belongs to none */
	struct list_node session_node;
	uint64_t created, modified, digest;
};

struct state_def { /* methods of one version */
	struct piece *piece;
	struct slice version, content; /* point into it */
};

struct state_touch {	  /* one member that changed since the last look */
	struct slice key; /* owned */
	enum item_cause cause;
};

struct state_set {
	struct piece_group *group;
	struct slice name;   /* points into it */
	struct piece *piece; /* the head; behind by what changed since the last publication */
	bool records;
	uint64_t modified;
	uint64_t
		emptied_ms; /* wall time of the entry that left it without member; 0: it has some */
	uint64_t digest;
	struct map members;
	struct state_def *defs;
	size_t def_count;
	/* For the fan-out: */
	struct list_node dirty;
	struct state_touch *touches;
	size_t touch_count, touch_capacity;
	bool defs_touched;
	uint64_t published; /* modified when the touches were last taken */
};

#define STATE_REPLICAS_MAX RAFT_PEERS_MAX
struct state_replica { /* RI-03, what the configuration binds to an id */
	uint64_t id;
	uint8_t incarnation[16];
	char name[64];
	char host[254];
	uint16_t port;
	bool voter; /* started as one */
};

struct state {
	uint8_t uuid[16];
	uint64_t applied;
	struct map sessions; /* by id */
	struct map sets;     /* by kind byte and name */
	struct state_replica replicas[STATE_REPLICAS_MAX];
	size_t replica_count;
	uint64_t horizon; /* tombstones up to here are forgotten */
	uint64_t horizon_ms;
	uint64_t wall_ms;     /* of the last entry */
	uint64_t bytes;	      /* keys and contents, for registry.state_bytes_max */
	struct shards shards; /* all of the above once more, encoded, for snapshots */
	struct list_node dirty;
	bool untold; /* a set was forgotten before the fan-out looked at its change */
};

#endif
