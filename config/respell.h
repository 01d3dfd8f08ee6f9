/*
 * respell: the valid spelling that a refused value most likely stands for, shown in the fix of an
 * error and never used instead of it (operations.md CF-07). Internal to config. Pure.
 */
#ifndef PILLION_CONFIG_RESPELL_H
#define PILLION_CONFIG_RESPELL_H

#include "config/type.h"

/* Appends JSON text; false when nothing is near. `text` is the string or number as written. */
bool config_respell(const struct config_key *key, enum config_type type, struct slice text,
	struct buf *ret_text);

#endif
