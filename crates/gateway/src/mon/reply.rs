//! What a command answers.

use bytes::Bytes;
use rustix::io::Errno;
use serde_json::Value;

use super::format::Format;

/// A command that did what it was asked to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// A line for the user; the `ceph` tool prints it to its error output.
    pub status: String,
    /// What was asked for.
    pub data: Bytes,
}

impl Reply {
    /// Only a line for the user.
    pub fn status(text: impl Into<String>) -> Self {
        Self {
            status: text.into(),
            data: Bytes::new(),
        }
    }

    /// Text or bytes, the same in every format.
    pub fn data(data: impl Into<Bytes>) -> Self {
        Self {
            status: String::new(),
            data: data.into(),
        }
    }

    /// A value that plain format shows as indented JSON.
    #[must_use]
    pub fn value(format: Format, root: &str, value: &Value) -> Self {
        let text = format.render(value, root);
        Self::data(match format {
            Format::Json | Format::Xml => text,
            _ => text + "\n",
        })
    }

    /// A value, or `plain()` where people read it, ended by a newline.
    pub fn either(format: Format, root: &str, value: &Value, plain: impl FnOnce() -> String) -> Self {
        if format != Format::Plain {
            return Self::value(format, root, value);
        }
        let mut text = plain();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        Self::data(text)
    }

    /// With that line for the user.
    #[must_use]
    pub fn with_status(mut self, text: impl Into<String>) -> Self {
        self.status = text.into();
        self
    }
}

/// A command that was refused or failed: the error number and the line for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CommandError {
    /// The error.
    pub errno: Errno,
    /// What is told to the user.
    pub text: String,
}

impl CommandError {
    /// An error with its text.
    pub fn new(errno: Errno, text: impl Into<String>) -> Self {
        Self {
            errno,
            text: text.into(),
        }
    }

    /// The number as replies carry it: negative.
    #[must_use]
    pub fn code(&self) -> i32 {
        -self.errno.raw_os_error()
    }
}

/// EINVAL with a text.
pub(super) fn einval(text: impl Into<String>) -> CommandError {
    CommandError::new(Errno::INVAL, text)
}

/// ENOENT with a text.
pub(super) fn enoent(text: impl Into<String>) -> CommandError {
    CommandError::new(Errno::NOENT, text)
}
