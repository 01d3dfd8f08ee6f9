/*
 * budget: how many repetitions a service's callers may add (mesh.md MT-20): charged retries in
 * flight are at most max(3, 20 % of the active exchanges), and each takes a token from a bucket of
 * 20 that first attempts fill by 0.2; a second with less income than one token is topped up to one.
 * Added load stays within 20 % above 5 requests/s. Pure; one thread.
 */
#ifndef PILLION_UPSTREAM_BUDGET_H
#define PILLION_UPSTREAM_BUDGET_H

#include <stdint.h>

struct budget {
	uint32_t charged;   /* charged retries in flight */
	uint32_t tokens;    /* thousandths of a token */
	uint32_t income;    /* of the running second, thousandths */
	uint64_t second_ms; /* when the running second began */
	uint64_t refused_concurrent;
	uint64_t refused_tokens;
};

enum budget_verdict { BUDGET_TAKEN, BUDGET_CONCURRENT, BUDGET_TOKENS };

void budget_init(struct budget *budget, uint64_t now_ms);
/* A first attempt began. */
void budget_earn(struct budget *budget, uint64_t now_ms);
/* BUDGET_TAKEN: one retry may go; budget_release when it has ended. active: exchanges under way. */
enum budget_verdict budget_take(struct budget *budget, uint32_t active, uint64_t now_ms);
void budget_release(struct budget *budget);

#endif
