/*
 * witness: sees what the owner of a stream does with it, without being asked or known by that
 * owner: the access log of endpoints. Owner: whoever set stream->witness. Runs on the stream's
 * thread, inside the owner's calls: it only notes.
 */
#ifndef PILLION_HTTP_WITNESS_H
#define PILLION_HTTP_WITNESS_H

#include "base/codes.h"

struct head;

struct stream_witness {
	/* Given to the stream's send_head. */
	void (*on_head)(struct stream_witness *witness, const struct head *head);
	/* The owner lets go; REASON_ok: what it has sent is whole. The witness forgets the stream.
	 */
	void (*on_end)(struct stream_witness *witness, enum reason why);
};

#endif
