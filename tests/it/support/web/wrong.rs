//! Servers that do on a TLS port what a TLS server does not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// What it does with whoever connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Answers the greeting with a page in plain HTTP.
    SpeaksPlainHttp,
    /// Answers with the alert `handshake_failure`.
    SendsAnAlert,
    /// Reads the greeting and hangs up.
    HangsUp,
    /// Reads the greeting and says nothing, for as long as the peer stays.
    SaysNothing,
    /// Answers with bytes of no protocol.
    SaysGarbage,
}

impl Wrong {
    /// Starts one on 127.0.0.1. It lives as long as the test process.
    pub(crate) fn start(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let mut greeting = [0; 4096];
                    let _ = stream.read(&mut greeting);
                    let said: &[u8] = match self {
                        Wrong::SpeaksPlainHttp => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                        Wrong::SendsAnAlert => &[21, 3, 3, 0, 2, 2, 40],
                        Wrong::HangsUp | Wrong::SaysNothing => b"",
                        Wrong::SaysGarbage => &[0xff; 64],
                    };
                    let _ = stream.write_all(said);
                    if self == Wrong::SaysNothing {
                        while matches!(stream.read(&mut greeting), Ok(1..)) {}
                    }
                });
            }
        });
        address
    }
}
