/* raft: the replica in this sidecar, and the members of the mesh (registry.md 13). */
#include <stdio.h>

#include "admin/pages.h"
#include "admin/server.h"
#include "base/mem.h"
#include "raftreg/raftreg.h"

/* registry.md 13. A client sidecar says so instead of asking a replica: whose log it is must not
 * be a guess. */
void raft_page(struct admin_call *call)
{
	const struct raftreg_node *node = control_node(call->control);
	struct buf json;

	if (!node) {
		admin_answer_error(call, 404, 3001, "not_found",
			"this sidecar is no replica; ask one of the voters");
		return;
	}
	buf_init(&json);
	if (admin_parameter(call, "trace")) {
		raftreg_node_trace(node, &json);
	} else {
		raftreg_node_status(node, &json);
	}
	admin_answer_text(call, 200, "application/json", buf_slice(&json));
	buf_fini(&json);
}

/* A verb on its way to the leader. */
struct verb_call {
	struct admin_call *call;
	struct registry_call registry_call;
};

/* 409 with the refusal's word: NOT_CAUGHT_UP or a change that is under way mean "later", not
 * "wrong". */
static void on_verb(struct registry_call *registry_call, const struct registry_result *result)
{
	struct verb_call *verb = registry_call->owner;

	if (result->code == REGISTRY_OK) {
		admin_answer_json(verb->call, 200,
			json_pack(
				"{s:I, s:s}", "index", (json_int_t)result->index, "reason", "ok"));
	} else {
		admin_answer_error(verb->call, 409, 3001, registry_code_word(result->code),
			result->text ? result->text : "refused");
	}
	mem_free(verb);
}

/* The verbs are the replica's own and are refused there, so that there is one list of them. The
 * answer comes after the commit. */
void raft_verb_page(struct admin_call *call)
{
	struct raftreg_node *node = control_node(call->control);
	const char *argument = json_string_value(json_object_get(call->json, "argument"));
	struct verb_call *verb;

	if (!node) {
		admin_answer_error(call, 404, 3001, "not_found",
			"this sidecar is no replica; ask one of the voters");
		return;
	}
	/* What a verb needs of its argument the replica copies. */
	verb = mem_zalloc(sizeof *verb);
	verb->call = call;
	verb->registry_call = (struct registry_call){.done = on_verb, .owner = verb};
	list_init(&verb->registry_call.node);
	raftreg_node_command(node, call->parts[0], argument ? argument : "", &verb->registry_call);
}

/* The registry client has made the JSON: sessions are known to the replicas only. */
static void on_members(void *owner, int status, struct slice json)
{
	admin_answer_text(owner, status, "application/json", json);
}

/* With the static back end there are no sessions to list. */
void raft_members_page(struct admin_call *call)
{
	struct registry *registry = control_registry(call->control);

	if (!registry || strcmp(registry->ops->name, "raft") != 0) {
		admin_answer_error(call, 404, 3001, "not_found", "the registry is not raft");
		return;
	}
	raftreg_client_members(registry, on_members, call);
}
