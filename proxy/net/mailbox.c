#include "net/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

/*
 * Producers push on a stack by compare-and-swap; the consumer takes the whole stack and turns it
 * round. The order in which the pushes succeeded is thereby kept, over all producers. The address
 * of `end` in place of the top tells late producers that nobody will read.
 */
struct mailbox {
	_Atomic(struct mail *) top;
	atomic_bool sleeping; /* the consumer wants the eventfd written */
	struct mail *oldest;  /* consumer: taken, not yet delivered */
	struct mail end;      /* its address marks a closed mailbox */
	bool shut;	      /* consumer: closed */
	int fd;
};

int mailbox_create(struct mailbox **ret_mailbox)
{
	struct mailbox *mailbox;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	ASSERT(ret_mailbox != NULL);
	if (fd < 0) {
		return -errno;
	}
	mailbox = mem_zalloc(sizeof(*mailbox));
	atomic_init(&mailbox->top, NULL);
	atomic_init(&mailbox->sleeping, false);
	mailbox->fd = fd;
	*ret_mailbox = mailbox;
	return 0;
}

static void mailbox_discard(struct mail *mail)
{
	if (mail->discard != NULL) {
		mail->discard(mail);
	} else {
		mem_free(mail);
	}
}

void mailbox_destroy(struct mailbox *mailbox)
{
	if (mailbox == NULL) {
		return;
	}
	mailbox_close(mailbox);
	ASSERT(mailbox->oldest == NULL);
	close(mailbox->fd);
	mem_free(mailbox);
}

static void mailbox_signal(struct mailbox *mailbox)
{
	const uint64_t one = 1;
	ssize_t put;

	do {
		put = write(mailbox->fd, &one, sizeof(one));
	} while (put < 0 && errno == EINTR);
	/* EAGAIN means that the counter is full, so the descriptor is readable as wanted. */
	ASSERT(put == (ssize_t)sizeof(one) || errno == EAGAIN);
}

bool mailbox_post(struct mailbox *mailbox, struct mail *mail)
{
	struct mail *top = atomic_load_explicit(&mailbox->top, memory_order_relaxed);

	ASSERT(mail->deliver != NULL);
	do {
		if (top == &mailbox->end) {
			mailbox_discard(mail);
			return false;
		}
		atomic_store_explicit(&mail->next, top, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak(&mailbox->top, &top, mail));
	/*
	 * Sequentially consistent with mailbox_prepare_sleep: either the consumer sees this mail
	 * there, or this thread sees that it sleeps. One of several producers writes.
	 */
	if (atomic_load(&mailbox->sleeping) && atomic_exchange(&mailbox->sleeping, false)) {
		mailbox_signal(mailbox);
	}
	return true;
}

/* The taken stack, newest first, becomes a list, oldest first. */
static struct mail *mailbox_reverse(struct mail *newest)
{
	struct mail *oldest = NULL;

	while (newest != NULL) {
		struct mail *next = atomic_load_explicit(&newest->next, memory_order_relaxed);

		atomic_store_explicit(&newest->next, oldest, memory_order_relaxed);
		oldest = newest;
		newest = next;
	}
	return oldest;
}

static struct mail *mailbox_take(struct mailbox *mailbox)
{
	struct mail *mail = mailbox->oldest;

	if (mail == NULL && !mailbox->shut) {
		mail = mailbox_reverse(
			atomic_exchange_explicit(&mailbox->top, NULL, memory_order_acquire));
	}
	if (mail != NULL) {
		mailbox->oldest = atomic_load_explicit(&mail->next, memory_order_relaxed);
	}
	return mail;
}

size_t mailbox_drain(struct mailbox *mailbox, size_t most)
{
	size_t count = 0;
	struct mail *mail;

	/* Awake: producers need not write. The load keeps the line shared while nothing comes. */
	if (atomic_load_explicit(&mailbox->sleeping, memory_order_relaxed)) {
		atomic_store_explicit(&mailbox->sleeping, false, memory_order_relaxed);
	}
	while (count < most && !mailbox->shut) {
		if (mailbox->oldest == NULL &&
			atomic_load_explicit(&mailbox->top, memory_order_relaxed) == NULL) {
			break;
		}
		mail = mailbox_take(mailbox);
		ASSERT(mail != NULL);
		count++;
		mail->deliver(mail);
	}
	return count;
}

void mailbox_close(struct mailbox *mailbox)
{
	struct mail *mail;

	if (mailbox->shut) {
		return;
	}
	while (mailbox->oldest != NULL) {
		mail = mailbox_take(mailbox);
		mailbox_discard(mail);
	}
	mailbox->shut = true;
	mail = mailbox_reverse(atomic_exchange(&mailbox->top, &mailbox->end));
	while (mail != NULL) {
		struct mail *next = atomic_load_explicit(&mail->next, memory_order_relaxed);

		mailbox_discard(mail);
		mail = next;
	}
	ASSERT(mailbox->oldest == NULL);
}

int mailbox_fd(const struct mailbox *mailbox)
{
	return mailbox->fd;
}

bool mailbox_prepare_sleep(struct mailbox *mailbox)
{
	if (mailbox->shut) {
		return false;
	}
	if (mailbox->oldest == NULL) {
		atomic_store(&mailbox->sleeping, true);
		if (atomic_load(&mailbox->top) == NULL) {
			return false;
		}
		atomic_store_explicit(&mailbox->sleeping, false, memory_order_relaxed);
	}
	return true;
}

void mailbox_clear_signal(struct mailbox *mailbox)
{
	uint64_t count;
	ssize_t got = read(mailbox->fd, &count, sizeof(count));

	/* EAGAIN: nobody had written. */
	ASSERT(got == (ssize_t)sizeof(count) || errno == EAGAIN || errno == EINTR);
}

bool mailbox_wait(struct mailbox *mailbox, int timeout_ms)
{
	struct pollfd readable = {mailbox->fd, POLLIN, 0};

	if (mailbox_prepare_sleep(mailbox)) {
		return true;
	}
	if (poll(&readable, 1, timeout_ms) > 0) {
		mailbox_clear_signal(mailbox);
	}
	atomic_store_explicit(&mailbox->sleeping, false, memory_order_relaxed);
	return atomic_load_explicit(&mailbox->top, memory_order_relaxed) != NULL;
}
