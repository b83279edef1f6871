//! Requests whose head is no HTTP, answered as everything else is: in JSON, with what to do.
//!
//! The HTTP library refuses such a request before anybody is asked, with a status, and a body of no
//! bytes. It has no place to say what else to answer, so what it writes is looked at on its way
//! out: a refusal without a body is its own and nobody else's, because every refusal of ours has
//! one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::scim::Error;
use hyper::rt::{Read, ReadBufCursor, Write};

/// A connection on which refusals of the HTTP library are completed.
#[derive(Debug)]
pub(crate) struct Explained<C> {
    connection: C,
    /// What is written instead, and how much the library wanted written.
    instead: Option<Instead>,
}

#[derive(Debug)]
struct Instead {
    bytes: Vec<u8>,
    written: usize,
    asked: usize,
}

impl<C> Explained<C> {
    pub(crate) fn new(connection: C) -> Explained<C> {
        Explained { connection, instead: None }
    }
}

impl<C: Write + Unpin> Explained<C> {
    /// Writes what is to be written instead, to its end.
    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(instead) = &mut self.instead else { return Poll::Ready(Ok(0)) };
        while instead.written < instead.bytes.len() {
            let rest = &instead.bytes[instead.written..];
            let written = ready!(Pin::new(&mut self.connection).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            instead.written += written;
        }
        let asked = instead.asked;
        self.instead = None;
        Poll::Ready(Ok(asked))
    }
}

impl<C: Write + Unpin> Write for Explained<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            self.instead = explained(bytes);
        }
        if self.instead.is_some() {
            return self.poll_instead(context);
        }
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = parts.iter().filter(|part| !part.is_empty());
        // A refusal of the library is one part, and nothing comes after it.
        if let (None, Some(part), None) = (&self.instead, filled.next(), filled.next()) {
            self.instead = explained(part);
        }
        if self.instead.is_some() {
            return self.poll_instead(context);
        }
        Pin::new(&mut self.connection).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

impl<C: Read + Unpin> Read for Explained<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

/// The answer to write instead of a refusal without a body; `None` for anything else.
fn explained(bytes: &[u8]) -> Option<Instead> {
    const EMPTY: &str = "\r\ncontent-length: 0\r\n";
    if !bytes.starts_with(b"HTTP/1.") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?;
    let status: u16 = head.get(9..12)?.parse().ok()?;
    let detail = match status {
        400 => {
            "the head of the request is no HTTP. In its address, spaces, quotes and other characters \
             that a URL cannot have must be percent-encoded: `\"` is written `%22`"
        }
        414 => {
            "the address of the request is too long to be read. Send the search to `/.search` \
             instead, where it stands in the body"
        }
        431 => {
            "the head of the request is too large to be read, or names a length that no body has. \
             Send fewer and shorter headers"
        }
        _ => return None,
    };
    // Ours have a body; and the one head is all there is.
    if !head.contains(EMPTY) || head.find("\r\n\r\n") != Some(head.len() - 4) {
        return None;
    }
    let body = Error::new(status, detail).to_json().to_string();
    let said =
        format!("\r\ncontent-type: application/scim+json\r\ncontent-length: {}\r\n", body.len());
    let answer = head.replacen(EMPTY, &said, 1) + &body;
    Some(Instead { bytes: answer.into_bytes(), written: 0, asked: bytes.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_without_a_body_is_completed() {
        let check = |head: &str| explained(head.as_bytes()).map(|it| it.bytes.len());
        let bare = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert!(check(bare).is_some());
        let own = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/scim+json\r\n\
                   content-length: 7\r\n\r\n";
        for other in [
            own,
            &format!("{own}{{\"a\":1}}"),
            // Of a HEAD, where the length is that of what is left out.
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            &format!("{bare}HTTP/1.1 200 OK\r\n\r\n"),
            &bare[..40],
            &bare[9..],
            "",
        ] {
            assert_eq!(check(other), None, "{other}");
        }
    }

    #[test]
    fn an_explained_refusal_is_whole() {
        for status in ["400 Bad Request", "414 URI Too Long", "431 Too Large"] {
            let bare = format!(
                "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\ndate: x\r\n\r\n"
            );
            let instead = explained(bare.as_bytes()).unwrap();
            assert_eq!(instead.asked, bare.len());
            let answer = String::from_utf8(instead.bytes).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
            assert!(head.ends_with("connection: close\r\ndate: x"), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["status"], status[..3]);
        }
    }
}
