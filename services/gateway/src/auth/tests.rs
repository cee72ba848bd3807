use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_700_000_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// An Ed25519 key made for this test: RFC 8032, 7.1, test 1.
const ED_PUBLIC: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];
const ED_SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];

fn verifier(issuer: Option<&str>) -> Verifier {
    let keys = Keys::shared(&SecretString::from(SECRET.to_owned()));
    Verifier::new(Ring::fixed(keys), "tgmesh", issuer)
}

fn claims() -> Value {
    json!({"sub": "ann", "exp": NOW + 60, "iat": NOW, "jti": "t1", "aud": "tgmesh", "role": "viewer", "chats": [-100]})
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[key] = value;
    claims
}

fn without(key: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("a map").remove(key);
    claims
}

fn signed(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("encodes")
}

fn refusal(claims: &Value) -> Refusal {
    verifier(None)
        .verify(&signed(claims), NOW)
        .expect_err("the token is refused")
}

#[test]
fn a_good_token_gives_its_rights() {
    let claims = json!({
        "sub": "ann", "exp": NOW + 60, "iat": NOW, "jti": "t1", "aud": ["x", "tgmesh"], "role": "analyst",
        "chats": [-100, "-200"], "families": ["evm", "of-a-later-version"], "min_confidence": 0.5,
        "max_connections": 3, "rate": 7.5, "unknown": {"a": 1},
    });
    let grant = verifier(None).verify(&signed(&claims), NOW).expect("the token is good");
    assert_eq!(grant.subject, "ann");
    assert_eq!(grant.expires_at, NOW + 60);
    assert_eq!(grant.rights.role, Role::Analyst);
    assert_eq!(grant.rights.chats, Chats::none().with(-100).with(-200));
    assert_eq!(grant.rights.families, Some([Family::Evm].into()));
    assert_eq!((grant.max_connections, grant.rate), (Some(3), Some(7.5)));
    let all = verifier(None)
        .verify(&signed(&with("chats", json!(["*"]))), NOW)
        .expect("the token is good");
    assert_eq!(all.rights.chats, Chats::All);
    let none = verifier(None)
        .verify(&signed(&without("chats")), NOW)
        .expect("the token is good");
    assert_eq!(none.rights.chats, Chats::none());
}

#[test]
fn every_required_claim_is_required() {
    for claim in ["sub", "exp", "iat", "jti", "aud"] {
        assert!(verifier(None).verify(&signed(&without(claim)), NOW).is_err(), "{claim}");
    }
    assert_eq!(refusal(&without("aud")), Refusal::Audience);
    assert_eq!(refusal(&with("aud", json!("other"))), Refusal::Audience);
    assert_eq!(refusal(&with("aud", json!([]))), Refusal::Audience);
    assert_eq!(refusal(&with("sub", json!(""))), Refusal::Claim("sub"));
    assert_eq!(refusal(&with("role", json!("root"))), Refusal::Claim("role"));
    assert_eq!(refusal(&with("chats", json!(["-1", "all"]))), Refusal::Claim("chats"));
    assert_eq!(
        refusal(&with("min_confidence", json!(7))),
        Refusal::Claim("min_confidence")
    );
    assert_eq!(refusal(&with("rate", json!(0))), Refusal::Claim("rate"));
}

#[test]
fn the_issuer_counts_where_it_is_configured() {
    let verifier = verifier(Some("https://id.example"));
    assert_eq!(verifier.verify(&signed(&claims()), NOW), Err(Refusal::Audience));
    assert_eq!(
        verifier.verify(&signed(&with("iss", json!("https://evil.example"))), NOW),
        Err(Refusal::Audience)
    );
    assert!(
        verifier
            .verify(&signed(&with("iss", json!("https://id.example"))), NOW)
            .is_ok()
    );
}

#[test]
fn times_have_a_leeway_of_five_seconds() {
    let at = |now: i64| verifier(None).verify(&signed(&claims()), now).err();
    assert_eq!(at(NOW + 64), None);
    assert_eq!(at(NOW + 65), Some(Refusal::Expired));
    assert_eq!(at(NOW - 5), None);
    assert_eq!(at(NOW - 6), Some(Refusal::NotYet));
    assert_eq!(refusal(&with("nbf", json!(NOW + 6))), Refusal::NotYet);
    assert!(verifier(None).verify(&signed(&with("exp", json!(1e15))), NOW).is_ok());
    for exp in [json!(-1e300), json!(1e300), json!("1"), json!(null), json!(-1)] {
        assert!(
            verifier(None).verify(&signed(&with("exp", exp.clone())), NOW).is_err(),
            "{exp}"
        );
    }
}

#[test]
fn no_other_algorithm_passes() {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE", "HS384", "RS256", ""] {
        let unsigned = format!("{}.{}.", part(&json!({"alg": alg, "typ": "JWT"})), part(&claims()));
        assert!(verifier(None).verify(&unsigned, NOW).is_err(), "{alg}");
    }
    let hs384 = Header::new(jsonwebtoken::Algorithm::HS384);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let other = jsonwebtoken::encode(&hs384, &claims(), &key).expect("encodes");
    assert_eq!(verifier(None).verify(&other, NOW), Err(Refusal::Signature));
    let wrong = EncodingKey::from_secret(b"another secret of thirty-two byt");
    let wrong = jsonwebtoken::encode(&Header::default(), &claims(), &wrong).expect("encodes");
    assert_eq!(verifier(None).verify(&wrong, NOW), Err(Refusal::Signature));
}

#[test]
fn garbage_is_malformed() {
    for token in [
        "",
        ".",
        "..",
        "a.b.c",
        "null",
        "eyJ.eyJ.x",
        &"x".repeat(MAX_TOKEN_BYTES + 1),
    ] {
        assert!(verifier(None).verify(token, NOW).is_err(), "{token:.20}");
    }
}

/// The seed as PKCS#8 (RFC 8410, 7).
fn ed_private() -> EncodingKey {
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ];
    der.extend_from_slice(&ED_SEED);
    EncodingKey::from_ed_der(&der)
}

#[test]
fn a_key_set_verifies_and_its_public_key_is_no_secret() {
    let x = URL_SAFE_NO_PAD.encode(ED_PUBLIC);
    let set = json!({"keys": [
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "rsa"},
        {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "ed", "use": "sig", "alg": "EdDSA"},
    ]});
    let keys = Keys::from_jwks(Algorithm::EdDsa, set.to_string().as_bytes()).expect("there is a key");
    let verifier = Verifier::new(Ring::fixed(keys), "tgmesh", None);
    let sign = |key_id: Option<&str>| {
        let mut header = Header::new(jsonwebtoken::Algorithm::EdDSA);
        header.kid = key_id.map(str::to_owned);
        jsonwebtoken::encode(&header, &claims(), &ed_private()).expect("encodes")
    };
    assert!(verifier.verify(&sign(None), NOW).is_ok());
    assert!(verifier.verify(&sign(Some("ed")), NOW).is_ok());
    assert_eq!(verifier.verify(&sign(Some("unknown")), NOW), Err(Refusal::Signature));
    // The classic confusion: the public key as an HMAC secret.
    for secret in [ED_PUBLIC.as_slice(), x.as_bytes()] {
        let key = EncodingKey::from_secret(secret);
        let token = jsonwebtoken::encode(&Header::default(), &claims(), &key).expect("encodes");
        assert_eq!(verifier.verify(&token, NOW), Err(Refusal::Signature));
    }
}

#[test]
fn key_sets_without_a_fitting_key_are_faults() {
    for document in [
        "",
        "{}",
        r#"{"keys": []}"#,
        r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#,
    ] {
        assert!(
            Keys::from_jwks(Algorithm::Rs256, document.as_bytes()).is_err(),
            "{document}"
        );
    }
}

#[test]
fn a_set_is_read_as_its_standard_asks() {
    let x = URL_SAFE_NO_PAD.encode(ED_PUBLIC);
    let good = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "ed"});
    let read = |keys: &Value| Keys::from_jwks(Algorithm::EdDsa, json!({ "keys": keys }).to_string().as_bytes());
    let with = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        json!([key, good])
    };
    // Kinds of keys that are not known here, and keys for something else, are passed over.
    for keys in [
        json!([{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}, good]),
        json!([{"kty": "OKP", "crv": "X448", "x": "AA"}, good]),
        json!([{}, good]),
        with("use", json!("enc")),
        with("alg", json!("ES256")),
        with("key_ops", json!(["sign"])),
    ] {
        assert_eq!(read(&keys).map(|keys| keys.count()), Ok(1), "{keys}");
    }
    assert_eq!(
        read(&with("key_ops", json!(["verify"]))).map(|keys| keys.count()),
        Ok(2)
    );
    // What a private or shared key is part of is refused whole, whatever the key is for.
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let refused = read(&with(name, json!("c2VjcmV0"))).err().expect(name);
        assert!(refused.contains("private") && !refused.contains("c2Vj"), "{refused}");
    }
    assert!(read(&json!([{"kty": "oct", "k": "c2VjcmV0"}, good])).is_err());
    assert!(read(&json!((0..17).map(|_| good.clone()).collect::<Vec<_>>())).is_err());
}

#[test]
fn a_header_that_asks_for_more_is_refused() {
    for (name, value) in [("crit", json!(["exp"])), ("crit", json!([])), ("b64", json!(false))] {
        let header = json!({"alg": "HS256", "typ": "JWT", name: value});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims()));
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
        let token = format!("{message}.{}", signature.expect("signs"));
        assert_eq!(verifier(None).verify(&token, NOW), Err(Refusal::Header), "{header}");
    }
}

#[test]
fn nothing_prints_a_secret() {
    assert!(!format!("{:?}", verifier(None)).contains("0123"));
}
