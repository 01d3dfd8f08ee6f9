/*
 * h2_rig: a codec under test between a raw frame writer (own HPACK literals, nothing of the
 * library) and an owner that writes down every event as text. Output is cut into frames; heads are
 * decoded with the library's inflater, so that tests compare words and not bytes.
 */
#ifndef PILLION_TESTS_H2_RIG_H
#define PILLION_TESTS_H2_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/codec.h"
#include "http/h2.h"
#include "http/target.h"

enum { RIG_STREAMS = 2048 };

struct rig {
	struct block_pool pool;
	struct http_limits limits;
	struct codec *codec;
	struct buf log;	  /* events of the owner */
	struct buf wire;  /* output of the codec */
	struct buf input; /* frames being built */
	size_t read;	  /* of wire */
	nghttp2_hd_inflater *inflater;
	struct stream *streams[RIG_STREAMS]; /* in order of on_stream or open */
	bool alive[RIG_STREAMS];
	size_t count;
	uint64_t now_ms;
	bool credit;   /* credit every piece at once */
	bool let_go;   /* reset a stream when it is told of its end */
	bool quiet;    /* no log */
	size_t room;   /* produce's max */
	size_t bodies; /* bytes of bodies received */
};

struct rig_frame {
	size_t length;
	uint8_t type;
	uint8_t flags;
	uint32_t id;
	const uint8_t *payload;
};

#define RIG_TEXT(slice) (int)(slice).size, (const char *)(slice).data
#define RIG_GET		":method:GET|:scheme:http|:authority:a|:path:/"
#define RIG_POST	":method:POST|:scheme:http|:authority:a|:path:/"

__attribute__((format(printf, 2, 3))) void rig_note(struct rig *rig, const char *format, ...);
void rig_let_go(struct stream *stream, enum reason why);
void rig_adopt(struct rig *rig, struct stream *stream);
void rig_produce(struct rig *rig);
void rig_frame(struct rig *rig, uint8_t type, uint8_t flags, uint32_t id, struct slice payload);
void rig_preface(struct rig *rig);
/* Hands over what was built, in blocks, `step` bytes a call (0: all at once). */
void rig_feed(struct rig *rig, size_t step);
void rig_tick(struct rig *rig, uint64_t ms);
void rig_init_with(struct rig *rig, bool client, const struct http_limits *limits);
void rig_init(struct rig *rig, bool client);
/* Through the preface of both sides; the output so far is skipped. */
void rig_start(struct rig *rig, bool client);
void rig_fini(struct rig *rig);
/* The next frame of the output; false at its end. */
bool rig_next(struct rig *rig, struct rig_frame *ret_frame);
uint32_t rig_u32(const uint8_t *at);
/* The output since the last call as text: "H1 :status=200 end;D1 5 end;R3 8;G 0 11;". Frames that
 * only keep the connection alive (SETTINGS, PING, WINDOW_UPDATE) are named by letter alone. */
const char *rig_output(struct rig *rig, struct buf *text);
/* A field list of the tests: "name: value|name: value"; `\n` inside stays a byte. A leading `|` in
 * a name is not possible, which no row needs. */
void rig_hpack(struct buf *block, struct slice name, struct slice value);
void rig_hpack_list(struct buf *block, struct slice list);
void rig_headers(struct rig *rig, uint32_t id, struct slice list, bool end);
void rig_data(struct rig *rig, uint32_t id, size_t size, bool end);
void rig_u32_frame(struct rig *rig, uint8_t type, uint32_t id, uint32_t value);
const char *rig_log(struct rig *rig);
/* The owner answers stream i with a head and, when size > 0, a body of that many bytes. */
void rig_answer(struct rig *rig, size_t i, uint16_t status, size_t size, bool end);
/* A client's request; returns the index of the stream. */
size_t rig_request(struct rig *rig, enum method method, size_t size, bool end);

#endif
