/*
 * content: what an instance says of itself, and the methods of a version, as canonical bytes:
 * fixed field order, metadata sorted, so that equal means byte-equal everywhere (registry.md RD-02,
 * RD-03). The registry stores and forwards these bytes; sidecars read them. Pure.
 */
#ifndef PILLION_RAFTREG_CONTENT_H
#define PILLION_RAFTREG_CONTENT_H

#include "base/buf.h"
#include "upstream/instance.h"

/* RD-02's limits. They hold for what the registry accepts; what it once stored is
 * only decoded. */
#define CONTENT_METADATA_MAX  64
#define CONTENT_ENDPOINTS_MAX 1024
#define CONTENT_DEF_MAX	      (64u * 1024)
#define CONTENT_NAME_MAX      253

/* All slices point into the bytes that were decoded, or into the caller's own
 * memory. */
struct content_pair {
	struct slice key, value;
};

struct content {
	struct slice service, version, id; /* id: 32 hex digits for sidecars */
	struct slice host, zone, protocol;
	uint16_t port;
	uint32_t weight;
	enum instance_health health;
	struct content_pair metadata[CONTENT_METADATA_MAX];
	size_t metadata_count;
};

/* CF-07's form of a service's name. */
bool content_is_service_name(struct slice text);
/* Sorts the metadata. */
void content_encode(struct content *content, struct buf *ret_bytes);
/* NULL, or the path of the first field that is wrong (a static text). Checks RD-02's forms and that
 * the bytes are canonical. */
const char *content_check(struct slice bytes, struct content *ret_content);
/* As stored: was checked once. False when malformed all the same. */
bool content_decode(struct slice bytes, struct content *ret_content);
/* version NUL id */
void content_key(const struct content *content, struct buf *ret_key);

struct content_endpoint {
	struct slice name, request, response;
	bool idempotent;
};
/* A definition is a row of endpoints, appended one by one; all instances of a
 * version share it (RD-01). */
void content_put_endpoint(struct buf *def, const struct content_endpoint *endpoint);
/* Takes the next endpoint off; 1, 0 at the end, -EBADMSG. */
int content_next_endpoint(struct slice *rest, struct content_endpoint *ret_endpoint);

#endif
