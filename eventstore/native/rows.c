/* The rows of a batch, from the events that are appended: with their frames, ready for the table. */
#include "native.h"

#define CHUNK_BITS 12
#define CAUSE_WINDOW 4096

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(names))
{
    if (!PyArg_ParseTuple(args, ""))
        return NULL;
    return type->tp_alloc(type, 0);
}

static void release(Row *row)
{
    Py_XDECREF(row->event_id);
    Py_XDECREF(row->far_cause);
    Py_XDECREF(row->metadata);
    Py_XDECREF(row->data);
    Py_XDECREF(row->mark);
    memset(row, 0, sizeof *row);
}

static void dealloc(RowsObject *self)
{
    for (Py_ssize_t index = 0; index < self->frames.count; index++)
        release(&self->rows[index]);
    PyMem_RawFree(self->rows);
    frames_free(&self->frames);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int long_of(PyObject *owner, PyObject *name, int64_t *value)
{
    PyObject *found = PyObject_GetAttr(owner, name);
    if (found == NULL)
        return -1;
    *value = PyLong_AsLongLong(found);
    Py_DECREF(found);
    return *value == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *bytes_of(PyObject *owner, PyObject *name)
{
    PyObject *found = PyObject_GetAttr(owner, name);
    if (found != NULL && !PyBytes_Check(found)) {
        Py_CLEAR(found);
        PyErr_Format(PyExc_TypeError, "an event's %U is bytes", name);
    }
    return found;
}

/* The key that a dictionary surely has for a name; -1 and an error if it has not. */
static int64_t key_of(PyObject *keys, PyObject *name)
{
    PyObject *found = PyDict_GetItemWithError(keys, name); /* borrowed */
    if (found == Py_None)
        return 0;
    if (found != NULL)
        return PyLong_AsLongLong(found);
    if (!PyErr_Occurred())
        PyErr_SetObject(PyExc_KeyError, name);
    return -1;
}

static int64_t type_of(PyObject *event, PyObject *types)
{
    PyObject *type = PyObject_GetAttr(event, TYPE), *version = PyObject_GetAttr(event, TYPE_VERSION);
    PyObject *pair = type && version ? PyTuple_Pack(2, type, version) : NULL;
    int64_t key = pair ? key_of(types, pair) : -1;
    Py_XDECREF(type);
    Py_XDECREF(version);
    Py_XDECREF(pair);
    return key;
}

static int64_t correlation_of(PyObject *event, PyObject *correlations)
{
    PyObject *name = PyObject_GetAttr(event, CORRELATION_ID);
    int64_t key = name ? key_of(correlations, name) : -1;
    Py_XDECREF(name);
    return key;
}

/* How the event at the row's position keeps its cause: see `eventstore.chain.stored_cause`. */
static int read_cause(Row *row, PyObject *event, PyObject *tail)
{
    PyObject *cause = PyObject_GetAttr(event, CAUSATION_ID), *found;
    if (cause == NULL)
        return -1;
    if (cause == Py_None) {
        Py_DECREF(cause);
        return 0;
    }
    found = PyDict_GetItemWithError(tail, cause); /* borrowed */
    int64_t position = found ? PyLong_AsLongLong(found) : 0;
    if (PyErr_Occurred()) {
        Py_DECREF(cause);
        return -1;
    }
    if (found != NULL && position >= row->position - CAUSE_WINDOW) {
        row->near_cause = position;
        Py_DECREF(cause);
        return 0;
    }
    row->far_cause = id_bytes(NULL, cause);
    if (row->far_cause == Py_None)
        Py_SETREF(row->far_cause, cause);
    else
        Py_DECREF(cause);
    return row->far_cause ? 0 : -1;
}

static int read_event(Row *row, PyObject *event, PyObject *types, PyObject *correlations, PyObject *tail)
{
    if ((row->type = type_of(event, types)) < 0 || (row->correlation = correlation_of(event, correlations)) < 0 ||
        read_cause(row, event, tail) < 0)
        return -1;
    row->metadata = bytes_of(event, METADATA);
    row->data = row->metadata ? bytes_of(event, DATA) : NULL;
    return row->data ? 0 : -1;
}

static int frame_of(Frames *frames, const Row *row, PyObject *extras)
{
    int failed = frames_head(frames, extras ? 13 : 10) || frames_int(frames, row->position) ||
                 frames_int(frames, row->stream) || frames_int(frames, row->version) ||
                 frames_int(frames, row->type) || frames_int(frames, row->recorded_at_ms) ||
                 frames_raw(frames, row->event_id) ||
                 (row->correlation ? frames_int(frames, row->correlation) : frames_none(frames)) ||
                 (row->near_cause  ? frames_int(frames, row->near_cause)
                  : row->far_cause ? frames_item(frames, row->far_cause)
                                   : frames_none(frames)) ||
                 frames_raw(frames, row->metadata) || frames_raw(frames, row->data) ||
                 (extras && frames_extras(frames, extras));
    return failed ? -1 : frames_end(frames);
}

static int remember(PyObject *event, PyObject *id, int64_t position, PyObject *tail, PyObject *fresh)
{
    PyObject *text = PyObject_GetAttr(event, EVENT_ID), *place = PyLong_FromLongLong(position);
    int failed = !text || !place || PyDict_SetItem(tail, text, place) < 0 || PyList_Append(fresh, id) < 0;
    Py_XDECREF(text);
    Py_XDECREF(place);
    return failed ? -1 : 0;
}

static int room_for_row(RowsObject *self)
{
    if (frames_begin(&self->frames) < 0)
        return -1;
    if (self->slots < self->frames.slots) {
        Row *rows = PyMem_RawRealloc(self->rows, (size_t)self->frames.slots * sizeof *rows);
        if (rows == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        self->rows = rows;
        self->slots = self->frames.slots;
    }
    return 0;
}

/* Where a chunk begins for the stream: note it. */
static int new_chunk(PyObject *stream, const Row *row, int64_t *chunk, PyObject *chunks)
{
    *chunk = row->position >> CHUNK_BITS;
    PyObject *entry = Py_BuildValue("(LLL)", (long long)row->stream, (long long)*chunk, (long long)row->version);
    PyObject *value = PyLong_FromLongLong(*chunk);
    int failed =
        !entry || !value || PyList_Append(chunks, entry) < 0 || PyObject_SetAttr(stream, CHUNK, value) < 0;
    Py_XDECREF(entry);
    Py_XDECREF(value);
    return failed ? -1 : 0;
}

typedef struct {
    PyObject *events, *ids, *stream, *types, *correlations, *tail, *fresh, *chunks, *firsts;
    int64_t position, now_ms, key, version, chunk;
} Append;

static int read_append(Append *append, PyObject *const *args, Py_ssize_t given)
{
    if (given != 11) {
        PyErr_SetString(PyExc_TypeError, "an append has 11 parts");
        return -1;
    }
    *append = (Append){.events = args[0], .ids = args[1], .stream = args[2], .types = args[5],
                       .correlations = args[6], .tail = args[7], .fresh = args[8], .chunks = args[9],
                       .firsts = args[10]};
    append->position = PyLong_AsLongLong(args[3]);
    append->now_ms = PyLong_AsLongLong(args[4]);
    if (PyErr_Occurred())
        return -1;
    if (!PyTuple_Check(append->events) || !PyList_Check(append->ids) || !PyDict_Check(append->types) ||
        PyTuple_GET_SIZE(append->events) != PyList_GET_SIZE(append->ids) || !PyDict_Check(append->correlations) ||
        !PyDict_Check(append->tail) || !PyList_Check(append->fresh) || !PyList_Check(append->chunks) ||
        !PyDict_Check(append->firsts)) {
        PyErr_SetString(PyExc_TypeError, "a part of an append has another type");
        return -1;
    }
    return long_of(append->stream, KEY, &append->key) < 0 || long_of(append->stream, VERSION, &append->version) < 0 ||
           long_of(append->stream, CHUNK, &append->chunk) < 0 ? -1 : 0;
}

static int add_event(RowsObject *self, Append *append, PyObject *event, PyObject *id)
{
    if (!PyBytes_Check(id) || PyBytes_GET_SIZE(id) != 16) {
        PyErr_SetString(PyExc_TypeError, "an event id is 16 bytes");
        return -1;
    }
    if (room_for_row(self) < 0)
        return -1;
    Row *row = &self->rows[self->frames.count];
    *row = (Row){.position = ++append->position, .stream = append->key, .version = ++append->version,
                 .recorded_at_ms = append->now_ms, .event_id = Py_NewRef(id)};
    PyObject *extras = PyDict_GET_SIZE(append->firsts) ? frames_names(append->firsts, row->position) : NULL;
    if (PyErr_Occurred() ||
        (row->position >> CHUNK_BITS != append->chunk &&
         new_chunk(append->stream, row, &append->chunk, append->chunks) < 0) ||
        read_event(row, event, append->types, append->correlations, append->tail) < 0 ||
        frame_of(&self->frames, row, extras) < 0) {
        frames_drop(&self->frames);
        release(row);
        return -1;
    }
    return remember(event, id, row->position, append->tail, append->fresh);
}

static PyObject *add_all(RowsObject *self, Append *append)
{
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(append->events); index++)
        if (add_event(self, append, PyTuple_GET_ITEM(append->events, index), PyList_GET_ITEM(append->ids, index)) < 0)
            return NULL;
    PyObject *last = PyLong_FromLongLong(append->version);
    int failed = last == NULL || PyObject_SetAttr(append->stream, VERSION, last) < 0;
    Py_XDECREF(last);
    if (failed)
        return NULL;
    Py_RETURN_TRUE;
}

static PyObject *add(RowsObject *self, PyObject *const *args, Py_ssize_t given)
{
    Append append;
    return read_append(&append, args, given) < 0 ? NULL : add_all(self, &append);
}

/* 1 if the id is new to the tail, the type is known, and so is the correlation in this stream; 0 if not. */
static int is_plain(const Append *append, PyObject *event, PyObject *seen)
{
    PyObject *id = PyObject_GetAttr(event, EVENT_ID);
    int plain = id ? PyDict_Contains(append->tail, id) : -1;
    Py_XDECREF(id);
    if (plain)
        return plain < 0 ? -1 : 0;
    PyObject *type = PyObject_GetAttr(event, TYPE), *version = PyObject_GetAttr(event, TYPE_VERSION);
    PyObject *pair = type && version ? PyTuple_Pack(2, type, version) : NULL;
    plain = pair ? PyDict_Contains(append->types, pair) : -1;
    Py_XDECREF(type);
    Py_XDECREF(version);
    Py_XDECREF(pair);
    if (plain <= 0)
        return plain;
    PyObject *name = PyObject_GetAttr(event, CORRELATION_ID);
    PyObject *key = name ? PyDict_GetItemWithError(append->correlations, name) : NULL; /* borrowed */
    Py_XDECREF(name);
    return key ? PySet_Contains(seen, key) : PyErr_Occurred() ? -1 : 0;
}

static PyObject *add_plain(RowsObject *self, PyObject *const *args, Py_ssize_t given)
{
    Append append;
    PyObject *seen = read_append(&append, args, given) < 0 ? NULL : PyObject_GetAttr(append.stream, CORRELATIONS);
    int plain = seen ? 1 : -1;
    for (Py_ssize_t index = 0; plain > 0 && index < PyTuple_GET_SIZE(append.events); index++)
        plain = is_plain(&append, PyTuple_GET_ITEM(append.events, index), seen);
    Py_XDECREF(seen);
    if (plain < 0)
        return NULL;
    if (!plain)
        Py_RETURN_FALSE;
    return add_all(self, &append);
}

static PyObject *seal(RowsObject *self, PyObject *args)
{
    Py_ssize_t index;
    PyObject *digest;
    if (!PyArg_ParseTuple(args, "nS", &index, &digest))
        return NULL;
    if (index < 0 || index >= self->frames.count) {
        PyErr_SetString(PyExc_IndexError, "there is no such row");
        return NULL;
    }
    uint32_t sum = self->frames.sums[index];
    uint8_t big[4] = {(uint8_t)(sum >> 24), (uint8_t)(sum >> 16), (uint8_t)(sum >> 8), (uint8_t)sum};
    PyObject *mark = PyBytes_FromStringAndSize((char *)big, 4);
    if (mark == NULL)
        return NULL;
    PyBytes_Concat(&mark, digest);
    if (mark == NULL)
        return NULL;
    Py_XSETREF(self->rows[index].mark, mark);
    Py_RETURN_NONE;
}

static PyMethodDef METHODS[] = {
    {"add", (PyCFunction)(void (*)(void))add, METH_FASTCALL, "The rows of an append that comes after a position."},
    {"add_plain", (PyCFunction)(void (*)(void))add_plain, METH_FASTCALL,
     "The same if memory is enough to decide it; else False, and nothing is added."},
    {"seal", (PyCFunction)seal, METH_VARARGS, "Keep the digest with the row that ends a segment."},
    {NULL},
};

PyTypeObject RowsType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventstore._native.Rows",
    .tp_doc = "The rows of a batch, with their frames.",
    .tp_basicsize = sizeof(RowsObject),
    .tp_base = &FramesType, /* RowsObject begins as FramesObject does */
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = new,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = METHODS,
};
