//! The messages of clients, monitors, managers and OSDs, one a file.

mod osd_op;
mod osd_op_reply;

pub use osd_op::MOsdOp;
pub use osd_op_reply::MOsdOpReply;

#[cfg(test)]
mod tests;
