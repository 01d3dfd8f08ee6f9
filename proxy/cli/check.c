/*
 * check: one line per check, verdict first, so that it can be read and grepped alike (operations.md
 * CL-10). All checks run at once: a dead seed costs its time-out once, not once a seed.
 */
#include "cli/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/codes.h"
#include "cli/command.h"
#include "cli/offline.h"
#include "cli/verbs.h"

#define CHECKS_MAX  128 /* of seeds, listeners and files beyond it the first are looked at */
#define THREADS_MAX 16
#define ASKED_MAX   16 /* sidecars of this user */

struct list {
	struct check items[CHECKS_MAX];
	size_t count;
	atomic_size_t next; /* taken by a thread */
};

void check_say(
	struct check *check, enum check_verdict verdict, unsigned code, const char *format, ...)
{
	va_list values;

	check->verdict = verdict;
	check->code = code;
	va_start(values, format);
	(void)vsnprintf(check->text, sizeof check->text, format, values);
	va_end(values);
}

/* Beyond the bound the rest is left out: a file with more seeds than that has other troubles. */
static void add(struct list *list, const struct check *check)
{
	if (list->count < CHECKS_MAX) {
		list->items[list->count++] = *check;
	}
}

/* One check for each of `count` things. */
static void add_each(struct list *list, struct check check, size_t count)
{
	for (check.index = 0; check.index < count; check.index++) {
		add(list, &check);
	}
}

/* In the order in which they are printed; what the configuration does not use is not checked. */
static void gather(struct list *list, const struct check_setting *setting)
{
	const struct config *config = setting->config;
	const struct check rows[] = {
		{"CK-11", "host", check_host_descriptors, .setting = setting, .index = 1},
		{"CK-12", "host", check_host_memory, .setting = setting, .index = 1},
		{"CK-13", "host", check_host_writable, .setting = setting,
			.index = config->broker.spool.path ? 2 : 1},
		{"CK-14", "host", check_host_space, .setting = setting,
			.index = config->broker.spool.path ? 2 : 1},
		{"CK-15", "host", check_host_kind, .setting = setting,
			.index = config->broker.spool.path ? 2 : 1},
		{"CK-21", "ports", check_net_port, .setting = setting,
			.index = config->listeners.count + 2},
		{"CK-31", "names", check_net_seed, .setting = setting,
			.index = config->registry.seeds.count},
		{"CK-51", "registry", check_net_leader, .setting = setting,
			.index = setting->status && config->registry.kind == CONFIG_REGISTRY_RAFT},
		{"CK-52", "registry", check_net_session, .setting = setting,
			.index = setting->status && config->registry.kind == CONFIG_REGISTRY_RAFT},
		{"CK-53", "registry", check_net_age, .setting = setting,
			.index = setting->status && config->registry.kind == CONFIG_REGISTRY_RAFT},
		{"CK-61", "app", check_net_app, .setting = setting,
			.index = config->self.app.present},
		{"CK-71", "live", check_live_workers, .setting = setting, .index = setting->live},
		{"CK-72", "live", check_live_part, .setting = setting,
			.index = setting->live ? check_live_parts(setting->status) : 0},
		{"CK-73", "live", check_live_log, .setting = setting,
			.index = setting->live && setting->status},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		add_each(list, rows[i], rows[i].index);
	}
}

/* Each thread takes the next check until none is left; a check is written by its thread alone and
 * read after all were joined. */
static void *work(void *argument)
{
	struct list *list = argument;
	size_t at;

	while ((at = atomic_fetch_add(&list->next, 1)) < list->count) {
		list->items[at].run(&list->items[at]);
	}
	return NULL;
}

/* Where no thread can be made, this one does it all. */
static void run_all(struct list *list)
{
	pthread_t threads[THREADS_MAX];
	size_t count = 0;

	while (count < THREADS_MAX && count + 1 < list->count &&
		pthread_create(&threads[count], NULL, work, list) == 0) {
		count++;
	}
	(void)work(list);
	while (count > 0) {
		(void)pthread_join(threads[--count], NULL);
	}
}

/* A sidecar counts when it was named, or when its service is the one of the file: another one's
 * registry and application say nothing about this configuration. Where nothing names a service, as
 * where flags alone started it, any is as good. */
static json_t *find_sidecar(struct command *command, const struct config *config)
{
	char addresses[ASKED_MAX][256];
	int count = command_addresses(command, addresses, ASKED_MAX);
	bool any =
		command->address || (!config->file && strcmp(config->self.name, OFFLINE_NAME) == 0);

	for (int i = 0; i < count; i++) {
		struct answer answer;
		json_t *json = NULL;
		const char *service;

		if (command_ask_at(command, addresses[i], "/v1/status", NULL, &answer)) {
			json = json_loadb(
				(const char *)answer.body.data, answer.body.size, 0, NULL);
		}
		command_answer_fini(&answer);
		service = json_string_value(json_object_get(json, "service"));
		if (service && (any || strcmp(service, config->self.name) == 0)) {
			return json;
		}
		json_decref(json);
	}
	return NULL;
}

/* Codes and reasons have one range of numbers and two tables (EC-02). */
static void explain(unsigned code, const char **ret_cause, const char **ret_fix)
{
	const struct code_info *info = code_info(code);
	const struct reason_info *reason = reason_info_by_pil(code);

	*ret_cause = info ? info->cause : reason ? reason->text : "";
	*ret_fix = info ? info->fix : reason ? reason->fix : "";
}

static const char *const words[] = {"ok", "warn", "FAIL"};

/* A failure says what to do; a warning is one line, it may be as it should be. */
static void print_line(const struct check *check)
{
	const char *cause;
	const char *fix;

	(void)printf(
		"%-4s  %s  %-8s  %s", words[check->verdict], check->id, check->phase, check->text);
	if (check->code) {
		(void)printf(" (PIL%u)", check->code);
	}
	(void)putchar('\n');
	if (check->verdict == CHECK_FAIL && check->code) {
		explain(check->code, &cause, &fix);
		(void)printf("      cause: %s\n      fix:   %s\n", cause, fix);
	}
}

/* For programs the cause stands beside warnings too. */
static json_t *row_of(const struct check *check)
{
	json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "id", check->id, "phase", check->phase,
		"verdict", words[check->verdict], "text", check->text);
	const char *cause;
	const char *fix;

	if (check->code) {
		char code[16];

		(void)snprintf(code, sizeof code, "PIL%u", check->code);
		explain(check->code, &cause, &fix);
		json_object_set_new(row, "code", json_string(code));
		json_object_set_new(row, "cause", json_string(cause));
		json_object_set_new(row, "fix", json_string(fix));
	}
	return row;
}

/* CL-10: exit 1 on a failure; warnings are for people. */
static int print_all(const struct command *command, const struct list *list)
{
	json_t *items = json_array();
	bool failed = false;

	for (size_t i = 0; i < list->count; i++) {
		if (!list->items[i].text[0]) {
			continue;
		}
		if (command->output == OUTPUT_JSON) {
			json_array_append_new(items, row_of(&list->items[i]));
		} else {
			print_line(&list->items[i]);
		}
		failed = failed || list->items[i].verdict == CHECK_FAIL;
	}
	if (command->output == OUTPUT_JSON) {
		json_t *json = json_pack("{s:O}", "items", items);

		(void)json_dumpf(json, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
		(void)putchar('\n');
		json_decref(json);
	}
	json_decref(items);
	return failed ? CLI_FAILED : CLI_DONE;
}

/* The file has been read without an error, which is the first check. */
static int run_phases(struct command *command, const struct config *config)
{
	static struct list list; /* 80 KiB: not on a stack */
	json_t *status = find_sidecar(command, config);
	struct check_setting setting = {.config = config,
		.status = status,
		.live = command_flag(command, "--live", 0) != NULL,
		.timeout_ms = command->timeout_ms};
	struct check file = {"CK-01", "file", .setting = &setting};
	int code;

	list.count = 0;
	atomic_store(&list.next, 1);
	check_say(&file, CHECK_OK, 0, "%s", config->file ? config->file : "none: defaults");
	add(&list, &file);
	gather(&list, &setting);
	run_all(&list);
	code = print_all(command, &list);
	json_decref(status);
	return code;
}

/* With jsonl the report of the file is the whole output, one problem a line, for editors (CF-22). A
 * file with errors ends it: everything else would be checked against a guess. */
int check_run(struct command *command)
{
	struct config *config;
	bool strict = command_flag(command, "--strict", 0) != NULL;
	enum config_report_format format =
		command->output == OUTPUT_JSONL ? CONFIG_REPORT_JSONL : CONFIG_REPORT_TEXT;
	const char *file =
		command->word_count > 0 ? command->words[0] : command_flag(command, "-c", 0);
	int code = offline_load(command, file, strict, format, &config);

	if (code != CLI_DONE) {
		return code;
	}
	if (format != CONFIG_REPORT_JSONL) {
		code = run_phases(command, config);
	}
	config_destroy(config);
	return code;
}
