//! Makes Rust of `proto/*.proto`, without protoc: protox reads them, prost-build writes messages, and [`enums`] and
//! [`services`] what prost does otherwise than this crate wants it, or not at all. Decision 0041.

mod enums;
mod services;

use std::{error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files = Vec::new();
    for entry in fs::read_dir("proto")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    let mut descriptors = protox::compile(files, ["proto"])?;
    let services = services::Generator::new(&descriptors);
    let enums = enums::take(&mut descriptors);
    let mut config = prost_build::Config::new();
    for (field, of) in &enums.fields {
        config.field_attribute(field, format!("#[doc = \"\\n\\nSee [`{of}`].\"]"));
    }
    config
        .btree_map(["."])
        .service_generator(Box::new(Appendix { enums, services }))
        .compile_fds(descriptors)?;
    Ok(())
}

/// What is written behind the messages of a package.
struct Appendix {
    enums: enums::Enums,
    services: services::Generator,
}

impl prost_build::ServiceGenerator for Appendix {
    fn generate(&mut self, service: prost_build::Service, code: &mut String) {
        self.services.generate(&service, code);
    }

    fn finalize_package(&mut self, package: &str, code: &mut String) {
        self.enums.generate(package, code);
    }
}

/// A comment of a proto file as one of Rust.
fn documentation(comment: &str, indent: &str, code: &mut String) {
    for line in comment.lines() {
        let line = line.trim();
        code.push_str(&format!("{indent}/// {line}\n"));
    }
}

/// `SOME_NAME` as `SomeName`.
fn camel_case(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + &rest.to_lowercase()
    };
    name.split('_')
        .filter(|part| !part.is_empty())
        .map(word)
        .collect()
}

/// `SomeName` as `some_name`; of neighbouring capitals the last begins a word.
fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let lower = |at: usize| {
            letters
                .get(at)
                .is_some_and(|c| c.is_lowercase() || c.is_ascii_digit())
        };
        if at > 0 && letter.is_uppercase() && (lower(at - 1) || lower(at + 1)) {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
