//! One buffer for all personal text of an order, wiped when dropped.

use crate::wiped::WipedText;

/// Where in the arena a text lies, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

/// A text that only grows by appending, and never by leaving a copy behind. A clone is wiped by itself.
#[derive(Clone)]
pub(super) struct Arena {
    text: WipedText,
}

impl Arena {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            text: WipedText::with_capacity(bytes),
        }
    }

    /// Appends `text`.
    ///
    /// # Panics
    /// Beyond 4 GiB; bodies are limited to 64 KiB long before.
    pub(super) fn push(&mut self, text: &str) -> Span {
        self.make_room(text.len());
        let start = offset(self.text.len());
        self.text.push_str(text);
        Span {
            start,
            end: offset(self.text.len()),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    pub(super) fn get(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    /// The `len` bytes of `span` behind its first `skip`.
    pub(super) fn narrow(span: Span, skip: usize, len: usize) -> Span {
        let start = span.start + offset(skip);
        Span {
            start,
            end: start + offset(len),
        }
    }

    /// Grows by hand: `String` would free the old buffer unwiped. Rare, since builders reserve for the whole body.
    fn make_room(&mut self, bytes: usize) {
        if self.text.capacity() - self.text.len() < bytes {
            let mut larger = WipedText::with_capacity((self.text.len() + bytes) * 2);
            larger.push_str(&self.text);
            self.text = larger;
        }
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("an order is far below 4 GiB")
}
