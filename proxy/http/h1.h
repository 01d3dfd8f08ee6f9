/* h1: the HTTP/1.1 codec, both sides (http.md 3). See codec.h for ownership and threads. */
#ifndef PILLION_HTTP_H1_H
#define PILLION_HTTP_H1_H

#include "http/codec.h"

struct codec *h1_create(const struct codec_options *options);

#endif
