/* Loaded in front of libc by a test: keeps apart what a disk has for certain.

   Whenever a file in the directory SHIM_DISK was synced, its content is copied to SHIM_SYNCED, under its inode's
   number; whenever that directory was, its names with their inodes, as the file "names". A copy is there whole or not at
   all, and before the sync returns: nobody was told of the sync of one that is not.

   While the file that SHIM_SYNC_FAULT names is there, every sync fails. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void stop(const char *what) {
    perror(what);
    abort();
}

static int draft(char *path) {
    snprintf(path, PATH_MAX, "%s/draft-%ld", getenv("SHIM_SYNCED"), syscall(SYS_gettid));
    int to = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (to < 0) stop("draft");
    return to;
}

static void publish(int to, const char *path, const char *name) {
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s/%s", getenv("SHIM_SYNCED"), name);
    if (close(to) || rename(path, whole)) stop("rename");
}

static void keep_file(int fd, ino_t inode) {
    static __thread char buffer[1 << 18];
    char path[PATH_MAX], name[32];
    int from = fd, to = draft(path);
    /* A descriptor of our own only where there is no other way: closing it would drop SQLite's locks on the file. */
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) {
        char self[64];
        snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
        if ((from = open(self, O_RDONLY)) < 0) stop("open");
    }
    off_t at = 0;
    for (ssize_t got; (got = pread(from, buffer, sizeof buffer, at)) != 0; at += got) {
        if (got < 0 || write(to, buffer, got) != got) stop("copy");
    }
    if (from != fd) close(from);
    snprintf(name, sizeof name, "%lu", (unsigned long)inode);
    publish(to, path, name);
}

static void keep_names(const char *directory) {
    char path[PATH_MAX];
    int to = draft(path);
    DIR *names = opendir(directory);
    if (!names) stop("opendir");
    for (struct dirent *name; (name = readdir(names));) {
        if (name->d_type == DT_REG) dprintf(to, "%lu %s\n", (unsigned long)name->d_ino, name->d_name);
    }
    closedir(names);
    publish(to, path, "names");
}

static void keep(int fd) {
    const char *disk = getenv("SHIM_DISK");
    char self[64], path[PATH_MAX] = "";
    struct stat found;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (!disk || readlink(self, path, sizeof path - 1) < 0 || strncmp(path, disk, strlen(disk)) || fstat(fd, &found)) return;
    if (S_ISDIR(found.st_mode)) keep_names(path);
    else keep_file(fd, found.st_ino);
}

static int sync_by(const char *name, int fd) {
    const char *fault = getenv("SHIM_SYNC_FAULT");
    struct stat found;
    if (fault && stat(fault, &found) == 0) {
        errno = EIO;
        return -1;
    }
    int synced = ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
    if (synced == 0) {
        keep(fd);
        errno = 0;
    }
    return synced;
}

int fsync(int fd) { return sync_by("fsync", fd); }
int fdatasync(int fd) { return sync_by("fdatasync", fd); }
