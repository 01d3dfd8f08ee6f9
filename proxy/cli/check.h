/*
 * check: the checks of `pillion check` (operations.md CL-10). Each looks at one thing, on a thread
 * of the verb's, and says one verdict; they share the configuration and what the sidecar said of
 * itself, which nobody changes. The room's own header.
 */
#ifndef PILLION_CLI_CHECK_H
#define PILLION_CLI_CHECK_H

#include <jansson.h>

#include "base/err.h"
#include "config/config.h"

enum check_verdict { CHECK_OK, CHECK_WARN, CHECK_FAIL };

struct check_setting {
	const struct config *config;
	const json_t *status; /* of the running sidecar of this configuration; NULL: none */
	bool live;	      /* --live: one must run */
	int timeout_ms;	      /* of what is asked over the network */
};

struct check {
	const char *id; /* "CK-13" */
	const char *phase;
	void (*run)(struct check *check);
	const struct check_setting *setting;
	size_t index; /* of the listener, the seed, the file */
	enum check_verdict verdict;
	unsigned code;	/* 0: none */
	char text[600]; /* empty: not checked, not shown */
};

/* The one verdict of a check; code 0 where there is nothing to explain. */
void check_say(struct check *check, enum check_verdict verdict, unsigned code, const char *format,
	...) PRINTF_LIKE(4, 5);

/* check_host.c: what this host gives. */
void check_host_descriptors(struct check *check);
void check_host_memory(struct check *check);
/* index 0: the data directory, 1: broker.spool.path */
void check_host_writable(struct check *check);
void check_host_space(struct check *check);
void check_host_kind(struct check *check);

/* check_net.c: addresses and names. index of ports: a listener, then admin and metrics. */
void check_net_port(struct check *check);
void check_net_seed(struct check *check);
void check_net_app(struct check *check);
/* What a running sidecar says of its registry. */
void check_net_leader(struct check *check);
void check_net_session(struct check *check);
void check_net_age(struct check *check);

/* check_live.c: what a running sidecar says of itself. index of parts: in its list. */
void check_live_workers(struct check *check);
void check_live_part(struct check *check);
void check_live_log(struct check *check);
size_t check_live_parts(const json_t *status);

#endif
