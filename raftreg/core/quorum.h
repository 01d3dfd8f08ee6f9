/*
 * quorum: the arithmetic of majorities, also of joint ones (RM-05). Pure. Internal to raftreg/core.
 */
#ifndef PILLION_RAFTREG_CORE_QUORUM_H
#define PILLION_RAFTREG_CORE_QUORUM_H

#include "raftreg/core/member.h"

/* What one voter said; who is not reported counts as 0 or as missing. */
enum quorum_ballot {
	QUORUM_MISSING,
	QUORUM_GRANTED,
	QUORUM_UNCERTAIN, /* granted by a replica that may have lost entries (RI-06) */
	QUORUM_REJECTED
};

enum quorum_result { QUORUM_PENDING, QUORUM_WON, QUORUM_LOST };

struct quorum_report {
	uint64_t id, index;
	enum quorum_ballot ballot;
};

/* The highest index that a majority of each half reached; UINT64_MAX when both are empty. */
uint64_t quorum_index(
	const struct raft_conf *conf, const struct quorum_report *reports, size_t count);
enum quorum_result quorum_vote(
	const struct raft_conf *conf, const struct quorum_report *reports, size_t count);

#endif
