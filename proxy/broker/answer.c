/*
 * The table is data, so that the test can hold it against the text of the rule status by status.
 */
#include "broker/answer.h"

#include <time.h>

#define RETRY_AFTER_MAX_S 3600

struct answer_row {
	unsigned first, last;
	enum frame_result class;
};

/* The first row that holds decides; single statuses stand before their hundred. */
static const struct answer_row rows[] = {
	{200, 299, RESULT_ACK}, /* A1, also 202 */
	{408, 409, RESULT_APP},
	{423, 425, RESULT_APP}, /* A4 */
	{429, 429, RESULT_BUSY},
	{503, 503, RESULT_BUSY}, /* A5 */
	{401, 401, RESULT_ENDPOINT},
	{403, 405, RESULT_ENDPOINT},
	{407, 407, RESULT_ENDPOINT},
	{410, 410, RESULT_ENDPOINT},
	{421, 421, RESULT_ENDPOINT},
	{300, 399, RESULT_ENDPOINT}, /* A7 */
	{501, 501, RESULT_DEAD},
	{505, 505, RESULT_DEAD},
	{400, 499, RESULT_DEAD}, /* A6 */
	{500, 599, RESULT_APP},
};

enum frame_result answer_classify(unsigned status)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (status >= rows[i].first && status <= rows[i].last) {
			return rows[i].class;
		}
	}
	return RESULT_APP;
}

enum frame_result answer_adjust(enum frame_result class, unsigned status, bool worked)
{
	ASSERT(class > 0 && class < RESULT_KINDS);
	if (class == RESULT_ENDPOINT && worked && (status == 404 || status == 405)) {
		return RESULT_DEAD;
	}
	return class;
}

/* RFC 9110 10.2.3 allows seconds or a date. A date in the past, or text that is neither,
 * asks for nothing; the member's own back-off is used then. */
uint32_t answer_retry_after_ms(struct slice value, uint64_t wall_ms)
{
	struct tm parts = {.tm_sec = 0};
	char text[40];
	uint64_t seconds;
	time_t date;

	value = slice_trim(value);
	if (slice_parse_u64(value, UINT32_MAX, &seconds)) {
		return (uint32_t)(seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
	}
	if (value.size == 0 || value.size >= sizeof text) {
		return 0;
	}
	memcpy(text, value.data, value.size);
	text[value.size] = '\0';
	if (!strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts)) {
		return 0;
	}
	date = timegm(&parts);
	if (date <= 0 || (uint64_t)date * 1000 <= wall_ms) {
		return 0;
	}
	seconds = (uint64_t)date - wall_ms / 1000;
	return (uint32_t)(seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
}
