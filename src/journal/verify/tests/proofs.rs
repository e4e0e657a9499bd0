//! Proofs of single records, checked without the journal.

use super::*;

#[test]
fn every_record_of_an_attempt_is_proven_and_the_proof_checks_without_the_journal() {
    let written = Written::new(&STEPS);
    let proven = prove(written.state.path(), AttemptId(uuid::Uuid::from_u128(2))).unwrap();
    assert_eq!(
        (proven.proofs.iter().map(|proof| (proof.index, proof.size)).collect::<Vec<_>>(), &proven.uncovered[..]),
        (vec![(4, 11), (5, 11)], &[][..])
    );
    let printed: String = proven.proofs.iter().map(|proof| format!("{}\n{}\n", proof.line, proof.text)).collect();
    let key = Verifier::parse(written.key.signer("proxy-1").verifier()).unwrap();
    let by = |origin: &str| (origin == key.origin()).then(|| key.clone());
    assert_eq!(check(&printed, &by).unwrap(), proven.proofs);
    assert_eq!(check(&proven.proofs[1].text, &by).unwrap(), proven.proofs[1..]);
    assert!(check(&printed, &|_| None).is_err());
    for at in 0..printed.len() {
        let mut bytes = printed.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Ok(proofs) = check(&text, &by) {
            // Only what stands outside the proofs may change unseen: the braces of the record shown, and empty lines between.
            assert!(proofs.iter().all(|proof| proven.proofs.contains(proof)), "{at}: {text}");
        }
    }
    let unknown = prove(written.state.path(), AttemptId(uuid::Uuid::from_u128(99)));
    assert!(matches!(unknown, Err(NotProven::Unknown { .. })), "{unknown:?}");
}

#[test]
fn a_record_behind_the_last_checkpoint_is_said_to_be_uncovered() {
    let written = Written::new(&STEPS);
    written.edit("00000002.jsonl", |text| without(&text, 3));
    written.edit("checkpoints", |text| text.split_inclusive('\n').take(12).collect());
    let proven = prove(written.state.path(), AttemptId(uuid::Uuid::from_u128(3))).unwrap();
    assert_eq!((proven.proofs, proven.uncovered), (Vec::new(), vec![("proxy-1".to_owned(), 9), ("proxy-1".to_owned(), 10)]));
}
