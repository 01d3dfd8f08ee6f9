/*
 * broker: what control and admin see of publish/subscribe forwarding (docs/rules/broker.md). Topics
 * live on their owner worker; the spool has a disk thread; groups and members are registry records.
 * Functions run on the control thread unless they say otherwise.
 */
#ifndef PILLION_BROKER_BROKER_H
#define PILLION_BROKER_BROKER_H

#include "base/buf.h"
#include "base/err.h"
#include "http/endpoint.h"

struct broker;
struct config;
struct exchange_server;
struct loop;
struct registry;
struct resolver;

struct broker_options {
	const struct config *config; /* used until the next broker_set_config */
	const char *spool_dir; /* absolute; NULL: no data directory, publishing is spool_failed */
	const uint8_t *instance_id; /* 16 bytes */
	const char *service_name;   /* for source; may be NULL */
	const char *advertise_host; /* mesh address that members are registered with */
	uint16_t advertise_port;
	struct loop *control_loop;
	struct loop *const *worker_loops;
	unsigned workers;
	struct registry *registry; /* records; may be NULL or without records (B3-08) */
	struct resolver *resolver;
};

/* Locks and recovers the spool (blocking; start-up only). A held lock is PIL2010, exit 78; a spool
 * that cannot be read turns publishing off (spool_failed) and is no error of this function. */
MUST_CHECK int broker_create(
	const struct broker_options *options, struct broker **ret_broker, struct err *err);
/* On the worker's thread, before any request: the worker's data path, for push and links. */
void broker_attach_worker(struct broker *broker, unsigned worker, struct exchange_server *server);
void broker_detach_worker(struct broker *broker, unsigned worker);
void broker_destroy(struct broker *broker); /* after the workers ended; syncs, writes END */

/* /v1/pub/, /v1/sub/ (outbound) and /pillion.v1.Broker/ (inbound). `open` runs on workers. */
#define BROKER_ENDPOINTS 4
unsigned broker_endpoints(struct broker *broker, struct endpoint ret[BROKER_ENDPOINTS]);

/* After the registry started: watches groups, declares own subscriptions. */
void broker_start(struct broker *broker);
/* Reload: subscriptions are compared by name (B4-03). */
void broker_set_config(struct broker *broker, const struct config *config);
/* B7-02: members are registered and pushed to only while the application is ready. */
void broker_set_app_ready(struct broker *broker, bool ready);
/* SIGTERM (B13-02, B13-04): refuse publishes, drain members. broker_drained: nothing is in flight.
 */
void broker_drain(struct broker *broker);
bool broker_drained(const struct broker *broker);

enum broker_spool_state { BROKER_SPOOL_OK, BROKER_SPOOL_OFF, BROKER_SPOOL_FAILED };
enum broker_spool_state broker_spool_state(const struct broker *broker, char ret_reason[128]);
void broker_metrics(struct broker *broker, struct buf *ret_text);

/*
 * Admin verbs; done runs once on the control thread with an HTTP status and a JSON body.
 *   "topics" (list), "groups" (list), "dlq" target "T/G" (list), "dlq-show" "T/G" id,
 *   "dlq-replay" "T/G" [id], "dlq-drop" "T/G" [id], "groups-rm" "T/G", "groups-resume" "T/G"
 */
void broker_command(struct broker *broker, const char *verb, const char *target, const char *id,
	void (*done)(void *owner, int status, struct slice json), void *owner);

#endif
