//! Licences of the dependencies, by `cargo metadata` and the list in deny.toml: the part of cargo-deny that every
//! run needs, without a build of cargo-deny.

use serde::Deserialize;

use crate::{Failure, Result, cargo, root};

#[derive(Deserialize)]
struct Deny {
    licenses: Allowed,
}

#[derive(Deserialize)]
struct Allowed {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// Checks the workspace's dependencies and those of the fuzz crate.
pub(crate) fn run() -> Result<()> {
    let text = std::fs::read_to_string(root().join("deny.toml")).map_err(|e| Failure::new("deny.toml", e))?;
    let deny: Deny = toml::from_str(&text).map_err(|e| Failure::new("deny.toml", e))?;
    let mut refused = Vec::new();
    let mut count = 0;
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        for package in packages(manifest)? {
            count += 1;
            let expression = package.license.unwrap_or_default();
            if !allowed(&expression, &deny.licenses.allow) {
                refused.push(format!("{} {}: {expression:?}", package.name, package.version));
            }
        }
    }
    if refused.is_empty() {
        println!("{count} packages, every licence is in deny.toml's list");
        Ok(())
    } else {
        Err(Failure::new(
            "licences that deny.toml does not allow",
            refused.join("; "),
        ))
    }
}

fn packages(manifest: &str) -> Result<Vec<Package>> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--manifest-path"])
        .arg(root().join(manifest))
        .output()
        .map_err(|e| Failure::new("cargo metadata", e))?;
    if !output.status.success() {
        return Err(Failure::new(
            "cargo metadata",
            String::from_utf8_lossy(&output.stderr),
        ));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(|e| Failure::new(manifest, e))?;
    Ok(metadata.packages)
}

/// Whether the SPDX `expression` can be met with licences of `list`.
fn allowed(expression: &str, list: &[String]) -> bool {
    // The slash is the old way to write OR.
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser {
        tokens: &tokens,
        list,
    };
    parser.any() == Some(true) && parser.tokens.is_empty()
}

/// A reader of SPDX expressions; `None` where the text is no expression.
struct Parser<'a> {
    tokens: &'a [&'a str],
    list: &'a [String],
}

impl Parser<'_> {
    fn next_is(&mut self, word: &str) -> bool {
        match self.tokens {
            [first, rest @ ..] if *first == word => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn any(&mut self) -> Option<bool> {
        let mut met = self.all()?;
        while self.next_is("OR") {
            met |= self.all()?;
        }
        Some(met)
    }

    fn all(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.next_is("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        if self.next_is("(") {
            let met = self.any()?;
            return self.next_is(")").then_some(met);
        }
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        let mut name = (*first).to_owned();
        if self.next_is("WITH") {
            let (exception, rest) = self.tokens.split_first()?;
            self.tokens = rest;
            name = format!("{name} WITH {exception}");
        }
        Some(self.list.contains(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::allowed;

    fn check(expression: &str) -> bool {
        let list = [
            "MIT",
            "Apache-2.0",
            "Apache-2.0 WITH LLVM-exception",
            "Unicode-3.0",
        ];
        allowed(expression, &list.map(str::to_owned))
    }

    #[test]
    fn one_of_several_is_enough() {
        assert!(check("MIT"));
        assert!(check("MIT OR GPL-3.0-only"));
        assert!(check("GPL-3.0-only/MIT"));
        assert!(check("GPL-2.0-only OR Apache-2.0 WITH LLVM-exception"));
    }

    #[test]
    fn all_of_several_are_needed() {
        assert!(check("(GPL-3.0-only OR MIT) AND Unicode-3.0"));
        assert!(!check("MIT AND GPL-3.0-only"));
        assert!(!check("MIT AND (GPL-3.0-only OR LGPL-2.1-only)"));
    }

    #[test]
    fn no_expression_is_refused() {
        for text in [
            "",
            "MIT OR",
            "(MIT",
            "MIT MIT",
            "GPL-3.0-only",
            "GPL-2.0-only WITH LLVM-exception",
        ] {
            assert!(!check(text), "{text:?}");
        }
    }
}
