#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/siphash.h"
#include "upstream/service_state.h"

/* Configured instances have no id: their address is their identity. The key need not be secret; it
 * only has to be the same for the same address. */
void instance_key(const struct instance *instance, uint8_t ret_key[INSTANCE_ID_SIZE])
{
	static const uint8_t none[INSTANCE_ID_SIZE];
	static const uint8_t seeds[2][16] = {{0}, {1}};
	char text[300];
	int size;

	if (memcmp(instance->id, none, sizeof(none)) != 0) {
		memcpy(ret_key, instance->id, INSTANCE_ID_SIZE);
		return;
	}
	if (instance->host) {
		size = snprintf(text, sizeof(text), "%s %u", instance->host, instance->port);
	} else {
		char address[ADDRESS_TEXT_MAX];

		size = snprintf(
			text, sizeof(text), "%s", address_format(&instance->address, address));
	}
	if (size >= (int)sizeof(text)) {
		size = (int)sizeof(text) - 1;
	}
	ASSERT(size >= 0);
	for (size_t i = 0; i < 2; i++) {
		uint64_t hash = siphash24(seeds[i], text, (size_t)size);

		memcpy(ret_key + 8 * i, &hash, 8);
	}
}

static void instance_state_fire(struct timer *timer);

struct instance_state *instance_state_create(struct service *service, const uint8_t *key)
{
	struct instance_state *state = mem_zalloc(sizeof(*state));

	ASSERT(service != NULL);
	state->service = service;
	memcpy(state->key, key, INSTANCE_ID_SIZE);
	list_init(&state->node);
	timer_init(&state->timer, instance_state_fire);
	pool_init(&state->pool);
	return state;
}

void instance_state_destroy(struct instance_state *state)
{
	ASSERT(state->uses == 0);
	timer_cancel(&state->timer);
	pool_fini(&state->pool);
	list_unlink(&state->node);
	mem_free(state);
}

/* The worst of what the registry says and of what this worker saw (MS-03). */
static enum tier instance_state_tier(const struct instance_state *state, uint64_t now_ms)
{
	ASSERT(state->instance != NULL);
	if (state->service->fixed) {
		return TIER_UP;
	}
	if (state->instance->health == INSTANCE_FAILING) {
		return TIER_FAILING;
	}
	if (state->unreachable) {
		return TIER_UNREACHABLE;
	}
	if (state->instance->health == INSTANCE_DRAINING || state->draining_until_ms > now_ms) {
		return TIER_DRAINING;
	}
	if (state->doubted && !state->contacted) {
		return TIER_SUSPECT;
	}
	return TIER_UP;
}

/* Computes the tier anew; the service learns of a change. */
static void instance_state_refresh(struct instance_state *state)
{
	enum tier tier;

	if (state->instance == NULL) {
		return;
	}
	tier = instance_state_tier(state, service_now_ms(state->service));
	if (tier != state->entry.tier) {
		state->entry.tier = tier;
		service_refresh(state->service);
	}
}

/* What was learnt of an instance stays while it stays the same one at the same place (ML-40). */
void instance_state_adopt(struct instance_state *state, const struct instance *instance, bool known)
{
	bool doubted = instance->suspect || !known;

	if (doubted && !state->doubted) {
		state->contacted = false; /* a new doubt needs a new proof */
	}
	state->doubted = doubted;
	state->instance = instance;
	state->entry.weight = instance->weight;
	if (pool_set_target(&state->pool, instance)) {
		/* What was learnt of another address does not hold for this one. */
		state->unreachable = false;
		state->entry.blocked_until_ms = 0;
		state->probe_at_ms = 0;
		state->probe_delay_ms = 0;
	}
	state->entry.tier = instance_state_tier(state, service_now_ms(state->service));
	instance_state_arm(state);
}

void instance_state_remove(struct instance_state *state)
{
	ASSERT(state->instance != NULL);
	state->instance = NULL;
	state->probe_at_ms = 0;
	list_push_back(&state->service->removed, &state->node);
	state->uses++; /* who waits in the pool lets go of the state meanwhile */
	pool_close(&state->pool);
	state->uses--;
}

void instance_state_release(struct instance_state *state)
{
	if (state->instance == NULL && state->uses == 0 && pool_is_empty(&state->pool)) {
		instance_state_destroy(state);
	}
}

static void instance_state_tell(const struct instance_state *state, enum tier tier)
{
	const struct upstream_options *options = &state->service->upstream->options;

	ASSERT(tier < TIER_COUNT);
	if (options->on_verdict && !state->service->fixed && state->instance) {
		options->on_verdict(options->owner, state->service->name, state->key, tier);
	}
}

/* MS-05: 100 ms, doubled by each failed probe up to 5 s, give or take 20 %. */
static void instance_state_plan_probe(struct instance_state *state)
{
	uint64_t delay = state->probe_delay_ms;
	uint64_t spread;

	if (state->probe_at_ms != 0 || state->instance == NULL) {
		return;
	}
	if (delay == 0) {
		delay = STATE_PROBE_FIRST_MS;
	}
	spread = delay * STATE_PROBE_JITTER / 100;
	state->probe_delay_ms = delay;
	state->probe_at_ms =
		service_now_ms(state->service) +
		rng_between(state->service->upstream->options.rng, delay - spread, delay + spread);
	instance_state_arm(state);
}

static void instance_state_set_unreachable(struct instance_state *state, bool tell)
{
	bool news = !state->unreachable;

	/* The own app and external hosts have nobody to take over: each request finds out itself.
	 */
	if (state->service->fixed || state->instance == NULL) {
		return;
	}
	state->unreachable = true;
	state->entry.blocked_until_ms = service_now_ms(state->service) + STATE_BLOCKED_MS;
	instance_state_plan_probe(state);
	instance_state_refresh(state);
	if (news && tell) {
		instance_state_tell(state, TIER_UNREACHABLE);
	}
}

/* Any connection that opened proves it, whoever asked for it. */
static void instance_state_set_reachable(struct instance_state *state, bool tell)
{
	bool news = state->unreachable;

	state->unreachable = false;
	state->entry.blocked_until_ms = 0;
	state->probe_at_ms = 0;
	state->probe_delay_ms = 0;
	if (!news) {
		return;
	}
	instance_state_refresh(state);
	service_wake(state->service);
	if (tell) {
		instance_state_tell(state, TIER_UP);
	}
}

/* Every answer may say so; the others hear it once. */
static void instance_state_set_draining(struct instance_state *state, bool tell)
{
	uint64_t now = service_now_ms(state->service);
	bool news = state->draining_until_ms <= now;

	if (state->service->fixed) {
		return;
	}
	state->draining_until_ms = now + STATE_DRAINING_MS;
	instance_state_refresh(state);
	instance_state_arm(state);
	if (news && tell) {
		instance_state_tell(state, TIER_DRAINING);
	}
}

void instance_state_set_tier(struct instance_state *state, enum tier tier, bool tell)
{
	switch (tier) {
	case TIER_UP:
		instance_state_set_reachable(state, tell);
		break;
	case TIER_DRAINING:
		instance_state_set_draining(state, tell);
		break;
	case TIER_UNREACHABLE:
		instance_state_set_unreachable(state, tell);
		break;
	case TIER_SUSPECT: /* the registry's word, comes with the set */
	case TIER_EJECTED: /* MH-10 to MH-15 are not in force yet */
	case TIER_FAILING:
	case TIER_COUNT:
		break;
	}
}

/* MS-05: only the probe's own failures stretch its interval; requests must not slow it down. */
void instance_state_connect_failed(struct instance_state *state, bool probe)
{
	if (probe && state->unreachable) {
		state->probe_delay_ms = state->probe_delay_ms * 2 < STATE_PROBE_MAX_MS
						? state->probe_delay_ms * 2
						: STATE_PROBE_MAX_MS;
	}
	instance_state_set_unreachable(state, true);
}

void instance_state_connected(struct instance_state *state)
{
	ASSERT(state->service != NULL);
	instance_state_set_reachable(state, true);
}

/* One good answer ends a doubt that the registry or the disk left (MS-03). */
void instance_state_contacted(struct instance_state *state)
{
	if (state->doubted && !state->contacted) {
		state->contacted = true;
		instance_state_refresh(state);
	}
	if (state->unreachable) {
		instance_state_set_reachable(state, true);
	}
}

/* One timer for all three; moved to an earlier time only, firing early costs one look. */
void instance_state_arm(struct instance_state *state)
{
	uint64_t next = pool_expire_idle(&state->pool, service_now_ms(state->service));

	if (state->probe_at_ms != 0 && state->probe_at_ms < next) {
		next = state->probe_at_ms;
	}
	if (state->draining_until_ms != 0 && state->draining_until_ms < next) {
		next = state->draining_until_ms;
	}
	if (next == UINT64_MAX) {
		return;
	}
	if (!timer_armed(&state->timer) || next < state->timer.deadline_ms) {
		timer_arm(state->service->upstream->options.loop, &state->timer, next);
	}
}

static void instance_state_fire(struct timer *timer)
{
	struct instance_state *state = container_of(timer, struct instance_state, timer);
	uint64_t now = service_now_ms(state->service);

	if (state->draining_until_ms != 0 && state->draining_until_ms <= now) {
		state->draining_until_ms = 0;
		instance_state_refresh(state);
	}
	if (state->probe_at_ms != 0 && state->probe_at_ms <= now) {
		state->probe_at_ms = 0;
		ASSERT(state->instance != NULL);
		if (state->pool.opening_count == 0) {
			pool_probe(&state->pool);
		}
		if (state->pool.opening_count == 0) {
			instance_state_plan_probe(state); /* no room for a connection now */
		}
	}
	instance_state_arm(state);
	instance_state_release(state);
}
