//! An answer that is read as it comes, because it has no end, or a late one.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::server::{Reply, Server};

pub(crate) struct Stream {
    connection: TcpStream,
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    status_line: String,
    /// What has come and was not taken apart yet.
    raw: Vec<u8>,
    /// What has come of the body.
    text: String,
    is_over: bool,
}

impl Stream {
    /// Asks for something, and reads until the answer begins.
    pub(crate) fn open(server: &Server, path: &str, headers: &[(&str, &str)]) -> Stream {
        let mut connection = TcpStream::connect(server.address).expect("the server listens");
        // A server that answers nothing shall fail a test and not stop it.
        connection.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").expect("a string takes it");
        }
        head.push_str("\r\n");
        connection.write_all(head.as_bytes()).expect("the server reads");
        let mut raw = Vec::new();
        let end = loop {
            if let Some(end) = raw.windows(4).position(|it| it == b"\r\n\r\n") {
                break end;
            }
            assert!(read(&mut connection, &mut raw), "no whole answer");
        };
        let head = String::from_utf8(raw.drain(..end + 4).collect()).expect("a head is ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().expect("a first line").to_owned();
        let mut headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap_or((line, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        headers.sort();
        let status = status_line.split(' ').nth(1).and_then(|it| it.parse().ok());
        let status = status.expect("a status");
        let (text, is_over) = (String::new(), false);
        Stream { connection, status, headers, status_line, raw, text, is_over }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }

    /// What was told before there is an end: all of an answer that has one, and nothing else of one
    /// that has none.
    pub(crate) fn begun(mut self) -> Reply {
        let length = self.header("content-length").and_then(|it| it.parse::<usize>().ok());
        if let Some(length) = length {
            while self.raw.len() < length && read(&mut self.connection, &mut self.raw) {}
        } else {
            self.raw.clear();
        }
        Reply {
            status: self.status,
            status_line: self.status_line,
            headers: self.headers,
            body: self.raw,
        }
    }

    /// What follows, up to the end of a line that has this.
    pub(crate) fn until(&mut self, wanted: &str) -> String {
        loop {
            if let Some(at) = self.text.find(wanted)
                && let Some(end) = self.text[at..].find('\n')
            {
                return self.text.drain(..=at + end).collect();
            }
            assert!(self.more(), "it ended before `{wanted}`: {}", self.text);
        }
    }

    /// What follows up to its end; whether it ended as it should.
    pub(crate) fn rest(&mut self) -> (String, bool) {
        while self.more() {}
        (std::mem::take(&mut self.text), self.is_over)
    }

    /// Reads the next chunk (RFC 9112 §7.1); says whether there was one.
    fn more(&mut self) -> bool {
        loop {
            if self.is_over {
                return false;
            }
            let end = self.raw.windows(2).position(|it| it == b"\r\n");
            if let Some(end) = end {
                let size = std::str::from_utf8(&self.raw[..end]).expect("a size is ASCII");
                let size = usize::from_str_radix(size, 16).expect("a size");
                if self.raw.len() >= end + 2 + size + 2 {
                    let chunk = self.raw[end + 2..end + 2 + size].to_vec();
                    self.raw.drain(..end + 2 + size + 2);
                    self.text.push_str(&String::from_utf8(chunk).expect("text"));
                    self.is_over = size == 0;
                    return size > 0;
                }
            }
            if !read(&mut self.connection, &mut self.raw) {
                return false;
            }
        }
    }
}

fn read(from: &mut TcpStream, into: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4096];
    match from.read(&mut bytes) {
        Ok(0) => false,
        Ok(count) => {
            into.extend_from_slice(&bytes[..count]);
            true
        }
        Err(error) => panic!("nothing comes: {error}"),
    }
}
