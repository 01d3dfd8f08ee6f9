/*
 * client: every sidecar's session with the registry: one stream to any replica, with renewals, one
 * declarative registration, watches that resume (registry.md 7, 8, 9, 10). Control thread. Internal
 * to raftreg; the rest of the program uses the table of upstream/registry.h.
 */
#ifndef PILLION_RAFTREG_CLIENT_H
#define PILLION_RAFTREG_CLIENT_H

#include "base/rng.h"
#include "http/grpc.h"
#include "net/loop.h"
#include "net/timer.h"
#include "raftreg/client_types.h"
#include "raftreg/raftreg.h"
#include "upstream/connection.h"

struct client {
	struct registry registry; /* first */
	struct raftreg_node *node;
	bool started, stopped;
	struct loop *loop;
	struct resolver *resolver;
	char *data_dir, *name, *zone, *host;
	uint16_t port;
	uint64_t ttl_ms, renew_ms, silent_ms; /* silent: a replica that says nothing is left */
	/* RV-06: the cluster that registry.cluster names. A replica of another one
	 * is refused. */
	bool pinned;
	uint8_t pin[16];
	void (*on_status)(void *owner);
	void *owner;
	struct rng rng;

	/* The stream. */
	struct block_pool pool;
	struct http_limits limits;
	struct connection *connection;
	struct grpc_call call;
	bool call_open, greeted, closing;
	struct client_address addresses[CLIENT_ADDRESSES_MAX];
	size_t address_count, address_next, address_current;
	unsigned failures; /* in a row */
	struct timer redial, tick;
	struct task deliver; /* publishes, answers locally: never inside a call */
	uint64_t connected_ms, last_word_ms, started_ms, ticked_ms;
	char connected[128], leader[128], detail[256];
	bool quorum;

	/* The cluster. */
	uint8_t uuid[16];
	uint64_t epoch, highest;

	/* The session. */
	uint8_t registry_instance[16]; /* id of our instances */
	uint8_t session[16];
	uint64_t incarnation, boot, last_seq;
	bool open, registered, leave;
	/* Never used twice, so a late answer cannot end another request. */
	uint64_t next_number;
	enum client_command command;
	struct buf command_bytes;
	uint64_t command_number, command_seq, command_sent_ms, command_retry_ms;
	unsigned command_tries;
	uint64_t renew_due_ms, renew_number, renew_sent_ms;
	/* RV-07: what is to be registered, kept as a whole and said again after
	 * every lost session. */
	struct buf declared; /* items, each with a u32 length before it */
	uint64_t declared_digest;
	bool has_declared, declare_dirty;
	uint64_t declare_retry_ms;
	struct list_node calls;		  /* of struct registry_call: wait for the declared set */
	struct list_node calls_in_flight; /* their set is in the command under way */
	struct list_node records;	  /* of struct client_record_op, oldest first */
	struct map owned_records; /* set NUL key -> client_record_op, again with a new session */

	struct list_node asks;

	/* What is known. */
	struct map sets; /* kind byte and name -> client_set */
	struct list_node subs;
	uint64_t sub_requests; /* SUBSCRIBE and UNSUBSCRIBE frames sent on this stream (RW-05) */
	uint64_t mismatches;   /* of digests (RW-07) */
	uint64_t doubt_ms;     /* not before: something is read again from nothing (RW-07) */
	struct list_node changed;
	bool view_changed, telling; /* watchers are: they may end watches from inside */
	uint64_t view_written_ms;
	struct viewfile_writer *writer;

	enum registry_mode told_mode;
	bool told_registered;
};

void client_known_replicas(const char *data_dir, struct client_known *ret_known);

/* client.c */
struct client *client_of(struct registry *registry);
void client_connect(struct client *client);
void client_disconnect(struct client *client, const char *why);
bool client_send(struct client *client, struct slice frame); /* false: not connected */
bool client_is_live(const struct client *client);
enum registry_mode client_mode(const struct client *client);
void client_check_status(struct client *client);
void client_add_address(struct client *client, struct slice text, bool configured);
uint64_t client_now_ms(const struct client *client);

/* client_session.c */
void client_session_init(struct client *client, const uint8_t instance_id[16]);
void client_session_fini(struct client *client);
void client_session_welcome(struct client *client); /* a stream is up */
void client_session_answer(struct client *client, const struct packet *answer);
void client_session_tick(struct client *client, uint64_t now_ms);
/* RD-05: starts the next command when none is under way; the outcome decides its
 * seq. */
void client_session_pump(struct client *client);
void client_session_cluster_changed(struct client *client);
void client_session_close(struct client *client); /* CLOSE, without waiting */
void client_session_declare(struct client *client, const struct registry_service *services,
	size_t count, struct registry_call *call);
void client_session_put(struct client *client, struct client_record_op *op);

/* client_view.c */
void client_view_init(struct client *client);
void client_view_fini(struct client *client);
int client_view_watch(struct client *client, struct watch *watch);
void client_view_unwatch(struct client *client, struct watch *watch);
void client_view_frame(struct client *client, const struct packet *frame);
void client_view_tick(struct client *client, uint64_t now_ms);
void client_view_publish(struct client *client);
void client_view_cluster_changed(struct client *client);
struct client_set *client_view_set(struct client *client, bool records, struct slice name);
struct client_set *client_view_make(struct client *client, bool records, struct slice name);
void client_view_changed(struct client *client, struct client_set *set); /* publish it soon */
void client_view_empty(struct client *client, struct client_set *set, uint64_t index);
void client_view_put(struct client_set *set, struct map *map, const struct item *item);
void client_view_free_set(struct client_set *set);
void client_view_init_set(struct client_set *set, bool records, struct slice name);

/* client_ask.c */
void client_ask_start(struct client *client, struct client_ask *ask); /* takes it over */
void client_ask_answered(struct client *client, const struct packet *answer);
void client_ask_answer_locally(struct client *client);
void client_ask_tick(struct client *client, uint64_t now_ms);
void client_ask_fini(struct client *client);
enum registry_code client_session_code(enum packet_code code);

/* client_publish.c: with one reference. */
struct instance_set *client_publish_instances(const struct client_set *set);
struct record_set *client_publish_records(const struct client_set *set);

#endif
