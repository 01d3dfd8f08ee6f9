#include "admin/writer.h"

#include "admin/server.h"
#include "control/control.h"

/* The last step, whatever the answer was. */
static void end(struct admin_writer *writer)
{
	list_unlink(&writer->node);
	buf_fini(&writer->text);
	writer->done(writer);
}

/* One turn's share. A task that is queued from the run queue runs in the next turn, hence sockets
 * and timers of this thread come between two shares. */
static void run(struct task *task)
{
	struct admin_writer *writer = container_of(task, struct admin_writer, task);
	size_t until = writer->text.size + ADMIN_TURN_BYTES;

	while (writer->text.size < until) {
		if (!writer->piece(writer, &writer->text)) {
			admin_answer_text(
				writer->call, 200, writer->type, buf_slice(&writer->text));
			end(writer);
			return;
		}
	}
	loop_queue(control_loop(writer->call->control), &writer->task);
}

/* A client that leaves in between changes nothing: its answer is thrown away at the end. */
void admin_writer_start(struct admin_writer *writer)
{
	ASSERT(writer->call && writer->piece && writer->done);
	buf_init(&writer->text);
	task_init(&writer->task, run);
	list_push_back(admin_writers(writer->call->admin), &writer->node);
	loop_queue(control_loop(writer->call->control), &writer->task);
}

void admin_writer_stop_all(struct list_node *writers)
{
	LIST_FOR_EACH_SAFE(node, writers) {
		struct admin_writer *writer = LIST_ENTRY(node, struct admin_writer, node);

		task_cancel(&writer->task);
		admin_answer_error(writer->call, 503, 5043, "draining", "this sidecar is stopping");
		end(writer);
	}
}
