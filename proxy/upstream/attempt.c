#include "upstream/attempt.h"

#include <string.h>

#include "upstream/service_state.h"

enum attempt_phase {
	ATTEMPT_NONE = 0,
	ATTEMPT_IN_SERVICE, /* waits for a slot or an instance, in service->waiting */
	ATTEMPT_IN_POOL,    /* waits for a connection, in the pool's queue */
	ATTEMPT_TOLD,	    /* its end of waiting is queued: on_ready comes */
	ATTEMPT_OPEN,	    /* has its stream */
	ATTEMPT_SHUT,	    /* has failed; attempt_finish is owed */
};

/* Between the pool's gift and on_ready the stream has no owner yet; it may break meanwhile. */
static void attempt_early_head(struct stream *stream, struct head *head, bool end)
{
	struct attempt *attempt = stream->owner;

	(void)head;
	(void)end;
	attempt->lost = true; /* an answer to nothing */
}

static void attempt_early_body(struct stream *stream, struct chain *body, bool end)
{
	struct attempt *attempt = stream->owner;

	(void)body;
	(void)end;
	attempt->lost = true;
}

static void attempt_early_sent(struct stream *stream, size_t n)
{
	(void)n;
	ASSERT(stream->head_out); /* nothing was given to it */
}

static void attempt_early_reset(struct stream *stream, enum reason why)
{
	struct attempt *attempt = stream->owner;

	(void)why;
	attempt->lost = true;
}

static const struct stream_ops attempt_early_ops = {
	.on_head = attempt_early_head,
	.on_body = attempt_early_body,
	.on_sent = attempt_early_sent,
	.on_reset = attempt_early_reset,
};

static struct loop *attempt_loop(const struct attempt *attempt)
{
	return attempt->service->upstream->options.loop;
}

static uint64_t attempt_now(const struct attempt *attempt)
{
	return service_now_ms(attempt->service);
}

void selection_init(
	struct selection *selection, struct service *service, const struct service_policy *policy)
{
	ASSERT(service != NULL && policy != NULL);
	memset(selection, 0, sizeof(*selection));
	selection->service = service;
	selection->policy = policy;
	service_apply_policy(service, policy);
}

/* Tried instances as indices of the current set (MR-10); those that left it need none. */
static unsigned selection_tried(const struct selection *selection, uint32_t *ret_indices)
{
	unsigned count = 0;

	for (unsigned i = 0; i < selection->tried_count; i++) {
		const struct instance_state *state = map_get(&selection->service->by_key,
			slice_make(selection->tried[i], INSTANCE_ID_SIZE));

		if (state) {
			ret_indices[count++] = state->index;
		}
	}
	ASSERT(count <= SELECTION_TRIED_MAX);
	return count;
}

static void selection_input(
	const struct selection *selection, uint32_t *indices, struct selector_input *ret_input)
{
	struct service *service = selection->service;

	*ret_input = (struct selector_input){
		.entries = service->entries,
		.count = service->count,
		.ring = &service->ring,
		.tier_weights = service->tier_weights,
		.tried = indices,
		.tried_count = selection_tried(selection, indices),
		.draws = selection->policy->draws,
		.now_ms = service_now_ms(service),
		.rng = service->upstream->options.rng,
	};
}

bool selection_left(const struct selection *selection)
{
	uint32_t indices[SELECTION_TRIED_MAX];
	struct selector_input input;

	if (selection->tried_count >= SELECTION_TRIED_MAX) {
		return false;
	}
	selection_input(selection, indices, &input);
	return selector_left(&input) > 0;
}

unsigned selection_candidates(const struct selection *selection)
{
	const struct service *service = selection->service;
	unsigned candidates = 0;

	ASSERT(service != NULL);
	for (uint32_t i = 0; i < service->count; i++) {
		candidates += service->entries[i]->weight > 0 ? 1 : 0;
	}
	return candidates;
}

/* False: nobody is left who was not tried (MS-01); there is no falling back to a tried one. */
static bool selection_pick(struct selection *selection, struct selector_pick *ret_pick)
{
	uint32_t indices[SELECTION_TRIED_MAX];
	struct selector_input input;

	if (selection->tried_count >= SELECTION_TRIED_MAX) {
		return false;
	}
	selection_input(selection, indices, &input);
	switch (selection->policy->selector) {
	case SELECTOR_RANDOM_HASH:
		return selector_random_hash(&input, ret_pick);
	case SELECTOR_ROUND_ROBIN:
		return selector_round_robin(&input, &selection->service->virtual_time, ret_pick);
	}
	ASSERT(false);
	return false;
}

static enum attempt_state attempt_shut(
	struct attempt *attempt, enum reason failure, const char *text)
{
	ASSERT(attempt->stream == NULL);
	attempt->failure = failure;
	attempt->failure_text = text;
	attempt->phase = ATTEMPT_SHUT;
	return ATTEMPT_FAILED;
}

/* on_ready comes from the run queue, never from inside of what ended the wait. */
static void attempt_tell(struct attempt *attempt)
{
	timer_cancel(&attempt->timer);
	attempt->phase = ATTEMPT_TOLD;
	loop_queue(attempt_loop(attempt), &attempt->task);
}

void attempt_fail(struct attempt *attempt, enum reason failure, const char *text)
{
	ASSERT(attempt->phase == ATTEMPT_IN_POOL || attempt->phase == ATTEMPT_IN_SERVICE);
	attempt->failure = failure;
	attempt->failure_text = text;
	attempt_tell(attempt);
}

void attempt_deliver(struct attempt *attempt, struct stream *stream)
{
	ASSERT(attempt->phase == ATTEMPT_IN_POOL && stream != NULL);
	stream->ops = &attempt_early_ops;
	stream->owner = attempt;
	attempt->stream = stream;
	attempt->lost = false;
	attempt_tell(attempt);
}

/* Arms the end of waiting, in ms from now, never beyond the deadline. */
static void attempt_wait(struct attempt *attempt, enum attempt_phase phase, uint64_t most_ms)
{
	uint64_t until = attempt_now(attempt) + most_ms;

	if (attempt->deadline_ms != 0 && attempt->deadline_ms < until) {
		until = attempt->deadline_ms;
	}
	attempt->phase = phase;
	timer_arm(attempt_loop(attempt), &attempt->timer, until);
}

/* Asks the pool of the chosen instance. */
static enum attempt_state attempt_connect(struct attempt *attempt)
{
	const struct service_limits *limits = &attempt->service->limits;
	struct pool *pool = &attempt->state->pool;

	if (pool->closed) {
		return attempt_shut(attempt, REASON_no_instance, NULL);
	}
	switch (pool_acquire(pool, attempt)) {
	case POOL_READY:
		attempt->phase = ATTEMPT_OPEN;
		return ATTEMPT_READY;
	case POOL_WAIT:
		/* The connect has its own time (T-04); the queue's counts beside it. */
		attempt_wait(attempt, ATTEMPT_IN_POOL,
			limits->queue_timeout_ms +
				(pool->opening_count > 0 ? limits->connect_timeout_ms : 0));
		return ATTEMPT_WAIT;
	case POOL_FULL:
		break;
	}
	return attempt_shut(attempt, REASON_queue_full, NULL);
}

/* From here on the attempt counts as load (MS-12) and holds set and state until it ends. */
static void attempt_choose(struct attempt *attempt, const struct selector_pick *pick)
{
	struct selection *selection = attempt->selection;
	struct instance_state *state = attempt->service->states[pick->index];

	ASSERT(attempt->state == NULL && attempt->set == NULL && state->instance);
	memcpy(selection->tried[selection->tried_count++], state->key, INSTANCE_ID_SIZE);
	if (selection->first_key == 0) {
		selection->first_key = pick->first_key;
	}
	attempt->state = state;
	attempt->set = instance_set_ref(attempt->service->set);
	attempt->instance = state->instance;
	state->entry.active++;
	state->uses++;
}

/* MS-02: exactly once for each choice, on every path. */
static void attempt_unchoose(struct attempt *attempt)
{
	struct instance_state *state = attempt->state;

	if (state == NULL) {
		return;
	}
	ASSERT(state->entry.active > 0 && state->uses > 0);
	state->entry.active--;
	state->uses--;
	attempt->state = NULL;
	attempt->instance = NULL;
	instance_set_unref(attempt->set);
	attempt->set = NULL;
	instance_state_release(state);
}

/* The next in the queue gets it, from the run queue. */
static void attempt_give_slot_back(struct attempt *attempt)
{
	if (attempt->slot) {
		ASSERT(attempt->service->active > 0);
		attempt->slot = false;
		attempt->service->active--;
		service_wake(attempt->service);
	}
}

/* Why there is nobody to choose. */
static enum reason attempt_absence(const struct service *service)
{
	if (service->set == NULL || service_is_absent(service)) {
		return REASON_service_unknown;
	}
	for (unsigned tier = 0; tier < TIER_COUNT; tier++) {
		if (service->tier_weights[tier] > 0) {
			return REASON_all_unreachable;
		}
	}
	return REASON_no_instance;
}

/* How long a request may wait for an instance to appear: 0, not at all (MA-04, MC-03). */
static uint64_t attempt_patience(const struct attempt *attempt)
{
	const struct service *service = attempt->service;
	uint64_t now = attempt_now(attempt);
	uint64_t since = service->none_since_ms;
	uint64_t most = service->limits.queue_timeout_ms;
	uint64_t bound = SERVICE_NONE_MS;

	if (attempt->selection->tried_count > 0 || service_is_absent(service)) {
		return 0;
	}
	if (service->set == NULL) {
		since = service->created_ms;
		bound = SERVICE_UNKNOWN_WAIT_MS;
	}
	if (since == 0) {
		since = now;
	}
	if (now - since >= bound) {
		return 0;
	}
	return most < since + bound - now ? most : since + bound - now;
}

/* Into the service's queue; in front when it stood there before. */
static enum attempt_state attempt_queue(struct attempt *attempt, uint64_t most_ms, bool again)
{
	struct service *service = attempt->service;

	if (!again && service->queued >= service->limits.queued) {
		return attempt_shut(attempt, REASON_queue_full, NULL);
	}
	service->queued++;
	if (again) {
		list_push_front(&service->waiting, &attempt->node);
		attempt->phase = ATTEMPT_IN_SERVICE; /* its timer runs on */
	} else {
		list_push_back(&service->waiting, &attempt->node);
		attempt_wait(attempt, ATTEMPT_IN_SERVICE, most_ms);
	}
	return ATTEMPT_WAIT;
}

/* Abandoned and expired entries leave without being sent (MC-02). */
static void attempt_leave_queue(struct attempt *attempt)
{
	ASSERT(attempt->service->queued > 0);
	list_unlink(&attempt->node);
	attempt->service->queued--;
}

/* Chooses and connects. `again`: it comes from the queue, in which its time runs on. */
static enum attempt_state attempt_try(struct attempt *attempt, bool again)
{
	struct service *service = attempt->service;
	struct selector_pick pick;
	uint64_t patience;

	if (service->active >= service->limits.active) {
		return attempt_queue(attempt, service->limits.queue_timeout_ms, again);
	}
	if (!selection_pick(attempt->selection, &pick)) {
		patience = attempt_patience(attempt);
		if (patience == 0) {
			return attempt_shut(attempt, attempt_absence(service), NULL);
		}
		return attempt_queue(attempt, patience, again);
	}
	timer_cancel(&attempt->timer);
	attempt->slot = true;
	service->active++;
	attempt_choose(attempt, &pick);
	return attempt_connect(attempt);
}

/* Some result came where nobody may be called back at once. */
static void attempt_settle(struct attempt *attempt, enum attempt_state result)
{
	switch (result) {
	case ATTEMPT_READY:
		attempt->phase = ATTEMPT_IN_POOL;
		attempt_deliver(attempt, attempt->stream);
		break;
	case ATTEMPT_FAILED:
		attempt_tell(attempt);
		break;
	case ATTEMPT_WAIT:
		break;
	}
}

void attempt_wake_service(struct task *task)
{
	struct service *service = container_of(task, struct service, wake_task);
	uint32_t most = service->queued;

	/* Who comes to the front again stops the round: the others need the same that it lacks. */
	while (most-- > 0 && !list_empty(&service->waiting)) {
		struct attempt *attempt = LIST_ENTRY(service->waiting.next, struct attempt, node);

		attempt_leave_queue(attempt);
		attempt_settle(attempt, attempt_try(attempt, true));
		if (attempt->phase == ATTEMPT_IN_SERVICE) {
			break;
		}
	}
}

void attempt_choose_again(struct attempt *attempt)
{
	ASSERT(attempt->phase == ATTEMPT_IN_POOL);
	attempt_unchoose(attempt);
	attempt_give_slot_back(attempt);
	timer_cancel(&attempt->timer);
	/* In front, because it was here before the others; the service was just told to wake. */
	attempt->service->queued++;
	list_push_front(&attempt->service->waiting, &attempt->node);
	attempt_wait(attempt, ATTEMPT_IN_SERVICE, attempt->service->limits.queue_timeout_ms);
	service_wake(attempt->service);
}

/* The stream went between the gift and the owner: nothing was sent, so another one is as good. */
static bool attempt_replace_lost(struct attempt *attempt)
{
	if (attempt->stream == NULL || !attempt->lost) {
		return false;
	}
	stream_reset(attempt->stream, REASON_upstream_reset);
	attempt->stream = NULL;
	attempt->lost = false;
	attempt_settle(attempt, attempt_connect(attempt));
	return true;
}

static void attempt_run(struct task *task)
{
	struct attempt *attempt = container_of(task, struct attempt, task);

	ASSERT(attempt->phase == ATTEMPT_TOLD);
	if (attempt_replace_lost(attempt)) {
		return;
	}
	attempt->phase = attempt->stream ? ATTEMPT_OPEN : ATTEMPT_SHUT;
	attempt->on_ready(attempt);
}

/* The wait is over: by the deadline, or for want of an instance, of a slot, of a connection. */
static void attempt_expire(struct timer *timer)
{
	struct attempt *attempt = container_of(timer, struct attempt, timer);
	bool dead = attempt->deadline_ms != 0 && attempt->deadline_ms <= attempt_now(attempt);
	bool instance_missing = !service_is_reachable(attempt->service);

	if (attempt->phase == ATTEMPT_IN_POOL) {
		pool_cancel(&attempt->state->pool, attempt);
		instance_missing = false;
	} else {
		attempt_leave_queue(attempt);
	}
	if (dead) {
		attempt_fail(attempt, REASON_deadline_exceeded, NULL);
	} else {
		attempt_fail(attempt,
			instance_missing ? attempt_absence(attempt->service) : REASON_queue_timeout,
			NULL);
	}
}

enum attempt_state attempt_start(struct attempt *attempt, struct selection *selection)
{
	struct service *service = selection->service;
	const struct service_limits *limits = &service->limits;

	ASSERT(attempt->phase == ATTEMPT_NONE && attempt->on_ready);
	attempt->selection = selection;
	attempt->service = service;
	attempt->state = NULL;
	attempt->stream = NULL;
	attempt->failure = REASON_ok;
	attempt->failure_text = NULL;
	attempt->instance = NULL;
	attempt->set = NULL;
	attempt->fresh = false;
	attempt->slot = false;
	attempt->lost = false;
	list_init(&attempt->node);
	timer_init(&attempt->timer, attempt_expire);
	task_init(&attempt->task, attempt_run);
	service->used_ms = service_now_ms(service);
	if (attempt->deadline_ms != 0 && attempt->deadline_ms <= service->used_ms) {
		return attempt_shut(attempt, REASON_deadline_exceeded, NULL); /* MD-03 */
	}
	if (attempt->later_attempt && (uint64_t)service->active * 100 >=
					      (uint64_t)limits->active * SERVICE_SHED_PERCENT) {
		return attempt_shut(attempt, REASON_retry_shed, NULL); /* MC-01 */
	}
	if (list_linked(&service->wake_task.node)) {
		return attempt_queue(attempt, limits->queue_timeout_ms, false); /* in order */
	}
	return attempt_try(attempt, false);
}

/* Takes it out of whatever it waits in; nothing is called back any more. */
static void attempt_drop_wait(struct attempt *attempt)
{
	switch ((enum attempt_phase)attempt->phase) {
	case ATTEMPT_IN_SERVICE:
		attempt_leave_queue(attempt);
		break;
	case ATTEMPT_IN_POOL:
		pool_cancel(&attempt->state->pool, attempt);
		break;
	case ATTEMPT_NONE:
	case ATTEMPT_TOLD:
	case ATTEMPT_OPEN:
	case ATTEMPT_SHUT:
		break;
	}
	timer_cancel(&attempt->timer);
	task_cancel(&attempt->task);
}

void attempt_finish(struct attempt *attempt, enum attempt_class class, enum reason why)
{
	if (attempt->phase == ATTEMPT_NONE) {
		return;
	}
	attempt_drop_wait(attempt);
	if (class == CLASS_OK && attempt->state) {
		instance_state_contacted(attempt->state);
	}
	if (attempt->stream) {
		stream_reset(attempt->stream, why);
		attempt->stream = NULL;
	}
	attempt_unchoose(attempt);
	attempt_give_slot_back(attempt);
	attempt->phase = ATTEMPT_NONE;
}

enum attempt_state attempt_restart_fresh(struct attempt *attempt)
{
	ASSERT(attempt->phase == ATTEMPT_OPEN || attempt->phase == ATTEMPT_SHUT);
	if (attempt->stream) {
		stream_reset(attempt->stream, REASON_upstream_reset);
		attempt->stream = NULL;
	}
	if (attempt->state == NULL || attempt->state->instance == NULL) {
		return attempt_shut(attempt, REASON_no_instance, NULL);
	}
	attempt->failure = REASON_ok;
	attempt->failure_text = NULL;
	attempt->fresh = true;
	return attempt_connect(attempt);
}

enum attempt_class attempt_progress(const struct attempt *attempt, bool request_complete)
{
	const struct stream *stream = attempt->stream;
	const struct connection *connection;
	uint64_t written;

	if (stream == NULL) {
		return CLASS_F0;
	}
	connection = connection_of_stream(stream);
	written = connection ? connection_written(connection) : stream->codec->produced;
	/* MT-02, then MT-01: a head that did not leave whole cannot have been understood. */
	if (stream->unprocessed || stream->head_end == 0 || written < stream->head_end) {
		return CLASS_F1;
	}
	if (!request_complete || stream->out.size > 0) {
		return CLASS_F2;
	}
	return written < stream->codec->produced ? CLASS_F2 : CLASS_F3;
}

void attempt_set_tier(struct attempt *attempt, enum tier tier)
{
	ASSERT(tier < TIER_COUNT);
	if (attempt->state) {
		instance_state_set_tier(attempt->state, tier, true);
	}
}

void attempt_contacted(struct attempt *attempt)
{
	if (attempt->state) {
		instance_state_contacted(attempt->state);
	}
}
