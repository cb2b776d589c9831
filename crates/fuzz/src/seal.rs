//! Checksums made right again, so that a change reaches what lies behind them.
//! Promise: bytes that are whole stay as they are; nothing but checksums is changed.
//! Not here: what the bytes mean. The forms are those that `store` describes in `frame`, `snapshot` and
//! `archive::pages`; a test holds this file against what `store` writes.

/// Bytes of a file's head, of which the last eight are its checksum and padding.
const FILE_HEAD_BYTES: usize = 32;
/// Bytes before a frame's body.
const FRAME_HEAD_BYTES: usize = 24;
/// Where parts of a snapshot begin, and what stands before each.
const SNAPSHOT_HEAD_BYTES: usize = 16;
const PART_HEAD_BYTES: usize = 8;
const FOOT_BYTES: usize = 56;
const FOOT_CHECKED_BYTES: usize = 48;

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*four))
}

fn set(bytes: &mut [u8], at: usize, number: u32) {
    if let Some(four) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *four = number.to_le_bytes();
    }
}

/// Seals a file of frames that begins with `heads` copies of its head.
pub fn frames(file: &mut [u8], heads: usize) {
    let body_at = heads * FILE_HEAD_BYTES;
    for head in file.chunks_exact_mut(FILE_HEAD_BYTES).take(heads) {
        let crc = crc32c::crc32c(&head[..24]);
        set(head, 24, crc);
    }
    let Some(salt) = number(file, 12) else { return };
    let mut at = body_at;
    while let Some(length) = number(file, at + 4) {
        let length = length as usize;
        let Some(frame) = file.get_mut(at..).and_then(|rest| rest.get_mut(..length)) else {
            return;
        };
        if length < FRAME_HEAD_BYTES {
            return;
        }
        let crc = crc32c::crc32c_append(salt, &frame[4..]);
        set(frame, 0, crc);
        at += length.next_multiple_of(8);
    }
}

/// Seals a snapshot's file: its parts, its digest and its foot.
pub fn snapshot(file: &mut [u8]) {
    let Some(foot_at) = file.len().checked_sub(FOOT_BYTES) else {
        return;
    };
    let mut hasher = blake3::Hasher::new();
    let (mut at, mut part) = (SNAPSHOT_HEAD_BYTES, 0);
    while let Some(length) = number(file, at).filter(|_| at < foot_at) {
        let (from, to) = (at + PART_HEAD_BYTES, at + PART_HEAD_BYTES + length as usize);
        let Some(body) = file[..foot_at].get(from..to) else {
            break;
        };
        if part == 0 {
            hasher.update(&u64::from(length).to_le_bytes());
        }
        hasher.update(body);
        let crc = crc32c::crc32c_append(part, body);
        set(file, at + 4, crc);
        (at, part) = (to, part + 1);
    }
    file[foot_at + 16..foot_at + FOOT_CHECKED_BYTES].copy_from_slice(hasher.finalize().as_bytes());
    let crc = crc32c::crc32c(&file[foot_at..foot_at + FOOT_CHECKED_BYTES]);
    set(file, foot_at + FOOT_CHECKED_BYTES, crc);
}

/// Seals a value of the archive's index.
pub fn value(key: &[u8], value: &mut [u8]) {
    if let Some(body) = value.get(4..) {
        let crc = crc32c::crc32c_append(crc32c::crc32c(key), body);
        set(value, 0, crc);
    }
}

/// Seals an identity: its last line is the checksum of those before it.
pub fn identity(text: &mut Vec<u8>) {
    const KEY: &[u8] = b"crc32c=";
    if let Some(at) = text.windows(KEY.len()).rposition(|window| window == KEY) {
        text.truncate(at);
        let line = format!("crc32c={:08x}\n", crc32c::crc32c(text));
        text.extend_from_slice(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seals the rest of each seed, behind its first byte, and compares.
    fn stay(seeds: &[Vec<u8>], seal: impl Fn(&mut Vec<u8>)) {
        assert!(!seeds.is_empty());
        for seed in seeds {
            let mut sealed = seed[1..].to_vec();
            seal(&mut sealed);
            assert_eq!(sealed, seed[1..], "what the product wrote is whole");
            // A length that has changed is not mended: what it is of is no frame then.
            let mended = (1..8).filter(|eighth| {
                let mut damaged = seed[1..].to_vec();
                let at = damaged.len() * eighth / 8;
                damaged[at] ^= 1;
                let mut sealed = damaged.clone();
                seal(&mut sealed);
                sealed != damaged
            });
            assert!(mended.count() >= 4, "a change is sealed");
        }
    }

    #[test]
    fn what_the_product_writes_stays_as_it_is_and_a_change_is_sealed() {
        stay(&crate::wals::seeds(), |file| frames(file, 1));
        stay(&crate::snapshots::seeds(), |file| snapshot(file));
        stay(&crate::archived::file_seeds(), |file| frames(file, 2));
        stay(&crate::texts::identity_seeds(), identity);
    }
}
