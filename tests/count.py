#!/usr/bin/env python3
"""count.py FILE...: sums up meson's test logs (one JSON object a line) by single test cases and prints the closing line.

A program that printed its plan and then crashed, hung or leaked counts as one more failure; a log that is missing as well.
"""
import json
import re
import sys

CASE = re.compile(r"^(not )?ok\b(.*)")
SKIP = re.compile(r"#\s*skip\b", re.I)


def count(test):
    passed, failed, skipped, names = 0, 0, 0, []
    for line in test.get("stdout", "").splitlines():
        m = CASE.match(line)
        if not m:
            continue
        if m[1]:
            failed += 1
            names.append(m[2].lstrip(" 0123456789-"))
        elif SKIP.search(m[2]):
            skipped += 1
        else:
            passed += 1
    result = test["result"]
    if result == "SKIP" and passed + failed + skipped == 0:
        skipped = 1
    elif result not in ("OK", "SKIP", "EXPECTEDFAIL") and failed == 0:
        failed = 1
        names.append(f"{result.lower()}, exit status {test.get('returncode')}")
    elif result == "OK" and passed + skipped == 0:
        failed = 1
        names.append("it ran no test case")
    return passed, failed, skipped, [f"{test['name']}: {n}" for n in names]


def main(files):
    total = [0, 0, 0]
    bad = []
    for path in files:
        try:
            with open(path, encoding="utf-8", errors="replace") as f:
                tests = [json.loads(line) for line in f if line.strip()]
        except OSError:
            tests = []
        if not tests:
            total[1] += 1
            bad.append(f"{path}: no test ran")
        for test in tests:
            *numbers, names = count(test)
            total = [a + b for a, b in zip(total, numbers)]
            bad += names
    for name in bad:
        print(f"FAILED {name}")
    print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
    return 1 if total[1] else 0


sys.exit(main(sys.argv[1:]))
