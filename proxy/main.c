/*
 * main: picks the daemon or a command-line verb, and introduces the rooms to each other: filters to
 * the configuration, the admin interface to control. Nothing else.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "control/control.h"
#include "control/launch.h"
#include "control/parent.h"
#include "filters/filters.h"

#define EXIT_USAGE  2
#define PLUGINS_MAX 32

/* The proxy process, after the fork: here the rooms are put together. The admin interface lives on
 * this stack frame, which ends with the process. */
static int proxy_main(
	const struct launch *launch, const struct parent_identity *identity, int channel)
{
	struct control_plugin admin = admin_plugin();
	struct control_setup setup = {.admin = &admin};

	setup.filters = filters_all(&setup.filter_count);
	return control_main(&setup, launch, identity, channel);
}

/* run and proxy. Everything that can be wrong with the command line is said before the first fork,
 * with exit code 2 (CL-04). */
static int run_daemon(const char *verb, int count, char **arguments)
{
	struct launch launch;
	struct err err;
	struct buf text;
	int code;

	err_clear(&err);
	if (launch_parse(&launch, verb, count, arguments, &err) < 0) {
		(void)fprintf(stderr, "pillion %s: %s\n", verb, err.text);
		launch_fini(&launch);
		return EXIT_USAGE;
	}
	if (launch.help) {
		buf_init(&text);
		launch_help(&launch, verb, &text);
		(void)fputs(buf_string(&text), stdout);
		buf_fini(&text);
		code = 0;
	} else {
		code = parent_main(&launch, proxy_main);
	}
	launch_fini(&launch);
	return code;
}

/* CL-02: whoever reads has seen enough. */
static void end_quietly(int signal_number)
{
	(void)signal_number;
	_exit(0);
}

/* What could not be printed is not done: a full disk under `pillion services > file`. */
static int run_command(const struct cli_setup *setup, const char *verb, int count, char **arguments)
{
	int code;

	(void)signal(SIGPIPE, end_quietly);
	code = cli_main(setup, verb, count, arguments);
	errno = 0;
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == CLI_DONE) {
		(void)fprintf(stderr, "pillion %s: standard output cannot be written%s%s\n", verb,
			errno ? ": " : "", errno ? strerror(errno) : "");
		code = CLI_FAILED;
	}
	return code;
}

/* CL-01: a symlink named pillion-VERB is that verb. */
static const char *verb_of_name(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	return strncmp(name, "pillion-", 8) == 0 ? name + 8 : NULL;
}

/* No verb is `help`: somebody who types the bare name wants to know what there is. */
int main(int argc, char **argv)
{
	const struct config_filter_plugin *plugins[PLUGINS_MAX];
	struct cli_setup setup = {
		.plugins = plugins, .plugin_count = filters_plugins(plugins, PLUGINS_MAX)};
	const char *verb = argc > 0 ? verb_of_name(argv[0]) : NULL;
	int skip = verb ? 1 : 2;

	verb = verb ? verb : argc > 1 ? argv[1] : "help";
	/* `pillion help run` is `pillion run --help`. */
	if (strcmp(verb, "help") == 0 && argc > skip &&
		(strcmp(argv[skip], "run") == 0 || strcmp(argv[skip], "proxy") == 0)) {
		return run_daemon(argv[skip], 1, (char *[]){(char[]){"--help"}});
	}
	if (strcmp(verb, "run") == 0 || strcmp(verb, "proxy") == 0) {
		return run_daemon(verb, argc - skip, argv + skip);
	}
	return run_command(&setup, verb, argc > skip ? argc - skip : 0, argv + skip);
}
