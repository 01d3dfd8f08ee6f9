/*
 * help: what the tests of this room share.
 */
#ifndef PILLION_TESTS_CONFIG_HELP_H
#define PILLION_TESTS_CONFIG_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "config/load.h"
#include "config/schema.h"

/* A filter that exists for tests only; it has one key of each shape that filters use. */
struct help_filter_conf {
	bool trailers;
	CONFIG_LIST_OF(struct config_pair) set;
	CONFIG_LIST_OF(const char *) remove;
	int64_t delay_ms;
};

static const struct config_key help_filter_keys[] = {
	{.name = "trailers",
		.type = CONFIG_BOOL,
		.offset = offsetof(struct help_filter_conf, trailers),
		.default_text = "true",
		.help = "also on trailers"},
	{.name = "set",
		.type = CONFIG_PAIRS,
		.offset = offsetof(struct help_filter_conf, set),
		.flags = CONFIG_TEMPLATE,
		.max = 64,
		.help = "fields to set"},
	{.name = "remove",
		.type = CONFIG_LIST,
		.element = CONFIG_STRING,
		.offset = offsetof(struct help_filter_conf, remove),
		.max = 64,
		.help = "fields to remove"},
	{.name = "delay",
		.type = CONFIG_DURATION,
		.offset = offsetof(struct help_filter_conf, delay_ms),
		.default_text = "\"10ms\"",
		.max = 1000,
		.help = "a pause"},
};

static const struct config_filter_plugin help_filter = {
	"headers", help_filter_keys, ARRAY_SIZE(help_filter_keys), sizeof(struct help_filter_conf)};
static const struct config_filter_plugin *const help_plugins[] = {&help_filter};

struct help_load {
	const char *text;
	const char *const *environment;
	const struct config_assignment *assignments;
	size_t assignment_count;
};

static inline int help_load(
	const struct help_load *load, struct config **ret_config, struct config_report *report)
{
	struct config_sources sources = {.text = load->text,
		.text_size = load->text != NULL ? strlen(load->text) : 0,
		.no_file = load->text == NULL,
		.environment = load->environment,
		.assignments = load->assignments,
		.assignment_count = load->assignment_count,
		.plugins = help_plugins,
		.plugin_count = 1};

	config_report_init(report);
	return config_load(&sources, ret_config, report);
}

/* A text that must load; errors are printed. Destroy the result. */
static inline struct config *help_config(const char *text)
{
	struct config_report report;
	struct config *config = NULL;

	if (help_load(&(struct help_load){.text = text}, &config, &report) != 0) {
		struct buf printed;

		buf_init(&printed);
		config_report_print(&report, CONFIG_REPORT_TEXT, &printed);
		print_error("%s\n", buf_string(&printed));
		buf_fini(&printed);
	}
	config_report_fini(&report);
	assert_non_null(config);
	return config;
}

/* The code of the first error of a text, 0 when it loads. */
static inline unsigned help_code(const char *text)
{
	struct config_report report;
	struct config *config = NULL;
	unsigned code = 0;

	if (help_load(&(struct help_load){.text = text}, &config, &report) != 0) {
		for (size_t i = 0; i < report.count && code == 0; i++) {
			code = report.problems[i].severity == CONFIG_ERROR ? report.problems[i].code
									   : 0;
		}
	}
	config_report_fini(&report);
	config_destroy(config);
	return code;
}

#endif
