/* rig_origin: one request as an origin of the rig sees it; see rig.h. */
#ifndef PILLION_TESTS_EXCHANGE_RIG_ORIGIN_H
#define PILLION_TESTS_EXCHANGE_RIG_ORIGIN_H

#include "base/buf.h"
#include "base/list.h"
#include "http/codec.h"

struct rig;
struct rig_origin;

struct rig_served { /* one request at an origin */
	struct rig_origin *origin;
	struct stream *stream;
	struct head *head;
	struct buf body;
	char path[256];
	bool ended, answered, gone;
	uint64_t asked; /* bytes of body still to send */
	bool trailers;	/* end with grpc-status 0 */
	struct list_node node;
};

void rig_origin_start(struct rig *rig, struct rig_origin *origin);
/* The answer goes no further; served is gone. */
void rig_served_reset(struct rig_served *served, enum reason why);

#endif
