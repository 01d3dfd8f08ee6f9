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

/* What the lines of a family are about: once for the sidecar, or once an entry of a map. */
enum over { OVER_ALL, OVER_SERIES, OVER_SERVICES, OVER_LISTENERS };

struct family;

/* One family for one entry: what is printed in one go. */
struct piece {
	const struct family *family;
	const struct metrics_totals *totals;
	struct slice key;  /* the entry's, in its map */
	const void *value; /* the entry; the totals for OVER_ALL */
};

struct family {
	const char *name, *type, *help;
	enum over over;
	void (*print)(const struct piece *piece, struct buf *text);
	size_t offset;	   /* of its number or numbers in the value */
	const char *label; /* print_words: whose values are words; print_value: a fixed label */
	size_t count;
	const char *(*word)(size_t index);
};

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

/* MN-02: the labels every line of an entry has, from configuration and registry; without braces. */
static void put_labels(const struct piece *piece, struct buf *text)
{
	const struct stats_series *series = piece->value;
	const struct stats_listener *listener = piece->value;

	switch (piece->family->over) {
	case OVER_SERIES:
		buf_appendf(text, "direction=\"%s\",service=\"%s\"", series->inbound ? "in" : "out",
			series->service);
		return;
	case OVER_SERVICES:
		buf_appendf(text, "service=\"%.*s\"", (int)piece->key.size,
			(const char *)piece->key.data);
		return;
	case OVER_LISTENERS:
		buf_appendf(text, "listener=\"%s\"", listener->name);
		return;
	case OVER_ALL:
		buf_append_string(text, piece->family->label ? piece->family->label : "");
		return;
	}
}

/* The family's numbers in the value of a piece. */
static const uint64_t *numbers(const struct piece *piece)
{
	return (const uint64_t *)(const void *)((const char *)piece->value + piece->family->offset);
}

static void print_value(const struct piece *piece, struct buf *text)
{
	bool bare = piece->family->over == OVER_ALL && !piece->family->label;

	buf_appendf(text, "pillion_%s%s", piece->family->name, bare ? "" : "{");
	put_labels(piece, text);
	buf_appendf(text, "%s %llu\n", bare ? "" : "}", (unsigned long long)numbers(piece)[0]);
}

/* MN-03: only words that have counted something, so that a service costs what it uses of them. */
static void print_words(const struct piece *piece, struct buf *text)
{
	const struct family *family = piece->family;

	for (size_t i = 0; i < family->count; i++) {
		if (numbers(piece)[i] > 0) {
			buf_appendf(text, "pillion_%s{", family->name);
			put_labels(piece, text);
			buf_appendf(text, ",%s=\"%s\"} %llu\n", family->label, family->word(i),
				(unsigned long long)numbers(piece)[i]);
		}
	}
}

/* Likewise, with two words: protocol and class. */
static void print_requests(const struct piece *piece, struct buf *text)
{
	const struct stats_series *series = piece->value;

	for (size_t p = 0; p < STATS_PROTOCOLS; p++) {
		for (size_t c = 0; c < STATS_CLASSES; c++) {
			if (series->requests[p][c] == 0) {
				continue;
			}
			buf_appendf(text, "pillion_%s{", piece->family->name);
			put_labels(piece, text);
			buf_appendf(text, ",protocol=\"%s\",class=\"%s\"} %llu\n",
				stats_protocol_word((enum stats_protocol)p), classes[c],
				(unsigned long long)series->requests[p][c]);
		}
	}
}

static const char *word_of_reason(size_t index)
{
	return reason_word((enum reason)index);
}

/* MW-06: class says how far an attempt got, stop why no further one was made. */
static const char *word_of_attempt(size_t index)
{
	return stats_attempt_word((enum attempt_class)index);
}

static const char *word_of_stop(size_t index)
{
	return decision_stop_word((enum retry_stop)index);
}

static const char *word_of_grpc(size_t index)
{
	static const char *const codes[STATS_GRPC_CODES] = {"0", "1", "2", "3", "4", "5", "6", "7",
		"8", "9", "10", "11", "12", "13", "14", "15", "16"};

	ASSERT(index < ARRAY_SIZE(codes) && codes[index]);
	return codes[index];
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

static void print_duration(const struct piece *piece, struct buf *text)
{
	const struct stats_series *series = piece->value;
	struct buf labels;

	buf_init(&labels);
	put_labels(piece, &labels);
	histogram(text, piece->family->name, buf_string(&labels), &series->duration, durations,
		ARRAY_SIZE(durations));
	buf_fini(&labels);
}

static void print_overhead(const struct piece *piece, struct buf *text)
{
	const struct histogram *overhead = piece->totals->overhead;

	histogram(text, piece->family->name, "direction=\"out\"", &overhead[0], overheads,
		ARRAY_SIZE(overheads));
	histogram(text, piece->family->name, "direction=\"in\"", &overhead[1], overheads,
		ARRAY_SIZE(overheads));
}

/* All tiers of a service, the empty ones too: an alert on `up` needs the zero. */
static void print_tiers(const struct piece *piece, struct buf *text)
{
	const struct metrics_service *service = piece->value;

	for (size_t i = 0; i < TIER_COUNT; i++) {
		buf_appendf(text, "pillion_%s{", piece->family->name);
		put_labels(piece, text);
		buf_appendf(text, ",tier=\"%s\"} %u\n", tier_word((enum tier)i), service->tiers[i]);
	}
}

/* OB-01. The four ways of translation that exist, always all of them. */
static void print_ways(const struct piece *piece, struct buf *text)
{
	static const char *const labels[] = {"{from=\"json\",to=\"grpc\",side=\"request\"}",
		"{from=\"grpc\",to=\"json\",side=\"response\"}",
		"{from=\"grpc\",to=\"json\",side=\"request\"}",
		"{from=\"json\",to=\"grpc\",side=\"response\"}"};

	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		number(text, piece->family->name, labels[i], numbers(piece)[i]);
	}
}

/* ER-07: only what has happened, as with requests. */
static void print_faults(const struct piece *piece, struct buf *text)
{
	static const char *const sides[] = {"request", "response"};
	const struct translate_totals *translate = &piece->totals->translate;

	for (size_t side = 0; side < ARRAY_SIZE(sides); side++) {
		for (size_t i = CODEC_FAULT_NONE + 1; i < CODEC_FAULT_COUNT; i++) {
			if (translate->faults[side][i] == 0) {
				continue;
			}
			buf_appendf(text, "pillion_%s{fault=\"%s\",side=\"%s\"} %llu\n",
				piece->family->name, codec_fault_name((enum codec_fault_kind)i),
				sides[side], (unsigned long long)translate->faults[side][i]);
		}
	}
}

static void print_translations(const struct piece *piece, struct buf *text)
{
	histogram(text, piece->family->name, "", &piece->totals->translate.durations, durations,
		ARRAY_SIZE(durations));
}

static void print_dropped(const struct piece *piece, struct buf *text)
{
	number(text, piece->family->name, "{log=\"access\"}", piece->totals->records_dropped);
	number(text, piece->family->name, "{log=\"application\"}", log_dropped());
}

#define OF(type, member) .offset = offsetof(struct type, member)
#define SERIES(member)	 .over = OVER_SERIES, .print = print_value, OF(stats_series, member)
#define LISTENER(member) .over = OVER_LISTENERS, .print = print_value, OF(stats_listener, member)
#define ALL(member)	 .print = print_value, OF(metrics_totals, member)
#define WORDS(name, size, function)                                                                \
	.print = print_words, .label = (name), .count = (size), .word = (function)
#define TRANSLATE(printer, member) .print = (printer), OF(metrics_totals, translate.member)

/* Everything that workers count, in the order of the page. */
static const struct family families[] = {
	{"requests_total", "counter", "Finished requests.", OVER_SERIES, .print = print_requests},
	{"exchanges_total", "counter", "Finished exchanges by reason word.", OVER_SERIES,
		WORDS("reason", REASON_COUNT, word_of_reason), OF(stats_series, reasons)},
	{"request_duration_seconds", "histogram", "From the first byte to the last.", OVER_SERIES,
		.print = print_duration},
	{"overhead_seconds", "histogram", "Time that was not spent waiting for others.", OVER_ALL,
		.print = print_overhead},
	{"requests_in_flight", "gauge", "Requests under way.", SERIES(in_flight)},
	{"request_bytes_total", "counter", "Bytes of request bodies.", SERIES(request_bytes)},
	{"response_bytes_total", "counter", "Bytes of response bodies.", SERIES(response_bytes)},
	{"attempts_total", "counter", "Attempts by how far they got.", OVER_SERIES,
		WORDS("class", CLASS_CANCELLED + 1, word_of_attempt), OF(stats_series, attempts)},
	{"retries_total", "counter", "Repetitions, and why no more were made.", OVER_SERIES,
		WORDS("stop", RETRY_STOP_COUNT, word_of_stop), OF(stats_series, retries)},
	{"grpc_requests_total", "counter", "Finished gRPC calls by status code.", OVER_SERIES,
		WORDS("code", STATS_GRPC_CODES, word_of_grpc), OF(stats_series, grpc_codes)},
	{"instances", "gauge", "Instances by tier, as this sidecar sees them.", OVER_SERVICES,
		.print = print_tiers},
	{"queue_depth", "gauge", "Exchanges that wait for a slot or a connection.", OVER_SERVICES,
		print_value, OF(metrics_service, queued)},
	{"pool_connections", "gauge", "Upstream connections open or opening.",
		ALL(pool_connections)},
	{"upstream_unsolicited_total", "counter", "Bytes upstreams sent unasked.",
		ALL(unsolicited)},
	{"connections", "gauge", "Downstream connections.", LISTENER(connections)},
	{"connections_accepted_total", "counter", "Accepted downstream connections.",
		LISTENER(accepted)},
	{"connections_closed_total", "counter", "Closed downstream connections by reason.",
		OVER_LISTENERS, WORDS("reason", REASON_COUNT, word_of_reason),
		OF(stats_listener, closed)},
	{"cuts_total", "counter", "Exchanges cut after their response head.", OVER_LISTENERS,
		WORDS("reason", REASON_COUNT, word_of_reason), OF(stats_listener, cuts)},
	{"codec_messages_total", "counter", "Translated messages.",
		TRANSLATE(print_ways, messages)},
	{"codec_bytes_total", "counter", "Bytes given to the translator.",
		TRANSLATE(print_ways, bytes_in)},
	{"codec_faults_total", "counter", "Messages that were not translated.", OVER_ALL,
		.print = print_faults},
	{"codec_seconds", "histogram", "Translation of messages beyond 64 KiB.", OVER_ALL,
		.print = print_translations},
	{"codec_passed_total", "counter", "Exchanges passed untouched.",
		TRANSLATE(print_value, passed)},
	{"codec_slow_path_total", "counter", "Messages read in careful mode.",
		TRANSLATE(print_value, slow_path)},
	{"codec_headers_dropped_total", "counter", "Metadata that could not travel.",
		TRANSLATE(print_value, headers_dropped)},
	{"codec_memory_bytes", "gauge", "Bytes gathered for translation.",
		TRANSLATE(print_value, memory_bytes)},
	{"streams", "gauge", "Downstream requests under way.", ALL(streams)},
	{"stripped_headers_total", "counter", "Own fields removed on arrival.",
		ALL(stripped_headers)},
	{"trailers_dropped_total", "counter", "Trailer fields not passed on.",
		ALL(trailers_dropped)},
	{"series_overflow_total", "counter", "Services counted as _other.", ALL(series_overflow)},
	{"memory_bytes", "gauge", "Memory by pool.", ALL(buffer_bytes), "pool=\"buffers\""},
	{"log_lines_dropped_total", "counter", "Log lines that were dropped.", OVER_ALL,
		.print = print_dropped},
};

/* NULL: the family has one entry, the sidecar. */
static const struct map *entries_of(
	const struct family *family, const struct metrics_totals *totals)
{
	switch (family->over) {
	case OVER_SERIES:
		return &totals->series;
	case OVER_SERVICES:
		return &totals->services;
	case OVER_LISTENERS:
		return &totals->listeners;
	case OVER_ALL:
		break;
	}
	return NULL;
}

/* The format wants all lines of a family together: families are the outer loop. */
bool metrics_print_piece(
	struct metrics_cursor *cursor, const struct metrics_totals *totals, struct buf *text)
{
	struct piece piece = {.totals = totals, .value = totals};
	const struct map *entries;

	if (cursor->family == ARRAY_SIZE(families)) {
		return false;
	}
	piece.family = &families[cursor->family];
	entries = entries_of(piece.family, totals);
	if (cursor->entry == 0) {
		begin(text, piece.family->name, piece.family->type, piece.family->help);
	}
	if (entries && cursor->entry < entries->count) {
		piece.key = entries->entries[cursor->entry].key;
		piece.value = entries->entries[cursor->entry].value;
	}
	if (!entries || cursor->entry < entries->count) {
		piece.family->print(&piece, text);
	}
	cursor->entry++;
	if (!entries || cursor->entry >= entries->count) {
		cursor->family++;
		cursor->entry = 0;
	}
	return true;
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
		"# HELP process_cpu_seconds_total Processor time of the proxy process.\n"
		"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n"
		"# HELP process_resident_memory_bytes Resident memory of the proxy process.\n"
		"# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %lu\n"
		"# HELP process_open_fds Open descriptors of the proxy process.\n"
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
	single(text, "registry_digest_mismatches_total", "counter",
		"Watched sets that differed from the registry and were read again.",
		health.registry.digest_mismatches);
	single(text, "codec_schema_errors_total", "counter", "Reflected files that were rejected.",
		counters->schema_errors);
	single(text, "view_write_errors_total", "counter", "view.bin could not be written.",
		counters->view_write_errors);
	print_process(text);
}
