/* Loaded in front of libc by a test: while the file that AIMIS_TEST_SYNC_FAULT names is there, every sync fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static int failing(void) {
    const char *fault = getenv("AIMIS_TEST_SYNC_FAULT");
    struct stat found;
    return fault && stat(fault, &found) == 0;
}

static int sync_by(const char *name, int fd) {
    if (failing()) {
        errno = EIO;
        return -1;
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}

int fsync(int fd) { return sync_by("fsync", fd); }
int fdatasync(int fd) { return sync_by("fdatasync", fd); }
