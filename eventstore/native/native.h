/* What the parts of the extension share. None of it is needed: every function has a twin in Python. */
#ifndef EVENTSTORE_NATIVE_H
#define EVENTSTORE_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030E0000 || defined(Py_GIL_DISABLED)
#error "written for CPython 3.11 to 3.13"
#endif

#define FACE 6 /* raised with every change of what Python sees of this, see eventstore/_compiled.py */

/* Encoded frames, one behind the other, and the checksum of each. */
typedef struct {
    uint8_t *bytes;
    size_t used, room;
    size_t *ends; /* where each frame ends in `bytes` */
    uint32_t *sums;
    Py_ssize_t count, slots;
} Frames;

typedef struct {
    PyObject_HEAD
    Frames frames;
} FramesObject;

/* One row of the table of events; what it borrows from Python it holds a reference to. */
typedef struct {
    int64_t position, stream, version, type, recorded_at_ms;
    int64_t correlation; /* 0 for none */
    int64_t near_cause;  /* 0 unless the cause is kept as a position */
    PyObject *far_cause; /* bytes or str, or NULL */
    PyObject *event_id, *metadata, *data; /* bytes */
    PyObject *mark;      /* bytes once it is sealed, else NULL: the frame's checksum */
} Row;

typedef struct {
    PyObject_HEAD
    Frames frames;
    Row *rows; /* as many as there are frames */
    Py_ssize_t slots;
} RowsObject;

extern PyTypeObject AheadType, BulkType, FramesType, InserterType, RowsType, ScanType, ShaType;

extern PyObject *CAUSATION_ID, *CHUNK, *CORRELATIONS, *CORRELATION_ID, *DATA, *EVENT_ID, *KEY, *METADATA, *TYPE,
    *TYPE_VERSION, *VERSION;

void frames_init(Frames *frames);
void frames_free(Frames *frames);
int frames_begin(Frames *frames);
int frames_room(Frames *frames, Py_ssize_t count, size_t bytes);
int frames_end(Frames *frames);
void frames_drop(Frames *frames);
int frames_head(Frames *frames, size_t items);
int frames_int(Frames *frames, int64_t value);
int frames_none(Frames *frames);
int frames_float(Frames *frames, double value);
int frames_blob(Frames *frames, const char *bytes, size_t size);
int frames_text(Frames *frames, const char *text, size_t size);
int frames_raw(Frames *frames, PyObject *bytes);
int frames_item(Frames *frames, PyObject *item);
PyObject *frames_names(PyObject *firsts, int64_t place);
int frames_extras(Frames *frames, PyObject *extras);

#define ITEM 11 /* bytes of an id in a run */
uint64_t hash_of(PyObject *id);
uint64_t run_hash(const uint8_t *item);
int is_id(PyObject *id);
int is_run(PyObject *run);

int ids_init(void);
int names_init(void);
PyObject *new_id(PyObject *module, PyObject *none);
PyObject *id_bytes(PyObject *module, PyObject *text);
PyObject *id_text(PyObject *module, PyObject *raw);
PyObject *fill_parts(PyObject *module, PyObject *args);
PyObject *first_of(PyObject *module, PyObject *args);
PyObject *highest(PyObject *module, PyObject *keys);
PyObject *in_place(PyObject *module, PyObject *args);
PyObject *may_hold(PyObject *module, PyObject *args);
PyObject *merge_runs(PyObject *module, PyObject *runs);
PyObject *pack_ids(PyObject *module, PyObject *args);
PyObject *sound_ids(PyObject *module, PyObject *const *args, Py_ssize_t given);
PyObject *use_crypto(PyObject *module, PyObject *args);
PyObject *use_sqlite(PyObject *module, PyObject *args);

#endif
