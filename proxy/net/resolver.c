#include "net/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/list.h"
#include "base/mem.h"
#include "net/loop.h"
#include "net/mailbox.h"

#define RESOLVER_QUESTIONS_MAX 256
#define RESOLVER_WAITERS_MAX   4096 /* over all questions: each is an answer to be sent */
#define RESOLVER_HOST_MAX      254  /* RFC 1035: 253 characters and the terminator */
/* How long destroying waits for a getaddrinfo in progress before it leaves the thread alone. */
#define RESOLVER_JOIN_SECONDS 2

/* One asker. It is the mail of its own answer. */
struct resolver_waiter {
	struct mail mail;
	struct list_node node;
	struct loop *loop;
	uint16_t port;
	void (*on_answer)(void *owner, const struct resolver_answer *answer);
	void *owner;
	struct resolver_answer answer;
};

struct resolver_question {
	struct list_node node;
	struct list_node waiters;
	char host[RESOLVER_HOST_MAX];
};

struct resolver {
	pthread_t thread;
	void (*look_up)(const char *host, struct resolver_answer *ret_answer);
	pthread_mutex_t lock; /* guards all that follows */
	pthread_cond_t asked;
	struct list_node questions; /* oldest first; the first may be the one being asked */
	size_t question_count;
	size_t waiter_count;
	bool closed;
	bool abandoned; /* destroyed while the thread was in getaddrinfo: the thread frees all */
	bool finished;	/* the thread is past its last use of this structure */
};

static void resolver_deliver(struct mail *mail)
{
	struct resolver_waiter *waiter = container_of(mail, struct resolver_waiter, mail);

	waiter->on_answer(waiter->owner, &waiter->answer);
	mem_free(waiter);
}

static void resolver_discard(struct mail *mail)
{
	mem_free(container_of(mail, struct resolver_waiter, mail));
}

/* Sends the answer; the waiter belongs to the mailbox afterwards. */
static void resolver_reply(struct resolver_waiter *waiter, const struct resolver_answer *answer)
{
	waiter->answer = *answer;
	for (int i = 0; i < answer->count; i++) {
		address_set_port(&waiter->answer.addresses[i], waiter->port);
	}
	(void)mailbox_post(loop_mailbox(waiter->loop), &waiter->mail);
}

static int resolver_status(int error)
{
	switch (error) {
	case 0:
		return 0;
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
	case EAI_SERVICE:
		return -ENOENT;
	default:
		/* A resolver that fails today may answer tomorrow. */
		return -EAGAIN;
	}
}

/* Runs on the resolver's thread, without the lock; may take as long as DNS does. */
static void resolver_look_up(const char *host, struct resolver_answer *ret_answer)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;

	*ret_answer = (struct resolver_answer){0};
	ret_answer->status = resolver_status(getaddrinfo(host, NULL, &hints, &found));
	if (ret_answer->status != 0) {
		return;
	}
	for (struct addrinfo *each = found; each != NULL; each = each->ai_next) {
		struct address *address = &ret_answer->addresses[ret_answer->count];

		if (ret_answer->count == RESOLVER_ADDRESSES_MAX) {
			break;
		}
		if (each->ai_family == AF_INET || each->ai_family == AF_INET6) {
			memcpy(&address->u, each->ai_addr, each->ai_addrlen);
			address->size = each->ai_addrlen;
			ret_answer->count++;
		}
	}
	freeaddrinfo(found);
	if (ret_answer->count == 0) {
		ret_answer->status = -ENOENT;
	}
}

/* With the lock, or alone. Waiters that are left get no answer. */
static void resolver_free_question(struct resolver *resolver, struct resolver_question *question)
{
	struct list_node *node;

	while ((node = list_pop_front(&question->waiters)) != NULL) {
		mem_free(LIST_ENTRY(node, struct resolver_waiter, node));
		resolver->waiter_count--;
	}
	list_unlink(&question->node);
	resolver->question_count--;
	mem_free(question);
}

static void resolver_free(struct resolver *resolver)
{
	while (!list_empty(&resolver->questions)) {
		resolver_free_question(resolver,
			LIST_ENTRY(resolver->questions.next, struct resolver_question, node));
	}
	ASSERT(resolver->question_count == 0 && resolver->waiter_count == 0);
	pthread_cond_destroy(&resolver->asked);
	pthread_mutex_destroy(&resolver->lock);
	mem_free(resolver);
}

/* With the lock: answers everybody who joined the question. */
static void resolver_answer_question(struct resolver *resolver, struct resolver_question *question,
	const struct resolver_answer *answer)
{
	struct list_node *node;

	/* After closing nobody may be written to: the loops end too. */
	while (!resolver->closed && (node = list_pop_front(&question->waiters)) != NULL) {
		resolver->waiter_count--;
		resolver_reply(LIST_ENTRY(node, struct resolver_waiter, node), answer);
	}
	resolver_free_question(resolver, question);
}

/* Takes one question at a time; only the look-up itself runs without the lock. */
static void *resolver_main(void *context)
{
	struct resolver *resolver = context;
	struct resolver_answer answer;
	bool abandoned;

	pthread_mutex_lock(&resolver->lock);
	while (!resolver->closed) {
		struct resolver_question *question;

		if (list_empty(&resolver->questions)) {
			pthread_cond_wait(&resolver->asked, &resolver->lock);
			continue;
		}
		/* It stays at the head of the list, so that equal questions join it meanwhile. */
		question = LIST_ENTRY(resolver->questions.next, struct resolver_question, node);
		pthread_mutex_unlock(&resolver->lock);
		resolver->look_up(question->host, &answer);
		ASSERT(answer.count >= 0 && answer.count <= RESOLVER_ADDRESSES_MAX);
		pthread_mutex_lock(&resolver->lock);
		resolver_answer_question(resolver, question, &answer);
	}
	abandoned = resolver->abandoned;
	resolver->finished = true;
	pthread_mutex_unlock(&resolver->lock);
	if (abandoned) {
		resolver_free(resolver);
	}
	return NULL;
}

int resolver_create(struct resolver **ret_resolver)
{
	return resolver_create_with(resolver_look_up, ret_resolver);
}

int resolver_create_with(void (*look_up)(const char *host, struct resolver_answer *ret_answer),
	struct resolver **ret_resolver)
{
	struct resolver *resolver = mem_zalloc(sizeof(*resolver));
	int status;

	ASSERT(look_up != NULL && ret_resolver != NULL);
	resolver->look_up = look_up;
	list_init(&resolver->questions);
	pthread_mutex_init(&resolver->lock, NULL);
	pthread_cond_init(&resolver->asked, NULL);
	status = pthread_create(&resolver->thread, NULL, resolver_main, resolver);
	if (status != 0) {
		resolver_free(resolver);
		return -status;
	}
	*ret_resolver = resolver;
	return 0;
}

void resolver_destroy(struct resolver *resolver)
{
	struct timespec until;
	bool finished;

	if (resolver == NULL) {
		return;
	}
	pthread_mutex_lock(&resolver->lock);
	resolver->closed = true;
	pthread_cond_signal(&resolver->asked);
	pthread_mutex_unlock(&resolver->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RESOLVER_JOIN_SECONDS;
	if (pthread_timedjoin_np(resolver->thread, NULL, &until) == 0) {
		resolver_free(resolver);
		return;
	}
	/* DNS hangs, and a process that stops cannot wait for it. */
	pthread_detach(resolver->thread);
	pthread_mutex_lock(&resolver->lock);
	finished = resolver->finished;
	resolver->abandoned = true;
	pthread_mutex_unlock(&resolver->lock);
	if (finished) {
		resolver_free(resolver);
	}
}

/* With the lock: the question for this name, or a new one, or NULL when the queue is full. */
static struct resolver_question *resolver_question_for(struct resolver *resolver, const char *host)
{
	struct resolver_question *question;

	LIST_FOR_EACH(node, &resolver->questions) {
		question = LIST_ENTRY(node, struct resolver_question, node);
		if (strcmp(question->host, host) == 0) {
			return question;
		}
	}
	if (resolver->question_count == RESOLVER_QUESTIONS_MAX) {
		return NULL;
	}
	question = mem_zalloc(sizeof(*question));
	(void)snprintf(question->host, sizeof(question->host), "%s", host);
	list_init(&question->waiters);
	list_push_back(&resolver->questions, &question->node);
	resolver->question_count++;
	return question;
}

/* True when the host is an IP literal, or cannot be a name: answered without asking. */
static bool resolver_answer_now(const char *host, struct resolver_answer *ret_answer)
{
	struct address_prefix literal;
	size_t size = strlen(host);

	*ret_answer = (struct resolver_answer){0};
	if (size == 0 || size >= RESOLVER_HOST_MAX) {
		ret_answer->status = -ENOENT;
		return true;
	}
	if (strchr(host, '/') == NULL && address_prefix_parse(slice_from_string(host), &literal)) {
		ret_answer->count = 1;
		ret_answer->addresses[0] = literal.base;
		return true;
	}
	return false;
}

/* False: no room, and the answer says so. */
static bool resolver_enqueue(
	struct resolver *resolver, const char *host, struct resolver_waiter *waiter)
{
	struct resolver_question *question = NULL;

	pthread_mutex_lock(&resolver->lock);
	ASSERT(!resolver->closed);
	if (resolver->waiter_count < RESOLVER_WAITERS_MAX) {
		question = resolver_question_for(resolver, host);
	}
	if (question != NULL) {
		list_push_back(&question->waiters, &waiter->node);
		resolver->waiter_count++;
		pthread_cond_signal(&resolver->asked);
	}
	pthread_mutex_unlock(&resolver->lock);
	return question != NULL;
}

void resolver_ask(struct resolver *resolver, struct loop *loop, const char *host, uint16_t port,
	void (*on_answer)(void *owner, const struct resolver_answer *answer), void *owner)
{
	struct resolver_waiter *waiter = mem_zalloc(sizeof(*waiter));
	struct resolver_answer answer;

	ASSERT(on_answer != NULL);
	waiter->mail.deliver = resolver_deliver;
	waiter->mail.discard = resolver_discard;
	list_init(&waiter->node);
	waiter->loop = loop;
	waiter->port = port;
	waiter->on_answer = on_answer;
	waiter->owner = owner;
	if (!resolver_answer_now(host, &answer)) {
		if (resolver_enqueue(resolver, host, waiter)) {
			return;
		}
		answer.status = -ENOBUFS;
	}
	resolver_reply(waiter, &answer);
}
