/*
 * parent_app: starts the application child in a process group of its own with the environment of
 * mesh.md ML-08 and operations.md ZC-04. Parent process only.
 */
#ifndef PILLION_CONTROL_PARENT_APP_H
#define PILLION_CONTROL_PARENT_APP_H

#include <sys/types.h>

#include "control/launch.h"

struct parent_app_environment {
	const char *outbound; /* "127.0.0.1:7441" */
	const char *instance; /* 32 hex digits */
	const char *service;  /* may be empty */
};

/* 0 and *ret_pid, or -errno of the failed fork or exec (-ENOENT, -EACCES, ...). */
MUST_CHECK int parent_app_start(const struct launch *launch,
	const struct parent_app_environment *environment, pid_t *ret_pid);

#endif
