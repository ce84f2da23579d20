use std::sync::LazyLock;

use bytes::Bytes;
use num_bigint::BigInt;
use proptest::prelude::*;

use super::{DecodeError, EncodeError, Template, decode, encode};
use crate::term::budget::{self, MAX_DEPTH};
use crate::term::properties;
use crate::term::{Atom, Float, Map, Pid, Port, Reference, Term, atom, binary, list, tuple};

const AMPLE: usize = 64 * 1024 * 1024;

fn encoded(term: &Term) -> Bytes {
    let mut out = Vec::new();
    encode(term, &mut out).expect("the term can be sent");
    Bytes::from(out)
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// The terms that real BEAM nodes encoded: name and bytes.
fn vectors(release: &str) -> Vec<(String, Bytes)> {
    let path = format!("{}/tests/vectors/{release}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the vectors are there");
    let parse = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).expect("a vector is JSON");
        (row["name"].as_str().unwrap().to_owned(), Bytes::from(hex(row["etf"].as_str().unwrap())))
    };
    text.lines().map(parse).collect()
}

static VECTORS: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let all = ["otp25", "otp27", "otp29"].into_iter().flat_map(vectors);
    all.map(|(_, bytes)| bytes).collect()
});

#[test]
fn terms_of_real_nodes_come_back_as_the_same_bytes() {
    for release in ["otp25", "otp27", "otp29"] {
        let mut same = 0;
        for (name, bytes) in vectors(release) {
            let refused = match name.as_str() {
                "compressed_binary" | "compressed_nested" => Some(DecodeError::Tag { tag: 80, at: 1 }),
                "deep_list_1000" | "deep_tuple_1000" => Some(DecodeError::Depth { limit: MAX_DEPTH }),
                "atom_minor0_old_tags" => Some(DecodeError::Tag { tag: 99, at: 11 }),
                _ => None,
            };
            if let Some(error) = refused {
                assert_eq!(
                    (budget::check(&bytes, AMPLE), decode(&bytes)),
                    (Err(error), Err(error)),
                    "{release} {name}"
                );
                continue;
            }
            assert_eq!(budget::check(&bytes, AMPLE), Ok(bytes.len()), "{release} {name}");
            let term = decode(&bytes).unwrap_or_else(|e| panic!("{release} {name}: {e}"));
            let again = encoded(&term);
            assert_eq!(decode(&again).as_ref(), Ok(&term), "{release} {name}");
            // OTP 25 still writes atoms in Latin-1 with term_to_binary/1.
            if release != "otp25" && name != "atom_minor1_latin1" {
                assert_eq!(again, bytes, "{release} {name}");
            }
            same += 1;
        }
        assert!(same > 70, "{release}: only {same} vectors");
    }
}

#[test]
fn a_count_of_four_billion_costs_nothing() {
    for tag in [105, 108, 116] {
        let bomb = Bytes::from(vec![131, tag, 255, 255, 255, 255, 106]);
        assert!(matches!(budget::check(&bomb, AMPLE), Err(DecodeError::Truncated { .. })), "tag {tag}");
        assert!(matches!(decode(&bomb), Err(DecodeError::Truncated { .. })), "tag {tag}");
    }
    let big = Bytes::from_static(&[131, 111, 255, 255, 255, 255, 0, 1]);
    assert!(budget::check(&big, AMPLE).is_err() && decode(&big).is_err());
}

#[test]
fn a_million_small_elements_are_over_a_small_budget() {
    let mut bytes = vec![131, 108, 0, 15, 66, 64];
    bytes.resize(bytes.len() + 1_000_001, 106);
    assert_eq!(budget::check(&bytes, 1 << 20), Err(DecodeError::Memory { limit: 1 << 20 }));
    assert_eq!(budget::check(&bytes, AMPLE), Ok(bytes.len()));
}

#[test]
fn nesting_is_taken_to_the_limit_and_refused_beyond() {
    let nested = |levels: usize| (0..levels).fold(Term::Int(1), |inner, _| tuple([inner]));
    let deepest = encoded(&nested(MAX_DEPTH));
    assert_eq!(budget::check(&deepest, AMPLE), Ok(deepest.len()));
    assert_eq!(decode(&deepest), Ok(nested(MAX_DEPTH)));
    let deeper = encoded(&nested(MAX_DEPTH + 1));
    assert_eq!(budget::check(&deeper, AMPLE), Err(DecodeError::Depth { limit: MAX_DEPTH }));
    assert_eq!(decode(&deeper), Err(DecodeError::Depth { limit: MAX_DEPTH }));
    assert_eq!(encode(&nested(MAX_DEPTH + 100), &mut Vec::new()), Err(EncodeError::Depth));
}

#[test]
fn a_term_that_cannot_be_sent_leaves_the_buffer_as_it_was() {
    const LONG: &str = concat!(
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
        "01234567890123456789012345678901234567890123456789012345"
    );
    let mut out = b"before".to_vec();
    let result = encode(&tuple([Term::OK, atom(LONG)]), &mut out);
    assert_eq!(result, Err(EncodeError::Atom { characters: 256 }));
    assert_eq!(out, b"before");
    assert_eq!(encode(&Term::Bits(Box::new((Bytes::new(), 3))), &mut out), Err(EncodeError::BitTail { tail: 3 }));
}

#[test]
fn lists_of_small_integers_keep_their_signs_and_their_length() {
    for numbers in [vec![-1], vec![1, -1, 255], vec![1, 256], vec![0; 70_000], vec![i64::from(i32::MIN), 5]] {
        let term = list(numbers.into_iter().map(Term::Int));
        assert_eq!(decode(&encoded(&term)), Ok(term));
    }
}

#[test]
fn a_large_binary_shares_the_frame_and_a_small_one_does_not() {
    let frame = encoded(&tuple([binary("small"), Term::Binary(Bytes::from(vec![7; 100_000]))]));
    let term = decode(&frame).unwrap();
    let within = |b: &Bytes| frame.as_ptr_range().contains(&b.as_ptr());
    let [Term::Binary(small), Term::Binary(large)] = term.as_tuple().unwrap() else { panic!("two binaries") };
    assert!(!within(small) && within(large));
}

#[test]
fn a_map_with_a_key_twice_is_refused() {
    let small = [131, 116, 0, 0, 0, 2, 97, 1, 106, 97, 1, 106];
    assert!(matches!(decode(&Bytes::copy_from_slice(&small)), Err(DecodeError::DuplicateKey { .. })));
    let mut large = vec![131, 116, 0, 0, 0, 40];
    for key in (0..39).chain([38]) {
        large.extend([97, key, 106]);
    }
    let mut twice = large.clone();
    twice.truncate(large.len() - 3);
    // Again 38, as no BEAM node encodes it.
    twice.extend([98, 0, 0, 0, 38, 106]);
    for bytes in [large, twice] {
        assert!(matches!(decode(&Bytes::from(bytes)), Err(DecodeError::DuplicateKey { .. })));
    }
}

#[test]
fn the_budget_knows_what_integers_and_bits_take() {
    properties::budget(&[110, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    properties::budget(&[77, 0, 0, 0, 1, 1, 0x80]);
}

#[test]
fn bits_that_do_not_count_are_nothing() {
    let bits = |last: u8| decode(&Bytes::from(vec![131, 77, 0, 0, 0, 2, 3, 7, last])).unwrap();
    assert_eq!(bits(0xff), bits(0xe0));
    assert_eq!(encoded(&bits(0xff))[7..], [7, 0xe0]);
}

#[test]
fn a_template_gives_the_term_with_its_text() {
    let message = |text: Term| tuple([atom("output"), Term::Int(1), tuple([atom("stdout"), text])]);
    let template = Template::new(message).unwrap();
    for text in ["", "a line", "ж"] {
        let mut out = vec![131];
        template.encode(text.as_bytes(), &mut out).unwrap();
        assert_eq!(decode(&out.into()), Ok(message(binary(text))));
    }
    assert_eq!(Template::new(|text| tuple([text, Term::Int(1)])).unwrap_err(), EncodeError::Template);
}

fn any_atom() -> impl Strategy<Value = Atom> {
    proptest::string::string_regex("[a-zé日@. ]{0,255}").unwrap().prop_map(|text| Atom::new(text).unwrap())
}

/// A bit string of so many bits in its last byte, the others 0.
fn bits((mut bytes, tail): (Vec<u8>, u8)) -> Term {
    if let Some(last) = bytes.last_mut() {
        *last &= 0xff << (8 - tail);
    }
    Term::Bits(Box::new((bytes.into(), tail)))
}

/// A closure with free variables, as BEAM nodes encode it.
fn fun(name: &Atom, free: &[i64]) -> Term {
    let pid = Pid { node: name.clone(), id: 1, serial: 2, creation: 3 };
    let head = [Term::Atom(name.clone()), Term::Int(1), Term::Int(99), Term::from(pid)];
    let parts: Vec<u8> = head
        .into_iter()
        .chain(free.iter().copied().map(Term::Int))
        .flat_map(|part| encoded(&part).slice(1..))
        .collect();
    let size = u32::try_from(4 + 1 + 16 + 4 + 4 + parts.len()).unwrap().to_be_bytes();
    let count = u32::try_from(free.len()).unwrap().to_be_bytes();
    Term::Fun([&[112], size.as_slice(), &[2], &[7; 16], &[0; 4], &count, &parts].concat().into())
}

/// `&name.name/2`.
fn export(name: &Atom) -> Term {
    let name = encoded(&Term::Atom(name.clone())).slice(1..);
    Term::Fun([&[113], &*name, &name, &[97, 2]].concat().into())
}

fn leaf() -> impl Strategy<Value = Term> {
    prop_oneof![
        any_atom().prop_map(Term::Atom),
        any::<i64>().prop_map(Term::Int),
        (-300_i64..300).prop_map(Term::Int),
        any::<[u64; 5]>().prop_map(|words| {
            let value: BigInt = words.iter().fold(BigInt::from(1), |sum, word| sum * u64::MAX + word);
            Term::Big(Box::new(value))
        }),
        any::<f64>().prop_filter_map("finite", |value| Float::new(value).ok().map(Term::Float)),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Term::Binary(bytes.into())),
        (proptest::collection::vec(any::<u8>(), 1..9), 1_u8..8).prop_map(bits),
        (any_atom(), any::<[u32; 3]>()).prop_map(|(node, [id, serial, creation])| Term::from(Pid {
            node,
            id,
            serial,
            creation
        })),
        (any_atom(), any::<u64>(), any::<u32>()).prop_map(|(node, id, creation)| Term::Port(Box::new(Port {
            node,
            id,
            creation
        }))),
        (any_atom(), any::<u32>(), proptest::collection::vec(any::<u32>(), 1..6))
            .prop_map(|(node, creation, words)| Term::from(Reference::new(node, creation, &words).unwrap())),
        (any_atom(), proptest::collection::vec(any::<i64>(), 0..3)).prop_map(|(name, free)| fun(&name, &free)),
        any_atom().prop_map(|name| export(&name)),
    ]
}

fn any_term() -> impl Strategy<Value = Term> {
    leaf().prop_recursive(4, 64, 8, |inner| {
        let many = proptest::collection::vec(inner.clone(), 0..8);
        prop_oneof![
            many.clone().prop_map(Term::List),
            many.prop_map(Term::Tuple),
            (proptest::collection::vec(inner.clone(), 1..4), leaf())
                .prop_filter("a tail", |(_, tail)| !matches!(tail, Term::List(_)))
                .prop_map(|list| Term::Improper(Box::new(list))),
            proptest::collection::vec((inner.clone(), inner), 0..6)
                .prop_map(|pairs| Term::Map(pairs.into_iter().collect::<Map>())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_to_the_same_term(term in any_term()) {
        let bytes = encoded(&term);
        prop_assert_eq!(budget::check(&bytes, AMPLE), Ok(bytes.len()));
        prop_assert_eq!(decode(&bytes), Ok(term));
        properties::budget(&bytes[1..]);
        properties::terms(&bytes[1..]);
    }

    #[test]
    fn bytes_that_pass_the_budget_are_decoded_and_no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        properties::budget(&bytes);
        properties::terms(&bytes);
    }

    #[test]
    fn mutated_terms_that_pass_the_budget_are_decoded(
        which in any::<prop::sample::Index>(),
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = which.get(&VECTORS)[1..].to_vec();
        for (place, value) in places {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        properties::budget(&bytes);
        properties::terms(&bytes);
    }
}
