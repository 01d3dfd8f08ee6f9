/* The access record: its line, its bounds, the ring; the replay buffer; the series. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/mem.h"
#include "exchange/access_record.h"
#include "exchange/replay.h"
#include "exchange/stats.h"

static void record_make(struct access_record *record, const char *path)
{
	struct address address;

	access_record_init(record);
	record->wall_ms = 1767348672013;
	record->duration_ns = 3004113000;
	record->overhead_ns = 41200;
	record->status = 504;
	record->reason = REASON_deadline_exceeded;
	record->outcome = OUTCOME_UNKNOWN;
	record->version = 1;
	record->attempts = 1;
	record->index = 812;
	record->generation = 41;
	record->failed = true;
	record->request_bytes = 311;
	record->response_bytes = 97;
	memcpy(record->instance, "\xc1\x9e\x77\xab", 4);
	access_record_put(record, ACCESS_METHOD, SLICE("POST"));
	access_record_put(record, ACCESS_PATH, slice_from_string(path));
	access_record_put(record, ACCESS_OWN_SERVICE, SLICE("shop"));
	access_record_put(record, ACCESS_SERVICE, SLICE("pay"));
	access_record_put(record, ACCESS_VERSION, SLICE("1.8.0"));
	assert_true(address_parse(SLICE("127.0.0.1:51544"), false, &address));
	access_record_put_address(record, ACCESS_SOURCE, &address);
	assert_true(address_parse(SLICE("10.0.0.7:7440"), false, &address));
	access_record_put_address(record, ACCESS_DESTINATION, &address);
	access_record_put(record, ACCESS_REQUEST_ID, SLICE("7c1e"));
	access_record_put(record, ACCESS_TRACE_ID, SLICE("4bf92f3577b34da6a3ce929d0e0e4736"));
}

static void line_has_every_field(void **state)
{
	static const char *const parts[] = {"{\"@timestamp\":\"2026-01-02T10:11:12.013Z\"",
		"\"log.level\":\"warn\"", "\"event.dataset\":\"pillion.access\"",
		"\"message\":\"POST /pay/charge 504 deadline_exceeded\"",
		"\"pillion.direction\":\"out\"", "\"service.name\":\"shop\"",
		"\"pillion.upstream.service\":\"pay\"", "\"pillion.upstream.version\":\"1.8.0\"",
		"\"pillion.upstream.instance\":\"c19e77ab\"",
		"\"destination.address\":\"10.0.0.7:7440\"",
		"\"source.address\":\"127.0.0.1:51544\"", "\"http.version\":\"1.1\"",
		"\"http.request.method\":\"POST\"", "\"url.path\":\"/pay/charge\"",
		"\"http.response.status_code\":504", "\"event.code\":\"PIL5051\"",
		"\"pillion.reason\":\"deadline_exceeded\"", "\"pillion.outcome\":\"unknown\"",
		"\"pillion.attempts\":1", "\"event.duration\":3004113000",
		"\"pillion.overhead_ns\":41200", "\"http.request.body.bytes\":311",
		"\"http.response.body.bytes\":97",
		"\"trace.id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"", "\"http.request.id\":\"7c1e\"",
		"\"pillion.index\":812", "\"pillion.generation\":41"};
	struct access_record record;
	struct buf line;
	const char *text;

	(void)state;
	record_make(&record, "/pay/charge");
	access_record_put_header(&record, SLICE("user-agent"), SLICE("curl \"8\""));
	buf_init(&line);
	access_record_format(&record, &line);
	text = buf_string(&line);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		assert_non_null(strstr(text, parts[i]));
	}
	assert_non_null(strstr(text, "\"http.request.headers.user-agent\":\"curl \\\"8\\\"\""));
	assert_int_equal(text[line.size - 1], '\n');
	assert_null(strstr(text, "pillion.cut"));
	assert_null(strstr(text, "grpc_status"));
	buf_fini(&line);
}

static void bytes_are_escaped_and_lines_bounded(void **state)
{
	struct access_record record;
	struct buf line;
	char path[4000];

	(void)state;
	record_make(&record, "/a\"\\\n\x1b\x7f\xc3\xa9");
	buf_init(&line);
	access_record_format(&record, &line);
	assert_non_null(strstr(buf_string(&line), "\"url.path\":\"/a\\\"\\\\"));
	assert_non_null(strstr(buf_string(&line), "\\u001b\\u007f\\u00c3\\u00a9\""));
	for (size_t i = 0; i + 1 < line.size; i++) {
		assert_true(line.data[i] >= 0x20 && line.data[i] < 0x7f);
	}
	for (int plain = 0; plain < 2; plain++) {
		memset(path, plain ? 'a' : '\x01', sizeof(path));
		path[sizeof(path) - 1] = '\0';
		record_make(&record, path);
		access_record_format(&record, &line);
		assert_true(line.size <= 4096);
		assert_non_null(strstr(buf_string(&line), "\"pillion.cut\":true"));
	}
	buf_fini(&line);
}

/* Members of which not even the name fits are left out. */
static void many_headers_do_not_burst_the_line(void **state)
{
	struct access_record record;
	struct buf line;
	char path[2001];
	char name[41];

	(void)state;
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	record_make(&record, path);
	for (int i = 0; i < 32; i++) {
		snprintf(name, sizeof(name), "x-%038d", i);
		access_record_put_header(&record, slice_from_string(name), SLICE("1"));
	}
	buf_init(&line);
	access_record_format(&record, &line);
	assert_true(line.size <= 4096);
	assert_non_null(strstr(buf_string(&line), "\"http.request.headers.x-0000"));
	assert_non_null(strstr(buf_string(&line), "\"pillion.cut\":true}\n"));
	buf_fini(&line);
}

static void ring_keeps_order_and_counts_what_it_drops(void **state)
{
	struct access_ring *ring = mem_zalloc(sizeof(*ring));
	struct access_record record;
	struct access_record back;
	uint64_t put = 0;
	uint64_t taken = 0;

	(void)state;
	for (int round = 0; round < 5; round++) {
		for (;;) {
			record_make(&record, put % 3 ? "/x" : "/a/longer/path/than/the/others");
			record.index = put;
			if (!access_ring_put(ring, &record)) {
				break;
			}
			put++;
		}
		assert_int_equal(atomic_load(&ring->dropped), round + 1);
		for (int i = 0; i < 500 && access_ring_take(ring, &back); i++) {
			assert_int_equal(back.index, taken++);
			assert_memory_equal(
				access_record_text(&back, ACCESS_SERVICE).data, "pay", 3);
		}
	}
	while (access_ring_take(ring, &back)) {
		taken++;
	}
	assert_int_equal(put, taken);
	assert_int_equal(access_ring_used(ring), 0);
	/* 256 KiB hold a good thousand ordinary records. */
	assert_true(put > 3000);
	mem_free(ring);
}

static void *ring_reader(void *context)
{
	struct access_ring *ring = context;
	struct access_record *record = mem_alloc(sizeof(*record));
	uintptr_t seen = 0;

	for (;;) {
		if (!access_ring_take(ring, record)) {
			continue;
		}
		if (record->index == UINT64_MAX) {
			break;
		}
		if (record->index < seen || access_record_text(record, ACCESS_PATH).size != 2) {
			abort();
		}
		seen = record->index;
	}
	mem_free(record);
	return (void *)seen;
}

static void ring_has_one_writer_and_one_reader(void **state)
{
	struct access_ring *ring = mem_zalloc(sizeof(*ring));
	struct access_record record;
	pthread_t thread;
	void *seen;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, ring_reader, ring), 0);
	record_make(&record, "/x");
	for (uint64_t i = 0; i < 20000; i++) {
		record.index = i;
		(void)access_ring_put(ring, &record);
	}
	record.index = UINT64_MAX;
	while (!access_ring_put(ring, &record)) {
	}
	pthread_join(thread, &seen);
	assert_true((uintptr_t)seen > 0);
	mem_free(ring);
}

static void replay_has_its_bounds(void **state)
{
	static const struct {
		size_t bytes;
		bool kept;
	} rows[] = {{65535, true}, {65536, true}, {65537, false}};
	struct block_pool pool;

	(void)state;
	block_pool_init(&pool, 4);
	for (size_t i = 0; i < 3; i++) {
		struct replay_bank bank = {0, 1 << 20};
		struct replay replay;
		struct chain body;
		uint8_t *bytes = mem_zalloc(rows[i].bytes);

		replay_init(&replay, &bank, 65536);
		chain_init(&body);
		chain_append_copy(&body, &pool, bytes, rows[i].bytes);
		replay_keep(&replay, &body);
		chain_clear(&body);
		assert_int_equal(replay.dropped, !rows[i].kept);
		assert_int_equal(bank.used, rows[i].kept ? rows[i].bytes : 0);
		if (rows[i].kept) {
			chain_append_copy(&body, &pool, "later", 5);
			replay_rewind(&replay, &body);
			assert_int_equal(body.size, rows[i].bytes + 5);
			assert_int_equal(bank.used, 0);
			replay_keep(&replay, &body);
			assert_int_equal(replay.dropped, rows[i].bytes + 5 > 65536);
		}
		replay_close(&replay);
		replay_close(&replay);
		assert_int_equal(bank.used, 0);
		chain_fini(&body);
		mem_free(bytes);
	}
	block_pool_fini(&pool);
}

static void replay_bank_is_shared(void **state)
{
	struct replay_bank bank = {0, 100000};
	struct replay replays[3];
	struct block_pool pool;
	struct chain body;
	uint8_t *bytes = mem_zalloc(40000);

	(void)state;
	block_pool_init(&pool, 4);
	chain_init(&body);
	chain_append_copy(&body, &pool, bytes, 40000);
	for (int i = 0; i < 3; i++) {
		replay_init(&replays[i], &bank, 65536);
		replay_keep(&replays[i], &body);
		assert_int_equal(replays[i].dropped, i == 2);
	}
	assert_int_equal(bank.used, 80000);
	for (int i = 0; i < 3; i++) {
		replay_close(&replays[i]);
	}
	assert_int_equal(bank.used, 0);
	chain_fini(&body);
	mem_free(bytes);
	block_pool_fini(&pool);
}

static void count_series(void *context, const struct stats_series *series)
{
	assert_true(strlen(series->service) > 0);
	++*(unsigned *)context;
}

static void series_have_a_bound(void **state)
{
	struct server_stats *stats = mem_zalloc(sizeof(*stats));
	unsigned count = 0;
	struct stats_walk walk = {.on_series = count_series, .context = &count};
	struct stats_series *first = stats_series(stats, SLICE("a"), false);

	(void)state;
	assert_ptr_equal(stats_series(stats, SLICE("a"), false), first);
	assert_ptr_not_equal(stats_series(stats, SLICE("a"), true), first);
	for (int i = 0; i < 2000; i++) {
		char name[16];
		int size = snprintf(name, sizeof(name), "s%d", i);

		stats_series(stats, slice_make(name, (size_t)size), i % 2 == 0);
	}
	assert_string_equal(stats_series(stats, SLICE("s1999"), false)->service, "_other");
	assert_true(stats->series_overflow > 0);
	stats_walk(stats, &walk);
	assert_int_equal(count, STATS_SERIES_MAX);
	stats_fini(stats);
	mem_free(stats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_has_every_field),
		cmocka_unit_test(bytes_are_escaped_and_lines_bounded),
		cmocka_unit_test(many_headers_do_not_burst_the_line),
		cmocka_unit_test(ring_keeps_order_and_counts_what_it_drops),
		cmocka_unit_test(ring_has_one_writer_and_one_reader),
		cmocka_unit_test(replay_has_its_bounds),
		cmocka_unit_test(replay_bank_is_shared),
		cmocka_unit_test(series_have_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
