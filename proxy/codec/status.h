/*
 * status: gRPC status codes among HTTP statuses and error bodies (codec.md 12, GR-06, GM-05). Pure.
 * Translating an error never fails: what does not decode is shown in a simpler form.
 */
#ifndef PILLION_CODEC_STATUS_H
#define PILLION_CODEC_STATUS_H

#include "codec/codec_context.h"

#define STATUS_OK		0
#define STATUS_CANCELLED	1
#define STATUS_UNKNOWN		2
#define STATUS_INVALID_ARGUMENT 3
#define STATUS_INTERNAL		13
#define STATUS_UNAVAILABLE	14

#define STATUS_MESSAGE_MAX 1024		  /* GR-06: own messages, bytes before escaping */
#define STATUS_DETAILS_MAX ((size_t)4096) /* ER-05: bytes of google.rpc.Status sent on */

/* The two tables of ER-02. */
enum status_table {
	STATUS_INTERMEDIARY, /* gRPC apps, and answers of proxies between */
	STATUS_REST,	     /* JSON apps */
};

/* ER-01. Codes above 16 give 500. */
unsigned status_to_http(unsigned grpc_code);
/* ER-02. */
unsigned status_from_http(unsigned http_status, enum status_table table);
/* GM-05: the gRPC code of a go-micro error code. */
unsigned status_from_micro(unsigned micro_code);
/* "NOT_FOUND" -> "not_found": Connect's names (CN-05); NULL above 16. */
const char *status_name(unsigned grpc_code);
/* grpc-status as text: decimal digits, else UNKNOWN (GR-05). */
unsigned status_parse(struct slice text);

/* An error as it travels between formats. */
struct status_error {
	unsigned code;	      /* gRPC */
	struct slice message; /* plain UTF-8, not percent-coded */
	struct slice details; /* serialized google.rpc.Status; empty: none */
};

/*
 * ER-05: appends {"code":5,"message":"…","details":[…]}, all keys always. Details that the pool (it
 * always holds the built-in set) does not know are printed raw. options may be NULL for defaults.
 */
void status_to_json(struct codec_context *context, const struct descriptor_pool *pool,
	const struct status_error *error, const struct codec_options *options,
	struct buf *ret_json);

/* A response of a JSON app that failed. */
struct status_response {
	unsigned http_status;
	enum status_table table;
	struct slice content_type; /* may be empty */
	struct slice body;	   /* needs no slack */
};

/*
 * ER-04: the code; appends the plain message, and the serialized google.rpc.Status where there are
 * details; both are empty before. Never returns OK.
 */
unsigned status_from_json(struct codec_context *context, const struct descriptor_pool *pool,
	const struct status_response *response, struct buf *ret_message, struct buf *ret_details);

/* GR-06: appends grpc-message text: percent-coded, cut at STATUS_MESSAGE_MAX between characters. */
void status_message_encode(struct slice text, struct buf *ret_coded);
/* Appends plain text; broken escapes stay, bad UTF-8 becomes U+FFFD. Never fails. */
void status_message_decode(struct slice coded, struct buf *ret_text);

#endif
