/*
 * Fuzz target: a configuration text. Whatever the bytes are, loading ends with errors that can be
 * printed or with a configuration whose effective form loads again as the same one (operations.md
 * CF-27).
 */
#include <stdint.h>
#include <stdlib.h>

#include "config/load.h"
#include "config/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int load(const void *text, size_t size, struct config **ret_config, struct buf *printed)
{
	static const char *const environment[] = {"NAME=a", "NUMBER=7", "A_TOKEN=x", NULL};
	struct config_sources sources = {
		.text = text, .text_size = size, .environment = environment};
	struct config_report report;
	int result;

	config_report_init(&report);
	result = config_load(&sources, ret_config, &report);
	for (size_t i = 0; i < report.count; i++) {
		/* The scanner and jansson must agree on every text. */
		ASSERT(report.problems[i].code != 9001);
	}
	config_report_print(&report, CONFIG_REPORT_TEXT, printed);
	config_report_print(&report, CONFIG_REPORT_JSONL, printed);
	config_report_fini(&report);
	return result;
}

/* Secrets are not printed, so such a configuration cannot be read back. */
static bool redacted(struct buf *shown)
{
	return strstr(buf_string(shown), "<redacted>") != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_show_options effective = {.effective = true};
	struct config *config = NULL;
	struct config *again = NULL;
	struct config_changes changes;
	struct buf text;
	struct buf printed;

	buf_init(&text);
	buf_init(&printed);
	if (load(data != NULL ? (const void *)data : "", size, &config, &printed) == 0) {
		ASSERT(config_show(config, &effective, &text));
		if (!redacted(&text)) {
			ASSERT(load(text.data, text.size, &again, &printed) == 0);
			config_diff(config, again, &changes);
			ASSERT(changes.count == 0);
			config_changes_fini(&changes);
		}
	}
	config_destroy(config);
	config_destroy(again);
	buf_fini(&text);
	buf_fini(&printed);
	return 0;
}
