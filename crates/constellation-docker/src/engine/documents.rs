//! JSON documents one after the other, as the daemon streams events and progress.

use bytes::{Buf, BytesMut};
use serde_json::Value;

use super::limits::DOCUMENT_BYTES_MAX;

/// Cuts a stream of bytes into documents. Newlines, the record separators of `application/json-seq` and nothing at
/// all are equally good between two of them.
#[derive(Debug, Default)]
pub(super) struct Documents {
    buffer: BytesMut,
}

/// The stream holds something else.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadDocument {
    #[error("a document that is not JSON")]
    Syntax(#[from] serde_json::Error),
    #[error("a document of more than {DOCUMENT_BYTES_MAX} bytes")]
    TooLong,
}

impl Documents {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole document, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Value>, BadDocument> {
        let skip = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x1e).count();
        self.buffer.advance(skip);
        let mut documents = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Value>();
        match documents.next() {
            None => Ok(None),
            Some(Ok(document)) => {
                let consumed = documents.byte_offset();
                self.buffer.advance(consumed);
                Ok(Some(document))
            }
            Some(Err(error)) if !error.is_eof() => Err(error.into()),
            Some(Err(_)) if self.buffer.len() > DOCUMENT_BYTES_MAX => Err(BadDocument::TooLong),
            Some(Err(_)) => Ok(None),
        }
    }

    /// Whether part of a document is left over.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.buffer.iter().all(u8::is_ascii_whitespace)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_found_wherever_the_bytes_are_cut() {
        let bytes = b"{\"a\":1}\n{\"b\":\"}\\n{\"}\r\n\x1e{\"c\":3}{\"d\":[4]}\n";
        for size in 1..bytes.len() {
            let mut documents = Documents::default();
            let mut found = Vec::new();
            for chunk in bytes.chunks(size) {
                documents.push(chunk);
                while let Some(document) = documents.next().unwrap() {
                    found.push(document);
                }
            }
            assert_eq!(found, [json!({"a":1}), json!({"b":"}\n{"}), json!({"c":3}), json!({"d":[4]})]);
            assert!(!documents.is_incomplete());
        }
    }

    #[test]
    fn what_is_not_json_is_refused_and_what_is_cut_off_is_noticed() {
        let mut documents = Documents::default();
        documents.push(b"<html>");
        assert!(documents.next().is_err());

        let mut documents = Documents::default();
        documents.push(b"{\"half\":");
        assert!(documents.next().unwrap().is_none());
        assert!(documents.is_incomplete());
    }

    #[test]
    fn a_document_without_an_end_is_refused() {
        let mut documents = Documents::default();
        documents.push(b"\"");
        documents.push(&vec![b'x'; DOCUMENT_BYTES_MAX]);
        assert!(matches!(documents.next(), Err(BadDocument::TooLong)));
    }
}
