/*
 * body_account: the one place that compares what a head promised of its body with what came or went
 * (http.md MM-05 to MM-07). Both codecs call it for each head, piece, trailer section and end, in
 * both directions. A failure is a cut, and it stays: a body that failed never ends cleanly. A
 * value; pure.
 */
#ifndef PILLION_HTTP_BODY_ACCOUNT_H
#define PILLION_HTTP_BODY_ACCOUNT_H

#include "base/assert.h"
#include "http/head.h"

enum body_state {
	BODY_STATE_HEAD,
	BODY_STATE_OPEN,
	BODY_STATE_TRAILERS,
	BODY_STATE_ENDED,
	BODY_STATE_FAILED
};

struct body_account {
	enum body_state state;
	enum body_kind kind;
	uint64_t promised; /* BODY_LENGTH */
	uint64_t received;
};

/* Before the head. */
void body_account_init(struct body_account *account);
/* The final head; end: nothing follows it. False: an end on a head that promised bytes. */
MUST_CHECK bool body_account_head(
	struct body_account *account, enum body_kind kind, uint64_t length, bool end);
/* One piece. False: more than promised, or bytes where none may be. */
MUST_CHECK bool body_account_data(struct body_account *account, uint64_t size);
/* A trailer section, which ends the data. False: fewer bytes than promised. */
MUST_CHECK bool body_account_trailers(struct body_account *account);
/* The mark that ends the body. False: fewer bytes than promised, or a second end. */
MUST_CHECK bool body_account_end(struct body_account *account);
/* Bytes still owed by a BODY_LENGTH body; 0 for all others. */
uint64_t body_account_rest(const struct body_account *account);
/* Ended, and exactly. */
bool body_account_clean(const struct body_account *account);

#endif
