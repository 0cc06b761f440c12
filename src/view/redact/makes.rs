//! How secrets of known make look: the table of them.

pub(super) type Alphabet = fn(u8) -> bool;

pub(super) fn alnum(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

pub(super) fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

pub(super) fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
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

/// Base64 as it stands in headers.
pub(super) fn base64(byte: u8) -> bool {
    alnum(byte) || matches!(byte, b'+' | b'/' | b'=')
}

/// `token68` of RFC 9110.
pub(super) fn token68(byte: u8) -> bool {
    dotted(byte) || matches!(byte, b'~' | b'+' | b'/' | b'=')
}

/// What may stand between the slashes of a URL.
pub(super) fn in_authority(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b"/?#\"'`<>\\^{}|".contains(&byte)
}

/// How the secrets of a make begin, how many characters follow at least, and which. They begin where a word does.
/// Publishable keys (`pk_live_`) are none.
pub(super) const MAKES: &[(&str, usize, Alphabet)] = &[
    ("sk_live_", 10, alnum),
    ("sk_test_", 10, alnum),
    ("rk_live_", 10, alnum),
    ("rk_test_", 10, alnum),
    ("whsec_", 16, base64),
    ("ghp_", 20, alnum),
    ("gho_", 20, alnum),
    ("ghu_", 20, alnum),
    ("ghs_", 20, alnum),
    ("ghr_", 20, alnum),
    ("github_pat_", 22, word),
    ("glpat-", 20, url),
    ("gldt-", 20, url),
    ("glrt-", 20, url),
    ("glptt-", 20, url),
    ("glcbt-", 20, url),
    ("xoxb-", 10, url),
    ("xoxp-", 10, url),
    ("xoxa-", 10, url),
    ("xoxr-", 10, url),
    ("xoxs-", 10, url),
    ("xoxe-", 10, url),
    ("xoxe.xox", 10, dotted),
    ("xoxc-", 10, url),
    ("xoxd-", 10, url),
    ("xapp-", 10, url),
    ("AIza", 35, url),
    ("ya29.", 20, dotted),
    ("GOCSPX-", 20, url),
    ("npm_", 30, alnum),
    ("pypi-", 32, url),
    ("rubygems_", 32, hex),
    ("hf_", 20, alnum),
    ("EAAC", 40, alnum),
    ("dop_v1_", 32, hex),
    ("doo_v1_", 32, hex),
    ("dor_v1_", 32, hex),
    ("shpat_", 30, hex),
    ("shpca_", 30, hex),
    ("shppa_", 30, hex),
    ("shpss_", 30, hex),
    ("lin_api_", 30, alnum),
    ("sq0atp-", 20, url),
    ("sq0csp-", 20, url),
    ("hvs.", 24, url),
    ("hvb.", 24, url),
    ("dckr_pat_", 20, url),
    ("dapi", 32, hex),
    ("pul-", 40, hex),
    ("sntrys_", 20, base64),
    ("sntryu_", 20, hex),
    ("glsa_", 32, word),
    ("glc_", 32, base64),
    ("nfp_", 30, alnum),
    ("figd_", 30, url),
    ("xkeysib-", 40, url),
    ("PMAK-", 40, url),
    ("ATATT3", 40, token68),
    ("AGE-SECRET-KEY-1", 40, upper),
    ("xprv", 60, alnum),
    ("yprv", 60, alnum),
    ("zprv", 60, alnum),
    ("tprv", 60, alnum),
    ("xai-", 32, word),
    ("gsk_", 20, alnum),
    ("nvapi-", 32, url),
    ("pplx-", 32, alnum),
    ("r8_", 32, url),
    ("dp.pt.", 32, alnum),
    ("dp.st.", 32, dotted),
    ("dp.ct.", 32, alnum),
    ("dp.sa.", 32, alnum),
    ("dp.scim.", 32, alnum),
    ("dp.audit.", 32, alnum),
    ("tskey-", 24, url),
    ("sbp_", 32, hex),
    ("sb_secret_", 20, url),
    ("pscale_pw_", 32, dotted),
    ("pscale_tkn_", 32, dotted),
    ("pscale_oauth_", 32, dotted),
    ("ntn_", 40, alnum),
    ("secret_", 43, alnum),
    ("dt0c01.", 48, dotted),
    ("dt0s01.", 48, dotted),
    ("dt0s02.", 48, dotted),
    ("dt0s16.", 48, dotted),
    ("NRAK-", 24, upper),
    ("rzp_live_", 14, alnum),
    ("rzp_test_", 14, alnum),
    ("FLWSECK-", 12, url),
    ("FLWSECK_TEST-", 12, url),
    ("HRKU-", 32, url),
    ("fm2_", 40, base64),
    ("fm1r_", 40, base64),
    ("fm1a_", 40, base64),
    ("fo1_", 40, url),
    ("hooks.slack.com/services/", 20, path),
    ("discord.com/api/webhooks/", 20, path),
    ("discordapp.com/api/webhooks/", 20, path),
];

/// The makes whose secrets are of one length: how they begin, how many characters follow, no fewer and no more, and
/// which.
pub(super) const OF_ONE_LENGTH: &[(&str, usize, Alphabet)] =
    &[("AKIA", 16, upper), ("ASIA", 16, upper), ("key-", 32, hex), ("EAAA", 60, url)];

/// For each byte the first of the makes that begin with it, and for each make the next that begins like it; else their
/// number. So a word is compared with few of them.
const CHAINS: ([usize; 256], [usize; MAKES.len()]) = {
    let (mut first, mut next) = ([MAKES.len(); 256], [MAKES.len(); MAKES.len()]);
    let mut at = MAKES.len();
    while at > 0 {
        at -= 1;
        let byte = MAKES[at].0.as_bytes()[0] as usize;
        next[at] = first[byte];
        first[byte] = at;
    }
    (first, next)
};

/// The makes that begin with this byte.
pub(super) fn makes_from(byte: u8) -> impl Iterator<Item = &'static (&'static str, usize, Alphabet)> {
    static NEXT: [usize; MAKES.len()] = CHAINS.1;
    static FIRST: [usize; 256] = CHAINS.0;
    let mut at = FIRST[usize::from(byte)];
    std::iter::from_fn(move || {
        let make = MAKES.get(at)?;
        at = NEXT[at];
        Some(make)
    })
}

/// The bytes that one of the above, or one of the schemes of a header, begins with.
pub(super) const BEGINNINGS: [bool; 256] = {
    let mut begins = [false; 256];
    let mut at = 0;
    while at < MAKES.len() {
        begins[MAKES[at].0.as_bytes()[0] as usize] = true;
        at += 1;
    }
    let others = b"AbBkEnNsS";
    let mut at = 0;
    while at < others.len() {
        begins[others[at] as usize] = true;
        at += 1;
    }
    begins
};
