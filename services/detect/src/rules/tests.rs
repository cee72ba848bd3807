use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const ANYWHERE: Place<'_> = Place {
    chat_id: -1,
    username: None,
};

fn rules(text: &str) -> Rules {
    Rules::parse(text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

fn found_in(rules: &Rules, place: Place<'_>, parts: &[&str]) -> Matched {
    rules.find(place, parts.iter().copied(), &mut Scratch::default())
}

fn names(rules: &Rules, parts: &[&str]) -> Vec<String> {
    found_in(rules, ANYWHERE, parts).names
}

/// The faults of a file, as they are told.
fn faults(text: &str) -> Vec<String> {
    match Rules::parse(text) {
        Ok(rules) => panic!("{} rules without a fault", rules.len()),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn literals_and_expressions_with_and_without_case() {
    let rules = rules(
        r#"
        [[rule]]
        name = "d: any case"
        literal = ["Fair Launch", "запуск"]
        [[rule]]
        name = "c: this case"
        literal = "TGE"
        case_sensitive = true
        [[rule]]
        name = "b: expression"
        regex = 'pre-?sale\s+\d+'
        [[rule]]
        name = "a: expression, this case"
        regex = ['^Soon$', '^SOON$']
        case_sensitive = true
        "#,
    );
    assert_eq!(rules.len(), 4);
    assert!(!rules.needs_username());
    for (text, expected) in [
        ("FAIR LAUNCH tonight", vec!["d: any case"]),
        ("🚀 ЗаПуСк 🚀", vec!["d: any case"]),
        ("the TGE", vec!["c: this case"]),
        ("the tge", vec![]),
        ("PRESALE 12", vec!["b: expression"]),
        ("PRE-SALE\n12 fair launch", vec!["b: expression", "d: any case"]),
        ("SOON", vec!["a: expression, this case"]),
        ("soon", vec![]),
        ("fair  launch", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(names(&rules, &[text]), expected, "{text}");
    }
    assert_eq!(
        names(&rules, &["gm", "Soon", "tge", "https://x.example/fair launch"]),
        ["a: expression, this case", "d: any case"]
    );
    assert_eq!(names(&rules, &["fair", " launch"]), [""; 0], "each part is for itself");
}

#[test]
fn overlapping_and_shared_literals_each_count() {
    let rules = rules(
        r#"
        rule = [
            { name = "1", literal = "abc" },
            { name = "2", literal = ["b", "x"] },
            { name = "3", literal = "BCD" },
            { name = "4", literal = "Abcde", case_sensitive = true },
            { name = "5", literal = "B" },
        ]
        "#,
    );
    assert_eq!(names(&rules, &["abcde"]), ["1", "2", "3", "5"]);
    assert_eq!(names(&rules, &["Abcdex"]), ["1", "2", "3", "4", "5"]);
    assert_eq!(names(&rules, &["ábcd"]), ["2", "3", "5"]);
}

#[test]
fn a_scope_is_ids_and_public_names() {
    let rules = rules(
        r#"
        rule = [
            { name = "everywhere", literal = "x", publish = true },
            { name = "here", literal = "x", chats = [-100_123, "@Gems_JP"] },
            { name = "there", literal = "x", chats = [0x10] },
        ]
        "#,
    );
    assert!(rules.needs_username());
    let at = |chat_id, username| found_in(&rules, Place { chat_id, username }, &["x"]).names;
    assert_eq!(at(-1, None), ["everywhere"]);
    assert_eq!(at(-100_123, None), ["everywhere", "here"]);
    assert_eq!(at(-1, Some("gems_jp")), ["everywhere", "here"]);
    assert_eq!(at(-1, Some("GEMS_JP")), ["everywhere", "here"]);
    assert_eq!(at(16, Some("other")), ["everywhere", "there"]);
}

#[test]
fn only_rules_that_match_here_publish() {
    let rules = rules(
        r#"
        rule = [
            { name = "quiet", literal = "x" },
            { name = "loud", literal = "x", chats = [5], publish = true },
        ]
        "#,
    );
    let publishes = |chat_id, text| {
        let place = Place {
            chat_id,
            username: None,
        };
        found_in(&rules, place, &[text]).publish
    };
    assert!(publishes(5, "x"));
    assert!(!publishes(6, "x"));
    assert!(!publishes(5, "y"));
}

#[test]
fn names_are_sorted_and_bounded_and_publishing_is_not() {
    let mut text = String::new();
    for n in (0..200).rev() {
        let _ = write!(
            text,
            "[[rule]]\nname = \"{n:03}\"\nliteral = \"x\"\npublish = {}\n",
            n == 199
        );
    }
    let matched = found_in(&rules(&text), ANYWHERE, &["x"]);
    let expected: Vec<_> = (0..MAX_NAMES).map(|n| format!("{n:03}")).collect();
    assert_eq!(matched.names, expected);
    assert!(matched.publish, "a rule beyond the bound publishes all the same");
}

#[test]
fn scratch_is_used_again_and_again() {
    let rules = rules("rule = [{ name = 'é', literal = 'é' }, { name = 'b', regex = 'b' }]");
    let mut scratch = Scratch::default();
    for _ in 0..3 {
        assert_eq!(rules.find(ANYWHERE, ["É", "b"], &mut scratch).names, ["b", "é"]);
        assert_eq!(rules.find(ANYWHERE, ["é"], &mut scratch).names, ["é"]);
        assert_eq!(rules.find(ANYWHERE, ["ü"], &mut scratch), Matched::default());
    }
}

#[test]
fn an_empty_file_has_no_rules() {
    for text in ["", "\n# nothing yet\n", "rule = []"] {
        assert!(rules(text).is_empty());
        assert_eq!(names(&rules(text), &["x"]), [""; 0]);
    }
}

#[test]
fn every_fault_is_told_where_it_stands() {
    let text = r#"
rules = 1
[[rule]]
name = "a"
literal = ""
[[rule]]
  name = "a"
  regex = 'ok'
  chat = [1]
[[rule]]
name = "ü ü"
regex = ["fine", 'ü(b', "(?=x)", "x{1000}{1000}"]
publish = "yes"
[[rule]]
literal = "x"
regex = "x"
[[rule]]
name = " "
chats = ["gems", 0, 1.5]
"#;
    let told = faults(text);
    let expected = [
        "line 2, column 1: unknown key \"rules\"",
        "line 5, column 11: a literal has 1 to 256 bytes",
        "line 7, column 10: the name \"a\" is taken by the rule in line 4",
        "line 9, column 3: unknown key \"chat\"",
        "line 12, column 20: unclosed group",
        "line 12, column 26: look-around",
        "line 12, column 35: the expression unfolds to too many states",
        "line 13, column 11: this is of type string, not a boolean",
        "line 14, column 1: the rule has no name",
        "line 16, column 1: the rule has both literal and regex",
        "line 17, column 1: the rule has neither literal nor regex",
        "line 18, column 8: a name is not empty",
        "line 19, column 10: a chat is an id",
        "line 19, column 18: a chat is an id",
        "line 19, column 21: a chat is an id",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
}

#[test]
fn what_is_no_toml_is_pointed_at() {
    for (text, expected) in [
        ("[[rule]]\nname = \"a\nliteral = 'x'", "line 2, column 10"),
        ("[[rule]]\nname = 'a'\nname = 'b'\nliteral = 'x'", "line 3, column 1"),
        ("[[rule]\n", "line 1, column"),
        ("rule = 5", "line 1, column 1: rule is no list"),
        ("[rule]\nname = 'a'", "line 1, column 2: rule is no list"),
        ("rule = [5]", "line 1, column 9: this is of type integer"),
        ("é = = 1", "line 1, column"),
    ] {
        let told = faults(text);
        assert!(told[0].starts_with(expected), "{told:?} of {text}");
    }
    let deep = format!("rule = {}", "[".repeat(10_000));
    assert!(Rules::parse(&deep).is_err());
}

#[test]
fn bounds_hold() {
    let many = |count: usize, looks_for: &str| {
        (0..count).fold(String::new(), |text, n| {
            format!("{text}[[rule]]\nname = \"{n}\"\n{looks_for}\n")
        })
    };
    assert_eq!(rules(&many(MAX_RULES, "literal = 'x'")).len(), MAX_RULES);
    assert!(faults(&many(MAX_RULES + 1, "literal = 'x'"))[0].contains("10001 rules"));
    assert!(faults(&many(1001, "regex = 'x'"))[0].contains("expression 1001"));
    let large = format!("# {}", "x".repeat(MAX_FILE_BYTES));
    assert!(faults(&large)[0].contains("the file has"));
    assert!(faults(&format!("rule = [{{ name = '{}', literal = 'x' }}]", "n".repeat(65)))[0].contains("64 bytes"));
    assert!(faults(&format!("rule = [{{ name = 'n', literal = '{}' }}]", "n".repeat(257)))[0].contains("256 bytes"));
    assert!(faults(&format!("rule = [{{ name = 'n', regex = '{}' }}]", "n".repeat(1025)))[0].contains("1024 bytes"));
    assert!(faults(r#"rule = [{ name = "a\u0007b", literal = 'x' }]"#)[0].contains("control"));
    let chats = format!("rule = [{{ name = 'n', literal = 'x', chats = {:?} }}]", vec![1; 1001]);
    assert!(faults(&chats)[0].contains("1 to 1000"));
    let told = faults(&many(500, "literal = 5"));
    assert_eq!(told.len(), MAX_FAULTS);
    assert!(
        told[MAX_FAULTS - 1].ends_with("(and 480 more faults after it)"),
        "{told:?}"
    );
}

#[test]
fn large_expressions_are_searched_in_several_sets() {
    let mut text = String::new();
    for n in 0..200 {
        let _ = write!(
            text,
            "[[rule]]\nname = \"{n:03}\"\nregex = '\\w+launch{n:03}[^\\s]{{1,20}}\\w+'\n"
        );
    }
    let rules = rules(&text);
    assert_eq!(names(&rules, &["xlaunch007yz xlaunch199yz"]), ["007", "199"]);
    assert_eq!(names(&rules, &["xlaunch200yz"]), [""; 0]);
}

fn word() -> impl Strategy<Value = String> {
    // Few letters, so that words meet; of several scripts and lengths in bytes.
    "[abAB \u{e9}\u{c9}\u{df}\u{3c3}\u{3c2}\u{3a3}\u{430}\u{410}]{1,5}"
}

/// As [`literals::fold`] says, written in another way.
fn same_letters(text: &str) -> String {
    text.to_uppercase().chars().flat_map(char::to_lowercase).collect()
}

proptest! {
    /// Against a search for each rule by itself.
    #[test]
    fn literals_are_what_a_plain_search_finds(
        words in proptest::collection::vec((word(), any::<bool>()), 1..12),
        parts in proptest::collection::vec("[abAB \u{e9}\u{c9}\u{df}\u{3c3}\u{3c2}\u{3a3}\u{430}\u{410}]{0,20}", 0..4),
    ) {
        let mut text = String::new();
        for (n, (word, case)) in words.iter().enumerate() {
            let _ = write!(text, "[[rule]]\nname = \"{n:02}\"\nliteral = '{word}'\ncase_sensitive = {case}\n");
        }
        let stands = |word: &String, case: bool, part: &String| {
            if case { part.contains(word) } else { same_letters(part).contains(&same_letters(word)) }
        };
        let expected: Vec<_> = words.iter().enumerate()
            .filter(|(_, (word, case))| parts.iter().any(|part| stands(word, *case, part)))
            .map(|(n, _)| format!("{n:02}"))
            .collect();
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        prop_assert_eq!(names(&rules(&text), &parts), expected);
    }

    /// Against one expression at a time.
    #[test]
    fn expressions_are_what_each_finds_alone(
        expressions in proptest::collection::vec(("[ab.^$*+?|\\[\\]()\u{e9}]{1,6}", any::<bool>()), 1..8),
        part in "[abAB\u{e9}\u{c9}]{0,12}",
    ) {
        let good: Vec<_> = expressions.iter().filter(|(text, _)| expressions::check(text).is_ok()).collect();
        let mut text = String::new();
        for (n, (expression, case)) in good.iter().enumerate() {
            let _ = write!(text, "[[rule]]\nname = \"{n}\"\nregex = '{expression}'\ncase_sensitive = {case}\n");
        }
        let expected: Vec<_> = good.iter().enumerate()
            .filter(|(_, (text, case))| {
                regex::RegexBuilder::new(text).case_insensitive(!case).build().expect("checked").is_match(&part)
            })
            .map(|(n, _)| n.to_string())
            .collect();
        prop_assert_eq!(names(&rules(&text), &[&part]), expected);
    }

    #[test]
    fn any_file_is_read_or_refused(text in "\\PC{0,200}", at in any::<prop::sample::Index>()) {
        let _ = Rules::parse(&text);
        let good = "[[rule]]\nname = \"a\"\nregex = 'x(y)'\nchats = [1, \"@gems\"]\n";
        let cut = good.floor_char_boundary(at.index(good.len()));
        let mixed = format!("{}{text}{}", &good[..cut], &good[cut..]);
        if let Err(faults) = Rules::parse(&mixed) {
            prop_assert!(!faults.is_empty());
            let lines = mixed.matches('\n').count() + 1;
            prop_assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line) && fault.column >= 1));
        }
    }
}
