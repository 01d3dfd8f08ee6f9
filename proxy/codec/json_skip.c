/*
 * Values that nobody wants are still checked: the same text must not be right for one reader and
 * wrong for another, and broken UTF-8 must not travel on in a log.
 */
#include "codec/json_skip.h"

#include "codec/json_string.h"
#include "codec/number_parse.h"

static const uint8_t *syntax(struct json_reader *r, const uint8_t *p, const char *rule)
{
	if (p >= r->end) {
		return json_reader_fault(r, r->end, CODEC_FAULT_JSON_SYNTAX, "cut short", NULL);
	}
	return json_reader_fault(r, p, CODEC_FAULT_JSON_SYNTAX, rule, NULL);
}

/* Strings, numbers and literals. */
static const uint8_t *skip_scalar(struct json_reader *r, const uint8_t *p)
{
	struct number_text number;
	const uint8_t *q;

	if (p >= r->end) {
		return syntax(r, p, "");
	}
	switch (*p) {
	case '"':
		return json_string_skip(r, p + 1);
	case 't':
		q = JSON_LITERAL(r, p, "true");
		break;
	case 'f':
		q = JSON_LITERAL(r, p, "false");
		break;
	case 'n':
		q = JSON_LITERAL(r, p, "null");
		break;
	default:
		q = number_parse_scan(p, r->end, &number);
		break;
	}
	return q ? q : syntax(r, p, "expected a value");
}

/* Used wherever a member is passed over without looking at its name. */
const uint8_t *json_skip_key(struct json_reader *r, const uint8_t *p)
{
	if (!json_reader_is(r, p, '"')) {
		return syntax(r, p, "expected a name");
	}
	p = json_string_skip(r, p + 1);
	if (!p) {
		return NULL;
	}
	p = json_reader_space(r, p);
	if (!json_reader_is(r, p, ':')) {
		return syntax(r, p, "expected ':'");
	}
	return json_reader_space(r, p + 1);
}

/* Opens an object or array at p; *ret_empty when it closes at once. */
static const uint8_t *open_container(
	struct json_reader *r, const uint8_t *p, bool object, bool *ret_empty)
{
	p = json_reader_space(r, p + 1);
	*ret_empty = json_reader_is(r, p, object ? '}' : ']');
	if (*ret_empty) {
		return p + 1;
	}
	return object ? json_skip_key(r, p) : p;
}

/* Without recursion: one bit says what each open container is. */
const uint8_t *json_skip_value(struct json_reader *r, const uint8_t *p)
{
	uint8_t objects[CODEC_DEPTH_MAX];
	uint32_t depth = 0;

	ASSERT(r->depth_left <= CODEC_DEPTH_MAX);
	for (;;) {
		bool empty = true;

		if (json_reader_is(r, p, '{') || json_reader_is(r, p, '[')) {
			if (depth == r->depth_left) {
				return json_reader_fault(
					r, p, CODEC_FAULT_JSON_DEPTH, "nested too deep", NULL);
			}
			objects[depth++] = *p == '{';
			p = open_container(r, p, *p == '{', &empty);
			depth -= empty;
		} else {
			p = skip_scalar(r, p);
		}
		/* A value has ended: so may what holds it. */
		while (p && empty && depth > 0) {
			bool object = objects[depth - 1];

			p = json_reader_space(r, p);
			if (json_reader_is(r, p, ',')) {
				p = json_reader_space(r, p + 1);
				p = object ? json_skip_key(r, p) : p;
				break;
			}
			if (!json_reader_is(r, p, object ? '}' : ']')) {
				return syntax(r, p,
					object ? "expected ',' or '}'" : "expected ',' or ']'");
			}
			p++;
			depth--;
		}
		if (!p || (depth == 0 && empty)) {
			return p;
		}
	}
}
