#include "../base/test_main.h"
#include "base/assert.h"
#include "http/sniff.h"

/* SN-01, SN-03: each prefix of the preface decides nothing, its first other byte decides. */
static void test_preface(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	(void)state;
	assert_int_equal(sizeof(preface) - 1, 24);
	for (size_t i = 0; i < 24; i++) {
		char other[25];

		assert_int_equal(sniff_protocol(slice_make(preface, i)), SNIFFED_MORE);
		memcpy(other, preface, sizeof(other));
		other[i] ^= 1;
		assert_int_equal(sniff_protocol(slice_make(other, i + 1)), SNIFFED_H1);
		assert_int_equal(sniff_protocol(slice_make(other, 24)), SNIFFED_H1);
	}
	assert_int_equal(sniff_protocol(slice_make(preface, 24)), SNIFFED_H2);
	assert_int_equal(sniff_protocol(SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore")), SNIFFED_H2);
}

static void test_others(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		enum sniffed expected;
	} cases[] = {
		{"", 0, SNIFFED_MORE},
		{"\x16", 1, SNIFFED_TLS},
		{"\x16\x03\x01", 3, SNIFFED_TLS},
		{"\x15", 1, SNIFFED_H1},
		{"G", 1, SNIFFED_H1},
		{"P", 1, SNIFFED_MORE},
		{"PO", 2, SNIFFED_H1},
		{"PR", 2, SNIFFED_MORE},
		{"PRO", 3, SNIFFED_H1},
		{"PRI * HTTP/2.0\r\n\r\nXX", 20, SNIFFED_H1},
		{"\0", 1, SNIFFED_H1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(sniff_protocol(slice_make(cases[i].bytes, cases[i].size)),
			cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_preface),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
