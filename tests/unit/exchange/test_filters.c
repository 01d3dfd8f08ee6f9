/* Every verdict at every slot, in every place, to every end (filters.md FLT-01, FLT-02). */
#include <stdio.h>
#include <string.h>

#include "rig.h"

enum slot {
	ON_REQUEST,
	ON_REQUEST_BODY,
	ON_REQUEST_TRAILERS,
	ON_RESPONSE,
	ON_RESPONSE_BODY,
	ON_RESPONSE_TRAILERS,
	SLOTS
};
enum place { AT_LISTENER, AT_SERVICE, AT_APP, PLACES };
enum end { ENDS_WELL, CLIENT_LEAVES, DEADLINE_PASSES, UPSTREAM_CUTS, ENDS };

struct probe {
	enum slot slot;
	enum filter_verdict verdict;
	bool respond; /* by an answer of the filter's own, not by a reason */
	unsigned fired, requests, done;
	struct exchange *waiting;
	int before_sees; /* status the filter before it saw in the answer */
};

struct probe_state {
	bool began;
	bool fired;
};

static enum filter_verdict probe_act(const struct filter_call *call, enum slot slot)
{
	struct probe *probe = (struct probe *)(uintptr_t)call->conf;
	struct probe_state *state = call->state;

	if (slot != probe->slot || state->fired) {
		return FILTER_NEXT;
	}
	state->fired = true;
	probe->fired++;
	if (probe->verdict == FILTER_WAIT) {
		probe->waiting = call->exchange;
	}
	if (probe->verdict == FILTER_REPLIED && probe->respond) {
		struct head head;

		head_init(&head, exchange_arena(call->exchange), HEAD_RESPONSE);
		reply_plain(&head, 418, SLICE("text/plain"), 6);
		exchange_respond(call->exchange, &head, SLICE("teapot"), REASON_fault_injected);
	} else if (probe->verdict == FILTER_REPLIED) {
		struct reply reply = {.reason = REASON_fault_injected, .http = 418, .grpc = 9};

		exchange_reply(call->exchange, &reply);
	}
	return probe->verdict;
}

static enum filter_verdict probe_on_request(
	const struct filter_call *call, struct head *head, bool end)
{
	struct probe *probe = (struct probe *)(uintptr_t)call->conf;
	struct probe_state *state = call->state;

	(void)end;
	if (!state->began) {
		state->began = true;
		probe->requests++;
	}
	return probe_act(call, head->kind == HEAD_TRAILERS ? ON_REQUEST_TRAILERS : ON_REQUEST);
}

static enum filter_verdict probe_on_request_body(
	const struct filter_call *call, struct chain *body, bool end)
{
	(void)body;
	(void)end;
	return probe_act(call, ON_REQUEST_BODY);
}

static enum filter_verdict probe_on_response(
	const struct filter_call *call, struct head *head, bool end)
{
	(void)end;
	return probe_act(call, head->kind == HEAD_TRAILERS ? ON_RESPONSE_TRAILERS : ON_RESPONSE);
}

static enum filter_verdict probe_on_response_body(
	const struct filter_call *call, struct chain *body, bool end)
{
	(void)body;
	(void)end;
	return probe_act(call, ON_RESPONSE_BODY);
}

static void probe_on_done(const struct filter_call *call)
{
	struct probe *probe = (struct probe *)(uintptr_t)call->conf;

	probe->done++;
	probe->waiting = NULL;
}

static const struct filter_ops probe_filter = {
	.name = "probe",
	.state_size = sizeof(struct probe_state),
	.on_request = probe_on_request,
	.on_request_body = probe_on_request_body,
	.on_response = probe_on_response,
	.on_response_body = probe_on_response_body,
	.on_done = probe_on_done,
};

static enum filter_verdict watcher_on_response(
	const struct filter_call *call, struct head *head, bool end)
{
	struct probe *probe = (struct probe *)(uintptr_t)call->conf;

	(void)end;
	if (head->kind == HEAD_RESPONSE) {
		probe->before_sees = head->status;
	}
	return FILTER_NEXT;
}

static const struct filter_ops watcher_filter = {
	.name = "watcher", .on_response = watcher_on_response};

static void rig_with(struct rig *rig, struct probe *probe, enum place place)
{
	static struct filter_instance service_filters[1];

	rig_init(rig);
	rig->listener_filters[1] = (struct filter_instance){&watcher_filter, probe};
	rig->listener_filters[2] = (struct filter_instance){&probe_filter, probe};
	for (int i = 0; i < 3; i++) {
		rig->listeners[i].filters.count = place == AT_LISTENER ? 3 : 2;
	}
	service_filters[0] = (struct filter_instance){&probe_filter, probe};
	rig->app_filters[0] = (struct filter_instance){&probe_filter, probe};
	if (place == AT_SERVICE) {
		rig->service.filters = (struct filter_chain){service_filters, 1};
	} else if (place == AT_APP) {
		rig->snapshot->app_filters = (struct filter_chain){rig->app_filters, 1};
	}
	rig_start(rig);
	rig_service(rig, "orders", 2, INSTANCE_H2C);
	exchange_server_set_app(rig->server, true, false, true);
}

static bool expects_answer(const struct probe *probe, enum end end)
{
	/* The origin's path decides whether a slot is met at all. */
	return probe->verdict == FILTER_NEXT || probe->verdict == FILTER_REPLIED ||
	       end == ENDS_WELL;
}

static void run_case(struct probe *probe, enum place place, enum end end, bool h2)
{
	struct rig *rig = test_malloc(sizeof(*rig));
	struct rig_request request = {.method = "POST",
		.path = "/grpc/full",
		.body = "12345",
		.chunked = true,
		.trailers = probe->slot == ON_REQUEST_TRAILERS,
		.fields = {"content-type", "application/x", NULL}};
	struct access_record record;
	struct rig_client *client;
	struct rig_call *call;
	bool waits = probe->verdict == FILTER_WAIT;

	rig_with(rig, probe, place);
	if (end == DEADLINE_PASSES) {
		request.fields[2] = "x-pillion-deadline";
		request.fields[3] = "30";
		request.fields[4] = NULL;
	}
	client = rig_client(rig, place == AT_APP ? "inbound" : "outbound", h2);
	call = rig_call(client, &request);
	if (waits) {
		RIG_UNTIL(rig, probe->waiting != NULL);
		rig_turn(rig, 5);
		assert_false(call->done);
		if (end == CLIENT_LEAVES) {
			rig_client_close(client);
			rig_turn(rig, 5);
		} else if (end == UPSTREAM_CUTS) {
			rig_cut_origins(rig);
			rig_turn(rig, 20);
		}
		if (end != DEADLINE_PASSES && probe->waiting != NULL) {
			exchange_resume(probe->waiting);
		}
	}
	RIG_UNTIL(rig, probe->done > 0);
	if (end != CLIENT_LEAVES || !waits) {
		rig_wait(call);
	}
	rig_client_close(client);
	rig_turn(rig, 10);
	if (probe->fired != 1) {
		print_error("slot %d verdict %d place %d end %d\n", probe->slot, probe->verdict,
			place, end);
	}
	assert_int_equal(probe->fired, 1);
	assert_int_equal(probe->requests, 1);
	assert_int_equal(probe->done, 1);
	rig_record(rig, &record);
	if (expects_answer(probe, end) && probe->verdict != FILTER_REPLIED) {
		assert_int_equal(record.status, 200);
		assert_int_equal(call->body.size, 10);
	}
	if (probe->verdict == FILTER_REPLIED && probe->slot <= ON_RESPONSE) {
		assert_int_equal(call->head->status, 418);
		assert_int_equal(record.reason, REASON_fault_injected);
		assert_int_equal(probe->before_sees, 418);
	}
	if (end == DEADLINE_PASSES && waits && probe->slot <= ON_RESPONSE) {
		assert_int_equal(record.reason, REASON_deadline_exceeded);
	}
	rig_fini(rig);
	test_free(rig);
}

static void every_verdict_everywhere(void **state)
{
	(void)state;
	for (int slot = 0; slot < SLOTS; slot++) {
		for (int verdict = FILTER_NEXT; verdict <= FILTER_REPLIED; verdict++) {
			for (int place = 0; place < PLACES; place++) {
				for (int end = 0; end < ENDS; end++) {
					struct probe probe = {.slot = (enum slot)slot,
						.verdict = (enum filter_verdict)verdict,
						.respond = end % 2 == 1};

					/* Only a wait can be met by an end from outside. */
					if (verdict == FILTER_NEXT && end != ENDS_WELL) {
						continue;
					}
					if (verdict == FILTER_REPLIED && end > CLIENT_LEAVES) {
						continue;
					}
					/* Trailers never go to an HTTP/1 peer. */
					run_case(&probe, (enum place)place, (enum end)end,
						slot == ON_REQUEST_TRAILERS ||
							(slot + place + end) % 2 == 0);
				}
			}
		}
	}
}

/* ---- bodies that change: halved, doubled, gathered ---- */

enum mangle { HALVES, DOUBLES, GATHERS, MANGLES };

struct mangle_state {
	struct buf kept;
};

static void mangle_take(struct mangle_state *state, struct chain *body)
{
	for (uint32_t i = 0; i < body->count; i++) {
		buf_append_slice(&state->kept, chain_span(body, i));
	}
	chain_clear(body);
}

static enum filter_verdict mangle_body(
	const struct filter_call *call, struct chain *body, bool end, bool response)
{
	enum mangle how = *(const enum mangle *)call->conf;
	struct mangle_state *state = call->state;
	struct block_pool *pool = exchange_pool(call->exchange);
	size_t size = body->size;
	uint8_t byte = 'm';

	switch (how) {
	case HALVES:
		chain_drop(body, size / 2);
		if (response) {
			exchange_credit_response(call->exchange, size / 2);
		} else {
			exchange_credit_request(call->exchange, size / 2);
		}
		break;
	case DOUBLES:
		for (size_t i = 0; i < size; i++) {
			chain_append_copy(body, pool, &byte, 1);
		}
		break;
	case GATHERS:
		mangle_take(state, body);
		if (response) {
			exchange_credit_response(call->exchange, size);
		} else {
			exchange_credit_request(call->exchange, size);
		}
		if (end) {
			chain_append_copy(body, pool, state->kept.data, state->kept.size);
			buf_clear(&state->kept);
		}
		break;
	case MANGLES:
		break;
	}
	return FILTER_NEXT;
}

static enum filter_verdict mangle_on_request(
	const struct filter_call *call, struct head *head, bool end)
{
	(void)end;
	head_body_unknown(head);
	if (*(const enum mangle *)call->conf == GATHERS) {
		exchange_hold_request_head(call->exchange);
	}
	return FILTER_NEXT;
}

static enum filter_verdict mangle_on_response(
	const struct filter_call *call, struct head *head, bool end)
{
	(void)end;
	if (head->kind == HEAD_RESPONSE) {
		head_body_unknown(head);
		if (*(const enum mangle *)call->conf == GATHERS) {
			exchange_hold_response_head(call->exchange);
		}
	}
	return FILTER_NEXT;
}

static enum filter_verdict mangle_on_request_body(
	const struct filter_call *call, struct chain *body, bool end)
{
	return mangle_body(call, body, end, false);
}

static enum filter_verdict mangle_on_response_body(
	const struct filter_call *call, struct chain *body, bool end)
{
	return mangle_body(call, body, end, true);
}

static void mangle_on_done(const struct filter_call *call)
{
	buf_fini(&((struct mangle_state *)call->state)->kept);
}

static const struct filter_ops mangle_filter = {
	.name = "mangle",
	.state_size = sizeof(struct mangle_state),
	.on_request = mangle_on_request,
	.on_request_body = mangle_on_request_body,
	.on_response = mangle_on_response,
	.on_response_body = mangle_on_response_body,
	.on_done = mangle_on_done,
};

static void bodies_may_change_their_length(void **state)
{
	static char text[200001];

	(void)state;
	memset(text, 'b', sizeof(text) - 1);
	for (int how = 0; how < MANGLES; how++) {
		for (int pair = 0; pair < 4; pair++) {
			struct rig *rig = test_malloc(sizeof(*rig));
			enum mangle conf = (enum mangle)how;
			struct filter_instance filters[1] = {{&mangle_filter, &conf}};
			struct rig_request request = {
				.method = "POST", .path = "/echo", .body = text};
			struct rig_call *call;

			rig_init(rig);
			rig->service.filters = (struct filter_chain){filters, 1};
			rig_start(rig);
			rig_service(rig, "orders", 1, pair % 2 ? INSTANCE_H2C : INSTANCE_HTTP1);
			call = rig_once(rig, "outbound", pair / 2 == 1, &request);
			assert_int_equal(call->head->status, 200);
			if (how == DOUBLES) {
				assert_int_equal(call->body.size, 800000);
			} else if (how == GATHERS) {
				assert_int_equal(call->body.size, 200000);
			} else {
				assert_true(call->body.size >= 40000 && call->body.size <= 60000);
			}
			rig_fini(rig);
			test_free(rig);
		}
	}
}

static void service_filters_run_again_for_each_attempt(void **state)
{
	struct probe probe = {.slot = SLOTS};
	struct rig *rig = test_malloc(sizeof(*rig));
	struct rig_request request = {.path = "/x"};
	enum mangle conf = GATHERS;
	struct filter_instance filters[1] = {{&mangle_filter, &conf}};
	struct rig_call *call;

	(void)state;
	(void)probe;
	rig_init(rig);
	rig->service.filters = (struct filter_chain){filters, 1};
	rig_start(rig);
	rig_service(rig, "orders", 2, INSTANCE_H2C);
	request.method = "PUT";
	request.body = "kept for the second try";
	rig->origins[0].behave = "/status/503";
	rig->origins[1].behave = "/status/503";
	rig->second = "/echo";
	call = rig_once(rig, "outbound", false, &request);
	assert_int_equal(call->head->status, 200);
	assert_int_equal(call->body.size, strlen(request.body));
	assert_memory_equal(call->body.data, request.body, call->body.size);
	rig_fini(rig);
	test_free(rig);
}

/* G-05: a filter may hold the end back; what the head said is known all the same when the stream
 * that brought it serves others. */
static void a_wait_outlives_the_upstream_stream(void **state)
{
	struct rig *rig = test_malloc(sizeof(*rig));
	struct probe probe = {.slot = ON_RESPONSE_BODY, .verdict = FILTER_WAIT};
	struct rig_request first = {.method = "POST",
		.path = "/stream/10",
		.fields = {"content-type", "application/grpc", NULL}};
	struct rig_request second = first;
	struct access_record record;
	struct exchange *waiting;
	struct rig_client *client;
	struct rig_call *call;

	(void)state;
	rig_with(rig, &probe, AT_SERVICE);
	rig_service(rig, "orders", 1, INSTANCE_H2C);
	client = rig_client(rig, "outbound", true);
	call = rig_call(client, &first);
	RIG_UNTIL(rig, probe.waiting != NULL);
	waiting = probe.waiting; /* the other exchange has the same probe */
	rig_turn(rig, 10);
	second.path = "/grpc/only/5";
	rig_wait(rig_call(client, &second));
	rig_record(rig, &record);
	assert_int_equal(record.grpc_status, 5);
	assert_false(call->done);
	exchange_resume(waiting);
	rig_wait(call);
	rig_record(rig, &record);
	assert_int_equal(record.grpc_status, 2);
	assert_int_equal(call->body.size, 10);
	rig_client_close(client);
	rig_turn(rig, 10);
	rig_fini(rig);
	test_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_verdict_everywhere),
		cmocka_unit_test(bodies_may_change_their_length),
		cmocka_unit_test(service_filters_run_again_for_each_attempt),
		cmocka_unit_test(a_wait_outlives_the_upstream_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
