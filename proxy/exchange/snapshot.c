#include "exchange/snapshot.h"

#include "base/assert.h"

struct config_snapshot *snapshot_ref(struct config_snapshot *snapshot)
{
	unsigned before = atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);

	ASSERT(before > 0);
	return snapshot;
}

void snapshot_unref(struct config_snapshot *snapshot)
{
	if (snapshot == NULL) {
		return;
	}
	if (atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) == 1) {
		/* Control made the parts and knows how to take them apart, the struct included. */
		if (snapshot->destroy != NULL) {
			snapshot->destroy(snapshot);
		}
	}
}

const struct service_snapshot *snapshot_service(
	const struct config_snapshot *snapshot, struct slice name)
{
	const struct service_snapshot *service = map_get(&snapshot->services, name);

	ASSERT(snapshot->default_service != NULL);
	return service != NULL ? service : snapshot->default_service;
}
