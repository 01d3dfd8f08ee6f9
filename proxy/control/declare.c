#include "control/declare.h"

#include <stdio.h>

#include "codec/descriptor.h"
#include "control/schema.h"
#include "control/state.h"

#define ENDPOINTS_MAX 1024 /* registry.md RD-02 */
#define METADATA_MAX  64

/* The registry call may outlive what these strings come from. */
static struct metadata_pair pair(struct arena *arena, const char *key, const char *value)
{
	return (struct metadata_pair){arena_string(arena, slice_from_string(key)),
		arena_string(arena, slice_from_string(value))};
}

/* The two entries of our own come last and always fit: callers need the protocol to talk at all
 * (MH-05), and see by the digest that instances differ in their schema (DS-10). */
static void add_metadata(struct arena *arena, const struct control *control, const char *protocol,
	struct registry_service *service)
{
	const struct config_self *self = &control->config->self;
	struct metadata_pair *pairs = arena_alloc(arena, METADATA_MAX * sizeof *pairs);
	const struct descriptor_pool *pool = schema_pool(control->schema);
	uint32_t count = 0;
	char digest[17];

	for (size_t i = 0; i < self->metadata.count && count < METADATA_MAX - 2; i++) {
		pairs[count++] =
			pair(arena, self->metadata.items[i].name, self->metadata.items[i].value);
	}
	pairs[count++] = pair(arena, "protocol", protocol);
	if (pool) {
		descriptor_pool_digest_text(pool, digest);
		pairs[count++] = pair(arena, "schema", digest);
	}
	service->metadata = pairs;
	service->metadata_count = count;
}

/* Methods with their types and whether they may be repeated, so that a caller's sidecar can decide
 * on retries without a schema of its own (mesh.md 5.2). */
static void add_endpoints(
	struct arena *arena, const struct control *control, struct registry_service *service)
{
	const struct descriptor_pool *pool = schema_pool(control->schema);
	struct registry_endpoint *endpoints;
	uint32_t count;

	if (!pool) {
		return;
	}
	count = descriptor_pool_method_count(pool);
	count = count > ENDPOINTS_MAX ? ENDPOINTS_MAX : count;
	endpoints = arena_alloc(arena, (count + 1) * sizeof *endpoints);
	for (uint32_t i = 0; i < count; i++) {
		const struct codec_method *method = descriptor_pool_method(pool, i);

		endpoints[i] = (struct registry_endpoint){.name = arena_string(arena, method->path),
			.request = arena_string(
				arena, descriptor_pool_message_name(pool, method->input)),
			.response = arena_string(
				arena, descriptor_pool_message_name(pool, method->output)),
			.idempotent = method->idempotency != CODEC_IDEMPOTENCY_UNKNOWN};
	}
	service->endpoints = endpoints;
	service->endpoint_count = count;
}

/* ML-06: always the whole declared set. The registry compares and writes nothing when nothing
 * changed, so saying it too often costs nothing (RD-06). */
bool declare_service(struct control *control, enum instance_health health, const char *protocol,
	struct registry_call *call)
{
	const struct config_self *self = &control->config->self;
	struct registry_service service = {.name = self->name,
		.version = self->version,
		.host = control->advertise_host,
		.port = control->advertise_port,
		.zone = self->zone,
		.protocol = protocol,
		.weight = (uint32_t)self->weight,
		.health = health};
	struct arena arena;

	/* A gateway or a mere voter has nothing to declare. */
	if (!control->registry || !self->app.present) {
		return false;
	}
	arena_init(&arena);
	add_metadata(&arena, control, protocol, &service);
	add_endpoints(&arena, control, &service);
	control->registry->ops->register_service(control->registry, &service, 1, call);
	arena_fini(&arena);
	return true;
}
