/*
 * directory: what this sidecar knows of groups and members, its own ones and those of the registry
 * (docs/rules/broker.md 3), and the plan that the workers get of it. Own ones are known at once;
 * the registry may answer late or never. Control's thread, but for the two calls of desks.
 */
#ifndef PILLION_BROKER_DIRECTORY_H
#define PILLION_BROKER_DIRECTORY_H

#include "broker/desk.h"
#include "broker/fetch.h"

struct directory *directory_create(struct broker *broker, const struct config *config);
void directory_destroy(struct directory *directory);
void directory_start(struct directory *directory);
void directory_set_config(struct directory *directory, const struct config *config);
void directory_set_app_ready(struct directory *directory, bool ready);
void directory_drain(struct directory *directory);
/* groups rm: false: no such group here. */
bool directory_remove_group(struct directory *directory, struct slice pattern, struct slice group);
void directory_resume(struct directory *directory);
/* The plan as it is now; one reference. Before the workers run, and for tests. */
struct plan *directory_plan(struct directory *directory);

/* From a desk: a fetch needs its member (B6-07), or did so for the last time. */
void directory_fetch_began(struct desk *desk, const struct fetch_path *path);
void directory_fetch_ended(struct desk *desk, const char *group, const char *member);

#endif
