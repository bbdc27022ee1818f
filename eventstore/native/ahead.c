/* Frames that a thread builds and hashes without the interpreter, while Python handles what came before them. */
#include "ahead.h"
#include "sha.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define SEGMENT 256

/* What the thread works on is its own from `begin` to `join`; neither side looks at the other's meanwhile. */
typedef struct {
    PyObject_HEAD
    Fetched rows;
    int items;
    Frames names;      /* what the first events of their kind bring, already encoded */
    uint32_t *named;   /* for each row 1 + its place among these, 0 for none */
    PyObject *made;    /* the frames; room for all of them is there */
    PyObject *sha;     /* the running hash */
    size_t left;       /* frames up to the end of the first segment */
    uint8_t *digests;  /* of the segments that end here */
    size_t ends;
    int failed, taken;
    pthread_t thread;
    pid_t owner; /* the process that has the thread, 0 if there is none */
    atomic_int stop, done;
} AheadObject;

static void build(AheadObject *self, size_t row, const Cell **cell, const uint8_t **bytes)
{
    Frames *frames = &((FramesObject *)self->made)->frames;
    uint32_t named = self->named ? self->named[row] : 0;
    /* None of these can fail: there is room. */
    frames_head(frames, (size_t)self->items + (named ? 3 : 0));
    for (int column = 0; column < self->rows.width; column++, ++*cell)
        if (column < self->items)
            frame_cell(frames, *cell, bytes);
        else if ((*cell)->type == SQLITE_TEXT || (*cell)->type == SQLITE_BLOB)
            *bytes += (*cell)->size;
    if (named) {
        size_t start = named > 1 ? self->names.ends[named - 2] : 0, size = self->names.ends[named - 1] - start;
        memcpy(frames->bytes + frames->used, self->names.bytes + start, size);
        frames->used += size;
    }
    frames_end(frames);
}

/* Everything; given up where `stop` says that nobody will ask. */
static void *work(void *given)
{
    AheadObject *self = given;
    const Frames *frames = &((FramesObject *)self->made)->frames;
    EVP_MD_CTX *context = sha_context(self->sha);
    const Cell *cell = self->rows.cells;
    const uint8_t *bytes = self->rows.bytes;
    size_t hashed = 0;
    int good = 1;
    for (size_t row = 0; row < self->rows.rows && !atomic_load_explicit(&self->stop, memory_order_relaxed); row++) {
        build(self, row, &cell, &bytes);
        if (--self->left && row + 1 < self->rows.rows)
            continue;
        /* A segment at a time: it is in the processor's cache still. */
        good = good && CRYPTO.DigestUpdate(context, frames->bytes + hashed, frames->used - hashed);
        hashed = frames->used;
        if (!self->left) {
            uint8_t *digest = self->digests + DIGEST * self->ends++;
            good = good && CRYPTO.DigestFinal_ex(context, digest, NULL) &&
                   CRYPTO.DigestInit_ex(context, NULL, NULL) && CRYPTO.DigestUpdate(context, digest, DIGEST);
            self->left = SEGMENT;
        }
    }
    self->failed = !good;
    atomic_store_explicit(&self->done, 1, memory_order_release);
    return NULL;
}

static void begin(AheadObject *self)
{
    sigset_t all, before;
    /* Signals are for Python's threads: one that waits in the system must be woken by them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    self->owner = getpid();
    if (pthread_create(&self->thread, NULL, work, self) != 0)
        self->owner = 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (self->owner == 0)
        work(self);
}

/* 0 once the thread is over. A child after a fork has its memory, but no thread, and gets -1. */
static int join(AheadObject *self)
{
    if (self->owner == 0)
        return 0;
    if (self->owner != getpid())
        return -1;
    pthread_join(self->thread, NULL);
    self->owner = 0;
    return 0;
}

static void dealloc(AheadObject *self)
{
    atomic_store_explicit(&self->stop, 1, memory_order_relaxed);
    join(self);
    fetched_free(&self->rows);
    frames_free(&self->names);
    PyMem_RawFree(self->named);
    PyMem_RawFree(self->digests);
    Py_XDECREF(self->made);
    Py_XDECREF(self->sha);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* Encode the names that some rows bring. */
static int take_names(AheadObject *self, PyObject *firsts)
{
    PyObject *place, *names;
    Py_ssize_t at = 0;
    if (PyDict_GET_SIZE(firsts) == 0)
        return 0;
    self->named = PyMem_RawCalloc(self->rows.rows + 1, sizeof *self->named);
    if (self->named == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    while (PyDict_Next(firsts, &at, &place, &names)) {
        size_t row = PyLong_AsSize_t(place);
        if (row >= self->rows.rows) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_IndexError, "there is no such row");
            return -1;
        }
        if (frames_begin(&self->names) < 0 || frames_extras(&self->names, names) < 0)
            return -1;
        frames_end(&self->names);
        self->named[row] = (uint32_t)self->names.count;
    }
    return 0;
}

/* Begin with the rows that a scan has fetched, which it gives away. */
PyObject *ahead_of(Fetched *rows, int items, PyObject *firsts, PyObject *sha, Py_ssize_t left)
{
    AheadObject *self = (AheadObject *)AheadType.tp_alloc(&AheadType, 0);
    if (self == NULL)
        return NULL;
    self->rows = *rows;
    memset(rows, 0, sizeof *rows);
    rows->width = self->rows.width;
    /* The next part will be as large: growing up to that anew would copy it once more. Without it, it grows. */
    if (self->rows.room <= KEPT_BYTES) {
        rows->bytes = PyMem_RawMalloc(self->rows.room);
        rows->room = rows->bytes ? self->rows.room : 0;
        rows->cells = PyMem_RawMalloc(self->rows.cell_room);
        rows->cell_room = rows->cells ? self->rows.cell_room : 0;
    }
    self->items = items;
    self->left = (size_t)left;
    self->made = FramesType.tp_alloc(&FramesType, 0);
    self->sha = self->made ? sha_copy(sha) : NULL;
    self->digests = PyMem_RawMalloc(DIGEST * (self->rows.rows / SEGMENT + 1));
    if (self->sha == NULL || take_names(self, firsts) < 0 || self->digests == NULL ||
        frames_room(&((FramesObject *)self->made)->frames, (Py_ssize_t)self->rows.rows,
                    self->rows.used + self->names.used + self->rows.rows * (size_t)(1 + 9 * items)) < 0) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        Py_DECREF(self);
        return NULL;
    }
    begin(self);
    return (PyObject *)self;
}

static PyObject *take(AheadObject *self, PyObject *Py_UNUSED(none))
{
    int alive;
    if (self->taken++) {
        PyErr_SetString(PyExc_ValueError, "it was taken already");
        return NULL;
    }
    if (atomic_load_explicit(&self->done, memory_order_acquire)) {
        alive = join(self);
    } else {
        Py_BEGIN_ALLOW_THREADS
        alive = join(self);
        Py_END_ALLOW_THREADS
    }
    if (alive < 0 || self->failed) {
        const char *why = alive < 0 ? "its thread is in another process" : "libcrypto refuses to hash";
        PyErr_SetString(PyExc_RuntimeError, why);
        return NULL;
    }
    PyObject *digests = PyList_New((Py_ssize_t)self->ends);
    for (size_t index = 0; digests != NULL && index < self->ends; index++) {
        PyObject *digest = PyBytes_FromStringAndSize((char *)self->digests + DIGEST * index, DIGEST);
        if (digest == NULL)
            Py_CLEAR(digests);
        else
            PyList_SET_ITEM(digests, (Py_ssize_t)index, digest);
    }
    PyObject *taken = digests ? PyTuple_Pack(3, self->made, digests, self->sha) : NULL;
    Py_XDECREF(digests);
    if (taken != NULL) {
        Py_CLEAR(self->made);
        Py_CLEAR(self->sha);
        fetched_free(&self->rows);
    }
    return taken;
}

static PyMethodDef METHODS[] = {
    {"take", (PyCFunction)take, METH_NOARGS,
     "Once they are there: the frames, the digests of the segments that end in them, and the running hash behind them."},
    {NULL},
};

PyTypeObject AheadType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventstore._native.Ahead",
    .tp_doc = "Frames that are built and hashed meanwhile.",
    .tp_basicsize = sizeof(AheadObject),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = METHODS,
};
