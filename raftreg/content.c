/*
 * Canonical bytes of instances and methods. The leader checks them once, when they are
 * declared, and from then on they are copied, compared and hashed as they are; so a spelling
 * that is not canonical must be refused there, or the diff before a proposal (RD-06) and the
 * digests (RN-04) would see changes that are none. The check is simply: what comes out of the
 * encoder again is what came in.
 */
#include "raftreg/content.h"

#include <errno.h>
#include <stdlib.h>

#include "base/pbscan.h"

enum {
	C_SERVICE = 1, /* lower case */
	C_VERSION,     /* of the application */
	C_ID,	       /* 32 hex digits for sidecars */
	C_HOST,	       /* IP literal or name */
	C_PORT,	       /* always written */
	C_PROTOCOL,    /* what the application speaks: http, grpc */
	C_WEIGHT,      /* 0: never chosen */
	C_HEALTH,      /* enum instance_health, by its own sidecar */
	C_ZONE,	       /* where it runs */
	C_METADATA,    /* repeated, sorted by key */
};
enum { P_KEY = 1, P_VALUE };
enum { E_ENDPOINT = 1, E_NAME = 1, E_REQUEST, E_RESPONSE, E_IDEMPOTENT };

#define VERSION_MAX	   128 /* RD-02 */
#define KEY_MAX		   128
#define VALUE_MAX	   1024
#define METADATA_BYTES_MAX 8192
#define WEIGHT_MAX	   1000

/* RD-03: sorted bytewise, so that neither locale nor the order of declaration shows. */
static int compare_pairs(const void *a, const void *b)
{
	const struct content_pair *left = a;
	const struct content_pair *right = b;

	return slice_compare(left->key, right->key);
}

/* Empty fields are left out: there is one encoding of "nothing", not two. */
static void put_text(struct buf *buf, uint32_t field, struct slice text)
{
	if (text.size > 0) {
		pbscan_put_bytes(buf, field, text);
	}
}

/* Numbers are always written and empty texts never: one spelling for each content. */
void content_encode(struct content *content, struct buf *ret_bytes)
{
	ASSERT(content->metadata_count <= CONTENT_METADATA_MAX);
	qsort(content->metadata, content->metadata_count, sizeof content->metadata[0],
		compare_pairs);
	put_text(ret_bytes, C_SERVICE, content->service);
	put_text(ret_bytes, C_VERSION, content->version);
	put_text(ret_bytes, C_ID, content->id);
	put_text(ret_bytes, C_HOST, content->host);
	pbscan_put_varint(ret_bytes, C_PORT, content->port);
	put_text(ret_bytes, C_PROTOCOL, content->protocol);
	pbscan_put_varint(ret_bytes, C_WEIGHT, content->weight);
	pbscan_put_varint(ret_bytes, C_HEALTH, (uint64_t)content->health);
	put_text(ret_bytes, C_ZONE, content->zone);
	for (size_t i = 0; i < content->metadata_count; i++) {
		size_t mark = pbscan_begin(ret_bytes, C_METADATA);

		put_text(ret_bytes, P_KEY, content->metadata[i].key);
		put_text(ret_bytes, P_VALUE, content->metadata[i].value);
		pbscan_end(ret_bytes, mark);
	}
}

/* One pair of metadata; more than the limit is malformed. */
static bool take_pair(struct slice bytes, struct content *content)
{
	struct content_pair *pair = &content->metadata[content->metadata_count];
	struct pbscan_field field;
	int got;

	if (content->metadata_count == CONTENT_METADATA_MAX) {
		return false;
	}
	*pair = (struct content_pair){0};
	while ((got = pbscan_next(&bytes, &field)) == 1) {
		if (field.number == P_KEY) {
			pair->key = field.bytes;
		} else if (field.number == P_VALUE) {
			pair->value = field.bytes;
		}
	}
	content->metadata_count++;
	return got == 0;
}

/* A later field of the same number wins here; the check refuses such bytes, for they are not
 * canonical. */
static bool take_field(const struct pbscan_field *field, struct content *content)
{
	switch (field->number) {
	case C_SERVICE:
		content->service = field->bytes;
		return true;
	case C_VERSION:
		content->version = field->bytes;
		return true;
	case C_ID:
		content->id = field->bytes;
		return true;
	case C_HOST:
		content->host = field->bytes;
		return true;
	case C_PORT:
		content->port = field->value > 65535 ? 0 : (uint16_t)field->value;
		return true;
	case C_PROTOCOL:
		content->protocol = field->bytes;
		return true;
	case C_WEIGHT:
		content->weight = field->value > UINT32_MAX ? UINT32_MAX : (uint32_t)field->value;
		return true;
	case C_HEALTH:
		if (field->value > INSTANCE_FAILING) {
			return false;
		}
		content->health = (enum instance_health)field->value;
		return true;
	case C_ZONE:
		content->zone = field->bytes;
		return true;
	case C_METADATA:
		return take_pair(field->bytes, content);
	default:
		return true;
	}
}

/* Unknown fields are skipped here; content_check refuses them, because they do not come out
 * again. */
bool content_decode(struct slice bytes, struct content *ret_content)
{
	struct pbscan_field field;
	int got;

	*ret_content = (struct content){0};
	while ((got = pbscan_next(&bytes, &field)) == 1) {
		if (!take_field(&field, ret_content)) {
			return false;
		}
	}
	return got == 0;
}

/* Printable ASCII without '/' (RD-02). */
static bool is_label(struct slice text, size_t most)
{
	if (text.size == 0 || text.size > most) {
		return false;
	}
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] <= 0x20 || text.data[i] >= 0x7f || text.data[i] == '/') {
			return false;
		}
	}
	return true;
}

/* CF-07: letters and digits, then also '.', '_', '-'; lower case. */
bool content_is_service_name(struct slice text)
{
	if (text.size == 0 || text.size > CONTENT_NAME_MAX) {
		return false;
	}
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];
		bool plain = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');

		if (!plain && (i == 0 || (byte != '.' && byte != '_' && byte != '-'))) {
			return false;
		}
	}
	return true;
}

/* No control bytes: these end up in terminals and headers. */
static bool is_text(struct slice text, size_t most)
{
	if (text.size > most) {
		return false;
	}
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < 0x20 || text.data[i] == 0x7f) {
			return false;
		}
	}
	return true;
}

/* Bounded one by one and together, since every watcher of the service keeps a copy (RD-02). */
static const char *check_metadata(const struct content *content)
{
	size_t total = 0;

	for (size_t i = 0; i < content->metadata_count; i++) {
		const struct content_pair *pair = &content->metadata[i];

		total += pair->key.size + pair->value.size;
		if (pair->key.size == 0 || !is_text(pair->key, KEY_MAX) ||
			!is_text(pair->value, VALUE_MAX) || total > METADATA_BYTES_MAX) {
			return "metadata";
		}
	}
	return NULL;
}

/* In the order of the fields, so that the first wrong one is named. */
const char *content_check(struct slice bytes, struct content *ret_content)
{
	struct content *content = ret_content;
	struct buf again;
	bool canonical;

	if (!content_decode(bytes, content)) {
		return "instance";
	}
	if (!content_is_service_name(content->service)) {
		return "service";
	}
	if (content->version.size > 0 && !is_label(content->version, VERSION_MAX)) {
		return "version";
	}
	if (!is_label(content->id, VERSION_MAX)) {
		return "id";
	}
	if (!is_label(content->host, CONTENT_NAME_MAX)) {
		return "host";
	}
	if (content->port == 0) {
		return "port";
	}
	if (content->weight > WEIGHT_MAX) {
		return "weight";
	}
	if (!is_text(content->zone, KEY_MAX) || !is_text(content->protocol, KEY_MAX)) {
		return "zone";
	}
	if (check_metadata(content)) {
		return "metadata";
	}
	buf_init(&again);
	content_encode(content, &again);
	canonical = slice_equal(buf_slice(&again), bytes);
	buf_fini(&again);
	return canonical ? NULL : "instance";
}

/* A version cannot contain a zero byte, so the two parts stay apart. */
void content_key(const struct content *content, struct buf *ret_key)
{
	ASSERT(content->id.size > 0);
	buf_append_slice(ret_key, content->version);
	buf_append_byte(ret_key, 0);
	buf_append_slice(ret_key, content->id);
}

/* Only what is said is written; a method is not idempotent unless its owner says so. */
void content_put_endpoint(struct buf *def, const struct content_endpoint *endpoint)
{
	size_t mark = pbscan_begin(def, E_ENDPOINT);

	ASSERT(endpoint->name.size > 0);
	put_text(def, E_NAME, endpoint->name);
	put_text(def, E_REQUEST, endpoint->request);
	put_text(def, E_RESPONSE, endpoint->response);
	if (endpoint->idempotent) {
		pbscan_put_varint(def, E_IDEMPOTENT, 1);
	}
	pbscan_end(def, mark);
}

/* Methods of a version, one at a time: they are walked more often than they are kept. */
int content_next_endpoint(struct slice *rest, struct content_endpoint *ret_endpoint)
{
	struct content_endpoint endpoint = {0};
	struct pbscan_field field;
	struct slice inner;
	int got = pbscan_next(rest, &field);

	if (got != 1) {
		return got;
	}
	inner = field.bytes;
	if (field.number != E_ENDPOINT || field.wire_type != 2) {
		return -EBADMSG;
	}
	while ((got = pbscan_next(&inner, &field)) == 1) {
		if (field.number == E_NAME) {
			endpoint.name = field.bytes;
		} else if (field.number == E_REQUEST) {
			endpoint.request = field.bytes;
		} else if (field.number == E_RESPONSE) {
			endpoint.response = field.bytes;
		} else if (field.number == E_IDEMPOTENT) {
			endpoint.idempotent = field.value != 0;
		}
	}
	if (got < 0 || endpoint.name.size == 0) {
		return -EBADMSG;
	}
	*ret_endpoint = endpoint;
	return 1;
}
