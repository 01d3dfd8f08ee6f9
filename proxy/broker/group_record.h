/*
 * group_record: groups and members as registry records (docs/rules/broker.md 3), the messages of
 * pillion.v1 coded by hand. Pure.
 */
#ifndef PILLION_BROKER_GROUP_RECORD_H
#define PILLION_BROKER_GROUP_RECORD_H

#include "base/buf.h"
#include "broker/plan.h"

#define GROUP_RECORD_KEY	"group"
#define GROUP_RECORD_ZONE_MAX	128
#define GROUP_RECORD_WEIGHT	100 /* where a record names none */
#define GROUP_RECORD_WEIGHT_MAX 1000

enum group_record_state { GROUP_RECORD_READY, GROUP_RECORD_PAUSED, GROUP_RECORD_DRAINING };

struct group_record_member {
	char host[256];
	uint16_t port;
	char zone[GROUP_RECORD_ZONE_MAX + 1]; /* "": none */
	uint32_t weight;		      /* from 1 */
	enum group_record_state state;
	bool pushed;
	uint32_t max_in_flight;
};

/* Only durable, start, created and the tunables are read and written. */
void group_record_encode(const struct plan_group *group, struct buf *ret_value);
MUST_CHECK bool group_record_decode(struct slice value, struct plan_group *ret_group);
void group_record_encode_member(const struct group_record_member *member, struct buf *ret_value);
MUST_CHECK bool group_record_decode_member(
	struct slice value, struct group_record_member *ret_member);
/* "/ps/group/<pattern>/<group>" and "/ps/member/...": false: another set. */
bool group_record_parse_set(
	struct slice set, struct slice prefix, struct slice *ret_pattern, struct slice *ret_group);

#endif
