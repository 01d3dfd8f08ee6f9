/*
 * h1: the HTTP/1.1 codec, both sides (http.md 3). See codec.h for ownership and threads. One stream
 * at a time: a server parses the next head after the owner let go of the stream and its response
 * was produced (H1-36); a client takes the next request while codec->reusable (C-02).
 *
 * What an owner has to know beside codec.h:
 *  - 100 Continue (H1-37) is sent when the owner calls credit(stream, 0) for the first time, or
 *    send_head with an interim head of status 100, and then only if the client waits for it and no
 *    body byte and no response came first. Other interim heads are dropped for HTTP/1.0 and where
 *    limits->interim is false.
 *  - head->close in a response given to send_head asks for Close. It is set in heads received from
 *    an upstream too: clear it before passing such a head on. The codec adds Close by itself when
 * it drains, for HTTP/1.0, and when a final head is sent before the request body ended (H1-35).
 *  - A malformed request head is answered by the codec (no stream exists): codec->closing, linger,
 *    close_reason, detail and refused_bytes tell the connection what to log (L-02).
 *  - A fault after the head is on_reset with its word (bad_chunk, ...). If no final head was sent
 * the owner of a server stream may still send one reply, then lets go; otherwise letting go cuts.
 *  - A client that closes its direction before the response was complete is gone:
 *    downstream_closed, or downstream_truncated inside the body.
 *  - Letting go of a server stream that ended in both directions leaves its queued output to be
 *    written; no callback follows.
 *  - A failed transport: set codec->input_error, then receive(end_of_input), so that a body ended
 * by close alone is not taken for complete (H1-30).
 */
#ifndef PILLION_HTTP_H1_H
#define PILLION_HTTP_H1_H

#include "http/codec.h"

struct codec *h1_create(const struct codec_options *options);

#endif
