/* The filter of known ids: see `eventstore._filter`, whose numbers these are. */
#include "native.h"

#define FOLD_MASK ((1ULL << 47) - 1)
#define SHIFT 36
#define HALF 18

static uint64_t fold(PyObject *id)
{
    const unsigned char *bytes = (const unsigned char *)PyBytes_AS_STRING(id);
    uint64_t halves[2] = {0, 0};
    for (int index = 0; index < 16; index++)
        halves[index / 8] = halves[index / 8] << 8 | bytes[index];
    return (halves[0] ^ halves[1]) & FOLD_MASK;
}

static int is_id(PyObject *id)
{
    if (PyBytes_Check(id) && PyBytes_GET_SIZE(id) == 16)
        return 1;
    PyErr_SetString(PyExc_ValueError, "an event id is 16 bytes");
    return 0;
}

PyObject *fold_ids(PyObject *Py_UNUSED(module), PyObject *given)
{
    PyObject *ids = PySequence_Fast(given, "ids are a sequence");
    PyObject *folds = ids ? PyList_New(PySequence_Fast_GET_SIZE(ids)) : NULL;
    for (Py_ssize_t index = 0; folds != NULL && index < PyList_GET_SIZE(folds); index++) {
        PyObject *id = PySequence_Fast_GET_ITEM(ids, index);
        PyObject *number = is_id(id) ? PyLong_FromUnsignedLongLong(fold(id)) : NULL;
        if (number == NULL)
            Py_CLEAR(folds);
        else
            PyList_SET_ITEM(folds, index, number);
    }
    Py_XDECREF(ids);
    return folds;
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
    PyObject *parts, *folds;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &parts, &PyList_Type, &folds))
        return NULL;
    for (Py_ssize_t index = 0; index < PyList_GET_SIZE(folds); index++) {
        int64_t number = PyLong_AsLongLong(PyList_GET_ITEM(folds, index));
        if (number < 0 || number >> SHIFT >= PyList_GET_SIZE(parts)) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_IndexError, "a fold has no part");
            return NULL;
        }
        PyObject *part = PyList_GET_ITEM(parts, (Py_ssize_t)(number >> SHIFT));
        if (part == Py_None)
            continue;
        uint64_t mask;
        uint8_t *bits = bits_of(part, &mask);
        if (bits == NULL)
            return NULL;
        uint64_t one = (uint64_t)number & mask, other = (uint64_t)number >> HALF & mask;
        bits[one >> 3] |= (uint8_t)(1 << (one & 7));
        bits[other >> 3] |= (uint8_t)(1 << (other & 7));
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
        uint64_t number = fold(id), mask;
        PyObject *part = PyList_GET_ITEM(parts, (Py_ssize_t)(number >> SHIFT));
        if (part != Py_None) {
            const uint8_t *bits = bits_of(part, &mask);
            if (bits == NULL) {
                Py_CLEAR(found);
                break;
            }
            uint64_t one = number & mask, other = number >> HALF & mask;
            if (!(bits[one >> 3] >> (one & 7) & bits[other >> 3] >> (other & 7) & 1))
                continue;
        }
        PyObject *suspect = PyLong_FromUnsignedLongLong(number);
        if (suspect == NULL || PyList_Append(found, suspect) < 0)
            Py_CLEAR(found);
        Py_XDECREF(suspect);
    }
    return found;
}
