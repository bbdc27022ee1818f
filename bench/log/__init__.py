"""The event log beside its peers and raw sqlite3: one run, one disk, the same durability, interleaved.

    make bench-log                                                # everything, into bench/RESULTS.md
    python -m bench.log --only append --rounds 5 --seconds 1      # a part of it, printed
    python -m bench.log --quick                                   # that it runs at all; no figures

`subject` says what can be asked of a store, `raw`, `own` and `peers/` answer it, `measures/` ask, `one` runs
one question in a process of its own, `rounds` interleaves them, `figures` holds what is to be reached.
"""
