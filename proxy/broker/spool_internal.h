/* spool_internal: shared by the files of the spool and nobody else. */
#ifndef PILLION_BROKER_SPOOL_INTERNAL_H
#define PILLION_BROKER_SPOOL_INTERNAL_H

#include "broker/spool.h"

#define SPOOL_REMOVED_MAX 100000 /* groups; as many as there may be cursors (L3) */

/* spool_table.c: what every segment begins with. */
MUST_CHECK int spool_bind(
	struct spool *spool, uint32_t number, struct slice name, struct spool_topic **ret_topic);
/* Keeps the body of a CURSOR record, or forgets the group. -EBADMSG. */
MUST_CHECK int spool_keep_cursor(struct spool *spool, struct spool_topic *topic, struct slice body);
/* After segments went: removals that no older segment contradicts need no word any more. */
void spool_forget_removed(struct spool *spool);
/* What a TOPIC, CURSOR or MSG record changes in the table; false: it makes no sense. */
bool spool_note(struct spool *spool, const struct record *record, struct slice body);
/* Recovery: topics whose TOPIC record is damaged get the name "unnamed.<number>". */
void spool_name_all(struct spool *spool);
struct spool_topic *spool_topic_at(const struct spool *spool, uint32_t number);
void spool_table_fini(struct spool *spool);
/* The records of the state block, one behind the other with padding, for that salt. */
void spool_state_block(const struct spool *spool, uint32_t salt, struct buf *ret_block);

/* spool.c */
/* A new current segment with room for `need` bytes. */
MUST_CHECK int spool_rotate(struct spool *spool, uint64_t need, bool reserve);

/* spool_recover.c */
MUST_CHECK int spool_recover(struct spool *spool, struct err *err);

#endif
