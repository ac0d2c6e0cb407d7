//! Behaviours of the commands.
