/*
 * admin: the administration interface (operations.md 9): HTTP/1.1 on a Unix socket with full access
 * and on loopback TCP for looking, with the rules that keep browsers and strangers out. Introduced
 * to control by main.c. Control thread.
 */
#ifndef PILLION_ADMIN_ADMIN_H
#define PILLION_ADMIN_ADMIN_H

#include "control/control.h"

struct control_plugin admin_plugin(void);

#endif
