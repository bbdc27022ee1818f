/* The extension `caf.media._native`: what costs most in moving pictures and in measuring them. */
#include "native.h"

#define FACE 4 /* raised with every change of what Python sees of this */

static PyMethodDef METHODS[] = {
    {"moved", moved, METH_VARARGS, "Fill a picture with what another shows, moved."},
    {"moved_anyhow", moved_anyhow, METH_VARARGS, "The same by the loop that any processor can do."},
    {"followed", followed, METH_VARARGS, "Find where features went from one level of a picture to another's."},
    {"followed_anyhow", followed_anyhow, METH_VARARGS, "The same in the instructions that any processor has."},
    {"refined", refined, METH_VARARGS, "Fit a similarity to what most places agree on."},
    {"laplacian_sums", laplacian_sums, METH_VARARGS, "Sum up a picture's second differences, cell by cell."},
    {NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT,
    .m_name = "caf.media._native",
    .m_doc = "What costs most in moving pictures and in measuring them, compiled.",
    .m_size = -1,
    .m_methods = METHODS,
};

PyMODINIT_FUNC PyInit__native(void)
{
    make_weights();
    PyObject *module = PyModule_Create(&MODULE);
    return module == NULL || PyModule_AddIntConstant(module, "FACE", FACE) < 0 ? NULL : module;
}
