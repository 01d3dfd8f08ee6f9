/*
 * h1_scan: classes of bytes in HTTP/1 heads, with wide compares where the processor has them, and
 * the watch over a head that trickles in. Pure.
 */
#ifndef PILLION_HTTP_H1_SCAN_H
#define PILLION_HTTP_H1_SCAN_H

#include "base/slice.h"

/* Lower case of each tchar (RFC 9110 5.6.2), 0 for bytes that no name or method may hold. */
extern const uint8_t h1_scan_lower[256];

/* The first byte that is a control other than HT, or DEL (H1-10); `end` when there is none. */
const uint8_t *h1_scan_control(const uint8_t *at, const uint8_t *end);
/* The first byte outside 0x21-0x7E (H1-06); `end` when there is none. */
const uint8_t *h1_scan_invisible(const uint8_t *at, const uint8_t *end);

/*
 * Whether a head that was incomplete is worth another try: looks at each byte once. So a head that
 * trickles in costs a constant number of looks at each byte, not one per packet.
 */
struct h1_scan {
	size_t seen;   /* bytes looked at */
	size_t line;   /* of the current line, so far */
	size_t try_at; /* try anyway at this size, for the limits */
	uint8_t last;
};
void h1_scan_init(struct h1_scan *scan);
/* new_bytes follow those seen before. True: a line end that decides something, or a limit to look
 * at. */
bool h1_scan_bytes(struct h1_scan *scan, struct slice new_bytes);

#endif
