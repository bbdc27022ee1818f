/* Those of SQLite's functions that are used, found in the very library that Python's own sqlite3 uses: two copies of
 * SQLite in one process would undo each other's locks on a file. So no header of SQLite is needed either. */
#ifndef EVENTSTORE_NATIVE_SQLITE_H
#define EVENTSTORE_NATIVE_SQLITE_H

#include "native.h"

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
typedef struct sqlite3_value sqlite3_value;
typedef struct sqlite3_mutex sqlite3_mutex;

enum { SQLITE_OK = 0, SQLITE_NOMEM = 7, SQLITE_MISUSE = 21, SQLITE_ROW = 100, SQLITE_DONE = 101, SQLITE_PREPARE_PERSISTENT = 1 };
enum { SQLITE_INTEGER = 1, SQLITE_FLOAT = 2, SQLITE_TEXT = 3, SQLITE_BLOB = 4, SQLITE_NULL = 5 };

#define SQLITE_FUNCTIONS(X)                                                                                           \
    X(int, prepare_v3, (sqlite3 *, const char *, int, unsigned, sqlite3_stmt **, const char **))                      \
    X(int, step, (sqlite3_stmt *))                                                                                    \
    X(int, reset, (sqlite3_stmt *))                                                                                   \
    X(int, finalize, (sqlite3_stmt *))                                                                                \
    X(int, clear_bindings, (sqlite3_stmt *))                                                                          \
    X(int, bind_int64, (sqlite3_stmt *, int, int64_t))                                                                \
    X(int, bind_double, (sqlite3_stmt *, int, double))                                                                \
    X(int, bind_null, (sqlite3_stmt *, int))                                                                          \
    X(int, bind_blob64, (sqlite3_stmt *, int, const void *, uint64_t, void (*)(void *)))                              \
    X(int, bind_text64, (sqlite3_stmt *, int, const char *, uint64_t, void (*)(void *), unsigned char))               \
    X(int, bind_parameter_count, (sqlite3_stmt *))                                                                    \
    X(int, column_count, (sqlite3_stmt *))                                                                            \
    X(sqlite3_value *, column_value, (sqlite3_stmt *, int))                                                           \
    X(int, value_type, (sqlite3_value *))                                                                             \
    X(int64_t, value_int64, (sqlite3_value *))                                                                        \
    X(double, value_double, (sqlite3_value *))                                                                        \
    X(const void *, value_blob, (sqlite3_value *))                                                                    \
    X(const unsigned char *, value_text, (sqlite3_value *))                                                           \
    X(int, value_bytes, (sqlite3_value *))                                                                            \
    X(sqlite3_mutex *, db_mutex, (sqlite3 *))                                                                         \
    X(void, mutex_enter, (sqlite3_mutex *))                                                                           \
    X(void, mutex_leave, (sqlite3_mutex *))                                                                           \
    X(int, get_autocommit, (sqlite3 *))                                                                               \
    X(int, extended_errcode, (sqlite3 *))                                                                             \
    X(const char *, errmsg, (sqlite3 *))

#define SQLITE_POINTER(result, name, parameters) result(*name) parameters;
typedef struct {
    SQLITE_FUNCTIONS(SQLITE_POINTER)
} Sqlite;

extern Sqlite SQLITE;

/* A value; the bytes of texts and blobs lie behind each other, somewhere else. */
typedef struct {
    int type;
    union {
        int64_t whole;
        double real;
        size_t size;
    };
} Cell;

int grow(void **place, size_t *room, size_t needed);
sqlite3 *database_of(PyObject *connection);
PyObject *raise_fault(int code, const char *message);
sqlite3_stmt *prepared(sqlite3 *database, const char *sql);

#endif
