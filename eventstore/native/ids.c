/* Event ids: 16 bytes, and the canonical text of a UUID. */
#include "native.h"

#include <pthread.h>
#include <sys/random.h>
#include <unistd.h>

static const int8_t GROUPS[5] = {8, 4, 4, 4, 12};

static int nibble(Py_UCS1 letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    if (letter >= 'a' && letter <= 'f')
        return letter - 'a' + 10;
    return -1;
}

PyObject *id_bytes(PyObject *Py_UNUSED(module), PyObject *text)
{
    if (!PyUnicode_Check(text)) {
        PyErr_SetString(PyExc_TypeError, "an event id is a str");
        return NULL;
    }
    if (!PyUnicode_IS_ASCII(text) || PyUnicode_GET_LENGTH(text) != 36)
        Py_RETURN_NONE;
    const Py_UCS1 *from = PyUnicode_1BYTE_DATA(text);
    char raw[16], *to = raw;
    for (int group = 0; group < 5; group++) {
        if (group && *from++ != '-')
            Py_RETURN_NONE;
        for (int at = 0; at < GROUPS[group]; at += 2, from += 2) {
            int high = nibble(from[0]), low = nibble(from[1]);
            if (high < 0 || low < 0)
                Py_RETURN_NONE;
            *to++ = (char)(high << 4 | low);
        }
    }
    return PyBytes_FromStringAndSize(raw, 16);
}

static PyObject *text_of(const unsigned char *from)
{
    static const char DIGITS[] = "0123456789abcdef";
    PyObject *text = PyUnicode_New(36, 127);
    if (text == NULL)
        return NULL;
    Py_UCS1 *to = PyUnicode_1BYTE_DATA(text);
    for (int group = 0; group < 5; group++) {
        if (group)
            *to++ = '-';
        for (int at = 0; at < GROUPS[group]; at += 2, from++) {
            *to++ = (Py_UCS1)DIGITS[*from >> 4];
            *to++ = (Py_UCS1)DIGITS[*from & 15];
        }
    }
    return text;
}

PyObject *id_text(PyObject *Py_UNUSED(module), PyObject *raw)
{
    if (!PyBytes_Check(raw) || PyBytes_GET_SIZE(raw) != 16) {
        PyErr_SetString(PyExc_ValueError, "an event id is 16 bytes");
        return NULL;
    }
    return text_of((const unsigned char *)PyBytes_AS_STRING(raw));
}

/* Asking the system for 16 bytes at a time costs more than all the rest. */
static unsigned char POOL[256];
static size_t LEFT;

static void forget_pool(void)
{
    LEFT = 0; /* a child must not give the ids that its parent gives */
}

int ids_init(void)
{
    return pthread_atfork(NULL, NULL, forget_pool);
}

PyObject *new_id(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    if (LEFT < 16) {
        /* As many as it gives at a time. */
        if (getentropy(POOL, sizeof POOL) != 0)
            return PyErr_SetFromErrno(PyExc_OSError);
        LEFT = sizeof POOL;
    }
    LEFT -= 16;
    unsigned char *raw = POOL + LEFT;
    raw[6] = (raw[6] & 0x0f) | 0x40; /* RFC 9562: version 4, variant 10 */
    raw[8] = (raw[8] & 0x3f) | 0x80;
    PyObject *text = text_of(raw);
    memset(raw, 0, 16);
    return text;
}
