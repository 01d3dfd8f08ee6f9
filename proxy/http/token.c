#include "http/token.h"

#include "base/assert.h"

struct token_row {
	struct slice name;
	struct slice spelling;
};

static const struct token_row token_rows[TOKEN_COUNT] = {
	[TOKEN_NONE] = {{NULL, 0}, {NULL, 0}},
#define TOKEN(id, name, spelling)                                                                  \
	[TOKEN_##id] = {{(const uint8_t *)(name), sizeof(name) - 1},                               \
		{(const uint8_t *)(spelling), sizeof(spelling) - 1}},
#include "http/tokens.def"
#undef TOKEN
};

/*
 * One byte per token, mixed from length, first, middle and last letter. Looking it up in this
 * little array costs two or three vector compares inside memchr; the few collisions are told apart
 * by the bytes. The compiler fills it from the one list, so there is no table that could grow
 * stale.
 */
#define TOKEN_HASH(text, size)                                                                     \
	((uint8_t)((size)*7U + (unsigned)(text)[0] * 31U + (unsigned)(text)[(size) / 2] * 5U +     \
		   (unsigned)(text)[(size)-1] * 17U))

static const uint8_t token_hashes[TOKEN_COUNT] = {
	[TOKEN_NONE] = 0,
#define TOKEN(id, name, spelling) [TOKEN_##id] = TOKEN_HASH(name, sizeof(name) - 1),
#include "http/tokens.def"
#undef TOKEN
};

_Static_assert(TOKEN_COUNT <= UINT16_MAX, "a field keeps its token in 16 bits");

enum token token_find(struct slice name)
{
	size_t from = TOKEN_NONE + 1;
	uint8_t hash;

	if (name.size == 0) {
		return TOKEN_NONE;
	}
	hash = TOKEN_HASH(name.data, name.size);
	while (from < TOKEN_COUNT) {
		const uint8_t *place = memchr(token_hashes + from, hash, TOKEN_COUNT - from);
		size_t index;

		if (place == NULL) {
			return TOKEN_NONE;
		}
		index = (size_t)(place - token_hashes);
		if (slice_equal(token_rows[index].name, name)) {
			return (enum token)index;
		}
		from = index + 1;
	}
	return TOKEN_NONE;
}

struct slice token_name(enum token token)
{
	ASSERT(token > TOKEN_NONE && token < TOKEN_COUNT);
	return token_rows[token].name;
}

struct slice token_spelling(enum token token)
{
	ASSERT(token > TOKEN_NONE && token < TOKEN_COUNT);
	return token_rows[token].spelling;
}

bool token_guarded_name(struct slice lower_case_name)
{
	/* http.md F-05: whole names, then families by prefix. */
	static const struct slice names[] = {
		SLICE("content-length"),
		SLICE("transfer-encoding"),
		SLICE("host"),
		SLICE("connection"),
		SLICE("te"),
		SLICE("upgrade"),
		SLICE("trailer"),
		SLICE("authorization"),
		SLICE("cookie"),
		SLICE("via"),
		SLICE("forwarded"),
		SLICE("x-real-ip"),
		SLICE("x-request-id"),
	};
	static const struct slice prefixes[] = {
		SLICE("x-forwarded-"),
		SLICE("x-pillion-"),
		SLICE("grpc-"),
		SLICE("micro-"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (slice_equal(names[i], lower_case_name)) {
			return true;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (slice_starts_with(lower_case_name, prefixes[i])) {
			return true;
		}
	}
	return false;
}
