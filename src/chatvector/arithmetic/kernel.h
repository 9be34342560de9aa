/* SPDX-License-Identifier: Apache-2.0
 *
 * What the compiled parts share: how a unit of work is described (native.py fills these in), and reading whole blocks.
 */
#ifndef CHATVECTOR_KERNEL_H
#define CHATVECTOR_KERNEL_H

#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum dtype { BF16 = 0, F16 = 1, F32 = 2, F64 = 3 };
enum status { DONE = 0, NOT_FINITE = 1, SYSTEM = 2, SHORT = 3, UNKNOWN = 4, DIFFERS = 5 };

/* Most elements of one block: its pieces of four 16-bit tensors are 1 MiB. Smaller ones cost more in calls of the system
 * than they save in the cache, larger ones gain nothing (docs/log.md, 2026-11-26). */
#define BLOCK 131072
/* Elements of one step in scratch of the working format, which stays in the first-level cache. */
#define STEP 1024
/* Sums of squares run in so many lanes, so that the order of additions is the same on every processor. */
#define LANES 32

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(ONE_PROCESSOR)
#define EVERY_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EVERY_PROCESSOR
#endif
#define INLINE static inline __attribute__((always_inline))

/* One source of a unit: its bytes are at `data` in memory, else begin at `offset` of the open file `fd`, or where the
 * offset is negative come next from the socket `fd`; where there is neither (fd < 0), all elements are minus zero. */
struct source {
    int32_t fd;
    int32_t dtype;
    int64_t offset;
    const char *data;
};

static inline int is_absent(const struct source *source) { return source->fd < 0 && !source->data; }

/* One vector's part: scale · (plus − minus), `minus` left out where has_minus is 0. */
struct term {
    struct source plus, minus;
    double scale;
    int32_t has_minus;
    int32_t reserved;
};

/* `elements` of one output tensor, which go to a file or, at `output.data`, to memory. wide: the working format is float64, else float32. */
struct unit {
    int64_t elements;
    int32_t wide;
    int32_t terms;
    struct source target;
    struct source output;
    const struct term *term;
};

static const int item_bytes[] = {2, 2, 4, 8};

/* `nbytes` at `offset`, in as many reads as it takes. */
static inline int read_all(int fd, char *buffer, int64_t nbytes, int64_t offset, int32_t *error) {
    while (nbytes > 0) {
        ssize_t count = pread(fd, buffer, (size_t)nbytes, (off_t)offset);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) { *error = errno; return SYSTEM; }
        if (count == 0) return SHORT;
        buffer += count, offset += count, nbytes -= count;
    }
    return DONE;
}

/* The next `nbytes` of a socket that blocks; its own limit of time holds (SO_RCVTIMEO, then EAGAIN). */
static inline int receive_all(int fd, char *buffer, int64_t nbytes, int32_t *error) {
    while (nbytes > 0) {
        ssize_t count = recv(fd, buffer, (size_t)nbytes, MSG_WAITALL);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) { *error = errno; return SYSTEM; }
        if (count == 0) return SHORT;
        buffer += count, nbytes -= count;
    }
    return DONE;
}

#define ALIGNMENT 64
static inline char *round_up(char *place) {
    return (char *)(((uintptr_t)place + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
}

/* Processors compare the low 12 bits of addresses to see whether a load needs a store that is still under way. A copy to
 * just behind where it comes from, within their pages, is held up at every step: by two to four times (docs/log.md,
 * 2026-11-26). Files lie in the page cache as they lie in the file, so the offset is as good as an address. */
#define PAGE 4096
static inline int is_just_behind(uint64_t to, uint64_t from) { return (to - from) % PAGE < ALIGNMENT; }

/* Memory at `place` or a little further on, for bytes that come from `offset` of a file. */
static inline char *room_to_read(char *place, int64_t offset) {
    return is_just_behind((uintptr_t)place, (uint64_t)offset) ? place + ALIGNMENT : place;
}

/* The same for bytes that go to `offset`. */
static inline char *room_to_write(char *place, int64_t offset) {
    return is_just_behind((uint64_t)offset, (uintptr_t)place) ? place + ALIGNMENT : place;
}

/* The piece of `source` from element `start` on: where it lies in memory, or read to `place`, which moves on. */
static inline int fetch(const struct source *source, int64_t start, int64_t count, char **place, const char **piece,
                        int32_t *error) {
    int64_t item = item_bytes[source->dtype], offset = source->offset + start * item;
    *piece = source->data ? source->data + start * item : *place;
    if (source->data || is_absent(source)) return DONE;
    char *room = source->offset < 0 ? *place : room_to_read(*place, offset);
    *piece = room;
    *place = round_up(room + count * item);
    return source->offset < 0 ? receive_all(source->fd, room, count * item, error)
                              : read_all(source->fd, room, count * item, offset, error);
}

/* Elements of a block whose `pieces` of together `width` bytes an element fit into `room` bytes: whole steps. */
static inline int64_t block_elements(int64_t room, int64_t width, int64_t pieces) {
    int64_t fit = (room - (2 * pieces + 1) * ALIGNMENT) / width / STEP * STEP;
    return fit < 0 ? 0 : fit > BLOCK ? BLOCK : fit;
}

#endif
