#!/usr/bin/env python3
"""Stops mver at every system call that matters, cuts the power, and looks at what is left.

For each scenario a small ext4 or XFS image is prepared once. Then, for each kind of system call and
each n, a copy is mounted, the command runs under strace, which kills it at its n-th such call, the
power is cut (FS_IOC_SHUTDOWN without a log flush drops every byte that was not synced), the image
is mounted again and judged. What must hold is the reliability contract: `fsck --full` is clean, a
version that was acknowledged is there, every version comes out byte for byte in an empty directory,
and the next commit works without any repair.

    crashlab.py PATH/TO/mver [--fs ext4,xfs] [--scenario commit,init,checkout,force,merge,stage,gc,push,pull,clone,remote-gc] [--no-power]

Needs root, Linux, strace, loop mounts, mkfs.ext4 or mkfs.xfs. Takes a few minutes.
"""

import argparse
import fcntl
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
BOOT_ID = "/proc/sys/kernel/random/boot_id"
NO_LOG_FLUSH = struct.pack("I", 2)
CALLS = [
    "rename,renameat,renameat2",
    "link,linkat",
    "unlink,unlinkat,rmdir",
    "fsync,fdatasync,syncfs",
    "write,pwrite64",
    "mkdir,mkdirat",
    "openat,openat2",
]


class Failed(Exception):
    """What the judge found wrong."""


def run(args, cwd=None, env=None, check=True):
    done = subprocess.run(args, cwd=cwd, env=env, capture_output=True, text=True)
    if check and done.returncode != 0:
        words = " ".join(map(str, args[-4:]))
        raise Failed(f"{words}: exit {done.returncode}: {' '.join(done.stderr.split())[:300]}")
    return done


class Disk:
    """An image that is copied, mounted, and loses its power."""

    def __init__(self, work, kind):
        self.kind, self.base = kind, work / "base.img"
        self.image, self.mount = work / "disk.img", work / "mnt"
        self.mount.mkdir()
        size = "400M" if kind == "xfs" else "64M"
        run(["truncate", "-s", size, self.base])
        flag = "-f" if kind == "xfs" else "-F"
        run([f"mkfs.{kind}", "-q", flag, self.base])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run(["umount", self.mount], check=False)

    def on(self, image):
        # A long commit interval: nothing reaches the disk by the passing of time.
        options = "loop,commit=300" if self.kind == "ext4" else "loop,nouuid"
        run(["mount", "-o", options, image, self.mount])

    def off(self):
        run(["umount", self.mount])

    def fresh(self):
        # A new file: the kernel may still be closing the one before.
        self.image.unlink(missing_ok=True)
        run(["cp", "--sparse=always", self.base, self.image])
        self.on(self.image)

    def cut(self):
        handle = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(handle)
        self.off()
        self.on(self.image)


class Program:
    """mver with a fixed environment."""

    def __init__(self, path, home):
        self.path = str(path)
        self.rebooted = None
        self.other_boot = str(pathlib.Path(home) / "boot-id")
        pathlib.Path(self.other_boot).write_text("00000000-0000-4000-8000-000000000000\n")
        self.env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C",
            "MV_AUTHOR_NAME": "Crash",
            "MV_AUTHOR_EMAIL": "crash@lab",
            "RAYON_NUM_THREADS": "1",
        }

    def __call__(self, root, *args, check=True):
        command = [self.path, *args]
        if self.rebooted:
            # After a power cut the machine has another boot id.
            script = f'mount --bind "$0" {BOOT_ID} && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", script, self.rebooted, *command]
        return run(command, cwd=root, env=self.env, check=check)

    def json(self, root, *args):
        return json.loads(self(root, "--json", *args).stdout)


def content(root):
    """Every file of a working tree: name to bytes, mode and kind."""
    found = {}
    for folder, dirs, names in os.walk(root):
        if ".mv" in dirs:
            dirs.remove(".mv")
        dirs[:] = [d for d in dirs if d != "lost+found"]
        for name in names:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, root)
            if os.path.islink(path):
                found[key] = ("link", os.readlink(path))
            else:
                mode = os.stat(path).st_mode & 0o100
                found[key] = (mode, pathlib.Path(path).read_bytes())
    return found


def compare(root, wanted):
    """Names that differ, with the lengths that are there."""
    there = content(root)
    names = sorted(n for n in set(there) | set(wanted) if there.get(n) != wanted.get(n))
    return ", ".join(f"{n} ({len(there[n][1]) if n in there else 'absent'})" for n in names)


def fill(root, seed, count=3, size=1 << 20):
    """A few large files that do not compress, and some small ones."""
    source = random.Random(seed)
    (root / "models").mkdir(exist_ok=True)
    (root / "src/deep").mkdir(parents=True, exist_ok=True)
    for n in range(count):
        (root / f"models/{n}.bin").write_bytes(source.randbytes(size * (n + 1)))
    for n in range(20):
        (root / f"src/deep/{n}.py").write_text(f"print({source.random()})\n")
    (root / "train.py").write_text(f"seed = {seed}\n")


class Scenario:
    """A prepared disk, a command to be stopped, and what must hold afterwards."""

    def __init__(self, program):
        self.mv = program
        self.versions = {}

    def commit(self, root, message):
        identity = self.mv.json(root, "commit", "-m", message)["id"]
        self.versions[identity] = content(root)
        return identity

    def sound(self, root):
        self.mv(root, "fsck", "--full")

    def comes_out(self, root, versions):
        """Each version, byte for byte, into an empty directory."""
        with tempfile.TemporaryDirectory() as copy:
            copy = pathlib.Path(copy)
            shutil.copytree(root / ".mv", copy / ".mv", symlinks=True)
            for identity, files in versions.items():
                self.mv(copy, "checkout", "--force", identity)
                if content(copy) != files:
                    raise Failed(f"{identity[:12]} comes out different")

    def goes_on(self, root):
        """The next commit works without repair, also one of what is there."""
        (root / "next.txt").write_text("next")
        self.mv(root, "commit", "-m", "next")
        self.sound(root)


class Commit(Scenario):
    name = "commit"
    action = ["commit", "-m", "second"]

    def prepare(self, root):
        self.mv(root, "init", "--name", "lab")
        fill(root, 1)
        self.first = self.commit(root, "first")
        fill(root, 2)
        self.second = content(root)

    def judge(self, root, acknowledged):
        self.sound(root)
        head = self.mv.json(root, "status")["head"]
        versions = dict(self.versions)
        if head != self.first:
            versions[head] = self.second
        elif acknowledged:
            raise Failed("an acknowledged commit is lost")
        self.comes_out(root, versions)
        self.goes_on(root)


class Init(Scenario):
    name = "init"
    action = ["init", "--name", "lab"]

    def prepare(self, root):
        fill(root, 1, count=1)

    def judge(self, root, acknowledged):
        done = self.mv(root, "status", check=False)
        if done.returncode not in (0, 1, 2) or (acknowledged and done.returncode != 0):
            raise Failed(f"status after init: exit {done.returncode}: {done.stderr}")
        self.mv(root, "init", "--name", "lab")
        self.versions.clear()
        self.commit(root, "first")
        self.sound(root)
        self.comes_out(root, self.versions)


class Checkout(Scenario):
    name = "checkout"
    action = ["checkout", "old"]

    def prepare(self, root):
        self.mv(root, "init", "--name", "lab")
        fill(root, 1)
        (root / "only-old.txt").write_text("old")
        self.first = self.commit(root, "first")
        self.mv(root, "branch", "old")
        fill(root, 2)
        os.remove(root / "only-old.txt")
        (root / "link").symlink_to("train.py")
        self.second = self.commit(root, "second")

    def judge(self, root, acknowledged):
        self.sound(root)
        status = self.mv.json(root, "status")
        if acknowledged and status["head"] != self.first:
            raise Failed("an acknowledged checkout is lost")
        there = content(root)
        # Neither version, and nothing said about it: that would be committed as the truth.
        if not status["unfinished"] and there != self.versions[status["head"]]:
            if status["clean"]:
                raise Failed("status calls a mixture clean")
            if self.mv(root, "commit", "-m", "mixture", check=False).returncode == 0:
                raise Failed(f"a mixture was committed: {sorted(there.items() ^ self.versions[status['head']].items())[:2]}"[:200])
        # The same command finishes, going back works as well, neither needs --force.
        for branch, identity in (("old", self.first), ("main", self.second)):
            self.mv(root, "checkout", branch)
            if content(root) != self.versions[identity]:
                raise Failed(f"`checkout {branch}` leaves another tree: {compare(root, self.versions[identity])}")
        self.comes_out(root, self.versions)
        self.goes_on(root)


class Force(Scenario):
    """What a forced checkout overwrites comes back wherever it was stopped."""

    name = "force"
    action = ["checkout", "--force", "old"]

    def prepare(self, root):
        self.mv(root, "init", "--name", "lab")
        fill(root, 1)
        self.first = self.commit(root, "first")
        self.mv(root, "branch", "old")
        fill(root, 2)
        self.second = self.commit(root, "second")
        (root / "train.py").write_text("uncommitted work\n")
        (root / "models/0.bin").write_bytes(random.Random(9).randbytes(1 << 20))
        self.work = content(root)
        os.sync()

    def judge(self, root, acknowledged):
        self.sound(root)
        if self.mv.json(root, "status")["unfinished"]:
            self.mv(root, *self.action)
        elif acknowledged and content(root) == self.work:
            raise Failed("an acknowledged checkout is lost")
        # One undo for each time that the command ran.
        names = ("train.py", "models/0.bin")
        for _ in range(2):
            there = content(root)
            if all(there.get(name) == self.work[name] for name in names):
                break
            self.mv(root, "undo")
        there = content(root)
        for name in names:
            if there.get(name) != self.work[name]:
                raise Failed(f"uncommitted `{name}` is lost")
        self.comes_out(root, self.versions)
        self.goes_on(root)


class Gc(Scenario):
    name = "gc"
    late = "2040-01-01T00:00:00Z"
    action = ["gc", "--apply", "--keep-last", "1", "--keep-within", "1h"]

    def prepare(self, root):
        self.mv(root, "init", "--name", "lab")
        fill(root, 1)
        self.commit(root, "first")
        self.mv(root, "checkout", "-b", "side")
        fill(root, 3)
        self.commit(root, "side")
        self.versions.popitem()
        self.mv(root, "checkout", "main")
        self.mv(root, "branch", "-d", "side")
        fill(root, 2)
        self.commit(root, "second")
        self.mv.env["MV_NOW"] = self.late

    def judge(self, root, acknowledged):
        self.sound(root)
        self.comes_out(root, self.versions)
        self.mv.env["MV_NOW"] = "2040-01-03T00:00:00Z"
        self.mv(root, *self.action)
        self.mv.env["MV_NOW"] = "2040-01-05T00:00:00Z"
        self.mv(root, *self.action)
        self.sound(root)
        self.comes_out(root, self.versions)
        self.goes_on(root)
        self.mv.env["MV_NOW"] = self.late


class Merge(Scenario):
    """A merge with a conflict: wherever it was stopped, there is a way back and a way on."""

    name = "merge"
    action = ["merge", "side"]

    def prepare(self, root):
        self.mv(root, "init", "--name", "lab")
        fill(root, 1)
        (root / "gone.txt").write_text("base")
        self.commit(root, "base")
        self.mv(root, "checkout", "-b", "side")
        (root / "train.py").write_text("seed = 'theirs'\n")
        (root / "new.txt").write_text("theirs")
        (root / "models/1.bin").write_bytes(random.Random(7).randbytes(2 << 20))
        os.remove(root / "gone.txt")
        self.commit(root, "theirs")
        self.mv(root, "checkout", "main")
        (root / "train.py").write_text("seed = 'ours'\n")
        (root / "src/deep/0.py").write_text("ours\n")
        self.ours = self.commit(root, "ours")

    def judge(self, root, acknowledged):
        self.sound(root)
        status = self.mv.json(root, "status")
        if status["head"] != self.ours:
            raise Failed("a merge with conflicts moved HEAD")
        if status["unfinished"]:
            self.mv(root, "merge", "--abort")
        if content(root) != self.versions[self.ours]:
            raise Failed(f"going back leaves another tree: {compare(root, self.versions[self.ours])}")
        if not self.mv.json(root, "status")["clean"]:
            raise Failed("going back leaves changes")
        if self.mv(root, *self.action, check=False).returncode != 1:
            raise Failed("the merge cannot be begun again")
        self.mv(root, "merge", "--theirs", "--", "train.py")
        merged = self.mv.json(root, "commit")["id"]
        there = content(root)
        wanted = {"train.py": b"seed = 'theirs'\n", "src/deep/0.py": b"ours\n", "new.txt": b"theirs"}
        if any(there.get(name, (0, None))[1] != bytes for name, bytes in wanted.items()) or "gone.txt" in there:
            raise Failed("the merge holds something else")
        if len(self.mv.json(root, "show")["parents"]) != 2:
            raise Failed("the merge has not two parents")
        self.comes_out(root, {**self.versions, merged: there})
        self.goes_on(root)


class Stage(Scenario):
    """A move of a stage happened or not, and its ledger is whole."""

    name = "stage"
    action = ["stage", "set", "production", "HEAD", "-m", "second"]

    def prepare(self, root):
        self.mv(root, "init", "--name", "lab")
        fill(root, 1, count=1)
        self.first = self.commit(root, "first")
        self.mv(root, "stage", "set", "production", "HEAD", "-m", "first")
        fill(root, 2, count=1)
        self.second = self.commit(root, "second")

    def judge(self, root, acknowledged):
        self.sound(root)
        moves = self.mv.json(root, "stage", "history", "production")
        targets = [move["to"] for move in moves]
        if targets not in ([self.first], [self.first, self.second]):
            raise Failed(f"the ledger says {targets}")
        if acknowledged and len(targets) != 2:
            raise Failed("an acknowledged move is lost")
        self.comes_out(root, self.versions)
        self.goes_on(root)


class Push(Scenario):
    """Project and remote on one disk: wherever a push was stopped, both are sound, and a second push ends it."""

    name = "push"
    action = ["push"]

    def prepare(self, root):
        self.mv(root, "init", "--name", "lab")
        fill(root, 1, count=1)
        self.first = self.commit(root, "first")
        self.mv(root, "remote", "add", "origin", "../remote")
        self.mv(root, "push")
        fill(root, 2, count=2)
        self.second = self.commit(root, "second")
        self.mv(root, "tag", "v1.0.0")

    def cloned(self, root):
        """The head of a fresh clone of the remote, checked whole."""
        with tempfile.TemporaryDirectory() as copy:
            copy = pathlib.Path(copy) / "clone"
            self.mv(root, "clone", str(root.parent / "remote"), str(copy))
            self.sound(copy)
            head = self.mv.json(copy, "status")["head"]
            if content(copy) != self.versions[head]:
                raise Failed(f"a clone differs: {compare(copy, self.versions[head])}")
            return head

    def judge(self, root, acknowledged):
        self.sound(root)
        if self.cloned(root) != self.second and acknowledged:
            raise Failed("an acknowledged push is lost")
        self.mv(root, "push")
        if self.cloned(root) != self.second:
            raise Failed("a second push does not end it")
        self.comes_out(root, self.versions)
        self.goes_on(root)


class Pull(Push):
    """Versions of somebody else arrive whole or not at all."""

    name = "pull"
    action = ["pull"]

    def prepare(self, root):
        other = root.parent / "other"
        other.mkdir()
        self.mv(other, "init", "--name", "lab")
        fill(other, 1, count=1)
        self.first = self.commit(other, "first")
        self.mv(other, "remote", "add", "origin", "../remote")
        self.mv(other, "push")
        self.mv(root.parent, "clone", "remote", str(root))
        fill(other, 2, count=2)
        self.second = self.commit(other, "second")
        self.mv(other, "tag", "v1.0.0")
        self.mv(other, "push")

    def judge(self, root, acknowledged):
        self.sound(root)
        if self.mv.json(root, "status")["head"] != self.second and acknowledged:
            raise Failed("an acknowledged pull is lost")
        self.mv(root, "pull")
        if content(root) != self.versions[self.second]:
            raise Failed(f"a second pull does not end it: {compare(root, self.versions[self.second])}")
        self.comes_out(root, self.versions)
        self.goes_on(root)


class Clone(Push):
    """A clone that was stopped is no repository, or says that it is not finished; again ends it."""

    name = "clone"
    action = ["clone", "../remote", "."]

    def prepare(self, root):
        other = root.parent / "other"
        other.mkdir()
        self.mv(other, "init", "--name", "lab")
        fill(other, 1, count=2)
        self.second = self.commit(other, "first")
        self.mv(other, "remote", "add", "origin", "../remote")
        self.mv(other, "push")

    def judge(self, root, acknowledged):
        status = self.mv(root, "--json", "status", check=False)
        if status.returncode == 0:
            status = json.loads(status.stdout)
            whole = content(root) == self.versions[self.second]
            if not whole and not status["unfinished"]:
                raise Failed("a part of a clone passes for a clone")
        elif acknowledged:
            raise Failed("an acknowledged clone is lost")
        if not acknowledged:
            done = self.mv(root, *self.action, check=False)
            if done.returncode and "already" not in done.stderr:
                raise Failed(f"a second clone fails: {done.stderr}")
        self.sound(root)
        self.comes_out(root, self.versions)
        status = self.mv.json(root, "status")
        if status["unfinished"]:
            self.mv(root, "checkout", "--force", "HEAD")
        if content(root) != self.versions[self.second]:
            raise Failed(f"the clone differs: {compare(root, self.versions[self.second])}")
        self.goes_on(root)


class RemoteGc(Push):
    """A gc of the remote, stopped anywhere, costs no version."""

    name = "remote-gc"
    action = ["gc", "--remote", "origin", "--apply", "--grace", "0s", "--keep-last", "0"]

    def prepare(self, root):
        self.mv(root, "init", "--name", "lab")
        fill(root, 1, count=1)
        self.commit(root, "first")
        self.mv(root, "remote", "add", "origin", "../remote")
        self.mv(root, "push")
        self.mv(root, "checkout", "-b", "side")
        fill(root, 3, count=1)
        self.commit(root, "side")
        self.mv(root, "push")
        self.mv(root, "checkout", "main")
        self.mv(root, "push", "origin", "--delete", "side")
        fill(root, 2, count=2)
        self.second = self.commit(root, "second")
        self.mv(root, "push")

    def judge(self, root, acknowledged):
        self.sound(root)
        for _ in range(2):
            if self.cloned(root) != self.second:
                raise Failed("the remote lost a version")
            self.mv(root, *self.action)
        self.mv(root, "push")
        self.comes_out(root, self.versions)
        self.goes_on(root)


def stop_at(program, root, action, calls, n):
    """Runs the command; kills it at its n-th call of these. Returns its exit code, or none."""
    args = ["strace", "-qq", "-f", "-o", "/dev/null", "-e", f"trace={calls}"]
    args += ["-e", f"inject={calls}:signal=SIGKILL:when={n}", program.path, *action]
    done = run(args, cwd=root, env=program.env, check=False)
    return None if done.returncode in (137, -9) else done.returncode


def sweep(kind, scenario, power, most):
    points, failures = 0, []
    with tempfile.TemporaryDirectory(prefix="crashlab") as work:
        work = pathlib.Path(work)
        with Disk(work, kind) as disk:
            disk.on(disk.base)
            root = disk.mount / "project"
            root.mkdir()
            scenario.prepare(root)
            os.sync()
            disk.off()

            def point(label, stop):
                nonlocal points
                disk.fresh()
                code = None
                try:
                    code = stop()
                    if power:
                        disk.cut()
                        scenario.mv.rebooted = scenario.mv.other_boot
                    scenario.judge(root, code == 0)
                except Failed as why:
                    failures.append(f"{label}: {why}")
                    print(f"FAIL {kind} {scenario.name} {label}: {why}", flush=True)
                finally:
                    scenario.mv.rebooted = None
                    disk.off()
                points += 1
                return code

            def whole():
                return scenario.mv(root, *scenario.action, check=False).returncode

            point("after exit 0", whole)
            for calls in CALLS:
                before_all = len(failures)
                for n in range(1, most + 1):
                    label = f"{calls}#{n}"
                    code = point(label, lambda: stop_at(scenario.mv, root, scenario.action, calls, n))
                    if code is not None or len(failures) - before_all > 5:
                        break
    return points, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("mver", type=pathlib.Path)
    parser.add_argument("--fs", default="ext4,xfs")
    parser.add_argument("--scenario", default="commit,init,checkout,force,merge,stage,gc,push,pull,clone,remote-gc")
    parser.add_argument("--most", type=int, default=60, help="points of one kind of call")
    parser.add_argument("--no-power", action="store_true", help="only kill, as kill -9 does")
    options = parser.parse_args()
    scenarios = {s.name: s for s in (Commit, Init, Checkout, Force, Merge, Stage, Gc, Push, Pull, Clone, RemoteGc)}
    bad = 0
    with tempfile.TemporaryDirectory() as home:
        for kind in options.fs.split(","):
            for name in options.scenario.split(","):
                scenario = scenarios[name](Program(options.mver.resolve(), home))
                points, failures = sweep(kind, scenario, not options.no_power, options.most)
                print(f"{kind} {name}: {points} points, {len(failures)} failed", flush=True)
                bad += len(failures)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
