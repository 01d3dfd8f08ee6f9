/*
 * Three ways to a floating point value, each exact: one operation on two exact doubles (Clinger),
 * the product with a 128-bit power of ten and its error bounds (Lemire), and natural numbers of any
 * length where those bounds lie on both sides of a middle.
 */
#include "codec/number_parse.h"

#include <string.h>

#include "base/assert.h"
#include "codec/number_power.h"

#define DIGITS_KEPT  19		/* 10^19 - 1 < 2^64 */
#define EXPONENT_CAP 1000000000 /* larger ones change nothing: no text is that long */
/* Every double lies between two decimals of 767 digits; one more digit says on which side. */
#define DIGITS_EXACT 800
#define LIMBS_MAX    72 /* 800 digits, or 5^1200, with room for a shift */

typedef unsigned __int128 wide;

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Digits into number->digits; those that find no room count in the exponent. */
static const uint8_t *scan_digits(
	const uint8_t *p, const uint8_t *end, struct number_text *number, bool fraction)
{
	uint64_t digits = number->digits;
	const uint8_t *start = p;

	/* The usual short number: no digit can be lost. */
	while (p < end && is_digit(*p) && digits < 100000000000000000u) {
		digits = digits * 10 + (uint64_t)(*p++ - '0');
	}
	number->exponent -= fraction ? p - start : 0;
	for (; p < end && is_digit(*p); p++) {
		if (digits < 1000000000000000000u) {
			digits = digits * 10 + (uint64_t)(*p - '0');
			number->exponent -= fraction;
		} else {
			number->more = number->more || *p != '0';
			number->exponent += !fraction;
		}
	}
	number->digits = digits;
	return p;
}

/* Digits beyond the cap are read, so that the text stays linear, and ignored. */
static const uint8_t *scan_exponent(
	const uint8_t *p, const uint8_t *end, struct number_text *number)
{
	bool negative = p < end && *p == '-';
	int64_t exponent = 0;

	p += p < end && (*p == '-' || *p == '+');
	if (p == end || !is_digit(*p)) {
		return NULL;
	}
	for (; p < end && is_digit(*p); p++) {
		exponent = exponent < EXPONENT_CAP ? exponent * 10 + (*p - '0') : EXPONENT_CAP;
	}
	number->written = negative ? -exponent : exponent;
	number->exponent += number->written;
	return p;
}

/* A leading zero ends the integer; digits behind it are the caller's fault to find. */
const uint8_t *number_parse_scan(
	const uint8_t *p, const uint8_t *end, struct number_text *ret_number)
{
	struct number_text number = {.plain = true};

	ASSERT(p <= end);
	if (p < end && *p == '-') {
		number.negative = true;
		p++;
	}
	if (p == end || !is_digit(*p)) {
		return NULL;
	}
	number.start = p;
	if (*p == '0') {
		p++; /* no digit may follow: the caller sees it as what stands behind the number */
	} else {
		p = scan_digits(p, end, &number, false);
	}
	number.end = p;
	if (p < end && *p == '.') {
		const uint8_t *fraction = ++p;

		number.plain = false;
		p = scan_digits(p, end, &number, true);
		if (p == fraction) {
			return NULL;
		}
		number.end = p;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		number.plain = false;
		p = scan_exponent(p + 1, end, &number);
		if (!p) {
			return NULL;
		}
	}
	*ret_number = number;
	return p;
}

/* By the digits themselves: a double is never involved (JS-04). */
enum number_result number_parse_integer(const struct number_text *number, uint64_t *ret_magnitude)
{
	const uint8_t *dot = memchr(number->start, '.', (size_t)(number->end - number->start));
	const uint8_t *point = dot ? dot : number->end;
	/* Digits that stand in front of the decimal point once it has moved. */
	int64_t left = (point - number->start) + number->written;
	uint64_t value = 0;
	bool fraction = false;
	bool overflow = false;

	if (number->plain && !number->more && number->exponent == 0) {
		*ret_magnitude = number->digits;
		return NUMBER_OK;
	}
	for (const uint8_t *p = number->start; p < number->end; p++) {
		if (*p == '.') {
			continue;
		}
		if (left-- > 0) {
			overflow = overflow || __builtin_mul_overflow(value, 10, &value) ||
				   __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
		} else {
			fraction = fraction || *p != '0';
		}
	}
	while (left-- > 0 && value != 0 && !overflow) {
		overflow = __builtin_mul_overflow(value, 10, &value);
	}
	if (fraction || overflow) {
		return fraction ? NUMBER_FRACTION : NUMBER_RANGE;
	}
	*ret_magnitude = value;
	return NUMBER_OK;
}

/* A width of IEEE 754. */
struct format {
	int bits;	  /* of the significand, the hidden one too */
	int exponent_min; /* of the lowest bit of subnormals: 2^exponent_min */
	int exponent_max; /* the lowest bit of the greatest value */
};

static const struct format format_double = {53, -1074, 971};
static const struct format format_float = {24, -149, 104};

/* significand * 2^exponent, significand < 2^bits */
struct binary {
	uint64_t significand;
	int exponent;
};

enum rounding {
	ROUND_DOWN,
	ROUND_UP,
	ROUND_UNKNOWN,
};

/* What a remainder (of `shift` bits in rest, then the words) means against one half. */
static enum rounding round_rest(const uint64_t rest[3], int shift, bool exact, bool odd)
{
	uint64_t half = (uint64_t)1 << (shift - 1);

	if (rest[0] != half) {
		/* An inexact product may be up to two units of the middle word greater. */
		if (!exact && rest[0] == half - 1 && rest[1] >= UINT64_MAX - 1) {
			return ROUND_UNKNOWN;
		}
		return rest[0] > half ? ROUND_UP : ROUND_DOWN;
	}
	if (rest[1] != 0 || rest[2] != 0) {
		return ROUND_UP;
	}
	if (!exact) {
		return ROUND_UNKNOWN;
	}
	return odd ? ROUND_UP : ROUND_DOWN;
}

/*
 * digits * 10^exponent, rounded down to the format, and how to round it. After Lemire,
 * arXiv:2101.11408, but with the bounds of the product instead of a proof of exactness: the true
 * product lies less than two units of the middle word above the computed one.
 */
static enum rounding multiply(
	uint64_t digits, int exponent, const struct format *format, struct binary *ret_binary)
{
	const struct number_power *power = number_power_of_ten(exponent);
	int zeros = __builtin_clzll(digits);
	wide high = (wide)(digits << zeros) * power->high;
	wide low = (wide)(digits << zeros) * power->low;
	wide sum = high + (uint64_t)(low >> 64);
	uint64_t word[3] = {(uint64_t)(sum >> 64), (uint64_t)sum, (uint64_t)low};
	/* word[0] * 2^binary: 10^exponent is power * 2^(log2 - 127), and 128 bits are below
	 * word[0]. */
	int binary = number_power_log2(exponent) - 127 - zeros + 128;
	int shift = 64 - format->bits;

	ASSERT(digits != 0);
	if (word[0] >> 63 == 0) {
		word[0] = word[0] << 1 | word[1] >> 63;
		word[1] = word[1] << 1 | word[2] >> 63;
		word[2] <<= 1;
		binary--;
	}
	if (binary + shift < format->exponent_min) {
		shift = format->exponent_min - binary;
	}
	ret_binary->exponent = binary + shift;
	if (shift > 64) {
		ret_binary->significand = 0;
		return ROUND_DOWN;
	}
	ret_binary->significand = shift == 64 ? 0 : word[0] >> shift;
	if (shift < 64) {
		word[0] &= ((uint64_t)1 << shift) - 1;
	}
	return round_rest(
		word, shift, number_power_is_exact(exponent), (ret_binary->significand & 1) != 0);
}

/* A natural number for the rare case that 128 bits do not decide. Lowest limb first. */
struct natural {
	int count;
	uint64_t limbs[LIMBS_MAX];
};

/* n = n * factor + addend. */
static void natural_multiply(struct natural *n, uint64_t factor, uint64_t addend)
{
	wide carry = addend;

	for (int i = 0; i < n->count; i++) {
		carry += (wide)n->limbs[i] * factor;
		n->limbs[i] = (uint64_t)carry;
		carry >>= 64;
	}
	if (carry) {
		ASSERT(n->count < LIMBS_MAX);
		n->limbs[n->count++] = (uint64_t)carry;
	}
}

/* The factors of two are left to a shift. */
static void natural_multiply_five(struct natural *n, int64_t power)
{
	for (; power >= 27; power -= 27) {
		natural_multiply(n, 7450580596923828125u, 0); /* 5^27 */
	}
	for (; power > 0; power--) {
		natural_multiply(n, 5, 0);
	}
}

static void natural_shift(struct natural *n, int64_t bits)
{
	int words = (int)(bits / 64);

	natural_multiply(n, (uint64_t)1 << (bits % 64), 0);
	ASSERT(n->count + words <= LIMBS_MAX);
	memmove(n->limbs + words, n->limbs, (size_t)n->count * sizeof(n->limbs[0]));
	memset(n->limbs, 0, (size_t)words * sizeof(n->limbs[0]));
	n->count += words;
}

/* Counts are exact: no leading limb is zero. */
static int natural_compare(const struct natural *a, const struct natural *b)
{
	if (a->count != b->count) {
		return a->count < b->count ? -1 : 1;
	}
	for (int i = a->count - 1; i >= 0; i--) {
		if (a->limbs[i] != b->limbs[i]) {
			return a->limbs[i] < b->limbs[i] ? -1 : 1;
		}
	}
	return 0;
}

/* All digits of the text, at most DIGITS_EXACT and one that stands for the rest. */
static int64_t natural_read(struct natural *n, const struct number_text *number)
{
	int64_t exponent = number->written;
	bool fraction = false;
	bool rest = false;
	int kept = 0;

	n->count = 0;
	for (const uint8_t *p = number->start; p < number->end; p++) {
		if (*p == '.') {
			fraction = true;
		} else if (kept < DIGITS_EXACT) {
			natural_multiply(n, 10, (uint64_t)(*p - '0'));
			kept += n->count > 0;
			exponent -= fraction;
		} else {
			rest = rest || *p != '0';
			exponent += !fraction;
		}
	}
	if (rest) {
		natural_multiply(n, 10, 1);
		exponent--;
	}
	return exponent;
}

/* The text against the middle between low and its successor. */
static enum rounding round_exactly(const struct number_text *number, const struct binary *low)
{
	struct natural decimal;
	struct natural middle = {1, {low->significand * 2 + 1}};
	int64_t exponent = natural_read(&decimal, number);
	int64_t twos = exponent - (low->exponent - 1);
	int order;

	/*
	 * digits * 10^exponent against (2 * significand + 1) * 2^(low exponent - 1): the fives go
	 * to the side where they multiply, and the twos of both sides are one shift.
	 */
	if (exponent >= 0) {
		natural_multiply_five(&decimal, exponent);
	} else {
		natural_multiply_five(&middle, -exponent);
	}
	if (twos >= 0) {
		natural_shift(&decimal, twos);
	} else {
		natural_shift(&middle, -twos);
	}
	order = natural_compare(&decimal, &middle);
	if (order == 0) {
		return low->significand & 1 ? ROUND_UP : ROUND_DOWN;
	}
	return order > 0 ? ROUND_UP : ROUND_DOWN;
}

/* False: infinity. */
static bool to_binary(
	const struct number_text *number, const struct format *format, struct binary *ret_binary)
{
	enum rounding rounding;
	struct binary next;

	/* Below 2^64 * 10^-343 everything is zero; 1 * 10^309 is infinity. */
	if (number->digits == 0 || number->exponent < NUMBER_POWER_FIRST) {
		*ret_binary = (struct binary){0, format->exponent_min};
		return true;
	}
	if (number->exponent > 308) {
		return false;
	}
	rounding = multiply(number->digits, (int)number->exponent, format, ret_binary);
	if (number->more && rounding != ROUND_UNKNOWN) {
		/* The digits that were left out add less than one. */
		enum rounding above =
			multiply(number->digits + 1, (int)number->exponent, format, &next);
		uint64_t low_result = ret_binary->significand + (rounding == ROUND_UP);
		uint64_t high_result = next.significand + (above == ROUND_UP);

		if (above == ROUND_UNKNOWN || next.exponent != ret_binary->exponent ||
			low_result != high_result) {
			rounding = ROUND_UNKNOWN;
		}
	}
	if (rounding == ROUND_UNKNOWN) {
		rounding = round_exactly(number, ret_binary);
	}
	if (rounding == ROUND_UP && ++ret_binary->significand >> format->bits) {
		ret_binary->significand >>= 1;
		ret_binary->exponent++;
	}
	return ret_binary->exponent <= format->exponent_max;
}

/* Subnormals have an exponent field of zero and no hidden bit. */
bool number_parse_double(const struct number_text *number, double *ret_value)
{
	static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
		1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	uint64_t sign = (uint64_t)number->negative << 63;
	struct binary binary;
	uint64_t bits;
	double value;

	/* Both operands are exact, so one operation rounds once (Clinger). */
	if (!number->more && number->digits <= (uint64_t)1 << 53 && number->exponent >= -22 &&
		number->exponent <= 22) {
		value = (double)number->digits;
		value = number->exponent < 0 ? value / powers[-number->exponent]
					     : value * powers[number->exponent];
		*ret_value = number->negative ? -value : value;
		return true;
	}
	if (!to_binary(number, &format_double, &binary)) {
		return false;
	}
	bits = binary.significand;
	if (bits >> 52) {
		bits = (bits & (((uint64_t)1 << 52) - 1)) |
		       (uint64_t)(binary.exponent - format_double.exponent_min + 1) << 52;
	}
	bits |= sign;
	memcpy(ret_value, &bits, sizeof(bits));
	return true;
}

/* Never through double: that would round twice. */
bool number_parse_float(const struct number_text *number, float *ret_value)
{
	uint32_t sign = (uint32_t)number->negative << 31;
	struct binary binary;
	uint32_t bits;

	if (!to_binary(number, &format_float, &binary)) {
		return false;
	}
	bits = (uint32_t)binary.significand;
	if (bits >> 23) {
		bits = (bits & 0x7fffff) |
		       (uint32_t)(binary.exponent - format_float.exponent_min + 1) << 23;
	}
	bits |= sign;
	memcpy(ret_value, &bits, sizeof(bits));
	return true;
}
