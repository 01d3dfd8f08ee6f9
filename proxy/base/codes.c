#include "base/codes.h"

#include "base/assert.h"

/* In the order of enum reason, which is made of the same list. */
static const struct reason_info codes_reasons[] = {
#define REASON(word, pil, http, grpc, outcome, stage, text, fix)                                   \
	{#word, pil, http, grpc, outcome, stage, text, fix},
#include "base/codes.def"
};

static const struct code_info codes_codes[] = {
#define CODE(pil, slug, severity, stage, cause, fix) {pil, #slug, severity, stage, cause, fix},
#include "base/codes.def"
};

_Static_assert(ARRAY_SIZE(codes_reasons) == REASON_COUNT, "one row for each reason");

const struct reason_info *reason_info(enum reason reason)
{
	ASSERT(reason < REASON_COUNT);
	return &codes_reasons[reason];
}

const char *reason_word(enum reason reason)
{
	return reason_info(reason)->word;
}

/* A walk over some hundred words: it happens once for a failed answer of a mesh peer. */
bool reason_from_word(struct slice word, enum reason *ret_reason)
{
	ASSERT(ret_reason != NULL);
	for (size_t i = 0; i < REASON_COUNT; i++) {
		if (slice_equal(word, slice_from_string(codes_reasons[i].word))) {
			*ret_reason = (enum reason)i;
			return true;
		}
	}
	return false;
}

/* A walk too: numbers are looked up for people only. */
const struct code_info *code_info(unsigned pil)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes_codes); i++) {
		if (codes_codes[i].pil == pil) {
			return &codes_codes[i];
		}
	}
	return NULL;
}

const struct reason_info *reason_info_by_pil(unsigned pil)
{
	/* Words without a number have 0, which is nobody's. */
	for (size_t i = 0; pil != 0 && i < REASON_COUNT; i++) {
		if (codes_reasons[i].pil == pil) {
			return &codes_reasons[i];
		}
	}
	return NULL;
}

const char *outcome_word(enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_NOT_PROCESSED:
		return "not-processed";
	case OUTCOME_UNKNOWN:
		return "unknown";
	case OUTCOME_PROCESSED:
		return "processed";
	case OUTCOME_BY_PROGRESS:
		break;
	}
	/* The table's own value is decided before anybody speaks of it (reasons.md RE-02). */
	ASSERT(outcome != OUTCOME_BY_PROGRESS);
	return "unknown";
}

const struct code_info *code_at(size_t index)
{
	return index < ARRAY_SIZE(codes_codes) ? &codes_codes[index] : NULL;
}
