/*
 * counters: what /metrics shows of the broker (docs/rules/broker.md 19). Words are atomics: workers
 * add, control reads. Entries are made once per topic and group and live as long as the broker; at
 * most COUNTERS_LABELS of them have their own label (L8).
 */
#ifndef PILLION_BROKER_COUNTERS_H
#define PILLION_BROKER_COUNTERS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/codes.h"
#include "base/list.h"

#define COUNTERS_LABELS 1000

enum counters_death {
	COUNTERS_STATUS,
	COUNTERS_MAX_DELIVER,
	COUNTERS_POISON,
	COUNTERS_EXPIRED,
	COUNTERS_TRANSLATION,
	COUNTERS_TERMINATED,
	COUNTERS_DEATHS,
};
const char *counters_death_word(enum counters_death death);

enum counters_drop {
	COUNTERS_DROP_EPHEMERAL,
	COUNTERS_DROP_EXPIRED,
	COUNTERS_DROP_REMOVED,
	COUNTERS_DROP_FULL,
	COUNTERS_DROP_COMMAND,
	COUNTERS_DROPS,
};

struct counters_topic {
	struct list_node node;
	char topic[288];
	_Atomic uint64_t accepted[2];	  /* fsync, os */
	_Atomic uint64_t messages, bytes; /* gauges */
};

/* B1-03: accepted + replayed = acked + dead + dropped + skipped + lost + backlog. */
struct counters_group {
	struct list_node node;
	char topic[288];
	char group[72];
	_Atomic uint64_t accepted, replayed, delivered, acked, skipped, lost;
	_Atomic uint64_t redelivered[9]; /* by enum frame_result */
	_Atomic uint64_t dead[COUNTERS_DEATHS];
	_Atomic uint64_t dropped[COUNTERS_DROPS];
	_Atomic uint64_t backlog, in_flight, retrying, members; /* gauges */
};

struct counters {
	pthread_mutex_t lock; /* of the lists; held for an insertion or a scrape */
	struct list_node topics, groups;
	unsigned topic_count, group_count;
	struct counters_topic *other_topic; /* in the list too; NULL until the limit is met */
	struct counters_group *other_group;
	_Atomic uint64_t refused[REASON_COUNT];
	_Atomic uint64_t answers[9]; /* by enum frame_result */
	_Atomic uint64_t link_errors, removed_attributes, denied;
};

void counters_init(struct counters *counters);
void counters_fini(struct counters *counters);
struct counters_topic *counters_topic(struct counters *counters, const char *topic);
struct counters_group *counters_group(
	struct counters *counters, const char *topic, const char *group);
/* Prometheus text 0.0.4: HELP and TYPE of the family, once, before its lines. Names stand without
 * their `pillion_`. */
void counters_begin(struct buf *text, const char *name, const char *type, const char *help);
/* A family with one line and no label. */
void counters_single(
	struct buf *text, const char *name, const char *type, const char *help, uint64_t number);
/* All families of this file; each once. */
void counters_print(struct counters *counters, struct buf *ret_text);

static inline void counters_add(_Atomic uint64_t *word, uint64_t more)
{
	atomic_fetch_add_explicit(word, more, memory_order_relaxed);
}

static inline void counters_set(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

#endif
