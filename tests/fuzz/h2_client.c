/* Frames into a client session with four requests under way: GET, HEAD and two POST, one of which
 * has a long body. Byte 0 seeds the owner and the splits. */
#include "h2_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_request(struct h2_fuzz *fuzz, enum method method, size_t body)
{
	static const uint8_t zeros[1000];
	struct stream *stream = fuzz->codec->ops->open(fuzz->codec);
	struct head head;

	ASSERT(stream);
	h2_fuzz_adopt(fuzz, stream);
	head_init(&head, &stream->arena, HEAD_REQUEST);
	head_set_method(&head, method, method_name(method));
	head.authority = SLICE("a");
	head.path = SLICE("/");
	head.body = body > 0 ? BODY_UNKNOWN : BODY_NONE;
	ASSERT(fuzz->codec->ops->send_head(stream, &head, body == 0) == 0);
	if (body > 0) {
		while (stream->out.size < body) {
			chain_append_copy(&stream->out, &fuzz->pool, zeros, sizeof(zeros));
		}
		fuzz->codec->ops->send_more(stream, body < 1000000);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char preface[] = "\0\0\0\4\0\0\0\0\0"
				      "\0\0\0\4\1\0\0\0\0";
	static struct h2_fuzz fuzz;

	if (size < 1) {
		return 0;
	}
	h2_fuzz_init(&fuzz, true, data[0]);
	open_request(&fuzz, METHOD_GET, 0);
	open_request(&fuzz, METHOD_HEAD, 0);
	open_request(&fuzz, METHOD_POST, 100000);
	open_request(&fuzz, METHOD_POST, 1000000);
	h2_fuzz_feed(&fuzz, (const uint8_t *)preface, sizeof(preface) - 1);
	h2_fuzz_run(&fuzz, data + 1, size - 1);
	return 0;
}
