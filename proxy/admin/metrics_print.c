#include "admin/metrics_print.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"
#include "upstream/service.h"

/* MN-04: outside buckets in microseconds, and as Prometheus writes seconds. */
struct bucket {
	uint64_t us;
	const char *text;
};

static const struct bucket durations[] = {{500, "0.0005"}, {1000, "0.001"}, {2500, "0.0025"},
	{5000, "0.005"}, {10000, "0.01"}, {25000, "0.025"}, {50000, "0.05"}, {100000, "0.1"},
	{250000, "0.25"}, {500000, "0.5"}, {1000000, "1"}, {2500000, "2.5"}, {5000000, "5"},
	{10000000, "10"}};
static const struct bucket overheads[] = {{10, "0.00001"}, {25, "0.000025"}, {50, "0.00005"},
	{100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"}, {1000, "0.001"}, {2500, "0.0025"},
	{5000, "0.005"}, {10000, "0.01"}};

static const char *const classes[STATS_CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

/* MN-02: from a fixed list, like every label value that does not come from configuration or
 * registry. */
static const char *direction(const struct stats_series *series)
{
	return series->inbound ? "in" : "out";
}

/* HELP and TYPE once per metric, before all of its lines, as the format wants it. */
static void begin(struct buf *text, const char *name, const char *type, const char *help)
{
	buf_appendf(text, "# HELP pillion_%s %s\n# TYPE pillion_%s %s\n", name, help, name, type);
}

/* labels stand with their braces, or empty. */
static void number(struct buf *text, const char *name, const char *labels, uint64_t value)
{
	buf_appendf(text, "pillion_%s%s %llu\n", name, labels, (unsigned long long)value);
}

/* A metric with one line and no label. */
static void single(
	struct buf *text, const char *name, const char *type, const char *help, uint64_t value)
{
	begin(text, name, type, help);
	number(text, name, "", value);
}

/* labels without braces, may be empty. */
static void histogram(struct buf *text, const char *name, const char *labels,
	const struct histogram *values, const struct bucket *buckets, size_t count)
{
	const char *comma = labels[0] ? "," : "";

	for (size_t i = 0; i < count; i++) {
		buf_appendf(text, "pillion_%s_bucket{%s%sle=\"%s\"} %llu\n", name, labels, comma,
			buckets[i].text,
			(unsigned long long)histogram_count_below(values, buckets[i].us));
	}
	buf_appendf(text, "pillion_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
		(unsigned long long)values->count);
	buf_appendf(text, "pillion_%s_sum{%s} %.6f\npillion_%s_count{%s} %llu\n", name, labels,
		(double)values->sum_us / 1e6, name, labels, (unsigned long long)values->count);
}

/* MN-03: only lines that have counted something, so that a service costs what it uses of protocols
 * and classes. */
static void print_requests(const struct metrics_totals *totals, struct buf *text)
{
	begin(text, "requests_total", "counter", "Finished requests.");
	MAP_FOR_EACH(entry, &totals->series)
	{
		const struct stats_series *series = entry->value;

		for (size_t p = 0; p < STATS_PROTOCOLS; p++) {
			for (size_t c = 0; c < STATS_CLASSES; c++) {
				if (series->requests[p][c] == 0) {
					continue;
				}
				buf_appendf(text,
					"pillion_requests_total{direction=\"%s\",service=\"%s\","
					"protocol=\"%s\","
					"class=\"%s\"} %llu\n",
					direction(series), series->service,
					stats_protocol_word((enum stats_protocol)p), classes[c],
					(unsigned long long)series->requests[p][c]);
			}
		}
	}
	begin(text, "exchanges_total", "counter", "Finished exchanges by reason word.");
	MAP_FOR_EACH(entry, &totals->series)
	{
		const struct stats_series *series = entry->value;

		for (size_t r = 0; r < REASON_COUNT; r++) {
			if (series->reasons[r] > 0) {
				buf_appendf(text,
					"pillion_exchanges_total{direction=\"%s\",service=\"%s\","
					"reason=\"%s\"} "
					"%llu\n",
					direction(series), series->service,
					reason_word((enum reason)r),
					(unsigned long long)series->reasons[r]);
			}
		}
	}
}

/* The offset picks one counter of the series: three metrics, one loop. */
static void print_series_value(
	const struct metrics_totals *totals, struct buf *text, const char *name, size_t offset)
{
	MAP_FOR_EACH(entry, &totals->series)
	{
		const struct stats_series *series = entry->value;
		const uint64_t *value =
			(const uint64_t *)(const void *)((const char *)series + offset);

		buf_appendf(text, "pillion_%s{direction=\"%s\",service=\"%s\"} %llu\n", name,
			direction(series), series->service, (unsigned long long)*value);
	}
}

/* Duration is what the client saw; overhead is what of it was ours. */
static void print_durations(const struct metrics_totals *totals, struct buf *text)
{
	char labels[STATS_NAME_SIZE + 64];

	begin(text, "request_duration_seconds", "histogram", "From the first byte to the last.");
	MAP_FOR_EACH(entry, &totals->series)
	{
		const struct stats_series *series = entry->value;

		(void)snprintf(labels, sizeof labels, "direction=\"%s\",service=\"%s\"",
			direction(series), series->service);
		histogram(text, "request_duration_seconds", labels, &series->duration, durations,
			ARRAY_SIZE(durations));
	}
	begin(text, "overhead_seconds", "histogram", "Time that was not spent waiting for others.");
	histogram(text, "overhead_seconds", "direction=\"out\"", &totals->overhead[0], overheads,
		ARRAY_SIZE(overheads));
	histogram(text, "overhead_seconds", "direction=\"in\"", &totals->overhead[1], overheads,
		ARRAY_SIZE(overheads));
	begin(text, "requests_in_flight", "gauge", "Requests under way.");
	print_series_value(
		totals, text, "requests_in_flight", offsetof(struct stats_series, in_flight));
	begin(text, "request_bytes_total", "counter", "Bytes of request bodies.");
	print_series_value(
		totals, text, "request_bytes_total", offsetof(struct stats_series, request_bytes));
	begin(text, "response_bytes_total", "counter", "Bytes of response bodies.");
	print_series_value(totals, text, "response_bytes_total",
		offsetof(struct stats_series, response_bytes));
}

/* MW-06: class says how far an attempt got, stop why no further one was made. */
static void print_attempts(const struct metrics_totals *totals, struct buf *text)
{
	begin(text, "attempts_total", "counter", "Attempts by how far they got.");
	MAP_FOR_EACH(entry, &totals->series)
	{
		const struct stats_series *series = entry->value;

		for (size_t i = 0; i < ARRAY_SIZE(series->attempts); i++) {
			if (series->attempts[i] > 0) {
				buf_appendf(text,
					"pillion_attempts_total{service=\"%s\",direction=\"%s\","
					"class=\"%s\"} "
					"%llu\n",
					series->service, direction(series),
					stats_attempt_word((enum attempt_class)i),
					(unsigned long long)series->attempts[i]);
			}
		}
	}
	begin(text, "retries_total", "counter", "Repetitions, and why no more were made.");
	MAP_FOR_EACH(entry, &totals->series)
	{
		const struct stats_series *series = entry->value;

		for (size_t i = 0; i < RETRY_STOP_COUNT; i++) {
			if (series->retries[i] > 0) {
				buf_appendf(text,
					"pillion_retries_total{service=\"%s\",direction=\"%s\","
					"stop=\"%s\"} "
					"%llu\n",
					series->service, direction(series),
					decision_stop_word((enum retry_stop)i),
					(unsigned long long)series->retries[i]);
			}
		}
	}
	begin(text, "grpc_requests_total", "counter", "Finished gRPC calls by status code.");
	MAP_FOR_EACH(entry, &totals->series)
	{
		const struct stats_series *series = entry->value;

		for (size_t i = 0; i < STATS_GRPC_CODES; i++) {
			if (series->grpc_codes[i] > 0) {
				buf_appendf(text,
					"pillion_grpc_requests_total{direction=\"%s\",service=\"%"
					"s\",code=\"%zu\"} "
					"%llu\n",
					direction(series), series->service, i,
					(unsigned long long)series->grpc_codes[i]);
			}
		}
	}
}

/* All tiers of a service, the empty ones too: an alert on `up` needs the zero. */
static void print_upstreams(const struct metrics_totals *totals, struct buf *text)
{
	begin(text, "instances", "gauge", "Instances by tier, as this sidecar sees them.");
	MAP_FOR_EACH(entry, &totals->services)
	{
		const struct metrics_service *service = entry->value;

		for (size_t i = 0; i < TIER_COUNT; i++) {
			buf_appendf(text, "pillion_instances{service=\"%.*s\",tier=\"%s\"} %u\n",
				(int)entry->key.size, (const char *)entry->key.data,
				tier_word((enum tier)i), service->tiers[i]);
		}
	}
	begin(text, "queue_depth", "gauge", "Exchanges that wait for a slot or a connection.");
	MAP_FOR_EACH(entry, &totals->services)
	{
		const struct metrics_service *service = entry->value;

		buf_appendf(text, "pillion_queue_depth{service=\"%.*s\"} %llu\n",
			(int)entry->key.size, (const char *)entry->key.data,
			(unsigned long long)service->queued);
	}
	single(text, "pool_connections", "gauge", "Upstream connections open or opening.",
		totals->pool_connections);
	single(text, "upstream_unsolicited_total", "counter", "Bytes upstreams sent unasked.",
		totals->unsolicited);
}

/* Words are those of reasons.md; a listener shows the ones it has met. */
static void print_listener_reasons(
	const struct metrics_totals *totals, struct buf *text, const char *name, size_t offset)
{
	MAP_FOR_EACH(entry, &totals->listeners)
	{
		const struct stats_listener *listener = entry->value;
		const uint64_t *counts =
			(const uint64_t *)(const void *)((const char *)listener + offset);

		for (size_t r = 0; r < REASON_COUNT; r++) {
			if (counts[r] > 0) {
				buf_appendf(text,
					"pillion_%s{listener=\"%s\",reason=\"%s\"} %llu\n", name,
					listener->name, reason_word((enum reason)r),
					(unsigned long long)counts[r]);
			}
		}
	}
}

/* Downstream connections: who came, who is there, and why others went. */
static void print_listeners(const struct metrics_totals *totals, struct buf *text)
{
	begin(text, "connections", "gauge", "Downstream connections.");
	MAP_FOR_EACH(entry, &totals->listeners)
	{
		const struct stats_listener *listener = entry->value;

		buf_appendf(text, "pillion_connections{listener=\"%s\"} %llu\n", listener->name,
			(unsigned long long)listener->connections);
	}
	begin(text, "connections_accepted_total", "counter", "Accepted downstream connections.");
	MAP_FOR_EACH(entry, &totals->listeners)
	{
		const struct stats_listener *listener = entry->value;

		buf_appendf(text, "pillion_connections_accepted_total{listener=\"%s\"} %llu\n",
			listener->name, (unsigned long long)listener->accepted);
	}
	begin(text, "connections_closed_total", "counter",
		"Closed downstream connections by reason.");
	print_listener_reasons(
		totals, text, "connections_closed_total", offsetof(struct stats_listener, closed));
	begin(text, "cuts_total", "counter", "Exchanges cut after their response head.");
	print_listener_reasons(totals, text, "cuts_total", offsetof(struct stats_listener, cuts));
}

/* OB-01. The four ways of translation that exist, always all of them. */
static void print_codec(const struct metrics_totals *totals, struct buf *text)
{
	static const char *const labels[] = {"{from=\"json\",to=\"grpc\",side=\"request\"}",
		"{from=\"grpc\",to=\"json\",side=\"response\"}",
		"{from=\"grpc\",to=\"json\",side=\"request\"}",
		"{from=\"json\",to=\"grpc\",side=\"response\"}"};
	const struct translate_totals *translate = &totals->translate;

	begin(text, "codec_messages_total", "counter", "Translated messages.");
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		number(text, "codec_messages_total", labels[i], translate->messages[i]);
	}
	begin(text, "codec_bytes_total", "counter", "Bytes given to the translator.");
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		number(text, "codec_bytes_total", labels[i], translate->bytes_in[i]);
	}
	begin(text, "codec_faults_total", "counter", "Messages that do not fit their schema.");
	number(text, "codec_faults_total", "{side=\"request\"}", translate->faults_request);
	number(text, "codec_faults_total", "{side=\"response\"}", translate->faults_response);
	single(text, "codec_passed_total", "counter", "Exchanges passed untouched.",
		translate->passed);
	single(text, "codec_slow_path_total", "counter", "Messages read in careful mode.",
		translate->slow_path);
	single(text, "codec_headers_dropped_total", "counter", "Metadata that could not travel.",
		translate->headers_dropped);
	single(text, "codec_memory_bytes", "gauge", "Bytes gathered for translation.",
		translate->memory_bytes);
}

/* Everything that workers count. */
void metrics_print_totals(const struct metrics_totals *totals, struct buf *text)
{
	print_requests(totals, text);
	print_durations(totals, text);
	print_attempts(totals, text);
	print_upstreams(totals, text);
	print_listeners(totals, text);
	print_codec(totals, text);
	single(text, "streams", "gauge", "Downstream requests under way.", totals->streams);
	single(text, "stripped_headers_total", "counter", "Own fields removed on arrival.",
		totals->stripped_headers);
	single(text, "trailers_dropped_total", "counter", "Trailer fields not passed on.",
		totals->trailers_dropped);
	single(text, "series_overflow_total", "counter", "Services counted as _other.",
		totals->series_overflow);
	begin(text, "memory_bytes", "gauge", "Memory by pool.");
	number(text, "memory_bytes", "{pool=\"buffers\"}", totals->buffer_bytes);
	begin(text, "log_lines_dropped_total", "counter", "Log lines that were dropped.");
	number(text, "log_lines_dropped_total", "{log=\"access\"}", totals->records_dropped);
	number(text, "log_lines_dropped_total", "{log=\"application\"}", log_dropped());
}

/* SN-07 sets limits by descriptors; this shows how near they are. */
static unsigned open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	if (!directory) {
		return 0;
	}
	while (readdir(directory)) {
		count++;
	}
	(void)closedir(directory);
	return count > 3 ? count - 3 : 0; /* ".", ".." and the directory itself */
}

/* Names without our prefix, as every exporter has them. */
static void print_process(struct buf *text)
{
	struct rusage usage;
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0, resident = 0;

	if (file) {
		if (fscanf(file, "%lu %lu", &pages, &resident) != 2) {
			resident = 0;
		}
		(void)fclose(file);
	}
	(void)getrusage(RUSAGE_SELF, &usage);
	buf_appendf(text,
		"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n"
		"# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %lu\n"
		"# TYPE process_open_fds gauge\nprocess_open_fds %u\n",
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
		resident * (unsigned long)sysconf(_SC_PAGESIZE), open_descriptors());
}

/* What control itself knows. mesh_plaintext is 1 as long as there is no TLS (F-11). */
void metrics_print_control(struct control *control, struct buf *text)
{
	const struct control_counters *counters = control_counters_get(control);
	struct control_health health;

	control_health_get(control, &health);
	begin(text, "build_info", "gauge", "1, with the version as label.");
	number(text, "build_info", "{version=\"" PILLION_VERSION "\"}", 1);
	single(text, "config_generation", "gauge", "Configuration in force.",
		control_generation(control));
	begin(text, "config_reloads_total", "counter", "Reloads by result.");
	number(text, "config_reloads_total", "{result=\"applied\"}", counters->reloads_applied);
	number(text, "config_reloads_total", "{result=\"rejected\"}", counters->reloads_rejected);
	begin(text, "degraded", "gauge", "1: this part does not work as it should.");
	number(text, "degraded", "{part=\"mesh_plaintext\"}", 1);
	number(text, "degraded", "{part=\"registry\"}", health.registry.mode != REGISTRY_LIVE);
	single(text, "app_healthy", "gauge", "1: the application passes its check.",
		health.app_healthy);
	single(text, "registry_index", "gauge", "Registry index of the local view.",
		health.registry.index);
	begin(text, "registry_age_seconds", "gauge", "Since the last word of the registry.");
	buf_appendf(text, "pillion_registry_age_seconds %.3f\n",
		(double)health.registry.age_ms / 1000.0);
	single(text, "registry_connected", "gauge", "1: the registry is live.",
		health.registry.mode == REGISTRY_LIVE);
	single(text, "view_write_errors_total", "counter", "view.bin could not be written.",
		counters->view_write_errors);
	print_process(text);
}
