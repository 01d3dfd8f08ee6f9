/*
 * launch: what the command line of `pillion run` and `pillion proxy` asks for, before any file is
 * read (operations.md ZC-01). Filled once by the parent process and inherited by the proxy process.
 */
#ifndef PILLION_CONTROL_LAUNCH_H
#define PILLION_CONTROL_LAUNCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "config/load.h"

struct launch {
	const char *file; /* -c FILE, or NULL */
	struct config_flags flags;
	char *const *command; /* NULL-terminated; NULL: no application child */
	bool proxy;	      /* `pillion proxy`: two-container mode */
	bool dev;	      /* a cluster of one in a directory made for this run (ZC-02) */
	bool env_proxy;	      /* MICRO_PROXY, HTTP_PROXY for the application (ZC-04) */
	bool keep_stdin;
	bool forward_hup;
	bool help;
};

/*
 * arguments: those after the verb. 0; -EINVAL with err (exit 2). The launch keeps pointers into
 * arguments.
 */
MUST_CHECK int launch_parse(
	struct launch *launch, const char *verb, int count, char **arguments, struct err *err);
void launch_fini(struct launch *launch);
void launch_help(const struct launch *launch, const char *verb, struct buf *ret_text);

#endif
