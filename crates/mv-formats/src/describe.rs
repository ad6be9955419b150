//! What a file is, in a few words: its first bytes say so, and pictures and sounds say how large.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use imagesize::{ImageType, reader_size, reader_type};

use crate::error::{Error, Result};
use crate::source::Source;

/// Bytes of the head in which marks are looked for.
const HEAD: u64 = 512;
/// Bytes that finding the size of a picture may read.
const PICTURE: u64 = 256 << 10;

/// Where a mark is, the mark, and what it says.
const MARKS: &[(usize, &[u8], &str)] = &[
    (0, b"PK\x03\x04", "zip archive"),
    (0, b"PK\x05\x06", "zip archive, empty"),
    (0, b"\x1f\x8b\x08", "gzip data"),
    (0, b"\x28\xb5\x2f\xfd", "zstd data"),
    (0, b"\xfd7zXZ\0", "xz data"),
    (0, b"BZh", "bzip2 data"),
    (0, b"\x04\x22\x4d\x18", "lz4 data"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (0, b"Rar!\x1a\x07", "rar archive"),
    (257, b"ustar", "tar archive"),
    (0, b"%PDF-", "PDF document"),
    (0, b"SQLite format 3\0", "SQLite database"),
    (8, b"DUCK", "DuckDB database"),
    (16, b"\xde\xc0\xef\xbe", "LMDB database"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5 data"),
    (0, b"CDF\x01", "netCDF data"),
    (0, b"CDF\x02", "netCDF data"),
    (0, b"CDF\x05", "netCDF data"),
    (0, b"ARROW1\0\0", "Arrow table"),
    (0, b"FEA1", "Feather table"),
    (0, b"Obj\x01", "Avro table"),
    (0, b"PAR1", "Parquet table"),
    (0, b"MATLAB 5.0 MAT-file", "MATLAB data"),
    (0, b"\x93NUMPY", "NumPy array"),
    (0, b"GGUF", "GGUF model"),
    (4, b"TFL3", "TensorFlow Lite model"),
    (0, b"CBM1", "CatBoost model"),
    (0, b"tree\nversion=", "LightGBM model"),
    (0, b"\x80\x04\x95", "Python pickle"),
    (0, b"\x80\x05\x95", "Python pickle"),
    (0, b"OggS", "Ogg audio"),
    (0, b"ID3", "MP3 audio"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska video"),
    (4, b"ftypqt  ", "QuickTime video"),
    (4, b"ftypM4A ", "MPEG-4 audio"),
    (4, b"ftyp", "MPEG-4 video"),
    (128, b"DICM", "DICOM image"),
    (344, b"n+1\0", "NIfTI image"),
    (0, b"SIMPLE  =", "FITS image"),
    (0, b"LASF", "LAS point cloud"),
    (0, b"ply\n", "PLY model"),
    (0, b"\x7fELF", "ELF binary"),
    (0, b"\xcf\xfa\xed\xfe", "Mach-O binary"),
    (0, b"\0asm", "WebAssembly module"),
];

/// Marks so short that the name must agree: its ending, the mark and what it says.
const SHORT_MARKS: &[(&str, &[u8], &str)] = &[
    ("pkl", b"\x80", "Python pickle"),
    ("pickle", b"\x80", "Python pickle"),
    ("mp3", b"\xff", "MP3 audio"),
    ("orc", b"ORC", "ORC table"),
    ("exe", b"MZ", "Windows binary"),
    ("dll", b"MZ", "Windows binary"),
    ("pyd", b"MZ", "Windows binary"),
];

/// What an image, archive, audio or other well-known file is: `PNG image, 640 x 480`. None if unknown,
/// as for text. Nothing of the file is in the answer but numbers. Reads at most 256 KiB.
///
/// # Errors
/// [`Error::Read`].
pub fn describe(name: &str, source: &dyn Source) -> Result<Option<String>> {
    let head = source.read(0, source.size().min(HEAD) as usize)?;
    let extension = name.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase();
    if let Some(picture) = picture(&extension, source)? {
        return Ok(Some(picture));
    }
    if let Some(sound) = sound(&head) {
        return Ok(Some(sound));
    }
    let short = SHORT_MARKS.iter().filter(|(ending, ..)| *ending == extension);
    let mut marks = MARKS.iter().copied().chain(short.map(|&(_, mark, what)| (0, mark, what)));
    let found = marks.find(|(at, mark, _)| head.get(*at..).is_some_and(|h| h.starts_with(mark)));
    if let Some((_, _, what)) = found {
        return Ok(Some(what.to_owned()));
    }
    // The version of Python is in the first two bytes, a line break behind it.
    let bytecode = extension == "pyc" && head.get(2..4) == Some(b"\r\n");
    Ok(bytecode.then(|| "Python bytecode".to_owned()))
}

/// `JPEG image, 640 x 480`
fn picture(extension: &str, source: &dyn Source) -> Result<Option<String>> {
    let mut bytes = Bytes { source, at: 0, left: PICTURE, failed: None };
    let mut reader = BufReader::with_capacity(512, &mut bytes);
    let kind = reader_type(&mut reader).ok();
    let size = kind.and_then(|_| {
        reader.seek(SeekFrom::Start(0)).ok()?;
        reader_size(&mut reader).ok()
    });
    drop(reader);
    if let Some(error) = bytes.failed {
        return Err(error);
    }
    let Some(name) = kind.and_then(|kind| picture_name(kind, extension)) else { return Ok(None) };
    Ok(Some(match size {
        Some(size) => {
            // A BMP whose rows go from top to bottom has a negative height.
            let side = |n: usize| match kind {
                Some(ImageType::Bmp) => (n as u32).cast_signed().unsigned_abs() as usize,
                _ => n,
            };
            format!("{name} image, {} x {}", side(size.width), side(size.height))
        }
        None => format!("{name} image"),
    }))
}

/// What a picture is called; none if the mark is too short to go by without the file's name.
fn picture_name(kind: ImageType, extension: &str) -> Option<&'static str> {
    let named = |endings: &[&str]| endings.contains(&extension);
    Some(match kind {
        ImageType::Png => "PNG",
        ImageType::Jpeg => "JPEG",
        ImageType::Gif => "GIF",
        ImageType::Webp => "WebP",
        ImageType::Tiff => "TIFF",
        ImageType::Psd => "Photoshop",
        ImageType::Qoi => "QOI",
        ImageType::Exr => "OpenEXR",
        ImageType::Hdr => "Radiance HDR",
        // Videos have the same container and match as unknown.
        ImageType::Heif(_) if named(&["heic", "heif"]) => "HEIF",
        ImageType::Heif(_) if named(&["avif"]) => "AVIF",
        ImageType::Jxl if named(&["jxl"]) => "JPEG XL",
        ImageType::Bmp if named(&["bmp"]) => "BMP",
        ImageType::Ico if named(&["ico"]) => "icon",
        ImageType::Pnm if named(&["pnm", "pbm", "pgm", "ppm"]) => "PNM",
        _ => return None,
    })
}

/// `WAV audio, 44100 Hz, 2 channels`
fn sound(head: &[u8]) -> Option<String> {
    let (name, rate, channels) = if head.starts_with(b"RIFF") && head.get(8..12)? == b"WAVE" {
        let known = head.get(12..16)? == b"fmt ";
        let number = |from: usize, len: usize| {
            let bytes = head.get(from..from + len).filter(|_| known)?;
            Some(bytes.iter().rev().fold(0, |n: u32, &b| n << 8 | u32::from(b)))
        };
        ("WAV", number(24, 4), number(22, 2))
    } else if head.starts_with(b"fLaC") {
        let stream = head.get(18..21)?;
        let bits = stream.iter().fold(0, |n: u32, &b| n << 8 | u32::from(b));
        ("FLAC", Some(bits >> 4), Some((bits >> 1 & 7) + 1))
    } else if head.starts_with(b"RIFF") && head.get(8..12)? == b"AVI " {
        return Some("AVI video".to_owned());
    } else {
        return None;
    };
    Some(match (rate, channels) {
        (Some(rate), Some(1)) => format!("{name} audio, {rate} Hz, 1 channel"),
        (Some(rate), Some(channels)) => format!("{name} audio, {rate} Hz, {channels} channels"),
        _ => format!("{name} audio"),
    })
}

/// A source as `imagesize` wants it, of which only so much can be read.
struct Bytes<'a> {
    source: &'a dyn Source,
    at: u64,
    left: u64,
    /// The error that reading gave, which `imagesize` would take for the end of the file.
    failed: Option<Error>,
}

impl Read for Bytes<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let there = self.source.size().saturating_sub(self.at).min(self.left);
        let len = there.min(into.len() as u64) as usize;
        if len == 0 {
            return Ok(0);
        }
        if let Err(error) = self.source.read_at(self.at, &mut into[..len]) {
            self.failed = Some(error);
            return Err(io::ErrorKind::Other.into());
        }
        self.at += len as u64;
        self.left -= len as u64;
        Ok(len)
    }
}

impl Seek for Bytes<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.source.size().checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn described(name: &str, bytes: &[u8]) -> Option<String> {
        describe(name, &bytes.to_vec()).unwrap()
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
        [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", size.as_slice(), b"\x08\x02\0\0\0"].concat()
    }

    /// The size of a picture that stands behind a comment of 60 KB.
    fn jpeg() -> Vec<u8> {
        let comment = vec![b'c'; 60_000];
        let sizes = b"\xff\xc0\0\x11\x08\x01\xe0\x02\x80\x03\x01\x22\0";
        [b"\xff\xd8\xff\xfe\xea\x62", comment.as_slice(), sizes].concat()
    }

    #[test]
    fn pictures_are_named_with_their_size() {
        assert_eq!(described("a.png", &png(640, 480)).unwrap(), "PNG image, 640 x 480");
        assert_eq!(described("a", &png(1, 2)).unwrap(), "PNG image, 1 x 2");
        assert_eq!(described("a.jpg", &jpeg()).unwrap(), "JPEG image, 640 x 480");
        assert_eq!(described("a.gif", b"GIF89a\x10\0\x20\0....").unwrap(), "GIF image, 16 x 32");
        let bmp = [&b"BM"[..], &[0; 16], b"\x10\0\0\0\xe0\xff\xff\xff"].concat();
        assert_eq!(described("a.bmp", &bmp).unwrap(), "BMP image, 16 x 32");
        assert_eq!(described("a.txt", &bmp), None, "`BM` begins many texts");
        assert_eq!(described("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\0").unwrap(), "PNG image");
    }

    #[test]
    fn the_size_of_a_tiff_may_stand_at_its_end() {
        let mut tiff = b"II*\0\0\0\x10\0".to_vec();
        tiff.resize(1 << 20, 7);
        tiff.extend(b"\x02\0\0\x01\x03\0\x01\0\0\0\x40\0\0\0\x01\x01\x03\0\x01\0\0\0\x20\0\0\0");
        assert_eq!(described("a.tif", &tiff).unwrap(), "TIFF image, 64 x 32");
    }

    #[test]
    fn sounds_are_named_with_their_rate() {
        let wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0";
        assert_eq!(described("a.wav", wav).unwrap(), "WAV audio, 44100 Hz, 2 channels");
        let flac = b"fLaC\0\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x03\xe8\x00\xf0";
        assert_eq!(described("a.flac", flac).unwrap(), "FLAC audio, 16000 Hz, 1 channel");
    }

    #[test]
    fn other_kinds_are_known_by_their_marks() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (name, bytes, what) in [
            ("m.keras", &b"PK\x03\x04...."[..], "zip archive"),
            ("m.h5", b"\x89HDF\r\n\x1a\n", "HDF5 data"),
            ("d.arrow", b"ARROW1\0\0", "Arrow table"),
            ("v.mp4", b"\0\0\0\x20ftypisom\0\0\x02\0", "MPEG-4 video"),
            ("m.pkl", b"\x80\x02c", "Python pickle"),
            ("a.pyc", b"\xa7\x0d\r\n", "Python bytecode"),
            ("a.tar", &tar, "tar archive"),
        ] {
            assert_eq!(described(name, bytes).as_deref(), Some(what), "{name}");
        }
        for (name, bytes) in
            [("a.txt", &b"hello"[..]), ("a", b""), ("a.bin", b"\x80"), ("P1", b"P1 2 3")]
        {
            assert_eq!(described(name, bytes), None, "{name}");
        }
    }

    #[test]
    fn an_error_of_reading_is_not_taken_for_an_unknown_file() {
        struct Broken;
        impl Source for Broken {
            fn size(&self) -> u64 {
                100
            }
            fn read_at(&self, _: u64, _: &mut [u8]) -> Result<()> {
                Err(io::Error::from(io::ErrorKind::PermissionDenied).into())
            }
        }
        assert!(matches!(describe("a.png", &Broken), Err(Error::Read(_))));
        assert!(matches!(picture("png", &Broken), Err(Error::Read(_))));
    }

    #[test]
    fn any_cut_or_changed_byte_of_a_picture_gives_an_answer() {
        let jpeg = [&b"\xff\xd8\xff\xe0\0\x04ab"[..], &jpeg()[60_006..]].concat();
        let jxl = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14jxlc\xff\x0a\xfa\x7f\x01\x02\x03\x04\x05\x06";
        let heic = b"\0\0\0\x10ftypheic\0\0\0\0\0\0\0\x40meta\0\0\0\0\0\0\0\x30iprp\0\0\0\x28ipco\
            \0\0\0\x14ispe\0\0\0\0\0\0\0\x10\0\0\0\x20\0\0\0\x09irot\x01";
        let tiff = b"II*\0\x08\0\0\0\x02\0\0\x01\x03\0\x01\0\0\0\x40\0\0\0\x01\x01\x03\0\x01\0\0\0\x20\0\0\0";
        let ico = b"\0\0\x01\0\x02\0\x10\x20............................";
        let exr = b"\x76\x2f\x31\x01\x02\0\0\0dataWindow\0box2i\0\x10\0\0\0\0\0\0\0\0\0\0\0\xff\0\0\0\xff\0\0\0";
        for whole in [&png(3, 4)[..], &jpeg, jxl, heic, tiff, ico, exr] {
            for at in 0..whole.len() {
                described("a.heic", &whole[..at]);
                for change in [0x01, 0x80, 0xff] {
                    let mut bytes = whole.to_vec();
                    bytes[at] ^= change;
                    described("a.heic", &bytes);
                }
            }
        }
        assert_eq!(described("a.heic", heic).unwrap(), "HEIF image, 32 x 16");
    }

    const BEGINNINGS: &[&[u8]] = &[
        b"\xff\xd8\xff",
        b"\x89PNG",
        b"II*\0",
        b"MM\0+\0\x08\0\0",
        b"RIFF....WEBPVP8 ",
        b"\xff\x0a",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"\0\0\0\x10ftypmif1",
        b"\x76\x2f\x31\x01",
        b"#?RADIANCE\n",
        b"P6",
        b"\0\0\x01\0",
        b"8BPS",
        b"fLaC",
        b"RIFF....WAVEfmt ",
        b"DDS ",
        b"\xabKTX 20\xbb",
    ];

    proptest! {
        #[test]
        fn any_bytes_behind_any_mark_give_an_answer(
            mark in prop::sample::select(BEGINNINGS),
            rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            described("a.jxl", &[mark, rest.as_slice()].concat());
        }
    }
}
