/* What a command prints goes into two files while it runs. */
#include "test_cli.h"

#define WORDS_MAX 16

static FILE *stream_of(int index)
{
	return index == 0 ? stdout : stderr;
}

void capture_begin(struct capture *capture)
{
	for (int i = 0; i < 2; i++) {
		(void)fflush(stream_of(i));
		capture->files[i] = tmpfile();
		assert_non_null(capture->files[i]);
		capture->saved[i] = dup(i + 1);
		assert_true(dup2(fileno(capture->files[i]), i + 1) == i + 1);
	}
}

void capture_end(struct capture *capture)
{
	char *texts[] = {capture->out, capture->err};

	for (int i = 0; i < 2; i++) {
		size_t got;

		(void)fflush(stream_of(i));
		assert_true(dup2(capture->saved[i], i + 1) == i + 1);
		close(capture->saved[i]);
		rewind(capture->files[i]);
		got = fread(texts[i], 1, TEST_OUTPUT_MAX - 1, capture->files[i]);
		texts[i][got] = '\0';
		(void)fclose(capture->files[i]);
	}
}

int capture_run(struct capture *capture, const char *const *words)
{
	struct cli_setup setup = {0};
	char *arguments[WORDS_MAX];
	int count = 0;
	int code;

	while (words[count + 1]) {
		assert_true(count < WORDS_MAX);
		arguments[count] = (char *)(uintptr_t)words[count + 1];
		count++;
	}
	capture_begin(capture);
	code = cli_main(&setup, words[0], count, arguments);
	capture_end(capture);
	return code;
}
