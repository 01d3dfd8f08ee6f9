/*
 * local: an in-process client, a pair of streams without a socket, so that reflection, broker push
 * and tests are ordinary exchanges. `near` is the caller's end: it behaves like a client stream
 * (send_head with a request, on_head with the response); `far` is given to events->on_stream like a
 * stream of a server codec. Nothing is copied: bodies move as spans. No bytes flow: after on_change
 * the owner calls receive (or produce) from its run queue as long as `again` is set. One thread.
 */
#ifndef PILLION_HTTP_LOCAL_H
#define PILLION_HTTP_LOCAL_H

#include "http/codec.h"

/* A server-like codec; open() on it gives `near` ends. options->client is ignored. */
struct codec *local_create(const struct codec_options *options);

#endif
