#include "admin/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

/* As many as there may be connections (AD-05). */
#define BACKLOG 16

static const char *directory_name(const struct control *control)
{
	const char *data = control_data_dir(control);
	const char *slash = data ? strrchr(data, '/') : NULL;

	/* NAME or NAME.2, like the data directory of a run without a file. */
	return slash && slash[1] ? slash + 1 : control_service(control);
}

/* The first place of AD-01 that exists, as a path; false: none. */
static bool choose(const struct control *control, char *ret_path, size_t size)
{
	const struct config *config = control_config(control);
	const char *runtime = getenv("RUNTIME_DIRECTORY");
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	bool named = !config->file;
	int length = -1;

	if (config->admin.socket) {
		length = snprintf(ret_path, size, "%s", config->admin.socket);
	} else if (runtime && runtime[0] == '/') {
		length = snprintf(ret_path, size, "%s/admin.sock", runtime);
	} else if (access("/run/pillion", W_OK) == 0 && !named) {
		length = snprintf(ret_path, size, "/run/pillion/admin.sock");
	} else if (xdg && xdg[0] == '/') {
		length = snprintf(ret_path, size, "%s/pillion", xdg);
		if (length > 0 && (size_t)length < size) {
			/* XDG_RUNTIME_DIR is private to the user already; this keeps it so. */
			(void)mkdir(ret_path, 0700);
			length = snprintf(
				ret_path, size, "%s/pillion/%s.sock", xdg, directory_name(control));
		}
	} else if (control_data_dir(control)) {
		length = snprintf(ret_path, size, "%s/admin.sock", control_data_dir(control));
	}
	return length > 0 && (size_t)length < size;
}

/* An existing socket is replaced only when nobody answers on it. */
static bool somebody_answers(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answers =
		fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;

	if (fd >= 0) {
		close(fd);
	}
	return answers;
}

/* Bound under a temporary name with nobody else's rights, then renamed into place. */
static int bind_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct sockaddr_un final = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd;
	int result = 0;

	if (strlen(path) + 5 > sizeof address.sun_path) {
		return -ENAMETOOLONG;
	}
	(void)snprintf(final.sun_path, sizeof final.sun_path, "%s", path);
	if (somebody_answers(&final)) {
		return -EADDRINUSE;
	}
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s.new", path);
	(void)unlink(address.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	mask = umask(0177);
	if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
		listen(fd, BACKLOG) < 0 || rename(address.sun_path, path) < 0) {
		result = -errno;
	}
	(void)umask(mask);
	if (result < 0) {
		(void)unlink(address.sun_path);
		close(fd);
		return result;
	}
	return fd;
}

/* A sidecar without a socket serves all the same; only commands that change something have no way
 * in. A path that was asked for by name has to work. */
int admin_socket_open(struct admin_socket *admin_socket, struct control *control, struct err *err)
{
	bool configured = control_config(control)->admin.socket != NULL;
	int result = -ENOENT;

	*admin_socket = (struct admin_socket){.fd = -1};
	if (choose(control, admin_socket->path, sizeof admin_socket->path)) {
		result = bind_at(admin_socket->path);
	}
	if (result >= 0) {
		admin_socket->fd = result;
		return 0;
	}
	/* The file asked for this path by name: going on without it would be a surprise later. */
	if (configured) {
		err_set(err, 2001, "admin.socket %s cannot be made: %s",
			control_config(control)->admin.socket, strerror(-result));
		return result;
	}
	log_event(LOG_LEVEL_WARN, "admin", 2001,
		"no admin socket: commands that change something need one",
		(struct log_field[]){LOG_TEXT("file.path", admin_socket->path),
			LOG_TEXT("error.message", strerror(-result))},
		2);
	admin_socket->path[0] = '\0';
	return 0;
}

/* The name goes at once, so that commands do not wait for a sidecar that is ending. */
void admin_socket_close(struct admin_socket *admin_socket)
{
	if (admin_socket->path[0]) {
		(void)unlink(admin_socket->path);
	}
	admin_socket->fd = -1;
}
