/*
 * exchange_record: what is left of an exchange when it is over: the record for the access log and
 * the numbers (operations.md 10 and 11).
 */
#include "exchange/exchange_steps.h"

#include "base/clock.h"

static uint64_t record_response_bytes(const struct exchange *x)
{
	/* What still waits in `out` is delivered by the codec after we let go. */
	return x->down->sent + x->down->out.size;
}

/* What the log writes whatever the share of successes is, at level warn. */
static bool record_failed(const struct exchange *x)
{
	return x->resp.status >= 500 || x->resp.status == 0 ||
	       (x->reason != REASON_ok && x->reason != REASON_upstream_status &&
		       x->reason != REASON_respond) ||
	       (x->grpc && x->resp.grpc_status != 0);
}

/* Total, without the waits for connections and for the other side. */
static uint64_t record_overhead(const struct exchange *x, uint64_t now)
{
	const struct exchange_times *times = &x->times;
	uint64_t overhead;

	if (times->request_sent == 0) {
		return now - times->start;
	}
	overhead = times->request_sent - times->start;
	overhead -= times->connecting < overhead ? times->connecting : overhead;
	if (times->response_begun != 0 && times->response_sent > times->response_begun) {
		overhead += times->response_sent - times->response_begun;
	}
	return overhead;
}

/* Texts in the order of their enum. */
static void record_put_texts(const struct exchange *x, const struct access_options *options,
	struct access_record *record)
{
	const struct head *head = x->req.head;

	access_record_put(record, ACCESS_METHOD, head->method_text);
	access_record_put(record, ACCESS_PATH, head->path);
	if (options->query && head->has_query) {
		access_record_put(record, ACCESS_QUERY, head->query);
	}
	access_record_put(record, ACCESS_AUTHORITY, head->authority);
	access_record_put(record, ACCESS_OWN_SERVICE, slice_from_string(x->snapshot->service_name));
	access_record_put(record, ACCESS_SERVICE, x->route.name);
	access_record_put(record, ACCESS_VERSION, x->instance_version);
	if (x->from != NULL) {
		access_record_put_address(record, ACCESS_SOURCE, &x->from->peer);
	}
	access_record_put_address(record, ACCESS_DESTINATION, &x->destination);
	access_record_put(record, ACCESS_REQUEST_ID, x->request_id);
	access_record_put(record, ACCESS_TRACE_ID, x->trace_id);
	access_record_put_fields(record, options, head);
}

static void record_put_numbers(
	const struct exchange *x, uint64_t duration_ns, struct access_record *record)
{
	record->wall_ms = clock_wall_ms();
	record->duration_ns = duration_ns;
	record->overhead_ns = record_overhead(x, x->times.start + duration_ns);
	record->request_bytes = x->down->received;
	record->response_bytes = record_response_bytes(x);
	record->index = x->index;
	record->generation = x->snapshot->generation;
	memcpy(record->instance, x->instance_id, sizeof(record->instance));
	record->reason = (uint16_t)x->reason;
	record->status = x->resp.status;
	record->grpc_status = x->grpc ? x->resp.grpc_status : -1;
	record->outcome = (uint8_t)x->outcome;
	record->version = (uint8_t)x->version;
	record->attempts = (uint8_t)(x->attempts < UINT8_MAX ? x->attempts : UINT8_MAX);
	record->inbound = x->inbound;
	record->failed = record_failed(x);
}

void exchange_log(struct exchange *x, const struct access_options *options)
{
	struct access_record record; /* only what is used of it is touched */
	uint64_t duration = clock_monotonic_ns() - x->times.start;

	ASSERT(x->finished);
	if (!server_wants_record(x->server, options, record_failed(x), duration)) {
		return;
	}
	access_record_init(&record);
	record_put_numbers(x, duration, &record);
	record_put_texts(x, options, &record);
	server_log(x->server, &record);
}

static unsigned record_class(const struct exchange *x)
{
	return x->resp.status / 100 < STATS_CLASSES ? x->resp.status / 100U : 0;
}

void exchange_count(struct exchange *x)
{
	struct server_stats *stats = x->server->stats;
	enum stats_protocol protocol = x->grpc		      ? STATS_GRPC
				       : x->version == HTTP_2 ? STATS_HTTP2
							      : STATS_HTTP1;
	uint64_t now = clock_monotonic_ns();
	struct stats_series *series = x->series;

	if (series == NULL) {
		/* Refused before it had a service. */
		series = server_series(x->server, SLICE("_none"), x->inbound);
	} else {
		stat_sub(&series->in_flight, 1);
	}
	stat_add(&series->requests[protocol][record_class(x)], 1);
	stat_add(&series->reasons[x->reason], 1);
	if (x->grpc && x->resp.grpc_status >= 0 && x->resp.grpc_status < STATS_GRPC_CODES) {
		stat_add(&series->grpc_codes[x->resp.grpc_status], 1);
	}
	stat_add(&series->request_bytes, x->down->received);
	stat_add(&series->response_bytes, record_response_bytes(x));
	histogram_add(&series->duration, (now - x->times.start) / 1000);
	histogram_add(&stats->overhead[x->inbound], record_overhead(x, now) / 1000);
	stat_add(&stats->replay_dropped, x->req.replay.dropped ? 1 : 0);
	if (x->resp.sent && !x->resp.sent_end && x->from != NULL) {
		stat_add(&x->from->stats->cuts[x->reason], 1);
	}
}
