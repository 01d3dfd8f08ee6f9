/*
 * support: a sidecar's part of the registry inside one test process: a worker thread with a
 * listener on an ephemeral port, optionally a replica, and its client on the test's own loop.
 */
#ifndef PILLION_TESTS_RAFTREG_SUPPORT_H
#define PILLION_TESTS_RAFTREG_SUPPORT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "net/loop.h"
#include "raftreg/raftreg.h"

#define SUPPORT_HOSTS 8

struct host; /* one worker */

/* Binds at once; serves once support_host_start ran. */
struct host *support_host_create(void);
uint16_t support_host_port(const struct host *host);
struct loop *support_host_loop(struct host *host);
/* node may be NULL. */
void support_host_start(struct host *host, struct raftreg_node *node);
/* Cuts every connection and joins the thread; the port stays reserved. */
void support_host_stop(struct host *host);
/* After the stop, and after the node's: lets go of it. */
void support_host_forget(struct host *host);
void support_host_destroy(struct host *host);

/* A configuration with fast times; seeds are ports on 127.0.0.1, ended by 0. */
struct config *support_config(const char *name, enum config_role role,
	enum config_bootstrap bootstrap, const uint16_t *seeds);
void support_config_free(struct config *config);

/* A new directory below /tmp, and its removal with everything in it. */
char *support_directory(void);
void support_remove(char *directory);

/* Turns the loop until the condition holds; false after the time. */
bool support_until(
	struct loop *loop, bool (*condition)(void *context), void *context, unsigned timeout_ms);

#endif
