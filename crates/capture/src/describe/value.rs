//! Values that are written for people or as JSON, from one description.

use std::fmt;

/// A value of a description.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// A number.
    Uint(u64),
    /// A word of bits or an identifier, shown in hexadecimal.
    Hex(u64),
    /// Text.
    Text(String),
    /// Text for people, and the same in parts for programs.
    Both(String, Box<Self>),
    /// Several.
    List(Vec<Self>),
    /// Several with names.
    Map(Fields),
}

/// Values with names, in order.
pub type Fields = Vec<(&'static str, Value)>;

/// What something is, and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Ceph's name of the frame or message.
    pub name: String,
    /// Its content.
    pub fields: Fields,
}

impl Description {
    pub(super) fn new(name: impl Into<String>, fields: Fields) -> Self {
        Self {
            name: name.into(),
            fields,
        }
    }
}

impl fmt::Display for Description {
    /// `NAME field=value field=value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// Whether text can stand without quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && !"\"[]{}=,".contains(c))
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(v) => write!(f, "{v}"),
            Self::Int(v) => write!(f, "{v}"),
            Self::Uint(v) => write!(f, "{v}"),
            Self::Hex(v) => write!(f, "{v:#x}"),
            Self::Text(v) if is_plain(v) => f.write_str(v),
            Self::Text(v) => write!(f, "{v:?}"),
            Self::Both(text, _) => f.write_str(text),
            Self::List(items) => {
                f.write_str("[")?;
                for (n, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if n > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Map(fields) => {
                f.write_str("{")?;
                for (n, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}={value}", if n > 0 { " " } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

macro_rules! from {
    ($($t:ty => $variant:ident,)*) => {$(
        impl From<$t> for Value {
            fn from(v: $t) -> Self {
                Self::$variant(v.into())
            }
        }
    )*};
}

from! {
    bool => Bool, i16 => Int, i32 => Int, i64 => Int, u8 => Uint, u16 => Uint, u32 => Uint, u64 => Uint,
    &str => Text, String => Text, Vec<Value> => List, Fields => Map,
}

impl From<usize> for Value {
    fn from(v: usize) -> Self {
        Self::Uint(v as u64)
    }
}

/// Text of whatever prints itself.
pub(super) fn text(v: impl fmt::Display) -> Value {
    Value::Text(v.to_string())
}

/// Bytes that are text as a rule: names of objects and attributes.
pub(super) fn name(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::Text(bytes.escape_ascii().to_string()),
    }
}

/// A list of what prints itself.
pub(super) fn texts<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> Value {
    Value::List(items.into_iter().map(text).collect())
}

/// Names of the bits that are set, and bits without name, joined by `+`; in small letters, as Ceph prints flags.
pub(super) fn flags((names, rest): (Vec<&str>, u64)) -> Value {
    let mut all: Vec<String> = names.into_iter().map(str::to_ascii_lowercase).collect();
    if rest != 0 {
        all.push(format!("{rest:#x}"));
    }
    let parts = all.iter().cloned().map(Value::Text).collect();
    let joined = if all.is_empty() {
        "none".to_owned()
    } else {
        all.join("+")
    };
    Value::Both(joined, Box::new(Value::List(parts)))
}

/// A result: a number, with the error's name if it is one.
pub(super) fn result(result: i32) -> Value {
    match encoding::Errno::from_result(result).and_then(encoding::Errno::name) {
        Some(name) => Value::Both(format!("{result}({name})"), Box::new(result.into())),
        None => result.into(),
    }
}
