#!/usr/bin/env python3
"""Pushers, cloners and gcs at one shared directory, killed at random, for some minutes.

Each pusher works in a clone of its own: it commits, pushes to its branch or to the one that all share,
pulls when it was told to, and writes down what was acknowledged. Cloners clone and check. Gcs clean
up the remote with no grace at all. All of them are killed with SIGKILL now and then, at any moment.
At the end everything that was ever acknowledged must be in a fresh clone, byte for byte.

    soak.py PATH/TO/mver [--minutes 10] [--url DIR_OR_S3] [--seed 1]
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time


class Mver:
    """The program with a fixed environment, sometimes killed."""

    def __init__(self, path, name, rng, kills):
        self.path, self.rng, self.kills = str(path), rng, kills
        self.killed = 0
        self.env = {k: v for k, v in os.environ.items() if k.startswith("AWS_")}
        self.env |= {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C"}
        self.env |= {"MV_AUTHOR_NAME": name, "MV_AUTHOR_EMAIL": f"{name}@soak"}

    def __call__(self, cwd, *args):
        """Exit code, stdout, stderr; the code is none when it was killed."""
        process = subprocess.Popen([self.path, *args], cwd=cwd, env=self.env, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        timer = None
        if self.rng.random() < self.kills:
            delay = self.rng.choice([0.002, 0.01, 0.03, 0.06, 0.1, 0.2]) * self.rng.random() * 2
            timer = threading.Timer(delay, process.send_signal, [signal.SIGKILL])
            timer.start()
        out, err = process.communicate()
        if timer:
            timer.cancel()
        if process.returncode == -signal.SIGKILL:
            self.killed += 1
            return None, out, err
        return process.returncode, out, err


class Actor(threading.Thread):
    """One user until the time is up. Anything that must not happen goes into `wrong`."""

    def __init__(self, number, options, work, until):
        super().__init__()
        self.rng = random.Random(f"{options.seed}/{self.kind}/{number}")
        self.name = f"{self.kind}{number}"
        self.mv = Mver(options.mver, self.name, self.rng, options.kills)
        self.sure = Mver(options.mver, self.name, self.rng, 0)
        self.url, self.work, self.until = options.url, work / self.name, until
        self.work.mkdir()
        self.wrong, self.done = [], 0

    def run(self):
        try:
            self.begin()
            while time.monotonic() < self.until:
                self.step()
                self.done += 1
        except Exception as error:  # noqa: BLE001 - a thread must tell
            self.wrong.append(f"{self.name}: {error!r}")

    def expect(self, what, result, codes):
        code, out, err = result
        if code is not None and code not in codes:
            self.wrong.append(f"{self.name}: {what}: exit {code}: {err.strip()[:400]} {out.strip()[:200]}")
        if "panicked" in err or "internal error" in err:
            self.wrong.append(f"{self.name}: {what}: {err.strip()[:400]}")
        return code

    def clone(self, name, mv):
        """A clone in a new directory; again until one was not killed."""
        root = self.work / name
        for _ in range(200):
            shutil.rmtree(root, ignore_errors=True)
            code = self.expect("clone", mv(self.work, "clone", self.url, name), {0, 3, 5})
            # With no grace a pack may vanish under a reader, again and again: that is told (3 or 5).
            if code == 0:
                return root
        raise RuntimeError("no clone succeeds")


class Pusher(Actor):
    kind = "pusher"

    def begin(self):
        self.acknowledged = []
        self.root = self.clone("work", self.sure)
        self.sure(self.root, "checkout", "-b", self.name)
        self.own = self.name

    def step(self):
        rng, root = self.rng, self.root
        shared = rng.random() < 0.4
        branch = "main" if shared else self.own
        code, _, err = self.sure(root, "checkout", "--force", branch)
        if code != 0:
            raise RuntimeError(f"checkout {branch}: {err}")
        (root / "data").mkdir(exist_ok=True)
        name = root / "data" / f"{self.name}-{rng.randrange(6)}.bin"
        name.write_bytes(rng.randbytes(rng.choice([100, 5_000, 90_000, 700_000])))
        self.expect("commit", self.mv(root, "commit", "-m", f"{self.name} {self.done}"), {0, 1, 5})
        for _ in range(30):
            code = self.expect("push", self.mv(root, "push", "origin", branch), {0, 5})
            if code == 0:
                _, out, _ = self.sure(root, "--json", "show", branch)
                self.acknowledged.append(json.loads(out)["id"])
                return
            if code == 5 and shared:
                merged = self.expect("pull", self.mv(root, "pull"), {0, 1, 3, 5})
                if merged == 1:
                    self.sure(root, "merge", "--abort")
                    self.sure(root, "checkout", "--force", branch)
            if code is None:
                self.sure(root, "checkout", "--force", branch)
            if time.monotonic() > self.until:
                return


class Cloner(Actor):
    kind = "cloner"

    def begin(self):
        pass

    def step(self):
        root = self.clone(f"c{self.done}", self.mv)
        code, out, err = self.sure(root, "fsck", "--full")
        if code != 0:
            self.wrong.append(f"{self.name}: a clone is damaged: {out}{err}")
        shutil.rmtree(root, ignore_errors=True)


class Gc(Actor):
    kind = "gc"

    def begin(self):
        self.root = self.clone("work", self.sure)
        self.sure(self.root, "checkout", "-b", f"gone-{self.name}")

    def step(self):
        # Something to collect: a branch that is pushed and deleted again.
        if self.rng.random() < 0.5:
            (self.root / "junk.bin").write_bytes(self.rng.randbytes(300_000))
            self.sure(self.root, "commit", "-m", "junk")
            self.expect("push", self.mv(self.root, "push", "origin", f"gone-{self.name}"), {0, 5})
            self.expect("delete", self.mv(self.root, "push", "origin", "--delete", f"gone-{self.name}"), {0, 2, 5})
        gc = ["gc", "--remote", "origin", "--apply", "--grace", "0s", "--keep-last", "0"]
        self.expect("gc", self.mv(self.root, *gc), {0, 3, 5})
        if self.rng.random() < 0.1:
            self.expect("repack", self.mv(self.root, "repack", "--remote", "origin"), {0, 3, 5})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("mver", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--url", help="a bucket; a new directory when not given")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=float, default=0.25, help="share of commands that are killed")
    parser.add_argument("--pushers", type=int, default=3)
    parser.add_argument("--cloners", type=int, default=2)
    parser.add_argument("--gcs", type=int, default=2)
    options = parser.parse_args()
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="soak", dir=base) as work:
        work = pathlib.Path(work)
        options.url = options.url or str(work / "remote")
        first = work / "first"
        first.mkdir()
        mv = Mver(options.mver, "first", random.Random(0), 0)
        (first / "README").write_text("soak\n")
        for args in (["init"], ["commit", "-m", "first"], ["remote", "add", "origin", options.url], ["push"]):
            code, out, err = mv(first, *args)
            if code != 0:
                sys.exit(f"{args}: {out}{err}")
        until = time.monotonic() + options.minutes * 60
        kinds = [(Pusher, options.pushers), (Cloner, options.cloners), (Gc, options.gcs)]
        actors = [kind(n, options, work, until) for kind, count in kinds for n in range(count)]
        for actor in actors:
            actor.start()
        for actor in actors:
            actor.join()
        wrong = [one for actor in actors for one in actor.wrong]
        # Everything that was acknowledged is in a fresh clone, whole.
        code, out, err = mv(work, "clone", options.url, "last")
        if code != 0:
            wrong.append(f"the last clone: exit {code}: {err}")
        last = work / "last"
        code, out, err = mv(last, "fsck", "--full")
        if code != 0:
            wrong.append(f"the last clone is damaged: {out}{err}")
        reached = set()
        _, out, _ = mv(last, "--json", "remote", "list")
        for branch in json.loads(out)[0]["branches"]:
            _, out, _ = mv(last, "--json", "log", f"origin/{branch['name']}")
            reached |= {version["id"] for version in json.loads(out)}
        acknowledged = [one for actor in actors if isinstance(actor, Pusher) for one in actor.acknowledged]
        lost = [one for one in acknowledged if one not in reached]
        wrong += [f"acknowledged and lost: {one}" for one in lost]
        killed = sum(actor.mv.killed for actor in actors)
        counts = ", ".join(f"{actor.name} {actor.done}" for actor in actors)
        print(f"{len(acknowledged)} acknowledged pushes, {len(lost)} lost; {killed} commands killed; rounds: {counts}")
        for line in wrong[:40]:
            print(f"WRONG {line}")
        sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
