/* What the extension's parts show each other. */
#ifndef CAF_MEDIA_NATIVE_H
#define CAF_MEDIA_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

void make_weights(void);
PyObject *moved(PyObject *module, PyObject *args);
PyObject *moved_anyhow(PyObject *module, PyObject *args);
PyObject *followed(PyObject *module, PyObject *args);
PyObject *followed_anyhow(PyObject *module, PyObject *args);
PyObject *refined(PyObject *module, PyObject *args);
PyObject *laplacian_sums(PyObject *module, PyObject *args);

#endif
