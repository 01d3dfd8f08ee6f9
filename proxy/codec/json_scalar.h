/*
 * json_scalar: numbers, booleans, enums and bytes of a JSON text (codec.md JS table). Internal.
 */
#ifndef PILLION_CODEC_JSON_SCALAR_H
#define PILLION_CODEC_JSON_SCALAR_H

#include "codec/json_reader.h"

/* "int32" and so on, for fault texts. */
const char *json_scalar_name(enum pool_kind kind);

/*
 * The value of a field that is neither string, bytes nor message, as the bits of the wire: what the
 * varint says (zigzag done), or the fixed 4 or 8 bytes. Zero bits are the default. r->dropped is
 * set when an unknown enum name is to be ignored.
 */
const uint8_t *json_scalar_read(struct json_reader *r, const uint8_t *p,
	const struct pool_field *field, uint64_t *ret_bits);

/* A map key: a JSON string with the text of an integer or bool. p stands behind the opening quote.
 */
const uint8_t *json_scalar_read_key(struct json_reader *r, const uint8_t *p,
	const struct pool_field *field, uint64_t *ret_bits);

/* A number, quoted or not, as a double: for google.protobuf.Value only unquoted. */
const uint8_t *json_scalar_number(struct json_reader *r, const uint8_t *p, double *ret_value);

/* Length and bytes of a base64 string as the value of a field whose tag was written. */
const uint8_t *json_scalar_put_bytes(struct json_reader *r, const uint8_t *p);

static inline void json_scalar_put(struct json_reader *r, enum pool_kind kind, uint64_t bits)
{
	switch (kind) {
	case POOL_DOUBLE:
	case POOL_FIXED64:
	case POOL_SFIXED64:
		memcpy(r->w.out, &bits, 8);
		r->w.out += 8;
		return;
	case POOL_FLOAT:
	case POOL_FIXED32:
	case POOL_SFIXED32:
		memcpy(r->w.out, &bits, 4);
		r->w.out += 4;
		return;
	case POOL_INT64:
	case POOL_UINT64:
	case POOL_INT32:
	case POOL_BOOL:
	case POOL_UINT32:
	case POOL_ENUM:
	case POOL_SINT32:
	case POOL_SINT64:
		r->w.out = wire_put_varint(r->w.out, bits);
		return;
	case POOL_STRING:
	case POOL_GROUP:
	case POOL_MESSAGE:
	case POOL_BYTES:
		break;
	}
	ASSERT(false);
}

#endif
