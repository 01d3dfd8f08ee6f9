/*
 * A desk is what a worker knows of the broker. Its tick does everything that no event begins:
 * checkpoints, credit that goes back, links and groups that ended, releases.
 */
#include "broker/desk.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/lane.h"
#include "broker/member.h"
#include "broker/topic.h"
#include "exchange/server.h"

#define TICKETS_MAX 65536
#define SLEW_TICKS  (60000 / DESK_TICK_MS)
#define SLEW_MS	    1000
#define PING_MS	    10000 /* B11-04 */
#define PING_WAIT   5000

/* Two doors: the gate says whether the desk exists, its server whether it is attached. */
static void deliver(struct mail *mail)
{
	struct desk_mail *self = container_of(mail, struct desk_mail, mail);

	if (gate_pass(self->gate) && self->desk->server) {
		self->run(self->desk, self);
	} else {
		self->discard(self);
	}
}

/* The mailbox was closed: the worker's loop has ended. */
static void discard(struct mail *mail)
{
	struct desk_mail *self = container_of(mail, struct desk_mail, mail);

	gate_unref(self->gate);
	self->discard(self);
}

/* The one way into another desk. The mail carries its own receiver, so it needs no table. */
void desk_post(struct desk *desk, struct desk_mail *mail,
	void (*run)(struct desk *desk, struct desk_mail *mail),
	void (*discard_mail)(struct desk_mail *mail))
{
	ASSERT(run && discard_mail);
	mail->mail.deliver = deliver;
	mail->mail.discard = discard;
	mail->desk = desk;
	mail->gate = gate_ref(desk->gate);
	mail->run = run;
	mail->discard = discard_mail;
	(void)mailbox_post(loop_mailbox(desk->loop), &mail->mail);
}

/* The loop's cached time: equal for everything in one turn. */
uint64_t desk_now_ms(const struct desk *desk)
{
	return loop_now_ms(desk->loop);
}

/* Monotonic time plus a slowly corrected offset, never the clock itself (B9-11). */
uint64_t desk_wall_ms(const struct desk *desk)
{
	return (uint64_t)((int64_t)clock_monotonic_ms() +
			  atomic_load(&desk->broker->wall_offset_ms));
}

/* B9-11: a step of the wall clock is followed by one second a minute, so that it expires nothing in
 * masse. */
static void slew(struct broker *broker)
{
	int64_t offset = (int64_t)clock_wall_ms() - (int64_t)clock_monotonic_ms();
	int64_t error = offset - atomic_load(&broker->wall_offset_ms);

	error = error > SLEW_MS ? SLEW_MS : error < -SLEW_MS ? -SLEW_MS : error;
	atomic_fetch_add(&broker->wall_offset_ms, error);
}

/* B9-10: at four fifths the alarm names the group that holds most back here. */
static void warn_of_size(struct desk *desk)
{
	const struct broker *broker = desk->broker;
	const struct group *worst = NULL;

	if (!broker->thread || atomic_load(&spool_thread_numbers(broker->thread)->total) <
				       broker->spool_bytes / 5 * 4) {
		return;
	}
	MAP_FOR_EACH(entry, &desk->topics)
	{
		const struct topic *topic = entry->value;

		LIST_FOR_EACH(node, &topic->groups) {
			const struct group *group = LIST_ENTRY(node, struct group, node);

			if (!group->hidden && (!worst || group->backlog > worst->backlog)) {
				worst = group;
			}
		}
	}
	if (worst && worst->backlog > 0) {
		log_event(LOG_LEVEL_WARN, "broker", 0, "the spool is over four fifths full",
			(struct log_field[]){LOG_TEXT("pillion.topic", worst->topic->name),
				LOG_TEXT("pillion.group", worst->name),
				LOG_NUMBER("pillion.backlog", worst->backlog)},
			3);
	}
}

/* Members are visited from the end, because a tick may end one. */
static void on_tick(struct timer *timer)
{
	struct desk *desk = container_of(timer, struct desk, tick);

	desk->ticks++;
	MAP_FOR_EACH(entry, &desk->topics)
	{
		topic_tick(entry->value);
	}
	for (size_t i = desk->members.count; i > 0; i--) {
		member_tick(desk->members.entries[i - 1].value);
	}
	link_tick(desk);
	if (desk->ticks % SLEW_TICKS == 0) {
		if (desk->index == 0) {
			slew(desk->broker);
		}
		warn_of_size(desk);
	}
	timer_arm(desk->loop, timer, desk_now_ms(desk) + DESK_TICK_MS);
}

/* On control's thread, before the worker exists. */
void desk_init(struct desk *desk, struct broker *broker, unsigned index, struct loop *loop)
{
	desk->broker = broker;
	desk->gate = gate_create();
	desk->index = index;
	desk->loop = loop;
	desk->plan = plan_create();
	desk->next_lane = 1;
	desk->next_generation = 1;
	rng_seed_system(&desk->rng);
	timer_init(&desk->tick, on_tick);
	map_init(&desk->topics);
	map_init(&desk->lanes);
	map_init(&desk->links);
	map_init(&desk->members);
	map_init(&desk->inlets);
	list_init(&desk->cache);
	block_pool_init(&desk->pool, 64);
	http_limits_default(&desk->limits);
	desk->limits.h2_stream_window = 1u << 20;
	desk->limits.h2_connection_window = 4u << 20;
	desk->link_limits = desk->limits;
	desk->link_limits.h2_ping_ms = PING_MS;
	desk->link_limits.h2_ping_wait_ms = PING_WAIT;
}

/* The tick begins with the data path. */
void desk_attach(struct desk *desk, struct exchange_server *server)
{
	ASSERT(!desk->server && server);
	desk->server = server;
	timer_arm(desk->loop, &desk->tick, desk_now_ms(desk) + DESK_TICK_MS);
}

/* Members first, since they settle what is in hand; then links, whose lanes learn of it;
 * last the cursors, so that the next start knows all of it. */
void desk_detach(struct desk *desk)
{
	timer_cancel(&desk->tick);
	while (desk->members.count > 0) {
		member_destroy(desk->members.entries[desk->members.count - 1].value);
	}
	link_in_close_all(desk);
	link_close_all(desk);
	MAP_FOR_EACH(entry, &desk->topics)
	{
		struct topic *topic = entry->value;

		task_cancel(&topic->task);
		LIST_FOR_EACH(node, &topic->groups) {
			struct group *group = LIST_ENTRY(node, struct group, node);

			timer_cancel(&group->timer);
			group_checkpoint(group, true);
			if (group->backlog > 0 && !group->hidden) {
				/* B13-02: what waits for the next start. */
				log_event(LOG_LEVEL_INFO, "broker", 0, "messages wait in the spool",
					(struct log_field[]){LOG_TEXT("pillion.topic", topic->name),
						LOG_TEXT("pillion.group", group->name),
						LOG_NUMBER("pillion.backlog", group->backlog)},
					3);
			}
		}
	}
	desk->server = NULL;
}

/* On control's thread, after the worker ended: what is left is memory. */
void desk_fini(struct desk *desk)
{
	ASSERT(!desk->server);
	gate_close(desk->gate);
	while (desk->topics.count > 0) {
		struct map_entry *entry = &desk->topics.entries[desk->topics.count - 1];
		struct topic *topic = entry->value;

		(void)map_remove(&desk->topics, slice_from_string(topic->name));
		topic_free(topic);
	}
	ASSERT(desk->lanes.count == 0 && desk->links.count == 0 && desk->inlets.count == 0);
	map_fini(&desk->topics);
	map_fini(&desk->lanes);
	map_fini(&desk->links);
	map_fini(&desk->members);
	map_fini(&desk->inlets);
	mem_free(desk->accepted);
	mem_free(desk->tickets);
	block_pool_fini(&desk->pool);
	plan_unref(desk->plan);
}

/* Whole and at once, like every snapshot in this program. */
void desk_set_plan(struct desk *desk, struct plan *plan)
{
	struct plan *old = desk->plan;

	desk->plan = plan;
	/* Pointers into the old plan are replaced before it goes. */
	member_plan_changed(desk);
	MAP_FOR_EACH(entry, &desk->topics)
	{
		topic_plan_changed(entry->value);
		topic_wake(entry->value);
	}
	plan_unref(old);
}

/* The first free slot; the generation makes an old number of that slot worthless. */
uint32_t desk_ticket(struct desk *desk, void *owner, uint64_t *ret_generation)
{
	uint32_t slot = 0;

	ASSERT(owner);
	while (slot < desk->ticket_count && desk->tickets[slot].owner) {
		slot++;
	}
	if (slot == desk->ticket_count) {
		uint32_t count = desk->ticket_count > 0 ? desk->ticket_count * 2 : 64;

		ASSERT(count <= TICKETS_MAX); /* L1 and L6 refuse long before */
		desk->tickets = mem_realloc(desk->tickets, count * sizeof *desk->tickets);
		memset(desk->tickets + desk->ticket_count, 0,
			(count - desk->ticket_count) * sizeof *desk->tickets);
		desk->ticket_count = count;
	}
	desk->tickets[slot] = (struct desk_ticket){owner, desk->next_generation++};
	*ret_generation = desk->tickets[slot].generation;
	return slot;
}

/* NULL: the request was answered or left. Whoever takes a ticket answers it. */
void *desk_ticket_take(struct desk *desk, uint32_t slot, uint64_t generation)
{
	struct desk_ticket *ticket;
	void *owner;

	if (slot >= desk->ticket_count || desk->tickets[slot].generation != generation) {
		return NULL;
	}
	ticket = &desk->tickets[slot];
	owner = ticket->owner;
	*ticket = (struct desk_ticket){NULL, 0};
	return owner;
}
