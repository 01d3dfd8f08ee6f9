/*
 * decision: two promises rule it (mesh.md P1, P2). Nothing is executed twice unless its author said
 * that is harmless, so an ambiguous end is repeated for idempotent requests only; and a failure
 * that can be spared is spared, so what surely was not processed is repeated whatever the method
 * is.
 */
#include "exchange/decision.h"

#include "base/assert.h"

/* Free repetitions of one exchange: each found an unusable instance (MT 5.2, row F0). */
#define DECISION_FREE_MAX 16
/* MT-07: the delay grows from 25 ms to 250 ms. */
#define DECISION_DELAY_FIRST_MS 25
#define DECISION_DELAY_MOST_MS	250

static const char *const decision_words[RETRY_STOP_COUNT] = {
	[RETRY_STOP_NONE] = NULL,
	[RETRY_STOP_COMMITTED] = "committed",
	[RETRY_STOP_BODY] = "body",
	[RETRY_STOP_UNSAFE] = "unsafe",
	[RETRY_STOP_CALLEE] = "callee",
	[RETRY_STOP_INHERITED] = "inherited",
	[RETRY_STOP_MAX] = "max",
	[RETRY_STOP_BUDGET] = "budget",
	[RETRY_STOP_DEADLINE] = "deadline",
	[RETRY_STOP_NONE_LEFT] = "none_left",
};

const char *decision_stop_word(enum retry_stop stop)
{
	ASSERT(stop < RETRY_STOP_COUNT);
	return decision_words[stop];
}

bool decision_parse_wait(struct slice text, bool milliseconds, uint64_t *ret_ms)
{
	/* A day is beyond every max_wait; the cap keeps the product small. */
	const uint64_t most = milliseconds ? 86400000 : 86400;
	uint64_t value;

	if (!slice_parse_u64(slice_trim(text), UINT64_MAX, &value)) {
		return false;
	}
	value = value < most ? value : most;
	*ret_ms = milliseconds ? value : value * 1000;
	return true;
}

static bool decision_listed(const struct service_policy *policy, uint16_t status)
{
	ASSERT(policy->retry_on_count == 0 || policy->retry_on != NULL);
	for (unsigned i = 0; i < policy->retry_on_count; i++) {
		if (policy->retry_on[i] == status) {
			return true;
		}
	}
	return false;
}

bool decision_status_matters(const struct service_policy *policy, uint16_t status)
{
	return status == 502 || status == 503 || status == 504 || status == 429 ||
	       decision_listed(policy, status);
}

/* A complete answer that says failure: the last three rows of the table. */
static bool decision_status_allows(const struct decision_facts *facts)
{
	bool listed = decision_listed(facts->policy, facts->status);

	switch (facts->status) {
	case 502:
	case 503:
	case 504:
		return facts->idempotent || listed;
	case 429:
		/* Only when the callee says when, and soon enough. */
		return facts->has_wait &&
		       facts->wait_ms <= (uint64_t)facts->policy->retry_max_wait_ms &&
		       (facts->idempotent || listed);
	default:
		return listed;
	}
}

/* The table of mesh.md 5.2: is the repetition harmless? */
static bool decision_safe(const struct decision_facts *facts)
{
	switch (facts->class) {
	case CLASS_F0:
	case CLASS_F1:
		return true;
	case CLASS_F2:
	case CLASS_F3:
	case CLASS_F4:
		return facts->idempotent;
	case CLASS_FS:
		return decision_status_allows(facts);
	case CLASS_F5:
	case CLASS_OK:
	case CLASS_CANCELLED:
		return false;
	}
	return false;
}

/* What the repetition costs: the last column of the table. */
static void decision_cost(const struct decision_facts *facts, struct decision *decision)
{
	bool proven =
		facts->class == CLASS_F0 || (facts->class == CLASS_F1 && !facts->free_f1_used);
	bool lost = (facts->class == CLASS_F2 || facts->class == CLASS_F3 ||
			    facts->class == CLASS_F4) &&
		    !facts->timed_out;

	decision->counts = !proven;
	decision->charged = !proven && !(lost && !facts->free_lost_used);
}

/* MT-07: full jitter below a bound that doubles; what the callee asked for is a lower bound. */
static uint64_t decision_delay(const struct decision_facts *facts, bool counts)
{
	uint64_t most = DECISION_DELAY_FIRST_MS;
	uint64_t delay = 0;

	if (counts) {
		for (unsigned k = 1; k < facts->attempts && most < DECISION_DELAY_MOST_MS; k++) {
			most *= 2;
		}
		most = most < DECISION_DELAY_MOST_MS ? most : DECISION_DELAY_MOST_MS;
		delay = facts->random % (most + 1);
	}
	if (facts->has_wait && delay < facts->wait_ms) {
		delay = facts->wait_ms;
	}
	return delay;
}

/* The own application and stale connections: once more, on a fresh connection (MT-11, C-11). */
static enum retry_stop decision_fresh(const struct decision_facts *facts)
{
	bool harmless = facts->class == CLASS_F0 || facts->class == CLASS_F1 ||
			(facts->stale_connection && facts->idempotent);

	if (!harmless) {
		return RETRY_STOP_UNSAFE;
	}
	if (facts->fresh_used) {
		return RETRY_STOP_MAX;
	}
	return facts->time_left_ms == 0 ? RETRY_STOP_DEADLINE : RETRY_STOP_NONE;
}

/* MT-05 in its order; the first "no" ends it. */
static enum retry_stop decision_stop(const struct decision_facts *facts, struct decision *decision)
{
	bool never = facts->policy->retry == RETRY_NEVER;
	bool only_proven = facts->policy->retry == RETRY_OFF && facts->class != CLASS_F0 &&
			   facts->class != CLASS_F1;
	bool too_late;

	if (never || only_proven || !decision_safe(facts)) {
		return RETRY_STOP_UNSAFE;
	}
	if (facts->callee_no) {
		return RETRY_STOP_CALLEE;
	}
	decision_cost(facts, decision);
	if (facts->inherited && decision->counts) {
		return RETRY_STOP_INHERITED;
	}
	if (decision->counts ? facts->attempts >= facts->policy->retry_max
			     : facts->free_used >= DECISION_FREE_MAX) {
		return RETRY_STOP_MAX;
	}
	if (decision->charged && !facts->budget_left) {
		return RETRY_STOP_BUDGET;
	}
	decision->delay_ms = decision_delay(facts, decision->counts);
	/* A wait beyond max_wait hands the answer on unchanged, as a deadline would (MT-07). */
	too_late = facts->has_wait && facts->wait_ms > (uint64_t)facts->policy->retry_max_wait_ms;
	if (too_late || decision->delay_ms >= facts->time_left_ms) {
		return RETRY_STOP_DEADLINE;
	}
	return facts->left ? RETRY_STOP_NONE : RETRY_STOP_NONE_LEFT;
}

void decision_make(const struct decision_facts *facts, struct decision *ret_decision)
{
	bool stale = facts->stale_connection && facts->idempotent && !facts->fresh_used &&
		     facts->policy->retry != RETRY_NEVER;

	ASSERT(facts->policy != NULL);
	*ret_decision = (struct decision){.stop = RETRY_STOP_NONE};
	if (facts->committed) {
		ret_decision->stop = RETRY_STOP_COMMITTED;
	} else if (!facts->replayable) {
		ret_decision->stop = RETRY_STOP_BODY;
	} else if (facts->app_leg || stale) {
		ret_decision->fresh = true;
		ret_decision->stop = decision_fresh(facts);
	} else {
		ret_decision->stop = decision_stop(facts, ret_decision);
	}
	ASSERT(ret_decision->stop < RETRY_STOP_COUNT);
}
