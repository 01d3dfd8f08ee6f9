/*
 * nearest: optimal string alignment distance (insertions, deletions, substitutions, and swaps of
 * neighbours) over a bounded length.
 */
#include "config/nearest.h"

#include <ctype.h>

#include "base/assert.h"
#include "config/type.h"

/* Longer words are no misspelt keys. */
#define WORD_MAX 64

/* Letter case and "-" or "_" are no difference (CF-23). */
static uint8_t folded(uint8_t byte)
{
	return byte == '-' ? '_' : (uint8_t)tolower(byte);
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* Three rows suffice: a swap looks two rows back. */
static int distance(struct slice a, struct slice b)
{
	int rows[3][WORD_MAX + 1];

	ASSERT(a.size <= WORD_MAX && b.size <= WORD_MAX);
	for (size_t j = 0; j <= b.size; j++) {
		rows[0][j] = (int)j;
	}
	for (size_t i = 1; i <= a.size; i++) {
		int *row = rows[i % 3];
		const int *above = rows[(i - 1) % 3];
		const int *second = rows[(i + 1) % 3];

		row[0] = (int)i;
		for (size_t j = 1; j <= b.size; j++) {
			uint8_t left = folded(a.data[i - 1]);
			uint8_t right = folded(b.data[j - 1]);
			int best = above[j - 1] + (left == right ? 0 : 1);

			best = least(best, least(above[j], row[j - 1]) + 1);
			/* Two neighbours that changed places count once. */
			if (i > 1 && j > 1 && left == folded(b.data[j - 2]) &&
				folded(a.data[i - 2]) == right) {
				best = least(best, second[j - 2] + 1);
			}
			row[j] = best;
		}
	}
	return rows[a.size % 3][b.size];
}

/* Lengths that differ by more than the bound need no table. */
int config_nearest_distance(struct slice word, struct slice candidate)
{
	size_t longest = word.size > candidate.size ? word.size : candidate.size;
	size_t shortest = word.size + candidate.size - longest;
	int bound = (int)(word.size / 3 > 1 ? word.size / 3 : 1);

	if (word.size == 0 || longest > WORD_MAX || longest - shortest > (size_t)bound) {
		return -1;
	}

	int found = distance(word, candidate);

	return found <= bound ? found : -1;
}

/* The first of equals wins, so tables list the likelier one first. */
int config_nearest(struct slice word, const char *const *candidates, size_t count)
{
	int best = -1;
	int best_distance = 0;

	for (size_t i = 0; i < count; i++) {
		int found = config_nearest_distance(word, slice_from_string(candidates[i]));

		if (found >= 0 && (best < 0 || found < best_distance)) {
			best = (int)i;
			best_distance = found;
		}
	}
	ASSERT(best < 0 || (size_t)best < count);
	return best;
}

int config_nearest_word(struct slice word, const char *words)
{
	size_t count = config_type_word_count(words);
	int best = -1;
	int best_distance = 0;

	for (size_t i = 0; i < count; i++) {
		int found = config_nearest_distance(word, config_type_word_at(words, i));

		if (found >= 0 && (best < 0 || found < best_distance)) {
			best = (int)i;
			best_distance = found;
		}
	}
	return best;
}
