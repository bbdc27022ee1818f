/* The names of what is read from Python's objects. */
#include "native.h"

PyObject *CAUSATION_ID, *CHUNK, *CORRELATIONS, *CORRELATION_ID, *DATA, *EVENT_ID, *KEY, *METADATA, *TYPE, *TYPE_VERSION,
    *VERSION;

int names_init(void)
{
    struct {
        PyObject **name;
        const char *text;
    } names[] = {
        {&CAUSATION_ID, "causation_id"}, {&CHUNK, "chunk"}, {&CORRELATIONS, "correlations"},
        {&CORRELATION_ID, "correlation_id"}, {&DATA, "data"}, {&EVENT_ID, "event_id"}, {&KEY, "key"},
        {&METADATA, "metadata"}, {&TYPE, "type"}, {&TYPE_VERSION, "type_version"}, {&VERSION, "version"},
    };
    for (size_t index = 0; index < sizeof names / sizeof *names; index++)
        if ((*names[index].name = PyUnicode_InternFromString(names[index].text)) == NULL)
            return -1;
    return 0;
}
