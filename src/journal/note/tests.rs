#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Barrier;

use tlog_tiles::EMPTY_HASH;

use super::*;

/// The example of the package `signed_note` (the Go package `note` has the same): what another implementation signed is opened here.
const OTHERS_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

#[test]
fn a_checkpoint_is_signed_in_the_form_of_c2sp_and_opens_again() {
    let state = tempfile::tempdir().unwrap();
    let key = Key::open(state.path()).unwrap();
    let signer = key.signer("proxy-3");
    let note = signer.sign(7, EMPTY_HASH);
    let origin = format!("exeat/{}/proxy-3", key.log_id());
    let [first, size, root, empty, signature, end] = *note.split('\n').collect::<Vec<_>>().as_slice() else { panic!("{note}") };
    assert_eq!((first, size, root, empty, end), (origin.as_str(), "7", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "", ""));
    assert!(signature.starts_with(&format!("— {origin} ")), "{signature}");
    let verifier = Verifier::parse(signer.verifier()).unwrap();
    assert_eq!(verifier.open(&note), Ok(Checkpoint::new(&origin, 7, EMPTY_HASH, "").unwrap()));
    assert_eq!((verifier.origin(), signer.origin()), (origin.as_str(), origin.as_str()));
    assert_eq!(signer.sign(7, EMPTY_HASH), note);
}

#[test]
fn a_note_that_is_not_this_slots_is_told_for_what_it_is() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (key, other) = (Key::open(here.path()).unwrap(), Key::open(there.path()).unwrap());
    let signer = key.signer("proxy-1");
    let verifier = Verifier::parse(signer.verifier()).unwrap();
    let wanted = signer.verifier().splitn(3, '+').take(2).collect::<Vec<_>>().join("+");
    let note = signer.sign(7, EMPTY_HASH);
    let unsigned = || Err(NotACheckpoint::Unsigned { wanted: wanted.clone() });
    let lie = key.signer("proxy-2").sign(7, EMPTY_HASH);
    // Signed by this slot's key, with the origin of another.
    let mut misled = Note::new(lie.split("\n\n").next().map(|text| format!("{text}\n")).unwrap().as_bytes(), &[]).unwrap();
    misled.add_sigs(&[&signer.signer]).unwrap();
    let misled = String::from_utf8(misled.to_bytes()).unwrap();
    for (text, opened) in [
        (note.replace("\n7\n", "\n8\n"), Err(NotACheckpoint::Forged)),
        (key.signer("proxy-2").sign(7, EMPTY_HASH), unsigned()),
        (other.signer("proxy-1").sign(7, EMPTY_HASH), unsigned()),
        (misled, Err(NotACheckpoint::Elsewhere { found: format!("exeat/{}/proxy-2", key.log_id()) })),
        (note.replacen("\n7\n", "\n07\n", 1), Err(NotACheckpoint::Forged)),
        (note.trim_end().to_owned(), Err(NotACheckpoint::Garbled)),
        (format!("{note}\n"), Err(NotACheckpoint::Garbled)),
        (String::new(), Err(NotACheckpoint::Garbled)),
        (format!("{note}— witness.example AAAAAAAA\n"), Ok(Checkpoint::new(signer.origin(), 7, EMPTY_HASH, "").unwrap())),
    ] {
        assert_eq!(verifier.open(&text), opened, "{text}");
    }
}

#[test]
fn a_verifier_key_is_read_and_carried_to_another_slot() {
    let state = tempfile::tempdir().unwrap();
    let key = Key::open(state.path()).unwrap();
    let (one, two) = (key.signer("proxy-1"), key.signer("proxy-2"));
    let verifier = Verifier::parse(one.verifier()).unwrap();
    assert_eq!(verifier.named(two.origin()).text(), two.verifier());
    assert_eq!(Verifier::parse(OTHERS_KEY).unwrap().origin(), "PeterNeumann");
    for wrong in [
        "",
        "a",
        "a+b",
        &format!("{OTHERS_KEY}="),
        &format!("{OTHERS_KEY}\n"),
        &OTHERS_KEY.replace("c74f20a3", "c74f20a4"),
        &OTHERS_KEY.replace("c74f20a3", "C74F20A3"),
        &OTHERS_KEY.replace("Peter", "Pete"),
    ] {
        assert!(Verifier::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_key_is_private_and_stays_the_same() {
    let state = tempfile::tempdir().unwrap();
    let key = Key::open(state.path()).unwrap();
    let path = state.path().join("journal.key");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(text.starts_with(&format!("PRIVATE+KEY+exeat/{}+", key.log_id())), "{text}");
    assert_eq!(Key::open(state.path()).unwrap().signer("proxy-1").verifier(), key.signer("proxy-1").verifier());
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1);
    let secret = text.trim_end().splitn(5, '+').nth(4).unwrap();
    assert!(!format!("{key:?} {:?}", key.signer("proxy-1")).contains(secret));
    assert_eq!((key.log_id().len(), key.log_id() == Key::open(tempfile::tempdir().unwrap().path()).unwrap().log_id()), (16, false));
}

#[test]
fn processes_that_start_at_once_agree_on_one_key() {
    let state = tempfile::tempdir().unwrap();
    let (all, path) = (Barrier::new(8), state.path());
    let ids: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    all.wait();
                    Key::open(path).unwrap().log_id().to_owned()
                })
            })
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(fs::read_dir(path).unwrap().count(), 1);
}

#[test]
fn a_file_that_is_no_private_key_is_refused_and_left_as_it_is() {
    let state = tempfile::tempdir().unwrap();
    Key::open(state.path()).unwrap();
    let path = state.path().join("journal.key");
    let good = fs::read_to_string(&path).unwrap();
    let error = || Key::open(state.path()).map(|_| ()).unwrap_err();
    let of = || path.clone();
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(error(), KeyError::Exposed { path: of(), mode });
    }
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let secret = good.trim_end().splitn(5, '+').nth(4).unwrap();
    let other = good.replace(secret, &format!("{}AAA=", &secret[..secret.len() - 4]));
    for (text, wanted) in [
        (String::new(), KeyError::Empty { path: of() }),
        ("garbage\n".into(), KeyError::Garbled { path: of() }),
        (good.trim_end().into(), KeyError::Garbled { path: of() }),
        (format!("{good}{good}"), KeyError::Garbled { path: of() }),
        (good.to_uppercase(), KeyError::Garbled { path: of() }),
        (good.replacen("exeat/", "exeat/0", 1), KeyError::Garbled { path: of() }),
        (other, KeyError::Garbled { path: of() }),
        (format!("{good}{}", "x".repeat(1 << 20)), KeyError::Garbled { path: of() }),
    ] {
        fs::write(&path, &text).unwrap();
        assert_eq!(error(), wanted, "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, &good).unwrap();
    let elsewhere = state.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert_eq!(error(), KeyError::Link { path: of() });
    fs::remove_file(&path).unwrap();
    symlink(state.path().join("nowhere"), &path).unwrap();
    assert_eq!(error(), KeyError::Link { path: of() });
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(error(), KeyError::NotAFile { path: of() });
    let missing = state.path().join("missing");
    let nowhere = Key::open(&missing).map(|_| ()).unwrap_err();
    assert_eq!(nowhere, KeyError::Io { path: missing.join("journal.key"), kind: std::io::ErrorKind::NotFound });
}

#[test]
fn each_refusal_of_a_key_says_what_was_wanted_and_what_to_do() {
    let path = std::path::PathBuf::from("/s/journal.key");
    for (error, words) in [
        (
            KeyError::Empty { path: path.clone() },
            "/s/journal.key is empty, and the key of the journal was wanted: put the copy you keep back; ",
        ),
        (KeyError::Exposed { path: path.clone(), mode: 0o644 }, "/s/journal.key may be used by others (mode 644): whoever reads it can "),
        (
            KeyError::Link { path: path.clone() },
            "/s/journal.key is a symbolic link, and the key of the journal must be a file of its own: ",
        ),
        (KeyError::Garbled { path }, "/s/journal.key is not the key that exeat wrote there (one line, PRIVATE+KEY+exeat/…): put the copy "),
    ] {
        assert!(error.to_string().starts_with(words), "{error}");
    }
}
