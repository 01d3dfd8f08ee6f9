/* h2_error: error codes of RFC 9113 7 and how pillion's words become codes (http.md H2-38). Pure.
 */
#ifndef PILLION_HTTP_H2_ERROR_H
#define PILLION_HTTP_H2_ERROR_H

#include <stdint.h>

#include "base/codes.h"

enum h2_error {
	H2_NO_ERROR = 0x0,
	H2_PROTOCOL_ERROR = 0x1,
	H2_INTERNAL_ERROR = 0x2,
	H2_FLOW_CONTROL_ERROR = 0x3,
	H2_SETTINGS_TIMEOUT = 0x4,
	H2_STREAM_CLOSED = 0x5,
	H2_FRAME_SIZE_ERROR = 0x6,
	H2_REFUSED_STREAM = 0x7,
	H2_CANCEL = 0x8,
	H2_COMPRESSION_ERROR = 0x9,
	H2_CONNECT_ERROR = 0xa,
	H2_ENHANCE_YOUR_CALM = 0xb,
	H2_INADEQUATE_SECURITY = 0xc,
	H2_HTTP_1_1_REQUIRED = 0xd,
};

/* The code of the RST_STREAM that cuts an unfinished stream for that reason. */
enum h2_error h2_error_for_reset(enum reason why);
/* The code of the GOAWAY that ends a connection for that reason. */
enum h2_error h2_error_for_close(enum reason why);

#endif
