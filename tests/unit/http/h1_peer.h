/*
 * h1_peer: one HTTP/1 codec with an owner that writes down, as one line of text, everything it is
 * told; so that acceptance rows are compared as strings. Text for inputs and rows:
 *   GET /p?q @authority none {name: value}           request, body kind or what came of it
 *   200 len2"ok" {..}                                response
 *   +trailers{..}   !reset:word   !400 word          what followed
 */
#ifndef PILLION_TESTS_H1_PEER_H
#define PILLION_TESTS_H1_PEER_H

#include "base/buf.h"
#include "http/h1.h"

enum { H1_PEER_BODY_SHOWN = 64 };

struct h1_peer {
	struct block_pool pool;
	struct http_limits limits;
	struct codec_events events;
	struct codec *codec;
	struct stream *stream; /* the one under way, NULL when let go */
	struct buf log;	       /* see above; requests are parted by " | " */
	struct buf body;       /* received of the message under way */
	struct chain out;      /* produced */
	uint64_t now_ms;
	bool hold; /* do not answer and do not credit by itself */
	bool no_credit;
	bool keep_body; /* leave received bytes in `body` */
	bool body_open; /* the log waits for the end of a body */
	unsigned streams;
};

void h1_peer_init(struct h1_peer *peer, bool client);
void h1_peer_fini(struct h1_peer *peer);
/* Bytes from the wire; then receive as long as the codec wants it again, and all output is taken.
 */
void h1_peer_feed(struct h1_peer *peer, const void *data, size_t size);
void h1_peer_eof(struct h1_peer *peer, int error);
void h1_peer_run(struct h1_peer *peer);
/* Client: sends a request without a body. */
void h1_peer_request(struct h1_peer *peer, enum method method, bool end);
/* Server: answers the stream under way and lets go. */
void h1_peer_answer(struct h1_peer *peer, int status, const char *text);
const char *h1_peer_log(struct h1_peer *peer);
/* Everything produced since the last call, as text in peer->body. */
const char *h1_peer_output(struct h1_peer *peer, struct buf *ret_text);

/* Rows: escapes \r \n \t \0 \\ \xNN, the sign for CR LF, {G} {P} {R}, {rep:N:text} into bytes. */
void h1_peer_unescape(const char *text, size_t size, struct buf *ret_bytes);

#endif
