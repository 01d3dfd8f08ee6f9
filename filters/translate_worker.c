/*
 * translate_worker: what exchanges of one worker share. No locks: control reaches it by mailbox.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "filters/translate_work.h"
#include "http/reply.h"

/* EN-04: the key of the hashes is drawn for each worker, so that nobody can prepare keys which
 * collide. Until control says otherwise the schema is on its way (RF-04). */
struct translate_worker *translate_worker_create(uint64_t memory_max)
{
	struct translate_worker *worker = mem_zalloc(sizeof(*worker));
	uint64_t seed;

	rng_system_bytes(&seed, sizeof(seed));
	worker->context = codec_context_create(seed);
	worker->schema = TRANSLATE_SCHEMA_PENDING;
	worker->memory_max = memory_max;
	buf_init(&worker->input);
	buf_init(&worker->output);
	list_init(&worker->waiting);
	return worker;
}

/* The two assertions are the law of the budget: what was charged has been given back. */
void translate_worker_destroy(struct translate_worker *worker)
{
	if (worker == NULL) {
		return;
	}
	/* Every exchange is over (FL-05). */
	ASSERT(list_empty(&worker->waiting));
	ASSERT(worker->memory_small == 0 && worker->memory_big == 0);
	codec_context_destroy(worker->context);
	descriptor_pool_unref(worker->pool);
	buf_fini(&worker->input);
	buf_fini(&worker->output);
	mem_free(worker);
}

/* DS-10: exchanges under way hold references to the old pool, which ends with the last of them. */
void translate_worker_set_schema(struct translate_worker *worker, enum translate_schema state,
	const struct descriptor_pool *pool, bool grpc_app)
{
	struct descriptor_pool *old = worker->pool;
	struct list_node ready;

	ASSERT((state == TRANSLATE_SCHEMA_READY) == (pool != NULL));
	worker->pool = pool != NULL ? descriptor_pool_ref(pool) : NULL;
	descriptor_pool_unref(old);
	worker->schema = state;
	worker->grpc_app = grpc_app;
	/* Those that must wait on stand in the worker's list again afterwards. */
	list_init(&ready);
	list_move_all(&ready, &worker->waiting);
	for (struct list_node *node; (node = list_pop_front(&ready)) != NULL;) {
		translate_resume(container_of(node, struct translate_work, node));
	}
}

/* RF-04: a request waits for schema_wait at most, whatever its own deadline. Each one has its own
 * time, since per-service options differ; so the whole list is walked. */
void translate_worker_expire(struct translate_worker *worker, uint64_t now_ns)
{
	LIST_FOR_EACH_SAFE(node, &worker->waiting) {
		struct translate_work *work = container_of(node, struct translate_work, node);
		struct reply reply = {.reason = REASON_codec_schema_wait, .grpc = -1};

		if (now_ns < work->wait_until_ns) {
			continue;
		}
		list_unlink(&work->node);
		work->mode = TRANSLATE_MODE_PASS;
		if (!exchange_is_answered(work->exchange)) {
			translate_note_fault(
				work, false, CODEC_FAULT_NO_SCHEMA, reply.reason, SLICE(""));
			exchange_reply(work->exchange, &reply);
		}
	}
}

/* Asked and cleared in one, so that one burst of unknown methods is one wish; how often a wish is
 * granted is control's to limit (RF-04). */
bool translate_worker_take_unknown(struct translate_worker *worker)
{
	bool unknown = worker->unknown;

	worker->unknown = false;
	return unknown;
}

const struct translate_totals *translate_worker_totals(const struct translate_worker *worker)
{
	return &worker->totals;
}

void translate_totals_add(struct translate_totals *totals, const struct translate_totals *more)
{
	totals->passed += more->passed;
	totals->slow_path += more->slow_path;
	totals->headers_dropped += more->headers_dropped;
	totals->memory_bytes += more->memory_bytes;
	for (size_t i = 0; i < ARRAY_SIZE(more->messages); i++) {
		totals->messages[i] += more->messages[i];
		totals->bytes_in[i] += more->bytes_in[i];
		totals->bytes_out[i] += more->bytes_out[i];
	}
	for (size_t i = 0; i < CODEC_FAULT_COUNT; i++) {
		totals->faults[0][i] += more->faults[0][i];
		totals->faults[1][i] += more->faults[1][i];
	}
	histogram_merge(&totals->durations, &more->durations);
}

/* LM-04 as one sum: big messages share the budget; small ones are weighed only beyond their
 * reserve, so that a flood of big ones never turns small calls away. */
bool translate_worker_charge(struct translate_work *work, size_t size)
{
	struct translate_worker *worker = work->worker;
	uint64_t small = worker->memory_small;
	uint64_t big = worker->memory_big;
	uint64_t over;

	/* What it held goes back first; by its size it is known from where it came. */
	if (work->charged <= TRANSLATE_SMALL) {
		ASSERT(small >= work->charged);
		small -= work->charged;
	} else {
		ASSERT(big >= work->charged);
		big -= work->charged;
	}
	if (size <= TRANSLATE_SMALL) {
		small += size;
	} else {
		big += size;
	}
	over = big + (small > TRANSLATE_RESERVE ? small - TRANSLATE_RESERVE : 0);
	/* LM-04: small ones that fit into the reserve weigh nothing; letting go always succeeds. */
	if (size > work->charged && over > worker->memory_max) {
		return false;
	}
	worker->memory_small = small;
	worker->memory_big = big;
	work->charged = size;
	worker->totals.memory_bytes = small + big;
	return true;
}

uint64_t translate_worker_begin(size_t in)
{
	return in > TRANSLATE_SMALL ? clock_monotonic_ns() : 0;
}

void translate_worker_count(struct translate_worker *worker, enum translate_way way, size_t in,
	size_t out, uint64_t begun_ns)
{
	if (begun_ns != 0) {
		histogram_add(&worker->totals.durations, (clock_monotonic_ns() - begun_ns) / 1000);
	}
	worker->totals.messages[way]++;
	worker->totals.bytes_in[way] += in;
	worker->totals.bytes_out[way] += out;
	worker->totals.slow_path = codec_context_slow_paths(worker->context);
}

/* EN-07: one huge message must not keep its size for the life of the worker. */
struct buf *translate_worker_scratch(struct buf *scratch)
{
	if (scratch->capacity > TRANSLATE_KEPT) {
		buf_fini(scratch);
		buf_init(scratch);
	}
	buf_clear(scratch);
	return scratch;
}
