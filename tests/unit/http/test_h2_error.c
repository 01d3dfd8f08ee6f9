/* Which words cut a stream or a connection with which code (H2-38, H2-06, H2-08). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "http/h2_error.h"

static void resets(void **state)
{
	static const struct {
		enum reason why;
		enum h2_error error;
	} rows[] = {
		{REASON_h2_malformed, H2_PROTOCOL_ERROR},
		{REASON_upstream_protocol, H2_PROTOCOL_ERROR},
		{REASON_h2_refused, H2_REFUSED_STREAM},
		{REASON_upstream_truncated, H2_INTERNAL_ERROR},
		{REASON_internal_error, H2_INTERNAL_ERROR},
		{REASON_deadline_exceeded, H2_CANCEL},
		{REASON_slow_reader, H2_CANCEL},
		{REASON_downstream_reset, H2_CANCEL},
		{REASON_ok, H2_CANCEL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(h2_error_for_reset(rows[i].why), rows[i].error);
	}
	/* REFUSED_STREAM promises that nothing was done: no other word may say it. */
	for (int why = 0; why < REASON_COUNT; why++) {
		assert_int_equal(h2_error_for_reset((enum reason)why) == H2_REFUSED_STREAM,
			why == REASON_h2_refused);
	}
}

static void closes(void **state)
{
	(void)state;
	assert_int_equal(h2_error_for_close(REASON_h2_flood), H2_ENHANCE_YOUR_CALM);
	assert_int_equal(h2_error_for_close(REASON_h2_memory), H2_ENHANCE_YOUR_CALM);
	assert_int_equal(h2_error_for_close(REASON_h2_settings_timeout), H2_SETTINGS_TIMEOUT);
	assert_int_equal(h2_error_for_close(REASON_h2_protocol), H2_PROTOCOL_ERROR);
	assert_int_equal(h2_error_for_close(REASON_idle_timeout), H2_NO_ERROR);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(resets),
		cmocka_unit_test(closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
