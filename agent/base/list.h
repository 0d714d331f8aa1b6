/* An intrusive doubly linked ring. A head and a member have the same type; an unlinked member points
 * to itself, so removing twice is harmless. No allocation. */
#ifndef OUTRIDER_BASE_LIST_H
#define OUTRIDER_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

/* The object of `type` that holds `ptr` as its `member`. */
#define LIST_OWNER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Walks every member of head; the current one may be removed (or freed) inside the loop. */
#define LIST_EACH(it, tmp, head)                                                                             \
	for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_push(struct list *head, struct list *m) /* to the front */
{
	m->next = head->next;
	m->prev = head;
	head->next->prev = m;
	head->next = m;
}

static inline void list_append(struct list *head, struct list *m) /* to the back */
{
	m->prev = head->prev;
	m->next = head;
	head->prev->next = m;
	head->prev = m;
}

static inline void list_remove(struct list *m)
{
	m->prev->next = m->next;
	m->next->prev = m->prev;
	m->next = m->prev = m;
}

#endif
