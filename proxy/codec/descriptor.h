/*
 * descriptor: a compiled schema (codec.md 2, EN-01). A descriptor_pool is one immutable block made
 * by descriptor_builder.h; any thread may read it, and its reference count is atomic. A slice or
 * pointer that a look-up returns lives as long as the pool.
 */
#ifndef PILLION_CODEC_DESCRIPTOR_H
#define PILLION_CODEC_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct descriptor_pool;

#define DESCRIPTOR_NONE UINT32_MAX

enum codec_idempotency {
	CODEC_IDEMPOTENCY_UNKNOWN,
	CODEC_NO_SIDE_EFFECTS,
	CODEC_IDEMPOTENT,
};

struct codec_method {
	struct slice path; /* "/shop.Stock/Get"; the full name without its slash is path + 1 */
	struct slice name; /* "Get" */
	uint32_t service;  /* index in the pool */
	uint32_t input;	   /* message indexes in the pool */
	uint32_t output;
	bool client_streaming;
	bool server_streaming;
	enum codec_idempotency idempotency;
};

struct codec_service {
	struct slice name;     /* "shop.Stock" */
	uint32_t first_method; /* methods of one service stand together, in declared order */
	uint32_t method_count;
};

struct descriptor_pool *descriptor_pool_ref(const struct descriptor_pool *pool);
void descriptor_pool_unref(struct descriptor_pool *pool); /* NULL is allowed */

/* By the path of a gRPC request, "/pkg.Service/Method"; NULL when unknown. */
const struct codec_method *descriptor_pool_find_method(
	const struct descriptor_pool *pool, struct slice path);
/* By full name; DESCRIPTOR_NONE when unknown. */
uint32_t descriptor_pool_find_message(const struct descriptor_pool *pool, struct slice full_name);
struct slice descriptor_pool_message_name(const struct descriptor_pool *pool, uint32_t message);

uint32_t descriptor_pool_service_count(const struct descriptor_pool *pool);
const struct codec_service *descriptor_pool_service(
	const struct descriptor_pool *pool, uint32_t index);
uint32_t descriptor_pool_method_count(const struct descriptor_pool *pool);
const struct codec_method *descriptor_pool_method(
	const struct descriptor_pool *pool, uint32_t index);

/* DS-10. The registry's metadata `schema` is the 16 lower-case hex digits. */
uint64_t descriptor_pool_digest(const struct descriptor_pool *pool);
void descriptor_pool_digest_text(const struct descriptor_pool *pool, char ret_text[17]);
/* Bytes of the compiled block, for metrics. */
size_t descriptor_pool_size(const struct descriptor_pool *pool);

#endif
