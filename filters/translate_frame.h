/*
 * translate_frame: what gRPC puts around a message, as http/grpc.h writes it, for files that
 * include the codec's headers, whose struct codec_options is another one. Pure.
 */
#ifndef PILLION_FILTERS_TRANSLATE_FRAME_H
#define PILLION_FILTERS_TRANSLATE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define TRANSLATE_PREFIX 5 /* bytes in front of a message (GR-01) */

struct buf;
struct head;

/* Room for the prefix, then its content once the message stands behind it. */
void translate_frame_begin(struct buf *frame);
void translate_frame_end(struct buf *frame);
/* The remaining time; UINT64_MAX: none is set (GR-03). */
void translate_frame_set_timeout(struct head *head, uint64_t left_ns);

#endif
