#include <stdio.h>
#include <stdlib.h>

#include "../base/test_main.h"
#include "h1_peer.h"
#include "h1_rows.h"

/* What one feeding showed, as the verdict column has it. */
static void server_verdict(struct h1_peer *peer, struct buf *ret_text)
{
	struct buf output;
	const char *text;
	const char *reason;

	buf_init(&output);
	text = h1_peer_output(peer, &output);
	reason = strstr(text, "\"reason\":\"");
	buf_append_string(ret_text, h1_peer_log(peer));
	if (reason != NULL) {
		const char *line = reason;
		const char *word = reason + strlen("\"reason\":\"");

		while (line > text && strncmp(line, "HTTP/1.1 ", 9) != 0) {
			line--;
		}
		buf_appendf(ret_text, "%s!%.3s %.*s", ret_text->size > 0 ? " " : "", line + 9,
			(int)strcspn(word, "\""), word);
		/* RE-08, H1-39 */
		assert_true(peer->codec->closing);
		assert_non_null(strstr(line, "Connection: close\r\n"));
		assert_string_equal(
			reason_word(peer->codec->close_reason), reason_word(peer->codec->detail));
		assert_true(peer->codec->refused_size > 0);
	} else if (peer->codec->closing) {
		buf_append_string(ret_text, ret_text->size > 0 ? " closed" : "silent");
	} else if (peer->codec->in.size > 0) {
		buf_append_string(ret_text, ret_text->size > 0 ? " ~" : "~");
	}
	buf_fini(&output);
}

/* All wrong rows are shown, not the first alone. */
static unsigned server_failures;

static void server_check(const struct h1_row *row, size_t piece, size_t split, const char *prefix)
{
	struct h1_peer peer;
	struct buf verdict;
	struct buf expected;
	size_t place = 0;

	h1_peer_init(&peer, false);
	buf_init(&verdict);
	buf_init(&expected);
	while (place < row->input.size) {
		size_t size = row->input.size - place;

		size = place < split && size > split - place ? split - place : size;
		size = piece > 0 && size > piece ? piece : size;
		h1_peer_feed(&peer, row->input.data + place, size);
		place += size;
	}
	if (h1_row_has(row, "eof")) {
		h1_peer_eof(&peer, 0);
	}
	server_verdict(&peer, &verdict);
	buf_append_string(&expected, prefix);
	if (prefix[0] != 0) {
		buf_append_string(&expected,
			row->verdict.data[0] == '!' || row->verdict.data[0] == '~' ? " " : " | ");
	}
	buf_append_slice(&expected, row->verdict);
	if (prefix[0] != 0 && slice_equal(row->verdict, SLICE("silent"))) {
		expected.size = strlen(prefix);
		buf_append_string(&expected, " closed");
	}
	if (strcmp(buf_string(&verdict), buf_string(&expected)) != 0) {
		print_error("line %u %s piece %zu split %zu:\n got: %.300s\nwant: %.300s\n",
			row->line, row->id, piece, split, buf_string(&verdict),
			buf_string(&expected));
		server_failures++;
	}
	buf_fini(&verdict);
	buf_fini(&expected);
	h1_peer_fini(&peer);
}

/* Whole, byte by byte, split at every position, and behind another request. */
static void server_check_row(const struct h1_row *row)
{
	static const char first[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	bool huge = h1_row_has(row, "huge");
	struct h1_row second = *row;
	struct buf both;

	unsigned failed = server_failures;

	server_check(row, 0, 0, "");
	server_check(row, huge ? 7 : 1, 0, "");
	for (size_t split = 1; split < row->input.size; split++) {
		if (huge || h1_row_has(row, "long") || row->input.size > 2000) {
			split += row->input.size / 16;
		}
		server_check(row, 0, split, "");
		if (server_failures != failed) {
			return;
		}
	}
	buf_init(&both);
	buf_append_string(&both, first);
	buf_append_slice(&both, row->input);
	second.input = buf_slice(&both);
	server_check(&second, 0, 0, "GET / @a none");
	server_check(&second, 0, sizeof(first) + 2, "GET / @a none");
	buf_fini(&both);
}

static void test_rows(void **state)
{
	(void)state;
	assert_true(h1_rows_each(TEST_DATA "/h1.tsv", server_check_row) > 300);
	assert_int_equal(server_failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
