"""Runs a command with one of its outputs on a terminal and says what came out of it.

    terminal.py stdout|stderr COLUMNS COMMAND…

Standard input is passed on. Prints {"terminal": …, "other": …, "code": …}.
"""
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading

which, columns, *command = sys.argv[1:]
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(columns), 0, 0))
terminal = b""


def drain():
    global terminal
    try:
        while chunk := os.read(master, 65536):
            terminal += chunk
    except OSError:
        pass  # The last one who had it open has gone.


with tempfile.TemporaryFile() as other:
    outputs = {"stdout": other, "stderr": other, which: slave}
    process = subprocess.Popen(command, stdin=sys.stdin, **outputs)
    os.close(slave)
    reader = threading.Thread(target=drain)
    reader.start()
    code = process.wait()
    reader.join()
    other.seek(0)
    print(json.dumps({"terminal": terminal.decode(), "other": other.read().decode(), "code": code}))
