//! Folders that are replaced whole: links that are turned, a folder that goes and comes back.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_mounted_config_map_that_is_turned_is_in_force() {
    let p0 = P0::new();
    let folder = p0.site.path().join("allowlists");
    let version = |number: u32, more: &str| {
        let real = folder.join(format!("..2026_{number}"));
        fs::create_dir(&real).unwrap();
        for name in ["a.toml", "b.toml"] {
            let text = if name == "a.toml" { text_of_a(&p0) + more } else { fs::read_to_string(file(&p0, name)).unwrap() };
            fs::write(real.join(name), text).unwrap();
        }
        symlink(format!("..2026_{number}"), folder.join("..data_tmp")).unwrap();
    };
    version(1, "");
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    for name in ["a.toml", "b.toml"] {
        fs::remove_file(file(&p0, name)).unwrap();
        symlink(format!("..data/{name}"), file(&p0, name)).unwrap();
    }
    let proxy = p0.start();
    assert_eq!((status(&p0, &proxy, "plain.allowed.test"), status(&p0, &proxy, "held.test")), (200, 403));
    for (number, host) in [(2, "held.test"), (3, "evil.test")] {
        version(number, &listed(&p0, host));
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        fs::remove_dir_all(folder.join(format!("..2026_{}", number - 1))).unwrap();
        until(&proxy, host, || status(&p0, &proxy, host) == 200);
    }
}

#[test]
fn a_folder_that_is_gone_keeps_everything_and_is_read_when_it_is_back() {
    let p0 = P0::new();
    let proxy = p0.start();
    let folder = p0.site.path().join("allowlists");
    let aside = p0.site.path().join("aside");
    fs::rename(&folder, &aside).unwrap();
    until(&proxy, "told", || proxy.readyz().text().contains("found no readable folder"));
    assert_eq!((proxy.readyz().status, status(&p0, &proxy, "plain.allowed.test")), (200, 200));
    fs::write(aside.join("a.toml"), fs::read_to_string(aside.join("a.toml")).unwrap() + &listed(&p0, "held.test")).unwrap();
    fs::rename(&aside, &folder).unwrap();
    until(&proxy, "back", || status(&p0, &proxy, "held.test") == 200);
    assert_eq!(proxy.readyz().text(), "ready\n");
    // Watched as before.
    fs::remove_file(file(&p0, "b.toml")).unwrap();
    until(&proxy, "b is gone", || proxy.get(&p0.url("only-b.allowed.test", "/"), &b()).status == 407);
}

#[test]
fn a_folder_that_is_a_link_is_followed_when_it_is_turned() {
    let p0 = P0::new();
    let folder = p0.site.path().join("allowlists");
    let (one, two) = (p0.site.path().join("one"), p0.site.path().join("two"));
    fs::rename(&folder, &one).unwrap();
    fs::create_dir(&two).unwrap();
    for name in ["a.toml", "b.toml"] {
        fs::copy(one.join(name), two.join(name)).unwrap();
    }
    fs::write(two.join("a.toml"), fs::read_to_string(one.join("a.toml")).unwrap() + &listed(&p0, "held.test")).unwrap();
    symlink(&one, &folder).unwrap();
    let proxy = p0.start();
    assert_eq!(status(&p0, &proxy, "held.test"), 403);
    symlink(&two, p0.site.path().join("next")).unwrap();
    fs::rename(p0.site.path().join("next"), &folder).unwrap();
    until(&proxy, "turned", || status(&p0, &proxy, "held.test") == 200);
}
