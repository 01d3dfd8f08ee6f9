/* verbs: one function per command, each in its own file; the table is commands.c. */
#ifndef PILLION_CLI_VERBS_H
#define PILLION_CLI_VERBS_H

struct command;

int status_run(struct command *command);
int services_run(struct command *command);
int instances_run(struct command *command);
int members_run(struct command *command);
int raft_run(struct command *command);
int call_run(struct command *command);
int pub_run(struct command *command);
int sub_run(struct command *command);
int topics_run(struct command *command);
int groups_run(struct command *command);
int dlq_run(struct command *command);
int reload_run(struct command *command);
int wait_run(struct command *command);
int quit_run(struct command *command);
int health_run(struct command *command);
int config_run(struct command *command);
int check_run(struct command *command);
int explain_run(struct command *command);
int version_run(struct command *command);

#endif
