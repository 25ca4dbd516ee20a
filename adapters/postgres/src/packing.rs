//! Payloads in the form in which they are stored. Webhooks' JSON shrinks to a fifth or less, which saves the
//! way of a delivery more bytes in the database's log than the packing costs time.

use crate::error::Error;

/// Smaller payloads stay as they are: packing gains nothing.
const WORTHWHILE_BYTES: usize = 512;
/// Stored as received.
const PLAIN: i16 = 0;
/// An LZ4 block after its size, 4 bytes little-endian.
const LZ4: i16 = 1;

/// A payload as it is stored.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The column `encoding`.
    pub(crate) encoding: i16,
    /// The column `payload`.
    pub(crate) bytes: Vec<u8>,
}

/// Packs a payload where that makes it smaller.
pub(crate) fn pack(payload: Vec<u8>) -> Packed {
    if payload.len() >= WORTHWHILE_BYTES {
        let bytes = lz4_flex::block::compress_prepend_size(&payload);
        if bytes.len() < payload.len() {
            return Packed { encoding: LZ4, bytes };
        }
    }
    Packed {
        encoding: PLAIN,
        bytes: payload,
    }
}

/// The payload, byte for byte as it was given to [`pack`].
pub(crate) fn unpack(encoding: i16, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    match encoding {
        PLAIN => Ok(bytes),
        LZ4 => lz4_flex::block::decompress_size_prepended(&bytes)
            .map_err(|e| Error::Unreadable(format!("a stored payload can't be unpacked: {e}"))),
        other => Err(Error::Unreadable(format!(
            "a stored payload has the unknown encoding {other}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let repetitive = br#"{"url":"https://api.github.com/repos/a/b"}"#.repeat(100);
        let mut noise = 88_172_645_463_325_252_u64;
        let scrambled: Vec<u8> = std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        })
        .take(2_000)
        .collect();
        for (payload, encoding) in [
            (Vec::new(), PLAIN),
            (b"{}\0\xff".to_vec(), PLAIN),
            (repetitive, LZ4),
            (scrambled, PLAIN),
        ] {
            let packed = pack(payload.clone());
            assert_eq!(packed.encoding, encoding);
            assert!(packed.bytes.len() <= payload.len());
            assert_eq!(unpack(packed.encoding, packed.bytes).unwrap(), payload);
        }
        assert!(unpack(LZ4, vec![1, 0, 0]).is_err());
        assert!(unpack(2, vec![]).is_err());
    }
}
