/*
 * decimal: numbers as digits, for heads and log lines, where printf would cost more than the rest.
 * Any thread.
 */
#ifndef PILLION_BASE_DECIMAL_H
#define PILLION_BASE_DECIMAL_H

#include "base/slice.h"

/* Digits of the greatest number. */
#define DECIMAL_SIZE 20

/* Fills the end of `text`; the result is what it filled, without a terminator. */
static inline struct slice decimal_text(char text[DECIMAL_SIZE], uint64_t number)
{
	size_t at = DECIMAL_SIZE;

	do {
		text[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return slice_make(text + at, DECIMAL_SIZE - at);
}

#endif
