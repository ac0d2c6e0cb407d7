//! What we write is read by Ceph: Nautilus' ceph-dencoder, the only packaged one with its types in it, decodes to the last byte
//! what we make of every golden at every feature word. `cargo test --test dencoder -- --nocapture` shows the table.
//!
//! It is in Debian 11's ceph-common, of which `tests/chroots.sh` makes a chroot; without that the test does nothing.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test that cannot read its data must fail"
)]

#[allow(
    dead_code,
    unused_imports,
    reason = "there is more in it for the table of goldens"
)]
mod golden;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use golden::{WORDS, all, judge};

/// Encodings that one run of the program is given.
const BATCH: usize = 200;

/// The program, run by its own release's loader: no chroot, hence no privileges.
struct Dencoder {
    root: PathBuf,
}

impl Dencoder {
    /// None, and a note, if there is none.
    fn find() -> Option<Self> {
        let folder = std::env::var_os("RBDGATE_CHROOTS").unwrap_or_else(|| "/var/tmp/rbdgate-chroots".into());
        let found = Self {
            root: Path::new(&folder).join("bullseye"),
        };
        if found.loader().is_file() && found.root.join("usr/bin/ceph-dencoder").is_file() {
            return Some(found);
        }
        eprintln!(
            "skipped: no ceph-dencoder of Nautilus in {}; tests/chroots.sh makes one",
            found.root.display()
        );
        None
    }

    fn loader(&self) -> PathBuf {
        self.root.join("lib/x86_64-linux-gnu/ld-2.31.so")
    }

    /// Runs it; what it printed, and whether it was content.
    fn run(&self, args: &[String]) -> (bool, String) {
        let root = self.root.display();
        let libraries = ["lib", "usr/lib"].map(|folder| format!("{root}/{folder}/x86_64-linux-gnu"));
        let path = format!("{}:{}/ceph", libraries.join(":"), libraries[1]);
        let out = Command::new(self.loader())
            .arg("--library-path")
            .arg(path)
            .arg(self.root.join("usr/bin/ceph-dencoder"))
            .args(args)
            .output()
            .unwrap();
        let text = [out.stdout, out.stderr].concat();
        (out.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    fn types(&self) -> BTreeSet<String> {
        let (content, text) = self.run(&["list_types".to_owned()]);
        assert!(content, "{text}");
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// Why it does not read some of the encodings, by their place.
    fn refused(&self, folder: &Path, encodings: &[Encoding]) -> Vec<(usize, String)> {
        let args = |i: usize, encoding: &Encoding| {
            let file = folder.join(i.to_string());
            std::fs::write(&file, &encoding.bytes).unwrap();
            let words = [
                "type",
                &encoding.kind,
                "import",
                &file.display().to_string(),
                "decode",
            ];
            words.map(str::to_owned)
        };
        let each: Vec<_> = encodings.iter().enumerate().map(|(i, e)| args(i, e)).collect();
        let mut refused = Vec::new();
        for (n, batch) in each.chunks(BATCH).enumerate() {
            self.refused_of(batch, n * BATCH, &mut refused);
        }
        refused
    }

    /// The same of some encodings, the first of which stands at `first`: by halves, as a run ends at the first that it does
    /// not read.
    fn refused_of(&self, some: &[[String; 5]], first: usize, refused: &mut Vec<(usize, String)>) {
        let (content, why) = self.run(&some.concat());
        match some.len() {
            _ if content => {}
            0 | 1 => refused.push((first, why)),
            n => {
                let (left, right) = some.split_at(n / 2);
                self.refused_of(left, first, refused);
                self.refused_of(right, first + n / 2, refused);
            }
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Encoding {
    kind: String,
    word: &'static str,
    bytes: Bytes,
}

/// What no Nautilus reads, for a reason.
fn excused(encoding: &Encoding) -> bool {
    match (encoding.kind.as_str(), encoding.word) {
        // Written without a part for OSDs, which Ceph's own reader of full maps expects: only old clients read it.
        ("OSDMap", "zero") => true,
        // Byte for byte what Nautilus writes (the table of goldens says so), and does not always read itself.
        ("pg_pool_t", "zero") => true,
        // Where the source is told in JSON, as since Pacific, the oldest reader is told to be of version 3.
        ("cls::rbd::MigrationSpec", _) => encoding.bytes.get(1) == Some(&3),
        _ => false,
    }
}

/// What we make of all goldens of types that the program knows.
fn ours(types: &BTreeSet<String>) -> Vec<Encoding> {
    let mut encodings = BTreeSet::new();
    for golden in all() {
        let kind = match golden.kind.as_str() {
            "OSDMap_Incremental" | "osd_inc (sent)" => "OSDMap::Incremental",
            "osd_map (sent)" => "OSDMap",
            "mon_map (sent)" => "MonMap",
            other => other,
        };
        // A CRUSH map has no frame: what Tentacle knows beyond Nautilus would be left over.
        if !types.contains(kind) || (kind, &*golden.writer) == ("CrushWrapper", "tentacle") {
            continue;
        }
        let word = WORDS.iter().find(|(word, _)| *word == golden.word).unwrap().0;
        if let Some(bytes) = judge(&golden).ours {
            let kind = kind.to_owned();
            encodings.insert(Encoding { kind, word, bytes });
        }
    }
    encodings.into_iter().filter(|e| !excused(e)).collect()
}

#[test]
fn nautilus_reads_what_we_write_of_every_type_at_every_feature_word() {
    let Some(dencoder) = Dencoder::find() else { return };
    let encodings = ours(&dencoder.types());
    let folder = tempfile::tempdir().unwrap();
    let refused = dencoder.refused(folder.path(), &encodings);
    let mut table: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for encoding in &encodings {
        *table
            .entry(&encoding.kind)
            .or_default()
            .entry(encoding.word)
            .or_default() += 1;
    }
    let line = |first: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:<12}")).collect();
        println!("{first:<28}{}", cells.trim_end());
    };
    line("type", WORDS.iter().map(|(word, _)| (*word).to_owned()).collect());
    for (kind, cells) in &table {
        let cell = |word| cells.get(word).map_or_else(|| ".".to_owned(), usize::to_string);
        line(kind, WORDS.iter().map(|(word, _)| cell(word)).collect());
    }
    assert!(table.len() > 40, "{} types", table.len());
    let wrong: Vec<_> = refused
        .iter()
        .map(|(i, why)| {
            format!(
                "{} for {}: {}",
                encodings[*i].kind,
                encodings[*i].word,
                why.trim()
            )
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} not read:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
