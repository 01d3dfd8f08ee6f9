/*
 * health_endpoint: `GET /pillion.v1.Health/<service>` on the mesh port (mesh.md MH-04): the verdict
 * of a check of the own application made now, shared by all who ask within 500 ms; never forwarded.
 * The question travels from the worker to control and back by mail.
 */
#ifndef PILLION_CONTROL_HEALTH_ENDPOINT_H
#define PILLION_CONTROL_HEALTH_ENDPOINT_H

#include "http/endpoint.h"

struct control;

void health_endpoint_get(struct control *control, struct endpoint *ret_endpoint);

#endif
