/*
 * pool: the tables of a descriptor_pool (codec.md EN-01): one block, read-only after it was built,
 * addressed by indexes and offsets. Internal to the engine; other rooms use descriptor.h.
 */
#ifndef PILLION_CODEC_POOL_H
#define PILLION_CODEC_POOL_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/assert.h"
#include "codec/descriptor.h"

/* Field types, by the numbers of descriptor.proto. */
enum pool_kind {
	POOL_DOUBLE = 1,
	POOL_FLOAT,
	POOL_INT64,
	POOL_UINT64,
	POOL_INT32,
	POOL_FIXED64,
	POOL_FIXED32,
	POOL_BOOL,
	POOL_STRING,
	POOL_GROUP, /* unused: POOL_MESSAGE with POOL_DELIMITED */
	POOL_MESSAGE,
	POOL_BYTES,
	POOL_UINT32,
	POOL_ENUM,
	POOL_SFIXED32,
	POOL_SFIXED64,
	POOL_SINT32,
	POOL_SINT64,
};

enum pool_flag {
	POOL_REPEATED = 1,
	POOL_PACKED = 2,   /* as written; both are read (WI-02) */
	POOL_PRESENCE = 4, /* singular fields only */
	POOL_MAP = 8,
	POOL_CLOSED = 16, /* enums */
	POOL_DELIMITED = 32,
	POOL_REQUIRED = 64,
	POOL_NULL = 128, /* google.protobuf.NullValue */
	POOL_AMBIGUOUS = 256,
};

/* Messages with a JSON form of their own (codec.md 5). The wrappers stand together. */
enum pool_wkt {
	WKT_NONE,
	WKT_ANY,
	WKT_TIMESTAMP,
	WKT_DURATION,
	WKT_FIELD_MASK,
	WKT_STRUCT,
	WKT_VALUE,
	WKT_LIST_VALUE,
	WKT_WRAPPER,
};

struct pool_field {
	uint64_t tag_bytes; /* the encoded tag, first byte lowest */
	uint32_t tag;
	uint32_t number;
	uint32_t index; /* in its message: bit in the set of seen fields */
	uint32_t oneof; /* bit of its oneof, or DESCRIPTOR_NONE */
	uint32_t sub;	/* message or enum */
	uint32_t key;	/* text `,"jsonName":`, escaped */
	uint32_t proto_key;
	uint32_t name; /* text of the JSON name, not escaped */
	uint16_t key_size;
	uint16_t proto_key_size;
	uint16_t name_size;
	uint16_t flags;
	uint8_t tag_size;
	uint8_t kind; /* enum pool_kind */
	uint8_t wire; /* enum wire_type of one value, not packed */
	uint8_t wkt;  /* of the message type */
};

struct pool_slot {
	uint32_t hash;
	uint32_t ref; /* 0: empty; names of fields: (index + 1) * 2 + is_proto; else index + 1 */
};

struct pool_message {
	uint32_t first_field;
	uint32_t field_count;
	uint32_t seen_bits;   /* fields, then oneofs */
	uint32_t dense;	      /* in u16: number -> index + 1 */
	uint32_t dense_limit; /* numbers below it are in the dense index */
	uint32_t sorted;      /* in u16: indexes of the fields from dense_limit on, by number */
	uint32_t sorted_count;
	uint32_t slots;
	uint32_t slot_mask;
	uint32_t name;
	uint16_t name_size;
	uint16_t required_count;
	uint8_t wkt;
	bool map_entry;
};

struct pool_value {
	int32_t number;
	uint32_t text; /* quoted name */
	uint16_t text_size;
};

struct pool_enum {
	uint32_t first_value; /* in declared order */
	uint32_t value_count;
	uint32_t dense; /* in u16: number - dense_first -> index + 1 of the first declared value */
	uint32_t dense_count;
	int32_t dense_first;
	uint32_t sorted; /* in u16: indexes by number, first declared only; instead of dense */
	uint32_t sorted_count;
	uint32_t slots; /* by name, hashed without case */
	uint32_t slot_mask;
};

/* The arrays lie in the same block, behind this head. */
struct descriptor_pool {
	atomic_uint refs;
	size_t size;
	uint64_t digest;
	const struct pool_message *messages;
	const struct pool_field *fields;
	const struct pool_enum *enums;
	const struct pool_value *values;
	const struct pool_slot *slots;
	const uint16_t *indexes;
	const uint8_t *text; /* 32 readable bytes past every name */
	const struct codec_service *services;
	const struct codec_method *methods;
	uint32_t message_count;
	uint32_t service_count;
	uint32_t method_count;
	uint32_t message_slots, message_mask;
	uint32_t method_slots, method_mask;
};

#endif
