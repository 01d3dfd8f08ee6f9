/*
 * scan: a complete tokenizer of JSON (RFC 8259) with comments and one trailing comma (operations.md
 * CF-03 to CF-06). It gives the place of every key and value and a copy of the text in which
 * comments are blanks, from which jansson reads the values. Internal to config.
 */
#ifndef PILLION_CONFIG_SCAN_H
#define PILLION_CONFIG_SCAN_H

#include "config/node.h"

#define CONFIG_DEPTH_MAX   32
#define CONFIG_MISTAKE_MAX 20 /* recognised mistakes (PIL1016) of one file after which it ends */

struct config_scan {
	struct config_node *root; /* NULL: some syntax error */
	struct slice blanked;	  /* as long as the text; comments are blanks */
};

/*
 * Reads the text of the source into a tree in its arena; errors go to the report. False when there
 * was one. The text must outlive the source.
 */
bool config_scan(
	struct config_source *source, struct config_report *report, struct config_scan *ret_scan);

/* False at the first byte that is not UTF-8 (RFC 3629), whose offset is given. */
bool config_scan_utf8(struct slice text, size_t *ret_offset);

#endif
