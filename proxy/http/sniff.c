#include "http/sniff.h"

#include "base/assert.h"

#define SNIFF_TLS_HANDSHAKE 0x16

enum sniffed sniff_protocol(struct slice first_bytes)
{
	static const struct slice preface = SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	size_t size = first_bytes.size < preface.size ? first_bytes.size : preface.size;

	ASSERT(preface.size == 24);
	if (size == 0) {
		return SNIFFED_MORE;
	}
	if (first_bytes.data[0] == SNIFF_TLS_HANDSHAKE) {
		return SNIFFED_TLS;
	}
	/* SN-03: the first byte that differs from the preface decides for HTTP/1. */
	if (memcmp(first_bytes.data, preface.data, size) != 0) {
		return SNIFFED_H1;
	}
	return size == preface.size ? SNIFFED_H2 : SNIFFED_MORE;
}
