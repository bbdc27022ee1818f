/* Writes rows that lay in dicts into any tables, without the interpreter's lock. */
#include "sqlite.h"

#define KINDS 32

/* The rows for one statement: a cell for each value, and behind each other the bytes of their texts and blobs. */
typedef struct {
    PyObject *sql;
    int width;
    Cell *cells;
    uint8_t *bytes;
    size_t rows, cell_room, used, room;
} Kind;

typedef struct {
    PyObject_HEAD
    int count;
    int busy; /* some thread reads the rows, without the interpreter's lock */
    Kind kinds[KINDS];
} BulkObject;

typedef struct {
    int code;
    char message[200];
} Fault;

static void dealloc(BulkObject *self)
{
    for (int index = 0; index < self->count; index++) {
        Py_DECREF(self->kinds[index].sql);
        PyMem_RawFree(self->kinds[index].cells);
        PyMem_RawFree(self->kinds[index].bytes);
    }
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(names))
{
    return PyArg_ParseTuple(args, "") ? type->tp_alloc(type, 0) : NULL;
}

static Kind *kind_of(BulkObject *self, PyObject *sql, int width)
{
    Kind *kind = self->kinds;
    for (int index = 0; index < self->count; index++, kind++)
        if (PyUnicode_Compare(kind->sql, sql) == 0) {
            if (kind->width == width)
                return kind;
            PyErr_SetString(PyExc_ValueError, "the statement has taken another number of values");
            return NULL;
        }
    if (self->count == KINDS) {
        PyErr_SetString(PyExc_ValueError, "there are too many statements");
        return NULL;
    }
    if (PyUnicode_AsUTF8(sql) == NULL)
        return NULL;
    self->count++;
    kind->sql = Py_NewRef(sql);
    kind->width = width;
    return kind;
}

static int keep(Kind *kind, Cell *cell, int type, const char *from, Py_ssize_t size)
{
    if (from == NULL)
        return -1;
    if (grow((void **)&kind->bytes, &kind->room, kind->used + (size_t)size) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    if (size)
        memcpy(kind->bytes + kind->used, from, (size_t)size);
    kind->used += (size_t)size;
    cell->type = type;
    cell->size = (size_t)size;
    return 0;
}

static int take_value(Kind *kind, Cell *cell, PyObject *value)
{
    if (value == NULL || value == Py_None) {
        cell->type = SQLITE_NULL;
    } else if (PyUnicode_Check(value)) {
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(value, &size);
        return keep(kind, cell, SQLITE_TEXT, text, size);
    } else if (PyLong_Check(value)) {
        cell->type = SQLITE_INTEGER;
        cell->whole = PyLong_AsLongLong(value);
        return cell->whole == -1 && PyErr_Occurred() ? -1 : 0;
    } else if (PyFloat_Check(value)) {
        cell->type = SQLITE_FLOAT;
        cell->real = PyFloat_AS_DOUBLE(value);
    } else if (PyBytes_Check(value)) {
        return keep(kind, cell, SQLITE_BLOB, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    } else {
        PyErr_Format(PyExc_TypeError, "a table keeps no %.100s", Py_TYPE(value)->tp_name);
        return -1;
    }
    return 0;
}

static int take_row(Kind *kind, PyObject *columns, PyObject *row)
{
    if (!PyDict_Check(row)) {
        PyErr_SetString(PyExc_TypeError, "a row is a dict");
        return -1;
    }
    size_t first = kind->rows * (size_t)kind->width, before = kind->used;
    if (grow((void **)&kind->cells, &kind->cell_room, (first + (size_t)kind->width) * sizeof(Cell)) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    for (int column = 0; column < kind->width; column++) {
        PyObject *value = PyDict_GetItemWithError(row, PyTuple_GET_ITEM(columns, column)); /* borrowed */
        if ((value == NULL && PyErr_Occurred()) || take_value(kind, &kind->cells[first + (size_t)column], value) < 0) {
            kind->used = before;
            return -1;
        }
    }
    kind->rows++;
    return 0;
}

static PyObject *add(BulkObject *self, PyObject *args)
{
    PyObject *sql, *columns, *rows;
    if (!PyArg_ParseTuple(args, "UO!O!", &sql, &PyTuple_Type, &columns, &PyList_Type, &rows))
        return NULL;
    if (self->busy) {
        PyErr_SetString(PyExc_ValueError, "the rows are just being written");
        return NULL;
    }
    Kind *kind = kind_of(self, sql, (int)PyTuple_GET_SIZE(columns));
    for (Py_ssize_t index = 0; kind != NULL && index < PyList_GET_SIZE(rows); index++)
        if (take_row(kind, columns, PyList_GET_ITEM(rows, index)) < 0)
            return NULL;
    if (kind == NULL)
        return NULL;
    Py_RETURN_NONE;
}

static const uint8_t *bind(sqlite3_stmt *statement, int place, const Cell *cell, const uint8_t *bytes)
{
    switch (cell->type) {
    case SQLITE_INTEGER:
        SQLITE.bind_int64(statement, place, cell->whole);
        return bytes;
    case SQLITE_FLOAT:
        SQLITE.bind_double(statement, place, cell->real);
        return bytes;
    case SQLITE_TEXT:
        SQLITE.bind_text64(statement, place, (const char *)bytes, cell->size, NULL, 1);
        return bytes + cell->size;
    case SQLITE_BLOB:
        SQLITE.bind_blob64(statement, place, bytes, cell->size, NULL);
        return bytes + cell->size;
    default:
        SQLITE.bind_null(statement, place);
        return bytes;
    }
}

static int write_kind(const Kind *kind, sqlite3_stmt *statement)
{
    int code = SQLITE_DONE;
    const Cell *cell = kind->cells;
    /* An empty text or blob must not become NULL: its address is never 0. */
    const uint8_t *bytes = kind->bytes ? kind->bytes : (const uint8_t *)"";
    for (size_t row = 0; row < kind->rows && code == SQLITE_DONE; row++) {
        for (int column = 0; column < kind->width; column++)
            bytes = bind(statement, column + 1, cell++, bytes);
        while ((code = SQLITE.step(statement)) == SQLITE_ROW)
            ;
        SQLITE.reset(statement);
    }
    return code;
}

static int write_all(const BulkObject *self, sqlite3 *database, Fault *fault)
{
    int code = SQLITE_DONE;
    for (int index = 0; index < self->count && code == SQLITE_DONE; index++) {
        const Kind *kind = &self->kinds[index];
        sqlite3_stmt *statement = NULL;
        const char *sql = PyUnicode_AsUTF8(kind->sql); /* it was made when it was added, and is kept with it */
        code = SQLITE.prepare_v3(database, sql, -1, 0, &statement, NULL);
        if (code == SQLITE_OK)
            code = SQLITE.bind_parameter_count(statement) == kind->width ? write_kind(kind, statement) : SQLITE_MISUSE;
        if (code != SQLITE_DONE) {
            fault->code = code == SQLITE_MISUSE ? code : SQLITE.extended_errcode(database);
            strncpy(fault->message,
                    code == SQLITE_MISUSE ? "The statement takes another number of values." : SQLITE.errmsg(database),
                    sizeof fault->message - 1);
        }
        SQLITE.finalize(statement);
    }
    return code;
}

static PyObject *write_them(BulkObject *self, PyObject *connection)
{
    sqlite3 *database = database_of(connection);
    Fault fault = {0};
    int code;
    if (database == NULL)
        return NULL;
    self->busy++;
    Py_BEGIN_ALLOW_THREADS
    code = write_all(self, database, &fault);
    Py_END_ALLOW_THREADS
    self->busy--;
    if (code != SQLITE_DONE)
        return raise_fault(fault.code, fault.message);
    Py_RETURN_NONE;
}

static PyMethodDef METHODS[] = {
    {"add", (PyCFunction)add, METH_VARARGS, "Rows for a statement, by the names of its values."},
    {"write", (PyCFunction)write_them, METH_O, "Run each statement for each of its rows, through a connection."},
    {NULL},
};

PyTypeObject BulkType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventstore._native.Bulk",
    .tp_doc = "Rows for some tables, as they were when they were added.",
    .tp_basicsize = sizeof(BulkObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = new,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = METHODS,
};
