#!/usr/bin/env python3
"""An independent reader of the stored format, written from docs/FORMAT.md and nothing else.

    read_format.py check   PROJECT                 verify every pack, record and version
    read_format.py refs    PROJECT                 list HEAD, branches, tags and stages
    read_format.py list    PROJECT REV             mode, id, length and path of every file
    read_format.py extract PROJECT REV DIR         write a version into a new directory
    read_format.py show    PROJECT REV             print the manifest

PROJECT is the directory that holds `.mv`, or the `.mv` itself. REV is HEAD, a branch, a tag, a stage or 64
hex digits.
`--generation N` reads the refs as they were in that record. Exit code 0: all is well; 3: something is not as the
format says; 2: usage.

Needs Python 3.9, the package `blake3`, and the package `zstandard` or the program `zstd`. Numbers in comments are
sections of FORMAT.md.
"""

import argparse
import array
import bisect
import mmap
import os
import re
import stat
import struct
import subprocess
import sys

import blake3

try:
    import zstandard
except ImportError:
    zstandard = None

BLOB, TREE, MANIFEST, NODE = range(4)
CONTEXT = {TREE: "mv 2026 tree v1", MANIFEST: "mv 2026 manifest v1", NODE: "mv 2026 list v1"}
RAW, ZSTD, LIST, COLUMNS, FLOAT, DELTA, CAST, DIFF = range(8)
ENCODINGS = ("raw", "zstd", "list", "columns", "float", "delta", "cast", "diff")
BASED = (DELTA, CAST, DIFF)
KIB, MIB = 1 << 10, 1 << 20
ZERO = bytes(32)
CUTTING = "chunk=gear64-v1/32k/128k/512k"


class Bad(Exception):
    """Something is not as the format says."""


def need(condition, why):
    if not condition:
        raise Bad(why)


def plain_hash(data):
    return blake3.blake3(data).digest()


def id_of(kind, data):  # 4
    if kind == BLOB:
        return plain_hash(data)
    return blake3.blake3(data, derive_key_context=CONTEXT[kind]).digest()


def read_file(path, cap):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        need(stat.S_ISREG(os.fstat(fd).st_mode), f"{path}: not a regular file")
        data = file.read(cap + 1)
    need(len(data) <= cap, f"{path}: larger than {cap} bytes")
    return data


# --- zstd (5) ---------------------------------------------------------------------------------------------------


def frame_end(data):
    """Walks one zstd frame (RFC 8878) and returns its end, its declared size and its dictionary flag."""
    need(data[:4] == b"\x28\xb5\x2f\xfd" and len(data) > 5, "not a zstd frame")
    flags = data[4]
    single, checksum, dictionary = flags >> 5 & 1, flags >> 2 & 1, flags & 3
    need(flags >> 3 & 1 == 0, "zstd: a reserved bit is set")
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[dictionary]
    width = (1 if single else 0, 2, 4, 8)[flags >> 6]
    need(len(data) >= at + width, "zstd: cut off in its header")
    size = int.from_bytes(data[at : at + width], "little") if width else None
    if width == 2:
        size += 256
    at += width
    last = 0
    while not last:
        need(len(data) >= at + 3, "zstd: cut off between blocks")
        head = int.from_bytes(data[at : at + 3], "little")
        last, kind, length = head & 1, head >> 1 & 3, head >> 3
        need(kind != 3, "zstd: a reserved kind of block")
        at += 3 + (1 if kind == 1 else length)
    at += 4 if checksum else 0
    return at, size, dictionary


def unzstd(data, raw_len):
    end, size, dictionary = frame_end(data)
    need(dictionary == 0, "zstd: wants a dictionary")
    need(end == len(data), "zstd: the frame does not end with the block")
    need(size == raw_len, f"zstd: declares {size} bytes, recorded are {raw_len}")
    if zstandard is not None:
        try:
            raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=raw_len)
        except zstandard.ZstdError as error:
            raise Bad(f"zstd: {error}") from None
    else:
        done = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=False)
        need(done.returncode == 0, f"zstd: {done.stderr.decode(errors='replace').strip()}")
        raw = done.stdout
    need(len(raw) == raw_len, "zstd: decodes to another length")
    return raw


# --- blocks (5.1 to 5.8) ----------------------------------------------------------------------------------------


class Bytes:
    """Bytes that are taken off the front."""

    def __init__(self, data, what):
        self.data, self.at, self.what = data, 0, what

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        need(count <= self.left(), f"{self.what}: cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, width):
        return int.from_bytes(self.take(width), "little")

    def leb(self):  # 5.1
        value = 0
        for n in range(10):
            byte = self.number(1)
            value |= (byte & 127) << (7 * n)
            if byte < 128:
                need((byte or n == 0) and value < 1 << 64, f"{self.what}: not the only form of a number")
                return value
        raise Bad(f"{self.what}: a number is too long")

    def zigzag(self):
        return unzigzag(self.leb())

    def stream(self, most):  # 5.1
        head = self.leb()
        size = head >> 1
        need(size <= most, f"{self.what}: a stream of {size} bytes where {most} can be")
        return unzstd(self.take(self.leb()), size) if head & 1 else self.take(size)

    def end(self):
        need(self.left() == 0, f"{self.what}: {self.left()} bytes too many")


def unzigzag(value):
    return -(value + 1 >> 1) if value & 1 else value >> 1


def decode_columns(stored, raw_len):  # 5.2
    r = Bytes(stored, "columns")
    delimiter, ending = r.take(1), r.number(1)
    need(ending <= 1, "columns: unknown ending")
    ending = (b"\n", b"\r\n")[ending]
    columns, rows = r.leb(), r.leb()
    need(1 <= columns <= 1024 and rows * columns <= raw_len, "columns: too many")
    pieces, loose = Bytes(r.stream(2 * raw_len), "pieces"), Bytes(r.stream(raw_len), "loose")
    left = raw_len - len(loose.data)
    table = []
    for _ in range(columns):
        fields = column(r, rows, left)
        left -= sum(map(len, fields)) + rows
        need(left >= 0, "columns: larger than the block")
        table.append(fields)
    r.end()
    need(left == rows * (len(ending) - 1), "columns: do not add up to the block")
    lines = [delimiter.join(row) + ending for row in zip(*table)]
    out, at = [], 0
    while pieces.left():
        before, length = pieces.leb(), pieces.leb()
        need(before <= rows - at and length >= 1, "columns: a piece of nothing, or behind the end")
        out += lines[at : at + before]
        out.append(loose.take(length))
        at += before
    loose.end()
    return b"".join(out + lines[at:])


def column(r, rows, left):
    kind = r.number(1)
    need(kind <= 3, f"columns: unknown kind {kind}")
    if kind == 0:
        fields = lines_of(r.stream(left))
        need(len(fields) == rows, "columns: as many fields as rows are needed")
        return fields
    if kind == 1:
        words = lines_of(r.stream(left))
        numbers = integers(r, rows)
        need(len(words) <= 65536 and all(0 <= n < len(words) for n in numbers), "columns: no such word")
        return [words[n] for n in numbers]
    if kind == 2:
        decimals, kept = r.number(1), r.number(1)
        need(kept <= decimals <= 18, "columns: impossible decimals")
        shape = lambda n: decimal(n, decimals, kept)  # noqa: E731
    else:
        pattern = r.take(r.number(1))
        shape = lambda n: patterned(n, pattern)  # noqa: E731
    gaps, missing = Bytes(r.stream(2 * rows), "misses"), lines_of(r.stream(left))
    need(len(missing) <= rows, "columns: more misses than rows")
    hits = [shape(n) for n in integers(r, rows - len(missing))]
    fields, at = [], 0
    for miss in missing:
        before = gaps.leb()
        need(before <= len(hits) - at, "columns: a miss behind the end")
        fields += hits[at : at + before]
        fields.append(miss)
        at += before
    gaps.end()
    return fields + hits[at:]


def lines_of(data):
    need(not data or data[-1:] == b"\n", "columns: the last field is cut off")
    return data.split(b"\n")[:-1]


def decimal(n, decimals, kept):
    need(abs(n) < 10**18, "columns: a number is too large")
    digits = str(abs(n)).rjust(decimals + 1, "0")
    whole, places = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    while len(places) > kept and places[-1] == "0":
        places = places[:-1]
    return ("-" * (n < 0) + whole + "." * bool(places) + places).encode()


def patterned(n, pattern):
    places = pattern.count(b"0")
    digits = str(n).rjust(places, "0") if n else "0" * places
    need(0 <= n < 10**18 and len(digits) == places, "columns: a number does not fit its pattern")
    digits = iter(digits.encode())
    return bytes(next(digits) if byte == 48 else byte for byte in pattern)


def integers(r, count):
    form = r.number(1)
    width, steps = form & ~16, form & 16
    need(width <= 8, f"columns: integers of form {form}")
    least = r.zigzag()
    last = r.zigzag() if steps else 0
    planes = [r.stream(count) for _ in range(width)]
    need(all(len(plane) == count for plane in planes), "columns: a plane has too few bytes")
    found = []
    for place in range(count):
        n = least + sum(plane[place] << 8 * at for at, plane in enumerate(planes))
        need(-(1 << 63) <= n < 1 << 63, "columns: an integer is too large")
        last = last + n if steps else n
        need(-(1 << 63) <= last < 1 << 63, "columns: an integer is too large")
        found.append(last)
    return found


BF16, F16, F32, F64, BYTE = range(1, 6)  # 5.3
SIZE = {BF16: 2, F16: 2, F32: 4, F64: 8, BYTE: 1}
WORDS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def words_of(data, size):
    found = array.array(WORDS[size], bytes(data))
    if sys.byteorder == "big":
        found.byteswap()
    return found


def bytes_of(words, size):
    found = array.array(WORDS[size], words)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def kind_of(r):
    kind = r.number(1)
    need(kind in SIZE, f"{r.what}: unknown kind of number {kind}")
    return kind


def decode_float(stored, raw_len):  # 5.4
    r = Bytes(stored, "floats")
    kind = kind_of(r)
    size = SIZE[kind]
    n = raw_len // size
    need(n >= 1, "floats: not one element")
    planes = []
    for _ in range(size):
        form = r.number(1)
        need(form <= 2, f"floats: a plane of form {form}")
        if form == 0:
            planes.append(r.take(n))
        elif form == 1:
            planes.append(unzstd(r.take(r.number(4)), n))
        else:
            planes.append(r.take(1) * n)
    turn, bits = {F64: 4, BYTE: 0}.get(kind, 1), 8 * size
    low = (1 << turn) - 1
    words = (int.from_bytes(word, "big") for word in zip(*planes))
    out = bytes_of([word >> turn | (word & low) << (bits - turn) for word in words], size)
    tail = r.take(raw_len - n * size)
    r.end()
    return out + tail


class Tokens:
    """What tokens stand for, in elements of a size (5.6)."""

    def __init__(self, size):
        self.raw, self.least = [], []
        for t in range({1: 48, 2: 112, 4: 240, 8: 256}[size]):
            if t < 8 or size == 8 and t < 16:
                raw, head = 0, t
            elif size < 8:
                raw, head = t // 8 - 1, 8 + t % 8
            else:
                raw, head = t // 4 - 2, 4 + t % 4
            self.raw.append(raw)
            self.least.append(head << raw)


class Bits:
    """Bits, the lowest of a byte first."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        start = self.at >> 3
        self.at += count
        need(self.at <= 8 * len(self.data), "bits are cut off")
        window = int.from_bytes(self.data[start : start + 10], "little")
        return window >> (self.at - count & 7) & ((1 << count) - 1)


def frequencies(bits, tokens):
    found, left, before = [], 512, 0
    while left:
        need(len(found) < tokens, "delta: more tokens than there are")
        ones = 0
        while bits.take(1):
            ones += 1
            need(ones <= 20, "delta: a frequency is too wide")
        width = before + (-(ones + 1 >> 1) if ones & 1 else ones >> 1)
        need(0 <= width <= 10, "delta: a frequency is too wide")
        f = (1 << width - 1) + bits.take(width - 1) if width else 0
        need(f <= left, "delta: frequencies add up to too much")
        found.append(f)
        left, before = left - f, width
    return found


def states(found):
    """Of each state: the token, how many bits are read for the next one, and what they are added to."""
    token, at = [0] * 512, 0
    for t, f in enumerate(found):
        for _ in range(f):
            token[at] = t
            at = (at + 323) % 512
    seen, made = list(found), []
    for t in token:
        x = seen[t]
        seen[t] += 1
        bits = 9 - (x.bit_length() - 1)
        made.append((t, bits, (x << bits) - 512))
    return made


def exponents(kind, words):
    if kind == BYTE:
        return [min(word, 256 - word).bit_length() for word in words]
    low, width = {BF16: (7, 8), F16: (10, 5), F32: (23, 8), F64: (52, 11)}[kind]
    return [word >> low & ((1 << width) - 1) for word in words]


def decode_delta(stored, base, raw_len):  # 5.6
    r = Bytes(stored, "delta")
    kind, form, top = kind_of(r), r.number(1), r.number(2)
    size = SIZE[kind]
    n = min(raw_len, len(base)) // size
    need(form <= 1 and top < 2048 and n >= 1, "delta: bad header")
    windows = r.stream((n + 63) // 64)
    need(len(windows) == (n + 63) // 64 and max(windows) < 64, "delta: bad windows")
    tokens = Tokens(size)
    bits = Bits(stored[r.at :])
    tables = []
    for context in range(24):
        same = context and bits.take(1)
        tables.append(tables[-1] if same else states(frequencies(bits, len(tokens.raw))))
    need(bits.take(-bits.at % 8) == 0, "delta: bits behind the tables")
    r.take(bits.at // 8)
    lanes = []
    lengths = [r.number(4) for _ in range(8 if n >= 4096 else 1)]
    for length in lengths:
        lane = Bits(r.take(length))
        zeros = 0
        while not lane.take(1):
            zeros += 1
            need(zeros < 8, "delta: a lane does not begin")
        lanes.append([lane, lane.take(9)])
    parents = words_of(base[: n * size], size)
    children = []
    for i, (parent, e) in enumerate(zip(parents, exponents(kind, parents))):
        below = min(max(top - e, -1), 15)
        context = min(max((8 * below + windows[i // 64] - 22) >> 2, 0), 23)
        lane = lanes[i % len(lanes)]
        t, count, following = tables[context][lane[1]]
        lane[1] = following + lane[0].take(count)
        v = tokens.least[t] + lane[0].take(tokens.raw[t])
        children.append(parent + unzigzag(v) & (1 << 8 * size) - 1)
    for lane, state in lanes:
        need(lane.at == 8 * len(lane.data) and state == 0, "delta: a lane does not end")
    rest = raw_len - n * size
    tail = r.take(r.left())
    if form == 1:
        need(rest > 0, "delta: a rest of nothing")
        tail = decode_float(tail, rest)
    need(len(tail) == rest, "delta: the rest does not fit")
    return bytes_of(children, size) + tail


def f32_of(bits):  # 5.7
    sign, magnitude = bits >> 32 & 0x8000_0000, bits & (1 << 63) - 1
    if magnitude > 0x7FF0_0000_0000_0000:
        return sign | 0x7FC0_0000 | magnitude >> 29 & 0x3F_FFFF
    try:
        value = struct.pack("<f", struct.unpack("<d", struct.pack("<Q", magnitude))[0])
    except OverflowError:
        return sign | 0x7F80_0000
    return sign | int.from_bytes(value, "little")


def f16_of(bits):
    sign, magnitude = bits >> 16 & 0x8000, bits & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000:
        return sign | 0x7E00 | magnitude >> 13 & 0x1FF
    try:
        value = struct.pack("<e", struct.unpack("<f", struct.pack("<I", magnitude))[0])
    except OverflowError:
        return sign | 0x7C00
    return sign | int.from_bytes(value, "little")


def bf16_of(bits):
    sign, magnitude = bits >> 16 & 0x8000, bits & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000:
        return sign | 0x7FC0
    half, low = magnitude >> 16, magnitude & 0xFFFF
    return sign | half + (low > 0x8000 or low == 0x8000 and half & 1)


def decode_cast(stored, base, raw_len):  # 5.7
    r = Bytes(stored, "cast")
    kind, of = kind_of(r), kind_of(r)
    r.end()
    need((kind in (BF16, F16) and of in (F32, F64)) or (kind, of) == (F32, F64), "cast: no such cast")
    n = len(base) // SIZE[of]
    need(len(base) == n * SIZE[of] and raw_len == n * SIZE[kind], "cast: the base does not fit")
    words = words_of(base, SIZE[of])
    if of == F64:
        words = map(f32_of, words)
    narrow = {BF16: bf16_of, F16: f16_of, F32: lambda word: word}[kind]
    return bytes_of([narrow(word) for word in words], SIZE[kind])


def decode_diff(stored, base, raw_len):  # 5.8
    r = Bytes(stored, "diff")
    copies = r.stream(raw_len // 8)
    gaps, jumps = r.stream(len(copies)), r.stream(len(copies))
    need(len(gaps) == len(jumps) == len(copies), "diff: as many gaps and jumps as copies are needed")
    tails, literals = Bytes(r.stream(12 * len(copies)), "tails"), Bytes(r.stream(raw_len), "literals")
    r.end()

    def number(byte):
        if byte < 253:
            return byte
        need(byte < 255, "diff: 255 is no number")
        value = tails.number(2 if byte == 253 else 4)
        need(value >= (253 if byte == 253 else 65536), "diff: not the only form of a number")
        return value

    out, at, length = [], 0, 0
    for copy, gap, jump in zip(copies, gaps, jumps):
        gap, jump, copy = number(gap), unzigzag(number(jump)), number(copy) + 8
        at += jump
        need(0 <= at and at + copy <= len(base), "diff: a copy leaves the base")
        length += gap + copy
        need(length <= raw_len, "diff: longer than the block")
        out += [literals.take(gap), base[at : at + copy]]
        at += copy
    tails.end()
    out.append(literals.take(literals.left()))
    return b"".join(out)


def decode_block(encoding, stored, bases, raw_len):
    """The decoded bytes of a block; of a list block, the list."""
    if encoding in BASED:  # 5.5
        start = Bytes(stored, "block").number(4)
        need(start <= len(bases), "block: begins behind its bases")
        stored, base = stored[4:], bases[start:]
        decode = {DELTA: decode_delta, CAST: decode_cast, DIFF: decode_diff}[encoding]
        raw = decode(stored, base, raw_len)
    elif encoding in (RAW, LIST):
        return stored
    else:
        raw = {ZSTD: unzstd, COLUMNS: decode_columns, FLOAT: decode_float}[encoding](stored, raw_len)
    need(len(raw) == raw_len, f"{ENCODINGS[encoding]} block: decodes to {len(raw)} bytes, recorded are {raw_len}")
    return raw


# --- packs (6) --------------------------------------------------------------------------------------------------


class Ids:
    """The sorted ids of a pack, for bisect."""

    def __init__(self, data, at, count):
        self.data, self.at, self.count = data, at, count

    def __len__(self):
        return self.count

    def __getitem__(self, n):
        if not 0 <= n < self.count:
            raise IndexError
        return bytes(self.data[self.at + 32 * n : self.at + 32 * n + 32])


class Pack:
    def __init__(self, dot, pack_id):
        self.id = pack_id
        name = pack_id.hex()
        path = os.path.join(dot, "packs", name[:2], name)
        self.what = f"pack {name}"
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            size = os.fstat(fd).st_size
            need(stat.S_ISREG(os.fstat(fd).st_mode), f"{self.what}: not a regular file")
            need(size >= 88, f"{self.what}: has only {size} bytes")
            self.data = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        self.size = size
        trailer = self.data[size - 64 :]
        need(trailer[56:] == b"MVPKEND1", f"{self.what}: has no trailer")
        objects, blocks, bases, zero, self.footer = struct.unpack("<IIIIQ", trailer[:24])
        self.check = trailer[24:56]
        need(zero == 0, f"{self.what}: unknown bytes in the trailer")
        need(objects <= 1 << 24 and blocks <= objects and bases <= 1 << 25, f"{self.what}: impossible counts")
        whole = self.footer + objects * 40 + blocks * 28 + bases * 36 + 64
        need(self.footer >= 24 and whole == size, f"{self.what}: its length does not match its index")
        self.blocks, self.bases = blocks, bases
        self.ids = Ids(self.data, self.footer, objects)

    def find(self, wanted):
        n = bisect.bisect_left(self.ids, wanted)
        return n if n < len(self.ids) and self.ids[n] == wanted else None

    def word(self, at):
        return int.from_bytes(self.data[at : at + 4], "little")

    def record_at(self, n):
        return self.footer + len(self.ids) * 40 + n * 28

    def first(self, n):
        """The ordinal of a block's first object; past the last block, the number of objects."""
        return self.word(self.record_at(n) + 20) if n < self.blocks else len(self.ids)

    def block(self, n):
        at = self.record_at(n)
        offset, raw_len, stored_len, _, encoding, kind, zero = struct.unpack("<QQIIBBH", self.data[at : at + 28])
        need(encoding < len(ENCODINGS), f"{self.what}: unknown encoding {encoding}")
        need(kind in (BLOB, TREE, MANIFEST, NODE), f"{self.what}: unknown kind {kind}")
        need(zero == 0 and 24 <= offset and offset + stored_len <= self.footer, f"{self.what}: bad block {n}")
        need(encoding < LIST or kind == BLOB, f"{self.what}: block {n} has an encoding of blobs")
        if encoding == LIST:
            need(stored_len <= 40965, f"{self.what}: bad list block {n}")
        else:
            most = (64 if kind == TREE else 16) * MIB
            if self.first(n + 1) - self.first(n) > 1:
                most = (4 if encoding == DIFF else 1) * MIB
            need(raw_len <= most, f"{self.what}: block {n} is too large")
            need(encoding != RAW or raw_len == stored_len, f"{self.what}: bad raw block {n}")
        return offset, raw_len, stored_len, encoding, kind

    def base(self, n):
        """The n-th record of bases: a block, and what it is coded against."""
        at = self.footer + len(self.ids) * 40 + self.blocks * 28 + n * 36
        return self.word(at), bytes(self.data[at + 4 : at + 36])

    def bases_of(self, number, encoding):
        """The bases of a block, in the order of their bytes."""
        if encoding not in BASED:
            return []
        low, high = 0, self.bases
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.base(middle)[0] < number else (low, middle)
        found = []
        while low < self.bases and self.base(low)[0] == number:
            found.append(self.base(low)[1])
            low += 1
        need(1 <= len(found) <= 512, f"{self.what}: block {number} has {len(found)} bases")
        return found

    def ordinal(self, n):
        ordinal = self.word(self.footer + len(self.ids) * 32 + n * 4)
        need(ordinal < len(self.ids), f"{self.what}: an object lies in no block")
        return ordinal

    def place(self, n):
        """Block number, start and length of the object with the n-th id, with its block's record."""
        ordinal = self.ordinal(n)
        low, high = 0, self.blocks
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.first(middle) <= ordinal else (low, middle)
        first, following = self.first(low), self.first(low + 1)
        record = self.block(low)
        need(first <= ordinal < following, f"{self.what}: an object lies in no block")
        starts = self.footer + len(self.ids) * 36
        start = self.word(starts + ordinal * 4)
        need(start == 0 or ordinal > first, f"{self.what}: block {low} does not begin with an object")
        if record[3] == LIST:
            need(start == 0 and following == first + 1, f"{self.what}: a list stands for several objects")
            return low, 0, 0, record
        end = self.word(starts + ordinal * 4 + 4) if ordinal + 1 < following else record[1]
        need(start <= end <= record[1], f"{self.what}: an object lies outside its block")
        return low, start, end - start, record

    def stored(self, record):
        return self.data[record[0] : record[0] + record[2]]

    def verify(self, store):
        """Everything about the pack and the objects in it; returns how many objects were hashed."""
        hasher = blake3.blake3()
        for at in range(0, self.size, 8 * MIB):
            hasher.update(self.data[at : at + 8 * MIB])
        need(hasher.digest() == self.id, f"{self.what}: its bytes do not match its name")
        need(self.data[:8] == b"MVPK\1\0\0\0", f"{self.what}: bad header")
        covered = self.data[self.footer : self.size - 40]
        need(plain_hash(covered) == self.check, f"{self.what}: its index does not match its check sum")
        named = [self.base(n)[0] for n in range(self.bases)]
        need(named == sorted(named), f"{self.what}: its bases are not in order")
        based = sum(len(self.bases_of(n, self.block(n)[3])) for n in range(self.blocks))
        need(based == self.bases, f"{self.what}: bases of blocks that take none")
        at = 24
        for n in range(self.blocks):
            offset, _, stored_len, _, _ = self.block(n)
            need(offset == at, f"{self.what}: block {n} does not follow the one before")
            need(self.first(n) == 0 if n == 0 else self.first(n) > self.first(n - 1), f"{self.what}: an empty block")
            at += stored_len
        ordinals = sorted(map(self.ordinal, range(len(self.ids))))
        need(ordinals == list(range(len(self.ids))), f"{self.what}: its order names an object twice")
        need(at == self.footer, f"{self.what}: bytes that belong to no block")
        members = {}
        before = None
        for n in range(len(self.ids)):
            need(before is None or before < self.ids[n], f"{self.what}: its ids are not in order")
            before = self.ids[n]
            number, start, length, _ = self.place(n)
            members.setdefault(number, []).append((start, length, before))
        for number, objects in members.items():
            record = self.block(number)
            raw = store.decode(self, number, record)
            if record[3] == LIST:
                parse_list(raw, record[1], None)
                continue
            for start, length, name in objects:
                found = id_of(record[4], raw[start : start + length])
                need(found == name, f"{self.what}: object {name.hex()} does not match its id")
        return len(self.ids)


def parse_list(data, total, height):  # 5
    need(len(data) >= 5, "list: too short")
    found, count = data[0], int.from_bytes(data[1:5], "little")
    need(found <= 6 and (height is None or found == height), "list: wrong height")
    need(1 <= count <= 1024 and len(data) == 5 + 40 * count, "list: its length does not match its count")
    items = []
    for at in range(5, len(data), 40):
        items.append((data[at : at + 32], int.from_bytes(data[at + 32 : at + 40], "little")))
    need(all(length > 0 for _, length in items), "list: an empty item")
    need(sum(length for _, length in items) == total, "list: its lengths do not add up")
    return found, items


class Store:
    """The objects of a record's live packs."""

    def __init__(self, dot, packs):
        self.packs = [Pack(dot, pack) for pack in packs]
        self.decoded, self.held = {}, 0
        self.depths = {}

    def copies(self, name):
        """Where a blob is stored in any way but as a list: the pack, the place, what it needs."""
        for pack in self.packs:
            n = pack.find(name)
            if n is not None:
                place = pack.place(n)
                if place[3][4] == BLOB and place[3][3] != LIST:
                    yield pack, place, pack.bases_of(place[0], place[3][3])

    def best(self, name):
        """The copy of least depth (5.5)."""
        if name not in self.depths:
            found, todo = {}, [name]
            while todo:
                one = todo.pop()
                if one not in found and one not in self.depths:
                    found[one] = list(self.copies(one))
                    todo += [base for copy in found[one] for base in copy[2]]
            # Depth by depth, so that circles are never entered.
            for depth in range(33):
                reached = {}
                for one, copies in found.items():
                    for pack, place, bases in copies:
                        below = [self.depths[base][0] if base in self.depths else 99 for base in bases]
                        if one not in self.depths and max(below, default=-1) + 1 == depth:
                            reached.setdefault(one, (depth, pack, place))
                self.depths.update(reached)
            for one in found:
                self.depths.setdefault(one, (99, None, None))
        depth, pack, place = self.depths[name]
        need(depth <= 32, f"object {name.hex()}: cannot be decoded with what is here")
        return pack, place

    def locate(self, kind, name):
        for pack in self.packs:
            n = pack.find(name)
            if n is not None:
                place = pack.place(n)
                need(place[3][4] == kind, f"object {name.hex()}: stored as kind {place[3][4]}, wanted {kind}")
                return self.best(name) if place[3][3] in BASED else (pack, place)
        raise Bad(f"object {name.hex()} of kind {kind} is missing")

    def decode(self, pack, number, record):
        """The decoded bytes of a block; of a list block, the list."""
        key = (pack.id, number)
        if key not in self.decoded:
            bases = [self.base(name) for name in pack.bases_of(number, record[3])]
            need(sum(map(len, bases)) <= 32 * MIB, f"{pack.what}: the bases of a block are too large")
            raw = decode_block(record[3], pack.stored(record), b"".join(bases), record[1])
            self.decoded[key] = raw
            self.held += len(raw)
            while self.held > 256 * MIB:
                self.held -= len(self.decoded.pop(next(iter(self.decoded))))
            return raw
        return self.decoded[key]

    def base(self, name):
        pack, (number, start, length, record) = self.best(name)
        return self.decode(pack, number, record)[start : start + length]

    def whole(self, kind, name):
        """The verified bytes of an object that is not stored as a list."""
        pack, (number, start, length, record) = self.locate(kind, name)
        need(record[3] != LIST, f"object {name.hex()}: a list where none may be")
        data = self.decode(pack, number, record)[start : start + length]
        need(id_of(kind, data) == name, f"object {name.hex()} does not match its id")
        return data

    def pieces(self, name):
        """The bytes of a blob, piece by piece, each verified; the caller compares the whole."""
        pack, (_, _, _, record) = self.locate(BLOB, name)
        if record[3] != LIST:
            yield self.whole(BLOB, name)
            return
        yield from self.chunks(*parse_list(pack.stored(record), record[1], None))

    def chunks(self, height, items, nested=False):
        for name, length in items:
            if height == 0:
                pack, (_, _, _, record) = self.locate(BLOB, name)
                need(length <= 16 << 20, f"chunk {name.hex()}: too long")
                if record[3] == LIST and not nested:  # also a file of its own
                    found = parse_list(pack.stored(record), record[1], None)
                    data = b"".join(self.chunks(*found, nested=True))
                    need(id_of(BLOB, data) == name, f"chunk {name.hex()} does not match its id")
                else:
                    data = self.whole(BLOB, name)
                need(len(data) == length, f"chunk {name.hex()}: not as long as the list says")
                yield data
            else:
                yield from self.chunks(*parse_list(self.whole(NODE, name), length, height - 1), nested=nested)

    def blob(self, name, length, out):
        """Hands a verified blob of that length to `out`."""
        hasher, seen = blake3.blake3(), 0
        for piece in self.pieces(name):
            seen += len(piece)
            need(seen <= length, f"blob {name.hex()}: longer than its tree says")
            hasher.update(piece)
            out(piece)
        need(seen == length, f"blob {name.hex()}: has {seen} bytes, its tree says {length}")
        need(hasher.digest() == name, f"blob {name.hex()}: its bytes do not match its id")


# --- encodings (8) ----------------------------------------------------------------------------------------------


class Reader:
    def __init__(self, data, what, magic, sealed=False):
        need(len(data) >= 5 and data[:4] == magic, f"{what}: does not begin with {magic.decode()}")
        need(data[4] == 1, f"{what}: version {data[4]} is unknown")
        end = len(data)
        if sealed:
            end -= 32
            need(end >= 5 and plain_hash(data[:end]) == data[end:], f"{what}: its seal is wrong")
        self.data, self.at, self.limit, self.what = data, 5, end, what

    def take(self, count):
        need(count <= self.limit - self.at, f"{self.what}: ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self, bits=64):
        first = self.take(1)[0]
        need(first <= 253, f"{self.what}: bad varint")
        value = first
        if first > 250:
            width = 1 << (first - 250)
            value = int.from_bytes(self.take(width), "little")
            floor = {2: 250, 4: 0xFFFF, 8: 0xFFFFFFFF}[width]
            need(value > floor, f"{self.what}: a varint that is longer than needed")
        need(value < 1 << bits, f"{self.what}: a number is too large")
        return value

    def zigzag(self, bits=64):
        value = self.varint(bits)
        return value >> 1 if value & 1 == 0 else -(value >> 1) - 1

    def flag(self):
        value = self.take(1)[0]
        need(value <= 1, f"{self.what}: neither 0 nor 1")
        return value == 1

    def variant(self, count):
        value = self.varint(32)
        need(value < count, f"{self.what}: unknown variant {value}")
        return value

    def option(self, read):
        return read() if self.flag() else None

    def blob(self):
        return self.take(self.varint())

    def text(self, cap=None, line=False):
        raw = self.blob()
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise Bad(f"{self.what}: a text is not UTF-8") from None
        need(cap is None or len(raw) <= cap, f"{self.what}: a text is too long")
        need(not line or not any(map(is_control, text)), f"{self.what}: a control character")
        return text

    def many(self, read, cap=None):
        count = self.varint()
        need(count <= self.limit - self.at, f"{self.what}: claims more items than it has bytes")
        need(cap is None or count <= cap, f"{self.what}: too many items")
        return [read() for _ in range(count)]

    def id(self):
        return self.take(32)

    def target(self):
        value = self.id()
        need(value != ZERO, f"{self.what}: an id is zero")
        return value

    def time(self):
        ns, offset = self.zigzag(), self.zigzag(16)
        need(-1439 <= offset <= 1439, f"{self.what}: a time is malformed")
        return {"ns": ns, "offset": offset}

    def person(self):
        name, email = self.text(1024, True), self.text(1024, True)
        need(name or email, f"{self.what}: a person without name and address")
        need(not any(c in name + email for c in "<>"), f"{self.what}: angle brackets in a person")
        return {"name": name, "email": email}

    def end(self):
        need(self.at == self.limit, f"{self.what}: bytes follow its end")


def ascending(keys, what):
    need(all(a < b for a, b in zip(keys, keys[1:])), f"{what}: not in ascending order")


def is_control(c):
    return c <= "\x1f" or "\x7f" <= c <= "\x9f"


# --- names (13) -------------------------------------------------------------------------------------------------

HFS = [chr(c) for r in ((0x200C, 0x200F), (0x202A, 0x202E), (0x206A, 0x206F), (0xFEFF, 0xFEFF)) for c in range(r[0], r[1] + 1)]
HFS = re.compile(b"|".join(c.encode() for c in HFS))
INVISIBLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]  # fmt: skip


WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def lower(text):
    """Lower case for A-Z only."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def check_component(name, what):
    need(name not in (b"", b".", b"..") and len(name) <= 255, f"{what}: the name {name!r} is refused")
    need(b"\0" not in name and b"/" not in name, f"{what}: the name {name!r} is refused")
    if name[:1] in (b".", b"m", b"M", b"g", b"G", b"\xe2", b"\xef"):
        name = HFS.sub(b"", name)
        name = name.split(b":")[0].lower().rstrip(b". ")
        short = name[:-1] in (b"mv~", b"git~") and name[-1:].isdigit()
        need(name not in (b".mv", b".git") and not short, f"{what}: a name stands for .mv or .git")


def check_ref(name, what):
    bad = f"{what}: the ref name {name!r} is refused"
    need(1 <= len(name.encode()) <= 255, bad)
    for c in name:
        need(not is_control(c) and not any(a <= ord(c) <= b for a, b in INVISIBLE), bad)
        need(c not in WHITE and c not in "~^:?*[\\", bad)
    need(not name.startswith("-") and ".." not in name and "@{" not in name and name != "@", bad)
    need(not (len(name) in (40, 64) and all(c in "0123456789abcdefABCDEF" for c in name)), bad)
    need(lower(name) not in ("head", "latest"), bad)
    need(not ("/" in name and lower(name.split("/")[0]) == "refs"), bad)
    for part in name.split("/"):
        need(part and part[0] != "." and part[-1] != "." and not lower(part).endswith(".lock"), bad)
        stem = lower(part.split(".")[0])
        need(stem not in ("con", "prn", "aux", "nul", "conin$", "conout$"), bad)
        need(not (stem[:3] in ("com", "lpt") and len(stem) == 4 and stem[3] in "0123456789¹²³"), bad)
    return name


def check_neighbours(names, what):
    low = [name.lower() for name in names]
    need(len(set(low)) == len(low), f"{what}: names that differ by case only")
    for name in low:
        parts = name.split("/")
        for end in range(1, len(parts)):
            need("/".join(parts[:end]) not in low, f"{what}: {name} lies below a ref")


def is_semver(text):
    core, plus, build = (text[1:] if text.startswith("v") else text).partition("+")
    core, dash, pre = core.partition("-")
    numbers = core.split(".")

    def number(part):
        return part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")

    def words(text, strict):
        for part in text.split("."):
            if not part or not all(c.isascii() and (c.isalnum() or c == "-") for c in part):
                return False
            if strict and part.isdigit() and not number(part):
                return False
        return True

    return (
        len(numbers) == 3
        and all(number(n) and int(n) < 1 << 64 for n in numbers)
        and (not dash or words(pre, True))
        and (not plus or words(build, False))
    )


# --- trees, manifests, records (9, 10, 11) ----------------------------------------------------------------------

FILE, EXEC, SYMLINK, DIR = range(4)


def parse_tree(data, what):
    need(len(data) <= 64 * MIB, f"{what}: too large")
    r = Reader(data, what, b"MVtr")

    def entry():
        name, mode, target, length, files = r.blob(), r.variant(4), r.id(), r.varint(), r.varint()
        check_component(name, what)
        if mode == DIR:
            need(files > 0 or length == 0, f"{what}: bytes without files")
        else:
            need(files == 1, f"{what}: a file does not count as one")
            need(mode != SYMLINK or 1 <= length <= 4096, f"{what}: a symlink's target is too long or empty")
        return name, mode, target, length, files

    entries = r.many(entry, 1_000_000)
    r.end()
    ascending([e[0] for e in entries], what)
    return entries


def parse_manifest(data, what):
    need(len(data) <= 9 * MIB, f"{what}: too large")
    r = Reader(data, what, b"MVma")

    def value():
        kind = r.variant(4)
        if kind == 0:
            return r.flag()
        if kind == 1:
            return r.zigzag()
        if kind == 2:
            bits = r.varint()
            number = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
            need(number == number or bits == 0x7FF8 << 48, f"{what}: a NaN of other bits")
            return number
        return r.text()

    def pairs(read):
        found = r.many(lambda: (r.text(1024, True), read()))
        need(all(name for name, _ in found), f"{what}: an empty name")
        ascending([name.encode() for name, _ in found], what)
        return found

    def source():
        line = lambda: r.text(4096, True)  # noqa: E731
        return {
            "vcs": line(), "commit": line(), "branch": r.option(line), "dirty": r.flag(), "url": r.option(line),
        }  # fmt: skip

    m = {
        "parents": r.many(r.target, 64),
        "components": [(r.id(), r.varint(), r.varint()) for _ in range(4)],
        "environment": r.option(r.id),
        "model_name": r.text(4096, True),
        "params": pairs(value),
        "metrics": pairs(value),
        "metadata": pairs(r.text),
        "message": r.text(256 * KIB),
        "author": r.person(),
        "created": r.time(),
        "source": r.option(source),
    }
    r.end()
    need(len(set(m["parents"])) == len(m["parents"]), f"{what}: a parent twice")
    need(m["message"].strip(WHITE), f"{what}: a blank message")
    need(all(files or not length for _, files, length in m["components"]), f"{what}: bytes without files")
    for column in (1, 2):
        need(sum(part[column] for part in m["components"]) < 1 << 64, f"{what}: sizes overflow")
    notes = sum(len(a.encode()) + len(b.encode()) for a, b in m["metadata"])
    need(notes <= 8 * MIB and len(data) - notes <= MIB, f"{what}: too large")
    return m


def parse_record(data, what):
    need(len(data) <= 16 * MIB, f"{what}: too large")
    r = Reader(data, what, b"MVst", sealed=True)
    name = lambda: check_ref(r.text(), what)  # noqa: E731

    def remote():
        found = name()
        need("/" not in found, f"{what}: a remote's name has a slash")
        return found

    def tag():
        found = {
            "name": name(), "target": r.option(r.target), "message": r.text(256 * KIB),
            "tagger": r.person(), "created": r.time(),
        }  # fmt: skip
        need(found["target"] or is_semver(found["name"]), f"{what}: a tombstone that is no version")
        return found

    def retired():
        return r.id(), r.time(), r.varint()

    s = {
        "repository": r.take(16),
        "generation": r.varint(),
        "previous": r.id(),
        "head": name() if r.variant(2) == 0 else r.target(),
        "branches": r.many(lambda: (name(), r.target())),
        "tags": r.many(tag),
        "stages": r.many(lambda: (name(), r.id(), r.target())),
        "tracking": r.many(lambda: (remote(), name(), r.target())),
        "remotes": r.many(lambda: (remote(), r.varint(), r.id())),
        "packs": r.many(r.id),
        "condemned": r.many(retired),
        "deleting": r.many(retired),
        "nonce": r.take(16),
        "time": r.time(),
        "actor": r.option(r.person),
        "operation": r.text(1024, True),
        "cursor": r.varint(),
        "before": r.varint(),
        "redo": r.many(r.varint, 10_000),
        "saved": r.option(r.target),
        "touched_worktree": r.flag(),
    }
    r.end()
    generation = s["generation"]
    need(generation >= 1 and (generation == 1) == (s["previous"] == ZERO), f"{what}: bad generation")
    need(1 <= s["cursor"] <= generation and s["before"] < generation, f"{what}: bad cursor")
    need(all(1 <= g < generation for g in s["redo"]), f"{what}: bad redo list")
    need(s["operation"], f"{what}: no operation")
    refs = len(s["branches"]) + len(s["tags"]) + len(s["stages"]) + len(s["tracking"])
    need(refs <= 100_000, f"{what}: too many refs")
    for names in ([b[0] for b in s["branches"]], [t["name"] for t in s["tags"]], [g[0] for g in s["stages"]]):
        ascending([n.encode() for n in names], what)
        check_neighbours(names, what)
    ascending([(t[0].encode(), t[1].encode()) for t in s["tracking"]], what)
    for one in {t[0] for t in s["tracking"]}:
        check_neighbours([t[1] for t in s["tracking"] if t[0] == one], what)
    ascending([t[0].encode() for t in s["remotes"]], what)
    gone = [p[0] for p in s["condemned"]], [p[0] for p in s["deleting"]]
    for packs in (s["packs"], *gone):
        ascending(packs, what)
    every = s["packs"] + gone[0] + gone[1]
    need(len(set(every)) == len(every), f"{what}: a pack in two lists")
    need(all(p[2] <= generation for p in s["condemned"] + s["deleting"]), f"{what}: retired in the future")
    return s


def parse_entry(data, what):
    need(len(data) <= 32 * KIB, f"{what}: too large")
    r = Reader(data, what, b"MVld")
    e = {
        "stage": check_ref(r.text(), what),
        "sequence": r.varint(),
        "previous": r.option(r.target),
        "from": r.option(r.target),
        "to": r.option(r.target),
        "kind": ("set", "rollback", "unset", "undo")[r.variant(4)],
        "by": r.person(),
        "at": r.time(),
        "reason": r.text(16 * KIB),
    }
    r.end()
    need(1 <= e["sequence"] <= 10_000_000, f"{what}: bad number")
    need((e["sequence"] == 1) == (e["previous"] is None), f"{what}: bad previous entry")
    need(e["sequence"] > 1 or e["from"] is None, f"{what}: the first takes from somebody")
    need(e["from"] != e["to"], f"{what}: moves nothing")
    wanted = {"set": True, "rollback": True, "unset": False}.get(e["kind"], e["to"] is not None)
    need((e["to"] is not None) == wanted, f"{what}: not what its kind says")
    return e


# --- the repository (2, 3, 12) ----------------------------------------------------------------------------------


class Repository:
    def __init__(self, path, generation=None):
        inside = os.path.join(path, ".mv")
        self.dot = inside if os.path.isdir(inside) else path
        self.id = self.read_format()
        generations = self.generations()
        need(generations, "there is no state record")
        newest = generations[-1]
        while os.path.lexists(self.record_path(newest + 1)):
            newest += 1
        self.generation = newest
        self.newest, _ = self.record(newest)
        self.state = self.newest if generation is None else self.record(generation)[0]
        # Older refs are looked up in the packs of today: packs are merged, records are not rewritten.
        self.store = Store(self.dot, self.newest["packs"])

    def read_format(self):  # 3
        data = read_file(os.path.join(self.dot, "format"), 64 * KIB)
        try:
            text = data.decode("ascii")
        except UnicodeDecodeError:
            raise Bad("format: not text") from None
        need(text.endswith("\n"), "format: the last line is not ended")
        lines = text[:-1].split("\n")
        need(lines[0] == "mv repository", "format: not a repository's")
        need(len(lines) > 1 and lines[1] == "version 1", f"format: `{''.join(lines[1:2])}` is unknown")
        need(len(lines) > 3 and lines[2].startswith("id ") and len(lines[2]) == 35, "format: bad id")
        need(lines[-1].startswith("check "), "format: no check line")
        body = data[: len(data) - len(lines[-1]) - 1]
        need(lines[-1] == "check " + plain_hash(body).hex(), "format: its check sum is wrong")
        for line in lines[3:-1]:
            need(line.startswith("feature "), f"format: unknown line `{line}`")
            need(line == "feature " + CUTTING, f"format: unknown feature `{line[8:]}`")
        digits = lines[2][3:]
        need(digits == digits.lower(), "format: bad id")
        try:
            return bytes.fromhex(digits)
        except ValueError:
            raise Bad("format: bad id") from None

    def generations(self):
        names = os.listdir(os.path.join(self.dot, "state"))
        return sorted(int(n) for n in names if len(n) == 20 and n.isascii() and n.isdigit())

    def record_path(self, generation):
        return os.path.join(self.dot, "state", f"{generation:020}")

    def record(self, generation):
        what = f"record {generation}"
        data = read_file(self.record_path(generation), 16 * MIB)
        state = parse_record(data, what)
        need(state["generation"] == generation, f"{what}: says that it is {state['generation']}")
        need(state["repository"] == self.id, f"{what}: of another repository")
        return state, plain_hash(data)

    def resolve(self, text):
        state = self.state
        branches = dict(state["branches"])
        tags = {t["name"]: t["target"] for t in state["tags"] if t["target"]}
        if text == "HEAD":
            head = state["head"]
            if isinstance(head, bytes):
                return head
            need(head in branches, f"HEAD is on `{head}`, which has no version yet")
            return branches[head]
        stages = {s[0]: s[1] for s in state["stages"] if s[1] != ZERO}
        found = branches.get(text) or tags.get(text) or stages.get(text)
        if found is None and len(text) == 64:
            found = bytes.fromhex(text)
        need(found, f"unknown revision `{text}`")
        return found

    def manifest(self, name):
        return parse_manifest(self.store.whole(MANIFEST, name), f"manifest {name.hex()}")

    def tree(self, name, files, length):
        what = f"tree {name.hex()}"
        entries = parse_tree(self.store.whole(TREE, name), what)
        need(sum(e[4] for e in entries) == files, f"{what}: holds another number of files than claimed")
        need(sum(e[3] for e in entries) == length, f"{what}: holds another number of bytes than claimed")
        return entries

    def files(self, manifest):
        """(path, mode, id, length) of every file, symlink and empty directory: the four trees overlaid (10)."""
        need(sum(c[1] for c in manifest["components"]) <= 10_000_000, "too many files")
        roots = [self.tree(*part) for part in manifest["components"]]
        yield from self.overlay(b"", roots, 0)

    def overlay(self, path, trees, depth):
        need(depth < 512, "a path is too deep")
        names = {}
        for tree in trees:
            for entry in tree:
                names.setdefault(entry[0], []).append(entry)
        for name in sorted(names):
            entries = names[name]
            below = path + b"/" + name if path else name
            need(len(below) <= 4096, "a path is too long")
            if entries[0][1] != DIR or len(entries) > 1 and any(e[1] != DIR for e in entries):
                need(len(entries) == 1, f"{below!r} is in two components")
                yield below, entries[0][1], entries[0][2], entries[0][3]
                continue
            subtrees = [self.tree(e[2], e[4], e[3]) for e in entries]
            filled = [tree for tree in subtrees if tree]
            if filled:
                yield from self.overlay(below, filled, depth + 1)
            else:
                need(len(entries) == 1, f"{below!r} is in two components")
                yield below, DIR, entries[0][2], 0

    def ledger(self, stage):
        """Checks the ledger of a stage; returns its entries, newest first (11)."""
        name, to, entry = stage
        to = None if to == ZERO else to
        found = []
        while entry:
            what = f"ledger entry {entry.hex()}"
            e = parse_entry(self.store.whole(BLOB, entry), what)
            need(e["stage"] == name, f"{what}: of another stage")
            need(e["to"] == to, f"{what}: leads elsewhere")
            need(not found or found[-1]["sequence"] == e["sequence"] + 1, f"{what}: a number is skipped")
            found.append(e)
            entry, to = e["previous"], e["from"]
        return found

    def chain(self):
        """Checks every record that is kept; returns them, newest first."""
        found, expected = [], None
        generations = [g for g in self.generations() if g <= self.generation]
        for at, generation in enumerate(reversed(generations)):
            need(generation == self.generation - at, f"record {self.generation - at} is missing")
            state, digest = self.record(generation)
            need(expected in (None, digest), f"record {generation} is not the one that the next one follows")
            expected = state["previous"]
            found.append(state)
        return found


def targets(state):
    head = [state["head"]] if isinstance(state["head"], bytes) else []
    saved = [state["saved"]] if state["saved"] else []
    refs = [b[1] for b in state["branches"]] + [t["target"] for t in state["tags"] if t["target"]]
    stages = [s[1] for s in state["stages"] if s[1] != ZERO]
    return head + saved + refs + stages + [t[2] for t in state["tracking"]]


def extract(repo, manifest, directory):
    os.mkdir(directory)
    root = os.fsencode(directory)
    links = []
    made = {b""}
    for path, mode, name, length in repo.files(manifest):
        parts = path.split(b"/")
        for end in range(1, len(parts) + (mode == DIR)):
            above = b"/".join(parts[:end])
            if above not in made:
                made.add(above)
                os.mkdir(os.path.join(root, above))
        where = os.path.join(root, path)
        if mode == SYMLINK:
            target = []
            repo.store.blob(name, length, target.append)
            links.append((where, b"".join(target)))
        elif mode != DIR:
            bits = 0o755 if mode == EXEC else 0o644
            fd = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, bits)
            with os.fdopen(fd, "wb") as file:
                repo.store.blob(name, length, file.write)
    for where, target in links:  # last, so that nothing is ever written through one
        os.symlink(target, where)


def check(repo):
    objects = sum(pack.verify(repo.store) for pack in repo.store.packs)
    blocks = [pack.block(n)[3] for pack in repo.store.packs for n in range(pack.blocks)]
    bases = sum(pack.bases for pack in repo.store.packs)
    records = repo.chain()
    todo = [t for state in records for t in targets(state)]
    moves = [e for stage in repo.newest["stages"] for e in repo.ledger(stage)]
    todo += [e["to"] for e in moves if e["to"]]
    seen, blobs = set(), {}
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        manifest = repo.manifest(name)
        todo += manifest["parents"]
        for _, mode, blob, length in repo.files(manifest):
            if mode != DIR:
                need(blobs.setdefault(blob, length) == length, f"blob {blob.hex()}: two lengths are claimed")
        if manifest["environment"]:
            repo.store.locate(BLOB, manifest["environment"])
    for blob, length in blobs.items():
        repo.store.blob(blob, length, lambda piece: None)
    print(
        f"ok: {len(repo.store.packs)} packs, {objects} objects, {len(records)} records, "
        f"{len(seen)} versions, {len(blobs)} files of different content, {len(moves)} moves of stages, "
        + ", ".join(f"{blocks.count(n)} {name}" for n, name in enumerate(ENCODINGS) if n in blocks)
        + f", {bases} bases"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=["check", "refs", "list", "extract", "show"])
    parser.add_argument("project")
    parser.add_argument("rev", nargs="?", default="HEAD")
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--generation", type=int)
    args = parser.parse_args()
    if args.verb == "extract" and not args.directory:
        parser.error("extract needs a directory")
    try:
        repo = Repository(args.project, args.generation)
        if args.verb == "check":
            check(repo)
        elif args.verb == "refs":
            head = repo.state["head"]
            print("HEAD", head.hex() if isinstance(head, bytes) else ascii(head))
            for name, target in repo.state["branches"]:
                print("branch", ascii(name), target.hex())
            for tag in repo.state["tags"]:
                print("tag", ascii(tag["name"]), tag["target"].hex() if tag["target"] else "deleted")
            for name, target, _ in repo.state["stages"]:
                print("stage", ascii(name), target.hex() if target != ZERO else "deleted")
        else:
            manifest = repo.manifest(repo.resolve(args.rev))
            if args.verb == "show":
                for key, value in manifest.items():
                    print(key, ascii(value))
            elif args.verb == "list":
                for path, mode, name, length in repo.files(manifest):
                    print(("file", "exec", "symlink", "dir")[mode], name.hex(), length, ascii(os.fsdecode(path)))
            else:
                extract(repo, manifest, args.directory)
    except (Bad, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
