/* Frames into a server session. Byte 0 seeds the owner and the splits; an odd one leaves out the
 * preface, which the input then has to bring. */
#include "h2_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				      "\0\0\0\4\0\0\0\0\0"
				      "\0\0\0\4\1\0\0\0\0";
	static struct h2_fuzz fuzz;

	if (size < 1) {
		return 0;
	}
	h2_fuzz_init(&fuzz, false, data[0]);
	if (data[0] % 2 == 0) {
		h2_fuzz_feed(&fuzz, (const uint8_t *)preface, sizeof(preface) - 1);
	}
	h2_fuzz_run(&fuzz, data + 1, size - 1);
	return 0;
}
