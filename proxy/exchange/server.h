/*
 * server: one worker's data path: accepted connections, their exchanges, the upstreams. Created by
 * control, one per worker; all functions on the worker's thread. Control's mail drives it:
 * snapshots, instance sets, verdicts, application health, drain.
 */
#ifndef PILLION_EXCHANGE_SERVER_H
#define PILLION_EXCHANGE_SERVER_H

#include "base/stat.h"
#include "exchange/snapshot.h"
#include "upstream/registry.h"

struct access_record;
struct exchange_server;
struct loop;
struct mailbox;
struct resolver;
struct transport;

/* Counters of one worker: plain words written by the worker, read by control at scrape (MN-01). */
struct server_stats;

struct exchange_server_options {
	struct loop *loop;
	unsigned index;
	unsigned workers;
	struct resolver *resolver;
	struct config_snapshot *snapshot;
	uint64_t buffers_max; /* of this worker */
	uint64_t connections_max;
	/* Names first used, and verdicts: forwarded to control (which mails); must not call back.
	 */
	void (*on_unknown_service)(void *owner, const char *name);
	void (*on_verdict)(void *owner, const char *service, const uint8_t id[16], enum tier tier);
	/* A name was not used for an hour: its watch may end (MA-04). May be NULL. */
	void (*on_forgotten)(void *owner, const char *name);
	/* Access records wait and the ring passed its half: wake whoever takes them. May be NULL.
	 */
	void (*on_records)(void *owner);
	void *owner;
	/* Slots that filters and endpoints get by exchange_worker_slot (translate's scratch, ...).
	 */
	void *slots[4];
};

struct exchange_server *exchange_server_create(const struct exchange_server_options *options);
/* Cuts what is left (REASON_shutdown) and frees. Connections need some turns to close: usually 4,
 * at most EXCHANGE_SERVER_TURNS, before the loop may be destroyed. */
enum { EXCHANGE_SERVER_TURNS = 80 };
void exchange_server_destroy(struct exchange_server *server);

/* listener: index into the snapshot's listeners, of the generation the connection was accepted in.
 */
void exchange_server_accept(
	struct exchange_server *server, const char *listener_name, struct transport *transport);
void exchange_server_set_snapshot(struct exchange_server *server, struct config_snapshot *snapshot);
void exchange_server_set_instances(struct exchange_server *server, struct instance_set *set);
void exchange_server_set_verdict(
	struct exchange_server *server, const char *service, const uint8_t id[16], enum tier tier);
/* The own application passed its check (MH-03); with `h2` by what the probe saw (MH-05). */
void exchange_server_set_app(struct exchange_server *server, bool healthy, bool exited, bool h2);
/* What control last heard of the registry, for who asks on what a choice was based (mesh.md 0);
 * heard_ms: on the loop's clock. */
void exchange_server_set_registry(
	struct exchange_server *server, enum registry_mode mode, uint64_t heard_ms);
/* ML-21: inbound connections drain, new inbound requests get 503 draining. */
void exchange_server_drain_inbound(struct exchange_server *server);
/* Connections of one removed listener drain. */
void exchange_server_drain_listener(struct exchange_server *server, const char *listener_name);
/* The end of grace: cuts inbound exchanges that are left (drain_cut); returns how many. */
unsigned exchange_server_cut_inbound(struct exchange_server *server);
unsigned exchange_server_inbound_active(const struct exchange_server *server);
unsigned exchange_server_outbound_active(const struct exchange_server *server);
uint64_t exchange_server_last_outbound_ms(const struct exchange_server *server);

/*
 * An in-process client (http/local.h): near = codec->ops->open(codec). to_app: requests go to the
 * own application as an inbound exchange that passes the app's filters unless raw (broker push,
 * reflection: LOCAL_TO_APP_RAW); otherwise they are outbound calls by authority.
 * The codec lives with the server and is pumped by it.
 */
enum local_kind { LOCAL_TO_APP, LOCAL_OUTBOUND, LOCAL_TO_APP_RAW, LOCAL_KINDS };
struct codec *exchange_server_local(struct exchange_server *server, enum local_kind kind);

/* options.slots[slot] as given at creation. */
void *exchange_server_slot(struct exchange_server *server, unsigned slot);
struct upstream *exchange_server_upstream(struct exchange_server *server);
struct block_pool *exchange_server_pool(struct exchange_server *server);
const struct server_stats *exchange_server_stats(const struct exchange_server *server);
/* Access records of this worker: control's background thread takes them (single reader). */
size_t exchange_server_take_records(
	struct exchange_server *server, struct access_record *ret_records, size_t most);

#endif
