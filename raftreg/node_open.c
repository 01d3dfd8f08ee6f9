/*
 * Life of a replica: files, birth, threads, end; and what control asks of it (raftreg.h).
 * Everything that may block for long happens before the thread runs or in its last moments.
 * Questions of control's go through the mailbox and are waited for: the registry thread never
 * waits for control, so this cannot lock up, and a replica that is busy costs the asker a
 * second at most.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/siphash.h"
#include "config/config.h"
#include "raftreg/birth.h"
#include "raftreg/client.h"
#include "raftreg/core/status.h"
#include "raftreg/fanout.h"
#include "raftreg/inlet.h"
#include "raftreg/node.h"
#include "raftreg/node_trace.h"
#include "raftreg/peers.h"

#define UNCOMMITTED_MAX	   (16u * 1024 * 1024) /* registry.md 1 */
#define INFLIGHT_MAX	   128
#define SNAPSHOT_LOG_BYTES (16u * 1024 * 1024) /* RS-12, fixed for now */
#define KEPT_ENTRIES	   16384u	       /* RS-13 */
#define STOP_TURNS_MS	   20
#define ASK_MS		   1000 /* control waits that long for the registry thread */

/* ZC-02: only looked at, before anything is opened, so that --bootstrap on such a
 * directory rejoins instead of founding a second cluster. */
bool raftreg_has_identity(const char *data_dir, bool *ret_replica)
{
	char path[4200];
	struct stat status;
	struct client_known *known;
	bool any;

	*ret_replica = false;
	(void)snprintf(path, sizeof path, "%s/raft/vote", data_dir);
	if (stat(path, &status) == 0 && S_ISREG(status.st_mode)) {
		*ret_replica = true;
		return true;
	}
	known = mem_zalloc(sizeof *known);
	client_known_replicas(data_dir, known);
	any = known->count > 0;
	mem_free(known);
	return any;
}

/* The digest lets replicas that start together see that they mean the same ones (RB-02). */
static void copy_seeds(struct node_settings *settings, const struct config *config)
{
	static const uint8_t key[16];
	struct siphash hash;

	siphash_init(&hash, key);
	for (size_t i = 0; i < config->registry.seeds.count && i < NODE_SEEDS_MAX; i++) {
		const struct config_host *seed = &config->registry.seeds.items[i];

		(void)snprintf(settings->seeds[i].host, sizeof settings->seeds[i].host, "%s",
			seed->host ? seed->host : "127.0.0.1");
		settings->seeds[i].port = seed->port;
		siphash_update(&hash, settings->seeds[i].host, strlen(settings->seeds[i].host) + 1);
		siphash_update(&hash, &settings->seeds[i].port, sizeof seed->port);
		settings->seed_count++;
	}
	settings->seeds_digest = siphash_final(&hash);
}

/* Copied: the configuration may be replaced by a reload, these need a restart. */
static void copy_settings(struct raftreg_node *node, const struct config *config)
{
	const struct config_registry *registry = &config->registry;
	struct node_settings *settings = &node->settings;
	char digits[33] = "";
	size_t count = 0;

	settings->heartbeat_ms = (uint32_t)registry->heartbeat_ms;
	settings->election_ms = (uint32_t)registry->election_ms;
	settings->ttl_ms = (uint64_t)registry->session_ttl_ms;
	settings->renew_ms = (uint64_t)registry->renew_ms;
	settings->bookmark_ms = (uint64_t)registry->bookmark_ms;
	settings->expire_per_s = (unsigned)registry->expire_per_s;
	settings->state_bytes_max = registry->state_bytes_max;
	settings->voter = registry->role != CONFIG_ROLE_LEARNER;
	settings->with_seeds = registry->bootstrap == CONFIG_BOOTSTRAP_WITH_SEEDS;
	copy_seeds(settings, config);
	(void)snprintf(settings->new_cluster, sizeof settings->new_cluster, "%s",
		registry->new_cluster ? registry->new_cluster : "");
	for (const char *at = registry->cluster; at && *at && count < 32; at++) {
		if (*at != '-') {
			digits[count++] = *at;
		}
	}
	settings->pinned =
		count == 32 && slice_parse_hex(slice_from_string(digits), settings->pin, 16);
}

/* A new seed at every start: ids of forwarded reads must not repeat (RM-17). */
static struct raft *create_core(const struct raftreg_node *node)
{
	struct raft_options options = {.id = node->self.id,
		.uncommitted_bytes_max = UNCOMMITTED_MAX,
		.election_ms = node->settings.election_ms,
		.heartbeat_ms = node->settings.heartbeat_ms,
		.append_bytes_max = NODE_APPEND_MAX,
		.inflight_messages_max = INFLIGHT_MAX,
		.inflight_bytes_max = NODE_INFLIGHT_BYTES};

	do {
		rng_system_bytes(&options.seed, sizeof options.seed);
	} while (options.seed == 0);
	return raft_create(&options);
}

/* The one first event; recovered or just born. */
static void restore(struct raftreg_node *node, const struct raft_restore *found)
{
	struct raft_event event = {.kind = RAFT_RESTORE, .u.restore = *found};

	ASSERT(!node->raft);
	node->raft = create_core(node);
	raft_trace_enable(node->raft, true);
	node->persisted = 0;
	(void)node_step(node, &event);
}

/* RB-01. The log is durable before the vote names the cluster: a crash between leaves an empty
 * replica. */
int node_bootstrap(struct raftreg_node *node)
{
	struct raft_change birth = {.transition = RAFT_TRANSITION_AUTO,
		.operation_count = 1,
		.operations = {{.kind = RAFT_ADD_VOTER, .id = node->self.id}}};
	struct raft_entry entry = {.index = 1, .term = 1, .kind = RAFT_ENTRY_CONF};
	const struct raft_restore found = {
		.hard = {.term = 1}, .commit_hint = 1, .entries = &entry, .entry_count = 1};
	uint32_t nonce;
	struct buf records;
	size_t mark;
	int result;

	buf_init(&records);
	mark = pbscan_begin(&records, 1);
	state_encode_replica(&node->self, &records);
	pbscan_end(&records, mark);
	birth.records = records.data;
	birth.records_length = (uint32_t)records.size;
	entry.payload = member_change_encode(&birth);
	buf_fini(&records);
	if (node->settings.pinned) {
		memcpy(node->uuid, node->settings.pin, 16);
	} else {
		rng_system_bytes(node->uuid, sizeof node->uuid);
	}
	rng_system_bytes(&nonce, sizeof nonce);
	node->epoch = UINT64_C(1) << 32 | nonce;
	result = store_bootstrap(node->store, node->uuid, node->epoch, entry.payload);
	if (result == 0) {
		memcpy(node->state.uuid, node->uuid, 16);
		node->has_cluster = true;
		raft_destroy(node->raft);
		node->raft = NULL;
		restore(node, &found);
		inlet_greet_all(node);
		log_event(LOG_LEVEL_INFO, "raftreg", 0, "a new cluster is born", NULL, 0);
	}
	raft_payload_unref(entry.payload);
	return result;
}

/* What the disk says is what we are; the configuration may only refuse it. */
static int take_recovered(struct raftreg_node *node, struct store_recovered *found, struct err *err)
{
	struct raft_restore restored = {.hard = {.term = found->vote.term,
						.vote = found->vote.vote,
						.uncertain = found->vote.uncertain},
		.commit_hint = found->log.commit,
		.snapshot = found->has_snapshot ? &found->meta.snapshot : NULL,
		.entries = found->log.entries,
		.entry_count = found->log.count,
		.before_index = found->log.before_index,
		.before_term = found->log.before_term};

	static const uint8_t none[16];

	node->self.id = found->vote.id;
	memcpy(node->self.incarnation, found->vote.incarnation, 16);
	memcpy(node->uuid, found->vote.uuid, 16);
	node->epoch = found->vote.epoch;
	node->boot_count = found->vote.boot_count;
	node->has_cluster = memcmp(node->uuid, none, 16) != 0;
	if (node->has_cluster && node->settings.pinned &&
		memcmp(node->uuid, node->settings.pin, 16) != 0) {
		err_set(err, 2012,
			"the data directory belongs to another cluster than "
			"registry.cluster names");
		return -EINVAL;
	}
	if (found->damage[0]) {
		log_event(LOG_LEVEL_ERROR, "raftreg", 2103, "recovery found damage",
			(struct log_field[]){LOG_TEXT("error.message", found->damage)}, 1);
	}
	state_init(&node->state, node->uuid);
	if (found->has_snapshot) {
		node->conf = found->meta.snapshot.conf;
		node->applied_term = found->meta.snapshot.term;
		node->snapshot_bytes = found->snapshot_bytes;
		if (state_load(&node->state, buf_slice(&found->state)) < 0) {
			err_set(err, 2103, "the state in the snapshot cannot be read");
			return -EBADMSG;
		}
	}
	restore(node, &restored);
	return 0;
}

/* Only replicas need one; a client works from memory, and is told so by control. */
static int open_directory(const char *data_dir, struct disk **ret_disk, struct err *err)
{
	char path[4200];
	int result;

	if (!data_dir) {
		err_set(err, 2011, "a replica needs a data directory");
		return -EINVAL;
	}
	(void)snprintf(path, sizeof path, "%s/raft", data_dir);
	result = disk_open_directory(path, ret_disk);
	if (result < 0) {
		err_set(err, 2011, "%s cannot be used: %s", path, strerror(-result));
	}
	return result;
}

static void *run_thread(void *context)
{
	struct raftreg_node *node = context;

	(void)pthread_setname_np(pthread_self(), "registry");
	node_trace_on_abort(node->trace); /* RO-03 */
	node_run(node);
	return NULL;
}

/* In the reverse order of dependence; the loop turns in between so that connections and mails
 * end. */
static void destroy_node(struct raftreg_node *node)
{
	/* Answers of the disk still come in those turns: they step nothing and arm nothing. */
	atomic_store(&node->role_stopped, true);
	node_clear(node);
	if (node->peers) {
		peers_close(node->peers);
		for (int i = 0; i < STOP_TURNS_MS; i++) {
			loop_turn(node->loop, 1);
		}
		peers_destroy(node->peers);
	}
	fanout_destroy(node->fanout);
	if (node->raft) {
		node_request_fini(node);
	}
	store_stop(node->store);
	for (int i = 0; i < STOP_TURNS_MS && node->loop; i++) {
		loop_turn(node->loop, 0);
	}
	node_clear(node);
	store_destroy(node->store);
	gate_destroy(node->gate);
	if (node->raft) {
		raft_destroy(node->raft);
		state_fini(&node->state);
	}
	if (node->loop) {
		loop_destroy(node->loop);
	}
	buf_fini(&node->incoming.file);
	buf_fini(&node->incoming.state);
	if (node->disk) {
		disk_close_directory(node->disk);
	}
	(void)pthread_mutex_destroy(&node->reason_lock);
	node_trace_destroy(node->trace);
	mem_free(node);
}

/* RI-01: name and address are labels that may change; the id comes from the file
 * vote. The boot id is drawn per start, so peers can tell late messages of an
 * earlier life (RT-03). */
static void describe_self(struct raftreg_node *node, const struct raftreg_node_options *options)
{
	(void)snprintf(node->self.name, sizeof node->self.name, "%s",
		options->name ? options->name : "pillion");
	(void)snprintf(node->self.host, sizeof node->self.host, "%s", options->advertise_host);
	node->self.port = options->advertise_port;
	node->self.voter = node->settings.voter;
	node->resolver = options->resolver;
	node->control_loop = options->control_loop;
	node->on_change = options->on_change;
	node->owner = options->owner;
	rng_system_bytes(&node->boot_id, sizeof node->boot_id);
}

/* Recovery blocks, which is why it is here and not on the thread. */
static int open_node(
	struct raftreg_node *node, const struct raftreg_node_options *options, struct err *err)
{
	struct store_options store = {0};
	struct store_recovered found;
	int result = open_directory(options->data_dir, &node->disk, err);

	if (result < 0) {
		return result;
	}
	result = loop_create(&node->loop);
	if (result < 0) {
		err_set(err, 9001, "no loop for the registry: %s", strerror(-result));
		return result;
	}
	node->gate = gate_create(node->loop, &inlet_events, node);
	node->peers = peers_create(node);
	node->fanout = fanout_create(node);
	store.disk = node->disk;
	result = store_open(&store, &node->store, &found, err);
	if (result < 0) {
		return result;
	}
	result = store_start(node->store, node->loop, &node_store_events, node);
	if (result < 0) {
		err_set(err, 9001, "no thread for the log: %s", strerror(-result));
	} else {
		result = take_recovered(node, &found, err);
	}
	store_recovered_fini(&found);
	return result ? result : birth_decide(node, options, err);
}

/* All or nothing: what was opened is closed again, and err says why. */
int raftreg_node_start(
	const struct raftreg_node_options *options, struct raftreg_node **ret_node, struct err *err)
{
	struct raftreg_node *node = mem_zalloc(sizeof *node);
	int result;

	(void)pthread_mutex_init(&node->reason_lock, NULL);
	buf_init(&node->incoming.file);
	buf_init(&node->incoming.state);
	copy_settings(node, options->config);
	describe_self(node, options);
	node->trace = node_trace_create();
	node_start_timers(node);
	atomic_store(&node->snapshot_log_bytes, SNAPSHOT_LOG_BYTES);
	atomic_store(&node->kept_entries, KEPT_ENTRIES);
	node->started_ms = clock_boottime_ms();
	result = open_node(node, options, err);
	if (result == 0) {
		node->conf_changed = true;
		if (pthread_create(&node->thread, NULL, run_thread, node) != 0) {
			err_set(err, 9001, "no thread for the registry");
			result = -EAGAIN;
		}
	}
	if (result < 0) {
		destroy_node(node);
		return result;
	}
	*ret_node = node;
	return 0;
}

/* One question of control's, answered on the registry thread. Whoever comes last frees it. */
struct ask {
	struct mail mail;
	struct raftreg_node *node;
	enum { ASK_STATUS, ASK_METRICS, ASK_TRACE } what;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool done, abandoned;
	struct buf text;
};

static void free_ask(struct ask *ask)
{
	(void)pthread_mutex_destroy(&ask->lock);
	(void)pthread_cond_destroy(&ask->answered);
	buf_fini(&ask->text);
	mem_free(ask);
}

/* The asker may have given up: then the last one here frees it. */
static void finish_ask(struct ask *ask)
{
	bool abandoned;

	(void)pthread_mutex_lock(&ask->lock);
	ask->done = true;
	abandoned = ask->abandoned;
	(void)pthread_cond_signal(&ask->answered);
	(void)pthread_mutex_unlock(&ask->lock);
	if (abandoned) {
		free_ask(ask);
	}
}

static void discard_ask(struct mail *mail)
{
	finish_ask(container_of(mail, struct ask, mail));
}

/* Between two turns, so the answer is of one moment. */
static void deliver_ask(struct mail *mail)
{
	struct ask *ask = container_of(mail, struct ask, mail);

	switch (ask->what) {
	case ASK_STATUS:
		node_status_json(ask->node, &ask->text);
		break;
	case ASK_METRICS:
		node_status_metrics(ask->node, &ask->text);
		break;
	case ASK_TRACE:
		node_trace_json(ask->node->trace, &ask->text);
		break;
	}
	finish_ask(ask);
}

/* Waits a second at most; an answer that comes later is thrown away. */
static void ask_node(const struct raftreg_node *node, int what, struct buf *ret_text)
{
	struct ask *ask = mem_zalloc(sizeof *ask);
	struct timespec until;
	bool done;

	ask->mail.deliver = deliver_ask;
	ask->mail.discard = discard_ask;
	ask->node = (struct raftreg_node *)(uintptr_t)node;
	ask->what = (__typeof__(ask->what))what;
	(void)pthread_mutex_init(&ask->lock, NULL);
	(void)pthread_cond_init(&ask->answered, NULL);
	buf_init(&ask->text);
	(void)mailbox_post(loop_mailbox(node->loop), &ask->mail);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ASK_MS / 1000;
	(void)pthread_mutex_lock(&ask->lock);
	while (!ask->done && pthread_cond_timedwait(&ask->answered, &ask->lock, &until) == 0) {
	}
	done = ask->done;
	ask->abandoned = !done;
	(void)pthread_mutex_unlock(&ask->lock);
	if (done) {
		buf_append_slice(ret_text, buf_slice(&ask->text));
		free_ask(ask);
	}
}

void raftreg_node_status(const struct raftreg_node *node, struct buf *ret_json)
{
	ask_node(node, ASK_STATUS, ret_json);
}

void raftreg_node_metrics(const struct raftreg_node *node, struct buf *ret_text)
{
	ask_node(node, ASK_METRICS, ret_text);
}

void raftreg_node_trace(const struct raftreg_node *node, struct buf *ret_json)
{
	ask_node(node, ASK_TRACE, ret_json);
}

/* Three flags and a reason behind its own lock: no mail, no waiting (RS-16). */
void raftreg_node_health(const struct raftreg_node *node, struct raftreg_node_health *ret_health)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&node->reason_lock;

	*ret_health = (struct raftreg_node_health){.role_stopped = atomic_load(&node->role_stopped),
		.leader_known = atomic_load(&node->leader_known),
		.is_leader = atomic_load(&node->is_leader)};
	(void)pthread_mutex_lock(lock);
	(void)snprintf(ret_health->reason, sizeof ret_health->reason, "%s", node->reason);
	(void)pthread_mutex_unlock(lock);
}

/* An operator's verb travels to the registry thread and its answer back to control. */
struct verb {
	struct mail mail;
	struct raftreg_node *node;
	char name[16], argument[64];
	struct registry_call *call;
	struct registry_result result;
};

/* On control, where the call's owner lives. */
static void deliver_answer(struct mail *mail)
{
	struct verb *verb = container_of(mail, struct verb, mail);

	verb->call->done(verb->call, &verb->result);
	mem_free(verb);
}

/* The same envelope carries the answer back. */
static void deliver_verb(struct mail *mail)
{
	struct verb *verb = container_of(mail, struct verb, mail);

	node_member_command(verb->node, verb->name, verb->argument, &verb->result);
	mail->deliver = deliver_answer;
	(void)mailbox_post(loop_mailbox(verb->node->control_loop), mail);
}

/* Texts are copied: the caller's request may be gone before the registry thread
 * reads them. */
void raftreg_node_command(struct raftreg_node *node, const char *name, const char *argument,
	struct registry_call *call)
{
	struct verb *verb = mem_zalloc(sizeof *verb);

	ASSERT(node->control_loop && call->done);
	verb->mail.deliver = deliver_verb;
	verb->node = node;
	(void)snprintf(verb->name, sizeof verb->name, "%s", name);
	(void)snprintf(verb->argument, sizeof verb->argument, "%s", argument);
	verb->call = call;
	(void)mailbox_post(loop_mailbox(node->loop), &verb->mail);
}

/* RB-05, and the last request to the registry thread: end the loop. */
struct leave {
	struct mail mail;
	struct raftreg_node *node;
	bool last, stop;
};

static void deliver_leave(struct mail *mail)
{
	struct leave *leave = container_of(mail, struct leave, mail);

	if (leave->stop) {
		loop_stop(leave->node->loop);
	} else {
		node_leave(leave->node, leave->last);
	}
	mem_free(leave);
}

static void discard_leave(struct mail *mail)
{
	mem_free(container_of(mail, struct leave, mail));
}

static void post_leave(struct raftreg_node *node, bool last, bool stop)
{
	struct leave *leave = mem_zalloc(sizeof *leave);

	leave->mail.deliver = deliver_leave;
	leave->mail.discard = discard_leave;
	leave->node = node;
	leave->last = last;
	leave->stop = stop;
	(void)mailbox_post(loop_mailbox(node->loop), &leave->mail);
}

/* Counted, so that an earlier leave is not taken for this one. */
void raftreg_node_leave(struct raftreg_node *node, bool last)
{
	atomic_fetch_add(&node->leaves_asked, 1);
	post_leave(node, last, false);
}

bool raftreg_node_has_left(const struct raftreg_node *node)
{
	return atomic_load(&node->leaves_done) == atomic_load(&node->leaves_asked);
}

/* Control waits for the thread: afterwards nothing of the replica runs. */
void raftreg_node_stop(struct raftreg_node *node)
{
	if (!node) {
		return;
	}
	post_leave(node, true, true);
	(void)pthread_join(node->thread, NULL);
	destroy_node(node);
}
