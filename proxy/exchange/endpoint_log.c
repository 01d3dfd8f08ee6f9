/*
 * endpoint_log: the access-log line of a request that an endpoint serves (http.md C-13). Endpoints
 * own their streams and answer when they like, so the line is written by who watches the stream: it
 * sees the heads that are sent and the end. Lies in the stream's arena. Every endpoint lets go of a
 * stream from inside its on_reset, so that none of these outlives its connection.
 */
#include "base/clock.h"
#include "exchange/server_internal.h"
#include "http/head.h"

struct endpoint_log {
	struct stream_witness witness;
	struct stream *stream;
	struct downstream *from;
	struct snapshot_hold *hold; /* options are of its snapshot */
	const struct access_options *options;
	const struct head *head;
	struct slice trace_id;
	uint64_t start_ns;
	enum reason reason; /* of the answer */
	enum outcome outcome;
	uint16_t status;
	int16_t grpc_status; /* -1: not gRPC, or not said */
	bool inbound;
};

/* RE-03: the word of an own answer stands in it. */
static void endpoint_log_read_answer(struct endpoint_log *log, const struct head *head)
{
	struct slice word = head_value(head, TOKEN_x_pillion_reason);
	struct slice outcome = head_value(head, TOKEN_x_pillion_outcome);

	word.size = slice_find(word, ';');
	log->status = head->status;
	log->outcome = OUTCOME_PROCESSED;
	if (word.size > 0 && !reason_from_word(word, &log->reason)) {
		log->reason = REASON_ok; /* a word that only others know */
	}
	for (int i = 0; i < OUTCOME_BY_PROGRESS; i++) {
		if (slice_equal(outcome, slice_from_string(outcome_word((enum outcome)i)))) {
			log->outcome = (enum outcome)i;
		}
	}
}

static void endpoint_log_on_head(struct stream_witness *witness, const struct head *head)
{
	struct endpoint_log *log = container_of(witness, struct endpoint_log, witness);
	uint64_t status;

	if (head->kind == HEAD_RESPONSE) {
		endpoint_log_read_answer(log, head);
	}
	if (head->kind != HEAD_INTERIM &&
		slice_parse_u64(head_value(head, TOKEN_grpc_status), INT16_MAX, &status)) {
		log->grpc_status = (int16_t)status;
	}
}

static bool endpoint_log_failed(const struct endpoint_log *log)
{
	return log->status >= 500 || log->status == 0 || log->grpc_status > 0 ||
	       log->reason != REASON_ok;
}

static void endpoint_log_write(struct endpoint_log *log, uint64_t duration_ns)
{
	const struct config_snapshot *snapshot = log->hold->snapshot;
	const struct head *head = log->head;
	struct access_record record; /* only what is used of it is touched */

	access_record_init(&record);
	record.wall_ms = clock_wall_ms();
	record.duration_ns = duration_ns;
	record.request_bytes = log->stream->received;
	/* What still waits in `out` is delivered by the codec. */
	record.response_bytes = log->stream->sent + log->stream->out.size;
	record.generation = snapshot->generation;
	record.reason = (uint16_t)log->reason;
	record.status = log->status;
	record.grpc_status = log->grpc_status;
	record.outcome = (uint8_t)log->outcome;
	record.version = (uint8_t)head->version;
	record.inbound = log->inbound;
	record.failed = endpoint_log_failed(log);
	access_record_put(&record, ACCESS_METHOD, head->method_text);
	access_record_put(&record, ACCESS_PATH, head->path);
	if (log->options->query && head->has_query) {
		access_record_put(&record, ACCESS_QUERY, head->query);
	}
	access_record_put(&record, ACCESS_AUTHORITY, head->authority);
	access_record_put(&record, ACCESS_OWN_SERVICE, slice_from_string(snapshot->service_name));
	access_record_put_address(&record, ACCESS_SOURCE, &log->from->peer);
	access_record_put(&record, ACCESS_TRACE_ID, log->trace_id);
	access_record_put_fields(&record, log->options, head);
	server_log(log->from->server, &record);
}

/* why: REASON_ok where the answer is queued whole. */
static void endpoint_log_on_end(struct stream_witness *witness, enum reason why)
{
	struct endpoint_log *log = container_of(witness, struct endpoint_log, witness);
	struct exchange_server *server = log->from->server;
	uint64_t duration_ns = clock_monotonic_ns() - log->start_ns;

	if (why != REASON_ok) {
		log->reason = why;
		log->outcome = log->status != 0 ? log->outcome : OUTCOME_UNKNOWN;
	}
	if (server_wants_record(server, log->options, endpoint_log_failed(log), duration_ns)) {
		endpoint_log_write(log, duration_ns);
	}
	log->stream->witness = NULL;
	server_release(log->hold);
	server_downstream_release(log->from);
}

void endpoint_log_begin(struct downstream *from, struct stream *stream, const struct head *head,
	struct slice trace_id)
{
	struct endpoint_log *log;

	if (from->listener->access == NULL) {
		return;
	}
	log = arena_alloc(&stream->arena, sizeof(*log));
	*log = (struct endpoint_log){
		.witness = {endpoint_log_on_head, endpoint_log_on_end},
		.stream = stream,
		.from = from,
		.hold = server_hold(from->hold),
		.options = from->listener->access,
		.head = head,
		.trace_id = trace_id,
		.start_ns = clock_monotonic_ns(),
		.reason = REASON_ok,
		.outcome = OUTCOME_UNKNOWN,
		.grpc_status = -1,
		.inbound = from->listener->kind == LISTENER_INBOUND,
	};
	from->refs++;
	ASSERT(stream->witness == NULL);
	stream->witness = &log->witness;
}
