/*
 * mailbox: the only way threads talk. First in, first out; many producers, one consumer (the loop
 * that owns it). The eventfd is written only when the consumer sleeps. A mail is heap memory whose
 * first member is struct mail; after delivery it belongs to `deliver`, which frees it or sends it
 * back. Undelivered mail of a closed mailbox is given to `discard`.
 */
#ifndef PILLION_NET_MAILBOX_H
#define PILLION_NET_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct mail {
	_Atomic(struct mail *) next;
	void (*deliver)(struct mail *mail); /* on the consumer's thread */
	void (*discard)(
		struct mail *mail); /* NULL: mem_free; on whichever thread closes or posts late */
};

struct mailbox;

MUST_CHECK int mailbox_create(struct mailbox **ret_mailbox);
void mailbox_destroy(struct mailbox *mailbox); /* discards what is left; no producer may be left */
/* Any thread. Takes the mail. After mailbox_close it is discarded at once and false is returned. */
bool mailbox_post(struct mailbox *mailbox, struct mail *mail);
/* Consumer: delivers at most `most` mails; returns how many. */
size_t mailbox_drain(struct mailbox *mailbox, size_t most);
void mailbox_close(struct mailbox *mailbox); /* consumer */
int mailbox_fd(const struct mailbox *mailbox);
/* Consumer, before sleeping: true when something is waiting. Arms the eventfd otherwise. */
bool mailbox_prepare_sleep(struct mailbox *mailbox);
/* Consumer without a loop (disk, background): sleeps until mail is there, at most timeout_ms
 * (-1: no limit). True when something is waiting. */
bool mailbox_wait(struct mailbox *mailbox, int timeout_ms);
/* Consumer: empties the eventfd after it became readable. */
void mailbox_clear_signal(struct mailbox *mailbox);

#endif
