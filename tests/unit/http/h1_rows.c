#include "h1_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "h1_peer.h"

enum { H1_ROW_COLUMNS = 5 };

bool h1_row_has(const struct h1_row *row, const char *flag)
{
	return strstr(row->flags, flag) != NULL;
}

static void rows_check_line(char *text, unsigned line, void (*check)(const struct h1_row *row))
{
	char *columns[H1_ROW_COLUMNS] = {0};
	struct h1_row row = {.line = line};
	struct buf input;
	struct buf verdict;

	for (int i = 0; i < H1_ROW_COLUMNS; i++) {
		columns[i] = strsep(&text, "\t");
	}
	ASSERT(columns[3] != NULL);
	buf_init(&input);
	buf_init(&verdict);
	snprintf(row.id, sizeof(row.id), "%s", columns[0]);
	snprintf(row.flags, sizeof(row.flags), "%s", columns[1]);
	h1_peer_unescape(columns[2], strlen(columns[2]), &input);
	h1_peer_unescape(columns[3], strlen(columns[3]), &verdict);
	/* Terminated, so that a failure can be printed. */
	(void)buf_string(&verdict);
	row.input = buf_slice(&input);
	row.verdict = buf_slice(&verdict);
	check(&row);
	buf_fini(&input);
	buf_fini(&verdict);
}

unsigned h1_rows_each(const char *path, void (*check)(const struct h1_row *row))
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t capacity = 0;
	unsigned line = 0;
	unsigned rows = 0;
	ssize_t size;

	ASSERT(file != NULL);
	while ((size = getline(&text, &capacity, file)) > 0) {
		line++;
		if (text[size - 1] == '\n') {
			text[size - 1] = 0;
		}
		if (text[0] != '#' && text[0] != 0) {
			rows_check_line(text, line, check);
			rows++;
		}
	}
	free(text);
	fclose(file);
	return rows;
}
