/* The pair between the two processes: messages whole, descriptors beside them, breaches refused. */
#include "test_control.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "control/channel.h"

static void open_pair(int ends[2])
{
	assert_int_equal(channel_pair(ends), 0);
	assert_true(fcntl(ends[0], F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(ends[1], F_GETFD) & FD_CLOEXEC);
}

static void message_arrives_whole(void **state)
{
	struct channel_message sent = {
		.op = CHANNEL_BIND, .value = -7, .id = 3, .index = 4, .count = 5};
	struct channel_message got;
	int descriptor = 99;
	int ends[2];

	(void)state;
	open_pair(ends);
	assert_true(address_parse(SLICE("127.0.0.1:7441"), false, &sent.address));
	(void)snprintf(sent.text, sizeof sent.text, "127.0.0.1:7441\norders");
	assert_int_equal(channel_send(ends[0], &sent, -1), 0);
	assert_int_equal(channel_receive(ends[1], true, &got, &descriptor), 1);
	assert_int_equal(descriptor, -1);
	assert_int_equal(got.op, CHANNEL_BIND);
	assert_int_equal(got.value, -7);
	assert_int_equal(got.id, 3);
	assert_int_equal(got.index, 4);
	assert_int_equal(got.count, 5);
	assert_true(address_equal(&got.address, &sent.address));
	assert_string_equal(got.text, sent.text);
	close(ends[0]);
	close(ends[1]);
}

/* Which file a descriptor is must survive the passage, and a program started later must not get it.
 */
static void descriptor_travels(void **state)
{
	struct channel_message sent = {.op = CHANNEL_LISTENER, .id = 1};
	struct channel_message got;
	struct stat before;
	struct stat after;
	int descriptor = -1;
	int ends[2];
	int pipes[2];

	(void)state;
	open_pair(ends);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fstat(pipes[1], &before), 0);
	assert_int_equal(channel_send(ends[0], &sent, pipes[1]), 0);
	close(pipes[1]);
	assert_int_equal(channel_receive(ends[1], false, &got, &descriptor), 1);
	assert_true(descriptor >= 0);
	assert_int_equal(fstat(descriptor, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_true(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(descriptor, "x", 1), 1);
	close(descriptor);
	close(pipes[0]);
	close(ends[0]);
	close(ends[1]);
}

static void nothing_yet_and_gone(void **state)
{
	struct channel_message message = {.op = CHANNEL_READY};
	int descriptor = -1;
	int ends[2];

	(void)state;
	open_pair(ends);
	assert_int_equal(channel_receive(ends[1], false, &message, &descriptor), 0);
	/* What was sent before the end still counts. */
	assert_int_equal(channel_send(ends[0], &message, -1), 0);
	close(ends[0]);
	assert_int_equal(channel_receive(ends[1], true, &message, &descriptor), 1);
	assert_int_equal(channel_receive(ends[1], true, &message, &descriptor), -EPIPE);
	assert_int_equal(channel_receive(ends[1], false, &message, &descriptor), -EPIPE);
	assert_int_equal(channel_send(ends[1], &message, -1), -EPIPE);
	close(ends[1]);
}

static void breach_is_refused(void **state)
{
	struct channel_message message = {.op = CHANNEL_READY};
	uint8_t longer[sizeof message + 1] = {1};
	struct channel_message zero = {0};
	const struct {
		const void *bytes;
		size_t size;
	} rows[] = {
		{"x", 1}, {&message, sizeof message - 1},
		{&zero, sizeof zero}, /* no such operation */
	};
	int descriptor = -1;
	int ends[2];

	(void)state;
	open_pair(ends);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(write(ends[0], rows[i].bytes, rows[i].size), rows[i].size);
		assert_int_equal(channel_receive(ends[1], true, &message, &descriptor), -EBADMSG);
		assert_int_equal(descriptor, -1);
	}
	/* The pair still works, and a longer one is cut by the kernel to our size. */
	assert_int_equal(write(ends[0], longer, sizeof longer), sizeof longer);
	(void)!channel_receive(ends[1], true, &message, &descriptor);
	message = (struct channel_message){.op = CHANNEL_STOP, .value = 1};
	assert_int_equal(channel_send(ends[0], &message, -1), 0);
	assert_int_equal(channel_receive(ends[1], true, &message, &descriptor), 1);
	assert_int_equal(message.op, CHANNEL_STOP);
	close(ends[0]);
	close(ends[1]);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++) {
		count += fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

/* A descriptor beside something that is no message is closed, not kept. */
static void descriptor_of_a_breach_is_closed(void **state)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec vector = {(void *)(uintptr_t) "x", 1};
	struct msghdr header = {.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};
	struct channel_message message;
	unsigned before;
	int descriptor = -1;
	int ends[2];

	(void)state;
	open_pair(ends);
	CMSG_FIRSTHDR(&header)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&header)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&header)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), &ends[0], sizeof(int));
	before = open_descriptors();
	assert_int_equal(sendmsg(ends[0], &header, 0), 1);
	assert_int_equal(channel_receive(ends[1], true, &message, &descriptor), -EBADMSG);
	assert_int_equal(descriptor, -1);
	assert_int_equal(open_descriptors(), before);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(message_arrives_whole),
		cmocka_unit_test(descriptor_travels), cmocka_unit_test(nothing_yet_and_gone),
		cmocka_unit_test(breach_is_refused),
		cmocka_unit_test(descriptor_of_a_breach_is_closed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
