"""Runs a command, its output shown and copied to a file as it comes, until the command itself ends.

    python3 run_logged.py FILE COMMAND...

Ends with the command's exit status, as a shell gives it. A process the command left behind, which still holds its
output, is not waited for, as a shell's pipe would. SIGTERM and SIGINT are passed on to the command.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import waiting


def main() -> int:
    file, *command = sys.argv[1:]
    with open(file, "wb", buffering=0) as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: process.send_signal(number))

        def take(piece: bytes) -> None:
            log.write(piece)
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()

        assert process.stdout
        status = waiting.drain(process, {process.stdout.fileno(): take})
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
