/*
 * service: what one worker knows of one service name, as exchanges and reports may see it. The
 * state itself is private to this room (service_state.h). A `struct service *` stays valid while an
 * attempt of it lives and for at least an hour after upstream_service or selection_init was last
 * called with it (mesh.md MA-04). One thread.
 */
#ifndef PILLION_UPSTREAM_SERVICE_H
#define PILLION_UPSTREAM_SERVICE_H

#include "upstream/budget.h"
#include "upstream/upstream.h"

const char *service_name(const struct service *service);
/* Borrowed until the next update; NULL while the registry has said nothing. */
const struct instance_set *service_set(const struct service *service);
/* The registry confirmed that there is no such name. */
bool service_is_absent(const struct service *service);
bool service_is_fixed(const struct service *service);
/* Its callees declared this method ("/pkg.S/M") as safe to repeat (mesh.md 5.2). */
bool service_is_idempotent(const struct service *service, struct slice path);
/* MT-20; budget_earn at the first attempt of each exchange, budget_take for each charged retry. */
struct budget *service_budget(struct service *service);
uint32_t service_active(const struct service *service); /* attempts that hold a slot */
uint32_t service_queued(const struct service *service); /* waiting for a slot or a connection */
/* Instances in each tier, as this worker sees them (pillion_instances). */
void service_tier_counts(const struct service *service, uint32_t ret_counts[TIER_COUNT]);
/* The tier of one instance; TIER_COUNT when it is not in the set. */
enum tier service_tier(const struct service *service, const uint8_t id[INSTANCE_ID_SIZE]);
const char *tier_word(enum tier tier);

#endif
