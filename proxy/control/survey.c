/*
 * Surveys: the admin room asks every worker something and gets the answers together on control's
 * thread, without a lock.
 */
#include "base/mem.h"
#include "control/state.h"

struct survey_round {
	struct control *control;
	struct control_survey *survey;
	unsigned waiting;
	struct buf parts[CONTROL_WORKERS_MAX];
};

struct survey_part {
	struct survey_round *round;
	unsigned worker;
	struct buf text;
};

/* Back on control. The last answer completes the round: workers that hang hold the asker, who has
 * a time limit of its own. */
static void run_part(struct control *control, void *argument)
{
	struct survey_part *part = argument;
	struct survey_round *round = part->round;

	round->parts[part->worker] = part->text;
	mem_free(part);
	ASSERT(round->waiting > 0);
	if (--round->waiting > 0) {
		return;
	}
	round->survey->done(round->survey, round->parts, control->worker_count);
	for (unsigned i = 0; i < control->worker_count; i++) {
		buf_fini(&round->parts[i]);
	}
	mem_free(round);
}

/* Control's loop ended with the answer still in its mailbox. */
static void discard_part(void *argument)
{
	struct survey_part *part = argument;

	buf_fini(&part->text);
	mem_free(part);
}

/* On the worker: it alone may look at its counters and instances while it runs (design of mesh.md
 * M0-03). */
static void run_collect(struct worker *worker, void *argument)
{
	struct survey_part *part = argument;

	part->round->survey->collect(
		part->round->survey, worker->server, worker->index, &part->text);
	control_call(worker->control, run_part, part, discard_part);
}

/* One mail to each worker and one back: the only way to see a consistent state of a worker without
 * stopping it. */
void control_survey_start(struct control *control, struct control_survey *survey)
{
	struct survey_round *round = mem_zalloc(sizeof *round);

	ASSERT(survey->collect && survey->done);
	round->control = control;
	round->survey = survey;
	round->waiting = control->worker_count;
	for (unsigned i = 0; i < control->worker_count; i++) {
		struct survey_part *part = mem_zalloc(sizeof *part);

		buf_init(&part->text);
		buf_init(&round->parts[i]);
		part->round = round;
		part->worker = i;
		worker_call(&control->workers[i], run_collect, part, discard_part);
	}
}
