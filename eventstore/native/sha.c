/* SHA-256 by the libcrypto that Python's own hashlib has loaded, so that a thread without the interpreter can use it. */
#include "sha.h"

#include <dlfcn.h>

#define KEPT_LOCKED 2047 /* bytes that are hashed sooner than another thread could be let run, as in hashlib */

Crypto CRYPTO;

typedef struct {
    PyObject_HEAD
    EVP_MD_CTX *context;
    int busy; /* some thread updates it, without the interpreter's lock */
} ShaObject;

/* (library): False where its functions cannot be found there. */
PyObject *use_crypto(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *path;
    if (!PyArg_ParseTuple(args, "z", &path))
        return NULL;
    void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (library == NULL)
        Py_RETURN_FALSE;
#define CRYPTO_FIND(result, name, parameters)                                                                         \
    *(void **)&CRYPTO.name = dlsym(library, "EVP_" #name);                                                            \
    if (CRYPTO.name == NULL)                                                                                          \
        Py_RETURN_FALSE;
    CRYPTO_FUNCTIONS(CRYPTO_FIND)
    Py_RETURN_TRUE;
}

static ShaObject *made(PyTypeObject *type)
{
    ShaObject *self = CRYPTO.MD_CTX_new ? (ShaObject *)type->tp_alloc(type, 0) : NULL;
    if (self != NULL && (self->context = CRYPTO.MD_CTX_new()) == NULL)
        Py_CLEAR(self);
    if (self == NULL && !PyErr_Occurred())
        PyErr_NoMemory();
    return self;
}

static PyObject *failed(ShaObject *self)
{
    Py_XDECREF(self);
    PyErr_SetString(PyExc_RuntimeError, "libcrypto refuses to hash");
    return NULL;
}

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(names))
{
    const char *bytes;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "y#", &bytes, &size))
        return NULL;
    ShaObject *self = made(type);
    if (self != NULL && !(CRYPTO.DigestInit_ex(self->context, CRYPTO.sha256(), NULL) &&
                          CRYPTO.DigestUpdate(self->context, bytes, (size_t)size)))
        return failed(self);
    return (PyObject *)self;
}

static void dealloc(ShaObject *self)
{
    if (self->context != NULL)
        CRYPTO.MD_CTX_free(self->context);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* Another one that goes on from the same place; NULL with an error. */
PyObject *sha_copy(PyObject *other)
{
    if (!PyObject_TypeCheck(other, &ShaType) || ((ShaObject *)other)->busy) {
        PyErr_SetString(PyExc_TypeError, "not a hash that nobody else uses");
        return NULL;
    }
    ShaObject *self = made(&ShaType);
    if (self != NULL && !CRYPTO.MD_CTX_copy_ex(self->context, ((ShaObject *)other)->context))
        return failed(self);
    return (PyObject *)self;
}

EVP_MD_CTX *sha_context(PyObject *self)
{
    return ((ShaObject *)self)->context;
}

static PyObject *update(ShaObject *self, PyObject *bytes)
{
    Py_buffer view;
    int done;
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    if (self->busy) {
        PyBuffer_Release(&view);
        PyErr_SetString(PyExc_ValueError, "another thread hashes just now");
        return NULL;
    }
    if (view.len > KEPT_LOCKED) {
        self->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        done = CRYPTO.DigestUpdate(self->context, view.buf, (size_t)view.len);
        Py_END_ALLOW_THREADS
        self->busy = 0;
    } else {
        done = CRYPTO.DigestUpdate(self->context, view.buf, (size_t)view.len);
    }
    PyBuffer_Release(&view);
    if (!done)
        return failed(NULL);
    Py_RETURN_NONE;
}

static PyObject *copy(PyObject *self, PyObject *Py_UNUSED(none))
{
    return sha_copy(self);
}

static PyObject *digest(PyObject *self, PyObject *Py_UNUSED(none))
{
    uint8_t bytes[DIGEST];
    PyObject *other = sha_copy(self);
    if (other == NULL)
        return NULL;
    int done = CRYPTO.DigestFinal_ex(sha_context(other), bytes, NULL);
    Py_DECREF(other);
    return done ? PyBytes_FromStringAndSize((char *)bytes, DIGEST) : failed(NULL);
}

static PyMethodDef METHODS[] = {
    {"update", (PyCFunction)update, METH_O, "Go on by these bytes."},
    {"copy", copy, METH_NOARGS, "Another one at the same place."},
    {"digest", digest, METH_NOARGS, "The digest of all bytes so far."},
    {NULL},
};

PyTypeObject ShaType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventstore._native.Sha256",
    .tp_doc = "A running SHA-256, begun with some bytes: what hashlib's does.",
    .tp_basicsize = sizeof(ShaObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = new,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = METHODS,
};
