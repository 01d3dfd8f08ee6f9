/*
 * http_client: one blocking request over a Unix or TCP socket with the project's own HTTP/1 codec.
 * Single-threaded.
 */
#ifndef PILLION_CLI_HTTP_CLIENT_H
#define PILLION_CLI_HTTP_CLIENT_H

#include "cli/command.h"
#include "http/head.h"

struct http_client_field {
	const char *name; /* lower case */
	const char *value;
};

/* Everything is lent for the call. */
struct http_client_request {
	const char *address; /* "unix:/path" or "http://host:port" or "host:port" */
	const char *method;
	const char *path;      /* with query */
	const char *authority; /* NULL: from the address */
	const struct http_client_field *fields;
	size_t field_count;
	struct slice body;
	bool has_body;
	int timeout_ms;
};

/* A connected socket with time-outs, or -errno; "host:port" too, the first address that answers. */
int http_client_connect(const char *address, int timeout_ms);
/* The words for such an errno, and the PIL code of 40xx that fits it. */
const char *http_client_error(int error, unsigned *ret_code);
/* False: not reached; ret_answer->error and code say why. */
bool http_client_do(const struct http_client_request *request, struct answer *ret_answer);

#endif
