/*
 * check: the phases that need no sidecar (operations.md CL-10): the file, and what this host says
 * to it. One line per check.
 */
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/offline.h"
#include "cli/verbs.h"

/* Warnings do not count: CL-10 exits 1 on failures only. */
struct tally {
	int failed;
};

/* CL-10: one line per check, verdict first, so that it can be read and grepped alike. */
static void line(struct tally *tally, const char *verdict, const char *what, const char *detail)
{
	(void)printf("%-4s  %s%s%s\n", verdict, what, detail[0] ? ": " : "", detail);
	tally->failed += strcmp(verdict, "FAIL") == 0;
}

/* A warning only: the limit is lowered at the start by itself, and another user may have another
 * hard limit. */
static void check_descriptors(struct tally *tally, const struct config *config)
{
	struct rlimit files;
	char text[128];

	if (getrlimit(RLIMIT_NOFILE, &files) < 0) {
		return;
	}
	(void)snprintf(text, sizeof text, "%llu descriptors, connections_max is %d",
		(unsigned long long)files.rlim_max, config->limits.connections_max);
	/* SN-07: connections take at most 45 % of the descriptors, the rest is for upstreams. */
	line(tally,
		files.rlim_max * 45 / 100 >= (rlim_t)config->limits.connections_max ? "ok" : "warn",
		"host", text);
}

/* CF-24, PIL1301. Only whether they can be read: compiling them is the sidecar's, and
 * `config_load` has no schema. */
/* CL-10 host: what a replica and the spool are kept on. */
static void check_data(struct tally *tally, const struct config *config)
{
	const char *path = config->process.data_dir;
	struct statvfs space;
	char text[600];

	if (!path) {
		return;
	}
	if (statvfs(path, &space) < 0) {
		(void)snprintf(
			text, sizeof text, "%s: %s (made at the start)", path, strerror(errno));
		line(tally, errno == ENOENT ? "warn" : "FAIL", "data", text);
		return;
	}
	if (access(path, W_OK | X_OK) < 0) {
		(void)snprintf(text, sizeof text, "%s: %s (PIL2011)", path, strerror(errno));
		line(tally, "FAIL", "data", text);
		return;
	}
	(void)snprintf(text, sizeof text, "%s, %llu MiB free", path,
		(unsigned long long)space.f_bavail * space.f_frsize >> 20);
	line(tally, "ok", "data", text);
}

/* CL-10 names: without a sidecar a seed that does not resolve is a warning. */
static void check_names(struct tally *tally, const struct config *config)
{
	for (size_t i = 0; i < config->registry.seeds.count; i++) {
		const struct config_host *seed = &config->registry.seeds.items[i];
		struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
		struct addrinfo *found = NULL;
		char text[600];
		int error = getaddrinfo(seed->host, NULL, &hints, &found);

		(void)snprintf(text, sizeof text, "%s %s", seed->text,
			error ? gai_strerror(error) : "resolves");
		line(tally, error ? "warn" : "ok", "names", text);
		if (!error) {
			freeaddrinfo(found);
		}
	}
}

static void check_files(struct tally *tally, const struct config *config)
{
	for (size_t i = 0; i < config->translation.descriptors.count; i++) {
		const char *path = config->translation.descriptors.items[i];

		if (access(path, R_OK) < 0) {
			char text[600];

			(void)snprintf(
				text, sizeof text, "%s: %s (PIL1301)", path, strerror(errno));
			line(tally, "FAIL", "descriptors", text);
		} else {
			line(tally, "ok", "descriptors", path);
		}
	}
}

/* A port that is taken is a warning, because the sidecar whose file this is may be running. */
static void check_ports(struct tally *tally, const struct config *config)
{
	for (size_t i = 0; i < config->listeners.count; i++) {
		const struct config_listener *listener = &config->listeners.items[i];
		const struct address *address = &listener->address.address;
		char text[200];
		int fd;
		int one = 1;

		if (!listener->enabled) {
			continue;
		}
		fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		/* As the sidecar does: old connections in TIME_WAIT do not count as taken. */
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
		if (fd >= 0 && bind(fd, &address->u.any, address->size) == 0) {
			(void)snprintf(text, sizeof text, "%s %s is free", listener->name,
				listener->address.text);
			line(tally, "ok", "ports", text);
		} else {
			(void)snprintf(text, sizeof text,
				"%s %s: %s (PIL2001; fine when it is ours)", listener->name,
				listener->address.text, strerror(errno));
			line(tally, "warn", "ports", text);
		}
		if (fd >= 0) {
			close(fd);
		}
	}
}

/* The phases that need no sidecar. With jsonl the report of the file is the whole output, one
 * problem a line, for editors (CF-22). */
int check_run(struct command *command)
{
	struct tally tally = {0};
	struct config *config;
	bool strict = command_flag(command, "--strict", 0) != NULL;
	enum config_report_format format =
		command->output == OUTPUT_JSONL ? CONFIG_REPORT_JSONL : CONFIG_REPORT_TEXT;
	int code = offline_load(command, command->word_count > 0 ? command->words[0] : NULL, strict,
		format, &config);

	if (code != CLI_DONE || format == CONFIG_REPORT_JSONL) {
		if (code == CLI_DONE) {
			config_destroy(config);
		}
		return code;
	}
	line(&tally, "ok", "file", config->file ? config->file : "none: defaults");
	check_descriptors(&tally, config);
	check_data(&tally, config);
	check_files(&tally, config);
	check_ports(&tally, config);
	check_names(&tally, config);
	config_destroy(config);
	return tally.failed > 0 ? CLI_FAILED : CLI_DONE;
}
