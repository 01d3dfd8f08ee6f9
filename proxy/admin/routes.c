/* routes: the one table of admin paths (operations.md 9). */
#include "admin/pages.h"
#include "admin/server.h"

static void serve_index(struct admin_call *call);

static const struct admin_route routes[] = {
	{ADMIN_P, METHOD_GET, "/", serve_index, "", "", "this list"},
	{ADMIN_P, METHOD_GET, "/livez", health_live, "verbose", "", "the loops turn"},
	{ADMIN_P, METHOD_GET, "/startupz", health_startup, "verbose", "",
		"configuration active, listeners bound"},
	{ADMIN_P, METHOD_GET, "/readyz", health_ready, "verbose", "",
		"registered and not draining; ?verbose"},
	{ADMIN_P, METHOD_GET, "/wait", health_wait, "timeout", "",
		"returns when ready; ?timeout=30s"},
	{ADMIN_P, METHOD_GET, "/metrics", metrics_page, "", "", "Prometheus text"},
	{ADMIN_P, METHOD_GET, "/v1/status", status_page, "", "", "one screen about this sidecar"},
	{ADMIN_P, METHOD_GET, "/v1/services", services_page, "", "",
		"all services of the registry"},
	{ADMIN_P, METHOD_GET, "/v1/services/*", service_page, "", "",
		"one service with its instances"},
	{ADMIN_P, METHOD_GET, "/v1/instances", services_instances_page, "service", "",
		"?service=: instances as seen here"},
	{ADMIN_P, METHOD_GET, "/v1/members", raft_members_page, "", "",
		"every sidecar of the mesh"},
	{ADMIN_P, METHOD_GET, "/v1/raft", raft_page, "trace", "", "the replica in this sidecar"},
	{ADMIN_P, METHOD_GET, "/v1/topics", topics_page, "", "", "topics of the local spool"},
	{ADMIN_P, METHOD_GET, "/v1/groups", topics_groups_page, "", "",
		"groups of the local spool"},
	{ADMIN_P, METHOD_GET, "/v1/config/schema", config_schema_page, "", "",
		"JSON Schema of the file"},
	{ADMIN_S, METHOD_GET, "/v1/config", config_page, "pointer,effective,origin", "",
		"?effective&origin&pointer="},
	{ADMIN_S, METHOD_GET, "/v1/dlq/*/*", topics_dlq_page, "", "",
		"dead letters of TOPIC/GROUP"},
	{ADMIN_S, METHOD_GET, "/v1/dlq/*/*/*", topics_dlq_show_page, "", "", "one dead letter"},
	{ADMIN_M, METHOD_POST, "/v1/dlq/*/*/replay", topics_dlq_replay_page, "", "id:text",
		"{id}: to the original topic"},
	{ADMIN_M, METHOD_POST, "/v1/dlq/*/*/drop", topics_dlq_drop_page, "", "id:text",
		"{id}: thrown away"},
	{ADMIN_M, METHOD_POST, "/v1/groups/*/*/*", topics_verb_page, "", "", "rm, resume"},
	{ADMIN_M, METHOD_POST, "/v1/reload", config_reload_page, "",
		"dry_run:flag,if_generation:number", "{dry_run, if_generation}"},
	{ADMIN_M, METHOD_POST, "/v1/raft/*", raft_verb_page, "", "argument:text",
		"transfer, add, promote {argument}"},
	{ADMIN_M, METHOD_POST, "/v1/log/level", status_log_level_page, "", "level:text", "{level}"},
	{ADMIN_M, METHOD_POST, "/v1/quit", status_quit_page, "", "", "stop as by SIGTERM"},
};

/* In the order of `GET /`; the first that matches path and method serves. */
const struct admin_route *admin_routes(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(routes);
	return routes;
}

/* For people with curl: the interface explains itself without a document. */
static void serve_index(struct admin_call *call)
{
	struct buf text;

	buf_init(&text);
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		buf_appendf(&text, "%-4s %-22s %s\n",
			routes[i].method == METHOD_POST ? "POST" : "GET", routes[i].path,
			routes[i].help);
	}
	admin_answer_text(call, 200, "text/plain; charset=utf-8", buf_slice(&text));
	buf_fini(&text);
}
