#include "upstream/budget.h"

#include "base/assert.h"

enum {
	BUDGET_TOKEN = 1000,
	BUDGET_BUCKET = 20 * BUDGET_TOKEN,
	BUDGET_EARNED = BUDGET_TOKEN / 5, /* by each first attempt */
	BUDGET_CONCURRENT_MIN = 3,
	BUDGET_SHARE = 5, /* one charged retry in flight for so many active exchanges */
	BUDGET_SECOND_MS = 1000,
};

static void budget_add(struct budget *budget, uint32_t tokens)
{
	budget->tokens =
		tokens < BUDGET_BUCKET - budget->tokens ? budget->tokens + tokens : BUDGET_BUCKET;
}

/* Ends the seconds that have passed; each had an income of at least one token. */
static void budget_advance(struct budget *budget, uint64_t now_ms)
{
	uint64_t seconds =
		now_ms > budget->second_ms ? (now_ms - budget->second_ms) / BUDGET_SECOND_MS : 0;

	if (seconds == 0) {
		return;
	}
	if (budget->income < BUDGET_TOKEN) {
		budget_add(budget, BUDGET_TOKEN - budget->income);
	}
	if (seconds > 1) {
		uint64_t silent = seconds - 1 < BUDGET_BUCKET / BUDGET_TOKEN
					  ? seconds - 1
					  : BUDGET_BUCKET / BUDGET_TOKEN;

		budget_add(budget, (uint32_t)silent * BUDGET_TOKEN);
	}
	budget->income = 0;
	budget->second_ms += seconds * BUDGET_SECOND_MS;
}

void budget_init(struct budget *budget, uint64_t now_ms)
{
	*budget = (struct budget){.tokens = BUDGET_BUCKET, .second_ms = now_ms};
}

void budget_earn(struct budget *budget, uint64_t now_ms)
{
	budget_advance(budget, now_ms);
	budget_add(budget, BUDGET_EARNED);
	/* Only whether it reached one token matters. */
	if (budget->income < BUDGET_TOKEN) {
		budget->income += BUDGET_EARNED;
	}
	ASSERT(budget->tokens <= BUDGET_BUCKET);
}

enum budget_verdict budget_take(struct budget *budget, uint32_t active, uint64_t now_ms)
{
	uint32_t most = active / BUDGET_SHARE;

	if (most < BUDGET_CONCURRENT_MIN) {
		most = BUDGET_CONCURRENT_MIN;
	}
	budget_advance(budget, now_ms);
	if (budget->charged >= most) {
		budget->refused_concurrent++;
		return BUDGET_CONCURRENT;
	}
	if (budget->tokens < BUDGET_TOKEN) {
		budget->refused_tokens++;
		return BUDGET_TOKENS;
	}
	budget->tokens -= BUDGET_TOKEN;
	budget->charged++;
	return BUDGET_TAKEN;
}

void budget_release(struct budget *budget)
{
	ASSERT(budget->charged > 0);
	budget->charged--;
}
