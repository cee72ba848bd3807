//! Secrets: what is masked, what is left alone, and that nothing survives.

#![expect(
    clippy::format_collect,
    clippy::format_push_string,
    reason = "texts of a test are built in the plainest way"
)]

use std::borrow::Cow;

use bip39::Language;
use curve25519_dalek::EdwardsPoint;
use proptest::prelude::*;
use sha2::{Digest, Sha256, Sha512};
use tgmesh_detect::{Masker, Secret, SecretKind};

const PHRASE: &str = "[masked: seed phrase]";
const PAIR: &str = "[masked: secret key]";
const KEY: &str = "[masked: private key]";

thread_local! {
    static MASKER: Masker = Masker::new();
}

fn mask(text: &str) -> String {
    MASKER.with(|masker| masker.mask(text).into_owned())
}

fn find(text: &str) -> Vec<Secret> {
    let mut secrets = Vec::new();
    MASKER.with(|masker| masker.find(text, &mut secrets));
    secrets
}

fn is_left_alone(text: &str) -> bool {
    MASKER.with(|masker| matches!(masker.mask(text), Cow::Borrowed(same) if same == text))
}

/// The phrase of some entropy, by the book: each byte is eight bits, the hash's first ones follow,
/// eleven bits make a word.
fn phrase(language: Language, entropy: &[u8]) -> Vec<&'static str> {
    let bits_of = |bytes: &[u8]| -> Vec<bool> {
        let bits = bytes
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
        bits.collect()
    };
    let mut bits = bits_of(entropy);
    bits.extend(&bits_of(&Sha256::digest(entropy))[..entropy.len() / 4]);
    let index = |eleven: &[bool]| eleven.iter().fold(0, |index, bit| index << 1 | usize::from(*bit));
    bits.chunks(11)
        .map(|eleven| language.word_list()[index(eleven)])
        .collect()
}

/// A secret key with its public key behind it.
fn pair(seed: [u8; 32]) -> [u8; 64] {
    let digest = Sha512::digest(seed);
    let public = EdwardsPoint::mul_base_clamped(digest[..32].try_into().unwrap()).compress();
    let mut pair = [0; 64];
    pair[..32].copy_from_slice(&seed);
    pair[32..].copy_from_slice(public.as_bytes());
    pair
}

fn base58(bytes: &[u8; 64]) -> String {
    let mut out = [0; 88];
    let length = five8::encode_64(bytes, &mut out);
    String::from_utf8(out[..usize::from(length)].to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_chinese(language: Language) -> bool {
    matches!(language, Language::SimplifiedChinese | Language::TraditionalChinese)
}

/// The vectors that BIP-39 refers to (trezor/python-mnemonic, vectors.json).
#[test]
fn published_phrases_are_masked() {
    for phrase in [
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong",
        "ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic",
        "gravity machine north sort system female filter attitude volume fold club stay feature office ecology \
         stable narrow fog",
        "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis \
         maple dilemma loan word shrug inflict delay length",
        "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol \
         group space point ten exist slush involve unfold",
        "あいこくしん　あいこくしん　あいこくしん　あいこくしん　あいこくしん　あいこくしん　あいこくしん　\
         あいこくしん　あいこくしん　あいこくしん　あいこくしん　あおぞら",
    ] {
        assert_eq!(mask(phrase), PHRASE, "{phrase}");
        assert_eq!(mask(&format!("gm {phrase}, ser")), format!("gm {PHRASE}, ser"));
    }
}

#[test]
fn every_list_and_length() {
    for (n, &language) in (0_u8..).zip(Language::ALL) {
        for bytes in [16, 20, 24, 28, 32] {
            let entropy: Vec<u8> = Sha256::digest([n, bytes])[..usize::from(bytes)].to_vec();
            let words = phrase(language, &entropy);
            assert_eq!(words.len(), usize::from(bytes) * 3 / 4);
            assert_eq!(mask(&words.join(" ")), PHRASE, "{language} {words:?}");
            assert_eq!(mask(&format!("🔑 {} 🔑", words.join("\n"))), format!("🔑 {PHRASE} 🔑"));
        }
    }
}

#[test]
fn a_wrong_checksum_is_left_alone() {
    for text in [
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon",
        "legal winner thank year wave sausage worth useful legal winner thank year",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo",
        // A word short; a word of no list inside.
        "legal winner thank year wave sausage worth useful legal winner thank",
        "legal winner thank year wave sausage the worth useful legal winner thank yellow",
    ] {
        assert!(is_left_alone(text), "{text}");
    }
    // Of the words that can stand last only one in sixteen fits.
    let first = "legal winner thank year wave sausage worth useful legal winner thank";
    let masked = Language::English
        .word_list()
        .iter()
        .filter(|last| !is_left_alone(&format!("{first} {last}")));
    assert_eq!(masked.count(), 2048 / 16);
}

#[test]
fn ordinary_words_are_left_alone() {
    for text in [
        "I will not sell my coin this week because there is still time to wait until the market can recover its value again",
        "must read: about your wallet, never trust any person that will offer help, they just want your money and seed phrase",
        "all you need is one good trade each day, then just wait; do not chase every pump that people talk about",
        "Это обычный текст про приватный ключ и сид-фразу, никому их не показывайте, даже администратору чата",
        "今天大家都在说这个项目会不会涨，我觉得可以再等一等，不要着急，先看看有没有人出来解释",
        "助记词千万不要告诉别人，也不要截图保存，更不要发到任何群里面去，这是最基本的安全常识",
        "오늘 시장은 조용하고 거래량도 적어서 큰 움직임은 없을 것 같습니다, 모두 조심하세요 여러분",
        "きょうのしじょうはしずかで、うごきがすくないとおもいます。みなさんきをつけてください。",
        "esta semana todo el mundo habla del mismo tema y nadie sabe qué va a pasar con el precio mañana",
    ] {
        assert!(is_left_alone(text), "{text}");
    }
}

#[test]
fn a_phrase_inside_of_more_words() {
    let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let around = mask(&format!("wallet spare {phrase} okay crypto"));
    assert!(around.contains(PHRASE), "{around}");
    for word in ["year", "wave", "sausage", "worth", "useful", "yellow"] {
        assert!(!around.contains(word), "{around}");
    }
    // Nobody writes a phrase so; whoever hides one among hundreds of words still has it masked.
    let many = format!("{} {phrase} {}", "zebra ".repeat(100), "zebra ".repeat(100));
    assert_eq!(mask(&format!("the {many} the")), format!("the {PHRASE}  the"));
}

#[test]
fn phrases_in_columns_and_with_labels() {
    let words: Vec<_> = "letter advice cage absurd amount doctor acoustic avoid letter advice cage above"
        .split(' ')
        .collect();
    let mut columns = String::new();
    for row in 0..6 {
        columns += &format!(
            "{:>2}. {:<10} {:>2}. {}\n",
            row + 1,
            words[row],
            row + 7,
            words[row + 6]
        );
    }
    assert_eq!(mask(&columns), format!(" 1. {PHRASE}\n"));
    for label in ["word", "Word #", "слово", "Palabra ", "kelime"] {
        let text: String = (1..)
            .zip(&words)
            .map(|(n, word)| format!("{label} {n}: {word}; "))
            .collect();
        let masked = mask(&text);
        assert!(masked.contains(PHRASE), "{text} {masked}");
        assert!(!words.iter().any(|word| masked.contains(word)), "{masked}");
    }
    let tags: String = words.iter().map(|word| format!("<b>{word}</b><br/>")).collect();
    assert_eq!(mask(&tags), format!("<b>{PHRASE}</b><br/>"));
    let points: String = ('a'..).zip(&words).map(|(n, word)| format!("{n}) {word}\n")).collect();
    assert_eq!(mask(&points), format!("a) {PHRASE}\n"));
}

#[test]
fn chinese_without_spaces_only_where_it_is_called_a_phrase() {
    let words = phrase(Language::SimplifiedChinese, &[0x5a; 16]).concat();
    assert_eq!(
        mask(&format!("我的助记词：{words}。")),
        format!("我的助记词：{PHRASE}。")
    );
    assert_eq!(
        mask(&format!("看一下\n助记词{words}")),
        format!("看一下\n助记词{PHRASE}")
    );
    assert!(is_left_alone(&format!("我说：{words}。大家好")));
}

#[test]
fn secret_keys_in_every_form() {
    for n in 0..20 {
        let pair = pair(Sha256::digest([n]).into());
        let text = base58(&pair);
        assert_eq!(mask(&format!("lol {text} oops")), format!("lol {PAIR} oops"));
        assert_eq!(mask(&hex(&pair)), PAIR);
        assert_eq!(mask(&format!("0x{}", hex(&pair).to_uppercase())), PAIR);
        let numbers: Vec<_> = pair.iter().map(u8::to_string).collect();
        assert_eq!(
            mask(&format!("id.json: [{}]!", numbers.join(","))),
            format!("id.json: [{PAIR}]!")
        );
        assert_eq!(
            mask(&format!("[\n  {}\n]", numbers.join(",\n  "))),
            format!("[\n  {PAIR}\n]")
        );
        // One bit off is a signature or anything else.
        let mut other = pair;
        other[63] ^= 1;
        let numbers: Vec<_> = other.iter().map(u8::to_string).collect();
        for text in [base58(&other), hex(&other), numbers.join(", ")] {
            assert!(is_left_alone(&text), "{text}");
        }
    }
}

#[test]
fn keys_with_a_checksum() {
    for key in [
        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
        "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617",
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
        "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5",
    ] {
        assert_eq!(mask(&format!("take {key} now")), format!("take {KEY} now"));
    }
}

#[test]
fn hex_digits_are_a_key_where_they_are_called_one() {
    let key = hex(&Sha256::digest(b"some key"));
    assert_eq!(mask(&format!("pk: 0x{key}")), format!("pk: {KEY}"));
    assert_eq!(mask(&format!("приватный ключ {key}")), format!("приватный ключ {KEY}"));
    assert!(is_left_alone(&format!("https://etherscan.io/tx/0x{key}")));
    assert!(is_left_alone(&format!("sui token 0x{key}")));
    // The same digits again, where nothing is said of them.
    assert_eq!(
        mask(&format!("look: 0x{key}\n\nmy private key is {key}")),
        format!("look: {KEY}\n\nmy private key is {KEY}")
    );
    // A list under one heading.
    let keys: Vec<_> = (0..8_u8).map(|n| hex(&Sha256::digest([n]))).collect();
    assert_eq!(
        mask(&format!("Private keys:\n{}", keys.join("\n"))),
        format!("Private keys:\n{}", [KEY; 8].join("\n"))
    );
}

#[test]
fn what_is_debugged_shows_no_secret() {
    let text = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let secrets = find(text);
    assert_eq!(
        secrets,
        [Secret {
            kind: SecretKind::SeedPhrase,
            span: 0..text.len()
        }]
    );
    let shown = format!("{secrets:?} {:?}", MASKER.with(|masker| format!("{masker:?}")));
    assert!(!text.split(' ').any(|word| shown.contains(word)), "{shown}");
}

/// What may stand between two words, and before the first.
fn separator() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just(", ".to_owned()),
        Just(",".to_owned()),
        Just("-".to_owned()),
        Just("_".to_owned()),
        Just(" / ".to_owned()),
        Just("\u{3000}".to_owned()),
        Just("、".to_owned()),
        Just("\n• ".to_owned()),
        Just(" 🔑 ".to_owned()),
        Just("\u{200b}".to_owned()),
        Just(" \u{200d}\u{feff} ".to_owned()),
        Just("</b> <b>".to_owned()),
        (1_u8..30).prop_map(|n| format!(" {n}. ")),
        (1_u8..30).prop_map(|n| format!("\n{n}) ")),
        (1_u8..30).prop_map(|n| format!(" #{n}:")),
        "[ .;:|\\t0-9*\"'=+>]{1,6}",
    ]
}

/// How a word may be written.
fn disguised(word: &str, how: u8) -> String {
    match how {
        0 => word.to_uppercase(),
        1 => word.chars().flat_map(|c| [c, '\u{200b}']).collect(),
        2 => word
            .chars()
            .map(|c| match c {
                'a'..='z' => char::from_u32(c as u32 - 'a' as u32 + 'ａ' as u32).unwrap(),
                _ => c,
            })
            .collect(),
        3 => {
            let mut chars = word.chars();
            chars
                .next()
                .into_iter()
                .flat_map(char::to_uppercase)
                .chain(chars)
                .collect()
        }
        _ => word.to_owned(),
    }
}

fn language() -> impl Strategy<Value = Language> {
    // English as often as all others together.
    prop_oneof![Just(Language::English), proptest::sample::select(Language::ALL)]
}

fn entropy() -> impl Strategy<Value = Vec<u8>> {
    proptest::sample::select(&[16_usize, 20, 24, 28, 32])
        .prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// However a phrase is written, it is masked as a whole, and what stands around it stays.
    #[test]
    fn no_phrase_survives(
        language in language(),
        entropy in entropy(),
        gaps in proptest::collection::vec((separator(), 0..12_u8), 24),
        before in "(|.{0,60}[.!?] )",
        after in "(|[.!?] .{0,60})",
    ) {
        let words = phrase(language, &entropy);
        let mut text = String::new();
        for (n, (word, (gap, how))) in words.iter().zip(&gaps).enumerate() {
            if n > 0 {
                // Something invisible alone parts words only where no word has any inside.
                let veiled = gaps.iter().any(|(_, how)| *how == 1) || is_chinese(language);
                text.push_str(if veiled && gap == "\u{200b}" { " " } else { gap });
            }
            text.push_str(&disguised(word, *how));
        }
        let whole = format!("{before}zzz {text} zzz{after}");
        let masked = mask(&whole);
        let expected = format!("{}zzz {PHRASE} zzz{}", mask(&before), mask(&after));
        // A zero-width character behind the last letter belongs to no word.
        prop_assert_eq!(masked.replace('\u{200b}', ""), expected.replace('\u{200b}', ""), "{}", whole);
    }

    #[test]
    fn no_key_survives(seed: [u8; 32], at in 0..88_usize, veil in "[\u{200b}\u{200d}\u{feff}]{0,3}", lead in "(|.{0,40}[ ,:(\\[])", tail in "(|[ ,.)\\]].{0,40})") {
        let pair = pair(seed);
        let mut text = base58(&pair);
        text.insert_str(at.min(text.len() - 1), &veil);
        let masked = mask(&format!("{lead}{text}{tail}"));
        prop_assert!(masked.contains(PAIR), "{}", masked);
        prop_assert!(!masked.contains(&text), "{}", masked);
        let key = format!("{lead}\nprivate key: {}{tail}", hex(&seed));
        prop_assert!(!mask(&key).contains(&hex(&seed)), "{}", key);
    }

    /// What is masked once is masked, and places are places.
    #[test]
    fn masking_ends(parts in proptest::collection::vec(part(), 0..60)) {
        let text = parts.concat();
        let secrets = find(&text);
        for secret in &secrets {
            prop_assert!(text.get(secret.span.clone()).is_some_and(|s| !s.is_empty()), "{:?} in {}", secret, text);
        }
        prop_assert!(secrets.is_sorted_by(|a, b| a.span.end <= b.span.start), "{:?} in {}", secrets, text);
        let once = mask(&text);
        prop_assert_eq!(&mask(&once), &once, "{}", text);
    }
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(&Language::English.word_list()[..]).prop_map(|word| format!("{word} ")),
        2 => proptest::sample::select(Language::ALL)
            .prop_flat_map(|language| proptest::sample::select(&language.word_list()[..]))
            .prop_map(|word| format!("{word}\u{3000}")),
        1 => entropy().prop_map(|entropy| phrase(Language::English, &entropy).join("\n")),
        1 => any::<[u8; 32]>().prop_map(|seed| format!(" {} ", base58(&pair(seed)))),
        1 => any::<[u8; 32]>().prop_map(|seed| format!(" {} ", hex(&seed))),
        1 => any::<[u8; 32]>().prop_map(|seed| format!("{:?}", pair(seed))),
        1 => proptest::sample::select(&["private key: ", "tx ", "助记词", "\n", ". ", "word 1: ", "key", "0x", "/", "::"][..])
            .prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ]
}
