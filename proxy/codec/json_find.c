/*
 * Error bodies have no schema, and the few members that are looked for stand near the top, so
 * looking through the text again for each is cheaper than keeping anything.
 */
#include "codec/json_find.h"

#include "codec/json_skip.h"
#include "codec/json_string.h"
#include "codec/number_parse.h"

/* No output: this reader only looks. */
void json_find_init(struct json_reader *r, struct codec_context *context,
	const struct codec_options *options, struct slice json)
{
	*r = (struct json_reader){
		.begin = json.data,
		.end = json.data + json.size,
		.context = context,
		.options = options,
		.depth_left = options->max_depth,
	};
	fault_path_init(&r->path);
}

/* Error bodies that are no JSON are shown as text instead. */
bool json_find_valid(struct json_reader *r)
{
	const uint8_t *p = json_skip_value(r, json_reader_space(r, r->begin));

	return p && json_reader_space(r, p) == r->end;
}

/* The first one of that name; error bodies are small. */
const uint8_t *json_find_member(struct json_reader *r, const uint8_t *object, struct slice name)
{
	const uint8_t *p = object;

	ASSERT(p >= r->begin && p <= r->end);
	if (!json_reader_is(r, p, '{')) {
		return NULL;
	}
	p = json_reader_space(r, p + 1);
	while (json_reader_is(r, p, '"')) {
		const uint8_t *value = json_skip_key(r, p);
		struct slice key;

		if (!value || !json_string_view(r, p + 1, &key)) {
			return NULL;
		}
		if (slice_equal(key, name)) {
			return value;
		}
		p = json_skip_value(r, value);
		if (!p) {
			return NULL;
		}
		p = json_reader_space(r, p);
		if (!json_reader_is(r, p, ',')) {
			return NULL;
		}
		p = json_reader_space(r, p + 1);
	}
	return NULL;
}

bool json_find_string(struct json_reader *r, const uint8_t *value, struct buf *ret_text)
{
	struct slice text;

	if (!json_reader_is(r, value, '"') || !json_string_view(r, value + 1, &text)) {
		return false;
	}
	buf_append_slice(ret_text, text);
	return true;
}

bool json_find_integer(struct json_reader *r, const uint8_t *value, unsigned *ret_number)
{
	struct number_text number;
	uint64_t magnitude;

	if (!number_parse_scan(value, r->end, &number) || number.negative ||
		number_parse_integer(&number, &magnitude) != NUMBER_OK || magnitude > 999999) {
		return false;
	}
	*ret_number = (unsigned)magnitude;
	return true;
}
