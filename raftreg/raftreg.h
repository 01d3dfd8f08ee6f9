/*
 * raftreg: what the rest of the program sees of the Raft registry. A sidecar always has a client
 * (backend_raft: a session with any replica, over the mesh port); a voter or learner also has a
 * node: the Raft core on a loop of its own, with a disk thread. Nodes get accepted streams from the
 * workers through doors. Functions run on the control thread unless they say otherwise.
 */
#ifndef PILLION_RAFTREG_RAFTREG_H
#define PILLION_RAFTREG_RAFTREG_H

#include "base/buf.h"
#include "base/err.h"
#include "http/endpoint.h"
#include "upstream/registry.h"

struct config;
struct raftreg_node;
struct resolver;

/* Does this data directory belong to a cluster: raft/vote, or a view.bin that names replicas?
 * (ZC-02) ret_replica: it holds a replica's files. */
bool raftreg_has_identity(const char *data_dir, bool *ret_replica);

struct raftreg_node_options {
	const struct config *config; /* copied from; not kept */
	const char *data_dir;
	const char *name; /* shown by raft status */
	const char *advertise_host;
	uint16_t advertise_port;
	struct resolver *resolver;
	struct loop *const *worker_loops; /* answers travel back by their mailboxes */
	unsigned workers;
	/* Control's loop: on_change runs there when role, leader or health changed. */
	struct loop *control_loop;
	void (*on_change)(void *owner);
	void *owner;
};

/*
 * Recovers the files (blocking; start-up only), bootstraps when the configuration asks for it
 * (RB-01, RB-02), starts the registry and the disk thread. err has a PIL code: 2010, 2011, 2012,
 * 21xx, 1230.
 */
MUST_CHECK int raftreg_node_start(const struct raftreg_node_options *options,
	struct raftreg_node **ret_node, struct err *err);
/* RB-05, while the workers still run, for what the peers answer comes through them: hands
 * leadership over; `last` also asks the sidecars to go elsewhere. May be called again. */
void raftreg_node_leave(struct raftreg_node *node, bool last);
/* True once the last leave is done. How long to wait for it is the caller's to say. */
bool raftreg_node_has_left(const struct raftreg_node *node);
/* Syncs what was submitted and joins the threads. */
void raftreg_node_stop(struct raftreg_node *node);
/* `pillion raft status`: one JSON object (registry.md 13). Also what /readyz?verbose and status
 * show. */
struct raftreg_node_health {
	bool role_stopped; /* RS-16 */
	bool leader_known;
	bool is_leader;
	char reason[128]; /* why stopped, or empty */
};
/* Any thread, and without the registry thread's help: probes must not wait for a
 * loop that may be the very thing that is stuck. */
void raftreg_node_health(const struct raftreg_node *node, struct raftreg_node_health *ret_health);
/* These three ask the registry thread and wait for it at most a second; without an
 * answer nothing is appended, and the caller says that the registry does not answer. */
void raftreg_node_status(const struct raftreg_node *node, struct buf *ret_json);
void raftreg_node_trace(const struct raftreg_node *node, struct buf *ret_json); /* RO-03 */
/* Prometheus lines pillion_raft_* (registry.md 14). */
void raftreg_node_metrics(const struct raftreg_node *node, struct buf *ret_text);
/* Operator verbs that exist now: "transfer" (argument: replica id in hex, or empty), "add",
 * "promote". done runs on the control thread. */
void raftreg_node_command(struct raftreg_node *node, const char *verb, const char *argument,
	struct registry_call *call);

/*
 * The mesh-port endpoints /pillion.v1.Raft/ and /pillion.v1.Registry/ (never more than
 * RAFTREG_ENDPOINTS). node NULL: they answer UNAVAILABLE "not a replica". `open` runs on workers.
 * The context lives until raftreg_door_destroy, after the workers have ended.
 */
#define RAFTREG_ENDPOINTS 2
struct raftreg_door;
struct raftreg_door *raftreg_door_create(
	struct raftreg_node *node, struct loop *const *worker_loops, unsigned workers);
void raftreg_door_destroy(struct raftreg_door *door);
unsigned raftreg_door_endpoints(struct raftreg_door *door, struct endpoint ret[RAFTREG_ENDPOINTS]);

/* Back ends of upstream/registry.h. Create, then ops->start on the control loop; destroy after
 * stop. node: this sidecar's own replica, asked before any seed; NULL for pure clients. */
struct registry *raftreg_client_create(struct raftreg_node *node);
void raftreg_client_destroy(struct registry *registry);
struct registry *raftreg_static_create(void);
void raftreg_static_destroy(struct registry *registry);
/* `pillion members`, asked of the connected replica: body is a JSON object. */
void raftreg_client_members(struct registry *registry,
	void (*done)(void *owner, int status, struct slice json), void *owner);

#endif
