/* version: what was built, with the libraries it was built with: the first thing a report needs. */
#include <jansson.h>

#include "cli/command.h"
#include "cli/verbs.h"

/* Needs neither a sidecar nor a configuration. */
int version_run(struct command *command)
{
	if (command_wants_json(command)) {
		(void)printf("{\"version\":\"%s\",\"revision\":\"%s\"}\n", PILLION_VERSION,
			PILLION_REVISION);
		return CLI_DONE;
	}
	(void)printf("pillion %s (%s)\nlibevent %s, nghttp2 %s, openssl %s, jansson %s, protobuf-c "
		     "%s, zlib %s\n",
		PILLION_VERSION, PILLION_REVISION, PILLION_LIBEVENT, PILLION_NGHTTP2,
		PILLION_OPENSSL, JANSSON_VERSION, PILLION_PROTOBUF_C, PILLION_ZLIB);
	return CLI_DONE;
}
