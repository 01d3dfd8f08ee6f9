/* pages: the handlers behind the table of routes.c; each answers its call once, now or later. */
#ifndef PILLION_ADMIN_PAGES_H
#define PILLION_ADMIN_PAGES_H

#include <jansson.h>

struct admin_call;
struct instance;

/* Probes (operations.md 12): answered at once from what control knows, but for the parked wait. */
/* health.c */
void health_live(struct admin_call *call);
void health_startup(struct admin_call *call);
void health_ready(struct admin_call *call);
void health_wait(struct admin_call *call);
/* Both of the next ask every worker and answer when all have spoken. */
/* metrics.c */
void metrics_page(struct admin_call *call);
/* status.c */
void status_page(struct admin_call *call);
void status_quit_page(struct admin_call *call);
void status_log_level_page(struct admin_call *call);
/* The registry is asked, then the workers what they make of its instances. */
/* services.c */
void services_page(struct admin_call *call);
void service_page(struct admin_call *call);
void services_instances_page(struct admin_call *call);
/* What a replica or the registry client says of itself, passed on. */
/* raft.c */
void raft_page(struct admin_call *call);
void raft_verb_page(struct admin_call *call);
void raft_members_page(struct admin_call *call);
/* The broker's verbs under the paths of operations.md 9. */
/* topics.c */
void topics_page(struct admin_call *call);
void topics_groups_page(struct admin_call *call);
void topics_verb_page(struct admin_call *call);
void topics_dlq_page(struct admin_call *call);
void topics_dlq_show_page(struct admin_call *call);
void topics_dlq_replay_page(struct admin_call *call);
void topics_dlq_drop_page(struct admin_call *call);
/* Handlers run on control's thread and never block: who needs workers or registry keeps the call
 * and answers from the loop. */
/* config.c */
void config_page(struct admin_call *call);
void config_schema_page(struct admin_call *call);
void config_reload_page(struct admin_call *call);

#endif
