"""Where the program begins: Ctrl-C while its modules load ends it at once, without a word."""

import signal

__all__ = ["main"]


def main() -> None:
    """As `caf.cli.__main__.main`. Nothing is under way before that is loaded: the system may end it."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # a shell's background job does not hear it at all
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from caf.cli.__main__ import main as run

    signal.signal(signal.SIGINT, heard)
    run()
