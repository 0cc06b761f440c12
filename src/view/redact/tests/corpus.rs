//! Secrets that show themselves by their looks. The tests of the whole server plant the same.

/// Secrets, made up, and with a dot in them that is taken out, so that no search for leaked ones finds this file.
#[rustfmt::skip]
pub(super) const SECRETS: &[&str] = &[
    "eyJ·hbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWl0",
    "eyJ·hbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
    "eyJ·hbGciOiJkaXIifQ..MTIzNDU2Nzg5MDEy.c29tZSBjaXBoZXJ0ZXh0.dGFnLW9mLWl0",
    "s·k-abcdefghijklmnopqrstuvwxyz012345",
    "s·k-proj-Ab1_Cd2-Ef3_Gh4-Ij5_Kl6",
    "s·k-ant-api03-AbCdEf0123456789_-AbCdEf",
    "s·k_live_0123456789abcdefghijABCD",
    "s·k_test_0123456789",
    "r·k_live_0123456789",
    "wh·sec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "gh·p_0123456789abcdefghijABCDEFGHIJ012345",
    "gh·o_0123456789abcdefghijABCDEFGHIJ012345",
    "gh·s_0123456789abcdefghijABCDEFGHIJ012345",
    "git·hub_pat_11ABCDEFG0abcdefghij_0123456789abcdefghij",
    "gl·pat-0123456789_abcdefghij",
    "xo·xb-123456789012-abcdefghijklmnop",
    "xo·xp-123456789012-abcdefghijklmnop",
    "AK·IAIOSFODNN7EXAMPLE",
    "AS·IAIOSFODNN7EXAMPLE",
    "AI·zaSyA0123456789abcdefghijABCDEFGHIJ-_",
    "ya·29.a0AfH6SMBx0123456789",
    "GOC·SPX-0123456789abcdefghij",
    "np·m_0123456789abcdefghijABCDEFGHIJ012345",
    "py·pi-AgEIcHlwaS5vcmcCJDAxMjM0NTY3ODkwMTIzNDU2Nzg5",
    "S·G.0123456789abcdefghijAB.0123456789abcdefghijABCDEFGHIJ0123456789abc",
    "h·f_abcdefghijABCDEFGHIJabcdefghijABCD",
    "EA·ACEdEose0cBA0123456789abcdefghijABCDEFGHIJ01234567",
    "dop·_v1_0123456789abcdef0123456789abcdef0123456789abcdef",
    "shp·at_0123456789abcdef0123456789abcdef",
    "hv·s.CAESIJ0123456789abcdefghijABCDEFGHIJ",
    "123456789:AA·F0123456789abcdefghijABCDEFGHIJ01",
    "hooks.slack·.com/services/T00000000/B00000000/0123456789abcdefghij",
    "-----BEGIN PRIV·ATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIV·ATE KEY-----",
    "-----BEGIN RSA PRIV·ATE KEY-----\nMIIEvQIBADANBgkq\n-----END RSA PRIV·ATE KEY-----",
    "-----BEGIN OPENSSH PRIV·ATE KEY-----\nb3BlbnNzaC1rZXk",
    "-----BEGIN PGP PRIV·ATE KEY BLOCK-----\n\nlQOYBF\n=abcd\n-----END PGP PRIV·ATE KEY BLOCK-----",
];

/// Without the dots.
pub(super) fn whole(text: &str) -> String {
    text.replace('·', "")
}
