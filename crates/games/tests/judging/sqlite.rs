//! SQLite databases: what their headers say, and what SQLite itself makes.

use std::path::Path;
use std::process::Command;

use worldkeeper_testkit::peers;
use worldkeeper_testkit::worlds::sqlite;

use crate::judged;

/// A database's name tells nothing.
const PATH: &str = "worlds/luanti/map.sqlite";

/// What is said of a database of 5 pages of 4096 bytes with these bytes in its header.
#[track_caller]
fn database_with(changes: &[(usize, &[u8])]) -> String {
    let mut file = sqlite(4096, 5);
    for (at, bytes) in changes {
        file[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    judged(PATH, &file)
}

#[test]
fn whole_databases_have_no_defect() {
    for page_size in [512, 1024, 4096, 32_768, 65_536] {
        assert_eq!(judged(PATH, &sqlite(page_size, 3)), "", "{page_size}");
    }
    assert_eq!(judged("without an ending", &sqlite(4096, 1)), "");
    // Free pages at the end; an old SQLite that counted nothing, or did and another one went on.
    assert_eq!(database_with(&[(28, &[0, 0, 0, 4])]), "");
    assert_eq!(database_with(&[(28, &[0, 0, 0, 0])]), "");
    assert_eq!(database_with(&[(28, &[0, 0, 0, 9]), (92, &[0, 0, 0, 6])]), "");
    // The last pages lie in the WAL.
    assert_eq!(database_with(&[(28, &[0, 0, 0, 9]), (18, &[2, 2])]), "");
}

#[test]
fn each_defect_has_its_own_words() {
    assert_eq!(judged(PATH, &sqlite(512, 1)[..99]), "it ends within its header, after 99 bytes");
    for (size, said) in [([0, 0], 0), ([0x0f, 0], 3840), ([1, 0], 256), ([0, 2], 2)] {
        assert_eq!(database_with(&[(16, &size)]), format!("it has pages of {said} bytes, which no database has"));
    }
    assert_eq!(database_with(&[(28, &[0, 0, 0, 6])]), "it lacks pages: it counts 6 of them, and has 5");
    let whole = sqlite(4096, 5);
    assert_eq!(judged(PATH, &whole[..4 * 4096]), "it lacks pages: it counts 5 of them, and has 4");
    let longer = [&whole[..], &[0; 10]].concat();
    assert_eq!(judged(PATH, &longer), "it ends within a page: its 20490 bytes are no multiple of 4096");
}

/// Makes databases as games do: pages of each size, many changes, space given back, a WAL that is still there.
const MAKE: &str = r#"
import os, sqlite3, sys
for size in (512, 1024, 4096, 16384, 65536):
    for mode in ("delete", "truncate", "wal"):
        base = sqlite3.connect(os.path.join(sys.argv[1], f"{mode}-{size}.sqlite"))
        base.execute(f"pragma page_size={size}")
        base.execute(f"pragma journal_mode={mode}")
        base.execute("create table blocks (pos int primary key, data blob)")
        base.executemany("insert into blocks values (?, ?)", ((n, os.urandom(n % 900)) for n in range(2000)))
        base.commit()
        base.execute("delete from blocks where pos % 3 = 0")
        base.commit()
        if size == 4096:
            base.execute("vacuum")
        globals()[f"open_{mode}_{size}"] = base  # A WAL stays as long as somebody has it open.
os._exit(0)
"#;

#[test]
fn what_sqlite_makes_is_whole_and_what_is_cut_off_it_is_missed() {
    let python = if peers::on_path("python3") { Ok("python3") } else { Err("python3 is not there".to_owned()) };
    let Some(python) = peers::or_skip("python", python) else { return };
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(python).args(["-c", MAKE]).arg(folder.path()).status().unwrap();
    assert!(made.success());
    let read = |path: &Path| std::fs::read(path).unwrap();
    let paths: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let databases: Vec<_> = paths.iter().filter(|path| path.extension().is_some_and(|end| end == "sqlite")).collect();
    assert_eq!((databases.len(), paths.len() > databases.len()), (15, true), "{paths:?}");
    for path in databases {
        let (name, file) = (path.to_str().unwrap(), read(path));
        assert_eq!(judged(name, &file), "", "{name}");
        // What is in the WAL has not come here.
        if !name.contains("wal") {
            let page_size = sqlite_page_size(&file);
            let said = judged(name, &file[..file.len() - page_size]);
            assert!(said.starts_with("it lacks pages"), "{name}: {said}");
        }
        assert!(judged(name, &file[..file.len() - 1]).contains("it ends within a page"), "{name}");
    }
}

fn sqlite_page_size(file: &[u8]) -> usize {
    match u16::from_be_bytes([file[16], file[17]]) {
        1 => 65_536,
        size => size.into(),
    }
}
