/*
 * pipe: one direction of an exchange on its way through a run of filters (filters.md 1): at most
 * one event (a head, a piece of body, trailers) is under way; the next one starts when it came out.
 * A filter that waits stops the pipe behind it, so credit is held back and memory stays bounded.
 */
#ifndef PILLION_EXCHANGE_PIPE_H
#define PILLION_EXCHANGE_PIPE_H

#include "base/chain.h"
#include "exchange/filter.h"

struct exchange;

enum pipe_event { PIPE_IDLE, PIPE_HEAD, PIPE_BODY, PIPE_TRAILERS, PIPE_INTERIM };
enum pipe_result { PIPE_PASSED, PIPE_WAITING, PIPE_REPLIED };

/* A filter of this exchange: listener filters first, then those of the service. */
struct pipe_filter {
	const struct filter_ops *ops;
	struct filter_call call;
};

struct pipe {
	enum pipe_event event;
	bool response;
	bool waiting;
	bool end;
	int next; /* index into the exchange's filters */
	int stop; /* one past the last, in the direction of the walk */
	struct head *head;
	struct chain body;
	uint32_t wait; /* when it began to wait, in the order of the exchange's waits */
	size_t kept;   /* body bytes that filters hold */
};

void pipe_init(struct pipe *pipe, bool response);
void pipe_fini(struct pipe *pipe);
/* Forgets the event under way and what filters kept: the attempt is over. */
void pipe_reset(struct pipe *pipe);
/* A new event from filter `first` on, up to but not including `stop`; requests walk upwards. */
void pipe_start(struct pipe *pipe, enum pipe_event event, int first, int stop);
/* After PIPE_REPLIED, pipe->next is the index of the filter that replied. */
enum pipe_result pipe_run(struct exchange *exchange, struct pipe *pipe);

/* Builds the filters of a chain in the exchange's arena behind `count` existing ones. */
void pipe_add_filters(struct exchange *exchange, const struct filter_chain *chain);

#endif
