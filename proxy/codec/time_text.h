/*
 * time_text: the JSON forms of google.protobuf.Timestamp and Duration (codec.md 5, WK-01). Pure.
 */
#ifndef PILLION_CODEC_TIME_TEXT_H
#define PILLION_CODEC_TIME_TEXT_H

#include <stdbool.h>

#include "base/slice.h"

#define TIME_TEXT_MAX	       40 /* bytes that a writer may write */
#define TIME_TEXT_SECONDS_MIN  (-62135596800)
#define TIME_TEXT_SECONDS_MAX  253402300799
#define TIME_TEXT_DURATION_MAX 315576000000

struct time_text {
	int64_t seconds;
	int32_t nanos;
};

bool time_text_read_timestamp(struct slice text, struct time_text *ret_time);
bool time_text_read_duration(struct slice text, struct time_text *ret_time);
/* Whether the values may be written. */
bool time_text_is_timestamp(const struct time_text *time);
bool time_text_is_duration(const struct time_text *time);
/* Without quotes; 0, 3, 6 or 9 digits of fraction. Returns the end. */
uint8_t *time_text_write_timestamp(const struct time_text *time, uint8_t *out);
uint8_t *time_text_write_duration(const struct time_text *time, uint8_t *out);

#endif
