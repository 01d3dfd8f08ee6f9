/* start: brings a sidecar up in the order of mesh.md 9.1, and takes it down in reverse. */
#ifndef PILLION_CONTROL_START_H
#define PILLION_CONTROL_START_H

struct control;

/* 0, or an exit code after the reason was printed on standard error (78 for configuration). */
int start_control(struct control *control);
/* Ends threads and frees everything; takes a half-started control. */
void start_undo(struct control *control);
/* SIGUSR2 without an application: state and counters to the log (PR-03). */
void start_dump_state(struct control *control);

#endif
