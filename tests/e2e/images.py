"""hoist images over the pictures of the tests, and what its answers are held against."""
import os
import shutil
import sys
import tempfile

import lib      # first: it goes on in the environment of the servers

from pictures import Picture

FOLDERS = [os.path.join(lib.ROOT, "tests/images"), *filter(None, [os.environ.get("HOIST_IMAGES")])]


class Recipe:
    """The words that a rule needs of a recipe's text."""

    PRESETS = {"web": (1920, 1_000_000, 80, 50, 10, "safe"), "small": (1280, 400_000, 80, 50, 10, "safe"), "archive": (0, 0, 95, 95, 10, "safe"),
               "thumb": (320, 0, 75, 50, 0, "none")}

    def __init__(self, text):
        words = text.split()
        preset = words[0] if "=" not in words[0] else "web"
        self.edge, self.limit, self.quality, self.floor, self.savings, self.metadata = self.PRESETS[preset]
        self.text, self.format, self.background, self.keep_profile, self.vectors = text, "auto", (255, 255, 255), preset == "archive", False
        for name, value in (w.split("=", 1) for w in words if "=" in w):
            if name == "max-edge":
                self.edge = 0 if value == "none" else int(value)
            elif name == "max-bytes":
                self.limit = 0 if value == "none" else int(value)
            elif name == "background":
                self.background = tuple(bytes.fromhex(value))
            elif name == "color-profile":
                self.keep_profile = value == "keep"
            elif name == "vectors":
                self.vectors = value == "yes"
            else:
                field = {"quality": "quality", "min-quality": "floor", "min-savings": "savings", "metadata": "metadata", "format": "format", "effort": "effort"}[name]
                setattr(self, field, value if value.isalpha() else int(value))


class Object:
    """One object of an event, and the file to look at."""

    def __init__(self, source, event, about):
        self.source, self.event, self.about = source, event, about
        self.name, self.bytes, self.recipe = about.get("name"), about["bytes"], about.get("recipe")
        self.note = about.get("note") or event.get("note") or ""
        self.out = lib.told(about, "out")
        self.path = self.out if self.out and os.path.exists(self.out) else source
        self.encodes, self.quality = about.get("encodes", 0), about.get("quality")

    @property
    def encoded(self):
        """Encoded anew, rather than the source or the source without its metadata."""
        return self.recipe is not None and not self.about["cleaned"]


class Run:
    """hoist images over some paths: source path -> event, and its objects."""

    def __init__(self, folder, paths, *args, env=None, timeout=1800, status=(0,)):
        self.folder = tempfile.mkdtemp(dir=folder)
        self.out = os.path.join(self.folder, "out")
        self.hoist = lib.Hoist(os.path.join(self.folder, "home"))
        r = self.hoist.run("images", "--json", "--out", self.out, *args, "--", *paths, env=env, timeout=timeout)
        assert r.returncode in status, f"exit {r.returncode}: {r.err[-2000:]}"
        self.status, self.err, self.events, self.objects = r.returncode, r.err, {}, {}
        for event in map(lib.json.loads, r.out.splitlines()):
            if event["event"] == "image":
                path = lib.told(event, "path")
                assert path not in self.events, f"{path} was told twice"
                self.events[path] = event
                self.objects[path] = [Object(path, event, o) for o in event.get("objects") or []]

    def one(self, path):
        objects = self.objects[os.fspath(path)]
        assert len(objects) == 1, f"{path}: {self.events.get(os.fspath(path))}"
        return objects[0]


SHARED = tempfile.mkdtemp(prefix="hoist-images-")
runs, known = {}, {}


def files():
    return sorted(os.path.join(where, name) for folder in FOLDERS for where, _, names in os.walk(folder) for name in names if not name.endswith(".md"))


def source(path):
    if path not in known:
        known[path] = Picture(path)
    return known[path]


def everything(text):
    """One run of this recipe over all files, or those of them that are worth the time; made once."""
    if text not in runs:
        paths = [f for f in files() if source(f).pixels < 6_000_000] if is_slow(text) else FOLDERS
        runs[text] = Run(SHARED, paths, "--images", text, status=(0, 1), timeout=3000)
    return runs[text]


def is_slow(text):
    """Encoding every pixel as well as can be: minutes for a large one with sanitizers."""
    recipe = Recipe(text)
    return not recipe.edge and recipe.quality > 90


class Findings(list):
    """Failures are gathered, so that one picture does not hide another."""

    def need(self, good, path, what):
        if not good:
            self.append(f"{os.path.relpath(path, lib.ROOT)}: {what}")

    def end(self, done):
        print(f"# {done} checked", flush=True)
        assert done > 0, "nothing was checked"
        assert not self, f"{len(self)} of {done}:\n" + "\n".join(self)


def picture_of(*paths):
    return [os.path.join(lib.ROOT, "tests/images", p) for p in paths]


def size_is(got, wanted):
    return all(abs(g - w) <= 1 for g, w in zip(got, wanted))


def main():
    try:
        lib.main()
    finally:
        shutil.rmtree(SHARED, ignore_errors=True)
        sys.stdout.flush()
