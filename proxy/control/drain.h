/*
 * drain: the stop of a sidecar (mesh.md ML-20 to ML-31): announce, let inbound work end, stop the
 * application while outbound goes on serving, leave. One budget, `grace`, covers it all. Control
 * thread.
 */
#ifndef PILLION_CONTROL_DRAIN_H
#define PILLION_CONTROL_DRAIN_H

#include <stdbool.h>

struct control;
struct drain;

struct drain *drain_create(struct control *control);
void drain_destroy(struct drain *drain);
/* announced: the registry knows this instance, so its callers are given time to hear of the drain.
 */
void drain_start(struct drain *drain, bool announced);
/* The second SIGTERM: straight to stopping the application (ML-24). */
void drain_hurry(struct drain *drain);
void drain_app_exited(struct drain *drain);
/* The application is gone (or never was): cut what is left and end the loop. leave: close the
 * registry session. */
void drain_finish(struct drain *drain, bool leave);
/* Requests that were cut at the end of the grace time (ML-31: exit code 1). */
unsigned drain_cut_count(const struct drain *drain);

#endif
