/* Reads rows into columns: the steps without the interpreter's lock, then all values at once. */
#include "ahead.h"

typedef struct {
    PyObject_HEAD
    PyObject *connection;
    sqlite3 *database;
    sqlite3_stmt *statement;
    Fetched rows; /* what was fetched last */
} ScanObject;

void fetched_free(Fetched *rows)
{
    PyMem_RawFree(rows->cells);
    PyMem_RawFree(rows->bytes);
    *rows = (Fetched){.width = rows->width};
}

static void clear(ScanObject *self)
{
    if (self->statement != NULL)
        SQLITE.finalize(self->statement);
    self->statement = NULL;
    Py_CLEAR(self->connection);
}

static void dealloc(ScanObject *self)
{
    clear(self);
    fetched_free(&self->rows);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(names))
{
    PyObject *connection;
    const char *sql;
    if (!PyArg_ParseTuple(args, "Os", &connection, &sql))
        return NULL;
    sqlite3 *database = database_of(connection);
    ScanObject *self = database ? (ScanObject *)type->tp_alloc(type, 0) : NULL;
    if (self == NULL)
        return NULL;
    self->connection = Py_NewRef(connection);
    self->database = database;
    self->statement = prepared(database, sql);
    if (self->statement == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    self->rows.width = SQLITE.column_count(self->statement);
    return (PyObject *)self;
}

/* Copy the row that the statement stands at. */
static int take_row(Fetched *rows, sqlite3_stmt *statement)
{
    size_t first = rows->rows * (size_t)rows->width;
    if (grow((void **)&rows->cells, &rows->cell_room, (first + (size_t)rows->width) * sizeof(Cell)) < 0)
        return -1;
    Cell *cell = rows->cells + first;
    for (int column = 0; column < rows->width; column++, cell++) {
        /* The database's mutex is held, so that a value may be looked at: once for a column is enough then. */
        sqlite3_value *value = SQLITE.column_value(statement, column);
        cell->type = SQLITE.value_type(value);
        if (cell->type == SQLITE_INTEGER) {
            cell->whole = SQLITE.value_int64(value);
        } else if (cell->type == SQLITE_FLOAT) {
            cell->real = SQLITE.value_double(value);
        } else if (cell->type != SQLITE_NULL) {
            const void *from = cell->type == SQLITE_TEXT ? SQLITE.value_text(value) : SQLITE.value_blob(value);
            cell->size = (size_t)SQLITE.value_bytes(value);
            if (grow((void **)&rows->bytes, &rows->room, rows->used + cell->size) < 0)
                return -1;
            if (cell->size) {
                if (from == NULL)
                    return -1;
                memcpy(rows->bytes + rows->used, from, cell->size);
            }
            rows->used += cell->size;
        }
    }
    rows->rows++;
    return 0;
}

/* Up to the end, or until as many bytes are there. */
static int take_rows(ScanObject *self, size_t limit)
{
    int code;
    sqlite3_mutex *mutex = SQLITE.db_mutex(self->database);
    SQLITE.mutex_enter(mutex);
    while ((code = SQLITE.step(self->statement)) == SQLITE_ROW) {
        if (take_row(&self->rows, self->statement) < 0) {
            code = SQLITE_NOMEM;
            break;
        }
        if (self->rows.used >= limit)
            break;
    }
    SQLITE.mutex_leave(mutex);
    return code;
}

static PyObject *value_of(const Cell *cell, const uint8_t **bytes)
{
    const char *from = (const char *)*bytes;
    switch (cell->type) {
    case SQLITE_INTEGER:
        return PyLong_FromLongLong(cell->whole);
    case SQLITE_FLOAT:
        return PyFloat_FromDouble(cell->real);
    case SQLITE_TEXT:
        *bytes += cell->size;
        return PyUnicode_DecodeUTF8(from, (Py_ssize_t)cell->size, NULL);
    case SQLITE_BLOB:
        *bytes += cell->size;
        return PyBytes_FromStringAndSize(from, (Py_ssize_t)cell->size);
    default:
        Py_RETURN_NONE;
    }
}

/* An empty list for each column that is wanted, None for the others. */
static PyObject *new_columns(ScanObject *self, PyObject *wanted)
{
    PyObject *columns = PyTuple_New(self->rows.width);
    for (int column = 0; columns != NULL && column < self->rows.width; column++) {
        int asked = wanted == Py_None;
        for (Py_ssize_t index = 0; !asked && index < PyTuple_GET_SIZE(wanted); index++)
            asked = PyLong_AsLong(PyTuple_GET_ITEM(wanted, index)) == column;
        PyObject *list = asked ? PyList_New((Py_ssize_t)self->rows.rows) : Py_NewRef(Py_None);
        if (list == NULL)
            Py_CLEAR(columns);
        else
            PyTuple_SET_ITEM(columns, column, list);
    }
    return columns;
}

/* Fill in the values of the columns. 0 if all went well, else 1 + the row whose text is none, or -1. */
static Py_ssize_t fill(ScanObject *self, PyObject *columns)
{
    const Cell *cell = self->rows.cells;
    const uint8_t *bytes = self->rows.bytes;
    for (size_t row = 0; row < self->rows.rows; row++)
        for (int column = 0; column < self->rows.width; column++, cell++) {
            PyObject *list = PyTuple_GET_ITEM(columns, column);
            if (list == Py_None) {
                if (cell->type == SQLITE_TEXT || cell->type == SQLITE_BLOB)
                    bytes += cell->size;
                continue;
            }
            PyObject *value = value_of(cell, &bytes);
            if (value == NULL) {
                if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
                    return -1;
                PyErr_Clear();
                return 1 + (Py_ssize_t)row;
            }
            PyList_SET_ITEM(list, (Py_ssize_t)row, value);
        }
    return 0;
}

/* The columns. A text that is none ends the rows before it, or is an error if it is in the first. */
static PyObject *columns_of(ScanObject *self, PyObject *wanted, int *cut)
{
    PyObject *columns = new_columns(self, wanted);
    Py_ssize_t bad = columns ? fill(self, columns) : -1;
    if (bad == 1)
        raise_fault(1, "Could not decode a text to UTF-8.");
    if (bad < 0 || bad == 1) {
        Py_XDECREF(columns);
        return NULL;
    }
    if (bad) {
        *cut = 1;
        for (int column = 0; column < self->rows.width; column++) {
            PyObject *list = PyTuple_GET_ITEM(columns, column);
            if (list != Py_None && PyList_SetSlice(list, bad - 1, (Py_ssize_t)self->rows.rows, NULL) < 0) {
                Py_DECREF(columns);
                return NULL;
            }
        }
        self->rows.rows = (size_t)bad - 1;
    }
    return columns;
}

static int bind_values(ScanObject *self, PyObject *values)
{
    if (PyTuple_GET_SIZE(values) != SQLITE.bind_parameter_count(self->statement)) {
        PyErr_SetString(PyExc_ValueError, "the statement takes another number of values");
        return -1;
    }
    for (int place = 0; place < PyTuple_GET_SIZE(values); place++) {
        PyObject *value = PyTuple_GET_ITEM(values, place);
        Py_ssize_t size;
        const char *text;
        if (PyLong_Check(value)) {
            int64_t whole = PyLong_AsLongLong(value);
            if (whole == -1 && PyErr_Occurred())
                return -1;
            SQLITE.bind_int64(self->statement, place + 1, whole);
        } else if ((text = PyUnicode_AsUTF8AndSize(value, &size)) != NULL) {
            SQLITE.bind_text64(self->statement, place + 1, text, (uint64_t)size, NULL, 1);
        } else {
            return -1;
        }
    }
    return 0;
}

static PyObject *fetch(ScanObject *self, PyObject *args)
{
    PyObject *values, *wanted = Py_None, *columns = NULL;
    Py_ssize_t limit;
    int code, fault = 0, cut;
    char message[200] = "";
    if (!PyArg_ParseTuple(args, "O!n|O", &PyTuple_Type, &values, &limit, &wanted))
        return NULL;
    if (wanted != Py_None && !PyTuple_Check(wanted)) {
        PyErr_SetString(PyExc_TypeError, "the wanted columns are a tuple, or None for all");
        return NULL;
    }
    if (self->connection == NULL)
        return raise_fault(SQLITE_MISUSE, "Cannot operate on a closed scan.");
    if (bind_values(self, values) < 0)
        return NULL;
    if (self->rows.room > KEPT_BYTES)
        fetched_free(&self->rows);
    self->rows.rows = self->rows.used = 0;
    Py_BEGIN_ALLOW_THREADS
    code = take_rows(self, (size_t)limit);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        fault = code == SQLITE_NOMEM ? code : SQLITE.extended_errcode(self->database);
        strncpy(message, SQLITE.errmsg(self->database), sizeof message - 1);
    }
    SQLITE.reset(self->statement);
    SQLITE.clear_bindings(self->statement);
    Py_END_ALLOW_THREADS
    cut = code != SQLITE_DONE;
    if (fault == SQLITE_NOMEM)
        PyErr_NoMemory();
    else if (fault && !self->rows.rows)
        raise_fault(fault, message);
    else
        columns = columns_of(self, wanted, &cut);
    return columns ? Py_BuildValue("NO", columns, cut ? Py_True : Py_False) : NULL;
}

int frame_cell(Frames *frames, const Cell *cell, const uint8_t **bytes)
{
    const char *from = (const char *)*bytes;
    switch (cell->type) {
    case SQLITE_INTEGER:
        return frames_int(frames, cell->whole);
    case SQLITE_FLOAT:
        return frames_float(frames, cell->real);
    case SQLITE_TEXT:
        *bytes += cell->size;
        return frames_text(frames, from, cell->size);
    case SQLITE_BLOB:
        *bytes += cell->size;
        return frames_blob(frames, from, cell->size);
    default:
        return frames_none(frames);
    }
}

/* (items, firsts, last): the frames of what was fetched last, of its first columns; `last` takes the place of the
 * last of these. */
static PyObject *frames(ScanObject *self, PyObject *args)
{
    int items;
    PyObject *firsts, *last = Py_None;
    if (!PyArg_ParseTuple(args, "iO!|O", &items, &PyDict_Type, &firsts, &last))
        return NULL;
    if (items < 0 || items > self->rows.width || items > 12 ||
        (last != Py_None && (!PyList_Check(last) || PyList_GET_SIZE(last) < (Py_ssize_t)self->rows.rows))) {
        PyErr_SetString(PyExc_ValueError, "there are not so many columns");
        return NULL;
    }
    FramesObject *made = (FramesObject *)FramesType.tp_alloc(&FramesType, 0);
    const Cell *cell = self->rows.cells;
    const uint8_t *bytes = self->rows.bytes;
    for (size_t row = 0; made != NULL && row < self->rows.rows; row++) {
        PyObject *extras = PyDict_GET_SIZE(firsts) ? frames_names(firsts, (int64_t)row) : NULL; /* borrowed */
        int failed = PyErr_Occurred() || frames_begin(&made->frames) < 0 ||
                     frames_head(&made->frames, (size_t)items + (extras ? 3 : 0)) < 0;
        for (int column = 0; column < self->rows.width; column++, cell++) {
            if (column == items - 1 && last != Py_None)
                failed = failed || frames_item(&made->frames, PyList_GET_ITEM(last, (Py_ssize_t)row)) < 0;
            if (column < items - (last != Py_None))
                failed = failed || frame_cell(&made->frames, cell, &bytes) < 0;
            else if (cell->type == SQLITE_TEXT || cell->type == SQLITE_BLOB)
                bytes += cell->size;
        }
        if (failed || (extras != NULL && frames_extras(&made->frames, extras) < 0))
            Py_CLEAR(made);
        else
            frames_end(&made->frames);
    }
    return (PyObject *)made;
}

/* (items, firsts, sha, left): have the frames of what was fetched last built and hashed meanwhile. The rows are given
 * away; `left` frames are needed to the end of the segment. */
static PyObject *ahead(ScanObject *self, PyObject *args)
{
    int items;
    PyObject *firsts, *sha;
    Py_ssize_t left;
    if (!PyArg_ParseTuple(args, "iO!On", &items, &PyDict_Type, &firsts, &sha, &left))
        return NULL;
    if (items < 0 || items > self->rows.width || items > 12 || left < 1 || left > 256) {
        PyErr_SetString(PyExc_ValueError, "there are not so many columns, or frames of a segment");
        return NULL;
    }
    return ahead_of(&self->rows, items, firsts, sha, left);
}

/* True if a row that was fetched last has no value in that column. */
static PyObject *lacks(ScanObject *self, PyObject *place)
{
    Py_ssize_t column = PyLong_AsSsize_t(place);
    if (column < 0 || column >= self->rows.width) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_IndexError, "there is no such column");
        return NULL;
    }
    for (size_t row = 0; row < self->rows.rows; row++)
        if (self->rows.cells[row * (size_t)self->rows.width + (size_t)column].type == SQLITE_NULL)
            Py_RETURN_TRUE;
    Py_RETURN_FALSE;
}

static PyObject *close_it(ScanObject *self, PyObject *Py_UNUSED(none))
{
    clear(self);
    Py_RETURN_NONE;
}

static PyMethodDef METHODS[] = {
    {"fetch", (PyCFunction)fetch, METH_VARARGS,
     "The columns of what is found for these values, up to about so many bytes, and whether something was left."},
    {"frames", (PyCFunction)frames, METH_VARARGS, "The frames of what was fetched last, of so many of its columns."},
    {"ahead", (PyCFunction)ahead, METH_VARARGS, "Have these frames built and hashed meanwhile, from a running hash on."},
    {"lacks", (PyCFunction)lacks, METH_O, "True if a row that was fetched last has no value in that column."},
    {"close", (PyCFunction)close_it, METH_NOARGS, "Let go of the connection."},
    {NULL},
};

PyTypeObject ScanType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "eventstore._native.Scan",
    .tp_doc = "A SELECT of a connection, to be asked again and again.",
    .tp_basicsize = sizeof(ScanObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = new,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = METHODS,
};
