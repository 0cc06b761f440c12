//! The table of makes. A make is the format of the keys or tokens of one issuer: its beginnings, and the characters that must
//! follow. A test checks every row with examples that match and examples that do not.

use super::alphabet::{
    Alphabet, address, alnum, base58, base64, dotted, hex, lower_hex, path, tilde, token68, upper_or_digit, url, word,
};

/// The number of characters that follow the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    AtLeast(usize),
    /// Exactly this number, with no letter, digit or underscore behind.
    Exactly(usize),
    /// This number before and that number behind: the fixed text stands in the middle of its keys.
    Within(usize, usize),
}

/// Where a key of this make is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Anywhere, also behind a letter or digit if the rest looks random.
    Anywhere,
    /// Only at the start of a word, since ordinary words end like its beginning.
    AtWord,
}

/// One row of the table: keys of this issuer begin with one of `begins`, and `length` characters of the alphabet `of` follow.
pub(super) struct Make {
    /// The name of the make in tests.
    #[cfg_attr(not(test), allow(dead_code, reason = "it is for the tests"))]
    pub(super) name: &'static str,
    pub(super) begins: &'static [&'static str],
    pub(super) length: Length,
    pub(super) of: Alphabet,
    pub(super) stands: Position,
}

const fn anywhere(name: &'static str, begins: &'static [&'static str], length: Length, of: Alphabet) -> Make {
    Make { name, begins, length, of, stands: Position::Anywhere }
}

const fn at_word(name: &'static str, begins: &'static [&'static str], length: Length, of: Alphabet) -> Make {
    Make { name, begins, length, of, stands: Position::AtWord }
}

use Length::{AtLeast, Exactly, Within};

/// All makes. Keys that are meant to be public (`pk_live_`) are not listed.
#[rustfmt::skip]
pub(super) const MAKES: &[Make] = &[
    // Code, packages, continuous integration.
    anywhere("github", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], AtLeast(20), alnum),
    anywhere("github fine-grained", &["github_pat_"], AtLeast(22), word),
    anywhere("gitlab", &["glpat-", "gldt-", "glrt-", "glrtr-", "glptt-", "glcbt-", "glft-", "glimt-", "glagent-", "gloas-",
        "glsoat-", "glffct-", "glwt-", "GR1348941"], AtLeast(20), dotted),
    anywhere("bitbucket", &["ATBB"], AtLeast(28), alnum),
    anywhere("bitbucket repository", &["ATCTT3"], AtLeast(40), token68),
    anywhere("atlassian", &["ATATT3"], AtLeast(40), token68),
    anywhere("npm", &["npm_"], AtLeast(30), alnum),
    anywhere("pypi", &["pypi-"], AtLeast(32), url),
    anywhere("rubygems", &["rubygems_"], AtLeast(32), hex),
    anywhere("crates.io", &["cio"], Exactly(32), alnum),
    anywhere("nuget", &["oy2"], Exactly(43), alnum),
    anywhere("docker", &["dckr_pat_", "dckr_oat_"], AtLeast(20), url),
    anywhere("jfrog", &["AKCp"], AtLeast(60), alnum),
    anywhere("jfrog reference", &["cmVmdGtuO"], AtLeast(50), alnum),
    anywhere("sonar", &["sqp_", "squ_", "sqa_"], AtLeast(40), hex),
    anywhere("sourcegraph", &["sgp_", "sgd_"], AtLeast(40), word),
    anywhere("circleci", &["CCIPAT_", "CCIPRJ_"], AtLeast(40), word),
    anywhere("buildkite", &["bkua_", "bkaj_"], AtLeast(36), alnum),
    anywhere("postman", &["PMAK-"], AtLeast(40), url),
    anywhere("readme", &["rdme_"], AtLeast(60), alnum),
    anywhere("pulumi", &["pul-"], AtLeast(40), hex),
    anywhere("terraform", &[".atlasv1."], Within(10, 40), url),
    anywhere("infracost", &["ico-"], Exactly(32), alnum),
    anywhere("contentful", &["CFPAT-"], AtLeast(40), url),
    // Clouds and hosts.
    anywhere("aws", &["AKIA", "ASIA", "ABIA"], Exactly(16), upper_or_digit),
    anywhere("aws bedrock", &["ABSK", "bedrock-api-key-"], AtLeast(90), base64),
    anywhere("aws session", &["FwoGZXIvYXdzE", "IQoJb3JpZ2luX2Vj"], AtLeast(80), base64),
    anywhere("google", &["AIza"], AtLeast(35), url),
    anywhere("google oauth", &["GOCSPX-"], AtLeast(20), url),
    anywhere("google access", &["ya29."], AtLeast(20), dotted),
    at_word("google refresh", &["1//0"], AtLeast(40), url),
    anywhere("azure client", &["7Q~", "8Q~"], Within(3, 30), tilde),
    anywhere("azure", &["JQQJ99"], Within(40, 20), alnum),
    anywhere("azure devops", &["AZDO"], Within(70, 4), alnum),
    anywhere("alibaba", &["LTAI"], AtLeast(16), alnum),
    anywhere("tencent", &["AKID"], AtLeast(32), alnum),
    anywhere("yandex", &["AQVN"], AtLeast(35), url),
    anywhere("digitalocean", &["dop_v1_", "doo_v1_", "dor_v1_"], AtLeast(32), hex),
    anywhere("heroku", &["HRKU-"], AtLeast(32), url),
    anywhere("netlify", &["nfp_", "nfo_", "nfc_", "nfu_"], AtLeast(30), alnum),
    anywhere("vercel", &["vcp_", "vci_", "vca_", "vcr_", "vck_"], AtLeast(24), alnum),
    anywhere("fly", &["fm2_", "fm1r_", "fm1a_"], AtLeast(40), base64),
    anywhere("fly old", &["fo1_"], AtLeast(40), url),
    anywhere("render", &["rnd_"], AtLeast(28), alnum),
    anywhere("supabase", &["sbp_"], AtLeast(32), hex),
    anywhere("supabase secret", &["sb_secret_"], AtLeast(20), url),
    anywhere("planetscale", &["pscale_pw_", "pscale_tkn_", "pscale_oauth_"], AtLeast(32), dotted),
    anywhere("neon", &["napi_"], AtLeast(40), alnum),
    at_word("databricks", &["dapi", "dkea", "dose"], AtLeast(32), hex),
    anywhere("tailscale", &["tskey-"], AtLeast(24), url),
    anywhere("cloudflare origin", &["v1.0-"], AtLeast(100), url),
    // Vaults and keys.
    anywhere("vault", &["hvs.", "hvb.", "hvr."], AtLeast(24), url),
    anywhere("doppler", &["dp.pt.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."], AtLeast(32), alnum),
    anywhere("doppler service", &["dp.st."], AtLeast(32), dotted),
    anywhere("onepassword", &["ops_eyJ"], AtLeast(60), url),
    anywhere("age", &["AGE-SECRET-KEY-"], AtLeast(40), |b| upper_or_digit(b) || b == b'-'),
    anywhere("extended private key", &["xprv", "yprv", "zprv", "tprv", "uprv", "vprv"], AtLeast(90), base58),
    anywhere("nostr", &["nsec1"], AtLeast(58), alnum),
    anywhere("paseto", &["v1.local.", "v2.local.", "v3.local.", "v4.local.", "v1.public.", "v2.public.", "v3.public.",
        "v4.public."], AtLeast(32), dotted),
    anywhere("paserk", &["k1.secret.", "k2.secret.", "k3.secret.", "k4.secret.", "k1.local.", "k2.local.", "k3.local.",
        "k4.local."], AtLeast(32), url),
    // Language models.
    anywhere("openai", &["T3BlbkFJ"], Within(16, 16), url),
    anywhere("anthropic", &["sk-ant-"], AtLeast(16), url),
    anywhere("openai project", &["sk-proj-", "sk-svcacct-", "sk-admin-"], AtLeast(16), url),
    anywhere("openrouter", &["sk-or-v1-"], AtLeast(32), hex),
    anywhere("langfuse", &["sk-lf-"], AtLeast(32), url),
    anywhere("langsmith", &["lsv2_pt_", "lsv2_sk_"], AtLeast(32), word),
    anywhere("tavily", &["tvly-"], AtLeast(20), url),
    anywhere("pinecone", &["pcsk_"], AtLeast(40), word),
    anywhere("huggingface", &["hf_", "api_org_"], AtLeast(20), alnum),
    anywhere("xai", &["xai-"], AtLeast(32), word),
    anywhere("groq", &["gsk_"], AtLeast(20), alnum),
    anywhere("cerebras", &["csk-"], AtLeast(40), alnum),
    anywhere("nvidia", &["nvapi-"], AtLeast(32), url),
    anywhere("perplexity", &["pplx-"], AtLeast(32), alnum),
    anywhere("replicate", &["r8_"], AtLeast(32), url),
    anywhere("together", &["tgp_v1_"], AtLeast(32), url),
    anywhere("fireworks", &["fw_"], Exactly(22), alnum),
    anywhere("elevenlabs", &["sk_"], Exactly(48), lower_hex),
    anywhere("firecrawl", &["fc-"], Exactly(32), lower_hex),
    anywhere("jina", &["jina_"], AtLeast(40), word),
    // Payments and shops.
    anywhere("stripe", &["sk_live_", "sk_test_", "rk_live_", "rk_test_"], AtLeast(10), alnum),
    anywhere("stripe organisation", &["sk_org_live_", "sk_org_test_"], AtLeast(10), alnum),
    anywhere("webhook", &["whsec_"], AtLeast(16), base64),
    anywhere("shopify", &["shpat_", "shpca_", "shppa_", "shpss_", "shptka_"], AtLeast(30), hex),
    anywhere("square", &["sq0atp-", "sq0csp-"], AtLeast(20), url),
    anywhere("square access", &["EAAA"], Exactly(60), url),
    anywhere("razorpay", &["rzp_live_", "rzp_test_"], AtLeast(14), alnum),
    anywhere("flutterwave", &["FLWSECK-", "FLWSECK_TEST-"], AtLeast(12), url),
    anywhere("plaid", &["access-production-", "access-sandbox-", "access-development-"], AtLeast(36), url),
    anywhere("duffel", &["duffel_live_", "duffel_test_"], AtLeast(40), url),
    anywhere("easypost", &["EZAK", "EZTK"], Exactly(54), alnum),
    anywhere("shippo", &["shippo_live_", "shippo_test_"], AtLeast(40), hex),
    // Messages and mail.
    anywhere("slack", &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxe-", "xoxc-", "xoxd-", "xapp-"], AtLeast(10), url),
    anywhere("slack rotating", &["xoxe.xox"], AtLeast(10), dotted),
    anywhere("slack webhook", &["hooks.slack.com/services/", "hooks.slack.com/workflows/", "hooks.slack.com/triggers/"],
        AtLeast(20), path),
    anywhere("discord webhook", &["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"], AtLeast(20), path),
    anywhere("teams webhook", &["webhook.office.com/webhookb2/"], AtLeast(30), address),
    anywhere("zapier webhook", &["hooks.zapier.com/hooks/catch/"], AtLeast(12), path),
    anywhere("meta", &["EAA"], AtLeast(80), alnum),
    anywhere("meta old", &["EAAC"], AtLeast(40), alnum),
    anywhere("instagram", &["IGQV", "IGQW", "IGAA", "THAA"], AtLeast(80), url),
    anywhere("twilio", &["SK", "AC"], Exactly(32), lower_hex),
    anywhere("sendinblue", &["xkeysib-", "xsmtpsib-"], AtLeast(40), url),
    at_word("mailgun", &["key-"], Exactly(32), hex),
    anywhere("mailchimp", &["-us"], Within(32, 1), lower_hex),
    at_word("resend", &["re_"], AtLeast(30), word),
    anywhere("typeform", &["tfp_"], AtLeast(40), word),
    // Watching and counting.
    anywhere("sentry", &["sntrys_"], AtLeast(20), base64),
    anywhere("sentry user", &["sntryu_"], AtLeast(20), hex),
    anywhere("grafana", &["glsa_"], AtLeast(32), word),
    anywhere("grafana cloud", &["glc_"], AtLeast(32), base64),
    anywhere("grafana old", &["eyJrIjoi"], AtLeast(60), base64),
    anywhere("new relic", &["NRAK-", "NRRA-", "NRII-", "NRIQ-"], AtLeast(24), alnum),
    anywhere("new relic licence", &["NRAL"], Within(36, 0), lower_hex),
    anywhere("dynatrace", &["dt0c01.", "dt0s01.", "dt0s02.", "dt0s16."], AtLeast(48), dotted),
    anywhere("posthog", &["phc_", "phx_", "phs_"], AtLeast(32), word),
    anywhere("mapbox", &["sk.eyJ", "tk.eyJ", "pk.eyJ"], AtLeast(40), dotted),
    // Work.
    anywhere("linear", &["lin_api_", "lin_oauth_"], AtLeast(30), alnum),
    anywhere("notion", &["ntn_"], AtLeast(40), alnum),
    at_word("notion old", &["secret_"], AtLeast(43), alnum),
    anywhere("figma", &["figd_", "figo_", "figu_"], AtLeast(30), url),
    at_word("airtable", &["pat"], AtLeast(70), |b| alnum(b) || b == b'.'),
    anywhere("prefect", &["pnu_", "pnb_"], AtLeast(36), alnum),
];

/// The beginnings that share a bit of the masks, each with its make.
type Bucket = Vec<(&'static [u8], &'static Make)>;

/// The number of bits of a mask.
const BUCKETS: usize = 32;

/// Which makes may begin at a byte, by its first three.
pub(super) struct Prefilter {
    masks: [[u32; 256]; 3],
    buckets: Vec<Bucket>,
}

impl Prefilter {
    pub(super) fn of(makes: &'static [Make]) -> Self {
        let all = makes.iter().flat_map(|make| make.begins.iter().map(move |begin| (begin.as_bytes(), make)));
        let mut all: Bucket = all.collect();
        // Neighbours share a bucket, so that one bucket has few different bytes.
        all.sort_by_key(|(begin, _)| *begin);
        let mut masks = [[0; 256]; 3];
        let buckets: Vec<Bucket> = all.chunks(all.len().div_ceil(BUCKETS)).map(<[_]>::to_vec).collect();
        for (nth, bucket) in buckets.iter().enumerate() {
            for (begin, _) in bucket {
                for (place, mask) in masks.iter_mut().enumerate() {
                    match begin.get(place) {
                        Some(byte) => mask[usize::from(*byte)] |= 1 << nth,
                        None => mask.iter_mut().for_each(|bits| *bits |= 1 << nth),
                    }
                }
            }
        }
        Self { masks, buckets }
    }

    /// Asks of each make one of whose beginnings stands here, with that beginning, until one says yes.
    pub(super) fn find<R>(&self, bytes: &[u8], mut ask: impl FnMut(&[u8], &Make) -> Option<R>) -> Option<R> {
        let [first, second, third] = &self.masks;
        let &[a, b, c, ..] = bytes else { return None };
        let mut bits = first[usize::from(a)] & second[usize::from(b)] & third[usize::from(c)];
        while bits != 0 {
            let bucket = self.buckets.get(bits.trailing_zeros() as usize)?;
            let standing = bucket.iter().filter(|(begin, _)| bytes.starts_with(begin));
            if let Some(found) = standing.into_iter().find_map(|(begin, make)| ask(begin, make)) {
                return Some(found);
            }
            bits &= bits - 1;
        }
        None
    }
}
