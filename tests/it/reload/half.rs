//! A file that is written in place is no policy before it is whole: half of a rule may let more pass than all of it.

use super::*;

#[test]
fn a_file_whose_writer_pauses_in_the_middle_of_a_rule_is_waited_for() {
    let p0 = P0::new();
    let proxy = p0.start();
    assert_eq!(status(&p0, &proxy, "held.test"), 403);
    let text = text_of_a(&p0);
    let mut writer = fs::File::create(file(&p0, "a.toml")).unwrap();
    writer.write_all((text + &listed(&p0, "held.test")).as_bytes()).unwrap();
    // Well-formed so far, and wider than what is meant.
    let deadline = Instant::now() + Duration::from_secs(2);
    while Instant::now() < deadline {
        assert_eq!(status(&p0, &proxy, "held.test"), 403, "half a rule is in force");
        thread::sleep(Duration::from_millis(50));
    }
    writer.write_all(b"method = [\"DELETE\"]\n[[allow]]\nhost = \"evil.test\"\n").unwrap();
    writer.write_all(listed(&p0, "plain.evil.test").as_bytes()).unwrap();
    drop(writer);
    until(&proxy, "a reload", || reloads(&proxy, "ok") == 1.0);
    assert_eq!((status(&p0, &proxy, "held.test"), status(&p0, &proxy, "plain.allowed.test")), (403, 200));
}
