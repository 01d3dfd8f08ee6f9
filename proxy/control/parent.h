/*
 * parent: the small process that owns the listening sockets and the application child
 * (docs/parent.md). It draws the instance id, so that a restarted proxy process is the same
 * instance; it reaps, starts a dead proxy again on the same sockets, and parses no traffic.
 * Single-threaded, poll and signalfd.
 */
#ifndef PILLION_CONTROL_PARENT_H
#define PILLION_CONTROL_PARENT_H

#include <stdint.h>

#include "control/launch.h"

struct passed;

/* What survives a restart of the proxy process. */
struct parent_identity {
	uint8_t instance_id[16];
	uint8_t session_id[16];
	uint32_t start_count;	     /* 1 for the first proxy process */
	const struct passed *passed; /* the parent's; descriptors are not open in the proxy */
};

/* Runs the sidecar; returns the exit code of the program (mesh.md 9, operations.md CL-04).
 * proxy_main runs in the proxy process and its result is that process's exit code. */
int parent_main(
	const struct launch *launch, int (*proxy_main)(const struct launch *launch,
					     const struct parent_identity *identity, int channel));

#endif
