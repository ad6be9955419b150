#!/usr/bin/env python3
"""Eight clones push twenty commits each, at once: to branches of their own, then all to one.

    races.py PATH/TO/mver [--url DIR_OR_S3] [--clones 8] [--commits 20]
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading


def run(options, cwd, *args, name="race"):
    env = {k: v for k, v in os.environ.items() if k.startswith("AWS_")}
    env |= {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C"}
    env |= {"MV_AUTHOR_NAME": name, "MV_AUTHOR_EMAIL": f"{name}@race"}
    return subprocess.run([options.mver, *args], cwd=cwd, env=env, capture_output=True, text=True)


def must(options, cwd, *args, name="race"):
    done = run(options, cwd, *args, name=name)
    if done.returncode != 0:
        raise RuntimeError(f"{args}: exit {done.returncode}: {done.stderr}")
    return done.stdout


class Clone(threading.Thread):
    def __init__(self, options, work, url, number, one_branch):
        super().__init__()
        self.options, self.url, self.one = options, url, one_branch
        self.label, self.root = f"c{number}", work / f"c{number}"
        self.ids, self.losses, self.wrong = [], 0, []

    def run(self):
        try:
            self.work()
        except Exception as error:  # noqa: BLE001 - a thread must tell
            self.wrong.append(f"{self.label}: {error}")

    def work(self):
        options = self.options
        must(options, self.root.parent, "clone", self.url, self.root.name)
        if not self.one:
            must(options, self.root, "checkout", "-b", self.label)
        for n in range(options.commits):
            (self.root / f"{self.label}-{n}.txt").write_text(f"{self.label} {n}\n")
            out = must(options, self.root, "--json", "commit", "-m", f"{self.label} {n}", name=self.label)
            self.ids.append(json.loads(out)["id"])
            while True:
                done = run(options, self.root, "push")
                if done.returncode == 0:
                    break
                if done.returncode != 5:
                    raise RuntimeError(f"push: exit {done.returncode}: {done.stderr}")
                if self.one and "fetch first" not in done.stderr:
                    raise RuntimeError(f"a loser is not told to fetch first: {done.stderr}")
                self.losses += 1
                if self.one:
                    must(options, self.root, "pull")


def race(options, one_branch):
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="races", dir=base) as work:
        work = pathlib.Path(work)
        url = f"{options.url}/{'one' if one_branch else 'own'}" if options.url else str(work / "remote")
        first = work / "first"
        first.mkdir()
        (first / "README").write_text("race\n")
        for args in (["init"], ["commit", "-m", "first"], ["remote", "add", "origin", url], ["push"]):
            must(options, first, *args)
        clones = [Clone(options, work, url, n, one_branch) for n in range(options.clones)]
        for clone in clones:
            clone.start()
        for clone in clones:
            clone.join()
        wrong = [one for clone in clones for one in clone.wrong]
        must(options, work, "clone", url, "last")
        must(options, work / "last", "fsck", "--full")
        reached = set()
        for branch in json.loads(must(options, work / "last", "--json", "remote", "list"))[0]["branches"]:
            out = must(options, work / "last", "--json", "log", f"origin/{branch['name']}")
            reached |= {version["id"] for version in json.loads(out)}
        ids = [one for clone in clones for one in clone.ids]
        lost = [one for one in ids if one not in reached]
        losses = sum(clone.losses for clone in clones)
        what = "one branch" if one_branch else "own branches"
        print(f"{what}: {len(ids)} commits, {len(lost)} lost, {losses} races lost and told", flush=True)
        for line in wrong:
            print(f"WRONG {line}")
        return not wrong and not lost


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("mver", type=lambda p: str(pathlib.Path(p).resolve()))
    parser.add_argument("--url")
    parser.add_argument("--clones", type=int, default=8)
    parser.add_argument("--commits", type=int, default=20)
    options = parser.parse_args()
    outcomes = [race(options, one_branch) for one_branch in (False, True)]
    sys.exit(0 if all(outcomes) else 1)


if __name__ == "__main__":
    main()
