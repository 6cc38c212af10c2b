//! zstd (RFC 8878) with contexts kept per thread.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use crate::error::{Error, Result};

/// Compression level of zstd; docs/benchmarks.md has what each level costs and saves.
const LEVEL: i32 = 1;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The most bytes that `length` bytes may compress to.
pub(crate) fn bound(length: usize) -> usize {
    zstd::zstd_safe::compress_bound(length)
}

/// Whether a compressed form saves enough to pay for decompressing it: one part in 64.
pub(crate) fn is_worth_it(plain: usize, compressed: usize) -> bool {
    compressed < plain - plain / 64
}

/// Whether compressing is most likely in vain, from the byte statistics of samples: content that
/// is compressed or encrypted already uses all byte values equally often.
pub(crate) fn looks_random(plain: &[u8]) -> bool {
    const SAMPLE: usize = 4 << 10;
    const SAMPLES: usize = 8;
    if plain.len() < SAMPLE * SAMPLES {
        return false;
    }
    let mut counts = [0u32; 256];
    let step = (plain.len() - SAMPLE) / (SAMPLES - 1);
    for sample in 0..SAMPLES {
        for &byte in &plain[sample * step..][..SAMPLE] {
            counts[usize::from(byte)] += 1;
        }
    }
    // Chi-squared against equal frequencies: 255 ± 23 for random bytes, thousands for anything else.
    let expected = (SAMPLE * SAMPLES / 256) as f64;
    let deviation = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum::<f64>();
    deviation < 600.0
}

/// Appends the compressed form of `plain`.
pub(crate) fn append_compressed(plain: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.resize(start + bound(plain.len()), 0);
    let length = compress_to(plain, &mut out[start..])?;
    out.truncate(start + length);
    Ok(())
}

/// Compresses into `out` and returns the length written; fails if it does not fit.
pub(crate) fn compress_to(plain: &[u8], out: &mut [u8]) -> Result<usize> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(Compressor::new(LEVEL).map_err(|error| Error::io("zstd", error))?),
        };
        compressor.compress_to_buffer(plain, out).map_err(|error| Error::io("zstd", error))
    })
}

/// Why a piece could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCompressed {
    #[error("it does not decompress: {0}")]
    Zstd(#[from] std::io::Error),
    #[error("it decompresses to {0} bytes, more than can be right")]
    TooLarge(u64),
}

/// The plain form of `packed`, which must not be longer than `limit`.
pub(crate) fn decompress(packed: &[u8], limit: usize) -> Result<Vec<u8>, NotCompressed> {
    let mut plain = Vec::new();
    // Stock restic's encoder writes the length into the frame for all but streamed content.
    match zstd::zstd_safe::get_frame_content_size(packed) {
        Ok(Some(size)) if size <= limit as u64 => {
            decompress_into(packed, size as usize, &mut plain)?;
        }
        Ok(Some(size)) => return Err(NotCompressed::TooLarge(size)),
        _ => {
            let mut reader = std::io::Read::take(zstd::stream::read::Decoder::new(packed)?, limit as u64 + 1);
            std::io::Read::read_to_end(&mut reader, &mut plain)?;
            if plain.len() > limit {
                return Err(NotCompressed::TooLarge(plain.len() as u64));
            }
        }
    }
    Ok(plain)
}

/// Replaces `plain` by the plain form of `packed`, which is at most `length` long.
pub(crate) fn decompress_into(packed: &[u8], length: usize, plain: &mut Vec<u8>) -> std::io::Result<()> {
    plain.clear();
    plain.reserve(length);
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(packed, plain).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_comes_back() {
        let plain: Vec<u8> = (0..100_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let mut packed = Vec::new();
        append_compressed(&plain, &mut packed).unwrap();
        assert!(packed.len() < plain.len() / 2);
        assert_eq!(decompress(&packed, plain.len()).unwrap(), plain);
    }

    #[test]
    fn bombs_and_garbage_are_refused() {
        let mut bomb = Vec::new();
        append_compressed(&vec![0; 1 << 20], &mut bomb).unwrap();
        assert!(matches!(decompress(&bomb, 1 << 10), Err(NotCompressed::TooLarge(_))));
        assert!(decompress(b"no zstd", 100).is_err());
    }
}
