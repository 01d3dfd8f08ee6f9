/* CT-06: numbers against strtod, strtof and printf; integers; the printers' edges. */
#include "codec_test.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/number_parse.h"
#include "codec/number_print.h"

#define RANDOM_VALUES 1000000 /* floats and doubles each */

static uint64_t seed = 0x1234567812345678u;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static double double_of(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static float float_of(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* The text by the engine and by libc, to both widths. */
static void check_parse(const char *text)
{
	const uint8_t *start = (const uint8_t *)text;
	const uint8_t *end = start + strlen(text);
	double expected = strtod(text, NULL);
	float expected_float = strtof(text, NULL);
	struct number_text number;
	double value = 0;
	float value_float = 0;

	assert_ptr_equal(number_parse_scan(start, end, &number), end);
	if (number_parse_double(&number, &value) == (bool)isinf(expected) ||
		(!isinf(expected) && memcmp(&value, &expected, sizeof(value)) != 0)) {
		fail_msg("%s: %.17g", text, value);
	}
	if (number_parse_float(&number, &value_float) == (bool)isinf(expected_float) ||
		(!isinf(expected_float) &&
			memcmp(&value_float, &expected_float, sizeof(value_float)) != 0)) {
		fail_msg("%s: float %.9g", text, (double)value_float);
	}
}

/* Significant digits of a text, without zeros at the end. */
static int digits_of(const char *text, char digits[32])
{
	int count = 0;

	for (; *text && *text != 'e'; text++) {
		if (*text >= '0' && *text <= '9' && (count > 0 || *text != '0')) {
			digits[count++] = *text;
		}
	}
	while (count > 1 && digits[count - 1] == '0') {
		count--;
	}
	digits[count] = 0;
	return count;
}

/* Reads back, and no shorter text would; of the shortest ones it is the nearest. */
static void check_print_double(double value)
{
	uint8_t text[NUMBER_PRINT_MAX + 1];
	char digits[32];
	char expected[32];
	char other[40];

	*number_print_double(value, text) = 0;
	if (strtod((char *)text, NULL) != value ||
		signbit(strtod((char *)text, NULL)) != signbit(value)) {
		fail_msg("%.17g printed as %s", value, text);
	}
	check_parse((char *)text);
	digits_of((char *)text, digits);
	for (int precision = 0; precision < 17 && value != 0; precision++) {
		snprintf(other, sizeof(other), "%.*e", precision, value);
		if (strtod(other, NULL) == value) {
			int count = digits_of(other, expected);

			/* At powers of two a text that is not the nearest may be shorter still. */
			if ((int)strlen(digits) > count ||
				((int)strlen(digits) == count && strcmp(digits, expected) != 0)) {
				fail_msg("%.17g printed as %s", value, text);
			}
			break;
		}
	}
}

static void check_print_float(float value)
{
	uint8_t text[NUMBER_PRINT_MAX + 1];
	char digits[32];
	char expected[32];
	char other[40];

	*number_print_float(value, text) = 0;
	if (strtof((char *)text, NULL) != value) {
		fail_msg("%.9g printed as %s", (double)value, text);
	}
	check_parse((char *)text);
	for (int precision = 0; precision < 9 && value != 0; precision++) {
		snprintf(other, sizeof(other), "%.*e", precision, (double)value);
		if (strtof(other, NULL) == value) {
			assert_true(digits_of((char *)text, digits) <= digits_of(other, expected));
			break;
		}
	}
}

static void test_random_values(void **state)
{
	char text[1200];

	(void)state;
	for (int i = 0; i < RANDOM_VALUES; i++) {
		uint64_t bits = next_random();
		double value = double_of(bits);
		float narrow = float_of((uint32_t)bits);

		if (i % 4 == 1) {
			value = (double)(int64_t)(bits >> (bits & 63)) / 100;
		} else if (i % 16 == 2) {
			value = double_of(bits & 0x800fffffffffffffu);
		}
		if (isfinite(value)) {
			/* Comparing every length with printf is slow: a part of them. */
			if (i % 16 == 0) {
				check_print_double(value);
			}
			snprintf(text, sizeof(text), "%.17g", value);
			check_parse(text);
		}
		if (isfinite(narrow) && i % 16 == 0) {
			double next = (double)nextafterf(narrow, INFINITY);

			check_print_float(narrow);
			/* exactly in the middle of two floats */
			snprintf(text, sizeof(text), "%.60g",
				(double)narrow + (next - (double)narrow) / 2);
			if (!strstr(text, "inf")) {
				check_parse(text);
			}
		}
	}
}

/* Long decimals at and beside the middle of two doubles. */
static void test_middles(void **state)
{
	char text[1400];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		double value = double_of(next_random());
		long double middle;

		if (!isfinite(value)) {
			continue;
		}
		middle = (long double)value +
			 ((long double)nextafter(value, INFINITY) - (long double)value) / 2;
		snprintf(text, sizeof(text), "%.*Lg", (int)(next_random() % 900) + 1, middle);
		if (strstr(text, "inf")) {
			continue;
		}
		check_parse(text);
		if (!strchr(text, 'e') && strchr(text, '.')) {
			strcat(text, "00000000000000000000000000000001");
			check_parse(text);
		}
	}
}

static void test_edges(void **state)
{
	static const char *const texts[] = {"0", "-0", "0e999999999999", "1e400", "-1e400",
		"1e-400", "4.9e-324", "2.4703282292062327e-324", "2.4703282292062328e-324",
		"2.2250738585072011e-308", "2.2250738585072014e-308", "1.7976931348623157e308",
		"1.7976931348623158e308", "1.7976931348623159e308", "9007199254740993",
		"9007199254740993.0", "9007199254740992.99999999999999999999", "3.4028235e38",
		"3.4028235677973366e38", "3.4028235677973367e38", "1e-45", "7e-46", "7.1e-46",
		"1e99999999999999999999", "1e-99999999999999999999",
		"123456789012345678901234567890",
		"0.000000000000000000000000000000000000000000000000000000000001e60",
		"100000000000000000000000000000000000000000000000000000000000e-60"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		check_parse(texts[i]);
	}
	/* every power of two, and its neighbours */
	for (uint64_t exponent = 0; exponent < 2047; exponent++) {
		check_print_double(double_of(exponent << 52));
		check_print_double(double_of((exponent << 52) + 1));
		check_print_double(double_of((exponent << 52) + ((uint64_t)1 << 52) - 1));
	}
	for (uint32_t exponent = 0; exponent < 255; exponent++) {
		check_print_float(float_of(exponent << 23));
		check_print_float(float_of((exponent << 23) + 1));
		check_print_float(float_of((exponent << 23) + (1u << 23) - 1));
	}
}

static void test_layout(void **state)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {{0, "0"}, {-0.0, "-0"}, {1, "1"}, {-1.5, "-1.5"}, {0.1, "0.1"},
		{1e20, "100000000000000000000"}, {1e21, "1e+21"}, {123e18, "123000000000000000000"},
		{1.25e22, "1.25e+22"}, {1e-6, "0.000001"}, {1.5e-6, "0.0000015"}, {1e-7, "1e-7"},
		{1.25e-7, "1.25e-7"}, {5e-324, "5e-324"},
		{1.7976931348623157e308, "1.7976931348623157e+308"},
		{4503599627370495.5, "4503599627370495.5"},
		{9007199254740992.0, "9007199254740992"}, {2e-44, "2e-44"}, {1e23, "1e+23"},
		{9.5367431640625e-7, "9.5367431640625e-7"}};
	uint8_t text[NUMBER_PRINT_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		*number_print_double(rows[i].value, text) = 0;
		assert_string_equal((char *)text, rows[i].text);
	}
	*number_print_float(0.1f, text) = 0;
	assert_string_equal((char *)text, "0.1");
	*number_print_float(16777216.0f, text) = 0;
	assert_string_equal((char *)text, "16777216");
}

static void test_integers(void **state)
{
	uint8_t text[NUMBER_PRINT_MAX + 1];
	char expected[40];

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint64_t value = next_random() >> (next_random() & 63);

		*number_print_u64(value, text) = 0;
		snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
		assert_string_equal((char *)text, expected);
		*number_print_i64((int64_t)value, text) = 0;
		snprintf(expected, sizeof(expected), "%lld", (long long)value);
		assert_string_equal((char *)text, expected);
	}
	for (uint64_t value = 1; value < UINT64_MAX / 10; value *= 10) {
		*number_print_u64(value - 1, text) = 0;
		snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value - 1);
		assert_string_equal((char *)text, expected);
		*number_print_u64(value, text) = 0;
		snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
		assert_string_equal((char *)text, expected);
	}
}

static void test_parse_integers(void **state)
{
	static const struct {
		const char *text;
		enum number_result result;
		uint64_t magnitude;
	} rows[] = {
		{"0", NUMBER_OK, 0},
		{"18446744073709551615", NUMBER_OK, UINT64_MAX},
		{"18446744073709551616", NUMBER_RANGE, 0},
		{"18446744073709551615.000", NUMBER_OK, UINT64_MAX},
		{"1844674407370955161.5e1", NUMBER_OK, UINT64_MAX},
		{"184467440737095516150e-1", NUMBER_OK, UINT64_MAX},
		{"1.5", NUMBER_FRACTION, 0},
		{"15e-1", NUMBER_FRACTION, 0},
		{"0.00", NUMBER_OK, 0},
		{"0e999999999", NUMBER_OK, 0},
		{"1e19", NUMBER_OK, 10000000000000000000u},
		{"1e20", NUMBER_RANGE, 0},
		{"1e536870000", NUMBER_RANGE, 0},
		{"1e-1", NUMBER_FRACTION, 0},
		{"100000000000000000000000000000e-25", NUMBER_OK, 10000},
		{"0.000000000000000000000000000001e30", NUMBER_OK, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const uint8_t *start = (const uint8_t *)rows[i].text;
		struct number_text number;
		uint64_t magnitude = 0;

		assert_non_null(number_parse_scan(start, start + strlen(rows[i].text), &number));
		assert_int_equal(number_parse_integer(&number, &magnitude), rows[i].result);
		assert_true(magnitude == rows[i].magnitude);
	}
}

/* One million digits take one look each. */
static void test_long_text(void **state)
{
	size_t size = 1000000;
	char *text = malloc(size + 8);
	struct number_text number;
	double value;

	(void)state;
	memset(text, '9', size);
	text[1] = '.';
	memcpy(text + size, "e5", 3);
	assert_non_null(number_parse_scan(
		(const uint8_t *)text, (const uint8_t *)text + size + 2, &number));
	assert_true(number_parse_double(&number, &value));
	assert_true(value == 1e6);
	free(text);
}

/* A decimal comma elsewhere in the process changes nothing. */
static void test_locale(void **state)
{
	uint8_t text[NUMBER_PRINT_MAX + 1];

	(void)state;
	if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8")) {
		print_message("no locale with a decimal comma on this machine\n");
		return;
	}
	*number_print_double(1.5, text) = 0;
	assert_string_equal((char *)text, "1.5");
	setlocale(LC_NUMERIC, "C");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_values),
		cmocka_unit_test(test_middles),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_parse_integers),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_locale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
