/*
 * declare: what this sidecar tells the registry about itself: one service with its instance, its
 * metadata and, where a schema is known, its methods (registry.md RD-01). Control thread.
 */
#ifndef PILLION_CONTROL_DECLARE_H
#define PILLION_CONTROL_DECLARE_H

#include "upstream/registry.h"

struct control;

/* Replaces the declared set at the registry; without an application there is nothing to declare.
 * Returns whether a declaration was made. call may be NULL; it may be given again while an earlier
 * declaration is under way only when it is another one. */
bool declare_service(struct control *control, enum instance_health health, const char *protocol,
	struct registry_call *call);

#endif
