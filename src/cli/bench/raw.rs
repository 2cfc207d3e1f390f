//! The floor: what the socket costs. Request bytes made beforehand, blocking calls, no decoding but lengths.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use glusterd_client::{
    glusterd::{
        OpVersions, Procedure,
        handshake::{self, Getspec},
    },
    rpc::{Limits, Peer},
    transport::ServerAddress,
};

use crate::cli::{Exit, Failure};

/// A record that is a reply, not a call: its second word.
const REPLY: [u8; 4] = [0, 0, 0, 1];

pub(super) struct Raw {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
    /// How much of the buffer is read, and how much of that was given out.
    have: usize,
    given: usize,
}

/// The bytes of one GETSPEC call, record mark and all.
pub(super) fn request(key: &str) -> Result<Vec<u8>, Failure> {
    use bytes::Buf;
    let mut peer = Peer::<()>::new(Limits::default());
    let xdata = OpVersions::ANY.to_dict();
    peer.notify((Getspec::PROGRAM, Getspec::NUMBER), &handshake::getspec(key, &xdata))
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    let len = peer.waiting();
    Ok(peer.transmit().copy_to_bytes(len).to_vec())
}

impl Raw {
    pub(super) fn connect(server: &ServerAddress, key: &str) -> Result<Self, Failure> {
        let ServerAddress::Tcp { host, port } = server else {
            return Err(Failure::new(Exit::Usage, "the floor is measured over TCP: give host:port"));
        };
        let failed = |error: io::Error| Failure::new(Exit::Unreachable, format_args!("{server}: {error}"));
        let address = (host.as_str(), *port).to_socket_addrs().map_err(failed)?.next();
        let address = address.ok_or_else(|| failed(io::ErrorKind::AddrNotAvailable.into()))?;
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(failed)?;
        Ok(Self { stream, request: request(key)?, buffer: vec![0; 256 << 10], have: 0, given: 0 })
    }

    /// One GETSPEC; returns the record of its reply.
    pub(super) fn fetch(&mut self) -> io::Result<&[u8]> {
        self.stream.write_all(&self.request)?;
        loop {
            let len = self.record()?;
            if self.buffer[8..12] == REPLY {
                return Ok(&self.buffer[4..len]);
            }
        }
    }

    /// Waits for a FETCHSPEC: the next record that is a call.
    pub(super) fn notification(&mut self) -> io::Result<()> {
        loop {
            self.record()?;
            if self.buffer[8..12] != REPLY {
                return Ok(());
            }
        }
    }

    /// The next record, at the front of the buffer; its length with the mark.
    fn record(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.given..self.have, 0);
        self.have -= std::mem::take(&mut self.given);
        loop {
            if self.have >= 12 {
                let mark = [self.buffer[0] & 0x7f, self.buffer[1], self.buffer[2], self.buffer[3]];
                let len = 4 + u32::from_be_bytes(mark) as usize;
                if self.have >= len {
                    self.given = len;
                    return Ok(len);
                }
                if self.buffer.len() < len {
                    self.buffer.resize(len, 0);
                }
            }
            match self.stream.read(&mut self.buffer[self.have..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.have += n,
            }
        }
    }
}
