/* verbs: one function per command, each in its own file; the table is commands.c. */
#ifndef PILLION_CLI_VERBS_H
#define PILLION_CLI_VERBS_H

struct command;

/* Each gets its parsed command and returns the exit code of CL-04. What the mesh looks like: */
int status_run(struct command *command);
int services_run(struct command *command);
int instances_run(struct command *command);
int members_run(struct command *command);
int raft_run(struct command *command);
/* What an application would do, through the outbound listener: */
int call_run(struct command *command);
int pub_run(struct command *command);
int sub_run(struct command *command);
/* The local spool: */
int topics_run(struct command *command);
int groups_run(struct command *command);
int dlq_run(struct command *command);
/* The life of the sidecar: */
int reload_run(struct command *command);
int wait_run(struct command *command);
int quit_run(struct command *command);
int health_run(struct command *command);
/* Without a sidecar: */
int config_run(struct command *command);
int check_run(struct command *command);
int explain_run(struct command *command);
int version_run(struct command *command);

#endif
