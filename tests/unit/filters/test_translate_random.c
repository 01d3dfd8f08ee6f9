/*
 * translate under seeds: random requests, answers, pieces, schemas that come and go, clients and
 * applications that leave. At the end of each: every call has ended or was left, nothing is
 * charged, and ASan finds nothing (FLT-09). PILLION_SEED repeats one seed.
 */
#include <stdlib.h>
#include <string.h>

#include "translate_rig.h"

#include "base/rng.h"
#include "net/loop.h"

enum { SEEDS = 250, CALLS = 5, BODY_MAX = 40 };

static const char *const apps[] = {
	"grpc", "json", "grpc", "json", "auto", "json opaque", "grpc opaque", "opaque"};
static const char *const types[] = {"application/json", "application/grpc", "application/json",
	"application/grpc", "application/grpc+proto", "text/plain", "application/problem+json"};
static const char *const paths[] = {"/shop.Stock/Get", "/shop.Stock/Get", "/shop.Stock/Get",
	"/shop.Stock/Get", "/shop.Stock/Get", "/shop.Stock/Get", "/shop.Stock/Get",
	"/shop.Stock/Raw", "/shop.Stock/Watch", "/x"};
static const char *const bodies[] = {"{}", "", "{\"sku\":\"a\",\"qty\":3}", "{\"qty\":7}",
	"{\"tags\":[1,2,3]}", "{\"child\":{\"child\":{\"tags\":[1,2,3]}}}", "{\"qty\":", "[1]"};

struct bytes {
	uint8_t data[BODY_MAX];
	size_t size;
};

#define PICK(rng, list) (list)[rng_below(rng, ARRAY_SIZE(list))]

/* A frame that is right, nearly right, or noise. */
static void random_frame(struct rng *rng, struct bytes *ret_bytes)
{
	static const uint8_t good[] = {0, 0, 0, 0, 5, 0x0a, 1, 'a', 0x10, 3};

	memcpy(ret_bytes->data, good, sizeof(good));
	ret_bytes->size = sizeof(good);
	switch (rng_below(rng, 10)) {
	case 0:
		ret_bytes->size = rng_below(rng, BODY_MAX);
		for (size_t i = 0; i < ret_bytes->size; i++) {
			ret_bytes->data[i] = (uint8_t)rng_next(rng);
		}
		break;
	case 1:
		ret_bytes->data[rng_below(rng, sizeof(good))] = (uint8_t)rng_below(rng, 12);
		break;
	case 2:
		ret_bytes->size = rng_below(rng, sizeof(good) + 1);
		break;
	default:
		break;
	}
}

static void random_body(struct rng *rng, bool grpc, struct bytes *ret_bytes)
{
	const char *text = PICK(rng, bodies);

	if (grpc != (rng_below(rng, 10) == 0)) {
		random_frame(rng, ret_bytes);
		return;
	}
	ret_bytes->size = strlen(text);
	memcpy(ret_bytes->data, text, ret_bytes->size);
}

static void random_answer(struct rng *rng, struct translate_rig *rig, struct bytes *body)
{
	static const int statuses[] = {200, 200, 200, 200, 200, 200, 200, 200, 204, 302, 404, 503};
	static const char *const codes[] = {"0", "0", "0", "0", "0", "0", "5", "14", "x"};
	bool grpc = (rig->formats[0] == CONFIG_FORMAT_GRPC) == (rng_below(rng, 8) > 0);
	const char *type = PICK(rng, types);
	struct translate_answer *answer = &rig->answer;

	random_body(rng, grpc, body);
	if (rng_below(rng, 4) > 0) {
		type = grpc ? "application/grpc" : "application/json";
	}
	*answer = (struct translate_answer){.status = PICK(rng, statuses),
		.fields = {"content-type", type, "grpc-encoding", "gzip", NULL},
		.body = body->data,
		.body_size = body->size,
		.hang = rng_below(rng, 30) == 0};
	if (rng_below(rng, 2) == 0) {
		/* As it should be. */
		grpc = rig->formats[0] == CONFIG_FORMAT_GRPC;
		*answer = (struct translate_answer){
			.fields = {"content-type", grpc ? "application/grpc" : "application/json"},
			.body = grpc ? "\0\0\0\0\2\x10\3" : "{\"qty\":3}",
			.body_size = grpc ? 7 : 9,
			.trailers = {grpc ? "grpc-status" : NULL, "0"}};
	} else if (answer->status == 204) {
		answer->body_size = 0;
	} else if (grpc == (rng_below(rng, 8) > 0)) {
		answer->trailers[0] = "grpc-status";
		answer->trailers[1] = PICK(rng, codes);
	}
	if (rng_below(rng, 3) == 0) {
		answer->cut = 1 + rng_below(rng, BODY_MAX);
	}
	rig->refuse_next = rng_below(rng, 8) == 0;
}

static struct rig_call *random_call(struct rng *rng, struct translate_rig *rig, struct bytes *body)
{
	const char *type = PICK(rng, types);
	/* gRPC over HTTP/1 is only refused. */
	bool h2 = rng_below(rng, 8) == 0 || strncmp(type, "application/grpc", 16) == 0;
	struct rig_request request = {.method = rng_below(rng, 16) == 0 ? "PUT" : "POST",
		.path = PICK(rng, paths),
		.chunked = rng_below(rng, 2) == 0,
		.trailers = h2 && rng_below(rng, 6) == 0,
		.fields = {"content-type", type, "x-pillion-deadline", "80", NULL}};

	random_body(rng, strncmp(type, "application/grpc", 16) == 0, body);
	request.body = body->size > 0 || request.chunked ? (const char *)body->data : NULL;
	request.body_size = body->size;
	if (body->size == 0) {
		body->data[0] = 0; /* an empty body, by strlen */
	}
	request.trailers = request.trailers && request.chunked;
	return rig_call(rig_client(&rig->rig, "inbound", h2), &request);
}

static void random_event(
	struct rng *rng, struct translate_rig *rig, struct rig_call *call, uint64_t busy)
{
	switch (rng_below(rng, busy)) {
	case 0:
		translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, rng_below(rng, 2) == 0);
		break;
	case 1:
		translate_rig_schema(rig, TRANSLATE_SCHEMA_NONE, rng_below(rng, 2) == 0);
		break;
	case 2:
		translate_rig_schema(rig, TRANSLATE_SCHEMA_PENDING, false);
		break;
	case 3:
		translate_worker_expire(
			rig->worker, loop_now_ns(rig->rig.loop) + rng_below(rng, 300000000));
		break;
	case 4:
		if (rng_below(rng, 3) == 0) {
			translate_rig_cut(rig);
		}
		break;
	case 5:
		if (rng_below(rng, 4) == 0) {
			rig_client_close(call->client);
		}
		break;
	default:
		break;
	}
}

static void run_seed(uint64_t seed, struct translate_totals *sum)
{
	struct translate_rig *rig = test_malloc(sizeof(*rig));
	struct bytes sent, answered;
	struct rng rng;

	rng_seed(&rng, seed);
	translate_rig_init(rig, 1 << 20);
	rig->rig.throttle = rng_below(&rng, 2) == 0 ? 0 : 1 + rng_below(&rng, 64);
	translate_rig_start(rig, PICK(&rng, apps), rng_below(&rng, 6) > 0);
	if (rng_below(&rng, 6) > 0) {
		translate_rig_schema(rig, TRANSLATE_SCHEMA_READY, rng_below(&rng, 2) == 0);
	}
	for (int i = 0; i < CALLS; i++) {
		/* One event in so many turns, of seven kinds. */
		uint64_t busy = rng_below(&rng, 3) == 0 ? 60 : 4000;
		struct rig_call *call;

		random_answer(&rng, rig, &answered);
		call = random_call(&rng, rig, &sent);
		for (int turn = 0; turn < 8000 && !call->done && !call->client->closed; turn++) {
			random_event(&rng, rig, call, busy);
			translate_rig_rest(rig);
			loop_turn(rig->rig.loop, rig->answer.hang ? 5 : 1);
		}
		assert_true(call->done || call->client->closed);
		rig_client_close(call->client);
		translate_rig_cut(rig);
		rig_turn(&rig->rig, 20);
		translate_rig_totals(rig);
		assert_int_equal(rig->totals.memory_bytes, 0);
	}
	translate_totals_add(sum, translate_worker_totals(rig->worker));
	translate_rig_fini(rig);
	test_free(rig);
}

static void nothing_breaks_and_nothing_stays(void **state)
{
	const char *given = getenv("PILLION_SEED");
	const char *seeds = getenv("PILLION_SEEDS");
	uint64_t last = seeds != NULL ? strtoull(seeds, NULL, 10) : SEEDS;
	struct translate_totals sum = {0};

	(void)state;
	if (given != NULL) {
		run_seed(strtoull(given, NULL, 10), &sum);
		return;
	}
	for (uint64_t seed = 1; seed <= last; seed++) {
		print_message("PILLION_SEED=%llu\n", (unsigned long long)seed);
		run_seed(seed, &sum);
	}
	/* Every way was taken, and every way of failing. */
	for (size_t i = 0; i < ARRAY_SIZE(sum.messages); i++) {
		print_message("messages %zu: %llu\n", i, (unsigned long long)sum.messages[i]);
		assert_true(sum.messages[i] > 10);
	}
	print_message("passed %llu, faults %llu %llu\n", (unsigned long long)sum.passed,
		(unsigned long long)translate_rig_faults(&sum, false),
		(unsigned long long)translate_rig_faults(&sum, true));
	assert_true(sum.passed > 10 && translate_rig_faults(&sum, false) > 10 &&
		    translate_rig_faults(&sum, true) > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_breaks_and_nothing_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
