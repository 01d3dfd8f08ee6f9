/*
 * group: the competing consumers of a topic on the publisher's side: the cursor, redeliveries,
 * budgets, dead letters. One thread, that of the topic's desk.
 */
#ifndef PILLION_BROKER_GROUP_H
#define PILLION_BROKER_GROUP_H

#include "broker/topic.h"

struct lane;

struct group *group_find(struct topic *topic, struct slice name);
/* settings may be NULL (recovered); image may be NULL (new). NULL: a limit. */
struct group *group_create(struct topic *topic, const char *name, const struct plan_group *settings,
	const struct cursor_image *image);
/* The backlog is counted under `why`. `forget`: its cursor goes from the spool. */
void group_destroy(struct group *group, enum counters_drop why, bool forget);
/* A message was committed. */
void group_notice(struct group *group, const struct topic_entry *entry);
bool group_wants(const struct group *group, const struct topic_entry *entry);
/* One message is done for this group, however. */
void group_done(struct group *group, uint64_t seq);
/* A number that is no message of this group. */
void group_pass(struct group *group, uint64_t seq);
void group_wrote(struct group *group, uint64_t floor, uint64_t lsn, bool good);
void group_set_settings(struct group *group, const struct plan_group *settings);
void group_checkpoint(struct group *group, bool force);
void group_tick(struct group *group);

/* group_pending.c */
struct pending *group_pending(struct group *group, uint64_t seq); /* or NULL */
struct pending *group_pending_make(struct group *group, uint64_t seq);
void group_pending_free(struct group *group, struct pending *pending);
void group_schedule(struct group *group, struct pending *pending, uint64_t due_ms);
void group_unschedule(struct group *group, struct pending *pending);
struct pending *group_due(struct group *group, uint64_t now_ms); /* the first due one, or NULL */
/* The outcome of one delivery (B10-07). lane NULL: the lane is gone. */
void group_result(
	struct group *group, struct lane *lane, uint64_t seq, const struct frame_outcome *outcome);

/* dispatch.c: hands out what is due, at most a turn's share; true: more could go. */
bool dispatch_run(struct group *group);
/* Who gets the next message (B10-03); NULL: nobody can take one. */
struct lane *dispatch_choose(struct group *group, uint64_t now_ms);

/* dead.c */
/* B10-10: the dead letter is committed before the message is done. */
void dead_letter(struct group *group, struct pending *pending, enum counters_death death);
/* B10-11: appends to the original topic for that group alone, then settles the dead letter. */
void dead_replay(struct topic *dead, uint64_t seq);
void dead_run(struct topic *dead); /* goes on with replays that waited for their bytes */
void dead_drop(struct topic *dead, uint64_t seq);
/* The cursor of what was replayed or dropped. */
struct group *dead_cursor(struct topic *dead);

#endif
