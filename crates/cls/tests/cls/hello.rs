use bytes::Bytes;
use encoding::Errno;

use crate::memory::Object;

fn call(object: &mut Object, method: &str, input: &'static str) -> cls::Result<Bytes> {
    cls::call("hello", method, object, Bytes::from_static(input.as_bytes()))
}

#[test]
fn who_is_named_is_greeted_else_the_world() {
    let mut o = Object::empty();
    assert_eq!(call(&mut o, "say_hello", "").unwrap(), "Hello, world!");
    assert_eq!(call(&mut o, "say_hello", "nose").unwrap(), "Hello, nose!");
}

#[test]
fn a_greeting_is_recorded_once_and_signed() {
    let mut o = Object::absent();
    assert_eq!(call(&mut o, "record_hello", "ebs").unwrap(), "");
    assert_eq!(call(&mut o, "replay", "").unwrap(), "Hello, ebs!");
    assert!(o.xattrs[&b"said_by"[..]].starts_with(b"client.1 "));
    assert_eq!(call(&mut o, "record_hello", "ebs"), Err(Errno::EEXIST));
}

#[test]
fn a_greeting_can_be_made_loud() {
    let mut o = Object::absent();
    call(&mut o, "record_hello", "").unwrap();
    call(&mut o, "turn_it_to_11", "").unwrap();
    assert_eq!(call(&mut o, "replay", "").unwrap(), "HELLO, WORLD!");
    assert_eq!(call(&mut o, "turn_it_to_11", "12"), Err(Errno::EINVAL));
}
