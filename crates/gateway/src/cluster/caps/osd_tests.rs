//! What OSD capabilities grant, by table.

use super::*;

fn applications() -> Applications {
    let data = BTreeMap::from([("data".to_owned(), "one".to_owned())]);
    BTreeMap::from([("rbd".to_owned(), BTreeMap::new()), ("cephfs".to_owned(), data)])
}

/// `want` is a string of `r`, `w` (plain operations) and `R`, `W` (class rbd, method get_id/create).
fn allowed(caps: &str, pool: &str, namespace: &str, object: &str, want: &str) -> bool {
    let applications = applications();
    let mut classes = Vec::new();
    if want.contains('R') {
        classes.push(ClassCall {
            class: "rbd",
            method: "get_id",
            reads: true,
            writes: false,
        });
    }
    if want.contains('W') {
        classes.push(ClassCall {
            class: "rbd",
            method: "create",
            reads: false,
            writes: true,
        });
    }
    OsdCaps::parse(caps).unwrap().allows(&OsdAccess {
        pool,
        applications: &applications,
        namespace,
        object,
        read: want.contains('r'),
        write: want.contains('w'),
        classes: &classes,
        peer: Some(IpAddr::from([10, 0, 0, 1])),
    })
}

#[test]
fn a_request_is_granted_as_the_grammar_says() {
    let table: &[(&str, &str, &str, &str, &str, bool)] = &[
        // caps, pool, namespace, object, wanted, granted
        ("allow *", "p", "", "o", "rwRW", true),
        ("allow all", "p", "n", "o", "rwRW", true),
        ("", "p", "", "o", "r", false),
        ("allow r", "p", "", "o", "r", true),
        ("allow r", "p", "", "o", "w", false),
        ("allow r", "p", "", "o", "R", false),
        ("allow rx", "p", "", "o", "rRW", true),
        ("allow rw class-read", "p", "", "o", "rwR", true),
        ("allow rw class-read", "p", "", "o", "rwRW", false),
        ("allow class-read class-write", "p", "", "o", "RW", true),
        ("allow rwx pool=volumes", "volumes", "", "o", "rwRW", true),
        ("allow rwx pool=volumes", "images", "", "o", "r", false),
        ("allow rwx pool volumes", "volumes", "", "o", "r", true),
        ("allow pool volumes rwx", "volumes", "", "o", "rwRW", true),
        ("allow pool volumes rwx", "images", "", "o", "r", false),
        ("allow rwx pool \"my pool\"", "my pool", "", "o", "r", true),
        ("allow r pool=a, allow w pool=b", "b", "", "o", "w", true),
        ("allow r pool=a; allow w pool=b", "b", "", "o", "r", false),
        ("allow rw pool=p namespace=n", "p", "n", "o", "rw", true),
        ("allow rw pool=p namespace=n", "p", "", "o", "rw", false),
        ("allow rw pool=p namespace=n*", "p", "nice", "o", "rw", true),
        ("allow rw namespace=\"\"", "p", "n", "o", "rw", false),
        ("allow rw namespace=\"\"", "p", "", "o", "rw", true),
        (
            "allow class-read object_prefix rbd_children",
            "p",
            "",
            "rbd_children",
            "R",
            true,
        ),
        (
            "allow class-read object_prefix rbd_children",
            "p",
            "",
            "rbd_header.1",
            "R",
            false,
        ),
        ("allow rwx tag rbd *=*", "p", "", "o", "rwRW", true),
        ("allow rwx tag rgw *=*", "p", "", "o", "r", false),
        ("allow rw tag cephfs data=one", "p", "", "o", "rw", true),
        ("allow rw tag cephfs data = two", "p", "", "o", "rw", false),
        ("allow rw tag cephfs *=one", "p", "", "o", "rw", true),
        ("allow rw tag cephfs data=*", "p", "", "o", "rw", true),
        ("allow class rbd", "p", "", "o", "RW", true),
        ("allow class rbd get_id", "p", "", "o", "RW", false),
        (
            "allow class rbd get_id, allow class rbd create",
            "p",
            "",
            "o",
            "RW",
            true,
        ),
        ("allow class rbd", "p", "", "o", "r", false),
        ("profile rbd", "p", "", "o", "rwRW", true),
        ("profile rbd pool=volumes", "volumes", "", "o", "rwRW", true),
        ("profile rbd pool=volumes", "images", "", "o", "r", false),
        (
            "profile rbd pool=volumes",
            "images",
            "",
            "rbd_children",
            "R",
            true,
        ),
        ("profile rbd pool=volumes", "images", "", "rbd_info", "r", true),
        (
            "profile rbd pool=v, profile rbd-read-only pool=i",
            "i",
            "",
            "o",
            "rR",
            true,
        ),
        (
            "profile rbd pool=v, profile rbd-read-only pool=i",
            "i",
            "",
            "o",
            "w",
            false,
        ),
        ("profile rbd pool=v namespace=n", "v", "n", "o", "rwRW", true),
        ("profile rbd pool=v namespace=n", "v", "", "o", "r", false),
        ("profile=read-only", "p", "", "o", "r", true),
        ("profile nobody-knows", "p", "", "o", "r", false),
        ("allow rw network 10.0.0.0/8", "p", "", "o", "rw", true),
        ("allow rw network 11.0.0.0/8", "p", "", "o", "rw", false),
        ("allow * network 11.0.0.0/8", "p", "", "o", "rw", false),
    ];
    for (caps, pool, namespace, object, want, granted) in table {
        assert_eq!(
            allowed(caps, pool, namespace, object, want),
            *granted,
            "{caps:?}: {pool}/{namespace}/{object} {want}"
        );
    }
}

#[test]
fn rbd_read_only_may_attach_and_detach_children_and_list_namespaces() {
    let caps = OsdCaps::parse("profile rbd-read-only pool=i namespace=n").unwrap();
    let applications = applications();
    let call = |namespace, object, method, writes| {
        caps.allows(&OsdAccess {
            pool: "i",
            applications: &applications,
            namespace,
            object,
            read: false,
            write: false,
            classes: &[ClassCall {
                class: "rbd",
                method,
                reads: true,
                writes,
            }],
            peer: None,
        })
    };
    assert!(call("n", "rbd_header.1", "child_attach", true));
    assert!(!call("n", "rbd_header.1", "set_flags", true));
    assert!(call("", "rbd_info", "metadata_list", false));
    assert!(!call("", "rbd_info", "metadata_get", false));
}

#[test]
fn what_does_not_follow_the_grammar_is_refused() {
    for bad in [
        "allow",
        "allow q",
        "deny r",
        "allow r,",
        "allow rwx pool=",
        "allow wr",
        "rwx",
    ] {
        let error = OsdCaps::parse(bad).unwrap_err();
        assert!(
            error.to_string().starts_with("osd capability parse failed"),
            "{bad}"
        );
    }
}

#[test]
fn everything_is_granted_only_by_an_unlimited_star() {
    let all = |text: &str| OsdCaps::parse(text).unwrap().allows_all();
    assert!(all("allow *") && all("allow r pool=x, allow *"));
    assert!(!all("allow rwx") && !all("allow * pool=x"));
}

#[test]
fn who_may_write_in_a_namespace_may_manage_the_snapshots_of_its_pools() {
    let may = |caps: &str, pool: Option<&str>| OsdCaps::parse(caps).unwrap().may_write_pool(pool);
    assert!(may("allow w namespace=foo", Some("images")));
    assert!(!may("allow w namespace=foo", None));
    assert!(may("allow w pool=images namespace=foo", Some("images")));
    assert!(!may("allow w pool=images namespace=foo", Some("volumes")));
    assert!(!may("allow w tag fooapp *=*", Some("images")));
    assert!(may("profile rbd namespace=foo", Some("images")));
    assert!(may("allow w", None));
}
