/*
 * json: the values of a text that the scanner has accepted (operations.md CF-05). Internal to
 * config.
 */
#ifndef PILLION_CONFIG_JSON_H
#define PILLION_CONFIG_JSON_H

#include "config/node.h"

/* Fills the tree from the blanked text; false when jansson sees anything else than the scanner did.
 */
bool config_json_values(struct arena *arena, struct slice text, struct config_node *root);

#endif
