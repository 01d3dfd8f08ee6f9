#include "control/start.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/disk_ops.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "codec/descriptor.h"
#include "config/places.h"
#include "control/background.h"
#include "control/banner.h"
#include "control/lifecycle.h"
#include "control/notify.h"
#include "control/schema.h"
#include "control/state.h"
#include "filters/translate.h"
#include "net/resolver.h"
#include "raftreg/raftreg.h"

#define EXIT_CONFIG  78
#define EXIT_FAILED  1
#define LAST_TURNS   16 /* of control's loop, for what was closed at the end */
#define WORKERS_AUTO 4	/* design: one per core, at most this many */

/* PR-01: no capability is needed here: the parent binds the ports and signals the application. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capset, &header, none) < 0) {
		log_event(LOG_LEVEL_WARN, "control", 0, "capabilities were not dropped",
			(struct log_field[]){LOG_TEXT("error.message", strerror(errno))}, 1);
	}
}

/* PR-01: descriptors up to the hard limit; nothing here ever gains a right. */
static void harden(const struct config *config)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	drop_capabilities();
	if (!config->process.core_dumps) {
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	}
	(void)signal(SIGPIPE, SIG_IGN);
}

/* Warnings are printed too and stop nothing (CF-25); errors end the start with all of them shown.
 */
static int load_first_config(struct control *control)
{
	struct config_report report;
	struct buf text;
	int result;

	config_report_init(&report);
	buf_init(&text);
	result = control_load_config(control, &control->config, &report);
	if (report.count > 0) {
		config_report_print(&report, CONFIG_REPORT_TEXT, &text);
		(void)fputs(buf_string(&text), stderr);
	}
	buf_fini(&text);
	config_report_fini(&report);
	return result < 0 ? EXIT_CONFIG : 0;
}

/* Whoever creates a cluster is its first voter, whatever `role` says. */
static bool wants_replica(const struct config *config)
{
	return config->registry.kind == CONFIG_REGISTRY_RAFT &&
	       (config->registry.role != CONFIG_ROLE_CLIENT ||
		       config->registry.bootstrap != CONFIG_BOOTSTRAP_NEVER);
}

/* CF-24, B9-12: what was acknowledged must outlive the container and the power (PIL1241). */
static void warn_of_passing(const char *path)
{
	const char *kind = config_place_passing(path);

	if (kind) {
		log_event(LOG_LEVEL_WARN, "control", 1241,
			"registry log or spool lie on a file system that does not last",
			(struct log_field[]){
				LOG_TEXT("file.path", path), LOG_TEXT("pillion.kind", kind)},
			2);
	}
}

/* PR-02. Opened before any port is bound: two sidecars of one name are told apart by the lock they
 * hold here. */
static int open_data(struct control *control)
{
	const struct config *config = control->config;
	struct datadir_options options = {.configured = config->process.data_dir,
		.name = control_service(control),
		.append_name = !config->file && !control->launch->proxy,
		.temporary = control->launch->dev && !config->process.data_dir,
		.required = wants_replica(config)};
	struct err err;

	err_clear(&err);
	if (datadir_open(&options, &control->data, &err) < 0) {
		control_say(&err);
		return EXIT_CONFIG;
	}
	if (control->data.path && !control->data.temporary &&
		(options.required || config_broker_syncs(&config->broker))) {
		warn_of_passing(control->data.path);
	}
	if (!control->data.path) {
		/* Nothing is logged yet; a person at the terminal and a log reader see this too. */
		(void)fprintf(stderr, "warning PIL2011: no view across restarts: %s\n", err.text);
	}
	return 0;
}

/* ZC-02: which cluster is never implicit. */
static int decide_cluster(struct control *control, bool *ret_replica)
{
	const struct config *config = control->config;
	struct config_report report;
	struct buf text;
	bool identity = false;
	bool decided;

	*ret_replica = wants_replica(config);
	control->registry_is_raft = config->registry.kind == CONFIG_REGISTRY_RAFT;
	if (!control->registry_is_raft) {
		return 0;
	}
	if (control->data.path) {
		bool replica = false;

		identity = raftreg_has_identity(control->data.path, &replica);
		*ret_replica = *ret_replica || replica;
	}
	config_report_init(&report);
	decided = config_registry_decided(config, identity, &report);
	if (!decided) {
		buf_init(&text);
		config_report_print(&report, CONFIG_REPORT_TEXT, &text);
		(void)fputs(buf_string(&text), stderr);
		buf_fini(&text);
	}
	config_report_fini(&report);
	return decided ? 0 : EXIT_CONFIG;
}

/* CPUs that this process may use, not those of the machine: a container's share counts. */
static unsigned count_workers(const struct config *config)
{
	cpu_set_t allowed;
	int count;

	if (config->process.workers > 0) {
		return (unsigned)config->process.workers;
	}
	CPU_ZERO(&allowed);
	count = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
	return count > WORKERS_AUTO ? WORKERS_AUTO : count < 1 ? 1u : (unsigned)count;
}

/* Loops first, threads later: registry and broker mail to workers that have not started yet, and
 * the mail waits. */
static int create_loops(struct control *control)
{
	int result = loop_create(&control->loop);

	for (unsigned i = 0; i < count_workers(control->config) && result == 0; i++) {
		result = worker_create(control, i, &control->workers[i]);
		if (result == 0) {
			control->worker_loops[i] = control->workers[i].loop;
			control->worker_count++;
		}
	}
	if (result == 0) {
		result = resolver_create(&control->resolver);
	}
	if (result == 0) {
		result = background_create(&control->background, control->loop);
	}
	if (result < 0) {
		(void)fprintf(stderr, "pillion: cannot create its loops: %s\n", strerror(-result));
		return EXIT_FAILED;
	}
	return 0;
}

/* The first address that is not loopback, for `registry.insecure` on a real network. */
static void first_address(char *ret_text, size_t size)
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all) < 0) {
		return;
	}
	for (struct ifaddrs *one = all; one; one = one->ifa_next) {
		struct address address = {0};
		char text[ADDRESS_TEXT_MAX];

		if (!one->ifa_addr || one->ifa_addr->sa_family != AF_INET ||
			(one->ifa_flags & IFF_LOOPBACK)) {
			continue;
		}
		memcpy(&address.u.v4, one->ifa_addr, sizeof address.u.v4);
		address.size = sizeof address.u.v4;
		(void)snprintf(ret_text, size, "%s", address_host(&address, text));
		break;
	}
	freeifaddrs(all);
}

static void decide_advertise(struct control *control)
{
	const struct config_host *configured = &control->config->registry.advertise;
	const struct bound_listener *inbound = listeners_find(control, "inbound");

	(void)snprintf(control->advertise_host, sizeof control->advertise_host, "127.0.0.1");
	control->advertise_port = inbound ? address_port(&inbound->address) : 0;
	if (configured->host) {
		(void)snprintf(control->advertise_host, sizeof control->advertise_host, "%s",
			configured->host);
		control->advertise_port = configured->port;
	} else if (inbound && !address_is_any(&inbound->address)) {
		char text[ADDRESS_TEXT_MAX];

		(void)snprintf(control->advertise_host, sizeof control->advertise_host, "%s",
			address_host(&inbound->address, text));
	} else if (control->config->registry.insecure) {
		first_address(control->advertise_host, sizeof control->advertise_host);
	}
}

/* ZC-03: the family of ports that a replica took at its first start is part of its identity. */
#define PORTS_FILE "ports"

/* A file that holds anything but a family of ports is taken for absent. */
static unsigned stored_shift(const struct control *control)
{
	char path[4200];
	unsigned shift = 0;
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/%s", control->data.path, PORTS_FILE);
	file = fopen(path, "re");
	if (!file) {
		return 0;
	}
	if (fscanf(file, "%3u", &shift) != 1 || shift > 180 || shift % 20 != 0) {
		shift = 0;
	}
	(void)fclose(file);
	return shift;
}

/* Not being able to note it is a warning: this run serves, only the next one might move. */
static void store_shift(const struct control *control)
{
	char text[16];
	struct disk *disk;

	(void)snprintf(text, sizeof text, "%u\n", control->port_shift);
	if (disk_open_directory(control->data.path, &disk) < 0) {
		return;
	}
	if (disk_replace_file(disk, PORTS_FILE, text, strlen(text)) < 0) {
		log_event(LOG_LEVEL_WARN, "control", 2011, "the ports in use were not noted", NULL,
			0);
	}
	disk_close_directory(disk);
}

/* ZC-03. Which port others know must be settled before the first word to the registry. */
static int bind_all(struct control *control, bool replica)
{
	/* A replica's address is known to others and never moves once it has an identity. */
	bool identity = false;
	bool may_move;
	struct err err;

	if (control->data.path && replica) {
		bool on_disk = false;

		identity = raftreg_has_identity(control->data.path, &on_disk) && on_disk;
	}
	may_move = !control->config->file && !identity;
	if (identity && !control->config->file) {
		control->port_shift = stored_shift(control);
	}
	err_clear(&err);
	if (listeners_bind(control, control->config, may_move, &err) < 0) {
		control_say(&err);
		return EXIT_CONFIG;
	}
	decide_advertise(control);
	if (replica && !identity && control->data.path) {
		store_shift(control);
	}
	return 0;
}

static void on_node_change(void *owner)
{
	struct control *control = owner;

	log_event(LOG_LEVEL_DEBUG, "control", 0, "the replica changed its role", NULL, 0);
	ASSERT(control->node || control->exit_code == 0);
}

/* Every sidecar of a raft mesh has the door, replica or not: one that is no replica answers its
 * callers where to go. */
static int start_node(struct control *control, bool replica)
{
	struct raftreg_node_options options = {.config = control->config,
		.data_dir = control->data.path,
		.name = control_service(control),
		.advertise_host = control->advertise_host,
		.advertise_port = control->advertise_port,
		.resolver = control->resolver,
		.worker_loops = control->worker_loops,
		.workers = control->worker_count,
		.control_loop = control->loop,
		.on_change = on_node_change,
		.owner = control};
	struct err err;

	if (!control->registry_is_raft) {
		return 0;
	}
	err_clear(&err);
	if (replica && raftreg_node_start(&options, &control->node, &err) < 0) {
		control_say(&err);
		return EXIT_CONFIG;
	}
	control->door =
		raftreg_door_create(control->node, control->worker_loops, control->worker_count);
	return 0;
}

/* The registry may speak while the start is still under way. */
static void on_registry_status(void *owner)
{
	struct control *control = owner;

	if (control->lifecycle && control->registry) {
		lifecycle_registry_changed(control->lifecycle);
	}
}

/* Only then is a second back end needed beside raft. */
/* registry.md 12: the static back end alone, or raft with the static one beside it for names the
 * file settles. */
static int start_registries(struct control *control)
{
	struct registry_settings settings = {.loop = control->loop,
		.resolver = control->resolver,
		.config = control->config,
		.instance_id = control->identity.instance_id,
		.data_dir = control->data.path,
		.advertise_host = control->advertise_host,
		.advertise_port = control->advertise_port,
		.on_status = on_registry_status,
		.owner = control};
	struct registry *list[2];
	unsigned count = 0;
	struct err err;

	control->registry = control->registry_is_raft ? raftreg_client_create(control->node)
						      : raftreg_static_create();
	list[count++] = control->registry;
	/* A reload may name instances where there were none: the second back end is always there.
	 */
	if (control->registry_is_raft) {
		control->configured = raftreg_static_create();
		list[count++] = control->configured;
	}
	err_clear(&err);
	for (unsigned i = 0; i < count; i++) {
		if (list[i]->ops->start(list[i], &settings, &err) < 0) {
			control_say(&err);
			return EXIT_CONFIG;
		}
	}
	return 0;
}

/* Its endpoints have to be in the first snapshot, so it exists before that; it starts once the
 * workers run. */
static int create_broker(struct control *control)
{
	const struct config_broker *configured = &control->config->broker;
	struct broker_options options = {.config = control->config,
		.instance_id = control->identity.instance_id,
		.service_name = control->config->self.name,
		.advertise_host = control->advertise_host,
		.advertise_port = control->advertise_port,
		.control_loop = control->loop,
		.worker_loops = control->worker_loops,
		.workers = control->worker_count,
		.registry = control->registry,
		.resolver = control->resolver};
	char path[4096];
	struct err err;

	if (!configured->enabled) {
		return 0;
	}
	if (configured->spool.path) {
		options.spool_dir = configured->spool.path;
	} else if (control->data.path) {
		(void)snprintf(path, sizeof path, "%s/spool", control->data.path);
		options.spool_dir = path;
	}
	err_clear(&err);
	if (broker_create(&options, &control->broker, &err) < 0) {
		control_say(&err);
		return EXIT_CONFIG;
	}
	return 0;
}

/* On the worker, before its first connection. */
static void worker_setup(struct worker *worker)
{
	if (worker->control->broker) {
		broker_attach_worker(worker->control->broker, worker->index, worker->server);
	}
}

/* A worker saw a method that the schema lacks (RF-04). */
static void run_unknown_method(struct control *control, void *argument)
{
	ASSERT(!argument);
	schema_refresh_unknown(control->schema);
}

/* What a worker does ten times a second besides traffic: hands over access records, ends waits for
 * a schema, and tells of unknown methods. None of it is on a request's path. */
static void worker_tick(struct worker *worker)
{
	struct translate_worker *translate = exchange_server_slot(worker->server, TRANSLATE_SLOT);

	background_offer(worker->control->background, worker->server);
	translate_worker_expire(translate, loop_now_ns(worker->loop));
	if (translate_worker_take_unknown(translate)) {
		control_call(worker->control, run_unknown_method, NULL, NULL);
	}
}

/* The ring passed its half: the tick may be too late (LG-04). */
static void worker_records(void *owner)
{
	struct worker *worker = owner;

	background_offer(worker->control->background, worker->server);
}

/* The last records are handed over before the server that holds them goes. */
static void worker_teardown(struct worker *worker)
{
	background_offer(worker->control->background, worker->server);
	if (worker->control->broker) {
		broker_detach_worker(worker->control->broker, worker->index);
	}
}

static const struct worker_hooks hooks = {worker_setup, worker_tick, worker_teardown};

/* M0-03: limits of the process are split equally; the rounding is up, so that no worker gets
 * nothing. */
static int start_workers(struct control *control)
{
	const struct config_limits *limits = &control->config->limits;

	for (unsigned i = 0; i < control->worker_count; i++) {
		struct exchange_server_options options = {.loop = control->workers[i].loop,
			.index = i,
			.workers = control->worker_count,
			.resolver = control->resolver,
			.snapshot = control->snapshot,
			.buffers_max = (64u << 20) / control->worker_count,
			.connections_max =
				(uint64_t)limits->connections_max / control->worker_count + 1,
			.on_unknown_service = watches_on_unknown,
			.on_verdict = watches_on_verdict,
			.on_forgotten = watches_on_forgotten,
			.on_records = worker_records,
			.owner = &control->workers[i]};
		int result;

		control->translate[i] = translate_worker_create(
			control->config->translation.memory / control->worker_count);
		options.slots[TRANSLATE_SLOT] = control->translate[i];
		result = worker_start(&control->workers[i], &options, &hooks);
		if (result < 0) {
			(void)fprintf(
				stderr, "pillion: cannot start a worker: %s\n", strerror(-result));
			return EXIT_FAILED;
		}
	}
	return 0;
}

/* Descriptors first: a file that cannot be read ends the start, as it would refuse a reload
 * (DS-04). */
static int build_first_snapshot(struct control *control, struct descriptor_pool **ret_pool)
{
	struct err err;

	err_clear(&err);
	if (schema_load(control->config, ret_pool, &err) < 0) {
		control_say(&err);
		return EXIT_CONFIG;
	}
	if (build_snapshot(control, control->config, 1, &control->snapshot, &err) < 0) {
		control_say(&err);
		return EXIT_CONFIG;
	}
	control->generation = 1;
	return 0;
}

/* PR_SET_PDEATHSIG is the only stop that does not come over the channel: the one that says so is
 * gone. */
static void on_signal(struct fd_watch *watch)
{
	struct control *control = container_of(watch, struct control, signal_watch);
	struct signalfd_siginfo info;

	while (read(control->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		/* The parent tells of its own signals by the channel. Here only its death counts
		 * (PR_SET_PDEATHSIG); one sent to the whole process group comes twice and must not.
		 */
		if (getppid() == 1 || info.ssi_pid == 0) {
			lifecycle_stop_signal(control->lifecycle, 1);
		}
	}
}

/* Before the first thread starts, so that all of them inherit the mask. */
static int open_signals(struct control *control)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
		return -errno;
	}
	control->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return control->signal_fd < 0 ? -errno : 0;
}

/* mesh.md 9.1: everything exists now; what is left is to let clients and application in. READY
 * comes when it serves, not when the application is up (HE-02). */
static int start_serving(struct control *control, struct descriptor_pool *pool)
{
	struct control_plugin *admin = control->setup->admin;
	struct channel_message ready = {.op = CHANNEL_READY};
	struct err err;

	control->schema = schema_create(control);
	control->lifecycle = lifecycle_create(control);
	reload_init(control);
	schema_set_files(control->schema, pool);
	err_clear(&err);
	if (admin && admin->start(control, control->admin_fd, control->metrics_fd, &err) < 0) {
		control_say(&err);
		return EXIT_CONFIG;
	}
	control->admin_fd = control->metrics_fd = -1; /* the plug-in's now */
	listeners_start(control);
	for (size_t i = 0; i < control->config->self.uses.count; i++) {
		watches_subscribe(control, control->config->self.uses.items[i]);
	}
	if (control->broker) {
		broker_start(control->broker);
	}
	if (control_watch_channel(control) < 0 ||
		fd_watch_start(
			&control->signal_watch, control->loop, control->signal_fd, on_signal) < 0) {
		(void)fprintf(stderr, "pillion: cannot watch its descriptors\n");
		return EXIT_FAILED;
	}
	control_start_ping(control);
	control->started = true;
	(void)control_send(control, &ready);
	notify_send("READY=1");
	/* After READY: a terminal that is slow must not delay the one who waits for us. */
	banner_print(control);
	lifecycle_start(control->lifecycle);
	control_take_deferred(control);
	return 0;
}

/* The order is that of mesh.md 9.1: nothing is bound before the configuration is whole, no thread
 * runs before the ports are ours, nothing serves before the first snapshot is built. */
int start_control(struct control *control)
{
	struct descriptor_pool *pool = NULL;
	bool replica = false;
	int code = load_first_config(control);

	if (code == 0) {
		harden(control->config);
		code = open_signals(control) < 0 ? EXIT_FAILED : 0;
	}
	code = code ? code : open_data(control);
	code = code ? code : decide_cluster(control, &replica);
	code = code ? code : create_loops(control);
	if (code == 0) {
		control_apply_logging(control);
		code = bind_all(control, replica);
	}
	code = code ? code : start_node(control, replica);
	code = code ? code : start_registries(control);
	code = code ? code : create_broker(control);
	code = code ? code : build_first_snapshot(control, &pool);
	code = code ? code : start_workers(control);
	return code ? code : start_serving(control, pool);
}

/* Downwards: whoever mails to something ends before it. */
static void stop_threads(struct control *control)
{
	for (unsigned i = 0; i < control->worker_count; i++) {
		worker_stop(&control->workers[i]);
	}
	/* Registry and broker end after the data path that mails to them. */
	if (control->broker) {
		broker_destroy(control->broker);
		control->broker = NULL;
	}
	watches_fini(control);
	if (control->registry) {
		control->registry->ops->stop(control->registry, false);
		if (control->registry_is_raft) {
			raftreg_client_destroy(control->registry);
		} else {
			raftreg_static_destroy(control->registry);
		}
		control->registry = NULL;
	}
	if (control->configured) {
		control->configured->ops->stop(control->configured, false);
		raftreg_static_destroy(control->configured);
	}
	if (control->node) {
		raftreg_node_stop(control->node);
		control->node = NULL;
	}
	if (control->door) {
		raftreg_door_destroy(control->door);
	}
	background_destroy(control->background);
}

/* In reverse, and from any point: what was never made is NULL. */
void start_undo(struct control *control)
{
	struct list_node *node;

	if (control->setup->admin && control->setup->admin->state) {
		control->setup->admin->stop(control);
	}
	fd_watch_stop(&control->channel_watch);
	fd_watch_stop(&control->signal_watch);
	if (control->lifecycle) {
		reload_fini(control);
	}
	if (control->started) {
		timer_cancel(&control->ping_timer);
	}
	lifecycle_destroy(control->lifecycle);
	control->lifecycle = NULL;
	stop_threads(control);
	schema_destroy(control->schema);
	if (control->resolver) {
		resolver_destroy(control->resolver);
	}
	/* What was closed above comes back by mail and graveyard: it needs turns, not time. */
	for (int i = 0; i < LAST_TURNS && control->loop; i++) {
		loop_turn(control->loop, 0);
	}
	for (unsigned i = 0; i < control->worker_count; i++) {
		worker_destroy(&control->workers[i]);
		translate_worker_destroy(control->translate[i]);
	}
	listeners_fini(control);
	if (control->loop) {
		loop_destroy(control->loop);
	}
	if (control->snapshot) {
		snapshot_unref(control->snapshot); /* and its configuration */
	} else {
		config_destroy(control->config);
	}
	while ((node = list_pop_front(&control->deferred)) != NULL) {
		mem_free(LIST_ENTRY(node, struct deferred_message, node));
	}
	datadir_close(&control->data);
}

/* PR-03: one line, for somebody who has a terminal and no admin socket. */
void start_dump_state(struct control *control)
{
	struct control_health health;

	control_health_get(control, &health);
	log_event(LOG_LEVEL_INFO, "control", 0, "state",
		(struct log_field[]){LOG_TEXT("pillion.phase", control_phase_word(health.phase)),
			LOG_NUMBER("pillion.generation", control->generation),
			LOG_NUMBER("pillion.ready", health.ready),
			LOG_NUMBER("pillion.app_healthy", health.app_healthy),
			LOG_NUMBER("pillion.index", health.registry.index),
			LOG_TEXT("pillion.leader", health.registry.leader),
			LOG_NUMBER("pillion.reloads", control->counters.reloads_applied)},
		7);
}
