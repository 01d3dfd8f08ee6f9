/*
 * command: the verbs of the admin interface (docs/rules/broker.md 18): a command visits every desk
 * in turn and comes back to control with its JSON. Control's thread.
 */
#ifndef PILLION_BROKER_COMMAND_H
#define PILLION_BROKER_COMMAND_H

#include "broker/desk.h"

struct command_request {
	const char *verb;
	const char *target; /* "T/G", may be NULL or empty */
	const char *id;	    /* may be NULL */
	void (*done)(void *owner, int status, struct slice json);
	void *owner;
};

void command_run(struct broker *broker, const struct command_request *request);

#endif
