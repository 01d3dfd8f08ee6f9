#include "http/h1_codec.h"
#include "http/h1_framing.h"

/* Bytes nobody asked for (H1-32): counted, dropped, and never taken for a response. */
static void h1_client_unasked(struct h1 *h1)
{
	struct codec *codec = &h1->codec;

	ASSERT(codec->in.size > 0);
	h1_note_refused(h1);
	codec->unsolicited_bytes += codec->in.size;
	chain_clear(&codec->in);
	h1->poisoned = true;
}

/* a summary word for the client, the broken rule for the log. */
static void h1_client_break(struct h1 *h1, enum reason detail)
{
	h1_note_refused(h1);
	h1->codec.detail = detail;
	h1_fail(h1, detail == REASON_head_too_large || detail == REASON_too_many_fields ||
				    detail == REASON_uri_too_long
			    ? REASON_upstream_head_too_large
			    : REASON_upstream_protocol);
}

/* True: read on. */
static bool h1_client_take_interim(struct h1 *h1, struct h1_message *message)
{
	struct stream *stream = &h1->stream;

	h1->interims++;
	/* H1-33: nobody asked for 101. */
	if (h1->interims > h1->codec.limits->interim_responses || message->head->status == 101) {
		h1_client_break(h1, REASON_upstream_protocol);
		return false;
	}
	/* H1-28 */
	h1->poisoned = h1->poisoned || h1_framing_stray(message) || message->head->close;
	/* H1-34: 100 ends at this hop. */
	if (message->head->status != 100) {
		h1->callbacks++;
		stream->ops->on_head(stream, message->head, false);
		h1->callbacks--;
	}
	return !h1->released;
}

/* H1-28: a 204 with framing fields is passed without them and costs the connection; only an
 * explicit zero is harmless. */
static bool h1_client_stray(const struct h1_message *message)
{
	return message->head->status == 204 && h1_framing_stray(message) &&
	       (message->transfer_encoding.count > 0 || message->content_length.count > 1 ||
		       !slice_equal(message->content_length.value, SLICE("0")));
}

/* The response that counts. True: its body follows. */
static bool h1_client_take_final(struct h1 *h1, struct h1_message *message)
{
	struct codec *codec = &h1->codec;
	struct stream *stream = &h1->stream;
	struct head *head = message->head;
	bool legal;
	bool end;

	if (!h1_framing_response(message, h1->method == METHOD_HEAD)) {
		h1_client_break(h1, message->reason);
		return false;
	}
	end = head->body == BODY_NONE || (head->body == BODY_LENGTH && head->length == 0);
	legal = body_account_head(&h1->account_in, head->body, head->length, end);
	ASSERT(legal);
	h1_chunked_init(&h1->chunked, codec->limits->chunk_ext_bytes);
	/* C-02 */
	h1->poisoned = h1->poisoned || head->close || head->body == BODY_UNTIL_CLOSE ||
		       h1_client_stray(message);
	codec->keep_alive_s = message->keep_alive_s;
	h1->head_in = true;
	stream->ended_in = end;
	h1->callbacks++;
	stream->ops->on_head(stream, head, end);
	h1->callbacks--;
	return !end && !h1->released;
}

/* True: something was read and there may be more. */
static bool h1_client_read_head(struct h1 *h1)
{
	struct h1_message message;
	ssize_t used;

	if (h1->codec.in.size == 0) {
		return false;
	}
	used = h1_try_head(h1, &message, HEAD_RESPONSE);
	if (used < 0) {
		h1_client_break(h1, message.reason);
		return false;
	}
	if (used == 0) {
		return false;
	}
	return message.head->kind == HEAD_INTERIM ? h1_client_take_interim(h1, &message)
						  : h1_client_take_final(h1, &message);
}

/* The peer's direction ended, and all that came before was read. */
static void h1_client_end_of_input(struct h1 *h1)
{
	struct stream *stream = &h1->stream;
	bool reset = h1->codec.input_error != 0;

	if (!h1->active) {
		h1->codec.closing = true;
		return;
	}
	h1->poisoned = true;
	if (h1->failed || stream->ended_in) {
		/* What is left of the request has no reader. */
		h1->gone = h1->gone || !h1->end_written;
		return;
	}
	if (!h1->head_in) {
		h1_fail(h1, reset ? REASON_upstream_reset : REASON_upstream_closed);
		return;
	}
	/* H1-30: a clean close is the end of a body without framing, and of no other. */
	if (h1->account_in.kind == BODY_UNTIL_CLOSE && !reset) {
		h1_body_end(h1);
		return;
	}
	h1_fail(h1, REASON_upstream_truncated);
}

/* The request's first byte was handed over, so that bytes may be a response. */
static bool h1_client_asked(const struct h1 *h1)
{
	return h1->active && h1->stream.head_out && h1->codec.produced > h1->stream.head_begin;
}

/* Bytes that came while no response was due. */
static void h1_client_reject(struct h1 *h1)
{
	h1_client_unasked(h1);
	if (h1->active) {
		h1_fail(h1, REASON_upstream_closed);
	} else {
		h1->codec.closing = true;
	}
}

void h1_client_receive(struct h1 *h1)
{
	struct codec *codec = &h1->codec;
	struct stream *stream = &h1->stream;
	bool more = true;

	if (h1->broken_out && h1->active && !h1->failed) {
		h1_fail(h1, REASON_internal_error);
	}
	if (codec->in.size > 0 && !h1->failed && !h1_client_asked(h1)) {
		h1_client_reject(h1);
	}
	while (more && h1->active && !h1->failed && !h1->released && !stream->ended_in) {
		more = h1->head_in ? h1_body_read(h1) : h1_client_read_head(h1);
	}
	if (codec->in.size > 0 && stream->ended_in && !h1->failed) {
		h1_client_unasked(h1);
	}
	/* A connection that failed is not asked again when bytes that wait have credit. */
	if (h1->eof && (!h1->stalled || codec->input_error != 0) && !codec->closing) {
		h1_client_end_of_input(h1);
	}
}

/* H1-42 for requests: how the end of the body is told. */
static void h1_client_frame(struct h1 *h1, bool end, struct h1_head_out *out)
{
	const struct head *head = out->head;

	if (head->body == BODY_LENGTH) {
		h1->framing = H1_OUT_LENGTH;
		out->has_length = true;
		out->length = head->length;
		return;
	}
	if (!end && head->body != BODY_NONE) {
		h1->framing = H1_OUT_CHUNKED;
		out->chunked = true;
		return;
	}
	h1->framing = H1_OUT_NONE;
	out->has_length = head->method != METHOD_GET && head->method != METHOD_HEAD &&
			  head->method != METHOD_DELETE && head->method != METHOD_OPTIONS;
}

/* head_begin and head_end tell later how far the request got (MT-01). */
static int h1_client_send_request(struct h1 *h1, const struct head *head, bool end)
{
	struct codec *codec = &h1->codec;
	struct stream *stream = &h1->stream;
	struct h1_head_out out = {.head = head};
	bool legal;
	int result;

	ASSERT(!stream->head_out && head->method_text.size > 0);
	/* Tunnels are not carried here: a path is always there. */
	ASSERT(head->method != METHOD_CONNECT && head->path.size > 0);
	h1_client_frame(h1, end, &out);
	stream->head_begin = codec->produced + h1->pending.size;
	result = h1_write_head(h1, &out);
	if (result < 0) {
		return result;
	}
	legal = body_account_head(&h1->account_out,
		h1->framing == H1_OUT_LENGTH ? BODY_LENGTH
		: h1->framing == H1_OUT_NONE ? BODY_NONE
					     : BODY_UNKNOWN,
		out.length, false);
	ASSERT(legal);
	h1->method = head->method;
	stream->head_end = codec->produced + h1->pending.size;
	stream->head_out = true;
	stream->ended_out = end;
	return 0;
}

int h1_client_send_head(struct h1 *h1, const struct head *head, bool end)
{
	if (head->kind == HEAD_REQUEST) {
		return h1_client_send_request(h1, head, end);
	}
	/* an HTTP/1 upstream never gets trailers; they still end the body. */
	ASSERT(head->kind == HEAD_TRAILERS && h1->stream.head_out);
	h1->codec.trailers_dropped += head->field_count;
	h1->stream.ended_out = true;
	return 0;
}
