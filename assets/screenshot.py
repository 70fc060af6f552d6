#!/usr/bin/env python3
"""Draws what a terminal shows as an SVG picture: tmux capture-pane -e -p | assets/screenshot.py > assets/dashboard.svg

Reads text with SGR sequences (the 16 palette colours, bold, dim, reverse), writes one <text> per run of equal style. Bars, graphs and lines
are drawn as shapes, so that they look the same with every font.
"""
import re
import sys
import unicodedata
from xml.sax.saxutils import escape

PALETTE = ["#2b303b", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
           "#6b7280", "#ff7b86", "#b5e890", "#ffd479", "#82c4ff", "#dc9bf0", "#7fd5de", "#ffffff"]
FG, BG = "#c8ccd4", "#1b1f27"
W, H, SIZE = 8.4, 18, 14


def width(ch):
    if unicodedata.combining(ch):
        return 0
    return 2 if unicodedata.east_asian_width(ch) in "WF" else 1


def apply(style, codes):
    codes = [int(c or 0) for c in codes.split(";")]
    while codes:
        c = codes.pop(0)
        if c == 0:
            style.clear()
        elif c == 1:
            style["bold"] = True
        elif c == 2:
            style["dim"] = True
        elif c == 4:
            style["under"] = True
        elif c == 7:
            style["reverse"] = True
        elif c in (22, 24, 27):
            for k in {22: ("bold", "dim"), 24: ("under",), 27: ("reverse",)}[c]:
                style.pop(k, None)
        elif 30 <= c <= 37 or 90 <= c <= 97:
            style["fg"] = PALETTE[c - 30 if c < 40 else c - 82]
        elif 40 <= c <= 47 or 100 <= c <= 107:
            style["bg"] = PALETTE[c - 40 if c < 50 else c - 92]
        elif c in (38, 48) and codes[:1] == [5]:
            n = codes[1]
            del codes[:2]
            style["fg" if c == 38 else "bg"] = PALETTE[n] if n < 16 else FG
        elif c == 39:
            style.pop("fg", None)
        elif c == 49:
            style.pop("bg", None)


def runs(line, style):
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        m = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if m:
            apply(style, m[1])
        elif part:
            yield part, dict(style)


SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75}
LINES = {"─": "lr", "│": "tb", "┌": "rb", "┐": "lb", "└": "tr", "┘": "lt", "├": "tbr", "┤": "tbl", "┬": "lrb", "┴": "lrt", "┼": "lrtb"}


def rect(x, y, w, h, opacity=1):
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{w:.2f}" height="{h:.2f}"' + (f' opacity="{opacity}"' if opacity < 1 else "") + "/>"


def shape(ch, x, y):
    """Blocks, braille and box drawing as rectangles in the cell at (x, y); None for any other character."""
    n = ord(ch)
    if ch in SHADES:
        return rect(x, y + 3, W, H - 6, SHADES[ch])
    if 0x2581 <= n <= 0x2587:
        part = (n - 0x2580) / 8
        return rect(x, y + H * (1 - part), W, H * part)
    if 0x2588 <= n <= 0x258F:
        return rect(x, y + 3, W * (0x2590 - n) / 8, H - 6)
    if 0x2800 <= n <= 0x28FF:
        dots = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
        return "".join(rect(x + W * (0.12 + 0.5 * dx), y + H * (0.04 + 0.25 * dy), W * 0.32, H * 0.17)
                       for bit, (dx, dy) in enumerate(dots) if (n - 0x2800) >> bit & 1)
    if ch in LINES:
        cx, cy = x + W / 2 - 0.5, y + H / 2 - 0.5
        arms = {"l": (x, cy, cx - x + 1, 1), "r": (cx, cy, x + W - cx, 1), "t": (cx, y, 1, cy - y + 1), "b": (cx, cy, 1, y + H - cy)}
        return "".join(rect(*arms[a]) for a in LINES[ch])
    return None


def pieces(text):
    """(column, run): characters that are no ASCII stand alone, so that none moves its neighbours."""
    column, start, run = 0, 0, ""
    for ch in text:
        if ch.isascii():
            start = start if run else column
            run += ch
        else:
            if run:
                yield start, run
            run = ""
            yield column, ch
        column += width(ch)
    if run:
        yield start, run


def draw(lines):
    style, shapes, columns = {}, [], 0
    for row, line in enumerate(lines):
        x, y = 0, 12 + row * H
        for text, s in runs(line, style):
            n = sum(map(width, text))
            fg, bg = s.get("fg", FG), s.get("bg")
            if s.get("reverse"):
                fg, bg = bg or BG, fg
            if bg:
                shapes.append(f'<rect x="{12 + x * W:.1f}" y="{y}" width="{n * W:.1f}" height="{H}" fill="{bg}"/>')
            extra = (' font-weight="bold"' if s.get("bold") else "") + (' opacity="0.6"' if s.get("dim") else "")
            blocks = ""
            for column, piece in pieces(text):
                at = 12 + (x + column) * W
                block = None if piece.isascii() else shape(piece, at, y)
                if block is not None:
                    blocks += block
                elif piece.strip():
                    at += (len(piece) - len(piece.lstrip())) * W
                    word = piece.strip()
                    shapes.append(f'<text x="{at:.1f}" y="{y + 13.5}" fill="{fg}" textLength="{sum(map(width, word)) * W:.1f}"{extra}>'
                                  f'{escape(word)}</text>')
            if blocks:
                shapes.append(f'<g fill="{fg}" shape-rendering="crispEdges"{extra}>{blocks}</g>')
            x += n
        columns = max(columns, x)
    w, h = 24 + columns * W, 24 + len(lines) * H
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h}" width="{w:.0f}" height="{h}">')
    print(f'<rect width="100%" height="100%" rx="8" fill="{BG}"/>')
    print(f'<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="{SIZE}" xml:space="preserve">')
    print("\n".join(shapes))
    print("</g></svg>")


draw(sys.stdin.read().rstrip("\n").split("\n"))
