//! One run: vectors on some objects, with snapshots in between, each answer and each object compared with the model.

use bytes::Bytes;
use disk_sim::Random;
use encoding::{
    Decode, Errno, Reader,
    types::{ListSnapsResponse, NOSNAP, OpArgs, OpCode, OsdOp, SNAPDIR},
};

use super::{
    model::{Content, Object, Step, WRITE_REPLY, extent, omap_get},
    rig::{Rig, Space},
    wild,
};

/// Two data objects of an image, and two others.
const NAMES: [&str; 4] = [
    "rbd_data.img.0000000000000000",
    "rbd_data.img.0000000000000002",
    "plain",
    "other",
];
/// Snapshots of one run, at most.
const SNAPS: u64 = 12;

/// Plays a run in a namespace of its own, for as long as `more` says so.
///
/// # Panics
/// If an answer or an object is not what the model says.
pub(crate) fn play(rig: &Rig, namespace: &str, random: &mut Random, mut more: impl FnMut(&Random) -> bool) {
    let space = rig.namespace(namespace);
    let mut objects: [Object; NAMES.len()] = Default::default();
    let mut newest = 0;
    // The image's header says that its objects are 1 MiB long.
    let order = [(Bytes::from("order"), Bytes::from(vec![20]))].into();
    space
        .write("rbd_header.img", vec![Step::OmapSet(order).op()], 0)
        .expect("a header");
    while more(random) {
        let which = random.below(NAMES.len() as u64) as usize;
        let (name, object) = (NAMES[which], &mut objects[which]);
        match random.below(16) {
            0 if newest < SNAPS => newest += 1,
            1 => check(&space, name, object, newest),
            2 | 3 => wild::play(&space, random, newest),
            _ => {
                let vector: Vec<Step> = (0..=random.below(4))
                    .map(|_| Step::choose(random, object))
                    .collect();
                run(&space, name, object, &vector, newest);
            }
        }
    }
    for (name, object) in NAMES.iter().zip(&objects) {
        check(&space, name, object, newest);
    }
    // What others write later is another's.
    for (name, object) in NAMES.iter().zip(&mut objects) {
        if object.head.is_some() {
            run(&space, name, object, &[Step::Delete], newest);
        }
    }
}

fn run(space: &Space, name: &str, object: &mut Object, vector: &[Step], newest: u64) {
    let before = object.clone();
    let wanted = object.run(vector, newest);
    let found = space.write(name, vector.iter().map(Step::op).collect(), newest);
    if tracing() {
        let size = object.head.as_ref().map(|head| head.data.len());
        let result = found.as_ref().map(drop);
        println!("{name}, snapshots to {newest}: {vector:?}: {result:?}, {size:?} bytes");
    }
    let large = |out: &Option<Bytes>| out.as_ref().is_some_and(|out| out.len() > WRITE_REPLY);
    if let (Ok(wanted), Err(Errno::EOVERFLOW)) = (&wanted, &found)
        && vector.iter().any(Step::writes)
        && wanted.iter().any(large)
    {
        *object = before;
        return;
    }
    let why = || {
        format!(
            "{name} {:?}\nsnapshots to {newest}: {vector:?}",
            before.head.map(|head| head.data.len())
        )
    };
    match (wanted, found) {
        (Ok(wanted), Ok(found)) => {
            for (at, (wanted, found)) in wanted.iter().zip(&found).enumerate() {
                let same = wanted
                    .as_ref()
                    .is_none_or(|wanted| *wanted == found.outdata.concat());
                assert!(same, "op {at} of {}", why());
            }
        }
        (Err(Errno::ENODATA), Err(Errno::ENOENT)) => {}
        (wanted, found) => {
            assert_eq!(wanted.map(drop), found.map(drop), "{}", why());
        }
    }
}

/// Whether to print every vector.
fn tracing() -> bool {
    std::env::var_os("RBDGATE_MODEL_TRACE").is_some()
}

fn plain(op: OpCode) -> OsdOp {
    OsdOp::new(op, OpArgs::Raw([0; 28]), Bytes::new())
}

/// What an object is, as a client can find out.
///
/// # Panics
/// If it cannot.
pub(crate) fn content(space: &Space, name: &str, snap: u64, most: u64) -> Option<Content> {
    let xattrs = OsdOp::new(
        OpCode::GETXATTRS,
        OpArgs::Xattr {
            name_len: 0,
            value_len: 0,
            cmp_op: 0,
            cmp_mode: 0,
        },
        Bytes::new(),
    );
    let vector = vec![
        plain(OpCode::STAT),
        extent(OpCode::READ, 0, most, &[]),
        xattrs,
        plain(OpCode::OMAPGETHEADER),
        omap_get(),
    ];
    let ops = match space.read(name, vector, snap) {
        Ok(ops) => ops,
        Err(Errno::ENOENT) => return None,
        Err(error) => panic!("{name} at {snap}: {error}"),
    };
    let output: Vec<Bytes> = ops.iter().map(|op| Bytes::from(op.outdata.concat())).collect();
    let size = Reader::new(&output[0]).u64().expect("a size");
    assert_eq!(size.min(most), output[1].len() as u64, "{name} at {snap}");
    Some(Content {
        data: output[1].to_vec(),
        xattrs: Reader::new(&output[2]).map().expect("attributes"),
        header: output[3].clone(),
        omap: Reader::new(&output[4]).map().expect("an omap"),
    })
}

fn check(space: &Space, name: &str, object: &Object, newest: u64) {
    const MOST: u64 = 8 << 20;
    for snap in (1..=newest).chain([NOSNAP]) {
        let (found, wanted) = (content(space, name, snap, MOST), object.at(snap));
        let same = found.as_ref() == wanted;
        let size = |content: Option<&Content>| content.map(|content| content.data.len());
        assert!(
            same,
            "{name} at {snap}: {:?} bytes, {:?} wanted",
            size(found.as_ref()),
            size(wanted)
        );
    }
    // Each snapshot is listed with one clone, if there was something.
    let listed = match space.read(name, vec![plain(OpCode::LIST_SNAPS)], SNAPDIR) {
        Ok(ops) => ListSnapsResponse::from_bytes(&Bytes::from(ops[0].outdata.concat())).expect("a list"),
        Err(Errno::ENOENT) => ListSnapsResponse::default(),
        Err(error) => panic!("{name}: {error}"),
    };
    let mut snaps: Vec<u64> = listed
        .clones
        .iter()
        .flat_map(|clone| clone.snaps.iter().copied())
        .collect();
    snaps.sort_unstable();
    for snap in 1..=newest {
        let count = snaps.iter().filter(|listed| **listed == snap).count();
        let (then, now) = (object.at(snap), object.head.as_ref());
        let allowed = match then {
            None => 0..=0,
            Some(_) if then == now => 0..=1,
            Some(_) => 1..=1,
        };
        assert!(
            allowed.contains(&count),
            "{name}: {snap} is listed {count} times: {listed:?}"
        );
    }
}
