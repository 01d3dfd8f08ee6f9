#include "control/health_endpoint.h"

#include <stdio.h>

#include "base/mem.h"
#include "control/lifecycle.h"
#include "control/state.h"
#include "http/reply.h"

#define PREFIX "/pillion.v1.Health/"

/* One question. Only the worker's thread looks inside; control hands the pointer back. */
struct question {
	struct control *control;
	struct worker *worker;
	struct unary *unary; /* NULL: the asker left */
	bool healthy;
	char name[256]; /* the service asked about */
	char error[256];
};

static void run_answer(struct worker *worker, void *argument)
{
	struct question *question = argument;
	struct slice text = slice_from_string(question->error);

	ASSERT(worker == question->worker);
	if (question->unary && question->healthy) {
		unary_reply_plain(question->unary, 200, SLICE("text/plain"), SLICE("ok\n"));
	} else if (question->unary) {
		struct reply reply = {.reason = REASON_app_not_ready,
			.grpc = -1,
			.outcome = OUTCOME_NOT_PROCESSED,
			.message = text};

		unary_reply_reason(question->unary, &reply);
	}
	mem_free(question);
}

static void on_checked(void *owner, bool healthy, const char *error)
{
	struct question *question = owner;

	question->healthy = healthy;
	(void)snprintf(question->error, sizeof question->error, "%s", error);
	worker_call(question->worker, run_answer, question, NULL);
}

static void run_question(struct control *control, void *argument)
{
	struct question *question = argument;

	/* The name is compared here, where the configuration in force is known. */
	if (!control->config->self.app.present ||
		strcmp(question->name, control_service(control)) != 0) {
		on_checked(question, false, "this sidecar does not declare that service");
		return;
	}
	lifecycle_check_now(control->lifecycle, on_checked, question);
}

static void on_request(struct unary *unary, struct slice body)
{
	struct question *question = unary_owner(unary);

	(void)body;
	question->unary = unary;
	control_call(question->control, run_question, question, NULL);
}

static void on_gone(struct unary *unary)
{
	struct question *question = unary_owner(unary);

	if (question->unary) {
		question->unary = NULL; /* the answer is on its way and will free it */
	} else {
		mem_free(question);
	}
}

static const struct unary_ops question_ops = {on_request, on_gone};

static void open_question(void *context, const struct endpoint_request *request)
{
	struct control *control = context;
	struct slice name = slice_from(request->head->path, sizeof PREFIX - 1);
	struct question *question = mem_zalloc(sizeof *question);

	ASSERT(request->worker < control->worker_count);
	question->control = control;
	question->worker = &control->workers[request->worker];
	(void)snprintf(question->name, sizeof question->name, "%.*s", (int)name.size,
		(const char *)name.data);
	unary_accept(request, 0, &question_ops, question);
}

void health_endpoint_get(struct control *control, struct endpoint *ret_endpoint)
{
	*ret_endpoint = (struct endpoint){.prefix = SLICE(PREFIX),
		.directions = ENDPOINT_INBOUND,
		.open = open_question,
		.context = control};
}
