/*
 * number_power: powers of ten with 128 bits, shared by reading and printing of floating point
 * (codec.md EN-06). Pure data.
 */
#ifndef PILLION_CODEC_NUMBER_POWER_H
#define PILLION_CODEC_NUMBER_POWER_H

#include <stdbool.h>
#include <stdint.h>

#define NUMBER_POWER_FIRST (-342)
#define NUMBER_POWER_LAST  326

/* The highest bit of `high` is set; rounded down. */
struct number_power {
	uint64_t high;
	uint64_t low;
};

extern const struct number_power number_powers[NUMBER_POWER_LAST - NUMBER_POWER_FIRST + 1];

static inline const struct number_power *number_power_of_ten(int exponent)
{
	return &number_powers[exponent - NUMBER_POWER_FIRST];
}

/* 5^55 is the last power of five below 2^128. */
static inline bool number_power_is_exact(int exponent)
{
	return exponent >= 0 && exponent <= 55;
}

/* floor(log2(10^e)) for |e| < 1650. */
static inline int number_power_log2(int exponent)
{
	return (exponent * 1741647) >> 19;
}

#endif
