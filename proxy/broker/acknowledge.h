/* acknowledge: POST /v1/sub/{topic}/{group}/ack (docs/rules/broker.md B6-05). A worker's thread. */
#ifndef PILLION_BROKER_ACKNOWLEDGE_H
#define PILLION_BROKER_ACKNOWLEDGE_H

#include "broker/desk.h"
#include "broker/fetch.h"

void acknowledge_open(
	struct desk *desk, const struct endpoint_request *request, const struct fetch_path *path);

#endif
