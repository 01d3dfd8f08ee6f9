/*
 * probe: active checks of the own application (mesh.md 4.1): TCP connect, HTTP GET or gRPC health,
 * on a connection of its own, never from the pool, or no check at all; and once per start the
 * question what it speaks (MH-05). Control thread.
 */
#ifndef PILLION_CONTROL_PROBE_H
#define PILLION_CONTROL_PROBE_H

#include "config/config.h"

struct loop;
struct probe;

struct probe_events {
	/* Passed or not, after `rise`/`fall` were counted: called at each change and after the
	 * first pass. h2: what the protocol question saw last. */
	void (*on_change)(void *owner, bool healthy, bool h2);
	void *owner;
};

struct probe *probe_create(
	struct loop *loop, const struct config_app *app, const struct probe_events *events);
void probe_destroy(struct probe *probe); /* NULL allowed */
/* The application was started or restarted: probe at once, ask again what it speaks. */
void probe_restart(struct probe *probe);
/* It has exited: down at once (MH-02), and nothing is asked until the next restart. */
void probe_stop(struct probe *probe);
/* New settings; the verdict stays. */
void probe_configure(struct probe *probe, const struct config_app *app);
/* The result of a check made within the last 500 ms, else of one made now; done runs once, at once
 * or from the loop (MH-04). */
void probe_ask(struct probe *probe, void (*done)(void *owner, bool healthy, const char *error),
	void *owner);
bool probe_healthy(const struct probe *probe);
/* Text of the last failed check, "" after a pass. */
const char *probe_error(const struct probe *probe);
bool probe_speaks_h2(const struct probe *probe);
bool probe_passed_once(const struct probe *probe);

#endif
