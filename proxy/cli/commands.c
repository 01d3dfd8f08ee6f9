/* commands: the one table of verbs (operations.md CL-01). */
#include "cli/command.h"
#include "cli/verbs.h"

static const struct command_row rows[] = {
	{"check", check_run, "[FILE] [--live] [--strict]",
		"look at the file, this host, ports and names", "--live,--strict"},
	{"status", status_run, "", "one screen about each sidecar of this user", ""},
	{"services", services_run, "", "all services of the registry", ""},
	{"instances", instances_run, "[SERVICE]",
		"instances of a service, as this sidecar sees them", ""},
	{"members", members_run, "", "every sidecar of the mesh", ""},
	{"raft", raft_run, "status | transfer [ID] | add ID | promote ID",
		"the replica in this sidecar", ""},
	{"call", call_run, "SERVICE METHOD [JSON] [-d @FILE] [-H 'name: value']",
		"call a service as the application does", "-d=,-H=,--repeat="},
	{"pub", pub_run, "TOPIC [DATA | - | --file FILE]", "publish a message",
		"--file=,--key=,--id=,--type=,--ttl=,--durability=,--count="},
	{"sub", sub_run, "TOPIC [--group G] [--count N]", "print messages as lines",
		"--group=,--count=,--no-ack,--raw"},
	{"topics", topics_run, "", "topics of the local spool", ""},
	{"groups", groups_run, "[ls | rm T/G | resume T/G] [--yes]", "groups of the local spool",
		"--yes"},
	{"dlq", dlq_run, "ls | show | replay | drop  T/G [ID] [--yes]", "dead letters",
		"--id=,--yes"},
	{"reload", reload_run, "[--dry-run] [--if-generation N]",
		"read the configuration again; nothing changes when it is bad",
		"--dry-run,--if-generation="},
	{"wait", wait_run, "[--timeout 30s]", "return when the sidecar is ready", ""},
	{"quit", quit_run, "", "drain and stop the sidecar", ""},
	{"health", health_run, "[--live | --ready | --startup]",
		"for probes: one line, exit 0 or 1", "--live,--ready,--startup"},
	{"config", config_run, "show [--effective] [--origin] [--live] [-c FILE] | schema",
		"the configuration, and its JSON Schema",
		"--effective,--origin,--live,-c=,--pointer="},
	{"explain", explain_run, "CODE | WORD | KEY", "what a number, reason or key means", ""},
	{"version", version_run, "", "version and libraries", ""},
};

/* Parser, help and the nearest word all read this table; a flag that does not stand here is
 * refused (CL-01). */
const struct command_row *command_rows(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(rows);
	return rows;
}
