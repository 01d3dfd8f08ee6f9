#include "base/slice.h"

#include "base/assert.h"

/* Longest decimal form of a 64-bit number. */
#define U64_DIGITS_MAX 20

/* ASCII only: tolower(3) would ask the locale. */
static uint8_t slice_lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

bool slice_equal_fold(struct slice a, struct slice b)
{
	ASSERT(a.data != NULL || a.size == 0);
	if (a.size != b.size) {
		return false;
	}
	for (size_t i = 0; i < a.size; i++) {
		if (slice_lower(a.data[i]) != slice_lower(b.data[i])) {
			return false;
		}
	}
	return true;
}

bool slice_starts_with(struct slice whole, struct slice prefix)
{
	return whole.size >= prefix.size &&
	       slice_equal(slice_make(whole.data, prefix.size), prefix);
}

bool slice_ends_with(struct slice whole, struct slice suffix)
{
	return whole.size >= suffix.size &&
	       slice_equal(slice_from(whole, whole.size - suffix.size), suffix);
}

int slice_compare(struct slice a, struct slice b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	/* memcmp must not see the null pointer of an empty slice. */
	int order = common > 0 ? memcmp(a.data, b.data, common) : 0;

	if (order != 0) {
		return order;
	}
	return (a.size > b.size) - (a.size < b.size);
}

size_t slice_find(struct slice whole, uint8_t byte)
{
	const uint8_t *found = whole.size > 0 ? memchr(whole.data, byte, whole.size) : NULL;

	return found ? (size_t)(found - whole.data) : whole.size;
}

struct slice slice_trim(struct slice whole)
{
	size_t start = 0;
	size_t end = whole.size;

	/* Exactly OWS of RFC 9110 5.6.3: no other byte counts as blank. */
	while (start < end && (whole.data[start] == ' ' || whole.data[start] == '\t')) {
		start++;
	}
	while (end > start && (whole.data[end - 1] == ' ' || whole.data[end - 1] == '\t')) {
		end--;
	}
	ASSERT(start <= end);
	return start == 0 ? slice_make(whole.data, end)
			  : slice_make(whole.data + start, end - start);
}

struct slice slice_from(struct slice whole, size_t offset)
{
	size_t skip = offset < whole.size ? offset : whole.size;

	/* No arithmetic on a null pointer. */
	return skip == 0 ? whole : slice_make(whole.data + skip, whole.size - skip);
}

bool slice_parse_u64(struct slice text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	ASSERT(ret_value != NULL);
	if (text.size == 0 || text.size > U64_DIGITS_MAX) {
		return false;
	}
	for (size_t i = 0; i < text.size; i++) {
		unsigned digit = (unsigned)text.data[i] - '0';

		/* The bound is checked before the multiplication can wrap. */
		if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
			return false;
		}
		value = value * 10 + digit;
	}
	if (value > max) {
		return false;
	}
	*ret_value = value;
	return true;
}

/* 0..15, or -1 for a byte that is no hex digit. */
static int slice_hex_digit(uint8_t byte)
{
	if (byte >= '0' && byte <= '9') {
		return byte - '0';
	}
	byte = slice_lower(byte);
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

bool slice_parse_hex(struct slice text, uint8_t *ret_bytes, size_t size)
{
	ASSERT(ret_bytes != NULL || size == 0);
	if (text.size != 2 * size) {
		return false;
	}
	/* Checked first, so that a failure leaves the result untouched. */
	for (size_t i = 0; i < text.size; i++) {
		if (slice_hex_digit(text.data[i]) < 0) {
			return false;
		}
	}
	for (size_t i = 0; i < size; i++) {
		int high = slice_hex_digit(text.data[2 * i]);
		int low = slice_hex_digit(text.data[2 * i + 1]);

		ret_bytes[i] = (uint8_t)(high * 16 + low);
	}
	return true;
}
