/* Finds SQLite's functions, and the database behind a connection of Python's sqlite3. */
#include "sqlite.h"

#include <dlfcn.h>

Sqlite SQLITE;
static PyObject *CONNECTION; /* the type sqlite3.Connection */
static PyObject *FAULT;      /* raises the error of a code and a message */

/* How `struct pysqlite_Connection` begins in CPython 3.11, 3.12 and 3.13. */
typedef struct {
    PyObject_HEAD
    sqlite3 *database;
} Connection;

/* (library, Connection, fault): False where SQLite's functions cannot be found there. */
PyObject *use_sqlite(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *path;
    PyObject *type, *fault;
    if (!PyArg_ParseTuple(args, "zOO", &path, &type, &fault))
        return NULL;
    void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (library == NULL)
        Py_RETURN_FALSE;
#define SQLITE_FIND(result, name, parameters)                                                                         \
    *(void **)&SQLITE.name = dlsym(library, "sqlite3_" #name);                                                        \
    if (SQLITE.name == NULL)                                                                                          \
        Py_RETURN_FALSE;
    SQLITE_FUNCTIONS(SQLITE_FIND)
    Py_XSETREF(CONNECTION, Py_NewRef(type));
    Py_XSETREF(FAULT, Py_NewRef(fault));
    Py_RETURN_TRUE;
}

sqlite3 *database_of(PyObject *connection)
{
    if (CONNECTION == NULL || !PyObject_TypeCheck(connection, (PyTypeObject *)CONNECTION)) {
        PyErr_SetString(PyExc_TypeError, "not a connection of sqlite3");
        return NULL;
    }
    sqlite3 *database = ((Connection *)connection)->database;
    if (database == NULL)
        raise_fault(SQLITE_MISUSE, "Cannot operate on a closed database.");
    return database;
}

/* As Python's sqlite3 would raise it. */
PyObject *raise_fault(int code, const char *message)
{
    /* What a damaged file is told with need be no text, nor what was cut off. */
    PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
    PyObject *nothing = text ? PyObject_CallFunction(FAULT, "iO", code, text) : NULL;
    Py_XDECREF(text);
    if (nothing != NULL) {
        Py_DECREF(nothing);
        PyErr_SetString(PyExc_SystemError, "a fault was not raised");
    }
    return NULL;
}

sqlite3_stmt *prepared(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement;
    if (SQLITE.prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) == SQLITE_OK)
        return statement;
    raise_fault(SQLITE.extended_errcode(database), SQLITE.errmsg(database));
    return NULL;
}

/* At least so many bytes of room, from the raw allocator: needs no lock. */
int grow(void **place, size_t *room, size_t needed)
{
    if (*room >= needed)
        return 0;
    size_t larger = *room ? *room : 4096;
    while (larger < needed)
        larger *= 2;
    void *bytes = PyMem_RawRealloc(*place, larger);
    if (bytes == NULL)
        return -1;
    *place = bytes;
    *room = larger;
    return 0;
}
