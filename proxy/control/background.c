#include "control/background.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log_sink.h"
#include "base/mem.h"
#include "exchange/access_record.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/timer.h"

#define BATCH_RECORDS 256 /* records carried by one mail */
#define BATCHES_MAX   64  /* waiting at a time; beyond it records are dropped (LG-04) */
#define LINE_MAX_SIZE LOG_SINK_WRITE_MAX /* a whole line a write */
#define FLUSH_MS      100

struct background {
	pthread_t thread;
	struct loop *loop;
	struct loop *control_loop;
	struct log_sink sink; /* background thread only */
	struct timer flush;   /* while something waits in the sink */
	char *service;
	struct buf text; /* formatted, not yet written */
	struct buf line;
	_Atomic unsigned batches;
	_Atomic uint64_t lines;
	_Atomic uint64_t dropped;
};

struct batch {
	struct mail mail;
	struct background *background;
	size_t count;
	struct access_record records[BATCH_RECORDS];
};

struct job {
	struct mail mail;
	struct background *background;
	void (*work)(void *argument);
	void (*done)(void *argument);
	void *argument;
};

struct access_change {
	struct mail mail;
	struct background *background;
	struct log_sink sink;
	char *service;
};

static void on_flush(struct timer *timer);
static void flush_sink(struct background *background);

/* Signals are read by control; a handler's thread of their own would be chosen at random
 * otherwise. */
static void *thread_main(void *argument)
{
	struct background *background = argument;
	sigset_t all;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	(void)pthread_setname_np(pthread_self(), "background");
	loop_run(background->loop);
	return NULL;
}

/* Created before the workers, destroyed after them: they hand their records over until their last
 * turn. */
int background_create(struct background **ret_background, struct loop *control_loop)
{
	struct background *background = mem_zalloc(sizeof *background);
	int result = loop_create(&background->loop);

	if (result < 0) {
		mem_free(background);
		return result;
	}
	background->control_loop = control_loop;
	log_sink_adopt(&background->sink, -1);
	timer_init(&background->flush, on_flush);
	buf_init(&background->text);
	buf_init(&background->line);
	result = pthread_create(&background->thread, NULL, thread_main, background);
	if (result != 0) {
		loop_destroy(background->loop);
		mem_free(background);
		return -result;
	}
	*ret_background = background;
	return 0;
}

/* A mail like any other, so that it comes behind all lines and jobs that were sent before. */
static void run_stop(struct mail *mail)
{
	struct job *job = container_of(mail, struct job, mail);

	loop_stop(job->background->loop);
	mem_free(job);
}

/* What was mailed before is still written: the loop ends in the order of its mailbox. */
void background_destroy(struct background *background)
{
	struct job *job;

	if (!background) {
		return;
	}
	job = mem_zalloc(sizeof *job);
	*job = (struct job){.mail = {.deliver = run_stop}, .background = background};
	(void)mailbox_post(loop_mailbox(background->loop), &job->mail);
	(void)pthread_join(background->thread, NULL);
	timer_cancel(&background->flush);
	flush_sink(background);
	loop_destroy(background->loop);
	log_sink_close(&background->sink);
	buf_fini(&background->text);
	buf_fini(&background->line);
	mem_free(background->service);
	mem_free(background);
}

/* A file is opened without following a link and for its owner alone: its lines hold addresses and
 * paths. */
static void open_output(const struct config_output *output, struct log_sink *ret_sink)
{
	switch (output->kind) {
	case CONFIG_OUTPUT_STDOUT:
		log_sink_open(ret_sink, STDOUT_FILENO);
		return;
	case CONFIG_OUTPUT_STDERR:
		log_sink_open(ret_sink, STDERR_FILENO);
		return;
	case CONFIG_OUTPUT_FILE:
		log_sink_adopt(ret_sink,
			open(output->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
				0600));
		return;
	case CONFIG_OUTPUT_OFF:
		break;
	}
	log_sink_adopt(ret_sink, -1);
}

/* Lines that the sink had taken and could not get rid of are counted as dropped after all. */
static void flush_sink(struct background *background)
{
	unsigned lost = log_sink_flush(&background->sink);

	atomic_fetch_add(&background->dropped, lost);
	atomic_fetch_sub(&background->lines, lost);
}

/* A pipe that was full is tried again soon, also when no more lines come. */
static void on_flush(struct timer *timer)
{
	struct background *background = container_of(timer, struct background, flush);

	flush_sink(background);
	if (log_sink_waits(&background->sink)) {
		timer_arm(background->loop, timer, loop_now_ms(background->loop) + FLUSH_MS);
	}
}

/* On the background thread, between two batches: no line is torn between the old and the new
 * output. */
static void run_access(struct mail *mail)
{
	struct access_change *change = container_of(mail, struct access_change, mail);
	struct background *background = change->background;

	flush_sink(background);
	log_sink_close(&background->sink);
	background->sink = change->sink;
	mem_free(background->service);
	background->service = change->service;
	mem_free(change);
}

/* The output is opened here, on control, where a failure can be seen, and changed over there,
 * where it is used. */
void background_set_access(
	struct background *background, const struct config_access_log *log, const char *service)
{
	struct access_change *change = mem_zalloc(sizeof *change);

	*change = (struct access_change){.mail = {.deliver = run_access},
		.background = background,
		.service = mem_strdup(service ? service : "")};
	open_output(&log->output, &change->sink);
	(void)mailbox_post(loop_mailbox(background->loop), &change->mail);
}

/* Whole lines only: what a full pipe or disk does not take is dropped and counted. */
static void write_lines(struct background *background, uint64_t lines)
{
	size_t done = 0;

	while (done < background->text.size) {
		ssize_t put = log_sink_write(&background->sink, background->text.data + done,
			background->text.size - done);

		if (put < 0 && errno == EINTR) {
			continue;
		}
		/* EAGAIN of a pipe nobody reads, ENOSPC, a closed reader: the log never stops
		 * traffic (LG-04). The rest of a line that was written in part is lost with it. */
		if (put < 0) {
			atomic_fetch_add(&background->dropped, lines);
			buf_clear(&background->text);
			return;
		}
		done += (size_t)put;
	}
	atomic_fetch_add(&background->lines, lines);
	buf_clear(&background->text);
}

/* LG-04: lines are gathered until one more would pass 4,096 bytes, because a write of at most
 * PIPE_BUF bytes is atomic on a pipe that others write to as well. */
static void run_batch(struct mail *mail)
{
	struct batch *batch = container_of(mail, struct batch, mail);
	struct background *background = batch->background;
	uint64_t lines = 0;

	for (size_t i = 0; i < batch->count && background->sink.kind != LOG_SINK_NONE; i++) {
		access_record_format(&batch->records[i], &background->line);
		if (background->text.size > 0 &&
			background->text.size + background->line.size > LINE_MAX_SIZE) {
			write_lines(background, lines);
			lines = 0;
		}
		buf_append_slice(&background->text, buf_slice(&background->line));
		lines++;
	}
	if (lines > 0) {
		write_lines(background, lines);
	}
	if (log_sink_waits(&background->sink) && !timer_armed(&background->flush)) {
		timer_arm(background->loop, &background->flush,
			loop_now_ms(background->loop) + FLUSH_MS);
	}
	atomic_fetch_sub(&background->batches, 1);
	mem_free(batch);
}

/* Runs on a worker, so it may not wait: beyond BATCHES_MAX the records are counted and dropped. It
 * goes on taking, or the ring would stay full of old ones. */
void background_offer(struct background *background, struct exchange_server *server)
{
	for (;;) {
		struct batch *batch = mem_alloc(sizeof *batch);

		batch->mail = (struct mail){.deliver = run_batch};
		batch->background = background;
		batch->count = exchange_server_take_records(server, batch->records, BATCH_RECORDS);
		if (batch->count == 0) {
			mem_free(batch);
			return;
		}
		if (atomic_fetch_add(&background->batches, 1) >= BATCHES_MAX) {
			atomic_fetch_sub(&background->batches, 1);
			atomic_fetch_add(&background->dropped, batch->count);
			mem_free(batch);
			continue;
		}
		(void)mailbox_post(loop_mailbox(background->loop), &batch->mail);
	}
}

/* Back on control's loop. */
static void run_done(struct mail *mail)
{
	struct job *job = container_of(mail, struct job, mail);

	job->done(job->argument);
	mem_free(job);
}

/* The envelope goes back as it came: a job is one allocation. */
static void run_work(struct mail *mail)
{
	struct job *job = container_of(mail, struct job, mail);

	job->work(job->argument);
	job->mail = (struct mail){.deliver = run_done};
	(void)mailbox_post(loop_mailbox(job->background->control_loop), &job->mail);
}

/* Descriptors may take tens of milliseconds to compile; on control that would delay health answers
 * and registry frames. */
void background_run(struct background *background, void (*work)(void *argument),
	void (*done)(void *argument), void *argument)
{
	struct job *job = mem_zalloc(sizeof *job);

	ASSERT(work && done);
	*job = (struct job){.mail = {.deliver = run_work},
		.background = background,
		.work = work,
		.done = done,
		.argument = argument};
	(void)mailbox_post(loop_mailbox(background->loop), &job->mail);
}

uint64_t background_lines(const struct background *background)
{
	return atomic_load(&background->lines);
}

uint64_t background_dropped(const struct background *background)
{
	return atomic_load(&background->dropped);
}
