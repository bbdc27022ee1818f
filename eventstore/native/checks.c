/* Whether an append may surely be recorded; what is not sure is left to `eventstore.checks`. */
#include "native.h"

#define MAX_NAME_BYTES 1024
#define MAX_SOUND_BYTES (256 << 20)

/* 1 for a name that surely may be recorded: plain ASCII of moderate length. */
static int is_name(PyObject *name)
{
    if (!PyUnicode_CheckExact(name) || !PyUnicode_IS_COMPACT_ASCII(name))
        return 0;
    Py_ssize_t size = PyUnicode_GET_LENGTH(name);
    return size > 0 && size <= MAX_NAME_BYTES && memchr(PyUnicode_1BYTE_DATA(name), 0, (size_t)size) == NULL;
}

/* The id of an event that surely may be recorded, NULL without an error for one that must be looked at. */
static PyObject *id_if_sound(PyObject *event)
{
    PyObject *fields[] = {PyObject_GetAttr(event, EVENT_ID), PyObject_GetAttr(event, TYPE),
                          PyObject_GetAttr(event, TYPE_VERSION), PyObject_GetAttr(event, CORRELATION_ID),
                          PyObject_GetAttr(event, CAUSATION_ID), PyObject_GetAttr(event, DATA),
                          PyObject_GetAttr(event, METADATA)};
    PyObject *id = NULL;
    if (!PyErr_Occurred() && PyUnicode_CheckExact(fields[0]) && is_name(fields[1]) && PyLong_CheckExact(fields[2]) &&
        (fields[3] == Py_None || is_name(fields[3])) && (fields[4] == Py_None || is_name(fields[4])) &&
        PyBytes_CheckExact(fields[5]) && PyBytes_CheckExact(fields[6])) {
        int beyond;
        long long version = PyLong_AsLongLongAndOverflow(fields[2], &beyond);
        Py_ssize_t bytes = PyBytes_GET_SIZE(fields[5]) + PyBytes_GET_SIZE(fields[6]);
        if (!beyond && version >= 1 && bytes <= MAX_SOUND_BYTES && (id = id_bytes(NULL, fields[0])) == Py_None)
            Py_CLEAR(id);
    }
    for (size_t index = 0; index < sizeof fields / sizeof *fields; index++)
        Py_XDECREF(fields[index]);
    return id;
}

/* (stream, events): the ids of an append that surely may be recorded; None for any other. */
PyObject *sound_ids(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    if (given != 2 || !PyTuple_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "an append has a stream and a tuple of events");
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(args[1]);
    if (!is_name(args[0]))
        Py_RETURN_NONE;
    PyObject *ids = PyList_New(count);
    for (Py_ssize_t index = 0; ids != NULL && index < count; index++) {
        PyObject *id = id_if_sound(PyTuple_GET_ITEM(args[1], index));
        if (id == NULL) {
            Py_DECREF(ids);
            if (PyErr_Occurred())
                return NULL;
            Py_RETURN_NONE;
        }
        PyList_SET_ITEM(ids, index, id);
    }
    if (ids != NULL && count > 1) {
        PyObject *different = PySet_New(ids);
        Py_ssize_t found = different ? PySet_GET_SIZE(different) : -1;
        Py_XDECREF(different);
        if (found != count) {
            Py_DECREF(ids);
            if (found < 0)
                return NULL;
            Py_RETURN_NONE;
        }
    }
    return ids;
}
