/* command_table: lists of the admin interface for people and programs (operations.md CL-03). */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

/* Longer texts, such as large metadata, are cut in a table; json has them whole. */
#define CELL_MAX 256

/* One JSON value as text. Objects, such as metadata, are shown as JSON; what is absent is a dash,
 * so that columns stay countable. */
static void cell_text(const json_t *row, const struct column *column, char ret_text[CELL_MAX])
{
	const json_t *value = json_object_get(row, column->key);

	ret_text[0] = '\0';
	if (json_is_string(value)) {
		(void)snprintf(ret_text, CELL_MAX, "%s", json_string_value(value));
	} else if (json_is_integer(value)) {
		(void)snprintf(ret_text, CELL_MAX, "%lld", (long long)json_integer_value(value));
	} else if (json_is_real(value)) {
		(void)snprintf(ret_text, CELL_MAX, "%.3g", json_real_value(value));
	} else if (json_is_boolean(value)) {
		(void)snprintf(ret_text, CELL_MAX, "%s", json_is_true(value) ? "yes" : "no");
	} else if (value && !json_is_null(value)) {
		char *text = json_dumps(value, JSON_COMPACT);

		(void)snprintf(ret_text, CELL_MAX, "%s", text ? text : "");
		free(text);
	}
	/* Names and metadata are other people's bytes: nothing may drive the terminal. */
	for (char *letter = ret_text; *letter; letter++) {
		if ((unsigned char)*letter < 0x20 || *letter == 0x7f) {
			*letter = '?';
		}
	}
	if (!ret_text[0]) {
		(void)snprintf(ret_text, CELL_MAX, "-");
	}
}

/* CL-03: the last column is not padded, so no line ends in blanks. */
static void print_row(
	const char *const *cells, const size_t *widths, const struct column *columns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (columns[i].right) {
			(void)printf("%*s", (int)widths[i], cells[i]);
		} else if (i + 1 == count) {
			(void)printf("%s", cells[i]);
		} else {
			(void)printf("%-*s", (int)widths[i], cells[i]);
		}
		(void)printf(i + 1 < count ? "  " : "\n");
	}
}

/* Two passes: widths first, then the rows. No truncation, for output is piped more often than
 * looked at. */
static void print_table(const json_t *items, const struct column *columns, size_t count)
{
	size_t widths[16];
	const char *cells[16];
	char texts[16][CELL_MAX];
	size_t index;
	const json_t *row;

	count = count > ARRAY_SIZE(widths) ? ARRAY_SIZE(widths) : count;
	for (size_t i = 0; i < count; i++) {
		widths[i] = strlen(columns[i].title);
		cells[i] = columns[i].title;
	}
	json_array_foreach(items, index, row)
	{
		for (size_t i = 0; i < count; i++) {
			cell_text(row, &columns[i], texts[i]);
			widths[i] = strlen(texts[i]) > widths[i] ? strlen(texts[i]) : widths[i];
		}
	}
	print_row(cells, widths, columns, count);
	json_array_foreach(items, index, row)
	{
		for (size_t i = 0; i < count; i++) {
			cell_text(row, &columns[i], texts[i]);
			cells[i] = texts[i];
		}
		print_row(cells, widths, columns, count);
	}
}

/* CL-03: json is the body of the interface unchanged, jsonl one element a line; an empty list is a
 * header, [] or nothing, and no failure. */
int command_print_list(const struct command *command, const struct answer *answer,
	const struct column *columns, size_t count)
{
	json_t *json;
	const json_t *items;
	struct column shown[16];
	size_t used = 0;
	size_t index;
	const json_t *row;

	if (command->output == OUTPUT_JSON) {
		(void)printf("%.*s\n", (int)answer->body.size, (const char *)answer->body.data);
		return CLI_DONE;
	}
	json = json_loadb((const char *)answer->body.data, answer->body.size, 0, NULL);
	items = json_object_get(json, "items");
	/* The elements of `items`, so that a pipe can work on one at a time. */
	if (command->output == OUTPUT_JSONL) {
		json_array_foreach(items, index, row)
		{
			(void)json_dumpf(row, stdout, JSON_COMPACT);
			(void)putchar('\n');
		}
	} else {
		for (size_t i = 0; i < count && used < ARRAY_SIZE(shown); i++) {
			if (!columns[i].wide || command->output == OUTPUT_WIDE) {
				shown[used++] = columns[i];
			}
		}
		print_table(items, shown, used);
	}
	json_decref(json);
	return CLI_DONE;
}

/* Most verbs are this: one path, one list of columns. */
int command_list(
	struct command *command, const char *path, const struct column *columns, size_t count)
{
	struct answer answer;
	int code = command_ask(command, path, NULL, false, &answer);

	if (code == CLI_DONE) {
		code = answer.status == 200 ? command_print_list(command, &answer, columns, count)
					    : command_refused(command, &answer);
	}
	command_answer_fini(&answer);
	return code;
}
