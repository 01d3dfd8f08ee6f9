/* Majorities of one set and of two (RM-05); the dissertation's chapter 4.3 for the joint case. */
#include "raftreg/core/check.h"
#include "raftreg/core/quorum.h"

static const struct quorum_report *find_report(
	const struct quorum_report *reports, size_t count, uint64_t id)
{
	ASSERT(count == 0 || reports != NULL);
	ASSERT(id != 0);
	for (size_t i = 0; i < count; i++) {
		if (reports[i].id == id) {
			return &reports[i];
		}
	}
	return NULL;
}

/* The empty set commits everything: so min() of both halves is right when one is empty. */
static uint64_t majority_index(
	const struct raft_ids *voters, const struct quorum_report *reports, size_t count)
{
	uint64_t sorted[RAFT_IDS_MAX];

	ASSERT(voters->count <= RAFT_IDS_MAX);
	ASSERT(count <= RAFT_PEERS_MAX);
	if (voters->count == 0) {
		return UINT64_MAX;
	}
	/* Insertion sort, falling: at most seven voters. */
	for (uint32_t i = 0; i < voters->count; i++) {
		const struct quorum_report *report = find_report(reports, count, voters->ids[i]);
		uint64_t index = report ? report->index : 0;
		uint32_t place = i;

		for (; place > 0 && sorted[place - 1] < index; place--) {
			sorted[place] = sorted[place - 1];
		}
		sorted[place] = index;
	}
	ASSERT(sorted[0] >= sorted[voters->count / 2]);
	return sorted[voters->count / 2];
}

uint64_t quorum_index(
	const struct raft_conf *conf, const struct quorum_report *reports, size_t count)
{
	ASSERT(conf != NULL);
	ASSERT(conf->voters.count <= RAFT_IDS_MAX);
	ASSERT(count <= RAFT_PEERS_MAX);
	return check_min(majority_index(&conf->voters, reports, count),
		majority_index(&conf->outgoing, reports, count));
}

/* *all is cleared when a voter did not grant in any way. */
static enum quorum_result majority_vote(
	const struct raft_ids *voters, const struct quorum_report *reports, size_t count, bool *all)
{
	uint32_t granted = 0, rejected = 0, majority = voters->count / 2 + 1;

	ASSERT(voters->count <= RAFT_IDS_MAX);
	ASSERT(all != NULL);
	if (voters->count == 0) {
		return QUORUM_WON;
	}
	for (uint32_t i = 0; i < voters->count; i++) {
		const struct quorum_report *report = find_report(reports, count, voters->ids[i]);

		switch (report ? report->ballot : QUORUM_MISSING) {
		case QUORUM_GRANTED:
			granted++;
			break;
		case QUORUM_UNCERTAIN:
			break; /* as if missing, but for the rule of all (RI-06) */
		case QUORUM_REJECTED:
			rejected++;
			*all = false;
			break;
		case QUORUM_MISSING:
			*all = false;
			break;
		}
	}
	if (granted >= majority) {
		return QUORUM_WON;
	}
	return voters->count - rejected < majority ? QUORUM_LOST : QUORUM_PENDING;
}

enum quorum_result quorum_vote(
	const struct raft_conf *conf, const struct quorum_report *reports, size_t count)
{
	bool all = true;

	ASSERT(conf != NULL);
	ASSERT(count <= RAFT_PEERS_MAX);
	enum quorum_result incoming = majority_vote(&conf->voters, reports, count, &all);
	enum quorum_result outgoing = majority_vote(&conf->outgoing, reports, count, &all);

	if (all || (incoming == QUORUM_WON && outgoing == QUORUM_WON)) {
		return QUORUM_WON;
	}
	/* "All" can only fail here, so a half that cannot win any more decides. */
	return incoming == QUORUM_LOST || outgoing == QUORUM_LOST ? QUORUM_LOST : QUORUM_PENDING;
}
