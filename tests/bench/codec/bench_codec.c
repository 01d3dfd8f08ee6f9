/*
 * CB-01, CB-02: the engine against jansson on the same text, in one process. Each row is the best
 * of 9 alternating rounds; the goal stands behind it. Nothing fails on a slow machine: ratios are
 * printed.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "codec/descriptor.h"
#include "codec/descriptor_builder.h"
#include "codec/json_to_wire.h"
#include "codec/wire_to_json.h"

#define ROUNDS 9

static const uint8_t schema[] = {
#include "schema/schema.inc"
};

static const char order_json[] =
	"{\"orderId\":\"ord-2024-000123456\",\"customerId\":\"9876543210123\","
	"\"createdMs\":\"1718000000123\",\"currency\":\"EUR\","
	"\"shipping\":{\"name\":\"Ada Lovelace\",\"street\":\"12 St James's Square\","
	"\"city\":\"London\",\"postalCode\":\"SW1Y 4JH\",\"country\":\"United Kingdom\","
	"\"latitude\":51.507351,\"longitude\":-0.127758},"
	"\"billing\":{\"name\":\"Charles Babbage\",\"street\":\"1 Dorset Street\","
	"\"city\":\"Marylebone\",\"postalCode\":\"W1U 4EF\",\"country\":\"United Kingdom\","
	"\"latitude\":51.518982,\"longitude\":-0.155321},"
	"\"items\":["
	"{\"sku\":\"SKU-000001\",\"title\":\"Analytical engine, brass\",\"quantity\":1,"
	"\"price\":1999.95,\"tags\":[\"brass\",\"steam\",\"engine\"],\"gift\":true},"
	"{\"sku\":\"SKU-000002\",\"title\":\"Punched cards, box of 500\",\"quantity\":12,"
	"\"price\":24.5,\"tags\":[\"paper\",\"cards\"]},"
	"{\"sku\":\"SKU-000003\",\"title\":\"Lubricating oil\",\"quantity\":3,\"price\":7.25,"
	"\"tags\":[\"oil\"]},"
	"{\"sku\":\"SKU-000004\",\"title\":\"Spare gear wheel no. 42\",\"quantity\":40,"
	"\"price\":0.99,\"tags\":[\"brass\",\"gear\"]},"
	"{\"sku\":\"SKU-000005\",\"title\":\"Sketch of the Analytical Engine\",\"quantity\":2,"
	"\"price\":15.75,\"tags\":[\"book\",\"paper\",\"notes\"],\"gift\":true}],"
	"\"attributes\":{\"channel\":\"web\",\"campaign\":\"spring-2024\",\"locale\":\"en-GB\","
	"\"agent\":\"mozilla\"},"
	"\"total\":2399.8,\"signature\":\"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=\","
	"\"ratings\":[5,4,5,3,2,5,1,4],\"priority\":true}";

static const char small_json[] =
	"{\"id\":\"a1b2c3d4\",\"count\":42,\"ok\":true,\"text\":\"hello, small world 123\"}";

/* One document, both ways. */
struct document {
	const char *name;
	struct codec_context *context;
	struct codec_target target;
	struct slice json;
	struct slice wire;
	struct buf out;
	json_t *tree;
	unsigned repeats;
};

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void must(bool done, const char *what)
{
	if (!done) {
		fprintf(stderr, "bench: %s\n", what);
		exit(1);
	}
}

static void run_in(struct document *d)
{
	struct codec_fault fault;

	buf_clear(&d->out);
	must(json_to_wire_translate(d->context, &d->target, d->json, &d->out, &fault), "in");
}

static void run_out(struct document *d)
{
	struct codec_fault fault;

	buf_clear(&d->out);
	must(wire_to_json_translate(d->context, &d->target, d->wire, &d->out, &fault), "out");
}

static void run_loads(struct document *d)
{
	json_t *tree = json_loadb((const char *)d->json.data, d->json.size, 0, NULL);

	must(tree != NULL, "json_loads");
	json_decref(tree);
}

static void run_dumps(struct document *d)
{
	char *text = json_dumps(d->tree, JSON_COMPACT);

	must(text != NULL, "json_dumps");
	free(text);
}

typedef void run_document(struct document *document);

static double once(run_document *run, struct document *d)
{
	double start = now_ns();

	for (unsigned i = 0; i < d->repeats; i++) {
		run(d);
	}
	return (now_ns() - start) / d->repeats;
}

/* Best of alternating rounds of the engine and its peer. */
static void compare(
	struct document *d, const char *way, run_document *engine, run_document *peer, int goal)
{
	double best = 1e18;
	double best_peer = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		double time = once(engine, d);
		double time_peer = once(peer, d);

		best = time < best ? time : best;
		best_peer = time_peer < best_peer ? time_peer : best_peer;
	}
	printf("%-6s %-4s %9.0f ns   jansson %9.0f ns   1/%.1f (goal 1/%d)%s\n", d->name, way, best,
		best_peer, best_peer / best, goal, best_peer / best < goal ? "   MISSED" : "");
}

static struct slice padded(struct slice bytes)
{
	uint8_t *copy = mem_zalloc(bytes.size + CODEC_SLACK);

	memcpy(copy, bytes.data, bytes.size);
	return slice_make(copy, bytes.size);
}

static void open_document(struct document *d, const char *message, const char *json)
{
	d->json = padded(slice_from_string(json));
	d->target.message =
		descriptor_pool_find_message(d->target.pool, slice_from_string(message));
	must(d->target.message != DESCRIPTOR_NONE, message);
	buf_init(&d->out);
	run_in(d);
	d->wire = padded(buf_slice(&d->out));
	run_out(d);
	d->tree = json_loadb((const char *)d->out.data, d->out.size, 0, NULL);
	must(d->tree != NULL, "own output");
	printf("%-6s %zu bytes of JSON, %zu of wire\n", d->name, d->json.size, d->wire.size);
}

static void close_document(struct document *d)
{
	json_decref(d->tree);
	mem_free((void *)(uintptr_t)d->json.data);
	mem_free((void *)(uintptr_t)d->wire.data);
	buf_fini(&d->out);
}

/* MB/s of JSON, both ways, for messages of one kind of value. */
static void throughput(struct document *d, const char *name, const char *message, struct buf *json)
{
	double best[2] = {1e18, 1e18};

	d->name = name;
	d->repeats = 20;
	open_document(d, message, buf_string(json));
	for (int round = 0; round < ROUNDS; round++) {
		double in = once(run_in, d);
		double out = once(run_out, d);

		best[0] = in < best[0] ? in : best[0];
		best[1] = out < best[1] ? out : best[1];
	}
	printf("%-6s in %.0f MB/s, out %.0f MB/s of JSON\n", name,
		(double)d->json.size * 1e3 / best[0], (double)d->out.size * 1e3 / best[1]);
	close_document(d);
	buf_clear(json);
}

static void throughputs(struct document *d)
{
	struct buf json;
	uint64_t seed = 42;

	buf_init(&json);
	buf_append_string(&json, "{\"values\":[");
	for (int i = 0; i < 16384; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		buf_appendf(&json, "%s%d", i ? "," : "", (int32_t)(seed >> 32));
	}
	buf_append_string(&json, "]}");
	throughput(d, "Ints", "bench.Ints", &json);
	buf_append_string(&json, "{\"values\":[");
	for (int i = 0; i < 4096; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		buf_appendf(&json, "%s%.17g", i ? "," : "", (double)(int64_t)seed / 3e13);
	}
	buf_append_string(&json, "]}");
	throughput(d, "Double", "bench.Doubles", &json);
	buf_append_string(&json, "{\"text\":\"");
	for (int i = 0; i < 1 << 16; i++) {
		buf_append_string(&json, "sixteen letters.");
	}
	buf_append_string(&json, "\"}");
	throughput(d, "Str", "bench.Text", &json);
	buf_append_string(&json, "{\"texts\":[");
	for (int i = 0; i < 4096; i++) {
		buf_appendf(&json, "%s\"text number %012d\"", i ? "," : "", i);
	}
	buf_append_string(&json, "]}");
	throughput(d, "Strs", "bench.Texts", &json);
	buf_fini(&json);
}

int main(int argc, char **argv)
{
	struct descriptor_builder *builder = descriptor_builder_create(DESCRIPTOR_ALL);
	unsigned repeats = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;
	struct codec_options options;
	struct document d = {.context = codec_context_create(1)};
	struct descriptor_pool *pool;
	struct err err;

	translate_options_init(&options);
	must(descriptor_builder_add_set(
		     builder, slice_make(schema, sizeof(schema)), "bench", &err) == 0,
		"schema");
	pool = descriptor_builder_build(builder, &err);
	must(pool != NULL, "pool");
	d.target = (struct codec_target){pool, DESCRIPTOR_NONE, &options};
	d.name = "Order";
	d.repeats = repeats;
	open_document(&d, "bench.Order", order_json);
	compare(&d, "in", run_in, run_loads, 8);
	compare(&d, "out", run_out, run_dumps, 5);
	close_document(&d);
	d.name = "Small";
	open_document(&d, "bench.Small", small_json);
	compare(&d, "in", run_in, run_loads, 6);
	compare(&d, "out", run_out, run_dumps, 4);
	close_document(&d);
	throughputs(&d);
	descriptor_pool_unref(pool);
	descriptor_builder_destroy(builder);
	codec_context_destroy(d.context);
	return 0;
}
