/*
 * message: what travels between replicas and lies in the log: payload blobs, entries, snapshot
 * descriptions, messages (registry.md 3). Payloads are reference-counted and immutable once shared;
 * counting is atomic, so that the disk thread and the workers may hold some. All other structs are
 * plain values; who lends them to whom is said in raft.h.
 */
#ifndef PILLION_RAFTREG_CORE_MESSAGE_H
#define PILLION_RAFTREG_CORE_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftreg/core/member.h"

/* One entry is at most 1 MiB, one APPEND at most 8,192 entries (registry.md 1, RT-05). */
#define RAFT_ENTRY_BYTES_MAX	(1024u * 1024u)
#define RAFT_APPEND_ENTRIES_MAX 8192u

struct raft_payload {
	_Atomic uint32_t references;
	uint32_t length; /* 1..RAFT_ENTRY_BYTES_MAX when it came by a checked way */
	uint8_t bytes[];
};

/* A new blob with one reference. bytes may be NULL: then the caller fills it before sharing it.
 * Aborts when memory is out (RC-09). */
struct raft_payload *raft_payload_create(const void *bytes, uint32_t length);
/* Both take NULL. ref returns its argument. Any thread. */
struct raft_payload *raft_payload_ref(struct raft_payload *payload);
void raft_payload_unref(struct raft_payload *payload);

/* Also the numbers in the log file (registry.md 5). */
enum raft_entry_kind { RAFT_ENTRY_DATA = 1, RAFT_ENTRY_CONF = 2 };

struct raft_entry {
	uint64_t index, term;
	enum raft_entry_kind kind;
	struct raft_payload *payload; /* NULL: empty, what a new leader starts its term with */
};

/* Keep, and give back, the payload of a borrowed entry. Any thread. */
void raft_entry_ref(const struct raft_entry *entry);
void raft_entry_unref(const struct raft_entry *entry);

/* What a snapshot contains, not its bytes: those are a file of the driver's. */
struct raft_snapshot {
	uint64_t index, term;
	struct raft_conf conf; /* as applied at index */
	uint64_t file; /* the driver's own handle of the staged file; the core only repeats it */
};

/* Numbers are part of the wire format. */
enum raft_message_kind {
	RAFT_PREVOTE = 1,
	RAFT_PREVOTE_RESP = 2,
	RAFT_VOTE = 3,
	RAFT_VOTE_RESP = 4,
	RAFT_APPEND = 5,
	RAFT_APPEND_RESP = 6,
	RAFT_HEARTBEAT = 7,
	RAFT_HEARTBEAT_RESP = 8,
	RAFT_SNAPSHOT = 9,
	RAFT_TIMEOUT_NOW = 10,
	RAFT_READ_INDEX = 11,
	RAFT_READ_INDEX_RESP = 12
};

/* Fields that a kind does not use are zero. index and log_term are:
 *   PREVOTE, VOTE      last index and term of the sender's log
 *   APPEND             the entry before the first one sent
 *   APPEND_RESP        the last index that now matches; when rejecting, the refused prev, with
 *                      the hint in (hint_index, log_term)
 *   READ_INDEX_RESP    the index to wait for; hint_index is the leader's last index
 * PREVOTE, VOTE and their answers carry the sender's commit, and the term of that entry in
 * hint_index.
 * context is the read position of (HEARTBEAT, _RESP) or the id of (READ_INDEX, _RESP). */
struct raft_message {
	enum raft_message_kind kind;
	uint64_t from, to, term, index, log_term, commit, hint_index, context;
	bool reject, transfer, uncertain;
	const struct raft_entry
		*entries; /* contiguous, ascending; payloads are references of the log */
	size_t entry_count;
	const struct raft_snapshot *snapshot; /* SNAPSHOT only, else NULL */
	uint64_t
		after; /* outgoing only: the sequence that must be durable first; 0: send at once */
};

const char *raft_message_name(enum raft_message_kind kind);

#endif
