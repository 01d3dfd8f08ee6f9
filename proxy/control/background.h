/*
 * background: one thread for what must not delay a loop: formatting and writing access-log lines
 * from the workers' rings (LG-04), compiling descriptors, writing small files. It has a loop of its
 * own; jobs are mailed to it and answer by mail to control. Counters are read by any thread.
 */
#ifndef PILLION_CONTROL_BACKGROUND_H
#define PILLION_CONTROL_BACKGROUND_H

#include "config/config.h"
#include "exchange/server.h"

struct background;
struct loop;

/* Worker i's records are fetched by background_offer from that worker's thread. */
MUST_CHECK int background_create(struct background **ret_background, struct loop *control_loop);
/* Writes what is left, joins. */
void background_destroy(struct background *background);

/* Control: where access lines go, from the configuration; opens files anew (USR1, reload). */
void background_set_access(
	struct background *background, const struct config_access_log *log, const char *service);

/*
 * A worker's thread, at most every 100 ms and when its ring is half full: takes the records that
 * the server holds and sends them on. What does not fit the bound of waiting batches is dropped and
 * counted.
 */
void background_offer(struct background *background, struct exchange_server *server);

/* Runs `work` on the background thread, then `done` on control's loop. argument belongs to done. */
void background_run(struct background *background, void (*work)(void *argument),
	void (*done)(void *argument), void *argument);

uint64_t background_lines(const struct background *background);
uint64_t background_dropped(const struct background *background);

#endif
