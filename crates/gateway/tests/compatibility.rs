//! `docs/compatibility.md` says what the tables in the code say.

use rbdgate::compatibility::{BEGIN, END, render};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md");

/// With `UPDATE_DOCS=1` the page is written anew instead.
#[test]
fn the_compatibility_page_says_what_the_code_does() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (head, rest) = page
        .split_once(BEGIN)
        .expect("the page has the mark where the generated part begins");
    let (old, tail) = rest
        .split_once(END)
        .expect("the page has the mark where the generated part ends");
    let new = format!("\n{}\n", render().trim_end());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{head}{BEGIN}{new}{END}{tail}")).unwrap();
        return;
    }
    assert!(
        old == new,
        "docs/compatibility.md is stale: UPDATE_DOCS=1 cargo test -p rbdgate --test compatibility"
    );
}
