#include "http/h1_framing.h"

#include "http/h1_scan.h"
#include "http/target.h"

/* H1-14: 2^63 - 1 has 19 digits. */
#define H1_FRAMING_DIGITS_MAX 19

/* H1-13 */
static bool h1_framing_check_host(struct h1_message *message)
{
	struct head *head = message->head;
	struct slice authority = {NULL, 0};
	bool absent = message->host.count == 0;

	if (message->host.count > 1 || (absent && head->version != HTTP_1_0)) {
		return false;
	}
	if (!absent && !target_normalise_authority(head->arena, message->host.value, &authority)) {
		return false;
	}
	/* U-02: the authority of an absolute target, or of CONNECT, replaces it. */
	if (head->authority.size == 0) {
		head->authority = authority;
	}
	return true;
}

/* H1-14. message->length when it is valid. */
static bool h1_framing_check_length(struct h1_message *message)
{
	const struct h1_framing_field *field = &message->content_length;

	ASSERT(field->count > 0);
	return field->count == 1 && field->value.size <= H1_FRAMING_DIGITS_MAX &&
	       slice_parse_u64(field->value, INT64_MAX, &message->length);
}

/* RFC 9110 5.6.2 */
static bool h1_framing_is_token(struct slice text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (h1_scan_lower[text.data[i]] == 0) {
			return false;
		}
	}
	return text.size > 0;
}

/* H1-15: `chunked` alone is taken. A well-formed list of other codings is 501, all else 400. */
static bool h1_framing_check_coding(struct h1_message *message)
{
	struct slice rest = message->transfer_encoding.value;
	struct slice chunked = SLICE("chunked");
	bool last_was_chunked = false;
	bool more;

	message->reason = REASON_bad_transfer_coding;
	message->http = 400;
	if (message->transfer_encoding.count > 1 || message->head->version == HTTP_1_0) {
		return false;
	}
	if (slice_equal_fold(rest, chunked)) {
		message->reason = REASON_ok;
		message->http = 0;
		message->chunked = true;
		return true;
	}
	do {
		size_t comma = slice_find(rest, ',');
		struct slice coding = slice_trim(slice_make(rest.data, comma));

		/* `chunked` may stand once, at the end. */
		if (!h1_framing_is_token(coding) || last_was_chunked) {
			return false;
		}
		last_was_chunked = slice_equal_fold(coding, chunked);
		more = comma < rest.size;
		rest = slice_from(rest, comma + 1);
	} while (more);
	message->http = 501;
	return false;
}

/* H1-14 to H1-16: both framings checked. False: message->reason. */
static bool h1_framing_check(struct h1_message *message)
{
	if (message->content_length.count > 0 && message->transfer_encoding.count > 0) {
		message->reason = REASON_length_and_coding;
		return false;
	}
	if (message->transfer_encoding.count > 0) {
		return h1_framing_check_coding(message);
	}
	if (message->content_length.count > 0 && !h1_framing_check_length(message)) {
		message->reason = REASON_bad_length;
		return false;
	}
	return true;
}

/* H1-17, after the framing fields were found valid. */
static void h1_framing_set_body(struct h1_message *message, enum body_kind otherwise)
{
	struct head *head = message->head;

	head->body = otherwise;
	head->length = 0;
	if (message->chunked) {
		head->body = BODY_UNKNOWN;
	} else if (message->content_length.count > 0) {
		head->body = BODY_LENGTH;
		head->length = message->length;
	}
}

bool h1_framing_request(struct h1_message *message)
{
	struct head *head = message->head;
	bool has_framing = message->content_length.count + message->transfer_encoding.count > 0;

	if (!h1_framing_check_host(message)) {
		message->reason = REASON_bad_host;
		return false;
	}
	/* TN-01: CONNECT has no body. */
	if (head->method == METHOD_CONNECT && has_framing) {
		message->reason = REASON_bad_target;
		return false;
	}
	if (!h1_framing_check(message)) {
		return false;
	}
	h1_framing_set_body(message, BODY_NONE);
	if (message->expect.count == 0) {
		return true;
	}
	if (message->expect.count > 1 ||
		!slice_equal_fold(message->expect.value, SLICE("100-continue"))) {
		message->reason = REASON_expectation_failed;
		return false;
	}
	/* H1-20: ignored in 1.0 and without a body. */
	head->expect_continue =
		head->version == HTTP_1_1 && (head->body == BODY_UNKNOWN || head->length > 0);
	return true;
}

bool h1_framing_stray(const struct h1_message *message)
{
	return message->content_length.count + message->transfer_encoding.count > 0;
}

bool h1_framing_response(struct h1_message *message, bool asked_head)
{
	struct head *head = message->head;

	ASSERT(head->kind == HEAD_RESPONSE || head->kind == HEAD_INTERIM);
	head->body = BODY_NONE;
	if (head->kind == HEAD_INTERIM || head->status == 204) {
		return true;
	}
	if (!h1_framing_check(message)) {
		return false;
	}
	if (asked_head || head->status == 304) {
		/* MM-04 */
		head->has_declared_length = message->content_length.count > 0;
		head->declared_length = message->length;
		return true;
	}
	h1_framing_set_body(message, BODY_UNTIL_CLOSE);
	return true;
}
