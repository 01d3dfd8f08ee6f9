/* h2: the HTTP/2 codec over nghttp2, both sides (http.md 4). See codec.h for ownership and threads.
 */
#ifndef PILLION_HTTP_H2_H
#define PILLION_HTTP_H2_H

#include "http/codec.h"

struct codec *h2_create(const struct codec_options *options);

#endif
