/*
 * replay: the request body kept for a repetition (docs/rules/mesh.md MT-06, http.md B-10): at most
 * replay_bytes per exchange and a total per worker. When a bound is passed the copy is dropped and
 * the exchange goes on without repetition. Bytes are shared, not copied. One thread.
 */
#ifndef PILLION_EXCHANGE_REPLAY_H
#define PILLION_EXCHANGE_REPLAY_H

#include "base/chain.h"

struct replay_bank { /* one per worker */
	size_t used;
	size_t total;
};

struct replay {
	struct chain kept;
	struct replay_bank *bank;
	size_t most;
	bool dropped; /* a bound was passed: the body cannot be sent again */
	bool closed;  /* no repetition will be needed: nothing is kept any more */
};

void replay_init(struct replay *replay, struct replay_bank *bank, size_t most);
/* Keeps all of `body` beside what was kept before. */
void replay_keep(struct replay *replay, const struct chain *body);
/* Puts everything kept before what `body` holds; the copy starts anew. */
void replay_rewind(struct replay *replay, struct chain *body);
/* Frees it for good: a response byte was forwarded, or the exchange ends. Idempotent. */
void replay_close(struct replay *replay);

#endif
