use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;
use crate::node::flags;

fn local(name: &'static str, cookie: &str) -> Local {
    Local { name: Atom::from_static(name), cookie: Secret::new(cookie.to_owned()), creation: 7, head: Head::Two }
}

async fn admit(stream: &mut impl Stream, local: &Local, judge: Verdict) -> Result<Peer, HandshakeError> {
    let (peer, last) = accept(stream, local, |_| judge).await?;
    last.send(stream).await?;
    Ok(peer)
}

async fn shake(ours: &Local, theirs: &Local, judge: Verdict) -> [Result<Peer, HandshakeError>; 2] {
    let (mut near, mut far) = duplex(4096);
    let dialled = async {
        let result = dial(&mut near, ours, &theirs.name, |_| true).await;
        drop(near);
        result
    };
    let accepted = async {
        let result = admit(&mut far, theirs, judge).await;
        drop(far);
        result
    };
    let (dialled, accepted) = tokio::join!(dialled, accepted);
    [dialled, accepted]
}

#[tokio::test]
async fn two_nodes_with_one_cookie_agree() {
    let (a, b) = (local("a@h", "c"), local("b@h", "c"));
    for verdict in [Verdict::Proceed, Verdict::ProceedSimultaneous] {
        let [dialled, accepted] = shake(&a, &b, verdict).await;
        assert_eq!(dialled.unwrap(), Peer { name: b.name.clone(), flags: flags::OURS, creation: 7 });
        assert_eq!(accepted.unwrap().name, a.name);
    }
}

#[tokio::test]
async fn another_cookie_is_named_on_both_sides() {
    let results = shake(&local("a@h", "c"), &local("b@h", "d"), Verdict::Proceed).await;
    for result in results {
        assert!(matches!(result, Err(HandshakeError::Cookie { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_declined_dialer_gives_way() {
    let results = shake(&local("a@h", "c"), &local("b@h", "c"), Verdict::Decline).await;
    for result in results {
        assert!(matches!(result, Err(HandshakeError::Simultaneous { .. })), "{result:?}");
    }
}

/// What a dialer says to a peer that says it has a link already, and what it takes it for.
async fn told_of_another_link(wanted: bool) -> (Vec<u8>, Result<Peer, HandshakeError>) {
    let (mut near, mut far) = duplex(4096);
    let node = local("a@h", "c");
    let dialling = async move {
        let result = dial(&mut near, &node, &Atom::from_static("b@h"), |step| step != Step::Replace || wanted).await;
        drop(near);
        result
    };
    let answering = async move {
        message::receive(&mut far, Head::Two).await.unwrap();
        message::send(&mut far, Head::Two, b"salive").await.unwrap();
        message::receive(&mut far, Head::Two).await.unwrap()
    };
    let (result, said) = tokio::join!(dialling, answering);
    (said, result)
}

#[tokio::test]
async fn a_dialer_tells_a_peer_that_has_a_link_whether_it_is_to_be_replaced() {
    let (said, result) = told_of_another_link(true).await;
    assert!(said == b"strue" && matches!(result, Err(HandshakeError::Io(_))), "{result:?}");
    let (said, result) = told_of_another_link(false).await;
    assert!(said == b"sfalse" && matches!(result, Err(HandshakeError::Simultaneous { .. })), "{result:?}");
}

#[tokio::test]
async fn an_attempt_that_is_not_wanted_any_more_says_nothing() {
    let (mut near, mut far) = duplex(4096);
    let result = dial(&mut near, &local("a@h", "c"), &Atom::from_static("b@h"), |_| false).await;
    assert!(matches!(result, Err(HandshakeError::Simultaneous { .. })), "{result:?}");
    drop(near);
    assert_eq!(far.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn one_peer_too_many_is_not_allowed() {
    let [dialled, accepted] = shake(&local("a@h", "c"), &local("b@h", "c"), Verdict::Full).await;
    assert!(matches!(dialled, Err(HandshakeError::Refused { status, .. }) if status == "not_allowed"));
    assert!(matches!(accepted, Err(HandshakeError::Full { peer }) if peer == "a@h"));
}

#[tokio::test]
async fn ones_own_name_is_not_allowed() {
    let [dialled, accepted] = shake(&local("a@h", "c"), &local("a@h", "c"), Verdict::Proceed).await;
    assert!(matches!(dialled, Err(HandshakeError::Refused { status, .. }) if status == "not_allowed"));
    assert!(matches!(accepted, Err(HandshakeError::Name(_))));
}

/// A conversation that was recorded between real nodes: digests and frames to the byte.
#[tokio::test]
async fn the_frames_are_those_of_real_nodes() {
    let (mut client, mut server) = duplex(4096);
    let node = Local { creation: 0x6b03_fb8d, ..local("rust@127.0.0.1", "c") };
    let serving = async move { admit(&mut server, &node, Verdict::Proceed).await };
    let talking = async move {
        client.write_all(b"\0\x12N\0\0\0\x0d\x07\x5f\x5f\xbc\0\0\0\x01\0\x03t@h").await.unwrap();
        let mut status = [0; 5];
        client.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"\0\x03sok");
        let mut challenge = [0; 35];
        client.read_exact(&mut challenge).await.unwrap();
        assert_eq!(&challenge[..11], b"\0\x21N\0\0\0\x0d\x07\x5f\x7f\xbc");
        assert_eq!(&challenge[15..], b"\x6b\x03\xfb\x8d\0\x0erust@127.0.0.1");
        let theirs = u32::from_be_bytes(challenge[11..15].try_into().unwrap());
        let answer = message::reply(7, digest(&Secret::new("c".to_owned()), theirs));
        client.write_all(&[b"\0\x15".as_slice(), &answer].concat()).await.unwrap();
        let mut acknowledge = [0; 19];
        client.read_exact(&mut acknowledge).await.unwrap();
        assert_eq!(&acknowledge, b"\0\x11a\x4d\x3a\x21\xd8\xc6\x84\xc0\x9c\x19\xb9\x3b\xe9\x11\x82\x7f\xd5");
    };
    let (peer, ()) = tokio::join!(serving, talking);
    assert_eq!(peer.unwrap().name, "t@h");
}

#[tokio::test]
async fn a_peer_that_asks_for_a_name_is_given_one_on_its_host() {
    const NAME_ME: u64 = 1 << 33;
    let (mut client, mut server) = duplex(4096);
    let node = local("rust@127.0.0.1", "c");
    let serving = async move { admit(&mut server, &node, Verdict::Proceed).await };
    let talking = async move {
        let asked = message::name(flags::OURS | NAME_ME, 0, "10.0.0.7");
        message::send(&mut client, Head::Two, &asked).await.unwrap();
        let status = message::receive(&mut client, Head::Two).await.unwrap();
        let length = usize::from(u16::from_be_bytes(status[7..9].try_into().unwrap()));
        assert_eq!((&status[..7], status.len()), (b"snamed:".as_slice(), 9 + length + 4));
        let challenge = message::receive(&mut client, Head::Two).await.unwrap();
        let theirs = message::parse_challenge(&challenge).unwrap().number;
        let answer = message::reply(7, digest(&Secret::new("c".to_owned()), theirs));
        message::send(&mut client, Head::Two, &answer).await.unwrap();
        message::receive(&mut client, Head::Two).await.unwrap();
        String::from_utf8(status[9..9 + length].to_vec()).unwrap()
    };
    let (peer, given) = tokio::join!(serving, talking);
    assert!(given.ends_with("@10.0.0.7"), "{given}");
    assert_eq!(peer.unwrap().name.as_str(), given);
}

#[test]
fn the_digest_is_that_of_real_nodes() {
    let recorded = [0x21, 0x62, 0x78, 0x25, 0x1d, 0xc8, 0x07, 0x93, 0x2c, 0x5c, 0x17, 0x03, 0x93, 0xc3, 0x96, 0x13];
    assert_eq!(digest(&Secret::new("c".to_owned()), 0x9d9c_4e38), recorded);
}

proptest! {
    #[test]
    fn whatever_comes_a_handshake_ends(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        properties::handshake(&bytes);
    }

    #[test]
    fn a_message_is_written_as_it_was_read(
        flags in any::<u64>(),
        numbers in any::<[u32; 2]>(),
        text in ".{0,60}",
        cut in 0_usize..80,
    ) {
        let [number, creation] = numbers;
        let challenge = message::Challenge { flags, number, creation, name: text.as_bytes() };
        let digest = digest(&Secret::new(text.clone()), number);
        let mut frames = vec![message::name(flags, creation, &text), message::challenge(&challenge)];
        assert_eq!(message::parse_challenge(&frames[1]).unwrap(), challenge);
        assert_eq!(message::parse_name(&frames[0]).unwrap().text, text.as_bytes());
        frames.extend([message::reply(number, digest), message::acknowledge(digest)]);
        for frame in frames {
            properties::handshake(&frame);
            properties::handshake(&frame[..cut.min(frame.len())]);
        }
    }

    #[test]
    fn what_changes_on_the_way_is_noticed_or_does_no_harm(
        changes in proptest::collection::vec((0_usize..160, any::<u8>()), 0..4),
    ) {
        let mut mask = vec![0; 160];
        for (at, change) in changes {
            mask[at] = change;
        }
        properties::handshake(&mask);
    }
}
