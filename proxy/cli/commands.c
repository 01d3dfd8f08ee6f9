/* commands: the one table of verbs (operations.md CL-01). */
#include "cli/command.h"
#include "cli/verbs.h"

#define OPTIONS(...) ((const struct command_option[]){__VA_ARGS__, {NULL, NULL, NULL}})

static const struct command_option global_options[] = {
	{"--addr", "ADDRESS", "unix:PATH or http://HOST:PORT (PILLION_ADMIN)"},
	{"--token-file", "FILE", "token for http (PILLION_TOKEN_FILE)"},
	{"--timeout", "TIME", "longest wait for an answer, such as 5s"},
	{"-o", "FORM", "table, wide, json or jsonl"},
	{"-q", NULL, "say less"},
	{NULL, NULL, NULL},
};

static const struct command_row rows[] = {
	{"check", check_run, 1, "[FILE]", "look at the file, this host, ports and names",
		"pillion.json --live",
		OPTIONS({"-c", "FILE", "the same as FILE; - is standard input"},
			{"--live", NULL, "a running sidecar has to answer too"},
			{"--strict", NULL, "warnings of the file are errors"})},
	{"status", status_run, 0, "", "one screen about each sidecar of this user", "-o json",
		NULL},
	{"services", services_run, 0, "", "all services of the registry", "-o json", NULL},
	{"instances", instances_run, 1, "[SERVICE]",
		"instances of a service, as this sidecar sees them", "stock -o wide", NULL},
	{"members", members_run, 0, "", "every sidecar of the mesh", "-o wide", NULL},
	{"raft", raft_run, 2, "[status | transfer [ID] | add ID | promote ID]",
		"the replica in this sidecar", "status", NULL},
	{"call", call_run, 3, "SERVICE 'GET /PATH' | /pkg.Svc/METHOD [JSON]",
		"call a service as the application does", "stock 'GET /items/1'",
		OPTIONS({"-d", "@FILE", "body: a file, @- (standard input) or a text"},
			{"-H", "'NAME: VALUE'", "header field (repeatable)"},
			{"--repeat", "N", "call N times, one after the other"})},
	{"pub", pub_run, 2, "TOPIC [DATA | -]", "publish a message", "stock.low '{\"sku\":\"a1\"}'",
		OPTIONS({"--file", "FILE", "data of the message"},
			{"--key", "KEY", "partition key of the event"},
			{"--id", "ID", "id of the event, else the sidecar makes one"},
			{"--type", "TYPE", "type of the event, else the topic"},
			{"--ttl", "TIME", "how long it is worth sending, such as 1h"},
			{"--durability", "LEVEL", "fsync or os"},
			{"--count", "N", "publish it N times"})},
	{"sub", sub_run, 1, "TOPIC", "print messages as lines", "stock.low --group shop --count 1",
		OPTIONS({"--group", "GROUP", "as a member of it, else of one of its own"},
			{"--count", "N", "end after N messages"},
			{"--no-ack", NULL, "give each message back"},
			{"--raw", NULL, "print the data alone"})},
	{"topics", topics_run, 0, "", "topics of the local spool", "-o json", NULL},
	{"groups", groups_run, 2, "[ls | rm TOPIC/GROUP | resume TOPIC/GROUP]",
		"groups of the local spool", "resume stock.low/shop",
		OPTIONS({"--yes", NULL, "consent to rm"})},
	{"dlq", dlq_run, 3, "ls | show | replay | drop  TOPIC/GROUP [ID]", "dead letters",
		"replay stock.low/shop",
		OPTIONS({"--id", "ID", "one message; the same as ID"},
			{"--yes", NULL, "consent to drop"})},
	{"reload", reload_run, 0, "",
		"read the configuration again; nothing changes when it is bad", "--dry-run",
		OPTIONS({"--dry-run", NULL, "check and print the differences only"},
			{"--if-generation", "N", "refuse when another reload came first"})},
	{"wait", wait_run, 0, "", "return when the sidecar is ready", "--timeout 30s", NULL},
	{"quit", quit_run, 0, "", "drain and stop the sidecar",
		"--addr unix:/run/pillion/admin.sock", NULL},
	{"health", health_run, 0, "", "for probes: one line, exit 0 or 1", "--ready",
		OPTIONS({"--live", NULL, "control and workers answer"},
			{"--startup", NULL, "listeners are bound"},
			{"--ready", NULL, "the application is well and registered"})},
	{"config", config_run, 1, "[show | schema]", "the configuration, and its JSON Schema",
		"show --effective --origin",
		OPTIONS({"-c", "FILE", "of this file; - is standard input"},
			{"--live", NULL, "of the running sidecar"},
			{"--effective", NULL, "every key with its value"},
			{"--origin", NULL, "where each value comes from"},
			{"--pointer", "/POINTER", "this part alone"})},
	{"explain", explain_run, 1, "CODE | WORD | KEY", "what a number, reason or key means",
		"PIL5021", NULL},
	{"version", version_run, 0, "", "version and libraries", "-o json", NULL},
};

/* Parser, help and the nearest word all read this table; a flag that does not stand here is
 * refused (CL-01). */
const struct command_row *command_rows(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(rows);
	return rows;
}

const struct command_option *command_global_options(void)
{
	return global_options;
}
