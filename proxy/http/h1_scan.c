#include "http/h1_scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/assert.h"

/* How often a head that stays incomplete is tried for its limits. */
#define H1_SCAN_TRY_STEP (8 * 1024)

/* clang-format off */
const uint8_t h1_scan_lower[256] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, '!', 0, '#', '$', '%', '&', '\'', 0, 0, '*', '+', 0, '-', '.', 0,
	'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 0, 0, 0, 0, 0, 0,
	0, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
	'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 0, 0, 0, '^', '_',
	'`', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
	'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 0, '|', 0, '~', 0,
};
/* clang-format on */

#ifdef __SSE2__
const uint8_t *h1_scan_control(const uint8_t *at, const uint8_t *end)
{
	const __m128i highest = _mm_set1_epi8(0x1F);
	const __m128i tab = _mm_set1_epi8('\t');
	const __m128i del = _mm_set1_epi8(0x7F);

	for (; end - at >= 16; at += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
		__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, highest), bytes);
		__m128i hit = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low),
			_mm_cmpeq_epi8(bytes, del));
		int mask = _mm_movemask_epi8(hit);

		if (mask != 0) {
			return at + __builtin_ctz((unsigned)mask);
		}
	}
	while (at < end && (*at >= 0x20 ? *at != 0x7F : *at == '\t')) {
		at++;
	}
	return at;
}

const uint8_t *h1_scan_invisible(const uint8_t *at, const uint8_t *end)
{
	const __m128i lowest = _mm_set1_epi8(0x21);
	const __m128i highest = _mm_set1_epi8(0x7E);

	for (; end - at >= 16; at += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
		__m128i inside = _mm_and_si128(_mm_cmpeq_epi8(_mm_max_epu8(bytes, lowest), bytes),
			_mm_cmpeq_epi8(_mm_min_epu8(bytes, highest), bytes));
		int mask = _mm_movemask_epi8(inside) ^ 0xFFFF;

		if (mask != 0) {
			return at + __builtin_ctz((unsigned)mask);
		}
	}
	while (at<end && * at> 0x20 && *at < 0x7F) {
		at++;
	}
	return at;
}
#else
const uint8_t *h1_scan_control(const uint8_t *at, const uint8_t *end)
{
	while (at < end && (*at >= 0x20 ? *at != 0x7F : *at == '\t')) {
		at++;
	}
	return at;
}

const uint8_t *h1_scan_invisible(const uint8_t *at, const uint8_t *end)
{
	while (at<end && * at> 0x20 && *at < 0x7F) {
		at++;
	}
	return at;
}
#endif

void h1_scan_init(struct h1_scan *scan)
{
	*scan = (struct h1_scan){.try_at = H1_SCAN_TRY_STEP + 1};
}

bool h1_scan_bytes(struct h1_scan *scan, struct slice new_bytes)
{
	struct slice rest = new_bytes;
	bool decided = false;

	while (rest.size > 0) {
		size_t place = slice_find(rest, '\n');
		uint8_t before = place > 0 ? rest.data[place - 1] : scan->last;
		size_t line = scan->line + place;

		if (place == rest.size) {
			scan->line = line;
			break;
		}
		/* A bare LF, or an empty line: CR alone before LF. */
		if (before != '\r' || line <= 1) {
			decided = true;
		}
		scan->line = 0;
		scan->last = '\n';
		rest = slice_from(rest, place + 1);
	}
	if (new_bytes.size > 0) {
		scan->last = new_bytes.data[new_bytes.size - 1];
	}
	scan->seen += new_bytes.size;
	if (scan->seen >= scan->try_at) {
		scan->try_at = scan->seen + H1_SCAN_TRY_STEP;
		decided = true;
	}
	ASSERT(scan->seen < scan->try_at);
	return decided;
}
