#!/usr/bin/env python3
"""What a compiler does not check: who includes whom, one corner per foreign library, banned calls, sizes, format, spelling. Prints TAP.

lint.py BUILD_FOLDER; the rules are those of CONTRIBUTING.md.
"""
import collections
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv[1])
os.chdir(ROOT)

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_MCCABE = 800, 100, 25

# header -> the files that may include it
CORNERS = {
    "curl": r"core/(transfer|lane|flight)\w*\.[ch]",
    "sqlite3": r"core/store\w*\.[ch]",
    "openssl": r"core/digest\w*\.[ch]",
    "expat": r"core/dest/body\.c",
    "magic": r"core/mime\.c",
    "curses|ncurses|ncursesw|term|panel": r"tui/term\.c",
    "chafa": r"tui/mosaic\.c",
    "vips": r"imgproc/\w+\.[ch]",
    "webp": r"imgproc/\w+\.[ch]",
    "libexif": r"imgproc/exif\.c",
    "zlib": r"imgproc/container_png\.c",
    "lcms2": r"imgproc/icc\.c",
    "seccomp|linux/landlock": r"imgproc/sandbox\.c",
}
# Without libvips in them: these are linked into hoist itself.
NO_VIPS = ("imgproc/wire.c", "imgproc/wire.h", "imgproc/recipe.c", "imgproc/recipe.h", "imgproc/imgproc.h")
BANNED = ("strcpy", "strcat", "sprintf", "vsprintf", "strtok", "gmtime", "localtime", "atoi", "atol", "system", "gets", "tmpnam", "mktemp")
GENERATED = ("build-config.h", "core-resources.h")
MACHINE = re.compile(r"/(?:work|root)/|/tmp/b-|/home/\w")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def tracked(*ends):
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=False).stdout
    if not names:       # not a git checkout (a release tarball)
        found = [os.path.relpath(os.path.join(d, f), ROOT) for d, _, fs in os.walk(ROOT) for f in fs if "/build" not in d and "/.git" not in d]
    else:
        found = [os.fsdecode(n) for n in names.split(b"\0") if n]
    return sorted(n for n in found if (not ends or n.endswith(ends)) and os.path.isfile(n))


def text(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


C_FILES = tracked(".c", ".h")
PRODUCT = [f for f in C_FILES if f.startswith(("core/", "tui/", "imgproc/"))]


def without_comments(source):
    """Comments and the insides of strings become blanks; lines stay where they are."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), source, flags=re.S)


def includes(path):
    source = text(path)
    for m in INCLUDE.finditer(source):
        yield source[:m.start()].count("\n") + 1, m[1] == "<", m[2]


def check_arrows():
    """tui -> core/hoist.h only; core -> core, dest/dest.h, imgproc's wire and recipe; dest -> dest, digest.h, fault.h, and dest.h -> hoist.h; imgproc -> itself."""
    for path in PRODUCT:
        for line, system, name in includes(path):
            if system or name in GENERATED:
                continue
            near = os.path.normpath(os.path.join(os.path.dirname(path), name))
            target = near if os.path.exists(near) else name if os.path.exists(name) else os.path.join("core", name)
            where = os.path.dirname(path)
            allowed = {
                "tui": target.startswith("tui/") or target == "core/hoist.h",
                "core": re.fullmatch(r"core/\w+\.h|core/dest/dest\.h|imgproc/(wire|recipe|imgproc)\.h", target),
                "core/dest": re.fullmatch(r"core/dest/\w+\.h|core/(digest|fault)\.h", target) or (path, target) == ("core/dest/dest.h", "core/hoist.h"),
                "imgproc": target.startswith("imgproc/"),
            }[where]
            if not allowed:
                yield f"{path}:{line}: {where}/ must not include {name}"
            elif where == "core" and path.endswith(".h") is False and name.startswith("dest/") and name != "dest/dest.h":
                yield f"{path}:{line}: only dest/dest.h leads from core/ into core/dest/"


def check_corners():
    """Each foreign library is spoken to from one corner."""
    for path in PRODUCT:
        for line, system, name in includes(path):
            if not system:
                continue
            for library, corner in CORNERS.items():
                if re.match(rf"(?:{library})(?:[/.]|$)", name) and name != "termios.h" and not re.fullmatch(corner, path):
                    yield f"{path}:{line}: <{name}> belongs to {corner}"
            if path in NO_VIPS and name.startswith(("vips", "webp")):
                yield f"{path}:{line}: no libvips here: hoist itself is linked with this file"


def check_linked_libraries():
    """hoist starts without libvips; the worker knows no network and no store."""
    for program, banned in (("tui/hoist", ("vips", "webp", "seccomp")), ("imgproc/hoist-imgproc", ("curl", "sqlite3", "ncurses", "crypto"))):
        path = os.path.join(BUILD, program)
        if not os.path.exists(path):
            yield f"{program} was not built"
            continue
        needed = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"NEEDED.*\[lib([^\]]+)\]", needed):
            if library.startswith(banned):
                yield f"{program} links lib{library}"


def check_banned_calls():
    """No call that overflows, keeps hidden state, swallows errors or starts a shell."""
    call = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    for path in C_FILES:
        if path.startswith("tests/bench/"):
            continue
        for number, line in enumerate(without_comments(text(path)).splitlines(), 1):
            m = call.search(line)
            if m:
                yield f"{path}:{number}: {m[1]}()"


def compile_commands():
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as f:
        return {os.path.relpath(os.path.join(c["directory"], c["file"]), ROOT): c for c in json.load(f)}


def flags_of(command):
    words = shlex.split(command["command"])[1:]
    kept, skip = [], False
    for w in words:
        if skip:
            skip = False
        elif w in ("-o", "-MF", "-MQ", "-c"):
            skip = w != "-c"
        elif w.startswith(("-I", "-D", "-U", "-std=", "-W", "-isystem", "-pthread")):
            kept.append(w)
    return kept


def in_parallel(jobs):
    """jobs: (label, argv, cwd) -> "label: the compiler's first error" of those that fail"""
    def one(job):
        label, argv, cwd = job
        r = subprocess.run(argv, capture_output=True, text=True, cwd=cwd, check=False, stdin=subprocess.DEVNULL)
        complaint = re.search(r"^.*error.*$", r.stderr, re.M) or re.search(r".*", r.stderr)
        return f"{label}: {complaint[0][:300]}" if r.returncode else None
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from (r for r in pool.map(one, jobs) if r)


def check_headers_alone():
    """Each header compiles by itself."""
    commands = compile_commands()
    sample = {d: flags_of(c) for path, c in commands.items() for d in [os.path.dirname(path)]}
    jobs = []
    for path in PRODUCT:
        if path.endswith(".h"):
            jobs.append((path, ["gcc", *sample[os.path.dirname(path)], "-Wno-unused-function", "-fsyntax-only", "-include",
                                os.path.join(ROOT, path), "-x", "c", "/dev/null"], BUILD))
    yield from in_parallel(jobs)


def check_clang():
    """clang has nothing to say either."""
    if not shutil.which("clang"):
        raise LookupError("no clang here")
    jobs = []
    for path, c in sorted(compile_commands().items()):
        if path.endswith(".c") and not path.startswith(os.path.relpath(BUILD, ROOT) + "/"):
            flags = [f for f in flags_of(c) if f not in ("-Wlogical-op", "-Wduplicated-cond", "-Wjump-misses-init")]
            jobs.append((path, ["clang", *flags, "-Wno-unknown-warning-option", "-Wno-missing-field-initializers", "-Werror", "-fsyntax-only", os.path.join(ROOT, path)], BUILD))
    yield from in_parallel(jobs)


def check_format():
    """clang-format leaves every .c file as it is; headers are manuals, laid out by hand."""
    if not shutil.which("clang-format"):
        raise LookupError("no clang-format here")
    for path in [f for f in C_FILES if f.endswith(".c")]:
        r = subprocess.run(["clang-format", "--dry-run", "-Werror", path], capture_output=True, text=True, check=False)
        if r.returncode:
            yield f"{path}: {r.stderr.count('error:')} places, first {r.stderr.split(': error')[0].split(':', 1)[-1]}"


def check_spelling():
    if not shutil.which("codespell"):
        raise LookupError("no codespell here")
    files = [f for f in tracked(".c", ".h", ".md", ".py", ".sh", ".1", ".sql", ".build", ".txt", ".ini", ".xml") if not f.startswith(("tests/vectors/data/", "tests/screen/"))]
    r = subprocess.run(["codespell", "-I", "tests/lint/words.txt", *files], capture_output=True, text=True, check=False)
    yield from r.stdout.splitlines()


def check_sizes():
    """Functions and files stay small enough to read."""
    if not shutil.which("pmccabe"):
        raise LookupError("no pmccabe here")
    for path in PRODUCT:
        lines = text(path).count("\n")
        if lines > MAX_FILE_LINES:
            yield f"{path}: {lines} lines (at most {MAX_FILE_LINES})"
    out = subprocess.run(["pmccabe", *[f for f in PRODUCT if f.endswith(".c")]], capture_output=True, text=True, check=False).stdout
    for row in out.splitlines():
        fields = row.split("\t")
        if len(fields) < 6 or not fields[0].isdigit():
            continue
        mccabe, lines, where = int(fields[0]), int(fields[4]), fields[5]
        if mccabe > MAX_MCCABE:
            yield f"{where}: McCabe {mccabe} (at most {MAX_MCCABE})"
        if lines > MAX_FUNCTION_LINES:
            yield f"{where}: {lines} lines (at most {MAX_FUNCTION_LINES})"


def check_lines():
    """No tabs, no trailing blanks, a newline at the end."""
    for path in C_FILES + tracked(".py", ".sh", ".build"):
        source = text(path)
        if source and not source.endswith("\n"):
            yield f"{path}: no newline at its end"
        for number, line in enumerate(source.split("\n"), 1):
            if "\t" in line and not path.endswith(".sh"):
                yield f"{path}:{number}: tab"
            if line != line.rstrip():
                yield f"{path}:{number}: blanks at the end"


def check_machine_paths():
    """Nothing in the tree knows the machine it was written on."""
    for path in tracked(".c", ".h", ".md", ".py", ".sh", ".1", ".sql", ".build", ".txt", ".ini", ".xml", ".json"):
        if path == "tests/lint/lint.py" or path.startswith(("tests/vectors/data/", "tests/screen/")):
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            m = MACHINE.search(line)
            if m and not path.startswith("tests/"):
                yield f"{path}:{number}: {m[0]}"
            elif m and m[0] == "/tmp/b-":
                yield f"{path}:{number}: {m[0]}"


def check_unfinished():
    """Work that is left to do is an issue, not a comment."""
    for path in PRODUCT:
        for number, line in enumerate(text(path).splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                yield f"{path}:{number}: {line.strip()[:80]}"


def check_shell():
    """Every script is at least readable to its shell."""
    for path in tracked(".sh") + [p for p in (".ci/run",) if os.path.exists(p)]:
        r = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
        if r.returncode:
            yield r.stderr.strip()
        if not os.access(path, os.X_OK):
            yield f"{path}: is not executable"


def check_manual():
    """The manual page parses without a warning."""
    page = "assets/hoist.1"
    if not os.path.exists(page):
        yield f"{page} is missing"
    elif not shutil.which("man"):
        raise LookupError("no man here")
    else:
        r = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], capture_output=True, text=True, check=False,
                           env={**os.environ, "LC_ALL": "C.UTF-8"})
        yield from r.stderr.strip().splitlines()


def check_named_tests():
    """Every test that the README's table of roads names is there."""
    table = [line for line in text("README.md").splitlines() if line.startswith("| `") and re.search(r"`\w+:\w+`", line)]
    if not table:
        yield "README.md: the table of roads names no test"
    for file, name in re.findall(r"`(\w+):(\w+)`", "\n".join(table)):
        path = f"tests/e2e/test_{file}.py"
        if not os.path.isfile(path) or not re.search(rf"^def (test_|case_|){name}\(", text(path), re.M):
            yield f"README.md names {file}:{name}, but {path} has no such test"


CHECKS = collections.OrderedDict((n[6:].replace("_", "-"), f) for n, f in list(globals().items()) if n.startswith("check_"))


def main():
    bad = 0
    print(f"1..{len(CHECKS)}", flush=True)
    for number, (name, check) in enumerate(CHECKS.items(), 1):
        try:
            found = list(check())
        except LookupError as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
            continue
        for complaint in found[:60]:
            for line in complaint.splitlines():
                print(f"# {line}")
        if len(found) > 60:
            print(f"# ... {len(found) - 60} more")
        print(f"{'not ok' if found else 'ok'} {number} - {name}", flush=True)
        bad += bool(found)
    return 1 if bad else 0


sys.exit(main())
