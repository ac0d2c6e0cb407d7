//! The monitor and the manager: what they answer.

mod args;
mod format;
mod reply;
