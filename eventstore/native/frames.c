/* Frames of the hash chain: MessagePack with every item in its shortest form, and their Adler-32 checksums. */
#include "native.h"

#define MARGIN 64 /* more than any item asks for beyond its own bytes */

void frames_init(Frames *frames)
{
    memset(frames, 0, sizeof *frames);
}

void frames_free(Frames *frames)
{
    PyMem_RawFree(frames->bytes);
    PyMem_RawFree(frames->ends);
    PyMem_RawFree(frames->sums);
    frames_init(frames);
}

static int no_memory(void)
{
    PyErr_NoMemory();
    return -1;
}

static int reserve(Frames *frames, size_t more)
{
    if (frames->room - frames->used >= more)
        return 0;
    size_t room = frames->room ? frames->room : 4096;
    while (room - frames->used < more)
        room *= 2;
    uint8_t *bytes = PyMem_RawRealloc(frames->bytes, room);
    if (bytes == NULL)
        return no_memory();
    frames->bytes = bytes;
    frames->room = room;
    return 0;
}

static int more_slots(Frames *frames, Py_ssize_t slots)
{
    size_t *ends = PyMem_RawRealloc(frames->ends, (size_t)slots * sizeof *ends);
    if (ends == NULL)
        return no_memory();
    frames->ends = ends;
    uint32_t *sums = PyMem_RawRealloc(frames->sums, (size_t)slots * sizeof *sums);
    if (sums == NULL)
        return no_memory();
    frames->sums = sums;
    frames->slots = slots;
    return 0;
}

/* Make room for one frame more. */
int frames_begin(Frames *frames)
{
    return frames->count < frames->slots ? 0 : more_slots(frames, frames->slots ? 2 * frames->slots : 8);
}

/* Make room for so many frames of so many bytes more, with which none of them asks for any. */
int frames_room(Frames *frames, Py_ssize_t count, size_t bytes)
{
    if (more_slots(frames, frames->count + count + 1) < 0)
        return -1;
    frames->room = frames->used + bytes + MARGIN;
    uint8_t *larger = PyMem_RawRealloc(frames->bytes, frames->room);
    if (larger == NULL)
        return no_memory();
    frames->bytes = larger;
    return 0;
}

static size_t start_of(const Frames *frames, Py_ssize_t index)
{
    return index ? frames->ends[index - 1] : 0;
}

/* RFC 1950. 32 bytes at a time, so that the compiler can do them side by side; 5552 is the most that fits 32 bits. */
static uint32_t adler32(const uint8_t *at, size_t left)
{
    uint32_t low = 1, high = 0;
    while (left) {
        size_t part = left < 5536 ? left : 5536; /* a multiple of 32 */
        left -= part;
        for (; part >= 32; part -= 32, at += 32) {
            uint32_t sum = 0, weighted = 0;
            for (uint32_t index = 0; index < 32; index++) {
                sum += at[index];
                weighted += (32 - index) * at[index];
            }
            high += 32 * low + weighted;
            low += sum;
        }
        for (; part; part--) {
            low += *at++;
            high += low;
        }
        low %= 65521;
        high %= 65521;
    }
    return high << 16 | low;
}

int frames_end(Frames *frames)
{
    size_t start = start_of(frames, frames->count);
    frames->sums[frames->count] = adler32(frames->bytes + start, frames->used - start);
    frames->ends[frames->count++] = frames->used;
    return 0;
}

/* Forget what was written since the last `frames_end`. */
void frames_drop(Frames *frames)
{
    frames->used = start_of(frames, frames->count);
}

static int put(Frames *frames, uint8_t tag, uint64_t value, int width)
{
    if (reserve(frames, 9) < 0)
        return -1;
    uint8_t *to = frames->bytes + frames->used;
    to[0] = tag;
    if (width) {
        /* All eight bytes at once, which a compiler makes one step of; what comes next is written over the rest. */
        value <<= 64 - 8 * width;
        for (int byte = 0; byte < 8; byte++)
            to[1 + byte] = (uint8_t)(value >> (56 - 8 * byte));
    }
    frames->used += 1 + (size_t)width;
    return 0;
}

static int put_text(Frames *frames, const char *text, size_t size, uint8_t tag)
{
    int failed = size <= 0xff ? put(frames, tag, size, 1)
                 : size <= 0xffff ? put(frames, tag + 1, size, 2) : put(frames, tag + 2, size, 4);
    if (failed || reserve(frames, size) < 0)
        return -1;
    if (size)
        memcpy(frames->bytes + frames->used, text, size);
    frames->used += size;
    return 0;
}

int frames_head(Frames *frames, size_t items)
{
    return put(frames, (uint8_t)(0x90 | items), 0, 0);
}

int frames_int(Frames *frames, int64_t value)
{
    uint64_t bits = (uint64_t)value;
    if (value >= 0) {
        if (value < 128)
            return put(frames, (uint8_t)value, 0, 0);
        if (bits <= 0xff)
            return put(frames, 0xcc, bits, 1);
        if (bits <= 0xffff)
            return put(frames, 0xcd, bits, 2);
        if (bits <= 0xffffffff)
            return put(frames, 0xce, bits, 4);
        return put(frames, 0xcf, bits, 8);
    }
    if (value >= -32)
        return put(frames, (uint8_t)value, 0, 0);
    if (value >= INT8_MIN)
        return put(frames, 0xd0, bits, 1);
    if (value >= INT16_MIN)
        return put(frames, 0xd1, bits, 2);
    if (value >= INT32_MIN)
        return put(frames, 0xd2, bits, 4);
    return put(frames, 0xd3, bits, 8);
}

int frames_none(Frames *frames)
{
    return put(frames, 0xc0, 0, 0);
}

int frames_blob(Frames *frames, const char *bytes, size_t size)
{
    return put_text(frames, bytes, size, 0xc4);
}

int frames_raw(Frames *frames, PyObject *bytes)
{
    return frames_blob(frames, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
}

int frames_text(Frames *frames, const char *text, size_t size)
{
    if (size > 31)
        return put_text(frames, text, size, 0xd9);
    if (put(frames, (uint8_t)(0xa0 | size), 0, 0) < 0 || reserve(frames, 32) < 0)
        return -1;
    if (size)
        memcpy(frames->bytes + frames->used, text, size);
    frames->used += size;
    return 0;
}

int frames_float(Frames *frames, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put(frames, 0xcb, bits, 8);
}

/* Whatever a table may hold, also one that somebody has written into by hand. */
int frames_item(Frames *frames, PyObject *item)
{
    if (item == Py_None)
        return frames_none(frames);
    if (PyBytes_Check(item))
        return frames_raw(frames, item);
    if (PyLong_Check(item)) {
        int64_t value = PyLong_AsLongLong(item);
        return value == -1 && PyErr_Occurred() ? -1 : frames_int(frames, value);
    }
    if (PyUnicode_Check(item)) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(item, &size);
        return text == NULL ? -1 : frames_text(frames, text, (size_t)size);
    }
    if (PyFloat_Check(item))
        return frames_float(frames, PyFloat_AS_DOUBLE(item));
    PyErr_Format(PyExc_TypeError, "a frame cannot hold %R", Py_TYPE(item));
    return -1;
}

/* The names that the row at a place brings, borrowed; NULL if it brings none. */
PyObject *frames_names(PyObject *firsts, int64_t place)
{
    PyObject *key = PyLong_FromLongLong(place);
    PyObject *names = key ? PyDict_GetItemWithError(firsts, key) : NULL;
    Py_XDECREF(key);
    return names;
}

/* The three items that an event has more that is the first of its kind; one may be a pair. */
int frames_extras(Frames *frames, PyObject *extras)
{
    if (!PySequence_Check(extras) || PySequence_Size(extras) != 3) {
        PyErr_SetString(PyExc_TypeError, "a first event has three names");
        return -1;
    }
    for (Py_ssize_t index = 0; index < 3; index++) {
        PyObject *item = PySequence_GetItem(extras, index);
        if (item == NULL)
            return -1;
        int failed;
        if (PyTuple_Check(item)) {
            failed = frames_head(frames, (size_t)PyTuple_GET_SIZE(item));
            for (Py_ssize_t at = 0; !failed && at < PyTuple_GET_SIZE(item); at++)
                failed = frames_item(frames, PyTuple_GET_ITEM(item, at));
        } else {
            failed = frames_item(frames, item);
        }
        Py_DECREF(item);
        if (failed)
            return -1;
    }
    return 0;
}

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(names))
{
    PyObject *columns, *firsts;
    if (!PyArg_ParseTuple(args, "O!O!", &PyTuple_Type, &columns, &PyDict_Type, &firsts))
        return NULL;
    FramesObject *self = (FramesObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    Py_ssize_t width = PyTuple_GET_SIZE(columns), count = -1;
    if (width > 12) { /* what a fixarray holds, with three names */
        PyErr_SetString(PyExc_TypeError, "these are too many columns");
        goto failed;
    }
    for (Py_ssize_t column = 0; column < width; column++) {
        PyObject *items = PyTuple_GET_ITEM(columns, column);
        if (!PyList_Check(items) || (count >= 0 && PyList_GET_SIZE(items) != count)) {
            PyErr_SetString(PyExc_TypeError, "columns are lists of one length");
            goto failed;
        }
        count = PyList_GET_SIZE(items);
    }
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *extras = frames_names(firsts, index);
        if (extras == NULL && PyErr_Occurred())
            goto failed;
        if (frames_begin(&self->frames) < 0 || frames_head(&self->frames, (size_t)width + (extras ? 3 : 0)) < 0)
            goto failed;
        for (Py_ssize_t column = 0; column < width; column++)
            if (frames_item(&self->frames, PyList_GET_ITEM(PyTuple_GET_ITEM(columns, column), index)) < 0)
                goto failed;
        if (extras != NULL && frames_extras(&self->frames, extras) < 0)
            goto failed;
        frames_end(&self->frames);
    }
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

static void dealloc(FramesObject *self)
{
    frames_free(&self->frames);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static Py_ssize_t length(FramesObject *self)
{
    return self->frames.count;
}

static PyObject *joined(FramesObject *self, PyObject *args)
{
    const Frames *frames = &self->frames;
    Py_ssize_t start, stop;
    if (!PyArg_ParseTuple(args, "nn", &start, &stop))
        return NULL;
    if (start < 0 || start > stop || stop > frames->count) {
        PyErr_SetString(PyExc_IndexError, "there are no such frames");
        return NULL;
    }
    size_t from = start_of(frames, start);
    return PyBytes_FromStringAndSize((char *)frames->bytes + from, (Py_ssize_t)(start_of(frames, stop) - from));
}

static PyObject *sums(FramesObject *self, PyObject *Py_UNUSED(none))
{
    const Frames *frames = &self->frames;
    PyObject *found = PyList_New(frames->count);
    for (Py_ssize_t index = 0; found != NULL && index < frames->count; index++) {
        PyObject *sum = PyLong_FromUnsignedLong(frames->sums[index]);
        if (sum == NULL)
            Py_CLEAR(found);
        else
            PyList_SET_ITEM(found, index, sum);
    }
    return found;
}

/* Whether a mark is that of the frame: its checksum, or that and a digest. -1 with an error. */
static int is_marked(const Frames *frames, Py_ssize_t index, PyObject *mark, PyObject *digest)
{
    uint32_t sum = frames->sums[index];
    if (digest == NULL) {
        int beyond;
        return PyLong_CheckExact(mark) && PyLong_AsLongLongAndOverflow(mark, &beyond) == (long long)sum && !beyond;
    }
    if (!PyBytes_Check(digest)) {
        PyErr_SetString(PyExc_TypeError, "a digest is bytes");
        return -1;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(digest);
    uint8_t first[] = {(uint8_t)(sum >> 24), (uint8_t)(sum >> 16), (uint8_t)(sum >> 8), (uint8_t)sum};
    return PyBytes_CheckExact(mark) && PyBytes_GET_SIZE(mark) == 4 + size &&
           memcmp(PyBytes_AS_STRING(mark), first, 4) == 0 &&
           memcmp(PyBytes_AS_STRING(mark) + 4, PyBytes_AS_STRING(digest), (size_t)size) == 0;
}

static PyObject *unlike(FramesObject *self, PyObject *args)
{
    PyObject *marks, *ends, *digest = NULL; /* borrowed */
    Py_ssize_t start, stop, index, end = 0, place = -1;
    if (!PyArg_ParseTuple(args, "O!nnO!", &PyList_Type, &marks, &start, &stop, &PyList_Type, &ends))
        return NULL;
    if (start < 0 || start > stop || stop > self->frames.count || stop > PyList_GET_SIZE(marks)) {
        PyErr_SetString(PyExc_IndexError, "there are no such frames");
        return NULL;
    }
    for (index = start; index < stop; index++) {
        if (place < index && end < PyList_GET_SIZE(ends) &&
            !PyArg_ParseTuple(PyList_GET_ITEM(ends, end++), "nO", &place, &digest))
            return NULL;
        int same = is_marked(&self->frames, index, PyList_GET_ITEM(marks, index), place == index ? digest : NULL);
        if (same < 0)
            return NULL;
        if (!same)
            break;
    }
    return PyLong_FromSsize_t(index);
}

static PyMethodDef METHODS[] = {
    {"joined", (PyCFunction)joined, METH_VARARGS, "The bytes of the frames from `start` up to `stop`."},
    {"sums", (PyCFunction)sums, METH_NOARGS, "The checksum of each."},
    {"unlike", (PyCFunction)unlike, METH_VARARGS, "The first place whose mark is not the frame's."},
    {NULL},
};
static PySequenceMethods AS_SEQUENCE = {.sq_length = (lenfunc)length};

PyTypeObject FramesType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventstore._native.Frames",
    .tp_doc = "The encoded frames of rows that come as columns; `firsts` has the names of those that bring some.",
    .tp_basicsize = sizeof(FramesObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = new,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = METHODS,
    .tp_as_sequence = &AS_SEQUENCE,
};

/* How many of these rows follow the `good` ones, with neither a position nor a version of a stream missing. */
PyObject *in_place(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *positions, *streams, *versions, *known;
    long long due;
    if (!PyArg_ParseTuple(args, "O!O!O!O!L", &PyList_Type, &positions, &PyList_Type, &streams, &PyList_Type,
                          &versions, &PyDict_Type, &known, &due))
        return NULL;
    Py_ssize_t count = PyList_GET_SIZE(positions), index;
    if (PyList_GET_SIZE(streams) != count || PyList_GET_SIZE(versions) != count) {
        PyErr_SetString(PyExc_TypeError, "columns are lists of one length");
        return NULL;
    }
    for (index = 0; index < count; index++) {
        PyObject *position = PyList_GET_ITEM(positions, index), *stream = PyList_GET_ITEM(streams, index);
        PyObject *version = PyList_GET_ITEM(versions, index);
        if (!PyLong_Check(position) || !PyLong_Check(version) || PyLong_AsLongLong(position) != ++due)
            break;
        PyObject *last = PyDict_GetItemWithError(known, stream); /* borrowed */
        if (last == NULL && PyErr_Occurred())
            return NULL;
        if (PyLong_AsLongLong(version) != (last == NULL ? 0 : PyLong_AsLongLong(last)) + 1)
            break;
        if (PyDict_SetItem(known, stream, version) < 0)
            return NULL;
    }
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(index);
}

/* The highest of a list of whole numbers, in which None counts as 0. */
PyObject *highest(PyObject *Py_UNUSED(module), PyObject *keys)
{
    if (!PyList_Check(keys) || PyList_GET_SIZE(keys) == 0) {
        PyErr_SetString(PyExc_TypeError, "keys are a list of some");
        return NULL;
    }
    long long most = LLONG_MIN;
    for (Py_ssize_t index = 0; index < PyList_GET_SIZE(keys); index++) {
        PyObject *item = PyList_GET_ITEM(keys, index);
        long long key = item == Py_None ? 0 : PyLong_AsLongLong(item);
        if (key == -1 && PyErr_Occurred())
            return NULL;
        if (key > most)
            most = key;
    }
    return PyLong_FromLongLong(most);
}
