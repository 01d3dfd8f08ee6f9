/*
 * derive: values that follow from others (built-in listeners, the kind of a check, where a push
 * goes), and the checks of meaning (operations.md CF-24). Internal to config.
 */
#ifndef PILLION_CONFIG_DERIVE_H
#define PILLION_CONFIG_DERIVE_H

#include "config/parse.h"
#include "config/tree.h"

/* True when something was written at the pointer. */
bool config_derive_written(const struct config *config, const char *pointer);
/* After parsing; may complain. */
void config_derive(struct config_parser *parser, struct config *config, const char *fallback_name);
/* Errors and warnings about parts that go together wrongly; only where their structure is sound. */
void config_meaning_check(struct config_parser *parser, const struct config *config);

#endif
