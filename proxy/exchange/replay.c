/*
 * replay: bytes are kept by taking another reference to the blocks that hold them. The moment when
 * they are taken is the one when they leave the exchange's own hands (towards filters that may eat
 * them, and the upstream), so a rewind only has to put them back in front.
 */
#include "exchange/replay.h"

#include "base/assert.h"

void replay_init(struct replay *replay, struct replay_bank *bank, size_t most)
{
	ASSERT(bank != NULL);
	chain_init(&replay->kept);
	replay->bank = bank;
	replay->most = most;
	replay->dropped = false;
	replay->closed = false;
}

static void replay_clear(struct replay *replay)
{
	ASSERT(replay->bank->used >= replay->kept.size);
	replay->bank->used -= replay->kept.size;
	chain_clear(&replay->kept);
}

void replay_keep(struct replay *replay, const struct chain *body)
{
	if (replay->closed || replay->dropped || body->size == 0) {
		return;
	}
	/* 65,536 bytes can be sent again, 65,537 cannot; a full bank counts the same (C-08). */
	if (replay->kept.size + body->size > replay->most ||
		replay->bank->used + body->size > replay->bank->total) {
		replay_clear(replay);
		replay->dropped = true;
		return;
	}
	chain_share(&replay->kept, body, 0, body->size);
	replay->bank->used += body->size;
	ASSERT(replay->bank->used <= replay->bank->total);
}

void replay_rewind(struct replay *replay, struct chain *body)
{
	ASSERT(!replay->dropped && !replay->closed);
	replay->bank->used -= replay->kept.size;
	chain_move(&replay->kept, body);
	chain_move(body, &replay->kept);
}

void replay_close(struct replay *replay)
{
	if (!replay->closed) {
		replay_clear(replay);
		chain_fini(&replay->kept);
		replay->closed = true;
	}
}
