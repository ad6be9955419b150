//! Zip files around bytes that are to be looked at.

/// A zip of stored entries; check sums are left out, since nothing here is ever extracted.
pub(crate) fn stored(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let header = zip.len() as u32;
        let sizes = [(bytes.len() as u32).to_le_bytes(); 2].concat();
        let name_len = (name.len() as u16).to_le_bytes();
        zip.extend(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0");
        zip.extend([&sizes[..], &name_len, &[0; 2], name.as_bytes(), bytes].concat());
        directory.extend(b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0");
        directory.extend([&sizes[..], &name_len, &[0; 12], &header.to_le_bytes()].concat());
        directory.extend(name.as_bytes());
    }
    let (count, at) = (entries.len() as u16, zip.len() as u32);
    let len = directory.len() as u32;
    zip.extend(directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend([count.to_le_bytes(); 2].concat());
    zip.extend([&len.to_le_bytes()[..], &at.to_le_bytes(), &[0; 2]].concat());
    zip
}
