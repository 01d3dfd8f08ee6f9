/*
 * sim_exchange: the real codecs, connections, exchange and upstream, with clients over in-memory
 * transports whose bytes are split at seeded places, and ends at seeded moments: clients that
 * leave, origins that cut, readers that stop. After each seed: every request has one record,
 * nothing that may run once ran twice, and no block is missing (http.md 20.4).
 *
 *   sim-exchange [--seeds A..B]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rig.h"

enum { SIM_TURNS_MAX = 20000, SIM_BODY_MAX = 150000, SIM_CALLS = 12 };

/* Which exchanges wait in the filter below, to be resumed at seeded moments. */
enum { SIM_WAITS = 64 };

struct sim {
	struct exchange *waiting[SIM_WAITS];
	struct filter_instance service_filters[1];
	struct rig rig;
	struct rng rng;
	unsigned issued, records;
	struct rig_client *clients[4];
	unsigned client_count;
	bool h2[4];
	char names[SIM_CALLS][8];
	char *body;
	const char *listener;
};

struct sim_totals { /* over all seeds, so that a reader sees what was exercised */
	uint64_t exchanges, bytes, answers[6], reasons[REASON_COUNT], retries;
};

static struct sim_totals sim_totals;
static const enum instance_protocol sim_protocols[] = {
	INSTANCE_HTTP1, INSTANCE_H2C, INSTANCE_SIDECAR};

static bool sim_chance(struct sim *sim, unsigned percent)
{
	return rng_below(&sim->rng, 100) < percent;
}

static const char *sim_pick(struct sim *sim, const char *const *words, size_t count)
{
	return words[rng_below(&sim->rng, count)];
}

/* ---- a filter that says anything at any slot (FL-09) ---- */

static enum filter_verdict chaos(const struct filter_call *call)
{
	struct sim *sim = (struct sim *)(uintptr_t)call->conf;
	struct reply reply = {.reason = REASON_fault_injected, .http = 418, .grpc = 9};
	uint64_t what = rng_below(&sim->rng, 100);

	if (what < 15) {
		for (unsigned i = 0; i < SIM_WAITS; i++) {
			if (sim->waiting[i] == NULL) {
				sim->waiting[i] = call->exchange;
				return FILTER_WAIT;
			}
		}
	} else if (what < 18) {
		exchange_reply(call->exchange, &reply);
		return FILTER_REPLIED;
	}
	return FILTER_NEXT;
}

static enum filter_verdict chaos_head(const struct filter_call *call, struct head *head, bool end)
{
	(void)head;
	(void)end;
	return chaos(call);
}

static enum filter_verdict chaos_body(const struct filter_call *call, struct chain *body, bool end)
{
	(void)body;
	(void)end;
	return chaos(call);
}

static void chaos_done(const struct filter_call *call)
{
	struct sim *sim = (struct sim *)(uintptr_t)call->conf;

	for (unsigned i = 0; i < SIM_WAITS; i++) {
		if (sim->waiting[i] == call->exchange) {
			sim->waiting[i] = NULL;
		}
	}
}

static const struct filter_ops chaos_filter = {
	.name = "chaos",
	.on_request = chaos_head,
	.on_request_body = chaos_body,
	.on_response = chaos_head,
	.on_response_body = chaos_body,
	.on_done = chaos_done,
};

static void sim_resume(struct sim *sim, unsigned percent)
{
	for (unsigned i = 0; i < SIM_WAITS; i++) {
		struct exchange *waiting = sim->waiting[i];

		if (waiting != NULL && sim_chance(sim, percent)) {
			sim->waiting[i] = NULL;
			exchange_resume(waiting);
		}
	}
}

static void sim_add_filters(struct sim *sim)
{
	struct rig *rig = &sim->rig;

	rig->listener_filters[1] = (struct filter_instance){&chaos_filter, sim};
	sim->service_filters[0] = (struct filter_instance){&chaos_filter, sim};
	for (int i = 0; i < 3; i++) {
		rig->listeners[i].filters.count = sim_chance(sim, 50) ? 2 : 1;
	}
	if (sim_chance(sim, 50)) {
		rig->service.filters = (struct filter_chain){sim->service_filters, 1};
		rig->snapshot->app_filters = (struct filter_chain){sim->service_filters, 1};
	}
}

static void sim_choose_request(struct sim *sim, struct rig_request *request)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "POST", "DELETE", "HEAD"};
	static const char *const paths[] = {"/echo", "/echo", "/echo", "/big/70000", "/stream/5000",
		"/status/503", "/status/500", "/status/503/not-processed", "/status/421", "/reset",
		"/cut", "/grpc/full", "/grpc/only/14", "/early/status/413", "/fields", "/hang",
		"/status/204", "/big/0"};
	size_t most = sim->rig.throttle != 0 && sim->rig.throttle < 64 ? 800 : SIM_BODY_MAX;

	request->method = sim_pick(sim, methods, 6);
	request->path = sim_pick(sim, paths, sizeof(paths) / sizeof(paths[0]));
	if (most == 800 && strncmp(request->path, "/big/7", 6) == 0) {
		request->path = "/big/700";
	}
	request->authority = sim_chance(sim, 99) ? "orders" : "nobody";
	request->slow = sim_chance(sim, 20);
	if (request->method[0] == 'P') {
		request->body = sim->body;
		request->body_size = rng_below(&sim->rng, most) + 1;
		request->chunked = sim_chance(sim, 50);
		request->trailers = request->chunked && sim_chance(sim, 30);
	}
	request->fields[0] = "x-id";
	request->fields[2] = "x-pillion-deadline";
	request->fields[3] = strcmp(request->path, "/hang") == 0 ? "15" : "5000";
	if (strncmp(request->path, "/grpc", 5) == 0 && request->body != NULL) {
		request->fields[4] = "content-type";
		request->fields[5] = "application/grpc";
	}
}

static void sim_issue(struct sim *sim)
{
	struct rig_client *client = sim->clients[rng_below(&sim->rng, sim->client_count)];
	struct rig_request request = {0};
	struct rig_call *call;

	if (client->closed || client->codec->ops->spare_streams(client->codec) == 0 ||
		sim->issued == SIM_CALLS) {
		return;
	}
	sim_choose_request(sim, &request);
	snprintf(sim->names[sim->issued], sizeof(sim->names[0]), "%u", sim->issued);
	request.fields[1] = sim->names[sim->issued];
	call = rig_call(client, &request);
	call->safe = strcmp(request.method, "POST") != 0;
	call->echo = strcmp(request.path, "/echo") == 0 && request.body != NULL;
	call->sent_size = request.body_size;
	call->id = sim->issued++;
}

/* Something unpleasant, or only time. */
static void sim_disturb(struct sim *sim)
{
	struct rig *rig = &sim->rig;
	uint64_t what = rng_below(&sim->rng, 1000);

	if (what < 4) {
		rig_client_close(sim->clients[rng_below(&sim->rng, sim->client_count)]);
	} else if (what < 8) {
		rig_cut_origins(rig);
	} else if (what < 200 && rig->call_count > 0) {
		rig_call_credit(rig->calls[rng_below(&sim->rng, rig->call_count)]);
	} else if (what < 210 && rig->call_count > 0) {
		struct rig_call *call = rig->calls[rng_below(&sim->rng, rig->call_count)];

		/* The client gives one request up and keeps its connection. */
		if (call->stream != NULL && !call->done && sim_chance(sim, 30)) {
			stream_reset(call->stream, REASON_downstream_closed);
			call->stream = NULL;
			call->done = true;
			call->reset = true;
		}
	} else if (what < 212) {
		exchange_server_drain_listener(rig->server, sim->listener);
	} else if (what < 260) {
		sim_issue(sim);
	}
}

static bool sim_quiet(const struct sim *sim)
{
	for (unsigned i = 0; i < sim->rig.call_count; i++) {
		const struct rig_call *call = sim->rig.calls[i];

		if (!call->done && !call->client->closed) {
			return false;
		}
	}
	return true;
}

/* What is still open, for whoever reads a failure. */
static void sim_explain(const struct sim *sim)
{
	for (unsigned i = 0; i < sim->rig.call_count; i++) {
		const struct rig_call *call = sim->rig.calls[i];

		fprintf(stderr,
			"call %u: done %d head %d body %zu of %zu left %zu id %u h2 %d "
			"closing %d want_read %d output %d client out %zu\n",
			i, call->done, call->head ? call->head->status : 0, call->body.size,
			call->sent_size, call->send.size, call->id, call->client->codec->h2,
			call->client->codec->closing, call->client->codec->want_read,
			call->client->codec->has_output, call->client->out.size);
		if (call->stream != NULL) {
			fprintf(stderr,
				"  received %llu credited %llu sent %llu out %zu ended %d %d "
				"owed %zu\n",
				(unsigned long long)call->stream->received,
				(unsigned long long)call->stream->credited,
				(unsigned long long)call->stream->sent, call->stream->out.size,
				call->stream->ended_in, call->stream->ended_out, call->owed);
		}
	}
}

static void sim_start(struct sim *sim, uint64_t seed)
{
	static const size_t throttles[] = {0, 0, 1, 7, 63, 511, 4096};
	struct rig *rig = &sim->rig;

	memset(sim, 0, sizeof(*sim));
	rng_seed(&sim->rng, seed);
	rig_init(rig);
	rig->throttle = throttles[rng_below(&sim->rng, 7)];
	if (sim_chance(sim, 40)) {
		sim_add_filters(sim);
	}
	rig_start(rig);
	/* All four pairs of versions, and the mesh leg. */
	rig_service(rig, "orders", 1 + (unsigned)rng_below(&sim->rng, 4),
		sim_protocols[rng_below(&sim->rng, 3)]);
	exchange_server_set_app(rig->server, true, false, sim_chance(sim, 50));
	sim->listener = sim_chance(sim, 70) ? "outbound" : "inbound";
	sim->client_count = 1 + (unsigned)rng_below(&sim->rng, 3);
	for (unsigned i = 0; i < sim->client_count; i++) {
		sim->h2[i] = sim_chance(sim, 50);
		sim->clients[i] = rig_client(rig, sim->listener, sim->h2[i]);
	}
	sim->body = mem_alloc(SIM_BODY_MAX + 1);
	for (size_t i = 0; i <= SIM_BODY_MAX; i++) {
		sim->body[i] = (char)('a' + (i * 31 + i / 251) % 26);
	}
}

static void sim_take_records(struct sim *sim)
{
	struct access_record *records = mem_alloc(8 * sizeof(*records));
	size_t count;

	while ((count = exchange_server_take_records(sim->rig.server, records, 8)) > 0) {
		sim->records += (unsigned)count;
		for (size_t i = 0; i < count; i++) {
			sim_totals.exchanges++;
			sim_totals.bytes += records[i].request_bytes + records[i].response_bytes;
			sim_totals.answers[records[i].status / 100 % 6]++;
			sim_totals.reasons[records[i].reason]++;
			sim_totals.retries += records[i].attempts > 1 ? 1 : 0;
		}
	}
	mem_free(records);
}

static void sim_check_calls(struct sim *sim)
{
	for (unsigned i = 0; i < sim->rig.call_count; i++) {
		struct rig_call *call = sim->rig.calls[i];

		/* P1: nothing is executed twice unless its author said that is harmless. */
		assert_true(call->safe || sim->rig.executed[call->id] <= 1);
		if (call->echo && call->done && !call->reset && call->head != NULL &&
			call->head->status == 200) {
			assert_int_equal(call->body.size, call->sent_size);
			assert_memory_equal(call->body.data, sim->body, call->sent_size);
		}
	}
}

static void sim_run(uint64_t seed)
{
	struct sim *sim = mem_alloc(sizeof(*sim));
	struct rig *rig = &sim->rig;
	unsigned turns = 0;

	sim_start(sim, seed);
	sim_issue(sim);
	while (turns < 150 || !sim_quiet(sim)) {
		if (turns == SIM_TURNS_MAX) {
			sim_explain(sim);
		}
		assert_true(turns < SIM_TURNS_MAX);
		if (turns < 400) {
			sim_disturb(sim);
		} else {
			for (unsigned i = 0; i < rig->call_count; i++) {
				rig_call_credit(rig->calls[i]);
			}
		}
		sim_resume(sim, turns > 400 ? 100 : 20);
		/* Answers that were begun and never ended by design. */
		if (turns > 400 && turns % 50 == 0) {
			rig_cut_origins(rig);
		}
		loop_turn(rig->loop, turns > 400 ? 1 : 0);
		turns++;
		sim_take_records(sim);
	}
	for (unsigned i = 0; i < rig->call_count; i++) {
		struct rig_call *call = rig->calls[i];

		if (call->stream != NULL && !call->client->closed) {
			rig_call_credit(call);
			stream_reset(call->stream, call->reset ? call->why : REASON_ok);
			call->stream = NULL;
		}
	}
	for (unsigned i = 0; i < rig->client_count; i++) {
		rig_client_close(rig->clients[i]);
	}
	RIG_UNTIL(rig, exchange_server_outbound_active(rig->server) == 0 &&
			       exchange_server_inbound_active(rig->server) == 0);
	sim_take_records(sim);
	/* Requests in = records out (C-13). */
	assert_int_equal(exchange_server_stats(rig->server)->exchanges, sim->records);
	assert_true(sim->records <= sim->issued);
	sim_check_calls(sim);
	mem_free(sim->body);
	rig_fini(rig); /* both invariants */
	mem_free(sim);
}

static unsigned long long sim_first = 1;
static unsigned long long sim_last = 500;

static void all_seeds(void **state)
{
	(void)state;
	for (unsigned long long seed = sim_first; seed <= sim_last; seed++) {
		/* A failing assertion ends the run: the last line says where. */
		fprintf(stderr, "seed %llu\n", seed);
		sim_run(seed);
	}
	fprintf(stderr, "%llu exchanges, %llu bytes, %llu with more than one attempt\n",
		(unsigned long long)sim_totals.exchanges, (unsigned long long)sim_totals.bytes,
		(unsigned long long)sim_totals.retries);
	for (int reason = 0; reason < REASON_COUNT; reason++) {
		if (sim_totals.reasons[reason] > 0) {
			fprintf(stderr, "%8llu %s\n",
				(unsigned long long)sim_totals.reasons[reason],
				reason_word((enum reason)reason));
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_seeds)};

	if (argc != 1 && (argc != 3 || strcmp(argv[1], "--seeds") != 0 ||
				 sscanf(argv[2], "%llu..%llu", &sim_first, &sim_last) != 2 ||
				 sim_first > sim_last)) {
		fprintf(stderr, "usage: sim-exchange [--seeds A..B]\n");
		return 2;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
