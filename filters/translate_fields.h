/*
 * translate_fields: header fields among HTTP and gRPC metadata (codec.md CX-09, JG-02, JG-04,
 * GJ-01, GJ-02, GR-07). Edits heads in place; new bytes come from their arenas. Pure.
 */
#ifndef PILLION_FILTERS_TRANSLATE_FIELDS_H
#define PILLION_FILTERS_TRANSLATE_FIELDS_H

#include "codec/codec_fault.h"
#include "http/head.h"

/* A JSON request becomes metadata. False: a `-bin` value is no base64, fault filled. Adds the
 * fields that metadata cannot hold to *ret_dropped. */
MUST_CHECK bool translate_fields_to_metadata(
	struct head *head, uint64_t *ret_dropped, struct codec_fault *ret_fault);
/* The metadata of a gRPC request becomes header fields. */
MUST_CHECK bool translate_fields_from_metadata(
	struct head *head, uint64_t *ret_dropped, struct codec_fault *ret_fault);

/* Leading metadata of an answer becomes header fields. */
void translate_fields_answer_from_metadata(struct head *head);
/* Trailing metadata as `grpc-trailer-<name>` fields of head. */
void translate_fields_add_trailers(struct head *head, const struct head *trailers);
/* Header fields, or HTTP trailers, of an answer become metadata. */
void translate_fields_answer_to_metadata(struct head *head, uint64_t *ret_dropped);

#endif
