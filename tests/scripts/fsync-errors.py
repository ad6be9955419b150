#!/usr/bin/env python3
"""Lets the n-th sync of a commit fail, for every n, and looks at what mver makes of it.

strace makes the n-th fsync, fdatasync or syncfs return EIO (or ENOSPC) while `mver commit` runs. What
must hold: exit 6 (never 0), the old version is the newest one, `fsck --full` is clean, no descriptor
whose sync failed is synced again with success, and the next commit works.

    fsync-errors.py PATH/TO/mver

Needs Linux and strace; no root.
"""

import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

CALLS = "fsync,fdatasync,syncfs"


def main():
    mver = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as work:
        root = pathlib.Path(work) / "project"
        root.mkdir()
        env = {"PATH": "/usr/bin:/bin", "HOME": work, "LANG": "C", "RAYON_NUM_THREADS": "1",
               "MV_AUTHOR_NAME": "Crash", "MV_AUTHOR_EMAIL": "crash@lab"}

        def run(*args, check=True):
            done = subprocess.run([mver, *args], cwd=root, env=env, capture_output=True, text=True)
            if check and done.returncode != 0:
                sys.exit(f"{args}: exit {done.returncode}: {done.stderr}")
            return done

        def head():
            return json.loads(run("--json", "status").stdout)["head"]

        run("init")
        (root / "a.bin").write_bytes(random.Random(1).randbytes(300_000))
        run("commit", "-m", "first")
        points = bad = 0
        for error in ("EIO", "ENOSPC"):
            n = 0
            while True:
                n += 1
                before = head()
                (root / "b.bin").write_bytes(random.Random(f"{error}{n}").randbytes(300_000))
                trace = pathlib.Path(work) / "trace"
                args = ["strace", "-qq", "-f", "-o", trace, "-e", f"trace={CALLS},close"]
                args += ["-e", f"inject={CALLS}:error={error}:when={n}", mver, "commit", "-m", "x"]
                done = subprocess.run(args, cwd=root, env=env, capture_output=True, text=True)
                injected = [l for l in trace.read_text().splitlines() if "INJECTED" in l]
                if not injected:
                    if done.returncode != 0:
                        sys.exit(f"without an injected error: exit {done.returncode}: {done.stderr}")
                    break
                points += 1
                complaints = judge(done, before, head(), trace.read_text(), run)
                (root / "b.bin").unlink()
                run("commit", "--allow-empty", "-m", "goes on")
                for complaint in complaints:
                    bad += 1
                    print(f"FAIL {error} #{n}: {complaint}")
        print(f"{points} failed syncs, {bad} complaints")
        sys.exit(1 if bad else 0)


def judge(done, before, after, trace, run):
    if done.returncode == 0:
        yield "exit 0"
    elif done.returncode != 6:
        yield f"exit {done.returncode}: {done.stderr.strip()}"
    if "panicked" in done.stderr or not done.stderr.startswith("error: "):
        yield f"stderr: {done.stderr.strip()}"
    # A record whose directory could not be synced may be there; nothing else may.
    if done.returncode == 0 and after == before:
        yield "nothing was committed"
    failed = None
    for line in trace.splitlines():
        call = re.search(r"(fsync|fdatasync|syncfs|close)\((\d+)\)\s*=\s*(-?\d+)", line)
        if not call:
            continue
        name, handle, result = call.groups()
        if "INJECTED" in line:
            failed = handle
        elif handle == failed and name == "close":
            failed = None
        elif handle == failed and result == "0":
            yield f"descriptor {handle} was synced again after its sync had failed"
    report = run("fsck", "--full", check=False)
    if report.returncode != 0:
        yield f"fsck: {report.stdout}{report.stderr}"


if __name__ == "__main__":
    main()
