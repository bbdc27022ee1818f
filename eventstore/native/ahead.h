/* What a scan hands to the thread that builds and hashes frames. */
#ifndef EVENTSTORE_NATIVE_AHEAD_H
#define EVENTSTORE_NATIVE_AHEAD_H

#include "sqlite.h"

#define KEPT_BYTES (1 << 20) /* what a scan keeps between two slices */

/* Rows of so many cells, and behind each other the bytes of their texts and blobs. */
typedef struct {
    int width;
    Cell *cells;
    uint8_t *bytes;
    size_t rows, used, cell_room, room;
} Fetched;

void fetched_free(Fetched *rows);
int frame_cell(Frames *frames, const Cell *cell, const uint8_t **bytes);
PyObject *ahead_of(Fetched *rows, int items, PyObject *firsts, PyObject *sha, Py_ssize_t left);

#endif
