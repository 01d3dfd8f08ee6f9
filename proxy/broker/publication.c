/*
 * One object from the request to the answer: it is mail, job of the disk thread and result in
 * turn, and never in two hands at once (B10-01).
 */
#include "broker/publication.h"

#include "base/mem.h"
#include "broker/publish.h"

/* Zeroed; the sender fills in what its kind needs. */
struct publication *publication_create(void)
{
	return mem_zalloc(sizeof(struct publication));
}

/* Gives back what it counts against L1. */
void publication_destroy(struct publication *publication)
{
	if (publication->counted_bytes > 0) {
		struct broker *broker = publication->mail.desk->broker;

		atomic_fetch_sub(&broker->waiting, 1);
		atomic_fetch_sub(&broker->waiting_bytes, publication->counted_bytes);
	}
	message_unref(publication->message);
	mem_free(publication);
}

/* Committed or refused: the one who began it hears it exactly once. */
void publication_finish(struct publication *publication, enum reason reason)
{
	publication->reason = reason;
	if (publication->on_committed) {
		publication->on_committed(publication);
		publication_destroy(publication);
		return;
	}
	desk_post(&publication->mail.desk->broker->desks[publication->origin], &publication->mail,
		publish_answer, publication_discard);
}

/* Where mail is discarded the desks end, and the broker may be gone: nothing is counted any more.
 */
void publication_discard(struct desk_mail *mail)
{
	struct publication *publication = container_of(mail, struct publication, mail);

	publication->counted_bytes = 0;
	publication_destroy(publication);
}
