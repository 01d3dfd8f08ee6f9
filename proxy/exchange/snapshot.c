/*
 * snapshot: the only counted object that crosses threads here. Workers count their own uses without
 * atomics (snapshot_hold) and touch this counter once per reload.
 */
#include "exchange/snapshot.h"

#include "base/assert.h"
#include "base/mem.h"
#include "config/config.h"

struct config_snapshot *snapshot_ref(struct config_snapshot *snapshot)
{
	unsigned before = atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);

	ASSERT(before > 0);
	return snapshot;
}

void snapshot_unref(struct config_snapshot *snapshot)
{
	if (snapshot == NULL ||
		atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) != 1) {
		return;
	}
	if (snapshot->destroy != NULL) {
		snapshot->destroy(snapshot);
	}
	map_fini(&snapshot->services);
	config_destroy(snapshot->config);
	arena_fini(&snapshot->arena);
	mem_free(snapshot);
}

const struct service_snapshot *snapshot_service(
	const struct config_snapshot *snapshot, struct slice name)
{
	const struct service_snapshot *service = map_get(&snapshot->services, name);

	ASSERT(snapshot->default_service != NULL);
	return service != NULL ? service : snapshot->default_service;
}
