/*
 * warmup: up to 100 configured GETs to the application before it is registered, at most 5 s in all,
 * results ignored (mesh.md ML-04). Sent one after the other on one worker. Control thread.
 */
#ifndef PILLION_CONTROL_WARMUP_H
#define PILLION_CONTROL_WARMUP_H

struct control;

/* done runs once, from the loop; also when nothing is configured. */
void warmup_start(struct control *control, void (*done)(void *owner), void *owner);

#endif
