"""The dashboard in a real pseudo-terminal: an interactive shell starts hoist, a small terminal emulator (pyte) shows what a person sees.

Every byte that hoist writes is kept; close() checks that it was made of known sequences and of nothing a file name could have smuggled in.
"""
import contextlib
import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
import threading
import time

import lib
import pyte

ESC, ENTER, TAB, CTRL_C, CTRL_Z = b"\x1b", b"\r", b"\t", b"\x03", b"\x1a"
PROMPT = b"READY> "

# All that hoist may write besides text: CSI with digits, charset and keypad of ncurses, title, clipboard.
KNOWN = re.compile(rb"\x1b(?:\[[?>]?[0-9;]*\$?[A-Za-z@]\x0f?|[()][B0]|[=>78M]|\]2;(?P<title>[^\x00-\x1f\x7f]*)\x07|\]52;c;[A-Za-z0-9+/=]*\x07)")
HIDDEN = re.compile("[\u0080-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\u061c\ufeff\U000e0000-\U000e007f]")


class Stream(pyte.ByteStream):
    """pyte without what ncurses scrolls by."""
    csi = {**pyte.ByteStream.csi, "S": "scroll_up", "T": "scroll_down"}
    events = pyte.ByteStream.events | {"scroll_up", "scroll_down"}


class Screen(pyte.Screen):
    def _scroll(self, count, line, step):
        column, row = self.cursor.x, self.cursor.y
        self.cursor.y = line
        for _ in range(count or 1):
            step()
        self.cursor.x, self.cursor.y = column, row

    def scroll_up(self, count=1):
        self._scroll(count, self.margins.bottom if self.margins else self.lines - 1, self.index)

    def scroll_down(self, count=1):
        self._scroll(count, self.margins.top if self.margins else 0, self.reverse_index)


class Dash:
    """t: lib.Test. hoist: lib.Hoist, whose environment is used. The shell stays: after hoist has ended it answers stty and $?.
    answer: what this terminal says when it is asked what it is (DA1)."""

    def __init__(self, t, hoist, *args, width=80, height=24, env=None, answer=b""):
        self.hoist, self.raw, self.lock, self.answer = hoist, bytearray(), threading.Lock(), answer
        self.held = b""
        self.screen = Screen(width, height)
        self.stream = Stream(self.screen)
        self.master, slave = os.openpty()
        self._size(width, height)
        env = {**hoist.env, "TERM": "tmux-256color", "PS1": PROMPT.decode(), "INPUTRC": "/dev/null", "HISTFILE": "", **(env or {})}
        self.shell = subprocess.Popen(["bash", "--norc", "--noprofile", "--noediting", "-i"], env=env, stdin=slave, stdout=slave, stderr=slave,
                                      cwd=hoist.folder, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        t.later(self.close)
        self.expect_raw(PROMPT, 0)
        self.before = self.stty()
        self.start(*args)

    # ---- what goes in

    def send(self, *keys, gap=0.0):
        for key in keys:
            key = key.encode() if isinstance(key, str) else key
            while key:
                key = key[os.write(self.master, key):]
            if gap or key == ESC:
                time.sleep(gap)
        return self

    def escape(self):
        """The key; alone long enough not to be the beginning of a sequence."""
        self.send(ESC)
        time.sleep(0.12)
        return self

    def paste(self, payload, cuts=()):
        """As a terminal sends a drop, in pieces that end at the cuts."""
        whole = b"\x1b[200~" + payload + b"\x1b[201~"
        at = 0
        for cut in (*cuts, len(whole)):
            self.send(whole[at:cut])
            at = cut
            time.sleep(0.01 if cuts else 0)
        return self

    def _size(self, width, height):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width, height):
        with self.lock:
            self.screen.resize(height, width)
        self._size(width, height)

    # ---- what comes out

    def _read(self):
        while True:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                return
            if not piece:
                return
            with self.lock:
                asked = self.raw.count(b"\x1b[c")
                self.raw += piece
                self.stream.feed(self._without_pictures(piece))
                asked = self.raw.count(b"\x1b[c") - asked
            if asked and self.answer:
                os.write(self.master, self.answer)

    def _without_pictures(self, piece):
        """pyte would show the bytes of kitty's pictures."""
        text = re.sub(rb"\x1b_.*?\x1b\\", b"", self.held + piece, flags=re.S)
        begin = text.find(b"\x1b_")
        begin = begin if begin >= 0 else len(text) - text.endswith(b"\x1b")
        self.held = text[begin:]
        return text[:begin]

    def lines(self):
        with self.lock:
            return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def mark(self):
        with self.lock:
            return len(self.raw)

    def since(self, mark):
        with self.lock:
            return bytes(self.raw[mark:])

    def wait(self, what, seconds=10.0):
        """Until a text (or a function of the screen's text) is there; gives the screen. Fails with the screen."""
        seen = what if callable(what) else lambda s: what in s or what in " ".join(s.split())       # also where a line was broken
        if not lib.wait_for(lambda: seen(self.text()), seconds):
            raise AssertionError(f"not on the screen: {what if isinstance(what, str) else 'what was waited for'}\n{self.text()}\n{self.errors()}")
        return self.text()

    def gone(self, what, seconds=10.0):
        return self.wait(lambda s: what not in s, seconds)

    def expect_raw(self, what, mark, seconds=15.0):
        if not lib.wait_for(lambda: what in self.since(mark), seconds):
            raise AssertionError(f"{what!r} was not written; the end: {bytes(self.raw[-500:])!r}\n{self.errors()}")

    def row(self, name):
        """The line of the list that shows a name; '' when there is none."""
        return next((line for line in self.lines() if name in line), "")

    def coloured(self, at_least=2):
        """The cells with a background of their own: {(column, row): colour}, in at least so many colours; else {}."""
        with self.lock:
            cells = {(x, y): cell.bg for y, row in self.screen.buffer.items() for x, cell in row.items() if cell.bg != "default"}
        return cells if len(set(cells.values())) >= at_least else {}

    # ---- the program

    def start(self, *args):
        """Types the command line; hoist's folder is the shell's."""
        self.began = self.asked = self.mark()
        self.send(" ".join([quoted(self.hoist.binary), *map(quoted, args)]) + "; echo EX''IT=$?\n")
        self.expect_raw(b"\x1b[?2004h", self.began)
        self.pid = lib.wait_for(self._child)
        assert self.pid, self.text()
        return self

    def _child(self):
        try:
            children = open(f"/proc/{self.shell.pid}/task/{self.shell.pid}/children").read().split()
        except OSError:
            return None
        for pid in children:
            with contextlib.suppress(OSError):      # it ended meanwhile
                if os.path.samefile(f"/proc/{pid}/exe", self.hoist.binary):
                    return int(pid)
        return None

    def kill(self, signo):
        os.kill(self.pid, signo)

    def wait_end(self, seconds=20.0):
        """-> the exit status that the shell saw."""
        self.expect_raw(b"EXIT=", self.asked, seconds)
        self.expect_raw(PROMPT, self.since(0).rindex(b"EXIT="))
        return int(re.findall(rb"EXIT=(\d+)", self.since(self.asked))[-1])

    def foreground(self):
        """After a stop: the shell's fg."""
        self.asked = self.mark()
        self.send("fg; echo EX''IT=$?\n")
        self.expect_raw(b"\x1b[?2004h", self.asked)

    def quit(self):
        self.send("q")
        if not lib.wait_for(lambda: "Pause and quit" in self.text() or self._child() is None, 3):
            raise AssertionError(self.text())
        if self._child() is not None:
            self.send(ENTER)
        return self.wait_end()

    def stty(self):
        mark = self.mark()
        self.send("echo \"MODES $(stty -g) END\"\n")
        if not lib.wait_for(lambda: re.search(rb"MODES [0-9a-f:]+ END\r\n" + PROMPT, self.since(mark)), 10):
            raise AssertionError(f"no shell: {self.since(mark)!r}")
        return re.search(rb"MODES ([0-9a-f:]+) END", self.since(mark))[1].decode()

    def assert_restored(self):
        """The terminal is as it was before hoist, and the screen of the shell is back."""
        written = self.since(self.began)
        now = self.stty()
        assert now == self.before, f"stty {now} instead of {self.before}"
        assert written.rindex(b"\x1b[?2004l") > written.rindex(b"\x1b[?2004h"), "bracketed paste is still on"
        assert written.rindex(b"\x1b[?1049l") > written.rindex(b"\x1b[?1049h"), "the other screen is still shown"
        assert written.rindex(b"\x1b[?25h") > written.rindex(b"\x1b[?25l"), "the cursor is still hidden"

    def errors(self):
        try:
            return open(f"{self.hoist.folder}/state/hoist/stderr.log", errors="replace").read()[-3000:]
        except OSError:
            return ""

    def check_output(self):
        """Nothing but known sequences and printable text."""
        written = self.since(self.began)
        rest = KNOWN.sub(b"", written)
        bad = re.search(rb".{0,60}[\x00-\x06\x0b\x0c\x0e-\x1f\x7f].{0,60}", rest, re.S)
        assert not bad, f"raw control bytes reached the terminal: {bad[0]!r}"
        text = rest.decode("utf-8", "surrogateescape") + "".join(m["title"].decode("utf-8", "surrogateescape") for m in KNOWN.finditer(written)
                                                                 if m["title"])
        bad = HIDDEN.search(text) or re.search("[\udc80-\udcff]", text.rstrip("\udc80-\udcff"))
        assert not bad, f"hidden characters reached the terminal: {bad[0]!r}"

    def close(self):
        if self._child() is not None:
            self.kill(signal.SIGKILL)
        self.shell.kill()
        self.shell.wait()
        os.close(self.master)
        self.reader.join(2)


def quoted(arg):
    return "'" + os.fspath(arg).replace("'", "'\\''") + "'"
