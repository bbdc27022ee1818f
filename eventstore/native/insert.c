/* Writes rows into the table of events, without the interpreter's lock. */
#include "sqlite.h"

typedef struct {
    PyObject_HEAD
    PyObject *connection;
    sqlite3 *database;
    sqlite3_stmt *begin, *commit, *rollback, *insert;
} InserterObject;

typedef struct {
    int code;
    char message[200];
} Fault;

static void clear(InserterObject *self)
{
    sqlite3_stmt **all[] = {&self->begin, &self->commit, &self->rollback, &self->insert};
    for (size_t index = 0; index < sizeof all / sizeof *all; index++) {
        if (*all[index] != NULL)
            SQLITE.finalize(*all[index]);
        *all[index] = NULL;
    }
    Py_CLEAR(self->connection);
}

static void dealloc(InserterObject *self)
{
    clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(names))
{
    PyObject *connection;
    const char *insert;
    if (!PyArg_ParseTuple(args, "Os", &connection, &insert))
        return NULL;
    sqlite3 *database = database_of(connection);
    InserterObject *self = database ? (InserterObject *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL)
        return NULL;
    self->connection = Py_NewRef(connection);
    self->database = database;
    if ((self->begin = prepared(database, "BEGIN IMMEDIATE")) && (self->commit = prepared(database, "COMMIT")) &&
        (self->rollback = prepared(database, "ROLLBACK")) && (self->insert = prepared(database, insert)))
        return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

/* One step of a statement that gives no row, or one. */
static int step(InserterObject *self, sqlite3_stmt *statement, Fault *fault)
{
    int code = SQLITE.step(statement);
    if (code != SQLITE_DONE && code != SQLITE_ROW) {
        fault->code = SQLITE.extended_errcode(self->database);
        strncpy(fault->message, SQLITE.errmsg(self->database), sizeof fault->message - 1);
    }
    SQLITE.reset(statement);
    return code;
}

static void bind_bytes(sqlite3_stmt *statement, int place, PyObject *bytes)
{
    /* An empty one must not become NULL: its address is never 0. */
    SQLITE.bind_blob64(statement, place, PyBytes_AS_STRING(bytes), (uint64_t)PyBytes_GET_SIZE(bytes), NULL);
}

static void bind_cause(sqlite3_stmt *statement, int place, const Row *row)
{
    Py_ssize_t size;
    if (row->near_cause)
        SQLITE.bind_int64(statement, place, row->near_cause);
    else if (row->far_cause == NULL)
        SQLITE.bind_null(statement, place);
    else if (PyBytes_Check(row->far_cause))
        bind_bytes(statement, place, row->far_cause);
    else { /* its UTF-8 was made with the frame, and is kept with it */
        const char *text = PyUnicode_AsUTF8AndSize(row->far_cause, &size);
        SQLITE.bind_text64(statement, place, text, (uint64_t)size, NULL, 1);
    }
}

static void bind_row(sqlite3_stmt *statement, const Row *row, uint32_t sum)
{
    SQLITE.bind_int64(statement, 1, row->position);
    SQLITE.bind_int64(statement, 2, row->stream);
    SQLITE.bind_int64(statement, 3, row->version);
    SQLITE.bind_int64(statement, 4, row->type);
    SQLITE.bind_int64(statement, 5, row->recorded_at_ms);
    bind_bytes(statement, 6, row->event_id);
    if (row->correlation)
        SQLITE.bind_int64(statement, 7, row->correlation);
    else
        SQLITE.bind_null(statement, 7);
    bind_cause(statement, 8, row);
    bind_bytes(statement, 9, row->metadata);
    bind_bytes(statement, 10, row->data);
    if (row->mark != NULL)
        bind_bytes(statement, 11, row->mark);
    else
        SQLITE.bind_int64(statement, 11, sum);
}

/* SQLITE_DONE, or a fault. */
static int write_rows(InserterObject *self, const RowsObject *rows, Fault *fault)
{
    int code = SQLITE_DONE;
    for (Py_ssize_t index = 0; index < rows->frames.count && code == SQLITE_DONE; index++) {
        bind_row(self->insert, &rows->rows[index], rows->frames.sums[index]);
        code = step(self, self->insert, fault);
    }
    SQLITE.clear_bindings(self->insert);
    return code;
}

/* The same, in a transaction of its own unless one is open; a single row's own statement is one. */
static int write_whole(InserterObject *self, const RowsObject *rows, Fault *fault)
{
    int own = rows->frames.count > 1 && SQLITE.get_autocommit(self->database);
    int code = own ? step(self, self->begin, fault) : SQLITE_DONE;
    if (code == SQLITE_DONE)
        code = write_rows(self, rows, fault);
    if (code == SQLITE_DONE && own)
        code = step(self, self->commit, fault);
    if (code != SQLITE_DONE && own && !SQLITE.get_autocommit(self->database)) {
        Fault second;
        step(self, self->rollback, &second);
    }
    return code;
}

static PyObject *insert(InserterObject *self, PyObject *rows)
{
    int code;
    Fault fault = {0};
    if (!PyObject_TypeCheck(rows, &RowsType)) {
        PyErr_SetString(PyExc_TypeError, "an inserter takes rows");
        return NULL;
    }
    if (self->connection == NULL)
        return raise_fault(SQLITE_MISUSE, "Cannot operate on a closed inserter.");
    Py_BEGIN_ALLOW_THREADS
    code = write_whole(self, (RowsObject *)rows, &fault);
    Py_END_ALLOW_THREADS
    if (code != SQLITE_DONE)
        return raise_fault(fault.code, fault.message);
    Py_RETURN_NONE;
}

static PyObject *close_it(InserterObject *self, PyObject *Py_UNUSED(none))
{
    clear(self);
    Py_RETURN_NONE;
}

static PyMethodDef METHODS[] = {
    {"insert", (PyCFunction)insert, METH_O, "Write rows."},
    {"close", (PyCFunction)close_it, METH_NOARGS, "Let go of the connection."},
    {NULL},
};

PyTypeObject InserterType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventstore._native.Inserter",
    .tp_doc = "Writes rows through a connection, by a statement that inserts one.",
    .tp_basicsize = sizeof(InserterObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = new,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = METHODS,
};
