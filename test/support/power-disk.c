/*
 * A disk that forgets what was not fsynced, as a library that is preloaded into a program and all it starts.
 *
 * It watches one folder (VIGIL_POWER_FOLDER) and keeps, in another (VIGIL_POWER_PLATTER), what would still be there after a power cut:
 *
 *   inode/<number>   the content of a file as of its last fsync; empty where it never had one
 *   dirs/<number>/   the names in a folder as of its last fsync: hard links to the files above, symbolic links for the folders in it
 *   dirty/<number>   one byte for each 4 KiB of a file: 1 where it was written since its last fsync
 *   control          what the test sets while the program runs, and counters; its layout is `struct control`
 *
 * The rules, stricter than any file system in use: a write is on the platter after an fsync or fdatasync of its file that returned 0; a
 * name that was made, moved or removed is there after an fsync of its folder. Where an fsync fails with EIO, the dirty pages count as
 * clean from then on and never reach the platter unless they are written again, as Linux does it. Shared memory of SQLite (`-shm`) is
 * memory. What a cut takes and leaves is decided by the test (power-disk.ts).
 *
 * A bad stretch of a file belongs to its bytes on the disk, whatever names they have: reading there fails with EIO, and what lies before
 * it in the same read comes alone, as Linux does it. Writing there, or giving the bytes up, cures it: the disk takes other sectors.
 *
 * SQLite's locks are fcntl locks, which a process loses when it closes any descriptor of the file: a file that can be read by its own
 * descriptor is never opened a second time here.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096
#define FILE_BYTES_MAX (1L << 30)
#define PAGES_MAX (FILE_BYTES_MAX / PAGE)
#define FDS_MAX 65536
#define INODES_MAX 8192
#define BAD_MAX 16
#define MAGIC 0x56504431u

/* Bytes of a file that the disk does not give back; none where both ends are the same. */
struct bad_stretch {
  uint64_t inode;
  uint64_t from;
  uint64_t to;
};

struct control {
  uint32_t magic;
  uint32_t lying;            /* fsync returns 0 and nothing reaches the platter */
  int32_t eio_left;          /* so many further fsyncs fail; -1: all */
  uint32_t delay_us;         /* each fsync takes so much longer */
  uint64_t syncs;            /* of files, that returned 0 */
  uint64_t syncs_failed;
  uint64_t folder_syncs;
  uint64_t pages_kept;
  uint64_t writes;
  uint64_t syncs_lied;
  char eio_pattern[128];     /* fnmatch on the file's name; "" is every file */
  uint32_t away;             /* 1: each read of a file fails, 2: each write and fsync, 3: both */
  uint32_t reads_failed;
  struct bad_stretch bad[BAD_MAX];
  pthread_mutex_t mutex;
};

enum { UNKNOWN, UNWATCHED, WATCHED_FILE, WATCHED_FOLDER };
struct handle {
  uint8_t state;
  uint8_t synchronous;
  uint8_t appending;
  uint64_t inode;
};
struct known_inode {
  uint64_t inode;
  uint8_t *dirty;
};

static struct handle handles[FDS_MAX];
static struct known_inode inodes[INODES_MAX];
static char folder[4000];
static size_t folder_length;
static int platter = -1;
static struct control *control;
static long (*sys)(long, ...);

static long call(long number, long a, long b, long c, long d, long e, long f) {
  if (sys == NULL) sys = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  return sys(number, a, b, c, d, e, f);
}

static int real_open(int at, const char *path, int flags, mode_t mode) {
  return (int)call(SYS_openat, at, (long)path, flags, mode, 0, 0);
}

static int real_close(int fd) { return (int)call(SYS_close, fd, 0, 0, 0, 0, 0); }

static void give_up(const char *what) {
  char line[256];
  int length = snprintf(line, sizeof line, "power-disk: %s (errno %d)\n", what, errno);
  call(SYS_write, 2, (long)line, length, 0, 0, 0);
  abort();
}

static void must(int holds, const char *what) {
  if (!holds) give_up(what);
}

static void lock(void) {
  int result = pthread_mutex_lock(&control->mutex);
  if (result == EOWNERDEAD) pthread_mutex_consistent(&control->mutex);
  else must(result == 0, "lock");
}

static void unlock(void) { pthread_mutex_unlock(&control->mutex); }

static int open_platter(const char *kind, uint64_t inode, int flags, mode_t mode) {
  char name[64];
  snprintf(name, sizeof name, "%s/%llu", kind, (unsigned long long)inode);
  return real_open(platter, name, flags | O_CLOEXEC, mode);
}

__attribute__((constructor)) static void begin(void) {
  const char *watched = getenv("VIGIL_POWER_FOLDER");
  const char *kept = getenv("VIGIL_POWER_PLATTER");
  if (control != NULL || watched == NULL || kept == NULL) return;
  must(strlen(watched) < sizeof folder - 1, "the folder's name is too long");
  must(realpath(watched, folder) != NULL, "the watched folder must be there");
  folder_length = strlen(folder);
  int fd = real_open(AT_FDCWD, kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  must(fd >= 0, "the platter must be there");
  platter = fcntl(fd, F_DUPFD_CLOEXEC, 900);
  must(platter >= 0, "a descriptor for the platter");
  real_close(fd);
  fd = real_open(platter, "control", O_RDWR | O_CLOEXEC, 0);
  must(fd >= 0, "the control file must be there");
  call(SYS_flock, fd, LOCK_EX, 0, 0, 0, 0);
  struct control *mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  must(mapped != MAP_FAILED, "map control");
  if (mapped->magic != MAGIC) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mapped->mutex, &kind);
    mapped->magic = MAGIC;
  }
  call(SYS_flock, fd, LOCK_UN, 0, 0, 0, 0);
  real_close(fd);
  control = mapped;
}

/* ------------------------------------------------------------------ what is known of files */

static uint8_t *dirty_pages(uint64_t inode) {
  for (size_t place = inode % INODES_MAX, tried = 0; tried < INODES_MAX; place = (place + 1) % INODES_MAX, tried++) {
    struct known_inode *known = &inodes[place];
    if (known->dirty != NULL && known->inode == inode) return known->dirty;
    if (known->dirty != NULL) continue;
    int fd = open_platter("dirty", inode, O_RDWR | O_CREAT, 0600);
    must(fd >= 0 && call(SYS_ftruncate, fd, PAGES_MAX, 0, 0, 0, 0) == 0, "the dirty file");
    uint8_t *mapped = mmap(NULL, PAGES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(mapped != MAP_FAILED, "map the dirty file");
    real_close(fd);
    known->inode = inode;
    known->dirty = mapped;
    return mapped;
  }
  give_up("too many files");
  return NULL;
}

/* What is written, or was never part of the file, is no longer bad. */
static void cure(uint64_t inode, uint64_t from, uint64_t to) {
  struct bad_stretch *free_place = NULL;
  for (int index = 0; index < BAD_MAX; index++)
    if (control->bad[index].from >= control->bad[index].to) free_place = &control->bad[index];
  for (int index = 0; index < BAD_MAX; index++) {
    struct bad_stretch *bad = &control->bad[index];
    if (bad->inode != inode || bad->from >= to || bad->to <= from) continue;
    if (bad->from < from && to < bad->to) {
      must(free_place != NULL, "too many bad stretches");
      *free_place = (struct bad_stretch){.inode = inode, .from = to, .to = bad->to};
    }
    if (bad->from < from) bad->to = from;
    else bad->from = to < bad->to ? to : bad->to;
  }
}

static void mark(uint64_t inode, off_t from, off_t to) {
  if (to <= from) return;
  cure(inode, (uint64_t)from, (uint64_t)to);
  must(to <= FILE_BYTES_MAX, "a file is too long");
  memset(dirty_pages(inode) + from / PAGE, 1, (to - 1) / PAGE - from / PAGE + 1);
}

/* A file that has just been made: nothing of it is on the platter, whatever its number was used for before. */
static void forget_file(uint64_t inode, mode_t mode) {
  char name[64];
  cure(inode, 0, UINT64_MAX);
  snprintf(name, sizeof name, "inode/%llu", (unsigned long long)inode);
  call(SYS_unlinkat, platter, (long)name, 0, 0, 0, 0);
  int fd = open_platter("inode", inode, O_WRONLY | O_CREAT | O_EXCL, 0600);
  must(fd >= 0, "a new file on the platter");
  call(SYS_fchmod, fd, mode & 07777, 0, 0, 0, 0);
  real_close(fd);
  dirty_pages(inode);
  fd = open_platter("dirty", inode, O_RDWR, 0);
  must(call(SYS_ftruncate, fd, 0, 0, 0, 0, 0) == 0 && call(SYS_ftruncate, fd, PAGES_MAX, 0, 0, 0, 0) == 0, "clear dirty");
  real_close(fd);
}

static int open_folder(uint64_t inode) {
  char name[64];
  snprintf(name, sizeof name, "dirs/%llu", (unsigned long long)inode);
  call(SYS_mkdirat, platter, (long)name, 0700, 0, 0, 0);
  int fd = real_open(platter, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  must(fd >= 0, "a folder on the platter");
  return fd;
}

static int is_memory(const char *name) {
  size_t length = strlen(name);
  return length >= 4 && strcmp(name + length - 4, "-shm") == 0;
}

/* Where a descriptor leads; 0 where that is not below the watched folder. */
static int path_of(int fd, char *path, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, size - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strncmp(path, folder, folder_length) == 0 && (path[folder_length] == 0 || path[folder_length] == '/');
}

static void look(int fd) {
  struct stat facts;
  char path[4200];
  struct handle found = {.state = UNWATCHED};
  if (fstat(fd, &facts) == 0 && (S_ISREG(facts.st_mode) || S_ISDIR(facts.st_mode)) && path_of(fd, path, sizeof path) &&
      !is_memory(path)) {
    int flags = (int)call(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
    found.state = S_ISDIR(facts.st_mode) ? WATCHED_FOLDER : WATCHED_FILE;
    found.inode = facts.st_ino;
    found.synchronous = (flags & O_DSYNC) != 0;
    found.appending = (flags & O_APPEND) != 0;
  }
  handles[fd] = found;
}

static struct handle *watched(int fd, int state) {
  if (control == NULL || fd < 0 || fd >= FDS_MAX) return NULL;
  if (handles[fd].state == UNKNOWN) look(fd);
  return handles[fd].state == state ? &handles[fd] : NULL;
}

/* ------------------------------------------------------------------ a disk that is away, and bad stretches */

#define READS_AWAY 1
#define WRITES_AWAY 2

/* How many of the bytes asked for the disk gives back before the first bad one; -1 where that is the first. */
static ssize_t readable(int fd, off_t at, size_t length) {
  struct handle *handle = watched(fd, WATCHED_FILE);
  if (handle == NULL || length == 0) return (ssize_t)length;
  uint64_t from = (uint64_t)(at < 0 ? lseek(fd, 0, SEEK_CUR) : at), end = from + length;
  int failed = (control->away & READS_AWAY) != 0;
  for (int index = 0; index < BAD_MAX; index++) {
    const struct bad_stretch *bad = &control->bad[index];
    if (bad->inode != handle->inode || bad->from >= bad->to || bad->from >= end || bad->to <= from) continue;
    if (bad->from <= from) failed = 1;
    else end = bad->from;
  }
  if (!failed) return (ssize_t)(end - from);
  __atomic_add_fetch(&control->reads_failed, 1, __ATOMIC_RELAXED);
  errno = EIO;
  return -1;
}

static int refuses_writes(int fd) {
  if (watched(fd, WATCHED_FILE) == NULL || (control->away & WRITES_AWAY) == 0) return 0;
  errno = EIO;
  return 1;
}

/* ------------------------------------------------------------------ fsync */

static int shall_fail(int fd) {
  char path[4200];
  if ((control->away & WRITES_AWAY) != 0) return 1;
  if (control->eio_left == 0) return 0;
  path_of(fd, path, sizeof path);
  const char *slash = strrchr(path, '/');
  if (control->eio_pattern[0] != 0 && fnmatch(control->eio_pattern, slash == NULL ? path : slash + 1, 0) != 0) return 0;
  if (control->eio_left > 0) control->eio_left -= 1;
  return 1;
}

static void copy_dirty(int fd, uint64_t inode) {
  static char bytes[64 * PAGE];
  struct stat facts;
  must(fstat(fd, &facts) == 0, "fstat");
  int flags = (int)call(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
  int from = fd;
  if ((flags & O_ACCMODE) == O_WRONLY) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    from = real_open(AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    must(from >= 0, "read what was written");
  }
  int to = open_platter("inode", inode, O_RDWR | O_CREAT, 0600);
  must(to >= 0, "the file on the platter");
  uint8_t *dirty = dirty_pages(inode);
  for (long page = 0; page < PAGES_MAX;) {
    uint8_t *next = memchr(dirty + page, 1, PAGES_MAX - page);
    if (next == NULL) break;
    page = next - dirty;
    long count = 0;
    while (count < 64 && page + count < PAGES_MAX && dirty[page + count] == 1) count++;
    ssize_t length = call(SYS_pread64, from, (long)bytes, count * PAGE, page * PAGE, 0, 0);
    must(length >= 0, "read a page");
    if (length > 0) must(call(SYS_pwrite64, to, (long)bytes, length, page * PAGE, 0, 0) == length, "keep a page");
    memset(dirty + page, 0, count);
    control->pages_kept += count;
    page += count;
  }
  must(call(SYS_ftruncate, to, facts.st_size, 0, 0, 0, 0) == 0, "the length on the platter");
  call(SYS_fchmod, to, facts.st_mode & 07777, 0, 0, 0, 0);
  real_close(to);
  if (from != fd) real_close(from);
}

static int sync_file(int fd, uint64_t inode) {
  /* Before anything is kept, so that a cut in the middle of an fsync finds all of it still on its way. */
  uint32_t delay_us = control->delay_us;
  if (delay_us > 0) usleep(delay_us);
  lock();
  int failed = shall_fail(fd);
  if (failed) {
    memset(dirty_pages(inode), 0, PAGES_MAX);
    control->syncs_failed += 1;
  } else if (control->lying) {
    control->syncs_lied += 1;
  } else {
    copy_dirty(fd, inode);
    control->syncs += 1;
  }
  unlock();
  if (!failed) return 0;
  errno = EIO;
  return -1;
}

static void keep_name(int names, const char *name, int at) {
  struct stat facts, before;
  char target[64];
  if (fstatat(at, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) return;
  int known = fstatat(names, name, &before, AT_SYMLINK_NOFOLLOW) == 0;
  if (S_ISDIR(facts.st_mode)) {
    real_close(open_folder(facts.st_ino));
    snprintf(target, sizeof target, "../%llu", (unsigned long long)facts.st_ino);
    if (known) call(SYS_unlinkat, names, (long)name, 0, 0, 0, 0);
    must(call(SYS_symlinkat, (long)target, names, (long)name, 0, 0, 0) == 0, "the name of a folder");
  } else if (S_ISREG(facts.st_mode)) {
    int fd = open_platter("inode", facts.st_ino, O_RDONLY | O_CREAT, facts.st_mode & 07777);
    struct stat kept;
    must(fd >= 0 && fstat(fd, &kept) == 0, "the file of a name");
    real_close(fd);
    if (known && before.st_ino == kept.st_ino) return;
    if (known) call(SYS_unlinkat, names, (long)name, 0, 0, 0, 0);
    snprintf(target, sizeof target, "inode/%llu", (unsigned long long)facts.st_ino);
    must(call(SYS_linkat, platter, (long)target, names, (long)name, 0, 0) == 0, "the name of a file");
  }
}

static void keep_names(int fd, uint64_t inode) {
  int names = open_folder(inode);
  int at = real_open(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  int listed = real_open(names, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  DIR *there = fdopendir(at), *kept = fdopendir(listed);
  must(there != NULL && kept != NULL, "list a folder");
  for (struct dirent *entry; (entry = readdir(there)) != NULL;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !is_memory(entry->d_name))
      keep_name(names, entry->d_name, at);
  for (struct dirent *entry; (entry = readdir(kept)) != NULL;) {
    struct stat facts;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (fstatat(at, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) call(SYS_unlinkat, names, (long)entry->d_name, 0, 0, 0, 0);
  }
  closedir(there);
  closedir(kept);
  real_close(names);
}

static int sync_folder(int fd, uint64_t inode) {
  lock();
  int failed = (control->eio_pattern[0] == 0 || control->away != 0) && shall_fail(fd);
  if (failed) control->syncs_failed += 1;
  else if (control->lying) control->syncs_lied += 1;
  else {
    keep_names(fd, inode);
    control->folder_syncs += 1;
  }
  unlock();
  if (!failed) return 0;
  errno = EIO;
  return -1;
}

static int sync_any(int fd, long number) {
  struct handle *handle = watched(fd, WATCHED_FILE);
  if (handle != NULL) return sync_file(fd, handle->inode);
  handle = watched(fd, WATCHED_FOLDER);
  if (handle != NULL) return sync_folder(fd, handle->inode);
  return (int)call(number, fd, 0, 0, 0, 0, 0);
}

int fsync(int fd) { return sync_any(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_any(fd, SYS_fdatasync); }

/* ------------------------------------------------------------------ opening and closing */

static int open_any(int at, const char *path, int flags, mode_t mode) {
  if (control == NULL) return real_open(at, path, flags, mode);
  if ((flags & (O_CREAT | O_TRUNC)) == 0 && (flags & O_TMPFILE) != O_TMPFILE) {
    int fd = real_open(at, path, flags, mode);
    if (fd >= 0 && fd < FDS_MAX) look(fd);
    return fd;
  }
  lock();
  struct stat before, after;
  int was_there = (flags & O_TMPFILE) != O_TMPFILE && fstatat(at, path, &before, 0) == 0;
  int fd = real_open(at, path, flags, mode);
  int problem = errno;
  if (fd >= 0 && fd < FDS_MAX) {
    look(fd);
    if (handles[fd].state == WATCHED_FILE) {
      must(fstat(fd, &after) == 0, "fstat");
      if (!was_there || before.st_ino != after.st_ino) forget_file(after.st_ino, after.st_mode);
      else if ((flags & O_TRUNC) != 0) mark(after.st_ino, 0, before.st_size);
    }
  }
  unlock();
  errno = problem;
  return fd;
}

#define MODE_ARGUMENT(flags)                                        \
  mode_t mode = 0;                                                  \
  if (((flags) & O_CREAT) != 0 || ((flags) & O_TMPFILE) == O_TMPFILE) { \
    va_list rest;                                                   \
    va_start(rest, flags);                                          \
    mode = va_arg(rest, mode_t);                                    \
    va_end(rest);                                                   \
  }

int open(const char *path, int flags, ...) { MODE_ARGUMENT(flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_ARGUMENT(flags) return open_any(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE_ARGUMENT(flags) return open_any(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE_ARGUMENT(flags) return open_any(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
  if (fd >= 0 && fd == platter) {
    errno = EBADF;
    return -1;
  }
  if (fd >= 0 && fd < FDS_MAX) handles[fd].state = UNKNOWN;
  return real_close(fd);
}

static int copied(int from, int to) {
  if (from >= 0 && from < FDS_MAX && to >= 0 && to < FDS_MAX) handles[to] = handles[from];
  return to;
}

int dup(int fd) { return copied(fd, (int)call(SYS_dup, fd, 0, 0, 0, 0, 0)); }
int dup3(int fd, int to, int flags) { return copied(fd, (int)call(SYS_dup3, fd, to, flags, 0, 0, 0)); }
int dup2(int fd, int to) {
  if (fd == to) return fcntl(fd, F_GETFD) < 0 ? -1 : to;
  return dup3(fd, to, 0);
}

static int control_any(int fd, int command, long argument) {
  int result = (int)call(SYS_fcntl, fd, command, argument, 0, 0, 0);
  return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? copied(fd, result) : result;
}

#define LONG_ARGUMENT(last)        \
  va_list rest;                    \
  va_start(rest, last);            \
  long argument = va_arg(rest, long); \
  va_end(rest);

int fcntl(int fd, int command, ...) { LONG_ARGUMENT(command) return control_any(fd, command, argument); }
int fcntl64(int fd, int command, ...) { LONG_ARGUMENT(command) return control_any(fd, command, argument); }

static int made_folder(int at, const char *path, int result) {
  if (control == NULL || result != 0) return result;
  struct stat facts;
  char parent[4200];
  int fd = real_open(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return result;
  if (path_of(fd, parent, sizeof parent) && fstat(fd, &facts) == 0) {
    lock();
    int names = open_folder(facts.st_ino);
    DIR *kept = fdopendir(names);
    for (struct dirent *entry; (entry = readdir(kept)) != NULL;)
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
        call(SYS_unlinkat, names, (long)entry->d_name, 0, 0, 0, 0);
    closedir(kept);
    unlock();
  }
  real_close(fd);
  return result;
}

int mkdir(const char *path, mode_t mode) {
  return made_folder(AT_FDCWD, path, (int)call(SYS_mkdirat, AT_FDCWD, (long)path, mode, 0, 0, 0));
}
int mkdirat(int at, const char *path, mode_t mode) {
  return made_folder(at, path, (int)call(SYS_mkdirat, at, (long)path, mode, 0, 0, 0));
}

/* ------------------------------------------------------------------ reading */

static size_t length_of(const struct iovec *parts, int count) {
  size_t length = 0;
  for (int index = 0; index < count; index++) length += parts[index].iov_len;
  return length;
}

ssize_t read(int fd, void *bytes, size_t length) {
  ssize_t count = readable(fd, -1, length);
  return count < 0 ? -1 : call(SYS_read, fd, (long)bytes, count, 0, 0, 0);
}
ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
  ssize_t count = readable(fd, at, length);
  return count < 0 ? -1 : call(SYS_pread64, fd, (long)bytes, count, at, 0, 0);
}
ssize_t pread(int fd, void *bytes, size_t length, off_t at) { return pread64(fd, bytes, length, at); }

/* Into the first part alone where some of it is bad: what reads goes on from there. */
static ssize_t read_parts(int fd, const struct iovec *parts, int count, off_t at) {
  size_t length = length_of(parts, count);
  ssize_t good = readable(fd, at, length);
  if (good < 0) return -1;
  if ((size_t)good < length && count > 0) {
    size_t first = parts[0].iov_len < (size_t)good ? parts[0].iov_len : (size_t)good;
    return at < 0 ? call(SYS_read, fd, (long)parts[0].iov_base, (long)first, 0, 0, 0)
                  : call(SYS_pread64, fd, (long)parts[0].iov_base, (long)first, at, 0, 0);
  }
  return at < 0 ? call(SYS_readv, fd, (long)parts, count, 0, 0, 0) : call(SYS_preadv, fd, (long)parts, count, at, 0, 0);
}

ssize_t readv(int fd, const struct iovec *parts, int count) { return read_parts(fd, parts, count, -1); }
ssize_t preadv64(int fd, const struct iovec *parts, int count, off64_t at) { return read_parts(fd, parts, count, at); }
ssize_t preadv(int fd, const struct iovec *parts, int count, off_t at) { return read_parts(fd, parts, count, at); }

/* ------------------------------------------------------------------ writing */

/* Called before a write, with the lock taken for it; the pages are dirty whether the write is whole or not. */
static struct handle *before_write(int fd, off_t at, size_t length) {
  struct handle *handle = watched(fd, WATCHED_FILE);
  if (handle == NULL) return NULL;
  lock();
  struct stat facts;
  if (at < 0 && handle->appending) at = fstat(fd, &facts) == 0 ? facts.st_size : 0;
  else if (at < 0) at = lseek(fd, 0, SEEK_CUR);
  mark(handle->inode, at, at + (off_t)length);
  control->writes += 1;
  return handle;
}

static ssize_t after_write(int fd, struct handle *handle, ssize_t result) {
  if (handle == NULL) return result;
  int problem = errno;
  unlock();
  errno = problem;
  if (result >= 0 && handle->synchronous && sync_file(fd, handle->inode) != 0) return -1;
  return result;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  if (refuses_writes(fd)) return -1;
  struct handle *handle = before_write(fd, -1, length);
  return after_write(fd, handle, call(SYS_write, fd, (long)bytes, (long)length, 0, 0, 0));
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (refuses_writes(fd)) return -1;
  struct handle *handle = before_write(fd, -1, length_of(parts, count));
  return after_write(fd, handle, call(SYS_writev, fd, (long)parts, count, 0, 0, 0));
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
  if (refuses_writes(fd)) return -1;
  struct handle *handle = before_write(fd, at, length);
  return after_write(fd, handle, call(SYS_pwrite64, fd, (long)bytes, (long)length, at, 0, 0));
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  if (refuses_writes(fd)) return -1;
  struct handle *handle = before_write(fd, at, length_of(parts, count));
  return after_write(fd, handle, call(SYS_pwritev, fd, (long)parts, count, at, 0, 0));
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }

static int resize(int fd, off_t length, int mode, off_t at, int is_allocation) {
  if (refuses_writes(fd)) return -1;
  struct handle *handle = watched(fd, WATCHED_FILE);
  struct stat facts;
  if (handle != NULL) {
    lock();
    must(fstat(fd, &facts) == 0, "fstat");
    if (is_allocation) mark(handle->inode, at, at + length);
    else if (length < facts.st_size) mark(handle->inode, length, facts.st_size);
    else mark(handle->inode, facts.st_size, length);
  }
  int result = (int)(is_allocation ? call(SYS_fallocate, fd, mode, at, length, 0, 0) : call(SYS_ftruncate, fd, length, 0, 0, 0, 0));
  return (int)after_write(fd, handle, result);
}

int ftruncate64(int fd, off64_t length) { return resize(fd, length, 0, 0, 0); }
int ftruncate(int fd, off_t length) { return resize(fd, length, 0, 0, 0); }
int fallocate64(int fd, int mode, off64_t at, off64_t length) { return resize(fd, length, mode, at, 1); }
int fallocate(int fd, int mode, off_t at, off_t length) { return resize(fd, length, mode, at, 1); }
int posix_fallocate64(int fd, off64_t at, off64_t length) { return resize(fd, length, 0, at, 1) == 0 ? 0 : errno; }
int posix_fallocate(int fd, off_t at, off_t length) { return resize(fd, length, 0, at, 1) == 0 ? 0 : errno; }

int truncate64(const char *path, off64_t length) {
  int fd = open_any(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return -1;
  int result = ftruncate64(fd, length);
  int problem = errno;
  close(fd);
  errno = problem;
  return result;
}
int truncate(const char *path, off_t length) { return truncate64(path, length); }

ssize_t sendfile64(int to, int from, off64_t *at, size_t count) {
  ssize_t good = readable(from, at == NULL ? -1 : *at, count);
  if (good < 0 || refuses_writes(to)) return -1;
  count = (size_t)good;
  struct handle *handle = before_write(to, -1, count);
  return after_write(to, handle, call(SYS_sendfile, to, from, (long)at, (long)count, 0, 0));
}
ssize_t sendfile(int to, int from, off_t *at, size_t count) { return sendfile64(to, from, at, count); }

ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *to_at, size_t length, unsigned flags) {
  ssize_t good = readable(from, at == NULL ? -1 : *at, length);
  if (good < 0 || refuses_writes(to)) return -1;
  length = (size_t)good;
  struct handle *handle = before_write(to, to_at == NULL ? -1 : *to_at, length);
  return after_write(to, handle, call(SYS_copy_file_range, from, (long)at, to, (long)to_at, (long)length, flags));
}

/* libuv copies files, and closes some, by the bare system call. */
long syscall(long number, ...) {
  va_list rest;
  va_start(rest, number);
  long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long);
  long d = va_arg(rest, long), e = va_arg(rest, long), f = va_arg(rest, long);
  va_end(rest);
  if (number == SYS_close) return close((int)a);
  if (number == SYS_copy_file_range) return copy_file_range((int)a, (off64_t *)b, (int)c, (off64_t *)d, (size_t)e, (unsigned)f);
  return call(number, a, b, c, d, e, f);
}

static void *map_any(void *where, size_t length, int protection, int flags, int fd, off_t at) {
  if ((flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0 && watched(fd, WATCHED_FILE) != NULL)
    give_up("a file is written by mapping it, which is not modelled here");
  return (void *)call(SYS_mmap, (long)where, (long)length, protection, flags, fd, at);
}

void *mmap64(void *where, size_t length, int protection, int flags, int fd, off64_t at) {
  return map_any(where, length, protection, flags, fd, at);
}
void *mmap(void *where, size_t length, int protection, int flags, int fd, off_t at) {
  return map_any(where, length, protection, flags, fd, at);
}
