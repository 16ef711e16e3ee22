//! The framing of a chunked body, followed byte by byte in constant memory.
//!
//! Stricter than RFC 9112: sizes of at most 15 hex digits and no white space around them, extensions
//! of visible characters only, CR LF everywhere. Trailers pass if they are header lines that change nothing;
//! the road does not read them.

use super::fault::HeadFault;
use super::head::HeadBounds;
use super::line;

/// Bytes of extensions in a body.
const MAX_EXTENSIONS: u16 = 8 << 10;
/// Longest name of a trailer; all that matter are shorter.
const MAX_TRAILER_NAME: usize = 64;
/// hyper's own bound of trailers, less what it may count besides.
const MAX_TRAILER_BYTES: usize = 8 << 10;

/// Where in the framing we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the size, with so many digits read.
    Size {
        digits: u8,
    },
    Extension,
    /// The LF behind a size or an extension.
    SizeLf,
    Data,
    /// CR and LF behind the data.
    DataCr,
    DataLf,
    /// The first byte of a trailer, or the CR of the last line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    End,
}

/// A chunked body as far as it has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks {
    at: At,
    /// Of the chunk's data, what is still to come.
    left: u64,
    extensions: u16,
    trailers: u16,
    trailer_bytes: usize,
    name: [u8; MAX_TRAILER_NAME],
    name_len: usize,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self {
            at: At::Size { digits: 0 },
            left: 0,
            extensions: 0,
            trailers: 0,
            trailer_bytes: 0,
            name: [0; MAX_TRAILER_NAME],
            name_len: 0,
        }
    }

    /// Follows `bytes`; gives how many of them are the body's, and whether it is over with them.
    ///
    /// # Errors
    /// [`HeadFault::Chunk`], [`HeadFault::Trailer`] or what is wrong with a trailer's name, and how many bytes were
    /// good before.
    pub(super) fn follow(&mut self, bytes: &[u8], bounds: HeadBounds) -> Result<(usize, bool), (usize, HeadFault)> {
        let mut used = 0;
        while used < bytes.len() {
            if self.at == At::Data {
                let data = (bytes.len() - used).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= data as u64;
                used += data;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            self.at = self.step(bytes[used], bounds).map_err(|fault| (used, fault))?;
            used += 1;
            if self.at == At::End {
                return Ok((used, true));
            }
        }
        Ok((used, false))
    }

    fn step(&mut self, byte: u8, bounds: HeadBounds) -> Result<At, HeadFault> {
        let expect = |wanted: u8, next: At| {
            if byte == wanted {
                Ok(next)
            } else {
                Err(HeadFault::Chunk)
            }
        };
        match self.at {
            At::Size { digits } => match (byte, char::from(byte).to_digit(16)) {
                (_, Some(digit)) if digits < 15 => {
                    self.left = self.left * 16 + u64::from(digit);
                    Ok(At::Size { digits: digits + 1 })
                }
                (b'\r', _) if digits > 0 => Ok(At::SizeLf),
                (b';', _) if digits > 0 => Ok(At::Extension),
                _ => Err(HeadFault::Chunk),
            },
            At::Extension => match byte {
                b'\r' => Ok(At::SizeLf),
                0x21..=0x7e if self.extensions < MAX_EXTENSIONS => {
                    self.extensions += 1;
                    Ok(At::Extension)
                }
                _ => Err(HeadFault::Chunk),
            },
            At::SizeLf => expect(b'\n', if self.left == 0 { At::TrailerStart } else { At::Data }),
            At::DataCr => expect(b'\r', At::DataLf),
            At::DataLf => expect(b'\n', At::Size { digits: 0 }),
            At::LastLf => expect(b'\n', At::End),
            At::TrailerStart if byte == b'\r' => Ok(At::LastLf),
            At::TrailerStart => {
                self.trailers += 1;
                self.name_len = 0;
                if usize::from(self.trailers) > bounds.headers {
                    return Err(HeadFault::Trailer);
                }
                self.trailer_name(byte)
            }
            At::TrailerName => self.trailer_name(byte),
            At::TrailerValue => match byte {
                b'\r' => Ok(At::TrailerLf),
                b'\t' | 0x20..=0x7e | 0x80..=0xff => self.count_trailer(At::TrailerValue),
                _ => Err(HeadFault::Trailer),
            },
            At::TrailerLf => expect(b'\n', At::TrailerStart),
            // `follow` handles data and stops at the end.
            At::Data | At::End => Err(HeadFault::Chunk),
        }
    }

    fn trailer_name(&mut self, byte: u8) -> Result<At, HeadFault> {
        if byte == b':' {
            line::trailer(&self.name[..self.name_len])?;
            return self.count_trailer(At::TrailerValue);
        }
        if self.name_len == MAX_TRAILER_NAME || !line::is_token(byte) {
            return Err(HeadFault::Trailer);
        }
        self.name[self.name_len] = byte;
        self.name_len += 1;
        self.count_trailer(At::TrailerName)
    }

    fn count_trailer(&mut self, next: At) -> Result<At, HeadFault> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES {
            return Err(HeadFault::Trailer);
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: HeadBounds = HeadBounds {
        bytes: 8192,
        headers: 2,
    };

    fn follow(bytes: &[u8]) -> Result<(usize, bool), (usize, HeadFault)> {
        Chunks::new().follow(bytes, BOUNDS)
    }

    #[test]
    fn a_body_ends_behind_its_last_chunk_and_trailers() {
        assert_eq!(follow(b"5\r\nhello\r\n0\r\n\r\nGET"), Ok((15, true)));
        assert_eq!(
            follow(b"00A;x=y\r\n0123456789\r\n0;z\r\nX-T: 1\r\n\r\nGET"),
            Ok((36, true))
        );
        assert_eq!(follow(b"5\r\nhel"), Ok((6, false)));
        assert_eq!(follow(b"fffffffffffffff\r\nx"), Ok((18, false)));
    }

    #[test]
    fn what_two_programs_could_read_differently_is_refused() {
        for (body, at, fault) in [
            (&b"\r\n"[..], 0, HeadFault::Chunk),
            (b"+5\r\n", 0, HeadFault::Chunk),
            (b"-1\r\n", 0, HeadFault::Chunk),
            (b"0x5\r\n", 1, HeadFault::Chunk),
            (b" 5\r\n", 0, HeadFault::Chunk),
            (b"5 \r\n", 1, HeadFault::Chunk),
            (b"5\n", 1, HeadFault::Chunk),
            (b"5\r5", 2, HeadFault::Chunk),
            (b"5;\n", 2, HeadFault::Chunk),
            (b"5;\0\r\n", 2, HeadFault::Chunk),
            (b"5;a b\r\n", 3, HeadFault::Chunk),
            (b"1000000000000000\r\n", 15, HeadFault::Chunk),
            (b"1\r\nab\r\n", 4, HeadFault::Chunk),
            (b"1\r\na\n", 4, HeadFault::Chunk),
            (b"0\r\n\n", 3, HeadFault::Trailer),
            (b"0\r\n X: 1\r\n", 3, HeadFault::Trailer),
            (b"0\r\nX : 1\r\n", 4, HeadFault::Trailer),
            (b"0\r\n: 1\r\n", 3, HeadFault::HeaderName),
            (b"0\r\nX: 1\n", 7, HeadFault::Trailer),
            (b"0\r\nContent-Length: 5\r\n", 17, HeadFault::Trailer),
            (b"0\r\ntransfer_encoding: x\r\n", 20, HeadFault::Underscore),
            (b"0\r\nA: 1\r\nB: 1\r\nC: 1\r\n", 15, HeadFault::Trailer),
        ] {
            assert_eq!(follow(body), Err((at, fault)), "{}", body.escape_ascii());
        }
    }
}
