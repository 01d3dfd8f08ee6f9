/*
 * load: sources -> one tree of nodes -> one tree of structs. The order of precedence (CF-12) is the
 * order in which things are put into the tree of nodes.
 */
#include "config/load.h"

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "config/derive.h"
#include "config/files.h"
#include "config/flags.h"
#include "config/keys.h"
#include "config/scan.h"

/* One load: where from, where to, and what is wrong with it. */
struct loading {
	const struct config_sources *sources;
	struct config *config;
	struct config_report *report;
};

/* The file's tree, or an empty object. */
static int read_file(struct loading *loading, struct config_node **ret_root)
{
	struct arena *arena = &loading->config->arena;
	struct config_source *source = NULL;
	struct config_scan scan;
	int result = config_files_read(loading->sources, arena, loading->report, &source);

	if (result < 0) {
		return result;
	}
	if (source == NULL) {
		source = config_node_source(arena, "default", (struct slice){0});
		*ret_root = config_node_new(arena, CONFIG_NODE_OBJECT, source);
		return 0;
	}
	loading->config->file = source->name;
	loading->report->file =
		arena_string(&loading->report->arena, slice_from_string(source->name));
	if (!config_scan(source, loading->report, &scan)) {
		return -EINVAL;
	}
	if (scan.root->kind != CONFIG_NODE_OBJECT) {
		struct config_problem problem = {.code = 1104,
			.place = config_node_place(source, scan.root->span),
			.text = "a configuration is an object"};

		config_report_add(loading->report, &problem);
		return -EINVAL;
	}
	*ret_root = scan.root;
	return 0;
}

/* One variable, flag or --set over what stands there. */
static void assign(struct loading *loading, struct config_node *root,
	const struct config_assignment *assignment)
{
	struct arena *arena = &loading->config->arena;
	struct config_source *source = config_node_source(
		arena, assignment->origin, arena_copy(arena, slice_from_string(assignment->value)));
	struct config_node *value;
	struct config_problem problem = {.code = 1104,
		.place = {.file = assignment->origin},
		.pointer = assignment->pointer,
		.text = "this pointer leads through something that is no object"};

	if (assignment->is_json) {
		struct config_scan scan;

		if (!config_scan(source, loading->report, &scan)) {
			return;
		}
		value = scan.root;
	} else {
		value = config_node_string(arena, source, assignment->value);
		/* What a shell already put in is not expanded again. */
		value->expanded = true;
		value->substituted = true;
	}
	if (!config_node_set(arena, root, slice_from_string(assignment->pointer), value)) {
		config_report_add(loading->report, &problem);
	}
}

/* In the order given, but --set last: it has the last word wherever it stands (CF-12). */
static void assign_all(struct loading *loading, struct config_node *root,
	const struct config_assignment *items, size_t count)
{
	for (int sets = 0; sets < 2; sets++) {
		for (size_t i = 0; i < count; i++) {
			bool is_set = strcmp(items[i].origin, "--set") == 0;

			if (is_set == (sets == 1)) {
				assign(loading, root, &items[i]);
			}
		}
	}
}

/* Settings of services start from the global translation (codec.md 14). */
static void seed_service(void *context, const struct config_key *map, void *entry)
{
	const struct config *config = context;

	if (map->section == &config_sections[CONFIG_SECTION_service]) {
		((struct config_service *)entry)->translation = config->translation;
	}
}

/* Structure first, then what follows from it, then meaning (CF-21). */
static void fill(struct loading *loading, struct config_node *root)
{
	struct config *config = loading->config;
	struct config_parser parser = {.arena = &config->arena,
		.report = loading->report,
		.environment = loading->sources->environment,
		.plugins = loading->sources->plugins,
		.plugin_count = loading->sources->plugin_count,
		.seed = seed_service,
		.seed_context = config};

	/* The nodes stay: show, diff and origins are made from them. */
	config->tree = arena_alloc(&config->arena, sizeof(*config->tree));
	config->tree->root = root;
	config_parse_defaults(&parser, config_keys_root(), config);
	(void)config_parse_object(&parser, config_keys_root(), root, config);
	if (config->services.count == 0) {
		const struct config_key *services =
			config_keys_find(config_keys_root(), SLICE("services"));

		config->services.items = config_parse_base(&parser, services);
		config->services.count = 1;
	}
	config_derive(&parser, config, loading->sources->fallback_name);
	config_meaning_check(&parser, config);
}

/*
 * A syntax error ends the matter: what the file says is not known, so nothing else of it is
 * judged.
 */
int config_load(const struct config_sources *sources, struct config **ret_config,
	struct config_report *report)
{
	struct config *config = mem_zalloc(sizeof(*config));
	struct loading loading = {sources, config, report};
	struct config_node *root = NULL;
	struct config_flags variables;

	ASSERT(sources != NULL && ret_config != NULL);
	arena_init(&config->arena);
	map_init(&config->service_index);
	config_flags_init(&variables);
	config_flags_environment(&variables, sources->environment, report);
	if (read_file(&loading, &root) == 0) {
		assign_all(&loading, root, variables.items, variables.count);
		assign_all(&loading, root, sources->assignments, sources->assignment_count);
		fill(&loading, root);
	}
	config_flags_fini(&variables);
	config_report_sort(report);
	if (report->errors > 0) {
		config_destroy(config);
		return -EINVAL;
	}
	*ret_config = config;
	return 0;
}
