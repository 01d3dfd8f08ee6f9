/*
 * Frames of the link between sidecars: any bytes are read or refused, and what was read prints to
 * bytes that read the same again. Byte 0 chooses the direction.
 */
#include "base/assert.h"
#include "broker/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame *frame, *again;
	struct buf first, second;
	bool up;

	if (size < 1) {
		return 0;
	}
	up = (data[0] & 1) != 0;
	if (frame_decode(slice_make(data + 1, size - 1), up, &frame) < 0) {
		return 0;
	}
	buf_init(&first);
	buf_init(&second);
	frame_encode(frame, &first);
	ASSERT(frame_decode(buf_slice(&first), up, &again) == 0);
	frame_encode(again, &second);
	ASSERT(slice_equal(buf_slice(&first), buf_slice(&second)));
	frame_destroy(frame);
	frame_destroy(again);
	buf_fini(&first);
	buf_fini(&second);
	return 0;
}
