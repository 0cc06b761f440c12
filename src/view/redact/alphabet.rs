//! Alphabets: the sets of characters in which secrets are written.

/// The most bytes that are looked at, ahead or behind, before something is taken for a secret.
pub(super) const LOOK_AHEAD: usize = 128;

/// A set of ASCII characters.
pub(super) type Alphabet = fn(u8) -> bool;

pub(super) fn alnum(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

pub(super) fn upper_or_digit(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

pub(super) fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

pub(super) fn lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

pub(super) fn word(byte: u8) -> bool {
    alnum(byte) || byte == b'_'
}

/// Base64 as it stands in URLs.
pub(super) fn url(byte: u8) -> bool {
    word(byte) || byte == b'-'
}

pub(super) fn dotted(byte: u8) -> bool {
    url(byte) || byte == b'.'
}

pub(super) fn path(byte: u8) -> bool {
    url(byte) || byte == b'/'
}

/// Path and query of an address.
pub(super) fn address(byte: u8) -> bool {
    dotted(byte) || matches!(byte, b'/' | b'?' | b'=' | b'&' | b'@' | b'%')
}

/// Base64 as it stands in headers.
pub(super) fn base64(byte: u8) -> bool {
    alnum(byte) || matches!(byte, b'+' | b'/' | b'=')
}

/// `token68` of RFC 9110.
pub(super) fn token68(byte: u8) -> bool {
    dotted(byte) || matches!(byte, b'~' | b'+' | b'/' | b'=')
}

/// Azure's client secrets: base64 with a tilde.
pub(super) fn tilde(byte: u8) -> bool {
    dotted(byte) || byte == b'~'
}

/// Addresses and keys of Bitcoin: letters and digits but `0`, `O`, `I` and `l`.
pub(super) fn base58(byte: u8) -> bool {
    alnum(byte) && !b"0OIl".contains(&byte)
}

/// Characters that may stand in the authority of a URL.
pub(super) fn in_authority(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b"/?#\"'`<>\\^{}|".contains(&byte)
}
