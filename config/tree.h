/*
 * tree: what a loaded configuration keeps besides its structs: what was written and by whom.
 * Internal to config; read by show and diff. Owned by the configuration, read-only.
 */
#ifndef PILLION_CONFIG_TREE_H
#define PILLION_CONFIG_TREE_H

#include "config/config.h"
#include "config/node.h"

struct config_tree {
	struct config_node *root; /* an object; env and flags are already in it */
};

#endif
