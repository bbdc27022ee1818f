/* The filter of known ids: see `eventstore._filter`, whose numbers these are. */
#include "native.h"

#define HASH_MASK ((1ULL << 47) - 1)
#define FACTOR 0x4f1bbcdcbfa5ULL
#define SHIFT 36
#define HALF 18
#define BITS 4

uint64_t hash_of(PyObject *id)
{
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(id);
    uint64_t halves[2] = {0, 0};
    for (int index = 0; index < 16; index++)
        halves[index / 8] = halves[index / 8] << 8 | bytes[index];
    uint64_t hash = (halves[0] ^ halves[1]) * FACTOR & HASH_MASK;
    return hash ^ hash >> 24;
}

int is_id(PyObject *id)
{
    if (PyBytes_Check(id) && PyBytes_GET_SIZE(id) == 16)
        return 1;
    PyErr_SetString(PyExc_ValueError, "an event id is 16 bytes");
    return 0;
}

/* The bits of a part, and the mask that makes a place in it of a number; NULL, with an error, for what is no part. */
static uint8_t *bits_of(PyObject *part, uint64_t *mask)
{
    if (!PyByteArray_Check(part) || PyByteArray_GET_SIZE(part) == 0) {
        PyErr_SetString(PyExc_TypeError, "a part is a bytearray that is not empty");
        return NULL;
    }
    *mask = 8 * (uint64_t)PyByteArray_GET_SIZE(part) - 1;
    return (uint8_t *)PyByteArray_AS_STRING(part);
}

PyObject *fill_parts(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *parts, *run;
    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &parts, &run) || !is_run(run))
        return NULL;
    const uint8_t *item = (const uint8_t *)PyBytes_AS_STRING(run), *end = item + PyBytes_GET_SIZE(run);
    for (; item < end; item += ITEM) {
        uint64_t hash = run_hash(item), mask;
        if ((Py_ssize_t)(hash >> SHIFT) >= PyList_GET_SIZE(parts)) {
            PyErr_SetString(PyExc_IndexError, "a hash has no part");
            return NULL;
        }
        PyObject *part = PyList_GET_ITEM(parts, (Py_ssize_t)(hash >> SHIFT));
        if (part == Py_None)
            continue;
        uint8_t *bits = bits_of(part, &mask);
        if (bits == NULL)
            return NULL;
        uint64_t bit = hash, step = hash >> HALF;
        for (int index = 0; index < BITS; index++, bit += step)
            bits[(bit & mask) >> 3] |= (uint8_t)(1 << (bit & 7));
    }
    Py_RETURN_NONE;
}

PyObject *may_hold(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *parts, *ids;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &parts, &PyList_Type, &ids))
        return NULL;
    if (PyList_GET_SIZE(parts) != 1 << (47 - SHIFT)) {
        PyErr_SetString(PyExc_ValueError, "that is no filter");
        return NULL;
    }
    PyObject *found = PyList_New(0);
    for (Py_ssize_t index = 0; found != NULL && index < PyList_GET_SIZE(ids); index++) {
        PyObject *id = PyList_GET_ITEM(ids, index);
        if (!is_id(id)) {
            Py_CLEAR(found);
            break;
        }
        uint64_t hash = hash_of(id), mask;
        PyObject *part = PyList_GET_ITEM(parts, (Py_ssize_t)(hash >> SHIFT));
        if (part != Py_None) {
            const uint8_t *bits = bits_of(part, &mask);
            if (bits == NULL) {
                Py_CLEAR(found);
                break;
            }
            uint64_t bit = hash, step = hash >> HALF;
            int set = 0;
            while (set < BITS && bits[(bit & mask) >> 3] >> (bit & 7) & 1) {
                set++;
                bit += step;
            }
            if (set < BITS)
                continue;
        }
        PyObject *suspect = PyLong_FromUnsignedLongLong(hash);
        if (suspect == NULL || PyList_Append(found, suspect) < 0)
            Py_CLEAR(found);
        Py_XDECREF(suspect);
    }
    return found;
}
