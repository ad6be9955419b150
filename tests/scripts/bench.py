#!/usr/bin/env python3
"""Measures `mv` beside the tools one would use instead, and against the bars it has to keep.

    bench.py --mv target/release/mver [--rows status,weights] [--tools git,restic] [--reps 3]
             [--work DIR] [--disk DIR] [--data DIR] [--json FILE]
    bench.py --list

Every row makes a seeded workload below --work (a memory file system by default; the rows `big` and
`memory` use --disk), runs all tools on it in turn, A B C A B C, so that a slow moment of the machine
hits all of them, prints medians with the ratio to `mv`, and deletes what it made. Only the history
of the row `log` is kept in --work/history, because it takes minutes.

Tools are looked for on PATH; DVC_BIN, RUSTIC_BIN, HF_XET_PYTHON (a Python that has `hf_xet`) and
STAT_WALK (`cargo build --release --example stat_walk -p mv-repo`) name them elsewhere. What is not
found is left out. --data names a directory of fp32 `.safetensors` files; without it weights are
made up. Python 3.9, standard library only, Linux.
"""

import argparse
import array
import json
import os
import pathlib
import random
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import time

MB = 1_000_000
BLOCK = 8 * MB

# Every tool works in a folder with the workload in `data`; {store} is a folder of its own beside it.
# A first commit is "init" and "commit", every other one is "commit"; "out" writes the newest version
# into the emptied folder; "keeps" is where the tool's bytes lie.
GIT = {
    "find": "git", "init": ["git init -q"], "commit": ["git add -A", "git commit -q -m next"],
    "status": ["git status --porcelain"], "out": ["git checkout -q -f HEAD -- ."], "log": ["git log"],
    "keeps": "{tree}/.git",
}
TOOLS = {
    "mv": {
        "find": "mver", "init": ["{mv} -q init"], "commit": ["{mv} -q commit -m next"],
        "status": ["{mv} status"], "out": ["{mv} -q checkout -f HEAD"], "log": ["{mv} log"], "keeps": "{tree}/.mv",
    },
    "git": GIT,
    "git-lfs": {
        **GIT, "find": "git-lfs", "init": ["git init -q", "git lfs install --local", "git lfs track data/**"],
    },
    "dvc": {
        **GIT, "find": "dvc", "init": ["git init -q", "{dvc} init -q"], "commit": ["{dvc} add -q data", *GIT["commit"]],
        "out": ["{dvc} checkout -q"], "keeps": "{tree}/.dvc",
    },
    "restic": {
        "find": "restic", "init": ["restic -q -r {store}/r init"], "commit": ["restic -q -r {store}/r backup data"],
        "out": ["restic -q -r {store}/r restore latest --target ."], "keeps": "{store}/r",
    },
    "rustic": {
        "find": "rustic", "init": ["{rustic} -r {store}/r init"], "commit": ["{rustic} -r {store}/r backup data"],
        "out": ["{rustic} -r {store}/r restore latest:data data"], "keeps": "{store}/r",
    },
    "casync": {
        "find": "casync", "commit": ["casync make --with=unix --store={store}/r.castr {store}/v.caidx data"],
        "out": ["casync extract --with=unix --store={store}/r.castr {store}/v.caidx data"], "keeps": "{store}",
    },
    "hf-xet": {
        "find": "python of hf_xet", "commit": ["{hf_xet} -c {xet} up {store}"],
        "out": ["{hf_xet} -c {xet} down {store}"], "keeps": "{store}",
    },
    "stat walk": {"find": "stat_walk", "status": ["{stat_walk} ."]},
    "cp": {"find": "cp", "commit": ["cp -r data {store}/copy"], "out": ["cp -r {store}/copy data"]},
    "cp + b3sum": {"find": "b3sum", "commit": ["cp -r data {store}/copy", "find data -type f -exec b3sum {{}} +"]},
    "cp + b3sum + sync": {
        "find": "b3sum",
        "commit": ["cp -r data {store}/copy", "find data -type f -exec b3sum {{}} +", "sync -f {store}"],
    },
}
VARIABLES = {"dvc": "DVC_BIN", "rustic": "RUSTIC_BIN", "hf-xet": "HF_XET_PYTHON", "stat walk": "STAT_WALK"}

# Uploads `data` into, or downloads it from, a store in a local folder.
XET = """
import json, os, sys, hf_xet
what, store = sys.argv[1:]
end, kept = f"local://{store}/cas", f"{store}/files.json"
if what == "up":
    paths = sorted(os.path.join(d, n) for d, _, names in os.walk("data") for n in names)
    done = hf_xet.upload_files(paths, end, None, None, None, None, skip_sha256=True)
    json.dump([(p, f.hash, f.file_size) for p, f in zip(paths, done)], open(kept, "w"))
else:
    files = json.load(open(kept))
    for path in {os.path.dirname(p) for p, _, _ in files}:
        os.makedirs(path, exist_ok=True)
    hf_xet.download_files([hf_xet.PyXetDownloadInfo(*f) for f in files], end, None, None, None)
"""


class Failed(Exception):
    """A command did not end with 0."""


# ---------------------------------------------------------------- workloads

WORDS = """a the of on in with near man woman child dog cat horse bird car bus train street table chair
window field river snow beach red green blue small large old young runs sits stands holds eats plays""".split()


def records(folder, count, dirs, low, high, seed):
    """`count` captions with boxes, one JSON file each, of `low` to `high` bytes."""
    rng = random.Random(seed)
    for d in range(dirs):
        (folder / f"{d:03}").mkdir(parents=True)
    for i in range(count):
        size = rng.randint(low, high)
        caption = " ".join(rng.choices(WORDS, k=size // 7))
        boxes = [round(rng.uniform(0, 640), 3) for _ in range(size // 45)]
        text = json.dumps({"image": f"{i:012}.jpg", "caption": caption, "boxes": boxes})
        (folder / f"{i % dirs:03}" / f"{i:06}.json").write_text(text)


def tiny(folder):
    """100,000 files, about 31 MB, in 500 folders."""
    records(folder, 100_000, 500, 50, 525, 1)


def small(folder):
    """20,000 files, about 100 MB, in 200 folders."""
    records(folder, 20_000, 200, 1000, 9800, 2)


def noise(path, size, seed, mode="wb"):
    """Bytes that do not compress."""
    rng = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, mode) as f:
        while size > 0:
            f.write(rng.randbytes(min(BLOCK, size)))
            size -= BLOCK


def insert(path, at, seed):
    """Writes the file anew with 1 MB of noise inserted."""
    new = path.with_suffix(".new")
    with open(path, "rb") as old, open(new, "wb") as f:
        while at > 0:
            at -= f.write(old.read(min(BLOCK, at)))
        f.write(random.Random(seed).randbytes(MB))
        shutil.copyfileobj(old, f, BLOCK)
    new.replace(path)


def table_rows(count, seed, first=0):
    rng = random.Random(seed)
    for i in range(first, first + count):
        yield (f"{i},2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02},{rng.choice(WORDS)},{rng.gauss(0, 9):.6f},"
               f"{rng.random():.8f},{rng.randrange(10**7)},{rng.choice('ABCDE')}\n")


def table(folder):
    """A CSV of 2.3 million rows, about 130 MB."""
    folder.mkdir(parents=True)
    with open(folder / "table.csv", "w") as f:
        f.write("id,day,word,x,y,user,grade\n")
        f.writelines(table_rows(2_300_000, 3))


def seed_tensors(data):
    """Bytes of fp32 tensors: those of every safetensors file in `data`, or made-up ones."""
    if not data:
        rng = random.Random(4)
        return [array.array("f", (rng.gauss(0, 0.02) for _ in range(1 << 20))).tobytes()]
    bodies = []
    for path in sorted(pathlib.Path(data).glob("*.safetensors")):
        raw = path.read_bytes()
        bodies.append(raw[8 + int.from_bytes(raw[:8], "little"):])
    return bodies


def weights(folder, data):
    """A model.safetensors of 100 MB. The given tensors come first as they are; where there are not
    enough, they follow again with the lower 16 bits of every number, which are noise in trained
    weights, drawn anew, so that nothing is there twice."""
    folder.mkdir(parents=True)
    rng = random.Random(5)
    bodies = seed_tensors(data)
    tensors, size = {}, 0
    with open(folder / "model.safetensors", "wb") as f:
        f.seek(1 << 16)
        while size < 100 * MB:
            body = bytearray(bodies[len(tensors) % len(bodies)])
            if len(tensors) >= len(bodies):
                for lane in (0, 1):
                    body[lane::4] = rng.randbytes(len(body[lane::4]))
            f.write(body)
            name = f"layers.{len(tensors)}"
            tensors[name] = {"dtype": "F32", "shape": [len(body) // 4], "data_offsets": [size, size + len(body)]}
            size += len(body)
        head = json.dumps(tensors).encode().ljust((1 << 16) - 8)
        f.seek(0)
        f.write(len(head).to_bytes(8, "little") + head)


# ---------------------------------------------------------------- measuring

class Bench:
    """Where things lie, what was found, and what was measured."""

    def __init__(self, args):
        self.args, self.results = args, []
        self.base = pathlib.Path(args.work).resolve()
        home = self.base / "home"
        home.mkdir(parents=True, exist_ok=True)
        (home / ".gitconfig").write_text("[user]\nname = Bench\nemail = bench@example.com\n[gc]\nauto = 0\n"
                                         "[maintenance]\nauto = false\n[init]\ndefaultBranch = main\n")
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1",
            "MV_AUTHOR_NAME": "Bench", "MV_AUTHOR_EMAIL": "bench@example.com", "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(home / "dvc"), "RESTIC_PASSWORD": "bench", "RUSTIC_PASSWORD": "bench",
            "RUSTIC_NO_PROGRESS": "true", "HF_HOME": str(home / "hf"), "HF_XET_TELEMETRY_ENABLED": "0",
        }
        found = {name: os.environ.get(VARIABLES.get(name, "")) or shutil.which(tool["find"])
                 for name, tool in TOOLS.items()}
        found["mv"] = str(pathlib.Path(args.mv).resolve())
        self.found = {name: path for name, path in found.items() if path}
        self.words = {name.replace("-", "_").replace(" ", "_"): path for name, path in self.found.items()}
        self.words["xet"] = XET

    def here(self, *names):
        """Those of the tools that are here and asked for; `mv` always."""
        wanted = self.args.tools.split(",") if self.args.tools else names
        return [n for n in names if n in self.found and (n == "mv" or n in wanted)]

    def first(self, name, tree, store, files=None):
        return self.spend(name, ["init", "commit"], tree, store, files)

    def spend(self, name, steps, tree, store, files=None):
        """Runs steps of a tool; seconds and peak memory in bytes. `files` limits open files."""
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        seconds, peak = 0.0, 0
        for line in [line for step in steps for line in TOOLS[name].get(step, [])]:
            argv = [word.format(**self.words, tree=tree, store=store) for word in shlex.split(line)]
            with open(self.base / "errors", "w+") as errors:
                start = time.perf_counter()
                child = subprocess.Popen(argv, cwd=tree, env=self.env, stdin=subprocess.DEVNULL, stderr=errors,
                                         stdout=subprocess.DEVNULL, preexec_fn=limit if files else None)
                _, status, used = os.wait4(child.pid, 0)
                seconds += time.perf_counter() - start
                child.returncode = os.waitstatus_to_exitcode(status)
                if child.returncode:
                    errors.seek(0)
                    raise Failed(f"{line}: exit {child.returncode}: {errors.read()[-500:]}")
            peak = max(peak, used.ru_maxrss * 1024)
        return seconds, peak

    def bytes_of(self, name, tree, store):
        root = TOOLS[name]["keeps"].format(tree=tree, store=store)
        return sum(os.lstat(os.path.join(d, n)).st_size for d, _, names in os.walk(root) for n in names)

    def place(self, name, disk=False):
        """An empty work folder."""
        base = pathlib.Path(self.args.disk).resolve() if disk else self.base
        path = base / f"bench-{os.getpid()}" / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def tell(self, row, what, values, unit="s", bars=()):
        """Prints and keeps {tool: measurements}. A bar is (limit,) or (tool, factor); tools that
        must not be faster have the factor 1."""
        medians = {name: statistics.median(v) for name, v in values.items() if v}
        mine = medians.get("mv")
        print(f"\n**{what}**\n\n| tool | median, {unit} | least | most | times mv |\n|---|---|---|---|---|")
        for name in sorted(medians, key=medians.get):
            ratio = f"{medians[name] / mine:.2f}" if mine else ""
            print(f"| {name} | {medians[name]:.4g} | {min(values[name]):.4g} | {max(values[name]):.4g} | {ratio} |")
        print()
        verdicts = []
        for bar in bars:
            if len(bar) == 2 and bar[0] not in medians:
                continue
            limit = bar[0] if len(bar) == 1 else medians[bar[0]] * bar[1]
            text = f"at most {bar[0]:g} {unit}" if len(bar) == 1 else f"at most {bar[1]:g} x {bar[0]}"
            verdicts.append({"bar": text, "limit": limit, "met": mine <= limit})
            print(f"Bar: {text} ({limit:.4g} {unit}): {'met' if mine <= limit else 'MISSED'}")
        sys.stdout.flush()
        self.results.append({"row": row, "what": what, "unit": unit, "values": values, "bars": verdicts})

    def firsts(self, names, make):
        """Times of the first commit of what `make(data)` lays out, and the bytes it leaves."""
        tree, store = self.place("tree"), self.place("store")
        make(tree / "data")
        seconds, sizes = {n: [] for n in names}, {n: [] for n in names}
        for _ in range(self.args.reps):
            for name in names:
                clear(tree, store)
                seconds[name].append(self.first(name, tree, store)[0])
                if "keeps" in TOOLS[name]:
                    sizes[name].append(self.bytes_of(name, tree, store) / MB)
        logical = sum(p.stat().st_size for p in (tree / "data").rglob("*") if p.is_file()) / MB
        return seconds, sizes, logical


def clear(tree, store):
    """Leaves nothing but the workload."""
    for path in tree.iterdir():
        if path.name != "data":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()


def settle(disk):
    """Lets no tool pay for what another left to be written."""
    if disk:
        os.sync()


# ---------------------------------------------------------------- the rows

def row_status(b):
    """status of 100,000 unchanged files, and a commit when one of them changed"""
    names = b.here("mv", "git", "stat walk")
    places = {n: (b.place(f"tree-{i}"), b.place(f"store-{i}")) for i, n in enumerate(names)}
    for name, (tree, store) in places.items():
        tiny(tree / "data")
        if "commit" in TOOLS[name]:
            b.first(name, tree, store)
    time.sleep(1)
    seconds, commits = {n: [] for n in names}, {n: [] for n in names if "commit" in TOOLS[n]}
    for _ in range(5 * b.args.reps):
        for name in names:
            seconds[name].append(b.spend(name, ["status"], *places[name])[0])
    b.tell("status", "status, 100,000 unchanged files", seconds, bars=[("stat walk", 1.5), ("git", 1)])
    for i in range(2 * b.args.reps):
        for name in commits:
            (places[name][0] / "data/017/000017.json").write_text(f"changed {i}\n")
            commits[name].append(b.spend(name, ["commit"], *places[name])[0])
    b.tell("status", "commit of one changed file among 100,000", commits, bars=[(0.5,), ("git", 1)])


def row_noop(b):
    """status of a project with one file"""
    names = b.here("mv", "git")
    places = {n: (b.place(f"tree-{n}"), b.place(f"store-{n}")) for n in names}
    for name, (tree, store) in places.items():
        noise(tree / "data/x", 1000, 6)
        b.first(name, tree, store)
    seconds = {n: [] for n in names}
    for _ in range(20 * b.args.reps):
        for name in names:
            seconds[name].append(1000 * b.spend(name, ["status"], *places[name])[0])
    b.tell("noop", "status of a project with one file", seconds, "ms", [(10,)])


def row_weights(b):
    """first commit of 100 MB of fp32 weights"""
    names = b.here("mv", "hf-xet", "git-lfs", "dvc", "rustic", "restic", "git", "cp + b3sum")
    seconds, sizes, _ = b.firsts(names, lambda d: weights(d, b.args.data))
    b.tell("weights", "first commit of 100 MB of fp32 weights", seconds,
           bars=[("hf-xet", 1.5)] + [(n, 1) for n in ("git-lfs", "dvc", "rustic", "restic", "git")])
    b.tell("weights", "stored bytes of 100 MB of fp32 weights", sizes, "MB")


def row_small(b):
    """first commit of 20,000 small files"""
    seconds, sizes, logical = b.firsts(b.here("mv", "casync", "git", "hf-xet", "rustic", "restic"), small)
    b.tell("small", f"first commit of 20,000 small files, {logical:.0f} MB", seconds, bars=[(2,)])
    b.tell("small", f"stored bytes of 20,000 small files, {logical:.0f} MB", sizes, "MB", [(0.45 * logical,)])


def row_tiny(b):
    """first commit of 100,000 tiny files"""
    seconds, sizes, logical = b.firsts(b.here("mv", "casync", "git", "restic"), tiny)
    b.tell("tiny", f"first commit of 100,000 tiny files, {logical:.0f} MB", seconds, bars=[(4,)])
    b.tell("tiny", f"stored bytes of 100,000 tiny files, {logical:.0f} MB", sizes, "MB", [(20,)])


def row_big(b):
    """commit of 2 GB that do not compress, and again with 1 MB inserted (on --disk)"""
    names = b.here("mv", "hf-xet", "cp + b3sum", "cp + b3sum + sync")
    tree, store = b.place("tree", disk=True), b.place("store", disk=True)
    path = tree / "data/blob.bin"
    noise(path, 2000 * MB, 7)
    first, after, grown = ({n: [] for n in names} for _ in range(3))
    for rep in range(b.args.reps):
        for i, name in enumerate(names):
            clear(tree, store)
            settle(True)
            first[name].append(b.first(name, tree, store)[0])
            if "keeps" not in TOOLS[name]:
                continue
            before = b.bytes_of(name, tree, store)
            insert(path, 600 * MB, f"{rep} {i}")
            settle(True)
            after[name].append(b.spend(name, ["commit"], tree, store)[0])
            grown[name].append((b.bytes_of(name, tree, store) - before) / MB)
    b.tell("big", "first commit of 2 GB of noise, on a disk", first, bars=[("hf-xet", 1.5)])
    b.tell("big", "commit after 1 MB was inserted into 2 GB, on a disk", after, bars=[("hf-xet", 1.5)])
    b.tell("big", "stored bytes of 1 MB inserted into 2 GB", grown, "MB", [(2,)])


def row_checkout(b):
    """checkout of the newest version into an emptied folder"""
    def big(folder):
        noise(folder / "blob.bin", 2000 * MB, 7)

    # hf-xet needs a request for each file: half a minute for the small ones.
    loads = [("100 MB of weights", lambda d: weights(d, b.args.data), False, ["hf-xet", "git"]),
             ("a CSV of 130 MB", table, False, ["hf-xet", "git"]),
             ("20,000 small files", small, False, ["casync", "git"]),
             ("100,000 tiny files", tiny, False, ["casync", "git"]),
             ("2 GB of noise, in memory", big, False, ["hf-xet"]),
             ("2 GB of noise, on a disk", big, True, ["hf-xet"])]
    for what, make, disk, others in loads:
        names = b.here("mv", "cp", *others)
        seconds, places = {n: [] for n in names}, {}
        for i, name in enumerate(names):
            tree, store = places[name] = b.place(f"tree-{i}", disk), b.place(f"store-{i}", disk)
            make(tree / "data")
            b.first(name, tree, store)
        for _ in range(b.args.reps):
            for name in names:
                shutil.rmtree(places[name][0] / "data")
                settle(disk)
                seconds[name].append(b.spend(name, ["out"], *places[name])[0])
        b.tell("checkout", f"checkout of {what}", seconds, bars=[("cp", 2)])
        for tree, store in places.values():
            shutil.rmtree(tree)
            shutil.rmtree(store)


def row_log(b):
    """log of 10,000 commits"""
    names = b.here("mv", "git")
    for name in names:
        tree = b.base / "history" / name
        if (tree / "done").exists():
            continue
        shutil.rmtree(tree, ignore_errors=True)
        noise(tree / "data/x", 1000, 9)
        b.first(name, tree, tree)
        more = {"mv": [b.found["mv"], "-q"], "git": ["git"]}[name] + ["commit", "-q", "--allow-empty", "-m"]
        for i in range(9999):
            subprocess.run([*more, f"run {i}"], cwd=tree, env=b.env, check=True)
        (tree / "done").touch()
    seconds = {n: [] for n in names}
    for _ in range(5 * b.args.reps):
        for name in names:
            tree = b.base / "history" / name
            seconds[name].append(b.spend(name, ["log"], tree, tree)[0])
    b.tell("log", "log of 10,000 commits", seconds, bars=[(0.1,)])


def row_memory(b):
    """memory of commit and checkout of a 4 GB file, with 64 open files at most (on --disk)"""
    tree, store = b.place("tree", disk=True), b.place("store", disk=True)
    noise(tree / "data/blob.bin", 4000 * MB, 10)
    taken = {"commit": b.first("mv", tree, store, files=64)}
    shutil.rmtree(tree / "data")
    taken["checkout"] = b.spend("mv", ["out"], tree, store, files=64)
    for what, (seconds, peak) in taken.items():
        what = f"peak memory, {what} of 4 GB with 64 open files ({seconds:.1f} s)"
        b.tell("memory", what, {"mv": [peak / 2**20]}, "MiB", [(512,)])


def row_storage(b):
    """what 1 % appended to a CSV and 1 MB inserted into 1 GB of noise store"""
    names = b.here("mv", "hf-xet", "git-lfs", "rustic", "restic", "casync")
    grown, seconds = {n: [] for n in names}, {n: [] for n in names}
    for name in names:
        tree, store = b.place("tree"), b.place("store")
        table(tree / "data")
        path = tree / "data/table.csv"
        size = path.stat().st_size / MB
        b.first(name, tree, store)
        before = b.bytes_of(name, tree, store)
        with open(path, "a") as f:
            f.writelines(table_rows(23_000, 11, 2_300_000))
        seconds[name].append(b.spend(name, ["commit"], tree, store)[0])
        grown[name].append((b.bytes_of(name, tree, store) - before) / MB)
    b.tell("storage", f"stored bytes of 1 % rows appended to a CSV of {size:.0f} MB", grown, "MB", [(0.01 * size,)])
    b.tell("storage", "commit after 1 % rows were appended to it", seconds)
    names = b.here("mv", "hf-xet", "rustic")
    grown = {n: [] for n in names}
    for name in names:
        tree, store = b.place("tree"), b.place("store")
        path = tree / "data/blob.bin"
        noise(path, 1000 * MB, 12)
        b.first(name, tree, store)
        for i, at in enumerate((0, 123_456_789, 500 * MB, 876_543_210, 1000 * MB)):
            before = b.bytes_of(name, tree, store)
            insert(path, at, 13 + i)
            b.spend(name, ["commit"], tree, store)
            grown[name].append((b.bytes_of(name, tree, store) - before) / MB)
    b.tell("storage", "stored bytes of 1 MB inserted into 1 GB, five places", grown, "MB", [(2,)])
    print(f"The most that `mv` stored for one insertion: {max(grown['mv']):.3f} MB")


def model(path, seed=0, tensors=64, each=16 << 20):
    """A safetensors file of 1 GiB whose tensors are small numbers."""
    header, at = {}, 0
    for i in range(tensors):
        header[f"layers.{i}.weight"] = {"dtype": "F32", "shape": [each // 4], "data_offsets": [at, at + each]}
        at += each
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as f:
        f.write(len(head).to_bytes(8, "little") + head)
        for i in range(tensors):
            body = bytearray(random.Random(seed + i).randbytes(each))
            body[3::4] = b"\x3c" * (each // 4)
            f.write(body)
    return 8 + len(head)


def row_diff(b):
    """diff of two versions of a 1 GiB model with one changed tensor"""
    tree, store = b.place("tree"), b.place("store")
    path = tree / "data/model.safetensors"
    start = model(path)
    b.first("mv", tree, store)
    with open(path, "r+b") as f:
        f.seek(start + 40 * (16 << 20))
        body = bytearray(random.Random(1000).randbytes(16 << 20))
        body[3::4] = b"\x3c" * (4 << 20)
        f.write(body)
    b.spend("mv", ["commit"], tree, store)
    TOOLS["mv"].update(diff=["{mv} -q diff HEAD~1 HEAD"], stats=["{mv} -q diff HEAD~1 HEAD --stats"],
                       both=["{mv} -q cat HEAD~1:data/model.safetensors", "{mv} -q cat HEAD:data/model.safetensors"])
    seconds = {"mv": [b.spend("mv", ["diff"], tree, store)[0] for _ in range(5 * b.args.reps)]}
    b.tell("diff", "diff of two versions of a 1 GiB model, one tensor of 64 changed", seconds, bars=[(0.3,)])
    seconds = {"mv": [b.spend("mv", ["stats"], tree, store)[0] for _ in range(5 * b.args.reps)]}
    b.tell("diff", "the same with --stats", seconds)
    model(path, seed=2000)
    b.spend("mv", ["commit"], tree, store)
    stats, peaks = {"mv": [], "mv cat, both versions": []}, []
    for _ in range(b.args.reps):
        took, peak = b.spend("mv", ["stats"], tree, store)
        stats["mv"].append(took)
        stats["mv cat, both versions"].append(b.spend("mv", ["both"], tree, store)[0])
        peaks.append(peak / 2**20)
    b.tell("diff", "diff --stats when every tensor changed, 2 GiB to read", stats, bars=[("mv cat, both versions", 1.1)])
    b.tell("diff", "peak memory of it", {"mv": peaks}, "MiB", [(512,)])


def row_metrics(b):
    """metrics of 10,000 versions"""
    tree = b.base / "history" / "metrics"
    if not (tree / "done").exists():
        shutil.rmtree(tree, ignore_errors=True)
        noise(tree / "data/x", 1000, 9)
        b.first("mv", tree, tree)
        for i in range(9999):
            subprocess.run([b.found["mv"], "-q", "commit", "-m", f"run {i}", "--metric", f"auc={i / 1e4}", "--metric",
                            f"loss={1 / (i + 1)}", "--param", f"lr={i}e-5"], cwd=tree, env=b.env, check=True)
        (tree / "done").touch()
    TOOLS["mv"].update(metrics=["{mv} -q metrics"], best=["{mv} -q best auc"], params=["{mv} -q params --csv"])
    for step in ("metrics", "params", "best"):
        seconds = {"mv": [b.spend("mv", [step], tree, tree)[0] for _ in range(5 * b.args.reps)]}
        b.tell("metrics", f"{step} of 10,000 versions", seconds, bars=[(0.2,)])


def row_environment(b):
    """capture of an environment of 500 packages"""
    tree = b.place("tree")
    (tree / "data").mkdir()
    b.spend("mv", ["init"], tree, tree)
    (tree / ".venv").mkdir()
    (tree / ".venv/pyvenv.cfg").write_text("version = 3.11.7\n")
    for i in range(500):
        info = tree / f".venv/lib/python3.11/site-packages/package_{i}-1.{i}.dist-info"
        info.mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: package-{i}\nVersion: 1.{i}\n" + "Requires-Dist: x\n" * 40
        (info / "METADATA").write_text(text + "\n" + "text of a readme\n" * 400)
        (info / "RECORD").write_text("x\n" * 100)
    TOOLS["mv"].update(env=["{mv} -q env show --now"])
    seconds = {"mv": [b.spend("mv", ["env"], tree, tree)[0] for _ in range(5 * b.args.reps)]}
    b.tell("environment", "the environment of 500 packages, the whole command", seconds, bars=[(0.1,)])


def timed(b, tree, *argv):
    """Seconds, peak memory in bytes, and stdout of one command."""
    with open(b.base / "output", "w+") as output, open(b.base / "errors", "w+") as errors:
        start = time.perf_counter()
        child = subprocess.Popen(argv, cwd=tree, env=b.env, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if child.returncode:
            raise Failed(f"{' '.join(argv)}: exit {child.returncode}: {errors.read()[-500:]}")
        output.seek(0)
        return seconds, used.ru_maxrss * 1024, output.read()


def shared(b, disk):
    """1 GB of noise pushed and cloned, beside cp of the same bytes, synced as `mv` syncs."""
    mv, tree, there = b.found["mv"], b.place("tree", disk), b.place("there", disk)
    noise(tree / "data/blob.bin", 1000 * MB, 21)
    timed(b, tree, mv, "init")
    timed(b, tree, mv, "commit", "-m", "one")
    push, clone, peaks = {"mv": [], "cp": []}, {"mv": [], "cp": []}, []
    sync = f" && sync -f {there}" if disk else ""
    for rep in range(b.args.reps):
        for path in there.iterdir():
            shutil.rmtree(path)
        settle(disk)
        push["cp"].append(timed(b, tree, "sh", "-c", f"cp -r .mv/packs {there}/packs{sync}")[0])
        # Memory that was never touched costs a virtual machine more than what was just freed.
        shutil.rmtree(there / "packs")
        name = f"r{rep}"
        timed(b, tree, mv, "remote", "add", name, str(there / name))
        settle(disk)
        seconds, peak, _ = timed(b, tree, mv, "push", name)
        push["mv"].append(seconds)
        peaks.append(peak)
        settle(disk)
        copy = f"cp -r {there / name} {there}/c1 && cp -r data {there}/c2{sync}"
        clone["cp"].append(timed(b, tree, "sh", "-c", copy)[0])
        shutil.rmtree(there / "c1")
        shutil.rmtree(there / "c2")
        settle(disk)
        seconds, peak, _ = timed(b, tree, mv, "clone", str(there / name), str(there / "clone"))
        clone["mv"].append(seconds)
        peaks.append(peak)
    where = "on a disk, with sync" if disk else "in memory"
    b.tell("share", f"push of 1 GB of noise to a directory, {where}", push, bars=[("cp", 1 / 0.8)])
    b.tell("share", f"clone of it, beside cp of the packs and of the files, {where}", clone, bars=[("cp", 1 / 0.6)])
    b.tell("share", f"peak memory of push and clone, {where}", {"mv": [p / 2**20 for p in peaks]}, "MiB", [(512,)])
    if not disk:
        insert(tree / "data/blob.bin", 500 * MB, 22)
        with open(tree / "data/blob.bin", "r+b") as f:
            f.seek(100 * MB)
            f.write(random.Random(23).randbytes(9 * MB))
        timed(b, tree, mv, "commit", "-m", "1 % changed")
        sent = json.loads(timed(b, tree, mv, "--json", "push", name)[2])["bytes"]
        b.tell("share", "bytes sent after 1 % changed (of 1 GB)", {"mv": [sent / MB]}, "MB", [(20,)])
    shutil.rmtree(tree)
    shutil.rmtree(there)


def row_share(b):
    """push and clone of 1 GB of noise through a directory, in memory and on a disk"""
    shared(b, False)
    shared(b, True)


def row_share_small(b):
    """push of 20,000 small files to a directory, beside dvc push"""
    mv, seconds = b.found["mv"], {n: [] for n in b.here("mv", "dvc")}
    for rep in range(b.args.reps):
        for name in seconds:
            tree, there = b.place("tree"), b.place("there")
            small(tree / "data")
            if name == "mv":
                timed(b, tree, mv, "init")
                timed(b, tree, mv, "commit", "-m", "one")
                timed(b, tree, mv, "remote", "add", "origin", str(there / "r"))
                seconds[name].append(timed(b, tree, mv, "push")[0])
            else:
                dvc = b.found["dvc"]
                timed(b, tree, dvc, "init", "--no-scm", "-q")
                timed(b, tree, dvc, "add", "-q", "data")
                timed(b, tree, dvc, "remote", "add", "-d", "r", str(there / "r"))
                seconds[name].append(timed(b, tree, dvc, "push", "-q")[0])
    b.tell("share_small", "push of 20,000 small files to a directory", seconds, bars=[("dvc", 1 / 20)])


ROWS = {name[4:]: f for name, f in list(globals().items()) if name.startswith("row_")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mv", default="target/release/mver", help="the program to measure")
    parser.add_argument("--rows", default=",".join(ROWS), help="which rows, separated by commas")
    parser.add_argument("--tools", help="which other tools; all that are found when not given")
    parser.add_argument("--reps", type=int, default=3, help="repetitions; quick steps get a multiple of it")
    parser.add_argument("--work", default="/dev/shm/mv-bench", help="needs up to 12 GB")
    parser.add_argument("--disk", default=".", help="a folder on a real disk, needs up to 20 GB")
    parser.add_argument("--data", help="folder of fp32 safetensors files")
    parser.add_argument("--json", help="write all measurements there too")
    parser.add_argument("--list", action="store_true", help="list the rows and the tools that are found")
    args = parser.parse_args()
    bench = Bench(args)
    if args.list:
        for name, row in ROWS.items():
            print(f"{name:10} {row.__doc__}")
        print(f"tools: {', '.join(bench.found)}")
        return
    failed = False
    for name in args.rows.split(","):
        try:
            ROWS[name](bench)
        except Failed as e:
            print(f"{name}: {e}", file=sys.stderr)
            failed = True
        finally:
            for base in (args.work, args.disk):
                shutil.rmtree(pathlib.Path(base) / f"bench-{os.getpid()}", ignore_errors=True)
            if args.json:
                pathlib.Path(args.json).write_text(json.dumps(bench.results, indent=1))
    missed = [v for r in bench.results for v in r["bars"] if not v["met"]]
    sys.exit(failed or bool(missed))


if __name__ == "__main__":
    main()
