//! Why a target cannot be read in exactly one way. Static words only: nothing an agent sent is repeated.
//!
//! A malformed target is answered 400 and recorded; it is never held, looked up or dialled.

/// What is wrong with a target or a head, and what was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// The front could not read the head, or hyper refused it.
    #[error("the request head could not be read; send one HTTP/1.1 head")]
    Head,
    /// A head of HTTP/2 that is longer than `limits.head` once it is unpacked (RFC 9113 section 6.5.2).
    #[error("the request head is longer than exeat reads; send fewer or shorter fields, cookies among them")]
    HeadTooLong,
    /// Origin form, asterisk form or a bare word where a proxy needs more (RFC 9112 section 3.2).
    #[error("the request target is not in the form a proxy needs; send `http://host/path`, or `CONNECT host:port`")]
    TargetForm,
    /// A scheme that is not carried.
    #[error("the target's scheme is not carried; send `http://`, or use CONNECT for everything else")]
    Scheme,
    /// A Host field that is missing, repeated, or no authority (RFC 9112 section 3.2).
    #[error("the Host field is missing, repeated or not a host; send exactly one")]
    HostField,
    /// A redirected request whose Host says a port that its connection was not made to.
    #[error("the Host field names another port than the connection was made to; send that one, or none")]
    HostPort,
    /// A server name in TLS that is no name (RFC 6066 section 3).
    #[error("the server name in TLS is no host name; send the name of the host, or none for an address")]
    ServerName,
    /// CONNECT with Content-Length or Transfer-Encoding (RFC 9110 section 9.3.6).
    #[error("a CONNECT carries no content; send neither Content-Length nor Transfer-Encoding")]
    ConnectContent,
    /// Framing that two readers could read in two ways (RFC 9112 section 6).
    #[error("the message's length can be read in two ways; send one Content-Length or one `chunked`")]
    Framing,
    /// TRACE and its like echo what they are sent; CONNECT inside a tunnel would open another.
    #[error("the method is not passed on; use another")]
    Method,
    /// An expectation other than the one there is (RFC 9110 section 10.1.1).
    #[error("the only expectation is `100-continue`; leave others out")]
    Expectation,
    /// No host at all.
    #[error("the host is empty; name one")]
    EmptyHost,
    /// Two dots in a row, or a dot in front.
    #[error("the host has an empty label; write single dots between labels")]
    EmptyLabel,
    /// RFC 1035 section 2.3.4.
    #[error("a label of the host is longer than 63 octets; names are made of shorter ones")]
    LabelTooLong,
    /// RFC 1035 section 2.3.4.
    #[error("the host is longer than 253 octets or has more than 64 labels; names are shorter")]
    NameTooLong,
    /// A control character, NUL among them: C resolvers stop there.
    #[error("the host holds a control character; names hold letters, digits, `-` and `_`")]
    Control,
    /// White space inside or around the host.
    #[error("the host holds white space; names hold letters, digits, `-` and `_`")]
    Space,
    /// Percent signs are never decoded: decoders disagree on when.
    #[error("the host holds a percent sign; write the name itself, nothing is decoded")]
    Percent,
    /// Userinfo: readers disagree on where it ends.
    #[error("the target holds userinfo; send credentials in their own header")]
    Userinfo,
    /// A backslash is a slash to some readers.
    #[error("the target holds a backslash; there is none in a host")]
    Backslash,
    /// A star is a pattern, never a host.
    #[error("the host holds a star; patterns stand in allowlists, a target names one host")]
    Star,
    /// Any other ASCII character that is not in LDH and `_`.
    #[error("the host holds a character no name has; names hold letters, digits, `-` and `_`")]
    Character,
    /// The host begins with a hyphen: programs read it as an option, and common resolvers refuse it.
    #[error("the host begins with a hyphen; names begin with a letter, a digit or `_`")]
    LeadingHyphen,
    /// A code point that UTS 46 would delete, so that two spellings look alike.
    #[error("the host holds an invisible character; leave it out")]
    Invisible,
    /// A code point that UTS 46 turns into ASCII: full-width or circled digits, ideographic dots, ligatures.
    #[error("the host spells an ASCII character by another; write plain letters, digits and dots")]
    Lookalike,
    /// Not valid under UTS 46, non-transitional.
    #[error("the host is not a valid internationalised name (UTS 46); send its A-labels")]
    Unicode,
    /// An A-label that is not the one encoding of a U-label (RFC 5890 section 2.3.2.1).
    #[error("the host holds an invalid `xn--` label; send one that decodes and encodes back to itself")]
    ALabel,
    /// A name whose last label is a number: readers differ on whether it is an address.
    #[error("the host ends in a number but is no IPv4 address; write four decimal numbers without leading zeros")]
    NumericName,
    /// The final dot makes a name absolute; an address has none.
    #[error("the address ends in a dot; leave it out")]
    AddressDot,
    /// Brackets that do not hold exactly the host.
    #[error("the brackets are not closed or not alone; write `[address]` or `[address]:port`")]
    Bracket,
    /// Not RFC 4291 text.
    #[error("the brackets hold no IPv6 address; write RFC 4291 text")]
    Ipv6,
    /// IPv6 zone identifiers name interfaces of this machine.
    #[error("the address has a zone; write it without")]
    Zone,
    /// An IPv6 address outside brackets.
    #[error("an IPv6 address stands in brackets; write `[address]:port`")]
    BareIpv6,
    /// No port, where one must stand.
    #[error("the port is missing; write `host:port`")]
    NoPort,
    /// Signs, spaces, letters.
    #[error("the port is not a number; write decimal digits only")]
    PortDigits,
    /// Octal to some readers.
    #[error("the port begins with a zero; write it without")]
    PortZero,
    /// Truncating readers take it for another port.
    #[error("the port is above 65535; write 1 to 65535")]
    PortRange,
    /// More than one port, or a list of hosts.
    #[error("the target has several ports; write one `host:port`")]
    SeveralPorts,
    /// A scheme, path, query or fragment beside the authority.
    #[error("the target holds more than host and port; write `host:port`")]
    NotAuthority,
}
