/*
 * live: a whole broker on one worker's data path (the rig of the exchange): its local API, an
 * application that answers as told, a mesh port on loopback. Two of them link to each other.
 */
#ifndef PILLION_TESTS_BROKER_LIVE_H
#define PILLION_TESTS_BROKER_LIVE_H

#include "rig.h"

#include "broker/broker.h"

struct config;

struct live {
	struct rig rig;
	struct loop *control;
	struct broker *broker;
	struct config *config;
	char directory[128];
	struct endpoint endpoints[BROKER_ENDPOINTS];
	struct listener *mesh;
	struct address mesh_address;
	struct live *other; /* turned along */
	uint8_t id;
	int command_status;
	struct buf command_json;
	bool command_done;
};

/* A fresh directory; the mesh port is bound, nothing runs yet. */
void live_init(struct live *live, uint8_t id);
/* The same on a mesh port that was used before. */
void live_init_at(struct live *live, uint8_t id, const struct address *mesh);
/* broker: the "broker" object of the configuration as JSON. */
void live_start(struct live *live, const char *broker);
/* Ends everything but the directory. */
void live_stop(struct live *live);
void live_fini(struct live *live); /* after live_stop; removes the directory */
void live_turn(struct live *live);
/* POST; the call's head and body stay until live_stop. */
struct rig_call *live_post(
	struct live *live, const char *path, const char *body, const char *const fields[8]);
int live_status(struct live *live, const char *path, const char *body);
/* An admin verb; its JSON text. */
const char *live_command(
	struct live *live, const char *verb, const char *target, const char *id, int *ret_status);
uint64_t live_metric(struct live *live, const char *line);
/* B1-03: nothing left the group silently. */
void live_check_law(struct live *live, const char *topic, const char *group);
struct config *live_config(const char *broker);

#define LIVE_UNTIL(live, condition)                                                                \
	do {                                                                                       \
		for (uint64_t end_ = clock_monotonic_ms() + RIG_WAIT_MS; !(condition);) {          \
			assert_true(clock_monotonic_ms() < end_);                                  \
			live_turn(live);                                                           \
		}                                                                                  \
	} while (0)

#endif
