//! Class `hello`: Ceph's example class, which its tests of `call` use (Ceph `src/cls/hello/cls_hello.cc`).
//!
//! The methods there that only show how a class misbehaves are not here.

use bytes::Bytes;
use encoding::Errno;

use crate::{ObjectContext, Result, support::done};

/// The longest name that is greeted, in bytes.
const MAX_NAME: usize = 100;
/// How much of a recorded greeting is read, in bytes.
const MAX_READ: u64 = 1100;

fn greeting(name: &Bytes) -> Result<Bytes> {
    if name.len() > MAX_NAME {
        return Err(Errno::EINVAL);
    }
    let name = if name.is_empty() { b"world" } else { &name[..] };
    Ok([b"Hello, ", name, b"!"].concat().into())
}

/// Notes in an xattr who did something.
fn sign(ctx: &mut dyn ObjectContext, xattr: &[u8]) -> Result<()> {
    let (name, addr) = ctx.origin();
    ctx.setxattr(xattr, format!("{name} {addr}").into())
}

/// `hello.say_hello`: greets who is named, or the world.
pub(crate) fn say_hello(_: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    greeting(&input)
}

/// `hello.record_hello`: makes the object with the greeting as its content; EEXIST if it is there.
pub(crate) fn record_hello(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    let greeting = greeting(&input)?;
    if ctx.exists() {
        return Err(Errno::EEXIST);
    }
    ctx.write_full(greeting)?;
    sign(ctx, b"said_by")?;
    done()
}

/// `hello.replay`: the recorded greeting.
pub(crate) fn replay(ctx: &mut dyn ObjectContext, _: Bytes) -> Result<Bytes> {
    ctx.read(0, MAX_READ)
}

/// `hello.turn_it_to_11`: the content in capitals.
pub(crate) fn turn_it_to_11(ctx: &mut dyn ObjectContext, input: Bytes) -> Result<Bytes> {
    if !input.is_empty() {
        return Err(Errno::EINVAL);
    }
    let loud = ctx.read(0, MAX_READ)?.to_ascii_uppercase();
    ctx.write_full(loud.into())?;
    sign(ctx, b"amplified_by")?;
    done()
}
