/* command_help: what `pillion help` and --help print (operations.md CL-01): examples first, and 24
 * lines of 80 columns at most. */
#include "cli/command.h"

/* Two lines that can be copied, then one per verb. */
void command_help(void)
{
	size_t count;
	const struct command_row *rows = command_rows(&count);

	(void)fputs("pillion run --dev --name stock --port 9000 -- ./stock\n"
		    "pillion run --join 127.0.0.1:7440 --name shop --port 8080 -- ./shop\n"
		    "pillion call stock 'GET /items/1'; pillion services; pillion status\n"
		    "commands (`pillion help COMMAND` has the flags of one):\n"
		    "  run, proxy       a sidecar that starts its application, or one without it\n",
		stdout);
	for (size_t i = 0; i < count; i++) {
		(void)printf("  %-16s %s\n", rows[i].verb, rows[i].help);
	}
}

static void print_options(const struct command_option *options)
{
	for (size_t i = 0; options && options[i].name; i++) {
		(void)printf("  %-15s %-13s %s\n", options[i].name,
			options[i].value ? options[i].value : "", options[i].help);
	}
}

void command_help_verb(const struct command_row *row)
{
	(void)printf("pillion %s %s\n\nusage: pillion %s %s%s[FLAGS]\n%s\n", row->verb,
		row->example, row->verb, row->arguments, row->arguments[0] ? " " : "", row->help);
	print_options(row->options);
	(void)printf("flags of every command:\n");
	print_options(command_global_options());
}
