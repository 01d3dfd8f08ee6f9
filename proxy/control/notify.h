/*
 * notify: tells systemd how we are by datagrams to $NOTIFY_SOCKET (operations.md PR-04), without
 * libsystemd. Control thread; the socket's name is read once, at start.
 */
#ifndef PILLION_CONTROL_NOTIFY_H
#define PILLION_CONTROL_NOTIFY_H

/* state: "READY=1", "STOPPING=1", "STATUS=...", "WATCHDOG=1"; nothing happens without a socket. */
void notify_send(const char *state);
/* RELOADING=1 with the time that the protocol asks for. */
void notify_reloading(void);
/* Milliseconds between WATCHDOG=1 messages, 0: none wanted. */
unsigned notify_watchdog_ms(void);

#endif
