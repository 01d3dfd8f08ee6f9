/* Sets of ids and what can be asked of a configuration: the pure half of member.h. Beside member.c
 * because that file keeps to the bound of RR-06. */
#include <string.h>

#include "raftreg/core/check.h"
#include "raftreg/core/member.h"

/* Sets */

bool member_ids_has(const struct raft_ids *set, uint64_t id)
{
	ASSERT(set->count <= RAFT_IDS_MAX);
	ASSERT(set != NULL);
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->ids[i] == id) {
			return true;
		}
	}
	return false;
}

bool member_ids_add(struct raft_ids *set, uint64_t id)
{
	uint32_t place = set->count;

	ASSERT(id != 0);
	ASSERT(set->count <= RAFT_IDS_MAX);
	if (member_ids_has(set, id)) {
		return true;
	}
	if (set->count == RAFT_IDS_MAX) {
		return false;
	}
	for (; place > 0 && set->ids[place - 1] > id; place--) {
		set->ids[place] = set->ids[place - 1];
	}
	set->ids[place] = id;
	set->count++;
	return true;
}

void member_ids_remove(struct raft_ids *set, uint64_t id)
{
	uint32_t kept = 0;

	ASSERT(set->count <= RAFT_IDS_MAX);
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->ids[i] != id) {
			set->ids[kept++] = set->ids[i];
		}
	}
	/* Unused places are zero, so equal sets have equal bytes. */
	if (kept < set->count) {
		ASSERT(kept + 1 == set->count);
		set->ids[kept] = 0;
		set->count = kept;
	}
}

void member_ids_add_all(struct raft_ids *set, const struct raft_ids *other)
{
	ASSERT(other->count <= RAFT_IDS_MAX);
	for (uint32_t i = 0; i < other->count; i++) {
		bool added = member_ids_add(set, other->ids[i]);

		ASSERT(added);
	}
}

/* Ascending, no doubles, no zero: the form in which sets are compared and matched. */
static bool is_sorted(const struct raft_ids *set, uint32_t count_max)
{
	ASSERT(count_max <= RAFT_IDS_MAX);
	ASSERT(set != NULL);
	if (set->count > count_max) {
		return false;
	}
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->ids[i] == 0 || (i > 0 && set->ids[i - 1] >= set->ids[i])) {
			return false;
		}
	}
	return true;
}

static bool equal_ids(const struct raft_ids *a, const struct raft_ids *b)
{
	ASSERT(a->count <= RAFT_IDS_MAX);
	ASSERT(b->count <= RAFT_IDS_MAX);
	return a->count == b->count && memcmp(a->ids, b->ids, a->count * sizeof(a->ids[0])) == 0;
}

/* Configurations */

bool member_conf_is_joint(const struct raft_conf *conf)
{
	ASSERT(conf != NULL);
	return conf->outgoing.count > 0;
}

bool member_conf_is_voter(const struct raft_conf *conf, uint64_t id)
{
	ASSERT(conf != NULL);
	ASSERT(conf->voters.count <= RAFT_IDS_MAX);
	return member_ids_has(&conf->voters, id) || member_ids_has(&conf->outgoing, id);
}

/* Staged ids are outgoing voters, too, so they need no question of their own. */
bool member_conf_has(const struct raft_conf *conf, uint64_t id)
{
	ASSERT(conf != NULL);
	ASSERT(conf->learners.count <= RAFT_IDS_MAX);
	return member_conf_is_voter(conf, id) || member_ids_has(&conf->learners, id);
}

bool member_conf_equal(const struct raft_conf *a, const struct raft_conf *b)
{
	ASSERT(a != NULL && b != NULL);
	return equal_ids(&a->voters, &b->voters) && equal_ids(&a->outgoing, &b->outgoing) &&
	       equal_ids(&a->learners, &b->learners) && equal_ids(&a->staged, &b->staged) &&
	       a->auto_leave == b->auto_leave;
}

void member_conf_all(const struct raft_conf *conf, struct raft_ids *ret_ids)
{
	ASSERT(conf->voters.count <= RAFT_VOTERS_MAX);
	ASSERT(conf->outgoing.count <= RAFT_VOTERS_MAX);
	memset(ret_ids, 0, sizeof(*ret_ids));
	member_ids_add_all(ret_ids, &conf->voters);
	member_ids_add_all(ret_ids, &conf->outgoing);
	member_ids_add_all(ret_ids, &conf->learners);
}

/* For what comes from a snapshot file or the network. The bounds are those of RR-01. */
bool member_conf_is_valid(const struct raft_conf *conf)
{
	ASSERT(conf != NULL);
	if (!is_sorted(&conf->voters, RAFT_VOTERS_MAX) ||
		!is_sorted(&conf->outgoing, RAFT_VOTERS_MAX) ||
		!is_sorted(&conf->learners, RAFT_LEARNERS_MAX) ||
		!is_sorted(&conf->staged, RAFT_VOTERS_MAX) ||
		conf->learners.count + conf->staged.count > RAFT_LEARNERS_MAX) {
		return false;
	}
	if (conf->outgoing.count == 0 && (conf->staged.count > 0 || conf->auto_leave)) {
		return false;
	}
	for (uint32_t i = 0; i < conf->learners.count; i++) {
		if (member_conf_is_voter(conf, conf->learners.ids[i])) {
			return false;
		}
	}
	/* Staged: only who still votes in the outgoing half waits for being a learner. */
	for (uint32_t i = 0; i < conf->staged.count; i++) {
		if (!member_ids_has(&conf->outgoing, conf->staged.ids[i]) ||
			member_ids_has(&conf->voters, conf->staged.ids[i])) {
			return false;
		}
	}
	return conf->voters.count > 0;
}

/* For the log of the node and for traces. */
const char *member_change_error_name(enum raft_change_error error)
{
	static const char *const names[] = {"ok", "unknown", "already joint", "not joint",
		"no voters", "too many voters differ", "removes all voters", "limit"};
	unsigned number = (unsigned)error;

	ASSERT(number < sizeof(names) / sizeof(names[0]));
	ASSERT(names[number] != NULL);
	return names[number];
}
