/*
 * Two clusters where there should be one is the one mistake that nothing repairs, and a replica
 * whose disk was wiped looks like a first start. So whoever may remember the cluster is asked
 * before another one is made: the data directory (view.bin outlives raft/), the seeds, and for
 * "with-seeds" every sidecar that comes by. Each of them can be overruled by naming what it
 * remembers: registry.new_cluster.
 */
#include "raftreg/birth.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "raftreg/client.h"
#include "raftreg/inlet.h"
#include "raftreg/peers.h"

#define ASK_MS	      2000 /* RB-01: seeds that have a cluster are up, and answer at once */
#define ALONE_MS      1000 /* RB-02: all seeds empty for that long */
#define TELL_EVERY_MS 10000
#define UUID_TEXT     37

static void format_uuid(const uint8_t uuid[16], char ret_text[UUID_TEXT])
{
	size_t used = 0;

	for (int i = 0; i < 16; i++) {
		used += (size_t)snprintf(ret_text + used, UUID_TEXT - used, "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
	}
}

/* RB-01: by its first digits; dashes do not count. Nothing names every cluster. */
static bool is_named(const struct raftreg_node *node, const uint8_t uuid[16])
{
	char text[UUID_TEXT];
	const char *at = text;
	const char *wanted = node->settings.new_cluster;

	format_uuid(uuid, text);
	for (; *wanted && *at; wanted++) {
		if (*wanted == '-') {
			continue;
		}
		at += *at == '-' ? 1 : 0;
		if ((*wanted | 0x20) != *at++) {
			return false;
		}
	}
	return node->settings.new_cluster[0] != '\0' && *wanted == '\0';
}

bool birth_meet(struct raftreg_node *node, const struct wire_hello *hello)
{
	static const uint8_t none[16];
	struct node_birth *birth = &node->birth;

	if (!birth->asking) {
		return false;
	}
	if (memcmp(hello->uuid, none, 16) != 0 && !is_named(node, hello->uuid)) {
		memcpy(birth->met_uuid, hello->uuid, 16);
		node_status_address(&hello->self, birth->met_address);
		birth->asking = false;
	}
	return true;
}

/* The loop is not running yet, so it is turned here. A seed that is silent cannot be known to have
 * a cluster: a first start may well be the first one of all. */
static int ask_seeds(struct raftreg_node *node, struct err *err)
{
	uint64_t until = node_now_ms(node) + ASK_MS;
	struct node_birth *birth = &node->birth;
	char uuid[UUID_TEXT];
	bool met;

	birth->asking = true;
	peers_knock(node->peers, true);
	while (birth->asking && node_now_ms(node) < until) {
		loop_turn(node->loop, 10);
	}
	met = !birth->asking;
	birth->asking = false;
	peers_knock(node->peers, false);
	if (!met) {
		return 0;
	}
	format_uuid(birth->met_uuid, uuid);
	err_set(err, 1234, "the seed %s belongs to the cluster %s already", birth->met_address,
		uuid);
	return -EEXIST;
}

/* ZC-02: the view remembers where the replicas are. Our own address is one of them at best. */
static void take_known(struct raftreg_node *node, const struct client_known *known)
{
	struct node_settings *settings = &node->settings;

	for (size_t i = 0; i < known->count && settings->seed_count < NODE_SEEDS_MAX; i++) {
		const struct client_address *address = &known->addresses[i];
		bool is_there = address->port == node->self.port &&
				strcmp(address->host, node->self.host) == 0;

		for (size_t j = 0; j < settings->seed_count; j++) {
			is_there = is_there ||
				   (settings->seeds[j].port == address->port &&
					   strcmp(settings->seeds[j].host, address->host) == 0);
		}
		if (!is_there) {
			(void)snprintf(settings->seeds[settings->seed_count].host,
				sizeof settings->seeds[0].host, "%s", address->host);
			settings->seeds[settings->seed_count++].port = address->port;
		}
	}
}

/* True: the directory belongs to a cluster, though no replica's files are in it. */
static bool is_remembered(struct raftreg_node *node, const char *data_dir)
{
	struct client_known *known = mem_zalloc(sizeof *known);
	bool remembered;

	client_known_replicas(data_dir, known);
	remembered = known->count > 0 && !is_named(node, known->uuid);
	if (remembered) {
		node->birth.known = true;
		memcpy(node->birth.met_uuid, known->uuid, sizeof known->uuid);
		take_known(node, known);
	}
	mem_free(known);
	return remembered;
}

static int found_cluster(struct raftreg_node *node, struct err *err)
{
	int result = node->settings.seed_count > 0 ? ask_seeds(node, err) : 0;

	if (result < 0) {
		return result;
	}
	result = node_bootstrap(node);
	if (result < 0) {
		err_set(err, 2102, "the new cluster cannot be written: %s", strerror(-result));
	}
	return result;
}

static void tell_rejoin(enum config_bootstrap bootstrap)
{
	if (bootstrap != CONFIG_BOOTSTRAP_NEVER) {
		log_event(LOG_LEVEL_INFO, "raftreg", 0,
			"the data directory has an identity: it rejoins its cluster", NULL, 0);
	}
}

int birth_decide(
	struct raftreg_node *node, const struct raftreg_node_options *options, struct err *err)
{
	enum config_bootstrap bootstrap = options->config->registry.bootstrap;
	char uuid[UUID_TEXT];

	if (node->has_cluster) {
		tell_rejoin(bootstrap);
		return 0;
	}
	if (!is_remembered(node, options->data_dir) && bootstrap == CONFIG_BOOTSTRAP_ALONE) {
		return found_cluster(node, err);
	}
	if (node->settings.seed_count == 0 && !node->birth.known) {
		err_set(err, 1230, "this replica has no cluster and no seeds to ask for one");
		return -EINVAL;
	}
	if (node->settings.seed_count == 0) {
		format_uuid(node->birth.met_uuid, uuid);
		err_set(err, 1234,
			"the data directory belongs to the cluster %s, and no other replica of it "
			"is known",
			uuid);
		return -EEXIST;
	}
	if (node->birth.known) {
		tell_rejoin(bootstrap);
	}
	return 0;
}

/* RB-02: the other empty ones hear of it at once, for one of them may be the lowest. */
void birth_veto(struct raftreg_node *node)
{
	if (node->has_cluster || node->birth.known) {
		return;
	}
	node->birth.known = true;
	node->birth.told_ms = 0;
	inlet_greet_all(node);
}

/* RB-02, with-seeds: every seed is an empty voter with the same seeds, and this is the lowest. */
static void look_at_seeds(struct raftreg_node *node, uint64_t now_ms)
{
	struct node_birth *birth = &node->birth;
	char self[300];
	bool lowest = false;
	size_t others = 0;

	node_status_address(&node->self, self);
	if (!peers_all_empty(node->peers, node->settings.seeds_digest, self, &lowest, &others)) {
		birth->alone_since_ms = 0;
		return;
	}
	if (birth->alone_since_ms == 0) {
		birth->alone_since_ms = now_ms;
	}
	if (lowest && now_ms - birth->alone_since_ms >= ALONE_MS) {
		node->serve_voters = others + 1;
		if (node_bootstrap(node) < 0) {
			node_stop_role(node, "the new cluster could not be written");
		}
	}
}

/* RB-02: a start that waits must say for what. */
static void tell(struct raftreg_node *node, uint64_t now_ms)
{
	struct node_birth *birth = &node->birth;

	if (birth->told_ms != 0 && now_ms - birth->told_ms < TELL_EVERY_MS) {
		return;
	}
	birth->told_ms = now_ms;
	log_event(LOG_LEVEL_WARN, "raftreg", 3007,
		birth->known
			? "cluster_known: a sidecar or the data directory remembers a cluster, "
			  "so none is created here; its replicas do not answer"
		: node->settings.with_seeds ? "not every seed has answered yet that it is new, too"
					    : "no seed has answered for a cluster yet",
		NULL, 0);
}

void birth_tick(struct raftreg_node *node, uint64_t now_ms)
{
	if (node->settings.with_seeds && !node->birth.known) {
		look_at_seeds(node, now_ms);
	}
	/* A usual start has found its cluster before the first word is due. */
	if (!node->has_cluster && now_ms - node->started_ms >= TELL_EVERY_MS) {
		tell(node, now_ms);
	}
}
