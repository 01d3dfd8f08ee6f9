/*
 * list: an intrusive, circular, doubly linked list. The head is a list_node too. An unlinked node
 * points at itself, so that unlinking twice is harmless. The list owns nothing. One thread.
 */
#ifndef PILLION_BASE_LIST_H
#define PILLION_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct list_node {
	struct list_node *next;
	struct list_node *prev;
};

static inline void list_init(struct list_node *node)
{
	node->next = node;
	node->prev = node;
}

static inline bool list_empty(const struct list_node *head)
{
	return head->next == head;
}

/* A node is linked when it stands in some list. */
static inline bool list_linked(const struct list_node *node)
{
	return node->next != node;
}

static inline void list_insert_after(struct list_node *place, struct list_node *node)
{
	node->prev = place;
	node->next = place->next;
	place->next->prev = node;
	place->next = node;
}

static inline void list_push_front(struct list_node *head, struct list_node *node)
{
	list_insert_after(head, node);
}

static inline void list_push_back(struct list_node *head, struct list_node *node)
{
	list_insert_after(head->prev, node);
}

static inline void list_unlink(struct list_node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* The first node, unlinked, or NULL. */
static inline struct list_node *list_pop_front(struct list_node *head)
{
	struct list_node *node = head->next;

	if (node == head) {
		return NULL;
	}
	list_unlink(node);
	return node;
}

/* All nodes of `source` go, in order, to the end of `target`; source is empty afterwards. */
static inline void list_move_all(struct list_node *target, struct list_node *source)
{
	if (list_empty(source)) {
		return;
	}
	source->next->prev = target->prev;
	target->prev->next = source->next;
	source->prev->next = target;
	target->prev = source->prev;
	list_init(source);
}

#define LIST_ENTRY(node, type, member) container_of(node, type, member)

#define LIST_FOR_EACH(node, head)                                                                  \
	for (struct list_node *node = (head)->next; node != (head); node = node->next)

/* The current node may be unlinked or freed inside the loop. */
#define LIST_FOR_EACH_SAFE(node, head)                                                             \
	for (struct list_node *node = (head)->next, *node##_next = node->next; node != (head);     \
		node = node##_next, node##_next = node->next)

#endif
