/*
 * Dates by the days of a civil calendar whose year begins in March, so that the leap day is the
 * last one (Howard Hinnant's days_from_civil).
 */
#include "codec/time_text.h"

#include "base/assert.h"
#include "codec/number_print.h"

#define NANOS	    1000000000
#define DAY_SECONDS 86400

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; March begins the year. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	ASSERT(month >= 1 && month <= 12);
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static void date_of(int64_t days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	int64_t z = days + 719468;
	int64_t era = z / 146097; /* the years 1 to 9999 make it positive */
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153;

	ASSERT(z >= 0);
	*ret_day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
	*ret_month = (unsigned)(month < 10 ? month + 3 : month - 9);
	*ret_year = (unsigned)(year_of_era + era * 400 + (*ret_month <= 2));
}

static bool is_leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_in(unsigned year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

/* Exactly `count` digits at the front of *text. */
static bool take_digits(struct slice *text, unsigned count, unsigned *ret_value)
{
	unsigned value = 0;

	if (text->size < count) {
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		if (text->data[i] < '0' || text->data[i] > '9') {
			return false;
		}
		value = value * 10 + (unsigned)(text->data[i] - '0');
	}
	*text = slice_from(*text, count);
	*ret_value = value;
	return true;
}

/* Moves past one certain byte. */
static bool take_byte(struct slice *text, uint8_t byte)
{
	if (text->size == 0 || text->data[0] != byte) {
		return false;
	}
	*text = slice_from(*text, 1);
	return true;
}

/* ".1" to ".123456789", or nothing. */
static bool take_fraction(struct slice *text, int32_t *ret_nanos)
{
	int32_t unit = NANOS / 10;
	int32_t nanos = 0;

	*ret_nanos = 0;
	if (!take_byte(text, '.')) {
		return true;
	}
	if (text->size == 0 || text->data[0] < '0' || text->data[0] > '9') {
		return false;
	}
	while (text->size > 0 && text->data[0] >= '0' && text->data[0] <= '9') {
		if (unit == 0) {
			return false;
		}
		nanos += (text->data[0] - '0') * unit;
		unit /= 10;
		*text = slice_from(*text, 1);
	}
	*ret_nanos = nanos;
	return true;
}

/* "Z" or "+HH:MM" to the end. */
static bool take_offset(struct slice *text, int64_t *ret_seconds)
{
	int sign = 1;
	unsigned hours;
	unsigned minutes;

	*ret_seconds = 0;
	if (take_byte(text, 'Z')) {
		return text->size == 0;
	}
	if (!take_byte(text, '+')) {
		sign = -1;
		if (!take_byte(text, '-')) {
			return false;
		}
	}
	if (!take_digits(text, 2, &hours) || !take_byte(text, ':') ||
		!take_digits(text, 2, &minutes) || hours > 23 || minutes > 59) {
		return false;
	}
	*ret_seconds = sign * (int64_t)(hours * 3600 + minutes * 60);
	return text->size == 0;
}

/* Fixed widths, so every byte has one meaning (WK-01). */
bool time_text_read_timestamp(struct slice text, struct time_text *ret_time)
{
	unsigned year, month, day, hour, minute, second;
	struct time_text time;
	int64_t offset;

	if (!take_digits(&text, 4, &year) || !take_byte(&text, '-') ||
		!take_digits(&text, 2, &month) || !take_byte(&text, '-') ||
		!take_digits(&text, 2, &day) || !take_byte(&text, 'T') ||
		!take_digits(&text, 2, &hour) || !take_byte(&text, ':') ||
		!take_digits(&text, 2, &minute) || !take_byte(&text, ':') ||
		!take_digits(&text, 2, &second) || !take_fraction(&text, &time.nanos) ||
		!take_offset(&text, &offset)) {
		return false;
	}
	if (month < 1 || month > 12 || day < 1 || day > days_in(year, month) || hour > 23 ||
		minute > 59 || second > 59) {
		return false;
	}
	time.seconds = days_of(year, month, day) * DAY_SECONDS +
		       (int64_t)(hour * 3600 + minute * 60 + second) - offset;
	*ret_time = time;
	/* The range holds after the offset. */
	return time_text_is_timestamp(&time);
}

/* The sign belongs to seconds and nanos alike. */
bool time_text_read_duration(struct slice text, struct time_text *ret_time)
{
	bool negative = take_byte(&text, '-');
	struct time_text time = {0, 0};
	size_t digits = 0;

	for (; text.size > 0 && text.data[0] >= '0' && text.data[0] <= '9'; digits++) {
		time.seconds = time.seconds * 10 + (text.data[0] - '0');
		if (time.seconds > TIME_TEXT_DURATION_MAX) {
			return false;
		}
		text = slice_from(text, 1);
	}
	if (digits == 0 || !take_fraction(&text, &time.nanos) || !take_byte(&text, 's') ||
		text.size > 0) {
		return false;
	}
	if (negative) {
		time.seconds = -time.seconds;
		time.nanos = -time.nanos;
	}
	*ret_time = time;
	return time_text_is_duration(&time);
}

bool time_text_is_timestamp(const struct time_text *time)
{
	return time->seconds >= TIME_TEXT_SECONDS_MIN && time->seconds <= TIME_TEXT_SECONDS_MAX &&
	       time->nanos >= 0 && time->nanos < NANOS;
}

/* The bound holds for the whole, and the signs agree. */
bool time_text_is_duration(const struct time_text *time)
{
	if (time->seconds < -TIME_TEXT_DURATION_MAX || time->seconds > TIME_TEXT_DURATION_MAX ||
		time->nanos <= -NANOS || time->nanos >= NANOS) {
		return false;
	}
	if ((time->seconds == TIME_TEXT_DURATION_MAX && time->nanos > 0) ||
		(time->seconds == -TIME_TEXT_DURATION_MAX && time->nanos < 0)) {
		return false;
	}
	return (time->seconds <= 0 || time->nanos >= 0) && (time->seconds >= 0 || time->nanos <= 0);
}

/* 0, 3, 6 or 9 digits. */
static uint8_t *write_fraction(uint32_t nanos, uint8_t *out)
{
	if (nanos == 0) {
		return out;
	}
	*out++ = '.';
	if (nanos % 1000000 == 0) {
		return number_print_padded(nanos / 1000000, 3, out);
	}
	if (nanos % 1000 == 0) {
		return number_print_padded(nanos / 1000, 6, out);
	}
	return number_print_padded(nanos, 9, out);
}

uint8_t *time_text_write_timestamp(const struct time_text *time, uint8_t *out)
{
	int64_t days = time->seconds / DAY_SECONDS;
	int64_t rest = time->seconds % DAY_SECONDS;
	unsigned year, month, day;

	ASSERT(time_text_is_timestamp(time));
	if (rest < 0) {
		rest += DAY_SECONDS;
		days--;
	}
	date_of(days, &year, &month, &day);
	out = number_print_padded(year, 4, out);
	*out++ = '-';
	out = number_print_padded(month, 2, out);
	*out++ = '-';
	out = number_print_padded(day, 2, out);
	*out++ = 'T';
	out = number_print_padded((uint32_t)(rest / 3600), 2, out);
	*out++ = ':';
	out = number_print_padded((uint32_t)(rest / 60 % 60), 2, out);
	*out++ = ':';
	out = number_print_padded((uint32_t)(rest % 60), 2, out);
	out = write_fraction((uint32_t)time->nanos, out);
	*out++ = 'Z';
	return out;
}

uint8_t *time_text_write_duration(const struct time_text *time, uint8_t *out)
{
	bool negative = time->seconds < 0 || time->nanos < 0;

	ASSERT(time_text_is_duration(time));
	if (negative) {
		*out++ = '-';
	}
	out = number_print_u64((uint64_t)(negative ? -time->seconds : time->seconds), out);
	out = write_fraction((uint32_t)(negative ? -time->nanos : time->nanos), out);
	*out++ = 's';
	return out;
}
