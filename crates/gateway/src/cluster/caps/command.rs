//! Monitor and manager capabilities: what commands and messages an entity may send (Ceph `src/mon/MonCap.cc`,
//! `src/mgr/MgrCap.cc`). The two grammars differ in the manager's `module` grants and in their profiles.

use std::{collections::BTreeMap, net::IpAddr};

use regex::Regex;

use super::{
    CapsError, profiles,
    scanner::{Network, Scanner, network_admits},
};

pub(super) const R: u8 = 1 << 1;
pub(super) const W: u8 = 1 << 2;
pub(super) const X: u8 = 1 << 3;
pub(super) const ALL: u8 = R | W | X;
const ANY: u8 = 0xff;

/// Whose grammar and profiles apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandService {
    /// The monitor.
    Mon,
    /// The manager.
    Mgr,
}

/// What a command or a message wants.
#[derive(Debug, Clone, Copy)]
pub struct CommandAccess<'a> {
    /// The service that the command belongs to (`osd`, `mon`, `auth`, `config-key`, ...).
    pub service: &'a str,
    /// The manager module it belongs to; empty for none.
    pub module: &'a str,
    /// The command's words, for instance `osd pool create`; empty for a message.
    pub command: &'a str,
    /// The command's arguments as text.
    pub args: &'a BTreeMap<String, String>,
    /// Whether it reads.
    pub read: bool,
    /// Whether it writes.
    pub write: bool,
    /// Whether it executes (what the auth service asks for).
    pub exec: bool,
    /// Where the request comes from.
    pub peer: Option<IpAddr>,
}

/// Everything an entity may ask a monitor or a manager for.
#[derive(Debug, Clone)]
pub struct CommandCaps {
    service: CommandService,
    grants: Vec<Grant>,
}

#[derive(Debug, Clone)]
struct Grant {
    /// One rule for a plain grant; those of the profile for a profile.
    rules: Vec<Rule>,
    network: Option<Option<Network>>,
}

/// What a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Everything,
    Service(String),
    Module(String),
    Command(String),
}

/// One thing that is granted.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) subject: Subject,
    pub(super) allow: u8,
    pub(super) constraints: BTreeMap<String, Constraint>,
}

/// What an argument must look like.
#[derive(Debug, Clone)]
pub(super) enum Constraint {
    Equal(String),
    Prefix(String),
    /// Matches all of the argument. None: the expression is malformed and matches nothing.
    Pattern(Option<Regex>),
}

impl Constraint {
    pub(super) fn pattern(text: &str) -> Self {
        Self::Pattern(Regex::new(&format!("^(?:{text})$")).ok())
    }

    fn admits(&self, value: &str) -> bool {
        match self {
            Self::Equal(want) => want == value,
            Self::Prefix(want) => value.starts_with(want),
            Self::Pattern(re) => re.as_ref().is_some_and(|re| re.is_match(value)),
        }
    }
}

impl CommandCaps {
    /// Parses the text. An empty text grants nothing.
    pub fn parse(service: CommandService, text: &str) -> Result<Self, CapsError> {
        let name = match service {
            CommandService::Mon => "mon",
            CommandService::Mgr => "mgr",
        };
        let mut s = Scanner::new(text);
        let mut grants = Vec::new();
        s.skip_spaces();
        if s.at_end() {
            return Ok(Self { service, grants });
        }
        loop {
            s.skip_spaces();
            let grant = s.attempt(|s| grant(service, s)).ok_or_else(|| s.error(name))?;
            grants.push(grant);
            s.skip_spaces();
            if s.at_end() {
                return Ok(Self { service, grants });
            }
            s.literal(",")
                .or_else(|| s.literal(";"))
                .ok_or_else(|| s.error(name))?;
        }
    }

    /// Caps that grant nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            service: CommandService::Mon,
            grants: Vec::new(),
        }
    }

    /// Whether everything is granted, by `allow *` and nothing less (`MgrCap::is_allow_all`).
    #[must_use]
    pub fn allows_all(&self) -> bool {
        let mut rules = self.grants.iter().flat_map(|grant| &grant.rules);
        rules.any(|rule| rule.allow == ANY && rule.subject == Subject::Everything)
    }

    /// Whether the request is granted; permissions of several grants add up.
    #[must_use]
    pub fn allows(&self, access: &CommandAccess<'_>) -> bool {
        // The manager has its modules' commands in a service of their own.
        let of_module = self.service == CommandService::Mgr && !access.module.is_empty();
        let access = &CommandAccess {
            service: if of_module { "py" } else { access.service },
            ..*access
        };
        let mut allow = 0;
        for grant in &self.grants {
            if !network_admits(grant.network.as_ref(), access.peer) {
                continue;
            }
            for rule in &grant.rules {
                if rule.allow == ANY && rule.subject == Subject::Everything {
                    return true;
                }
                allow |= rule.allowed(access);
            }
            let granted = (!access.read || allow & R != 0)
                && (!access.write || allow & W != 0)
                && (!access.exec || allow & X != 0);
            if granted {
                return true;
            }
        }
        false
    }
}

impl Rule {
    pub(super) fn new(subject: Subject, allow: u8) -> Self {
        Self {
            subject,
            allow,
            constraints: BTreeMap::new(),
        }
    }

    pub(super) fn with(mut self, argument: &str, constraint: Constraint) -> Self {
        self.constraints.insert(argument.to_owned(), constraint);
        self
    }

    fn allowed(&self, access: &CommandAccess<'_>) -> u8 {
        let granted = match &self.subject {
            // Stored secrets are readable only by an explicit grant.
            Subject::Everything => access.service != "config-key",
            Subject::Service(service) => service == access.service,
            Subject::Module(module) => {
                module == access.module && (!access.command.is_empty() || self.admits(access.args))
            }
            Subject::Command(command) => command == access.command && self.admits(access.args),
        };
        if granted { self.allow } else { 0 }
    }

    /// Whether every constrained argument is there and as it must be.
    fn admits(&self, args: &BTreeMap<String, String>) -> bool {
        self.constraints
            .iter()
            .all(|(name, c)| args.get(name).is_some_and(|v| c.admits(v)))
    }
}

fn grant(service: CommandService, s: &mut Scanner<'_>) -> Option<Grant> {
    let rules = s
        .attempt(|s| {
            allow(s)?;
            let allow = permissions(s)?;
            Some(vec![Rule::new(Subject::Everything, allow)])
        })
        .or_else(|| s.attempt(|s| profile(service, s)))
        .or_else(|| s.attempt(|s| named("service", Subject::Service, s)))
        .or_else(|| match service {
            CommandService::Mgr => s.attempt(|s| named("module", Subject::Module, s)),
            CommandService::Mon => None,
        })
        .or_else(|| s.attempt(command))?;
    let network = s.network();
    // CephFS only; a client of block devices is not limited by it.
    s.attempt(|s| {
        s.spaced("fsname")?;
        s.equals_or_spaces()?;
        s.string()
    });
    Some(Grant { rules, network })
}

fn allow(s: &mut Scanner<'_>) -> Option<()> {
    s.literal("allow")?;
    s.spaces()
}

fn permissions(s: &mut Scanner<'_>) -> Option<u8> {
    if s.literal("*").or_else(|| s.literal("all")).is_some() {
        return Some(ANY);
    }
    let mut allow = 0;
    for (letter, bit) in [("r", R), ("w", W), ("x", X)] {
        if s.literal(letter).is_some() {
            allow |= bit;
        }
    }
    (allow != 0).then_some(allow)
}

/// `[allow] profile NAME [KEY=VALUE ...]`.
fn profile(service: CommandService, s: &mut Scanner<'_>) -> Option<Vec<Rule>> {
    s.attempt(allow);
    s.literal("profile")?;
    s.equals_or_spaces()?;
    let name = s.string()?;
    Some(match service {
        CommandService::Mon => profiles::mon(&name),
        CommandService::Mgr => {
            let constraints = s
                .attempt(|s| {
                    s.spaces()?;
                    constraints(s)
                })
                .unwrap_or_default();
            profiles::mgr(&name, constraints)
        }
    })
}

/// `allow service|module NAME [with KEY=VALUE ...] RWX`.
fn named(keyword: &str, subject: fn(String) -> Subject, s: &mut Scanner<'_>) -> Option<Vec<Rule>> {
    allow(s)?;
    s.literal(keyword)?;
    s.equals_or_spaces()?;
    let mut rule = Rule::new(subject(s.string()?), 0);
    if let Some(constraints) = s.attempt(with_constraints) {
        rule.constraints = constraints;
    }
    s.spaces()?;
    rule.allow = permissions(s)?;
    Some(vec![rule])
}

/// `allow command NAME [with KEY=VALUE ...]`.
fn command(s: &mut Scanner<'_>) -> Option<Vec<Rule>> {
    allow(s)?;
    s.literal("command")?;
    s.equals_or_spaces()?;
    let mut rule = Rule::new(Subject::Command(s.string()?), ALL);
    if let Some(constraints) = s.attempt(with_constraints) {
        rule.constraints = constraints;
    }
    Some(vec![rule])
}

fn with_constraints(s: &mut Scanner<'_>) -> Option<BTreeMap<String, Constraint>> {
    s.spaced("with")?;
    s.spaces()?;
    constraints(s)
}

fn constraints(s: &mut Scanner<'_>) -> Option<BTreeMap<String, Constraint>> {
    let (key, first) = constraint(s)?;
    let mut all = BTreeMap::from([(key, first)]);
    while let Some((key, next)) = s.attempt(|s| {
        s.spaces()?;
        constraint(s)
    }) {
        all.insert(key, next);
    }
    Some(all)
}

/// `KEY=VALUE`, `KEY prefix VALUE` or `KEY regex VALUE`.
fn constraint(s: &mut Scanner<'_>) -> Option<(String, Constraint)> {
    let key = s.string()?;
    let equal = s.attempt(|s| {
        s.skip_spaces();
        s.literal("=")?;
        s.skip_spaces();
        s.string().map(Constraint::Equal)
    });
    let constraint = equal.or_else(|| {
        let make: fn(&str) -> Constraint = if s.spaced("prefix").is_some() {
            |v| Constraint::Prefix(v.to_owned())
        } else {
            s.spaced("regex")?;
            Constraint::pattern
        };
        s.spaces()?;
        Some(make(&s.string()?))
    })?;
    Some((key, constraint))
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
