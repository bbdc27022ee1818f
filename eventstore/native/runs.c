/* Sorted runs of ids: see `eventstore._runs`, whose numbers these are. */
#include "native.h"

#include <stdlib.h>

#define MOST (1 << 17) /* ids that are packed at a time: as many as 64 bits hold beside a hash */

static uint64_t number(const uint8_t *bytes, int count)
{
    uint64_t value = 0;
    for (int index = 0; index < count; index++)
        value = value << 8 | bytes[index];
    return value;
}

uint64_t run_hash(const uint8_t *item)
{
    return number(item, 6);
}

static void put(uint8_t *to, uint64_t value, int count)
{
    for (int index = count - 1; index >= 0; index--, value >>= 8)
        to[index] = (uint8_t)value;
}

static int by_value(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

PyObject *pack_ids(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given;
    long long first;
    if (!PyArg_ParseTuple(args, "OL", &given, &first))
        return NULL;
    PyObject *ids = PySequence_Fast(given, "ids are a sequence");
    if (ids == NULL)
        return NULL;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(ids);
    PyObject *packed = NULL;
    uint64_t *order = NULL;
    if (count > MOST || first < 0 || first > (1LL << 40) - count) {
        PyErr_SetString(PyExc_ValueError, "too many ids, or no positions");
        goto done;
    }
    order = PyMem_Malloc((size_t)(count ? count : 1) * sizeof *order);
    if (order == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *id = PySequence_Fast_GET_ITEM(ids, index);
        if (!is_id(id))
            goto done;
        order[index] = hash_of(id) << 17 | (uint64_t)index;
    }
    qsort(order, (size_t)count, sizeof *order, by_value);
    packed = PyBytes_FromStringAndSize(NULL, count * ITEM);
    if (packed == NULL)
        goto done;
    uint8_t *to = (uint8_t *)PyBytes_AS_STRING(packed);
    for (Py_ssize_t index = 0; index < count; index++, to += ITEM) {
        put(to, order[index] >> 17, 6);
        put(to + 6, (uint64_t)first + (order[index] & (MOST - 1)), 5);
    }
done:
    PyMem_Free(order);
    Py_DECREF(ids);
    return packed;
}

static uint8_t *merge_two(const uint8_t *one, const uint8_t *one_end, const uint8_t *other, const uint8_t *other_end,
                          uint8_t *to)
{
    while (one < one_end && other < other_end) {
        const uint8_t **least = memcmp(one, other, ITEM) <= 0 ? &one : &other;
        memcpy(to, *least, ITEM);
        *least += ITEM;
        to += ITEM;
    }
    memcpy(to, one, (size_t)(one_end - one));
    to += one_end - one;
    memcpy(to, other, (size_t)(other_end - other));
    return to + (other_end - other);
}

/* Merges neighbours until one run is left; returns whichever of the two buffers that is in. */
static uint8_t *merge_all(uint8_t *from, uint8_t *to, size_t *ends, Py_ssize_t runs)
{
    for (; runs > 1; runs = (runs + 1) / 2) {
        size_t start = 0;
        for (Py_ssize_t run = 0; run < runs; run += 2) {
            size_t middle = ends[run], end = run + 1 < runs ? ends[run + 1] : middle;
            merge_two(from + start, from + middle, from + middle, from + end, to + start);
            ends[run / 2] = start = end;
        }
        uint8_t *last = from;
        from = to;
        to = last;
    }
    return from;
}

PyObject *merge_runs(PyObject *Py_UNUSED(module), PyObject *given)
{
    PyObject *runs = PySequence_Fast(given, "runs are a sequence");
    if (runs == NULL)
        return NULL;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(runs);
    PyObject *merged = NULL;
    uint8_t *buffer = NULL;
    size_t size = 0, *ends = PyMem_Malloc((size_t)(count ? count : 1) * sizeof *ends);
    if (ends == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t run = 0; run < count; run++) {
        PyObject *one = PySequence_Fast_GET_ITEM(runs, run);
        if (!is_run(one))
            goto done;
        ends[run] = size += (size_t)PyBytes_GET_SIZE(one);
    }
    buffer = PyMem_RawMalloc(2 * size + 1);
    if (buffer == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t run = 0; run < count; run++) {
        PyObject *one = PySequence_Fast_GET_ITEM(runs, run);
        size_t bytes = (size_t)PyBytes_GET_SIZE(one);
        memcpy(buffer + ends[run] - bytes, PyBytes_AS_STRING(one), bytes);
    }
    uint8_t *found;
    Py_BEGIN_ALLOW_THREADS
    found = merge_all(buffer, buffer + size, ends, count);
    Py_END_ALLOW_THREADS
    merged = PyBytes_FromStringAndSize((char *)found, (Py_ssize_t)size);
done:
    PyMem_RawFree(buffer);
    PyMem_Free(ends);
    Py_DECREF(runs);
    return merged;
}

int is_run(PyObject *run)
{
    if (PyBytes_Check(run) && PyBytes_GET_SIZE(run) % ITEM == 0)
        return 1;
    PyErr_SetString(PyExc_ValueError, "a run is bytes, 11 for each id");
    return 0;
}

PyObject *first_of(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *run;
    unsigned long long hash;
    if (!PyArg_ParseTuple(args, "OK", &run, &hash) || !is_run(run))
        return NULL;
    const uint8_t *items = (const uint8_t *)PyBytes_AS_STRING(run);
    Py_ssize_t low = 0, high = PyBytes_GET_SIZE(run) / ITEM;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (run_hash(items + middle * ITEM) < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return PyLong_FromSsize_t(low);
}
