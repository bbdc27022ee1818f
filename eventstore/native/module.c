/* The extension `eventstore._native`. */
#include "native.h"

static PyMethodDef METHODS[] = {
    {"fill_parts", fill_parts, METH_VARARGS, "Set the bits of a run of ids in the parts of a filter."},
    {"first_of", first_of, METH_VARARGS, "The place in a run of the first id whose hash is so large or larger."},
    {"highest", highest, METH_O, "The highest of some keys, of which None counts as 0."},
    {"id_bytes", id_bytes, METH_O, "The 16 bytes of a canonical UUID text, None for any other text."},
    {"id_text", id_text, METH_O, "The canonical UUID text of 16 bytes."},
    {"in_place", in_place, METH_VARARGS, "How many rows follow those before, with none missing."},
    {"may_hold", may_hold, METH_VARARGS, "The hashes of those ids that a filter may hold."},
    {"merge_runs", merge_runs, METH_O, "One run of some, whose ids they hold together."},
    {"new_id", new_id, METH_NOARGS, "The text of a fresh random UUID."},
    {"pack_ids", pack_ids, METH_VARARGS, "The run of some ids, recorded from a position on."},
    {"sound_ids", (PyCFunction)(void (*)(void))sound_ids, METH_FASTCALL,
     "The ids of an append that surely may be recorded, None for any other."},
    {"use_crypto", use_crypto, METH_VARARGS, "Find libcrypto in a library that is loaded; False if it is not there."},
    {"use_sqlite", use_sqlite, METH_VARARGS, "Find SQLite in a library that is loaded; False if it is not there."},
    {NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT,
    .m_name = "eventstore._native",
    .m_doc = "What costs most in appending and reading, compiled.",
    .m_size = -1,
    .m_methods = METHODS,
};

PyMODINIT_FUNC PyInit__native(void)
{
    struct {
        const char *name;
        PyTypeObject *type;
    } types[] = {{"Ahead", &AheadType}, {"Bulk", &BulkType}, {"Frames", &FramesType}, {"Inserter", &InserterType},
                 {"Rows", &RowsType}, {"Scan", &ScanType}, {"Sha256", &ShaType}};
    PyObject *module = PyModule_Create(&MODULE);
    if (module == NULL || ids_init() != 0 || names_init() < 0)
        return NULL;
    for (size_t index = 0; index < sizeof types / sizeof *types; index++)
        if (PyType_Ready(types[index].type) < 0 ||
            PyModule_AddObjectRef(module, types[index].name, (PyObject *)types[index].type) < 0)
            return NULL;
    return PyModule_AddIntConstant(module, "FACE", FACE) < 0 ? NULL : module;
}
