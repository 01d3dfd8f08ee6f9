/*
 * lifecycle: the life of a sidecar beside its application (mesh.md 9): start it, probe it, register
 * it, take it out when it fails, and stop everything in the right order. One state machine, one
 * function that moves it. Control thread.
 */
#ifndef PILLION_CONTROL_LIFECYCLE_H
#define PILLION_CONTROL_LIFECYCLE_H

#include "control/control.h"

struct lifecycle;

struct lifecycle *lifecycle_create(struct control *control);
void lifecycle_destroy(struct lifecycle *lifecycle);
/* Everything is bound and serving: ML-03 and on. */
void lifecycle_start(struct lifecycle *lifecycle);
/* From the parent: STOP n, APP, EXITED. */
void lifecycle_stop_signal(struct lifecycle *lifecycle, unsigned count);
void lifecycle_app_started(struct lifecycle *lifecycle, int pid);
/* start_error: errno of a command that could not be started, else 0 and a wait status. */
void lifecycle_app_exited(struct lifecycle *lifecycle, int status, int start_error);
/* The schema was found, changed or given up; the registration may change (endpoints, protocol). */
void lifecycle_schema_changed(struct lifecycle *lifecycle);
/* The registry's state changed (registered, live). */
void lifecycle_registry_changed(struct lifecycle *lifecycle);
/* A reload: the declared set and the probe follow the new configuration. */
void lifecycle_reconfigure(struct lifecycle *lifecycle);

/* A check made now (or within the last 500 ms): done runs once, from the loop (MH-04). */
void lifecycle_check_now(struct lifecycle *lifecycle,
	void (*done)(void *owner, bool healthy, const char *error), void *owner);

enum control_phase lifecycle_phase(const struct lifecycle *lifecycle);
bool lifecycle_ready(const struct lifecycle *lifecycle);
bool lifecycle_app_healthy(const struct lifecycle *lifecycle);
const char *lifecycle_app_error(const struct lifecycle *lifecycle);
const char *lifecycle_app_protocol(const struct lifecycle *lifecycle);
int lifecycle_app_pid(const struct lifecycle *lifecycle);

#endif
