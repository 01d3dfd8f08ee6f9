/* server_control: what control's mail does to one worker's data path. */
#include "exchange/exchange_steps.h"

void exchange_server_set_snapshot(struct exchange_server *server, struct config_snapshot *snapshot)
{
	struct snapshot_hold *old = server->hold;

	ASSERT(snapshot != NULL);
	server->hold = server_hold_create(snapshot);
	server->replay.total = snapshot->replay_total / server->options.workers;
	server_set_app_target(server);
	/* Exchanges and connections under way keep the one that they began with (D-07). */
	server_release(old);
}

void exchange_server_set_instances(struct exchange_server *server, struct instance_set *set)
{
	ASSERT(set != NULL);
	upstream_update(server->upstream, set);
}

void exchange_server_set_verdict(
	struct exchange_server *server, const char *service, const uint8_t id[16], enum tier tier)
{
	ASSERT(tier < TIER_COUNT);
	upstream_apply_verdict(server->upstream, service, id, tier);
}

void exchange_server_set_app(struct exchange_server *server, bool healthy, bool exited, bool h2)
{
	server->app_exited = exited;
	if (exited) {
		server->app_ready = false; /* ML-25 */
		return;
	}
	if (healthy) {
		/* MH-03: after the first pass requests reach it, whatever later checks say. */
		server->app_ready = true;
		server->app_probed = true;
		server->app.protocol = h2 ? INSTANCE_H2C : INSTANCE_HTTP1;
	}
}

void exchange_server_set_registry(
	struct exchange_server *server, enum registry_mode mode, uint64_t heard_ms)
{
	server->registry_mode = mode;
	server->registry_heard_ms = heard_ms;
}

void exchange_server_drain_inbound(struct exchange_server *server)
{
	server->draining = true;
	LIST_FOR_EACH(node, &server->downstreams) {
		struct downstream *from = container_of(node, struct downstream, node);

		if (from->listener->kind == LISTENER_INBOUND) {
			connection_drain(from->connection);
		}
	}
}

void exchange_server_drain_listener(struct exchange_server *server, const char *listener_name)
{
	ASSERT(listener_name != NULL);
	LIST_FOR_EACH(node, &server->downstreams) {
		struct downstream *from = container_of(node, struct downstream, node);

		if (strcmp(from->listener->name, listener_name) == 0) {
			connection_drain(from->connection);
		}
	}
}

/* D-05: the grace time is over. Marks only; the cuts happen in the run queue of the next turn. */
unsigned exchange_server_cut_inbound(struct exchange_server *server)
{
	unsigned count = 0;

	server->drained = true;
	LIST_FOR_EACH(node, &server->exchanges) {
		struct exchange *x = container_of(node, struct exchange, node);

		if (x->inbound && !x->ending) {
			x->cut = REASON_drain_cut;
			exchange_mark(x);
			count++;
		}
	}
	return count;
}

unsigned exchange_server_inbound_active(const struct exchange_server *server)
{
	return server->inbound_active;
}

unsigned exchange_server_outbound_active(const struct exchange_server *server)
{
	return server->outbound_active;
}

uint64_t exchange_server_last_outbound_ms(const struct exchange_server *server)
{
	return server->last_outbound_ms;
}

struct upstream *exchange_server_upstream(struct exchange_server *server)
{
	return server->upstream;
}

void *exchange_server_slot(struct exchange_server *server, unsigned slot)
{
	ASSERT(slot < ARRAY_SIZE(server->options.slots));
	return server->options.slots[slot];
}

struct block_pool *exchange_server_pool(struct exchange_server *server)
{
	return &server->pool;
}

const struct server_stats *exchange_server_stats(const struct exchange_server *server)
{
	return server->stats;
}

size_t exchange_server_take_records(
	struct exchange_server *server, struct access_record *ret_records, size_t most)
{
	size_t count = 0;

	while (count < most && access_ring_take(server->ring, &ret_records[count])) {
		count++;
	}
	return count;
}
