use encoding::{
    Errno,
    cls::version::{CheckOp, ObjVersion, ObjVersionCond, SetOp, VersionCond},
};

use crate::memory::{Nothing, Object, s};

fn version(ver: u64) -> ObjVersion {
    ObjVersion { ver, tag: s("tag") }
}

fn check(conds: &[(VersionCond, u64)]) -> CheckOp {
    CheckOp {
        objv: ObjVersion::default(),
        conds: conds
            .iter()
            .map(|(cond, ver)| ObjVersionCond {
                ver: version(*ver),
                cond: *cond,
            })
            .collect(),
    }
}

fn read(o: &mut Object) -> ObjVersion {
    o.get::<SetOp>("version.read", Nothing).unwrap().objv
}

#[test]
fn a_version_starts_with_a_tag_and_counts_up() {
    let mut o = Object::empty();
    assert_eq!(read(&mut o), ObjVersion::default());
    o.call("version.inc", check(&[])).unwrap();
    assert_eq!((read(&mut o).ver, read(&mut o).tag.len()), (2, 24));
}

#[test]
fn conditions_must_all_hold() {
    let mut o = Object::empty();
    o.call("version.set", SetOp { objv: version(5) }).unwrap();
    let met = check(&[
        (VersionCond::EQ, 5),
        (VersionCond::GT, 4),
        (VersionCond::LE, 5),
        (VersionCond::TAG_EQ, 0),
    ]);
    o.call("version.check_conds", met.clone()).unwrap();
    o.call("version.inc_conds", met.clone()).unwrap();
    assert_eq!(read(&mut o), version(6));
    assert_eq!(o.call("version.check_conds", met.clone()), Err(Errno::ECANCELED));
    assert_eq!(o.call("version.inc_conds", met), Err(Errno::ECANCELED));
}

#[test]
fn numbers_are_added_and_multiplied_as_text() {
    let mut o = Object::empty();
    o.call("numops.add", (s("k"), s("2.5"))).unwrap();
    o.call("numops.mul", (s("k"), s("4"))).unwrap();
    assert_eq!(o.key("k").unwrap(), "10");
    assert_eq!(o.call("numops.add", (s("k"), s("x"))), Err(Errno::EINVAL));
    o.omap.insert(s("k"), s("text"));
    assert_eq!(o.call("numops.add", (s("k"), s("1"))), Err(Errno::EBADMSG));
}
