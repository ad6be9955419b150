#!/usr/bin/env python3
"""Makes repositories with mver and compares what read_format.py extracts with what `mver checkout` writes.

    check_format.py MVER [--huge]

`--huge` adds a file of 4.5 GiB whose chunk list is three levels high. Works in a temporary directory, and needs what
read_format.py needs.
"""

import json
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

import blake3

READER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "read_format.py")
MVER = os.path.abspath(sys.argv[1])
ENV = dict(os.environ, MV_AUTHOR_NAME="Ada", MV_AUTHOR_EMAIL="ada@example.org")
rng = random.Random(1)
ENCODINGS = {"raw", "zstd", "list", "columns", "float", "delta", "cast", "diff"}
seen = set()


def mver(repo, *args, ok=(0,)):
    done = subprocess.run([MVER, "-q", *args], cwd=repo, env=ENV, capture_output=True)
    assert done.returncode in ok, (args, done.returncode, done.stderr)
    return done.stdout.decode()


def reader(*args):
    done = subprocess.run([sys.executable, READER, *args], capture_output=True)
    assert done.returncode == 0, (args, done.stderr.decode())
    return done.stdout.decode()


def snapshot(root):
    """Path, kind, executable bit and content or target of everything below a directory."""
    found = {}
    root = os.fsencode(root)
    for where, dirs, files in os.walk(root):
        dirs[:] = [d for d in dirs if d != b".mv"]
        for name in dirs + files:
            path = os.path.join(where, name)
            meta = os.lstat(path)
            key = os.path.relpath(path, root)
            if stat.S_ISLNK(meta.st_mode):
                found[key] = ("link", os.readlink(path))
            elif stat.S_ISDIR(meta.st_mode):
                found[key] = ("dir",)
            else:
                found[key] = ("file", meta.st_mode & 0o777, meta.st_size)
        dirs[:] = [d for d in dirs if not os.path.islink(os.path.join(where, d))]
    return found


def same(a, b):
    left, right = snapshot(a), snapshot(b)
    assert left == right, (set(left.items()) ^ set(right.items()))
    for path, what in left.items():
        if what[0] == "file":
            pair = [os.path.join(os.fsencode(root), path) for root in (a, b)]
            assert subprocess.run([b"cmp", b"-s", *pair]).returncode == 0, path
    return len(left)


def compare(repo, revs):
    """Compares versions with what the program writes; returns the encodings of the blocks that held them."""
    told = reader("check", repo).strip()
    print("   ", told)
    branch = reader("refs", repo).split()[1].strip("'")
    found = {word for word in told.replace(",", "").split() if word in ENCODINGS}
    seen.update(found)
    entries = 0
    for rev in revs:
        mver(repo, "checkout", rev)
        out = tempfile.mkdtemp(dir=os.path.dirname(repo))
        reader("extract", repo, rev, os.path.join(out, "x"))
        entries += same(repo, os.path.join(out, "x"))
        shutil.rmtree(out)
    if len(branch) < 64:
        mver(repo, "checkout", branch)
    print(f"    {len(revs)} versions, {entries} entries equal to `mver checkout`")
    return found


def write(repo, path, data, bits=0o644):
    path = os.path.join(os.fsencode(repo), path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, bits)


def new(base, name):
    repo = os.path.join(base, name)
    os.mkdir(repo)
    mver(repo, "init")
    return repo


def ids(repo):
    lines = mver(repo, "log", "--json")
    return [one["id"] for one in json.loads(lines)]


def big_files(base):
    print("big files: chunk lists of more than 128 chunks, insertions, a file that shrinks")
    repo = new(base, "big")
    data = bytearray(rng.randbytes(80 << 20))
    for size in (0, 1, 31, 32, 65535, 65536, 32768, 32769, 524288, 524289, 1 << 20, 16 << 20):
        write(repo, b"data/size-%d.bin" % size, rng.randbytes(size))
        write(repo, b"data/text-%d.csv" % size, (b"%d,0.5,label\n" % size * (size // 8 + 1))[:size])
    for turn in range(4):
        write(repo, b"models/weights.safetensors", data)
        mver(repo, "commit", "-m", f"turn {turn}", "--metric", f"turn={turn}")
        at = rng.randrange(len(data))
        data[at:at] = rng.randbytes(1 << 20)
        del data[len(data) - (5 << 20) * turn :]
    compare(repo, ids(repo))


def small_files(base):
    print("small files: names, modes, symlinks, empty directories, several components in one directory")
    repo = new(base, "small")
    for n in range(3000):
        write(repo, b"src/d%d/e%d/f%d.py" % (n % 7, n % 31, n), b"x = %d\n" % n * (n % 50), (0o644, 0o755)[n % 2])
    names = [b"a b", b"new\nline", b"\xff\xfe", "träger 模型 🎉".encode(), b"x" * 255, b"-f", b"a\\b", b"c:d", b"\x1b[31m"]
    for n, name in enumerate(names):
        write(repo, b"names/" + name, name)
        write(repo, b"mixed/" + name + b".csv" if len(name) < 250 else b"mixed/y.csv", b"%d" % n)
        write(repo, b"mixed/%d.pt" % n, b"weights")
        write(repo, b"mixed/%d.txt" % n, b"code")
    write(repo, b"A", b"upper")
    write(repo, b"a", b"lower")
    write(repo, b"a-b/c", b"1")
    write(repo, b"a.b", b"2")
    for n, target in enumerate([b"A", b"nowhere", b"/etc/hostname", b"..", b"link0", b"l" * 4095]):
        os.symlink(target, os.path.join(os.fsencode(repo), b"link%d" % n))
    os.makedirs(os.path.join(repo, "empty/in/side"))
    os.makedirs(os.path.join(repo, "data/none"))
    deep = b"/".join([b"deep"] * 200)
    write(repo, deep + b"/leaf", b"down here")
    mver(repo, "commit", "-m", "all")
    shutil.rmtree(os.path.join(repo, "empty/in"))
    os.remove(os.path.join(repo, "link0"))
    os.mkdir(os.path.join(repo, "link0"))
    write(repo, b"link0/now-a-directory", b"")
    os.remove(os.path.join(repo, "a"))
    os.symlink("A", os.path.join(repo, "a"))
    mver(repo, "commit", "-m", "types change")
    compare(repo, ids(repo))


def long_history(base):
    print("long history: 40 commits, merged packs, branches, tags, tombstones, amend, undo, redo, gc")
    repo = new(base, "history")
    for turn in range(40):
        for _ in range(rng.randrange(1, 8)):
            path = b"%s/%d" % (rng.choice([b"data", b"models", b"lib"]), rng.randrange(30))
            write(repo, path, rng.randbytes(rng.choice([0, 10, 3000, 70000, 300000])))
        listed = [b"lib/" + f for f in os.listdir(os.path.join(os.fsencode(repo), b"lib"))] if turn > 5 else []
        if listed:
            os.remove(os.path.join(os.fsencode(repo), rng.choice(listed)))
        mver(repo, "commit", "-m", f"turn {turn}", "--param", f"lr={rng.random()}", "--metric", "loss=nan", "--allow-empty")
        if turn % 9 == 0:
            mver(repo, "tag", f"v0.{turn}.0", "-m", "release\nnotes")
        if turn == 20:
            mver(repo, "checkout", "-b", "side/träger")
        if turn == 25:
            mver(repo, "commit", "--amend", "-m", "other words")
        if turn == 30:
            mver(repo, "checkout", "main")
    mver(repo, "tag", "-d", "v0.9.0")
    for command in ("undo", "undo", "redo"):
        mver(repo, command)
    mver(repo, "commit", "-m", "last", "--allow-empty")
    for rev in ("HEAD~1", "HEAD"):
        mver(repo, "stage", "set", "production", rev, "-m", f"because of {rev}")
    mver(repo, "stage", "rollback", "production")
    mver(repo, "stage", "set", "staging", "HEAD")
    mver(repo, "undo")
    mver(repo, "gc", "--apply", "--grace", "0s")
    packs = sum(len(files) for _, _, files in os.walk(os.path.join(repo, ".mv/packs")))
    print(f"    {packs} packs after merging and gc")
    refs = [line.split()[1].strip("'") for line in reader("refs", repo).splitlines() if "deleted" not in line][1:]
    refs = [r for r in refs if r.isascii() and "\\" not in r] + ["HEAD"]
    compare(repo, ids(repo) + refs)
    print("   ", len(reader("refs", repo).splitlines()), "refs")


FORMATS = {"F64": "<d", "F32": "<f", "F16": "<e"}


def number(kind, value):
    if kind == "BF16":
        return struct.pack("<f", value)[2:]
    if kind == "I8":
        return struct.pack("<b", max(-128, min(127, round(value * 500))))
    return struct.pack(FORMATS[kind], value)


def rounded(value):
    """An f32 as bf16: to the nearest, ties to even."""
    bits = int.from_bytes(struct.pack("<f", value), "little")
    if value != value:
        return (bits >> 16 & 0x8000 | 0x7FC0).to_bytes(2, "little")
    return (bits + 0x7FFF + (bits >> 16 & 1) >> 16).to_bytes(2, "little")


def safetensors(tensors):
    """A file of `tensors`: name to type and bytes."""
    header, body = {}, b""
    for name, (kind, data) in tensors.items():
        count = len(data) // {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I8": 1}[kind]
        header[name] = {"dtype": kind, "shape": [count], "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def numbers(base):
    print("numbers: steps of training of every type, resized tensors, a bf16 twin of an f32 file")
    repo = new(base, "numbers")
    count = {"F32": 300_000, "BF16": 150_000, "F16": 70_000, "F64": 70_000, "I8": 90_000}
    values = {kind: [rng.gauss(0, 0.05) for _ in range(n)] for kind, n in count.items()}
    values["BF16 small"] = [rng.gauss(0, 0.05) for _ in range(3000)]
    for turn in range(5):
        tensors = {}
        for name, those in values.items():
            kind = name.split()[0]
            tensors[name] = (kind, b"".join(number(kind, x) for x in those))
            for at in range(0, len(those), 1 if turn % 2 else 3):
                those[at] *= 1 + rng.gauss(0, 0.002)
        if turn == 3:  # longer, shorter, and with bytes that are no numbers
            tensors["F16"] = ("F16", tensors["F16"][1] + tensors["F16"][1][:4000])
            tensors["BF16"] = ("BF16", tensors["BF16"][1][:-5000])
        write(repo, b"models/model.safetensors", safetensors(tensors))
        if turn in (1, 4):
            wide = [*values["F32"][:100_000], 0.0, -0.0, float("inf"), float("nan"), 3.4e38, 1e-45]
            wide = [struct.unpack("<f", struct.pack("<f", x))[0] for x in wide]
            write(repo, b"models/wide.safetensors", safetensors({"twin": ("F32", b"".join(number("F32", x) for x in wide))}))
            mver(repo, "commit", "-m", f"wide {turn}")
            write(repo, b"models/half.safetensors", safetensors({"twin": ("BF16", b"".join(map(rounded, wide)))}))
        mver(repo, "commit", "-m", f"turn {turn}")
    found = compare(repo, ids(repo))
    assert {"float", "delta", "cast"} <= found, found
    mver(repo, "repack")
    compare(repo, ids(repo))


def tables(base):
    print("tables: rows that change, come and go, and the same after repacking")
    repo = new(base, "tables")
    rows = [
        f"{n},2026-{n % 12 + 1:02}-{n % 28 + 1:02},{rng.choice(['Lagos', 'Lima', 'Oslo'])},{rng.random() * 100:.3f},{rng.getrandbits(40):x}\n"
        for n in range(150_000)
    ]
    for turn in range(6):
        for _ in range(200):
            at = rng.randrange(len(rows))
            fields = rows[at].split(",")
            rows[at] = ",".join(fields[:3] + [f"{rng.random() * 100:.{rng.randrange(4)}f}"] + fields[4:])
        at = rng.randrange(len(rows))
        rows[at:at] = [f"{turn},new row\n", "odd\n", ",,,,\n"] * 40
        del rows[rng.randrange(len(rows)) :][:500]
        write(repo, b"data/rows.csv", "id,day,city,amount,key\n".encode() + "".join(rows).encode())
        write(repo, b"data/other.tsv", "".join(rows[:20_000]).replace(",", "\t").replace("\n", "\r\n").encode())
        mver(repo, "commit", "-m", f"turn {turn}")
        if turn == 0:
            mver(repo, "repack")
            assert "columns" in compare(repo, ids(repo))
    assert "diff" in compare(repo, ids(repo))
    mver(repo, "repack")
    compare(repo, ids(repo))


def huge_file(base):
    print("a file of 4.5 GiB: lists of lists")
    repo = new(base, "huge")
    for value in range(256):  # a run of one byte whose chunk id ends a node as early as possible
        chunk = bytes([value]) * (512 << 10)
        if blake3.blake3(chunk).digest()[0] % 64 == 0:
            break
    with open(os.path.join(repo, "huge.bin"), "wb") as file:
        for _ in range(9 << 10):
            file.write(chunk)
    mver(repo, "commit", "-m", "huge")
    compare(repo, ["main"])


def main():
    with tempfile.TemporaryDirectory() as base:
        big_files(base)
        small_files(base)
        long_history(base)
        numbers(base)
        tables(base)
        assert seen == ENCODINGS, ENCODINGS - seen
        if "--huge" in sys.argv:
            huge_file(base)
    print("all equal")


if __name__ == "__main__":
    main()
