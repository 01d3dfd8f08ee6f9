/*
 * forward: heads are edited in place. A request head is edited once for the exchange (trust,
 * hop-by- hop, Via, origin) and once for each attempt (own fields of that leg), so the second part
 * must be able to replace what it wrote before.
 */
#include "exchange/forward.h"

#include <stdio.h>

#include "base/buf.h"
#include "http/fields.h"
#include "http/grpc.h"

/* M0: bounds of the values of own fields. */
#define FORWARD_ATTEMPT_MAX 99
#define FORWARD_HOPS_MAX    10
/* F-07 */
#define FORWARD_VIA_MAX 10

static bool forward_is_own(const struct field *field)
{
	return field->name.size > 10 && field->name.data[0] == 'x' && fields_is_identity(field);
}

static bool forward_has_own(const struct head *head)
{
	for (uint32_t i = 0; i < head->field_count; i++) {
		if (forward_is_own(&head->fields[i])) {
			return true;
		}
	}
	return false;
}

/* M0-05: what each sender may say. A name that nobody knows is nobody's to send, but for the rows
 * of the own broker. */
static bool forward_believed(enum forward_peer peer, const struct field *field)
{
	enum token token = (enum token)field->token;

	switch (peer) {
	case FORWARD_FROM_SELF:
		return true;
	case FORWARD_FROM_MESH:
		return token != TOKEN_NONE;
	case FORWARD_FROM_APP:
		return token == TOKEN_x_pillion_service || token == TOKEN_x_pillion_deadline ||
		       token == TOKEN_x_pillion_attempt || token == TOKEN_x_pillion_debug ||
		       token == TOKEN_x_pillion_ttl || token == TOKEN_x_pillion_durability ||
		       slice_equal(field->name, SLICE("x-pillion-delay"));
	case FORWARD_FROM_OTHER:
		return token == TOKEN_x_pillion_deadline;
	}
	return false;
}

struct forward_trusting {
	enum forward_peer peer;
	unsigned stripped;
};

static bool forward_drop_untrusted(const struct field *field, void *context)
{
	struct forward_trusting *trusting = context;

	if (!forward_is_own(field) || forward_believed(trusting->peer, field)) {
		return false;
	}
	trusting->stripped++;
	return true;
}

/* The one field of that name with a number in 1..max, else 0 and the fields are deleted. */
static uint64_t forward_take_number(struct head *head, enum token token, uint64_t max)
{
	const struct field *field = head_find(head, token);
	uint64_t number = 0;

	if (field == NULL) {
		return 0;
	}
	if (head_find_next(head, field) != NULL || !slice_parse_u64(field->value, max, &number)) {
		number = 0;
	}
	head_remove(head, token);
	return number;
}

unsigned forward_trust(struct head *head, enum forward_peer peer, struct forward_wishes *ret_wishes)
{
	struct forward_trusting trusting = {peer, 0};
	const struct field *service;

	*ret_wishes = (struct forward_wishes){.service = {NULL, 0}};
	if (!forward_has_own(head)) {
		return 0;
	}
	head_remove_if(head, forward_drop_untrusted, &trusting);
	service = head_find(head, TOKEN_x_pillion_service);
	if (service != NULL && head_find_next(head, service) == NULL) {
		ret_wishes->service = service->value;
	}
	head_remove(head, TOKEN_x_pillion_service);
	ret_wishes->deadline_ms =
		forward_take_number(head, TOKEN_x_pillion_deadline, FIELDS_DEADLINE_MAX_MS);
	ret_wishes->attempt =
		(uint32_t)forward_take_number(head, TOKEN_x_pillion_attempt, FORWARD_ATTEMPT_MAX);
	ret_wishes->hops =
		(uint32_t)forward_take_number(head, TOKEN_x_pillion_hops, FORWARD_HOPS_MAX);
	ret_wishes->debug = slice_equal(head_value(head, TOKEN_x_pillion_debug), SLICE("1"));
	head_remove(head, TOKEN_x_pillion_debug);
	return trusting.stripped;
}

/* Entries of a Via value that are ours, or the very one of this sidecar and direction. */
static bool forward_via_loops(struct slice list, struct slice own, unsigned *entries)
{
	while (list.size > 0) {
		size_t comma = slice_find(list, ',');
		struct slice entry = slice_trim(slice_make(list.data, comma));
		size_t blank = slice_find(entry, ' ');
		struct slice by = slice_trim(slice_from(entry, blank));

		by.size = slice_find(by, ' ');
		if (slice_equal(by, own)) {
			return true;
		}
		if (slice_starts_with(by, SLICE("pillion-")) && ++*entries > FORWARD_VIA_MAX) {
			return true;
		}
		list = slice_from(list, comma + 1 < list.size ? comma + 1 : list.size);
	}
	return false;
}

bool forward_is_loop(const struct head *head, struct slice own_via)
{
	const struct field *field = head_find(head, TOKEN_via);
	struct slice own = slice_from(own_via, slice_find(own_via, ' ') + 1);
	unsigned entries = 0;

	ASSERT(own.size > 0);
	for (; field != NULL; field = head_find_next(head, field)) {
		if (forward_via_loops(field->value, own, &entries)) {
			return true;
		}
	}
	return false;
}

struct slice forward_via(enum http_version version, bool inbound, const char *id8, char *ret_text)
{
	const char *number = version == HTTP_2 ? "2" : version == HTTP_1_0 ? "1.0" : "1.1";
	int size = snprintf(ret_text, 32, "%s pillion-%c-%s", number, inbound ? 'i' : 'o', id8);

	ASSERT(size > 0 && size < 32);
	return slice_make(ret_text, (size_t)size);
}

/* Most heads hold none of these; the index says so without a walk. */
static void forward_remove_hop_by_hop(struct head *head)
{
	static const uint8_t tokens[] = {TOKEN_connection, TOKEN_keep_alive, TOKEN_proxy_connection,
		TOKEN_te, TOKEN_transfer_encoding, TOKEN_upgrade, TOKEN_http2_settings,
		TOKEN_proxy_authorization, TOKEN_proxy_authenticate, TOKEN_content_length,
		TOKEN_expect};
	bool found = false;

	for (size_t i = 0; i < sizeof(tokens); i++) {
		found = found || head->first[tokens[i]] != 0;
	}
	if (found) {
		fields_remove_hop_by_hop(head);
		/* The expectation ends here: 100 is ours to send (H1-37). */
		head_remove(head, TOKEN_expect);
	}
}

static bool forward_drop_forwarding(const struct field *field, void *context)
{
	(void)context;
	return field->token == TOKEN_x_forwarded_for || field->token == TOKEN_x_forwarded_host ||
	       field->token == TOKEN_x_forwarded_port || field->token == TOKEN_x_forwarded_proto ||
	       field->token == TOKEN_x_real_ip || field->token == TOKEN_forwarded;
}

/* RFC 7239: an IPv6 address stands in brackets and quotes. */
static void forward_extend_forwarded(struct head *head, struct slice host)
{
	bool v6 = slice_find(host, ':') < host.size;
	struct buf text;

	buf_init(&text);
	buf_append_string(&text, v6 ? "for=\"[" : "for=");
	buf_append_slice(&text, host);
	buf_append_string(&text, v6 ? "]\"" : "");
	head_add_token(head, TOKEN_forwarded, buf_slice(&text));
	buf_fini(&text);
}

/* F-06 */
static void forward_set_origin(struct head *head, const struct forward_hop *hop)
{
	if (hop->peer == FORWARD_FROM_OTHER) {
		head_remove_if(head, forward_drop_forwarding, NULL);
		head_add_borrowed(head, TOKEN_x_forwarded_proto,
			token_name(TOKEN_x_forwarded_proto), SLICE("http"));
		if (head->authority.size > 0) {
			head_add_borrowed(head, TOKEN_x_forwarded_host,
				token_name(TOKEN_x_forwarded_host), head->authority);
		}
	} else if (head_find(head, TOKEN_forwarded) != NULL && hop->peer_host.size > 0) {
		forward_extend_forwarded(head, hop->peer_host);
	}
	if (hop->peer_host.size > 0) {
		/* One more line of a list field means the same as one more element. */
		head_add_borrowed(head, TOKEN_x_forwarded_for, token_name(TOKEN_x_forwarded_for),
			hop->peer_host);
	}
}

void forward_request(struct head *head, const struct forward_hop *hop)
{
	ASSERT(head->kind == HEAD_REQUEST);
	forward_remove_hop_by_hop(head);
	if (hop->inbound && hop->peer != FORWARD_FROM_SELF) {
		forward_set_origin(head, hop);
	}
	if (hop->via.size > 0) {
		head_add_borrowed(head, TOKEN_via, token_name(TOKEN_via), hop->via);
	}
}

/* Replaces: the field may stand there from the attempt before. */
static void forward_add_number(struct head *head, enum token token, uint64_t number)
{
	char text[24];
	int size = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);

	ASSERT(size > 0);
	head_set(head, token, slice_make(text, (size_t)size));
}

/* MD-02: what is left now, never less than one unit. */
static void forward_deadline(struct head *head, const struct forward_leg *leg)
{
	char text[16];
	uint64_t ms = leg->left_ns / 1000000;

	if (leg->left_ns == UINT64_MAX) {
		return;
	}
	if (leg->mesh || leg->own_app) {
		ms = ms > 0 ? ms : 1;
		ms = ms < FIELDS_DEADLINE_MAX_MS ? ms : FIELDS_DEADLINE_MAX_MS;
		forward_add_number(head, TOKEN_x_pillion_deadline, ms);
	}
	if (leg->grpc) {
		grpc_format_timeout(leg->left_ns > 0 ? leg->left_ns : 1, text);
		head_set(head, TOKEN_grpc_timeout, slice_from_string(text));
	}
}

static bool forward_drop_own(const struct field *field, void *context)
{
	(void)context;
	return forward_is_own(field);
}

void forward_attempt(struct head *head, const struct forward_leg *leg)
{
	if (!leg->keep_broker && forward_has_own(head)) {
		head_remove_if(head, forward_drop_own, NULL);
	}
	if (leg->mesh) {
		head_add_borrowed(head, TOKEN_x_pillion_service,
			token_name(TOKEN_x_pillion_service), leg->service);
		forward_add_number(head, TOKEN_x_pillion_hops, leg->hops);
	}
	if (leg->attempt >= 2) {
		forward_add_number(head, TOKEN_x_pillion_attempt, leg->attempt);
		if (leg->grpc) {
			forward_add_number(
				head, TOKEN_grpc_previous_rpc_attempts, leg->attempt - 1);
		}
	}
	forward_deadline(head, leg);
	/* G-03, X-08: the HTTP/2 writer says `te: trailers`. */
	head->te_trailers = head->te_trailers || leg->grpc;
	head->expect_continue = false;
	head->close = false;
}

struct forward_keeping {
	bool from_mesh;
	bool keep_ack;
	unsigned removed;
};

static bool forward_drop_response(const struct field *field, void *context)
{
	struct forward_keeping *keeping = context;

	if (!forward_is_own(field)) {
		return false;
	}
	if (keeping->from_mesh && (field->token == TOKEN_x_pillion_reason ||
					  field->token == TOKEN_x_pillion_outcome ||
					  field->token == TOKEN_x_pillion_registry ||
					  field->token == TOKEN_x_pillion_instance ||
					  field->token == TOKEN_x_pillion_attempts)) {
		return false;
	}
	if (keeping->keep_ack && field->token == TOKEN_x_pillion_ack) {
		return false;
	}
	keeping->removed++;
	return true;
}

unsigned forward_response(struct head *head, bool from_mesh, bool keep_ack, struct slice via)
{
	struct forward_keeping keeping = {from_mesh, keep_ack, 0};

	ASSERT(head->kind != HEAD_REQUEST);
	if (forward_has_own(head)) {
		head_remove_if(head, forward_drop_response, &keeping);
	}
	if (head->kind == HEAD_TRAILERS) {
		return keeping.removed + fields_filter_trailers(head);
	}
	forward_remove_hop_by_hop(head);
	head->close = false;
	if (via.size > 0) {
		head_add_borrowed(head, TOKEN_via, token_name(TOKEN_via), via);
	}
	return keeping.removed;
}
