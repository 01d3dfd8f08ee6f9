/*
 * clock: the only places that read a clock. Loops cache the monotonic time once a turn
 * (loop_now_ms); everything below control takes times as arguments. Any thread.
 */
#ifndef PILLION_BASE_CLOCK_H
#define PILLION_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_ns(void);
uint64_t clock_monotonic_ms(void);
/* Keeps counting in suspend; Raft and leases (registry.md RC-02). */
uint64_t clock_boottime_ms(void);
uint64_t clock_wall_ns(void); /* only for logs and records */
uint64_t clock_wall_ms(void);
/* RFC 3339, UTC, milliseconds: "2026-01-02T10:11:12.013Z"; needs 25 bytes with the terminator. */
#define CLOCK_TEXT_SIZE 25
void clock_format_wall(uint64_t wall_ms, char ret_text[CLOCK_TEXT_SIZE]);

#endif
