/*
 * Assertions for programmer errors. They are on in every build: a broken invariant stops the
 * process, and the parent starts it again. Nothing that a peer can send may reach one.
 */
#ifndef PILLION_BASE_ASSERT_H
#define PILLION_BASE_ASSERT_H

#define ASSERT(condition)                                                                          \
	((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__, __func__))

/* The callers must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))

#define PRINTF_LIKE(format_index, first_index)                                                     \
	__attribute__((format(printf, format_index, first_index)))

#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Prints the place on standard error and aborts. Any thread. */
_Noreturn void assert_failed(
	const char *condition, const char *file, int line, const char *function);

#endif
