/*
 * Shortest digits by Schubfach (Raffaello Giulietti): the interval that rounds to the value is
 * scaled by a power of ten so that one or two candidates remain.
 */
#include "codec/number_print.h"

#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "codec/number_power.h"

typedef unsigned __int128 wide;

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
			    "34353637383940414243444546474849505152535455565758596061626364656667"
			    "6869707172737475767778798081828384858687888990919293949596979899";

/* From the count of bits, corrected by one comparison. */
static unsigned count_digits(uint64_t value)
{
	static const uint64_t powers[] = {0, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
		100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
		100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
		1000000000000000000, 10000000000000000000u};
	/* 1233 / 4096 is just above log10(2). */
	unsigned guess = (unsigned)((64 - __builtin_clzll(value | 1)) * 1233) >> 12;

	return guess + (value >= powers[guess]);
}

/* Exactly `digits` digits. */
static void put_digits(uint64_t value, unsigned digits, uint8_t *out)
{
	while (digits >= 2) {
		digits -= 2;
		memcpy(out + digits, pairs + value % 100 * 2, 2);
		value /= 100;
	}
	if (digits) {
		out[0] = (uint8_t)('0' + value % 10);
	}
}

uint8_t *number_print_u64(uint64_t value, uint8_t *out)
{
	unsigned digits;

	if (value < 10) {
		*out = (uint8_t)('0' + value);
		return out + 1;
	}
	digits = count_digits(value);
	ASSERT(digits <= 20);
	put_digits(value, digits, out);
	return out + digits;
}

uint8_t *number_print_i64(int64_t value, uint8_t *out)
{
	uint64_t magnitude = (uint64_t)value;

	if (value < 0) {
		*out++ = '-';
		magnitude = 0 - magnitude;
	}
	return number_print_u64(magnitude, out);
}

uint8_t *number_print_padded(uint32_t value, unsigned digits, uint8_t *out)
{
	ASSERT(digits >= 1 && digits <= 9);
	put_digits(value, digits, out);
	return out + digits;
}

/* digits * 10^exponent */
struct decimal {
	uint64_t digits;
	int exponent;
};

/* A finite value that is not zero: significand * 2^exponent, and the gap below it is half as wide.
 */
struct binary {
	uint64_t significand;
	int exponent;
	bool narrow_below;
};

/* power * factor / 2^128 (double) or / 2^64 (float), odd when something was cut off. */
static uint64_t scale_double(const struct number_power *power, uint64_t factor)
{
	wide low = (wide)power->low * factor;
	wide high = (wide)power->high * factor + (uint64_t)(low >> 64);

	return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* One word of the power is enough for 24 bits. */
static uint64_t scale_float(const struct number_power *power, uint64_t factor)
{
	wide product = (wide)power->high * factor;

	return (uint64_t)(product >> 64) | ((uint32_t)((uint64_t)product >> 32) > 1);
}

/*
 * The shortest decimal between the neighbours, the nearest one of those (Giulietti, "The Schubfach
 * way to render doubles"): the three bounds are scaled by one power of ten, and at most two
 * candidates of each length are compared with them.
 */
static struct decimal shortest(
	const struct binary *v, const struct number_power *power, int k, const uint64_t bounds[3])
{
	bool odd = (v->significand & 1) != 0;
	uint64_t lower = bounds[0] + odd;
	uint64_t upper = bounds[2] - odd;
	uint64_t s = bounds[1] / 4;
	uint64_t middle = 4 * s + 2;
	bool below;
	bool above;

	ASSERT(power->high >> 63);
	if (s >= 10) {
		uint64_t tens = s / 10;

		below = lower <= 40 * tens;
		above = 40 * tens + 40 <= upper;
		if (below != above) {
			return (struct decimal){tens + above, k + 1};
		}
	}
	below = lower <= 4 * s;
	above = 4 * s + 4 <= upper;
	if (below != above) {
		return (struct decimal){s + above, k};
	}
	above = bounds[1] > middle || (bounds[1] == middle && (s & 1) != 0);
	return (struct decimal){s + above, k};
}

/* k is the exponent of the shortest candidates, shift makes the product exact to four units. */
static struct decimal to_decimal(const struct binary *v, bool is_float)
{
	/* floor(log10(2^exponent)), or of 3/4 of it where the gap below is narrow */
	int k = (v->exponent * 1262611 - (v->narrow_below ? 524031 : 0)) >> 22;
	int shift = v->exponent + number_power_log2(-k) + 1;
	struct number_power power = *number_power_of_ten(-k);
	uint64_t points[3] = {4 * v->significand - 2 + v->narrow_below, 4 * v->significand,
		4 * v->significand + 2};

	ASSERT(shift >= 1 && shift <= 4);
	/* The method wants the power rounded up. */
	if (is_float) {
		power.high += power.low != 0 || !number_power_is_exact(-k);
	} else if (!number_power_is_exact(-k)) {
		power.low++;
		power.high += power.low == 0;
	}
	for (int i = 0; i < 3; i++) {
		points[i] = is_float ? scale_float(&power, points[i] << shift)
				     : scale_double(&power, points[i] << shift);
	}
	return shortest(v, &power, k, points);
}

/* ECMAScript Number::toString (RFC 8785, 3.2.2.3). */
static uint8_t *lay_out(struct decimal d, uint8_t *out)
{
	uint8_t text[20];
	unsigned count;
	int point;

	while (d.digits % 10 == 0) {
		d.digits /= 10;
		d.exponent++;
	}
	count = count_digits(d.digits);
	point = (int)count + d.exponent;
	put_digits(d.digits, count, text);
	if (point > 0 && point <= 21) {
		unsigned whole = (unsigned)point < count ? (unsigned)point : count;

		memcpy(out, text, whole);
		out += whole;
		memset(out, '0', (unsigned)point - whole);
		out += (unsigned)point - whole;
		if (count > whole) {
			*out++ = '.';
			memcpy(out, text + whole, count - whole);
			out += count - whole;
		}
		return out;
	}
	if (point > -6 && point <= 0) {
		memcpy(out, "0.00000", 7);
		out += 2 - point;
		memcpy(out, text, count);
		return out + count;
	}
	*out++ = text[0];
	if (count > 1) {
		*out++ = '.';
		memcpy(out, text + 1, count - 1);
		out += count - 1;
	}
	*out++ = 'e';
	*out++ = point > 0 ? '+' : '-';
	return number_print_u64((uint64_t)(point > 0 ? point - 1 : 1 - point), out);
}

/* Small integers need no search. */
uint8_t *number_print_double(double value, uint8_t *out)
{
	struct binary v = {0};
	uint64_t bits;

	ASSERT(isfinite(value));
	memcpy(&bits, &value, sizeof(bits));
	if (bits >> 63) {
		*out++ = '-';
		bits &= UINT64_MAX >> 1;
	}
	if (bits == 0) {
		*out = '0';
		return out + 1;
	}
	v.significand = bits & (((uint64_t)1 << 52) - 1);
	v.exponent = (int)(bits >> 52);
	v.narrow_below = v.significand == 0 && v.exponent > 1;
	if (v.exponent > 0) {
		v.significand |= (uint64_t)1 << 52;
		v.exponent--;
	}
	v.exponent -= 1074;
	if (v.exponent <= 0 && v.exponent > -53 &&
		(v.significand & (((uint64_t)1 << -v.exponent) - 1)) == 0) {
		return lay_out((struct decimal){v.significand >> -v.exponent, 0}, out);
	}
	return lay_out(to_decimal(&v, false), out);
}

uint8_t *number_print_float(float value, uint8_t *out)
{
	struct binary v = {0};
	uint32_t bits;

	ASSERT(isfinite(value));
	memcpy(&bits, &value, sizeof(bits));
	if (bits >> 31) {
		*out++ = '-';
		bits &= UINT32_MAX >> 1;
	}
	if (bits == 0) {
		*out = '0';
		return out + 1;
	}
	v.significand = bits & 0x7fffff;
	v.exponent = (int)(bits >> 23);
	v.narrow_below = v.significand == 0 && v.exponent > 1;
	if (v.exponent > 0) {
		v.significand |= 0x800000;
		v.exponent--;
	}
	v.exponent -= 149;
	if (v.exponent <= 0 && v.exponent > -24 &&
		(v.significand & (((uint32_t)1 << -v.exponent) - 1)) == 0) {
		return lay_out((struct decimal){v.significand >> -v.exponent, 0}, out);
	}
	return lay_out(to_decimal(&v, true), out);
}
