/* Reads small files of a folder, if they still are what was listed. Called by listed.py, which says what the arrays
   are. A file that is anything else is left to Python, which finds out what it is and says so. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80 /* Linux 6.14 brought it */
#endif
#ifndef SYS_openat2
#define SYS_openat2 437 /* the same number on all machines; Linux 5.6 brought it */
#endif

enum { BENEATH = 0x08 }; /* RESOLVE_BENEATH: no link on the way may lead out of the folder */

static const int QUIETLY = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

static int open_file(int root, const char *path, int beneath)
{
    struct {
        uint64_t flags, mode, resolve;
    } how = {(uint64_t)QUIETLY, 0, BENEATH};
    return beneath ? (int)syscall(SYS_openat2, root, path, &how, sizeof how) : openat(root, path, QUIETLY);
}

static int64_t nanoseconds(struct timespec time)
{
    return time.tv_sec * (int64_t)1000000000 + time.tv_nsec;
}

static int is_listed(const struct stat *now, int64_t size, int64_t modified, const char *etag, int32_t length)
{
    char now_etag[40]; /* two numbers of 64 bits in hexadecimal; none was kept of files that were listed long ago */
    int written = snprintf(now_etag, sizeof now_etag, "%" PRIx64 "-%" PRIx64, (uint64_t)nanoseconds(now->st_ctim),
                           (uint64_t)now->st_ino);
    return S_ISREG(now->st_mode) && now->st_size == size && nanoseconds(now->st_mtim) == modified &&
           (length == 0 || (length == written && memcmp(etag, now_etag, (size_t)length) == 0));
}

/* What was not in memory before is not kept there: each file is read once, and would only push out others that are
   still to be read. */
static ssize_t read_once(int file, char *content, int64_t size, int64_t from)
{
    struct iovec place = {content + from, (size_t)(size - from)};
    ssize_t have = preadv2(file, &place, 1, from, RWF_DONTCACHE);
    return have >= 0 || errno != EOPNOTSUPP ? have : pread(file, place.iov_base, place.iov_len, from);
}

static int read_file(int root, const char *path, int beneath, char *content, int64_t size, int64_t modified,
                     const char *etag, int32_t length)
{
    struct stat now;
    int64_t have = 0;
    ssize_t more = 1;
    int file = open_file(root, path, beneath);
    if (file < 0)
        return 0;
    /* one byte more than was listed: a file that has grown is seen without a second read */
    while (have < size && (more = read_once(file, content, size + 1, have)) > 0)
        have += more;
    int same = have == size && fstat(file, &now) == 0 && is_listed(&now, size, modified, etag, length);
    close(file);
    return same;
}

void read_as_listed(int root, const char *folder, int beneath, int64_t files, const int32_t *path_ends,
                    const char *paths, const int64_t *sizes, const int64_t *modified, const int32_t *etag_ends,
                    const char *etags, char *content, uint8_t *as_listed)
{
    char path[PATH_MAX];
    size_t before = strlen(folder);
    memcpy(path, folder, before);
    for (int64_t file = 0; file < files; file++) {
        size_t length = (size_t)(path_ends[file + 1] - path_ends[file]);
        as_listed[file] = 0;
        if (sizes[file] < 0)
            continue;
        if (before + length < sizeof path) {
            memcpy(path + before, paths + path_ends[file], length);
            path[before + length] = 0;
            as_listed[file] = (uint8_t)(strlen(path) == before + length &&
                                        read_file(root, path, beneath, content, sizes[file], modified[file],
                                                  etags + etag_ends[file], etag_ends[file + 1] - etag_ends[file]));
        }
        content += sizes[file] + 1;
    }
}
