/*
 * The facade: what control and admin call, and the order in which the parts come up and go down.
 * The spool is recovered before any worker runs; the desks outlive the data path's requests and
 * end before the loops.
 */
#include "broker/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/disk_ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/command.h"
#include "broker/directory.h"
#include "broker/member.h"
#include "broker/names.h"
#include "broker/publish.h"
#include "broker/topic.h"

#define BYTES_DEFAULT  (UINT64_C(4) << 30)
#define BYTES_LEAST    (UINT64_C(16) << 20)
#define TMPFS_NUMBER   0x01021994
#define OVERLAY_NUMBER 0x794c7630

/* What only this file needs of a broker. */
struct broker_own {
	struct broker shared;
	struct disk *disk;
	struct rng salts;
};

/* The reverse of the member `shared`: the disk and the salts are nobody else's business. */
static struct broker_own *own_of(struct broker *broker)
{
	return container_of(broker, struct broker_own, shared);
}

/* Held as long as the process lives (B9-01). */
static int take_lock(struct broker *broker, const char *directory, struct err *err)
{
	char path[4200], text[32] = "";
	int size;

	(void)snprintf(path, sizeof path, "%s/LOCK", directory);
	broker->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (broker->lock_fd < 0) {
		return -errno;
	}
	if (flock(broker->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		ssize_t got = pread(broker->lock_fd, text, sizeof text - 1, 0);

		text[got > 0 ? got : 0] = '\0';
		text[strcspn(text, "\n")] = '\0';
		err_set(err, 2010, "the spool %s is used by process %s", directory, text);
		return -EWOULDBLOCK;
	}
	size = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (ftruncate(broker->lock_fd, 0) < 0 ||
		pwrite(broker->lock_fd, text, (size_t)size, 0) != size) {
		return -errno;
	}
	return 0;
}

/* Half of what is free at the start, at most 4 GiB: a spool that nobody sized must not fill
 * the disk of its host. */
static uint64_t default_bytes(const char *directory)
{
	struct statvfs facts;
	uint64_t half = BYTES_DEFAULT;

	if (statvfs(directory, &facts) == 0) {
		half = (uint64_t)facts.f_bavail * facts.f_frsize / 2;
	}
	half = half < BYTES_DEFAULT ? half : BYTES_DEFAULT;
	return half > BYTES_LEAST ? half : BYTES_LEAST;
}

/* B9-12 */
static void warn_of_memory(const char *directory)
{
	struct statfs facts;

	if (statfs(directory, &facts) == 0 &&
		(facts.f_type == TMPFS_NUMBER || facts.f_type == OVERLAY_NUMBER)) {
		log_event(LOG_LEVEL_WARN, "broker", 0,
			"the spool is on a file system that does not outlive its host or container",
			(struct log_field[]){LOG_TEXT("file.directory", directory)}, 1);
	}
}

/* What recovery found is told once, with topic and numbers: an operator must be able to say
 * which messages are gone (B9-07). */
static void report(const struct spool *spool)
{
	const struct spool_report *found = &spool->report;

	for (size_t i = 0; i < found->loss_count; i++) {
		const struct spool_loss *loss = &found->losses[i];

		log_event(loss->corrupt ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "broker",
			loss->corrupt ? 6002 : 0, "messages of the spool are lost",
			(struct log_field[]){
				LOG_TEXT("pillion.topic", spool->topics[loss->topic - 1]->name),
				LOG_NUMBER("pillion.first", loss->first),
				LOG_NUMBER("pillion.last", loss->last)},
			3);
	}
	if (found->torn > 0) {
		log_event(LOG_LEVEL_INFO, "broker", 0,
			"the spool ended in a batch that was not finished",
			(struct log_field[]){LOG_NUMBER("pillion.places", found->torn)}, 1);
	}
}

/* Recovery itself. An error leaves the files as they are and turns publishing off (B1-08). */
static int open_spool(struct broker *broker, const struct config_spool *config, struct err *err)
{
	struct broker_own *own = own_of(broker);
	struct spool_options options = {.disk = own->disk,
		.rng = &own->salts,
		.bytes = broker->spool_bytes,
		.segment = config->segment,
		.wall_ms = clock_wall_ms()};
	int status;

	/* A small disk gets smaller files, so that one can always be kept in reserve. */
	if (options.segment > options.bytes / 8) {
		options.segment = options.bytes / 8;
	}
	status = spool_open(&options, &broker->spool, err);
	if (status < 0) {
		return status;
	}
	report(broker->spool);
	broker->log = broker->spool->meta.log;
	return 0;
}

/* Topics go to their owners before the disk thread starts. */
static void adopt_topics(struct broker *broker)
{
	struct spool *spool = broker->spool;

	for (uint32_t i = 0; i < spool->topic_count; i++) {
		struct spool_topic *topic = spool->topics[i];

		if (topic) {
			unsigned owner =
				names_owner(slice_from_string(topic->name), broker->workers);

			topic_adopt(&broker->desks[owner], topic);
		}
	}
	atomic_store(&broker->topic_numbers, spool->topic_count);
	atomic_store(&broker->topic_places, spool->topic_count);
}

/* Everything that can go wrong here turns publishing off, but for a held lock. */
static int start_spool(struct broker *broker, const struct broker_options *options, struct err *err)
{
	struct err why;
	int status;

	err_clear(&why);
	if (!options->spool_dir) {
		(void)snprintf(broker->off_reason, sizeof broker->off_reason,
			"there is no data directory for the spool");
		return 0;
	}
	status = disk_open_directory(options->spool_dir, &own_of(broker)->disk);
	if (status == 0) {
		status = take_lock(broker, options->spool_dir, err);
		if (status == -EWOULDBLOCK) {
			return status;
		}
	}
	if (status == 0) {
		uint64_t bytes = options->config->broker.spool.bytes;

		broker->spool_bytes = bytes > 0 ? bytes : default_bytes(options->spool_dir);
		warn_of_memory(options->spool_dir);
		status = open_spool(broker, &options->config->broker.spool, &why);
	}
	if (status == 0) {
		adopt_topics(broker);
		status = spool_thread_create(broker->spool, &broker->thread);
	}
	if (status < 0) {
		(void)snprintf(broker->off_reason, sizeof broker->off_reason, "%.120s",
			why.text[0] ? why.text : strerror(-status));
		log_event(LOG_LEVEL_ERROR, "broker", 6001, "the spool is off",
			(struct log_field[]){LOG_TEXT("error.message", broker->off_reason)}, 1);
	}
	return 0;
}

/* Nothing runs yet: loops and workers exist but do not turn, so that everything is in place
 * before the first request can come. */
int broker_create(const struct broker_options *options, struct broker **ret_broker, struct err *err)
{
	struct broker_own *own = mem_zalloc(sizeof *own);
	struct broker *broker = &own->shared;
	int status;

	ASSERT(options->workers > 0 && options->config && options->control_loop);
	broker->workers = options->workers;
	broker->control_loop = options->control_loop;
	broker->registry = options->registry;
	broker->resolver = options->resolver;
	broker->port = options->advertise_port;
	broker->lock_fd = -1;
	memcpy(broker->sidecar, options->instance_id, sizeof broker->sidecar);
	(void)snprintf(broker->service, sizeof broker->service, "%s",
		options->service_name ? options->service_name : "pillion");
	(void)snprintf(broker->host, sizeof broker->host, "%s",
		options->advertise_host ? options->advertise_host : "127.0.0.1");
	broker->gate = gate_create();
	rng_seed_system(&own->salts);
	counters_init(&broker->counters);
	atomic_store(
		&broker->wall_offset_ms, (int64_t)clock_wall_ms() - (int64_t)clock_monotonic_ms());
	broker->desks = mem_zalloc(broker->workers * sizeof *broker->desks);
	for (unsigned i = 0; i < broker->workers; i++) {
		desk_init(&broker->desks[i], broker, i, options->worker_loops[i]);
	}
	broker->directory = directory_create(broker, options->config);
	status = start_spool(broker, options, err);
	if (status < 0) {
		broker_destroy(broker);
		return status;
	}
	/* Own subscriptions are known before the first publish (B1-07, B3-06). */
	for (unsigned i = 0; i < broker->workers; i++) {
		desk_set_plan(&broker->desks[i], directory_plan(broker->directory));
	}
	*ret_broker = broker;
	return 0;
}

/* From here on mail to this desk is delivered instead of discarded. */
void broker_attach_worker(struct broker *broker, unsigned worker, struct exchange_server *server)
{
	ASSERT(worker < broker->workers);
	desk_attach(&broker->desks[worker], server);
}

/* Links, pushes and parked requests end on their own thread, while the loop still turns. */
void broker_detach_worker(struct broker *broker, unsigned worker)
{
	ASSERT(worker < broker->workers);
	desk_detach(&broker->desks[worker]);
}

/* The directory goes first, so that no plan is posted any more; then the disk thread, which
 * ends the log in order; then the desks, whose gates stop what is still under way. */
void broker_destroy(struct broker *broker)
{
	if (!broker) {
		return;
	}
	gate_close(broker->gate);
	directory_destroy(broker->directory);
	broker->directory = NULL;
	if (broker->thread) {
		spool_thread_destroy(broker->thread); /* and the spool */
	} else if (broker->spool) {
		spool_abandon(broker->spool);
	}
	broker->thread = NULL;
	for (unsigned i = 0; i < broker->workers; i++) {
		desk_fini(&broker->desks[i]);
	}
	mem_free(broker->desks);
	disk_close_directory(own_of(broker)->disk);
	if (broker->lock_fd >= 0) {
		close(broker->lock_fd);
	}
	counters_fini(&broker->counters);
	mem_free(own_of(broker));
}

/* Publishing and fetching on the outbound side only; the link on the inbound side only
 * (B5-01). */
unsigned broker_endpoints(struct broker *broker, struct endpoint ret[BROKER_ENDPOINTS])
{
	ret[0] = (struct endpoint){.prefix = SLICE("/v1/pub/"),
		.directions = ENDPOINT_OUTBOUND,
		.open = publish_open,
		.context = broker};
	ret[1] = (struct endpoint){.prefix = SLICE("/v1/sub/"),
		.directions = ENDPOINT_OUTBOUND,
		.open = fetch_open,
		.context = broker};
	ret[2] = (struct endpoint){.prefix = SLICE("/pillion.v1.Broker/"),
		.directions = ENDPOINT_INBOUND,
		.open = link_in_open,
		.context = broker};
	return 3;
}

/* The registry runs by now; what it never answers, the own subscriptions do without (B1-07). */
void broker_start(struct broker *broker)
{
	directory_start(broker->directory);
}

/* The configuration is copied from before this returns: the old one may go. */
void broker_set_config(struct broker *broker, const struct config *config)
{
	directory_set_config(broker->directory, config);
}

/* B7-02: without a ready application its members are paused, not removed. */
void broker_set_app_ready(struct broker *broker, bool ready)
{
	directory_set_app_ready(broker->directory, ready);
}

/* The flag refuses new publishes at once; the plan that follows stops the members. */
void broker_drain(struct broker *broker)
{
	atomic_store(&broker->draining, true);
	directory_drain(broker->directory);
}

/* Commits, deliveries and pushes that are under way; what waits in the spool is for the next
 * start. */
bool broker_drained(const struct broker *broker)
{
	return atomic_load(&broker->waiting) == 0 && atomic_load(&broker->delivering) == 0 &&
	       atomic_load(&broker->pushing) == 0;
}

enum broker_spool_state broker_spool_state(const struct broker *broker, char ret_reason[128])
{
	if (!broker->thread) {
		(void)snprintf(ret_reason, 128, "%s", broker->off_reason);
		return BROKER_SPOOL_OFF;
	}
	if (atomic_load(&spool_thread_numbers(broker->thread)->failed)) {
		(void)snprintf(ret_reason, 128, "a write or sync of the spool failed");
		return BROKER_SPOOL_FAILED;
	}
	ret_reason[0] = '\0';
	return BROKER_SPOOL_OK;
}

/* B19-02: how long the disk takes; the bounds reach from a fast device to one that is failing. */
static void print_syncs(const struct histogram *syncs, struct buf *text)
{
	static const struct {
		uint64_t us;
		const char *text;
	} bounds[] = {{100, "0.0001"}, {250, "0.00025"}, {1000, "0.001"}, {2500, "0.0025"},
		{10000, "0.01"}, {25000, "0.025"}, {100000, "0.1"}, {250000, "0.25"},
		{1000000, "1"}, {2500000, "2.5"}, {10000000, "10"}};

	counters_begin(text, "spool_sync_seconds", "histogram", "Time of one sync of the spool.");
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		buf_appendf(text, "pillion_spool_sync_seconds_bucket{le=\"%s\"} %llu\n",
			bounds[i].text,
			(unsigned long long)histogram_count_below(syncs, bounds[i].us));
	}
	buf_appendf(text,
		"pillion_spool_sync_seconds_bucket{le=\"+Inf\"} %llu\n"
		"pillion_spool_sync_seconds_sum %.6f\npillion_spool_sync_seconds_count %llu\n",
		(unsigned long long)syncs->count, (double)syncs->sum_us / 1e6,
		(unsigned long long)syncs->count);
}

/* The numbers are atomics of the disk thread: a scrape never waits for a sync. Without a spool
 * only its state is shown, for the other numbers would be made up. */
static void print_spool(const struct broker *broker, struct buf *text)
{
	const struct spool_numbers *numbers =
		broker->thread ? spool_thread_numbers(broker->thread) : NULL;
	struct histogram syncs;

	counters_single(text, "spool_state", "gauge", "0: it works, 2: off or failed.",
		!numbers || atomic_load(&numbers->failed) ? 2 : 0);
	if (!numbers) {
		return;
	}
	counters_single(text, "spool_bytes", "gauge", "Bytes of all segments.",
		atomic_load(&numbers->total));
	counters_single(text, "spool_unsynced_bytes", "gauge", "Bytes that a power cut would take.",
		atomic_load(&numbers->unsynced));
	counters_single(text, "spool_reclaimed_total", "counter",
		"Segments that nobody needed any more.", atomic_load(&numbers->reclaimed));
	counters_single(text, "spool_stock", "gauge", "1: the next segment is prepared.",
		atomic_load(&numbers->stock));
	counters_single(text, "spool_segment_waits_total", "counter",
		"Batches that waited for a new segment.", atomic_load(&numbers->waits));
	spool_thread_syncs(broker->thread, &syncs);
	print_syncs(&syncs, text);
}

/* Everything here is read without stopping a worker. */
void broker_metrics(struct broker *broker, struct buf *ret_text)
{
	counters_print(&broker->counters, ret_text);
	counters_single(ret_text, "pubsub_waiting", "gauge",
		"Publishes that wait for their commit.", atomic_load(&broker->waiting));
	counters_single(ret_text, "pubsub_pushing", "gauge", "Open requests to the application.",
		atomic_load(&broker->pushing));
	counters_single(ret_text, "pubsub_parked", "gauge", "Fetches that wait for a message.",
		atomic_load(&broker->parked));
	print_spool(broker, ret_text);
}

/* The answer comes later, on this thread, also for an unknown target. */
void broker_command(struct broker *broker, const char *verb, const char *target, const char *id,
	void (*done)(void *owner, int status, struct slice json), void *owner)
{
	struct command_request request = {verb, target, id, done, owner};

	command_run(broker, &request);
}
