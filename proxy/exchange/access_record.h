/*
 * access_record: what the access log says of one finished exchange (operations.md LG-02), filled on
 * the request path by copying, formatted by the background thread. Between them lies one ring of
 * 256 KiB a worker: one writer, one reader, no lock; records that do not fit are dropped and
 * counted (LG-04). Texts stand behind one another in `text`, so only what is used is copied.
 */
#ifndef PILLION_EXCHANGE_ACCESS_RECORD_H
#define PILLION_EXCHANGE_ACCESS_RECORD_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/codes.h"

enum access_text {
	ACCESS_METHOD,
	ACCESS_PATH,
	ACCESS_QUERY,
	ACCESS_AUTHORITY,
	ACCESS_OWN_SERVICE,
	ACCESS_SERVICE, /* upstream */
	ACCESS_VERSION, /* of the instance */
	ACCESS_SOURCE,	/* raw struct address bytes: see access_record_put_address */
	ACCESS_DESTINATION,
	ACCESS_REQUEST_ID,
	ACCESS_TRACE_ID,
	ACCESS_HEADERS, /* name NUL value NUL ... */
	ACCESS_TEXT_COUNT
};

#define ACCESS_FIELD_MAX 2048 /* LG-03: a field is cut here */
#define ACCESS_TEXT_MAX	 3584
#define ACCESS_RING_SIZE ((size_t)256 * 1024)

struct access_record {
	uint64_t wall_ms; /* when it ended */
	uint64_t duration_ns, overhead_ns;
	uint64_t request_bytes, response_bytes;
	uint64_t index, generation;
	uint8_t instance[16]; /* zero: none, or a configured one */
	uint16_t reason;      /* enum reason */
	uint16_t status;      /* 0: no answer was given */
	int16_t grpc_status;  /* -1: not gRPC */
	uint8_t outcome;
	uint8_t version; /* enum http_version */
	uint8_t attempts;
	bool inbound;
	bool failed; /* level warn: 5xx of any kind, or no clean end */
	bool cut;    /* some text was shortened */
	uint16_t sizes[ACCESS_TEXT_COUNT];
	uint16_t used; /* of text */
	uint8_t text[ACCESS_TEXT_MAX];
};

struct address;
struct exchange;
struct head;

struct access_options { /* `log.access` (operations.md LG-02, LG-03) */
	int success_per_mille;
	int64_t slow_ms; /* slower ones are always written; 0: off */
	bool query;
	const char *const *headers; /* lower case */
	size_t header_count;
};
/* For the filter access_log, from its on_done: puts the record into the worker's ring. */
void exchange_log(struct exchange *exchange, const struct access_options *options);

/* Zeroes all but the text. */
void access_record_init(struct access_record *record);
/* Texts are put in the order of the enum, each at most once. */
void access_record_put(struct access_record *record, enum access_text which, struct slice text);
void access_record_put_address(
	struct access_record *record, enum access_text which, const struct address *address);
/* The headers of the options that the head has, as ACCESS_HEADERS, which is the last text. */
void access_record_put_fields(struct access_record *record, const struct access_options *options,
	const struct head *head);
/* One more pair of them. */
void access_record_put_header(struct access_record *record, struct slice name, struct slice value);
struct slice access_record_text(const struct access_record *record, enum access_text which);
/* One JSON line with its end of line, at most 4,096 bytes; replaces what line had. Any thread. */
void access_record_format(const struct access_record *record, struct buf *line);

struct access_ring {
	atomic_size_t head; /* next byte to read: the reader's */
	atomic_size_t tail; /* next byte to write: the writer's */
	atomic_uint_fast64_t dropped;
	uint8_t bytes[ACCESS_RING_SIZE];
};

/* Writer. False: no room, dropped and counted. */
bool access_ring_put(struct access_ring *ring, const struct access_record *record);
/* Reader. False: empty. */
bool access_ring_take(struct access_ring *ring, struct access_record *ret_record);
/* Either side: bytes that wait. */
size_t access_ring_used(struct access_ring *ring);

#endif
