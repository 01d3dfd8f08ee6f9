/*
 * state: the registry's catalog: sessions, sets (services with their instances, record sets), the
 * replicas' records. Changed only by applying committed entries, in order, without clock or entropy
 * (registry.md 7, RD-01..RD-05). Readers on the registry thread see it between entries; what
 * changed is collected for the fan-out. Registry thread.
 */
#ifndef PILLION_RAFTREG_STATE_H
#define PILLION_RAFTREG_STATE_H

#include "base/list.h"
#include "base/map.h"
#include "raftreg/core/message.h"
#include "raftreg/packet.h"

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
	struct slice key;	       /* owned */
	struct slice content;	       /* owned */
	struct state_session *session; /* NULL: a record that belongs to none */
	struct list_node session_node;
	uint64_t created, modified, digest;
};

struct state_def {		       /* methods of one version */
	struct slice version, content; /* owned */
};

struct state_touch {	  /* one member that changed since the last look */
	struct slice key; /* owned */
	enum item_cause cause;
};

struct state_set {
	struct slice name; /* owned */
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
	uint64_t wall_ms; /* of the last entry */
	uint64_t bytes;	  /* keys and contents, for registry.state_bytes_max */
	struct list_node dirty;
};

struct state_result {
	enum packet_code code;
	uint64_t index;	       /* of the entry that answers, RD-05 */
	uint64_t digest, boot; /* boot: of SESSION_LOST: who holds the id; 0: nobody */
	const char *text;      /* field path; static */
};

void state_init(struct state *state, const uint8_t uuid[16]);
void state_fini(struct state *state);

/* A committed DATA entry. on_result runs once per command, in order. 0; -ENOTSUP: a command that
 * this version does not know (RD-09); -EBADMSG: malformed. Either stops the role. */
MUST_CHECK int state_apply(struct state *state, uint64_t index, struct slice payload,
	void (*on_result)(void *owner, size_t ordinal, const struct state_result *result),
	void *owner);
/* An entry is built by begin, then each command as a nested frame. */
void state_begin_entry(struct buf *payload, uint64_t wall_ms);
void state_add_command(struct buf *payload, struct slice command);

/* What a command would be answered with now; OK: it would change something. Pure. */
struct state_result state_check(const struct state *state, const struct packet *command);

struct state_session *state_session(const struct state *state, struct slice id);
bool state_set_key(bool records, struct slice name, uint8_t *bytes, struct slice *ret_key);
struct state_set *state_set(const struct state *state, bool records, struct slice name);
bool state_set_is_known(const struct state_set *set); /* it has members */
struct state_member *state_member(const struct state_set *set, struct slice key);
uint64_t state_member_session_digest(
	const struct state *state, struct slice set, struct slice key, struct slice content);
/* The digest that watchers verify: over the members as they are published. */
uint64_t state_published_digest(const uint8_t uuid[16], const struct item *member);
void state_member_item(const struct state_member *member, struct item *ret_item);
/* After the fan-out has looked at state->dirty. */
void state_clear_touches(struct state *state, struct state_set *set);
/* Applies the CONF entry's records. */
void state_apply_replicas(struct state *state, struct slice records, const struct raft_conf *conf);
void state_encode_replica(const struct state_replica *replica, struct buf *ret_bytes);
bool state_decode_replica(struct slice bytes, struct state_replica *ret_replica);
const struct state_replica *state_replica(const struct state *state, uint64_t id);

/* RS-06: canonical bytes of everything; load into a fresh state. */
void state_save(const struct state *state, struct buf *ret_bytes);
MUST_CHECK int state_load(struct state *state, struct slice bytes);
uint64_t state_hash(const struct state *state);

#endif
