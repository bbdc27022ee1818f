/* How much detail a picture has, see caf/qc/metrics/detail.py: whole numbers, the same on any processor. */
#include "native.h"

#include <stdint.h>
#include <stdlib.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__)
#define WIDER __attribute__((target_clones("avx2", "default")))
#else
#define WIDER
#endif

typedef struct {
    const uint8_t *at;
    int64_t width, height, stride;
} Gray;

/* Adds each column's size of the second difference of one row; `up` and `down` are the rows beside it. */
WIDER static void add_laplacian(const uint8_t *up, const uint8_t *here, const uint8_t *down, int64_t width,
                                uint32_t *sums)
{
    /* Beyond the rim the picture is mirrored, as OpenCV does it. */
    for (int rim = 0; rim < 2; rim++) {
        int64_t x = rim ? width - 1 : 0, beside = rim ? width - 2 : 1;
        int found = abs(up[x] + down[x] + 2 * here[beside] - 4 * here[x]);
        sums[x] += (uint32_t)(found < 255 ? found : 255);
    }
    for (int64_t x = 1; x < width - 1; x++) {
        int16_t found = (int16_t)(up[x] + down[x] + here[x - 1] + here[x + 1] - 4 * here[x]);
        found = found < 0 ? (int16_t)-found : found;
        sums[x] += (uint16_t)(found < 255 ? found : 255);
    }
}

/* Of each cell the sum; `sums` is room for a number a column. */
static void laplacian_cells(const Gray *gray, int64_t cells, uint32_t *sums, int64_t *out)
{
    for (int64_t row = 0; row < cells; row++) {
        int64_t top = row * gray->height / cells, bottom = (row + 1) * gray->height / cells;
        for (int64_t x = 0; x < gray->width; x++)
            sums[x] = 0;
        for (int64_t y = top; y < bottom; y++) {
            const uint8_t *here = gray->at + y * gray->stride;
            const uint8_t *up = y > 0 ? here - gray->stride : here + gray->stride;
            const uint8_t *down = y < gray->height - 1 ? here + gray->stride : here - gray->stride;
            add_laplacian(up, here, down, gray->width, sums);
        }
        for (int64_t column = 0; column < cells; column++) {
            int64_t found = 0;
            for (int64_t x = column * gray->width / cells; x < (column + 1) * gray->width / cells; x++)
                found += sums[x];
            *out++ = found;
        }
    }
}

PyObject *laplacian_sums(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *picture;
    Py_ssize_t cells;
    Py_buffer from, out;
    uint32_t *sums = NULL;
    if (!PyArg_ParseTuple(args, "Onw*", &picture, &cells, &out))
        return NULL;
    if (PyObject_GetBuffer(picture, &from, PyBUF_STRIDES) < 0) {
        PyBuffer_Release(&out);
        return NULL;
    }
    const int64_t least = cells > 2 ? cells : 2, largest = 1 << 20;
    if (cells < 1 || cells > 1 << 10 || from.ndim != 2 || from.itemsize != 1 || from.strides[1] != 1 ||
        from.shape[0] < least || from.shape[1] < least || from.shape[0] > largest || from.shape[1] > largest ||
        out.len != cells * cells * (int64_t)sizeof(int64_t))
        PyErr_SetString(PyExc_ValueError, "a grey picture of a pixel a cell at least, and a number for each cell");
    else if ((sums = PyMem_Malloc((size_t)from.shape[1] * sizeof *sums)) == NULL)
        PyErr_NoMemory();
    if (sums != NULL) {
        const Gray gray = {from.buf, from.shape[1], from.shape[0], from.strides[0]};
        Py_BEGIN_ALLOW_THREADS
        laplacian_cells(&gray, cells, sums, out.buf);
        Py_END_ALLOW_THREADS
        PyMem_Free(sums);
    }
    PyBuffer_Release(&from);
    PyBuffer_Release(&out);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}
