/* h2_fuzz: a fuzzed HTTP/2 codec from its creation to its end, fed in pieces of seeded sizes. */
#ifndef PILLION_FUZZ_H2_FUZZ_H
#define PILLION_FUZZ_H2_FUZZ_H

#include "h2_owner.h"

static inline void h2_fuzz_adopt(struct h2_fuzz *fuzz, struct stream *stream)
{
	struct h2_fuzz_stream *own = &fuzz->streams[fuzz->count++];

	ASSERT(fuzz->count < H2_FUZZ_STREAMS);
	*own = (struct h2_fuzz_stream){.stream = stream, .fuzz = fuzz};
	stream->ops = &h2_fuzz_ops;
	stream->owner = own;
}

static inline void h2_fuzz_on_stream(struct codec *codec, struct stream *stream)
{
	h2_fuzz_adopt(codec->owner, stream);
}

static inline void h2_fuzz_on_change(struct codec *codec)
{
	ASSERT(codec->owner);
}

static const struct codec_events h2_fuzz_events = {
	.on_stream = h2_fuzz_on_stream, .on_change = h2_fuzz_on_change};

static inline void h2_fuzz_init(struct h2_fuzz *fuzz, bool client, uint32_t seed)
{
	struct codec_options options = {.events = &h2_fuzz_events,
		.owner = fuzz,
		.pool = &fuzz->pool,
		.limits = &fuzz->limits,
		.now_ms = 1,
		.client = client};

	fuzz->count = 0;
	fuzz->now_ms = 1;
	fuzz->choices = seed;
	block_pool_init(&fuzz->pool, 8);
	http_limits_default(&fuzz->limits);
	chain_init(&fuzz->out);
	fuzz->codec = h2_create(&options);
}

static inline void h2_fuzz_feed(struct h2_fuzz *fuzz, const uint8_t *data, size_t size)
{
	struct codec *codec = fuzz->codec;

	fuzz->now_ms += h2_fuzz_choose(fuzz, 50);
	if (!codec->closing) {
		chain_append_copy(&codec->in, &fuzz->pool, data, size);
	}
	codec->ops->receive(codec, false, fuzz->now_ms);
	for (int i = 0; i < 4 && codec->has_output; i++) {
		codec->ops->produce(codec, &fuzz->out, h2_fuzz_choose(fuzz, 70000));
		chain_clear(&fuzz->out);
	}
	ASSERT(fuzz->pool.live_bytes < 64u * 1024 * 1024);
}

/* In pieces whose sizes the seed chooses; then the end of the connection. */
static inline void h2_fuzz_run(struct h2_fuzz *fuzz, const uint8_t *data, size_t size)
{
	uint32_t most = 1 + h2_fuzz_choose(fuzz, 4) * 400;

	while (size > 0) {
		size_t part = 1 + h2_fuzz_choose(fuzz, most);

		part = part < size ? part : size;
		h2_fuzz_feed(fuzz, data, part);
		data += part;
		size -= part;
	}
	fuzz->codec->ops->receive(fuzz->codec, true, fuzz->now_ms);
	for (size_t i = 0; i < fuzz->count; i++) {
		if (fuzz->streams[i].stream) {
			h2_fuzz_let_go(&fuzz->streams[i], REASON_shutdown);
		}
	}
	ASSERT(fuzz->codec->streams_active == 0);
	fuzz->codec->ops->destroy(fuzz->codec);
	chain_fini(&fuzz->out);
	block_pool_fini(&fuzz->pool);
}

#endif
