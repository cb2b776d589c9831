//! Packs: many inputs in one file, as the repository keeps them.
//! Promise: what was packed is what is unpacked; a file that is cut or is no pack is refused.
//! Not here: which inputs are kept (`run.sh`).
//!
//! A pack is `MAGIC`, then inputs one after another, each behind its length in four little-endian bytes.

/// How a pack begins; no text does, so that nothing takes it for one.
const MAGIC: &[u8] = b"\xffinputs\x01";

/// The pack of `inputs`.
#[must_use]
pub fn pack(inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for input in inputs {
        out.extend_from_slice(&(input.len() as u32).to_le_bytes());
        out.extend_from_slice(input);
    }
    out
}

/// The inputs of a pack; `None` for what is none.
#[must_use]
pub fn unpack(pack: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = pack.strip_prefix(MAGIC)?;
    let mut inputs = Vec::new();
    while let Some((len, behind)) = rest.split_first_chunk() {
        let len = u32::from_le_bytes(*len) as usize;
        let (input, behind) = behind.split_at_checked(len)?;
        inputs.push(input.to_vec());
        rest = behind;
    }
    rest.is_empty().then_some(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back_and_a_cut_is_refused() {
        let inputs = vec![b"one".to_vec(), Vec::new(), vec![0; 300]];
        let packed = pack(&inputs);
        assert_eq!(unpack(&packed), Some(inputs));
        assert_eq!(unpack(&packed[..packed.len() - 1]), None);
        assert_eq!(unpack(b"text"), None);
    }
}
