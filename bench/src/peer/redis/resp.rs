//! As much of Redis's protocol (RESP2) as streams need. Apart, because it knows no events.

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 18;

/// An answer.
#[derive(Debug)]
pub(super) enum Value {
    Bytes(Bytes),
    Error(String),
    Array(Vec<Value>),
    Nothing,
}

impl Value {
    /// Whether it holds no error, however deep: those of a transaction are in its array.
    pub(super) fn no_error(&self) -> Result<()> {
        match self {
            Self::Error(error) => bail!("{error}"),
            Self::Array(values) => values.iter().try_for_each(Self::no_error),
            Self::Bytes(_) | Self::Nothing => Ok(()),
        }
    }
}

pub(super) struct Connection {
    socket: TcpStream,
    received: BytesMut,
    to_send: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(authority: &str) -> Result<Self> {
        let socket = TcpStream::connect(authority).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, received: BytesMut::new(), to_send: Vec::new() })
    }

    /// Adds a command to what [`Connection::send`] sends.
    pub(super) fn push(&mut self, command: &[&[u8]]) {
        self.to_send.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
        for part in command {
            self.to_send.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            self.to_send.extend_from_slice(part);
            self.to_send.extend_from_slice(b"\r\n");
        }
    }

    pub(super) async fn send(&mut self) -> Result<()> {
        self.socket.write_all(&self.to_send).await?;
        self.to_send.clear();
        Ok(())
    }

    /// A command and its answer, which is no error.
    pub(super) async fn call(&mut self, command: &[&[u8]]) -> Result<Value> {
        self.push(command);
        self.send().await?;
        let answer = self.receive().await?;
        answer.no_error()?;
        Ok(answer)
    }

    /// The next answer. A part of one is parsed again when more of it is here.
    pub(super) async fn receive(&mut self) -> Result<Value> {
        loop {
            let mut at = 0;
            if let Some(value) = parse(&self.received, &mut at)? {
                self.received.advance(at);
                return Ok(value);
            }
            self.received.reserve(READ_BYTES.max(self.received.len()));
            if self.socket.read_buf(&mut self.received).await? == 0 {
                bail!("the server closed the connection");
            }
        }
    }
}

/// The value that begins `at`, which is moved past it; `None` where some of it is still to come.
fn parse(bytes: &[u8], at: &mut usize) -> Result<Option<Value>> {
    let Some(line) = line(bytes, at) else { return Ok(None) };
    let (kind, rest) = line.split_first().context("an empty line")?;
    let rest = std::str::from_utf8(rest)?;
    Ok(Some(match kind {
        b'+' | b':' => Value::Bytes(Bytes::copy_from_slice(rest.as_bytes())),
        b'-' => Value::Error(rest.to_owned()),
        b'$' if rest == "-1" => Value::Nothing,
        b'*' if rest == "-1" => Value::Nothing,
        b'$' => {
            let end = *at + rest.parse::<usize>()?;
            let Some(data) = bytes.get(*at..end).filter(|_| bytes.len() >= end + 2) else {
                return Ok(None);
            };
            *at = end + 2;
            Value::Bytes(Bytes::copy_from_slice(data))
        }
        b'*' => {
            let mut values = Vec::new();
            for _ in 0..rest.parse::<usize>()? {
                let Some(value) = parse(bytes, at)? else { return Ok(None) };
                values.push(value);
            }
            Value::Array(values)
        }
        other => bail!("no such kind of answer: {}", char::from(*other)),
    }))
}

fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *at += end + 2;
    rest.get(..end)
}
