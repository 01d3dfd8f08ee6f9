#include "filters/translate_frame.h"

#include "http/grpc.h"

/* The length is known only behind the message; room in front saves moving it (GR-01). */
void translate_frame_begin(struct buf *frame)
{
	static const uint8_t room[TRANSLATE_PREFIX];

	ASSERT(frame->size == 0);
	buf_append(frame, room, sizeof(room));
}

/* GR-04: what is translated is sent uncompressed, so the flag is always 0. */
void translate_frame_end(struct buf *frame)
{
	ASSERT(frame->size >= TRANSLATE_PREFIX);
	grpc_prefix(frame->data, false, (uint32_t)(frame->size - TRANSLATE_PREFIX));
}

/* GR-03: the application gets what is left, not what the client once asked for; gathering the body
 * has taken some of it. */
void translate_frame_set_timeout(struct head *head, uint64_t left_ns)
{
	char text[16];

	if (left_ns == UINT64_MAX) {
		return;
	}
	/* 0 is a deadline that has passed; the exchange notices that by itself. */
	grpc_format_timeout(left_ns > 0 ? left_ns : 1, text);
	head_set(head, TOKEN_grpc_timeout, slice_from_string(text));
}
