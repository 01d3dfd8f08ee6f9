/*
 * A string is scanned 16 bytes at a time for what ends a plain run. Most end within the first
 * block, so the text is copied as one block, too.
 */
#include "base/utf8.h"
#include "codec/json_string.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#ifdef __SSE2__
/* Bits of the 16 bytes at p that end a run of plain ASCII. */
static inline unsigned special_bits(const uint8_t *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
	__m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
	/* Signed: bytes from 0x80 on are negative and so below 0x20 too. */
	__m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), low));
}

const uint8_t *json_string_ascii(const uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		unsigned bits = special_bits(p);

		if (bits) {
			p += __builtin_ctz(bits);
			return p < end ? p : end;
		}
		p += 16;
	}
	return end;
}
#else
static inline bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

const uint8_t *json_string_ascii(const uint8_t *p, const uint8_t *end)
{
	const uint64_t ones = 0x0101010101010101u;
	const uint64_t tops = 0x8080808080808080u;

	/* Eight at a time: a borrow into a top bit marks bytes that need a closer look. */
	while (end - p >= 8) {
		uint64_t word = wire_load64(p);
		uint64_t quote = word ^ ones * '"';
		uint64_t slash = word ^ ones * '\\';
		uint64_t bits = (quote - ones) | (slash - ones) | (word - ones * 0x20) | word;

		if (bits & tops) {
			break;
		}
		p += 8;
	}
	while (p < end && is_plain(*p)) {
		p++;
	}
	return p;
}
#endif

static const uint8_t *unterminated(struct json_reader *r)
{
	return json_reader_fault(r, r->end, CODEC_FAULT_JSON_SYNTAX, "unterminated string", NULL);
}

/* UTF-8 is checked where a byte of 0x80 or more ends the plain run. */
const uint8_t *json_string_plain(struct json_reader *r, const uint8_t *p)
{
	for (;;) {
		p = json_string_ascii(p, r->end);
		if (p >= r->end) {
			return unterminated(r);
		}
		if (*p == '"' || *p == '\\') {
			return p;
		}
		if (*p < 0x20) {
			return json_reader_fault(
				r, p, CODEC_FAULT_JSON_SYNTAX, "control byte in a string", NULL);
		}
		/* A run of other characters, one by one. */
		do {
			unsigned size = *p < 0x80 ? 0 : utf8_sequence(p, r->end);

			if (size == 0) {
				if (*p < 0x80) {
					break;
				}
				return json_reader_fault(
					r, p, CODEC_FAULT_JSON_UTF8, "invalid UTF-8", NULL);
			}
			p += size;
		} while (p < r->end);
	}
}

static const uint8_t *bad_escape(struct json_reader *r, const uint8_t *p)
{
	return json_reader_fault(r, p, CODEC_FAULT_JSON_SYNTAX, "bad escape", NULL);
}

/* \uXXXX at p, which stands on the backslash; surrogates come in pairs (JS-02). */
static const uint8_t *read_unicode(struct json_reader *r, const uint8_t *p, uint8_t **out)
{
	int32_t high = utf8_hex_unit(p + 2, r->end);
	int32_t low;

	if (high < 0 || (high >= 0xdc00 && high <= 0xdfff)) {
		return bad_escape(r, p);
	}
	if (high < 0xd800 || high > 0xdbff) {
		*out = utf8_write((uint32_t)high, *out);
		return p + 6;
	}
	if (r->end - p < 12 || p[6] != '\\' || p[7] != 'u') {
		return bad_escape(r, p);
	}
	low = utf8_hex_unit(p + 8, r->end);
	if (low < 0xdc00 || low > 0xdfff) {
		return bad_escape(r, p);
	}
	*out = utf8_write(
		0x10000u + (uint32_t)(high - 0xd800) * 0x400u + (uint32_t)(low - 0xdc00), *out);
	return p + 12;
}

/* One escape, p on the backslash; at most four bytes are written. */
static const uint8_t *read_escape(struct json_reader *r, const uint8_t *p, uint8_t **out)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *found;

	ASSERT(*p == '\\');
	if (r->end - p < 2) {
		return unterminated(r);
	}
	if (p[1] == 'u') {
		return read_unicode(r, p, out);
	}
	found = p[1] ? strchr(from, p[1]) : NULL;
	if (!found) {
		return bad_escape(r, p);
	}
	*(*out)++ = (uint8_t)to[found - from];
	return p + 2;
}

/* The scratch is only used by text with escapes. */
const uint8_t *json_string_view(struct json_reader *r, const uint8_t *p, struct slice *ret_text)
{
	struct buf *text = &r->context->text;
	const uint8_t *q = json_string_plain(r, p);

	if (!q || *q == '"') {
		*ret_text = slice_make(p, q ? (size_t)(q - p) : 0);
		return q ? q + 1 : NULL;
	}
	buf_clear(text);
	for (;;) {
		uint8_t *out;

		buf_append(text, p, (size_t)(q - p));
		out = buf_reserve(text, 4 + CODEC_SLACK);
		if (*q == '"') {
			*ret_text = buf_slice(text);
			return q + 1;
		}
		p = read_escape(r, q, &out);
		if (!p) {
			return NULL;
		}
		text->size = (size_t)(out - text->data);
		q = json_string_plain(r, p);
		if (!q) {
			return NULL;
		}
	}
}

/* The rest of a string that has escapes, into the open region. */
static const uint8_t *put_escaped(struct json_reader *r, const uint8_t *p, const uint8_t *q)
{
	struct json_region region = json_reader_open(r);

	for (;;) {
		size_t size = (size_t)(q - p);

		if (!writer_room(&r->w, size)) {
			return json_reader_too_large(r, q);
		}
		memcpy(r->w.out, p, size);
		r->w.out += size;
		if (*q == '"') {
			json_reader_close(r, &region);
			return q + 1;
		}
		p = read_escape(r, q, &r->w.out);
		q = p ? json_string_plain(r, p) : NULL;
		if (!q) {
			return NULL;
		}
	}
}

/* The length is known before anything is written, unless there are escapes. */
const uint8_t *json_string_put(struct json_reader *r, const uint8_t *p)
{
	const uint8_t *q = json_string_plain(r, p);
	size_t size;

	if (!q) {
		return NULL;
	}
	if (*q == '\\') {
		return put_escaped(r, p, q);
	}
	size = (size_t)(q - p);
	if (size < 16) {
		/*
		 * Short ones as one block: both sides have that much to spare, and a copy of a
		 * fixed size is one load and one store.
		 */
		*r->w.out++ = (uint8_t)size;
		memcpy(r->w.out, p, 16);
		r->w.out += size;
		return q + 1;
	}
	if (!writer_room(&r->w, size)) {
		return json_reader_too_large(r, p);
	}
	r->w.out = wire_put_varint(r->w.out, size);
	memcpy(r->w.out, p, size);
	r->w.out += size;
	return q + 1;
}

const uint8_t *json_string_put_seen(struct json_reader *r, const uint8_t *p, struct slice *ret_text)
{
	size_t surplus = r->surplus;
	size_t start = writer_size(&r->w);
	const uint8_t *text;

	p = json_string_put(r, p);
	if (!p) {
		return NULL;
	}
	text = r->w.begin + start;
	/* A long length stands there whole, or as one byte that will be patched. */
	while (r->surplus == surplus && *text & 0x80) {
		text++;
	}
	text++;
	*ret_text = slice_make(text, (size_t)(r->w.out - text));
	return p;
}

/* Escapes are decoded, to find the broken ones. */
const uint8_t *json_string_skip(struct json_reader *r, const uint8_t *p)
{
	uint8_t ignored[8];

	for (;;) {
		uint8_t *out = ignored;

		p = json_string_plain(r, p);
		if (!p || *p == '"') {
			return p ? p + 1 : NULL;
		}
		p = read_escape(r, p, &out);
		if (!p) {
			return NULL;
		}
	}
}
